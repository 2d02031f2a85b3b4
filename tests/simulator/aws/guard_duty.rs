//! GuardDuty as far as it reports the use of root: findings on the default bus of its delegated administrator, which is
//! the audit account, in each Region in which it is on.
//!
//! Of global services like IAM it "replicates those events and processes them in each Region where you have enabled
//! GuardDuty": <https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_data-sources.html#cloudtrail_global>. A finding
//! that occurs again keeps its id and is told again when the administrator's publishing frequency says so:
//! <https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings_eventbridge.html>. By what it takes two calls for
//! the same finding AWS does not publish; here it is Region, account and type.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use super::emission::{Emission, replace, replace_at, seconds};
use super::{Aws, World};
use crate::organization::AccountId;

const ROOT_CREDENTIAL_USAGE: &str = include_str!("../../fixtures/events/guardduty-root-credential-usage.json");
const SHORT_TERM_USAGE: &str = include_str!("../../fixtures/events/guardduty-short-term-root-credential-usage.json");

/// A call by a root user, or in a root session.
#[derive(Clone, Debug)]
pub(super) struct RootUse {
    pub(super) account: AccountId,
    /// Empty if the event has none.
    pub(super) access_key_id: String,
    pub(super) of: UseOf,
    pub(super) api: String,
    /// `iam.amazonaws.com`.
    pub(super) service: String,
    pub(super) scope: Scope,
    pub(super) source_ip_address: String,
    pub(super) user_agent: String,
    pub(super) at: OffsetDateTime,
}

/// What GuardDuty takes it for: the type of the finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UseOf {
    RootCredentials,
    RootSession,
}

/// Where GuardDuty sees a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everywhere, as one of us-east-1.
    Global,
    Region(String),
}

/// Which calls are one finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FindingKey {
    region: String,
    account: AccountId,
    of: UseOf,
}

#[derive(Debug)]
struct Finding {
    id: String,
    count: u64,
    first_seen: OffsetDateTime,
    latest: RootUse,
    /// None before the first time.
    published: Option<Published>,
    is_scheduled: bool,
}

/// When a finding was told first and last.
#[derive(Clone, Copy, Debug)]
struct Published {
    first: OffsetDateTime,
    last: OffsetDateTime,
}

/// A suppression rule: what matches it is archived, and EventBridge is not told.
/// <https://docs.aws.amazon.com/guardduty/latest/ug/findings_suppression-rule.html>
#[derive(Clone, Debug)]
pub struct FindingFilter {
    pub region: String,
    /// By JSON pointer into the finding: one of the values must be there.
    pub criteria: BTreeMap<String, Vec<String>>,
}

/// The detectors and what they found.
#[derive(Debug, Default)]
pub(crate) struct GuardDuty {
    findings: BTreeMap<FindingKey, Finding>,
    filters: Vec<FindingFilter>,
}

impl GuardDuty {
    fn suppresses(&self, region: &str, event: &Value) -> bool {
        self.filters.iter().any(|filter| filter.suppresses(region, event))
    }

    /// The same detectors in another world.
    pub(super) fn without_findings(self) -> Self {
        Self { filters: self.filters, findings: BTreeMap::new() }
    }
}

impl Aws {
    /// Suppresses findings in the audit account, in one Region.
    pub fn filter_findings(&self, filter: FindingFilter) {
        self.lock().guard_duty.filters.push(filter);
    }

    /// Whether a filter in the Region archives the finding that an event tells of.
    pub fn suppresses(&self, region: &str, event: &Value) -> bool {
        self.lock().guard_duty.suppresses(region, event)
    }
}

impl World {
    /// Lets the detectors see a call. What failed they see as well: it was tried with root's credentials. Whether AWS
    /// reports that too is not known.
    pub(super) fn see_root_use(&mut self, root_use: &RootUse) {
        let Some(watch) = self.watch.clone() else {
            return;
        };
        let sees = |region: &&String| match &root_use.scope {
            Scope::Global => true,
            Scope::Region(called) => *region == called,
        };
        for region in watch.regions.iter().filter(sees) {
            let key = FindingKey { region: region.clone(), account: root_use.account.clone(), of: root_use.of };
            let sequence = &mut self.sequence;
            let finding = self.guard_duty.findings.entry(key.clone()).or_insert_with(|| Finding {
                id: format!("f1d{:029x}", sequence.next("finding")),
                count: 0,
                first_seen: root_use.at,
                latest: root_use.clone(),
                published: None,
                is_scheduled: false,
            });
            finding.count += 1;
            finding.latest = root_use.clone();
            if finding.is_scheduled {
                continue;
            }
            finding.is_scheduled = true;
            let due = match finding.published {
                None => root_use.at + watch.finding_delay,
                Some(Published { last, .. }) => {
                    let mut tick = last + watch.publishing_frequency;
                    while tick <= root_use.at && !watch.publishing_frequency.is_zero() {
                        tick += watch.publishing_frequency;
                    }
                    tick
                }
            };
            self.schedule(due, Emission::Finding(key));
        }
    }

    /// The event about a finding as it is now; none if it is suppressed.
    pub(super) fn publish_finding(&mut self, key: &FindingKey, now: OffsetDateTime) -> Option<Value> {
        let administrator = self.organization.audit_account()?.to_string();
        let event_id = self.sequence.next_uuid("event");
        let finding = self.guard_duty.findings.get_mut(key)?;
        finding.is_scheduled = false;
        let first = finding.published.map_or(now, |published| published.first);
        finding.published = Some(Published { first, last: now });
        let mut event = finding.event(key, &administrator, first, now);
        replace(&mut event, "id", event_id);
        (!self.guard_duty.suppresses(&key.region, &event)).then_some(event)
    }
}

impl Finding {
    fn event(&self, key: &FindingKey, administrator: &str, created: OffsetDateTime, now: OffsetDateTime) -> Value {
        let sample = match key.of {
            UseOf::RootCredentials => ROOT_CREDENTIAL_USAGE,
            UseOf::RootSession => SHORT_TERM_USAGE,
        };
        let mut event: Value = serde_json::from_str(sample).unwrap_or_default();
        let Self { id, latest, .. } = self;
        let account = key.account.as_str();
        replace(&mut event, "account", administrator);
        replace(&mut event, "region", key.region.as_str());
        replace(&mut event, "time", seconds(now));
        let Some(detail) = event.get_mut("detail") else {
            return event;
        };
        let call = "/service/action/awsApiCallAction";
        let detector = text(detail, "/service/detectorId");
        let api = text(detail, &format!("{call}/api"));
        let address = text(detail, &format!("{call}/remoteIpDetails/ipAddressV4"));
        for member in ["title", "description"] {
            let sentence = text(detail, &format!("/{member}")).replace(&api, &latest.api);
            replace(detail, member, sentence.replace(&address, &latest.source_ip_address));
        }
        replace(detail, "accountId", account);
        // Where the call was logged: not always where it was found.
        let region = match &latest.scope {
            Scope::Global => "us-east-1",
            Scope::Region(region) => region,
        };
        replace(detail, "region", region);
        replace(detail, "id", id.as_str());
        let arn = format!("arn:aws:guardduty:{}:{administrator}:detector/{detector}/finding/{id}", key.region);
        replace(detail, "arn", arn);
        replace_at(detail, "/resource/accessKeyDetails/accessKeyId", latest.access_key_id.as_str());
        replace_at(detail, "/resource/accessKeyDetails/principalId", account);
        replace_at(detail, &format!("{call}/api"), latest.api.as_str());
        replace_at(detail, &format!("{call}/serviceName"), latest.service.as_str());
        replace_at(detail, &format!("{call}/remoteIpDetails/ipAddressV4"), latest.source_ip_address.as_str());
        replace_at(detail, &format!("{call}/userAgent"), latest.user_agent.as_str());
        replace_at(detail, "/service/eventFirstSeen", milliseconds(self.first_seen));
        replace_at(detail, "/service/eventLastSeen", milliseconds(latest.at));
        replace_at(detail, "/service/count", self.count);
        replace(detail, "createdAt", milliseconds(created));
        replace(detail, "updatedAt", milliseconds(now));
        event
    }
}

impl FindingFilter {
    fn suppresses(&self, region: &str, event: &Value) -> bool {
        let holds = |(pointer, values): (&String, &Vec<String>)| {
            let found = event.pointer(&format!("/detail{pointer}")).and_then(Value::as_str);
            found.is_some_and(|found| values.iter().any(|value| value == found))
        };
        self.region == region && self.criteria.iter().all(holds)
    }
}

fn text(detail: &Value, pointer: &str) -> String {
    detail.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// `2026-11-15T02:22:46.000Z`.
fn milliseconds(instant: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    instant.format(format).unwrap_or_default()
}
