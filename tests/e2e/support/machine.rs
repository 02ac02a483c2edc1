//! The product as one process on one machine: the real binary, started with environment variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::binary;
use tests::http::Connection;
use tests::process::{Ended, Process};

use crate::support::World;

/// The books are exact at every look, not only once the queue is quiet.
pub(crate) const EXACT_AT_EVERY_LOOK: bool = true;

/// A look costs nothing.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::ZERO;

/// All there is to do is done here.
pub(crate) const FEWER: usize = 1;

/// The running product.
pub(crate) struct Product {
    folder: TempDir,
    variables: BTreeMap<String, String>,
    run: Option<Process>,
    address: String,
    ended: Vec<Ended>,
}

impl Product {
    /// Not running yet.
    pub(crate) fn new(mut variables: BTreeMap<String, String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        variables.insert("LISTEN".to_owned(), "127.0.0.1:0".to_owned());
        variables.insert("DATA_DIR".to_owned(), folder.path().join("data").display().to_string());
        Self { folder, variables, run: None, address: String::new(), ended: Vec::new() }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Starts it.
    pub(crate) fn run(&mut self) {
        let command = self.command(&["run"]);
        self.run_as(command);
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(run) = self.run.take() {
            self.ended.push(run.kill());
        }
    }

    /// SIGTERM, and an orderly end.
    pub(crate) fn stop(&mut self) {
        let run = self.run.take().expect("it runs");
        run.terminate();
        let ended = run.end(Duration::from_secs(20));
        assert_eq!(ended.code, Some(0), "SIGTERM ends it in order:\n{}", ended.stderr);
        self.ended.push(ended);
    }

    /// One machine does its chores when they are due, and knows what a killed process had in hand.
    pub(crate) fn hasten(&mut self) {}

    /// What piles up here is what Klaviyo does not take.
    pub(crate) fn pile_up(&mut self) {}

    /// Batches are as large as they can be.
    pub(crate) fn gather(&mut self) {}

    pub(crate) fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// `host:port` of the webhook.
    pub(crate) fn webhook(&self) -> &str {
        &self.address
    }

    /// `host:port` of the console.
    pub(crate) fn console(&self) -> &str {
        &self.address
    }

    /// What it has logged since it was started.
    pub(crate) fn log(&self) -> String {
        self.run.as_ref().map(Process::stderr).unwrap_or_default()
    }

    /// Everything that it wrote, once it does not run any more.
    pub(crate) fn logs(&self) -> Vec<String> {
        self.ended.iter().flat_map(|ended| [ended.stderr.clone(), ended.stdout.clone()]).collect()
    }

    /// The watcher has looked all the time.
    pub(crate) fn check(&self, _status: impl Fn() -> Value) {}

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary::path());
        self.surround(&mut command);
        command.args(arguments);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.env_clear().envs(&self.variables).current_dir(self.folder.path());
    }

    fn run_as(&mut self, mut command: Command) {
        let mut run = Process::start(&mut command);
        self.address = run.line("listening on http://");
        self.run = Some(run);
    }
}

/// What only a process on this machine has.
impl World {
    /// Removes a variable for the next start.
    pub(crate) fn unset(&mut self, name: &str) {
        self.product.variables.remove(name);
    }

    /// A command of the binary with this world's environment and nothing else.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.product.command(arguments)
    }

    /// Gives a command this world's environment.
    pub(crate) fn surround(&self, command: &mut Command) {
        self.product.surround(command);
    }

    /// Runs a command to its end.
    pub(crate) fn execute(&self, arguments: &[&str]) -> Ended {
        Process::start(&mut self.command(arguments)).end(Duration::from_secs(60))
    }

    /// As [`World::run`], with a command of the test's own.
    pub(crate) fn run_as(&mut self, command: Command) {
        self.product.run_as(command);
        self.announce();
    }

    /// The most memory that the product ever had, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        self.product.run.as_ref().expect("it runs").peak_memory_kib()
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.product.run.as_mut().expect("it runs")
    }

    /// `host:port` of the product.
    pub(crate) fn address(&self) -> &str {
        &self.product.address
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.product.folder.path()
    }

    /// A connection to the webhook.
    pub(crate) fn connection(&self) -> Connection {
        Connection::open(&self.product.address).expect("it listens")
    }
}
