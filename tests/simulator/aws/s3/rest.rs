//! S3's own protocol: what a method, a path, a query, headers and a body ask for, and the answer in headers and XML.
//!
//! What in a request it does not know it refuses with a name: a header that S3 would obey must not be ignored here.

use std::fmt::Write as _;

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::payload::{self, Content};
use crate::api::{Answer, ApiError};
use crate::aws::base64;
use crate::aws::wire::{Request, escape};

/// Members that are headers in requests and answers alike.
const HEADERS: [(&str, &str); 19] = [
    ("CacheControl", "cache-control"),
    ("ContentDisposition", "content-disposition"),
    ("ContentEncoding", "content-encoding"),
    ("ContentLanguage", "content-language"),
    ("ContentMD5", "content-md5"),
    ("ContentType", "content-type"),
    ("IfNoneMatch", "if-none-match"),
    ("ChecksumMode", "x-amz-checksum-mode"),
    ("CopySource", "x-amz-copy-source"),
    ("ExpectedBucketOwner", "x-amz-expected-bucket-owner"),
    ("ServerSideEncryption", "x-amz-server-side-encryption"),
    ("ChecksumCRC32", "x-amz-checksum-crc32"),
    ("ChecksumSHA256", "x-amz-checksum-sha256"),
    ("VersionId", "x-amz-version-id"),
    ("DeleteMarker", "x-amz-delete-marker"),
    ("BucketRegion", "x-amz-bucket-region"),
    ("ETag", "etag"),
    ("LastModified", "last-modified"),
    ("Location", "location"),
];

const METADATA: &str = "x-amz-meta-";

/// Headers that are about the transport, or that another one says as well.
const TRANSPORT: [&str; 8] = [
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-trailer",
    "x-amz-user-agent",
    "x-amz-checksum-type",
];

/// Headers that change what an operation does, and that are not simulated.
const UNKNOWN: [&str; 4] = ["if-match", "if-modified-since", "if-unmodified-since", "range"];

/// Members that are in the query.
const PARAMETERS: [(&str, &str); 10] = [
    ("BucketRegion", "bucket-region"),
    ("ContinuationToken", "continuation-token"),
    ("Delimiter", "delimiter"),
    ("EncodingType", "encoding-type"),
    ("FetchOwner", "fetch-owner"),
    ("MaxBuckets", "max-buckets"),
    ("MaxKeys", "max-keys"),
    ("Prefix", "prefix"),
    ("StartAfter", "start-after"),
    ("VersionId", "versionId"),
];

/// The operation that a request asks for, and its input.
pub(crate) fn read(request: &Request) -> Result<(String, Value), ApiError> {
    let path = request.head.uri.path().strip_prefix('/').unwrap_or_default();
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let mut input = Map::new();
    let mut insert = |member: &str, value: String| input.insert(member.to_owned(), json!(value));
    for (member, value) in [("Bucket", bucket), ("Key", key)] {
        if !value.is_empty() {
            insert(member, percent_decode(value)?);
        }
    }
    let mut subresources = Vec::new();
    for (name, value) in form_urlencoded::parse(request.head.uri.query().unwrap_or_default().as_bytes()) {
        match PARAMETERS.iter().find(|(_, parameter)| *parameter == name) {
            Some((member, _)) => {
                insert(member, value.into_owned());
            }
            // The name of the operation, which SDKs add for logs.
            None if name == "x-id" => {}
            None => subresources.push(name.into_owned()),
        }
    }
    let Content { body, checksums } = payload::decode(request)?;
    let mut metadata = Map::new();
    for (name, value) in &request.head.headers {
        let value = value.to_str().unwrap_or_default();
        let name = name.as_str();
        if let Some((member, _)) = HEADERS.iter().find(|(_, header)| *header == name) {
            let value = if *member == "CopySource" { percent_decode(value)? } else { value.to_owned() };
            insert(member, value);
        } else if let Some(name) = name.strip_prefix(METADATA) {
            metadata.insert(name.to_owned(), json!(value));
        } else if UNKNOWN.contains(&name) || (name.starts_with("x-amz-") && !TRANSPORT.contains(&name)) {
            let message = "A header you provided implies functionality that is not implemented";
            return Err(ApiError::new("NotImplemented", 501, message).with_member("Header", name));
        }
    }
    for (name, value) in checksums {
        if let Some((member, _)) = HEADERS.iter().find(|(_, header)| *header == name) {
            insert(member, value);
        }
    }
    // `aws-chunked` is how the body came, not what it is.
    let encoding = input.get("ContentEncoding").and_then(Value::as_str).map(|encoding| {
        encoding.split(',').map(str::trim).filter(|encoding| *encoding != "aws-chunked").collect::<Vec<_>>().join(",")
    });
    match encoding {
        Some(encoding) if !encoding.is_empty() => input.insert("ContentEncoding".to_owned(), json!(encoding)),
        _ => input.remove("ContentEncoding"),
    };
    if !metadata.is_empty() {
        input.insert("Metadata".to_owned(), Value::Object(metadata));
    }
    let (has_bucket, has_key) = (!bucket.is_empty(), !key.is_empty());
    let subresources: Vec<_> = subresources.iter().map(String::as_str).collect();
    let operation = match (request.head.method.as_str(), has_bucket, has_key, subresources.as_slice()) {
        ("GET", false, _, []) => "ListBuckets",
        ("PUT", true, false, []) => "CreateBucket",
        ("HEAD", true, false, []) => "HeadBucket",
        ("GET", true, false, ["location"]) => "GetBucketLocation",
        ("GET", true, false, ["policy"]) => "GetBucketPolicy",
        ("GET", true, false, ["policyStatus"]) => "GetBucketPolicyStatus",
        ("PUT", true, false, ["policy"]) => "PutBucketPolicy",
        ("DELETE", true, false, ["policy"]) => "DeleteBucketPolicy",
        ("PUT", true, false, ["versioning"]) => "PutBucketVersioning",
        ("GET", true, false, ["list-type"]) => "ListObjectsV2",
        ("GET", true, true, []) => "GetObject",
        ("HEAD", true, true, []) => "HeadObject",
        ("PUT", true, true, []) if input.contains_key("CopySource") => "CopyObject",
        ("PUT", true, true, []) => "PutObject",
        ("DELETE", true, true, []) => "DeleteObject",
        (method, ..) => {
            let what = if has_key { "an object" } else { "a bucket" };
            let message = format!("the simulator does not know {method} of {what} with {subresources:?}");
            return Err(ApiError::new("NotImplemented", 501, message));
        }
    };
    match operation {
        "PutObject" => {
            input.insert("Body".to_owned(), json!(base64::encode(&body)));
        }
        "PutBucketPolicy" => {
            input.insert("Policy".to_owned(), json!(String::from_utf8_lossy(&body)));
        }
        "PutBucketVersioning" => {
            let xml = String::from_utf8_lossy(&body);
            let status =
                xml.split_once("<Status>").and_then(|(_, rest)| rest.split_once('<')).map(|(status, _)| status);
            input.insert("VersioningConfiguration".to_owned(), json!({ "Status": status }));
        }
        _ => {}
    }
    Ok((operation.to_owned(), Value::Object(input)))
}

/// The response to a call. What is garbled lacks its end, and its checksum no longer fits.
pub(crate) fn respond(operation: &str, answer: &Answer, request_id: &str, is_garbled: bool) -> Response<Bytes> {
    let (status, mut body) = match answer {
        Ok(output) => (success(operation), output_body(operation, output)),
        Err(error) => (error.status, error_body(error, request_id).into_bytes()),
    };
    if is_garbled {
        body.truncate(body.len().saturating_sub(20));
        body.push(0xff);
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let mut insert = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    };
    insert("x-amz-request-id", request_id);
    // SDKs log it besides the request id.
    insert("x-amz-id-2", "SimulatedHostIdEXAMPLE");
    insert(CONTENT_TYPE.as_str(), "application/xml");
    if let Some(region) = answer.as_ref().err().and_then(right_region) {
        insert("x-amz-bucket-region", region);
    }
    if let Ok(output) = answer {
        for (member, header) in HEADERS {
            if let Some(value) = output.get(member).and_then(Value::as_str) {
                insert(header, value);
            }
        }
        if HEADERS.iter().any(|(member, _)| member.starts_with("ChecksumC") && output.get(*member).is_some()) {
            insert("x-amz-checksum-type", "FULL_OBJECT");
        }
        for (name, value) in output.get("Metadata").and_then(Value::as_object).into_iter().flatten() {
            insert(&format!("{METADATA}{name}"), value.as_str().unwrap_or_default());
        }
    }
    response
}

/// The Region that an error points to.
fn right_region(error: &ApiError) -> Option<&str> {
    let text = |member: &str| error.members.get(member).and_then(Value::as_str);
    text("Region").or_else(|| text("Endpoint")?.strip_prefix("s3.")?.strip_suffix(".amazonaws.com"))
}

/// As the examples of the API reference have it.
fn success(operation: &str) -> u16 {
    match operation {
        "DeleteBucketPolicy" | "DeleteObject" | "PutBucketPolicy" => 204,
        _ => 200,
    }
}

fn output_body(operation: &str, output: &Value) -> Vec<u8> {
    let text = |member: &str| output.get(member).and_then(Value::as_str);
    match operation {
        "GetObject" | "HeadObject" => text("Body").and_then(base64::decode).unwrap_or_default(),
        "GetBucketPolicy" => text("Policy").unwrap_or_default().as_bytes().to_vec(),
        "GetBucketLocation" => text("LocationConstraint").map(location).unwrap_or_default(),
        "ListBuckets" => document("ListAllMyBucketsResult", output),
        "ListObjectsV2" => document("ListBucketResult", output),
        "CopyObject" => document("CopyObjectResult", output.get("CopyObjectResult").unwrap_or(&Value::Null)),
        _ => Vec::new(),
    }
}

/// The one answer whose root has a text and no members.
fn location(region: &str) -> Vec<u8> {
    let root = "LocationConstraint";
    let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{namespace}\">{}</{root}>", escape(region))
        .into()
}

fn document(root: &str, content: &Value) -> Vec<u8> {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let name = format!("{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"");
    xml.extend(["<", &name, ">"]);
    for (member, value) in content.as_object().into_iter().flatten() {
        write_element(&mut xml, member, value);
    }
    xml.extend(["</", root, ">"]);
    xml.into_bytes()
}

/// In S3 a list is its element again and again.
fn write_element(xml: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| write_element(xml, name, item)),
        Value::Object(members) => {
            xml.extend(["<", name, ">"]);
            for (member, value) in members {
                write_element(xml, member, value);
            }
            xml.extend(["</", name, ">"]);
        }
        Value::String(text) => xml.extend(["<", name, ">", &escape(text), "</", name, ">"]),
        Value::Bool(_) | Value::Number(_) => xml.extend(["<", name, ">", &value.to_string(), "</", name, ">"]),
    }
}

/// "Error responses" in the API reference.
fn error_body(error: &ApiError, request_id: &str) -> String {
    let mut members = Map::new();
    members.insert("Code".to_owned(), json!(error.code));
    members.insert("Message".to_owned(), json!(error.message));
    members.extend(error.members.clone());
    members.insert("RequestId".to_owned(), json!(request_id));
    members.insert("HostId".to_owned(), json!("SimulatedHostIdEXAMPLE"));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    write_element(&mut xml, "Error", &Value::Object(members));
    xml
}

fn percent_decode(text: &str) -> Result<String, ApiError> {
    let malformed = || ApiError::new("InvalidURI", 400, "Couldn't parse the specified URI.");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = digit().zip(digit()).ok_or_else(malformed)?;
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| malformed())?);
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

pub(super) fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            // Writing to a string does not fail.
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        encoded
    })
}
