//! Layer 7: the files in `data/report/` follow from the rest, byte for byte.

use super::bytes::Evidence;
use crate::bundle::{INDEX, REPORTS};
use crate::finding::{Class, Finding};
use crate::report::{self, VERSION};
use escrow_core::Digest;

/// The rule of reports that cannot be made here.
pub(super) const UNKNOWN: &str = "report-version";

/// Makes the reports again and compares with the digests of the bundle's own, as the package was read: a
/// file that is swapped meanwhile gains nothing.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let (index, there) = (&evidence.index, &evidence.reports);
    if index.report != VERSION {
        let detail = format!(
            "the reports under {REPORTS} are of version {:?}, which is not known here: they were not checked, and prove nothing",
            index.report
        );
        return vec![Finding::new(Class::Incomplete, INDEX, UNKNOWN, detail)];
    }
    let mut out = Vec::new();
    let ours = report::files(evidence.files, index);
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
