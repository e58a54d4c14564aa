//! Exporting evidence: each node's log with everything its entries name, and every node's views
//! of the others' logs. What is written is checked by `escrow verify`, not here: a lying node's
//! entries belong into the bundle.

use crate::client::Client;
use crate::outcome::{NodeError, Outcomes};
use crate::seat::verify_entry;
use crate::transport::{Node, fan_out};
use escrow_audit::bundle::{self, BuildError, Bundle, BundleBuilder, Meta, Variant};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::Entry;
use escrow_audit::note::Note;
use escrow_core::query::{EXPORTED_MAX, Exported as Written, Question};
use escrow_core::request::Request;
use escrow_core::view::View;
use escrow_core::wire::{ExportedAnswer, ViewsAnswer};
use escrow_core::{Blob, Digest, Envelope, Kind, MatterId, Nonce, SeatIndex};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Longest wait for views that reach the last release; nodes cosign each other every few seconds.
pub const SETTLE: Duration = Duration::from_secs(15);

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Not one node handed its log over.
    #[error("no node handed its log over:\n{0}")]
    NoLog(Outcomes<u64>),
    /// Nothing is known of what was asked for.
    #[error("no request of matter {0} is in any log")]
    NoRequest(MatterId),
    /// The parts do not go together.
    #[error("the parts do not make a bundle: {0}")]
    Build(#[from] BuildError),
}

/// What an export is about.
#[derive(Clone, Debug, Default)]
pub enum Scope {
    /// Everything in the logs.
    #[default]
    Everything,
    /// The logs in full, and the requests of one matter named in the index.
    Matter(MatterId),
    /// The logs in full, and these requests named in the index.
    Requests(Vec<Digest>),
}

/// A bundle ready to be written, and what each node gave.
#[derive(Debug)]
#[must_use]
pub struct Exported {
    /// The files.
    pub bundle: Bundle,
    /// What nodes are told once the files are written: [`Client::record_export`].
    pub written: Written,
    /// Entries of each node, or why there are none.
    pub logs: Outcomes<u64>,
    /// Views of each node, or why there are none.
    pub views: Outcomes<usize>,
    /// Things that some node handed over and that do not belong into a bundle.
    pub left_out: Vec<String>,
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Vec<u8>>,
    checkpoint: String,
    statements: BTreeMap<Digest, Vec<u8>>,
    attachments: BTreeMap<Digest, Vec<u8>>,
    /// Position of the last `release.*` entry, which views should reach.
    last_release: Option<u64>,
}

impl Log {
    /// With what was read after it.
    fn and(mut self, tail: Self) -> Self {
        self.entries.extend(tail.entries);
        self.statements.extend(tail.statements);
        self.attachments.extend(tail.attachments);
        Self { checkpoint: tail.checkpoint, last_release: tail.last_release.or(self.last_release), ..self }
    }
}

impl Client {
    /// Asks all nodes for their views of each other's logs, then reads every log to its end: in
    /// this order no log can be shorter than any view of it. Views made before a log's last
    /// release count for nothing, so they are asked again for up to [`SETTLE`]. Nodes that cannot
    /// be reached are noted, and the verifier will say INCOMPLETE where they are missed.
    ///
    /// # Errors
    /// [`ExportError`].
    pub async fn export(&self, about: &Scope) -> Result<Exported, ExportError> {
        self.export_as(about, Variant::Full).await
    }

    /// [`Client::export`], with or without content; without it, no request is named.
    ///
    /// # Errors
    /// [`ExportError`].
    pub async fn export_as(&self, about: &Scope, variant: Variant) -> Result<Exported, ExportError> {
        let nonce = Nonce::random();
        let deadline = Instant::now() + SETTLE;
        let mut logs = Outcomes::new();
        let views = loop {
            let views: Outcomes<ViewsAnswer> = self.ask_all(Question::Views(nonce)).await;
            logs = self.read_logs(logs).await;
            if self.settled(&logs, &views) || Instant::now() >= deadline {
                break views;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let mut builder = BundleBuilder::new().variant(variant);
        let mut left_out = Vec::new();
        for e in self.charters().envelopes() {
            builder.add_charter(e.bytes())?;
        }
        let mut requests = BTreeMap::new();
        let logs = logs.and_then(|seat, logs| {
            let mut size = 0;
            // A log that the seat never began, or of which it has nothing, has no place in a bundle.
            for log in logs.into_iter().filter(|l| !l.entries.is_empty()) {
                size += log.entries.len() as u64;
                add_log(&mut builder, seat, log, &mut requests, &mut left_out)?;
            }
            Ok(size)
        });
        if logs.count() == 0 {
            return Err(ExportError::NoLog(logs));
        }
        let views = views.and_then(|seat, answer| {
            let mut added = 0;
            for v in &answer.views {
                match builder.add_view(&v.0) {
                    Ok(()) => added += 1,
                    Err(e) => left_out.push(format!("a view of node {seat}: {e}")),
                }
            }
            Ok(added)
        });
        let requests = chosen(about, &requests)?;
        let about_all = matches!(about, Scope::Everything) || variant == Variant::NoContent;
        let named = Some(requests.clone()).filter(|r| !about_all && r.len() <= EXPORTED_MAX).unwrap_or_default();
        let files = builder.finish(&Meta { export: nonce, requests })?;
        let digest = bundle::digest(&files).unwrap_or(Digest([0; 32]));
        let named = named.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let written = Written { bundle: digest, export: nonce, requests: named };
        Ok(Exported { bundle: Bundle { files }, written, logs, views, left_out })
    }

    /// Puts on record at every node that an export was written, and verifies where. An export is a read
    /// of everything in it, so who made it and which bundle it is belong into the logs.
    pub async fn record_export(&self, written: &Written) -> Outcomes<u64> {
        fan_out(self.nodes(), |node| {
            let (client, what) = (self.clone(), Question::Exported(written.clone()));
            async move {
                let query = client.signed_query(node.seat(), what)?;
                let answer: ExportedAnswer = node.query(&query).await?;
                let (charters, charter) = (client.charters(), client.charters().digest());
                verify_entry(charters, &charter, node.seat(), &query.digest(), &answer.entry.0, &answer.proof)?;
                let entry = Entry::decode(&answer.entry.0).map_err(|e| NodeError::Protocol(e.to_string()))?;
                Ok(entry.seq)
            }
        })
        .await
    }

    /// Reads what is new in every log. Logs that were whole before stay so if their node fails now.
    async fn read_logs(&self, before: Outcomes<Vec<Log>>) -> Outcomes<Vec<Log>> {
        let mut before: BTreeMap<_, _> = before.0.into_iter().filter_map(|(s, r)| Some((s, r.ok()?))).collect();
        let sizes: BTreeMap<SeatIndex, Vec<u64>> =
            before.iter().map(|(s, logs)| (*s, logs.iter().map(|l| l.entries.len() as u64).collect())).collect();
        let tails = fan_out(self.nodes(), |node| {
            let (client, from) = (self.clone(), sizes.get(&node.seat()).cloned().unwrap_or_default());
            async move { client.read_tails(&node, &from).await }
        })
        .await;
        let joined = tails.0.into_iter().map(|(seat, tails)| {
            let logs = match (before.remove(&seat), tails) {
                (None, tails) => tails,
                (Some(logs), Err(_)) => Ok(logs),
                (Some(logs), Ok(tails)) => Ok(logs.into_iter().zip(tails).map(|(log, tail)| log.and(tail)).collect()),
            };
            (seat, logs)
        });
        Outcomes(joined.collect())
    }

    /// All logs of a seat, each from a position to its end.
    async fn read_tails(&self, node: &Node, from: &[u64]) -> Result<Vec<Log>, NodeError> {
        let mut logs = Vec::new();
        let from = from.iter().copied().chain(std::iter::repeat(0));
        for (number, from) in (1..=self.logs_of(node)).zip(from) {
            logs.push(self.read_tail(node, number, from).await?);
        }
        Ok(logs)
    }

    /// A log from a position to its end.
    async fn read_tail(&self, node: &Node, number: u32, from: u64) -> Result<Log, NodeError> {
        let mut log = Log::default();
        let checkpoint = self
            .pages(node, number, from, |next, page| {
                for (seq, blob) in (next..).zip(page.entries) {
                    // What does not decode is for the bundle to refuse.
                    if Entry::decode(&blob.0).is_ok_and(|e| e.kind.starts_with("release.")) {
                        log.last_release = Some(seq);
                    }
                    log.entries.push(blob.0);
                }
                keep(&mut log.statements, page.statements);
                keep(&mut log.attachments, page.attachments);
            })
            .await?;
        Ok(Log { checkpoint, ..log })
    }

    /// True if every view that there is reaches the last release of the log it is of.
    fn settled(&self, logs: &Outcomes<Vec<Log>>, views: &Outcomes<ViewsAnswer>) -> bool {
        views.good().all(|(viewer, answer)| {
            let seen: BTreeMap<String, u64> = answer.views.iter().filter_map(|v| viewed(&v.0)).collect();
            logs.good().filter(|(seat, _)| *seat != viewer).all(|(seat, logs)| {
                // Views are of the current logs; the older ones are bound by them.
                let Some(log) = logs.last() else { return true };
                let origin = self.charters().seat(seat).map(|s| s.log_origin.as_str()).unwrap_or_default();
                log.last_release.is_none_or(|seq| seen.get(origin).is_some_and(|size| *size > seq))
            })
        })
    }
}

/// Log and size that a view names; not verified, as it only decides how long to wait.
fn viewed(envelope: &[u8]) -> Option<(String, u64)> {
    let view: View = Envelope::parse(envelope).ok()?.decode().ok()?;
    let note = Note::parse(view.note?.as_bytes()).ok()?;
    Some((view.log, Checkpoint::parse(note.text()).ok()?.size()))
}

fn keep(into: &mut BTreeMap<Digest, Vec<u8>>, blobs: Vec<Blob>) {
    into.extend(blobs.into_iter().map(|b| (Digest::of(&b.0), b.0)));
}

fn add_log(
    builder: &mut BundleBuilder,
    seat: SeatIndex,
    log: Log,
    requests: &mut BTreeMap<Digest, Option<MatterId>>,
    left_out: &mut Vec<String>,
) -> Result<(), NodeError> {
    let protocol = |e: BuildError| NodeError::Protocol(e.to_string());
    builder.add_log(seat, log.entries, log.checkpoint.into_bytes()).map_err(protocol)?;
    for bytes in log.statements.values() {
        if let Err(e) = builder.add_statement(bytes) {
            left_out.push(format!("a statement of node {seat}: {e}"));
        } else if let Ok(e) = Envelope::parse(bytes) {
            if let Ok(r) = e.decode::<Request>() {
                requests.insert(e.digest(), Some(r.matter));
            } else if e.kind() == Kind::SelfRecovery {
                requests.insert(e.digest(), None);
            }
        }
    }
    for bytes in log.attachments.into_values() {
        builder.add_attachment(bytes);
    }
    Ok(())
}

fn chosen(about: &Scope, requests: &BTreeMap<Digest, Option<MatterId>>) -> Result<Vec<Digest>, ExportError> {
    match about {
        Scope::Everything => Ok(requests.keys().copied().collect()),
        Scope::Matter(m) => {
            let of: BTreeSet<Digest> =
                requests.iter().filter(|(_, matter)| matter.as_ref() == Some(m)).map(|(d, _)| *d).collect();
            if of.is_empty() { Err(ExportError::NoRequest(m.clone())) } else { Ok(of.into_iter().collect()) }
        }
        Scope::Requests(list) => Ok(list.clone()),
    }
}
