//! Unroot deployed in the simulated AWS: all templates, its functions, and everything between them.
//!
//! What is deployed is read from `template.yaml` and `organization/`, never repeated here, so the templates are tested
//! too. A resource or property that it does not know fails the deployment.

mod event_source;
mod resources;
mod roles;
mod settling;
mod stacks;
mod stores;
mod traces;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::aws::{Aws, Credentials, PutEvent};
use crate::binaries::Binaries;
use crate::event_buses::Delivery;
use crate::lambda::{Binary, Function, FunctionError, FunctionSettings, Program};
use crate::queues::Queues;
use crate::template::Resource;
use event_source::EventSource;
use resources::Schedule;
use stacks::Stacks;

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
    /// The parameters of organization/audit-account-regions.yaml by name. `EventBusArn` is known.
    pub regional_parameters: BTreeMap<String, String>,
    /// Timeouts in place of those of the template, by the name of the function's binary.
    pub timeouts: BTreeMap<String, Duration>,
    /// What is started in place of the binary of this name.
    pub programs: BTreeMap<String, Program>,
}

/// A bus on which a test can put an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// The default bus of the account and the Region that the event names.
    Default,
    /// Unroot's own bus in the audit account, past the rules that forward and past the policy of the bus.
    Unroot,
}

/// A deployed Unroot. Functions are called by the names of their binaries.
#[derive(Debug)]
pub struct Deployment {
    aws: Aws,
    queues: Queues,
    stacks: Stacks,
    schedules: Vec<Schedule>,
    functions: BTreeMap<String, Deployed>,
    /// What AWS emits. Whoever settles holds it, so only one does at a time.
    events: tokio::sync::Mutex<UnboundedReceiver<Value>>,
    put: Mutex<Put>,
    deliveries: Mutex<Vec<Delivery>>,
    /// When the functions' environments were ended last.
    recycled: Mutex<OffsetDateTime>,
}

/// The events that functions put on buses: those that still have to be routed, and all of them.
#[derive(Debug)]
struct Put {
    arriving: UnboundedReceiver<PutEvent>,
    events: Vec<Value>,
}

/// A function and the queue that invokes it; one that only people invoke has none.
#[derive(Debug)]
struct Deployed {
    function: Function,
    source: Option<EventSource>,
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
            regional_parameters: BTreeMap::new(),
            timeouts: BTreeMap::new(),
            programs: BTreeMap::new(),
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

    /// Sets a parameter of organization/audit-account-regions.yaml.
    #[must_use]
    pub fn with_regional_parameter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.regional_parameters.insert(name.to_owned(), value.into());
        self
    }

    /// Starts something else for a function than its binary, such as code in this process.
    #[must_use]
    pub fn with_program(mut self, function: &str, program: Program) -> Self {
        self.programs.insert(function.to_owned(), program);
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
    /// Creates what the templates describe, and builds the functions for which the options name nothing else to start.
    ///
    /// Fails where CloudFormation or a service would: parameters that the template does not allow, a role that does not
    /// trust the service that is to assume it or may not read its function's queue, a visibility timeout shorter than
    /// the function's.
    pub async fn deploy(aws: &Aws, options: &Options) -> Result<Self> {
        let stacks = Stacks::create(aws, options)?;
        let is_given = |function| binary_of(function).is_ok_and(|name| options.programs.contains_key(name));
        if stacks.unroot.of_kind("AWS::Serverless::Function").all(is_given) {
            return Self::create(aws, options, stacks, |name| bail!("nothing to start for `{name}`"));
        }
        let binaries = Binaries::build().await?;
        Self::create(aws, options, stacks, |name| {
            Ok(Program::Binary(Binary { path: binaries.path(name)?, arguments: Vec::new() }))
        })
    }

    /// `program` says what to start for a binary for which the options do not say it.
    fn create(aws: &Aws, options: &Options, stacks: Stacks, program: impl Fn(&str) -> Result<Program>) -> Result<Self> {
        let Stacks { stack, unroot, roles, .. } = &stacks;
        let program = |binary: &str| match options.programs.get(binary) {
            Some(program) => Ok(program.clone()),
            None => program(binary),
        };
        let mut functions = BTreeMap::new();
        for resource in unroot.of_kind("AWS::Serverless::Function") {
            let deployed = Deployed::new(aws, program, options, &stacks, resource);
            let (binary, deployed) = deployed.with_context(|| format!("template.yaml: `{}`", resource.logical_id))?;
            functions.insert(binary, deployed);
        }
        if let Some(name) = options.programs.keys().find(|name| !functions.contains_key(*name)) {
            bail!("template.yaml has no function `{name}`");
        }
        Ok(Self {
            aws: aws.clone(),
            queues: aws.queues().clone(),
            schedules: resources::schedules(unroot, stack, roles)?,
            functions,
            events: tokio::sync::Mutex::new(aws.events()),
            put: Mutex::new(Put { arriving: aws.put_events(), events: Vec::new() }),
            deliveries: Mutex::default(),
            recycled: Mutex::new(aws.clock().now()),
            stacks,
        })
    }

    /// The names of the functions.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// Invokes a function as an operator does (`sam remote invoke`), past its queue.
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Result<Value, FunctionError>> {
        self.recycle_environments();
        Ok(self.deployed(function)?.function.invoke(payload).await)
    }

    /// Lets each schedule send what it sends when its time has come. `settle` then carries it out.
    pub fn fire_schedules(&self) -> Result<()> {
        self.schedules.iter().try_for_each(|schedule| schedule.fire(&self.queues))
    }

    /// Sends a message to a function's queue, past rules and schedules.
    pub fn send(&self, function: &str, body: &str) -> Result<()> {
        let queue = &self.source(function)?.queue_arn;
        Ok(self.queues.send(queue, body.to_owned(), serde_json::Map::new())?)
    }

    /// Moves the dead letters of a function back into its queue, as an operator does. Returns how many there were.
    pub fn redrive(&self, function: &str) -> Result<usize> {
        let source = self.source(function)?;
        Ok(self.queues.move_all(&source.dead_letter_arn, &source.queue_arn)?)
    }

    /// Puts an event on a bus and returns the deliveries that follow; none if no rule matches.
    pub fn put_event(&self, bus: Bus, event: &Value) -> Vec<Delivery> {
        let deliveries = self.stacks.put_event(bus, event);
        lock(&self.deliveries).extend(deliveries.iter().cloned());
        deliveries
    }

    /// Starts over with the same deployment, for an organization that was reset: cold functions, empty queues and logs.
    pub async fn reset(&self) {
        let mut events = self.events.lock().await;
        while events.try_recv().is_ok() {}
        self.route_put_events();
        lock(&self.put).events.clear();
        self.stacks.reset();
        self.queues.clear();
        lock(&self.deliveries).clear();
        for deployed in self.functions.values() {
            deployed.function.reset();
            lock(&deployed.outcomes).clear();
        }
    }

    fn source(&self, function: &str) -> Result<&EventSource> {
        let source = self.deployed(function)?.source.as_ref();
        source.with_context(|| format!("the function `{function}` has no queue"))
    }

    fn deployed(&self, function: &str) -> Result<&Deployed> {
        self.functions.get(function).with_context(|| format!("template.yaml has no function `{function}`"))
    }
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
        let binary = binary_of(resource)?.to_owned();
        let role = stacks.roles.for_function(resource.text("/Role")?)?;
        let timeout = match options.timeouts.get(&binary) {
            Some(timeout) => *timeout,
            None => Duration::from_secs(resource.number("/Timeout").context("no Timeout")?),
        };
        let source = EventSource::new(resource, &stacks.unroot, &role)?;

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
        let deployed = Self { function, source, outcomes: Mutex::default() };
        Ok((binary, deployed))
    }
}

/// The name of a function's binary.
fn binary_of(function: &Resource) -> Result<&str> {
    let binary = function.metadata.pointer("/BuildProperties/Binary").and_then(Value::as_str);
    binary.context("no name of a binary in Metadata")
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
