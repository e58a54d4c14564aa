//! `escrow recover`: a subject's own messages, back on a new device of theirs.

use super::release::{Collect, collected};
use crate::explain::{assessment, by_node, span};
use crate::failure::{Failure, of_nodes};
use crate::hashwords::words;
use crate::help::examples;
use crate::output::Shown;
use crate::quorum::{by_prefix, reach, with_receipts};
use crate::session::{Global, Session, subject_name, thread_name};
use crate::when;
use clap::{Args, Subcommand};
use escrow_client::{Client, Identity, KnownRecovery, now};
use escrow_core::{Code, Timestamp, Token};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What to do with self-recoveries.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one for each process")]
pub enum Command {
    /// Ask, as a device, for what its own subject escrowed
    #[command(before_help = examples![
        "escrow recover start",
        "escrow recover start --thread t-17 --from 2026-03-01 --to 2026-03-31",
    ])]
    Start(Start),
    /// List self-recoveries: a device's own subject's, for an officer all
    #[command(before_help = examples![
        "escrow recover list",
        "escrow recover list --output jsonl",
    ])]
    List,
    /// Show one self-recovery: what is asked, who decided, what each node says
    #[command(before_help = examples![
        "escrow recover show 3f1c90aa",
        "escrow recover show 3f1c90aa --output json",
    ])]
    Show(Which),
    /// Stop a self-recovery: as another device of the same subject, or with role subject-rights
    #[command(before_help = examples![
        "escrow recover veto 3f1c90aa",
        "escrow recover veto 3f1c90aa --reason lost-phone",
    ])]
    Veto(Veto),
    /// Collect the sealed replies, once approved and waited for
    #[command(before_help = examples![
        "escrow recover collect 3f1c90aa --out replies.json",
        "escrow archive open replies.json --archive archive --out messages.jsonl",
    ])]
    Collect(Collect),
}

/// Arguments of `recover start`.
#[derive(Clone, Debug, Args)]
pub struct Start {
    /// The policy; the consent must name it
    #[arg(long, value_name = "ID", default_value = "self-recovery")]
    pub policy: Code,
    /// Only this thread; repeat for several [default: all]
    #[arg(long, value_name = "ID")]
    pub thread: Vec<String>,
    /// First day (UTC) or instant [default: all]
    #[arg(long, value_name = "DAY")]
    pub from: Option<String>,
    /// Last day (UTC), or the first instant after [default: all]
    #[arg(long, value_name = "DAY")]
    pub to: Option<String>,
    /// How long it stays open; no answer by then is a denial
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    pub expires: String,
    /// Show the numbers and sign nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Which self-recovery.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// Its hash, or the beginning of it
    pub recovery: String,
}

/// Arguments of `recover veto`.
#[derive(Clone, Debug, Args)]
pub struct Veto {
    /// Its hash, or the beginning of it
    pub recovery: String,
    /// A code for the reason; no names
    #[arg(long, default_value = "not-me")]
    pub reason: Code,
}

/// Runs `recover`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    match command {
        Command::Start(a) => start(&session, &client, a).await,
        Command::List => list(&session, &client).await,
        Command::Show(a) => show(&session, &client, &find(&client, &a.recovery).await?).await,
        Command::Veto(a) => veto(&client, a).await,
        Command::Collect(a) => collected(&client, &find(&client, &a.request).await?, a).await,
    }
}

/// `recover start`.
///
/// # Errors
/// [`Failure`].
pub async fn start(session: &Session, client: &Client, a: &Start) -> Result<Shown, Failure> {
    let directory = session.directory()?;
    let threads =
        a.thread.iter().map(|t| Ok(directory.thread(t)?.token)).collect::<Result<BTreeSet<Token>, Failure>>()?;
    let from = a.from.as_deref().map(when::from).transpose()?.unwrap_or(Timestamp::EPOCH);
    let to = a.to.as_deref().map(when::to).transpose()?.unwrap_or(Timestamp::MAX);
    let wanted = |i: &escrow_core::wire::ItemInfo| {
        (threads.is_empty() || threads.contains(&i.about.thread)) && i.about.from < to && from < i.about.to
    };
    let draft = client.draft_recovery(a.policy.clone(), when::span(&a.expires)?, wanted).await?;
    let r = &draft.recovery;
    let of: BTreeSet<Token> = draft.items.iter().map(|i| i.about.thread).collect();
    let limit = client.charters().current().limits.recovery_delay_s;
    let age = u64::try_from(now().seconds_since(draft.enrolled)).unwrap_or(0);
    let rows = vec![
        vec!["threads".to_owned(), of.len().to_string()],
        vec!["keys".to_owned(), r.items.len().to_string()],
        vec!["policy".to_owned(), r.policy.to_string()],
        vec!["this device enrolled for".to_owned(), format!("{} ({} needed)", span(age), span(limit))],
        vec!["other devices that can veto".to_owned(), draft.other_devices.to_string()],
        vec!["open until".to_owned(), r.expires.to_string()],
    ];
    let shown = Shown::new("escrow.recover.start.v1").table(&["what", "is asked"], rows).data("recovery", r);
    if a.dry_run {
        return Ok(shown.text("Nothing was signed.").with("dry_run", true));
    }
    let envelope = client.sign(r)?;
    let digest = envelope.digest();
    let submitted = client.submit(&envelope).await?;
    Ok(with_receipts(shown, client, &submitted)
        .text(format!(
            "Self-recovery {}: {}.\nTwo approvers decide, none of whom enrolled this device. Your other devices can veto it with: escrow recover veto {}",
            digest.short(),
            words(&digest),
            digest.short()
        ))
        .with("request_hash", digest.to_string()))
}

/// All self-recoveries that nodes show to whoever acts.
///
/// # Errors
/// [`Failure`], if no node answered.
pub async fn known(client: &Client) -> Result<Vec<KnownRecovery>, Failure> {
    let answer = client.recoveries().await;
    if answer.outcomes.count() == 0 {
        let (exit, rule) = of_nodes(&answer.outcomes, 1);
        return Err(Failure::new(exit, rule, "no node says which self-recoveries it knows").nodes(&answer.outcomes));
    }
    Ok(answer.value)
}

async fn find(client: &Client, typed: &str) -> Result<KnownRecovery, Failure> {
    let known = known(client).await?;
    by_prefix("self-recovery", typed, known.iter().map(|r| (r.digest, r))).cloned()
}

async fn list(session: &Session, client: &Client) -> Result<Shown, Failure> {
    let known = known(client).await?;
    table(Shown::new("escrow.recover.list.v1").list_of("recoveries"), session, &known.iter().collect::<Vec<_>>())
}

/// Self-recoveries as a table.
///
/// # Errors
/// [`Failure`], if the directory cannot be read.
pub fn table(shown: Shown, session: &Session, known: &[&KnownRecovery]) -> Result<Shown, Failure> {
    let (directory, at) = (session.directory()?, now());
    let rows = known.iter().map(|r| {
        let decided = r.choices().iter().map(|(p, (c, _))| format!("{p} {}", c.name())).collect::<Vec<_>>().join(", ");
        vec![
            r.digest.short(),
            subject_name(&directory, &r.recovery.subject),
            r.state(at).into(),
            r.recovery.items.len().to_string(),
            decided,
            r.recovery.expires.to_string(),
        ]
    });
    let list = known.iter().map(|r| value(r)).collect::<Vec<_>>();
    Ok(shown
        .table(&["self-recovery", "subject", "state", "keys", "decided", "until"], rows.collect())
        .with("recoveries", list))
}

fn value(r: &KnownRecovery) -> Value {
    let decisions = r
        .decisions
        .iter()
        .map(|(d, e)| json!({"by": d.by, "role": d.role, "choice": d.choice, "at": d.at, "digest": e.digest()}));
    let vetoes =
        r.vetoes.iter().map(|(v, e)| json!({"by": v.by, "reason": v.reason, "at": v.at, "digest": e.digest()}));
    json!({
        "request_hash": r.digest, "state": r.state(now()), "logged": r.logged, "nodes": r.nodes, "deliveries": r.deliveries,
        "recovery": r.recovery, "decisions": decisions.collect::<Vec<_>>(), "vetoes": vetoes.collect::<Vec<_>>(),
    })
}

/// The numbers that an approver must have seen.
///
/// # Errors
/// [`Failure`], if the directory cannot be read.
pub async fn numbers(shown: Shown, session: &Session, client: &Client, r: &KnownRecovery) -> Result<Shown, Failure> {
    let directory = session.directory()?;
    let mut rows = vec![
        vec!["self-recovery".to_owned(), format!("{}  ({})", r.digest.short(), r.digest)],
        vec!["in words".to_owned(), words(&r.digest)],
        vec!["subject".to_owned(), subject_name(&directory, &r.recovery.subject)],
        vec!["keys".to_owned(), r.recovery.items.len().to_string()],
    ];
    if let Identity::Device(_) = client.identity() {
        let own = client.draft_recovery(r.recovery.policy.clone(), 60, |i| r.recovery.items.contains(&i.item)).await;
        if let Ok(own) = own {
            let of: BTreeSet<Token> = own.items.iter().map(|i| i.about.thread).collect();
            let names = of.iter().map(|t| thread_name(&directory, t)).collect::<Vec<_>>().join(", ");
            rows.push(vec!["threads".to_owned(), format!("{}: {names}", of.len())]);
        }
    }
    rows.extend([
        vec!["to device".to_owned(), format!("{}, enrolled by {}", r.recovery.key.id(), r.recovery.enrolment.short())],
        vec!["policy".to_owned(), r.recovery.policy.to_string()],
        vec!["open until".to_owned(), r.recovery.expires.to_string()],
    ]);
    Ok(shown.table(&["what", "is asked"], rows))
}

async fn show(session: &Session, client: &Client, r: &KnownRecovery) -> Result<Shown, Failure> {
    let shown = numbers(Shown::new("escrow.recovery.v1"), session, client, r).await?.with("recovery", value(r));
    if r.state(now()) != "open" {
        return Ok(shown.text(format!("The self-recovery is {}.", r.state(now()))));
    }
    let verdicts = client.verdicts(&r.digest).await;
    let (sentence, name) = assessment(client, &verdicts, "escrow recover collect", &r.digest);
    Ok(by_node(shown, client, &verdicts, Into::into).text(sentence).with("assessment", name))
}

/// `recover veto`.
///
/// # Errors
/// [`Failure`].
pub async fn veto(client: &Client, a: &Veto) -> Result<Shown, Failure> {
    let r = find(client, &a.recovery).await?;
    let submitted = client.submit(&client.veto(r.digest, a.reason.clone())?).await?;
    Ok(with_receipts(Shown::new("escrow.recover.veto.v1"), client, &submitted)
        .text(format!("Self-recovery {} is stopped. {}", r.digest.short(), reach(&submitted)))
        .with("request_hash", r.digest.to_string())
        .with("stops_releases_against", submitted.stops_releases_against()))
}
