//! DynamoDB: tables of typed items, conditional writes, batches, transactions, queries.
//!
//! Error texts are those that DynamoDB is known to answer with, from its API reference and from what clients quote; where
//! none is known the comment says so. There are no indexes, no updates in place and no consumed capacity: a member that
//! asks for one is refused.

mod attribute;
mod batch;
mod expression;
mod items;
mod number;
mod query;
mod table;
mod tables;
mod transaction;
mod write;

use serde::Deserialize;
use serde_json::{Value, json};

pub use table::{KeyAttribute, KeyType, TableSettings};

use super::authorization::Permission;
use super::call::Call;
use super::service::{Operation, not_simulated, reads, writes};
use super::{Aws, World};
use crate::api::ApiError;
use attribute::AttributeValue;
pub(crate) use table::Tables;
pub(crate) use transaction::conflict as transaction_conflict;

pub(super) const OPERATIONS: &[Operation] = &[
    reads("GetItem", items::get_item),
    writes("PutItem", items::put_item),
    writes("DeleteItem", items::delete_item),
    reads("BatchGetItem", batch::batch_get_item),
    writes("BatchWriteItem", batch::batch_write_item),
    writes("TransactWriteItems", transaction::transact_write_items),
    reads("Query", query::query),
    reads("Scan", query::scan),
    writes("CreateTable", tables::create_table),
    writes("DeleteTable", tables::delete_table),
    reads("DescribeTable", tables::describe_table),
    writes("UpdateTimeToLive", tables::update_time_to_live),
    reads("DescribeTimeToLive", tables::describe_time_to_live),
];

/// `ReturnConsumedCapacity` and `ReturnItemCollectionMetrics`, of which only the default is simulated.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Nothing {
    None,
}

/// What DynamoDB says of input that it understands and does not accept.
fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationException", 400, message)
}

/// `value` is what is wrong, or nothing where it is too long to be repeated.
fn constraint(value: &str, member: &str, constraint: &str) -> ApiError {
    let value = if value.is_empty() { String::new() } else { format!(" {value}") };
    invalid(format!(
        "1 validation error detected: Value{value} at '{member}' failed to satisfy constraint: Member must {constraint}"
    ))
}

/// The ARN of the table that a request names, by its name or by its ARN.
fn table_arn(call: &Call, table: Option<&str>) -> Result<String, ApiError> {
    let table = table.ok_or_else(|| constraint("null", "tableName", "not be null"))?;
    if table.starts_with("arn:") {
        return Ok(table.to_owned());
    }
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    if !(3..=255).contains(&table.len()) || !table.chars().all(is_name) {
        return Err(invalid(
            "Invalid table/index name.  Table/index names must be between 3 and 255 characters long, and may contain \
             only the characters a-z, A-Z, 0-9, '_', '-', and '.'",
        ));
    }
    Ok(format!("arn:aws:dynamodb:{}:{}:table/{table}", call.region, call.caller.account))
}

impl World {
    /// A table in another account would need a policy of its own, which is not simulated: it is denied.
    fn authorize_table(&self, call: &Call, action: &str, arn: &str) -> Result<(), ApiError> {
        let permission = Permission::to(action, arn);
        match arn.split(':').nth(4).and_then(|owner| owner.parse().ok()) {
            Some(owner) if owner != call.caller.account => {
                self.authorize(call, &permission.owned_by(owner, crate::policy::ResourcePolicy::default()))
            }
            _ => self.authorize(call, &permission),
        }
    }
}

/// Tables for who holds the simulated AWS: by name or ARN, past authorization and faults.
impl Aws {
    /// An empty table, in place of one with the same ARN, which it returns.
    pub fn create_table(&self, settings: TableSettings) -> String {
        self.lock().tables.create(settings)
    }

    /// The items of a table in plain JSON, ordered by their keys within a partition; none if there is no such table.
    pub fn items(&self, table: &str) -> Vec<Value> {
        let mut world = self.lock();
        let items = world.tables.by_name(table).map(|table| table.items(0).values().map(attribute::to_plain).collect());
        items.unwrap_or_default()
    }

    /// Puts an item that is written in plain JSON: texts, numbers, truths, nothings, lists and maps become attributes of
    /// their types. Fails as `PutItem` does.
    pub fn put_item(&self, table: &str, item: &Value) -> Result<(), ApiError> {
        let AttributeValue::M(item) = AttributeValue::from_plain(item)? else {
            return Err(invalid(format!("`{item}` is not an item")));
        };
        let mut world = self.lock();
        let table = world.tables.by_name(table).ok_or_else(|| not_simulated(format!("a table `{table}`")))?;
        let key = table.key_of(&item)?;
        table.write(key, Some(item));
        Ok(())
    }
}

/// The items that a read answers with, as the API writes them, with only the attributes of a projection.
fn projected(item: &attribute::Item, projection: Option<&std::collections::BTreeSet<String>>) -> Value {
    let is_wanted = |name: &String| projection.is_none_or(|projection| projection.contains(name));
    let members = item.iter().filter(|(name, _)| is_wanted(name));
    json!(members.map(|(name, value)| (name.clone(), value.to_wire())).collect::<serde_json::Map<_, _>>())
}
