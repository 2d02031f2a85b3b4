//! The promises, held against everything that happened in a run.
//!
//! What really happened is read from the simulated AWS: its log of calls and the history of each root user. What was said
//! is read from what the functions announced, answered and logged. Nothing here asks Unroot's code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use simulator::aws::{CallRecord, Outcome};
use simulator::organization::{AccountId, EXEMPT_TAG, RootCredentials};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::in_process::{STATE_TABLE, WITH_QUEUE};
use crate::play::{Asked, Played, id};
use crate::scenario::{Deployment, Request, Scenario};

/// What must hold after every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Promise {
    /// An account that is called `Clean` or `Stripped` had nothing at some moment of the look at it.
    NeverClaimsMoreThanItSaw,
    /// Nothing is changed in the management account and in exempt accounts, and no root session is opened there.
    HandsOff,
    /// No MFA device goes while something that it protects is left, as far as could be read.
    MfaLast,
    /// In `Audit` mode no root credential is deleted or made.
    AuditModeChangesNothing,
    /// Every message is done with or lies in a dead-letter queue, and the deployment comes to rest.
    NothingIsLost,
    /// What an event says was done was done, and what it says is so was so.
    AnnouncedIsTrue,
    /// Each change that was made as root is announced.
    DoneIsAnnounced,
    /// An alert that was raised leaves the account's posture once it was sent.
    AlertsLeaveTheOutbox,
    /// A window that is open has an end that comes by itself, or lies in the dead-letter queue.
    WindowHasAnEnd,
    /// An operator who is told that a window is open finds it open.
    OpenIsOpen,
    /// A window that could not be opened is not there.
    FailedOpenLeavesNothing,
    /// Nothing is deleted in a window in which root may be recovered.
    NothingDeletedInAWindow,
    /// Nothing that was made in a window is there after it, and after an audit.
    NothingOutlivesItsWindow,
    /// A window that is announced closed is closed, and that is announced once.
    ClosedIsClosed,
    /// Every invocation answers before its deadline.
    AnswersInTime,
    /// Once the world is quiet an audit leaves nothing to do.
    Converges,
    /// Unroot's own sessions are not reported as somebody else's.
    NeverReactsToItself,
    /// Who gets in as root outside of a window is reported.
    RootIsReported,
    /// No secret is in anything that comes out.
    SecretsStayInside,
}

/// A promise that a run broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) promise: Promise,
    pub(crate) what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.what)
    }
}

impl Promise {
    pub(crate) const ALL: [Self; 19] = [
        Self::NeverClaimsMoreThanItSaw,
        Self::HandsOff,
        Self::MfaLast,
        Self::AuditModeChangesNothing,
        Self::NothingIsLost,
        Self::AnnouncedIsTrue,
        Self::DoneIsAnnounced,
        Self::AlertsLeaveTheOutbox,
        Self::WindowHasAnEnd,
        Self::OpenIsOpen,
        Self::FailedOpenLeavesNothing,
        Self::NothingDeletedInAWindow,
        Self::NothingOutlivesItsWindow,
        Self::ClosedIsClosed,
        Self::AnswersInTime,
        Self::Converges,
        Self::NeverReactsToItself,
        Self::RootIsReported,
        Self::SecretsStayInside,
    ];
}

/// Parts of every secret access key and of every session token.
const SECRETS: [&str; 2] = ["EXAMPLEKEY", "SimulatedSessionToken"];

/// Holds a run against all promises.
pub(crate) fn check(scenario: &Scenario, played: &Played) -> Vec<Broken> {
    let trace = Trace::of(scenario, played);
    let mut broken = Vec::new();
    for promise in Promise::ALL {
        let whats = match promise {
            Promise::NeverClaimsMoreThanItSaw => trace.claims(),
            Promise::HandsOff => trace.hands_on(),
            Promise::MfaLast => trace.mfa_too_early(),
            Promise::AuditModeChangesNothing => trace.changes_in_audit_mode(),
            Promise::NothingIsLost => trace.lost(),
            Promise::AnnouncedIsTrue => trace.untrue_announcements(),
            Promise::DoneIsAnnounced => trace.unannounced(),
            Promise::AlertsLeaveTheOutbox => trace.unsent(),
            Promise::WindowHasAnEnd => trace.endless_windows(),
            Promise::OpenIsOpen => trace.windows_that_were_not_open(),
            Promise::FailedOpenLeavesNothing => trace.windows_of_failed_opens(),
            Promise::NothingDeletedInAWindow => trace.deleted_in_windows(),
            Promise::NothingOutlivesItsWindow => trace.outlived(),
            Promise::ClosedIsClosed => trace.not_closed(),
            Promise::AnswersInTime => trace.late_answers(),
            Promise::Converges => trace.not_converged(),
            Promise::NeverReactsToItself => trace.own_sessions_reported(),
            Promise::RootIsReported => trace.unreported_root(),
            Promise::SecretsStayInside => trace.secrets(),
        };
        broken.extend(whats.into_iter().map(|what| Broken { promise, what }));
    }
    broken
}

/// Everything that happened, in the order in which it did.
struct Trace<'a> {
    scenario: &'a Scenario,
    played: &'a Played,
    calls: Vec<CallRecord>,
    events: Vec<Announced>,
    /// What became of the window of an account, whenever it was written.
    windows: BTreeMap<AccountId, Vec<Written>>,
    history: BTreeMap<AccountId, History>,
}

/// An event, as it was put on the bus.
struct Announced {
    at: OffsetDateTime,
    kind: String,
    detail: Value,
}

/// The window that was kept from a moment on; none if it was removed.
#[derive(Clone, Debug, PartialEq)]
struct Written {
    at: OffsetDateTime,
    window: Option<Window>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    opened: OffsetDateTime,
    ends: OffsetDateTime,
}

/// What a root user had at each moment.
struct History(Vec<(OffsetDateTime, RootCredentials)>);

impl History {
    /// What it had from `from` to `to`, both included.
    fn during(&self, from: OffsetDateTime, to: OffsetDateTime) -> impl Iterator<Item = &RootCredentials> {
        let begins = |index: usize| if index == 0 { OffsetDateTime::UNIX_EPOCH } else { self.0[index - 1].0 };
        let within = move |index: usize| begins(index) <= to && self.0[index].0 >= from;
        (0..self.0.len()).filter(move |index| within(*index)).map(|index| &self.0[index].1)
    }

    fn at(&self, at: OffsetDateTime) -> &RootCredentials {
        self.during(at, at).last().expect("it had something or nothing")
    }
}

impl<'a> Trace<'a> {
    fn of(scenario: &'a Scenario, played: &'a Played) -> Self {
        let calls = played.aws.calls();
        let events = played.announced().into_iter().map(|(at, event)| Announced {
            at,
            kind: event["detail-type"].as_str().unwrap_or_default().to_owned(),
            detail: event["detail"].clone(),
        });
        let organization = played.aws.organization();
        let history = organization.accounts.iter().map(|(account, now)| {
            let mut history: Vec<_> =
                played.aws.root_history(account).into_iter().map(|earlier| (earlier.until, earlier.root)).collect();
            history.push((OffsetDateTime::from_unix_timestamp(4_000_000_000).expect("a date"), now.root.clone()));
            (account.clone(), History(history))
        });
        Self { scenario, played, windows: windows(&calls), events: events.collect(), history: history.collect(), calls }
    }

    /// The changes that were made in root sessions. Nobody but Unroot makes any in these runs.
    fn changes(&self) -> impl Iterator<Item = &CallRecord> {
        self.calls.iter().filter(|call| is_root_session(call) && call.mutating && is_done(call))
    }

    fn deletions(&self) -> impl Iterator<Item = (&CallRecord, Step)> {
        self.changes().filter_map(|call| Some((call, Step::of(call)?)))
    }

    fn window_at(&self, account: &AccountId, at: OffsetDateTime) -> Option<Window> {
        let written = self.windows.get(account)?;
        written.iter().rev().find(|written| written.at <= at)?.window
    }

    fn asked(&self, is_meant: impl Fn(&Request) -> bool) -> impl Iterator<Item = &Asked> {
        self.played.asked.iter().filter(move |asked| is_meant(&asked.request))
    }

    /// A read that a fault made stale excuses a claim about an account: nobody could know.
    fn may_be_stale(&self) -> bool {
        self.scenario.happenings.iter().any(|happening| {
            matches!(&happening.what, crate::scenario::What::Fault { kind: crate::scenario::Trouble::Stale, .. })
        })
    }

    fn claims(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.may_be_stale() {
            return wrong;
        }
        for record in self.played.logged("AccountRecord") {
            if !matches!(record["verdict"].as_str(), Some("Clean" | "Stripped")) {
                continue;
            }
            let account = id(text(&record["accountId"]));
            let (began, examined) = (date(&record["began"]), date(&record["examined"]));
            let Some(history) = self.history.get(&account) else { continue };
            if !history.during(began, examined).any(RootCredentials::is_empty) {
                let had = history.at(examined);
                wrong.push(format!("{account} is called {} at {examined}, and had {had:?}", record["verdict"]));
            }
        }
        wrong
    }

    fn hands_on(&self) -> Vec<String> {
        let mut protected: BTreeSet<_> = self.played.before.tagged(EXEMPT_TAG).into_iter().collect();
        protected.insert(self.played.before.management_account.clone());
        let is_protected = |call: &&CallRecord| call.account.parse().is_ok_and(|account| protected.contains(&account));
        let is_unroots = |call: &CallRecord| call.caller.contains(":assumed-role/");
        let sessions = self.calls.iter().filter(|call| call.opened.is_some() && is_unroots(call));
        let touched = self.changes().chain(sessions).filter(is_protected);
        touched.map(|call| format!("{} in {}", call.action(), call.account)).collect()
    }

    fn mfa_too_early(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (call, step) in self.deletions() {
            if !matches!(step, Step::MfaDevice(_)) || self.may_be_stale() {
                continue;
            }
            // What the session last read of the account, and what was there then.
            let reads = ["GetLoginProfile", "ListAccessKeys", "ListSigningCertificates"].map(|operation| {
                let mut before = self.calls.iter().rev().skip_while(|other| !std::ptr::eq(*other, call));
                before.find(|other| other.access_key_id == call.access_key_id && other.operation == operation)
            });
            let Some(read) = reads.iter().flatten().map(|read| read.at).min() else {
                wrong.push(format!("{} in {} without a reading before", call.action(), call.account));
                continue;
            };
            let then = self.history[&id(&call.account)].at(read);
            if !then.without_mfa().is_empty() {
                wrong.push(format!("{} in {} while there is {:?}", call.action(), call.account, then.without_mfa()));
            }
        }
        wrong
    }

    fn changes_in_audit_mode(&self) -> Vec<String> {
        if self.scenario.deployment != Deployment::Audit {
            return Vec::new();
        }
        let changes = self.changes().filter(|call| call.service == "iam");
        changes.map(|call| format!("{} in {}", call.action(), call.account)).collect()
    }

    fn lost(&self) -> Vec<String> {
        let mut lost: Vec<_> = self.played.restless.iter().cloned().collect();
        if self.played.at_rest.waiting > 0 {
            lost.push(format!("{} messages wait for ever", self.played.at_rest.waiting));
        }
        let deliveries = self.played.deployment.deliveries();
        let undelivered = deliveries
            .iter()
            .filter(|delivery| matches!(delivery.outcome, simulator::event_buses::DeliveryOutcome::Lost { .. }));
        lost.extend(undelivered.map(|delivery| format!("{delivery:?}")));
        lost
    }

    fn untrue_announcements(&self) -> Vec<String> {
        let mut untrue = Vec::new();
        for Announced { at, kind, detail } in &self.events {
            let Some(account) = detail["account"]["id"].as_str().map(id) else { continue };
            let Some(history) = self.history.get(&account) else { continue };
            let until = *at + Duration::seconds(1);
            for step in steps(&detail["removed"]) {
                let was_deleted = self
                    .deletions()
                    .any(|(call, deleted)| call.account == account.as_str() && deleted == step && call.at <= until);
                let was_absent = history.during(OffsetDateTime::UNIX_EPOCH, until).any(|root| !step.is_in(root));
                if !was_deleted && !self.was_gone_otherwise(&account, &step, until) || !was_absent {
                    untrue.push(format!("{kind} at {at} says that {step:?} of {account} was deleted"));
                }
            }
            let examined = date(&detail["examined"]);
            if kind == "Root Credentials Found" && !self.may_be_stale() {
                let from = examined - Duration::minutes(15);
                let found = steps_of(&detail["found"]);
                for step in found.iter().filter(|step| !history.during(from, until).any(|root| step.is_in(root))) {
                    untrue.push(format!("{kind} at {at} says that {account} has {step:?}"));
                }
            }
            if matches!(detail["task"]["action"].as_str(), Some("RecoveryOpened" | "RecoveryExtended")) {
                let ends = date(&detail["task"]["windowEnds"]);
                let written = self.windows.get(&account).into_iter().flatten();
                let was_kept = written.filter(|written| written.at <= until);
                if !was_kept.filter_map(|written| written.window).any(|window| window.ends == ends) {
                    untrue.push(format!("{account} is announced to be open until {ends}, and never was"));
                }
            }
        }
        untrue
    }

    /// The owner may have deleted it, or it went with another deletion that was not answered. In these runs owners
    /// delete nothing.
    fn was_gone_otherwise(&self, account: &AccountId, step: &Step, until: OffsetDateTime) -> bool {
        let unanswered = self.calls.iter().filter(|call| is_root_session(call) && call.account == account.as_str());
        unanswered.filter(|call| call.at <= until).any(|call| Step::of(call).as_ref() == Some(step) && is_done(call))
    }

    fn unannounced(&self) -> Vec<String> {
        let mut unannounced = Vec::new();
        let mut used: BTreeSet<usize> = BTreeSet::new();
        for call in self.changes() {
            let says = |event: &Announced| {
                let detail = &event.detail;
                let is_later = event.at + Duration::seconds(1) >= call.at;
                if detail["account"]["id"] != call.account.as_str() || !is_later {
                    return false;
                }
                if let Some(step) = Step::of(call) {
                    let is_of_it = date(&detail["examined"]) + Duration::seconds(1) >= call.at;
                    let said = [steps(&detail["removed"]), steps(&detail["attempted"])].concat();
                    return said.contains(&step) && is_of_it;
                }
                let action = text(&detail["task"]["action"]);
                match call.operation.as_str() {
                    "CreateLoginProfile" => action.starts_with("Recovery"),
                    "DeleteBucketPolicy" | "PutBucketPolicy" => action.starts_with("BucketPolicy"),
                    _ => action.starts_with("QueuePolicy"),
                }
            };
            // One announcement may tell of several changes, but not of the same one twice.
            let found = self.events.iter().enumerate().find(|(index, event)| {
                let is_free = Step::of(call) != Some(Step::LoginProfile) || !used.contains(index);
                is_free && says(event)
            });
            match found {
                Some((index, _)) => {
                    used.insert(index);
                }
                None if self.is_in_a_dead_letter(&call.account) => {}
                None => unannounced.push(format!("{} in {} at {}", call.action(), call.account, call.at)),
            }
        }
        unannounced
    }

    fn is_in_a_dead_letter(&self, account: &str) -> bool {
        let letters = WITH_QUEUE
            .into_iter()
            .flat_map(|function| self.played.deployment.dead_letters(function).expect("a queue"))
            .map(|message| message.body);
        let mut letters = letters.chain(self.played.at_rest.dead_letters.iter().cloned());
        letters.any(|body| body.contains(account) || body.contains("everything"))
    }

    fn unsent(&self) -> Vec<String> {
        let postures = self.played.aws.items(STATE_TABLE).into_iter().filter(|item| item["sk"] == "posture");
        let unsent = postures.filter(|posture| posture["unsent"].as_array().is_some_and(|alerts| !alerts.is_empty()));
        unsent.map(|posture| format!("{} keeps {}", posture["pk"], posture["unsent"])).collect()
    }

    fn endless_windows(&self) -> Vec<String> {
        let is_known = |account: &str| self.played.at_rest.dead_letters.iter().any(|body| body.contains(account));
        let windows = self.played.at_rest.windows.iter();
        let endless = windows.filter(|window| !is_known(text(&window["accountId"])));
        let closable = endless.filter(|window| {
            let account = self.played.aws.organization();
            let account = account.account(&id(text(&window["accountId"])));
            account.is_some_and(|account| account.state == simulator::organization::AccountState::Active)
        });
        closable.map(|window| format!("{window} is kept, and nothing ends it")).collect()
    }

    fn windows_that_were_not_open(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for asked in self.asked(|request| matches!(request, Request::Open { .. })) {
            let (Request::Open { account, .. }, Ok(answer)) = (&asked.request, &asked.answer) else { continue };
            let account = id(account);
            let ends = date(&answer["window"]["ends"]);
            let was_closed = self.asked(|request| *request == Request::Close { account: account.to_string() });
            let was_closed =
                was_closed.filter(|close| close.at <= asked.answered && close.answered >= asked.at).count() > 0;
            let is_kept = self.window_at(&account, asked.answered).is_some_and(|window| window.ends >= ends);
            let has_profile = self.history[&account].at(asked.answered).login_profile.is_some();
            let is_over = ends <= asked.answered;
            let is_open = is_kept && has_profile;
            if !(was_closed || is_over || is_open) {
                let what = if is_kept { "no password can be set" } else { "no window is kept" };
                wrong.push(format!("{account} was said to be open until {ends} at {}, and {what}", asked.answered));
            }
        }
        wrong
    }

    fn windows_of_failed_opens(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for asked in self.asked(|request| matches!(request, Request::Open { .. })) {
            let (Request::Open { account, .. }, Err(error)) = (&asked.request, &asked.answer) else { continue };
            // A function that crashed has not answered, and an error that names the window says what is left.
            if ["Runtime.", "Sandbox.", "Panic"].iter().any(|lambda| error.starts_with(lambda))
                || error.contains("window")
            {
                continue;
            }
            let account = id(account);
            let others = self.asked(|request| {
                matches!(request, Request::Open { account: other, .. } | Request::Close { account: other }
                    if *other == account.as_str())
            });
            let is_alone = others
                .filter(|other| other.answered >= asked.at - Duration::minutes(1) && other.at <= asked.answered)
                .count()
                == 1;
            let before = self.window_at(&account, asked.at);
            let after = self.window_at(&account, asked.answered);
            if is_alone && after.is_some_and(|window| window.ends > asked.answered) && before != after {
                wrong.push(format!("{account} could not be opened ({error}), and {after:?} is kept"));
            }
        }
        wrong
    }

    fn deleted_in_windows(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (call, step) in self.deletions() {
            let account = id(&call.account);
            let Some(window) = self.window_at(&account, call.at).filter(|window| call.at < window.ends) else {
                continue;
            };
            let made =
                self.changes().filter(|other| other.operation == "CreateLoginProfile" && other.account == call.account);
            let Some(usable) = made.map(|other| other.at).find(|at| *at >= window.opened && *at <= call.at) else {
                continue;
            };
            let closing = self.asked(|request| *request == Request::Close { account: account.to_string() });
            if closing.filter(|close| close.at <= call.at && close.answered >= usable).count() == 0 {
                wrong.push(format!("{step:?} of {account} at {} in {window:?}", call.at));
            }
        }
        wrong
    }

    fn outlived(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.scenario.deployment == Deployment::Audit {
            return wrong;
        }
        let organization = self.played.aws.organization();
        for (account, written) in &self.windows {
            let Some(account) = organization.account(account).map(|details| (account, details)) else { continue };
            let (account, details) = account;
            if details.state != simulator::organization::AccountState::Active {
                continue;
            }
            for (index, Written { at, window }) in written.iter().enumerate() {
                let Some(window) = window else { continue };
                let gone = written[index..].iter().find(|later| later.window.is_none()).map(|later| later.at);
                let until = gone.unwrap_or(window.ends).max(*at);
                let made_within = |created: OffsetDateTime| created >= *at && created <= until;
                let root = &details.root;
                let keys = root.access_keys.iter().map(|key| (format!("key {}", key.id), key.create_date));
                let profile = root.login_profile.iter().map(|profile| ("a password".to_owned(), profile.create_date));
                let left = keys.chain(profile).filter(|(_, created)| made_within(*created));
                wrong.extend(
                    left.map(|(what, created)| format!("{what} of {account}, made at {created} in {window:?}")),
                );
            }
        }
        wrong.dedup();
        wrong
    }

    fn not_closed(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut closings: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for Announced { at, detail, .. } in &self.events {
            if detail["task"]["action"] != "RecoveryClosed" {
                continue;
            }
            let account = id(text(&detail["account"]["id"]));
            let ends = date(&detail["task"]["windowEnds"]);
            let key = (account.to_string(), text(&detail["task"]["windowEnds"]).to_owned());
            closings.entry(key).or_default().insert(text(&detail["id"]).to_owned());
            // The time of an event is that of its second.
            let kept = [*at, *at + Duration::milliseconds(999)].map(|at| self.window_at(&account, at));
            if kept.iter().all(|window| window.is_some_and(|window| window.ends >= ends)) {
                wrong.push(format!("{account} is announced closed at {at}, and {:?} is kept", kept[0]));
            }
        }
        for ((account, ends), ids) in closings {
            if ids.len() > 1 {
                wrong.push(format!("the end of the window of {account} until {ends} is announced {} times", ids.len()));
            }
        }
        wrong
    }

    fn late_answers(&self) -> Vec<String> {
        let late = |error: &str| error.starts_with("Sandbox.Timedout");
        let mut wrong = Vec::new();
        for function in WITH_QUEUE {
            let outcomes = self.played.deployment.outcomes(function).expect("a function");
            let errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).map(ToString::to_string);
            wrong.extend(errors.filter(|error| late(error)).map(|error| format!("{function}: {error}")));
        }
        let answers = self.played.asked.iter().filter_map(|asked| Some((asked, asked.answer.as_ref().err()?)));
        let answers = answers.filter(|(_, error)| late(error));
        wrong.extend(answers.map(|(asked, error)| format!("{:?}: {error}", asked.request)));
        wrong
    }

    fn not_converged(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let late = self.calls.iter().skip(self.played.before_last_audit);
        let late = late.filter(|call| is_root_session(call) && call.mutating && is_done(call));
        wrong.extend(late.map(|call| format!("the last audit still calls {} in {}", call.action(), call.account)));
        if self.scenario.deployment == Deployment::Audit {
            return wrong;
        }
        let reports = self.played.logged("AuditReport");
        let Some(report) = reports.last().filter(|report| report["completeness"]["state"] == "Complete") else {
            wrong.push(format!("the last audit is not complete: {:?}", reports.last()));
            return wrong;
        };
        for record in self.played.logged("AccountRecord").iter().filter(|record| record["run"] == report["run"]) {
            let is_settled = match text(&record["verdict"]) {
                "Clean" | "NotCovered" => true,
                "CredentialsPresent" => record["heldBack"].as_array().is_some_and(|held| !held.is_empty()),
                _ => false,
            };
            if !is_settled {
                wrong.push(format!(
                    "{} is {} in the last audit: {}",
                    record["accountId"], record["verdict"], record["failure"]
                ));
            }
        }
        wrong
    }

    fn own_sessions_reported(&self) -> Vec<String> {
        let is_unroots = |call: &&CallRecord| call.caller.contains(":assumed-role/");
        let own: BTreeSet<_> = self.calls.iter().filter(is_unroots).filter_map(|call| call.opened.clone()).collect();
        let mut wrong = Vec::new();
        for event in &self.events {
            for sign in event.detail["activity"]["signs"].as_array().into_iter().flatten() {
                if let Some(key) = sign["accessKeyId"].as_str().filter(|key| own.contains(*key)) {
                    wrong.push(format!("{key} of our own is reported: {}", event.detail["headline"]));
                }
            }
        }
        wrong
    }

    fn unreported_root(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let logins = self.played.deeds.iter().filter(|deed| deed.name == "ConsoleLogin");
        for deed in logins {
            let in_window = self.windows.get(&deed.account).is_some_and(|written| {
                // Somebody who signs in a moment before or after a window is not who is looked for here.
                let near = |at: OffsetDateTime| (at - deed.at).abs() < Duration::minutes(30);
                written.iter().any(|written| near(written.at)) || self.window_at(&deed.account, deed.at).is_some()
            });
            let is_reported = self.events.iter().any(|event| {
                event.kind == "Root Activity Detected" && event.detail["account"]["id"] == deed.account.as_str()
            });
            if !in_window && !is_reported && !self.is_in_a_dead_letter(deed.account.as_str()) {
                wrong.push(format!("the login in {} at {} is reported nowhere", deed.account, deed.at));
            }
        }
        wrong
    }

    fn secrets(&self) -> Vec<String> {
        let mut output: Vec<_> = self.events.iter().map(|event| event.detail.to_string()).collect();
        output.extend(self.played.asked.iter().map(|asked| format!("{:?}", asked.answer)));
        for function in crate::in_process::FUNCTIONS {
            output.extend(self.played.deployment.logs(function).expect("a function").iter().map(Value::to_string));
        }
        let shows = |line: &&String| SECRETS.iter().any(|secret| line.contains(secret));
        output.iter().filter(shows).cloned().collect()
    }
}

/// A root credential by the call that deletes it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    LoginProfile,
    AccessKey(String),
    Certificate(String),
    MfaDevice(String),
}

impl Step {
    fn of(call: &CallRecord) -> Option<Self> {
        let input = |member: &str| call.input[member].as_str().unwrap_or_default().to_owned();
        Some(match call.operation.as_str() {
            "DeleteLoginProfile" => Self::LoginProfile,
            "DeleteAccessKey" => Self::AccessKey(input("AccessKeyId")),
            "DeleteSigningCertificate" => Self::Certificate(input("CertificateId")),
            "DeactivateMFADevice" => Self::MfaDevice(input("SerialNumber")),
            _ => return None,
        })
    }

    fn is_in(&self, root: &RootCredentials) -> bool {
        match self {
            Self::LoginProfile => root.login_profile.is_some(),
            Self::AccessKey(id) => root.access_keys.iter().any(|key| key.id == *id),
            Self::Certificate(id) => root.signing_certificates.iter().any(|certificate| certificate.id == *id),
            Self::MfaDevice(serial) => root.mfa_devices.iter().any(|device| device.serial_number == *serial),
        }
    }
}

/// The steps of a list such as `removed`.
fn steps(list: &Value) -> Vec<Step> {
    let step = |step: &Value| {
        let id = step["id"].as_str().unwrap_or_default().to_owned();
        match step["operation"].as_str()? {
            "DeleteLoginProfile" => Some(Step::LoginProfile),
            "DeleteAccessKey" => Some(Step::AccessKey(id)),
            "DeleteSigningCertificate" => Some(Step::Certificate(id)),
            "DeactivateMFADevice" => Some(Step::MfaDevice(id)),
            _ => None,
        }
    };
    list.as_array().into_iter().flatten().filter_map(step).collect()
}

/// The steps that would delete what was found.
fn steps_of(found: &Value) -> Vec<Step> {
    let list = |name: &str, id: &str, step: fn(String) -> Step| {
        let items = found[name].as_array().cloned().unwrap_or_default();
        items.into_iter().filter_map(|item| Some(step(item[id].as_str()?.to_owned()))).collect::<Vec<_>>()
    };
    let mut steps = list("accessKeys", "id", Step::AccessKey);
    steps.extend(list("signingCertificates", "id", Step::Certificate));
    steps.extend(list("mfaDevices", "serialNumber", Step::MfaDevice));
    if found["loginProfile"].is_object() {
        steps.push(Step::LoginProfile);
    }
    steps
}

/// What the writes to the table made of the windows.
fn windows(calls: &[CallRecord]) -> BTreeMap<AccountId, Vec<Written>> {
    let mut windows: BTreeMap<AccountId, Vec<Written>> = BTreeMap::new();
    let mut tokens = BTreeSet::new();
    for call in calls.iter().filter(|call| is_done(call)) {
        // A transaction that is sent again is not done again.
        if let Some(token) = call.input["ClientRequestToken"].as_str()
            && !tokens.insert(token)
        {
            continue;
        }
        let mut write = |account: &Value, window| {
            windows.entry(id(text(&account["S"]))).or_default().push(Written { at: call.at, window });
        };
        let is_window = |item: &Value| item["pk"]["S"] == "recovery-window";
        match call.operation.as_str() {
            "TransactWriteItems" => {
                for put in call.input["TransactItems"].as_array().into_iter().flatten() {
                    let item = &put["Put"]["Item"];
                    if is_window(item) {
                        let window = Window { opened: date(&item["opened"]["S"]), ends: date(&item["ends"]["S"]) };
                        write(&item["sk"], Some(window));
                    }
                }
            }
            "DeleteItem" if is_window(&call.input["Key"]) => write(&call.input["Key"]["sk"], None),
            _ => {}
        }
    }
    windows
}

fn is_root_session(call: &CallRecord) -> bool {
    call.caller.ends_with(":root")
}

fn is_done(call: &CallRecord) -> bool {
    matches!(call.outcome, Outcome::Success | Outcome::NoAnswer { done: true })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn date(value: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(text(value), &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
