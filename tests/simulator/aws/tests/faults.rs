//! Faults and rates.

use tokio::time::timeout;

use super::*;

#[tokio::test]
async fn faults_hit_the_calls_they_are_meant_for() {
    let aws = aws();
    let session = root_session(&aws, SHOP, "IAMDeleteRootUserCredentials").await;
    let delete = || call(&aws, &session, "iam:DeleteLoginProfile", json!({}));
    aws.inject(Fault::at("iam:*", FaultKind::Throttle).in_account(account("999999999999")));
    assert_eq!(call(&aws, &session, "iam:GetUser", json!({})).await.code, "Success");
    for (kind, code) in [
        (FaultKind::Throttle, "Throttling"),
        (FaultKind::Error500, "ServiceFailure"),
        (FaultKind::Error503, "ServiceUnavailable"),
        (FaultKind::Denied, "AccessDenied"),
        (FaultKind::ScpDenied, "AccessDenied"),
        (FaultKind::Conflict, "ConcurrentModification"),
        (FaultKind::Timeout, "Silence"),
        (FaultKind::Drop, "Disconnect"),
    ] {
        aws.inject(Fault::at("iam:DeleteLoginProfile", kind).times(1));
        assert_eq!(delete().await.code, code, "{kind:?}");
    }
    let has_password = || aws.organization().account(&account(SHOP)).unwrap().root.login_profile.is_some();
    assert!(has_password());
    aws.inject(Fault::at("*", FaultKind::DropAfter).skip(1).times(1));
    assert_eq!(call(&aws, &session, "iam:GetUser", json!({})).await.code, "Success");
    assert_eq!(delete().await.code, "Disconnect");
    assert!(!has_password(), "it was done before the connection was dropped");
    assert_eq!(aws.calls().last().unwrap().outcome, Outcome::NoAnswer { done: true });
    assert_eq!(aws.fault_hits(), 9, "the eight before, and the one call that was dropped after it was done");
    aws.inject(Fault::at("*", FaultKind::Error500));
    aws.clear_faults();
    assert_eq!(aws.fault_hits(), 0);
    assert_eq!(call(&aws, &session, "iam:GetUser", json!({})).await.code, "Success");
}

#[tokio::test]
async fn a_stale_read_shows_what_was_before_the_last_changes() {
    let aws = aws();
    let session = root_session(&aws, SHOP, "IAMDeleteRootUserCredentials").await;
    for key in ["AKIASHOP00001EXAMPLE", "AKIASHOP00002EXAMPLE"] {
        call(&aws, &session, "iam:DeleteAccessKey", json!({"AccessKeyId": key})).await;
    }
    for (changes, keys) in [(1, 1), (2, 2), (9, 2)] {
        aws.inject(Fault::at("iam:ListAccessKeys", FaultKind::Stale(changes)).times(1));
        let list = call(&aws, &session, "iam:ListAccessKeys", json!({})).await;
        assert_eq!(list.body.matches("<member>").count(), keys, "{changes} changes ago");
    }
    let now = call(&aws, &session, "iam:ListAccessKeys", json!({})).await;
    assert_eq!(now.body.matches("<member>").count(), 0);
}

#[tokio::test]
async fn a_hollow_answer_is_a_success_without_members() {
    let aws = aws();
    aws.inject(Fault::at("*", FaultKind::Hollow));
    let session = assume_root(&aws, &auditor(&aws), SHOP, "IAMDeleteRootUserCredentials").await;
    assert_eq!(session.code, "Success");
    assert!(
        session.body.starts_with(
            r#"<AssumeRootResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRootResult></AssumeRootResult>"#
        ),
        "{}",
        session.body
    );
    let accounts = call(&aws, &auditor(&aws), "organizations:ListAccounts", json!({})).await;
    assert_eq!((accounts.code.as_str(), accounts.body.as_str()), ("Success", "{}"));
    let management = aws.administrator(&account(MANAGEMENT));
    let refused = assume_root(&aws, &management, MANAGEMENT, "IAMDeleteRootUserCredentials").await;
    assert_eq!(refused.code, "AccessDenied", "an error stays whole");
}

#[tokio::test]
async fn a_garbled_answer_is_a_success_that_breaks_off_after_its_secrets() {
    let aws = aws();
    aws.inject(Fault::at("*", FaultKind::Garbled).times(2));
    let session = assume_root(&aws, &auditor(&aws), SHOP, "IAMDeleteRootUserCredentials").await;
    assert_eq!(session.code, "Success");
    assert!(session.text("SecretAccessKey").ends_with("/EXAMPLEKEY"), "{}", session.body);
    assert!(session.text("SessionToken").starts_with("SimulatedSessionToken"), "{}", session.body);
    assert!(session.body.contains("<Expiration>") && session.body.ends_with('\u{fffd}'), "{}", session.body);
    assert!(!session.body.contains("</Expiration>"), "{}", session.body);
    let accounts = call(&aws, &auditor(&aws), "organizations:ListAccounts", json!({})).await;
    assert_eq!(accounts.code, "Success");
    assert!(accounts.body.starts_with(r#"{"Accounts":[{"#) && accounts.body.ends_with('\u{fffd}'), "{}", accounts.body);

    let session = root_session(&aws, SHOP, "IAMDeleteRootUserCredentials").await;
    aws.inject(Fault::at("iam:DeleteLoginProfile", FaultKind::Garbled));
    let deleted = call(&aws, &session, "iam:DeleteLoginProfile", json!({})).await;
    assert!(deleted.body.ends_with('\u{fffd}'), "{}", deleted.body);
    assert_eq!(aws.organization().account(&account(SHOP)).unwrap().root.login_profile, None, "it was done");
    let again = call(&aws, &session, "iam:DeleteLoginProfile", json!({})).await;
    assert_eq!(again.code, "NoSuchEntity", "an error stays whole");
}

#[tokio::test]
async fn published_rates_are_enforced() {
    let aws = aws();
    let auditor = auditor(&aws);
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(call(&aws, &auditor, "organizations:DescribeOrganization", json!({})).await.code);
    }
    assert_eq!(codes[..2], ["Success", "Success"]);
    assert_eq!(codes[4], "TooManyRequestsException");
    aws.set_rates(RatePolicy::Unlimited);
    assert_eq!(call(&aws, &auditor, "organizations:DescribeOrganization", json!({})).await.code, "Success");
}

#[tokio::test]
async fn over_http_a_fault_is_silence_or_a_closed_connection() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let aws = aws();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn({
        let aws = aws.clone();
        async move { aws.serve(listener).await }
    });
    for (kind, expected) in [(FaultKind::Timeout, None), (FaultKind::Drop, Some(0))] {
        aws.inject(Fault::at("*", kind).times(1));
        let mut request = hyper::Request::post("/").header("host", "localhost").body("Action=GetUser".into()).unwrap();
        auditor(&aws).sign(&mut request, "us-east-1", "iam", aws.clock().now()).unwrap();
        let headers: String = request
            .headers()
            .iter()
            .flat_map(|(name, value)| [name.as_str(), ": ", value.to_str().unwrap(), "\r\n"])
            .collect();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("POST / HTTP/1.1\r\ncontent-length: 14\r\n{headers}\r\nAction=GetUser").as_bytes())
            .await
            .unwrap();
        let read = timeout(Duration::from_millis(200), stream.read(&mut [0; 1])).await;
        assert_eq!(read.ok().map(|read| read.unwrap_or(0)), expected, "{kind:?}");
    }
    server.abort();
}
