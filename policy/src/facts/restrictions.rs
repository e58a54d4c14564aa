//! What bears on a request: restrictions, what they hang on, and who has a part in a case.

use super::{Asker, By, Concerns, Facts};
use crate::refusal::{Refusal, Rule};
use escrow_core::charter::Subject;
use escrow_core::decision::Choice;
use escrow_core::enrolment::Revoked;
use escrow_core::limits::EARLY_WITHDRAWALS_MAX;
use escrow_core::matter::MatterAction;
use escrow_core::request::Recipient;
use escrow_core::{Digest, ItemId, MatterId, PersonId, PublicKey, Timestamp, Token};
use std::collections::BTreeSet;

/// Statements of a matter that go with its closing; a closing counts without any.
const PREDECESSORS_MAX: usize = 16;

impl Facts {
    /// How often and for how many items an asker asked since an instant.
    pub(crate) fn asked_since(&self, asker: &Asker, since: Timestamp) -> (u64, u64) {
        let since = self.asked.get(asker).into_iter().flatten().filter(|(at, _)| *at > since);
        since.fold((0, 0), |(n, items), (_, more)| (n + 1, items + more))
    }

    /// Refuses a withdrawal of yet another unknown consent.
    pub(crate) fn may_withdraw_early(&self, key: &PublicKey) -> Result<(), Refusal> {
        let so_far = self.early_withdrawals.get(key).copied().unwrap_or(0);
        crate::refusal::require(so_far < EARLY_WITHDRAWALS_MAX, Rule::EarlyWithdrawals, || {
            format!("{so_far} withdrawals of consents that are not known here; submit the consents first")
        })
    }

    /// What a request or self-recovery hangs on, as far as it is known here.
    pub fn concerns(&self, request: &Digest) -> Concerns {
        let Some(fact) = self.requests.get(request) else { return Concerns::default() };
        let mut out = Concerns::default();
        out.consents.extend(fact.items().iter().filter_map(|i| self.items.get(i)).map(|i| i.consent));
        let approvals = fact.decisions.iter().filter(|d| d.fact.statement.choice == Choice::Approve);
        out.revocable.extend(approvals.map(|d| Revoked::Key(d.key.clone())));
        if let Some((r, key)) = &fact.request {
            let r = &r.statement;
            out.matter = Some(r.matter.clone());
            out.revocable.insert(Revoked::Key(key.clone()));
            // Either of them may call for the release, with any key.
            let callers = [Some(&r.by), r.recipient.person()].into_iter().flatten();
            let listed = callers.filter_map(|id| self.charter()?.charter().person(id)).flat_map(|p| &p.keys);
            out.revocable.extend(listed.map(|k| Revoked::Key(k.key.clone())));
            if let Recipient::Device(d) = &r.recipient {
                out.revocable.extend([Revoked::Key(d.key.clone()), Revoked::Enrolment(d.enrolment)]);
            }
        }
        if let Some(r) = &fact.recovery {
            let r = &r.statement;
            out.revocable.extend([Revoked::Key(r.key.clone()), Revoked::Enrolment(r.enrolment)]);
        }
        out
    }

    /// True if the log has this statement, or says that it was handed over and refused.
    pub(crate) fn dealt_with(&self, statement: &Digest) -> bool {
        self.seen.contains_key(statement) || self.refused.contains(statement)
    }

    /// True if the log says that this statement was refused.
    pub fn was_refused(&self, statement: &Digest) -> bool {
        self.refused.contains(statement)
    }

    /// Digests of every restriction that bears on a request or self-recovery, sorted: its recusals,
    /// denials, vetoes and cancellations, the closing of its matter, withdrawals of its items'
    /// consents, and revocations of the keys and enrolments concerned. What is named besides is for a
    /// node that missed the request or its items.
    pub fn restrictions_on(&self, request: &Digest, besides: &Concerns) -> Vec<Digest> {
        let mut out = BTreeSet::new();
        let own = self.concerns(request);
        if let Some(fact) = self.requests.get(request) {
            let asked = fact.request.as_ref().map(|(r, _)| &r.statement);
            // Until the request is known, whose cancellation counts is not known either; of a
            // self-recovery there is none.
            let counts = |who: &PersonId| asked.map_or(!fact.known(), |a| a.by == *who);
            out.extend(fact.cancelled.iter().filter(|(who, _)| counts(who)).map(|(_, d)| *d));
            let against = fact.decisions.iter().filter(|d| d.fact.statement.choice != Choice::Approve);
            out.extend(against.map(|d| d.fact.digest));
            // So with vetoes, and a request knows none.
            let subject = fact.recovery.as_ref().map(|r| r.statement.subject);
            let stops = |of: &Option<Token>| !fact.known() || subject.is_some_and(|s| of.is_none_or(|t| t == s));
            out.extend(fact.vetoes.iter().filter(|(_, of)| stops(of)).map(|(v, _)| v.digest));
        }
        let matters: BTreeSet<&MatterId> = own.matter.iter().chain(&besides.matter).collect();
        for m in matters.into_iter().filter_map(|m| self.matters.get(m)) {
            let closes = m.statements().filter(|f| f.statement.action == MatterAction::Close);
            out.extend(closes.map(|f| f.digest));
        }
        for what in own.revocable.iter().chain(&besides.revocable) {
            out.extend(match what {
                Revoked::Key(key) => self.revocation(key),
                Revoked::Enrolment(digest) => self.revoked_enrolment(digest),
            });
        }
        for consent in own.consents.iter().chain(&besides.consents) {
            // Whose consent it is, and on what basis, may not be known here: then every withdrawal of
            // it may bear on it.
            if self.consents.contains_key(consent) {
                out.extend(self.withdrawal(consent).map(|w| w.digest));
                continue;
            }
            let from = (*consent, Token::MIN, By::Device);
            let withdrawals = self.withdrawals.range(from..).take_while(|((c, _, _), _)| c == consent);
            out.extend(withdrawals.map(|(_, w)| w.digest));
        }
        out.into_iter().collect()
    }

    /// Every restriction in the log, oldest first.
    pub fn restrictions(&self) -> impl Iterator<Item = Digest> + '_ {
        self.restrictions.values().copied()
    }

    /// Restrictions logged at position `after` or later, oldest first, at most `most` of them; the
    /// position to ask on from; and true if there are none behind it.
    pub fn restrictions_since(&self, after: u64, most: usize) -> (Vec<Digest>, u64, bool) {
        let mut behind = self.restrictions.range(after..);
        let page: Vec<(u64, Digest)> = behind.by_ref().take(most).map(|(seq, d)| (*seq, *d)).collect();
        let complete = behind.next().is_none();
        let upto = match page.last() {
            Some((seq, _)) if !complete => seq.saturating_add(1),
            _ => self.size.max(after),
        };
        (page.into_iter().map(|(_, d)| d).collect(), upto, complete)
    }

    /// The statements a peer needs before a restriction, in order, itself last.
    pub fn with_predecessors(&self, restriction: &Digest) -> Vec<Digest> {
        let mut out = Vec::new();
        let logged = self.seen(restriction);
        if let Some(consent) = logged.and_then(|l| self.withdrawn.get(&l.seq)) {
            out.extend(self.consents.get(consent).map(|c| c.digest));
        }
        if let Some(m) = logged.and_then(|l| self.closed.get(&l.seq)).and_then(|m| self.matters.get(m)) {
            let mut chain: Vec<Digest> = Vec::new();
            let mut at = m.statements.get(restriction).and_then(|f| f.statement.previous);
            while let Some(f) = at.and_then(|d| m.statements.get(&d)).filter(|_| chain.len() < PREDECESSORS_MAX) {
                chain.push(f.digest);
                at = f.statement.previous;
            }
            out.extend(chain.into_iter().rev());
        }
        out.push(*restriction);
        out
    }

    /// People who were, or may have been, the filter team of a release of this matter or of any of
    /// these items: they have read what was to be kept from the case.
    pub(crate) fn filtered(&self, matter: &MatterId, items: &[ItemId]) -> BTreeSet<&PersonId> {
        let wanted: BTreeSet<&ItemId> = items.iter().collect();
        let mut out = BTreeSet::new();
        for fact in self.requests.values() {
            let Some((r, _)) = &fact.request else { continue };
            let Recipient::FilterTeam(p) = &r.statement.recipient else { continue };
            if fact.may_be_read() && (r.statement.matter == *matter || fact.items().iter().any(|i| wanted.contains(i)))
            {
                out.insert(&p.id);
            }
        }
        out
    }

    /// Everybody who is on a case: whoever signed for the matter, asked, decided, or may have read.
    pub(crate) fn on_case(&self, matter: &MatterId) -> BTreeSet<&PersonId> {
        let mut out: BTreeSet<&PersonId> = BTreeSet::new();
        if let Some(m) = self.matters.get(matter) {
            out.extend(m.statements().map(|f| &f.statement.by));
        }
        for fact in self.requests.values() {
            let Some((r, _)) = fact.request.as_ref().filter(|(r, _)| r.statement.matter == *matter) else { continue };
            out.insert(&r.statement.by);
            let decided = fact.decisions.iter().filter(|d| d.fact.statement.choice != Choice::Recuse);
            out.extend(decided.map(|d| &d.fact.statement.by));
            // To name somebody as a recipient must not be enough to bar them.
            if !fact.may_be_read() {
                continue;
            }
            match &r.statement.recipient {
                Recipient::Person(p) => out.extend([&p.id]),
                Recipient::Device(d) => out.extend(self.owner(&d.key)),
                Recipient::FilterTeam(_) => {}
            }
        }
        out
    }

    /// The person of the charter in force whose device this is, under whatever enrolment.
    fn owner(&self, key: &PublicKey) -> Option<&PersonId> {
        let id = key.id();
        let mut subjects = self.devices(&id).iter().filter(|d| d.key == *key).map(|d| d.subject);
        let people = &self.charter()?.charter().people;
        subjects
            .find_map(|s| people.iter().find(|p| matches!(&p.subject, Subject::Tokens(t) if t.contains(&s))))
            .map(|p| &p.id)
    }
}
