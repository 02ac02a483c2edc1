//! What the adapter needs of the table, in its own types.
//!
//! Everything is a put or a delete of a whole item under a condition: whoever writes has read the item, so an attribute that a
//! newer version added survives, and the in-memory stand-in needs no expression language.

mod sdk;

use std::collections::BTreeMap;
use std::future::Future;

use app::ports::StoreResult;

pub use sdk::SdkTable;

/// Name of the attribute that DynamoDB deletes by, in seconds of Unix time.
pub(crate) const TTL: &str = "ttl";

/// An attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// An item without its key.
pub type Item = BTreeMap<String, Value>;

/// Where an item is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    /// A key.
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }
}

/// What must be true of the stored item for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// There is none.
    Absent,
    /// There is one.
    Present,
    /// There is none, or its `ttl` is before this second: DynamoDB deletes late.
    Gone(i64),
    /// There is one, and each attribute has this value, or is missing where there is none.
    Matches(Vec<(String, Option<Value>)>),
}

/// A write of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub key: Key,
    /// What; `None` deletes.
    pub item: Option<Item>,
    /// When.
    pub condition: Condition,
}

impl Write {
    /// Puts an item.
    pub fn put(key: Key, item: Item, condition: Condition) -> Self {
        Self { key, item: Some(item), condition }
    }

    /// Deletes an item.
    pub fn delete(key: Key, condition: Condition) -> Self {
        Self { key, item: None, condition }
    }
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Done,
    /// The condition did not hold; this was there.
    Conflict(Option<Item>),
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transacted {
    /// All is there.
    Done,
    /// Nothing is; the conditions of these writes, by index, did not hold.
    Conflict(Vec<usize>),
}

/// Items of one partition in the order of their sort keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The partition.
    pub pk: String,
    /// Only sort keys after this one in the order asked for.
    pub after: Option<String>,
    /// Only sort keys up to this one; ascending only.
    pub up_to: Option<String>,
    /// Largest sort key first.
    pub descending: bool,
    /// At most so many.
    pub limit: usize,
}

/// One table with a partition and a sort key.
pub trait Table: Send + Sync + 'static {
    /// The items that are there, in the order of the keys; what was written before the call is seen.
    fn get(&self, keys: Vec<Key>) -> impl Future<Output = StoreResult<Vec<Option<Item>>>> + Send;

    /// The same at half the price; what was written a moment ago may not be seen.
    fn glance(&self, keys: Vec<Key>) -> impl Future<Output = StoreResult<Vec<Option<Item>>>> + Send {
        self.get(keys)
    }

    /// Writes one item.
    fn write(&self, write: Write) -> impl Future<Output = StoreResult<Written>> + Send;

    /// Writes up to 100 items, all or none.
    fn transact(&self, writes: Vec<Write>) -> impl Future<Output = StoreResult<Transacted>> + Send;

    /// A partition, or the part of it that is asked for; what was written before the call is seen.
    fn query(&self, query: Query) -> impl Future<Output = StoreResult<Vec<(String, Item)>>> + Send;
}

/// Reads attributes. What has another type counts as missing.
pub(crate) trait Attributes {
    fn text(&self, name: &str) -> Option<&str>;
    fn number(&self, name: &str) -> Option<i64>;
    fn bytes(&self, name: &str) -> Option<&[u8]>;
}

impl Attributes for Item {
    fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.get(name) {
            Some(Value::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }
}

/// An item from names and values.
pub(crate) fn item<const N: usize>(attributes: [(&str, Value); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A string attribute.
pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// Bytes of an item as DynamoDB counts them
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>).
pub(crate) fn size(key: &Key, item: &Item) -> usize {
    let value = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Number(number) => number.unsigned_abs().to_string().len().div_ceil(2) + 1,
        Value::Bytes(bytes) => bytes.len(),
    };
    let attributes: usize = item.iter().map(|(name, one)| name.len() + value(one)).sum();
    key.pk.len() + key.sk.len() + 4 + attributes
}

/// What writing so many bytes costs: one unit for each KB begun.
pub(crate) fn units(bytes: usize) -> u64 {
    bytes.div_ceil(1024).max(1) as u64
}
