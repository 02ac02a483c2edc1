//! Which webhook topics have arrived, and when last: for whoever ticks them in Intercom and wants to see that it worked.
//!
//! One small document, written by whoever delivers: at once when a topic comes for the first time, later at most every ten minutes
//! for all topics together. So it costs next to nothing, and a moment in it may be ten minutes old. If we die before it is written,
//! the next notification of the topic writes it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::topics::is_known;

use crate::ports::{Documents, StoreResult};

const DOCUMENT: &str = "topics";

/// A topic that was written down so lately is not written again.
const FRESH_SECONDS: i64 = 600;

/// Somebody else writes it as well: so often it is tried again.
const TRIES: usize = 3;

/// By topic, Unix seconds.
pub type Seen = BTreeMap<String, i64>;

/// What this process knows to be written down.
#[derive(Debug, Default)]
pub struct TopicNotes(Mutex<Seen>);

impl TopicNotes {
    /// Notes topics that arrived. Trouble is only logged: this is a help for people, and delivery does not depend on it.
    pub async fn note<'t>(&self, store: &impl Documents, topics: impl Iterator<Item = &'t str>, now: i64) {
        let fresh = self.not_fresh(topics, now);
        if fresh.is_empty() {
            return;
        }
        match write(store, &fresh, now).await {
            Ok(()) => self.lock().extend(fresh.into_iter().map(|topic| (topic, now))),
            Err(error) => tracing::debug!(%error, "which topics arrived could not be noted"),
        }
    }

    fn not_fresh<'t>(&self, topics: impl Iterator<Item = &'t str>, now: i64) -> Vec<String> {
        let known = self.lock();
        let is_fresh = |topic: &str| known.get(topic).is_some_and(|at| (0..FRESH_SECONDS).contains(&(now - at)));
        let mut wanted: Vec<String> =
            topics.filter(|topic| is_known(topic) && !is_fresh(topic)).map(str::to_owned).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Nothing is left half done in a map of moments.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(store: &impl Documents, topics: &[String], now: i64) -> StoreResult<()> {
    for _ in 0..TRIES {
        let (mut seen, version) = load(store).await?;
        for topic in topics {
            let at = seen.entry(topic.clone()).or_insert(now);
            *at = now.max(*at);
        }
        let body = serde_json::to_string(&seen).unwrap_or_default();
        if store.save(DOCUMENT, &body, version).await? {
            return Ok(());
        }
    }
    Ok(())
}

async fn load(store: &impl Documents) -> StoreResult<(Seen, Option<u64>)> {
    let document = store.load(DOCUMENT).await?;
    let version = document.as_ref().map(|document| document.version);
    // One that cannot be read is begun anew: it is a help, not a book.
    let seen = document.and_then(|document| serde_json::from_str(&document.body).ok()).unwrap_or_default();
    Ok((seen, version))
}

/// When each topic came last, as far as it was written down.
pub async fn topics_seen(store: &impl Documents) -> StoreResult<Seen> {
    Ok(load(store).await?.0)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::contract::START;
    use crate::fakes::{ManualClock, MemoryStore};

    #[test]
    fn a_topic_is_written_at_once_and_then_every_ten_minutes() {
        let store = MemoryStore::new(ManualClock::at(START));
        let notes = TopicNotes::default();
        let note = |topics: &'static [&'static str], now| {
            notes.note(&store, topics.iter().copied(), now).now_or_never().expect("nothing waits");
            let document = store.load(DOCUMENT).now_or_never().expect("nothing waits").expect("readable");
            (
                document.as_ref().map_or(0, |document| document.version),
                document.map_or(String::new(), |found| found.body),
            )
        };
        assert_eq!(note(&["company.created"], 5), (0, String::new()));
        assert_eq!(note(&["ticket.created", "ticket.created"], 10), (1, r#"{"ticket.created":10}"#.to_owned()));
        assert_eq!(note(&["ticket.created"], 600).0, 1, "fresh");
        assert_eq!(note(&["ticket.created", "ping"], 601), (2, r#"{"ping":601,"ticket.created":10}"#.to_owned()));
        assert_eq!(note(&["ticket.created"], 610), (3, r#"{"ping":601,"ticket.created":610}"#.to_owned()));
    }

    #[test]
    fn a_later_moment_is_never_replaced_by_an_earlier_one() {
        let store = MemoryStore::new(ManualClock::at(START));
        for now in [1_000, 5] {
            TopicNotes::default().note(&store, ["ping"].into_iter(), now).now_or_never().expect("nothing waits");
        }
        let seen = topics_seen(&store).now_or_never().expect("nothing waits").expect("readable");
        assert_eq!(seen.get("ping"), Some(&1_000));
    }
}
