//! Intercom's answers.

use app::ports::{CallError, ContactLookup, VendorState};
use domain::ContactId;
use domain::contact::Contact;

use super::*;

const ID: &str = "6657adf76abd0167d9419def";
const ANN: &str = r#"{"type":"contact","id":"6657adf76abd0167d9419def","role":"user","email":"ann@acme.io"}"#;
const GONE: &str = r#"{"type":"error.list","errors":[{"code":"not_found","message":"User Not Found"}]}"#;
const MERGED: &str = r#"{"type":"error.list","errors":[{"code":"contact_merged","message":"merged"}]}"#;

async fn look(api: &Intercom) -> Result<ContactLookup, CallError> {
    api.contact(&ContactId::new(ID)).await
}

async fn found(api: &Intercom) -> Box<Contact> {
    match look(api).await {
        Ok(ContactLookup::Found(contact)) => contact,
        other => panic!("{other:?}"),
    }
}

fn merged(status: u16, link: &str) -> Step {
    Step::Says(status, vec![("link", link.to_owned())], MERGED)
}

#[tokio::test(start_paused = true)]
async fn a_contact_is_one_call() {
    let (stage, api) = Stage::intercom([json(ANN)]).await;
    assert_eq!(found(&api).await.email.as_deref(), Some("ann@acme.io"));
    assert_eq!(stage.paths(), [format!("/contacts/{ID}")]);
}

#[tokio::test(start_paused = true)]
async fn ids_cannot_leave_their_place_in_the_path() {
    let (stage, api) = Stage::intercom([json(ANN), json(ANN)]).await;
    for id in ["a/../../me?x=1#y", "ü %"] {
        api.contact(&ContactId::new(id)).await.expect("found");
    }
    assert_eq!(stage.paths(), ["/contacts/a%2F..%2F..%2Fme%3Fx%3D1%23y", "/contacts/%C3%BC%20%25"]);
    for id in ["", ".", ".."] {
        assert_eq!(api.contact(&ContactId::new(id)).await, Ok(ContactLookup::Unknown));
    }
    assert_eq!(stage.paths().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_only_nobody_when_intercom_says_so() {
    let page = Step::Says(404, Vec::new(), "<html>no such site</html>");
    let (stage, api) =
        Stage::intercom([Step::Says(404, Vec::new(), GONE), says(404), page.clone(), page.clone(), page]).await;
    assert_eq!(look(&api).await, Ok(ContactLookup::Unknown));
    assert_eq!(look(&api).await, Ok(ContactLookup::Unknown));
    assert!(matches!(look(&api).await, Err(CallError::Unavailable { counts: true, .. })));
    assert_eq!(stage.times().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_no_contact_are_tried_again() {
    for body in ["", "<html>", "{}", "[]", r#"{"type":"contact"#] {
        let (stage, api) = Stage::intercom([json(body), json(ANN)]).await;
        assert_eq!(found(&api).await.id.as_str(), ID, "{body}");
        assert_eq!(stage.times().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn merged_contacts_are_followed_to_the_survivor() {
    for (status, link) in [
        (410, r#"</contacts/survivor>; rel="canonical""#),
        (301, r#"<https://evil.example/contacts/survivor>; rel=canonical"#),
        (410, r#"</pages/2>; rel="next", </contacts/survivor>; rel="canonical""#),
    ] {
        let (stage, api) = Stage::intercom([merged(status, link), json(ANN)]).await;
        found(&api).await;
        assert_eq!(stage.paths()[1], "/contacts/survivor");
    }
}

#[tokio::test(start_paused = true)]
async fn three_hops_and_no_more() {
    let next = |id| merged(410, &format!("</contacts/{id}>; rel=\"canonical\""));
    let (stage, api) = Stage::intercom([next("b"), next("c"), next("d"), json(ANN)]).await;
    found(&api).await;
    assert_eq!(stage.times().len(), 4);
    let (stage, api) = Stage::intercom([next("b"), next("c"), next("d"), next("e"), json(ANN)]).await;
    assert!(matches!(look(&api).await, Err(CallError::Refused { status: 410, .. })));
    assert_eq!(stage.times().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn links_that_lead_elsewhere_are_not_followed() {
    for link in ["", "</contacts/x/../../me>; rel=canonical", "</contacts/x>; rel=next", "</contacts/>; rel=canonical"]
    {
        let (stage, api) = Stage::intercom([merged(410, link)]).await;
        assert!(matches!(look(&api).await, Err(CallError::Refused { status: 410, .. })), "{link}");
        assert_eq!(stage.times().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn tags_are_completed_where_a_part_is_missing() {
    let nameless = r#"{"type":"contact","id":"c1","tags":{"data":[{"id":"1"}],"total_count":2}}"#;
    let named = r#"{"type":"contact","id":"c1","tags":{"data":[{"id":"1","name":"vip"}],"total_count":1}}"#;
    let all = r#"{"type":"list","data":[{"id":"1","name":"vip"},{"id":"2","name":"late"}]}"#;
    let (stage, api) = Stage::intercom([json(nameless), json(all), json(named), json(nameless), says(403)]).await;
    let tags: Vec<_> = found(&api).await.tags.into_iter().filter_map(|tag| tag.name).collect();
    assert_eq!(tags, ["vip", "late"]);
    assert_eq!(stage.paths()[1], "/contacts/c1/tags");
    found(&api).await;
    assert_eq!(stage.paths().len(), 3, "complete already");
    let kept = found(&api).await;
    assert_eq!((kept.tags.len(), kept.tags[0].name.as_deref()), (1, None), "what is there stays");
    assert_eq!(stage.vendors.blocked(), None);
}

#[tokio::test(start_paused = true)]
async fn whose_token_it_is() {
    let me = r#"{"type":"admin","id":"1","email":"a@acme.io","app":{"type":"app","id_code":"abc123","name":"Acme","region":"EU"}}"#;
    let (_, api) = Stage::intercom([json(me), says(403), says(404)]).await;
    let workspace = api.workspace().await.expect("readable");
    assert_eq!((workspace.id.as_str(), workspace.region.as_deref()), ("abc123", Some("EU")));
    assert!(matches!(api.workspace().await, Err(CallError::Forbidden { .. })));
    let error = api.workspace().await.expect_err("wrong address");
    assert!(matches!(&error, CallError::Stopped { reason, .. } if reason.contains("INTERCOM_API_URL")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn contacts_that_may_not_be_read_stop_intercom() {
    let (_, api) = Stage::intercom([says(403)]).await;
    assert!(matches!(look(&api).await, Err(CallError::Stopped { .. })));
    assert!(matches!(api.names().await, Err(CallError::Stopped { .. })));
}

#[tokio::test(start_paused = true)]
async fn names_do_without_what_is_not_allowed() {
    let admins = r#"{"type":"admin.list","admins":[{"id":"7","name":"Bo","email":"bo@acme.io"},{"id":8}]}"#;
    let tags = r#"{"type":"list","data":[{"type":"tag","id":"1","name":"vip"}]}"#;
    let (_, api) = Stage::intercom([json(admins), says(403), json(tags), says(404), says(403), says(403)]).await;
    let names = api.names().await.expect("most of them");
    assert_eq!(names.admins.iter().map(|admin| admin.id.as_str()).collect::<Vec<_>>(), ["7", "8"]);
    assert_eq!(names.tags, [("1".to_owned(), "vip".to_owned())]);
    assert_eq!(names.missing, ["teams: 403"]);
    let names = api.names().await.expect("none of them");
    assert_eq!(names.missing, ["admins: 404", "teams: 403", "tags: 403"]);
}
