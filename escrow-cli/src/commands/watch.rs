//! `escrow audit watch`: follows the logs of all nodes and says when one of them does not hold.

use crate::failure::{Exit, Failure};
use crate::help::examples;
use crate::output::{Format, Shown, note};
use crate::session::{Global, Session};
use clap::Args;
use escrow_client::now;
use escrow_client::watch::{Alarm, Heads, Look, Watch};
use escrow_core::Timestamp;
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Duration;

/// Arguments of `audit watch`.
#[derive(Clone, Debug, Args)]
#[command(
    before_help = examples![
        "escrow audit watch --interval 5m",
        "escrow audit watch --once --output json",
    ],
    after_help = "Exit codes of --once: 0 nothing is wrong; 6 a node showed something false (fork, rollback, what does\n\
not verify); 8 a node is silent or not reached, or too few peers cosigned its log.\n\
Without --once, --output json and jsonl print one object a line, one for each look at all nodes."
)]
pub struct Arguments {
    /// Look once and end, for cron and CI
    #[arg(long)]
    pub once: bool,
    /// Time between two looks, such as 60s or 5m
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = span)]
    pub interval: Duration,
    /// How often an idle node has its log cosigned; after two of them without a cosignature it is silent
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = span)]
    pub heartbeat: Duration,
}

fn span(text: &str) -> Result<Duration, String> {
    let seconds = crate::when::span(text).map_err(|f| f.reason)?;
    u64::try_from(seconds).map(Duration::from_secs).map_err(|e| e.to_string())
}

/// Runs `audit watch`. Needs no key.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, a: &Arguments) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let heads = Heads::open(&session.context.heads())?;
    let mut watch = Watch::new(session.charters.clone(), heads, a.heartbeat);
    let mut before: Option<Vec<(u8, &'static str)>> = None;
    loop {
        let at = now();
        let looks = watch.look(at).await?;
        if watch.charters().digest() != session.charters.digest() {
            watch.charters().save(&session.context.charter)?;
        }
        let shown = show(&looks, at);
        if a.once {
            return Ok(shown);
        }
        // The whole table when something has changed, else nothing: a terminal is for people.
        let wrong = looks.iter().flat_map(|l| l.alarms.iter().map(|alarm| (l.seat.get(), alarm.code()))).collect();
        match global.output {
            Format::Json | Format::Jsonl => line(&shown)?,
            Format::Table if before.as_ref() != Some(&wrong) => {
                note(&format!("{at}"));
                shown.print(Format::Table)?;
            }
            Format::Table => {}
        }
        before = Some(wrong);
        tokio::time::sleep(a.interval).await;
    }
}

fn line(shown: &Shown) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{}", shown.json()).and_then(|()| out.flush())?)
}

/// One look at all nodes, for people and machines.
pub fn show(looks: &[Look], at: Timestamp) -> Shown {
    let rows = looks.iter().map(|l| {
        let size = l.head.as_ref().map_or_else(|| "-".into(), |h| h.size().to_string());
        let state = match (l.alarms.is_empty(), l.first) {
            (true, true) => "first look".to_owned(),
            (true, false) => "follows".to_owned(),
            (false, _) => l.alarms.iter().map(|a| a.code().to_uppercase()).collect::<Vec<_>>().join(", "),
        };
        let cosigned = l.cosigned.map_or_else(|| "-".into(), |t| t.to_string());
        vec![
            l.seat.to_string(),
            l.name.to_string(),
            l.number.to_string(),
            size,
            format!("{} of {}", l.cosigners, l.need),
            cosigned,
            state,
        ]
    });
    let head = ["node", "name", "log", "entries", "cosigned by", "at", "state"];
    let mut shown = Shown::new("escrow.audit.watch.v1").table(&head, rows.collect());
    for (look, alarm) in looks.iter().flat_map(|l| l.alarms.iter().map(move |a| (l, a))) {
        shown = shown.text(format!("node {}: {alarm} [{}]", look.seat, alarm.code()));
    }
    let all = || looks.iter().flat_map(|l| &l.alarms);
    let exit = match (all().any(Alarm::is_false), all().next()) {
        (true, _) => Exit::Verification,
        (false, Some(_)) => Exit::Partial,
        (false, None) => Exit::Ok,
    };
    if exit == Exit::Verification {
        shown = shown.text("Keep the evidence folder, and tell the operators and the other auditors.");
    }
    shown
        .with("at", at.to_string())
        .with("alarms", all().count())
        .with("nodes", looks.iter().map(node).collect::<Vec<_>>())
        .exit(exit)
}

fn node(l: &Look) -> Value {
    let alarm = |a: &Alarm| json!({"code": a.code(), "detail": a.to_string(), "evidence": a.evidence()});
    json!({
        "node": l.seat,
        "name": l.name,
        "log": l.log,
        "number": l.number,
        "size": l.head.as_ref().map(|h| h.size()),
        "root": l.head.as_ref().map(|h| hex::encode(h.root())),
        "first": l.first,
        "cosigners": l.cosigners,
        "needed": l.need,
        "cosigned_at": l.cosigned.map(|t| t.to_string()),
        "alarms": l.alarms.iter().map(alarm).collect::<Vec<_>>(),
    })
}
