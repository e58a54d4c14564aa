//! Submitting a signed statement to all nodes, and what their receipts are worth.

use crate::client::Client;
use crate::outcome::Outcomes;
use crate::seat::{VerifiedReceipt, verify_receipt};
use crate::transport::fan_out;
use escrow_core::charter::Generation;
use escrow_core::restriction::is_restriction;
use escrow_core::{Digest, Envelope, Kind, SeatIndex};

/// Why a statement does not count as submitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Nodes refused it, and too few are left to make up for them.
    #[error("{refused} nodes refused the {kind}; {accepted} of the {need} needed accepted it:\n{outcomes}")]
    Refused {
        /// What was submitted.
        kind: Kind,
        /// Nodes that refused.
        refused: usize,
        /// Nodes that accepted.
        accepted: usize,
        /// Nodes that would have been needed.
        need: usize,
        /// What each said.
        outcomes: Outcomes<VerifiedReceipt>,
    },
    /// Too few nodes were reached and ready.
    #[error(
        "{accepted} nodes accepted the {kind}, {need} are needed; submit the same statement again when more can be reached:\n{outcomes}"
    )]
    BelowThreshold {
        /// What was submitted.
        kind: Kind,
        /// Nodes that accepted.
        accepted: usize,
        /// Nodes needed.
        need: usize,
        /// What each said.
        outcomes: Outcomes<VerifiedReceipt>,
    },
}

impl SubmitError {
    /// What each node said.
    pub const fn outcomes(&self) -> &Outcomes<VerifiedReceipt> {
        match self {
            Self::Refused { outcomes, .. } | Self::BelowThreshold { outcomes, .. } => outcomes,
        }
    }
}

/// A statement that enough nodes have logged.
#[derive(Debug)]
#[must_use]
pub struct Submitted {
    /// The statement's digest.
    pub statement: Digest,
    /// Its kind.
    pub kind: Kind,
    /// What each node said.
    pub outcomes: Outcomes<VerifiedReceipt>,
    generation: Generation,
}

impl Submitted {
    /// Nodes that logged it.
    pub fn accepted(&self) -> usize {
        self.outcomes.count()
    }

    /// For a restriction: it stops every release that begins after the last of these
    /// acknowledgements as long as at most so many nodes lie; none if even honest nodes could
    /// still release without having heard of it.
    pub fn stops_releases_against(&self) -> Option<usize> {
        let member = |s: &SeatIndex| self.generation.members.contains(s);
        let have = self.outcomes.good().filter(|(s, _)| member(s)).count();
        have.checked_sub(self.generation.start_quorum()).map(|f| f.min(self.generation.w()))
    }
}

impl Client {
    /// Hands a statement to every node and verifies the receipts. The same statement may be
    /// submitted as often as wanted.
    pub async fn submit_to_all(&self, statement: &Envelope) -> Outcomes<VerifiedReceipt> {
        fan_out(self.nodes(), |node| {
            let (client, statement) = (self.clone(), statement.clone());
            async move {
                let answer = node.statement(&statement).await?;
                verify_receipt(client.charters(), node.seat(), &answer, &statement)
            }
        })
        .await
    }

    /// The same, and t nodes must accept: fewer could never release on the strength of it. A
    /// restriction counts from its first acknowledgement on; ask
    /// [`Submitted::stops_releases_against`] how far it reaches.
    ///
    /// # Errors
    /// [`SubmitError`]; nodes that accepted keep the statement all the same.
    pub async fn submit(&self, statement: &Envelope) -> Result<Submitted, SubmitError> {
        let outcomes = self.submit_to_all(statement).await;
        judge(statement, outcomes, self.charters().generation())
    }
}

fn judge(
    statement: &Envelope,
    outcomes: Outcomes<VerifiedReceipt>,
    generation: &Generation,
) -> Result<Submitted, SubmitError> {
    let (kind, accepted) = (statement.kind(), outcomes.count());
    let need = if is_restriction(statement) { 1 } else { usize::from(generation.t) };
    if accepted >= need {
        return Ok(Submitted { statement: statement.digest(), kind, outcomes, generation: generation.clone() });
    }
    let refused = outcomes.errors().filter(|(_, e)| !e.is_absent()).count();
    let absent = outcomes.errors().count() - refused;
    // If those that could not be reached might still make up the number, trying again is right.
    if accepted + absent >= need {
        return Err(SubmitError::BelowThreshold { kind, accepted, need, outcomes });
    }
    Err(SubmitError::Refused { kind, refused, accepted, need, outcomes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, seat};
    use crate::outcome::NodeError;
    use crate::seat::verify_receipt;
    use escrow_core::enrolment::Revoked;
    use escrow_core::matter::MatterAction;
    use escrow_core::wire::Problem;

    fn down() -> NodeError {
        NodeError::Unreachable("refused".into())
    }

    fn refusal() -> NodeError {
        NodeError::Problem(Box::new(Problem {
            kind: "urn:escrow:problem:not-entitled".into(),
            title: String::new(),
            status: 403,
            detail: String::new(),
            code: "not-entitled".into(),
            seat: None,
            statement: None,
            statement_kind: None,
            charters: vec![],
        }))
    }

    fn judged(
        world: &World,
        statement: &Envelope,
        accepted: u8,
        others: &[NodeError],
    ) -> Result<Submitted, SubmitError> {
        let mut outcomes = Outcomes::new();
        for n in 1..=accepted {
            outcomes
                .0
                .insert(seat(n), verify_receipt(&world.charters, seat(n), &world.receipt(n, statement), statement));
        }
        for (n, e) in (accepted + 1..).zip(others) {
            outcomes.0.insert(seat(n), Err(e.clone()));
        }
        judge(statement, outcomes, world.charters.generation())
    }

    #[test]
    fn a_permission_needs_t_nodes_and_a_restriction_one() {
        let world = World::new();
        let client = world.client(&world.requestor);
        let matter = client.matter("M".parse().unwrap(), MatterAction::Open, None, Digest([0; 32])).unwrap();
        assert!(judged(&world, &matter, 3, &[down(), refusal()]).is_ok());
        assert!(matches!(
            judged(&world, &matter, 2, &[down(), down(), down()]),
            Err(SubmitError::BelowThreshold { .. })
        ));
        assert!(matches!(
            judged(&world, &matter, 2, &[refusal(), refusal(), refusal()]),
            Err(SubmitError::Refused { refused: 3, .. })
        ));
        assert!(matches!(
            judged(&world, &matter, 0, &[refusal(), refusal(), refusal(), down(), down()]),
            Err(SubmitError::Refused { .. })
        ));

        let revocation = world
            .client(&world.admin)
            .revocation(Revoked::Enrolment(Digest([1; 32])), "lost".parse().unwrap())
            .unwrap();
        // n - t + 1 = 3 acknowledgements stop releases if nobody lies, each further one allows one liar, t - 1 at most.
        for (accepted, reach) in [(1, None), (2, None), (3, Some(0)), (4, Some(1)), (5, Some(2))] {
            let others = vec![down(); usize::from(5 - accepted)];
            assert_eq!(judged(&world, &revocation, accepted, &others).unwrap().stops_releases_against(), reach);
        }
        let close =
            client.matter("M".parse().unwrap(), MatterAction::Close, Some(matter.digest()), Digest([0; 32])).unwrap();
        assert!(is_restriction(&close) && !is_restriction(&matter));
    }
}
