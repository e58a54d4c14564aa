//! A small file that shows on its own that a key contradicted itself, for whoever has the pinned
//! charter digest and nothing else.
//!
//! JSON, schema [`SCHEMA`]: the charter envelopes from genesis to the version that gives the key, and
//! one [`Contradiction`]. Nothing in it is trusted: [`check`] verifies every signature from the pinned
//! digest on, and [`prove`] hands out no file that [`check`] would not take.

use crate::checkpoint::{Checkpoint, CheckpointError, VerifiedCheckpoint};
use crate::note::{Note, VerifierKey};
use crate::proof::{TlogProof, TlogProofError};
use crate::seat;
use crate::tree::{Hash, ProofError, verify_consistency, verify_inclusion};
use escrow_core::charter::{Charter, Seat};
use escrow_core::envelope::EnvelopeError;
use escrow_core::strict::{self, StrictError};
use escrow_core::{Blob, Digest, Envelope, Kind, PublicKey, SeatIndex};
use escrow_policy::charter::{Chain, CharterError, VerifiedCharter, verify_successor};
use serde::{Deserialize, Serialize};

/// Schema of the file.
pub const SCHEMA: &str = "escrow.misbehaviour.v1";
/// Largest file, bytes.
pub const PROOF_MAX: usize = 64 * 1024 * 1024;
/// Most charter versions in a file.
pub const CHARTERS_MAX: usize = 1_000;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    charters: Vec<Blob>,
    evidence: Contradiction,
}

/// Two signed things that cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Contradiction {
    /// Two heads of one log. Of one size, they have two roots; else the larger tree begins with another
    /// tree than the smaller head says.
    Heads {
        /// Signed note of the smaller tree, or of either.
        first: String,
        /// Signed note of the larger tree, or of the other.
        second: String,
        /// What the larger tree has at the smaller size; null for equal sizes.
        root: Option<Digest>,
        /// RFC 6962 consistency proof from that root to the larger head; empty for equal sizes.
        consistency: Vec<Digest>,
    },
    /// A log has another entry where its key once proved one to be.
    Receipt {
        /// c2sp.org/tlog-proof of the entry that was there.
        receipt: String,
        /// Leaf hash of that entry.
        leaf: Digest,
        /// Signed note of the log that has another one.
        head: String,
        /// Leaf hash of the other.
        other: Digest,
        /// RFC 6962 inclusion proof of the other, at the same index.
        inclusion: Vec<Digest>,
    },
    /// Two successors of one charter version, the last in the file.
    Charters {
        /// Envelope of one.
        first: Blob,
        /// Envelope of the other.
        second: Blob,
    },
}

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotProven {
    /// Not the strict JSON of this schema.
    #[error("not a file of {SCHEMA}: {0}")]
    Format(#[from] StrictError),
    /// A charter in it is no envelope.
    #[error("charter: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The charters do not follow from the pinned digest, or a successor not from the last.
    #[error("charter: {0}")]
    Charter(#[from] CharterError),
    /// No charter in it gives anybody a log of that origin.
    #[error("no charter in the file gives a seat the log {0}")]
    UnknownLog(String),
    /// A note is malformed or not signed by the log's key.
    #[error("note: {0}")]
    Note(#[from] CheckpointError),
    /// A line that nobody here can check could be altered unseen.
    #[error("note: a signature line of {0}, which no charter in the file lists")]
    Line(String),
    /// The receipt's own proof does not hold.
    #[error("receipt: {0}")]
    Receipt(#[from] TlogProofError),
    /// A tree proof does not hold.
    #[error("tree: {0}")]
    Tree(#[from] ProofError),
    /// Everything is genuine, and nothing contradicts.
    #[error("no contradiction: {0}")]
    NoContradiction(&'static str),
}

/// Who is convicted, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guilt {
    /// The seat whose log key it is; none for administrators.
    pub seat: Option<SeatIndex>,
    /// The key that contradicted itself, as a C2SP verifier key; for charters, the ids of the keys that
    /// signed both.
    pub keys: Vec<String>,
    /// Witness keys that cosigned both histories, with their seats.
    pub witnesses: Vec<(SeatIndex, String)>,
    /// What was signed, in words.
    pub detail: String,
}

/// True if these bytes claim to be such a file: by their schema, wherever it stands.
#[must_use]
pub fn is_one(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Schema {
        schema: String,
    }
    serde_json::from_slice::<Schema>(bytes).is_ok_and(|s| s.schema == SCHEMA)
}

/// Writes the file, if it proves anything. Signature lines of keys that these charters do not list are
/// left out.
///
/// # Errors
/// [`NotProven`].
pub fn prove(charters: &[Envelope], evidence: Contradiction, pinned: &Digest) -> Result<Vec<u8>, NotProven> {
    let chain = Chain::verify(pinned, charters)?;
    let evidence = match evidence {
        Contradiction::Heads { first, second, root, consistency } => Contradiction::Heads {
            first: trimmed(&chain, &first)?,
            second: trimmed(&chain, &second)?,
            root,
            consistency,
        },
        Contradiction::Receipt { receipt, leaf, head, other, inclusion } => {
            let mut proof = TlogProof::parse(receipt.as_bytes())?;
            proof.checkpoint = known_lines(&chain, &proof.checkpoint)?;
            let receipt = String::from_utf8_lossy(&proof.to_bytes()).into_owned();
            Contradiction::Receipt { receipt, leaf, head: trimmed(&chain, &head)?, other, inclusion }
        }
        charters @ Contradiction::Charters { .. } => charters,
    };
    let charters = charters.iter().map(|e| Blob(e.bytes().to_vec())).collect();
    let file = File { schema: SCHEMA.into(), charters, evidence };
    // Strings, numbers and lists always serialise.
    let mut bytes = serde_json::to_vec_pretty(&file).unwrap_or_default();
    bytes.push(b'\n');
    check(&bytes, pinned)?;
    Ok(bytes)
}

/// Verifies a file from the pinned charter digest on.
///
/// # Errors
/// [`NotProven`].
pub fn check(bytes: &[u8], pinned: &Digest) -> Result<Guilt, NotProven> {
    let file: File = strict::decode(bytes, PROOF_MAX)?;
    let rule = |ok: bool, text: &str| if ok { Ok(()) } else { Err(StrictError::Profile(text.to_owned())) };
    rule(file.schema == SCHEMA, "another schema")?;
    rule(file.charters.len() <= CHARTERS_MAX, "too many charters")?;
    let envelopes = file.charters.iter().map(|c| Envelope::parse(&c.0)).collect::<Result<Vec<_>, _>>()?;
    let chain = Chain::verify(pinned, &envelopes)?;
    match &file.evidence {
        Contradiction::Heads { first, second, root, consistency } => heads(&chain, first, second, *root, consistency),
        Contradiction::Receipt { receipt, leaf, head, other, inclusion } => {
            self::receipt(&chain, receipt, leaf, head, other, inclusion)
        }
        Contradiction::Charters { first, second } => successors(&chain, first, second),
    }
}

fn heads(
    chain: &Chain,
    first: &str,
    second: &str,
    root: Option<Digest>,
    consistency: &[Digest],
) -> Result<Guilt, NotProven> {
    let (seat, key, first) = signed(chain, first)?;
    let second = Checkpoint::verify(second.as_bytes(), first.origin(), &key)?;
    whole(chain, &second)?;
    let detail = match root {
        None => {
            if !consistency.is_empty() || !first.contradicts(&second) {
                return Err(NotProven::NoContradiction("the heads are not of one size with two roots"));
            }
            format!(
                "signed two roots for size {} of {}: {} and {}",
                first.size(),
                first.origin(),
                Digest(*first.root()),
                Digest(*second.root())
            )
        }
        Some(root) => {
            if first.size() >= second.size() || root.0 == *first.root() {
                return Err(NotProven::NoContradiction("the larger tree does not begin with another one"));
            }
            verify_consistency(first.size(), &root.0, second.size(), second.root(), &hashes(consistency))?;
            format!(
                "signed root {} for size {} of {}, and a head of size {} whose tree has {root} there",
                Digest(*first.root()),
                first.size(),
                first.origin(),
                second.size()
            )
        }
    };
    let witnesses = both(chain, &first, &second);
    Ok(Guilt { seat: Some(seat), keys: vec![key.to_string()], witnesses, detail })
}

fn receipt(
    chain: &Chain,
    receipt: &str,
    leaf: &Digest,
    head: &str,
    other: &Digest,
    inclusion: &[Digest],
) -> Result<Guilt, NotProven> {
    let proof = TlogProof::parse(receipt.as_bytes())?;
    let (seat, key, head) = signed(chain, head)?;
    let told = proof.verify(&leaf.0, head.origin(), &key)?;
    whole(chain, &told)?;
    if leaf == other {
        return Err(NotProven::NoContradiction("the log still has that entry"));
    }
    verify_inclusion(&other.0, proof.index, head.size(), &hashes(inclusion), head.root())?;
    let detail = format!(
        "proved entry {} of {} to have leaf hash {leaf} under its head of size {}, and signed a head of size {} with {other} there",
        proof.index,
        head.origin(),
        told.size(),
        head.size()
    );
    Ok(Guilt { seat: Some(seat), keys: vec![key.to_string()], witnesses: both(chain, &told, &head), detail })
}

fn successors(chain: &Chain, first: &Blob, second: &Blob) -> Result<Guilt, NotProven> {
    let last = chain.newest().ok_or(NotProven::NoContradiction("no charter"))?;
    let (first, second) = (Envelope::parse(&first.0)?, Envelope::parse(&second.0)?);
    if first.kind() != Kind::Charter || first.digest() == second.digest() {
        return Err(NotProven::NoContradiction("one successor is one too few"));
    }
    let (a, b) = (verify_successor(last, &first)?, verify_successor(last, &second)?);
    let theirs = signers(last, &b, &second);
    let keys = signers(last, &a, &first).into_iter().filter(|k| theirs.contains(k)).collect();
    let detail =
        format!("administrators signed two successors of charter {}: {} and {}", last.digest(), a.digest(), b.digest());
    Ok(Guilt { seat: None, keys, witnesses: vec![], detail })
}

/// Ids of the keys that signed a successor.
fn signers(last: &VerifiedCharter, next: &VerifiedCharter, envelope: &Envelope) -> Vec<String> {
    let people = last.charter().people.iter().chain(&next.charter().people);
    let keys: Vec<PublicKey> = people.flat_map(|p| &p.keys).map(|k| k.key.clone()).collect();
    let lookup = |id: &String| keys.iter().filter(|k| k.id() == *id).cloned().collect();
    envelope.signers(lookup).unwrap_or_default().iter().map(PublicKey::id).collect()
}

fn hashes(digests: &[Digest]) -> Vec<Hash> {
    digests.iter().map(|d| d.0).collect()
}

/// A note with the seat and key of the log that it is of, signed by that key.
fn signed(chain: &Chain, note: &str) -> Result<(SeatIndex, VerifierKey, VerifiedCheckpoint), NotProven> {
    let parsed = Note::parse(note.as_bytes()).map_err(CheckpointError::Note)?;
    let origin = Checkpoint::parse(parsed.text())?.origin().to_owned();
    let seats = chain.versions().iter().flat_map(|v| &v.charter().seats);
    let found: Option<&Seat> = seats.into_iter().find(|s| s.log_origin == origin);
    let seat = found.ok_or_else(|| NotProven::UnknownLog(origin.clone()))?;
    let key = seat::log_verifier(seat).map_err(CheckpointError::Note)?;
    let head = Checkpoint::verify(note.as_bytes(), &origin, &key)?;
    whole(chain, &head)?;
    Ok((seat.index, key, head))
}

/// Keys of all logs and witnesses in the file.
fn keys(chain: &Chain) -> Vec<VerifierKey> {
    let charters = chain.versions().iter().map(VerifiedCharter::charter);
    let of = |c: &Charter| {
        let logs = c.seats.iter().filter_map(|s| seat::log_verifier(s).ok());
        logs.chain(witnesses(c).map(|(_, key)| key)).collect::<Vec<_>>()
    };
    charters.flat_map(of).collect()
}

/// No byte of a note counts for nothing: every line is by a listed key, and every cosignature holds.
fn whole(chain: &Chain, head: &VerifiedCheckpoint) -> Result<(), NotProven> {
    let keys = keys(chain);
    head.cosigners(&keys).map_err(CheckpointError::Note)?;
    let unknown = head.note().signatures().iter().find(|line| !keys.iter().any(|k| k.made(line)));
    unknown.map_or(Ok(()), |line| Err(NotProven::Line(line.name().to_owned())))
}

fn known_lines(chain: &Chain, note: &Note) -> Result<Note, NotProven> {
    let keys = keys(chain);
    let lines = note.signatures().iter().filter(|line| keys.iter().any(|k| k.made(line))).cloned().collect();
    Ok(Note::new(note.text(), lines).map_err(CheckpointError::Note)?)
}

fn trimmed(chain: &Chain, note: &str) -> Result<String, NotProven> {
    let note = Note::parse(note.as_bytes()).map_err(CheckpointError::Note)?;
    Ok(String::from_utf8_lossy(&known_lines(chain, &note)?.to_bytes()).into_owned())
}

/// Witness keys that cosigned both heads.
fn both(chain: &Chain, first: &VerifiedCheckpoint, second: &VerifiedCheckpoint) -> Vec<(SeatIndex, String)> {
    let charters = chain.versions().iter().map(VerifiedCharter::charter);
    let mut out: Vec<(SeatIndex, String)> = Vec::new();
    for (seat, key) in charters.flat_map(witnesses) {
        let made = |head: &VerifiedCheckpoint| {
            head.cosigners(std::slice::from_ref(&key)).is_ok_and(|signed| !signed.is_empty())
        };
        let entry = (seat, key.to_string());
        if !out.contains(&entry) && made(first) && made(second) {
            out.push(entry);
        }
    }
    out
}

fn witnesses(charter: &Charter) -> impl Iterator<Item = (SeatIndex, VerifierKey)> {
    charter.seats.iter().filter_map(|s| Some((s.index, seat::witness_verifier(&charter.org, s).ok()?)))
}
