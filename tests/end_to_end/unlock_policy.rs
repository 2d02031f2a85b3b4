//! `unlock-policy`: buckets and queues that are unlocked, and all that is left as it is.

use serde_json::{Value, json};
use simulator::aws::{CallRecord, Fault, FaultKind};
use simulator::organization::{AccountBucket, AccountQueue, Feature};
use simulator::policy::WrittenPolicy;

use crate::root_activity::remember_window;
use crate::stage::{
    ACQUIRED, AUDIT, EXEMPT, MANAGEMENT, SHOP, STS_OFF, SUSPENDED, Stage, UNLOCK_POLICY, auditing, changed, enforcing,
    id, organization, organization_with,
};

/// Locked buckets and queues of the shop, in another Region than the function's.
pub(crate) const LOCKED_BUCKET: &str = "shop-orders";
pub(crate) const LOCKED_QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/444455556666/orders";
pub(crate) const LOCKED_QUEUE_ARN: &str = "arn:aws:sqs:eu-west-1:444455556666:orders";

/// Those that lock nobody out.
const WEBSITE: &str = "shop-website";
const NEWSLETTER: &str = "https://sqs.us-east-1.amazonaws.com/444455556666/newsletter";
const NEWSLETTER_ARN: &str = "arn:aws:sqs:us-east-1:444455556666:newsletter";

pub(crate) fn bucket(account: &str, name: &str) -> Value {
    json!({"account": account, "bucket": name, "reason": "nobody can read it", "ticket": "OPS-2"})
}

pub(crate) fn queue(account: &str, url: &str) -> Value {
    json!({"account": account, "queueUrl": url, "reason": "nobody can read it", "ticket": "OPS-2"})
}

fn with(mut request: Value, field: &str, value: Value) -> Value {
    request[field] = value;
    request
}

async fn ask(stage: &Stage, request: &Value) -> Result<Value, String> {
    stage.ask(UNLOCK_POLICY, request).await
}

/// The policy of a queue as it is now.
pub(crate) fn queue_policy(stage: &Stage, arn: &str) -> Option<String> {
    stage.aws.queues().policy(arn).map(|written| written.text().to_owned())
}

/// What was saved at the place that an answer or an error names.
fn saved_at(stage: &Stage, place: &str) -> String {
    let key = place.strip_prefix("s3://unroot-evidencebucket-simulated/").unwrap();
    String::from_utf8(stage.evidence()[key].clone()).unwrap()
}

/// The calls in which a policy was read, saved or changed, in order and each with its Region.
fn calls(stage: &Stage) -> Vec<String> {
    let calls = stage.aws.calls().into_iter().filter(|call| matches!(call.service.as_str(), "s3" | "sqs"));
    calls.map(|call| format!("{} {}", call.action(), call.region)).collect()
}

/// The calls that changed something outside the account of the function.
fn changes_in_members(stage: &Stage) -> Vec<CallRecord> {
    stage.aws.calls().into_iter().filter(|call| changed(call) && call.account != AUDIT).collect()
}

#[tokio::test(start_paused = true)]
async fn a_bucket_in_another_region_is_unlocked() {
    let stage = Stage::enforcing().await;
    let policy = stage.aws.bucket_policy(LOCKED_BUCKET).unwrap();
    let answer = ask(&stage, &bucket(SHOP, LOCKED_BUCKET)).await.unwrap();
    assert_eq!(answer["action"], "BucketPolicyRemoved");
    assert_eq!(answer["verified"], "the bucket shop-orders was read again and has no policy");
    assert_eq!(stage.aws.bucket_policy(LOCKED_BUCKET), None);
    let place = answer["savedPolicy"].as_str().unwrap();
    assert!(place.contains("/policies/444455556666/shop-orders/20"), "{place}");
    assert_eq!(saved_at(&stage, place), policy);
    let restore = format!(
        "aws s3 cp {place} policy.json && aws s3api put-bucket-policy --region eu-west-1 --bucket shop-orders \
         --policy file://policy.json"
    );
    assert_eq!(answer["restoreCommand"], restore);
    assert_eq!(stage.sessions(), [format!("S3UnlockBucketPolicy {SHOP}")]);
    let expected = [
        "s3:ListBuckets eu-central-1",
        "s3:GetBucketPolicy eu-west-1",
        "s3:PutObject eu-central-1",
        "s3:DeleteBucketPolicy eu-west-1",
        "s3:GetBucketPolicy eu-west-1",
    ];
    assert_eq!(calls(&stage), expected);
    let [event] = &stage.events()[..] else { panic!("not one event") };
    let task = &event["detail"]["task"];
    assert_eq!((&task["ticket"], &task["savedPolicy"]), (&json!("OPS-2"), &json!(place)));
    assert_eq!(task["resource"], "arn:aws:s3:::shop-orders");

    let again = ask(&stage, &bucket(SHOP, LOCKED_BUCKET)).await.unwrap();
    assert_eq!(
        (&again["action"], &again["verified"]),
        (&json!("Nothing"), &json!("the bucket shop-orders has no policy"))
    );
    assert_eq!((stage.events().len(), changes_in_members(&stage).len()), (1, 1));
    stage.check_promises(&organization());
}

#[tokio::test(start_paused = true)]
async fn a_queue_in_another_region_is_unlocked() {
    let stage = Stage::enforcing().await;
    let policy = queue_policy(&stage, LOCKED_QUEUE_ARN).unwrap();
    let answer = ask(&stage, &queue(SHOP, LOCKED_QUEUE)).await.unwrap();
    assert_eq!(answer["action"], "QueuePolicyRemoved");
    assert_eq!(queue_policy(&stage, LOCKED_QUEUE_ARN), None);
    let place = answer["savedPolicy"].as_str().unwrap();
    assert!(place.contains("/policies/444455556666/eu-west-1/orders/20"), "{place}");
    assert_eq!(saved_at(&stage, place), policy);
    let restore = answer["restoreCommand"].as_str().unwrap();
    assert!(
        restore.starts_with(&format!("aws s3 cp {place} policy.json && aws sqs set-queue-attributes")),
        "{restore}"
    );
    assert!(restore.contains(&format!("--region eu-west-1 --queue-url {LOCKED_QUEUE} ")), "{restore}");
    assert_eq!(stage.sessions(), [format!("SQSUnlockQueuePolicy {SHOP}")]);
    let expected = [
        "sqs:GetQueueAttributes eu-west-1",
        "s3:PutObject eu-central-1",
        "sqs:SetQueueAttributes eu-west-1",
        "sqs:GetQueueAttributes eu-west-1",
    ];
    assert_eq!(calls(&stage), expected);
    assert_eq!(stage.tasks_told(), [format!("QueuePolicyRemoved {SHOP}")]);
    assert_eq!(stage.events()[0]["detail"]["task"]["resource"], LOCKED_QUEUE_ARN);
    assert_eq!(ask(&stage, &queue(SHOP, LOCKED_QUEUE)).await.unwrap()["action"], "Nothing");
    assert_eq!((stage.events().len(), changes_in_members(&stage).len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_replacement_takes_the_place_of_the_policy() {
    let stage = Stage::enforcing().await;
    let administrator = "arn:aws:iam::444455556666:role/administrator";
    let allow = |action: &str, resource: &str| {
        let statement =
            json!({"Effect": "Allow", "Principal": {"AWS": administrator}, "Action": action, "Resource": resource});
        json!({"Version": "2012-10-17", "Statement": [statement]})
    };
    let parsed = |text: Option<String>| serde_json::from_str::<Value>(&text.unwrap()).unwrap();
    let old = stage.aws.bucket_policy(LOCKED_BUCKET).unwrap();
    let new = allow("s3:*", "arn:aws:s3:::shop-orders");
    let answer = ask(&stage, &with(bucket(SHOP, LOCKED_BUCKET), "policy", new.clone())).await.unwrap();
    assert_eq!(answer["action"], "BucketPolicyReplaced");
    assert_eq!(parsed(stage.aws.bucket_policy(LOCKED_BUCKET)), new);
    assert_eq!(saved_at(&stage, answer["savedPolicy"].as_str().unwrap()), old);

    let new = allow("sqs:*", LOCKED_QUEUE_ARN);
    let answer = ask(&stage, &with(queue(SHOP, LOCKED_QUEUE), "policy", new.clone())).await.unwrap();
    assert_eq!(answer["action"], "QueuePolicyReplaced");
    assert_eq!(parsed(queue_policy(&stage, LOCKED_QUEUE_ARN)), new);

    let none = with(bucket(SHOP, "shop-logs"), "policy", new.clone());
    let error = ask(&stage, &none).await.unwrap_err();
    assert!(error.starts_with("NotLockedOut: the bucket shop-logs has no policy"), "{error}");
    assert_eq!(stage.aws.bucket_policy("shop-logs"), None);
}

/// The old one stays, and where it was saved is said all the same.
#[tokio::test(start_paused = true)]
async fn a_replacement_that_aws_refuses_changes_nothing() {
    let stage = Stage::enforcing().await;
    let nonsense = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Perhaps", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::shop-orders",
    }]});
    let old = stage.aws.bucket_policy(LOCKED_BUCKET).unwrap();
    let error = ask(&stage, &with(bucket(SHOP, LOCKED_BUCKET), "policy", nonsense.clone())).await.unwrap_err();
    assert!(error.starts_with("NotUnlocked: ") && error.contains("RejectedPolicy: "), "{error}");
    assert!(error.contains("mend `policy`"), "{error}");
    let (_, place) = error.split_once("; the policy lies in ").unwrap();
    assert_eq!((stage.aws.bucket_policy(LOCKED_BUCKET), saved_at(&stage, place)), (Some(old.clone()), old));

    let old = queue_policy(&stage, LOCKED_QUEUE_ARN).unwrap();
    let error = ask(&stage, &with(queue(SHOP, LOCKED_QUEUE), "policy", nonsense)).await.unwrap_err();
    assert!(error.starts_with("NotUnlocked: ") && error.contains("mend `policy`"), "{error}");
    let (_, place) = error.split_once("; the policy lies in ").unwrap();
    assert_eq!((queue_policy(&stage, LOCKED_QUEUE_ARN), saved_at(&stage, place)), (Some(old.clone()), old));
    assert!(changes_in_members(&stage).is_empty() && stage.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_locks_nobody_out_goes_only_with_force() {
    let stage = Stage::enforcing().await;
    for request in [bucket(SHOP, WEBSITE), queue(SHOP, NEWSLETTER)] {
        let error = ask(&stage, &request).await.unwrap_err();
        assert!(error.starts_with("NotLockedOut: the policy of the "), "{error}");
        assert!(error.contains("locks nobody out who could change it; nothing was done"), "{error}");
        assert!(stage.aws.bucket_policy(WEBSITE).is_some() && queue_policy(&stage, NEWSLETTER_ARN).is_some());
    }
    assert!(changes_in_members(&stage).is_empty() && stage.evidence().is_empty());
    for request in [bucket(SHOP, WEBSITE), queue(SHOP, NEWSLETTER)] {
        let answer = ask(&stage, &with(request, "force", json!(true))).await.unwrap();
        assert!(answer["savedPolicy"].is_string(), "{answer}");
    }
    assert_eq!((stage.aws.bucket_policy(WEBSITE), queue_policy(&stage, NEWSLETTER_ARN)), (None, None));

    let conditional = json!({"Version": "2012-10-17", "Statement": [{
        "Sid": "OnlyOurEndpoint", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": ["arn:aws:s3:::shop-logs", "arn:aws:s3:::shop-logs/*"],
        "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}},
    }]});
    assert!(stage.aws.put_bucket_policy("shop-logs", &conditional).unwrap());
    let error = ask(&stage, &bucket(SHOP, "shop-logs")).await.unwrap_err();
    assert!(error.contains("is not known to lock everyone out: the statement `OnlyOurEndpoint` denies"), "{error}");
    let forced = ask(&stage, &with(bucket(SHOP, "shop-logs"), "force", json!(true))).await.unwrap();
    assert_eq!(forced["action"], "BucketPolicyRemoved");
}

/// What AWS shows decides: a change that is not seen is not claimed, and one that shows late is waited for.
#[tokio::test(start_paused = true)]
async fn what_is_not_seen_is_not_claimed() {
    for (request, reading, saved) in [
        (bucket(SHOP, LOCKED_BUCKET), "s3:GetBucketPolicy", "/shop-orders/"),
        (queue(SHOP, LOCKED_QUEUE), "sqs:GetQueueAttributes", "/orders/"),
    ] {
        let stage = Stage::enforcing().await;
        stage.aws.inject(Fault::at(reading, FaultKind::Stale(1)).skip(1));
        let error = ask(&stage, &request).await.unwrap_err();
        assert!(error.starts_with("NotUnlocked: ") && error.contains("StillPresent"), "{error}");
        assert!(error.contains("the policy lies in s3://") && error.contains(saved), "{error}");
        assert!(stage.events().is_empty());

        let stage = Stage::enforcing().await;
        stage.aws.inject(Fault::at(reading, FaultKind::Stale(1)).skip(1).times(5));
        let answer = ask(&stage, &request).await.unwrap();
        assert!(answer["verified"].as_str().unwrap().ends_with(" was read again and has no policy"), "{answer}");
        assert_eq!(stage.aws.fault_hits(), 5);
    }
}

/// In the Region of the function the account has no STS: the session is opened elsewhere.
#[tokio::test(start_paused = true)]
async fn a_region_without_sts_is_no_obstacle() {
    let deny = |action: &str, resource: &str| {
        let statement = json!({"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource});
        Some(WrittenPolicy::try_from(json!({"Version": "2012-10-17", "Statement": [statement]})).unwrap())
    };
    let arn = format!("arn:aws:sqs:ap-southeast-2:{STS_OFF}:far");
    let with_far = organization_with(|organization| {
        let account = organization.accounts.get_mut(&id(STS_OFF)).unwrap();
        let region = "ap-southeast-2".to_owned();
        let policy = deny("s3:*", "arn:aws:s3:::far-away");
        account.buckets.push(AccountBucket { name: "far-away".to_owned(), region: region.clone(), policy });
        account.queues.push(AccountQueue { name: "far".to_owned(), region, policy: deny("sqs:*", &arn) });
    });
    let stage = Stage::set(with_far, enforcing()).await;
    let answer = ask(&stage, &bucket(STS_OFF, "far-away")).await.unwrap();
    assert_eq!(answer["action"], "BucketPolicyRemoved");
    assert!(answer["restoreCommand"].as_str().unwrap().contains("--region ap-southeast-2"), "{answer}");
    let url = format!("https://sqs.ap-southeast-2.amazonaws.com/{STS_OFF}/far");
    assert_eq!(ask(&stage, &queue(STS_OFF, &url)).await.unwrap()["action"], "QueuePolicyRemoved");
    assert_eq!((stage.aws.bucket_policy("far-away"), queue_policy(&stage, &arn)), (None, None));
    let assumed = stage.aws.calls().into_iter().filter(|call| call.operation == "AssumeRoot");
    let regions: Vec<_> = assumed.map(|call| call.region).collect();
    assert!(regions.len() > 2 && regions.iter().any(|region| region != "eu-central-1"), "{regions:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_refused_before_any_session() {
    let stage = Stage::enforcing().await;
    for (request, expected) in [
        (json!([]), "InvalidRequest: the request is not a JSON object"),
        (json!({"account": SHOP, "reason": "x"}), "InvalidRequest: `bucket` in the request: missing"),
        (json!({"account": SHOP, "bucket": LOCKED_BUCKET}), "InvalidRequest: `reason` in the request: missing"),
        (bucket("4444", LOCKED_BUCKET), "InvalidRequest: `account` in the request: `4444`"),
        (bucket(SHOP, "Shop"), "InvalidRequest: `bucket` in the request: `Shop` is not a bucket name"),
        (
            with(bucket(SHOP, LOCKED_BUCKET), "policy", json!({})),
            "InvalidRequest: `policy` in the request: not a policy",
        ),
        (
            queue(SHOP, "https://example.com/orders"),
            "InvalidRequest: `queueUrl` in the request: not the URL of a queue",
        ),
        (queue(AUDIT, LOCKED_QUEUE), "InvalidRequest: `queueUrl` in the request: a queue of 444455556666"),
        (bucket(MANAGEMENT, "logs"), "NotCovered: account 111122223333 is not covered: the management account"),
        (bucket(EXEMPT, "open-to-the-shop"), "NotCovered: account 555566667777 is not covered: exempt"),
        (bucket(SUSPENDED, "logs"), "NotCovered: account 999900001111 is not covered: its state is SUSPENDED"),
        (bucket("123412341234", "logs"), "AccountNotFound: "),
    ] {
        let error = ask(&stage, &request).await.unwrap_err();
        assert!(error.starts_with(expected), "{request}: {error}");
    }
    let now = stage.now();
    remember_window(&stage, SHOP, now - time::Duration::hours(1), now + time::Duration::hours(1));
    for request in [bucket(SHOP, LOCKED_BUCKET), queue(SHOP, LOCKED_QUEUE)] {
        let error = ask(&stage, &request).await.unwrap_err();
        assert!(error.starts_with("NotCovered: account 444455556666 is not covered: in a recovery window"), "{error}");
    }
    assert!(stage.sessions().is_empty() && stage.events().is_empty() && stage.evidence().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_aws_does_not_allow_is_told_with_its_remedy() {
    let stage = Stage::enforcing().await;
    let gone = "https://sqs.eu-west-1.amazonaws.com/444455556666/gone";
    for (request, expected) in [
        (bucket(SHOP, "shop-nothing"), "the account 444455556666 has no bucket `shop-nothing`"),
        // A bucket of another account, though its policy lets this one do everything.
        (bucket(SHOP, "open-to-the-shop"), "the account 444455556666 has no bucket `open-to-the-shop`"),
        (bucket(SHOP, "shop"), "the account 444455556666 has no bucket `shop`"),
        (queue(SHOP, gone), "name a queue of this account that is there"),
        (bucket(ACQUIRED, "acquired-archive"), "\"aws:AssumedRoot\""),
    ] {
        let error = ask(&stage, &request).await.unwrap_err();
        assert!(error.starts_with("NotUnlocked: ") && error.contains(expected), "{request}: {error}");
    }
    let opened = stage.sessions().len();
    stage.aws.with_organization(|organization| organization.features.remove(&Feature::RootSessions));
    for request in [bucket(SHOP, LOCKED_BUCKET), queue(SHOP, LOCKED_QUEUE)] {
        let error = ask(&stage, &request).await.unwrap_err();
        assert!(error.contains("aws iam enable-organizations-root-sessions"), "{error}");
    }
    assert_eq!(stage.sessions().len(), opened);
    assert!(changes_in_members(&stage).is_empty() && stage.events().is_empty() && stage.evidence().is_empty());
}

/// It deletes no credential, so it works in `Audit` mode too: a person asked for it.
#[tokio::test(start_paused = true)]
async fn in_audit_mode_a_bucket_is_unlocked_all_the_same() {
    let stage = Stage::set(organization(), auditing()).await;
    let answer = ask(&stage, &bucket(SHOP, LOCKED_BUCKET)).await.unwrap();
    assert_eq!(answer["action"], "BucketPolicyRemoved");
    assert_eq!(stage.aws.bucket_policy(LOCKED_BUCKET), None);
}

/// The bus is out of order when it is done: nobody could find out later that it was.
#[tokio::test(start_paused = true)]
async fn what_was_done_is_told_later_if_it_cannot_be_told_at_once() {
    let stage = Stage::enforcing().await;
    stage.aws.inject(Fault::at("events:PutEvents", FaultKind::Error500));
    let error = ask(&stage, &bucket(SHOP, LOCKED_BUCKET)).await.unwrap_err();
    assert!(error.contains("it is done, and the policy lies in s3://"), "{error}");
    assert_eq!(stage.aws.bucket_policy(LOCKED_BUCKET), None);
    stage.aws.clear_faults();
    assert_eq!(ask(&stage, &bucket(SHOP, LOCKED_BUCKET)).await.unwrap()["action"], "Nothing");
    assert!(stage.tasks_told().is_empty());
    stage.scheduled_audit().await;
    assert_eq!(stage.tasks_told(), [format!("BucketPolicyRemoved {SHOP}")]);
    stage.scheduled_audit().await;
    assert_eq!(stage.tasks_told().len(), 1, "once");
}
