//! Productions of archives that hold everything the format knows: our own validator finds nothing in
//! them, nothing is dropped, and the bytes follow from the release alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

mod archive;
mod changes;
mod package;
mod slices;
