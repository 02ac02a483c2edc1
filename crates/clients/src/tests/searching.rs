//! Pages of Intercom's searches.

use app::ports::{CallError, SearchBy, SearchQuery};
use domain::ContactId;
use domain::history::{Span, StreamName};

use super::*;

const PAGE: &str = r#"{"type":"conversation.list","conversations":[
    {"type":"conversation","id":"11","created_at":1700000001,"updated_at":"1700000009","source":{"body":"<p>hi</p>"}},
    {"id":12,"created_at":1700000002},{"id":null},{"id":"13"}],
    "total_count":77,"pages":{"type":"pages","page":1,"per_page":3,"next":{"page":2,"starting_after":"abc"}}}"#;

fn query(stream: StreamName) -> SearchQuery {
    let span = Span::new(1_700_000_000, 1_700_000_100);
    SearchQuery { stream, by: SearchBy::CreatedAt, span, per_page: 3, cursor: None }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_read_as_it_comes() {
    let (stage, api) = Stage::intercom([json(PAGE)]).await;
    let page = api.search(&query(StreamName::Conversations)).await.expect("a page");
    assert_eq!(stage.paths(), ["/conversations/search"]);
    let heads: Vec<_> = page.items.iter().map(|item| (item.id.as_str(), item.created_at, item.updated_at)).collect();
    let from = 1_700_000_000;
    assert_eq!(heads, [("11", from + 1, from + 9), ("12", from + 2, from + 2), ("13", from, from)]);
    assert_eq!((page.total, page.next.as_deref()), (77, Some("abc")));
    let first: serde_json::Value = serde_json::from_slice(&page.items[0].json).expect("the item's own JSON");
    assert_eq!(first["source"]["body"], "<p>hi</p>");
}

#[tokio::test(start_paused = true)]
async fn the_last_page_has_no_next() {
    let (_, api) = Stage::intercom([json(r#"{"tickets":[],"total_count":"0","pages":{"next":null}}"#)]).await;
    let page = api.search(&query(StreamName::Tickets)).await.expect("a page");
    assert_eq!((page.items.len(), page.total, page.next), (0, 0, None));
}

/// Empty bodies, HTML and pages of another kind are a reason to ask for less, at once and not after two more tries; and they do
/// not make live look-ups wait.
#[tokio::test(start_paused = true)]
async fn what_is_no_page_fails_after_one_try() {
    let bad = [json(""), json("<html>"), json(r#"{"tickets":[],"total_count":1}"#), json(r#"{"conversations":[]}"#)];
    let count = bad.len() + 4;
    let steps: Vec<Step> =
        bad.into_iter().chain([says(502), says(504), breaks(Flaw::Timeout), breaks(Flaw::TooLarge)]).collect();
    let contact = r#"{"type":"contact","id":"1"}"#;
    let (stage, api) = Stage::intercom(steps.into_iter().chain([json(contact)])).await;
    for _ in 0..count {
        let refused = api.search(&query(StreamName::Conversations)).await;
        assert!(matches!(refused, Err(CallError::Unavailable { counts: true, .. })), "{refused:?}");
    }
    assert_eq!(stage.times().len(), count);
    api.contact(&ContactId::new("1")).await.expect("nobody is held back");
}

#[tokio::test(start_paused = true)]
async fn tickets_outside_of_the_plan_are_forbidden_and_a_revoked_token_stops() {
    let (_, api) = Stage::intercom([says(403), says(401)]).await;
    let forbidden = api.search(&query(StreamName::Tickets)).await;
    assert!(matches!(forbidden, Err(CallError::Forbidden { .. })), "{forbidden:?}");
    let stopped = api.search(&query(StreamName::Tickets)).await;
    assert!(matches!(stopped, Err(CallError::Stopped { .. })), "{stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fifth_of_the_quota_is_left_to_others() {
    let limits = |remaining: u32| {
        // Longer than the import's reads wait by themselves.
        let reset = Virtual::start().as_second() + 20;
        let headers = [("x-ratelimit-limit", 100.to_string()), ("x-ratelimit-remaining", remaining.to_string())];
        let headers = headers.into_iter().chain([("x-ratelimit-reset", reset.to_string())]).collect();
        Step::Says(200, headers, r#"{"conversations":[],"total_count":0}"#)
    };
    let contact = r#"{"type":"contact","id":"1"}"#;
    let (stage, api) = Stage::intercom([limits(50), limits(19), json(contact)]).await;
    for _ in 0..2 {
        api.search(&query(StreamName::Conversations)).await.expect("there is room");
    }
    let waits = api.search(&query(StreamName::Conversations)).await;
    assert!(matches!(waits, Err(CallError::Wait { .. })), "{waits:?}");
    api.contact(&ContactId::new("1")).await.expect("a look-up still passes");
    assert_eq!(stage.times().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn contacts_come_a_hundred_at_a_time() {
    const TWO: &str = r#"{"type":"list","data":[{"type":"contact","id":"1","email":"a@b.test"},
        {"type":"contact","id":"2","tags":{"data":[{"id":"7"}],"total_count":12}}],"total_count":2}"#;
    let (stage, api) = Stage::intercom([json(TWO), json(r#"{"data":[]}"#)]).await;
    let ids: Vec<_> = (0..101).map(|n| ContactId::new(n.to_string())).collect();
    let found = api.contacts(&ids).await.expect("answered");
    assert_eq!(stage.paths(), ["/contacts/search", "/contacts/search"]);
    assert_eq!(found.len(), 1, "the one with more tags than shown is asked for singly: {found:?}");
}
