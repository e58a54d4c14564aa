//! Requests whose items were chosen by custodians, epochs and a time with context.

use super::common::Cluster;
use super::story::{approved, asked, released, verdicts};
use super::valid::{again, query};
use super::{Story, Told};
use escrow_core::consent::Epochs;
use escrow_core::query::{CustodianScope, Question};
use escrow_core::release::Caller;
use escrow_core::request::{ContextAsked, Selection};
use escrow_core::verdict::Outcome;

pub(super) const STORIES: &[Story] = &[
    ("valid-chosen", || {
        let mut c = chosen(|_, _| {});
        let custodians = vec![c.tokens.subject("sam")];
        let (from, to) = (c.now.plus_seconds(-86_400), c.now);
        let by = Caller::Person("req".parse().unwrap());
        let asked = query(&c, 0, by, Question::ItemsOf(CustodianScope { custodians, from, to }));
        let asked = c.signed(&asked, &["req"]);
        c.submit_to(&[0], &asked);
        released(verdicts(c)).into()
    }),
    ("valid-chosen-amiss", || refused(|c, s| s.custodians.push(c.tokens.subject("somebody else")))),
    ("permit-despite-custodians", || permitted(|c, s| s.custodians.push(c.tokens.subject("somebody else")))),
    ("permit-despite-another-custodian", || permitted(|c, s| s.custodians = vec![c.tokens.subject("somebody else")])),
    ("permit-despite-epochs", || permitted(|_, s| s.epochs = Some(Epochs { first: 1_000, last: 2_000 }))),
    ("permit-for-context-alone", || permitted(|_, s| s.from = s.to.plus_seconds(-1))),
];

/// A request that says how its items were chosen, bent. Its scope reaches a day beyond its items.
fn chosen(bend: impl FnOnce(&Cluster, &mut Selection)) -> Cluster {
    let mut c = asked();
    let request: escrow_core::request::Request = c.request.as_ref().unwrap().decode().unwrap();
    let mut s = Selection {
        custodians: vec![c.tokens.subject("sam")],
        epochs: Some(Epochs { first: 0, last: 100 }),
        from: request.scope.from,
        to: request.scope.to.plus_seconds(86_400),
        context: ContextAsked { hours: 24, messages: 10 },
        zone: "Asia/Kolkata".parse().unwrap(),
    };
    bend(&c, &mut s);
    s.custodians.sort();
    again(&mut c, |r| {
        r.scope.to = r.scope.to.plus_seconds(86_400);
        r.selection = Some(s);
    });
    c
}

fn refused(bend: impl FnOnce(&Cluster, &mut Selection)) -> Told {
    let mut c = approved(chosen(bend));
    for n in 0..3 {
        c.verdict(n, |v| assert_eq!(v.outcome, Outcome::Refuse));
    }
    c.into()
}

/// A node that permits what it may not.
fn permitted(bend: impl FnOnce(&Cluster, &mut Selection)) -> Told {
    let mut c = approved(chosen(bend));
    c.verdict(1, |v| {
        assert_eq!(v.outcome, Outcome::Refuse);
        v.outcome = Outcome::Permit;
        v.reasons.clear();
        v.valid_until = v.decided.plus_seconds(60);
    });
    c.into()
}
