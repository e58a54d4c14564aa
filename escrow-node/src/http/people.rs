//! What people's machines send: statements, deposits, queries, release calls.

use super::cases;
use super::problem::{Fault, with_seat};
use crate::engine::{Engine, Submitted};
use crate::metrics;
use crate::node::Node;
use crate::rates::{Class, Wait};
use crate::release;
use crate::store::DepositRow;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State as Shared};
use axum::response::{IntoResponse, Response};
use escrow_core::deal::OpenedDeal;
use escrow_core::deposit::Deposit;
use escrow_core::openapi::EnvelopeSchema;
use escrow_core::query::{CustodianScope, EntryRange, Query, Question};
use escrow_core::release::Caller;
use escrow_core::request::{Notice, Scope};
use escrow_core::verdict::Verdict;
use escrow_core::wire::{
    ActivityInfo, ConsentInfo, DepositBody, EntriesAnswer, ExportedAnswer, ItemInfo, MatterInfo, OwnAnswer,
    PreviewAnswer, Receipted, RecoveryInfo, ReleaseBody, Released, RequestInfo, VerdictAnswer, ViewsAnswer,
};
use escrow_core::{Blob, Digest, Envelope, Nonce, Token};
use escrow_policy::{Admitted, Event, Refusal, Rule};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

type Shut = Shared<Arc<Node>>;
type Address = ConnectInfo<SocketAddr>;

/// What a query is answered with, by its `what`.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "one is made an answer")]
pub(crate) enum QueryAnswer {
    Evaluate(VerdictAnswer),
    Preview(PreviewAnswer),
    Own(OwnAnswer),
    Recoveries(Vec<RecoveryInfo>),
    Matters(Vec<MatterInfo>),
    Requests(Vec<RequestInfo>),
    Activity(Vec<ActivityInfo>),
    Items(Vec<ItemInfo>),
    Consents(Vec<ConsentInfo>),
    Entries(EntriesAnswer),
    Views(ViewsAnswer),
    Exported(ExportedAnswer),
}

/// Bytes of entries, statements and attachments after which a page of the log ends.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Submit a signed statement.
///
/// Kinds: charter, enrolment, revocation, consent, withdrawal, matter, request, cancellation, decision, self-recovery, veto. The same bytes again get the
/// same receipt. An accepted statement is logged before it is answered.
#[utoipa::path(
    post,
    path = "/v1/statements",
    request_body(content = EnvelopeSchema, content_type = "application/vnd.dsse+json", description = "The envelope, at most 3 MiB."),
    responses((status = 200, description = "Logged: the receipt and its inclusion proof.", body = Receipted)),
    extensions(("x-authenticated-by" = json!("the statement's signatures")))
)]
pub(crate) async fn statements(Shared(node): Shut, ConnectInfo(from): Address, body: Bytes) -> Response {
    finish(&node, submit(&node, &body, from.ip()).await)
}

/// Deposit sealed shares.
///
/// A deposit statement with the blob for the asked seat. Every share is verified before anything is stored. The same bytes again get the
/// same receipt.
#[utoipa::path(
    post,
    path = "/v1/deposits",
    request_body(content = DepositBody, description = "Envelope of a deposit, and this seat's blob; at most 4 MiB."),
    responses((status = 200, description = "Stored and logged: the receipt and its inclusion proof.", body = Receipted)),
    extensions(("x-authenticated-by" = json!("the deposit's signature")))
)]
pub(crate) async fn deposits(
    Shared(node): Shut,
    ConnectInfo(from): Address,
    Json(body): Json<DepositBody>,
) -> Response {
    finish(&node, deposit(&node, body, from.ip()).await)
}

/// Ask this node something.
///
/// A signed query, for this seat and now. It is logged, then answered, once. The member `what` of the query decides which of the answers
/// it is: evaluate, matters, requests, activity, items, items_of, consents, entries, views.
#[utoipa::path(
    post,
    path = "/v1/queries",
    request_body(content = EnvelopeSchema, content_type = "application/vnd.dsse+json", description = "Envelope of a query, at most 3 MiB."),
    responses((status = 200, description = "The answer to what was asked.", body = QueryAnswer)),
    extensions(("x-authenticated-by" = json!("the query's signature")))
)]
pub(crate) async fn queries(Shared(node): Shut, ConnectInfo(from): Address, body: Bytes) -> Response {
    finish(&node, query(&node, &body, from.ip()).await)
}

/// Call for this node's reply to a request.
///
/// The node collects restrictions from its peers, evaluates, logs the authorisation, waits for cosignatures, evaluates again, and sends
/// its shares sealed to the recipient. A retry runs all of it again.
#[utoipa::path(
    post,
    path = "/v1/releases",
    request_body(content = ReleaseBody, description = "Release-call, request, decisions and fresh permits of t-1 other seats; at most 4 MiB."),
    responses((status = 200, description = "The sealed reply, the statement about it, and its log entry with proof.", body = Released)),
    extensions(("x-authenticated-by" = json!("the release-call's signature")))
)]
pub(crate) async fn releases(
    Shared(node): Shut,
    ConnectInfo(from): Address,
    Json(body): Json<ReleaseBody>,
) -> Response {
    finish(&node, answer_release(&node, body, from.ip()).await)
}

fn finish<T: IntoResponse>(node: &Node, outcome: Result<T, Fault>) -> Response {
    outcome.map_or_else(|fault| with_seat(fault, node.seat), IntoResponse::into_response)
}

fn working(node: &Node) -> Result<(), Fault> {
    let state = node.state();
    if state.works() { Ok(()) } else { Err(Fault::NotReady(state.name(), state.reason())) }
}

/// As [`working`], for what may wait until there is disk space again.
fn working_on_new(node: &Node) -> Result<(), Fault> {
    working(node)?;
    if node.disk_is_low() { Err(Fault::DiskLow) } else { Ok(()) }
}

/// What is no envelope was signed by nobody.
fn parse(node: &Node, bytes: &[u8], from: IpAddr) -> Result<Envelope, Fault> {
    match Envelope::parse(bytes) {
        Ok(envelope) => Ok(envelope),
        Err(e) => {
            node.rates.stranger(from)?;
            Err(Refusal::new(Rule::Malformed, e.to_string()).into())
        }
    }
}

/// A stale client is told the newer charters.
async fn refused(node: &Node, refusal: Refusal, named: Option<Digest>) -> Fault {
    if refusal.rule != Rule::CharterStale {
        return refusal.into();
    }
    let newer = node.writer.run(move |e| named.map(|d| e.facts().charters_after(&d)).unwrap_or_default()).await;
    let newer = newer.map(crate::writer::Committed::into_inner).unwrap_or_default();
    let charters = newer.iter().filter_map(|d| node.statement(d)).map(Blob).collect();
    Fault::Refused(refusal, charters)
}

/// The charter digest that a payload names, without trusting the payload.
fn named_charter(envelope: &Envelope) -> Option<Digest> {
    let value: serde_json::Value = serde_json::from_slice(envelope.payload()).ok()?;
    value.get("charter")?.as_str()?.parse().ok()
}

async fn submit(node: &Arc<Node>, body: &[u8], from: IpAddr) -> Result<Json<Receipted>, Fault> {
    working(node)?;
    let envelope = parse(node, body, from)?;
    let class = Class::of(&envelope);
    if class != Class::Restrictions {
        working_on_new(node)?;
    }
    let (kind, named) = (envelope.kind(), named_charter(&envelope));
    let rates = Arc::clone(&node.rates);
    let submitted = node.writer.run(move |e| {
        rates.charge(e, &envelope, class, from)?;
        Ok::<_, Wait>(e.submit(&envelope))
    });
    let outcome = submitted.await?.into_inner()?;
    metrics::statement(kind.name(), outcome.as_ref().map_or_else(|r| r.rule.code(), |_| "accepted"));
    match outcome {
        Ok(s) => receipted(node, s).await,
        Err(r) => Err(refused(node, r, named).await),
    }
}

async fn receipted(node: &Arc<Node>, s: Submitted) -> Result<Json<Receipted>, Fault> {
    let proof = node.proof(s.position).await?;
    Ok(Json(Receipted { receipt: Blob(s.receipt.bytes().to_vec()), proof }))
}

/// Checks who deposits before spending effort on the shares; verifies every share before anything
/// is stored; then one transaction takes items and log entry.
async fn deposit(node: &Arc<Node>, body: DepositBody, from: IpAddr) -> Result<Json<Receipted>, Fault> {
    working_on_new(node)?;
    let envelope = parse(node, &body.deposit.0, from)?;
    let named = named_charter(&envelope);
    let (checked, rates) = (envelope.clone(), Arc::clone(&node.rates));
    let admitted = node.writer.run(move |e| {
        rates.charge(e, &checked, Class::Deposits, from)?;
        Ok::<_, Wait>(admit_deposit(e, &checked))
    });
    let admitted = admitted.await?.into_inner()?;
    let opened = match admitted {
        Ok(opened) => opened,
        Err(r) => {
            metrics::statement("deposit", r.rule.code());
            return Err(refused(node, r, named).await);
        }
    };
    let row = match opened {
        None => None,
        Some((deposit, deal)) => {
            let node = Arc::clone(node);
            let digest = envelope.digest();
            let verify = move || verify_and_seal(&node, digest, &deposit, &deal, &body.blob.0);
            let row = tokio::task::spawn_blocking(verify).await.map_err(|e| Fault::Internal(e.to_string()))?;
            Some(row.inspect_err(|_| metrics::statement("deposit", Rule::DealInvalid.code()))?)
        }
    };
    let stored = node.writer.run(move |e| {
        let mut row = row;
        (e.deposit(&envelope, &mut row), row)
    });
    let (outcome, unused) = stored.await?.into_inner();
    if let Some(row) = unused {
        // Refused, or stored meanwhile under another key file: this one opens nothing.
        if let Err(e) = node.vault.discard(row) {
            tracing::warn!(error = %e, "an unused key file stays");
        }
    }
    metrics::statement("deposit", outcome.as_ref().map_or_else(|r| r.rule.code(), |_| "accepted"));
    match outcome {
        Ok(s) => receipted(node, s).await,
        Err(r) => Err(refused(node, r, named).await),
    }
}

type Opened = Option<(Deposit, OpenedDeal)>;

/// `None` if the deposit was logged before: the same bytes get the same receipt.
fn admit_deposit(e: &Engine, envelope: &Envelope) -> Result<Opened, Refusal> {
    if e.facts().seen(&envelope.digest()).is_some() {
        return Ok(None);
    }
    match escrow_policy::admit::admit(e.facts(), envelope, e.now())? {
        Admitted::Deposit(v, deal) => Ok(Some((v.into_statement(), deal))),
        _ => Err(Refusal::new(Rule::NotSubmittable, "a deposit is expected here")),
    }
}

fn verify_and_seal(
    node: &Node,
    digest: Digest,
    deposit: &Deposit,
    deal: &OpenedDeal,
    blob: &[u8],
) -> Result<DepositRow, Fault> {
    let invalid = |e: String| Fault::from(Refusal::new(Rule::DealInvalid, e));
    let listed = deposit.blobs.iter().find(|b| b.seat == node.seat);
    if listed.is_none_or(|b| b.sha256 != Digest::of(blob)) {
        return Err(invalid("the blob is not the one that the deposit lists for this seat".into()));
    }
    let shares = deal.verify_blob(node.seat, &node.keys.sealing, blob).map_err(|e| invalid(e.to_string()))?;
    let shares: Vec<_> = deal.item_ids().into_iter().zip(shares).collect();
    let (key, shares) = node.vault.seal(deal.deal.generation, &shares).map_err(|e| Fault::Internal(e.to_string()))?;
    Ok(DepositRow { deposit: digest, key, shares })
}

async fn answer_release(node: &Arc<Node>, body: ReleaseBody, from: IpAddr) -> Result<Json<Released>, Fault> {
    working_on_new(node)?;
    let (call, rates) = (parse(node, &body.call.0, from)?, Arc::clone(&node.rates));
    node.writer.run(move |e| rates.charge(e, &call, Class::Releases, from)).await?.into_inner()?;
    // A caller who hangs up must not leave an authorisation without an outcome.
    let round = tokio::spawn({
        let node = Arc::clone(node);
        async move { release::release(&node, &body).await }
    });
    let delivered = round.await.map_err(|e| Fault::Internal(e.to_string()))??;
    let proof = node.proof(delivered.position).await?;
    let statement: escrow_core::release::Release =
        delivered.release.decode().map_err(|e| Fault::Internal(e.to_string()))?;
    let deposits = node.writer.run(move |e| {
        let of = statement.items.iter().filter_map(|i| e.facts().item(i)).map(|i| i.deposit);
        of.collect::<BTreeSet<Digest>>()
    });
    let deposits = deposits.await?.into_inner();
    Ok(Json(Released {
        reply: Blob(delivered.reply),
        release: Blob(delivered.release.bytes().to_vec()),
        entry: entry(node, delivered.position)?,
        proof,
        deposits: deposits.iter().filter_map(|d| node.statement(d)).map(Blob).collect(),
    }))
}

/// The bytes of the entry at a position.
fn entry(node: &Node, position: u64) -> Result<Blob, Fault> {
    let entry = node.read(|s| s.entries(position, 1))?.into_iter().next();
    entry.map(Blob).ok_or_else(|| Fault::Internal(format!("entry {position} is not stored")))
}

/// Every read by a person: verified, logged, then answered.
async fn query(node: &Arc<Node>, body: &[u8], from: IpAddr) -> Result<Json<QueryAnswer>, Fault> {
    working_on_new(node)?;
    let envelope = parse(node, body, from)?;
    let (named, rates) = (named_charter(&envelope), Arc::clone(&node.rates));
    let logged = node.writer.run(move |e| {
        rates.charge(e, &envelope, Class::Queries, from)?;
        // Only a query may be logged here: anything else has an address with checks of its own.
        let query = envelope.decode::<Query>().map_err(|e| Refusal::new(Rule::Malformed, e.to_string()));
        Ok::<_, Wait>(
            query.and_then(|q| e.append(&Event::Statement {}, Some(&envelope)).map(|logged| (q, logged.position()))),
        )
    });
    let (query, seq) = match logged.await?.into_inner()? {
        Ok(q) => q,
        Err(r) => {
            metrics::statement("query", r.rule.code());
            return Err(refused(node, r, named).await);
        }
    };
    metrics::statement("query", "accepted");
    Ok(Json(match query.what {
        Question::Evaluate(request) => QueryAnswer::Evaluate(evaluate(node, request).await?),
        Question::Preview(request) => QueryAnswer::Preview(cases::preview(node, *request).await?),
        Question::Own => QueryAnswer::Own(cases::own(node, &query.by).await?),
        Question::Recoveries => QueryAnswer::Recoveries(cases::recoveries(node, &query.by).await?),
        Question::Matters => QueryAnswer::Matters(matters(node).await?),
        Question::Requests => QueryAnswer::Requests(requests(node).await?),
        Question::Activity => QueryAnswer::Activity(activity(node, &query.by).await?),
        Question::Items(scope) => QueryAnswer::Items(items(node, scope).await?),
        Question::ItemsOf(of) => QueryAnswer::Items(items_of(node, of).await?),
        Question::Consents => QueryAnswer::Consents(consents(node, &query.by).await?),
        Question::Entries(range) => QueryAnswer::Entries(entries(node, range).await?),
        Question::Views(nonce) => QueryAnswer::Views(views(node, nonce).await?),
        Question::Exported(_) => {
            QueryAnswer::Exported(ExportedAnswer { entry: entry(node, seq)?, proof: node.proof(seq).await? })
        }
    }))
}

async fn evaluate(node: &Arc<Node>, request: Digest) -> Result<VerdictAnswer, Fault> {
    let last = node.writer.run(move |e| e.facts().request(&request).and_then(|r| r.verdict)).await?.into_inner();
    let last = last.and_then(|d| node.statement(&d)).and_then(|b| Envelope::parse(&b).ok());
    let last = last.and_then(|e| e.decode::<Verdict>().ok().map(|v| (v, e)));
    let (verdict, position) = node.writer.run(move |e| e.verdict(&request, last)).await?.into_inner()?;
    let decoded = verdict.decode::<Verdict>().ok();
    if let Some(v) = &decoded {
        metrics::verdict(v.outcome.name());
    }
    let context = match decoded.and_then(|v| v.context) {
        Some(digest) => node.read(|s| s.attachment(&digest))?.map(Blob),
        None => None,
    };
    Ok(VerdictAnswer {
        verdict: Blob(verdict.bytes().to_vec()),
        entry: entry(node, position)?,
        proof: node.proof(position).await?,
        context,
    })
}

async fn matters(node: &Node) -> Result<Vec<MatterInfo>, Fault> {
    let list = node.writer.run(|e| {
        let info = |(id, m): (&escrow_core::MatterId, &escrow_policy::facts::MatterFact)| {
            let head = m.head()?;
            Some(MatterInfo {
                matter: id.clone(),
                state: head.statement.action,
                head: head.digest,
                by: head.statement.by.clone(),
                logged: head.logged.at,
                title: head.statement.title,
            })
        };
        e.facts().matters().filter_map(info).collect()
    });
    Ok(list.await?.into_inner())
}

async fn requests(node: &Node) -> Result<Vec<RequestInfo>, Fault> {
    let list = node.writer.run(|e| {
        let info = |(digest, r): (&Digest, &escrow_policy::facts::RequestFact)| {
            let (asked, _) = r.request.as_ref()?;
            let decisions: Vec<Digest> = r.decisions.iter().map(|d| d.fact.digest).collect();
            let cancelled = r.cancelled.iter().find(|(who, _)| *who == asked.statement.by).map(|(_, d)| *d);
            Some((*digest, asked.logged.at, decisions, cancelled, r.verdict, r.delivered.len() as u64))
        };
        e.facts().requests().filter_map(info).collect::<Vec<_>>()
    });
    let envelope = |d: &Digest| node.statement(d).map(Blob);
    let full = |(digest, logged, decisions, cancelled, verdict, deliveries): (
        Digest,
        _,
        Vec<Digest>,
        Option<Digest>,
        Option<Digest>,
        _,
    )| {
        Some(RequestInfo {
            request: envelope(&digest)?,
            logged,
            decisions: decisions.iter().filter_map(envelope).collect(),
            cancellation: cancelled.as_ref().and_then(envelope),
            verdict: verdict.as_ref().and_then(envelope),
            deliveries,
        })
    };
    Ok(list.await?.into_inner().into_iter().filter_map(full).collect())
}

/// Requests and releases that touched the asking subject's own threads. Held back while a notice
/// delay with an end date is in force.
async fn activity(node: &Node, by: &Caller) -> Result<Vec<ActivityInfo>, Fault> {
    let by = by.clone();
    let list = node.writer.run(move |e| {
        let Some(subject) = subject_of(e, &by) else { return vec![] };
        let facts = e.facts();
        let mut out = Vec::new();
        for (digest, r) in facts.requests() {
            let asked = r.request.as_ref().map(|(r, _)| &r.statement);
            let Some(logged) = facts.seen(digest) else { continue };
            let delayed = asked.is_some_and(|r| matches!(&r.notice, Notice::Delayed(d) if e.now() < d.until));
            let touches = |i: &&Digest| {
                facts
                    .item(i)
                    .is_some_and(|i| i.depositor == subject || i.about.participants.iter().any(|p| p.token == subject))
            };
            let items = r.items().iter().filter(touches).count() as u64;
            if items == 0 || delayed {
                continue;
            }
            let event = |what: &str, seq, at| ActivityInfo {
                at,
                seq,
                what: what.to_owned(),
                request: *digest,
                matter: asked.map(|r| r.matter.clone()),
                basis: asked.map(|r| r.basis),
                items,
            };
            let what = if asked.is_some() { "request" } else { "self-recovery" };
            out.push(event(what, logged.seq, logged.at));
            out.extend(r.vetoes.iter().map(|(v, _)| event("veto", v.logged.seq, v.logged.at)));
            out.extend(
                r.decisions.iter().map(|d| event(d.fact.statement.choice.name(), d.fact.logged.seq, d.fact.logged.at)),
            );
            out.extend(r.delivered.iter().map(|l| event("release", l.seq, l.at)));
        }
        out.sort_by_key(|a| a.seq);
        out
    });
    Ok(list.await?.into_inner())
}

pub(super) fn subject_of(e: &Engine, by: &Caller) -> Option<Token> {
    match by {
        Caller::Device(key) => e.facts().live_device(key, e.now()).map(|d| d.subject),
        Caller::Person(_) => None,
    }
}

async fn items(node: &Node, scope: Scope) -> Result<Vec<ItemInfo>, Fault> {
    let list = node.writer.run(move |e| {
        let wanted = |a: &escrow_core::deal::About| {
            scope.threads.binary_search(&a.thread).is_ok() && a.from < scope.to && scope.from < a.to
        };
        e.facts().items().filter(|(_, i)| wanted(&i.about)).map(item_info).collect()
    });
    Ok(list.await?.into_inner())
}

async fn items_of(node: &Node, of: CustodianScope) -> Result<Vec<ItemInfo>, Fault> {
    let list = node.writer.run(move |e| {
        let asked = |t: &Token| of.custodians.binary_search(t).is_ok();
        let wanted = |i: &escrow_policy::facts::ItemFact| {
            let part = asked(&i.depositor) || i.about.participants.iter().any(|p| asked(&p.token));
            part && i.about.from < of.to && of.from < i.about.to
        };
        e.facts().items().filter(|(_, i)| wanted(i)).map(item_info).collect()
    });
    Ok(list.await?.into_inner())
}

pub(super) fn item_info((id, i): (&Digest, &escrow_policy::facts::ItemFact)) -> ItemInfo {
    ItemInfo {
        item: *id,
        generation: i.generation,
        depositor: i.depositor,
        consent: i.consent,
        policies: i.policies.iter().map(|p| p.id.clone()).collect(),
        about: i.about.clone(),
    }
}

async fn consents(node: &Node, by: &Caller) -> Result<Vec<ConsentInfo>, Fault> {
    let by = by.clone();
    let list = node.writer.run(move |e| {
        let own = subject_of(e, &by);
        let officer = matches!(by, Caller::Person(_));
        let visible = e.facts().consents().filter(|c| officer || Some(c.statement.subject) == own);
        visible
            .map(|c| (c.digest, c.logged.at, e.facts().withdrawal(&c.digest).map(|w| w.logged.at)))
            .collect::<Vec<_>>()
    });
    let full =
        |(digest, logged, withdrawn)| Some(ConsentInfo { consent: Blob(node.statement(&digest)?), logged, withdrawn });
    Ok(list.await?.into_inner().into_iter().filter_map(full).collect())
}

/// A page of one of the seat's logs with everything that its entries name, and the checkpoint of its
/// size: of a closed log its last own one, of a log that was never begun none.
async fn entries(node: &Arc<Node>, range: EntryRange) -> Result<EntriesAnswer, Fault> {
    let mut answer =
        EntriesAnswer { size: 0, checkpoint: String::new(), entries: vec![], statements: vec![], attachments: vec![] };
    let Some(span) = node.writer.run(move |e| e.span(range.log)).await?.into_inner() else { return Ok(answer) };
    let head = match span.closed {
        Some(last) => Arc::new(last),
        None => {
            let head = node.writer.head().ok_or_else(|| Fault::Internal("no checkpoint".into()))?;
            // Who comes for the end of the log exports it: the peers' lines belong to it.
            if range.from.saturating_add(range.count) >= head.size() {
                node.cosign_head(Arc::clone(&head), usize::MAX, None).await;
            }
            node.cosigned().filter(|c| c.size() == head.size()).map_or(head, Arc::new)
        }
    };
    answer.size = head.size();
    answer.checkpoint = String::from_utf8_lossy(&head.to_bytes()).into_owned();
    let (from, count) = (span.base.saturating_add(range.from), range.count.min(head.size().saturating_sub(range.from)));
    let mut bytes = 0;
    for entry in node.read(|s| s.entries(from, count))? {
        let parsed = escrow_audit::entry::Entry::decode(&entry).map_err(|e| Fault::Internal(e.to_string()))?;
        bytes += entry.len();
        if let Some(r) = &parsed.statement
            && let Some(e) = node.read(|s| s.envelope(&Digest(r.env)))?
        {
            bytes += e.len();
            if let Some(context) =
                Envelope::parse(&e).ok().and_then(|e| e.decode::<Verdict>().ok()).and_then(|v| v.context)
            {
                answer.attachments.extend(node.read(|s| s.attachment(&context))?.map(Blob));
            }
            answer.statements.push(Blob(e));
        }
        let event: Option<Event> = serde_json::from_value(serde_json::Value::Object(parsed.body)).ok();
        match event {
            Some(Event::Authorized { permits, answers, .. }) => {
                for digest in permits.iter().chain(&answers) {
                    answer.statements.extend(node.statement(digest).map(Blob));
                }
            }
            Some(Event::Delivered { note, .. }) => {
                answer.attachments.extend(node.read(|s| s.attachment(&note))?.map(Blob));
            }
            Some(Event::Misbehaviour { first, second, .. }) => {
                for digest in [first, second] {
                    answer.attachments.extend(node.read(|s| s.attachment(&digest))?.map(Blob));
                }
            }
            _ => {}
        }
        answer.entries.push(Blob(entry));
        if bytes > PAGE_BYTES {
            break;
        }
    }
    Ok(answer)
}

async fn views(node: &Arc<Node>, nonce: Nonce) -> Result<ViewsAnswer, Fault> {
    // Peers get the head first, so that their views cover what is being exported.
    let size = node.writer.head().map_or(0, |h| h.size());
    node.cosign_round(size, usize::MAX, None).await;
    let views = node.writer.run(move |e| e.views(nonce)).await?.into_inner()?;
    let note = node.cosigned().ok_or_else(|| Fault::Internal("no checkpoint".into()))?;
    Ok(ViewsAnswer {
        checkpoint: String::from_utf8_lossy(&note.to_bytes()).into_owned(),
        views: views.iter().map(|v| Blob(v.bytes().to_vec())).collect(),
    })
}
