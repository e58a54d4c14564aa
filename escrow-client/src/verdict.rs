//! Verdicts: every node is asked for its own, and what they come to together.

use crate::client::Client;
use crate::clock::now;
use crate::outcome::{NodeError, Outcomes};
use crate::seat::{verify_entry, verify_seat_statement};
use crate::transport::Node;
use escrow_core::query::Question;
use escrow_core::verdict::{Lacking, Outcome, Verdict};
use escrow_core::wire::VerdictAnswer;
use escrow_core::{Code, Digest, Envelope, SeatIndex};
use std::collections::{BTreeMap, BTreeSet};

/// A verdict that its node really signed.
#[derive(Clone, Debug)]
pub struct VerifiedVerdict {
    /// What it says.
    pub verdict: Verdict,
    /// As it was signed; a permit is presented in this form.
    pub envelope: Envelope,
    /// What the policies saw, if the node handed over exactly the bytes that its verdict names.
    pub context: Option<serde_json::Value>,
}

/// What the verdicts of all nodes come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assessment {
    /// At least t nodes permit.
    Permitted,
    /// Not yet: so much is lacking at the nodes that would still be needed.
    Pending(Vec<Lacking>),
    /// So many nodes refuse that t can no longer be reached; their rules.
    Refused(BTreeMap<Code, BTreeSet<SeatIndex>>),
    /// Too few nodes answered to tell.
    BelowThreshold {
        /// Nodes that answered.
        answered: usize,
        /// Nodes needed.
        need: usize,
    },
}

impl Client {
    /// Asks every node to evaluate a request now. Each logs its verdict before it answers.
    pub async fn verdicts(&self, request: &Digest) -> Outcomes<VerifiedVerdict> {
        let request = *request;
        crate::transport::fan_out(self.nodes(), |node| {
            let client = self.clone();
            async move { client.verdict(&node, &request).await }
        })
        .await
    }

    /// Asks one node to evaluate a request now.
    ///
    /// # Errors
    /// [`NodeError`]; a verdict that the seat did not sign, or of another request, is one.
    pub async fn verdict(&self, node: &Node, request: &Digest) -> Result<VerifiedVerdict, NodeError> {
        let answer: VerdictAnswer = self.ask(node, Question::Evaluate(*request)).await?;
        let envelope = crate::transport::envelope(&answer.verdict, "verdict")?;
        let verdict: Verdict = verify_seat_statement(self.charters(), &envelope, node.seat())?;
        if verdict.request != *request {
            return Err(NodeError::Protocol("its verdict is on another request".into()));
        }
        let digest = envelope.digest();
        verify_entry(self.charters(), &verdict.charter, node.seat(), &digest, &answer.entry.0, &answer.proof)?;
        let bytes = answer.context.filter(|b| Some(Digest::of(&b.0)) == verdict.context);
        let context = bytes.and_then(|b| serde_json::from_slice(&b.0).ok());
        Ok(VerifiedVerdict { verdict, envelope, context })
    }

    /// What verdicts come to for the current node set.
    pub fn assess(&self, verdicts: &Outcomes<VerifiedVerdict>) -> Assessment {
        let generation = self.charters().generation();
        let members = verdicts.good().filter(|(s, _)| generation.members.contains(s)).map(|(s, v)| (s, &v.verdict));
        assess(members, usize::from(generation.t), generation.members.len())
    }

    /// True if other nodes would take this permit now: they refuse a whole call for one bad permit.
    pub fn permit_usable(&self, v: &Verdict) -> bool {
        let limits = &self.charters().current().limits;
        let seconds = |s: u64| i64::try_from(s).unwrap_or(i64::MAX);
        let at = now();
        v.outcome == Outcome::Permit
            && v.charter == self.charters().digest()
            && v.valid_until > at
            && v.valid_until <= v.decided.plus_seconds(seconds(limits.permit_life_s))
            && v.decided <= at.plus_seconds(seconds(limits.clock_skew_s))
    }
}

fn assess<'a>(verdicts: impl Iterator<Item = (SeatIndex, &'a Verdict)>, t: usize, n: usize) -> Assessment {
    let verdicts: Vec<_> = verdicts.collect();
    let count = |o: Outcome| verdicts.iter().filter(|(_, v)| v.outcome == o).count();
    if count(Outcome::Permit) >= t {
        return Assessment::Permitted;
    }
    let mut reasons: BTreeMap<Code, BTreeSet<SeatIndex>> = BTreeMap::new();
    for (seat, v) in &verdicts {
        for r in &v.reasons {
            reasons.entry(r.clone()).or_default().insert(*seat);
        }
    }
    let refused = count(Outcome::Refuse);
    if n.saturating_sub(refused) < t {
        return Assessment::Refused(reasons);
    }
    if verdicts.len() < t {
        return Assessment::BelowThreshold { answered: verdicts.len(), need: t };
    }
    // The most that any pending node lacks: with less, that node would still be pending.
    let mut lacking: BTreeMap<Code, Lacking> = BTreeMap::new();
    for l in verdicts.iter().flat_map(|(_, v)| &v.lacking) {
        let gap = |l: &Lacking| l.need.saturating_sub(l.have);
        let slot = lacking.entry(l.what.clone()).or_insert_with(|| l.clone());
        if gap(l) > gap(slot) {
            *slot = l.clone();
        }
    }
    if lacking.is_empty() {
        // Permits and refusals only, and the nodes that could still permit did not answer.
        return Assessment::BelowThreshold { answered: count(Outcome::Permit), need: t };
    }
    Assessment::Pending(lacking.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use escrow_core::{Kind, Nonce, Timestamp};

    fn verdict(seat: u8, outcome: Outcome) -> (SeatIndex, Verdict) {
        let seat = SeatIndex::new(seat).unwrap();
        let d = Digest([0; 32]);
        let lacking = vec![Lacking { what: "approvals.legal".parse().unwrap(), have: 0, need: u64::from(seat.get()) }];
        let v = Verdict {
            kind: Kind::Verdict,
            org: "acme".parse().unwrap(),
            nonce: Nonce([0; 16]),
            charter: d,
            seat,
            request: d,
            outcome,
            lacking: if outcome == Outcome::Pending { lacking } else { vec![] },
            reasons: if outcome == Outcome::Refuse { vec!["denied".parse().unwrap()] } else { vec![] },
            policies: vec![],
            decisions: vec![],
            context: None,
            decided: Timestamp::EPOCH,
            valid_until: Timestamp::EPOCH,
        };
        (seat, v)
    }

    fn of(outcomes: &[Outcome]) -> Assessment {
        let verdicts: Vec<_> = (1..).zip(outcomes).map(|(n, o)| verdict(n, *o)).collect();
        assess(verdicts.iter().map(|(s, v)| (*s, v)), 3, 5)
    }

    #[test]
    fn three_of_five() {
        use Outcome::{Pending, Permit, Refuse};
        assert_eq!(of(&[Permit, Permit, Permit, Refuse, Refuse]), Assessment::Permitted);
        assert!(matches!(of(&[Refuse, Refuse, Refuse, Permit, Permit]), Assessment::Refused(r) if r.len() == 1));
        assert!(matches!(of(&[Refuse, Refuse, Refuse]), Assessment::Refused(_)), "the absent cannot mend it");
        assert!(matches!(of(&[Pending, Pending, Permit, Permit, Refuse]), Assessment::Pending(l) if l[0].need == 2));
        assert_eq!(of(&[Permit, Permit]), Assessment::BelowThreshold { answered: 2, need: 3 });
        assert_eq!(of(&[Permit, Permit, Refuse]), Assessment::BelowThreshold { answered: 2, need: 3 });
        assert_eq!(of(&[]), Assessment::BelowThreshold { answered: 0, need: 3 });
    }
}
