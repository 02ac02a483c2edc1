//! From claimed bytes to events on their way, and to what is already decided about each message.

use domain::activity::{Context, Finding, from_notification};
use domain::contact::Contact;
use domain::delivery::EventFate;
use domain::intercom::{Call, Unreadable, contact_of, read};
use domain::{Rules, Skip, Verified};
use jiff::Timestamp;

use super::batch::{State, Work};
use super::workspace::Ours;
use crate::ports::Claimed;

/// What is decided about a message before any of its events is looked at.
#[derive(Debug, Default)]
pub(super) struct MessagePlan {
    /// For dead letters and the list of recent events.
    pub(super) topic: String,
    /// Fates that need no sending.
    pub(super) fixed: Vec<EventFate>,
    /// From a `contact.*` topic.
    pub(super) changed_contact: Option<Box<Contact>>,
}

/// A message, read.
pub(super) struct Read<'a> {
    verified: Verified<'a>,
    call: Result<Call<'a>, Unreadable>,
}

/// Reads one message. The bytes were verified when they were accepted.
pub(super) fn read_call(claimed: &Claimed) -> Read<'_> {
    let verified = Verified::from_queue(claimed.accepted.scheme, &claimed.accepted.body);
    Read { verified, call: read(verified) }
}

/// Plans every message, in order.
pub(super) fn plan<'a>(
    calls: &'a [Read<'a>],
    ours: &Ours,
    rules: &Rules,
    now: Timestamp,
) -> (Vec<MessagePlan>, Vec<Work<'a>>) {
    let mut plans = Vec::with_capacity(calls.len());
    let mut works = Vec::with_capacity(calls.len());
    for (message, read) in calls.iter().enumerate() {
        let mut plan = MessagePlan::default();
        match &read.call {
            Err(unreadable) => {
                plan.topic = "(unreadable)".to_owned();
                plan.fixed.push(EventFate::Dead(unreadable.to_string()));
            }
            Ok(Call::HealthCheck) => decided(&mut plan, "health check", Skip::HealthCheck),
            Ok(Call::Uninstall) => {
                tracing::error!(
                    "the Intercom app was uninstalled: no notifications will come until it is installed again"
                );
                decided(&mut plan, "uninstall", Skip::Uninstall);
            }
            Ok(Call::Notification(notification)) => {
                let topic = notification.topic.get().unwrap_or_default();
                plan.topic = topic.chars().take(80).collect();
                let Some(app_id) = notification.app_id.get() else {
                    plan.fixed.push(EventFate::Dead(Unreadable::Missing("app_id").to_string()));
                    plans.push(plan);
                    continue;
                };
                if topic != "ping" && matches!(ours, Ours::Known(known) if known.id.as_str() != app_id) {
                    plan.fixed.push(EventFate::Skipped(Skip::OtherWorkspace));
                    plans.push(plan);
                    continue;
                }
                if topic.starts_with("contact.") {
                    plan.changed_contact = contact_of(read.verified).map(Box::new);
                }
                let context = Context { workspace: app_id, rules, now };
                for finding in from_notification(&context, notification) {
                    match finding {
                        Finding::Event(activity) => works.push(Work { message, activity, state: State::Open }),
                        Finding::Skip(reason) => plan.fixed.push(EventFate::Skipped(reason)),
                        Finding::Odd(missing) => {
                            plan.fixed.push(EventFate::Dead(Unreadable::Missing(missing).to_string()));
                        }
                    }
                }
            }
        }
        plans.push(plan);
    }
    (plans, works)
}

fn decided(plan: &mut MessagePlan, topic: &str, skip: Skip) {
    plan.topic = topic.to_owned();
    plan.fixed.push(EventFate::Skipped(skip));
}
