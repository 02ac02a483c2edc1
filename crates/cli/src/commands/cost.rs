//! `cost`: what a month on AWS costs, from the figures of the template and AWS's list prices.

mod figures;

use domain::cost::{AS_OF, Bill, Traffic};
use serde_json::json;

use crate::args::CostArguments;
use crate::failure::Failure;
use crate::output::{json, line, table};

/// How full a call of the consumer is in busy hours, and with the longer gathering of the lean option.
const BATCH: f64 = 50.0;
const LEAN_BATCH: f64 = 100.0;

/// Prints the bill.
pub(crate) fn cost(arguments: &CostArguments) -> Result<(), Failure> {
    let figures = match &arguments.template {
        None => figures::shipped(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::Configuration(format!("{} cannot be read: {error}", path.display())))?;
            figures::read(&text)
        }
    };
    let figures = figures.map_err(Failure::Configuration)?;
    let usual = if arguments.lean { LEAN_BATCH } else { BATCH };
    let traffic = Traffic {
        events: arguments.events as f64,
        batch: arguments.batch.map_or(usual, f64::from).min(figures.live_batch),
        kilobytes: arguments.kilobytes.into(),
        lean: arguments.lean,
    };
    let bill = Bill::of(&figures, traffic);
    let one_by_one = Bill::of(&figures, Traffic { batch: 1.0, ..traffic });
    if arguments.json {
        return json(&json!({
            "currency": "USD", "region": "us-east-1", "prices_as_of": AS_OF, "events": arguments.events,
            "batch": traffic.batch, "lean": traffic.lean, "by_events": bill.by_events, "standing": bill.standing,
            "by_events_total": bill.by_events_total(), "standing_total": bill.standing_total(),
            "total": bill.by_events_total() + bill.standing_total(),
            "per_million_events": per_million(&bill, traffic),
            "per_million_events_one_by_one": per_million(&one_by_one, traffic),
        }));
    }
    line(in_words(&bill, &one_by_one, traffic));
    Ok(())
}

fn per_million(bill: &Bill, traffic: Traffic) -> f64 {
    if traffic.events > 0.0 { bill.by_events_total() / traffic.events * 1e6 } else { 0.0 }
}

fn in_words(bill: &Bill, one_by_one: &Bill, traffic: Traffic) -> String {
    let row = |what: &str, dollars: f64| vec![what.to_owned(), format!("{dollars:>9.3}")];
    let mut rows = vec![vec![format!("{} live events a month", traffic.events), "      USD".to_owned()]];
    rows.extend(bill.by_events.iter().map(|item| row(&format!("  {}", item.what), item.dollars)));
    rows.push(row("together", bill.by_events_total()));
    rows.push(vec!["whether anything happens or not".to_owned()]);
    rows.extend(bill.standing.iter().map(|item| row(&format!("  {}", item.what), item.dollars)));
    rows.push(row("together", bill.standing_total()));
    rows.push(row("a month in all", bill.by_events_total() + bill.standing_total()));
    let mut text = table(&rows);
    if traffic.events > 0.0 {
        text.push_str(&format!(
            "\n\nA million events: {:.2} when {} come together, {:.2} when each comes alone.",
            per_million(bill, traffic),
            traffic.batch,
            per_million(one_by_one, traffic),
        ));
    }
    text.push_str(&format!("\nList prices of us-east-1 as of {}, without the free tier.", AS_OF));
    if traffic.lean {
        text.push_str(
            "\nLean: no ledger (an event of a person whose address changed may come twice, and the books are not exact after a\n\
             crash), no support state on profiles, no recent events, no alarms, no backups, up to ten seconds of gathering.",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use domain::cost::{Bill, Traffic};

    use super::{BATCH, LEAN_BATCH, figures, per_million};

    fn million(batch: f64, lean: bool) -> f64 {
        let figures = figures::shipped().expect("the template is complete");
        let traffic = Traffic { events: 1e6, batch, kilobytes: 3.0, lean };
        per_million(&Bill::of(&figures, traffic), traffic)
    }

    #[test]
    fn a_million_events_stay_in_the_budget() {
        let support = support_state();
        assert!(million(BATCH, false) - support <= 1.60, "{}", million(BATCH, false));
        assert!(support <= 0.25, "{support}");
        assert!(million(LEAN_BATCH, true) <= 0.80, "{}", million(LEAN_BATCH, true));
    }

    /// Has a line of its own: a million events with it are five cents over the 1.60 that the others keep to.
    fn support_state() -> f64 {
        let figures = figures::shipped().expect("the template is complete");
        let traffic = Traffic { events: 1e6, batch: BATCH, kilobytes: 3.0, lean: false };
        let bill = Bill::of(&figures, traffic);
        let line = bill.by_events.iter().find(|item| item.what.contains("support state"));
        line.expect("it has a line").dollars
    }

    #[test]
    fn the_bill_grows_with_what_is_done() {
        let figures = figures::shipped().expect("the template is complete");
        let of = |events, kilobytes| {
            Bill::of(&figures, Traffic { events, batch: BATCH, kilobytes, lean: false }).by_events_total()
        };
        assert!(of(0.0, 3.0).abs() < 1e-9);
        assert!((of(2e6, 3.0) - 2.0 * of(1e6, 3.0)).abs() < 1e-9);
        assert!(of(1e6, 200.0) > of(1e6, 3.0) + 1.0, "SQS counts each 64 KB");
        assert!(million(1.0, false) > million(BATCH, false));
    }
}
