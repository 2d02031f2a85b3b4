//! What operators ask for, and what they are answered: the functions that people invoke.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use simulator::deployment::Deployment;

/// Asks a function for something, and returns the answer.
///
/// Fails if it is refused.
pub(crate) async fn granted(deployment: &Deployment, function: &str, request: &Value) -> Result<Value> {
    let answer = deployment.invoke(function, request).await?;
    answer.map_err(|error| anyhow::anyhow!("{function} refused {request}: {}", error.message))
}

/// Asks a function for something that it refuses, and returns why.
///
/// Fails if it is granted.
pub(crate) async fn refused(deployment: &Deployment, function: &str, request: &Value) -> Result<String> {
    match deployment.invoke(function, request).await? {
        Ok(answer) => bail!("{function} did not refuse {request}: {answer}"),
        Err(error) => Ok(error.message),
    }
}

/// A text of an answer.
pub(crate) fn text<'a>(answer: &'a Value, member: &str) -> Result<&'a str> {
    answer.get(member).and_then(Value::as_str).with_context(|| format!("the answer has no `{member}`: {answer}"))
}
