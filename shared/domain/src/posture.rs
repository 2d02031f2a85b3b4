//! The posture of an account: what Unroot remembers of it from one look to the next, and what is worth an alert.
//!
//! `Posture::after` is all the memory there is: a pure function of what was remembered and what was seen. Whoever writes
//! its result, and however often, comes to the same.

mod activity;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::alert::{Alert, AlertAccount, AlertDetail, DetailType, in_one_line, to_the_second};
use super::credentials::RootCredentials;
use super::failure::{Cause, Recovery};
use super::id::AccountId;
use super::plan::{DeletionStep, in_words};
use super::record::{AccountRecord, SCHEMA_VERSION, Verdict};
use super::request::Mode;
use super::root_activity::Severity;
use super::trigger::Trigger;

/// What is remembered of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Posture {
    pub account_id: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    pub verdict: Verdict,
    /// Why the verdict is `Failed` or `Unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when the account is in this state, whatever was seen again meanwhile.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// When the account was looked at last.
    #[serde(with = "time::serde::rfc3339")]
    pub examined: OffsetDateTime,
    pub run: String,
    pub trigger: Trigger,
    /// What the account was read to have, the last time that it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Reading>,
    /// What was found the last time that there was something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_found: Option<Reading>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_removal: Option<Removal>,
    /// What a deletion was sent for and was not read to be gone since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempted: Vec<DeletionStep>,
    /// What people know of root activity in the account, and until when they need not be told again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub known_activity: BTreeMap<String, KnownActivity>,
    /// Alerts that are not known to be sent. They are kept with what caused them, so that neither is without the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsent: Vec<Alert>,
}

/// Something that people were told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownActivity {
    /// As which they know it.
    pub severity: Severity,
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
}

/// Root credentials and when they were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub credentials: RootCredentials,
}

/// What was deleted, as it was before, and by which run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub run: String,
    pub trigger: Trigger,
    pub removed: Vec<DeletionStep>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<RootCredentials>,
}

/// On whose behalf accounts are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: String,
    pub trigger: Trigger,
    pub mode: Mode,
}

/// The state of an account for which `since` is kept: two looks with the same one are no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `Stripped` today is `Clean` tomorrow.
    NoCredentials,
    CredentialsPresent,
    Failed(Option<Cause>),
    Unknown(Option<Cause>),
    NotCovered,
}

impl State {
    fn of(verdict: Verdict, cause: Option<Cause>) -> Self {
        match verdict {
            Verdict::Clean | Verdict::Stripped => Self::NoCredentials,
            Verdict::CredentialsPresent => Self::CredentialsPresent,
            Verdict::Failed => Self::Failed(cause),
            Verdict::Unknown => Self::Unknown(cause),
            Verdict::NotCovered => Self::NotCovered,
        }
    }
}

impl Posture {
    /// The posture once the record is known, its new alerts among the unsent.
    ///
    /// A record that is older than what is remembered changes nothing, but what it removed is told all the same. A record
    /// that is remembered already changes nothing at all.
    pub fn after(previous: Option<&Self>, record: &AccountRecord, run: &Run) -> Self {
        match previous {
            Some(previous) if record.examined <= previous.examined => previous.with_late(record, run),
            _ => Self::with_new(previous, record, run),
        }
    }

    fn with_new(previous: Option<&Self>, record: &AccountRecord, run: &Run) -> Self {
        let cause = record.failure.as_ref().map(|failure| failure.cause);
        let state = State::of(record.verdict, cause);
        let before = previous.and_then(Self::state);
        let read = record
            .holds()
            .or_else(|| record.found.clone())
            .map(|credentials| Reading { at: record.examined, credentials });
        let removed = removed(previous, record);
        let removal = (!removed.is_empty()).then(|| Removal::new(previous, record, run, removed.clone()));
        let mut posture = Self {
            account_id: record.account_id.clone(),
            account_name: record.account_name.clone().or_else(|| previous?.account_name.clone()),
            verdict: record.verdict,
            cause,
            reason: record.reason.clone(),
            since: previous.filter(|_| before == Some(state)).map_or(record.examined, |previous| previous.since),
            examined: record.examined,
            run: run.id.clone(),
            trigger: run.trigger,
            holds: read.or_else(|| previous?.holds.clone()),
            last_found: found(record).or_else(|| previous?.last_found.clone()),
            last_removal: removal.or_else(|| previous?.last_removal.clone()),
            attempted: still_attempted(previous, record),
            known_activity: previous.map(|previous| previous.known_activity.clone()).unwrap_or_default(),
            unsent: previous.map(|previous| previous.unsent.clone()).unwrap_or_default(),
        };
        if let Some(detail_type) = change(previous, record, &removed) {
            let alert = posture.alert(detail_type, previous, record, removed, run);
            posture.unsent.push(alert);
        }
        posture
    }

    /// Somebody looked at the account later and was faster to say so.
    fn with_late(&self, record: &AccountRecord, run: &Run) -> Self {
        let removed = self.not_yet_told(record.began, record.removed.clone());
        if removed.is_empty() {
            return self.clone();
        }
        let alert = self.alert(DetailType::Deleted, None, record, removed.clone(), run);
        let mut posture = self.clone();
        posture.last_removal = Some(Removal::new(None, record, run, removed));
        posture.unsent.push(alert);
        posture
    }

    /// Without what somebody else, who looked at the same time, has said to be removed: one of both did it.
    fn not_yet_told(&self, began: OffsetDateTime, removed: Vec<DeletionStep>) -> Vec<DeletionStep> {
        let told = self.last_removal.as_ref().filter(|removal| removal.at >= began);
        let is_told = |step: &DeletionStep| told.is_some_and(|told| told.removed.contains(step));
        removed.into_iter().filter(|step| !is_told(step)).collect()
    }

    /// `None` if nobody has looked yet: only root activity was heard of.
    fn state(&self) -> Option<State> {
        let is_examined = self.examined > OffsetDateTime::UNIX_EPOCH;
        is_examined.then(|| State::of(self.verdict, self.cause))
    }

    /// Whether the account was read to have no root credentials, the last time that it could be read before that.
    fn was_clean_before(&self, at: OffsetDateTime) -> bool {
        self.holds.as_ref().is_some_and(|holds| holds.at < at && holds.credentials.is_empty())
    }

    fn alert(
        &self,
        detail_type: DetailType,
        previous: Option<&Self>,
        record: &AccountRecord,
        removed: Vec<DeletionStep>,
        run: &Run,
    ) -> Alert {
        let name = in_one_line(self.account_name.as_deref().unwrap_or_default());
        let account = AlertAccount { id: self.account_id.clone(), name };
        let reappeared =
            record.found.is_some() && previous.is_some_and(|previous| previous.was_clean_before(record.began));
        let words = account.words();
        let headline = match (detail_type, reappeared) {
            (DetailType::Found, false) => format!("Root credentials found in {words}"),
            (DetailType::Found, true) => format!("Root credentials are back in {words}"),
            (DetailType::Deleted, false) => format!("Root credentials deleted in {words}"),
            (DetailType::Deleted, true) => format!("Root credentials were back in {words} and are deleted"),
            (DetailType::DeletionFailed, _) => format!("Root credentials not deleted in {words}"),
            (
                DetailType::NotVerified
                | DetailType::RootActivity
                | DetailType::TaskPerformed
                | DetailType::AuditCompleted,
                _,
            ) => {
                format!("Root credentials not verified in {words}")
            }
        };
        let detail = AlertDetail {
            schema_version: SCHEMA_VERSION,
            id: alert_id(&self.account_id, record.examined, detail_type),
            account,
            headline,
            description: in_one_line(&describe(record, &removed)),
            remedy: in_one_line(&remedy(detail_type, record, reappeared)),
            since: to_the_second(self.since),
            // The message about the end of a recovery window says it too.
            notify: !(detail_type == DetailType::Deleted && run.trigger == Trigger::WindowEnded),
            run: run.id.clone(),
            trigger: run.trigger,
            mode: run.mode,
            verdict: Some(record.verdict),
            examined: to_the_second(record.examined),
            reappeared,
            failure: record.failure.clone(),
            found: record.found.clone(),
            removed,
            attempted: record.attempted.clone(),
            held_back: record.held_back.clone(),
            severity: None,
            activity: None,
            task: None,
        };
        Alert { detail_type, detail }
    }
}

impl Removal {
    fn new(previous: Option<&Posture>, record: &AccountRecord, run: &Run, removed: Vec<DeletionStep>) -> Self {
        let found = record.found.clone().or_else(|| Some(previous?.last_found.as_ref()?.credentials.clone()));
        Self { at: record.examined, run: run.id.clone(), trigger: run.trigger, removed, found }
    }
}

fn found(record: &AccountRecord) -> Option<Reading> {
    let credentials = record.found.clone()?;
    Some(Reading { at: record.examined, credentials })
}

/// The same for the same look at the account, whoever sends it and however often.
fn alert_id(account: &AccountId, examined: OffsetDateTime, detail_type: DetailType) -> String {
    let milliseconds = examined.unix_timestamp_nanos() / 1_000_000;
    format!("{account}/{milliseconds}/{}", detail_type.as_str().replace(' ', ""))
}

/// What is read to be gone: what this record says, and what an earlier deletion was sent for that nobody could read
/// until now.
fn removed(previous: Option<&Posture>, record: &AccountRecord) -> Vec<DeletionStep> {
    let removed = record.removed.clone();
    let mut removed = match previous {
        Some(previous) => previous.not_yet_told(record.began, removed),
        None => removed,
    };
    if let (Some(previous), Some(_)) = (previous, record.holds()) {
        let present = record.found.clone().unwrap_or_default();
        let is_new = |step: &&DeletionStep| !present.has(step) && !record.removed.contains(step);
        removed.extend(previous.attempted.iter().filter(is_new).cloned());
    }
    removed
}

fn still_attempted(previous: Option<&Posture>, record: &AccountRecord) -> Vec<DeletionStep> {
    let mut attempted = record.attempted.clone();
    if let (Some(previous), None) = (previous, record.holds()) {
        attempted.extend(previous.attempted.iter().filter(|step| !record.attempted.contains(step)).cloned());
    }
    attempted
}

/// What people should be told, if anything: what is new, not what is seen again.
fn change(previous: Option<&Posture>, record: &AccountRecord, removed: &[DeletionStep]) -> Option<DetailType> {
    let cause = record.failure.as_ref().map(|failure| failure.cause);
    let before = previous.and_then(Posture::state);
    let is_new_state = before != Some(State::of(record.verdict, cause));
    let known = previous.and_then(|previous| previous.holds.as_ref()).map(|holds| &holds.credentials);
    let has_new = record.found.as_ref().is_some_and(|found| {
        let mut steps = found.deletions();
        steps.any(|step| !known.is_some_and(|known| known.has(&step)))
    });
    match record.verdict {
        Verdict::Clean | Verdict::Stripped => (!removed.is_empty()).then_some(DetailType::Deleted),
        Verdict::CredentialsPresent if !removed.is_empty() => Some(DetailType::Deleted),
        Verdict::CredentialsPresent => has_new.then_some(DetailType::Found),
        Verdict::Failed => (is_new_state || has_new || !removed.is_empty()).then_some(DetailType::DeletionFailed),
        Verdict::Unknown => {
            let was_unknown = matches!(before, Some(State::Unknown(_)));
            // Causes that pass come and go; one that a person must mend is news even where there was another before.
            let needs_a_person = cause.is_some_and(|cause| cause.recovery() == Recovery::Person);
            let is_news = !was_unknown || (is_new_state && needs_a_person) || !record.attempted.is_empty();
            is_news.then_some(DetailType::NotVerified)
        }
        Verdict::NotCovered => None,
    }
}

fn describe(record: &AccountRecord, removed: &[DeletionStep]) -> String {
    let mut sentences = Vec::new();
    if let Some(found) = &record.found {
        sentences.push(format!("found: {}", found.words()));
    }
    if !removed.is_empty() {
        sentences.push(format!("deleted: {}", in_words(removed)));
    }
    if !record.attempted.is_empty() {
        sentences.push(format!("deletions were sent, but not read to have been done: {}", in_words(&record.attempted)));
    }
    if let Some(left) = record.left.as_ref().filter(|left| !left.is_empty()) {
        sentences.push(format!("left: {}", left.words()));
    }
    sentences.extend(record.reason.clone());
    sentences.extend(record.failure.as_ref().map(ToString::to_string));
    sentences.join("; ")
}

fn remedy(detail_type: DetailType, record: &AccountRecord, reappeared: bool) -> String {
    let own = record.remedy.clone();
    let find_out = "find out who created them: CloudTrail of the account, in us-east-1, shows CreateLoginProfile, \
                    CreateAccessKey, UploadSigningCertificate and EnableMFADevice by its root user";
    match detail_type {
        DetailType::Found | DetailType::Deleted if reappeared => find_out.to_owned(),
        DetailType::Deleted => own.unwrap_or_else(|| "nothing".to_owned()),
        DetailType::Found => own.unwrap_or_else(|| "deploy with Mode=Enforce to have them deleted".to_owned()),
        DetailType::DeletionFailed
        | DetailType::NotVerified
        | DetailType::RootActivity
        | DetailType::TaskPerformed
        | DetailType::AuditCompleted => own.unwrap_or_else(|| "look into the log of the function".to_owned()),
    }
}

#[cfg(test)]
mod tests;
