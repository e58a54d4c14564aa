//! `escrow approve`, `deny`, `recuse`: one person's decision on one request.

use super::request::{find, full_numbers};
use crate::confirm::{Consent, confirm};
use crate::failure::{Exit, Failure};
use crate::output::{Shown, note};
use crate::quorum::{reach, with_receipts};
use crate::session::{Global, Session};
use clap::Args;
use escrow_client::{Client, KnownRequest};
use escrow_core::decision::Choice;
use escrow_core::{Code, Role};

/// Arguments of `approve`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples: escrow approve 3f1c90aa\n          escrow approve 3f1c90aa --yes --request-hash 3f1c90aa..."
)]
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
#[command(after_help = "Example: escrow deny 3f1c90aa --reason too-broad")]
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
    let role = client.approver_role(role)?;
    let request = find(&client, typed).await?;
    // The person reads what they decide on before anything is asked or signed.
    note(&full_numbers(Shown::new("escrow.request.v1"), &session, &client, &request).await?.human(false));
    let what = match choice {
        Choice::Approve => format!("You approve request {} as {role}.", request.digest.short()),
        Choice::Deny => format!("You deny request {} as {role}. This ends it.", request.digest.short()),
        Choice::Recuse => {
            format!("You step aside from request {}; you cannot approve it later.", request.digest.short())
        }
    };
    confirm(consent, &request.digest, request.request.matter.as_str(), &what)?;
    decide(&client, &request, choice, role, reason.clone()).await
}

/// Signs and submits a decision.
///
/// # Errors
/// [`Failure`].
pub async fn decide(
    client: &Client,
    request: &KnownRequest,
    choice: Choice,
    role: Role,
    reason: Code,
) -> Result<Shown, Failure> {
    if request.state(escrow_client::now()) == "cancelled" && choice == Choice::Approve {
        return Err(Failure::new(Exit::Denied, "request-cancelled", "the requestor cancelled it"));
    }
    let envelope = client.decision(request.digest, choice, role, reason)?;
    let submitted = client.submit(&envelope).await?;
    let shown = with_receipts(Shown::new("escrow.decision.v1"), client, &submitted)
        .with("request_hash", request.digest.to_string())
        .with("choice", choice.name());
    Ok(if choice == Choice::Deny { shown.text(reach(&submitted)) } else { shown })
}
