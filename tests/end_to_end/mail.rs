//! What people get: the text of each mail and each chat message, made by the rules of the template from what the functions
//! really put on the bus.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use simulator::aws::{Fault, FaultKind, Password};
use simulator::deployment::Options;
use simulator::organization::RootCredentials;

use crate::password_recovery::open;
use crate::stage::{PASSWORD_RECOVERY, SHOP, Stage, auditing, enforcing, id, organization, unguarded_shop};

/// What a function put on the bus, and what people got of it.
struct Told {
    event: Value,
    mails: Vec<String>,
    chats: Vec<Value>,
}

/// One event of each detail type, the first of its kind, each from a run that leads to it.
async fn one_of_each(with: fn(Options) -> Options) -> BTreeMap<String, Told> {
    let mut told = BTreeMap::new();
    let audited = Stage::set(organization(), with(auditing())).await;
    audited.scheduled_audit().await;
    collect(&audited, &mut told);

    let failing = Stage::set(organization(), with(enforcing())).await;
    failing.aws.inject(Fault::at("iam:DeleteAccessKey", FaultKind::Throttle));
    failing.request(json!({"accounts": [SHOP]})).await.unwrap();
    failing.aws.clear_faults();
    failing.request(json!({"accounts": [SHOP]})).await.unwrap();
    collect(&failing, &mut told);

    let used = Stage::set(unguarded_shop(RootCredentials::default()), with(enforcing())).await;
    used.ask(PASSWORD_RECOVERY, &open(SHOP, 60)).await.unwrap();
    let other = crate::stage::STS_OFF;
    used.aws.with_organization(|organization| {
        organization.accounts.get_mut(&id(other)).unwrap().root =
            crate::stage::organization().accounts[&id(SHOP)].root.clone();
    });
    used.aws.root_user(&id(other)).sign_in(Password::Right);
    used.deployment.settle().await.unwrap();
    collect(&used, &mut told);
    told
}

fn collect(stage: &Stage, told: &mut BTreeMap<String, Told>) {
    let published = |topic: &str| stage.deployment.published(topic).unwrap_or_default();
    let mails: Vec<_> = published("AlertTopic").into_iter().map(|message| message.text).collect();
    let chats: Vec<Value> =
        published("ChatTopic").iter().map(|message| serde_json::from_str(&message.text).unwrap()).collect();
    for event in stage.events() {
        let detail = &event["detail"];
        let headline = detail["headline"].as_str().unwrap();
        let is_of_it = |text: &String| text.contains(&format!("UNROOT: {headline}")) || text.contains(headline);
        let mails = mails.iter().filter(|mail| is_of_it(mail)).cloned().collect();
        let chats = chats.iter().filter(|chat| chat["id"] == detail["id"]).cloned().collect();
        let kind = event["detail-type"].as_str().unwrap().to_owned();
        told.entry(kind).or_insert(Told { event: event.clone(), mails, chats });
    }
}

#[tokio::test(start_paused = true)]
async fn a_mail_says_what_where_since_when_and_what_to_do() {
    let told = one_of_each(|options| options).await;
    assert_eq!(told.len(), 7, "{:?}", told.keys());
    let mails: Vec<_> = told.values().map(|told| told.mails.first().expect("a mail").as_str()).collect();
    insta::assert_snapshot!(mails.join("\n\n"));
}

/// The schema of custom notifications:
/// <https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html>
#[tokio::test(start_paused = true)]
async fn a_chat_message_has_the_form_of_a_custom_notification() {
    let told = one_of_each(|options| options.with_parameter("ChatNotifications", "Enabled")).await;
    assert_eq!(told.len(), 7, "{:?}", told.keys());
    for (kind, Told { event, mails, chats }) in &told {
        let [message] = chats.as_slice() else { panic!("{kind}: {chats:?}") };
        assert!(!mails.is_empty(), "{kind}: the mail comes as well");
        assert_eq!((&message["version"], &message["source"]), (&json!("1.0"), &json!("custom")), "{message}");
        assert_eq!(message["content"]["textType"], "client-markdown", "{message}");
        assert_eq!(message["content"]["title"], event["detail"]["headline"], "{message}");
        assert!(!message["content"]["description"].as_str().unwrap().is_empty(), "{message}");
        assert!(message["content"]["nextSteps"][0].as_str().is_some_and(|step| !step.is_empty()), "{message}");
    }
    insta::assert_json_snapshot!([
        &told["Root Credentials Found"].chats[0],
        &told["Root Access Audit Completed"].chats[0]
    ]);
}

/// The second audit finds what the first found: it puts an event on the bus, and nobody gets a mail.
#[tokio::test(start_paused = true)]
async fn what_need_not_be_told_is_not_told() {
    let stage = Stage::set(organization(), auditing()).await;
    stage.scheduled_audit().await;
    let (events, deliveries) = (stage.events().len(), stage.deployment.deliveries().len());
    stage.scheduled_audit().await;
    let second = &stage.events()[events..];
    assert_eq!(second.len(), 1, "{second:?}");
    assert_eq!(second[0]["detail"]["notify"], false);
    assert_eq!(stage.deployment.deliveries().len(), deliveries);
}
