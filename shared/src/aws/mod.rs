//! The only place that names an AWS SDK crate. Every call to AWS is made here, and every error leaves here as a
//! `Failure` with its cause.
//!
//! What it must not do: decide. It reads, it applies a plan, it reports what AWS said.

pub mod alerts;
pub mod organization;
pub mod queue;
pub mod root_session;
pub mod state;

mod api_failure;
mod audit;
mod clock;
mod complete_lists;
mod evidence;
mod http;
mod login_profile;
mod opened_sessions;
mod schedule;
mod strip;
mod unlock_bucket;
mod unlock_queue;
mod windows;

pub use clock::Clock;
pub use schedule::WindowSchedule;
pub use strip::Stripping;
pub use unlock_bucket::LocatedBucket;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_sts::config::retry::{RetryPartition, TokenBucket};
use aws_smithy_types::timeout::TimeoutConfig;
use time::OffsetDateTime;

use crate::config::{Settings, Stores};
use opened_sessions::{OpenedSessions, Remembers};

/// An account that needs longer than a few tries needs minutes, as AWS says of `EntityTemporarilyUnmodifiable`. The next
/// run has them; here the other accounts wait.
const MOST_ATTEMPTS_IN_AN_ACCOUNT: u32 = 4;

/// The clients of the AWS APIs that Unroot calls, over one HTTP connection pool.
#[derive(Clone, Debug)]
pub struct Aws {
    sts: aws_sdk_sts::Client,
    iam: aws_sdk_iam::Client,
    organizations: aws_sdk_organizations::Client,
    sqs: aws_sdk_sqs::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    s3: aws_sdk_s3::Client,
    eventbridge: aws_sdk_eventbridge::Client,
    scheduler: aws_sdk_scheduler::Client,
    clock: Clock,
    stores: Stores,
    stack_name: String,
    opened_sessions: OpenedSessions,
    remembers: Remembers,
    function_name: String,
    request_timeout: Duration,
    patience: Patience,
}

/// How often something is read again that AWS may show late: IAM is eventually consistent
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>).
#[derive(Clone, Copy, Debug)]
struct Patience {
    first_wait: Duration,
}

impl Aws {
    /// Builds the clients from the environment that Lambda sets. Sends nothing.
    pub async fn from_environment(settings: &Settings) -> Self {
        // Retry mode and attempts are the SDK's own settings, `AWS_RETRY_MODE` and `AWS_MAX_ATTEMPTS` in the template.
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http::shared_client());
        Self::new(&config.load().await, settings)
    }

    /// Builds the clients for the Region, the credentials, the endpoint and the HTTP client of the configuration.
    pub fn new(config: &SdkConfig, settings: &Settings) -> Self {
        let Settings { tuning, stores, .. } = settings;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(tuning.request_timeout)
            .operation_attempt_timeout(tuning.request_timeout)
            .build();
        let config = config.to_builder().timeout_config(timeouts).build();
        let retries = config.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
        let retries = retries.with_initial_backoff(tuning.retry_backoff);
        let steady = RetryConfig::standard()
            .with_max_attempts(retries.max_attempts())
            .with_initial_backoff(tuning.retry_backoff);
        let config = config.into_builder().retry_config(steady.clone()).build();
        // Adaptive mode, which the template sets, is for the calls that meet one limit side by side. Elsewhere it does
        // harm: a list is read one page after the other, and one early throttle would hold it up for twenty seconds;
        // IAM's limits are those of each member, and a throttle in one must not slow down the others.
        let sts = aws_sdk_sts::config::Builder::from(&config).retry_config(retries).retry_partition(unrationed("sts"));
        let organizations = aws_sdk_organizations::config::Builder::from(&config);
        let organizations = organizations.retry_partition(unrationed("organizations"));
        let in_each_account = steady.max_attempts().min(MOST_ATTEMPTS_IN_AN_ACCOUNT);
        let iam = aws_sdk_iam::config::Builder::from(&config)
            .retry_config(steady.with_max_attempts(in_each_account))
            .retry_partition(unrationed("iam"))
            .interceptor(complete_lists::CompleteLists);
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&config).retry_partition(unrationed("dynamodb"));
        let sqs = aws_sdk_sqs::config::Builder::from(&config).retry_partition(rationed("sqs"));
        let s3 = aws_sdk_s3::config::Builder::from(&config).retry_partition(rationed("s3"));
        let eventbridge = aws_sdk_eventbridge::config::Builder::from(&config).retry_partition(rationed("eventbridge"));
        let scheduler = aws_sdk_scheduler::config::Builder::from(&config).retry_partition(rationed("scheduler"));
        Self {
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
            iam: aws_sdk_iam::Client::from_conf(strip::with_conflicts_retried(iam).build()),
            organizations: aws_sdk_organizations::Client::from_conf(organizations.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            eventbridge: aws_sdk_eventbridge::Client::from_conf(eventbridge.build()),
            scheduler: aws_sdk_scheduler::Client::from_conf(scheduler.build()),
            clock: Clock::new(config.time_source().unwrap_or_default()),
            stores: stores.clone(),
            stack_name: settings.stack_name.clone(),
            opened_sessions: OpenedSessions::default(),
            remembers: Remembers::InBatches,
            function_name: settings.function_name.clone(),
            request_timeout: tuning.request_timeout,
            patience: Patience { first_wait: tuning.retry_backoff },
        }
    }
}

impl Aws {
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// The waits before something is tried again that the SDK does not try again.
    pub fn waits(&self) -> impl Iterator<Item = Duration> + use<> {
        self.patience.waits()
    }
}

/// Retries without the SDK's common quota for all calls of a service: it is used up by a hundred retries, after which
/// each account that meets a throttle would be given up at once. What bounds the retries here is the number of attempts
/// of a call and the number of accounts at once.
fn unrationed(service: &'static str) -> RetryPartition {
    RetryPartition::custom(service).token_bucket(TokenBucket::unlimited()).build()
}

/// Retries within the SDK's quota for all calls of a service. The quota is that of these clients alone: the SDK's own
/// would be shared by everything in the process.
fn rationed(service: &'static str) -> RetryPartition {
    RetryPartition::custom(service).build()
}

impl Patience {
    /// The waits between readings, doubling: with the default backoff of a second, 15 seconds in all.
    fn waits(self) -> impl Iterator<Item = Duration> + use<> {
        (0..4).map(move |n| self.first_wait * 2_u32.pow(n))
    }
}

/// A date of an answer; `None` also for the epoch, with which the SDK fills in a date that is missing.
fn date(date: Option<&aws_smithy_types::DateTime>) -> Option<OffsetDateTime> {
    let date = date.filter(|date| date.secs() != 0)?;
    OffsetDateTime::from_unix_timestamp_nanos(date.as_nanos()).ok()
}
