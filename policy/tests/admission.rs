//! Admission: each row is a statement that must be refused, and the code of the rule that refuses
//! it. Then the restrictions: they count under older charters, and when they arrive first.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::type_complexity)]

mod common;

use common::*;
use escrow_core::charter::{Basis, Charter, Subject};
use escrow_core::consent::{Authority, Consent, Coverage, Epochs, Floor, PolicyRef};
use escrow_core::deal::{About, Deal};
use escrow_core::decision::Choice::{Approve, Deny, Recuse};
use escrow_core::deposit::Deposit;
use escrow_core::enrolment::{Enrolment, Revoked};
use escrow_core::matter::MatterAction::{Close, Open, Reopen};
use escrow_core::notification::{Notification, NotificationEvent};
use escrow_core::query::{CustodianScope, EntryRange, Exported, Query, Question};
use escrow_core::receipt::Receipt;
use escrow_core::recovery::SelfRecovery;
use escrow_core::release::{Caller, Release};
use escrow_core::request::{Counts, DelayedNotice, Notice, Recipient, RecipientDevice, RecipientPerson, Request};
use escrow_core::view::View;
use escrow_core::{Blob, Digest, Envelope, Kind, Nonce, Timestamp};
use escrow_policy::Rule;
use escrow_policy::admit::{verify_call, verify_query};
use std::collections::BTreeSet;

const REGISTRARS: &[&str] = &["rita", "rolf"];
const MARIA: &[&str] = &["device of maria"];
const MAX: &[&str] = &["device of max"];
const TABLET: &[&str] = &["device of tablet"];

// ---- Statements with one change, signed by whoever should sign them -------------------------

/// A millisecond more than this many seconds after `from`.
fn a_moment_over(from: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_millis(from.plus_seconds(seconds).millis() + 1)
}

fn enrolment(c: &Case, change: impl FnOnce(&mut Enrolment)) -> Envelope {
    let mut e = c.node.enrolment(&["new"]);
    change(&mut e);
    sign(&e, REGISTRARS)
}

fn consent(c: &Case, change: impl FnOnce(&mut Consent)) -> Envelope {
    let mut x = c.node.consent("maria");
    change(&mut x);
    sign(&x, MARIA)
}

/// A consent on the works agreement.
fn agreement(c: &Case) -> Consent {
    let mut x = c.node.consent("maria");
    x.basis = Basis::WorksAgreement;
    x.authority = Some(Authority { reference: w("WA-1"), document: Digest::of(b"agreement") });
    x
}

fn deal(c: &Case, header: impl FnOnce(&mut Deal), item: impl FnOnce(&mut About)) -> Deposit {
    let mut h = c.node.deal("maria", c.consent);
    header(&mut h);
    let mut a = about("t1");
    item(&mut a);
    c.node.deposit("maria", &c.node.dealt(h, &[a]))
}

fn deposit(c: &Case, header: impl FnOnce(&mut Deal), item: impl FnOnce(&mut About)) -> Envelope {
    sign(&deal(c, header, item), MARIA)
}

/// A deposit under a fresh consent that differs in one thing.
fn deposit_under(c: &mut Case, change: impl FnOnce(&mut Consent)) -> Envelope {
    let e = consent(c, change);
    let consent = c.node.log(&e);
    deposit(c, |d| d.consent = consent, |_| {})
}

fn request(c: &Case, change: impl FnOnce(&mut Request)) -> Envelope {
    let mut r = c.node.request(&c.items);
    change(&mut r);
    sign(&r, &[r.by.as_str()])
}

fn query(c: &Case, change: impl FnOnce(&mut Query)) -> Query {
    let mut q = c.node.query(by_person("leo"), Question::Requests);
    change(&mut q);
    q
}

/// The same case under charter version 2, with one change.
fn moved_on(change: impl FnOnce(&mut Charter)) -> Case {
    let mut c = Case::new();
    let v2 = successor(&c.genesis, change);
    c.node.follow(&v2);
    c
}

/// A statement whose signer saw version 1.
macro_rules! saw_version_1 {
    ($c:ident, $statement:expr, $by:expr) => {{
        let mut s = $statement;
        s.charter = $c.genesis.digest();
        sign(&s, $by)
    }};
}

fn flip(e: &Envelope) -> Envelope {
    let mut json: serde_json::Value = serde_json::from_slice(e.bytes()).unwrap();
    let mut sig: Blob = serde_json::from_value(json["signatures"][0]["sig"].clone()).unwrap();
    sig.0[5] ^= 1;
    json["signatures"][0]["sig"] = serde_json::to_value(sig).unwrap();
    Envelope::parse(&serde_json::to_vec(&json).unwrap()).unwrap()
}

/// A self-recovery of maria's items to her first device, with one change.
fn recovery(c: &Case, change: impl FnOnce(&mut SelfRecovery)) -> Envelope {
    let mut r = c.node.self_recovery("maria", "maria", c.enrolment, &c.items);
    change(&mut r);
    sign(&r, MARIA)
}

/// A case in which maria has a second device.
fn with_tablet() -> Case {
    let mut c = Case::new();
    let e = sign(&c.node.further_device("maria", "tablet"), REGISTRARS);
    c.node.log(&e);
    c
}

/// The device of maria at a case where the recipient is ida's colleague with an office.
fn with_recipient(id: &str) -> Case {
    let mut c = Case::new();
    c.request =
        c.ask(|r| r.recipient = Recipient::Person(RecipientPerson { id: w(id), sealing: sealing(id).digest() }));
    c
}

// ---- The table ------------------------------------------------------------------------------

/// Name, rule, how the case differs, and the statement that is refused.
type Row = (&'static str, Rule, fn() -> Case, fn(&mut Case) -> Envelope);

const TABLE: &[Row] = &[
    // The envelope and its payload.
    ("an unknown member", Rule::Malformed, Case::new, |c| {
        resign(&request(c, |_| {}), &["ida"], |j| j["more"] = 1.into())
    }),
    ("a member is missing", Rule::Malformed, Case::new, |c| {
        resign(&consent(c, |_| {}), MARIA, |j| drop(j.as_object_mut().unwrap().remove("epochs")))
    }),
    ("a payload of another kind", Rule::Malformed, Case::new, |c| {
        sign_bytes(Kind::Decision, request(c, |_| {}).payload(), &["ida"])
    }),
    ("no items asked for", Rule::Malformed, Case::new, |c| {
        resign(&request(c, |_| {}), &["ida"], |j| {
            j["items"] = serde_json::json!([]);
            j["counts"]["items"] = 0.into()
        })
    }),
    ("a device under an unknown token version", Rule::Malformed, Case::new, |c| {
        enrolment(c, |e| e.devices[0].subject.version = 2)
    }),
    ("a device sealing key that is none", Rule::Malformed, Case::new, |c| {
        enrolment(c, |e| e.devices[0].sealing.public.0.truncate(9))
    }),
    ("a consent under an unknown token version", Rule::Malformed, Case::new, |c| consent(c, |x| x.subject.version = 2)),
    ("a thread under an unknown token version", Rule::Malformed, Case::new, |c| {
        let e = consent(c, |x| x.coverage = Coverage::Workspace);
        let consent = c.node.log(&e);
        deposit(c, |d| d.consent = consent, |a| a.thread.version = 2)
    }),
    ("another organisation's request", Rule::WrongOrg, Case::new, |c| request(c, |r| r.org = w("other.example"))),
    ("another organisation's charter", Rule::WrongOrg, Case::new, |c| {
        successor(&c.genesis, |x| x.org = w("other.example"))
    }),
    ("another organisation's deal", Rule::WrongOrg, Case::new, |c| deposit(c, |d| d.org = w("other.example"), |_| {})),
    // Signatures.
    ("one bit of the signature", Rule::BadSignature, Case::new, |c| flip(&request(c, |_| {}))),
    ("one bit of a device's signature", Rule::BadSignature, Case::new, |c| flip(&consent(c, |_| {}))),
    ("one bit of one of two signatures", Rule::BadSignature, Case::new, |c| flip(&enrolment(c, |_| {}))),
    ("one bit of an es256 signature", Rule::BadSignature, Case::new, |c| {
        flip(&c.node.decide(c.request, "dora", "dpo", Deny))
    }),
    ("a signature over other bytes", Rule::BadSignature, Case::new, |c| {
        let (a, b) = (request(c, |_| {}), request(c, |_| {}));
        let json: serde_json::Value = serde_json::from_slice(a.bytes()).unwrap();
        let sig: Blob = serde_json::from_value(json["signatures"][0]["sig"].clone()).unwrap();
        assemble(Kind::Request, b.payload(), &[(public("ida").id(), sig)])
    }),
    ("a key that nobody knows", Rule::BadSignature, Case::new, |c| sign(&c.node.request(&c.items), &["stranger"])),
    ("a seat's key", Rule::BadSignature, Case::new, |c| sign(&c.node.request(&c.items), &["seat1"])),
    ("two signatures where one is due", Rule::BadSignature, Case::new, |c| {
        sign(&c.node.request(&c.items), &["ida", "ivan"])
    }),
    ("two devices on one consent", Rule::BadSignature, Case::new, |c| {
        sign(&c.node.consent("maria"), &["device of maria", "device of max"])
    }),
    ("one registrar twice", Rule::BadSignature, Case::new, |c| sign(&c.node.enrolment(&["new"]), &["rita", "rita"])),
    ("a quorum and a stranger", Rule::BadSignature, Case::new, |c| {
        sign(&c.node.enrolment(&["new"]), &["rita", "rolf", "stranger"])
    }),
    ("an own verdict by another key", Rule::BadSignature, Case::new, |c| {
        sign(&c.node.verdict(1, c.request), &["seat2"])
    }),
    // Who signed.
    ("a request in another's name", Rule::WrongSigner, Case::new, |c| sign(&c.node.request(&c.items), &["ivan"])),
    ("a decision in another's name", Rule::WrongSigner, Case::new, |c| {
        sign(&c.node.decision(c.request, "lena", "legal", Approve), &["leo"])
    }),
    ("a denial in another's name", Rule::WrongSigner, Case::new, |c| {
        sign(&c.node.decision(c.request, "lena", "legal", Deny), &["leo"])
    }),
    ("a matter closed in another's name", Rule::WrongSigner, Case::new, |c| {
        sign(&c.node.matter(Close, Some(c.opening)), &["ivan"])
    }),
    ("a consent for another subject", Rule::WrongSigner, Case::new, |c| sign(&c.node.consent("maria"), MAX)),
    ("a deposit for another subject", Rule::WrongSigner, Case::new, |c| sign(&deal(c, |_| {}, |_| {}), MAX)),
    ("a deposit of another's deal", Rule::WrongSigner, Case::new, |c| {
        deposit(c, |d| d.depositor = subject("max"), |_| {})
    }),
    ("another's consent withdrawn in one's own name", Rule::WrongSigner, Case::new, |c| {
        sign(&c.node.withdrawal(c.consent, "max"), MAX)
    }),
    ("another's consent withdrawn in their name", Rule::WrongSigner, Case::new, |c| {
        sign(&c.node.withdrawal(c.consent, "maria"), MAX)
    }),
    ("another seat's verdict", Rule::WrongSigner, Case::new, |c| sign(&c.node.verdict(2, c.request), &["seat2"])),
    ("a query for another seat", Rule::WrongSigner, Case::new, |c| {
        sign(&query(c, |q| q.seat = seat_index(2)), &["leo"])
    }),
    // Offices.
    ("a request without the office", Rule::NotEntitled, Case::new, |c| request(c, |r| r.by = w("leo"))),
    ("a matter without the office", Rule::NotEntitled, Case::new, |c| {
        let mut m = c.node.matter(Open, None);
        (m.by, m.matter) = (w("leo"), w("MAT-2"));
        sign(&m, &["leo"])
    }),
    ("an approval in an office not held", Rule::NotEntitled, Case::new, |c| {
        c.node.decide(c.request, "leo", "dpo", Approve)
    }),
    ("a denial in an office not held", Rule::NotEntitled, Case::new, |c| c.node.decide(c.request, "leo", "dpo", Deny)),
    ("an approval in an office that does not approve", Rule::NotEntitled, Case::new, |c| {
        c.node.decide(c.request, "wim", "works-council", Approve)
    }),
    ("a denial in an office that does not approve", Rule::NotEntitled, Case::new, |c| {
        c.node.decide(c.request, "rita", "registrar", Deny)
    }),
    ("a cancellation by another requestor", Rule::NotEntitled, Case::new, |c| c.node.cancellation(c.request, "ivan")),
    ("a cancellation without the office", Rule::NotEntitled, Case::new, |c| c.node.cancellation(c.request, "leo")),
    ("a basis for which nobody may sign", Rule::NotEntitled, Case::new, |c| {
        let mut x = agreement(c);
        x.basis = Basis::Contract;
        sign(&x, &["leo", "wim"])
    }),
    ("a device asks for the log", Rule::NotEntitled, Case::new, |c| {
        sign(
            &query(c, |q| {
                (q.by, q.what) = (by_device("maria"), Question::Entries(EntryRange { log: 1, from: 0, count: 1 }))
            }),
            MARIA,
        )
    }),
    ("a device asks for requests", Rule::NotEntitled, Case::new, |c| {
        sign(&query(c, |q| q.by = by_device("maria")), MARIA)
    }),
    // Quorums.
    ("enrolled by one registrar", Rule::QuorumMissing, Case::new, |c| sign(&c.node.enrolment(&["new"]), &["rita"])),
    ("enrolled by a registrar and an administrator", Rule::QuorumMissing, Case::new, |c| {
        sign(&c.node.enrolment(&["new"]), &["rita", "ada"])
    }),
    (
        "enrolled with two keys of one registrar",
        Rule::QuorumMissing,
        || Case::with(|c| of(c, "rita").keys.push(person_key("rita 2"))),
        |c| sign(&c.node.enrolment(&["new"]), &["rita", "rita 2"]),
    ),
    ("enrolled by a registrar whose key was revoked", Rule::QuorumMissing, Case::new, |c| {
        c.node.revoke("rolf");
        enrolment(c, |_| {})
    }),
    (
        "enrolled with a registrar's expired key",
        Rule::QuorumMissing,
        || Case::with(|c| of(c, "rolf").keys[0].until = days(1)),
        |c| {
            c.node.wait(DAY);
            enrolment(c, |_| {})
        },
    ),
    ("revoked by one registrar", Rule::QuorumMissing, Case::new, |c| {
        sign(&c.node.revocation(Revoked::Key(public("leo"))), &["rita"])
    }),
    ("revoked by a registrar and an administrator", Rule::QuorumMissing, Case::new, |c| {
        sign(&c.node.revocation(Revoked::Key(public("leo"))), &["rita", "ada"])
    }),
    ("a works agreement signed by one side", Rule::QuorumMissing, Case::new, |c| sign(&agreement(c), &["leo"])),
    ("a works agreement signed twice by one side", Rule::QuorumMissing, Case::new, |c| {
        sign(&agreement(c), &["leo", "lena"])
    }),
    (
        "a works agreement signed by one person with both offices",
        Rule::QuorumMissing,
        || Case::with(|c| of(c, "wim").roles.push(w("legal"))),
        |c| sign(&agreement(c), &["wim"]),
    ),
    // Keys.
    ("a request by a revoked key", Rule::KeyRevoked, Case::new, |c| {
        c.node.revoke("ida");
        request(c, |_| {})
    }),
    ("an approval by a revoked key", Rule::KeyRevoked, Case::new, |c| {
        c.node.revoke("leo");
        c.node.decide(c.request, "leo", "legal", Approve)
    }),
    ("an approval by a key that was revoked as a key of SSH", Rule::KeyRevoked, Case::new, |c| {
        let r = sign(&c.node.revocation(Revoked::Key(over_ssh("leo"))), &["rita", "rolf"]);
        c.node.log(&r);
        c.node.decide(c.request, "leo", "legal", Approve)
    }),
    ("a consent by a revoked device", Rule::KeyRevoked, Case::new, |c| {
        c.node.revoke("device of maria");
        consent(c, |_| {})
    }),
    ("a withdrawal by a revoked device", Rule::KeyRevoked, Case::new, |c| {
        c.node.revoke("device of maria");
        sign(&c.node.withdrawal(c.consent, "maria"), MARIA)
    }),
    (
        "a request by an expired key",
        Rule::KeyNotValid,
        || Case::with(|c| of(c, "ida").keys[0].until = days(1)),
        |c| {
            c.node.wait(DAY);
            request(c, |_| {})
        },
    ),
    (
        "a request by a key not valid yet",
        Rule::KeyNotValid,
        || {
            Case::with(|c| {
                let mut k = person_key("ida 2");
                k.from = days(1);
                of(c, "ida").keys.push(k)
            })
        },
        |c| sign(&c.node.request(&c.items), &["ida 2"]),
    ),
    (
        "an approval by an expired key",
        Rule::KeyNotValid,
        || Case::with(|c| of(c, "leo").keys[0].until = days(1)),
        |c| {
            c.node.wait(DAY);
            c.node.decide(c.request, "leo", "legal", Approve)
        },
    ),
    (
        "a denial by an expired key",
        Rule::KeyNotValid,
        || Case::with(|c| of(c, "leo").keys[0].until = days(1)),
        |c| {
            c.node.wait(DAY);
            c.node.decide(c.request, "leo", "legal", Deny)
        },
    ),
    // Charters.
    (
        "an enrolment under an older charter",
        Rule::CharterStale,
        || moved_on(|_| {}),
        |c| saw_version_1!(c, c.node.enrolment(&["new"]), REGISTRARS),
    ),
    (
        "a consent under an older charter",
        Rule::CharterStale,
        || moved_on(|_| {}),
        |c| saw_version_1!(c, c.node.consent("maria"), MARIA),
    ),
    (
        "a matter opened under an older charter",
        Rule::CharterStale,
        || moved_on(|_| {}),
        |c| saw_version_1!(c, c.node.matter(Open, None), &["ida"]),
    ),
    (
        "a matter reopened under an older charter",
        Rule::CharterStale,
        || moved_on(|_| {}),
        |c| saw_version_1!(c, c.node.matter(Reopen, Some(c.opening)), &["ida"]),
    ),
    (
        "a request under an older charter",
        Rule::CharterStale,
        || moved_on(|_| {}),
        |c| saw_version_1!(c, c.node.request(&c.items), &["ida"]),
    ),
    (
        "an approval under an older charter",
        Rule::CharterStale,
        || moved_on(|_| {}),
        |c| saw_version_1!(c, c.node.decision(c.request, "leo", "legal", Approve), &["leo"]),
    ),
    (
        "a query under an older charter",
        Rule::CharterStale,
        || moved_on(|_| {}),
        |c| saw_version_1!(c, query(c, |_| {}), &["leo"]),
    ),
    (
        "a deposit under an older charter after its grace",
        Rule::CharterStale,
        || moved_on(|_| {}),
        |c| {
            c.node.wait(3_601);
            saw_version_1!(c, deal(c, |_| {}, |_| {}), MARIA)
        },
    ),
    ("a request under an unknown charter", Rule::CharterUnknown, Case::new, |c| {
        request(c, |r| r.charter = Digest::of(b"x"))
    }),
    ("a denial under an unknown charter", Rule::CharterUnknown, Case::new, |c| {
        let mut d = c.node.decision(c.request, "leo", "legal", Deny);
        d.charter = Digest::of(b"x");
        sign(&d, &["leo"])
    }),
    ("a deposit under an unknown charter", Rule::CharterUnknown, Case::new, |c| {
        let mut d = deal(c, |_| {}, |_| {});
        d.charter = Digest::of(b"x");
        sign(&d, MARIA)
    }),
    ("a request under a charter not accepted yet", Rule::CharterUnknown, Case::new, |c| {
        let v2 = successor(&c.genesis, |_| {});
        let v2 = c.node.log(&v2);
        request(c, |r| r.charter = v2)
    }),
    ("a charter whose predecessor is unknown", Rule::CharterInvalid, Case::new, |c| {
        successor(&successor(&c.genesis, |_| {}), |_| {})
    }),
    ("a second genesis", Rule::CharterInvalid, Case::new, |_| sign(&charter(), &["ada", "abe"])),
    ("a charter signed by one administrator", Rule::CharterInvalid, Case::new, |c| {
        sign(&next(&c.genesis, |_| {}), &["ada"])
    }),
    // Devices.
    ("a consent by a device that is not enrolled", Rule::NotEnrolled, Case::new, |c| {
        sign(&c.node.consent("zoe"), &["device of zoe"])
    }),
    ("a consent by a person's key", Rule::NotEnrolled, Case::new, |c| sign(&c.node.consent("lena"), &["lena"])),
    ("a deposit by a device that is not enrolled", Rule::NotEnrolled, Case::new, |c| {
        let mut d = deal(c, |_| {}, |_| {});
        d.depositor = subject("zoe");
        sign(&d, &["device of zoe"])
    }),
    ("a consent after the enrolment's end", Rule::NotEnrolled, Case::new, |c| {
        let mut x = c.node.consent("maria");
        c.node.wait(300 * DAY);
        (x.expires, x.record.event_time) = (days(400), c.node.now);
        sign(&x, MARIA)
    }),
    ("a consent before the enrolment's begin", Rule::NotEnrolled, Case::new, |c| {
        let e = enrolment(c, |e| e.from = days(1));
        c.node.log(&e);
        sign(&c.node.consent("new"), &["device of new"])
    }),
    ("a consent after the enrolment was revoked", Rule::NotEnrolled, Case::new, |c| {
        let r = sign(&c.node.revocation(Revoked::Enrolment(c.enrolment)), REGISTRARS);
        c.node.log(&r);
        consent(c, |_| {})
    }),
    ("a deposit after the enrolment was revoked", Rule::NotEnrolled, Case::new, |c| {
        let r = sign(&c.node.revocation(Revoked::Enrolment(c.enrolment)), &["ada", "abe"]);
        c.node.log(&r);
        deposit(c, |_| {}, |_| {})
    }),
    ("a withdrawal by an unknown device", Rule::NotEnrolled, Case::new, |c| {
        sign(&c.node.withdrawal(c.consent, "maria"), &["device of zoe"])
    }),
    ("a withdrawal by an officer without the office", Rule::NotEnrolled, Case::new, |c| {
        sign(&c.node.withdrawal(c.consent, "maria"), &["leo"])
    }),
    ("a query by a device that is not enrolled", Rule::NotEnrolled, Case::new, |c| {
        sign(&query(c, |q| (q.by, q.what) = (by_device("zoe"), Question::Activity)), &["device of zoe"])
    }),
    ("a device of another subject", Rule::DeviceTaken, Case::new, |c| {
        enrolment(c, |e| e.devices[0].key = public("device of maria"))
    }),
    ("a person's key as a device", Rule::DeviceTaken, Case::new, |c| {
        enrolment(c, |e| e.devices[0].key = public("lena"))
    }),
    ("a seat's key as a device", Rule::DeviceTaken, Case::new, |c| {
        enrolment(c, |e| e.devices[0].key = public("seat3 witness"))
    }),
    // Clocks: the charter allows 300 seconds.
    ("a request from the future", Rule::ClockSkew, Case::new, |c| {
        c.node.wait(302);
        let e = request(c, |_| {});
        c.node.wait(-302);
        e
    }),
    ("a matter from the future", Rule::ClockSkew, Case::new, |c| {
        let mut m = c.node.matter(Open, None);
        m.at = c.node.now.plus_seconds(302);
        sign(&m, &["ida"])
    }),
    ("an approval from the future", Rule::ClockSkew, Case::new, |c| {
        let mut d = c.node.decision(c.request, "leo", "legal", Approve);
        d.at = c.node.now.plus_seconds(302);
        sign(&d, &["leo"])
    }),
    ("a consent from the future", Rule::ClockSkew, Case::new, |c| consent(c, |x| x.record.event_time = days(1))),
    ("a deposit from the future", Rule::ClockSkew, Case::new, |c| {
        let mut d = deal(c, |_| {}, |_| {});
        d.at = days(1);
        sign(&d, MARIA)
    }),
    ("a charter from the future", Rule::ClockSkew, Case::new, |c| successor(&c.genesis, |x| x.issued = days(1))),
    ("a query from the future", Rule::ClockSkew, Case::new, |c| sign(&query(c, |q| q.at = days(1)), &["leo"])),
    ("an old query", Rule::ClockSkew, Case::new, |c| {
        let e = sign(&query(c, |_| {}), &["leo"]);
        c.node.wait(301);
        e
    }),
    ("the same query again", Rule::Malformed, Case::new, |c| {
        let e = sign(&query(c, |_| {}), &["leo"]);
        c.node.log(&e);
        e
    }),
    // Consents.
    ("a deposit under an unknown consent", Rule::ConsentUnknown, Case::new, |c| {
        deposit(c, |d| d.consent = Digest::of(b"x"), |_| {})
    }),
    ("a deposit under a withdrawn consent", Rule::ConsentWithdrawn, Case::new, |c| {
        let e = sign(&c.node.withdrawal(c.consent, "maria"), MARIA);
        c.node.log(&e);
        deposit(c, |_| {}, |_| {})
    }),
    ("a consent that has ended", Rule::ConsentExpired, Case::new, |c| consent(c, |x| x.expires = x.record.event_time)),
    ("a deposit after the consent's end", Rule::ConsentExpired, Case::new, |c| {
        c.node.wait(200 * DAY);
        deposit(c, |_| {}, |_| {})
    }),
    ("a deposit under another subject's consent", Rule::ConsentScope, Case::new, |c| {
        let x = sign(&c.node.consent("max"), MAX);
        let x = c.node.log(&x);
        deposit(c, |d| d.consent = x, |_| {})
    }),
    ("a thread that is not covered", Rule::ConsentScope, Case::new, |c| {
        deposit(c, |_| {}, |a| a.thread = thread("t3"))
    }),
    ("a time before what is covered", Rule::ConsentScope, Case::new, |c| deposit(c, |_| {}, |a| a.from = days(-101))),
    ("a time after what is covered", Rule::ConsentScope, Case::new, |c| deposit(c, |_| {}, |a| a.to = days(101))),
    ("an epoch before those covered", Rule::ConsentScope, Case::new, |c| deposit(c, |_| {}, |a| a.epoch = 4)),
    ("an epoch after those covered", Rule::ConsentScope, Case::new, |c| deposit(c, |_| {}, |a| a.epoch = 10)),
    ("a threshold under the consent's floor", Rule::ConsentFloor, Case::new, |c| {
        deposit_under(c, |x| x.floor = Floor { t: 4, n: 5 })
    }),
    ("a node set under the consent's floor", Rule::ConsentFloor, Case::new, |c| {
        deposit_under(c, |x| x.floor = Floor { t: 3, n: 6 })
    }),
    // Policies.
    ("a consent to an unknown policy", Rule::PolicyUnknown, Case::new, |c| {
        consent(c, |x| x.policies[0].id = w("other"))
    }),
    ("a consent to another text", Rule::PolicyUnknown, Case::new, |c| {
        consent(c, |x| x.policies[0].digest = Digest::of(b"x"))
    }),
    (
        "a consent to a text of an older charter",
        Rule::PolicyUnknown,
        || moved_on(|c| c.policies[0].text.push('\n')),
        |c| {
            let old = charter().policies[0].digest();
            consent(c, |x| x.policies[0].digest = old)
        },
    ),
    ("a deal under a policy that was not agreed", Rule::PolicyNotAgreed, Case::new, |c| {
        deposit(c, |d| d.policies.push(PolicyRef { id: w("zz"), digest: Digest::of(b"x") }), |_| {})
    }),
    ("a deal under another text than agreed", Rule::PolicyNotAgreed, Case::new, |c| {
        deposit(c, |d| d.policies[0].digest = Digest::of(b"x"), |_| {})
    }),
    // Deals.
    ("a deal for an unknown generation", Rule::Generation, Case::new, |c| deposit(c, |d| d.generation = 2, |_| {})),
    ("a deal with another threshold", Rule::Generation, Case::new, |c| deposit(c, |d| d.t = 2, |_| {})),
    (
        "a deal for the generation before",
        Rule::Generation,
        || moved_on(|c| c.generations.push(generation(2, 3, &[1, 2, 3, 4, 5]))),
        |c| deposit(c, |d| d.generation = 1, |_| {}),
    ),
    ("a deal that calls its size otherwise", Rule::Generation, Case::new, |c| changed_deal(c, |j| j["n"] = 4.into())),
    ("blobs for other seats", Rule::Generation, Case::new, |c| {
        let mut d = deal(c, |_| {}, |_| {});
        d.blobs[4].seat = seat_index(6);
        sign(&d, MARIA)
    }),
    ("blobs for fewer seats", Rule::Generation, Case::new, |c| {
        let mut d = deal(c, |_| {}, |_| {});
        d.blobs.pop();
        sign(&d, MARIA)
    }),
    ("a deal that is no JSON", Rule::DealInvalid, Case::new, |c| {
        let mut d = deal(c, |_| {}, |_| {});
        d.deal.0.pop();
        sign(&d, MARIA)
    }),
    ("a participant under a token version that nobody has", Rule::Malformed, Case::new, |c| {
        deposit(c, |_| {}, |a| a.participants.last_mut().unwrap().token.version = 9)
    }),
    ("a deal without items", Rule::DealInvalid, Case::new, |c| changed_deal(c, |j| j["items"] = serde_json::json!([]))),
    ("a deal with a commitment too few", Rule::DealInvalid, Case::new, |c| {
        changed_deal(c, |j| {
            let mut all: Blob = serde_json::from_value(j["items"][0]["commitments"].clone()).unwrap();
            all.0.truncate(2 * 65);
            j["items"][0]["commitments"] = serde_json::to_value(all).unwrap();
        })
    }),
    ("a deal with a commitment off the curve", Rule::DealInvalid, Case::new, |c| {
        changed_deal(c, |j| {
            let mut all: Blob = serde_json::from_value(j["items"][0]["commitments"].clone()).unwrap();
            all.0[64] ^= 1;
            j["items"][0]["commitments"] = serde_json::to_value(all).unwrap();
        })
    }),
    ("one deal under two payloads", Rule::DealReplayed, Case::new, |c| {
        let mut d = deal(c, |_| {}, |_| {});
        c.node.log(&sign(&d, MARIA));
        d.nonce = Nonce::random();
        sign(&d, MARIA)
    }),
    // Matters.
    ("a matter opened twice", Rule::MatterChain, Case::new, |c| c.node.matter_act(Open, None)),
    ("an open matter reopened", Rule::MatterChain, Case::new, |c| c.node.matter_act(Reopen, Some(c.opening))),
    ("an unknown matter reopened", Rule::MatterChain, Case::new, |c| {
        let mut m = c.node.matter(Reopen, Some(c.opening));
        m.matter = w("MAT-2");
        sign(&m, &["ida"])
    }),
    ("a matter reopened after another statement than its head", Rule::MatterChain, Case::new, |c| {
        let e = c.node.matter_act(Close, Some(c.opening));
        c.node.log(&e);
        c.node.matter_act(Reopen, Some(c.opening))
    }),
    // Requests.
    ("a request that has ended", Rule::RequestExpired, Case::new, |c| {
        let e = request(c, |_| {});
        c.node.wait(7 * DAY);
        e
    }),
    ("a request for more items than allowed", Rule::RequestLimits, Case::new, |c| {
        request(c, |r| {
            r.items = sorted((0..4u8).map(|n| Digest::of(&[n])).collect());
            r.counts = Counts { items: 4, ..r.counts }
        })
    }),
    ("a request that lives too long", Rule::RequestLimits, Case::new, |c| {
        request(c, |r| r.expires = a_moment_over(r.created, 14 * DAY))
    }),
    ("a notice delayed too long", Rule::NoticeDelay, Case::new, |c| {
        request(c, |r| {
            r.notice = Notice::Delayed(DelayedNotice { order: w("O-1"), until: r.created.plus_seconds(90 * DAY + 1) })
        })
    }),
    // Approvers, told at once.
    (
        "the requestor approves",
        Rule::ApproverIsRequestor,
        || Case::with(|c| of(c, "ida").roles.push(w("legal"))),
        |c| c.node.decide(c.request, "ida", "legal", Approve),
    ),
    (
        "the recipient approves",
        Rule::ApproverIsRecipient,
        || with_recipient("lena"),
        |c| c.node.decide(c.request, "lena", "legal", Approve),
    ),
    (
        "a subject in scope approves",
        Rule::ApproverInScope,
        || Case::of(|_| {}, |a| a.participants = participants(&[("maria", true), ("lena", true)]), |_| {}),
        |c| c.node.decide(c.request, "lena", "legal", Approve),
    ),
    (
        "the depositor approves",
        Rule::ApproverInScope,
        || Case::with(|c| of(c, "lena").subject = Subject::Tokens(vec![subject("maria")])),
        |c| c.node.decide(c.request, "lena", "legal", Approve),
    ),
    (
        "whoever was the filter team of a release approves in its matter",
        Rule::FilterTeamOnCase,
        || {
            let mut c = Case::with(|x| of(x, "lena").roles.push(w("filter-team")));
            let filtered = c.ask(|r| r.recipient = to_filter("lena"));
            c.node.delivered(filtered);
            c
        },
        |c| c.node.decide(c.request, "lena", "legal", Approve),
    ),
    ("whoever enrolled the device approves its self-recovery", Rule::ApproverInScope, Case::new, |c| {
        let e = sign(&c.node.further_device("maria", "tablet"), &["rita", "rolf", "lena"]);
        let enrolment = c.node.log(&e);
        let r = sign(&c.node.self_recovery("maria", "tablet", enrolment, &c.items), TABLET);
        let recovery = c.node.log(&r);
        c.node.decide(recovery, "lena", "legal", Approve)
    }),
    (
        "the subject approves their own self-recovery",
        Rule::ApproverInScope,
        || Case::with(|c| of(c, "lena").subject = Subject::Tokens(vec![subject("maria")])),
        |c| {
            let r = sign(&c.node.self_recovery("maria", "maria", c.enrolment, &c.items), MARIA);
            let recovery = c.node.log(&r);
            c.node.decide(recovery, "lena", "legal", Approve)
        },
    ),
    // Limits of 30 days.
    (
        "one request more than a requestor may make in 30 days",
        Rule::RequestorLimits,
        || Case::with(|c| c.limits.requests_per_requestor_month = 1),
        |c| request(c, |_| {}),
    ),
    (
        "one item more than a requestor may ask for in 30 days",
        Rule::RequestorLimits,
        || Case::with(|c| c.limits.items_per_requestor_month = 3),
        |c| request(c, |_| {}),
    ),
    (
        "one self-recovery more than a subject may ask for in 30 days",
        Rule::RequestorLimits,
        || Case::with(|c| c.limits.requests_per_requestor_month = 1),
        |c| {
            let [first, second] = [0, 1].map(|_| recovery(c, |_| {}));
            c.node.log(&first);
            second
        },
    ),
    ("a withdrawal of yet another consent that nobody knows", Rule::EarlyWithdrawals, Case::new, |c| {
        for n in 0..64u8 {
            let e = sign(&c.node.withdrawal(Digest::of(&[n]), "maria"), MARIA);
            c.node.log(&e);
        }
        sign(&c.node.withdrawal(Digest::of(b"one more"), "maria"), MARIA)
    }),
    ("yet another withdrawal of the one consent that nobody knows", Rule::EarlyWithdrawals, Case::new, |c| {
        for _ in 0..64 {
            let e = sign(&c.node.withdrawal(Digest::of(b"x"), "maria"), MARIA);
            c.node.log(&e);
        }
        sign(&c.node.withdrawal(Digest::of(b"x"), "maria"), MARIA)
    }),
    // Consent records.
    ("a consent that names a controller whom the charter does not list", Rule::ConsentScope, Case::new, |c| {
        consent(c, |x| x.record.controllers[0].contact = w("somebody else"))
    }),
    ("a consent without a place of storage", Rule::Malformed, Case::new, |c| {
        resign(&consent(c, |_| {}), MARIA, |j| j["record"]["storage_locations"] = serde_json::json!([]))
    }),
    // Self-recoveries and vetoes.
    ("a self-recovery by another device of the subject", Rule::WrongSigner, with_tablet, |c| {
        sign(&c.node.self_recovery("maria", "maria", c.enrolment, &c.items), TABLET)
    }),
    ("a self-recovery by another subject's device", Rule::WrongSigner, Case::new, |c| {
        sign(&c.node.self_recovery("maria", "max", c.enrolment, &c.items), MAX)
    }),
    ("a self-recovery by an officer", Rule::NotEnrolled, Case::new, |c| {
        sign(&c.node.self_recovery("maria", "maria", c.enrolment, &c.items), &["ida"])
    }),
    ("a self-recovery by a device that is not enrolled", Rule::NotEnrolled, Case::new, |c| {
        sign(&c.node.self_recovery("maria", "zoe", c.enrolment, &c.items), &["device of zoe"])
    }),
    ("a self-recovery by a revoked device", Rule::KeyRevoked, Case::new, |c| {
        c.node.revoke("device of maria");
        recovery(c, |_| {})
    }),
    (
        "a self-recovery under an older charter",
        Rule::CharterStale,
        || moved_on(|_| {}),
        |c| saw_version_1!(c, c.node.self_recovery("maria", "maria", c.enrolment, &c.items), MARIA),
    ),
    ("a self-recovery from the future", Rule::ClockSkew, Case::new, |c| {
        recovery(c, |r| r.created = r.created.plus_seconds(302))
    }),
    ("a self-recovery that lives too long", Rule::RequestLimits, Case::new, |c| {
        recovery(c, |r| r.expires = a_moment_over(r.created, 14 * DAY))
    }),
    ("a self-recovery of more items than allowed", Rule::RequestLimits, Case::new, |c| {
        recovery(c, |r| r.items = sorted((0..4u8).map(|n| Digest::of(&[n])).collect()))
    }),
    ("a self-recovery that has ended", Rule::RequestExpired, Case::new, |c| {
        recovery(c, |r| (r.created, r.expires) = (r.created.plus_seconds(-60), r.created))
    }),
    ("a veto by an officer without the office", Rule::NotEntitled, Case::new, |c| {
        sign(&c.node.veto(Digest::of(b"x"), by_person("leo")), &["leo"])
    }),
    ("a veto in another's name", Rule::WrongSigner, Case::new, |c| {
        sign(&c.node.veto(Digest::of(b"x"), by_person("sara")), &["leo"])
    }),
    ("a veto by a device that is not enrolled", Rule::NotEnrolled, Case::new, |c| {
        sign(&c.node.veto(Digest::of(b"x"), by_device("zoe")), &["device of zoe"])
    }),
    ("a veto in another device's name", Rule::NotEnrolled, Case::new, |c| {
        sign(&c.node.veto(Digest::of(b"x"), by_device("max")), MARIA)
    }),
    ("a veto by a revoked device", Rule::KeyRevoked, Case::new, |c| {
        c.node.revoke("device of maria");
        sign(&c.node.veto(Digest::of(b"x"), by_device("maria")), MARIA)
    }),
    ("a veto after the enrolment's end", Rule::NotEnrolled, Case::new, |c| {
        c.node.wait(300 * DAY);
        sign(&c.node.veto(Digest::of(b"x"), by_device("maria")), MARIA)
    }),
    ("a veto before the enrolment's begin", Rule::NotEnrolled, Case::new, |c| {
        let e = enrolment(c, |e| e.from = days(1));
        c.node.log(&e);
        sign(&c.node.veto(Digest::of(b"x"), by_device("new")), &["device of new"])
    }),
    ("a veto under an unknown charter", Rule::CharterUnknown, Case::new, |c| {
        let mut v = c.node.veto(Digest::of(b"x"), by_device("maria"));
        v.charter = Digest::of(b"x");
        sign(&v, MARIA)
    }),
    // Requests that are only tried out.
    ("another requestor tries a request out", Rule::NotEntitled, Case::new, |c| {
        let r = c.node.request(&c.items);
        sign(&query(c, |q| (q.by, q.what) = (by_person("ivan"), Question::Preview(Box::new(r)))), &["ivan"])
    }),
    ("a device tries a request out", Rule::NotEntitled, Case::new, |c| {
        let r = c.node.request(&c.items);
        sign(&query(c, |q| (q.by, q.what) = (by_device("maria"), Question::Preview(Box::new(r)))), MARIA)
    }),
    ("a request under another charter tried out", Rule::CharterStale, Case::new, |c| {
        let r = Request { charter: Digest::of(b"x"), ..c.node.request(&c.items) };
        sign(&query(c, |q| (q.by, q.what) = (by_person("ida"), Question::Preview(Box::new(r)))), &["ida"])
    }),
    ("another organisation's request tried out", Rule::CharterStale, Case::new, |c| {
        let r = Request { org: w("other.example"), ..c.node.request(&c.items) };
        sign(&query(c, |q| (q.by, q.what) = (by_person("ida"), Question::Preview(Box::new(r)))), &["ida"])
    }),
    ("an officer asks what a subject has deposited", Rule::NotEntitled, Case::new, |c| {
        sign(&query(c, |q| q.what = Question::Own), &["leo"])
    }),
    ("a device asks about another subject's request", Rule::NotEntitled, Case::new, |c| {
        let what = Question::Evaluate(c.request);
        sign(&query(c, |q| (q.by, q.what) = (by_device("max"), what)), MAX)
    }),
    // Kinds that are not submitted.
    ("a release-call", Rule::NotSubmittable, Case::new, |c| sign(&c.node.call(c.request, by_person("ida")), &["ida"])),
    ("an answer about restrictions", Rule::NotSubmittable, Case::new, |c| {
        sign(&c.node.answer(2, c.request), &["seat2"])
    }),
    ("a receipt", Rule::NotSubmittable, Case::new, |c| {
        sign(
            &Receipt {
                kind: Kind::Receipt,
                org: w("acme.example"),
                nonce: Nonce::random(),
                charter: c.node.charter(),
                seat: seat_index(1),
                statement: c.request,
                envelope: c.request,
                log: "seat1.example/log".into(),
                seq: 1,
                leaf: c.request,
                at: c.node.now,
            },
            &["seat1"],
        )
    }),
    ("a release", Rule::NotSubmittable, Case::new, |c| {
        sign(
            &Release {
                kind: Kind::Release,
                org: w("acme.example"),
                nonce: Nonce::random(),
                charter: c.node.charter(),
                seat: seat_index(1),
                generation: 1,
                request: c.request,
                items: c.asked.items.clone(),
                recipient: c.request,
                reply: c.request,
                attempt: 1,
            },
            &["seat1"],
        )
    }),
    ("a notification", Rule::NotSubmittable, Case::new, |c| {
        sign(
            &Notification {
                kind: Kind::Notification,
                org: w("acme.example"),
                nonce: Nonce::random(),
                charter: c.node.charter(),
                seat: seat_index(1),
                event: NotificationEvent::RequestWaits,
                about: c.request,
                matter: Some(w("MAT-1")),
                at: c.node.now,
            },
            &["seat1"],
        )
    }),
    ("a view", Rule::NotSubmittable, Case::new, |c| {
        sign(
            &View {
                kind: Kind::View,
                org: w("acme.example"),
                nonce: Nonce::random(),
                charter: c.node.charter(),
                seat: seat_index(1),
                log: "seat1.example/log".into(),
                note: None,
                export: Nonce::random(),
                at: c.node.now,
            },
            &["seat1"],
        )
    }),
];

/// A deposit of deal bytes with one change.
fn changed_deal(c: &Case, change: impl FnOnce(&mut serde_json::Value)) -> Envelope {
    let mut d = deal(c, |_| {}, |_| {});
    let mut json = serde_json::from_slice(&d.deal.0).unwrap();
    change(&mut json);
    d.deal = Blob(serde_json::to_vec(&json).unwrap());
    sign(&d, MARIA)
}

/// Rules that no statement can break on its way in: the gate's, tested in `gate.rs` and `recovery.rs`, the node's, and
/// a charter's state, tested in `charter.rs`.
const NOT_HERE: &[Rule] = &[
    Rule::CharterUnaccepted,
    Rule::CharterFork,
    Rule::MatterUnknown,
    Rule::MatterClosed,
    Rule::RequestUnknown,
    Rule::RequestCancelled,
    Rule::ItemUnknown,
    Rule::ItemScope,
    Rule::MixedGenerations,
    Rule::PolicyDenies,
    Rule::PolicyError,
    Rule::Denied,
    Rule::RequestorInScope,
    Rule::RecipientInScope,
    Rule::RequestorOperatesSeat,
    Rule::RecipientIsRequestor,
    Rule::RecipientKey,
    Rule::RecoveryNotOwn,
    Rule::RecoveryDelay,
    Rule::RecoveryVetoed,
    Rule::PermitsMissing,
    Rule::PermitInvalid,
    Rule::Pending,
    Rule::AnswerInvalid,
    Rule::CosignaturesMissing,
];

#[test]
fn a_statement_is_refused_for_each_rule_and_changes_nothing() {
    for (name, rule, case, bad) in TABLE {
        let mut case = case();
        let statement = bad(&mut case);
        let before = format!("{:?}", case.node.facts);
        match case.node.fold(&statement) {
            Ok(()) => panic!("{name}: accepted"),
            Err(e) => assert_eq!(e.rule, *rule, "{name}: {e}"),
        }
        assert_eq!(format!("{:?}", case.node.facts), before, "{name}: the facts changed");
    }
}

#[test]
fn the_table_has_every_rule_that_admission_knows() {
    let here: BTreeSet<Rule> = TABLE.iter().map(|(_, rule, ..)| *rule).collect();
    let not_here: BTreeSet<Rule> = NOT_HERE.iter().copied().collect();
    assert!(here.is_disjoint(&not_here));
    let all: BTreeSet<Rule> = Rule::ALL.iter().copied().collect();
    assert_eq!(&here | &not_here, all);
    let codes: BTreeSet<&str> = Rule::ALL.iter().map(|r| r.code()).collect();
    assert_eq!(codes.len(), Rule::ALL.len(), "codes are unique");
}

#[test]
fn every_kind_is_accepted_when_nothing_is_wrong_also_at_the_edges() {
    let mut c = Case::with(|x| {
        of(x, "rita").keys.push(person_key("rita 2"));
        of(x, "wim").roles.push(w("legal"));
        x.people.push(person("ann", &["legal", "works-council"]));
    });
    let node = &c.node;
    let edge = |e: &mut Consent| {
        e.record.event_time = c.node.now.plus_seconds(300);
        e.coverage = Coverage::Workspace;
        e.epochs = Some(Epochs { first: 7, last: 7 });
        (e.from, e.to) = (days(-10), days(-9));
        e.floor = Floor { t: 3, n: 5 };
    };
    let consented = consent(&c, edge);
    let tried = Question::Preview(Box::new(c.node.request(&c.items)));
    let good = [
        enrolment(&c, |_| {}),
        sign(&node.enrolment(&["more"]), &["rolf", "ada", "rita 2"]),
        consented.clone(),
        sign(&agreement(&c), &["wim", "leo"]),
        sign(&agreement(&c), &["leo", "lena", "wim"]),
        sign(&agreement(&c), &["leo", "wim"]),
        sign(&agreement(&c), &["ann", "leo"]),
        sign(&agreement(&c), &["wim", "ann"]),
        request(&c, |r| {
            r.notice = Notice::Delayed(DelayedNotice { order: w("O-1"), until: r.created.plus_seconds(90 * DAY) });
            r.expires = r.created.plus_seconds(14 * DAY);
        }),
        c.node.decide(c.request, "leo", "legal", Approve),
        c.node.decide(c.request, "dora", "dpo", Recuse),
        sign(&c.node.withdrawal(c.consent, "maria"), &["sara"]),
        c.node.cancellation(c.request, "ida"),
        c.node.matter_act(Close, Some(c.opening)),
        sign(&query(&c, |_| {}), &["leo"]),
        sign(&query(&c, |q| (q.by, q.what) = (by_device("maria"), Question::Activity)), MARIA),
        sign(&query(&c, |q| (q.by, q.what) = (by_person("ida"), tried)), &["ida"]),
        recovery(&c, |r| {
            (r.created, r.expires) = (c.node.now.plus_seconds(300), c.node.now.plus_seconds(300 + 14 * DAY))
        }),
        sign(&c.node.veto(c.request, by_person("sara")), &["sara"]),
        sign(&c.node.veto(c.request, by_device("max")), MAX),
        sign(&c.node.verdict(1, c.request), &["seat1"]),
        sign(&c.node.revocation(Revoked::Key(public("sam"))), &["ada", "abe"]),
        sign(&c.node.revocation(Revoked::Key(public("device of max"))), &["rita", "rolf"]),
        successor(&c.genesis, |_| {}),
    ];
    for e in &good {
        c.node.log(e);
    }
    let e = deposit(&c, |d| d.consent = consented.digest(), |_| {});
    c.node.log(&e);
    // The same bytes are not logged twice, and change nothing.
    assert_eq!(refused(c.node.fold(&e)), Some(Rule::Malformed));
    assert_eq!(c.node.facts.items().count(), 3);
}

#[test]
fn an_older_charter_of_the_same_generation_is_good_for_deposits_for_its_grace() {
    let mut c = moved_on(|_| {});
    c.node.wait(3_599 - 1);
    let e = saw_version_1!(c, deal(&c, |_| {}, |_| {}), MARIA);
    c.node.log(&e);
}

// ---- Calls and queries ----------------------------------------------------------------------

#[test]
fn a_release_call_is_signed_now_by_requestor_or_recipient() {
    let mut c = Case::with(|x| of(x, "otto").keys.push(person_key("otto 2")));
    let sealing = sealing("device of max").digest();
    let device = RecipientDevice { enrolment: c.enrolment, key: public("device of max"), sealing };
    let to_device = c.ask(|r| r.recipient = Recipient::Device(device));
    let now = c.node.now;
    let rows: &[(&str, Digest, Caller, &str, i64, Option<Rule>)] = &[
        ("the requestor", c.request, by_person("ida"), "ida", 0, None),
        ("the recipient", c.request, by_person("otto"), "otto", 0, None),
        ("the recipient's other key", c.request, by_person("otto"), "otto 2", 0, None),
        ("the recipient device", to_device, by_device("max"), "device of max", 0, None),
        ("another requestor", c.request, by_person("ivan"), "ivan", 0, Some(Rule::NotEntitled)),
        ("an approver", c.request, by_person("lena"), "lena", 0, Some(Rule::NotEntitled)),
        ("another device", to_device, by_device("maria"), "device of maria", 0, Some(Rule::NotEntitled)),
        ("a device where a person receives", c.request, by_device("max"), "device of max", 0, Some(Rule::NotEntitled)),
        ("a device that is not enrolled", to_device, by_device("zoe"), "device of zoe", 0, Some(Rule::NotEnrolled)),
        ("a device in another's name", to_device, by_device("max"), "device of maria", 0, Some(Rule::BadSignature)),
        ("a person in another's name", c.request, by_person("ida"), "ivan", 0, Some(Rule::WrongSigner)),
        ("an unknown request", Digest::of(b"x"), by_person("ida"), "ida", 0, Some(Rule::RequestUnknown)),
        ("an old call", c.request, by_person("ida"), "ida", 301, Some(Rule::ClockSkew)),
        ("a call at the edge", c.request, by_person("ida"), "ida", 300, None),
        ("a call from the future", c.request, by_person("ida"), "ida", -301, Some(Rule::ClockSkew)),
    ];
    for (name, request, by, signer, later, rule) in rows {
        let e = sign(&c.node.call(*request, by.clone()), &[signer]);
        assert_eq!(refused(verify_call(&c.node.facts, &e, now.plus_seconds(*later))), *rule, "{name}");
    }
    let mut call = c.node.call(c.request, by_person("ida"));
    call.charter = Digest::of(b"x");
    assert_eq!(refused(verify_call(&c.node.facts, &sign(&call, &["ida"]), now)), Some(Rule::CharterUnknown));
    c.node.revoke("ida");
    let e = sign(&c.node.call(c.request, by_person("ida")), &["ida"]);
    assert_eq!(refused(verify_call(&c.node.facts, &e, c.node.now)), Some(Rule::KeyRevoked));
}

#[test]
fn a_device_may_ask_about_its_own_and_for_nothing_else() {
    let c = Case::new();
    let scope = c.asked.scope.clone();
    let exported = Exported { bundle: Digest([7; 32]), export: Nonce::random(), requests: vec![] };
    for (what, allowed) in [
        (Question::Activity, true),
        (Question::Consents, true),
        (Question::Recoveries, true),
        (Question::Evaluate(c.request), true),
        (Question::Matters, false),
        (Question::Requests, false),
        (
            Question::ItemsOf(CustodianScope { custodians: vec![subject("maria")], from: scope.from, to: scope.to }),
            false,
        ),
        (Question::Items(scope), false),
        (Question::Entries(EntryRange { log: 1, from: 0, count: 10 }), false),
        (Question::Views(Nonce::random()), false),
        (Question::Exported(exported), false),
    ] {
        let name = what.name();
        let device = sign(&c.node.query(by_device("maria"), what.clone()), MARIA);
        assert_eq!(verify_query(&c.node.facts, &device, c.node.now).is_ok(), allowed, "{name}");
        let officer = sign(&c.node.query(by_person("leo"), what), &["leo"]);
        assert!(verify_query(&c.node.facts, &officer, c.node.now).is_ok(), "{name}");
    }
    // How what is unknown here stands, or what runs under delayed notice, a device does not learn.
    let told = |c: &Case, who: &str, of: Digest| {
        let e = sign(&c.node.query(by_device(who), Question::Evaluate(of)), &[&device(who)]);
        refused(verify_query(&c.node.facts, &e, c.node.now))
    };
    assert_eq!(told(&c, "maria", Digest::of(b"x")), Some(Rule::NotEntitled));
    let until = c.node.now.plus_seconds(DAY);
    let mut delayed = c.clone();
    let order = DelayedNotice { order: w("O-1"), until };
    let request = delayed.ask(|r| r.notice = Notice::Delayed(order));
    assert_eq!(told(&delayed, "maria", request), Some(Rule::NotEntitled));
    delayed.node.now = until;
    assert_eq!(told(&delayed, "maria", request), None);
    // What is its own subject's alone, a device asks for.
    let own = sign(&c.node.query(by_device("maria"), Question::Own), MARIA);
    assert!(verify_query(&c.node.facts, &own, c.node.now).is_ok());
}

// ---- Restrictions ---------------------------------------------------------------------------

/// Name, the statement, and what the gate says after it. All of them name version 1.
type Restriction = (&'static str, fn(&Case) -> Envelope, &'static str);

const RESTRICTIONS: &[Restriction] = &[
    ("denial", |c| saw_version_1!(c, c.node.decision(c.request, "leo", "legal", Deny), &["leo"]), "refuse: denied"),
    (
        "recusal",
        |c| saw_version_1!(c, c.node.decision(c.request, "lena", "legal", Recuse), &["lena"]),
        "pending: approvals.legal 0/1, approvers 1/2",
    ),
    (
        "cancellation",
        |c| {
            let e = c.node.cancellation(c.request, "ida");
            resign(&e, &["ida"], |j| j["charter"] = c.genesis.digest().to_string().into())
        },
        "refuse: request-cancelled",
    ),
    ("closing", |c| saw_version_1!(c, c.node.matter(Close, Some(c.opening)), &["ida"]), "refuse: matter-closed"),
    (
        "withdrawal by the subject",
        |c| saw_version_1!(c, c.node.withdrawal(c.consent, "maria"), MARIA),
        "refuse: consent-withdrawn",
    ),
    (
        "withdrawal by the subject-rights office",
        |c| saw_version_1!(c, c.node.withdrawal(c.consent, "maria"), &["sara"]),
        "refuse: consent-withdrawn",
    ),
    (
        "revocation by registrars",
        |c| saw_version_1!(c, c.node.revocation(Revoked::Key(public("ida"))), REGISTRARS),
        "refuse: key-revoked",
    ),
    (
        "revocation by administrators",
        |c| saw_version_1!(c, c.node.revocation(Revoked::Key(public("lena"))), &["ada", "abe"]),
        "pending: approvals.legal 0/1, approvers 1/2",
    ),
];

#[test]
fn restrictions_count_under_an_older_charter() {
    for (name, statement, expected) in RESTRICTIONS {
        let mut c = Case::approved();
        let v2 = successor(&c.genesis, |_| {});
        c.node.follow(&v2);
        assert_eq!(c.says(), "permit", "{name}");
        let e = statement(&c);
        c.node.log(&e);
        assert_eq!(c.says(), *expected, "{name}");
    }
}

/// Who has left office and who has come may each have a quorum, and not together.
#[test]
fn a_quorum_is_one_of_one_version() {
    let mut c = Case::new();
    let v2 = successor(&c.genesis, |c| {
        of(c, "rita").roles = vec![w("retired")];
        c.people.push(person("rosa", &["registrar"]));
    });
    c.node.follow(&v2);
    let by = |keys: &[&str]| saw_version_1!(c, c.node.revocation(Revoked::Key(public("sam"))), keys);
    for (keys, rule) in
        [(&["rita", "rosa"][..], Some(Rule::QuorumMissing)), (&["rita", "rolf"], None), (&["rosa", "rolf"], None)]
    {
        assert_eq!(refused(c.node.clone().fold(&by(keys))), rule, "{keys:?}");
    }
}

#[test]
fn restrictions_count_though_the_signer_has_left_office_since() {
    // Everybody who signs a restriction loses office or key; new people take over.
    let leave = |c: &mut Charter| {
        of(c, "sara").roles = vec![w("retired")];
        of(c, "leo").roles = vec![w("retired")];
        of(c, "rita").roles = vec![w("retired")];
        of(c, "rolf").keys = vec![person_key("rolf 2")];
        c.people.push(person("rosa", &["registrar"]));
    };
    let rows: [(&str, fn(&Case) -> Envelope, &str); 3] = [
        ("denial", RESTRICTIONS[0].1, "refuse: denied"),
        ("withdrawal by office", RESTRICTIONS[5].1, "refuse: consent-withdrawn"),
        ("revocation", RESTRICTIONS[6].1, "refuse: key-revoked"),
    ];
    for (name, statement, expected) in rows {
        let mut c = Case::approved();
        let v2 = successor(&c.genesis, leave);
        c.node.follow(&v2);
        assert_eq!(c.says(), "permit", "{name}");
        let e = statement(&c);
        c.node.log(&e);
        assert_eq!(c.says(), expected, "{name}");
        // Under the charter in force the same people have no say.
        let again = resign(&e, &signers_of(name), |j| j["charter"] = v2.digest().to_string().into());
        assert!(c.node.fold(&again).is_err(), "{name}: counted under the charter that dismissed them");
    }
}

fn signers_of(name: &str) -> Vec<&'static str> {
    match name {
        "denial" => vec!["leo"],
        "withdrawal by office" => vec!["sara"],
        _ => REGISTRARS.to_vec(),
    }
}

/// A new node that gets the enrolment, then these statements, then all else that `seen` logged.
fn arriving_first(seen: &Case, first: &[Envelope]) -> (Case, Vec<Rule>) {
    let mut case = Case { node: Node::new(&seen.genesis), ..seen.clone() };
    let (enrolment, rest) = seen.node.history.split_first().unwrap();
    case.node.log(enrolment);
    for e in first {
        case.node.log(e);
    }
    let refusals = rest.iter().filter_map(|e| refused(case.node.fold(e))).collect();
    (case, refusals)
}

#[test]
fn restrictions_count_when_they_arrive_first() {
    let seen = Case::approved();
    let (plain, refusals) = arriving_first(&seen, &[]);
    assert_eq!((plain.says().as_str(), refusals), ("permit", vec![]));
    for (name, statement, expected) in RESTRICTIONS {
        let (case, refusals) = arriving_first(&seen, &[statement(&seen)]);
        // What the restriction stops at the door is not there when the gate looks.
        let (at_the_door, expected) = match *name {
            "withdrawal by the subject" | "withdrawal by the subject-rights office" => {
                (vec![Rule::ConsentWithdrawn], "refuse: item-unknown")
            }
            "revocation by registrars" => (vec![Rule::KeyRevoked; 2], "refuse: request-unknown"),
            "revocation by administrators" => (vec![Rule::KeyRevoked], *expected),
            _ => (vec![], *expected),
        };
        assert_eq!((case.says().as_str(), refusals), (expected, at_the_door), "{name}");
    }
}

#[test]
fn a_strangers_restriction_that_arrives_first_takes_nobodys_place() {
    let seen = Case::approved();
    let strange = [sign(&seen.node.withdrawal(seen.consent, "max"), MAX), seen.node.cancellation(seen.request, "ivan")];
    let (mut case, refusals) = arriving_first(&seen, &strange);
    assert_eq!((case.says().as_str(), refusals), ("permit", vec![]), "neither is the subject's or the requestor's");
    assert_eq!(case.node.restrictions_on(&case.request), vec![], "peers could not take them over");
    let own = sign(&case.node.withdrawal(case.consent, "maria"), MARIA);
    case.node.log(&own);
    assert_eq!(case.says(), "refuse: consent-withdrawn");
    assert_eq!(case.evaluate().refusals[0].decided_by, Some((Kind::Withdrawal, own.digest())));
    assert_eq!(case.node.restrictions_on(&case.request), [own.digest()]);
}

#[test]
fn every_closing_counts_until_a_statement_follows_it() {
    let mut c = Case::approved();
    let first = c.node.matter_act(Close, Some(c.opening));
    c.node.log(&first);
    assert_eq!(c.says(), "refuse: matter-closed");
    let reopened = c.node.matter_act(Reopen, Some(first.digest()));
    c.node.log(&reopened);
    assert_eq!(c.says(), "permit");
    // Signed by somebody who had seen nothing but the opening: still a closing.
    for n in 0..8 {
        let stale = c.node.matter_act(Close, Some(c.opening));
        c.node.log(&stale);
        assert_eq!(c.says(), "refuse: matter-closed", "closing {n}");
        let again = c.node.matter_act(Reopen, Some(stale.digest()));
        c.node.log(&again);
        assert_eq!(c.says(), "permit", "reopening {n}");
    }
    // One that hangs nowhere closes too, and can be followed.
    let dangling = c.node.matter_act(Close, Some(Digest::of(b"never seen")));
    c.node.log(&dangling);
    assert_eq!(c.says(), "refuse: matter-closed");
    let again = c.node.matter_act(Reopen, Some(dangling.digest()));
    c.node.log(&again);
    assert_eq!(c.says(), "permit");
}

#[test]
fn peers_are_told_what_bears_on_a_request_and_what_goes_before_it() {
    let mut c = Case::approved();
    let mut logged: Vec<Digest> = Vec::new();
    for (name, statement, _) in RESTRICTIONS {
        // The requestor's key goes last: after it nothing of theirs is admitted.
        if !name.starts_with("revocation by registrars") && !name.contains("subject-rights") {
            let e = statement(&c);
            logged.push(c.node.log(&e));
        }
    }
    assert_eq!(c.node.restrictions_on(&c.request), sorted(logged.clone()));
    assert_eq!(c.node.facts.restrictions().collect::<Vec<_>>(), logged);
    // A node that missed the request still tells what it was asked about by name: the closing of the
    // matter, the withdrawal of the consent, and the revocation of lena's key.
    let unknown = Digest::of(b"unknown");
    let concerns = c.node.facts.concerns(&c.request);
    assert!(concerns.revocable.contains(&Revoked::Key(public("lena"))));
    let named = c.node.facts.restrictions_on(&unknown, &concerns);
    assert_eq!(named, sorted(logged[3..].to_vec()));
    assert_eq!(c.node.restrictions_on(&unknown), vec![]);
    // In pages, from any position, nothing is left out.
    let mut paged = Vec::new();
    let mut after = 0;
    loop {
        let (page, upto, complete) = c.node.facts.restrictions_since(after, 2);
        assert!(page.len() <= 2 && upto >= after);
        paged.extend(page);
        after = upto;
        if complete {
            break;
        }
    }
    assert_eq!((paged, after), (logged.clone(), c.node.facts.size()));
    assert_eq!(c.node.facts.restrictions_since(after, 2), (vec![], after, true));
    let close = logged[3];
    assert_eq!(c.node.facts.with_predecessors(&close), [c.opening, close]);
    let withdrawal = logged[4];
    assert_eq!(c.node.facts.with_predecessors(&withdrawal), [c.consent, withdrawal]);
}
