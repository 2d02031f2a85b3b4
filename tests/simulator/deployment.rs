//! Unroot deployed in the simulated AWS: both templates, the real function binaries, and everything between them.
//!
//! What is deployed is read from `template.yaml` and `organization/management-account.yaml`, never repeated here, so the
//! templates are tested too. A resource or property that it does not know fails the deployment.

mod event_source;
mod resources;
mod roles;
mod stores;
mod traces;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::aws::{Aws, Credentials, PutEvent};
use crate::binaries::Binaries;
use crate::event_buses::{Delivery, EventBuses};
use crate::lambda::{Function, FunctionError, FunctionSettings, Program};
use crate::queues::Queues;
use crate::template::{Resolved, Resource, Stack, Template};
use event_source::{Batch, EventSource};
use resources::Schedule;
use roles::Roles;

const TEMPLATE: &str = include_str!("../../template.yaml");
const MANAGEMENT_ACCOUNT_TEMPLATE: &str = include_str!("../../organization/management-account.yaml");

/// Where the management account forwards events from: us-east-1 has those of Organizations, the other Region is the home
/// of Control Tower.
const MANAGEMENT_REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// The most simulated time that passes while a deployment settles.
const LONGEST_SETTLING: Duration = Duration::from_hours(24);

/// More invocations than that while settling are an endless loop.
const MOST_INVOCATIONS: usize = 10_000;

/// How a deployment is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the functions find AWS: `AWS_ENDPOINT_URL`.
    pub endpoint: String,
    /// The Region of the stack in the audit account.
    pub region: String,
    /// The parameters of template.yaml by name. `ManagementAccountId` is known.
    pub parameters: BTreeMap<String, String>,
    /// Variables for all functions, besides and in place of those of the template.
    pub environment: BTreeMap<String, String>,
    /// Timeouts in place of those of the template, by the name of the function's binary.
    pub timeouts: BTreeMap<String, Duration>,
}

/// A bus on which a test can put an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// The default bus of the management account, in the Region that the event names.
    Management,
    /// The bus in the audit account, past the rule that forwards and past the policy of the bus.
    Audit,
}

/// A deployed Unroot. Functions are called by the names of their binaries.
#[derive(Debug)]
pub struct Deployment {
    queues: Queues,
    clock: crate::clock::Clock,
    stacks: Stacks,
    schedules: Vec<Schedule>,
    functions: BTreeMap<String, Deployed>,
    /// What AWS emits. Whoever settles holds it, so only one does at a time.
    events: tokio::sync::Mutex<UnboundedReceiver<Value>>,
    put: Mutex<Put>,
    deliveries: Mutex<Vec<Delivery>>,
}

/// The events that functions put on buses: those that still have to be routed, and all of them.
#[derive(Debug)]
struct Put {
    arriving: UnboundedReceiver<PutEvent>,
    events: Vec<Value>,
}

/// Both templates as they were deployed.
#[derive(Debug)]
struct Stacks {
    stack: Stack,
    unroot: Resolved,
    roles: Roles,
    buses: EventBuses,
    management_account: String,
    audit_bus_arn: String,
}

/// A function and the queue that invokes it.
#[derive(Debug)]
struct Deployed {
    function: Function,
    source: EventSource,
    dead_letter_arn: String,
    outcomes: Mutex<Vec<Result<Value, FunctionError>>>,
}

impl Options {
    /// Everything as in the template, in eu-central-1.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            region: "eu-central-1".to_owned(),
            parameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            timeouts: BTreeMap::new(),
        }
    }

    /// Sets a parameter of template.yaml.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    /// Sets a variable for all functions.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the timeout of a function.
    #[must_use]
    pub fn with_timeout(mut self, function: &str, timeout: Duration) -> Self {
        self.timeouts.insert(function.to_owned(), timeout);
        self
    }
}

impl Deployment {
    /// Builds the functions and creates what the templates describe.
    ///
    /// Fails where CloudFormation or a service would: parameters that the template does not allow, a role that does not
    /// trust the service that is to assume it or may not read its function's queue, a visibility timeout shorter than
    /// the function's.
    pub async fn deploy(aws: &Aws, options: &Options) -> Result<Self> {
        let binaries = Binaries::build().await?;
        Self::create(aws, options, |binary| Ok(Program { path: binaries.path(binary)?, arguments: Vec::new() }))
    }

    /// `program` says what to start for a binary.
    fn create(aws: &Aws, options: &Options, program: impl Fn(&str) -> Result<Program>) -> Result<Self> {
        let stacks = Stacks::create(aws, options)?;
        let Stacks { stack, unroot, roles, .. } = &stacks;
        let mut functions = BTreeMap::new();
        for resource in unroot.of_kind("AWS::Serverless::Function") {
            let deployed = Deployed::new(aws, &program, options, &stacks, resource);
            let (binary, deployed) = deployed.with_context(|| format!("template.yaml: `{}`", resource.logical_id))?;
            functions.insert(binary, deployed);
        }
        Ok(Self {
            queues: aws.queues().clone(),
            clock: aws.clock().clone(),
            schedules: resources::schedules(unroot, stack, roles)?,
            functions,
            events: tokio::sync::Mutex::new(aws.events()),
            put: Mutex::new(Put { arriving: aws.put_events(), events: Vec::new() }),
            deliveries: Mutex::default(),
            stacks,
        })
    }

    /// The names of the functions.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// Invokes a function as an operator does (`sam remote invoke`), past its queue.
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Result<Value, FunctionError>> {
        Ok(self.deployed(function)?.function.invoke(payload).await)
    }

    /// Lets each schedule send what it sends when its time has come. `settle` then carries it out.
    pub fn fire_schedules(&self) -> Result<()> {
        self.schedules.iter().try_for_each(|schedule| schedule.fire(&self.queues))
    }

    /// Sends a message to a function's queue, past rules and schedules.
    pub fn send(&self, function: &str, body: &str) -> Result<()> {
        let queue = &self.deployed(function)?.source.queue_arn;
        Ok(self.queues.send(queue, body.to_owned(), serde_json::Map::new())?)
    }

    /// Puts an event on a bus and returns the deliveries that follow; none if no rule matches.
    pub fn put_event(&self, bus: Bus, event: &Value) -> Vec<Delivery> {
        let deliveries = self.stacks.put_event(&self.queues, bus, event);
        lock(&self.deliveries).extend(deliveries.iter().cloned());
        deliveries
    }

    /// Routes the events that were put since the last time.
    fn route_put_events(&self) {
        let mut put = lock(&self.put);
        while let Ok(PutEvent { bus_arn, event }) = put.arriving.try_recv() {
            let deliveries = self.stacks.buses.put(&self.queues, &bus_arn, &event);
            lock(&self.deliveries).extend(deliveries);
            put.events.push(event);
        }
    }

    /// Works until nothing is left to do: routes events, invokes functions with what is in their queues, and lets time
    /// pass while messages only hide.
    ///
    /// Fails if there is still something to do after a simulated day.
    pub async fn settle(&self) -> Result<()> {
        let mut events = self.events.lock().await;
        let mut waited = Duration::ZERO;
        let mut invocations = 0;
        let mut running = JoinSet::new();
        let mut busy: BTreeMap<&str, usize> = BTreeMap::new();
        loop {
            while let Ok(event) = events.try_recv() {
                self.put_event(Bus::Management, &event);
            }
            self.route_put_events();
            for (name, deployed) in &self.functions {
                let busy = busy.entry(name.as_str()).or_default();
                while *busy < deployed.source.most_concurrent
                    && let Some(batch) = deployed.source.receive(&self.queues)?
                {
                    *busy += 1;
                    invocations += 1;
                    ensure!(invocations < MOST_INVOCATIONS, "`{name}` is invoked in an endless loop");
                    running.spawn(invoke(name.clone(), deployed.function.clone(), batch));
                }
            }
            if running.is_empty() {
                let Some(wait) = self.until_next_message() else {
                    return Ok(());
                };
                waited += wait;
                ensure!(waited < LONGEST_SETTLING, "messages still hide in the queues after a day");
                self.clock.advance(wait);
                continue;
            }
            tokio::select! {
                Some(finished) = running.join_next() => {
                    let (name, batch, outcome) = finished?;
                    let deployed = self.deployed(&name)?;
                    deployed.source.acknowledge(&self.queues, &batch, &outcome)?;
                    lock(&deployed.outcomes).push(outcome);
                    if let Some(busy) = busy.get_mut(name.as_str()) {
                        *busy -= 1;
                    }
                }
                // Events and messages may have come meanwhile.
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    }

    /// How long the message that returns next still hides, from a queue that invokes a function.
    fn until_next_message(&self) -> Option<Duration> {
        let now = self.clock.now();
        let sources = self.functions.values().map(|deployed| &deployed.source.queue_arn);
        let messages = sources.flat_map(|arn| self.queues.messages(arn));
        let wait = messages.map(|message| message.visible_at - now).min()?;
        Some(Duration::try_from(wait).unwrap_or_default())
    }

    /// Starts over with the same deployment, for an organization that was reset: cold functions, empty queues and logs.
    pub async fn reset(&self) {
        let mut events = self.events.lock().await;
        while events.try_recv().is_ok() {}
        self.route_put_events();
        lock(&self.put).events.clear();
        self.stacks.buses.topics.clear();
        self.queues.clear();
        lock(&self.deliveries).clear();
        for deployed in self.functions.values() {
            deployed.function.reset();
            lock(&deployed.outcomes).clear();
        }
    }

    fn deployed(&self, function: &str) -> Result<&Deployed> {
        self.functions.get(function).with_context(|| format!("template.yaml has no function `{function}`"))
    }
}

impl Stacks {
    /// Creates everything but the functions and the schedules.
    fn create(aws: &Aws, options: &Options) -> Result<Self> {
        let management_account = aws.management_account().to_string();
        let audit_account = aws.audit_account().context("the organization has no delegated administrator for IAM")?;
        let mut parameters = options.parameters.clone();
        parameters.entry("ManagementAccountId".to_owned()).or_insert_with(|| management_account.clone());
        let stack = Stack {
            name: "unroot".to_owned(),
            account: audit_account.to_string(),
            region: options.region.clone(),
            parameters,
        };
        let unroot =
            Template::parse(TEMPLATE).and_then(|template| template.resolve(&stack)).context("template.yaml")?;
        let audit_bus_arn = unroot.outputs.get("EventBusArn").cloned();
        let mut stacks = Self {
            audit_bus_arn: audit_bus_arn.context("template.yaml has no output EventBusArn")?,
            stack,
            unroot,
            roles: Roles::default(),
            buses: EventBuses::default(),
            management_account,
        };
        let Self { stack, unroot, roles, buses, .. } = &mut stacks;
        resources::create(unroot, stack, aws, roles, buses).context("template.yaml")?;

        let forwarding =
            Template::parse(MANAGEMENT_ACCOUNT_TEMPLATE).context("organization/management-account.yaml")?;
        for region in MANAGEMENT_REGIONS {
            let stack = Stack {
                name: "unroot".to_owned(),
                account: stacks.management_account.clone(),
                region: region.to_owned(),
                parameters: BTreeMap::from([("EventBusArn".to_owned(), stacks.audit_bus_arn.clone())]),
            };
            forwarding
                .resolve(&stack)
                .and_then(|resolved| resources::create(&resolved, &stack, aws, &mut stacks.roles, &mut stacks.buses))
                .context("organization/management-account.yaml")?;
        }
        Ok(stacks)
    }

    fn put_event(&self, queues: &Queues, bus: Bus, event: &Value) -> Vec<Delivery> {
        let region = event.get("region").and_then(Value::as_str).unwrap_or_default();
        let bus_arn = match bus {
            Bus::Management => format!("arn:aws:events:{region}:{}:event-bus/default", self.management_account),
            Bus::Audit => self.audit_bus_arn.clone(),
        };
        self.buses.put(queues, &bus_arn, event)
    }
}

async fn invoke(name: String, function: Function, batch: Batch) -> (String, Batch, Result<Value, FunctionError>) {
    let outcome = function.invoke(&batch.event).await;
    (name, batch, outcome)
}

impl Deployed {
    /// The function with the name of its binary.
    fn new(
        aws: &Aws,
        program: impl Fn(&str) -> Result<Program>,
        options: &Options,
        stacks: &Stacks,
        resource: &Resource,
    ) -> Result<(String, Self)> {
        resource.expect_only(&[
            "FunctionName",
            "Description",
            "Role",
            "Timeout",
            "MemorySize",
            "Runtime",
            "Handler",
            "CodeUri",
            "Architectures",
            "LoggingConfig",
            "Environment",
            "Events",
        ])?;
        let binary = resource.metadata.pointer("/BuildProperties/Binary").and_then(Value::as_str);
        let binary = binary.context("no name of a binary in Metadata")?.to_owned();
        let role = stacks.roles.for_function(resource.text("/Role")?)?;
        let timeout = match options.timeouts.get(&binary) {
            Some(timeout) => *timeout,
            None => Duration::from_secs(resource.number("/Timeout").context("no Timeout")?),
        };
        let source = EventSource::new(resource, &stacks.unroot, &role)?;
        let dead_letter_arn = source.dead_letter_arn.clone();

        let mut variables = variables(resource)?;
        variables.insert("AWS_ENDPOINT_URL".to_owned(), options.endpoint.clone());
        variables.extend(options.environment.clone());
        let name = resource.text("/FunctionName")?.to_owned();
        let session_name = name.clone();
        let aws = aws.clone();
        let function = Function::new(FunctionSettings {
            name,
            account: stacks.stack.account.clone(),
            region: stacks.stack.region.clone(),
            program: program(&binary)?,
            memory_megabytes: resource.number("/MemorySize").context("no MemorySize")?,
            timeout,
            variables: Box::new(move || {
                let credentials = aws.role_session(role.clone(), &session_name);
                let mut variables = variables.clone();
                variables.extend(as_variables(credentials));
                variables
            }),
        });
        let deployed = Self { function, source, dead_letter_arn, outcomes: Mutex::default() };
        Ok((binary, deployed))
    }
}

/// The variables that the template sets.
fn variables(resource: &Resource) -> Result<BTreeMap<String, String>> {
    let variables = resource.get("/Environment/Variables").and_then(Value::as_object);
    let mut texts = BTreeMap::new();
    for (name, value) in variables.into_iter().flatten() {
        let Some(text) = value.as_str() else {
            bail!("the variable `{name}` is not a string");
        };
        texts.insert(name.clone(), text.to_owned());
    }
    Ok(texts)
}

fn as_variables(credentials: Credentials) -> impl IntoIterator<Item = (String, String)> {
    let Credentials { access_key_id, secret_access_key, session_token } = credentials;
    let variables = [
        ("AWS_ACCESS_KEY_ID", Some(access_key_id)),
        ("AWS_SECRET_ACCESS_KEY", Some(secret_access_key)),
        ("AWS_SESSION_TOKEN", session_token),
    ];
    variables.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
