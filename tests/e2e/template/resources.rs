//! Figures of queues, table, functions and logs.

use serde_json::{Value, json};

use super::{all, arn, properties, read, reference, resource, visibility};

const FOURTEEN_DAYS: u64 = 14 * 24 * 3600;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn a_wait_of_three_days_reaches_no_dead_letter_queue() {
    for name in ["LiveQueue", "HistoryQueue"] {
        let queue = properties(name);
        let redrive = json!({"deadLetterTargetArn": arn("DeadLetterQueue"), "maxReceiveCount": 1000});
        assert_eq!(queue["RedrivePolicy"], redrive, "{name}");
    }
    // What arrives there must not be lost for want of a reader, nor go round in circles.
    assert_eq!(properties("DeadLetterQueue")["RedrivePolicy"], Value::Null);
}

#[test]
fn queues_keep_for_fourteen_days_and_are_encrypted() {
    let queues = all("AWS::SQS::Queue");
    assert_eq!(queues.len(), 3);
    for (name, queue) in queues {
        assert_eq!(number(&queue["Properties"]["MessageRetentionPeriod"]), FOURTEEN_DAYS, "{name}");
        assert_eq!(queue["Properties"]["SqsManagedSseEnabled"], true, "{name}");
    }
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>
#[test]
fn visibility_is_six_timeouts_of_the_consumer_at_least() {
    let timeout = number(&properties("ConsumerFunction")["Timeout"]);
    let seconds = read()["deployed"]["Mappings"]["Queues"]["Visibility"]["Seconds"].as_str().expect("a figure");
    assert!(seconds.parse::<u64>().expect("seconds") >= 6 * timeout, "{seconds}");
    for name in ["LiveQueue", "HistoryQueue"] {
        assert_eq!(properties(name)["VisibilityTimeout"], visibility(), "{name}");
    }
}

#[test]
fn the_consumer_reads_both_queues_with_partial_failures_and_leaves_room_for_the_webhook() {
    let sources = all("AWS::Lambda::EventSourceMapping");
    assert_eq!(sources.len(), 2);
    let mut concurrent = 0;
    for (queue, window, most) in [("LiveQueue", 5, 4), ("HistoryQueue", 5, 2)] {
        let found = sources.iter().find(|(_, source)| source["Properties"]["EventSourceArn"] == arn(queue));
        let source = &found.unwrap_or_else(|| panic!("{queue} has no reader")).1["Properties"];
        assert_eq!(source["FunctionName"], reference("ConsumerFunction"), "{queue}");
        assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{queue}");
        assert_eq!(number(&source["MaximumBatchingWindowInSeconds"]), window, "{queue}");
        assert_eq!(number(&source["ScalingConfig"]["MaximumConcurrency"]), most, "{queue}");
        assert_eq!(number(&source["BatchSize"]), 1000, "{queue}");
        assert_eq!(source["FilterCriteria"], Value::Null, "{queue}: what a filter drops is deleted");
        concurrent += most;
    }
    // Ten are all that a new account has; the schedule and the console take one each.
    assert!(concurrent + 2 <= 8, "two are left for the webhook");
}

#[test]
fn the_table_is_what_the_adapter_expects_and_can_be_restored() {
    let table = properties("StateTable");
    let keys = json!([{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]);
    let types = json!([{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"}]);
    assert_eq!(table["KeySchema"], keys);
    assert_eq!(table["AttributeDefinitions"], types);
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["TimeToLiveSpecification"], json!({"AttributeName": "ttl", "Enabled": true}));
    assert_eq!(table["PointInTimeRecoverySpecification"], json!({"PointInTimeRecoveryEnabled": true}));
    assert_eq!(table["SSESpecification"], json!({"SSEEnabled": true}));
    // A name would keep a second stack, or this one after its removal, from being made.
    assert_eq!(table["TableName"], Value::Null);
}

#[test]
fn what_cannot_be_made_again_outlives_the_stack() {
    for name in ["StateTable", "LiveQueue", "DeadLetterQueue"] {
        assert_eq!(resource(name)["DeletionPolicy"], "Retain", "{name}");
        assert_eq!(resource(name)["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn functions_have_the_time_and_memory_that_the_code_counts_on() {
    for (name, seconds, mebibytes) in
        [("Webhook", 5, 128), ("Consumer", 60, 128), ("Backfill", 300, 512), ("Console", 15, 128)]
    {
        let function = properties(&format!("{name}Function"));
        assert_eq!(number(&function["Timeout"]), seconds, "{name}");
        assert_eq!(number(&function["MemorySize"]), mebibytes, "{name}");
    }
}

#[test]
fn the_schedule_ticks_every_minute_and_a_missed_tick_is_not_repeated() {
    let schedule = properties("BackfillSchedule");
    assert_eq!(schedule["ScheduleExpression"], "rate(1 minute)");
    assert_eq!(schedule["Target"]["Arn"], arn("BackfillFunction"));
    assert_eq!(schedule["Target"]["RoleArn"], arn("ScheduleRole"));
    assert_eq!(schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"], 0);
    let asynchronous = properties("BackfillFunctionEventInvokeConfig");
    assert_eq!(asynchronous["MaximumRetryAttempts"], 0);
    assert_eq!(asynchronous["MaximumEventAgeInSeconds"], 60);
}

#[test]
fn logs_are_json_of_our_own_lines_and_end_after_thirty_days() {
    assert_eq!(all("AWS::Logs::LogGroup").len(), 4);
    for (name, function) in all("AWS::Lambda::Function") {
        let group = name.replace("Function", "Logs");
        assert_eq!(number(&properties(&group)["RetentionInDays"]), 30, "{group}");
        let wanted = json!({
            "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN", "LogGroup": reference(&group),
        });
        assert_eq!(function["Properties"]["LoggingConfig"], wanted, "{name}");
    }
}
