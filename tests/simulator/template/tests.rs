use super::*;

const TEMPLATE: &str = include_str!("../../../template.yaml");

fn stack(parameters: &[(&str, &str)]) -> Stack {
    Stack {
        name: "unroot".to_owned(),
        account: "222233334444".to_owned(),
        region: "eu-central-1".to_owned(),
        parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

/// Resolves our template with the management account and the further parameters.
fn ours(parameters: &[(&str, &str)]) -> Resolved {
    let mut stack = stack(parameters);
    stack.parameters.insert("ManagementAccountId".to_owned(), "111122223333".to_owned());
    Template::parse(TEMPLATE).unwrap().resolve(&stack).unwrap()
}

fn resource<'a>(resolved: &'a Resolved, logical_id: &str) -> &'a Resource {
    resolved.resources.iter().find(|resource| resource.logical_id == logical_id).unwrap()
}

/// Resolves the property `P` of a lone resource and returns it or the whole chain of errors.
fn property(yaml: &str) -> Result<Value, String> {
    let template = format!(
        "Parameters: {{List: {{Type: CommaDelimitedList}}}}\n\
         Conditions: {{Always: !Equals [a, a], Never: !Not [!Condition Always]}}\n\
         Resources:\n\
         \x20 Queue: {{Type: AWS::SQS::Queue}}\n\
         \x20 Topic: {{Type: AWS::SNS::Topic}}\n\
         \x20 Bucket: {{Type: AWS::S3::Bucket}}\n\
         \x20 Other: {{Type: AWS::Other, Properties: {{P: {yaml}}}}}\n"
    );
    let resolved = Template::parse(&template).and_then(|template| template.resolve(&stack(&[("List", "a,b")])));
    let resolved = resolved.map_err(|error| format!("{error:#}"))?;
    Ok(resource(&resolved, "Other").properties.clone())
}

#[test]
fn functions_resolve_as_cloudformation_documents_them() {
    for (yaml, expected) in [
        ("!Ref List", json!({"P": ["a", "b"]})),
        ("!Ref AWS::NoValue", json!({})),
        ("[1, !Ref AWS::NoValue]", json!({"P": [1]})),
        ("!Ref Queue", json!({"P": "https://sqs.eu-central-1.amazonaws.com/222233334444/unroot-Queue-SIMULATED"})),
        ("!GetAtt Queue.Arn", json!({"P": "arn:aws:sqs:eu-central-1:222233334444:unroot-Queue-SIMULATED"})),
        ("!Ref Topic", json!({"P": "arn:aws:sns:eu-central-1:222233334444:unroot-Topic-SIMULATED"})),
        ("!GetAtt Topic.TopicName", json!({"P": "unroot-Topic-SIMULATED"})),
        (
            "!Sub '${Bucket} ${Bucket.Arn}/*'",
            json!({"P": "unroot-bucket-simulated arn:aws:s3:::unroot-bucket-simulated/*"}),
        ),
        ("{Fn::GetAtt: [Queue, QueueName]}", json!({"P": "unroot-Queue-SIMULATED"})),
        (
            "!Sub 'a ${AWS::Region} ${Queue.QueueName} ${!Literal}'",
            json!({"P": "a eu-central-1 unroot-Queue-SIMULATED ${Literal}"}),
        ),
        ("!Sub ['${X}-${X}', {X: !Join ['/', !Ref List]}]", json!({"P": "a/b-a/b"})),
        ("!If [Always, yes, no]", json!({"P": "yes"})),
        ("!If [Never, yes, !Ref AWS::NoValue]", json!({})),
        ("!Split [',', 'a,b']", json!({"P": ["a", "b"]})),
        ("!Select [1, !Ref List]", json!({"P": "b"})),
        (
            "{Version: 2012-10-17, Condition: {Bool: {a: 'true'}}}",
            json!({"P": {"Version": "2012-10-17", "Condition": {"Bool": {"a": "true"}}}}),
        ),
    ] {
        assert_eq!(property(yaml), Ok(expected), "{yaml}");
    }
}

#[test]
fn what_it_does_not_know_is_named() {
    for (yaml, message) in [
        (
            "!Cidr [a]",
            "at `Resources`: at `Other`: at `Properties`: at `P`: the simulator does not know the function `!Cidr`",
        ),
        (
            "{Fn::Cidr: [a]}",
            "in the resource `Other`: at `P`: in `Fn::Cidr`: the simulator does not know the function `Fn::Cidr` of [\"a\"]",
        ),
        ("!Ref Nothing", "in the resource `Other`: at `P`: in `Ref`: there is no parameter or resource `Nothing`"),
        (
            "!Ref Other",
            "in the resource `Other`: at `P`: in `Ref`: the simulator does not know what a reference to a `AWS::Other` returns",
        ),
        (
            "!Ref AWS::StackId",
            "in the resource `Other`: at `P`: in `Ref`: the simulator does not know the pseudo parameter `AWS::StackId`",
        ),
        (
            "!GetAtt Queue.Size",
            "in the resource `Other`: at `P`: in `Fn::GetAtt`: the simulator does not know the attribute `Size` of a `AWS::SQS::Queue`",
        ),
        ("!If [Sometimes, a, b]", "in the resource `Other`: at `P`: in `Fn::If`: there is no condition `Sometimes`"),
    ] {
        assert_eq!(property(yaml), Err(message.to_owned()), "{yaml}");
    }
}

#[test]
fn parameters_are_refused_as_cloudformation_refuses_them() {
    let template = Template::parse(TEMPLATE).unwrap();
    for (parameters, message) in [
        (&[][..], "the parameter `ManagementAccountId` needs a value"),
        (
            &[("ManagementAccountId", "1111")],
            "the parameter `ManagementAccountId` is `1111`: must be an account id of twelve digits",
        ),
        (
            &[("ManagementAccountId", "111122223333"), ("Mode", "Delete")],
            "the parameter `Mode` is `Delete`: must be one of [\"Audit\",\"Enforce\"]",
        ),
        (
            &[("ManagementAccountId", "111122223333"), ("Concurrency", "401")],
            "the parameter `Concurrency` is `401`: is more than MaxValue",
        ),
        (
            &[("ManagementAccountId", "111122223333"), ("ExemptAccountIds", "444455556666,x")],
            "the parameter `ExemptAccountIds` is `444455556666,x`: must be account ids of twelve digits, separated by commas and without spaces",
        ),
        (&[("Nothing", "1")], "the template has no parameter `Nothing`"),
    ] {
        let error = template.resolve(&stack(parameters)).unwrap_err();
        assert_eq!(format!("{error:#}"), message);
    }
}

#[test]
fn a_function_gets_the_globals_and_its_own_settings() {
    let resolved = ours(&[]);
    let function = resource(&resolved, "ScheduledAuditFunction");
    assert_eq!(function.text("/Runtime").unwrap(), "provided.al2023");
    assert_eq!(function.number("/Timeout"), Some(900));
    assert_eq!(function.text("/Environment/Variables/MODE").unwrap(), "Audit");
    assert_eq!(
        function.text("/Environment/Variables/QUEUE_URL").unwrap(),
        "https://sqs.eu-central-1.amazonaws.com/222233334444/unroot-scheduled-audit"
    );
    assert_eq!(function.metadata.pointer("/BuildProperties/Binary"), Some(&json!("scheduled-audit")));
    assert_eq!(resolved.outputs["EventBusArn"], "arn:aws:events:eu-central-1:222233334444:event-bus/unroot");
}

#[test]
fn what_a_condition_excludes_is_not_there() {
    for (parameters, expected) in [(&[][..], false), (&[("ChatNotifications", "Enabled")], true)] {
        let resolved = ours(parameters);
        let is_topic = |resource: &Resource| resource.logical_id == "ChatTopic";
        assert_eq!(resolved.resources.iter().any(is_topic), expected);
        assert_eq!(resolved.outputs.contains_key("ChatTopicArn"), expected);
    }
}

#[test]
fn globals_are_merged_as_sam_documents_it() {
    let globals = json!({"Timeout": 1, "Layers": ["a"], "Environment": {"Variables": {"A": {"Ref": "X"}, "B": "2"}}});
    let own = json!({"Timeout": 3, "Layers": ["b"], "Environment": {"Variables": {"A": "1", "C": "3"}}});
    let merged =
        json!({"Timeout": 3, "Layers": ["a", "b"], "Environment": {"Variables": {"A": "1", "B": "2", "C": "3"}}});
    assert_eq!(with_globals(&globals, own), merged);
}
