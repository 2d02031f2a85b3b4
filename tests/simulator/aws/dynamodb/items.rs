//! One item: get, put, delete.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::attribute::{item, to_wire};
use super::expression::Placeholders;
use super::write::{ReturnValues, Write, WriteInput, WriteKind};
use super::{Nothing, constraint, projected, table_arn};
use crate::api::Answer;
use crate::aws::World;
use crate::aws::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetItem {
    table_name: Option<String>,
    key: Option<Map<String, Value>>,
    #[serde(default)]
    consistent_read: bool,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<Nothing>,
}

pub(super) fn get_item(world: &mut World, call: &Call) -> Answer {
    let input: GetItem = call.input()?;
    let arn = table_arn(call, input.table_name.as_deref())?;
    let key = input.key.ok_or_else(|| constraint("null", "key", "not be null"))?;
    let has_projection = input.projection_expression.is_some();
    let placeholders = Placeholders::read(input.expression_attribute_names, None, has_projection)?;
    let projection = input.projection_expression.map(|text| placeholders.projection(&text)).transpose()?;
    placeholders.are_all_used()?;
    let key = item(&key)?;
    world.authorize_table(call, "dynamodb:GetItem", &arn)?;
    let table = world.tables.get(&arn)?;
    let key = table.key(&key)?;
    let items = table.items(if input.consistent_read { 0 } else { call.staleness });
    Ok(match items.get(&key) {
        Some(item) => json!({ "Item": projected(item, projection.as_ref()) }),
        None => json!({}),
    })
}

pub(super) fn put_item(world: &mut World, call: &Call) -> Answer {
    write(world, call, WriteKind::Put)
}

/// Succeeds for an item that is not there.
pub(super) fn delete_item(world: &mut World, call: &Call) -> Answer {
    write(world, call, WriteKind::Delete)
}

fn write(world: &mut World, call: &Call, kind: WriteKind) -> Answer {
    let input: WriteInput = call.input()?;
    let return_values = input.return_values;
    let write = Write::read(call, kind, input)?;
    world.authorize_table(call, kind.action(), &write.table_arn)?;
    let table = world.tables.get_mut(&write.table_arn)?;
    let key = write.key(table)?;
    write.check(table.get(&key))?;
    let before = write.apply(table, key);
    Ok(match before {
        Some(item) if return_values == ReturnValues::AllOld => json!({ "Attributes": to_wire(&item) }),
        _ => json!({}),
    })
}
