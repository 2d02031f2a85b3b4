//! Reads CloudFormation's YAML as JSON, with short forms (`!Ref`) written out (`{"Ref": ..}`).
//!
//! It knows the names of the functions and the shapes of their short forms, not what they do.

use anyhow::{Context as _, Result, bail};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// The one document in `text` as JSON. Anchors are written out where they are used.
pub(super) fn read(text: &str) -> Result<Value> {
    let documents = Yaml::load_from_str(text).context("the template is not YAML")?;
    match documents.as_slice() {
        [document] => to_json(document),
        _ => bail!("the template has {} YAML documents and must have one", documents.len()),
    }
}

fn to_json(node: &Yaml) -> Result<Value> {
    match node {
        Yaml::Value(scalar) => Ok(scalar_to_json(scalar)),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                let Yaml::Value(Scalar::String(name)) = key else {
                    bail!("the key {key:?} is not a string");
                };
                let value = to_json(value).with_context(|| format!("at `{name}`"))?;
                object.insert(name.to_string(), value);
            }
            Ok(Value::Object(object))
        }
        Yaml::Tagged(tag, inner) => long_form(&format!("{}{}", tag.handle, tag.suffix), &to_json(inner)?),
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => bail!("unreadable YAML: {node:?}"),
    }
}

fn scalar_to_json(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => json!(value),
        Scalar::Integer(value) => json!(value),
        Scalar::FloatingPoint(value) => json!(value.into_inner()),
        Scalar::String(value) => json!(value),
    }
}

fn long_form(tag: &str, argument: &Value) -> Result<Value> {
    match tag {
        "!Ref" => Ok(json!({ "Ref": argument })),
        "!Condition" => Ok(json!({ "Condition": argument })),
        // The short form may name the attribute after a dot, the long form is a list.
        "!GetAtt" => match argument.as_str().and_then(|text| text.split_once('.')) {
            Some((resource, attribute)) => Ok(json!({ "Fn::GetAtt": [resource, attribute] })),
            None => Ok(json!({ "Fn::GetAtt": argument })),
        },
        "!Sub" | "!If" | "!Join" | "!Split" | "!Select" | "!Equals" | "!Not" | "!And" | "!Or" => {
            let name = tag.replacen('!', "Fn::", 1);
            Ok(json!({ name: argument }))
        }
        _ => bail!("the simulator does not know the function `{tag}`"),
    }
}
