//! The events that leave Unroot, held against the schemas that describe them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

/// The validators by detail type.
static EVENTS: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
    let schemas: Vec<_> = files("events").iter().map(|path| closed(read(path))).collect();
    let event_schemas = schemas.iter().filter(|schema| schema.get("properties").is_some());
    event_schemas
        .map(|schema| {
            let detail_type = schema["properties"]["detail-type"]["const"].as_str().unwrap().to_owned();
            (detail_type, validator(schema, &schemas))
        })
        .collect()
});

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/schemas").join(folder);
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn validator(schema: &Value, all: &[Value]) -> Validator {
    let mut registry = jsonschema::Registry::new();
    for schema in all {
        registry = registry.add(schema["$id"].as_str().unwrap(), schema.clone()).unwrap();
    }
    let registry = registry.prepare().unwrap();
    jsonschema::options().should_validate_formats(true).with_registry(&registry).build(schema).unwrap()
}

/// The schema without room for what it does not describe: a reader must accept new fields, we must not send any that
/// nobody has written down.
fn closed(mut schema: Value) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        for value in fields.values_mut() {
            *value = closed(value.take());
        }
        let is_described = fields.get("properties").is_some_and(Value::is_object);
        if is_described && fields.contains_key("type") && !fields.contains_key("additionalProperties") {
            fields.insert("additionalProperties".to_owned(), json!(false));
        }
    } else if let Some(values) = schema.as_array_mut() {
        for value in values {
            *value = closed(value.take());
        }
    }
    schema
}

/// Fails if the event is not as its schema says.
pub(crate) fn check_event(event: &Value) {
    let detail_type = event["detail-type"].as_str().unwrap();
    let validator = EVENTS.get(detail_type).unwrap_or_else(|| panic!("no schema for `{detail_type}`"));
    let errors: Vec<_> =
        validator.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?} in {event:#}");
}

#[test]
fn every_detail_type_has_a_schema_and_every_schema_a_detail_type() {
    use shared::domain::alert::DetailType;
    let named = [
        DetailType::Found,
        DetailType::Deleted,
        DetailType::DeletionFailed,
        DetailType::NotVerified,
        DetailType::RootActivity,
        DetailType::AuditCompleted,
    ];
    let mut named: Vec<_> = named.iter().map(|detail_type| detail_type.as_str()).collect();
    named.sort_unstable();
    assert_eq!(EVENTS.keys().map(String::as_str).collect::<Vec<_>>(), named);
}

#[test]
fn a_schema_refuses_what_it_does_not_describe() {
    let detail = json!({
        "schemaVersion": 1, "id": "run", "headline": "x", "description": "x", "remedy": "x", "run": "run",
        "since": "2026-11-20T12:00:00Z", "notify": true, "trigger": "Schedule", "mode": "Audit",
        "account": {"id": "444455556666", "name": "webshop"}, "verdict": "Unknown",
        "examined": "2026-11-20T12:00:00Z", "reappeared": false,
        "failure": {"cause": "Throttled", "operation": "sts:AssumeRoot", "message": "Rate exceeded"},
    });
    let event = json!({"source": "unroot", "detail-type": "Root Credentials Not Verified", "detail": detail});
    check_event(&event);
    for (pointer, value) in [
        ("/detail/account/id", json!("4444")),
        ("/detail/headline", json!("two\nlines")),
        ("/detail/headline", json!("a \"quote\"")),
        ("/detail/since", json!("yesterday")),
        ("/detail/verdict", json!("Clean")),
        ("/detail/failure", json!({"cause": "Throttled"})),
        ("/detail/account", json!({"id": "444455556666", "name": "webshop", "email": "root@example.com"})),
    ] {
        let mut wrong = event.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        assert!(!EVENTS["Root Credentials Not Verified"].is_valid(&wrong), "{pointer}");
    }
}
