//! `dead-letters`: what could not be delivered, and what a person decides about it.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};

use http::Method;
use serde_json::{Value, json};

use crate::args::{DeadLetterAction, DeadLetterArguments};
use crate::console_client::ConsoleClient;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{self, line, table};

/// Lists, replays or discards.
pub(crate) async fn dead_letters(environment: &Environment, arguments: &DeadLetterArguments) -> Result<(), Failure> {
    let console = ConsoleClient::new(environment, &arguments.console)?;
    let as_json = arguments.console.json;
    match &arguments.action {
        DeadLetterAction::List => list(&console, as_json).await,
        DeadLetterAction::Replay { id } => steer(&console, id, "replay", as_json).await,
        DeadLetterAction::Discard { id } => {
            if !arguments.yes {
                confirm(id)?;
            }
            steer(&console, id, "discard", as_json).await
        }
    }
}

async fn list(console: &ConsoleClient, as_json: bool) -> Result<(), Failure> {
    let mut items: Vec<Value> = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let after = next.as_deref().map(|cursor| format!("&after={cursor}")).unwrap_or_default();
        let mut page = console.ask(Method::GET, &format!("/api/dead-letters?limit=200{after}")).await?;
        if let Some(more) = page["items"].as_array_mut() {
            items.append(more);
        }
        let following = page["next"].as_str().map(str::to_owned);
        if following.is_none() || following == next {
            break;
        }
        next = following;
    }
    if as_json {
        return output::json(&json!({ "items": items }));
    }
    if items.is_empty() {
        line("there are none");
        return Ok(());
    }
    let cell = |item: &Value, name: &str| item[name].as_str().unwrap_or("-").to_owned();
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| ["id", "at", "topic", "reason"].map(|name| cell(item, name)).to_vec()).collect();
    line(table(&rows));
    Ok(())
}

async fn steer(console: &ConsoleClient, id: &str, action: &str, as_json: bool) -> Result<(), Failure> {
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !is_id {
        return Err(Failure::configuration("that is not an id: `dead-letters list` shows them"));
    }
    let done = console.ask(Method::POST, &format!("/api/dead-letters/{id}/{action}")).await?;
    if as_json {
        return output::json(&done);
    }
    line(format!("{id} {}", done["state"].as_str().unwrap_or("done")));
    Ok(())
}

fn confirm(id: &str) -> Result<(), Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::configuration("discarding cannot be undone: say --yes"));
    }
    let _ = write!(stderr().lock(), "Discard {id} for good? [y/N] ");
    let mut answer = String::new();
    // No answer is a no.
    let _ = stdin().lock().read_line(&mut answer);
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::bad("nothing was discarded")),
    }
}
