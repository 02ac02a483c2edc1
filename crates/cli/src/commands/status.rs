//! `status`: the books of a running pipeline.

use http::Method;
use serde_json::Value;

use crate::args::StatusArguments;
use crate::console_client::ConsoleClient;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{json, line, table};

/// Prints the status.
pub(crate) async fn status(environment: &Environment, arguments: &StatusArguments) -> Result<(), Failure> {
    let console = ConsoleClient::new(environment, &arguments.console)?;
    let status = console.ask(Method::GET, "/api/status").await?;
    if arguments.console.json {
        return json(&status);
    }
    line(in_words(&status));
    Ok(())
}

fn in_words(status: &Value) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    for name in ["accepted", "delivered"] {
        row(name, plain(&status[name]));
    }
    let skipped = status["skipped"].as_object();
    let total: u64 = skipped.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    row("skipped", total.to_string());
    for (reason, count) in skipped.into_iter().flatten() {
        row(&format!("  {reason}"), plain(count));
    }
    for name in ["parked", "dead", "in_flight", "queue_age_seconds", "last_webhook_at", "last_delivery_at"] {
        row(&name.replace('_', " "), plain(&status[name]));
    }
    if let Some(until) = status["throttled_until"].as_str() {
        row("throttled until", until.to_owned());
    }
    if let Some(blocked) = status["blocked"].as_object() {
        let vendor = blocked.get("vendor").map(plain).unwrap_or_default();
        let reason = blocked.get("reason").map(plain).unwrap_or_default();
        row("BLOCKED", format!("{vendor}: {reason}"));
    }
    for missing in status["setup"].as_array().into_iter().flatten() {
        row("MISSING", plain(missing));
    }
    for metric in status["metrics"].as_array().into_iter().flatten() {
        row(&plain(&metric["name"]), format!("{}, last {}", plain(&metric["delivered"]), plain(&metric["last_at"])));
    }
    table(&rows)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::in_words;

    #[test]
    fn the_books_in_words() {
        let status = json!({
            "accepted": 3, "delivered": 1, "skipped": {"ping": 1}, "parked": 0, "dead": 0, "in_flight": 1,
            "queue_age_seconds": 2, "last_webhook_at": "2027-01-15T08:00:00Z", "last_delivery_at": null,
            "throttled_until": null, "blocked": {"vendor": "klaviyo", "reason": "401"}, "setup": [],
            "metrics": [{"name": "Intercom Created Ticket", "delivered": 1, "last_at": null}],
        });
        let expected = "\
accepted                 3
delivered                1
skipped                  1
  ping                   1
parked                   0
dead                     0
in flight                1
queue age seconds        2
last webhook at          2027-01-15T08:00:00Z
last delivery at         -
BLOCKED                  klaviyo: 401
Intercom Created Ticket  1, last -";
        assert_eq!(in_words(&status), expected);
    }
}
