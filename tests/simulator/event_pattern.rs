//! Matches events against EventBridge event patterns, as `PutRule` accepts and rules apply them.
//!
//! Pure: it knows nothing of buses and targets. A pattern that `PutRule` would refuse is an error, and so is an operator
//! that it does not know. The operators are those of
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>.

mod condition;

use serde_json::{Map, Value};

use condition::Condition;

/// A pattern that `PutRule` accepts.
#[derive(Clone, Debug)]
pub struct EventPattern {
    root: Fields,
}

/// Why `PutRule` would refuse a pattern: `InvalidEventPatternException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event pattern is not valid at `{path}`: {reason}")]
pub struct PatternError {
    /// The names of the fields that lead to the mistake, joined by dots.
    path: String,
    reason: String,
}

/// All fields must match, and one of the alternatives if there are any.
#[derive(Clone, Debug)]
struct Fields {
    fields: Vec<(String, Field)>,
    alternatives: Vec<Fields>,
}

#[derive(Clone, Debug)]
enum Field {
    Nested(Fields),
    /// One of the conditions must match one of the field's values.
    AnyOf(Vec<Condition>),
}

impl EventPattern {
    pub fn parse(pattern: &Value) -> Result<Self, PatternError> {
        let root = pattern.as_object().ok_or_else(|| PatternError::new("must be an object"))?;
        Ok(Self { root: Fields::parse(root)? })
    }

    pub fn matches(&self, event: &Value) -> bool {
        self.root.matches(event)
    }
}

impl PatternError {
    fn new(reason: impl Into<String>) -> Self {
        Self { path: String::new(), reason: reason.into() }
    }

    fn under(self, name: &str) -> Self {
        let path = match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{name}.{path}"),
        };
        Self { path, ..self }
    }
}

impl Fields {
    fn parse(pattern: &Map<String, Value>) -> Result<Self, PatternError> {
        if pattern.is_empty() {
            return Err(PatternError::new("an empty object matches nothing"));
        }
        let mut parsed = Self { fields: Vec::new(), alternatives: Vec::new() };
        for (name, value) in pattern {
            if name == "$or" {
                parsed.alternatives = alternatives(value).map_err(|error| error.under(name))?;
            } else {
                let field = Field::parse(value).map_err(|error| error.under(name))?;
                parsed.fields.push((name.clone(), field));
            }
        }
        Ok(parsed)
    }

    /// An array of objects matches when one of them does: fields are not mixed from several elements.
    fn matches(&self, value: &Value) -> bool {
        if let Value::Array(elements) = value {
            return elements.iter().any(|element| self.matches(element));
        }
        self.fields.iter().all(|(name, field)| field.matches(value.get(name)))
            && (self.alternatives.is_empty() || self.alternatives.iter().any(|fields| fields.matches(value)))
    }
}

fn alternatives(value: &Value) -> Result<Vec<Fields>, PatternError> {
    let objects: Option<Vec<_>> =
        value.as_array().and_then(|alternatives| alternatives.iter().map(Value::as_object).collect());
    match objects {
        Some(objects) if objects.len() >= 2 => objects.into_iter().map(Fields::parse).collect(),
        _ => Err(PatternError::new("must be a list of at least two objects")),
    }
}

impl Field {
    fn parse(value: &Value) -> Result<Self, PatternError> {
        match value {
            Value::Object(fields) => Ok(Self::Nested(Fields::parse(fields)?)),
            Value::Array(conditions) if conditions.is_empty() => {
                Err(PatternError::new("an empty list matches nothing"))
            }
            Value::Array(conditions) => {
                let conditions = conditions.iter().map(Condition::parse);
                Ok(Self::AnyOf(conditions.collect::<Result<_, _>>()?))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err(PatternError::new(format!("must be an object or a list, and is {value}")))
            }
        }
    }

    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Nested(fields) => fields.matches(value.unwrap_or(&Value::Null)),
            Self::AnyOf(conditions) => {
                let mut leaves = Vec::new();
                collect_leaves(value, &mut leaves);
                conditions.iter().any(|condition| condition.matches(&leaves))
            }
        }
    }
}

/// The values of a field: those of a list one by one. An object has none, it is not a leaf.
fn collect_leaves<'a>(value: Option<&'a Value>, leaves: &mut Vec<&'a Value>) {
    match value {
        None | Some(Value::Object(_)) => {}
        Some(Value::Array(elements)) => elements.iter().for_each(|element| collect_leaves(Some(element), leaves)),
        Some(leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => leaves.push(leaf),
    }
}

#[cfg(test)]
mod tests;
