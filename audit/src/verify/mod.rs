//! The offline verifier: from the bytes of a bundle and one pinned digest to a report.
//!
//! Pure: no file, clock or network. Trust comes from the pinned charter digest and from nothing
//! in the bundle. Seven layers, in this order; what is altered is not judged for its meaning, so a
//! layer that finds TAMPERED or MALFORMED ends the verification:
//!
//! 1. *package*: BagIt structure, every file listed, none extra, digests;
//! 2. *bytes*: every byte is bound by a log, a signature or by following from the rest; charters
//!    chain from the pinned digest; entries chain to a signed head;
//! 3. *acts*: signatures, authority and causality, by the same fold as the node's;
//! 4. *views*: what peers hold of each log;
//! 5. *record*: counts, hard floor and the exact context bytes of each verdict;
//! 6. *policy-replay*: Cedar over those bytes;
//! 7. *reports*: what people read follows from all that, byte for byte.
//!
//! Of a bundle without content, acts, record and replay are not done; the form of each log and of its
//! releases is checked instead, and the answer is INCOMPLETE at best.

mod acts;
mod bytes;
mod charters;
mod continued;
mod form;
mod log;
mod pool;
mod receipts;
mod references;
mod release;
mod reports;
mod stale;
mod suspects;
mod verdict;
mod views;
mod witnesses;

use crate::bagit;
use crate::bundle::{LogRef, Variant};
use crate::files::Files;
use crate::finding::{Finding, Layer, Report};
use crate::tree::Hash;
use escrow_core::Digest;
use escrow_policy::cedar::ENGINE;

const LAYERS: [&str; 7] = ["package", "bytes", "acts", "views", "record", "policy-replay", "reports"];

/// What to do beyond the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Evaluate the policies again. Without, the report says so and a wrong answer of a policy
    /// engine goes unnoticed.
    pub policy_replay: bool,
    /// Make the reports of `data/report/` again and compare. Without, they prove nothing.
    pub reports: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { policy_replay: true, reports: true }
    }
}

/// Verifies a bundle against the pinned digest of the genesis charter.
#[must_use]
pub fn verify(files: &dyn Files, pinned: &Digest) -> Report {
    verify_with(files, pinned, Options::default())
}

/// [`verify`] with options.
#[must_use]
pub fn verify_with(files: &dyn Files, pinned: &Digest, options: Options) -> Report {
    examine(files, pinned, options, &[]).report
}

/// A receipt that somebody holds, with the proof that came with it: a node's answer as JSON, with
/// members `receipt` and `proof`.
#[derive(Clone, Copy, Debug)]
pub struct ReceiptFile<'a> {
    /// What findings call it.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// A report, and files that prove the misbehaviour in it without the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// What [`verify_with`] says, receipts included.
    pub report: Report,
    /// Files for [`crate::misbehaviour::check`], at most 20, none twice.
    pub proofs: Vec<Vec<u8>>,
}

/// [`verify_with`], with receipts from outside the bundle, and with proofs.
#[must_use]
pub fn examine(files: &dyn Files, pinned: &Digest, options: Options, receipts: &[ReceiptFile<'_>]) -> Examined {
    let mut report = Report::new(pinned);
    let mut proofs = Vec::new();
    report.counts.files = files.list().count() as u64;
    let (done, variant) = layers(files, pinned, options, receipts, &mut report, &mut proofs);
    let altered = "altered or unreadable material was found: its meaning is not judged";
    for (at, name) in LAYERS.into_iter().enumerate() {
        let why = match at {
            _ if at >= done => altered,
            2 if variant == Variant::NoContent => "no-content bundle: of each log only its form was checked",
            4 | 5 if variant == Variant::NoContent => "no-content bundle",
            5 if !options.policy_replay => "not asked for",
            6 if !options.reports => "not asked for",
            6 if report.findings.iter().any(|f| f.rule == reports::UNKNOWN) => "of a version that is not known here",
            _ => "",
        };
        report.layers.push(Layer { name, done: why.is_empty(), why: why.to_owned() });
    }
    if report.policy_replayed() {
        report.engine = Some(ENGINE);
    }
    Examined { report, proofs }
}

/// The bytes of one log alone, without any key: its entries are canonical, chained, and lead to the size
/// and root of the note beside them. Answers these two; who signed the note is left to the caller.
/// `others` are the origins of which cosigned heads are kept, as [`verify`] does for the bundle's logs.
///
/// # Errors
/// The finding that [`verify`] would report.
pub fn log_bytes(files: &dyn Files, log: &LogRef, others: &[&str]) -> Result<(u64, Hash), Finding> {
    let mut claims = others.iter().map(|o| ((*o).to_owned(), vec![])).collect();
    log::read(files, log, 0, &mut claims).map(|log| (log.size, log.root))
}

/// Runs the layers; answers how many were reached and done, and on how much.
fn layers(
    files: &dyn Files,
    pinned: &Digest,
    options: Options,
    receipts: &[ReceiptFile<'_>],
    report: &mut Report,
    proofs: &mut Vec<Vec<u8>>,
) -> (usize, Variant) {
    let mut found = Vec::new();
    let digests = bagit::check(files, &mut found);
    report.add(found);
    if report.altered() {
        return (1, Variant::Full);
    }
    let mut found = Vec::new();
    let evidence = bytes::read(files, &digests, &mut found).and_then(|raw| bytes::bind(raw, pinned, &mut found));
    report.add(found);
    let Some(mut evidence) = evidence.filter(|_| !report.altered()) else {
        return (2, Variant::Full);
    };
    report.counts.statements = evidence.pool.len() as u64;
    report.counts.charters = evidence.charters.len() as u64;
    report.counts.views = evidence.views.len() as u64;
    let mut suspects = Vec::new();
    report.add(evidence.charters.forks(&mut suspects));
    for file in receipts {
        match self::receipts::read(&evidence, file) {
            Ok(held) => evidence.receipts.push(held),
            Err(finding) => report.add([finding]),
        }
    }
    evidence.expect();
    // A pass over each log: its roots, and its acts.
    // Record and replay are judged where they happened: entry by entry, with the facts before it.
    let variant = evidence.index.variant;
    let mut stories: Vec<acts::Story<'_>> = Vec::new();
    let mut found = Vec::new();
    for log in &evidence.logs {
        let before = continued::before(&evidence, &stories, log, &mut found);
        stories.push(match variant {
            Variant::Full => acts::walk(&evidence, log, options, before),
            Variant::NoContent => form::walk(&evidence, log, options, before),
        });
    }
    report.add(found);
    report.add(continued::heads(&evidence));
    for story in &stories {
        story.report(report);
    }
    report.add(acts::across(&evidence, &stories));
    match variant {
        Variant::Full => acts::count(&stories, report),
        Variant::NoContent => form::count(&stories, report),
    }
    let (found, logs) = views::check(&evidence, &stories, &mut suspects);
    report.add(found);
    report.add(self::receipts::check(&evidence, &mut suspects));
    report.logs = logs;
    report.add(evidence.pool.faults());
    *proofs = suspects::proofs(&evidence, &suspects);
    // Last: what is wrong with a report says nothing about the evidence that it should follow from.
    if options.reports {
        report.add(reports::check(&evidence));
    }
    (LAYERS.len(), variant)
}
