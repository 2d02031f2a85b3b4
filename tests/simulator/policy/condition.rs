//! The `Condition` element: operators, their modifiers, and policy variables.
//!
//! After the IAM user guide, "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys
//! or values". An operator that is not listed there, or that nothing here needs (`Binary…`), is an error.

use std::collections::BTreeMap;
use std::net::IpAddr;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::{Context, OneOrMany, Scalar, wildcard};

/// All conditions of a statement: every one must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conditions(Vec<Condition>);

impl Conditions {
    pub(super) fn parse(written: BTreeMap<String, BTreeMap<String, OneOrMany<Scalar>>>) -> Result<Self, String> {
        let mut conditions = Vec::new();
        for (operator, keys) in written {
            let parsed = Operator::parse(&operator)?;
            for (key, values) in keys {
                let values: Vec<_> = values.into_vec().into_iter().map(Scalar::into_text).collect();
                if let Some(value) = values.iter().find(|value| !parsed.comparison.takes(value)) {
                    return Err(format!("`{value}` is no value for `{operator}` on `{key}`"));
                }
                conditions.push(Condition { operator: parsed, key, values });
            }
        }
        Ok(Self(conditions))
    }

    pub(super) fn hold(&self, context: &Context) -> bool {
        self.0.iter().all(|condition| condition.holds(context))
    }
}

/// Replaces the policy variables (`${aws:PrincipalAccount}`, with or without a default) of a value.
///
/// None if one has no value in this request: such a value matches nothing.
pub(super) fn substitute(pattern: &str, context: &Context) -> Option<String> {
    let mut replaced = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, tail) = after.split_once('}')?;
        replaced.push_str(before);
        let (key, default) = match variable.split_once(',') {
            Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
            None => (variable, None),
        };
        match (context.values(key), default) {
            (Some([value]), _) => replaced.push_str(value),
            (_, Some(default)) => replaced.push_str(default),
            (_, None) => return None,
        }
        rest = tail;
    }
    replaced.push_str(rest);
    Some(replaced)
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    operator: Operator,
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Operator {
    quantifier: Quantifier,
    comparison: Comparison,
    /// `…Not…`: holds when no value matches.
    negated: bool,
    /// `…IfExists`: holds when the request has no such key.
    if_exists: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Quantifier {
    Single,
    ForAllValues,
    ForAnyValue,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equals,
    EqualsIgnoringCase,
    Like,
    Arn,
    Bool,
    Null,
    IpAddress,
    Numeric(Order),
    Date(Order),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    fn parse(written: &str) -> Result<Self, String> {
        let unknown = || format!("unknown condition operator `{written}`");
        let (quantifier, name) = match written.split_once(':') {
            None => (Quantifier::Single, written),
            Some(("ForAllValues", name)) => (Quantifier::ForAllValues, name),
            Some(("ForAnyValue", name)) => (Quantifier::ForAnyValue, name),
            Some(_) => return Err(unknown()),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (comparison, negated) = match name {
            "StringEquals" => (Comparison::Equals, false),
            "StringNotEquals" => (Comparison::Equals, true),
            "StringEqualsIgnoreCase" => (Comparison::EqualsIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::EqualsIgnoringCase, true),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            // "ArnEquals and ArnLike behave identically" (IAM user guide).
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            "Bool" => (Comparison::Bool, false),
            "Null" if !if_exists => (Comparison::Null, false),
            "IpAddress" => (Comparison::IpAddress, false),
            "NotIpAddress" => (Comparison::IpAddress, true),
            _ => {
                let (comparison, order): (fn(Order) -> Comparison, _) = match name.strip_prefix("Numeric") {
                    Some(order) => (Comparison::Numeric, order),
                    None => (Comparison::Date, name.strip_prefix("Date").ok_or_else(unknown)?),
                };
                match order {
                    "Equals" => (comparison(Order::Equal), false),
                    "NotEquals" => (comparison(Order::Equal), true),
                    "LessThan" => (comparison(Order::Less), false),
                    "LessThanEquals" => (comparison(Order::LessOrEqual), false),
                    "GreaterThan" => (comparison(Order::Greater), false),
                    "GreaterThanEquals" => (comparison(Order::GreaterOrEqual), false),
                    _ => return Err(unknown()),
                }
            }
        };
        Ok(Self { quantifier, comparison, negated, if_exists })
    }
}

impl Condition {
    fn holds(&self, context: &Context) -> bool {
        let present = context.values(&self.key);
        if self.operator.comparison == Comparison::Null {
            return self.values.iter().any(|wanted| wanted.eq_ignore_ascii_case("true")) == present.is_none();
        }
        let Some(present) = present else {
            return match self.operator.quantifier {
                Quantifier::ForAllValues => true,
                Quantifier::ForAnyValue => self.operator.if_exists,
                Quantifier::Single => self.operator.if_exists || self.operator.negated,
            };
        };
        let matches_one = |value: &String| {
            let matched = self.values.iter().any(|wanted| {
                substitute(wanted, context).is_some_and(|wanted| self.operator.comparison.compare(&wanted, value))
            });
            matched != self.operator.negated
        };
        match self.operator.quantifier {
            Quantifier::ForAnyValue => present.iter().any(matches_one),
            Quantifier::ForAllValues | Quantifier::Single => present.iter().all(matches_one),
        }
    }
}

impl Comparison {
    /// Whether a policy may compare with the value at all. One that could never be compared would make a condition that
    /// never holds, or always. What a variable stands for is not known yet.
    fn takes(self, value: &str) -> bool {
        if value.contains("${") {
            return true;
        }
        match self {
            Self::Equals | Self::EqualsIgnoringCase | Self::Like | Self::Arn => true,
            Self::Bool | Self::Null => ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(value)),
            Self::IpAddress => network(value).is_some(),
            Self::Numeric(_) => value.parse::<f64>().is_ok(),
            Self::Date(_) => instant(value).is_some(),
        }
    }

    fn compare(self, wanted: &str, value: &str) -> bool {
        match self {
            Self::Equals => wanted == value,
            Self::EqualsIgnoringCase => wanted.to_lowercase() == value.to_lowercase(),
            Self::Like => wildcard::matches(wanted, value),
            Self::Arn => arn_matches(wanted, value),
            Self::Bool => wanted.eq_ignore_ascii_case(value),
            // Decided by the key's presence alone, before any value is looked at.
            Self::Null => false,
            Self::IpAddress => ip_matches(wanted, value).unwrap_or(false),
            Self::Numeric(order) => match (wanted.parse::<f64>(), value.parse::<f64>()) {
                (Ok(wanted), Ok(value)) => order.holds(&value, &wanted),
                _ => false,
            },
            Self::Date(order) => match (instant(wanted), instant(value)) {
                (Some(wanted), Some(value)) => order.holds(&value, &wanted),
                _ => false,
            },
        }
    }
}

impl Order {
    fn holds<T: PartialOrd>(self, value: &T, wanted: &T) -> bool {
        match self {
            Self::Equal => value == wanted,
            Self::Less => value < wanted,
            Self::LessOrEqual => value <= wanted,
            Self::Greater => value > wanted,
            Self::GreaterOrEqual => value >= wanted,
        }
    }
}

/// An ARN is compared part by part, so that a `*` does not reach over a colon; the sixth part may hold colons itself.
fn arn_matches(wanted: &str, value: &str) -> bool {
    let (wanted, value): (Vec<_>, Vec<_>) = (wanted.splitn(6, ':').collect(), value.splitn(6, ':').collect());
    wanted.len() == value.len() && wanted.iter().zip(&value).all(|(wanted, value)| wildcard::matches(wanted, value))
}

/// `10.0.0.0/8`, or an address, which is a network of its own: the address and how many bits of it count.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(width);
    (bits <= width).then_some((address, bits))
}

fn ip_matches(wanted: &str, address: &str) -> Option<bool> {
    let (network, bits) = network(wanted)?;
    let (network, address, width) = match (network, address.parse().ok()?) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (u128::from(network.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    let host_bits = u32::checked_sub(width, bits)?;
    // A shift by the whole width is no shift at all to `checked_shr`: a prefix of 0 bits holds every address.
    Some(network.checked_shr(host_bits).unwrap_or(0) == address.checked_shr(host_bits).unwrap_or(0))
}

/// A date of ISO 8601 with or without a time, or seconds since the epoch.
fn instant(text: &str) -> Option<OffsetDateTime> {
    if let Ok(epoch) = text.parse() {
        return OffsetDateTime::from_unix_timestamp(epoch).ok();
    }
    let date = || Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
    OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| Some(date()?.midnight().assume_utc()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn holds(written: Value, context: &Context) -> bool {
        Conditions::parse(serde_json::from_value(written).unwrap()).unwrap().hold(context)
    }

    #[test]
    fn operators() {
        let context = Context::default()
            .with("aws:PrincipalArn", "arn:aws:iam::111122223333:root")
            .with("aws:PrincipalAccount", "111122223333")
            .with("aws:SourceIp", "10.1.2.3")
            .with("aws:CurrentTime", "2026-11-20T12:00:00Z")
            .with("sts:DurationSeconds", "900")
            .with("aws:TagKeys", "a")
            .with("aws:TagKeys", "b");
        for (condition, expected) in [
            (json!({"StringEquals": {"AWS:principalaccount": ["1", "111122223333"]}}), true),
            (json!({"StringNotEquals": {"aws:PrincipalAccount": ["1", "111122223333"]}}), false),
            (json!({"StringEqualsIgnoreCase": {"aws:PrincipalArn": "ARN:aws:iam::111122223333:ROOT"}}), true),
            (json!({"StringLike": {"aws:PrincipalArn": "arn:*:root"}}), true),
            (json!({"StringNotLike": {"aws:PrincipalArn": "arn:*:root"}}), false),
            (json!({"StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}}), true),
            (json!({"StringEquals": {"aws:PrincipalAccount": "${aws:username}"}}), false),
            (json!({"StringEquals": {"aws:PrincipalAccount": "${aws:username, '111122223333'}"}}), true),
            (json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:root"}}), true),
            (json!({"ArnLike": {"aws:PrincipalArn": "arn:*:root"}}), false),
            (json!({"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}), true),
            (json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), true),
            (json!({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), true),
            (json!({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), false),
            (json!({"DateLessThan": {"aws:CurrentTime": "2026-11-20T12:00:01Z"}}), true),
            (json!({"DateLessThan": {"aws:CurrentTime": "2026-11-21"}}), true),
            (json!({"DateLessThan": {"aws:CurrentTime": "2026-11-20"}}), false),
            (json!({"DateGreaterThanEquals": {"aws:CurrentTime": "2026-11-21T00:00:00Z"}}), false),
            (json!({"NumericLessThanEquals": {"sts:DurationSeconds": 900}}), true),
            (json!({"NumericLessThan": {"sts:DurationSeconds": "900"}}), false),
            (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b", "c"]}}), true),
            (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}), false),
            (json!({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}), true),
            (json!({"ForAnyValue:StringEquals": {"aws:TagKeys": ["c"]}}), false),
        ] {
            assert_eq!(holds(condition.clone(), &context), expected, "{condition}");
        }
    }

    #[test]
    fn a_key_that_the_request_does_not_have() {
        for (condition, expected) in [
            (json!({"StringEquals": {"aws:AssumedRoot": "true"}}), false),
            (json!({"StringNotEquals": {"aws:AssumedRoot": "true"}}), true),
            (json!({"StringEqualsIfExists": {"aws:AssumedRoot": "true"}}), true),
            (json!({"Bool": {"aws:AssumedRoot": "true"}}), false),
            (json!({"BoolIfExists": {"aws:AssumedRoot": "true"}}), true),
            (json!({"Null": {"aws:AssumedRoot": "true"}}), true),
            (json!({"Null": {"aws:AssumedRoot": false}}), false),
            (json!({"ForAllValues:StringEquals": {"aws:TagKeys": "a"}}), true),
            (json!({"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}), false),
        ] {
            assert_eq!(holds(condition.clone(), &Context::default()), expected, "{condition}");
        }
    }

    #[test]
    fn unknown_operators_are_refused() {
        for operator in ["stringequals", "NullIfExists", "ForSomeValues:StringEquals", "NumericLike", "BinaryEquals"] {
            assert!(Operator::parse(operator).is_err(), "{operator}");
        }
    }
}
