//! The stack of `template.yaml`, deployed by SAM as a shop would.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{Emulator, build, tools};
use crate::http::{Answer, Header};

/// What to deploy.
#[derive(Clone, Copy, Debug)]
pub struct Deploy<'a> {
    /// The stack's name; a second deployment of one name is an update.
    pub stack: &'a str,
    /// Parameters of the template beside `Architecture`, which is this machine's.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Where the binaries `webhook`, `consumer`, `backfill` and `console` are.
    pub binaries: &'a Path,
}

/// A deployed stack.
#[derive(Debug)]
pub struct Stack<'a> {
    emulator: &'a Emulator,
    name: String,
    outputs: BTreeMap<String, String>,
}

impl Emulator {
    /// `sam build` and `sam deploy` of `template.yaml` as it is; only the compiler is left out of the build.
    ///
    /// # Panics
    /// When one of them fails; with all that it said.
    pub fn deploy(&self, what: Deploy<'_>) -> Stack<'_> {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
        let mut overrides = vec![format!("Architecture={architecture}")];
        // SAM splits at spaces and quotes, so a value with either has to be quoted for it.
        let quoted = |value: &str| value.replace('"', "\\\"");
        overrides.extend(what.parameters.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))));
        let built = build::built(what.binaries);
        let template = built.join("template.yaml");
        let template = template.to_string_lossy();
        let mut arguments = vec!["deploy", "--template-file", &*template, "--stack-name", what.stack];
        arguments.extend(["--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset"]);
        arguments.extend(["--capabilities", "CAPABILITY_IAM", "--config-env", "none", "--parameter-overrides"]);
        arguments.extend(overrides.iter().map(String::as_str));
        self.sam(&arguments);
        self.stack(what.stack)
    }

    /// A stack that was deployed before.
    pub fn stack(&self, name: &str) -> Stack<'_> {
        Stack { emulator: self, name: name.to_owned(), outputs: self.outputs(name) }
    }

    fn sam(&self, arguments: &[&str]) {
        let ended = tools::sam().command().args(arguments).envs(self.environment()).output().expect("sam starts");
        let said = [ended.stdout, ended.stderr].concat();
        assert!(ended.status.success(), "sam {arguments:?}:\n{}", String::from_utf8_lossy(&said));
    }

    /// CloudFormation speaks XML; of its answer only two elements matter here.
    fn outputs(&self, stack: &str) -> BTreeMap<String, String> {
        let text = self.query("cloudformation", &format!("Action=DescribeStacks&Version=2010-05-15&StackName={stack}"));
        let element = |piece: &str, name: &str| {
            let (_, rest) = piece.split_once(&format!("<{name}>"))?;
            Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
        };
        text.split("<OutputKey>")
            .skip(1)
            .map(|piece| format!("<OutputKey>{piece}"))
            .filter_map(|piece| Some((element(&piece, "OutputKey")?, element(&piece, "OutputValue")?)))
            .collect()
    }
}

impl Stack<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is deployed.
    pub(super) fn emulator(&self) -> &Emulator {
        self.emulator
    }

    /// All outputs by name.
    pub fn outputs(&self) -> &BTreeMap<String, String> {
        &self.outputs
    }

    /// An output of the template.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).unwrap_or_else(|| panic!("no output {name}: {:?}", self.outputs))
    }

    /// One request to the function URL in the output `url`.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn send(&self, url: &str, request: Request<'_>) -> Answer {
        let host = self.output(url).trim_start_matches("https://").trim_end_matches('/');
        self.emulator
            .request_to(host, request.method, request.path, request.headers, request.body)
            .expect("the function URL answers")
    }

    /// Calls the function in the output `name` and gives what it returned, or the error that it ended with.
    ///
    /// # Errors
    /// The function's error.
    ///
    /// # Panics
    /// When Lambda itself refuses.
    pub fn invoke(&self, name: &str, payload: &Value) -> Result<Value, Value> {
        let path = format!("/2015-03-31/functions/{}/invocations", self.output(name));
        let answer = self.emulator.request("POST", &path, &[], payload.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let failed = answer.header("x-amz-function-error").is_some();
        if failed { Err(answer.json()) } else { Ok(answer.json()) }
    }

    /// Sets or, with `None`, removes a variable of the function in the output `function`, which starts anew by it.
    ///
    /// # Panics
    /// When Lambda refuses.
    pub fn set_variable(&self, function: &str, name: &str, value: Option<&str>) {
        let path = format!("/2015-03-31/functions/{}/configuration", self.output(function));
        let mut variables = self.emulator.lambda("GET", &path, None)["Environment"]["Variables"].clone();
        let known = variables.as_object_mut().expect("variables");
        match value {
            Some(value) => drop(known.insert(name.to_owned(), json!(value))),
            None => drop(known.remove(name)),
        }
        self.emulator.lambda("PUT", &path, Some(&json!({ "Environment": { "Variables": variables } })));
    }

    /// Sets an attribute of the queue in the output `queue`.
    ///
    /// # Panics
    /// When SQS refuses.
    pub fn set_attribute(&self, queue: &str, name: &str, value: &str) {
        let input = json!({"QueueUrl": self.output(queue), "Attributes": {name: value}});
        self.emulator.call("AmazonSQS.SetQueueAttributes", &input);
    }

    /// An attribute of the queue in the output `queue`.
    ///
    /// # Panics
    /// When it has none of this name.
    pub fn attribute(&self, queue: &str, name: &str) -> String {
        let input = json!({"QueueUrl": self.output(queue), "AttributeNames": ["All"]});
        let answer = self.emulator.call("AmazonSQS.GetQueueAttributes", &input);
        answer["Attributes"][name].as_str().unwrap_or_else(|| panic!("no {name}: {answer}")).to_owned()
    }

    /// Puts what the dead-letter queue holds back on the live queue, as `aws sqs start-message-move-task` does, which the emulator does
    /// not know. Gives how many messages there were.
    ///
    /// # Panics
    /// When SQS refuses.
    pub fn redrive(&self) -> usize {
        let (from, to) = (self.output("DeadLetterQueueUrl"), self.output("LiveQueueUrl"));
        let input = json!({"QueueUrl": from, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]});
        let taken = self.emulator.call("AmazonSQS.ReceiveMessage", &input);
        let messages = taken["Messages"].as_array().cloned().unwrap_or_default();
        for message in &messages {
            let attributes = message["MessageAttributes"].as_object().cloned().unwrap_or_default();
            let again = json!({"QueueUrl": to, "MessageBody": message["Body"], "MessageAttributes": attributes});
            self.emulator.call("AmazonSQS.SendMessage", &again);
            let done = json!({"QueueUrl": from, "ReceiptHandle": message["ReceiptHandle"]});
            self.emulator.call("AmazonSQS.DeleteMessage", &done);
        }
        messages.len()
    }

    /// How many messages the queue in the output `url` holds: to be had, taken, delayed.
    pub fn depth(&self, url: &str) -> [u64; 3] {
        ["", "NotVisible", "Delayed"]
            .map(|kind| self.attribute(url, &format!("ApproximateNumberOfMessages{kind}")).parse().expect("a count"))
    }

    /// Every line that a function (`webhook`, `consumer`, `backfill`, `console`) has logged, the platform's included.
    pub fn logs(&self, function: &str) -> Vec<String> {
        let group = format!("/aws/lambda/{}-{function}", self.name);
        let streams = self.emulator.call("Logs_20140328.DescribeLogStreams", &json!({"logGroupName": group}));
        let streams = streams["logStreams"].as_array().cloned().unwrap_or_default();
        streams.iter().flat_map(|stream| self.stream(&group, &stream["logStreamName"])).collect()
    }

    /// Follows the forward token, which repeats itself at the end.
    fn stream(&self, group: &str, stream: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        let mut token = Value::Null;
        loop {
            let mut input = json!({"logGroupName": group, "logStreamName": stream, "startFromHead": true});
            if !token.is_null() {
                input["nextToken"] = token.clone();
            }
            let page = self.emulator.call("Logs_20140328.GetLogEvents", &input);
            let events = page["events"].as_array().cloned().unwrap_or_default();
            lines.extend(events.iter().filter_map(|event| event["message"].as_str().map(str::to_owned)));
            if events.is_empty() || page["nextForwardToken"] == token {
                return lines;
            }
            token = page["nextForwardToken"].clone();
        }
    }
}

/// A request to a function URL.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Beside `host` and `content-length`.
    pub headers: &'a [Header<'a>],
    /// Reaches the function base64-encoded unless the content type is text or JSON.
    pub body: &'a [u8],
}
