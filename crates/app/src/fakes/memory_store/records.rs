//! Ledger, documents and cache.

use std::collections::HashSet;
use std::collections::hash_map::Entry as Slot;

use domain::KeyHash;
use jiff::Timestamp;

use super::MemoryStore;
use super::state::{Entry, State};
use crate::ports::{Cache, Claim, ClaimOutcome, Document, Documents, Ledger, StoreResult};

impl Ledger for MemoryStore {
    async fn claim_events(&self, claims: Vec<Claim>) -> StoreResult<Vec<ClaimOutcome>> {
        let now = self.now();
        let mut state = self.lock();
        let mut won = HashSet::new();
        let outcome = |claim: Claim| {
            let key = claim.key;
            let outcome = if won.contains(&key) { ClaimOutcome::Taken } else { claim_one(&mut state, claim, now) };
            if outcome != ClaimOutcome::Taken {
                won.insert(key);
            }
            outcome
        };
        Ok(claims.into_iter().map(outcome).collect())
    }

    async fn known_events(&self, keys: &[KeyHash]) -> StoreResult<Vec<bool>> {
        let state = self.lock();
        Ok(keys.iter().map(|key| state.ledger.contains_key(key)).collect())
    }
}

fn claim_one(state: &mut State, claim: Claim, now: Timestamp) -> ClaimOutcome {
    match state.ledger.entry(claim.key) {
        Slot::Vacant(slot) => {
            slot.insert(Entry { message: claim.message, identity: Some(claim.identity), at: now });
            ClaimOutcome::Fresh
        }
        Slot::Occupied(slot) if slot.get().message != claim.message => ClaimOutcome::Taken,
        Slot::Occupied(slot) => match &slot.get().identity {
            Some(identity) => ClaimOutcome::Resumed(identity.clone()),
            None => ClaimOutcome::SentByThis,
        },
    }
}

impl Documents for MemoryStore {
    async fn load(&self, name: &str) -> StoreResult<Option<Document>> {
        Ok(self.lock().documents.get(name).cloned())
    }

    async fn save(&self, name: &str, body: &str, expected: Option<u64>) -> StoreResult<bool> {
        let mut state = self.lock();
        let stored = state.documents.get(name).map(|document| document.version);
        if stored != expected {
            return Ok(false);
        }
        let document = Document { version: stored.unwrap_or(0) + 1, body: body.to_owned() };
        state.documents.insert(name.to_owned(), document);
        Ok(true)
    }
}

impl Cache for MemoryStore {
    async fn cached(&self, keys: &[String], now: Timestamp) -> StoreResult<Vec<Option<String>>> {
        let state = self.lock();
        let find = |key: &String| {
            let (value, expires) = state.cache.get(key)?;
            (*expires > now).then(|| value.clone())
        };
        Ok(keys.iter().map(find).collect())
    }

    async fn remember(&self, entries: Vec<(String, String)>, expires: Timestamp) -> StoreResult<()> {
        let entries = entries.into_iter().map(|(key, value)| (key, (value, expires)));
        self.lock().cache.extend(entries);
        Ok(())
    }

    async fn forget(&self, keys: &[String]) -> StoreResult<()> {
        let mut state = self.lock();
        for key in keys {
            state.cache.remove(key);
        }
        Ok(())
    }
}
