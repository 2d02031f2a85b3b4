//! `report.html`, as far as text can tell; `.ci/check-report` opens it in a browser.

use serde_json::Value;

use super::*;
use crate::domain::comparison::{Previous, Reach};
use crate::evidence::PAGE;

fn page(report: &AuditReport) -> String {
    file(PAGE, report, &Earlier::FirstAudit)
}

/// The text between two marks.
#[track_caller]
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    page.split_once(from).unwrap().1.split_once(to).unwrap().0
}

fn section<'a>(page: &'a str, id: &str) -> &'a str {
    between(page, &format!("aria-labelledby=\"{id}\">"), "</section>")
}

fn data(page: &str) -> Value {
    serde_json::from_str(between(page, "<script type=\"application/json\" id=\"data\">", "</script>")).unwrap()
}

#[test]
fn the_statement_counts_only_what_was_read_to_be_gone() {
    let statement = |accounts| {
        let page = page(&report(accounts));
        between(&page, "<p class=\"statement\">", "</p>").to_owned()
    };
    assert_eq!(statement(every_verdict()), "2 of 7 accounts hold no root credentials.");
    assert_eq!(statement(Vec::new()), "No account was looked at.");
    let clean = |n| (1..=n).map(|id| record(id, Verdict::Clean)).collect();
    assert_eq!(statement(clean(2_000)), "All 2,000 accounts hold no root credentials.");
    for verdict in [Verdict::Unknown, Verdict::Failed, Verdict::CredentialsPresent, Verdict::NotCovered] {
        let accounts = vec![record(1, Verdict::Clean), record(2, verdict)];
        assert_eq!(statement(accounts), "1 of 2 accounts holds no root credentials.", "{verdict:?}");
    }
}

#[test]
fn unknown_never_looks_like_clean() {
    let page = page(&report(vec![record(5, Verdict::Unknown).with_failure(throttled()).named("Shop")]));
    assert!(!section(&page, "ledger").contains("000000000005"));
    assert!(section(&page, "attention").contains("000000000005"));
    assert!(page.contains("<b>1</b> could not be read"), "{page}");
    let chart = between(&page, "<svg class=\"chart\"", "</svg>");
    assert!(chart.contains("#p-unknown") && !chart.contains("#p-clean"), "{chart}");
    let words = &data(&page)["verdicts"];
    let verdict: usize = data(&page)["verdict"].as_str().unwrap().parse().unwrap();
    assert_eq!(words[verdict]["class"], "unknown");
}

#[test]
fn nothing_is_said_of_accounts_that_were_not_looked_at() {
    for accounts in [Vec::new(), vec![record(1, Verdict::Clean)]] {
        let page = page(&AuditReport { completeness: Completeness::Continues, ..report(accounts) });
        assert!(section(&page, "attention").contains("<p>None of the accounts that were looked at.</p>"));
        assert!(page.contains("accounts that it has not reached yet are missing here"));
        assert!(!page.contains("very account is clean"));
    }
}

#[test]
fn a_name_is_only_text() {
    let page = page(&report(every_verdict()));
    for hostile in ["<script>alert", "</script><!--", "\u{2028}\u{20}🦀</script>"] {
        assert!(!page.contains(hostile), "{hostile}");
    }
    assert_eq!(page.matches("<script").count(), 2, "the data and the script");
    assert!(page.contains("<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>"));
    assert!(page.contains("<bdi>\u{202e}gnp.exe"), "turned text ends with its element");
    let data = data(&page);
    let names = every_verdict().into_iter().map(|record| record.account_name.unwrap_or_default());
    assert_eq!(data["names"], serde_json::to_value(names.collect::<Vec<_>>()).unwrap());
    assert_eq!(data["ids"].as_str().unwrap().len(), 7 * 12);
}

#[test]
fn the_policy_names_the_hashes_and_nothing_else_may_load() {
    let page = page(&report(Vec::new()));
    let policy = between(&page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert!(!page.contains(" style=\""), "the policy would not allow it");
}

#[test]
fn every_mark_of_the_template_is_filled() {
    let page = page(&report(every_verdict()));
    assert!(!page.contains("{{"), "{}", between(&page, "{{", "}}"));
    for id in ["verdicts", "basis", "changes", "attention", "stripped", "accounts", "ledger"] {
        assert!(!section(&page, id).trim().is_empty(), "{id}");
    }
}

#[test]
fn many_accounts_with_one_cause_are_one_remedy() {
    let denied = |id: u64| {
        let record = record(id, Verdict::Unknown);
        let message = format!("User: arn:aws:iam::{}:root is not authorized", record.account_id);
        let failure = Failure::observed(Cause::DeniedByMemberServiceControlPolicy, "iam:GetAccountSummary", message);
        record.with_failure(failure)
    };
    let page = page(&report((1..=500).map(denied).chain([every_verdict()[2].clone()]).collect()));
    let attention = section(&page, "attention");
    assert_eq!(attention.matches("<article").count(), 2);
    assert_eq!(attention.matches("Exempt root sessions from").count(), 1);
    assert_eq!(attention.matches("arn:aws:iam::(account id):root is not authorized").count(), 1);
    for id in 1..=500 {
        assert!(attention.contains(&format!("{id:012}")), "{id}");
    }
    let (present, unknown) = (attention.find("Credentials present"), attention.find("Unknown"));
    assert!(present < unknown, "what holds credentials comes first");
}

#[test]
fn messages_that_differ_are_with_their_accounts() {
    let failed = |id: u64, message: &str| {
        record(id, Verdict::Unknown).with_failure(Failure::observed(Cause::Transient, "iam:ListAccessKeys", message))
    };
    let page = page(&report(vec![failed(1, "timeout one"), failed(2, "timeout two")]));
    let attention = section(&page, "attention");
    assert_eq!(attention.matches("<article").count(), 1);
    assert!(attention.contains("<li>timeout one</li>") && attention.contains("<li>timeout two</li>"), "{attention}");
}

#[test]
fn each_account_that_is_not_clean_says_what_is_there() {
    let page = page(&report(every_verdict()));
    let attention = section(&page, "attention");
    for words in [
        "access key AKIAUSEDTODAYEXAMPLE (active, last used 2026-11-19 for s3 in eu-central-1): held back, used 2026-11-19",
        "MFA device GAHT12345678: held back, protects what is left",
        "Lower <code>HoldBackKeysUsedWithinDays</code>.",
        "Found at first</p><ul class=\"plain\"><li>password (created 2019-03-04)",
        "Deletion sent, not read to be gone</p><ul class=\"plain\"><li>access key AKIAUSEDTODAYEXAMPLE",
        "The management account: AWS allows no root session in it",
        "<b>sts:AssumeRoot</b>: Rate exceeded",
    ] {
        assert!(attention.contains(words), "{words}\n{attention}");
    }
    assert!(section(&page, "stripped").contains("password (created 2019-03-04)"));
    assert!(section(&page, "verdicts").contains("What was found in 1 account could not be read again"));
}

#[test]
fn an_audit_that_is_not_complete_says_so_first() {
    let broken = Completeness::Broken { failure: throttled(), remedy: "wait".to_owned() };
    let page = page(&AuditReport { completeness: broken, ..report(every_verdict()) });
    let before = page.split_once("<p class=\"statement\">").unwrap().0;
    assert!(before.contains("This audit is not complete.") && before.contains("Rate exceeded"), "{before}");
    assert!(page.contains("2 of 7 accounts that were reached hold no root credentials."));
}

#[test]
fn what_changed_is_told_or_why_it_is_not() {
    let told = |earlier| {
        let page = file(PAGE, &report(every_verdict()), &earlier);
        section(&page, "changes").to_owned()
    };
    assert!(told(Earlier::FirstAudit).contains("This is the first audit"));
    let unreadable = told(Earlier::Unreadable("line 2: <not JSON>".to_owned()));
    assert!(unreadable.contains("Not compared.") && unreadable.contains("&lt;not JSON&gt;"), "{unreadable}");
    let previous = Previous {
        run: "run-1".to_owned(),
        finished: NOW - Duration::DAY,
        reach: Reach::Whole,
        accounts: vec![
            record(1, Verdict::Unknown),
            record(3, Verdict::Clean),
            record(5, Verdict::Clean),
            record(9, Verdict::Clean).named("Old & gone"),
        ],
    };
    let changes = told(Earlier::Audit(previous));
    let titles: Vec<_> = changes.split("<h3>").skip(1).map(|part| part.split_once(" <").unwrap().0).collect();
    assert_eq!(
        titles,
        [
            "No longer readable",
            "Credentials that appeared",
            "Readable again",
            "Other changes of verdict",
            "Accounts that joined",
            "Accounts that left"
        ]
    );
    assert!(changes.contains("Old &amp; gone") && changes.contains("Clean → Unknown"), "{changes}");
}

#[test]
fn fifty_thousand_accounts_are_all_there() {
    let clean = |id: u64| record(id, Verdict::Clean).named("A name of usual length");
    let report = report((1..=50_000).map(clean).collect());
    let page = page(&report);
    let ledger = section(&page, "ledger");
    let ids: Vec<_> = between(ledger, "<p class=\"ids\">", "</p>").split_whitespace().collect();
    assert_eq!((ids.len(), ids.first(), ids.last()), (50_000, Some(&"000000000001"), Some(&"000000050000")));
    assert_eq!(data(&page)["names"].as_array().unwrap().len(), 50_000);
    assert!(page.len() < 4_000_000, "{}", page.len());
    assert_eq!(page.matches("<li>").count(), 0, "no element for each account");
}
