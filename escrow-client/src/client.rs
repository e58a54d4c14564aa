//! The client: a verified charter chain, the ways to its seats, and who acts.

use crate::charters::{Charters, ChartersError};
use crate::clock::now;
use crate::identity::{Identity, SignError};
use crate::outcome::{NodeError, Outcomes};
use crate::transport::{Node, fan_out};
use escrow_core::query::{Query, Question};
use escrow_core::{Digest, Envelope, Kind, Nonce, SeatIndex, Statement};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Everything an act needs. Cheap to clone; clones share the identity.
#[derive(Clone, Debug)]
pub struct Client {
    charters: Arc<Charters>,
    nodes: Arc<[Node]>,
    identity: Arc<Identity>,
}

/// What [`Client::refresh`] found.
#[derive(Debug)]
#[must_use]
pub struct Refreshed {
    /// How many newer versions were taken over.
    pub adopted: usize,
    /// A newer version that is validly signed and not yet in force at t nodes.
    pub waiting: Option<Digest>,
    /// Which charter each asked node has in force; nodes asked last may be missing.
    pub in_force: Outcomes<Digest>,
}

impl Client {
    /// From a verified chain and whoever acts.
    ///
    /// # Errors
    /// [`NodeError::Protocol`] if this machine cannot make a TLS client.
    pub fn new(charters: Charters, identity: impl Into<Arc<Identity>>) -> Result<Self, NodeError> {
        let nodes = charters.current().seats.iter().map(Node::new).collect::<Result<_, _>>()?;
        Ok(Self { charters: Arc::new(charters), nodes, identity: identity.into() })
    }

    /// The same chain and nodes for somebody else.
    #[must_use]
    pub fn acting_as(&self, identity: impl Into<Arc<Identity>>) -> Self {
        Self { identity: identity.into(), ..self.clone() }
    }

    /// The verified chain.
    pub fn charters(&self) -> &Charters {
        &self.charters
    }

    /// Who acts.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// All seats of the charter.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One seat.
    pub fn node(&self, seat: SeatIndex) -> Option<&Node> {
        self.nodes.iter().find(|n| n.seat() == seat)
    }

    /// The serving seats of a generation.
    pub fn members(&self, generation: u32) -> Vec<Node> {
        let members = self.charters.current().generation(generation).map(|g| g.members.as_slice()).unwrap_or_default();
        self.nodes.iter().filter(|n| members.contains(&n.seat())).cloned().collect()
    }

    /// The threshold of the current generation.
    pub fn t(&self) -> usize {
        usize::from(self.charters.generation().t)
    }

    /// Signs a statement as whoever acts.
    ///
    /// # Errors
    /// [`SignError`] if the statement breaks a rule of its own kind, or an agent does not sign.
    pub fn sign<T: Statement>(&self, statement: &T) -> Result<Envelope, SignError> {
        self.identity.sign(statement)
    }

    /// Signs a question to one node.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn query(&self, seat: SeatIndex, what: Question) -> Result<Envelope, SignError> {
        self.sign(&Query {
            kind: Kind::Query,
            org: self.charters.current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters.digest(),
            by: self.identity.caller(),
            seat,
            what,
            at: now(),
        })
    }

    /// [`Client::query`], with a failure in the words of whoever asks a node.
    pub(crate) fn signed_query(&self, seat: SeatIndex, what: Question) -> Result<Envelope, NodeError> {
        self.query(seat, what).map_err(|e| match e {
            SignError::Agent(e) => NodeError::Unsigned(format!("{e}; {}", e.next_step())),
            e => NodeError::Protocol(format!("the question is refused here: {e}")),
        })
    }

    /// Asks one node a question; the node logs that it was asked.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn ask<T: DeserializeOwned>(&self, node: &Node, what: Question) -> Result<T, NodeError> {
        let query = self.signed_query(node.seat(), what)?;
        node.query(&query).await
    }

    /// Asks all nodes the same question.
    pub async fn ask_all<T: DeserializeOwned + Send + 'static>(&self, what: Question) -> Outcomes<T> {
        fan_out(&self.nodes, |node| {
            let (client, what) = (self.clone(), what.clone());
            async move { client.ask(&node, what).await }
        })
        .await
    }

    /// Looks for newer charters at the nodes and takes over those that verify and that t nodes
    /// have in force. Does not wait for slow nodes once t agree.
    ///
    /// # Errors
    /// [`ChartersError::Fork`]. No node within reach is no error: the pinned chain still holds.
    pub async fn refresh(&mut self) -> Result<Refreshed, ChartersError> {
        let found = newer_charters(&self.charters, &self.nodes).await?;
        let mut adopted = 0;
        // Making TLS clients worked for the old seats; if it fails now, the old chain stays.
        if let Some(newer) = found.newer.and_then(|c| Self::new(c, Arc::clone(&self.identity)).ok()) {
            adopted = newer.charters.envelopes().len() - self.charters.envelopes().len();
            *self = newer;
        }
        Ok(Refreshed { adopted, waiting: found.waiting, in_force: found.in_force })
    }
}

/// What nodes say of newer charters.
pub(crate) struct Newer {
    /// The chain up to the newest version that t nodes have in force, if that is newer.
    pub(crate) newer: Option<Charters>,
    waiting: Option<Digest>,
    in_force: Outcomes<Digest>,
}

/// Asks for newer charters and verifies them; does not wait for slow nodes once t agree.
///
/// # Errors
/// [`ChartersError::Fork`].
pub(crate) async fn newer_charters(charters: &Charters, nodes: &[Node]) -> Result<Newer, ChartersError> {
    let t = usize::from(charters.generation().t);
    let mut tasks = JoinSet::new();
    for node in nodes {
        let node = node.clone();
        tasks.spawn(async move {
            let answer = async { Ok((node.status().await?.charter, node.charters().await?)) };
            (node.seat(), answer.await)
        });
    }
    let mut offered: Vec<Envelope> = Vec::new();
    let mut in_force = Outcomes::new();
    let mut tally: BTreeMap<Digest, usize> = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        let Ok((seat, answer)) = done else { continue };
        in_force.0.insert(
            seat,
            answer.map(|(digest, envelopes): (Digest, Vec<Envelope>)| {
                for e in envelopes {
                    if offered.iter().all(|o| o.digest() != e.digest()) {
                        offered.push(e);
                    }
                }
                *tally.entry(digest).or_default() += 1;
                digest
            }),
        );
        if tally.values().any(|n| *n >= t) {
            break;
        }
    }
    let known = charters.extended(&offered)?;
    let versions = known.envelopes().len();
    let at = |d: &Digest| known.envelopes().iter().position(|e| e.digest() == *d);
    let reported: Vec<usize> = in_force.good().filter_map(|(_, d)| at(d)).collect();
    let have = charters.envelopes().len();
    let adopt = (have..versions).rev().find(|v| reported.iter().filter(|r| *r >= v).count() >= t);
    let waiting = (adopt.map_or(have, |v| v + 1) < versions).then(|| known.digest());
    let newer = adopt.and_then(|v| known.envelopes().get(v)).map(|e| known.up_to(&e.digest())).transpose()?;
    Ok(Newer { newer, waiting, in_force })
}
