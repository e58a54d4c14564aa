//! The note keys of a seat: under which names its log signs and its witness cosigns.

use crate::note::{KeyKind, NoteError, VerifierKey};
use escrow_core::charter::{Charter, Seat};
use escrow_core::{Org, PublicKey, SeatIndex};

/// The key that signs the checkpoints of a seat's log. Its name is the log's origin.
///
/// # Errors
/// [`NoteError`] if the charter's key is not Ed25519 or the origin cannot be a key name; a
/// verified charter has neither.
pub fn log_verifier(seat: &Seat) -> Result<VerifierKey, NoteError> {
    verifier(&seat.log_origin, KeyKind::Log, &seat.log_key)
}

/// The number of a seat's log: 1 for the first origin that the charters, ascending by version, give the
/// seat, one more for each new one. None if no charter gives it this origin.
#[must_use]
pub fn log_number<'c>(charters: impl IntoIterator<Item = &'c Charter>, seat: SeatIndex, origin: &str) -> Option<u32> {
    let mut origins: Vec<&str> = Vec::new();
    for s in charters.into_iter().filter_map(|c| c.seat(seat)) {
        if !origins.contains(&s.log_origin.as_str()) {
            origins.push(&s.log_origin);
        }
    }
    (1..).zip(origins).find(|(_, o)| *o == origin).map(|(n, _)| n)
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
