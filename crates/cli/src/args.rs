//! What can be typed.

mod desk;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::environment::parse_address;

pub(crate) use desk::{CompletionArguments, ConnectArguments, ForgetArguments, RecipeAction, RecipeArguments};
pub(crate) use watch::{Chosen, DeadLetterAction, DeadLetterArguments, EventArguments, ParkedAction, ParkedArguments};

const EXIT_CODES: &str = "\
Exit codes: 0 good; 1 the thing asked about is bad or did not work; 2 the command or the environment is wrong.
Secrets and addresses come from environment variables or from `.env` in the working directory; see the README.";

/// Keeps a Klaviyo account in step with an Intercom workspace.
#[derive(Debug, Parser)]
#[command(name = "intercom-klaviyo", version, after_help = EXIT_CODES, max_term_width = 120)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the whole pipeline at work against stand-ins of both vendors
    #[command(after_help = "Example: intercom-klaviyo demo --exit")]
    Demo(DemoArguments),
    /// Runs the whole pipeline against the real vendors until Ctrl-C or SIGTERM
    #[command(after_help = "Example: LISTEN=0.0.0.0:8080 CONSOLE_TOKEN=… intercom-klaviyo run")]
    Run,
    /// Leads from nothing to the first event: checks keys as they are entered, and writes them down
    #[command(after_help = "\
Examples: intercom-klaviyo connect
          intercom-klaviyo connect --from-env --region eu --overwrite
          intercom-klaviyo connect --aws-secret arn:aws:secretsmanager:eu-west-1:123456789012:secret:ik-AbCdEf")]
    Connect(ConnectArguments),
    /// Makes segments and flows in Klaviyo that use the data
    #[command(after_help = "\
Examples: intercom-klaviyo recipes list
          intercom-klaviyo recipes show low-rating
          intercom-klaviyo recipes apply --all --yes")]
    Recipes(RecipeArguments),
    /// Removes what is kept of a person, and on request what Klaviyo has
    #[command(after_help = "\
Examples: intercom-klaviyo forget --email ann@example.com
          intercom-klaviyo forget --contact 6620f0d1c2a4b8e91d3f5a70 --klaviyo --yes")]
    Forget(ForgetArguments),
    /// Prints a completion script for a shell
    #[command(after_help = "\
Examples: intercom-klaviyo completion bash > ~/.local/share/bash-completion/completions/intercom-klaviyo
          intercom-klaviyo completion fish > ~/.config/fish/completions/intercom-klaviyo.fish")]
    Completion(CompletionArguments),
    /// Starts the two stand-in vendors alone and prints the environment that points `run` at them
    #[command(after_help = "Example: intercom-klaviyo sandbox --klaviyo-listen 127.0.0.1:4002")]
    Sandbox(SandboxArguments),
    /// Checks keys, scopes, hosts, clock, disk and settings, and says for each what to do
    #[command(after_help = "Example: intercom-klaviyo doctor --public https://hooks.example.com --json")]
    Doctor(DoctorArguments),
    /// Signs a sample notification and posts it to the webhook, as Intercom would
    #[command(after_help = "Example: intercom-klaviyo send-sample ticket.created --url http://127.0.0.1:8080")]
    SendSample(SampleArguments),
    /// Says what becomes of a notification or REST item: rule, every field's fate, the exact request to Klaviyo
    #[command(after_help = "\
Examples: intercom-klaviyo explain notification.json --json
          intercom-klaviyo explain notification.json --settings planned.toml")]
    Explain(ExplainArguments),
    /// Lists, groups, replays or discards notifications that could not be delivered
    #[command(after_help = "\
Examples: intercom-klaviyo dead-letters groups
          intercom-klaviyo dead-letters replay 01ABC
          intercom-klaviyo dead-letters discard --reason \"Klaviyo refused it\" --yes")]
    DeadLetters(DeadLetterArguments),
    /// Lists recent events with what became of them
    #[command(after_help = "Example: intercom-klaviyo events --fate skipped --contact 6620f0d1c2a4b8e91d3f5a70")]
    Events(EventArguments),
    /// Lists notifications that wait for their contact
    #[command(after_help = "Example: intercom-klaviyo parked list --json")]
    Parked(ParkedArguments),
    /// Plans, starts, watches and steers the import of the past
    #[command(after_help = "Example: intercom-klaviyo history plan; intercom-klaviyo history start")]
    History(HistoryArguments),
    /// Computes what a month on AWS costs, from the template's figures and AWS's list prices
    #[command(after_help = "Example: intercom-klaviyo cost --events 1000000 --lean")]
    Cost(CostArguments),
    /// Shows the books of a running pipeline
    #[command(after_help = "Example: intercom-klaviyo status --url https://example.com --json")]
    Status(StatusArguments),
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// End when everything is delivered; exit code 0 only if the stand-in Klaviyo holds exactly what it should
    #[arg(long)]
    pub(crate) exit: bool,
    /// Where the console and the webhook are served: a loopback address
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = address)]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct SandboxArguments {
    /// Where the stand-in Intercom is served
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = address)]
    pub(crate) intercom_listen: SocketAddr,
    /// Where the stand-in Klaviyo is served
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = address)]
    pub(crate) klaviyo_listen: SocketAddr,
    /// Where the stand-in Intercom sends its notifications
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/webhooks/intercom")]
    pub(crate) webhook_url: String,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// The address under which Intercom reaches the webhook; it is called as Intercom calls it
    #[arg(long, value_name = "URL")]
    pub(crate) public: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CostArguments {
    /// Live events in a month
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) events: u64,
    /// How many events a call of the consumer takes on average [default: 50, and 100 with --lean]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: Option<u16>,
    /// Size of a notification in KB
    #[arg(long, value_name = "KB", default_value_t = 3)]
    pub(crate) kilobytes: u16,
    /// As the guide's lean option: cheaper, and it says what it does without
    #[arg(long)]
    pub(crate) lean: bool,
    /// Another template than the shipped one
    #[arg(long, value_name = "FILE")]
    pub(crate) template: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArguments {
    /// The topic of the notification
    #[arg(default_value = "conversation.user.created")]
    pub(crate) topic: String,
    /// The pipeline's address, or the full URL of its webhook [default: http:// and LISTEN]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Intercom's id of the contact; without one the contact is made up, and the event ends as "contact gone"
    #[arg(long, value_name = "ID")]
    pub(crate) contact: Option<String>,
    /// The workspace's id [default: asked for at Intercom, with INTERCOM_ACCESS_TOKEN]
    #[arg(long, value_name = "ID")]
    pub(crate) workspace: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// A JSON file: a webhook's body, a conversation, a ticket or a contact; "-" reads stdin
    pub(crate) file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The X-Hub-Signature header that came with it; checked with INTERCOM_CLIENT_SECRET
    #[arg(long, value_name = "HEADER")]
    pub(crate) signature: Option<String>,
    /// A JSON file with the contact, as Intercom's REST API gives it
    #[arg(long, value_name = "FILE")]
    pub(crate) contact: Option<PathBuf>,
    /// Other settings, a TOML or JSON file: show what they would change in what is sent
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
}

/// Where the console is.
#[derive(Debug, Args)]
pub(crate) struct ConsoleArguments {
    /// The console's address [default: that of the process that runs here]
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) url: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) console: ConsoleArguments,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    #[command(subcommand)]
    pub(crate) action: HistoryAction,
    #[command(flatten)]
    pub(crate) console: ConsoleArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum HistoryAction {
    /// What an import would bring and cost, before anything is sent
    Plan,
    /// Where the import stands
    Status {
        /// Show it until it is done or stops
        #[arg(long)]
        watch: bool,
    },
    /// Starts the import; nothing else does
    Start,
    /// Stops reading and sending
    Pause,
    /// Goes on after a pause or a failure
    Resume,
    /// Imports again from the beginning; what Klaviyo has is not sent again
    Restart,
    /// Compares what was read with Intercom's own counts, now
    Verify,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    parse_address(text).ok_or_else(|| "wanted: an address and a port such as 127.0.0.1:8080".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[track_caller]
    fn check(line: &str) {
        Arguments::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
    }

    /// What needs a choice is refused without one, and with two.
    #[test]
    fn a_choice_is_one() {
        let lines = [
            "x forget",
            "x forget --email a --contact b",
            "x recipes apply",
            "x recipes apply a --all",
            "x dead-letters replay",
            "x dead-letters replay 1 --all",
            "x completion tcsh",
            "x connect --region mars",
        ];
        for line in lines {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn the_documented_commands_are_understood() {
        check("x demo --exit --listen 127.0.0.1:9000");
        check("x run");
        check("x sandbox --intercom-listen 127.0.0.1:1 --klaviyo-listen [::1]:2");
        check("x doctor --json");
        check("x send-sample");
        check("x send-sample ticket.created --url http://h");
        check("x explain f.json --json --signature sha1=00 --contact c.json");
        check("x dead-letters list --json --url http://h");
        check("x dead-letters replay 1");
        check("x dead-letters discard 1 --yes --json");
        check("x dead-letters groups");
        check("x dead-letters replay --all --yes");
        check("x dead-letters discard --reason refused --yes");
        check("x events --metric M --fate sent --contact 1 --limit 5");
        check("x parked list --json");
        check("x recipes list --json");
        check("x recipes show low-rating");
        check("x recipes apply low-rating --yes");
        check("x recipes apply --all");
        check("x forget --email a@b.c --klaviyo --yes");
        check("x forget --contact 1 --json --url http://h");
        check("x connect --from-env --check --region eu --overwrite --file f --json");
        check("x completion zsh");
        check("x doctor --public https://h --json");
        check("x explain f.json --settings s.toml");
        check("x status --json --url http://h");
        check("x history plan --json");
        check("x history status --watch --url http://h");
        check("x history restart");
    }
}
