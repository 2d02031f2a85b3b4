//! Recovery windows as they are kept: opened, extended and closed, never over what somebody else did meanwhile.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::Aws;
use super::api_failure::failed;
use super::state::{Written, item, key};
use crate::domain::failure::Failure;
use crate::domain::recovery_window::RecoveryWindow;

const PARTITION: &str = "recovery-window";

impl Aws {
    /// Writes a window in place of the one that was read, `None` if there was none.
    pub async fn write_window(
        &self,
        window: &RecoveryWindow,
        previous: Option<&RecoveryWindow>,
    ) -> Result<Written, Failure> {
        let put = self.put(item(PARTITION, window.account_id.as_str(), window)?);
        let put = match previous {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(previous) => put
                .condition_expression("opened = :opened AND ends = :ends")
                .expression_attribute_values(":opened", date(previous.opened))
                .expression_attribute_values(":ends", date(previous.ends)),
        };
        self.write(vec![put]).await
    }

    /// Removes a window that is closed, unless it was extended or opened anew meanwhile.
    pub async fn delete_window(&self, window: &RecoveryWindow) -> Result<Written, Failure> {
        let call = self
            .dynamodb
            .delete_item()
            .table_name(self.stores.state_table.as_str())
            .set_key(Some(key(PARTITION, window.account_id.as_str())))
            .condition_expression("attribute_not_exists(pk) OR (opened = :opened AND ends = :ends)")
            .expression_attribute_values(":opened", date(window.opened))
            .expression_attribute_values(":ends", date(window.ends));
        match call.send().await {
            Ok(_) => Ok(Written::All),
            Err(error)
                if matches!(error.as_service_error(), Some(DeleteItemError::ConditionalCheckFailedException(_))) =>
            {
                Ok(Written::Overtaken)
            }
            Err(error) => Err(failed("dynamodb:DeleteItem")(error)),
        }
    }
}

/// As serde writes it.
fn date(at: time::OffsetDateTime) -> AttributeValue {
    AttributeValue::S(at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default())
}
