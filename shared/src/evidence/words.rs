//! The words that the files for people use, in one place: a verdict is called the same everywhere.

use time::OffsetDateTime;
use time::macros::format_description;

use crate::domain::credentials::{AccessKey, AccessKeyStatus, LastUsed, RootCredentials};
use crate::domain::plan::{DeletionStep, HeldBack, HeldBackReason};
use crate::domain::record::Verdict;

/// The verdicts in the order in which a person wants to hear of them, the good news first.
pub(super) const VERDICTS: [Verdict; 6] = [
    Verdict::Clean,
    Verdict::Stripped,
    Verdict::CredentialsPresent,
    Verdict::Failed,
    Verdict::Unknown,
    Verdict::NotCovered,
];

pub(super) fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "Clean",
        Verdict::Stripped => "Stripped",
        Verdict::CredentialsPresent => "Credentials present",
        Verdict::Failed => "Failed",
        Verdict::Unknown => "Unknown",
        Verdict::NotCovered => "Not covered",
    }
}

pub(super) fn verdict_meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "read, and nothing was there",
        Verdict::Stripped => "credentials were there, were removed, and are read to be gone",
        Verdict::CredentialsPresent => "credentials are there and were left on purpose",
        Verdict::Failed => "credentials are there that should have been removed",
        Verdict::Unknown => "could not be read: nothing is claimed",
        Verdict::NotCovered => "not looked at",
    }
}

/// The name by which the style and the symbols of the page know the verdict.
pub(super) fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Stripped => "stripped",
        Verdict::CredentialsPresent => "present",
        Verdict::Failed => "failed",
        Verdict::Unknown => "unknown",
        Verdict::NotCovered => "notcovered",
    }
}

/// What is there, a phrase for each credential.
pub(super) fn credential_list(credentials: &RootCredentials) -> Vec<String> {
    let RootCredentials { login_profile, access_keys, signing_certificates, mfa_devices } = credentials;
    let dated = |what: String, date: Option<OffsetDateTime>, verb: &str| match date {
        Some(at) => format!("{what} ({verb} {})", day(at)),
        None => what,
    };
    let mut list = Vec::new();
    list.extend(login_profile.iter().map(|profile| dated("password".to_owned(), profile.created, "created")));
    list.extend(access_keys.iter().map(access_key));
    for certificate in signing_certificates {
        list.push(dated(format!("signing certificate {}", certificate.id), certificate.uploaded, "uploaded"));
    }
    for device in mfa_devices {
        list.push(dated(format!("MFA device {}", device.serial_number), device.enabled, "enabled"));
    }
    list
}

fn access_key(key: &AccessKey) -> String {
    let status = match key.status {
        AccessKeyStatus::Active => "active",
        AccessKeyStatus::Inactive => "inactive",
        AccessKeyStatus::Expired => "expired",
    };
    let use_ = match &key.last_used {
        LastUsed::Never => "never used".to_owned(),
        LastUsed::Used { at, service, region } => format!("last used {} for {service} in {region}", day(*at)),
    };
    let created = key.created.map(|at| format!(", created {}", day(at))).unwrap_or_default();
    format!("access key {} ({status}, {use_}{created})", key.id)
}

/// The credential that a step deletes.
pub(super) fn credential(step: &DeletionStep) -> String {
    match step {
        DeletionStep::DeleteLoginProfile => "password".to_owned(),
        DeletionStep::DeleteAccessKey(id) => format!("access key {id}"),
        DeletionStep::DeleteSigningCertificate(id) => format!("signing certificate {id}"),
        DeletionStep::DeactivateMfaDevice(serial_number) => format!("MFA device {serial_number}"),
    }
}

pub(super) fn deletion_list(steps: &[DeletionStep]) -> Vec<String> {
    steps.iter().map(credential).collect()
}

/// The credentials in few words: the serial numbers of MFA devices are long and tell little.
pub(super) fn short_list(steps: &[DeletionStep]) -> String {
    let is_device = |step: &&DeletionStep| matches!(step, DeletionStep::DeactivateMfaDevice(_));
    let mut words: Vec<_> = steps.iter().filter(|step| !is_device(step)).map(credential).collect();
    match steps.iter().filter(is_device).count() {
        0 => {}
        1 => words.push("MFA device".to_owned()),
        devices => words.push(format!("{devices} MFA devices")),
    }
    words.join(", ")
}

pub(super) fn held_back_list(list: &[HeldBack]) -> Vec<String> {
    list.iter().map(|held| format!("{}: {}", credential(&held.step), held_back(&held.reason))).collect()
}

pub(super) fn held_back(reason: &HeldBackReason) -> String {
    match reason {
        HeldBackReason::UsedRecently { last_used, service } => {
            format!("held back, used {} for {service}", day(*last_used))
        }
        HeldBackReason::ProtectsWhatIsLeft => "held back, protects what is left".to_owned(),
    }
}

/// `2026-11-20`, in UTC as all dates here.
pub(super) fn day(at: OffsetDateTime) -> String {
    written(at, format_description!("[year]-[month]-[day]"))
}

/// `2026-11-20 12:00`.
pub(super) fn minute(at: OffsetDateTime) -> String {
    written(at, format_description!("[year]-[month]-[day] [hour]:[minute]"))
}

/// `20 November 2026`.
pub(super) fn long_day(at: OffsetDateTime) -> String {
    written(at, format_description!("[day padding:none] [month repr:long] [year]"))
}

/// `12:00`.
pub(super) fn clock(at: OffsetDateTime) -> String {
    written(at, format_description!("[hour]:[minute]"))
}

fn written(at: OffsetDateTime, format: &(impl time::formatting::Formattable + ?Sized)) -> String {
    at.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default()
}

/// `12,345`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 account`, `12,345 accounts`.
pub(super) fn accounts(count: u64) -> String {
    counted(count, "account", "accounts")
}

pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// `97.4 %`, with as many digits as tell one account of fifty thousand from none or all.
pub(super) fn share(part: u64, of: u64) -> String {
    if of == 0 {
        return String::new();
    }
    // In thousandths of a percent; whole numbers, so that a part is never rounded up to all or down to none.
    let thousandths = u128::from(part) * 100_000 / u128::from(of);
    match thousandths {
        0 if part > 0 => "< 0.1 %".to_owned(),
        1..100 => "< 0.1 %".to_owned(),
        thousandths => format!("{}.{} %", thousandths / 1000, thousandths % 1000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 50_000, 1_234_567].map(number), ["0", "999", "1,000", "50,000", "1,234,567"]);
        assert_eq!((accounts(1), accounts(2)), ("1 account".to_owned(), "2 accounts".to_owned()));
    }

    #[test]
    fn a_share_is_never_rounded_to_all_or_none() {
        assert_eq!(share(49_999, 50_000), "99.9 %");
        assert_eq!(share(1, 50_000), "< 0.1 %");
        assert_eq!(share(50_000, 50_000), "100.0 %");
        assert_eq!(share(0, 50_000), "0.0 %");
        assert_eq!(share(308, 312), "98.7 %");
    }
}
