//! Law 2: one event, one send.

use domain::{Identity, MessageId};

use super::{Laws, PassTime, Store, accept, claim, event, key, settle, settle_with};
use crate::ports::{Claim, ClaimOutcome, Claimed, End, Fate, Progress};

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("the_first_message_gets_the_event", the_first_message_gets_the_event).await;
    laws.hold("a_claim_is_resumed_with_the_first_identifiers", a_claim_is_resumed_with_the_first_identifiers).await;
    laws.hold("a_sent_event_is_never_sent_again", a_sent_event_is_never_sent_again).await;
    laws.hold("of_two_claims_in_one_call_the_first_wins", of_two_claims_in_one_call_the_first_wins).await;
    laws.hold(
        "a_claim_that_loses_does_not_stand_in_the_owners_way",
        a_claim_that_loses_does_not_stand_in_the_owners_way,
    )
    .await;
    laws.hold("a_claim_outlives_deferral", a_claim_outlives_deferral).await;
    laws.hold("known_events_are_those_of_the_ledger", known_events_are_those_of_the_ledger).await;
}

fn person(email: &str) -> Identity {
    Identity { email: Some(email.to_owned()), phone: Some("+4930123456".to_owned()), external_id: None }
}

fn wish(name: &str, message: &MessageId, email: &str) -> Claim {
    Claim { key: key(name).hash(), message: message.clone(), identity: person(email) }
}

async fn ask<S: Store>(store: &S, claims: Vec<Claim>) -> Vec<ClaimOutcome> {
    store.claim_events(claims).await.expect("claim_events answer")
}

async fn two_messages<S: Store, T: PassTime>(store: &S, time: &T) -> (Claimed, Claimed) {
    accept(store, time, &["a", "b"]).await;
    let mut claimed = claim(store).await.into_iter();
    (claimed.next().expect("the first"), claimed.next().expect("the second"))
}

/// One outcome per claim, in order.
pub async fn the_first_message_gets_the_event<S: Store, T: PassTime>(store: &S, time: &T) {
    let (a, b) = two_messages(store, time).await;
    assert_eq!(ask(store, Vec::new()).await, []);
    assert_eq!(ask(store, vec![wish("e1", &a.id, "jane@example.com")]).await, [ClaimOutcome::Fresh]);
    let outcomes = ask(store, vec![wish("e1", &b.id, "jane@example.com"), wish("e2", &b.id, "jane@example.com")]).await;
    assert_eq!(outcomes, [ClaimOutcome::Taken, ClaimOutcome::Fresh]);
}

/// Klaviyo dedupes per profile: after a crash between send and record, the repetition must go to the same one.
pub async fn a_claim_is_resumed_with_the_first_identifiers<S: Store, T: PassTime>(store: &S, time: &T) {
    let (a, _) = two_messages(store, time).await;
    ask(store, vec![wish("e1", &a.id, "old@example.com")]).await;
    for _ in 0..2 {
        let outcomes = ask(store, vec![wish("e1", &a.id, "new@example.com")]).await;
        assert_eq!(outcomes, [ClaimOutcome::Resumed(person("old@example.com"))]);
    }
}

/// By its own message it is known as sent, by others as taken.
pub async fn a_sent_event_is_never_sent_again<S: Store, T: PassTime>(store: &S, time: &T) {
    let (a, b) = two_messages(store, time).await;
    ask(store, vec![wish("e1", &a.id, "jane@example.com")]).await;
    settle_with(store, &a, End::Delivered, vec![event("e1", "Created Ticket", Fate::Sent, time)]).await;
    assert_eq!(ask(store, vec![wish("e1", &a.id, "jane@example.com")]).await, [ClaimOutcome::SentByThis]);
    assert_eq!(ask(store, vec![wish("e1", &b.id, "other@example.com")]).await, [ClaimOutcome::Taken]);
}

/// Claimed or sent, whoever's: the reader of history need not queue it.
pub async fn known_events_are_those_of_the_ledger<S: Store, T: PassTime>(store: &S, time: &T) {
    let (a, _) = two_messages(store, time).await;
    ask(store, vec![wish("e1", &a.id, "jane@example.com"), wish("e2", &a.id, "jane@example.com")]).await;
    settle_with(store, &a, End::Delivered, vec![event("e1", "Created Ticket", Fate::Sent, time)]).await;
    let keys: Vec<_> = ["e0", "e1", "e2", "e1"].into_iter().map(|name| key(name).hash()).collect();
    let known = store.known_events(&keys).await.expect("known_events answers");
    assert_eq!(known, [false, true, true, true]);
    assert!(store.known_events(&[]).await.expect("known_events answers").is_empty());
}

/// A bulk request must not hold one key twice, not even for one message.
pub async fn of_two_claims_in_one_call_the_first_wins<S: Store, T: PassTime>(store: &S, time: &T) {
    let (a, b) = two_messages(store, time).await;
    let claims = vec![
        wish("e1", &b.id, "jane@example.com"),
        wish("e1", &a.id, "jane@example.com"),
        wish("e2", &a.id, "jane@example.com"),
        wish("e2", &a.id, "jane@example.com"),
    ];
    let expected = [ClaimOutcome::Fresh, ClaimOutcome::Taken, ClaimOutcome::Fresh, ClaimOutcome::Taken];
    assert_eq!(ask(store, claims).await, expected);
    let resumed = ask(store, vec![wish("e2", &a.id, "x@example.com"), wish("e2", &a.id, "x@example.com")]).await;
    assert_eq!(resumed, [ClaimOutcome::Resumed(person("jane@example.com")), ClaimOutcome::Taken]);
}

/// "The first wins" is about claims that win: otherwise nobody would send the event in this round.
pub async fn a_claim_that_loses_does_not_stand_in_the_owners_way<S: Store, T: PassTime>(store: &S, time: &T) {
    let (a, b) = two_messages(store, time).await;
    ask(store, vec![wish("e1", &a.id, "jane@example.com")]).await;
    let outcomes = ask(store, vec![wish("e1", &b.id, "x@example.com"), wish("e1", &a.id, "x@example.com")]).await;
    assert_eq!(outcomes, [ClaimOutcome::Taken, ClaimOutcome::Resumed(person("jane@example.com"))]);
}

/// A message that waits keeps what it has claimed.
pub async fn a_claim_outlives_deferral<S: Store, T: PassTime>(store: &S, time: &T) {
    let (a, b) = two_messages(store, time).await;
    ask(store, vec![wish("e1", &a.id, "jane@example.com")]).await;
    settle(store, &a, End::Deferred { until: time.now(), progress: Progress::default() }).await;
    assert_eq!(ask(store, vec![wish("e1", &b.id, "x@example.com")]).await, [ClaimOutcome::Taken]);
    let outcomes = ask(store, vec![wish("e1", &a.id, "x@example.com")]).await;
    assert_eq!(outcomes, [ClaimOutcome::Resumed(person("jane@example.com"))]);
}
