//! The function in these tests is this test binary, started once more to run only `tiny_function`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use super::*;

pub(crate) fn tiny_program() -> Program {
    let arguments = ["--exact", "lambda::tests::tiny_function", "--ignored", "--nocapture"];
    let path = std::env::current_exe().unwrap();
    Program::Binary(Binary { path, arguments: arguments.map(str::to_owned).to_vec() })
}

fn function(variables: BTreeMap<String, String>) -> Function {
    Function::new(FunctionSettings {
        name: "tiny".to_owned(),
        account: "222233334444".to_owned(),
        region: "eu-central-1".to_owned(),
        program: tiny_program(),
        memory_megabytes: 128,
        timeout: Duration::from_mins(1),
        variables: Box::new(move || variables.clone()),
    })
}

/// Asks a warm or new environment for its process id.
async fn process_id(function: &Function) -> Value {
    function.invoke(&json!("describe")).await.unwrap()["process"].clone()
}

#[tokio::test]
async fn a_process_sees_only_what_lambda_sets() {
    let function = function(BTreeMap::from([("MODE".to_owned(), "Audit".to_owned())]));
    let description = function.invoke(&json!("describe")).await.unwrap();
    let mut expected: Vec<&str> = function.inner.settings.lambda_variables("").into_keys().collect();
    expected.push("MODE");
    expected.sort_unstable();
    assert_eq!(description["variables"], json!(expected));
    assert_eq!(description["arn"], "arn:aws:lambda:eu-central-1:222233334444:function:tiny");
    assert_eq!(description["request"], "00000000-0000-4000-9000-000000000001");
}

#[tokio::test]
async fn a_process_stays_warm_after_an_error_of_the_function() {
    let function = function(BTreeMap::new());
    let before = process_id(&function).await;
    let error = function.invoke(&json!("fail")).await.unwrap_err();
    assert_eq!(error.to_string(), "TooBad: it failed");
    assert_eq!(process_id(&function).await, before);
}

#[tokio::test]
async fn a_crash_is_an_error_and_the_next_invocation_gets_a_new_process() {
    let function = function(BTreeMap::new());
    let before = process_id(&function).await;
    let error = function.invoke(&json!("crash")).await.unwrap_err();
    let expected = "RequestId: 00000000-0000-4000-9000-000000000002 Error: Runtime exited with error: exit status 7";
    assert_eq!((error.error_type.as_str(), error.message.as_str()), ("Runtime.ExitError", expected));
    assert_ne!(process_id(&function).await, before);
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_killed() {
    let mut settings = Arc::try_unwrap(function(BTreeMap::new()).inner).unwrap().settings;
    settings.timeout = Duration::from_secs(1);
    let function = Function::new(settings);
    let error = function.invoke(&json!("hang")).await.unwrap_err();
    assert_eq!(error.error_type, "Sandbox.Timedout");
    assert!(error.message.ends_with("Task timed out after 1.00 seconds"), "{error}");
    assert_eq!(lock(&function.inner.idle).len(), 0);
}

#[tokio::test]
async fn starting_up_does_not_count_as_the_time_of_the_function() {
    let variables = BTreeMap::from([("INIT_MILLISECONDS".to_owned(), "1500".to_owned())]);
    let mut settings = Arc::try_unwrap(function(variables).inner).unwrap().settings;
    settings.timeout = Duration::from_secs(1);
    let answer = Function::new(settings).invoke(&json!("describe")).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn two_invocations_run_side_by_side_in_two_processes() {
    let function = function(BTreeMap::new());
    let payload = json!("describe");
    let (first, second) = tokio::join!(function.invoke(&payload), function.invoke(&payload));
    assert_ne!(first.unwrap()["process"], second.unwrap()["process"]);
    assert_eq!(lock(&function.inner.idle).len(), 2);
}

#[tokio::test]
async fn lines_are_logged_as_json_where_they_are_json() {
    let function = function(BTreeMap::new());
    function.invoke(&json!("crash")).await.unwrap_err();
    let logs = function.logs_from(0);
    assert!(logs.contains(&json!({"message": "crash"})), "{logs:?}");
    assert!(logs.contains(&json!("plain words")), "{logs:?}");
}

#[tokio::test]
async fn a_log_can_be_read_on_from_where_it_was_read_to() {
    let function = function(BTreeMap::new());
    function.invoke(&json!("crash")).await.unwrap_err();
    let read = function.log_length();
    function.invoke(&json!("crash")).await.unwrap_err();
    let (all, new) = (function.logs_from(0), function.logs_from(read));
    assert_eq!((all.len(), new.len()), (function.log_length(), function.log_length() - read));
    assert_eq!(all[read..], new);
    function.reset();
    assert_eq!(function.logs_from(read), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_function_logged_is_there_when_it_has_answered() {
    let function = function(BTreeMap::new());
    function.invoke(&json!("chatter")).await.unwrap();
    let logs = function.logs_from(0);
    assert_eq!(logs.iter().filter(|line| line.get("chatter").is_some()).count(), 4_000);
}

#[tokio::test]
async fn a_program_that_cannot_start_is_an_error() {
    let mut settings = Arc::try_unwrap(function(BTreeMap::new()).inner).unwrap().settings;
    settings.program = Program::Binary(Binary { path: PathBuf::from("/nowhere"), arguments: Vec::new() });
    let error = Function::new(settings).invoke(&json!({})).await.unwrap_err();
    assert_eq!(error.error_type, "Runtime.InvalidEntrypoint");
}

#[test]
#[ignore = "the function that the other tests start, not a test"]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "what a function prints is its log")]
fn tiny_function() {
    let address = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    if let Ok(milliseconds) = std::env::var("INIT_MILLISECONDS") {
        std::thread::sleep(Duration::from_millis(milliseconds.parse().unwrap()));
    }
    loop {
        let (head, payload) = exchange(&address, "GET", "invocation/next", "");
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_default().to_owned()
        };
        let request = header("lambda-runtime-aws-request-id");
        let payload: Value = serde_json::from_str(&payload).unwrap();
        println!("{}", json!({"message": payload}));
        let respond = |response: &Value| {
            exchange(&address, "POST", &format!("invocation/{request}/response"), &response.to_string());
        };
        match payload.as_str() {
            Some("describe") => {
                let mut variables: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
                variables.sort_unstable();
                respond(&json!({
                    "process": std::process::id(),
                    "variables": variables,
                    "request": request,
                    "arn": header("lambda-runtime-invoked-function-arn"),
                }));
            }
            Some("chatter") => {
                (0..4_000).for_each(|line| println!("{}", json!({"chatter": line})));
                respond(&json!(null));
            }
            Some("fail") => {
                let error = json!({"errorType": "TooBad", "errorMessage": "it failed"});
                exchange(&address, "POST", &format!("invocation/{request}/error"), &error.to_string());
            }
            Some("crash") => {
                eprintln!("plain words");
                std::process::exit(7);
            }
            Some(_) => std::thread::sleep(Duration::from_hours(1)),
            None => respond(&work_through(&payload)),
        }
    }
}

/// Answers a batch of messages: those with `fail` in them fail, and one with `crash` ends the process.
fn work_through(event: &Value) -> Value {
    let mut failures = Vec::new();
    for record in event["Records"].as_array().unwrap() {
        let body = record["body"].as_str().unwrap();
        if body.contains("crash") {
            std::process::exit(7);
        }
        if body.contains("fail") {
            failures.push(json!({"itemIdentifier": record["messageId"]}));
        }
    }
    json!({"batchItemFailures": failures})
}

/// One HTTP exchange with the Runtime API; returns the head, with lower-case header names as hyper writes them, and the
/// body.
fn exchange(address: &str, method: &str, path: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let mut body = String::new();
    reader.read_to_string(&mut body).unwrap();
    (head, body)
}
