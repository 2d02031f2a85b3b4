//! Root activity: what an event says of somebody who used root, and what follows from it.
//!
//! `triage` is pure and is all that decides. Events only say where to look: whatever they claim, nothing is changed in an
//! account but by examining it.
//!
//! INVARIANT (never reacts to itself): a sign of a session that we opened, known by the id of its access key, leads to
//! nothing, whatever the event calls it. People have seen GuardDuty take root sessions for root's own credentials.

mod words;

use std::fmt;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::id::{AccessKeyId, AccountId};
use super::recovery_window::RecoveryWindow;
use super::task::TaskPolicy;

/// So long after a session was opened everyone can know that it is ours: the functions remember their sessions every ten
/// seconds, and before they end.
pub const SESSIONS_ARE_KNOWN_AFTER: Duration = Duration::seconds(30);

/// For so long after they last saw it people are not told again of what they know: a console session lasts no longer, and
/// GuardDuty, which looks at global services in each Region and repeats a finding that goes on every six hours, tells the
/// same many times (<https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings_eventbridge.html>).
pub const QUIET: Duration = Duration::hours(12);

/// A sign that somebody used the root user of an account, as one event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// Whose root user.
    pub account: AccountId,
    pub activity: Activity,
    pub observed: Observed,
}

/// What was done as root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A finding of GuardDuty. The same one comes again, with a higher count.
    Finding(FindingKind),
    /// Something on the sign-in page.
    SignIn(SignIn),
    /// A call with root's own credentials that puts credentials back.
    Call,
    /// The same by a root session: `sessionContext.assumedRoot` is `"true"`.
    RootSessionCall,
    /// A call of `AssumeRoot`, which opens a root session, or was refused.
    AssumeRoot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// `Policy:IAMUser/RootCredentialUsage`: root's own credentials.
    RootCredentialUsage,
    /// `Policy:IAMUser/ShortTermRootCredentialUsage`: a root session.
    ShortTermRootCredentialUsage,
    /// Any other whose access key is root's, as severe as GuardDuty says.
    Other(Severity),
}

/// The events of the sign-in page that are about a root user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    ConsoleLogin,
    PasswordRecoveryRequested,
    PasswordRecoveryCompleted,
    PasswordUpdated,
    EmailUpdated,
}

/// What an event says of itself and of who caused it. None of it is to be trusted: it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// The id that CloudTrail gave the event, or GuardDuty the finding.
    pub event_id: String,
    /// The name of the event, or the type of the finding.
    pub event_name: String,
    /// The source of the event, such as `aws.signin`.
    pub source: String,
    pub region: String,
    /// When it happened, the last time if it happened more often.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// When it happened first, if it happened more often.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub first: Option<OffsetDateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The call that a finding is about, such as `DescribeAlarms of monitoring.amazonaws.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip_address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_used: Option<bool>,
    /// The key that signed, or that `AssumeRoot` gave out. Its prefix tells nothing: a console session of root has `ASIA`
    /// too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<AccessKeyId>,
    /// Who called `AssumeRoot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The task for which `AssumeRoot` was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskPolicy>,
    /// How often it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Success,
    Failure,
}

/// What is known of an account of which there is a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    ManagementAccount,
    NotInOrganization,
    Member {
        window: Option<RecoveryWindow>,
    },
    /// It could not be looked up, or nobody had to.
    Unknown,
}

/// What is known when a sign is to be told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether its access key is that of a session that we opened.
    pub is_own_session: bool,
    /// Whether `SESSIONS_ARE_KNOWN_AFTER` has passed since it happened.
    pub has_waited: bool,
    pub standing: Standing,
}

/// What a sign means, and so what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Triage {
    /// We opened the session: nothing follows.
    OwnSession,
    /// Somebody else used `AssumeRoot`: people are told.
    ForeignSession,
    /// Somebody used root where nobody can take it away from here: people are told.
    ManagementAccount,
    /// An account that is not ours: people are told.
    OutsideOrganization,
    /// GuardDuty found something else about root: people are told.
    OtherFinding,
    /// The owner of the account was given the time to use root: people can read of it.
    RecoveryWindow,
    /// Somebody used root: the account is examined at once, and people are told.
    RootUsage,
}

/// How soon somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

/// What the signs about one account come to that mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub account: AccountId,
    /// Not known where AWS was not asked, or did not say.
    pub account_name: Option<String>,
    pub triage: Triage,
    /// The recovery window that is open.
    pub window: Option<RecoveryWindow>,
    /// At least one.
    pub signs: Vec<Sign>,
}

/// Decides what a sign means; `None` if it may be a session of ours that is not yet remembered: then it is to be asked
/// again after `SESSIONS_ARE_KNOWN_AFTER`.
pub fn triage(sign: &Sign, facts: &Facts) -> Option<Triage> {
    let Facts { is_own_session, has_waited, standing } = facts;
    if *is_own_session {
        return Some(Triage::OwnSession);
    }
    if sign.observed.access_key_id.is_some() && !has_waited {
        return None;
    }
    Some(match (&sign.activity, standing) {
        (
            Activity::RootSessionCall
            | Activity::AssumeRoot
            | Activity::Finding(FindingKind::ShortTermRootCredentialUsage),
            _,
        ) => Triage::ForeignSession,
        (_, Standing::ManagementAccount) => Triage::ManagementAccount,
        (_, Standing::NotInOrganization) => Triage::OutsideOrganization,
        (Activity::Finding(FindingKind::Other(_)), _) => Triage::OtherFinding,
        // What began before the window was opened is not what it was opened for.
        (_, Standing::Member { window: Some(window) }) if sign.observed.began() >= window.opened => {
            Triage::RecoveryWindow
        }
        // An account that could not be looked up is not one where nothing is to be done.
        (_, Standing::Member { .. } | Standing::Unknown) => Triage::RootUsage,
    })
}

impl Triage {
    pub const ALL: [Self; 7] = [
        Self::OwnSession,
        Self::ForeignSession,
        Self::ManagementAccount,
        Self::OutsideOrganization,
        Self::OtherFinding,
        Self::RecoveryWindow,
        Self::RootUsage,
    ];
}

impl fmt::Display for Triage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl SignIn {
    pub const ALL: [Self; 5] = [
        Self::ConsoleLogin,
        Self::PasswordRecoveryRequested,
        Self::PasswordRecoveryCompleted,
        Self::PasswordUpdated,
        Self::EmailUpdated,
    ];

    /// AWS's own name of the event.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsoleLogin => "ConsoleLogin",
            Self::PasswordRecoveryRequested => "PasswordRecoveryRequested",
            Self::PasswordRecoveryCompleted => "PasswordRecoveryCompleted",
            Self::PasswordUpdated => "PasswordUpdated",
            Self::EmailUpdated => "EmailUpdated",
        }
    }
}

impl Severity {
    /// As GuardDuty's number means it
    /// (<https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings-severity.html>).
    pub fn of_finding(severity: f64) -> Self {
        match severity {
            severity if severity < 4.0 => Self::Low,
            severity if severity < 7.0 => Self::Medium,
            severity if severity < 9.0 => Self::High,
            _ => Self::Critical,
        }
    }
}

impl Observed {
    /// When it happened for the first time.
    pub fn began(&self) -> OffsetDateTime {
        self.first.unwrap_or(self.at)
    }
}

impl Sign {
    /// Whether somebody got in who may have made himself a key: then those that were created since are his.
    pub fn shows_an_intruder(&self) -> bool {
        matches!(self.activity, Activity::SignIn(_) | Activity::Call) && !self.is_attempt()
    }

    pub fn severity(&self, triage: Triage) -> Severity {
        match (triage, &self.activity) {
            (Triage::OwnSession | Triage::RecoveryWindow, _) => Severity::Informational,
            (Triage::ManagementAccount, _) => Severity::Critical,
            (Triage::OtherFinding, Activity::Finding(FindingKind::Other(severity))) => *severity,
            (Triage::OtherFinding | Triage::OutsideOrganization, _) => Severity::Medium,
            (Triage::ForeignSession, _) if self.is_attempt() => Severity::Low,
            (Triage::ForeignSession, _) => match self.observed.task {
                Some(TaskPolicy::IamAuditRootUserCredentials) => Severity::Low,
                Some(TaskPolicy::IamDeleteRootUserCredentials) | None => Severity::Medium,
                Some(
                    TaskPolicy::IamCreateRootUserPassword
                    | TaskPolicy::S3UnlockBucketPolicy
                    | TaskPolicy::SqsUnlockQueuePolicy,
                ) => Severity::High,
            },
            (Triage::RootUsage, _) if self.is_attempt() => Severity::Medium,
            (Triage::RootUsage, _) => Severity::High,
        }
    }

    /// Whether it came to nothing, as far as the event says.
    fn is_attempt(&self) -> bool {
        self.observed.outcome == Some(Outcome::Failure)
            || self.activity == Activity::SignIn(SignIn::PasswordRecoveryRequested)
    }

    /// What of it people know once they were told: who knows one of these, as something as severe, knows the sign.
    pub fn known_by(&self) -> Vec<String> {
        let Observed { event_id, event_name, source_ip_address, access_key_id, principal, task, outcome, .. } =
            &self.observed;
        let address = source_ip_address.as_deref().unwrap_or("an unknown address");
        // One use of root is seen by GuardDuty in each Region, and on the sign-in page before.
        let usage = || format!("root used from {address}");
        let session = || access_key_id.as_ref().map(|id| format!("session {id}"));
        match &self.activity {
            // From somewhere else it is somebody else, though GuardDuty may count it as the same.
            Activity::Finding(kind) => {
                let also = match kind {
                    FindingKind::RootCredentialUsage => Some(usage()),
                    FindingKind::ShortTermRootCredentialUsage => session(),
                    FindingKind::Other(_) => None,
                };
                [format!("finding {event_id} from {address}")].into_iter().chain(also).collect()
            }
            // Anyone can try, from any address and as often as he likes.
            Activity::SignIn(_) if self.is_attempt() => vec![format!("{event_name} {outcome:?}")],
            Activity::SignIn(SignIn::ConsoleLogin) => vec![usage()],
            // What it put back counts, whoever is known to be there.
            Activity::SignIn(_) | Activity::Call => vec![format!("{event_name} {outcome:?} from {address}")],
            Activity::RootSessionCall => session().into_iter().collect(),
            Activity::AssumeRoot => {
                let task = task.map_or("an unknown task", TaskPolicy::name);
                let principal = principal.as_deref().unwrap_or("an unknown principal");
                let call = format!("AssumeRoot {outcome:?} for {task} by {principal}");
                [call].into_iter().chain(session()).collect()
            }
        }
    }
}

impl Sighting {
    /// That of its most severe sign.
    pub fn severity(&self) -> Severity {
        let severities = self.signs.iter().map(|sign| sign.severity(self.triage));
        severities.max().unwrap_or(Severity::Informational)
    }

    /// Whether people should have a message.
    pub fn is_to_be_notified(&self) -> bool {
        self.severity() > Severity::Informational
    }

    /// When it began.
    pub fn since(&self) -> Option<OffsetDateTime> {
        self.signs.iter().map(|sign| sign.observed.began()).min()
    }

    /// The signs, the most severe first, the latest of several that are as severe.
    pub fn by_severity(&self) -> Vec<&Sign> {
        let mut signs: Vec<_> = self.signs.iter().collect();
        signs.sort_by_key(|sign| std::cmp::Reverse((sign.severity(self.triage), sign.observed.at)));
        signs
    }
}

#[cfg(test)]
mod tests;
