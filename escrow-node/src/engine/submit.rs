//! Statements that people and devices submit, and their receipts.

use super::{Engine, unsigned};
use crate::store::DepositRow;
use escrow_core::receipt::Receipt;
use escrow_core::{Digest, Envelope, Kind, Nonce};
use escrow_policy::{Event, Refusal, Rule};

/// A logged statement: its receipt and its position.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// Envelope of the receipt.
    pub receipt: Envelope,
    /// Position of the entry, counted over all logs of the seat.
    pub position: u64,
    /// False if it had been logged before.
    pub new: bool,
}

impl Engine {
    /// Logs a statement, or finds it logged already, and signs the receipt.
    ///
    /// # Errors
    /// [`Refusal`]. A refusal of a correctly signed statement is logged.
    pub fn submit(&mut self, envelope: &Envelope) -> Result<Submitted, Refusal> {
        if !submittable(envelope.kind()) {
            return Err(Refusal::new(Rule::NotSubmittable, format!("a {} has an address of its own", envelope.kind())));
        }
        self.log_statement(envelope)
    }

    pub(super) fn log_statement(&mut self, envelope: &Envelope) -> Result<Submitted, Refusal> {
        let digest = envelope.digest();
        let new = self.facts.seen(&digest).is_none();
        if new && let Err(refusal) = self.append(&Event::Statement {}, Some(envelope)) {
            self.log_refusal(envelope, &refusal);
            return Err(refusal);
        }
        let (receipt, position) = self.receipt(&digest)?;
        Ok(Submitted { receipt, position, new })
    }

    /// Logs a deposit together with its sealed share rows. The row is taken if it is stored; what is left
    /// in `row` was not, and its key opens nothing.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is stored then.
    pub fn deposit(&mut self, envelope: &Envelope, row: &mut Option<DepositRow>) -> Result<Submitted, Refusal> {
        if row.is_none() {
            // Verified shares are missing only when the deposit was logged before.
            let (receipt, position) = self.receipt(&envelope.digest())?;
            return Ok(Submitted { receipt, position, new: false });
        }
        let submitted = self.log_statement(envelope)?;
        if submitted.new {
            self.batch.deposits.extend(row.take());
        }
        Ok(submitted)
    }

    /// Logs that a statement was refused, unless nobody known signed it: strangers must not be
    /// able to grow the log.
    pub(super) fn log_refusal(&mut self, envelope: &Envelope, refusal: &Refusal) {
        if self.facts.signed_by_known(envelope) {
            self.log_refused(envelope, refusal);
        }
    }

    pub(super) fn log_refused(&mut self, envelope: &Envelope, refusal: &Refusal) {
        let event = Event::Refused { kind: envelope.kind(), statement: envelope.digest(), rule: refusal.rule };
        if let Err(e) = self.append(&event, None) {
            tracing::error!(rule = %e.rule, "a refusal could not be logged");
        }
    }

    fn receipt(&self, digest: &Digest) -> Result<(Envelope, u64), Refusal> {
        let lost = || Refusal::new(Rule::Malformed, "this statement is not in the log");
        let logged = self.facts.seen(digest).ok_or_else(lost)?;
        let place = self.place(logged.seq).ok_or_else(lost)?;
        let receipt = Receipt {
            kind: Kind::Receipt,
            org: self.charter()?.org.clone(),
            nonce: Nonce::random(),
            charter: self.charter_digest(),
            seat: self.seat,
            statement: *digest,
            envelope: self.first_envelope(digest).ok_or_else(lost)?,
            log: place.origin.to_owned(),
            seq: place.seq,
            leaf: Digest(place.leaf),
            at: logged.at,
        };
        let envelope = Envelope::sign(&receipt, &[&self.keys.statement]).map_err(unsigned)?;
        Ok((envelope, logged.seq))
    }
}

/// Kinds that are logged on their own. A deposit without its verified shares, a verdict that this
/// node did not decide, or a question that it did not answer must never get in this way.
pub(super) const fn submittable(kind: Kind) -> bool {
    !matches!(kind, Kind::Deposit | Kind::Query | Kind::Verdict)
}
