//! The accounts that are not clean, grouped by what is to be done: five hundred accounts below the same service control
//! policy are one remedy and a list.

use std::collections::BTreeMap;

use crate::domain::credentials::RootCredentials;
use crate::domain::id::AccountId;
use crate::domain::record::{AccountRecord, AuditReport, Verdict};
use crate::evidence::words::{accounts, credential_list, deletion_list, held_back, minute, verdict_name};

use super::markup::{badge, escape, id, name, prose};

/// Of a group with more accounts the others are listed by id and name alone, so that the page stays a page.
const MOST_ROWS: usize = 200;

/// What was found in `Audit` mode has no remedy in its record: nothing is wrong with the account.
const DEPLOY_ENFORCE: &str = "deploy with `Mode=Enforce`, and the next audit removes what is not held back";

/// An account of a list, with what there is to say of it.
pub(super) struct Entry<'a> {
    pub(super) id: &'a AccountId,
    pub(super) name: Option<&'a str>,
    pub(super) note: String,
}

/// What the accounts of a group have in common, in the order in which the groups are shown.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Common<'a> {
    urgency: u8,
    cause: Option<String>,
    operation: Option<&'a str>,
    reason: Option<&'a str>,
    remedy: Option<&'a str>,
}

/// The groups of all accounts that hold credentials, could not be read, or were not looked at.
pub(super) fn not_clean(report: &AuditReport) -> String {
    let groups = groups(report, |verdict| match verdict {
        Verdict::Failed => Some(0),
        Verdict::CredentialsPresent => Some(1),
        Verdict::Unknown => Some(2),
        Verdict::NotCovered => Some(3),
        Verdict::Clean | Verdict::Stripped => None,
    });
    if groups.is_empty() { "<p>None of the accounts that were looked at.</p>".to_owned() } else { groups }
}

/// The accounts that this audit stripped.
pub(super) fn stripped(report: &AuditReport) -> String {
    let groups = groups(report, |verdict| (verdict == Verdict::Stripped).then_some(0));
    if groups.is_empty() { "<p>None.</p>".to_owned() } else { groups }
}

fn groups(report: &AuditReport, urgency: impl Fn(Verdict) -> Option<u8>) -> String {
    let mut groups: BTreeMap<Common<'_>, Vec<&AccountRecord>> = BTreeMap::new();
    for record in &report.accounts {
        if let Some(urgency) = urgency(record.verdict) {
            groups.entry(Common::of(record, urgency)).or_default().push(record);
        }
    }
    // The largest group of a verdict first: one remedy that helps the most accounts.
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(common, records)| (common.urgency, std::cmp::Reverse(records.len())));
    groups.iter().map(|(common, records)| group(common, records)).collect()
}

impl<'a> Common<'a> {
    fn of(record: &'a AccountRecord, urgency: u8) -> Self {
        let failure = record.failure.as_ref();
        let remedy = record.remedy.as_deref();
        Self {
            urgency,
            cause: failure.map(|failure| failure.cause.to_string()),
            operation: failure.map(|failure| failure.operation.as_str()),
            reason: record.reason.as_deref(),
            remedy: remedy.or((!record.planned.is_empty()).then_some(DEPLOY_ENFORCE)),
        }
    }
}

fn group(common: &Common<'_>, records: &[&AccountRecord]) -> String {
    let Some(verdict) = records.first().map(|record| record.verdict) else { return String::new() };
    let count = accounts(u64::try_from(records.len()).unwrap_or(u64::MAX));
    let cause = common.cause.as_ref().map(|cause| format!(" <code>{cause}</code>")).unwrap_or_default();
    let message = common_message(records);
    let details: Vec<_> = records.iter().map(|record| details(record, message.is_none())).collect();
    let members = if details.iter().all(String::is_empty) {
        let entries: Vec<_> = records.iter().map(|record| entry(record)).collect();
        list(&entries)
    } else {
        table(verdict, records, &details)
    };
    format!(
        "<article class=\"group\"><h3>{}{cause} <span class=\"count\">{count}</span></h3><dl class=\"why\">{}</dl>\
         {members}</article>",
        badge(verdict),
        why(common, message.as_deref())
    )
}

/// What there is to say of all the accounts of a group.
fn why(common: &Common<'_>, message: Option<&str>) -> String {
    let reason = common.reason.map(|reason| format!("<div><dt>Why</dt><dd>{}</dd></div>", prose(reason)));
    let failure = common.operation.map(|operation| {
        let said = message.map_or_else(|| "a message for each account, below".to_owned(), escape);
        let operation = escape(operation);
        format!("<div><dt>Message</dt><dd class=\"said\"><b>{operation}</b>: {said}</dd></div>")
    });
    let remedy = common
        .remedy
        .map(|remedy| format!("<div class=\"remedy\"><dt>What to do</dt><dd>{}</dd></div>", prose(remedy)));
    [reason, failure, remedy].into_iter().flatten().collect()
}

/// The message of all the accounts, if they have the same but for their own ids.
fn common_message(records: &[&AccountRecord]) -> Option<String> {
    let message = |record: &AccountRecord| {
        let id = record.account_id.as_str();
        Some(record.failure.as_ref()?.message.replace(id, "(account id)"))
    };
    let (first, others) = records.split_first()?;
    if others.is_empty() {
        return Some(first.failure.as_ref()?.message.clone());
    }
    let common = message(first)?;
    others.iter().all(|record| message(record).as_ref() == Some(&common)).then_some(common)
}

/// What there is to say of the account alone.
fn details(record: &AccountRecord, with_message: bool) -> String {
    let there = record.holds().map(|left| there(record, &left)).unwrap_or_default();
    let found = record.found.as_ref().map(credential_list).unwrap_or_default();
    let (before, removed) = match record.verdict {
        // With last use and dates, which the deletions do not have.
        Verdict::Stripped => (Vec::new(), found),
        Verdict::Unknown => (found, deletion_list(&record.removed)),
        Verdict::Clean | Verdict::CredentialsPresent | Verdict::Failed | Verdict::NotCovered => {
            (Vec::new(), deletion_list(&record.removed))
        }
    };
    let failure = record.failure.as_ref().filter(|_| with_message);
    let message: Vec<_> = failure.map(|failure| failure.message.clone()).into_iter().collect();
    [
        lines("There", &there),
        lines("Found at first", &before),
        lines("Removed", &removed),
        lines("Deletion sent, not read to be gone", &deletion_list(&record.attempted)),
        lines("Message", &message),
    ]
    .concat()
}

/// What is there, and which of it was held back.
fn there(record: &AccountRecord, left: &RootCredentials) -> Vec<String> {
    let held = |step| record.held_back.iter().find(|held| held.step == step).map(|held| held_back(&held.reason));
    // Both lists are in the order of the deletions.
    let list = credential_list(left).into_iter().zip(left.deletions().map(held));
    list.map(|(words, held)| held.map_or(words.clone(), |held| format!("{words}: {held}"))).collect()
}

fn lines(label: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let items: Vec<_> = lines.iter().map(|line| format!("<li>{}</li>", escape(line))).collect();
    format!("<p class=\"label\">{label}</p><ul class=\"plain\">{}</ul>", items.concat())
}

fn table(verdict: Verdict, records: &[&AccountRecord], details: &[String]) -> String {
    let row = |(record, details): (&&AccountRecord, &String)| {
        format!(
            "<tr><th scope=\"row\">{}{}</th><td class=\"date\">{}</td><td>{details}</td></tr>",
            name(record.account_name.as_deref()),
            id(record.account_id.as_str()),
            record.since.map_or_else(|| "not known".to_owned(), minute)
        )
    };
    let rows: String = records.iter().zip(details).take(MOST_ROWS).map(row).collect();
    let others: Vec<_> = records.iter().skip(MOST_ROWS).map(|record| entry(record)).collect();
    format!(
        "<table class=\"group-table\"><caption class=\"unseen\">{}</caption><thead><tr><th scope=\"col\">Account</th>\
         <th scope=\"col\">Since</th><th scope=\"col\">Credentials</th></tr></thead><tbody>{rows}</tbody></table>{}",
        verdict_name(verdict),
        remainder(&others)
    )
}

fn entry(record: &AccountRecord) -> Entry<'_> {
    let note = record.since.map(|since| format!("since {}", minute(since))).unwrap_or_default();
    Entry { id: &record.account_id, name: record.account_name.as_deref(), note }
}

/// A list of accounts.
pub(super) fn list(entries: &[Entry<'_>]) -> String {
    let item = |entry: &Entry<'_>| {
        let note = match escape(&entry.note) {
            note if note.is_empty() => note,
            note => format!("<span class=\"note\">{note}</span>"),
        };
        format!("<li>{}{}{note}</li>", name(entry.name), id(entry.id.as_str()))
    };
    let items: String = entries.iter().take(MOST_ROWS).map(item).collect();
    let others = entries.get(MOST_ROWS..).unwrap_or_default();
    format!("<ul class=\"accounts\">{items}</ul>{}", remainder(others))
}

/// The accounts beyond those that have a line of their own.
fn remainder(entries: &[Entry<'_>]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let count = accounts(u64::try_from(entries.len()).unwrap_or(u64::MAX));
    let item = |entry: &Entry<'_>| format!("{} {}; ", entry.id, name(entry.name));
    let items: String = entries.iter().map(item).collect();
    format!("<p class=\"label\">And {count} more</p><p class=\"compact\">{items}</p>")
}
