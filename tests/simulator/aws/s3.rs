//! S3: buckets with versions and policies, objects with checksums. Path style only.
//!
//! S3 is strongly consistent, so nothing is ever read stale ("Amazon S3 data consistency model" in the user guide).
//! Access control lists, multipart uploads, ranges and presigned URLs are not simulated and are refused.

mod bucket;
mod buckets;
mod objects;
mod payload;
mod rest;

use std::collections::BTreeMap;

pub(crate) use bucket::Buckets;
pub use bucket::{BucketSettings, ObjectVersion, Versioning};
pub(super) use payload::Payload;
pub(super) use rest::{read, respond};

use super::authorization::Permission;
use super::call::Call;
use super::service::{Operation, reads, writes};
use super::{Aws, World};
use crate::api::ApiError;
use crate::policy::{ResourcePolicy, ResourcePolicyError};
use bucket::Bucket;

pub(super) const OPERATIONS: &[Operation] = &[
    reads("ListBuckets", buckets::list_buckets),
    writes("CreateBucket", buckets::create_bucket),
    reads("HeadBucket", buckets::head_bucket),
    reads("GetBucketPolicy", buckets::get_bucket_policy),
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
        let bucket = self.buckets.get(name).ok_or_else(|| {
            ApiError::new("NoSuchBucket", 404, "The specified bucket does not exist").with_member("BucketName", name)
        })?;
        let region = &bucket.settings.region;
        if *region != call.region {
            let message = format!(
                "The authorization header is malformed; the region '{}' is wrong; expecting '{region}'",
                call.region
            );
            let error = ApiError::new("AuthorizationHeaderMalformed", 400, message);
            return Err(error.with_member("Region", region.as_str()));
        }
        let expected = text(call, "ExpectedBucketOwner");
        if expected.is_some_and(|owner| owner != bucket.settings.account) {
            return Err(call.service.access_denied("Access Denied"));
        }
        Ok(bucket)
    }

    /// Asks for an action on a bucket or, with a key, on an object in it.
    fn authorize_in(&self, call: &Call, bucket: &Bucket, action: &str, key: Option<&str>) -> Result<(), ApiError> {
        self.authorize(call, &permission(bucket, action, key))
    }
}

fn permission(bucket: &Bucket, action: &str, key: Option<&str>) -> Permission {
    let arn = match key {
        Some(key) => format!("{}/{key}", bucket.settings.arn()),
        None => bucket.settings.arn(),
    };
    let permission = Permission::to(action, arn);
    match bucket.settings.account.parse() {
        Ok(owner) => permission.owned_by(owner, bucket.policy.clone().unwrap_or_default()),
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
        let parsed = ResourcePolicy::parse(policy)?;
        Ok(self.lock().buckets.set_policy(bucket, policy.to_string(), parsed))
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
