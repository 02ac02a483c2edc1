//! What AWS may answer instead, and what the adapter makes of it.

use std::time::Duration;

use app::ports::{
    ClaimOutcome, Clock as _, Documents, End, Fate, HistoryInbox, Inbox, Lane, Ledger, StoreError, WorkQueue,
};
use aws::secrets::{SecretReader, SecretsManager};
use domain::EventKey;
use serde_json::{Value, json};

use super::recorder::Recorder;
use super::{accepted, claim_of, event, key, read_by_us, settlement, taken, world};

fn fails(kind: &str) -> (u16, Value) {
    (400, json!({ "__type": kind, "message": "quotes jane@example.com" }))
}

fn ok(answer: Value) -> (u16, Value) {
    (200, answer)
}

fn sentence(error: &StoreError) -> String {
    assert!(!error.to_string().contains("jane"), "{error}");
    error.to_string()
}

const THROTTLED: &str = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";

/// The SDK tries three times; then the caller hears of it, and may try again.
#[tokio::test]
async fn a_throttled_table_is_tried_three_times_and_named() {
    let (recorder, _, store) = world();
    recorder.will_say([fails(THROTTLED), fails(THROTTLED)]);
    assert_eq!(store.load("workspace").await.expect("the third try"), None);
    assert_eq!(recorder.requests(), 3);
    recorder.will_say([fails(THROTTLED), fails(THROTTLED), fails(THROTTLED)]);
    let error = store.load("workspace").await.expect_err("throttled");
    let expected = "the state table is not available: could not read an item: ProvisionedThroughputExceededException";
    assert_eq!(sentence(&error), expected);
    assert_eq!(recorder.requests(), 6);
}

/// What stood there comes with the refusal: whose event it is costs no read.
#[tokio::test]
async fn a_refused_claim_is_judged_by_the_item_that_came_with_the_refusal() {
    for (owner, outcome) in [("another-message", ClaimOutcome::Taken), ("message-1", ClaimOutcome::SentByThis)] {
        let (recorder, _, store) = world();
        let claimed = taken(&recorder, &store).await;
        let hash: String = key().hash().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let there = json!({ "pk": { "S": format!("e#{hash}") }, "sk": { "S": "-" }, "m": { "S": owner },
            "w": { "S": "gone" }, "n": { "N": "7" }, "until": { "N": "0" }, "later": { "BOOL": true } });
        let before = recorder.requests();
        recorder.will_say([
            (
                400,
                json!({ "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "Item": there }),
            ),
            ok(json!({ "Item": { "pk": { "S": "totals" }, "sk": { "S": "gone" }, "done": { "S": "1-9" } } })),
        ]);
        assert_eq!(store.claim_events(vec![claim_of(&claimed)]).await.expect("an answer"), [outcome]);
        assert_eq!(recorder.requests() - before, if owner == "message-1" { 2 } else { 1 });
    }
}

/// Of two documents' writers one wins; whether it was we, before an answer was lost, is known from what stands there.
#[tokio::test]
async fn a_save_that_came_too_late_is_told_from_one_whose_answer_was_lost() {
    let (recorder, _, store) = world();
    let there = |by: &str| {
        let item = json!({ "pk": { "S": "doc#d" }, "sk": { "S": "-" }, "by": { "S": by }, "version": { "N": "1" } });
        (400, json!({ "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "Item": item }))
    };
    recorder.will_say([there("somebody/0"), there("writer/1")]);
    assert!(!store.save("d", "{}", None).await.expect("an answer"));
    assert!(store.save("d", "{}", None).await.expect("an answer"));
}

/// What was not processed is asked for again, and nothing else.
#[tokio::test]
async fn unprocessed_keys_are_asked_for_again() {
    let (recorder, _, store) = world();
    let hashes = [1, 2, 3].map(|number| EventKey::new("w", format_args!("ticket-created:{number}")).hash());
    let name = |index: usize| {
        let hex: String = hashes[index].as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        json!({ "pk": { "S": format!("e#{hex}") }, "sk": { "S": "-" } })
    };
    recorder.will_say([
        ok(json!({ "Responses": { "state": [name(0)] }, "UnprocessedKeys": { "state": { "Keys": [name(1), name(2)] } } })),
        ok(json!({ "Responses": { "state": [name(2)] }, "UnprocessedKeys": {} })),
    ]);
    assert_eq!(store.known_events(&hashes).await.expect("an answer"), [true, false, true]);
    let asked: Vec<usize> = recorder.seen().split("POST ").skip(1).map(|one| one.matches("\"pk\"").count()).collect();
    assert_eq!(asked, [3, 2]);
}

/// A transaction that was cancelled for another reason than a condition is no answer.
#[tokio::test]
async fn a_cancelled_transaction_says_why() {
    let (recorder, _, store) = world();
    let claimed = taken(&recorder, &store).await;
    let end = || End::Dead { reason: "refused".to_owned(), topic: "t".to_owned() };
    let cancelled = |codes: [&str; 3]| {
        let reasons: Vec<Value> = codes.iter().map(|code| json!({ "Code": code })).collect();
        let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        (400, json!({ "__type": kind, "CancellationReasons": reasons }))
    };
    // The body, then the two places where the share may be, then the transaction.
    recorder.will_say([
        ok(json!({})),
        ok(json!({})),
        ok(json!({})),
        cancelled(["None", "TransactionConflict", "None"]),
    ]);
    let error = store.settle(vec![settlement(&claimed, end(), Vec::new())]).await.expect_err("cancelled");
    let expected = "the state table is not available: could not write items together: TransactionConflict";
    assert_eq!(sentence(&error), expected);
    store.settle(vec![settlement(&claimed, end(), Vec::new())]).await.expect("the next try");
}

/// Only what SQS refused of a batch is sent again.
#[tokio::test]
async fn a_refused_entry_of_a_batch_is_sent_by_itself() {
    let (recorder, _, store) = world();
    let items = || vec![read_by_us(r#"{"n":1}"#), read_by_us(r#"{"n":2}"#), read_by_us(r#"{"n":3}"#)];
    let refused = json!({ "Successful": [], "Failed": [{ "Id": "1", "Code": "InternalError", "SenderFault": false }] });
    recorder.will_say([ok(refused.clone())]);
    store.enqueue_history(items()).await.expect("enqueued");
    let seen = recorder.seen();
    let requests: Vec<&str> = seen.split("POST ").skip(1).collect();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].contains("AmazonSQS.SendMessage\n") && requests[1].contains(r#"{\"n\":2}"#), "{seen}");

    recorder.will_say([ok(refused), fails("com.amazonaws.sqs#InvalidMessageContents")]);
    let error = store.enqueue_history(items()).await.expect_err("refused for good");
    assert_eq!(sentence(&error), "the queue is not available: could not send a message: InvalidMessageContents");
}

/// A stale receipt is left alone; what SQS could not do right now is tried once more; neither is the caller's trouble.
#[tokio::test]
async fn refused_deletes_and_waits_are_tried_once_more_unless_the_receipt_is_stale() {
    let (recorder, clock, store) = world();
    for (deferred, doing) in [(false, "DeleteMessageBatch"), (true, "ChangeMessageVisibilityBatch")] {
        let mut settlements = Vec::new();
        for _ in 0..2 {
            let claimed = taken(&recorder, &store).await;
            let end = match deferred {
                true => End::Deferred { until: clock.now(), progress: claimed.progress },
                false => End::Skipped("ping".to_owned()),
            };
            settlements.push(settlement(&claimed, end, Vec::new()));
        }
        // Settled once, so that what comes before the queue is written and the next requests are the queue's.
        let failed = json!({ "Successful": [], "Failed": [
            { "Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": true },
            { "Id": "1", "Code": "InternalError", "SenderFault": false } ] });
        recorder.when(doing, (200, failed));
        store.settle(settlements).await.expect("settled");
        let seen = recorder.seen();
        let told: Vec<&str> = seen.split("POST ").filter(|request| request.contains(doing)).collect();
        let receipts: Vec<usize> = told.iter().map(|request| request.matches("receipt-").count()).collect();
        assert_eq!(receipts, [2, 1], "{seen}");
    }
}

#[tokio::test]
async fn what_is_missing_or_forbidden_is_named() {
    let (recorder, _, store) = world();
    recorder.will_say([fails("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException")]);
    let error = store.load("workspace").await.expect_err("no table");
    assert!(sentence(&error).ends_with("there is no table state; check STATE_TABLE"), "{error}");
    recorder.will_say([fails("com.amazonaws.dynamodb.v20120810#AccessDeniedException")]);
    let error = store.load("workspace").await.expect_err("no permission");
    assert!(sentence(&error).ends_with("could not read an item: AccessDeniedException"), "{error}");
    recorder.will_say([fails("com.amazonaws.sqs#QueueDoesNotExist")]);
    let error = store.accept(accepted("{}")).await.expect_err("no queue");
    assert!(sentence(&error).contains("check LIVE_QUEUE_URL"), "{error}");
    recorder.will_say([(200, json!("no object"))]);
    let error = store.claim(Lane::Live, 1, 1, Duration::from_secs(1)).await.expect_err("nonsense");
    assert!(sentence(&error).contains("an answer that cannot be read"), "{error}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_named() {
    let recorder = Recorder::default();
    let secrets = SecretsManager::new(&recorder.config());
    for (kind, expected) in [
        (
            "ResourceNotFoundException",
            "there is no secret arn; check SECRET_ARN, and that the secret is in this region",
        ),
        ("AccessDeniedException", "the secret arn could not be read: this function may not read it"),
        ("DecryptionFailure", "the secret arn could not be read: DecryptionFailure"),
    ] {
        recorder.will_say([fails(kind)]);
        assert_eq!(secrets.read("arn").await.expect_err("no secret").to_string(), expected);
    }
    recorder.will_say([ok(json!({ "SecretBinary": "AAAA" }))]);
    assert!(secrets.read("arn").await.expect_err("no text").to_string().contains("is not a JSON object of strings"));
}

/// A write of the books that failed inside AWS is repeated by the SDK, and written once more at most.
#[tokio::test]
async fn a_repeated_write_of_the_books_is_recognised() {
    let (recorder, _, store) = world();
    let claimed = taken(&recorder, &store).await;
    store.claim_events(vec![claim_of(&claimed)]).await.expect("claimed");
    recorder.seen();
    recorder.when("PutItem", (500, json!({ "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError" })));
    store.settle(vec![settlement(&claimed, End::Delivered, vec![event(Fate::Sent)])]).await.expect("settled");
    let seen = recorder.seen();
    assert_eq!(seen.matches("DynamoDB_20120810.PutItem").count(), 2, "{seen}");
}
