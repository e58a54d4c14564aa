//! The gate: the hard floor rule by rule, policies, what is lacking, and what a node must have
//! gathered before it authorises a release.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::type_complexity)]

mod common;

use common::*;
use escrow_core::charter::{Basis, Charter, Subject};
use escrow_core::consent::{Authority, Epochs};
use escrow_core::deal::About;
use escrow_core::decision::Choice::{self, Approve, Deny, Recuse};
use escrow_core::enrolment::Revoked;
use escrow_core::matter::MatterAction::{Close, Open};
use escrow_core::request::{
    ContextAsked, DelayedNotice, Notice, Recipient, RecipientDevice, RecipientPerson, Request, Selection,
};
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::{Lacking, Outcome, Verdict};
use escrow_core::{Digest, Envelope, Kind, Timestamp};
use escrow_policy::admit::{Verified, verify_call};
use escrow_policy::gate::{self, Gathered};
use escrow_policy::{Event, Rule};
use std::collections::BTreeSet;

const MARIA: &[&str] = &["device of maria"];
const REGISTRARS: &[&str] = &["rita", "rolf"];

/// A case whose request is approved by lena (legal) and dora (dpo), as far as they are admitted.
fn approved(
    charter: impl FnOnce(&mut Charter),
    items: impl Fn(&mut About),
    request: impl FnOnce(&mut Request),
) -> Case {
    let mut c = Case::of(charter, items, request);
    for (who, role) in [("lena", "legal"), ("dora", "dpo")] {
        let e = c.node.decide(c.request, who, role, Approve);
        let _ = c.node.fold(&e);
    }
    c
}

fn asked(request: impl FnOnce(&mut Request)) -> Case {
    approved(|_| {}, |_| {}, request)
}

/// The same with a selection that the items fit, and one change.
fn selected(change: impl FnOnce(&mut Selection)) -> Case {
    asked(|r| {
        let (from, to) = (r.scope.from, r.scope.to);
        let custodians = sorted(vec![subject("maria"), subject("customer")]);
        let epochs = Some(Epochs { first: 7, last: 7 });
        let context = ContextAsked { hours: 1, messages: 2 };
        let mut s = Selection { custodians, epochs, from, to, context, zone: w("Europe/Berlin") };
        change(&mut s);
        r.selection = Some(s);
    })
}

/// The same where the second item differs.
fn second(item: fn(&mut About), change: fn(&mut Selection)) -> Case {
    let items = move |a: &mut About| {
        if a.thread == thread("t2") {
            item(a);
        }
    };
    approved(
        |_| {},
        items,
        |r| {
            let (from, to) = (r.scope.from, r.scope.to);
            let context = ContextAsked::default();
            let mut s = Selection { custodians: vec![], epochs: None, from, to, context, zone: w("UTC") };
            change(&mut s);
            r.selection = Some(s);
        },
    )
}

/// An approved case that moves on to charter version 2, with one change.
fn then(change: impl FnOnce(&mut Charter)) -> Case {
    let mut c = Case::approved();
    let v2 = successor(&c.genesis, change);
    c.node.follow(&v2);
    c
}

fn log(mut c: Case, e: impl FnOnce(&Case) -> Envelope) -> Case {
    let e = e(&c);
    c.node.log(&e);
    c
}

fn to_person(id: &str) -> Recipient {
    Recipient::Person(RecipientPerson { id: w(id), sealing: sealing(id).digest() })
}

fn to_device(c: &Case, who: &str) -> Recipient {
    let name = device(who);
    Recipient::Device(RecipientDevice { enrolment: c.enrolment, key: public(&name), sealing: sealing(&name).digest() })
}

/// Two threads, one dealt before and one after the node set changed.
fn two_generations() -> Case {
    let mut c = Case::new();
    let v2 = successor(&c.genesis, |x| x.generations.push(generation(2, 3, &[1, 2, 3, 4, 5])));
    c.node.follow(&v2);
    c.items.extend(c.node.deposit_items("maria", c.consent, &[about("t1")]));
    c.request = c.ask(|_| {});
    c
}

/// A request made to a device, from a case in which `enrol` is enrolled under `token`.
fn to_the_device_of(token: escrow_core::Token) -> Case {
    let mut c = Case::new();
    let mut e = c.node.enrolment(&["tablet"]);
    e.devices[0].subject = token;
    let e = sign(&e, REGISTRARS);
    c.enrolment = c.node.log(&e);
    let recipient = to_device(&c, "tablet");
    c.request = c.ask(|r| r.recipient = recipient);
    c.approve("leo", "legal");
    c.approve("dora", "dpo");
    c
}

// ---- The hard floor -------------------------------------------------------------------------

type Row = (&'static str, Rule, fn() -> Case);

/// Every case would be permitted but for the one thing its name says.
const FLOOR: &[Row] = &[
    // The request.
    ("a request that nobody knows", Rule::RequestUnknown, || {
        let mut c = Case::approved();
        c.request = Digest::of(b"x");
        c
    }),
    ("a request that nobody knows, under a charter that nobody accepted", Rule::CharterUnaccepted, || {
        let mut c = Case::approved();
        c.request = Digest::of(b"x");
        let v2 = successor(&c.genesis, |_| {});
        c.node.log(&v2);
        c
    }),
    ("decisions on a request that is not here", Rule::RequestUnknown, || {
        let mut c = Case::approved();
        c.request = Digest::of(b"x");
        c.approve("lena", "legal");
        c.approve("dora", "dpo");
        c
    }),
    ("cancelled", Rule::RequestCancelled, || log(Case::approved(), |c| c.node.cancellation(c.request, "ida"))),
    ("expired at this instant", Rule::RequestExpired, || {
        let mut c = Case::approved();
        c.node.now = c.asked.expires;
        c
    }),
    ("denied", Rule::Denied, || {
        let mut c = Case::approved();
        c.decide("sue", "security", Deny);
        c
    }),
    ("more items than the charter allows now", Rule::RequestLimits, || then(|c| c.limits.items_per_request = 1)),
    ("a longer life than the charter allows now", Rule::RequestLimits, || then(|c| c.limits.request_life_s = 3_600)),
    ("a millisecond more than the charter allows now", Rule::RequestLimits, || {
        let mut c = asked(|r| r.expires = Timestamp::from_millis(r.created.plus_seconds(DAY).millis() + 1));
        let v2 = successor(&c.genesis, |c| c.limits.request_life_s = DAY.unsigned_abs());
        c.node.follow(&v2);
        c
    }),
    ("a longer notice delay than the charter allows now", Rule::NoticeDelay, || {
        let mut c = asked(|r| {
            r.notice = Notice::Delayed(DelayedNotice { order: w("O-1"), until: r.created.plus_seconds(80 * DAY) })
        });
        assert_eq!(c.says(), "permit");
        let v2 = successor(&c.genesis, |c| c.limits.notice_delay_days = 79);
        c.node.follow(&v2);
        c
    }),
    // The requestor.
    ("the requestor has left", Rule::NotEntitled, || then(|c| c.people.retain(|p| p.id.as_str() != "ida"))),
    ("the requestor is in another office", Rule::NotEntitled, || then(|c| of(c, "ida").roles = vec![w("retired")])),
    ("the requestor's key is not listed any more", Rule::KeyNotValid, || {
        then(|c| of(c, "ida").keys = vec![person_key("ida 2")])
    }),
    ("the requestor's key was revoked", Rule::KeyRevoked, || {
        let mut c = Case::approved();
        c.node.revoke("ida");
        c
    }),
    ("the requestor operates a seat", Rule::RequestorOperatesSeat, || then(|c| c.seats[4].operators.push(w("ida")))),
    ("the requestor takes part in a thread", Rule::RequestorInScope, || {
        approved(|_| {}, |a| a.participants = participants(&[("maria", true), ("ida", true)]), |_| {})
    }),
    ("the requestor is the depositor", Rule::RequestorInScope, || {
        then(|c| of(c, "ida").subject = Subject::Tokens(vec![subject("maria")]))
    }),
    ("the requestor has no token under the version in scope", Rule::RequestorInScope, || then(retire_token_version)),
    // The matter.
    ("a matter that nobody knows", Rule::MatterUnknown, || asked(|r| r.matter = w("MAT-2"))),
    ("a closed matter", Rule::MatterClosed, || log(Case::approved(), |c| c.node.matter_act(Close, Some(c.opening)))),
    // The items.
    ("an item that is not held", Rule::ItemUnknown, || {
        asked(|r| {
            r.items = sorted(vec![r.items[0], Digest::of(b"x")]);
        })
    }),
    ("items of two generations", Rule::MixedGenerations, two_generations),
    ("an item of another thread", Rule::ItemScope, || {
        asked(|r| {
            r.scope.threads.pop();
            r.counts.threads = 1
        })
    }),
    ("a thread without an item", Rule::ItemScope, || {
        asked(|r| {
            r.scope.threads = sorted(vec![thread("t1"), thread("t2"), thread("t3")]);
            r.counts.threads = 3
        })
    }),
    ("a time after the items", Rule::ItemScope, || asked(|r| r.scope.from = days(-9))),
    ("a time before the items", Rule::ItemScope, || asked(|r| r.scope.to = days(-10))),
    ("an item of none of the custodians", Rule::ItemScope, || selected(|s| s.custodians = vec![subject("zoe")])),
    ("a custodian without an item", Rule::ItemScope, || {
        selected(|s| s.custodians = sorted(vec![subject("maria"), subject("zoe")]))
    }),
    ("an item of a later epoch", Rule::ItemScope, || selected(|s| s.epochs = Some(Epochs { first: 0, last: 6 }))),
    ("an item of an earlier epoch", Rule::ItemScope, || selected(|s| s.epochs = Some(Epochs { first: 8, last: 9 }))),
    ("one item of another than the custodian", Rule::ItemScope, || {
        second(|a| a.participants.retain(|p| p.token != subject("max")), |s| s.custodians = vec![subject("max")])
    }),
    ("one item of another epoch", Rule::ItemScope, || {
        second(|a| a.epoch = 8, |s| s.epochs = Some(Epochs { first: 7, last: 7 }))
    }),
    ("context of one thread alone", Rule::ItemScope, || {
        second(|a| (a.from, a.to) = (days(-20), days(-19)), |s| s.from = days(-11))
    }),
    ("context before nothing", Rule::ItemScope, || selected(|s| s.from = days(-9))),
    ("context after nothing", Rule::ItemScope, || selected(|s| s.to = days(-10))),
    // The consent.
    ("the consent was withdrawn", Rule::ConsentWithdrawn, || {
        log(Case::approved(), |c| sign(&c.node.withdrawal(c.consent, "maria"), MARIA))
    }),
    ("the consent has ended", Rule::ConsentExpired, || {
        let mut c = Case::new();
        c.node.now = days(199);
        c.request = c.ask(|_| {});
        c.approve("lena", "legal");
        c.approve("dora", "dpo");
        assert_eq!(c.says(), "permit");
        c.node.now = days(200);
        c
    }),
    ("a purpose that was not agreed", Rule::ConsentScope, || asked(|r| r.purpose = w("curiosity"))),
    ("a works agreement called consent", Rule::ConsentScope, || by_agreement(Basis::Consent)),
    ("a policy that was not agreed", Rule::PolicyNotAgreed, || approved(|_| {}, |_| {}, |r| r.policy = w("lenient"))),
    ("a policy of the charter that was not agreed", Rule::PolicyNotAgreed, || {
        let mut c = then(|c| c.policies.push(policy("lenient", STANDARD)));
        c.request = c.ask(|r| r.policy = w("lenient"));
        c.approve("lena", "legal");
        c.approve("dora", "dpo");
        c
    }),
    ("a policy gone from the charter", Rule::PolicyUnknown, || then(|c| c.policies[0].id = w("renamed"))),
    // The recipient.
    ("a recipient who has left", Rule::RecipientKey, || then(|c| c.people.retain(|p| p.id.as_str() != "otto"))),
    ("a recipient with another key now", Rule::RecipientKey, || {
        then(|c| of(c, "otto").sealing = Some(sealing("otto 2")))
    }),
    ("a recipient without a key", Rule::RecipientKey, || then(|c| of(c, "otto").sealing = None)),
    ("another's sealing key", Rule::RecipientKey, || {
        asked(|r| r.recipient = Recipient::Person(RecipientPerson { id: w("otto"), sealing: sealing("lena").digest() }))
    }),
    ("a requestor whom the depositor calls an outsider", Rule::RequestorInScope, || {
        approved(
            |c| of(c, "ida").subject = Subject::Tokens(vec![subject("ida")]),
            |a| a.participants = participants(&[("maria", true), ("ida", false)]),
            |_| {},
        )
    }),
    ("a recipient in a thread", Rule::RecipientInScope, || {
        approved(|_| {}, |a| a.participants = participants(&[("maria", true), ("otto", true)]), |_| {})
    }),
    ("a recipient who is the depositor", Rule::RecipientInScope, || {
        then(|c| of(c, "otto").subject = Subject::Tokens(vec![subject("maria")]))
    }),
    ("a recipient without a token under the version in scope", Rule::RecipientInScope, || {
        then(|c| {
            retire_token_version(c);
            of(c, "ida").subject = Subject::NoSubject
        })
    }),
    ("the requestor receives", Rule::RecipientIsRequestor, || asked(|r| r.recipient = to_person("ida"))),
    ("the requestor's own device receives", Rule::RecipientIsRequestor, || to_the_device_of(subject("ida"))),
    ("the depositor's own device receives", Rule::RecipientInScope, || {
        to_the_device_of(subject("maria tablet")).of_subject("maria")
    }),
    ("a participant's device receives", Rule::RecipientInScope, || {
        to_the_device_of(subject("max tablet")).of_subject("max")
    }),
    ("a recipient device that is not enrolled", Rule::RecipientKey, || {
        let mut c = to_the_device_of(subject("customer"));
        c.enrolment = Digest::of(b"x");
        again_to_device(c)
    }),
    ("a recipient device with another sealing key", Rule::RecipientKey, || {
        let mut c = to_the_device_of(subject("customer"));
        let Recipient::Device(mut d) = to_device(&c, "tablet") else { unreachable!() };
        d.sealing = sealing("otto").digest();
        c.request = c.ask(|r| r.recipient = Recipient::Device(d));
        approve_both(c)
    }),
    ("a recipient device whose enrolment was revoked", Rule::RecipientKey, || {
        log(to_the_device_of(subject("customer")), |c| {
            sign(&c.node.revocation(Revoked::Enrolment(c.enrolment)), REGISTRARS)
        })
    }),
    ("a recipient device whose key was revoked", Rule::RecipientKey, || {
        let mut c = to_the_device_of(subject("customer"));
        c.node.revoke("device of tablet");
        c
    }),
    ("a recipient device whose enrolment has ended", Rule::RecipientKey, || {
        let mut c = to_the_device_of(subject("customer"));
        c.node.now = days(299);
        let mut x = c.node.enrolment(&["maria"]);
        x.until = days(400);
        c.node.log(&sign(&x, REGISTRARS));
        let mut x = c.node.consent("maria");
        x.expires = days(400);
        c.consent = c.node.log(&sign(&x, MARIA));
        c.items = c.node.deposit_items("maria", c.consent, &[about("t1")]);
        c = approve_both(again_to_device(c));
        assert_eq!(c.says(), "permit");
        c.node.now = days(300);
        c
    }),
    ("a recipient device under a retired token version", Rule::RecipientKey, || {
        let mut c = to_the_device_of(subject("customer"));
        let v2 = successor(&c.genesis, |x| {
            x.token_versions = vec![2];
            for p in &mut x.people {
                let id = p.id.as_str().to_owned();
                p.subject = Subject::Tokens(vec![subject(&id), subject_v(2, &id)]);
            }
        });
        c.node.follow(&v2);
        c
    }),
    ("a recipient device under another token version than the items", Rule::RecipientInScope, || {
        let mut c = then(|x| {
            x.token_versions = vec![1, 2];
            for p in &mut x.people {
                let id = p.id.as_str().to_owned();
                p.subject = Subject::Tokens(vec![subject(&id), subject_v(2, &id)]);
            }
        });
        let mut e = c.node.enrolment(&["tablet"]);
        e.devices[0].subject = subject_v(2, "customer");
        c.enrolment = c.node.log(&sign(&e, REGISTRARS));
        approve_both(again_to_device(c))
    }),
    // The charter.
    ("a newer charter is known", Rule::CharterUnaccepted, || log(Case::approved(), |c| successor(&c.genesis, |_| {}))),
    ("two newer charters are known", Rule::CharterFork, || {
        let mut c = then(|_| {});
        let other = successor(&c.genesis, |x| x.version = 2);
        c.node.log(&other);
        c
    }),
];

/// Nobody keeps a token under version 1, under which all items are.
fn retire_token_version(c: &mut Charter) {
    c.token_versions = vec![2];
    for p in &mut c.people {
        p.subject = Subject::Tokens(vec![subject_v(2, p.id.as_str())]);
    }
}

fn approve_both(mut c: Case) -> Case {
    c.approve("leo", "legal");
    c.approve("dora", "dpo");
    c
}

fn again_to_device(mut c: Case) -> Case {
    let recipient = to_device(&c, "tablet");
    c.request = c.ask(|r| r.recipient = recipient);
    c
}

impl Case {
    /// Asks again, after the tablet was enrolled for this subject under a key of its own.
    fn of_subject(mut self, who: &str) -> Self {
        let mut e = self.node.enrolment(&["tablet 2"]);
        e.devices[0].subject = subject(who);
        self.enrolment = self.node.log(&sign(&e, REGISTRARS));
        let recipient = to_device(&self, "tablet 2");
        self.request = self.ask(|r| r.recipient = recipient);
        approve_both(self)
    }
}

/// Items under a works agreement, asked for on a basis.
fn by_agreement(basis: Basis) -> Case {
    let (mut node, genesis) = Node::with(|_| {});
    let enrolment = node.enrol(&["maria"]);
    let mut consent = node.consent("maria");
    consent.basis = Basis::WorksAgreement;
    consent.authority = Some(Authority { reference: w("WA-1"), document: Digest::of(b"a") });
    let consent = node.log(&sign(&consent, &["leo", "wim"]));
    let items = node.deposit_items("maria", consent, &[about("t1")]);
    let opening = node.matter_act(Open, None);
    let opening = node.log(&opening);
    let mut asked = node.request(&items);
    asked.basis = basis;
    if basis != Basis::Consent {
        asked.authority = Some(Authority { reference: w("WA-1"), document: Digest::of(b"a") });
    }
    let request = node.log(&sign(&asked, &["ida"]));
    approve_both(Case { node, genesis, enrolment, consent, items, opening, asked, request })
}

/// A device's withdrawal that arrives before the record is known ends it only if it rests on consent.
#[test]
fn a_devices_withdrawal_that_arrives_first_ends_no_record_on_another_basis() {
    let seen = by_agreement(Basis::WorksAgreement);
    for (keys, expected) in [(MARIA, "permit"), (&["sara"], "refuse: item-unknown")] {
        let mut c = Case { node: Node::new(&seen.genesis), ..seen.clone() };
        let withdrawal = sign(&seen.node.withdrawal(seen.consent, "maria"), keys);
        let (enrolment, rest) = seen.node.history.split_first().unwrap();
        c.node.log(enrolment);
        c.node.log(&withdrawal);
        for e in rest {
            let _ = c.node.fold(e);
        }
        assert_eq!(c.says(), expected, "{keys:?}");
    }
}

/// What officers recorded on another basis, officers end; the subject's rights have an office.
#[test]
fn a_record_on_another_basis_is_not_withdrawn_by_a_device() {
    let mut c = by_agreement(Basis::WorksAgreement);
    let by = |c: &Case, keys: &[&str]| sign(&c.node.withdrawal(c.consent, "maria"), keys);
    assert_eq!(refused(c.node.fold(&by(&c, MARIA))), Some(Rule::NotEntitled));
    assert_eq!(c.says(), "permit");
    let e = by(&c, &["leo", "wim"]);
    c.node.log(&e);
    assert_eq!(c.says(), "refuse: consent-withdrawn");
}

/// Who signed for one of the roles before and who signs for the other now end nothing together.
#[test]
fn the_signers_of_a_basis_are_those_of_one_version() {
    let mut c = by_agreement(Basis::WorksAgreement);
    let v1 = c.genesis.digest();
    let v2 = successor(&c.genesis, |x| {
        for id in ["leo", "lena"] {
            of(x, id).roles.retain(|r| r.as_str() != "legal");
        }
        of(x, "wim").roles = vec![w("retired")];
        x.people.extend([person("lars", &["legal"]), person("wanda", &["works-council"])]);
    });
    c.node.follow(&v2);
    let by = |keys: &[&str]| {
        let withdrawal = escrow_core::consent::Withdrawal { charter: v1, ..c.node.withdrawal(c.consent, "maria") };
        refused(c.node.clone().fold(&sign(&withdrawal, keys)))
    };
    for (keys, rule) in [
        (["leo", "wim"], None),
        (["lars", "wanda"], None),
        (["leo", "wanda"], Some(Rule::NotEntitled)),
        (["lars", "wim"], Some(Rule::NotEntitled)),
    ] {
        assert_eq!(by(&keys), rule, "{keys:?}");
    }
}

#[test]
fn the_floor_refuses_for_each_rule() {
    for (name, rule, case) in FLOOR {
        let case = case();
        assert_eq!(case.says(), format!("refuse: {rule}"), "{name}");
        let e = case.evaluate();
        assert_eq!(e.reasons(), [w(rule.code())], "{name}");
        assert_eq!(refused(gate::deliver(&case.node.facts, &case.request, case.node.now)), Some(*rule), "{name}");
    }
}

#[test]
fn the_table_has_every_rule_that_only_the_gate_knows() {
    let here: BTreeSet<Rule> = FLOOR.iter().map(|(_, rule, _)| *rule).collect();
    for rule in [
        Rule::CharterUnaccepted,
        Rule::CharterFork,
        Rule::MatterUnknown,
        Rule::MatterClosed,
        Rule::RequestUnknown,
        Rule::RequestCancelled,
        Rule::ItemUnknown,
        Rule::ItemScope,
        Rule::MixedGenerations,
        Rule::Denied,
        Rule::RequestorInScope,
        Rule::RecipientInScope,
        Rule::RequestorOperatesSeat,
        Rule::RecipientIsRequestor,
        Rule::RecipientKey,
    ] {
        assert!(here.contains(&rule), "{rule}");
    }
}

/// What lies just inside each border is permitted, or the table above would prove nothing.
#[test]
fn the_floor_permits_at_its_edges() {
    let rows: &[(&str, fn() -> Case)] = &[
        ("the plain case", Case::approved),
        ("the last second of the request", || {
            let mut c = Case::approved();
            c.node.now = c.asked.expires.plus_seconds(-1);
            c
        }),
        ("a charter that changes nothing", || then(|_| {})),
        ("limits that fit exactly", || {
            then(|c| {
                c.limits.items_per_request = 2;
                c.limits.request_life_s = 7 * 86_400
            })
        }),
        ("an approver operates a seat", || then(|c| c.seats[4].operators.push(w("lena")))),
        ("the recipient operates a seat", || then(|c| c.seats[4].operators.push(w("otto")))),
        ("a works agreement called so", || by_agreement(Basis::WorksAgreement)),
        ("an order over a works agreement", || by_agreement(Basis::Order)),
        ("scope that meets the items' last instant", || asked(|r| r.scope.from = days(-9).plus_seconds(-1))),
        ("items as they were selected", || selected(|_| {})),
        ("items of several custodians and epochs", || {
            second(
                |a| (a.epoch, a.participants) = (8, participants(&[("maria", true), ("zoe", true)])),
                |s| {
                    s.custodians = sorted(vec![subject("max"), subject("zoe")]);
                    s.epochs = Some(Epochs { first: 7, last: 8 });
                },
            )
        }),
        ("items of anybody and any epoch", || selected(|s| (s.custodians, s.epochs) = (vec![], None))),
        ("time asked for that meets the items' last instant", || selected(|s| s.from = days(-9).plus_seconds(-1))),
        ("another's matter closed", || {
            let mut c = Case::approved();
            let mut m = c.node.matter(Open, None);
            m.matter = w("MAT-2");
            let o = c.node.log(&sign(&m, &["ida"]));
            (m.action, m.previous) = (Close, Some(o));
            c.node.log(&sign(&m, &["ida"]));
            c
        }),
        ("another request cancelled", || {
            let mut c = Case::approved();
            let other = c.ask(|_| {});
            let e = c.node.cancellation(other, "ida");
            c.node.log(&e);
            c
        }),
        ("another subject's consent withdrawn", || {
            let mut c = Case::approved();
            let x = c.node.consent("max");
            let x = c.node.log(&sign(&x, &["device of max"]));
            let e = sign(&c.node.withdrawal(x, "max"), &["device of max"]);
            c.node.log(&e);
            c
        }),
        ("the depositor's device lost after the deposit", || {
            let mut c = Case::approved();
            c.node.revoke("device of maria");
            c
        }),
        ("officers with no subject", || {
            then(|c| {
                retire_token_version(c);
                for p in &mut c.people {
                    p.subject = Subject::NoSubject
                }
            })
        }),
        ("a customer's device", || to_the_device_of(subject("nobody here"))),
        ("an approval of the person the device belongs to does not count, others do", || {
            let mut c = to_the_device_of(subject("lena"));
            let _ = c.node.fold(&c.node.decide(c.request, "lena", "legal", Approve));
            c
        }),
    ];
    for (name, case) in rows {
        assert_eq!(case().says(), "permit", "{name}");
    }
}

#[test]
fn a_permit_names_what_it_is_for() {
    let c = Case::approved();
    let p = gate::deliver(&c.node.facts, &c.request, c.node.now).unwrap();
    assert_eq!((p.request, p.items, p.generation, p.recipient), (c.request, c.asked.items.clone(), 1, sealing("otto")));
    assert_eq!(p.decisions.len(), 2);
    let e = c.evaluate();
    assert_eq!(e.decisions, p.decisions);
    assert_eq!(e.policies.len(), 2, "agreed at deposit, and of the charter in force");
    assert!(e.policies.iter().all(|p| p.allowed && p.determining == [w("standard")]));
    assert_eq!(e.policies.iter().map(|p| p.current).collect::<Vec<_>>(), [false, true]);
    let counted = gate::count(&c.node.facts, &c.request, c.node.now).unwrap();
    assert_eq!((Some(counted.context), counted.decisions, counted.approvers), (e.context, e.decisions, 2));
}

// ---- Who counts -----------------------------------------------------------------------------

/// Decisions in order, and what the gate says after them.
#[test]
fn approvals_count_distinct_people_in_offices_they_hold() {
    let rows: &[(&str, &[(&str, &str)], &str)] = &[
        ("nobody", &[], "pending: approvals.dpo 0/1, approvals.legal 0/1, approvers 0/2"),
        ("one", &[("lena", "legal")], "pending: approvals.dpo 0/1, approvers 1/2"),
        ("the other", &[("dora", "dpo")], "pending: approvals.legal 0/1, approvers 1/2"),
        ("one twice", &[("lena", "legal"), ("lena", "legal")], "pending: approvals.dpo 0/1, approvers 1/2"),
        ("one with two keys", &[("lena", "legal"), ("lena 2", "legal")], "pending: approvals.dpo 0/1, approvers 1/2"),
        ("two of one office", &[("lena", "legal"), ("leo", "legal")], "pending: approvals.dpo 0/1"),
        (
            "another office",
            &[("sam", "security"), ("sue", "security")],
            "pending: approvals.dpo 0/1, approvals.legal 0/1",
        ),
        ("both", &[("lena", "legal"), ("dora", "dpo")], "permit"),
        ("both, the other way round", &[("dora", "dpo"), ("lena", "legal")], "permit"),
        ("more than needed", &[("dora", "dpo"), ("lena", "legal"), ("leo", "legal"), ("sam", "security")], "permit"),
    ];
    let case = Case::with(|c| of(c, "lena").keys.push(person_key("lena 2")));
    for (name, decisions, expected) in rows {
        let mut c = case.clone();
        for (signer, role) in *decisions {
            let d = c.node.decision(c.request, signer.split(' ').next().unwrap(), role, Approve);
            c.node.log(&sign(&d, &[signer]));
        }
        assert_eq!(c.says(), *expected, "{name}");
    }
}

#[test]
fn one_person_with_two_offices_is_one_approver_whatever_came_first() {
    let both = Case::with(|c| of(c, "lena").roles.push(w("dpo")));
    let legal = both.node.decide(both.request, "lena", "legal", Approve);
    let mut later = both.node.decision(both.request, "lena", "dpo", Approve);
    later.at = later.at.plus_seconds(1);
    let dpo = sign(&later, &["lena"]);
    for order in [[&legal, &dpo], [&dpo, &legal]] {
        let mut c = both.clone();
        order.iter().for_each(|e| {
            c.node.log(e);
        });
        assert_eq!(c.says(), "pending: approvals.dpo 0/1, approvers 1/2", "the one signed first counts");
        assert_eq!(c.evaluate().decisions, [legal.digest()]);
        c.approve("dora", "dpo");
        assert_eq!(c.says(), "permit");
    }
}

#[test]
fn a_lost_keys_approval_is_given_anew_with_the_next_key() {
    let mut c = Case::with(|c| of(c, "lena").keys.push(person_key("lena 2")));
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    c.node.revoke("lena");
    assert_eq!(c.says(), "pending: approvals.legal 0/1, approvers 1/2");
    let d = c.node.decision(c.request, "lena", "legal", Approve);
    c.node.log(&sign(&d, &["lena 2"]));
    assert_eq!(c.says(), "permit");
}

#[test]
fn an_approval_counts_while_office_and_key_last() {
    let lacking_legal = "pending: approvals.legal 0/1, approvers 1/2";
    let rows: &[(&str, fn(&mut Charter), &str)] = &[
        ("dismissed", |c| c.people.retain(|p| p.id.as_str() != "lena"), lacking_legal),
        ("in another office now", |c| of(c, "lena").roles = vec![w("security")], lacking_legal),
        ("with another key now", |c| of(c, "lena").keys = vec![person_key("lena 2")], lacking_legal),
        ("with a key that had ended by then", |c| of(c, "lena").keys[0].until = t0(), lacking_legal),
        (
            "who turns out to be in scope",
            |c| of(c, "lena").subject = Subject::Tokens(vec![subject("max")]),
            lacking_legal,
        ),
        (
            "who has no token under the version in scope",
            |c| {
                retire_token_version(c);
                for id in ["ida", "otto", "dora", "leo", "sam", "sue"] {
                    of(c, id).subject = Subject::NoSubject;
                }
            },
            lacking_legal,
        ),
        (
            "whose office approves no more",
            |c| {
                c.approver_roles = vec![w("dpo"), w("security"), w("compliance")];
                c.policies[0].text = STANDARD.replace("legal", "compliance");
            },
            "refuse: policy-error",
        ),
        ("with one more key", |c| of(c, "lena").keys.push(person_key("lena 2")), "permit"),
        ("with one more office", |c| of(c, "lena").roles.push(w("security")), "permit"),
    ];
    for (name, change, expected) in rows {
        assert_eq!(then(change).says(), *expected, "an approver {name}");
    }
}

#[test]
fn a_decision_that_was_admitted_before_its_request_is_judged_when_it_counts() {
    // At this node the decisions come first, so nobody could be told at once.
    let rows: &[(&str, fn() -> Case, &str, &str)] = &[
        ("the requestor", || Case::with(|c| of(c, "ida").roles.push(w("legal"))), "ida", "legal"),
        ("the recipient", || Case::of(|_| {}, |_| {}, |r| r.recipient = to_person("lena")), "lena", "legal"),
        (
            "a participant",
            || Case::of(|_| {}, |a| a.participants = participants(&[("maria", true), ("lena", true)]), |_| {}),
            "lena",
            "legal",
        ),
    ];
    for (name, case, who, role) in rows {
        let seen = case();
        let mut c = Case { node: Node::new(&seen.genesis), ..seen.clone() };
        for (by, role) in [(*who, *role), ("dora", "dpo")] {
            let e = c.node.decide(seen.request, by, role, Approve);
            c.node.log(&e);
        }
        seen.node.history.iter().for_each(|e| {
            c.node.log(e);
        });
        assert_eq!(c.says(), "pending: approvals.legal 0/1, approvers 1/2", "{name}");
    }
}

#[test]
fn the_ladder_goes_up_in_any_order_and_never_down() {
    let choices = [Approve, Recuse, Deny];
    let mut c0 = Case::new();
    c0.approve("dora", "dpo");
    // All sequences of up to three choices by lena.
    let mut sequences: Vec<Vec<Choice>> = vec![vec![]];
    for _ in 0..3 {
        let longer: Vec<Vec<Choice>> =
            sequences.iter().flat_map(|s| choices.iter().map(|c| [s.as_slice(), &[*c]].concat())).collect();
        sequences.extend(longer);
    }
    for s in sorted(sequences) {
        let mut c = c0.clone();
        for choice in &s {
            c.decide("lena", "legal", *choice);
        }
        let expected = match s.iter().max() {
            Some(Deny) => "refuse: denied",
            Some(Approve) => "permit",
            _ => "pending: approvals.legal 0/1, approvers 1/2",
        };
        assert_eq!(c.says(), expected, "{s:?}");
    }
}

#[test]
fn a_denial_in_one_office_outweighs_an_approval_in_another() {
    let mut c = Case::with(|c| of(c, "lena").roles.push(w("security")));
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    assert_eq!(c.says(), "permit");
    let denial = c.decide("lena", "security", Deny);
    assert_eq!(c.says(), "refuse: denied");
    assert_eq!(c.evaluate().refusals[0].decided_by, Some((Kind::Decision, denial)));
}

// ---- Policies -------------------------------------------------------------------------------

fn permit_when(condition: &str) -> String {
    format!("permit (principal, action == Escrow::Action::\"release\", resource) when {{ {condition} }};")
}

fn under(text: &str) -> Case {
    let text = text.to_owned();
    Case::with(move |c| c.policies[0].text = text)
}

/// Legal and dpo approve; an hour passes.
fn judged(text: &str) -> String {
    let mut c = under(text);
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    c.node.wait(3_600);
    c.says()
}

#[test]
fn what_a_policy_sees() {
    let holds = [
        "context.basis == \"consent\" && !context.authority && context.consent_bases == [\"consent\"]",
        "context.consents.consented == 0 && context.consents.informed == 1 && context.consents.outside == 1",
        "context.depositor_consent == \"live\" && !context.hold && context.earlier_denials == 0 && context.earlier_releases == 0",
        "context.recipient == \"person\" && context.notice_days == 0",
        "context.items == 2 && context.threads == 2 && context.span_days == 30 && context.notice == \"immediate\"",
        "context.purpose == \"investigation\" && context.matter == \"MAT-1\" && context.requestor == \"ida\"",
        "!context.recipient_is_requestor && principal == Escrow::Person::\"ida\" && resource == Escrow::Matter::\"MAT-1\"",
    ];
    for condition in holds {
        assert_eq!(judged(&permit_when(condition)), "permit", "{condition}");
        assert_ne!(judged(&permit_when(&format!("!({condition})"))), "permit", "{condition}");
    }
    // Counters can only be asked for at least so many.
    let counters = [("approvals.legal", 1), ("approvals.dpo", 1), ("approvals.security", 0), ("approvers", 2)];
    for (counter, is) in counters {
        assert_eq!(judged(&permit_when(&format!("context.{counter} >= {is}"))), "permit", "{counter}");
        assert_ne!(judged(&permit_when(&format!("context.{counter} >= {}", is + 1))), "permit", "{counter}");
    }
    assert_eq!(judged(&permit_when("context.waited_seconds >= 3600")), "permit");
    assert_ne!(judged(&permit_when("context.waited_seconds >= 3700")), "permit");
}

#[test]
fn circumstances_follow_the_facts() {
    // Another participant consents, and withdraws again.
    let mut c = under(&permit_when("context.consents.consented == 1 && context.consents.informed == 0"));
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    assert_eq!(c.says(), "refuse: policy-denies");
    let consent = sign(&c.node.consent("max"), &["device of max"]);
    c.node.log(&consent);
    assert_eq!(c.says(), "permit");
    let end = sign(&c.node.withdrawal(consent.digest(), "max"), &["device of max"]);
    c.node.log(&end);
    assert_eq!(c.says(), "refuse: policy-denies");

    // Another request for one of the items is denied.
    let mut c = under(&permit_when("context.earlier_denials == 0"));
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    let other = c.ask(|r| {
        r.items.pop();
        r.counts.items = 1
    });
    assert_eq!(c.says(), "permit");
    let e = c.node.decide(other, "sam", "security", Deny);
    c.node.log(&e);
    assert_eq!(c.says(), "refuse: policy-denies");

    // A reply to another request for one of the items has gone out; one's own counts for nothing.
    let mut c = under(&permit_when("context.earlier_releases == 0"));
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    let other = c.ask(|r| {
        r.items.pop();
        r.counts.items = 1
    });
    c.node.delivered(c.request);
    assert_eq!(c.says(), "permit");
    c.node.delivered(other);
    assert_eq!(c.says(), "refuse: policy-denies");
    c.node.delivered(other);
    assert_eq!(c.says(), "refuse: policy-denies", "a retry is the same release");

    // Days of delay, begun ones whole.
    for (seconds, days) in [(1, 1), (DAY, 1), (DAY + 1, 2), (80 * DAY, 80)] {
        let text = permit_when(&format!("context.notice == \"delayed\" && context.notice_days == {days}"));
        let delay = |r: &mut Request| {
            r.notice = Notice::Delayed(DelayedNotice { order: w("O-1"), until: r.created.plus_seconds(seconds) })
        };
        let c = approved(move |c| c.policies[0].text = text, |_| {}, delay);
        assert_eq!(c.says(), "permit", "{seconds} s");
    }
}

#[test]
fn pending_names_exactly_what_is_lacking_and_the_least_that_would_do() {
    // Legal is held by two people, dpo by one, security by two; the request lives seven days.
    let rows: &[(&str, &[(&str, &str)], &str)] = &[
        ("true", &[], "pending: approvers 0/2"),
        ("context.approvals.legal >= 0", &[], "pending: approvers 0/2"),
        ("true", &[("sam", "security")], "pending: approvers 1/2"),
        ("context.approvals.legal >= 2", &[("lena", "legal")], "pending: approvals.legal 1/2, approvers 1/2"),
        ("context.approvals.legal >= 3", &[("lena", "legal"), ("leo", "legal")], "refuse: policy-denies"),
        ("context.approvals.legal * 3 >= 4", &[("lena", "legal"), ("sam", "security")], "pending: approvals.legal 1/2"),
        ("context.approvers >= 4", &[("lena", "legal"), ("sam", "security")], "pending: approvers 2/4"),
        ("context.approvers >= 5", &[], "pending: approvers 0/5"),
        ("context.approvers >= 6", &[], "refuse: policy-denies"),
        (
            "context.waited_seconds >= 86400",
            &[("lena", "legal"), ("sam", "security")],
            "pending: waited_seconds 2/86400",
        ),
        ("context.waited_seconds >= 604800", &[("lena", "legal"), ("sam", "security")], "refuse: policy-denies"),
        (
            "context.waited_seconds >= 86400 && context.approvals.dpo >= 1",
            &[("lena", "legal"), ("sam", "security")],
            "pending: approvals.dpo 0/1, waited_seconds 2/86400",
        ),
        (
            "context.approvals.dpo >= 1 || context.waited_seconds >= 86400",
            &[("dora", "dpo"), ("lena", "legal")],
            "permit",
        ),
        ("context.items <= 1", &[("lena", "legal"), ("dora", "dpo")], "refuse: policy-denies"),
        ("false", &[("lena", "legal"), ("dora", "dpo")], "refuse: policy-denies"),
    ];
    for (condition, decisions, expected) in rows {
        let mut c = under(&permit_when(condition));
        for (who, role) in *decisions {
            c.approve(who, role);
        }
        assert_eq!(c.says(), *expected, "{condition} with {decisions:?}");
    }
}

#[test]
fn where_a_policy_leaves_a_choice_one_way_is_named() {
    let mut c = under(&permit_when("context.approvals.legal >= 1 || context.approvals.dpo >= 1"));
    c.approve("sam", "security");
    c.approve("sue", "security");
    let e = c.evaluate();
    assert_eq!(says(&e), "pending: approvals.legal 0/1");
    // A verdict must be able to say it.
    let mut v = c.node.verdict(1, c.request);
    (v.outcome, v.lacking) = (Outcome::Pending, e.lacking);
    c.node.log(&sign(&v, &["seat1"]));
    c.approve("lena", "legal");
    assert_eq!(c.says(), "permit");
}

#[test]
fn the_most_that_can_come_counts_only_people_who_could_still_approve() {
    let two = permit_when("context.approvals.legal >= 2");
    let can = "pending: approvals.legal 0/2, approvers 0/2";
    let rows: &[(&str, fn(&mut Case), &str)] = &[
        ("both can", |_| {}, can),
        (
            "one has recused",
            |c| {
                c.decide("leo", "legal", Recuse);
            },
            "refuse: policy-denies",
        ),
        (
            "one's only key was revoked",
            |c| {
                c.node.revoke("leo");
            },
            "refuse: policy-denies",
        ),
        (
            "one has left",
            |c| {
                let v2 = successor(&c.genesis, |x| x.people.retain(|p| p.id.as_str() != "leo"));
                c.node.follow(&v2);
            },
            "refuse: policy-denies",
        ),
        (
            "one is in scope",
            |c| {
                let v2 = successor(&c.genesis, |x| of(x, "leo").subject = Subject::Tokens(vec![subject("max")]));
                c.node.follow(&v2);
            },
            "refuse: policy-denies",
        ),
        (
            "one's key ends before now",
            |c| {
                let v2 = successor(&c.genesis, |x| of(x, "leo").keys[0].until = t0());
                c.node.follow(&v2);
            },
            "refuse: policy-denies",
        ),
        (
            "one's key is valid later",
            |c| {
                let v2 = successor(&c.genesis, |x| of(x, "leo").keys[0].from = days(1));
                c.node.follow(&v2);
            },
            can,
        ),
    ];
    for (name, change, expected) in rows {
        let mut c = under(&two);
        change(&mut c);
        assert_eq!(c.says(), *expected, "{name}");
    }
}

#[test]
fn nothing_is_fulfilled_by_nothing() {
    for text in ["", "// only a comment", "forbid (principal, action, resource);", &permit_when("false")] {
        assert_eq!(judged(text), "refuse: policy-denies", "{text:?}");
    }
    let both = format!("{} forbid (principal, action, resource) when {{ context.items > 1 }};", permit_when("true"));
    assert_eq!(judged(&both), "refuse: policy-denies", "a forbid wins");
}

#[test]
fn an_error_refuses_whatever_else_the_policy_says() {
    let overflow = "context.items + 9223372036854775807 > 0";
    for text in [
        permit_when(overflow),
        permit_when(&format!("!({overflow})")),
        format!("{} {}", permit_when("true"), permit_when(overflow)),
        format!("{} forbid (principal, action, resource) when {{ {overflow} }};", permit_when("true")),
    ] {
        assert_eq!(judged(&text), "refuse: policy-error", "{text}");
    }
}

/// The text agreed at deposit, the text in force now, and what the gate says.
#[test]
fn the_text_agreed_at_deposit_and_the_text_in_force_must_both_allow() {
    let strict = permit_when("context.approvals.security >= 1");
    let never = permit_when("false");
    let rows: &[(&str, &str, &str, &str)] = &[
        ("both allow", STANDARD, "permit (principal, action, resource);", "permit"),
        ("only the one in force", &never, STANDARD, "refuse: policy-denies"),
        ("only the one agreed", STANDARD, &never, "refuse: policy-denies"),
        ("the one in force asks for more", STANDARD, &strict, "pending: approvals.security 0/1"),
        ("the one agreed asked for more", &strict, STANDARD, "pending: approvals.security 0/1"),
        (
            "the one agreed has an error",
            "permit (principal, action, resource) when { context.items + 9223372036854775807 > 0 };",
            STANDARD,
            "refuse: policy-error",
        ),
    ];
    for (name, agreed, now, expected) in rows {
        let mut c = under(agreed);
        c.approve("lena", "legal");
        c.approve("dora", "dpo");
        let v2 = successor(&c.genesis, |x| x.policies[0].text = (*now).to_owned());
        c.node.follow(&v2);
        assert_eq!(c.says(), *expected, "{name}");
        let policies = c.evaluate().policies;
        let digests: Vec<_> = policies.iter().map(|p| (p.policy, p.current)).collect();
        assert_eq!(digests, [(policy("x", agreed).digest(), false), (policy("x", now).digest(), true)], "{name}");
    }
}

#[test]
fn items_agreed_under_different_texts_need_all_of_them() {
    let mut c = Case::new();
    let v2 = successor(&c.genesis, |x| x.policies[0].text = permit_when("context.approvals.security >= 1"));
    c.node.follow(&v2);
    let consent = c.node.consent("maria");
    let consent = c.node.log(&sign(&consent, MARIA));
    c.items.extend(c.node.deposit_items("maria", consent, &[about("t2")]));
    let v3 = successor(&v2, |x| x.policies[0].text = permit_when("true"));
    c.node.follow(&v3);
    c.request = c.ask(|_| {});
    assert_eq!(c.says(), "pending: approvals.dpo 0/1, approvals.legal 0/1, approvals.security 0/1, approvers 0/2");
    assert_eq!(c.evaluate().policies.len(), 3);
    for (who, role) in [("lena", "legal"), ("dora", "dpo"), ("sam", "security")] {
        assert_ne!(c.says(), "permit");
        c.approve(who, role);
    }
    assert_eq!(c.says(), "permit");
}

#[test]
fn an_office_that_is_gone_makes_an_old_text_an_error() {
    let mut c = under(&permit_when("context.approvals.security >= 1"));
    c.approve("sam", "security");
    c.approve("dora", "dpo");
    assert_eq!(c.says(), "permit");
    let v2 = successor(&c.genesis, |x| {
        x.approver_roles = vec![w("dpo"), w("legal")];
        x.policies[0].text = permit_when("true");
    });
    c.node.follow(&v2);
    assert_eq!(c.says(), "refuse: policy-error");
}

#[test]
fn the_requestor_receives_only_where_every_text_says_so() {
    let says_so = format!("@recipient_is_requestor(\"allowed\") {STANDARD}");
    let other_word = format!("@recipient_is_requestor(\"maybe\") {STANDARD}");
    let on_a_forbid = format!(
        "{STANDARD} @recipient_is_requestor(\"allowed\") forbid (principal, action, resource) when {{ false }};"
    );
    let rows: &[(&str, &str, &str, &str)] = &[
        ("says so", &says_so, &says_so, "permit"),
        ("silent", STANDARD, STANDARD, "refuse: recipient-is-requestor"),
        ("another word", &other_word, &other_word, "refuse: recipient-is-requestor"),
        ("said by a forbid", &on_a_forbid, &on_a_forbid, "refuse: recipient-is-requestor"),
        ("not when it was agreed", STANDARD, &says_so, "refuse: recipient-is-requestor"),
        ("not any more", &says_so, STANDARD, "refuse: recipient-is-requestor"),
    ];
    for (name, agreed, now, expected) in rows {
        let mut c = Case::of(|x| x.policies[0].text = (*agreed).to_owned(), |_| {}, |r| r.recipient = to_person("ida"));
        c.approve("lena", "legal");
        c.approve("dora", "dpo");
        let v2 = successor(&c.genesis, |x| x.policies[0].text = (*now).to_owned());
        c.node.follow(&v2);
        assert_eq!(c.says(), *expected, "{name}");
    }
}

#[test]
fn an_approver_whose_device_receives_does_not_count() {
    let mut c = to_the_device_of(subject("lena"));
    let e = c.node.decide(c.request, "lena", "legal", Approve);
    let _ = c.node.fold(&e);
    let e = c.evaluate();
    assert_eq!((e.outcome, e.decisions.len()), (Outcome::Permit, 2), "leo and dora");
    let mut d = c.node.decision(c.request, "leo", "legal", Recuse);
    d.reason = w("R2");
    c.node.log(&sign(&d, &["leo"]));
    assert_eq!(c.says(), "refuse: policy-denies", "nobody of legal is left who could");
}

// ---- What a node gathers --------------------------------------------------------------------

fn call(c: &Case) -> Verified<escrow_core::release::ReleaseCall> {
    let e = sign(&c.node.call(c.request, by_person("ida")), &["ida"]);
    verify_call(&c.node.facts, &e, c.node.now).unwrap()
}

fn permits(c: &Case, seats: &[u8], change: fn(&mut Verdict)) -> Vec<Envelope> {
    let one = |n: &u8| {
        let mut v = c.node.verdict(*n, c.request);
        change(&mut v);
        sign(&v, &[&seat_key(*n)])
    };
    seats.iter().map(one).collect()
}

fn answers(c: &Case, seats: &[u8], change: fn(&mut RestrictionAnswer)) -> Vec<Envelope> {
    let one = |n: &u8| {
        let mut a = c.node.answer(*n, c.request);
        change(&mut a);
        sign(&a, &[&seat_key(*n)])
    };
    seats.iter().map(one).collect()
}

fn authorise(c: &Case, permits: &[Envelope], answers: &[Envelope]) -> Result<(), Rule> {
    authorise_at(c, permits, answers, c.node.now)
}

fn authorise_at(c: &Case, permits: &[Envelope], answers: &[Envelope], at: Timestamp) -> Result<(), Rule> {
    gate::authorise(&c.node.facts, &call(c), &Gathered { permits, answers }, at).map(drop).map_err(|r| r.rule)
}

/// t is 3 and this is seat 1: two other seats' permits are needed, and two other seats' answers.
#[test]
fn permits_of_t_minus_1_other_seats_are_needed() {
    let c = approved(
        |c| {
            c.seats.push(seat(6));
            c.people.push(person("op6", &[]))
        },
        |_| {},
        |_| {},
    );
    let enough = answers(&c, &[2, 3], |_| {});
    let plain: fn(&mut Verdict) = |_| {};
    let missing = Err(Rule::PermitsMissing);
    let invalid = Err(Rule::PermitInvalid);
    let rows: &[(&str, Vec<Envelope>, Result<(), Rule>)] = &[
        ("none", vec![], missing),
        ("t-2", permits(&c, &[2], plain), missing),
        ("t-1", permits(&c, &[2, 3], plain), Ok(())),
        ("all", permits(&c, &[2, 3, 4, 5], plain), Ok(())),
        ("its own counts for nothing", permits(&c, &[1, 2], plain), missing),
        ("its own does no harm", permits(&c, &[1, 2, 3], plain), Ok(())),
        ("one seat twice", permits(&c, &[2, 2], plain), missing),
        ("a seat outside the generation", permits(&c, &[2, 6], plain), invalid),
        (
            "a refusal",
            permits(&c, &[2, 3], |v| {
                v.outcome = Outcome::Refuse;
                v.reasons = vec![w("denied")]
            }),
            invalid,
        ),
        (
            "pending",
            permits(&c, &[2, 3], |v| {
                v.outcome = Outcome::Pending;
                v.lacking = vec![Lacking { what: w("approvers"), have: 0, need: 2 }]
            }),
            invalid,
        ),
        ("another request", permits(&c, &[2, 3], |v| v.request = Digest::of(b"x")), invalid),
        ("another charter", permits(&c, &[2, 3], |v| v.charter = Digest::of(b"x")), invalid),
        (
            "stale",
            permits(&c, &[2, 3], |v| {
                v.decided = v.decided.plus_seconds(-61);
                v.valid_until = v.decided.plus_seconds(60)
            }),
            invalid,
        ),
        (
            "valid for longer than the charter allows",
            permits(&c, &[2, 3], |v| v.valid_until = v.decided.plus_seconds(61)),
            invalid,
        ),
        (
            "old, and valid for longer than the charter allows",
            permits(&c, &[2, 3], |v| v.decided = v.decided.plus_seconds(-3_600)),
            invalid,
        ),
        (
            "from the future",
            permits(&c, &[2, 3], |v| {
                v.decided = v.decided.plus_seconds(301);
                v.valid_until = v.decided.plus_seconds(60)
            }),
            invalid,
        ),
        (
            "one good, one of another seat's key",
            vec![permits(&c, &[2], plain).remove(0), sign(&c.node.verdict(3, c.request), &["seat4"])],
            Err(Rule::BadSignature),
        ),
        (
            "an unknown seat",
            vec![permits(&c, &[2], plain).remove(0), sign(&c.node.verdict(9, c.request), &["seat9"])],
            Err(Rule::WrongSigner),
        ),
        ("no verdicts at all", answers(&c, &[2, 3], |_| {}), invalid),
        ("another organisation's", permits(&c, &[2, 3], |v| v.org = w("other.example")), Err(Rule::WrongOrg)),
    ];
    for (name, permits, expected) in rows {
        assert_eq!(authorise(&c, permits, &enough), *expected, "{name}");
    }
    let fresh = permits(&c, &[2, 3], plain);
    assert_eq!(authorise_at(&c, &fresh, &enough, c.node.now.plus_seconds(60)), Ok(()), "in its last second");
    assert_eq!(authorise_at(&c, &fresh, &enough, c.node.now.plus_seconds(61)), invalid, "a second later");
}

#[test]
fn answers_of_t_minus_1_peers_to_this_very_question_are_needed() {
    let mut c = approved(
        |c| {
            c.seats.push(seat(6));
            c.people.push(person("op6", &[]))
        },
        |_| {},
        |_| {},
    );
    let enough = permits(&c, &[2, 3], |_| {});
    let plain: fn(&mut RestrictionAnswer) = |_| {};
    let invalid = Err(Rule::AnswerInvalid);
    let rows: &[(&str, Vec<Envelope>, Result<(), Rule>)] = &[
        ("none", vec![], invalid),
        ("fewer than w", answers(&c, &[2], plain), invalid),
        ("w", answers(&c, &[4, 5], plain), Ok(())),
        ("one peer twice", answers(&c, &[2, 2], plain), invalid),
        ("its own", answers(&c, &[1, 2, 3], plain), invalid),
        ("a seat outside the generation counts for nothing", answers(&c, &[2, 6], plain), invalid),
        ("to another asker", answers(&c, &[2, 3], |a| a.asker = seat_index(4)), invalid),
        ("about another request", answers(&c, &[2, 3], |a| a.request = Some(Digest::of(b"x"))), invalid),
        ("about everything", answers(&c, &[2, 3], |a| a.request = None), invalid),
        ("without the matter", answers(&c, &[2, 3], |a| a.matter = None), invalid),
        ("about another matter", answers(&c, &[2, 3], |a| a.matter = Some(w("MAT-2"))), invalid),
        ("without the consent", answers(&c, &[2, 3], |a| a.consents.clear()), invalid),
        ("without the keys", answers(&c, &[2, 3], |a| a.revocable.clear()), invalid),
        ("without one key", answers(&c, &[2, 3], |a| drop(a.revocable.pop())), invalid),
        ("about another consent instead", answers(&c, &[2, 3], |a| a.consents = vec![Digest::of(b"x")]), invalid),
        (
            "about another consent besides",
            answers(&c, &[2, 3], |a| a.consents = sorted([&a.consents[..], &[Digest::of(b"x")]].concat())),
            Ok(()),
        ),
        (
            "a restriction that is unknown here",
            answers(&c, &[2, 3], |a| a.restrictions = vec![Digest::of(b"x")]),
            invalid,
        ),
        (
            "one more answer with a restriction unknown here",
            [answers(&c, &[2, 3], plain), answers(&c, &[4], |a| a.restrictions = vec![Digest::of(b"x")])].concat(),
            invalid,
        ),
        (
            "by another seat's key",
            vec![answers(&c, &[2], plain).remove(0), sign(&c.node.answer(3, c.request), &["seat4"])],
            Err(Rule::BadSignature),
        ),
        ("no answers at all", permits(&c, &[2, 3], |_| {}), invalid),
    ];
    for (name, answers, expected) in rows {
        assert_eq!(authorise(&c, &enough, answers), *expected, "{name}");
    }
    // A restriction that is known here and does not stop the request.
    let e = c.node.decide(c.request, "sam", "security", Recuse);
    let recusal = c.node.log(&e);
    let mut known: Vec<Envelope> = vec![];
    for n in [2, 3] {
        let mut a = c.node.answer(n, c.request);
        a.restrictions = vec![recusal];
        known.push(sign(&a, &[&seat_key(n)]));
    }
    assert_eq!(authorise(&c, &enough, &known), Ok(()));
}

#[test]
fn permits_of_others_never_replace_the_gate_here() {
    let rows: &[(&str, fn() -> Case, Rule)] = &[
        ("pending", Case::new, Rule::Pending),
        (
            "denied",
            || {
                let mut c = Case::approved();
                c.decide("sue", "security", Deny);
                c
            },
            Rule::Denied,
        ),
        (
            "withdrawn",
            || log(Case::approved(), |c| sign(&c.node.withdrawal(c.consent, "maria"), MARIA)),
            Rule::ConsentWithdrawn,
        ),
        ("frozen", || log(Case::approved(), |c| successor(&c.genesis, |_| {})), Rule::CharterUnaccepted),
        (
            "a policy that denies",
            || {
                let mut c = under("");
                c.approve("lena", "legal");
                c.approve("dora", "dpo");
                c
            },
            Rule::PolicyDenies,
        ),
    ];
    for (name, case, rule) in rows {
        let c = case();
        let (permits, answers) = (permits(&c, &[2, 3, 4, 5], |_| {}), answers(&c, &[2, 3, 4, 5], |_| {}));
        assert_eq!(authorise(&c, &permits, &answers), Err(*rule), "{name}");
        assert_eq!(refused(gate::deliver(&c.node.facts, &c.request, c.node.now)), Some(*rule), "{name}");
    }
}

#[test]
fn a_restriction_between_authorisation_and_delivery_stops_it() {
    let mut c = Case::approved();
    assert_eq!(authorise(&c, &permits(&c, &[2, 3], |_| {}), &answers(&c, &[2, 3], |_| {})), Ok(()));
    assert!(gate::deliver(&c.node.facts, &c.request, c.node.now).is_ok());
    c.decide("leo", "legal", Deny);
    assert_eq!(refused(gate::deliver(&c.node.facts, &c.request, c.node.now)), Some(Rule::Denied));
}

#[test]
fn permits_under_the_generation_of_the_items() {
    // Items of generation 1 (3 of 5); generation 2 is 2 of 3: its smaller quorum opens nothing old.
    let c = then(|x| x.generations.push(generation(2, 2, &[1, 2, 3])));
    let one = (permits(&c, &[2], |_| {}), answers(&c, &[2], |_| {}));
    assert_eq!(authorise(&c, &one.0, &one.1), Err(Rule::PermitsMissing));
    let two = (permits(&c, &[4, 5], |_| {}), answers(&c, &[4, 5], |_| {}));
    assert_eq!(authorise(&c, &two.0, &two.1), Ok(()));
}

#[test]
fn each_authorisation_has_one_outcome() {
    let mut c = Case::approved();
    let call = sign(&c.node.call(c.request, by_person("ida")), &["ida"]);
    let seq = c.node.facts.size();
    let authorized = Event::Authorized { request: c.request, decisions: vec![], permits: vec![], answers: vec![] };
    let abort = |authorized: u64, request: Digest| Event::Aborted { authorized, request, reason: w("restart") };
    assert_eq!(refused(c.node.record(None, authorized.clone())), Some(Rule::Malformed), "without its call");
    c.node.record(Some(&call), authorized).unwrap();
    assert_eq!(c.node.facts.open_authorisations().collect::<Vec<_>>(), [(seq, c.request)]);
    assert_eq!(refused(c.node.record(None, abort(seq + 1, c.request))), Some(Rule::Malformed), "another position");
    assert_eq!(refused(c.node.record(None, abort(seq, Digest::of(b"x")))), Some(Rule::Malformed), "another request");
    c.node.record(None, abort(seq, c.request)).unwrap();
    assert_eq!(refused(c.node.record(None, abort(seq, c.request))), Some(Rule::Malformed), "a second outcome");
    assert_eq!(c.node.facts.open_authorisations().count(), 0);
}
