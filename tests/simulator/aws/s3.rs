//! S3: buckets with versions and policies, objects with checksums. Path style only.
//!
//! Objects are strongly consistent, and so never read stale; "bucket configurations have an eventual consistency model"
//! ("Amazon S3 data consistency model" in the user guide), and so a policy may be.
//! Access control lists, multipart uploads, ranges and presigned URLs are not simulated and are refused.

mod bucket;
mod buckets;
mod objects;
mod payload;
mod policies;
mod rest;

use std::collections::BTreeMap;

pub(crate) use bucket::Buckets;
pub use bucket::{BucketSettings, ObjectVersion, Versioning};
pub(super) use payload::Payload;
pub(super) use rest::{read, respond};

use super::authorization::Permission;
use super::call::Call;
use super::service::{Operation, changes, reads, writes};
use super::{Aws, World};
use crate::api::ApiError;
use crate::policy::{ResourcePolicyError, WrittenPolicy};
use bucket::Bucket;

pub(super) const OPERATIONS: &[Operation] = &[
    reads("ListBuckets", buckets::list_buckets),
    writes("CreateBucket", buckets::create_bucket),
    reads("HeadBucket", buckets::head_bucket),
    reads("GetBucketLocation", buckets::get_bucket_location),
    reads("GetBucketPolicy", policies::get_bucket_policy),
    reads("GetBucketPolicyStatus", policies::get_bucket_policy_status),
    changes("PutBucketPolicy", policies::put_bucket_policy),
    changes("DeleteBucketPolicy", policies::delete_bucket_policy),
    writes("PutBucketVersioning", buckets::put_bucket_versioning),
    reads("ListObjectsV2", objects::list_objects_v2),
    reads("GetObject", objects::get_object),
    reads("HeadObject", objects::head_object),
    writes("PutObject", objects::put_object),
    writes("CopyObject", objects::copy_object),
    writes("DeleteObject", objects::delete_object),
];

impl World {
    /// The bucket that a call names. Whoever is identified learns that there is none.
    fn bucket(&self, call: &Call) -> Result<&Bucket, ApiError> {
        let name = text(call, "Bucket").unwrap_or_default();
        self.bucket_named(call, name)
    }

    fn bucket_named(&self, call: &Call, name: &str) -> Result<&Bucket, ApiError> {
        let bucket = self.bucket_anywhere(name)?;
        if bucket.settings.region != call.region {
            return Err(elsewhere(bucket, &call.region));
        }
        let expected = text(call, "ExpectedBucketOwner");
        if expected.is_some_and(|owner| owner != bucket.settings.account) {
            return Err(call.service.access_denied("Access Denied"));
        }
        Ok(bucket)
    }

    fn bucket_anywhere(&self, name: &str) -> Result<&Bucket, ApiError> {
        self.buckets.get(name).ok_or_else(|| {
            ApiError::new("NoSuchBucket", 404, "The specified bucket does not exist").with_member("BucketName", name)
        })
    }

    /// Asks for an action on a bucket or, with a key, on an object in it.
    fn authorize_in(&self, call: &Call, bucket: &Bucket, action: &str, key: Option<&str>) -> Result<(), ApiError> {
        self.authorize(call, &permission(bucket, action, key))
    }
}

/// What S3 answers in the wrong Region: that of us-east-1 finds fault with the signature, the others redirect. boto3 follows
/// both to the Region that they name (`S3RegionRedirectorv2` in `botocore/utils.py`), the SDK for Rust neither. Regions
/// that opened after March 2019 answer with an HTTP status 400, which is not simulated.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html>
fn elsewhere(bucket: &Bucket, asked: &str) -> ApiError {
    let region = bucket.settings.region.as_str();
    if asked == "us-east-1" {
        let message =
            format!("The authorization header is malformed; the region '{asked}' is wrong; expecting '{region}'");
        return ApiError::new("AuthorizationHeaderMalformed", 400, message).with_member("Region", region);
    }
    let message = "The bucket you are attempting to access must be addressed using the specified endpoint. Please send \
                   all future requests to this endpoint.";
    ApiError::new("PermanentRedirect", 301, message)
        .with_member("Bucket", bucket.settings.name.as_str())
        .with_member("Endpoint", format!("s3.{region}.amazonaws.com"))
}

fn permission(bucket: &Bucket, action: &str, key: Option<&str>) -> Permission {
    let arn = match key {
        Some(key) => format!("{}/{key}", bucket.settings.arn()),
        None => bucket.settings.arn(),
    };
    let permission = Permission::to(action, arn);
    match bucket.settings.account.parse() {
        Ok(owner) => {
            let policy = bucket.policy.now().as_ref().map(|written| written.policy().clone());
            permission.owned_by(owner, policy.unwrap_or_default())
        }
        Err(_) => permission,
    }
}

/// A member of the input that is a text.
fn text<'a>(call: &'a Call, member: &str) -> Option<&'a str> {
    call.input.get(member).and_then(serde_json::Value::as_str)
}

/// Buckets for who holds the simulated AWS, past authorization and faults.
impl Aws {
    /// An empty bucket, in place of one with the same name; returns its ARN.
    pub fn create_bucket(&self, settings: BucketSettings) -> String {
        self.lock().buckets.create(settings)
    }

    /// Sets the policy of a bucket; false if there is no such bucket.
    pub fn put_bucket_policy(&self, bucket: &str, policy: &serde_json::Value) -> Result<bool, ResourcePolicyError> {
        let written = WrittenPolicy::try_from(policy.clone())?;
        Ok(self.lock().buckets.set_policy(bucket, Some(written)))
    }

    /// The text of a bucket's policy as it is now; none if there is no policy, or no such bucket.
    pub fn bucket_policy(&self, bucket: &str) -> Option<String> {
        let world = self.lock();
        world.buckets.get(bucket)?.policy.now().as_ref().map(|written| written.text().to_owned())
    }

    /// The current versions of the objects in a bucket by key; none if there is no such bucket.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let world = self.lock();
        let current = |bucket: &Bucket| {
            let objects = bucket.current().map(|(key, object)| (key.to_owned(), object.body.to_vec()));
            objects.collect()
        };
        world.buckets.get(bucket).map(current).unwrap_or_default()
    }

    /// The versions of an object, oldest first; only one in a bucket without versioning.
    pub fn versions(&self, bucket: &str, key: &str) -> Vec<ObjectVersion> {
        let world = self.lock();
        world.buckets.get(bucket).map(|bucket| bucket.versions(key)).unwrap_or_default()
    }
}
