//! Statements about self-recovery: the recovery itself, and vetoes.

use super::case::within_month;
use super::subject::device;
use super::{Charters, Verified, decode, not_future, not_revoked, one, person, signature};
use crate::facts::{Asker, Facts};
use crate::refusal::{Refusal, Rule, require};
use escrow_core::recovery::{SelfRecovery, Veto};
use escrow_core::release::Caller;
use escrow_core::{Envelope, Timestamp, Token};

pub(super) fn self_recovery(
    facts: &Facts,
    envelope: &Envelope,
    at: Timestamp,
) -> Result<Verified<SelfRecovery>, Refusal> {
    let r: SelfRecovery = decode(facts, envelope)?;
    let charters = Charters::permission(facts, &r.charter)?;
    let device = device(facts, envelope, &r.subject, at)?;
    require(device.key == r.key, Rule::WrongSigner, || "signed by another device than the one that recovers".into())?;
    not_future(charters.current, r.created, at)?;
    crate::recovery::limits(charters.current, &r)?;
    require(at < r.expires, Rule::RequestExpired, || format!("it expired at {}", r.expires))?;
    within_month(facts, charters.current, &Asker::Device(r.key.clone()), r.items.len(), at)?;
    Ok(Verified { digest: envelope.digest(), key: device.key.clone(), statement: r })
}

/// A veto counts from any live device of the subject, or from the subject-rights role. Whose
/// recovery it is may not be known here yet, so the device's own subject is kept with it, and one
/// by another subject's device is logged and stops nothing: nodes that know more or less must not
/// disagree on what can be logged.
pub(super) fn veto(
    facts: &Facts,
    envelope: &Envelope,
    at: Timestamp,
) -> Result<(Verified<Veto>, Option<Token>), Refusal> {
    let v: Veto = decode(facts, envelope)?;
    let charters = Charters::restriction(facts, &v.charter)?;
    let (key, subject) = match &v.by {
        Caller::Person(id) => (person(facts, envelope, &charters, id, |_, p| p.has_role("subject-rights"), at)?, None),
        Caller::Device(key) => {
            let lookup = |id: &String| if key.id() == *id { vec![key.clone()] } else { vec![] };
            let unknown = envelope.key_ids().any(|id| lookup(id).is_empty()) || facts.devices(&key.id()).is_empty();
            require(!unknown, Rule::NotEnrolled, || "signed by a device that is not enrolled here".into())?;
            let signer = one(envelope.signers(lookup).map_err(signature)?)?;
            not_revoked(facts, &signer)?;
            let device = facts.live_device(&signer, at);
            let device = device
                .ok_or_else(|| Refusal::new(Rule::NotEnrolled, "the device's enrolment has ended or was revoked"))?;
            let subject = device.subject;
            (signer, Some(subject))
        }
    };
    Ok((Verified { statement: v, digest: envelope.digest(), key }, subject))
}
