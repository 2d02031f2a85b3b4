//! The simulated AWS: one organization, everyone who calls, and everything that was called.
//!
//! `Aws` is the handle that tests and the story hold; clients reach the same world over HTTP. Nothing in here may know
//! who the clients are.

mod authorization;
mod base64;
mod call;
mod caller;
pub(crate) mod chance;
mod cloud_trail;
mod dynamodb;
mod emission;
mod events;
mod faults;
mod guard_duty;
mod iam;
mod membership;
mod organizations;
mod rates;
mod role;
mod root_user;
mod s3;
mod scheduler;
mod server;
mod service;
mod signature;
mod sqs;
mod sts;
mod task_policy;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub use call::{CallRecord, Outcome};
pub use caller::Credentials;
pub use chance::Disorder;
pub use dynamodb::{KeyAttribute, KeyType, TableSettings};
pub use events::PutEvent;
pub use faults::{Fault, FaultKind, InvalidFault};
pub use guard_duty::FindingFilter;
pub use iam::Earlier;
pub use membership::NewAccount;
pub use rates::RatePolicy;
pub use role::{InvalidRoleArn, Role};
pub use root_user::{NotPossible, Password, RootUser, SignIn};
pub use s3::{BucketSettings, ObjectVersion, Versioning};
pub use scheduler::{ActionAfterCompletion, Schedule, ScheduleState};
pub use server::Disconnected;
pub use watch::{Access, AssumedRoot, Delivery, SessionFinding, Watch};

use crate::api::{Answer, ApiError};
use crate::bell::Bell;
use crate::clock::Clock;
use crate::organization::{AccountId, Organization, OrganizationId, Principal};
use crate::queues::Queues;
use call::{Call, Sequence};
use caller::Sessions;
use chance::{Chance, Latency};
use dynamodb::Tables;
use emission::Due;
use faults::Faults;
use guard_duty::GuardDuty;
use membership::Creation;
use rates::Rates;
use s3::Buckets;
use scheduler::Schedules;
use server::Reaction;
use service::{Effect, Service};
use wire::{Message, Request, respond, respond_garbled};

/// The whole simulated AWS; clones are the same one.
#[derive(Clone)]
pub struct Aws {
    world: Arc<Mutex<World>>,
    clock: Clock,
    queues: Queues,
    bell: Bell,
}

impl fmt::Debug for Aws {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Aws").finish_non_exhaustive()
    }
}

/// Everything that a call can see or change. One lock guards it, so each call happens at once and the log has one order.
pub(crate) struct World {
    organization: Organization,
    /// The root credentials of an account before each of its changes, oldest first.
    history: BTreeMap<AccountId, Vec<Earlier>>,
    sessions: Sessions,
    creations: Vec<Creation>,
    tables: Tables,
    buckets: Buckets,
    queues: Queues,
    schedules: Schedules,
    /// The roles that services can be given, by ARN.
    roles: BTreeMap<String, Role>,
    calls: Vec<CallRecord>,
    faults: Faults,
    rates: Rates,
    latency: Duration,
    chance: Chance,
    bell: Bell,
    listeners: Vec<mpsc::UnboundedSender<Value>>,
    put_listeners: Vec<mpsc::UnboundedSender<PutEvent>>,
    watch: Option<Watch>,
    guard_duty: GuardDuty,
    due: Due,
    sequence: Sequence,
}

impl Aws {
    pub fn new(organization: Organization, clock: Clock) -> Self {
        let bell = Bell::default();
        let queues = Queues::new(clock.clone(), bell.clone());
        let world = World::new(organization, queues.clone(), bell.clone());
        Self { world: Arc::new(Mutex::new(world)), clock, queues, bell }
    }

    /// Answers AWS calls over HTTP until the future is dropped.
    pub async fn serve(&self, listener: TcpListener) {
        match server::serve(self.clone(), listener).await {}
    }

    /// Answers an AWS call that comes over no network, as one that came over HTTP.
    pub async fn answer(&self, request: hyper::Request<Bytes>) -> Result<hyper::Response<Bytes>, Disconnected> {
        server::answer(self, request).await
    }

    /// Returns once something came that leads to something.
    pub(crate) async fn rung(&self) {
        self.bell.rung().await;
    }

    /// Some part of the time, as chance has it.
    pub(crate) fn part_of(&self, longest: Duration) -> Duration {
        self.lock().chance.part_of(longest)
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    pub fn management_account(&self) -> AccountId {
        self.lock().organization.management_account.clone()
    }

    pub fn organization_id(&self) -> OrganizationId {
        self.lock().organization.id.clone()
    }

    /// The organization that the account is in, if it is in this one.
    pub fn organization_id_of(&self, account: &AccountId) -> Option<String> {
        let organization = &self.lock().organization;
        organization.accounts.contains_key(account).then(|| organization.id.to_string())
    }

    /// The delegated administrator for IAM, if there is one.
    pub fn audit_account(&self) -> Option<AccountId> {
        self.lock().organization.audit_account().cloned()
    }

    /// Credentials as Lambda hands them to a function: a session of its role, for twelve simulated hours.
    pub fn role_session(&self, role: Role, session_name: &str) -> Credentials {
        let mut world = self.lock();
        let number = world.sequence.next("session");
        world.sessions.open_role(number, role, session_name, self.clock.now())
    }

    /// The IAM user of an account that has `AdministratorAccess`; of any account, also outside the organization.
    pub fn administrator(&self, account: &AccountId) -> Credentials {
        Credentials::administrator(account.as_str())
    }

    /// Another caller, with just the permissions that it is given.
    pub fn register(&self, principal: Principal) -> Credentials {
        let credentials = Credentials::long_term(principal.access_key_id.clone());
        self.lock().organization.principals.push(principal);
        credentials
    }

    /// As Organizations does: the account, a `CreateAccountResult` and an `AccountJoinedOrganization` event.
    pub fn create_account(&self, account: NewAccount) -> AccountId {
        self.lock().create_account(account, self.clock.now())
    }

    /// An account from elsewhere accepts an invitation: of the two events only `AccountJoinedOrganization`.
    pub fn invite_account(&self, account: NewAccount) -> AccountId {
        self.lock().invite_account(account, self.clock.now())
    }

    /// Every event that AWS emits from now on, as it comes to the default bus of the account and Region that it names.
    pub fn events(&self) -> mpsc::UnboundedReceiver<Value> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().listeners.push(sender);
        receiver
    }

    /// Every event that a client puts on a bus from now on.
    pub fn put_events(&self) -> mpsc::UnboundedReceiver<PutEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().put_listeners.push(sender);
        receiver
    }

    /// Every call since the start or the last reset, in order.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.lock().calls.clone()
    }

    /// The organization as it is now.
    pub fn organization(&self) -> Organization {
        self.lock().organization.clone()
    }

    /// Looks at or changes the organization in place. The closure must not use this `Aws`: the world is locked.
    pub fn with_organization<T>(&self, use_it: impl FnOnce(&mut Organization) -> T) -> T {
        use_it(&mut self.lock().organization)
    }

    pub fn inject(&self, fault: Fault) {
        self.lock().faults.inject(fault);
    }

    /// How many calls the faults in force have hit.
    pub fn fault_hits(&self) -> u32 {
        self.lock().faults.hits()
    }

    /// The faults that have hit no call so far, though they were to: since the start, also those that are in force no more.
    pub fn missed_faults(&self) -> Vec<Fault> {
        self.lock().faults.missed()
    }

    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// How long a call takes on average; each takes between half and one and a half times as long.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    pub fn set_rates(&self, policy: RatePolicy) {
        self.lock().rates.policy = policy;
    }

    /// A new world behind the same server and clock: no calls, sessions, faults, messages, items, objects or
    /// schedules are left.
    /// Latency, rates, watch and whoever listens to events stay, and so do queues, tables, buckets and filters, but for the
    /// buckets and queues of the old organization.
    pub fn reset(&self, organization: Organization) {
        let mut world = self.lock();
        let old = std::mem::replace(&mut *world, World::new(organization, self.queues.clone(), self.bell.clone()));
        (world.latency, world.chance) = (old.latency, old.chance);
        world.faults = old.faults;
        world.faults.clear();
        world.rates.policy = old.rates.policy;
        world.listeners = old.listeners;
        world.put_listeners = old.put_listeners;
        world.watch = old.watch;
        world.guard_duty = old.guard_duty.without_findings();
        world.roles = old.roles;
        (world.tables, world.buckets) = (old.tables, old.buckets);
        world.tables.clear();
        let World { buckets, organization, .. } = &mut *world;
        buckets.start_over(organization);
        // The numbers go on, so that a key id from before the reset never becomes someone else's.
        world.sequence = old.sequence;
    }

    /// The time that the next call takes, jitter included.
    pub(crate) fn next_latency(&self) -> Latency {
        let mut world = self.lock();
        if let Some(latency) = world.chance.latency() {
            return latency;
        }
        // Scattered, and the same in every run.
        let step = u32::try_from(world.sequence.next("latency") * 37 % 101).unwrap_or_default();
        Latency { there: world.latency * (50 + step) / 100, back: Duration::ZERO }
    }

    /// What happens to a request.
    pub(crate) fn react(&self, request: &Request) -> Reaction {
        let request_id = self.lock().sequence.next_uuid("request");
        // Without the lock: the body of an object may be long.
        let message = match request.read() {
            Ok(message) => message,
            Err(error) => return Reaction::Answer(request.refuse(error, &request_id)),
        };
        let mut world = self.lock();
        let (service, operation) = (message.service, message.operation.clone());
        let access_key_id = message.access_key_id.clone();
        match self.identify(&world, request, message) {
            Ok(call) => Self::take(&mut world, call, &request_id),
            Err(error) => {
                let answer = Err(error);
                world.calls.push(CallRecord {
                    at: self.clock.now(),
                    request_id: request_id.clone(),
                    caller: String::new(),
                    access_key_id,
                    account: String::new(),
                    region: String::new(),
                    service: service.name().to_owned(),
                    operation: operation.clone(),
                    permissions: Vec::new(),
                    input: Value::Null,
                    outcome: Outcome::from(&answer),
                    opened: None,
                    mutating: service.effect(&operation) == Effect::Changes,
                });
                Reaction::Answer(respond(service.protocol(), &operation, &answer, &request_id))
            }
        }
    }

    fn identify(&self, world: &World, request: &Request, message: Message) -> Result<Call, ApiError> {
        let at = self.clock.now();
        let Message { service, region, access_key_id, token, operation, input } = message;
        let caller = world.sessions.identify(&access_key_id, token.as_deref(), &world.organization, service, at)?;
        if !signature::is_valid(&request.head, &request.body, &caller::secret_of(&access_key_id)) {
            return Err(service.signature_mismatch());
        }
        let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
        Ok(Call {
            caller,
            service,
            operation,
            region,
            host: header("host"),
            user_agent: header("user-agent"),
            input,
            at,
            staleness: 0,
            is_partial: false,
            permissions: RefCell::default(),
        })
    }

    /// A call meets the faults, then the rates, then the service, and is logged.
    fn take(world: &mut World, mut call: Call, request_id: &str) -> Reaction {
        let effect = call.service.effect(&call.operation);
        let fault = world.faults.strike(&call, effect);
        match fault {
            Some(FaultKind::Stale(changes)) => call.staleness = changes,
            Some(FaultKind::Partial) => call.is_partial = true,
            _ => {}
        }
        let answer = match fault {
            Some(FaultKind::Timeout | FaultKind::Drop) => None,
            Some(FaultKind::Hollow) => Some(Self::perform(world, &call).map(hollow)),
            Some(fault) => Some(match fault.error(&call) {
                Some(error) => Err(error),
                None => Self::perform(world, &call),
            }),
            None => Some(Self::perform(world, &call)),
        };
        let outcome = match (&answer, fault) {
            (None, _) => Outcome::NoAnswer { done: false },
            (Some(Ok(_)), Some(FaultKind::DropAfter)) => Outcome::NoAnswer { done: true },
            (Some(answer), _) => Outcome::from(answer),
        };
        if let Some(answer) = &answer {
            world.log_call(&call, answer, request_id);
        }
        let credentials = answer.as_ref().and_then(|answer| answer.as_ref().ok()?.get("Credentials"));
        let opened = credentials.and_then(|credentials| credentials.get("AccessKeyId")?.as_str()).map(str::to_owned);
        if matches!(call.service, Service::Sqs | Service::Events | Service::Scheduler) {
            world.bell.ring();
        }
        world.calls.push(CallRecord {
            at: call.at,
            request_id: request_id.to_owned(),
            caller: call.caller.arn.clone(),
            access_key_id: call.caller.access_key_id.clone(),
            account: call.account().to_owned(),
            region: call.region.clone(),
            service: call.service.name().to_owned(),
            operation: call.operation.clone(),
            permissions: call.permissions.borrow().clone(),
            input: call.input_without_secrets(),
            outcome,
            opened,
            mutating: effect == Effect::Changes,
        });
        match (answer, fault) {
            (_, Some(FaultKind::DropAfter)) => Reaction::Disconnect,
            (Some(answer @ Ok(_)), Some(FaultKind::Garbled)) => {
                Reaction::Answer(respond_garbled(call.service.protocol(), &call.operation, &answer, request_id))
            }
            (Some(answer), _) => {
                Reaction::Answer(respond(call.service.protocol(), &call.operation, &answer, request_id))
            }
            (None, Some(FaultKind::Timeout)) => Reaction::Silence,
            (None, _) => Reaction::Disconnect,
        }
    }

    fn perform(world: &mut World, call: &Call) -> Answer {
        if !world.rates.admit(call, Instant::now()) {
            return Err(call.service.throttled());
        }
        let operation = call.service.operation(&call.operation);
        let operation = operation.ok_or_else(|| call.service.unknown_operation(&call.operation))?;
        (operation.handler)(world, call)
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer without its members; one that has none stays as it is.
fn hollow(output: Value) -> Value {
    if output.is_null() { output } else { json!({}) }
}

impl World {
    fn new(organization: Organization, queues: Queues, bell: Bell) -> Self {
        let mut buckets = Buckets::default();
        buckets.start_over(&organization);
        queues.start_over(&organization);
        Self {
            organization,
            history: BTreeMap::new(),
            sessions: Sessions::default(),
            creations: Vec::new(),
            tables: Tables::default(),
            buckets,
            queues,
            schedules: Schedules::default(),
            roles: BTreeMap::new(),
            calls: Vec::new(),
            faults: Faults::default(),
            rates: Rates::default(),
            latency: Duration::ZERO,
            chance: Chance::default(),
            bell,
            listeners: Vec::new(),
            put_listeners: Vec::new(),
            watch: None,
            guard_duty: GuardDuty::default(),
            due: Due::default(),
            sequence: Sequence::default(),
        }
    }
}
