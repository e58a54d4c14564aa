//! A node's reply: its shares of the requested items, sealed to the one named recipient.

use crate::charter::SealingKey;
use crate::digest::Digest;
use crate::label::{Labelled, labels};
use crate::sealing::{self, SealError, SealingSecret};
use crate::sharing::{SHARE_BYTES, Share, SharingError};
use crate::words::SeatIndex;
use zeroize::Zeroizing;

/// What a reply is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyContext {
    /// Digest of the genesis charter.
    pub genesis: Digest,
    /// The request.
    pub request: Digest,
    /// The replying seat.
    pub seat: SeatIndex,
    /// Generation of the items.
    pub generation: u32,
    /// Digest of the recipient's sealing key.
    pub recipient: Digest,
}

impl ReplyContext {
    /// The associated data of the reply.
    pub fn aad(&self) -> Vec<u8> {
        Labelled::new(labels::REPLY)
            .digest(&self.genesis)
            .digest(&self.request)
            .u64(u64::from(self.seat.get()))
            .u64(u64::from(self.generation))
            .digest(&self.recipient)
            .finish()
    }
}

/// Why a reply is unusable.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum ReplyError {
    /// Does not open, or cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Opens to another number of shares than the request has items.
    #[error("reply holds {0} bytes, 64 for each item expected")]
    Length(usize),
    /// A share is not two canonical scalars.
    #[error(transparent)]
    Share(#[from] SharingError),
}

/// Seals the node's shares, in request order.
///
/// # Errors
/// [`ReplyError::Seal`] if the recipient key is not one.
pub fn seal_reply(context: &ReplyContext, recipient: &SealingKey, shares: &[Share]) -> Result<Vec<u8>, ReplyError> {
    let mut clear = Zeroizing::new(Vec::with_capacity(shares.len() * SHARE_BYTES));
    for share in shares {
        clear.extend_from_slice(share.to_bytes().as_slice());
    }
    Ok(sealing::seal(recipient, &context.aad(), &clear)?)
}

/// Opens a reply of `items` shares. The shares are not verified yet: see [`crate::open`].
///
/// # Errors
/// [`ReplyError`].
pub fn open_reply(
    context: &ReplyContext,
    key: &SealingSecret,
    reply: &[u8],
    items: usize,
) -> Result<Vec<Share>, ReplyError> {
    let clear = key.open(&context.aad(), reply)?;
    if clear.len() != items * SHARE_BYTES {
        return Err(ReplyError::Length(clear.len()));
    }
    clear.chunks_exact(SHARE_BYTES).map(|b| Ok(Share::from_bytes(context.seat, b)?)).collect()
}
