//! Operations on buckets.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::bucket::{BucketSettings, Versioning};
use super::text;
use crate::api::{Answer, ApiError};
use crate::aws::World;
use crate::aws::authorization::Permission;
use crate::aws::call::Call;
use crate::aws::service::nothing;

pub(super) fn list_buckets(world: &mut World, call: &Call) -> Answer {
    world.authorize(call, &Permission::to("s3:ListAllMyBuckets", "*"))?;
    let own = world.buckets.iter().filter(|bucket| bucket.settings.account == call.caller.account.as_str());
    // When a bucket was created nobody asks here.
    let created = call.at.format(&Rfc3339).unwrap_or_default();
    let buckets: Vec<_> = own.map(|bucket| json!({ "Name": bucket.settings.name, "CreationDate": created })).collect();
    Ok(json!({ "Owner": { "ID": call.caller.account.as_str() }, "Buckets": { "Bucket": buckets } }))
}

pub(super) fn create_bucket(world: &mut World, call: &Call) -> Answer {
    let name = text(call, "Bucket").unwrap_or_default().to_owned();
    let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || ".-".contains(letter);
    if !(3..=63).contains(&name.len()) || !name.chars().all(is_letter) {
        let error = ApiError::new("InvalidBucketName", 400, "The specified bucket is not valid.");
        return Err(error.with_member("BucketName", name));
    }
    world.authorize(call, &Permission::to("s3:CreateBucket", format!("arn:aws:s3:::{name}")))?;
    if let Some(bucket) = world.buckets.get(&name) {
        let (code, message) = if bucket.settings.account == call.caller.account.as_str() {
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            ("BucketAlreadyOwnedByYou", message)
        } else {
            let message = "The requested bucket name is not available. The bucket namespace is shared by all users of \
                           the system. Please select a different name and try again.";
            ("BucketAlreadyExists", message)
        };
        return Err(ApiError::new(code, 409, message).with_member("BucketName", name));
    }
    let location = format!("/{name}");
    let (account, region) = (call.caller.account.to_string(), call.region.clone());
    world.buckets.create(BucketSettings { account, region, name, versioning: Versioning::Never });
    Ok(json!({ "Location": location }))
}

pub(super) fn head_bucket(world: &mut World, call: &Call) -> Answer {
    let bucket = world.bucket(call)?;
    world.authorize_in(call, bucket, "s3:ListBucket", None)?;
    Ok(json!({ "BucketRegion": bucket.settings.region }))
}

pub(super) fn get_bucket_policy(world: &mut World, call: &Call) -> Answer {
    let bucket = world.bucket(call)?;
    let permission = super::permission(bucket, "s3:GetBucketPolicy", None);
    // No bucket policy keeps the root user of the bucket's account from it ("PutBucketPolicy" in the API reference).
    let is_own_root = call.caller.arn == format!("arn:aws:iam::{}:root", bucket.settings.account);
    if is_own_root {
        world.authorize(call, &Permission::to("s3:GetBucketPolicy", bucket.settings.arn()))?;
    } else {
        world.authorize(call, &permission)?;
    }
    match &bucket.policy_text {
        Some(policy) => Ok(json!({ "Policy": policy })),
        None => Err(ApiError::new("NoSuchBucketPolicy", 404, "The bucket policy does not exist")
            .with_member("BucketName", bucket.settings.name.as_str())),
    }
}

pub(super) fn put_bucket_versioning(world: &mut World, call: &Call) -> Answer {
    let bucket = world.bucket(call)?;
    world.authorize_in(call, bucket, "s3:PutBucketVersioning", None)?;
    let name = bucket.settings.name.clone();
    let versioning = match call.input.pointer("/VersioningConfiguration/Status").and_then(Value::as_str) {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        _ => {
            let message = "The XML you provided was not well-formed or did not validate against our published schema";
            return Err(ApiError::new("MalformedXML", 400, message));
        }
    };
    if let Some(bucket) = world.buckets.get_mut(&name) {
        bucket.settings.versioning = versioning;
    }
    Ok(nothing())
}
