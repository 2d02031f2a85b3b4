//! The settings of the functions: every environment variable that Unroot reads, in one table that the README shows.
//!
//! A function with a setting that is missing or wrong does not start, and says everything that is wrong at once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::id::{BucketName, EventBusName, QueueUrl, TableName};
use crate::domain::plan::HoldBack;
use crate::domain::request::Mode;
use crate::domain::scope::Scope;

/// An environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub meaning: &'static str,
    /// The value if it is not set; `None` if it must be.
    pub default: Option<&'static str>,
}

const MODE: Setting =
    Setting { name: "MODE", meaning: "`Audit` reports what is there; `Enforce` also removes it", default: None };
const MANAGEMENT_ACCOUNT_ID: Setting = Setting {
    name: "MANAGEMENT_ACCOUNT_ID",
    meaning: "the organization's management account, from which account events are accepted",
    default: None,
};
const EXEMPT_ACCOUNT_IDS: Setting = Setting {
    name: "EXEMPT_ACCOUNT_IDS",
    meaning: "accounts that are never touched, separated by commas",
    default: Some(""),
};
const ORGANIZATIONAL_UNIT_IDS: Setting = Setting {
    name: "ORGANIZATIONAL_UNIT_IDS",
    meaning: "only accounts below these units are touched, separated by commas; empty for the whole organization",
    default: Some(""),
};
const HOLD_BACK_KEYS_USED_WITHIN_DAYS: Setting = Setting {
    name: "HOLD_BACK_KEYS_USED_WITHIN_DAYS",
    meaning: "an active access key that was used within so many days is reported, not deleted; 0 to 3650, 0 deletes every key",
    default: Some("14"),
};
const QUEUE_URL: Setting = Setting {
    name: "QUEUE_URL",
    meaning: "the function's own queue; empty for `unlock-policy`, which has none",
    default: Some(""),
};
const DEAD_LETTER_QUEUE_URL: Setting = Setting {
    name: "DEAD_LETTER_QUEUE_URL",
    meaning: "where the function puts a message that cannot succeed; set with `QUEUE_URL`",
    default: Some(""),
};
const RECOVERY_QUEUE_ARN: Setting = Setting {
    name: "RECOVERY_QUEUE_ARN",
    meaning: "the queue to which a schedule sends that a recovery window is to end; only for `password-recovery`",
    default: Some(""),
};
const RECOVERY_DEAD_LETTER_QUEUE_ARN: Setting = Setting {
    name: "RECOVERY_DEAD_LETTER_QUEUE_ARN",
    meaning: "where the schedule puts what it could not send; set with `RECOVERY_QUEUE_ARN`",
    default: Some(""),
};
const RECOVERY_SCHEDULE_ROLE_ARN: Setting = Setting {
    name: "RECOVERY_SCHEDULE_ROLE_ARN",
    meaning: "the role with which the schedule sends it; set with `RECOVERY_QUEUE_ARN`",
    default: Some(""),
};
const STATE_TABLE: Setting = Setting {
    name: "STATE_TABLE",
    meaning: "the table of what is remembered: postures, root sessions, recovery windows",
    default: None,
};
const EVIDENCE_BUCKET: Setting =
    Setting { name: "EVIDENCE_BUCKET", meaning: "the bucket of the audits' evidence", default: None };
const EVENT_BUS_NAME: Setting =
    Setting { name: "EVENT_BUS_NAME", meaning: "the event bus that gets what Unroot tells", default: None };
const STACK_NAME: Setting =
    Setting { name: "STACK_NAME", meaning: "tells the metrics of several stacks in an account apart", default: None };
const CONCURRENCY: Setting =
    Setting { name: "CONCURRENCY", meaning: "how many accounts are audited at once, 1 to 200", default: Some("64") };
const REQUEST_TIMEOUT_MS: Setting = Setting {
    name: "REQUEST_TIMEOUT_MS",
    meaning: "how long one try of a call to AWS may take, in milliseconds",
    default: Some("5000"),
};
const RETRY_BACKOFF_MS: Setting = Setting {
    name: "RETRY_BACKOFF_MS",
    meaning: "the wait before a call is tried or an account is read again, in milliseconds; it doubles each time",
    default: Some("1000"),
};

/// All settings, in the order of the README's table.
pub const SETTINGS: [Setting; 17] = [
    MODE,
    MANAGEMENT_ACCOUNT_ID,
    EXEMPT_ACCOUNT_IDS,
    ORGANIZATIONAL_UNIT_IDS,
    HOLD_BACK_KEYS_USED_WITHIN_DAYS,
    QUEUE_URL,
    DEAD_LETTER_QUEUE_URL,
    RECOVERY_QUEUE_ARN,
    RECOVERY_DEAD_LETTER_QUEUE_ARN,
    RECOVERY_SCHEDULE_ROLE_ARN,
    STATE_TABLE,
    EVIDENCE_BUCKET,
    EVENT_BUS_NAME,
    STACK_NAME,
    CONCURRENCY,
    REQUEST_TIMEOUT_MS,
    RETRY_BACKOFF_MS,
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub mode: Mode,
    pub scope: Scope,
    pub hold_back: HoldBack,
    /// `None` for a function that is only invoked.
    pub queues: Option<Queues>,
    /// `None` for a function that opens no recovery windows.
    pub window_end: Option<WindowEnd>,
    pub stores: Stores,
    pub stack_name: String,
    /// The name of the function, which Lambda itself sets.
    pub function_name: String,
    pub concurrency: usize,
    pub tuning: Tuning,
}

/// Where state, evidence and alerts go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stores {
    pub state_table: TableName,
    pub evidence_bucket: BucketName,
    pub event_bus: EventBusName,
}

/// Where the messages of a function are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queues {
    pub own: QueueUrl,
    pub dead_letters: QueueUrl,
}

/// What a schedule needs to end a recovery window, by ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowEnd {
    pub queue_arn: String,
    pub dead_letter_arn: String,
    pub role_arn: String,
}

/// How patient the calls to AWS are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    pub request_timeout: Duration,
    pub retry_backoff: Duration,
}

impl Tuning {
    /// A recovery window is seen by all functions that soon after it was opened: whoever opens one waits as long before he
    /// lets anyone use it. With the default, ten seconds.
    pub fn windows_are_seen_within(self) -> Duration {
        self.retry_backoff * 10
    }
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings are not valid: {}", .problems.join("; "))]
pub struct InvalidSettings {
    pub problems: Vec<String>,
}

impl Settings {
    pub fn from_environment() -> Result<Self, InvalidSettings> {
        Self::parse(|name| std::env::var(name).ok())
    }

    /// Reads the settings from the values that `lookup` finds by name.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSettings> {
        let mut reader = Reader { lookup, problems: Vec::new() };
        let mode = reader.one(MODE);
        let management_account = reader.one(MANAGEMENT_ACCOUNT_ID);
        let exempt_accounts = reader.several(EXEMPT_ACCOUNT_IDS);
        let organizational_units = reader.several(ORGANIZATIONAL_UNIT_IDS);
        let days = reader.within(HOLD_BACK_KEYS_USED_WITHIN_DAYS, 0, 3_650);
        let queues = reader.together([QUEUE_URL, DEAD_LETTER_QUEUE_URL]);
        let queues = queues.map(|[own, dead_letters]| Queues { own, dead_letters });
        let window_end =
            reader.together([RECOVERY_QUEUE_ARN, RECOVERY_DEAD_LETTER_QUEUE_ARN, RECOVERY_SCHEDULE_ROLE_ARN]);
        let window_end =
            window_end.map(|[queue_arn, dead_letter_arn, role_arn]| WindowEnd { queue_arn, dead_letter_arn, role_arn });
        let state_table = reader.one(STATE_TABLE);
        let evidence_bucket = reader.one(EVIDENCE_BUCKET);
        let event_bus = reader.one(EVENT_BUS_NAME);
        let stack_name = reader.one(STACK_NAME);
        let function_name = (reader.lookup)("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
        let concurrency = reader.within(CONCURRENCY, 1, 200);
        let request_timeout = reader.within(REQUEST_TIMEOUT_MS, 10, 60_000);
        let retry_backoff = reader.within(RETRY_BACKOFF_MS, 0, 60_000);
        let settings = || {
            Some(Self {
                mode: mode?,
                scope: Scope { management_account: management_account?, exempt_accounts, organizational_units },
                hold_back: HoldBack { keys_used_within: Duration::from_hours(days? * 24), keys_created_before: None },
                queues,
                window_end,
                stores: Stores { state_table: state_table?, evidence_bucket: evidence_bucket?, event_bus: event_bus? },
                stack_name: stack_name?,
                function_name,
                concurrency: usize::try_from(concurrency?).ok()?,
                tuning: Tuning {
                    request_timeout: Duration::from_millis(request_timeout?),
                    retry_backoff: Duration::from_millis(retry_backoff?),
                },
            })
        };
        match settings() {
            Some(settings) if reader.problems.is_empty() => Ok(settings),
            _ => Err(InvalidSettings { problems: reader.problems }),
        }
    }
}

struct Reader<L> {
    lookup: L,
    problems: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    fn one<T: FromStr<Err: Display>>(&mut self, setting: Setting) -> Option<T> {
        let Some(text) = self.text(setting) else {
            self.problems.push(format!("`{}` is not set: {}", setting.name, setting.meaning));
            return None;
        };
        self.value(setting, text.trim())
    }

    /// Settings that are set together or not at all.
    fn together<T: FromStr<Err: Display>, const N: usize>(&mut self, settings: [Setting; N]) -> Option<[T; N]> {
        if settings.iter().all(|setting| self.text(*setting).is_none_or(|text| text.is_empty())) {
            return None;
        }
        let mut values = Vec::new();
        for setting in settings {
            match self.text(setting).filter(|text| !text.is_empty()) {
                Some(text) => values.extend(self.value(setting, text.trim())),
                None => self.problems.push(format!("`{}` is not set: {}", setting.name, setting.meaning)),
            }
        }
        values.try_into().ok()
    }

    fn several<T: FromStr<Err: Display> + Ord>(&mut self, setting: Setting) -> BTreeSet<T> {
        let text = self.text(setting).unwrap_or_default();
        let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        texts.filter_map(|text| self.value(setting, text)).collect()
    }

    fn within(&mut self, setting: Setting, least: u64, most: u64) -> Option<u64> {
        let value = self.one(setting)?;
        if (least..=most).contains(&value) {
            return Some(value);
        }
        self.problems.push(format!("`{}` is {value}: use {least} to {most}", setting.name));
        None
    }

    /// The value of the setting; one that is set to nothing is not set.
    fn text(&self, setting: Setting) -> Option<String> {
        let set = (self.lookup)(setting.name).filter(|text| !text.trim().is_empty());
        set.or_else(|| setting.default.map(str::to_owned))
    }

    fn value<T: FromStr<Err: Display>>(&mut self, setting: Setting, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(format!("`{}`: {error}", setting.name));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn parse(changes: &[(&str, &str)]) -> Result<Settings, InvalidSettings> {
        let mut values = BTreeMap::from([
            ("MODE", "Enforce"),
            ("MANAGEMENT_ACCOUNT_ID", "111122223333"),
            ("QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/222233334444/queue"),
            ("DEAD_LETTER_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/222233334444/dead-letters"),
            ("STATE_TABLE", "unroot-StateTable-EXAMPLE"),
            ("EVIDENCE_BUCKET", "unroot-evidencebucket-example"),
            ("EVENT_BUS_NAME", "unroot"),
            ("STACK_NAME", "unroot"),
        ]);
        values.extend(changes.iter().copied());
        Settings::parse(|name| values.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn settings_have_their_defaults() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.mode, Mode::Enforce);
        assert_eq!(settings.hold_back.keys_used_within, Duration::from_hours(14 * 24));
        assert_eq!(settings.concurrency, 64);
        assert!(settings.scope.exempt_accounts.is_empty() && settings.scope.organizational_units.is_empty());
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let settings = parse(&[("EXEMPT_ACCOUNT_IDS", "444455556666, 555566667777,")]).unwrap();
        assert_eq!(settings.scope.exempt_accounts.len(), 2);
    }

    #[test]
    fn what_belongs_together_is_set_together() {
        let without = parse(&[("QUEUE_URL", ""), ("DEAD_LETTER_QUEUE_URL", "")]).unwrap();
        assert_eq!((without.queues, without.window_end), (None, None));
        let problems =
            parse(&[("DEAD_LETTER_QUEUE_URL", ""), ("RECOVERY_QUEUE_ARN", "arn:aws:sqs:x")]).unwrap_err().problems;
        for (problem, expected) in problems.iter().zip([
            "`DEAD_LETTER_QUEUE_URL` is not set",
            "`RECOVERY_DEAD_LETTER_QUEUE_ARN` is not set",
            "`RECOVERY_SCHEDULE_ROLE_ARN` is not set",
        ]) {
            assert!(problem.starts_with(expected), "{problem}");
        }
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let changes = [
            ("MODE", "Destroy"),
            ("MANAGEMENT_ACCOUNT_ID", ""),
            ("EXEMPT_ACCOUNT_IDS", "444455556666,12"),
            ("CONCURRENCY", "0"),
            ("HOLD_BACK_KEYS_USED_WITHIN_DAYS", "-1"),
        ];
        let problems = parse(&changes).unwrap_err().problems;
        for (problem, expected) in problems.iter().zip([
            "`MODE`: `Destroy` is not a mode: use `Audit` or `Enforce`",
            "`MANAGEMENT_ACCOUNT_ID` is not set: the organization's management account",
            "`EXEMPT_ACCOUNT_IDS`: `12` is not an account id (twelve digits)",
            "`HOLD_BACK_KEYS_USED_WITHIN_DAYS`: invalid digit found in string",
            "`CONCURRENCY` is 0: use 1 to 200",
        ]) {
            assert!(problem.starts_with(expected), "{problem}");
        }
        assert_eq!(problems.len(), 5, "{problems:?}");
    }
}
