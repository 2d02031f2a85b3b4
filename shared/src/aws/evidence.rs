//! The evidence bucket: objects are written, and read again by later audits. Nothing here deletes.

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::timeout::TimeoutConfig;

use super::Aws;
use super::api_failure::{failed, unreadable};
use crate::domain::failure::Failure;

impl Aws {
    /// Writes an object; in the versioned bucket, what was there before stays as an older version.
    pub async fn put_evidence(&self, key: &str, content_type: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let call = self.s3.put_object().bucket(self.stores.evidence_bucket.as_str()).key(key);
        let in_time = self.time_for(bytes.len());
        let call = call.content_type(content_type).body(ByteStream::from(bytes)).customize();
        call.config_override(in_time).send().await.map(drop).map_err(failed("s3:PutObject"))
    }

    /// Reads an object that is known to exist: S3 answers `AccessDenied` for one that does not, if the caller may not list
    /// the bucket (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>).
    pub async fn get_evidence(&self, key: &str) -> Result<Vec<u8>, Failure> {
        const OPERATION: &str = "s3:GetObject";
        let call = self.s3.get_object().bucket(self.stores.evidence_bucket.as_str()).key(key);
        let answer = call.send().await.map_err(failed(OPERATION))?;
        let body = answer.body.collect().await;
        let body = body.map_err(|error| unreadable(OPERATION, &format!("the object ended early: {error}")))?;
        Ok(body.to_vec())
    }

    /// Once the time of another call for each megabyte.
    fn time_for(&self, length: usize) -> aws_sdk_s3::config::Builder {
        let megabytes = u32::try_from(length / 1_000_000).unwrap_or(u32::MAX);
        let time = self.request_timeout.saturating_mul(1 + megabytes);
        let timeouts = TimeoutConfig::builder().connect_timeout(self.request_timeout).operation_attempt_timeout(time);
        aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build())
    }
}
