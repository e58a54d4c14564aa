//! The evidence bundle: one BagIt folder that tells a whole story without any server.
//!
//! Layout under `data/`:
//!
//! ```text
//! README.txt                        for a human; its text follows from bundle.json
//! bundle.json                       what is here: [`Index`]
//! charters/0001.json ...            charter envelopes by version, both branches of a fork
//! logs/<seat>/<k>/entries.jsonl     entry bytes of the seat's k-th log, one a line
//! logs/<seat>/<k>/checkpoint.txt    the node's note for exactly that size
//! statements/<envelope digest>.json exact envelope bytes
//! attachments/<sha256>              policy contexts and cosigned notes
//! views/<viewer>-<viewed>.json      View envelopes of the export
//! report/...                        what people read: follows from the rest ([`crate::report`])
//! ```
//!
//! Every byte is bound: by a log (digest), by a signature, or by following from what is. There is
//! no free text that an attacker could change unseen, so `created` is the newest time in the
//! evidence and not a claim of whoever exported it.

mod build;
mod dir;
mod names;

pub use crate::files::FILE_MAX;
use crate::files::Files;
pub use build::{BuildError, BundleBuilder, Meta};
pub use dir::{Bundle, BundleError, FILES_MAX, Folder};
pub(crate) use names::Names;

use escrow_core::strict::{self, StrictError};
use escrow_core::{Digest, Kind, MatterId, Nonce, Org, SeatIndex, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Schema of `data/bundle.json`.
pub const SCHEMA: &str = "escrow.bundle.v1";
/// Path of the index.
pub const INDEX: &str = "data/bundle.json";
/// Path of the text for a human.
pub const README: &str = "data/README.txt";
/// Folder of the reports.
pub const REPORTS: &str = "data/report/";
/// Longest index, bytes.
pub const INDEX_MAX: usize = 1 << 20;

/// How much of the evidence a bundle holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Every statement that the logs name.
    #[default]
    Full,
    /// Only statements from which nobody learns who asked for what: [`Variant::holds`].
    NoContent,
}

impl Variant {
    /// True if statements of this kind belong into it. Without content that leaves charters and
    /// verdicts: rule codes, counters, digests and times. A release names the recipient's key and an
    /// answer the matter, so they stay out with what people signed.
    pub const fn holds(self, kind: Kind) -> bool {
        match self {
            Self::Full => true,
            Self::NoContent => matches!(kind, Kind::Charter | Kind::Verdict),
        }
    }
}

/// `data/bundle.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// [`SCHEMA`].
    pub schema: String,
    /// The organisation.
    pub org: Org,
    /// Digest of the genesis charter.
    pub charter: Digest,
    /// Nonce of the export, which every view repeats.
    pub export: Nonce,
    /// The newest time in logs and views.
    pub created: Timestamp,
    /// The logs, ascending by seat and number.
    pub logs: Vec<LogRef>,
    /// How much is here.
    pub variant: Variant,
    /// Version of what stands in `data/report/`: [`crate::report::VERSION`].
    pub report: String,
    /// The requests that the bundle is about, sorted; none without content.
    pub requests: Vec<Digest>,
}

/// One log of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRef {
    /// The seat.
    pub seat: SeatIndex,
    /// 1 for the seat's first log, one more for each new origin that the charters give it.
    pub number: u32,
    /// Origin of the log.
    pub origin: String,
    /// Entries.
    pub size: u64,
}

impl LogRef {
    /// Which log it is.
    pub fn id(&self) -> (SeatIndex, u32) {
        (self.seat, self.number)
    }
}

impl Index {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        // Strings, numbers and lists always serialise.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads the file; only the bytes that [`Index::encode`] writes.
    ///
    /// # Errors
    /// [`StrictError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, StrictError> {
        let index: Self = strict::decode(bytes, INDEX_MAX)?;
        let rule = |ok: bool, text: &str| if ok { Ok(()) } else { Err(StrictError::Profile(text.to_owned())) };
        rule(index.schema == SCHEMA, "another schema than escrow.bundle.v1")?;
        rule(index.logs.is_sorted_by(|a, b| a.id() < b.id()), "logs ascend by seat and number, none twice")?;
        rule(index.requests.is_sorted_by(|a, b| a < b), "requests are sorted, none twice")?;
        rule(index.variant == Variant::Full || index.requests.is_empty(), "a no-content bundle names no request")?;
        rule(index.encode() == bytes, "not the one spelling of this index")?;
        Ok(index)
    }

    /// The text for a human.
    pub fn readme(&self) -> String {
        let mut logs = String::new();
        for l in &self.logs {
            logs.push_str(&format!("  seat {}: {} entries, {}\n", l.seat, l.size, l.origin));
        }
        let requests: String = self.requests.iter().map(|r| format!("  {r}\n")).collect();
        let (title, told) = match self.variant {
            Variant::Full => (
                "EVIDENCE BUNDLE",
                "report/custody.html (who did what when, and where that is on record, to print),\n\
                 report/custody.json (the same for programs), report/counts.csv,\n\
                 report/certificate-902.md (a draft for counsel)",
            ),
            Variant::NoContent => (
                "EVIDENCE BUNDLE WITHOUT CONTENT",
                "report/counts.csv, report/certificate-902.md (a draft for counsel). What people\n\
                 signed is left out: this bundle shows that logs and releases are in order in form, and\n\
                 cannot show who asked, for what, and who approved. Its verification says INCOMPLETE",
            ),
        };
        format!(
            "{title} of {org}\n\
             \n\
             This folder holds signed logs, statements and views of escrow nodes. It shows who asked for\n\
             messages to become readable, why, who approved, what each node decided under which rule and\n\
             to which key it released. It holds no key, no share and no message.\n\
             \n\
             TO READ (folder data/; nothing here proves anything before the bundle is verified)\n\
             \n\
             {told}.\n\
             \n\
             TO VERIFY\n\
             \n\
             You need the digest of the organisation's first charter FROM A SOURCE OF YOUR OWN: its\n\
             operators, a notary, a court file. This bundle claims\n\
             \n\
             \x20 {charter}\n\
             \n\
             and proves nothing if you copy the digest from here. Then run, without any network:\n\
             \n\
             \x20 escrow verify FOLDER --charter-digest DIGEST\n\
             \n\
             It answers OK, TAMPERED (altered), MISBEHAVIOUR (a key contradicted itself), VIOLATION (an\n\
             act against the rules), INCOMPLETE or MALFORMED, and lists every finding. By hand:\n\
             \n\
             \x20 sha256sum -c tagmanifest-sha256.txt && sha256sum -c manifest-sha256.txt\n\
             \n\
             checks that the files are as they were packed, and nothing else.\n\
             \n\
             CONTENTS (newest time in the evidence: {created})\n\
             \n\
             Logs:\n{logs}\
             Requests:\n{requests}\
             Folders of data/: charters, logs, statements (signed envelopes by digest), attachments\n\
             (policy contexts and countersigned log heads), views (what each node holds of the others).\n",
            org = self.org,
            charter = self.charter,
            created = self.created,
        )
    }

    /// The bag's metadata for a payload; `matters` are those of the requests.
    pub fn bag_info(&self, matters: &BTreeSet<MatterId>, payload: &BTreeMap<String, Vec<u8>>) -> String {
        let octets: usize = payload.values().map(Vec::len).sum();
        self.bag_info_for(matters, octets, payload.len())
    }

    pub(crate) fn bag_info_for(&self, matters: &BTreeSet<MatterId>, octets: usize, files: usize) -> String {
        let mut ids: String = matters.iter().map(|m| format!("External-Identifier: {m}\n")).collect();
        if ids.is_empty() {
            ids = format!("External-Identifier: {}\n", self.org);
        }
        let day = self.created.day();
        let group = self.charter;
        format!(
            "Bag-Software-Agent: {SCHEMA}\nBagging-Date: {day}\n{ids}\
             Bag-Group-Identifier: {group}\nPayload-Oxum: {octets}.{files}\n"
        )
    }
}

/// The digest that names a bundle: SHA-256 of its tag manifest, which binds every other file. None if
/// there is no such file.
#[must_use]
pub fn digest(files: &dyn Files) -> Option<Digest> {
    files.read(crate::bagit::TAG_MANIFEST, FILE_MAX).ok().flatten().map(|bytes| Digest::of(&bytes))
}

/// Path of the entries of a seat's log of that number.
pub fn entries_path(seat: SeatIndex, number: u32) -> String {
    format!("data/logs/{seat}/{number}/entries.jsonl")
}

/// Path of a log's own note.
pub fn checkpoint_path(seat: SeatIndex, number: u32) -> String {
    format!("data/logs/{seat}/{number}/checkpoint.txt")
}

/// Path of a statement, by digest of its envelope.
pub fn statement_path(envelope: &Digest) -> String {
    format!("data/statements/{envelope}.json")
}

/// Path of an attachment, by digest.
pub fn attachment_path(digest: &Digest) -> String {
    format!("data/attachments/{digest}")
}

/// Path of a view.
pub fn view_path(viewer: SeatIndex, viewed: SeatIndex) -> String {
    format!("data/views/{viewer}-{viewed}.json")
}

/// Path of the charter at a position, from 1.
pub fn charter_path(position: usize) -> String {
    format!("data/charters/{position:04}.json")
}

/// What a path under `data/` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Readme,
    Index,
    Charter,
    Entries(SeatIndex, u32),
    Checkpoint(SeatIndex, u32),
    Statement(Digest),
    Attachment(Digest),
    View(SeatIndex, SeatIndex),
    Report,
}

impl Place {
    /// The place of a path; none for a path that a bundle does not have.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("data/")?;
        let place = match rest.split_once('/') {
            None if path == README => Self::Readme,
            None if path == INDEX => Self::Index,
            None => return None,
            Some(("charters", name)) => {
                let position: usize = name.strip_suffix(".json")?.parse().ok()?;
                return (position > 0 && charter_path(position) == path).then_some(Self::Charter);
            }
            Some(("logs", name)) => {
                let (seat, name) = name.split_once('/')?;
                let (number, name) = name.split_once('/')?;
                let (seat, number) = (seat.parse().ok()?, number.parse().ok().filter(|n| *n > 0)?);
                match name {
                    "entries.jsonl" => Self::Entries(seat, number),
                    "checkpoint.txt" => Self::Checkpoint(seat, number),
                    _ => return None,
                }
            }
            Some(("statements", name)) => Self::Statement(name.strip_suffix(".json")?.parse().ok()?),
            Some(("attachments", name)) => Self::Attachment(name.parse().ok()?),
            Some(("views", name)) => {
                let (viewer, viewed) = name.strip_suffix(".json")?.split_once('-')?;
                Self::View(viewer.parse().ok()?, viewed.parse().ok()?)
            }
            // Which files there are depends on the version that the index names.
            Some(("report", name)) if !name.contains('/') => Self::Report,
            Some(_) => return None,
        };
        // `01` and `+1` parse as numbers too: one place has one path.
        (place.path().as_deref().is_none_or(|p| p == path)).then_some(place)
    }

    fn path(self) -> Option<String> {
        match self {
            Self::Entries(s, n) => Some(entries_path(s, n)),
            Self::Checkpoint(s, n) => Some(checkpoint_path(s, n)),
            Self::View(a, b) => Some(view_path(a, b)),
            Self::Readme | Self::Index | Self::Charter | Self::Statement(_) | Self::Attachment(_) | Self::Report => {
                None
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test that panics has failed
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_path() {
        let hex = "ab".repeat(32);
        for good in [
            README.into(),
            INDEX.into(),
            "data/charters/0001.json".into(),
            "data/logs/7/1/entries.jsonl".into(),
            format!("data/statements/{hex}.json"),
            format!("data/attachments/{hex}"),
            "data/views/1-255.json".to_owned(),
            "data/report/custody.json".into(),
        ] {
            assert!(Place::of(&good).is_some(), "{good}");
        }
        for bad in [
            "data/x".into(),
            "data/charters/1.json".into(),
            "data/charters/0000.json".into(),
            "data/logs/7/entries.jsonl".into(),
            "data/logs/07/1/entries.jsonl".into(),
            "data/logs/0/1/entries.jsonl".into(),
            "data/logs/7/01/entries.jsonl".into(),
            "data/logs/7/0/entries.jsonl".into(),
            "data/logs/+7/1/checkpoint.txt".into(),
            "data/logs/7/1/x".into(),
            format!("data/statements/{hex}"),
            format!("data/attachments/{}", hex.to_uppercase()),
            "data/views/1-256.json".to_owned(),
            "data/views/01-2.json".into(),
            "data/logs/7/1/entries.jsonl/x".into(),
            "data/report/x/custody.json".into(),
        ] {
            assert!(Place::of(&bad).is_none(), "{bad}");
        }
    }
}
