//! The README's tables are what the code and the template say. `UPDATE_DOCUMENTS=1 cargo test documents` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use shared::config::SETTINGS;

use crate::template::{enforcing, statements, texts};

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")
}

/// Compares the part of the README between its two markers with what it should be, or writes it.
fn check(part: &str, expected: &str) {
    let text = std::fs::read_to_string(readme()).unwrap();
    let begin = format!("<!-- {part}: written by the tests, see tests/end_to_end/documents.rs -->\n");
    let end = format!("<!-- /{part} -->");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("README.md has no `{begin}`"));
    let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("README.md has no `{end}`"));
    if found == expected {
        return;
    }
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(readme(), format!("{before}{begin}{expected}{end}{after}")).unwrap();
        return;
    }
    panic!("README.md: the {part} are not up to date, write them with UPDATE_DOCUMENTS=1:\n{expected}");
}

#[test]
fn the_readme_lists_the_settings() {
    let rows = SETTINGS.iter().map(|setting| {
        let default = match setting.default {
            None => "required".to_owned(),
            Some("") => "none".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        format!("| `{}` | {default} | {} |\n", setting.name, setting.meaning)
    });
    let header = "| variable | default | meaning |\n|---|---|---|\n".to_owned();
    check("settings", &rows.fold(header, |table, row| table + &row));
}

#[test]
fn the_readme_lists_the_permissions() {
    let mut rows: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (role, statement) in statements(&enforcing()) {
        let actions = texts(&statement["Action"]).into_iter().map(|action| format!("`{action}`"));
        for resource in texts(&statement["Resource"]) {
            let mut on = named(&resource);
            if let tasks @ Value::Array(_) = &statement["Condition"]["StringEquals"]["sts:TaskPolicyArn"] {
                let tasks: Vec<_> = texts(tasks).iter().map(|task| named(task)).collect();
                on = format!("{on}, only for the tasks {}", tasks.join(" and "));
            }
            if let Value::String(service) = &statement["Condition"]["StringEquals"]["iam:PassedToService"] {
                on = format!("{on}, only to `{service}`");
            }
            if let keys @ Value::Array(_) = &statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
            {
                on = format!("{on}, only with the partition key `{}`", texts(keys).join("` or `"));
            }
            if statement["Effect"] == "Deny" {
                on = format!("**never** {on}");
            }
            rows.entry((role.clone(), on)).or_default().extend(actions.clone());
        }
    }
    let rows = rows.iter().map(|((role, on), actions)| {
        let actions: Vec<_> = actions.iter().map(String::as_str).collect();
        format!("| {role} | {} | {on} |\n", actions.join(", "))
    });
    let header = "| role | may | on |\n|---|---|---|\n".to_owned();
    check("permissions", &rows.fold(header, |table, row| table + &row));
}

/// A resource in few words: what is ours by its name, the rest as it is.
fn named(resource: &str) -> String {
    for (prefix, kind) in [
        ("arn:aws:sqs:eu-central-1:222233334444:unroot-", "the queue "),
        ("arn:aws:logs:eu-central-1:222233334444:log-group:/aws/lambda/unroot-", "the log group of "),
        ("arn:aws:dynamodb:eu-central-1:222233334444:table/unroot-", "the table "),
        ("arn:aws:events:eu-central-1:222233334444:event-bus/", "the event bus "),
        ("arn:aws:s3:::unroot-evidencebucket-simulated/", "in the evidence bucket "),
        ("arn:aws:scheduler:eu-central-1:222233334444:schedule/default/unroot-", "the schedule "),
        ("arn:aws:iam::222233334444:role/unroot-", "the role "),
        ("arn:aws:iam::aws:policy/root-task/", ""),
    ] {
        if let Some(name) = resource.strip_prefix(prefix) {
            // CloudFormation makes up the end of a name that is not given.
            let name = name.trim_end_matches(":*").trim_end_matches("-SIMULATED");
            return format!("{kind}`{name}`");
        }
    }
    match resource {
        "arn:aws:iam::111122223333:root" => "the management account's root user".to_owned(),
        "arn:*:iam::555566667777:root" | "arn:*:iam::666677778888:root" => "an exempt account's root user".to_owned(),
        other => format!("`{other}`"),
    }
}
