//! The ledger of delivered keys: one conditional write for each event, before it is sent.
//!
//! An entry names the message that owns the event and the number under which it was claimed last. Whether it was sent is not
//! written here: the number's standing in its writer's share of the books tells.
//!
//! Crash story. If we die before the write, nothing was sent. If we die after it, or only its answer is lost, the entry carries
//! a number that never becomes done; the next delivery of the message declares it lost, puts its own number there and sends
//! with the identifiers that the entry keeps. Two deliveries that are alive at once are told apart by the same number: the
//! second waits while the first is believed to live.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use app::ports::{Claim, ClaimOutcome, Clock, Ledger, StoreResult};
use domain::KeyHash;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use crate::queue::Queues;
use crate::registry::Taken;
use crate::seal;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, TTL, Table, Value, Write, Written, item, text};
use crate::totals::Standing;
use crate::trouble::{TABLE, unavailable, unreadable};

/// Requests to the table at the same time.
pub(crate) const CONCURRENCY: usize = 16;

/// An entry.
struct Entry {
    message: String,
    /// `None`: nobody sends it at present.
    holder: Option<(String, u64)>,
    until: i64,
    sealed: Option<Vec<u8>>,
    item: Item,
}

impl Entry {
    fn read(item: Item) -> Self {
        let number = item.number("n").map(i64::unsigned_abs);
        Self {
            message: item.text("m").unwrap_or_default().to_owned(),
            holder: item.text("w").map(str::to_owned).zip(number),
            until: item.number("until").unwrap_or(0),
            sealed: item.bytes("id").map(<[u8]>::to_vec),
            item,
        }
    }

    /// Holds while the entry has the holder that was read.
    fn unchanged(&self) -> Condition {
        let (writer, number) = match &self.holder {
            Some((writer, number)) => (Some(text(writer.clone())), Some(Value::Number(number.cast_signed()))),
            None => (None, None),
        };
        Condition::Matches(vec![("w".to_owned(), writer), ("n".to_owned(), number)])
    }
}

fn key(hash: &KeyHash) -> Key {
    let hex: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Key::new(format!("e#{hex}"), "-")
}

/// Who holds an entry after a try to get it.
enum Held {
    /// Nobody had it.
    New,
    /// We do, and these were its identifiers.
    Again(Option<Vec<u8>>),
    SentByThis,
    Other,
    Busy(Timestamp),
}

impl<C: Clock + 'static, T: Table, Q: Queues> Ledger for AwsStore<C, T, Q> {
    async fn claim_events(&self, claims: Vec<Claim>) -> StoreResult<Vec<ClaimOutcome>> {
        // Claims of one key are tried in order until one wins; keys do not wait for each other.
        let mut by_key: HashMap<KeyHash, Vec<usize>> = HashMap::new();
        for (index, claim) in claims.iter().enumerate() {
            by_key.entry(claim.key).or_default().push(index);
        }
        let claims = &claims;
        let tries = by_key.into_values().map(|indices| async move {
            let mut outcomes = Vec::with_capacity(indices.len());
            let mut won = false;
            for index in indices {
                let outcome = if won { ClaimOutcome::Taken } else { self.claim_one(&claims[index]).await? };
                won |= outcome != ClaimOutcome::Taken;
                outcomes.push((index, outcome));
            }
            StoreResult::Ok(outcomes)
        });
        let tried: Vec<_> = stream::iter(tries).buffer_unordered(CONCURRENCY).collect().await;
        let mut outcomes = vec![ClaimOutcome::Taken; claims.len()];
        for some in tried {
            for (index, outcome) in some? {
                outcomes[index] = outcome;
            }
        }
        Ok(outcomes)
    }

    async fn known_events(&self, keys: &[KeyHash]) -> StoreResult<Vec<bool>> {
        let now = self.now().as_second();
        let mut wanted = keys.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let found = self.table.get(wanted.iter().map(key).collect()).await?;
        let there = |item: &Option<Item>| {
            item.as_ref().is_some_and(|item| item.number(TTL).is_none_or(|expires| expires > now))
        };
        let known: HashMap<KeyHash, bool> = wanted.into_iter().zip(found.iter().map(there)).collect();
        Ok(keys.iter().map(|key| known.get(key).copied().unwrap_or(false)).collect())
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    async fn claim_one(&self, claim: &Claim) -> StoreResult<ClaimOutcome> {
        let Some(taken) = self.registry().newest(&claim.message) else { return self.claim_of_nobody(claim).await };
        let body = &taken.accepted.body;
        let sealed = seal::seal(&claim.identity, &taken.id, body, &claim.key)
            .ok_or_else(|| unavailable(TABLE, "the identifiers of an event could not be encrypted"))?;
        {
            let mut state = taken.state();
            state.asked.insert(claim.key);
            state.attempted.insert(claim.key);
        }
        let held = self.hold(&taken, &claim.key, Some(sealed), true).await?;
        let ours = matches!(held, Held::New | Held::Again(_));
        {
            let mut state = taken.state();
            if ours {
                state.held.insert(claim.key)
            } else {
                state.attempted.remove(&claim.key)
            };
            state.sent_before |= matches!(held, Held::SentByThis);
        }
        Ok(match held {
            Held::New => ClaimOutcome::Fresh,
            Held::Again(sealed) => {
                let identity = sealed.and_then(|sealed| seal::open(&sealed, &taken.id, body, &claim.key));
                let identity = identity
                    .ok_or_else(|| unreadable("a ledger entry's identifiers do not open with their message"))?;
                ClaimOutcome::Resumed(identity)
            }
            Held::SentByThis => ClaimOutcome::SentByThis,
            Held::Other => ClaimOutcome::Taken,
            Held::Busy(until) => ClaimOutcome::Busy { until },
        })
    }

    /// For a message that this process does not hold, so nothing may be written; what is there can still be told.
    async fn claim_of_nobody(&self, claim: &Claim) -> StoreResult<ClaimOutcome> {
        let Some(item) = self.get(key(&claim.key)).await? else {
            return Err(unavailable(TABLE, format!("message {} is not claimed by this process", claim.message)));
        };
        let entry = Entry::read(item);
        if entry.message != claim.message.as_str() {
            return Ok(ClaimOutcome::Taken);
        }
        match &entry.holder {
            Some((writer, number)) if self.standing(writer, *number).await? == Standing::Done => {
                Ok(ClaimOutcome::SentByThis)
            }
            _ => Ok(ClaimOutcome::Busy { until: self.now() }),
        }
    }

    /// Puts our number on an entry, if that may be. `patient`: leaves one alone whose holder is believed to live.
    async fn hold(&self, taken: &Taken, hash: &KeyHash, sealed: Option<Vec<u8>>, patient: bool) -> StoreResult<Held> {
        let mut there = match self.put_new(taken, hash, sealed).await? {
            Written::Done => return Ok(Held::New),
            Written::Conflict(there) => there,
        };
        for _ in 0..10 {
            // Deleted in this very moment, by its expiry: the next try finds its place free.
            let Some(item) = there else { return Ok(Held::Busy(self.now())) };
            let entry = Entry::read(item);
            if entry.message != taken.id.as_str() {
                return Ok(Held::Other);
            }
            if let Some((writer, number)) = entry.holder.as_ref().filter(|holder| **holder != taken.by()) {
                let until = Timestamp::from_microsecond(entry.until).unwrap_or(Timestamp::MIN);
                let standing = match self.standing(writer, *number).await? {
                    Standing::Open if *writer != taken.writer.id && until > self.now() => {
                        return Ok(if patient { Held::Busy(until) } else { Held::Other });
                    }
                    Standing::Open => self.fence(writer, *number).await?,
                    known => known,
                };
                if standing == Standing::Done {
                    return Ok(Held::SentByThis);
                }
            } else if entry.holder.is_some() {
                let ended =
                    taken.state().settled && self.standing(&taken.writer.id, taken.number).await? == Standing::Done;
                return Ok(if ended { Held::SentByThis } else { Held::Again(entry.sealed) });
            }
            let mut item = entry.item.clone();
            item.extend(holder(taken));
            match self.table.write(Write::put(key(hash), item, entry.unchanged())).await? {
                Written::Done => return Ok(Held::Again(entry.sealed)),
                Written::Conflict(now) => there = now,
            }
        }
        Err(unavailable(TABLE, "a ledger entry changes too fast; trying again"))
    }

    async fn put_new(&self, taken: &Taken, hash: &KeyHash, sealed: Option<Vec<u8>>) -> StoreResult<Written> {
        let now = self.now();
        let mut entry = item([
            ("v", Value::Number(1)),
            ("m", text(taken.id.as_str())),
            ("at", Value::Number(now.as_microsecond())),
        ]);
        entry.extend(holder(taken));
        if let Some(sealed) = sealed {
            entry.insert("id".to_owned(), Value::Bytes(sealed));
        }
        if let Some(kept) = self.options.ledger {
            let kept = i64::try_from(kept.as_secs()).unwrap_or(i64::MAX);
            entry.insert(TTL.to_owned(), Value::Number(self.expires_in(kept)));
        }
        self.table.write(Write::put(key(hash), entry, Condition::Gone(now.as_second()))).await
    }

    /// Whether the event may be counted under our number: it was claimed under it, or can be now.
    pub(crate) async fn holds(&self, taken: &Taken, hash: &KeyHash) -> StoreResult<bool> {
        if taken.state().held.contains(hash) {
            return Ok(true);
        }
        let held = matches!(self.hold(taken, hash, None, false).await?, Held::New | Held::Again(_));
        if held {
            taken.state().held.insert(*hash);
        }
        Ok(held)
    }

    /// Whether one of these events was sent by this message under another number. One that is still open is made to be known.
    pub(crate) async fn was_sent_by_another_delivery(&self, taken: &Taken, keys: &[KeyHash]) -> StoreResult<bool> {
        let mut wanted: Vec<Key> = keys.iter().map(key).collect();
        wanted.sort();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(false);
        }
        for item in self.table.get(wanted).await?.into_iter().flatten() {
            let entry = Entry::read(item);
            let Some((writer, number)) = entry.holder.filter(|holder| *holder != taken.by()) else { continue };
            if entry.message == taken.id.as_str() && self.fence(&writer, number).await? == Standing::Done {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes our number off entries that were not sent, so that the number's being done does not speak for them.
    pub(crate) async fn open_unsent(&self, taken: &Arc<Taken>, sent: &HashSet<KeyHash>) -> StoreResult<()> {
        let unsent: Vec<KeyHash> = taken.state().attempted.difference(sent).copied().collect();
        for hash in unsent {
            let Some(found) = self.get(key(&hash)).await? else { continue };
            let entry = Entry::read(found);
            if entry.message != taken.id.as_str() || entry.holder != Some(taken.by()) {
                continue;
            }
            let mut item = entry.item.clone();
            for name in ["w", "n", "until"] {
                item.remove(name);
            }
            // A conflict means that it carries another number by now.
            self.table.write(Write::put(key(&hash), item, entry.unchanged())).await?;
        }
        Ok(())
    }
}

fn holder(taken: &Taken) -> Item {
    item([
        ("w", text(taken.writer.id.clone())),
        ("n", Value::Number(taken.number.cast_signed())),
        ("until", Value::Number(taken.until.as_microsecond())),
    ])
}
