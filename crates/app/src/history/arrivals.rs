//! Whether what was sent arrived: a sample of it, looked up in Klaviyo's own list of events.
//!
//! Klaviyo answers 202 before it has processed anything, and drops some events without a word. Its list does not show our keys, so an
//! event is found by metric, second and the id of its conversation or ticket.

use std::collections::HashMap;

use domain::activity::{Context, Finding};
use domain::history::{Scope, Span, Stream, StreamName, findings};
use domain::intercom::read_rest;
use domain::{KeyHash, WorkspaceId};
use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;

use super::verify::VerifyError;
use super::{HistoryStore, Importer, checkpoints};
use crate::ports::{CallError, Clock, FoundItem, Intercom, IntercomSearch, KlaviyoReader, SearchBy, SearchQuery};

/// What Klaviyo's list of events says about a sample of what was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Arrivals {
    /// Events that were looked for.
    pub sampled: u64,
    /// Those that are there.
    pub arrived: u64,
    /// Those that are not. Events that were sent in the last minutes may still come; what Klaviyo refused is among the dead letters.
    pub missing: Vec<MissingEvent>,
    /// Why nothing was looked for.
    pub note: Option<String>,
}

/// An event that the ledger has and Klaviyo does not show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingEvent {
    /// Its metric's whole name.
    pub metric: String,
    /// Its time.
    pub time: Timestamp,
    /// The conversation or ticket.
    pub item: String,
}

/// Stretches of a stream that are looked into, spread over all of it, and items of each.
const STRETCHES: usize = 5;
const ITEMS: u32 = 5;

/// Questions to Klaviyo at the same time.
const AT_ONCE: usize = 4;

impl<S: HistoryStore, I: Intercom + IntercomSearch, C: Clock> Importer<S, I, C> {
    /// Looks for some of the events that the import has sent. That Klaviyo cannot be asked is said in the note.
    pub async fn arrivals(&self, klaviyo: &impl KlaviyoReader) -> Result<Arrivals, VerifyError> {
        let (checkpoint, _) = checkpoints::load(&self.store).await?;
        let mut sent = Vec::new();
        for stream in StreamName::ALL.map(|name| checkpoint.stream(name)).into_iter().filter(|stream| !stream.skipped) {
            let workspace = self.workspace().await?.id;
            for span in spread(stream, checkpoint.range) {
                let query =
                    SearchQuery { stream: stream.name, by: SearchBy::CreatedAt, span, per_page: ITEMS, cursor: None };
                let items = self.search_patiently(&query).await?.items;
                let scope = Scope::History { bound: checkpoint.bound };
                sent.extend(self.sent_events(stream.name, scope, &workspace, &items).await?);
            }
        }
        if sent.is_empty() {
            let note = Some("the ledger knows of no event that was imported".to_owned());
            return Ok(Arrivals { note, ..Arrivals::default() });
        }
        Ok(match look_for(sent, klaviyo).await {
            Ok(arrivals) => arrivals,
            Err(CallError::Forbidden { .. }) => noted(
                "Klaviyo's key may not read events (scope events:read) or metrics (metrics:read), so what arrived is not known"
                    .to_owned(),
            ),
            Err(error) => noted(format!("what arrived is not known: {error}")),
        })
    }

    /// The events of some items that were sent, as the ledger knows.
    async fn sent_events(
        &self,
        name: StreamName,
        scope: Scope,
        workspace: &WorkspaceId,
        items: &[FoundItem],
    ) -> Result<Vec<MissingEvent>, VerifyError> {
        let context = Context { workspace: workspace.as_str(), rules: &self.rules, now: self.clock.now() };
        let (mut keys, mut events) = (Vec::<KeyHash>::new(), Vec::new());
        for item in items {
            let Ok(read) = read_rest(&item.json) else { continue };
            for finding in findings(&context, name, scope, &read) {
                let Finding::Event(event) = finding else { continue };
                keys.push(event.key.hash());
                let metric = self.rules.metric_name(event.metric);
                events.push(MissingEvent { metric, time: event.time, item: item.id.clone() });
            }
        }
        let known = self.store.known_events(&keys).await?;
        Ok(events.into_iter().zip(known).filter(|(_, known)| *known).map(|(event, _)| event).collect())
    }
}

fn noted(note: String) -> Arrivals {
    Arrivals { note: Some(note), ..Arrivals::default() }
}

/// Some of the stretches in which items were read, spread evenly.
fn spread(stream: &Stream, range: Span) -> Vec<Span> {
    let stretches: Vec<Span> = stream.counted().filter(|(_, items)| *items > 0).map(|(span, _)| span).collect();
    let step = stretches.len().div_ceil(STRETCHES).max(1);
    let inside = |span: Span| Span::new(span.from.max(range.from), span.to.min(range.to));
    stretches.into_iter().step_by(step).map(inside).collect()
}

async fn look_for(sent: Vec<MissingEvent>, klaviyo: &impl KlaviyoReader) -> Result<Arrivals, CallError> {
    let metrics = klaviyo.metric_ids().await?;
    let sampled = sent.len() as u64;
    let answers: Vec<Result<Option<MissingEvent>, CallError>> =
        stream::iter(sent).map(|event| look_for_one(event, &metrics, klaviyo)).buffered(AT_ONCE).collect().await;
    let missing = answers.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
    Ok(Arrivals { sampled, arrived: sampled - missing.len() as u64, missing, note: None })
}

/// Gives the event back if it is not there.
async fn look_for_one(
    event: MissingEvent,
    metrics: &HashMap<String, String>,
    klaviyo: &impl KlaviyoReader,
) -> Result<Option<MissingEvent>, CallError> {
    let second = event.time.as_second();
    let there = match metrics.get(&event.metric) {
        Some(id) => klaviyo.events(id, Span::new(second, second + 1)).await?,
        None => Vec::new(),
    };
    let is_it =
        |seen: &crate::ports::SeenEvent| seen.second == second && seen.item.as_deref() == Some(event.item.as_str());
    Ok((!there.iter().any(is_it)).then_some(event))
}
