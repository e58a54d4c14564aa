//! Whether a statement may be logged, as the model has it: section 14 of `docs/protocol.md`.

use super::model::{Act, DAY, Model, Ruled, Said, all, must};
use escrow_core::charter::{Basis, Charter};
use escrow_core::consent::{Consent, Coverage, Withdrawal};
use escrow_core::deal::Deal;
use escrow_core::decision::{Choice, Decision};
use escrow_core::deposit::Deposit;
use escrow_core::enrolment::Device;
use escrow_core::matter::MatterAction;
use escrow_core::recovery::SelfRecovery;
use escrow_core::release::Caller;
use escrow_core::request::{Notice, Request};
use escrow_core::{Digest, Timestamp};
use escrow_policy::Rule;

impl Model {
    /// Not further in the future than the charter's skew.
    pub(super) fn dated(&self, at: Timestamp) -> Ruled {
        let skew = i64::try_from(self.in_force().1.limits.clock_skew_s).unwrap();
        must(at <= self.now.plus_seconds(skew), Rule::ClockSkew)
    }

    /// A statement that gives permission names the version in force.
    pub(super) fn permission(&self, named: &Digest) -> Ruled<Vec<&Charter>> {
        must(self.charter(named).is_some(), Rule::CharterUnknown)?;
        must(*named == self.in_force().0, Rule::CharterStale)?;
        Ok(vec![self.in_force().1])
    }

    /// A restriction counts under the version that it names or the one in force.
    pub(super) fn restriction(&self, named: &Digest) -> Ruled<Vec<&Charter>> {
        must(self.taken_over(named), Rule::CharterUnknown)?;
        Ok(vec![self.in_force().1, self.charter(named).unwrap()])
    }

    /// Whether this statement may be logged now.
    pub(super) fn admit(&self, s: &Said) -> Ruled {
        match &s.act {
            Act::Charter(c) => self.admit_charter(s, c),
            Act::Enrolment(e) => {
                let charters = self.permission(&e.charter)?;
                must(self.quorum("registrar", &s.signers, &charters, self.now).len() >= 2, Rule::QuorumMissing)?;
                for d in &e.devices {
                    let other = self.devices().into_iter().any(|(_, _, o)| o.key == d.key && o.subject != d.subject);
                    let officer = all!(self, Charter)
                        .any(|(_, c)| c.people.iter().any(|p| p.keys.iter().any(|k| k.key == d.key)));
                    must(!other && !officer, Rule::DeviceTaken)?;
                    // A release to the device would be readable to whoever else holds that key.
                    let people = charters[0].people.iter().filter_map(|p| p.sealing.as_ref());
                    let listed = charters[0].seats.iter().map(|s| &s.sealing).chain(people).any(|k| *k == d.sealing);
                    let another = |o: &Device| o.sealing == d.sealing && o.subject != d.subject;
                    must(!listed && !self.devices().into_iter().any(|(_, _, o)| another(o)), Rule::DeviceTaken)?;
                }
                Ok(())
            }
            Act::Revocation(r) => {
                let charters = self.restriction(&r.charter)?;
                // Under either version, but everybody under the same one.
                let under = |role, c: &&Charter| self.quorum(role, &s.signers, &[c], self.now).len() >= 2;
                let enough = |role| charters.iter().any(|c| under(role, c));
                must(enough("registrar") || enough("admin"), Rule::QuorumMissing)
            }
            Act::Consent(c) => self.admit_consent(s, c),
            Act::Withdrawal(w) => self.admit_withdrawal(s, w),
            Act::Deposit(d, deal, _) => self.admit_deposit(s, d, deal),
            Act::Matter(m) => {
                if m.action == MatterAction::Close {
                    return self.person(s, &m.by, Some("requestor"), &self.restriction(&m.charter)?);
                }
                self.person(s, &m.by, Some("requestor"), &self.permission(&m.charter)?)?;
                self.dated(m.at)?;
                let opened = all!(self, Matter).any(|(_, o)| o.matter == m.matter && o.action == MatterAction::Open);
                let head = self.head(&m.matter).filter(|(_, h)| h.action == MatterAction::Close);
                let fits = match m.action {
                    MatterAction::Open => !opened,
                    _ => head.is_some_and(|(d, _)| m.previous == Some(d)),
                };
                must(fits, Rule::MatterChain)
            }
            Act::Request(r) => {
                self.person(s, &r.by, Some("requestor"), &self.permission(&r.charter)?)?;
                self.dated(r.created)?;
                self.request_limits(r)?;
                must(self.now < r.expires, Rule::RequestExpired)?;
                let month =
                    all!(self, Request).filter(|(l, o)| o.by == r.by && l.at > self.now.plus_seconds(-30 * DAY));
                let limits = &self.in_force().1.limits;
                must((month.count() as u64) < limits.requests_per_requestor_month, Rule::RequestorLimits)
            }
            Act::Cancellation(c) => {
                self.person(s, &c.by, Some("requestor"), &self.restriction(&c.charter)?)?;
                must(self.request(&c.request).is_none_or(|r| r.by == c.by), Rule::NotEntitled)
            }
            Act::Decision(d) => self.admit_decision(s, d),
            Act::Recovery(r) => {
                self.permission(&r.charter)?;
                self.by_device(s, &r.subject)?;
                must(s.signers == [r.key.clone()], Rule::WrongSigner)?;
                self.dated(r.created)?;
                self.recovery_limits(r)?;
                must(self.now < r.expires, Rule::RequestExpired)?;
                let month =
                    all!(self, Recovery).filter(|(l, o)| o.key == r.key && l.at > self.now.plus_seconds(-30 * DAY));
                let limits = &self.in_force().1.limits;
                must((month.count() as u64) < limits.requests_per_requestor_month, Rule::RequestorLimits)
            }
            Act::Veto(v) => {
                let charters = self.restriction(&v.charter)?;
                match &v.by {
                    Caller::Person(p) => self.person(s, p, Some("subject-rights"), &charters),
                    Caller::Device(key) => {
                        must(s.signers == [key.clone()], Rule::WrongSigner)?;
                        // Whose recovery it is may not be known here yet: logged, and judged later.
                        let live = self.devices().iter().any(|(_, _, d)| self.device_of(key, &d.subject));
                        must(live, Rule::NotEnrolled)
                    }
                }
            }
            Act::Accepted(_) | Act::Call(_) | Act::Ended(..) => unreachable!("not a statement that is submitted"),
        }
    }

    pub(super) fn admit_charter(&self, s: &Said, c: &Charter) -> Ruled {
        let before = c.previous.and_then(|d| self.charter(&d)).ok_or(Rule::CharterUnknown)?;
        must(c.version == before.version + 1 && before.issued <= c.issued, Rule::CharterInvalid)?;
        for side in [before, c] {
            let admins = self.quorum("admin", &s.signers, &[side], c.issued);
            must(admins.len() >= side.admin_quorum as usize, Rule::CharterInvalid)?;
        }
        self.dated(c.issued)
    }

    pub(super) fn admit_consent(&self, s: &Said, c: &Consent) -> Ruled {
        let charters = self.permission(&c.charter)?;
        if c.basis == Basis::Consent {
            self.by_device(s, &c.subject)?;
        } else {
            self.basis_signers(s, c.basis, &charters)?;
        }
        self.dated(c.record.event_time)?;
        must(self.now < c.expires, Rule::ConsentExpired)?;
        let known = |id, digest| charters[0].policies.iter().any(|p| p.id == id && p.digest() == digest);
        must(c.policies.iter().all(|p| known(p.id.clone(), p.digest)), Rule::PolicyUnknown)
    }

    pub(super) fn basis_signers(&self, s: &Said, basis: Basis, charters: &[&Charter]) -> Ruled {
        let lists: Vec<_> = charters.iter().flat_map(|c| &c.basis_signers).filter(|b| b.basis == basis).collect();
        must(!lists.is_empty(), Rule::NotEntitled)?;
        let enough = lists.iter().any(|b| {
            let roles: Vec<&str> = b.roles.iter().map(escrow_core::Role::as_str).collect();
            self.each_role(&roles, &s.signers, charters, &[])
        });
        must(enough, Rule::QuorumMissing)
    }

    pub(super) fn admit_withdrawal(&self, s: &Said, w: &Withdrawal) -> Ruled {
        let charters = self.restriction(&w.charter)?;
        let consent = self.consent(&w.consent);
        must(consent.is_none_or(|c| c.subject == w.subject), Rule::WrongSigner)?;
        let officer =
            !self.quorum("subject-rights", &s.signers, &charters, self.now).is_empty() && s.signers.len() == 1;
        let basis = consent.map_or(Basis::Consent, |c| c.basis);
        if officer {
            Ok(())
        } else if basis == Basis::Consent {
            self.by_device(s, &w.subject)
        } else {
            self.basis_signers(s, basis, &charters)
        }
    }

    pub(super) fn admit_deposit(&self, s: &Said, d: &Deposit, deal: &Deal) -> Ruled {
        let reigned = self.reigned();
        if d.charter != self.in_force().0 {
            must(self.charter(&d.charter).is_some(), Rule::CharterUnknown)?;
            // The entry that put the next version in force ended this one.
            let next = reigned.iter().position(|r| *r == d.charter).and_then(|p| reigned.get(p + 1));
            let ended = all!(self, Accepted).find(|(_, a)| Some(*a) == next).map(|(l, _)| l.at);
            let grace = i64::try_from(self.in_force().1.limits.charter_grace_s).unwrap();
            must(ended.is_some_and(|e| self.now <= e.plus_seconds(grace)), Rule::CharterStale)?;
        }
        self.by_device(s, &d.depositor)?;
        self.dated(d.at)?;
        let twice = self.log.iter().any(|l| matches!(&l.said.act, Act::Deposit(o, _, _) if o.deal == d.deal));
        must(!twice, Rule::DealReplayed)?;
        let consent = self.live_consent(&deal.consent)?;
        must(consent.subject == d.depositor, Rule::ConsentScope)?;
        for i in &deal.items {
            let thread = match &consent.coverage {
                Coverage::Workspace => true,
                Coverage::Threads(list) => list.contains(&i.about.thread),
            };
            let time = consent.from <= i.about.from && i.about.to <= consent.to;
            must(thread && time, Rule::ConsentScope)?;
        }
        must(deal.t >= consent.floor.t && deal.n >= consent.floor.n, Rule::ConsentFloor)?;
        for p in &deal.policies {
            must(consent.policies.contains(p), Rule::PolicyNotAgreed)?;
        }
        Ok(())
    }

    /// Today's limits on the size and life of a request.
    pub(super) fn request_limits(&self, r: &Request) -> Ruled {
        let limits = &self.in_force().1.limits;
        must(r.items.len() as u64 <= limits.items_per_request, Rule::RequestLimits)?;
        let life = i64::try_from(limits.request_life_s).unwrap();
        must(r.expires <= r.created.plus_seconds(life), Rule::RequestLimits)?;
        let days = i64::try_from(limits.notice_delay_days).unwrap();
        let Notice::Delayed(n) = &r.notice else { return Ok(()) };
        must(n.until <= r.created.plus_seconds(days * DAY), Rule::NoticeDelay)
    }

    pub(super) fn recovery_limits(&self, r: &SelfRecovery) -> Ruled {
        let limits = &self.in_force().1.limits;
        must(r.items.len() as u64 <= limits.items_per_request, Rule::RequestLimits)?;
        must(r.expires <= r.created.plus_seconds(i64::try_from(limits.request_life_s).unwrap()), Rule::RequestLimits)
    }

    pub(super) fn admit_decision(&self, s: &Said, d: &Decision) -> Ruled {
        let approves = d.choice == Choice::Approve;
        let charters = if approves { self.permission(&d.charter)? } else { self.restriction(&d.charter)? };
        // The role is an approver role under the version that gives the office.
        let offices: Vec<&Charter> = charters.into_iter().filter(|c| c.approver_roles.contains(&d.role)).collect();
        must(!offices.is_empty(), Rule::NotEntitled)?;
        self.person(s, &d.by, Some(d.role.as_str()), &offices)?;
        if !approves {
            return Ok(());
        }
        self.dated(d.at)?;
        let Some(case) = self.case(&d.request) else { return Ok(()) };
        let person = self.in_force().1.people.iter().find(|p| p.id == d.by).unwrap();
        must(!self.excluded(case, person, false), Rule::ApproverInScope)
    }
}
