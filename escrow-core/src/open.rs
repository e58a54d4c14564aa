//! Combining: from verified shares back to a thread key, naming whoever cheated.

use crate::deal::OpenedDeal;
use crate::sharing::Share;
use crate::words::SeatIndex;
use crate::wrap::{self, ThreadKey, UnwrapError};

/// A thread key, and the seats whose shares did not fit.
#[derive(Debug)]
pub struct OpenedItem {
    /// The key.
    pub key: ThreadKey,
    /// Seats that signed a share which does not fit the commitments.
    pub culprits: Vec<SeatIndex>,
}

/// Why an item does not open.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// No such position in the deal.
    #[error("the deal has no item {0}")]
    NoItem(usize),
    /// Too few shares that fit.
    #[error("{have} of {need} shares fit; wrong shares came from seats {culprits:?}")]
    BelowThreshold {
        /// Shares that fit.
        have: usize,
        /// Shares needed.
        need: usize,
        /// Seats with shares that do not fit.
        culprits: Vec<SeatIndex>,
    },
    /// Enough shares fit, and what they give does not open: the depositor's fault.
    #[error("the depositor escrowed something that opens nothing: {0}")]
    Depositor(UnwrapError),
}

/// Verifies every share, combines exactly t of those that fit, checks the key check, unwraps.
/// At most one share a seat is used.
///
/// # Errors
/// [`OpenError`], which tells a short quorum, a lying node and a bad deposit apart.
pub fn open_item(deal: &OpenedDeal, position: usize, shares: &[&Share]) -> Result<OpenedItem, OpenError> {
    let (Some(item), Some(commitments)) = (deal.deal.items.get(position), deal.commitments(position)) else {
        return Err(OpenError::NoItem(position));
    };
    let mut fit: Vec<&Share> = Vec::new();
    let mut culprits = Vec::new();
    for share in shares {
        if commitments.verify(share).is_err() {
            culprits.push(share.seat());
        } else if fit.iter().all(|s| s.seat() != share.seat()) {
            fit.push(share);
        }
    }
    culprits.sort();
    culprits.dedup();
    let need = commitments.t();
    let Some(exactly) = fit.get(..need) else {
        return Err(OpenError::BelowThreshold { have: fit.len(), need, culprits });
    };
    let secret = commitments.combine(exactly).map_err(|_| OpenError::BelowThreshold {
        have: 0,
        need,
        culprits: culprits.clone(),
    })?;
    let context =
        deal.deal.item_context(u32::try_from(position).map_err(|_| OpenError::NoItem(position))?, &item.about);
    let key = wrap::unwrap(&secret, &deal.deal.nonce, &context, &item.key_check, &item.wrapped.0)
        .map_err(OpenError::Depositor)?;
    Ok(OpenedItem { key, culprits })
}
