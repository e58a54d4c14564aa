//! A seat that lost entries and goes on under a new log, honestly or with lies about the old one.

use super::{Cluster, seat_index};
use escrow_audit::entry::{Chain, Entry};
use escrow_audit::record;
use escrow_audit::tree::Tree;
use escrow_core::decision::Choice;
use escrow_core::{Digest, Envelope, Nonce, PublicKey};
use escrow_policy::{Event, Facts};

/// Seat 3, which loses entries.
pub(crate) const THREE: usize = 2;

/// A cluster in which seat 3 goes on under a new log.
pub(crate) struct Moved {
    pub(crate) c: Cluster,
    pub(crate) genesis: Digest,
    /// What the old log had in truth, and its note.
    pub(crate) whole: (Vec<Vec<u8>>, Vec<u8>),
    pub(crate) kept: u64,
    pub(crate) old_key: ed25519_dalek::SigningKey,
}

/// How the new log may lie about the old one.
#[derive(Default)]
pub(crate) struct Lies {
    pub(crate) root: Option<Digest>,
    pub(crate) head: Option<Digest>,
    pub(crate) silent: bool,
}

/// Up to the decisions everything is kept; verdict, cosignature and a withdrawal are lost.
pub(crate) fn moved(lies: &Lies) -> Moved {
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    let kept = c.nodes[THREE].tree.size();
    let permits: Vec<Envelope> = (0..3).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    c.release(0, THREE, &call, &permits[THREE]);
    // Only seat 3 hears of it; its own next facts must not know it either.
    c.withdraw(&[THREE]);
    let all = c.nodes[THREE].tree.size();
    let newest = c.cosigned(THREE, &[0, 1]);
    assert_eq!((newest.size(), &c.refusals), (all, &vec![]));

    let node = &mut c.nodes[THREE];
    let whole = (node.entries.clone(), node.head(all).to_bytes());
    let root = Digest(node.tree.root_at(kept).unwrap());
    let cut = usize::try_from(kept).unwrap();
    node.closed = vec![(node.entries[..cut].to_vec(), node.head(kept).to_bytes())];
    node.facts = Facts::new();
    for bytes in &node.entries[..cut] {
        let entry = Entry::decode(bytes).unwrap();
        let of = entry.statement.as_ref().map(|s| Digest(s.env));
        let statement = of.and_then(|env| c.statements.iter().find(|e| e.envelope_digest() == env));
        node.facts.fold(&record::read(&entry, 0, statement).unwrap()).unwrap();
    }
    (node.base, node.entries, node.tree) = (kept, vec![], Tree::new());
    node.chain = Chain::new("acme/3/log/2");
    let old_key = node.log_key.clone();
    node.log_key = ed25519_dalek::SigningKey::generate(&mut escrow_core::random::rng());
    node.held.clear();

    let genesis = c.genesis;
    c.charter.version = 2;
    c.charter.previous = Some(genesis);
    c.charter.nonce = Nonce::random();
    c.charter.issued = c.now;
    let seat = &mut c.charter.seats[THREE];
    seat.log_origin = "acme/3/log/2".into();
    seat.log_key = PublicKey::Ed25519(c.nodes[THREE].log_key.verifying_key());
    seat.previous_log_head = Some(lies.head.unwrap_or_else(|| Digest::of(newest.note().text().as_bytes())));
    let next = c.signed(&c.charter, &["ann", "bob"]);
    c.tick(1);
    if !lies.silent {
        let root = lies.root.unwrap_or(root);
        let event = Event::Continued { seat: seat_index(3), log: "acme/3/log".into(), size: kept, root };
        c.log(THREE, &event, None);
    }
    for n in 0..3 {
        c.log(n, &Event::Statement {}, Some(&next));
        c.log(n, &Event::CharterAccepted { charter: next.digest() }, None);
        let peers = (1..=3).map(seat_index).filter(|s| *s != c.nodes[n].index).collect();
        c.log(n, &Event::Ready { peers }, None);
    }
    c.genesis = next.digest();
    Moved { c, genesis, whole, kept, old_key }
}

/// Seat 3 takes part in a release under its new log.
pub(crate) fn released(mut m: Moved) -> Moved {
    let permit = m.c.verdict(0, |_| {});
    let _own = m.c.verdict(THREE, |_| {});
    let call = m.c.call();
    m.c.release(THREE, 0, &call, &permit);
    m.c.settle();
    assert_eq!(m.c.refusals, Vec::<String>::new());
    m
}
