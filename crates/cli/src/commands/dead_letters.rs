//! `dead-letters`: what could not be delivered, and what a person decides about it.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::ask;
use crate::args::{Chosen, DeadLetterAction, DeadLetterArguments};
use crate::console_client::ConsoleClient;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{self, line, table};

/// Lists, groups, replays or discards.
pub(crate) async fn dead_letters(environment: &Environment, arguments: &DeadLetterArguments) -> Result<(), Failure> {
    let console = ConsoleClient::new(environment, &arguments.console)?;
    let as_json = arguments.console.json;
    match &arguments.action {
        DeadLetterAction::List { reason } => list(&console, reason.as_deref(), as_json).await,
        DeadLetterAction::Groups => groups(&console, as_json).await,
        DeadLetterAction::Replay(chosen) => steer(&console, chosen, ("replay", "Replay"), arguments).await,
        DeadLetterAction::Discard(chosen) => steer(&console, chosen, ("discard", "Discard"), arguments).await,
    }
}

/// All of them, newest first; only those whose reason begins with a text, where one is given.
async fn letters(console: &ConsoleClient, reason: Option<&str>) -> Result<Vec<Value>, Failure> {
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
    items.retain(|item| reason.is_none_or(|reason| text(item, "reason").starts_with(reason)));
    Ok(items)
}

async fn list(console: &ConsoleClient, reason: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let items = letters(console, reason).await?;
    if as_json {
        return output::json(&json!({ "items": items }));
    }
    if items.is_empty() {
        line("there are none");
        return Ok(());
    }
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| ["id", "at", "topic", "reason"].map(|name| text(item, name)).to_vec()).collect();
    line(table(&rows));
    Ok(())
}

async fn groups(console: &ConsoleClient, as_json: bool) -> Result<(), Failure> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for item in letters(console, None).await? {
        *counts.entry(text(&item, "reason")).or_default() += 1;
    }
    if as_json {
        let groups: Vec<Value> =
            counts.iter().map(|(reason, count)| json!({ "reason": reason, "count": count })).collect();
        return output::json(&json!({ "groups": groups }));
    }
    if counts.is_empty() {
        line("there are none");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = counts.into_iter().map(|(reason, count)| vec![count.to_string(), reason]).collect();
    line(table(&rows));
    Ok(())
}

async fn steer(
    console: &ConsoleClient,
    chosen: &Chosen,
    (action, word): (&str, &str),
    arguments: &DeadLetterArguments,
) -> Result<(), Failure> {
    if let Some(id) = &chosen.id {
        return steer_one(console, id, (action, word), arguments).await;
    }
    let wanted = letters(console, chosen.reason.as_deref()).await?;
    if !wanted.is_empty() && !arguments.yes {
        let question = format!("{word} {} dead letters?", wanted.len());
        ask::confirm(&question, "this is about several: say --yes", "nothing was changed")?;
    }
    let (mut done, mut gone) = (0_u64, 0_u64);
    for letter in wanted {
        // One that is not there any more was steered by somebody else meanwhile.
        match console.ask(Method::POST, &path(&text(&letter, "id"), action)?).await {
            Ok(_) => done += 1,
            Err(Failure::Bad(reason)) if reason.contains("no dead letter") => gone += 1,
            Err(error) => return Err(Failure::bad(format!("{done} done, then: {error}"))),
        }
    }
    if arguments.console.json {
        return output::json(&json!({ "action": action, "done": done, "gone": gone }));
    }
    line(format!("{action}: {done} done"));
    Ok(())
}

async fn steer_one(
    console: &ConsoleClient,
    id: &str,
    (action, word): (&str, &str),
    arguments: &DeadLetterArguments,
) -> Result<(), Failure> {
    let path = path(id, action)?;
    if action == "discard" && !arguments.yes {
        let question = format!("{word} {id} for good?");
        ask::confirm(&question, "discarding cannot be undone: say --yes", "nothing was discarded")?;
    }
    let done = console.ask(Method::POST, &path).await?;
    if arguments.console.json {
        return output::json(&done);
    }
    line(format!("{id} {}", done["state"].as_str().unwrap_or("done")));
    Ok(())
}

fn path(id: &str, action: &str) -> Result<String, Failure> {
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    match is_id {
        true => Ok(format!("/api/dead-letters/{id}/{action}")),
        false => Err(Failure::configuration("that is not an id: `dead-letters list` shows them")),
    }
}

fn text(item: &Value, name: &str) -> String {
    item[name].as_str().unwrap_or("-").to_owned()
}
