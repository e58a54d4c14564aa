//! The scope of a request: what people may ask for, and how what is asked is shown to those who decide.

use crate::failure::Failure;
use crate::output::{Shown, note};
use crate::session::{Session, subject_name, thread_name};
use crate::when;
use clap::Args;
use escrow_client::archive::{ArchiveIndex, Directory, DirectoryError};
use escrow_client::{Draft, Selecting, Zone, beyond};
use escrow_core::consent::Epochs;
use escrow_core::request::{ContextAsked, Request};
use escrow_core::wire::ItemInfo;
use escrow_core::{Timestamp, Token, limits};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Whose messages, of which threads and when. Each flag narrows what is asked, but those for context.
#[derive(Clone, Debug, Args)]
pub struct ScopeArgs {
    /// A thread, by the messenger's id or its beginning; repeat for several [default: all of the
    /// custodians]
    #[arg(long, value_name = "ID", required_unless_present = "custodian")]
    pub thread: Vec<String>,
    /// Only keys of threads in which this subject takes part, by id or name; repeat for several
    #[arg(long, value_name = "ID")]
    pub custodian: Vec<String>,
    /// First day or instant
    #[arg(long, value_name = "DAY")]
    pub from: String,
    /// Last day, or the first instant after
    #[arg(long, value_name = "DAY")]
    pub to: String,
    /// Whose days are meant, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub time_zone: String,
    /// Only keys of this epoch of the messenger, or of these: N..M
    #[arg(long, value_name = "N..M", value_parser = epochs)]
    pub epoch: Option<Epochs>,
    /// So many messages before and after as context; without --archive one neighbouring key on each side
    #[arg(long, value_name = "N", default_value_t, value_parser = clap::value_parser!(u32).range(..=i64::from(limits::CONTEXT_MESSAGES_MAX)))]
    pub context_messages: u32,
    /// Messages of so many hours before and after as context
    #[arg(long, value_name = "H", default_value_t, value_parser = clap::value_parser!(u32).range(..=i64::from(limits::CONTEXT_HOURS_MAX)))]
    pub context_hours: u32,
    /// Folder of a sealed archive whose index says how many messages each key opens
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
}

/// Reads `7` or `3..7`, both ends included.
fn epochs(text: &str) -> Result<Epochs, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |t: &str| t.parse::<u64>().map_err(|_| format!("{text:?} is no epoch and no range like 3..7"));
    let epochs = Epochs { first: number(first)?, last: number(last)? };
    if epochs.first <= epochs.last { Ok(epochs) } else { Err(format!("{text:?} ends before it begins")) }
}

/// What [`ScopeArgs`] mean on this machine.
#[derive(Debug)]
pub struct Asked {
    /// Threads named.
    pub threads: Vec<Token>,
    /// First instant of messages asked for.
    pub from: Timestamp,
    /// First instant after them.
    pub to: Timestamp,
    /// Everything else.
    pub how: Selecting,
}

impl ScopeArgs {
    /// Looks up names, days and counts.
    ///
    /// # Errors
    /// [`Failure`], if this machine does not know somebody or something that is named.
    pub fn asked(&self, session: &Session) -> Result<Asked, Failure> {
        let directory = session.directory()?;
        let zone = self.time_zone.parse::<Zone>()?;
        let (from, to) = (when::from_in(&self.from, &zone)?, when::to_in(&self.to, &zone)?);
        if to <= from {
            return Err(Failure::usage(format!("nothing lies between {} and {}", zone.text(from), zone.text(to))));
        }
        let threads =
            self.thread.iter().map(|t| Ok(directory.thread(t)?.token)).collect::<Result<_, DirectoryError>>()?;
        let mut custodians = Vec::new();
        for query in &self.custodian {
            custodians.extend(tokens(session, &directory, query)?);
        }
        let messages = match &self.archive {
            Some(dir) => ArchiveIndex::load(dir).map_err(|e| Failure::usage(e.to_string()))?.messages(),
            None => Default::default(),
        };
        let context = ContextAsked { hours: self.context_hours, messages: self.context_messages };
        let how = Selecting { custodians, epochs: self.epoch, context, zone: zone.name().clone(), messages };
        Ok(Asked { threads, from, to, how })
    }
}

/// All tokens of a subject: items deposited under an older token key are theirs too.
fn tokens(session: &Session, directory: &Directory, query: &str) -> Result<Vec<Token>, Failure> {
    let newest = session.subject(query)?;
    let Some(entry) = directory.subject_of(&newest) else { return Ok(vec![newest]) };
    Ok(directory.subjects().iter().filter(|s| s.id == entry.id).map(|s| s.token).collect())
}

/// Says on standard error what was asked for and is not in the draft, and why.
pub fn note_left_out(directory: &Directory, draft: &Draft, need: usize) {
    for thread in &draft.empty_threads {
        note(&format!(
            "nothing is escrowed for thread {} in this time; it is left out",
            thread_name(directory, thread)
        ));
    }
    let in_it: BTreeSet<String> =
        draft.request.selection.iter().flat_map(|s| &s.custodians).map(|t| subject_name(directory, t)).collect();
    for name in draft.empty_custodians.iter().map(|t| subject_name(directory, t)).filter(|n| !in_it.contains(n)) {
        note(&format!("{name} takes part in nothing that is escrowed for this time; left out"));
    }
    if !draft.left_out.is_empty() {
        note(&format!("{} item(s) are held alike by fewer than {need} nodes and left out", draft.left_out.len()));
    }
}

/// What a request asks for, row by row, in the days of its zone.
pub fn rows(directory: &Directory, r: &Request) -> Vec<(&'static str, String)> {
    let zone = Zone::of(r);
    let threads = r.scope.threads.iter().map(|t| thread_name(directory, t)).collect::<Vec<_>>().join(", ");
    let mut rows = vec![("threads", format!("{}: {threads}", r.counts.threads)), ("keys", r.counts.items.to_string())];
    let (from, to) = r.asked();
    let long = match to.seconds_since(from) {
        s if s % 86_400 == 0 => format!("{} days", s / 86_400),
        s if s % 3_600 == 0 => format!("{} hours", s / 3_600),
        s => format!("{} minutes", s / 60),
    };
    rows.push(("time", format!("{} to {} ({long}), days of {}", zone.text(from), zone.text(to), zone.name())));
    let Some(s) = &r.selection else { return rows };
    if !s.custodians.is_empty() {
        let names = s.custodians.iter().map(|t| subject_name(directory, t)).collect::<BTreeSet<_>>();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        rows.push(("custodians", format!("only keys of threads in which they take part: {names}")));
    }
    if let Some(e) = s.epochs {
        rows.push(("epochs", format!("only {} to {}", e.first, e.last)));
    }
    let mut around = Vec::new();
    if s.context.hours > 0 {
        around.push(format!("{} hours", s.context.hours));
    }
    if s.context.messages > 0 {
        around.push(format!("{} messages", s.context.messages));
    }
    if !around.is_empty() {
        let (from, to) = (zone.text(r.scope.from), zone.text(r.scope.to));
        let around = around.join(" and ");
        rows.push(("context", format!("{around} before and after, for which keys reach from {from} to {to}")));
    }
    rows
}

/// Says what the keys open that was not asked for, because no key is finer.
pub fn coarse(shown: Shown, r: &Request, items: &[ItemInfo]) -> Shown {
    let zone = Zone::of(r);
    let (from, to) = r.asked();
    let hours = r.selection.as_ref().map_or(0, |s| i64::from(s.context.hours)) * 3_600;
    let spans = beyond(items, from.plus_seconds(-hours), to.plus_seconds(hours)).into_iter().flatten();
    let spans: Vec<_> = spans.collect();
    let list: Vec<_> = spans.iter().map(|(a, b)| json!({"from": a, "to": b})).collect();
    let text: Vec<_> = spans.iter().map(|(a, b)| format!("{} to {}", zone.text(*a), zone.text(*b))).collect();
    let shown = shown.with("also_opens", list);
    if text.is_empty() {
        return shown;
    }
    shown.text(format!("These keys also open {}, outside what was asked: no key is finer.", text.join(" and ")))
}

/// How an export leaves out the context that a request asks for.
pub fn without_context(shown: Shown, r: &Request) -> Shown {
    match r.selection.as_ref().map(|s| s.context) {
        Some(c) if c.hours > 0 || c.messages > 0 => shown.text(
            "An export tells the context as well, and marks it; without it: escrow export ... --context-hours 0 --context-messages 0",
        ),
        _ => shown,
    }
}

/// Says for which threads nobody knows whether the context is complete.
pub fn unsure(shown: Shown, directory: &Directory, draft: &Draft) -> Shown {
    let names: Vec<_> = draft.unsure_context.iter().map(|t| thread_name(directory, t)).collect();
    let shown = shown.with("unsure_context", names.len());
    if names.is_empty() {
        return shown;
    }
    let messages = draft.request.selection.as_ref().map_or(0, |s| s.context.messages);
    shown.text(format!(
        "Whether the neighbouring keys hold {messages} messages on each side is not known here for {}: name the sealed archive with --archive to be sure.",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_one_or_a_range() {
        assert_eq!(epochs("7"), Ok(Epochs { first: 7, last: 7 }));
        assert_eq!(epochs("3..7"), Ok(Epochs { first: 3, last: 7 }));
        for bad in ["", "7..3", "..", "3..", "a", "-1", "1..2..3", "3.7"] {
            assert!(epochs(bad).is_err(), "{bad}");
        }
    }
}
