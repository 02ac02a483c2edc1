//! `parked`: what waits for a contact to become known.

use http::Method;
use serde_json::Value;

use crate::args::{ParkedAction, ParkedArguments};
use crate::console_client::ConsoleClient;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{self, line, table};

/// Lists them.
pub(crate) async fn parked(environment: &Environment, arguments: &ParkedArguments) -> Result<(), Failure> {
    let console = ConsoleClient::new(environment, &arguments.console)?;
    let ParkedAction::List = arguments.action;
    let list = console.ask(Method::GET, "/api/parked?limit=1000").await?;
    if arguments.console.json {
        return output::json(&list);
    }
    let items: Vec<&Value> = list["items"].as_array().into_iter().flatten().collect();
    if items.is_empty() {
        line("there are none");
        return Ok(());
    }
    let row = |item: &&Value| {
        let contacts = item["contacts"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let text = |name: &str| item[name].as_str().unwrap_or("-").to_owned();
        vec![text("id"), text("since"), contacts.collect::<Vec<_>>().join(" ")]
    };
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    line(table(&rows));
    Ok(())
}
