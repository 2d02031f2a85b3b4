//! Attribute values: what an item is made of, on the wire, in plain JSON, and as DynamoDB compares and measures it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::invalid;
use super::number::Number;
use crate::api::ApiError;
use crate::aws::base64;

pub(super) type Item = BTreeMap<String, AttributeValue>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AttributeValue {
    S(String),
    N(Number),
    B(Vec<u8>),
    Bool(bool),
    Null,
    M(Item),
    L(Vec<AttributeValue>),
    Ss(BTreeSet<String>),
    Ns(BTreeSet<Number>),
    Bs(BTreeSet<Vec<u8>>),
}

/// "Quotas in Amazon DynamoDB".
const DEEPEST_NESTING: usize = 32;

/// Reads a map of attribute values, such as an item or a key.
pub(super) fn item(attributes: &Map<String, Value>) -> Result<Item, ApiError> {
    members(attributes, 0)
}

fn members(attributes: &Map<String, Value>, depth: usize) -> Result<Item, ApiError> {
    let members = attributes.iter().map(|(name, value)| Ok((name.clone(), AttributeValue::parse(value, depth)?)));
    members.collect()
}

/// The item as the API writes it.
pub(super) fn to_wire(item: &Item) -> Value {
    Value::Object(item.iter().map(|(name, value)| (name.clone(), value.to_wire())).collect())
}

/// An item in plain JSON, as somebody reads it who does not care for types: sets are lists, binaries base64.
pub(super) fn to_plain(item: &Item) -> Value {
    Value::Object(item.iter().map(|(name, value)| (name.clone(), value.to_plain())).collect())
}

/// "DynamoDB item sizes and formats": names and values.
pub(super) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size()).sum()
}

impl AttributeValue {
    pub(super) fn read(value: &Value) -> Result<Self, ApiError> {
        Self::parse(value, 0)
    }

    fn parse(value: &Value, depth: usize) -> Result<Self, ApiError> {
        if depth > DEEPEST_NESTING {
            return Err(invalid(
                "Nesting Levels have exceeded supported limits: Attributes nested deeper than 32 levels",
            ));
        }
        let mut members = value.as_object().ok_or_else(|| malformed(value))?.iter();
        let (kind, content) = match (members.next(), members.next()) {
            (Some(member), None) => member,
            (None, _) => {
                return Err(invalid(
                    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported \
                     datatypes",
                ));
            }
        };
        match (kind.as_str(), content) {
            ("S", Value::String(text)) => Ok(Self::S(text.clone())),
            ("N", Value::String(text)) => text.parse().map(Self::N),
            ("B", Value::String(text)) => binary(text).map(Self::B),
            ("BOOL", Value::Bool(truth)) => Ok(Self::Bool(*truth)),
            ("NULL", Value::Bool(true)) => Ok(Self::Null),
            ("NULL", Value::Bool(false)) => Err(invalid(
                "One or more parameter values were invalid: Null attribute value types must have the value of true",
            )),
            ("M", Value::Object(attributes)) => self::members(attributes, depth + 1).map(Self::M),
            ("L", Value::Array(values)) => {
                let values = values.iter().map(|value| Self::parse(value, depth + 1));
                values.collect::<Result<_, _>>().map(Self::L)
            }
            ("SS", Value::Array(values)) => set("An string set", values, |text| Ok(text.to_owned())).map(Self::Ss),
            ("NS", Value::Array(values)) => set("An number set", values, str::parse).map(Self::Ns),
            ("BS", Value::Array(values)) => set("Binary sets", values, binary).map(Self::Bs),
            _ => Err(malformed(value)),
        }
    }

    /// The name of its type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::B(_) => "B",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::M(_) => "M",
            Self::L(_) => "L",
            Self::Ss(_) => "SS",
            Self::Ns(_) => "NS",
            Self::Bs(_) => "BS",
        }
    }

    pub(super) fn to_wire(&self) -> Value {
        let content = match self {
            Self::S(text) => json!(text),
            Self::N(number) => json!(number.to_string()),
            Self::B(bytes) => json!(base64::encode(bytes)),
            Self::Bool(truth) => json!(truth),
            Self::Null => json!(true),
            Self::M(item) => to_wire(item),
            Self::L(values) => values.iter().map(Self::to_wire).collect(),
            Self::Ss(texts) => json!(texts),
            Self::Ns(numbers) => numbers.iter().map(ToString::to_string).collect(),
            Self::Bs(values) => values.iter().map(|bytes| base64::encode(bytes)).collect(),
        };
        json!({ self.kind(): content })
    }

    fn to_plain(&self) -> Value {
        match self {
            Self::S(text) => json!(text),
            Self::N(number) => plain_number(number),
            Self::B(bytes) => json!(base64::encode(bytes)),
            Self::Bool(truth) => json!(truth),
            Self::Null => Value::Null,
            Self::M(item) => to_plain(item),
            Self::L(values) => values.iter().map(Self::to_plain).collect(),
            Self::Ss(texts) => json!(texts),
            Self::Ns(numbers) => numbers.iter().map(plain_number).collect(),
            Self::Bs(values) => values.iter().map(|bytes| base64::encode(bytes)).collect(),
        }
    }

    pub(super) fn from_plain(value: &Value) -> Result<Self, ApiError> {
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number(number) => Self::N(number.to_string().parse()?),
            Value::String(text) => Self::S(text.clone()),
            Value::Array(values) => Self::L(values.iter().map(Self::from_plain).collect::<Result<_, _>>()?),
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| Ok((name.clone(), Self::from_plain(value)?)));
                Self::M(members.collect::<Result<_, ApiError>>()?)
            }
        })
    }

    fn size(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(number) => number.size(),
            Self::B(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::M(item) => 3 + item.len() + size(item),
            Self::L(values) => 3 + values.iter().map(|value| 1 + value.size()).sum::<usize>(),
            Self::Ss(texts) => texts.iter().map(String::len).sum(),
            Self::Ns(numbers) => numbers.iter().map(Number::size).sum(),
            Self::Bs(values) => values.iter().map(Vec::len).sum(),
        }
    }

    /// What the function `size` returns; None for the types that have no size.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::S(text) => Some(text.len()),
            Self::B(bytes) => Some(bytes.len()),
            Self::M(item) => Some(item.len()),
            Self::L(values) => Some(values.len()),
            Self::Ss(texts) => Some(texts.len()),
            Self::Ns(numbers) => Some(numbers.len()),
            Self::Bs(values) => Some(values.len()),
            Self::N(_) | Self::Bool(_) | Self::Null => None,
        }
    }
}

/// A number that JSON readers keep exactly; the text of any other.
fn plain_number(number: &Number) -> Value {
    let text = number.to_string();
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(whole), _) => json!(whole),
        (Err(_), Ok(float)) if float.to_string() == text => json!(float),
        _ => json!(text),
    }
}

fn set<T: Ord>(
    name: &str,
    values: &[Value],
    read: impl Fn(&str) -> Result<T, ApiError>,
) -> Result<BTreeSet<T>, ApiError> {
    if values.is_empty() {
        // The two spaces in the names of sets are DynamoDB's.
        let verb = if name.starts_with("Binary") { "should not be empty" } else { " may not be empty" };
        return Err(invalid(format!("One or more parameter values were invalid: {name} {verb}")));
    }
    let mut set = BTreeSet::new();
    for value in values {
        if !set.insert(read(value.as_str().ok_or_else(|| malformed(value))?)?) {
            let all: Vec<_> = values.iter().filter_map(Value::as_str).collect();
            return Err(invalid(format!(
                "One or more parameter values were invalid: Input collection [{}] contains duplicates.",
                all.join(", ")
            )));
        }
    }
    Ok(set)
}

fn binary(text: &str) -> Result<Vec<u8>, ApiError> {
    let message = "Base64 encoded value is not valid";
    base64::decode(text).ok_or_else(|| ApiError::new("SerializationException", 400, message))
}

/// JSON that is no attribute value. AWS's texts name Java classes; nobody compares them.
fn malformed(value: &Value) -> ApiError {
    ApiError::new("SerializationException", 400, format!("`{value}` is not an attribute value"))
}
