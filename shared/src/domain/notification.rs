//! Which alerts are worth a message of their own: who is told everything reads nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::alert::{ActivityDetail, Alert, AlertCounts, AlertDetail, in_one_line};
use super::root_activity::Triage;
use super::task::TaskPolicy;

/// More changes than that in one run have no message of their own: the message about the audit counts them.
const MOST_NOTIFICATIONS: u64 = 20;

/// What was told in a run so far.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    counts: AlertCounts,
    /// Those of whose root sessions people have had a message.
    callers: BTreeSet<String>,
}

impl Notifier {
    /// `counts` are those of the run before.
    pub fn new(counts: AlertCounts) -> Self {
        Self { counts, callers: BTreeSet::new() }
    }

    pub fn counts(&self) -> AlertCounts {
        self.counts
    }

    /// The details of the alerts as they are to be sent, in order: some without a message of their own.
    ///
    /// Root activity always has one. Only of the root sessions that somebody opens in several accounts, as the console
    /// does for whoever opens its page, the first has one, and says in how many.
    pub fn notify(&mut self, alerts: &[Alert]) -> Vec<AlertDetail> {
        let mut accounts = BTreeMap::<String, usize>::new();
        for caller in alerts.iter().filter_map(|alert| caller(&alert.detail)) {
            *accounts.entry(caller).or_default() += 1;
        }
        let mut details = Vec::new();
        for Alert { detail, .. } in alerts {
            let mut detail = detail.clone();
            match caller(&detail) {
                Some(caller) => {
                    let others = accounts.get(&caller).map_or(0, |accounts| accounts - 1);
                    detail.notify = self.callers.insert(caller) && detail.notify;
                    if detail.notify && others > 0 {
                        let more = format!("the same in {others} other accounts. {}", detail.description);
                        detail.description = in_one_line(&more);
                    }
                }
                None if detail.activity.is_none() => {
                    detail.notify &= self.counts.raised - self.counts.not_notified < MOST_NOTIFICATIONS;
                }
                None => {}
            }
            self.counts.raised += 1;
            self.counts.not_notified += u64::from(!detail.notify);
            details.push(detail);
        }
        details
    }
}

/// Who opened the root session that the alert is about, if it is about one.
fn caller(detail: &AlertDetail) -> Option<String> {
    let ActivityDetail { kind, signs } = detail.activity.as_ref()?;
    let sign = signs.first().filter(|_| *kind == Triage::ForeignSession)?;
    let principal = sign.principal.as_deref().unwrap_or_default();
    Some(format!("{principal} {}", sign.task.map_or("", TaskPolicy::name)))
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

    fn activity(kind: &str, principal: &str) -> serde_json::Value {
        let sign = json!({
            "eventId": "x", "eventName": "AssumeRoot", "source": "aws.sts", "region": "us-east-1",
            "at": "2026-11-20T12:00:00Z", "principal": principal,
        });
        json!({"kind": kind, "signs": [sign]})
    }

    fn notified(alerts: &[Alert]) -> usize {
        Notifier::default().notify(alerts).iter().filter(|detail| detail.notify).count()
    }

    #[test]
    fn many_changes_have_no_message_of_their_own_but_root_activity_has() {
        let alerts = |activity: &serde_json::Value| (0..30).map(|n| alert(n, activity)).collect::<Vec<_>>();
        assert_eq!(notified(&alerts(&json!(null))), 20);
        assert_eq!(notified(&alerts(&activity("RootUsage", "x"))), 30);
    }

    #[test]
    fn who_opens_a_root_session_in_each_account_is_one_message() {
        let console = activity("ForeignSession", "alice");
        let mut alerts: Vec<_> = (0..30).map(|n| alert(n, &console)).collect();
        alerts.push(alert(30, &activity("ForeignSession", "bob")));
        let mut notifier = Notifier::default();
        let details = notifier.notify(&alerts);
        let descriptions = details.iter().filter(|detail| detail.notify).map(|detail| detail.description.as_str());
        let expected = ["the same in 29 other accounts. what it is", "what it is"];
        assert_eq!(descriptions.collect::<Vec<_>>(), expected);
        assert_eq!(notifier.counts(), AlertCounts { raised: 31, not_notified: 29 });
        assert!(!notifier.notify(&alerts).iter().any(|detail| detail.notify), "people know of them");
    }

    #[test]
    fn what_is_not_worth_a_message_is_not_made_one() {
        let mut silent = alert(1, &activity("RecoveryWindow", "x"));
        silent.detail.notify = false;
        assert_eq!(notified(&[silent]), 0);
    }
}
