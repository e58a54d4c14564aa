//! Pairs of signed things that contradict each other, made into files that prove it alone.

use super::bytes::Evidence;
use crate::checkpoint::VerifiedCheckpoint;
use crate::entry::{MAX_ENTRY_LEN, leaf_hash};
use crate::files::Lines;
use crate::misbehaviour::{Contradiction, prove};
use crate::tree::{Hash, RangeHashes, consistency_ranges, inclusion_ranges};
use escrow_core::{Blob, Digest, Envelope};

/// Most files about one bundle: each convicts, and the report lists the rest.
const PROOFS_MAX: usize = 20;

/// What was found, before the tree proofs for it are made.
#[derive(Clone, Debug)]
pub(super) enum Suspect {
    /// Two heads of one log, the smaller first; the larger is on the tree of the log here, or both have
    /// one size.
    Heads { first: Box<VerifiedCheckpoint>, second: Box<VerifiedCheckpoint> },
    /// A proven entry, and the head of the log that has another one there.
    Receipt { receipt: String, index: u64, leaf: Hash, head: Box<VerifiedCheckpoint>, other: Hash },
    /// Two successors of one charter.
    Charters { previous: Digest, first: Digest, second: Digest },
}

/// The files. One that cannot be made, because an entry cannot be read again, is left out.
pub(super) fn proofs(evidence: &Evidence<'_>, suspects: &[Suspect]) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    for suspect in suspects {
        if out.len() == PROOFS_MAX {
            break;
        }
        out.extend(one(evidence, suspect).filter(|bytes| !out.contains(bytes)));
    }
    out
}

fn one(evidence: &Evidence<'_>, suspect: &Suspect) -> Option<Vec<u8>> {
    let (charters, contradiction) = match suspect {
        Suspect::Heads { first, second } => {
            let (root, consistency) = match first.size() == second.size() {
                true => (None, vec![]),
                false => {
                    let log = evidence.logs.iter().find(|l| l.origin == first.origin())?;
                    let ranges = consistency_ranges(first.size(), second.size())?;
                    let hashes = hashes(evidence, &log.path, ranges)?;
                    (Some(Digest(log.root_at(first.size())?)), hashes)
                }
            };
            let (first, second) = (text(first)?, text(second)?);
            let charters = evidence.charters.chain_of_log(suspect.origin()?, &evidence.pool)?;
            (charters, Contradiction::Heads { first, second, root, consistency })
        }
        Suspect::Receipt { receipt, index, leaf, head, other } => {
            let log = evidence.logs.iter().find(|l| l.origin == head.origin())?;
            let inclusion = hashes(evidence, &log.path, inclusion_ranges(*index, head.size())?)?;
            let (receipt, leaf, other) = (receipt.clone(), Digest(*leaf), Digest(*other));
            let charters = evidence.charters.chain_of_log(suspect.origin()?, &evidence.pool)?;
            (charters, Contradiction::Receipt { receipt, leaf, head: text(head)?, other, inclusion })
        }
        Suspect::Charters { previous, first, second } => {
            let blob = |d| evidence.charters.envelope(d, &evidence.pool).map(|e| Blob(e.bytes().to_vec()));
            let (first, second) = (blob(first)?, blob(second)?);
            (evidence.charters.chain_to(previous, &evidence.pool)?, Contradiction::Charters { first, second })
        }
    };
    let charters: Vec<Envelope> = charters.iter().map(|e| (**e).clone()).collect();
    prove(&charters, contradiction, &evidence.pinned).ok()
}

impl Suspect {
    fn origin(&self) -> Option<&str> {
        match self {
            Self::Heads { first: head, .. } | Self::Receipt { head, .. } => Some(head.origin()),
            Self::Charters { .. } => None,
        }
    }
}

fn text(head: &VerifiedCheckpoint) -> Option<String> {
    String::from_utf8(head.to_bytes()).ok()
}

/// One pass over a log for the hashes of a proof.
fn hashes(evidence: &Evidence<'_>, path: &str, ranges: Vec<(u64, u64)>) -> Option<Vec<Digest>> {
    let mut lines = Lines::new(evidence.files.open(path).ok()?, MAX_ENTRY_LEN);
    let mut hashes = RangeHashes::new(ranges);
    while let Some(line) = lines.next().ok()? {
        hashes.push(leaf_hash(line));
    }
    Some(hashes.finish()?.into_iter().map(Digest).collect())
}
