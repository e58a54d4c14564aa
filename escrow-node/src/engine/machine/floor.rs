//! The hard floor as the model has it: every rule that a request or self-recovery breaks, not only
//! the first.

use super::model::{Logged, Model, all};
use escrow_core::charter::{Basis, Person, Subject};
use escrow_core::deal::{About, Deal};
use escrow_core::decision::Choice;
use escrow_core::matter::MatterAction;
use escrow_core::recovery::SelfRecovery;
use escrow_core::release::Caller;
use escrow_core::request::{Recipient, Request};
use escrow_core::{Code, Digest, ItemId, MatterId, PersonId, Token};
use escrow_policy::Rule;

/// Depositors and inside participants; and those whom depositors call outside.
pub(super) struct Scope {
    inside: Vec<Token>,
    outside: Vec<Token>,
}

impl Model {
    pub(super) fn is(&self, person: &Person, token: &Token) -> bool {
        matches!(&person.subject, Subject::Tokens(own) if own.contains(token))
    }

    pub(super) fn scope(&self, items: &[ItemId]) -> Scope {
        let mut scope = Scope { inside: vec![], outside: vec![] };
        for (deal, position) in items.iter().filter_map(|i| self.item(i)) {
            scope.inside.push(deal.depositor);
            for p in &deal.items[position].about.participants {
                if p.inside { scope.inside.push(p.token) } else { scope.outside.push(p.token) }
            }
        }
        scope
    }

    /// Who is inside is only the depositor's word, so an officer called outside is in scope too.
    pub(super) fn in_scope(&self, person: &Person, scope: &Scope) -> bool {
        scope.inside.iter().chain(&scope.outside).any(|t| self.is(person, t))
    }

    pub(super) fn person_now(&self, id: &PersonId) -> Option<&Person> {
        self.in_force().1.people.iter().find(|p| p.id == *id)
    }

    /// Who reads: the person named, or the officer whose device is.
    pub(super) fn recipient(&self, r: &Request) -> Option<PersonId> {
        let Recipient::Device(d) = &r.recipient else { return r.recipient.person().cloned() };
        let owns = |p: &&Person| self.devices().into_iter().any(|(_, _, o)| o.key == d.key && self.is(p, &o.subject));
        self.in_force().1.people.iter().find(owns).map(|p| p.id.clone())
    }

    /// Authorised here, or approved by two: then it may have been read, if only at other nodes.
    fn may_be_read(&self, case: &Digest) -> bool {
        let mut approving: Vec<&PersonId> = all!(self, Decision).map(|(_, d)| &d.by).collect();
        approving.sort();
        approving.dedup();
        approving.retain(|p| self.strongest(case, p) == Some(Choice::Approve));
        approving.len() >= 2 || all!(self, Call).any(|(_, c)| c.request == *case)
    }

    /// Who has a part in the matter: signed for it, asked, decided (stepping aside is none) or may
    /// have read.
    fn on_case(&self, matter: &MatterId) -> Vec<PersonId> {
        let mut on: Vec<PersonId> =
            all!(self, Matter).filter(|(_, m)| m.matter == *matter).map(|(_, m)| m.by.clone()).collect();
        for (l, r) in all!(self, Request).filter(|(_, r)| r.matter == *matter) {
            on.push(r.by.clone());
            let decisions = all!(self, Decision).filter(|(_, d)| d.request == l.said.digest);
            on.extend(decisions.filter(|(_, d)| d.choice != Choice::Recuse).map(|(_, d)| d.by.clone()));
            if !matches!(r.recipient, Recipient::FilterTeam(_)) && self.may_be_read(&l.said.digest) {
                on.extend(self.recipient(r));
            }
        }
        on
    }

    /// Who may have read, as the filter team, something of this request's matter or items.
    pub(super) fn filtered(&self, r: &Request) -> Vec<PersonId> {
        let near = |o: &Request| o.matter == r.matter || o.items.iter().any(|i| r.items.contains(i));
        let read = all!(self, Request).filter(|(l, o)| near(o) && self.may_be_read(&l.said.digest));
        let team = |o: &Request| match &o.recipient {
            Recipient::FilterTeam(p) => Some(p.id.clone()),
            Recipient::Person(_) | Recipient::Device(_) => None,
        };
        read.filter_map(|(_, o)| team(o)).collect()
    }

    // The floor.

    pub(super) fn broken_by_request(&self, l: &Logged, r: &Request) -> Vec<Rule> {
        let charter = self.in_force().1;
        let mut broken = self.broken_by_items(&r.items, &r.policy);
        let mut check = |ok: bool, rule| {
            if !ok {
                broken.push(rule)
            }
        };
        check(self.now < r.expires, Rule::RequestExpired);
        let cancelled = all!(self, Cancellation).any(|(_, c)| c.request == l.said.digest && c.by == r.by);
        check(!cancelled, Rule::RequestCancelled);
        if let Err(rule) = self.request_limits(r) {
            check(false, rule);
        }
        let requestor = self.person_now(&r.by);
        let key = &l.said.signers[0];
        check(requestor.is_some_and(|p| p.has_role("requestor")), Rule::NotEntitled);
        check(requestor.is_some_and(|p| Self::valid(p, key, l.at)), Rule::KeyNotValid);
        check(!self.revoked(key), Rule::KeyRevoked);
        check(!charter.seats.iter().any(|s| s.operators.contains(&r.by)), Rule::RequestorOperatesSeat);
        let head = self.head(&r.matter);
        check(head.is_some(), Rule::MatterUnknown);
        check(head.is_none_or(|(_, m)| m.action != MatterAction::Close), Rule::MatterClosed);
        let abouts: Vec<&About> = self.abouts(&r.items);
        let in_time = abouts.iter().all(|a| a.from < r.scope.to && r.scope.from < a.to);
        let within = abouts.iter().all(|a| r.scope.threads.contains(&a.thread));
        let all_there = r.scope.threads.iter().all(|t| abouts.iter().any(|a| a.thread == *t));
        check(in_time && within && all_there, Rule::ItemScope);
        for consent in self.consents_of(&r.items).iter().filter_map(|d| self.consent(d)) {
            let basis = r.basis != Basis::Consent || consent.basis == Basis::Consent;
            check(consent.purposes.contains(&r.purpose) && basis, Rule::ConsentScope);
        }
        let scope = self.scope(&r.items);
        check(!requestor.is_some_and(|p| self.in_scope(p, &scope)), Rule::RequestorInScope);
        match &r.recipient {
            Recipient::Person(p) | Recipient::FilterTeam(p) => {
                let person = self.person_now(&p.id);
                let listed = person.and_then(|p| p.sealing.as_ref()).map(|k| k.digest());
                check(listed == Some(p.sealing), Rule::RecipientKey);
                check(!person.is_some_and(|p| self.in_scope(p, &scope)), Rule::RecipientInScope);
            }
            Recipient::Device(d) => {
                let listed =
                    self.devices().into_iter().find(|(l, _, o)| l.said.digest == d.enrolment && o.key == d.key);
                let good = |(l, e, o): (&Logged, _, &escrow_core::enrolment::Device)| {
                    self.live(l, e, o, self.now) && o.sealing.digest() == d.sealing
                };
                check(listed.is_some_and(good), Rule::RecipientKey);
                check(!listed.is_some_and(|(_, _, o)| scope.inside.contains(&o.subject)), Rule::RecipientInScope);
            }
        }
        let (on, filter) = (self.on_case(&r.matter), self.filtered(r));
        if let Recipient::FilterTeam(p) = &r.recipient {
            check(self.person_now(&p.id).is_some_and(|p| p.has_role("filter-team")), Rule::NotEntitled);
            check(!on.contains(&p.id), Rule::FilterTeamOnCase);
        }
        if let (Recipient::Person(_) | Recipient::Device(_), Some(p)) = (&r.recipient, self.recipient(r)) {
            check(!filter.contains(&p), Rule::FilterTeamOnCase);
        }
        check(!filter.contains(&r.by), Rule::FilterTeamOnCase);
        broken
    }

    pub(super) fn broken_by_recovery(&self, l: &Logged, r: &SelfRecovery) -> Vec<Rule> {
        let mut broken = self.broken_by_items(&r.items, &r.policy);
        let mut check = |ok: bool, rule| {
            if !ok {
                broken.push(rule)
            }
        };
        check(self.now < r.expires, Rule::RequestExpired);
        if let Err(rule) = self.recovery_limits(r) {
            check(false, rule);
        }
        let deals: Vec<&Deal> = r.items.iter().filter_map(|i| self.item(i)).map(|(d, _)| d).collect();
        check(deals.iter().all(|d| d.depositor == r.subject), Rule::RecoveryNotOwn);
        check(!self.vetoed(&l.said.digest, r), Rule::RecoveryVetoed);
        let device = self.devices().into_iter().find(|(l, _, d)| l.said.digest == r.enrolment && d.key == r.key);
        let Some((enrolled, e, d)) = device else {
            check(false, Rule::NotEnrolled);
            return broken;
        };
        check(d.subject == r.subject, Rule::WrongSigner);
        check(self.live(enrolled, e, d, self.now), Rule::NotEnrolled);
        check(d.sealing.digest() == r.sealing, Rule::RecipientKey);
        let delay = i64::try_from(self.in_force().1.limits.recovery_delay_s).unwrap();
        check(self.now >= enrolled.at.max(e.from).plus_seconds(delay), Rule::RecoveryDelay);
        broken
    }

    /// By a device of the subject, whose ever it was when it said so, or by the subject-rights role.
    pub(super) fn vetoed(&self, recovery: &Digest, r: &SelfRecovery) -> bool {
        all!(self, Veto).filter(|(_, v)| v.recovery == *recovery).any(|(_, v)| match &v.by {
            Caller::Person(_) => true,
            Caller::Device(key) => self.devices().iter().any(|(_, _, d)| d.key == *key && d.subject == r.subject),
        })
    }

    pub(super) fn broken_by_items(&self, items: &[ItemId], policy: &Code) -> Vec<Rule> {
        let mut broken: Vec<Rule> = self.unsettled().into_iter().collect();
        let found: Vec<(&Deal, usize)> = items.iter().filter_map(|i| self.item(i)).collect();
        if found.len() < items.len() {
            broken.push(Rule::ItemUnknown);
        }
        broken.extend(self.consents_of(items).iter().filter_map(|d| self.live_consent(d).err()));
        if !found.iter().all(|(d, _)| d.policies.iter().any(|p| p.id == *policy)) {
            broken.push(Rule::PolicyNotAgreed);
        }
        broken
    }

    pub(super) fn abouts(&self, items: &[ItemId]) -> Vec<&About> {
        items.iter().filter_map(|i| self.item(i)).map(|(d, p)| &d.items[p].about).collect()
    }

    pub(super) fn consents_of(&self, items: &[ItemId]) -> Vec<Digest> {
        let mut out: Vec<Digest> = items.iter().filter_map(|i| self.item(i)).map(|(d, _)| d.consent).collect();
        out.sort();
        out.dedup();
        out
    }
}
