//! The templates as they are deployed. In place of the functions, which run in `tests/end_to_end`, each queue invokes the
//! tiny function of the Lambda tests: it fails for messages with `fail` in them and crashes on `crash`.

mod buses;

use serde_json::json;
use time::macros::format_description;

use super::roles::Roles;
use super::stacks::TEMPLATES;
use super::*;
use crate::aws::{NewAccount, Password, Role, SignIn, Watch};
use crate::clock::Clock;
use crate::event_buses::{DeliveryOutcome, EventBuses};
use crate::lambda::tests::tiny_program;
use crate::organization::{LoginProfile, Organization};
use crate::policy::{ResourcePolicy, TrustPolicy};
use crate::template::{Stack, Template};

/// Both stacks in a small organization, and its queues.
fn stacks() -> (Stacks, Queues) {
    let aws = Aws::new(Organization::sample(30).unwrap(), Clock::default());
    let options = Options::new("http://127.0.0.1:9");
    (Stacks::create(&aws, &options).unwrap(), aws.queues().clone())
}

fn deployment() -> Deployment {
    let aws = Aws::new(Organization::sample(30).unwrap(), Clock::default());
    let options = Options::new("http://127.0.0.1:9");
    let stacks = Stacks::create(&aws, &options).unwrap();
    Deployment::create(&aws, &options, stacks, |_| Ok(tiny_program())).unwrap()
}

/// An event that reaches account-joined, with some words for the tiny function.
fn joined(words: &str) -> Value {
    let mut event = sample("organizations-account-joined-created");
    event["detail"]["words"] = json!(words);
    event
}

fn sample(name: &str) -> Value {
    let path = format!("{}/fixtures/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn queue(stacks: &Stacks, name: &str) -> String {
    let Stack { account, region, .. } = &stacks.stack;
    format!("arn:aws:sqs:{region}:{account}:unroot-{name}")
}

fn bodies(queues: &Queues, arn: &str) -> Vec<Value> {
    queues.messages(arn).iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
}

#[test]
fn events_about_new_accounts_reach_the_queue_of_account_joined_and_no_others_do() {
    let mut reached = Vec::new();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/events")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".json") else {
            continue;
        };
        let (stacks, queues) = stacks();
        let event = sample(name);
        stacks.put_event(Bus::Default, &event);
        if let [body] = bodies(&queues, &queue(&stacks, "account-joined")).as_slice() {
            assert_eq!(
                (&body["detail"], &body["account"], &body["region"]),
                (&event["detail"], &event["account"], &event["region"])
            );
            assert_eq!(body["id"] == event["id"], event["region"] == "eu-central-1", "{name}");
            reached.push(name.to_owned());
        }
    }
    reached.sort();
    let expected = [
        "controltower-create-managed-account-failed",
        "controltower-create-managed-account-succeeded",
        "organizations-account-joined-created",
        "organizations-account-joined-invited",
        "organizations-create-account-result-failed",
        "organizations-create-account-result-succeeded",
    ];
    assert_eq!(reached, expected);
}

#[test]
fn an_event_passes_both_rules_on_its_way() {
    let (stacks, _) = stacks();
    let event = sample("organizations-account-joined-invited");
    let deliveries = stacks.put_event(Bus::Default, &event);
    let steps: Vec<_> = deliveries.iter().map(|delivery| (&delivery.rule_arn[..], &delivery.target_arn[..])).collect();
    assert_eq!(
        steps,
        [
            (
                "arn:aws:events:us-east-1:111122223333:rule/unroot-AccountJoinedRule-SIMULATED",
                "arn:aws:events:eu-central-1:222233334444:event-bus/unroot"
            ),
            (
                "arn:aws:events:eu-central-1:222233334444:rule/unroot/unroot-AccountJoinedRule-SIMULATED",
                "arn:aws:sqs:eu-central-1:222233334444:unroot-account-joined"
            ),
        ]
    );
    assert!(deliveries.iter().all(|delivery| delivery.outcome == DeliveryOutcome::Delivered));
}

#[test]
fn an_event_of_another_account_matches_no_rule() {
    let (stacks, _) = stacks();
    let mut event = sample("organizations-account-joined-created");
    event["account"] = json!("444455556666");
    assert_eq!(stacks.put_event(Bus::Unroot, &event), []);
}

#[test]
fn an_event_that_a_policy_forbids_goes_to_the_dead_letter_queue() {
    let event = sample("organizations-account-joined-created");
    let (mut stacks, queues) = stacks();
    let account_joined = queue(&stacks, "account-joined");
    queues.set_policy(&account_joined, None).unwrap();
    let deliveries = stacks.put_event(Bus::Default, &event);
    assert!(matches!(deliveries[0].outcome, DeliveryOutcome::Delivered));
    assert!(matches!(deliveries[1].outcome, DeliveryOutcome::DeadLettered { .. }), "{deliveries:?}");
    let [dead] = &bodies(&queues, &queue(&stacks, "account-joined-dead-letters"))[..] else { panic!("not one") };
    assert_eq!(dead["detail"], event["detail"]);

    // The bus of the audit account is closed: the event stays in the management account.
    let unroot_bus_arn = stacks.unroot_bus_arn.clone();
    stacks.buses.get_mut().unwrap().policies.remove(&unroot_bus_arn);
    let deliveries = stacks.put_event(Bus::Default, &event);
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    assert!(matches!(deliveries[0].outcome, DeliveryOutcome::DeadLettered { .. }), "{deliveries:?}");
    let dead_letters = "arn:aws:sqs:us-east-1:111122223333:unroot-DeadLetterQueue-SIMULATED";
    assert_eq!(bodies(&queues, dead_letters), [event]);
}

#[test]
fn a_forwarding_role_without_the_permission_forwards_nothing() {
    let (mut stacks, _) = stacks();
    let event = sample("organizations-account-joined-created");
    let rules = stacks.buses.get_mut().unwrap().rules.values_mut().flatten();
    for target in rules.flat_map(|rule| &mut rule.targets) {
        target.role = target.role.as_ref().map(|role| Role::new(role.arn(), Vec::new()).unwrap());
    }
    let deliveries = stacks.put_event(Bus::Default, &event);
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    assert!(matches!(deliveries[0].outcome, DeliveryOutcome::DeadLettered { .. }), "{deliveries:?}");
}

/// The management account's rule would forward it, and so would one on Unroot's own bus.
#[test]
fn an_event_of_another_account_is_not_forwarded() {
    let (stacks, _) = stacks();
    let mut event = sample("organizations-account-joined-created");
    event["account"] = json!("444455556666");
    let deliveries = stacks.put_on("arn:aws:events:us-east-1:111122223333:event-bus/default", &event);
    let expected = DeliveryOutcome::DeadLettered { reason: "THIRD_ACCOUNT_HOP_DETECTED".to_owned() };
    assert_eq!(deliveries.iter().map(|delivery| &delivery.outcome).collect::<Vec<_>>(), [&expected]);
}

/// `ReceiveMessage` gives ten, Lambda's poller asks until the batch is full.
#[test]
fn a_batch_is_filled_over_several_receives() {
    let (stacks, queues) = stacks();
    let mut function = stacks.unroot.of_kind("AWS::Serverless::Function").next().unwrap().clone();
    let role = stacks.roles.for_function(function.text("/Role").unwrap()).unwrap();
    let properties = &mut function.properties["Events"]["Queue"]["Properties"];
    properties["BatchSize"] = json!(25);
    let properties = properties.clone();
    let error = EventSource::new(&function, &stacks.unroot, &role).unwrap_err().to_string();
    assert_eq!(
        error,
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    );
    function.properties["Events"]["Queue"]["Properties"] = properties;
    function.properties["Events"]["Queue"]["Properties"]["MaximumBatchingWindowInSeconds"] = json!(10);
    let source = EventSource::new(&function, &stacks.unroot, &role).unwrap().unwrap();
    for number in 0..30 {
        queues.send(&source.queue_arn, number.to_string(), serde_json::Map::new()).unwrap();
    }
    let mut sizes = Vec::new();
    while let Some(batch) = source.receive(&queues).unwrap() {
        sizes.push(batch.event["Records"].as_array().unwrap().len());
    }
    assert_eq!(sizes, [25, 5]);
}

#[test]
fn lambda_refuses_an_event_source_that_cannot_work() {
    let (stacks, _) = stacks();
    let function = stacks.unroot.of_kind("AWS::Serverless::Function").next().unwrap();
    let role = stacks.roles.for_function(function.text("/Role").unwrap()).unwrap();
    assert!(EventSource::new(function, &stacks.unroot, &role).is_ok());

    let powerless = Role::new(role.arn(), Vec::new()).unwrap();
    let error = EventSource::new(function, &stacks.unroot, &powerless).unwrap_err().to_string();
    assert!(error.contains("does not have permissions to call sqs:ReceiveMessage"), "{error}");

    let mut slow = function.clone();
    slow.properties["Timeout"] = json!(5_401);
    let error = EventSource::new(&slow, &stacks.unroot, &role).unwrap_err().to_string();
    assert_eq!(error, "queue visibility timeout: 5400 seconds is less than function timeout: 5401 seconds");
}

/// What comes of a template whose roles trust someone else: each service refuses its role when it is given it.
fn deploy_with_trust(change: impl Fn(&mut Value)) -> [Result<()>; 3] {
    let aws = Aws::new(Organization::sample(30).unwrap(), Clock::default());
    let options = Options::new("http://127.0.0.1:9");
    let mut stacks = Stacks::create(&aws, &options).unwrap();
    let stack = Stack {
        account: stacks.management_account.clone(),
        parameters: BTreeMap::from([("EventBusArn".to_owned(), stacks.unroot_bus_arn.clone())]),
        ..stacks.stack.clone()
    };
    let mut forwarding = Template::parse(TEMPLATES.management_account).unwrap().resolve(&stack).unwrap();
    for resource in stacks.unroot.resources.iter_mut().chain(&mut forwarding.resources) {
        if let Some(policy) = resource.properties.get_mut("AssumeRolePolicyDocument") {
            change(&mut policy["Statement"][0]);
        }
    }
    let (mut roles, mut buses) = (Roles::default(), EventBuses::default());
    let rule = resources::create(&forwarding, &stack, &aws, &mut roles, &mut buses);
    resources::create(&stacks.unroot, &stacks.stack, &aws, &mut roles, &mut buses).unwrap();
    let schedule = resources::schedules(&stacks.unroot, &stacks.stack, &roles);
    stacks.roles = roles;
    let function = stacks.unroot.of_kind("AWS::Serverless::Function").next().unwrap();
    let function = Deployed::new(&aws, |_| Ok(tiny_program()), &options, &stacks, function);
    [function.map(drop), schedule.map(drop), rule]
}

#[test]
fn a_service_refuses_a_role_that_does_not_trust_it() {
    let refusals = [
        "The role defined for the function cannot be assumed by Lambda.",
        "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.",
        "Provided role 'arn:aws:iam::111122223333:role/unroot-ForwardingRole-SIMULATED' cannot be assumed by principal \
         'events.amazonaws.com'.",
    ];
    for outcome in deploy_with_trust(|_| {}) {
        outcome.unwrap();
    }
    let not_trusted = deploy_with_trust(|statement| statement["Principal"]["Service"] = json!("ec2.amazonaws.com"));
    let wrong_action = deploy_with_trust(|statement| statement["Action"] = json!("sts:TagSession"));
    let wrong_account = deploy_with_trust(|statement| {
        statement["Condition"] = json!({"StringEquals": {"aws:SourceAccount": "333344445555"}});
    });
    for outcomes in [not_trusted, wrong_action, wrong_account] {
        let errors = outcomes.map(|outcome| format!("{:#}", outcome.unwrap_err()));
        for (error, refusal) in errors.iter().zip(refusals) {
            assert!(error.ends_with(refusal), "{error}");
        }
    }
}

#[test]
fn a_service_says_for_whom_it_assumes_a_role() {
    let [_, schedule, rule] = deploy_with_trust(|statement| {
        statement["Condition"] = json!({"ArnLike": {"aws:SourceArn": [
            "arn:aws:scheduler:eu-central-1:222233334444:schedule-group/default",
            "arn:aws:events:eu-central-1:111122223333:rule/unroot-*-SIMULATED",
        ]}});
    });
    schedule.unwrap();
    rule.unwrap();
}

#[test]
fn the_schedule_requests_an_audit_of_everything() {
    let (stacks, queues) = stacks();
    for schedule in resources::schedules(&stacks.unroot, &stacks.stack, &stacks.roles).unwrap() {
        schedule.fire(&queues).unwrap();
    }
    assert_eq!(
        bodies(&queues, &queue(&stacks, "scheduled-audit")),
        [json!({"everything": true, "trigger": "Schedule"})]
    );
}

#[tokio::test]
async fn settling_carries_out_what_the_schedule_and_events_ask_for() {
    let deployment = deployment();
    deployment.fire_schedules().unwrap();
    deployment.put_event(Bus::Default, &joined("all is well"));
    deployment.settle().await.unwrap();
    for function in ["scheduled-audit", "account-joined"] {
        assert_eq!(deployment.outcomes(function).unwrap(), [Ok(json!({"batchItemFailures": []}))], "{function}");
        assert!(deployment.waiting(function).unwrap().is_empty(), "{function}");
        assert!(deployment.dead_letters(function).unwrap().is_empty(), "{function}");
    }
}

#[tokio::test]
async fn a_message_that_keeps_failing_ends_in_the_dead_letter_queue_and_takes_no_other_along() {
    let deployment = deployment();
    let start = deployment.aws.clock().now();
    deployment.put_event(Bus::Default, &joined("fail"));
    deployment.put_event(Bus::Default, &joined("all is well"));
    deployment.settle().await.unwrap();
    let dead = deployment.dead_letters("account-joined").unwrap();
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert!(dead[0].body.contains("fail"));
    // As often as the template says, and each time the visibility timeout passed.
    assert_eq!(deployment.outcomes("account-joined").unwrap().len(), 15);
    assert!(deployment.aws.clock().now() - start > Duration::from_hours(3));
}

#[tokio::test]
async fn a_crash_loses_no_message() {
    let deployment = deployment();
    deployment.put_event(Bus::Default, &joined("crash"));
    deployment.put_event(Bus::Default, &joined("all is well"));
    deployment.settle().await.unwrap();
    let outcomes = deployment.outcomes("account-joined").unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().error_type == "Runtime.ExitError"));
    assert_eq!(deployment.dead_letters("account-joined").unwrap().len(), 2);
}

#[tokio::test]
async fn another_program_stands_in_for_one_function() {
    let aws = Aws::new(Organization::sample(30).unwrap(), Clock::default());
    let nonexistent = || Program::Binary(Binary { path: "/nonexistent/program".into(), arguments: Vec::new() });
    let create = |options: &Options| {
        let stacks = Stacks::create(&aws, options).unwrap();
        Deployment::create(&aws, options, stacks, |_| Ok(tiny_program()))
    };
    let options = Options::new("http://127.0.0.1:9").with_program("account-joined", nonexistent());
    let deployment = create(&options).unwrap();
    assert!(deployment.invoke("scheduled-audit", &json!("describe")).await.unwrap().is_ok());
    let error = deployment.invoke("account-joined", &json!("describe")).await.unwrap().unwrap_err().to_string();
    assert!(error.starts_with("Runtime.InvalidEntrypoint"), "{error}");

    let error = create(&options.with_program("account-left", nonexistent())).unwrap_err().to_string();
    assert_eq!(error, "template.yaml has no function `account-left`");
}

/// Time passes until the last event that is due, and no longer.
#[tokio::test]
async fn settling_waits_for_the_events_that_are_due() {
    let deployment = deployment();
    deployment.aws.watch(Watch::in_regions(&["eu-north-1", "eu-central-1"]));
    let mut root = deployment.aws.root_user(&deployment.aws.management_account());
    deployment.aws.with_organization(|organization| {
        let account = organization.accounts.get_mut(&organization.management_account).unwrap();
        account.root.login_profile = Some(LoginProfile { create_date: account.joined_at });
    });
    assert_eq!(root.sign_in(Password::Right), SignIn::Success);
    root.call("monitoring", "DescribeAlarms", "eu-north-1").unwrap();
    let start = deployment.aws.clock().now();
    deployment.settle().await.unwrap();
    let took = deployment.aws.clock().now() - start;
    assert!(took > Duration::from_secs(290) && took < Duration::from_secs(310), "{took}");
    assert_eq!(deployment.aws.next_due(), None);
}

/// A role that the Scheduler may assume, and a schedule that sends to the queue of account-joined in an hour.
fn schedule_in_an_hour(deployment: &Deployment) {
    let Stack { account, region, .. } = &deployment.stacks.stack;
    let role = format!("arn:aws:iam::{account}:role/one-time");
    let trust = json!({"Statement": {
        "Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole",
    }});
    let send = json!({"Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}});
    let trusting = Role::new(&role, vec![send.try_into().unwrap()]).unwrap();
    deployment.aws.create_role(trusting.trusting(TrustPolicy::parse(&trust).unwrap()));
    let time = deployment.aws.clock().now() + Duration::from_hours(1);
    let format = format_description!("at([year]-[month]-[day]T[hour]:[minute]:[second])");
    let expression = time.format(format).unwrap();
    let definition = json!({
        "Name": "once",
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": queue(&deployment.stacks, "account-joined"), "RoleArn": role, "Input": "\"from a schedule\""},
        "ActionAfterCompletion": "DELETE",
    });
    deployment.aws.create_schedule(&account.parse().unwrap(), region, &definition).unwrap();
}

#[tokio::test]
async fn settling_fires_the_schedules_that_are_due_and_waits_for_no_other() {
    let deployment = deployment();
    schedule_in_an_hour(&deployment);
    let start = deployment.aws.clock().now();
    deployment.settle().await.unwrap();
    assert!(deployment.aws.clock().now() - start < Duration::from_mins(1));
    assert_eq!(deployment.outcomes("account-joined").unwrap().len(), 0);
    deployment.aws.clock().advance(Duration::from_hours(1));
    deployment.settle().await.unwrap();
    assert_eq!(deployment.outcomes("account-joined").unwrap().len(), 1);
    assert_eq!(deployment.aws.schedules(), []);

    schedule_in_an_hour(&deployment);
    let role = Role::new("arn:aws:iam::222233334444:role/one-time", Vec::new()).unwrap();
    deployment.aws.create_role(role);
    deployment.aws.clock().advance(Duration::from_hours(1));
    let error = deployment.settle().await.unwrap_err().to_string();
    assert!(error.starts_with("the schedule `once` is lost: the Scheduler cannot assume the role"), "{error}");
}

/// Its credentials would have expired.
#[tokio::test]
async fn an_environment_ends_when_a_test_advances_the_clock() {
    let deployment = deployment();
    let process =
        async || deployment.invoke("account-joined", &json!("describe")).await.unwrap().unwrap()["process"].clone();
    let first = process().await;
    assert_eq!(process().await, first);
    deployment.aws.clock().advance(Duration::from_hours(13));
    assert_ne!(process().await, first);
}

#[tokio::test]
async fn a_function_without_a_queue_is_only_invoked() {
    let mut deployment = deployment();
    let function = deployment.stacks.unroot.of_kind("AWS::Serverless::Function");
    let mut function = function.into_iter().next().unwrap().clone();
    function.properties.as_object_mut().unwrap().remove("Events");
    let options = Options::new("http://127.0.0.1:9");
    let deployed = Deployed::new(&deployment.aws, |_| Ok(tiny_program()), &options, &deployment.stacks, &function);
    let (name, deployed) = deployed.unwrap();
    deployment.functions.insert(name.clone(), deployed);
    deployment.settle().await.unwrap();
    assert!(deployment.invoke(&name, &json!("describe")).await.unwrap().is_ok());
    let error = deployment.waiting(&name).unwrap_err().to_string();
    assert_eq!(error, format!("the function `{name}` has no queue"));
}

#[test]
fn a_managed_policy_is_referred_to_by_its_arn() {
    let template = "
Resources:
  Invoke:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Description: Lets people invoke the function.
      PolicyDocument:
        Version: '2012-10-17'
        Statement: [{Effect: Allow, Action: 'lambda:InvokeFunction', Resource: '*'}]
Outputs:
  Invoke: {Value: !Ref Invoke}
";
    let aws = Aws::new(Organization::sample(30).unwrap(), Clock::default());
    let stack = Stack { parameters: BTreeMap::new(), ..stacks().0.stack };
    let create = |template: &str| {
        let resolved = Template::parse(template)?.resolve(&stack)?;
        let (mut roles, mut buses) = (Roles::default(), EventBuses::default());
        resources::create(&resolved, &stack, &aws, &mut roles, &mut buses)?;
        anyhow::Ok(resolved.outputs)
    };
    let outputs = create(template).unwrap();
    assert_eq!(outputs["Invoke"], "arn:aws:iam::222233334444:policy/unroot-Invoke-SIMULATED");
    assert!(create(&template.replace("Effect: Allow", "Effect: Permit")).is_err());
    assert!(create(&template.replace("Description:", "Users:")).is_err());
}

#[tokio::test]
async fn what_never_ends_fails_and_says_what_keeps_coming() {
    let deployment = deployment();
    deployment.put_event(Bus::Default, &joined("fail"));
    let joined = deployment.aws.create_account(NewAccount::default());
    let error = deployment.settle_within(Duration::from_mins(10)).await.unwrap_err().to_string();
    let expected = format!(
        "no rest after 10 simulated minutes: 1 messages hide in the queue of `account-joined`; events that came: \
         1 x AWS Service Event via CloudTrail AccountJoinedOrganization of {management} in us-east-1, \
         1 x AWS Service Event via CloudTrail CreateAccountResult of {management} in us-east-1",
        management = deployment.aws.management_account()
    );
    assert_eq!(error, expected, "{joined}");
}

#[tokio::test]
async fn a_reset_leaves_nothing_behind() {
    let deployment = deployment();
    deployment.put_event(Bus::Default, &joined("fail"));
    deployment.settle().await.unwrap();
    deployment.put_event(Bus::Default, &joined("fail"));
    deployment.reset().await;
    deployment.settle().await.unwrap();
    assert!(deployment.outcomes("account-joined").unwrap().is_empty());
    assert!(deployment.dead_letters("account-joined").unwrap().is_empty());
    assert!(deployment.logs("account-joined").unwrap().is_empty());
    assert!(deployment.deliveries().is_empty());
}

/// What a function would say of an account.
fn alert(detail_type: &str) -> Value {
    json!({
        "version": "0",
        "id": "00000000-0000-4000-8000-000000000001",
        "detail-type": detail_type,
        "source": "unroot",
        "account": "222233334444",
        "time": "2026-11-21T06:00:00Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": {"headline": "a headline", "notify": true, "account": {"id": "444455556666", "name": "Shop"}},
    })
}

fn texts(stacks: &Stacks, topic: &str) -> Vec<String> {
    stacks.published(topic).unwrap().into_iter().map(|message| message.text).collect()
}

#[test]
fn an_alert_is_mailed_if_it_is_ours_and_wants_to_be() {
    let mut quiet = alert("Root Credentials Found");
    quiet["detail"]["notify"] = json!(false);
    let mut forwarded = alert("Root Credentials Found");
    forwarded["account"] = json!("111122223333");
    let mut other = alert("Root Credentials Found");
    other["source"] = json!("other");
    let (stacks, _) = stacks();
    for event in [quiet, forwarded, other, alert("Root Credentials Imagined")] {
        assert_eq!(stacks.put_event(Bus::Unroot, &event), []);
    }
    let deliveries = stacks.put_event(Bus::Unroot, &alert("Root Credentials Found"));
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    assert_eq!(deliveries[0].outcome, DeliveryOutcome::Delivered);
    let texts = texts(&stacks, "AlertTopic");
    assert_eq!(texts.len(), 1);
    assert!(texts[0].starts_with("\"UNROOT: a headline\"\n\"Account: Shop (444455556666)\"\n"), "{}", texts[0]);
    assert!(stacks.published("ChatTopic").is_err(), "there is none unless it is wanted");
}

#[test]
fn an_alert_that_a_topic_does_not_take_goes_to_the_dead_letter_queue() {
    let event = alert("Root Credentials Found");
    let (mut stacks, queues) = stacks();
    let topic = "arn:aws:sns:eu-central-1:222233334444:unroot-AlertTopic-SIMULATED";
    let policy = stacks.buses.get_mut().unwrap().policies.remove(topic).unwrap();
    let deliveries = stacks.put_event(Bus::Unroot, &event);
    assert!(matches!(deliveries[0].outcome, DeliveryOutcome::DeadLettered { .. }), "{deliveries:?}");
    assert_eq!(bodies(&queues, &queue(&stacks, "alert-dead-letters")), std::slice::from_ref(&event));

    // Who relies on a condition lets in nobody.
    let only_ours = json!({"Statement": [{
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": "222233334444"}},
    }]});
    stacks.buses.get_mut().unwrap().policies.insert(topic.to_owned(), ResourcePolicy::parse(&only_ours).unwrap());
    let deliveries = stacks.put_event(Bus::Unroot, &event);
    assert!(matches!(deliveries[0].outcome, DeliveryOutcome::DeadLettered { .. }), "{deliveries:?}");
    assert!(texts(&stacks, "AlertTopic").is_empty());

    stacks.buses.get_mut().unwrap().policies.insert(topic.to_owned(), policy);
    stacks.put_event(Bus::Unroot, &event);
    assert_eq!(texts(&stacks, "AlertTopic").len(), 1);
}
