//! What one log entry means for the cases of a custody report.

use super::custody::*;
use super::trace::{Line, Trace};
use super::who::Who;
use escrow_core::consent::{Consent, Withdrawal};
use escrow_core::decision::Decision;
use escrow_core::deposit::Deposit;
use escrow_core::enrolment::{Enrolment, Revocation, Revoked};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::query::{Query, Question};
use escrow_core::recovery::Veto;
use escrow_core::release::{Caller, Release, ReleaseCall};
use escrow_core::request::Cancellation;
use escrow_core::verdict::Verdict;
use escrow_core::{Code, Digest, Envelope, Kind, Nonce, PersonId, Timestamp};
use escrow_policy::Event as Logged;
use std::collections::{BTreeMap, BTreeSet};

type Details = BTreeMap<&'static str, String>;

/// Takes an entry in; false if it concerns the report and this log has had its part.
pub(super) fn entry(t: &mut Trace<'_>, line: &Line<'_>) -> bool {
    match line.entry.kind.as_str() {
        "query" => query(t, line),
        "charter.accepted" => accepted(t, line),
        "log.continued" | "clock.anomaly" | "misbehaviour" => incident(t, line),
        kind if kind.starts_with("release.") => release(t, line),
        _ => statement(t, line),
    }
}

fn statement(t: &mut Trace<'_>, line: &Line<'_>) -> bool {
    let Some(digest) = line.entry.statement.as_ref().map(|s| Digest(s.env)) else { return true };
    if t.ignored.contains(&digest) {
        return true;
    }
    if !t.acts.contains_key(&digest) {
        let Some((event, cases)) = t.statement(&digest).and_then(|e| read(t, &digest, &e)) else {
            t.ignored.insert(digest);
            return true;
        };
        t.acts.insert(digest, (event, cases));
    }
    let asks = matches!(line.entry.kind.as_str(), "request" | "self-recovery");
    t.asked |= asks;
    let room = t.room();
    if let Some((event, _)) = t.acts.get_mut(&digest).filter(|_| room) {
        event.positions.push(line.position);
    }
    room
}

/// What a statement says, and which cases it concerns; none if no case.
fn read(t: &mut Trace<'_>, digest: &Digest, e: &Envelope) -> Option<(Event, BTreeSet<usize>)> {
    let case = |d: &Digest| t.by_request.get(d).map(|at| BTreeSet::from([*at]));
    let person = |id: &PersonId| Caller::Person(id.clone());
    let said = |act: &str, caller: &Caller, stated, details| {
        let signed = Who::signed(e, &t.who.keys(caller));
        event(act, vec![t.who.caller(caller)], e, signed, stated, details)
    };
    let (event, cases) = match e.kind() {
        Kind::Request | Kind::SelfRecovery => {
            let cases = case(&e.digest())?;
            let at = *cases.first()?;
            let (asked, caller) = (t.out.cases.get(at)?, t.hooks.get(at)?.callers.first()?);
            let details = Details::from([("items", asked.items_asked.to_string())]);
            (said(e.kind().name(), caller, Some(asked.created), details), cases)
        }
        Kind::Decision => {
            let d: Decision = e.decode().ok()?;
            let (cases, caller) = (case(&d.request)?, person(&d.by));
            let details = Details::from([("role", d.role.to_string()), ("reason", d.reason.to_string())]);
            let event = said(d.choice.name(), &caller, Some(d.at), details);
            for at in &cases {
                if let Some(hooks) = t.hooks.get_mut(*at).filter(|h| !h.callers.contains(&caller)) {
                    hooks.callers.push(caller.clone());
                }
            }
            (event, cases)
        }
        Kind::Veto => {
            let v: Veto = e.decode().ok()?;
            let details = Details::from([("reason", v.reason.to_string())]);
            (said("veto", &v.by, Some(v.at), details), case(&v.recovery)?)
        }
        Kind::Cancellation => {
            let c: Cancellation = e.decode().ok()?;
            (said("cancellation", &person(&c.by), Some(c.at), Details::new()), case(&c.request)?)
        }
        Kind::Verdict => {
            let v: Verdict = e.decode().ok()?;
            let cases = case(&v.request)?;
            let signed = Who::signed(e, &t.who.seat_keys(v.seat));
            (event("verdict", vec![t.who.node(v.seat)], e, signed, Some(v.decided), verdict(t, &v)), cases)
        }
        Kind::Matter => {
            let m: Matter = e.decode().ok()?;
            let act = match m.action {
                MatterAction::Open => "matter-open",
                MatterAction::Close => "matter-close",
                MatterAction::Reopen => "matter-reopen",
            };
            let cases: BTreeSet<usize> = t.matters(&m.matter).collect();
            let details = Details::from([("matter", m.matter.to_string())]);
            (said(act, &person(&m.by), Some(m.at), details), cases)
        }
        Kind::Withdrawal => {
            let w: Withdrawal = e.decode().ok()?;
            let cases = t.by_consent.get(&w.consent)?.clone();
            let (by, signed) = t.who.signers(e);
            (event("withdrawal", by, e, signed, Some(w.at), Details::from([("consent", w.consent.to_string())])), cases)
        }
        Kind::Consent => {
            let cases = t.by_consent.get(&e.digest())?.clone();
            let c: Consent = e.decode().ok()?;
            let (by, signed) = t.who.signers(e);
            (event("consent", by, e, signed, Some(c.record.event_time), consent(&c)), cases)
        }
        Kind::Deposit => {
            let cases = t.by_deposit.get(&e.digest())?.clone();
            let d: Deposit = e.decode().ok()?;
            let (by, signed) = t.who.signers(e);
            let details = Details::from([("custodian", d.depositor.to_string())]);
            (event("deposit", by, e, signed, Some(d.at), details), cases)
        }
        Kind::Enrolment => {
            let is = |h: &super::trace::Hooks| h.enrolment == Some(e.digest());
            let cases: BTreeSet<usize> = t.hooks.iter().enumerate().filter(|(_, h)| is(h)).map(|(at, _)| at).collect();
            let n: Enrolment = e.decode().ok()?;
            let (by, signed) = t.who.signers(e);
            let details = Details::from([("devices", n.devices.len().to_string())]);
            (event("enrolment", by, e, signed, None, details), cases)
        }
        Kind::Revocation => {
            let r: Revocation = e.decode().ok()?;
            let what = match &r.revokes {
                Revoked::Enrolment(d) => format!("enrolment {d}"),
                Revoked::Key(k) => format!("key {}", k.id()),
            };
            let details = Details::from([("revokes", what), ("reason", r.reason.to_string())]);
            let (by, signed) = t.who.signers(e);
            t.revoked.insert(*digest, r.revokes);
            return Some((event("revocation", by, e, signed, Some(r.at), details), BTreeSet::new()));
        }
        Kind::Charter
        | Kind::ReleaseCall
        | Kind::Receipt
        | Kind::Release
        | Kind::RestrictionAnswer
        | Kind::View
        | Kind::Query
        | Kind::Notification => return None,
    };
    (!cases.is_empty()).then_some((event, cases))
}

fn event(
    act: &str,
    by: Vec<Actor>,
    e: &Envelope,
    signed: Signed,
    stated: Option<Timestamp>,
    details: Details,
) -> Event {
    Event { act: act.into(), by, statement: Some(e.digest()), signed: Some(signed), stated, details, positions: vec![] }
}

fn listed<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn consent(c: &Consent) -> Details {
    let mut details = Details::from([
        ("basis", c.basis.name().to_owned()),
        ("custodian", c.subject.to_string()),
        ("purposes", listed(&c.purposes)),
        ("expires", c.expires.to_string()),
    ]);
    if let Some(a) = &c.authority {
        details.insert("authority", format!("{}, document {}", a.reference, a.document));
    }
    details
}

/// Outcome, what it rests on, and which policies determined it.
fn verdict(t: &Trace<'_>, v: &Verdict) -> Details {
    let mut details = Details::from([("outcome", v.outcome.name().to_owned())]);
    if !v.reasons.is_empty() {
        details.insert("reasons", listed(&v.reasons));
    }
    let lacking: Vec<String> = v.lacking.iter().map(|l| format!("{}: {} of {}", l.what, l.have, l.need)).collect();
    if !lacking.is_empty() {
        details.insert("lacking", lacking.join(", "));
    }
    if !v.decisions.is_empty() {
        details.insert("decisions", v.decisions.len().to_string());
    }
    let policies = v.policies.iter().map(|p| {
        let id = t.who.policy(&p.policy).map_or("unlisted", Code::as_str);
        let when = if p.current { "in force" } else { "as agreed" };
        let how = if p.allowed { "allows" } else { "does not allow" };
        let rules = if p.determining.is_empty() { "no rule".into() } else { listed(&p.determining) };
        format!("{id} ({when}, text {}) {how} by {rules}", p.policy)
    });
    let policies: Vec<String> = policies.collect();
    if !policies.is_empty() {
        details.insert("policies", policies.join("; "));
    }
    details
}

fn release(t: &mut Trace<'_>, line: &Line<'_>) -> bool {
    let Some(body) = Trace::own(line) else { return true };
    let (request, act) = match &body {
        Logged::Authorized { request, .. } => (*request, "release-authorised"),
        Logged::Delivered { request, .. } => (*request, "release-delivered"),
        Logged::Aborted { request, .. } => (*request, "release-aborted"),
        _ => return true,
    };
    let Some(at) = t.by_request.get(&request).copied() else { return true };
    let envelope = line.entry.statement.as_ref().and_then(|s| t.statement(&Digest(s.env)));
    let node = t.who.node(line.position.seat);
    let mut details = Details::new();
    let (mut by, mut signed, mut stated) = (vec![node.clone()], None, None);
    match &body {
        Logged::Authorized { decisions, permits, answers, .. } => {
            details.insert("decisions", decisions.len().to_string());
            details.insert("permits", permits.len().to_string());
            details.insert("answers", answers.len().to_string());
            if let Some((e, call)) = envelope.as_ref().and_then(|e| Some((e, e.decode::<ReleaseCall>().ok()?))) {
                by.insert(0, t.who.caller(&call.by));
                signed = Some(Who::signed(e, &t.who.keys(&call.by)));
                stated = Some(call.at);
            }
        }
        Logged::Aborted { authorized, reason, .. } => {
            details.insert("authorised", authorized.to_string());
            details.insert("reason", reason.to_string());
        }
        Logged::Delivered { authorized, note, reply, attempt, .. } => {
            details.insert("authorised", authorized.to_string());
            details.insert("attempt", attempt.to_string());
            details.insert("reply", reply.to_string());
            let said = envelope.as_ref().and_then(|e| e.decode::<Release>().ok());
            signed = envelope.as_ref().map(|e| Who::signed(e, &t.who.seat_keys(line.position.seat)));
            let row = Released {
                by: node,
                attempt: *attempt,
                items: said.as_ref().map(|r| r.items.len() as u64),
                reply: *reply,
                sealed_to: said.as_ref().map(|r| r.recipient),
                as_asked: said.as_ref().and_then(|r| Some(t.out.cases.get(at)?.sealed_to == r.recipient)),
                note: *note,
                signed: signed.clone(),
                position: line.position,
            };
            if !t.room() {
                return false;
            }
            if let Some(case) = t.out.cases.get_mut(at) {
                case.released.push(row);
            }
        }
        _ => {}
    }
    if !t.room() {
        return false;
    }
    if let Some(case) = t.out.cases.get_mut(at) {
        let statement = line.entry.statement.as_ref().map(|s| Digest(s.stmt));
        let positions = vec![line.position];
        case.events.push(Event { act: act.into(), by, statement, signed, stated, details, positions });
    }
    true
}

fn query(t: &mut Trace<'_>, line: &Line<'_>) -> bool {
    let Some(envelope) = line.entry.statement.as_ref().and_then(|s| t.statement(&Digest(s.env))) else { return true };
    let Ok(q) = envelope.decode::<Query>() else { return true };
    let concerns = match &q.what {
        Question::Views(nonce) => return exported(t, line, &envelope, &q.by, *nonce, None),
        Question::Exported(e) => {
            let named = e.requests.is_empty() || e.requests.iter().any(|r| t.by_request.contains_key(r));
            return !named || exported(t, line, &envelope, &q.by, e.export, Some(e.bundle));
        }
        Question::Evaluate(request) => t.by_request.contains_key(request),
        Question::Preview(request) => t.hooks.iter().any(|h| h.asked.as_ref() == Some(request)),
        Question::Items(scope) => t.out.cases.iter().any(|c| c.threads.iter().any(|x| scope.threads.contains(x))),
        Question::ItemsOf(of) => t.out.cases.iter().zip(&t.hooks).any(|(c, h)| {
            let chosen = h.asked.as_ref().and_then(|r| r.selection.as_ref());
            let deposited = c.items.iter().filter_map(|i| i.about.as_ref()).map(|a| &a.custodian);
            chosen.into_iter().flat_map(|s| &s.custodians).chain(deposited).any(|t| of.custodians.contains(t))
        }),
        Question::Matters | Question::Requests | Question::Recoveries | Question::Entries(_) => t.asked,
        Question::Own | Question::Activity | Question::Consents => false,
    };
    if !concerns {
        return true;
    }
    let by = t.who.caller(&q.by);
    let verified = Who::signed(&envelope, &t.who.keys(&q.by)).verified;
    let (what, at) = (q.what.name(), line.position);
    let key = (at.seat, at.log, by.clone(), what);
    if let Some(known) = t.reads.get_mut(&key) {
        known.count = known.count.saturating_add(1);
        known.verified &= verified;
        known.last = at;
        return true;
    }
    let room = t.room();
    if room {
        t.reads.insert(key, Reads { by, what, count: 1, verified, first: at, last: at });
    }
    room
}

fn exported(
    t: &mut Trace<'_>,
    line: &Line<'_>,
    envelope: &Envelope,
    by: &Caller,
    export: Nonce,
    bundle: Option<Digest>,
) -> bool {
    if !t.room() {
        return false;
    }
    let verified = Who::signed(envelope, &t.who.keys(by)).verified;
    let by = t.who.caller(by);
    let this = export == t.out.export;
    let known = t.exports.entry((export, bundle, by.clone()));
    let known = known.or_insert(ExportOnRecord { by, export, this, bundle, verified, positions: vec![] });
    known.verified &= verified;
    known.positions.push(line.position);
    true
}

fn accepted(t: &mut Trace<'_>, line: &Line<'_>) -> bool {
    let Some(Logged::CharterAccepted { charter }) = Trace::own(line) else { return true };
    if !t.room() {
        return false;
    }
    if let Some(version) = t.out.charters.iter_mut().find(|c| c.digest == charter) {
        version.accepted.push(line.position);
    }
    true
}

fn incident(t: &mut Trace<'_>, line: &Line<'_>) -> bool {
    let detail = match Trace::own(line) {
        Some(Logged::Continued { log, size, root, .. }) => {
            format!("this log goes on from {log}, of which the node still had {size} entries, root {root}")
        }
        Some(Logged::Clock { by_ms }) => format!("the node's wall clock moved by {by_ms} ms against its steady clock"),
        Some(Logged::Misbehaviour { origin, first, second }) => {
            format!("two signed heads of {origin} contradict each other: notes {first} and {second}")
        }
        _ => return true,
    };
    if !t.room() {
        return false;
    }
    t.out.incidents.push(Incident { what: line.entry.kind.clone(), detail, position: line.position });
    true
}
