//! Statements that several people sign: a file goes from one to the next, and the signature that
//! makes the quorum also submits it.

use crate::context::replace;
use crate::failure::{Exit, Failure};
use crate::output::Shown;
use escrow_client::{Client, Quorum, Submitted};
use escrow_core::wire::Receipted;
use escrow_core::{Blob, Digest, Envelope};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Where a statement waits for more signatures.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Waiting {
    /// Add your signature to a statement that a colleague began
    #[arg(long, value_name = "FILE")]
    pub countersign: Option<PathBuf>,
    /// Where to keep the statement while signatures are missing [default: KIND-HASH.json]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Reads the statement of a colleague and adds a signature.
///
/// # Errors
/// [`Failure`].
pub fn countersigned(client: &Client, file: &Path) -> Result<Envelope, Failure> {
    let bytes = std::fs::read(file).map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
    Ok(client.countersign(&Envelope::parse(&bytes)?)?)
}

/// Submits a statement whose quorum is met, else keeps it for the next signer.
///
/// # Errors
/// [`Failure`].
pub async fn submit_or_keep(
    client: &Client,
    envelope: &Envelope,
    quorum: &Quorum,
    waiting: &Waiting,
    shown: Shown,
) -> Result<Shown, Failure> {
    if quorum.met() {
        let submitted = client.submit(envelope).await?;
        return Ok(with_receipts(shown, client, &submitted));
    }
    let file = waiting.out.clone().or_else(|| waiting.countersign.clone());
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{}-{}.json", envelope.kind(), envelope.digest().short())));
    replace(&file, envelope.bytes())?;
    let names = |people: &std::collections::BTreeSet<escrow_core::PersonId>| {
        people.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let missing = (quorum.need as usize).saturating_sub(quorum.signed.len());
    Ok(shown
        .text(format!(
            "Signed by {}; {missing} more signature(s) needed, by any of: {}.\nThe statement waits in {}.",
            names(&quorum.signed),
            names(&quorum.others),
            file.display()
        ))
        .with("statement", envelope.digest().to_string())
        .with("submitted", false)
        .with("missing_signatures", missing)
        .with("file", file.display().to_string())
        .exit(Exit::Pending))
}

/// What nodes said to a statement, for people and machines.
pub fn with_receipts(shown: Shown, client: &Client, submitted: &Submitted) -> Shown {
    let nodes = client.nodes().len();
    let mut text = format!(
        "{} {} logged by {} of {nodes} nodes.",
        submitted.kind,
        submitted.statement.short(),
        submitted.accepted()
    );
    for (seat, e) in submitted.outcomes.errors() {
        text.push_str(&format!("\n  node {seat}: {e}"));
    }
    let kept = submitted.outcomes.good().map(|(seat, r)| {
        let name = format!("{}-{}-node{seat}.json", submitted.kind, submitted.statement.short());
        (name, answer(r.envelope.bytes(), &r.proof))
    });
    let shown = kept.fold(shown, |shown, (name, answer)| shown.receipt(name, answer));
    shown
        .text(text)
        .with("statement", submitted.statement.to_string())
        .with("submitted", true)
        .with("receipts", receipts(submitted))
        .with("failures", failures(submitted))
}

/// A node's answer as `verify --receipt` takes it.
pub fn answer(receipt: &[u8], proof: &str) -> Vec<u8> {
    let answer = Receipted { receipt: Blob(receipt.to_vec()), proof: proof.to_owned() };
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn receipts(submitted: &Submitted) -> Vec<Value> {
    let of = |(seat, r): (escrow_core::SeatIndex, &escrow_client::VerifiedReceipt)| json!({"node": seat.get(), "log": r.receipt.log, "seq": r.receipt.seq, "at": r.receipt.at.to_string()});
    submitted.outcomes.good().map(of).collect()
}

fn failures(submitted: &Submitted) -> Vec<Value> {
    submitted
        .outcomes
        .errors()
        .map(|(s, e)| json!({"node": s.get(), "rule": e.code(), "detail": e.to_string()}))
        .collect()
}

/// What a restriction is worth, in a sentence.
pub fn reach(submitted: &Submitted) -> String {
    match submitted.stops_releases_against() {
        Some(f) => format!(
            "It stops every release that begins from now on, even if {f} node(s) lie. A release already under way may still finish for 60 seconds."
        ),
        None => {
            "Too few nodes know it yet to be sure that all releases stop: repeat the command when more can be reached."
                .into()
        }
    }
}

/// Finds the one digest that begins with what a person typed.
///
/// # Errors
/// Usage, if none or several do.
pub fn by_prefix<'a, T>(what: &str, typed: &str, all: impl Iterator<Item = (Digest, &'a T)>) -> Result<&'a T, Failure> {
    let typed = typed.to_ascii_lowercase();
    if typed.len() < 4 {
        return Err(Failure::usage(format!("type at least 4 digits of the {what}'s hash")));
    }
    let found: Vec<_> = all.filter(|(d, _)| d.to_string().starts_with(&typed)).map(|(_, t)| t).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::usage(format!("no {what} is known whose hash begins with {typed}"))),
        _ => Err(Failure::usage(format!("{} {what}s begin with {typed}; type more digits", found.len()))),
    }
}
