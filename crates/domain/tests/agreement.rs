//! Live, history and reconcile say the same of one event, in every API version: same key, same time, same person.

use std::collections::BTreeSet;

use domain::activity::Finding;
use domain::mapping::Origin;
use domain::metric::Metric;
use proptest::prelude::*;

use crate::model::{VERSIONS, conversations, tickets};
use crate::support::{event, every_metric, line, request, with_findings};

fn found(input: &[u8], wanted: &[Metric]) -> Vec<String> {
    with_findings(input, &every_metric(), |findings, _| {
        let wanted =
            |finding: &&Finding<'_>| matches!(finding, Finding::Event(activity) if wanted.contains(&activity.metric));
        findings.iter().filter(wanted).map(line).collect()
    })
    .expect("it reads")
}

/// All events of several calls, each once, as the ledger would have it.
fn all(calls: &[Vec<u8>], wanted: &[Metric]) -> BTreeSet<String> {
    calls.iter().flat_map(|call| found(call, wanted)).collect()
}

/// The whole requests, origin aside: keys, times, properties, profile.
fn requests(input: &[u8]) -> Vec<String> {
    with_findings(input, &every_metric(), |findings, _| {
        findings
            .iter()
            .map(|finding| match finding {
                Finding::Event(activity) => request(&event(activity, &every_metric(), Origin::Live)).to_string(),
                other => line(other),
            })
            .collect()
    })
    .expect("it reads")
}

fn keys_are_distinct(events: &BTreeSet<String>) -> bool {
    let keys: BTreeSet<&str> = events.iter().filter_map(|event| event.split(", ").nth(1)).collect();
    keys.len() == events.len()
}

const CONVERSATIONS: [Metric; 2] = [Metric::CreatedConversation, Metric::RatedConversation];

/// What ticket search shows: with it the replies, also those from when it was a conversation.
const TICKETS: [Metric; 6] = [
    Metric::CreatedTicket,
    Metric::SubmittedTicket,
    Metric::MarkedTicketOnHold,
    Metric::ResolvedTicket,
    Metric::RepliedToTicket,
    Metric::RepliedToConversation,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn search_agrees_with_what_was_told_live_of_a_conversation(conversation in conversations()) {
        let rest = all(&[conversation.rest(216)], &CONVERSATIONS);
        for version in VERSIONS {
            let live = all(&conversation.live(version), &CONVERSATIONS);
            prop_assert!(keys_are_distinct(&live));
            prop_assert_eq!(&live, &rest, "{}", version);
        }
    }

    #[test]
    fn search_agrees_with_what_was_told_live_of_a_ticket(ticket in tickets()) {
        let rest = all(&[ticket.rest(216)], &TICKETS);
        for version in VERSIONS {
            let live = all(&ticket.live(version), &TICKETS);
            prop_assert!(keys_are_distinct(&live), "{live:?}");
            prop_assert_eq!(&live, &rest, "{}", version);
        }
    }

    /// Intercom tries twice only. What lost notifications should have said, the last one of the day says.
    #[test]
    fn the_last_notification_of_a_day_repairs_all_lost_ones(ticket in tickets()) {
        const STATES: [Metric; 3] = [Metric::SubmittedTicket, Metric::MarkedTicketOnHold, Metric::ResolvedTicket];
        let calls = ticket.live(216);
        if ticket.lasted_less_than_a_day() {
            prop_assert_eq!(all(&calls[calls.len() - 1..], &STATES), all(&calls, &STATES));
        }
    }

    #[test]
    fn every_version_gives_the_same_requests(conversation in conversations(), ticket in tickets()) {
        let (calls, told) = (conversation.live(216), ticket.live(216));
        for version in VERSIONS {
            for (call, reference) in conversation.live(version).iter().zip(&calls) {
                prop_assert_eq!(requests(call), requests(reference), "{}", version);
            }
            for (call, reference) in ticket.live(version).iter().zip(&told) {
                prop_assert_eq!(requests(call), requests(reference), "{}", version);
            }
            prop_assert_eq!(requests(&ticket.rest(version)), requests(&ticket.rest(216)), "{}", version);
        }
    }
}
