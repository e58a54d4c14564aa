//! The deal: everything public about a batch of escrowed keys, fixed before anything is sealed.
//!
//! All seats receive the same deal bytes; only the sealed share blobs differ. An item's id is
//! a hash over the whole deal, so a depositor cannot tell two nodes two stories under one id.

use crate::ItemId;
use crate::charter::SealingKey;
use crate::consent::PolicyRef;
use crate::digest::{Blob, Digest, Nonce};
use crate::label::{Labelled, labels};
use crate::limits;
use crate::sealing::{self, SealError, SealingSecret};
use crate::sharing::{self, Commitments, SHARE_BYTES, Secret, Share, SharingError};
use crate::strict::{self, StrictError, nullable};
use crate::time::Timestamp;
use crate::token::Token;
use crate::words::{Org, SeatIndex};
use crate::wrap::{self, ThreadKey, WRAPPED_BYTES};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A batch of items under one consent, one node set and one depositor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deal {
    /// The organisation.
    pub org: Org,
    /// Salt of the wrap, fresh for each deal.
    pub nonce: Nonce,
    /// Node set dealt to.
    pub generation: u32,
    /// Its threshold.
    pub t: u8,
    /// Its size.
    pub n: u8,
    /// The consent that covers the items.
    pub consent: Digest,
    /// Policies agreed to for these items, sorted by id.
    pub policies: Vec<PolicyRef>,
    /// The depositing subject.
    pub depositor: Token,
    /// The items, in position order.
    pub items: Vec<Item>,
}

/// One wrapped thread key: one thread, one epoch or time window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What the key is and where it comes from.
    pub about: About,
    /// t commitments of 65 bytes each.
    pub commitments: Blob,
    /// Published check value of the KEK.
    pub key_check: Digest,
    /// 12 bytes nonce, 32 bytes ciphertext, 16 bytes tag.
    pub wrapped: Blob,
}

/// The described part of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Kind of key.
    pub source: KeySource,
    /// The thread.
    pub thread: Token,
    /// RCS re-creates a group under the same id in a new era.
    pub era: u64,
    /// The messenger's epoch.
    pub epoch: u64,
    /// MLS epoch authenticator or its like, at most 64 bytes, empty if there is none.
    pub authenticator: Blob,
    /// First instant of messages the key opens.
    pub from: Timestamp,
    /// First instant after them.
    pub to: Timestamp,
    /// SHA-256 of the sealed archive segment it opens; null if there is none.
    #[serde(deserialize_with = "nullable")]
    pub archive: Option<Digest>,
    /// Everybody in the thread, sorted by token.
    pub participants: Vec<Participant>,
}

/// What kind of key an item wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KeySource {
    /// Exporter of an MLS 1.0 epoch (RFC 9420 section 8.5).
    Mls10,
    /// A Megolm session from an index on.
    Megolm,
    /// A key made for the archive or for one message.
    ContentKey,
}

impl KeySource {
    const fn name(self) -> &'static str {
        match self {
            Self::Mls10 => "mls10",
            Self::Megolm => "megolm",
            Self::ContentKey => "content-key",
        }
    }
}

/// A member of the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Participant {
    /// Who.
    pub token: Token,
    /// True for members of the organisation.
    pub inside: bool,
}

/// Why a deal is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DealError {
    /// Outside the strict profile or not of the shape.
    #[error("malformed deal: {0}")]
    Malformed(StrictError),
    /// A rule about counts, bounds or order.
    #[error("invalid deal: {0}")]
    Invalid(&'static str),
    /// An item's commitments break a sharing rule.
    #[error("item {position}: {error}")]
    Sharing {
        /// Position of the item.
        position: usize,
        /// The rule.
        error: SharingError,
    },
    /// The blob for this seat does not open or has the wrong length.
    #[error("share blob: {0}")]
    Blob(SealError),
    /// The blob opens to another number of shares than there are items.
    #[error("share blob holds {found} bytes, {expected} expected")]
    BlobLength {
        /// Bytes found.
        found: usize,
        /// 64 an item.
        expected: usize,
    },
}

/// The id of the item at `position` of the deal with digest `deal`.
pub fn item_id(deal: &Digest, position: u32) -> ItemId {
    Labelled::new(labels::ITEM_ID).digest(deal).u64(u64::from(position)).hash()
}

fn shares_aad(deal: &Digest, seat: SeatIndex) -> Vec<u8> {
    Labelled::new(labels::SHARES).digest(deal).u64(u64::from(seat.get())).finish()
}

impl Deal {
    /// The byte string that binds an item's wrap to everything said about it.
    pub fn item_context(&self, position: u32, about: &About) -> Vec<u8> {
        let mut l = Labelled::new(labels::ITEM)
            .bytes(self.org.as_str().as_bytes())
            .bytes(&self.nonce.0)
            .u64(u64::from(position))
            .u64(u64::from(self.generation))
            .u64(u64::from(self.t))
            .u64(u64::from(self.n))
            .digest(&self.consent)
            .u64(self.policies.len() as u64);
        for p in &self.policies {
            l = l.bytes(p.id.as_str().as_bytes()).digest(&p.digest);
        }
        l = l
            .bytes(self.depositor.to_string().as_bytes())
            .bytes(about.source.name().as_bytes())
            .bytes(about.thread.to_string().as_bytes())
            .u64(about.era)
            .u64(about.epoch)
            .bytes(&about.authenticator.0)
            .bytes(about.from.to_string().as_bytes())
            .bytes(about.to.to_string().as_bytes())
            .bytes(about.archive.as_ref().map_or(&[][..], |d| d.as_bytes()))
            .u64(about.participants.len() as u64);
        for p in &about.participants {
            l = l.bytes(p.token.to_string().as_bytes()).u64(u64::from(p.inside));
        }
        l.finish()
    }
}

/// A deal that was dealt here: the bytes to sign, and one sealed blob a seat.
#[derive(Debug)]
pub struct Dealt {
    /// The exact deal bytes.
    pub deal: Vec<u8>,
    /// Sealed share blobs, ascending by seat.
    pub blobs: Vec<(SeatIndex, Vec<u8>)>,
}

/// The header of a deal to make: a [`Deal`] without items, and the seats with their keys, ascending.
#[derive(Debug)]
pub struct Dealer<'a> {
    /// Everything but the items, which must be empty.
    pub header: Deal,
    /// Where each member's shares are sealed to.
    pub seats: &'a [(SeatIndex, SealingKey)],
}

impl Dealer<'_> {
    /// Wraps and splits every key, fixes the deal bytes, then seals each seat's shares to them.
    ///
    /// # Errors
    /// [`DealError`] for a header, item or seat key that no node would accept.
    pub fn deal(mut self, keys: &[(About, ThreadKey)]) -> Result<Dealt, DealError> {
        let indices: Vec<SeatIndex> = self.seats.iter().map(|(i, _)| *i).collect();
        let ok = |ok: bool, rule| if ok { Ok(()) } else { Err(DealError::Invalid(rule)) };
        ok(self.header.items.is_empty(), "a header without items")?;
        ok(usize::from(self.header.n) == indices.len(), "n seats")?;
        ok(crate::statement::strictly_sorted(&indices), "seats ascending, no duplicates")?;
        let mut per_seat: Vec<Zeroizing<Vec<u8>>> =
            indices.iter().map(|_| Zeroizing::new(Vec::with_capacity(keys.len() * SHARE_BYTES))).collect();
        for (position, (about, key)) in keys.iter().enumerate() {
            let secret = Secret::random();
            let (commitments, shares) = sharing::deal(&secret, self.header.t, &indices)
                .map_err(|error| DealError::Sharing { position, error })?;
            for (out, share) in per_seat.iter_mut().zip(&shares) {
                out.extend_from_slice(share.to_bytes().as_slice());
            }
            let context = self.header.item_context(position_u32(position)?, about);
            let (wrapped, key_check) = wrap::wrap(&secret, &self.header.nonce, &context, key);
            self.header.items.push(Item {
                about: about.clone(),
                commitments: Blob(commitments.to_bytes()),
                key_check,
                wrapped: Blob(wrapped),
            });
        }
        let deal = serde_json::to_vec(&self.header).map_err(|_| DealError::Invalid("cannot be encoded"))?;
        let opened = OpenedDeal::parse(&deal)?;
        let blobs = self
            .seats
            .iter()
            .zip(&per_seat)
            .map(|((seat, key), shares)| {
                Ok((*seat, sealing::seal(key, &shares_aad(&opened.digest, *seat), shares).map_err(DealError::Blob)?))
            })
            .collect::<Result<_, DealError>>()?;
        Ok(Dealt { deal, blobs })
    }
}

fn position_u32(position: usize) -> Result<u32, DealError> {
    u32::try_from(position).map_err(|_| DealError::Invalid("too many items"))
}

/// A deal parsed from its exact bytes, with every structural and sharing rule checked.
#[derive(Clone, Debug)]
pub struct OpenedDeal {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// What the bytes say.
    pub deal: Deal,
    commitments: Vec<Commitments>,
}

impl OpenedDeal {
    /// Parses and checks deal bytes, commitments included.
    ///
    /// # Errors
    /// [`DealError`] naming the rule and the item.
    pub fn parse(bytes: &[u8]) -> Result<Self, DealError> {
        let deal: Deal = strict::decode(bytes, limits::PAYLOAD_LARGE).map_err(DealError::Malformed)?;
        let ok = |ok: bool, rule| if ok { Ok(()) } else { Err(DealError::Invalid(rule)) };
        ok(deal.t >= 2 && deal.n >= deal.t, "2 <= t <= n")?;
        ok(!deal.items.is_empty() && deal.items.len() <= limits::ITEMS_PER_DEAL, "1 to 256 items")?;
        ok(!deal.policies.is_empty() && deal.policies.len() <= limits::POLICIES_PER_CONSENT, "1 to 16 policies")?;
        ok(deal.policies.windows(2).all(|w| matches!(w, [a, b] if a.id < b.id)), "policies sorted by id")?;
        let mut commitments = Vec::with_capacity(deal.items.len());
        for (position, item) in deal.items.iter().enumerate() {
            let a = &item.about;
            ok(a.from < a.to, "an item covers no time")?;
            ok(a.authenticator.0.len() <= 64, "an authenticator is at most 64 bytes")?;
            ok(
                !a.participants.is_empty() && a.participants.len() <= limits::PARTICIPANTS_PER_ITEM,
                "1 to 1000 participants",
            )?;
            ok(
                a.participants.windows(2).all(|w| matches!(w, [x, y] if x.token < y.token)),
                "participants sorted by token",
            )?;
            ok(item.wrapped.0.len() == WRAPPED_BYTES, "a wrapped key is 60 bytes")?;
            commitments.push(
                Commitments::parse(&item.commitments.0, deal.t)
                    .map_err(|error| DealError::Sharing { position, error })?,
            );
        }
        Ok(Self { digest: Digest::of(bytes), deal, commitments })
    }

    /// Ids of the items, in position order.
    pub fn item_ids(&self) -> Vec<ItemId> {
        (0u32..).zip(&self.deal.items).map(|(i, _)| item_id(&self.digest, i)).collect()
    }

    /// Commitments of the item at `position`.
    pub fn commitments(&self, position: usize) -> Option<&Commitments> {
        self.commitments.get(position)
    }

    /// A node's check before it acknowledges: opens its own blob and verifies every share.
    ///
    /// # Errors
    /// [`DealError`]; after an error nothing of the blob is kept.
    pub fn verify_blob(&self, seat: SeatIndex, key: &SealingSecret, blob: &[u8]) -> Result<Vec<Share>, DealError> {
        let clear = key.open(&shares_aad(&self.digest, seat), blob).map_err(DealError::Blob)?;
        let expected = self.deal.items.len() * SHARE_BYTES;
        if clear.len() != expected {
            return Err(DealError::BlobLength { found: clear.len(), expected });
        }
        let check = |(position, (bytes, commitments)): (usize, (&[u8], &Commitments))| {
            Share::from_bytes(seat, bytes)
                .and_then(|share| commitments.verify(&share).map(|()| share))
                .map_err(|error| DealError::Sharing { position, error })
        };
        clear.chunks_exact(SHARE_BYTES).zip(&self.commitments).enumerate().map(check).collect()
    }
}
