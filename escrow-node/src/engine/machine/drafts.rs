//! The larger statements of [`super::speech`]: consents, deposits, requests, charters.

use super::cast::{CAST, PEOPLE, about, controller, hours, number, person, t0, text, w};
use super::model::{Act, DAY, Model};
use super::ops::POLICIES;
use super::speech::{Speech, device, matter_id, newest, own};
use escrow_core::charter::*;
use escrow_core::consent::*;
use escrow_core::deal::{Deal, Item, OpenedDeal, Participant};
use escrow_core::deposit::{Deposit, SeatBlob};
use escrow_core::request::*;
use escrow_core::{Blob, Digest, ItemId, Kind, Nonce, SigningKey, Timestamp, Token};

impl Speech {
    #[allow(clippy::too_many_arguments)] // the numbers of one operation
    pub(super) fn consent(
        &self,
        nonce: Nonce,
        charter: Digest,
        at: Timestamp,
        n: u8,
        subject: u8,
        flavour: u8,
        model: &Model,
    ) -> (Act, Vec<&'static SigningKey>) {
        let (key, token) = device(n);
        let works = flavour == 1 || flavour == 8;
        let subject = if subject == 0 { token } else { device(2 * (subject - 1)).1 };
        let mut policies: Vec<PolicyRef> =
            model.in_force().1.policies.iter().map(|p| PolicyRef { id: p.id.clone(), digest: p.digest() }).collect();
        policies.sort();
        if flavour == 2 {
            policies.truncate(3);
        }
        if flavour == 3 {
            policies[0].digest = Digest([3; 32]);
        }
        let a = CAST.tokens.thread("a");
        let consent = Consent {
            kind: Kind::Consent,
            org: w("acme"),
            nonce,
            charter,
            subject,
            coverage: if flavour == 4 { Coverage::Threads(vec![a]) } else { Coverage::Workspace },
            from: t0(),
            to: t0().plus_seconds(400 * DAY),
            epochs: None,
            purposes: vec![w("inquiry")],
            basis: if works { Basis::WorksAgreement } else { Basis::Consent },
            authority: works.then(authority),
            policies,
            floor: if flavour == 5 { Floor { t: 3, n: 4 } } else { Floor { t: 2, n: 3 } },
            retention_days: 30,
            notice: NoticeText { digest: Digest([4; 32]), language: w("de"), terms: w("immediate") },
            expires: if flavour == 6 { at.plus_seconds(7_200) } else { at.plus_seconds(60 * DAY) },
            record: Record {
                schema_version: w("1"),
                record_id: w("r1"),
                jurisdiction: w("DE"),
                pii_types: vec![w("message-content")],
                controllers: vec![controller()],
                storage_locations: vec![w("DE")],
                recipients: vec![w("by-request")],
                withdrawal_method: w("app"),
                event_time: at,
                event_type: w("explicit"),
                event_state: w("given"),
                entity_id: w("subject"),
            },
        };
        let keys = match flavour {
            1 => vec![own("cou"), own("dpo")],
            7 => vec![own("rig")],
            8 => vec![own("dee")],
            _ => vec![key],
        };
        (Act::Consent(consent), keys)
    }

    pub(super) fn deposit(
        &self,
        nonce: Nonce,
        charter: Digest,
        at: Timestamp,
        n: u8,
        back: u8,
        shape: u8,
    ) -> Option<(Act, Vec<&'static SigningKey>)> {
        let (key, depositor) = device(n);
        let consents = self.of(|a| if let Act::Consent(c) = a { Some(c) } else { None });
        let (consent, agreed) = newest(consents, back)?;
        let (a, b) = (CAST.tokens.thread("a"), CAST.tokens.thread("b"));
        let who = |id: &str, inside| Participant { token: CAST.tokens.subject(id), inside };
        let me = Participant { token: depositor, inside: true };
        let abouts = match shape % 8 {
            0 => vec![about(a, 1, vec![me])],
            1 => vec![about(a, 1, vec![me]), about(a, 2, vec![me])],
            2 => vec![about(b, 1, vec![me, who("don", true)])],
            3 => vec![about(b, 1, vec![me, who("don", false), who("ext", false)])],
            4 => {
                let other = who(if depositor == who("tia", true).token { "sam" } else { "tia" }, true);
                vec![about(a, 1, vec![me, other]), about(b, 1, vec![me, other, who("ext", false)])]
            }
            5 => vec![about(a, 1, vec![me, who("rex", true)])],
            6 => vec![about(a, 1, vec![me, who("off", true)])],
            _ => vec![about(b, 7, vec![me])],
        };
        let deal = Deal {
            org: w("acme"),
            nonce,
            generation: 1,
            t: 2,
            n: 3,
            consent,
            policies: agreed.policies.clone(),
            depositor,
            items: abouts.into_iter().map(|about| Item { about, ..CAST.item.clone() }).collect(),
        };
        let bytes = serde_json::to_vec(&deal).unwrap();
        let ids = OpenedDeal::parse(&bytes).unwrap().item_ids();
        let blob = |n| SeatBlob { seat: super::cast::seat(n), sha256: Digest([n; 32]) };
        let blobs = (1..=3).map(blob).collect();
        let deposit =
            Deposit { kind: Kind::Deposit, org: w("acme"), nonce, charter, depositor, deal: Blob(bytes), blobs, at };
        Some((Act::Deposit(deposit, deal, ids), vec![key]))
    }

    #[allow(clippy::too_many_arguments)] // the numbers of one operation
    pub(super) fn request(
        &self,
        nonce: Nonce,
        charter: Digest,
        at: Timestamp,
        by: u8,
        deposits: u8,
        more: bool,
        recipient: u8,
        policy: u8,
        flavour: u8,
    ) -> Option<(Act, Vec<&'static SigningKey>)> {
        let by = ["req", "rex", "ops", "lea", "off", "fit", "don", "ann"][usize::from(by % 8)];
        let mut chosen = vec![newest(self.deposits(), deposits)?.1];
        if more {
            chosen.extend(newest(self.deposits(), deposits + 1).map(|d| d.1));
        }
        let mut items: Vec<ItemId> = chosen.iter().flat_map(|(_, ids)| (*ids).clone()).collect();
        items.sort();
        items.dedup();
        let mut threads: Vec<Token> = chosen.iter().flat_map(|(d, _)| d.items.iter().map(|i| i.about.thread)).collect();
        if flavour == 7 {
            threads = vec![CAST.tokens.thread("c")];
        }
        threads.sort();
        threads.dedup();
        let to = |id: &str, key: &SealingKey| RecipientPerson { id: w(id), sealing: key.digest() };
        let listed = |id: &str| to(id, &CAST.sealing[number(id)]);
        let recipient = match recipient % 12 {
            0 | 10 => Recipient::Person(listed("off")),
            1 => Recipient::FilterTeam(listed("fil")),
            n @ (2 | 8) => {
                let key = device(if n == 2 { 0 } else { 5 }).0.public();
                let (enrolment, d) = self.enrolment_of(&key)?;
                Recipient::Device(RecipientDevice { enrolment, key, sealing: d.sealing.digest() })
            }
            3 => Recipient::Person(listed("lea")),
            4 => Recipient::Person(listed("req")),
            5 => Recipient::Person(to("off", &CAST.spare[6])),
            6 => Recipient::FilterTeam(listed("fit")),
            7 => Recipient::FilterTeam(listed("off")),
            9 => Recipient::Person(listed("fil")),
            _ => Recipient::Person(listed("fit")),
        };
        let created = if flavour == 1 { at.plus_seconds(-7_200) } else { at };
        let notice = match flavour {
            5 | 6 => Notice::Delayed(DelayedNotice {
                order: w("o"),
                until: created.plus_seconds(if flavour == 5 { 10 } else { 40 } * DAY),
            }),
            _ => Notice::Immediate,
        };
        let from = if flavour == 9 { hours(100) } else { t0() };
        let request = Request {
            kind: Kind::Request,
            org: w("acme"),
            nonce,
            charter,
            matter: matter_id(u8::from(by == "rex")),
            by: w(by),
            basis: if flavour == 2 { Basis::Order } else { Basis::Consent },
            authority: (flavour == 2).then(authority),
            purpose: w(if flavour == 3 { "curiosity" } else { "inquiry" }),
            counts: Counts { items: items.len() as u64, threads: threads.len() as u64 },
            scope: Scope { threads, from, to: from.plus_seconds(90_000) },
            selection: None,
            items,
            recipient,
            policy: w(POLICIES[usize::from(policy) % POLICIES.len()]),
            notice,
            created,
            expires: created.plus_seconds(match flavour {
                4 => 2 * DAY,
                8 => 3_600,
                _ => 40_000,
            }),
        };
        Some((Act::Request(request), vec![own(by)]))
    }
}

fn authority() -> Authority {
    Authority { reference: w("ref"), document: Digest([5; 32]) }
}

/// A version after the newest; or a second one after that before the one in force.
pub(super) fn successor(model: &Model, change: u8, fork: bool, settle: bool, nonce: Nonce, at: Timestamp) -> Charter {
    let force = model.in_force();
    let parent = if fork { force.1.previous.unwrap_or(force.0) } else { model.newest() };
    let mut c = model.charter(&parent).unwrap().clone();
    (c.nonce, c.version, c.previous, c.issued) = (nonce, c.version + 1, Some(parent), at.max(c.issued));
    c.voided = if settle && !fork { model.beside(&parent) } else { vec![] };
    let find = |c: &Charter, id: &str| c.people.iter().position(|p| p.id == w(id));
    let policy = |c: &mut Charter, id: &str, new: &str| {
        if let Some(p) = c.policies.iter_mut().find(|p| p.id == w(id)) {
            p.text = text(new).into();
        }
    };
    let drop_role = |c: &mut Charter, id: &str, role: &str| {
        if let Some(p) = find(c, id) {
            c.people[p].roles.retain(|r| r.as_str() != role);
        }
    };
    match change % 14 {
        0 => c.people.retain(|p| !["lea", "don"].map(w).contains(&p.id)),
        1 | 13 => {
            c.people = (0..PEOPLE.len()).map(person).collect();
            c.policies = super::cast::genesis().policies;
            c.limits.items_per_request = 4;
        }
        2 => drop_role(&mut c, "lea", "legal"),
        3 => {
            if let Some(p) = find(&c, "dpo") {
                // It turns out to have ended before what it signed today.
                c.people[p].keys[0].until = at.plus_seconds(-600);
            }
        }
        4 => policy(&mut c, "std", "strict"),
        5 => policy(&mut c, "std", "weak"),
        6 => c.policies.retain(|p| p.id != w("any")),
        7 => {
            if let Some(p) = find(&c, "off") {
                c.people[p].sealing = Some(CAST.spare[6].clone());
            }
        }
        8 => drop_role(&mut c, "req", "requestor"),
        9 => c.limits.items_per_request = 1,
        10 => policy(&mut c, "any", "weak"),
        11 => {
            if let Some(p) = find(&c, "lou") {
                c.people[p].keys[0].from = at.plus_seconds(3_600);
            }
        }
        _ => {}
    }
    c
}
