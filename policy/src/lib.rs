//! The gate of the escrow: charter, facts, and the answer permit, pending or refuse.
//!
//! **Scope.** Pure functions. [`facts::Facts`] is folded from log entries and statements by one
//! function that the running node and the offline verifier both call; [`gate::evaluate`] turns
//! facts, a request and a time into an answer with its reasons.
//!
//! **Promises.** Default is refusal: an empty list, a missing number, a zero or an evaluation
//! error never counts as fulfilled (P3). Quorums count distinct people. What no policy can lower
//! is in [`floor`].
//!
//! **Not here.** Clock, storage, network; the log's bytes (crate `escrow-audit`).

pub mod admit;
pub mod attributes;
pub mod cases;
pub mod cedar;
pub mod charter;
pub mod context;
pub mod facts;
pub mod floor;
pub mod gate;
pub mod lint;
pub mod ready;
pub mod recovery;
mod refusal;
mod selection;

pub use admit::{Admitted, Verified};
pub use facts::{Event, Facts, Record};
pub use gate::{Evaluation, Permit};
pub use refusal::{Blame, Refusal, Rule};
