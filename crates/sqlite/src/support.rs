//! Records of support state, many at a time.

use app::ports::{Document, Look, RecordWrite, StoreResult, SupportStates};
use rusqlite::{OptionalExtension, params};

use crate::store::SqliteStore;
use crate::trouble::Trouble;

const FIND: &str = "SELECT version, body FROM support WHERE key = ?1";
const CREATE: &str = "INSERT OR IGNORE INTO support (key, version, body) VALUES (?1, 1, ?2)";
const REPLACE: &str = "UPDATE support SET version = version + 1, body = ?2 WHERE key = ?1 AND version = ?3";

impl SupportStates for SqliteStore {
    async fn support_records(&self, keys: &[String], _: Look) -> StoreResult<Vec<Option<Document>>> {
        let keys = keys.to_vec();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(FIND)?;
            let mut find = |key: &String| -> Result<Option<Document>, Trouble> {
                let found = statement.query_row([key], |row| {
                    let version: i64 = row.get(0)?;
                    Ok(Document { version: version.unsigned_abs(), body: row.get(1)? })
                });
                Ok(found.optional()?)
            };
            keys.iter().map(&mut find).collect()
        })
        .await
    }

    /// One transaction. If only the answer is lost, the owner reads again and finds its own bodies under the next versions.
    async fn save_support_records(&self, writes: Vec<RecordWrite>) -> StoreResult<Vec<bool>> {
        let bytes = writes.iter().map(|write| write.body.len()).sum();
        self.write(bytes, true, move |work| {
            let mut create = work.connection.prepare_cached(CREATE)?;
            let mut replace = work.connection.prepare_cached(REPLACE)?;
            let mut saved = Vec::with_capacity(writes.len());
            for write in &writes {
                let changed = match write.expected.map(i64::try_from) {
                    None => create.execute(params![write.key, write.body])?,
                    Some(Ok(version)) => replace.execute(params![write.key, write.body, version])?,
                    // No stored version is that high.
                    Some(Err(_)) => 0,
                };
                saved.push(changed == 1);
            }
            Ok(saved)
        })
        .await
    }
}
