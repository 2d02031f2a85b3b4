//! Condition, filter, key condition and projection expressions, and what they say about an item.
//!
//! "Expressions" in the DynamoDB developer guide has the grammar. Functions are refused where DynamoDB refuses them, and
//! so are the words that it reserves: code that forgets a `#name` fails here as it does there.

mod parser;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use serde_json::{Map, Value};

use super::attribute::{AttributeValue, Item};
use super::invalid;
use crate::api::ApiError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Compare(Operand, Comparator, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    IsOfType(Path, String),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Path(Path),
    Value(AttributeValue),
    Size(Path),
}

/// `attribute.member[0]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) attribute: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(usize),
}

/// The `#names` and `:values` of a request. Each must be used by one of its expressions.
#[derive(Debug)]
pub(super) struct Placeholders {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, AttributeValue>,
    used: RefCell<BTreeSet<String>>,
}

impl Placeholders {
    /// `has_expression` says whether the request has an expression that can use them.
    pub(super) fn read(
        names: Option<BTreeMap<String, String>>,
        values: Option<&Map<String, Value>>,
        has_expression: bool,
    ) -> Result<Self, ApiError> {
        for (member, is_given, is_empty) in [
            ("ExpressionAttributeNames", names.is_some(), names.as_ref().is_some_and(BTreeMap::is_empty)),
            ("ExpressionAttributeValues", values.is_some(), values.is_some_and(Map::is_empty)),
        ] {
            if is_given && !has_expression {
                return Err(invalid(format!("{member} can only be specified when using expressions")));
            }
            if is_empty {
                return Err(invalid(format!("{member} must not be empty")));
            }
        }
        let names = names.unwrap_or_default();
        let is_key = |key: &str, first: char| key.strip_prefix(first).is_some_and(|rest| !rest.is_empty());
        if let Some(key) = names.keys().find(|key| !is_key(key, '#')) {
            return Err(invalid(format!(
                "ExpressionAttributeNames contains invalid key: Syntax error; key: \"{key}\""
            )));
        }
        let mut read = BTreeMap::new();
        for (key, value) in values.into_iter().flatten() {
            if !is_key(key, ':') {
                let message = format!("ExpressionAttributeValues contains invalid key: Syntax error; key: \"{key}\"");
                return Err(invalid(message));
            }
            let value = AttributeValue::read(value).map_err(|error| ApiError {
                message: format!("ExpressionAttributeValues contains invalid value: {} for key {key}", error.message),
                ..error
            })?;
            read.insert(key.clone(), value);
        }
        Ok(Self { names, values: read, used: RefCell::default() })
    }

    /// `member` is what the request calls the expression: `ConditionExpression`.
    pub(super) fn condition(&self, member: &str, text: &str) -> Result<Condition, ApiError> {
        parser::condition(self, text).map_err(|problem| invalid(format!("Invalid {member}: {problem}")))
    }

    /// The attributes that a projection expression names.
    pub(super) fn projection(&self, text: &str) -> Result<BTreeSet<String>, ApiError> {
        parser::projection(self, text).map_err(|problem| invalid(format!("Invalid ProjectionExpression: {problem}")))
    }

    /// To be called when every expression of the request was parsed.
    pub(super) fn are_all_used(&self) -> Result<(), ApiError> {
        let used = self.used.borrow();
        let unused = |keys: &mut dyn Iterator<Item = &String>| {
            let unused: Vec<_> = keys.filter(|key| !used.contains(*key)).map(String::as_str).collect();
            (!unused.is_empty()).then(|| unused.join(", "))
        };
        for (member, unused) in [
            ("ExpressionAttributeNames", unused(&mut self.names.keys())),
            ("ExpressionAttributeValues", unused(&mut self.values.keys())),
        ] {
            if let Some(unused) = unused {
                return Err(invalid(format!("Value provided in {member} unused in expressions: keys: {{{unused}}}")));
            }
        }
        Ok(())
    }

    fn name(&self, key: &str) -> Option<&String> {
        self.used.borrow_mut().insert(key.to_owned());
        self.names.get(key)
    }

    fn value(&self, key: &str) -> Option<&AttributeValue> {
        self.used.borrow_mut().insert(key.to_owned());
        self.values.get(key)
    }
}

impl Condition {
    /// Whether it is true of an item; of one that does not exist, `item` is empty.
    pub(super) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Not(condition) => !condition.holds(item),
            Self::And(left, right) => left.holds(item) && right.holds(item),
            Self::Or(left, right) => left.holds(item) || right.holds(item),
            Self::Compare(left, comparator, right) => comparator.holds(left.of(item), right.of(item)),
            Self::Between(operand, low, high) => {
                Comparator::GreaterOrEqual.holds(operand.of(item), low.of(item))
                    && Comparator::LessOrEqual.holds(operand.of(item), high.of(item))
            }
            Self::In(operand, choices) => {
                choices.iter().any(|choice| Comparator::Equal.holds(operand.of(item), choice.of(item)))
            }
            Self::Exists(path) => path.of(item).is_some(),
            Self::NotExists(path) => path.of(item).is_none(),
            Self::IsOfType(path, kind) => path.of(item).is_some_and(|value| value.kind() == kind),
            Self::BeginsWith(operand, beginning) => match (operand.of(item), beginning.of(item)) {
                (Some(AttributeValue::S(text)), Some(AttributeValue::S(beginning))) => text.starts_with(&beginning),
                (Some(AttributeValue::B(bytes)), Some(AttributeValue::B(beginning))) => bytes.starts_with(&beginning),
                _ => false,
            },
            Self::Contains(operand, part) => match (operand.of(item), part.of(item)) {
                (Some(value), Some(part)) => contains(&value, &part),
                _ => false,
            },
        }
    }

    /// The attributes that it is about.
    pub(super) fn attributes(&self) -> BTreeSet<&str> {
        let paths: Vec<&Path> = match self {
            Self::Not(condition) => return condition.attributes(),
            Self::And(left, right) | Self::Or(left, right) => {
                return left.attributes().union(&right.attributes()).copied().collect();
            }
            Self::Compare(left, _, right) | Self::BeginsWith(left, right) | Self::Contains(left, right) => {
                [left, right].into_iter().filter_map(Operand::path).collect()
            }
            Self::Between(operand, low, high) => [operand, low, high].into_iter().filter_map(Operand::path).collect(),
            Self::In(operand, choices) => std::iter::once(operand).chain(choices).filter_map(Operand::path).collect(),
            Self::Exists(path) | Self::NotExists(path) | Self::IsOfType(path, _) => vec![path],
        };
        paths.into_iter().map(|path| path.attribute.as_str()).collect()
    }
}

impl Comparator {
    /// What is not there equals nothing and is less or greater than nothing. Values of different types have no order.
    fn holds(self, left: Option<AttributeValue>, right: Option<AttributeValue>) -> bool {
        let (Some(left), Some(right)) = (left, right) else {
            return self == Self::NotEqual;
        };
        let is_ordered = discriminant(&left) == discriminant(&right)
            && matches!(left, AttributeValue::S(_) | AttributeValue::N(_) | AttributeValue::B(_));
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => is_ordered && left < right,
            Self::LessOrEqual => is_ordered && left <= right,
            Self::Greater => is_ordered && left > right,
            Self::GreaterOrEqual => is_ordered && left >= right,
        }
    }
}

impl Operand {
    fn of(&self, item: &Item) -> Option<AttributeValue> {
        match self {
            Self::Path(path) => path.of(item).cloned(),
            Self::Value(value) => Some(value.clone()),
            Self::Size(path) => path.of(item)?.length()?.to_string().parse().ok().map(AttributeValue::N),
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) | Self::Size(path) => Some(path),
            Self::Value(_) => None,
        }
    }
}

impl Path {
    fn of<'a>(&self, item: &'a Item) -> Option<&'a AttributeValue> {
        let mut value = item.get(&self.attribute)?;
        for step in &self.steps {
            value = match (step, value) {
                (Step::Member(name), AttributeValue::M(members)) => members.get(name)?,
                (Step::Index(index), AttributeValue::L(values)) => values.get(*index)?,
                _ => return None,
            };
        }
        Some(value)
    }
}

fn contains(value: &AttributeValue, part: &AttributeValue) -> bool {
    match (value, part) {
        (AttributeValue::S(text), AttributeValue::S(part)) => text.contains(part.as_str()),
        (AttributeValue::B(bytes), AttributeValue::B(part)) => {
            part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
        }
        (AttributeValue::Ss(texts), AttributeValue::S(part)) => texts.contains(part),
        (AttributeValue::Ns(numbers), AttributeValue::N(part)) => numbers.contains(part),
        (AttributeValue::Bs(values), AttributeValue::B(part)) => values.contains(part),
        (AttributeValue::L(values), part) => values.contains(part),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
