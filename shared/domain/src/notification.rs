//! Which alerts are worth a message of their own: who is told everything reads nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::alert::{ActivityDetail, Alert, AlertCounts, AlertDetail, in_one_line};
use super::root_activity::{Observed, QUIET, Triage};
use super::task::TaskPolicy;
use super::trigger::Trigger;

/// More changes than that in one audit have no message of their own: the message about the audit counts them.
const MOST_NOTIFICATIONS: u64 = 20;

/// Those of whose root sessions people have had a message, by when they are to have another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldCallers {
    #[serde(default)]
    callers: BTreeMap<String, Until>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Until(#[serde(with = "time::serde::rfc3339")] OffsetDateTime);

impl ToldCallers {
    /// Those of whom people know at the moment.
    pub fn known(&self, now: OffsetDateTime) -> BTreeSet<String> {
        self.callers.iter().filter(|(_, until)| until.0 > now).map(|(caller, _)| caller.clone()).collect()
    }

    /// The same with those of whom people were told now; `None` if that are the same.
    #[must_use]
    pub fn with(&self, told: &BTreeSet<String>, now: OffsetDateTime) -> Option<Self> {
        let known = self.known(now);
        let new: Vec<_> = told.difference(&known).collect();
        if new.is_empty() {
            return None;
        }
        let mut callers = self.callers.clone();
        callers.retain(|_, until| until.0 > now);
        callers.extend(new.into_iter().map(|caller| (caller.clone(), Until(now + QUIET))));
        Some(Self { callers })
    }
}

/// What was told in a run so far.
#[derive(Clone, Debug)]
pub struct Notifier {
    /// Whether a message at the end counts what has none of its own.
    is_summed_up: bool,
    counts: AlertCounts,
    /// Those of whose root sessions people have had a message.
    callers: BTreeSet<String>,
}

impl Notifier {
    /// For a run that has raised no alerts yet.
    pub fn new(trigger: Trigger) -> Self {
        let is_summed_up = match trigger {
            Trigger::Schedule | Trigger::Request => true,
            Trigger::AccountJoined | Trigger::RootActivity | Trigger::WindowEnded => false,
        };
        Self { is_summed_up, counts: AlertCounts::default(), callers: BTreeSet::new() }
    }

    /// Goes on from the alerts that the run has raised so far.
    #[must_use]
    pub fn counting_from(self, counts: AlertCounts) -> Self {
        Self { counts, ..self }
    }

    /// Leaves out the callers of whose root sessions people have had a message.
    #[must_use]
    pub fn knowing(self, callers: BTreeSet<String>) -> Self {
        Self { callers, ..self }
    }

    /// Root activity left out, which is no change that an audit found.
    pub fn counts(&self) -> AlertCounts {
        self.counts
    }

    /// Those of whom people have had a message.
    pub fn callers(&self) -> &BTreeSet<String> {
        &self.callers
    }

    /// The details of the alerts as they are to be sent, in order: some without a message of their own.
    ///
    /// Root activity always has one, but for the sessions in which somebody only reads: whoever opens the page of the
    /// console opens one in each account. Of those the first has a message, and says in how many.
    pub fn notify(&mut self, alerts: &[Alert]) -> Vec<AlertDetail> {
        let mut accounts = BTreeMap::<String, usize>::new();
        for caller in alerts.iter().filter_map(|alert| caller(&alert.detail)) {
            *accounts.entry(caller).or_default() += 1;
        }
        let mut details = Vec::new();
        for Alert { detail, .. } in alerts {
            let mut detail = detail.clone();
            if let Some(caller) = caller(&detail) {
                let others = accounts.get(&caller).map_or(0, |accounts| accounts - 1);
                detail.notify = self.callers.insert(caller) && detail.notify;
                if detail.notify && others > 0 {
                    let more = format!("the same in {others} other accounts. {}", detail.description);
                    detail.description = in_one_line(&more);
                }
            } else if detail.activity.is_none() {
                let has_room = self.counts.raised - self.counts.not_notified < MOST_NOTIFICATIONS;
                detail.notify &= has_room || !self.is_summed_up;
                self.counts.raised += 1;
                self.counts.not_notified += u64::from(!detail.notify);
            }
            details.push(detail);
        }
        details
    }
}

/// Who opened the root sessions that the alert is about, if one only opened them to read.
fn caller(detail: &AlertDetail) -> Option<String> {
    let ActivityDetail { kind: Triage::ForeignSession, signs } = detail.activity.as_ref()? else { return None };
    let [first, others @ ..] = signs.as_slice() else { return None };
    let what = |sign: &Observed| (sign.principal.clone(), sign.task, sign.outcome);
    let is_reading = first.task == Some(TaskPolicy::IamAuditRootUserCredentials);
    if !is_reading || others.iter().any(|sign| what(sign) != what(first)) {
        return None;
    }
    let principal = first.principal.as_deref()?;
    Some(format!("{principal} {:?}", first.outcome))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alert(account: usize, activity: &serde_json::Value) -> Alert {
        let detail = json!({
            "schemaVersion": 1, "id": "x", "account": {"id": format!("{account:012}"), "name": ""}, "headline": "x",
            "description": "what it is", "remedy": "x", "since": "2026-11-20T12:00:00Z", "notify": true, "run": "run",
            "trigger": "RootActivity", "mode": "Enforce", "examined": "2026-11-20T12:00:00Z", "reappeared": false,
            "activity": activity,
        });
        serde_json::from_value(json!({"detailType": "Root Activity Detected", "detail": detail})).unwrap()
    }

    fn activity(kind: &str, signs: &[serde_json::Value]) -> serde_json::Value {
        json!({"kind": kind, "signs": signs})
    }

    fn session(principal: Option<&str>, task: &str, outcome: &str) -> serde_json::Value {
        json!({
            "eventId": "x", "eventName": "AssumeRoot", "source": "aws.sts", "region": "us-east-1",
            "at": "2026-11-20T12:00:00Z", "principal": principal, "task": task, "outcome": outcome,
        })
    }

    fn audit_session(principal: &str) -> serde_json::Value {
        session(Some(principal), "IAMAuditRootUserCredentials", "Success")
    }

    fn notifier(trigger: Trigger) -> Notifier {
        Notifier::new(trigger)
    }

    /// The accounts of whose alerts people have a message.
    fn notified(trigger: Trigger, alerts: &[Alert]) -> Vec<u64> {
        let details = notifier(trigger).notify(alerts);
        let notified = details.into_iter().filter(|detail| detail.notify);
        notified.map(|detail| detail.account.id.as_str().parse().unwrap()).collect()
    }

    #[test]
    fn many_changes_of_an_audit_have_no_message_of_their_own_but_root_activity_has() {
        let alerts = |activity: &serde_json::Value| (0..30).map(|n| alert(n, activity)).collect::<Vec<_>>();
        assert_eq!(notified(Trigger::Schedule, &alerts(&json!(null))).len(), 20);
        assert_eq!(notified(Trigger::RootActivity, &alerts(&json!(null))).len(), 30, "nothing counts them");
        let usage = alerts(&activity("RootUsage", &[audit_session("x")]));
        assert_eq!(notified(Trigger::RootActivity, &usage).len(), 30);
        let both = [usage, alerts(&json!(null))].concat();
        assert_eq!(notified(Trigger::Schedule, &both).len(), 50, "one does not use up the room of the other");
    }

    #[test]
    fn who_opens_a_session_to_read_in_each_account_is_one_message() {
        let mut alerts: Vec<_> =
            (0..30).map(|n| alert(n, &activity("ForeignSession", &[audit_session("alice")]))).collect();
        alerts.push(alert(30, &activity("ForeignSession", &[audit_session("bob")])));
        let mut notifier = notifier(Trigger::RootActivity);
        let details = notifier.notify(&alerts);
        let descriptions = details.iter().filter(|detail| detail.notify).map(|detail| detail.description.as_str());
        let expected = ["the same in 29 other accounts. what it is", "what it is"];
        assert_eq!(descriptions.collect::<Vec<_>>(), expected);
        assert!(!notifier.notify(&alerts).iter().any(|detail| detail.notify), "people know of them");
    }

    #[test]
    fn nobody_hides_behind_another() {
        let alice = audit_session("alice");
        let of = |n, signs: &[serde_json::Value]| alert(n, &activity("ForeignSession", signs));
        let task = "S3UnlockBucketPolicy";
        let mallory = |outcome| session(Some("mallory"), task, outcome);
        for alerts in [
            // Another caller in the same account.
            [of(1, std::slice::from_ref(&alice)), of(2, &[alice.clone(), mallory("Success")])],
            // Refused once, and then not.
            [of(1, &[mallory("Failure")]), of(2, &[mallory("Success")])],
            // More than reading.
            [of(1, &[mallory("Success")]), of(2, &[mallory("Success")])],
            // Nobody knows who.
            [
                of(1, &[session(None, "IAMAuditRootUserCredentials", "Success")]),
                of(2, &[session(None, "IAMAuditRootUserCredentials", "Success")]),
            ],
        ] {
            assert_eq!(notified(Trigger::RootActivity, &alerts), [1, 2], "{alerts:#?}");
        }
    }

    #[test]
    fn of_whom_people_know_is_remembered_for_a_while() {
        let now = time::macros::datetime!(2026-11-20 12:00 UTC);
        let told = BTreeSet::from(["alice".to_owned()]);
        let callers = ToldCallers::default().with(&told, now).unwrap();
        assert_eq!((callers.known(now), callers.with(&told, now)), (told, None));
        assert!(callers.known(now + QUIET).is_empty());
    }

    #[test]
    fn what_is_not_worth_a_message_is_not_made_one() {
        let mut silent = alert(1, &activity("RecoveryWindow", &[audit_session("x")]));
        silent.detail.notify = false;
        assert_eq!(notified(Trigger::RootActivity, &[silent]).len(), 0);
    }
}
