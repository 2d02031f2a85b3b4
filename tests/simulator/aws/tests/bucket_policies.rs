//! The policies of members' buckets, and the root sessions that unlock them.

use super::buckets::{Http, answer, request};
use super::*;

/// Denies everyone everything, in eu-west-1.
const LOCKED: &str = "shop-orders";
const LOCKED_REGION: &str = "eu-west-1";
const TASK: &str = "S3UnlockBucketPolicy";

/// A call with a credential's signature for a Region.
async fn send(aws: &Aws, caller: &Credentials, region: &str, call: (&str, &str), body: &str) -> Http {
    let (method, path) = call;
    let mut request = request(method, path, &[], body.as_bytes());
    caller.sign(&mut request, region, "s3", aws.clock().now()).unwrap();
    answer(aws, request).await
}

fn policy_of(bucket: &str) -> String {
    format!("/{bucket}?policy")
}

#[tokio::test]
async fn a_root_session_removes_a_policy_that_denies_everyone() {
    let aws = aws();
    let session = root_session(&aws, SHOP, TASK).await;
    let administrator = aws.administrator(&account(SHOP));
    let path = policy_of(LOCKED);
    let get = async |caller| send(&aws, caller, LOCKED_REGION, ("GET", &path), "").await;
    assert_eq!(get(&administrator).await.outcome(), (403, "AccessDenied"));
    let locked_out = send(&aws, &administrator, LOCKED_REGION, ("DELETE", &path), "").await;
    assert!(locked_out.text().contains("explicit deny in a resource-based policy"), "{}", locked_out.text());

    let saved = get(&session).await;
    assert_eq!((saved.status, aws.bucket_policy(LOCKED).as_deref()), (200, Some(saved.text())));
    for _ in 0..2 {
        assert_eq!(send(&aws, &session, LOCKED_REGION, ("DELETE", &path), "").await.status, 204);
    }
    assert_eq!(get(&session).await.outcome(), (404, "NoSuchBucketPolicy"));
    assert_eq!(get(&administrator).await.outcome(), (404, "NoSuchBucketPolicy"));
    assert_eq!(send(&aws, &session, LOCKED_REGION, ("PUT", &path), saved.text()).await.status, 204);
    assert_eq!(get(&administrator).await.outcome(), (403, "AccessDenied"));

    let changes: Vec<_> = aws.calls().into_iter().filter(|call| call.mutating).collect();
    let actions: Vec<_> = changes.iter().map(CallRecord::action).collect();
    let (put, delete) = ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy");
    assert_eq!(actions, [delete, delete, delete, put]);
    assert_eq!((changes[1].account.as_str(), changes[1].region.as_str()), (SHOP, LOCKED_REGION));
    assert_eq!(changes[1].permissions, [(delete.to_owned(), format!("arn:aws:s3:::{LOCKED}"))]);
}

#[tokio::test]
async fn the_task_and_the_organization_bind_a_root_session() {
    let aws = aws();
    let session = root_session(&aws, SHOP, TASK).await;
    let website = "/shop-website";
    for (method, query) in
        [("GET", "?location"), ("GET", "?policyStatus"), ("HEAD", ""), ("GET", "?list-type=2"), ("GET", "/a")]
    {
        let refused = send(&aws, &session, "us-east-1", (method, &format!("{website}{query}")), "").await;
        assert_eq!(refused.outcome(), (403, "AccessDenied"), "{method} {query}");
    }
    let audit = root_session(&aws, SHOP, "IAMAuditRootUserCredentials").await;
    let denied = send(&aws, &audit, "us-east-1", ("GET", &policy_of("shop-website")), "").await;
    assert_eq!(denied.outcome(), (403, "AccessDenied"));
    let under_policy = root_session(&aws, UNDER_SCP, TASK).await;
    let denied = send(&aws, &under_policy, "us-east-1", ("DELETE", &policy_of("acquired-archive")), "").await;
    assert!(denied.text().contains("explicit deny in a service control policy"), "{}", denied.text());
}

#[tokio::test]
async fn the_policy_of_another_account_is_out_of_reach() {
    let aws = aws();
    let session = root_session(&aws, "555566667777", TASK).await;
    let denied = send(&aws, &session, LOCKED_REGION, ("GET", &policy_of(LOCKED)), "").await;
    assert_eq!(denied.outcome(), (403, "AccessDenied"));
    // This one's policy allows the shop everything.
    let session = root_session(&aws, SHOP, TASK).await;
    let refused = send(&aws, &session, "us-east-1", ("DELETE", &policy_of("open-to-the-shop")), "").await;
    assert_eq!(refused.outcome(), (405, "MethodNotAllowed"));
    let nowhere = send(&aws, &session, "us-east-1", ("GET", &policy_of("shop-nowhere")), "").await;
    assert_eq!(nowhere.outcome(), (404, "NoSuchBucket"));
}

#[tokio::test]
async fn what_is_no_policy_of_the_bucket_is_refused() {
    let aws = aws();
    let session = root_session(&aws, SHOP, TASK).await;
    let statement = |member: &str, value: Value| {
        let mut statement =
            json!({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::shop-logs/*"});
        statement[member] = value;
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    };
    let put = async |policy: &str| send(&aws, &session, "eu-central-1", ("PUT", &policy_of("shop-logs")), policy).await;
    for policy in [
        "",
        "nonsense",
        "{}",
        &statement("Principal", Value::Null),
        &statement("Resource", json!("arn:aws:s3:::shop-website/*")),
        &statement("Efect", json!("Deny")),
        &statement("Sid", json!("x".repeat(21_000))),
    ] {
        assert_eq!(put(policy).await.outcome(), (400, "MalformedPolicy"), "{policy}");
    }
    assert_eq!(aws.bucket_policy("shop-logs"), None);
    let fine = statement("Sid", json!("fine"));
    assert_eq!(put(&fine).await.status, 204);
    assert_eq!(aws.bucket_policy("shop-logs"), Some(fine));
}

#[tokio::test]
async fn only_a_list_that_was_asked_for_something_names_regions() {
    let aws = aws();
    let session = root_session(&aws, SHOP, TASK).await;
    let list = async |query: &str| send(&aws, &session, "us-east-1", ("GET", &format!("/{query}")), "").await;
    let names = |page: &Http| {
        let parts = page.text().split("<Name>").skip(1).map(|part| part.split('<').next().unwrap().to_owned());
        parts.collect::<Vec<_>>()
    };
    let all = list("?x-id=ListBuckets").await;
    assert_eq!(names(&all), ["shop-logs", "shop-orders", "shop-website"], "and no other account's");
    assert!(!all.text().contains("BucketRegion"), "{}", all.text());
    let one = list("?prefix=shop-orders&max-buckets=1").await;
    assert!(one.text().contains("<BucketRegion>eu-west-1</BucketRegion>"), "{}", one.text());

    let (mut found, mut query) = (Vec::new(), "?max-buckets=2".to_owned());
    let mut pages = 0;
    loop {
        let page = list(&query).await;
        found.extend(names(&page));
        pages += 1;
        match page.text().split_once("<ContinuationToken>") {
            Some((_, token)) => {
                query = format!("?max-buckets=2&continuation-token={}", token.split('<').next().unwrap());
            }
            None => break,
        }
    }
    assert_eq!((found, pages), (names(&all), 2));
    assert_eq!(names(&list("?bucket-region=us-east-1").await), ["shop-website"]);
    for query in ["?bucket-region=eu-west-1", "?max-buckets=0", "?max-buckets=10001", "?continuation-token=x"] {
        assert_eq!(list(query).await.outcome(), (400, "InvalidArgument"), "{query}");
    }
}

#[tokio::test]
async fn faults_strike_the_policies_of_buckets() {
    let aws = aws();
    let session = root_session(&aws, SHOP, TASK).await;
    let path = policy_of(LOCKED);
    let send = async |method| send(&aws, &session, LOCKED_REGION, (method, path.as_str()), "").await;
    aws.inject(Fault::at("s3:DeleteBucketPolicy", FaultKind::Conflict).times(1));
    assert_eq!(send("DELETE").await.outcome(), (409, "OperationAborted"));
    assert_eq!(send("DELETE").await.status, 204);
    aws.inject(Fault::at("s3:GetBucketPolicy", FaultKind::Stale(1)).times(1));
    assert_eq!(send("GET").await.status, 200, "as it was before");
    assert_eq!(send("GET").await.outcome(), (404, "NoSuchBucketPolicy"));
}

#[tokio::test]
async fn a_reset_puts_back_the_buckets_of_the_organization() {
    let aws = aws();
    let session = root_session(&aws, SHOP, TASK).await;
    let locked = aws.bucket_policy(LOCKED);
    send(&aws, &session, LOCKED_REGION, ("DELETE", &policy_of(LOCKED)), "").await;
    let mut organization = aws.organization();
    organization.accounts.get_mut(&account(UNDER_SCP)).unwrap().buckets.clear();
    aws.reset(organization);
    assert_eq!(aws.bucket_policy(LOCKED), locked);
    assert_eq!(aws.bucket_policy("acquired-archive"), None);
}

#[tokio::test]
async fn cloud_trail_logs_an_unlocking_in_the_account_and_region_of_the_bucket() {
    let aws = aws();
    aws.watch(Watch { trail_delay: Duration::ZERO, ..Watch::in_regions(&["eu-west-1"]) });
    let session = root_session(&aws, SHOP, TASK).await;
    let mut events = aws.events();
    send(&aws, &session, LOCKED_REGION, ("GET", &policy_of(LOCKED)), "").await;
    send(&aws, &session, LOCKED_REGION, ("DELETE", &policy_of(LOCKED)), "").await;
    for (name, read_only) in [("GetBucketPolicy", true), ("DeleteBucketPolicy", false)] {
        let event = events.try_recv().unwrap();
        assert_eq!((&event["source"], &event["account"]), (&json!("aws.s3"), &json!(SHOP)));
        let detail = &event["detail"];
        let seen = [&detail["eventName"], &detail["readOnly"], &detail["awsRegion"], &detail["requestParameters"]];
        let parameters = json!({"bucketName": LOCKED, "Host": "s3.eu-west-1.amazonaws.com"});
        assert_eq!(seen, [&json!(name), &json!(read_only), &json!(LOCKED_REGION), &parameters]);
        assert_eq!(detail["userIdentity"]["sessionContext"]["assumedRoot"], "true");
    }
}
