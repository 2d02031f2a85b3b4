//! A bucket whose policy denies everyone, and what an operator can do about it.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use simulator::aws::Aws;
use simulator::deployment::Deployment;
use simulator::organization::{AccountBucket, AccountId, Organization};
use simulator::policy::WrittenPolicy;

use super::console::Console;
use super::request;
use super::stage::{Stage, UNLOCK_POLICY};

/// Buckets of the sample organization, both in Regions where nothing of Unroot is: one whose policy denies everyone, and
/// one whose policy does no harm.
const LOCKED: &str = "webshop-orders";
const HARMLESS: &str = "webshop-images";

pub(crate) struct Unlocking {
    account: AccountId,
    locked: AccountBucket,
    refusal: String,
    answer: Value,
}

/// An operator asks for the wrong bucket, and then for the right one.
pub(crate) async fn unlock(stage: &Stage, deployment: &Deployment) -> Result<Unlocking> {
    let organization = stage.aws.organization();
    let mut buckets = organization.buckets();
    let (account, locked) = buckets.find(|(_, bucket)| bucket.name == LOCKED).context("no bucket is locked")?;
    let refusal = request::refused(deployment, UNLOCK_POLICY, &asking(account, HARMLESS)).await?;
    let answer = request::granted(deployment, UNLOCK_POLICY, &asking(account, LOCKED)).await?;
    Ok(Unlocking { account: account.clone(), locked: locked.clone(), refusal, answer })
}

pub(crate) fn show(console: &Console, unlocking: &Unlocking) -> Result<()> {
    let Unlocking { account, locked, refusal, answer } = unlocking;
    let verified = format!("{}: {}", request::text(answer, "action")?, request::text(answer, "verified")?);
    let policy = locked.policy.as_ref().map(WrittenPolicy::text).unwrap_or_default();
    let policy: Value = serde_json::from_str(policy)?;
    let statements = policy.get("Statement").and_then(Value::as_array).into_iter().flatten();
    let in_words = |statement: &Value| {
        let said = ["Effect", "Principal", "Action"]
            .iter()
            .map(|member| format!("{member} {}", statement.get(*member).cloned().unwrap_or_default()));
        said.collect::<Vec<_>>().join(", ")
    };
    let (folder, _) = key(answer)?.rsplit_once('/').unwrap_or_default();
    console.facts([
        ("bucket", format!("{LOCKED} of {account}, in {}", locked.region)),
        ("its policy", statements.map(in_words).collect::<Vec<_>>().join("; ")),
        ("refused", format!("{HARMLESS}: {refusal}")),
        ("answer", verified),
        ("saved", format!("in the evidence bucket, under {folder}; to put it back:")),
    ]);
    console.blank();
    console.verbatim(request::text(answer, "restoreCommand")?);
    Ok(())
}

impl Unlocking {
    pub(crate) fn account(&self) -> &AccountId {
        &self.account
    }

    /// What is saved otherwise than it was, and each policy in the organization that is otherwise than it should be.
    pub(crate) fn differences(&self, stage: &Stage) -> Result<Vec<String>> {
        let key = key(&self.answer)?;
        let saved = stage.evidence().remove(key).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let was_there = self.locked.policy.as_ref().map(|policy| policy.text().to_owned());
        let mut wrong: Vec<_> = (saved != was_there)
            .then(|| format!("saved under {key} is {saved:?}, and was {was_there:?}"))
            .into_iter()
            .collect();
        wrong.extend(other_policies(&stage.aws, &stage.aws.organization()));
        Ok(wrong)
    }
}

/// Under which key of the evidence bucket the policy is saved, of `s3://bucket/key`.
fn key(answer: &Value) -> Result<&str> {
    let saved = request::text(answer, "savedPolicy")?;
    saved.splitn(4, '/').nth(3).with_context(|| format!("`{saved}` is no object"))
}

/// Each policy that is not as it was at first; that of the locked bucket should be gone.
fn other_policies(aws: &Aws, beginning: &Organization) -> Vec<String> {
    let buckets = beginning.buckets().map(|(_, bucket)| {
        let began = bucket.policy.as_ref().filter(|_| bucket.name != LOCKED).map(|policy| policy.text().to_owned());
        (bucket.name.clone(), began, aws.bucket_policy(&bucket.name))
    });
    let queues = beginning.queues().map(|(account, queue)| {
        let now = aws.queues().policy(&format!("arn:aws:sqs:{}:{account}:{}", queue.region, queue.name));
        let text = |policy: &WrittenPolicy| policy.text().to_owned();
        (queue.name.clone(), queue.policy.as_ref().map(text), now.as_ref().map(text))
    });
    let differing = buckets.chain(queues).filter(|(_, expected, now)| expected != now);
    differing.map(|(name, expected, now)| format!("{name} has the policy {now:?}, not {expected:?}")).collect()
}

fn asking(account: &AccountId, bucket: &str) -> Value {
    json!({"account": account, "bucket": bucket, "reason": "nobody can read the bucket", "ticket": "OPS-4712"})
}

#[cfg(test)]
mod tests {
    use simulator::clock::Clock;

    use super::*;

    #[test]
    fn a_policy_that_is_left_or_that_is_changed_is_found() {
        let organization = Organization::sample(30).unwrap();
        let aws = Aws::new(organization.clone(), Clock::default());
        assert_eq!(other_policies(&aws, &organization).len(), 1, "the locked bucket still has its policy");
        let harmless = json!({"Version": "2012-10-17", "Statement": []});
        aws.put_bucket_policy(HARMLESS, &harmless).unwrap();
        let wrong = other_policies(&aws, &organization);
        assert!(wrong.len() == 2 && wrong.iter().any(|wrong| wrong.starts_with(HARMLESS)), "{wrong:?}");
    }
}
