//! Setting up, using and tidying: connect, recipes, forget, completion.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::ConsoleArguments;

#[derive(Debug, Args)]
pub(crate) struct RecipeArguments {
    #[command(subcommand)]
    pub(crate) action: RecipeAction,
    #[command(flatten)]
    pub(crate) console: ConsoleArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecipeAction {
    /// Lists what can be made, and what is missing for it
    List,
    /// Shows one: what it is for, and the requests that would make it
    Show {
        /// Its name, as `list` shows it
        name: String,
    },
    /// Makes one or all of them; what is there already is left alone
    Apply {
        /// Its name, as `list` shows it
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        name: Option<String>,
        /// All that nothing is missing for
        #[arg(long)]
        all: bool,
        /// Do not ask before it is made
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
#[group(id = "who", required = true, multiple = false, args = ["email", "contact"])]
pub(crate) struct ForgetArguments {
    /// The person's e-mail address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    /// Intercom's id of the contact
    #[arg(long, value_name = "ID")]
    pub(crate) contact: Option<String>,
    /// Ask Klaviyo as well to delete the person's profile and events, for good (scope data-privacy:write)
    #[arg(long)]
    pub(crate) klaviyo: bool,
    /// Do not ask before it is done
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) console: ConsoleArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectArguments {
    /// Take the three secrets from the environment and ask nothing
    #[arg(long)]
    pub(crate) from_env: bool,
    /// Look only: write no file
    #[arg(long)]
    pub(crate) check: bool,
    /// Intercom's region
    #[arg(long, value_name = "REGION", value_parser = ["us", "eu", "au"])]
    pub(crate) region: Option<String>,
    /// Replace values that the file has already, without asking
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// The file that is written, mode 600; other lines in it stay
    #[arg(long, value_name = "FILE", default_value = ".env")]
    pub(crate) file: PathBuf,
    /// The ARN of a Secrets Manager secret: say what to put there instead of writing a file
    #[arg(long, value_name = "ARN")]
    pub(crate) aws_secret: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionArguments {
    /// Whose script is printed
    pub(crate) shell: Shell,
}
