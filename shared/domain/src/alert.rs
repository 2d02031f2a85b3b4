//! What Unroot tells the world: the events that it puts on its bus, in words that a person understands.
//!
//! The JSON of a detail is an interface, `shared/schemas/` describes it. An event may come more than once, with the same
//! `id`: EventBridge delivers at least once, and so does who sends.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::account::Account;
use super::credentials::RootCredentials;
use super::failure::Failure;
use super::id::{AccountId, OrganizationId};
use super::plan::{DeletionStep, HeldBack, in_words};
use super::posture::Run;
use super::record::{AccountRecord, AuditReport, SCHEMA_VERSION, Totals, Verdict};
use super::request::{Mode, Selection};
use super::root_activity::{Observed, Severity, Triage};
use super::trigger::Trigger;

/// The source of all events of Unroot.
pub const SOURCE: &str = "unroot";

/// What an event is about, by its detail type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DetailType {
    /// Root credentials are there that were not there before, or not known.
    #[serde(rename = "Root Credentials Found")]
    Found,
    /// Root credentials were deleted, and are read to be gone.
    #[serde(rename = "Root Credentials Deleted")]
    Deleted,
    /// Root credentials are there that should have been deleted.
    #[serde(rename = "Root Credentials Deletion Failed")]
    DeletionFailed,
    /// Nobody knows whether there are root credentials: the account could not be read.
    #[serde(rename = "Root Credentials Not Verified")]
    NotVerified,
    /// Somebody used root, or a root session that is not ours.
    #[serde(rename = "Root Activity Detected")]
    RootActivity,
    /// An operator had something done as root.
    #[serde(rename = "Root Task Performed")]
    TaskPerformed,
    /// An audit came to its end.
    #[serde(rename = "Root Access Audit Completed")]
    AuditCompleted,
}

/// A change of an account that people should know about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    pub detail_type: DetailType,
    pub detail: AlertDetail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertDetail {
    pub schema_version: u32,
    /// The same whenever this alert is sent: who has seen it can drop it.
    pub id: String,
    pub account: AlertAccount,
    pub headline: String,
    pub description: String,
    /// What a person should do.
    pub remedy: String,
    /// Since when the account is in this state.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Whether the event is worth a message of its own; else the message about the whole audit counts it.
    pub notify: bool,
    pub run: String,
    pub trigger: Trigger,
    pub mode: Mode,
    /// Absent where the account was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// When the account was looked at, or what the event said of it.
    #[serde(with = "time::serde::rfc3339")]
    pub examined: OffsetDateTime,
    /// Whether the account was read to have no root credentials before.
    pub reappeared: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<RootCredentials>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<DeletionStep>,
    /// What a deletion was sent for and is not read to be gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempted: Vec<DeletionStep>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_back: Vec<HeldBack>,
    /// How soon somebody should look, of root activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<ActivityDetail>,
    /// What an operator had done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<PerformedTask>,
}

/// What an operator had done as root, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerformedTask {
    pub action: TaskAction,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The id of Lambda's request.
    pub request_id: String,
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub window_ends: Option<OffsetDateTime>,
    /// The bucket or queue, by its ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Where the policy lies that was there, such as `s3://bucket/policies/..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_policy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskAction {
    RecoveryOpened,
    RecoveryExtended,
    RecoveryClosed,
    /// The window should have been closed before, and nobody did.
    RecoveryOverdue,
    BucketPolicyRemoved,
    BucketPolicyReplaced,
    QueuePolicyRemoved,
    QueuePolicyReplaced,
}

/// Root activity as a message says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityDetail {
    pub kind: Triage,
    pub signs: Vec<Observed>,
}

/// An account as a message names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertAccount {
    pub id: AccountId,
    /// Empty where AWS did not say.
    pub name: String,
}

/// The end of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditCompletedDetail {
    pub schema_version: u32,
    /// The same whenever this event is sent: the run.
    pub id: String,
    pub headline: String,
    pub description: String,
    pub remedy: String,
    /// When the audit began.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub finished: OffsetDateTime,
    /// Whether there is something in it that no other message says.
    pub notify: bool,
    pub run: String,
    pub trigger: Trigger,
    pub mode: Mode,
    pub organization: OrganizationId,
    pub selection: Selection,
    pub totals: Totals,
    pub alerts: AlertCounts,
    /// Where the report for people lies, such as `s3://bucket/audits/2026/11/20/060000-run/report.html`.
    pub report: String,
}

/// How many alerts an audit raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertCounts {
    pub raised: u64,
    /// Those that have no message of their own.
    pub not_notified: u64,
}

impl DetailType {
    pub const ALL: [Self; 7] = [
        Self::Found,
        Self::Deleted,
        Self::DeletionFailed,
        Self::NotVerified,
        Self::RootActivity,
        Self::TaskPerformed,
        Self::AuditCompleted,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "Root Credentials Found",
            Self::Deleted => "Root Credentials Deleted",
            Self::DeletionFailed => "Root Credentials Deletion Failed",
            Self::NotVerified => "Root Credentials Not Verified",
            Self::RootActivity => "Root Activity Detected",
            Self::TaskPerformed => "Root Task Performed",
            Self::AuditCompleted => "Root Access Audit Completed",
        }
    }
}

impl From<&Account> for AlertAccount {
    fn from(account: &Account) -> Self {
        Self { id: account.id.clone(), name: in_one_line(&account.name) }
    }
}

impl AlertAccount {
    /// `webshop (444455556666)`
    pub fn words(&self) -> String {
        if self.name.is_empty() { self.id.to_string() } else { format!("{} ({})", self.name, self.id) }
    }
}

impl AlertDetail {
    /// What is told of a task; the record is that of the look at the account, if it was looked at.
    pub fn of_task(
        account: AlertAccount,
        task: PerformedTask,
        record: Option<&AccountRecord>,
        run: &Run,
        now: OffsetDateTime,
    ) -> Self {
        let words = account.words();
        let resource = task.resource.as_deref().unwrap_or_default();
        let headline = match task.action {
            TaskAction::RecoveryOpened => format!("Root password recovery is open in {words}"),
            TaskAction::RecoveryExtended => format!("Root password recovery is open longer in {words}"),
            TaskAction::RecoveryClosed => format!("Root password recovery is closed in {words}"),
            TaskAction::RecoveryOverdue => format!("Root password recovery was not closed in time in {words}"),
            TaskAction::BucketPolicyRemoved | TaskAction::QueuePolicyRemoved => {
                format!("Policy of {resource} removed in {words}")
            }
            TaskAction::BucketPolicyReplaced | TaskAction::QueuePolicyReplaced => {
                format!("Policy of {resource} replaced in {words}")
            }
        };
        let mut description = vec![format!("reason: {}", task.reason)];
        description.extend(task.ticket.iter().map(|ticket| format!("ticket {ticket}")));
        let is_overdue = task.action == TaskAction::RecoveryOverdue;
        description.extend(task.window_ends.map(minute).map(|ends| {
            if is_overdue {
                format!("it should have ended {ends}, and is closed now")
            } else {
                format!("its end is set for {ends}")
            }
        }));
        description.extend(task.saved_policy.iter().map(|saved| format!("the policy that was there: {saved}")));
        description.extend(record.map(|record| format!("the account is {}", record.verdict)));
        let removed = record.map(|record| record.removed.clone()).unwrap_or_default();
        if !removed.is_empty() {
            description.push(format!("deleted: {}", in_words(&removed)));
        }
        Self {
            schema_version: SCHEMA_VERSION,
            id: format!("{}/{}/{:?}", account.id, task.request_id, task.action),
            headline: in_one_line(&headline),
            account,
            description: in_one_line(&description.join("; ")),
            remedy: if is_overdue {
                "look into the dead-letter queue and the log of password-recovery: why did it not close the window?"
            } else {
                "nothing, if you know of it; else ask who may invoke the function"
            }
            .to_owned(),
            since: to_the_second(now),
            notify: true,
            run: run.id.clone(),
            trigger: run.trigger,
            mode: run.mode,
            verdict: record.map(|record| record.verdict),
            examined: to_the_second(now),
            reappeared: false,
            failure: None,
            found: record.and_then(|record| record.found.clone()),
            removed,
            attempted: record.map(|record| record.attempted.clone()).unwrap_or_default(),
            held_back: record.map(|record| record.held_back.clone()).unwrap_or_default(),
            severity: None,
            activity: None,
            task: Some(task),
        }
    }
}

impl AuditCompletedDetail {
    /// Puts what the numbers say into words. `is_news` is an audit that is worth a message whatever it says.
    pub fn new(report: &AuditReport, alerts: AlertCounts, is_news: bool, location: String) -> Self {
        let totals = &report.totals;
        let without = totals.of(Verdict::Clean) + totals.of(Verdict::Stripped);
        let unclean = [
            (Verdict::CredentialsPresent, "with root credentials"),
            (Verdict::Failed, "where root credentials could not be deleted"),
            (Verdict::Unknown, "that could not be read"),
            (Verdict::NotCovered, "not covered"),
        ];
        let unclean = unclean.into_iter().filter(|(verdict, _)| totals.of(*verdict) > 0);
        let unclean: Vec<_> = unclean.map(|(verdict, words)| format!("{} {words}", totals.of(verdict))).collect();
        let removed = totals.removed.total();
        let mut description = vec![match unclean.as_slice() {
            [] => "Each of them was read in this audit".to_owned(),
            unclean => format!("The others: {}", unclean.join(", ")),
        }];
        if removed > 0 {
            description.push(format!("{removed} credentials were deleted"));
        }
        if alerts.not_notified > 0 {
            description
                .push(format!("{} of {} changes have no message of their own", alerts.not_notified, alerts.raised));
        }
        let to_do = totals.of(Verdict::CredentialsPresent) + totals.of(Verdict::Failed) + totals.of(Verdict::Unknown);
        let remedy = if to_do == 0 { "nothing" } else { "read report.html: it has a remedy for each of them" };
        Self {
            schema_version: SCHEMA_VERSION,
            id: report.run.clone(),
            headline: format!("{without} of {} accounts hold no root credentials", totals.accounts),
            description: description.join(". "),
            remedy: remedy.to_owned(),
            since: to_the_second(report.started),
            finished: report.finished,
            notify: is_news || alerts.not_notified > 0,
            run: report.run.clone(),
            trigger: report.trigger,
            mode: report.mode,
            organization: report.organization.clone(),
            selection: report.selection.clone(),
            totals: totals.clone(),
            alerts,
            report: location,
        }
    }
}

/// As people read a time: `2026-11-20 12:00 UTC`.
pub fn minute(at: OffsetDateTime) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    at.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default()
}

/// As it stands in an event.
pub fn to_the_second(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(0).unwrap_or(at)
}

/// The text on one line, without double quotes and backslashes: EventBridge puts it as it is between quotes, in a line of
/// a mail or in JSON, and who named an account could otherwise write lines of his own. Nor has it angle brackets, which are
/// links and mentions in Slack.
pub fn in_one_line(text: &str) -> String {
    const LONGEST: usize = 600;
    let safe = text.chars().map(|letter| match letter {
        '"' => '\'',
        '\\' => '/',
        '<' => '‹',
        '>' => '›',
        letter if letter.is_control() || is_unseen(letter) => ' ',
        letter => letter,
    });
    let mut line: String = safe.clone().take(LONGEST).collect();
    if safe.count() > LONGEST {
        line.push('…');
    }
    line
}

/// Separators of lines and paragraphs, and what changes the direction of a text or has no width: with them a text reads
/// otherwise than it is.
fn is_unseen(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_leave_its_line_or_its_quotes() {
        assert_eq!(in_one_line("a\"b\nc\r\td\u{2028}e\\n<!channel>\u{202e}f"), "a'b c  d e/n‹!channel› f");
        assert_eq!(in_one_line(&"x".repeat(700)).chars().count(), 601);
    }

    #[test]
    fn a_detail_type_is_written_as_it_is_named() {
        for detail_type in DetailType::ALL {
            assert_eq!(serde_json::to_value(detail_type).unwrap(), detail_type.as_str());
        }
    }
}
