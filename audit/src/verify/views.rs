//! Layer 4: what others hold of each log. A log that told two stories is caught here.

use super::acts::Story;
use super::bytes::{Evidence, ViewFile};
use super::suspects::Suspect;
use super::{stale, witnesses};
use crate::bundle::INDEX;
use crate::checkpoint::{Checkpoint, VerifiedCheckpoint};
use crate::finding::{Class, Finding, LogSummary};
use escrow_core::SeatIndex;
use escrow_core::charter::{Charter, Generation};
use std::collections::{BTreeMap, BTreeSet};

/// The heads that views show, by viewer and viewed, and whether the view counts.
type Seen = BTreeMap<(SeatIndex, SeatIndex), (VerifiedCheckpoint, bool)>;

/// A head that some log's key signed, and the file it is in.
pub(super) struct Head<'e> {
    pub(super) file: String,
    pub(super) head: &'e VerifiedCheckpoint,
}

/// All of them, by origin.
pub(super) type Heads<'e> = BTreeMap<String, Vec<Head<'e>>>;

/// Judges views, cosigned notes and cosigned entries against the logs.
pub(super) fn check(
    evidence: &Evidence<'_>,
    stories: &[Story<'_>],
    suspects: &mut Vec<Suspect>,
) -> (Vec<Finding>, Vec<LogSummary>) {
    let mut out = Vec::new();
    let mut seen: Seen = BTreeMap::new();
    for file in &evidence.views {
        if !file.counts {
            let detail = "made for another export, organisation or charter; it does not count";
            out.push(Finding::new(Class::Incomplete, &file.path, "view-foreign", detail).seat(file.view.seat));
        }
        match viewed_head(evidence, file) {
            Ok(Some(head)) => {
                seen.insert((file.view.seat, file.viewed), (head, file.counts));
            }
            Ok(None) => {}
            Err(why) => out.push(Finding::new(Class::Violation, &file.path, "view-note", why).seat(file.view.seat)),
        }
    }
    let heads = heads(evidence, stories, &seen);
    for (origin, heads) in &heads {
        on_tree(evidence, origin, heads, suspects, &mut out);
    }
    out.extend(witnesses::check(evidence, stories, &heads, suspects));
    cosigned_entries(evidence, stories, &mut out);
    let charter = newest(evidence, stories);
    let generation = charter.and_then(Charter::current_generation);
    let logs = coverage(stories, &seen, generation, &mut out);
    if let (Some(charter), Some(generation)) = (charter, generation) {
        missing(evidence, charter, generation, &mut out);
        out.extend(stale::check(evidence, &heads, charter, generation));
    }
    (out, logs)
}

/// The note of a view, verified. A node that signs a view of a note which the log's key did not
/// sign does not tell the truth.
fn viewed_head(evidence: &Evidence<'_>, file: &ViewFile) -> Result<Option<VerifiedCheckpoint>, String> {
    let Some(note) = &file.view.note else { return Ok(None) };
    let key = evidence.charters.log_key(file.viewed, &file.view.log).ok_or("no charter lists this log")?;
    Checkpoint::verify(note.as_bytes(), &file.view.log, &key).map(Some).map_err(|e| e.to_string())
}

fn heads<'e>(evidence: &'e Evidence<'_>, stories: &'e [Story<'_>], seen: &'e Seen) -> Heads<'e> {
    let mut out: Heads<'e> = BTreeMap::new();
    let mut add = |file: String, head: &'e VerifiedCheckpoint| {
        out.entry(head.origin().to_owned()).or_default().push(Head { file, head })
    };
    for log in &evidence.logs {
        if let Some(head) = &log.head {
            add(log.note_path(), head);
        }
    }
    for (path, head) in stories.iter().flat_map(|s| &s.notes) {
        add(path.clone(), head);
    }
    for ((viewer, viewed), (head, _)) in seen {
        add(crate::bundle::view_path(*viewer, *viewed), head);
    }
    for held in &evidence.receipts {
        add(held.name.clone(), &held.head);
    }
    out
}

/// Every signed head of a log lies on its tree; those beyond it agree with each other.
fn on_tree(
    evidence: &Evidence<'_>,
    origin: &str,
    heads: &[Head<'_>],
    suspects: &mut Vec<Suspect>,
    out: &mut Vec<Finding>,
) {
    let log = evidence.logs.iter().find(|l| l.origin == origin);
    let owner = evidence.charters.owner(origin);
    let mut report = |class, file: &str, rule: &str, detail: String| {
        let finding = Finding::new(class, file, rule, detail);
        out.push(match owner {
            Some(seat) => finding.seat(seat),
            None => finding,
        });
    };
    let mut beyond: BTreeMap<u64, &Head<'_>> = BTreeMap::new();
    let mut longest: Option<&Head<'_>> = None;
    for h in heads {
        let (size, root) = (h.head.size(), h.head.root());
        let key = owner.map_or_else(String::new, |seat| key_text(evidence, seat, origin));
        if let Some(log) = log
            && let Some(ours) = log.root_at(size)
        {
            if ours != *root {
                let note = log.note_path();
                let detail = format!(
                    "the key {key} signed two histories: at size {size} root {} here and {} in the log whose head is {note}",
                    hex::encode(root),
                    hex::encode(ours)
                );
                report(Class::Misbehaviour, &h.file, "fork", detail);
                let second = log.head.clone().map(Box::new);
                suspects.extend(second.map(|second| Suspect::Heads { first: Box::new(h.head.clone()), second }));
            }
            continue;
        }
        if longest.is_none_or(|l| l.head.size() < size) {
            longest = Some(h);
        }
        match beyond.get(&size) {
            Some(other) if other.head.contradicts(h.head) => {
                let detail =
                    format!("the key {key} of {origin} signed two roots for size {size}: here and in {}", other.file);
                report(Class::Misbehaviour, &h.file, "fork", detail);
                suspects.push(Suspect::Heads { first: Box::new(other.head.clone()), second: Box::new(h.head.clone()) });
            }
            Some(_) => {}
            None => {
                beyond.insert(size, h);
            }
        }
    }
    if let (Some(h), Some(log)) = (longest, log) {
        let (size, file) = (h.head.size(), &h.file);
        // What a seat lost is no gap of the bundle: its next log says where it went on.
        let class = if log.expected.cut.is_some() { Class::Ok } else { Class::Incomplete };
        report(class, &log.path, "log-short", format!("log shorter than cosigned size {size}, as {file} shows"));
    }
}

fn key_text(evidence: &Evidence<'_>, seat: SeatIndex, origin: &str) -> String {
    evidence.charters.log_key(seat, origin).map(|k| k.to_string()).unwrap_or_default()
}

/// A witness's own log says which heads it cosigned. Without the note one of both lies, and this
/// bundle cannot tell which.
fn cosigned_entries(evidence: &Evidence<'_>, stories: &[Story<'_>], out: &mut Vec<Finding>) {
    let mut lies = Vec::new();
    for log in &evidence.logs {
        lies.extend(log.elsewhere().iter().map(|(by, seq, size)| (*by, *seq, *size, log.origin.as_str())));
    }
    lies.sort_unstable();
    for (by, seq, size, origin) in lies {
        if let Some(story) = stories.get(by).filter(|s| seq < s.judged) {
            let detail = format!(
                "says that it cosigned another root for size {size} of {origin} than that log has; ask for the note"
            );
            out.push(story.log.finding(Class::Incomplete, seq, "cosigned-elsewhere", detail));
        }
    }
}

/// The newest charter that a log of the bundle accepted.
fn newest<'e>(evidence: &'e Evidence<'_>, stories: &[Story<'_>]) -> Option<&'e Charter> {
    let accepted = stories.iter().flat_map(|s| s.facts.accepted());
    let charters = accepted.chain([&evidence.pinned]).filter_map(|d| evidence.charters.get(d));
    charters.max_by_key(|c| c.version)
}

/// Counts for each log the peers whose view reaches its last release, and says what that proves:
/// with v of W views and w cosigners a head, no fork by up to v-(W-w) colluding nodes.
fn coverage(
    stories: &[Story<'_>],
    seen: &Seen,
    generation: Option<&Generation>,
    out: &mut Vec<Finding>,
) -> Vec<LogSummary> {
    let mut logs = Vec::new();
    for story in stories {
        let log = story.log;
        // Views are of the newest log of a seat, whose first entry binds the logs before it.
        let newest = stories.iter().rfind(|s| s.log.seat == log.seat).map_or(log, |s| s.log);
        let relied_on = story.relied_on.filter(|_| newest.number == log.number).unwrap_or(0);
        let member = |s: &SeatIndex| generation.is_some_and(|g| g.members.contains(s));
        let mut views = 0usize;
        for ((viewer, viewed), (head, counts)) in seen {
            if !counts || *viewed != log.seat || head.origin() != newest.origin || viewer == viewed || !member(viewer) {
                continue;
            }
            if head.size() > relied_on {
                views += 1;
            } else if newest.number == log.number {
                let path = crate::bundle::view_path(*viewer, *viewed);
                let detail =
                    format!("its note of size {} was made before entry {relied_on}, and does not count", head.size());
                out.push(Finding::new(Class::Ok, path, "view-old", detail).seat(*viewer));
            }
        }
        let bound = generation.map_or(0, |g| {
            let peers = g.members.len().saturating_sub(1);
            (views + g.w()).saturating_sub(peers)
        });
        if member(&log.seat) && bound < 1 {
            let detail =
                format!("{views} views of this log reach its last release: a fork by one node alone is not excluded");
            out.push(Finding::new(Class::Incomplete, &log.path, "views-missing", detail).seat(log.seat));
        }
        logs.push(LogSummary {
            seat: log.seat,
            origin: log.origin.clone(),
            size: log.size,
            views: views as u64,
            fork_bound: bound as u64,
        });
    }
    logs
}

fn missing(evidence: &Evidence<'_>, charter: &Charter, generation: &Generation, out: &mut Vec<Finding>) {
    let have: BTreeSet<&str> = evidence.logs.iter().map(|l| l.origin.as_str()).collect();
    for seat in generation.members.iter().filter_map(|m| charter.seat(*m)) {
        if !have.contains(seat.log_origin.as_str()) {
            let detail = format!("the log {} of member seat {} is not in the bundle", seat.log_origin, seat.index);
            out.push(Finding::new(Class::Incomplete, INDEX, "log-missing", detail).seat(seat.index));
        }
    }
}
