//! A guard under the list calls: an answer without its list or its end is an error, not a short list.
//!
//! The SDK fills in a required list that is missing with an empty one (`*_correct_errors`), after which nobody can tell
//! the two apart. AWS writes an empty list as an empty element (recorded as `root_list_access_keys_none` and its like).

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

#[derive(Debug)]
pub(super) struct CompleteLists;

/// The list that the answer of an operation must have.
fn list_of(operation: &str) -> Option<&'static str> {
    match operation {
        "ListAccessKeys" => Some("<AccessKeyMetadata"),
        "ListSigningCertificates" => Some("<Certificates"),
        "ListMFADevices" => Some("<MFADevices"),
        _ => None,
    }
}

#[dyn_dispatch_hint]
impl Intercept for CompleteLists {
    fn name(&self) -> &'static str {
        "CompleteLists"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map(Metadata::name).unwrap_or_default();
        let Some(list) = list_of(operation) else { return Ok(()) };
        let response = context.response();
        if !response.status().is_success() {
            return Ok(());
        }
        let body = response.body().bytes().unwrap_or_default();
        if !body.windows(list.len()).any(|window| window == list.as_bytes()) {
            return Err(format!("no `{list}>` in the answer").into());
        }
        // The SDK's parser takes XML that breaks off for XML that ends.
        if !body.trim_ascii_end().ends_with(format!("</{operation}Response>").as_bytes()) {
            return Err("the answer has no end".into());
        }
        Ok(())
    }
}
