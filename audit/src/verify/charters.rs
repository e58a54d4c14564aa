//! The charters of a bundle: which hold, and which keys they give to which seat.

use super::pool::Pool;
use super::suspects::Suspect;
use crate::finding::{Class, Finding};
use crate::note::VerifierKey;
use crate::seat;
use escrow_core::charter::Charter;
use escrow_core::{Digest, Envelope, Kind, PublicKey, SeatIndex};
use escrow_policy::charter::{VerifiedCharter, verify_genesis, verify_successor};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Charter versions that chain from the pinned digest.
#[derive(Debug)]
pub(super) struct Charters {
    verified: BTreeMap<Digest, VerifiedCharter>,
    /// Files whose own signatures were verified.
    held: BTreeMap<String, Digest>,
}

impl Charters {
    /// Verifies everything that follows from the pinned genesis. A successor that does not hold
    /// is left out; an envelope of it that no log names is reported by the caller.
    pub(super) fn verify(pool: &Pool<'_>, pinned: &Digest, out: &mut Vec<Finding>) -> Option<Self> {
        let charters = pool.iter().filter(|(_, s)| s.kind == Kind::Charter);
        let mut waiting: Vec<_> = charters.filter_map(|(d, s)| Some((s.path.as_str(), pool.envelope(d)?))).collect();
        let mut this = Self { verified: BTreeMap::new(), held: BTreeMap::new() };
        let mut error = None;
        for (path, envelope) in waiting.iter().filter(|(_, e)| e.digest() == *pinned) {
            match verify_genesis(envelope, pinned) {
                Ok(c) => this.add(c, path),
                Err(e) => error = Some(((*path).to_owned(), e.to_string())),
            }
        }
        if this.verified.is_empty() {
            let (path, why) = error.unwrap_or_else(|| {
                let why = format!(
                    "the pinned charter {pinned} is not in this bundle; if the bundle is another organisation's, pin that one's digest, from whom you trust and not from the bundle"
                );
                (crate::bundle::INDEX.into(), why)
            });
            out.push(Finding::new(Class::Tampered, path, "charter-pinned", why));
            return None;
        }
        // Each round verifies at least one more version, or the rest follows from nothing here.
        loop {
            let before = waiting.len();
            waiting.retain(|(path, envelope)| {
                let Some(previous) = predecessor(envelope).and_then(|d| this.verified.get(&d)) else { return true };
                match verify_successor(previous, envelope) {
                    Ok(c) => {
                        this.add(c, path);
                        false
                    }
                    Err(_) => true,
                }
            });
            if waiting.len() == before {
                return Some(this);
            }
        }
    }

    fn add(&mut self, charter: VerifiedCharter, path: &str) {
        self.held.insert(path.to_owned(), charter.digest());
        self.verified.insert(charter.digest(), charter);
    }

    pub(super) fn len(&self) -> usize {
        self.verified.len()
    }

    /// A verified version.
    pub(super) fn get(&self, digest: &Digest) -> Option<&Charter> {
        self.verified.get(digest).map(VerifiedCharter::charter)
    }

    /// True if the signatures of the charter in this very file were verified.
    pub(super) fn holds(&self, path: &str) -> bool {
        self.held.contains_key(path)
    }

    fn all(&self) -> impl Iterator<Item = &Charter> {
        self.verified.values().map(VerifiedCharter::charter)
    }

    /// The key of a seat's log, if some version gives the seat a log of this origin.
    pub(super) fn log_key(&self, index: SeatIndex, origin: &str) -> Option<VerifierKey> {
        let mut seats = self.all().filter_map(|c| c.seat(index));
        seats.find(|s| s.log_origin == origin).and_then(|s| seat::log_verifier(s).ok())
    }

    /// The seat to which some version gives this log.
    pub(super) fn owner(&self, origin: &str) -> Option<SeatIndex> {
        self.all().flat_map(|c| &c.seats).find(|s| s.log_origin == origin).map(|s| s.index)
    }

    /// The number of a seat's log, as [`seat::log_number`] counts.
    pub(super) fn log_number(&self, index: SeatIndex, origin: &str) -> Option<u32> {
        let mut all: Vec<_> = self.verified.values().collect();
        all.sort_by_key(|c| (c.charter().version, c.digest()));
        seat::log_number(all.into_iter().map(VerifiedCharter::charter), index, origin)
    }

    /// The last head of the seat's log before this one, as the version that gives the seat this log names it.
    pub(super) fn previous_head(&self, index: SeatIndex, origin: &str) -> Option<Digest> {
        let mut seats = self.all().filter_map(|c| c.seat(index));
        seats.find(|s| s.log_origin == origin).and_then(|s| s.previous_log_head)
    }

    /// An envelope of a verified version.
    pub(super) fn envelope(&self, digest: &Digest, pool: &Pool<'_>) -> Option<Rc<Envelope>> {
        let envelopes = pool.named(digest).iter();
        let held = envelopes.filter(|d| pool.get(d).is_some_and(|s| self.holds(&s.path)));
        held.filter_map(|d| pool.envelope(d)).next()
    }

    /// The envelopes from genesis to a version.
    pub(super) fn chain_to(&self, digest: &Digest, pool: &Pool<'_>) -> Option<Vec<Rc<Envelope>>> {
        let mut chain = Vec::new();
        let mut next = Some(*digest);
        while let Some(digest) = next {
            chain.push(self.envelope(&digest, pool)?);
            // Ends: each version was verified to follow the one before.
            next = self.get(&digest)?.previous;
        }
        chain.reverse();
        Some(chain)
    }

    /// The same up to the newest version with a log of this origin, for all witnesses that it had.
    pub(super) fn chain_of_log(&self, origin: &str, pool: &Pool<'_>) -> Option<Vec<Rc<Envelope>>> {
        let with = self.verified.iter().filter(|(_, c)| c.charter().seats.iter().any(|s| s.log_origin == origin));
        let (digest, _) = with.max_by_key(|(digest, c)| (c.charter().version, **digest))?;
        self.chain_to(digest, pool)
    }

    /// All witness keys with their seats, one for each raw key and name.
    pub(super) fn witnesses(&self) -> Vec<(SeatIndex, VerifierKey)> {
        let mut keys: Vec<(SeatIndex, VerifierKey)> = Vec::new();
        for c in self.all() {
            for s in &c.seats {
                let Ok(key) = seat::witness_verifier(&c.org, s) else { continue };
                if !keys.iter().any(|(_, k)| *k == key) {
                    keys.push((s.index, key));
                }
            }
        }
        keys
    }

    /// True if exactly one signature stands there, by a statement key of the seat.
    pub(super) fn signed_by_seat(&self, envelope: &Envelope, index: SeatIndex) -> bool {
        let keys: Vec<PublicKey> = self.all().filter_map(|c| c.seat(index)).map(|s| s.statement_key.clone()).collect();
        let lookup = |id: &String| keys.iter().filter(|k| k.id() == *id).cloned().collect();
        envelope.signers(lookup).is_ok_and(|s| s.len() == 1)
    }

    /// True if exactly one signature stands there, by the statement key that the seat has in that version: one
    /// that was replaced speaks for nobody.
    pub(super) fn signed_under(&self, envelope: &Envelope, charter: &Digest, index: SeatIndex) -> bool {
        let Some(seat) = self.get(charter).and_then(|c| c.seat(index)) else { return false };
        let lookup = |id: &String| Some(&seat.statement_key).filter(|k| k.id() == *id).cloned().into_iter().collect();
        envelope.signers(lookup).is_ok_and(|s| s.len() == 1)
    }

    /// Two successors of one version: the administrators signed both. A remark once a version
    /// that names one of them as void has settled it.
    pub(super) fn forks(&self, suspects: &mut Vec<Suspect>) -> Vec<Finding> {
        let voided: BTreeSet<Digest> = self.all().flat_map(|c| c.voided.clone()).collect();
        let mut first: BTreeMap<Digest, Digest> = BTreeMap::new();
        let mut out = Vec::new();
        for c in self.verified.values() {
            let Some(previous) = c.charter().previous else { continue };
            let digest = c.digest();
            let other = *first.entry(previous).or_insert(digest);
            if other == digest {
                continue;
            }
            // What is void settles nothing between the others: the next is compared with one that stands.
            if voided.contains(&other) {
                first.insert(previous, digest);
            }
            let settled = voided.contains(&digest) || voided.contains(&other);
            let class = if settled { Class::Ok } else { Class::Misbehaviour };
            if !settled {
                suspects.push(Suspect::Charters { previous, first: other, second: digest });
            }
            let path = self.held.iter().find(|(_, d)| **d == digest).map(|(p, _)| p.as_str()).unwrap_or_default();
            let end = if settled { ", settled by a later version" } else { "" };
            let detail = format!("administrators signed two successors of {previous}: {other} and {digest}{end}");
            out.push(Finding::new(class, path, "charter-fork", detail));
        }
        out
    }
}

fn predecessor(envelope: &Envelope) -> Option<Digest> {
    envelope.decode::<Charter>().ok()?.previous
}
