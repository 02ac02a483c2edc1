//! Which of an item's events history and reconcile send.

use serde::{Deserialize, Serialize};

use super::window::StreamName;
use crate::activity::{Activity, Context, Finding, conversation_from_rest, ticket_from_rest};
use crate::intercom::Item;
use crate::mapping::Origin;
use crate::skip::Skip;

/// Who read the item, and which of its events are whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "by")]
pub enum Scope {
    /// The import: events before the bound (Unix seconds), of the metrics that history is to have.
    History {
        /// Younger ones are live's.
        bound: i64,
    },
    /// The sweep for what the webhook missed: events from the bound on. Estimated times are history's alone.
    Reconcile {
        /// Older ones are history's.
        bound: i64,
    },
}

impl Scope {
    /// How its events are sent: what the import finds can only be sent as history, without setting off a flow.
    pub fn origin(self) -> Origin {
        match self {
            Self::History { .. } => Origin::History,
            Self::Reconcile { .. } => Origin::Live,
        }
    }
}

/// The item's findings, those that are not this reader's turned into skips.
pub fn findings<'a>(context: &Context<'_>, stream: StreamName, scope: Scope, item: &'a Item<'a>) -> Vec<Finding<'a>> {
    let all = match stream {
        StreamName::Conversations => conversation_from_rest(context, item),
        StreamName::Tickets => ticket_from_rest(context, item),
    };
    all.into_iter()
        .map(|finding| match finding {
            Finding::Event(event) => match not_ours(context, scope, &event) {
                Some(skip) => Finding::Skip(skip),
                None => Finding::Event(event),
            },
            other => other,
        })
        .collect()
}

fn not_ours(context: &Context<'_>, scope: Scope, event: &Activity<'_>) -> Option<Skip> {
    let second = event.time.as_second();
    match scope {
        Scope::History { .. } if !context.rules.history_metrics.contains(&event.metric) => {
            Some(Skip::NotInHistory(event.metric))
        }
        Scope::History { bound } if second >= bound => Some(Skip::LeftToLive),
        Scope::Reconcile { bound } if second < bound || event.estimated => Some(Skip::LeftToHistory),
        Scope::History { .. } | Scope::Reconcile { .. } => None,
    }
}
