//! Support for whole-cluster tests: five real `escrow-node` processes with TLS and disk, people
//! with keys, and tools to look where a node does not want to be looked at.
//!
//! **Not here.** Fault seats are programs of their own (`src/bin`), planted bugs are patches
//! (`planted/`). Nothing in this package ships.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "support for tests: a helper that panics fails the test that called it"
)]

mod built;
pub mod canary;
pub mod cluster;
pub mod log_liar;
pub mod raw;
pub mod recorder;

pub use built::{build_programs, program, programs};
pub use cluster::{Escrow, Options, Subject, code_of, seat};
