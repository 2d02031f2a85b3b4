//! Operations on objects.

use hyper::body::Bytes;
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::bucket::{Bucket, NULL, Object, Version, Versioning};
use super::text;
use crate::api::{Answer, ApiError};
use crate::aws::World;
use crate::aws::base64;
use crate::aws::call::Call;
use crate::aws::signature::hex;

/// What is kept of a `PutObject` and answered with the object.
const KEPT: [&str; 9] = [
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
    "ServerSideEncryption",
    "ChecksumCRC32",
    "ChecksumSHA256",
];

/// `ListObjectsV2` answers at most so many keys.
const LARGEST_PAGE: usize = 1000;

pub(super) fn put_object(world: &mut World, call: &Call) -> Answer {
    let key = text(call, "Key").unwrap_or_default();
    let bucket = world.bucket(call)?;
    let mut permission = super::permission(bucket, "s3:PutObject", Some(key));
    if let Some(encryption) = text(call, "ServerSideEncryption") {
        permission = permission.with("s3:x-amz-server-side-encryption", encryption);
    }
    world.authorize(call, &permission)?;
    match text(call, "IfNoneMatch") {
        None => {}
        Some("*") if bucket.latest(key).is_none_or(|latest| latest.object.is_none()) => {}
        Some("*") => {
            let message = "At least one of the pre-conditions you specified did not hold";
            let error = ApiError::new("PreconditionFailed", 412, message);
            return Err(error.with_member("Condition", "If-None-Match"));
        }
        Some(_) => {
            let message = "A header you provided implies functionality that is not implemented";
            return Err(ApiError::new("NotImplemented", 501, message));
        }
    }
    let body = text(call, "Body").and_then(base64::decode).unwrap_or_default();
    let mut members: Map<String, Value> = Map::new();
    for member in KEPT {
        if let Some(value) = call.input.get(member) {
            members.insert(member.to_owned(), value.clone());
        }
    }
    members.entry("ContentType").or_insert_with(|| json!("binary/octet-stream"));
    // Since 2023 every object is encrypted, unless something else is said with S3's own keys.
    members.entry("ServerSideEncryption").or_insert_with(|| json!("AES256"));
    let name = bucket.settings.name.clone();
    Ok(store(world, call, &name, key, body.into(), members))
}

pub(super) fn copy_object(world: &mut World, call: &Call) -> Answer {
    let source = text(call, "CopySource").unwrap_or_default().trim_start_matches('/');
    let (source_bucket, source_key) = source.split_once('/').unwrap_or((source, ""));
    let from = world.bucket_named(call, source_bucket)?;
    world.authorize_in(call, from, "s3:GetObject", Some(source_key))?;
    let latest = from.latest(source_key).and_then(|version| version.object.as_ref());
    let object = match latest {
        Some(object) => object.clone(),
        None => return Err(no_such_key(world, call, from, source_key)),
    };
    let key = text(call, "Key").unwrap_or_default();
    let bucket = world.bucket(call)?;
    world.authorize_in(call, bucket, "s3:PutObject", Some(key))?;
    let name = bucket.settings.name.clone();
    let mut stored = store(world, call, &name, key, object.body, object.members);
    let etag = stored.as_object_mut().and_then(|stored| stored.remove("ETag"));
    let result = json!({ "ETag": etag, "LastModified": timestamp(call.at) });
    if let Some(stored) = stored.as_object_mut() {
        stored.insert("CopyObjectResult".to_owned(), result);
    }
    Ok(stored)
}

fn store(world: &mut World, call: &Call, bucket: &str, key: &str, body: Bytes, members: Map<String, Value>) -> Value {
    let number = world.sequence.next("version");
    let etag = format!("\"{}\"", hex(&Md5::digest(&body)));
    let mut answer = json!({ "ETag": etag });
    if let (Some(answer), Some(bucket)) = (answer.as_object_mut(), world.buckets.get_mut(bucket)) {
        let id = new_id(bucket, number);
        for member in ["ServerSideEncryption", "ChecksumCRC32", "ChecksumSHA256"] {
            answer.extend(members.get(member).map(|value| (member.to_owned(), value.clone())));
        }
        if bucket.settings.versioning != Versioning::Never {
            answer.insert("VersionId".to_owned(), json!(id));
        }
        bucket.push(key, Version { id, modified: call.at, object: Some(Object { body, etag, members }) });
    }
    answer
}

pub(super) fn get_object(world: &mut World, call: &Call) -> Answer {
    let key = text(call, "Key").unwrap_or_default();
    let bucket = world.bucket(call)?;
    let id = text(call, "VersionId");
    let action = if id.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    world.authorize_in(call, bucket, action, Some(key))?;
    let version = match id {
        Some(id) => bucket.version(key, id).ok_or_else(|| {
            ApiError::new("NoSuchVersion", 404, "The specified version does not exist.")
                .with_member("Key", key)
                .with_member("VersionId", id)
        })?,
        None => bucket.latest(key).ok_or_else(|| no_such_key(world, call, bucket, key))?,
    };
    let Some(object) = &version.object else {
        return Err(match id {
            Some(_) => {
                ApiError::new("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
            }
            None => no_such_key(world, call, bucket, key),
        });
    };
    let mut answer = object.members.clone();
    if text(call, "ChecksumMode") != Some("ENABLED") {
        answer.retain(|member, _| !member.starts_with("Checksum"));
    }
    answer.insert("ETag".to_owned(), json!(object.etag));
    answer.insert("LastModified".to_owned(), json!(http_date(version.modified)));
    if bucket.settings.versioning != Versioning::Never {
        answer.insert("VersionId".to_owned(), json!(version.id));
    }
    answer.insert("Body".to_owned(), json!(base64::encode(&object.body)));
    Ok(Value::Object(answer))
}

/// The same without the body, which HTTP leaves out of an answer to `HEAD`.
pub(super) fn head_object(world: &mut World, call: &Call) -> Answer {
    get_object(world, call)
}

/// `GetObject` in the API reference: who may not list the bucket is not told that there is no such key.
fn no_such_key(world: &World, call: &Call, bucket: &Bucket, key: &str) -> ApiError {
    match world.authorize_in(call, bucket, "s3:ListBucket", None) {
        Ok(()) => ApiError::new("NoSuchKey", 404, "The specified key does not exist.").with_member("Key", key),
        Err(denied) => denied,
    }
}

/// Succeeds for a key that is not there.
pub(super) fn delete_object(world: &mut World, call: &Call) -> Answer {
    let key = text(call, "Key").unwrap_or_default();
    let bucket = world.bucket(call)?;
    let id = text(call, "VersionId");
    let action = if id.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
    world.authorize_in(call, bucket, action, Some(key))?;
    let name = bucket.settings.name.clone();
    let number = world.sequence.next("version");
    let Some(bucket) = world.buckets.get_mut(&name) else {
        return Ok(json!({}));
    };
    let mut answer = Map::new();
    match (id, bucket.settings.versioning) {
        (Some(id), _) => {
            let removed = bucket.remove(key, id);
            answer.insert("VersionId".to_owned(), json!(id));
            if removed.is_some_and(|version| version.object.is_none()) {
                answer.insert("DeleteMarker".to_owned(), json!("true"));
            }
        }
        (None, Versioning::Never) => {
            bucket.remove(key, NULL);
        }
        (None, Versioning::Enabled | Versioning::Suspended) => {
            let marker = Version { id: new_id(bucket, number), modified: call.at, object: None };
            answer.insert("VersionId".to_owned(), json!(marker.id));
            answer.insert("DeleteMarker".to_owned(), json!("true"));
            bucket.push(key, marker);
        }
    }
    Ok(Value::Object(answer))
}

pub(super) fn list_objects_v2(world: &mut World, call: &Call) -> Answer {
    let bucket = world.bucket(call)?;
    let prefix = text(call, "Prefix").unwrap_or_default();
    let permission = super::permission(bucket, "s3:ListBucket", None).with("s3:prefix", prefix);
    world.authorize(call, &permission)?;
    let most = match text(call, "MaxKeys").map(str::parse::<usize>) {
        None => LARGEST_PAGE,
        Some(Ok(most)) => most.min(LARGEST_PAGE),
        Some(Err(_)) => {
            return Err(call.service.invalid_input("Provided max-keys not an integer or within integer range"));
        }
    };
    let after = match text(call, "ContinuationToken") {
        Some(token) => {
            let after = base64::decode(token).and_then(|key| String::from_utf8(key).ok());
            after.ok_or_else(|| call.service.invalid_input("The continuation token provided is incorrect"))?
        }
        None => text(call, "StartAfter").unwrap_or_default().to_owned(),
    };
    let delimiter = text(call, "Delimiter").filter(|delimiter| !delimiter.is_empty());
    let is_url = text(call, "EncodingType") == Some("url");
    let encoded = |text: &str| if is_url { super::rest::percent_encode(text) } else { text.to_owned() };
    let (mut contents, mut prefixes) = (Vec::new(), Vec::<String>::new());
    let mut last = String::new();
    let mut is_truncated = false;
    let keys = bucket.current_versions().filter(|(key, ..)| key.starts_with(prefix) && *key > after.as_str());
    for (key, version, object) in keys {
        let rest = key.strip_prefix(prefix).unwrap_or_default();
        let group = delimiter
            .and_then(|delimiter| rest.split_once(delimiter).map(|(first, _)| [prefix, first, delimiter].concat()));
        // What was answered as a group on this or an earlier page is not answered again.
        let is_known =
            group.as_ref().is_some_and(|group| prefixes.contains(group) || after.starts_with(group.as_str()));
        if !is_known && contents.len() + prefixes.len() == most {
            is_truncated = most > 0;
            break;
        }
        key.clone_into(&mut last);
        match group {
            _ if is_known => {}
            Some(group) => prefixes.push(group),
            None => contents.push(json!({
                "Key": encoded(key),
                "LastModified": timestamp(version.modified),
                "ETag": object.etag,
                "Size": object.body.len(),
                "StorageClass": "STANDARD",
            })),
        }
    }
    let mut answer = json!({
        "Name": bucket.settings.name,
        "Prefix": encoded(prefix),
        "Delimiter": delimiter.map(encoded),
        "KeyCount": contents.len() + prefixes.len(),
        "MaxKeys": most,
        "EncodingType": is_url.then_some("url"),
        "IsTruncated": is_truncated,
        "Contents": contents,
        "CommonPrefixes": prefixes.iter().map(|prefix| json!({ "Prefix": encoded(prefix) })).collect::<Vec<_>>(),
    });
    if is_truncated && let Some(answer) = answer.as_object_mut() {
        answer.insert("NextContinuationToken".to_owned(), json!(base64::encode(last.as_bytes())));
    }
    Ok(answer)
}

/// `number` makes it unique.
fn new_id(bucket: &Bucket, number: u64) -> String {
    match bucket.settings.versioning {
        Versioning::Enabled => format!("SimulatedVersion{number:09}EXAMPLE"),
        Versioning::Never | Versioning::Suspended => NULL.to_owned(),
    }
}

fn timestamp(at: OffsetDateTime) -> String {
    at.replace_millisecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

fn http_date(at: OffsetDateTime) -> String {
    const HTTP_DATE: &[time::format_description::BorrowedFormatItem<'_>] = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    at.to_offset(time::UtcOffset::UTC).format(HTTP_DATE).unwrap_or_default()
}
