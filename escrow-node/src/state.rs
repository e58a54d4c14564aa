//! Where a node stands, why, and the way out.

use crate::metrics;
use escrow_core::Digest;
use escrow_core::charter::Charter;
use std::sync::Mutex;
use tokio::sync::watch;

/// Where a node stands. READY, DEGRADED and FROZEN nodes append and sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Started; peers have not proven yet that this log is the newest one.
    Unproven(String),
    /// Everything works.
    Ready,
    /// Something is short: until it is back, some of the work is not done.
    Degraded(Vec<Trouble>),
    /// The node waits for its operator's decision on a charter: it logs and witnesses, and permits nothing.
    Frozen(Frozen),
    /// A peer holds a head that this log's key signed and that is not on it: a restored backup, or a second
    /// copy. Signs nothing.
    Rollback(String),
    /// An I/O error; the process ends.
    Poisoned(String),
}

/// What is short at a DEGRADED node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Too few peers cosign: nothing is released.
    Peers {
        /// Peers that cosigned the newest head.
        have: usize,
        /// Peers needed.
        need: usize,
    },
    /// Too little disk space: only restrictions are taken in, and other logs cosigned.
    Disk {
        /// Bytes free when it began.
        free: u64,
        /// Bytes that must be free for it to end.
        need: u64,
    },
    /// The clock is behind the log's last entry: entries repeat that entry's time.
    Clock {
        /// Seconds, when it began.
        behind_s: i64,
    },
}

/// What a FROZEN node waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// A valid newer charter is known that the operator has not accepted.
    Unaccepted(Digest),
    /// Two valid successors of one charter are known.
    Fork(Digest, Digest),
}

impl Trouble {
    fn reason(self) -> String {
        match self {
            Self::Peers { have, need } => {
                format!("{have} of the {need} peers needed cosign this log; nothing is released until they are back")
            }
            Self::Disk { free, need } => format!(
                "{free} bytes of disk space are free and {need} are needed; new deposits, requests and queries are \
                 refused (disk-low), restrictions are still logged"
            ),
            Self::Clock { behind_s } => {
                format!("the clock is {behind_s} s behind the log's last entry; entries repeat that entry's time")
            }
        }
    }

    const fn way_out(self) -> &'static str {
        match self {
            Self::Peers { .. } => "ask the operators of the other nodes; this ends by itself when enough are back",
            Self::Disk { .. } => "free space on the disk of data_dir or enlarge it; this ends by itself",
            Self::Clock { .. } => {
                "set the clock right (NTP); if it is right, the log's last time was wrong, and this ends when the clock \
                 has passed it"
            }
        }
    }
}

impl State {
    /// All words, for the metric.
    pub const NAMES: [&'static str; 6] = ["UNPROVEN", "READY", "DEGRADED", "FROZEN", "ROLLBACK", "POISONED"];

    /// The word in status and health answers.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unproven(_) => "UNPROVEN",
            Self::Ready => "READY",
            Self::Degraded(_) => "DEGRADED",
            Self::Frozen(_) => "FROZEN",
            Self::Rollback(_) => "ROLLBACK",
            Self::Poisoned(_) => "POISONED",
        }
    }

    /// Why. Empty if READY.
    pub fn reason(&self) -> String {
        match self {
            Self::Ready => String::new(),
            Self::Unproven(r) | Self::Rollback(r) | Self::Poisoned(r) => r.clone(),
            Self::Degraded(troubles) => join(troubles.iter().map(|t| t.reason())),
            Self::Frozen(Frozen::Unaccepted(c)) => {
                format!("charter {c} is valid and newer than the one that this operator has accepted")
            }
            Self::Frozen(Frozen::Fork(a, b)) => {
                format!("charters {a} and {b} are both valid successors of one version")
            }
        }
    }

    /// What the operator can do. Empty if READY.
    pub fn way_out(&self) -> String {
        let text = match self {
            Self::Ready => "",
            Self::Unproven(_) => {
                "wait for the other nodes, or ask their operators; check that this node reaches their URLs in the charter"
            }
            Self::Degraded(troubles) => return join(troubles.iter().map(|t| t.way_out().to_owned())),
            Self::Frozen(Frozen::Unaccepted(_)) => {
                "compare its digest with the administrators on another channel, run escrow-node charter accept DIGEST \
                 --file FILE, and start the node again"
            }
            Self::Frozen(Frozen::Fork(..)) => {
                "the administrators sign a later version that voids one of them; accept that one, and start the node again"
            }
            Self::Rollback(_) => {
                "put the newest database back if it still exists; otherwise stop every copy of this node, run \
                 escrow-node new-log on one, and give its seat.json to the administrators, whose next charter gives this \
                 seat a new log origin (docs/protocol.md, section 18.1)"
            }
            Self::Poisoned(_) => {
                "mend the cause (disk, database files), then start the node again; it recovers what was acknowledged"
            }
        };
        text.to_owned()
    }

    /// True if the node may append and sign.
    pub const fn works(&self) -> bool {
        matches!(self, Self::Ready | Self::Degraded(_) | Self::Frozen(_))
    }

    /// True if its word about restrictions counts: a node that its peers do not cosign may have missed some.
    pub fn vouches(&self) -> bool {
        match self {
            Self::Degraded(troubles) => !troubles.iter().any(|t| matches!(t, Trouble::Peers { .. })),
            other => other.works(),
        }
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("; ")
}

/// Which state it is follows from the proof of the log and from what is found out on the way.
#[derive(Debug)]
struct Parts {
    /// UNPROVEN, READY for proven, ROLLBACK or POISONED.
    proof: State,
    frozen: Option<Frozen>,
    peers: Option<Trouble>,
    disk: Option<Trouble>,
    clock: Option<Trouble>,
}

impl Parts {
    fn state(&self) -> State {
        let troubles: Vec<Trouble> = [self.peers, self.disk, self.clock].into_iter().flatten().collect();
        match (&self.proof, self.frozen) {
            (State::Ready, Some(frozen)) => State::Frozen(frozen),
            (State::Ready, None) if !troubles.is_empty() => State::Degraded(troubles),
            (proof, _) => proof.clone(),
        }
    }
}

/// The state as it changes: the writer, the rounds and the start-up each tell what they find.
#[derive(Debug)]
pub struct Standing {
    parts: Mutex<Parts>,
    state: watch::Sender<State>,
}

impl Default for Standing {
    fn default() -> Self {
        Self::new(State::Unproven("waiting for the other nodes to prove this log".into()))
    }
}

impl Standing {
    /// With the proof of the log so far: UNPROVEN, or READY for a log that needs none.
    pub fn new(proof: State) -> Self {
        let parts = Parts { proof: proof.clone(), frozen: None, peers: None, disk: None, clock: None };
        Self { parts: Mutex::new(parts), state: watch::Sender::new(proof) }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// True if the node may append and sign.
    pub fn works(&self) -> bool {
        self.state.borrow().works()
    }

    /// Hears of every change.
    pub fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// True while disk space is below the mark, whatever the state shows.
    pub fn disk_is_low(&self) -> bool {
        // A lock that a panic left behind: the node is about to stop.
        self.parts.lock().is_ok_and(|p| p.disk.is_some())
    }

    /// What the proof of the log has come to. ROLLBACK and POISONED are left by a restart only.
    pub fn prove(&self, proof: State) {
        self.change(|p| {
            let end = matches!(p.proof, State::Poisoned(_)) || matches!(p.proof, State::Rollback(_));
            if !end || matches!(proof, State::Poisoned(_)) {
                p.proof = proof;
            }
        });
    }

    /// What the newest round of cosignatures came to.
    pub fn set_peers(&self, trouble: Option<Trouble>) {
        self.change(|p| p.peers = trouble);
    }

    /// What the writer found: an unaccepted charter, disk space, clock. A trouble that goes on keeps its
    /// first numbers, so that a state does not change every second.
    pub fn set_found(&self, frozen: Option<Frozen>, disk: Option<Trouble>, clock: Option<Trouble>) {
        self.change(|p| {
            p.frozen = frozen;
            p.disk = disk.map(|t| p.disk.unwrap_or(t));
            p.clock = clock.map(|t| p.clock.unwrap_or(t));
        });
    }

    fn change(&self, f: impl FnOnce(&mut Parts)) {
        let Ok(mut parts) = self.parts.lock() else { return };
        f(&mut parts);
        let next = parts.state();
        self.state.send_if_modified(|state| {
            let change = *state != next;
            if change {
                tracing::info!(from = state.name(), to = next.name(), reason = %next.reason(), "state");
                metrics::state(&next);
                *state = next;
            }
            change
        });
    }
}

/// What the facts of a log say about charters that wait for the operator.
pub(crate) fn frozen(facts: &escrow_policy::Facts) -> Option<Frozen> {
    let fork = facts.charter_fork().map(|(a, b)| Frozen::Fork(a, b));
    fork.or_else(|| facts.charter_unaccepted().map(Frozen::Unaccepted))
}

/// Cosigners that a log of this charter needs beside its own seat.
pub(crate) fn cosigners_needed(charter: &Charter) -> usize {
    charter.current_generation().map_or(usize::MAX, escrow_core::charter::Generation::w)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: Trouble = Trouble::Peers { have: 1, need: 2 };
    const DISK: Trouble = Trouble::Disk { free: 5, need: 9 };

    fn moves(standing: &Standing) -> (&'static str, bool, bool) {
        let s = standing.state();
        assert_eq!(s.reason().is_empty(), s == State::Ready, "every state but READY says why");
        assert_eq!(s.way_out().is_empty(), s == State::Ready, "and the way out");
        assert!(State::NAMES.contains(&s.name()));
        (s.name(), s.works(), s.vouches())
    }

    #[test]
    fn the_state_follows_from_what_is_known() {
        let standing = Standing::default();
        assert_eq!(moves(&standing), ("UNPROVEN", false, false));
        standing.set_found(None, Some(DISK), None);
        assert_eq!(moves(&standing), ("UNPROVEN", false, false), "nothing else counts before the proof");
        standing.prove(State::Ready);
        assert_eq!(moves(&standing), ("DEGRADED", true, true));
        standing.set_peers(Some(FEW));
        assert_eq!(moves(&standing), ("DEGRADED", true, false), "whom its peers do not cosign vouches for nothing");
        assert!(standing.state().reason().contains("disk") && standing.state().reason().contains("peers"));
        standing.set_found(Some(Frozen::Unaccepted(Digest([1; 32]))), None, None);
        assert_eq!(moves(&standing), ("FROZEN", true, true));
        standing.set_found(None, None, Some(Trouble::Clock { behind_s: 400 }));
        standing.set_peers(None);
        assert_eq!(moves(&standing), ("DEGRADED", true, true));
        standing.set_found(None, None, None);
        assert_eq!(moves(&standing), ("READY", true, true));
        standing.prove(State::Rollback("behind".into()));
        for proof in [State::Ready, State::Unproven("x".into())] {
            standing.prove(proof);
            assert_eq!(moves(&standing), ("ROLLBACK", false, false), "only a restart leaves it");
        }
        assert!(standing.state().way_out().contains("escrow-node new-log"));
        standing.prove(State::Poisoned("EIO".into()));
        standing.prove(State::Ready);
        assert_eq!(moves(&standing), ("POISONED", false, false));
    }

    #[test]
    fn a_trouble_that_goes_on_is_told_once() {
        let standing = Standing::new(State::Ready);
        let mut heard = standing.subscribe();
        standing.set_found(None, Some(DISK), None);
        assert!(heard.has_changed().unwrap());
        let _seen = heard.borrow_and_update().clone();
        standing.set_found(None, Some(Trouble::Disk { free: 4, need: 9 }), None);
        assert!(!heard.has_changed().unwrap());
    }
}
