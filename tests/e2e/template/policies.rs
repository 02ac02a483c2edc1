//! What each role may do: exactly this. That it is what the functions need, no less and no more, shows on the deployed stack
//! (`only/roles.rs`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{all, arn, properties, reference};

type Permission = (String, String);

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Array(several) => several.iter().map(|one| one.as_str().expect("a name").to_owned()).collect(),
        one => vec![one.as_str().expect("a name").to_owned()],
    }
}

/// Every pair of action and resource in a role.
fn granted(role: &str) -> BTreeSet<Permission> {
    let role = properties(role);
    assert_eq!(role["ManagedPolicyArns"], Value::Null, "AWS's own policies allow more than we need");
    let policies = role["Policies"].as_array().expect("policies");
    let statements =
        policies.iter().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().expect("a list"));
    let mut granted = BTreeSet::new();
    for statement in statements {
        assert_eq!(statement["Effect"], "Allow");
        assert!(statement.get("NotAction").is_none() && statement.get("NotResource").is_none());
        let resources = match &statement["Resource"] {
            Value::Array(several) => several.clone(),
            one => vec![one.clone()],
        };
        for action in strings(&statement["Action"]) {
            granted.extend(resources.iter().map(|resource| (action.clone(), resource.to_string())));
        }
    }
    granted
}

fn on(resource: &Value, actions: &[&str]) -> BTreeSet<Permission> {
    actions.iter().map(|action| ((*action).to_owned(), resource.to_string())).collect()
}

fn logs(group: &str) -> BTreeSet<Permission> {
    on(&arn(group), &["logs:CreateLogStream", "logs:PutLogEvents"])
}

fn secret() -> BTreeSet<Permission> {
    on(&reference("SecretArn"), &["secretsmanager:GetSecretValue"])
}

fn queues(actions: &[&str]) -> BTreeSet<Permission> {
    ["LiveQueue", "HistoryQueue"].iter().flat_map(|queue| on(&arn(queue), actions)).collect()
}

fn state() -> BTreeSet<Permission> {
    let actions = ["BatchGetItem", "DeleteItem", "GetItem", "PutItem", "Query"];
    actions.iter().flat_map(|action| on(&arn("StateTable"), &[&format!("dynamodb:{action}")])).collect()
}

fn together(sets: &[BTreeSet<Permission>]) -> BTreeSet<Permission> {
    sets.iter().flatten().cloned().collect()
}

#[test]
fn the_webhook_reads_its_secret_and_sends_to_the_live_queue() {
    let wanted = [logs("WebhookLogs"), secret(), on(&arn("LiveQueue"), &["sqs:SendMessage"])];
    assert_eq!(granted("WebhookRole"), together(&wanted));
}

#[test]
fn the_consumer_takes_from_both_queues_and_uses_the_table() {
    let actions = ["ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage"];
    let actions = actions.map(|action| format!("sqs:{action}"));
    let taken = queues(&actions.each_ref().map(String::as_str));
    let put_back = on(&arn("LiveQueue"), &["sqs:SendMessage"]);
    assert_eq!(granted("ConsumerRole"), together(&[logs("ConsumerLogs"), secret(), taken, put_back, state()]));
}

#[test]
fn the_backfill_puts_on_both_queues_looks_at_both_and_uses_the_table() {
    let put = queues(&["sqs:GetQueueAttributes", "sqs:SendMessage"]);
    assert_eq!(granted("BackfillRole"), together(&[logs("BackfillLogs"), secret(), put, state()]));
}

#[test]
fn the_console_looks_at_the_live_queue_replays_to_both_and_uses_the_table() {
    let looked_at = on(&arn("LiveQueue"), &["sqs:GetQueueAttributes"]);
    let replayed = queues(&["sqs:SendMessage"]);
    assert_eq!(granted("ConsoleRole"), together(&[logs("ConsoleLogs"), secret(), looked_at, replayed, state()]));
}

#[test]
fn the_schedule_may_start_the_backfill_function_alone() {
    assert_eq!(granted("ScheduleRole"), on(&arn("BackfillFunction"), &["lambda:InvokeFunction"]));
}

#[test]
fn there_is_one_role_each_assumed_by_its_service_alone_and_no_wildcard() {
    let roles = all("AWS::IAM::Role");
    let names: Vec<_> = roles.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    for (name, role) in roles {
        let trust = &role["Properties"]["AssumeRolePolicyDocument"]["Statement"];
        let service = if name == "ScheduleRole" { "scheduler.amazonaws.com" } else { "lambda.amazonaws.com" };
        assert_eq!(trust.as_array().map(Vec::len), Some(1), "{name}");
        assert_eq!(trust[0]["Principal"], json!({"Service": service}), "{name}");
        assert!(!role.to_string().contains('*'), "{name} holds a wildcard");
    }
    for (name, function) in all("AWS::Lambda::Function") {
        let role = name.replace("Function", "Role");
        assert_eq!(function["Properties"]["Role"], arn(&role), "{name}");
    }
    for kind in ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::SQS::QueuePolicy"] {
        let resources = super::read()["deployed"]["Resources"].as_object().expect("resources");
        assert!(resources.values().all(|resource| resource["Type"] != kind), "a {kind} grants beside the roles");
    }
}

/// Lambda asks for both since October 2025: <https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html>.
#[test]
fn webhook_and_console_alone_are_open_to_the_world_and_through_their_urls_only() {
    let mut open = Vec::new();
    for (name, permission) in all("AWS::Lambda::Permission") {
        let made = &permission["Properties"];
        assert_eq!(made["Principal"], "*", "{name}");
        let by_url = made["FunctionUrlAuthType"] == "NONE" && made["Action"] == "lambda:InvokeFunctionUrl";
        let through_url = made["InvokedViaFunctionUrl"] == true && made["Action"] == "lambda:InvokeFunction";
        assert!(by_url || through_url, "{name}");
        open.push((made["FunctionName"]["Ref"].as_str().expect("a function"), by_url));
    }
    open.sort_unstable();
    let wanted =
        [("ConsoleFunction", false), ("ConsoleFunction", true), ("WebhookFunction", false), ("WebhookFunction", true)];
    assert_eq!(open, wanted);
}
