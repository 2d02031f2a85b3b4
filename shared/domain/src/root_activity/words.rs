//! Root activity in words that a person understands: what happened, from where, and what to do.

use super::{Activity, FindingKind, Observed, Outcome, Severity, Sighting, Sign, SignIn, Triage};
use crate::alert::{AlertAccount, minute};
use crate::task::TaskPolicy;

/// More signs than that are only counted.
const MOST_SIGNS: usize = 3;

/// Of what a client says of itself: the rest of it stands in the event.
const LONGEST_USER_AGENT: usize = 40;

impl Sign {
    /// What was done, as the rest of a sentence that begins with the root user.
    fn what(&self) -> String {
        let Observed { event_name, outcome, mfa_used, operation, .. } = &self.observed;
        let has_failed = *outcome == Some(Outcome::Failure);
        let called = || format!("called {}", operation.as_deref().unwrap_or(event_name));
        match &self.activity {
            Activity::SignIn(SignIn::ConsoleLogin) if has_failed => "failed to sign in to the console".to_owned(),
            Activity::SignIn(SignIn::ConsoleLogin) => {
                let mfa = if *mfa_used == Some(false) { " without MFA" } else { "" };
                format!("signed in to the console{mfa}")
            }
            Activity::SignIn(SignIn::PasswordRecoveryRequested) => "asked to recover the password".to_owned(),
            Activity::SignIn(SignIn::PasswordRecoveryCompleted) => "set a new password by recovering it".to_owned(),
            Activity::SignIn(SignIn::PasswordUpdated) => "changed the password".to_owned(),
            Activity::SignIn(SignIn::EmailUpdated) => "changed the email address of the account".to_owned(),
            Activity::Call | Activity::RootSessionCall if has_failed => format!("was refused {event_name}"),
            Activity::Call | Activity::RootSessionCall => called(),
            Activity::Finding(FindingKind::Other(_)) => format!("is in the finding {event_name}"),
            Activity::Finding(_) if operation.is_some() => called(),
            Activity::Finding(_) => "was used".to_owned(),
            Activity::AssumeRoot => {
                let verb = if has_failed { "was refused" } else { "opened" };
                format!("{verb} a root session for {}", self.task())
            }
        }
    }

    /// ` from 192.0.2.0 (Chennai, India) with Mozilla/5.0`
    fn from(&self) -> String {
        let Observed { source_ip_address, location, user_agent, .. } = &self.observed;
        let mut from = source_ip_address.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
        if let Some(location) = location {
            from = format!("{from} ({location})");
        }
        if let Some(user_agent) = user_agent {
            from = format!("{from} with {}", without_links(user_agent));
        }
        from
    }

    fn task(&self) -> &'static str {
        self.observed.task.map_or("an unknown task", TaskPolicy::name)
    }
}

impl Sighting {
    /// What it is, in a line.
    pub fn headline(&self, account: &AlertAccount) -> String {
        let words = account.words();
        let Some(sign) = self.by_severity().into_iter().next() else { return format!("Root activity in {words}") };
        let what = sign.what();
        match self.triage {
            Triage::ForeignSession if sign.observed.outcome == Some(Outcome::Failure) => {
                let principal = sign.observed.principal.as_deref().unwrap_or("somebody");
                format!("{principal} {what} in {words}")
            }
            Triage::ForeignSession => match &sign.observed.principal {
                Some(principal) => format!("Root session in {words} not by Unroot but by {principal}: {}", sign.task()),
                None => format!("Root session in {words} that Unroot did not open"),
            },
            Triage::ManagementAccount => format!("Root user of the management account {words} {what}"),
            Triage::OutsideOrganization => format!("Root user of {words}, not in this organization, {what}"),
            Triage::RecoveryWindow => format!("Root user of {words} {what}, in its recovery window"),
            Triage::OwnSession | Triage::OtherFinding | Triage::RootUsage => format!("Root user of {words} {what}"),
        }
    }

    /// How severe it is, the worst sign, what came of it, and the other signs: what does not fit is at the end.
    pub fn description(&self, outcome: Option<&str>) -> String {
        let mut sentences = vec![format!("severity {}", self.severity())];
        let mut last_from = String::new();
        let mut signs = self.by_severity().into_iter().map(|sign| {
            let Observed { event_name, region, principal, .. } = &sign.observed;
            let who = principal.as_deref().unwrap_or("root");
            let what = sign.what();
            let named = if what.contains(event_name) { String::new() } else { format!(" ({event_name})") };
            // Who does several things is described once.
            let from = sign.from();
            let shown = if from == last_from { "" } else { &from };
            let sentence = format!("{who} {what}{named} in {region}{shown}");
            last_from = from;
            sentence
        });
        sentences.extend(signs.next());
        sentences.extend(outcome.map(str::to_owned));
        if let Some(window) = &self.window {
            sentences.push(format!("the recovery window is open until {}: {}", minute(window.ends), window.reason));
        }
        sentences.extend(signs.by_ref().take(MOST_SIGNS - 1));
        let more = signs.count();
        if more > 0 {
            sentences.push(format!("and {more} more"));
        }
        sentences.join("; ")
    }

    /// What a person should do, besides what the look at the account asks for.
    pub fn remedy(&self, account: &AlertAccount) -> String {
        let id = &account.id;
        match self.triage {
            Triage::OwnSession | Triage::RecoveryWindow => "nothing".to_owned(),
            Triage::ForeignSession => "ask who called AssumeRoot and why: only Unroot should. CloudTrail of the audit and \
                 the management account shows the call, CloudTrail of the account what the session did"
                .to_owned(),
            Triage::ManagementAccount => "if nobody meant to, change root's password and its MFA, delete its access keys \
                 and look into CloudTrail: no root session and no service control policy reaches this account, so nothing \
                 was done"
                .to_owned(),
            Triage::OutsideOrganization => {
                "nothing was done: the account left the organization, or the event is not ours".to_owned()
            }
            Triage::OtherFinding => "nothing was done: read the finding in GuardDuty".to_owned(),
            Triage::RootUsage if self.severity() < Severity::High => {
                "if it goes on, ask who has access to the email address of the account".to_owned()
            }
            Triage::RootUsage => format!(
                "find out who it was. A console session cannot be ended and can go on for up to 12 hours, even without \
                 credentials: to stop it, attach a service control policy to {id} that denies * if ArnLike \
                 aws:PrincipalArn arn:aws:iam::*:root and Null aws:AssumedRoot true. It also stops root's access keys that \
                 are still in use"
            ),
        }
    }
}

/// The beginning of a user agent, which is chosen by who signed in: a mail program makes a link of what looks like an
/// address.
fn without_links(user_agent: &str) -> String {
    let mut shown = String::new();
    let mut letters = user_agent.chars().take(LONGEST_USER_AGENT).peekable();
    while let Some(letter) = letters.next() {
        shown.push(letter);
        if letter == '.' && letters.peek().is_some_and(|next| next.is_alphabetic()) {
            shown.push(' ');
        }
    }
    shown.replace("://", ": ")
}
