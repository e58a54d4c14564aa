//! Stories with many parties: escrow on a works agreement, threads with others in them, officers whose own
//! messages are in scope, withdrawal by an office, witnesses that keep no record.

use super::common::moved::{Lies, Moved, THREE, moved, released as released_anew};
use super::common::{Cluster, seat_index};
use super::story::{approved, bent, bent_by, digest, first, join, permitted, released, succeed, verdicts};
use super::valid::{again, code};
use super::{Story, Told};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::leaf_hash;
use escrow_audit::note::NoteSigner;
use escrow_audit::tree::Tree;
use escrow_core::charter::{Basis, BasisSigners, Subject};
use escrow_core::consent::{Authority, Consent, Withdrawal};
use escrow_core::deal::{About, Deal, Dealer, KeySource, OpenedDeal, Participant};
use escrow_core::decision::{Choice, Decision};
use escrow_core::deposit::{Deposit, SeatBlob};
use escrow_core::enrolment::Enrolment;
use escrow_core::recovery::Veto;
use escrow_core::release::Caller;
use escrow_core::{Blob, Digest, Envelope, Kind, Nonce, SigningKey, ThreadKey, Token};
use escrow_policy::Event;

pub(super) const STORIES: &[Story] = &[
    ("valid-works-agreement", || {
        let (c, genesis) = agreed("out");
        Told::settled(released(verdicts(c)), genesis)
    }),
    ("valid-withdrawn-by-office", || {
        let (c, genesis) = agreed("out");
        let mut c = approved(c);
        let withdrawal = withdrawal(&c, &["sub"]);
        c.submit(&withdrawal);
        for n in 0..3 {
            c.verdict(n, |_| {});
        }
        Told::settled(c, genesis)
    }),
    ("valid-withdrawn-by-its-signers", || {
        let (mut c, genesis) = agreed("out");
        let withdrawal = withdrawal(&c, &["aud", "dpo"]);
        c.submit(&withdrawal);
        c.verdict(1, |_| {});
        Told::settled(c, genesis)
    }),
    ("valid-vetoed-by-office", || {
        let mut c = Cluster::new();
        let genesis = c.genesis;
        c.recover(86_400);
        let mut next = c.charter.clone();
        join(&mut c, &mut next, "sub", &["subject-rights"], SigningKey::generate_es256());
        succeed(&mut c, |n| n.people = next.people);
        let by = Caller::Person("sub".parse().unwrap());
        let veto = Veto {
            kind: Kind::Veto,
            org: c.charter.org.clone(),
            nonce: Nonce::random(),
            charter: c.genesis,
            recovery: c.request_digest(),
            by,
            reason: code("not-theirs"),
            at: c.now,
        };
        let veto = c.signed(&veto, &["sub"]);
        c.submit(&veto);
        for n in 0..3 {
            c.verdict(n, |_| {});
        }
        Told::settled(c, genesis)
    }),
    ("agreement-with-one-signature", || {
        let (mut c, genesis) = agreed("out");
        let consent = c.statements.iter().rfind(|e| e.kind() == Kind::Consent).unwrap();
        let mut consent = consent.decode::<Consent>().unwrap();
        (consent.basis, consent.nonce) = (Basis::WorksAgreement, Nonce::random());
        consent.authority = Some(authority());
        let consent = c.signed(&consent, &["dpo"]);
        c.submit_to(&[2], &consent);
        Told::settled(c, genesis)
    }),
    ("agreement-nobody-may-sign", || {
        let (mut c, genesis) = agreed("out");
        let charter = c.genesis;
        let consent = bent::<Consent>(&c, &["aud", "dpo"], |s| {
            (s.basis, s.nonce, s.charter) = (Basis::LegalObligation, Nonce::random(), charter);
            s.authority = Some(authority());
        });
        c.submit_to(&[2], &consent);
        Told::settled(c, genesis)
    }),
    ("agreement-withdrawn-by-a-device", || {
        let (mut c, genesis) = agreed("out");
        let mut withdrawal = withdrawal(&c, &["sub"]).decode::<Withdrawal>().unwrap();
        withdrawal.nonce = Nonce::random();
        let withdrawal = Envelope::sign(&withdrawal, &[&c.device]).unwrap();
        c.submit_to(&[2], &withdrawal);
        Told::settled(c, genesis)
    }),
    ("approval-by-a-subject-in-scope", || {
        let (mut c, genesis) = agreed("leg");
        c.decide("leg", "legal", Choice::Approve);
        Told::settled(c, genesis)
    }),
    ("permit-that-counts-a-subject-in-scope", || {
        let (mut c, genesis) = agreed("leg");
        c.decide("dpo", "dpo", Choice::Approve);
        c.decide("leg", "legal", Choice::Approve);
        c.verdict(1, |v| {
            v.outcome = escrow_core::verdict::Outcome::Permit;
            v.lacking.clear();
            v.valid_until = v.decided.plus_seconds(60);
        });
        Told::settled(c, genesis)
    }),
    ("deposit-with-another-token-version", || {
        let (mut c, genesis) = agreed("out");
        let deposit = deal(&c, "out", 2);
        c.submit_to(&[2], &deposit);
        Told::settled(c, genesis)
    }),
    ("valid-second-log", || full(released_anew(moved(&Lies::default())))),
    ("valid-second-log-old-one-whole", || {
        let mut m = released_anew(moved(&Lies::default()));
        m.c.nodes[THREE].closed = vec![m.whole.clone()];
        full(m)
    }),
    ("lacks-the-log-before", || {
        let mut m = released_anew(moved(&Lies::default()));
        m.c.nodes[THREE].closed.clear();
        full(m)
    }),
    ("lacks-the-end-of-the-log-before", || {
        let mut m = released_anew(moved(&Lies::default()));
        let (mut entries, _) = m.c.nodes[THREE].closed.pop().unwrap();
        entries.pop();
        let tree: Tree = entries.iter().map(|e| leaf_hash(e)).collect();
        let signer = NoteSigner::new("acme/3/log", &m.old_key).unwrap();
        let head = Checkpoint::new("acme/3/log", tree.size(), tree.root()).unwrap().sign(&signer).unwrap();
        m.c.nodes[THREE].closed = vec![(entries, head.to_bytes())];
        full(m)
    }),
    ("lacks-whoever-saw-the-last-head", || {
        full(released_anew(moved(&Lies { head: Some(Digest([9; 32])), ..Lies::default() })))
    }),
    ("second-log-goes-on-from-another-history", || {
        full(released_anew(moved(&Lies { root: Some(Digest([7; 32])), ..Lies::default() })))
    }),
    ("second-log-goes-on-from-nothing", || {
        let mut m = moved(&Lies { silent: true, ..Lies::default() });
        m.c.settle();
        full(m)
    }),
    ("first-log-that-says-it-goes-on", || {
        let mut c = Cluster::honest();
        let (root, size) = (Digest(c.nodes[0].tree.root()), c.nodes[0].tree.size());
        let seat = seat_index(1);
        c.log(0, &Event::Continued { seat, log: "acme/1/log".into(), size, root }, None);
        c.into()
    }),
    ("restart-with-an-open-authorisation", || {
        let (mut c, permits, call) = permitted();
        let answer = c.answer(1, 0);
        c.authorise(0, &call, &[&permits[1]], &[&answer]);
        c.log(0, &Event::Ready { peers: vec![seat_index(2), seat_index(3)] }, None);
        c.into()
    }),
    ("cosigned-long-before-the-delivery", || {
        let (mut c, permits, call) = permitted();
        let answer = c.answer(1, 0);
        let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
        let mut head = c.nodes[0].head(c.nodes[0].tree.size());
        let name = escrow_audit::seat::witness_name(&c.charter.org, c.nodes[1].index);
        let time = u64::try_from(c.now.millis() / 1000).unwrap() - 400;
        let line = escrow_audit::note::cosign(&name, &c.nodes[1].witness, time, head.note().text()).unwrap();
        let key = escrow_audit::seat::witness_verifier(&c.charter.org, &c.charter.seats[1]).unwrap();
        assert_eq!(head.add_cosignatures(format!("{line}\n").as_bytes(), &[key]), Ok(1));
        c.deliver(0, authorized, &head, |_| {});
        c.into()
    }),
    ("cosignature-that-its-witness-did-not-log", || {
        let (mut c, permits, call) = permitted();
        let answer = c.answer(1, 0);
        let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
        let n = &c.nodes[1];
        let before = (n.entries.clone(), n.chain.clone(), n.tree.clone(), n.facts.clone());
        let note = c.cosigned(0, &[1]);
        let n = &mut c.nodes[1];
        (n.entries, n.chain, n.tree, n.facts) = before;
        c.deliver(0, authorized, &note, |_| {});
        c.tick(5);
        c.into()
    }),
    ("valid-decision-of-an-unknown-request", || {
        let mut c = approved(super::story::asked());
        let nowhere = bent::<Decision>(&c, &["leg"], |d| (d.nonce, d.request) = (Nonce::random(), digest("nowhere")));
        c.submit(&nowhere);
        for n in 0..3 {
            c.verdict(n, |_| {});
        }
        c.into()
    }),
];

fn full(m: Moved) -> Told {
    Told { files: m.c.full(), bare: None, pinned: m.genesis.to_string() }
}

fn authority() -> Authority {
    Authority { reference: code("BV-2026-3"), document: digest("the agreement") }
}

/// A withdrawal of the works agreement.
fn withdrawal(c: &Cluster, who: &[&str]) -> Envelope {
    let withdrawal = Withdrawal {
        kind: Kind::Withdrawal,
        org: c.charter.org.clone(),
        nonce: Nonce::random(),
        charter: c.genesis,
        consent: c.consent.as_ref().unwrap().digest(),
        subject: c.tokens.subject("sam"),
        at: c.now,
    };
    c.signed(&withdrawal, who)
}

/// A deposit of three items in two threads, with others in them; the last may be anybody.
fn deal(c: &Cluster, other: &str, version: u32) -> Envelope {
    let sam = c.tokens.subject("sam");
    let consent = c.consent.as_ref().unwrap();
    let terms = consent.decode::<Consent>().unwrap();
    let header = Deal {
        org: c.charter.org.clone(),
        nonce: Nonce::random(),
        generation: 1,
        t: 2,
        n: 3,
        consent: consent.digest(),
        policies: terms.policies,
        depositor: sam,
        items: vec![],
    };
    let seats: Vec<_> = c.nodes.iter().map(|n| (n.index, n.sealing.public().clone())).collect();
    let about = |epoch, thread: &str, others: &[(&str, bool)]| {
        let token = |id: &str| Token { version, ..c.tokens.subject(id) };
        let mut participants: Vec<_> =
            others.iter().map(|(id, inside)| Participant { token: token(id), inside: *inside }).collect();
        participants.push(Participant { token: sam, inside: true });
        participants.sort();
        About {
            source: KeySource::Megolm,
            thread: c.tokens.thread(thread),
            era: 0,
            epoch,
            authenticator: Blob(vec![]),
            from: terms.from,
            to: terms.from.plus_seconds(60),
            archive: None,
            participants,
        }
    };
    let keys = [
        (about(1, "t", &[("mia", true), ("tim", true), ("eve", false)]), ThreadKey::generate()),
        (about(2, "t", &[("mia", true), ("out", false)]), ThreadKey::generate()),
        (about(1, "u", &[("mia", true), (other, other == "leg")]), ThreadKey::generate()),
    ];
    let dealt = Dealer { header, seats: &seats }.deal(&keys).unwrap();
    let deposit = Deposit {
        kind: Kind::Deposit,
        org: c.charter.org.clone(),
        nonce: Nonce::random(),
        charter: c.genesis,
        depositor: sam,
        deal: Blob(dealt.deal),
        blobs: dealt.blobs.iter().map(|(seat, b)| SeatBlob { seat: *seat, sha256: Digest::of(b) }).collect(),
        at: c.now,
    };
    Envelope::sign(&deposit, &[&c.device]).unwrap()
}

/// Escrow on a works agreement that two roles signed, a deposit under it, and a request by order.
fn agreed(other: &str) -> (Cluster, Digest) {
    let mut c = super::story::asked();
    let genesis = c.genesis;
    let mut next = c.charter.clone();
    join(&mut c, &mut next, "aud", &["legal"], SigningKey::generate_es256());
    join(&mut c, &mut next, "sub", &["subject-rights"], SigningKey::generate_es256());
    next.people[3].subject = Subject::Tokens(vec![c.tokens.subject("leg")]);
    let roles = vec!["legal".parse().unwrap(), "dpo".parse().unwrap()];
    succeed(&mut c, |n| {
        n.people = next.people;
        n.basis_signers = vec![BasisSigners { basis: Basis::WorksAgreement, roles }];
    });
    let (charter, mia) = (c.genesis, c.tokens.subject("mia"));
    // Whoever else signs has a hand in it, and does not count.
    let enrolment = bent::<Enrolment>(&c, &["ann", "bob", "leg"], |e| {
        (e.nonce, e.charter, e.devices[0].subject) = (Nonce::random(), charter, mia);
        e.devices[0].key = c.tablet.public();
        e.devices[0].sealing = c.tablet_sealing.public().clone();
    });
    c.submit(&enrolment);
    let own = bent_by::<Consent>(&c, &c.tablet, |s| (s.nonce, s.charter, s.subject) = (Nonce::random(), charter, mia));
    let mut agreement = first::<Consent>(&c);
    (agreement.nonce, agreement.charter, agreement.basis) = (Nonce::random(), charter, Basis::WorksAgreement);
    agreement.authority = Some(authority());
    let agreement = c.signed(&agreement, &["dpo", "aud"]);
    c.submit(&agreement);
    c.submit(&own);
    c.consent = Some(agreement);
    let deposit = deal(&c, other, 1);
    c.submit(&deposit);
    let mut ids = OpenedDeal::parse(&deposit.decode::<Deposit>().unwrap().deal.0).unwrap().item_ids();
    ids.sort();
    c.items = ids.clone();
    let mut threads = vec![c.tokens.thread("t"), c.tokens.thread("u")];
    threads.sort();
    again(&mut c, |r| {
        r.counts = escrow_core::request::Counts { items: 3, threads: 2 };
        (r.items, r.scope.threads) = (ids, threads);
        (r.basis, r.authority) =
            (Basis::Order, Some(Authority { reference: code("12 Js 3"), document: digest("order") }));
    });
    (c, genesis)
}
