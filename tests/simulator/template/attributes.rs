//! What `Ref` and `Fn::GetAtt` return for each type of resource, from the reference page of the type in the
//! CloudFormation user guide.
//!
//! A type or an attribute that is not here is an error: a made-up ARN would be found out by nobody.

use anyhow::{Result, bail};

use super::Stack;

/// A resource as far as its name is known.
pub(super) struct Named<'a> {
    pub(super) stack: &'a Stack,
    pub(super) kind: &'a str,
    pub(super) name: String,
    /// The name of the event bus of a rule that names one.
    pub(super) event_bus: Option<String>,
}

/// The property that names a resource of a type, for the types whose resources are referred to.
pub(super) fn name_property(kind: &str) -> Result<&'static str> {
    Ok(match kind {
        "AWS::CloudWatch::Alarm" => "AlarmName",
        "AWS::CloudWatch::Dashboard" => "DashboardName",
        "AWS::DynamoDB::Table" => "TableName",
        "AWS::Events::EventBus" | "AWS::Events::Rule" | "AWS::Scheduler::Schedule" => "Name",
        "AWS::IAM::ManagedPolicy" => "ManagedPolicyName",
        "AWS::IAM::Role" => "RoleName",
        "AWS::Logs::LogGroup" => "LogGroupName",
        "AWS::S3::Bucket" => "BucketName",
        "AWS::SNS::Topic" => "TopicName",
        "AWS::SQS::Queue" => "QueueName",
        "AWS::Serverless::Function" => "FunctionName",
        _ => bail!("the simulator does not know what a reference to a `{kind}` returns"),
    })
}

impl Named<'_> {
    pub(super) fn reference(&self) -> String {
        let Stack { account, region, .. } = self.stack;
        match (self.kind, &self.event_bus) {
            ("AWS::SQS::Queue", _) => format!("https://sqs.{region}.amazonaws.com/{account}/{}", self.name),
            ("AWS::Events::Rule", Some(bus)) => format!("{bus}|{}", self.name),
            ("AWS::IAM::ManagedPolicy" | "AWS::SNS::Topic", _) => self.arn(),
            _ => self.name.clone(),
        }
    }

    pub(super) fn attribute(&self, attribute: &str) -> Result<String> {
        match (self.kind, attribute) {
            ("AWS::SQS::Queue", "QueueName") | ("AWS::Events::EventBus", "Name") | ("AWS::SNS::Topic", "TopicName") => {
                Ok(self.name.clone())
            }
            ("AWS::SQS::Queue", "QueueUrl") => Ok(self.reference()),
            ("AWS::IAM::ManagedPolicy", "PolicyArn") | ("AWS::SNS::Topic", "TopicArn") | (_, "Arn") => Ok(self.arn()),
            (kind, _) => bail!("the simulator does not know the attribute `{attribute}` of a `{kind}`"),
        }
    }

    fn arn(&self) -> String {
        let Stack { account, region, .. } = self.stack;
        let name = &self.name;
        let arn = |service: &str, rest: &str| format!("arn:aws:{service}:{region}:{account}:{rest}");
        match (self.kind, &self.event_bus) {
            ("AWS::CloudWatch::Alarm", _) => arn("cloudwatch", &format!("alarm:{name}")),
            ("AWS::CloudWatch::Dashboard", _) => format!("arn:aws:cloudwatch::{account}:dashboard/{name}"),
            ("AWS::DynamoDB::Table", _) => arn("dynamodb", &format!("table/{name}")),
            ("AWS::Events::EventBus", _) => arn("events", &format!("event-bus/{name}")),
            ("AWS::Events::Rule", Some(bus)) => arn("events", &format!("rule/{bus}/{name}")),
            ("AWS::Events::Rule", None) => arn("events", &format!("rule/{name}")),
            ("AWS::IAM::ManagedPolicy", _) => format!("arn:aws:iam::{account}:policy/{name}"),
            ("AWS::IAM::Role", _) => format!("arn:aws:iam::{account}:role/{name}"),
            ("AWS::Logs::LogGroup", _) => arn("logs", &format!("log-group:{name}:*")),
            ("AWS::Scheduler::Schedule", _) => arn("scheduler", &format!("schedule/default/{name}")),
            ("AWS::S3::Bucket", _) => format!("arn:aws:s3:::{name}"),
            ("AWS::SNS::Topic", _) => arn("sns", name),
            ("AWS::SQS::Queue", _) => arn("sqs", name),
            _ => arn("lambda", &format!("function:{name}")),
        }
    }
}
