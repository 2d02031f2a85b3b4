//! The stacks of all templates, in the accounts and Regions that they belong to, and the way of an event through them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::roles::Roles;
use super::{Bus, Options, lock, resources};
use crate::aws::Aws;
use crate::event_buses::{Arrival, Delivery, DeliveryOutcome, EventBuses};
use crate::organization::AccountId;
use crate::template::{Resolved, Stack, Template};

/// The management account's events come from here: us-east-1 has those of Organizations and of IAM, all three American
/// Regions have root sign-ins, and the last stands for the home of Control Tower.
const MANAGEMENT_REGIONS: [&str; 4] = ["us-east-1", "us-east-2", "us-west-2", "eu-west-1"];

/// Where root users sign in, and where IAM logs.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aws-console-sign-in-events.html>
const MEMBER_REGIONS: [&str; 3] = ["us-east-1", "us-east-2", "us-west-2"];

/// Where the audit account has GuardDuty besides the home Region of the stack.
const AUDIT_REGIONS: [&str; 5] = ["us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-north-1"];

/// The texts of the templates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Templates {
    pub(super) unroot: &'static str,
    pub(super) management_account: &'static str,
    pub(super) member_accounts: &'static str,
    pub(super) audit_account_regions: &'static str,
}

/// What is deployed for real.
pub(super) const TEMPLATES: Templates = Templates {
    unroot: include_str!("../../../template.yaml"),
    management_account: include_str!("../../../organization/management-account.yaml"),
    member_accounts: include_str!("../../../organization/member-accounts.yaml"),
    audit_account_regions: include_str!("../../../organization/audit-account-regions.yaml"),
};

/// All templates as they are deployed.
#[derive(Debug)]
pub(super) struct Stacks {
    pub(super) stack: Stack,
    pub(super) unroot: Resolved,
    pub(super) roles: Roles,
    pub(super) buses: Mutex<EventBuses>,
    pub(super) management_account: String,
    pub(super) unroot_bus_arn: String,
    aws: Aws,
    members: Members,
}

/// The stack set of organization/member-accounts.yaml. Stack sets with service-managed permissions reach every member but
/// never the management account ("Considerations" on them in the CloudFormation user guide). An organization may have ten thousand accounts, so a member gets
/// its stack in a Region when the first event comes to its bus there.
#[derive(Debug)]
struct Members {
    template: Template,
    created: Mutex<BTreeSet<(AccountId, String)>>,
}

impl Stacks {
    /// Creates everything but the functions and the schedules.
    pub(super) fn create(aws: &Aws, options: &Options) -> Result<Self> {
        Self::from_templates(aws, options, TEMPLATES)
    }

    pub(super) fn from_templates(aws: &Aws, options: &Options, templates: Templates) -> Result<Self> {
        let management_account = aws.management_account().to_string();
        let audit_account = aws.audit_account().context("the organization has no delegated administrator for IAM")?;
        let template = Template::parse(templates.unroot).context("template.yaml")?;
        let mut parameters = options.parameters.clone();
        parameters.entry("ManagementAccountId".to_owned()).or_insert_with(|| management_account.clone());
        if template.has_parameter("OrganizationId") {
            parameters.entry("OrganizationId".to_owned()).or_insert_with(|| aws.organization_id().to_string());
        }
        let stack = Stack {
            name: "unroot".to_owned(),
            account: audit_account.to_string(),
            region: options.region.clone(),
            parameters,
        };
        let unroot = template.resolve(&stack).context("template.yaml")?;
        let unroot_bus_arn = unroot.outputs.get("EventBusArn").cloned();
        let unroot_bus_arn = unroot_bus_arn.context("template.yaml has no output EventBusArn")?;
        let (mut roles, mut buses) = (Roles::default(), EventBuses::default());
        resources::create(&unroot, &stack, aws, &mut roles, &mut buses).context("template.yaml")?;

        let file = "organization/management-account.yaml";
        let forwarding = Template::parse(templates.management_account).context(file)?;
        for region in MANAGEMENT_REGIONS {
            let stack = forwarding_stack("unroot", &management_account, region, &unroot_bus_arn);
            deploy(&forwarding, &stack, aws, &mut buses).context(file)?;
        }
        let file = "organization/audit-account-regions.yaml";
        let regional = Template::parse(templates.audit_account_regions).context(file)?;
        // Of the home Region it only manages the findings.
        let regions: BTreeSet<&str> = AUDIT_REGIONS.into_iter().chain([options.region.as_str()]).collect();
        for region in regions {
            let mut stack = forwarding_stack("unroot-regions", &stack.account, region, &unroot_bus_arn);
            stack.parameters.extend(options.regional_parameters.clone());
            deploy(&regional, &stack, aws, &mut buses).context(file)?;
        }
        let file = "organization/member-accounts.yaml";
        let members =
            Members { template: Template::parse(templates.member_accounts).context(file)?, created: Mutex::default() };
        let stacks = Self {
            stack,
            unroot,
            roles,
            buses: Mutex::new(buses),
            management_account,
            unroot_bus_arn,
            aws: aws.clone(),
            members,
        };
        // A template that cannot be deployed fails now, not with the first event.
        for region in MEMBER_REGIONS {
            stacks.create_member(&audit_account, region).context(file)?;
        }
        Ok(stacks)
    }

    /// Puts an event on a bus and returns the deliveries that follow.
    pub(super) fn put_event(&self, bus: Bus, event: &Value) -> Vec<Delivery> {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        match bus {
            Bus::Default => {
                let (account, region) = (text("account"), text("region"));
                self.put_on(&format!("arn:aws:events:{region}:{account}:event-bus/default"), event)
            }
            Bus::Unroot => self.put_on(&self.unroot_bus_arn, event),
        }
    }

    pub(super) fn put_on(&self, bus_arn: &str, event: &Value) -> Vec<Delivery> {
        let mut parts = bus_arn.split(':').skip(3);
        let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let account: Option<AccountId> = account.parse().ok();
        let organization_id = account.as_ref().and_then(|account| self.aws.organization_id_of(account));
        if let Some(account) = account
            && let Err(error) = self.bring_up_to_date(&account, region, bus_arn, organization_id.is_some())
        {
            let outcome = DeliveryOutcome::Lost { reason: format!("organization/member-accounts.yaml: {error:#}") };
            return vec![Delivery { rule_arn: String::new(), target_arn: self.unroot_bus_arn.clone(), outcome }];
        }
        lock(&self.buses).put(
            self.aws.queues(),
            Arrival {
                bus_arn,
                event,
                organization_id: organization_id.as_deref(),
                at: self.aws.clock().now(),
                forwarded: None,
            },
        )
    }

    /// As the stack set's automatic deployment does: a member has the stack, and who has left has it no more.
    fn bring_up_to_date(
        &self,
        account: &AccountId,
        region: &str,
        bus_arn: &str,
        is_in_organization: bool,
    ) -> Result<()> {
        if !MEMBER_REGIONS.contains(&region) || account.as_str() == self.management_account {
            return Ok(());
        }
        let key = (account.clone(), region.to_owned());
        let is_created = lock(&self.members.created).contains(&key);
        if is_in_organization && !is_created {
            self.create_member(account, region)?;
        } else if !is_in_organization && is_created {
            lock(&self.members.created).remove(&key);
            lock(&self.buses).rules.remove(bus_arn);
        }
        Ok(())
    }

    fn create_member(&self, account: &AccountId, region: &str) -> Result<()> {
        let stack = forwarding_stack("StackSet-unroot", account.as_str(), region, &self.unroot_bus_arn);
        deploy(&self.members.template, &stack, &self.aws, &mut lock(&self.buses))?;
        lock(&self.members.created).insert((account.clone(), region.to_owned()));
        Ok(())
    }

    /// Forgets what was published. Members that the organization no longer has lose their stacks by themselves.
    pub(super) fn reset(&self) {
        lock(&self.buses).topics.clear();
    }
}

fn forwarding_stack(name: &str, account: &str, region: &str, bus_arn: &str) -> Stack {
    Stack {
        name: name.to_owned(),
        account: account.to_owned(),
        region: region.to_owned(),
        parameters: BTreeMap::from([("EventBusArn".to_owned(), bus_arn.to_owned())]),
    }
}

/// Creates a stack that has its roles to itself.
fn deploy(template: &Template, stack: &Stack, aws: &Aws, buses: &mut EventBuses) -> Result<()> {
    resources::create(&template.resolve(stack)?, stack, aws, &mut Roles::default(), buses)
}
