//! From claimed bytes to events on their way, and to what is already decided about each message.

use domain::activity::{Context, Finding, from_notification};
use domain::delivery::EventFate;
use domain::history::{self, Envelope};
use domain::intercom::{Call, ContactChange, Item, Notification, Unreadable, contact_change, read};
use domain::mapping::Origin;
use domain::{KeyHash, Rules, SignatureScheme, Skip, Verified};
use jiff::Timestamp;

use super::batch::{State, Work};
use super::workspace::Ours;
use crate::ports::{Accepted, Claimed};

/// What is decided about a message before any of its events is looked at.
#[derive(Debug, Default)]
pub(super) struct MessagePlan {
    /// For dead letters and the list of recent events.
    pub(super) topic: String,
    /// Fates that need no sending.
    pub(super) fixed: Vec<EventFate>,
    /// From a `contact.*` topic.
    pub(super) changed_contact: Option<Box<ContactChange>>,
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
}

enum Message<'a> {
    /// From the webhook.
    Call(Call<'a>),
    /// From Intercom's REST API.
    Item(Box<(Envelope, Result<Item<'a>, Unreadable>)>),
}

/// Reads one message. The bytes were verified when they were accepted, or read by ourselves.
pub(super) fn read_message(claimed: &Claimed) -> Read<'_> {
    let Accepted { scheme, body, .. } = &claimed.accepted;
    let verified = Verified::from_queue(*scheme, body);
    let message = match scheme {
        SignatureScheme::Hub | SignatureScheme::Body => read(verified).map(Message::Call),
        SignatureScheme::Rest => history::open(body).map(|opened| Message::Item(Box::new(opened))),
    };
    Read { verified, message }
}

/// What planning needs beside the messages.
struct Planning<'p> {
    ours: &'p Ours,
    rules: &'p Rules,
    now: Timestamp,
}

/// Plans every message, in order.
pub(super) fn plan<'a>(
    reads: &'a [Read<'a>],
    ours: &Ours,
    rules: &Rules,
    now: Timestamp,
) -> (Vec<MessagePlan>, Vec<Work<'a>>) {
    let planning = Planning { ours, rules, now };
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
                let findings = planning.notification(&mut plan, notification, read.verified);
                take(message, Origin::Live, findings, &mut plan, &mut works);
            }
            Ok(Message::Item(opened)) => {
                let (envelope, item) = opened.as_ref();
                plan.topic = format!("{} read from Intercom", envelope.stream.as_str());
                plan.counted = Some((envelope.book.clone(), envelope.entry_hash()));
                match item {
                    Ok(item) => {
                        let findings = planning.item(envelope, item);
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

impl Planning<'_> {
    fn notification<'a>(
        &self,
        plan: &mut MessagePlan,
        notification: &'a Notification<'a>,
        verified: Verified<'_>,
    ) -> Vec<Finding<'a>> {
        let topic = notification.topic.get().unwrap_or_default();
        plan.topic = topic.chars().take(80).collect();
        let Some(app_id) = notification.app_id.get() else { return vec![Finding::Odd("app_id")] };
        if topic != "ping" && self.is_foreign(app_id) {
            return vec![Finding::Skip(Skip::OtherWorkspace)];
        }
        if topic.starts_with("contact.") {
            plan.changed_contact = contact_change(verified).map(Box::new);
        }
        let context = Context { workspace: app_id, rules: self.rules, now: self.now };
        from_notification(&context, notification)
    }

    fn item<'a>(&self, envelope: &Envelope, item: &'a Item<'a>) -> Vec<Finding<'a>> {
        if self.is_foreign(&envelope.workspace) {
            return vec![Finding::Skip(Skip::OtherWorkspace)];
        }
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
    for finding in findings {
        match finding {
            Finding::Event(activity) => works.push(Work { message, origin, activity, state: State::Open }),
            Finding::Skip(reason) => plan.fixed.push(EventFate::Skipped(reason)),
            Finding::Odd(missing) => plan.fixed.push(EventFate::Dead(Unreadable::Missing(missing).to_string())),
        }
    }
}

fn decided(plan: &mut MessagePlan, topic: &str, skip: Skip) {
    plan.topic = topic.to_owned();
    plan.fixed.push(EventFate::Skipped(skip));
}
