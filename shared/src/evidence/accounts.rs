//! `accounts.jsonl`: a JSON object a line, the record of one account as in the report, headed by the version of its schema
//! and the run. Several invocations write a part each, and the next audit reads the file back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::Serialize;
use serde_json::Value;

use super::{ACCOUNTS, Unreadable, Unwritable};
use crate::domain::id::AccountId;
use crate::domain::record::{AccountRecord, SCHEMA_VERSION};

/// The records of a file, all of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Absent where there is no record.
    pub run: Option<String>,
    pub accounts: Vec<AccountRecord>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    schema_version: u32,
    run: &'a str,
    #[serde(flatten)]
    record: &'a AccountRecord,
}

/// Writes one line for each record.
pub fn write(run: &str, records: &[AccountRecord]) -> Result<Vec<u8>, Unwritable> {
    let mut file = Vec::new();
    for record in records {
        let line = Line { schema_version: SCHEMA_VERSION, run, record };
        serde_json::to_writer(&mut file, &line)
            .map_err(|error| Unwritable { file: ACCOUNTS, problem: error.to_string() })?;
        file.push(b'\n');
    }
    Ok(file)
}

/// Reads the lines back. One line that cannot be read makes the whole file unreadable: an account less is a false
/// statement about the others.
pub fn read(file: &[u8]) -> Result<Part, Unreadable> {
    let mut part = Part { run: None, accounts: Vec::new() };
    // A line ends with a line feed; what is behind the last one is a line that was cut off.
    for (number, line) in file.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let unreadable = |problem| Unreadable::Line { line: number + 1, problem };
        let line = line.strip_suffix(b"\n").ok_or_else(|| unreadable("the line is cut off".to_owned()))?;
        let (run, record) = read_line(line).map_err(unreadable)?;
        match &part.run {
            Some(first) if *first != run => {
                return Err(unreadable(format!("the run is `{run}`, and `{first}` in the lines above")));
            }
            Some(_) => {}
            None => part.run = Some(run),
        }
        part.accounts.push(record);
    }
    Ok(part)
}

/// One record for each account, in the order of their ids, from parts in the order in which they were written.
///
/// An account can be in two parts, since a message can be delivered twice. The later reading counts, and what was removed
/// before it is still said: an account that one part stripped and the next found clean is `Stripped`.
pub fn merge(parts: impl IntoIterator<Item = Vec<AccountRecord>>) -> Vec<AccountRecord> {
    let mut merged: BTreeMap<AccountId, AccountRecord> = BTreeMap::new();
    for record in parts.into_iter().flatten() {
        match merged.entry(record.account_id.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(record);
            }
            Entry::Occupied(mut entry) => {
                let both = combine(entry.get().clone(), record);
                entry.insert(both);
            }
        }
    }
    merged.into_values().collect()
}

fn combine(one: AccountRecord, other: AccountRecord) -> AccountRecord {
    if one.examined <= other.examined { one.followed_by(other) } else { other.followed_by(one) }
}

fn read_line(line: &[u8]) -> Result<(String, AccountRecord), String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
    check_schema_version(&value)?;
    let run = value.get("run").and_then(Value::as_str).ok_or("no `run`")?.to_owned();
    let record = serde_path_to_error::deserialize(&value).map_err(|error| match error.path().to_string().as_str() {
        "." => error.inner().to_string(),
        path => format!("`{path}`: {}", error.inner()),
    })?;
    Ok((run, record))
}

/// Refuses what a later version of Unroot wrote: it may mean something else by the same words.
pub(super) fn check_schema_version(value: &Value) -> Result<(), String> {
    match value.get("schemaVersion").and_then(Value::as_u64) {
        Some(version) if version == u64::from(SCHEMA_VERSION) => Ok(()),
        Some(version) if version > u64::from(SCHEMA_VERSION) => Err(format!(
            "the schema version is {version}, and this version of Unroot knows {SCHEMA_VERSION}: a newer one wrote it"
        )),
        Some(version) => Err(format!("the schema version is {version}, which there never was")),
        None => Err("no `schemaVersion`".to_owned()),
    }
}
