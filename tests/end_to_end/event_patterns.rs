//! Which rules of our templates match which events, on the default bus where an event arises and on the stack's own.
//!
//! Only patterns: that an event also gets to its queue is for the tests that deploy the templates.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use simulator::event_pattern::EventPattern;
use simulator::template::Resolved;

use crate::template::{
    AUDIT, AUDIT_ACCOUNT_REGIONS, HOME, MANAGEMENT, MANAGEMENT_ACCOUNT, MEMBER_ACCOUNTS, deployed_in, forwarding,
};

const MEMBER: &str = "444455556666";

/// Where root users sign in.
const SIGN_IN_REGIONS: [&str; 3] = ["us-east-1", "us-east-2", "us-west-2"];

const SIGN_INS: [&str; 5] =
    ["ConsoleLogin", "EmailUpdated", "PasswordRecoveryCompleted", "PasswordRecoveryRequested", "PasswordUpdated"];

const ADDS_A_CREDENTIAL: [&str; 4] =
    ["CreateAccessKey", "CreateLoginProfile", "EnableMFADevice", "UploadSigningCertificate"];

/// What the management account and the members forward of a root user, and the rule that takes it.
const FROM_THE_MANAGEMENT_ACCOUNT: [&str; 2] = ["ForwardedRootUserRule", "RootUserRule of management-account.yaml"];
const FROM_A_MEMBER: [&str; 2] = ["ForwardedRootUserRule", "RootUserRule of member-accounts.yaml"];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/events")
}

fn sample(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join(name).with_extension("json")).unwrap()).unwrap()
}

/// The sample with some of its fields changed, as RFC 7396 merges: null removes a field.
fn changed(name: &str, changes: &Value) -> Value {
    fn merge(value: &mut Value, changes: &Value) {
        let Some(changes) = changes.as_object() else {
            *value = changes.clone();
            return;
        };
        if !value.is_object() {
            *value = json!({});
        }
        let fields = value.as_object_mut().unwrap();
        for (name, change) in changes {
            if change.is_null() {
                fields.remove(name);
            } else {
                merge(fields.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
    }
    let mut event = sample(name);
    merge(&mut event, changes);
    event
}

/// The names of the rules on a bus that match: `None` is the default bus.
fn matching(resolved: &Resolved, bus: Option<&str>, event: &Value) -> Vec<String> {
    let rules = resolved.of_kind("AWS::Events::Rule");
    let on_the_bus = rules.filter(|rule| rule.get("/EventBusName").and_then(Value::as_str) == bus);
    on_the_bus
        .filter(|rule| EventPattern::parse(rule.get("/EventPattern").unwrap()).unwrap().matches(event))
        .map(|rule| rule.logical_id.clone())
        .collect()
}

/// The rules of the stack's own bus that take the event, however it got there.
fn on_our_bus(event: &Value) -> Vec<String> {
    matching(&deployed_in(HOME, &[]), Some("unroot"), event)
}

/// The rules that match an event where it arises, each template deployed where the README says, and those that match on
/// the stack's own bus if it is forwarded there.
fn route(home: &str, event: &Value) -> BTreeSet<String> {
    let (account, region) = (event["account"].as_str().unwrap(), event["region"].as_str().unwrap());
    let mut templates = Vec::new();
    match account {
        MANAGEMENT => templates.push(MANAGEMENT_ACCOUNT),
        AUDIT => templates.push(AUDIT_ACCOUNT_REGIONS),
        _ => {}
    }
    if account != MANAGEMENT && SIGN_IN_REGIONS.contains(&region) {
        templates.push(MEMBER_ACCOUNTS);
    }
    let unroot = deployed_in(home, &[]);
    let mut rules = BTreeSet::new();
    if (account, region) == (AUDIT, home) {
        rules.extend(matching(&unroot, None, event));
    }
    for template in templates {
        let forwarded = matching(&forwarding(template, account, region, home, &[]), None, event);
        if !forwarded.is_empty() {
            rules.extend(matching(&unroot, Some("unroot"), event));
        }
        let file = template.trim_start_matches("organization/");
        rules.extend(forwarded.iter().map(|rule| format!("{rule} of {file}")));
    }
    rules
}

fn check(home: &str, event: &Value, expected: &[&str]) {
    let found = route(home, event);
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{event:#}");
}

#[test]
fn every_sample_takes_its_way() {
    let account_joined = ["AccountJoinedRule", "AccountJoinedRule of management-account.yaml"].as_slice();
    let expected: &[(&str, &[&str])] = &[
        ("cloudtrail-assume-root-call", &["AssumeRootRule"]),
        ("cloudtrail-real-root-enable-mfa-device", &FROM_A_MEMBER),
        ("cloudtrail-root-session-create-login-profile", &[]),
        ("cloudtrail-root-session-delete-bucket-policy", &[]),
        ("cloudtrail-root-session-delete-login-profile", &[]),
        ("controltower-create-managed-account-failed", account_joined),
        ("controltower-create-managed-account-succeeded", account_joined),
        ("eventbridge-scheduled-rule", &[]),
        (
            "guardduty-root-credential-usage",
            &["ForwardedRootFindingRule", "RootFindingRule of audit-account-regions.yaml"],
        ),
        ("guardduty-short-term-root-credential-usage", &["RootFindingRule"]),
        ("organizations-accept-handshake-member-account", &[]),
        ("organizations-account-departed-cleaned", &[]),
        ("organizations-account-departed-left", &[]),
        ("organizations-account-departed-removed", &[]),
        ("organizations-account-joined-created", account_joined),
        ("organizations-account-joined-invited", account_joined),
        ("organizations-close-account-result", &[]),
        ("organizations-create-account-result-failed", account_joined),
        ("organizations-create-account-result-succeeded", account_joined),
        ("organizations-invite-account", &[]),
        ("signin-root-console-login-failure", &FROM_A_MEMBER),
        ("signin-root-console-login-success-no-mfa", &FROM_A_MEMBER),
        ("signin-root-password-recovery-completed", &FROM_A_MEMBER),
        ("signin-root-password-recovery-requested", &FROM_A_MEMBER),
    ];
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let samples: BTreeSet<_> = json.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    // A message of SQS, and no event.
    let listed = expected.iter().map(|(name, _)| (*name).to_owned());
    let listed: BTreeSet<_> = listed.chain(["sqs-wrapped-create-account-result".to_owned()]).collect();
    assert_eq!(samples, listed);
    for (name, rules) in expected {
        check(HOME, &sample(name), rules);
    }
}

#[test]
fn sign_ins_of_root_users_arrive_from_every_account_and_region_in_both_spellings() {
    for detail_type in ["AWS Console Sign In via CloudTrail", "AWS Console Signin via CloudTrail"] {
        for event_name in SIGN_INS {
            for region in SIGN_IN_REGIONS {
                for (account, expected) in
                    [(MANAGEMENT, FROM_THE_MANAGEMENT_ACCOUNT), (MEMBER, FROM_A_MEMBER), (AUDIT, FROM_A_MEMBER)]
                {
                    let changes = json!({
                        "account": account,
                        "region": region,
                        "detail-type": detail_type,
                        "detail": {"eventName": event_name, "awsRegion": region},
                    });
                    check(HOME, &changed("signin-root-console-login-failure", &changes), &expected);
                }
            }
        }
    }
}

#[test]
fn calls_by_which_root_adds_a_credential_arrive() {
    for event_name in ADDS_A_CREDENTIAL {
        for (account, expected) in [(MANAGEMENT, FROM_THE_MANAGEMENT_ACCOUNT), (MEMBER, FROM_A_MEMBER)] {
            let changes = json!({"account": account, "detail": {"eventName": event_name}});
            check(HOME, &changed("cloudtrail-real-root-enable-mfa-device", &changes), &expected);
            // A long-term access key of root has no session at all. Nobody has seen "false", and it would not be a
            // root session.
            for context in [json!(null), json!({}), json!({"assumedRoot": "false"})] {
                let changes = json!({
                    "account": account,
                    "detail": {"eventName": event_name, "userIdentity": {"sessionContext": context}},
                });
                check(HOME, &changed("cloudtrail-real-root-enable-mfa-device", &changes), &expected);
            }
        }
    }
}

/// Where root users sign in may be where the stack is: then the audit account's own come straight from its default bus,
/// and once more if the stack set is there too.
#[test]
fn root_of_the_audit_account_is_seen_in_the_home_region() {
    for name in ["signin-root-console-login-success-no-mfa", "cloudtrail-real-root-enable-mfa-device"] {
        let event = changed(name, &json!({"account": AUDIT}));
        check("us-east-1", &event, &["ForwardedRootUserRule", "RootUserRule", "RootUserRule of member-accounts.yaml"]);
    }
}

#[test]
fn findings_about_root_arrive_from_every_region() {
    let other_type = json!({"detail": {"type": "Recon:IAMUser/MaliciousIPCaller.Custom"}});
    for (name, changes) in [
        ("guardduty-root-credential-usage", json!({})),
        ("guardduty-short-term-root-credential-usage", json!({})),
        ("guardduty-root-credential-usage", other_type),
        // The type tells even if the key does not.
        ("guardduty-root-credential-usage", json!({"detail": {"resource": {"accessKeyDetails": null}}})),
    ] {
        let mut event = changed(name, &changes);
        event["region"] = json!(HOME);
        check(HOME, &event, &["RootFindingRule"]);
        event["region"] = json!("ap-south-1");
        check(HOME, &event, &["ForwardedRootFindingRule", "RootFindingRule of audit-account-regions.yaml"]);
    }
}

/// Whoever asks for a root session is told, with a role or without, from both accounts that can.
#[test]
fn requests_for_root_sessions_by_others_arrive() {
    let user = json!({
        "type": "IAMUser", "arn": "arn:aws:iam::222233334444:user/ann", "userName": "ann", "sessionContext": null,
    });
    let user_with_mfa = json!({
        "type": "IAMUser", "arn": "arn:aws:iam::222233334444:user/ann",
        "sessionContext": {"sessionIssuer": null, "attributes": {"mfaAuthenticated": "true"}},
    });
    let no_issuer = json!({"sessionContext": {"sessionIssuer": {"type": null, "arn": null}}});
    let namesake = json!({"sessionContext": {"sessionIssuer": {
        "arn": "arn:aws:iam::111122223333:role/unroot-ScheduledAuditRole-SIMULATED",
    }}});
    for identity in [json!({}), user, user_with_mfa, no_issuer, namesake] {
        for (account, region, expected) in [
            (AUDIT, HOME, ["AssumeRootRule"].as_slice()),
            (AUDIT, "eu-west-1", &["AssumeRootRule of audit-account-regions.yaml", "ForwardedAssumeRootRule"]),
            (AUDIT, "us-east-1", &["AssumeRootRule of audit-account-regions.yaml", "ForwardedAssumeRootRule"]),
            (MANAGEMENT, "us-east-1", &["AssumeRootRule of management-account.yaml", "ForwardedAssumeRootRule"]),
            (MANAGEMENT, HOME, &["AssumeRootRule of management-account.yaml", "ForwardedAssumeRootRule"]),
        ] {
            for read_only in [false, true] {
                let changes = json!({
                    "account": account,
                    "region": region,
                    "detail": {"userIdentity": identity, "awsRegion": region, "readOnly": read_only},
                });
                check(HOME, &changed("cloudtrail-assume-root-call", &changes), expected);
            }
        }
    }
}

/// INVARIANT (never reacts to itself): what Unroot does shows as root and as `AssumeRoot`, and comes back by no rule.
#[test]
fn what_unroot_does_itself_is_taken_by_no_rule() {
    let roles =
        ["AccountJoinedRole", "PasswordRecoveryRole", "RootActivityRole", "ScheduledAuditRole", "UnlockPolicyRole"];
    for role in roles {
        let role = format!("arn:aws:iam::{AUDIT}:role/unroot-{role}-SIMULATED");
        let changes = json!({"detail": {"userIdentity": {"sessionContext": {"sessionIssuer": {"arn": role}}}}});
        let call = changed("cloudtrail-assume-root-call", &changes);
        check(HOME, &call, &[]);
        assert!(on_our_bus(&call).is_empty(), "{role}, from another Region");
    }
    for name in ["create-login-profile", "delete-bucket-policy", "delete-login-profile"] {
        let name = format!("cloudtrail-root-session-{name}");
        for event_name in ADDS_A_CREDENTIAL {
            let event =
                changed(&name, &json!({"detail": {"eventName": event_name, "eventSource": "iam.amazonaws.com"}}));
            check(HOME, &event, &[]);
            assert!(on_our_bus(&event).is_empty(), "{event:#}");
        }
    }
}

/// An event of each wrong kind, where it arises and as if somebody had delivered it to our bus.
#[test]
fn nothing_else_is_taken() {
    const LOGIN: &str = "signin-root-console-login-success-no-mfa";
    const CALL: &str = "cloudtrail-real-root-enable-mfa-device";
    const FINDING: &str = "guardduty-root-credential-usage";
    let not_root = |kind: &str| json!({"detail": {"userIdentity": {"type": kind}}});
    for (what, event) in [
        ("an IAM user signs in", changed(LOGIN, &not_root("IAMUser"))),
        ("someone signs in through IAM Identity Center", changed(LOGIN, &not_root("AssumedRole"))),
        ("root signs out", changed(LOGIN, &json!({"detail": {"eventName": "Logout"}}))),
        ("root switches its role", changed(LOGIN, &json!({"detail": {"eventName": "SwitchRole"}}))),
        ("an IAM user makes an access key", {
            changed(CALL, &json!({"detail": {"eventName": "CreateAccessKey", "userIdentity": {"type": "IAMUser"}}}))
        }),
        ("root takes a credential away", changed(CALL, &json!({"detail": {"eventName": "DeleteLoginProfile"}}))),
        ("root looks at its keys", changed(CALL, &json!({"detail": {"eventName": "ListAccessKeys"}}))),
        ("a finding about an IAM user", {
            let key = json!({"accessKeyDetails": {"userType": "IAMUser"}});
            changed(FINDING, &json!({"detail": {"type": "Recon:IAMUser/MaliciousIPCaller", "resource": key}}))
        }),
        ("a finding without a key", {
            let detail = json!({"type": "Recon:EC2/PortProbeUnprotectedPort", "resource": {"accessKeyDetails": null}});
            changed(FINDING, &json!({"detail": detail}))
        }),
        ("a finding of a member's own GuardDuty", changed(FINDING, &json!({"account": MEMBER}))),
        ("a finding of the management account's own GuardDuty", changed(FINDING, &json!({"account": MANAGEMENT}))),
        ("AssumeRoot in a member", changed("cloudtrail-assume-root-call", &json!({"account": MEMBER}))),
        ("AssumeRole", changed("cloudtrail-assume-root-call", &json!({"detail": {"eventName": "AssumeRole"}}))),
        ("a forged sign-in", changed(LOGIN, &json!({"source": "custom.signin"}))),
        ("a forged finding", changed(FINDING, &json!({"source": "custom.guardduty"}))),
        ("a forged call", changed("cloudtrail-assume-root-call", &json!({"source": "custom.sts"}))),
        ("a forged alert", {
            let alert = json!({
                "account": MEMBER,
                "source": "unroot",
                "detail-type": "Root Activity Detected",
                "detail": {"notify": true},
            });
            changed(LOGIN, &alert)
        }),
    ] {
        let found = route(HOME, &event);
        assert!(found.is_empty(), "{what}: {found:?}");
        let found = on_our_bus(&event);
        assert!(found.is_empty(), "{what}, on our bus: {found:?}");
    }
}
