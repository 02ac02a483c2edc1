//! Messages that wait for a contact.
//!
//! A parked message is a record with pointers to it: one for each contact (up to 80; beyond that the sweep finds it), one sorted by
//! its next check and one by its expiry. All of them come and go in one transaction with the books.
//!
//! Release: first the message is sent to its queue, with its id, what was tried, and a higher generation; then the record goes. If we
//! die in between, the message is in both places for a while; whoever takes it from the queue removes the record. If a second
//! release sends it twice, one of the two copies ends and its marker drops the other. Where expiry is faster than a copy, its
//! marker says that this generation has ended.

use app::ports::{Clock, ItemCount, Lane, ParkedMessage, ParkedMessages, Parking, Progress, StoreResult};
use domain::{ContactId, MessageId};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use std::sync::Arc;

use crate::claims::CONCURRENCY;
use crate::envelope::{self, CameFrom, Return};
use crate::items::remember_item;
use crate::marker::{Marker, Says};
use crate::queue::{Queues, queue_of};
use crate::records::{Record, sortable};
use crate::registry::Taken;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, Query, Table, Value, Write, item, text};
use crate::totals::Delta;

/// Pointers of one record: a transaction takes 100 writes.
const MOST_CONTACTS: usize = 80;

const DUE: &str = "due";
const EXPIRY: &str = "expiry";

fn key(id: &MessageId) -> Key {
    Key::new(format!("parked#{id}"), "-")
}

pub(crate) fn contact_partition(contact: &str) -> String {
    format!("contact#{contact}")
}

fn at(moment: Timestamp, id: &MessageId) -> String {
    format!("{}#{id}", sortable(moment))
}

fn contacts(item: &Item) -> Vec<ContactId> {
    item.text("contacts").unwrap_or_default().split('\n').filter(|id| !id.is_empty()).map(ContactId::new).collect()
}

/// The keys of all pointers to a record.
fn pointers(record: &Record) -> Vec<Key> {
    let mut keys = vec![
        Key::new(DUE, at(record.moment("next"), &record.id)),
        Key::new(EXPIRY, at(record.moment("expires"), &record.id)),
    ];
    let contacts = contacts(&record.item).into_iter().take(MOST_CONTACTS);
    keys.extend(contacts.map(|contact| Key::new(contact_partition(contact.as_str()), record.id.as_str())));
    keys
}

fn live(record: &Record, delta: Delta) -> Delta {
    if record.lane == Lane::Live { delta } else { Delta::default() }
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// Parks a message. `false` when it is somebody else's by now.
    pub(crate) async fn park(
        &self,
        taken: &Arc<Taken>,
        parking: &Parking,
        (delta, counted): (Delta, Option<&ItemCount>),
    ) -> StoreResult<bool> {
        let mut waits_for: Vec<&str> = parking.contacts.iter().map(|contact| contact.as_str()).collect();
        waits_for.sort_unstable();
        waits_for.dedup();
        let mut record = Record::of(taken, parking.progress);
        record.extend(item([
            ("contacts", text(waits_for.join("\n"))),
            ("since", Value::Number(self.now().as_microsecond())),
            ("next", Value::Number(parking.next_check.as_microsecond())),
            ("expires", Value::Number(parking.expires.as_microsecond())),
        ]));
        remember_item(&mut record, counted);
        let record = Record::read(record)?;
        let mut writes = vec![Write::put(key(&taken.id), record.item.clone(), Condition::Always)];
        let pointer = item([("v", Value::Number(1)), ("message", text(taken.id.as_str()))]);
        writes.extend(pointers(&record).into_iter().map(|key| Write::put(key, pointer.clone(), Condition::Always)));
        let delta = if taken.lane == Lane::Live { delta.count("parked", 1) } else { delta };
        self.keep_body(taken).await?;
        self.book_with_marker(taken, delta, writes).await
    }

    /// The books, a message's marker and other writes, all or none. `false` when the message is somebody else's, or has ended.
    pub(crate) async fn book_with_marker(
        &self,
        taken: &Arc<Taken>,
        delta: Delta,
        writes: Vec<Write>,
    ) -> StoreResult<bool> {
        let deltas = [delta];
        for _ in 0..10 {
            let (_, marker) = self.marker(taken, Says::Ended, taken.progress);
            let mut with = writes.clone();
            with.push(marker);
            let booked = self.book(&taken.writer, &deltas, &with).await?;
            if !booked.refused {
                return Ok(booked.lost.is_empty());
            }
            match self.get(Marker::key(&taken.id)).await? {
                None => taken.state().marker = None,
                Some(there) if self.may_replace(taken, &there).await? => {}
                Some(_) => return Ok(false),
            }
        }
        Err(crate::trouble::unavailable(crate::trouble::TABLE, "a message's marker changes too fast; trying again"))
    }

    /// Takes a record away with all that points at it, and changes the books with it. `false` when it is gone already.
    pub(crate) async fn remove(&self, record: &Record, delta: Delta, also: Option<Write>) -> StoreResult<bool> {
        let mut writes = vec![Write::delete(key(&record.id), record.is_there())];
        writes.extend(pointers(record).into_iter().map(|key| Write::delete(key, Condition::Always)));
        writes.extend(also);
        let booked = self.book(&self.writer(), &[live(record, delta)], &writes).await?;
        if booked.refused || !booked.lost.is_empty() {
            return Ok(false);
        }
        self.drop_body(record).await?;
        Ok(true)
    }

    /// The message was taken from the queue again: its record goes, if the release did not come to it.
    pub(crate) async fn unpark(&self, id: &MessageId, generation: u32) -> StoreResult<()> {
        let Some(record) = self.parked_record(id).await? else { return Ok(()) };
        // A newer record is of a later parking: what is on the queue is an old copy, and its marker says so.
        if record.generation + 1 == generation {
            self.remove(&record, Delta::default().count("parked", -1), None).await?;
        }
        Ok(())
    }

    pub(crate) async fn parked_record(&self, id: &MessageId) -> StoreResult<Option<Record>> {
        self.get(key(id)).await?.map(Record::read).transpose()
    }

    async fn release_one(&self, record: &Record) -> StoreResult<bool> {
        let accepted = self.accepted(record).await?;
        let back = Return {
            id: record.id.clone(),
            generation: record.generation + 1,
            from: CameFrom::Parked,
            letter: None,
            progress: Progress { contact_tries: 0, ..record.progress },
        };
        self.queues.send(queue_of(record.lane), vec![envelope::seal(&accepted, Some(&back))]).await?;
        self.remove(record, Delta::default().count("parked", -1), None).await
    }

    /// Every record has an expiry.
    async fn anything_parked(&self) -> StoreResult<bool> {
        let query = Query { pk: EXPIRY.to_owned(), after: None, up_to: None, descending: false, limit: 1 };
        Ok(!self.table.query(query).await?.is_empty())
    }

    /// The records that a list of pointers leads to, with the pointers' sort keys.
    async fn pointed_at(&self, list: &'static str, now: Timestamp, limit: usize) -> StoreResult<Vec<(String, Record)>> {
        let query = Query {
            pk: list.to_owned(),
            after: None,
            up_to: Some(format!("{}#~", sortable(now))),
            descending: false,
            limit,
        };
        let found = self.table.query(query).await?;
        let ids: Vec<MessageId> =
            found.iter().map(|(_, item)| MessageId::new(item.text("message").unwrap_or_default())).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let records = self.table.get(ids.iter().map(key).collect()).await?;
        let mut pointed_at = Vec::with_capacity(records.len());
        for ((sk, _), item) in found.into_iter().zip(records) {
            if let Some(item) = item {
                pointed_at.push((sk, Record::read(item)?));
            }
        }
        Ok(pointed_at)
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> ParkedMessages for AwsStore<C, T, Q> {
    async fn release(&self, contacts: &[ContactId]) -> StoreResult<u64> {
        // A batch asks for every contact that it met, and most of the time nothing is parked at all: that is one question.
        if contacts.len() > 1 && !self.anything_parked().await? {
            return Ok(0);
        }
        let waiting = |contact: &ContactId| {
            let pk = contact_partition(contact.as_str());
            self.table.query(Query { pk, after: None, up_to: None, descending: false, limit: usize::MAX })
        };
        let found: Vec<_> = stream::iter(contacts.iter().map(waiting)).buffered(CONCURRENCY).collect().await;
        let mut ids = Vec::new();
        for found in found {
            ids.extend(found?.into_iter().map(|(sk, _)| MessageId::new(sk)));
        }
        ids.sort_unstable();
        ids.dedup();
        let mut released = 0;
        for id in ids {
            if let Some(record) = self.parked_record(&id).await? {
                released += u64::from(self.release_one(&record).await?);
            }
        }
        Ok(released)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> StoreResult<Vec<ParkedMessage>> {
        let found = self.pointed_at(DUE, now, limit).await?;
        let message = |(_, record): (String, Record)| ParkedMessage {
            contacts: contacts(&record.item),
            parked_at: record.moment("since"),
            id: record.id,
        };
        Ok(found.into_iter().map(message).collect())
    }

    async fn recheck_at(&self, id: &MessageId, next_check: Timestamp) -> StoreResult<()> {
        let Some(record) = self.parked_record(id).await? else { return Ok(()) };
        let before = at(record.moment("next"), id);
        let after = at(next_check, id);
        if before == after {
            return Ok(());
        }
        let mut changed = record.item.clone();
        changed.insert("next".to_owned(), Value::Number(next_check.as_microsecond()));
        let unchanged = Condition::Matches(vec![
            ("gen".to_owned(), Some(Value::Number(i64::from(record.generation)))),
            ("next".to_owned(), record.item.get("next").cloned()),
        ]);
        let pointer = item([("v", Value::Number(1)), ("message", text(id.as_str()))]);
        // A conflict means that somebody else was faster, or that it does not wait any more: both are fine.
        let writes = vec![
            Write::put(key(id), changed, unchanged),
            Write::put(Key::new(DUE, after), pointer, Condition::Always),
            Write::delete(Key::new(DUE, before), Condition::Always),
        ];
        self.table.transact(writes).await.map(drop)
    }

    async fn expire(&self, now: Timestamp, reason: &str) -> StoreResult<u64> {
        const AT_ONCE: usize = 100;
        let mut expired = 0;
        for (_, record) in self.pointed_at(EXPIRY, now, AT_ONCE).await? {
            self.give_up_item(&record.item, reason).await?;
            let counter = if record.progress.sent { "delivered".to_owned() } else { format!("s:{reason}") };
            let delta = Delta::default().count("parked", -1).count(counter, 1);
            let marker = self.end_marker(&record.id, record.generation + 1);
            expired += u64::from(self.remove(&record, delta, Some(marker)).await?);
        }
        Ok(expired)
    }
}
