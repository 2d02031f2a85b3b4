//! `TransactWriteItems`: all of its writes or none.

use serde::Deserialize;
use serde_json::{Value, json};
use time::Duration;

use super::attribute::size;
use super::write::{Write, WriteInput, WriteKind, no_duplicates};
use super::{Nothing, constraint, invalid};
use crate::api::{Answer, ApiError};
use crate::aws::World;
use crate::aws::call::Call;
use crate::aws::service::not_simulated;

/// The API reference has the limits.
const MOST_ITEMS: usize = 100;
const LARGEST_TRANSACTION: usize = 4 * 1024 * 1024;
const LONGEST_TOKEN: usize = 36;

/// That long a token stands for its transaction.
const IDEMPOTENCY: Duration = Duration::minutes(10);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TransactWriteItems {
    #[serde(default)]
    transact_items: Vec<TransactWriteItem>,
    client_request_token: Option<String>,
    #[serde(rename = "ReturnConsumedCapacity")]
    _return_consumed_capacity: Option<Nothing>,
    #[serde(rename = "ReturnItemCollectionMetrics")]
    _return_item_collection_metrics: Option<Nothing>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TransactWriteItem {
    put: Option<WriteInput>,
    delete: Option<WriteInput>,
    condition_check: Option<WriteInput>,
    update: Option<Value>,
}

/// Why one item cancels the transaction, or `None` if it does not.
#[derive(Clone, Debug, PartialEq)]
struct Reason(Option<ApiError>);

pub(super) fn transact_write_items(world: &mut World, call: &Call) -> Answer {
    let input: TransactWriteItems = call.input()?;
    match input.transact_items.len() {
        0 => return Err(constraint("'[]'", "transactItems", "have length greater than or equal to 1")),
        1..=MOST_ITEMS => {}
        _ => return Err(constraint("", "transactItems", "have length less than or equal to 100")),
    }
    let token = input.client_request_token;
    if let Some(token) = token.as_ref().filter(|token| !(1..=LONGEST_TOKEN).contains(&token.len())) {
        let limit = if token.is_empty() { "greater than or equal to 1" } else { "less than or equal to 36" };
        return Err(constraint(&format!("'{token}'"), "clientRequestToken", &format!("have length {limit}")));
    }
    let writes = input.transact_items.into_iter().map(|item| item.read(call)).collect::<Result<Vec<_>, _>>()?;
    for write in &writes {
        world.authorize_table(call, write.kind.action(), &write.table_arn)?;
    }
    let token = token.map(|token| (call.caller.account.to_string(), call.region.clone(), token));
    let requested = call.input.get("TransactItems").cloned().unwrap_or_default();
    if let Some((earlier, _)) =
        token.as_ref().and_then(|token| world.tables.tokens.get(token)).filter(|(_, at)| call.at < *at + IDEMPOTENCY)
    {
        if *earlier == requested {
            return Ok(json!({}));
        }
        // The code is the API reference's, its text for it serves as the message.
        return Err(ApiError::new(
            "IdempotentParameterMismatchException",
            400,
            "DynamoDB rejected the request because you retried a request with a different payload but with an \
             idempotent token that was already used.",
        ));
    }
    if writes.iter().map(|write| size(&write.attributes)).sum::<usize>() > LARGEST_TRANSACTION {
        // The limit is the API reference's, the text is not known.
        return Err(invalid("The aggregate size of the items in the transaction exceeds 4 MB"));
    }
    let mut keys = Vec::new();
    let mut reasons = Vec::new();
    for write in &writes {
        let table = world.tables.get(&write.table_arn)?;
        // What does not fit the table cancels the transaction, while malformed input is an error of the whole request.
        let key = write.key(table);
        let checked = key.as_ref().map_err(Clone::clone).and_then(|key| write.check(table.get(key)));
        reasons.push(Reason(checked.err()));
        keys.extend(key.ok());
    }
    let on_items = writes.iter().zip(&keys).map(|(write, key)| (write.table_arn.as_str(), key));
    if keys.len() == writes.len() {
        no_duplicates(on_items, "Transaction request cannot include multiple operations on one item")?;
    }
    if reasons.iter().any(|reason| reason.0.is_some()) {
        return Err(cancelled(&reasons));
    }
    for (write, key) in writes.into_iter().zip(keys) {
        let table = world.tables.get_mut(&write.table_arn)?;
        write.apply(table, key);
    }
    if let Some(token) = token {
        world.tables.tokens.insert(token, (requested, call.at));
    }
    Ok(json!({}))
}

impl TransactWriteItem {
    fn read(self, call: &Call) -> Result<Write, ApiError> {
        if self.update.is_some() {
            return Err(not_simulated("`Update` in TransactWriteItems"));
        }
        let mut given = [
            (WriteKind::Put, self.put),
            (WriteKind::Delete, self.delete),
            (WriteKind::ConditionCheck, self.condition_check),
        ]
        .into_iter()
        .filter_map(|(kind, input)| Some((kind, input?)));
        match (given.next(), given.next()) {
            (Some((kind, input)), None) => Write::read(call, kind, input),
            _ => Err(invalid("TransactItems can only contain one of Check, Put, Update or Delete")),
        }
    }
}

impl Reason {
    fn code(&self) -> &str {
        match self.0.as_ref().map(|error| error.code.as_str()) {
            None => "None",
            Some("ConditionalCheckFailedException") => "ConditionalCheckFailed",
            Some("ValidationException") => "ValidationError",
            Some(code) => code,
        }
    }

    /// With the item that is there, if it was asked for.
    fn to_wire(&self) -> Value {
        let mut reason = serde_json::Map::new();
        reason.insert("Code".to_owned(), json!(self.code()));
        if let Some(error) = &self.0 {
            reason.insert("Message".to_owned(), json!(error.message));
            reason.extend(error.members.clone());
        }
        Value::Object(reason)
    }
}

/// `TransactionCanceledException` in the API reference: a reason for each item, in the order of the request.
fn cancelled(reasons: &[Reason]) -> ApiError {
    let codes: Vec<_> = reasons.iter().map(Reason::code).collect();
    let message =
        format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", codes.join(", "));
    let reasons: Vec<_> = reasons.iter().map(Reason::to_wire).collect();
    ApiError::new("TransactionCanceledException", 400, message).with_member("CancellationReasons", reasons)
}

/// The error of a transaction whose first item another request is writing.
pub(crate) fn conflict(input: &Value) -> ApiError {
    let items = input.get("TransactItems").and_then(Value::as_array).map_or(1, Vec::len);
    let ongoing = || ApiError::new("TransactionConflict", 400, "Transaction is ongoing for the item");
    let reasons: Vec<_> = (0..items.max(1)).map(|item| Reason((item == 0).then(ongoing))).collect();
    cancelled(&reasons)
}
