//! Pieces that several stories are made of.

use super::common::{Cluster, seat_index};
use escrow_audit::entry::leaf_hash;
use escrow_core::charter::{Charter, Person, PersonKey, Subject};
use escrow_core::decision::Choice;
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::{Digest, Envelope, Kind, Nonce, SigningKey, Statement, Timestamp};
use escrow_policy::Event;

/// Two approvals, and each node's verdict; then a release-call.
pub(crate) fn permitted() -> (Cluster, Vec<Envelope>, Envelope) {
    let mut c = Cluster::new();
    c.ask();
    verdicts(c)
}

/// The same for a self-recovery, so long after the enrolment of its device.
pub(crate) fn recovering(after_s: i64) -> (Cluster, Vec<Envelope>, Envelope) {
    let mut c = Cluster::new();
    c.recover(after_s);
    let permits = (0..3).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    (c, permits, call)
}

pub(crate) fn approved(mut c: Cluster) -> Cluster {
    c.decide("leg", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    c
}

pub(crate) fn verdicts(c: Cluster) -> (Cluster, Vec<Envelope>, Envelope) {
    let mut c = approved(c);
    let permits = (0..3).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    (c, permits, call)
}

/// A request that waits for approvals.
pub(crate) fn asked() -> Cluster {
    let mut c = Cluster::new();
    c.ask();
    c
}

/// The story's first statement of a kind.
pub(crate) fn first<T: Statement>(c: &Cluster) -> T {
    c.statements.iter().find(|e| e.kind() == T::KIND).unwrap().decode().unwrap()
}

/// That statement changed, signed by these people.
pub(crate) fn bent<T: Statement>(c: &Cluster, who: &[&str], bend: impl FnOnce(&mut T)) -> Envelope {
    let mut statement = first::<T>(c);
    bend(&mut statement);
    c.signed(&statement, who)
}

/// That statement changed, signed by one key.
pub(crate) fn bent_by<T: Statement>(c: &Cluster, key: &SigningKey, bend: impl FnOnce(&mut T)) -> Envelope {
    let mut statement = first::<T>(c);
    bend(&mut statement);
    Envelope::sign(&statement, &[key]).unwrap()
}

/// Appends bytes to a log that no honest node would write.
pub(crate) fn append_raw(c: &mut Cluster, n: usize, bytes: Vec<u8>) {
    let node = &mut c.nodes[n];
    node.tree.append(leaf_hash(&bytes));
    node.entries.push(bytes);
}

/// Appends an entry of any type and body, rightly chained, that the fold never sees.
pub(crate) fn append_entry(c: &mut Cluster, n: usize, kind: &str, body: &serde_json::Value) {
    let body = body.as_object().unwrap().clone();
    let now = u64::try_from(c.now.millis()).unwrap();
    let bytes = c.nodes[n].chain.draft(now, kind, None, body).encode().unwrap();
    c.nodes[n].chain.push(&bytes).unwrap();
    append_raw(c, n, bytes);
}

/// A successor of the charter in force, signed by both administrators.
pub(crate) fn successor(c: &Cluster, bend: impl FnOnce(&mut Charter)) -> (Charter, Envelope) {
    let mut next = c.charter.clone();
    (next.version, next.previous, next.nonce) = (next.version + 1, Some(c.genesis), Nonce::random());
    next.issued = c.now;
    bend(&mut next);
    let envelope = c.signed(&next, &["ann", "bob"]);
    (next, envelope)
}

/// A successor, logged and accepted everywhere; from then on statements name it.
pub(crate) fn succeed(c: &mut Cluster, bend: impl FnOnce(&mut Charter)) {
    c.tick(1);
    let (next, envelope) = successor(c, bend);
    c.submit(&envelope);
    c.tick(1);
    for n in 0..3 {
        c.log(n, &Event::CharterAccepted { charter: envelope.digest() }, None);
        c.log(n, &Event::Ready { peers: (1..=3).map(seat_index).filter(|s| s.get() != n as u8 + 1).collect() }, None);
    }
    (c.charter, c.genesis) = (next, envelope.digest());
}

/// Somebody new in a charter, with a key that signs.
pub(crate) fn join(c: &mut Cluster, charter: &mut Charter, id: &'static str, roles: &[&str], key: SigningKey) {
    let sealing = SealingSecret::generate(Suite::XWing);
    charter.people.push(Person {
        id: id.parse().unwrap(),
        name: id.to_uppercase(),
        roles: roles.iter().map(|r| r.parse().unwrap()).collect(),
        keys: vec![PersonKey { key: key.public(), from: Timestamp::EPOCH, until: Timestamp::MAX }],
        sealing: Some(sealing.public().clone()),
        subject: Subject::NoSubject,
    });
    c.people.insert(id, key);
}

/// One whole release at the first two nodes.
pub(crate) fn released((mut c, permits, call): (Cluster, Vec<Envelope>, Envelope)) -> Cluster {
    c.release(0, 1, &call, &permits[1]);
    c.release(1, 2, &call, &permits[0]);
    c
}

pub(crate) fn envelope_of(c: &Cluster, kind: Kind) -> Envelope {
    c.statements.iter().find(|e| e.kind() == kind).unwrap().clone()
}

pub(crate) fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}
