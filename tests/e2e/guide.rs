//! The guide for AWS, word by word: its commands run in one shell against the emulator, with the real functions, from an address of the
//! code to the first event at Klaviyo, and to the last trace of the stack. In between the test does what the guide asks of a person.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sandbox::{Sandbox, SandboxConfig};
use serde_json::json;
use tests::binary;
use tests::emulator::Emulator;
use tests::process::Process;
use tests::wait::until;

#[path = "guide/blocks.rs"]
mod blocks;
#[path = "guide/shell.rs"]
mod shell;

const STACK: &str = "intercom-klaviyo";

/// A stack is deployed in half a minute on a quiet machine.
const DEPLOYED: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(60);

/// The person who follows the guide: what they see, and what they do beside typing.
struct Person<'a> {
    emulator: &'a Emulator,
    sandbox: &'a Sandbox,
    shell: Process,
    customer: String,
    tickets: usize,
}

impl Person<'_> {
    /// Waits until the shell has come to `place`, does something there, and lets the shell go on.
    fn at(&mut self, place: &str, act: impl FnOnce(&mut Self)) {
        let reached = self.emulator.scratch().join(place);
        until(&format!("the guide's {place}"), DEPLOYED, || {
            let ended = !reached.exists() && self.shell.exited().is_some();
            assert!(!ended, "the guide ended before {place}:\n{}{}", self.shell.stdout(), self.shell.stderr());
            reached.exists().then_some(())
        });
        act(self);
        fs::remove_file(reached).expect("it is there");
    }

    /// Pastes the webhook's address in Intercom.
    fn saves_the_webhook(&self) {
        let stack = self.emulator.stack(STACK);
        let url = stack.output("WebhookUrl");
        self.sandbox.intercom().set_webhook(shell::reachable(self.emulator, url));
    }

    /// Files a ticket in their own messenger and looks for `metric` in Klaviyo.
    fn files_a_ticket(&mut self, metric: &str) {
        self.tickets += 1;
        let name = format!("Try {}", self.tickets);
        self.sandbox.intercom().create_ticket(&self.customer, "Order problem", &name).expect("is filed");
        until(&format!("{metric} in Klaviyo"), SOON, || {
            let events = self.sandbox.klaviyo().events();
            events
                .iter()
                .any(|event| event.metric == metric && event.properties["Ticket name"] == name.as_str())
                .then_some(())
        });
    }
}

#[test]
fn every_command_of_the_guide_works_in_its_order() {
    let guide = fs::read_to_string(binary::workspace().join("docs/aws.md")).expect("docs/aws.md");
    let blocks = blocks::of(&guide);
    let run_here = blocks.iter().filter(|block| block.not_run.is_none()).count();
    assert!(run_here >= 16, "the guide's blocks are not found");
    for reason in blocks.iter().filter_map(|block| block.not_run.as_deref()) {
        assert!(reason.split(' ').count() >= 4, "why not? {reason}");
    }

    let (emulator, sandbox) = (Emulator::start(), sandbox());
    let customer = sandbox
        .intercom()
        .add_contact(sandbox::intercom::ContactSpec::user("ada@customers.sandbox-shop.co", "Ada Byron"));
    let mut command = shell::bash(&emulator, &sandbox, &blocks::script(&blocks));
    let shell = Process::start(&mut command);
    let mut person = Person { emulator: &emulator, sandbox: &sandbox, shell, customer, tickets: 0 };
    person.at("deployed", |person| person.saves_the_webhook());
    person.at("checked", |person| person.files_a_ticket("Intercom Created Ticket"));
    person.at("changed", |person| person.files_a_ticket("Created Ticket"));
    person.at("updated", |person| person.files_a_ticket("Created Ticket"));
    // The lean settings take the place of those before.
    person.at("lean", |person| {
        person.files_a_ticket("Intercom Created Ticket");
        person.sandbox.intercom().clear_webhook();
    });
    let ended = person.shell.end(DEPLOYED);
    let said = [ended.stdout, ended.stderr].concat();
    assert_eq!(ended.code, Some(0), "{said}");

    // At its end everything is gone but the secret, which AWS keeps for a week.
    assert_eq!(emulator.call("DynamoDB_20120810.ListTables", &json!({}))["TableNames"], json!([]), "{said}");
    let queues = emulator.call("AmazonSQS.ListQueues", &json!({}));
    assert_eq!(queues["QueueUrls"].as_array().map_or(0, Vec::len), 0, "{queues}");
    let keys = SandboxConfig::default();
    for secret in [keys.client_secret, keys.access_token, keys.klaviyo_key] {
        assert!(!said.contains(&secret), "a secret was printed:\n{said}");
    }
}

fn sandbox() -> Sandbox {
    Sandbox::start_on_thread(SandboxConfig::default()).expect("the vendors start")
}

/// What of the repository the commands need, with a package in place of ours that has nothing to compile.
fn origin(dir: &Path) -> PathBuf {
    let place = dir.join("origin");
    let package = place.join("crates/lambdas");
    fs::create_dir_all(package.join("src/bin")).expect("a directory");
    fs::create_dir(place.join("infra")).expect("a directory");
    for file in ["template.yaml", "samconfig.toml", ".gitignore", "infra/dashboard.yaml", "infra/books.yaml"] {
        fs::copy(binary::workspace().join(file), place.join(file)).expect("copies");
    }
    let manifest = "[package]\nname = \"lambdas\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(package.join("Cargo.toml"), manifest).expect("writes");
    for name in ["webhook", "consumer", "backfill", "console"] {
        fs::write(package.join(format!("src/bin/{name}.rs")), "fn main() {}\n").expect("writes");
    }
    for arguments in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "--message", "The first"]] {
        let done = Command::new("git").args(shell::AS_SOMEBODY).args(arguments).current_dir(&place).status();
        assert!(done.expect("git is there").success(), "git {arguments:?}");
    }
    place
}
