//! Ledger, documents, records of support state, and cache.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};

use domain::KeyHash;
use jiff::Timestamp;

use super::MemoryStore;
use super::state::{Entry, State};
use crate::ports::{
    Cache, Claim, ClaimOutcome, Document, Documents, Ledger, Look, RecordWrite, StoreResult, SupportStates,
};

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
        Ok(save_over(&mut self.lock().documents, name, body, expected))
    }
}

fn save_over(documents: &mut HashMap<String, Document>, name: &str, body: &str, expected: Option<u64>) -> bool {
    let stored = documents.get(name).map(|document| document.version);
    if stored != expected {
        return false;
    }
    let document = Document { version: stored.unwrap_or(0) + 1, body: body.to_owned() };
    documents.insert(name.to_owned(), document);
    true
}

impl SupportStates for MemoryStore {
    async fn support_records(&self, keys: &[String], _: Look) -> StoreResult<Vec<Option<Document>>> {
        let state = self.lock();
        Ok(keys.iter().map(|key| state.support.get(key).cloned()).collect())
    }

    async fn save_support_records(&self, writes: Vec<RecordWrite>) -> StoreResult<Vec<bool>> {
        let mut state = self.lock();
        let mut save = |write: &RecordWrite| save_over(&mut state.support, &write.key, &write.body, write.expected);
        Ok(writes.iter().map(&mut save).collect())
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
