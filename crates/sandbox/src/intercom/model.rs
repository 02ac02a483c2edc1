//! The workspace: contacts, threads (conversations, tickets, or both), and lean records of what happened in them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use serde_json::Value;

use super::spec::{ActionError, ApiVersion, Category, ContactSpec, ConversationState, PartRef, Role};
use crate::rng::Rng;

/// Text that is mostly one of a few phrases in a seeded past.
pub(crate) type Text = Cow<'static, str>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Live,
    /// Archived and deleted contacts answer alike.
    Gone,
    Merged(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Contact {
    pub(crate) id: String,
    pub(crate) spec: ContactSpec,
    pub(crate) tags: Vec<usize>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    /// An address that will be known at a time.
    pub(crate) later_email: Option<(i64, String)>,
    pub(crate) fate: Fate,
}

impl Contact {
    /// The address as it is known at `now`.
    pub(crate) fn email(&self, now: i64) -> Option<&str> {
        let later = self.later_email.as_ref().filter(|(at, _)| *at <= now).map(|(_, email)| email.as_str());
        later.or(self.spec.email.as_deref()).filter(|email| !email.is_empty())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    Contact(usize),
    Admin(usize),
    Bot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartKind {
    Comment,
    Assignment,
    Note,
    Open,
    Close,
    Snoozed,
    Unsnoozed,
    State,
    RatingChanged,
    RatingRemark,
    AttributeCollected,
    LanguageDetection,
    ReplyTime,
    TagsUpdated,
}

impl PartKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Assignment => "assignment",
            Self::Note => "note",
            Self::Open => "open",
            Self::Close => "close",
            Self::Snoozed => "snoozed",
            Self::Unsnoozed => "unsnoozed",
            Self::State => "ticket_state_updated_by_admin",
            Self::RatingChanged => "conversation_rating_changed",
            Self::RatingRemark => "conversation_rating_remark_added",
            Self::AttributeCollected => "attribute_collected",
            Self::LanguageDetection => "language_detection_details",
            Self::ReplyTime => "channel_and_reply_time_expectation",
            Self::TagsUpdated => "conversation_tags_updated",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) id: u64,
    pub(crate) kind: PartKind,
    pub(crate) author: Author,
    pub(crate) at: i64,
    pub(crate) body: Option<Text>,
    pub(crate) attachments: u8,
    /// New and previous state, on state parts.
    pub(crate) states: Option<(Category, Category)>,
}

impl Part {
    pub(crate) fn new(kind: PartKind, author: Author, at: i64) -> Self {
        Self { id: 0, kind, author, at, body: None, attachments: 0, states: None }
    }

    pub(crate) fn with_body(mut self, body: impl Into<Text>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A reply that somebody wrote to somebody.
    pub(crate) fn is_reply(&self) -> bool {
        matches!(self.kind, PartKind::Comment | PartKind::Assignment) && (self.body.is_some() || self.attachments > 0)
    }

    pub(crate) fn reference(&self) -> PartRef {
        PartRef {
            id: self.id.to_string(),
            part_type: self.kind.as_str().to_owned(),
            at: self.at,
            state: self.states.map(|(state, _)| state),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Rating {
    pub(crate) asked_at: i64,
    pub(crate) score: Option<u8>,
    pub(crate) remark: Option<Text>,
    pub(crate) updated_at: i64,
    pub(crate) contact: usize,
    pub(crate) admin: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    /// The number people see.
    pub(crate) display: u64,
    pub(crate) kind: usize,
    pub(crate) title: Text,
    pub(crate) description: Text,
    /// Index into the workspace's ticket states.
    pub(crate) state: usize,
    pub(crate) previous_state: usize,
    pub(crate) attributes: BTreeMap<String, Value>,
}

/// Who opened a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Contact(usize),
    Admin(usize),
    /// An outbound message or a workflow.
    Campaign,
    /// Born as a ticket: no message at all.
    Ticket,
}

#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) id: u64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) origin: Origin,
    pub(crate) by_email: bool,
    pub(crate) contacts: Vec<usize>,
    pub(crate) title: Text,
    pub(crate) text: Text,
    pub(crate) parts: Vec<Part>,
    pub(crate) state: ConversationState,
    pub(crate) snoozed_until: Option<i64>,
    pub(crate) read: bool,
    pub(crate) priority: bool,
    pub(crate) admin: Option<usize>,
    pub(crate) team: Option<usize>,
    pub(crate) tags: Vec<usize>,
    pub(crate) rating: Option<Box<Rating>>,
    pub(crate) ticket: Option<Box<Ticket>>,
    pub(crate) attributes: BTreeMap<String, Value>,
    pub(crate) deleted: bool,
}

impl Thread {
    pub(crate) fn new(id: u64, origin: Origin, contacts: Vec<usize>, at: i64) -> Self {
        Self {
            id,
            created_at: at,
            updated_at: at,
            origin,
            by_email: false,
            contacts,
            title: Text::Borrowed(""),
            text: Text::Borrowed(""),
            parts: Vec::new(),
            state: ConversationState::Open,
            snoozed_until: None,
            read: false,
            priority: false,
            admin: None,
            team: None,
            tags: Vec::new(),
            rating: None,
            ticket: None,
            attributes: BTreeMap::new(),
            deleted: false,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) email: String,
    pub(crate) team: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Team {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct TicketType {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    /// `Customer`, `Back-office` or `Tracker`.
    pub(crate) category: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct TicketState {
    pub(crate) id: u64,
    pub(crate) category: Category,
    pub(crate) internal: &'static str,
    pub(crate) external: &'static str,
}

/// The operator bot; listed among the admins.
pub(crate) const BOT: usize = 0;

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) workspace: String,
    pub(crate) version: ApiVersion,
    pub(crate) rng: Rng,
    pub(crate) contacts: Vec<Contact>,
    pub(crate) contact_by_id: HashMap<String, usize>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) thread_by_id: HashMap<u64, usize>,
    pub(crate) admins: Vec<Admin>,
    pub(crate) teams: Vec<Team>,
    pub(crate) tags: Vec<String>,
    pub(crate) ticket_types: Vec<TicketType>,
    pub(crate) ticket_states: Vec<TicketState>,
    /// Threads by `created_at`; rebuilt when it has fewer entries than there are threads.
    pub(crate) by_created: Vec<(i64, usize)>,
    next_part: u64,
    next_thread: u64,
    next_display: u64,
}

impl Model {
    pub(crate) fn new(workspace: &str, seed: u64) -> Self {
        let admin =
            |id, name: &'static str, address: String, team: Option<usize>| Admin { id, name, email: address, team };
        let shop = |local: &str| format!("{local}@sandbox-shop.co");
        let state = |id, category, internal, external| TicketState { id, category, internal, external };
        Self {
            workspace: workspace.to_owned(),
            version: ApiVersion::default(),
            rng: Rng::new(seed),
            contacts: Vec::new(),
            contact_by_id: HashMap::new(),
            threads: Vec::new(),
            thread_by_id: HashMap::new(),
            admins: vec![
                admin(9_608_808, "Fin", format!("operator+{workspace}@intercom.io"), None),
                admin(9_608_799, "Grace Okafor", shop("grace"), Some(0)),
                admin(9_608_800, "Tomás Rey", shop("tomas"), Some(1)),
                admin(9_608_801, "Mina Sato", shop("mina"), Some(0)),
            ],
            teams: vec![Team { id: 7_001, name: "Support" }, Team { id: 7_002, name: "Returns" }],
            tags: vec!["vip".into(), "refund".into(), "delivery".into(), "feedback".into()],
            ticket_types: vec![
                TicketType { id: 2_979_330, name: "Order problem", category: "Customer" },
                TicketType { id: 2_979_331, name: "Warehouse task", category: "Back-office" },
                TicketType { id: 2_979_332, name: "Known fault", category: "Tracker" },
            ],
            ticket_states: vec![
                state(4_517_893, Category::Submitted, "Submitted", "Submitted"),
                state(4_517_894, Category::InProgress, "In progress", "In progress"),
                state(4_517_895, Category::WaitingOnCustomer, "Waiting on customer", "Waiting on you"),
                state(4_517_896, Category::Resolved, "Resolved", "Resolved"),
                state(4_517_897, Category::InProgress, "With the courier", "In progress"),
                state(4_517_898, Category::Resolved, "Refunded", "Resolved"),
            ],
            by_created: Vec::new(),
            next_part: 37_403_241_000,
            next_thread: 215_472_600_000_000,
            next_display: 66_040_000,
        }
    }

    pub(crate) fn contact_index(&self, id: &str) -> Result<usize, ActionError> {
        self.contact_by_id.get(id).copied().ok_or_else(|| unknown("contact", id))
    }

    /// Where a contact's merges lead.
    pub(crate) fn survivor(&self, mut index: usize) -> usize {
        while let Some(Fate::Merged(into)) = self.contacts.get(index).map(|contact| contact.fate) {
            index = into;
        }
        index
    }

    pub(crate) fn thread_index(&self, id: &str) -> Result<usize, ActionError> {
        let index = id.parse::<u64>().ok().and_then(|id| self.thread_by_id.get(&id)).copied();
        index.filter(|index| !self.threads[*index].deleted).ok_or_else(|| unknown("conversation or ticket", id))
    }

    pub(crate) fn ticket_index(&self, id: &str) -> Result<usize, ActionError> {
        let index = self.thread_index(id)?;
        if self.threads[index].ticket.is_some() { Ok(index) } else { Err(unknown("ticket", id)) }
    }

    pub(crate) fn type_index(&self, name: &str) -> Result<usize, ActionError> {
        if name.is_empty() {
            return Ok(0);
        }
        let found = self.ticket_types.iter().position(|kind| kind.name == name || kind.id.to_string() == name);
        found.ok_or_else(|| unknown("ticket type", name))
    }

    pub(crate) fn tag_index(&mut self, name: &str) -> usize {
        self.tags.iter().position(|tag| tag == name).unwrap_or_else(|| {
            self.tags.push(name.to_owned());
            self.tags.len() - 1
        })
    }

    pub(crate) fn add_contact(&mut self, mut spec: ContactSpec, at: i64) -> usize {
        if spec.role == Role::Lead && spec.external_id.is_none() {
            spec.external_id = Some(self.rng.uuid());
        }
        let index = self.contacts.len();
        let id = format!("{:08x}{:016x}", 0x6961_0000_u64 + index as u64, self.rng.next());
        let tags = spec.tags.clone().iter().map(|tag| self.tag_index(tag)).collect();
        self.contact_by_id.insert(id.clone(), index);
        self.contacts.push(Contact {
            id,
            spec,
            tags,
            created_at: at,
            updated_at: at,
            later_email: None,
            fate: Fate::Live,
        });
        index
    }

    pub(crate) fn thread_id(&mut self) -> u64 {
        self.next_thread += 1 + self.rng.below(90);
        self.next_thread
    }

    pub(crate) fn display_id(&mut self) -> u64 {
        self.next_display += 1;
        self.next_display
    }

    pub(crate) fn add_thread(&mut self, thread: Thread) -> usize {
        let index = self.threads.len();
        self.thread_by_id.insert(thread.id, index);
        self.threads.push(thread);
        index
    }

    /// Adds a part to a thread and returns a reference to it.
    pub(crate) fn add_part(&mut self, thread: usize, mut part: Part) -> PartRef {
        self.next_part += 1 + self.rng.below(500);
        part.id = self.next_part;
        let reference = part.reference();
        let thread = &mut self.threads[thread];
        thread.updated_at = thread.updated_at.max(part.at);
        thread.parts.push(part);
        reference
    }

    /// Threads that were created in `from..=to`, oldest first.
    pub(crate) fn created_between(&mut self, from: i64, to: i64) -> Vec<usize> {
        if self.by_created.len() != self.threads.len() {
            self.by_created =
                self.threads.iter().enumerate().map(|(index, thread)| (thread.created_at, index)).collect();
            self.by_created.sort_unstable();
        }
        let start = self.by_created.partition_point(|(at, _)| *at < from);
        let inside = self.by_created.iter().skip(start).take_while(|(at, _)| *at <= to);
        inside.map(|(_, index)| *index).filter(|index| !self.threads[*index].deleted).collect()
    }
}

pub(crate) fn unknown(what: &'static str, id: &str) -> ActionError {
    ActionError::Unknown { what, id: id.to_owned() }
}
