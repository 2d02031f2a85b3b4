//! The files of an audit that has an account of every verdict, and names that mean harm.

mod files;
mod page;
mod read_back;

use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::domain::comparison::Earlier;
use crate::domain::credentials::{
    AccessKey, AccessKeyStatus, LastUsed, LoginProfile, MfaDevice, RootCredentials, SigningCertificate,
};
use crate::domain::failure::{Cause, Failure};
use crate::domain::plan::{DeletionStep, HeldBack, HeldBackReason};
use crate::domain::record::{AccountRecord, AuditReport, Completeness, OpenedSession, SCHEMA_VERSION, Totals, Verdict};
use crate::domain::request::{Mode, Selection};
use crate::domain::scope::NotCovered;
use crate::domain::task::TaskPolicy;
use crate::domain::trigger::Trigger;

use super::files;

const NOW: OffsetDateTime = datetime!(2026-11-20 05:00 UTC);
const KEY: &str = "AKIAUSEDTODAYEXAMPLE";

fn report(accounts: Vec<AccountRecord>) -> AuditReport {
    AuditReport {
        schema_version: SCHEMA_VERSION,
        run: "run-2".to_owned(),
        started: NOW,
        finished: NOW + Duration::minutes(2),
        organization: "o-aa111bb222".parse().unwrap(),
        management_account: "111122223333".parse().unwrap(),
        mode: Mode::Enforce,
        trigger: Trigger::Schedule,
        selection: Selection::Everything,
        completeness: Completeness::Complete,
        totals: Totals::default(),
        accounts,
        accounts_left_out: 0,
    }
}

fn record(id: u64, verdict: Verdict) -> AccountRecord {
    AccountRecord::new(format!("{id:012}").parse().unwrap(), verdict, NOW)
}

fn credentials() -> RootCredentials {
    RootCredentials {
        login_profile: Some(LoginProfile { created: Some(datetime!(2019-03-04 10:00 UTC)) }),
        access_keys: vec![AccessKey {
            id: KEY.parse().unwrap(),
            status: AccessKeyStatus::Active,
            created: None,
            last_used: LastUsed::Used {
                at: NOW - Duration::DAY,
                service: "s3".to_owned(),
                region: "eu-central-1".to_owned(),
            },
        }],
        signing_certificates: vec![SigningCertificate { id: "CERTIFICATE1EXAMPLE".parse().unwrap(), uploaded: None }],
        mfa_devices: vec![MfaDevice { serial_number: "GAHT12345678".parse().unwrap(), enabled: None }],
    }
}

/// The key that was held back, and the MFA device that protects it.
fn left() -> RootCredentials {
    RootCredentials { login_profile: None, signing_certificates: Vec::new(), ..credentials() }
}

fn throttled() -> Failure {
    Failure::observed(Cause::Throttled, "sts:AssumeRoot", "Rate exceeded")
}

/// One account of every verdict, `Unknown` in two ways.
fn every_verdict() -> Vec<AccountRecord> {
    let key = || DeletionStep::DeleteAccessKey(KEY.parse().unwrap());
    let reason = HeldBackReason::UsedRecently { last_used: NOW - Duration::DAY, service: "s3".to_owned() };
    let task = TaskPolicy::IamDeleteRootUserCredentials;
    vec![
        AccountRecord {
            since: Some(NOW - Duration::DAY),
            sessions: vec![OpenedSession {
                access_key_id: "ASIASESSIONKEYEXAMPLE".parse().unwrap(),
                task: TaskPolicy::IamAuditRootUserCredentials,
                opened: NOW,
            }],
            ..record(1, Verdict::Clean).named("Shop")
        },
        AccountRecord {
            found: Some(credentials()),
            removed: credentials().deletions().collect(),
            left: Some(RootCredentials::default()),
            sessions: vec![OpenedSession {
                access_key_id: "ASIADELETESKEYEXAMPLE".parse().unwrap(),
                task,
                opened: NOW,
            }],
            ..record(2, Verdict::Stripped).named("=cmd|' /C calc'!A0")
        },
        AccountRecord {
            found: Some(credentials()),
            removed: vec![DeletionStep::DeleteLoginProfile],
            left: Some(left()),
            held_back: vec![HeldBack { step: key(), reason }, HeldBack::protecting("GAHT12345678".parse().unwrap())],
            reason: Some("held back".to_owned()),
            since: Some(NOW - Duration::days(2)),
            remedy: Some("lower `HoldBackKeysUsedWithinDays`".to_owned()),
            ..record(3, Verdict::CredentialsPresent).named("<script>alert(1)</script>")
        },
        AccountRecord {
            found: Some(credentials()),
            ..record(4, Verdict::Failed).with_failure(throttled()).named("</script><!-- <script>")
        },
        record(5, Verdict::Unknown).with_failure(throttled()).named("\u{202e}gnp.exe \u{2028} 🦀"),
        AccountRecord {
            found: Some(credentials()),
            attempted: vec![key()],
            reason: Some("deletions were sent, but what they did could not be read".to_owned()),
            ..record(6, Verdict::Unknown).with_failure(throttled())
        },
        AccountRecord::not_covered("111122223333".parse().unwrap(), &NotCovered::ManagementAccount, NOW),
    ]
}

/// The content of one of the files.
fn file(name: &str, report: &AuditReport, earlier: &Earlier) -> String {
    let files = files(report, earlier).unwrap();
    let file = files.into_iter().find(|file| file.name == name).unwrap();
    String::from_utf8(file.bytes).unwrap()
}
