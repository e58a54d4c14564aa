//! One log of a bundle, read as a stream: once to see that it leads to its note and what it names,
//! once more by [`Log::pass`] for what its entries mean. No entry is kept.

use crate::bundle::{self, INDEX, LogRef, Names};
use crate::checkpoint::{Checkpoint, VerifiedCheckpoint};
use crate::entry::{Chain, ChainError, Entry, MAX_ENTRY_LEN, NO_PREV, Scanned, leaf_hash};
use crate::files::{Files, LineError, Lines};
use crate::finding::{Class, Finding};
use crate::note::{MAX_NOTE_LEN, Note};
use crate::tree::{CompactRange, EMPTY_ROOT, Hash};
use escrow_core::{Digest, SeatIndex};
use escrow_policy::Event;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read;

/// Digits of a digest.
const HEX: usize = 64;

/// What entries name, each with its position.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Digests of the envelopes that they record.
    pub(super) envelopes: Vec<(u64, Digest)>,
    /// What they name beside these.
    pub(super) more: Vec<(u64, Names)>,
    /// Verdicts among the statements, by payload digest.
    pub(super) verdicts: BTreeSet<Digest>,
}

/// A head of another log that a `witness.cosigned` entry says was cosigned.
#[derive(Debug)]
pub(super) struct Claim {
    /// The log that says so, by its place in the index.
    pub(super) by: usize,
    /// Position of the entry.
    pub(super) seq: u64,
    pub(super) size: u64,
    pub(super) root: Hash,
}

/// Claims by the origin of the log that they are about.
pub(super) type Claims = BTreeMap<String, Vec<Claim>>;

/// What a later log of a seat says that it goes on from.
#[derive(Debug)]
pub(super) struct GoesOn {
    pub(super) seat: SeatIndex,
    pub(super) origin: String,
    pub(super) size: u64,
    pub(super) root: Digest,
}

/// What a pass over a log is to compare on the way.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Digests of heads' texts, of whatever size.
    pub(super) heads: BTreeSet<Digest>,
    /// Entries that a later log goes on from.
    pub(super) cut: Option<u64>,
    /// Positions of which the leaf hash is wanted.
    pub(super) leaves: BTreeSet<u64>,
    /// Sizes of signed heads of this log.
    pub(super) sizes: BTreeSet<u64>,
    /// Ascending by size.
    pub(super) claims: Vec<Claim>,
}

/// What the pass saw.
#[derive(Debug, Default)]
struct Passed {
    roots: BTreeMap<u64, Hash>,
    /// Claims of another root than this log has: log, position, size.
    elsewhere: Vec<(usize, u64, u64)>,
    /// Sizes of the expected heads that lie on this tree.
    heads: BTreeMap<Digest, u64>,
    /// Time of the last entry before the cut, milliseconds.
    kept: Option<u64>,
    leaves: BTreeMap<u64, Hash>,
}

/// One log whose entries lead to its own note.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) seat: SeatIndex,
    pub(super) number: u32,
    pub(super) origin: String,
    /// Path of the entries.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) root: Hash,
    /// Time of the last entry that the chain holds in milliseconds, 0 if it holds none.
    pub(super) newest: u64,
    /// Time of the first entry in milliseconds.
    pub(super) begun: Option<u64>,
    /// What the first entry says that this log goes on from.
    pub(super) goes_on: Option<GoesOn>,
    /// Up to the first entry that breaks the chain.
    pub(super) named: Named,
    /// Where the chain breaks although the root is right.
    pub(super) broken: Option<ChainError>,
    pub(super) note: Vec<u8>,
    /// The note, verified; none until all parts are bound.
    pub(super) head: Option<VerifiedCheckpoint>,
    pub(super) expected: Expected,
    passed: OnceCell<Passed>,
}

impl Log {
    /// Path of the note.
    pub(super) fn note_path(&self) -> String {
        bundle::checkpoint_path(self.seat, self.number)
    }

    pub(super) fn finding(
        &self,
        class: Class,
        entry: u64,
        rule: impl Into<String>,
        detail: impl Into<String>,
    ) -> Finding {
        Finding::new(class, &self.path, rule, detail).seat(self.seat).entry(entry)
    }

    /// The root at one of the expected sizes, once the log was passed; none beyond its end.
    pub(super) fn root_at(&self, size: u64) -> Option<Hash> {
        self.passed.get().and_then(|p| p.roots.get(&size)).copied()
    }

    /// The size of a head of this log that was expected by the digest of its text.
    pub(super) fn head_of(&self, text: &Digest) -> Option<u64> {
        self.passed.get().and_then(|p| p.heads.get(text)).copied()
    }

    /// Leaf hash of one of the expected positions; none beyond the end.
    pub(super) fn leaf_at(&self, index: u64) -> Option<Hash> {
        self.passed.get().and_then(|p| p.leaves.get(&index)).copied()
    }

    /// Time in milliseconds of the last entry that a later log goes on from.
    pub(super) fn kept(&self) -> Option<u64> {
        self.passed.get().and_then(|p| p.kept)
    }

    /// How many entries the chain holds.
    pub(super) fn end(&self) -> u64 {
        self.broken.as_ref().map_or(self.size, |e| e.seq)
    }

    /// Claims about this log that its tree does not bear out: log, position, size.
    pub(super) fn elsewhere(&self) -> &[(usize, u64, u64)] {
        self.passed.get().map(|p| p.elsewhere.as_slice()).unwrap_or_default()
    }

    /// Reads the log again and hands its entries to `each` until that answers false or the chain breaks;
    /// compares the roots on the way. What was read must again lead to the note.
    pub(super) fn pass(&self, files: &dyn Files, mut each: impl FnMut(&Entry) -> bool) -> Result<(), Finding> {
        let mut lines = open(files, &self.path).map_err(|f| f.seat(self.seat))?;
        let (mut range, mut passed) = (CompactRange::new(), Passed::default());
        let (mut sizes, mut claims) = (self.expected.sizes.iter().peekable(), self.expected.claims.iter().peekable());
        let mut compare = |passed: &mut Passed, size: u64, root: &dyn Fn() -> Hash| {
            let wanted = sizes.next_if(|s| **s <= size).is_some();
            let heads = &self.expected.heads;
            let claimed = claims.peek().is_some_and(|c| c.size <= size);
            if !wanted && !claimed && heads.is_empty() {
                return;
            }
            let root = root();
            let text = (!heads.is_empty()).then(|| head_text(&self.origin, size, root)).flatten();
            passed.heads.extend(text.filter(|t| heads.contains(t)).map(|t| (t, size)));
            if wanted {
                passed.roots.insert(size, root);
            }
            while let Some(claim) = claims.next_if(|c| c.size <= size) {
                if claim.root != root {
                    passed.elsewhere.push((claim.by, claim.seq, size));
                }
            }
        };
        compare(&mut passed, 0, &|| EMPTY_ROOT);
        let end = self.end();
        let mut judged = true;
        while let Some(line) = lines.next().map_err(|e| unreadable(&self.path, &e).seat(self.seat))? {
            if judged && range.size() < end {
                let entry = Scanned::read(line).and_then(|s| s.entry()).map_err(|_| self.changed())?;
                judged = each(&entry);
            }
            if self.expected.cut == Some(range.size() + 1) {
                passed.kept = Scanned::read(line).ok().map(|s| s.ts);
            }
            let leaf = leaf_hash(line);
            if self.expected.leaves.contains(&range.size()) {
                passed.leaves.insert(range.size(), leaf);
            }
            range.push(leaf);
            compare(&mut passed, range.size(), &|| range.root());
        }
        if range.size() != self.size || range.root() != self.root {
            return Err(self.changed());
        }
        let _ = self.passed.set(passed);
        Ok(())
    }

    fn changed(&self) -> Finding {
        let detail = "changed while it was being verified: verify again with nobody writing to the bundle";
        Finding::new(Class::Malformed, &self.path, "unreadable", detail).seat(self.seat)
    }

    /// Which of some digests the lines from the broken entry on contain as text.
    pub(super) fn named_behind(
        &self,
        files: &dyn Files,
        wanted: &HashSet<[u8; HEX]>,
    ) -> Result<Vec<[u8; HEX]>, Finding> {
        let Some(broken) = &self.broken else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut lines = open(files, &self.path)?;
        let mut seq = 0;
        while let Some(line) = lines.next().map_err(|e| unreadable(&self.path, &e))? {
            if seq >= broken.seq {
                found.extend(line.windows(HEX).filter_map(|w| wanted.get(w).copied()));
            }
            seq += 1;
        }
        Ok(found)
    }
}

/// What a charter that replaces a log names as its last head.
pub(super) fn head_text(origin: &str, size: u64, root: Hash) -> Option<Digest> {
    Checkpoint::new(origin, size, root).ok().map(|head| Digest::of(head.text().as_bytes()))
}

fn tampered(file: &str, rule: &str, detail: impl Into<String>) -> Finding {
    Finding::new(Class::Tampered, file, rule, detail)
}

fn open<'f>(files: &'f dyn Files, path: &str) -> Result<Lines<Box<dyn Read + 'f>>, Finding> {
    let from = files.open(path).map_err(|e| unreadable(path, &e.into()))?;
    Ok(Lines::new(from, MAX_ENTRY_LEN))
}

fn unreadable(path: &str, error: &LineError) -> Finding {
    match error {
        LineError::Io(e) => Finding::new(Class::Malformed, path, "unreadable", e.to_string()),
        LineError::TooLong(_) => Finding::new(Class::Malformed, path, "line", error.to_string()),
        LineError::Open => tampered(path, "entries", error.to_string()),
    }
}

/// Reads a log and compares it with its note, not yet knowing whose note it is. `at` is its place in the
/// index; claims about the logs that `claims` lists are added there.
pub(super) fn read(files: &dyn Files, wanted: &LogRef, at: usize, claims: &mut Claims) -> Result<Log, Finding> {
    let (seat, number) = wanted.id();
    let (path, note_path) = (bundle::entries_path(seat, number), bundle::checkpoint_path(seat, number));
    let missing = |path: &str| tampered(path, "missing", format!("{INDEX} lists this log")).seat(seat);
    if !files.contains(&path) {
        return Err(missing(&path));
    }
    let mut lines = open(files, &path).map_err(|f| f.seat(seat))?;
    let mut chain = Chain::new(&wanted.origin);
    let (mut named, mut begun, mut goes_on) = (Named::default(), None, None);
    // Behind a broken entry there is only the tree.
    let mut rest: Option<(ChainError, CompactRange)> = None;
    while let Some(line) = lines.next().map_err(|e| unreadable(&path, &e).seat(seat))? {
        match &mut rest {
            Some((_, range)) => range.push(leaf_hash(line)),
            None => match chain.push(line) {
                Ok(entry) => {
                    if entry.seq == 0 {
                        begun = Some(entry.ts);
                        goes_on = told(entry.body);
                    }
                    note_names(&entry, at, &mut named, claims);
                }
                Err(e) => {
                    let mut range = chain.range().clone();
                    range.push(leaf_hash(line));
                    rest = Some((e, range));
                }
            },
        }
    }
    let newest = chain.ts();
    let (broken, range) = rest.map_or_else(|| (None, chain.range().clone()), |(e, range)| (Some(e), range));
    let (size, root) = (range.size(), range.root());
    if size != wanted.size {
        let detail = format!("{size} entries, {INDEX} says {}", wanted.size);
        return Err(tampered(&path, "size", detail).seat(seat));
    }
    let bad_note = |e: String| tampered(&note_path, "checkpoint", e).seat(seat);
    let note = files.read(&note_path, MAX_NOTE_LEN as u64).map_err(|e| bad_note(e.to_string()))?;
    let note = note.ok_or_else(|| missing(&note_path))?;
    let parsed = Note::parse(&note).map_err(|e| bad_note(e.to_string()))?;
    let claim = Checkpoint::parse(parsed.text()).map_err(|e| bad_note(e.to_string()))?;
    if claim.origin() != wanted.origin {
        return Err(bad_note(format!("is of {}, {INDEX} says {}", claim.origin(), wanted.origin)));
    }
    if claim.size() != size || *claim.root() != root {
        let detail =
            format!("the {size} entries do not lead to the root in {note_path}, which is for {}", claim.size());
        let finding = tampered(&path, "root", detail).seat(seat);
        return Err(match breach(files, &path)? {
            Some(seq) => finding.entry(seq),
            None => finding,
        });
    }
    let (origin, expected) = (wanted.origin.clone(), Expected::default());
    let passed = OnceCell::new();
    Ok(Log {
        seat,
        number,
        origin,
        path,
        size,
        root,
        newest,
        begun,
        goes_on,
        named,
        broken,
        note,
        head: None,
        expected,
        passed,
    })
}

fn told(body: &[u8]) -> Option<GoesOn> {
    match serde_json::from_slice(body) {
        Ok(Event::Continued { seat, log, size, root }) => Some(GoesOn { seat, origin: log, size, root }),
        _ => None,
    }
}

/// Keeps what an entry names.
fn note_names(entry: &Scanned<'_>, at: usize, named: &mut Named, claims: &mut Claims) {
    let (seq, statement) = (entry.seq, entry.statement());
    if entry.kind == "witness.cosigned"
        && statement.is_none()
        && let Some((origin, size, root)) = entry.cosigned()
    {
        if let Some(claims) = claims.get_mut(origin.as_ref()) {
            claims.push(Claim { by: at, seq, size, root });
        }
        return;
    }
    if let Some(s) = statement {
        named.envelopes.push((seq, Digest(s.env)));
        if entry.kind == "verdict" {
            named.verdicts.insert(Digest(s.stmt));
        }
    }
    let names = Names::of(entry.kind, entry.body);
    if names != Names::default() {
        named.more.push((seq, names));
    }
}

/// The first entry that does not name the one before it, to say where a log was altered.
fn breach(files: &dyn Files, path: &str) -> Result<Option<u64>, Finding> {
    #[derive(serde::Deserialize)]
    struct Link {
        prev: String,
    }
    let mut lines = open(files, path)?;
    let (mut before, mut seq) = (NO_PREV, 0);
    while let Some(line) = lines.next().map_err(|e| unreadable(path, &e))? {
        let link: Option<Link> = serde_json::from_slice(line).ok();
        if link.is_none_or(|l| l.prev != hex::encode(before)) {
            return Ok(Some(seq));
        }
        before = leaf_hash(line);
        seq += 1;
    }
    Ok(None)
}
