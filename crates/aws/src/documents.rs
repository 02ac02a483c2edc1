//! Documents with compare-and-set.

use app::ports::{Clock, Document, Documents, StoreResult};

use crate::queue::Queues;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, Table, Value, Write, Written, item, text};
use crate::trouble::unreadable;

fn key(name: &str) -> Key {
    Key::new(format!("doc#{name}"), "-")
}

impl<C: Clock + 'static, T: Table, Q: Queues> Documents for AwsStore<C, T, Q> {
    async fn load(&self, name: &str) -> StoreResult<Option<Document>> {
        let Some(found) = self.get(key(name)).await? else { return Ok(None) };
        document(&found, name).map(Some)
    }

    async fn save(&self, name: &str, body: &str, expected: Option<u64>) -> StoreResult<bool> {
        self.save_over(key(name), body, expected).await
    }
}

/// What an item holds.
pub(crate) fn document(item: &Item, name: &str) -> StoreResult<Document> {
    let version = item.number("version").and_then(|version| u64::try_from(version).ok());
    match (version, item.text("body")) {
        (Some(version), Some(body)) => Ok(Document { version, body: body.to_owned() }),
        _ => Err(unreadable(format!("the document {name} has no version or no text"))),
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// If only the answer of the write is lost, the SDK's own repetition finds the new version there; who wrote it, and at which
    /// call, tells that it was us.
    pub(crate) async fn save_over(&self, key: Key, body: &str, expected: Option<u64>) -> StoreResult<bool> {
        let writer = self.writer();
        let by = format!("{}/{}", writer.id, writer.next_save());
        let condition = match expected {
            None => Condition::Absent,
            Some(version) => match i64::try_from(version) {
                Ok(version) => Condition::Matches(vec![("version".to_owned(), Some(Value::Number(version)))]),
                // Nobody ever gave such a version.
                Err(_) => return Ok(false),
            },
        };
        let next = expected.unwrap_or(0).saturating_add(1);
        let item = item([
            ("v", Value::Number(1)),
            ("version", Value::Number(next.cast_signed())),
            ("body", text(body)),
            ("by", text(by.clone())),
        ]);
        match self.table.write(Write::put(key, item, condition)).await? {
            Written::Done => Ok(true),
            Written::Conflict(there) => Ok(there.is_some_and(|there| there.text("by") == Some(by.as_str()))),
        }
    }
}
