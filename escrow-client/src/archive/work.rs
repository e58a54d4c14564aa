//! One sealing under way: which segment takes which line, and who is in which thread.

use super::attach::Wanted;
use super::content::{AttachmentRef, Content};
use super::index::{ArchiveIndex, segment_file};
use super::message::Message;
use super::private::{self, FileError};
use super::seal::{SEGMENTS_MAX, SealArchiveError, SealOptions, SealedArchive, SealedSegment};
use super::segment::{SegmentHeader, SegmentWriter};
use super::tally::Tally;
use escrow_core::deal::{About, KeySource, Participant};
use escrow_core::limits::PARTICIPANTS_PER_ITEM;
use escrow_core::{Blob, Digest, ThreadKey, Token, UtcDay};
use std::collections::{BTreeMap, HashMap};
use std::iter;
use std::path::{Path, PathBuf};

/// Sealed bytes held back for one segment, and for all of them, before they are written out.
const HELD_ONE: usize = 64 * 1024;
const HELD_ALL: usize = 64 * 1024 * 1024;

pub(super) struct Work<'a> {
    options: &'a SealOptions<'a>,
    root: &'a Path,
    threads: Vec<Thread>,
    by_id: HashMap<String, usize>,
    people: HashMap<String, Participant>,
    segments: Vec<Segment>,
    tally: Tally,
    held: usize,
}

struct Thread {
    token: Token,
    participants: BTreeMap<Token, bool>,
    days: BTreeMap<UtcDay, usize>,
}

struct Segment {
    writer: SegmentWriter,
    header: SegmentHeader,
    key: ThreadKey,
    file: PathBuf,
    held: Vec<u8>,
    begun: bool,
    /// By SHA-256 and size: lines that disagree about the size are each told so.
    wanted: BTreeMap<(Digest, u64), Wanted>,
}

impl Segment {
    fn flush(&mut self, root: &Path, last: bool) -> Result<(), FileError> {
        private::append(&root.join(&self.file), &self.held, !self.begun, last)?;
        self.begun = true;
        self.held = Vec::new();
        Ok(())
    }

    fn want(&mut self, line: u64, attachments: &[AttachmentRef]) {
        for a in attachments {
            let wanted = || Wanted { line, name: a.name.clone(), sha256: a.sha256, size: a.size };
            self.wanted.entry((a.sha256, a.size)).or_insert_with(wanted);
        }
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(options: &'a SealOptions<'a>, root: &'a Path) -> Self {
        Self {
            options,
            root,
            threads: Vec::new(),
            by_id: HashMap::new(),
            people: HashMap::new(),
            segments: Vec::new(),
            tally: Tally::default(),
            held: 0,
        }
    }

    /// Seals one line, or changes nothing: whoever imports goes on after an error about a line.
    pub(super) fn add(&mut self, message: &Message<'_>) -> Result<(), SealArchiveError> {
        let line = message.line;
        let content = Content::parse(message)?;
        let people: Vec<_> =
            iter::once(&*message.sender).chain(content.people()).map(|id| (id, self.person(id))).collect();
        let at = self.by_id.get(&*message.thread).copied();
        let thread = at.and_then(|at| self.threads.get(at));
        let is_new = |p: &Participant| thread.is_none_or(|t| !t.participants.contains_key(&p.token));
        let fresh: BTreeMap<_, _> =
            people.iter().filter(|(_, p)| is_new(p)).map(|(_, p)| (p.token, p.inside)).collect();
        if thread.map_or(0, |t| t.participants.len()) + fresh.len() > PARTICIPANTS_PER_ITEM {
            return Err(SealArchiveError::TooManyPeople { line });
        }
        let day = message.sent_at.day();
        let there = thread.is_some_and(|t| t.days.contains_key(&day));
        if !there && self.segments.len() >= SEGMENTS_MAX {
            return Err(SealArchiveError::TooManySegments { line });
        }
        self.append(message, day, content.kind.attachments())?;
        self.tally.add(message, content.seq);
        for (id, person) in people {
            if !self.people.contains_key(id) {
                self.people.insert(id.to_owned(), person);
            }
        }
        if let Some(thread) = self.by_id.get(&*message.thread).and_then(|at| self.threads.get_mut(*at)) {
            thread.participants.extend(fresh);
        }
        Ok(())
    }

    fn person(&self, id: &str) -> Participant {
        let new = || Participant { token: self.options.tokens.subject(id), inside: (self.options.inside)(id) };
        self.people.get(id).copied().unwrap_or_else(new)
    }

    /// Appends a line to its segment. A segment that this line begins is never too large for it.
    fn append(
        &mut self,
        message: &Message<'_>,
        day: UtcDay,
        attachments: &[AttachmentRef],
    ) -> Result<(), SealArchiveError> {
        let line = message.line;
        let next = self.threads.len();
        let at = *self.by_id.entry(message.thread.as_ref().to_owned()).or_insert(next);
        if at == next {
            let token = self.options.tokens.thread(&message.thread);
            self.threads.push(Thread { token, participants: BTreeMap::new(), days: BTreeMap::new() });
        }
        // `at` and the positions in `days` are positions in vectors that only grow.
        let Some(thread) = self.threads.get_mut(at) else { return Ok(()) };
        let next = self.segments.len();
        let at = *thread.days.entry(day).or_insert(next);
        if at == next {
            let segment = Self::begin(self.options, thread.token, day);
            self.held += segment.held.len();
            self.segments.push(segment);
        }
        let Some(segment) = self.segments.get_mut(at) else { return Ok(()) };
        let before = segment.held.len();
        segment.writer.append(message, &mut segment.held).map_err(|error| SealArchiveError::Segment { line, error })?;
        segment.want(line, attachments);
        self.held += segment.held.len() - before;
        if segment.held.len() >= HELD_ONE {
            self.held -= segment.held.len();
            segment.flush(self.root, false)?;
        }
        if self.held >= HELD_ALL {
            for segment in self.segments.iter_mut().filter(|s| !s.held.is_empty()) {
                segment.flush(self.root, false)?;
            }
            self.held = 0;
        }
        Ok(())
    }

    fn begin(options: &SealOptions<'_>, thread: Token, day: UtcDay) -> Segment {
        let header = SegmentHeader {
            org: options.org.clone(),
            thread,
            era: options.era,
            // An archive key has no epoch of the messenger; the day says as much. Times start in 1970.
            epoch: u64::try_from(day.0).unwrap_or_default(),
            from: day.start(),
            to: day.end(),
        };
        let key = ThreadKey::generate();
        let mut held = Vec::new();
        let writer = SegmentWriter::new(&header, &key, &mut held);
        Segment { writer, header, key, file: segment_file(&thread, day), held, begun: false, wanted: BTreeMap::new() }
    }

    /// Finishes all segments; none if no line was sealed.
    pub(super) fn finish(mut self) -> Result<Option<(SealedArchive, ArchiveIndex)>, SealArchiveError> {
        if self.segments.is_empty() {
            return Ok(None);
        }
        let participants: HashMap<Token, Vec<Participant>> = self
            .threads
            .iter()
            .map(|t| {
                let people =
                    t.participants.iter().map(|(token, inside)| Participant { token: *token, inside: *inside });
                (t.token, people.collect())
            })
            .collect();
        let segments = std::mem::take(&mut self.segments);
        let mut segments: Vec<_> =
            segments.into_iter().map(|s| self.close(s, &participants)).collect::<Result<_, _>>()?;
        segments.sort_by_key(|s| (s.about.thread, s.about.from));
        let index = ArchiveIndex::new(self.options.org, self.options.tokens.version(), &segments);
        let mut threads: Vec<_> = self.by_id.into_iter().collect();
        threads.sort_by_key(|(_, at)| *at);
        let threads = threads.into_iter().filter_map(|(id, at)| Some((id, self.threads.get(at)?.token))).collect();
        let mut people: Vec<_> = self.people.into_iter().map(|(id, p)| (id, p.token)).collect();
        people.sort();
        let archive = SealedArchive {
            dir: self.options.dir.to_owned(),
            messages: segments.iter().map(|s| s.messages).sum(),
            attachments: segments.iter().map(|s| s.wanted.len() as u64).sum(),
            segments,
            threads,
            people,
            counts: self.tally.finish(),
        };
        Ok(Some((archive, index)))
    }

    fn close(
        &self,
        segment: Segment,
        participants: &HashMap<Token, Vec<Participant>>,
    ) -> Result<SealedSegment, SealArchiveError> {
        let Segment { writer, header, key, file, mut held, begun, wanted } = segment;
        let line = writer.line();
        let (digest, messages) = writer.finish(&mut held).map_err(|error| SealArchiveError::Segment { line, error })?;
        private::append(&self.root.join(&file), &held, !begun, true)?;
        let about = About {
            source: KeySource::ContentKey,
            thread: header.thread,
            era: header.era,
            epoch: header.epoch,
            authenticator: Blob::default(),
            from: header.from,
            to: header.to,
            archive: Some(digest),
            participants: participants.get(&header.thread).cloned().unwrap_or_default(),
        };
        Ok(SealedSegment { about, key, file, messages, wanted: wanted.into_values().collect() })
    }
}
