//! Tables: their keys, their items, and what the items were before.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::attribute::{AttributeValue, Item, size};
use super::invalid;
use crate::api::ApiError;

/// A table as a template describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSettings {
    pub account: String,
    pub region: String,
    pub name: String,
    pub partition_key: KeyAttribute,
    pub sort_key: Option<KeyAttribute>,
    /// The attribute that holds the second after which an item may be deleted. DynamoDB does so within a few days and
    /// until then answers with it, and nothing is ever deleted here: who must not see an expired item has to look
    /// ("Using time to live (TTL) in DynamoDB").
    pub time_to_live: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    pub name: String,
    pub kind: KeyType,
}

/// The type of a key attribute: text, number or binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    S,
    N,
    B,
}

/// The tables by ARN.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    tables: BTreeMap<String, Table>,
    /// The transactions that succeeded, by account, Region and token.
    pub(super) tokens: BTreeMap<(String, String, String), (Value, OffsetDateTime)>,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) settings: TableSettings,
    items: BTreeMap<Key, Item>,
    /// Each item before it was written, oldest first.
    history: Vec<(Key, Option<Item>)>,
}

/// A primary key. Partitions are in the order of a hash, as in DynamoDB, so nobody can rely on one; within a partition
/// the sort key orders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    hash: Vec<u8>,
    pub(super) partition: AttributeValue,
    pub(super) sort: Option<AttributeValue>,
}

/// "Quotas in Amazon DynamoDB".
const LARGEST_ITEM: usize = 400 * 1024;
const LARGEST_PARTITION_KEY: usize = 2048;
const LARGEST_SORT_KEY: usize = 1024;

impl TableSettings {
    pub fn arn(&self) -> String {
        format!("arn:aws:dynamodb:{}:{}:table/{}", self.region, self.account, self.name)
    }

    pub(super) fn key_attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition_key).chain(&self.sort_key)
    }
}

impl KeyType {
    pub fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
        }
    }

    /// None if a key cannot be of that type.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::S, Self::N, Self::B].into_iter().find(|kind| kind.name() == name)
    }
}

impl Tables {
    /// An empty table. One with the same ARN and the same key keeps its items, as in the update of a stack; with another
    /// key it is replaced.
    pub(crate) fn create(&mut self, settings: TableSettings) -> String {
        let arn = settings.arn();
        let key = |settings: &TableSettings| settings.key_attributes().cloned().collect::<Vec<_>>();
        match self.tables.get_mut(&arn) {
            Some(table) if key(&table.settings) == key(&settings) => table.settings = settings,
            _ => {
                self.tables.insert(arn.clone(), Table { settings, items: BTreeMap::new(), history: Vec::new() });
            }
        }
        arn
    }

    pub(crate) fn clear(&mut self) {
        self.tokens.clear();
        for table in self.tables.values_mut() {
            table.items.clear();
            table.history.clear();
        }
    }

    pub(super) fn delete(&mut self, arn: &str) -> Option<Table> {
        self.tables.remove(arn)
    }

    pub(super) fn find(&self, arn: &str) -> Option<&Table> {
        self.tables.get(arn)
    }

    /// By name or ARN, in whatever account and Region: for tests, which know their only table.
    pub(super) fn by_name(&mut self, name: &str) -> Option<&mut Table> {
        self.tables.iter_mut().find(|(arn, table)| *arn == name || table.settings.name == name).map(|(_, table)| table)
    }

    pub(super) fn get(&self, arn: &str) -> Result<&Table, ApiError> {
        self.tables.get(arn).ok_or_else(no_such_table)
    }

    pub(super) fn get_mut(&mut self, arn: &str) -> Result<&mut Table, ApiError> {
        self.tables.get_mut(arn).ok_or_else(no_such_table)
    }
}

impl Table {
    pub(super) fn get(&self, key: &Key) -> Option<&Item> {
        self.items.get(key)
    }

    /// All items, as they were so many writes ago.
    pub(super) fn items(&self, staleness: usize) -> Cow<'_, BTreeMap<Key, Item>> {
        let mut items = Cow::Borrowed(&self.items);
        for (key, before) in self.history.iter().rev().take(staleness) {
            match before {
                Some(item) => items.to_mut().insert(key.clone(), item.clone()),
                None => items.to_mut().remove(key),
            };
        }
        items
    }

    /// The key before all those of a partition.
    pub(super) fn start_of(partition: &AttributeValue) -> Key {
        let hash = Sha256::digest(partition.to_wire().to_string().as_bytes()).to_vec();
        Key { hash, partition: partition.clone(), sort: None }
    }

    /// Puts an item in a place or, if there is none, deletes what is there; returns what was.
    pub(super) fn write(&mut self, key: Key, item: Option<Item>) -> Option<Item> {
        let before = match item {
            Some(item) => self.items.insert(key.clone(), item),
            None => self.items.remove(&key),
        };
        self.history.push((key, before.clone()));
        before
    }

    /// The key of an item that is to be stored.
    pub(super) fn key_of(&self, item: &Item) -> Result<Key, ApiError> {
        for KeyAttribute { name, kind } in self.settings.key_attributes() {
            let value = item.get(name).ok_or_else(|| {
                invalid(format!("One or more parameter values were invalid: Missing the key {name} in the item"))
            })?;
            if value.kind() != kind.name() {
                return Err(invalid(format!(
                    "One or more parameter values were invalid: Type mismatch for key {name} expected: {} actual: {}",
                    kind.name(),
                    value.kind()
                )));
            }
        }
        let key = self.key_in(item)?;
        if size(item) > LARGEST_ITEM {
            return Err(invalid("Item size has exceeded the maximum allowed size"));
        }
        Ok(key)
    }

    /// The key that a request names: the key attributes and no others.
    pub(super) fn key(&self, key: &Item) -> Result<Key, ApiError> {
        let has = |attribute: &KeyAttribute| {
            key.get(&attribute.name).is_some_and(|value| value.kind() == attribute.kind.name())
        };
        if !self.settings.key_attributes().all(has) || key.len() != self.settings.key_attributes().count() {
            return Err(invalid("The provided key element does not match the schema"));
        }
        self.key_in(key)
    }

    fn key_in(&self, attributes: &Item) -> Result<Key, ApiError> {
        let TableSettings { partition_key, sort_key, .. } = &self.settings;
        let value = |attribute: &KeyAttribute, longest: usize, too_long: &str| {
            let value = attributes.get(&attribute.name).cloned().unwrap_or(AttributeValue::Null);
            match value.length() {
                Some(0) => {
                    let kind = if attribute.kind == KeyType::B { "binary" } else { "string" };
                    Err(invalid(format!(
                        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot \
                         contain an empty {kind} value. Key: {}",
                        attribute.name
                    )))
                }
                Some(length) if length > longest => {
                    Err(invalid(format!("One or more parameter values were invalid: {too_long}")))
                }
                Some(_) | None => Ok(value),
            }
        };
        let partition = value(
            partition_key,
            LARGEST_PARTITION_KEY,
            "Size of hashkey has exceeded the maximum size limit of2048 bytes",
        )?;
        let sort = match sort_key {
            Some(sort_key) => Some(value(
                sort_key,
                LARGEST_SORT_KEY,
                "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
            )?),
            None => None,
        };
        Ok(Key { sort, ..Self::start_of(&partition) })
    }

    /// The key as the API writes it.
    pub(super) fn key_to_wire(&self, key: &Key) -> Value {
        let mut wire = json!({ &self.settings.partition_key.name: key.partition.to_wire() });
        if let (Some(wire), Some(attribute), Some(value)) = (wire.as_object_mut(), &self.settings.sort_key, &key.sort) {
            wire.insert(attribute.name.clone(), value.to_wire());
        }
        wire
    }
}

fn no_such_table() -> ApiError {
    ApiError::new("ResourceNotFoundException", 400, "Requested resource not found")
}
