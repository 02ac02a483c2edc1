//! Forgetting a person.

use domain::Identity;
use domain::contact::Contact;
use domain::forget::Person;
use jiff::SignedDuration;

use super::{Laws, PassTime, Store, accept, books, claim, claim_one, contact, dead, event, key, settle, settle_with};
use crate::ports::{Claim, ClaimOutcome, Claimed, End, Fate, Parking, Progress};

const REASON: &str = "forgotten";

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("parked_messages_of_a_person_are_skipped_and_gone", parked_messages_of_a_person_are_skipped_and_gone)
        .await;
    laws.hold("a_forgotten_letter_is_skipped_and_gone", a_forgotten_letter_is_skipped_and_gone).await;
    laws.hold("lists_and_caches_forget_one_person_only", lists_and_caches_forget_one_person_only).await;
    laws.hold("forgotten_identifiers_send_nothing", forgotten_identifiers_send_nothing).await;
}

fn person(id: &str, email: &str) -> Person {
    let mut person = Person::default();
    person.add_contact(contact(id));
    person.add_email(email);
    person
}

async fn park<S: Store, T: PassTime>(store: &S, time: &T, claimed: &Claimed, id: &str) {
    let parking = Parking {
        contacts: vec![contact(id)],
        next_check: time.now() + SignedDuration::from_secs(1),
        expires: time.now() + SignedDuration::from_hours(720),
        progress: Progress::default(),
    };
    settle(store, claimed, End::Parked(parking)).await;
}

/// Only those of the person; the books follow; a second call finds nothing.
pub async fn parked_messages_of_a_person_are_skipped_and_gone<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b"]).await;
    let claimed = claim(store).await;
    park(store, time, &claimed[0], "c1").await;
    park(store, time, &claimed[1], "c2").await;
    let contacts = [contact("c1"), contact("c9")];
    assert_eq!(store.drop_parked(&contacts, REASON).await.expect("drop_parked answers"), 1);
    assert_eq!(store.drop_parked(&contacts, REASON).await.expect("drop_parked answers"), 0);
    let after = books(store).await;
    assert_eq!((after.parked, after.skipped.get(REASON)), (1, Some(&1)));
    assert_eq!(store.release(&contacts).await.expect("release answers"), 0);
    assert_eq!(store.release(&[contact("c2")]).await.expect("release answers"), 1);
}

/// As a discarded one, under another reason.
pub async fn a_forgotten_letter_is_skipped_and_gone<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    settle(store, &claim_one(store).await, dead("refused")).await;
    let id = store.dead_letters(None, 1).await.expect("dead_letters answer").items[0].id.clone();
    assert!(store.drop_dead_letter(&id, REASON).await.expect("drop_dead_letter answers"));
    assert!(!store.drop_dead_letter(&id, REASON).await.expect("drop_dead_letter answers"));
    assert!(!store.drop_dead_letter("nobody", REASON).await.expect("drop_dead_letter answers"));
    let after = books(store).await;
    assert_eq!((after.dead, after.skipped.get(REASON)), (0, Some(&1)));
    assert_eq!(store.dead_letter_body(&id).await.expect("dead_letter_body answers"), None);
}

/// By id and by address, whatever its case.
pub async fn lists_and_caches_forget_one_person_only<S: Store, T: PassTime>(store: &S, time: &T) {
    let entry = |id: &str, email: &str| {
        let known = Contact { email: Some(email.to_owned()), ..Contact::with_id(contact(id)) };
        (format!("contact/{id}"), serde_json::to_string(&known).expect("JSON"))
    };
    let entries = vec![entry("c1", "Ann@acme.io"), entry("c2", "bo@acme.io"), ("names/7".to_owned(), "x".to_owned())];
    let keys: Vec<String> = entries.iter().map(|(key, _)| key.clone()).collect();
    store.remember(entries, time.now() + SignedDuration::from_hours(1)).await.expect("remember answers");
    accept(store, time, &["a"]).await;
    // The events of this suite are the contact c1's.
    let events = vec![event("e", "Created Ticket", Fate::Skipped("why".to_owned()), time)];
    settle_with(store, &claim_one(store).await, End::Skipped("why".to_owned()), events).await;
    assert_eq!(store.recent_events(10).await.expect("recent_events answer").len(), 1);

    assert_eq!(store.cached_contacts("ann@ACME.io").await.expect("cached_contacts answer"), [contact("c1")]);
    assert!(store.cached_contacts("an@acme.io").await.expect("cached_contacts answer").is_empty());
    let stranger = store.drop_traces(&person("c8", "cy@acme.io")).await.expect("drop_traces answers");
    assert_eq!((stranger.cached_contacts, stranger.recent_events), (0, 0));
    let traces = store.drop_traces(&person("c1", "ann@acme.io")).await.expect("drop_traces answers");
    assert_eq!((traces.cached_contacts, traces.recent_events), (1, 1));
    let cached = store.cached(&keys, time.now()).await.expect("cached answers");
    assert_eq!(cached.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
    assert!(store.recent_events(10).await.expect("recent_events answer").is_empty());
}

/// A claim that may have been sent is not sent again, however its store keeps the identifiers: encrypted under a message that is
/// gone, or taken out of the row.
pub async fn forgotten_identifiers_send_nothing<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b"]).await;
    let claimed = claim(store).await;
    let identity = Identity { email: Some("Ann@acme.io".to_owned()), ..Identity::default() };
    let wish =
        |message: &Claimed| Claim { key: key("e").hash(), message: message.id.clone(), identity: identity.clone() };
    store.claim_events(vec![wish(&claimed[0])]).await.expect("claim_events answers");
    settle(store, &claimed[0], dead("refused")).await;
    let id = store.dead_letters(None, 1).await.expect("dead_letters answer").items[0].id.clone();
    assert!(store.drop_dead_letter(&id, REASON).await.expect("drop_dead_letter answers"));
    store.drop_traces(&person("c1", "ann@acme.io")).await.expect("drop_traces answers");
    let outcomes = store.claim_events(vec![wish(&claimed[1])]).await.expect("claim_events answers");
    assert_eq!(outcomes, [ClaimOutcome::Taken]);
}
