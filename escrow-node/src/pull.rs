//! Restrictions travel: every few seconds each peer is asked for those it has logged since, so that
//! whoever talks only to the nodes that missed one gains nothing.
//!
//! A peer may lie, and may be slow on purpose: each has a task of its own, a deadline and a budget of
//! bytes, and nothing of it is kept but what could not be logged yet.

use crate::node::Node;
use crate::peers::PeerError;
use escrow_core::charter::Seat;
use escrow_core::wire::RestrictionAsk;
use escrow_core::{Envelope, Nonce};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Time between two looks at one peer.
const EVERY: Duration = Duration::from_secs(3);
/// Longest time for all pages of one look.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes of statements that a starting node keeps from one peer.
const KEEP_BYTES: usize = 64 * 1024 * 1024;
/// Statements of one peer that could not be logged, kept to be tried again: what they need may come later.
const AGAIN_MAX: usize = 1_000;

/// Pulls from every peer until the node stops. Seats change only with a restart.
pub(crate) async fn all(node: Arc<Node>) {
    let mut tasks = JoinSet::new();
    for seat in node.members(None).unwrap_or_default() {
        tasks.spawn(from_one(Arc::clone(&node), seat));
    }
    while tasks.join_next().await.is_some() {}
}

async fn from_one(node: Arc<Node>, seat: Seat) {
    let mut after = 0;
    let mut again: Vec<Envelope> = Vec::new();
    loop {
        tokio::time::sleep(EVERY).await;
        if !node.state().works() {
            continue;
        }
        let until = tokio::time::Instant::now() + PATIENCE;
        while let Ok(Ok(page)) = tokio::time::timeout_at(until, page(&node, &seat, after)).await {
            after = page.upto;
            let mut offered = std::mem::take(&mut again);
            offered.extend(page.statements);
            if !offered.is_empty() {
                match node.writer.run(move |e| e.take_over(&offered)).await {
                    Ok(refused) => again = refused.into_inner(),
                    Err(_) => return,
                }
            }
            if again.len() > AGAIN_MAX {
                tracing::warn!(seat = %seat.index, "a peer sends more statements that cannot be logged than are kept");
                again.truncate(AGAIN_MAX);
            }
            if page.complete {
                break;
            }
        }
    }
}

/// What a starting node, which may log nothing yet, learns from one peer: only what it does not know.
///
/// # Errors
/// [`PeerError`], also if the peer is too slow or sends too much.
pub(crate) async fn unknown(node: &Node, seat: &Seat) -> Result<Vec<Envelope>, PeerError> {
    let mut learnt = Vec::new();
    let mut bytes = 0;
    let mut after = 0;
    let pages = async {
        loop {
            let page = page(node, seat, after).await?;
            let unknown = node.writer.run(move |e| {
                let mut statements = page.statements;
                statements.retain(|s| e.facts().seen(&s.digest()).is_none());
                statements
            });
            let stopped = |_| PeerError::Protocol(seat.index, "this node has stopped".into());
            let unknown = unknown.await.map_err(stopped)?.into_inner();
            bytes += unknown.iter().map(|e| e.bytes().len()).sum::<usize>();
            if bytes > KEEP_BYTES {
                return Err(PeerError::Protocol(seat.index, "more restrictions than can be kept".into()));
            }
            learnt.extend(unknown);
            if page.complete {
                return Ok(());
            }
            after = page.upto;
        }
    };
    let late = |_| PeerError::Unreachable(seat.index, format!("not all restrictions within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, pages).await.map_err(late)??;
    Ok(learnt)
}

struct Page {
    statements: Vec<Envelope>,
    upto: u64,
    complete: bool,
}

async fn page(node: &Node, seat: &Seat, after: u64) -> Result<Page, PeerError> {
    let ask = RestrictionAsk {
        nonce: Nonce::random(),
        request: None,
        matter: None,
        consents: vec![],
        revocable: vec![],
        after,
    };
    let reply = node.peers.restrictions(seat, &ask).await?;
    if !reply.complete && reply.upto <= after {
        return Err(PeerError::Protocol(seat.index, "a page of restrictions that leads nowhere".into()));
    }
    let statements = reply.statements.iter().filter_map(|b| Envelope::parse(&b.0).ok()).collect();
    Ok(Page { statements, upto: reply.upto, complete: reply.complete })
}
