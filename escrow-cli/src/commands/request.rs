//! `escrow request`: asking that a named slice be made readable to one named recipient.

use super::consent::Ground;
use crate::explain::{Said, assessment, by_node};
use crate::failure::{Exit, Failure, of_nodes};
use crate::hashwords::words;
use crate::help::examples;
use crate::output::Shown;
use crate::quorum::{by_prefix, reach, with_receipts};
use crate::scope::{self, ScopeArgs};
use crate::session::{Global, Session, subject_name};
use crate::when;
use clap::{Args, Subcommand};
use escrow_client::archive::Directory;
use escrow_client::{Ask, Client, Draft, DraftError, KnownRequest, People, Selecting, Zone, now};
use escrow_core::charter::{Basis, Charter, Person, Policy};
use escrow_core::request::{DelayedNotice, Notice, Recipient, RecipientPerson, Request};
use escrow_core::verdict::Outcome;
use escrow_core::{Code, Digest, MatterId, PersonId};
use escrow_policy::cedar;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What to do with requests.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one for each process")]
pub enum Command {
    /// Ask for messages of threads or custodians in a time
    #[command(
        before_help = examples![
        "escrow request create --matter MAT-1 --thread t-17 --from 2026-03-01 \\\n      --to 2026-03-02 --purpose audit --recipient reader --dry-run",
        "escrow request create --matter MAT-1 --custodian maria --from 2026-03-01 \\\n      --to 2026-03-31 --time-zone Europe/Berlin --context-hours 24 --purpose audit \\\n      --recipient reader",
        "escrow request create --matter MAT-1 --thread t-17 --from 2026-03-01 \\\n      --to 2026-03-02 --purpose audit --recipient fran --filter-team",
    ]
    )]
    Create(Create),
    /// List requests
    #[command(before_help = examples![
        "escrow request list --waiting-for-me",
        "escrow request list --matter MAT-2026-0017 --output jsonl",
    ])]
    List(List),
    /// Show one request: what is asked, who decided, what each node says
    #[command(before_help = examples![
        "escrow request show 3f1c90aa",
        "escrow request show 3f1c90aa --output json",
    ])]
    Show(Which),
    /// End a request of your own
    #[command(before_help = examples![
        "escrow request cancel 3f1c90aa",
        "escrow request cancel 3f1c90aa --receipts receipts",
    ])]
    Cancel(Which),
}

/// Arguments of `request create`.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// The matter
    #[arg(long)]
    pub matter: MatterId,
    /// Whose messages and when
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// What for; must be among the purposes consented to
    #[arg(long)]
    pub purpose: Code,
    /// Who receives the result
    #[arg(long, value_name = "PERSON")]
    pub recipient: PersonId,
    /// The recipient is a filter team: nobody else on the case, to sort out what is privileged first
    #[arg(long)]
    pub filter_team: bool,
    /// The policy [default: the charter's only one for requests]
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
    /// Show the numbers, what every node would say, who must sign and who will be told; sign nothing
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
    let (ask, how) = ask(session, client, a)?;
    let draft = client.draft_selected(ask, &how).await?;
    let directory = session.directory()?;
    scope::note_left_out(&directory, &draft, client.t());
    let shown = numbers(Shown::new("escrow.request.create.v1"), session, &draft.request, None)?;
    let shown = people(shown, &directory, &People::of(&draft.items));
    let shown = scope::unsure(scope::coarse(shown, &draft.request, &draft.items), &directory, &draft);
    if a.dry_run {
        return dry_run(shown, client, &directory, &draft).await;
    }
    let envelope = client.sign(&draft.request)?;
    let digest = envelope.digest();
    let submitted = client.submit(&envelope).await?;
    Ok(with_receipts(shown, client, &submitted)
        .text(format!(
            "Request {}: {}.\nApprovers see it with: escrow request list --waiting-for-me",
            digest.short(),
            words(&digest)
        ))
        .with("request_hash", digest.to_string())
        .data("request", &draft.request))
}

/// Whoever cannot receive is answered with who can.
fn recipients(charter: &Charter, e: DraftError) -> Failure {
    let can = charter.people.iter().filter(|p| p.sealing.is_some()).map(|p| p.id.to_string()).collect::<Vec<_>>();
    Failure::from(e).next(format!("name somebody with a sealing key in the charter: {}", can.join(", ")))
}

/// Everything that can be known before anybody is asked.
async fn dry_run(shown: Shown, client: &Client, directory: &Directory, draft: &Draft) -> Result<Shown, Failure> {
    let r = &draft.request;
    let answers = client.preview(r).await.and_then(|_, answer| {
        let context: Option<Value> = answer.context.as_ref().and_then(|b| serde_json::from_slice(&b.0).ok());
        Ok((answer, context))
    });
    let shown = by_node(shown, client, &answers, |(p, context)| Said::preview(p, context.as_ref()));
    let refused = answers.good().filter(|(_, (p, _))| p.outcome == Outcome::Refuse).count();
    if client.nodes().len() - refused < client.t() {
        return Ok(shown
            .text("Asked like this, so many nodes would refuse that nothing could be released: change it first. Nothing was signed.")
            .with("dry_run", true)
            .data("request", r));
    }
    let charter = client.charters().current();
    let needed: BTreeSet<&str> = answers
        .good()
        .flat_map(|(_, (p, _))| &p.lacking)
        .filter_map(|l| l.what.as_str().strip_prefix("approvals."))
        .collect();
    let may = |p: &&Person| p.id != r.by && r.recipient.person() != Some(&p.id);
    let rows: Vec<Vec<String>> = needed
        .iter()
        .map(|role| {
            let holders = charter.people.iter().filter(|p| p.has_role(role)).filter(may);
            let names: Vec<String> = holders.map(|p| format!("{} ({})", p.id, p.name)).collect();
            vec![(*role).to_owned(), names.join(", ")]
        })
        .collect();
    let told = People::of(&draft.items);
    let names = told.depositors.iter().chain(&told.inside).collect::<BTreeSet<_>>();
    let names = names.iter().map(|t| subject_name(directory, t)).collect::<Vec<_>>().join(", ");
    let when = match &r.notice {
        Notice::Immediate => "at once".to_owned(),
        Notice::Delayed(d) => format!("after {}", Zone::of(r).text(d.until)),
    };
    Ok(shown
        .table(&["must sign", "who can"], rows)
        .text(format!("Will see it in their activity, {when}: {names}."))
        .text("Nothing was signed and nobody was asked; the nodes have logged that you tried this out.")
        .with("dry_run", true)
        .with("must_sign", needed.into_iter().collect::<Vec<_>>())
        .data("request", r))
}

fn ask(session: &Session, client: &Client, a: &Create) -> Result<(Ask, Selecting), Failure> {
    let asked = a.scope.asked(session)?;
    let zone = a.scope.time_zone.parse::<Zone>()?;
    let charter = client.charters().current();
    // A text about self-recovery alone never permits a request.
    let releases = |p: &&Policy| cedar::parse(p, &charter.approver_roles).is_ok_and(|t| t.may_permit("release"));
    let fit: Vec<&Policy> = charter.policies.iter().filter(releases).collect();
    let policy = match (&a.policy, fit.as_slice()) {
        (Some(id), _) => id.clone(),
        (None, [only]) => only.id.clone(),
        (None, several) => {
            let ids = several.iter().map(|p| p.id.to_string()).collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!("say under which policy with --policy: {ids}")));
        }
    };
    let notice = match (&a.notice_order, &a.notice_until) {
        (Some(order), Some(until)) => {
            Notice::Delayed(DelayedNotice { order: order.clone(), until: when::to_in(until, &zone)? })
        }
        _ => Notice::Immediate,
    };
    let ask = Ask {
        matter: a.matter.clone(),
        basis: Basis::from(a.ground.basis),
        authority: a.ground.authority()?,
        purpose: a.purpose.clone(),
        threads: asked.threads,
        from: asked.from,
        to: asked.to,
        recipient: if a.filter_team { client.filter_team(&a.recipient) } else { client.recipient(&a.recipient) }
            .map_err(|e| recipients(charter, e))?,
        policy,
        notice,
        life_s: when::span(&a.expires)?,
    };
    Ok((ask, asked.how))
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
    let mut held = client.items(&r.request.scope).await?.items;
    let asked: BTreeSet<_> = r.request.items.iter().collect();
    held.retain(|i| asked.contains(&i.item));
    let missing = asked.len() - held.len();
    let shown = people(shown, &session.directory()?, &People::of(&held));
    let shown = scope::coarse(shown, &r.request, &held);
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
    let zone = Zone::of(r);
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
        Notice::Delayed(d) => format!("delayed until {} under {}", zone.text(d.until), d.order),
    };
    let mut rows = scope::rows(&directory, r);
    rows.extend([
        ("matter", r.matter.to_string()),
        ("asked by", r.by.to_string()),
        ("purpose", r.purpose.to_string()),
        ("basis", r.basis.name().to_owned()),
        ("authority", authority),
        ("recipient", recipient),
        ("policy", r.policy.to_string()),
        ("notice", notice),
        ("open until", zone.text(r.expires)),
    ]);
    if let Some(d) = digest {
        rows.insert(0, ("request", format!("{}  ({d})", d.short())));
        rows.insert(1, ("in words", words(&d)));
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
    let shown = table(Shown::new("escrow.request.list.v1").list_of("requests").list_of("recoveries"), session, &wanted);
    if !a.waiting_for_me {
        return Ok(shown);
    }
    let recoveries = super::recover::known(client).await?;
    let waiting: Vec<_> = recoveries.iter().filter(|r| client.recovery_waits_for_me(r)).collect();
    if waiting.is_empty() {
        return Ok(shown.with("recoveries", Vec::<Value>::new()));
    }
    super::recover::table(shown.text("Self-recoveries:"), session, &waiting)
}

/// Requests as a table.
pub fn table(shown: Shown, _: &Session, requests: &[&KnownRequest]) -> Shown {
    let at = now();
    let rows = requests.iter().map(|r| {
        let q = &r.request;
        let (zone, (from, to)) = (Zone::of(q), q.asked());
        let span = format!("{} .. {}", zone.day(from), zone.day(to.plus_seconds(-1)));
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
            zone.text(q.expires),
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
    shown = scope::without_context(shown, &r.request);
    let verdicts = client.verdicts(&r.digest).await;
    let (sentence, name) = assessment(client, &verdicts, "escrow release collect", &r.digest);
    shown = by_node(shown, client, &verdicts, Into::into).text(sentence).with("assessment", name);
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
