//! The evidence of the last audit: copied out of the bucket for whoever wants to look at it, and held against what was
//! logged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use simulator::organization::Organization;

use super::oracle::Oracle;
use super::record::{self, AccountRecord};

/// Where the bucket keeps the evidence of the last audit of the whole organization.
const LATEST: &str = "latest/";

/// The folder that is used unless another is wanted: where Cargo builds, or else the system's temporary directory.
pub(crate) fn default_folder() -> PathBuf {
    let target = Path::new("target");
    if target.is_dir() { target.join("evidence") } else { std::env::temp_dir().join("unroot-evidence") }
}

/// Writes the latest evidence into a folder, in place of what is there under the same names, and returns the names.
pub(crate) fn write(objects: &BTreeMap<String, Vec<u8>>, folder: &Path) -> Result<Vec<String>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create the folder `{}`", folder.display()))?;
    let mut names = Vec::new();
    for (name, bytes) in objects.iter().filter_map(|(key, bytes)| Some((key.strip_prefix(LATEST)?, bytes))) {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
        names.push(name.to_owned());
    }
    ensure!(!names.is_empty(), "the evidence bucket has nothing under `{LATEST}`");
    Ok(names)
}

/// The address of a file that a browser opens: `file:///home/me/target/evidence/report.html`.
pub(crate) fn address(file: &Path) -> Result<String> {
    let path = std::path::absolute(file).with_context(|| format!("cannot find `{}`", file.display()))?;
    let letters = path.to_str().with_context(|| format!("`{}` is no text", path.display()))?.bytes();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let encoded =
        letters.map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    Ok(format!("file://{}", encoded.collect::<String>()))
}

/// What `accounts.jsonl` says otherwise than the log of the same audit, and the accounts of which it has not one record.
pub(crate) fn differences(
    objects: &BTreeMap<String, Vec<u8>>,
    logged: &[AccountRecord],
    now: &Organization,
) -> Result<Vec<String>> {
    let file = objects.get("latest/accounts.jsonl").context("the evidence has no `latest/accounts.jsonl`")?;
    let lines = file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(serde_json::from_slice).collect::<Result<Vec<Value>, _>>().context("accounts.jsonl")?;
    let written = record::read_lines(&lines)?;
    let mut wrong = Oracle::completeness(&written, now);
    let logged: BTreeMap<_, _> = logged.iter().map(|record| (&record.account_id, record.verdict)).collect();
    for record in written {
        let claimed = logged.get(&record.account_id).copied();
        if claimed != Some(record.verdict) {
            let claimed = claimed.map_or("nothing", record::Verdict::name);
            wrong.push(format!("{} is {} there, and {claimed} in the log", record.account(), record.verdict.name()));
        }
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_can_be_opened() {
        assert_eq!(address(Path::new("/tmp/a b/ü/report.html")).unwrap(), "file:///tmp/a%20b/%C3%BC/report.html");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let objects = BTreeMap::from([("latest/report.html".to_owned(), Vec::new())]);
        let error = write(&objects, Path::new("/dev/null/evidence")).unwrap_err();
        assert_eq!(error.to_string(), "cannot create the folder `/dev/null/evidence`");
    }

    #[test]
    fn evidence_that_says_something_else_than_the_log_is_found() {
        let now = Organization::sample(30).unwrap();
        let record = |id: &str, verdict: &str| json!({"accountId": id, "verdict": verdict});
        let clean: Vec<_> = now.accounts.keys().map(|id| record(id.as_str(), "Clean")).collect();
        let logged = record::read_lines(&clean).unwrap();
        let check = |lines: &[Value]| {
            let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
            let objects = BTreeMap::from([("latest/accounts.jsonl".to_owned(), text.into_bytes())]);
            differences(&objects, &logged, &now).unwrap()
        };
        assert_eq!(check(&clean), Vec::<String>::new());
        assert_eq!(check(&clean[1..]).len(), 1, "one is missing");
        assert_eq!(check(&[&clean[..], &clean[..1]].concat()).len(), 1, "one is there twice");
        let mut other = clean.clone();
        other[0]["verdict"] = json!("Unknown");
        assert_eq!(check(&other).len(), 1, "one says something else");
    }
}
