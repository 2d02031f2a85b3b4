//! The table at the end: the accounts that are not known to be empty, why, and what to do about it.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ColumnConstraint, Width};

use super::console::Console;
use super::record::{AccountRecord, Verdict};

/// More accounts in one row are only counted.
const MOST_LISTED: usize = 5;

/// What a row says, the same for all its accounts.
#[derive(PartialEq, Eq)]
struct Why {
    verdict: Verdict,
    explanation: String,
}

/// One row for all accounts with the same verdict, cause and remedy.
pub(crate) fn show(console: &Console, records: &[AccountRecord]) {
    let mut rows = Vec::<(Why, Vec<String>)>::new();
    for record in records.iter().filter(|record| !matches!(record.verdict, Verdict::Clean | Verdict::Stripped)) {
        let why = Why::of(record);
        match rows.iter_mut().find(|(known, _)| *known == why) {
            Some((_, accounts)) => accounts.push(record.account()),
            None => rows.push((why, vec![record.account()])),
        }
    }
    rows.sort_by_key(|(why, _)| why.verdict);
    let mut table = console.table();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["verdict", "account", "why, and what to do"]);
    for (why, accounts) in rows {
        table.add_row([why.verdict.name().to_owned(), listed(&accounts), why.explanation]);
    }
    let fixed = |width| ColumnConstraint::Absolute(Width::Fixed(width));
    table.set_constraints([fixed(20), fixed(if console.is_wide() { 31 } else { 18 })]);
    console.show(&table);
}

impl Why {
    fn of(record: &AccountRecord) -> Self {
        let cause = record.failure.as_ref().map(|failure| failure.cause.as_str());
        let remedy = record.remedy.as_ref().map(|remedy| format!("Remedy: {remedy}"));
        let sentences = [cause, record.reason.as_deref(), remedy.as_deref()];
        Self { verdict: record.verdict, explanation: sentences.into_iter().flatten().collect::<Vec<_>>().join("\n") }
    }
}

fn listed(accounts: &[String]) -> String {
    let rest = accounts.len().saturating_sub(MOST_LISTED);
    let listed = accounts.iter().take(MOST_LISTED).cloned();
    let rest = (rest > 0).then(|| format!("and {rest} more"));
    listed.chain(rest).collect::<Vec<_>>().join("\n")
}
