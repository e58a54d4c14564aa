//! `escrow matter`: the cases that requests belong to.

use crate::failure::Failure;
use crate::help::examples;
use crate::output::Shown;
use crate::quorum::with_receipts;
use crate::session::{Global, Session};
use crate::titles::{self, Title};
use clap::{Args, Subcommand};
use escrow_client::Client;
use escrow_core::MatterId;
use escrow_core::matter::MatterAction;
use escrow_core::wire::MatterInfo;

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
        "escrow matter list --output jsonl",
    ])]
    List,
    /// Show one matter and its requests
    #[command(before_help = examples![
        "escrow matter show MAT-2026-0017",
        "escrow matter show MAT-2026-0017 --output json",
    ])]
    Show {
        /// Its name
        matter: MatterId,
    },
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
        Command::Show { matter } => show(&session, &client, matter).await,
    }
}

/// `matter create`.
///
/// # Errors
/// [`Failure`].
pub async fn create(session: &Session, client: &Client, a: &Create) -> Result<Shown, Failure> {
    // Without this, an existing matter would be reported by every node in turn.
    if known(client).await?.iter().any(|m| m.matter == a.matter) {
        return Err(Failure::new(
            crate::failure::Exit::Denied,
            "matter-chain",
            format!("matter {} exists already", a.matter),
        )
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

async fn known(client: &Client) -> Result<Vec<MatterInfo>, Failure> {
    let answer = client.matters().await;
    if answer.outcomes.count() == 0 {
        let (exit, rule) = crate::failure::of_nodes(&answer.outcomes, 1);
        return Err(Failure::new(exit, rule, "no node says which matters it knows").nodes(&answer.outcomes));
    }
    Ok(answer.value)
}

const fn state(action: MatterAction) -> &'static str {
    match action {
        MatterAction::Open | MatterAction::Reopen => "open",
        MatterAction::Close => "closed",
    }
}

async fn list(session: &Session, client: &Client) -> Result<Shown, Failure> {
    let (known, titles) = (known(client).await?, titles::load(&session.context.titles)?);
    let title = |m: &MatterInfo| titles.get(&m.matter).map(|t| t.title.clone()).unwrap_or_default();
    let rows = known
        .iter()
        .map(|m| vec![m.matter.to_string(), state(m.state).into(), m.by.to_string(), m.logged.to_string(), title(m)]);
    Ok(Shown::new("escrow.matter.list.v1")
        .table(&["matter", "state", "by", "since", "title"], rows.collect())
        .list_of("matters")
        .data("matters", &known))
}

async fn show(session: &Session, client: &Client, matter: &MatterId) -> Result<Shown, Failure> {
    let known = known(client).await?;
    let m = known.iter().find(|m| m.matter == *matter).ok_or_else(|| {
        Failure::new(crate::failure::Exit::Denied, "matter-unknown", format!("no node knows matter {matter}"))
            .next("escrow matter list")
    })?;
    let title = titles::load(&session.context.titles)?
        .get(matter)
        .map_or_else(|| "(not on this machine)".into(), |t| t.title.clone());
    let shown = Shown::new("escrow.matter.v1")
        .text(format!("Matter {matter}, {}: {title}", state(m.state)))
        .text(format!("Last act by {}, {}.", m.by, m.logged))
        .data("matter", m)
        .with("title", title);
    let requests = client.requests().await.value;
    let of_matter: Vec<_> = requests.iter().filter(|r| r.request.matter == *matter).collect();
    Ok(super::request::table(shown, session, &of_matter))
}
