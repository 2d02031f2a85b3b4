//! Root activity in the posture: it is told once, with what the look at the account came to.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::{KnownActivity, Posture, Run, describe};
use crate::alert::{ActivityDetail, Alert, AlertAccount, AlertDetail, DetailType, in_one_line, to_the_second};
use crate::id::AccountId;
use crate::record::{AccountRecord, SCHEMA_VERSION, Verdict};
use crate::root_activity::{Observed, QUIET, Severity, Sighting, Sign, Triage};

/// More keys of what people know are not remembered: those that are forgotten first would have been soon.
const MOST_KNOWN: usize = 100;

/// More signs of one severity within that time have no message of their own: people know that it goes on.
const MOST_MESSAGES: usize = 20;

/// More signs stand in the log alone: the alert is kept in an item, and sent in an event.
const MOST_SIGNS: usize = 20;

impl Posture {
    /// The posture once people must know of root activity. The record is that of the look at the account, if it was
    /// looked at for this.
    ///
    /// Activity that people know of already is no news, and changes nothing but what the record does.
    pub fn after_activity(
        previous: Option<&Self>,
        sighting: &Sighting,
        record: Option<&AccountRecord>,
        run: &Run,
        now: OffsetDateTime,
    ) -> Self {
        let mut posture = match (record, previous) {
            (Some(record), previous) => Self::after(previous, record, run),
            (None, Some(previous)) => previous.clone(),
            (None, None) => Self::never_examined(&sighting.account, sighting.account_name.clone(), run, now),
        };
        posture.known_activity.retain(|_, known| known.until > now);
        let news = posture.news(sighting);
        if let Some(first) = news.first() {
            // One message says it all.
            let unsent_before = previous.map_or(0, |previous| previous.unsent.len());
            let is_notified = sighting.is_to_be_notified() && posture.is_worth_a_message(sighting.severity());
            for alert in posture.unsent.iter_mut().skip(unsent_before) {
                alert.detail.notify = alert.detail.notify && !is_notified;
            }
            let alert = posture.activity_alert(sighting, first, is_notified, record, run, now);
            posture.unsent.push(alert);
        }
        for sign in &sighting.signs {
            let severity = sign.severity(sighting.triage);
            for key in sign.known_by() {
                let known = posture.known_activity.entry(key).or_insert(KnownActivity { severity, until: now });
                *known = KnownActivity { severity: known.severity.max(severity), until: now + QUIET };
            }
        }
        posture.forget_what_is_too_much();
        posture
    }

    /// The signs that nobody knows as something as severe, the most severe first. Nobody is told of our own sessions.
    fn news<'a>(&self, sighting: &'a Sighting) -> Vec<&'a Sign> {
        if sighting.triage == Triage::OwnSession {
            return Vec::new();
        }
        let is_known = |sign: &Sign| {
            let severity = sign.severity(sighting.triage);
            let known_by = sign.known_by();
            known_by.iter().filter_map(|key| self.known_activity.get(key)).any(|known| known.severity >= severity)
        };
        sighting.by_severity().into_iter().filter(|sign| !is_known(sign)).collect()
    }

    /// Whoever comes from ever new addresses is not a mail each time.
    fn is_worth_a_message(&self, severity: Severity) -> bool {
        self.known_activity.values().filter(|known| known.severity >= severity).count() < MOST_MESSAGES
    }

    /// The posture once people must know of a task; nothing else of it changes.
    pub fn after_task(previous: Option<&Self>, task: &Alert, run: &Run, now: OffsetDateTime) -> Self {
        let AlertAccount { id, name } = &task.detail.account;
        let never_examined = || Self::never_examined(id, Some(name.clone()), run, now);
        let mut posture = previous.cloned().unwrap_or_else(never_examined);
        if !posture.unsent.iter().any(|alert| alert.detail.id == task.detail.id) {
            posture.unsent.push(task.clone());
        }
        posture
    }

    /// Nobody has looked at the account, and nothing is claimed of it.
    fn never_examined(account: &AccountId, name: Option<String>, run: &Run, now: OffsetDateTime) -> Self {
        Self {
            account_id: account.clone(),
            account_name: name,
            verdict: Verdict::Unknown,
            cause: None,
            reason: Some("not examined yet".to_owned()),
            since: now,
            examined: OffsetDateTime::UNIX_EPOCH,
            run: run.id.clone(),
            trigger: run.trigger,
            holds: None,
            last_found: None,
            last_removal: None,
            attempted: Vec::new(),
            known_activity: BTreeMap::new(),
            unsent: Vec::new(),
        }
    }

    fn activity_alert(
        &self,
        sighting: &Sighting,
        news: &Sign,
        is_notified: bool,
        record: Option<&AccountRecord>,
        run: &Run,
        now: OffsetDateTime,
    ) -> Alert {
        let name = sighting.account_name.as_ref().or(self.account_name.as_ref());
        let name = in_one_line(name.map(String::as_str).unwrap_or_default());
        let account = AlertAccount { id: self.account_id.clone(), name };
        let outcome = record.map(examined_words);
        let mut remedy = sighting.remedy(&account);
        if let Some(own) = record.and_then(|record| record.remedy.as_ref()) {
            remedy = format!("{own}. Also {remedy}");
        }
        let mut signs = sighting.by_severity();
        signs.truncate(MOST_SIGNS);
        signs.sort_by_key(|sign| sign.observed.at);
        let detail = AlertDetail {
            schema_version: SCHEMA_VERSION,
            id: alert_id(&self.account_id, news, sighting.triage),
            headline: in_one_line(&sighting.headline(&account)),
            account,
            description: in_one_line(&sighting.description(outcome.as_deref())),
            remedy: in_one_line(&remedy),
            since: to_the_second(sighting.since().unwrap_or(now)),
            notify: is_notified,
            run: run.id.clone(),
            trigger: run.trigger,
            mode: run.mode,
            verdict: record.map(|record| record.verdict),
            examined: to_the_second(record.map_or(now, |record| record.examined)),
            reappeared: false,
            failure: record.and_then(|record| record.failure.clone()),
            found: record.and_then(|record| record.found.clone()),
            removed: record.map(|record| record.removed.clone()).unwrap_or_default(),
            attempted: record.map(|record| record.attempted.clone()).unwrap_or_default(),
            held_back: record.map(|record| record.held_back.clone()).unwrap_or_default(),
            severity: Some(sighting.severity()),
            activity: Some(ActivityDetail {
                kind: sighting.triage,
                signs: signs.into_iter().map(|sign| sign.observed.clone()).collect(),
            }),
            task: None,
        };
        Alert { detail_type: DetailType::RootActivity, detail }
    }

    fn forget_what_is_too_much(&mut self) {
        while self.known_activity.len() > MOST_KNOWN {
            let first = self.known_activity.iter().min_by_key(|(_, known)| known.until).map(|(key, _)| key.clone());
            first.and_then(|key| self.known_activity.remove(&key));
        }
    }
}

/// The same for the same event, whoever sends it and however often.
fn alert_id(account: &AccountId, news: &Sign, triage: Triage) -> String {
    let Observed { event_id, at, .. } = &news.observed;
    format!("{account}/{event_id}/{}/{triage}", at.unix_timestamp())
}

/// What the look at the account came to.
fn examined_words(record: &AccountRecord) -> String {
    let seen = describe(record, &record.removed);
    match record.verdict {
        Verdict::Clean => "the account was examined and holds no root credentials".to_owned(),
        Verdict::Stripped | Verdict::CredentialsPresent | Verdict::Failed | Verdict::Unknown | Verdict::NotCovered => {
            format!("{}: {seen}", record.verdict)
        }
    }
}
