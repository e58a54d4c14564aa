//! `escrow request`: asking that a named slice be made readable to one named recipient.

use super::consent::Ground;
use crate::failure::{Exit, Failure, of_nodes};
use crate::output::{Shown, note};
use crate::quorum::{by_prefix, reach, with_receipts};
use crate::session::{Global, Session, subject_name, thread_name};
use crate::when;
use clap::{Args, Subcommand};
use escrow_client::archive::Directory;
use escrow_client::{Ask, Assessment, Client, KnownRequest, People, now};
use escrow_core::charter::Basis;
use escrow_core::request::{DelayedNotice, Notice, Recipient, RecipientPerson, Request};
use escrow_core::{Code, Digest, MatterId, PersonId};
use serde_json::json;
use std::collections::BTreeSet;

/// What to do with requests.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one for each process")]
pub enum Command {
    /// Ask for messages of threads in a time
    #[command(
        after_help = "Example: escrow request create --matter MAT-1 --thread t-17 --from 2026-03-01 --to 2026-03-02 --purpose audit --recipient reader"
    )]
    Create(Create),
    /// List requests
    List(List),
    /// Show one request: what is asked, who decided, what each node says
    Show(Which),
    /// End a request of your own
    Cancel(Which),
}

/// Arguments of `request create`.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// The matter
    #[arg(long)]
    pub matter: MatterId,
    /// A thread, by the messenger's id or its beginning; repeat for several
    #[arg(long, required = true, value_name = "ID")]
    pub thread: Vec<String>,
    /// First day (UTC) or instant
    #[arg(long, value_name = "DAY")]
    pub from: String,
    /// Last day (UTC), or the first instant after
    #[arg(long, value_name = "DAY")]
    pub to: String,
    /// What for; must be among the purposes consented to
    #[arg(long)]
    pub purpose: Code,
    /// Who receives the result
    #[arg(long, value_name = "PERSON")]
    pub recipient: PersonId,
    /// The policy [default: the charter's only one]
    #[arg(long, value_name = "ID")]
    pub policy: Option<Code>,
    /// The ground
    #[command(flatten)]
    pub ground: Ground,
    /// How long it stays open; no answer by then is a denial
    #[arg(long, value_name = "SPAN", default_value = "72h")]
    pub expires: String,
    /// Tell the subjects only later, under this order
    #[arg(long, value_name = "CODE", requires = "notice_until")]
    pub notice_order: Option<Code>,
    /// When the delay of the notice ends
    #[arg(long, value_name = "DAY", requires = "notice_order")]
    pub notice_until: Option<String>,
    /// Show the numbers and sign nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `request list`.
#[derive(Clone, Debug, Default, Args)]
pub struct List {
    /// Only those that wait for your decision
    #[arg(long)]
    pub waiting_for_me: bool,
    /// Only those of a matter
    #[arg(long)]
    pub matter: Option<MatterId>,
}

/// Which request.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// Its hash, or the beginning of it
    pub request: String,
}

/// Runs `request`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    let session = Session::open(global)?;
    let client = session.client().await?;
    match command {
        Command::Create(a) => create(&session, &client, a).await,
        Command::List(a) => list(&session, &client, a).await,
        Command::Show(a) => show(&session, &client, &a.request).await,
        Command::Cancel(a) => cancel(&client, &a.request).await,
    }
}

/// `request create`.
///
/// # Errors
/// [`Failure`].
pub async fn create(session: &Session, client: &Client, a: &Create) -> Result<Shown, Failure> {
    let draft = client.draft_request(ask(session, client, a)?).await?;
    let directory = session.directory()?;
    for thread in &draft.empty_threads {
        note(&format!(
            "nothing is escrowed for thread {} in this time; it is left out",
            thread_name(&directory, thread)
        ));
    }
    if !draft.left_out.is_empty() {
        note(&format!(
            "{} item(s) are held alike by fewer than {} nodes and left out",
            draft.left_out.len(),
            client.t()
        ));
    }
    let shown = numbers(Shown::new("escrow.request.create.v1"), session, &draft.request, None)?;
    let shown = people(shown, &directory, &People::of(&draft.items));
    if a.dry_run {
        return Ok(shown.text("Nothing was signed.").with("dry_run", true).data("request", &draft.request));
    }
    let envelope = client.sign(&draft.request)?;
    let digest = envelope.digest();
    let submitted = client.submit(&envelope).await?;
    Ok(with_receipts(shown, client, &submitted)
        .text(format!("Request {}. Approvers see it with: escrow request list --waiting-for-me", digest.short()))
        .with("request_hash", digest.to_string())
        .data("request", &draft.request))
}

fn ask(session: &Session, client: &Client, a: &Create) -> Result<Ask, Failure> {
    let directory = session.directory()?;
    let threads = a.thread.iter().map(|t| Ok(directory.thread(t)?.token)).collect::<Result<Vec<_>, Failure>>()?;
    let charter = client.charters().current();
    let policy = match (&a.policy, charter.policies.as_slice()) {
        (Some(id), _) => id.clone(),
        (None, [only]) => only.id.clone(),
        (None, several) => {
            let ids = several.iter().map(|p| p.id.to_string()).collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!("say under which policy with --policy: {ids}")));
        }
    };
    let notice = match (&a.notice_order, &a.notice_until) {
        (Some(order), Some(until)) => Notice::Delayed(DelayedNotice { order: order.clone(), until: when::to(until)? }),
        _ => Notice::Immediate,
    };
    Ok(Ask {
        matter: a.matter.clone(),
        basis: Basis::from(a.ground.basis),
        authority: a.ground.authority()?,
        purpose: a.purpose.clone(),
        threads,
        from: when::from(&a.from)?,
        to: when::to(&a.to)?,
        recipient: client.recipient(&a.recipient)?,
        policy,
        notice,
        life_s: when::span(&a.expires)?,
    })
}

/// How many people a request concerns, in a sentence.
fn people(shown: Shown, directory: &Directory, people: &People) -> Shown {
    let names = people.depositors.iter().map(|t| subject_name(directory, t)).collect::<Vec<_>>().join(", ");
    let (inside, outside) = (people.inside.len(), people.outside.len());
    shown
        .text(format!("People: {inside} inside, {outside} outside the organisation. Escrowed by: {names}."))
        .with("people", json!({"inside": inside, "outside": outside, "depositors": people.depositors.len()}))
}

/// The numbers of a known request, with the people whom its items concern as the nodes tell them.
///
/// # Errors
/// [`Failure`], if the directory cannot be read or too few nodes say what they hold.
pub async fn full_numbers(
    shown: Shown,
    session: &Session,
    client: &Client,
    r: &KnownRequest,
) -> Result<Shown, Failure> {
    let shown = numbers(shown, session, &r.request, Some(r.digest))?;
    let held = client.items(&r.request.scope).await?;
    let asked: BTreeSet<_> = r.request.items.iter().collect();
    let of = People::of(held.items.iter().filter(|i| asked.contains(&i.item)));
    let missing = asked.len() - held.items.iter().filter(|i| asked.contains(&i.item)).count();
    let shown = people(shown, &session.directory()?, &of);
    Ok(if missing == 0 {
        shown
    } else {
        shown.text(format!("{missing} of the keys asked for are not held by {} nodes.", client.t()))
    })
}

/// The numbers that an approver must have seen.
///
/// # Errors
/// [`Failure`], if the directory cannot be read.
pub fn numbers(shown: Shown, session: &Session, r: &Request, digest: Option<Digest>) -> Result<Shown, Failure> {
    let directory = session.directory()?;
    let threads = r.scope.threads.iter().map(|t| thread_name(&directory, t)).collect::<Vec<_>>().join(", ");
    let days = r.scope.to.seconds_since(r.scope.from) / 86_400;
    let named = |p: &RecipientPerson| {
        let name = session.charters.current().person(&p.id).map_or("not in the charter", |p| p.name.as_str());
        format!("{} ({name}), key {}", p.id, p.sealing.short())
    };
    let recipient = match &r.recipient {
        Recipient::Person(p) => named(p),
        Recipient::FilterTeam(p) => format!("filter team {}", named(p)),
        Recipient::Device(d) => format!("device {}, key {}", d.key.id(), d.sealing.short()),
    };
    let authority = r
        .authority
        .as_ref()
        .map_or_else(|| "none".to_owned(), |a| format!("{}, document {}", a.reference, a.document.short()));
    let notice = match &r.notice {
        Notice::Immediate => "at once".to_owned(),
        Notice::Delayed(d) => format!("delayed until {} under {}", d.until, d.order),
    };
    let mut rows = vec![
        ("matter", r.matter.to_string()),
        ("asked by", r.by.to_string()),
        ("threads", format!("{}: {threads}", r.counts.threads)),
        ("keys", r.counts.items.to_string()),
        ("span", format!("{} to {} ({days} days)", r.scope.from, r.scope.to)),
        ("purpose", r.purpose.to_string()),
        ("basis", r.basis.name().to_owned()),
        ("authority", authority),
        ("recipient", recipient),
        ("policy", r.policy.to_string()),
        ("notice", notice),
        ("open until", r.expires.to_string()),
    ];
    if let Some(d) = digest {
        rows.insert(0, ("request", format!("{}  ({d})", d.short())));
    }
    Ok(shown.table(&["what", "is asked"], rows.into_iter().map(|(n, v)| vec![n.to_owned(), v]).collect()))
}

/// All requests that nodes know.
///
/// # Errors
/// [`Failure`], if no node answered.
pub async fn known(client: &Client) -> Result<Vec<KnownRequest>, Failure> {
    let answer = client.requests().await;
    if answer.outcomes.count() == 0 {
        let (exit, rule) = of_nodes(&answer.outcomes, 1);
        return Err(Failure::new(exit, rule, "no node says which requests it knows").nodes(&answer.outcomes));
    }
    Ok(answer.value)
}

/// The one request whose hash begins so.
///
/// # Errors
/// [`Failure`].
pub async fn find(client: &Client, typed: &str) -> Result<KnownRequest, Failure> {
    let known = known(client).await?;
    by_prefix("request", typed, known.iter().map(|r| (r.digest, r))).cloned()
}

async fn list(session: &Session, client: &Client, a: &List) -> Result<Shown, Failure> {
    let known = known(client).await?;
    let wanted: Vec<_> = known
        .iter()
        .filter(|r| !a.waiting_for_me || client.waits_for_me(r))
        .filter(|r| a.matter.as_ref().is_none_or(|m| r.request.matter == *m))
        .collect();
    Ok(table(Shown::new("escrow.request.list.v1"), session, &wanted))
}

/// Requests as a table.
pub fn table(shown: Shown, _: &Session, requests: &[&KnownRequest]) -> Shown {
    let at = now();
    let rows = requests.iter().map(|r| {
        let q = &r.request;
        let span = format!("{} .. {}", q.scope.from.day(), q.scope.to.plus_seconds(-1).day());
        let decided = r.choices().iter().map(|(p, (c, _))| format!("{p} {}", c.name())).collect::<Vec<_>>().join(", ");
        let (keys, threads) = (q.counts.items.to_string(), q.counts.threads.to_string());
        vec![
            r.digest.short(),
            q.matter.to_string(),
            q.by.to_string(),
            r.state(at).into(),
            threads,
            keys,
            span,
            decided,
            q.expires.to_string(),
        ]
    });
    let list = requests.iter().map(|r| value(r)).collect::<Vec<_>>();
    shown
        .table(&["request", "matter", "by", "state", "threads", "keys", "span", "decided", "until"], rows.collect())
        .with("requests", list)
}

fn value(r: &KnownRequest) -> serde_json::Value {
    let decisions = r
        .decisions
        .iter()
        .map(|(d, e)| json!({"by": d.by, "role": d.role, "choice": d.choice, "at": d.at, "digest": e.digest()}));
    json!({
        "request_hash": r.digest, "state": r.state(now()), "logged": r.logged, "nodes": r.nodes, "deliveries": r.deliveries,
        "request": r.request, "decisions": decisions.collect::<Vec<_>>(),
    })
}

/// `request show`: what is asked, who decided, and what every node says now.
///
/// # Errors
/// [`Failure`].
pub async fn show(session: &Session, client: &Client, typed: &str) -> Result<Shown, Failure> {
    let r = find(client, typed).await?;
    let shown = full_numbers(Shown::new("escrow.request.v1"), session, client, &r).await?;
    let decided = r.choices().into_iter().map(|(p, (c, d))| {
        vec![p.to_string(), d.role.to_string(), c.name().into(), d.reason.to_string(), d.at.to_string()]
    });
    let mut shown =
        shown.table(&["person", "role", "decision", "reason", "at"], decided.collect()).with("request", value(&r));
    if r.state(now()) != "open" {
        return Ok(shown.text(format!("The request is {}.", r.state(now()))));
    }
    let verdicts = client.verdicts(&r.digest).await;
    let mut rows = Vec::new();
    for node in client.nodes() {
        let (word, why) = match verdicts.0.get(&node.seat()) {
            Some(Ok(v)) => {
                let v = &v.verdict;
                let lacking =
                    if v.lacking.is_empty() { String::new() } else { escrow_policy::gate::describe(&v.lacking) };
                let reasons = v.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                (v.outcome.name().to_owned(), format!("{lacking}{reasons}"))
            }
            Some(Err(e)) => ("-".to_owned(), e.to_string()),
            None => continue,
        };
        rows.push(vec![node.seat().to_string(), node.name().to_string(), word, why]);
    }
    let (sentence, name) = match client.assess(&verdicts) {
        Assessment::Permitted => {
            (format!("Enough nodes permit. Next: escrow release collect {}", r.digest.short()), "permitted")
        }
        Assessment::Pending(lacking) => (escrow_policy::gate::describe(&lacking), "pending"),
        Assessment::Refused(_) => ("So many nodes refuse that nothing can be released.".to_owned(), "refused"),
        Assessment::BelowThreshold { answered, need } => {
            (format!("{answered} nodes can be counted on, {need} are needed."), "below-threshold")
        }
    };
    shown = shown.table(&["node", "name", "says", "why"], rows).text(sentence).with("assessment", name);
    let list = verdicts.good().map(|(_, v)| json!(v.verdict)).collect::<Vec<_>>();
    Ok(shown.with("verdicts", list))
}

/// `request cancel`.
///
/// # Errors
/// [`Failure`].
pub async fn cancel(client: &Client, typed: &str) -> Result<Shown, Failure> {
    let r = find(client, typed).await?;
    let me = &client.identity().officer()?.person;
    if r.request.by != *me {
        return Err(Failure::new(
            Exit::Key,
            "not-entitled",
            format!("only {} who made the request can cancel it", r.request.by),
        ));
    }
    let submitted = client.submit(&client.cancellation(r.digest)?).await?;
    Ok(with_receipts(Shown::new("escrow.request.cancel.v1"), client, &submitted).text(format!(
        "Request {} is cancelled. {}",
        r.digest.short(),
        reach(&submitted)
    )))
}
