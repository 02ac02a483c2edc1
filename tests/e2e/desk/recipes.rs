//! Segments and flows are made in Klaviyo, once each, and what is missing is said.

use sandbox::scenario::nine_metrics;
use sandbox::{Fault, FaultKind, Matcher};
use serde_json::{Value, json};

use super::json_of;
use crate::support::{SOON, World};

fn states(list: &Value) -> Vec<(String, String)> {
    let text = |recipe: &Value, name: &str| recipe[name].as_str().unwrap_or("-").to_owned();
    let recipes = list["recipes"].as_array().expect("a list");
    recipes.iter().map(|recipe| (text(recipe, "name"), text(recipe, "state"))).collect()
}

#[test]
fn recipes_are_made_once_and_only_when_their_metric_is_there() {
    let world = World::start();
    let klaviyo = world.sandbox.klaviyo();
    let before = json_of(&world.execute(&["recipes", "list", "--json"]));
    let ready: Vec<String> =
        states(&before).into_iter().filter(|(_, state)| state == "ready").map(|(name, _)| name).collect();
    assert_eq!(ready, ["open-ticket"], "the others wait for a metric: {before}");
    let refused = world.execute(&["recipes", "apply", "low-rating", "--yes"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stdout.contains("Intercom Rated Conversation"), "{}", refused.stdout);
    assert!(klaviyo.assets().is_empty());

    let expected = nine_metrics(world.sandbox.intercom(), 1, world.now() - 3_600).expect("the script plays");
    world.wait_for_events(expected.len(), SOON);
    let shown = world.execute(&["recipes", "show", "after-low-rating"]);
    for part in ["POST /api/templates", "POST /api/flows", "less-than-or-equal", "draft"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    let unasked = world.execute(&["recipes", "apply", "--all"]);
    assert_eq!(unasked.code, Some(2), "nobody is there to be asked: {}", unasked.stderr);
    assert!(klaviyo.assets().is_empty());
    for _ in 0..2 {
        let made = world.execute(&["recipes", "apply", "--all", "--yes", "--json"]);
        assert_eq!(made.code, Some(0), "{}{}", made.stdout, made.stderr);
        assert!(states(&json_of(&made)).iter().all(|(_, state)| state == "made"), "{}", made.stdout);
    }
    let kinds: Vec<String> = klaviyo.assets().into_iter().map(|(kind, _)| kind).collect();
    let of = |wanted: &str| kinds.iter().filter(|kind| *kind == wanted).count();
    assert_eq!((of("segment"), of("template"), of("flow")), (3, 2, 2));
    world.finish();
}

#[test]
fn a_key_without_the_scopes_is_told_which_and_delivers_all_the_same() {
    let mut world = World::start();
    let forbid =
        |path: &str| world.sandbox.klaviyo().faults().push(Fault::forever(Matcher::path(path), FaultKind::status(403)));
    forbid("/api/segments");
    forbid("/api/data-privacy-deletion-jobs");
    let answer = world.api("POST", "/api/recipes/open-ticket/apply");
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains("segments:read"), "{}", answer.text());
    assert_eq!(world.api("GET", "/api/recipes/nothing").status, 404);
    let refused = world.execute(&["forget", "--email", "x@customers.sandbox-shop.co", "--klaviyo", "--yes"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("data-privacy:write"), "{}", refused.stderr);
    let ada = world.customer("Ada Byron");
    let item = crate::support::conversation("1", &ada, world.now() - 60);
    assert_eq!(world.notify("conversation.user.created", &item).status, 200);
    world.wait_for_events(1, SOON);
    assert_eq!(world.status()["blocked"], json!(null));
    world.finish();
}
