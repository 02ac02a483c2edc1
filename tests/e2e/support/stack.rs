//! The product as a stack on AWS: `template.yaml` as it is, deployed by SAM on an emulator of its own, with the real functions.
//!
//! What differs from one machine, and why: `in_flight` is the queue's depth and `accepted` the sum, so the books are exact once
//! the queue is quiet and not at every look. Their independent witness is the gateway in front of the webhook, which counts the
//! calls that were answered 200.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::binary;
use tests::emulator::{Deploy, Emulator, Stack};
use tests::http::Connection;
use tests::process::{Ended, Process};

use crate::gateway::Gateway;
use crate::gatherer::Gatherer;
use crate::schedule::Schedule;
use crate::support::{TOKEN, World};

/// See above.
pub(crate) const EXACT_AT_EVERY_LOOK: bool = false;

/// A look costs a call of a function, and every call time of the one process that all services are.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_millis(150);

/// How many times less there is to do than on one machine: the emulator hands over ten messages at a time, and a call through it
/// takes fifty times as long as one that is answered by a process.
pub(crate) const FEWER: usize = 5;

const STACK: &str = "shop";

/// The queues' visibility where a test waits for what a killed function had in hand: long enough for a batch, short enough to wait.
const SHORT_VISIBILITY: &str = "15";

/// The deployed product.
pub(crate) struct Product {
    emulator: Emulator,
    variables: BTreeMap<String, String>,
    secret: Option<String>,
    addresses: Option<Addresses>,
    hastened: bool,
    schedule: Option<Schedule>,
    gatherer: Option<Gatherer>,
}

/// Function URLs as plain addresses on this machine.
struct Addresses {
    webhook: Gateway,
    console: Gateway,
}

impl Product {
    /// Not deployed yet.
    pub(crate) fn new(variables: BTreeMap<String, String>) -> Self {
        Self {
            emulator: Emulator::start(),
            variables,
            secret: None,
            addresses: None,
            hastened: false,
            schedule: None,
            gatherer: None,
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Deploys it, or brings the parameters up to date.
    pub(crate) fn run(&mut self) {
        if self.addresses.is_some() {
            // Functions that were ended are started again by their next call.
            return;
        }
        let secret = self.emulator.create_secret("keys", &self.secrets());
        let mut parameters = vec![("SecretArn", secret.as_str())];
        let named =
            [("IntercomApiUrl", "INTERCOM_API_URL"), ("KlaviyoApiUrl", "KLAVIYO_API_URL"), ("Settings", "SETTINGS")];
        for (parameter, variable) in named {
            parameters.extend(self.variables.get(variable).map(|value| (parameter, value.as_str())));
        }
        let what = Deploy { stack: STACK, parameters: &parameters, binaries: binary::functions() };
        let stack = self.emulator.deploy(what);
        let gateway = |url: &str| Gateway::start(&self.emulator.address(), stack.output(url));
        self.addresses = Some(Addresses { webhook: gateway("WebhookUrl"), console: gateway("ConsoleUrl") });
        self.secret = Some(secret);
        self.emulator.witness().enforce(stack.granted());
        if self.hastened {
            self.hasten();
        }
    }

    /// What takes minutes takes seconds: the schedule ticks all the time, twice at once, and the queues give out after seconds what
    /// a killed function had in hand. The figures of the template are lowered where they are used, and told to the consumer.
    pub(crate) fn hasten(&mut self) {
        self.hastened = true;
        if self.addresses.is_none() {
            return;
        }
        let stack = self.stack();
        for queue in ["LiveQueueUrl", "HistoryQueueUrl"] {
            stack.set_attribute(queue, "VisibilityTimeout", SHORT_VISIBILITY);
        }
        stack.set_variable("ConsumerFunctionName", "QUEUE_VISIBILITY_SECONDS", Some(SHORT_VISIBILITY));
        let schedule = Schedule::start(&stack);
        self.schedule = Some(schedule);
    }

    /// Whether the consumer is handed messages; what an operator switches off to look at a queue.
    pub(crate) fn consume(&self, enabled: bool) {
        let stack = self.stack();
        let path = format!("/2015-03-31/event-source-mappings/?FunctionName={}", stack.output("ConsumerFunctionName"));
        let mappings = self.emulator.lambda("GET", &path, None);
        let mappings = mappings["EventSourceMappings"].as_array().expect("a list");
        assert_eq!(mappings.len(), 2, "one for each queue");
        for mapping in mappings {
            let path = format!("/2015-03-31/event-source-mappings/{}", mapping["UUID"].as_str().expect("an id"));
            self.emulator.lambda("PUT", &path, Some(&json!({ "Enabled": enabled })));
        }
    }

    /// From now on messages are handed over in batches as large as AWS makes them.
    pub(crate) fn gather(&mut self) {
        self.consume(false);
        // A poll that was on its way when it was switched off ends first.
        std::thread::sleep(Duration::from_secs(2));
        let gatherer = Gatherer::start(&self.stack());
        self.gatherer = Some(gatherer);
    }

    /// Nobody is handed messages until [`Product::gather`].
    pub(crate) fn pile_up(&mut self) {
        self.gatherer = None;
        self.consume(false);
    }

    fn secrets(&self) -> Value {
        let names = ["INTERCOM_CLIENT_SECRET", "INTERCOM_ACCESS_TOKEN", "KLAVIYO_API_KEY", "CONSOLE_TOKEN"];
        names.into_iter().filter_map(|name| Some((name.to_owned(), json!(self.variables.get(name)?)))).collect()
    }

    /// SIGKILL for every function that runs.
    pub(crate) fn kill(&mut self) {
        self.emulator.kill_functions();
    }

    /// Lambda ends functions without asking them: there is no other end than this one.
    pub(crate) fn stop(&mut self) {
        self.kill();
    }

    pub(crate) fn is_running(&self) -> bool {
        self.addresses.is_some()
    }

    /// `host:port` of the webhook.
    pub(crate) fn webhook(&self) -> &str {
        self.addresses.as_ref().expect("it runs").webhook.address()
    }

    /// `host:port` of the console.
    pub(crate) fn console(&self) -> &str {
        self.addresses.as_ref().expect("it runs").console.address()
    }

    /// What the functions have logged so far.
    pub(crate) fn log(&self) -> String {
        self.logs().join("\n")
    }

    /// Everything that the functions wrote, for each of them.
    pub(crate) fn logs(&self) -> Vec<String> {
        let stack = self.stack();
        ["webhook", "consumer", "backfill", "console"].map(|function| stack.logs(function).join("\n")).into()
    }

    /// What must hold at the end of every scenario: nothing was too much for the consumer, and once the queues are quiet the books
    /// know exactly the calls that were answered 200.
    pub(crate) fn check(&self, status: impl Fn() -> Value) {
        let stack = self.stack();
        assert_eq!(stack.depth("DeadLetterQueueUrl"), [0, 0, 0], "the consumer records everything");
        assert_eq!(self.emulator.witness().refused(), Vec::<String>::new(), "the roles grant what is needed");
        let answered = self.addresses.as_ref().expect("it runs").webhook.accepted();
        tests::wait::until("the books to know every call that was answered 200", Duration::from_secs(30), || {
            (status()["accepted"] == answered).then_some(())
        });
    }

    /// A command of the binary, on a machine that knows the address and the token of the console and nothing else.
    fn execute(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(binary::path());
        command.env_clear().env("CONSOLE_TOKEN", TOKEN).current_dir(self.emulator.scratch()).args(arguments);
        Process::start(&mut command).end(Duration::from_secs(60))
    }

    /// What Lambda counts of the webhook's address: `UrlRequestCount`, `Url4xxCount`, `Url5xxCount`.
    pub(crate) fn url_metrics(&self) -> [u64; 3] {
        self.addresses.as_ref().expect("it runs").webhook.metrics()
    }

    /// The deployed stack, for what only it can show.
    pub(crate) fn stack(&self) -> Stack<'_> {
        self.emulator.stack(STACK)
    }

    /// The AWS around it.
    pub(crate) fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// Puts a new version of the secret, as who rotates keys does: the variables as they are set now, but those named.
    pub(crate) fn put_secret_without(&self, names: &[&str]) {
        let mut values = self.secrets();
        values.as_object_mut().expect("an object").retain(|name, _| !names.contains(&name.as_str()));
        let input = json!({"SecretId": self.secret, "SecretString": values.to_string()});
        self.emulator.call("secretsmanager.PutSecretValue", &input);
    }
}

/// What scenarios of both worlds ask for, each in its own way.
impl World {
    /// Runs a command to its end.
    pub(crate) fn execute(&self, arguments: &[&str]) -> Ended {
        self.product.execute(arguments)
    }

    /// A connection to the webhook.
    pub(crate) fn connection(&self) -> Connection {
        Connection::open(self.product.webhook()).expect("it listens")
    }
}
