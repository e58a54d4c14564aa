//! One file a noun. Each command is a function from a session and arguments to what is shown.

pub mod archive;
pub mod audit;
pub mod certificate;
pub mod charter;
pub mod completions;
pub mod consent;
pub mod context;
pub mod decide;
pub mod deposit;
pub mod doctor;
pub mod enrol;
pub mod export;
pub mod keygen;
pub mod matter;
pub mod matter_show;
pub mod my;
pub mod node;
pub mod policy;
pub mod recover;
pub mod release;
pub mod report;
pub mod request;
pub mod revoke;
pub mod verify;
pub mod watch;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::output::Shown;

/// Runs one command.
///
/// # Errors
/// [`Failure`] with exit code, rule, reason and next step.
pub async fn run(cli: &Cli) -> Result<Shown, Failure> {
    let g = &cli.global;
    match &cli.command {
        Command::Keygen(c) => keygen::run(g, c),
        Command::Charter(c) => charter::run(g, c).await,
        Command::Context(c) => context::run(g, c),
        Command::Enrol(c) => enrol::run(g, c).await,
        Command::Revoke(c) => revoke::run(g, c).await,
        Command::Consent(c) => consent::run(g, c).await,
        Command::Archive(c) => archive::run(g, c),
        Command::Deposit(c) => deposit::run(g, c).await,
        Command::Matter(c) => matter::run(g, c).await,
        Command::Request(c) => request::run(g, c).await,
        Command::Approve(c) => decide::approve(g, c).await,
        Command::Deny(c) => decide::deny(g, c).await,
        Command::Recuse(c) => decide::recuse(g, c).await,
        Command::Recover(c) => recover::run(g, c).await,
        Command::Release(c) => release::run(g, c).await,
        Command::Export(c) => export::run(g, c),
        Command::My(c) => my::run(g, c).await,
        Command::Audit(c) => audit::run(g, c).await,
        Command::Verify(c) => verify::run(c),
        Command::Report(c) => report::run(c),
        Command::Certificate(c) => certificate::run(c),
        Command::Policy(c) => policy::run(g, c).await,
        Command::Node(c) => node::run(g, c).await,
        Command::Doctor(c) => doctor::run(g, c).await,
        Command::Completions(c) => completions::completions(c),
        Command::Man(c) => completions::man(c),
        Command::Demo(c) => crate::demo::run(c, g.output != crate::output::Format::Table).await,
    }
}
