//! Pages of the list operations: at most 20 items, an opaque token, and now and then an empty page that is not the
//! last one ("the response might have a `NextToken` even when there are no more results", API reference).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Answer, ApiError};

/// The largest page that Organizations answers with, and the default.
const LARGEST: usize = 20;

/// An empty page comes after that many items. Often enough for a client's mistake to show in the smallest sample of
/// some size, seldom enough not to slow a large one down.
const EMPTY_PAGE_AFTER: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Page {
    next_token: Option<String>,
    max_results: Option<usize>,
}

impl Page {
    pub(super) fn of<T>(&self, name: &str, items: impl Iterator<Item = T>, describe: impl Fn(T) -> Value) -> Answer {
        let size = self.max_results.unwrap_or(LARGEST);
        if !(1..=LARGEST).contains(&size) {
            return Err(invalid("You specified an invalid value for MaxResults: give 1 to 20."));
        }
        let (start, is_empty_page) = self.position()?;
        if is_empty_page {
            return Ok(json!({name: [], "NextToken": format!("page-{start}")}));
        }
        let mut rest = items.skip(start);
        let page: Vec<Value> = rest.by_ref().take(size).map(describe).collect();
        let end = start + page.len();
        if rest.next().is_none() {
            return Ok(json!({name: page}));
        }
        let kind = if start / EMPTY_PAGE_AFTER < end / EMPTY_PAGE_AFTER { "empty" } else { "page" };
        Ok(json!({name: page, "NextToken": format!("{kind}-{end}")}))
    }

    /// The first item, and whether an empty page comes before it.
    fn position(&self) -> Result<(usize, bool), ApiError> {
        let Some(token) = &self.next_token else {
            return Ok((0, false));
        };
        let wrong = || invalid("You specified an invalid value for NextToken.");
        let (kind, start) = token.split_once('-').ok_or_else(wrong)?;
        let start = start.parse().map_err(|_| wrong())?;
        match kind {
            "page" => Ok((start, false)),
            "empty" => Ok((start, true)),
            _ => Err(wrong()),
        }
    }
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("InvalidInputException", 400, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_comes_once_and_an_empty_page_is_not_the_end() {
        let (mut seen, mut empty_pages, mut next_token) = (Vec::new(), 0, None);
        loop {
            let page = Page { next_token, max_results: None };
            let answer = page.of("Items", 0..250, |item| json!(item)).unwrap();
            let items = answer["Items"].as_array().unwrap();
            assert!(items.len() <= 20);
            empty_pages += usize::from(items.is_empty());
            seen.extend(items.iter().map(|item| item.as_u64().unwrap()));
            next_token = answer.get("NextToken").map(|token| token.as_str().unwrap().to_owned());
            if next_token.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..250).collect::<Vec<u64>>());
        assert_eq!(empty_pages, 2);
    }

    #[test]
    fn a_page_is_1_to_20_items_and_a_token_is_one_of_ours() {
        for page in [
            Page { next_token: None, max_results: Some(0) },
            Page { next_token: None, max_results: Some(21) },
            Page { next_token: Some("page-x".to_owned()), max_results: None },
            Page { next_token: Some("nonsense".to_owned()), max_results: None },
        ] {
            let error = page.of("Items", 0..1, |item| json!(item)).unwrap_err();
            assert_eq!(error.code, "InvalidInputException");
        }
    }
}
