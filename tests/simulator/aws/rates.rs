//! The request rates that AWS publishes, as token buckets.
//!
//! Only Organizations publishes any ("Quotas and service limits for AWS Organizations"): one bucket for each calling
//! account, for some operations another for the whole organization. STS publishes none for `AssumeRoot`, nor does
//! IAM.

use std::collections::BTreeMap;
use tokio::time::Instant;

use super::call::Call;
use super::service::Service;

/// Which rates are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RatePolicy {
    #[default]
    Published,
    /// For tests that are not about rates.
    Unlimited,
}

#[derive(Debug, Default)]
pub(crate) struct Rates {
    pub(crate) policy: RatePolicy,
    buckets: BTreeMap<(&'static str, String), Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    per_second: f64,
    burst: f64,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

struct Published {
    operation: &'static str,
    of_account: Limit,
    of_organization: Option<Limit>,
}

const fn limit(per_second: f64, burst: f64) -> Limit {
    Limit { per_second, burst }
}

const PUBLISHED: [Published; 6] = [
    Published { operation: "ListAccounts", of_account: limit(8.0, 12.0), of_organization: Some(limit(9.0, 15.0)) },
    Published { operation: "DescribeAccount", of_account: limit(20.0, 30.0), of_organization: Some(limit(24.0, 36.0)) },
    Published { operation: "ListParents", of_account: limit(5.0, 8.0), of_organization: Some(limit(6.0, 10.0)) },
    Published {
        operation: "ListAccountsForParent",
        of_account: limit(5.0, 8.0),
        of_organization: Some(limit(6.0, 10.0)),
    },
    Published { operation: "ListDelegatedAdministrators", of_account: limit(5.0, 8.0), of_organization: None },
    Published { operation: "DescribeOrganization", of_account: limit(1.0, 2.0), of_organization: None },
];

impl Rates {
    /// Counts a call; false if it comes too soon.
    pub(crate) fn admit(&mut self, call: &Call, now: Instant) -> bool {
        if self.policy == RatePolicy::Unlimited || call.service != Service::Organizations {
            return true;
        }
        let Some(published) = PUBLISHED.iter().find(|published| published.operation == call.operation) else {
            return true;
        };
        let account = call.caller.account.to_string();
        let mut buckets = vec![(account, published.of_account)];
        buckets.extend(published.of_organization.map(|limit| ("organization".to_owned(), limit)));
        buckets.into_iter().all(|(owner, limit)| self.take(published.operation, owner, limit, now))
    }

    fn take(&mut self, operation: &'static str, owner: String, limit: Limit, now: Instant) -> bool {
        let full = || Bucket { tokens: limit.burst, filled: now };
        let bucket = self.buckets.entry((operation, owner)).or_insert_with(full);
        let refill = now.saturating_duration_since(bucket.filled).as_secs_f64() * limit.per_second;
        bucket.tokens = (bucket.tokens + refill).min(limit.burst);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut rates = Rates::default();
        let start = Instant::now();
        let mut admitted = |at| rates.take("ListAccounts", "111122223333".to_owned(), limit(8.0, 12.0), start + at);
        let burst = (0..20).filter(|_| admitted(Duration::ZERO)).count();
        let second_later = (0..20).filter(|_| admitted(Duration::from_secs(1))).count();
        assert_eq!((burst, second_later), (12, 8));
    }
}
