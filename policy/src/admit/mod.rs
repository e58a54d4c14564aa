//! Admission: one function a kind checks a statement against the facts and returns a type that
//! only this module can make.
//!
//! What a statement's own charter says is what its signer saw. Statements that give permission
//! must name the charter in force; restrictions count under any accepted charter, because a
//! permission must never outlive the wish to take it away.

mod case;
mod recovery;
mod subject;

use crate::charter::{VerifiedCharter, verify_successor_without};
use crate::facts::{By, Facts};
use crate::refusal::{Refusal, Rule, require};
use escrow_core::charter::Charter;
use escrow_core::consent::{Consent, Withdrawal};
use escrow_core::deal::OpenedDeal;
use escrow_core::decision::Decision;
use escrow_core::deposit::Deposit;
use escrow_core::enrolment::{Enrolment, Revocation};
use escrow_core::envelope::EnvelopeError;
use escrow_core::matter::Matter;
use escrow_core::query::Query;
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::request::{Cancellation, Request};
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::Verdict;
use escrow_core::{Digest, Envelope, Kind, PersonId, PublicKey, SeatIndex, Statement, Timestamp, Token};
use std::collections::BTreeSet;

pub(crate) use case::within_limits;
pub use case::{verify_call, verify_caller, verify_query};
pub(crate) use subject::{covered, live_consent};

/// A statement whose signatures hold and whose signers may say it. Only admission makes one.
#[derive(Debug, Clone)]
pub struct Verified<T> {
    statement: T,
    digest: Digest,
    key: PublicKey,
}

impl<T> Verified<T> {
    /// The statement.
    pub fn statement(&self) -> &T {
        &self.statement
    }

    /// Its digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The key that signed; the first, where several did.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Gives the statement away.
    pub fn into_statement(self) -> T {
        self.statement
    }
}

/// A statement that may be logged now.
#[derive(Debug, Clone)]
#[allow(missing_docs, clippy::large_enum_variant, reason = "each variant is its kind; one is made a statement")]
pub enum Admitted {
    Charter(VerifiedCharter),
    /// With the people who signed it.
    Enrolment(Verified<Enrolment>, BTreeSet<PersonId>),
    Revocation(Verified<Revocation>),
    Consent(Verified<Consent>),
    /// With whose word it was.
    Withdrawal(Verified<Withdrawal>, By),
    Deposit(Verified<Deposit>, OpenedDeal),
    Matter(Verified<Matter>),
    Request(Verified<Request>),
    Cancellation(Verified<Cancellation>),
    Decision(Verified<Decision>),
    SelfRecovery(Verified<SelfRecovery>),
    /// With the subject of the device that said it, if a device did.
    Veto(Verified<Veto>, Option<Token>),
    OwnVerdict(Verified<Verdict>),
    Query(Verified<Query>),
}

/// Checks a statement against everything this node has logged before `at`.
///
/// # Errors
/// [`Refusal`] naming the rule; nothing is changed either way.
pub fn admit(facts: &Facts, envelope: &Envelope, at: Timestamp) -> Result<Admitted, Refusal> {
    match envelope.kind() {
        Kind::Charter => charter(facts, envelope, at).map(Admitted::Charter),
        Kind::Enrolment => subject::enrolment(facts, envelope, at).map(|(v, by)| Admitted::Enrolment(v, by)),
        Kind::Revocation => subject::revocation(facts, envelope, at).map(Admitted::Revocation),
        Kind::Consent => subject::consent(facts, envelope, at).map(Admitted::Consent),
        Kind::Withdrawal => subject::withdrawal(facts, envelope, at).map(|(v, by)| Admitted::Withdrawal(v, by)),
        Kind::Deposit => subject::deposit(facts, envelope, at).map(|(v, d)| Admitted::Deposit(v, d)),
        Kind::Matter => case::matter(facts, envelope, at).map(Admitted::Matter),
        Kind::Request => case::request(facts, envelope, at).map(Admitted::Request),
        Kind::Cancellation => case::cancellation(facts, envelope, at).map(Admitted::Cancellation),
        Kind::Decision => case::decision(facts, envelope, at).map(Admitted::Decision),
        Kind::SelfRecovery => recovery::self_recovery(facts, envelope, at).map(Admitted::SelfRecovery),
        Kind::Veto => recovery::veto(facts, envelope, at).map(|(v, of)| Admitted::Veto(v, of)),
        Kind::Query => case::verify_query(facts, envelope, at).map(Admitted::Query),
        Kind::Verdict => own_verdict(facts, envelope).map(Admitted::OwnVerdict),
        Kind::ReleaseCall
        | Kind::Receipt
        | Kind::Release
        | Kind::RestrictionAnswer
        | Kind::View
        | Kind::Notification => {
            Err(Refusal::new(Rule::NotSubmittable, format!("a {} is not submitted on its own", envelope.kind())))
        }
    }
}

fn charter(facts: &Facts, envelope: &Envelope, at: Timestamp) -> Result<VerifiedCharter, Refusal> {
    let invalid = |e: String| Refusal::new(Rule::CharterInvalid, e);
    let next: Charter = decode(facts, envelope)?;
    let previous = next.previous.and_then(|d| facts.charters.get(&d));
    let previous =
        previous.ok_or_else(|| invalid("its predecessor is not known here; submit the versions in order".into()))?;
    let revoked = |k: &PublicKey| facts.revocation(k).is_some();
    let verified = verify_successor_without(previous, envelope, revoked).map_err(|e| invalid(e.to_string()))?;
    not_future(verified.charter(), next.issued, at)?;
    keeps_live_items(facts, &next)?;
    Ok(verified)
}

/// A charter that drops a generation with live items would strand them.
pub(crate) fn keeps_live_items(facts: &Facts, next: &Charter) -> Result<(), Refusal> {
    for item in facts.items.values() {
        require(next.generation(item.generation).is_some(), Rule::CharterInvalid, || {
            format!("generation {} still holds live items and must stay listed", item.generation)
        })?;
    }
    Ok(())
}

fn own_verdict(facts: &Facts, envelope: &Envelope) -> Result<Verified<Verdict>, Refusal> {
    let seat = facts.seat().ok_or_else(|| Refusal::new(Rule::CharterUnknown, "no genesis yet"))?;
    verify_seat_statement(facts, envelope, seat)
}

/// Verifies a statement of a seat against the statement key that the charter in force lists.
///
/// # Errors
/// [`Refusal`] with [`Rule::BadSignature`], [`Rule::WrongSigner`] or [`Rule::WrongOrg`].
pub fn verify_seat_statement<T: Statement + SeatStatement>(
    facts: &Facts,
    envelope: &Envelope,
    seat: SeatIndex,
) -> Result<Verified<T>, Refusal> {
    let statement: T = decode(facts, envelope)?;
    require(statement.seat() == seat, Rule::WrongSigner, || {
        format!("a statement of seat {} where one of seat {seat} is expected", statement.seat())
    })?;
    let key = facts
        .charter()
        .and_then(|c| c.charter().seat(seat))
        .map(|s| s.statement_key.clone())
        .ok_or_else(|| Refusal::new(Rule::WrongSigner, format!("the charter has no seat {seat}")))?;
    let signers = envelope.signers(|id| if key.id() == *id { vec![key.clone()] } else { vec![] }).map_err(signature)?;
    one(signers).map(|key| Verified { statement, digest: envelope.digest(), key })
}

/// Statements signed by a node.
pub trait SeatStatement {
    /// The seat that signs.
    fn seat(&self) -> SeatIndex;
}

macro_rules! seat_statement {
    ($($t:ty),*) => { $(impl SeatStatement for $t { fn seat(&self) -> SeatIndex { self.seat } })* };
}
seat_statement!(
    Verdict,
    RestrictionAnswer,
    escrow_core::receipt::Receipt,
    escrow_core::release::Release,
    escrow_core::view::View
);

fn decode<T: Statement>(facts: &Facts, envelope: &Envelope) -> Result<T, Refusal> {
    let statement: T = envelope.decode().map_err(|e| Refusal::new(Rule::Malformed, e.to_string()))?;
    let ours = facts.charter().map(|c| &c.charter().org);
    require(ours == Some(statement.org()), Rule::WrongOrg, || format!("made for organisation {}", statement.org()))?;
    Ok(statement)
}

fn signature(e: EnvelopeError) -> Refusal {
    Refusal::new(Rule::BadSignature, e.to_string())
}

fn one(mut signers: Vec<PublicKey>) -> Result<PublicKey, Refusal> {
    match (signers.pop(), signers.is_empty()) {
        (Some(key), true) => Ok(key),
        _ => Err(Refusal::new(Rule::BadSignature, "exactly one signature expected")),
    }
}

/// The charters whose word counts for a statement: for a permission the one in force, which it
/// must name; for a restriction also the accepted one it names.
struct Charters<'a> {
    current: &'a Charter,
    named: &'a Charter,
    restriction: bool,
}

impl<'a> Charters<'a> {
    fn permission(facts: &'a Facts, named: &Digest) -> Result<Self, Refusal> {
        let c = Self::restriction(facts, named)?;
        let current = facts.charter().map(VerifiedCharter::digest);
        require(current == Some(*named), Rule::CharterStale, || {
            "signed under a charter that is no longer in force; fetch the newer one and sign again".into()
        })?;
        Ok(Self { restriction: false, ..c })
    }

    fn restriction(facts: &'a Facts, named: &Digest) -> Result<Self, Refusal> {
        let unknown = || {
            Refusal::new(Rule::CharterUnknown, format!("charter {} is not in force here and never was", named.short()))
        };
        let current = facts.charter().ok_or_else(unknown)?.charter();
        let skipped = facts.skipped.contains(named);
        let named = facts.accepted_charter(named).or(skipped.then_some(current)).ok_or_else(unknown)?;
        Ok(Self { current, named, restriction: true })
    }

    fn keys(&self, id: &str) -> Vec<PublicKey> {
        let people = self.current.people.iter().chain(&self.named.people);
        let mut keys: Vec<_> =
            people.flat_map(|p| &p.keys).filter(|k| k.key.id() == id).map(|k| k.key.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// The person whose valid key this is, with the role; under both charters, or for a
    /// restriction under either.
    fn entitled(
        &self,
        key: &PublicKey,
        role: impl Fn(&Charter, &escrow_core::charter::Person) -> bool,
        at: Timestamp,
    ) -> Result<&PersonId, Refusal> {
        let check = |c: &'a Charter| {
            let p = c.holder(key).ok_or_else(|| Refusal::new(Rule::NotEntitled, "the signer is not in the charter"))?;
            require(p.key_valid(key, at), Rule::KeyNotValid, || format!("the key of {} is not valid at {at}", p.id))?;
            require(role(c, p), Rule::NotEntitled, || format!("{} does not hold the office this needs", p.id))?;
            Ok(&p.id)
        };
        let (current, named) = (check(self.current), check(self.named));
        if self.restriction { current.or(named) } else { named.and(current) }
    }
}

/// Verifies a statement of one person, who must be `by` and hold the role.
fn person(
    facts: &Facts,
    envelope: &Envelope,
    charters: &Charters<'_>,
    by: &PersonId,
    role: impl Fn(&Charter, &escrow_core::charter::Person) -> bool,
    at: Timestamp,
) -> Result<PublicKey, Refusal> {
    let key = one(envelope.signers(|id| charters.keys(id)).map_err(signature)?)?;
    let holder = [charters.current, charters.named].iter().find_map(|c| c.holder(&key));
    require(holder.is_some_and(|p| p.id == *by), Rule::WrongSigner, || {
        format!("the statement says it is by {by}, the signature is by {}", holder.map_or("nobody", |p| p.id.as_str()))
    })?;
    not_revoked(facts, &key)?;
    charters.entitled(&key, role, at)?;
    Ok(key)
}

/// Verifies that enough distinct people with a role signed; gives the first key and all of them.
fn quorum(
    facts: &Facts,
    envelope: &Envelope,
    charters: &Charters<'_>,
    role: &str,
    need: u32,
    at: Timestamp,
) -> Result<(PublicKey, BTreeSet<PersonId>), Refusal> {
    let signers = envelope.signers(|id| charters.keys(id)).map_err(signature)?;
    // A restriction counts under either charter, but all its signers under the same one.
    let under = |c: &Charter| {
        let live = signers.iter().filter(|key| not_revoked(facts, key).is_ok());
        let entitled = live.filter_map(|key| c.holder(key).filter(|p| p.has_role(role) && p.key_valid(key, at)));
        entitled.map(|p| p.id.clone()).collect::<BTreeSet<PersonId>>()
    };
    let (current, named) = (under(charters.current), under(charters.named));
    let people =
        if charters.restriction { current.len().max(named.len()) } else { current.intersection(&named).count() };
    require(people >= need as usize && need > 0, Rule::QuorumMissing, || {
        format!("{people} of {need} people with role {role} have signed")
    })?;
    // Whoever else signed, without the role, has had a hand in it as well.
    let all = signers.iter().filter_map(|k| charters.current.holder(k).or_else(|| charters.named.holder(k)));
    let all = all.map(|p| p.id.clone()).collect();
    let first = signers.first().cloned().ok_or_else(|| Refusal::new(Rule::BadSignature, "no signature"))?;
    Ok((first, all))
}

fn not_revoked(facts: &Facts, key: &PublicKey) -> Result<(), Refusal> {
    match facts.revocation(key) {
        Some(by) => Err(Refusal::new(Rule::KeyRevoked, "the signer's key was revoked").by(Kind::Revocation, by)),
        None => Ok(()),
    }
}

/// Refuses a statement dated further in the future than the charter's clock skew.
fn not_future(charter: &Charter, stated: Timestamp, at: Timestamp) -> Result<(), Refusal> {
    let skew = i64::try_from(charter.limits.clock_skew_s).unwrap_or(i64::MAX);
    require(stated <= at.plus_seconds(skew), Rule::ClockSkew, || {
        format!("dated {stated}, this node's clock says {at}; check the clocks")
    })
}

/// Refuses a statement that is not dated now, within the charter's clock skew.
fn fresh(charter: &Charter, stated: Timestamp, at: Timestamp) -> Result<(), Refusal> {
    not_future(charter, stated, at)?;
    let skew = i64::try_from(charter.limits.clock_skew_s).unwrap_or(i64::MAX);
    require(at <= stated.plus_seconds(skew), Rule::ClockSkew, || {
        format!("dated {stated}, this node's clock says {at}; sign again")
    })
}
