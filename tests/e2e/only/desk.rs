//! Setting up and tidying on the deployed stack, over its console: the function's role has to allow it.

use serde_json::{Value, json};
use tests::http::request;

use crate::support::{SOON, TOKEN, World, conversation};

fn post(world: &World, path: &str, body: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer = request(world.product.console(), "POST", path, &headers, body.to_string().as_bytes());
    let answer = answer.expect("it answers");
    (answer.status, answer.json())
}

#[test]
fn recipes_are_made_and_people_forgotten() {
    let mut world = World::start();
    let (ada, bo) = (world.customer("Ada Byron"), world.customer("Bo Byron"));
    for (id, contact) in [("1", &ada), ("2", &bo)] {
        world.sandbox.klaviyo().refuse_when("Conversation ID", id, "No.");
        let item = conversation(id, contact, world.now() - 60);
        assert_eq!(world.notify("conversation.user.created", &item).status, 200);
    }
    world.wait_for("both are dead", SOON, |status| status["dead"] == 2 && status["in_flight"] == 0);
    let (status, report) = post(&world, "/api/forget", &json!({ "contact": ada, "klaviyo": true }));
    assert_eq!(
        (status, &report["dead_letters"], &report["klaviyo_deletions"]),
        (200, &json!(1), &json!(1)),
        "{report}"
    );
    let status = world.status();
    assert_eq!((&status["dead"], &status["skipped"]["forgotten"]), (&json!(1), &json!(1)), "{status}");
    let events = world.api("GET", "/api/events/recent?limit=100").text();
    assert!(!events.contains(&ada) && events.contains(&bo), "{events}");

    let (status, made) = post(&world, "/api/recipes/open-ticket/apply", &json!({}));
    assert_eq!((status, &made["state"]), (200, &json!("made")), "{made}");
    assert_eq!(world.sandbox.klaviyo().assets().len(), 1);
    let connect = world.api("GET", "/api/connect").json();
    assert_eq!((&connect["place"], &connect["can_save"]), (&json!("aws"), &json!(false)), "{connect}");
    let topics = connect["topics"].as_array().expect("a list");
    let seen = topics.iter().find(|topic| topic["name"] == "conversation.user.created").expect("is listed");
    assert!(seen["last_seen_at"].is_string(), "{connect}");
    let (status, refused) = post(&world, "/api/connect/save", &json!({ "klaviyo_api_key": "pk_x" }));
    assert_eq!(status, 409, "keys belong into the secret: {refused}");
    world.finish();
}
