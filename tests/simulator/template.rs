//! What CloudFormation and SAM would make of a template: its resources, with every function resolved to plain JSON.
//!
//! It creates nothing, and it does not lint: `.ci/check-template` does that, and refuses circular references, for which
//! nothing here looks. A function, attribute or section that it does not know is an error that names it.

mod attributes;
mod parameters;
mod yaml;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::{Map, Value, json};

use attributes::Named;

const SECTIONS: [&str; 9] = [
    "AWSTemplateFormatVersion",
    "Transform",
    "Description",
    "Metadata",
    "Parameters",
    "Conditions",
    "Globals",
    "Resources",
    "Outputs",
];

/// Where a template is deployed, and with which parameters.
#[derive(Clone, Debug)]
pub struct Stack {
    pub name: String,
    pub account: String,
    pub region: String,
    pub parameters: BTreeMap<String, String>,
}

/// A template as it is written.
#[derive(Debug)]
pub struct Template {
    parameters: Map<String, Value>,
    conditions: Map<String, Value>,
    /// What SAM merges into each function.
    function_globals: Value,
    resources: Map<String, Value>,
    outputs: Map<String, Value>,
}

/// A template with all its functions resolved.
#[derive(Debug)]
pub struct Resolved {
    pub resources: Vec<Resource>,
    pub outputs: BTreeMap<String, String>,
}

/// A resource that a stack would contain.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name in the template.
    pub logical_id: String,
    /// Its type, like `AWS::SQS::Queue`.
    pub kind: String,
    /// What `Ref` and its ARN return; `None` for a type that nothing refers to.
    pub reference: Option<String>,
    pub arn: Option<String>,
    pub properties: Value,
    pub metadata: Value,
}

impl Template {
    pub fn parse(text: &str) -> Result<Self> {
        let document = yaml::read(text)?;
        let section = |name: &str| -> Result<Map<String, Value>> {
            match document.get(name) {
                None => Ok(Map::new()),
                Some(Value::Object(entries)) => Ok(entries.clone()),
                Some(_) => bail!("the section `{name}` is not a mapping"),
            }
        };
        for name in document.as_object().context("the template is not a mapping")?.keys() {
            ensure!(SECTIONS.contains(&name.as_str()), "the simulator does not know the section `{name}`");
        }
        let mut globals = section("Globals")?;
        let function_globals = globals.remove("Function").unwrap_or_else(|| json!({}));
        if let Some(name) = globals.keys().next() {
            bail!("the simulator does not know the globals of `{name}`");
        }
        Ok(Self {
            parameters: section("Parameters")?,
            conditions: section("Conditions")?,
            function_globals,
            resources: section("Resources")?,
            outputs: section("Outputs")?,
        })
    }

    /// Whether the template takes a parameter of this name.
    pub fn has_parameter(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
    }

    /// Resolves the template as a deployment would.
    ///
    /// Fails on parameters that CloudFormation would refuse and on whatever the simulator does not know.
    pub fn resolve(&self, stack: &Stack) -> Result<Resolved> {
        let resolver =
            Resolver { template: self, stack, parameters: parameters::values(&self.parameters, &stack.parameters)? };
        let mut resources = Vec::new();
        for (logical_id, declaration) in &self.resources {
            let resource = resolver.resource(logical_id, declaration);
            resources.extend(resource.with_context(|| format!("in the resource `{logical_id}`"))?);
        }
        let mut outputs = BTreeMap::new();
        for (name, declaration) in &self.outputs {
            if !resolver.is_wanted(declaration)? {
                continue;
            }
            let value = declaration.get("Value").context("no Value");
            let text = value.and_then(|value| resolver.text(value));
            outputs.insert(name.clone(), text.with_context(|| format!("in the output `{name}`"))?);
        }
        Ok(Resolved { resources, outputs })
    }
}

impl Resolved {
    /// The resources of a type, like `AWS::SQS::Queue`.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |resource| resource.kind == kind)
    }
}

impl Resource {
    /// The ARN of a resource of a type that has one.
    pub fn arn(&self) -> Result<&str> {
        self.arn.as_deref().ok_or_else(|| anyhow!("a `{}` has no ARN", self.kind))
    }

    /// What `Ref` returns for a resource of a type that can be referred to.
    pub fn reference(&self) -> Result<&str> {
        self.reference.as_deref().ok_or_else(|| anyhow!("nothing refers to a `{}`", self.kind))
    }

    /// Fails if the resource has a property that is not among these: one that nobody reads would be ignored silently.
    pub fn expect_only(&self, known: &[&str]) -> Result<()> {
        let mut names = self.properties.as_object().into_iter().flat_map(Map::keys);
        match names.find(|name| !known.contains(&name.as_str())) {
            Some(name) => bail!("the simulator does not know the property `{name}` of a `{}`", self.kind),
            None => Ok(()),
        }
    }

    /// A property by its JSON pointer.
    pub fn get(&self, pointer: &str) -> Option<&Value> {
        self.properties.pointer(pointer)
    }

    /// A property that must be there and be a string.
    pub fn text(&self, pointer: &str) -> Result<&str> {
        let value = self.get(pointer).and_then(Value::as_str);
        value.ok_or_else(|| anyhow!("`{}` has no string at `{pointer}`", self.logical_id))
    }

    /// A number, which CloudFormation also takes as text; parameters are always text.
    pub fn number(&self, pointer: &str) -> Option<u64> {
        let value = self.get(pointer)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }
}

struct Resolver<'a> {
    template: &'a Template,
    stack: &'a Stack,
    parameters: Map<String, Value>,
}

impl Resolver<'_> {
    /// `None` if the resource's condition does not hold.
    fn resource(&self, logical_id: &str, declaration: &Value) -> Result<Option<Resource>> {
        if !self.is_wanted(declaration)? {
            return Ok(None);
        }
        let kind = kind(declaration)?;
        let mut properties = declaration.get("Properties").cloned().unwrap_or_else(|| json!({}));
        if kind == "AWS::Serverless::Function" {
            properties = with_globals(&self.template.function_globals, properties);
        }
        let mut properties = self.value(&properties)?.unwrap_or_else(|| json!({}));
        let (mut reference, mut arn) = (None, None);
        if let Ok(name_property) = attributes::name_property(kind) {
            // The name is put in even where CloudFormation would generate it.
            let named = self.named(logical_id)?;
            reference = Some(named.reference());
            arn = Some(named.attribute("Arn")?);
            if let Some(properties) = properties.as_object_mut() {
                properties.insert(name_property.to_owned(), json!(named.name));
            }
        }
        Ok(Some(Resource {
            logical_id: logical_id.to_owned(),
            kind: kind.to_owned(),
            reference,
            arn,
            properties,
            metadata: declaration.get("Metadata").cloned().unwrap_or(Value::Null),
        }))
    }

    /// Whether the condition of a resource or an output holds, if it has one.
    fn is_wanted(&self, declaration: &Value) -> Result<bool> {
        declaration.get("Condition").and_then(Value::as_str).map_or(Ok(true), |name| self.condition(name))
    }

    /// `None` is `AWS::NoValue`: whatever it stands for is left out.
    fn value(&self, value: &Value) -> Result<Option<Value>> {
        match value {
            Value::Object(entries) => match function(entries) {
                Some((name, argument)) => self.call(name, argument).with_context(|| format!("in `{name}`")),
                None => self.object(entries),
            },
            Value::Array(items) => {
                let items = items.iter().filter_map(|item| self.value(item).transpose());
                Ok(Some(items.collect::<Result<_>>()?))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(Some(value.clone())),
        }
    }

    fn object(&self, entries: &Map<String, Value>) -> Result<Option<Value>> {
        let mut object = Map::new();
        for (name, value) in entries {
            if let Some(value) = self.value(value).with_context(|| format!("at `{name}`"))? {
                object.insert(name.clone(), value);
            }
        }
        Ok(Some(Value::Object(object)))
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Option<Value>> {
        match (function, argument) {
            ("Ref", Value::String(name)) if name == "AWS::NoValue" => Ok(None),
            ("Ref", Value::String(name)) => self.reference(name).map(Some),
            ("Fn::GetAtt", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(resource), Value::String(attribute)] => {
                    Ok(Some(json!(self.named(resource)?.attribute(attribute)?)))
                }
                _ => bail!("needs the name of a resource and of an attribute"),
            },
            ("Fn::If", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(condition), then, otherwise] => {
                    self.value(if self.condition(condition)? { then } else { otherwise })
                }
                _ => bail!("needs a condition and two values"),
            },
            ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(delimiter), list] => Ok(Some(json!(self.list(list)?.join(delimiter)))),
                _ => bail!("needs a delimiter, which cannot be a function, and a list"),
            },
            ("Fn::Split", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(delimiter), text] => {
                    let text = self.text(text)?;
                    Ok(Some(text.split(delimiter.as_str()).collect()))
                }
                _ => bail!("needs a delimiter and a string"),
            },
            ("Fn::Select", Value::Array(parts)) => match parts.as_slice() {
                [index, list] => {
                    let index: usize = self.text(index)?.parse().context("the index is not a number")?;
                    let item = self.list(list)?.get(index).cloned();
                    Ok(Some(json!(item.context("the list has no such item")?)))
                }
                _ => bail!("needs an index and a list"),
            },
            ("Fn::Sub", Value::String(text)) => Ok(Some(json!(self.substitute(text, &Map::new())?))),
            ("Fn::Sub", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(text), Value::Object(variables)] => Ok(Some(json!(self.substitute(text, variables)?))),
                _ => bail!("needs a string and a mapping of variables"),
            },
            _ => bail!("the simulator does not know the function `{function}` of {argument}"),
        }
    }

    fn reference(&self, name: &str) -> Result<Value> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(value.clone());
        }
        Ok(match name {
            "AWS::AccountId" => json!(self.stack.account),
            "AWS::Partition" => json!("aws"),
            "AWS::Region" => json!(self.stack.region),
            "AWS::StackName" => json!(self.stack.name),
            "AWS::URLSuffix" => json!("amazonaws.com"),
            _ if name.starts_with("AWS::") => bail!("the simulator does not know the pseudo parameter `{name}`"),
            _ => json!(self.named(name)?.reference()),
        })
    }

    fn named(&self, logical_id: &str) -> Result<Named<'_>> {
        let declaration = self.template.resources.get(logical_id);
        let declaration = declaration.ok_or_else(|| anyhow!("there is no parameter or resource `{logical_id}`"))?;
        let kind = kind(declaration)?;
        let property = |name: &str| match declaration.get("Properties").and_then(|all| all.get(name)) {
            Some(value) => self.text(value).map(Some),
            None => Ok(None),
        };
        let name = match property(attributes::name_property(kind)?)? {
            Some(name) => name,
            // CloudFormation ends a generated name with random letters.
            // The name of a bucket has no capitals.
            None if kind == "AWS::S3::Bucket" => format!("{}-{logical_id}-SIMULATED", self.stack.name).to_lowercase(),
            None => format!("{}-{logical_id}-SIMULATED", self.stack.name),
        };
        let event_bus = match kind {
            "AWS::Events::Rule" => property("EventBusName")?,
            _ => None,
        };
        Ok(Named { stack: self.stack, kind, name, event_bus })
    }

    fn condition(&self, name: &str) -> Result<bool> {
        let condition = self.template.conditions.get(name);
        let condition = condition.ok_or_else(|| anyhow!("there is no condition `{name}`"))?;
        self.holds(condition).with_context(|| format!("in the condition `{name}`"))
    }

    fn holds(&self, condition: &Value) -> Result<bool> {
        match condition.as_object().and_then(function) {
            Some(("Condition", Value::String(name))) => self.condition(name),
            Some(("Fn::Equals", Value::Array(sides))) => match sides.as_slice() {
                [left, right] => Ok(self.text(left)? == self.text(right)?),
                _ => bail!("`Fn::Equals` needs two values"),
            },
            Some(("Fn::Not", Value::Array(conditions))) => match conditions.as_slice() {
                [condition] => Ok(!self.holds(condition)?),
                _ => bail!("`Fn::Not` needs one condition"),
            },
            Some(("Fn::And", Value::Array(conditions))) => {
                let all: Vec<bool> = conditions.iter().map(|one| self.holds(one)).collect::<Result<_>>()?;
                Ok(all.into_iter().all(|holds| holds))
            }
            Some(("Fn::Or", Value::Array(conditions))) => {
                let all: Vec<bool> = conditions.iter().map(|one| self.holds(one)).collect::<Result<_>>()?;
                Ok(all.into_iter().any(|holds| holds))
            }
            _ => bail!("the simulator does not know the condition {condition}"),
        }
    }

    fn text(&self, value: &Value) -> Result<String> {
        match self.value(value)? {
            Some(Value::String(text)) => Ok(text),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Bool(truth)) => Ok(truth.to_string()),
            other => bail!("{value} is {other:?} and must be a string"),
        }
    }

    fn list(&self, value: &Value) -> Result<Vec<String>> {
        match self.value(value)? {
            Some(Value::Array(items)) => items.iter().map(|item| self.text(item)).collect(),
            other => bail!("{value} is {other:?} and must be a list"),
        }
    }

    fn substitute(&self, text: &str, variables: &Map<String, Value>) -> Result<String> {
        let mut pieces = text.split("${");
        let mut result = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').context("a `${` is not closed")?;
            if let Some(literal) = name.strip_prefix('!') {
                result.extend(["${", literal, "}"]);
            } else if let Some(value) = variables.get(name) {
                result.push_str(&self.text(value)?);
            } else if let Some((resource, attribute)) = name.split_once('.') {
                result.push_str(&self.named(resource)?.attribute(attribute)?);
            } else {
                result.push_str(&self.text(&self.reference(name)?)?);
            }
            result.push_str(rest);
        }
        Ok(result)
    }
}

fn kind(declaration: &Value) -> Result<&str> {
    declaration.get("Type").and_then(Value::as_str).context("no Type")
}

/// A mapping with a single key that names a function is a call of it.
fn function(entries: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = entries.iter();
    match (entries.next(), entries.next()) {
        (Some((name, argument)), None) if name == "Ref" || name.starts_with("Fn::") => Some((name, argument)),
        // Only a condition refers to another one; elsewhere `Condition` belongs to a policy and holds a mapping.
        (Some((name, argument)), None) if name == "Condition" && argument.is_string() => Some((name, argument)),
        _ => None,
    }
}

/// SAM's rule for globals: mappings are merged, lists are joined, anything else is replaced.
/// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html>
fn with_globals(globals: &Value, own: Value) -> Value {
    match (globals, own) {
        (Value::Object(globals), Value::Object(own)) if function(globals).is_none() && function(&own).is_none() => {
            let mut merged = globals.clone();
            for (name, value) in own {
                let value = match globals.get(&name) {
                    Some(global) => with_globals(global, value),
                    None => value,
                };
                merged.insert(name, value);
            }
            Value::Object(merged)
        }
        (Value::Array(globals), Value::Array(own)) => globals.iter().cloned().chain(own).collect(),
        (_, own) => own,
    }
}

#[cfg(test)]
mod tests;
