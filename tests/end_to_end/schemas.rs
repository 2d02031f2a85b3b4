//! The events and the answers that leave Unroot, held against the schemas that describe them.

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

/// The validators by the function that answers.
static ANSWERS: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
    let shared: Vec<_> = files("events").iter().map(|path| closed(read(path))).collect();
    let answers = files("answers").into_iter().map(|path| {
        let function = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (function, validator(&closed(read(&path)), &shared))
    });
    answers.collect()
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
    check(EVENTS.get(detail_type).unwrap_or_else(|| panic!("no schema for `{detail_type}`")), event);
}

/// Fails if the answer of a function to people is not as its schema says.
pub(crate) fn check_answer(function: &str, answer: &Value) {
    check(&ANSWERS[function], answer);
}

fn check(validator: &Validator, value: &Value) {
    let errors: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?} in {value:#}");
}

#[test]
fn every_detail_type_has_a_schema_and_every_schema_a_detail_type() {
    use shared::domain::alert::DetailType;
    let mut named: Vec<_> = DetailType::ALL.iter().map(|detail_type| detail_type.as_str()).collect();
    named.sort_unstable();
    assert_eq!(EVENTS.keys().map(String::as_str).collect::<Vec<_>>(), named);
}

/// A mail has a gap where its event has nothing, so each event that a rule turns into text always has what the text names.
#[test]
fn every_event_has_what_the_mail_about_it_says() {
    let schemas: Vec<_> = files("events").iter().map(|path| read(path)).collect();
    let definitions = schemas.iter().find(|schema| schema.get("properties").is_none()).unwrap();
    let resolved = crate::template::deployed(&[("ChatNotifications", "Enabled")]);
    let mut told = 0;
    for rule in resolved.of_kind("AWS::Events::Rule") {
        for target in rule.get("/Targets").unwrap().as_array().unwrap() {
            let Some(paths) = target["InputTransformer"]["InputPathsMap"].as_object() else { continue };
            for detail_type in crate::template::texts(rule.get("/EventPattern/detail-type").unwrap()) {
                let is_meant = |schema: &&Value| schema["properties"]["detail-type"]["const"] == detail_type.as_str();
                let event = schemas.iter().find(is_meant).unwrap_or_else(|| panic!("no schema for `{detail_type}`"));
                for path in paths.values().map(|path| path.as_str().unwrap().strip_prefix("$.").unwrap()) {
                    assert!(always_has(event, definitions, path), "{detail_type} may lack {path}");
                    told += 1;
                }
            }
        }
    }
    assert!(told > 100, "{told}");
}

/// Whether what a schema describes always has the field at a dotted path.
fn always_has(schema: &Value, definitions: &Value, path: &str) -> bool {
    let reference = schema["$ref"].as_str().and_then(|reference| reference.split_once('#'));
    let schema = reference.map_or(schema, |(_, pointer)| definitions.pointer(pointer).unwrap());
    let (field, rest) = path.split_once('.').map_or((path, None), |(field, rest)| (field, Some(rest)));
    let is_required = schema["required"].as_array().is_some_and(|fields| fields.iter().any(|name| name == field));
    is_required && rest.is_none_or(|rest| always_has(&schema["properties"][field], definitions, rest))
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

/// With another value in a field, or without the field.
fn changed(object: &Value, field: &str, value: Option<Value>) -> Value {
    let mut changed = object.clone();
    let fields = changed.as_object_mut().unwrap();
    match value {
        Some(value) => fields.insert(field.to_owned(), value),
        None => fields.remove(field),
    };
    changed
}

#[test]
fn an_event_about_a_task_says_what_belongs_to_the_task() {
    let recovery = json!({
        "action": "RecoveryOpened", "reason": "lost the password", "ticket": "OPS-1", "requestId": "run",
        "windowEnds": "2026-11-20T14:00:00Z",
    });
    let unlocking = json!({
        "action": "QueuePolicyRemoved", "reason": "nobody can read it", "requestId": "run",
        "resource": "arn:aws:sqs:eu-west-1:444455556666:orders",
        "savedPolicy": "s3://evidence/policies/444455556666/eu-west-1/orders/20261120T120000Z-run.json",
    });
    let event = |task: &Value| {
        let detail = json!({
            "schemaVersion": 1, "id": "run", "headline": "x", "description": "x", "remedy": "x", "run": "run",
            "since": "2026-11-20T12:00:00Z", "notify": true, "trigger": "Request", "mode": "Enforce",
            "account": {"id": "444455556666", "name": "webshop"}, "examined": "2026-11-20T12:00:00Z",
            "reappeared": false, "task": task,
        });
        json!({"source": "unroot", "detail-type": "Root Task Performed", "detail": detail})
    };
    check_event(&event(&recovery));
    check_event(&event(&unlocking));
    for (task, field, value) in [
        (&recovery, "windowEnds", None),
        (&recovery, "savedPolicy", Some(unlocking["savedPolicy"].clone())),
        (&recovery, "reason", Some(json!(""))),
        (&recovery, "action", Some(json!("QueuePolicyRemoved"))),
        (&unlocking, "savedPolicy", None),
        (&unlocking, "resource", Some(json!("orders"))),
        (&unlocking, "windowEnds", Some(recovery["windowEnds"].clone())),
        (&unlocking, "caller", Some(json!("ann"))),
    ] {
        let wrong = changed(task, field, value);
        assert!(!EVENTS["Root Task Performed"].is_valid(&event(&wrong)), "{field} of {task}");
    }
}

#[test]
fn an_answer_says_what_belongs_to_what_was_done() {
    let session = json!({
        "accessKeyId": "ASIA444455556666EXAMPLE", "task": "IAMCreateRootUserPassword", "opened": "2026-11-20T12:00:00Z",
    });
    let window = json!({
        "accountId": "444455556666", "opened": "2026-11-20T12:00:00Z", "ends": "2026-11-20T14:00:00Z",
        "reason": "lost the password",
    });
    let account = json!({"id": "444455556666", "name": "webshop"});
    let opened = json!({
        "schemaVersion": 1, "action": "RecoveryOpened", "account": account, "done": ["created it"], "verified": "x",
        "next": "x", "sessions": [session], "window": window,
    });
    let listed = json!({
        "schemaVersion": 1, "action": "Listed", "done": [], "verified": "x", "next": "x", "windows": [window],
    });
    let removed = json!({
        "schemaVersion": 1, "action": "BucketPolicyRemoved", "account": account, "done": ["removed it"],
        "verified": "x", "next": "x", "sessions": [session], "restoreCommand": "aws s3 cp",
        "savedPolicy": "s3://evidence/policies/444455556666/payments/20261120T120000Z-run.json",
    });
    check_answer("password-recovery", &opened);
    check_answer("password-recovery", &listed);
    check_answer("unlock-policy", &removed);
    for (function, answer, field, value) in [
        ("password-recovery", &opened, "window", None),
        ("password-recovery", &opened, "sessions", Some(json!([]))),
        ("password-recovery", &opened, "action", Some(json!("BucketPolicyRemoved"))),
        ("password-recovery", &listed, "windows", None),
        ("password-recovery", &listed, "done", Some(json!(["created it"]))),
        ("password-recovery", &listed, "action", Some(json!("RecoveryClosed"))),
        ("unlock-policy", &removed, "restoreCommand", None),
        ("unlock-policy", &removed, "action", Some(json!("Nothing"))),
        ("unlock-policy", &removed, "account", None),
        ("unlock-policy", &removed, "credentials", Some(json!("x"))),
    ] {
        let wrong = changed(answer, field, value);
        assert!(!ANSWERS[function].is_valid(&wrong), "{function}: {field}");
    }
}
