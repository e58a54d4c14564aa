//! Who and what is in the machine's world: keys, people, policies and the first charter. Made
//! once, because making keys takes longer than a whole case.

use super::ops::POLICIES;
use crate::keys::SeatKeys;
use escrow_core::charter::*;
use escrow_core::consent::{Party, PolicyRef};
use escrow_core::deal::{About, Deal, Dealer, Item, KeySource, OpenedDeal, Participant};
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::{Blob, Digest, Kind, Nonce, SeatIndex, SigningKey, ThreadKey, Timestamp, Token, TokenKey};
use std::sync::{Arc, LazyLock};
use zeroize::Zeroizing;

pub(super) fn w<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(super) fn t0() -> Timestamp {
    w("2026-11-21T09:00:00.000Z")
}

pub(super) fn hours(n: i64) -> Timestamp {
    t0().plus_seconds(n * 3_600)
}

pub(super) fn seat(n: u8) -> SeatIndex {
    SeatIndex::new(n).unwrap()
}

/// Id, roles, and whether anything can be sealed to them. The order is that of the numbers in
/// [`super::ops::Say::Decide`].
pub(super) const PEOPLE: [(&str, &[&str], bool); 20] = [
    ("lea", &["legal"], true),
    ("lou", &["legal"], false),
    ("dpo", &["dpo"], false),
    ("don", &["dpo", "requestor"], false),
    ("rex", &["requestor", "legal"], false),
    ("cem", &["admin", "registrar", "legal"], false),
    ("req", &["requestor"], true),
    ("ops", &["requestor", "legal"], false),
    ("fit", &["filter-team", "legal"], true),
    ("off", &[], true),
    ("fil", &["filter-team"], true),
    ("rig", &["subject-rights"], false),
    ("cou", &["council"], false),
    ("ann", &["admin", "registrar"], false),
    ("bob", &["admin", "registrar"], false),
    ("ext", &[], false),
    ("op1", &[], false),
    ("op3", &[], false),
    ("op4", &[], false),
    ("dee", &["dpo", "council"], false),
];

/// Officers with messages of their own.
const SUBJECTS: [&str; 3] = ["don", "rex", "off"];
/// Whose devices there are.
pub(super) const NAMES: [&str; 4] = ["sam", "tia", "eve", "don"];
/// Of each device, whose it is: a place in [`NAMES`].
pub(super) const OWNERS: [usize; 6] = [0, 0, 1, 1, 2, 3];

pub(super) struct Cast {
    pub seats: Vec<Arc<SeatKeys>>,
    /// Two for each of [`PEOPLE`].
    pub people: Vec<SigningKey>,
    pub devices: Vec<SigningKey>,
    /// One for each of [`PEOPLE`].
    pub sealing: Vec<SealingKey>,
    /// One for each device, and what an officer changes to.
    pub spare: Vec<SealingKey>,
    pub tokens: TokenKey,
    /// An item that fits the node set, to be described anew for each deposit.
    pub item: Item,
    pub share: Zeroizing<[u8; 64]>,
}

pub(super) static CAST: LazyLock<Cast> = LazyLock::new(|| {
    let key = |kind: u8, n: usize| {
        // The same keys in every run, so that a failing sequence fails again.
        let seed: [u8; 32] = *Digest::of(&[kind, u8::try_from(n).unwrap()]).as_bytes();
        let line = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, seed);
        SigningKey::from_line(&format!("ed25519-private:{line}")).unwrap()
    };
    let seats: Vec<_> = (0..4).map(|_| Arc::new(SeatKeys::generate().unwrap())).collect();
    let sealing = |_| SealingSecret::generate(Suite::XWing).public().clone();
    let tokens = TokenKey::from_bytes(1, Zeroizing::new([7; 32]));
    let me = tokens.subject("sam");
    let header = Deal {
        org: w("acme"),
        nonce: Nonce([1; 16]),
        generation: 1,
        t: 2,
        n: 3,
        consent: Digest([0; 32]),
        policies: vec![PolicyRef { id: w("std"), digest: Digest([0; 32]) }],
        depositor: me,
        items: vec![],
    };
    let about = about(tokens.thread("a"), 1, vec![Participant { token: me, inside: true }]);
    let to: Vec<_> = (0..3).map(|n| (seat(n as u8 + 1), seats[n].sealing.public().clone())).collect();
    let dealt = Dealer { header, seats: &to }.deal(&[(about, ThreadKey::generate())]).unwrap();
    let opened = OpenedDeal::parse(&dealt.deal).unwrap();
    let shares = opened.verify_blob(seat(1), &seats[0].sealing, &dealt.blobs[0].1).unwrap();
    let deal: Deal = serde_json::from_slice(&dealt.deal).unwrap();
    Cast {
        people: (0..2 * PEOPLE.len()).map(|n| key(1, n)).collect(),
        devices: (0..6).map(|n| key(2, n)).collect(),
        sealing: (0..PEOPLE.len()).map(sealing).collect(),
        spare: (0..7).map(sealing).collect(),
        item: deal.items[0].clone(),
        share: shares[0].to_bytes(),
        seats,
        tokens,
    }
});

pub(super) fn about(thread: Token, epoch: u64, mut participants: Vec<Participant>) -> About {
    participants.sort();
    participants.dedup_by_key(|p| p.token);
    About {
        source: KeySource::Mls10,
        thread,
        era: 0,
        epoch,
        authenticator: Blob(vec![]),
        from: t0(),
        to: t0().plus_seconds(60),
        archive: None,
        participants,
    }
}

pub(super) fn number(id: &str) -> usize {
    PEOPLE.iter().position(|p| p.0 == id).unwrap()
}

/// Policy texts: all of two offices, two of one office, a waiting time, one that cannot be
/// evaluated for two items, one that counts an office nobody holds, one that asks for nothing,
/// one for subjects only, and one that counts other things and lets the requestor read.
pub(super) fn text(id: &str) -> &'static str {
    match id {
        "std" => {
            "permit(principal, action, resource) when { context.approvals.legal >= 1 && context.approvals.dpo >= 1 };"
        }
        "any" => {
            "permit(principal, action, resource) when { context.approvals.legal >= 2 || context.approvals.dpo >= 2 };"
        }
        "wait" => {
            "permit(principal, action, resource) when { context.approvers >= 2 && context.waited_seconds >= 3600 };"
        }
        "over" => {
            "permit(principal, action, resource) when { context.approvers >= 2 };
             forbid(principal, action, resource) when { context.items * 4611686018427387904 < 0 };"
        }
        "board" => {
            "permit(principal, action, resource) when { context.approvals.legal >= 1 && context.approvals.board >= 1 };"
        }
        "none" => "permit(principal, action, resource);",
        "own" => "permit(principal, action == Escrow::Action::\"recover\", resource) when { context.approvers >= 2 };",
        "few" => {
            "@recipient_is_requestor(\"allowed\")
             permit(principal, action == Escrow::Action::\"release\", resource) when {
                 context.approvers >= 2 && context.consents.outside <= 1 && context.earlier_releases <= 2 };"
        }
        // What charters change texts to.
        "strict" => {
            "permit(principal, action, resource) when {
                 context.approvals.legal >= 1 && context.approvals.dpo >= 1 && context.approvers >= 3 };"
        }
        _ => "permit(principal, action, resource) when { context.approvers >= 1 };",
    }
}

pub(super) fn genesis() -> Charter {
    let cast = &*CAST;
    let seats = cast.seats.iter().zip(1u8..).map(|(k, n)| Seat {
        index: seat(n),
        name: w(&format!("s{n}")),
        operators: vec![w(["op1", "ops", "op3", "op4"][usize::from(n) - 1])],
        operator: w(&format!("party {n}")),
        jurisdiction: w("DE"),
        url: format!("https://s{n}:1"),
        tls_pin: Digest::of(&[n]),
        statement_key: k.statement.public(),
        log_origin: format!("acme/{n}/log"),
        log_key: k.log_public(),
        witness_key: k.witness_public(),
        sealing: k.sealing.public().clone(),
        previous_log_head: None,
    });
    let mut roles = vec![w("board"), w("dpo"), w("legal")];
    roles.sort();
    Charter {
        kind: Kind::Charter,
        org: w("acme"),
        nonce: Nonce([9; 16]),
        demo: false,
        version: 1,
        previous: None,
        voided: vec![],
        issued: t0(),
        seats: seats.collect(),
        generations: vec![Generation { number: 1, t: 2, members: (1..=3).map(seat).collect() }],
        people: (0..PEOPLE.len()).map(person).collect(),
        policies: POLICIES.iter().map(|id| Policy { id: w(id), schema: 1, text: text(id).into() }).collect(),
        admin_quorum: 2,
        registrar_quorum: 2,
        approver_roles: roles,
        basis_signers: vec![BasisSigners { basis: Basis::WorksAgreement, roles: vec![w("council"), w("dpo")] }],
        token_versions: vec![1],
        controllers: vec![controller()],
        limits: Limits {
            request_life_s: 86_400,
            items_per_request: 4,
            requests_per_requestor_month: 12,
            items_per_requestor_month: 100_000,
            permit_life_s: 60,
            notice_delay_days: 30,
            recovery_delay_s: 86_400,
            clock_skew_s: 300,
            charter_grace_s: 3_600,
            sealing_key_days: 365,
        },
    }
}

pub(super) fn controller() -> Party {
    Party {
        id: w("acme.example"),
        name: w("ACME GmbH"),
        kind: w("controller"),
        contact: w("dpo"),
        address: w("Street 1"),
    }
}

/// The person as the first charter lists them. Some second keys are not valid all the time.
pub(super) fn person(n: usize) -> Person {
    let (id, roles, sealed) = PEOPLE[n];
    let key = |i: usize, from, until| PersonKey { key: CAST.people[2 * n + i].public(), from, until };
    let second = match id {
        "lou" => key(1, Timestamp::EPOCH, hours(1)),
        "dpo" => key(1, hours(40), Timestamp::MAX),
        "lea" => key(1, Timestamp::EPOCH, hours(30)),
        _ => key(1, Timestamp::EPOCH, Timestamp::MAX),
    };
    Person {
        id: w(id),
        name: id.to_uppercase(),
        roles: roles.iter().map(|r| w(r)).collect(),
        keys: vec![key(0, Timestamp::EPOCH, Timestamp::MAX), second],
        sealing: sealed.then(|| CAST.sealing[n].clone()),
        subject: match SUBJECTS.contains(&id) {
            true => Subject::Tokens(vec![CAST.tokens.subject(id)]),
            false => Subject::NoSubject,
        },
    }
}
