//! A bundle without content: what of the form of a log is still judged.

use crate::acts::before_context;
use crate::common::forge::expect;
use crate::common::moved::{Lies, THREE, moved, released};
use crate::common::{Cluster, seat_index};
use crate::lineage::{backup, continued, nothing, of, ready, renewed, successor};
use crate::release::raw;
use escrow_audit::bundle::Variant;
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{Chain, StatementRef};
use escrow_audit::finding::{Class, Report};
use escrow_audit::note::NoteSigner;
use escrow_audit::tree::{EMPTY_ROOT, Tree};
use escrow_audit::verify::verify;
use escrow_core::verdict::Verdict;
use escrow_core::{Digest, Envelope, Kind, Nonce, SigningKey};
use escrow_policy::{Event, Facts, Rule};

fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

fn judged(c: &Cluster) -> Report {
    verify(&c.bundle_as(Variant::NoContent, &[0, 1, 2], |_, _| true), &c.statements[0].digest())
}

/// Asserts that exactly these acts are in disorder; that content is missing is always said.
fn breaks(c: &Cluster, broken: &[&str]) -> Report {
    let report = judged(c);
    let verdict = if broken.is_empty() { Class::Incomplete } else { Class::Violation };
    expect(&report, verdict, &[broken, &["no-content"]].concat());
    report
}

#[test]
fn a_later_log_is_judged_from_what_it_goes_on_from() {
    // The old log is there up to the cut, or whole.
    for whole in [false, true] {
        let mut m = released(moved(&Lies::default()));
        if whole {
            m.c.nodes[THREE].closed = vec![m.whole.clone()];
        }
        breaks(&m.c, &[]);
    }
    // Nothing of it was kept, and it is there: the next log has its own genesis entry.
    let mut c = settled();
    renewed(&mut c, nothing(), |t| {
        (t.first, t.shown) = (continued("acme/3/log", 0, Digest(EMPTY_ROOT)), Some(t.head));
    });
    c.settle();
    let report = breaks(&c, &[]);
    assert_eq!(of(&report, "log-lost").len(), 1, "{:#?}", report.findings);
}

#[test]
fn a_later_log_says_what_it_goes_on_from_in_its_first_entry_only() {
    let mut m = released(moved(&Lies::default()));
    let tree = &m.c.nodes[THREE].tree;
    let (size, root) = (tree.size(), Digest(tree.root()));
    m.c.log(THREE, &continued("acme/3/log/2", size, root), None);
    let report = breaks(&m.c, &["continued"]);
    assert_eq!(of(&report, "continued")[0].entry, Some(size));
}

#[test]
fn what_a_log_says_is_weighed_to_its_last_entry() {
    let mut c = settled();
    let (origin, size) = (c.nodes[0].chain.origin().to_owned(), c.nodes[0].tree.size());
    let last = c.log(2, &Event::Cosigned { origin, size, root: Digest([7; 32]) }, None);
    let report = judged(&c);
    expect(&report, Class::Incomplete, &["cosigned-elsewhere", "no-content"]);
    assert_eq!(of(&report, "cosigned-elsewhere")[0].entry, Some(last));
}

#[test]
fn a_genesis_entry_is_of_its_own_seat_and_charter() {
    for (seat, right, broken) in [(3, true, &[][..]), (2, true, &["genesis"]), (3, false, &["genesis"])] {
        let mut c = Cluster::new();
        let charter = if right { c.statements[0].clone() } else { successor(&c, |_| {}) };
        let node = &mut c.nodes[THREE];
        (node.facts, node.entries, node.tree) = (Facts::new(), vec![], Tree::new());
        node.chain = Chain::new("acme/3/log");
        c.log(THREE, &Event::Genesis { seat: seat_index(seat) }, Some(&charter));
        c.settle();
        let report = judged(&c);
        let verdict = if broken.is_empty() { Class::Incomplete } else { Class::Violation };
        expect(&report, verdict, &[broken, &["no-content"]].concat());
    }
}

#[test]
fn acts_are_counted_and_a_clock_that_moves_moves() {
    let mut c = settled();
    let (request, permit) = (c.request_digest(), c.verdict(1, |_| {}));
    let reason = "peers-missing".parse().unwrap();
    let (call, answer) = (c.call(), c.answer(1, 0));
    let authorized = c.authorise(0, &call, &[&permit], &[&answer]);
    c.log(0, &Event::Aborted { authorized, request, reason }, None);
    c.log(2, &Event::Clock { by_ms: 1 }, None);
    c.settle();
    let counts = breaks(&c, &[]).counts;
    assert_eq!((counts.authorized, counts.delivered, counts.aborted), (3, 2, 1));
    assert_eq!(counts.verdicts["permit"], 4, "{:?}", counts.verdicts);
    c.log(2, &Event::Clock { by_ms: 0 }, None);
    breaks(&c, &["clock"]);
}

#[test]
fn a_node_that_is_ready_has_ended_every_release_and_asked_enough_peers() {
    let mut c = settled();
    ready(&mut c, 0);
    breaks(&c, &[]);

    let (permit, call, answer) = (c.verdict(1, |_| {}), c.call(), c.answer(1, 0));
    let authorized = c.authorise(0, &call, &[&permit], &[&answer]);
    c.settle();
    breaks(&c, &[]);
    ready(&mut c, 0);
    c.settle();
    let report = breaks(&c, &["authorization-open"]);
    let found = of(&report, "authorization-open");
    assert!(found.len() == 1 && found[0].detail.ends_with(&format!("entry {authorized}")), "{found:?}");

    let mut c = settled();
    c.log(0, &Event::Ready { peers: vec![] }, None);
    breaks(&c, &["ready-quorum"]);
}

#[test]
fn a_verdict_is_its_logs_seats_own_under_the_charter_in_force() {
    type Make<'m> = &'m dyn Fn(&Cluster, &mut Verdict) -> usize;
    let cases: [(Make<'_>, &[&str]); 4] = [
        (&|_, _| 0, &[]),
        (&|_, _| 1, &["wrong-signer"]),
        (
            &|_, v| {
                v.seat = seat_index(2);
                0
            },
            &["wrong-signer"],
        ),
        (
            &|c, v| {
                v.charter = c.request_digest();
                0
            },
            &["verdict-charter"],
        ),
    ];
    for (make, broken) in cases {
        let mut c = settled();
        let mut verdict: Verdict = c.verdict(0, |_| {}).decode().unwrap();
        verdict.nonce = Nonce::random();
        let signer = make(&c, &mut verdict);
        let envelope = Envelope::sign(&verdict, &[&c.nodes[signer].statement]).unwrap();
        c.log(0, &Event::Statement {}, Some(&envelope));
        c.settle();
        breaks(&c, broken);
    }
}

#[test]
fn an_authorisation_names_each_permit_once_and_what_is_not_here_counts_for_it() {
    let authorised = |permits: &dyn Fn(Digest) -> Vec<Digest>| {
        let mut c = settled();
        let (permit, call, answer) = (c.verdict(1, |_| {}), c.call(), c.answer(1, 0));
        let decisions = vec![Digest([1; 32]), Digest([2; 32])];
        let (request, answers) = (c.request_digest(), vec![answer.digest()]);
        let event = Event::Authorized { request, decisions, permits: permits(permit.digest()), answers };
        c.log(0, &event, Some(&call));
        c.settle();
        c
    };
    breaks(&authorised(&|permit| vec![permit]), &[]);
    breaks(&authorised(&|permit| vec![permit, permit]), &["record"]);
    breaks(&authorised(&|_| vec![]), &["permits-missing"]);
    let report = judged(&authorised(&|_| vec![Digest([9; 32])]));
    expect(&report, Class::Incomplete, &["no-content", "unresolved"]);
}

/// What a bundle without content and a full one break in an entry of this type at the end of log 1, with or
/// without a statement that is here, and with this body.
fn broken_by(kind: &str, named: bool, event: &Event) -> [Vec<String>; 2] {
    let mut c = settled();
    let verdict = c.verdict(0, |_| {});
    let statement = StatementRef { stmt: verdict.digest().0, env: verdict.envelope_digest().0 };
    let at = c.nodes[0].tree.size();
    raw(&mut c, 0, kind, named.then_some(statement), event);
    c.settle();
    [judged(&c), verify(&c.full(), &c.genesis)].map(|report| {
        let violations: Vec<_> = report.findings.iter().filter(|f| f.class == Class::Violation).collect();
        assert!(violations.iter().all(|f| f.entry == Some(at)), "{violations:#?}");
        // Nor does such an entry say that a head was cosigned.
        assert!(of(&report, "cosigned-elsewhere").is_empty(), "{:#?}", report.findings);
        violations.iter().map(|f| f.rule.clone()).collect()
    })
}

#[test]
fn the_type_of_an_entry_goes_with_its_body_and_its_statement() {
    let (d, one, origin) = (Digest([1; 32]), seat_index(1), "acme/2/log".to_owned());
    let reason = "peers-missing".parse().unwrap();
    // Each event with its type, and whether an entry of that type names a statement.
    let events = [
        ("verdict", true, Event::Statement {}),
        ("charter.accepted", false, Event::CharterAccepted { charter: d }),
        (
            "release.authorized",
            true,
            Event::Authorized { request: d, decisions: vec![], permits: vec![], answers: vec![] },
        ),
        ("release.delivered", true, Event::Delivered { authorized: 1, note: d, request: d, reply: d, attempt: 1 }),
        ("release.aborted", false, Event::Aborted { authorized: 1, request: d, reason }),
        ("witness.cosigned", false, Event::Cosigned { origin: origin.clone(), size: 1, root: d }),
        ("refused", false, Event::Refused { statement: d, kind: Kind::Request, rule: Rule::Malformed }),
        ("node.ready", false, Event::Ready { peers: vec![seat_index(2)] }),
        ("clock.anomaly", false, Event::Clock { by_ms: 1 }),
        ("misbehaviour", false, Event::Misbehaviour { origin, first: d, second: d }),
    ];
    for (at, (kind, named, event)) in events.iter().enumerate() {
        let other = events[(at + 1) % events.len()].0;
        assert_eq!(broken_by(other, *named, event), [["record"], ["record"]], "{kind} as {other}");
        assert_eq!(broken_by(kind, !named, event), [["record"], ["record"]], "{kind}, a statement: {}", !named);
    }
    assert_eq!(broken_by("genesis", false, &Event::Genesis { seat: one }), [["record"], ["record"]]);
    assert_eq!(broken_by("genesis", true, &Event::Genesis { seat: one }), [["genesis"], ["genesis"]]);
    // Types that are the kind of a statement, and not of one that has an entry of its own.
    let kinds = Kind::ALL.into_iter().filter(|k| !k.has_own_entry()).map(Kind::name);
    for kind in kinds.chain(["statement", "decisions"]) {
        assert_eq!(broken_by(kind, true, &Event::Statement {}), [["record"], ["record"]], "{kind}");
    }
}

#[test]
fn two_heads_of_a_log_convict_its_key_without_content_too() {
    for honest in [false, true] {
        let mut c = settled();
        let node = &c.nodes[1];
        let forged = Checkpoint::new(node.chain.origin(), 2, [1; 32]).unwrap();
        let forged = forged.sign(&NoteSigner::new(node.chain.origin(), &node.log_key).unwrap()).unwrap();
        let notes = [node.head(2), if honest { node.head(3) } else { forged }].map(|h| h.to_bytes());
        let (origin, [first, second]) = (node.chain.origin().to_owned(), notes.each_ref().map(|n| Digest::of(n)));
        c.attachments.extend(notes);
        c.log(0, &Event::Misbehaviour { origin, first, second }, None);
        c.settle();
        match honest {
            true => drop(breaks(&c, &["misbehaviour"])),
            false => expect(&judged(&c), Class::Misbehaviour, &["fork", "no-content"]),
        }
    }
}

#[test]
fn a_flood_of_missing_permits_hides_no_other_act() {
    let mut c = settled();
    let (request, call, answer) = (c.request_digest(), c.call(), c.answer(1, 0));
    for half in 0..2u64 {
        let mut permits: Vec<_> = (0..600).map(|n| Digest::of(&(600 * half + n).to_be_bytes())).collect();
        permits.sort();
        let (decisions, answers) = (vec![Digest([1; 32]), Digest([2; 32])], vec![answer.digest()]);
        c.log(0, &Event::Authorized { request, decisions, permits, answers }, Some(&call));
    }
    c.log(0, &Event::Clock { by_ms: 0 }, None);
    c.settle();
    let report = judged(&c);
    expect(&report, Class::Violation, &["clock", "no-content", "unresolved"]);
    // And fills the report no further.
    assert_eq!(report.findings.iter().filter(|f| f.rule == "unresolved").count(), 1_000);
}

#[test]
fn a_seat_may_be_in_several_generations_and_in_none_it_delivers_nothing() {
    // Seat 1 is in both, seat 2 cosigned for the second alone; then in none.
    for (members, broken) in [(&[1, 2][..], &[][..]), (&[2, 3], &["note"])] {
        let mut c = Cluster::bent(|charter| {
            let mut other = charter.generations[0].clone();
            charter.generations[0].members = [1, 3].map(seat_index).to_vec();
            other.number = 2;
            other.members = members.iter().map(|n| seat_index(*n)).collect();
            charter.generations.push(other);
            if members[0] == 2 {
                charter.generations.remove(0);
            }
        });
        c.ask();
        let (request, permit, call, answer) =
            (c.request_digest(), c.verdict(1, |v| before_context(v, &[])), c.call(), c.answer(1, 0));
        let decisions = vec![Digest([1; 32]), Digest([2; 32])];
        let event =
            Event::Authorized { request, decisions, permits: vec![permit.digest()], answers: vec![answer.digest()] };
        let authorized = c.log(0, &event, Some(&call));
        let note = c.cosigned(0, &[1]);
        c.deliver(0, authorized, &note, |_| {});
        c.settle();
        let report = judged(&c);
        let found: Vec<_> =
            report.findings.iter().filter(|f| f.class == Class::Violation).map(|f| f.rule.as_str()).collect();
        assert_eq!(found, broken, "{:#?}", report.findings);
    }
}

#[test]
fn what_a_seat_logged_and_delivered_before_counts_in_its_next_log() {
    let m = released(moved(&Lies::default()));
    // Its first reply to the request is in the second log; a second one has attempt 2 in a third.
    let mut c = m.c;
    let from = backup(&c);
    renewed(&mut c, from, |_| {});
    let permit = c.verdict(0, |_| {});
    let _own = c.verdict(THREE, |_| {});
    let call = c.call();
    c.release(THREE, 0, &call, &permit);
    c.settle();
    assert_eq!(c.refusals, Vec::<String>::new());
    breaks(&c, &[]);
    expect(&verify(&c.full(), &m.genesis), Class::Ok, &[]);
    // And a statement that the first log has is not logged again.
    let request = c.request.clone().unwrap();
    c.log(THREE, &Event::Statement {}, Some(&request));
    c.settle();
    breaks(&c, &["logged-twice"]);
}

#[test]
fn a_permit_by_a_key_that_was_replaced_is_none() {
    let mut c = Cluster::new();
    c.ask();
    let fresh = SigningKey::generate_ed25519();
    c.charter.seats[1].statement_key = fresh.public();
    let retired = std::mem::replace(&mut c.nodes[1].statement, fresh);
    let next = successor(&c, |_| {});
    crate::lineage::accepted(&mut c, &next);
    for (old, broken) in [(false, &["no-content"][..]), (true, &["no-content", "unresolved"])] {
        let mut permit: Verdict = c.verdict(1, |v| before_context(v, &[])).decode().unwrap();
        permit.nonce = Nonce::random();
        let key = if old { &retired } else { &c.nodes[1].statement };
        let permit = Envelope::sign(&permit, &[key]).unwrap();
        match old {
            true => c.statements.push(permit.clone()),
            false => drop(c.log(1, &Event::Statement {}, Some(&permit))),
        }
        let (request, call, answer) = (c.request_digest(), c.call(), c.answer(1, 0));
        let decisions = vec![Digest([1; 32]), Digest([2; 32])];
        let event =
            Event::Authorized { request, decisions, permits: vec![permit.digest()], answers: vec![answer.digest()] };
        c.log(0, &event, Some(&call));
        c.settle();
        expect(&judged(&c), Class::Incomplete, broken);
    }
}

#[test]
fn an_authorisation_is_by_a_release_call_and_a_delivery_by_a_release() {
    let (d, digests) = (Digest([1; 32]), |n: u8| vec![Digest([n; 32]), Digest([n + 1; 32])]);
    let authorized = Event::Authorized { request: d, decisions: digests(1), permits: digests(3), answers: digests(5) };
    let delivered = Event::Delivered { authorized: 1, note: d, request: d, reply: d, attempt: 1 };
    for (kind, event) in [("release.authorized", authorized), ("release.delivered", delivered)] {
        // The statement that it names is a verdict.
        let [form, full] = broken_by(kind, true, &event);
        assert_eq!((form, full.contains(&"malformed".into())), (vec!["record".to_owned()], true), "{kind}: {full:?}");
    }
}

#[test]
fn a_witness_goes_forward_without_content_too() {
    for (size, broken) in [(3, &["cosigned-backwards"][..]), (4, &[]), (5, &[])] {
        let mut c = Cluster::new();
        for size in [4, size] {
            let root = Digest([u8::try_from(size).unwrap(); 32]);
            c.log(0, &Event::Cosigned { origin: "acme/9/log".into(), size, root }, None);
        }
        c.settle();
        breaks(&c, broken);
    }
}

#[test]
fn as_many_permits_and_answers_are_named_as_the_seats_generation_asks_for() {
    for (t, permits, answers, broken) in
        [(2, 1, 1, &[][..]), (3, 2, 2, &[]), (3, 1, 2, &["permits-missing"]), (3, 2, 1, &["peers-missing"])]
    {
        let mut c = Cluster::bent(|charter| charter.generations[0].t = t);
        c.ask();
        let mut signed: Vec<_> = [1, 2].map(|n| c.verdict(n, |v| before_context(v, &[])).digest()).to_vec();
        let mut answered: Vec<_> = [1, 2].map(|n| c.answer(n, 0).digest()).to_vec();
        signed.truncate(permits);
        answered.truncate(answers);
        signed.sort();
        answered.sort();
        let (request, call) = (c.request_digest(), c.call());
        let decisions = vec![Digest([1; 32]), Digest([2; 32])];
        c.log(0, &Event::Authorized { request, decisions, permits: signed, answers: answered }, Some(&call));
        c.settle();
        breaks(&c, broken);
    }
}
