//! What happens in one run, as data: a seed chooses it, and what broke a promise is made smaller by leaving parts out.

use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use simulator::aws::{Disorder, Fault, FaultKind};
use simulator::lambda::{Accident, Mishap};

/// The accounts of `tests/fixtures/organization.json` in which something happens.
pub(crate) const SHOP: &str = "444455556666";
pub(crate) const EXEMPT: &str = "555566667777";
pub(crate) const OTHER: &str = "666677778888";
pub(crate) const AUDIT: &str = "222233334444";
pub(crate) const MANAGEMENT: &str = "111122223333";

/// The shortest window that an operator can ask for.
const WINDOW: Duration = Duration::from_mins(15);

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// Chooses how long each call takes, and when and in which order events and messages come.
    pub(crate) seed: u64,
    pub(crate) deployment: Deployment,
    pub(crate) pace: Pace,
    pub(crate) shop: Leftovers,
    /// Whether CloudTrail and GuardDuty report what is done as root.
    pub(crate) is_watched: bool,
    pub(crate) happenings: Vec<Happening>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Deployment {
    Audit,
    Enforce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// Calls take some tens of milliseconds, and everything comes once and at once.
    Even,
    /// Some calls are slow, some events late, and some messages come twice.
    Uneven,
    /// The same, and a call takes up to seconds.
    Slow,
}

/// What the root user of the shop has at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Leftovers {
    Nothing,
    Password,
    /// A key that was used yesterday, with the MFA that protects it.
    KeyInUse,
    Everything,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Happening {
    /// After the beginning, in milliseconds.
    pub(crate) at: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum What {
    /// The schedule of the audit comes.
    Schedule,
    /// Somebody who may invoke the functions asks for something.
    Operator(Request),
    /// Somebody works as the root user of an account.
    Root { account: String, does: RootDoes },
    /// Somebody else opens a root session, as the console does.
    ForeignSession { account: String },
    /// An account joins, invited or created, with a password.
    Joins { is_invited: bool, ready_after_seconds: u64 },
    /// An account is suspended.
    Suspended { account: String },
    /// Somebody moves the dead letters of all functions back.
    Redrive,
    /// A fault, for so long or so often.
    Fault { operation: String, kind: Trouble, account: Option<String>, times: Option<u32>, seconds: u64 },
    /// What befalls an invocation: the first of the run is 1.
    Accident { invocation: u64, after: u32, mishap: Ends },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    AuditEverything,
    AuditAccount(String),
    Open { account: String, minutes: u32 },
    Close { account: String },
    List,
    UnlockBucket { replace: bool },
    UnlockQueue { replace: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RootDoes {
    SignIn,
    SignInWrongly,
    /// Asks for the mail, and sets a password with it.
    RecoverPassword,
    /// Recovers the password, signs in, and makes one of everything; the key is used at once.
    SettleIn,
    CreateKey,
    UseKeys,
    EnableMfa,
    UploadCertificate,
    UpdatePassword,
}

/// A fault, as `FaultKind` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Trouble {
    Throttle,
    Error500,
    Timeout,
    Drop,
    DropAfter,
    Denied,
    Stale,
    Hollow,
    Garbled,
    Conflict,
    Partial,
}

/// A mishap, as `Mishap` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ends {
    Crash,
    Panic,
    AnswerLost,
}

/// Calls that Unroot makes.
const OPERATIONS: [&str; 32] = [
    "*",
    "sts:*",
    "sts:AssumeRoot",
    "iam:*",
    "iam:GetAccountSummary",
    "iam:GetLoginProfile",
    "iam:ListAccessKeys",
    "iam:ListMFADevices",
    "iam:CreateLoginProfile",
    "iam:DeleteLoginProfile",
    "iam:DeleteAccessKey",
    "iam:DeactivateMFADevice",
    "organizations:*",
    "organizations:ListAccounts",
    "organizations:DescribeAccount",
    "organizations:DescribeOrganization",
    "dynamodb:*",
    "dynamodb:Query",
    "dynamodb:BatchGetItem",
    "dynamodb:TransactWriteItems",
    "dynamodb:DeleteItem",
    "s3:PutObject",
    "s3:GetBucketPolicy",
    "s3:DeleteBucketPolicy",
    "events:PutEvents",
    "sqs:*",
    "sqs:SetQueueAttributes",
    "sqs:GetQueueAttributes",
    "scheduler:*",
    "scheduler:CreateSchedule",
    "scheduler:UpdateSchedule",
    "scheduler:DeleteSchedule",
];

impl Scenario {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let deployment = if rng.u8(0..8) == 0 { Deployment::Audit } else { Deployment::Enforce };
        let pace = pick(&mut rng, &[Pace::Even, Pace::Uneven, Pace::Uneven, Pace::Slow]);
        let leftovers = [Leftovers::Nothing, Leftovers::Password, Leftovers::KeyInUse, Leftovers::Everything];
        let shop = pick(&mut rng, &leftovers);
        let mut happenings = Vec::new();
        // Things happen close to one another, and some of them when a window ends.
        let mut moments = vec![0, rng.u64(0..120_000)];
        if rng.bool() {
            let at = rng.u64(0..20_000);
            let minutes = pick(&mut rng, &[15, 15, 16, 30]);
            happenings
                .push(Happening { at, what: What::Operator(Request::Open { account: SHOP.to_owned(), minutes }) });
            let ends = at + u64::from(minutes) * 60_000;
            moments.extend([at + 12_000, ends, ends, ends + 60_000, rng.u64(at..ends)]);
        }
        for _ in 0..rng.u32(1..9) {
            let around = pick(&mut rng, &moments);
            let spread = pick(&mut rng, &[100, 3_000, 20_000, 120_000]);
            let at = (around + rng.u64(0..spread)).saturating_sub(spread / 2);
            happenings.push(Happening { at, what: something(&mut rng) });
        }
        for _ in 0..pick(&mut rng, &[0, 0, 1, 1, 2, 3]) {
            let around = pick(&mut rng, &moments);
            let at = (around + rng.u64(0..20_000)).saturating_sub(10_000);
            happenings.push(Happening { at, what: fault(&mut rng) });
        }
        for _ in 0..pick(&mut rng, &[0, 0, 0, 1, 1, 2]) {
            let mishap = pick(&mut rng, &[Ends::Crash, Ends::Panic, Ends::AnswerLost]);
            // Most invocations wait some tens of times, an audit some hundreds.
            let most = pick(&mut rng, &[20, 80, 300]);
            let accident = What::Accident { invocation: rng.u64(1..7), after: rng.u32(0..most), mishap };
            happenings.push(Happening { at: 0, what: accident });
        }
        happenings.sort_by_key(|happening| happening.at);
        Self { seed, deployment, pace, shop, is_watched: rng.bool(), happenings }
    }

    pub(crate) fn disorder(&self) -> Disorder {
        let even = Disorder {
            seed: self.seed,
            latency: Duration::from_millis(60),
            slow_one_in: 0,
            slow: Duration::ZERO,
            twice_one_in: 0,
            late_one_in: 0,
            late: Duration::ZERO,
        };
        let uneven = Disorder {
            latency: Duration::from_millis(300),
            slow_one_in: 20,
            slow: Duration::from_secs(8),
            twice_one_in: 8,
            late_one_in: 4,
            late: Duration::from_mins(4),
            ..even
        };
        match self.pace {
            Pace::Even => even,
            Pace::Uneven => uneven,
            Pace::Slow => Disorder { latency: Duration::from_secs(3), slow_one_in: 8, ..uneven },
        }
    }

    /// How long things happen.
    pub(crate) fn lasts(&self) -> Duration {
        let last = self.happenings.iter().map(|happening| happening.at).max().unwrap_or_default();
        Duration::from_millis(last) + WINDOW
    }
}

fn something(rng: &mut Rng) -> What {
    let account = if rng.u8(0..5) == 0 { OTHER } else { SHOP }.to_owned();
    match rng.u8(0..20) {
        0..=1 => What::Schedule,
        2 => What::Operator(Request::AuditEverything),
        3..=4 => What::Operator(Request::AuditAccount(account)),
        5..=6 => What::Operator(Request::Open { account, minutes: pick(rng, &[15, 16, 20, 30]) }),
        7..=8 => What::Operator(Request::Close { account }),
        9 => pick(
            rng,
            &[
                What::Operator(Request::List),
                What::Operator(Request::UnlockBucket { replace: false }),
                What::Operator(Request::UnlockBucket { replace: true }),
                What::Operator(Request::UnlockQueue { replace: false }),
                What::Operator(Request::UnlockQueue { replace: true }),
            ],
        ),
        10 => What::Joins { is_invited: rng.bool(), ready_after_seconds: pick(rng, &[0, 0, 90, 400]) },
        11 => What::Redrive,
        12 => What::ForeignSession { account },
        13 => match rng.u8(0..4) {
            0 => What::Suspended { account },
            _ => What::Root { account: EXEMPT.to_owned(), does: RootDoes::SignIn },
        },
        _ => What::Root {
            account,
            does: pick(
                rng,
                &[
                    RootDoes::SignIn,
                    RootDoes::SignInWrongly,
                    RootDoes::RecoverPassword,
                    RootDoes::SettleIn,
                    RootDoes::SettleIn,
                    RootDoes::CreateKey,
                    RootDoes::UseKeys,
                    RootDoes::EnableMfa,
                    RootDoes::UploadCertificate,
                    RootDoes::UpdatePassword,
                ],
            ),
        },
    }
}

fn fault(rng: &mut Rng) -> What {
    let kinds = [
        Trouble::Throttle,
        Trouble::Error500,
        Trouble::Timeout,
        Trouble::Drop,
        Trouble::DropAfter,
        Trouble::DropAfter,
        Trouble::Denied,
        Trouble::Stale,
        Trouble::Hollow,
        Trouble::Garbled,
        Trouble::Conflict,
        Trouble::Partial,
    ];
    What::Fault {
        operation: pick(rng, &OPERATIONS).to_owned(),
        kind: pick(rng, &kinds),
        account: (rng.u8(0..4) == 0).then(|| SHOP.to_owned()),
        times: pick(rng, &[Some(1), Some(1), Some(3), Some(9), Some(40), None]),
        seconds: pick(rng, &[20, 120, 1_200, 7_200]),
    }
}

fn pick<T: Clone>(rng: &mut Rng, choices: &[T]) -> T {
    rng.choice(choices).expect("there is a choice").clone()
}

impl Trouble {
    fn kind(self) -> FaultKind {
        match self {
            Self::Throttle => FaultKind::Throttle,
            Self::Error500 => FaultKind::Error500,
            Self::Timeout => FaultKind::Timeout,
            Self::Drop => FaultKind::Drop,
            Self::DropAfter => FaultKind::DropAfter,
            Self::Denied => FaultKind::Denied,
            Self::Stale => FaultKind::Stale(1),
            Self::Hollow => FaultKind::Hollow,
            Self::Garbled => FaultKind::Garbled,
            Self::Conflict => FaultKind::Conflict,
            Self::Partial => FaultKind::Partial,
        }
    }
}

impl What {
    /// The fault that it is, if it is one, from this moment on.
    pub(crate) fn fault(&self, now: time::OffsetDateTime) -> Option<Fault> {
        let Self::Fault { operation, kind, account, times, seconds } = self else { return None };
        let fault = Fault::at(operation, kind.kind()).until(now + Duration::from_secs(*seconds));
        let fault = match account {
            Some(account) => fault.in_account(account.parse().expect("an account id")),
            None => fault,
        };
        Some(match times {
            Some(times) => fault.times(*times),
            None => fault,
        })
    }
}

impl Ends {
    pub(crate) fn accident(self, after: u32) -> Accident {
        let mishap = match self {
            Self::Crash => Mishap::Crash,
            Self::Panic => Mishap::Panic,
            Self::AnswerLost => Mishap::AnswerLost,
        };
        Accident { mishap, after }
    }
}
