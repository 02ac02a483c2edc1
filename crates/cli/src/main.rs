//! `intercom-klaviyo`: keeps a Klaviyo account in step with an Intercom workspace.
//!
//! This crate wires adapters to use cases, serves HTTP, and talks to people. It decides nothing about events.

mod args;
mod commands;
mod connecting;
mod console_client;
mod environment;
mod failure;
mod logging;
mod memory;
mod output;
mod pipeline;
mod server;
mod shutdown;
mod token;
mod web;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use args::{Arguments, Command};

/// More threads would cost memory and serve nobody: one thread of the store writes everything.
const MOST_THREADS: usize = 4;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Command::Run) {
        memory::bound();
    }
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, MOST_THREADS);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complaint(format!("error: threads cannot be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(commands::execute(arguments.command));
    // What still runs was told to stop and did not; the queue has it.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complaint(format!("error: {failure}"));
            ExitCode::from(failure.code())
        }
    }
}
