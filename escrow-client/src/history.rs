//! What the nodes' logs hold about one matter, as far as an officer can read them: acts, releases,
//! exports, and where each is on record. Read entry by entry, so memory grows with what is found.
//!
//! A node's log is believed here for what it is worth to whoever looks: signatures of people are
//! checked, chains and heads are not. `escrow audit export` and `escrow verify` do that.

use crate::charters::Charters;
use crate::client::Client;
use crate::outcome::Outcomes;
use crate::transport::fan_out;
use escrow_audit::entry::Entry;
use escrow_core::decision::Decision;
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::query::{Query, Question};
use escrow_core::release::Caller;
use escrow_core::request::{Cancellation, Request};
use escrow_core::wire::EntriesAnswer;
use escrow_core::{Digest, Envelope, MatterId, PersonId, SeatIndex, Timestamp};
use escrow_policy::Event as Logged;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where something is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The node.
    pub seat: SeatIndex,
    /// Which of its logs, from 1.
    pub log: u32,
    /// Position in it.
    pub seq: u64,
}

/// One thing that happened in a matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happened {
    /// `matter-open`, `matter-close`, `matter-reopen`, `request`, `approve`, `recuse`, `deny`,
    /// `cancellation`, `release-authorised`, `release-delivered`, `release-aborted` or `export`.
    pub what: &'static str,
    /// First time at which a node logged it.
    pub at: Timestamp,
    /// The person who signed; none for what a node did.
    pub by: Option<PersonId>,
    /// The request concerned; none for acts on the matter and for exports of several.
    pub request: Option<Digest>,
    /// Of an export SHA-256 of the bundle's `tagmanifest-sha256.txt`.
    pub bundle: Option<Digest>,
    /// Where it is on record, ascending.
    pub positions: Vec<Position>,
}

/// What several logs say is one thing if they name the same; each release is a thing of its own log.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Statement(Digest),
    Export(Digest, PersonId),
    Own(Position),
}

impl Client {
    /// Reads the logs of all nodes to their ends and takes out what concerns a matter and these
    /// requests of it, by time. Each node logs that its entries were read.
    pub async fn history(&self, matter: &MatterId, requests: &BTreeSet<Digest>) -> (Vec<Happened>, Outcomes<u64>) {
        let about = Arc::new((matter.clone(), requests.clone()));
        let found = fan_out(self.nodes(), |node| {
            let (client, about) = (self.clone(), Arc::clone(&about));
            async move {
                let (mut list, mut read) = (Vec::new(), 0u64);
                for log in 1..=client.logs_of(&node) {
                    let charters = client.charters();
                    let take = |_, page: EntriesAnswer| {
                        read = read.saturating_add(page.entries.len() as u64);
                        let at = |seq| Position { seat: node.seat(), log, seq };
                        list.extend(taken(charters, &about.0, &about.1, &page, at));
                    };
                    client.pages(&node, log, 0, take).await?;
                }
                Ok((list, read))
            }
        })
        .await;
        let mut all: BTreeMap<Key, Happened> = BTreeMap::new();
        let outcomes = found.and_then(|_, (list, read)| {
            for (key, happened) in list {
                merge(&mut all, key, happened);
            }
            Ok(read)
        });
        let mut list: Vec<Happened> = all.into_values().collect();
        list.iter_mut().for_each(|h| h.positions.sort());
        list.sort_by(|a, b| (a.at, &a.positions).cmp(&(b.at, &b.positions)));
        (list, outcomes)
    }
}

fn merge(all: &mut BTreeMap<Key, Happened>, key: Key, happened: Happened) {
    match all.get_mut(&key) {
        Some(known) => {
            known.at = known.at.min(happened.at);
            known.positions.extend(happened.positions);
        }
        None => {
            all.insert(key, happened);
        }
    }
}

/// What of a page concerns the matter. Entries that do not decode are for the verifier to name.
fn taken(
    charters: &Charters,
    matter: &MatterId,
    requests: &BTreeSet<Digest>,
    page: &EntriesAnswer,
    position: impl Fn(u64) -> Position,
) -> Vec<(Key, Happened)> {
    let envelopes = page.statements.iter().filter_map(|b| Envelope::parse(&b.0).ok());
    let statements: BTreeMap<Digest, Envelope> = envelopes.map(|e| (e.envelope_digest(), e)).collect();
    let mut out = Vec::new();
    for entry in page.entries.iter().filter_map(|b| Entry::decode(&b.0).ok()) {
        let at = Timestamp::from_millis(i64::try_from(entry.ts).unwrap_or(i64::MAX));
        let here = position(entry.seq);
        let bare = Happened { what: "", at, by: None, request: None, bundle: None, positions: vec![here] };
        let envelope = entry.statement.as_ref().and_then(|s| statements.get(&Digest(s.env)));
        let said = envelope.and_then(|e| said(charters, matter, requests, e, bare.clone()));
        out.extend(said.or_else(|| done(&entry, requests, bare)));
    }
    out
}

/// What a person signed about the matter.
fn said(
    charters: &Charters,
    matter: &MatterId,
    requests: &BTreeSet<Digest>,
    e: &Envelope,
    bare: Happened,
) -> Option<(Key, Happened)> {
    let of = |what, by: PersonId, request| {
        charters
            .signed_by(e, &by)
            .then(|| (Key::Statement(e.digest()), Happened { what, by: Some(by), request, ..bare.clone() }))
    };
    let concerned = |request: Digest| Some(request).filter(|r| requests.contains(r));
    if let Ok(m) = e.decode::<Matter>() {
        let what = match m.action {
            MatterAction::Open => "matter-open",
            MatterAction::Close => "matter-close",
            MatterAction::Reopen => "matter-reopen",
        };
        return if m.matter == *matter { of(what, m.by, None) } else { None };
    }
    if let Ok(r) = e.decode::<Request>() {
        return of("request", r.by, Some(concerned(e.digest())?));
    }
    if let Ok(d) = e.decode::<Decision>() {
        return of(d.choice.name(), d.by, Some(concerned(d.request)?));
    }
    if let Ok(c) = e.decode::<Cancellation>() {
        return of("cancellation", c.by, Some(concerned(c.request)?));
    }
    let q: Query = e.decode().ok()?;
    let (Question::Exported(x), Caller::Person(by)) = (q.what, q.by) else { return None };
    let named: Vec<Digest> = x.requests.iter().copied().filter(|r| requests.contains(r)).collect();
    // An export that names no request is about all of them. Each node is asked to record the same export.
    let about = x.requests.is_empty() || !named.is_empty();
    let request = if let [one] = named.as_slice() { Some(*one) } else { None };
    let (_, happened) = of("export", by.clone(), request).filter(|_| about)?;
    Some((Key::Export(x.bundle, by), Happened { bundle: Some(x.bundle), ..happened }))
}

/// What the node itself did with a request of the matter.
fn done(entry: &Entry, requests: &BTreeSet<Digest>, bare: Happened) -> Option<(Key, Happened)> {
    let event: Logged = serde_json::from_value(serde_json::Value::Object(entry.body.clone())).ok()?;
    let (request, what) = match event {
        Logged::Authorized { request, .. } => (request, "release-authorised"),
        Logged::Delivered { request, .. } => (request, "release-delivered"),
        Logged::Aborted { request, .. } => (request, "release-aborted"),
        _ => return None,
    };
    let here = *bare.positions.first()?;
    requests.contains(&request).then_some((Key::Own(here), Happened { what, request: Some(request), ..bare }))
}
