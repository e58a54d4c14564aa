//! Whatever order decisions and restrictions arrive in, every node comes to the same answer; and
//! that answer is the one that a few lines below say it must be.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::type_complexity)]

mod common;

use common::*;
use escrow_core::decision::Choice::{self, Approve, Deny, Recuse};
use escrow_core::enrolment::Revoked;
use escrow_core::matter::MatterAction::Close;
use escrow_core::{Digest, Envelope};
use escrow_policy::Rule;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Something that happens to the request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    /// Somebody decides in an office.
    Decide(&'static str, &'static str, Choice),
    /// The requestor's cancellation, or another requestor's, which counts for nothing.
    Cancel(&'static str),
    /// The matter is closed.
    Close,
    /// The subject's withdrawal, or another subject's, which counts for nothing.
    Withdraw(&'static str),
    /// sue's key is revoked. She only ever approves: see `statement`.
    Revoke,
}

/// Who may decide in what. Ann holds two offices and may use both.
const OFFICES: &[(&str, &str)] =
    &[("lena", "legal"), ("leo", "legal"), ("dora", "dpo"), ("sam", "security"), ("ann", "legal"), ("ann", "dpo")];

fn act() -> impl Strategy<Value = Act> {
    let choice = prop_oneof![6 => Just(Approve), 1 => Just(Recuse), 1 => Just(Deny)];
    let decide = (prop::sample::select(OFFICES), choice).prop_map(|((who, role), c)| Act::Decide(who, role, c));
    prop_oneof![
        24 => decide,
        3 => Just(Act::Decide("sue", "security", Approve)),
        1 => prop::sample::select(&["ida", "ivan", "ivan", "ivan"]).prop_map(Act::Cancel),
        1 => Just(Act::Close),
        1 => prop::sample::select(&["maria", "max", "max", "max"]).prop_map(Act::Withdraw),
        2 => Just(Act::Revoke),
    ]
}

/// A node that knows the items and the matter; the request itself is one of the things that arrive.
fn case() -> Case {
    static CASE: LazyLock<Case> = LazyLock::new(|| {
        let ann = person("ann", &["legal", "dpo"]);
        let seen = Case::with(|c| c.people.push(ann));
        let mut bare = Case { node: Node::new(&seen.genesis), ..seen.clone() };
        let (request, before) = seen.node.history.split_last().unwrap();
        assert_eq!(request.digest(), seen.request);
        for e in before {
            bare.node.log(e);
        }
        bare.node.history = seen.node.history;
        bare
    });
    CASE.clone()
}

/// The statement of an act. Each is signed one second after the last, so that it has its own time.
fn statement(c: &mut Case, act: Act) -> Envelope {
    c.node.wait(1);
    let n = &c.node;
    match act {
        Act::Decide(who, role, choice) => n.decide(c.request, who, role, choice),
        Act::Cancel(who) => n.cancellation(c.request, who),
        Act::Close => n.matter_act(Close, Some(c.opening)),
        Act::Withdraw(who) => sign(&n.withdrawal(c.consent, who), &[&device(who)]),
        Act::Revoke => sign(&n.revocation(Revoked::Key(public("sue"))), &["rita", "rolf"]),
    }
}

/// What the gate must say: restrictions in the order in which the floor names them, else the
/// people who count and their offices.
fn expected(acts: &[Act]) -> String {
    let any = |a: Act| acts.contains(&a);
    if any(Act::Cancel("ida")) {
        return "refuse: request-cancelled".into();
    }
    if acts.iter().any(|a| matches!(a, Act::Decide(_, _, Deny))) {
        return "refuse: denied".into();
    }
    if any(Act::Close) {
        return "refuse: matter-closed".into();
    }
    if any(Act::Withdraw("maria")) {
        return "refuse: consent-withdrawn".into();
    }
    let mut recused = vec![];
    let mut offices: BTreeMap<&str, &str> = BTreeMap::new();
    for a in acts {
        match a {
            Act::Decide(who, _, Recuse) => recused.push(*who),
            Act::Decide("sue", ..) if any(Act::Revoke) => {}
            Act::Decide(who, role, _) => drop(offices.entry(who).or_insert(role)),
            _ => {}
        }
    }
    offices.retain(|who, _| !recused.contains(who));
    let have = |role: &str| offices.values().filter(|r| **r == role).count();
    let can = |who: &[&str]| who.iter().any(|p| !recused.contains(p));
    let missing = [("dpo", can(&["dora", "ann"])), ("legal", can(&["lena", "leo", "ann"]))];
    let missing = missing.iter().filter(|(role, _)| have(role) == 0);
    if missing.clone().any(|(_, can)| !can) {
        return "refuse: policy-denies".into();
    }
    let mut lacking: Vec<String> = missing.map(|(role, _)| format!("approvals.{role} 0/1")).collect();
    if offices.len() < 2 {
        lacking.push(format!("approvers {}/2", offices.len()));
    }
    if lacking.is_empty() { "permit".into() } else { format!("pending: {}", lacking.join(", ")) }
}

/// Folds in this order and gives the answer and the decisions counted.
fn outcome(statements: &[&Envelope]) -> (String, Vec<Digest>) {
    let mut c = case();
    for e in statements {
        // Refused at the door: an approval by a revoked key, another requestor's cancellation,
        // another subject's withdrawal. Everything else must be taken.
        if let Err(r) = c.node.fold(e) {
            assert!(matches!(r.rule, Rule::KeyRevoked | Rule::NotEntitled | Rule::WrongSigner), "{r}");
        }
    }
    c.node.now = t0().plus_seconds(3_600);
    let e = c.evaluate();
    (says(&e), e.decisions)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_answer_does_not_depend_on_the_order(
        acts in prop::collection::vec(act(), 0..10),
        keys in prop::collection::vec((any::<u16>(), any::<u16>()), 11),
    ) {
        let mut author = case();
        let request = author.node.history.last().unwrap().clone();
        let mut statements = vec![request];
        for a in &acts {
            let e = statement(&mut author, *a);
            statements.push(e);
        }
        let shuffled = |by: &dyn Fn(&(u16, u16)) -> u16| {
            let mut list: Vec<(u16, &Envelope)> = keys.iter().map(by).zip(&statements).collect();
            list.sort_by_key(|(k, _)| *k);
            list.into_iter().map(|(_, e)| e).collect::<Vec<_>>()
        };
        let as_signed = outcome(&statements.iter().collect::<Vec<_>>());
        prop_assert_eq!(&as_signed.0, &expected(&acts), "{:?}", &acts);
        prop_assert_eq!(&outcome(&shuffled(&|k| k.0)), &as_signed);
        prop_assert_eq!(&outcome(&shuffled(&|k| k.1)), &as_signed);
    }
}
