//! All accounts: the data of the table that the script builds, and the list of those without credentials for paper.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use crate::domain::credentials::RootCredentials;
use crate::domain::plan::DeletionStep;
use crate::domain::record::{AccountRecord, AuditReport, Totals, Verdict};
use crate::evidence::words::{VERDICTS, accounts, number, short_list, verdict_class, verdict_name};

use super::markup::{badge, id, name, script_json};

/// Up to so many clean accounts are listed with their names; more by their ids alone, which still says of each account
/// that it is meant. Ten thousand ids are about twenty pages.
const MOST_NAMES: usize = 500;

/// A column each, since fifty thousand objects would repeat their keys fifty thousand times.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    verdicts: Vec<VerdictWords>,
    /// Seconds since 1970.
    started: i64,
    /// Twelve digits each, without anything between them.
    ids: String,
    names: Vec<&'a str>,
    /// A digit each, the index in `verdicts`.
    verdict: String,
    /// Whole minutes after `started`.
    examined: Vec<i64>,
    /// Whole minutes before `started`.
    since: Vec<Option<i64>>,
    /// Why an account is not clean; the same words are here once.
    whys: Vec<String>,
    /// The account's index, the index of its why, and what is to say of its credentials.
    notes: Vec<(usize, usize, String)>,
}

#[derive(Serialize)]
struct VerdictWords {
    name: &'static str,
    class: &'static str,
}

/// The data as JSON that is safe in a `script` element.
pub(super) fn data(report: &AuditReport) -> Result<String, serde_json::Error> {
    let words = |verdict| VerdictWords { name: verdict_name(verdict), class: verdict_class(verdict) };
    let mut data =
        Data { verdicts: VERDICTS.map(words).into(), started: report.started.unix_timestamp(), ..Data::default() };
    let mut whys = BTreeMap::new();
    let minutes = |from: OffsetDateTime, to: OffsetDateTime| (to - from).whole_minutes();
    for (index, record) in report.accounts.iter().enumerate() {
        data.ids.push_str(record.account_id.as_str());
        data.names.push(record.account_name.as_deref().unwrap_or_default());
        let verdict = VERDICTS.into_iter().position(|verdict| verdict == record.verdict).unwrap_or_default();
        data.verdict.push_str(&verdict.to_string());
        data.examined.push(minutes(report.started, record.examined));
        data.since.push(record.since.map(|since| minutes(since, report.started)));
        if record.verdict != Verdict::Clean {
            let next = whys.len();
            let why = *whys.entry(why(record)).or_insert(next);
            data.notes.push((index, why, credentials(record)));
        }
    }
    let mut numbered: Vec<_> = whys.into_iter().collect();
    numbered.sort_by_key(|(_, index)| *index);
    data.whys = numbered.into_iter().map(|(why, _)| why).collect();
    serde_json::to_string(&data).map(|json| script_json(&json))
}

fn why(record: &AccountRecord) -> String {
    match (&record.failure, &record.reason) {
        (Some(failure), _) => format!("{} in {}", failure.cause, failure.operation),
        (None, Some(reason)) => reason.clone(),
        (None, None) => String::new(),
    }
}

fn credentials(record: &AccountRecord) -> String {
    let there: Vec<_> = record.holds().iter().flat_map(RootCredentials::deletions).collect();
    let labelled =
        |label: &str, list: &[DeletionStep]| (!list.is_empty()).then(|| format!("{label}: {}", short_list(list)));
    let parts = [
        labelled("There", &there),
        labelled("Removed", &record.removed),
        labelled("Deletion sent, not read to be gone", &record.attempted),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(". ")
}

/// The boxes that narrow the table to verdicts.
pub(super) fn filters(totals: &Totals) -> String {
    let chip = |(index, verdict): (usize, Verdict)| {
        format!(
            "<label class=\"chip\"><input type=\"checkbox\" name=\"verdict\" value=\"{index}\">{} \
             <span class=\"count\">{}</span></label>",
            badge(verdict),
            number(totals.of(verdict))
        )
    };
    VERDICTS.into_iter().enumerate().map(chip).collect()
}

/// Every account that the statement counts as without credentials.
pub(super) fn ledger(report: &AuditReport) -> String {
    let is_without = |record: &&AccountRecord| matches!(record.verdict, Verdict::Clean | Verdict::Stripped);
    let without: Vec<_> = report.accounts.iter().filter(is_without).collect();
    let count = accounts(u64::try_from(without.len()).unwrap_or(u64::MAX));
    let list = if without.len() > MOST_NAMES {
        let ids: Vec<_> = without.iter().map(|record| record.account_id.as_str()).collect();
        format!("<p class=\"ids\">{}</p>", ids.join("\n"))
    } else {
        let item = |record: &&AccountRecord| {
            format!("<li>{}{}</li>", name(record.account_name.as_deref()), id(record.account_id.as_str()))
        };
        format!("<ul class=\"accounts dense\">{}</ul>", without.iter().map(item).collect::<String>())
    };
    format!("<p>{count}, each read to hold no root credentials.</p>{list}")
}
