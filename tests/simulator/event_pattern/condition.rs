//! The conditions in the lists of a pattern: exact values and the operators.

use std::net::IpAddr;

use serde_json::Value;

use super::PatternError;

/// One entry of a field's list.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Exact, without taking numbers that are written differently for the same: 300 is not 300.0.
    Equals(Value),
    Text(TextTest),
    /// Some value of the field fails all of these.
    AnythingBut(Vec<Condition>),
    Exists,
    Absent,
    Numeric(Vec<(Comparison, f64)>),
    Cidr(Network),
}

#[derive(Clone, Debug)]
pub(super) enum TextTest {
    Prefix(String),
    PrefixIgnoreCase(String),
    Suffix(String),
    SuffixIgnoreCase(String),
    EqualsIgnoreCase(String),
    /// The literal pieces between the asterisks.
    Wildcard(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Condition {
    pub(super) fn parse(value: &Value) -> Result<Self, PatternError> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(Self::Equals(value.clone())),
            Value::Array(_) => Err(PatternError::new("a list in a list")),
            Value::Object(_) => {
                let (operator, operand) = operator(value)?;
                Self::parse_operator(operator, operand).map_err(|error| error.under(operator))
            }
        }
    }

    fn parse_operator(operator: &str, operand: &Value) -> Result<Self, PatternError> {
        match (operator, operand) {
            ("exists", Value::Bool(true)) => Ok(Self::Exists),
            ("exists", Value::Bool(false)) => Ok(Self::Absent),
            ("exists", _) => Err(PatternError::new("must be true or false")),
            ("anything-but", operand) => Ok(Self::AnythingBut(anything_but(operand)?)),
            ("numeric", Value::Array(parts)) => Ok(Self::Numeric(numeric(parts)?)),
            ("numeric", _) => Err(PatternError::new("must be a list")),
            ("cidr", Value::String(text)) => Ok(Self::Cidr(Network::parse(text)?)),
            ("cidr", _) => Err(PatternError::new("must be a string")),
            (operator, operand) => Ok(Self::Text(TextTest::parse(operator, operand)?)),
        }
    }

    /// `leaves` are the values of the field, none if it is absent.
    pub(super) fn matches(&self, leaves: &[&Value]) -> bool {
        match self {
            Self::Absent => leaves.is_empty(),
            Self::Exists
            | Self::Equals(_)
            | Self::Text(_)
            | Self::AnythingBut(_)
            | Self::Numeric(_)
            | Self::Cidr(_) => leaves.iter().any(|leaf| self.matches_leaf(leaf)),
        }
    }

    fn matches_leaf(&self, leaf: &Value) -> bool {
        match self {
            Self::Exists => true,
            Self::Absent => false,
            Self::Equals(value) => leaf == value,
            Self::Text(test) => leaf.as_str().is_some_and(|text| test.matches(text)),
            Self::AnythingBut(conditions) => !conditions.iter().any(|condition| condition.matches_leaf(leaf)),
            Self::Numeric(comparisons) => leaf
                .as_number()
                .and_then(serde_json::Number::as_f64)
                .is_some_and(|number| comparisons.iter().all(|(comparison, bound)| comparison.holds(number, *bound))),
            Self::Cidr(network) => {
                let address = leaf.as_str().and_then(|text| text.parse().ok());
                address.is_some_and(|address| network.contains(address))
            }
        }
    }
}

/// The only key of an object in a list, and its value.
fn operator(value: &Value) -> Result<(&str, &Value), PatternError> {
    let mut entries = value.as_object().into_iter().flatten();
    match (entries.next(), entries.next()) {
        (Some((operator, operand)), None) => Ok((operator, operand)),
        _ => Err(PatternError::new("an object in a list must have exactly one operator")),
    }
}

fn anything_but(operand: &Value) -> Result<Vec<Condition>, PatternError> {
    match operand {
        Value::String(_) | Value::Number(_) => Ok(vec![Condition::Equals(operand.clone())]),
        Value::Array(values)
            if !values.is_empty() && (values.iter().all(Value::is_string) || values.iter().all(Value::is_number)) =>
        {
            Ok(values.iter().cloned().map(Condition::Equals).collect())
        }
        Value::Object(_) => {
            let (operator, operand) = operator(operand)?;
            let operands = match operand.as_array() {
                Some(operands) if !operands.is_empty() => operands.as_slice(),
                _ => std::slice::from_ref(operand),
            };
            let tests = operands.iter().map(|operand| TextTest::parse(operator, operand).map(Condition::Text));
            tests.collect::<Result<_, _>>().map_err(|error| error.under(operator))
        }
        Value::Null | Value::Bool(_) | Value::Array(_) => {
            Err(PatternError::new("must be a string, a number, a list of only one of them, or an operator"))
        }
    }
}

impl TextTest {
    fn parse(operator: &str, operand: &Value) -> Result<Self, PatternError> {
        match (operator, operand) {
            ("prefix", Value::String(text)) => Ok(Self::Prefix(text.clone())),
            ("prefix", Value::Object(_)) => Ok(Self::PrefixIgnoreCase(ignore_case(operand)?)),
            ("suffix", Value::String(text)) => Ok(Self::Suffix(text.clone())),
            ("suffix", Value::Object(_)) => Ok(Self::SuffixIgnoreCase(ignore_case(operand)?)),
            ("equals-ignore-case", Value::String(text)) => Ok(Self::EqualsIgnoreCase(text.to_lowercase())),
            ("wildcard", Value::String(text)) => Ok(Self::Wildcard(wildcard_pieces(text)?)),
            ("prefix" | "suffix" | "equals-ignore-case" | "wildcard", _) => {
                Err(PatternError::new(format!("must be a string, and is {operand}")))
            }
            _ => Err(PatternError::new("unknown operator")),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::PrefixIgnoreCase(prefix) => text.to_lowercase().starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::SuffixIgnoreCase(suffix) => text.to_lowercase().ends_with(suffix),
            Self::EqualsIgnoreCase(other) => text.to_lowercase() == *other,
            Self::Wildcard(pieces) => matches_wildcard(pieces, text),
        }
    }
}

fn ignore_case(operand: &Value) -> Result<String, PatternError> {
    match operator(operand)? {
        ("equals-ignore-case", Value::String(text)) => Ok(text.to_lowercase()),
        (operator, _) => Err(PatternError::new("only a string can be compared here").under(operator)),
    }
}

/// Splits at the asterisks; `\*` and `\\` stand for themselves.
fn wildcard_pieces(pattern: &str) -> Result<Vec<String>, PatternError> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' if characters.peek() == Some(&'*') => return Err(PatternError::new("two asterisks in a row")),
            '*' => pieces.push(std::mem::take(&mut piece)),
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '\\')) => piece.push(escaped),
                _ => return Err(PatternError::new("a backslash escapes only `*` and `\\`")),
            },
            other => piece.push(other),
        }
    }
    pieces.push(piece);
    Ok(pieces)
}

fn matches_wildcard(pieces: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else {
        return pieces.first().is_some_and(|only| only == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    for piece in middle {
        match rest.split_once(piece.as_str()) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn numeric(parts: &[Value]) -> Result<Vec<(Comparison, f64)>, PatternError> {
    let comparisons = parts
        .chunks(2)
        .map(|pair| match pair {
            [Value::String(operator), Value::Number(bound)] => {
                let bound = bound.as_f64().ok_or_else(|| PatternError::new("a number is too large"))?;
                Ok((Comparison::parse(operator)?, bound))
            }
            _ => Err(PatternError::new("must be pairs of a comparison and a number")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    match comparisons.as_slice() {
        [_] => Ok(comparisons),
        [(lower, from), (upper, to)] if lower.is_lower_bound() && upper.is_upper_bound() && from < to => {
            Ok(comparisons)
        }
        _ => Err(PatternError::new("must be one comparison, or a lower and then a higher upper bound")),
    }
}

impl Comparison {
    fn parse(operator: &str) -> Result<Self, PatternError> {
        match operator {
            "<" => Ok(Self::Less),
            "<=" => Ok(Self::AtMost),
            "=" => Ok(Self::Equal),
            ">=" => Ok(Self::AtLeast),
            ">" => Ok(Self::Greater),
            _ => Err(PatternError::new(format!("unknown comparison `{operator}`"))),
        }
    }

    fn is_lower_bound(self) -> bool {
        matches!(self, Self::AtLeast | Self::Greater)
    }

    fn is_upper_bound(self) -> bool {
        matches!(self, Self::AtMost | Self::Less)
    }

    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Less => number < bound,
            Self::AtMost => number <= bound,
            Self::Equal => number.total_cmp(&bound).is_eq(),
            Self::AtLeast => number >= bound,
            Self::Greater => number > bound,
        }
    }
}

impl Network {
    fn parse(text: &str) -> Result<Self, PatternError> {
        let invalid = || PatternError::new(format!("`{text}` is not a network like 10.0.0.0/24"));
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let prefix: u32 = prefix.parse().map_err(|_| invalid())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest {
            return Err(invalid());
        }
        Ok(Self { address, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        // The bits behind the prefix do not count.
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let difference = network.to_bits() ^ address.to_bits();
                difference.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let difference = network.to_bits() ^ address.to_bits();
                difference.leading_zeros() >= self.prefix
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}
