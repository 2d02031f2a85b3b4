//! The evidence of an audit: what is written where, and with what it is compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::evidence::accounts;
use simulator::organization::LoginProfile;

use crate::stage::{NOW, SCHEDULED_AUDIT, SHOP, Stage, id, sample_organization};

const FILES: [&str; 4] = ["accounts.jsonl", "report.csv", "report.html", "summary.json"];

/// The objects of the evidence bucket by folder, then by name.
fn folders(stage: &Stage) -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut folders: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for (key, bytes) in stage.evidence() {
        let (folder, name) = key.rsplit_once('/').unwrap();
        folders.entry(folder.to_owned()).or_default().insert(name.to_owned(), bytes);
    }
    folders
}

fn names(folder: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    folder.keys().map(String::as_str).collect()
}

fn summary(folder: &BTreeMap<String, Vec<u8>>) -> Value {
    serde_json::from_slice(&folder["summary.json"]).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_audit_leaves_four_files_and_a_copy_of_the_latest() {
    let stage = Stage::enforcing().await;
    stage.scheduled_audit().await;
    let folders = folders(&stage);
    assert_eq!(folders.len(), 2, "{:?}", folders.keys());
    let (audit, files) = folders.iter().find(|(folder, _)| folder.starts_with("audits/")).unwrap();
    assert_eq!(names(files), FILES);
    assert_eq!(&folders["latest"], files);
    let report = stage.logged(SCHEDULED_AUDIT, "AuditReport").pop().unwrap();
    assert!(audit.ends_with(report["run"].as_str().unwrap()), "{audit}");
    let records = accounts::read(&files["accounts.jsonl"]).unwrap().accounts;
    assert_eq!(records.len(), 8);
    assert!(records.iter().all(|record| record.since.is_some()), "{records:#?}");
    let html = String::from_utf8(files["report.html"].clone()).unwrap();
    assert!(html.contains(SHOP) && html.contains("DeniedByMemberServiceControlPolicy"));
    let completed = stage.events().pop().unwrap();
    assert!(completed["detail"]["report"].as_str().unwrap().ends_with(&format!("/{audit}/report.html")));
}

#[tokio::test(start_paused = true)]
async fn an_audit_of_some_accounts_is_not_the_latest() {
    let stage = Stage::enforcing().await;
    stage.request(json!({"accounts": [SHOP]})).await.unwrap();
    let folders = folders(&stage);
    assert_eq!(folders.len(), 1, "{:?}", folders.keys());
    assert!(folders.keys().all(|folder| folder.starts_with("audits/")));
}

#[tokio::test(start_paused = true)]
async fn an_audit_is_compared_with_the_one_before() {
    let stage = Stage::enforcing().await;
    stage.scheduled_audit().await;
    let first = summary(&folders(&stage)["latest"]);
    stage.aws.with_organization(|organization| {
        let root = &mut organization.accounts.get_mut(&id(SHOP)).unwrap().root;
        root.login_profile = Some(LoginProfile { create_date: NOW });
    });
    stage.scheduled_audit().await;
    let folders = folders(&stage);
    assert_eq!(folders.len(), 3, "two audits and the latest: {:?}", folders.keys());
    let html = String::from_utf8(folders["latest"]["report.html"].clone()).unwrap();
    let run = first["run"].as_str().unwrap();
    assert!(html.contains(run), "the report names the run {run} that it is compared with");
}

#[tokio::test(start_paused = true)]
async fn an_audit_in_several_invocations_is_one_evidence() {
    let organization = sample_organization(400);
    let accounts: BTreeSet<_> = organization.accounts.keys().map(ToString::to_string).collect();
    let stage = Stage::slow(organization).await;
    stage.scheduled_audit().await;
    let folders = folders(&stage);
    let parts = folders.iter().find(|(folder, _)| folder.ends_with("/parts")).expect("it took several invocations").1;
    let records = accounts::read(&folders["latest"]["accounts.jsonl"]).unwrap().accounts;
    let covered: BTreeSet<_> = records.iter().map(|record| record.account_id.to_string()).collect();
    assert_eq!((covered, records.len()), (accounts, 400));
    let in_parts: usize = parts.values().map(|part| accounts::read(part).unwrap().accounts.len()).sum();
    assert!(in_parts < 400, "the last part is only in the whole");
    let completed = stage.events().into_iter().filter(|event| event["detail-type"] == "Root Access Audit Completed");
    assert_eq!(completed.count(), 1);
}

/// The run was complete and remembered, but nobody was told: it is done again, and never compared with itself.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_done_again_is_compared_with_the_one_before() {
    let stage = Stage::enforcing().await;
    stage.scheduled_audit().await;
    let first = summary(&folders(&stage)["latest"])["run"].clone();
    // The second audit changes nothing, so its only event is its end.
    stage.aws.inject("events:PutEvents=error500,times=3".parse().unwrap());
    stage.scheduled_audit().await;
    let folders = folders(&stage);
    assert_eq!(folders.len(), 3, "a run has one folder, however often it is done: {:?}", folders.keys());
    let second = summary(&folders["latest"]);
    assert_ne!(second["run"], first);
    assert_eq!((&second["comparison"]["state"], &second["comparison"]["run"]), (&json!("Compared"), &first));
}

/// Someone deleted or damaged the earlier evidence: the audit is done all the same, and says so.
#[tokio::test(start_paused = true)]
async fn earlier_evidence_that_cannot_be_read_costs_only_the_comparison() {
    let stage = Stage::enforcing().await;
    stage.scheduled_audit().await;
    stage.aws.inject("s3:GetObject=denied".parse().unwrap());
    stage.scheduled_audit().await;
    assert!(stage.deployment.dead_letters(SCHEDULED_AUDIT).unwrap().is_empty());
    let html = String::from_utf8(folders(&stage)["latest"]["report.html"].clone()).unwrap();
    let at = html.find("Not compared").expect("the report says that there is no comparison");
    assert!(html[at..][..400].contains("s3:GetObject failed"), "{}", &html[at..][..400]);
}
