//! The release round of one node, the only path on which a share leaves: collect, authorise,
//! deliver (section 6 of the design).

use crate::engine::{Authorised, Delivered, Logged};
use crate::metrics;
use crate::node::Node;
use crate::state::State;
use crate::writer::{Committed, Stopped};
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_core::charter::Generation;
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::sharing::Share;
use escrow_core::wire::{ReleaseBody, RestrictionAsk};
use escrow_core::{Digest, Envelope, Nonce};
use escrow_policy::admit::{verify_call, verify_caller, verify_seat_statement};
use escrow_policy::facts::RequestFact;
use escrow_policy::gate::Gathered;
use escrow_policy::{Permit, Refusal, Rule};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Decisions that one call may hand over.
const DECISIONS_MAX: usize = 1_000;

/// After enough peers have answered, the others get this long.
const GRACE: Duration = Duration::from_millis(250);

/// Why a release does not happen.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// A rule of the gate.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node cannot work now.
    #[error("the node is {0}: {1}")]
    NotReady(&'static str, String),
    /// Too few peers answered or cosigned.
    #[error("{have} of {need} other nodes {what}; try again when more are up")]
    Peers {
        /// Peers that did.
        have: usize,
        /// Needed.
        need: usize,
        /// What they should have done.
        what: &'static str,
    },
    /// An envelope of the call is malformed.
    #[error("malformed release call: {0}")]
    Malformed(String),
    /// The writer stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Runs the round.
///
/// # Errors
/// [`ReleaseError`]; whatever was decided is in the log.
pub async fn release(node: &Arc<Node>, body: &ReleaseBody) -> Result<Delivered, ReleaseError> {
    let outcome = round(node, body).await;
    metrics::release(match &outcome {
        Ok(_) => "delivered",
        Err(ReleaseError::Refused(r)) => r.rule.code(),
        Err(ReleaseError::NotReady(..)) => "not-ready",
        Err(ReleaseError::Peers { .. }) => "peers-missing",
        Err(ReleaseError::Malformed(_)) => "malformed",
        Err(ReleaseError::Stopped(_)) => "stopped",
    });
    outcome
}

async fn round(node: &Arc<Node>, body: &ReleaseBody) -> Result<Delivered, ReleaseError> {
    match node.state() {
        s if s.works() => {}
        s => return Err(ReleaseError::NotReady(s.name(), s.reason())),
    }
    let parse = |b: &escrow_core::Blob| Envelope::parse(&b.0).map_err(|e| ReleaseError::Malformed(e.to_string()));
    if body.decisions.len() > DECISIONS_MAX || body.permits.len() > escrow_core::limits::SEATS_MAX {
        return Err(ReleaseError::Malformed(format!(
            "more than {DECISIONS_MAX} decisions, or more permits than seats"
        )));
    }
    let call = parse(&body.call)?;
    let permits: Vec<Envelope> = body.permits.iter().map(parse).collect::<Result<_, _>>()?;
    let mut presented = vec![parse(&body.request)?];
    for d in &body.decisions {
        presented.push(parse(d)?);
    }

    // Who calls is checked first; then a statement that this node missed is taken in from them.
    let opening = call.clone();
    let asked = node.writer.run(move |e| {
        verify_caller(e.facts(), &opening, e.now())?;
        e.take_over(&presented);
        let request = verify_call(e.facts(), &opening, e.now())?.statement().request;
        let case = e.facts().request(&request);
        let mut items = case.map(RequestFact::items).unwrap_or_default().iter().filter_map(|i| e.facts().item(i));
        let generation = items.next().map(|i| i.generation);
        let concerns = e.facts().concerns(&request);
        let ask = RestrictionAsk {
            nonce: Nonce::random(),
            request: Some(request),
            matter: concerns.matter,
            consents: concerns.consents.into_iter().collect(),
            revocable: concerns.revocable.into_iter().collect(),
            after: 0,
        };
        Ok::<_, Refusal>((ask, generation))
    });
    let (ask, generation) = asked.await?.into_inner()?;
    // Everything is meant per generation of the items: who is a peer, and how many are needed.
    let charter = node.charter();
    let of = generation.map_or_else(|| charter.current_generation(), |g| charter.generation(g));
    let need = of.map_or(usize::MAX, Generation::w);

    let since = Instant::now();
    let answers = collect(node, &ask, generation, need).await?;
    let authorise = node.writer.run(move |e| {
        let gathered = Gathered { permits: &permits, answers: &answers };
        e.authorise(&call, &gathered, since)
    });
    let authorised = authorise.await?.transpose()?;

    let (note, cosigned) = node.cosign_round(authorised.seq().saturating_add(1), need, generation).await;
    let Some(note) = note.filter(|_| cosigned >= need) else {
        node.writer.run(move |e| e.abort(authorised, "peers-missing")).await?;
        return Err(ReleaseError::Peers { have: cosigned, need, what: "cosigned the authorisation" });
    };
    deliver(node, authorised, note).await
}

/// Collect: restrictions from the peers, verified and logged. The first `need` signed answers are
/// waited for, the rest get a short grace.
async fn collect(
    node: &Arc<Node>,
    ask: &RestrictionAsk,
    generation: Option<u32>,
    need: usize,
) -> Result<Vec<Envelope>, ReleaseError> {
    let mut replies = node
        .each_peer(generation, |node, seat| {
            let ask = ask.clone();
            async move { node.peers.restrictions(&seat, &ask).await }
        })
        .await;
    let mut answers: BTreeMap<Digest, Envelope> = BTreeMap::new();
    let mut deadline = None;
    loop {
        let next = match deadline {
            None => replies.join_next().await,
            Some(at) => tokio::time::timeout_at(at, replies.join_next()).await.unwrap_or(None),
        };
        let Some(reply) = next else { break };
        let Ok((seat, Ok(reply))) = reply else { continue };
        let Some(answer) = reply.answer.and_then(|b| Envelope::parse(&b.0).ok()) else { continue };
        let statements: Vec<Envelope> = reply.statements.iter().filter_map(|b| Envelope::parse(&b.0).ok()).collect();
        let (asked, checked) = (ask.clone(), answer.clone());
        let good = node.writer.run(move |e| {
            let Ok(a) = verify_seat_statement::<RestrictionAnswer>(e.facts(), &checked, seat) else {
                e.take_over(&statements);
                return false;
            };
            let a = a.statement();
            e.take_over_answer(&statements, &a.restrictions);
            // A peer that names a restriction and withholds it proves nothing.
            let known = |r: &Digest| e.facts().seen(r).is_some() || e.facts().was_refused(r);
            a.asked == asked.nonce
                && a.asker == e.seat
                && a.request == asked.request
                && a.matter == asked.matter
                && a.consents == asked.consents
                && a.revocable == asked.revocable
                && a.restrictions.iter().all(known)
        });
        if good.await?.into_inner() {
            answers.insert(answer.digest(), answer);
        } else {
            tracing::warn!(%seat, "a peer's answer about restrictions is not usable");
        }
        if answers.len() >= need && deadline.is_none() {
            deadline = Some(tokio::time::Instant::now() + GRACE);
        }
    }
    if answers.len() < need {
        return Err(ReleaseError::Peers { have: answers.len(), need, what: "answered about restrictions" });
    }
    Ok(answers.into_values().collect())
}

/// Deliver: one job evaluates afresh, opens the shares after the permit, seals, and logs; the
/// reply comes out only when that is durable.
async fn deliver(
    node: &Arc<Node>,
    authorised: Committed<Logged<Authorised>>,
    note: VerifiedCheckpoint,
) -> Result<Delivered, ReleaseError> {
    if let State::Rollback(r) | State::Poisoned(r) = node.state() {
        return Err(ReleaseError::NotReady("stopped", r));
    }
    let shared = Arc::clone(node);
    let delivered = node.writer.run(move |e| e.deliver(authorised, &note, |permit| shares(&shared, permit))).await?;
    Ok(delivered.transpose()?.send())
}

/// This node's shares of the permitted items, opened in memory.
fn shares(node: &Node, permit: &Permit) -> Result<Vec<Share>, Refusal> {
    let lost = |item: &Digest| {
        Refusal::new(Rule::ItemUnknown, format!("the share of item {} is not in the live store", item.short()))
    };
    let open = |item: &Digest| {
        let row = node.read(|s| s.share(item)).ok().flatten().ok_or_else(|| lost(item))?;
        let (key, row) = row;
        node.vault.open(&key, permit.generation, &row).map_err(|_| lost(item))
    };
    permit.items.iter().map(open).collect()
}
