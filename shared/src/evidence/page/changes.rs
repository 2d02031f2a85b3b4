//! What changed since the previous audit.

use crate::domain::comparison::{ChangedBy, ComparedAccount, Comparison, CredentialChange, VerdictChange};
use crate::domain::record::Verdict;
use crate::evidence::NotCompared;
use crate::evidence::words::{number, short_list, verdict_name};

use super::groups::{Entry, list};
use super::markup::{escape, prose, time};

pub(super) fn write(comparison: Result<&Comparison, &NotCompared<'_>>) -> String {
    let comparison = match comparison {
        Ok(comparison) => comparison,
        Err(NotCompared::FirstAudit) => {
            return "<p>This is the first audit: there is nothing to compare it with.</p>".to_owned();
        }
        Err(NotCompared::Unreadable(reason)) => {
            return format!(
                "<p><b>Not compared.</b> There was an audit before, but its records could not be read: {}</p>",
                prose(reason)
            );
        }
    };
    let since = format!(
        "<p>Compared with the audit that finished on {} (<code>{}</code>).</p>",
        time(comparison.finished),
        escape(&comparison.run)
    );
    if comparison.is_empty() {
        return format!("{since}<p>Nothing changed.</p>");
    }
    let Comparison { run: _, finished: _, verdicts, appeared, went, joined, left } = comparison;
    let removed = |change: &&CredentialChange| change.by == ChangedBy::ThisAudit;
    let is_of_reading = |change: &&VerdictChange| change.to == Verdict::Unknown || change.from == Verdict::Unknown;
    // Between `Unknown` and `NotCovered`: no list on reading has it.
    let is_of_both = |change: &&VerdictChange| {
        is_of_reading(change) && (change.from == Verdict::NotCovered || change.to == Verdict::NotCovered)
    };
    [
        since,
        part("No longer readable", comparison.unreadable().map(verdict_entry)),
        part("Credentials that appeared", credential_entries(appeared.iter())),
        part("Credentials removed by this audit", credential_entries(went.iter().filter(removed))),
        part("Credentials removed otherwise", credential_entries(went.iter().filter(|change| !removed(change)))),
        part("Readable again", comparison.readable_again().map(verdict_entry)),
        part("Other changes of verdict", verdicts.iter().filter(|change| !is_of_reading(change)).map(verdict_entry)),
        part("Looked at again, or no longer", verdicts.iter().filter(is_of_both).map(verdict_entry)),
        part("Accounts that joined", joined.iter().map(account_entry)),
        part("Accounts that left", left.iter().map(account_entry)),
    ]
    .concat()
}

fn part<'a>(title: &str, entries: impl Iterator<Item = Entry<'a>>) -> String {
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() {
        return String::new();
    }
    let count = number(u64::try_from(entries.len()).unwrap_or(u64::MAX));
    format!("<h3>{title} <span class=\"count\">{count}</span></h3>{}", list(&entries))
}

fn account_entry(account: &ComparedAccount) -> Entry<'_> {
    Entry { id: &account.id, name: account.name.as_deref(), note: String::new() }
}

fn verdict_entry(change: &VerdictChange) -> Entry<'_> {
    let note = format!("{} → {}", verdict_name(change.from), verdict_name(change.to));
    Entry { note, ..account_entry(&change.account) }
}

/// One entry for each account, whose credentials follow each other.
fn credential_entries<'a>(changes: impl Iterator<Item = &'a CredentialChange>) -> impl Iterator<Item = Entry<'a>> {
    let changes: Vec<_> = changes.collect();
    let of_an_account = changes.chunk_by(|one, other| one.account.id == other.account.id);
    let entries: Vec<_> = of_an_account
        .filter_map(|changes| {
            let credentials: Vec<_> = changes.iter().map(|change| change.credential.clone()).collect();
            Some(Entry { note: short_list(&credentials), ..account_entry(&changes.first()?.account) })
        })
        .collect();
    entries.into_iter()
}
