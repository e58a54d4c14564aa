//! `escrow my`: what a subject can see about themselves.

use crate::failure::{Failure, of_nodes};
use crate::help::examples;
use crate::output::Shown;
use crate::session::{Global, Session};
use clap::Subcommand;
use escrow_client::{Client, Outcomes};
use escrow_core::query::Question;
use escrow_core::wire::ActivityInfo;
use serde_json::json;

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every request and release that touched my threads, node by node
    #[command(before_help = examples![
        "escrow my activity",
        "escrow my activity --output jsonl",
    ])]
    Activity,
}

/// Runs `my`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    match command {
        Command::Activity => activity(&client).await,
    }
}

/// `my activity`. Every node is asked: what one leaves out, another tells.
///
/// # Errors
/// [`Failure`].
pub async fn activity(client: &Client) -> Result<Shown, Failure> {
    client.identity().device()?;
    let answers: Outcomes<Vec<ActivityInfo>> = client.ask_all(Question::Activity).await;
    if answers.count() == 0 {
        let (exit, rule) = of_nodes(&answers, 1);
        return Err(Failure::new(exit, rule, "no node answered").nodes(&answers));
    }
    let mut all: Vec<_> = answers.good().flat_map(|(seat, list)| list.iter().map(move |a| (seat, a))).collect();
    all.sort_by_key(|(seat, a)| (a.at, *seat, a.seq));
    let rows = all.iter().map(|(seat, a)| {
        let basis = a.basis.map_or("-", |b| b.name()).to_owned();
        vec![
            a.at.to_string(),
            seat.to_string(),
            a.what.clone(),
            a.request.short(),
            a.matter.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            basis,
            a.items.to_string(),
        ]
    });
    let list = all.iter().map(|(seat, a)| json!({"node": seat, "activity": a})).collect::<Vec<_>>();
    let mut shown = Shown::new("escrow.my.activity.v1")
        .table(&["at", "node", "what", "request", "matter", "basis", "my keys"], rows.collect())
        .list_of("activity")
        .with("activity", list);
    for (seat, e) in answers.errors() {
        shown = shown.text(format!("node {seat}: {e}"));
    }
    Ok(shown)
}
