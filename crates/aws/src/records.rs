//! Messages that are off the queue: parked or dead. A record, and its body in pieces, because an item holds 400 KB.

use app::ports::{Accepted, Clock, Lane, Progress, StoreResult};
use bytes::Bytes;
use domain::MessageId;
use jiff::Timestamp;

use crate::envelope::{scheme, scheme_name};
use crate::queue::Queues;
use crate::registry::Taken;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, Query, Table, Value, Write, item, text};
use crate::trouble::unreadable;

/// Bytes of a body in one item, well below DynamoDB's 400 KB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
const PIECE_BYTES: usize = 350 * 1024;

/// What every record has.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: MessageId,
    pub(crate) generation: u32,
    pub(crate) lane: Lane,
    pub(crate) progress: Progress,
    pub(crate) item: Item,
}

impl Record {
    pub(crate) fn of(taken: &Taken, progress: Progress) -> Item {
        let Progress { attempts, contact_tries, sent } = progress;
        item([
            ("v", Value::Number(1)),
            ("message", text(taken.id.as_str())),
            ("gen", Value::Number(i64::from(taken.generation))),
            ("history", Value::Number(i64::from(taken.lane == Lane::History))),
            ("attempts", Value::Number(i64::from(attempts))),
            ("tries", Value::Number(i64::from(contact_tries))),
            ("sent", Value::Number(i64::from(sent))),
            ("scheme", text(scheme_name(taken.accepted.scheme))),
            ("received", Value::Number(taken.accepted.received_at.as_microsecond())),
        ])
    }

    pub(crate) fn read(item: Item) -> StoreResult<Self> {
        let number = |name| item.number(name).unwrap_or(0);
        let small = |name| u16::try_from(number(name)).unwrap_or(u16::MAX);
        let id = item.text("message").ok_or_else(|| unreadable("a record of a message has no message"))?;
        Ok(Self {
            id: MessageId::new(id),
            generation: u32::try_from(number("gen")).unwrap_or(0),
            lane: match item.text("scheme") {
                _ if number("history") == 1 => Lane::History,
                Some("rest") => Lane::Reconcile,
                _ => Lane::Live,
            },
            progress: Progress {
                attempts: small("attempts"),
                contact_tries: small("tries"),
                sent: number("sent") == 1,
            },
            item,
        })
    }

    /// Holds while the record is there and of this generation.
    pub(crate) fn is_there(&self) -> Condition {
        of_generation(self.generation)
    }

    pub(crate) fn moment(&self, name: &str) -> Timestamp {
        moment(&self.item, name)
    }
}

pub(crate) fn of_generation(generation: u32) -> Condition {
    Condition::Matches(vec![("gen".to_owned(), Some(Value::Number(i64::from(generation))))])
}

pub(crate) fn moment(item: &Item, name: &str) -> Timestamp {
    item.number(name).and_then(|at| Timestamp::from_microsecond(at).ok()).unwrap_or(Timestamp::MIN)
}

/// Sorts by the moment, as text.
pub(crate) fn sortable(at: Timestamp) -> String {
    format!("{:017}", at.as_microsecond().max(0))
}

fn bodies(id: &MessageId) -> String {
    format!("body#{id}")
}

/// Sort keys of the pieces of one generation begin with it.
fn piece(generation: u32, index: usize) -> String {
    format!("{generation:06}#{index:03}")
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    /// Keeps the body, before the record that needs it. If we die in between, the message is still on the queue, and the next
    /// try writes the same pieces.
    pub(crate) async fn keep_body(&self, taken: &Taken) -> StoreResult<()> {
        let pk = bodies(&taken.id);
        for (index, bytes) in taken.accepted.body.chunks(PIECE_BYTES).enumerate() {
            let key = Key::new(pk.clone(), piece(taken.generation, index));
            let item = item([("v", Value::Number(1)), ("b", Value::Bytes(bytes.to_vec()))]);
            self.table.write(Write::put(key, item, Condition::Always)).await?;
        }
        Ok(())
    }

    /// What was accepted.
    pub(crate) async fn accepted(&self, record: &Record) -> StoreResult<Accepted> {
        let mut body = Vec::new();
        for (_, item) in self.pieces(record).await? {
            body.extend_from_slice(item.bytes("b").unwrap_or_default());
        }
        let scheme = record.item.text("scheme").and_then(scheme);
        Ok(Accepted {
            scheme: scheme.ok_or_else(|| unreadable("a record of a message has an unknown signature scheme"))?,
            received_at: record.moment("received"),
            body: Bytes::from(body),
        })
    }

    /// Drops the body after its record. If we die before it, nobody can reach it; it is dropped with the next record of the
    /// message, or stays as garbage that only a crash in this very moment makes.
    pub(crate) async fn drop_body(&self, record: &Record) -> StoreResult<()> {
        for (sk, _) in self.pieces(record).await? {
            self.table.write(Write::delete(Key::new(bodies(&record.id), sk), Condition::Always)).await?;
        }
        Ok(())
    }

    async fn pieces(&self, record: &Record) -> StoreResult<Vec<(String, Item)>> {
        let query = Query {
            pk: bodies(&record.id),
            after: None,
            up_to: Some(piece(record.generation, 999)),
            descending: false,
            limit: usize::MAX,
        };
        let first = piece(record.generation, 0);
        Ok(self.table.query(query).await?.into_iter().filter(|(sk, _)| *sk >= first).collect())
    }
}
