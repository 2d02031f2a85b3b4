//! `report.csv`: RFC 4180, a row an account, for a person with a spreadsheet. Programs read `accounts.jsonl`.

use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::words::{credential_list, deletion_list, held_back_list, verdict_name};
use super::{SPREADSHEET, Unwritable};
use crate::domain::id::AccountId;
use crate::domain::record::{AccountRecord, AuditReport};

/// Excel takes a file without it for one in the code page of the machine, and shows other letters than were meant.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

const HEADER: [&str; 16] = [
    "Account",
    "Name",
    "Verdict",
    "Since (UTC)",
    "Examined (UTC)",
    "Found",
    "Planned",
    "Removed",
    "Attempted, not read again",
    "Held back",
    "Left",
    "Reason",
    "Cause",
    "Message",
    "Remedy",
    "Run",
];

pub(super) fn write(report: &AuditReport) -> Result<Vec<u8>, Unwritable> {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .terminator(csv::Terminator::CRLF)
        .from_writer(BYTE_ORDER_MARK.to_vec());
    let unwritable = |problem: String| Unwritable { file: SPREADSHEET, problem };
    writer.write_record(HEADER).map_err(|error| unwritable(error.to_string()))?;
    for record in &report.accounts {
        writer.write_record(row(record, &report.run)).map_err(|error| unwritable(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| unwritable(error.to_string()))
}

fn row(record: &AccountRecord, run: &str) -> [String; 16] {
    let failure = record.failure.as_ref();
    let credentials =
        |credentials: &Option<_>| credentials.as_ref().map(credential_list).unwrap_or_default().join("; ");
    [
        grouped(&record.account_id),
        record.account_name.clone().unwrap_or_default(),
        verdict_name(record.verdict).to_owned(),
        record.since.map(moment).unwrap_or_default(),
        moment(record.examined),
        credentials(&record.found),
        deletion_list(&record.planned).join("; "),
        deletion_list(&record.removed).join("; "),
        deletion_list(&record.attempted).join("; "),
        held_back_list(&record.held_back).join("; "),
        credentials(&record.left),
        record.reason.clone().unwrap_or_default(),
        failure.map(|failure| failure.cause.to_string()).unwrap_or_default(),
        failure.map(|failure| format!("{}: {}", failure.operation, failure.message)).unwrap_or_default(),
        record.remedy.clone().unwrap_or_default(),
        run.to_owned(),
    ]
    .map(|cell| inert(&cell))
}

/// The account id in groups of four, the form in which the AWS console shows it: `0123-4567-8901`.
///
/// Twelve bare digits are a number to every spreadsheet, which drops leading zeros and shows the rest as `1.23457E+11`,
/// quoted or not. Of the ways to say "this is text", `="0123"` is a formula that other readers keep as it is, and a leading
/// apostrophe or tab becomes part of the id. Taking the hyphens out gives the id back.
fn grouped(id: &AccountId) -> String {
    let groups: Vec<String> =
        id.as_str().as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into()).collect();
    groups.join("-")
}

/// The form of a date that spreadsheets take for one, in any language: they do not know that of RFC 3339.
fn moment(at: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    at.to_offset(UtcOffset::UTC).format(form).unwrap_or_default()
}

/// Puts an apostrophe before whatever a spreadsheet would take for a formula
/// (<https://owasp.org/www-community/attacks/CSV_Injection>): account names and AWS's messages are not ours.
///
/// Not only at the start of a cell: where a spreadsheet separates by another character than the comma, as Excel does in
/// many languages, a cell can begin within ours. The exact text is in `accounts.jsonl`.
fn inert(cell: &str) -> String {
    let mut inert = String::with_capacity(cell.len());
    let mut begins_a_cell = true;
    for character in cell.chars() {
        let is_formula = matches!(character, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
        let separates = matches!(character, ',' | ';' | '|' | '"' | '\'' | '\t' | '\r' | '\n' | '\0');
        // A tab or carriage return at the very start is dropped by some readers, with what follows it at the start then.
        if begins_a_cell && (is_formula || (inert.is_empty() && matches!(character, '\t' | '\r' | '\n' | '\0'))) {
            inert.push('\'');
        }
        inert.push(character);
        begins_a_cell = separates || (begins_a_cell && character.is_whitespace());
    }
    inert
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_formula() {
        for (cell, expected) in [
            ("Shop", "Shop"),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t'=1"),
            ("\r=1", "'\r'=1"),
            ("  =1", "  '=1"),
            ("＝1", "'＝1"),
            // Where the semicolon separates.
            ("a;=HYPERLINK(\"x\")", "a;'=HYPERLINK(\"x\")"),
            ("a; =1", "a; '=1"),
            ("x\"=1", "x\"'=1"),
            ("Team A-B = 3", "Team A-B = 3"),
        ] {
            assert_eq!(inert(cell), expected);
        }
    }

    #[test]
    fn an_account_id_keeps_its_zeros_and_is_no_number() {
        let id = grouped(&"012345678901".parse().unwrap());
        assert_eq!(id, "0123-4567-8901");
        assert_eq!(inert(&id), id);
    }
}
