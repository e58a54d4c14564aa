//! Histories of honest nodes: everybody may be refused, and nothing is wrong.

use super::common::{Cluster, seat_index};
use super::story::{
    approved, asked, bent, bent_by, envelope_of, first, join, permitted, recovering, released, succeed, verdicts,
};
use super::{Story, Told};
use escrow_core::consent::Consent;
use escrow_core::decision::Choice;
use escrow_core::enrolment::{Enrolment, Revocation, Revoked};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::query::{Query, Question};
use escrow_core::release::Caller;
use escrow_core::request::{Cancellation, DelayedNotice, Notice, Recipient, RecipientDevice, RecipientPerson, Request};
use escrow_core::{Code, Digest, Envelope, Kind, Nonce, SigningKey};
use escrow_policy::{Event, Rule};

pub(super) const STORIES: &[Story] = &[
    ("valid-release", || Cluster::honest().into()),
    ("valid-empty", || Cluster::new().into()),
    ("valid-denied", || {
        let mut c = asked();
        c.decide("leg", "legal", Choice::Approve);
        c.decide("dpo", "dpo", Choice::Deny);
        three_verdicts(c)
    }),
    ("valid-recused", || {
        let mut c = approved(asked());
        c.decide("leg", "legal", Choice::Recuse);
        three_verdicts(c)
    }),
    ("valid-pending", || {
        let mut c = asked();
        c.decide("leg", "legal", Choice::Approve);
        three_verdicts(c)
    }),
    ("valid-recovery", || released(recovering(86_400)).into()),
    ("valid-recovery-too-early", || recovering(86_000).0.into()),
    ("valid-recovery-vetoed", || {
        let mut c = recovering(90_000).0;
        c.veto(&[0, 1, 2]);
        three_verdicts(c)
    }),
    ("valid-withdrawn-afterwards", || {
        let mut c = Cluster::honest();
        c.withdraw(&[0, 1, 2]);
        three_verdicts(c)
    }),
    ("valid-withdrawn-at-one-node", || {
        let mut c = approved(asked());
        c.withdraw(&[1]);
        three_verdicts(c)
    }),
    ("valid-restriction-answered", || {
        // Seat 2 names a recusal that everybody has: the two approvals of others still stand.
        let mut c = asked();
        join_third_approver(&mut c);
        c.decide("leg", "legal", Choice::Approve);
        c.decide("dpo", "dpo", Choice::Approve);
        c.decide("aud", "legal", Choice::Recuse);
        let permits: Vec<_> = (0..3).map(|n| c.verdict(n, |_| {})).collect();
        let call = c.call();
        pinned(released((c, permits, call)))
    }),
    ("valid-two-requests", || {
        let mut c = Cluster::honest();
        again(&mut c, |_| {});
        released(verdicts(c)).into()
    }),
    ("valid-request-after-recovery", || {
        let mut c = released(recovering(100_000));
        again(&mut c, |_| {});
        released(verdicts(c)).into()
    }),
    ("valid-dangling", || {
        let mut c = Cluster::honest();
        let permit = c.verdict(1, |_| {});
        let (call, answer) = (c.call(), c.answer(1, 2));
        c.authorise(2, &call, &[&permit], &[&answer]);
        c.into()
    }),
    ("valid-aborted", || {
        let (mut c, permits, call) = permitted();
        let answer = c.answer(1, 0);
        let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
        let request = c.request_digest();
        c.log(0, &Event::Aborted { authorized, request, reason: code("peers-missing") }, None);
        c.into()
    }),
    ("valid-retry", || {
        let (mut c, permits, call) = permitted();
        c.release(0, 1, &call, &permits[1]);
        c.tick(5);
        let (call, permit) = (c.call(), c.verdict(1, |_| {}));
        c.release(0, 1, &call, &permit);
        c.into()
    }),
    ("valid-key-revoked", || {
        let mut c = approved(asked());
        let revocation = revocation(&c, Revoked::Key(c.people["leg"].public()));
        c.submit(&c.signed(&revocation, &["ann", "bob"]));
        three_verdicts(c)
    }),
    ("valid-enrolment-revoked", || {
        let mut c = recovering(86_400).0;
        let enrolment = c.statements.iter().rfind(|e| e.kind() == Kind::Enrolment).unwrap().digest();
        let revocation = revocation(&c, Revoked::Enrolment(enrolment));
        c.submit(&c.signed(&revocation, &["ann", "bob"]));
        three_verdicts(c)
    }),
    ("valid-cancelled", || {
        let mut c = approved(asked());
        let cancellation = cancellation(&c, "req");
        c.submit(&c.signed(&cancellation, &["req"]));
        three_verdicts(c)
    }),
    ("valid-matter-closed-and-reopened", || {
        let mut c = approved(asked());
        let open = envelope_of(&c, Kind::Matter).digest();
        let close = matter(&c, MatterAction::Close, Some(open));
        c.submit(&close);
        for n in 0..3 {
            c.verdict(n, |_| {});
        }
        let reopen = matter(&c, MatterAction::Reopen, Some(close.digest()));
        c.submit(&reopen);
        three_verdicts(c)
    }),
    ("valid-expired", || {
        let mut c = approved(asked());
        c.tick(4_000);
        three_verdicts(c)
    }),
    ("valid-queries-and-refusals", || {
        let mut c = approved(asked());
        for (n, what) in [Question::Requests, Question::Matters, Question::Consents].into_iter().enumerate() {
            let query = query(&c, n, Caller::Person("req".parse().unwrap()), what);
            let query = c.signed(&query, &["req"]);
            c.submit_to(&[n], &query);
        }
        let own = query(&c, 0, Caller::Device(c.device.public()), Question::Own);
        let own = Envelope::sign(&own, &[&c.device]).unwrap();
        c.submit_to(&[0], &own);
        let refused = Event::Refused { kind: Kind::Request, rule: Rule::RequestLimits, statement: Digest::of(b"x") };
        c.log(0, &refused, None);
        three_verdicts(c)
    }),
    ("valid-second-charter", || {
        let mut c = asked();
        join_third_approver(&mut c);
        again(&mut c, |_| {});
        c.decide("aud", "legal", Choice::Approve);
        c.decide("dpo", "dpo", Choice::Approve);
        let permits: Vec<_> = (0..3).map(|n| c.verdict(n, |_| {})).collect();
        let call = c.call();
        pinned(released((c, permits, call)))
    }),
    ("valid-unaccepted-charter", || {
        let mut c = approved(asked());
        let (_, next) = super::story::successor(&c, |_| {});
        c.submit(&next);
        three_verdicts(c)
    }),
    ("valid-delayed-notice", || {
        let mut c = asked();
        let until = c.now.plus_seconds(3 * 86_400 + 7);
        again(&mut c, |r| r.notice = Notice::Delayed(DelayedNotice { order: code("order-1"), until }));
        released(verdicts(c)).into()
    }),
    ("valid-device-recipient", || {
        let mut c = asked();
        let token = c.tokens.subject("mia");
        let mut enrolment = first::<Enrolment>(&c);
        enrolment.nonce = Nonce::random();
        enrolment.devices[0].subject = token;
        enrolment.devices[0].key = c.tablet.public();
        enrolment.devices[0].sealing = c.tablet_sealing.public().clone();
        let enrolment = c.signed(&enrolment, &["ann", "bob"]);
        c.submit(&enrolment);
        let to = RecipientDevice {
            enrolment: enrolment.digest(),
            key: c.tablet.public(),
            sealing: c.tablet_sealing.public().digest(),
        };
        again(&mut c, |r| r.recipient = Recipient::Device(to));
        let (mut c, permits, call) = verdicts(c);
        let answer = c.answer(1, 0);
        let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
        let note = c.cosigned(0, &[1]);
        let sealing = c.tablet_sealing.public().digest();
        c.deliver(0, authorized, &note, |r| r.recipient = sealing);
        c.into()
    }),
    ("valid-filter-team", || {
        let mut c = asked();
        succeed_with(&mut c, |c, next| join(c, next, "fil", &["filter-team"], SigningKey::generate_es256()));
        let sealing =
            c.charter.people.iter().find(|p| p.id.as_str() == "fil").unwrap().sealing.clone().unwrap().digest();
        let to = RecipientPerson { id: "fil".parse().unwrap(), sealing };
        again(&mut c, |r| r.recipient = Recipient::FilterTeam(to));
        let (mut c, permits, call) = verdicts(c);
        let answer = c.answer(1, 0);
        let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
        let note = c.cosigned(0, &[1]);
        c.deliver(0, authorized, &note, |r| r.recipient = sealing);
        pinned(c)
    }),
    ("valid-second-consent", || {
        let mut c = asked();
        let consent = bent_by::<Consent>(&c, &c.device, |s| s.nonce = Nonce::random());
        c.submit(&consent);
        three_verdicts(approved(c))
    }),
    ("valid-pause", || {
        let mut c = Cluster::honest();
        c.tick(86_400 * 40);
        again(&mut c, |_| {});
        released(verdicts(c)).into()
    }),
    ("valid-clock-anomaly", || {
        let mut c = Cluster::honest();
        c.log(1, &Event::Clock { by_ms: -1_500 }, None);
        c.into()
    }),
];

pub(super) fn code(text: &str) -> Code {
    text.parse().unwrap()
}

fn three_verdicts(mut c: Cluster) -> Told {
    for n in 0..3 {
        c.verdict(n, |_| {});
    }
    pinned(c)
}

/// A cluster whose charter moved on is pinned to its first.
fn pinned(c: Cluster) -> Told {
    let genesis = c.statements.iter().find(|e| e.kind() == Kind::Charter).unwrap().digest();
    Told::settled(c, genesis)
}

fn succeed_with(c: &mut Cluster, change: impl FnOnce(&mut Cluster, &mut escrow_core::charter::Charter)) {
    let mut next = c.charter.clone();
    change(c, &mut next);
    succeed(c, |charter| charter.people = next.people);
}

fn join_third_approver(c: &mut Cluster) {
    succeed_with(c, |c, next| join(c, next, "aud", &["legal"], SigningKey::generate_es256()));
}

/// The request once more under the charter in force, changed; it is what the story goes on with.
pub(super) fn again(c: &mut Cluster, bend: impl FnOnce(&mut Request)) {
    let (charter, now) = (c.genesis, c.now);
    let request = bent::<Request>(c, &["req"], |r| {
        (r.nonce, r.charter, r.created, r.expires) = (Nonce::random(), charter, now, now.plus_seconds(3_600));
        bend(r);
    });
    c.submit(&request);
    c.request = Some(request);
}

pub(super) fn revocation(c: &Cluster, revokes: Revoked) -> Revocation {
    let (org, charter, nonce) = (c.charter.org.clone(), c.genesis, Nonce::random());
    Revocation { kind: Kind::Revocation, org, nonce, charter, revokes, reason: code("lost"), at: c.now }
}

pub(super) fn cancellation(c: &Cluster, by: &str) -> Cancellation {
    let (org, charter, nonce) = (c.charter.org.clone(), c.genesis, Nonce::random());
    let (request, by) = (c.request_digest(), by.parse().unwrap());
    Cancellation { kind: Kind::Cancellation, org, nonce, charter, request, by, at: c.now }
}

pub(super) fn matter(c: &Cluster, action: MatterAction, previous: Option<Digest>) -> Envelope {
    let at = c.now;
    bent::<Matter>(c, &["req"], |m| (m.nonce, m.action, m.previous, m.at) = (Nonce::random(), action, previous, at))
}

pub(super) fn query(c: &Cluster, n: usize, by: Caller, what: Question) -> Query {
    let (org, charter, nonce) = (c.charter.org.clone(), c.genesis, Nonce::random());
    Query { kind: Kind::Query, org, nonce, charter, by, seat: seat_index(n as u8 + 1), what, at: c.now }
}
