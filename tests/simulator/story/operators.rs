//! The chapter in which people ask Unroot for something: a recovery window, and a bucket that is to be unlocked.

use anyhow::Result;
use simulator::deployment::Deployment;
use simulator::organization::AccountId;

use super::news::{self, Change};
use super::stage::changed_an_account;
use super::unlocking::{self, Unlocking};
use super::{Teller, recovery};

impl Teller {
    /// The chapter in which people ask Unroot for something.
    pub(super) async fn tell_of_operators(&mut self, deployment: &Deployment) -> Result<Unlocking> {
        self.chapter(
            "5. An owner forgot his password, and a bucket is locked",
            "An operator lets the owner of payments set a new root password, for a day. Whatever is made meanwhile goes \
             at its end.",
        );
        let account: AccountId = recovery::ACCOUNT.parse()?;
        let opened = recovery::open(&self.stage, deployment, &account).await?;
        recovery::show_opened(&self.console, &account, &opened)?;
        self.happened.push(Change::new(account.as_str(), news::TASK, Vec::new()));

        self.remark(
            "The owner recovers the password, signs in, registers an MFA device and makes an access key. GuardDuty sees \
             it, and nobody is alarmed. Who asks for an audit of the account is told why there is none.",
        );
        let used = recovery::used(&self.stage, deployment, &account).await?;
        recovery::show_used(&self.console, &used, &self.traces());
        self.happened.push(Change::new(account.as_str(), news::ACTIVITY, Vec::new()));
        self.find(
            "nobody was mailed of the owner's work in his recovery window".to_owned(),
            news::mails(&used.aftermath.told),
        );
        self.oracle.recovered(&account, used.holds);

        self.remark("The day is over, and the one-time schedule fires:");
        let ended = recovery::end(&self.stage, deployment, &opened).await?;
        recovery::show_end(&self.console, &ended);
        let removed = ended.calls.iter().filter(|call| changed_an_account(call)).map(|call| call.operation.clone());
        self.happened.push(Change::new(account.as_str(), news::TASK, removed.collect()));
        let claim = format!("the verdict on {account} at the end of its recovery window is true");
        self.find(claim, self.oracle.verdicts(&ended.records, &self.stage.aws.organization()));
        let left = recovery::left(&self.stage, deployment, &account).await?;
        self.find("of the recovery window no schedule, no credential and no trace is left".to_owned(), left);

        self.remark("Another operator is called because nobody can open a bucket, nor change its policy.");
        let unlocking = unlocking::unlock(&self.stage, deployment).await?;
        unlocking::show(&self.console, &unlocking)?;
        self.happened.push(Change::new(unlocking.account().as_str(), news::TASK, Vec::new()));
        Ok(unlocking)
    }

    pub(super) fn expect_unlocked(&mut self, unlocking: &Unlocking) -> Result<()> {
        let wrong = unlocking.differences(&self.stage)?;
        self.find("the unlocked policy is saved as it was, and no other was changed".to_owned(), wrong);
        Ok(())
    }
}
