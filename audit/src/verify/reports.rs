//! The files in `data/report/` follow from the rest, byte for byte.

use crate::bundle::{INDEX, Index, REPORTS};
use crate::files::Files;
use crate::finding::{Class, Finding};
use crate::report::{self, VERSION};
use escrow_core::Digest;
use std::collections::BTreeMap;

/// Makes the reports again and compares. `there` are the digests of the bundle's own, by path, as the
/// package was read: a file that is swapped meanwhile gains nothing.
pub(super) fn check(files: &dyn Files, index: &Index, there: &BTreeMap<String, Digest>) -> Vec<Finding> {
    if index.report != VERSION {
        let detail = format!(
            "the reports under {REPORTS} are of version {:?}, which is not known here: they were not checked, and prove nothing",
            index.report
        );
        return vec![Finding::new(Class::Incomplete, INDEX, "report-version", detail)];
    }
    let mut out = Vec::new();
    let ours = report::files(files, index);
    for path in there.keys().filter(|p| !ours.contains_key(*p)) {
        out.push(Finding::new(Class::Tampered, path, "report", "no report of this version and variant"));
    }
    for (path, bytes) in &ours {
        let what = match there.get(path) {
            Some(theirs) if *theirs == Digest::of(bytes) => continue,
            Some(_) => "not the report that follows from the evidence",
            None => "not there, and every bundle of this version and variant has it",
        };
        out.push(Finding::new(Class::Tampered, path, "report", what));
    }
    out
}
