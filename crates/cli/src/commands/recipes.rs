//! `recipes`: segments and flows in Klaviyo that use the data, over the console's API.

use http::Method;
use serde_json::{Value, json};

use super::ask;
use crate::args::{RecipeAction, RecipeArguments};
use crate::console_client::ConsoleClient;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{self, line, table};

/// Lists, shows or makes.
pub(crate) async fn recipes(environment: &Environment, arguments: &RecipeArguments) -> Result<(), Failure> {
    let console = ConsoleClient::new(environment, &arguments.console)?;
    let as_json = arguments.console.json;
    match &arguments.action {
        RecipeAction::List => {
            let list = console.ask(Method::GET, "/api/recipes").await?;
            if as_json {
                return output::json(&list);
            }
            line(list_in_words(&list));
            Ok(())
        }
        RecipeAction::Show { name } => {
            let recipe = console.ask(Method::GET, &path(name)?).await?;
            if as_json {
                return output::json(&recipe);
            }
            line(in_words(&recipe));
            Ok(())
        }
        RecipeAction::Apply { name, yes, .. } => {
            let wanted = match name {
                Some(name) => vec![console.ask(Method::GET, &path(name)?).await?],
                None => items(&console.ask(Method::GET, "/api/recipes").await?),
            };
            apply(&console, &wanted, *yes, as_json).await
        }
    }
}

/// Shows what would be made, asks once, makes one after the other. What cannot be made is told and holds up none of the others.
async fn apply(console: &ConsoleClient, wanted: &[Value], yes: bool, as_json: bool) -> Result<(), Failure> {
    if !as_json {
        wanted.iter().for_each(|recipe| line(in_words(recipe)));
    }
    let open = wanted.iter().filter(|recipe| recipe["state"] == "ready").count();
    if open > 0 && !yes {
        let question = format!("Make {open} of them in Klaviyo?");
        ask::confirm(&question, "this makes something in Klaviyo: say --yes", "nothing was made")?;
    }
    let mut results = Vec::new();
    let mut failed = 0;
    for recipe in wanted {
        let name = plain(&recipe["name"]);
        let result = match recipe["state"].as_str() {
            Some("made") => Ok(recipe.clone()),
            Some("missing") => Err(sentences(&recipe["missing"])),
            _ => console.ask(Method::POST, &format!("{}/apply", path(&name)?)).await.map_err(|error| error.to_string()),
        };
        let told = match &result {
            Ok(made) => format!("{name}: there, {} {}", plain(&made["kind"]), plain(&made["id"])),
            Err(reason) => format!("{name}: not made. {reason}"),
        };
        failed += usize::from(result.is_err());
        if !as_json {
            line(told);
        }
        results.push(result.unwrap_or_else(|error| json!({ "name": name, "state": "missing", "error": error })));
    }
    if as_json {
        output::json(&json!({ "recipes": results }))?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::bad(format!("{failed} of {} could not be made", wanted.len()))),
    }
}

fn path(name: &str) -> Result<String, Failure> {
    let fits =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'0'..=b'9'));
    match fits {
        true => Ok(format!("/api/recipes/{name}")),
        false => Err(Failure::configuration("that is not a recipe's name: `recipes list` shows them")),
    }
}

fn items(list: &Value) -> Vec<Value> {
    list["recipes"].as_array().cloned().unwrap_or_default()
}

fn list_in_words(list: &Value) -> String {
    let row = |recipe: &Value| ["name", "kind", "state", "title"].map(|name| plain(&recipe[name])).to_vec();
    let rows: Vec<Vec<String>> = items(list).iter().map(row).collect();
    let missing = items(list)
        .iter()
        .filter(|recipe| recipe["state"] == "missing")
        .map(|recipe| format!("\n{}: {}", plain(&recipe["name"]), sentences(&recipe["missing"])))
        .collect::<String>();
    format!("{}{missing}", table(&rows))
}

fn in_words(recipe: &Value) -> String {
    let head = ["name", "kind", "state"].map(|name| plain(&recipe[name]));
    let mut text = format!("{} ({}, {}): {}", head[0], head[1], head[2], plain(&recipe["title"]));
    text.push_str(&format!("\n  {}", plain(&recipe["summary"])));
    if recipe["state"] == "missing" {
        text.push_str(&format!("\n  {}", sentences(&recipe["missing"])));
    }
    for request in recipe["requests"].as_array().into_iter().flatten() {
        let body = serde_json::to_string_pretty(&request["body"]).unwrap_or_default();
        text.push_str(&format!("\n  {} {}\n{body}", plain(&request["method"]), plain(&request["path"])));
    }
    text
}

fn sentences(list: &Value) -> String {
    list.as_array().into_iter().flatten().map(plain).collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
