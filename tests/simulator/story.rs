//! The story: Unroot at work on a simulated organization, from the first look to the proof that nothing was claimed that
//! is not so.
//!
//! It must not know better than a user could: what happened it takes from the functions' logs and from AWS, and what
//! should have happened from the organization as it was.

mod aftermath;
mod arrivals;
mod audit;
mod by_hand;
mod console;
mod evidence;
mod intrusion;
mod memory;
mod news;
mod operators;
mod oracle;
mod record;
mod recovery;
mod request;
mod stage;
mod traces;
mod unlocking;
mod verdicts;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use simulator::aws::CallRecord;
use simulator::binaries::Binaries;
use simulator::deployment::Deployment;
use simulator::organization::{AccountId, EXEMPT_TAG, FULL_AWS_ACCESS, Organization};

use arrivals::Arrival;
use audit::Audit;
use console::Console;
use intrusion::{Intrusion, OpenedByHand};
use news::{Change, News};
use oracle::Oracle;
use record::Verdict;
use stage::{Mode, REGION, Stage, UNLOCK_POLICY, changed_an_account};
use tokio::sync::mpsc::UnboundedReceiver;
use traces::Traces;

/// Tells the story on standard output.
///
/// The evidence of the last audit is left in a folder. Fails if a step fails, or if in the end anything is not as it
/// should be.
pub(crate) async fn tell(options: crate::Story) -> Result<()> {
    let evidence = options.evidence.unwrap_or_else(evidence::default_folder);
    let latency = Duration::from_millis(options.latency);
    let stage = Stage::set(Organization::sample(options.accounts as usize)?, latency).await?;
    let mut teller = Teller::new(Console::new(), stage);
    teller.introduce();
    Binaries::build().await?;

    let began = tokio::time::Instant::now();
    let auditing = teller.stage.deploy(Mode::Audit).await?;
    let functions: Vec<_> = auditing.functions().collect();
    let gist = format!(
        "Deployed: {}, with their roles, queues and triggers. The default mode only reports; the roles lack the task \
         that can delete.",
        functions.join(", ")
    );
    teller.chapter("1. The schedule fires: Mode=Audit", &gist);
    let audit = teller.audit("the audit in Audit mode", &auditing).await?;
    teller.expect_no_change("the audit in Audit mode", &audit);
    teller.happened.extend(teller.oracle.news_of_audit());
    teller.news.push(News::of(Mode::Audit, &auditing)?);
    drop(auditing);

    teller.chapter(
        "2. Deployed anew: Mode=Enforce",
        "What is found is removed, MFA last, and read again before anything is claimed. A key in use is held back.",
    );
    let enforcing = teller.stage.deploy(Mode::Enforce).await?;
    teller.audit("the audit in Enforce mode", &enforcing).await?;

    teller.chapter(
        "3. Accounts join",
        "AWS announces a created account, and needs five more minutes to set it up. Until then it opens no root session \
         there.",
    );
    let created = arrivals::follow(&teller.stage, &enforcing, arrivals::create).await?;
    let created_id = created.id.clone();
    teller.welcome(created);
    teller.remark("An invited account brings along what its root user had: a password and an access key.");
    let invited = arrivals::follow(&teller.stage, &enforcing, arrivals::invite).await?;
    let invited_id = invited.id.clone();
    teller.welcome(invited);

    teller.stage.aws.watch(intrusion::watch());
    let watched = teller.stage.aws.events();
    let gist = format!(
        "From here on GuardDuty watches too, in {}. First an administrator of the management account gives team-green \
         its root password back, past Unroot.",
        intrusion::GUARD_DUTY_REGIONS.join(", ")
    );
    teller.chapter("4. Somebody signs in as root", &gist);
    let opened = intrusion::prepare(&teller.stage, &enforcing, &created_id).await?;
    teller.tell_of_session(&opened, &created_id);
    teller.remark(
        "Somebody else reads the mail of team-green. In eight seconds he recovers the password, signs in, registers an \
         MFA device and makes an access key.",
    );
    let intrusion = intrusion::follow(&teller.stage, &enforcing, &created_id).await?;
    teller.tell_of_intrusion(intrusion);
    let told = News::of(Mode::Enforce, &enforcing)?;
    let remark = "The mail, as it arrived. The simulated time has skipped ahead of the function's clock:";
    teller.show_mail(remark, &told, &created_id, "Root user of ");

    let unlocking = teller.tell_of_operators(&enforcing).await?;

    teller.chapter(
        "6. The schedule fires again",
        "Nothing is left to do, and nothing is done. Each of Unroot's own root sessions comes back as root activity.",
    );
    let second = teller.audit("the second audit", &enforcing).await?;
    teller.show_traces(&second.events, &second.calls);
    teller.expect_no_change("the second audit", &second);
    teller.expect_no_reaction(watched);

    teller.chapter(
        "7. What is left for a person",
        "Each account that is not known to be empty, and what to do about it.",
    );
    teller.sum_up(&second);

    teller.news.push(News::of(Mode::Enforce, &enforcing)?);
    teller.chapter(
        "8. What people were told, and the evidence",
        "What is news is told once. An audit sends at most 20 mails about accounts, and one that sums up the rest.",
    );
    teller.show_news(&invited_id);
    teller.leave_evidence(&evidence)?;

    teller.expect_unlocked(&unlocking)?;
    teller.expect_nothing_lost(&enforcing)?;
    teller.expect_told();
    teller.expect_evidence(&second)?;
    teller.chapter("9. Is it true?", "What was claimed, against what the simulated accounts really hold.");
    teller.conclude(began.elapsed())
}

struct Teller {
    console: Console,
    stage: Stage,
    oracle: Oracle,
    findings: Vec<Finding>,
    /// What was told in each deployment so far.
    news: Vec<News>,
    /// What should have been told, but for what the calls show.
    happened: Vec<Change>,
    /// The access keys of who called AWS and is not Unroot.
    others: BTreeSet<String>,
}

/// Something that should be so, and all that speaks against it.
struct Finding {
    claim: String,
    counterexamples: Vec<String>,
}

impl Teller {
    fn new(console: Console, stage: Stage) -> Self {
        let oracle = Oracle::new(stage.aws.organization());
        let (findings, news, happened) = (Vec::new(), Vec::new(), Vec::new());
        Self { console, stage, oracle, findings, news, happened, others: BTreeSet::new() }
    }

    fn introduce(&self) {
        let Self { console, stage, .. } = self;
        let organization = stage.aws.organization();
        console.title("Unroot, at work on a simulated AWS organization");
        console.paragraph(
            "The functions are the real binaries, deployed from template.yaml. AWS is simulated, on 127.0.0.1: nothing \
             leaves this machine.",
        );
        console.blank();
        let exempt = organization.tagged(EXEMPT_TAG);
        let audit_account = organization.audit_account().map(ToString::to_string).unwrap_or_default();
        let features: Vec<_> = organization.features.iter().map(|feature| format!("{feature:?}")).collect();
        let units = organization.units.len().saturating_sub(1);
        let mut facts = vec![
            ("organization", format!("{}, {} accounts in {units} units", organization.id, organization.accounts.len())),
            ("management", organization.management_account.to_string()),
            ("audit account", format!("{audit_account}, delegated administrator for IAM; the stack is in {REGION}")),
            ("features", features.join(", ")),
            ("exempt", exempt.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ];
        facts.extend(policies(&organization).into_iter().map(|policy| ("policy", policy)));
        console.facts(facts);
        console.blank();
        console.paragraph("Building the functions");
    }

    fn chapter(&self, title: &str, gist: &str) {
        self.console.heading(title);
        self.console.paragraph(gist);
        self.console.blank();
    }

    fn remark(&self, text: &str) {
        self.console.blank();
        self.console.paragraph(text);
        self.console.blank();
    }

    /// `what` names the audit in the findings.
    async fn audit(&mut self, what: &str, deployment: &Deployment) -> Result<Audit> {
        let audit = audit::run(&self.console, &self.stage, deployment).await?;
        audit::show(&self.console, &audit);
        let now = self.stage.aws.organization();
        let claim = format!("each of the {} verdicts of {what} is true", audit.records.len());
        self.find(claim, self.oracle.verdicts(&audit.records, &now));
        self.find(format!("{what} has one verdict on each account"), Oracle::completeness(&audit.records, &now));
        Ok(audit)
    }

    fn welcome(&mut self, arrival: Arrival) {
        arrivals::show(&self.console, &arrival);
        let Arrival { id, account, records, .. } = arrival;
        let claim = format!("the verdict on {id} {}, which joined, is true", account.name);
        self.oracle.joined(id, account);
        let last: Vec<_> = records.into_iter().next_back().into_iter().collect();
        self.find(claim, self.oracle.verdicts(&last, &self.stage.aws.organization()));
    }

    fn tell_of_session(&mut self, opened: &OpenedByHand, account: &AccountId) {
        self.others.extend(opened.keys.iter().cloned());
        intrusion::show_session(&self.console, opened);
        self.happened.push(Change::new(account.as_str(), news::ACTIVITY, Vec::new()));
    }

    fn tell_of_intrusion(&mut self, intrusion: Intrusion) {
        intrusion::show(&self.console, &intrusion, &self.traces());
        self.show_traces(&intrusion.aftermath.events, &intrusion.aftermath.calls);
        let Intrusion { account, left_behind, aftermath, .. } = intrusion;
        let claim = format!("the verdicts on {account} after the use of its root user are true");
        self.find(claim, self.oracle.verdicts(&aftermath.records, &self.stage.aws.organization()));
        let changes = aftermath.calls.iter().filter(|call| changed_an_account(call));
        let removed = changes.map(|call| call.operation.clone()).collect();
        self.happened.push(Change::new(account.as_str(), news::ACTIVITY, removed));
        self.oracle.was_given(&account, left_behind);
    }

    /// What CloudTrail and GuardDuty told of our own root sessions, and what followed from that.
    fn show_traces(&self, events: &[Value], calls: &[CallRecord]) {
        let own = self.traces();
        let answered = match own.answered(events, calls).as_slice() {
            [] => "none of them answered".to_owned(),
            accounts => format!("answered in {} accounts", accounts.len()),
        };
        self.console.facts([("own traces", format!("{} about these root sessions, {answered}", own.count(events)))]);
    }

    fn traces(&self) -> Traces {
        Traces::of(&self.own_calls())
    }

    /// The calls of the functions.
    fn own_calls(&self) -> Vec<CallRecord> {
        let calls = self.stage.aws.calls().into_iter();
        calls.filter(|call| !self.others.contains(&call.access_key_id)).collect()
    }

    fn expect_no_reaction(&mut self, mut watched: UnboundedReceiver<Value>) {
        let events: Vec<_> = std::iter::from_fn(|| watched.try_recv().ok()).collect();
        let own = self.traces();
        let count = own.count(&events);
        let mut wrong = own.answered(&events, &self.own_calls());
        wrong.extend(count.is_partial().then(|| format!("our own root sessions show up in {count} only")));
        self.find("no root session was opened because of another".to_owned(), wrong);
    }

    fn expect_no_change(&mut self, what: &str, audit: &Audit) {
        let changes = audit.calls.iter().filter(|call| changed_an_account(call));
        let changes = changes.map(|call| format!("{} in {}", call.action(), call.account)).collect();
        self.find(format!("{what} changed no account"), changes);
    }

    fn expect_nothing_lost(&mut self, deployment: &Deployment) -> Result<()> {
        let mut lost = aftermath::undelivered(&deployment.deliveries());
        // Only people invoke `unlock-policy`: it has no queue.
        for function in deployment.functions().filter(|function| *function != UNLOCK_POLICY) {
            let letters = deployment.dead_letters(function)?;
            lost.extend(letters.iter().map(|letter| format!("set aside for {function}: {}", letter.body)));
        }
        self.find("every event arrived, and no message was set aside".to_owned(), lost);
        Ok(())
    }

    fn show_news(&self, account: &AccountId) {
        news::show(&self.console, &self.news);
        for news in &self.news {
            self.show_mail("One of the mails, as it arrived:", news, account, "");
        }
    }

    /// Shows the first mail about the account that says something, if there is one.
    fn show_mail(&self, remark: &str, news: &News, account: &AccountId, says: &str) {
        if let Some(mail) = news.mail_about(account.as_str(), says) {
            self.remark(remark);
            news::show_mail(&self.console, mail);
        }
    }

    fn leave_evidence(&self, folder: &Path) -> Result<()> {
        let files = evidence::write(&self.stage.evidence(), folder)?;
        self.remark(&format!("The evidence of the last audit: {}. The report opens in a browser:", files.join(", ")));
        self.console.verbatim(&evidence::address(&folder.join("report.html"))?);
        Ok(())
    }

    fn expect_told(&mut self) {
        let mut happened = self.happened.clone();
        happened.extend(Oracle::news_of_calls(&self.own_calls()));
        let told: Vec<_> = self.news.iter().flat_map(News::changes).collect();
        let (activity, changes): (Vec<_>, Vec<_>) = happened.into_iter().partition(Change::is_activity);
        let (told_activity, told): (Vec<_>, Vec<_>) = told.into_iter().partition(Change::is_activity);
        let claim = format!("each of {} changes was told once, and nothing else", changes.len());
        self.find(claim, news::told_otherwise(&changes, &told));
        let claim = "each use of root was told once, and nothing else as root activity".to_owned();
        self.find(claim, news::told_otherwise(&activity, &told_activity));
        let mails: usize = self.news.iter().map(|news| news.mails.len()).sum();
        let claim = format!("each event that asks to be notified came as a mail, {mails} in all");
        self.find(claim, self.news.iter().flat_map(News::mailed_otherwise).collect());
    }

    fn expect_evidence(&mut self, audit: &Audit) -> Result<()> {
        let (objects, items) = (self.stage.evidence(), self.stage.state());
        let differences = evidence::differences(&objects, &audit.records, &self.stage.aws.organization())?;
        self.find("the evidence says of each account what the log says, once".to_owned(), differences);
        let forgotten = memory::forgotten_sessions(&self.own_calls(), &items);
        self.find("each root session that was opened is remembered".to_owned(), forgotten);

        let place = |text: &str| text.to_owned();
        let events = self.news.iter().flat_map(|news| &news.events).map(|event| (place("an event"), event.to_string()));
        let mails = self.news.iter().flat_map(|news| &news.mails).map(|mail| (place("a mail"), mail.clone()));
        let objects = objects.iter().map(|(key, bytes)| (key.clone(), String::from_utf8_lossy(bytes).into_owned()));
        let items = items.iter().map(|item| (place("an item of the table"), item.to_string()));
        let secrets = memory::secrets_in(events.chain(mails).chain(objects).chain(items));
        self.find("no secret is in an event, a mail, the evidence or the table".to_owned(), secrets);
        Ok(())
    }

    fn find(&mut self, claim: String, counterexamples: Vec<String>) {
        self.findings.push(Finding { claim, counterexamples });
    }

    fn sum_up(&self, audit: &Audit) {
        let emptied = self.oracle.emptied(&self.stage.aws.organization());
        verdicts::show(&self.console, &audit.records);
        let totals = Verdict::count(&audit.records);
        let totals: Vec<_> = totals.into_iter().map(|(verdict, count)| format!("{count} {}", verdict.name())).collect();
        self.console.paragraph(&format!("{} accounts: {}.", audit.records.len(), totals.join(", ")));
        self.console.paragraph(&format!("{emptied} accounts had root credentials and have none any more."));
    }

    fn conclude(&mut self, took: Duration) -> Result<()> {
        let now = self.stage.aws.organization();
        let calls = self.own_calls();
        self.find("every account holds what it should hold, and nothing else".to_owned(), self.oracle.accounts(&now));
        self.find(
            "nothing was changed that is to be left alone, and MFA went last".to_owned(),
            self.oracle.calls(&calls),
        );
        for Finding { claim, counterexamples } in &self.findings {
            self.console.finding(claim, counterexamples);
        }
        let wrong = self.findings.iter().filter(|finding| !finding.counterexamples.is_empty()).count();
        if wrong > 0 {
            bail!("{wrong} of {} claims do not hold", self.findings.len());
        }
        self.console.blank();
        self.console.paragraph(&format!("All of it holds. The story took {:.0} s.", took.as_secs_f64()));
        Ok(())
    }
}

/// The service control policies that AWS does not attach by itself, and where they are.
fn policies(organization: &Organization) -> Vec<String> {
    let attached = organization.units.iter().flat_map(|(id, unit)| {
        let own = unit.service_control_policies.iter().filter(|policy| *policy != FULL_AWS_ACCESS);
        own.map(move |policy| (id, unit, policy))
    });
    let below = |id| organization.accounts.values().filter(|a| organization.ancestry(&a.parent).contains(&id)).count();
    attached.map(|(id, unit, policy)| format!("{policy} on {} ({} accounts)", unit.name, below(id))).collect()
}

#[cfg(test)]
mod tests {
    use simulator::clock::Clock;
    use simulator::organization::{LoginProfile, RootCredentials};

    use super::*;

    /// With no root credentials anywhere nothing is to be done, and the story ends well.
    #[tokio::test]
    async fn an_account_that_ends_otherwise_than_it_should_fails_the_story() {
        let mut organization = Organization::sample(30).unwrap();
        for account in organization.accounts.values_mut() {
            account.root = RootCredentials::default();
        }
        let stage = Stage::set(organization, Duration::ZERO).await.unwrap();
        let mut teller = Teller::new(Console::silent(), stage);
        teller.conclude(Duration::ZERO).unwrap();

        let webshop = "444455556666".parse().unwrap();
        teller.stage.aws.with_organization(|organization| {
            let password = LoginProfile { create_date: Clock::of_machine().now() };
            organization.accounts.get_mut(&webshop).unwrap().root.login_profile = Some(password);
        });
        let error = teller.conclude(Duration::ZERO).unwrap_err();
        assert!(error.to_string().starts_with("1 of "), "{error}");
    }
}
