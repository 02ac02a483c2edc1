//! What a human does with refused messages.

use std::time::Duration;

use super::{Laws, PassTime, Store, accept, books, claim, claim_one, dead, event, settle, settle_with};
use crate::ports::{DeadLetterPage, End, Fate, Progress};

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("a_dead_letter_shows_why_and_keeps_its_bytes", a_dead_letter_shows_why_and_keeps_its_bytes).await;
    laws.hold("dead_letters_are_paged_newest_first", dead_letters_are_paged_newest_first).await;
    laws.hold("pages_stay_right_while_letters_come_and_go", pages_stay_right_while_letters_come_and_go).await;
    laws.hold("a_replayed_letter_starts_afresh", a_replayed_letter_starts_afresh).await;
    laws.hold(
        "a_replayed_letter_remembers_that_something_was_sent",
        a_replayed_letter_remembers_that_something_was_sent,
    )
    .await;
    laws.hold("a_discarded_letter_is_skipped_and_gone", a_discarded_letter_is_skipped_and_gone).await;
}

async fn page<S: Store>(store: &S, after: Option<&str>, limit: usize) -> DeadLetterPage {
    store.dead_letters(after, limit).await.expect("dead_letters answer")
}

/// Makes one dead letter per name, a second apart.
async fn bury<S: Store, T: PassTime>(store: &S, time: &T, names: &[&str]) {
    for name in names {
        accept(store, time, &[name]).await;
        settle(store, &claim_one(store).await, dead(name)).await;
    }
}

fn reasons(page: &DeadLetterPage) -> Vec<&str> {
    page.items.iter().map(|letter| letter.reason.as_str()).collect()
}

/// Everything a human needs, and the notification as it was accepted.
pub async fn a_dead_letter_shows_why_and_keeps_its_bytes<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let claimed = claim_one(store).await;
    let at = time.now();
    settle(store, &claimed, dead("the e-mail address was refused")).await;
    let page = page(store, None, 10).await;
    let letter = &page.items[0];
    assert_eq!((letter.at, letter.reason.as_str()), (at, "the e-mail address was refused"));
    assert_eq!(letter.topic, "conversation.user.created");
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    assert!(!letter.id.is_empty() && letter.id.chars().all(allowed), "{}", letter.id);
    let body = store.dead_letter_body(&letter.id).await.expect("dead_letter_body answers");
    assert_eq!(body, Some(claimed.accepted));
    assert_eq!(store.dead_letter_body("nobody").await.expect("dead_letter_body answers"), None);
}

/// The cursor leads through all of them, each once; the last page has none.
pub async fn dead_letters_are_paged_newest_first<S: Store, T: PassTime>(store: &S, time: &T) {
    assert_eq!(page(store, None, 10).await, DeadLetterPage::default());
    bury(store, time, &["a", "b", "c", "d"]).await;
    let first = page(store, None, 2).await;
    assert_eq!(reasons(&first), ["d", "c"]);
    let second = page(store, first.next.as_deref(), 2).await;
    assert_eq!((reasons(&second), &second.next), (vec!["b", "a"], &None));
}

/// A letter that goes does not make the next page skip one, a letter that comes does not make it repeat one.
pub async fn pages_stay_right_while_letters_come_and_go<S: Store, T: PassTime>(store: &S, time: &T) {
    bury(store, time, &["a", "b", "c"]).await;
    let first = page(store, None, 2).await;
    assert!(store.discard(&first.items[1].id).await.expect("discard answers"));
    bury(store, time, &["d"]).await;
    let second = page(store, first.next.as_deref(), 2).await;
    assert_eq!(reasons(&second), ["a"]);
}

/// Back on the live queue at once, with all tries ahead; once.
pub async fn a_replayed_letter_starts_afresh<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let claimed = claim_one(store).await;
    let until = time.now();
    let tried = Progress { attempts: 7, contact_tries: 4, sent: false };
    settle(store, &claimed, End::Deferred { until, progress: tried }).await;
    settle(store, &claim_one(store).await, dead("refused")).await;
    let id = page(store, None, 1).await.items[0].id.clone();
    assert!(store.replay(&id).await.expect("replay answers"));
    let after = books(store).await;
    assert_eq!((after.dead, after.in_flight), (0, 1));
    assert!(!store.replay(&id).await.expect("replay answers"), "it is no dead letter any more");
    let again = claim_one(store).await;
    assert_eq!((&again.id, &again.accepted), (&claimed.id, &claimed.accepted));
    assert_eq!(again.progress, Progress::default());
    settle(store, &again, dead("refused again")).await;
    assert_eq!(reasons(&page(store, None, 10).await), ["refused again"]);
    assert!(!store.replay("nobody").await.expect("replay answers"));
}

/// Whether it was sent before or by the very settlement that buried it: one event of several may have been refused.
pub async fn a_replayed_letter_remembers_that_something_was_sent<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b"]).await;
    let claimed = claim(store).await;
    let until = time.now();
    let sent_before = Progress { sent: true, ..Progress::default() };
    settle(store, &claimed[0], End::Deferred { until, progress: sent_before }).await;
    settle(store, &claim_one(store).await, dead("refused")).await;
    let sent = event("ticket-created:1", "Created Ticket", Fate::Sent, time);
    settle_with(store, &claimed[1], dead("refused"), vec![sent]).await;
    for letter in page(store, None, 10).await.items {
        assert!(store.replay(&letter.id).await.expect("replay answers"));
    }
    time.pass(Duration::from_secs(1)).await;
    let again = claim(store).await;
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|message| message.progress.sent));
}

/// Counted as skipped; its bytes are dropped.
pub async fn a_discarded_letter_is_skipped_and_gone<S: Store, T: PassTime>(store: &S, time: &T) {
    bury(store, time, &["a"]).await;
    let id = page(store, None, 1).await.items[0].id.clone();
    assert!(store.discard(&id).await.expect("discard answers"));
    let after = books(store).await;
    assert_eq!((after.dead, after.skipped.get("discarded")), (0, Some(&1)));
    assert_eq!(store.dead_letter_body(&id).await.expect("dead_letter_body answers"), None);
    assert!(!store.discard(&id).await.expect("discard answers"));
    assert!(!store.replay(&id).await.expect("replay answers"));
    assert!(page(store, None, 10).await.items.is_empty());
    assert!(!store.discard("nobody").await.expect("discard answers"));
    assert_eq!(books(store).await.skipped.get("discarded"), Some(&1));
}
