//! The words of the escrow protocol, and its cryptography.
//!
//! Everything that two parties must agree on byte for byte lives here: ids and
//! tokens, the strict JSON profile, signed statements (DSSE v1), Pedersen
//! sharing on P-256, key wrap, and HPKE sealing to seats and recipients.
//!
//! **Scope.** Pure functions over values. No clock, no file, no socket; time is
//! a parameter, randomness comes from the operating system through [`random`].
//!
//! **Not here.** Who may do what (crate `escrow-policy`), the log
//! (`escrow-audit`), storage and transport (`escrow-node`, `escrow-client`).
//!
//! **Threat.** Every byte that enters through [`Envelope::parse`],
//! [`deal::OpenedDeal::parse`], [`sharing`] or [`sealing`] is assumed hostile: sizes are bounded
//! before allocation and nothing panics.
//!
//! The public specification of every byte string made here is `docs/protocol.md`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))] // a test that panics has failed

pub mod charter;
pub mod consent;
pub mod deal;
pub mod decision;
pub mod deposit;
mod digest;
pub mod enrolment;
pub mod envelope;
pub mod key;
pub mod label;
pub mod limits;
pub mod matter;
pub mod notification;
pub mod open;
#[cfg(feature = "openapi")]
pub mod openapi;
#[cfg(feature = "pin")]
pub mod pin;
pub mod query;
pub mod random;
pub mod receipt;
pub mod recovery;
pub mod release;
pub mod reply;
pub mod request;
pub mod restriction;
pub mod sealing;
pub mod sharing;
pub mod sshsig;
pub mod statement;
pub mod strict;
mod time;
pub mod token;
pub mod verdict;
pub mod view;
pub mod wire;
mod words;
pub mod wrap;

pub use digest::{Blob, Digest, Nonce};
pub use envelope::Envelope;
pub use key::{KeyId, PublicKey, SigningKey};
pub use statement::{Kind, Statement};
pub use time::{Timestamp, UtcDay};
pub use token::{Token, TokenKey};
pub use words::{Code, MatterId, Org, PersonId, Role, SeatIndex, WordError, ZoneName};
pub use wrap::ThreadKey;

/// Names one item for ever: SHA-256(label, SHA-256(deal), position). See [`deal::item_id`].
pub type ItemId = Digest;
