//! Writes the evidence of an invented audit into a folder, to look at: every verdict, and names that mean harm.
//!
//! `cargo run -p shared --example report -- FOLDER [ACCOUNTS] [first]`
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "an example that panics says why"
)]

use std::path::PathBuf;

use shared::domain::comparison::{Earlier, Previous, Reach};
use shared::domain::credentials::{
    AccessKey, AccessKeyStatus, LastUsed, LoginProfile, MfaDevice, RootCredentials, SigningCertificate,
};
use shared::domain::failure::{Cause, Failure};
use shared::domain::plan::{DeletionStep, HeldBack, HeldBackReason};
use shared::domain::record::{
    AccountRecord, AuditReport, Completeness, OpenedSession, SCHEMA_VERSION, Totals, Verdict,
};
use shared::domain::request::{Mode, Selection};
use shared::domain::scope::NotCovered;
use shared::domain::task::TaskPolicy;
use shared::domain::trigger::Trigger;
use shared::evidence;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

const STARTED: OffsetDateTime = datetime!(2026-11-20 05:00 UTC);

/// Each is a name that somebody may have given an account: markup, a formula, other directions, long, nothing to see.
const HOSTILE_NAMES: [&str; 10] = [
    "<script>document.title='hacked'</script>",
    "</script><img src=x onerror=\"document.title='hacked'\">",
    "=cmd|' /C calc'!A0",
    "<!-- <script> -->",
    "\u{202e}gnihton si siht\u{202c} right to left",
    "حساب الإنتاج 7",
    "🦀 crab & 🏦 bank \u{2028}",
    "a-name-of-fifty-characters-that-has-no-space-in-it",
    "{{data}} ${alert(1)} `code`",
    "' onmouseover='document.title=1",
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "target/report-example".to_owned()));
    let count: u64 = arguments.next().map_or(312, |count| count.parse().expect("a number of accounts"));
    let earlier = if arguments.next().is_some() { Earlier::FirstAudit } else { Earlier::Audit(previous(count)) };
    let report = report(count);
    std::fs::create_dir_all(&folder).expect("a folder");
    for file in evidence::files(&report, &earlier).expect("evidence") {
        std::fs::write(folder.join(file.name), &file.bytes).expect("a file");
    }
}

fn report(count: u64) -> AuditReport {
    let accounts: Vec<_> = (0..count).map(|n| record(n, count)).collect();
    AuditReport {
        schema_version: SCHEMA_VERSION,
        run: "6f1f0a52-5f4e-4c1e-9c1a-example00002".to_owned(),
        started: STARTED,
        finished: STARTED + Duration::seconds(40 + i64::try_from(count / 20).unwrap()),
        organization: "o-aa111bb222".parse().unwrap(),
        management_account: "111122223333".parse().unwrap(),
        mode: Mode::Enforce,
        trigger: Trigger::Schedule,
        selection: Selection::Everything,
        completeness: Completeness::Complete,
        // The evidence counts the records itself.
        totals: Totals::default(),
        accounts,
        accounts_left_out: 0,
    }
}

/// The day before: three accounts were not there yet, one is gone since, some were unread or clean.
fn previous(count: u64) -> Previous {
    let day_before = |record: AccountRecord| AccountRecord { examined: record.examined - Duration::DAY, ..record };
    let mut accounts: Vec<_> = (0..count).map(|n| day_before(record(n, count))).collect();
    for (n, record) in accounts.iter_mut().enumerate() {
        if record.verdict == Verdict::Unknown && n % 3 == 0 {
            *record = AccountRecord::new(record.account_id.clone(), Verdict::Clean, record.examined);
        } else if record.verdict == Verdict::Stripped || record.verdict == Verdict::Failed {
            let found = record.found.take();
            *record = AccountRecord {
                found,
                ..AccountRecord::new(record.account_id.clone(), Verdict::CredentialsPresent, record.examined)
            };
        } else if record.verdict == Verdict::CredentialsPresent {
            *record = AccountRecord::new(record.account_id.clone(), Verdict::Clean, record.examined);
        }
    }
    let gone = AccountRecord::new("999988887777".parse().unwrap(), Verdict::Clean, STARTED - Duration::DAY);
    accounts.truncate(accounts.len().saturating_sub(3));
    accounts.push(gone.named("Old sandbox"));
    Previous {
        run: "6f1f0a52-5f4e-4c1e-9c1a-example00001".to_owned(),
        finished: STARTED - Duration::DAY + Duration::minutes(1),
        reach: Reach::Whole,
        accounts,
    }
}

/// Mostly clean; what is not is spread over the organization, in proportion to it but at least once each.
fn record(n: u64, count: u64) -> AccountRecord {
    let id = format!("{:012}", (n * 104_729 + 12_345_678_901) % 1_000_000_000_000).parse().unwrap();
    let examined = STARTED + Duration::seconds(i64::try_from(n / 20).unwrap());
    let since = STARTED - Duration::minutes(1440 * i64::try_from(n % 23).unwrap() + 17);
    let services = ["payments", "search", "data-lake", "identity", "mobile", "billing", "web", "ml", "logs", "network"];
    let stages = ["prod", "staging", "dev", "sandbox"];
    let kind = if count <= 20 { n } else { n % (count / 12).clamp(20, 160) };
    let name = match usize::try_from(n).unwrap() {
        n if count > 20 && n % 29 == 3 => HOSTILE_NAMES[(n / 29) % 10].to_owned(),
        n if count <= 20 && n % 3 == 2 => HOSTILE_NAMES[n % 10].to_owned(),
        n => format!("{}-{}-{n}", services[n % 10], stages[n % 4]),
    };
    let record = |verdict| AccountRecord::new(id, verdict, examined).named(&name);
    let scp = |id: &str| {
        let message = format!(
            "User: arn:aws:iam::{id}:root is not authorized to perform: iam:GetAccountSummary on resource: * with an \
             explicit deny in a service control policy"
        );
        Failure::observed(Cause::DeniedByMemberServiceControlPolicy, "iam:GetAccountSummary", message)
    };
    let record = match kind {
        0 => AccountRecord::not_covered(
            "111122223333".parse().unwrap(),
            &if n == 0 { NotCovered::ManagementAccount } else { NotCovered::Exempt },
            examined,
        )
        .named(&name),
        1 => AccountRecord {
            found: Some(credentials(n, false)),
            removed: credentials(n, false).deletions().collect(),
            left: Some(RootCredentials::default()),
            ..record(Verdict::Stripped)
        },
        2 => held_back(record(Verdict::CredentialsPresent), n),
        3 => AccountRecord {
            found: Some(credentials(n, false)),
            removed: vec![DeletionStep::DeleteLoginProfile],
            left: Some(RootCredentials { login_profile: None, ..credentials(n, false) }),
            ..record(Verdict::Failed).with_failure(Failure::observed(
                Cause::Conflict,
                "iam:DeleteAccessKey",
                "The request was rejected because another change is in progress: EntityTemporarilyUnmodifiable",
            ))
        },
        4 | 14 | 24 => {
            let record = record(Verdict::Unknown);
            let failure = scp(record.account_id.as_str());
            record.with_failure(failure)
        }
        5 => AccountRecord {
            found: Some(credentials(n, false)),
            attempted: vec![DeletionStep::DeleteLoginProfile],
            reason: Some("deletions were sent, but what they did could not be read".to_owned()),
            ..record(Verdict::Unknown).with_failure(Failure::observed(
                Cause::Transient,
                "iam:ListAccessKeys",
                format!("no answer in time; attempt {n}"),
            ))
        },
        6 => record(Verdict::Unknown).with_failure(Failure::observed(
            Cause::RegionDisabled,
            "sts:AssumeRoot",
            "STS is not activated in this region for account. Your account administrator can activate STS.",
        )),
        _ => record(Verdict::Clean),
    };
    let task = TaskPolicy::IamAuditRootUserCredentials;
    let session =
        |task| OpenedSession { access_key_id: "ASIASESSIONKEYEXAMPLE".parse().unwrap(), task, opened: examined };
    let mut sessions = vec![session(task)];
    match record.verdict {
        Verdict::Stripped | Verdict::Failed => sessions.push(session(TaskPolicy::IamDeleteRootUserCredentials)),
        Verdict::NotCovered => sessions.clear(),
        Verdict::Clean | Verdict::CredentialsPresent | Verdict::Unknown => {}
    }
    AccountRecord { since: (n % 11 != 7).then_some(since), sessions, ..record }
}

fn held_back(record: AccountRecord, n: u64) -> AccountRecord {
    let found = credentials(n, true);
    let key = found.access_keys[0].id.clone();
    let mfa = found.mfa_devices[0].serial_number.clone();
    let reason = HeldBackReason::UsedRecently { last_used: STARTED - Duration::days(3), service: "s3".to_owned() };
    AccountRecord {
        held_back: vec![HeldBack { step: DeletionStep::DeleteAccessKey(key), reason }, HeldBack::protecting(mfa)],
        found: Some(found),
        reason: Some("held back: an access key that was used lately, and the MFA that protects it".to_owned()),
        remedy: Some(
            "move what uses the access key to a role, then deactivate the key, or lower `HoldBackKeysUsedWithinDays`"
                .to_owned(),
        ),
        ..record
    }
}

fn credentials(n: u64, used: bool) -> RootCredentials {
    let last_used = if used {
        let (service, region) = ("s3".to_owned(), "eu-central-1".to_owned());
        LastUsed::Used { at: STARTED - Duration::days(3), service, region }
    } else {
        LastUsed::Never
    };
    RootCredentials {
        login_profile: (!used).then_some(LoginProfile { created: Some(datetime!(2019-03-04 10:00 UTC)) }),
        access_keys: vec![AccessKey {
            id: format!("AKIA{n:08}EXAMPLE").parse().unwrap(),
            status: AccessKeyStatus::Active,
            created: Some(datetime!(2018-06-07 10:00 UTC)),
            last_used,
        }],
        signing_certificates: (n % 2 == 1)
            .then(|| SigningCertificate { id: format!("CERTIFICATE{n:08}EXAMPLE").parse().unwrap(), uploaded: None })
            .into_iter()
            .collect(),
        mfa_devices: vec![MfaDevice {
            serial_number: format!("arn:aws:iam::{:012}:mfa/root-account-mfa-device", n * 104_729 + 12_345_678_901)
                .parse()
                .unwrap(),
            enabled: Some(datetime!(2020-01-02 10:00 UTC)),
        }],
    }
}
