//! The events that show that somebody used root: findings of GuardDuty, the sign-in page, and calls that CloudTrail saw.
//!
//! INVARIANT (events are hints): what is taken from an event besides the account to look at is only shown to people, and
//! decides whether anything is to be done at all. It never decides what is done.
//!
//! The layouts are those of `tests/fixtures/events`, whose `SOURCES.md` says how sure each is. AWS leaves out what it does
//! not know, so only the account must be there.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{MalformedEvent, missing};
use crate::domain::id::AccountId;
use crate::domain::root_activity::{Activity, FindingKind, Observed, Outcome, Severity, Sign, SignIn};
use crate::domain::task::TaskPolicy;

/// What an event says about the use of root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootEvent {
    Sign(Box<Sign>),
    /// An event of another kind, which the rules should not have let through.
    Unrelated {
        description: String,
    },
}

/// Reads the event in the body of a message. `sent` stands in for a time that the event does not have.
pub fn parse(body: &str, sent: OffsetDateTime) -> Result<RootEvent, MalformedEvent> {
    let event = super::read(body)?;
    let reader = Reader { detail: &event.detail, event: &event, sent };
    let name = reader.text("/eventName").unwrap_or_default();
    let sign = match event.source.as_str() {
        "aws.guardduty" => reader.finding()?,
        "aws.signin" => match SignIn::ALL.into_iter().find(|sign_in| sign_in.name() == name) {
            Some(sign_in) => reader.sign_in(sign_in)?,
            None => None,
        },
        "aws.iam" if PUTS_CREDENTIALS_BACK.contains(&name) => reader.call()?,
        "aws.sts" if name == "AssumeRoot" => reader.assume_root()?,
        _ => None,
    };
    let unrelated = || {
        let what = if name.is_empty() { reader.text("/type").unwrap_or_default() } else { name };
        let description = format!("`{what}` of `{}` (detail type `{}`)", event.source, event.detail_type);
        RootEvent::Unrelated { description }
    };
    Ok(sign.map_or_else(unrelated, |sign| RootEvent::Sign(Box::new(sign))))
}

/// The calls with which a root user has credentials again.
const PUTS_CREDENTIALS_BACK: [&str; 4] =
    ["CreateAccessKey", "CreateLoginProfile", "EnableMFADevice", "UploadSigningCertificate"];

/// Of what is only shown.
const LONGEST_TEXT: usize = 300;

struct Reader<'a> {
    event: &'a EventBridgeEvent<Value>,
    detail: &'a Value,
    sent: OffsetDateTime,
}

impl Reader<'_> {
    /// A finding whose access key is root's, or that is about root by its type.
    fn finding(&self) -> Result<Option<Sign>, MalformedEvent> {
        let finding_type = self.text("/type").unwrap_or_default();
        let kind = match finding_type {
            "Policy:IAMUser/RootCredentialUsage" => FindingKind::RootCredentialUsage,
            "Policy:IAMUser/ShortTermRootCredentialUsage" => FindingKind::ShortTermRootCredentialUsage,
            _ if self.text("/resource/accessKeyDetails/userType") == Some("Root") => {
                let severity = self.detail.get("severity").and_then(Value::as_f64).unwrap_or_default();
                FindingKind::Other(Severity::of_finding(severity))
            }
            _ => return Ok(None),
        };
        let of_call = |name: &str| self.shown(&format!("/service/action/awsApiCallAction/{name}"));
        let operation = of_call("api").map(|api| match of_call("serviceName") {
            Some(service) => format!("{api} of {service}"),
            None => api,
        });
        let places = [of_call("remoteIpDetails/city/cityName"), of_call("remoteIpDetails/country/countryName")];
        let places: Vec<_> = places.into_iter().flatten().collect();
        let at = ["/service/eventLastSeen", "/updatedAt"].iter().find_map(|pointer| self.time(pointer));
        let observed = Observed {
            event_name: finding_type.to_owned(),
            at: at.unwrap_or(self.sent),
            first: self.time("/service/eventFirstSeen"),
            operation,
            source_ip_address: of_call("remoteIpDetails/ipAddressV4")
                .or_else(|| of_call("remoteIpDetails/ipAddressV6")),
            location: Some(places.join(", ")).filter(|places| !places.is_empty()),
            user_agent: of_call("userAgent"),
            access_key_id: self.access_key_id("/resource/accessKeyDetails/accessKeyId"),
            count: self.detail.pointer("/service/count").and_then(Value::as_u64),
            ..self.observed("/id")
        };
        let account = self.account("/accountId")?;
        Ok(Some(Sign { account, activity: Activity::Finding(kind), observed }))
    }

    fn sign_in(&self, sign_in: SignIn) -> Result<Option<Sign>, MalformedEvent> {
        if !self.is_by_root() {
            return Ok(None);
        }
        let outcome = self.text(&format!("/responseElements/{}", sign_in.name()));
        let mfa_used = self.text("/additionalEventData/MFAUsed").map(|used| used == "Yes");
        let observed = Observed {
            outcome: match outcome {
                Some("Success") => Some(Outcome::Success),
                Some(_) => Some(Outcome::Failure),
                None => self.text("/errorMessage").map(|_| Outcome::Failure),
            },
            mfa_used,
            ..self.observed("/eventID")
        };
        Ok(Some(Sign { account: self.own_account()?, activity: Activity::SignIn(sign_in), observed }))
    }

    fn call(&self) -> Result<Option<Sign>, MalformedEvent> {
        if !self.is_by_root() {
            return Ok(None);
        }
        // A string, and missing where AWS does not say.
        let activity = match self.text("/userIdentity/sessionContext/assumedRoot") {
            Some("true") => Activity::RootSessionCall,
            _ => Activity::Call,
        };
        let observed = Observed { outcome: Some(self.outcome_of_call()), ..self.observed("/eventID") };
        Ok(Some(Sign { account: self.own_account()?, activity, observed }))
    }

    /// The event is in the account of the caller; whose root user it is about is in the request.
    fn assume_root(&self) -> Result<Option<Sign>, MalformedEvent> {
        const TARGET: &str = "/requestParameters/targetPrincipal";
        let target = self.text(TARGET).unwrap_or_default();
        let id = target.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(3)).unwrap_or(target);
        let outcome = self.outcome_of_call();
        let account = match (id.parse::<AccountId>(), outcome) {
            (Ok(account), _) => account,
            // AWS refuses what is no account, and then nothing happened in any.
            (Err(_), Outcome::Failure) => return Ok(None),
            (Err(error), Outcome::Success) => return Err(field(TARGET, error.to_string())),
        };
        let task = self.text("/requestParameters/taskPolicyArn/arn").and_then(|arn| {
            let name = arn.rsplit('/').next()?;
            TaskPolicy::ALL.into_iter().find(|task| task.name() == name)
        });
        let observed = Observed {
            outcome: Some(outcome),
            principal: self.shown("/userIdentity/arn"),
            task,
            access_key_id: self.access_key_id("/responseElements/credentials/accessKeyId"),
            ..self.observed("/eventID")
        };
        Ok(Some(Sign { account, activity: Activity::AssumeRoot, observed }))
    }

    /// What events of CloudTrail have at the same places.
    fn observed(&self, id: &str) -> Observed {
        let text = |pointer: &str| self.shown(pointer);
        Observed {
            event_id: text(id).or_else(|| self.event.id.clone()).unwrap_or_default(),
            event_name: text("/eventName").unwrap_or_default(),
            source: self.event.source.clone(),
            region: text("/awsRegion").or_else(|| self.event.region.clone()).unwrap_or_default(),
            at: self.time("/eventTime").unwrap_or(self.sent),
            first: None,
            outcome: None,
            operation: None,
            source_ip_address: text("/sourceIPAddress"),
            location: None,
            user_agent: text("/userAgent"),
            mfa_used: None,
            access_key_id: self.access_key_id("/userIdentity/accessKeyId"),
            principal: None,
            task: None,
            count: None,
        }
    }

    fn is_by_root(&self) -> bool {
        self.text("/userIdentity/type") == Some("Root")
    }

    fn outcome_of_call(&self) -> Outcome {
        if self.text("/errorCode").is_some() { Outcome::Failure } else { Outcome::Success }
    }

    /// The account on whose bus the event was: EventBridge sets it, whoever sends.
    fn own_account(&self) -> Result<AccountId, MalformedEvent> {
        let account = self.event.account.as_deref().ok_or_else(|| missing("account"))?;
        let account: AccountId = account
            .parse()
            .map_err(|error| MalformedEvent::Field { field: "account".to_owned(), problem: format!("{error}") })?;
        match self.text("/userIdentity/accountId") {
            Some(other) if other != account.as_str() => {
                Err(field("/userIdentity/accountId", format!("{other}, but the event came from {account}")))
            }
            _ => Ok(account),
        }
    }

    fn account(&self, pointer: &str) -> Result<AccountId, MalformedEvent> {
        let text = self.text(pointer).ok_or_else(|| field(pointer, "missing".to_owned()))?;
        text.parse().map_err(|error: domain::id::InvalidId| field(pointer, error.to_string()))
    }

    /// Sign-in events have an empty one.
    fn access_key_id(&self, pointer: &str) -> Option<domain::id::AccessKeyId> {
        self.text(pointer)?.parse().ok()
    }

    fn time(&self, pointer: &str) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(self.text(pointer)?, &Rfc3339).ok()
    }

    /// What is only shown to people. A client says of itself what it likes, at any length.
    fn shown(&self, pointer: &str) -> Option<String> {
        Some(self.text(pointer)?.chars().take(LONGEST_TEXT).collect())
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.detail.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
    }
}

/// `/userIdentity/arn` is `detail.userIdentity.arn`.
fn field(pointer: &str, problem: String) -> MalformedEvent {
    MalformedEvent::Field { field: format!("detail{}", pointer.replace('/', ".")), problem }
}

#[cfg(test)]
mod tests;
