//! Keys that change while the stack runs, and a refused key that is waited out.

use std::time::Duration;

use sandbox::intercom::sign;
use serde_json::{Value, json};
use tests::wait::until;

use crate::support::{SOON, World, conversation};

/// Values are read again at most once a minute.
const A_MINUTE_AND_A_HALF: Duration = Duration::from_secs(90);

/// The Klaviyo key is wrong at first: everything waits on the queue, received again and again, and nothing of it gets to the
/// dead-letter queue. Both keys are then rotated in the secret, and nobody deploys or restarts anything.
#[test]
fn rotated_keys_are_picked_up_by_functions_that_run() {
    let mut world = World::vendors();
    world.set("KLAVIYO_API_KEY", "pk_revoked");
    world.set("INTERCOM_CLIENT_SECRET", "secret-of-yesterday");
    world.run();
    let ada = world.customer("Ada Byron");
    let post = |id: &str, secret: &str| {
        let item = conversation(id, &ada, world.now() - 60);
        let body = world.notification("conversation.user.created", &item);
        world.post_with(&[("x-hub-signature", &sign(&body, secret))], &body).status
    };
    let today = world.sandbox.intercom().client_secret().to_owned();
    for id in 1..=5 {
        assert_eq!(post(&id.to_string(), "secret-of-yesterday"), 200);
    }
    let status = world.wait_for("the key is refused", SOON, |status| !status["blocked"].is_null());
    assert_eq!(status["blocked"]["vendor"], "klaviyo", "{status}");
    assert_eq!(post("6", &today), 401, "not known yet");

    let mut world = world;
    world.set("KLAVIYO_API_KEY", "pk_sandbox");
    world.set("INTERCOM_CLIENT_SECRET", &today);
    world.product.put_secret_without(&[]);
    let post = |id: &str, secret: &str| {
        let item = conversation(id, &ada, world.now() - 60);
        let body = world.notification("conversation.user.created", &item);
        world.post_with(&[("x-hub-signature", &sign(&body, secret))], &body).status
    };
    let look = Duration::from_secs(1);
    until("the new client secret is known", A_MINUTE_AND_A_HALF, || {
        std::thread::sleep(look);
        (post("6", &today) == 200).then_some(())
    });
    assert_eq!(post("7", "secret-of-yesterday"), 401, "the old one is gone");
    world.wait_for_events(6, A_MINUTE_AND_A_HALF);
    let status = world.wait_for_end(6, A_MINUTE_AND_A_HALF);
    assert_eq!((&status["delivered"], &status["dead"], &status["blocked"]), (&json!(6), &json!(0), &Value::Null));
    world.finish();
}
