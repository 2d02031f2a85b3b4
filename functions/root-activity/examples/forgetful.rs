//! `root-activity` without the one thing that keeps it from answering itself: it knows none of its own sessions. The
//! end-to-end test of the loop runs it to see itself fail. It is never deployed.

use std::collections::BTreeSet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::runtime::run(|function, invocation| {
        root_activity::handle_knowing(async |_, _| Ok(BTreeSet::new()), function, invocation)
    })
    .await
}
