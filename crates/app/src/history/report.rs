//! What the status says about the import and reconcile.

use domain::history::{Checkpoint, RECONCILE_BOOK, State, StreamName, history_book};
use jiff::Timestamp;

use super::{checkpoints, reconcile};
use crate::ports::{Documents, ItemBook, ItemBooks, StoreResult};
use crate::status::{HistoryReport, ReconcileReport, StreamReport};

/// Where the import stands.
pub async fn history_report(store: &(impl Documents + ItemBooks)) -> StoreResult<HistoryReport> {
    let (checkpoint, _) = checkpoints::load(store).await?;
    let mut streams = Vec::new();
    for name in StreamName::ALL {
        let book = store.item_book(&history_book(checkpoint.run, name)).await?;
        streams.push(stream_report(&checkpoint, name, book));
    }
    let moment = |second: Option<i64>| second.and_then(|second| Timestamp::from_second(second).ok());
    Ok(HistoryReport {
        state: checkpoint.state,
        since: moment(checkpoint.since),
        started_at: moment(checkpoint.started_at),
        streams,
        error: checkpoint.error,
    })
}

fn stream_report(checkpoint: &Checkpoint, name: StreamName, book: ItemBook) -> StreamReport {
    let stream = checkpoint.stream(name);
    let done_with = checkpoint.state == State::Done;
    let total = match stream.is_read() {
        true => stream.read(),
        false => stream.expected.unwrap_or(0).max(stream.read()),
    };
    // An item that vanished after it was queued is done and not there any more.
    let done = book.items.min(total);
    let percent = match (done_with, total) {
        (true, _) => 100.0,
        (false, 0) => 0.0,
        // Exactly 100 is for the end.
        (false, total) => ((done * 1_000 / total) as f64 / 10.0).min(99.9),
    };
    // Of the time in which somebody worked: a pause or a night without a process does not slow it down.
    let worked = u64::try_from(checkpoint.worked()).unwrap_or(0).max(1);
    let running = checkpoint.state == State::Running && done > 0 && checkpoint.run > 0;
    let mut note = stream.note.clone();
    if !stream.differences.is_empty() {
        let count = stream.differences.len();
        note.get_or_insert_with(|| format!("{count} windows differ from Intercom's count: see `history verify`"));
    }
    StreamReport {
        name: name.as_str(),
        total,
        done,
        percent,
        events: book.events.delivered,
        eta_seconds: running.then(|| worked.saturating_mul(total - done) / done),
        items_per_second: (done as f64 / worked as f64 * 10.0).round() / 10.0,
        delivered: book.events.delivered,
        skipped: book.events.skipped,
        parked: book.events.parked,
        dead: book.events.dead,
        note,
    }
}

/// What reconcile found.
pub async fn reconcile_report(store: &(impl Documents + ItemBooks)) -> StoreResult<ReconcileReport> {
    let (swept, _) = reconcile::load(store).await?;
    let events = store.item_book(RECONCILE_BOOK).await?.events;
    let moment = |second: Option<i64>| second.and_then(|second| Timestamp::from_second(second).ok());
    Ok(ReconcileReport {
        last_at: moment(swept.at),
        delivered: events.delivered,
        skipped: events.skipped,
        parked: events.parked,
        dead: events.dead,
        silent_since: moment(swept.silent_since),
        note: swept.note,
    })
}
