//! Reading and replacing the policy of a queue.

use aws_sdk_sqs::config::Region;
use aws_sdk_sqs::types::QueueAttributeName;

use super::api_failure::{failed, unreadable};
use super::root_session::{RootSession, UnlockQueue};
use crate::domain::failure::Failure;
use crate::domain::operator_request::QueueAddress;

impl RootSession<UnlockQueue> {
    /// The policy, or nothing if the queue has none.
    ///
    /// INVARIANT (never claims more than it saw): an answer without a policy has no member for it, so the ARN, which every
    /// queue has, is asked for too: it tells a queue without a policy from an answer with nothing in it.
    pub async fn queue_policy(&self, queue: &QueueAddress) -> Result<Option<String>, Failure> {
        const OPERATION: &str = "sqs:GetQueueAttributes";
        let call = self.sqs.get_queue_attributes().queue_url(queue.url.as_str());
        let call = call.attribute_names(QueueAttributeName::Policy).attribute_names(QueueAttributeName::QueueArn);
        let answer = call.customize().config_override(self.sign_sqs(queue)).send().await.map_err(failed(OPERATION))?;
        let mut attributes = answer.attributes.unwrap_or_default();
        if attributes.get(&QueueAttributeName::QueueArn) != Some(&queue.arn()) {
            return Err(unreadable(OPERATION, "the answer does not have the ARN of the queue"));
        }
        Ok(attributes.remove(&QueueAttributeName::Policy).filter(|policy| !policy.is_empty()))
    }

    /// Takes the policy away, or puts another in its place. Who calls this has saved the one that is there.
    #[expect(clippy::disallowed_methods, reason = "the one place that changes queue policies")]
    pub async fn replace_queue_policy(&self, queue: &QueueAddress, policy: Option<&str>) -> Result<(), Failure> {
        let call = self.sqs.set_queue_attributes().queue_url(queue.url.as_str());
        // An empty one is none.
        let call = call.attributes(QueueAttributeName::Policy, policy.unwrap_or_default()).customize();
        let answer = call.config_override(self.sign_sqs(queue)).send().await;
        answer.map(drop).map_err(failed("sqs:SetQueueAttributes"))
    }

    fn sign_sqs(&self, queue: &QueueAddress) -> aws_sdk_sqs::config::Builder {
        let region = Region::new(queue.region.clone());
        aws_sdk_sqs::config::Builder::new().credentials_provider(self.credentials()).region(region)
    }
}
