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

/// Of a page.
const MOST_BUCKETS: usize = 10_000;

/// What continuation tokens begin with.
const TOKEN: &str = "simulated-after-";

/// The buckets of all Regions, whichever is asked. `BucketRegion` is in the answer only "if the request contains at least
/// one valid parameter". Of a Region that is not that of the endpoint it is documented that it is not supported, and not
/// how.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>
pub(super) fn list_buckets(world: &mut World, call: &Call) -> Answer {
    const PARAMETERS: [&str; 4] = ["BucketRegion", "ContinuationToken", "MaxBuckets", "Prefix"];
    world.authorize(call, &Permission::to("s3:ListAllMyBuckets", "*"))?;
    let region = text(call, "BucketRegion");
    if region.is_some_and(|region| region != call.region) {
        return Err(call.service.invalid_input("The bucket-region is not that of the endpoint."));
    }
    let most = text(call, "MaxBuckets").map_or(Ok(MOST_BUCKETS), str::parse);
    let most = most.ok().filter(|most| (1..=MOST_BUCKETS).contains(most)).ok_or_else(|| {
        call.service.invalid_input(format!("Argument max-buckets must be an integer between 1 and {MOST_BUCKETS}."))
    })?;
    let prefix = text(call, "Prefix").unwrap_or_default();
    let after = match text(call, "ContinuationToken") {
        Some(token) => Some(
            after(token).ok_or_else(|| call.service.invalid_input("The continuation token provided is incorrect"))?,
        ),
        None => None,
    };
    let is_meant = |bucket: &&BucketSettings| {
        bucket.account == call.caller.account.as_str()
            && bucket.name.starts_with(prefix)
            && region.is_none_or(|region| region == bucket.region)
            && after.as_ref().is_none_or(|after| bucket.name > *after)
    };
    let mut own = world.buckets.iter().map(|bucket| &bucket.settings).filter(is_meant);
    let page: Vec<&BucketSettings> = own.by_ref().take(most).collect();
    let token = own.next().and(page.last()).map(|last| format!("{TOKEN}{}", last.name));
    // When a bucket was created nobody asks here.
    let created = call.at.format(&Rfc3339).unwrap_or_default();
    let shows_region = PARAMETERS.iter().any(|parameter| text(call, parameter).is_some());
    let buckets: Vec<_> = page
        .iter()
        .map(|bucket| {
            let region = shows_region.then_some(&bucket.region);
            json!({ "Name": bucket.name, "CreationDate": created, "BucketRegion": region })
        })
        .collect();
    Ok(json!({
        "Owner": { "ID": call.caller.account.as_str() },
        "Buckets": { "Bucket": buckets },
        "ContinuationToken": token,
        "Prefix": text(call, "Prefix"),
    }))
}

/// The name of the bucket that a page ended with.
fn after(token: &str) -> Option<String> {
    token.strip_prefix(TOKEN).map(str::to_owned)
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

/// It is answered in any Region, for finding the right one is what it is for.
pub(super) fn get_bucket_location(world: &mut World, call: &Call) -> Answer {
    let bucket = world.bucket_anywhere(text(call, "Bucket").unwrap_or_default())?;
    world.authorize_in(call, bucket, "s3:GetBucketLocation", None)?;
    let region = bucket.settings.region.as_str();
    // The constraint of us-east-1 is null.
    Ok(json!({ "LocationConstraint": if region == "us-east-1" { "" } else { region } }))
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
