//! `report.html`: the audit in one file, for a person who wants to know and for an auditor who wants to see.
//!
//! It fetches nothing and runs only its own script: the Content-Security-Policy names the hashes of script and style, so
//! that even a name that got through the escaping would stay text. Without JavaScript, and on paper, all is there but the
//! table with its search.

mod changes;
mod groups;
mod markup;
mod table;
mod totals;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::words::{accounts, clock, counted, long_day, minute, number};
use super::{NotCompared, PAGE, Unwritable};
use crate::domain::comparison::Comparison;
use crate::domain::record::{AuditReport, Completeness, Totals, Verdict};
use crate::domain::request::{Mode, Selection};
use crate::domain::task::TaskPolicy;
use crate::domain::trigger::Trigger;
use markup::{escape, fill, id, prose, time};

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

pub(super) fn write(
    report: &AuditReport,
    totals: &Totals,
    comparison: Result<&Comparison, &NotCompared<'_>>,
) -> Result<String, Unwritable> {
    let data = table::data(report).map_err(|error| Unwritable { file: PAGE, problem: error.to_string() })?;
    let values = [
        ("content-security-policy", content_security_policy()),
        ("title", format!("Root credentials in {}, {}", report.organization, long_day(report.finished))),
        ("style", STYLE.to_owned()),
        ("script", SCRIPT.to_owned()),
        ("organization", escape(report.organization.as_str())),
        ("incomplete", incomplete(report)),
        ("statement", statement(report, totals)),
        ("others", others(totals)),
        ("read", read(report)),
        ("basis", basis(report, totals)),
        ("chart", totals::chart(totals)),
        ("verdicts", totals::verdicts(totals)),
        ("credentials", totals::credentials(totals)),
        ("not-read-again", totals::not_read_again(report)),
        ("changes", changes::write(comparison)),
        ("attention", groups::not_clean(report)),
        ("stripped", groups::stripped(report)),
        ("filters", table::filters(totals)),
        ("count", accounts(totals.accounts)),
        ("ledger", table::ledger(report)),
        ("data", data),
        ("run", escape(&report.run)),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    Ok(fill(TEMPLATE, &values))
}

/// Only the script and the style of this page; nothing from elsewhere, not even a form that sends. The icon is a data URL.
fn content_security_policy() -> String {
    let hash = |source: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(source)));
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
}

/// The first thing to read, if the audit did not get to its end.
fn incomplete(report: &AuditReport) -> String {
    let (why, remedy) = match &report.completeness {
        Completeness::Complete => return String::new(),
        Completeness::Continues => {
            ("The audit goes on: accounts that it has not reached yet are missing here.".into(), None)
        }
        Completeness::Broken { failure, remedy } => {
            (format!("The list of accounts could not be read to its end: {failure}"), Some(remedy))
        }
    };
    let remedy = remedy.map(|remedy| format!("<p><b>What to do:</b> {}</p>", prose(remedy))).unwrap_or_default();
    format!(
        "<div class=\"incomplete\" role=\"note\"><p><b>This audit is not complete.</b> {}</p>{remedy}</div>",
        prose(&why)
    )
}

/// What the audit says, in one sentence that is true.
fn statement(report: &AuditReport, totals: &Totals) -> String {
    let without = totals.of(Verdict::Clean) + totals.of(Verdict::Stripped);
    let all = totals.accounts;
    let which = match (&report.completeness, &report.selection) {
        (Completeness::Continues | Completeness::Broken { .. }, _) => "accounts that were reached",
        (Completeness::Complete, Selection::OrganizationalUnits(_) | Selection::Accounts(_)) => "selected accounts",
        (Completeness::Complete, Selection::Everything) => "accounts",
    };
    match all {
        0 => "No account was looked at.".to_owned(),
        1 if without == 1 => "The one account that was looked at holds no root credentials.".to_owned(),
        all if all == without => format!("All {} {which} hold no root credentials.", number(all)),
        all => format!(
            "{} of {} {which} {} no root credentials.",
            number(without),
            number(all),
            if without == 1 { "holds" } else { "hold" }
        ),
    }
}

/// The accounts that the statement leaves out, by what is known of them.
fn others(totals: &Totals) -> String {
    let phrase = |verdict, one: &str, many: &str| match totals.of(verdict) {
        0 => None,
        count => {
            let symbol = markup::symbol(verdict);
            Some(format!("<li>{symbol}<b>{}</b> {}</li>", number(count), if count == 1 { one } else { many }))
        }
    };
    let phrases = [
        phrase(Verdict::Failed, "holds credentials that should be gone", "hold credentials that should be gone"),
        phrase(Verdict::CredentialsPresent, "holds credentials, left on purpose", "hold credentials, left on purpose"),
        phrase(Verdict::Unknown, "could not be read", "could not be read"),
        phrase(Verdict::NotCovered, "was not looked at", "were not looked at"),
    ];
    let phrases: String = phrases.into_iter().flatten().collect();
    if phrases.is_empty() { phrases } else { format!("<ul class=\"others\">{phrases}</ul>") }
}

fn read(report: &AuditReport) -> String {
    let (started, finished) = (report.started, report.finished);
    let until = match minute(finished) {
        until if until == minute(started) => String::new(),
        _ if started.date() == finished.date() => format!(" to {}", clock(finished)),
        until => format!(" to {until}"),
    };
    format!(
        "Read on {}, {}{until} UTC<span id=\"local\" data-from=\"{}\" data-to=\"{}\"></span>",
        long_day(started),
        clock(started),
        started.unix_timestamp(),
        finished.unix_timestamp()
    )
}

/// What the statement rests on.
fn basis(report: &AuditReport, totals: &Totals) -> String {
    let mode = match report.mode {
        Mode::Audit => "<b>Audit</b>: credentials are looked for, and none is removed",
        Mode::Enforce => "<b>Enforce</b>: credentials that are found are removed, unless they are held back",
    };
    let selection = match &report.selection {
        Selection::Everything => "every account of the organization".to_owned(),
        Selection::OrganizationalUnits(units) => {
            let units: Vec<_> = units.iter().map(|unit| id(unit.as_str())).collect();
            format!("the accounts below {}", units.join(", "))
        }
        Selection::Accounts(accounts) => {
            counted(u64::try_from(accounts.len()).unwrap_or(u64::MAX), "named account", "named accounts")
        }
    };
    let trigger = match report.trigger {
        Trigger::Schedule => "the schedule",
        Trigger::Request => "a request",
        Trigger::AccountJoined => "an account that joined the organization",
        Trigger::RootActivity => "a sign that somebody used root",
        Trigger::WindowEnded => "a recovery window that was to end",
    };
    let sessions = |task| totals.sessions.get(&task).copied().unwrap_or_default();
    let sessions: Vec<_> = TaskPolicy::ALL
        .into_iter()
        .filter(|task| sessions(*task) > 0)
        .map(|task| format!("{} under <code>{task}</code>", number(sessions(task))))
        .collect();
    let sessions = if sessions.is_empty() { "none".to_owned() } else { sessions.join("<br>") };
    let rows = [
        ("Mode", mode.to_owned()),
        ("Accounts", selection),
        ("Asked for by", trigger.to_owned()),
        ("Root sessions opened", sessions),
        (
            "Management account",
            format!(
                "{}: AWS allows no root session in it, so look at its root user by hand",
                id(report.management_account.as_str())
            ),
        ),
        ("Started", time(report.started)),
        ("Finished", time(report.finished)),
        ("Run", format!("<code>{}</code>", escape(&report.run))),
    ];
    let rows = rows.map(|(term, description)| format!("<div><dt>{term}</dt><dd>{description}</dd></div>"));
    rows.concat()
}
