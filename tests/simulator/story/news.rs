//! What people were told: the events that Unroot put on its bus, and the mails that a rule of the template made of them.
//!
//! It reads events as whoever subscribes to them does, by the names that the README gives.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde_json::Value;
use simulator::deployment::Deployment;

use super::console::Console;
use super::stage::Mode;

pub(crate) const FOUND: &str = "Root Credentials Found";
pub(crate) const DELETED: &str = "Root Credentials Deleted";
pub(crate) const NOT_VERIFIED: &str = "Root Credentials Not Verified";
pub(crate) const ACTIVITY: &str = "Root Activity Detected";
pub(crate) const TASK: &str = "Root Task Performed";
const COMPLETED: &str = "Root Access Audit Completed";

const MAIL_TOPIC: &str = "AlertTopic";

/// All that was told in one deployment.
pub(crate) struct News {
    pub(crate) mode: Mode,
    pub(crate) events: Vec<Value>,
    /// As they arrived.
    pub(crate) mails: Vec<String>,
}

/// Something that happened to an account, for people to know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    account: String,
    detail_type: String,
    /// The operations that removed something, in order of their names.
    removed: Vec<String>,
}

impl News {
    pub(crate) fn of(mode: Mode, deployment: &Deployment) -> Result<Self> {
        let mails = deployment.published(MAIL_TOPIC)?.into_iter().map(|message| message.text).collect();
        Ok(Self { mode, events: deployment.put_events(), mails })
    }

    /// What was told of accounts, without the messages about whole audits.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        self.events.iter().filter(|event| text(event, "/detail-type") != COMPLETED).map(Change::read)
    }

    /// The events that ask for a mail and got none, and the mails that no event asked for.
    pub(crate) fn mailed_otherwise(&self) -> Vec<String> {
        let mut mails: Vec<_> = self.mails.iter().collect();
        let mut wrong = Vec::new();
        for headline in self.events.iter().filter(|event| is_notified(event)).map(headline) {
            match mails.iter().position(|mail| mail.contains(headline)) {
                Some(index) => drop(mails.swap_remove(index)),
                None => wrong.push(format!("no mail says `{headline}`")),
            }
        }
        let subject = |mail: &String| mail.lines().next().unwrap_or_default().to_owned();
        wrong.extend(mails.into_iter().map(|mail| format!("no event asked for the mail {}", subject(mail))));
        wrong
    }

    /// The first mail about an account that says something.
    pub(crate) fn mail_about(&self, account: &str, says: &str) -> Option<&str> {
        self.mails.iter().find(|mail| mail.contains(account) && mail.contains(says)).map(String::as_str)
    }
}

impl Change {
    pub(crate) fn new(account: &str, detail_type: &str, mut removed: Vec<String>) -> Self {
        removed.sort();
        Self { account: account.to_owned(), detail_type: detail_type.to_owned(), removed }
    }

    /// Whether it is that somebody used root.
    pub(crate) fn is_activity(&self) -> bool {
        self.detail_type == ACTIVITY
    }

    fn read(event: &Value) -> Self {
        let removed = event.pointer("/detail/removed").and_then(Value::as_array).into_iter().flatten();
        let removed = removed.map(|step| text(step, "/operation").to_owned()).collect();
        Self::new(text(event, "/detail/account/id"), text(event, "/detail-type"), removed)
    }
}

/// `Root Credentials Deleted in 444455556666 (DeleteAccessKey, DeleteLoginProfile)`.
impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in {}", self.detail_type, self.account)?;
        match self.removed.as_slice() {
            [] => Ok(()),
            removed => write!(formatter, " ({})", removed.join(", ")),
        }
    }
}

/// Each change that was not told as often as it happened.
pub(crate) fn told_otherwise(happened: &[Change], told: &[Change]) -> Vec<String> {
    let mut times = BTreeMap::<&Change, (usize, usize)>::new();
    for change in happened {
        times.entry(change).or_default().0 += 1;
    }
    for change in told {
        times.entry(change).or_default().1 += 1;
    }
    let differing = times.into_iter().filter(|(_, (happened, told))| happened != told);
    differing.map(|(change, (happened, told))| format!("{change}: happened {happened}x, told {told}x")).collect()
}

/// A line for each detail type: how many events, and how many of them came by mail.
pub(crate) fn show(console: &Console, news: &[News]) {
    let mut facts = Vec::new();
    for News { mode, events, .. } in news {
        let mut kinds = BTreeMap::<&str, Vec<&Value>>::new();
        for event in events {
            kinds.entry(text(event, "/detail-type")).or_default().push(event);
        }
        let label = match mode {
            Mode::Audit => "Mode=Audit",
            Mode::Enforce => "Mode=Enforce",
        };
        facts.extend(kinds.into_iter().map(|(kind, events)| (label, counted(kind, &events))));
    }
    console.facts(facts);
}

/// The lines of a mail, each wrapped for itself.
pub(crate) fn show_mail(console: &Console, mail: &str) {
    mail.lines().for_each(|line| console.paragraph(line));
}

/// What is not mailed one by one is in the numbers of the mail about the audit; an audit without news is in no mail.
fn counted(kind: &str, events: &[&Value]) -> String {
    let mailed = events.iter().filter(|event| is_notified(event)).count();
    let told_otherwise = [("RootActivity", "the root activity"), ("WindowEnded", "the end of the window")];
    let silent_of = |trigger: &str| {
        let of_trigger = events.iter().filter(|event| text(event, "/detail/trigger") == trigger);
        of_trigger.filter(|event| !is_notified(event)).count()
    };
    let told_otherwise = told_otherwise.map(|(trigger, mail)| (silent_of(trigger), mail));
    let in_another: usize = told_otherwise.iter().map(|(count, _)| count).sum();
    let rest = match (events.len() - mailed - in_another, kind) {
        (0, _) => String::new(),
        (silent, COMPLETED) => format!(", {silent} without news"),
        (summed_up, _) => format!(", {summed_up} summed up"),
    };
    let words = |(count, mail)| match (count, kind) {
        (0, _) => String::new(),
        // Of the work in a recovery window nobody is mailed.
        (count, ACTIVITY) => format!(", {count} in a recovery window"),
        (count, _) => format!(", {count} in the mail about {mail}"),
    };
    let in_another = told_otherwise.map(words).concat();
    format!("{} {kind}: {mailed} mailed{rest}{in_another}", events.len())
}

/// `severity High: Root user of webshop (444455556666) signed in to the console`.
pub(crate) fn headline_with_severity(event: &Value) -> String {
    format!("severity {}: {}", text(event, "/detail/severity"), headline(event))
}

/// The headlines of the events that ask for a mail.
pub(crate) fn mails(events: &[Value]) -> Vec<String> {
    events.iter().filter(|event| is_notified(event)).map(|event| headline(event).to_owned()).collect()
}

/// The same in a line.
pub(crate) fn mailed(events: &[Value]) -> String {
    let mails = mails(events);
    if mails.is_empty() { "nothing".to_owned() } else { mails.join("; ") }
}

fn is_notified(event: &Value) -> bool {
    event.pointer("/detail/notify") == Some(&Value::Bool(true))
}

fn headline(event: &Value) -> &str {
    text(event, "/detail/headline")
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(account: &str, detail_type: &str, notify: bool) -> Value {
        let removed = json!([{"operation": "DeleteLoginProfile"}, {"operation": "DeleteAccessKey"}]);
        let headline = format!("{detail_type} in {account}");
        let detail = json!({"account": {"id": account}, "headline": headline, "notify": notify, "removed": removed});
        json!({"detail-type": detail_type, "detail": detail})
    }

    fn deleted(account: &str, removed: &[&str]) -> Change {
        Change::new(account, DELETED, removed.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_change_that_is_not_told_or_told_twice_or_told_otherwise_is_found() {
        let both = ["DeleteAccessKey", "DeleteLoginProfile"];
        let (one, other) = (deleted("444455556666", &both), deleted("444455557777", &both));
        let news = |events| News { mode: Mode::Enforce, events, mails: Vec::new() };
        let told: Vec<_> =
            news(vec![event("444455556666", DELETED, true), json!({"detail-type": COMPLETED})]).changes().collect();
        assert_eq!(told_otherwise(std::slice::from_ref(&one), &told), Vec::<String>::new());
        assert_eq!(told_otherwise(&[one.clone(), other], &told).len(), 1);
        assert_eq!(told_otherwise(&[], &told).len(), 1);
        assert_eq!(told_otherwise(std::slice::from_ref(&one), &[one.clone(), one.clone()]).len(), 1);
        assert_eq!(told_otherwise(&[deleted("444455556666", &both[..1])], &told).len(), 2);
    }

    #[test]
    fn what_is_mailed_with_the_root_activity_is_not_called_summed_up() {
        let mut answer = event("444455556666", DELETED, false);
        answer["detail"]["trigger"] = json!("RootActivity");
        let events = [answer, event("444455556666", DELETED, false), event("444455556666", DELETED, true)];
        let counted = counted(DELETED, &events.iter().collect::<Vec<_>>());
        assert_eq!(counted, "3 Root Credentials Deleted: 1 mailed, 1 summed up, 1 in the mail about the root activity");

        let mut activity = event("444455556666", ACTIVITY, false);
        activity["detail"]["trigger"] = json!("RootActivity");
        assert_eq!(
            super::counted(ACTIVITY, &[&activity]),
            "1 Root Activity Detected: 0 mailed, 1 in a recovery window"
        );
        let mut ended = event("444455556666", DELETED, false);
        ended["detail"]["trigger"] = json!("WindowEnded");
        let expected = "1 Root Credentials Deleted: 0 mailed, 1 in the mail about the end of the window";
        assert_eq!(super::counted(DELETED, &[&ended]), expected);
    }

    #[test]
    fn a_mail_that_is_missing_or_that_nobody_asked_for_is_found() {
        let events = vec![event("444455556666", FOUND, true), event("444455557777", FOUND, false)];
        let right = format!("\"UNROOT: {FOUND} in 444455556666\"\n\"What: ..\"");
        for (mails, expected) in [
            (vec![right.clone()], 0),
            (Vec::new(), 1),
            (vec![right.clone(), right.clone()], 1),
            (vec![format!("\"UNROOT: {FOUND} in 444455557777\"")], 2),
        ] {
            let wrong = News { mode: Mode::Audit, events: events.clone(), mails }.mailed_otherwise();
            assert_eq!(wrong.len(), expected, "{wrong:?}");
        }
    }
}
