//! Root activity in the posture: it is told once, with what the look at the account came to.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::{Posture, Run, Until, describe, to_the_second};
use crate::domain::alert::{ActivityDetail, Alert, AlertAccount, AlertDetail, DetailType, in_one_line};
use crate::domain::record::{AccountRecord, SCHEMA_VERSION, Verdict};
use crate::domain::root_activity::{Sighting, Sign, Triage};

/// More keys of what people know are not remembered: those that are forgotten first would have been soon.
const MOST_KNOWN: usize = 100;

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
            (None, None) => Self::never_examined(sighting, run, now),
        };
        posture.known_activity.retain(|_, until| *until > Until(now));
        if is_news(&posture.known_activity, sighting) {
            // One message says it all.
            let unsent_before = previous.map_or(0, |previous| previous.unsent.len());
            for alert in posture.unsent.iter_mut().skip(unsent_before) {
                alert.detail.notify = alert.detail.notify && !sighting.is_to_be_notified();
            }
            let alert = posture.activity_alert(sighting, record, run, now);
            posture.unsent.push(alert);
        }
        for known in sighting.signs.iter().flat_map(Sign::known_by) {
            posture.known_activity.entry(known.key).or_insert(Until(now + known.quiet));
        }
        posture.forget_what_is_too_much();
        posture
    }

    /// Nobody has looked at the account, and nothing is claimed of it.
    fn never_examined(sighting: &Sighting, run: &Run, now: OffsetDateTime) -> Self {
        Self {
            account_id: sighting.account.clone(),
            account_name: sighting.account_name.clone(),
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
        record: Option<&AccountRecord>,
        run: &Run,
        now: OffsetDateTime,
    ) -> Alert {
        let name = sighting.account_name.as_ref().or(self.account_name.as_ref());
        let name = in_one_line(name.map(String::as_str).unwrap_or_default());
        let account = AlertAccount { id: self.account_id.clone(), name };
        let first = sighting.signs.first().map(|sign| sign.observed.event_id.as_str()).unwrap_or_default();
        let mut description = sighting.description();
        let mut remedy = sighting.remedy(&account);
        if let Some(record) = record {
            description = format!("{description}; {}", examined_words(record));
            remedy = record.remedy.iter().fold(remedy, |remedy, own| format!("{own}. Also {remedy}"));
        }
        let detail = AlertDetail {
            schema_version: SCHEMA_VERSION,
            id: format!("{}/{first}/{}", self.account_id, DetailType::RootActivity.as_str().replace(' ', "")),
            headline: in_one_line(&sighting.headline(&account)),
            account,
            description: in_one_line(&description),
            remedy: in_one_line(&remedy),
            since: to_the_second(sighting.since().unwrap_or(now)),
            notify: sighting.is_to_be_notified(),
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
                signs: sighting.signs.iter().take(MOST_SIGNS).map(|sign| sign.observed.clone()).collect(),
            }),
        };
        Alert { detail_type: DetailType::RootActivity, detail }
    }

    fn forget_what_is_too_much(&mut self) {
        while self.known_activity.len() > MOST_KNOWN {
            let first = self.known_activity.iter().min_by_key(|(_, until)| **until).map(|(key, _)| key.clone());
            first.and_then(|key| self.known_activity.remove(&key));
        }
    }
}

/// Whether one of the signs is known by none of its keys. Nobody is told of our own sessions.
fn is_news(known: &BTreeMap<String, Until>, sighting: &Sighting) -> bool {
    sighting.triage != Triage::OwnSession
        && sighting.signs.iter().any(|sign| !sign.known_by().iter().any(|key| known.contains_key(&key.key)))
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
