//! Reading the state.
//!
//! The webhook writes nothing but the queue, so what was accepted is known as the sum of what became of it and what is still
//! there. SQS's own counts lag by up to a minute; both are exact once the queues are quiet.

use std::collections::BTreeMap;

use app::ports::{Books, Clock, Lane, MetricCount, Overview, RecentEvent, Retention, StoreResult};
use jiff::{SignedDuration, Timestamp};

use crate::queue::Queues;
use crate::store::AwsStore;
use crate::table::{Attributes, Query, Table};
use crate::totals::{PROFILES, TOTALS, Totals, is_count};

/// Waits grow to 15 minutes: a writer that has not written for longer says nothing about what waits now.
const WAITING_IS_FRESH: SignedDuration = SignedDuration::from_mins(20);

impl<C: Clock + 'static, T: Table, Q: Queues> Overview for AwsStore<C, T, Q> {
    async fn books(&self) -> StoreResult<Books> {
        let query = Query { pk: TOTALS.to_owned(), after: None, up_to: None, descending: false, limit: usize::MAX };
        let shares = self.table.query(query).await?.into_iter().map(|(_, item)| Totals::read(item));
        let shares = shares.collect::<StoreResult<Vec<Totals>>>()?;
        let (visible, hidden) = self.queues.depth(Lane::Live).await?;
        let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
        for (name, number) in shares.iter().flat_map(|share| &share.sums).filter(|(name, _)| is_count(name)) {
            *sums.entry(name).or_default() += number;
        }
        let sum = |name: &str| u64::try_from(sums.get(name).copied().unwrap_or(0)).unwrap_or(0);
        let latest = |name: &str| latest(&shares, name);
        let skipped: BTreeMap<String, u64> = prefixed(&sums, "s:").collect();
        let metric = |(name, delivered): (String, u64)| {
            let last_at = latest(&format!("t:{name}"));
            MetricCount { name, delivered, last_at }
        };
        let in_flight = visible + hidden;
        let mut books = Books {
            accepted: 0,
            delivered: sum("delivered"),
            parked: sum("parked"),
            dead: sum("dead"),
            in_flight,
            last_webhook_at: latest("webhook"),
            last_delivery_at: latest("delivery"),
            oldest_in_flight: if in_flight == 0 { None } else { self.oldest_waiting(&shares) },
            metrics: prefixed(&sums, "m:").map(metric).collect(),
            profile_updates: sum(PROFILES),
            skipped,
        };
        books.accepted =
            books.delivered + books.skipped.values().sum::<u64>() + books.parked + books.dead + books.in_flight;
        Ok(books)
    }

    async fn recent_events(&self, limit: usize) -> StoreResult<Vec<RecentEvent>> {
        self.newest_events(limit).await
    }

    /// Retention is DynamoDB's business: what expires carries its expiry ([`StoreOptions`](crate::StoreOptions)).
    async fn clean(&self, now: Timestamp, _: Retention) -> StoreResult<u64> {
        self.clean_up(now).await
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// SQS does not tell a message's age. What waits was taken once, and each writer notes the oldest that it put back last.
    fn oldest_waiting(&self, shares: &[Totals]) -> Option<Timestamp> {
        let now = self.now();
        let fresh = |share: &&Totals| now.duration_since(share.written_at()) < WAITING_IS_FRESH;
        let oldest = shares.iter().filter(fresh).filter_map(|share| share.item.number("waiting")).min()?;
        Timestamp::from_microsecond(oldest).ok()
    }
}

fn latest(shares: &[Totals], name: &str) -> Option<Timestamp> {
    let latest = shares.iter().filter_map(|share| share.sums.get(name)).max()?;
    Timestamp::from_microsecond(*latest).ok()
}

fn prefixed(sums: &BTreeMap<&str, i64>, prefix: &'static str) -> impl Iterator<Item = (String, u64)> {
    let named = |(name, count): (&&str, &i64)| {
        let name = name.strip_prefix(prefix)?;
        u64::try_from(*count).ok().filter(|count| *count > 0).map(|count| (name.to_owned(), count))
    };
    sums.iter().filter_map(named).collect::<Vec<_>>().into_iter()
}
