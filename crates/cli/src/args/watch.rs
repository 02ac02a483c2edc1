//! Looking at what came, what waits and what could not be delivered.

use clap::{Args, Subcommand};

use super::ConsoleArguments;

#[derive(Debug, Args)]
pub(crate) struct EventArguments {
    /// Only this metric, by its whole name
    #[arg(long, value_name = "NAME")]
    pub(crate) metric: Option<String>,
    /// Only this fate
    #[arg(long, value_name = "FATE", value_parser = ["sent", "skipped", "parked", "dead"])]
    pub(crate) fate: Option<String>,
    /// Only this contact, by Intercom's id
    #[arg(long, value_name = "ID")]
    pub(crate) contact: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
    #[command(flatten)]
    pub(crate) console: ConsoleArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ParkedArguments {
    #[command(subcommand)]
    pub(crate) action: ParkedAction,
    #[command(flatten)]
    pub(crate) console: ConsoleArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedAction {
    /// Lists notifications that wait for a contact to get an e-mail address or phone number
    List,
}

#[derive(Debug, Args)]
pub(crate) struct DeadLetterArguments {
    #[command(subcommand)]
    pub(crate) action: DeadLetterAction,
    /// Do not ask before something is given up
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) console: ConsoleArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterAction {
    /// Lists all of them, newest first
    List {
        /// Only those whose reason begins with this
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Counts them by reason
    Groups,
    /// Puts one, all with a reason, or all back on the queue
    Replay(Chosen),
    /// Gives one, all with a reason, or all up: counted as skipped, their bytes are dropped
    Discard(Chosen),
}

/// Which dead letters.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false, args = ["id", "reason", "all"])]
pub(crate) struct Chosen {
    /// Its id, as `list` shows it
    pub(crate) id: Option<String>,
    /// All whose reason begins with this
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
}
