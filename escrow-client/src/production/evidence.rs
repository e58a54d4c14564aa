//! The evidence bundle that a production goes with: verified, and about the same release.

use escrow_audit::bundle::{self, BundleError, Folder};
use escrow_audit::files::Files;
use escrow_audit::finding::{Class, Report};
use escrow_audit::report::{CUSTODY_HTML, CUSTODY_JSON};
use escrow_audit::verify::verify;
use escrow_core::Digest;
use std::path::{Path, PathBuf};

/// Longest report that is taken over, bytes.
const REPORT_MAX: u64 = 64 * 1024 * 1024;

/// Why a bundle cannot stand behind a production.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Not a bundle.
    #[error("{} is no evidence bundle: {error}; make one with `escrow audit export`", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why not.
        error: BundleError,
    },
    /// It does not verify.
    #[error("the evidence does not verify: {verdict}; look at it with `escrow verify`, and export it again")]
    Verdict {
        /// What the verifier says.
        verdict: &'static str,
    },
    /// It knows nothing of the release.
    #[error("the evidence says nothing of a release for request {}; export it after the release with `escrow audit export`", .0.short())]
    OtherRelease(Digest),
    /// It has no custody report, as one without content.
    #[error("the evidence holds no custody report (it was exported without content); export it in full")]
    NoReport,
}

/// What a production takes from its evidence.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Digest of the bundle, which binds all of it.
    pub digest: Digest,
    /// What the verifier says of it.
    pub verdict: &'static str,
    /// Where the deliveries of the release are on record: seat and log position.
    pub entries: Vec<(u8, u64)>,
    /// The custody report for people.
    pub html: Vec<u8>,
    /// The same for programs.
    pub json: Vec<u8>,
}

impl Evidence {
    /// Reads and verifies a bundle, and finds the release in it.
    ///
    /// # Errors
    /// [`EvidenceError`]. A bundle that is INCOMPLETE is taken, and the production says so.
    pub fn read(path: &Path, genesis: &Digest, release: &Digest) -> Result<Self, EvidenceError> {
        let folder = Folder::open(path).map_err(|error| EvidenceError::Unreadable { path: path.to_owned(), error })?;
        let report: Report = verify(&folder, genesis);
        if !matches!(report.verdict, Class::Ok | Class::Incomplete) {
            return Err(EvidenceError::Verdict { verdict: report.verdict.name() });
        }
        let of_release = report.releases.iter().filter(|r| r.request == *release);
        let entries: Vec<(u8, u64)> = of_release.map(|r| (r.seat.get(), r.seq)).collect();
        if entries.is_empty() {
            return Err(EvidenceError::OtherRelease(*release));
        }
        let file = |path| folder.read(path, REPORT_MAX).ok().flatten().ok_or(EvidenceError::NoReport);
        Ok(Self {
            digest: bundle::digest(&folder).ok_or(EvidenceError::NoReport)?,
            verdict: report.verdict.name(),
            entries,
            html: file(CUSTODY_HTML)?,
            json: file(CUSTODY_JSON)?,
        })
    }

    /// The log positions as a header has them: `1/57, 2/60`.
    #[must_use]
    pub fn positions(&self) -> String {
        self.entries.iter().map(|(seat, seq)| format!("{seat}/{seq}")).collect::<Vec<_>>().join(", ")
    }
}
