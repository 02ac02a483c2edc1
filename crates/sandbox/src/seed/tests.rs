use std::collections::HashSet;

use super::*;
use crate::{
    clock::SandboxClock,
    scenario::{HistoryOptions, METRICS, expected_history},
};

fn workspace() -> IntercomSandbox {
    IntercomSandbox::new("sandbox1", "secret", "token", SandboxClock::manual(1_790_000_000))
}

#[tokio::test]
async fn the_same_seed_gives_the_same_past() {
    let spec = SeedSpec { conversations: 300, tickets: 450, ..SeedSpec::default() };
    let (a, b) = (workspace(), workspace());
    a.seed_history(&spec);
    b.seed_history(&spec);
    let everything = HistoryOptions::everything();
    let expected = expected_history(&a, &everything);
    assert_eq!(expected, expected_history(&b, &everything));
    b.seed_history(&SeedSpec { seed: 2, ..spec.clone() });
    assert_ne!(expected, expected_history(&b, &everything));

    let metrics: HashSet<&str> = expected.iter().map(|event| event.metric.as_str()).collect();
    // Everything but Read Conversation, which leaves no trace.
    assert_eq!(metrics.len(), METRICS.len() - 1);
    assert!(expected.iter().all(|event| (spec.from..=spec.to).contains(&event.time)));
    let keys: HashSet<&str> = expected.iter().map(|event| event.key.as_str()).collect();
    assert_eq!(keys.len(), expected.len());
    assert!(expected.iter().any(|event| event.key.ends_with(":estimated")));
    assert!(expected.iter().any(|event| event.email.is_none()));
}

#[tokio::test]
async fn without_oddities_every_conversation_counts() {
    let intercom = workspace();
    intercom.seed_history(&SeedSpec { conversations: 50, tickets: 20, oddities: false, ..SeedSpec::default() });
    let expected = expected_history(&intercom, &HistoryOptions::default());
    let count = |metric: &str| expected.iter().filter(|event| event.metric == metric).count();
    assert_eq!(count("Created Conversation"), 50);
    assert_eq!(count("Created Ticket"), 20);
    assert_eq!(count("Submitted Ticket"), 20);
}

#[tokio::test]
async fn parts_of_a_thread_are_in_order_of_time() {
    let intercom = workspace();
    intercom.seed_history(&SeedSpec { conversations: 400, tickets: 400, ..SeedSpec::default() });
    let model = intercom.model();
    for thread in &model.threads {
        assert!(thread.parts.is_sorted_by_key(|part| part.at), "thread {}", thread.id);
        assert!(thread.parts.iter().all(|part| part.at >= thread.created_at));
    }
}
