//! How AWS watches root activity, as far as it can be chosen or nobody knows.

use std::time::Duration;

use super::Aws;

/// Makes AWS log root sessions and what is done in them, and GuardDuty report them. Without it a deployment sees none of
/// the events that its own calls cause, and is faster.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The Regions in which GuardDuty is on, in all accounts.
    pub regions: Vec<String>,
    /// How long after a call its CloudTrail event comes. AWS names no time; one that was recorded took 17 seconds.
    pub trail_delay: Duration,
    /// Whether an `AssumeRoot` call counts as one that only reads, as `AssumeRole` does: AWS does not say.
    pub assume_root: Access,
    /// Whether the calls of a root session say that they are: AWS's examples disagree.
    pub assumed_root: AssumedRoot,
    /// The type of GuardDuty's findings about root sessions.
    pub session_finding: SessionFinding,
    /// How long after the first call a finding comes. "Near real time"; one that was recorded took 7 minutes.
    pub finding_delay: Duration,
    /// How often GuardDuty tells that a known finding occurred again: `FindingPublishingFrequency`, six hours unless the
    /// administrator chooses less.
    pub publishing_frequency: Duration,
    /// EventBridge delivers at least once.
    pub delivery: Delivery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    Write,
}

/// `userIdentity.sessionContext.assumedRoot` of the calls of a root session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssumedRoot {
    /// It is the string `true`.
    Said,
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFinding {
    /// As the documentation has it.
    ShortTermRootCredentialUsage,
    /// As people have seen.
    RootCredentialUsage,
}

/// How often each event comes to its bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Once,
    Twice,
}

impl Default for Watch {
    /// CloudTrail as in its samples, and no GuardDuty.
    fn default() -> Self {
        Self {
            regions: Vec::new(),
            trail_delay: Duration::from_secs(15),
            assume_root: Access::Write,
            assumed_root: AssumedRoot::Said,
            session_finding: SessionFinding::ShortTermRootCredentialUsage,
            finding_delay: Duration::from_mins(5),
            publishing_frequency: Duration::from_hours(6),
            delivery: Delivery::Once,
        }
    }
}

impl Watch {
    /// With GuardDuty in these Regions.
    pub fn in_regions(regions: &[&str]) -> Self {
        Self { regions: regions.iter().map(ToString::to_string).collect(), ..Self::default() }
    }
}

impl Aws {
    /// Watches from now on. A reset keeps it.
    pub fn watch(&self, watch: Watch) {
        self.lock().watch = Some(watch);
    }
}
