//! What was looked up at Intercom, for a while.

use app::ports::{Cache, StoreResult};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use crate::store::SqliteStore;
use crate::time::micros;
use crate::trouble::Trouble;

const FIND: &str = "SELECT value FROM cache WHERE key = ?1 AND expires > ?2";
const REMEMBER: &str = "INSERT INTO cache (key, value, expires) VALUES (?1, ?2, ?3)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires";
const FORGET: &str = "DELETE FROM cache WHERE key = ?1";

impl Cache for SqliteStore {
    async fn cached(&self, keys: &[String], now: Timestamp) -> StoreResult<Vec<Option<String>>> {
        let keys = keys.to_vec();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(FIND)?;
            let mut find = |key: &String| -> Result<Option<String>, Trouble> {
                Ok(statement.query_row(params![key, micros(now)], |row| row.get(0)).optional()?)
            };
            keys.iter().map(&mut find).collect()
        })
        .await
    }

    async fn remember(&self, entries: Vec<(String, String)>, expires: Timestamp) -> StoreResult<()> {
        let bytes = entries.iter().map(|(_, value)| value.len()).sum();
        self.write(bytes, true, move |work| {
            let mut statement = work.connection.prepare_cached(REMEMBER)?;
            for (key, value) in &entries {
                statement.execute(params![key, value, micros(expires)])?;
            }
            Ok(())
        })
        .await
    }

    async fn forget(&self, keys: &[String]) -> StoreResult<()> {
        let keys = keys.to_vec();
        self.write(0, true, move |work| {
            let mut statement = work.connection.prepare_cached(FORGET)?;
            for key in &keys {
                statement.execute([key])?;
            }
            Ok(())
        })
        .await
    }
}
