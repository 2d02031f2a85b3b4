//! The table of what is remembered, on the simulator's DynamoDB or, with `STORE_TEST_ENDPOINT`, on another one.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use shared::aws::Aws;
use shared::aws::state::{BATCH, RememberedSession, Written};
use shared::config::Settings;
use shared::domain::audit_history::CompleteAudit;
use shared::domain::id::AccountId;
use shared::domain::posture::{Posture, Run};
use shared::domain::record::{AccountRecord, OpenedSession, Verdict};
use shared::domain::request::Mode;
use shared::domain::task::TaskPolicy;
use shared::domain::trigger::Trigger;
use simulator::aws::Aws as SimulatedAws;
use simulator::clock::Clock;
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::net::TcpListener;

use crate::stage::{AUDIT, id, organization};

const NOON: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);
const LATER: OffsetDateTime = datetime!(2026-11-20 13:00 UTC);

struct Store {
    aws: Aws,
    dynamodb: aws_sdk_dynamodb::Client,
    table: String,
}

impl Store {
    /// An empty table with the keys of the template.
    async fn empty(table: &str) -> Self {
        let (endpoint, credentials) = match std::env::var("STORE_TEST_ENDPOINT") {
            Ok(endpoint) => (endpoint, Credentials::new("AKIAOTHERSTOREEXAMPLE", "secret", None, None, "test")),
            Err(_) => simulated().await,
        };
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("eu-central-1"))
            .endpoint_url(endpoint)
            .credentials_provider(credentials)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .load()
            .await;
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        let text = |name: &str| {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
        };
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
        let create = dynamodb.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
        let create = create.attribute_definitions(text("pk")).attribute_definitions(text("sk"));
        let create = create.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range));
        create.send().await.unwrap();
        Self { aws: Aws::new(&config, &settings(table)), dynamodb, table: table.to_owned() }
    }

    async fn get(&self, pk: &str, sk: &str) -> Option<std::collections::HashMap<String, AttributeValue>> {
        let key = |value: &str| AttributeValue::S(value.to_owned());
        let call = self.dynamodb.get_item().table_name(&self.table).key("pk", key(pk)).key("sk", key(sk));
        call.send().await.unwrap().item
    }

    async fn put(&self, item: &[(&str, AttributeValue)]) {
        let item = item.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.dynamodb.put_item().table_name(&self.table).set_item(Some(item)).send().await.unwrap();
    }

    async fn read(&self, account: &AccountId) -> Option<(Posture, u64)> {
        let mut postures = self.aws.read_postures(std::slice::from_ref(account)).await.unwrap();
        postures.remove(account).map(|remembered| (remembered.posture.unwrap(), remembered.version))
    }
}

async fn simulated() -> (String, Credentials) {
    let aws = SimulatedAws::new(organization(), Clock::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let caller = aws.administrator(&id(AUDIT));
    tokio::spawn(async move { aws.serve(listener).await });
    (endpoint, Credentials::new(caller.access_key_id, caller.secret_access_key, caller.session_token, None, "test"))
}

fn settings(table: &str) -> Settings {
    let queue = "https://sqs.eu-central-1.amazonaws.com/222233334444/queue";
    Settings::parse(|name| {
        let value = match name {
            "MODE" => "Enforce",
            "MANAGEMENT_ACCOUNT_ID" => "111122223333",
            "QUEUE_URL" | "DEAD_LETTER_QUEUE_URL" => queue,
            "STATE_TABLE" => table,
            "EVIDENCE_BUCKET" | "EVENT_BUS_NAME" | "STACK_NAME" => "unroot",
            _ => return None,
        };
        Some(value.to_owned())
    })
    .unwrap()
}

fn account(number: usize) -> AccountId {
    format!("{number:012}").parse().unwrap()
}

fn posture(account: &AccountId, verdict: Verdict, examined: OffsetDateTime) -> Posture {
    let record = AccountRecord::new(account.clone(), verdict, examined).named("webshop");
    let run = Run { id: "run".to_owned(), trigger: Trigger::Schedule, mode: Mode::Enforce };
    Posture::after(None, &record, &run)
}

#[tokio::test]
async fn postures_are_read_as_they_were_written() {
    let store = Store::empty("postures").await;
    let (one, other) = (account(1), account(2));
    assert!(store.aws.read_postures(&[one.clone(), other.clone()]).await.unwrap().is_empty());
    let written = posture(&one, Verdict::Clean, NOON);
    assert_eq!(store.aws.write_postures(&[(written.clone(), None)]).await.unwrap(), Written::All);
    let postures = store.aws.read_postures(&[one.clone(), other]).await.unwrap();
    assert_eq!(postures.len(), 1);
    assert_eq!(store.read(&one).await.unwrap(), (written, 1));
    // For who looks at the table: texts that can be read and searched.
    let item = store.get(&format!("account#{one}"), "posture").await.unwrap();
    assert_eq!(item["verdict"], AttributeValue::S("Clean".to_owned()));
    assert_eq!(item["since"], AttributeValue::S("2026-11-20T12:00:00Z".to_owned()));
}

#[tokio::test]
async fn a_posture_is_written_only_over_the_version_that_it_follows() {
    let store = Store::empty("versions").await;
    let (contested, other) = (account(1), account(2));
    let first = posture(&contested, Verdict::Clean, NOON);
    assert_eq!(store.aws.write_postures(&[(first.clone(), None)]).await.unwrap(), Written::All);

    // Two have read version 1, or nothing; the slower one writes nothing at all.
    let second = posture(&contested, Verdict::Unknown, LATER);
    assert_eq!(store.aws.write_postures(&[(second.clone(), Some(1))]).await.unwrap(), Written::All);
    for version in [None, Some(1), Some(3)] {
        let batch = [(posture(&other, Verdict::Clean, NOON), None), (first.clone(), version)];
        assert_eq!(store.aws.write_postures(&batch).await.unwrap(), Written::Overtaken, "{version:?}");
    }
    assert_eq!(store.read(&contested).await.unwrap(), (second, 2));
    assert_eq!(store.read(&other).await, None);
}

#[tokio::test]
async fn a_batch_is_as_large_as_dynamodb_takes() {
    let store = Store::empty("batches").await;
    let accounts: Vec<_> = (0..BATCH).map(account).collect();
    let postures: Vec<_> = accounts.iter().map(|account| (posture(account, Verdict::Clean, NOON), None)).collect();
    assert_eq!(store.aws.write_postures(&postures).await.unwrap(), Written::All);
    assert_eq!(store.aws.read_postures(&accounts).await.unwrap().len(), BATCH);
    assert!(store.aws.read_postures(&[]).await.unwrap().is_empty());
    assert_eq!(store.aws.write_postures(&[]).await.unwrap(), Written::All);
}

/// Written by a newer Unroot or by hand: it must not stop every audit.
#[tokio::test]
async fn a_posture_that_cannot_be_read_is_begun_anew() {
    let store = Store::empty("unreadable").await;
    let account = account(1);
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let key = [("pk", text(&format!("account#{account}"))), ("sk", text("posture"))];
    let [pk, sk] = key;
    store.put(&[pk, sk, ("version", AttributeValue::N("7".to_owned())), ("verdict", text("Splendid"))]).await;
    let remembered = store.aws.read_postures(std::slice::from_ref(&account)).await.unwrap().remove(&account).unwrap();
    assert_eq!((remembered.posture, remembered.version), (None, 7));
    let anew = posture(&account, Verdict::Clean, NOON);
    assert_eq!(store.aws.write_postures(&[(anew.clone(), Some(7))]).await.unwrap(), Written::All);
    assert_eq!(store.read(&account).await.unwrap(), (anew, 8));
}

#[tokio::test]
async fn root_sessions_are_remembered_for_ninety_days() {
    let store = Store::empty("sessions").await;
    let session = RememberedSession {
        session: OpenedSession {
            access_key_id: "ASIASESSIONKEYEXAMPLE".parse().unwrap(),
            task: TaskPolicy::IamAuditRootUserCredentials,
            opened: NOON,
        },
        account_id: account(1),
        function: "unroot-scheduled-audit".to_owned(),
    };
    for _ in 0..2 {
        store.aws.write_sessions(std::slice::from_ref(&session)).await.unwrap();
    }
    let item = store.get("session#ASIASESSIONKEYEXAMPLE", "session").await.unwrap();
    assert_eq!(item["accountId"], AttributeValue::S("000000000001".to_owned()));
    assert_eq!(item["task"], AttributeValue::S("IAMAuditRootUserCredentials".to_owned()));
    assert_eq!(item["function"], AttributeValue::S("unroot-scheduled-audit".to_owned()));
    let expires = (NOON + time::Duration::days(90)).unix_timestamp();
    assert_eq!(item["expiresAt"], AttributeValue::N(expires.to_string()));
}

#[tokio::test]
async fn recovery_windows_are_found_by_account() {
    let store = Store::empty("windows").await;
    assert!(store.aws.recovery_windows().await.unwrap().open(&account(1), NOON).is_none());
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let window = [
        ("pk", text("recovery-window")),
        ("sk", text("000000000001")),
        ("accountId", text("000000000001")),
        ("opened", text("2026-11-20T11:00:00Z")),
        ("ends", text("2026-11-20T13:00:00Z")),
        ("reason", text("lost the password")),
    ];
    store.put(&window).await;
    let windows = store.aws.recovery_windows().await.unwrap();
    assert_eq!(windows.open(&account(1), NOON).unwrap().reason, "lost the password");
    assert!(windows.open(&account(1), LATER).is_none(), "its time is over");
    assert!(windows.open(&account(2), NOON).is_none());

    // INVARIANT (hands off): a window that cannot be read is an error, not a window that is not there.
    store.put(&[("pk", text("recovery-window")), ("sk", text("000000000002"))]).await;
    store.aws.recovery_windows().await.unwrap_err();
}

#[tokio::test]
async fn the_last_complete_audit_is_the_latest() {
    let store = Store::empty("audits").await;
    assert_eq!(store.aws.last_complete_audit().await.unwrap(), None);
    let audit = |run: &str, finished| CompleteAudit::following(None, run, finished, "audits/example/");
    for (run, finished, expected) in [("first", NOON, "first"), ("later", LATER, "later"), ("slow", NOON, "later")] {
        store.aws.write_complete_audit(&audit(run, finished)).await.unwrap();
        assert_eq!(store.aws.last_complete_audit().await.unwrap().unwrap().run, expected);
    }
    let second = CompleteAudit::following(Some(&audit("later", LATER)), "next", LATER, "audits/next/");
    store.aws.write_complete_audit(&second).await.unwrap();
    assert_eq!(store.aws.last_complete_audit().await.unwrap(), Some(second));

    let text = |value: &str| AttributeValue::S(value.to_owned());
    store.put(&[("pk", text("audit")), ("sk", text("last-complete"))]).await;
    assert_eq!(store.aws.last_complete_audit().await.unwrap(), None, "it must not stop every audit");
}
