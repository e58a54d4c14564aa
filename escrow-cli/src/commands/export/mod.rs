//! `escrow export`: productions for review platforms.

pub mod verify;

use crate::failure::Failure;
use crate::output::Shown;
use clap::Subcommand;

/// What to do with productions.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a production as a review platform would, and more; needs no network
    Verify(verify::VerifyArgs),
}

/// Runs `export`.
///
/// # Errors
/// [`Failure`].
pub fn run(command: &Command) -> Result<Shown, Failure> {
    match command {
        Command::Verify(a) => Ok(verify::run(a)),
    }
}
