//! `escrow deposit`: the keys that wait on this device go to all nodes.

use super::consent::{Which, chosen, known};
use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::{Shown, progress};
use crate::session::{Global, Session};
use clap::Args;
use escrow_client::archive::KeyRing;
use escrow_client::{Client, FlushOptions, Flushed, Outbox, Standing};
use serde_json::json;

/// Arguments of `deposit`.
#[derive(Clone, Debug, Default, Args)]
#[command(before_help = examples![
    "escrow deposit",
    "escrow deposit --flush --receipts receipts",
])]
pub struct Deposit {
    /// The consent to deposit under, or the beginning of its hash [default: the only live one]
    #[arg(long, value_name = "HASH")]
    pub consent: Option<String>,
    /// Only send what is in the outbox already
    #[arg(long)]
    pub flush: bool,
    /// Attempts for each node and deposit
    #[arg(long, default_value_t = 4)]
    pub attempts: u32,
}

/// Runs `deposit`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, a: &Deposit) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    deposit(&session, &client, a).await
}

/// Seals the waiting keys into the outbox, sends, and forgets the keys that could be opened again.
///
/// # Errors
/// [`Failure`].
pub async fn deposit(session: &Session, client: &Client, a: &Deposit) -> Result<Shown, Failure> {
    let outbox = session.outbox()?;
    let options = FlushOptions { attempts: a.attempts.max(1), ..FlushOptions::default() };
    let bar = progress("depositing");
    let flushed = if a.flush {
        client.flush(outbox.clone(), options, bar).await?
    } else {
        let device = client.identity().device()?;
        let ring = KeyRing::load(&session.context.key_ring, session.org(), &device.sealing)?;
        let keys = ring.into_entries();
        if keys.is_empty() {
            client.flush(outbox.clone(), options, bar).await?
        } else {
            let consents = known(client).await?;
            let consent = chosen(client, &consents, &Which { consent: a.consent.clone() })?;
            client.deposit(outbox.clone(), (consent.digest, consent.consent.clone()), keys, options, bar).await?
        }
    };
    forget(session, client, &flushed)?;
    let shown = show(&flushed);
    if session.keeps_receipts() { with_receipts(shown, &outbox, &flushed) } else { Ok(shown) }
}

/// The receipts that the outbox keeps of these deposits.
fn with_receipts(mut shown: Shown, outbox: &Outbox, flushed: &Flushed) -> Result<Shown, Failure> {
    for d in &flushed.deposits {
        for (seat, receipt, proof) in outbox.receipts(&d.deposit)? {
            let name = format!("deposit-{}-node{seat}.json", d.deposit.short());
            shown = shown.receipt(name, crate::quorum::answer(&receipt, &proof));
        }
    }
    Ok(shown)
}

/// Forgets keys whose deposit at least t nodes acknowledged: what is still missing is in the outbox.
fn forget(session: &Session, client: &Client, flushed: &Flushed) -> Result<(), Failure> {
    let Ok(device) = client.identity().device() else { return Ok(()) };
    let outbox = session.outbox()?;
    let safe = |d: &escrow_core::Digest| {
        flushed.deposits.iter().any(|p| p.deposit == *d && !matches!(p.standing(), Standing::NotRecoverable(_)))
    };
    let ring = KeyRing::load(&session.context.key_ring, session.org(), &device.sealing)?;
    let mut gone = std::collections::BTreeSet::new();
    for (about, _) in ring.entries() {
        if let (Some(digest), Some(deposit)) = (about.archive, outbox.deposit_of(about)?)
            && safe(&deposit)
        {
            gone.insert(digest);
        }
    }
    if !gone.is_empty() {
        KeyRing::update(&session.context.key_ring, session.org(), &device.sealing, |ring| {
            ring.remove(|d| gone.contains(d))
        })?;
    }
    Ok(())
}

/// What a flush came to, for people and machines.
pub fn show(flushed: &Flushed) -> Shown {
    let words = |s: Standing| match s {
        Standing::NotRecoverable(missing) => format!("NOT recoverable: {missing} more node(s) needed"),
        Standing::Recoverable(k) => format!("recoverable, k = {k}"),
        Standing::Escrowed(k) => format!("escrowed, k = {k}"),
    };
    let (mut items, mut safe, mut everywhere) = (0, 0, 0);
    let mut rows = Vec::new();
    for d in &flushed.deposits {
        items += d.items;
        if !matches!(d.standing(), Standing::NotRecoverable(_)) {
            safe += d.items;
        }
        if matches!(d.standing(), Standing::Escrowed(_)) {
            everywhere += d.items;
            continue;
        }
        let note = if d.expired { " (consent ended; the rest is never sent)" } else { "" };
        rows.push(vec![
            d.deposit.short(),
            d.items.to_string(),
            format!("{} of {}", d.receipts.len(), d.n),
            words(d.standing()) + note,
        ]);
    }
    let failures = flushed
        .failures
        .iter()
        .map(|((d, seat), e)| vec![d.short(), seat.to_string(), e.code().to_owned(), e.to_string()]);
    let mut shown = Shown::new("escrow.deposit.v1").text(format!(
        "{items} keys in {} deposits: {everywhere} escrowed at every node, {safe} recoverable.",
        flushed.deposits.len()
    ));
    if !rows.is_empty() {
        shown = shown.table(&["deposit", "keys", "receipts", "standing"], rows);
    }
    if !flushed.failures.is_empty() {
        shown = shown
            .table(&["deposit", "node", "rule", "what it said"], failures.collect())
            .text("What is missing waits in the outbox; `escrow deposit --flush` sends it again.");
    }
    let exit = match flushed.worst() {
        None | Some(Standing::Escrowed(_)) => Exit::Ok,
        Some(Standing::Recoverable(_)) => Exit::Partial,
        Some(Standing::NotRecoverable(_)) => worst_failure(flushed),
    };
    let list = flushed.deposits.iter().map(|d| {
        let (standing, k) = match d.standing() {
            Standing::NotRecoverable(m) => ("not-recoverable", -i64::from(m)),
            Standing::Recoverable(k) => ("recoverable", i64::from(k)),
            Standing::Escrowed(k) => ("escrowed", i64::from(k)),
        };
        json!({
            "deposit": d.deposit, "items": d.items, "receipts": d.receipts, "t": d.t, "n": d.n, "k": k,
            "standing": standing, "expired": d.expired,
        })
    });
    let failures = flushed
        .failures
        .iter()
        .map(|((d, seat), e)| json!({"deposit": d, "node": seat, "rule": e.code(), "detail": e.to_string()}));
    shown
        .with("items", items)
        .with("escrowed", everywhere)
        .with("recoverable", safe)
        .with("deposits", list.collect::<Vec<_>>())
        .with("failures", failures.collect::<Vec<_>>())
        .exit(exit)
}

/// If nodes refused, their rule says what kind of failure it is; else too few were there.
fn worst_failure(flushed: &Flushed) -> Exit {
    let refused = flushed.failures.values().find(|e| !e.is_absent());
    refused.map_or(Exit::BelowThreshold, |e| crate::failure::exit_of_rule(e.code()))
}
