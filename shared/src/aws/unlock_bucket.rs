//! Reading and replacing the policy of a bucket, with the three calls that the root task allows.

use aws_sdk_s3::config::Region;

use super::api_failure::{failed, unreadable};
use super::root_session::{RootSession, UnlockBucket};
use crate::domain::failure::{Cause, Failure};
use crate::domain::id::BucketName;

/// A bucket of the session's account and the Region that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedBucket {
    pub name: BucketName,
    pub region: String,
}

impl RootSession<UnlockBucket> {
    /// Finds the bucket in the account. The task allows no other call that tells the Region, and this one tells it only
    /// if it is asked with a parameter
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>).
    pub async fn locate(&self, name: &BucketName) -> Result<LocatedBucket, Failure> {
        const OPERATION: &str = "s3:ListBuckets";
        let mut token = None;
        loop {
            let call = self.s3.list_buckets().prefix(name.as_str()).max_buckets(1_000).set_continuation_token(token);
            let answer =
                call.customize().config_override(self.sign_s3(None)).send().await.map_err(failed(OPERATION))?;
            if let Some(bucket) = answer.buckets().iter().find(|bucket| bucket.name() == Some(name.as_str())) {
                let region = bucket.bucket_region().ok_or_else(|| unreadable(OPERATION, "no `BucketRegion`"))?;
                return Ok(LocatedBucket { name: name.clone(), region: region.to_owned() });
            }
            token = answer.continuation_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                let message = format!("the account {} has no bucket `{name}`", self.account());
                return Err(Failure::observed(Cause::NoSuchBucket, OPERATION, message));
            }
        }
    }

    /// The policy, or nothing if the bucket has none.
    pub async fn bucket_policy(&self, bucket: &LocatedBucket) -> Result<Option<String>, Failure> {
        const OPERATION: &str = "s3:GetBucketPolicy";
        let call = self.s3.get_bucket_policy().bucket(bucket.name.as_str()).customize();
        match call.config_override(self.sign_s3(Some(bucket))).send().await.map_err(failed(OPERATION)) {
            Ok(answer) => answer.policy.map(Some).ok_or_else(|| unreadable(OPERATION, "no policy in the answer")),
            Err(failure) if failure.cause == Cause::AlreadyAbsent => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Takes the policy away, or puts another in its place. Who calls this has saved the one that is there.
    #[expect(clippy::disallowed_methods, reason = "the one place that changes bucket policies")]
    pub async fn replace_bucket_policy(&self, bucket: &LocatedBucket, policy: Option<&str>) -> Result<(), Failure> {
        let sign = self.sign_s3(Some(bucket));
        match policy {
            None => {
                let call = self.s3.delete_bucket_policy().bucket(bucket.name.as_str()).customize();
                call.config_override(sign).send().await.map(drop).map_err(failed("s3:DeleteBucketPolicy"))
            }
            Some(policy) => {
                let call = self.s3.put_bucket_policy().bucket(bucket.name.as_str()).policy(policy).customize();
                call.config_override(sign).send().await.map(drop).map_err(failed("s3:PutBucketPolicy"))
            }
        }
    }

    fn sign_s3(&self, bucket: Option<&LocatedBucket>) -> aws_sdk_s3::config::Builder {
        let region = bucket.map(|bucket| Region::new(bucket.region.clone()));
        let region = region.or_else(|| self.s3.config().region().cloned());
        aws_sdk_s3::config::Builder::new().credentials_provider(self.credentials()).region(region)
    }
}
