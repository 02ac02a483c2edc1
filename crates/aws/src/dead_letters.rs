//! Messages that were refused for good. One record each, sorted by the moment of the refusal; they come back to their queue as
//! parked ones do (`parked.rs`).

use std::sync::Arc;

use app::ports::{Accepted, Clock, DeadLetter, DeadLetterPage, DeadLetters, ItemCount, Lane, Progress, StoreResult};

use crate::envelope::{self, CameFrom, Return};
use crate::items::remember_item;
use crate::queue::{Queues, queue_of};
use crate::records::{Record, of_generation, sortable};
use crate::registry::Taken;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, Query, Table, Value, Write, item, text};
use crate::totals::Delta;

const DEAD: &str = "dead";

fn live(record: &Record, delta: Delta) -> Delta {
    if record.lane == Lane::Live { delta } else { Delta::default() }
}

fn letter((id, item): (String, Item)) -> DeadLetter {
    DeadLetter {
        id,
        at: crate::records::moment(&item, "at"),
        reason: item.text("reason").unwrap_or_default().to_owned(),
        topic: item.text("topic").unwrap_or_default().to_owned(),
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// Buries a message. `false` when it is somebody else's by now.
    pub(crate) async fn bury(
        &self,
        taken: &Arc<Taken>,
        (reason, topic): (&str, &str),
        progress: Progress,
        (delta, counted): (Delta, Option<&ItemCount>),
    ) -> StoreResult<bool> {
        let now = self.now();
        let mut record = Record::of(taken, progress);
        record.extend(item([
            ("at", Value::Number(now.as_microsecond())),
            ("reason", text(reason)),
            ("topic", text(topic)),
        ]));
        remember_item(&mut record, counted);
        let key = Key::new(DEAD, format!("{}-{}", sortable(now), taken.id));
        let delta = if taken.lane == Lane::Live { delta.count("dead", 1) } else { delta };
        self.keep_body(taken).await?;
        self.book_with_marker(taken, delta, vec![Write::put(key, record, Condition::Always)]).await
    }

    /// The message was taken from the queue again: its record goes, if the replay did not come to it.
    pub(crate) async fn exhume(&self, letter: Option<&str>, generation: u32) -> StoreResult<()> {
        let Some(letter) = letter else { return Ok(()) };
        let Some(record) = self.dead_record(letter).await? else { return Ok(()) };
        if record.generation + 1 == generation {
            self.take_away(letter, &record, Delta::default().count("dead", -1), None).await?;
        }
        Ok(())
    }

    async fn dead_record(&self, letter: &str) -> StoreResult<Option<Record>> {
        if letter.is_empty() {
            return Ok(None);
        }
        self.get(Key::new(DEAD, letter)).await?.map(Record::read).transpose()
    }

    /// Its marker ends the next return as well, should a replay have died half-way.
    pub(crate) async fn give_up_letter(&self, id: &str, reason: &str) -> StoreResult<bool> {
        let Some(record) = self.dead_record(id).await? else { return Ok(false) };
        self.give_up_item(&record.item, reason).await?;
        let delta = Delta::default().count("dead", -1).count(format!("s:{reason}"), 1);
        let marker = self.end_marker(&record.id, record.generation + 1);
        self.take_away(id, &record, delta, Some(marker)).await
    }

    async fn take_away(&self, letter: &str, record: &Record, delta: Delta, also: Option<Write>) -> StoreResult<bool> {
        let mut writes = vec![Write::delete(Key::new(DEAD, letter), of_generation(record.generation))];
        writes.extend(also);
        let booked = self.book(&self.writer(), &[live(record, delta)], &writes).await?;
        if booked.refused || !booked.lost.is_empty() {
            return Ok(false);
        }
        self.drop_body(record).await?;
        Ok(true)
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> DeadLetters for AwsStore<C, T, Q> {
    async fn dead_letters(&self, after: Option<&str>, limit: usize) -> StoreResult<DeadLetterPage> {
        let query = Query {
            pk: DEAD.to_owned(),
            after: after.filter(|cursor| !cursor.is_empty()).map(str::to_owned),
            up_to: None,
            descending: true,
            limit: limit.saturating_add(1),
        };
        let mut items: Vec<DeadLetter> = self.table.query(query).await?.into_iter().map(letter).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.id.clone());
        Ok(DeadLetterPage { items, next })
    }

    /// First to the queue, then away: if we die in between, whoever takes it from the queue takes the record away.
    async fn replay(&self, id: &str) -> StoreResult<bool> {
        let Some(record) = self.dead_record(id).await? else { return Ok(false) };
        let accepted = self.accepted(&record).await?;
        let back = Return {
            id: record.id.clone(),
            generation: record.generation + 1,
            from: CameFrom::Dead,
            letter: Some(id.to_owned()),
            progress: Progress { sent: record.progress.sent, ..Progress::default() },
        };
        self.queues.send(queue_of(record.lane), vec![envelope::seal(&accepted, Some(&back))]).await?;
        self.take_away(id, &record, Delta::default().count("dead", -1), None).await?;
        Ok(true)
    }

    async fn discard(&self, id: &str) -> StoreResult<bool> {
        self.give_up_letter(id, "discarded").await
    }

    async fn dead_letter_body(&self, id: &str) -> StoreResult<Option<Accepted>> {
        match self.dead_record(id).await? {
            Some(record) => self.accepted(&record).await.map(Some),
            None => Ok(None),
        }
    }
}
