//! Start-up: an UNPROVEN node asks its peers for the newest note of its log that they cosigned.
//!
//! Every returned note must lie on this log's tree, else ROLLBACK; only then are restrictions
//! pulled and logged; READY when n-t+1 peers have answered. Until then nothing is appended,
//! signed or cosigned. A first boot and a power cut of all nodes end by themselves, because
//! UNPROVEN nodes answer each other.

use crate::behind;
use crate::engine::{Engine, Logged};
use crate::node::{Node, NodeError};
use crate::pull;
use crate::state::State;
use crate::store::Store;
use escrow_core::charter::{Charter, Generation, Seat};
use escrow_core::{Digest, Envelope, SeatIndex};
use escrow_policy::charter::Chain;
use escrow_policy::{Event, Refusal};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The charter chain that the operator accepted, genesis first.
#[derive(Debug, Clone)]
pub struct Accepted {
    chain: Chain,
    envelopes: Vec<Envelope>,
}

impl Accepted {
    /// Reads what `charter accept` recorded, and verifies it again.
    ///
    /// # Errors
    /// [`NodeError::Charter`].
    pub fn load(store: &Store) -> Result<Self, NodeError> {
        let mut envelopes = Vec::new();
        for bytes in store.accepted_charters()? {
            envelopes.push(Envelope::parse(&bytes).map_err(|e| NodeError::Charter(e.to_string()))?);
        }
        let genesis = envelopes.first().map(Envelope::digest);
        let genesis = genesis.ok_or_else(|| {
            NodeError::Charter("no charter accepted yet; run: escrow-node charter accept DIGEST --file FILE".into())
        })?;
        Self::new(&genesis, envelopes)
    }

    fn new(genesis: &Digest, envelopes: Vec<Envelope>) -> Result<Self, NodeError> {
        let chain = Chain::verify(genesis, &envelopes).map_err(|e| NodeError::Charter(e.to_string()))?;
        Ok(Self { chain, envelopes })
    }

    /// All versions, genesis first.
    pub fn charters(&self) -> impl Iterator<Item = &Charter> {
        self.chain.versions().iter().map(|c| c.charter())
    }

    /// Digest of the newest version.
    pub fn digest(&self) -> Digest {
        self.envelopes.last().map_or(Digest([0; 32]), Envelope::digest)
    }

    /// A seat as the newest version lists it that lists it so.
    pub(crate) fn listed(&self, seat: SeatIndex, so: impl Fn(&Seat) -> bool) -> Option<&Seat> {
        self.chain.versions().iter().rev().filter_map(|c| c.charter().seat(seat)).find(|s| so(s))
    }

    /// The newest version of it.
    ///
    /// # Errors
    /// [`NodeError::Charter`].
    pub fn newest(&self) -> Result<&Charter, NodeError> {
        self.chain.newest().map(|c| c.charter()).ok_or_else(|| NodeError::Charter("an empty charter chain".into()))
    }
}

/// `charter accept`: the operator accepts the version with this digest, and the chain up to it.
/// Works offline; the running node takes it over at its next start.
///
/// # Errors
/// [`NodeError::Charter`], if the chain does not verify or does not end in the digest.
pub fn accept(store: &mut Store, digest: &Digest, envelopes: Vec<Envelope>) -> Result<Accepted, NodeError> {
    let charter = |e: String| NodeError::Charter(e);
    let mut known = envelopes;
    for bytes in store.accepted_charters()? {
        known.push(Envelope::parse(&bytes).map_err(|e| charter(e.to_string()))?);
    }
    // From the version named back to the genesis: of a fork, only the branch that leads there.
    let mut chain: Vec<Envelope> = Vec::new();
    let mut at = Some(*digest);
    while let Some(wanted) = at {
        let missing = || {
            charter(format!("version {wanted} is not in the files given; compare the digest with the administrators"))
        };
        let envelope = known.iter().find(|e| e.digest() == wanted).ok_or_else(missing)?;
        at = envelope.decode::<Charter>().map_err(|e| charter(e.to_string()))?.previous;
        chain.insert(0, envelope.clone());
    }
    let genesis = chain.first().map_or(*digest, Envelope::digest);
    let accepted = Accepted::new(&genesis, chain)?;
    let bytes: Vec<Vec<u8>> = accepted.envelopes.iter().map(|e| e.bytes().to_vec()).collect();
    store.accept_charters(&bytes)?;
    Ok(accepted)
}

/// Runs until the node is READY; one that is behind what it signed stays in ROLLBACK.
pub(crate) async fn prove(node: Arc<Node>, accepted: Accepted) {
    let charter = node.charter();
    let Some(need) = charter.current_generation().map(Generation::start_quorum) else { return };
    let Some(own) = charter.seat(node.seat).cloned() else { return };
    let mut on_tree: BTreeSet<SeatIndex> = BTreeSet::new();
    let mut answered: BTreeSet<SeatIndex> = BTreeSet::new();
    let mut learnt: Vec<Envelope> = Vec::new();
    let mut known: BTreeSet<Digest> = BTreeSet::new();
    loop {
        let behind = matches!(node.state(), State::Rollback(_));
        if behind || on_tree.len() < need {
            heads(&node, &own, &mut on_tree).await;
        }
        if matches!(node.state(), State::Rollback(_)) {
            // Only a new log leads out. Peers that answer later may hold a newer head, which new-log has to name.
            tokio::time::sleep(LOOK_AGAIN).await;
            continue;
        }
        if on_tree.len() >= need {
            for e in restrictions(&node, &mut answered, need).await {
                if known.insert(e.digest()) {
                    learnt.push(e);
                }
            }
            if answered.len() >= need {
                match become_ready(&node, &accepted, learnt.clone(), answered.iter().copied().collect()).await {
                    Ok(()) => return node.set_state(State::Ready),
                    Err(e) => tracing::error!(error = %e, "cannot take over the accepted charter; trying again"),
                }
            }
        }
        let have = on_tree.len().min(need);
        node.set_state(State::Unproven(format!("{have} of {need} other nodes have proven this log; waiting for more")));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Time between two looks of a node in ROLLBACK at what its peers hold.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Asks every peer for its newest note of this log. One that is not on it ends in ROLLBACK.
async fn heads(node: &Arc<Node>, own: &Seat, on_tree: &mut BTreeSet<SeatIndex>) {
    let origin = own.log_origin.clone();
    let mut answers = node
        .each_peer(None, |node, seat| {
            let origin = origin.clone();
            async move { node.peers.witnessed(&seat, &origin).await }
        })
        .await;
    while let Some(answer) = answers.join_next().await {
        let Ok((seat, Ok(witnessed))) = answer else { continue };
        if let Some(note) = witnessed.note {
            match behind::signed(own, &note) {
                Some(head) if !node.has(&head).await => {
                    node.fall_behind(seat, &head).await;
                    continue;
                }
                Some(_) => {}
                // Not signed by this log's key: the peer lies or is confused; it proves nothing.
                None => continue,
            }
        }
        on_tree.insert(seat);
    }
}

/// Time that the others get once enough peers have answered.
const GRACE: Duration = Duration::from_millis(250);

/// Pulls all restrictions; the answers of nodes that are themselves UNPROVEN are taken too. Does not
/// wait for slow peers once `need` have answered.
async fn restrictions(node: &Arc<Node>, answered: &mut BTreeSet<SeatIndex>, need: usize) -> Vec<Envelope> {
    let mut answers = node.each_peer(None, |node, seat| async move { pull::unknown(&node, &seat).await }).await;
    let mut learnt = Vec::new();
    loop {
        let next = if answered.len() < need {
            answers.join_next().await
        } else {
            tokio::time::timeout(GRACE, answers.join_next()).await.unwrap_or(None)
        };
        match next {
            None => return learnt,
            Some(Ok((seat, Ok(statements)))) => {
                learnt.extend(statements);
                answered.insert(seat);
            }
            Some(_) => {}
        }
    }
}

/// The first entries of a proven node: an accepted charter, the restrictions it missed, and
/// aborts for authorisations that a stop interrupted.
pub(crate) async fn become_ready(
    node: &Arc<Node>,
    accepted: &Accepted,
    learnt: Vec<Envelope>,
    peers: Vec<SeatIndex>,
) -> Result<(), String> {
    let envelopes = accepted.envelopes.clone();
    let ready = node.writer.run(move |e| {
        let charter = take_over(e, &envelopes)?;
        e.take_over(&learnt);
        e.abort_leftovers();
        e.append(&Event::Ready { peers }, None)?;
        Ok::<_, Refusal>(charter)
    });
    let charter = ready.await.map_err(|stopped| stopped.to_string())?.transpose();
    node.set_charter(charter.map_err(|refusal| refusal.to_string())?);
    Ok(())
}

/// Logs the accepted chain as far as it is new, and gives the charter that is in force by the log.
fn take_over(e: &mut Engine, envelopes: &[Envelope]) -> Result<Logged<Charter>, Refusal> {
    if let Some(event) = e.continuation() {
        e.append(&event, None)?;
    }
    for envelope in envelopes {
        if e.facts().seen(&envelope.digest()).is_none() {
            let genesis = e.facts().genesis().is_none();
            let event = if genesis { Event::Genesis { seat: e.seat } } else { Event::Statement {} };
            e.append(&event, Some(envelope))?;
        }
    }
    let newest = envelopes.last().map(Envelope::digest);
    if let Some(charter) = newest.filter(|d| !e.facts().accepted().contains(d)) {
        e.append(&Event::CharterAccepted { charter }, None)?;
    }
    e.charter_in_force()
}
