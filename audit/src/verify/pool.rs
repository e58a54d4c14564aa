//! The envelopes of a bundle, by both of their names.

use escrow_core::{Digest, Envelope};
use std::collections::BTreeMap;

/// An envelope and the file it is in.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) path: String,
    pub(super) envelope: Envelope,
}

/// Charters and statements.
#[derive(Debug, Default)]
pub(super) struct Pool {
    by_envelope: BTreeMap<Digest, Stored>,
    by_payload: BTreeMap<Digest, Vec<Digest>>,
}

impl Pool {
    /// False if this very envelope is there already.
    pub(super) fn insert(&mut self, digest: Digest, stored: Stored) -> bool {
        if self.by_envelope.contains_key(&digest) {
            return false;
        }
        self.by_payload.entry(stored.envelope.digest()).or_default().push(digest);
        self.by_envelope.insert(digest, stored);
        true
    }

    pub(super) fn len(&self) -> usize {
        self.by_envelope.len()
    }

    pub(super) fn get(&self, envelope: &Digest) -> Option<&Stored> {
        self.by_envelope.get(envelope)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Digest, &Stored)> {
        self.by_envelope.iter()
    }

    /// All envelopes around one payload.
    pub(super) fn named(&self, payload: &Digest) -> impl Iterator<Item = &Stored> {
        let digests = self.by_payload.get(payload).map(Vec::as_slice).unwrap_or_default();
        digests.iter().filter_map(|d| self.by_envelope.get(d))
    }
}
