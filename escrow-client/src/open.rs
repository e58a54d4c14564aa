//! Opening a release as its recipient: verify who signed, open each reply, verify every share,
//! combine, check the key check, unwrap. In memory only; whoever cheated is named.

use crate::case::Case;
use crate::charters::Charters;
use crate::release::check_release;
use crate::replies::{Replies, Reply};
use crate::seat::verify_seat_statement;
use escrow_core::deal::{About, OpenedDeal};
use escrow_core::deposit::Deposit;
use escrow_core::open::open_item;
use escrow_core::release::Release;
use escrow_core::reply::{ReplyContext, ReplyError, open_reply};
use escrow_core::sealing::SealingSecret;
use escrow_core::sharing::Share;
use escrow_core::{Digest, Envelope, ItemId, SeatIndex, ThreadKey, Token};
use std::collections::{BTreeMap, BTreeSet};

/// Why a release does not open at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The key here is not the recipient's.
    #[error("this release is sealed to another key ({}); open it as the recipient that the request names", .0.short())]
    NotRecipient(Digest),
    /// The file is of another escrow.
    #[error("these replies belong to the escrow with genesis {}, this one is {}", .found.short(), .pinned.short())]
    OtherEscrow {
        /// Genesis in the file.
        found: Digest,
        /// Genesis pinned here.
        pinned: Digest,
    },
    /// The file holds something that is not what it should be.
    #[error("damaged replies file: {0}; collect the release again")]
    Malformed(String),
    /// Not one item has enough good shares.
    #[error("no item has enough good shares ({have} of {need}){}; collect again when more nodes can be reached", culprits_text(.culprits))]
    BelowThreshold {
        /// The most good shares that any item has.
        have: usize,
        /// Shares needed.
        need: usize,
        /// Nodes that signed a wrong share or a reply that does not open.
        culprits: BTreeMap<SeatIndex, ReplyFault>,
    },
}

fn culprits_text(culprits: &BTreeMap<SeatIndex, ReplyFault>) -> String {
    culprits.iter().map(|(s, f)| format!("; node {s}: {f}")).collect()
}

/// What a node did wrong inside a reply that it signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFault {
    /// The signed reply does not open, or not to the right number of canonical shares.
    #[error("its signed reply is no reply: {0}")]
    Reply(ReplyError),
    /// Shares do not fit the commitments.
    #[error("its signed reply holds wrong shares of {} item(s)", .0.len())]
    WrongShares(BTreeSet<ItemId>),
}

/// Why one item does not open.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ItemError {
    /// No deposit in the file holds the item.
    #[error("its deposit is not in the replies file")]
    NoDeposit,
    /// From the shares and the deal.
    #[error(transparent)]
    Open(#[from] escrow_core::open::OpenError),
}

/// One opened item. The key is wiped when this is dropped.
#[derive(Debug)]
pub struct OpenedKey {
    /// Its id.
    pub item: ItemId,
    /// What the key opens.
    pub about: About,
    /// The key.
    pub key: ThreadKey,
}

/// What opened, what did not, and who cheated.
#[derive(Debug)]
#[must_use]
pub struct Opened {
    /// The items asked for.
    pub items: Vec<ItemId>,
    /// Items that opened, in the order asked.
    pub keys: Vec<OpenedKey>,
    /// Items that did not.
    pub failed: BTreeMap<ItemId, ItemError>,
    /// Nodes that signed something wrong, by name and with proof: their signed reply.
    pub culprits: BTreeMap<SeatIndex, ReplyFault>,
    /// Replies left aside because nobody signed them: faults of the way, nobody's lie.
    pub unsigned: BTreeMap<SeatIndex, String>,
}

/// An item of a release, whether it opens or not.
#[derive(Clone, Debug)]
pub struct ReleasedItem {
    /// Its id.
    pub item: ItemId,
    /// What its key opens.
    pub about: About,
    /// Who escrowed it.
    pub depositor: Token,
}

/// What the items of a release are about, in no order. Ids are hashes over the deals, so whoever kept
/// the file can have left deposits out, and changed none.
///
/// # Errors
/// [`OpenError::Malformed`].
pub fn released_items(file: &Replies) -> Result<Vec<ReleasedItem>, OpenError> {
    let malformed = |e: String| OpenError::Malformed(e);
    let envelope = Envelope::parse(&file.request.0).map_err(|e| malformed(e.to_string()))?;
    let asked: BTreeSet<ItemId> =
        Case::read(envelope).map_err(|e| malformed(e.to_string()))?.items.into_iter().collect();
    let mut found = Vec::new();
    for deposit in &file.deposits {
        let envelope = Envelope::parse(&deposit.0).map_err(|e| malformed(e.to_string()))?;
        let deposit: Deposit = envelope.decode().map_err(|e| malformed(e.to_string()))?;
        let deal = OpenedDeal::parse(&deposit.deal.0).map_err(|e| malformed(e.to_string()))?;
        for (item, row) in deal.item_ids().into_iter().zip(&deal.deal.items) {
            if asked.contains(&item) {
                found.push(ReleasedItem { item, about: row.about.clone(), depositor: deposit.depositor });
            }
        }
    }
    Ok(found)
}

struct Located<'a> {
    deal: &'a OpenedDeal,
    position: usize,
}

/// Opens a release with the recipient's key.
///
/// # Errors
/// [`OpenError`] if not one item opens for want of shares, or the file or key is not the right one.
pub fn open_replies(charters: &Charters, file: &Replies, key: &SealingSecret) -> Result<Opened, OpenError> {
    let malformed = |e: String| OpenError::Malformed(e);
    if file.genesis != charters.genesis() {
        return Err(OpenError::OtherEscrow { found: file.genesis, pinned: charters.genesis() });
    }
    let envelope = Envelope::parse(&file.request.0).map_err(|e| malformed(e.to_string()))?;
    let known = Case::read(envelope).map_err(|e| malformed(e.to_string()))?;
    if known.recipient != key.public().digest() {
        return Err(OpenError::NotRecipient(known.recipient));
    }
    let deposits: Vec<Envelope> = file
        .deposits
        .iter()
        .map(|d| Envelope::parse(&d.0).map_err(|e| malformed(e.to_string())))
        .collect::<Result<_, _>>()?;
    let deals = deals(deposits.iter()).map_err(malformed)?;
    let items = locate(&deals);
    let mut opened = Opened {
        items: known.items.clone(),
        keys: vec![],
        failed: BTreeMap::new(),
        culprits: BTreeMap::new(),
        unsigned: BTreeMap::new(),
    };
    let mut shares: BTreeMap<SeatIndex, Vec<Share>> = BTreeMap::new();
    for reply in &file.replies {
        if let Err(why) = signed(charters, &known, reply) {
            opened.unsigned.insert(reply.seat, why);
            continue;
        }
        match open_one(file.genesis, &known, reply, key) {
            Ok(list) => {
                shares.insert(reply.seat, list);
            }
            Err(e) => {
                opened.culprits.insert(reply.seat, ReplyFault::Reply(e));
            }
        }
    }
    combine(&items, &shares, &mut opened);
    if opened.keys.is_empty() && opened.failed.values().all(below_threshold) && !opened.failed.is_empty() {
        let have = opened.failed.values().filter_map(|e| match e {
            ItemError::Open(escrow_core::open::OpenError::BelowThreshold { have, need, .. }) => Some((*have, *need)),
            _ => None,
        });
        let (have, need) = have.max().unwrap_or((0, usize::from(charters.generation().t)));
        return Err(OpenError::BelowThreshold { have, need, culprits: opened.culprits });
    }
    Ok(opened)
}

const fn below_threshold(e: &ItemError) -> bool {
    matches!(e, ItemError::Open(escrow_core::open::OpenError::BelowThreshold { .. }))
}

fn combine(items: &BTreeMap<ItemId, Located<'_>>, shares: &BTreeMap<SeatIndex, Vec<Share>>, opened: &mut Opened) {
    for (at, item) in opened.items.iter().enumerate() {
        let Some(found) = items.get(item) else {
            opened.failed.insert(*item, ItemError::NoDeposit);
            continue;
        };
        let theirs: Vec<&Share> = shares.values().filter_map(|list| list.get(at)).collect();
        let result = open_item(found.deal, found.position, &theirs);
        let wrong = match &result {
            Ok(o) => o.culprits.as_slice(),
            Err(escrow_core::open::OpenError::BelowThreshold { culprits, .. }) => culprits.as_slice(),
            Err(_) => &[],
        };
        for seat in wrong {
            let fault = opened.culprits.entry(*seat).or_insert_with(|| ReplyFault::WrongShares(BTreeSet::new()));
            if let ReplyFault::WrongShares(list) = fault {
                list.insert(*item);
            }
        }
        match (result, found.deal.deal.items.get(found.position)) {
            (Ok(o), Some(i)) => opened.keys.push(OpenedKey { item: *item, about: i.about.clone(), key: o.key }),
            (Ok(_), None) => {}
            (Err(e), _) => {
                opened.failed.insert(*item, e.into());
            }
        }
    }
}

/// As the recipient: opens one reply and verifies each share against the deals, so that a liar is
/// noticed while other nodes can still be asked.
pub(crate) fn check_shares<'a>(
    genesis: Digest,
    request: &Case,
    reply: &Reply,
    key: &SealingSecret,
    deposits: impl Iterator<Item = &'a Envelope>,
) -> Result<(), ReplyFault> {
    let shares = open_one(genesis, request, reply, key).map_err(ReplyFault::Reply)?;
    // Deposits were parsed when they arrived; what does not parse now cannot blame a node.
    let Ok(deals) = deals(deposits) else { return Ok(()) };
    let items = locate(&deals);
    let wrong: BTreeSet<ItemId> = request
        .items
        .iter()
        .zip(&shares)
        .filter(|(item, share)| {
            let fits = |l: &Located<'_>| l.deal.commitments(l.position).is_some_and(|c| c.verify(share).is_ok());
            items.get(item).is_some_and(|l| !fits(l))
        })
        .map(|(item, _)| *item)
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(ReplyFault::WrongShares(wrong)) }
}

fn open_one(genesis: Digest, request: &Case, reply: &Reply, key: &SealingSecret) -> Result<Vec<Share>, ReplyError> {
    let release = Envelope::parse(&reply.release.0).and_then(|e| e.decode::<Release>());
    let context = ReplyContext {
        genesis,
        request: request.digest,
        seat: reply.seat,
        // The statement was verified before; without one the reply cannot open.
        generation: release.map_or(0, |r| r.generation),
        recipient: key.public().digest(),
    };
    open_reply(&context, key, &reply.reply.0, request.items.len())
}

/// Says whether the seat signed that this is its reply to the request.
pub(crate) fn signed(charters: &Charters, request: &Case, reply: &Reply) -> Result<(), String> {
    let envelope = Envelope::parse(&reply.release.0).map_err(|e| e.to_string())?;
    let release: Release = verify_seat_statement(charters, &envelope, reply.seat).map_err(|e| e.to_string())?;
    check_release(&release, request, &reply.reply.0).map_err(str::to_owned)
}

fn deals<'a>(deposits: impl Iterator<Item = &'a Envelope>) -> Result<Vec<OpenedDeal>, String> {
    deposits
        .map(|d| {
            let deposit: Deposit = d.decode().map_err(|e| e.to_string())?;
            OpenedDeal::parse(&deposit.deal.0).map_err(|e| e.to_string())
        })
        .collect()
}

/// Ids are hashes over the whole deal: whoever handed the deposit over cannot have changed an item.
fn locate(deals: &[OpenedDeal]) -> BTreeMap<ItemId, Located<'_>> {
    deals
        .iter()
        .flat_map(|deal| {
            deal.item_ids().into_iter().enumerate().map(move |(position, id)| (id, Located { deal, position }))
        })
        .collect()
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
