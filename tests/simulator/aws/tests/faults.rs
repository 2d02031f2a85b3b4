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
    aws.inject(Fault::at("*", FaultKind::Error500));
    aws.clear_faults();
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
