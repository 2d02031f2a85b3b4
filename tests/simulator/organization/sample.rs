//! The sample organization: nested units, mostly clean accounts, and leftovers of every kind.
//!
//! The same for the same size on the same day; only the dates move, so that "recently used" stays true.

use std::collections::{BTreeMap, BTreeSet};

use time::{Duration, OffsetDateTime};

use super::{
    AccessKey, Account, AccountId, AccountState, CredentialStatus, LastUsed, LoginProfile, MfaDevice, Organization,
    OrganizationError, RootCredentials, SigningCertificate, UnitId,
};
use crate::clock::Clock;

/// The tag of the sample's two accounts that a deployment should exempt.
pub const EXEMPT_TAG: &str = "unroot:exempt";

/// The units, policies and the accounts that each stand for one special case. Everything else is generated.
const SKELETON: &str = include_str!("sample.json");

/// Where generated accounts go, in turn. Several times the same unit makes it larger.
const FILLED_UNITS: [&str; 8] = [
    "ou-a1b2-prodweb0",
    "ou-a1b2-proddata",
    "ou-a1b2-prodweb0",
    "ou-a1b2-develop0",
    "ou-a1b2-teamblue",
    "ou-a1b2-sandbox0",
    "ou-a1b2-regulate",
    "ou-a1b2-develop0",
];

impl Organization {
    /// An organization of the given number of accounts, but at least its two dozen special ones.
    ///
    /// Fails only if the skeleton in the source is not a valid organization file, which a test rules out.
    pub fn sample(accounts: usize) -> Result<Self, OrganizationError> {
        Self::sample_at(accounts, Clock::of_machine().now())
    }

    /// The same at another time than the machine's.
    pub fn sample_at(accounts: usize, now: OffsetDateTime) -> Result<Self, OrganizationError> {
        let mut organization = Self::from_json(SKELETON)?;
        let now = now.replace_nanosecond(0).unwrap_or(now);
        let special = leftovers_by_name(now);
        for (id, account) in &mut organization.accounts {
            if let Some(leftovers) = special.get(account.name.as_str()) {
                account.root = leftovers(id);
            }
        }
        for index in 0..accounts.saturating_sub(organization.accounts.len()) {
            let parent = FILLED_UNITS.get(index % FILLED_UNITS.len()).copied().unwrap_or_default();
            if let (Ok(id), Ok(parent)) = (generated_id(index).parse::<AccountId>(), parent.parse::<UnitId>()) {
                let account = generated_account(index, &id, parent, now);
                organization.accounts.insert(id, account);
            }
        }
        Ok(organization)
    }
}

type Leftovers = Box<dyn Fn(&AccountId) -> RootCredentials>;

/// The credentials of the skeleton's special accounts. They are here for the dates, which a file cannot keep recent.
fn leftovers_by_name(now: OffsetDateTime) -> BTreeMap<&'static str, Leftovers> {
    let years_ago = now - Duration::days(1100);
    let old = move |mut credentials: RootCredentials| {
        for key in &mut credentials.access_keys {
            key.create_date = years_ago;
        }
        credentials
    };
    let special: Vec<(&'static str, Leftovers)> = vec![
        ("webshop", Box::new(move |_| password(years_ago))),
        ("webshop-cdn", Box::new(move |id| with_mfa(password(years_ago), virtual_mfa(id), years_ago))),
        ("payments", Box::new(move |id| with_mfa(password(years_ago), fido_mfa(id), years_ago))),
        ("ledger", Box::new(move |id| with_mfa(password(years_ago), hardware_mfa(id), years_ago))),
        (
            "warehouse",
            Box::new(move |id| old(access_key(id, CredentialStatus::Active, Some(now - Duration::days(700))))),
        ),
        ("reports", Box::new(move |id| old(access_key(id, CredentialStatus::Inactive, None)))),
        // The one that a tool must not break: a root access key that something in production still uses.
        (
            "billing-export",
            Box::new(move |id| old(access_key(id, CredentialStatus::Active, Some(now - Duration::hours(7))))),
        ),
        ("mainframe-bridge", Box::new(move |id| certificate(id, years_ago))),
        ("forgotten", Box::new(move |id| everything(id, years_ago, now - Duration::days(400)))),
        ("acquired-shop", Box::new(move |id| everything(id, years_ago, now - Duration::days(900)))),
        ("acquired-blog", Box::new(move |_| password(years_ago))),
        ("regulated-core", Box::new(move |_| password(years_ago))),
        ("frankfurt-off", Box::new(move |_| password(years_ago))),
        ("break-glass", Box::new(move |id| with_mfa(password(years_ago), fido_mfa(id), years_ago))),
        (
            "vendor-managed",
            Box::new(move |id| old(access_key(id, CredentialStatus::Active, Some(now - Duration::hours(2))))),
        ),
        ("suspended-lab", Box::new(move |_| password(years_ago))),
        ("closing-lab", Box::new(move |_| password(years_ago))),
        ("management", Box::new(move |id| with_mfa(password(years_ago), hardware_mfa(id), years_ago))),
    ];
    special.into_iter().collect()
}

/// Scattered, so that the order of ids is not the order of creation; the factor is coprime to the range, so no two
/// are the same.
fn generated_id(index: usize) -> String {
    format!("6{:011}", (index as u64 + 1) * 7_368_787_919 % 100_000_000_000)
}

fn generated_account(index: usize, id: &AccountId, parent: UnitId, now: OffsetDateTime) -> Account {
    let joined_at = now - Duration::days(2000 - i64::try_from(index % 1900).unwrap_or_default());
    // About one account in eight has something left: enough to see, few enough to be believable.
    let root = match index % 40 {
        3 => password(joined_at),
        11 => with_mfa(password(joined_at), virtual_mfa(id), joined_at),
        17 => access_key(id, CredentialStatus::Inactive, None),
        23 => access_key(id, CredentialStatus::Active, Some(now - Duration::days(300))),
        31 => with_mfa(password(joined_at), fido_mfa(id), joined_at),
        _ => RootCredentials::default(),
    };
    Account {
        name: format!("workload-{index:04}"),
        email: format!("aws+workload-{index:04}@example.com"),
        parent,
        state: if index % 97 == 41 { AccountState::Suspended } else { AccountState::Active },
        joined_method: super::JoinedMethod::Created,
        joined_at,
        not_ready_until: None,
        sts_off_in: BTreeSet::new(),
        tags: BTreeMap::new(),
        service_control_policies: vec![super::FULL_AWS_ACCESS.to_owned()],
        root,
        buckets: Vec::new(),
        queues: Vec::new(),
    }
}

fn password(create_date: OffsetDateTime) -> RootCredentials {
    RootCredentials { login_profile: Some(LoginProfile { create_date }), ..RootCredentials::default() }
}

fn access_key(id: &AccountId, status: CredentialStatus, used: Option<OffsetDateTime>) -> RootCredentials {
    let create_date = used.map_or(time::macros::datetime!(2022-05-01 08:00 UTC), |used| used - Duration::days(30));
    let last_used = used.map(|date| LastUsed { date, service: "s3".to_owned(), region: "eu-central-1".to_owned() });
    RootCredentials {
        access_keys: vec![AccessKey { id: format!("AKIA{id}ROOTEXAMPLE"), status, create_date, last_used }],
        ..RootCredentials::default()
    }
}

fn certificate(id: &AccountId, upload_date: OffsetDateTime) -> RootCredentials {
    RootCredentials {
        signing_certificates: vec![SigningCertificate {
            id: format!("CERTIFICATE{id}EXAMPLE"),
            status: CredentialStatus::Active,
            upload_date,
        }],
        ..RootCredentials::default()
    }
}

fn with_mfa(mut credentials: RootCredentials, serial_number: String, enable_date: OffsetDateTime) -> RootCredentials {
    credentials.mfa_devices.push(MfaDevice { serial_number, enable_date });
    credentials
}

/// Both keys, a password, a certificate and all three kinds of MFA device.
fn everything(id: &AccountId, since: OffsetDateTime, last_used: OffsetDateTime) -> RootCredentials {
    let second_key = AccessKey {
        id: format!("AKIA{id}ROOTTWOEXAMPLE"),
        status: CredentialStatus::Inactive,
        create_date: since,
        last_used: None,
    };
    let mut credentials = access_key(id, CredentialStatus::Active, Some(last_used));
    credentials.access_keys.push(second_key);
    credentials.login_profile = password(since).login_profile;
    credentials.signing_certificates = certificate(id, since).signing_certificates;
    let devices = [virtual_mfa(id), fido_mfa(id), hardware_mfa(id)];
    devices.into_iter().fold(credentials, |credentials, serial| with_mfa(credentials, serial, since))
}

fn virtual_mfa(id: &AccountId) -> String {
    format!("arn:aws:iam::{id}:mfa/root-account-mfa-device")
}

fn fido_mfa(id: &AccountId) -> String {
    format!("arn:aws:iam::{id}:u2f/root/yubikey-R1234")
}

/// A hardware token is known by its bare serial number.
fn hardware_mfa(id: &AccountId) -> String {
    format!("GAHT{}", id.as_str().chars().take(8).collect::<String>())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_sample_has_the_size_asked_for_and_every_kind_of_leftover() {
        let now = datetime!(2026-11-20 12:00 UTC);
        let organization = Organization::sample_at(300, now).unwrap();
        assert_eq!(organization.accounts.len(), 300);
        assert_eq!(organization.tagged(EXEMPT_TAG).len(), 2);
        let roots: Vec<_> = organization.accounts.values().map(|account| &account.root).collect();
        let keys: Vec<_> = roots.iter().flat_map(|root| &root.access_keys).collect();
        let day_ago = now - Duration::days(1);
        let used_today = |key: &&AccessKey| key.last_used.as_ref().is_some_and(|used| used.date > day_ago);
        assert!(keys.iter().copied().any(|key| used_today(&key)));
        assert!(keys.iter().any(|key| key.status == CredentialStatus::Inactive));
        assert!(roots.iter().any(|root| !root.signing_certificates.is_empty()));
        for kind in [":mfa/", ":u2f/", "GAHT"] {
            let has = |root: &&RootCredentials| root.mfa_devices.iter().any(|mfa| mfa.serial_number.contains(kind));
            assert!(roots.iter().copied().any(|root| has(&root)), "{kind}");
        }
        for state in [AccountState::Suspended, AccountState::PendingClosure, AccountState::Closed] {
            assert!(organization.accounts.values().any(|account| account.state == state), "{state:?}");
        }
        let clean = roots.iter().filter(|root| root.is_empty()).count();
        assert!(clean * 4 > roots.len() * 3, "most accounts are clean: {clean}");
    }

    #[test]
    fn every_special_account_exists_and_ids_do_not_collide() {
        let organization = Organization::sample(0).unwrap();
        for name in leftovers_by_name(OffsetDateTime::UNIX_EPOCH).keys() {
            assert!(organization.accounts.values().any(|account| account.name == *name), "{name}");
        }
        assert_eq!(Organization::sample(5000).unwrap().accounts.len(), 5000);
    }
}
