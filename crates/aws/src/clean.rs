//! Keeping the table small.
//!
//! Markers, recent events and, where a setting says so, ledger entries carry their expiry, and DynamoDB deletes them at no cost;
//! who reads the list of recent events stops at its length (`recent.rs`). What is left to do: processes that are gone leave their
//! shares of the books, and whoever reads the books reads all of them.

use app::ports::{Clock, StoreResult};
use jiff::{SignedDuration, Timestamp};

use crate::queue::Queues;
use crate::store::AwsStore;
use crate::table::{Condition, Item, Query, Table, Transacted, Value, Write, item, text};
use crate::totals::{BASE, Delta, TOTALS, Totals, is_count, is_moment};
use crate::writer::folded_key;

/// A share that was not written for so long is folded. Its process, should it live, has begun another one long before
/// ([`crate::writer::REST`]), and finds all numbers of this one settled.
const IDLE: SignedDuration = SignedDuration::from_hours(3);

/// Shares folded in one call.
const FOLDED_AT_ONCE: usize = 20;

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    pub(crate) async fn clean_up(&self, now: Timestamp) -> StoreResult<u64> {
        let cached = self.cache().clean(now);
        let folded = self.fold_idle(now).await?;
        Ok(cached + folded)
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
            let of = share.sums.iter().filter(|(name, _)| wanted(name));
            of.map(|(name, number)| (name.clone(), *number)).collect::<Vec<_>>()
        };
        let delta = Delta { counts: numbers(is_count), latest: numbers(is_moment), ..Delta::default() };
        let next = base.with(&[&delta], self.now());
        let tombstone = item([("v", Value::Number(1)), ("done", text(share.done.to_string()))]);
        let mut writes = vec![
            Write::delete(Totals::key(writer), share.unchanged()),
            Write::put(folded_key(writer), tombstone, Condition::Always),
            next.write(BASE, base.unchanged())?,
        ];
        writes.extend(self.listing(&share.recent));
        Ok(self.table.transact(writes).await? == Transacted::Done)
    }
}
