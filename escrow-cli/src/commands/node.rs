//! `escrow node`: how the nodes are.

use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::Shown;
use crate::session::{Global, Session};
use clap::Subcommand;
use escrow_client::{Node, fan_out};
use serde_json::json;

/// What to ask.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// State, charter and log of every node; needs no key
    #[command(before_help = examples![
        "escrow node status",
        "escrow node status --output jsonl",
    ])]
    Status,
}

/// Runs `node`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    match command {
        Command::Status => status(&Session::open(global)?).await,
    }
}

/// `node status`.
///
/// # Errors
/// [`Failure`] if this machine cannot make a TLS client. Nodes that are down are shown.
pub async fn status(session: &Session) -> Result<Shown, Failure> {
    let seats = &session.charters.current().seats;
    let nodes = seats.iter().map(Node::new).collect::<Result<Vec<_>, _>>()?;
    let outcomes = fan_out(&nodes, |node| async move { node.status().await }).await;
    let mut rows = Vec::new();
    let mut list = Vec::new();
    for seat in seats {
        let head = [seat.index.to_string(), seat.name.to_string(), seat.operator.to_string()];
        let (row, value) = match outcomes.0.get(&seat.index) {
            Some(Ok(s)) => (
                vec![s.state.clone(), s.size.to_string(), format!("v{}", s.charter_version), s.reason.clone()],
                json!({"node": seat.index, "name": seat.name, "url": seat.url, "status": s}),
            ),
            Some(Err(e)) => (
                vec!["-".into(), "-".into(), "-".into(), e.to_string()],
                json!({"node": seat.index, "name": seat.name, "url": seat.url, "error": e.code(), "detail": e.to_string()}),
            ),
            None => continue,
        };
        rows.push(head.into_iter().chain(row).collect());
        list.push(value);
    }
    let ready = outcomes.good().filter(|(_, s)| s.state == "READY").count();
    let t = usize::from(session.charters.generation().t);
    let exit = if ready < t { Exit::BelowThreshold } else { Exit::Ok };
    Ok(Shown::new("escrow.node.status.v1")
        .table(&["node", "name", "operator", "state", "entries", "charter", "remark"], rows)
        .text(format!("{ready} of {} nodes are READY; {t} are needed.", seats.len()))
        .with("ready", ready)
        .with("needed", t)
        .list_of("nodes")
        .with("nodes", list)
        .exit(exit))
}
