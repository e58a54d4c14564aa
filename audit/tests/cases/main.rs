//! The adversarial cases of docs/audit-cases.md that a verifier of bundles can meet, by its groups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod checkpoints_keys;
mod log_bytes;
mod page;
mod privacy_bundle;
mod statements_policy;
mod truncation_fork;

use common::Cluster;
use escrow_audit::finding::Report;
use escrow_audit::verify::verify;
use escrow_core::Envelope;
use escrow_core::decision::Choice;

/// The standard story, and every peer has cosigned every log's newest head.
fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

/// Verifies a bent history after its peers cosigned it.
fn judged(mut c: Cluster) -> Report {
    c.settle();
    verify(&c.full(), &c.genesis)
}

/// A story up to the three permits, and one release-call.
fn permitted() -> (Cluster, Vec<Envelope>, Envelope) {
    let mut c = Cluster::new();
    c.ask();
    c.decide("leg", "legal", Choice::Approve);
    c.decide("dpo", "dpo", Choice::Approve);
    let permits = (0..3).map(|n| c.verdict(n, |_| {})).collect();
    let call = c.call();
    (c, permits, call)
}

/// As far as an authorisation of seat 1 under a note that seat 2 cosigned: what is left is to deliver.
fn authorised() -> (Cluster, u64, escrow_audit::checkpoint::VerifiedCheckpoint) {
    let (mut c, permits, call) = permitted();
    let answer = c.answer(1, 0);
    let authorized = c.authorise(0, &call, &[&permits[1]], &[&answer]);
    let note = c.cosigned(0, &[1]);
    (c, authorized, note)
}
