//! Every alarm exists, watches something that exists, and tells somebody.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{all, properties, read, reference};

/// The names under which the functions write their own metrics.
const OURS: [&str; 5] = ["DeadLetters", "VendorStopped", "SubscriptionSilent", "Uninstalled", "QueueAgeSeconds"];

fn metrics() -> BTreeMap<&'static str, &'static Value> {
    all("AWS::CloudWatch::Alarm").into_iter().map(|(name, alarm)| (name.as_str(), &alarm["Properties"])).collect()
}

/// The dimension's name and value, as AWS documents them for each metric.
fn dimension(alarm: &Value) -> (&str, &Value) {
    let dimensions = alarm["Dimensions"].as_array().expect("dimensions");
    assert_eq!(dimensions.len(), 1, "{alarm}");
    (dimensions[0]["Name"].as_str().expect("a name"), &dimensions[0]["Value"])
}

#[test]
fn each_thing_that_goes_wrong_has_its_alarm() {
    let mut watched = BTreeSet::new();
    for (name, alarm) in metrics() {
        let namespace = alarm["Namespace"].as_str().expect("a namespace");
        let metric = alarm["MetricName"].as_str().expect("a metric");
        let (dimension, value) = dimension(alarm);
        let of = match namespace {
            "IntercomKlaviyo" => {
                assert_eq!((dimension, value), ("Stack", &reference("AWS::StackName")), "{name}");
                assert!(OURS.contains(&metric), "{name} watches {metric}, which nobody writes");
                "Stack"
            }
            "AWS/SQS" => {
                assert_eq!((dimension, &value["Fn::GetAtt"][1]), ("QueueName", &json!("QueueName")), "{name}");
                value["Fn::GetAtt"][0].as_str().expect("a queue")
            }
            "AWS/Lambda" => {
                assert_eq!(dimension, "FunctionName", "{name}");
                value["Ref"].as_str().expect("a function")
            }
            other => panic!("{name} watches {other}"),
        };
        assert!(of == "Stack" || read()["deployed"]["Resources"][of].is_object(), "{name} watches no resource: {of}");
        watched.insert(format!("{metric} of {of}"));
    }
    let mut wanted: BTreeSet<_> = OURS.iter().map(|metric| format!("{metric} of Stack")).collect();
    wanted.extend(
        [
            "ApproximateAgeOfOldestMessage of LiveQueue",
            "ApproximateNumberOfMessagesVisible of DeadLetterQueue",
            "Errors of ConsumerFunction",
            "Errors of BackfillFunction",
            "Errors of ConsoleFunction",
            "Url5xxCount of WebhookFunction",
            "Throttles of WebhookFunction",
            "Invocations of BackfillFunction",
        ]
        .map(str::to_owned),
    );
    assert_eq!(watched, wanted);
}

#[test]
fn alarms_tell_the_topic_and_say_what_to_do() {
    for (name, alarm) in metrics() {
        assert_eq!(alarm["AlarmActions"], json!([reference("Alarms")]), "{name}");
        let words = alarm["AlarmDescription"].as_str().map_or(0, |text| text.split(' ').count());
        assert!(words >= 8, "{name} does not say what to do");
        let quiet = if name == "TickMissingAlarm" { "breaching" } else { "notBreaching" };
        assert_eq!(alarm["TreatMissingData"], quiet, "{name}");
    }
}

/// An event starts a flow for four hours after its time.
#[test]
fn a_late_event_is_told_well_before_it_starts_no_flow() {
    for name in ["LiveQueueOldAlarm", "LiveEventsWaitAlarm"] {
        let alarm = properties(name);
        let told = alarm["Threshold"].as_u64().expect("seconds")
            + alarm["Period"].as_u64().expect("seconds") * alarm["EvaluationPeriods"].as_u64().expect("a number");
        assert!(told <= 3600, "{name} tells after {told} seconds");
        assert_eq!(alarm["Statistic"], "Maximum", "{name}");
    }
}

#[test]
fn mail_is_sent_only_where_an_address_was_given() {
    let mail = super::resource("AlarmMail");
    assert_eq!(mail["Condition"], "HasAlarmEmail");
    assert_eq!(mail["Properties"]["Endpoint"], reference("AlarmEmail"));
    assert_eq!(mail["Properties"]["TopicArn"], reference("Alarms"));
}
