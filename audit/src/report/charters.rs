//! The charters of a payload that chain from its genesis, for names and keys.

use super::small;
use crate::bundle::{Index, charter_path};
use crate::files::Files;
use escrow_core::Envelope;
use escrow_policy::charter::{VerifiedCharter, verify_genesis, verify_successor};

/// Verified versions with their envelopes, ascending by version, both branches of a fork. One that does not
/// hold is left out.
pub(super) fn verified(source: &dyn Files, index: &Index) -> Vec<(VerifiedCharter, Envelope)> {
    let files = (1..).map_while(|at| small(source, &charter_path(at)));
    let mut waiting: Vec<Envelope> = files.filter_map(|bytes| Envelope::parse(&bytes).ok()).collect();
    let mut out: Vec<(VerifiedCharter, Envelope)> = Vec::new();
    loop {
        let before = waiting.len();
        waiting.retain(|envelope| {
            let mut successors = out.iter().filter_map(|(previous, _)| verify_successor(previous, envelope).ok());
            let Some(verified) = verify_genesis(envelope, &index.charter).ok().or(successors.next_back()) else {
                return true;
            };
            if out.iter().all(|(known, _)| known.digest() != verified.digest()) {
                out.push((verified, envelope.clone()));
            }
            false
        });
        if waiting.len() == before {
            out.sort_by_key(|(c, _)| (c.charter().version, c.digest()));
            return out;
        }
    }
}
