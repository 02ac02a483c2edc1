//! Books of items: what the import and reconcile found. One entry an item, and for each process a share of every book's sums.
//!
//! Entries and sums are written in one transaction of up to a hundred, two units a write. Crash story: if only the answer is lost,
//! the next try reads the entries and finds nothing left to count. A settlement's items are counted before the message ends: if we
//! die in between, the message is delivered again, and its item is counted already.

use std::collections::{BTreeMap, HashMap};

use app::ports::{Clock, EventCounts, ItemBook, ItemBooks, ItemCount, StoreResult};
use domain::KeyHash;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::claims::CONCURRENCY;
use crate::queue::Queues;
use crate::store::AwsStore;
use crate::table::{Attributes, Condition, Item, Key, Query, Table, Transacted, Value, Write, item, text};
use crate::trouble::{TABLE, unavailable, unreadable};

/// Entries in one transaction; the share of the sums is one more write of the hundred that DynamoDB takes.
const AT_ONCE: usize = 90;

/// Entries that one call forgets.
const FORGET_AT_ONCE: usize = 1_000;

/// How often others may come first.
const ROUNDS: usize = 10;

/// A book's entries lie in so many partitions, because one takes a thousand writes a second.
const PARTITIONS: u8 = 16;

/// What is stored of an item.
struct Entry {
    /// `None`: it is closed, and stands.
    open: Option<EventCounts>,
    version: i64,
}

fn entry_key(book: &str, entry: &KeyHash) -> Key {
    let bytes = entry.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Key::new(partition(book, bytes[0] % PARTITIONS), hex)
}

fn partition(book: &str, number: u8) -> String {
    format!("items#{book}#{number:x}")
}

fn sums_partition(book: &str) -> String {
    format!("item-sums#{book}")
}

impl Entry {
    fn read(stored: &Item) -> StoreResult<Self> {
        let open = stored.text("open").map(serde_json::from_str).transpose();
        let open = open.map_err(|_| unreadable("the counts of an item are not what this version writes"))?;
        Ok(Self { open, version: stored.number("version").unwrap_or(0) })
    }
}

/// What a transaction changes.
#[derive(Default)]
struct Change {
    /// In order, so that the same items make the same request.
    entries: BTreeMap<KeyHash, (Option<i64>, EventCounts)>,
    sums: BTreeMap<String, i64>,
}

impl Change {
    fn add(&mut self, events: &EventCounts, sign: i64) {
        let number = |count: u64| sign * i64::try_from(count).unwrap_or(i64::MAX);
        let named = [("delivered", events.delivered), ("parked", events.parked), ("dead", events.dead)];
        let skipped = events.skipped.iter().map(|(reason, count)| (format!("s:{reason}"), *count));
        for (name, count) in named.map(|(name, count)| (name.to_owned(), count)).into_iter().chain(skipped) {
            *self.sums.entry(name).or_default() += number(count);
        }
    }

    /// The first count stands, unless it left something open.
    fn count(&mut self, count: &ItemCount, stored: Option<&Entry>) {
        let (version, earlier) = match (self.entries.get(&count.entry), stored) {
            (Some((version, earlier)), _) => (*version, Some(Some(earlier.clone()).filter(EventCounts::is_open))),
            (None, Some(entry)) => (Some(entry.version), Some(entry.open.clone())),
            (None, None) => (None, None),
        };
        match earlier {
            None => *self.sums.entry("items".to_owned()).or_default() += 1,
            Some(Some(earlier)) if count.events.replaces(&earlier) => self.add(&earlier, -1),
            Some(_) => return,
        }
        self.add(&count.events, 1);
        self.entries.insert(count.entry, (version, count.events.clone()));
    }

    fn writes(&self, book: &str) -> Vec<Write> {
        let write = |(entry, (version, events)): (&KeyHash, &(Option<i64>, EventCounts))| {
            let mut stored = item([("v", Value::Number(1)), ("version", Value::Number(version.unwrap_or(0) + 1))]);
            if events.is_open() {
                stored.insert("open".to_owned(), text(serde_json::json!(events).to_string()));
            }
            let unchanged =
                |version: i64| Condition::Matches(vec![("version".to_owned(), Some(Value::Number(version)))]);
            Write::put(entry_key(book, entry), stored, version.map_or(Condition::Absent, unchanged))
        };
        self.entries.iter().map(write).collect()
    }
}

impl<C: Clock + 'static, T: Table, Q: Queues> AwsStore<C, T, Q> {
    async fn count_some(&self, book: &str, counts: &[ItemCount]) -> StoreResult<()> {
        let sums_key = Key::new(sums_partition(book), self.writer().id.clone());
        for _ in 0..ROUNDS {
            let mut wanted: Vec<KeyHash> = counts.iter().map(|count| count.entry).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let mut keys: Vec<Key> = wanted.iter().map(|entry| entry_key(book, entry)).collect();
            keys.push(sums_key.clone());
            let mut found = self.table.get(keys).await?;
            let sums = found.pop().flatten();
            let mut stored = HashMap::new();
            for (entry, there) in wanted.into_iter().zip(found) {
                if let Some(there) = there {
                    stored.insert(entry, Entry::read(&there)?);
                }
            }
            let mut change = Change::default();
            counts.iter().for_each(|count| change.count(count, stored.get(&count.entry)));
            if change.entries.is_empty() {
                return Ok(());
            }
            let mut writes = change.writes(book);
            writes.push(sums_write(sums_key.clone(), sums, &change.sums));
            if self.table.transact(writes).await? == Transacted::Done {
                return Ok(());
            }
        }
        Err(unavailable(TABLE, "the books of items change too fast; trying again"))
    }

    /// What a dead letter or parked message left open becomes skipped: before the record goes, so that a repetition finds it closed.
    pub(crate) async fn give_up_item(&self, record: &Item, reason: &str) -> StoreResult<()> {
        let Some((book, entry)) = item_of(record) else { return Ok(()) };
        let Some(stored) = self.get(entry_key(&book, &entry)).await? else { return Ok(()) };
        let Some(open) = Entry::read(&stored)?.open else { return Ok(()) };
        self.count_items(vec![ItemCount { book, entry, events: open.given_up(reason) }]).await
    }
}

/// The sums of this process with a change. They may go below zero: another process counted what this one replaces.
fn sums_write(key: Key, stored: Option<Item>, change: &BTreeMap<String, i64>) -> Write {
    let condition = match stored.as_ref().and_then(|stored| stored.number("version")) {
        None => Condition::Absent,
        Some(version) => Condition::Matches(vec![("version".to_owned(), Some(Value::Number(version)))]),
    };
    let mut sums = stored.unwrap_or_else(|| item([("v", Value::Number(1))]));
    for (name, by) in change {
        let name = format!("c:{name}");
        let before = sums.number(&name).unwrap_or(0);
        sums.insert(name, Value::Number(before + by));
    }
    let version = sums.number("version").unwrap_or(0) + 1;
    sums.insert("version".to_owned(), Value::Number(version));
    Write::put(key, sums, condition)
}

/// The attributes of a record that name the item which it holds open.
pub(crate) fn remember_item(record: &mut Item, counted: Option<&ItemCount>) {
    if let Some(counted) = counted {
        record.insert("book".to_owned(), text(counted.book.clone()));
        record.insert("entry".to_owned(), Value::Bytes(counted.entry.as_bytes().to_vec()));
    }
}

fn item_of(record: &Item) -> Option<(String, KeyHash)> {
    let entry = <[u8; 16]>::try_from(record.bytes("entry")?).ok()?;
    Some((record.text("book")?.to_owned(), KeyHash::from_bytes(entry)))
}

impl<C: Clock + 'static, T: Table, Q: Queues> ItemBooks for AwsStore<C, T, Q> {
    /// All of them or none up to ninety; a page that is cut in between is read again, and its first part counts once.
    async fn count_items(&self, items: Vec<ItemCount>) -> StoreResult<()> {
        let mut by_book: BTreeMap<String, Vec<ItemCount>> = BTreeMap::new();
        for item in items {
            by_book.entry(item.book.clone()).or_default().push(item);
        }
        for (book, counts) in by_book {
            for some in counts.chunks(AT_ONCE) {
                self.count_some(&book, some).await?;
            }
        }
        Ok(())
    }

    async fn item_book(&self, book: &str) -> StoreResult<ItemBook> {
        let pk = sums_partition(book);
        let query = Query { pk, after: None, up_to: None, descending: false, limit: usize::MAX };
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for (_, share) in self.table.query(query).await? {
            for (name, value) in &share {
                if let (Some(name), Value::Number(number)) = (name.strip_prefix("c:"), value) {
                    *sums.entry(name.to_owned()).or_default() += number;
                }
            }
        }
        let count = |name: &str| u64::try_from(sums.get(name).copied().unwrap_or(0)).unwrap_or(0);
        let reason = |name: &String| Some((name.strip_prefix("s:")?.to_owned(), count(name)));
        let skipped = sums.keys().filter_map(reason).filter(|(_, count)| *count > 0).collect();
        let events =
            EventCounts { delivered: count("delivered"), parked: count("parked"), dead: count("dead"), skipped };
        Ok(ItemBook { items: count("items"), events })
    }

    async fn forget_book(&self, book: &str) -> StoreResult<u64> {
        let sums = Query { pk: sums_partition(book), after: None, up_to: None, descending: false, limit: usize::MAX };
        let mut gone: Vec<Key> =
            self.table.query(sums).await?.into_iter().map(|(sk, _)| Key::new(sums_partition(book), sk)).collect();
        let mut entries = 0;
        for pk in (0..PARTITIONS).map(|number| partition(book, number)) {
            let limit = FORGET_AT_ONCE - entries;
            if limit == 0 {
                break;
            }
            let query = Query { pk: pk.clone(), after: None, up_to: None, descending: false, limit };
            let found = self.table.query(query).await?;
            entries += found.len();
            gone.extend(found.into_iter().map(|(sk, _)| Key::new(pk.clone(), sk)));
        }
        let deletes = gone.into_iter().map(|key| self.table.write(Write::delete(key, Condition::Always)));
        stream::iter(deletes).buffer_unordered(CONCURRENCY).try_for_each(async |_| Ok(())).await?;
        Ok(entries as u64)
    }
}
