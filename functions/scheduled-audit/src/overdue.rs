//! Recovery windows that should have ended and did not: the audit has stripped their accounts, so they are closed now, and
//! people are told that nobody closed them in time.

use std::collections::BTreeMap;

use shared::domain::alert::{AlertAccount, AlertDetail, DetailType, PerformedTask, TaskAction, in_one_line};
use shared::domain::failure::Failure;
use shared::domain::id::AccountId;
use shared::domain::posture::Run;
use shared::domain::record::{AccountRecord, Verdict};
use shared::domain::recovery_window::RecoveryWindow;
use shared::runtime::{Function, Problem};
use shared::window_watch::WindowWatch;

/// Closes the overdue windows of the accounts that were read. One whose account is not, stays for the next audit.
pub(crate) async fn close(
    function: &Function,
    run: &Run,
    windows: &WindowWatch,
    records: &BTreeMap<AccountId, AccountRecord>,
) -> Result<(), Problem> {
    let now = function.aws.now();
    let all = windows.current().await.map_err(|failure| Problem::after("StateNotRead", &failure))?;
    for window in all.all().filter(|window| window.ends <= now) {
        if let Some(record) = records.get(&window.account_id).filter(|record| is_done(record)) {
            close_one(function, run, window, record).await?;
        }
    }
    Ok(())
}

/// What was made in the window is gone: what is left was held back, and was there before.
fn is_done(record: &AccountRecord) -> bool {
    match record.verdict {
        Verdict::Clean | Verdict::Stripped => true,
        Verdict::CredentialsPresent => record.planned.is_empty(),
        Verdict::Failed | Verdict::Unknown | Verdict::NotCovered => false,
    }
}

async fn close_one(
    function: &Function,
    run: &Run,
    window: &RecoveryWindow,
    record: &AccountRecord,
) -> Result<(), Problem> {
    let name = in_one_line(record.account_name.as_deref().unwrap_or_default());
    let task = PerformedTask {
        action: TaskAction::RecoveryOverdue,
        reason: window.reason.clone(),
        ticket: window.ticket.clone(),
        request_id: run.id.clone(),
        window_ends: Some(window.ends),
        resource: None,
        saved_policy: None,
    };
    let account = AlertAccount { id: window.account_id.clone(), name };
    let detail = AlertDetail::of_task(account, task, Some(record), run, record.examined);
    function.announce(DetailType::TaskPerformed, &detail).await?;
    // Overtaken: somebody opened it anew, and that one counts.
    let deleted = function.aws.delete_window(window).await.map(drop);
    deleted.map_err(|failure: Failure| Problem::after("StateNotWritten", &failure))
}
