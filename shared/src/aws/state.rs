//! What is remembered, in one DynamoDB table: postures, root sessions, recovery windows, and the last complete audit.
//!
//! | `pk` | `sk` | is |
//! |---|---|---|
//! | `account#111122223333` | `posture` | the posture of an account |
//! | `session#ASIA...` | `session` | a root session that we opened; DynamoDB deletes it after `expiresAt` |
//! | `recovery-window` | an account id | a recovery window that nobody has closed |
//! | `root-activity` | `told-callers` | of whose root sessions people were told |
//! | `audit` | `last-complete` | the last audit of the whole organization |
//!
//! What it must not do: overwrite what it has not read. A posture is written only over the version that it follows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::Duration;
use tracing::warn;

use super::Aws;
use super::api_failure::{failed, unreadable};
use crate::domain::audit_history::CompleteAudit;
use crate::domain::failure::{Cause, Failure};
use crate::domain::id::{AccessKeyId, AccountId};
use crate::domain::notification::ToldCallers;
use crate::domain::posture::Posture;
use crate::domain::record::OpenedSession;
use crate::domain::recovery_window::{RecoveryWindow, RecoveryWindows};

/// As many items as one `BatchGetItem` and one `TransactWriteItems` take
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>).
pub const BATCH: usize = 100;

/// How long a root session is remembered: a finding about it comes minutes later, an investigation weeks.
const SESSIONS_ARE_KEPT: Duration = Duration::days(90);

const READ: &str = "dynamodb:BatchGetItem";
const WRITE: &str = "dynamodb:TransactWriteItems";

pub(super) type Item = HashMap<String, AttributeValue>;

/// A posture with the number of its version, by which a writer knows whether somebody else was faster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// `None` if it could not be read: written by a newer Unroot, or by hand.
    pub posture: Option<Posture>,
    pub version: u64,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    All,
    /// Nothing was written: somebody else has written some of them, or is about to. Read again and write what follows.
    Overtaken,
}

/// A root session with what is needed to know it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RememberedSession {
    #[serde(flatten)]
    pub session: OpenedSession,
    pub account_id: AccountId,
    /// The name of the function that opened it.
    pub function: String,
}

impl Aws {
    /// What is remembered of the accounts, at most `BATCH` of them; of one that is not in the answer, nothing.
    pub async fn read_postures(&self, accounts: &[AccountId]) -> Result<BTreeMap<AccountId, Remembered>, Failure> {
        let keys = accounts.iter().map(|account| key(&posture_key(account), "posture")).collect();
        let mut postures = BTreeMap::new();
        for mut item in self.read_items(keys).await? {
            let account = text(&item, "pk").and_then(|pk| pk.strip_prefix("account#")?.parse::<AccountId>().ok());
            let account = account.ok_or_else(|| unreadable(READ, "an item that nobody asked for"))?;
            let version = take(&mut item, "version").ok_or_else(|| unreadable(READ, "no `version` in a posture"))?;
            // To be told again what was known is better than never to be told anything new.
            let posture = serde_dynamo::from_item(item)
                .inspect_err(|error| warn!(%account, %error, "the posture cannot be read: begun anew"))
                .ok();
            postures.insert(account, Remembered { posture, version });
        }
        Ok(postures)
    }

    /// Writes the postures, at most `BATCH` of them, each over the version that it follows, `None` if there is none: all
    /// of them or, if one of them was overtaken, none.
    pub async fn write_postures(&self, postures: &[(Posture, Option<u64>)]) -> Result<Written, Failure> {
        let mut puts = Vec::new();
        for (posture, version) in postures {
            let mut item = item(&posture_key(&posture.account_id), "posture", posture)?;
            item.insert("version".to_owned(), number(version.unwrap_or_default() + 1));
            let put = self.put(item);
            puts.push(match version {
                None => put.condition_expression("attribute_not_exists(pk)"),
                Some(version) => put
                    .condition_expression("#version = :version")
                    .expression_attribute_names("#version", "version")
                    .expression_attribute_values(":version", number(*version)),
            });
        }
        self.write(puts).await
    }

    /// Remembers root sessions, at most `BATCH` of them.
    pub async fn write_sessions(&self, sessions: &[RememberedSession]) -> Result<(), Failure> {
        let mut puts = Vec::new();
        for session in sessions {
            let mut item = item(&session_key(&session.session.access_key_id), "session", session)?;
            let expires = (session.session.opened + SESSIONS_ARE_KEPT).unix_timestamp();
            item.insert("expiresAt".to_owned(), number(expires.unsigned_abs()));
            puts.push(self.put(item));
        }
        let mut waits = self.patience.waits();
        while self.write(puts.clone()).await? == Written::Overtaken {
            match waits.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(Failure::observed(Cause::Conflict, WRITE, "another write of the same sessions")),
            }
        }
        Ok(())
    }

    /// Which of the keys, at most `BATCH` of them, are of root sessions that we opened.
    pub async fn own_sessions(&self, keys: &BTreeSet<AccessKeyId>) -> Result<BTreeSet<AccessKeyId>, Failure> {
        let keys = keys.iter().map(|id| key(&session_key(id), "session")).collect();
        let items = self.read_items(keys).await?;
        // That there is one is enough, whatever it says.
        let ids = items.iter().map(|item| text(item, "pk")?.strip_prefix("session#")?.parse().ok());
        ids.collect::<Option<_>>().ok_or_else(|| unreadable(READ, "an item that nobody asked for"))
    }

    /// Of whose root sessions people were told.
    pub async fn told_callers(&self) -> Result<ToldCallers, Failure> {
        let item = self.read_items(vec![key("root-activity", "told-callers")]).await?.pop();
        item.map_or_else(|| Ok(ToldCallers::default()), |item| read(READ, item))
    }

    /// Who is overtaken only has someone told twice.
    pub async fn write_told_callers(&self, callers: &ToldCallers) -> Result<(), Failure> {
        let item = item("root-activity", "told-callers", callers)?;
        self.write(vec![self.put(item)]).await.map(drop)
    }

    /// The recovery windows that nobody has closed.
    pub async fn recovery_windows(&self) -> Result<RecoveryWindows, Failure> {
        const OPERATION: &str = "dynamodb:Query";
        let mut windows = Vec::new();
        let mut start = None;
        loop {
            let answer = self
                .dynamodb
                .query()
                .table_name(self.stores.state_table.as_str())
                .consistent_read(true)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S("recovery-window".to_owned()))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed(OPERATION))?;
            let items = answer.items.ok_or_else(|| unreadable(OPERATION, "no `Items` in the answer"))?;
            for item in items {
                // INVARIANT (hands off): a window that cannot be read is not a window that is closed.
                windows.push(read::<RecoveryWindow>(OPERATION, item)?);
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(windows.into_iter().collect());
            }
        }
    }

    /// The last audit of the whole organization that came to its end, if there was one that can be read.
    pub async fn last_complete_audit(&self) -> Result<Option<CompleteAudit>, Failure> {
        let item = self.read_items(vec![key("audit", "last-complete")]).await?.pop();
        // It is only compared with: without it the next audit is the first again.
        Ok(item.and_then(|item| {
            read(READ, item).inspect_err(|failure| warn!(%failure, "the last complete audit is forgotten")).ok()
        }))
    }

    /// Remembers a complete audit, unless a later one is remembered.
    pub async fn write_complete_audit(&self, audit: &CompleteAudit) -> Result<(), Failure> {
        let finished = AttributeValue::N(audit.finished_unix().to_string());
        let mut item = item("audit", "last-complete", audit)?;
        item.insert("finishedUnix".to_owned(), finished.clone());
        let put = self
            .put(item)
            .condition_expression("attribute_not_exists(pk) OR finishedUnix <= :finished")
            .expression_attribute_values(":finished", finished);
        // Overtaken by a later audit: that one counts.
        self.write(vec![put]).await.map(drop)
    }

    /// Reads the items, each as it is at that moment. What DynamoDB leaves out for its size is asked for again.
    async fn read_items(&self, keys: Vec<Item>) -> Result<Vec<Item>, Failure> {
        let table = self.stores.state_table.as_str();
        let mut items = Vec::new();
        let mut keys = Some(keys).filter(|keys| !keys.is_empty());
        let mut waits = self.patience.waits();
        while let Some(wanted) = keys.take() {
            let wanted = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
            let wanted = wanted.map_err(|error| unreadable(READ, &error.to_string()))?;
            let answer = self.dynamodb.batch_get_item().request_items(table, wanted).send().await;
            let mut answer = answer.map_err(failed(READ))?;
            let found = answer.responses.as_mut().and_then(|tables| tables.remove(table));
            items.extend(found.ok_or_else(|| unreadable(READ, "no items of the table in the answer"))?);
            let rest = answer.unprocessed_keys.and_then(|mut tables| tables.remove(table));
            if let Some(rest) = rest.filter(|rest| !rest.keys.is_empty()) {
                keys = Some(rest.keys);
                match waits.next() {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(Failure::observed(Cause::Throttled, READ, "keys were left unprocessed")),
                }
            }
        }
        Ok(items)
    }

    pub(super) fn put(&self, item: Item) -> aws_sdk_dynamodb::types::builders::PutBuilder {
        Put::builder().table_name(self.stores.state_table.as_str()).set_item(Some(item))
    }

    pub(super) async fn write(
        &self,
        puts: Vec<aws_sdk_dynamodb::types::builders::PutBuilder>,
    ) -> Result<Written, Failure> {
        if puts.is_empty() {
            return Ok(Written::All);
        }
        let mut call = self.dynamodb.transact_write_items();
        for put in puts {
            let put = put.build().map_err(|error| unreadable(WRITE, &error.to_string()))?;
            call = call.transact_items(TransactWriteItem::builder().put(put).build());
        }
        match call.send().await {
            Ok(_) => Ok(Written::All),
            Err(error) if error.as_service_error().is_some_and(is_overtaken) => Ok(Written::Overtaken),
            Err(error) => Err(failed(WRITE)(error)),
        }
    }
}

/// Whether the transaction was cancelled only because others write the same items.
fn is_overtaken(error: &TransactWriteItemsError) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return false };
    let mut codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    let is_race = |code| ["None", "ConditionalCheckFailed", "TransactionConflict"].contains(&code);
    let reasons = cancelled.cancellation_reasons();
    reasons.iter().any(|reason| reason.code().is_some_and(|code| code != "None")) && codes.all(is_race)
}

fn posture_key(account: &AccountId) -> String {
    format!("account#{account}")
}

fn session_key(id: &AccessKeyId) -> String {
    format!("session#{id}")
}

pub(super) fn key(pk: &str, sk: &str) -> Item {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(super) fn item(pk: &str, sk: &str, value: &impl Serialize) -> Result<Item, Failure> {
    let mut item: Item = serde_dynamo::to_item(value).map_err(|error| {
        Failure::observed(Cause::RejectedRequest, WRITE, format!("the item cannot be written: {error}"))
    })?;
    item.extend(key(pk, sk));
    Ok(item)
}

fn read<T: DeserializeOwned>(operation: &'static str, item: Item) -> Result<T, Failure> {
    serde_dynamo::from_item(item).map_err(|error| unreadable(operation, &format!("an item: {error}")))
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn take(item: &mut Item, name: &str) -> Option<u64> {
    item.remove(name)?.as_n().ok()?.parse().ok()
}
