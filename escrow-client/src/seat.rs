//! What nodes sign, checked against the verified charter. No key is ever taken from an answer.

use crate::charters::Charters;
use crate::outcome::NodeError;
use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::entry::{Entry, leaf_hash};
use escrow_audit::note::{KeyKind, VerifierKey};
use escrow_audit::proof::TlogProof;
use escrow_core::charter::Seat;
use escrow_core::notification::Notification;
use escrow_core::receipt::Receipt;
use escrow_core::release::Release;
use escrow_core::verdict::Verdict;
use escrow_core::view::View;
use escrow_core::wire::Receipted;
use escrow_core::{Digest, Envelope, PublicKey, SeatIndex, Statement};

/// A statement that a seat signs, with the charter it was made under.
pub trait SeatStatement: Statement {
    /// The seat.
    fn seat(&self) -> SeatIndex;
    /// The charter in force at the node.
    fn charter(&self) -> &Digest;
}

macro_rules! seat_statement {
    ($($t:ty),*) => { $(impl SeatStatement for $t {
        fn seat(&self) -> SeatIndex { self.seat }
        fn charter(&self) -> &Digest { &self.charter }
    })* };
}
seat_statement!(Receipt, Verdict, Release, View, Notification);

fn protocol(text: impl Into<String>) -> NodeError {
    NodeError::Protocol(text.into())
}

/// Verifies a statement that `seat` should have signed: one signature, by the statement key that
/// the charter named in it lists for the seat. That charter must be a verified one.
///
/// # Errors
/// [`NodeError::Protocol`] with the rule that is broken.
pub fn verify_seat_statement<T: SeatStatement>(
    charters: &Charters,
    envelope: &Envelope,
    seat: SeatIndex,
) -> Result<T, NodeError> {
    let statement: T = envelope.decode().map_err(|e| protocol(e.to_string()))?;
    let kind = T::KIND;
    if statement.seat() != seat {
        return Err(protocol(format!("its {kind} is seat {}'s", statement.seat())));
    }
    if *statement.org() != charters.current().org {
        return Err(protocol(format!("its {kind} is organisation {}'s", statement.org())));
    }
    let listed = seat_of(charters, statement.charter(), seat, kind.name())?;
    let key = &listed.statement_key;
    let lookup = |id: &String| if key.id() == *id { vec![key.clone()] } else { vec![] };
    match envelope.signers(lookup).map_err(|e| protocol(format!("its {kind}: {e}")))?.as_slice() {
        [_] => Ok(statement),
        _ => Err(protocol(format!("its {kind} has more than one signature"))),
    }
}

/// Verifies the body of a webhook: a notification by a seat of the charter that it names. A
/// receiver gets it at least once and tells repetitions by its digest, the `Idempotency-Key`.
///
/// # Errors
/// [`NodeError::Protocol`] with the rule that is broken.
pub fn verify_notification(charters: &Charters, body: &[u8]) -> Result<Notification, NodeError> {
    let envelope = Envelope::parse(body).map_err(|e| protocol(e.to_string()))?;
    let claimed: Notification = envelope.decode().map_err(|e| protocol(e.to_string()))?;
    verify_seat_statement(charters, &envelope, claimed.seat)
}

fn seat_of<'a>(charters: &'a Charters, charter: &Digest, seat: SeatIndex, what: &str) -> Result<&'a Seat, NodeError> {
    let version = charters.version(charter).ok_or_else(|| {
        protocol(format!("its {what} was made under charter {}, which this client does not know", charter.short()))
    })?;
    version.seat(seat).ok_or_else(|| protocol(format!("charter {} has no seat {seat}", charter.short())))
}

/// The seat as a version lists it that gives it this log: the version named, or an earlier one. What was logged
/// before a seat got a new log stays in the old one.
fn with_log<'a>(
    charters: &'a Charters,
    charter: &Digest,
    seat: SeatIndex,
    origin: &str,
    what: &str,
) -> Result<&'a Seat, NodeError> {
    let newest = seat_of(charters, charter, seat, what)?;
    let version = charters.version(charter).map_or(0, |c| c.version);
    let until = charters.versions().filter(|c| c.version <= version).filter_map(|c| c.seat(seat));
    until.chain([newest]).filter(|s| s.log_origin == origin).last().ok_or_else(|| {
        protocol(format!(
            "its {what} names log {origin:?}, which charter {} and those before do not give it",
            charter.short()
        ))
    })
}

/// The log key of a seat, named by its origin.
///
/// # Errors
/// [`NodeError::Protocol`] if the charter lists a key that no log can have.
pub fn log_key(seat: &Seat) -> Result<VerifierKey, NodeError> {
    let PublicKey::Ed25519(key) = &seat.log_key else { return Err(protocol("its log key is not Ed25519")) };
    VerifierKey::new(&seat.log_origin, KeyKind::Log, key).map_err(|e| protocol(e.to_string()))
}

/// A receipt that its node really signed, for an entry that its log really holds.
#[derive(Clone, Debug)]
pub struct VerifiedReceipt {
    /// What the node says.
    pub receipt: Receipt,
    /// The receipt as it was signed.
    pub envelope: Envelope,
    /// The proof as it arrived.
    pub proof: String,
    /// True if the node first accepted exactly this envelope; false if the same payload reached
    /// it before under other signatures.
    pub same_envelope: bool,
}

/// Verifies a receipt: the seat's signature, the statement's digest, the log's origin, and the
/// entry's inclusion under a checkpoint that the log signed.
///
/// # Errors
/// [`NodeError::Protocol`] with the rule that is broken.
pub fn verify_receipt(
    charters: &Charters,
    seat: SeatIndex,
    answer: &Receipted,
    statement: &Envelope,
) -> Result<VerifiedReceipt, NodeError> {
    let (envelope, receipt) =
        verify_kept_receipt(charters, seat, &statement.digest(), &answer.receipt.0, &answer.proof)?;
    let same_envelope = receipt.envelope == statement.envelope_digest();
    Ok(VerifiedReceipt { receipt, envelope, proof: answer.proof.clone(), same_envelope })
}

/// Verifies a receipt for a statement of which only the digest is at hand, as an outbox keeps it.
///
/// # Errors
/// [`NodeError::Protocol`] with the rule that is broken.
pub(crate) fn verify_kept_receipt(
    charters: &Charters,
    seat: SeatIndex,
    statement: &Digest,
    receipt: &[u8],
    proof: &str,
) -> Result<(Envelope, Receipt), NodeError> {
    let envelope = Envelope::parse(receipt).map_err(|e| protocol(format!("unreadable receipt: {e}")))?;
    let receipt: Receipt = verify_seat_statement(charters, &envelope, seat)?;
    if receipt.statement != *statement {
        return Err(protocol("its receipt is for another statement"));
    }
    let listed = with_log(charters, &receipt.charter, seat, &receipt.log, "receipt")?;
    let proof = parse_proof(proof)?;
    if proof.index != receipt.seq {
        return Err(protocol("its proof is for another entry than its receipt"));
    }
    proof
        .verify(&receipt.leaf.0, &listed.log_origin, &log_key(listed)?)
        .map_err(|e| protocol(format!("its proof does not hold: {e}")))?;
    Ok((envelope, receipt))
}

fn parse_proof(text: &str) -> Result<TlogProof, NodeError> {
    TlogProof::parse(text.as_bytes()).map_err(|e| protocol(format!("its proof is unreadable: {e}")))
}

/// Verifies that a seat's log holds an entry that names `statement`: the entry's own words, its
/// place in the tree, and the checkpoint that the log signed.
///
/// # Errors
/// [`NodeError::Protocol`] with the rule that is broken.
pub fn verify_entry(
    charters: &Charters,
    charter: &Digest,
    seat: SeatIndex,
    statement: &Digest,
    entry: &[u8],
    proof: &str,
) -> Result<VerifiedCheckpoint, NodeError> {
    let proof = parse_proof(proof)?;
    let said = Entry::decode(entry).map_err(|e| protocol(format!("its log entry is unreadable: {e}")))?;
    let listed = with_log(charters, charter, seat, &said.log, "log entry")?;
    let names = said.statement.as_ref().is_some_and(|s| s.stmt == statement.0);
    if !names || said.seq != proof.index {
        return Err(protocol("its log entry is about something else"));
    }
    proof
        .verify(&leaf_hash(entry), &listed.log_origin, &log_key(listed)?)
        .map_err(|e| protocol(format!("its proof does not hold: {e}")))
}

/// Verifies that a seat's log signed this checkpoint.
///
/// # Errors
/// [`NodeError::Protocol`].
pub fn verify_note(seat: &Seat, note: &[u8]) -> Result<VerifiedCheckpoint, NodeError> {
    escrow_audit::checkpoint::Checkpoint::verify(note, &seat.log_origin, &log_key(seat)?)
        .map_err(|e| protocol(format!("its checkpoint does not hold: {e}")))
}

#[cfg(test)]
#[path = "seat_tests.rs"]
mod tests;
