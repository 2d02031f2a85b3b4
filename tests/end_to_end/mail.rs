//! What people get of our events: the text of each mail and each chat message, made by the rules of the template.

use serde_json::{Value, json};
use simulator::deployment::Options;

use crate::raw_client::{Call, send};
use crate::stage::{AUDIT, Stage, enforcing, id, organization};

/// Puts an event on our bus, as the functions do.
async fn put(stage: &Stage, detail_type: &str, detail: &Value) {
    let entry = json!({
        "EventBusName": "unroot",
        "Source": "unroot",
        "DetailType": detail_type,
        "Detail": detail.to_string(),
    });
    let input = json!({ "Entries": [entry] });
    let call = Call { action: "events:PutEvents", input: &input, region: "eu-central-1", host: None };
    let response = send(&stage.aws, &stage.aws.administrator(&id(AUDIT)), call).await.unwrap();
    assert!(response.body.starts_with(r#"{"FailedEntryCount":0,"#), "{}", response.body);
}

fn alert(headline: &str, description: &str, remedy: &str) -> Value {
    json!({
        "schemaVersion": 1,
        "id": "444455556666/2026-11-21T06:00:04Z/CredentialsPresent",
        "headline": headline,
        "description": description,
        "remedy": remedy,
        "since": "2026-11-20T06:00:03Z",
        "notify": true,
        "run": "2026-11-21T06:00:01Z-1c9a",
        "mode": "Enforce",
        "account": {"id": "444455556666", "name": "Shop"},
        "examined": "2026-11-21T06:00:04Z",
        "trigger": "schedule",
        "verdict": "CredentialsPresent",
    })
}

fn audit() -> Value {
    json!({
        "schemaVersion": 1,
        "id": "o-a1b2c3d4e5/2026-11-21T06:00:01Z-1c9a",
        "headline": "2 of 41 accounts still have root credentials",
        "description": "35 clean, 2 stripped, 2 with credentials, 1 unknown, 1 not covered.",
        "remedy": "Open the report and look at the accounts that are not clean.",
        "since": "2026-11-21T06:00:01Z",
        "notify": true,
        "run": "2026-11-21T06:00:01Z-1c9a",
        "mode": "Enforce",
        "organization": "o-a1b2c3d4e5",
        "totals": {"accounts": 41, "verdicts": {"Clean": 35}},
        "alerts": {"raised": 25, "notNotified": 5},
        "report": "s3://unroot-evidencebucket-simulated/audits/2026-11-21T06:00:01Z-1c9a/report.html",
    })
}

/// The alerts about accounts, as the functions word them.
const ALERTS: [[&str; 4]; 6] = [
    [
        "Root Credentials Found",
        "root credentials found in Shop (444455556666)",
        "A password and 1 access key.",
        "Unroot deletes them when it runs in Enforce mode.",
    ],
    [
        "Root Credentials Deleted",
        "root credentials deleted in Shop (444455556666)",
        "A password, 2 access keys and 1 MFA device were there and are gone.",
        "Nothing to do. Should something stop working, it used one of the keys: give it a role.",
    ],
    [
        "Root Credentials Deletion Failed",
        "root credentials could not be deleted in Shop (444455556666)",
        "A service control policy denies iam:DeleteAccessKey to the root user.",
        "Except root sessions in the policy, with the condition Null aws:AssumedRoot true.",
    ],
    [
        "Root Credentials Not Verified",
        "root credentials of Shop (444455556666) could not be verified",
        "The account could not be read: STS is off in its Region.",
        "Activate the Region for STS in the account.",
    ],
    [
        "Root Activity Detected",
        "the root user of Shop (444455556666) was used",
        "ConsoleLogin from 192.0.2.1.",
        "Ask who it was, and whether the password was recovered.",
    ],
    [
        "Root Task Performed",
        "a root task was performed in Shop (444455556666)",
        "IAMCreateRootUserPassword by arn:aws:iam::222233334444:role/operator.",
        "Nothing to do if it was meant.",
    ],
];

/// Tells people of every kind of event.
async fn tell_everything(options: Options) -> Stage {
    let stage = Stage::set(organization(), options).await;
    for [detail_type, headline, description, remedy] in ALERTS {
        put(&stage, detail_type, &alert(headline, description, remedy)).await;
    }
    put(&stage, "Root Access Audit Completed", &audit()).await;
    assert_eq!(stage.deployment.put_events().len(), ALERTS.len() + 1);
    stage
}

fn published(stage: &Stage, topic: &str) -> Vec<String> {
    stage.deployment.published(topic).unwrap().into_iter().map(|message| message.text).collect()
}

#[tokio::test(start_paused = true)]
async fn a_mail_says_what_where_since_when_and_what_to_do() {
    let stage = tell_everything(enforcing()).await;
    insta::assert_snapshot!(published(&stage, "AlertTopic").join("\n\n"), @r#"
    "UNROOT: root credentials found in Shop (444455556666)"
    "Account: Shop (444455556666)"
    "Since: 2026-11-20T06:00:03Z"
    "What: A password and 1 access key."
    "What to do: Unroot deletes them when it runs in Enforce mode."
    "Latest report: https://s3.console.aws.amazon.com/s3/object/unroot-evidencebucket-simulated?region=eu-central-1&prefix=latest/report.html "
    "Root Credentials Found, seen 2026-11-21T06:00:04Z by schedule in Enforce mode, run 2026-11-21T06:00:01Z-1c9a"

    "UNROOT: root credentials deleted in Shop (444455556666)"
    "Account: Shop (444455556666)"
    "Since: 2026-11-20T06:00:03Z"
    "What: A password, 2 access keys and 1 MFA device were there and are gone."
    "What to do: Nothing to do. Should something stop working, it used one of the keys: give it a role."
    "Latest report: https://s3.console.aws.amazon.com/s3/object/unroot-evidencebucket-simulated?region=eu-central-1&prefix=latest/report.html "
    "Root Credentials Deleted, seen 2026-11-21T06:00:04Z by schedule in Enforce mode, run 2026-11-21T06:00:01Z-1c9a"

    "UNROOT: root credentials could not be deleted in Shop (444455556666)"
    "Account: Shop (444455556666)"
    "Since: 2026-11-20T06:00:03Z"
    "What: A service control policy denies iam:DeleteAccessKey to the root user."
    "What to do: Except root sessions in the policy, with the condition Null aws:AssumedRoot true."
    "Latest report: https://s3.console.aws.amazon.com/s3/object/unroot-evidencebucket-simulated?region=eu-central-1&prefix=latest/report.html "
    "Root Credentials Deletion Failed, seen 2026-11-21T06:00:04Z by schedule in Enforce mode, run 2026-11-21T06:00:01Z-1c9a"

    "UNROOT: root credentials of Shop (444455556666) could not be verified"
    "Account: Shop (444455556666)"
    "Since: 2026-11-20T06:00:03Z"
    "What: The account could not be read: STS is off in its Region."
    "What to do: Activate the Region for STS in the account."
    "Latest report: https://s3.console.aws.amazon.com/s3/object/unroot-evidencebucket-simulated?region=eu-central-1&prefix=latest/report.html "
    "Root Credentials Not Verified, seen 2026-11-21T06:00:04Z by schedule in Enforce mode, run 2026-11-21T06:00:01Z-1c9a"

    "UNROOT: the root user of Shop (444455556666) was used"
    "Account: Shop (444455556666)"
    "Since: 2026-11-20T06:00:03Z"
    "What: ConsoleLogin from 192.0.2.1."
    "What to do: Ask who it was, and whether the password was recovered."
    "Latest report: https://s3.console.aws.amazon.com/s3/object/unroot-evidencebucket-simulated?region=eu-central-1&prefix=latest/report.html "
    "Root Activity Detected, seen 2026-11-21T06:00:04Z by schedule in Enforce mode, run 2026-11-21T06:00:01Z-1c9a"

    "UNROOT: a root task was performed in Shop (444455556666)"
    "Account: Shop (444455556666)"
    "Since: 2026-11-20T06:00:03Z"
    "What: IAMCreateRootUserPassword by arn:aws:iam::222233334444:role/operator."
    "What to do: Nothing to do if it was meant."
    "Latest report: https://s3.console.aws.amazon.com/s3/object/unroot-evidencebucket-simulated?region=eu-central-1&prefix=latest/report.html "
    "Root Task Performed, seen 2026-11-21T06:00:04Z by schedule in Enforce mode, run 2026-11-21T06:00:01Z-1c9a"

    "UNROOT: 2 of 41 accounts still have root credentials"
    "Organization: o-a1b2c3d4e5, 41 accounts"
    "What: 35 clean, 2 stripped, 2 with credentials, 1 unknown, 1 not covered."
    "Alerts: 25, of which 5 were not mailed one by one"
    "What to do: Open the report and look at the accounts that are not clean."
    "Report: s3://unroot-evidencebucket-simulated/audits/2026-11-21T06:00:01Z-1c9a/report.html "
    "Latest report: https://s3.console.aws.amazon.com/s3/object/unroot-evidencebucket-simulated?region=eu-central-1&prefix=latest/report.html "
    "Root Access Audit Completed, since 2026-11-21T06:00:01Z in Enforce mode, run 2026-11-21T06:00:01Z-1c9a"
    "#);
    stage.deployment.reset().await;
    assert!(published(&stage, "AlertTopic").is_empty());
    assert!(stage.deployment.put_events().is_empty());
}

/// The schema of custom notifications:
/// <https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html>
#[tokio::test(start_paused = true)]
async fn a_chat_message_has_the_form_of_a_custom_notification() {
    let stage = tell_everything(enforcing().with_parameter("ChatNotifications", "Enabled")).await;
    let messages: Vec<Value> =
        published(&stage, "ChatTopic").iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(messages.len(), ALERTS.len() + 1);
    assert_eq!(published(&stage, "AlertTopic").len(), ALERTS.len() + 1, "the mail comes as well");
    for message in &messages {
        assert_eq!((&message["version"], &message["source"]), (&json!("1.0"), &json!("custom")), "{message}");
        assert_eq!(message["content"]["textType"], "client-markdown", "{message}");
        assert!(!message["content"]["description"].as_str().unwrap().is_empty(), "{message}");
        assert!(message["content"]["nextSteps"][0].as_str().is_some_and(|step| !step.is_empty()), "{message}");
    }
    insta::assert_json_snapshot!([&messages[0], &messages[6]], @r#"
    [
      {
        "version": "1.0",
        "source": "custom",
        "id": "444455556666/2026-11-21T06:00:04Z/CredentialsPresent",
        "content": {
          "textType": "client-markdown",
          "title": "root credentials found in Shop (444455556666)",
          "description": "A password and 1 access key.\n*Since* 2026-11-20T06:00:03Z",
          "nextSteps": [
            "Unroot deletes them when it runs in Enforce mode."
          ],
          "keywords": [
            "Unroot",
            "444455556666"
          ]
        },
        "metadata": {
          "threadId": "unroot-444455556666",
          "summary": "root credentials found in Shop (444455556666)",
          "eventType": "Root Credentials Found",
          "relatedResources": [
            "arn:aws:iam::444455556666:root"
          ],
          "additionalContext": {
            "mode": "Enforce",
            "run": "2026-11-21T06:00:01Z-1c9a",
            "seen": "2026-11-21T06:00:04Z",
            "trigger": "schedule"
          }
        }
      },
      {
        "version": "1.0",
        "source": "custom",
        "id": "o-a1b2c3d4e5/2026-11-21T06:00:01Z-1c9a",
        "content": {
          "textType": "client-markdown",
          "title": "2 of 41 accounts still have root credentials",
          "description": "35 clean, 2 stripped, 2 with credentials, 1 unknown, 1 not covered.\n*Alerts* 25, of which 5 were not sent one by one\n*Report* s3://unroot-evidencebucket-simulated/audits/2026-11-21T06:00:01Z-1c9a/report.html",
          "nextSteps": [
            "Open the report and look at the accounts that are not clean."
          ],
          "keywords": [
            "Unroot",
            "o-a1b2c3d4e5"
          ]
        },
        "metadata": {
          "threadId": "unroot-audits",
          "summary": "2 of 41 accounts still have root credentials",
          "eventType": "Root Access Audit Completed",
          "additionalContext": {
            "mode": "Enforce",
            "run": "2026-11-21T06:00:01Z-1c9a",
            "since": "2026-11-21T06:00:01Z"
          }
        }
      }
    ]
    "#);
}

#[tokio::test(start_paused = true)]
async fn what_need_not_be_told_is_not_told() {
    let stage = Stage::enforcing().await;
    for (detail_type, mut detail) in
        [("Root Credentials Found", alert("a", "b", "c")), ("Root Access Audit Completed", audit())]
    {
        detail["notify"] = json!(false);
        put(&stage, detail_type, &detail).await;
    }
    assert_eq!(stage.deployment.put_events().len(), 2);
    assert_eq!(stage.deployment.deliveries(), []);
}
