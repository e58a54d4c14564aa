//! A sample of deposits: what can be verified of them without a share leaving a node.

use super::{Check, Fault, node};
use crate::charters::Charters;
use crate::client::Client;
use crate::outbox::{Outbox, OutboxError};
use crate::outcome::NodeError;
use crate::seat::verify_kept_receipt;
use crate::transport::Node;
use escrow_audit::entry::Entry;
use escrow_audit::seat::log_number;
use escrow_core::deal::OpenedDeal;
use escrow_core::deposit::Deposit;
use escrow_core::query::{EntryRange, Question};
use escrow_core::wire::EntriesAnswer;
use escrow_core::{Envelope, Kind};
use std::collections::BTreeSet;

/// What [`deal`] has checked.
const HOLDS: &str = "every commitment is a point of the curve, each item has t of them, t and n are those of the \
    generation, blobs are for its members, item ids recompute";
const EVIDENCE: &str = "keep the outbox as evidence, and tell the node's operator and the auditors";

/// The receipts of the newest `sample` deposits in the outbox: each signed by its seat, each proof leading to a
/// checkpoint that the seat's log signed. Needs no network.
///
/// # Errors
/// [`OutboxError`].
pub fn receipts(charters: &Charters, outbox: &Outbox, sample: usize) -> Result<Check, OutboxError> {
    let (mut deposits, mut good) = (0, 0);
    for deposit in outbox.progress()?.iter().rev().take(sample) {
        deposits += 1;
        for (seat, envelope, proof) in outbox.receipts(&deposit.deposit)? {
            if let Err(e) = verify_kept_receipt(charters, seat, &deposit.deposit, &envelope, &proof) {
                let what = format!("the receipt for deposit {} does not verify: {e}", deposit.deposit.short());
                return Ok(Check::fail("receipts", Fault::Verification, node(seat), what, EVIDENCE));
            }
            good += 1;
        }
    }
    if good == 0 {
        return Ok(Check::skipped("receipts", "outbox", "it holds no receipts yet"));
    }
    let what = format!(
        "{good} receipts of {deposits} deposits: signed by their nodes, each entry under a checkpoint that its log signed"
    );
    Ok(Check::ok("receipts", "outbox", what))
}

/// Deposits that some node still lacks, and whether their deals hold. Needs no network.
///
/// # Errors
/// [`OutboxError`].
pub fn pending(charters: &Charters, outbox: &Outbox, sample: usize) -> Result<Vec<Check>, OutboxError> {
    let waiting = outbox.pending()?;
    let mut out = vec![match waiting.len() {
        0 => Check::ok("outbox", "", "nothing waits to be sent"),
        n => Check::warn("outbox", "", format!("{n} sealed blobs wait to be sent to nodes"), "escrow deposit --flush"),
    }];
    let mut seen = BTreeSet::new();
    for (digest, seat) in waiting {
        if seen.len() >= sample || !seen.insert(digest) {
            continue;
        }
        let Some(row) = outbox.load(&digest, seat)? else { continue };
        if let Err(why) = Envelope::parse(&row.envelope).map_err(|e| e.to_string()).and_then(|e| deal(charters, &e)) {
            let what = format!("deposit {} does not hold: {why}", digest.short());
            let next = "tell the developers: this program made it; its keys are still in the archive's key ring";
            out.push(Check::fail("deals", Fault::Verification, "outbox", what, next));
            return Ok(out);
        }
    }
    if !seen.is_empty() {
        let what = format!("{} deposits that wait: {HOLDS}", seen.len());
        out.push(Check::ok("deals", "outbox", what));
    }
    Ok(out)
}

/// Looks at the last `entries` entries of one node's log and at the deposits that they name. The node logs that it
/// was asked.
pub async fn deals(client: &Client, at: &Node, entries: u64) -> Check {
    match handed_over(client, at, entries).await {
        Ok(answer) => judged(client.charters(), at, &answer),
        Err(NodeError::Problem(p)) => {
            Check::skipped("deals", node(at.seat()), format!("the node does not hand its log to this key: {}", p.code))
        }
        Err(e) => Check::skipped("deals", node(at.seat()), e.to_string()),
    }
}

async fn handed_over(client: &Client, at: &Node, entries: u64) -> Result<EntriesAnswer, NodeError> {
    let from = at.status().await?.size.saturating_sub(entries);
    let (charters, seat) = (client.charters(), at.seat());
    let origin = charters.seat(seat).map(|s| s.log_origin.clone()).unwrap_or_default();
    let log = log_number(charters.versions(), seat, &origin).unwrap_or(1);
    client.ask(at, Question::Entries(EntryRange { log, from, count: entries })).await
}

pub(super) fn judged(charters: &Charters, at: &Node, answer: &EntriesAnswer) -> Check {
    let bad = |what: String| {
        let next = "export the evidence (`escrow audit export`) and have it verified; tell the operator";
        Check::fail("deals", Fault::Verification, node(at.seat()), what, next)
    };
    let mut logged = BTreeSet::new();
    for entry in &answer.entries {
        match Entry::decode(&entry.0) {
            Ok(e) => logged.extend(e.statement.map(|s| s.stmt)),
            Err(e) => return bad(format!("an entry of its log is unreadable: {e}")),
        }
    }
    let (mut deposits, mut ids) = (0, BTreeSet::new());
    for blob in &answer.statements {
        let Ok(envelope) = Envelope::parse(&blob.0) else {
            return bad("it hands over a statement that is none".into());
        };
        if envelope.kind() != Kind::Deposit || !logged.contains(&envelope.digest().0) {
            continue;
        }
        deposits += 1;
        match deal(charters, &envelope) {
            Ok(items) => {
                let before = ids.len();
                let count = items.len();
                ids.extend(items);
                if ids.len() != before + count {
                    return bad(format!("deposit {} has an item id that another item has", envelope.digest().short()));
                }
            }
            Err(why) => return bad(format!("deposit {} does not hold: {why}", envelope.digest().short())),
        }
    }
    if deposits == 0 {
        let what = format!("none of its last {} entries is a deposit", answer.entries.len());
        return Check::skipped("deals", node(at.seat()), what);
    }
    let what = format!(
        "{deposits} deposits of its last {} entries, {} items: {HOLDS}. Not checked: the depositors' signatures, and \
         whether the node has its shares",
        answer.entries.len(),
        ids.len()
    );
    Check::ok("deals", node(at.seat()), what)
}

/// Checks everything of a deposit that needs no key: the ids of its items.
fn deal(charters: &Charters, envelope: &Envelope) -> Result<Vec<escrow_core::ItemId>, String> {
    let deposit: Deposit = envelope.decode().map_err(|e| e.to_string())?;
    let opened = OpenedDeal::parse(&deposit.deal.0).map_err(|e| e.to_string())?;
    let number = opened.deal.generation;
    let generation = charters.current().generation(number).ok_or(format!("the charter has no generation {number}"))?;
    if (opened.deal.t, opened.deal.n) != (generation.t, generation.n()) {
        let (t, n) = (opened.deal.t, opened.deal.n);
        return Err(format!("it is dealt {t} of {n}, generation {number} is {} of {}", generation.t, generation.n()));
    }
    if !deposit.blobs.iter().map(|b| b.seat).eq(generation.members.iter().copied()) {
        return Err(format!("its blobs are not for the members of generation {number}"));
    }
    Ok(opened.item_ids())
}
