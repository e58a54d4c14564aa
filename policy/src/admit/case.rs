//! Statements about cases: matter, request, cancellation, decision, release-call, query.

use super::{Charters, Verified, decode, fresh, not_future, not_revoked, one, person, signature};
use crate::facts::Facts;
use crate::refusal::{Refusal, Rule, require};
use escrow_core::charter::{Charter, Person};
use escrow_core::decision::{Choice, Decision};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::query::Query;
use escrow_core::release::{Caller, ReleaseCall};
use escrow_core::request::{Cancellation, Notice, Recipient, Request};
use escrow_core::{Digest, Envelope, PublicKey, Timestamp};

fn requestor(_: &Charter, p: &Person) -> bool {
    p.has_role("requestor")
}

pub(super) fn matter(facts: &Facts, envelope: &Envelope, at: Timestamp) -> Result<Verified<Matter>, Refusal> {
    let m: Matter = decode(facts, envelope)?;
    let charters = match m.action {
        MatterAction::Close => Charters::restriction(facts, &m.charter)?,
        MatterAction::Open | MatterAction::Reopen => Charters::permission(facts, &m.charter)?,
    };
    let key = person(facts, envelope, &charters, &m.by, requestor, at)?;
    if m.action != MatterAction::Close {
        not_future(charters.current, m.at, at)?;
        let known = facts.matter(&m.matter);
        let head = known.and_then(|f| f.head());
        let follows = match m.action {
            MatterAction::Open => known.is_none_or(|f| f.opening().is_none()),
            _ => head.map(|h| h.digest) == m.previous,
        };
        require(follows, Rule::MatterChain, || match head {
            Some(h) => format!("matter {} exists; its head is {}", m.matter, h.digest.short()),
            None => format!("matter {} is not known here; submit its earlier statements first", m.matter),
        })?;
        let closed = head.is_some_and(|h| h.statement.action == MatterAction::Close);
        require(m.action == MatterAction::Open || closed, Rule::MatterChain, || {
            format!("matter {} is open", m.matter)
        })?;
    }
    Ok(Verified { statement: m, digest: envelope.digest(), key })
}

pub(super) fn request(facts: &Facts, envelope: &Envelope, at: Timestamp) -> Result<Verified<Request>, Refusal> {
    let r: Request = decode(facts, envelope)?;
    let charters = Charters::permission(facts, &r.charter)?;
    let key = person(facts, envelope, &charters, &r.by, requestor, at)?;
    not_future(charters.current, r.created, at)?;
    let l = &charters.current.limits;
    require(r.items.len() as u64 <= l.items_per_request, Rule::RequestLimits, || {
        format!("{} items asked for, the charter allows {}", r.items.len(), l.items_per_request)
    })?;
    let life = u64::try_from(r.expires.seconds_since(r.created)).unwrap_or(u64::MAX);
    require(life <= l.request_life_s, Rule::RequestLimits, || {
        format!("a life of {life} s, the charter allows {} s", l.request_life_s)
    })?;
    require(at < r.expires, Rule::RequestExpired, || format!("it expired at {}", r.expires))?;
    if let Notice::Delayed(d) = &r.notice {
        let most = i64::try_from(l.notice_delay_days.saturating_mul(86_400)).unwrap_or(i64::MAX);
        require(d.until <= r.created.plus_seconds(most), Rule::NoticeDelay, || {
            format!("notice delayed until {}, the charter allows {} days", d.until, l.notice_delay_days)
        })?;
    }
    Ok(Verified { statement: r, digest: envelope.digest(), key })
}

pub(super) fn cancellation(
    facts: &Facts,
    envelope: &Envelope,
    at: Timestamp,
) -> Result<Verified<Cancellation>, Refusal> {
    let c: Cancellation = decode(facts, envelope)?;
    let charters = Charters::restriction(facts, &c.charter)?;
    let key = person(facts, envelope, &charters, &c.by, requestor, at)?;
    if let Some((asked, _)) = facts.request(&c.request).and_then(|r| r.request.as_ref()) {
        require(asked.statement.by == c.by, Rule::NotEntitled, || {
            format!("only {} who made the request can cancel it", asked.statement.by)
        })?;
    }
    Ok(Verified { statement: c, digest: envelope.digest(), key })
}

pub(super) fn decision(facts: &Facts, envelope: &Envelope, at: Timestamp) -> Result<Verified<Decision>, Refusal> {
    let d: Decision = decode(facts, envelope)?;
    let charters = match d.choice {
        Choice::Approve => Charters::permission(facts, &d.charter)?,
        Choice::Recuse | Choice::Deny => Charters::restriction(facts, &d.charter)?,
    };
    let office = |c: &Charter, p: &Person| c.approver_roles.contains(&d.role) && p.roles.contains(&d.role);
    let key = person(facts, envelope, &charters, &d.by, office, at)?;
    if d.choice == Choice::Approve {
        not_future(charters.current, d.at, at)?;
        if let Some((asked, _)) = facts.request(&d.request).and_then(|r| r.request.as_ref()) {
            may_approve(facts, charters.current, &asked.statement, &d)?;
        }
    }
    Ok(Verified { statement: d, digest: envelope.digest(), key })
}

/// Told at once to whoever signs in vain; the gate decides again when it counts.
fn may_approve(facts: &Facts, charter: &Charter, asked: &Request, d: &Decision) -> Result<(), Refusal> {
    require(asked.by != d.by, Rule::ApproverIsRequestor, || {
        format!("{} made the request and cannot approve it; ask another holder of role {}", d.by, d.role)
    })?;
    let recipient = matches!(&asked.recipient, Recipient::Person(p) if p.id == d.by);
    require(!recipient, Rule::ApproverIsRecipient, || {
        format!("{} would receive the result and cannot approve it", d.by)
    })?;
    let scope = crate::floor::InScope::of(asked.items.iter().filter_map(|i| facts.item(i)));
    let in_scope = charter.person(&d.by).is_none_or(|p| scope.holds(p));
    require(!in_scope, Rule::ApproverInScope, || format!("{}'s own messages are in scope; recuse instead", d.by))
}

/// Verifies a caller's signature: a person of the charter in force, or a live enrolled device.
fn caller(
    facts: &Facts,
    envelope: &Envelope,
    charter: &Digest,
    by: &Caller,
    at: Timestamp,
) -> Result<PublicKey, Refusal> {
    let charters = Charters::permission(facts, charter)?;
    match by {
        Caller::Person(id) => person(facts, envelope, &charters, id, |_, _| true, at),
        Caller::Device(key) => {
            let enrolled = facts.live_device(key, at).is_some();
            require(enrolled, Rule::NotEnrolled, || "the device is not enrolled, or no longer".into())?;
            let lookup = |id: &String| if key.id() == *id { vec![key.clone()] } else { vec![] };
            let signer = one(envelope.signers(lookup).map_err(signature)?)?;
            not_revoked(facts, &signer)?;
            Ok(signer)
        }
    }
}

/// Verifies only that a release-call is signed by whom it says, before any work is done for it.
///
/// # Errors
/// [`Refusal`].
pub fn verify_caller(facts: &Facts, envelope: &Envelope, at: Timestamp) -> Result<(), Refusal> {
    let c: ReleaseCall = decode(facts, envelope)?;
    caller(facts, envelope, &c.charter, &c.by, at).map(drop)
}

/// Verifies a release-call: signed now, by the requestor or the recipient of the request.
///
/// # Errors
/// [`Refusal`].
pub fn verify_call(facts: &Facts, envelope: &Envelope, at: Timestamp) -> Result<Verified<ReleaseCall>, Refusal> {
    let c: ReleaseCall = decode(facts, envelope)?;
    let key = caller(facts, envelope, &c.charter, &c.by, at)?;
    let charters = Charters::permission(facts, &c.charter)?;
    fresh(charters.current, c.at, at)?;
    let again = facts.seen(&envelope.digest()).is_some();
    require(!again, Rule::ClockSkew, || "this release-call was used before; sign a new one".into())?;
    let asked = facts.request(&c.request).and_then(|r| r.request.as_ref());
    let (asked, _) =
        asked.ok_or_else(|| Refusal::new(Rule::RequestUnknown, "the request is not known at this node"))?;
    let entitled = match (&c.by, &asked.statement.recipient) {
        (Caller::Person(id), _) if *id == asked.statement.by => true,
        (Caller::Person(id), Recipient::Person(p)) => p.id == *id,
        (Caller::Device(key), Recipient::Device(d)) => d.key == *key,
        _ => false,
    };
    require(entitled, Rule::NotEntitled, || "only the requestor or the recipient can call for the release".into())?;
    Ok(Verified { statement: c, digest: envelope.digest(), key })
}

/// Verifies a query: signed now, for this seat.
///
/// # Errors
/// [`Refusal`].
pub fn verify_query(facts: &Facts, envelope: &Envelope, at: Timestamp) -> Result<Verified<Query>, Refusal> {
    let q: Query = decode(facts, envelope)?;
    let key = caller(facts, envelope, &q.charter, &q.by, at)?;
    let charters = Charters::permission(facts, &q.charter)?;
    fresh(charters.current, q.at, at)?;
    require(facts.seat() == Some(q.seat), Rule::WrongSigner, || format!("the query is for seat {}", q.seat))?;
    require(facts.seen(&envelope.digest()).is_none(), Rule::ClockSkew, || {
        "this query was answered before; sign a new one".into()
    })?;
    if matches!(q.by, Caller::Device(_)) {
        let own = matches!(
            q.what,
            escrow_core::query::Question::Activity
                | escrow_core::query::Question::Consents
                | escrow_core::query::Question::Evaluate(_)
        );
        require(own, Rule::NotEntitled, || format!("a device may not ask for {}", q.what.name()))?;
    }
    Ok(Verified { statement: q, digest: envelope.digest(), key })
}
