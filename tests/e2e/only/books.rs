//! The daily check of the books: what `infra/books.yaml` works out from Lambda's count of the webhook's calls and from what the functions
//! say that the books know. CloudWatch is not here, so its sums are made from the same sources: the address's answers, and the log.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::binary;
use tests::wait::until;

use super::levers::{set_variable, silent_server};
use crate::arithmetic::evaluate;
use crate::support::{HOOK, SOON, World};

/// The alarm's expression, and the id under which it knows each metric.
fn alarm() -> (String, BTreeMap<String, String>) {
    let text = std::fs::read_to_string(binary::workspace().join("infra/books.yaml")).expect("infra/books.yaml");
    let stack: Value = serde_saphyr::from_str(&text).expect("YAML");
    let metrics = stack["Resources"]["BooksAlarm"]["Properties"]["Metrics"].as_array().expect("metrics").clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let expression = metrics.iter().find_map(|metric| metric["Expression"].as_str()).expect("an expression").to_owned();
    let measured = metrics.iter().filter(|metric| metric["MetricStat"].is_object());
    let known =
        measured.map(|metric| (text(&metric["MetricStat"]["Metric"]["MetricName"]), text(&metric["Id"]))).collect();
    (expression, known)
}

/// What the expression comes to over everything that has happened so far.
fn difference(world: &World) -> f64 {
    let (expression, ids) = alarm();
    let [requests, refused, failed] = world.product.url_metrics();
    let known: u64 = world.product.stack().logs("backfill").iter().filter_map(|line| accepted(line)).sum();
    let sums = [("UrlRequestCount", requests), ("Url4xxCount", refused), ("Url5xxCount", failed), ("Accepted", known)];
    // CloudWatch has no datapoint where nothing was counted.
    let there = sums.into_iter().filter(|(_, sum)| *sum > 0);
    let values = there.map(|(name, sum)| (ids[name].as_str(), f64::from(u32::try_from(sum).expect("few")))).collect();
    evaluate(&expression, &values)
}

/// The metric in a line of the embedded metric format.
fn accepted(line: &str) -> Option<u64> {
    let line: Value = serde_json::from_str(line).ok()?;
    let namespace = &line["_aws"]["CloudWatchMetrics"][0]["Namespace"];
    (namespace == "IntercomKlaviyo").then(|| line["Accepted"].as_u64())?
}

fn tick(world: &World) {
    assert_eq!(world.product.stack().invoke("BackfillFunctionName", &json!({})), Ok(json!(null)));
}

#[test]
fn the_daily_check_finds_one_call_that_the_books_do_not_know() {
    let world = World::start();
    tick(&world);
    let ping = world.notification("ping", &json!({ "type": "ping", "message": "hi" }));
    let ask = |method: &str| tests::http::request(world.webhook(), method, HOOK, &[], b"").expect("it answers").status;
    for _ in 0..3 {
        assert_eq!(world.post(&ping).status, 200);
    }
    assert_eq!((world.post_with(&[], &ping).status, ask("GET"), ask("HEAD")), (401, 405, 200));
    set_variable(&world, "WebhookFunctionName", "AWS_ENDPOINT_URL_SQS", Some(&silent_server()));
    assert_eq!(world.post(&ping).status, 503);
    set_variable(&world, "WebhookFunctionName", "AWS_ENDPOINT_URL_SQS", None);
    assert_eq!(world.post(&ping).status, 200);
    world.wait_for_end(4, SOON);
    tick(&world);
    let heads = 1.0;
    until("the log has the metric", SOON, || (difference(&world) <= heads).then_some(()));
    assert_eq!(difference(&world), heads, "HEAD is answered 200 and in no book; nothing else differs");
    assert_eq!(world.product.url_metrics(), [8, 2, 1]);

    // Something takes a message from the queue that the consumer never saw.
    world.product.consume(false);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(world.post(&ping).status, 200);
    let stack = world.product.stack();
    until("it is on the queue", SOON, || (stack.depth("LiveQueueUrl") == [1, 0, 0]).then_some(()));
    world.product.emulator().call("AmazonSQS.PurgeQueue", &json!({ "QueueUrl": stack.output("LiveQueueUrl") }));
    tick(&world);
    assert_eq!(difference(&world), heads + 1.0, "one call is nowhere");
    world.finish_without_books();
}
