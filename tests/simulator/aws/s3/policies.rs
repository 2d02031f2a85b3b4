//! Operations on the policies of buckets.
//!
//! No bucket policy keeps the root user of the bucket's account from them: he "can always" perform them, "even if their
//! bucket policy explicitly denies the root principal's access".
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html>

use serde_json::json;

use super::bucket::Bucket;
use super::text;
use crate::api::{Answer, ApiError};
use crate::aws::World;
use crate::aws::authorization::Permission;
use crate::aws::call::Call;
use crate::aws::service::{not_simulated, nothing};
use crate::policy::WrittenPolicy;

/// "Bucket policies are limited to 20 KB in size".
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html>
const LONGEST: usize = 20 * 1024;

pub(super) fn get_bucket_policy(world: &mut World, call: &Call) -> Answer {
    let bucket = authorized(world, call)?;
    match bucket.policy.before(call.staleness) {
        Some(written) => Ok(json!({ "Policy": written.text() })),
        None => Err(ApiError::new("NoSuchBucketPolicy", 404, "The bucket policy does not exist")
            .with_member("BucketName", bucket.settings.name.as_str())),
    }
}

/// Whether a policy makes its bucket public is not simulated, only who may ask.
pub(super) fn get_bucket_policy_status(world: &mut World, call: &Call) -> Answer {
    let bucket = world.bucket(call)?;
    world.authorize_in(call, bucket, "s3:GetBucketPolicyStatus", None)?;
    Err(not_simulated("the status of a policy"))
}

/// The texts of what is wrong are our own, but for the first.
pub(super) fn put_bucket_policy(world: &mut World, call: &Call) -> Answer {
    let bucket = authorized(world, call)?;
    let malformed = |message: String| ApiError::new("MalformedPolicy", 400, message);
    let policy = text(call, "Policy").unwrap_or_default();
    if !policy.starts_with('{') {
        return Err(malformed("Policies must be valid JSON and the first byte must be '{'".to_owned()));
    }
    if policy.len() > LONGEST {
        return Err(malformed(format!("the policy is longer than {LONGEST} bytes")));
    }
    let written = WrittenPolicy::parse(policy).map_err(|error| malformed(error.to_string()))?;
    let arn = bucket.settings.arn();
    if let Some(resource) = written.resources().find(|resource| !is_in(resource, &arn)) {
        return Err(malformed(format!("Policy has invalid resource: {resource}")));
    }
    let name = bucket.settings.name.clone();
    world.buckets.set_policy(&name, Some(written));
    Ok(nothing())
}

/// Succeeds where there is no policy.
pub(super) fn delete_bucket_policy(world: &mut World, call: &Call) -> Answer {
    let bucket = authorized(world, call)?;
    if bucket.policy.now().is_some() {
        let name = bucket.settings.name.clone();
        world.buckets.set_policy(&name, None);
    }
    Ok(nothing())
}

/// The bucket that a call names, to whose policy the caller may do what he is about to do.
fn authorized<'a>(world: &'a World, call: &Call) -> Result<&'a Bucket, ApiError> {
    let bucket = world.bucket(call)?;
    let owner = bucket.settings.account.as_str();
    if call.caller.arn == format!("arn:aws:iam::{owner}:root") {
        // What the organization denies is denied to him, too.
        world.authorize(call, &Permission::on(call, bucket.settings.arn()))?;
        return Ok(bucket);
    }
    world.authorize(call, &super::permission(bucket, &call.action(), None))?;
    if call.caller.account.as_str() != owner {
        // Who has the permission and is of another account ("PutBucketPolicy" in the API reference).
        let message = "The specified method is not allowed against this resource.";
        return Err(ApiError::new("MethodNotAllowed", 405, message).with_member("ResourceType", "BUCKETPOLICY"));
    }
    Ok(bucket)
}

/// Whether a resource is a bucket or in it, or may be: it may have wildcards anywhere.
fn is_in(resource: &str, arn: &str) -> bool {
    let bucket = resource.split('/').next().unwrap_or(resource);
    resource == "*" || bucket.contains(['*', '?']) || bucket == arn
}
