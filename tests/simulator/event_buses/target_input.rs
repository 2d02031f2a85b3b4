//! What a target gets of an event: all of it, a part, a text of its own, or a text made from parts of the event.
//!
//! After <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html>. A template that
//! `PutTargets` would refuse is an error, and so is what that page leaves open.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The longest template. <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html>
const LONGEST_TEMPLATE: usize = 8_192;

#[derive(Clone, Debug, Default)]
pub enum TargetInput {
    #[default]
    Event,
    /// `Input`: the same for every event.
    Constant(String),
    /// `InputPath`.
    Part(JsonPath),
    /// `InputTransformer`.
    Template { variables: BTreeMap<String, JsonPath>, template: Template },
}

/// A path in dot notation with array indices, like `$.detail.account.id` or `$.resources[0]`.
#[derive(Clone, Debug)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Index(usize),
}

#[derive(Clone, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    /// JSON as a whole; otherwise lines, each of which is a JSON string.
    is_json: bool,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Variable { name: String, in_string: bool },
}

/// Why `PutTargets` would refuse the input of a target, or the simulator does not know it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the input of the target is not valid: {0}")]
pub struct InvalidInput(String);

impl TargetInput {
    /// Reads the input from the properties of a target.
    pub fn parse(target: &Value) -> Result<Self, InvalidInput> {
        let text = |pointer: &str| target.pointer(pointer).and_then(Value::as_str);
        let given = ["Input", "InputPath", "InputTransformer"].into_iter().filter(|name| target.get(name).is_some());
        if given.count() > 1 {
            return Err(InvalidInput("only one of Input, InputPath and InputTransformer may be given".to_owned()));
        }
        if let Some(input) = text("/Input") {
            let is_json = serde_json::from_str::<Value>(input).is_ok();
            return if is_json { Ok(Self::Constant(input.to_owned())) } else { Err(not_json("Input")) };
        }
        if let Some(path) = text("/InputPath") {
            return Ok(Self::Part(JsonPath::parse(path)?));
        }
        let Some(transformer) = target.get("InputTransformer") else {
            return Ok(Self::Event);
        };
        let paths = transformer.get("InputPathsMap").and_then(Value::as_object).into_iter().flatten();
        let variables: BTreeMap<String, JsonPath> = paths
            .map(|(name, path)| {
                let path = path.as_str().ok_or_else(|| InvalidInput(format!("the path of `{name}` is no string")))?;
                Ok((name.clone(), JsonPath::parse(path)?))
            })
            .collect::<Result<_, InvalidInput>>()?;
        let template = text("/InputTransformer/InputTemplate");
        let template = template.ok_or_else(|| InvalidInput("there is no InputTemplate".to_owned()))?;
        Ok(Self::Template { template: Template::parse(template, &variables)?, variables })
    }

    /// What the target gets, or why nothing can be made for it.
    pub(super) fn render(&self, event: &Value) -> Result<String, String> {
        match self {
            Self::Event => Ok(event.to_string()),
            Self::Constant(text) => Ok(text.clone()),
            Self::Part(path) => match path.find(event) {
                Some(part) => Ok(part.to_string()),
                None => Err("InputPath leads to nothing in the event".to_owned()),
            },
            Self::Template { variables, template } => template.render(variables, event),
        }
    }
}

impl JsonPath {
    fn parse(text: &str) -> Result<Self, InvalidInput> {
        let unknown = || InvalidInput(format!("the simulator does not know the JSON path `{text}`"));
        let mut steps = Vec::new();
        let rest = text.strip_prefix('$').ok_or_else(unknown)?;
        for part in rest.split('.').skip(1) {
            let mut pieces = part.split('[');
            let member = pieces.next().unwrap_or_default();
            let is_known = |character: char| character.is_ascii_alphanumeric() || "-_/".contains(character);
            if member.is_empty() || !member.chars().all(is_known) {
                return Err(unknown());
            }
            steps.push(Step::Member(member.to_owned()));
            for index in pieces {
                let index = index.strip_suffix(']').and_then(|index| index.parse().ok()).ok_or_else(unknown)?;
                steps.push(Step::Index(index));
            }
        }
        if rest.is_empty() || rest.starts_with('.') { Ok(Self(steps)) } else { Err(unknown()) }
    }

    fn find<'a>(&self, event: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(event, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Index(index) => value.get(index),
        })
    }
}

impl Template {
    fn parse(text: &str, variables: &BTreeMap<String, JsonPath>) -> Result<Self, InvalidInput> {
        if text.len() > LONGEST_TEMPLATE {
            return Err(InvalidInput(format!("the template is longer than {LONGEST_TEMPLATE} characters")));
        }
        let is_json = text.trim_start().starts_with(['{', '[']);
        let mut template = Self { pieces: Vec::new(), is_json };
        let mut in_string = false;
        let mut written = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' if in_string => {
                    written.push(character);
                    written.extend(characters.next());
                }
                '"' => {
                    in_string = !in_string;
                    written.push(character);
                }
                '<' => {
                    let name: String = characters.by_ref().take_while(|character| *character != '>').collect();
                    if !variables.contains_key(&name) {
                        return Err(InvalidInput(format!("the placeholder `<{name}>` has no path")));
                    }
                    template.pieces.push(Piece::Text(std::mem::take(&mut written)));
                    template.pieces.push(Piece::Variable { name, in_string });
                }
                _ => written.push(character),
            }
        }
        template.pieces.push(Piece::Text(written));
        // "For Strings, quotes are required."
        let example = template.fill(|_, in_string| Ok(if in_string { "" } else { "0" }.to_owned()));
        let is_valid = example.is_ok_and(|example| {
            if is_json {
                serde_json::from_str::<Map<String, Value>>(&example).is_ok()
            } else {
                example.lines().all(|line| serde_json::from_str::<String>(line.trim()).is_ok())
            }
        });
        if is_valid { Ok(template) } else { Err(not_json("InputTemplate")) }
    }

    fn render(&self, variables: &BTreeMap<String, JsonPath>, event: &Value) -> Result<String, String> {
        let text = self.fill(|name, in_string| {
            let value = variables.get(name).and_then(|path| path.find(event));
            match value {
                // Values in a string are not escaped. One that the event does not have does not appear.
                Some(Value::String(text)) if in_string => Ok(text.clone()),
                Some(value @ (Value::Null | Value::Array(_) | Value::Object(_))) if in_string => {
                    Err(format!("what becomes of {value} in the string of a template is not known"))
                }
                Some(value) => Ok(value.to_string()),
                None if in_string => Ok(String::new()),
                None => Err(format!("the event has no `{name}`, and what then stands there is not known")),
            }
        })?;
        if !self.is_json {
            return Ok(text);
        }
        // "The JSON that is passed to the target is minified and escaped."
        let json: Value = serde_json::from_str(&text).map_err(|error| format!("the input is not JSON: {error}"))?;
        Ok(json.to_string())
    }

    fn fill(&self, value: impl Fn(&str, bool) -> Result<String, String>) -> Result<String, String> {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Variable { name, in_string } => value(name, *in_string),
        });
        pieces.collect()
    }
}

fn not_json(name: &str) -> InvalidInput {
    InvalidInput(format!("{name} must be JSON, or for {name} of text only lines that are each in quotes"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The event of AWS's documentation.
    fn render(target: &Value) -> Result<String, String> {
        let event = json!({
            "detail-type": "EC2 Instance State-change Notification",
            "time": "2015-11-11T21:29:54Z",
            "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
            "detail": {"instance-id": "i-0123456789", "state": "RUNNING", "count": 2, "said": "a \"b\""},
        });
        TargetInput::parse(target).map_err(|error| error.to_string())?.render(&event)
    }

    fn transformed(template: &str) -> Result<String, String> {
        render(&json!({"InputTransformer": {
            "InputPathsMap": {
                "instance": "$.detail.instance-id",
                "state": "$.detail.state",
                "count": "$.detail.count",
                "resource": "$.resources[0]",
                "detail": "$.detail",
                "said": "$.detail.said",
                "missing": "$.detail.missing",
            },
            "InputTemplate": template,
        }}))
    }

    #[test]
    fn templates_give_what_aws_documents() {
        for (template, expected) in [
            ("\"instance <instance> is in <state>\"", "\"instance i-0123456789 is in RUNNING\""),
            ("\"instance \\\"<instance>\\\"\"", "\"instance \\\"i-0123456789\\\"\""),
            ("\"<instance>\"\n\"second line, <count>\"", "\"i-0123456789\"\n\"second line, 2\""),
            ("\"state <missing>.\"", "\"state .\""),
            ("\"<said>\"", "\"a \"b\"\""),
            (
                "{\n \"instance\" : <instance>,\n \"state\": [9, <state>, true, <count>]\n}",
                r#"{"instance":"i-0123456789","state":[9,"RUNNING",true,2]}"#,
            ),
            (
                r#"{"instanceStatus": "instance \"<instance>\" is in <state>", "missing": "<missing>"}"#,
                r#"{"instanceStatus":"instance \"i-0123456789\" is in RUNNING","missing":""}"#,
            ),
            (r#"{"of": "<resource>"}"#, r#"{"of":"arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"}"#),
        ] {
            assert_eq!(transformed(template), Ok(expected.to_owned()), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_made_is_an_error() {
        for (template, expected) in [
            ("instance <instance>", "the input of the target is not valid: InputTemplate must be JSON"),
            ("\"<nothing>\"", "the input of the target is not valid: the placeholder `<nothing>` has no path"),
            ("{\"a\": }", "the input of the target is not valid: InputTemplate must be JSON"),
            ("{\"a\": <missing>}", "the event has no `missing`"),
            ("{\"a\": \"<said>\"}", "the input is not JSON"),
            ("\"<detail>\"", "what becomes of {"),
        ] {
            let error = transformed(template).unwrap_err();
            assert!(error.starts_with(expected), "{template}: {error}");
        }
        for path in ["detail", "$detail", "$..a", "$.detail.*", "$.a[x]", "$.detail['a']"] {
            let error = render(&json!({"InputPath": path})).unwrap_err();
            assert!(error.ends_with(&format!("the simulator does not know the JSON path `{path}`")), "{error}");
        }
    }

    #[test]
    fn a_target_may_get_a_part_or_a_constant() {
        assert_eq!(render(&json!({"InputPath": "$.detail.state"})), Ok("\"RUNNING\"".to_owned()));
        assert_eq!(render(&json!({"Input": "{\"a\": 1}"})), Ok("{\"a\": 1}".to_owned()));
        assert!(render(&json!({"Input": "a"})).is_err());
        assert!(render(&json!({"Input": "1", "InputPath": "$"})).is_err());
        assert!(render(&json!({})).unwrap().contains("RUNNING"));
    }
}
