//! DynamoDB.

use std::collections::HashMap;

use app::ports::{StoreError, StoreResult};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use super::{Condition, Item, Key, Query, Table, Transacted, Value, Write, Written};
use crate::trouble::{TABLE, unavailable};

/// Keys of one `BatchGetItem`
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>).
const MOST_KEYS: usize = 100;

type Attributes = HashMap<String, AttributeValue>;

/// One table by its name.
#[derive(Clone, Debug)]
pub struct SdkTable {
    client: Client,
    name: String,
}

impl SdkTable {
    /// No network.
    pub fn new(config: &SdkConfig, name: &str) -> Self {
        Self { client: Client::new(config), name: name.to_owned() }
    }

    fn trouble<E: ProvideErrorMetadata, R>(&self, doing: &str, error: &SdkError<E, R>) -> StoreError {
        let detail = match error {
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => "no answer in time".to_owned(),
            SdkError::DispatchFailure(_) => "no connection, or no credentials".to_owned(),
            SdkError::ConstructionFailure(_) => "the request could not be built".to_owned(),
            other => match other.code() {
                Some("ResourceNotFoundException") => {
                    format!("there is no table {}; check STATE_TABLE", self.name)
                }
                Some(code) => code.to_owned(),
                None => "an answer that cannot be read".to_owned(),
            },
        };
        unavailable(TABLE, format!("could not {doing}: {detail}"))
    }

    async fn get_some(&self, keys: &[Key], consistent: bool) -> StoreResult<HashMap<Key, Item>> {
        let mut found = HashMap::new();
        let mut wanted: Vec<Attributes> = keys.iter().map(key_attributes).collect();
        // What was not processed is asked for again; each round makes progress or the SDK reports the throttling.
        for _ in 0..10 {
            if wanted.is_empty() {
                return Ok(found);
            }
            let asked = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(consistent).build();
            let asked = asked.map_err(|_| unavailable(TABLE, "a request could not be built"))?;
            let call = self.client.batch_get_item().request_items(&self.name, asked);
            let answer = call.send().await.map_err(|error| self.trouble("read items", &error))?;
            for attributes in answer.responses.unwrap_or_default().remove(&self.name).unwrap_or_default() {
                if let Some((key, item)) = read(attributes) {
                    found.insert(key, item);
                }
            }
            let left = answer.unprocessed_keys.unwrap_or_default().remove(&self.name);
            wanted = left.map(|left| left.keys).unwrap_or_default();
        }
        Err(unavailable(TABLE, "could not read items: throttled"))
    }

    async fn look(&self, keys: Vec<Key>, consistent: bool) -> StoreResult<Vec<Option<Item>>> {
        if let [key] = keys.as_slice() {
            let call = self.client.get_item().table_name(&self.name).set_key(Some(key_attributes(key)));
            let answer = call.consistent_read(consistent).send().await;
            let answer = answer.map_err(|error| self.trouble("read an item", &error))?;
            return Ok(vec![answer.item.and_then(read).map(|(_, item)| item)]);
        }
        let mut distinct = keys.clone();
        distinct.sort();
        distinct.dedup();
        let mut found = HashMap::new();
        for some in distinct.chunks(MOST_KEYS) {
            found.extend(self.get_some(some, consistent).await?);
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }
}

impl Table for SdkTable {
    async fn get(&self, keys: Vec<Key>) -> StoreResult<Vec<Option<Item>>> {
        self.look(keys, true).await
    }

    async fn glance(&self, keys: Vec<Key>) -> StoreResult<Vec<Option<Item>>> {
        self.look(keys, false).await
    }

    async fn write(&self, write: Write) -> StoreResult<Written> {
        let condition = Expression::of(&write.condition);
        let returned = ReturnValuesOnConditionCheckFailure::AllOld;
        // Of a condition that did not hold, DynamoDB gives what was there.
        let conflict =
            |item: &Option<Attributes>| Ok(Written::Conflict(item.clone().and_then(read).map(|(_, item)| item)));
        let Some(item) = write.item else {
            let call = self
                .client
                .delete_item()
                .table_name(&self.name)
                .set_key(Some(key_attributes(&write.key)))
                .set_condition_expression(condition.text)
                .set_expression_attribute_names(condition.names)
                .set_expression_attribute_values(condition.values)
                .return_values_on_condition_check_failure(returned);
            let Err(error) = call.send().await else { return Ok(Written::Done) };
            return match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(old)) => conflict(&old.item),
                _ => Err(self.trouble("delete an item", &error)),
            };
        };
        let call = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(attributes(&write.key, item)))
            .set_condition_expression(condition.text)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
            .return_values_on_condition_check_failure(returned);
        let Err(error) = call.send().await else { return Ok(Written::Done) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(old)) => conflict(&old.item),
            _ => Err(self.trouble("write an item", &error)),
        }
    }

    async fn transact(&self, writes: Vec<Write>) -> StoreResult<Transacted> {
        let items = writes.into_iter().map(|write| self.part(write)).collect::<StoreResult<Vec<_>>>()?;
        // The SDK gives every call a token, so a repetition inside it happens once.
        let Err(error) = self.client.transact_write_items().set_transact_items(Some(items)).send().await else {
            return Ok(Transacted::Done);
        };
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
            let reasons = cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or("None"));
            let reasons: Vec<&str> = reasons.collect();
            let failed = |(index, code): (usize, &&str)| (*code == "ConditionalCheckFailed").then_some(index);
            let conflicts: Vec<usize> = reasons.iter().enumerate().filter_map(failed).collect();
            if !conflicts.is_empty() {
                return Ok(Transacted::Conflict(conflicts));
            }
            let code = reasons.into_iter().find(|code| *code != "None").unwrap_or("cancelled");
            return Err(unavailable(TABLE, format!("could not write items together: {code}")));
        }
        Err(self.trouble("write items together", &error))
    }

    async fn query(&self, query: Query) -> StoreResult<Vec<(String, Item)>> {
        let mut rows = Vec::new();
        let mut from = query.after.clone();
        while rows.len() < query.limit {
            let (rule, mut values) = range(&query, from.as_deref());
            values.insert(":pk".to_owned(), AttributeValue::S(query.pk.clone()));
            let left = i32::try_from(query.limit - rows.len()).unwrap_or(i32::MAX);
            let call = self
                .client
                .query()
                .table_name(&self.name)
                .key_condition_expression(rule)
                .set_expression_attribute_values(Some(values))
                .scan_index_forward(!query.descending)
                .consistent_read(true)
                .limit(left);
            let answer = call.send().await.map_err(|error| self.trouble("read a list", &error))?;
            let page = answer.items.unwrap_or_default().into_iter().filter_map(read);
            rows.extend(page.map(|(key, item)| (key.sk, item)));
            let Some((last, _)) = answer.last_evaluated_key.and_then(read) else { break };
            from = Some(last.sk);
        }
        Ok(rows)
    }
}

impl SdkTable {
    fn part(&self, write: Write) -> StoreResult<TransactWriteItem> {
        let unbuilt = |_| unavailable(TABLE, "a request could not be built");
        let condition = Expression::of(&write.condition);
        let part = TransactWriteItem::builder();
        let part = match write.item {
            Some(item) => part.put(
                Put::builder()
                    .table_name(&self.name)
                    .set_item(Some(attributes(&write.key, item)))
                    .set_condition_expression(condition.text)
                    .set_expression_attribute_names(condition.names)
                    .set_expression_attribute_values(condition.values)
                    .build()
                    .map_err(unbuilt)?,
            ),
            None => part.delete(
                Delete::builder()
                    .table_name(&self.name)
                    .set_key(Some(key_attributes(&write.key)))
                    .set_condition_expression(condition.text)
                    .set_expression_attribute_names(condition.names)
                    .set_expression_attribute_values(condition.values)
                    .build()
                    .map_err(unbuilt)?,
            ),
        };
        Ok(part.build())
    }
}

/// A condition in DynamoDB's language.
#[derive(Default)]
struct Expression {
    text: Option<String>,
    names: Option<HashMap<String, String>>,
    values: Option<Attributes>,
}

impl Expression {
    fn of(condition: &Condition) -> Self {
        let fixed = |text: &str| Self { text: Some(text.to_owned()), ..Self::default() };
        match condition {
            Condition::Always => Self::default(),
            Condition::Absent => fixed("attribute_not_exists(pk)"),
            Condition::Present => fixed("attribute_exists(pk)"),
            Condition::Gone(second) => Self {
                text: Some("attribute_not_exists(pk) OR #t < :t".to_owned()),
                names: Some(HashMap::from([("#t".to_owned(), super::TTL.to_owned())])),
                values: Some(HashMap::from([(":t".to_owned(), AttributeValue::N(second.to_string()))])),
            },
            Condition::Matches(wanted) => Self::matches(wanted),
        }
    }

    fn matches(wanted: &[(String, Option<Value>)]) -> Self {
        let mut text = "attribute_exists(pk)".to_owned();
        let (mut names, mut values) = (HashMap::new(), HashMap::new());
        for (index, (name, value)) in wanted.iter().enumerate() {
            names.insert(format!("#a{index}"), name.clone());
            match value {
                Some(value) => {
                    text.push_str(&format!(" AND #a{index} = :a{index}"));
                    values.insert(format!(":a{index}"), attribute(value.clone()));
                }
                None => text.push_str(&format!(" AND attribute_not_exists(#a{index})")),
            }
        }
        let some = |map: HashMap<_, _>| (!map.is_empty()).then_some(map);
        Self { text: Some(text), names: (!names.is_empty()).then_some(names), values: some(values) }
    }
}

/// DynamoDB takes one condition on the sort key, so two bounds become a `BETWEEN`; `after` is then left out by one character.
fn range(query: &Query, after: Option<&str>) -> (&'static str, Attributes) {
    let text = |name: &str, text: String| (name.to_owned(), AttributeValue::S(text));
    match (after, &query.up_to) {
        (None, None) => ("pk = :pk", HashMap::new()),
        (None, Some(up_to)) => ("pk = :pk AND sk <= :to", HashMap::from([text(":to", up_to.clone())])),
        (Some(after), None) if query.descending => {
            ("pk = :pk AND sk < :from", HashMap::from([text(":from", after.to_owned())]))
        }
        (Some(after), None) => ("pk = :pk AND sk > :from", HashMap::from([text(":from", after.to_owned())])),
        (Some(after), Some(up_to)) => (
            "pk = :pk AND sk BETWEEN :from AND :to",
            HashMap::from([text(":from", format!("{after}\u{1}")), text(":to", up_to.clone())]),
        ),
    }
}

fn key_attributes(key: &Key) -> Attributes {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(key.pk.clone())),
        ("sk".to_owned(), AttributeValue::S(key.sk.clone())),
    ])
}

fn attributes(key: &Key, item: Item) -> Attributes {
    let mut attributes = key_attributes(key);
    attributes.extend(item.into_iter().map(|(name, value)| (name, attribute(value))));
    attributes
}

fn attribute(value: Value) -> AttributeValue {
    match value {
        Value::Text(text) => AttributeValue::S(text),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::Bytes(bytes) => AttributeValue::B(Blob::new(bytes)),
    }
}

/// An attribute of a type that this version does not write is left out.
fn read(mut attributes: Attributes) -> Option<(Key, Item)> {
    let mut key = |name| match attributes.remove(name) {
        Some(AttributeValue::S(text)) => Some(text),
        _ => None,
    };
    let key = Key { pk: key("pk")?, sk: key("sk")? };
    let value = |(name, value)| {
        let value = match value {
            AttributeValue::S(text) => Value::Text(text),
            AttributeValue::N(number) => Value::Number(number.parse().ok()?),
            AttributeValue::B(bytes) => Value::Bytes(bytes.into_inner()),
            _ => return None,
        };
        Some((name, value))
    };
    Some((key, attributes.into_iter().filter_map(value).collect()))
}
