use serde_json::json;

use super::*;
use crate::bell::Bell;

const URL: &str = "http://127.0.0.1:4566/222233334444/work";

const HERE: Origin = Origin { account: "222233334444", region: "eu-central-1", staleness: 0 };

/// A queue with a visibility timeout of a minute that gives a message up after two receives, and its dead-letter queue.
fn queues() -> Queues {
    let queues = Queues::new(Clock::default(), Bell::default());
    let settings = |name: &str, redrive| QueueSettings {
        account: "222233334444".to_owned(),
        region: "eu-central-1".to_owned(),
        name: name.to_owned(),
        visibility_timeout: Duration::from_mins(1),
        redrive,
    };
    let dead_letter_arn = queues.create(settings("dead", None));
    queues.create(settings("work", Some(Redrive { dead_letter_arn, max_receive_count: 2 })));
    queues
}

/// Calls an operation on the queue.
fn call(queues: &Queues, operation: &str, mut input: Value) -> Answer {
    input["QueueUrl"] = json!(URL);
    queues.call(HERE, operation, &input)
}

fn receive(queues: &Queues) -> Option<Value> {
    call(queues, "ReceiveMessage", json!({})).unwrap().pointer("/Messages/0").cloned()
}

fn attribute(queues: &Queues, name: &str) -> Value {
    let answer = call(queues, "GetQueueAttributes", json!({"AttributeNames": ["All"]})).unwrap();
    answer["Attributes"][name].clone()
}

#[test]
fn a_message_hides_and_returns_until_it_is_deleted() {
    let queues = queues();
    call(&queues, "SendMessage", json!({"MessageBody": "a"})).unwrap();
    let first = receive(&queues).unwrap();
    assert_eq!(first["Body"], "a");
    assert_eq!(receive(&queues), None);
    assert_eq!(attribute(&queues, "ApproximateNumberOfMessagesNotVisible"), "1");

    queues.clock.advance(Duration::from_mins(1));
    let second = receive(&queues).unwrap();
    assert_eq!(second["MessageId"], first["MessageId"]);
    // The first receipt is stale now.
    call(&queues, "DeleteMessage", json!({"ReceiptHandle": first["ReceiptHandle"]})).unwrap();
    assert_eq!(attribute(&queues, "ApproximateNumberOfMessagesNotVisible"), "1");
    call(&queues, "DeleteMessage", json!({"ReceiptHandle": second["ReceiptHandle"]})).unwrap();
    assert_eq!(attribute(&queues, "ApproximateNumberOfMessagesNotVisible"), "0");
}

#[test]
fn a_message_received_too_often_goes_to_the_dead_letter_queue() {
    let queues = queues();
    call(&queues, "SendMessage", json!({"MessageBody": "a"})).unwrap();
    for _ in 0..2 {
        assert!(receive(&queues).is_some());
        queues.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(receive(&queues), None);
    assert_eq!(attribute(&queues, "ApproximateNumberOfMessages"), "0");

    let input =
        json!({"QueueUrl": "https://sqs.eu-central-1.amazonaws.com/222233334444/dead", "AttributeNames": ["All"]});
    let dead = &queues.call(HERE, "ReceiveMessage", &input).unwrap()["Messages"][0];
    assert_eq!(dead["Body"], "a");
    assert_eq!(dead["Attributes"]["DeadLetterQueueSourceArn"], "arn:aws:sqs:eu-central-1:222233334444:work");
}

#[test]
fn a_receiver_changes_how_long_a_message_hides() {
    let queues = queues();
    call(&queues, "SendMessage", json!({"MessageBody": "a"})).unwrap();
    let handle = receive(&queues).unwrap()["ReceiptHandle"].clone();
    let change = |seconds: u64| {
        call(&queues, "ChangeMessageVisibility", json!({"ReceiptHandle": handle, "VisibilityTimeout": seconds}))
    };
    assert_eq!(change(43_201).unwrap_err().code, "InvalidParameterValue");
    change(300).unwrap();
    queues.clock.advance(Duration::from_secs(299));
    assert_eq!(receive(&queues), None);
    change(0).unwrap();
    assert_eq!(change(10).unwrap_err().code, "MessageNotInflight");
    assert!(receive(&queues).is_some());
    // The receipt is from the first receive, and the message was received again since.
    assert_eq!(change(10).unwrap_err().code, "InvalidParameterValue");
}

#[test]
fn a_delayed_message_waits() {
    let queues = queues();
    call(&queues, "SendMessage", json!({"MessageBody": "a", "DelaySeconds": 5})).unwrap();
    assert_eq!(receive(&queues), None);
    assert_eq!(attribute(&queues, "ApproximateNumberOfMessagesDelayed"), "1");
    queues.clock.advance(Duration::from_secs(5));
    assert!(receive(&queues).is_some());
}

#[test]
fn attributes_come_when_asked_for() {
    let queues = queues();
    let attributes = json!({"reason": {"DataType": "String", "StringValue": "malformed"}});
    let sent = call(
        &queues,
        "SendMessage",
        json!({"MessageBody": "Information about the largest city in Any Region.",
        "MessageAttributes": attributes}),
    )
    .unwrap();
    assert_eq!(sent["MD5OfMessageBody"], "51b0a3256d59467f973009b739163aa0");
    // Computed from the algorithm in the SQS Developer Guide, in Python.
    assert_eq!(sent["MD5OfMessageAttributes"], "cae1a1b1e2776295971f62324d11b1c4");
    assert_eq!(receive(&queues).unwrap().get("MessageAttributes"), None);
    queues.clock.advance(Duration::from_mins(1));

    let asked = json!({"MessageAttributeNames": ["rea.*"], "MessageSystemAttributeNames": ["ApproximateReceiveCount"]});
    let received = &call(&queues, "ReceiveMessage", asked).unwrap()["Messages"][0];
    assert_eq!(received["MessageAttributes"], attributes);
    assert_eq!(received["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"]);
    assert_eq!(received["Attributes"], json!({"ApproximateReceiveCount": "2"}));
}

#[test]
fn what_sqs_refuses_is_an_error() {
    let queues = queues();
    let nowhere = json!({"QueueUrl": "http://127.0.0.1/111122223333/work"});
    assert_eq!(queues.call(HERE, "ReceiveMessage", &nowhere).unwrap_err().code, "QueueDoesNotExist");
    for (operation, input, message) in [
        (
            "CreateQueue",
            json!({}),
            "UnknownOperationException (400): the simulator does not know the operation sqs:CreateQueue",
        ),
        ("SendMessage", json!({}), "MissingParameter (400): The request must contain the parameter MessageBody."),
        (
            "SendMessage",
            json!({"MessageBody": "a", "DelaySeconds": 901}),
            "InvalidParameterValue (400): Value 901 for parameter DelaySeconds is invalid. Reason: Must be between 0 and 900, if provided.",
        ),
        (
            "SendMessage",
            json!({"MessageBody": 1}),
            "SerializationException (400): invalid type: integer `1`, expected a string",
        ),
        (
            "ReceiveMessage",
            json!({"MaxNumberOfMessages": 11}),
            "InvalidParameterValue (400): Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            "DeleteMessage",
            json!({"ReceiptHandle": "a"}),
            "ReceiptHandleIsInvalid (404): The input receipt handle \"a\" is not a valid receipt handle.",
        ),
        (
            "GetQueueAttributes",
            json!({"AttributeNames": ["Size"]}),
            "InvalidAttributeName (400): Unknown Attribute Size.",
        ),
    ] {
        assert_eq!(call(&queues, operation, input).unwrap_err().to_string(), message);
    }
    let misspelt = call(&queues, "ReceiveMessage", json!({"MaxMessages": 1})).unwrap_err();
    assert!(misspelt.message.starts_with("unknown field `MaxMessages`"), "{misspelt}");
}

#[test]
fn queues_are_found_by_url_and_name() {
    let queues = queues();
    assert_eq!(queues.arn_of(URL).unwrap(), "arn:aws:sqs:eu-central-1:222233334444:work");
    let url = queues.call(HERE, "GetQueueUrl", &json!({"QueueName": "work"})).unwrap()["QueueUrl"].clone();
    assert_eq!(url, "https://sqs.eu-central-1.amazonaws.com/222233334444/work");
    assert_eq!(
        queues.call(HERE, "ListQueues", &json!({"QueueNamePrefix": "wo"})).unwrap(),
        json!({"QueueUrls": [url]})
    );
}

#[test]
fn a_queue_is_in_one_account_and_region() {
    let queues = queues();
    let url = json!("https://sqs.eu-central-1.amazonaws.com/222233334444/work");
    let elsewhere = Origin { region: "us-east-1", ..HERE };
    let other = Origin { account: "444455556666", ..HERE };
    let attributes =
        |from| queues.call(from, "GetQueueAttributes", &json!({"QueueUrl": url, "AttributeNames": ["All"]}));
    assert!(attributes(HERE).is_ok());
    assert_eq!(attributes(elsewhere).unwrap_err().code, "QueueDoesNotExist");
    assert_eq!(call(&queues, "GetQueueAttributes", json!({})), Ok(json!({})), "a host that names no Region");
    let by_name = |from, owner: Value| {
        let mut input = json!({"QueueName": "work"});
        if !owner.is_null() {
            input["QueueOwnerAWSAccountId"] = owner;
        }
        queues.call(from, "GetQueueUrl", &input)
    };
    assert_eq!(by_name(HERE, Value::Null).unwrap()["QueueUrl"], url);
    assert_eq!(by_name(elsewhere, Value::Null).unwrap_err().code, "QueueDoesNotExist");
    assert_eq!(by_name(other, Value::Null).unwrap_err().code, "QueueDoesNotExist");
    assert_eq!(by_name(other, json!("222233334444")).unwrap()["QueueUrl"], url);
    assert_eq!(queues.call(elsewhere, "ListQueues", &json!({})), Ok(json!({})));
    assert_eq!(queues.call(other, "ListQueues", &json!({})), Ok(json!({})));
}

#[test]
fn queues_are_listed_in_pages_to_who_asks_for_pages() {
    let queues = queues();
    let (mut names, mut input) = (Vec::new(), json!({"MaxResults": 1}));
    loop {
        let page = queues.call(HERE, "ListQueues", &input).unwrap();
        names.extend(page["QueueUrls"].as_array().unwrap().iter().cloned());
        match page.get("NextToken") {
            Some(token) => input["NextToken"] = token.clone(),
            None => break,
        }
    }
    let all = queues.call(HERE, "ListQueues", &json!({})).unwrap();
    assert_eq!((json!(names), all.get("NextToken")), (all["QueueUrls"].clone(), None));
    let error = queues.call(HERE, "ListQueues", &json!({"MaxResults": 1001})).unwrap_err();
    assert_eq!(error.code, "InvalidParameterValue");
}

#[test]
fn attributes_are_set_and_a_policy_is_removed_with_an_empty_one() {
    let queues = queues();
    let set = |name: &str, value: &str| call(&queues, "SetQueueAttributes", json!({"Attributes": {name: value}}));
    let policy = r#"{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}}"#;
    set("Policy", policy).unwrap();
    assert_eq!(attribute(&queues, "Policy"), json!(policy), "as it was written");
    set("Policy", "").unwrap();
    assert_eq!(attribute(&queues, "Policy"), Value::Null);
    let stale = Origin { staleness: 1, ..HERE };
    let input = json!({"QueueUrl": URL, "AttributeNames": ["Policy"]});
    assert_eq!(queues.call(stale, "GetQueueAttributes", &input).unwrap()["Attributes"]["Policy"], json!(policy));
    set("VisibilityTimeout", "77").unwrap();
    assert_eq!(attribute(&queues, "VisibilityTimeout"), json!("77"));
    for (name, value, code) in [
        ("Policy", "{}", "InvalidAttributeValue"),
        ("Policy", "nonsense", "InvalidAttributeValue"),
        ("VisibilityTimeout", "43201", "InvalidAttributeValue"),
        ("Polcy", "", "InvalidAttributeName"),
    ] {
        assert_eq!(set(name, value).unwrap_err().code, code, "{name}={value}");
    }
    call(&queues, "SendMessage", json!({"MessageBody": "a"})).unwrap();
    call(&queues, "PurgeQueue", json!({})).unwrap();
    assert_eq!(receive(&queues), None);
}
