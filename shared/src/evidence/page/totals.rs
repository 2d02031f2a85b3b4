//! The numbers: a chart of the verdicts, the same as a table, and the credentials by kind.

use crate::domain::record::{AccountRecord, AuditReport, Totals, Verdict};
use crate::evidence::words::{VERDICTS, accounts, number, share, verdict_class, verdict_meaning, verdict_name};

use super::markup::badge;

/// Of the width, in thousandths of a percent: a single account among fifty thousand is seen.
const LEAST_WIDTH: u64 = 700;
const WHOLE_WIDTH: u64 = 100_000;

/// One bar of all accounts. The verdicts differ by pattern as well as by colour, and the table below has the numbers.
pub(super) fn chart(totals: &Totals) -> String {
    let mut next = 0;
    let bar = |(verdict, width): (Verdict, u64)| {
        let x = next;
        next += width;
        format!(
            "<rect class=\"bar\" x=\"{}\" width=\"{}\" height=\"100%\" fill=\"url(#p-{})\"/>",
            percent(x),
            percent(width),
            verdict_class(verdict)
        )
    };
    if totals.accounts == 0 {
        return String::new();
    }
    let bars: String = widths(totals).into_iter().map(bar).collect();
    let count = |(verdict, count)| format!("{}: {}", verdict_name(verdict), number(count));
    let counts: Vec<_> = present(totals).map(count).collect();
    format!(
        "<svg class=\"chart\" role=\"img\" aria-labelledby=\"chart-title chart-text\">\
         <title id=\"chart-title\">Accounts by verdict</title><desc id=\"chart-text\">{}</desc>{bars}</svg>",
        counts.join(", ")
    )
}

/// The table that says what the chart shows.
pub(super) fn verdicts(totals: &Totals) -> String {
    let row = |verdict| {
        let count = totals.of(verdict);
        format!(
            "<tr{}><td><svg class=\"swatch\" aria-hidden=\"true\"><rect width=\"100%\" height=\"100%\" \
             fill=\"url(#p-{})\"/></svg></td><th scope=\"row\">{}</th><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"meaning\">{}</td></tr>",
            if count == 0 { " class=\"none\"" } else { "" },
            verdict_class(verdict),
            badge(verdict),
            number(count),
            share(count, totals.accounts),
            verdict_meaning(verdict)
        )
    };
    format!(
        "{}<tr class=\"sum\"><td></td><th scope=\"row\">All</th><td class=\"number\">{}</td><td></td>\
         <td class=\"meaning\"></td></tr>",
        VERDICTS.map(row).concat(),
        number(totals.accounts)
    )
}

/// Found, removed and still there, by kind.
pub(super) fn credentials(totals: &Totals) -> String {
    let (found, removed, there) = (totals.found, totals.removed, totals.left);
    let rows = [
        ("Passwords", found.login_profiles, removed.login_profiles, there.login_profiles),
        ("Access keys", found.access_keys, removed.access_keys, there.access_keys),
        ("Signing certificates", found.signing_certificates, removed.signing_certificates, there.signing_certificates),
        ("MFA devices", found.mfa_devices, removed.mfa_devices, there.mfa_devices),
    ];
    let row = |(kind, found, removed, there): (&str, u64, u64, u64)| {
        format!(
            "<tr><th scope=\"row\">{kind}</th><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td></tr>",
            number(found),
            number(removed),
            number(there)
        )
    };
    rows.map(row).concat()
}

/// Why found is more than removed and still there together, if it is.
pub(super) fn not_read_again(report: &AuditReport) -> String {
    let is_open = |record: &&AccountRecord| record.found.is_some() && record.holds().is_none();
    match report.accounts.iter().filter(is_open).count() {
        0 => String::new(),
        count => format!(
            "<p class=\"label\">What was found in {} could not be read again: it is counted neither as removed nor as \
             still there.</p>",
            accounts(u64::try_from(count).unwrap_or(u64::MAX))
        ),
    }
}

fn present(totals: &Totals) -> impl Iterator<Item = (Verdict, u64)> {
    VERDICTS.into_iter().map(|verdict| (verdict, totals.of(verdict))).filter(|(_, count)| *count > 0)
}

/// The widths of the bars, in proportion, but none too small to be seen: what those gain the widest loses.
fn widths(totals: &Totals) -> Vec<(Verdict, u64)> {
    let all = present(totals).map(|(_, count)| count).sum::<u64>().max(1);
    let width = |count| u64::try_from(u128::from(WHOLE_WIDTH) * u128::from(count) / u128::from(all)).unwrap_or(0);
    let mut widths: Vec<_> = present(totals).map(|(verdict, count)| (verdict, width(count).max(LEAST_WIDTH))).collect();
    let sum: u64 = widths.iter().map(|(_, width)| width).sum();
    if let Some((_, widest)) = widths.iter_mut().max_by_key(|(_, width)| *width) {
        *widest = (*widest + WHOLE_WIDTH).saturating_sub(sum);
    }
    widths
}

fn percent(thousandths: u64) -> String {
    format!("{}.{:03}%", thousandths / 1000, thousandths % 1000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_single_account_is_seen_and_the_bar_is_full() {
        let verdicts = BTreeMap::from([(Verdict::Clean, 49_998), (Verdict::Unknown, 1), (Verdict::Failed, 1)]);
        let widths = widths(&Totals { verdicts, accounts: 50_000, ..Totals::default() });
        assert_eq!(widths, [(Verdict::Clean, 98_600), (Verdict::Failed, 700), (Verdict::Unknown, 700)]);
        assert_eq!(percent(98_600), "98.600%");
    }
}
