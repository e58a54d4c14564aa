//! The envelopes of a bundle, by both of their names.

use escrow_core::charter::Charter;
use escrow_core::consent::{Consent, Withdrawal};
use escrow_core::decision::Decision;
use escrow_core::deposit::Deposit;
use escrow_core::enrolment::{Enrolment, Revocation};
use escrow_core::envelope::EnvelopeError;
use escrow_core::matter::Matter;
use escrow_core::query::Query;
use escrow_core::receipt::Receipt;
use escrow_core::release::{Release, ReleaseCall};
use escrow_core::request::{Cancellation, Request};
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::Verdict;
use escrow_core::view::View;
use escrow_core::{Digest, Envelope, Kind};
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

/// Decodes the payload as its kind demands.
pub(super) fn check_payload(envelope: &Envelope) -> Result<(), EnvelopeError> {
    match envelope.kind() {
        Kind::Charter => envelope.decode::<Charter>().map(drop),
        Kind::Enrolment => envelope.decode::<Enrolment>().map(drop),
        Kind::Revocation => envelope.decode::<Revocation>().map(drop),
        Kind::Consent => envelope.decode::<Consent>().map(drop),
        Kind::Withdrawal => envelope.decode::<Withdrawal>().map(drop),
        Kind::Deposit => envelope.decode::<Deposit>().map(drop),
        Kind::Matter => envelope.decode::<Matter>().map(drop),
        Kind::Request => envelope.decode::<Request>().map(drop),
        Kind::Cancellation => envelope.decode::<Cancellation>().map(drop),
        Kind::Decision => envelope.decode::<Decision>().map(drop),
        Kind::ReleaseCall => envelope.decode::<ReleaseCall>().map(drop),
        Kind::Receipt => envelope.decode::<Receipt>().map(drop),
        Kind::Verdict => envelope.decode::<Verdict>().map(drop),
        Kind::Release => envelope.decode::<Release>().map(drop),
        Kind::RestrictionAnswer => envelope.decode::<RestrictionAnswer>().map(drop),
        Kind::View => envelope.decode::<View>().map(drop),
        Kind::Query => envelope.decode::<Query>().map(drop),
    }
}
