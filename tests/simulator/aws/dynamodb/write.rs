//! One conditional write, alone or in a transaction.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::attribute::{Item, item, to_wire};
use super::expression::{Condition, Placeholders};
use super::table::{Key, Table};
use super::{Nothing, constraint, invalid, table_arn};
use crate::api::ApiError;
use crate::aws::call::Call;

/// The members of `PutItem` and `DeleteItem`, and of `Put`, `Delete` and `ConditionCheck` in a transaction.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct WriteInput {
    table_name: Option<String>,
    item: Option<Map<String, Value>>,
    key: Option<Map<String, Value>>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) return_values: ReturnValues,
    #[serde(default)]
    return_values_on_condition_check_failure: ReturnValues,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<Nothing>,
    #[serde(rename = "ReturnItemCollectionMetrics")]
    _return_item_collection_metrics: Option<Nothing>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ReturnValues {
    #[default]
    None,
    AllOld,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteKind {
    Put,
    Delete,
    ConditionCheck,
}

/// A write that is well-formed; whether it fits its table is not known yet.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) kind: WriteKind,
    pub(super) table_arn: String,
    /// The whole item for a put, otherwise the key.
    pub(super) attributes: Item,
    condition: Option<Condition>,
    on_failure: ReturnValues,
}

impl WriteKind {
    /// "Using IAM with DynamoDB transactions": a transaction needs the permissions of its items.
    pub(super) fn action(self) -> &'static str {
        match self {
            Self::Put => "dynamodb:PutItem",
            Self::Delete => "dynamodb:DeleteItem",
            Self::ConditionCheck => "dynamodb:ConditionCheckItem",
        }
    }
}

impl Write {
    pub(super) fn read(call: &Call, kind: WriteKind, input: WriteInput) -> Result<Self, ApiError> {
        let table_arn = table_arn(call, input.table_name.as_deref())?;
        let (wanted, unwanted, member) = match kind {
            WriteKind::Put => (input.item, input.key, "item"),
            WriteKind::Delete | WriteKind::ConditionCheck => (input.key, input.item, "key"),
        };
        if unwanted.is_some() {
            return Err(call.service.invalid_input(format!("a {kind:?} has no such member besides `{member}`")));
        }
        let attributes = wanted.ok_or_else(|| constraint("null", member, "not be null"))?;
        let placeholders = Placeholders::read(
            input.expression_attribute_names,
            input.expression_attribute_values.as_ref(),
            input.condition_expression.is_some(),
        )?;
        let condition = match &input.condition_expression {
            Some(text) => Some(placeholders.condition("ConditionExpression", text)?),
            None if kind == WriteKind::ConditionCheck => {
                return Err(constraint("null", "conditionExpression", "not be null"));
            }
            None => None,
        };
        placeholders.are_all_used()?;
        let attributes = item(&attributes)?;
        Ok(Self { kind, table_arn, attributes, condition, on_failure: input.return_values_on_condition_check_failure })
    }

    pub(super) fn key(&self, table: &Table) -> Result<Key, ApiError> {
        match self.kind {
            WriteKind::Put => table.key_of(&self.attributes),
            WriteKind::Delete | WriteKind::ConditionCheck => table.key(&self.attributes),
        }
    }

    /// Fails if the condition does not hold, with the item that is there if that was asked for.
    pub(super) fn check(&self, current: Option<&Item>) -> Result<(), ApiError> {
        let nothing = Item::new();
        if self.condition.as_ref().is_none_or(|condition| condition.holds(current.unwrap_or(&nothing))) {
            return Ok(());
        }
        let failed = ApiError::new("ConditionalCheckFailedException", 400, "The conditional request failed");
        Err(match current {
            Some(item) if self.on_failure == ReturnValues::AllOld => failed.with_member("Item", to_wire(item)),
            _ => failed,
        })
    }

    /// Does it, whatever the condition, and returns what was there.
    pub(super) fn apply(self, table: &mut Table, key: Key) -> Option<Item> {
        match self.kind {
            WriteKind::Put => table.write(key, Some(self.attributes)),
            WriteKind::Delete => table.write(key, None),
            WriteKind::ConditionCheck => None,
        }
    }
}

/// Fails if two writes or reads of a request are on the same item.
pub(super) fn no_duplicates<'a>(keys: impl Iterator<Item = (&'a str, &'a Key)>, message: &str) -> Result<(), ApiError> {
    let mut seen = std::collections::BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(invalid(message));
        }
    }
    Ok(())
}
