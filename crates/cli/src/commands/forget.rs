//! `forget`: removes what is kept of a person, over the console's API.

use serde_json::{Value, json};

use super::ask;
use crate::args::ForgetArguments;
use crate::console_client::ConsoleClient;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{self, line, table};

/// What the report counts, in words.
const COUNTS: [(&str, &str); 6] = [
    ("parked", "parked notifications"),
    ("dead_letters", "dead letters"),
    ("recent_events", "recent events"),
    ("cached_contacts", "cached contacts"),
    ("identifiers", "identifiers in the ledger"),
    ("klaviyo_deletions", "deletions that Klaviyo was asked for"),
];

/// Asks, removes, and says what was removed.
pub(crate) async fn forget(environment: &Environment, arguments: &ForgetArguments) -> Result<(), Failure> {
    let console = ConsoleClient::new(environment, &arguments.console)?;
    if !arguments.yes {
        let where_ = if arguments.klaviyo { "here and in Klaviyo, for good" } else { "here, for good" };
        let question = format!("Remove everything about this person {where_}?");
        ask::confirm(&question, "removing cannot be undone: say --yes", "nothing was removed")?;
    }
    let wish = json!({ "email": arguments.email, "contact": arguments.contact, "klaviyo": arguments.klaviyo });
    let report = console.post("/api/forget", &wish).await?;
    if arguments.console.json {
        return output::json(&report);
    }
    let rows: Vec<Vec<String>> =
        COUNTS.iter().map(|(name, words)| vec![report[*name].to_string(), (*words).to_owned()]).collect();
    line(table(&rows));
    for note in report["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        line(note);
    }
    Ok(())
}
