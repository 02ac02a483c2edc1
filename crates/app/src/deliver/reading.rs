//! From claimed bytes to events on their way, and to what is already decided about each message.

use domain::activity::{Context, Finding, from_notification};
use domain::delivery::EventFate;
use domain::history::{self, Envelope};
use domain::intercom::{Call, ContactChange, Item, Notification, Unreadable, contact_change, read};
use domain::mapping::Origin;
use domain::support::{Facts, of_item, of_notification};
use domain::{KeyHash, Rules, SignatureScheme, Skip, Verified};
use jiff::Timestamp;

use super::batch::{State, Work};
use super::workspace::Ours;
use crate::ports::{Accepted, Claimed};
use crate::support::Person;

/// What is decided about a message before any of its events is looked at.
#[derive(Debug, Default)]
pub(super) struct MessagePlan {
    /// For dead letters and the list of recent events.
    pub(super) topic: String,
    /// Fates that need no sending.
    pub(super) fixed: Vec<EventFate>,
    /// From a `contact.*` topic.
    pub(super) changed_contact: Option<Box<ContactChange>>,
    /// The same, as support state sees it: where each of the contacts concerned belongs.
    pub(super) moved: Vec<Person>,
    /// What it says about support.
    pub(super) support: Facts,
    /// How its events are sent; none where it holds nothing that could be sent.
    pub(super) origin: Option<Origin>,
    /// Of an item that we read ourselves: its book and entry.
    pub(super) counted: Option<(String, KeyHash)>,
}

impl MessagePlan {
    /// Whether it says that contacts were merged, and not which one went.
    pub(super) fn is_merge_of_nobody_known(&self) -> bool {
        let named = self.changed_contact.as_ref().is_some_and(|change| change.merged_from.is_some());
        self.topic == "contact.merged" && !named
    }
}

/// A message, read.
pub(super) struct Read<'a> {
    verified: Verified<'a>,
    message: Result<Message<'a>, Unreadable>,
    /// When it was accepted or read, in Unix seconds.
    received_at: i64,
}

enum Message<'a> {
    /// From the webhook.
    Call(Call<'a>),
    /// From Intercom's REST API.
    Item(Box<(Envelope, Result<Item<'a>, Unreadable>)>),
}

/// Reads one message. The bytes were verified when they were accepted, or read by ourselves.
pub(super) fn read_message(claimed: &Claimed) -> Read<'_> {
    let Accepted { scheme, body, received_at } = &claimed.accepted;
    let verified = Verified::from_queue(*scheme, body);
    let message = match scheme {
        SignatureScheme::Hub | SignatureScheme::Body => read(verified).map(Message::Call),
        SignatureScheme::Rest => history::open(body).map(|opened| Message::Item(Box::new(opened))),
    };
    Read { verified, message, received_at: received_at.as_second() }
}

/// What planning needs beside the messages.
pub(super) struct Planning<'p> {
    pub(super) ours: &'p Ours,
    pub(super) rules: &'p Rules,
    pub(super) now: Timestamp,
}

impl Planning<'_> {
    /// Plans every message, in order.
    pub(super) fn plan<'a>(&self, reads: &'a [Read<'a>]) -> (Vec<MessagePlan>, Vec<Work<'a>>) {
        let mut plans = Vec::with_capacity(reads.len());
        let mut works = Vec::with_capacity(reads.len());
        for (message, read) in reads.iter().enumerate() {
            let mut plan = MessagePlan::default();
            match &read.message {
                Err(unreadable) => {
                    plan.topic = "(unreadable)".to_owned();
                    plan.fixed.push(EventFate::Dead(unreadable.to_string()));
                }
                Ok(Message::Call(Call::HealthCheck)) => decided(&mut plan, "health check", Skip::HealthCheck),
                Ok(Message::Call(Call::Uninstall)) => {
                    tracing::error!(
                        "the Intercom app was uninstalled: no notifications will come until it is installed again"
                    );
                    decided(&mut plan, "uninstall", Skip::Uninstall);
                }
                Ok(Message::Call(Call::Notification(notification))) => {
                    let findings = self.notification(&mut plan, notification, read);
                    take(message, Origin::Live, findings, &mut plan, &mut works);
                }
                Ok(Message::Item(opened)) => {
                    let (envelope, item) = opened.as_ref();
                    plan.topic = format!("{} read from Intercom", envelope.stream.as_str());
                    plan.counted = Some((envelope.book.clone(), envelope.entry_hash()));
                    match item {
                        Ok(item) => {
                            let findings = self.item(&mut plan, envelope, item, read.received_at);
                            take(message, envelope.scope.origin(), findings, &mut plan, &mut works);
                        }
                        Err(unreadable) => plan.fixed.push(EventFate::Dead(unreadable.to_string())),
                    }
                }
            }
            plans.push(plan);
        }
        (plans, works)
    }

    fn notification<'a>(
        &self,
        plan: &mut MessagePlan,
        notification: &'a Notification<'a>,
        read: &Read<'_>,
    ) -> Vec<Finding<'a>> {
        let topic = notification.topic.get().unwrap_or_default();
        plan.topic = topic.chars().take(80).collect();
        let Some(app_id) = notification.app_id.get() else { return vec![Finding::Odd("app_id")] };
        if topic != "ping" && self.is_foreign(app_id) {
            return vec![Finding::Skip(Skip::OtherWorkspace)];
        }
        if topic.starts_with("contact.") {
            plan.changed_contact = contact_change(read.verified).map(Box::new);
            plan.moved = plan.changed_contact.as_deref().map(|change| self.moved(change)).unwrap_or_default();
        }
        plan.support = of_notification(self.rules, notification, read.received_at);
        let context = Context { workspace: app_id, rules: self.rules, now: self.now };
        from_notification(&context, notification)
    }

    /// Where the contacts of a change belong now: the one that changed and, after a merge that names it, the one that went.
    fn moved(&self, change: &ContactChange) -> Vec<Person> {
        let ids = [Some(&change.contact.id), change.merged_from.as_ref()];
        ids.into_iter().flatten().map(|id| Person::new(id, &change.contact, self.rules)).collect()
    }

    fn item<'a>(
        &self,
        plan: &mut MessagePlan,
        envelope: &Envelope,
        item: &'a Item<'a>,
        read_at: i64,
    ) -> Vec<Finding<'a>> {
        if self.is_foreign(&envelope.workspace) {
            return vec![Finding::Skip(Skip::OtherWorkspace)];
        }
        plan.support = of_item(self.rules, envelope.stream, item, read_at);
        let context = Context { workspace: &envelope.workspace, rules: self.rules, now: self.now };
        history::findings(&context, envelope.stream, envelope.scope, item)
    }

    fn is_foreign(&self, workspace: &str) -> bool {
        matches!(self.ours, Ours::Known(known) if known.id.as_str() != workspace)
    }
}

fn take<'a>(
    message: usize,
    origin: Origin,
    findings: Vec<Finding<'a>>,
    plan: &mut MessagePlan,
    works: &mut Vec<Work<'a>>,
) {
    plan.origin = Some(origin);
    for finding in findings {
        match finding {
            Finding::Event(activity) => {
                let (state, told) = (State::Open, None);
                works.push(Work { message, origin, activity, state, told });
            }
            Finding::Skip(reason) => plan.fixed.push(EventFate::Skipped(reason)),
            Finding::Odd(missing) => plan.fixed.push(EventFate::Dead(Unreadable::Missing(missing).to_string())),
        }
    }
}

fn decided(plan: &mut MessagePlan, topic: &str, skip: Skip) {
    plan.topic = topic.to_owned();
    plan.fixed.push(EventFate::Skipped(skip));
}
