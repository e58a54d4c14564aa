//! Statements about cases: matter, request, cancellation, decision, release-call, query.

use super::{Charters, Verified, decode, fresh, not_future, not_revoked, one, person, signature};
use crate::facts::{Asker, Facts, RequestFact};
use crate::refusal::{Refusal, Rule, require};
use escrow_core::charter::{Charter, Person};
use escrow_core::decision::{Choice, Decision};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::query::{Query, Question};
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
    within_limits(facts, charters.current, &r, at)?;
    Ok(Verified { statement: r, digest: envelope.digest(), key })
}

/// Everything that a request must satisfy beside its signature to be logged.
pub(crate) fn within_limits(facts: &Facts, charter: &Charter, r: &Request, at: Timestamp) -> Result<(), Refusal> {
    not_future(charter, r.created, at)?;
    let l = &charter.limits;
    require(r.items.len() as u64 <= l.items_per_request, Rule::RequestLimits, || {
        format!("{} items asked for, the charter allows {}", r.items.len(), l.items_per_request)
    })?;
    let life = i64::try_from(l.request_life_s).unwrap_or(i64::MAX);
    require(r.expires <= r.created.plus_seconds(life), Rule::RequestLimits, || {
        format!("made at {} to live until {}, the charter allows {life} s", r.created, r.expires)
    })?;
    require(at < r.expires, Rule::RequestExpired, || format!("it expired at {}", r.expires))?;
    within_month(facts, charter, &Asker::Person(r.by.clone()), r.items.len(), at)?;
    if let Notice::Delayed(d) = &r.notice {
        let most = i64::try_from(l.notice_delay_days.saturating_mul(86_400)).unwrap_or(i64::MAX);
        require(d.until <= r.created.plus_seconds(most), Rule::NoticeDelay, || {
            format!("notice delayed until {}, the charter allows {} days", d.until, l.notice_delay_days)
        })?;
    }
    Ok(())
}

/// Refuses more requests, or more items over all of them, than the charter allows one asker in 30
/// days, as this node logged them.
pub(super) fn within_month(
    facts: &Facts,
    charter: &Charter,
    asker: &Asker,
    items: usize,
    at: Timestamp,
) -> Result<(), Refusal> {
    let l = &charter.limits;
    let (requests, asked) = facts.asked_since(asker, at.plus_seconds(-MONTH_S));
    require(requests < l.requests_per_requestor_month, Rule::RequestorLimits, || {
        format!("{requests} requests in the last 30 days, as many as the charter allows one requestor")
    })?;
    let items = asked.saturating_add(items as u64);
    require(items <= l.items_per_requestor_month, Rule::RequestorLimits, || {
        let most = l.items_per_requestor_month;
        format!("{items} items asked for in 30 days with this request, the charter allows one requestor {most}")
    })
}

/// The month over which one asker's requests are counted, seconds: 30 days, ending now.
const MONTH_S: i64 = 30 * 86_400;

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
        if let Some(case) = facts.request(&d.request).filter(|r| r.known()) {
            may_approve(facts, charters.current, case, &d)?;
        }
    }
    Ok(Verified { statement: d, digest: envelope.digest(), key })
}

/// Told at once to whoever signs in vain; the gate decides again when it counts.
fn may_approve(facts: &Facts, charter: &Charter, case: &RequestFact, d: &Decision) -> Result<(), Refusal> {
    if let Some((asked, _)) = &case.request {
        let asked = &asked.statement;
        require(asked.by != d.by, Rule::ApproverIsRequestor, || {
            format!("{} made the request and cannot approve it; ask another holder of role {}", d.by, d.role)
        })?;
        require(asked.recipient.person() != Some(&d.by), Rule::ApproverIsRecipient, || {
            format!("{} would receive the result and cannot approve it", d.by)
        })?;
        require(!facts.filtered(&asked.matter, &asked.items).contains(&d.by), Rule::FilterTeamOnCase, || {
            format!("{} was the filter team of a release in this matter and cannot decide in it", d.by)
        })?;
    }
    if let Some(r) = &case.recovery {
        require(!crate::recovery::enrollers(facts, &r.statement).contains(&d.by), Rule::ApproverInScope, || {
            format!("{} signed the enrolment of the device that asks; somebody else has to decide", d.by)
        })?;
    }
    let scope = crate::floor::InScope::of(case.items().iter().filter_map(|i| facts.item(i)));
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
    let case = facts.request(&c.request).filter(|r| r.known());
    let case = case.ok_or_else(|| Refusal::new(Rule::RequestUnknown, "the request is not known at this node"))?;
    let entitled = calls(&c.by, case);
    require(entitled, Rule::NotEntitled, || "only the requestor or the recipient can call for the release".into())?;
    Ok(Verified { statement: c, digest: envelope.digest(), key })
}

/// True if this caller is the requestor or the recipient, or the device that recovers.
fn calls(by: &Caller, case: &RequestFact) -> bool {
    let asked = case.request.as_ref().map(|(r, _)| &r.statement);
    match by {
        Caller::Person(id) => asked.is_some_and(|r| r.by == *id || r.recipient.person() == Some(id)),
        Caller::Device(key) => {
            let recipient = asked.is_some_and(|r| matches!(&r.recipient, Recipient::Device(d) if d.key == *key));
            recipient || case.recovery.as_ref().is_some_and(|r| r.statement.key == *key)
        }
    }
}

/// A device may ask about what is for it, or about its own subject.
fn concerns(facts: &Facts, by: &Caller, request: &Digest, at: Timestamp) -> bool {
    let Caller::Device(key) = by else { return true };
    // What is unknown and what is not one's own look alike.
    let Some(case) = facts.request(request) else { return false };
    let delayed = |r: &Request| matches!(&r.notice, Notice::Delayed(d) if at < d.until);
    if case.request.as_ref().is_some_and(|(r, _)| delayed(&r.statement)) {
        return calls(by, case);
    }
    let subject = facts.live_device(key, at).map(|d| d.subject);
    let of = |i: &escrow_core::ItemId| facts.item(i).map(|i| i.depositor) == subject;
    calls(by, case) || (subject.is_some() && case.items().iter().any(of))
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
        let own = match &q.what {
            Question::Activity | Question::Consents | Question::Own | Question::Recoveries => true,
            Question::Evaluate(request) => concerns(facts, &q.by, request, at),
            _ => false,
        };
        require(own, Rule::NotEntitled, || {
            format!("a device may not ask for {}, or it concerns others, or it is not known here", q.what.name())
        })?;
    }
    if matches!((&q.what, &q.by), (Question::Own, Caller::Person(_))) {
        return Err(Refusal::new(Rule::NotEntitled, "only a device can ask what its own subject has deposited"));
    }
    if let Question::Preview(request) = &q.what {
        require(q.by == Caller::Person(request.by.clone()), Rule::NotEntitled, || {
            "a request is tried out by its own requestor".into()
        })?;
        let matches = request.org == q.org && request.charter == q.charter;
        require(matches, Rule::CharterStale, || "the request names another charter than the query".into())?;
    }
    Ok(Verified { statement: q, digest: envelope.digest(), key })
}
