//! The message archive of the demo: what is in it, and what will be asked for.

use escrow_client::archive::{MessageError, Messages};
use escrow_core::{Timestamp, UtcDay};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The sample that the project contains: three invented threads over three days.
pub const SAMPLE: &[u8] = include_bytes!("sample.jsonl");

/// Where the messages come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The built-in sample.
    Sample,
    /// A file of message JSONL, plain or gzip.
    File(PathBuf),
}

impl Source {
    /// Opens it for reading from the start.
    ///
    /// # Errors
    /// The system's words.
    pub fn open(&self) -> std::io::Result<Box<dyn std::io::Read>> {
        match self {
            Self::Sample => Ok(Box::new(SAMPLE)),
            Self::File(path) => Ok(Box::new(std::io::BufReader::new(std::fs::File::open(path)?))),
        }
    }
}

#[derive(Debug)]
struct Line {
    thread: String,
    day: UtcDay,
    sender: String,
    bytes: Vec<u8>,
}

/// An index of a source.
#[derive(Debug)]
pub struct Contents {
    lines: Vec<Line>,
}

/// The slice that the demo asks for.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The thread's id.
    pub thread: String,
    /// Days asked for, ascending.
    pub days: Vec<UtcDay>,
    /// A day of the same thread, or another thread's, that is not asked for.
    pub outside: Option<(String, UtcDay)>,
}

impl Slice {
    /// First instant asked for.
    pub fn from(&self) -> Timestamp {
        self.days.first().map_or(Timestamp::EPOCH, |d| d.start())
    }

    /// First instant after what is asked for.
    pub fn to(&self) -> Timestamp {
        self.days.last().map_or(Timestamp::EPOCH, |d| d.end())
    }
}

impl Contents {
    /// Reads everything once.
    ///
    /// # Errors
    /// [`MessageError`] naming the line.
    pub fn read(source: impl std::io::Read) -> Result<Self, MessageError> {
        let mut messages = Messages::new(source)?;
        let mut lines = Vec::new();
        while let Some(m) = messages.next()? {
            lines.push(Line {
                thread: m.thread.to_string(),
                day: m.sent_at.day(),
                sender: m.sender.to_string(),
                bytes: m.bytes.to_vec(),
            });
        }
        Ok(Self { lines })
    }

    /// Messages in all.
    pub fn messages(&self) -> usize {
        self.lines.len()
    }

    fn days(&self) -> BTreeMap<&str, (BTreeSet<UtcDay>, usize)> {
        let mut out: BTreeMap<&str, (BTreeSet<UtcDay>, usize)> = BTreeMap::new();
        for l in &self.lines {
            let slot = out.entry(&l.thread).or_default();
            slot.0.insert(l.day);
            slot.1 += 1;
        }
        out
    }

    /// The thread with most days (ties: most messages), all but its last day, at most two.
    pub fn slice(&self) -> Option<Slice> {
        let threads = self.days();
        let (thread, (days, _)) = threads.iter().max_by_key(|(_, (days, messages))| (days.len(), *messages))?;
        let mut days: Vec<UtcDay> = days.iter().copied().collect();
        let mut outside = None;
        if days.len() > 1 {
            outside = days.pop().map(|d| ((*thread).to_owned(), d));
            days.truncate(2);
        }
        if outside.is_none() {
            let other = threads.iter().find(|(t, _)| *t != thread);
            outside = other.and_then(|(t, (d, _))| Some(((*t).to_owned(), *d.first()?)));
        }
        Some(Slice { thread: (*thread).to_owned(), days, outside })
    }

    /// Exactly the lines of a slice, each with its line end: what must come back.
    pub fn expected(&self, slice: &Slice) -> Vec<u8> {
        let wanted = self.lines.iter().filter(|l| l.thread == slice.thread && slice.days.contains(&l.day));
        wanted.flat_map(|l| l.bytes.iter().copied().chain(*b"\n")).collect()
    }

    /// Who deposits each thread: its sender with the most threads, so that few people need devices.
    pub fn depositors(&self) -> BTreeMap<String, String> {
        let mut senders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for l in &self.lines {
            senders.entry(&l.thread).or_default().insert(&l.sender);
        }
        let mut threads: BTreeMap<&str, usize> = BTreeMap::new();
        for s in senders.values().flatten() {
            *threads.entry(s).or_default() += 1;
        }
        let most = |who: &BTreeSet<&str>| who.iter().max_by_key(|s| threads.get(*s)).map(|s| (*s).to_owned());
        senders.iter().filter_map(|(t, who)| Some(((*t).to_owned(), most(who)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_gives_a_slice_of_two_days_and_leaves_one_out() {
        let c = Contents::read(SAMPLE).unwrap();
        let s = c.slice().unwrap();
        assert_eq!(s.thread, "8f1d2c30-tender");
        assert_eq!(s.days.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2026-03-02", "2026-03-03"]);
        assert_eq!(
            s.outside.as_ref().map(|(t, d)| (t.as_str(), d.to_string())),
            Some(("8f1d2c30-tender", "2026-03-04".into()))
        );
        assert_eq!(c.expected(&s).iter().filter(|b| **b == b'\n').count(), 8);
        assert_eq!(c.messages(), 16);
    }
}
