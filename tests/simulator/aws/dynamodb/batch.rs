//! `BatchGetItem` and `BatchWriteItem`: many items, each for itself, and some of them perhaps another time.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::attribute::{item, size};
use super::expression::Placeholders;
use super::table::Key;
use super::write::no_duplicates;
use super::{Nothing, constraint, invalid, projected, table_arn};
use crate::api::{Answer, ApiError};
use crate::aws::World;
use crate::aws::call::Call;

/// The API reference of the two operations has the limits.
const MOST_KEYS: usize = 100;
const MOST_WRITES: usize = 25;
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;
const LARGEST_REQUEST: usize = 16 * 1024 * 1024;

const DUPLICATES: &str = "Provided list of item keys contains duplicates";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchGetItem {
    #[serde(default)]
    request_items: BTreeMap<String, KeysOfTable>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<Nothing>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeysOfTable {
    keys: Vec<Map<String, Value>>,
    #[serde(default)]
    consistent_read: bool,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
}

/// The items come in no particular order, those that do not exist not at all.
pub(super) fn batch_get_item(world: &mut World, call: &Call) -> Answer {
    let BatchGetItem { request_items, .. } = call.input()?;
    is_not_empty(request_items.len())?;
    for (table, KeysOfTable { keys, .. }) in &request_items {
        let member = format!("requestItems.{table}.member.keys");
        match keys.len() {
            0 => return Err(constraint("'[]'", &member, "have length greater than or equal to 1")),
            1..=MOST_KEYS => {}
            _ => return Err(constraint("", &member, "have length less than or equal to 100")),
        }
    }
    let asked: usize = request_items.values().map(|table| table.keys.len()).sum();
    if asked > MOST_KEYS {
        return Err(invalid("Too many items requested for the BatchGetItem call"));
    }
    let (mut responses, mut unprocessed) = (Map::new(), Map::new());
    // An answer has at least one item, however large.
    let mut left = if call.is_partial { asked.div_ceil(2) } else { asked };
    let mut bytes = 0;
    for (name, request) in request_items {
        let arn = table_arn(call, Some(&name))?;
        let has_projection = request.projection_expression.is_some();
        let placeholders = Placeholders::read(request.expression_attribute_names, None, has_projection)?;
        let projection = request.projection_expression.map(|text| placeholders.projection(&text)).transpose()?;
        placeholders.are_all_used()?;
        world.authorize_table(call, "dynamodb:BatchGetItem", &arn)?;
        let table = world.tables.get(&arn)?;
        let keys = request.keys.iter().map(|key| table.key(&item(key)?)).collect::<Result<Vec<_>, _>>()?;
        no_duplicates(keys.iter().map(|key| (arn.as_str(), key)), DUPLICATES)?;
        let items = table.items(if request.consistent_read { 0 } else { call.staleness });
        let mut found: BTreeMap<&Key, Value> = BTreeMap::new();
        let mut later = Vec::new();
        for key in &keys {
            let item = items.get(key);
            let length = item.map(size).unwrap_or_default();
            if left == 0 || bytes + length > LARGEST_ANSWER {
                left = 0;
                later.push(table.key_to_wire(key));
                continue;
            }
            left -= 1;
            bytes += length;
            if let Some(item) = item {
                found.insert(key, projected(item, projection.as_ref()));
            }
        }
        responses.insert(name.clone(), found.into_values().collect());
        if !later.is_empty() {
            unprocessed.insert(name.clone(), again(call, &name, later));
        }
    }
    Ok(json!({ "Responses": responses, "UnprocessedKeys": unprocessed }))
}

/// The request for a table as it was, with only these keys.
fn again(call: &Call, table: &str, keys: Vec<Value>) -> Value {
    let mut request = call.input.get("RequestItems").and_then(|items| items.get(table)).cloned().unwrap_or_default();
    if let Some(request) = request.as_object_mut() {
        request.insert("Keys".to_owned(), Value::Array(keys));
    }
    request
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchWriteItem {
    #[serde(default)]
    request_items: BTreeMap<String, Vec<WriteRequest>>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<Nothing>,
    #[serde(rename = "ReturnItemCollectionMetrics")]
    _return_item_collection_metrics: Option<Nothing>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
enum WriteRequest {
    PutRequest {
        #[serde(rename = "Item")]
        item: Map<String, Value>,
    },
    DeleteRequest {
        #[serde(rename = "Key")]
        key: Map<String, Value>,
    },
}

pub(super) fn batch_write_item(world: &mut World, call: &Call) -> Answer {
    let BatchWriteItem { request_items, .. } = call.input()?;
    is_not_empty(request_items.len())?;
    for (table, requests) in &request_items {
        let member = format!("requestItems.{table}.member");
        match requests.len() {
            0 => return Err(constraint("'[]'", &member, "have length greater than or equal to 1")),
            1..=MOST_WRITES => {}
            _ => return Err(constraint("", &member, "have length less than or equal to 25")),
        }
    }
    let asked: usize = request_items.values().map(Vec::len).sum();
    if asked > MOST_WRITES {
        return Err(invalid("Too many items requested for the BatchWriteItem call"));
    }
    let mut writes = Vec::new();
    let mut bytes = 0;
    for (name, requests) in &request_items {
        let arn = table_arn(call, Some(name))?;
        world.authorize_table(call, "dynamodb:BatchWriteItem", &arn)?;
        let table = world.tables.get(&arn)?;
        for (position, request) in requests.iter().enumerate() {
            let (key, new) = match request {
                WriteRequest::PutRequest { item } => {
                    let new = self::item(item)?;
                    bytes += size(&new);
                    (table.key_of(&new)?, Some(new))
                }
                WriteRequest::DeleteRequest { key } => (table.key(&item(key)?)?, None),
            };
            writes.push((name, position, arn.clone(), key, new));
        }
    }
    no_duplicates(writes.iter().map(|(_, _, arn, key, _)| (arn.as_str(), key)), DUPLICATES)?;
    if bytes > LARGEST_REQUEST {
        // The limit is the API reference's, the text is not known.
        return Err(invalid("The size of the items in the request exceeds 16 MB"));
    }
    let done = if call.is_partial { asked.div_ceil(2) } else { asked };
    let mut unprocessed: Map<String, Value> = Map::new();
    for (number, (name, position, arn, key, new)) in writes.into_iter().enumerate() {
        if number < done {
            world.tables.get_mut(&arn)?.write(key, new);
            continue;
        }
        let pointer = |items: &Value| items.get(name)?.get(position).cloned();
        let request = call.input.get("RequestItems").and_then(pointer);
        let later = unprocessed.entry(name.clone()).or_insert_with(|| json!([]));
        if let (Some(later), Some(request)) = (later.as_array_mut(), request) {
            later.push(request);
        }
    }
    Ok(json!({ "UnprocessedItems": unprocessed }))
}

fn is_not_empty(tables: usize) -> Result<(), ApiError> {
    match tables {
        0 => Err(constraint("'{}'", "requestItems", "have length greater than or equal to 1")),
        _ => Ok(()),
    }
}
