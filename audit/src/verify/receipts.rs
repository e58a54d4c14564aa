//! Receipts that somebody outside holds: what a log's key once proved to be in it must still be there.

use super::ReceiptFile;
use super::bytes::Evidence;
use super::suspects::Suspect;
use crate::checkpoint::VerifiedCheckpoint;
use crate::finding::{Class, Finding};
use crate::proof::TlogProof;
use crate::tree::Hash;
use escrow_core::limits::HTTP_BODY_MAX;
use escrow_core::receipt::Receipt;
use escrow_core::{Blob, Digest, Envelope, SeatIndex};

/// A receipt that its node signed, for an entry that its log's key proved.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) name: String,
    pub(super) seat: SeatIndex,
    pub(super) index: u64,
    pub(super) leaf: Hash,
    pub(super) head: VerifiedCheckpoint,
    pub(super) proof: String,
}

/// The answer of a node, as clients keep it; members beside these two are theirs.
#[derive(serde::Deserialize)]
struct Answer {
    receipt: Blob,
    proof: String,
}

/// Reads a receipt against the keys of the bundle's charters.
///
/// # Errors
/// Why it proves nothing.
pub(super) fn read(evidence: &Evidence<'_>, file: &ReceiptFile<'_>) -> Result<Held, Finding> {
    held(evidence, file).map_err(|why| {
        let detail = format!("proves nothing against this bundle: {why}");
        Finding::new(Class::Incomplete, file.name, "receipt", detail)
    })
}

fn held(evidence: &Evidence<'_>, file: &ReceiptFile<'_>) -> Result<Held, String> {
    if file.bytes.len() > HTTP_BODY_MAX {
        return Err(format!("longer than {HTTP_BODY_MAX} bytes"));
    }
    let answer: Answer = serde_json::from_slice(file.bytes).map_err(|e| format!("not a node's answer: {e}"))?;
    let envelope = Envelope::parse(&answer.receipt.0).map_err(|e| e.to_string())?;
    let receipt: Receipt = envelope.decode().map_err(|e| e.to_string())?;
    if !evidence.charters.signed_by_seat(&envelope, receipt.seat) {
        return Err("not signed by the statement key of its seat".into());
    }
    let key = evidence.charters.log_key(receipt.seat, &receipt.log).ok_or("no charter gives its seat that log")?;
    let proof = TlogProof::parse(answer.proof.as_bytes()).map_err(|e| e.to_string())?;
    if proof.index != receipt.seq {
        return Err("its proof is for another entry".into());
    }
    let head = proof.verify(&receipt.leaf.0, &receipt.log, &key).map_err(|e| e.to_string())?;
    let (seat, index, leaf) = (receipt.seat, receipt.seq, receipt.leaf.0);
    Ok(Held { name: file.name.to_owned(), seat, index, leaf, head, proof: answer.proof })
}

/// Compares the receipts with the logs. A head that does not lie on its tree is found with all others.
pub(super) fn check(evidence: &Evidence<'_>, suspects: &mut Vec<Suspect>) -> Vec<Finding> {
    let mut out = Vec::new();
    for held in &evidence.receipts {
        let origin = held.head.origin();
        let mut report =
            |class, detail: String| out.push(Finding::new(class, &held.name, "receipt", detail).seat(held.seat));
        let Some(log) = evidence.logs.iter().find(|l| l.origin == origin) else {
            report(Class::Incomplete, format!("is of {origin}, which is not in the bundle"));
            continue;
        };
        match log.leaf_at(held.index) {
            None => {
                let detail = format!(
                    "is for entry {} of {origin}, of which {} entries are here: ask for a later export",
                    held.index, log.size
                );
                report(Class::Incomplete, detail);
            }
            Some(leaf) if leaf == held.leaf => {}
            Some(other) => {
                let key = evidence.charters.log_key(held.seat, origin).map(|k| k.to_string()).unwrap_or_default();
                let detail = format!(
                    "the key {key} proved entry {} of {origin} to have leaf hash {}, and the log here has {}",
                    held.index,
                    Digest(held.leaf),
                    Digest(other)
                );
                report(Class::Misbehaviour, detail);
                suspects.extend(log.head.clone().map(Box::new).map(|head| Suspect::Receipt {
                    receipt: held.proof.clone(),
                    index: held.index,
                    leaf: held.leaf,
                    head,
                    other,
                }));
            }
        }
    }
    out
}
