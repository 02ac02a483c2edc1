//! Profiles of contacts that changed and have no event on its way: written by themselves, for people who were sent before.
//!
//! The notification says who changed; what is written is what Intercom says a moment later, so neither order nor number of the
//! notifications matters, and several of one batch are one. Nobody who was never sent is written: an import would make a profile,
//! which may cost the shop money.
//!
//! Crash story. Before the import a message signs up in the contact's document ([`domain::written`]), and off after it. If we die
//! in between, or only an answer is lost, the message comes again, finds itself signed up and writes once more; a profile that is
//! written twice is the same profile. If two write at the same time, the second to sign off finds the document changed, and asks
//! and writes again.
//!
//! What fails makes its message wait, under the rules of events: a told wait, a refused key and an outage cost nothing, and after
//! the last try the change is left out, as it is when Klaviyo refuses it. No message dies of it, and no event: the message ends as
//! skipped (`contact change`) whatever became of the profile, because the next change or event brings the whole profile again.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::contact::Contact;
use domain::delivery::{MAX_ATTEMPTS, refusal, refuses_phone};
use domain::directory::Directory;
use domain::klaviyo::{PreparedProfile, ProfileChange};
use domain::mapping::{Mapping, Origin, identity_of, left_out};
use domain::support::{Record, home_key, profile_key};
use domain::written::{Written, document_name};
use domain::{ContactId, Identity, MessageId};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::Consumer;
use super::batch::{WaitCause, Waiting};
use super::people::cache_key;
use super::reading::MessagePlan;
use crate::ports::{
    CallError, Claimed, Clock, ConsumerStore, ContactLookup, Intercom, Jitter, Klaviyo, Look, StoreError, StoreResult,
};

/// How often a contact is asked for and written again because somebody else wrote it meanwhile, before its message waits.
const ROUNDS: usize = 4;

/// What became of the changed contacts of a batch.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// Messages that do not end yet.
    pub(super) waits: Vec<(usize, Waiting)>,
    /// Messages for which profiles were written, and how many.
    pub(super) written: BTreeMap<usize, u64>,
}

impl Updates {
    /// Adds what became of support state, which is written in the same way.
    pub(super) fn absorb(&mut self, waits: Vec<(usize, Waiting)>, written: BTreeMap<usize, u64>) {
        self.waits.extend(waits);
        for (message, count) in written {
            *self.written.entry(message).or_default() += count;
        }
    }
}

/// A contact that changed.
struct Change {
    /// As the notifications name it.
    contact: ContactId,
    /// Contacts that became this one.
    merged: Vec<ContactId>,
    /// The newest look at it that a notification shows; none where one of them does not say.
    updated_at: Option<Timestamp>,
    /// Indices of the messages that tell of it. The first one signs.
    messages: Vec<usize>,
}

impl Change {
    fn names(&self) -> impl Iterator<Item = &ContactId> {
        self.merged.iter().chain([&self.contact])
    }
}

/// A contact whose profile is to be written.
struct Target {
    contact: Box<Contact>,
    identity: Identity,
    directory: Arc<Directory>,
    profile: PreparedProfile,
}

/// What came of writing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrote {
    Profile,
    /// Klaviyo does not take it.
    Refused,
    Nothing,
}

/// Why a change is not written now.
enum Trouble {
    Call(CallError),
    Store(StoreError),
    /// Somebody else keeps writing it, or there is no time left.
    Later,
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<S: ConsumerStore, I: Intercom, K: Klaviyo, C: Clock, J: Jitter> Consumer<S, I, K, C, J> {
    /// Writes the profiles of contacts that changed. Events go first.
    pub(super) async fn update_profiles(
        &self,
        claimed: &[Claimed],
        plans: &[MessagePlan],
        deadline: Timestamp,
    ) -> Updates {
        let mut updates = Updates::default();
        if !self.rules.profile.updates || self.options.support_state.is_none() {
            return updates;
        }
        let done: Vec<_> = stream::iter(changes(plans))
            .map(|change| async move {
                let written = self.update_profile(&change, &claimed[change.messages[0]].id, deadline).await;
                (change, written)
            })
            .buffer_unordered(self.options.concurrency)
            .collect()
            .await;
        for (change, written) in done {
            match written {
                Ok(profiles) => *updates.written.entry(change.messages[0]).or_default() += profiles,
                Err(trouble) => {
                    for index in change.messages {
                        let attempts = claimed[index].progress.attempts;
                        updates.waits.extend(self.wait_of_trouble(&trouble, attempts).map(|wait| (index, wait)));
                    }
                }
            }
        }
        updates
    }

    /// How many times the profile was written.
    async fn update_profile(&self, change: &Change, message: &MessageId, deadline: Timestamp) -> Result<u64, Trouble> {
        if !self.is_remembered(change).await? {
            return Ok(0);
        }
        let name = document_name(&change.contact);
        let mut count = 0;
        // Whether what was written may have arrived in the wrong order: then it is written whatever is remembered.
        let mut again = false;
        for _ in 0..ROUNDS {
            let (mut written, version) = self.written(&name).await?;
            if !again && !written.may_be_news(message, change.updated_at) {
                return Ok(count);
            }
            let target = if self.is_late(deadline) { return Err(Trouble::Later) } else { self.target(change).await? };
            if !again
                && !target
                    .as_ref()
                    .map_or(written.is_signed(message), |it| written.differs(message, &it.profile.print()))
            {
                return Ok(count);
            }
            written.sign_up(message);
            let signed = written.to_text();
            if !self.deps.store.save(&name, &signed, version).await? {
                continue;
            }
            let (mut written, version) = self.written(&name).await?;
            if written.to_text() != signed {
                continue;
            }
            let outcome = match &target {
                Some(target) => self.write_profile(target, message).await?,
                None => Wrote::Nothing,
            };
            count += u64::from(outcome == Wrote::Profile);
            let wrote = target.as_ref().filter(|_| outcome != Wrote::Nothing);
            let prints = wrote.map(|target| (target.contact.updated_at, target.profile.print()));
            written.sign_off(message, prints.as_ref().map(|(at, print)| (*at, print)));
            if self.deps.store.save(&name, &written.to_text(), version).await? {
                return Ok(count);
            }
            again = true;
        }
        Err(Trouble::Later)
    }

    /// Whether anything was ever sent for the contact: a cheap no for all who never wrote.
    async fn is_remembered(&self, change: &Change) -> StoreResult<bool> {
        let homes: Vec<String> = change.names().map(home_key).collect();
        let found = self.deps.store.support_records(&homes, Look::Exact).await?;
        Ok(found.iter().any(Option::is_some))
    }

    /// Whether Klaviyo was sent the contact's profile under these identifiers: the record of support state has the contact, and
    /// was told of. Another address is another profile, and waits for its first event.
    async fn was_sent(&self, change: &Change, identity: &Identity) -> StoreResult<bool> {
        let Some(key) = profile_key(identity) else { return Ok(false) };
        let found = self.deps.store.support_records(&[key], Look::Exact).await?;
        let Some(document) = found.into_iter().next().flatten() else { return Ok(false) };
        let record = Record::from_text(&document.body)
            .map_err(|error| StoreError::Unreadable { store: "support state", detail: error.to_string() })?;
        Ok(!record.untold && change.names().any(|contact| record.members.contains_key(contact)))
    }

    async fn written(&self, name: &str) -> StoreResult<(Written, Option<u64>)> {
        let Some(document) = self.deps.store.load(name).await? else { return Ok((Written::default(), None)) };
        let written = Written::from_text(&document.body)
            .map_err(|error| StoreError::Unreadable { store: "document", detail: error.to_string() })?;
        Ok((written, Some(document.version)))
    }

    /// The contact as Intercom has it now, if its profile is to be written: somebody who is not left out, can be identified, and
    /// was sent to that very profile before.
    async fn target(&self, change: &Change) -> Result<Option<Target>, Trouble> {
        let ContactLookup::Found(contact) = self.deps.intercom.contact(&change.contact).await? else { return Ok(None) };
        self.remember_contact(&change.contact, &contact).await;
        let directory = self.names_of_tags(&contact).await?;
        let identity = identity_of(&contact, &self.rules);
        let wanted = left_out(&contact, &self.rules.contacts, &directory).is_none() && identity.is_known();
        if !wanted || !self.was_sent(change, &identity).await? {
            return Ok(None);
        }
        let profile = self.profile_alone(&contact, &identity, &directory);
        Ok(Some(Target { contact, identity, directory, profile }))
    }

    fn profile_alone(&self, contact: &Contact, identity: &Identity, directory: &Directory) -> PreparedProfile {
        let mapping = Mapping { rules: &self.rules, directory, app_url: "", origin: Origin::Live };
        mapping.profile_alone(contact, identity)
    }

    /// The names of the contact's tags, for the profile and for the settings that go by tags.
    async fn names_of_tags(&self, contact: &Contact) -> Result<Arc<Directory>, CallError> {
        let lacks =
            |names: &Directory| contact.tags.iter().any(|tag| tag.name.is_none() && names.tag(&tag.id).is_none());
        let at_hand = self.names_at_hand();
        if !lacks(&at_hand) {
            return Ok(at_hand);
        }
        let names = self.names(false).await?;
        if lacks(&names) { self.names(true).await } else { Ok(names) }
    }

    async fn remember_contact(&self, id: &ContactId, contact: &Contact) {
        if !identity_of(contact, &self.rules).is_known() {
            return;
        }
        let Ok(json) = serde_json::to_string(contact) else { return };
        let expires = self.after(self.options.contact_ttl);
        if let Err(error) = self.deps.store.remember(vec![(cache_key(id), json)], expires).await {
            tracing::debug!(%error, "a contact could not be cached");
        }
    }

    /// Writes it. What Klaviyo refuses is not offered again until the contact changes.
    async fn write_profile(&self, target: &Target, message: &MessageId) -> Result<Wrote, CallError> {
        let mut refused = match self.deps.klaviyo.import_profile(&target.profile).await {
            Err(CallError::Refused { status, errors, .. }) => (status, errors),
            answer => return self.written_or_forbidden(answer, message),
        };
        let has_more = target.identity.email.is_some() || target.identity.external_id.is_some();
        if refuses_phone(&refused.1) && has_more {
            // An address is enough: the number that Klaviyo cannot read stays as a property.
            let identity = Identity { phone: None, ..target.identity.clone() };
            let profile = self.profile_alone(&target.contact, &identity, &target.directory);
            refused = match self.deps.klaviyo.import_profile(&profile).await {
                Err(CallError::Refused { status, errors, .. }) => (status, errors),
                answer => return self.written_or_forbidden(answer, message),
            };
        }
        let reason = refusal("Klaviyo", refused.0, &refused.1, &target.profile.texts());
        tracing::warn!(%message, reason, "a contact's change is left out");
        Ok(Wrote::Refused)
    }

    fn written_or_forbidden(
        &self,
        answer: Result<ProfileChange, CallError>,
        message: &MessageId,
    ) -> Result<Wrote, CallError> {
        match answer {
            Ok(change) => {
                if change == ProfileChange::Created {
                    tracing::info!(%message, "a profile that was deleted in Klaviyo, or is not there yet, was made");
                }
                Ok(Wrote::Profile)
            }
            Err(CallError::Forbidden { .. }) => {
                tracing::warn!(
                    "the Klaviyo key may not write profiles: contacts that change are left out; give it the scope profiles:write"
                );
                Ok(Wrote::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Until when a message waits; `None`: what it wanted is left out.
    fn wait_of_trouble(&self, trouble: &Trouble, attempts: u16) -> Option<Waiting> {
        let soon = Waiting { until: self.in_a_moment(), cause: WaitCause::Vendor };
        match trouble {
            Trouble::Later => Some(soon),
            Trouble::Store(StoreError::Unavailable { .. }) => {
                tracing::warn!("a contact's change could not be kept; trying again");
                Some(soon)
            }
            Trouble::Store(error) => {
                tracing::error!(%error, "a contact's change is left out");
                None
            }
            Trouble::Call(error) => self.wait_for(error, attempts).or_else(|| {
                tracing::warn!(%error, "a contact's change is left out after {MAX_ATTEMPTS} tries");
                None
            }),
        }
    }
}

/// The changed contacts of a batch, each once.
fn changes(plans: &[MessagePlan]) -> Vec<Change> {
    let mut by_contact: BTreeMap<ContactId, Change> = BTreeMap::new();
    for (index, plan) in plans.iter().enumerate() {
        let Some(told) = plan.changed_contact.as_deref() else { continue };
        let shown = told.contact.updated_at;
        let change = by_contact.entry(told.contact.id.clone()).or_insert_with(|| Change {
            contact: told.contact.id.clone(),
            merged: Vec::new(),
            updated_at: shown,
            messages: Vec::new(),
        });
        change.updated_at = change.updated_at.zip(shown).map(|(one, other)| one.max(other));
        change.merged.extend(told.merged_from.clone());
        change.messages.push(index);
    }
    by_contact.into_values().collect()
}
