//! The simulator's command line.

mod story;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use simulator::aws::{Aws, Credentials, Fault, Role};
use simulator::clock::Clock;
use simulator::organization::{Account, AccountId, AccountState, Organization};
use simulator::policy::TrustPolicy;
use tokio::net::TcpListener;

/// The name of the role that schedules can be given.
const SCHEDULE_ROLE: &str = "schedule";

/// Unroot at work on a simulated AWS organization: it is audited, stripped, and compared with what was claimed.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Exits with 1 if anything is not as it should be in the end.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    story: Story,
}

#[derive(Args)]
struct Story {
    /// How many accounts the organization has, 30 to 50,000, which is the most that AWS allows.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(30..=50_000))]
    accounts: u32,
    /// How long a call to AWS takes on average, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5)]
    latency: u64,
    /// Where to leave the evidence of the last audit [default: target/evidence, or in the temporary directory where there
    /// is no target].
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Keep the simulated organization up for any AWS client.
    Serve(Serve),
}

#[derive(Args)]
struct Serve {
    /// The port on 127.0.0.1; 0 for a free one.
    #[arg(long, default_value_t = 4566)]
    port: u16,
    /// An organization file, such as tests/fixtures/organization.json, instead of the sample organization.
    #[arg(long, value_name = "FILE", conflicts_with = "accounts")]
    organization: Option<PathBuf>,
    /// How many accounts the sample organization has, 30 to 50,000, which is the most that AWS allows.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(30..=50_000))]
    accounts: u32,
    /// How long a call takes on average, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency: u64,
    /// Break calls, like `iam:GetAccountSummary=throttle,account=444455556666,skip=2,times=1`. May be repeated.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Serve(options)) => serve(options).await,
        None => story::tell(cli.story).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Serve) -> Result<()> {
    let organization = match &options.organization {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
            Organization::from_json(&text).with_context(|| format!("`{}`", file.display()))?
        }
        None => Organization::sample(options.accounts as usize)?,
    };
    let aws = Aws::new(organization, Clock::default());
    aws.set_latency(Duration::from_millis(options.latency));
    if let Some(role) = schedule_role(&aws)? {
        aws.create_role(role);
    }
    for fault in options.fault {
        aws.inject(fault);
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}; try `--port 0`"))?;
    say(&introduction(&aws, &format!("http://{}", listener.local_addr()?)));
    tokio::select! {
        () = aws.serve(listener) => {}
        () = fire_schedules(&aws) => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}

/// The one role that there is, since no client can make any: the Scheduler may send with it wherever a queue lets it.
fn schedule_role(aws: &Aws) -> Result<Option<Role>> {
    let Some(account) = aws.audit_account() else { return Ok(None) };
    let trust = serde_json::json!({"Statement": {
        "Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole",
    }});
    let send = serde_json::json!({"Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}});
    let role = Role::new(&format!("arn:aws:iam::{account}:role/{SCHEDULE_ROLE}"), vec![send.try_into()?])?;
    Ok(Some(role.trusting(TrustPolicy::parse(&trust)?)))
}

async fn fire_schedules(aws: &Aws) {
    loop {
        for failure in aws.fire_due_schedules() {
            complain(&anyhow::anyhow!(failure));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What a person needs to point a client here.
fn introduction(aws: &Aws, url: &str) -> String {
    let organization = aws.organization();
    let management = &organization.management_account;
    let is_outside = |id: &AccountId| !organization.accounts.contains_key(id);
    let outsider = (0..u64::MAX).find_map(|number| format!("{number:012}").parse().ok().filter(is_outside));
    let callers = [
        ("the management account", Some(management.clone())),
        ("the audit account (delegated administrator for IAM)", organization.audit_account().cloned()),
        ("an outsider", outsider),
    ];
    let callers: String = callers
        .into_iter()
        .filter_map(|(who, account)| Some((who, account?)))
        .flat_map(|(who, account)| [format!("\n  # {who}, {account}\n"), exports(&aws.administrator(&account))])
        .collect();
    let is_worth_a_look = |(id, account): &(&AccountId, &Account)| {
        *id != management && account.state == AccountState::Active && !account.root.access_keys.is_empty()
    };
    let target = organization.accounts.iter().find(is_worth_a_look).map_or("444455556666", |(id, _)| id.as_str());
    format!(
        "Simulating organization {id} with {size} accounts on {url}

Point a client here, as one of these callers:

  export AWS_ENDPOINT_URL={url} AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
{callers}
List the accounts, open a root session in one, and look around with the credentials that it answers:

  aws organizations list-accounts --query 'Accounts[].[Id,Name,State]' --output text
  aws sts assume-root --target-principal {target} \\
    --task-policy-arn arn=arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials
  aws iam get-account-summary

A schedule of the audit account takes the role `{SCHEDULE_ROLE}`.

Ctrl-C ends it; nothing is kept.
",
        id = organization.id,
        size = organization.accounts.len(),
    )
}

fn exports(credentials: &Credentials) -> String {
    format!(
        "  export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}; unset AWS_SESSION_TOKEN\n",
        credentials.access_key_id, credentials.secret_access_key
    )
}

/// Whoever has stopped reading is told nothing more.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
}
