//! `Query` and `Scan`: pages of items.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::attribute::{AttributeValue, Item, item, size};
use super::expression::{Comparator, Condition, Operand, Placeholders};
use super::table::{Key, KeyAttribute, Table};
use super::{Nothing, constraint, invalid, projected, table_arn};
use crate::api::{Answer, ApiError};
use crate::aws::World;
use crate::aws::call::Call;

/// What a page reads at most, before the filter.
const LARGEST_PAGE: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Input {
    table_name: Option<String>,
    key_condition_expression: Option<String>,
    filter_expression: Option<String>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Map<String, Value>>,
    exclusive_start_key: Option<Map<String, Value>>,
    limit: Option<i64>,
    scan_index_forward: Option<bool>,
    #[serde(default)]
    consistent_read: bool,
    select: Option<Select>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<Nothing>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Select {
    AllAttributes,
    SpecificAttributes,
    Count,
}

/// Which keys are read, and what of them is answered.
struct Selection {
    keys: Option<Condition>,
    filter: Option<Condition>,
    projection: Option<BTreeSet<String>>,
    is_count: bool,
}

pub(super) fn query(world: &mut World, call: &Call) -> Answer {
    let input: Input = call.input()?;
    if input.key_condition_expression.is_none() {
        return Err(invalid(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
        ));
    }
    page(world, call, "dynamodb:Query", input)
}

pub(super) fn scan(world: &mut World, call: &Call) -> Answer {
    let input: Input = call.input()?;
    if input.key_condition_expression.is_some() || input.scan_index_forward.is_some() {
        return Err(call.service.invalid_input("Scan: neither `KeyConditionExpression` nor `ScanIndexForward`"));
    }
    page(world, call, "dynamodb:Scan", input)
}

fn page(world: &World, call: &Call, action: &str, input: Input) -> Answer {
    let arn = table_arn(call, input.table_name.as_deref())?;
    if let Some(limit) = input.limit.filter(|limit| *limit < 1) {
        return Err(constraint(&format!("'{limit}'"), "limit", "have value greater than or equal to 1"));
    }
    let is_backward = input.scan_index_forward == Some(false);
    let start = input.exclusive_start_key.as_ref().map(item).transpose()?;
    let most = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let staleness = if input.consistent_read { 0 } else { call.staleness };
    let selection = Selection::read(input)?;
    world.authorize_table(call, action, &arn)?;
    let table = world.tables.get(&arn)?;
    selection.fits(table)?;
    let invalid_start = |_| invalid("The provided starting key is invalid");
    let start = start.map(|start| table.key(&start).map_err(invalid_start)).transpose()?;

    let items = table.items(staleness);
    let mut matching: Vec<(&Key, &Item)> = match selection.partition(table) {
        Some(partition) => {
            let from = items.range(Table::start_of(partition)..);
            from.take_while(|(key, _)| key.partition == *partition).filter(|(_, item)| selection.reads(item)).collect()
        }
        None => items.iter().collect(),
    };
    if is_backward {
        matching.reverse();
    }
    let is_before =
        |key: &Key| start.as_ref().is_some_and(|start| if is_backward { key >= start } else { key <= start });
    matching.retain(|(key, _)| !is_before(key));
    let mut read = Vec::new();
    let (mut bytes, mut last) = (0, None);
    for (key, item) in &matching {
        // A page ends where the limit is reached, though nothing may follow, or before the item that is too much.
        if read.len() == most || (bytes + size(item) > LARGEST_PAGE && !read.is_empty()) {
            break;
        }
        bytes += size(item);
        read.push(*item);
        last = Some(*key);
    }
    let is_complete = read.len() < most && read.len() == matching.len();
    let found: Vec<_> = read.iter().filter(|item| selection.answers(item)).collect();
    let mut answer = json!({ "Count": found.len(), "ScannedCount": read.len() });
    if let Some(answer) = answer.as_object_mut() {
        if !selection.is_count {
            let items = found.into_iter().map(|item| projected(item, selection.projection.as_ref()));
            answer.insert("Items".to_owned(), items.collect());
        }
        if let Some(last) = last.filter(|_| !is_complete) {
            answer.insert("LastEvaluatedKey".to_owned(), table.key_to_wire(last));
        }
    }
    Ok(answer)
}

impl Selection {
    fn read(input: Input) -> Result<Self, ApiError> {
        let expressions = [&input.key_condition_expression, &input.filter_expression, &input.projection_expression];
        let has_expression = expressions.iter().any(|expression| expression.is_some());
        let values = input.expression_attribute_values.as_ref();
        let placeholders = Placeholders::read(input.expression_attribute_names, values, has_expression)?;
        let condition =
            |member: &str, text: Option<String>| text.map(|text| placeholders.condition(member, &text)).transpose();
        let filter = condition("FilterExpression", input.filter_expression)?;
        let keys = condition("KeyConditionExpression", input.key_condition_expression)?;
        let projection = input.projection_expression.map(|text| placeholders.projection(&text)).transpose()?;
        placeholders.are_all_used()?;
        match (input.select, &projection) {
            (Some(Select::AllAttributes | Select::Count), Some(_)) => {
                let select = if input.select == Some(Select::Count) { "COUNT" } else { "ALL_ATTRIBUTES" };
                Err(invalid(format!("Cannot specify the ProjectionExpression when choosing to get {select}")))
            }
            (Some(Select::SpecificAttributes), None) => Err(invalid(
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
            )),
            _ => Ok(Self { keys, filter, projection, is_count: input.select == Some(Select::Count) }),
        }
    }

    /// Whether the conditions are ones that this table can be asked.
    fn fits(&self, table: &Table) -> Result<(), ApiError> {
        let settings = &table.settings;
        if let Some(keys) = &self.keys {
            let mut conditions = Vec::new();
            flatten(keys, &mut conditions)?;
            let mut asked: Vec<&str> = Vec::new();
            for condition in conditions {
                let (attribute, is_equality) = key_condition(condition)?;
                if asked.contains(&attribute) {
                    return Err(invalid("KeyConditionExpressions must only contain one condition per key"));
                }
                let key = settings.key_attributes().find(|key| key.name == attribute);
                if attribute == settings.partition_key.name && !is_equality {
                    return Err(invalid("Query key condition not supported"));
                }
                has_type_of(condition, key)?;
                asked.push(attribute);
            }
            let is_key = |attribute: &&str| settings.key_attributes().any(|key| key.name == **attribute);
            if !asked.contains(&settings.partition_key.name.as_str()) {
                let name = &settings.partition_key.name;
                return Err(invalid(format!("Query condition missed key schema element: {name}")));
            }
            if !asked.iter().all(&is_key) {
                let missed = settings.sort_key.as_ref().filter(|key| !asked.contains(&key.name.as_str()));
                return Err(match missed {
                    Some(key) => invalid(format!("Query condition missed key schema element: {}", key.name)),
                    None => invalid("Query key condition not supported"),
                });
            }
            // Of a query alone: a scan may filter by keys.
            let filtered = self.filter.iter().flat_map(Condition::attributes).find(is_key);
            if let Some(attribute) = filtered {
                return Err(invalid(format!(
                    "Filter Expression can only contain non-primary key attributes: Primary key attribute: {attribute}"
                )));
            }
        }
        Ok(())
    }

    /// The one partition that is read.
    fn partition(&self, table: &Table) -> Option<&AttributeValue> {
        let mut conditions = Vec::new();
        flatten(self.keys.as_ref()?, &mut conditions).ok()?;
        conditions.into_iter().find_map(|condition| {
            let (Condition::Compare(Operand::Path(path), Comparator::Equal, Operand::Value(value))
            | Condition::Compare(Operand::Value(value), Comparator::Equal, Operand::Path(path))) = condition
            else {
                return None;
            };
            (path.attribute == table.settings.partition_key.name).then_some(value)
        })
    }

    fn reads(&self, item: &Item) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.holds(item))
    }

    fn answers(&self, item: &Item) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.holds(item))
    }
}

/// The conditions on keys that are joined by `AND`.
fn flatten<'a>(condition: &'a Condition, into: &mut Vec<&'a Condition>) -> Result<(), ApiError> {
    let not_supported =
        |operator: &str| Err(invalid(format!("Invalid operator used in KeyConditionExpression: {operator}")));
    match condition {
        Condition::And(left, right) => {
            flatten(left, into)?;
            flatten(right, into)
        }
        Condition::Or(..) => not_supported("OR"),
        Condition::Not(_) => not_supported("NOT"),
        Condition::In(..) => not_supported("IN"),
        Condition::Exists(_) => not_supported("attribute_exists"),
        Condition::NotExists(_) => not_supported("attribute_not_exists"),
        Condition::IsOfType(..) => not_supported("attribute_type"),
        Condition::Contains(..) => not_supported("contains"),
        Condition::Compare(_, Comparator::NotEqual, _) => not_supported("<>"),
        Condition::Compare(..) | Condition::Between(..) | Condition::BeginsWith(..) => {
            into.push(condition);
            Ok(())
        }
    }
}

/// The attribute that a condition on a key is about, and whether it asks for one value of it.
fn key_condition(condition: &Condition) -> Result<(&str, bool), ApiError> {
    let attributes: Vec<_> = condition.attributes().into_iter().collect();
    match attributes.as_slice() {
        [attribute] => Ok((attribute, matches!(condition, Condition::Compare(_, Comparator::Equal, _)))),
        _ => Err(invalid("Query key condition not supported")),
    }
}

fn has_type_of(condition: &Condition, key: Option<&KeyAttribute>) -> Result<(), ApiError> {
    let operands = match condition {
        Condition::Compare(left, _, right) | Condition::BeginsWith(left, right) => vec![left, right],
        Condition::Between(operand, low, high) => vec![operand, low, high],
        Condition::Not(_)
        | Condition::And(..)
        | Condition::Or(..)
        | Condition::In(..)
        | Condition::Exists(_)
        | Condition::NotExists(_)
        | Condition::IsOfType(..)
        | Condition::Contains(..) => Vec::new(),
    };
    let mut values = operands.into_iter().filter_map(|operand| match operand {
        Operand::Value(value) => Some(value),
        Operand::Path(_) | Operand::Size(_) => None,
    });
    let is_other = |value: &AttributeValue| key.is_some_and(|key| key.kind.name() != value.kind());
    if values.any(is_other) {
        return Err(invalid(
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ));
    }
    Ok(())
}
