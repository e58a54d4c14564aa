//! One real seat on disk for tests: keys, charter, officers. It is made READY without peers.

use crate::config::Config;
use crate::init::{SeatPlan, init};
use crate::keys::SeatKeys;
use crate::node::{Opened, clock, open};
use crate::start;
use crate::state::State;
use crate::store::Store;
use escrow_core::charter::*;
use escrow_core::consent::Party;
use escrow_core::decision::{Choice, Decision};
use escrow_core::query::{Query, Question};
use escrow_core::release::Caller;
use escrow_core::request::*;
use escrow_core::{Digest, Envelope, Kind, Nonce, SeatIndex, SigningKey, Statement, Timestamp, TokenKey};
use std::collections::BTreeMap;

pub(crate) fn w<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// Seat 1 of 3, its data folder, and the people.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) people: BTreeMap<&'static str, SigningKey>,
    pub(crate) genesis: Envelope,
    pub(crate) charter: Charter,
}

impl Fixture {
    /// With these lines added to the configuration file.
    pub(crate) fn new(extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let passphrase = dir.path().join("passphrase");
        std::fs::write(&passphrase, "correct horse battery staple\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&passphrase, mode).unwrap();
        let lines = "listen = \"127.0.0.1:0\"\ndata_dir = \"data\"\npassphrase_file = \"passphrase\"\n";
        std::fs::write(dir.path().join("escrow-node.toml"), format!("{lines}{extra}")).unwrap();
        let config = Config::load(&dir.path().join("escrow-node.toml")).unwrap();
        let plan = |n: u8| SeatPlan {
            org: w("acme"),
            index: SeatIndex::new(n).unwrap(),
            name: w(&format!("s{n}")),
            operator: w(&format!("party {n}")),
            operators: vec![w(&format!("op{n}"))],
            jurisdiction: w("DE"),
            url: format!("https://s{n}:1"),
        };
        let own = init(&config, &plan(1)).unwrap();
        let other = |n: u8| {
            let (keys, plan) = (SeatKeys::generate().unwrap(), plan(n));
            Seat {
                index: plan.index,
                name: plan.name,
                operators: plan.operators,
                operator: plan.operator,
                url: plan.url,
                tls_pin: Digest::of(&[n]),
                statement_key: keys.statement.public(),
                log_origin: format!("acme/{n}/log"),
                log_key: keys.log_public(),
                witness_key: keys.witness_public(),
                sealing: keys.sealing.public().clone(),
                ..own.clone()
            }
        };
        let names = ["ann", "bob", "dpo", "leg", "op1", "op2", "op3", "req"];
        let people: BTreeMap<_, _> = names.into_iter().map(|n| (n, SigningKey::generate_ed25519())).collect();
        let person = |(id, key): (&&str, &SigningKey)| Person {
            id: w(id),
            name: id.to_uppercase(),
            roles: match *id {
                "ann" | "bob" => vec![w("admin"), w("registrar")],
                "req" => vec![w("requestor")],
                "leg" => vec![w("legal")],
                "dpo" => vec![w("dpo")],
                _ => vec![],
            },
            keys: vec![PersonKey { key: key.public(), from: Timestamp::EPOCH, until: Timestamp::MAX }],
            sealing: None,
            subject: Subject::NoSubject,
        };
        let seats = vec![own.clone(), other(2), other(3)];
        let charter = Charter {
            kind: Kind::Charter,
            org: w("acme"),
            nonce: Nonce::random(),
            demo: false,
            version: 1,
            previous: None,
            voided: vec![],
            issued: clock(),
            generations: vec![Generation { number: 1, t: 2, members: seats.iter().map(|s| s.index).collect() }],
            seats,
            people: people.iter().map(person).collect(),
            policies: vec![Policy {
                id: w("std"),
                schema: 1,
                text: "permit(principal, action, resource) when { context.approvals.legal >= 1 };".into(),
            }],
            admin_quorum: 2,
            registrar_quorum: 2,
            approver_roles: vec![w("dpo"), w("legal")],
            basis_signers: vec![],
            token_versions: vec![1],
            controllers: vec![Party {
                id: w("acme"),
                name: w("Acme"),
                kind: w("controller"),
                contact: w("dpo desk"),
                address: w("Example Street 1"),
            }],
            limits: Limits {
                request_life_s: 86_400,
                items_per_request: 100,
                requests_per_requestor_month: 1_000,
                items_per_requestor_month: 100_000,
                permit_life_s: 60,
                notice_delay_days: 30,
                recovery_delay_s: 86_400,
                clock_skew_s: 300,
                charter_grace_s: 3_600,
                sealing_key_days: 365,
            },
        };
        let genesis = Envelope::sign(&charter, &[&people["ann"], &people["bob"]]).unwrap();
        let mut store = Store::open(&config.database()).unwrap();
        start::accept(&mut store, &genesis.digest(), vec![genesis.clone()]).unwrap();
        Self { dir, people, genesis, charter }
    }

    pub(crate) fn config(&self) -> Config {
        Config::load(&self.dir.path().join("escrow-node.toml")).unwrap()
    }

    /// Opens the node; what its peers would prove is taken as proven.
    pub(crate) async fn open(&self) -> Opened {
        let opened = open(&self.config()).unwrap();
        start::become_ready(&opened.node, &opened.accepted, vec![], vec![]).await.unwrap();
        opened.node.set_state(State::Ready);
        opened
    }

    pub(crate) fn signed<T: Statement>(&self, statement: &T, who: &str) -> Envelope {
        Envelope::sign(statement, &[&self.people[who]]).unwrap()
    }

    pub(crate) fn request(&self) -> Envelope {
        let request = Request {
            kind: Kind::Request,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: self.genesis.digest(),
            matter: w("MAT-1"),
            by: w("req"),
            basis: Basis::Consent,
            authority: None,
            purpose: w("inquiry"),
            scope: Scope {
                threads: vec![TokenKey::generate(1).thread("t")],
                from: Timestamp::EPOCH,
                to: Timestamp::EPOCH.plus_seconds(60),
            },
            selection: None,
            items: vec![Digest([1; 32])],
            counts: Counts { items: 1, threads: 1 },
            recipient: Recipient::Person(RecipientPerson { id: w("op1"), sealing: Digest([2; 32]) }),
            policy: w("std"),
            notice: Notice::Immediate,
            created: clock(),
            expires: clock().plus_seconds(3_600),
        };
        self.signed(&request, "req")
    }

    pub(crate) fn decision(&self, by: &str, role: &str, choice: Choice) -> Envelope {
        let decision = Decision {
            kind: Kind::Decision,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: self.genesis.digest(),
            request: Digest([9; 32]),
            by: w(by),
            role: w(role),
            choice,
            reason: w("r"),
            at: clock(),
        };
        self.signed(&decision, by)
    }

    /// A question of `by` to a seat, signed by `signer`.
    pub(crate) fn query(&self, by: &str, seat: u8, signer: &SigningKey) -> Envelope {
        let query = Query {
            kind: Kind::Query,
            org: w("acme"),
            nonce: Nonce::random(),
            charter: self.genesis.digest(),
            by: Caller::Person(w(by)),
            seat: SeatIndex::new(seat).unwrap(),
            what: Question::Matters,
            at: clock(),
        };
        Envelope::sign(&query, &[signer]).unwrap()
    }
}
