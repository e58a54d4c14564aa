//! Self-recovery: each rule of its gate failing alone. Then what else keeps people apart and asking
//! within bounds: the filter team, limits of 30 days, requests that are only tried out, restrictions
//! in pages and their repeats.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::type_complexity)]

mod common;

use common::*;
use escrow_core::charter::{Charter, Subject};
use escrow_core::deal::About;
use escrow_core::decision::Choice::{Approve, Deny, Recuse};
use escrow_core::enrolment::Revoked;
use escrow_core::limits::EARLY_WITHDRAWALS_MAX;
use escrow_core::matter::MatterAction::{Close, Open, Reopen};
use escrow_core::recovery::SelfRecovery;
use escrow_core::release::Caller;
use escrow_core::request::{DelayedNotice, Notice, Recipient, RecipientDevice, RecipientPerson, Request};
use escrow_core::{Digest, Envelope, Kind};
use escrow_policy::Rule;
use escrow_policy::admit::{verify_call, verify_query};
use escrow_policy::facts::Concerns;
use escrow_policy::gate;

const MARIA: &[&str] = &["device of maria"];
const TABLET: &[&str] = &["device of tablet"];
const REGISTRARS: &[&str] = &["rita", "rolf"];

/// Permits self-recovery and nothing else.
const RECOVER: &str = r#"@id("lost-device")
permit (principal, action == Escrow::Action::"recover", resource) when { context.approvals.legal >= 1 };"#;

/// The same for requests.
const RELEASE: &str = r#"@id("release-only")
permit (principal, action == Escrow::Action::"release", resource) when { context.approvals.legal >= 1 };"#;

/// maria has lost her phone. Her tablet asks for what the phone deposited.
#[derive(Clone)]
struct Lost {
    case: Case,
    enrolment: Digest,
    asked: SelfRecovery,
    recovery: Digest,
}

impl Lost {
    /// Not yet approved; the tablet has just been enrolled.
    fn with(
        charter: impl FnOnce(&mut Charter),
        items: impl Fn(&mut About),
        recovery: impl FnOnce(&mut SelfRecovery, &Case),
    ) -> Self {
        let charter = |c: &mut Charter| {
            c.policies.insert(0, policy("lost-device", RECOVER));
            charter(c);
        };
        let mut case = Case::of(charter, items, |_| {});
        let e = sign(&case.node.further_device("maria", "tablet"), REGISTRARS);
        let enrolment = case.node.log(&e);
        Self::asking(case, enrolment, recovery)
    }

    fn asking(mut case: Case, enrolment: Digest, change: impl FnOnce(&mut SelfRecovery, &Case)) -> Self {
        let mut asked = case.node.self_recovery("maria", "tablet", enrolment, &case.items);
        asked.policy = w("lost-device");
        change(&mut asked, &case);
        let e = sign(&asked, TABLET);
        let recovery = case.node.log(&e);
        Self { case, enrolment, asked, recovery }
    }

    fn new() -> Self {
        Self::with(|_| {}, |_| {}, |_, _| {})
    }

    fn approve(mut self, by: &str, role: &str) -> Self {
        let e = self.case.node.decide(self.recovery, by, role, Approve);
        self.case.node.log(&e);
        self
    }

    /// Approved by two, and the delay over.
    fn ready(self) -> Self {
        let mut out = self.approve("lena", "legal").approve("dora", "dpo");
        out.case.node.wait(DAY);
        out
    }

    fn log(mut self, e: impl FnOnce(&Self) -> Envelope) -> Self {
        let e = e(&self);
        self.case.node.log(&e);
        self
    }

    /// Moves on to charter version 2.
    fn then(mut self, change: impl FnOnce(&mut Charter)) -> Self {
        let v2 = successor(&self.case.genesis, change);
        self.case.node.follow(&v2);
        self
    }

    fn says(&self) -> String {
        says(&self.case.node.evaluate(&self.recovery))
    }

    /// When this node logged the tablet's enrolment.
    fn enrolled(&self) -> escrow_core::Timestamp {
        self.case.node.facts.seen(&self.enrolment).unwrap().at
    }
}

fn with_charter(change: impl FnOnce(&mut Charter)) -> Lost {
    Lost::with(change, |_| {}, |_, _| {}).ready()
}

fn asked(change: impl FnOnce(&mut SelfRecovery, &Case)) -> Lost {
    Lost::with(|_| {}, |_| {}, change).ready()
}

fn veto_by_person(l: &Lost, by: &str) -> Envelope {
    sign(&l.case.node.veto(l.recovery, by_person(by)), &[by])
}

fn veto_by_device(l: &Lost, who: &str) -> Envelope {
    sign(&l.case.node.veto(l.recovery, by_device(who)), &[&device(who)])
}

// ---- The gate -------------------------------------------------------------------------------

#[test]
fn two_approvals_and_the_delay_give_the_items_back_to_the_device() {
    let l = Lost::new().approve("lena", "legal").approve("dora", "dpo");
    assert_eq!(l.says(), "refuse: recovery-delay");
    let l = Lost::new().ready();
    assert_eq!(l.says(), "permit");
    let permit = gate::deliver(&l.case.node.facts, &l.recovery, l.case.node.now).unwrap();
    assert_eq!(permit.items, l.asked.items);
    assert_eq!((permit.request, permit.generation), (l.recovery, 1));
    assert_eq!(permit.recipient, sealing("device of tablet"));
    let counted = gate::count(&l.case.node.facts, &l.recovery, l.case.node.now).unwrap();
    let age = l.case.node.now.seconds_since(l.enrolled());
    let waited = l.case.node.now.seconds_since(l.case.node.facts.seen(&l.recovery).unwrap().at);
    let expected = format!(
        r#"{{"approvals":{{"dpo":1,"legal":1,"security":0}},"approvers":2,"device_age_seconds":{age},"earlier_denials":0,"earlier_releases":0,"hold":false,"items":2,"other_devices":1,"threads":2,"waited_seconds":{waited}}}"#
    );
    assert_eq!(String::from_utf8(counted.context).unwrap(), expected);
}

#[test]
fn the_delay_is_whole_to_the_second_and_from_this_nodes_own_log() {
    for delay in [DAY, 3 * DAY] {
        let mut l = Lost::with(|c| c.limits.recovery_delay_s = delay.unsigned_abs(), |_| {}, |_, _| {});
        l = l.approve("lena", "legal").approve("dora", "dpo");
        l.case.node.now = l.enrolled().plus_seconds(delay - 1);
        assert_eq!(l.says(), "refuse: recovery-delay", "one second short of {delay}");
        l.case.node.now = l.enrolled().plus_seconds(delay);
        assert_eq!(l.says(), "permit", "{delay} exactly");
    }
    // What the enrolment itself says about its beginning is the registrars' word, not time.
    let mut case = Case::with(|c| c.policies.insert(0, policy("lost-device", RECOVER)));
    let mut e = case.node.further_device("maria", "tablet");
    e.from = days(-100);
    let e = sign(&e, REGISTRARS);
    let enrolment = case.node.log(&e);
    let l = Lost::asking(case, enrolment, |_, _| {}).approve("lena", "legal").approve("dora", "dpo");
    assert_eq!(l.says(), "refuse: recovery-delay");
}

#[test]
fn the_delay_of_the_charter_in_force_counts() {
    let l = Lost::new().ready().then(|c| c.limits.recovery_delay_s = 2 * DAY.unsigned_abs());
    assert_eq!(l.says(), "refuse: recovery-delay");
    let mut l = l;
    l.case.node.wait(DAY);
    assert_eq!(l.says(), "permit");
}

/// A case that would be permitted but for what its name says, and how the gate refuses.
type Row = (&'static str, Rule, fn() -> Lost);

const GATE: &[Row] = &[
    ("an unknown recovery", Rule::RequestUnknown, || Lost { recovery: Digest::of(b"x"), ..Lost::new().ready() }),
    ("expired at this instant", Rule::RequestExpired, || {
        let mut l = Lost::new().ready();
        l.case.node.now = l.asked.expires;
        l
    }),
    ("more items than the charter allows now", Rule::RequestLimits, || {
        Lost::new().ready().then(|c| c.limits.items_per_request = 1)
    }),
    ("a longer life than the charter allows now", Rule::RequestLimits, || {
        Lost::new().ready().then(|c| c.limits.request_life_s = 3_600)
    }),
    ("denied", Rule::Denied, || Lost::new().ready().log(|l| l.case.node.decide(l.recovery, "sue", "security", Deny))),
    ("vetoed by another device of the subject", Rule::RecoveryVetoed, || {
        Lost::new().ready().log(|l| veto_by_device(l, "maria"))
    }),
    ("vetoed by the device itself", Rule::RecoveryVetoed, || Lost::new().ready().log(|l| veto_by_device(l, "tablet"))),
    ("vetoed by the office for subjects' rights", Rule::RecoveryVetoed, || {
        Lost::new().ready().log(|l| veto_by_person(l, "sara"))
    }),
    ("vetoed, and the device that vetoed revoked since", Rule::RecoveryVetoed, || {
        let mut l = Lost::new().ready().log(|l| veto_by_device(l, "maria"));
        l.case.node.revoke("device of maria");
        l
    }),
    ("vetoed under the charter before", Rule::RecoveryVetoed, || {
        let l = Lost::new().ready();
        let e = veto_by_device(&l, "maria");
        l.then(|_| {}).log(|_| e)
    }),
    ("an item that is not held", Rule::ItemUnknown, || {
        asked(|r, _| r.items = sorted(vec![r.items[0], Digest::of(b"x")]))
    }),
    ("somebody else's item", Rule::RecoveryNotOwn, || {
        let mut case = recoverable();
        let consent = sign(&case.node.consent("max"), &["device of max"]);
        let consent = case.node.log(&consent);
        // maria takes part in it, which does not make it hers.
        let theirs = case.node.deposit_items("max", consent, &[about("t1")]);
        with_items(case, |items| items.push(theirs[0]))
    }),
    ("items of two generations", Rule::MixedGenerations, || {
        let mut case = recoverable();
        let v2 = successor(&case.genesis, |x| x.generations.push(generation(2, 3, &[1, 2, 3, 4, 5])));
        case.node.follow(&v2);
        let later = case.node.deposit_items("maria", case.consent, &[about("t1")]);
        with_items(case, |items| items.push(later[0]))
    }),
    ("the consent withdrawn", Rule::ConsentWithdrawn, || {
        Lost::new().ready().log(|l| sign(&l.case.node.withdrawal(l.case.consent, "maria"), MARIA))
    }),
    ("the consent ended", Rule::ConsentExpired, || {
        let mut case = recoverable();
        case.node.now = days(197);
        let e = sign(&case.node.further_device("maria", "tablet"), REGISTRARS);
        let enrolment = case.node.log(&e);
        let mut l = Lost::asking(case, enrolment, |_, _| {}).ready();
        assert_eq!(l.says(), "permit");
        l.case.node.now = days(200);
        l
    }),
    ("a policy that was not agreed", Rule::PolicyNotAgreed, || asked(|r, _| r.policy = w("lenient"))),
    ("a policy gone from the charter", Rule::PolicyUnknown, || {
        Lost::new().ready().then(|c| c.policies[0].id = w("renamed"))
    }),
    ("a policy that permits requests only", Rule::PolicyDenies, || {
        with_charter(|c| c.policies[0].text = RELEASE.to_owned())
    }),
    ("an agreed policy that permits requests only", Rule::PolicyDenies, || {
        with_charter(|c| c.policies[0].text = RELEASE.to_owned()).then(|c| c.policies[0].text = RECOVER.to_owned())
    }),
    ("a policy that permits requests only today", Rule::PolicyDenies, || {
        Lost::new().ready().then(|c| c.policies[0].text = RELEASE.to_owned())
    }),
    // The device.
    ("an enrolment that is not known", Rule::NotEnrolled, || asked(|r, _| r.enrolment = Digest::of(b"x"))),
    ("another device's enrolment", Rule::NotEnrolled, || asked(|r, c| r.enrolment = c.enrolment)),
    ("an enrolment revoked", Rule::NotEnrolled, || {
        Lost::new().ready().log(|l| sign(&l.case.node.revocation(Revoked::Enrolment(l.enrolment)), REGISTRARS))
    }),
    ("the device's key revoked", Rule::NotEnrolled, || {
        let mut l = Lost::new().ready();
        l.case.node.revoke("device of tablet");
        l
    }),
    ("an enrolment that has ended", Rule::NotEnrolled, || {
        let mut case = recoverable();
        let mut e = case.node.further_device("maria", "tablet");
        e.until = case.node.now.plus_seconds(2 * DAY);
        let e = sign(&e, REGISTRARS);
        let enrolment = case.node.log(&e);
        let mut l = Lost::asking(case, enrolment, |_, _| {}).ready();
        assert_eq!(l.says(), "permit");
        l.case.node.wait(DAY);
        l
    }),
    ("an enrolment that begins later", Rule::NotEnrolled, || {
        // The device is enrolled twice; the one it names does not hold yet.
        let mut case = recoverable();
        let e = sign(&case.node.further_device("maria", "tablet"), REGISTRARS);
        case.node.log(&e);
        let mut later = case.node.further_device("maria", "tablet");
        later.from = days(5);
        let later = sign(&later, REGISTRARS);
        let enrolment = case.node.log(&later);
        Lost::asking(case, enrolment, |_, _| {}).ready()
    }),
    ("a device enrolled again, by the second enrolment", Rule::RecoveryDelay, || {
        let mut case = recoverable();
        let e = sign(&case.node.further_device("maria", "tablet"), REGISTRARS);
        case.node.log(&e);
        case.node.wait(DAY);
        let again = sign(&case.node.further_device("maria", "tablet"), REGISTRARS);
        let enrolment = case.node.log(&again);
        Lost::asking(case, enrolment, |_, _| {}).approve("lena", "legal").approve("dora", "dpo")
    }),
    ("another sealing key", Rule::RecipientKey, || asked(|r, _| r.sealing = sealing("device of maria").digest())),
    // The charter.
    ("a newer charter is known", Rule::CharterUnaccepted, || {
        Lost::new().ready().log(|l| successor(&l.case.genesis, |_| {}))
    }),
    ("two newer charters are known", Rule::CharterFork, || {
        Lost::new().ready().then(|_| {}).log(|l| successor(&l.case.genesis, |x| x.version = 2))
    }),
];

/// A case under a charter with the policy for lost devices.
fn recoverable() -> Case {
    Case::with(|c| c.policies.insert(0, policy("lost-device", RECOVER)))
}

/// The tablet asks for these items besides.
fn with_items(mut case: Case, change: impl FnOnce(&mut Vec<Digest>)) -> Lost {
    let e = sign(&case.node.further_device("maria", "tablet"), REGISTRARS);
    let enrolment = case.node.log(&e);
    Lost::asking(case, enrolment, |r, _| {
        change(&mut r.items);
        r.items.sort();
    })
    .ready()
}

#[test]
fn the_gate_refuses_for_each_rule() {
    for (name, rule, lost) in GATE {
        let l = lost();
        assert_eq!(l.says(), format!("refuse: {rule}"), "{name}");
        let node = &l.case.node;
        assert_eq!(refused(gate::deliver(&node.facts, &l.recovery, node.now)), Some(*rule), "{name}");
    }
}

#[test]
fn rules_are_named_in_one_order() {
    // Everything is wrong at once; what is mended goes, and the next rule in the order stands.
    let mut l = Lost::new().ready();
    l = l.log(|l| sign(&l.case.node.withdrawal(l.case.consent, "maria"), MARIA));
    assert_eq!(l.says(), "refuse: consent-withdrawn");
    l.case.node.revoke("device of tablet");
    assert_eq!(l.says(), "refuse: not-enrolled");
    l = l.log(|l| l.case.node.decide(l.recovery, "sue", "security", Deny));
    assert_eq!(l.says(), "refuse: denied");
    let mut late = l.clone().then(|c| c.limits.items_per_request = 1);
    assert_eq!(late.says(), "refuse: request-limits");
    late.case.node.now = late.asked.expires;
    assert_eq!(late.says(), "refuse: request-expired");
    let veto = veto_by_person(&late, "sara");
    late.case.node.log(&veto);
    assert_eq!(late.says(), "refuse: recovery-vetoed");
    let decided_by = late.case.node.evaluate(&late.recovery).refusals[0].decided_by;
    assert_eq!(decided_by, Some((Kind::Veto, veto.digest())));
}

#[test]
fn a_strangers_veto_stops_nothing_and_takes_nobodys_place() {
    let l = Lost::new().ready().log(|l| veto_by_device(l, "max"));
    assert_eq!(l.says(), "permit", "max is another subject");
    let l = l.log(|l| veto_by_device(l, "maria"));
    assert_eq!(l.says(), "refuse: recovery-vetoed");
    // A veto is no weapon against requests.
    let mut c = Case::approved();
    for (by, key) in [(by_person("sara"), "sara"), (by_device("maria"), "device of maria")] {
        let e = sign(&c.node.veto(c.request, by), &[key]);
        c.node.log(&e);
    }
    assert_eq!(c.says(), "permit");
}

/// A new node that is told these statements first, and then all that `seen` was, in its order.
fn arriving_first(seen: &Lost, after: usize, first: &[Envelope]) -> Lost {
    let mut l = seen.clone();
    l.case.node = Node::new(&seen.case.genesis);
    let (before, rest) = seen.case.node.history.split_at(after);
    for e in before.iter().chain(first).chain(rest) {
        let _ = l.case.node.fold(e);
    }
    l.case.node.now = seen.case.node.now.plus_seconds(100);
    l
}

#[test]
fn a_veto_counts_though_it_arrives_before_the_recovery() {
    let seen = Lost::new().ready();
    // The first entry enrols maria's phone and max's.
    assert_eq!(arriving_first(&seen, 1, &[]).says(), "permit");
    for (name, veto, expected) in [
        ("by her phone", veto_by_device(&seen, "maria"), "refuse: recovery-vetoed"),
        ("by the office", veto_by_person(&seen, "sara"), "refuse: recovery-vetoed"),
        ("by a stranger", veto_by_device(&seen, "max"), "permit"),
    ] {
        let l = arriving_first(&seen, 1, std::slice::from_ref(&veto));
        assert_eq!(l.says(), expected, "{name}");
        let on = l.case.node.restrictions_on(&l.recovery);
        let told: &[Digest] = if expected == "permit" { &[] } else { &[veto.digest()] };
        assert_eq!(on, told, "{name}: a peer is told of what counts");
    }
    // A device that this node does not know yet says nothing here; it is told again, and then it counts.
    let seen = Lost::new().ready();
    let veto = veto_by_device(&seen, "tablet");
    let l = arriving_first(&seen, 1, std::slice::from_ref(&veto));
    assert_eq!(l.says(), "permit", "not admitted");
    assert_eq!(l.log(|_| veto.clone()).says(), "refuse: recovery-vetoed");
}

#[test]
fn approvals_that_count() {
    let registrar = |c: &mut Charter| of(c, "lena").roles.push(w("registrar"));
    // Signatures on the tablet's first enrolment, and on a second one that the recovery names.
    let enrolled_by = |charter: fn(&mut Charter), first: &[&str], second: Option<&[&str]>| {
        let mut case = Case::with(|c| {
            c.policies.insert(0, policy("lost-device", RECOVER));
            charter(c);
        });
        let e = sign(&case.node.further_device("maria", "tablet"), first);
        let mut enrolment = case.node.log(&e);
        if let Some(second) = second {
            let e = sign(&case.node.further_device("maria", "tablet"), second);
            enrolment = case.node.log(&e);
        }
        before_it_arrives(case, enrolment)
    };
    let lacking = "pending: approvals.legal 0/1, approvers 1/2";
    let rows: [(&str, Lost, &str); 8] = [
        ("registrars of their own", enrolled_by(|_| {}, REGISTRARS, None), "permit"),
        ("an approver among the registrars", enrolled_by(registrar, &["rita", "lena"], None), lacking),
        ("an approver who countersigned", enrolled_by(|_| {}, &["rita", "rolf", "lena"], None), lacking),
        ("an approver of an earlier enrolment", enrolled_by(registrar, &["rita", "lena"], Some(REGISTRARS)), lacking),
        ("an approver of a later enrolment", enrolled_by(registrar, REGISTRARS, Some(&["rita", "lena"])), lacking),
        (
            "an approver who is the subject",
            before(|c| of(c, "lena").subject = Subject::Tokens(vec![subject("maria")]), |_| {}),
            lacking,
        ),
        (
            "an approver who takes part",
            before(|_| {}, |a| a.participants = participants(&[("maria", true), ("lena", true)])),
            lacking,
        ),
        (
            "an approver whom the depositor calls an outsider",
            before(|_| {}, |a| a.participants = participants(&[("maria", true), ("lena", false)])),
            lacking,
        ),
    ];
    for (name, lost, expected) in rows {
        assert_eq!(lost.says(), expected, "{name}");
    }
}

fn before(charter: impl FnOnce(&mut Charter), items: impl Fn(&mut About)) -> Lost {
    let charter = |c: &mut Charter| {
        c.policies.insert(0, policy("lost-device", RECOVER));
        charter(c);
    };
    let mut case = Case::of(charter, items, |_| {});
    let e = sign(&case.node.further_device("maria", "tablet"), REGISTRARS);
    let enrolment = case.node.log(&e);
    before_it_arrives(case, enrolment)
}

/// Approved by lena and dora before this node knew the recovery, so that nobody was told at once.
fn before_it_arrives(mut case: Case, enrolment: Digest) -> Lost {
    let mut asked = case.node.self_recovery("maria", "tablet", enrolment, &case.items);
    asked.policy = w("lost-device");
    let e = sign(&asked, TABLET);
    for (by, role) in [("lena", "legal"), ("dora", "dpo")] {
        let d = case.node.decide(e.digest(), by, role, Approve);
        case.node.log(&d);
    }
    let recovery = case.node.log(&e);
    case.node.wait(DAY);
    Lost { case, enrolment, asked, recovery }
}

#[test]
fn fewer_than_two_approvers_are_pending_whatever_the_policy_says() {
    let mut l = Lost::new().approve("lena", "legal");
    l.case.node.wait(DAY);
    assert_eq!(l.says(), "pending: approvers 1/2");
    let l = l.log(|l| l.case.node.decide(l.recovery, "dora", "dpo", Recuse));
    assert_eq!(l.says(), "pending: approvers 1/2");
    let l = l.approve("leo", "legal");
    assert_eq!(l.says(), "permit");
}

#[test]
fn a_request_and_a_recovery_are_two_actions() {
    // One text that names no action permits both, as far as it looks at what both have.
    let l = Lost::with(|c| c.policies[0].text = STANDARD.to_owned(), |_| {}, |_, _| {}).ready();
    assert_eq!(l.says(), "permit");
    // A request under a policy that permits recovery only.
    let mut c = recoverable();
    c.request = c.ask(|r| r.policy = w("lost-device"));
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    assert_eq!(c.says(), "refuse: policy-denies");
    c.request = c.ask(|_| {});
    c.approve("lena", "legal");
    c.approve("dora", "dpo");
    assert_eq!(c.says(), "permit");
}

#[test]
fn what_a_policy_sees_of_a_recovery() {
    let under = |condition: &str| {
        let text =
            format!(r#"permit (principal, action == Escrow::Action::"recover", resource) when {{ {condition} }};"#);
        with_charter(move |c| c.policies[0].text = text)
    };
    let id = public("device of tablet").id();
    // Of what only grows a text may ask for a least value, and for nothing else.
    let approvals = |legal: u8, approvers: u8| {
        format!("context.approvals.legal >= {legal} && context.approvals.dpo >= 1 && context.approvers >= {approvers}")
    };
    let times = |age: i64| format!("context.device_age_seconds >= {age} && context.waited_seconds >= 86400");
    for (holds, fails) in
        [(approvals(1, 2), approvals(2, 2)), (approvals(1, 2), approvals(1, 3)), (times(DAY), times(2 * DAY))]
    {
        assert_eq!(under(&holds).says(), "permit", "{holds}");
        assert_ne!(under(&fails).says(), "permit", "{fails}");
    }
    let holds = [
        "context.earlier_denials == 0 && context.earlier_releases == 0 && !context.hold".to_owned(),
        "context.items == 2 && context.threads == 2 && context.other_devices == 1".to_owned(),
        format!(r#"principal == Escrow::Device::"{id}" && resource == Escrow::Organisation::"acme.example""#),
    ];
    for condition in holds {
        assert_eq!(under(&condition).says(), "permit", "{condition}");
        assert_ne!(under(&format!("!({condition})")).says(), "permit", "{condition}");
    }
    // A recovery that was vetoed, and one whose reply went out, count for the next.
    let mut l = under("context.earlier_denials == 1 && context.earlier_releases == 1");
    assert_eq!(l.says(), "refuse: policy-denies");
    for vetoed in [true, false] {
        let other = sign(&l.case.node.self_recovery("maria", "tablet", l.enrolment, &l.case.items), TABLET);
        let other = l.case.node.log(&other);
        if vetoed {
            let e = sign(&l.case.node.veto(other, by_device("maria")), MARIA);
            l.case.node.log(&e);
        } else {
            l.case.node.delivered(other);
        }
    }
    assert_eq!(l.says(), "permit");
    l.case.node.revoke("device of maria");
    assert_eq!(l.says(), "permit");
    let mut alone = under("context.other_devices == 0");
    assert_eq!(alone.says(), "refuse: policy-denies");
    alone.case.node.revoke("device of maria");
    assert_eq!(alone.says(), "permit");
}

#[test]
fn waiting_makes_the_device_older_in_what_is_lacking() {
    let text = r#"permit (principal, action == Escrow::Action::"recover", resource) when { context.device_age_seconds >= 172800 };"#;
    let l = with_charter(|c| c.policies[0].text = text.to_owned());
    let age_before = l.case.node.facts.seen(&l.recovery).unwrap().at.seconds_since(l.enrolled());
    let waited = l.case.node.now.seconds_since(l.case.node.facts.seen(&l.recovery).unwrap().at);
    assert_eq!(l.says(), format!("pending: waited_seconds {waited}/{}", 172_800 - age_before));
}

#[test]
fn only_the_device_that_recovers_calls_for_the_release() {
    let l = Lost::new().ready();
    let node = &l.case.node;
    let rows: &[(&str, Caller, &str, Option<Rule>)] = &[
        ("the tablet", by_device("tablet"), "device of tablet", None),
        ("her phone", by_device("maria"), "device of maria", Some(Rule::NotEntitled)),
        ("a requestor", by_person("ida"), "ida", Some(Rule::NotEntitled)),
        ("an approver", by_person("lena"), "lena", Some(Rule::NotEntitled)),
        ("a stranger", by_device("max"), "device of max", Some(Rule::NotEntitled)),
    ];
    for (name, by, key, rule) in rows {
        let e = sign(&node.call(l.recovery, by.clone()), &[key]);
        assert_eq!(refused(verify_call(&node.facts, &e, node.now)), *rule, "{name}");
        let what = escrow_core::query::Question::Evaluate(l.recovery);
        let e = sign(&node.query(by.clone(), what), &[key]);
        let may_ask = !name.contains("stranger");
        assert_eq!(verify_query(&node.facts, &e, node.now).is_ok(), may_ask, "{name} asks how it stands");
    }
}

// ---- The filter team ------------------------------------------------------------------------

/// A case with fay and finn as filter team, of whom fay has other offices besides.
fn filtering(items: impl Fn(&mut About)) -> Case {
    Case::of(
        |c| {
            for (id, roles) in [("fay", &["filter-team", "requestor", "legal"][..]), ("finn", &["filter-team"][..])] {
                let mut p = person(id, roles);
                p.sealing = Some(sealing(id));
                c.people.push(p);
            }
        },
        items,
        |_| {},
    )
}

fn to_person(id: &str) -> Recipient {
    Recipient::Person(RecipientPerson { id: w(id), sealing: sealing(id).digest() })
}

/// A request to fay as the filter team, approved by leo and dora.
fn filtered(mut c: Case, change: impl FnOnce(&mut Request)) -> Case {
    c.request = c.ask(|r| {
        r.recipient = to_filter("fay");
        change(r);
    });
    approve(c)
}

fn approve(mut c: Case) -> Case {
    for (who, role) in [("leo", "legal"), ("dora", "dpo")] {
        c.approve(who, role);
    }
    c
}

fn plain() -> Case {
    filtering(|_| {})
}

/// fay signs for the matter.
fn matter_by_fay(mut c: Case) -> Case {
    let close = c.node.matter_act(Close, Some(c.opening));
    c.node.log(&close);
    let mut m = c.node.matter(Reopen, Some(close.digest()));
    m.by = w("fay");
    let e = sign(&m, &["fay"]);
    c.node.log(&e);
    c
}

#[test]
fn the_filter_team_is_nowhere_else_on_the_case() {
    let elsewhere = |c: &mut Case, change: &dyn Fn(&mut Request)| c.ask(|r| change(r));
    let rows: Vec<(&str, Case, &str)> = vec![
        ("the plain case", filtered(plain(), |_| {}), "permit"),
        ("without the role", filtered(plain(), |r| r.recipient = to_filter("otto")), "refuse: not-entitled"),
        ("nobody of the charter", filtered(plain(), |r| r.recipient = to_filter("zoe")), "refuse: recipient-key"),
        (
            "with another key",
            filtered(plain(), |r| {
                r.recipient = Recipient::FilterTeam(RecipientPerson { id: w("fay"), sealing: sealing("finn").digest() })
            }),
            "refuse: recipient-key",
        ),
        ("as its own requestor", filtered(plain(), |r| r.by = w("fay")), "refuse: filter-team-on-case"),
        (
            "requestor of another request",
            {
                let mut c = plain();
                elsewhere(&mut c, &|r| r.by = w("fay"));
                filtered(c, |_| {})
            },
            "refuse: filter-team-on-case",
        ),
        (
            "requestor in another matter",
            {
                let mut c = plain();
                elsewhere(&mut c, &|r| (r.by, r.matter) = (w("fay"), w("MAT-2")));
                filtered(c, |_| {})
            },
            "permit",
        ),
        (
            "recipient of another request",
            {
                let mut c = plain();
                elsewhere(&mut c, &|r| r.recipient = to_person("fay"));
                filtered(c, |_| {})
            },
            "permit",
        ),
        (
            "recipient of another request that two have approved",
            {
                let mut c = plain();
                c.request = elsewhere(&mut c, &|r| r.recipient = to_person("fay"));
                filtered(approve(c), |_| {})
            },
            "refuse: filter-team-on-case",
        ),
        (
            "whose device receives elsewhere",
            {
                let mut c = plain();
                let enrolment = c.node.enrol(&["fay"]);
                let name = device("fay");
                let d = RecipientDevice { enrolment, key: public(&name), sealing: sealing(&name).digest() };
                c.request = elsewhere(&mut c, &move |r| r.recipient = Recipient::Device(d.clone()));
                filtered(approve(c), |_| {})
            },
            "refuse: filter-team-on-case",
        ),
        (
            "filter team of another request",
            {
                let mut c = plain();
                elsewhere(&mut c, &|r| r.recipient = to_filter("fay"));
                filtered(c, |_| {})
            },
            "permit",
        ),
        (
            "approver of another request",
            {
                let mut c = plain();
                c.approve("fay", "legal");
                filtered(c, |_| {})
            },
            "refuse: filter-team-on-case",
        ),
        (
            "who denied another request",
            {
                let mut c = plain();
                c.decide("fay", "legal", Deny);
                filtered(c, |_| {})
            },
            "refuse: filter-team-on-case",
        ),
        (
            "who stepped back from another request",
            {
                let mut c = plain();
                c.decide("fay", "legal", Recuse);
                filtered(c, |_| {})
            },
            "permit",
        ),
        ("who signed for the matter", filtered(matter_by_fay(plain()), |_| {}), "refuse: filter-team-on-case"),
        (
            "whose own messages are in scope",
            filtered(filtering(|a| a.participants = participants(&[("maria", true), ("fay", true)])), |_| {}),
            "refuse: recipient-in-scope",
        ),
    ];
    for (name, c, expected) in rows {
        assert_eq!(c.says(), expected, "the filter team {name}");
    }
    let context = filtered(plain(), |_| {}).evaluate().context.unwrap();
    assert!(String::from_utf8(context).unwrap().contains(r#""recipient":"filter-team","#));
}

#[test]
fn an_approval_of_the_filter_team_that_came_first_shuts_it_out() {
    // At this node the decision comes before the request, so nobody was told at once.
    let mut c = plain();
    let mut r = c.node.request(&c.items);
    r.recipient = to_filter("fay");
    let e = sign(&r, &["ida"]);
    let d = c.node.decide(e.digest(), "fay", "legal", Approve);
    c.node.log(&d);
    c.request = c.node.log(&e);
    assert_eq!(approve(c).says(), "refuse: filter-team-on-case");
}

#[test]
fn whoever_has_filtered_has_no_other_part_afterwards() {
    let mut c = plain();
    let (plain_one, filter) = (c.request, c.ask(|r| r.recipient = to_filter("fay")));
    // The request alone binds nobody, be it cancelled or not.
    let e = c.node.decide(plain_one, "fay", "legal", Approve);
    assert_eq!(refused(c.clone().node.fold(&e)), None);
    let mut cancelled = c.clone();
    let by_ida = cancelled.node.cancellation(filter, "ida");
    cancelled.node.log(&by_ida);
    assert_eq!(refused(cancelled.node.fold(&e)), None);
    // Approved by two it may be released by nodes that this one does not hear of.
    c.request = filter;
    c.approve("leo", "legal");
    assert_eq!(refused(c.clone().node.fold(&e)), None);
    c.approve("dora", "dpo");
    assert_eq!(refused(c.clone().node.fold(&e)), Some(Rule::FilterTeamOnCase));
    c.node.delivered(c.request);
    assert_eq!(refused(c.node.fold(&e)), Some(Rule::FilterTeamOnCase), "told at once");
    assert_eq!(c.says(), "permit", "the same release again");
    let again = filtered(c.clone(), |_| {});
    assert_eq!(again.says(), "permit", "the same person twice");
    let another = filtered(c.clone(), |r| r.recipient = to_filter("finn"));
    assert_eq!(another.says(), "permit", "another person besides");
    for (name, change) in [
        ("as requestor", (|r: &mut Request| r.by = w("fay")) as fn(&mut Request)),
        ("as recipient", |r| r.recipient = to_person("fay")),
        ("as requestor for another filter", |r| (r.by, r.recipient) = (w("fay"), to_filter("finn"))),
    ] {
        assert_eq!(filtered(c.clone(), change).says(), "refuse: filter-team-on-case", "{name}");
    }
    // In another matter it binds as far as the items are the same.
    let mut m = c.node.matter(Open, None);
    m.matter = w("MAT-2");
    let e = sign(&m, &["ida"]);
    c.node.log(&e);
    let elsewhere = |c: &Case| {
        let to_otto = Recipient::clone(&to_person("otto"));
        filtered(c.clone(), |r| (r.by, r.matter, r.recipient) = (w("fay"), w("MAT-2"), to_otto)).says()
    };
    assert_eq!(elsewhere(&c), "refuse: filter-team-on-case");
    let mut others = c.clone();
    others.items = others.node.deposit_items("maria", c.consent, &[about("t1")]);
    assert_eq!(elsewhere(&others), "permit");
    others.items = sorted([others.items, c.items[..1].to_vec()].concat());
    assert_eq!(elsewhere(&others), "refuse: filter-team-on-case");

    // An approval that was there before the reply went out counts no more.
    let mut c = plain();
    c.approve("fay", "legal");
    c.approve("dora", "dpo");
    assert_eq!(c.says(), "permit");
    let filter = c.ask(|r| r.recipient = to_filter("fay"));
    c.node.delivered(filter);
    assert_eq!(c.says(), "pending: approvals.legal 0/1, approvers 1/2");
}

// ---- Limits of 30 days ----------------------------------------------------------------------

#[test]
fn requests_of_one_person_are_counted_over_30_days() {
    let mut c = Case::with(|c| c.limits.requests_per_requestor_month = 3);
    let first = c.node.facts.seen(&c.request).unwrap().at;
    let ask = |c: &Case, by: &str| {
        let mut r = c.node.request(&c.items);
        r.by = w(by);
        sign(&r, &[by])
    };
    for _ in 0..2 {
        let e = ask(&c, "ida");
        c.node.log(&e);
    }
    let refused_now = |c: &mut Case, by: &str| {
        let e = ask(c, by);
        refused(c.node.clone().fold(&e))
    };
    assert_eq!(refused_now(&mut c, "ida"), Some(Rule::RequestorLimits));
    assert_eq!(refused_now(&mut c, "ivan"), None, "another requestor");
    // One second less than 30 days after the first one was logged, and then to the second.
    c.node.now = first.plus_seconds(30 * DAY - 2);
    assert_eq!(refused_now(&mut c, "ida"), Some(Rule::RequestorLimits));
    c.node.now = first.plus_seconds(30 * DAY - 1);
    assert_eq!(refused_now(&mut c, "ida"), None);
    let e = ask(&c, "ida");
    c.node.log(&e);
    assert_eq!(c.node.now, first.plus_seconds(30 * DAY));
}

#[test]
fn items_of_one_person_are_counted_over_30_days() {
    // Two items in the first request; two more fit, a fifth does not.
    let mut c = Case::with(|c| c.limits.items_per_requestor_month = 4);
    let first = c.node.facts.seen(&c.request).unwrap().at;
    let one = |c: &Case| {
        let mut r = c.node.request(&c.items[..1]);
        r.by = w("ida");
        sign(&r, &["ida"])
    };
    let two = |c: &Case| sign(&c.node.request(&c.items), &["ida"]);
    let mut exact = c.clone();
    let e = two(&exact);
    exact.node.log(&e);
    let e = one(&c);
    c.node.log(&e);
    let e = two(&c);
    assert_eq!(refused(c.node.fold(&e)), Some(Rule::RequestorLimits));
    let e = one(&c);
    c.node.log(&e);
    let e = one(&c);
    assert_eq!(refused(c.node.fold(&e)), Some(Rule::RequestorLimits));
    let mut others = c.node.request(&c.items);
    others.by = w("ivan");
    let others = sign(&others, &["ivan"]);
    assert_eq!(refused(c.node.clone().fold(&others)), None, "another requestor");
    c.node.now = first.plus_seconds(30 * DAY - 1);
    let e = two(&c);
    c.node.log(&e);
    // A refused one is not counted, and the same one is not counted twice.
    assert_eq!(refused(c.node.fold(&e)), Some(Rule::Malformed));
}

#[test]
fn recoveries_are_counted_for_their_device_and_not_for_requestors() {
    let mut c = Case::with(|c| c.limits.requests_per_requestor_month = 1);
    assert_eq!(c.node.facts.requests().count(), 1, "ida has asked once");
    let ask = |c: &Case, who: &str| sign(&c.node.self_recovery(who, who, c.enrolment, &c.items), &[&device(who)]);
    let e = ask(&c, "maria");
    c.node.log(&e);
    let e = ask(&c, "maria");
    assert_eq!(refused(c.node.fold(&e)), Some(Rule::RequestorLimits));
    let e = ask(&c, "max");
    c.node.log(&e);
    // A second device of hers is not kept from asking by the first.
    let tablet = sign(&c.node.further_device("maria", "tablet"), REGISTRARS);
    let tablet = c.node.log(&tablet);
    let again = || sign(&c.node.self_recovery("maria", "tablet", tablet, &c.items), TABLET);
    let (first, second) = (again(), again());
    c.node.log(&first);
    assert_eq!(refused(c.node.fold(&second)), Some(Rule::RequestorLimits));
}

/// What an organisation does about a subject under delayed notice, no device of theirs learns from a recovery.
#[test]
fn a_recovery_sees_nothing_of_requests() {
    let mut l = Lost::new().ready();
    let context = |l: &Lost| l.case.node.evaluate(&l.recovery).context;
    let (before, now) = (context(&l), l.case.node.now);
    let denied = l.case.ask(|_| {});
    let e = l.case.node.decide(denied, "sue", "security", Deny);
    l.case.node.log(&e);
    l.case.node.delivered(l.case.request);
    l.case.node.now = now;
    assert_eq!(context(&l), before);
    // Another recovery counts for it.
    let other = sign(&l.case.node.self_recovery("maria", "tablet", l.enrolment, &l.case.items), TABLET);
    let other = l.case.node.log(&other);
    l.case.node.delivered(other);
    l.case.node.now = now;
    assert_ne!(context(&l), before);
}

#[test]
fn an_enrolment_that_begins_later_does_not_age_before() {
    let mut case = recoverable();
    let mut e = case.node.further_device("maria", "tablet");
    e.from = case.node.now.plus_seconds(5 * DAY);
    let from = e.from;
    let e = sign(&e, REGISTRARS);
    let enrolment = case.node.log(&e);
    // Nobody overlooks it until then.
    assert_eq!(case.node.facts.other_devices(&subject("maria"), &public("device of maria"), case.node.now), 1);
    case.node.now = from;
    let mut l = Lost::asking(case, enrolment, |_, _| {}).approve("lena", "legal").approve("dora", "dpo");
    l.case.node.now = from.plus_seconds(DAY - 1);
    assert_eq!(l.says(), "refuse: recovery-delay");
    l.case.node.now = from.plus_seconds(DAY);
    assert_eq!(l.says(), "permit");
}

// ---- Requests that are only tried out -------------------------------------------------------

#[test]
fn a_preview_says_what_the_gate_says_once_the_request_is_logged() {
    let annotated = STANDARD.replace("permit", "@recipient_is_requestor(\"allowed\")\npermit");
    let lenient = |c: &mut Charter| {
        c.policies[0].text = annotated.clone();
        for id in ["ida", "ivan"] {
            of(c, id).roles.push(w("filter-team"));
            of(c, id).sealing = Some(sealing(id));
        }
    };
    let rows: Vec<(&str, Case, Box<dyn Fn(&mut Request)>)> = vec![
        ("plain", Case::approved(), Box::new(|_| {})),
        ("by another requestor", Case::new(), Box::new(|r| r.by = w("ivan"))),
        ("by somebody without the office", Case::new(), Box::new(|r| r.by = w("leo"))),
        ("expired", Case::new(), Box::new(|r| r.expires = r.created.plus_seconds(1))),
        ("too long", Case::new(), Box::new(|r| r.expires = r.created.plus_seconds(15 * DAY))),
        ("from the future", Case::new(), Box::new(|r| r.created = r.created.plus_seconds(400))),
        (
            "delayed too long",
            Case::new(),
            Box::new(|r| {
                r.notice = Notice::Delayed(DelayedNotice { order: w("O-1"), until: r.created.plus_seconds(91 * DAY) })
            }),
        ),
        ("one too many in 30 days", Case::with(|c| c.limits.requests_per_requestor_month = 1), Box::new(|_| {})),
        ("too many items in 30 days", Case::with(|c| c.limits.items_per_requestor_month = 3), Box::new(|_| {})),
        ("in a matter that nobody knows", Case::new(), Box::new(|r| r.matter = w("MAT-2"))),
        ("outside the items' time", Case::new(), Box::new(|r| r.scope.to = days(-10))),
        ("for a purpose that was not agreed", Case::new(), Box::new(|r| r.purpose = w("curiosity"))),
        ("under a policy that was not agreed", Case::new(), Box::new(|r| r.policy = w("lenient"))),
        ("to a person without the role", Case::new(), Box::new(|r| r.recipient = to_filter("otto"))),
        ("to the requestor", Case::with(lenient), Box::new(|r| r.recipient = to_person("ida"))),
        ("to the requestor, not allowed", Case::new(), Box::new(|r| r.recipient = to_person("ida"))),
        (
            "to the requestor as filter team",
            Case::with(lenient),
            Box::new(|r| (r.by, r.recipient) = (w("ivan"), to_filter("ivan"))),
        ),
        ("to another filter team", Case::with(lenient), Box::new(|r| r.recipient = to_filter("ivan"))),
        (
            "for what was denied before",
            {
                let mut c = Case::new();
                c.decide("sue", "security", Deny);
                c
            },
            Box::new(|_| {}),
        ),
    ];
    for (name, mut c, change) in rows {
        let mut r = c.node.request(&c.items);
        change(&mut r);
        let by = r.by.to_string();
        let before = format!("{:?}", c.node.facts);
        let tried = gate::preview(&c.node.facts, &r, &public(&by), c.node.now.plus_seconds(1));
        assert_eq!(format!("{:?}", c.node.facts), before, "{name}: nothing is decided");
        match c.node.fold(&sign(&r, &[&by])) {
            Ok(()) => {
                let digest = sign(&r, &[&by]).digest();
                assert_eq!(tried, c.node.evaluate(&digest), "{name}");
            }
            Err(refusal) => assert_eq!(says(&tried), format!("refuse: {}", refusal.rule), "{name}"),
        }
    }
}

// ---- Restrictions: pages, repeats, too many ahead of time -----------------------------------

#[test]
fn restrictions_come_in_pages_by_log_position() {
    let mut c = Case::new();
    let mut logged = vec![];
    for n in 0..7u8 {
        let e = sign(&c.node.withdrawal(Digest::of(&[n]), "maria"), MARIA);
        logged.push((c.node.facts.size(), c.node.log(&e)));
        // Some stand next to each other, some do not.
        if n % 3 == 0 {
            let e = c.node.decide(c.request, "lena", "legal", Approve);
            c.node.log(&e);
        }
    }
    let facts = &c.node.facts;
    for most in 1..=8 {
        for start in 0..=facts.size() + 3 {
            let mut after = start;
            let mut all = vec![];
            loop {
                let (page, upto, complete) = facts.restrictions_since(after, most);
                assert!(page.len() <= most && upto >= after, "{most} from {start}");
                assert!(complete || upto > after, "{most} from {start}: no way on");
                all.extend(page);
                after = upto;
                if complete {
                    break;
                }
            }
            let expected: Vec<Digest> = logged.iter().filter(|(seq, _)| *seq >= start).map(|(_, d)| *d).collect();
            assert_eq!(all, expected, "pages of {most} from {start}");
            assert_eq!(after, facts.size().max(start));
        }
    }
}

#[test]
fn what_bears_on_a_request_or_a_recovery() {
    let mut l = Lost::new().ready();
    let strangers = l.case.node.revoke("sam");
    let veto = veto_by_device(&l, "maria");
    let denial = l.case.node.decide(l.recovery, "sue", "security", Deny);
    let approval = l.case.node.decide(l.recovery, "leo", "legal", Approve);
    let cancellation = l.case.node.cancellation(l.recovery, "ivan");
    let withdrawal = sign(&l.case.node.withdrawal(l.case.consent, "maria"), MARIA);
    let close = l.case.node.matter_act(Close, Some(l.case.opening));
    for e in [&veto, &denial, &approval, &cancellation, &withdrawal, &close] {
        l.case.node.log(e);
    }
    let facts = &l.case.node.facts;
    let on = |request: &Digest, matter: Option<&str>, consents: &[Digest]| {
        let (matter, consents) = (matter.map(w), consents.iter().copied().collect());
        facts.restrictions_on(request, &Concerns { matter, consents, ..Concerns::default() })
    };
    let of = |list: &[&Envelope]| sorted(list.iter().map(|e| e.digest()).collect());
    // A recovery has no matter and no requestor.
    assert_eq!(on(&l.recovery, None, &[]), of(&[&veto, &denial, &withdrawal]));
    assert_eq!(on(&l.case.request, None, &[]), of(&[&withdrawal, &close]));
    // A node that never heard of it answers for what is named besides.
    let unknown = Digest::of(b"x");
    assert_eq!(on(&unknown, None, &[]), of(&[]));
    assert_eq!(on(&unknown, Some("MAT-1"), &[]), of(&[&close]));
    assert_eq!(on(&unknown, Some("MAT-2"), &[]), of(&[]));
    assert_eq!(on(&unknown, None, &[l.case.consent]), of(&[&withdrawal]));
    assert_eq!(on(&unknown, None, &[Digest::of(b"another consent")]), of(&[]));
    // The revocations of the keys that are asked about, and of no others.
    let keys = |names: &[&str]| Concerns {
        revocable: names.iter().map(|n| Revoked::Key(public(n))).collect(),
        ..Concerns::default()
    };
    assert_eq!(facts.restrictions_on(&unknown, &keys(&["lena", "sam"])), [strangers]);
    assert_eq!(facts.restrictions_on(&unknown, &keys(&["lena"])), []);
    // Of a consent that is unknown, everybody's withdrawal may be the one.
    let of_max = sign(&l.case.node.withdrawal(unknown, "max"), &["device of max"]);
    let subjects = sign(&l.case.node.withdrawal(unknown, "maria"), MARIA);
    l.case.node.log(&of_max);
    l.case.node.log(&subjects);
    let besides = Concerns { consents: [unknown].into(), ..Concerns::default() };
    let named = l.case.node.facts.restrictions_on(&Digest::of(b"y"), &besides);
    assert_eq!(named, of(&[&of_max, &subjects]));
}

#[test]
fn a_repeat_of_a_restriction_says_nothing_new() {
    let l = Lost::new().ready();
    let node = &l.case.node;
    let request = l.case.request;
    let revoked = || sign(&node.revocation(Revoked::Key(public("sam"))), REGISTRARS);
    let decide = |by: &str, role: &str, choice| node.decide(request, by, role, choice);
    let withdraw = |keys: &[&str]| sign(&node.withdrawal(l.case.consent, "maria"), keys);
    // Each, and whether it is named.
    let acts: Vec<(Envelope, bool)> = vec![
        (decide("lena", "legal", Recuse), true),
        (decide("lena", "legal", Recuse), false),
        (decide("lena", "legal", Deny), true),
        (decide("lena", "legal", Deny), false),
        (decide("lena", "legal", Recuse), false),
        (decide("leo", "legal", Deny), true),
        (veto_by_device(&l, "maria"), true),
        (veto_by_device(&l, "maria"), false),
        (veto_by_device(&l, "tablet"), true),
        (veto_by_person(&l, "sara"), true),
        (veto_by_person(&l, "sara"), false),
        (node.cancellation(request, "ida"), true),
        (node.cancellation(request, "ida"), false),
        (withdraw(MARIA), true),
        (withdraw(MARIA), false),
        // On the office's word it is another: it would end also what the device's cannot.
        (withdraw(&["sara"]), true),
        (withdraw(&["sara"]), false),
        (revoked(), true),
        (revoked(), false),
        // A closing counts until a statement follows that very one, so each is one of its own.
        (node.matter_act(Close, Some(l.case.opening)), true),
        (node.matter_act(Close, Some(l.case.opening)), true),
    ];
    let mut l = l.clone();
    for (e, _) in &acts {
        l.case.node.log(e);
    }
    let named: Vec<Digest> = acts.iter().filter(|(_, named)| *named).map(|(e, _)| e.digest()).collect();
    assert_eq!(l.case.node.facts.restrictions().collect::<Vec<_>>(), named);
    // Everything that is answered about the two is among them.
    for request in [l.case.request, l.recovery] {
        let on = l.case.node.restrictions_on(&request);
        assert!(on.iter().all(|d| named.contains(d)));
    }
}

#[test]
fn withdrawals_of_unknown_consents_are_capped_for_each_key() {
    let mut c = Case::new();
    let early = |c: &Case, n: usize, who: &str, keys: &[&str]| {
        sign(&c.node.withdrawal(Digest::of(&n.to_be_bytes()), who), keys)
    };
    for n in 0..EARLY_WITHDRAWALS_MAX {
        let e = early(&c, n, "maria", MARIA);
        c.node.log(&e);
    }
    let e = early(&c, EARLY_WITHDRAWALS_MAX, "maria", MARIA);
    assert_eq!(refused(c.node.clone().fold(&e)), Some(Rule::EarlyWithdrawals));
    let e = early(&c, EARLY_WITHDRAWALS_MAX, "maria", &["sara"]);
    assert_eq!(refused(c.node.clone().fold(&e)), None, "the same subject by another key");
    let e = early(&c, 0, "max", &["device of max"]);
    assert_eq!(refused(c.node.clone().fold(&e)), None, "another subject");
    let e = early(&c, 0, "maria", MARIA);
    assert_eq!(refused(c.node.clone().fold(&e)), Some(Rule::EarlyWithdrawals), "also what would say nothing new");
    // A consent that is known is withdrawn as ever.
    assert_eq!(approve(c.clone()).says(), "permit");
    let e = sign(&c.node.withdrawal(c.consent, "maria"), MARIA);
    c.node.log(&e);
    assert_eq!(c.says(), "refuse: consent-withdrawn");
    // Once its consent is known, a withdrawal that came first still ends it.
    let mut c = Case::new();
    let consent = sign(&c.node.consent("maria"), MARIA);
    let e = sign(&c.node.withdrawal(consent.digest(), "maria"), MARIA);
    c.node.log(&e);
    c.node.log(&consent);
    assert!(c.node.facts.withdrawal(&consent.digest()).is_some());
}
