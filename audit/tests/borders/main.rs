//! Where each rule of the verifier begins and ends: what lies just inside is in order, what lies just
//! outside is found. Each of these was once a change of the verifier that no other test noticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;

mod acts;
mod form;
mod lineage;
mod package;
mod release;
mod views;
