//! How events come from any account and Region to Unroot's bus, by small templates that do nothing else.

use crate::event_buses::RuleState;

use super::super::stacks::Templates;
use super::*;

const QUEUE: &str = "arn:aws:sqs:eu-central-1:222233334444:unroot-events";
const MEMBER: &str = "123412341234";
const OUTSIDER: &str = "432143214321";

/// The bus takes the events of the organization only, and its rule sends all to a queue.
const UNROOT: &str = r#"
Parameters:
  ManagementAccountId: {Type: String}
  OrganizationId: {Type: String}
Resources:
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: unroot}}
  BusPolicy:
    Type: AWS::Events::EventBusPolicy
    Properties:
      EventBusName: !Ref Bus
      StatementId: OnlyTheOrganization
      Statement:
        Effect: Allow
        Principal: "*"
        Action: events:PutEvents
        Resource: !GetAtt Bus.Arn
        Condition: {StringEquals: {aws:PrincipalOrgID: !Ref OrganizationId}}
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: unroot-events}}
  QueuePolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Queue]
      PolicyDocument: {Statement: [{Effect: Allow, Principal: "*", Action: sqs:SendMessage, Resource: "*"}]}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      State: ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS
      EventPattern: {detail-type: [{exists: true}]}
      Targets: [{Id: queue, Arn: !GetAtt Queue.Arn}]
Outputs:
  EventBusArn: {Value: !GetAtt Bus.Arn}
"#;

/// Forwards everything.
const FORWARDING: &str = r"
Parameters:
  EventBusArn: {Type: String}
Resources:
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: {detail-type: [{exists: true}]}
      Targets: [{Id: unroot, Arn: !Ref EventBusArn, RoleArn: !GetAtt Role.Arn}]
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: sts:AssumeRole}]
      Policies:
        - PolicyName: forward
          PolicyDocument: {Statement: [{Effect: Allow, Action: events:PutEvents, Resource: !Ref EventBusArn}]}
";

const TEMPLATES: Templates = Templates {
    unroot: UNROOT,
    management_account: FORWARDING,
    member_accounts: FORWARDING,
    audit_account_regions: FORWARDING,
};

/// The stacks in an organization with the member.
fn world() -> (Aws, Stacks) {
    let aws = Aws::new(Organization::sample(30).unwrap(), Clock::default());
    aws.create_account(NewAccount { id: Some(MEMBER.parse().unwrap()), ..NewAccount::default() });
    let stacks = Stacks::from_templates(&aws, &Options::new(""), TEMPLATES).unwrap();
    (aws, stacks)
}

fn event(account: &str, region: &str, read_only: bool) -> Value {
    json!({
        "id": "abc-12",
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.iam",
        "account": account,
        "time": "2026-11-15T00:00:00Z",
        "region": region,
        "detail": {"eventSource": "iam.amazonaws.com", "eventName": "GetUser", "readOnly": read_only, "managementEvent": true},
    })
}

/// What becomes of an event on each of its targets.
fn route(stacks: &Stacks, event: &Value) -> Vec<String> {
    let deliveries = stacks.put_event(Bus::Default, event);
    let step = |delivery: &Delivery| match &delivery.outcome {
        DeliveryOutcome::Delivered => delivery.target_arn.split(':').nth(5).unwrap().to_owned(),
        DeliveryOutcome::DeadLettered { reason } | DeliveryOutcome::Lost { reason } => {
            reason.split(';').next().unwrap().to_owned()
        }
    };
    deliveries.iter().map(step).collect()
}

const ARRIVES: [&str; 2] = ["event-bus/unroot", "unroot-events"];

#[test]
fn events_come_from_each_account_and_region_that_has_a_template() {
    let (_, stacks) = world();
    for (account, region, arrives) in [
        ("111122223333", "us-east-1", true),
        ("111122223333", "us-west-2", true),
        ("111122223333", "eu-west-1", true),
        ("111122223333", "eu-north-1", false),
        (MEMBER, "us-east-1", true),
        (MEMBER, "us-east-2", true),
        (MEMBER, "us-west-2", true),
        (MEMBER, "eu-west-1", false),
        (OUTSIDER, "us-east-1", false),
        ("222233334444", "eu-north-1", true),
        ("222233334444", "ap-south-1", false),
    ] {
        let steps = route(&stacks, &event(account, region, false));
        assert_eq!(steps, if arrives { &ARRIVES[..] } else { &[] }, "{account} in {region}");
    }
    // The stack set and the template of the other Regions both forward from here.
    let steps = route(&stacks, &event("222233334444", "us-east-1", false));
    assert_eq!(steps, [ARRIVES, ARRIVES].concat());
}

#[test]
fn a_member_has_the_stack_as_long_as_it_is_one() {
    let (aws, stacks) = world();
    let event = event(MEMBER, "us-east-2", false);
    assert_eq!(route(&stacks, &event), ARRIVES);
    let account = MEMBER.parse().unwrap();
    let left = aws.with_organization(|organization| organization.accounts.remove(&account)).unwrap();
    assert!(route(&stacks, &event).is_empty());
    aws.with_organization(|organization| organization.accounts.insert(account, left));
    assert_eq!(route(&stacks, &event), ARRIVES);
}

#[test]
fn ten_thousand_members_cost_nothing_before_their_events_come() {
    let aws = Aws::new(Organization::sample(10_000).unwrap(), Clock::default());
    let stacks = Stacks::from_templates(&aws, &Options::new(""), TEMPLATES).unwrap();
    let rules = stacks.buses.into_inner().unwrap().rules;
    assert!(rules.values().map(Vec::len).sum::<usize>() < 20, "{:?}", rules.keys());
}

#[test]
fn the_bus_of_another_account_must_let_the_organization_in() {
    let aws = Aws::new(Organization::sample(30).unwrap(), Clock::default());
    let options = Options::new("").with_parameter("OrganizationId", "o-someother01");
    let stacks = Stacks::from_templates(&aws, &options, TEMPLATES).unwrap();
    let steps = route(&stacks, &event("111122223333", "us-east-1", false));
    assert!(
        steps[0].starts_with("the policy of `arn:aws:events:eu-central-1:222233334444:event-bus/unroot`"),
        "{steps:?}"
    );
    // In the account itself the policy need not say so, but it may forbid it.
    let event = event("222233334444", "eu-north-1", false);
    assert_eq!(route(&stacks, &event), ARRIVES);
    let deny =
        json!({"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "events:PutEvents", "Resource": "*"}]});
    let bus = stacks.unroot_bus_arn.clone();
    lock(&stacks.buses).policies.entry(bus).or_default().extend(ResourcePolicy::parse(&deny).unwrap());
    assert!(route(&stacks, &event)[0].starts_with("the policy of"));
}

#[test]
fn a_role_must_allow_what_the_rule_of_its_own_account_forwards() {
    let (_, stacks) = world();
    for target in lock(&stacks.buses).rules.values_mut().flatten().flat_map(|rule| &mut rule.targets) {
        target.role = target.role.as_ref().map(|role| Role::new(role.arn(), Vec::new()).unwrap());
    }
    let steps = route(&stacks, &event("222233334444", "eu-north-1", false));
    assert!(steps[0].contains("may not put events"), "{steps:?}");
}

/// Also within one account, and whatever the Regions are.
#[test]
fn an_event_is_forwarded_once() {
    let (_, stacks) = world();
    let forwarding = "arn:aws:events:eu-north-1:222233334444:event-bus/default";
    let further = |third: &str| {
        let mut buses = lock(&stacks.buses);
        let mut rule = buses.rules[forwarding][0].clone();
        rule.arn = "arn:aws:events:eu-central-1:222233334444:rule/unroot/further".to_owned();
        rule.state = RuleState::Enabled;
        for target in &mut rule.targets {
            third.clone_into(&mut target.arn);
        }
        buses.rules.insert(stacks.unroot_bus_arn.clone(), vec![rule]);
    };
    let event = event("222233334444", "eu-north-1", false);
    further("arn:aws:events:eu-central-1:222233334444:event-bus/third");
    assert_eq!(route(&stacks, &event), ["event-bus/unroot", "THIRD_ACCOUNT_HOP_DETECTED"]);
    further("arn:aws:events:eu-west-1:222233334444:event-bus/third");
    assert_eq!(route(&stacks, &event), ["event-bus/unroot", "THIRD_REGION_HOP_DETECTED"]);
}

#[test]
fn an_event_from_another_region_has_a_new_id_and_time() {
    let (aws, stacks) = world();
    let sent = event(MEMBER, "us-east-1", false);
    stacks.put_event(Bus::Default, &sent);
    let [received] = &bodies(aws.queues(), QUEUE)[..] else { panic!("not one message") };
    assert_eq!(received["id"], "cba-21");
    assert_ne!(received["time"], sent["time"]);
    for same in ["account", "region", "detail", "source"] {
        assert_eq!(received[same], sent[same], "{same}");
    }
}

/// Both the forwarding and the receiving rule.
#[test]
fn read_only_management_events_reach_only_rules_that_want_them() {
    let (_, stacks) = world();
    let (event, read_only) = (event(MEMBER, "us-east-1", false), event(MEMBER, "us-east-1", true));
    let member = format!("arn:aws:events:us-east-1:{MEMBER}:event-bus/default");
    let set = |bus: &str, state: RuleState| {
        for rule in lock(&stacks.buses).rules.get_mut(bus).unwrap() {
            rule.state = state;
        }
    };
    assert_eq!(route(&stacks, &event), ARRIVES);
    assert_eq!(route(&stacks, &read_only), [""; 0]);
    set(&member, RuleState::EnabledWithAllCloudtrailManagementEvents);
    assert_eq!(route(&stacks, &read_only), ARRIVES);
    set(&stacks.unroot_bus_arn, RuleState::Enabled);
    assert_eq!(route(&stacks, &read_only), ARRIVES[..1]);
    assert_eq!(route(&stacks, &event), ARRIVES);
    set(&member, RuleState::Disabled);
    assert_eq!(route(&stacks, &event), [""; 0]);

    // A finding is no call, and neither is anything of our own, whatever it calls a member.
    set(&member, RuleState::Enabled);
    let mut other = read_only.clone();
    other["detail"] = json!({"readOnly": true});
    assert_eq!(route(&stacks, &other), ARRIVES);
}

#[test]
fn a_filter_is_of_one_region() {
    let template = r"
Parameters:
  EventBusArn: {Type: String}
  DetectorId: {Type: String}
Resources:
  Filter:
    Type: AWS::GuardDuty::Filter
    Properties:
      Name: root-sessions
      Action: ARCHIVE
      DetectorId: !Ref DetectorId
      FindingCriteria: {Criterion: {type: {Eq: ['Policy:IAMUser/ShortTermRootCredentialUsage']}}}
";
    let aws = Aws::new(Organization::sample(30).unwrap(), Clock::default());
    aws.watch(Watch::in_regions(&["eu-north-1", "ap-south-1"]));
    let templates = Templates { audit_account_regions: template, ..TEMPLATES };
    let options = Options::new("").with_regional_parameter("DetectorId", "f2cc276b7772d140efd9cd46c0d2e8cf");
    Stacks::from_templates(&aws, &options, templates).unwrap();
    let suppressed = |region: &str, kind: &str| {
        let event = json!({"detail": {"type": kind}});
        aws.suppresses(region, &event)
    };
    assert!(suppressed("eu-north-1", "Policy:IAMUser/ShortTermRootCredentialUsage"));
    assert!(suppressed("eu-central-1", "Policy:IAMUser/ShortTermRootCredentialUsage"), "the home Region too");
    assert!(!suppressed("eu-north-1", "Policy:IAMUser/RootCredentialUsage"));
    assert!(!suppressed("ap-south-1", "Policy:IAMUser/ShortTermRootCredentialUsage"));
}
