//! The note keys of a seat: under which names its log signs and its witness cosigns.

use crate::note::{KeyKind, NoteError, VerifierKey};
use escrow_core::charter::Seat;
use escrow_core::{Org, PublicKey, SeatIndex};

/// The key that signs the checkpoints of a seat's log. Its name is the log's origin.
///
/// # Errors
/// [`NoteError`] if the charter's key is not Ed25519 or the origin cannot be a key name; a
/// verified charter has neither.
pub fn log_verifier(seat: &Seat) -> Result<VerifierKey, NoteError> {
    verifier(&seat.log_origin, KeyKind::Log, &seat.log_key)
}

/// The key of a seat's cosignatures on other logs.
///
/// # Errors
/// As [`log_verifier`].
pub fn witness_verifier(org: &Org, seat: &Seat) -> Result<VerifierKey, NoteError> {
    verifier(&witness_name(org, seat.index), KeyKind::Cosigner, &seat.witness_key)
}

/// Name of a seat's witness key, `<org>/<seat>/witness`. It does not depend on the log's origin,
/// so that a new log does not rename the witness.
#[must_use]
pub fn witness_name(org: &Org, seat: SeatIndex) -> String {
    format!("{org}/{seat}/witness")
}

fn verifier(name: &str, kind: KeyKind, key: &PublicKey) -> Result<VerifierKey, NoteError> {
    match key {
        PublicKey::Ed25519(key) => VerifierKey::new(name, kind, key),
        PublicKey::Es256(_) | PublicKey::SshSig(_) => Err(NoteError::VerifierKey),
    }
}
