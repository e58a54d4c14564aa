//! `escrow approve`, `deny`, `recuse`: one person's decision on one request.

use super::{recover, request};
use crate::confirm::{Consent, confirm};
use crate::explain::{assessment, by_node};
use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::{Shown, note};
use crate::quorum::{by_prefix, reach, with_receipts};
use crate::session::{Global, Session};
use clap::Args;
use escrow_client::{Client, Identity, KnownRecovery, KnownRequest, now};
use escrow_core::decision::Choice;
use escrow_core::{Code, Digest, Role};

/// Arguments of `approve`.
#[derive(Clone, Debug, Args)]
#[command(before_help = examples![
    "escrow approve 3f1c90aa",
    "escrow approve $HASH --yes --request-hash $HASH",
])]
pub struct Approve {
    /// The request's hash, or the beginning of it
    pub request: String,
    /// The role in which you decide [default: the only approver role you hold]
    #[arg(long)]
    pub role: Option<Role>,
    /// A code for the reason; no names
    #[arg(long, default_value = "approved")]
    pub reason: Code,
    /// Confirmation
    #[command(flatten)]
    pub confirm: Consent,
}

/// Arguments of `deny`.
#[derive(Clone, Debug, Args)]
#[command(before_help = examples![
    "escrow deny 3f1c90aa --reason too-broad",
    "escrow deny $HASH --reason too-broad --yes --request-hash $HASH",
])]
pub struct Deny {
    /// The request's hash, or the beginning of it
    pub request: String,
    /// A code for the reason; no names
    #[arg(long)]
    pub reason: Code,
    /// The role in which you decide [default: the only approver role you hold]
    #[arg(long)]
    pub role: Option<Role>,
    /// Confirmation
    #[command(flatten)]
    pub confirm: Consent,
}

/// Arguments of `recuse`.
#[derive(Clone, Debug, Args)]
#[command(before_help = examples![
    "escrow recuse 3f1c90aa",
    "escrow recuse $HASH --reason line-manager --yes --request-hash $HASH",
])]
pub struct Recuse {
    /// The request's hash, or the beginning of it
    pub request: String,
    /// A code for the reason; no names
    #[arg(long, default_value = "conflict-of-interest")]
    pub reason: Code,
    /// The role in which you decide [default: the only approver role you hold]
    #[arg(long)]
    pub role: Option<Role>,
    /// Confirmation
    #[command(flatten)]
    pub confirm: Consent,
}

/// Runs `approve`.
///
/// # Errors
/// [`Failure`].
pub async fn approve(global: &Global, a: &Approve) -> Result<Shown, Failure> {
    run(global, &a.request, Choice::Approve, a.role.as_ref(), &a.reason, &a.confirm).await
}

/// Runs `deny`.
///
/// # Errors
/// [`Failure`].
pub async fn deny(global: &Global, a: &Deny) -> Result<Shown, Failure> {
    run(global, &a.request, Choice::Deny, a.role.as_ref(), &a.reason, &a.confirm).await
}

/// Runs `recuse`.
///
/// # Errors
/// [`Failure`].
pub async fn recuse(global: &Global, a: &Recuse) -> Result<Shown, Failure> {
    run(global, &a.request, Choice::Recuse, a.role.as_ref(), &a.reason, &a.confirm).await
}

/// What is decided on.
#[allow(clippy::large_enum_variant, reason = "one for each command")]
pub(crate) enum Asked {
    Request(KnownRequest),
    Recovery(KnownRecovery),
}

impl Asked {
    /// The one request or self-recovery whose hash begins so.
    pub(crate) async fn find(client: &Client, typed: &str) -> Result<Self, Failure> {
        let requests = request::known(client).await?;
        let recoveries = recover::known(client).await?;
        let begins = typed.to_ascii_lowercase();
        let recovery = recoveries.iter().any(|r| r.digest.to_string().starts_with(&begins));
        let both = recovery && requests.iter().any(|r| r.digest.to_string().starts_with(&begins));
        if both {
            return Err(Failure::usage(format!("a request and a self-recovery begin with {typed}; type more digits")));
        }
        if recovery {
            let all = recoveries.iter().map(|r| (r.digest, r));
            return by_prefix("self-recovery", typed, all).cloned().map(Self::Recovery);
        }
        by_prefix("request", typed, requests.iter().map(|r| (r.digest, r))).cloned().map(Self::Request)
    }

    pub(crate) const fn digest(&self) -> Digest {
        match self {
            Self::Request(r) => r.digest,
            Self::Recovery(r) => r.digest,
        }
    }

    /// The command that collects it.
    pub(crate) const fn collect(&self) -> &'static str {
        match self {
            Self::Request(_) => "escrow release collect",
            Self::Recovery(_) => "escrow recover collect",
        }
    }

    fn state(&self) -> &'static str {
        match self {
            Self::Request(r) => r.state(now()),
            Self::Recovery(r) => r.state(now()),
        }
    }

    /// What has to be typed to confirm: not a reflex, but something that was read.
    fn word(&self) -> String {
        match self {
            Self::Request(r) => r.request.matter.to_string(),
            Self::Recovery(r) => r.digest.short(),
        }
    }

    async fn numbers(&self, session: &Session, client: &Client) -> Result<Shown, Failure> {
        let shown = Shown::new("escrow.decision.v1");
        match self {
            Self::Request(r) => request::full_numbers(shown, session, client, r).await,
            Self::Recovery(r) => recover::numbers(shown, session, client, r).await,
        }
    }
}

async fn run(
    global: &Global,
    typed: &str,
    choice: Choice,
    role: Option<&Role>,
    reason: &Code,
    consent: &Consent,
) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    if choice == Choice::Deny && matches!(client.identity(), Identity::Device(_)) {
        return Err(Failure::new(Exit::Key, "not-entitled", "a device cannot decide on requests")
            .next(format!("escrow recover veto {typed}, or: escrow consent withdraw")));
    }
    let role = client.approver_role(role)?;
    let asked = Asked::find(&client, typed).await?;
    // The person reads what they decide on before anything is asked or signed.
    let mut shown = asked.numbers(&session, &client).await?;
    if asked.state() == "open" {
        let verdicts = client.verdicts(&asked.digest()).await;
        let (sentence, _) = assessment(&client, &verdicts, asked.collect(), &asked.digest());
        shown = by_node(shown, &client, &verdicts, Into::into).text(sentence);
    }
    note(&shown.human(false));
    let short = asked.digest().short();
    let what = match choice {
        Choice::Approve => format!("You approve {short} as {role}."),
        Choice::Deny => format!("You deny {short} as {role}. This ends it."),
        Choice::Recuse => format!("You step aside from {short}; you cannot approve it later."),
    };
    confirm(consent, &asked.digest(), &asked.word(), &what)?;
    if choice == Choice::Approve && asked.state() == "cancelled" {
        return Err(Failure::new(Exit::Denied, "request-cancelled", "the requestor cancelled it"));
    }
    decide(&client, asked.digest(), choice, role, reason.clone()).await
}

/// Signs and submits a decision on a request or self-recovery.
///
/// # Errors
/// [`Failure`].
pub async fn decide(
    client: &Client,
    request: Digest,
    choice: Choice,
    role: Role,
    reason: Code,
) -> Result<Shown, Failure> {
    let envelope = client.decision(request, choice, role, reason)?;
    let submitted = client.submit(&envelope).await?;
    let shown = with_receipts(Shown::new("escrow.decision.v1"), client, &submitted)
        .with("request_hash", request.to_string())
        .with("choice", choice.name());
    Ok(if choice == Choice::Approve { shown } else { shown.text(reach(&submitted)) })
}
