//! The simulated AWS that the story plays in, and Unroot's deployments there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use simulator::aws::{Aws, CallRecord, Outcome};
use simulator::clock::Clock;
use simulator::deployment::{Deployment, Options};
use simulator::organization::{EXEMPT_TAG, Organization};
use tokio::net::TcpListener;

/// The Region of the stack in the audit account.
pub(crate) const REGION: &str = "eu-central-1";

pub(crate) const SCHEDULED_AUDIT: &str = "scheduled-audit";
pub(crate) const ACCOUNT_JOINED: &str = "account-joined";
pub(crate) const ROOT_ACTIVITY: &str = "root-activity";
pub(crate) const PASSWORD_RECOVERY: &str = "password-recovery";
pub(crate) const UNLOCK_POLICY: &str = "unlock-policy";

pub(crate) struct Stage {
    pub(crate) aws: Aws,
    address: SocketAddr,
}

/// The names that CloudFormation would make up.
const STATE_TABLE: &str = "unroot-StateTable-SIMULATED";
const EVIDENCE_BUCKET: &str = "unroot-evidencebucket-simulated";

/// The parameter `Mode` of template.yaml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Audit,
    Enforce,
}

impl Stage {
    /// An organization behind a free port of 127.0.0.1; its calls take as long as `latency` on average.
    pub(crate) async fn set(organization: Organization, latency: Duration) -> Result<Self> {
        let aws = Aws::new(organization, Clock::default());
        aws.set_latency(latency);
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on 127.0.0.1")?;
        let address = listener.local_addr()?;
        let server = aws.clone();
        tokio::spawn(async move { server.serve(listener).await });
        Ok(Self { aws, address })
    }

    /// Where AWS listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The items of Unroot's table.
    pub(crate) fn state(&self) -> Vec<Value> {
        self.aws.items(STATE_TABLE)
    }

    /// The objects in the evidence bucket by key.
    pub(crate) fn evidence(&self) -> BTreeMap<String, Vec<u8>> {
        self.aws.objects(EVIDENCE_BUCKET)
    }

    /// Deploys the stack, with the exempt accounts of the sample organization, as an update of the one before: its table
    /// and its bucket keep what is in them.
    pub(crate) async fn deploy(&self, mode: Mode) -> Result<Deployment> {
        let organization = self.aws.organization();
        let exempt: Vec<_> = organization.tagged(EXEMPT_TAG).iter().map(ToString::to_string).collect();
        let options = Options { region: REGION.to_owned(), ..Options::new(format!("http://{}", self.address)) }
            .with_parameter("Mode", mode.name())
            .with_parameter("ExemptAccountIds", exempt.join(","))
            // Who opens a recovery window waits ten times as long for his answer; by default that is ten seconds.
            .with_variable("RETRY_BACKOFF_MS", "200");
        Deployment::deploy(&self.aws, &options).await
    }
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Audit => "Audit",
            Self::Enforce => "Enforce",
        }
    }
}

/// Whether a call changed an account, answered or not.
pub(crate) fn changed_an_account(call: &CallRecord) -> bool {
    let is_done = matches!(call.outcome, Outcome::Success | Outcome::NoAnswer { done: true });
    call.service == "iam" && call.mutating && is_done
}
