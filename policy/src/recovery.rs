//! The gate of self-recovery: a gate of its own, because its danger is its own. Whoever takes over
//! somebody's account gets a device enrolled under the victim's token, and then asks for everything.
//!
//! So: own deposits only; the device's enrolment first logged at this node at least the charter's
//! recovery delay ago, time in which the subject's other devices see it; any of them, or the
//! subject-rights role, can veto; two distinct approvers, none of whom signed that enrolment.

use crate::admit::live_consent;
use crate::facts::{DeviceFact, Facts, RequestFact};
use crate::floor::{Approvals, Case, InScope, Passed, charter_settled, item, of_one_generation};
use crate::refusal::{Refusal, Rule, require};
use escrow_core::charter::{Charter, Person, Subject};
use escrow_core::recovery::SelfRecovery;
use escrow_core::{Kind, PersonId, Timestamp};
use std::collections::BTreeSet;

/// Size and life, at admission and again at the gate.
pub(crate) fn limits(charter: &Charter, r: &SelfRecovery) -> Result<(), Refusal> {
    let l = &charter.limits;
    require(r.items.len() as u64 <= l.items_per_request, Rule::RequestLimits, || {
        format!("{} items asked for, the charter allows {}", r.items.len(), l.items_per_request)
    })?;
    let life = i64::try_from(l.request_life_s).unwrap_or(i64::MAX);
    require(r.expires <= r.created.plus_seconds(life), Rule::RequestLimits, || {
        format!("made at {} to live until {}, the charter allows {life} s", r.created, r.expires)
    })
}

/// Everybody who signed an enrolment of the recovering device.
pub(crate) fn enrollers(facts: &Facts, r: &SelfRecovery) -> BTreeSet<PersonId> {
    let devices = facts.devices(&r.key.id()).iter().filter(|d| d.key == r.key);
    devices.flat_map(|d| d.enrolled_by.iter().cloned()).collect()
}

/// Applies every rule but the number of approvers, which more signatures can mend.
pub(crate) fn check<'a>(facts: &'a Facts, fact: &'a RequestFact, at: Timestamp) -> Result<Passed<'a>, Refusal> {
    let charter = charter_settled(facts)?;
    let asked = fact.recovery.as_ref();
    let asked =
        asked.ok_or_else(|| Refusal::new(Rule::RequestUnknown, "the self-recovery is not known at this node"))?;
    let r = &asked.statement;
    if let Some(v) = fact.veto() {
        let detail = "another device of the subject, or the subject-rights role, vetoed it";
        return Err(Refusal::new(Rule::RecoveryVetoed, detail).by(Kind::Veto, v.digest));
    }
    require(at < r.expires, Rule::RequestExpired, || format!("it expired at {}; silence is denial", r.expires))?;
    limits(charter, r)?;
    if let Some(d) = fact.denial() {
        let detail = format!("{} denied it", d.fact.statement.by);
        return Err(Refusal::new(Rule::Denied, detail).by(Kind::Decision, d.fact.digest));
    }
    require(facts.accepted_charter(&r.charter).is_some(), Rule::CharterUnknown, || {
        "it was made under a charter that was voided".into()
    })?;
    let device = device(facts, charter, r, at)?;

    let mut items = Vec::with_capacity(r.items.len());
    for id in &r.items {
        let item = item(facts, id)?;
        require(item.depositor == r.subject, Rule::RecoveryNotOwn, || {
            format!("item {} was deposited by somebody else", id.short())
        })?;
        live_consent(facts, &item.consent, at)?;
        require(item.policies.iter().any(|p| p.id == r.policy), Rule::PolicyNotAgreed, || {
            format!("policy {} was not agreed for every item", r.policy)
        })?;
        items.push(item);
    }
    of_one_generation(&items)?;

    let scope = InScope::of(items.iter().copied());
    let enrollers = enrollers(facts, r);
    let excluded = |p: &Person| {
        let is_subject = matches!(&p.subject, Subject::Tokens(own) if own.contains(&r.subject));
        is_subject || enrollers.contains(&p.id) || scope.holds(p)
    };
    let approvals = Approvals::count(facts, charter, fact, excluded, at);
    Ok(Passed {
        charter,
        case: Case::Recovery { recovery: r, device },
        digest: asked.digest,
        logged_at: asked.logged.at,
        items,
        recipient: &device.sealing,
        recipient_is_requestor: false,
        approvals,
    })
}

/// The device that recovers: the enrolment it names is live, for this subject, and old enough here.
fn device<'a>(facts: &'a Facts, charter: &Charter, r: &SelfRecovery, at: Timestamp) -> Result<&'a DeviceFact, Refusal> {
    let listed = facts.devices(&r.key.id()).iter().find(|d| d.enrolment == r.enrolment && d.key == r.key);
    let device = listed.filter(|d| d.subject == r.subject && facts.device_live(d, at)).ok_or_else(|| {
        Refusal::new(Rule::NotEnrolled, "the device's enrolment is not live, or is for another subject")
    })?;
    require(device.sealing.digest() == r.sealing, Rule::RecipientKey, || "not the device's sealing key".into())?;
    // The charter check refuses a delay under 24 hours; a missing number must not pass here either.
    let delay = i64::try_from(charter.limits.recovery_delay_s).unwrap_or(i64::MAX);
    // From when it could first be noticed: logged, and valid.
    let age = at.seconds_since(device.logged.at.max(device.from));
    require(delay >= LEAST_DELAY_S && age >= delay, Rule::RecoveryDelay, || {
        format!("the device has been enrolled for {age} s at this node, the charter asks for {delay} s")
    })?;
    Ok(device)
}

/// Least recovery delay, seconds: 24 hours.
pub const LEAST_DELAY_S: i64 = 86_400;
