//! Small texts with compare-and-set.

use app::ports::{Document, Documents, StoreResult};
use rusqlite::{OptionalExtension, params};

use crate::store::SqliteStore;

const LOAD: &str = "SELECT version, body FROM documents WHERE name = ?1";
const CREATE: &str = "INSERT OR IGNORE INTO documents (name, version, body) VALUES (?1, 1, ?2)";
const REPLACE: &str = "UPDATE documents SET version = version + 1, body = ?2 WHERE name = ?1 AND version = ?3";

impl Documents for SqliteStore {
    async fn load(&self, name: &str) -> StoreResult<Option<Document>> {
        let name = name.to_owned();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(LOAD)?;
            let found = statement.query_row([name], |row| {
                let version: i64 = row.get(0)?;
                Ok(Document { version: version.unsigned_abs(), body: row.get(1)? })
            });
            Ok(found.optional()?)
        })
        .await
    }

    /// If only the answer is lost, the owner reads again and finds its own body under the next version.
    async fn save(&self, name: &str, body: &str, expected: Option<u64>) -> StoreResult<bool> {
        let (name, body) = (name.to_owned(), body.to_owned());
        self.write(body.len(), true, move |work| {
            let changed = match expected.map(i64::try_from) {
                None => work.connection.prepare_cached(CREATE)?.execute(params![name, body])?,
                Some(Ok(version)) => work.connection.prepare_cached(REPLACE)?.execute(params![name, body, version])?,
                // No stored version is that high.
                Some(Err(_)) => 0,
            };
            Ok(changed == 1)
        })
        .await
    }
}
