//! Records of support state: an item each. A change of one is one conditional write of one unit, a look at one half a unit of reading.

use app::ports::{Clock, Document, Look, RecordWrite, StoreResult, SupportStates};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::claims::CONCURRENCY;
use crate::documents::document;
use crate::queue::Queues;
use crate::store::AwsStore;
use crate::table::{Key, Table};

fn key(name: &str) -> Key {
    Key::new(format!("s#{name}"), "-")
}

impl<C: Clock + 'static, T: Table, Q: Queues> SupportStates for AwsStore<C, T, Q> {
    async fn support_records(&self, keys: &[String], look: Look) -> StoreResult<Vec<Option<Document>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = keys.iter().map(|name| key(name)).collect();
        let found = match look {
            Look::Exact => self.table.get(wanted).await?,
            Look::Glance => self.table.glance(wanted).await?,
        };
        let read = |(item, name): (Option<crate::table::Item>, &String)| match item {
            Some(item) => document(&item, name).map(Some),
            None => Ok(None),
        };
        found.into_iter().zip(keys).map(read).collect()
    }

    async fn save_support_records(&self, writes: Vec<RecordWrite>) -> StoreResult<Vec<bool>> {
        let saves =
            writes.into_iter().map(async |write| self.save_over(key(&write.key), &write.body, write.expected).await);
        stream::iter(saves).buffered(CONCURRENCY).try_collect().await
    }
}
