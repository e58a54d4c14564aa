//! What the gate must say about a request or self-recovery, from the model's plain log: every
//! rule of the hard floor that is broken (not only the first), the approvals that count, the
//! exact context, written here as text, and the outcome. Cedar itself is called; nothing of the
//! gate around it.

use super::model::{Act, DAY, Logged, Model, Ruled, all, must};
use escrow_core::charter::{Basis, Charter, Person, Policy, Subject};
use escrow_core::consent::Coverage;
use escrow_core::deal::{About, Deal};
use escrow_core::decision::{Choice, Decision};
use escrow_core::matter::MatterAction;
use escrow_core::recovery::SelfRecovery;
use escrow_core::release::{Caller, ReleaseCall};
use escrow_core::request::{Notice, Recipient, Request};
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::{Code, Digest, ItemId, MatterId, PersonId, PublicKey, Token};
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

/// Depositors and inside participants; and those whom depositors call outside.
pub(super) struct Scope {
    inside: Vec<Token>,
    outside: Vec<Token>,
}

/// The three numbers that more signatures or more waiting raise.
struct Counters {
    roles: Vec<(String, u64)>,
    approvers: u64,
    waited: u64,
}

/// A signed statement of a node, as it was presented.
pub(super) struct Presented<T> {
    pub statement: T,
    pub signer: PublicKey,
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

    fn person_now(&self, id: &PersonId) -> Option<&Person> {
        self.in_force().1.people.iter().find(|p| p.id == *id)
    }

    /// Who reads: the person named, or the officer whose device is.
    fn recipient(&self, r: &Request) -> Option<PersonId> {
        let Recipient::Device(d) = &r.recipient else { return r.recipient.person().cloned() };
        let owns = |p: &&Person| self.devices().into_iter().any(|(_, _, o)| o.key == d.key && self.is(p, &o.subject));
        self.in_force().1.people.iter().find(owns).map(|p| p.id.clone())
    }

    /// Who has a part in the matter: signed for it, asked, decided (stepping aside is none) or was
    /// to read. And who was the filter team of something that was released: they have read it.
    fn on_case(&self, matter: &MatterId) -> (Vec<PersonId>, Vec<PersonId>) {
        let (mut on, mut filter) = (vec![], vec![]);
        on.extend(all!(self, Matter).filter(|(_, m)| m.matter == *matter).map(|(_, m)| m.by.clone()));
        for (l, r) in all!(self, Request).filter(|(_, r)| r.matter == *matter) {
            on.push(r.by.clone());
            let decisions = all!(self, Decision).filter(|(_, d)| d.request == l.said.digest);
            on.extend(decisions.filter(|(_, d)| d.choice != Choice::Recuse).map(|(_, d)| d.by.clone()));
            match &r.recipient {
                Recipient::FilterTeam(p) if self.delivered(&l.said.digest) > 0 => filter.push(p.id.clone()),
                Recipient::FilterTeam(_) => {}
                Recipient::Person(_) | Recipient::Device(_) => on.extend(self.recipient(r)),
            }
        }
        (on, filter)
    }

    // The floor.

    fn broken_by_request(&self, l: &Logged, r: &Request) -> Vec<Rule> {
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
        let (on, filter) = self.on_case(&r.matter);
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

    fn broken_by_recovery(&self, l: &Logged, r: &SelfRecovery) -> Vec<Rule> {
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
        check(self.now >= enrolled.at.plus_seconds(delay), Rule::RecoveryDelay);
        broken
    }

    /// By a device of the subject, whose ever it was when it said so, or by the subject-rights role.
    fn vetoed(&self, recovery: &Digest, r: &SelfRecovery) -> bool {
        all!(self, Veto).filter(|(_, v)| v.recovery == *recovery).any(|(_, v)| match &v.by {
            Caller::Person(_) => true,
            Caller::Device(key) => self.devices().iter().any(|(_, _, d)| d.key == *key && d.subject == r.subject),
        })
    }

    fn broken_by_items(&self, items: &[ItemId], policy: &Code) -> Vec<Rule> {
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

    fn abouts(&self, items: &[ItemId]) -> Vec<&About> {
        items.iter().filter_map(|i| self.item(i)).map(|(d, p)| &d.items[p].about).collect()
    }

    pub(super) fn consents_of(&self, items: &[ItemId]) -> Vec<Digest> {
        let mut out: Vec<Digest> = items.iter().filter_map(|i| self.item(i)).map(|(d, _)| d.consent).collect();
        out.sort();
        out.dedup();
        out
    }

    // Approvals.

    fn strongest(&self, case: &Digest, by: &PersonId) -> Option<Choice> {
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
                    || self.on_case(&r.matter).1.contains(&p.id)
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

    fn counts(&self, case: &Logged, l: &Logged, d: &Decision) -> bool {
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
    fn approvals(&self, case: &Logged) -> Vec<(&Decision, Digest)> {
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

    fn counters(&self, case: &Logged) -> Counters {
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
    fn most(&self, case: &Logged) -> Counters {
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

    // Context.

    /// Other requests for any of these items that were denied, and that something was delivered for.
    fn earlier(&self, case: &Logged, items: &[ItemId]) -> (u64, u64) {
        let (mut denials, mut releases) = (0, 0);
        for other in self.log.iter().filter(|l| l.said.digest != case.said.digest) {
            let theirs = match &other.said.act {
                Act::Request(r) => &r.items,
                Act::Recovery(r) => &r.items,
                _ => continue,
            };
            if theirs.iter().any(|i| items.contains(i)) {
                let of = &other.said.digest;
                let denied = all!(self, Decision).any(|(_, d)| d.request == *of && d.choice == Choice::Deny);
                let vetoed = matches!(&other.said.act, Act::Recovery(r) if self.vetoed(of, r));
                denials += u64::from(denied || vetoed);
                releases += u64::from(self.delivered(of) > 0);
            }
        }
        (denials, releases)
    }

    pub(super) fn delivered(&self, case: &Digest) -> usize {
        let ends = self.log.iter().filter_map(|l| if let Act::Ended(p, true) = &l.said.act { Some(*p) } else { None });
        ends.filter(|p| matches!(&self.log[*p].said.act, Act::Call(c) if c.request == *case)).count()
    }

    /// Consented, informed, outside: participants other than the depositors, each once.
    fn participants(&self, r: &Request) -> (u64, u64, u64) {
        let depositors: Vec<Token> = r.items.iter().filter_map(|i| self.item(i)).map(|(d, _)| d.depositor).collect();
        let abouts = self.abouts(&r.items);
        let mut seen = vec![];
        let (mut consented, mut informed, mut outside) = (0, 0, 0);
        for p in abouts.iter().flat_map(|a| &a.participants) {
            if depositors.contains(&p.token) || seen.contains(&p) {
                continue;
            }
            seen.push(p);
            // Their own consent, for this purpose, for every requested item that they are in.
            let covers = |digest: &Digest, a: &About| {
                let Ok(c) = self.live_consent(digest) else { return false };
                let own = c.subject == p.token && c.basis == Basis::Consent && c.purposes.contains(&r.purpose);
                let thread = match &c.coverage {
                    Coverage::Workspace => true,
                    Coverage::Threads(t) => t.contains(&a.thread),
                };
                let epoch = c.epochs.is_none_or(|e| e.first <= a.epoch && a.epoch <= e.last);
                own && thread && epoch && c.from <= a.from && a.to <= c.to
            };
            let mut theirs = abouts.iter().filter(|a| a.participants.iter().any(|q| q.token == p.token));
            let all = theirs.all(|a| all!(self, Consent).any(|(l, _)| covers(&l.said.digest, a)));
            match p.inside {
                false => outside += 1,
                true if all => consented += 1,
                true => informed += 1,
            }
        }
        (consented, informed, outside)
    }

    fn context(&self, case: &Logged, n: &Counters) -> Vec<u8> {
        let roles: Vec<String> = n.roles.iter().map(|(r, n)| format!("\"{r}\":{n}")).collect();
        let approvals = format!("\"approvals\":{{{}}},\"approvers\":{}", roles.join(","), n.approvers);
        let days = |seconds: i64| (seconds + DAY - 1) / DAY;
        let waited = n.waited;
        match &case.said.act {
            Act::Request(r) => {
                let (denials, releases) = self.earlier(case, &r.items);
                let (consented, informed, outside) = self.participants(r);
                let mut bases: Vec<Basis> =
                    self.consents_of(&r.items).iter().map(|d| self.consent(d).unwrap().basis).collect();
                bases.sort();
                bases.dedup();
                let bases: Vec<String> = bases.iter().map(|b| format!("\"{}\"", b.name())).collect();
                let (notice, notice_days) = match &r.notice {
                    Notice::Immediate => ("immediate", 0),
                    Notice::Delayed(d) => ("delayed", days(d.until.seconds_since(r.created))),
                };
                format!(
                    "{{{approvals},\"authority\":{},\"basis\":\"{}\",\"consent_bases\":[{}],\
                     \"consents\":{{\"consented\":{consented},\"informed\":{informed},\"outside\":{outside}}},\
                     \"depositor_consent\":\"live\",\"earlier_denials\":{denials},\"earlier_releases\":{releases},\
                     \"hold\":false,\"items\":{},\"matter\":\"{}\",\"notice\":\"{notice}\",\"notice_days\":{notice_days},\
                     \"purpose\":\"{}\",\"recipient\":\"{}\",\"recipient_is_requestor\":{},\"requestor\":\"{}\",\
                     \"span_days\":{},\"threads\":{},\"waited_seconds\":{waited}}}",
                    r.authority.is_some(),
                    r.basis.name(),
                    bases.join(","),
                    r.items.len(),
                    r.matter,
                    r.purpose,
                    r.recipient.name(),
                    self.recipient(r).as_ref() == Some(&r.by),
                    r.by,
                    days(r.scope.to.seconds_since(r.scope.from)),
                    r.scope.threads.len(),
                )
            }
            Act::Recovery(r) => {
                let (denials, releases) = self.earlier(case, &r.items);
                let enrolled = all!(self, Enrolment).find(|(l, _)| l.said.digest == r.enrolment).unwrap().0;
                let mut others: Vec<&PublicKey> = vec![];
                for (l, e, d) in self.devices() {
                    let other = d.subject == r.subject && d.key != r.key && self.live(l, e, d, self.now);
                    if other && !others.contains(&&d.key) {
                        others.push(&d.key);
                    }
                }
                let mut threads: Vec<Token> = self.abouts(&r.items).iter().map(|a| a.thread).collect();
                threads.sort();
                threads.dedup();
                format!(
                    "{{{approvals},\"device_age_seconds\":{},\"earlier_denials\":{denials},\"earlier_releases\":{releases},\
                     \"hold\":false,\"items\":{},\"other_devices\":{},\"threads\":{},\"waited_seconds\":{waited}}}",
                    case.at.seconds_since(enrolled.at) + i64::try_from(waited).unwrap(),
                    r.items.len(),
                    others.len(),
                    threads.len(),
                )
            }
            _ => unreachable!("neither request nor self-recovery"),
        }
        .into_bytes()
    }

    // Policies.

    /// Each distinct text agreed at deposit, by digest, then today's; an id that is gone refuses.
    fn texts(&self, items: &[ItemId], id: &Code) -> Ruled<Vec<(&Policy, bool)>> {
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

    fn ask_cedar(&self, case: &Logged, text: &Policy, context: &[u8]) -> Evaluated {
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

    // The release round.

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
                && self.now <= s.at.plus_seconds(60 + skew)
                && s.restrictions.iter().all(|r| self.knows(r))
        });
        must(good, Rule::AnswerInvalid)
    }

    /// Signed lately, under the charter in force, by the request's requestor or recipient.
    fn call_allowed(&self, call: &ReleaseCall, signer: &PublicKey) -> bool {
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
