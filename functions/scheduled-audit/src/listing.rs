//! The accounts to look at, page by page, until there are no more or the time is up.

use std::collections::BTreeSet;

use futures_util::stream::{self, Stream, StreamExt};
use shared::aws::Aws;
use shared::domain::account::Account;
use shared::domain::failure::Failure;
use shared::domain::id::AccountId;
use tokio::time::Instant;

use crate::work::Cursor;

/// As many accounts as a page of `ListAccounts` has.
const PAGE: usize = 20;

/// What a listing yields: accounts, and last of all how it ended.
#[derive(Debug)]
pub(crate) enum Listed {
    Account(Account),
    /// An account that was asked for by its id, not yet described.
    Named(AccountId),
    End(ListingEnd),
}

#[derive(Debug)]
pub(crate) enum ListingEnd {
    Complete,
    OutOfTime(Cursor),
    Failed(Failure),
}

/// Lists from the cursor on. No page is begun after `last_start`, so that what was listed can be finished.
///
/// The accounts of a page are out before the next page is read, so the consumer works while pages arrive.
pub(crate) fn accounts(aws: &Aws, cursor: Cursor, last_start: Instant) -> impl Stream<Item = Listed> {
    stream::unfold(Some(cursor), move |cursor| async move {
        let cursor = cursor?;
        if Instant::now() >= last_start {
            return Some((vec![Listed::End(ListingEnd::OutOfTime(cursor))], None));
        }
        Some(match page(aws, cursor).await {
            Ok((mut listed, None)) => {
                listed.push(Listed::End(ListingEnd::Complete));
                (listed, None)
            }
            Ok((listed, next)) => (listed, next),
            Err(failure) => (vec![Listed::End(ListingEnd::Failed(failure))], None),
        })
    })
    .flat_map(stream::iter)
}

/// One page, and where the next one begins.
async fn page(aws: &Aws, cursor: Cursor) -> Result<(Vec<Listed>, Option<Cursor>), Failure> {
    let token = match cursor {
        Cursor::FirstPage => None,
        Cursor::Page(token) => Some(token),
        Cursor::Accounts(accounts) => {
            let rest: BTreeSet<_> = accounts.iter().skip(PAGE).cloned().collect();
            let listed = accounts.into_iter().take(PAGE).map(Listed::Named).collect();
            return Ok((listed, (!rest.is_empty()).then_some(Cursor::Accounts(rest))));
        }
    };
    let page = aws.list_accounts(token.as_deref()).await?;
    Ok((page.accounts.into_iter().map(Listed::Account).collect(), page.next.map(Cursor::Page)))
}
