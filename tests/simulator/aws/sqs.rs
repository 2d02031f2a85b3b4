//! SQS: who may do what with a queue. What it does is the queues' business.
//!
//! Of the root user it is documented that a root session can remove a policy "that denies all principals"; that no policy
//! of a queue binds the root user of its account in any call is an assumption.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_root-user-privileged-task.html>

use serde_json::Value;

use super::World;
use super::authorization::Permission;
use super::call::Call;
use super::service::{Operation, changes, not_simulated, reads};
use crate::api::Answer;
use crate::organization::AccountId;
use crate::queues::{Origin, Queues};

/// Messages that pass through a queue change no account, and what the task policy of the root sessions lets change does.
pub(super) const OPERATIONS: &[Operation] = &[
    reads("SendMessage", call_queues),
    reads("ReceiveMessage", call_queues),
    reads("DeleteMessage", call_queues),
    reads("ChangeMessageVisibility", call_queues),
    reads("GetQueueAttributes", call_queues),
    changes("SetQueueAttributes", call_queues),
    reads("GetQueueUrl", call_queues),
    reads("ListQueues", call_queues),
    changes("PurgeQueue", call_queues),
    changes("AddPermission", change_permissions),
    changes("RemovePermission", change_permissions),
];

fn call_queues(world: &mut World, call: &Call) -> Answer {
    authorize(world, call)?;
    world.queues.call(origin(call), &call.operation, &call.input)
}

/// Whoever may change a policy with these can also set it.
fn change_permissions(world: &mut World, call: &Call) -> Answer {
    authorize(world, call)?;
    Err(not_simulated("statements that are added to a queue's policy or removed from it"))
}

fn authorize(world: &World, call: &Call) -> Result<(), crate::api::ApiError> {
    let member = |name| call.input.get(name).and_then(Value::as_str);
    let arn = member("QueueUrl").and_then(|url| Queues::arn_in_url(origin(call), url)).unwrap_or_else(|| {
        let owner = member("QueueOwnerAWSAccountId").unwrap_or(call.caller.account.as_str());
        format!("arn:aws:sqs:{}:{owner}:{}", call.region, member("QueueName").unwrap_or("*"))
    });
    let permission = Permission::on(call, arn.as_str());
    let owner = arn.split(':').nth(4).and_then(|owner| owner.parse::<AccountId>().ok());
    match owner {
        Some(owner) if call.caller.arn != owner.root_arn() => {
            let policy = world.queues.policy(&arn).map(|written| written.policy().clone()).unwrap_or_default();
            world.authorize(call, &permission.owned_by(owner, policy))
        }
        _ => world.authorize(call, &permission),
    }
}

fn origin(call: &Call) -> Origin<'_> {
    Origin { account: call.caller.account.as_str(), region: &call.region, staleness: call.staleness }
}
