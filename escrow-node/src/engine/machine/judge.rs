//! What the gate must say about a request or self-recovery, from the model's plain log: the
//! approvals that count, what they may still become, and the outcome. Cedar itself is called;
//! nothing of the gate around it.

use super::context::Counters;
use super::model::{Act, Logged, Model, Ruled, all};
use escrow_core::charter::{Charter, Person, Policy};
use escrow_core::decision::{Choice, Decision};
use escrow_core::request::Recipient;
use escrow_core::verdict::Outcome;
use escrow_core::{Code, Digest, ItemId, PersonId, PublicKey};
use escrow_policy::Rule;
use escrow_policy::cedar::{self, Evaluated};

/// An answer with its reasons.
#[derive(Debug)]
pub(super) struct Judged {
    pub outcome: Outcome,
    /// Every rule that is broken; empty unless refused.
    pub broken: Vec<Rule>,
    /// Approvals that count, sorted.
    pub decisions: Vec<Digest>,
    /// None if the floor refused before.
    pub context: Option<Vec<u8>>,
    /// Texts evaluated in order: digest, whether today's, whether it allowed.
    pub policies: Vec<(Digest, bool, bool)>,
}

impl Model {
    pub(super) fn strongest(&self, case: &Digest, by: &PersonId) -> Option<Choice> {
        all!(self, Decision).filter(|(_, d)| d.request == *case && d.by == *by).map(|(_, d)| d.choice).max()
    }

    /// Nobody decides about their own request, reading, messages or enrolment. Whose a recipient
    /// device is only the gate looks up.
    pub(super) fn excluded(&self, case: &Logged, p: &Person, gate: bool) -> bool {
        match &case.said.act {
            Act::Request(r) => {
                let owner =
                    |d: &PublicKey| self.devices().into_iter().any(|(_, _, o)| o.key == *d && self.is(p, &o.subject));
                r.by == p.id
                    || r.recipient.person() == Some(&p.id)
                    || matches!(&r.recipient, Recipient::Device(d) if gate && owner(&d.key))
                    || self.in_scope(p, &self.scope(&r.items))
                    || self.filtered(r).contains(&p.id)
            }
            Act::Recovery(r) => {
                // Every enrolment of the device: the one it names is its own choice.
                let enrolments = self.devices().into_iter().filter(|(_, _, d)| d.key == r.key);
                let mut signers = enrolments.flat_map(|(l, _, _)| &l.said.signers);
                let signed = |key: &PublicKey| {
                    all!(self, Charter)
                        .any(|(_, c)| c.people.iter().any(|o| o.id == p.id && o.keys.iter().any(|k| k.key == *key)))
                };
                self.in_scope(p, &self.scope(&r.items)) || signers.any(signed)
            }
            _ => true,
        }
    }

    pub(super) fn counts(&self, case: &Logged, l: &Logged, d: &Decision) -> bool {
        let office = |c: &Charter| {
            let holder = c.people.iter().find(|p| p.id == d.by);
            c.approver_roles.contains(&d.role)
                && holder.is_some_and(|p| p.roles.contains(&d.role) && Self::valid(p, &l.said.signers[0], l.at))
        };
        d.request == case.said.digest
            && self.strongest(&d.request, &d.by) == Some(Choice::Approve)
            && office(self.in_force().1)
            && self.charter(&d.charter).is_some_and(office)
            && !self.revoked(&l.said.signers[0])
            && !self.person_now(&d.by).is_none_or(|p| self.excluded(case, p, true))
    }

    /// Of each person the approval that was signed first.
    pub(super) fn approvals(&self, case: &Logged) -> Vec<(&Decision, Digest)> {
        let mut out: Vec<(&Decision, Digest)> = vec![];
        for (l, d) in all!(self, Decision).filter(|(l, d)| self.counts(case, l, d)) {
            match out.iter_mut().find(|(o, _)| o.by == d.by) {
                Some(o) if (d.at, l.said.digest) < (o.0.at, o.1) => *o = (d, l.said.digest),
                Some(_) => {}
                None => out.push((d, l.said.digest)),
            }
        }
        out
    }

    pub(super) fn counters(&self, case: &Logged) -> Counters {
        let approvals = self.approvals(case);
        let role =
            |r: &escrow_core::Role| (r.to_string(), approvals.iter().filter(|(d, _)| d.role == *r).count() as u64);
        Counters {
            roles: self.in_force().1.approver_roles.iter().map(role).collect(),
            approvers: approvals.len() as u64,
            waited: u64::try_from(self.now.seconds_since(case.at)).unwrap(),
        }
    }

    /// What the counters can still become.
    pub(super) fn most(&self, case: &Logged) -> Counters {
        let now = self.counters(case);
        let charter = self.in_force().1;
        let could = |p: &Person| {
            let silent = self.strongest(&case.said.digest, &p.id).is_none_or(|c| c == Choice::Approve);
            let able = p.keys.iter().any(|k| self.now < k.until && !self.revoked(&k.key));
            silent && able && !self.excluded(case, p, true)
        };
        let holders = |r: &str| charter.people.iter().filter(|p| p.has_role(r) && could(p)).count() as u64;
        let any = |p: &Person| p.roles.iter().any(|r| charter.approver_roles.contains(r));
        let expires = match &case.said.act {
            Act::Request(r) => r.expires,
            Act::Recovery(r) => r.expires,
            _ => self.now,
        };
        Counters {
            approvers: now.approvers.max(charter.people.iter().filter(|p| any(p) && could(p)).count() as u64),
            waited: now.waited.max(u64::try_from(expires.seconds_since(case.at)).unwrap()),
            roles: now.roles.into_iter().map(|(r, n)| (r.clone(), n.max(holders(&r)))).collect(),
        }
    }

    /// Each distinct text agreed at deposit, by digest, then today's; an id that is gone refuses.
    pub(super) fn texts(&self, items: &[ItemId], id: &Code) -> Ruled<Vec<(&Policy, bool)>> {
        let today = self.in_force().1.policies.iter().find(|p| p.id == *id).ok_or(Rule::PolicyUnknown)?;
        let deals = items.iter().filter_map(|i| self.item(i)).map(|(d, _)| d);
        let mut agreed: Vec<Digest> =
            deals.flat_map(|d| &d.policies).filter(|p| p.id == *id).map(|p| p.digest).collect();
        agreed.sort();
        agreed.dedup();
        let mut out = vec![];
        for digest in agreed {
            let mut known = all!(self, Charter).flat_map(|(_, c)| &c.policies);
            out.push((known.find(|p| p.digest() == digest).ok_or(Rule::PolicyUnknown)?, false));
        }
        out.push((today, true));
        Ok(out)
    }

    pub(super) fn ask_cedar(&self, case: &Logged, text: &Policy, context: &[u8]) -> Evaluated {
        let text = cedar::parse(text, &self.in_force().1.approver_roles).unwrap();
        match &case.said.act {
            Act::Request(r) => text.evaluate(&r.by, &r.matter, context).unwrap(),
            Act::Recovery(r) => text.evaluate_recovery(r.key.id().as_str(), &r.org, context).unwrap(),
            _ => unreachable!("neither request nor self-recovery"),
        }
    }

    /// What a request or self-recovery known here gets now.
    pub(super) fn judge(&self, digest: &Digest) -> Judged {
        let case = self.case(digest).unwrap();
        let refuse =
            |broken| Judged { outcome: Outcome::Refuse, broken, decisions: vec![], context: None, policies: vec![] };
        let (mut broken, items, policy) = match &case.said.act {
            Act::Request(r) => (self.broken_by_request(case, r), &r.items, &r.policy),
            Act::Recovery(r) => (self.broken_by_recovery(case, r), &r.items, &r.policy),
            _ => unreachable!("neither request nor self-recovery"),
        };
        if all!(self, Decision).any(|(_, d)| d.request == *digest && d.choice == Choice::Deny) {
            broken.push(Rule::Denied);
        }
        let texts = self.texts(items, policy);
        broken.extend(texts.as_ref().err());
        let Ok(texts) = texts else { return refuse(broken) };
        if let Act::Request(r) = &case.said.act
            && self.recipient(r).as_ref() == Some(&r.by)
        {
            let roles = &self.in_force().1.approver_roles;
            if !texts.iter().all(|(t, _)| cedar::parse(t, roles).unwrap().allows_requestor_as_recipient()) {
                broken.push(Rule::RecipientIsRequestor);
            }
        }
        if !broken.is_empty() {
            return refuse(broken);
        }
        let (now, most) = (self.counters(case), self.most(case));
        let context = self.context(case, &now);
        let results: Vec<Evaluated> = texts.iter().map(|(t, _)| self.ask_cedar(case, t, &context)).collect();
        let outcome = if results.iter().any(|r| !r.errors.is_empty()) {
            broken.push(Rule::PolicyError);
            Outcome::Refuse
        } else if now.approvers >= 2 && results.iter().all(|r| r.allowed) {
            Outcome::Permit
        } else {
            let at_most = self.context(case, &most);
            let hope = |(t, _): &(&Policy, bool)| self.ask_cedar(case, t, &at_most).allowed;
            if most.approvers >= 2 && texts.iter().all(hope) {
                Outcome::Pending
            } else {
                broken.push(Rule::PolicyDenies);
                Outcome::Refuse
            }
        };
        let mut decisions: Vec<Digest> = self.approvals(case).into_iter().map(|(_, d)| d).collect();
        decisions.sort();
        let policies = texts.iter().zip(&results).map(|((t, today), r)| (t.digest(), *today, r.allowed)).collect();
        Judged { outcome, broken, decisions, context: Some(context), policies }
    }
}
