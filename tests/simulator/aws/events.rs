//! EventBridge as far as a client puts events on a bus of its own account. Rules and targets are the deployment's
//! business: it gets every event that was put, as the rules see it.
//!
//! Codes and texts of entries that fail are those of
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html> and what clients report.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::World;
use super::authorization::Permission;
use super::call::Call;
use super::service::{Operation, not_simulated, reads};
use crate::api::{Answer, ApiError};

pub(crate) const OPERATIONS: &[Operation] = &[reads("PutEvents", put_events)];

/// Entries of a request. <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
const MOST_ENTRIES: usize = 10;

/// All entries of a request together; 256 KB until January 2026.
/// <https://aws.amazon.com/blogs/compute/more-room-to-build-serverless-services-now-support-payloads-up-to-1-mb>
const LARGEST_REQUEST: usize = 1_048_576;

/// What an event's time adds to the size of its entry.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html>
const SIZE_OF_TIME: usize = 14;

/// An event that a client put, as the rules of the bus see it.
#[derive(Clone, Debug, PartialEq)]
pub struct PutEvent {
    pub bus_arn: String,
    pub event: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutEvents {
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    /// Seconds since 1970.
    time: Option<f64>,
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    event_bus_name: Option<String>,
}

/// An event on a bus that does not exist is taken too, and lost: "EventBridge event matching will not find a corresponding
/// rule and will drop the event". <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
fn put_events(world: &mut World, call: &Call) -> Answer {
    let PutEvents { entries } = call.input()?;
    let constraint = match entries.len() {
        0 => Some("greater than or equal to 1"),
        length if length > MOST_ENTRIES => Some("less than or equal to 10"),
        _ => None,
    };
    if let Some(constraint) = constraint {
        return Err(call.service.invalid_input(format!(
            "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length \
             {constraint}"
        )));
    }
    if entries.iter().map(Entry::size).sum::<usize>() > LARGEST_REQUEST {
        let message = "Total size of the entries in the request is over the limit.";
        return Err(call.service.invalid_input(message));
    }
    for entry in &entries {
        let permission = Permission::on(call, entry.bus_arn(call)?)
            .with("events:source", entry.source.as_deref().unwrap_or_default())
            .with("events:detail-type", entry.detail_type.as_deref().unwrap_or_default());
        world.authorize(call, &permission)?;
    }
    let mut results = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let event = if call.is_partial && index >= entries.len() / 2 {
            Err(ApiError::new("InternalFailure", 500, "Internal Service Failure"))
        } else {
            entry.event(world, call)
        };
        results.push(match event {
            Ok(event) => {
                let id = event.get("id").cloned();
                world.put_event(&PutEvent { bus_arn: entry.bus_arn(call)?, event });
                json!({ "EventId": id })
            }
            Err(error) => json!({ "ErrorCode": error.code, "ErrorMessage": error.message }),
        });
    }
    let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
    Ok(json!({ "FailedEntryCount": failed, "Entries": results }))
}

impl Entry {
    fn size(&self) -> usize {
        let texts = [&self.source, &self.detail_type, &self.detail].into_iter().flatten().chain(&self.resources);
        texts.map(String::len).sum::<usize>() + self.time.map_or(0, |_| SIZE_OF_TIME)
    }

    /// The bus may be named by its ARN too.
    fn bus_arn(&self, call: &Call) -> Result<String, ApiError> {
        let own = format!("arn:aws:events:{}:{}:event-bus/", call.region, call.caller.account);
        match self.event_bus_name.as_deref() {
            None => Ok(format!("{own}default")),
            Some(arn) if arn.starts_with(&own) => Ok(arn.to_owned()),
            Some(arn) if arn.starts_with("arn:") => {
                Err(not_simulated(format!("PutEvents on the bus `{arn}` of another account or Region")))
            }
            Some(name) => Ok(format!("{own}{name}")),
        }
    }

    /// The event of a valid entry. What is missing is named in the order in which AWS looks.
    fn event(&self, world: &mut World, call: &Call) -> Result<Value, ApiError> {
        let given = |name: &str, value: &Option<String>| match value {
            Some(value) if !value.is_empty() => Ok(value.clone()),
            _ => Err(ApiError::new(
                "InvalidArgument",
                400,
                format!("Parameter {name} is not valid. Reason: {name} is a required argument."),
            )),
        };
        let source = given("Source", &self.source)?;
        let detail_type = given("DetailType", &self.detail_type)?;
        let detail = given("Detail", &self.detail)?;
        let detail: Map<String, Value> =
            serde_json::from_str(&detail).map_err(|_| ApiError::new("MalformedDetail", 400, "Detail is malformed."))?;
        if source.starts_with("aws.") {
            return Err(ApiError::new("NotAuthorizedForSourceException", 400, "Not authorized for the source."));
        }
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 fit")]
        let at = self.time.and_then(|time| OffsetDateTime::from_unix_timestamp(time as i64).ok());
        let at = at.unwrap_or(call.at).replace_nanosecond(0).unwrap_or(call.at);
        Ok(json!({
            "version": "0",
            "id": world.sequence.next_uuid("event"),
            "detail-type": detail_type,
            "source": source,
            "account": call.caller.account.as_str(),
            "time": at.format(&Rfc3339).unwrap_or_default(),
            "region": call.region,
            "resources": self.resources,
            "detail": detail,
        }))
    }
}

impl World {
    fn put_event(&mut self, event: &PutEvent) {
        self.put_listeners.retain(|listener| listener.send(event.clone()).is_ok());
    }
}
