//! Deposits: a deal, and the digest of the blob that each seat receives.

use crate::digest::{Blob, Digest, Nonce};
use crate::limits;
use crate::statement::{Kind, rule, statement, strictly_sorted};
use crate::time::Timestamp;
use crate::token::Token;
use crate::words::{Org, SeatIndex};
use serde::{Deserialize, Serialize};

/// Signed by an enrolled device of the depositing subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deposit {
    /// Always [`Kind::Deposit`].
    pub kind: Kind,
    /// The organisation.
    pub org: Org,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The charter that the depositor saw.
    pub charter: Digest,
    /// The depositing subject.
    pub depositor: Token,
    /// The exact bytes of the [`crate::deal::Deal`].
    pub deal: Blob,
    /// One blob a member seat, ascending by seat.
    pub blobs: Vec<SeatBlob>,
    /// When it was signed.
    pub at: Timestamp,
}

/// Digest of the blob that one seat receives beside the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeatBlob {
    /// The seat.
    pub seat: SeatIndex,
    /// SHA-256 of its sealed blob.
    pub sha256: Digest,
}

statement!(Deposit, Deposit, limits::PAYLOAD_LARGE, |d| {
    rule(d.blobs.len() >= 2, "at least two seats")?;
    rule(strictly_sorted(&d.blobs.iter().map(|b| b.seat).collect::<Vec<_>>()), "seats ascending, no duplicates")
});
