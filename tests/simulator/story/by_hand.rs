//! Somebody who opens a root session by hand: what Unroot does, past Unroot, with a client of his own.

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use regex_lite::Regex;
use simulator::aws::Credentials;
use simulator::clock::Clock;
use simulator::organization::AccountId;
use tokio::net::TcpStream;

use super::stage::Stage;

/// The task for which he opens the session.
pub(crate) const TASK: &str = "IAMCreateRootUserPassword";

/// Where his client is set to: the management account's events come from here.
const REGION: &str = "us-east-1";

/// The access key ids of who did it and of his root session.
pub(crate) type Keys = [String; 2];

/// An administrator of the management account gives the root user of an account a password back.
pub(crate) async fn give_password_back(stage: &Stage, account: &AccountId) -> Result<Keys> {
    let administrator = stage.aws.administrator(&stage.aws.management_account());
    let task = format!("arn:aws:iam::aws:policy/root-task/{TASK}");
    let input = [("TargetPrincipal", account.as_str()), ("TaskPolicyArn.arn", &task)];
    let answer = call(stage, &administrator, "sts", "AssumeRoot", &input).await?;
    let session = Credentials {
        access_key_id: element(&answer, "AccessKeyId")?,
        secret_access_key: element(&answer, "SecretAccessKey")?,
        session_token: Some(element(&answer, "SessionToken")?),
    };
    // Without a name it is the caller's own; the password is then set by who can read the mail of the account.
    call(stage, &session, "iam", "CreateLoginProfile", &[]).await?;
    Ok([administrator.access_key_id, session.access_key_id])
}

/// A call in the query protocol, which STS and IAM speak.
async fn call(
    stage: &Stage,
    credentials: &Credentials,
    service: &str,
    operation: &str,
    input: &[(&str, &str)],
) -> Result<String> {
    let form =
        form_urlencoded::Serializer::new(String::new()).append_pair("Action", operation).extend_pairs(input).finish();
    let address = stage.address();
    let mut request = Request::post("/").header("host", address.to_string()).body(Bytes::from(form))?;
    credentials.sign(&mut request, REGION, service, Clock::of_machine().now())?;
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request.map(Full::new)).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    let body = String::from_utf8_lossy(&body).into_owned();
    ensure!(status.is_success(), "{operation} was answered {status}: {body}");
    Ok(body)
}

/// The text of the element with this name.
fn element(xml: &str, name: &str) -> Result<String> {
    let element = Regex::new(&format!("<{name}>([^<]*)</{name}>"))?;
    let text = element.captures(xml).and_then(|captures| captures.get(1));
    Ok(text.with_context(|| format!("the answer has no {name}"))?.as_str().to_owned())
}
