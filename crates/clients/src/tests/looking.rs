//! What Klaviyo has and shows.

use app::ports::{CallError, KnownBy};
use domain::history::Span;

use super::*;

const EVENTS: &str = r#"{"data":[
    {"type":"event","attributes":{"timestamp":1700000000,"event_properties":{"Conversation ID":"21","n":1}}},
    {"type":"event","attributes":{"timestamp":1700000000,"event_properties":{"Conversation ID":7}}},
    {"type":"event","attributes":{"timestamp":1700000000}}],"links":{"next":null}}"#;

#[tokio::test(start_paused = true)]
async fn events_are_asked_for_by_metric_and_time() {
    let (stage, api) = Stage::klaviyo([json(EVENTS)]).await;
    let seen = api.events("Ab\"c", Span::new(1_700_000_000, 1_700_000_001)).await.expect("answered");
    let items: Vec<_> = seen.iter().map(|event| (event.second, event.item.as_deref())).collect();
    assert_eq!(items, [(1_700_000_000, Some("21")), (1_700_000_000, None), (1_700_000_000, None)]);
    let expected = "/api/events?filter=equals%28metric_id%2C%22Ab%5C%22c%22%29%2Cgreater-or-equal%28datetime%2C\
        2023-11-14T22%3A13%3A20Z%29%2Cless-than%28datetime%2C2023-11-14T22%3A13%3A21Z%29&page%5Bsize%5D=1000\
        &fields%5Bevent%5D=timestamp,event_properties";
    assert_eq!(stage.paths(), [expected]);
}

#[tokio::test(start_paused = true)]
async fn addresses_are_asked_for_together_and_compared_in_lower_case() {
    let page = r#"{"data":[{"attributes":{"email":"Ada@Shop.co"}},{"attributes":{"email":null}}]}"#;
    let (stage, api) = Stage::klaviyo([json(page)]).await;
    assert!(api.known(KnownBy::Email, &[]).await.expect("answered").is_empty());
    let emails = ["ada@shop.co".to_owned(), "b@shop.co".to_owned()];
    let known = api.known(KnownBy::Email, &emails).await.expect("answered");
    assert!(known.contains("ada@shop.co") && known.len() == 1, "{known:?}");
    let expected = "/api/profiles?filter=any%28email%2C%5B%22ada%40shop.co%22%2C%22b%40shop.co%22%5D%29\
        &page%5Bsize%5D=100&fields%5Bprofile%5D=email";
    assert_eq!(stage.paths(), [expected]);
}

/// The scope is optional: that it is missing must not stop delivery.
#[tokio::test(start_paused = true)]
async fn a_missing_scope_is_forbidden_and_stops_nothing() {
    let (_, api) = Stage::klaviyo([says(403), says(202)]).await;
    let refused = api.events("A", Span::new(0, 1)).await;
    assert!(matches!(refused, Err(CallError::Forbidden { .. })), "{refused:?}");
    api.one("{}".into()).await.expect("delivery goes on");
}
