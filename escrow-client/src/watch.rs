//! Following the logs of all nodes: each look compares what a node shows with what it showed before.
//!
//! Nothing is believed but the pinned charter: a checkpoint counts if the log key that the charter lists signed it,
//! a cosignature if the witness key that it lists made it, a tile if it leads to a signed root. What a node showed
//! is remembered on disk, so that neither a restart of this machine nor one of the node makes it forgotten. No
//! private key is needed.

mod alarm;
mod compare;
mod heads;

pub use alarm::Alarm;
pub use heads::{Heads, WatchError};

use crate::charters::Charters;
use crate::client::newer_charters;
use crate::outcome::NodeError;
use crate::seat::{log_key, verify_note};
use crate::transport::{Node, fan_out};
use compare::Compared;
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::note::VerifierKey;
use escrow_audit::seat::{log_number, witness_verifier};
use escrow_core::charter::{Generation, Seat};
use escrow_core::{Code, SeatIndex, Timestamp};
use std::time::Duration;

/// One look at one node.
#[derive(Debug)]
pub struct Look {
    /// The seat.
    pub seat: SeatIndex,
    /// Its short name.
    pub name: Code,
    /// Origin of its log.
    pub log: String,
    /// Number of that log among the seat's.
    pub number: u32,
    /// The checkpoint it showed, if its log key signed it.
    pub head: Option<VerifiedCheckpoint>,
    /// True if nothing of this log was remembered: there was nothing to compare with.
    pub first: bool,
    /// Peers whose cosignatures are under it.
    pub cosigners: usize,
    /// How many a release needs.
    pub need: usize,
    /// When the newest of them was made.
    pub cosigned: Option<Timestamp>,
    /// What is wrong; empty if nothing is.
    pub alarms: Vec<Alarm>,
}

/// Follows the logs of a charter's seats.
#[derive(Debug)]
pub struct Watch {
    charters: Charters,
    heads: Heads,
    heartbeat: Duration,
}

impl Watch {
    /// From a verified charter chain and the heads remembered. `heartbeat` is how often an idle node has its log
    /// cosigned.
    pub fn new(charters: Charters, heads: Heads, heartbeat: Duration) -> Self {
        Self { charters, heads, heartbeat }
    }

    /// The charter chain, with versions that t nodes have in force by now.
    pub fn charters(&self) -> &Charters {
        &self.charters
    }

    /// Looks at every node once. `now` is the time by which cosignatures are judged.
    ///
    /// # Errors
    /// [`WatchError`] for faults of this machine, and for a fork of the charter. What nodes do is in the looks.
    pub async fn look(&mut self, now: Timestamp) -> Result<Vec<Look>, WatchError> {
        let nodes = self.nodes()?;
        if let Some(newer) = newer_charters(&self.charters, &nodes).await?.newer {
            self.charters = newer;
        }
        let nodes = self.nodes()?;
        let numbers: Vec<(SeatIndex, u32)> =
            self.charters.current().seats.iter().map(|s| (s.index, self.number(s))).collect();
        let number = move |seat| numbers.iter().find(|(s, _)| *s == seat).map_or(1, |(_, n)| *n);
        let shown = fan_out(&nodes, |node| {
            let number = number(node.seat());
            async move { node.checkpoint(number).await }
        });
        let mut shown = shown.await;
        let mut looks = Vec::new();
        for node in &nodes {
            let Some(seat) = self.charters.seat(node.seat()).cloned() else { continue };
            let Some(shown) = shown.0.remove(&seat.index) else { continue };
            looks.push(self.judge(node, &seat, shown, now).await?);
        }
        Ok(looks)
    }

    fn nodes(&self) -> Result<Vec<Node>, WatchError> {
        Ok(self.charters.current().seats.iter().map(Node::new).collect::<Result<_, _>>()?)
    }

    fn number(&self, seat: &Seat) -> u32 {
        log_number(self.charters.versions(), seat.index, &seat.log_origin).unwrap_or(1)
    }

    async fn judge(
        &self,
        node: &Node,
        seat: &Seat,
        shown: Result<Vec<u8>, NodeError>,
        now: Timestamp,
    ) -> Result<Look, WatchError> {
        let log = log_key(seat)?;
        let remembered = self.heads.load(&log)?;
        let mut look = Look {
            seat: seat.index,
            name: seat.name.clone(),
            log: seat.log_origin.clone(),
            number: self.number(seat),
            head: None,
            first: remembered.is_none(),
            cosigners: 0,
            need: self.charters.current().current_generation().map_or(0, Generation::w),
            cosigned: None,
            alarms: vec![],
        };
        let bytes = match shown {
            Ok(bytes) => bytes,
            Err(e) => {
                look.alarms.push(Alarm::Unreachable(e));
                return Ok(look);
            }
        };
        let peers = self.peers(seat);
        let verified = verify_note(seat, &bytes).and_then(|head| {
            let signed = head.cosigners(&peers).map_err(|e| NodeError::Protocol(e.to_string()))?;
            let times = signed.iter().map(|s| s.time).collect::<Vec<_>>();
            Ok((head, times))
        });
        let (head, times) = match verified {
            Ok(good) => good,
            Err(e) => {
                let evidence = self.heads.keep(&log, &[("shown.txt", bytes)])?;
                look.alarms.push(Alarm::Unverified { why: e.to_string(), evidence });
                return Ok(look);
            }
        };
        look.cosigners = times.len();
        look.cosigned = self.newest(&times, now);
        match self.follows(node, &log, look.number, remembered.as_ref(), &head).await? {
            Some(alarm) => look.alarms.push(alarm),
            None => {
                if remembered.is_none_or(|old| old.note().text() != head.note().text()) {
                    self.heads.save(&log, &head)?;
                }
            }
        }
        look.head = Some(head);
        if look.cosigners < look.need {
            look.alarms.push(Alarm::FewCosignatures { have: look.cosigners, need: look.need });
        }
        let patience = i64::try_from(self.heartbeat.as_secs().saturating_mul(2)).unwrap_or(i64::MAX);
        if look.cosigned.is_none_or(|at| now.seconds_since(at) > patience) {
            look.alarms.push(Alarm::Silent(look.cosigned));
        }
        Ok(look)
    }

    /// The witness keys that may cosign a seat's log.
    fn peers(&self, seat: &Seat) -> Vec<VerifierKey> {
        let charter = self.charters.current();
        let members = self.charters.generation().members.iter().filter(|m| **m != seat.index);
        members.filter_map(|m| witness_verifier(&charter.org, charter.seat(*m)?).ok()).collect()
    }

    /// The newest time of a cosignature that is not in the future: a peer whose clock is ahead would hide a silence.
    fn newest(&self, seconds: &[u64], now: Timestamp) -> Option<Timestamp> {
        let skew = i64::try_from(self.charters.current().limits.clock_skew_s).unwrap_or(0);
        let times =
            seconds.iter().filter_map(|s| Some(Timestamp::from_millis(i64::try_from(*s).ok()?.checked_mul(1_000)?)));
        times.filter(|at| at.seconds_since(now) <= skew).max()
    }

    /// Whether the head shown extends the one remembered.
    async fn follows(
        &self,
        node: &Node,
        log: &VerifierKey,
        number: u32,
        remembered: Option<&VerifiedCheckpoint>,
        shown: &VerifiedCheckpoint,
    ) -> Result<Option<Alarm>, WatchError> {
        let Some(old) = remembered else { return Ok(None) };
        let (first, second) = (old.size(), shown.size());
        let mut files = vec![("first.txt", old.to_bytes()), ("second.txt", shown.to_bytes())];
        let found = match compare::heads(old, shown) {
            Compared::Prove(mut both) => {
                for tile in both.needed() {
                    match node.tile(number, &tile).await {
                        Ok(bytes) if both.add(tile, &bytes) => {}
                        Ok(_) => return Ok(Some(Alarm::Tiles(second))),
                        Err(source) => return Ok(Some(Alarm::Unproven { remembered: first, shown: second, source })),
                    }
                }
                files.push(("subtrees.txt", heads::subtrees(&both)));
                compare::roots(old, shown, &both)
            }
            found => found,
        };
        Ok(match found {
            Compared::Follows => None,
            Compared::Fork => Some(Alarm::Fork { first, second, evidence: self.heads.keep(log, &files)? }),
            Compared::Rollback => {
                let evidence = self.heads.keep(log, &files)?;
                Some(Alarm::Rollback { remembered: first, shown: second, evidence })
            }
            Compared::False | Compared::Prove(_) => Some(Alarm::Tiles(second)),
        })
    }
}

#[cfg(test)]
mod tests;
