//! What a release is collected for, whichever kind of statement asked for it.

use crate::recovery::KnownRecovery;
use crate::request::KnownRequest;
use escrow_core::decision::Decision;
use escrow_core::envelope::EnvelopeError;
use escrow_core::recovery::SelfRecovery;
use escrow_core::request::Request;
use escrow_core::{Digest, Envelope, ItemId, Kind, PersonId};
use std::collections::BTreeMap;

/// A request or a self-recovery, as far as collecting and opening go.
#[derive(Clone, Debug)]
pub struct Case {
    /// Digest of the statement that asks.
    pub digest: Digest,
    /// That statement as it was signed.
    pub envelope: Envelope,
    /// The items asked for, in order.
    pub items: Vec<ItemId>,
    /// Digest of the sealing key that replies are sealed to.
    pub recipient: Digest,
    /// Decisions on it, for nodes that missed them.
    pub decisions: Vec<Envelope>,
}

impl Case {
    /// Reads the statement; says nothing about who signed it.
    ///
    /// # Errors
    /// [`EnvelopeError`] if it is neither kind, or malformed.
    pub fn read(envelope: Envelope) -> Result<Self, EnvelopeError> {
        let (items, recipient) = if envelope.kind() == Kind::SelfRecovery {
            let r: SelfRecovery = envelope.decode()?;
            (r.items, r.sealing)
        } else {
            let r: Request = envelope.decode()?;
            let sealing = *r.recipient.sealing();
            (r.items, sealing)
        };
        Ok(Self { digest: envelope.digest(), envelope, items, recipient, decisions: vec![] })
    }
}

impl From<&KnownRequest> for Case {
    fn from(r: &KnownRequest) -> Self {
        Self {
            digest: r.digest,
            envelope: r.envelope.clone(),
            items: r.request.items.clone(),
            recipient: *r.request.recipient.sealing(),
            decisions: one_each(&r.decisions),
        }
    }
}

/// Of each person the strongest decision, the newest of those: nodes take a limited number with a call.
fn one_each(decisions: &[(Decision, Envelope)]) -> Vec<Envelope> {
    let mut best: BTreeMap<&PersonId, &(Decision, Envelope)> = BTreeMap::new();
    for d in decisions {
        let slot = best.entry(&d.0.by).or_insert(d);
        if (d.0.choice, d.0.at) > (slot.0.choice, slot.0.at) {
            *slot = d;
        }
    }
    best.into_values().map(|(_, e)| e.clone()).collect()
}

impl From<&KnownRecovery> for Case {
    fn from(r: &KnownRecovery) -> Self {
        Self {
            digest: r.digest,
            envelope: r.envelope.clone(),
            items: r.recovery.items.clone(),
            recipient: r.recovery.sealing,
            decisions: one_each(&r.decisions),
        }
    }
}
