//! The first half of the demo: a year of conversations and tickets is there before anybody connects, and is imported.

use std::time::{Duration, Instant};

use app::history::{history_report, steer};
use app::ports::Clock as _;
use app::status::HistoryReport;
use clients::time::SystemClock;
use domain::history::{StartFacts, State, Wish};
use sandbox::SeedSpec;
use sandbox::scenario::{ExpectedEvent, HistoryOptions, expected_history};

use super::progress::Progress;
use super::{Demo, PATIENCE};
use crate::failure::Failure;
use crate::output::line;

const DAY: i64 = 24 * 3600;

/// So much is imported within seconds, and every oddity of a real workspace is among it.
const CONVERSATIONS: usize = 300;
const TICKETS: usize = 90;
const CONTACTS: usize = 100;

/// Fills the workspace, imports it as `history start` would, and gives what Klaviyo should hold of it.
pub(super) async fn import(demo: &Demo) -> Result<Vec<ExpectedEvent>, Failure> {
    let intercom = demo.sandbox.intercom();
    intercom.seed_history(&SeedSpec {
        conversations: CONVERSATIONS,
        tickets: TICKETS,
        contacts: CONTACTS,
        from: demo.connected - 365 * DAY,
        to: demo.connected - DAY,
        ..SeedSpec::default()
    });
    let expected = expected_history(intercom, &HistoryOptions::default());
    let count = expected.len();
    line(format!(
        "first the past: {CONVERSATIONS} conversations and {TICKETS} tickets of a year, {count} events expected"
    ));
    let store = demo.pipeline.store();
    let facts = StartFacts { first_start: demo.connected, days: None };
    steer(store, Wish::Start, facts, SystemClock.now().as_second()).await.map_err(Failure::bad)?;
    let started = Instant::now();
    let mut progress = Progress::default();
    loop {
        let report = history_report(store).await.map_err(Failure::bad)?;
        progress.report(in_words(&report));
        let over = match report.state {
            State::Done => Ok(()),
            State::Failed => Err(report.error.unwrap_or_default()),
            _ if started.elapsed() > PATIENCE => Err("it takes too long".to_owned()),
            State::Idle | State::Running | State::Paused => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        progress.end();
        over.map_err(|reason| Failure::bad(format!("the history import did not end: {reason}")))?;
        line(format!("history is complete after {:.1} s: nothing missing", started.elapsed().as_secs_f64()));
        return Ok(expected);
    }
}

fn in_words(report: &HistoryReport) -> String {
    let stream = |stream: &app::status::StreamReport| {
        let (name, done, total, events) = (stream.name, stream.done, stream.total, stream.events);
        format!("{done} of {total} {name} done, {events} events")
    };
    let streams: Vec<String> = report.streams.iter().map(stream).collect();
    format!("history: {}", streams.join("; "))
}
