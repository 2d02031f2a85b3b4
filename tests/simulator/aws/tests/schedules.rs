//! One-time schedules: who may make them, and what they send when their time has come.

use time::OffsetDateTime;
use time::macros::format_description;

use super::*;
use crate::policy::{PolicyDocument, TrustPolicy, WrittenPolicy};
use crate::queues::{DEFAULT_VISIBILITY_TIMEOUT, QueueSettings};

const ROLE: &str = "arn:aws:iam::222233334444:role/schedule";
const QUEUE: &str = "arn:aws:sqs:eu-central-1:222233334444:recovery";
const DEAD_LETTERS: &str = "arn:aws:sqs:eu-central-1:222233334444:dead-letters";
const ARN: &str = "arn:aws:scheduler:eu-central-1:222233334444:schedule/default/close";

/// With the queues, and a role that the Scheduler may assume for the account's schedules.
fn aws_with_role(trusted: &str) -> Aws {
    let aws = aws();
    for arn in [QUEUE, DEAD_LETTERS] {
        let name = arn.rsplit(':').next().unwrap().to_owned();
        aws.queues().create(QueueSettings {
            account: AUDIT.to_owned(),
            region: "eu-central-1".to_owned(),
            name,
            visibility_timeout: DEFAULT_VISIBILITY_TIMEOUT,
            redrive: None,
        });
    }
    create_role(&aws, trusted, &[QUEUE, DEAD_LETTERS]);
    aws
}

fn create_role(aws: &Aws, trusted: &str, queues: &[&str]) {
    let policy = json!({"Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queues}});
    let source = json!({"StringEquals": {
        "aws:SourceAccount": AUDIT,
        "aws:SourceArn": "arn:aws:scheduler:eu-central-1:222233334444:schedule-group/default",
    }});
    let trust = json!({"Statement": {
        "Effect": "Allow", "Principal": {"Service": trusted}, "Action": "sts:AssumeRole", "Condition": source,
    }});
    let role = Role::new(ROLE, vec![PolicyDocument::try_from(policy).unwrap()]).unwrap();
    aws.create_role(role.trusting(TrustPolicy::parse(&trust).unwrap()));
}

fn at(time: OffsetDateTime) -> String {
    time.format(format_description!("at([year]-[month]-[day]T[hour]:[minute]:[second])")).unwrap()
}

/// A schedule in two hours that deletes itself.
fn definition(aws: &Aws) -> Value {
    json!({
        "ScheduleExpression": at(aws.clock().now() + Duration::from_hours(2)),
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": QUEUE, "RoleArn": ROLE, "Input": "{\"action\":\"close\"}", "DeadLetterConfig": {"Arn": DEAD_LETTERS},
        },
        "ActionAfterCompletion": "DELETE",
    })
}

fn with(mut definition: Value, pointer: &str, value: Value) -> Value {
    let (object, member) = pointer.rsplit_once('/').unwrap();
    definition.pointer_mut(object).unwrap()[member] = value;
    definition
}

struct Response {
    status: u16,
    /// The header that SDKs read the code of an error from.
    code: String,
    body: Value,
}

async fn send_as(aws: &Aws, caller: &Credentials, method: &str, path: &str, body: &Value) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = hyper::Request::builder().method(method).uri(path).header("host", "localhost");
    let mut request = request.body(Bytes::from(body)).unwrap();
    caller.sign(&mut request, "eu-central-1", "scheduler", aws.clock().now()).unwrap();
    let (head, body) = request.into_parts();
    let Reaction::Answer(response) = aws.react(&Request { head, body }) else { panic!("no answer") };
    let code = response.headers().get("x-amzn-errortype").map_or("", |code| code.to_str().unwrap()).to_owned();
    let status = response.status().as_u16();
    let body = response.into_body();
    Response { status, code, body: serde_json::from_slice(&body).unwrap() }
}

async fn send(aws: &Aws, method: &str, path: &str, body: &Value) -> Response {
    send_as(aws, &auditor(aws), method, path, body).await
}

fn sent(aws: &Aws, queue: &str) -> Vec<String> {
    aws.queues().messages(queue).into_iter().map(|message| message.body).collect()
}

#[tokio::test]
async fn a_schedule_fires_once_when_its_time_has_come_and_deletes_itself() {
    let aws = aws_with_role("scheduler.amazonaws.com");
    let created = send(&aws, "POST", "/schedules/close", &definition(&aws)).await;
    assert_eq!((created.status, &created.body["ScheduleArn"]), (200, &json!(ARN)));
    let described = send(&aws, "GET", "/schedules/close", &Value::Null).await.body;
    assert_eq!(described["Target"]["RetryPolicy"]["MaximumRetryAttempts"], 185);
    assert_eq!((&described["GroupName"], &described["State"]), (&json!("default"), &json!("ENABLED")));
    assert_eq!((&described["ScheduleExpressionTimezone"], described.get("Description")), (&json!("UTC"), None));
    let [schedule] = &aws.schedules()[..] else { panic!("not one") };
    assert_eq!((schedule.arn.as_str(), schedule.input.as_str()), (ARN, "{\"action\":\"close\"}"));

    aws.clock().advance(Duration::from_mins(119));
    assert_eq!((aws.fire_due_schedules(), sent(&aws, QUEUE)), (Vec::new(), Vec::new()));
    aws.clock().advance(Duration::from_mins(1));
    assert_eq!(aws.fire_due_schedules(), Vec::<String>::new());
    assert_eq!(aws.fire_due_schedules(), Vec::<String>::new());
    assert_eq!(sent(&aws, QUEUE), ["{\"action\":\"close\"}"]);
    assert_eq!(aws.schedules(), []);
    let gone = send(&aws, "GET", "/schedules/close", &Value::Null).await;
    assert_eq!((gone.status, gone.code.as_str()), (404, "ResourceNotFoundException"));
    assert!(aws.calls().iter().all(|call| !call.mutating), "no account was changed");
}

#[tokio::test]
async fn a_schedule_that_does_not_delete_itself_stays_and_one_that_is_disabled_does_not_fire() {
    let aws = aws_with_role("scheduler.amazonaws.com");
    let stays = with(definition(&aws), "/ActionAfterCompletion", json!("NONE"));
    send(&aws, "POST", "/schedules/stays", &stays).await;
    send(&aws, "POST", "/schedules/disabled", &with(definition(&aws), "/State", json!("DISABLED"))).await;
    aws.clock().advance(Duration::from_hours(3));
    for _ in 0..2 {
        assert_eq!(aws.fire_due_schedules(), Vec::<String>::new());
    }
    assert_eq!(sent(&aws, QUEUE).len(), 1);
    let completed = aws.schedules().into_iter().map(|schedule| (schedule.name, schedule.is_completed));
    assert_eq!(completed.collect::<Vec<_>>(), [("disabled".to_owned(), false), ("stays".to_owned(), true)]);
}

#[tokio::test]
async fn an_update_takes_the_place_of_everything() {
    let aws = aws_with_role("scheduler.amazonaws.com");
    let described = with(definition(&aws), "/Description", json!("the first"));
    send(&aws, "POST", "/schedules/close", &described).await;
    let later = with(definition(&aws), "/ScheduleExpression", json!(at(aws.clock().now() + Duration::from_hours(5))));
    assert_eq!(send(&aws, "PUT", "/schedules/close", &later).await.status, 200);
    let described = send(&aws, "GET", "/schedules/close", &Value::Null).await.body;
    assert_eq!((&described["ScheduleExpression"], described.get("Description")), (&later["ScheduleExpression"], None));
    aws.clock().advance(Duration::from_hours(3));
    aws.fire_due_schedules();
    assert_eq!(sent(&aws, QUEUE), Vec::<String>::new());
    assert_eq!(send(&aws, "DELETE", "/schedules/close?groupName=default", &Value::Null).await.status, 200);
    assert_eq!(send(&aws, "DELETE", "/schedules/close", &Value::Null).await.code, "ResourceNotFoundException");
    assert_eq!(send(&aws, "PUT", "/schedules/close", &later).await.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_request_that_comes_again_with_its_token_is_answered_again() {
    let aws = aws_with_role("scheduler.amazonaws.com");
    let create = with(definition(&aws), "/ClientToken", json!("once"));
    for _ in 0..2 {
        assert_eq!(send(&aws, "POST", "/schedules/close", &create).await.status, 200);
    }
    let another = send(&aws, "POST", "/schedules/close", &definition(&aws)).await;
    assert_eq!((another.status, another.code.as_str()), (409, "ConflictException"));
    for _ in 0..2 {
        assert_eq!(send(&aws, "DELETE", "/schedules/close?clientToken=twice", &Value::Null).await.status, 200);
    }
    assert_eq!(aws.schedules(), []);
}

#[tokio::test]
async fn what_is_no_one_time_schedule_is_refused() {
    let aws = aws_with_role("scheduler.amazonaws.com");
    let past = at(aws.clock().now() - Duration::from_mins(1));
    for (pointer, value) in [
        ("/ScheduleExpression", json!(past)),
        ("/ScheduleExpression", json!("at(2099-01-01 10:00:00)")),
        ("/ScheduleExpression", json!("at(2099-02-30T10:00:00)")),
        ("/ScheduleExpression", json!("tomorrow")),
        ("/FlexibleTimeWindow", json!({"Mode": "FLEXIBLE"})),
        ("/ActionAfterCompletion", json!("STAY")),
        ("/Target/Inptu", json!("{}")),
        ("/Target/RoleArn", Value::Null),
        ("/Target/RetryPolicy", json!({"MaximumRetryAttempts": 186})),
    ] {
        let refused = send(&aws, "POST", "/schedules/close", &with(definition(&aws), pointer, value.clone())).await;
        assert_eq!((refused.status, refused.code.as_str()), (400, "ValidationException"), "{pointer} {value}");
    }
    for (pointer, value) in [
        ("/ScheduleExpression", json!("rate(1 hour)")),
        ("/ScheduleExpressionTimezone", json!("Europe/Berlin")),
        ("/Target/Arn", json!("arn:aws:lambda:eu-central-1:222233334444:function:close")),
    ] {
        let beyond = send(&aws, "POST", "/schedules/close", &with(definition(&aws), pointer, value)).await;
        assert_eq!(beyond.code, "NotSimulated", "{pointer}");
    }
    let name = format!("/schedules/{}", "n".repeat(65));
    assert_eq!(send(&aws, "POST", &name, &definition(&aws)).await.code, "ValidationException");
    let grouped = with(definition(&aws), "/GroupName", json!("other"));
    assert_eq!(send(&aws, "POST", "/schedules/close", &grouped).await.code, "ResourceNotFoundException");
    assert_eq!(aws.schedules(), []);
}

#[tokio::test]
async fn who_makes_a_schedule_must_be_allowed_to_pass_its_role() {
    let aws = aws_with_role("scheduler.amazonaws.com");
    let create = json!({"Effect": "Allow", "Action": "scheduler:CreateSchedule", "Resource": ARN});
    let pass = |service: &str| {
        let passed = json!({"StringEquals": {"iam:PassedToService": service}});
        json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": ROLE, "Condition": passed})
    };
    for (statements, status) in [
        (json!([pass("scheduler.amazonaws.com")]), 403),
        (json!([create]), 403),
        (json!([create, pass("lambda.amazonaws.com")]), 403),
        (json!([create, pass("scheduler.amazonaws.com")]), 200),
    ] {
        aws.with_organization(|organization| organization.principals.clear());
        let caller = principal(&aws, &statements);
        let reply = send_as(&aws, &caller, "POST", "/schedules/close", &definition(&aws)).await;
        assert_eq!(reply.status, status, "{statements}");
        assert_eq!(reply.code, if status == 200 { "" } else { "AccessDeniedException" });
    }
    let asked = aws.calls().pop().unwrap().permissions;
    let expected = [("scheduler:CreateSchedule", ARN), ("iam:PassRole", ROLE)];
    assert_eq!(asked, expected.map(|(action, resource)| (action.to_owned(), resource.to_owned())));
}

#[tokio::test]
async fn a_role_that_the_scheduler_cannot_assume_is_refused() {
    let aws = aws_with_role("events.amazonaws.com");
    let refused = send(&aws, "POST", "/schedules/close", &definition(&aws)).await;
    let message = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.";
    assert_eq!((refused.code.as_str(), &refused.body["message"]), ("ValidationException", &json!(message)));
}

#[tokio::test]
async fn what_cannot_be_sent_goes_to_the_dead_letter_queue_or_is_lost() {
    let due = async |change: &dyn Fn(&Aws)| {
        let aws = aws_with_role("scheduler.amazonaws.com");
        send(&aws, "POST", "/schedules/close", &definition(&aws)).await;
        change(&aws);
        aws.clock().advance(Duration::from_hours(2));
        let failures = aws.fire_due_schedules();
        assert_eq!((failures.len(), sent(&aws, QUEUE).len()), (1, 0), "{failures:?}");
        (failures.into_iter().next().unwrap(), sent(&aws, DEAD_LETTERS).len())
    };
    let deny = json!({"Statement": {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}});
    let deny = WrittenPolicy::try_from(deny).unwrap();
    let (failure, dead) = due(&|aws| aws.queues().set_policy(QUEUE, Some(deny.clone())).unwrap()).await;
    assert!(failure.contains("the policy of"), "{failure}");
    assert_eq!(dead, 1);
    let (failure, dead) = due(&|aws| create_role(aws, "scheduler.amazonaws.com", &[DEAD_LETTERS])).await;
    assert!(failure.contains("may not send to"), "{failure}");
    assert_eq!(dead, 1);
    let (failure, dead) = due(&|aws| create_role(aws, "lambda.amazonaws.com", &[QUEUE, DEAD_LETTERS])).await;
    assert!(failure.contains("is lost") && failure.contains("cannot assume the role"), "{failure}");
    assert_eq!(dead, 0);
}

#[tokio::test]
async fn faults_strike_schedules_in_the_schedulers_words() {
    let aws = aws_with_role("scheduler.amazonaws.com");
    for (kind, status, code) in [
        (FaultKind::Throttle, 429, "ThrottlingException"),
        (FaultKind::Error500, 500, "InternalServerException"),
        (FaultKind::Denied, 403, "AccessDeniedException"),
    ] {
        aws.inject(Fault::at("scheduler:CreateSchedule", kind).times(1));
        let reply = send(&aws, "POST", "/schedules/close", &definition(&aws)).await;
        assert_eq!((reply.status, reply.code.as_str()), (status, code));
    }
    aws.inject(Fault::at("scheduler:DeleteSchedule", FaultKind::Conflict).times(1));
    let reply = send(&aws, "DELETE", "/schedules/close", &Value::Null).await;
    assert_eq!((reply.status, reply.code.as_str()), (409, "ConflictException"));
    assert!("scheduler:UpdateSchedule=drop".parse::<Fault>().is_ok());
}
