//! How many events were sent in each of the last 48 hours, by metric, for people who look at a chart.
//!
//! The books hold sums only, and stay so: a counter for each hour would cost a write for each batch on AWS. Instead the chores look
//! at the sums when an hour begins and note under the hour before what has come since the last look, one small write an hour.
//! What the running hour has is the difference to now.
//!
//! An event is thus in its hour to within the time between two rounds of chores. After a longer stop it is in the hour in which the
//! chores last looked. If we die before the write, the next round makes it; if only its answer is lost, the next round finds that
//! the hour has begun already.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ports::{Books, Documents, Overview, StoreError, StoreResult};

/// How many hours are kept, the running one included.
pub const HOURS: usize = 48;

const DOCUMENT: &str = "hours";
const HOUR_SECONDS: i64 = 3_600;

/// Events sent by metric.
type Sums = BTreeMap<String, u64>;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// The running hour, in hours since 1970.
    hour: i64,
    /// The books when it began.
    sums: Sums,
    /// What the hours before had.
    #[serde(default)]
    past: BTreeMap<i64, Sums>,
}

/// Events sent in each of the last [`HOURS`] hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HoursReport {
    /// When the first of the hours began; each of `counts` is one hour, the last one is running.
    pub from: Timestamp,
    /// Metrics of which something was sent, by name.
    pub metrics: Vec<MetricHours>,
}

/// One metric of an [`HoursReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetricHours {
    /// Full name, prefix included.
    pub name: String,
    /// Events by hour, oldest first.
    pub counts: Vec<u64>,
}

/// To be called every few minutes or more often: notes what the hour had that ended since the last call.
pub async fn note_hour(store: &(impl Overview + Documents), now: Timestamp) -> StoreResult<()> {
    let (kept, version) = load(store).await?;
    let hour = hour_of(now);
    if kept.as_ref().is_some_and(|kept| kept.hour >= hour) {
        return Ok(());
    }
    let next = advanced(kept, &sums(&store.books().await?), hour);
    let body = serde_json::to_string(&next)
        .map_err(|error| StoreError::Unreadable { store: "count of the hours", detail: error.to_string() })?;
    // Where somebody else was faster, the hour is noted.
    store.save(DOCUMENT, &body, version).await.map(drop)
}

/// The last [`HOURS`] hours.
pub async fn hours_report(store: &(impl Overview + Documents), now: Timestamp) -> StoreResult<HoursReport> {
    let (kept, _) = load(store).await?;
    let hour = hour_of(now);
    let past = advanced(kept, &sums(&store.books().await?), hour).past;
    let first = hour.saturating_sub(HOURS as i64 - 1);
    let mut metrics: BTreeMap<&String, Vec<u64>> = BTreeMap::new();
    for (hour, sums) in past.range(first..=hour) {
        let index = usize::try_from(hour - first).unwrap_or(0);
        for (name, count) in sums {
            if let Some(slot) = metrics.entry(name).or_insert_with(|| vec![0; HOURS]).get_mut(index) {
                *slot += count;
            }
        }
    }
    let metrics = metrics.into_iter().map(|(name, counts)| MetricHours { name: name.clone(), counts }).collect();
    let from = Timestamp::from_second(first.saturating_mul(HOUR_SECONDS)).unwrap_or(Timestamp::MIN);
    Ok(HoursReport { from, metrics })
}

/// With the difference to `sums` noted under the hour that was running, and `hour` running now.
fn advanced(kept: Option<Kept>, sums: &Sums, hour: i64) -> Kept {
    // What was there before anybody looked is of no known hour.
    let mut kept = kept.unwrap_or_else(|| Kept { hour, sums: sums.clone(), past: BTreeMap::new() });
    for (name, sum) in sums {
        let news = sum.saturating_sub(kept.sums.get(name).copied().unwrap_or(0));
        if news > 0 {
            *kept.past.entry(kept.hour).or_default().entry(name.clone()).or_default() += news;
        }
    }
    kept.sums.clone_from(sums);
    kept.hour = hour;
    kept.past = kept.past.split_off(&hour.saturating_sub(HOURS as i64 - 1));
    kept
}

async fn load(store: &impl Documents) -> StoreResult<(Option<Kept>, Option<u64>)> {
    let Some(document) = store.load(DOCUMENT).await? else { return Ok((None, None)) };
    // A chart is not worth refusing anything: what cannot be read begins anew.
    Ok((serde_json::from_str(&document.body).ok(), Some(document.version)))
}

fn sums(books: &Books) -> Sums {
    books.metrics.iter().map(|metric| (metric.name.clone(), metric.delivered)).collect()
}

fn hour_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(HOUR_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(count: u64) -> Sums {
        Sums::from([("Ticket".to_owned(), count)])
    }

    #[test]
    fn what_came_is_noted_under_the_hour_in_which_it_came() {
        let kept = advanced(None, &sums(7), 100);
        assert!(kept.past.is_empty(), "seven were there before anybody looked");
        let kept = advanced(Some(kept), &sums(9), 101);
        let kept = advanced(Some(kept), &sums(9), 102);
        let kept = advanced(Some(kept), &sums(12), 103);
        assert_eq!(kept.past, BTreeMap::from([(100, sums(2)), (102, sums(3))]));
        assert_eq!((kept.hour, kept.sums), (103, sums(12)));
    }

    #[test]
    fn only_two_days_are_kept() {
        let mut kept = advanced(None, &sums(0), 0);
        for hour in 1..200_u64 {
            kept = advanced(Some(kept), &sums(hour), i64::try_from(hour).expect("small"));
        }
        assert_eq!(kept.past.len(), HOURS - 1, "the running hour has nothing yet");
        assert_eq!(kept.past.keys().next(), Some(&152));
    }

    #[test]
    fn sums_that_fall_are_no_events() {
        let kept = advanced(Some(Kept { hour: 5, sums: sums(9), past: BTreeMap::new() }), &sums(3), 6);
        assert!(kept.past.is_empty());
    }
}
