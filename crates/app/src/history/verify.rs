//! Whether everything that Intercom counts is accounted for, at any time.

use std::collections::HashSet;
use std::time::Duration;

use domain::history::{Difference, Span, Stream, StreamName, history_book};
use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;

use super::{Arrivals, HistoryStore, Importer, checkpoints};
use crate::ports::{CallError, Clock, Intercom, IntercomSearch, SearchBy, SearchPage, SearchQuery, StoreError};

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Whether nothing differs and every item that was read has a fate.
    pub complete: bool,
    /// Conversations and tickets.
    pub streams: Vec<VerifiedStream>,
    /// Of a sample of what was sent, what Klaviyo's own list shows. `None` where it was not looked at.
    pub klaviyo: Option<Arrivals>,
}

/// One stream of a [`Verification`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifiedStream {
    /// `conversations` or `tickets`.
    pub name: &'static str,
    /// Items that were read.
    pub read: u64,
    /// Items whose events all have a fate.
    pub with_fate: u64,
    /// Stretches of time for which Intercom now counts other items than were read: deleted since, or appeared with an old date.
    /// `restart` reads them again.
    pub differing: Vec<VerifiedStretch>,
    /// Windows that differed twice while they were read.
    pub unread: Vec<VerifiedStretch>,
}

/// A stretch of time that differs. Unix seconds, the end excluded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedStretch {
    /// Its first second.
    pub from: i64,
    /// The second after its last.
    pub to: i64,
    /// Items that Intercom counts.
    pub intercom: u64,
    /// Items that were read.
    pub accounted: u64,
}

/// Why there is no verification.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Intercom cannot be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The state cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const DAY: i64 = 86_400;

/// A window of Intercom's limit is ten seconds long.
const PATIENCE: Duration = Duration::from_secs(12);

/// Halves a full page down to one item.
const MOST_FAILURES: u32 = 6;

/// Counts asked for at the same time.
const AT_ONCE: usize = 4;

impl<S: HistoryStore, I: Intercom + IntercomSearch, C: Clock> Importer<S, I, C> {
    /// Asks Intercom for its count of every stretch that was read: a call for each 30 days.
    pub async fn verify(&self) -> Result<Verification, VerifyError> {
        let (checkpoint, _) = checkpoints::load(&self.store).await?;
        let mut streams = Vec::new();
        for name in StreamName::ALL {
            let stream = checkpoint.stream(name);
            let book = self.store.item_book(&history_book(checkpoint.run, name)).await?;
            let stretches = if stream.skipped { Vec::new() } else { stretches(stream) };
            let answers: Vec<Result<Option<VerifiedStretch>, CallError>> = stream::iter(stretches)
                .map(|(span, accounted)| {
                    let span = Span::new(span.from.max(checkpoint.range.from), span.to.min(checkpoint.range.to));
                    self.compare(stream, span, accounted)
                })
                .buffered(AT_ONCE)
                .collect()
                .await;
            let differing = answers.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
            let unread = stream.differences.iter().map(stretch).collect();
            streams.push(VerifiedStream {
                name: name.as_str(),
                read: stream.read(),
                with_fate: book.items,
                differing,
                unread,
            });
        }
        let fine = |stream: &VerifiedStream| {
            stream.differing.is_empty() && stream.unread.is_empty() && stream.with_fate >= stream.read
        };
        let read = StreamName::ALL.into_iter().all(|name| checkpoint.stream(name).is_read());
        Ok(Verification { complete: checkpoint.run > 0 && read && streams.iter().all(fine), streams, klaviyo: None })
    }

    async fn compare(&self, stream: &Stream, span: Span, accounted: u64) -> Result<Option<VerifiedStretch>, CallError> {
        let query = SearchQuery { stream: stream.name, by: SearchBy::CreatedAt, span, per_page: 1, cursor: None };
        let mut intercom = self.search_patiently(&query).await?.total;
        if intercom != accounted && stream.is_coarse() {
            // Where the filter knows days only, its count of a stretch that ends within a day is of another stretch.
            intercom = self.count_exactly(stream, span).await?;
        }
        let Span { from, to } = span;
        Ok((intercom != accounted).then_some(VerifiedStretch { from, to, intercom, accounted }))
    }

    /// A search on behalf of somebody who waits for the answer: while the quota's share is used up, so does this, for a while; and what
    /// Intercom does not manage is asked for again, in a smaller page.
    pub(super) async fn search_patiently(&self, query: &SearchQuery) -> Result<SearchPage, CallError> {
        let patience = self.clock.now().checked_add(PATIENCE).unwrap_or(jiff::Timestamp::MAX);
        let mut query = query.clone();
        let mut failures = 0;
        loop {
            match self.intercom.search(&query).await {
                Err(CallError::Unavailable { .. }) if failures < MOST_FAILURES => {
                    failures += 1;
                    query.per_page = (query.per_page / 2).max(1);
                }
                Err(CallError::Wait { until, .. }) if until < patience => {
                    let wait = Duration::try_from(until.duration_since(self.clock.now())).unwrap_or_default();
                    self.clock.sleep(wait.max(Duration::from_millis(50))).await;
                }
                answer => return answer,
            }
        }
    }

    /// Reads a stretch to its end, a day more on both sides, and counts what lies inside.
    async fn count_exactly(&self, stream: &Stream, span: Span) -> Result<u64, CallError> {
        let asked = Span::new(span.from.saturating_sub(DAY), span.to.saturating_add(DAY));
        let mut inside = HashSet::new();
        let mut cursor = None;
        loop {
            let per_page = stream.name.full_page();
            let query = SearchQuery { stream: stream.name, by: SearchBy::CreatedAt, span: asked, per_page, cursor };
            let page = self.search_patiently(&query).await?;
            inside.extend(page.items.into_iter().filter(|item| span.contains(item.created_at)).map(|item| item.id));
            match page.next {
                // One that does not move would be followed for ever.
                Some(next) if query.cursor.as_ref() != Some(&next) => cursor = Some(next),
                Some(_) | None => return Ok(inside.len() as u64),
            }
        }
    }
}

/// What was read, by 30 days; stretches without anything are one question where they touch.
fn stretches(stream: &Stream) -> Vec<(Span, u64)> {
    let mut stretches: Vec<(Span, u64)> = Vec::new();
    for (span, items) in stream.counted() {
        match stretches.last_mut() {
            Some((last, 0)) if items == 0 && last.to == span.from => last.to = span.to,
            _ => stretches.push((span, items)),
        }
    }
    stretches
}

fn stretch(difference: &Difference) -> VerifiedStretch {
    let Difference { span, total, given } = *difference;
    VerifiedStretch { from: span.from, to: span.to, intercom: total, accounted: given }
}
