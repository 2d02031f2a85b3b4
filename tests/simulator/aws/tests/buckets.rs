//! S3.

use hyper::body::Bytes;

use super::*;

const BUCKET: &str = "unroot-evidence";

fn aws_with_bucket(versioning: Versioning) -> Aws {
    let aws = aws();
    let (account, region, name) = (AUDIT.to_owned(), "us-east-1".to_owned(), BUCKET.to_owned());
    aws.create_bucket(BucketSettings { account, region, name, versioning });
    aws
}

/// A call and its answer as S3 has them.
pub(super) struct Http {
    pub(super) status: u16,
    pub(super) headers: hyper::HeaderMap,
    pub(super) body: Bytes,
}

impl Http {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The status, and the code of an error.
    pub(super) fn outcome(&self) -> (u16, &str) {
        let code = self.text().split_once("<Code>").and_then(|(_, rest)| rest.split_once('<'));
        (self.status, code.map_or("", |(code, _)| code))
    }
}

pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> hyper::Request<Bytes> {
    let builder = hyper::Request::builder().method(method).uri(path).header("host", "localhost");
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(Bytes::copy_from_slice(body)).unwrap()
}

pub(super) async fn answer(aws: &Aws, request: hyper::Request<Bytes>) -> Http {
    let (head, body) = request.into_parts();
    let Reaction::Answer(response) = aws.react(&Request { head, body }) else {
        panic!("no answer");
    };
    let (head, body) = response.into_parts();
    assert!(head.headers.contains_key("x-amz-request-id"));
    Http { status: head.status.as_u16(), headers: head.headers, body }
}

pub(super) async fn send_as(aws: &Aws, caller: &Credentials, mut request: hyper::Request<Bytes>) -> Http {
    caller.sign(&mut request, "us-east-1", "s3", aws.clock().now()).unwrap();
    answer(aws, request).await
}

async fn send(aws: &Aws, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Http {
    send_as(aws, &auditor(aws), request(method, path, headers, body)).await
}

async fn put(aws: &Aws, key: &str, body: &str) -> Http {
    send(aws, "PUT", &format!("/{BUCKET}/{key}"), &[], body.as_bytes()).await
}

async fn get(aws: &Aws, key: &str) -> Http {
    send(aws, "GET", &format!("/{BUCKET}/{key}"), &[], b"").await
}

#[tokio::test]
async fn an_object_is_put_and_read() {
    let aws = aws_with_bucket(Versioning::Never);
    let headers = [("content-type", "text/csv"), ("x-amz-meta-run", "1"), ("x-amz-checksum-crc32", "NhCmhg==")];
    let path = format!("/{BUCKET}/a/%C3%BC%20%2B.csv");
    let stored = send(&aws, "PUT", &path, &headers, b"hello").await;
    assert_eq!((stored.status, stored.header("etag")), (200, "\"5d41402abc4b2a76b9719d911017c592\""));
    assert_eq!(stored.header("x-amz-version-id"), "");
    let read = send(&aws, "GET", &format!("{path}?x-id=GetObject"), &[("x-amz-checksum-mode", "ENABLED")], b"").await;
    assert_eq!((read.status, read.text(), read.header("content-type")), (200, "hello", "text/csv"));
    assert_eq!((read.header("x-amz-meta-run"), read.header("x-amz-checksum-crc32")), ("1", "NhCmhg=="));
    assert_eq!(aws.objects(BUCKET), BTreeMap::from([("a/ü +.csv".to_owned(), b"hello".to_vec())]));
    assert_eq!(send(&aws, "DELETE", &path, &[], b"").await.status, 204);
    assert_eq!(send(&aws, "DELETE", &path, &[], b"").await.status, 204, "what is not there is deleted all the same");
    assert_eq!(get(&aws, "a").await.outcome(), (404, "NoSuchKey"));
    assert_eq!(send(&aws, "GET", "/unroot-elsewhere/a", &[], b"").await.outcome(), (404, "NoSuchBucket"));
    let calls = aws.calls();
    assert!(calls.iter().all(|call| !call.mutating), "no account was changed");
    assert_eq!(calls[0].input["Body"], "(not logged)");
}

#[tokio::test]
async fn a_body_that_is_not_what_its_checksums_say_is_refused() {
    let aws = aws_with_bucket(Versioning::Never);
    let path = format!("/{BUCKET}/a");
    for header in [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-sha256", "AAAA"), ("content-md5", "AAAA")] {
        assert_eq!(send(&aws, "PUT", &path, &[header], b"hello").await.outcome(), (400, "BadDigest"), "{header:?}");
    }
    for header in [("range", "bytes=0-1"), ("x-amz-acl", "private"), ("x-amz-checksum-sha1", "AAAA")] {
        assert_eq!(
            send(&aws, "PUT", &path, &[header], b"hello").await.outcome(),
            (501, "NotImplemented"),
            "{header:?}"
        );
    }
    let mut changed = request("PUT", &path, &[], b"hello");
    auditor(&aws).sign(&mut changed, "us-east-1", "s3", aws.clock().now()).unwrap();
    *changed.body_mut() = Bytes::from_static(b"hallo");
    assert_eq!(answer(&aws, changed).await.outcome(), (400, "XAmzContentSHA256Mismatch"));
    let mut unsigned = request("PUT", &path, &[("x-amz-date", "20261121T000000Z")], b"hello");
    auditor(&aws).sign(&mut unsigned, "us-east-1", "s3", aws.clock().now()).unwrap();
    *unsigned.uri_mut() = format!("/{BUCKET}/b").parse().unwrap();
    assert_eq!(answer(&aws, unsigned).await.outcome(), (403, "SignatureDoesNotMatch"));
    assert!(aws.objects(BUCKET).is_empty());
}

/// The example of "Signature calculations for the authorization header: transferring payload in multiple chunks" in the
/// S3 API reference: 64 KiB and 1 KiB of the letter a.
#[test]
fn chunks_are_signed_as_in_the_api_reference() {
    let chunk =
        |size: usize, signature: &str| format!("{size:x};chunk-signature={signature}\r\n{}\r\n", "a".repeat(size));
    let body = |first: &str| {
        [
            chunk(65536, first),
            chunk(1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            chunk(0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ]
        .concat()
    };
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
         SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class,\
         Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let headers = [
        ("host", "s3.amazonaws.com"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("authorization", authorization),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
    ];
    let request = hyper::Request::put("/examplebucket/chunkObject.txt");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let (head, ()) = request.body(()).unwrap().into_parts();
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let right = body("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
    assert!(signature::is_valid(&head, right.as_bytes(), secret));
    assert!(!signature::is_valid(&head, right.replace("\r\naaa", "\r\nbaa").as_bytes(), secret));
    assert!(!signature::is_valid(&head, body(&"0".repeat(64)).as_bytes(), secret));
    assert!(!signature::is_valid(&head, right.as_bytes(), "another secret"));
}

#[tokio::test]
async fn versions_are_kept() {
    let aws = aws_with_bucket(Versioning::Enabled);
    let first = put(&aws, "a", "one").await.header("x-amz-version-id").to_owned();
    put(&aws, "a", "two").await;
    assert_eq!(get(&aws, "a").await.text(), "two");
    assert_eq!(get(&aws, &format!("a?versionId={first}")).await.text(), "one");
    let deleted = send(&aws, "DELETE", &format!("/{BUCKET}/a"), &[], b"").await;
    assert_eq!(deleted.header("x-amz-delete-marker"), "true");
    let marker = deleted.header("x-amz-version-id").to_owned();
    assert_eq!(get(&aws, "a").await.outcome(), (404, "NoSuchKey"));
    assert_eq!(get(&aws, &format!("a?versionId={marker}")).await.outcome(), (405, "MethodNotAllowed"));
    assert_eq!(get(&aws, "a?versionId=none").await.outcome(), (404, "NoSuchVersion"));
    let bodies: Vec<_> = aws.versions(BUCKET, "a").into_iter().map(|version| version.body).collect();
    assert_eq!(bodies, [Some(b"one".to_vec()), Some(b"two".to_vec()), None]);
    send(&aws, "DELETE", &format!("/{BUCKET}/a?versionId={marker}"), &[], b"").await;
    assert_eq!(get(&aws, "a").await.text(), "two", "without its delete marker it is there again");
    let actions: Vec<_> = aws.calls().into_iter().filter_map(|call| call.permissions.into_iter().next()).collect();
    let object = format!("arn:aws:s3:::{BUCKET}/a");
    assert!(actions.contains(&("s3:GetObjectVersion".to_owned(), object.clone())));
    assert!(actions.contains(&("s3:DeleteObjectVersion".to_owned(), object)));
}

#[tokio::test]
async fn an_object_is_not_overwritten_if_none_must_match() {
    let aws = aws_with_bucket(Versioning::Enabled);
    let path = format!("/{BUCKET}/a");
    let only_new = [("if-none-match", "*")];
    assert_eq!(send(&aws, "PUT", &path, &only_new, b"one").await.status, 200);
    assert_eq!(send(&aws, "PUT", &path, &only_new, b"two").await.outcome(), (412, "PreconditionFailed"));
    send(&aws, "DELETE", &path, &[], b"").await;
    assert_eq!(send(&aws, "PUT", &path, &only_new, b"three").await.status, 200);
}

#[tokio::test]
async fn objects_are_listed_in_pages_and_groups() {
    let aws = aws_with_bucket(Versioning::Never);
    for key in ["a/1", "a/2", "b/1", "c"] {
        put(&aws, key, "x").await;
    }
    let list = async |query: &str| {
        let page = send(&aws, "GET", &format!("/{BUCKET}?list-type=2&{query}"), &[], b"").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let texts = |element: &str| -> Vec<String> {
            let start = format!("<{element}>");
            let parts = page.text().split(&start).skip(1);
            parts.map(|part| part.split_once('<').unwrap().0.to_owned()).collect()
        };
        (texts("Key"), texts("Prefix").into_iter().skip(1).collect::<Vec<_>>(), texts("NextContinuationToken"))
    };
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(list("prefix=a%2F").await, (owned(&["a/1", "a/2"]), Vec::new(), Vec::new()));
    assert_eq!(list("delimiter=/").await, (owned(&["c"]), owned(&["a/", "b/"]), Vec::new()));
    let (first, _, token) = list("max-keys=3").await;
    assert_eq!(first, ["a/1", "a/2", "b/1"]);
    let (second, _, end) = list(&format!("max-keys=3&continuation-token={}", token[0].replace('=', "%3D"))).await;
    assert_eq!((second, end), (owned(&["c"]), Vec::new()));
}

#[tokio::test]
async fn who_may_not_list_a_bucket_is_not_told_what_is_missing() {
    let aws = aws_with_bucket(Versioning::Never);
    put(&aws, "a", "x").await;
    let object = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{BUCKET}/*")});
    let bucket = json!({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{BUCKET}")});
    for (statements, missing) in
        [(json!([object]), (403, "AccessDenied")), (json!([object, bucket]), (404, "NoSuchKey"))]
    {
        let aws = aws.clone();
        aws.with_organization(|organization| organization.principals.clear());
        let reader = principal(&aws, &statements);
        let get = async |key: &str| send_as(&aws, &reader, request("GET", &format!("/{BUCKET}/{key}"), &[], b"")).await;
        assert_eq!(get("a").await.status, 200);
        assert_eq!(get("b").await.outcome(), missing);
        let write = send_as(&aws, &reader, request("PUT", &format!("/{BUCKET}/a"), &[], b"y")).await;
        assert_eq!(write.outcome(), (403, "AccessDenied"));
    }
}

#[tokio::test]
async fn a_bucket_policy_lets_in_and_keeps_out() {
    let aws = aws_with_bucket(Versioning::Never);
    put(&aws, "a", "x").await;
    let statement = |effect: &str, principal: Value, condition: Value| {
        json!({
            "Effect": effect, "Principal": principal, "Action": "s3:GetObject", "Condition": condition,
            "Resource": format!("arn:aws:s3:::{BUCKET}/*"),
        })
    };
    let secure = |is_secure: &str| json!({"Bool": {"aws:SecureTransport": is_secure}});
    let set = |statements: Value| {
        aws.put_bucket_policy(BUCKET, &json!({"Version": "2012-10-17", "Statement": statements})).unwrap()
    };
    let nobody = principal(&aws, &json!([]));
    let elsewhere = aws.administrator(&account(SHOP));
    let get = async |caller: &Credentials| {
        send_as(&aws, caller, request("GET", &format!("/{BUCKET}/a"), &[], b"")).await.status
    };
    assert!(set(json!([statement("Deny", json!("*"), secure("false"))])));
    assert_eq!((get(&auditor(&aws)).await, get(&nobody).await, get(&elsewhere).await), (200, 403, 403));
    set(json!([statement("Allow", json!({"AWS": [AUDIT, SHOP]}), json!({}))]));
    assert_eq!((get(&auditor(&aws)).await, get(&nobody).await, get(&elsewhere).await), (200, 200, 200));
    set(json!([statement("Deny", json!("*"), secure("true"))]));
    assert_eq!((get(&auditor(&aws)).await, get(&nobody).await), (403, 403));
    let policy = send(&aws, "GET", &format!("/{BUCKET}?policy"), &[], b"").await;
    assert!(policy.text().contains("aws:SecureTransport"), "{}", policy.text());
}

#[tokio::test]
async fn faults_at_buckets_are_those_that_s3_has() {
    let aws = aws_with_bucket(Versioning::Never);
    let inject = |kind| aws.inject(Fault::at("s3:*", kind).times(1));
    for (kind, outcome) in [
        (FaultKind::Throttle, (503, "SlowDown")),
        (FaultKind::Error500, (500, "InternalError")),
        (FaultKind::Error503, (503, "ServiceUnavailable")),
        (FaultKind::Denied, (403, "AccessDenied")),
    ] {
        inject(kind);
        assert_eq!(put(&aws, "a", "x").await.outcome(), outcome, "{kind:?}");
    }
    inject(FaultKind::Conflict);
    assert_eq!(
        put(&aws, "a", "one, and more than twenty bytes").await.status,
        200,
        "without a condition there is none"
    );
    let only_new = send(&aws, "PUT", &format!("/{BUCKET}/b"), &[("if-none-match", "*")], b"x").await;
    assert_eq!(only_new.outcome(), (409, "ConditionalRequestConflict"));
    inject(FaultKind::Stale(1));
    assert_eq!(get(&aws, "a").await.text(), "one, and more than twenty bytes", "S3 is never stale");
    aws.clear_faults();
    inject(FaultKind::Hollow);
    assert_eq!((get(&aws, "a").await.text(), aws.fault_hits()), ("", 1));
    inject(FaultKind::Garbled);
    assert_eq!(get(&aws, "a").await.body, b"one, and mo\xff".as_slice());
}

#[tokio::test]
async fn a_bucket_is_in_one_region() {
    let aws = aws();
    let ask = async |region: &str, bucket: &str| {
        let mut request = request("GET", &format!("/{bucket}/a"), &[], b"");
        aws.administrator(&account(SHOP)).sign(&mut request, region, "s3", aws.clock().now()).unwrap();
        answer(&aws, request).await
    };
    let redirected = ask("eu-central-1", "shop-website").await;
    assert_eq!(redirected.outcome(), (301, "PermanentRedirect"));
    assert_eq!(redirected.header("x-amz-bucket-region"), "us-east-1");
    assert!(redirected.text().contains("<Endpoint>s3.us-east-1.amazonaws.com</Endpoint>"), "{}", redirected.text());
    let refused = ask("us-east-1", "shop-logs").await;
    assert_eq!(refused.outcome(), (400, "AuthorizationHeaderMalformed"));
    assert_eq!(refused.header("x-amz-bucket-region"), "eu-central-1");
    assert!(refused.text().contains("<Region>eu-central-1</Region>"), "{}", refused.text());
    assert_eq!(ask("eu-central-1", "shop-logs").await.outcome(), (404, "NoSuchKey"));
}

#[tokio::test]
async fn a_reset_empties_buckets_and_keeps_them() {
    let aws = aws_with_bucket(Versioning::Enabled);
    put(&aws, "a", "x").await;
    aws.reset(aws.organization());
    assert!(aws.objects(BUCKET).is_empty() && aws.versions(BUCKET, "a").is_empty());
    assert_eq!(put(&aws, "a", "x").await.status, 200);
}
