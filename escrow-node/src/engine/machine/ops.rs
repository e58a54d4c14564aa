//! What can happen, as small numbers that shrink well, and how sequences of it are made: mostly
//! scripts that get somewhere, with anything at all between their steps. A number picks from a
//! list, modulo its length; lists of what was said are counted from the newest backwards.

use proptest::collection::vec;
use proptest::prelude::*;

/// Which nodes hear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Both,
    Main,
    Peer,
    /// Signed, and kept for later.
    Nobody,
}

/// Which charter version a statement names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen {
    InForce,
    Genesis,
    Newest,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Say {
    Enrol {
        device: u8,
        subject: u8,
        by: u8,
        long: bool,
    },
    RevokeKey {
        of: u8,
        by: u8,
    },
    RevokeEnrolment {
        back: u8,
        by: u8,
    },
    Consent {
        device: u8,
        subject: u8,
        flavour: u8,
    },
    Withdraw {
        back: u8,
        by: u8,
    },
    Deposit {
        device: u8,
        back: u8,
        shape: u8,
    },
    Matter {
        matter: u8,
        action: u8,
        by: u8,
    },
    Request {
        by: u8,
        deposits: u8,
        more: bool,
        recipient: u8,
        policy: u8,
        flavour: u8,
    },
    Cancel {
        back: u8,
        by: u8,
    },
    Decide {
        back: u8,
        by: u8,
        role: u8,
        choice: u8,
        key: u8,
    },
    /// `own`: what the device's subject deposited. For [`SELF`], or in another's name.
    Recover {
        device: u8,
        subject: u8,
        own: bool,
        deposits: u8,
        policy: u8,
    },
    Veto {
        back: u8,
        by: u8,
    },
    Charter {
        change: u8,
        fork: bool,
        settle: bool,
        by: u8,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Say {
        to: To,
        seen: Seen,
        say: Say,
    },
    /// The same bytes once more, or those kept for later.
    Again {
        to: To,
        back: u8,
    },
    /// The same statement under another nonce.
    Copy {
        to: To,
        back: u8,
    },
    /// The same statement and key, in somebody else's name.
    Rename {
        to: To,
        back: u8,
        by: u8,
    },
    Accept {
        to: To,
        back: u8,
    },
    Clock(u8),
    Evaluate {
        peer: bool,
        back: u8,
    },
    /// `late`: Collect began a minute ago.
    Authorise {
        back: u8,
        caller: u8,
        permit: u8,
        answer: u8,
        late: bool,
    },
    Deliver {
        back: u8,
        note: u8,
    },
    Restart {
        peer: bool,
    },
}

/// The subject that the device is enrolled for.
pub(super) const SELF: u8 = 9;
pub(super) const CLOCKS: [i64; 8] = [1, 70, 400, 3_700, 7_300, 90_000, -200, -4_000];
pub(super) const POLICIES: [&str; 8] = ["std", "any", "wait", "over", "board", "none", "own", "few"];

fn say(say: Say) -> Op {
    Op::Say { to: To::Both, seen: Seen::InForce, say }
}

fn approve(by: u8) -> Op {
    say(Say::Decide { back: 0, by, role: 0, choice: 0, key: 0 })
}

/// A pair of people who can usually decide, of different offices.
fn pair() -> BoxedStrategy<[u8; 2]> {
    prop_oneof![6 => Just([0, 2]), 3 => Just([1, 3]), 2 => Just([2, 4]), 2 => Just([0, 3]), 2 => Just([5, 2]), 1 => Just([0, 1]), 2 => (0..16u8, 0..16u8).prop_map(|(a, b)| [a, b])]
    .boxed()
}

fn request() -> BoxedStrategy<Op> {
    let flavour = prop_oneof![12 => Just(0), 2 => Just(1), 5 => 2..10u8];
    let recipient = prop_oneof![8 => Just(0), 6 => 0..12u8];
    let policy = prop_oneof![6 => Just(0), 2 => Just(3), 8 => 0..8u8];
    let by = prop_oneof![10 => Just(0), 3 => Just(1), 1 => 2..8u8];
    let deposits = prop_oneof![8 => 0..3u8, 3 => 3..5u8, 1 => 5..8u8];
    (by, deposits, prop::bool::weighted(0.3), recipient, policy, flavour)
        .prop_map(|(by, deposits, more, recipient, policy, flavour)| {
            say(Say::Request { by, deposits, more, recipient, policy, flavour })
        })
        .boxed()
}

fn decide() -> BoxedStrategy<Op> {
    let by = prop_oneof![6 => 0..6u8, 2 => 0..16u8];
    let back = prop_oneof![6 => Just(0), 2 => 0..3u8];
    let choice = prop_oneof![5 => Just(0), 3 => Just(1), 3 => Just(2)];
    let key = prop_oneof![8 => Just(0), 4 => 0..4u8];
    let role = prop_oneof![6 => Just(0), 2 => 0..4u8];
    (seen(), back, by, role, choice, key)
        .prop_map(|(seen, back, by, role, choice, key)| Op::Say {
            to: To::Both,
            seen,
            say: Say::Decide { back, by, role, choice, key },
        })
        .boxed()
}

fn seen() -> BoxedStrategy<Seen> {
    prop_oneof![12 => Just(Seen::InForce), 1 => Just(Seen::Genesis), 1 => Just(Seen::Newest)].boxed()
}

fn to() -> BoxedStrategy<To> {
    prop_oneof![8 => Just(To::Both), 2 => Just(To::Main), 2 => Just(To::Peer), 2 => Just(To::Nobody)].boxed()
}

/// What takes permission away, of every sort.
fn restriction() -> BoxedStrategy<Op> {
    let close = (0..2u8, 0..2u8).prop_map(|(matter, by)| Say::Matter { matter, action: 1, by });
    let back = prop_oneof![4 => Just(0u8), 1 => 1..3u8];
    let choice = prop_oneof![1 => Just(1u8), 2 => Just(2)];
    let deny = (back, 0..6u8, choice).prop_map(|(back, by, choice)| Say::Decide { back, by, role: 0, choice, key: 0 });
    let said = prop_oneof![
        4 => deny,
        2 => close,
        2 => (0..4u8, 0..6u8).prop_map(|(back, by)| Say::Withdraw { back, by }),
        2 => (0..2u8, prop_oneof![3 => Just(0u8), 1 => 1..3u8]).prop_map(|(back, by)| Say::Cancel { back, by }),
        3 => (prop_oneof![3 => 0..4u8, 2 => Just(6), 1 => 0..26u8], prop_oneof![4 => 0..2u8, 1 => 2..4u8]).prop_map(|(of, by)| Say::RevokeKey { of, by }),
        1 => (0..3u8, 0..4u8).prop_map(|(back, by)| Say::RevokeEnrolment { back, by }),
        1 => (0..2u8, 0..8u8).prop_map(|(back, by)| Say::Veto { back, by }),
    ];
    let to = prop_oneof![5 => Just(To::Both), 2 => Just(To::Main), 2 => Just(To::Peer)];
    (to, seen(), said).prop_map(|(to, seen, say)| Op::Say { to, seen, say }).boxed()
}

/// A new version that changes people, keys, policies or limits, mostly accepted.
fn charter() -> BoxedStrategy<Vec<Op>> {
    let by = prop_oneof![8 => Just(0), 2 => 0..4u8];
    let change = (0..14u8, prop::bool::weighted(0.25), prop::bool::weighted(0.5), by);
    (change, prop::bool::weighted(0.85), to())
        .prop_map(|((change, fork, settle, by), accept, to)| {
            let mut out = vec![say(Say::Charter { change, fork, settle, by })];
            if accept {
                let to = if to == To::Nobody { To::Both } else { to };
                out.push(Op::Accept { to, back: 0 });
            }
            out
        })
        .boxed()
}

fn round() -> BoxedStrategy<Vec<Op>> {
    let permit = prop_oneof![20 => Just(0), 6 => 1..10u8];
    let answer = prop_oneof![20 => Just(0), 3 => 1..8u8];
    let caller = prop_oneof![20 => Just(0), 2 => Just(1), 2 => 2..5u8];
    let authorise = (caller, permit, answer, prop::bool::weighted(0.06))
        .prop_map(|(caller, permit, answer, late)| Op::Authorise { back: 0, caller, permit, answer, late });
    let between = prop_oneof![
        4 => Just(vec![]),
        8 => restriction().prop_map(|r| vec![r]),
        1 => Just(vec![Op::Clock(1)]),
        1 => Just(vec![Op::Clock(4)]),
        1 => charter(),
        1 => Just(vec![Op::Restart { peer: false }]),
    ];
    let note = prop_oneof![8 => Just(0), 2 => 0..4u8];
    (authorise, between, note)
        .prop_map(|(authorise, mut between, note)| {
            between.insert(0, authorise);
            between.push(Op::Deliver { back: 0, note });
            between
        })
        .boxed()
}

/// Anything, mostly senseless.
fn noise() -> BoxedStrategy<Vec<Op>> {
    let anything = prop_oneof![
        (0..6u8, 0..4u8, 0..5u8, any::<bool>()).prop_map(|(device, subject, by, long)| Say::Enrol {
            device,
            subject,
            by,
            long
        }),
        (0..6u8, 0..3u8, 0..9u8).prop_map(|(device, subject, flavour)| Say::Consent { device, subject, flavour }),
        (0..6u8, 0..4u8, 0..8u8).prop_map(|(device, back, shape)| Say::Deposit { device, back, shape }),
        (0..2u8, 0..3u8, 0..4u8).prop_map(|(matter, action, by)| Say::Matter { matter, action, by }),
    ];
    prop_oneof![
        3 => (to(), seen(), anything).prop_map(|(to, seen, say)| vec![Op::Say { to, seen, say }]),
        3 => restriction().prop_map(|r| vec![r]),
        1 => restriction().prop_map(|r| vec![r, Op::Restart { peer: false }, Op::Evaluate { peer: false, back: 0 }]),
        2 => decide().prop_map(|d| vec![d]),
        2 => charter(),
        2 => (0..8u8).prop_map(|c| vec![Op::Clock(c)]),
        2 => (any::<bool>(), 0..4u8).prop_map(|(peer, back)| vec![Op::Evaluate { peer, back }]),
        2 => (to(), 0..6u8).prop_map(|(to, back)| vec![Op::Again { to, back }]),
        2 => (to(), 0..4u8).prop_map(|(to, back)| vec![Op::Copy { to, back }]),
        2 => (to(), 0..4u8, 0..12u8).prop_map(|(to, back, by)| vec![Op::Rename { to, back, by }]),
        1 => any::<bool>().prop_map(|peer| vec![Op::Restart { peer }]),
        2 => round(),
        1 => (0..3u8).prop_map(|back| vec![Op::Deliver { back, note: 0 }]),
    ]
    .boxed()
}

/// Somebody asks, some approve, and it is released; any step may be missing or something between.
fn story() -> BoxedStrategy<Vec<Op>> {
    let wait = prop_oneof![6 => Just(vec![]), 2 => Just(vec![Op::Clock(3)]), 1 => Just(vec![Op::Clock(1)])];
    let between = || prop_oneof![5 => Just(vec![]), 3 => noise()];
    (request(), pair(), wait, between(), between(), round())
        .prop_map(|(request, [a, b], wait, one, two, round)| {
            [
                vec![request],
                one,
                vec![approve(a), approve(b)],
                wait,
                two,
                vec![Op::Evaluate { peer: false, back: 0 }],
                round,
            ]
            .concat()
        })
        .boxed()
}

/// Nothing goes wrong before a release is authorised; then anything may.
fn smooth() -> BoxedStrategy<Vec<Op>> {
    let policy = prop_oneof![5 => Just(0u8), 1 => Just(5), 1 => Just(7)];
    let recipient = prop_oneof![4 => Just(0u8), 1 => Just(1), 1 => Just(9)];
    let pairs = prop_oneof![3 => Just([0, 2]), 1 => Just([1, 3]), 1 => Just([5, 2])];
    (policy, recipient, 0..2u8, pairs, round())
        .prop_map(|(policy, recipient, deposits, [a, b], round)| {
            let request = Say::Request { by: 0, deposits, more: false, recipient, policy, flavour: 0 };
            [vec![say(request), approve(a), approve(b)], round].concat()
        })
        .boxed()
}

/// The decision comes before what it decides on; nothing is known then of who is who, and the
/// requestor's or the recipient's own approval gets in.
fn early() -> BoxedStrategy<Vec<Op>> {
    let whose = prop_oneof![
        3 => Just((Some((1, 0)), [2, 4])),
        2 => Just((Some((0, 3)), [0, 2])),
        3 => pair().prop_map(|pair| (None, pair)),
    ];
    (request(), whose, decide())
        .prop_map(|(request, (own, [a, b]), other)| {
            let Op::Say { seen, mut say, .. } = request else { return vec![] };
            if let (Say::Request { by, recipient, policy, flavour, .. }, Some(own)) = (&mut say, own) {
                (*by, *recipient) = own;
                (*policy, *flavour) = (0, 0);
            }
            let evaluate = Op::Evaluate { peer: false, back: 0 };
            let held = Op::Say { to: To::Nobody, seen, say };
            let again = Op::Again { to: To::Both, back: if own.is_some() { 2 } else { 3 } };
            let other = if own.is_some() { vec![] } else { vec![other] };
            [vec![held, approve(a)], other, vec![approve(b), again, evaluate]].concat()
        })
        .boxed()
}

/// Somebody takes their approval back, and it is played again.
fn replay() -> BoxedStrategy<Vec<Op>> {
    (request(), pair(), 1..3u8, any::<bool>())
        .prop_map(|(request, [a, b], choice, copy)| {
            let back = say(Say::Decide { back: 0, by: b, role: 0, choice, key: 0 });
            let again = if copy { Op::Copy { to: To::Both, back: 1 } } else { Op::Again { to: To::Both, back: 1 } };
            vec![request, approve(a), approve(b), back, again, Op::Evaluate { peer: false, back: 0 }]
        })
        .boxed()
}

/// One person approves twice.
fn twice() -> BoxedStrategy<Vec<Op>> {
    (request(), 0..6u8)
        .prop_map(|(request, a)| {
            vec![request, approve(a), Op::Copy { to: To::Both, back: 0 }, Op::Evaluate { peer: false, back: 0 }]
        })
        .boxed()
}

/// The charter changes who or what counts when all have approved already; and perhaps back again.
fn dismissal() -> BoxedStrategy<Vec<Op>> {
    let change = prop_oneof![3 => Just(0u8), 1 => Just(2), 1 => Just(3), 1 => Just(11), 2 => 0..14u8];
    let returned = prop_oneof![2 => Just(None), 1 => Just(Some(1))];
    (pair(), change, returned, round())
        .prop_map(|([a, b], change, returned, round)| {
            let request = Say::Request { by: 0, deposits: 0, more: false, recipient: 0, policy: 0, flavour: 0 };
            let mut ops = vec![say(request), approve(a), approve(b)];
            for change in [Some(change), returned].into_iter().flatten() {
                ops.push(say(Say::Charter { change, fork: false, settle: false, by: 0 }));
                ops.push(Op::Accept { to: To::Both, back: 0 });
                ops.push(Op::Evaluate { peer: false, back: 0 });
            }
            [ops, round].concat()
        })
        .boxed()
}

/// Whoever enrolled the device decides: before the self-recovery is known, or with an enrolment
/// that comes afterwards.
fn enroller() -> BoxedStrategy<Vec<Op>> {
    (any::<bool>(), round())
        .prop_map(|(before, round)| {
            let device = u8::from(before);
            let enrol = say(Say::Enrol { device, subject: 0, by: 1, long: true });
            let recover = Say::Recover { device, subject: SELF, own: true, deposits: 0, policy: 6 };
            let evaluate = Op::Evaluate { peer: false, back: 0 };
            if !before {
                return [vec![say(recover), approve(5), approve(2), enrol, evaluate], round].concat();
            }
            let held = Op::Say { to: To::Nobody, seen: Seen::InForce, say: recover };
            let again = Op::Again { to: To::Both, back: 2 };
            [vec![enrol, Op::Clock(5), held, approve(5), approve(2), again, evaluate], round].concat()
        })
        .boxed()
}

/// A subject asks for their own, on a device old or young, or for another's.
fn recovery() -> BoxedStrategy<Vec<Op>> {
    let enrol = (any::<bool>(), 0..4u8);
    let enrol = prop_oneof![4 => Just(None), 4 => enrol.prop_map(Some)];
    let age = prop_oneof![3 => Just(vec![]), 2 => Just(vec![Op::Clock(5)])];
    let device = prop_oneof![5 => Just(0u8), 3 => 1..6u8];
    let policy = prop_oneof![4 => Just(6u8), 2 => 0..8u8];
    let subject = prop_oneof![8 => Just(SELF), 2 => 0..3u8];
    let ask = (device, subject, prop::bool::weighted(0.75), 0..6u8, policy);
    let deciders = prop_oneof![3 => pair(), 3 => prop_oneof![Just([5, 2]), Just([0, 5])]];
    let veto = (0..9u8).prop_map(|by| vec![say(Say::Veto { back: 0, by })]);
    let between = prop_oneof![5 => Just(vec![]), 2 => veto, 2 => noise()];
    (enrol, age, ask, deciders, between, round())
        .prop_map(|(enrol, age, ask, [a, b], between, round)| {
            let (mut device, subject, own, deposits, policy) = ask;
            let mut ops = vec![];
            if let Some((young, by)) = enrol {
                device = u8::from(young);
                ops.push(say(Say::Enrol { device, subject: 0, by, long: true }));
            }
            let recover = say(Say::Recover { device, subject, own, deposits, policy });
            let evaluate = Op::Evaluate { peer: false, back: 0 };
            [ops, age, vec![recover, approve(a), approve(b)], between, vec![evaluate], round].concat()
        })
        .boxed()
}

pub(super) fn sequence(most: usize) -> BoxedStrategy<Vec<Op>> {
    let part = prop_oneof![
        8 => story(),
        8 => smooth(),
        4 => early(),
        2 => replay(),
        2 => twice(),
        2 => dismissal(),
        6 => recovery(),
        1 => enroller(),
        8 => noise(),
    ];
    vec(part, 2..8)
        .prop_map(move |parts| {
            let mut ops = parts.concat();
            ops.truncate(most);
            ops
        })
        .boxed()
}
