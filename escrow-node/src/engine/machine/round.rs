//! The release round as the model has it: who may call, what must be presented, when a reply leaves.

use super::model::{Act, Model, Ruled, all, must};
use escrow_core::charter::Person;
use escrow_core::decision::Choice;
use escrow_core::enrolment::Revoked;
use escrow_core::release::{Caller, ReleaseCall};
use escrow_core::request::Recipient;
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::{Digest, PublicKey};
use escrow_policy::Rule;

/// A signed statement of a node, as it was presented.
pub(super) struct Presented<T> {
    pub statement: T,
    pub signer: PublicKey,
}

impl Model {
    /// Whether a call, with these permits of other seats and answers of peers, authorises now.
    pub(super) fn authorise(
        &self,
        call: &ReleaseCall,
        signer: &PublicKey,
        permits: &[Presented<Verdict>],
        answers: &[Presented<RestrictionAnswer>],
    ) -> Ruled {
        let used = |c: &ReleaseCall| c.nonce == call.nonce;
        must(!all!(self, Call).any(|(_, c)| used(c)), Rule::ClockSkew)?;
        must(self.call_allowed(call, signer), Rule::NotEntitled)?;
        let judged = self.judge(&call.request);
        must(judged.outcome == Outcome::Permit, judged.broken.first().copied().unwrap_or(Rule::Pending))?;
        let charter = self.in_force();
        let limits = &charter.1.limits;
        let skew = i64::try_from(limits.clock_skew_s).unwrap();
        // The world has one generation: whoever is in it but this seat.
        let members = &charter.1.generations[0].members;
        let by_member = |seat: &escrow_core::SeatIndex, signer: &PublicKey| {
            let key = &charter.1.seats.iter().find(|s| s.index == *seat).unwrap().statement_key;
            seat.get() != self.seat && members.contains(seat) && key == signer
        };
        let good = permits.iter().any(|p| {
            let v = &p.statement;
            let life = v.decided.plus_seconds(i64::try_from(limits.permit_life_s).unwrap());
            by_member(&v.seat, &p.signer)
                && v.request == call.request
                && v.outcome == Outcome::Permit
                && v.charter == charter.0
                && self.now <= v.valid_until
                && v.valid_until <= life
                && v.decided <= self.now.plus_seconds(skew)
        });
        must(good, Rule::PermitsMissing)?;
        let case = self.case(&call.request).unwrap();
        let (matter, items) = match &case.said.act {
            Act::Request(r) => (Some(r.matter.clone()), &r.items),
            Act::Recovery(r) => (None, &r.items),
            _ => unreachable!("neither request nor self-recovery"),
        };
        let good = answers.iter().any(|a| {
            let s = &a.statement;
            by_member(&s.seat, &a.signer)
                && s.asker.get() == self.seat
                && s.request == Some(call.request)
                && s.matter == matter
                && self.consents_of(items).iter().all(|c| s.consents.contains(c))
                && self.revocable(&call.request).iter().all(|r| s.revocable.contains(r))
                && self.now <= s.at.plus_seconds(60 + skew)
                && s.restrictions.iter().all(|r| self.knows(r) || self.refused.contains(r))
        });
        must(good, Rule::AnswerInvalid)
    }

    /// Keys and enrolments of whoever asks, decides and receives.
    fn revocable(&self, digest: &Digest) -> Vec<Revoked> {
        let case = self.case(digest).unwrap();
        let approvals = all!(self, Decision).filter(|(_, d)| d.request == *digest && d.choice == Choice::Approve);
        let mut out: Vec<Revoked> = approvals.map(|(l, _)| Revoked::Key(l.said.signers[0].clone())).collect();
        out.push(Revoked::Key(case.said.signers[0].clone()));
        match &case.said.act {
            Act::Request(r) => {
                let part = |p: &&Person| p.id == r.by || Some(&p.id) == r.recipient.person();
                let people = self.in_force().1.people.iter().filter(part);
                out.extend(people.flat_map(|p| &p.keys).map(|k| Revoked::Key(k.key.clone())));
                if let Recipient::Device(d) = &r.recipient {
                    out.extend([Revoked::Key(d.key.clone()), Revoked::Enrolment(d.enrolment)]);
                }
            }
            Act::Recovery(r) => out.push(Revoked::Enrolment(r.enrolment)),
            _ => {}
        }
        out
    }

    /// Signed lately, under the charter in force, by the request's requestor or recipient.
    pub(super) fn call_allowed(&self, call: &ReleaseCall, signer: &PublicKey) -> bool {
        let (digest, charter) = self.in_force();
        let skew = i64::try_from(charter.limits.clock_skew_s).unwrap();
        let fresh = call.at <= self.now.plus_seconds(skew) && self.now <= call.at.plus_seconds(skew);
        let Some(case) = self.case(&call.request) else { return false };
        let part = match (&case.said.act, &call.by) {
            (Act::Request(r), Caller::Person(p)) => {
                let own = charter.people.iter().any(|o| o.id == *p && Self::valid(o, signer, self.now));
                own && (r.by == *p || r.recipient.person() == Some(p))
            }
            (Act::Request(r), Caller::Device(k)) => {
                matches!(&r.recipient, Recipient::Device(d) if d.key == *k) && k == signer
            }
            (Act::Recovery(r), Caller::Device(k)) => r.key == *k && k == signer,
            _ => false,
        };
        let live = match &call.by {
            Caller::Person(_) => true,
            Caller::Device(k) => {
                self.devices().into_iter().any(|(l, e, d)| d.key == *k && self.live(l, e, d, self.now))
            }
        };
        fresh && part && live && call.charter == digest && !self.revoked(signer)
    }

    /// Whether the authorisation at this position of the log may still be delivered.
    pub(super) fn deliver(&self, position: usize, cosigned: bool, young: bool) -> bool {
        let Act::Call(call) = &self.log[position].said.act else { return false };
        let ended = self.log.iter().any(|l| matches!(&l.said.act, Act::Ended(p, _) if *p == position));
        young && cosigned && !ended && self.judge(&call.request).outcome == Outcome::Permit
    }

    /// Authorisations without an outcome.
    pub(super) fn open(&self) -> Vec<usize> {
        let ended = |p: usize| self.log.iter().any(|l| matches!(&l.said.act, Act::Ended(q, _) if *q == p));
        (0..self.log.len()).filter(|p| matches!(self.log[*p].said.act, Act::Call(_)) && !ended(*p)).collect()
    }
}
