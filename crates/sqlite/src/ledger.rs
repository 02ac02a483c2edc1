//! The ledger of delivered keys.

use std::collections::HashSet;

use app::ports::{Claim, ClaimOutcome, Ledger, StoreResult};
use domain::{Identity, KeyHash};
use rusqlite::{OptionalExtension, Row, params};

use crate::job::Work;
use crate::queue::row_id;
use crate::store::SqliteStore;
use crate::trouble::Trouble;

const FIND: &str = "SELECT message, sent, identity FROM ledger WHERE key = ?1";
const KNOWN: &str = "SELECT 1 FROM ledger WHERE key = ?1";
const CLAIM: &str = "INSERT INTO ledger (key, message, sent, identity, at) VALUES (?1, ?2, 0, ?3, ?4)";

impl Ledger for SqliteStore {
    /// If we die after the commit, the message comes back, finds its keys claimed by itself and sends with the identifiers
    /// kept here. If we die before it, nothing was sent either.
    async fn claim_events(&self, claims: Vec<Claim>) -> StoreResult<Vec<ClaimOutcome>> {
        self.write(0, true, move |work| {
            // Keys this very call may send. A second claim of one must not send it too; a claim that lost does not
            // stand in the way of the one that owns the key.
            let mut won = HashSet::new();
            let mut outcomes = Vec::with_capacity(claims.len());
            for claim in &claims {
                let outcome = if won.contains(&claim.key) { ClaimOutcome::Taken } else { claim_one(work, claim)? };
                if outcome != ClaimOutcome::Taken {
                    won.insert(claim.key);
                }
                outcomes.push(outcome);
            }
            Ok(outcomes)
        })
        .await
    }

    async fn known_events(&self, keys: &[KeyHash]) -> StoreResult<Vec<bool>> {
        let keys = keys.to_vec();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(KNOWN)?;
            keys.iter().map(|key| Ok(statement.exists([key.as_bytes().as_slice()])?)).collect()
        })
        .await
    }
}

struct Entry {
    message: i64,
    sent: bool,
    identity: Option<String>,
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry { message: row.get(0)?, sent: row.get(1)?, identity: row.get(2)? })
}

fn claim_one(work: &Work<'_>, claim: &Claim) -> Result<ClaimOutcome, Trouble> {
    let key: &[u8] = claim.key.as_bytes();
    let message = row_id(claim.message.as_str())
        .ok_or_else(|| Trouble::Unreadable(format!("message id {} is not one of this file", claim.message)))?;
    let found = work.connection.prepare_cached(FIND)?.query_row([key], entry).optional()?;
    Ok(match found {
        None => {
            let identity = serde_json::to_string(&claim.identity)
                .map_err(|_| Trouble::Unreadable("identifiers cannot be written as JSON".to_owned()))?;
            work.connection.prepare_cached(CLAIM)?.execute(params![key, message, identity, work.now])?;
            ClaimOutcome::Fresh
        }
        Some(entry) if entry.message != message => ClaimOutcome::Taken,
        Some(entry) if entry.sent => ClaimOutcome::SentByThis,
        Some(entry) => ClaimOutcome::Resumed(identity(entry.identity.as_deref())?),
    })
}

fn identity(json: Option<&str>) -> Result<Identity, Trouble> {
    // The reader's own message would quote the text, which is an address.
    json.and_then(|json| serde_json::from_str(json).ok())
        .ok_or_else(|| Trouble::Unreadable("a ledger entry's identifiers cannot be read".to_owned()))
}
