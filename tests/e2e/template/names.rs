//! Names that others rely on.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{all, properties, read, reference, visibility};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn parameters_have_their_names_and_every_one_but_the_secret_a_default() {
    let parameters = &read()["source"]["Parameters"];
    let defaults: BTreeMap<_, _> =
        keys(parameters).into_iter().map(|name| (name, parameters[name]["Default"].as_str())).collect();
    let wanted = BTreeMap::from([
        ("SecretArn", None),
        ("IntercomApiUrl", Some("https://api.intercom.io")),
        ("KlaviyoApiUrl", Some("https://a.klaviyo.com")),
        ("Settings", Some("")),
        ("Architecture", Some("arm64")),
        ("AlarmEmail", Some("")),
    ]);
    assert_eq!(defaults, wanted);
    assert_eq!(parameters["Architecture"]["AllowedValues"], json!(["arm64", "x86_64"]));
}

#[test]
fn outputs_have_their_names() {
    let wanted = [
        ("BackfillFunctionName", "BackfillFunction"),
        ("ConsoleUrl", "ConsoleFunctionUrl"),
        ("ConsumerFunctionName", "ConsumerFunction"),
        ("DeadLetterQueueUrl", "DeadLetterQueue"),
        ("HistoryQueueUrl", "HistoryQueue"),
        ("LiveQueueUrl", "LiveQueue"),
        ("StateTableName", "StateTable"),
        ("WebhookFunctionName", "WebhookFunction"),
        ("WebhookUrl", "WebhookFunctionUrl"),
    ];
    let outputs = &read()["deployed"]["Outputs"];
    assert_eq!(keys(outputs), wanted.map(|(name, _)| name));
    for (name, resource) in wanted {
        let expected = if name == "WebhookUrl" || name == "ConsoleUrl" {
            json!({"Fn::GetAtt": [resource, "FunctionUrl"]})
        } else {
            reference(resource)
        };
        assert_eq!(outputs[name]["Value"], expected, "{name}");
    }
}

#[test]
fn functions_know_what_they_need_and_no_secret() {
    let webhook = json!({
        "STACK_NAME": reference("AWS::StackName"),
        "SECRET_ARN": reference("SecretArn"),
        "LIVE_QUEUE_URL": reference("LiveQueue"),
        "SETTINGS": {"Fn::If": ["HasSettings", reference("Settings"), reference("AWS::NoValue")]},
    });
    let mut others = webhook.clone();
    others["HISTORY_QUEUE_URL"] = reference("HistoryQueue");
    others["STATE_TABLE"] = reference("StateTable");
    others["INTERCOM_API_URL"] = reference("IntercomApiUrl");
    others["KLAVIYO_API_URL"] = reference("KlaviyoApiUrl");
    let mut consumer = others.clone();
    consumer["QUEUE_VISIBILITY_SECONDS"] = visibility();
    for (name, wanted) in [("Webhook", &webhook), ("Consumer", &consumer), ("Backfill", &others), ("Console", &others)]
    {
        assert_eq!(&properties(&format!("{name}Function"))["Environment"]["Variables"], wanted, "{name}");
    }
}

#[test]
fn every_function_is_built_from_its_binary_for_the_architecture_that_was_asked_for() {
    let functions = all("AWS::Lambda::Function");
    assert_eq!(functions.len(), 4);
    for (name, function) in functions {
        let binary = name.trim_end_matches("Function").to_lowercase();
        let built = json!({"BuildMethod": "rust-cargolambda", "BuildProperties": {"Binary": binary}});
        let made = &function["Properties"];
        assert_eq!(function["Metadata"], built, "{name}");
        assert_eq!(made["Runtime"], "provided.al2023", "{name}");
        assert_eq!(made["Architectures"], json!([reference("Architecture")]), "{name}");
        // A new account has ten concurrent executions; reserving some would take them from the others.
        assert_eq!(made["ReservedConcurrentExecutions"], Value::Null, "{name}");
    }
}

#[test]
fn everything_that_can_be_tagged_is() {
    for kind in
        ["AWS::Lambda::Function", "AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::IAM::Role", "AWS::Logs::LogGroup"]
    {
        for (name, resource) in all(kind) {
            let tags = resource["Properties"]["Tags"].as_array().cloned().unwrap_or_default();
            assert!(tags.contains(&json!({"Key": "Project", "Value": "intercom-klaviyo"})), "{name}");
        }
    }
}
