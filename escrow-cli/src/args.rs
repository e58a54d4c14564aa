//! The command line.

use crate::commands::{
    archive, audit, certificate, charter, completions, consent, context, decide, deposit, doctor, enrol, export,
    keygen, matter,
};
use crate::commands::{my, node, policy, recover, release, report, request, revoke, verify};
use crate::help::examples;
use crate::session::Global;
use clap::{Parser, Subcommand};

/// Threshold escrow for end-to-end-encrypted messages.
///
/// Nothing becomes readable until a quorum of independent nodes, each checking consent, policy
/// and approvals for itself, releases it to one named recipient.
#[derive(Debug, Parser)]
#[command(
    name = "escrow",
    version,
    before_help = examples!["escrow demo --keep", "escrow doctor"],
    after_help = "Exit codes: 0 ok, 1 unexpected, 2 usage or malformed input, 3 denied, 4 key missing or not entitled,\n\
5 pending, 6 verification failed, 7 below the node threshold, 8 partial or incomplete, 130 interrupted."
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one for each process")]
pub enum Command {
    /// Make keys for an officer, a device or the organisation
    #[command(subcommand)]
    Keygen(keygen::Keygen),
    /// Draft, sign, show and verify charters
    #[command(subcommand)]
    Charter(charter::Command),
    /// Set up and choose escrows to work with
    #[command(subcommand)]
    Context(context::Command),
    /// Enrol devices of subjects (registrars)
    Enrol(enrol::Enrol),
    /// Revoke an enrolment or a key, at once and for good
    Revoke(revoke::Revoke),
    /// Give, withdraw and look at consents
    #[command(subcommand)]
    Consent(consent::Command),
    /// Seal message archives, and open what was released
    #[command(subcommand)]
    Archive(archive::Command),
    /// Deposit the waiting keys at all nodes (devices)
    Deposit(deposit::Deposit),
    /// Open, close and look at matters
    #[command(subcommand)]
    Matter(matter::Command),
    /// Ask for messages to be made readable
    #[command(subcommand)]
    Request(request::Command),
    /// Approve a request
    Approve(decide::Approve),
    /// Deny a request; this ends it
    Deny(decide::Deny),
    /// Step aside from a request
    Recuse(decide::Recuse),
    /// Get a subject's own messages back on a new device
    #[command(subcommand)]
    Recover(recover::Command),
    /// Collect released replies
    #[command(subcommand)]
    Release(release::Command),
    /// Turn what was released into a production: RSMF, load file, lines or pages
    #[command(subcommand)]
    Export(export::Command),
    /// What concerns me as a subject
    #[command(subcommand)]
    My(my::Command),
    /// Look at logs, and export evidence
    #[command(subcommand)]
    Audit(audit::Command),
    /// Verify an evidence bundle; needs no network
    Verify(verify::Verify),
    /// Make reports from an evidence bundle; needs no network
    #[command(subcommand)]
    Report(report::Command),
    /// Draft a certificate about an evidence bundle; needs no network
    #[command(subcommand)]
    Certificate(certificate::Command),
    /// Read, check and try policies; needs no network
    #[command(subcommand)]
    Policy(policy::Command),
    /// Look at the nodes
    #[command(subcommand)]
    Node(node::Command),
    /// Look for what is wrong: this machine, the keys, the nodes, their logs
    Doctor(doctor::Doctor),
    /// Print the completion script of a shell
    Completions(completions::Completions),
    /// Write the manual pages
    Man(completions::Man),
    /// Show the whole story on this machine, with five real nodes
    Demo(crate::demo::DemoArgs),
}
