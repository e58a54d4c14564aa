//! What people read: the custody report, counts and the draft certificate that stand in a bundle's
//! `data/report/`, and the printed answer of a verification ([`verification`]).
//!
//! **Promise.** The files of a bundle follow from the rest of its payload, byte for byte: [`files`] is
//! pure and never fails, so a verifier makes them again and compares. Whoever changes one byte of what
//! it writes gives it a new [`VERSION`], and keeps this one for the bundles that name it.
//!
//! **Threat.** Every text may come from a liar. All of it is escaped, and what one log can add is
//! bounded ([`custody::ROWS_MAX`]), so that a lying node can neither steer a reader's browser nor crowd
//! out what the other nodes say.

mod acts;
pub mod certificate;
mod charters;
mod counts;
pub mod custody;
mod custody_page;
mod page;
mod trace;
pub mod verification;
mod who;

use crate::bundle::{Index, Variant};
use crate::entry::MAX_ENTRY_LEN;
use crate::files::{Files, Lines};
use escrow_core::limits::ENVELOPE_MAX;
use std::collections::BTreeMap;

/// Version of all files in `data/report/`, and schema of `custody.json`.
pub const VERSION: &str = "escrow.custody.v1";
/// Path of the custody report for machines.
pub const CUSTODY_JSON: &str = "data/report/custody.json";
/// Path of the custody report for people.
pub const CUSTODY_HTML: &str = "data/report/custody.html";
/// Path of the number of entries of each type in each log.
pub const COUNTS: &str = "data/report/counts.csv";
/// Path of the draft certificate.
pub const CERTIFICATE: &str = "data/report/certificate-902.md";

/// The bytes of a small file (charter, statement, note); none if it is not there or cannot be read.
fn small(files: &dyn Files, path: &str) -> Option<Vec<u8>> {
    files.read(path, ENVELOPE_MAX as u64).ok().flatten()
}

/// Hands over the lines of a log, up to the first that cannot be read; the verifier names that one.
fn each_line(files: &dyn Files, path: &str, mut each: impl FnMut(&[u8])) {
    let Ok(from) = files.open(path) else { return };
    let mut lines = Lines::new(from, MAX_ENTRY_LEN);
    while let Ok(Some(line)) = lines.next() {
        each(line);
    }
}

/// The report files that follow from the rest of a payload. Without content there is no custody
/// report: who did what is what such a bundle does not tell.
#[must_use]
pub fn files(source: &dyn Files, index: &Index) -> BTreeMap<String, Vec<u8>> {
    let custody = custody::Custody::of(source, index);
    let mut out = BTreeMap::from([
        (COUNTS.to_owned(), counts::csv(source, index).into_bytes()),
        (CERTIFICATE.to_owned(), certificate::draft(&custody, index).into_bytes()),
    ]);
    if index.variant == Variant::Full {
        out.insert(CUSTODY_JSON.to_owned(), custody.to_json().into_bytes());
        out.insert(CUSTODY_HTML.to_owned(), custody.to_html().into_bytes());
    }
    out
}
