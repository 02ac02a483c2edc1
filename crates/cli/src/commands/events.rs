//! `events`: what came lately, and what became of it.

use http::Method;
use serde_json::{Value, json};

use crate::args::EventArguments;
use crate::console_client::ConsoleClient;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{self, line, table};

/// The console lists no more than this at once.
const ALL: u16 = 1_000;

/// Lists them, newest first.
pub(crate) async fn events(environment: &Environment, arguments: &EventArguments) -> Result<(), Failure> {
    let console = ConsoleClient::new(environment, &arguments.console)?;
    let filtered = arguments.metric.is_some() || arguments.fate.is_some() || arguments.contact.is_some();
    // Filters look at everything that the console lists, not only at the newest.
    let limit = if filtered { ALL } else { arguments.limit };
    let recent = console.ask(Method::GET, &format!("/api/events/recent?limit={limit}")).await?;
    let fits = |event: &Value| {
        let is = |name: &str, wanted: &Option<String>| wanted.as_deref().is_none_or(|wanted| event[name] == wanted);
        is("metric", &arguments.metric) && is("fate", &arguments.fate) && is("contact", &arguments.contact)
    };
    let wanted = recent["items"].as_array().into_iter().flatten().filter(|event| fits(event));
    let items: Vec<&Value> = wanted.take(usize::from(arguments.limit)).collect();
    if arguments.console.json {
        return output::json(&json!({ "items": items }));
    }
    if items.is_empty() {
        line("there are none");
        return Ok(());
    }
    let cell = |event: &Value, name: &str| event[name].as_str().unwrap_or("-").to_owned();
    let columns = ["at", "metric", "fate", "reason", "contact", "key"];
    let rows: Vec<Vec<String>> = items.iter().map(|event| columns.map(|name| cell(event, name)).to_vec()).collect();
    line(table(&rows));
    Ok(())
}
