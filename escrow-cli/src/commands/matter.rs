//! `escrow matter`: the cases that requests belong to.

use super::matter_show::{self, Show};
use crate::confirm::{Repeat, confirm_matter};
use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::Shown;
use crate::quorum::{reach, with_receipts};
use crate::session::{Global, Session};
use crate::titles::{self, Title};
use clap::{Args, Subcommand};
use escrow_client::Client;
use escrow_core::MatterId;
use escrow_core::matter::MatterAction;
use escrow_core::wire::MatterInfo;
use serde_json::{Value, json};

/// What to do with matters.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open a matter
    #[command(before_help = examples![
        "escrow matter create MAT-2026-0017 --title \"Supplier audit\"",
        "escrow matter create MAT-2026-0018 --title \"Lunch receipts\" --receipts receipts",
    ])]
    Create(Create),
    /// List matters
    #[command(before_help = examples![
        "escrow matter list",
        "escrow matter list --output json",
    ])]
    List,
    /// Show one matter: custodians, requests, releases, exports, and where each is on record
    #[command(
        before_help = examples![
        "escrow matter show MAT-2026-0017",
        "escrow matter show MAT-2026-0017 --no-log --output json",
    ]
    )]
    Show(Show),
    /// Close a matter: nothing of it is released any more, until it is reopened
    #[command(
        before_help = examples![
        "escrow matter close MAT-2026-0017",
        "escrow matter close MAT-2026-0017 --yes --matter MAT-2026-0017",
    ]
    )]
    Close(Act),
    /// Reopen a closed matter: its requests that have not expired can be released again
    #[command(
        before_help = examples![
        "escrow matter reopen MAT-2026-0017",
        "escrow matter reopen MAT-2026-0017 --yes --matter MAT-2026-0017",
    ]
    )]
    Reopen(Act),
}

/// Arguments of `matter close` and `matter reopen`.
#[derive(Clone, Debug, Args)]
pub struct Act {
    /// Its name
    pub matter: MatterId,
    /// Confirmation
    #[command(flatten)]
    pub confirm: Repeat,
}

/// Arguments of `matter create`.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// Its name, an opaque code such as MAT-2026-0017; nodes see it
    pub matter: MatterId,
    /// What colleagues call it; stays on this machine, nodes hold a salted commitment
    #[arg(long)]
    pub title: String,
}

/// Runs `matter`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    match command {
        Command::Create(a) => create(&session, &client, a).await,
        Command::List => list(&session, &client).await,
        Command::Show(a) => matter_show::show(&session, &client, a).await,
        Command::Close(a) => close(&client, a).await,
        Command::Reopen(a) => reopen(&client, a).await,
    }
}

/// `matter create`.
///
/// # Errors
/// [`Failure`].
pub async fn create(session: &Session, client: &Client, a: &Create) -> Result<Shown, Failure> {
    // Without this, an existing matter would be reported by every node in turn.
    if known(client).await?.iter().any(|m| m.matter == a.matter) {
        return Err(Failure::new(Exit::Denied, "matter-chain", format!("matter {} exists already", a.matter))
            .next(format!("escrow matter show {}", a.matter)));
    }
    let title = Title::new(a.title.clone());
    let envelope = client.matter(a.matter.clone(), MatterAction::Open, None, title.commitment())?;
    titles::add(&session.context.titles, &a.matter, title)?;
    let submitted = client.submit(&envelope).await?;
    Ok(with_receipts(
        Shown::new("escrow.matter.create.v1").text(format!("Matter {} is open.", a.matter)),
        client,
        &submitted,
    )
    .with("matter", a.matter.as_str()))
}

/// `matter close`.
///
/// # Errors
/// [`Failure`].
pub async fn close(client: &Client, a: &Act) -> Result<Shown, Failure> {
    let m = find(client, &a.matter).await?;
    if m.state == MatterAction::Close {
        return Err(Failure::new(
            Exit::Denied,
            "matter-closed",
            format!("{} closed matter {} before, at {}", m.by, m.matter, m.logged),
        )
        .next(format!("nothing; to open it again: escrow matter reopen {}", m.matter)));
    }
    confirm_matter(&a.confirm, &m.matter, &format!("You close {}. Nothing of it is released any more.", m.matter))?;
    let envelope = client.matter(m.matter.clone(), MatterAction::Close, Some(m.head), m.title)?;
    let submitted = client.submit(&envelope).await?;
    Ok(with_receipts(Shown::new("escrow.matter.close.v1"), client, &submitted)
        .text(format!("Matter {} is closed. {}", m.matter, reach(&submitted)))
        .with("matter", m.matter.as_str())
        .with("stops_releases_against", submitted.stops_releases_against()))
}

/// `matter reopen`.
///
/// # Errors
/// [`Failure`].
pub async fn reopen(client: &Client, a: &Act) -> Result<Shown, Failure> {
    let m = find(client, &a.matter).await?;
    if m.state != MatterAction::Close {
        return Err(Failure::new(Exit::Denied, "matter-chain", format!("matter {} is open", m.matter))
            .next(format!("escrow matter show {}", m.matter)));
    }
    let what = format!("You reopen {}. Its requests that have not expired can be released again.", m.matter);
    confirm_matter(&a.confirm, &m.matter, &what)?;
    let envelope = client.matter(m.matter.clone(), MatterAction::Reopen, Some(m.head), m.title)?;
    let shown = Shown::new("escrow.matter.reopen.v1").with("matter", m.matter.as_str());
    let refused = match client.submit(&envelope).await {
        Ok(submitted) => {
            return Ok(with_receipts(shown, client, &submitted).text(format!("Matter {} is open again.", m.matter)));
        }
        Err(e) => e,
    };
    // Where somebody reopened it before, a node has nothing to follow: what counts is where it is open now.
    let open = client.matter_at(&m.matter).await.and_then(|_, m| Ok(m.is_some_and(|m| m.state != MatterAction::Close)));
    let (open, nodes) = (open.good().filter(|(_, open)| **open).count(), client.nodes().len());
    if open < client.t() || refused.outcomes().count() == 0 {
        return Err(refused.into());
    }
    Ok(shown.text(format!("Matter {} is open at {open} of {nodes} nodes.", m.matter)).with("open_at", open))
}

/// The matter of this name, as the nodes know it.
///
/// # Errors
/// [`Failure`], if none does.
pub(super) async fn find(client: &Client, matter: &MatterId) -> Result<MatterInfo, Failure> {
    known(client).await?.into_iter().find(|m| m.matter == *matter).ok_or_else(|| {
        Failure::new(Exit::Denied, "matter-unknown", format!("no node knows matter {matter}"))
            .next("escrow matter list")
    })
}

async fn known(client: &Client) -> Result<Vec<MatterInfo>, Failure> {
    let answer = client.matters().await;
    if answer.outcomes.count() == 0 {
        let (exit, rule) = crate::failure::of_nodes(&answer.outcomes, 1);
        return Err(Failure::new(exit, rule, "no node says which matters it knows").nodes(&answer.outcomes));
    }
    Ok(answer.value)
}

/// What the last act makes of a matter.
pub(super) const fn state(action: MatterAction) -> &'static str {
    match action {
        MatterAction::Open | MatterAction::Reopen => "open",
        MatterAction::Close => "closed",
    }
}

/// What machines are told about a matter, in lists and alone.
pub(super) fn value(m: &MatterInfo, title: Option<&Title>) -> Value {
    json!({
        "matter": m.matter, "state": state(m.state), "by": m.by, "since": m.logged, "head": m.head,
        "title": title.map(|t| t.title.as_str()), "title_commitment": m.title,
    })
}

async fn list(session: &Session, client: &Client) -> Result<Shown, Failure> {
    let (known, titles) = (known(client).await?, titles::load(&session.context.titles)?);
    let title = |m: &MatterInfo| titles.get(&m.matter).map(|t| t.title.clone()).unwrap_or_default();
    let rows = known
        .iter()
        .map(|m| vec![m.matter.to_string(), state(m.state).into(), m.by.to_string(), m.logged.to_string(), title(m)]);
    let list = known.iter().map(|m| value(m, titles.get(&m.matter))).collect::<Vec<_>>();
    Ok(Shown::new("escrow.matter.list.v1")
        .table(&["matter", "state", "by", "since", "title"], rows.collect())
        .list_of("matters")
        .with("matters", list))
}
