//! `escrow matter show`: everything about one matter in one place, from what people and nodes signed.
//! Every officer sees the same; only names and the title are this machine's.

use super::matter::{find, state, value};
use super::request;
use crate::failure::Failure;
use crate::output::{Shown, note};
use crate::session::{Session, subject_name, thread_name};
use crate::titles;

use clap::Args;
use escrow_client::archive::Directory;
use escrow_client::history::Happened;
use escrow_client::{Client, KnownRequest, Zone};
use escrow_core::request::Scope;
use escrow_core::wire::ItemInfo;
use escrow_core::{Digest, MatterId, Token};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Arguments of `matter show`.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// Its name
    pub matter: MatterId,
    /// Whose days and clock to show [default: those of its newest request]
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Do not read the nodes' logs: no releases, exports and positions
    #[arg(long)]
    pub no_log: bool,
}

/// `matter show`.
///
/// # Errors
/// [`Failure`].
pub async fn show(session: &Session, client: &Client, a: &Show) -> Result<Shown, Failure> {
    let m = find(client, &a.matter).await?;
    let known = request::known(client).await?;
    let requests: Vec<&KnownRequest> = known.iter().filter(|r| r.request.matter == a.matter).collect();
    let zone = match &a.time_zone {
        Some(name) => name.parse::<Zone>()?,
        None => requests.last().map_or_else(Zone::utc, |r| Zone::of(&r.request)),
    };
    let titles = titles::load(&session.context.titles)?;
    let title = titles.get(&a.matter);
    let mut shown = Shown::new("escrow.matter.v1")
        .text(format!(
            "Matter {}, {}: {}",
            m.matter,
            state(m.state),
            title.map_or("(title not on this machine)", |t| t.title.as_str())
        ))
        .text(format!(
            "Last act by {}, {}. Times are those of {}; each request shows its own.",
            m.by,
            zone.text(m.logged),
            zone.name()
        ))
        .with("matter", value(&m, title));
    let directory = session.directory()?;
    shown = custodians(shown, client, &directory, &requests).await;
    shown = request::table(shown.text("\nRequests:"), session, &requests);
    shown = shown.text("\nHolds: none; nothing can be placed on hold yet.").with("holds", Vec::<()>::new());
    if a.no_log {
        return Ok(shown.text("The logs were not read: no releases, exports and positions (--no-log)."));
    }
    let of: BTreeSet<Digest> = requests.iter().map(|r| r.digest).collect();
    let (happened, read) = client.history(&a.matter, &of).await;
    for (seat, e) in read.errors() {
        note(&format!("the log of node {seat} is not in this: {e}"));
    }
    Ok(history(shown, &zone, &happened).with("logs_read", read.good().map(|(s, _)| s.get()).collect::<Vec<_>>()))
}

/// Whose messages the requests ask for: who deposited the keys, and who takes part in their threads.
async fn custodians(shown: Shown, client: &Client, directory: &Directory, requests: &[&KnownRequest]) -> Shown {
    let shown = shown.text("\nCustodians:");
    let Some(scope) = hull(requests) else { return people(shown, directory, &[]) };
    match client.items(&scope).await {
        Ok(held) => {
            let asked: BTreeSet<Digest> = requests.iter().flat_map(|r| r.request.items.iter().copied()).collect();
            let items: Vec<ItemInfo> = held.items.into_iter().filter(|i| asked.contains(&i.item)).collect();
            people(shown, directory, &items)
        }
        Err(e) => shown.text(format!("(not known: {e})")),
    }
}

/// One scope that covers those of all requests.
fn hull(requests: &[&KnownRequest]) -> Option<Scope> {
    let scopes = || requests.iter().map(|r| &r.request.scope);
    let threads: BTreeSet<Token> = scopes().flat_map(|s| s.threads.iter().copied()).collect();
    let (from, to) = (scopes().map(|s| s.from).min()?, scopes().map(|s| s.to).max()?);
    Some(Scope { threads: threads.into_iter().collect(), from, to })
}

#[derive(Default)]
struct Custodian {
    deposited: u64,
    keys: u64,
    threads: BTreeSet<Token>,
}

fn people(shown: Shown, directory: &Directory, items: &[ItemInfo]) -> Shown {
    let mut inside: BTreeMap<Token, Custodian> = BTreeMap::new();
    let mut outside: BTreeSet<Token> = BTreeSet::new();
    for i in items {
        let mut of: BTreeSet<Token> = BTreeSet::from([i.depositor]);
        of.extend(i.about.participants.iter().filter(|p| p.inside).map(|p| p.token));
        outside.extend(i.about.participants.iter().filter(|p| !p.inside).map(|p| p.token));
        for token in of {
            let c = inside.entry(token).or_default();
            c.keys += 1;
            c.deposited += u64::from(token == i.depositor);
            c.threads.insert(i.about.thread);
        }
    }
    let row = |(token, c): (&Token, &Custodian)| {
        let threads = c.threads.iter().map(|t| thread_name(directory, t)).collect::<Vec<_>>().join(", ");
        vec![subject_name(directory, token), c.keys.to_string(), c.deposited.to_string(), threads]
    };
    let list: Vec<_> = inside
        .iter()
        .map(|(t, c)| json!({"subject": t, "name": subject_name(directory, t), "keys": c.keys, "deposited": c.deposited, "threads": c.threads}))
        .collect();
    shown
        .table(&["custodian", "keys asked for", "deposited by them", "threads"], inside.iter().map(row).collect())
        .text(format!("Outside the organisation in these threads: {}.", outside.len()))
        .with("custodians", list)
        .with("outside", outside.len())
}

/// What the logs say: what left custody first, then everything with its positions.
fn history(shown: Shown, zone: &Zone, happened: &[Happened]) -> Shown {
    let who = |h: &Happened| match (&h.by, h.positions.first()) {
        (Some(by), _) => by.to_string(),
        (None, Some(at)) => format!("node {}", at.seat),
        (None, None) => String::new(),
    };
    let request = |h: &Happened| h.request.map(|d| d.short()).unwrap_or_default();
    let out = |h: &&Happened| matches!(h.what, "release-delivered" | "export");
    let releases = happened.iter().filter(out).map(|h| {
        let bundle = h.bundle.map(|b| format!("bundle {}", b.short())).unwrap_or_default();
        vec![zone.text(h.at), h.what.to_owned(), who(h), request(h), bundle]
    });
    let audit = happened.iter().map(|h| {
        let at = h.positions.iter().map(|p| {
            let log = if p.log == 1 { String::new() } else { format!(" log {}", p.log) };
            format!("{}{log}:{}", p.seat, p.seq)
        });
        vec![zone.text(h.at), h.what.to_owned(), who(h), request(h), at.collect::<Vec<_>>().join(" ")]
    });
    shown
        .text("\nReleases and exports:")
        .table(&["at", "what", "by", "request", "evidence"], releases.collect())
        .text("\nAudit (node:position in its log; `escrow audit export` and `escrow verify` prove them):")
        .table(&["at", "what", "by", "request", "positions"], audit.collect())
        .data("history", &happened)
}
