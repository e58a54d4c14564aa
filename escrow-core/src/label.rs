//! The one way to build a byte string that is hashed, signed over or bound as associated data.
//!
//! A domain label first, then each field with its length as 8 bytes big-endian. Two different
//! lists of fields can therefore never give the same bytes, and no field of one purpose can be
//! replayed for another.

use crate::Digest;

/// Every domain label in use; the list is the registry (`docs/protocol.md`, "Labels").
pub mod labels {
    /// Item context, the associated data of the key wrap.
    pub const ITEM: &str = "escrow/v1/item";
    /// HKDF info of the key-encryption key.
    pub const KEK: &str = "escrow/v1/kek";
    /// HKDF info of the published key check.
    pub const KEY_CHECK: &str = "escrow/v1/key-check";
    /// Item id.
    pub const ITEM_ID: &str = "escrow/v1/item-id";
    /// Associated data of one seat's share blob.
    pub const SHARES: &str = "escrow/v1/shares";
    /// Associated data of a node's reply to the recipient.
    pub const REPLY: &str = "escrow/v1/reply";
    /// Associated data of shares at rest.
    pub const AT_REST: &str = "escrow/v1/at-rest";
    /// Associated data of a deposit key under the node's storage key.
    pub const DEPOSIT_KEY: &str = "escrow/v1/deposit-key";
    /// Associated data of a sealed private file (keys of a seat, key ring of a device).
    pub const SEALED_FILE: &str = "escrow/v1/sealed-file";
    /// Token of a subject.
    pub const SUBJECT_TOKEN: &str = "escrow/v1/token/subject";
    /// Token of a thread.
    pub const THREAD_TOKEN: &str = "escrow/v1/token/thread";
    /// Digest of a public key, as recipients and key ids use it.
    pub const KEY: &str = "escrow/v1/key";
    /// Digest of a policy text.
    pub const POLICY: &str = "escrow/v1/policy";
    /// Salted commitment to a text that must not reach a node.
    pub const COMMITMENT: &str = "escrow/v1/commitment";
    /// Header and records of a sealed archive segment.
    pub const ARCHIVE: &str = "escrow/v1/archive";
    /// Key commitment of a sealed archive segment.
    pub const ARCHIVE_KEY: &str = "escrow/v1/archive-key";
    /// Key and file name of a sealed attachment.
    pub const ATTACHMENT: &str = "escrow/v1/attachment";
}

/// Builds one labelled byte string; see the module.
#[derive(Clone)]
pub struct Labelled(Vec<u8>);

impl Labelled {
    /// Starts with the domain label, itself length-prefixed.
    pub fn new(label: &str) -> Self {
        Self(Vec::new()).bytes(label.as_bytes())
    }

    /// Appends one field.
    #[must_use]
    pub fn bytes(mut self, field: &[u8]) -> Self {
        self.0.extend_from_slice(&(field.len() as u64).to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    /// Appends a number as one 8-byte big-endian field.
    #[must_use]
    pub fn u64(self, n: u64) -> Self {
        self.bytes(&n.to_be_bytes())
    }

    /// Appends a digest as one field.
    #[must_use]
    pub fn digest(self, d: &Digest) -> Self {
        self.bytes(d.as_bytes())
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// SHA-256 of the bytes.
    pub fn hash(&self) -> Digest {
        Digest::of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_cannot_move() {
        let a = Labelled::new("x").bytes(b"ab").bytes(b"c").finish();
        let b = Labelled::new("x").bytes(b"a").bytes(b"bc").finish();
        assert_ne!(a, b);
        assert_eq!(
            hex::encode(Labelled::new("x").u64(5).finish()),
            "00000000000000017800000000000000080000000000000005"
        );
    }
}
