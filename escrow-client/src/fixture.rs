//! A whole escrow in memory, for unit tests: charter, seats with their keys, officers, a device.

use crate::charters::Charters;
use crate::client::Client;
use crate::identity::{Device, Identity, Officer};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{Entry, StatementRef};
use escrow_audit::note::NoteSigner;
use escrow_audit::proof::TlogProof;
use escrow_audit::tree::{Tree, leaf_hash};
use escrow_core::charter::{Basis, Charter, Generation, Limits, Person, PersonKey, Policy, Seat, Subject};
use escrow_core::consent::{Consent, Coverage, Floor, NoticeText, Party, PolicyRef, Record};
use escrow_core::deal::{About, KeySource, Participant};
use escrow_core::receipt::Receipt;
use escrow_core::request::Notice;
use escrow_core::sealing::{SealingSecret, Suite};
use escrow_core::wire::Receipted;
use escrow_core::{Blob, Digest, Envelope, Kind, Nonce, SeatIndex, SigningKey, ThreadKey, Timestamp, Token, TokenKey};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(crate) const POLICY: &str = r#"@id("two-approvers") permit(principal, action, resource) when { context.approvals.legal >= 1 && context.approvals.dpo >= 1 };"#;

/// The secrets of one seat.
pub(crate) struct SeatKeys {
    pub(crate) statement: SigningKey,
    pub(crate) log: SigningKey,
    pub(crate) sealing: SealingSecret,
}

/// Everything.
pub(crate) struct World {
    pub(crate) admin: Arc<Identity>,
    pub(crate) requestor: Arc<Identity>,
    pub(crate) recipient: Arc<Identity>,
    pub(crate) device: Arc<Identity>,
    pub(crate) seats: Vec<SeatKeys>,
    pub(crate) charter: Charter,
    pub(crate) charters: Charters,
    pub(crate) tokens: TokenKey,
}

pub(crate) fn seat(n: u8) -> SeatIndex {
    SeatIndex::new(n).unwrap()
}

pub(crate) fn subject(tokens: &TokenKey) -> Token {
    tokens.subject("ann")
}

fn person(identity: &Identity, roles: &[&str]) -> Person {
    let officer = identity.officer().unwrap();
    Person {
        id: officer.person.clone(),
        name: format!("Officer {}", officer.person),
        roles: roles.iter().map(|r| r.parse().unwrap()).collect(),
        keys: vec![PersonKey { key: officer.signing.public(), from: Timestamp::EPOCH, until: Timestamp::MAX }],
        sealing: officer.sealing.as_ref().map(|s| s.public().clone()),
        subject: Subject::NoSubject,
    }
}

fn officer(id: &str, recipient: bool) -> Arc<Identity> {
    Arc::new(Identity::Officer(Officer::generate(id.parse().unwrap(), recipient.then_some(Suite::XWing))))
}

impl World {
    /// 3 of 5.
    pub(crate) fn new() -> Self {
        let (admin, requestor, recipient) = (officer("admin", false), officer("asker", false), officer("reader", true));
        let (legal, dpo) = (officer("legal", false), officer("dpo", false));
        let tokens = TokenKey::generate(1);
        let device = Arc::new(Identity::Device(Device::generate(subject(&tokens), Suite::XWing)));
        let seats: Vec<SeatKeys> = (0..5)
            .map(|_| SeatKeys {
                statement: SigningKey::generate_ed25519(),
                log: SigningKey::generate_ed25519(),
                sealing: SealingSecret::generate(Suite::XWing),
            })
            .collect();
        let listed = (1u8..).zip(&seats).map(|(n, k)| Seat {
            index: seat(n),
            name: format!("node-{n}").parse().unwrap(),
            operators: vec!["admin".parse().unwrap()],
            operator: format!("Operator {n}").parse().unwrap(),
            jurisdiction: "DE".parse().unwrap(),
            url: format!("https://127.0.0.1:{}", 40_000 + u16::from(n)),
            tls_pin: Digest::of(&[n]),
            statement_key: k.statement.public(),
            log_origin: format!("log.example/{n}"),
            log_key: k.log.public(),
            witness_key: SigningKey::generate_ed25519().public(),
            sealing: k.sealing.public().clone(),
            previous_log_head: None,
        });
        let charter = Charter {
            kind: Kind::Charter,
            org: "acme.example".parse().unwrap(),
            nonce: Nonce::random(),
            demo: true,
            version: 1,
            previous: None,
            voided: vec![],
            issued: crate::clock::now(),
            seats: listed.collect(),
            generations: vec![Generation { number: 1, t: 3, members: (1..=5).map(seat).collect() }],
            people: vec![
                person(&admin, &["admin", "registrar"]),
                person(&requestor, &["requestor"]),
                person(&recipient, &[]),
                person(&legal, &["legal"]),
                person(&dpo, &["dpo"]),
            ],
            policies: vec![Policy { id: "standard".parse().unwrap(), schema: 1, text: POLICY.into() }],
            admin_quorum: 1,
            registrar_quorum: 1,
            approver_roles: vec!["legal".parse().unwrap(), "dpo".parse().unwrap()],
            basis_signers: vec![],
            token_versions: vec![1],
            controllers: vec![Party {
                id: "acme.example".parse().unwrap(),
                name: "ACME GmbH".parse().unwrap(),
                kind: "controller".parse().unwrap(),
                contact: "dpo at acme.example".parse().unwrap(),
                address: "Example Street 1".parse().unwrap(),
            }],
            limits: Limits {
                request_life_s: 86_400,
                items_per_request: 1_000,
                requests_per_requestor_month: 1_000,
                items_per_requestor_month: 100_000,
                permit_life_s: 60,
                notice_delay_days: 30,
                recovery_delay_s: 86_400,
                clock_skew_s: 60,
                charter_grace_s: 3_600,
                sealing_key_days: 90,
            },
        };
        let genesis = Envelope::sign(&charter, &[admin.signing().unwrap()]).unwrap();
        let charters = Charters::verify(genesis.digest(), vec![genesis]).unwrap();
        Self { admin, requestor, recipient, device, seats, charter, charters, tokens }
    }

    pub(crate) fn client(&self, identity: &Arc<Identity>) -> Client {
        Client::new(self.charters.clone(), identity.clone()).unwrap()
    }

    pub(crate) fn keys(&self, n: u8) -> &SeatKeys {
        &self.seats[usize::from(n) - 1]
    }

    pub(crate) fn consent(&self) -> (Digest, Consent) {
        let code = |s: &str| s.parse().unwrap();
        let policy = &self.charter.policies[0];
        let consent = Consent {
            kind: Kind::Consent,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.charters.digest(),
            subject: subject(&self.tokens),
            coverage: Coverage::Workspace,
            from: Timestamp::EPOCH,
            to: Timestamp::MAX,
            epochs: None,
            purposes: vec![code("investigation")],
            basis: Basis::Consent,
            authority: None,
            policies: vec![PolicyRef { id: policy.id.clone(), digest: policy.digest() }],
            floor: Floor { t: 3, n: 5 },
            retention_days: 30,
            notice: NoticeText { digest: Digest::of(b"notice"), language: code("en"), terms: code("immediate") },
            expires: crate::clock::now().plus_seconds(3_600),
            record: Record {
                schema_version: code("1"),
                record_id: code("r"),
                jurisdiction: code("DE"),
                pii_types: vec!["message-content".parse().unwrap()],
                controllers: vec![Party {
                    id: "acme.example".parse().unwrap(),
                    name: "ACME GmbH".parse().unwrap(),
                    kind: "controller".parse().unwrap(),
                    contact: "dpo at acme.example".parse().unwrap(),
                    address: "Example Street 1".parse().unwrap(),
                }],
                storage_locations: vec!["DE".parse().unwrap()],
                recipients: vec!["by-request".parse().unwrap()],
                withdrawal_method: code("escrow consent withdraw"),
                event_time: crate::clock::now(),
                event_type: code("explicit"),
                event_state: code("given"),
                entity_id: code("subject"),
            },
        };
        let envelope = self.client(&self.device).sign(&consent).unwrap();
        (envelope.digest(), consent)
    }

    /// Items with keys of the byte `n`.
    pub(crate) fn items(&self, count: u8) -> Vec<(About, ThreadKey)> {
        (0..count).map(|n| (self.about(n), ThreadKey::from_bytes(Zeroizing::new([n; 32])))).collect()
    }

    pub(crate) fn about(&self, n: u8) -> About {
        About {
            source: KeySource::ContentKey,
            thread: self.tokens.thread("t"),
            era: 0,
            epoch: u64::from(n),
            authenticator: Blob::default(),
            from: Timestamp::from_millis(i64::from(n) * 86_400_000),
            to: Timestamp::from_millis((i64::from(n) + 1) * 86_400_000),
            archive: Some(Digest([n; 32])),
            participants: vec![Participant { token: subject(&self.tokens), inside: true }],
        }
    }

    /// What a node answers to a statement: entry 2 of a log of 5.
    pub(crate) fn receipt(&self, n: u8, statement: &Envelope) -> Receipted {
        let (receipt, proof) = self.receipt_parts(n, statement);
        let envelope = Envelope::sign(&receipt, &[&self.keys(n).statement]).unwrap();
        Receipted { receipt: Blob(envelope.bytes().to_vec()), proof }
    }

    /// The entry in which a node's log holds a statement.
    pub(crate) fn entry(&self, n: u8, statement: &Envelope) -> Vec<u8> {
        let reference = StatementRef { stmt: statement.digest().0, env: statement.envelope_digest().0 };
        Entry {
            log: format!("log.example/{n}"),
            seq: 2,
            ts: 1,
            prev: leaf_hash(&[1]),
            kind: statement.kind().name().into(),
            statement: Some(reference),
            body: serde_json::Map::new(),
        }
        .encode()
        .unwrap()
    }

    pub(crate) fn receipt_parts(&self, n: u8, statement: &Envelope) -> (Receipt, String) {
        let entry = leaf_hash(&self.entry(n, statement));
        let tree: Tree = (0..5u8).map(|i| if i == 2 { entry } else { leaf_hash(&[i]) }).collect();
        let SigningKey::Ed25519(log) = &self.keys(n).log else { unreachable!() };
        let origin = format!("log.example/{n}");
        let head =
            Checkpoint::new(&origin, 5, tree.root()).unwrap().sign(&NoteSigner::new(&origin, log).unwrap()).unwrap();
        let hashes = tree.inclusion_proof(2, 5).unwrap();
        let proof = TlogProof { extra: None, index: 2, hashes, checkpoint: head.note().clone() };
        let receipt = Receipt {
            kind: Kind::Receipt,
            org: self.charter.org.clone(),
            nonce: Nonce::random(),
            charter: self.charters.digest(),
            seat: seat(n),
            statement: statement.digest(),
            envelope: statement.envelope_digest(),
            log: origin,
            seq: 2,
            leaf: Digest(entry),
            at: crate::clock::now(),
        };
        (receipt, String::from_utf8(proof.to_bytes()).unwrap())
    }

    pub(crate) const NOTICE: Notice = Notice::Immediate;
}
