//! Who acts: names and keys from verified charters and from enrolments in the logs.

use super::custody::{Actor, Signed};
use escrow_core::charter::{Charter, Seat};
use escrow_core::enrolment::Enrolment;
use escrow_core::release::Caller;
use escrow_core::{Code, Digest, Envelope, PersonId, PublicKey, SeatIndex, Token};
use escrow_policy::charter::VerifiedCharter;
use std::collections::BTreeMap;

/// Everybody that the evidence knows.
pub(super) struct Who {
    /// Ascending by version.
    charters: Vec<VerifiedCharter>,
    /// By key id.
    devices: BTreeMap<String, Vec<(PublicKey, Token)>>,
}

impl Who {
    pub(super) fn new(charters: Vec<VerifiedCharter>) -> Self {
        Self { charters, devices: BTreeMap::new() }
    }

    /// Takes over the devices of an enrolment.
    pub(super) fn enrol(&mut self, enrolment: Enrolment) {
        for d in enrolment.devices {
            let known = self.devices.entry(d.key.id()).or_default();
            if known.iter().all(|(k, _)| *k != d.key) {
                known.push((d.key, d.subject));
            }
        }
    }

    fn newest_first(&self) -> impl Iterator<Item = &Charter> {
        self.charters.iter().rev().map(VerifiedCharter::charter)
    }

    pub(super) fn seat(&self, index: SeatIndex) -> Option<&Seat> {
        self.newest_first().find_map(|c| c.seat(index))
    }

    pub(super) fn node(&self, index: SeatIndex) -> Actor {
        let seat = self.seat(index);
        Actor::Node { seat: index, name: seat.map(|s| s.name.clone()), operator: seat.map(|s| s.operator.clone()) }
    }

    pub(super) fn person(&self, id: &PersonId) -> Actor {
        let person = self.newest_first().find_map(|c| c.person(id));
        let roles = person.map(|p| p.roles.clone()).unwrap_or_default();
        Actor::Person { id: id.clone(), name: person.map(|p| p.name.clone()), roles }
    }

    pub(super) fn device(&self, key: &PublicKey) -> Actor {
        let id = key.id();
        let known = self.devices.get(&id).into_iter().flatten().find(|(k, _)| k == key);
        Actor::Device { subject: known.map(|(_, subject)| *subject), key: id }
    }

    pub(super) fn caller(&self, caller: &Caller) -> Actor {
        match caller {
            Caller::Person(id) => self.person(id),
            Caller::Device(key) => self.device(key),
        }
    }

    /// The keys that charters ever gave to an actor; of a device its own.
    pub(super) fn keys(&self, caller: &Caller) -> Vec<PublicKey> {
        match caller {
            Caller::Person(id) => {
                let listed = self.newest_first().filter_map(|c| c.person(id)).flat_map(|p| &p.keys);
                listed.map(|k| k.key.clone()).collect()
            }
            Caller::Device(key) => {
                let enrolled = self.devices.get(&key.id()).into_iter().flatten();
                enrolled.map(|(k, _)| k.clone()).filter(|k| k == key).collect()
            }
        }
    }

    pub(super) fn seat_keys(&self, index: SeatIndex) -> Vec<PublicKey> {
        self.newest_first().filter_map(|c| c.seat(index)).map(|s| s.statement_key.clone()).collect()
    }

    /// Id of a policy text, in whatever version lists it.
    pub(super) fn policy(&self, digest: &Digest) -> Option<&Code> {
        let mut policies = self.newest_first().flat_map(|c| &c.policies);
        policies.find(|p| p.digest() == *digest).map(|p| &p.id)
    }

    /// Signatures that only these keys may have made.
    pub(super) fn signed(envelope: &Envelope, keys: &[PublicKey]) -> Signed {
        let lookup = |id: &String| keys.iter().filter(|k| k.id() == *id).cloned().collect();
        let verified = envelope.signers(lookup).is_ok();
        Signed { keys: envelope.key_ids().cloned().collect(), verified }
    }

    /// Whoever signed, people and devices, and the signatures; nobody if one does not verify.
    pub(super) fn signers(&self, envelope: &Envelope) -> (Vec<Actor>, Signed) {
        let people = || self.newest_first().flat_map(|c| &c.people);
        let lookup = |id: &String| {
            let listed = people().flat_map(|p| &p.keys).map(|k| &k.key).filter(|k| k.id() == *id);
            let enrolled = self.devices.get(id).into_iter().flatten().map(|(k, _)| k);
            let mut keys: Vec<PublicKey> = listed.chain(enrolled).cloned().collect();
            keys.sort();
            keys.dedup();
            keys
        };
        let keys = envelope.signers(lookup);
        let signed = Signed { keys: envelope.key_ids().cloned().collect(), verified: keys.is_ok() };
        let actor = |key: &PublicKey| {
            let person = people().find(|p| p.keys.iter().any(|k| k.key == *key));
            person.map_or_else(|| self.device(key), |p| self.person(&p.id))
        };
        (keys.unwrap_or_default().iter().map(actor).collect(), signed)
    }
}
