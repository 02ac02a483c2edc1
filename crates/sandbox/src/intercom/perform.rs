//! Carries actions out: changes the model and says what Intercom would notify.

use serde_json::{Value, json};

use super::{
    action::Action,
    model::{Author, Fate, Model, Origin, Part, PartKind, Text, Thread},
    render::{self, Medium},
    spec::{ActionError, ApiVersion, ConversationState, PartRef, Role},
};
use crate::clock::LATEST;

/// A notification to be: an envelope is put around it later.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) topic: &'static str,
    pub(crate) item: Value,
    /// Unix seconds.
    pub(crate) at: i64,
    /// Not delivered before this, Unix seconds; 0 is at once.
    pub(crate) not_before: i64,
}

/// What an action did to the model.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) parts: Vec<PartRef>,
    pub(crate) drafts: Vec<Draft>,
}

type Done = Result<Outcome, ActionError>;

impl Model {
    /// Performs `action` at `at` (Unix seconds).
    pub(crate) fn perform(&mut self, action: &Action, at: i64) -> Done {
        match action {
            Action::AddContact { .. }
            | Action::SetEmail { .. }
            | Action::EmailAppearsAt { .. }
            | Action::SetContactAttribute { .. }
            | Action::TagContact { .. }
            | Action::UntagContact { .. }
            | Action::MergeContacts { .. }
            | Action::ArchiveContact { .. }
            | Action::DeleteContact { .. } => self.on_contact(action, at),
            Action::CreateTicket { .. }
            | Action::ConvertToTicket { .. }
            | Action::SetTicketState { .. }
            | Action::ContactRepliesToTicket { .. }
            | Action::AdminRepliesToTicket { .. }
            | Action::AddNoteToTicket { .. } => self.on_ticket(action, at),
            Action::Ping => {
                let item = json!({ "type": "ping", "message": "sandbox says hello" });
                Ok(Outcome { drafts: vec![draft("ping", item, at)], ..Outcome::default() })
            }
            _ => self.on_conversation(action, at),
        }
    }

    fn on_contact(&mut self, action: &Action, at: i64) -> Done {
        match action {
            Action::AddContact { contact } => {
                let index = self.add_contact(contact.clone(), at);
                let topic = if contact.role == Role::Lead { "contact.lead.created" } else { "contact.user.created" };
                Ok(self.about_contact(&[topic], index, at))
            }
            Action::SetEmail { contact, email } => {
                let index = self.contact_index(contact)?;
                let known = self.contacts[index].email(at).is_some();
                self.contacts[index].spec.email = Some(email.clone()).filter(|email| !email.is_empty());
                self.contacts[index].later_email = None;
                Ok(self.about_contact(&[self.email_topic(index, known)], index, at))
            }
            Action::EmailAppearsAt { contact, email, time } => {
                let index = self.contact_index(contact)?;
                let known = self.contacts[index].email(at).is_some();
                let time = (*time).clamp(0, LATEST);
                self.contacts[index].later_email = Some((time, email.clone()));
                let mut outcome = self.about_contact(&[self.email_topic(index, known)], index, time);
                outcome.drafts.iter_mut().for_each(|draft| draft.not_before = time);
                Ok(outcome)
            }
            Action::SetContactAttribute { contact, name, value } => {
                let index = self.contact_index(contact)?;
                self.contacts[index].spec.custom_attributes.insert(name.clone(), value.clone());
                Ok(self.about_contact(&[self.updated_topic(index)], index, at))
            }
            Action::TagContact { contact, tag } => {
                let (index, tag) = (self.contact_index(contact)?, self.tag_index(tag));
                if !self.contacts[index].tags.contains(&tag) {
                    self.contacts[index].tags.push(tag);
                }
                Ok(self.about_tag(index, tag, ["contact.user.tag.created", "contact.lead.tag.created"], at))
            }
            Action::UntagContact { contact, tag } => {
                let (index, tag) = (self.contact_index(contact)?, self.tag_index(tag));
                self.contacts[index].tags.retain(|there| *there != tag);
                Ok(self.about_tag(index, tag, ["contact.user.tag.deleted", "contact.lead.tag.deleted"], at))
            }
            Action::MergeContacts { from, into } => self.merge(from, into, at),
            Action::ArchiveContact { contact } => self.lose_contact(contact, "contact.archived", at),
            Action::DeleteContact { contact } => self.lose_contact(contact, "contact.deleted", at),
            _ => Err(ActionError::Impossible("not an action on a contact")),
        }
    }

    fn email_topic(&self, index: usize, known: bool) -> &'static str {
        match (known, self.contacts[index].spec.role) {
            (false, Role::Lead) => "contact.lead.added_email",
            _ => "contact.email.updated",
        }
    }

    fn updated_topic(&self, index: usize) -> &'static str {
        if self.contacts[index].spec.role == Role::Lead { "contact.lead.updated" } else { "contact.user.updated" }
    }

    fn about_contact(&mut self, topics: &[&'static str], index: usize, at: i64) -> Outcome {
        let contact = &mut self.contacts[index];
        contact.updated_at = contact.updated_at.max(at);
        let id = contact.id.clone();
        let item = render::contact(self, index, self.version, Medium::Webhook, at);
        Outcome { id, parts: Vec::new(), drafts: topics.iter().map(|topic| draft(topic, item.clone(), at)).collect() }
    }

    /// A tag's coming and going has an object of its own around the contact. `topics`: a user's, a lead's.
    fn about_tag(&mut self, index: usize, tag: usize, topics: [&'static str; 2], at: i64) -> Outcome {
        let topic = topics[usize::from(self.contacts[index].spec.role == Role::Lead)];
        let mut outcome = self.about_contact(&[topic], index, at);
        let tag = json!({ "type": "tag", "id": render::tag_id(tag), "name": self.tags[tag] });
        for draft in &mut outcome.drafts {
            let contact = draft.item.take();
            draft.item = json!({ "type": "contact_tag", "created_at": at, "tag": tag, "contact": contact });
        }
        outcome
    }

    fn merge(&mut self, from: &str, into: &str, at: i64) -> Done {
        let (from, into) = (self.contact_index(from)?, self.contact_index(into)?);
        if self.survivor(into) == from || self.contacts[from].fate != Fate::Live {
            return Err(ActionError::Impossible("these contacts cannot be merged"));
        }
        self.contacts[from].fate = Fate::Merged(into);
        let tags = self.contacts[from].tags.clone();
        let survivor = &mut self.contacts[into];
        tags.into_iter().for_each(|tag| {
            if !survivor.tags.contains(&tag) {
                survivor.tags.push(tag);
            }
        });
        let mut outcome = self.about_contact(&["contact.merged"], into, at);
        // Older captures name the survivor only.
        if since(self.version, ApiVersion::V2_16) {
            let merged = json!({ "type": "contact", "id": self.contacts[from].id });
            outcome.drafts.iter_mut().for_each(|draft| draft.item["merged_from"] = merged.clone());
        }
        Ok(outcome)
    }

    fn lose_contact(&mut self, id: &str, topic: &'static str, at: i64) -> Done {
        let index = self.contact_index(id)?;
        self.contacts[index].fate = Fate::Gone;
        let external = self.contacts[index].spec.external_id.clone();
        let item =
            json!({ "type": "contact", "id": id, "external_id": external, "deleted": topic == "contact.deleted" });
        Ok(Outcome { id: id.to_owned(), parts: Vec::new(), drafts: vec![draft(topic, item, at)] })
    }

    fn on_conversation(&mut self, action: &Action, at: i64) -> Done {
        match action {
            Action::StartConversation { contact, text } => {
                let contact = self.contact_index(contact)?;
                let index = self.open_thread(Origin::Contact(contact), contact, text, at);
                Ok(self.about(index, "conversation.user.created", Vec::new(), at))
            }
            Action::AdminStartsConversation { contact, text } => {
                let contact = self.contact_index(contact)?;
                let index = self.open_thread(Origin::Admin(1), contact, text, at);
                Ok(self.about(index, "conversation.admin.single.created", Vec::new(), at))
            }
            Action::CampaignStartsConversation { contact, text } => {
                let contact = self.contact_index(contact)?;
                let index = self.open_thread(Origin::Campaign, contact, text, at);
                Ok(self.quietly(index, Vec::new()))
            }
            Action::AttachContact { conversation, contact } => {
                let (index, contact) = (self.thread_index(conversation)?, self.contact_index(contact)?);
                self.threads[index].contacts.push(contact);
                Ok(self.about(index, "conversation.contact.attached", Vec::new(), at))
            }
            Action::ContactReplies { conversation, text, contact } => {
                let index = self.thread_index(conversation)?;
                let author = self.speaker(index, contact.as_deref())?;
                self.contact_reply(index, Part::new(PartKind::Comment, author, at).with_body(html(text)))
            }
            Action::ContactRepliesWithAttachment { conversation } => {
                let index = self.thread_index(conversation)?;
                let part = Part { attachments: 1, ..Part::new(PartKind::Comment, self.speaker(index, None)?, at) };
                self.contact_reply(index, part)
            }
            Action::AdminReplies { conversation, text } => {
                let index = self.thread_index(conversation)?;
                self.admin_reply(index, text, at)
            }
            Action::BotReplies { conversation, text } => {
                let index = self.thread_index(conversation)?;
                let part = self.add_part(index, Part::new(PartKind::Comment, Author::Bot, at).with_body(html(text)));
                Ok(self.about(index, "conversation.operator.replied", vec![part], at))
            }
            Action::AddNote { conversation, text } => {
                let index = self.thread_index(conversation)?;
                let part = self.add_part(index, Part::new(PartKind::Note, Author::Admin(1), at).with_body(html(text)));
                Ok(self.about(index, "conversation.admin.noted", vec![part], at))
            }
            Action::RequestRating { .. } | Action::Rate { .. } | Action::AddRemark { .. } => self.on_rating(action, at),
            Action::ContactReads { conversation } => {
                let index = self.thread_index(conversation)?;
                self.threads[index].read = true;
                let parts = self.threads[index].parts.iter().rev().take(4).map(Part::reference).collect::<Vec<_>>();
                let mut outcome = self.about(index, "conversation.read", parts.into_iter().rev().collect(), at);
                outcome.parts.clear();
                Ok(outcome)
            }
            _ => self.on_state(action, at),
        }
    }

    fn on_state(&mut self, action: &Action, at: i64) -> Done {
        let (id, state, kind, topic) = match action {
            Action::CloseConversation { conversation } => {
                (conversation, ConversationState::Closed, PartKind::Close, "conversation.admin.closed")
            }
            Action::OpenConversation { conversation } => {
                (conversation, ConversationState::Open, PartKind::Open, "conversation.admin.opened")
            }
            Action::SnoozeConversation { conversation, .. } => {
                (conversation, ConversationState::Snoozed, PartKind::Snoozed, "conversation.admin.snoozed")
            }
            Action::UnsnoozeConversation { conversation } => {
                (conversation, ConversationState::Open, PartKind::Unsnoozed, "conversation.admin.unsnoozed")
            }
            _ => return self.on_details(action, at),
        };
        let index = self.thread_index(id)?;
        self.threads[index].state = state;
        self.threads[index].snoozed_until = match action {
            Action::SnoozeConversation { until, .. } => Some(*until),
            _ => None,
        };
        let part = self.add_part(index, Part::new(kind, Author::Admin(1), at));
        Ok(self.about(index, topic, vec![part], at))
    }

    fn on_details(&mut self, action: &Action, at: i64) -> Done {
        match action {
            Action::AssignConversation { conversation } => {
                let index = self.thread_index(conversation)?;
                (self.threads[index].admin, self.threads[index].team) = (Some(1), Some(0));
                let part = self.add_part(index, Part::new(PartKind::Assignment, Author::Bot, at));
                Ok(self.about(index, "conversation.admin.assigned", vec![part], at))
            }
            Action::SetPriority { conversation } => {
                let index = self.thread_index(conversation)?;
                self.threads[index].priority = true;
                Ok(self.about(index, "conversation.priority.updated", Vec::new(), at))
            }
            Action::TagConversation { conversation, tag } => {
                let (index, tag) = (self.thread_index(conversation)?, self.tag_index(tag));
                self.threads[index].tags.push(tag);
                let part = self.add_part(index, Part::new(PartKind::TagsUpdated, Author::Admin(1), at));
                Ok(self.quietly(index, vec![part]))
            }
            Action::SetConversationAttribute { conversation, name, value } => {
                let index = self.thread_index(conversation)?;
                self.threads[index].attributes.insert(name.clone(), value.clone());
                self.threads[index].updated_at = self.threads[index].updated_at.max(at);
                Ok(self.quietly(index, Vec::new()))
            }
            Action::DeleteConversation { conversation } => {
                let index = self.thread_index(conversation)?;
                self.threads[index].deleted = true;
                let item = json!({ "type": "conversation", "conversation_id": conversation, "deleted": true });
                let drafts = vec![draft("conversation.deleted", item, at)];
                Ok(Outcome { id: conversation.clone(), parts: Vec::new(), drafts })
            }
            _ => Err(ActionError::Impossible("not an action on a conversation")),
        }
    }

    fn open_thread(&mut self, origin: Origin, contact: usize, text: &str, at: i64) -> usize {
        let id = self.thread_id();
        let mut thread = Thread::new(id, origin, vec![contact], at);
        thread.text = html(text);
        self.add_thread(thread)
    }

    /// Who of the thread's contacts speaks: the one named, else whoever opened it, else the first.
    pub(crate) fn speaker(&self, index: usize, named: Option<&str>) -> Result<Author, ActionError> {
        let thread = &self.threads[index];
        let contact = match (named, thread.origin) {
            (Some(id), _) => Some(self.contact_index(id)?),
            (None, Origin::Contact(contact)) => Some(contact),
            (None, _) => thread.contacts.first().copied(),
        };
        contact
            .map(|contact| Author::Contact(self.survivor(contact)))
            .ok_or(ActionError::Impossible("there is no contact"))
    }

    fn contact_reply(&mut self, index: usize, part: Part) -> Done {
        if self.threads[index].ticket.is_some() {
            return Ok(self.contact_reply_to_ticket(index, part));
        }
        let at = part.at;
        let thread = &mut self.threads[index];
        thread.state = ConversationState::Open;
        thread.read = false;
        let part = self.add_part(index, part);
        Ok(self.about(index, "conversation.user.replied", vec![part], at))
    }

    fn admin_reply(&mut self, index: usize, text: &str, at: i64) -> Done {
        if self.threads[index].ticket.is_some() {
            return Ok(self.admin_reply_to_ticket(index, text, at));
        }
        // The first reply takes the conversation, which Intercom shows as one part: an assignment with a body.
        let kind = if self.threads[index].admin.is_none() { PartKind::Assignment } else { PartKind::Comment };
        (self.threads[index].admin, self.threads[index].team) = (Some(1), Some(0));
        self.threads[index].read = false;
        let part = self.add_part(index, Part::new(kind, Author::Admin(1), at).with_body(html(text)));
        Ok(self.about(index, "conversation.admin.replied", vec![part], at))
    }

    /// One notification about a conversation with the parts it is about.
    pub(crate) fn about(&self, index: usize, topic: &'static str, parts: Vec<PartRef>, at: i64) -> Outcome {
        let thread = &self.threads[index];
        let wanted: Vec<&Part> =
            thread.parts.iter().filter(|part| parts.iter().any(|wanted| wanted.id == part.id.to_string())).collect();
        let item = render::conversation(self, thread, Some(&wanted), self.version, Medium::Webhook);
        Outcome { id: thread.id.to_string(), parts, drafts: vec![draft(topic, item, at)] }
    }

    /// An outcome nobody is told of.
    pub(crate) fn quietly(&self, index: usize, parts: Vec<PartRef>) -> Outcome {
        Outcome { id: self.threads[index].id.to_string(), parts, drafts: Vec::new() }
    }
}

pub(crate) fn draft(topic: &'static str, item: Value, at: i64) -> Draft {
    Draft { topic, item, at, not_before: 0 }
}

/// The Messenger's way of storing what somebody typed.
pub(crate) fn html(text: &str) -> Text {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Text::Owned(format!("<p>{escaped}</p>"))
}

/// Whether `version` is at least `other`; reads better in conditions.
pub(crate) fn since(version: ApiVersion, other: ApiVersion) -> bool {
    version >= other
}
