//! A story that ends as it should, and what the oracle says of each ending that differs from it.

use serde_json::{Value, json};
use simulator::aws::Outcome;

use super::*;
use crate::story::record;

const WEBSHOP: &str = "444455556666";
/// Has a password and an MFA device.
const PAYMENTS: &str = "444455558888";
const STS_OFF: &str = "444455559999";
const KEY_IN_USE: &str = "555566664444";
const EXEMPT: &str = "333355557777";
const SUSPENDED: &str = "666677772222";
const ACQUIRED: &str = "888899993333";
const REGULATED: &str = "777788881111";
const MANAGEMENT: &str = "111122223333";

struct Ending {
    oracle: Oracle,
    now: Organization,
    records: Vec<AccountRecord>,
}

/// The sample organization after a perfect audit.
fn ending() -> Ending {
    let mut now = Organization::sample(60).unwrap();
    let oracle = Oracle::new(now.clone());
    for (id, account) in &mut now.accounts {
        if oracle.fates[id] == Fate::Stripped {
            account.root = stripped(&account.root);
        }
    }
    let records = now.accounts.iter().map(|(id, account)| match oracle.fates[id] {
        Fate::NotCovered => saying(id.as_str(), "NotCovered"),
        Fate::Unreadable => saying(id.as_str(), "Unknown"),
        Fate::Stripped if account.root.is_empty() => saying(id.as_str(), "Stripped"),
        Fate::Stripped => saying(id.as_str(), "CredentialsPresent"),
    });
    Ending { records: records.collect(), oracle, now }
}

fn saying(account: &str, verdict: &str) -> AccountRecord {
    let line = json!({"type": "AccountRecord", "accountId": account, "verdict": verdict});
    record::read(&[line]).unwrap().remove(0)
}

fn id(account: &str) -> AccountId {
    account.parse().unwrap()
}

fn call(account: &str, operation: &str, input: Value) -> CallRecord {
    CallRecord {
        at: time::OffsetDateTime::UNIX_EPOCH,
        request_id: String::new(),
        caller: String::new(),
        access_key_id: String::new(),
        account: account.to_owned(),
        region: "us-east-1".to_owned(),
        service: "iam".to_owned(),
        operation: operation.to_owned(),
        permissions: Vec::new(),
        input,
        outcome: Outcome::Success,
        opened: None,
        mutating: true,
    }
}

#[test]
fn a_perfect_ending_is_found_right() {
    let Ending { oracle, now, records } = ending();
    assert_eq!(oracle.verdicts(&records, &now), Vec::<String>::new());
    assert_eq!(Oracle::completeness(&records, &now), Vec::<String>::new());
    assert_eq!(oracle.accounts(&now), Vec::<String>::new());
}

#[test]
fn the_sample_has_accounts_of_each_fate() {
    let Ending { oracle, .. } = ending();
    for (account, fate) in [
        (MANAGEMENT, Fate::NotCovered),
        (EXEMPT, Fate::NotCovered),
        (SUSPENDED, Fate::NotCovered),
        (ACQUIRED, Fate::Unreadable),
        (STS_OFF, Fate::Stripped),
        (REGULATED, Fate::Stripped),
        (WEBSHOP, Fate::Stripped),
    ] {
        assert_eq!(oracle.fates[&id(account)], fate, "{account}");
    }
}

/// Whatever is changed in an account, its verdict is wrong, or what it holds.
#[test]
fn an_account_that_holds_something_else_is_found() {
    for (account, verdict_is_wrong) in [
        (WEBSHOP, true),    // called stripped, and has something
        (KEY_IN_USE, true), // called full, and has nothing
        (EXEMPT, true),     // called not covered, and was changed
        (SUSPENDED, true),
        (MANAGEMENT, true),
        (ACQUIRED, false), // nobody claimed anything
    ] {
        let Ending { oracle, mut now, records } = ending();
        let root = &mut now.accounts.get_mut(&id(account)).unwrap().root;
        let everything = Organization::sample(60).unwrap().accounts[&id("666677771111")].root.clone();
        *root = if root.is_empty() { everything } else { RootCredentials::default() };
        let [wrong] = &oracle.accounts(&now)[..] else { panic!("{account}: {:?}", oracle.accounts(&now)) };
        assert!(wrong.starts_with(account), "{wrong}");
        let wrong = oracle.verdicts(&records, &now);
        assert_eq!(wrong.len(), usize::from(verdict_is_wrong), "{account}: {wrong:?}");
    }
}

#[test]
fn a_verdict_that_claims_something_else_is_found() {
    for (account, verdict) in [
        (ACQUIRED, "Clean"), // true, but nobody can have seen it
        (ACQUIRED, "NotCovered"),
        (STS_OFF, "Unknown"),
        (KEY_IN_USE, "Clean"),
        (KEY_IN_USE, "Unknown"),
        (WEBSHOP, "CredentialsPresent"),
        (WEBSHOP, "Failed"),
        (WEBSHOP, "NotCovered"),
        (EXEMPT, "CredentialsPresent"),
        (MANAGEMENT, "Unknown"),
        ("000000000001", "Clean"),
    ] {
        let Ending { oracle, now, .. } = ending();
        let wrong = oracle.verdicts(&[saying(account, verdict)], &now);
        assert_eq!(wrong.len(), 1, "{account} {verdict}");
    }
}

#[test]
fn an_account_without_a_record_or_with_two_is_found() {
    let Ending { now, mut records, .. } = ending();
    records.remove(0);
    records.push(records[5].clone());
    assert_eq!(Oracle::completeness(&records, &now).len(), 2);
}

#[test]
fn a_call_where_nothing_is_to_be_touched_is_found() {
    let Ending { oracle, .. } = ending();
    for (account, expected) in [(WEBSHOP, 0), (EXEMPT, 1), (MANAGEMENT, 1), (SUSPENDED, 1), (ACQUIRED, 1)] {
        let calls = [call(account, "DeleteLoginProfile", json!({}))];
        assert_eq!(oracle.calls(&calls).len(), expected, "{account}");
    }
}

#[test]
fn mfa_that_goes_before_what_it_protects_is_found() {
    let Ending { oracle, .. } = ending();
    let serial = &oracle.accounts[&id(PAYMENTS)].root.mfa_devices[0].serial_number;
    let password = call(PAYMENTS, "DeleteLoginProfile", json!({}));
    let mfa = call(PAYMENTS, "DeactivateMFADevice", json!({"SerialNumber": serial}));
    assert_eq!(oracle.calls(&[password.clone(), mfa.clone()]), Vec::<String>::new());
    let wrong = oracle.calls(&[mfa, password]);
    assert!(wrong.len() == 1 && wrong[0].contains("without MFA"), "{wrong:?}");
}

#[test]
fn what_an_account_was_given_meanwhile_counts() {
    let Ending { mut oracle, .. } = ending();
    let root = oracle.accounts[&id(PAYMENTS)].root.clone();
    let serial = root.mfa_devices[0].serial_number.clone();
    let (empty, _) = oracle.accounts.iter().find(|(_, account)| account.root.is_empty()).unwrap();
    let empty = empty.clone();
    let mfa = [call(empty.as_str(), "DeactivateMFADevice", json!({"SerialNumber": serial}))];
    assert_eq!(oracle.calls(&mfa), Vec::<String>::new());
    oracle.was_given(&empty, root);
    assert_eq!(oracle.calls(&mfa).len(), 1, "a password is left");
}

#[test]
fn a_call_that_adds_something_is_found() {
    let Ending { oracle, .. } = ending();
    assert_eq!(oracle.calls(&[call(WEBSHOP, "CreateLoginProfile", json!({}))]).len(), 1);
}

#[test]
fn a_recovery_window_is_opened_once_and_ends_with_nothing() {
    let Ending { mut oracle, .. } = ending();
    let root = oracle.accounts[&id(PAYMENTS)].root.clone();
    let serial = root.mfa_devices[0].serial_number.clone();
    oracle.recovered(&id(PAYMENTS), root);
    let open = call(PAYMENTS, "CreateLoginProfile", json!({}));
    let password = call(PAYMENTS, "DeleteLoginProfile", json!({}));
    let mfa = call(PAYMENTS, "DeactivateMFADevice", json!({"SerialNumber": serial}));
    let stripped = [password.clone(), mfa.clone()];
    let window = [&stripped[..], std::slice::from_ref(&open), &stripped].concat();
    assert_eq!(oracle.calls(&window), Vec::<String>::new());
    assert_eq!(oracle.calls(&[open.clone(), open.clone()]).len(), 1, "nobody asked for the second");
    let wrong = oracle.calls(&[password, open, mfa]);
    assert!(wrong.len() == 1 && wrong[0].contains("without MFA"), "the window's password is left: {wrong:?}");
    let operations = ["DeleteLoginProfile", "DeactivateMFADevice"].map(str::to_owned).to_vec();
    let told = Change::new(PAYMENTS, DELETED, operations);
    assert_eq!(Oracle::news_of_calls(&window), [told.clone(), told]);
}
