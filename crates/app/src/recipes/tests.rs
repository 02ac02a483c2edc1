use std::sync::Mutex;

use futures_util::FutureExt as _;

use super::*;
use crate::ports::{Account, Deletable, Vendor};

/// An account that remembers what was made, and misbehaves on demand.
#[derive(Default)]
struct Shop {
    metrics: Vec<(&'static str, &'static str)>,
    made: Mutex<Vec<(AssetKind, String, Value)>>,
    /// What may not be done.
    forbidden: Option<&'static str>,
    /// Makes what is asked for and loses the answer, so many times.
    lost_answers: Mutex<u32>,
    /// Fails without making anything, so many times, after having made this many.
    dies_after: Option<usize>,
}

impl Shop {
    fn with_ratings() -> Self {
        Self {
            metrics: vec![
                ("Intercom Rated Conversation", "Intercom"),
                ("Intercom Rated Conversation", "API"),
                ("Intercom Submitted Ticket", "API"),
            ],
            ..Self::default()
        }
    }

    fn check(&self, what: &str) -> Result<(), CallError> {
        match self.forbidden {
            Some(forbidden) if what.contains(forbidden) => {
                Err(CallError::Forbidden { vendor: Vendor::Klaviyo, what: what.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn names(&self) -> Vec<(AssetKind, String)> {
        self.made.lock().expect("sound").iter().map(|(kind, name, _)| (*kind, name.clone())).collect()
    }
}

fn broken() -> CallError {
    let until = jiff::Timestamp::UNIX_EPOCH;
    CallError::Unavailable { vendor: Vendor::Klaviyo, reason: "no answer in time".to_owned(), counts: true, until }
}

impl KlaviyoAccount for &Shop {
    async fn account(&self) -> Result<Account, CallError> {
        self.check("accounts:read")?;
        let sender = Some(("care@shop.example".to_owned(), "Shop".to_owned()));
        Ok(Account { id: "A".to_owned(), name: None, test: false, sender })
    }

    async fn metrics(&self) -> Result<Vec<AccountMetric>, CallError> {
        self.check("metrics:read")?;
        let metric = |(index, (name, integration)): (usize, &(&str, &str))| AccountMetric {
            id: format!("M{index}"),
            name: (*name).to_owned(),
            integration: Some((*integration).to_owned()),
        };
        Ok(self.metrics.iter().enumerate().map(metric).collect())
    }

    async fn find_asset(&self, kind: AssetKind, name: &str) -> Result<Option<String>, CallError> {
        self.check(&format!("{}s:read", kind.name()))?;
        let made = self.made.lock().expect("sound");
        Ok(made.iter().position(|(known, title, _)| *known == kind && title == name).map(|at| format!("ID{at}")))
    }

    async fn create_asset(&self, kind: AssetKind, body: &Value) -> Result<String, CallError> {
        self.check(&format!("{}s:write", kind.name()))?;
        let mut made = self.made.lock().expect("sound");
        if self.dies_after == Some(made.len()) {
            return Err(broken());
        }
        let name = body["data"]["attributes"]["name"].as_str().expect("a name").to_owned();
        made.push((kind, name, body.clone()));
        let mut lost = self.lost_answers.lock().expect("sound");
        if *lost > 0 {
            *lost -= 1;
            return Err(broken());
        }
        Ok(format!("ID{}", made.len() - 1))
    }

    async fn request_deletion(&self, _: &Deletable) -> Result<(), CallError> {
        Ok(())
    }
}

fn recipes(shop: &Shop) -> Recipes<&Shop> {
    Recipes::new(shop, Arc::new(Rules::default()))
}

fn now<R>(future: impl Future<Output = R>) -> R {
    future.now_or_never().expect("nothing here ever waits")
}

#[test]
fn all_of_them_are_made_once() {
    let shop = Shop::with_ratings();
    for _ in 0..2 {
        for recipe in Recipe::ALL {
            let report = now(recipes(&shop).apply(recipe)).expect("made");
            assert_eq!(report.state, RecipeState::Made, "{}", report.name);
            assert!(report.id.is_some());
        }
    }
    let kinds: Vec<AssetKind> = shop.names().into_iter().map(|(kind, _)| kind).collect();
    let of = |kind| kinds.iter().filter(|made| **made == kind).count();
    assert_eq!((of(AssetKind::Segment), of(AssetKind::Template), of(AssetKind::Flow)), (3, 2, 2));
    assert!(now(recipes(&shop).list()).expect("readable").iter().all(|report| report.state == RecipeState::Made));
}

#[test]
fn the_metric_is_ours_and_not_the_native_integration_s() {
    let shop = Shop::with_ratings();
    now(recipes(&shop).apply(Recipe::LowRating)).expect("made");
    let body = shop.made.lock().expect("sound")[0].2.to_string();
    assert!(body.contains(r#""metric_id":"M1""#), "{body}");
}

#[test]
fn a_metric_that_has_no_event_yet_is_missing_by_name() {
    let shop = Shop::default();
    let report = now(recipes(&shop).preview(Recipe::AfterLowRating)).expect("readable");
    assert_eq!(report.state, RecipeState::Missing);
    assert!(report.missing[0].contains("\"Intercom Rated Conversation\""), "{:?}", report.missing);
    assert_eq!(report.requests.len(), 2, "the preview shows what would be made all the same");
    let error = now(recipes(&shop).apply(Recipe::AfterLowRating)).expect_err("missing");
    assert!(matches!(error, RecipeError::Missing(_)), "{error}");
    assert!(shop.names().is_empty());
    now(recipes(&shop).apply(Recipe::OpenTicket)).expect("it needs no metric");
}

#[test]
fn a_missing_scope_is_named_and_holds_the_others_up_in_nothing() {
    for (forbidden, recipe) in [
        ("segments:read", Recipe::OpenTicket),
        ("segments:write", Recipe::OpenTicket),
        ("flows:write", Recipe::AskForReview),
        ("templates:write", Recipe::AskForReview),
        ("metrics:read", Recipe::LowRating),
    ] {
        let shop = Shop { forbidden: Some(forbidden), ..Shop::with_ratings() };
        let error = now(recipes(&shop).apply(recipe)).expect_err("forbidden").to_string();
        assert!(error.contains(forbidden), "{error}");
        assert_eq!(now(recipes(&shop).list()).expect("readable").len(), Recipe::ALL.len());
    }
    let shop = Shop { forbidden: Some("accounts:read"), ..Shop::with_ratings() };
    now(recipes(&shop).apply(Recipe::AskForReview)).expect("the sender is the only thing that is lost");
}

#[test]
fn a_lost_answer_makes_nothing_twice() {
    let shop = Shop { lost_answers: Mutex::new(2), ..Shop::with_ratings() };
    let report = now(recipes(&shop).apply(Recipe::AskForReview)).expect("found again");
    assert_eq!(report.state, RecipeState::Made);
    assert_eq!(shop.names().len(), 2);
}

#[test]
fn a_death_between_template_and_flow_is_repaired_by_the_next_try() {
    let mut shop = Shop { dies_after: Some(1), ..Shop::with_ratings() };
    let error = now(recipes(&shop).apply(Recipe::AskForReview)).expect_err("fails");
    assert!(error.to_string().contains("try again"), "{error}");
    shop.dies_after = None;
    now(recipes(&shop).apply(Recipe::AskForReview)).expect("made");
    let kinds: Vec<AssetKind> = shop.names().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [AssetKind::Template, AssetKind::Flow]);
}
