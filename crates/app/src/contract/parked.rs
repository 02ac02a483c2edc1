//! Messages that wait for a contact.

use std::time::Duration;

use domain::MessageId;
use jiff::SignedDuration;

use super::{Laws, PassTime, Store, accept, books, claim, claim_one, contact, names, settle};
use crate::ports::{Claimed, End, Parking, Progress};

pub(super) async fn run_all<S: Store, T: PassTime>(laws: &Laws<impl AsyncFn() -> (S, T)>) {
    laws.hold("any_of_its_contacts_releases_a_message", any_of_its_contacts_releases_a_message).await;
    laws.hold("a_released_message_keeps_what_was_tried", a_released_message_keeps_what_was_tried).await;
    laws.hold("a_released_message_can_be_parked_again", a_released_message_can_be_parked_again).await;
    laws.hold("due_messages_are_listed_by_their_check", due_messages_are_listed_by_their_check).await;
    laws.hold("expired_messages_are_skipped_or_delivered", expired_messages_are_skipped_or_delivered).await;
}

async fn park<S: Store, T: PassTime>(store: &S, time: &T, claimed: &Claimed, contacts: &[&str], progress: Progress) {
    let parking = Parking {
        contacts: contacts.iter().map(|id| contact(id)).collect(),
        next_check: time.now() + SignedDuration::from_secs(1),
        expires: time.now() + SignedDuration::from_hours(720),
        progress,
    };
    settle(store, claimed, End::Parked(parking)).await;
}

/// Visible at once, each message once however many of its contacts became known.
pub async fn any_of_its_contacts_releases_a_message<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b", "c"]).await;
    let claimed = claim(store).await;
    park(store, time, &claimed[0], &["c1", "c2"], Progress::default()).await;
    park(store, time, &claimed[1], &["c2", "c2", "c3"], Progress::default()).await;
    park(store, time, &claimed[2], &["c4"], Progress::default()).await;
    assert_eq!(books(store).await.parked, 3);
    let release = async |ids: &[&str]| {
        let contacts: Vec<_> = ids.iter().map(|id| contact(id)).collect();
        store.release(&contacts).await.expect("release answers")
    };
    assert_eq!(release(&["c9"]).await, 0);
    assert_eq!(release(&[]).await, 0);
    assert_eq!(release(&["c1", "c2", "c3"]).await, 2);
    let after = books(store).await;
    assert_eq!((after.parked, after.in_flight), (1, 2));
    let mut served = names(&claim(store).await);
    served.sort();
    assert_eq!(served, ["a", "b"]);
    assert_eq!(release(&["c1", "c2", "c3"]).await, 0, "they do not wait any more");
}

/// Its id stays, its tries stay, only the contact is asked for afresh.
pub async fn a_released_message_keeps_what_was_tried<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let claimed = claim_one(store).await;
    let progress = Progress { attempts: 2, contact_tries: 5, sent: true };
    park(store, time, &claimed, &["c1"], progress).await;
    assert!(claim(store).await.is_empty());
    store.release(&[contact("c1")]).await.expect("release answers");
    let again = claim_one(store).await;
    assert_eq!((again.id, again.accepted), (claimed.id, claimed.accepted));
    assert_eq!(again.progress, Progress { contact_tries: 0, ..progress });
}

/// With other contacts: the old ones have no hold on it any more.
pub async fn a_released_message_can_be_parked_again<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a"]).await;
    let claimed = claim_one(store).await;
    park(store, time, &claimed, &["c1", "c2"], Progress::default()).await;
    store.release(&[contact("c1")]).await.expect("release answers");
    let again = claim_one(store).await;
    park(store, time, &again, &["c3"], Progress::default()).await;
    assert_eq!(store.release(&[contact("c2")]).await.expect("release answers"), 0);
    assert_eq!(store.release(&[contact("c3")]).await.expect("release answers"), 1);
}

/// Oldest check first, so that a sweep that stops early goes on where it matters.
pub async fn due_messages_are_listed_by_their_check<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b", "c"]).await;
    let claimed = claim(store).await;
    let parked_at = time.now();
    for message in &claimed {
        park(store, time, message, &["c2", "c1"], Progress::default()).await;
    }
    let due = async |limit| store.due(time.now(), limit).await.expect("due answers");
    assert!(due(10).await.is_empty(), "not yet");
    store.recheck_at(&claimed[2].id, time.now()).await.expect("recheck_at answers");
    store.recheck_at(&claimed[0].id, time.now() + SignedDuration::from_hours(1)).await.expect("recheck_at answers");
    store.recheck_at(&MessageId::new("999999999"), time.now()).await.expect("an unknown id is no error");
    time.pass(Duration::from_secs(1)).await;
    let found = due(10).await;
    let ids: Vec<_> = found.iter().map(|message| &message.id).collect();
    assert_eq!(ids, [&claimed[2].id, &claimed[1].id]);
    assert_eq!((&found[0].contacts, found[0].parked_at), (&vec![contact("c1"), contact("c2")], parked_at));
    assert_eq!(due(1).await, found[..1]);
    assert_eq!(books(store).await.parked, 3, "looking changes nothing");
}

/// Given up for the reason, unless one of its events was sent.
pub async fn expired_messages_are_skipped_or_delivered<S: Store, T: PassTime>(store: &S, time: &T) {
    accept(store, time, &["a", "b", "c"]).await;
    let claimed = claim(store).await;
    let sent = Progress { sent: true, ..Progress::default() };
    for (message, (seconds, progress)) in
        claimed.iter().zip([(1, Progress::default()), (2, sent), (3600, Progress::default())])
    {
        let expires = time.now() + SignedDuration::from_secs(seconds);
        let parking = Parking { contacts: vec![contact("c1")], next_check: time.now(), expires, progress };
        settle(store, message, End::Parked(parking)).await;
    }
    let expire = async || store.expire(time.now(), "contact never became known").await.expect("expire answers");
    assert_eq!(expire().await, 0);
    time.pass(Duration::from_secs(2)).await;
    assert_eq!(expire().await, 2);
    let after = books(store).await;
    assert_eq!((after.delivered, after.parked, after.in_flight), (1, 1, 0));
    assert_eq!(after.skipped.get("contact never became known"), Some(&1));
    assert_eq!(expire().await, 0);
    assert_eq!(store.release(&[contact("c1")]).await.expect("release answers"), 1, "the third one still waits");
}
