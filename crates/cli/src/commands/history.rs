//! `history`: the import of the past, over the console's API.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::args::{HistoryAction, HistoryArguments};
use crate::console_client::ConsoleClient;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::{is_terminal, json, line, redraw, table};

/// How often `status --watch` looks.
const WATCH: Duration = Duration::from_secs(1);

/// Characters of a progress bar.
const BAR: usize = 24;

/// Plans, steers or shows.
pub(crate) async fn history(environment: &Environment, arguments: &HistoryArguments) -> Result<(), Failure> {
    let console = ConsoleClient::new(environment, &arguments.console)?;
    let as_json = arguments.console.json;
    match arguments.action {
        HistoryAction::Plan => {
            let plan = console.ask(Method::GET, "/api/history/plan").await?;
            show(as_json, &plan, plan_in_words)
        }
        HistoryAction::Verify => verify(&console, as_json).await,
        HistoryAction::Status { watch: true } if !as_json => watch(&console).await,
        HistoryAction::Status { .. } => {
            let status = console.ask(Method::GET, "/api/status").await?;
            show(as_json, &status["history"], in_words)
        }
        HistoryAction::Start => steer(&console, "start", as_json).await,
        HistoryAction::Pause => steer(&console, "pause", as_json).await,
        HistoryAction::Resume => steer(&console, "resume", as_json).await,
        HistoryAction::Restart => steer(&console, "restart", as_json).await,
    }
}

/// As JSON where a script reads, else in words.
fn show(as_json: bool, value: &Value, in_words: impl Fn(&Value) -> String) -> Result<(), Failure> {
    if as_json {
        return json(value);
    }
    line(in_words(value));
    Ok(())
}

async fn steer(console: &ConsoleClient, action: &str, as_json: bool) -> Result<(), Failure> {
    let report = console.ask(Method::POST, &format!("/api/history/{action}")).await?;
    if as_json {
        return json(&report);
    }
    line(in_words(&report));
    Ok(())
}

async fn verify(console: &ConsoleClient, as_json: bool) -> Result<(), Failure> {
    let verification = console.ask(Method::GET, "/api/history/verify").await?;
    let complete = verification["complete"] == true;
    if as_json {
        json(&verification)?;
    } else {
        for stream in verification["streams"].as_array().into_iter().flatten() {
            let (name, read, fate) = (plain(&stream["name"]), plain(&stream["read"]), plain(&stream["with_fate"]));
            line(format!("{name}: {read} read, {fate} with a fate"));
            for list in ["differing", "unread"] {
                for stretch in stream[list].as_array().into_iter().flatten() {
                    let text = ["from", "to", "intercom", "accounted"].map(|name| plain(&stretch[name]));
                    line(format!("  {} to {}: Intercom counts {}, read were {}", text[0], text[1], text[2], text[3]));
                }
            }
        }
        arrivals_in_words(&verification["klaviyo"]).iter().for_each(line);
        line(if complete { "complete: nothing missing" } else { "not complete" });
    }
    if !complete {
        return Err(Failure::bad("the import is not complete; `history restart` reads it again"));
    }
    if verification["klaviyo"]["missing"].as_array().is_some_and(|missing| !missing.is_empty()) {
        return Err(Failure::bad(
            "Klaviyo does not show all that was sent: ask again in some minutes, and look at `dead-letters list`",
        ));
    }
    Ok(())
}

/// What Klaviyo's own list shows of a sample.
fn arrivals_in_words(klaviyo: &Value) -> Vec<String> {
    if let Some(note) = klaviyo["note"].as_str() {
        return vec![note.to_owned()];
    }
    let missing = klaviyo["missing"].as_array().into_iter().flatten();
    let head =
        format!("Klaviyo shows {} of {} events looked for", plain(&klaviyo["arrived"]), plain(&klaviyo["sampled"]));
    let lines = missing.map(|event| {
        format!("  not there: {} of {} at {}", plain(&event["metric"]), plain(&event["item"]), plain(&event["time"]))
    });
    std::iter::once(head).chain(lines).collect()
}

/// Shows the import until it is done or stops.
async fn watch(console: &ConsoleClient) -> Result<(), Failure> {
    loop {
        let status = console.ask(Method::GET, "/api/status").await?;
        let report = &status["history"];
        let state = plain(&report["state"]);
        if state != "running" {
            line(in_words(report));
            return if state == "failed" { Err(Failure::bad(plain(&report["error"]))) } else { Ok(()) };
        }
        let streams: Vec<String> = report["streams"].as_array().into_iter().flatten().map(progress).collect();
        if is_terminal() {
            redraw(&streams.join("   "))
        } else {
            line(streams.join("   "))
        }
        tokio::time::sleep(WATCH).await;
    }
}

fn progress(stream: &Value) -> String {
    let percent = stream["percent"].as_f64().unwrap_or(0.0);
    let eta = stream["eta_seconds"].as_u64().map_or_else(|| "-".to_owned(), duration);
    format!(
        "{} {} {percent:.1} % ({} of {}, {} events, {} a second, {eta} left)",
        plain(&stream["name"]),
        bar(percent),
        plain(&stream["done"]),
        plain(&stream["total"]),
        plain(&stream["events"]),
        plain(&stream["items_per_second"]),
    )
}

fn bar(percent: f64) -> String {
    // Between 0 and 24, so the cast cuts nothing off.
    let full = (percent.clamp(0.0, 100.0) / 100.0 * BAR as f64) as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

fn in_words(report: &Value) -> String {
    let mut lines = vec![format!("{} since {}", plain(&report["state"]), plain(&report["since"]))];
    if let Some(error) = report["error"].as_str() {
        lines.push(format!("why: {error}"));
    }
    for stream in report["streams"].as_array().into_iter().flatten() {
        lines.push(progress(stream));
        for (reason, count) in stream["skipped"].as_object().into_iter().flatten() {
            lines.push(format!("  skipped {}: {reason}", plain(count)));
        }
        if stream["dead"].as_u64().unwrap_or(0) > 0 {
            lines.push(format!("  dead {}", plain(&stream["dead"])));
        }
        if let Some(note) = stream["note"].as_str() {
            lines.push(format!("  {note}"));
        }
    }
    lines.join("\n")
}

fn plan_in_words(plan: &Value) -> String {
    let mut rows = Vec::new();
    for stream in plan["streams"].as_array().into_iter().flatten() {
        let note = stream["note"].as_str().map_or_else(String::new, |note| format!(" ({note})"));
        let text = format!("{}, about {} events{note}", plain(&stream["items"]), plain(&stream["events"]));
        rows.push(vec![plain(&stream["name"]), text]);
    }
    for (name, label) in [
        ("events", "events, about"),
        ("profiles", "profiles, about"),
        ("new_profiles", "of them new to Klaviyo, about"),
        ("new_billable_profiles", "of those billable, about"),
        ("billable_profiles_at_most", "billable profiles, at most"),
        ("calls", "calls to Intercom, about"),
        ("minutes", "minutes, at least"),
        ("dollars_on_aws", "dollars on AWS, about"),
        ("sampled", "items looked at for this"),
        ("profiles_sampled", "people asked about for this"),
    ] {
        rows.push(vec![label.to_owned(), plain(&plan[name])]);
    }
    let mut text = table(&rows);
    if let Some(note) = plan["note"].as_str() {
        text.push_str(&format!("\n{note}"));
    }
    text
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

    use super::*;

    #[test]
    fn progress_is_one_line() {
        let stream = json!({"name": "tickets", "total": 200, "done": 100, "percent": 50.0, "events": 300,
            "eta_seconds": 3_700, "items_per_second": 12.5});
        let expected =
            "tickets [############............] 50.0 % (100 of 200, 300 events, 12.5 a second, 1 h 1 min left)";
        assert_eq!(progress(&stream), expected);
        assert_eq!(bar(100.0), format!("[{}]", "#".repeat(24)));
    }

    #[test]
    fn what_did_not_arrive_is_named() {
        let missing = json!([{"metric": "Intercom Created Ticket", "item": "21", "time": "2026-01-02T03:04:05Z"}]);
        let lines = arrivals_in_words(&json!({"sampled": 2, "arrived": 1, "missing": missing, "note": null}));
        let expected = [
            "Klaviyo shows 1 of 2 events looked for",
            "  not there: Intercom Created Ticket of 21 at 2026-01-02T03:04:05Z",
        ];
        assert_eq!(lines, expected);
        assert_eq!(arrivals_in_words(&json!({"note": "no scope"})), ["no scope"]);
    }
}
