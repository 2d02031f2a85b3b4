//! The parameters of a template, with the checks that CloudFormation makes before it changes anything.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use regex_lite::Regex;
use serde_json::{Map, Value, json};

/// The value of each declared parameter: given, else its default. A `CommaDelimitedList` is an array, anything else a
/// string, as `Ref` returns them.
pub(super) fn values(declared: &Map<String, Value>, given: &BTreeMap<String, String>) -> Result<Map<String, Value>> {
    if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
        bail!("the template has no parameter `{unknown}`");
    }
    declared
        .iter()
        .map(|(name, declaration)| {
            let text = match given.get(name) {
                Some(text) => text.clone(),
                None => default(declaration).with_context(|| format!("the parameter `{name}` needs a value"))?,
            };
            let value = value(declaration, &text).with_context(|| format!("the parameter `{name}` is `{text}`"))?;
            Ok((name.clone(), value))
        })
        .collect()
}

fn default(declaration: &Value) -> Option<String> {
    declaration.get("Default").map(as_text)
}

/// Numbers in the template stand for their text.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn value(declaration: &Value, text: &str) -> Result<Value> {
    match declaration.get("Type").and_then(Value::as_str) {
        Some("String") => {
            check_text(declaration, text)?;
            Ok(json!(text))
        }
        Some("Number") => {
            check_text(declaration, text)?;
            check_number(declaration, text)?;
            Ok(json!(text))
        }
        Some("CommaDelimitedList") => {
            let items: Vec<&str> = text.split(',').map(str::trim).collect();
            for item in &items {
                check_text(declaration, item)?;
            }
            Ok(json!(items))
        }
        other => bail!("the simulator does not know the parameter type {other:?}"),
    }
}

fn check_text(declaration: &Value, text: &str) -> Result<()> {
    if let Some(allowed) = declaration.get("AllowedValues").and_then(Value::as_array) {
        let is_allowed = allowed.iter().any(|value| as_text(value) == text);
        ensure!(is_allowed, "must be one of {}", json!(allowed));
    }
    if let Some(pattern) = declaration.get("AllowedPattern").and_then(Value::as_str) {
        // CloudFormation matches the whole value.
        let whole = Regex::new(&format!("^(?:{pattern})$")).context("bad AllowedPattern")?;
        let constraint = declaration.get("ConstraintDescription").and_then(Value::as_str);
        ensure!(whole.is_match(text), "{}", constraint.unwrap_or(pattern));
    }
    Ok(())
}

fn check_number(declaration: &Value, text: &str) -> Result<()> {
    let number: f64 = text.parse().context("must be a number")?;
    let bound = |name: &str| declaration.get(name).and_then(Value::as_f64);
    ensure!(bound("MinValue").is_none_or(|least| least <= number), "is less than MinValue");
    ensure!(bound("MaxValue").is_none_or(|most| number <= most), "is more than MaxValue");
    Ok(())
}
