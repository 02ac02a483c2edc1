//! Keeping the table small.
//!
//! Markers, recent events and, where a setting says so, ledger entries carry their expiry, and DynamoDB deletes them at no cost.
//! What is left to do: the list of recent events has a length, and processes that are gone leave their shares of the books.

use app::ports::{Clock, Retention, StoreResult};
use jiff::{SignedDuration, Timestamp};

use crate::overview::{RECENT, is_count, is_moment, recent_item, stored_events};
use crate::queue::Queues;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, Query, TTL, Table, Transacted, Value, Write, item, text};
use crate::totals::{BASE, Delta, TOTALS, Totals};
use crate::writer::folded_key;

/// A queue keeps a message for 14 days, so after 15 nothing on a queue was taken by such a writer.
const IDLE: SignedDuration = SignedDuration::from_hours(15 * 24);

/// Shares folded in one call.
const FOLDED_AT_ONCE: usize = 20;

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    pub(crate) async fn clean_up(&self, now: Timestamp, retention: Retention) -> StoreResult<u64> {
        let cached = self.cache().clean(now);
        let listed = self.shorten_recent(retention.recent_events).await?;
        let folded = self.fold_idle(now).await?;
        Ok(cached + listed + folded)
    }

    /// Gives how many events went.
    async fn shorten_recent(&self, keep: u64) -> StoreResult<u64> {
        let query = Query { pk: RECENT.to_owned(), after: None, up_to: None, descending: true, limit: usize::MAX };
        let mut left = usize::try_from(keep).unwrap_or(usize::MAX);
        let mut gone = 0;
        for (sk, stored) in self.table.query(query).await? {
            let events = stored_events(&stored)?;
            if events.len() <= left {
                left -= events.len();
                continue;
            }
            let surplus = events.len() - left;
            let key = Key::new(RECENT, sk);
            let rest = recent_item(&events[surplus..], stored.number(TTL).unwrap_or(0)).filter(|_| left > 0);
            self.table.write(Write { key, item: rest, condition: Condition::Present }).await?;
            gone += surplus as u64;
            left = 0;
        }
        Ok(gone)
    }

    /// Adds the shares of writers that are gone to the base, each in one transaction: counted once, whoever dies. Which numbers
    /// were done stays known, because a message that was parked or buried for long may ask for it.
    async fn fold_idle(&self, now: Timestamp) -> StoreResult<u64> {
        let query = Query { pk: TOTALS.to_owned(), after: None, up_to: None, descending: false, limit: usize::MAX };
        let idle = |(writer, item): &(String, Item)| {
            writer != BASE && now.duration_since(crate::records::moment(item, "at")) > IDLE
        };
        let idle: Vec<_> = self.table.query(query).await?.into_iter().filter(idle).take(FOLDED_AT_ONCE).collect();
        let mut folded = 0;
        for (writer, item) in idle {
            folded += u64::from(self.fold(&writer, Totals::read(item)?).await?);
        }
        Ok(folded)
    }

    async fn fold(&self, writer: &str, share: Totals) -> StoreResult<bool> {
        let base = match self.get(Totals::key(BASE)).await? {
            Some(item) => Totals::read(item)?,
            None => Totals::default(),
        };
        let numbers = |wanted: fn(&str) -> bool| {
            let of = |(name, value): (&String, &Value)| match value {
                Value::Number(number) if wanted(name) => Some((name.clone(), *number)),
                _ => None,
            };
            share.item.iter().filter_map(of).collect::<Vec<_>>()
        };
        let delta = Delta { counts: numbers(is_count), latest: numbers(is_moment), ..Delta::default() };
        let next = base.with(&[&delta], self.now());
        let tombstone = item([("v", Value::Number(1)), ("done", text(share.done.to_string()))]);
        let writes = vec![
            Write::delete(Totals::key(writer), share.unchanged()),
            Write::put(folded_key(writer), tombstone, Condition::Always),
            next.write(BASE, base.unchanged()),
        ];
        Ok(self.table.transact(writes).await? == Transacted::Done)
    }
}
