//! What one audit wrote and the next one reads.

use super::*;
use crate::domain::comparison::Reach;
use crate::evidence::accounts::{merge, read, write};
use crate::evidence::{Unreadable, files, previous};

fn written(records: &[AccountRecord]) -> String {
    String::from_utf8(write("run-2", records).unwrap()).unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let part = read(written(&every_verdict()).as_bytes()).unwrap();
    assert_eq!(part.accounts, every_verdict());
    assert_eq!(part.run.as_deref(), Some("run-2"));
    assert_eq!(read(b"").unwrap().run, None);
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    let line = written(&[record(1, Verdict::Clean)]);
    let with = |from: &str, to: &str| {
        assert!(line.contains(from), "{line}");
        format!("{line}{}", line.replacen(from, to, 1))
    };
    for (file, expected) in [
        (
            with("\"schemaVersion\":1", "\"schemaVersion\":2"),
            "line 2 of `accounts.jsonl`: the schema version is 2, and this version of Unroot knows 1: a newer one wrote it",
        ),
        (with("\"schemaVersion\":1,", ""), "line 2 of `accounts.jsonl`: no `schemaVersion`"),
        (
            with("\"schemaVersion\":1", "\"schemaVersion\":0"),
            "line 2 of `accounts.jsonl`: the schema version is 0, which there never was",
        ),
        (with("\"run\":\"run-2\",", ""), "line 2 of `accounts.jsonl`: no `run`"),
        (with("run-2", "run-3"), "line 2 of `accounts.jsonl`: the run is `run-3`, and `run-2` in the lines above"),
        (
            with("000000000001", "1"),
            "line 2 of `accounts.jsonl`: `accountId`: `1` is not an account id (twelve digits)",
        ),
        (with("Clean", "Fine"), "line 2 of `accounts.jsonl`: `verdict`: unknown variant `Fine`"),
        (with("\"accountId\":\"000000000001\",", ""), "line 2 of `accounts.jsonl`: missing field `accountId`"),
        (with("{", "["), "line 2 of `accounts.jsonl`: not JSON"),
        (format!("{line}\n{line}"), "line 2 of `accounts.jsonl`: not JSON"),
        (format!("{line}{}", line.trim_end()), "line 2 of `accounts.jsonl`: the line is cut off"),
    ] {
        let error = read(file.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
    assert!(read(b"\xff\n").is_err());
}

#[test]
fn an_audit_is_read_back_from_its_files() {
    let [accounts, _, summary, _] = files(&report(every_verdict()), &Earlier::FirstAudit).unwrap();
    let read = previous(&accounts.bytes, &summary.bytes).unwrap();
    assert_eq!((read.run.as_str(), read.finished, read.reach), ("run-2", NOW + Duration::minutes(2), Reach::Whole));
    assert_eq!(read.accounts, every_verdict());
    let selection = Selection::Accounts(["000000000001".parse().unwrap()].into());
    let some = AuditReport { selection, ..report(every_verdict()) };
    let [accounts, _, summary, _] = files(&some, &Earlier::FirstAudit).unwrap();
    assert_eq!(previous(&accounts.bytes, &summary.bytes).unwrap().reach, Reach::Part);
}

#[test]
fn files_that_do_not_belong_together_are_no_audit() {
    let [accounts, _, summary, _] = files(&report(every_verdict()), &Earlier::FirstAudit).unwrap();
    let later = AuditReport { run: "run-3".to_owned(), ..report(every_verdict()) };
    let [_, _, later, _] = files(&later, &Earlier::FirstAudit).unwrap();
    let error = previous(&accounts.bytes, &later.bytes).unwrap_err();
    assert_eq!(error, Unreadable::TwoRuns { accounts: "run-2".to_owned(), summary: "run-3".to_owned() });
    let cut = accounts.bytes.split_inclusive(|&byte| byte == b'\n').take(3).collect::<Vec<_>>().concat();
    assert_eq!(previous(&cut, &summary.bytes), Err(Unreadable::Incomplete { accounts: 3, summary: 7 }));
    assert_eq!(previous(b"", &summary.bytes), Err(Unreadable::Incomplete { accounts: 0, summary: 7 }));
    let newer = String::from_utf8(summary.bytes).unwrap().replace("\"schemaVersion\": 1", "\"schemaVersion\": 7");
    let error = previous(&accounts.bytes, newer.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("`summary.json`: the schema version is 7"), "{error}");
}

#[test]
fn of_two_parts_the_later_reading_counts_and_what_was_removed_is_kept() {
    let later = |record: AccountRecord| AccountRecord { examined: NOW + Duration::MINUTE, ..record };
    let [stripped, unknown] = [1, 5].map(|index| every_verdict()[index].clone());
    let clean = |id| later(record(id, Verdict::Clean));
    let merged = merge([vec![unknown.clone(), stripped.clone()], vec![clean(2), clean(5)]]);
    let outline = |records: &[AccountRecord]| -> Vec<_> {
        let outline = |record: &AccountRecord| (record.account_id.to_string(), record.verdict, record.removed.len());
        records.iter().map(outline).collect()
    };
    assert_eq!(
        outline(&merged),
        [
            ("000000000002".to_owned(), Verdict::Stripped, 4),
            ("000000000005".to_owned(), Verdict::Clean, 0),
            ("000000000006".to_owned(), Verdict::Unknown, 0),
        ]
    );
    assert_eq!(merged[0].sessions, stripped.sessions, "its session is still named");
    assert_eq!(merged[0].examined, NOW + Duration::MINUTE);
    let read_at_last = merge([vec![unknown], vec![clean(6)]]);
    assert_eq!(
        outline(&read_at_last),
        [("000000000006".to_owned(), Verdict::Stripped, 1)],
        "a deletion was sent for it"
    );
    assert_eq!(merge([vec![clean(2)], vec![stripped.clone()]]), merged[..1], "in whatever order they come");
    // The password is gone, the key is there again.
    let present = later(AccountRecord { found: Some(left()), ..record(2, Verdict::CredentialsPresent) });
    let removed: Vec<_> = merge([vec![stripped], vec![present]]).remove(0).removed;
    let expected = [
        DeletionStep::DeleteLoginProfile,
        DeletionStep::DeleteSigningCertificate("CERTIFICATE1EXAMPLE".parse().unwrap()),
    ];
    assert_eq!(removed, expected);
}
