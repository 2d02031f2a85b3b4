//! The files for programs and spreadsheets.

use serde_json::{Value, json};

use super::*;
use crate::domain::comparison::{Previous, Reach};
use crate::evidence::{ACCOUNTS, SPREADSHEET, SUMMARY};

fn schema(text: &str) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(text).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

fn account_schema() -> jsonschema::Validator {
    schema(include_str!("../../../schemas/account-record.schema.json"))
}

fn summary_schema() -> jsonschema::Validator {
    schema(include_str!("../../../schemas/audit-summary.schema.json"))
}

#[track_caller]
fn assert_valid(schema: &jsonschema::Validator, value: &Value) {
    let errors: Vec<_> = schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
}

#[test]
fn the_files_have_names_and_content_types() {
    let files = files(&report(every_verdict()), &Earlier::FirstAudit).unwrap();
    assert_eq!(
        files.map(|file| (file.name, file.content_type)),
        [
            ("accounts.jsonl", "application/x-ndjson"),
            ("report.csv", "text/csv; charset=utf-8; header=present"),
            ("summary.json", "application/json"),
            ("report.html", "text/html; charset=utf-8"),
        ]
    );
}

#[test]
fn a_shortened_report_is_no_evidence() {
    let shortened = AuditReport { accounts_left_out: 2, ..report(every_verdict()) };
    let error = files(&shortened, &Earlier::FirstAudit).unwrap_err().to_string();
    assert_eq!(error, "`accounts.jsonl` could not be written: 2 records are left out of the report");
}

#[test]
fn each_line_is_a_record_as_its_schema_says() {
    let lines = file(ACCOUNTS, &report(every_verdict()), &Earlier::FirstAudit);
    assert!(lines.starts_with(r#"{"schemaVersion":1,"run":"run-2","accountId":"000000000001","#), "{lines}");
    assert_eq!(lines.matches('\n').count(), 7);
    let schema = account_schema();
    for line in lines.lines() {
        assert_valid(&schema, &serde_json::from_str(line).unwrap());
    }
}

#[test]
fn the_schema_of_a_record_refuses_what_no_record_is() {
    let schema = account_schema();
    let lines = file(ACCOUNTS, &report(every_verdict()), &Earlier::FirstAudit);
    let line = |number: usize| -> Value { serde_json::from_str(lines.lines().nth(number).unwrap()).unwrap() };
    for (number, pointer, wrong) in [
        (0, "/schemaVersion", json!(2)),
        (0, "/accountId", json!("1")),
        (0, "/verdict", json!("Fine")),
        (0, "/verdict", json!("Unknown")),
        (0, "/examined", json!("yesterday")),
        (0, "/sessions/0/task", json!("EverythingPolicy")),
        (2, "/heldBack/0/reason", json!("Whim")),
        (2, "/heldBack/0/secret", json!("x")),
        (2, "/removed/0/id", json!("a password has none")),
        (2, "/left/accessKeys/0/secretAccessKey", json!("x")),
        (4, "/failure/cause", json!("no code")),
    ] {
        let mut record = line(number);
        assert_valid(&schema, &record);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        record.pointer_mut(parent).unwrap()[key] = wrong;
        assert!(!schema.is_valid(&record), "{pointer}: {record:#}");
    }
}

#[test]
fn a_row_of_the_spreadsheet() {
    let csv = file(SPREADSHEET, &report(every_verdict()), &Earlier::FirstAudit);
    let without_mark = csv.strip_prefix('\u{feff}').unwrap();
    assert_eq!(without_mark.matches("\r\n").count(), 8, "a line for the header and each account");
    assert_eq!(csv.matches('\n').count(), csv.matches("\r\n").count());
    let mut reader = csv::Reader::from_reader(without_mark.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let row: Vec<_> =
        header.iter().zip(rows[2].iter()).map(|(name, cell)| format!("{name}: {cell}").trim_end().to_owned()).collect();
    insta::assert_snapshot!(row.join("
"), @r"
    Account: 0000-0000-0003
    Name: <script>alert(1)</script>
    Verdict: Credentials present
    Since (UTC): 2026-11-18 05:00:00
    Examined (UTC): 2026-11-20 05:00:00
    Found: password (created 2019-03-04); access key AKIAUSEDTODAYEXAMPLE (active, last used 2026-11-19 for s3 in eu-central-1); signing certificate CERTIFICATE1EXAMPLE; MFA device GAHT12345678
    Planned:
    Removed: password
    Attempted, not read again:
    Held back: access key AKIAUSEDTODAYEXAMPLE: held back, used 2026-11-19 for s3; MFA device GAHT12345678: held back, protects what is left
    Left: access key AKIAUSEDTODAYEXAMPLE (active, last used 2026-11-19 for s3 in eu-central-1); MFA device GAHT12345678
    Reason: held back
    Cause:
    Message:
    Remedy: lower `HoldBackKeysUsedWithinDays`
    Run: run-2
    ");
    assert_eq!(&rows[1][1], "'=cmd|' /C calc'!A0");
}

#[test]
fn the_summary_is_as_its_schema_says() {
    let schema = summary_schema();
    let broken = Completeness::Broken { failure: throttled(), remedy: "wait".to_owned() };
    let unit = "ou-a1b2-c3d4e5f6".parse().unwrap();
    let previous = Previous {
        run: "run-1".to_owned(),
        finished: NOW - Duration::DAY,
        reach: Reach::Whole,
        accounts: vec![record(1, Verdict::Unknown), record(9, Verdict::Clean)],
    };
    for (report, earlier) in [
        (report(every_verdict()), Earlier::Audit(previous)),
        (report(Vec::new()), Earlier::FirstAudit),
        (AuditReport { completeness: broken, ..report(every_verdict()) }, Earlier::Unreadable("gone".to_owned())),
        (
            AuditReport {
                completeness: Completeness::Continues,
                selection: Selection::OrganizationalUnits([unit].into()),
                mode: Mode::Audit,
                ..report(every_verdict())
            },
            Earlier::FirstAudit,
        ),
        (
            AuditReport {
                selection: Selection::Accounts(["000000000001".parse().unwrap()].into()),
                trigger: Trigger::Request,
                ..report(every_verdict())
            },
            Earlier::FirstAudit,
        ),
    ] {
        let summary = serde_json::from_str(&file(SUMMARY, &report, &earlier)).unwrap();
        assert_valid(&schema, &summary);
    }
}

#[test]
fn the_numbers_are_those_of_the_records() {
    let previous = Previous {
        run: "run-1".to_owned(),
        finished: NOW - Duration::DAY,
        reach: Reach::Whole,
        accounts: vec![record(1, Verdict::Unknown), record(9, Verdict::Clean)],
    };
    // What the invocations added up may count an account twice.
    let totals = Totals { accounts: 1_000, ..Totals::default() };
    let report = AuditReport { totals, ..report(every_verdict()) };
    let summary: Value = serde_json::from_str(&file(SUMMARY, &report, &Earlier::Audit(previous))).unwrap();
    assert!(!summary_schema().is_valid(&json!({"schemaVersion": 1})));
    insta::assert_json_snapshot!(summary, @r#"
    {
      "schemaVersion": 1,
      "run": "run-2",
      "organization": "o-aa111bb222",
      "managementAccount": "111122223333",
      "started": "2026-11-20T05:00:00Z",
      "finished": "2026-11-20T05:02:00Z",
      "mode": "Enforce",
      "trigger": "Schedule",
      "selection": "everything",
      "completeness": {
        "state": "Complete"
      },
      "totals": {
        "accounts": 7,
        "verdicts": {
          "Clean": 1,
          "Stripped": 1,
          "CredentialsPresent": 1,
          "Failed": 1,
          "Unknown": 2,
          "NotCovered": 1
        },
        "causes": {
          "Throttled": 3
        },
        "found": {
          "loginProfiles": 4,
          "accessKeys": 4,
          "signingCertificates": 4,
          "mfaDevices": 4
        },
        "removed": {
          "loginProfiles": 2,
          "accessKeys": 1,
          "signingCertificates": 1,
          "mfaDevices": 1
        },
        "left": {
          "loginProfiles": 1,
          "accessKeys": 2,
          "signingCertificates": 1,
          "mfaDevices": 2
        },
        "sessions": {
          "IAMAuditRootUserCredentials": 1,
          "IAMDeleteRootUserCredentials": 1
        }
      },
      "comparison": {
        "state": "Compared",
        "run": "run-1",
        "finished": "2026-11-19T05:00:00Z",
        "verdictsChanged": 1,
        "unreadable": 0,
        "readableAgain": 1,
        "credentialsAppeared": 0,
        "credentialsRemoved": 0,
        "credentialsGone": 0,
        "accountsJoined": 6,
        "accountsLeft": 1
      }
    }
    "#);
}
