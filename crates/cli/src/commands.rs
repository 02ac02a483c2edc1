//! One file a command.

mod ask;
mod completion;
mod connect;
mod cost;
mod dead_letters;
mod demo;
pub(crate) mod doctor;
mod events;
mod explain;
mod forget;
mod history;
mod parked;
mod recipes;
mod run;
mod sandbox;
mod send_sample;
mod status;

use crate::args::Command;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::logging;

/// Runs a command to its end.
pub(crate) async fn execute(command: Command) -> Result<(), Failure> {
    logging::start(match command {
        Command::Run => "info",
        _ => "warn",
    });
    match command {
        Command::Demo(arguments) => demo::demo(&arguments).await,
        Command::Run => run::run(Environment::load()?).await,
        Command::Sandbox(arguments) => sandbox::sandbox(&arguments).await,
        Command::Doctor(arguments) => doctor::doctor(&arguments).await,
        Command::SendSample(arguments) => send_sample::send_sample(&Environment::load()?, &arguments).await,
        Command::Completion(arguments) => completion::completion(&arguments),
        Command::Connect(arguments) => connect::connect(&arguments).await,
        Command::Forget(arguments) => forget::forget(&Environment::load()?, &arguments).await,
        Command::Recipes(arguments) => recipes::recipes(&Environment::load()?, &arguments).await,
        Command::Events(arguments) => events::events(&Environment::load()?, &arguments).await,
        Command::Parked(arguments) => parked::parked(&Environment::load()?, &arguments).await,
        Command::Explain(arguments) => explain::explain(&Environment::load()?, &arguments),
        Command::Cost(arguments) => cost::cost(&arguments),
        Command::DeadLetters(arguments) => dead_letters::dead_letters(&Environment::load()?, &arguments).await,
        Command::History(arguments) => history::history(&Environment::load()?, &arguments).await,
        Command::Status(arguments) => status::status(&Environment::load()?, &arguments).await,
    }
}
