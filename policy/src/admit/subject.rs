//! Statements about subjects: enrolment, revocation, consent, withdrawal, deposit.

use super::{Charters, Verified, decode, not_future, not_revoked, one, person, quorum, signature};
use crate::charter::VerifiedCharter;
use crate::facts::{By, DeviceFact, Facts};
use crate::refusal::{Refusal, Rule, require};
use escrow_core::charter::{Basis, Charter};
use escrow_core::consent::{Consent, Coverage, Withdrawal};
use escrow_core::deal::{About, OpenedDeal};
use escrow_core::deposit::Deposit;
use escrow_core::enrolment::{Enrolment, Revocation};
use escrow_core::{Digest, Envelope, Kind, PersonId, PublicKey, Role, Timestamp, Token, sealing};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn enrolment(
    facts: &Facts,
    envelope: &Envelope,
    at: Timestamp,
) -> Result<(Verified<Enrolment>, BTreeSet<PersonId>), Refusal> {
    let e: Enrolment = decode(facts, envelope)?;
    let charters = Charters::permission(facts, &e.charter)?;
    let (key, by) = quorum(facts, envelope, &charters, "registrar", charters.current.registrar_quorum, at)?;
    let mut sealed_to: BTreeMap<Digest, Token> = BTreeMap::new();
    for d in &e.devices {
        known_version(charters.current, &d.subject)?;
        require(sealing::check_key(&d.sealing).is_ok(), Rule::Malformed, || {
            "a device's sealing key is not one".into()
        })?;
        let raw = d.key.raw();
        let seats = charters.current.seats.iter().flat_map(|s| [&s.statement_key, &s.log_key, &s.witness_key]);
        let people = charters.current.people.iter().flat_map(|p| &p.keys).map(|k| &k.key);
        let other = facts.devices(&d.key.id()).iter().any(|f| f.key == d.key && f.subject != d.subject);
        let taken = other || seats.chain(people).any(|k| k.raw() == raw);
        require(!taken, Rule::DeviceTaken, || format!("device key {} belongs to somebody else", d.key.id()))?;
        // A release to the device would be readable to whoever else holds its sealing key.
        let seats = charters.current.seats.iter().map(|s| &s.sealing);
        let people = charters.current.people.iter().filter_map(|p| p.sealing.as_ref());
        let listed = seats.chain(people).any(|k| k.public == d.sealing.public);
        let sealing = d.sealing.digest();
        let before = facts.sealed_to.get(&sealing).or(sealed_to.get(&sealing)).is_some_and(|s| *s != d.subject);
        require(!listed && !before, Rule::DeviceTaken, || {
            format!("the sealing key of device {} belongs to somebody else", d.key.id())
        })?;
        sealed_to.insert(sealing, d.subject);
    }
    Ok((Verified { statement: e, digest: envelope.digest(), key }, by))
}

pub(super) fn revocation(facts: &Facts, envelope: &Envelope, at: Timestamp) -> Result<Verified<Revocation>, Refusal> {
    let r: Revocation = decode(facts, envelope)?;
    let charters = Charters::restriction(facts, &r.charter)?;
    let by = |role, need| quorum(facts, envelope, &charters, role, need, at);
    let (key, _) =
        by("registrar", charters.named.registrar_quorum).or_else(|_| by("admin", charters.named.admin_quorum))?;
    Ok(Verified { statement: r, digest: envelope.digest(), key })
}

/// The one device that signed, its enrolment live at `at` and for this subject.
pub(super) fn device<'a>(
    facts: &'a Facts,
    envelope: &Envelope,
    subject: &Token,
    at: Timestamp,
) -> Result<&'a DeviceFact, Refusal> {
    let keys =
        |id: &String| facts.devices(id).iter().map(|d| d.key.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let unknown = envelope.key_ids().any(|id| facts.devices(id).is_empty());
    require(!unknown, Rule::NotEnrolled, || {
        "signed by a device that is not enrolled here; ask a registrar to enrol it".into()
    })?;
    let key: PublicKey = one(envelope.signers(keys).map_err(signature)?)?;
    not_revoked(facts, &key)?;
    let device = facts
        .live_device(&key, at)
        .ok_or_else(|| Refusal::new(Rule::NotEnrolled, "the device's enrolment has ended or was revoked"))?;
    require(device.subject == *subject, Rule::WrongSigner, || "the device is enrolled for another subject".into())?;
    Ok(device)
}

pub(super) fn consent(facts: &Facts, envelope: &Envelope, at: Timestamp) -> Result<Verified<Consent>, Refusal> {
    let c: Consent = decode(facts, envelope)?;
    let charters = Charters::permission(facts, &c.charter)?;
    known_version(charters.current, &c.subject)?;
    not_future(charters.current, c.record.event_time, at)?;
    require(at < c.expires, Rule::ConsentExpired, || format!("the consent ended at {}", c.expires))?;
    let listed = c.record.controllers.iter().all(|p| charters.current.controllers.contains(p));
    require(listed, Rule::ConsentScope, || "names a controller that the charter does not list".into())?;
    for p in &c.policies {
        let known = charters.current.policy(&p.id).is_some_and(|known| known.digest() == p.digest);
        require(known, Rule::PolicyUnknown, || format!("policy {} with this text is not in the charter", p.id))?;
    }
    let key = if c.basis == Basis::Consent {
        device(facts, envelope, &c.subject, at)?.key.clone()
    } else {
        signers_of_basis(facts, envelope, &charters, c.basis, at)?
    };
    Ok(Verified { statement: c, digest: envelope.digest(), key })
}

/// Every role that the charter demands for the basis, each by a different person; of a restriction all under the
/// charter in force, or all under the one that it names.
fn signers_of_basis(
    facts: &Facts,
    envelope: &Envelope,
    charters: &Charters<'_>,
    basis: Basis,
    at: Timestamp,
) -> Result<PublicKey, Refusal> {
    let signers = envelope.signers(|id| charters.keys(id)).map_err(signature)?;
    let live: Vec<_> = signers.iter().filter(|key| not_revoked(facts, key).is_ok()).collect();
    let under = |c: &Charter| {
        let demanded = c.basis_signers.iter().find(|b| b.basis == basis).ok_or_else(|| {
            Refusal::new(Rule::NotEntitled, format!("the charter names nobody who may sign on basis {}", basis.name()))
        })?;
        let holders = |role: &Role| -> BTreeSet<PersonId> {
            let people = live.iter().filter_map(|k| c.holder(k).filter(|p| p.key_valid(k, at)));
            people.filter(|p| p.has_role(role.as_str())).map(|p| p.id.clone()).collect()
        };
        let holders: BTreeMap<&Role, BTreeSet<PersonId>> = demanded.roles.iter().map(|r| (r, holders(r))).collect();
        let mut signed_for = BTreeMap::new();
        for role in holders.keys() {
            require(assign(role, &holders, &mut signed_for, &mut BTreeSet::new()), Rule::QuorumMissing, || {
                format!("basis {} needs more signatures, among them one of role {role}", basis.name())
            })?;
        }
        Ok(())
    };
    match under(charters.current) {
        Err(e) if charters.restriction => under(charters.named).map_err(|_| e)?,
        other => other?,
    }
    signers.into_iter().next().ok_or_else(|| Refusal::new(Rule::BadSignature, "no signature"))
}

/// Finds a person for the role, moving those found before to other roles they hold if that helps.
fn assign<'a>(
    role: &'a Role,
    holders: &'a BTreeMap<&'a Role, BTreeSet<PersonId>>,
    signed_for: &mut BTreeMap<&'a PersonId, &'a Role>,
    tried: &mut BTreeSet<&'a PersonId>,
) -> bool {
    for person in holders.get(role).into_iter().flatten() {
        let free = tried.insert(person)
            && signed_for.get(person).copied().is_none_or(|other| assign(other, holders, signed_for, tried));
        if free {
            signed_for.insert(person, role);
            return true;
        }
    }
    false
}

pub(super) fn withdrawal(
    facts: &Facts,
    envelope: &Envelope,
    at: Timestamp,
) -> Result<(Verified<Withdrawal>, By), Refusal> {
    let w: Withdrawal = decode(facts, envelope)?;
    let charters = Charters::restriction(facts, &w.charter)?;
    if let Some(c) = facts.consent(&w.consent) {
        require(c.statement.subject == w.subject, Rule::WrongSigner, || "the consent is another subject's".into())?;
    }
    let own = facts.consent(&w.consent).is_none_or(|c| c.statement.basis == Basis::Consent);
    let by_device = if own {
        device(facts, envelope, &w.subject, at).map(|d| d.key.clone())
    } else {
        let why = "a record on another basis is withdrawn by the roles that signed it, or by the subject-rights role";
        Err(Refusal::new(Rule::NotEntitled, why))
    };
    let (key, by) = match by_device {
        Ok(key) => (key, By::Device),
        Err(not_device) => {
            (withdrawal_by_office(facts, envelope, &charters, &w, at).map_err(|_| not_device)?, By::Office)
        }
    };
    if facts.consent(&w.consent).is_none() {
        facts.may_withdraw_early(&key)?;
    }
    Ok((Verified { statement: w, digest: envelope.digest(), key }, by))
}

/// Withdrawal by the subject-rights role, or by the roles that signed a consent on another basis.
fn withdrawal_by_office(
    facts: &Facts,
    envelope: &Envelope,
    charters: &Charters<'_>,
    w: &Withdrawal,
    at: Timestamp,
) -> Result<PublicKey, Refusal> {
    let rights = envelope.signers(|id| charters.keys(id)).map_err(signature).and_then(one).and_then(|key| {
        let by = charters.current.holder(&key).or_else(|| charters.named.holder(&key)).map(|p| p.id.clone());
        let by = by.ok_or_else(|| Refusal::new(Rule::NotEntitled, "the signer is not in the charter"))?;
        person(facts, envelope, charters, &by, |_, p| p.has_role("subject-rights"), at)
    });
    let basis = facts.consent(&w.consent).map(|c| c.statement.basis).filter(|b| *b != Basis::Consent);
    match (rights, basis) {
        (Ok(key), _) => Ok(key),
        (Err(_), Some(basis)) => signers_of_basis(facts, envelope, charters, basis, at),
        (Err(e), None) => Err(e),
    }
}

pub(super) fn deposit(
    facts: &Facts,
    envelope: &Envelope,
    at: Timestamp,
) -> Result<(Verified<Deposit>, OpenedDeal), Refusal> {
    let d: Deposit = decode(facts, envelope)?;
    let charters = Charters::restriction(facts, &d.charter)?;
    let charter = charters.current;
    not_future(charter, d.at, at)?;
    in_grace(facts, charter, &d.charter, at)?;
    let key = device(facts, envelope, &d.depositor, at)?.key.clone();
    let opened = OpenedDeal::parse(&d.deal.0).map_err(|e| Refusal::new(Rule::DealInvalid, e.to_string()))?;
    if let Some(first) = facts.deals.get(&opened.digest)
        && *first != envelope.digest()
    {
        return Err(Refusal::new(Rule::DealReplayed, "this deal was deposited before under another payload")
            .by(Kind::Deposit, *first));
    }
    let deal = &opened.deal;
    require(deal.org == charter.org, Rule::WrongOrg, || format!("the deal is organisation {}'s", deal.org))?;
    require(deal.depositor == d.depositor, Rule::WrongSigner, || "deal and deposit name different depositors".into())?;
    let g = charter.current_generation().filter(|g| g.number == deal.generation);
    let fits =
        g.is_some_and(|g| g.t == deal.t && g.n() == deal.n && g.members.iter().eq(d.blobs.iter().map(|b| &b.seat)));
    require(fits, Rule::Generation, || {
        "the deal is not for the current node set; fetch the newest charter and deal again".into()
    })?;
    let consent = live_consent(facts, &deal.consent, at)?;
    require(consent.subject == d.depositor, Rule::ConsentScope, || "the consent is another subject's".into())?;
    require(deal.t >= consent.floor.t && deal.n >= consent.floor.n, Rule::ConsentFloor, || {
        format!("the consent asks for at least {} of {} nodes", consent.floor.t, consent.floor.n)
    })?;
    for p in &deal.policies {
        require(consent.policies.contains(p), Rule::PolicyNotAgreed, || {
            format!("policy {} is not in the consent", p.id)
        })?;
        require(facts.policy_text(&p.digest).is_some(), Rule::PolicyUnknown, || {
            format!("no accepted charter lists this text of policy {}", p.id)
        })?;
    }
    for item in &deal.items {
        covered(consent, &item.about)?;
        // A token that no officer could have would keep everybody from ever deciding on the item.
        for p in &item.about.participants {
            known_version(charter, &p.token)?;
        }
        known_version(charter, &item.about.thread)?;
    }
    Ok((Verified { statement: d, digest: envelope.digest(), key }, opened))
}

/// An older charter of the same generation is taken for the charter's grace period.
fn in_grace(facts: &Facts, charter: &Charter, named: &Digest, at: Timestamp) -> Result<(), Refusal> {
    if facts.charter().map(VerifiedCharter::digest) == Some(*named) {
        return Ok(());
    }
    let grace = i64::try_from(charter.limits.charter_grace_s).unwrap_or(i64::MAX);
    let within = facts.superseded(named).is_some_and(|since| at <= since.plus_seconds(grace));
    require(within, Rule::CharterStale, || {
        "dealt under a charter whose grace period is over; fetch the newer one".into()
    })
}

pub(crate) fn covered(consent: &Consent, a: &About) -> Result<(), Refusal> {
    let thread = match &consent.coverage {
        Coverage::Workspace => true,
        Coverage::Threads(threads) => threads.contains(&a.thread),
    };
    let time = consent.from <= a.from && a.to <= consent.to;
    let epoch = consent.epochs.is_none_or(|e| e.first <= a.epoch && a.epoch <= e.last);
    require(thread && time && epoch, Rule::ConsentScope, || {
        format!(
            "the consent does not cover this {}",
            if !thread {
                "thread"
            } else if !time {
                "time"
            } else {
                "epoch"
            }
        )
    })
}

/// The consent, if it is known, not withdrawn and not expired at `at`.
pub(crate) fn live_consent<'a>(facts: &'a Facts, digest: &Digest, at: Timestamp) -> Result<&'a Consent, Refusal> {
    let c = facts.consent(digest).ok_or_else(|| {
        Refusal::new(
            Rule::ConsentUnknown,
            format!("consent {} is not known at this node; submit it first", digest.short()),
        )
    })?;
    if let Some(w) = facts.withdrawal(digest) {
        return Err(
            Refusal::new(Rule::ConsentWithdrawn, "the subject's consent was withdrawn").by(Kind::Withdrawal, w.digest)
        );
    }
    require(at < c.statement.expires, Rule::ConsentExpired, || {
        format!("the consent ended at {}", c.statement.expires)
    })?;
    Ok(&c.statement)
}

fn known_version(charter: &Charter, token: &Token) -> Result<(), Refusal> {
    require(charter.token_versions.contains(&token.version), Rule::Malformed, || {
        format!("token-key version {} is not in use", token.version)
    })
}
