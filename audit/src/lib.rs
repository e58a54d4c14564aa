//! The log of one escrow node: entries, Merkle tree, proofs, checkpoints, cosignatures.
//!
//! **Scope.** Everything that can be said about a log from bytes alone: how an entry is
//! written and chained ([`entry`]), the RFC 6962 tree over the entries ([`tree`]), the tiles in
//! which it is served ([`tile`]), signed notes ([`note`]), tree heads and who has countersigned them ([`checkpoint`]), what a
//! witness must answer ([`witness`]), the proof that a receipt carries ([`proof`]), the evidence
//! bundle ([`bundle`]), its offline verifier ([`verify`]), and the reports that people read ([`report`]).
//!
//! **Not in scope.** Storage, network, clocks, private key files. Time comes in as a value
//! and a key as a reference; whoever calls must persist before a signature leaves.
//!
//! **Promises.** No function here panics on input, whatever its bytes; every parser has a
//! size limit that it checks before it allocates; every text format has exactly one
//! accepted encoding, so `parse` then `to_bytes` gives back what arrived.
//!
//! **Threat.** The bytes may come from a liar who holds some of the keys. A size and a root
//! are believed only inside a [`checkpoint::VerifiedCheckpoint`], which only a verified log
//! signature can make: an RFC 6962 root alone does not bind the size of its tree.

pub mod bagit;
pub mod bundle;
pub mod checkpoint;
pub mod entry;
pub mod files;
pub mod finding;
pub mod misbehaviour;
pub mod note;
pub mod proof;
pub mod record;
pub mod report;
pub mod seat;
pub mod tile;
pub mod tree;
pub mod verify;
pub mod witness;
