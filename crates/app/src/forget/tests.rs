use std::sync::{Arc, Mutex};

use bytes::Bytes;
use domain::SignatureScheme;
use domain::recipes::AssetKind;
use futures_util::FutureExt as _;
use serde_json::Value;

use super::*;
use crate::contract::START;
use crate::fakes::{FakeIntercom, ManualClock, MemoryStore};
use crate::ports::{
    Accepted, Account, AccountMetric, End, Inbox as _, Lane, Overview as _, Parking, Progress, Settlement, Vendor,
    WorkQueue as _,
};

/// Takes deletions, or forbids them.
#[derive(Default)]
struct Deleting {
    forbidden: bool,
    asked: Mutex<Vec<String>>,
}

impl KlaviyoAccount for &Deleting {
    async fn account(&self) -> Result<Account, CallError> {
        Err(forbidden("accounts"))
    }

    async fn metrics(&self) -> Result<Vec<AccountMetric>, CallError> {
        Err(forbidden("metrics"))
    }

    async fn find_asset(&self, _: AssetKind, _: &str) -> Result<Option<String>, CallError> {
        Err(forbidden("assets"))
    }

    async fn create_asset(&self, _: AssetKind, _: &Value) -> Result<String, CallError> {
        Err(forbidden("assets"))
    }

    async fn request_deletion(&self, person: &Deletable) -> Result<(), CallError> {
        if self.forbidden {
            return Err(forbidden("deletions (scope data-privacy:write)"));
        }
        let (Deletable::Email(text) | Deletable::Phone(text)) = person;
        self.asked.lock().expect("sound").push(text.clone());
        Ok(())
    }
}

fn forbidden(what: &str) -> CallError {
    CallError::Forbidden { vendor: Vendor::Klaviyo, what: what.to_owned() }
}

fn now<R>(future: impl Future<Output = R>) -> R {
    // The fakes give way now and then, so that simulations can cut in.
    let mut future = Box::pin(future);
    for _ in 0..1_000 {
        if let Some(done) = future.as_mut().now_or_never() {
            return done;
        }
    }
    panic!("nothing here waits for long");
}

fn ann() -> Contact {
    Contact { email: Some("Ann@acme.io".to_owned()), ..Contact::with_id(ContactId::new("c1")) }
}

/// One dead letter and one parked message about c1, and the same about c2.
async fn filled(clock: &ManualClock) -> MemoryStore {
    let store = MemoryStore::new(clock.clone());
    for body in [
        r#"{"author":{"id":"c1"}}"#,
        r#"{"author":{"id":"c2"}}"#,
        r#"{"source":{"author":{"email":"ann@acme.io"}}}"#,
        "parked c1",
        "parked c2",
    ] {
        let accepted =
            Accepted { scheme: SignatureScheme::Hub, received_at: START, body: Bytes::from_static(body.as_bytes()) };
        store.accept(accepted).await.expect("accepted");
    }
    let claimed = store.claim(Lane::Live, 10, usize::MAX, std::time::Duration::from_secs(60)).await.expect("claimed");
    let settlements = claimed.into_iter().map(|message| {
        let body = String::from_utf8_lossy(&message.accepted.body).into_owned();
        let end = match body.strip_prefix("parked ") {
            Some(id) => End::Parked(Parking {
                contacts: vec![ContactId::new(id)],
                next_check: START,
                expires: START,
                progress: Progress::default(),
            }),
            None => End::Dead { reason: "refused".to_owned(), topic: "ticket.created".to_owned() },
        };
        let (keys, events) = (Vec::new(), Vec::new());
        Settlement { id: message.id, receipt: message.receipt, end, events, keys, item: None, profiles: 0 }
    });
    store.settle(settlements.collect()).await.expect("settled");
    store
}

fn by_email(klaviyo: bool) -> ForgetWish {
    ForgetWish { who: Who::Email(" ann@ACME.io ".to_owned()), klaviyo }
}

#[test]
fn everything_of_one_person_goes_and_nothing_of_another() {
    now(async {
        let clock = ManualClock::at(START);
        let store = filled(&clock).await;
        let intercom = FakeIntercom::new("workspace");
        intercom.put(ann());
        let klaviyo = Deleting::default();
        let forgetter = Forgetter::new(store.clone(), intercom, &klaviyo, Arc::default());
        let report = forgetter.forget(&by_email(true)).await.expect("forgotten");
        assert_eq!((report.parked, report.dead_letters, report.klaviyo_deletions), (1, 2, 1));
        assert_eq!(report.contacts, ["c1"]);
        assert_eq!(report.notes.len(), 1, "the contact still exists: {:?}", report.notes);
        assert_eq!(*klaviyo.asked.lock().expect("sound"), ["ann@ACME.io"], "one address is asked for once");
        let books = store.books().await.expect("books");
        assert_eq!((books.parked, books.dead, books.skipped.get(FORGOTTEN)), (1, 1, Some(&3)));
        let again = forgetter.forget(&by_email(false)).await.expect("forgotten");
        assert_eq!((again.parked, again.dead_letters), (0, 0));
    });
}

#[test]
fn a_contact_that_is_gone_at_intercom_is_forgotten_by_its_id() {
    now(async {
        let store = filled(&ManualClock::at(START)).await;
        let klaviyo = Deleting::default();
        let forgetter = Forgetter::new(store, FakeIntercom::new("workspace"), &klaviyo, Arc::default());
        let who = Who::Contact(ContactId::new("c1"));
        let refused = forgetter.forget(&ForgetWish { who: who.clone(), klaviyo: true }).await.expect_err("no address");
        assert!(matches!(refused, ForgetError::NoIdentifier), "{refused}");
        let report = forgetter.forget(&ForgetWish { who, klaviyo: false }).await.expect("forgotten");
        assert_eq!((report.parked, report.dead_letters, report.notes.len()), (1, 1, 0));
    });
}

#[test]
fn a_refusal_of_klaviyo_comes_before_anything_is_removed() {
    now(async {
        let store = filled(&ManualClock::at(START)).await;
        let klaviyo = Deleting { forbidden: true, ..Deleting::default() };
        let forgetter = Forgetter::new(store.clone(), FakeIntercom::new("workspace"), &klaviyo, Arc::default());
        let error = forgetter.forget(&by_email(true)).await.expect_err("forbidden").to_string();
        assert!(error.contains("data-privacy:write") && !error.contains("acme"), "{error}");
        assert_eq!(store.books().await.expect("books").dead, 3);
    });
}
