//! The gate: permit, pending or refuse, explained.
//!
//! Pure: facts, a request and a time go in. The same function serves a verdict, both evaluations
//! of a release, and the offline verifier's replay.

use crate::admit::{Verified, covered, verify_seat_statement, within_limits};
use crate::cedar::{self, Parsed};
use crate::charter::VerifiedCharter;
use crate::context::{self, Circumstances, Counters, Participants};
use crate::facts::{Fact, Facts, ItemFact, Logged, RequestFact};
use crate::floor::{self, APPROVERS, Case, Passed};
use crate::refusal::{Refusal, Rule, require};
use escrow_core::charter::{Basis, Charter, Generation, SealingKey};
use escrow_core::consent::Consent;
use escrow_core::deal::Participant;
use escrow_core::limits::AUTHORISATION_LIFE_S;
use escrow_core::release::ReleaseCall;
use escrow_core::request::{Notice, Request};
use escrow_core::restriction::RestrictionAnswer;
use escrow_core::verdict::{Lacking, Outcome, PolicyResult, Verdict};
use escrow_core::{Code, Digest, Envelope, PublicKey, SeatIndex, Timestamp, Token};
use std::collections::{BTreeMap, BTreeSet};

/// What the gate found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The answer.
    pub outcome: Outcome,
    /// What is lacking, when pending.
    pub lacking: Vec<Lacking>,
    /// Why not, when refused.
    pub refusals: Vec<Refusal>,
    /// Every policy text evaluated.
    pub policies: Vec<PolicyResult>,
    /// Decisions counted, sorted.
    pub decisions: Vec<Digest>,
    /// The exact context bytes; none if the floor refused before.
    pub context: Option<Vec<u8>>,
}

impl Evaluation {
    fn refused(refusal: Refusal) -> Self {
        Self {
            outcome: Outcome::Refuse,
            lacking: vec![],
            refusals: vec![refusal],
            policies: vec![],
            decisions: vec![],
            context: None,
        }
    }

    /// Codes of the refusals, as verdicts carry them.
    pub fn reasons(&self) -> Vec<Code> {
        self.refusals.iter().filter_map(|r| r.rule.code().parse().ok()).collect()
    }
}

/// Evaluates a request at a time, from everything this node has logged.
pub fn evaluate(facts: &Facts, request: &Digest, at: Timestamp) -> Evaluation {
    match floor::check(facts, request, at) {
        Ok(passed) => evaluate_passed(facts, &passed, at).unwrap_or_else(Evaluation::refused),
        Err(refusal) => Evaluation::refused(refusal),
    }
}

/// What the gate would say to a request that nobody has submitted, were it logged now, signed by
/// this key of its requestor.
pub fn preview(facts: &Facts, request: &Request, key: &PublicKey, at: Timestamp) -> Evaluation {
    let logged = Logged { seq: facts.size(), at };
    let asked = Fact { statement: request.clone(), digest: Digest([0; 32]), logged };
    let fact = RequestFact { request: Some((asked, key.clone())), ..RequestFact::default() };
    let evaluated = floor::charter_settled(facts)
        .and_then(|charter| within_limits(facts, charter, request, at))
        .and_then(|()| floor::request(facts, &fact, at))
        .and_then(|passed| evaluate_passed(facts, &passed, at));
    evaluated.unwrap_or_else(Evaluation::refused)
}

/// One policy text to evaluate.
struct Text {
    digest: Digest,
    current: bool,
    parsed: Parsed,
}

fn evaluate_passed(facts: &Facts, passed: &Passed<'_>, at: Timestamp) -> Result<Evaluation, Refusal> {
    let texts = texts(facts, passed)?;
    if passed.recipient_is_requestor {
        require(texts.iter().all(|t| t.parsed.allows_requestor_as_recipient()), Rule::RecipientIsRequestor, || {
            "the policy does not allow the requestor to be the recipient; name another recipient".into()
        })?;
    }
    let circumstances = circumstances(facts, passed, at);
    let now = counters_now(passed, at);
    let bytes = context::bytes(&circumstances, &now);
    let judge = |n: &Counters| judge(&texts, &circumstances, n);

    let (allowed, policies, errors) = judge(&now)?;
    let mut evaluation = Evaluation {
        outcome: Outcome::Permit,
        lacking: vec![],
        refusals: vec![],
        policies,
        decisions: decisions(passed),
        context: Some(bytes),
    };
    if let Some(e) = errors.first() {
        evaluation.outcome = Outcome::Refuse;
        evaluation.refusals = vec![Refusal::new(Rule::PolicyError, format!("a policy could not be evaluated: {e}"))];
    } else if !allowed {
        let most = counters_most(passed, &now);
        if judge(&most)?.0 {
            evaluation.lacking = lacking(&now, &most, &|n| judge(n).map(|j| j.0))?;
        }
        evaluation.outcome = if evaluation.lacking.is_empty() { Outcome::Refuse } else { Outcome::Pending };
        if evaluation.lacking.is_empty() {
            let detail = "the policy denies this request, and no approval or waiting would change that";
            evaluation.refusals = vec![Refusal::new(Rule::PolicyDenies, detail)];
        }
    }
    Ok(evaluation)
}

/// Each distinct text agreed at deposit for the request's policy id, then today's text.
fn texts(facts: &Facts, passed: &Passed<'_>) -> Result<Vec<Text>, Refusal> {
    let id = passed.case.policy();
    let today = passed.charter.policy(id);
    let today =
        today.ok_or_else(|| Refusal::new(Rule::PolicyUnknown, format!("policy {id} is gone from the charter")))?;
    let agreed: BTreeSet<Digest> =
        passed.items.iter().flat_map(|i| &i.policies).filter(|p| p.id == *id).map(|p| p.digest).collect();
    let mut out = Vec::new();
    let ids = agreed.into_iter().map(|d| (d, false)).chain(std::iter::once((today.digest(), true)));
    for (digest, current) in ids {
        let text = facts.policy_text(&digest).ok_or_else(|| {
            Refusal::new(
                Rule::PolicyUnknown,
                format!("the agreed text {} of policy {id} is not known here", digest.short()),
            )
        })?;
        let parsed = cedar::parse(text, &passed.charter.approver_roles)
            .map_err(|e| Refusal::new(Rule::PolicyError, format!("policy {id}: {e}")))?;
        out.push(Text { digest, current, parsed });
    }
    Ok(out)
}

type Judgement = (bool, Vec<PolicyResult>, Vec<String>);

/// True only if every text allows without error and the floor's number of approvers is met.
fn judge(texts: &[Text], c: &Circumstances, n: &Counters) -> Result<Judgement, Refusal> {
    let bytes = context::bytes(c, n);
    let mut results = Vec::with_capacity(texts.len());
    let mut errors = Vec::new();
    for t in texts {
        let e = match c {
            Circumstances::Release(c) => t.parsed.evaluate(&c.requestor, &c.matter, &bytes),
            Circumstances::Recover(c) => t.parsed.evaluate_recovery(&c.device, &c.org, &bytes),
        };
        let e = e.map_err(|e| Refusal::new(Rule::PolicyError, e.to_string()))?;
        errors.extend(e.errors);
        results.push(PolicyResult {
            policy: t.digest,
            current: t.current,
            allowed: e.allowed,
            determining: e.determining,
        });
    }
    let allowed = !results.is_empty() && results.iter().all(|r| r.allowed) && n.approvers >= APPROVERS;
    Ok((allowed, results, errors))
}

fn circumstances(facts: &Facts, passed: &Passed<'_>, at: Timestamp) -> Circumstances {
    let wanted: BTreeSet<_> = passed.case.items().iter().collect();
    let overlaps = |f: &RequestFact| f.items().iter().any(|i| wanted.contains(i));
    let others = || facts.requests().filter(|(d, f)| **d != passed.digest && overlaps(f)).map(|(_, f)| f);
    // A subject must not learn by recovering of requests whose notice is delayed.
    let told = |f: &&RequestFact| matches!(passed.case, Case::Release(_)) || f.recovery.is_some();
    let earlier_denials = others().filter(told).filter(|f| f.denial().is_some() || f.veto().is_some()).count() as u64;
    let earlier_releases = others().filter(told).filter(|f| !f.delivered.is_empty()).count() as u64;
    let items = wanted.len() as u64;
    match passed.case {
        Case::Release(r) => {
            let bases = passed.items.iter().filter_map(|i| facts.consent(&i.consent)).map(|c| c.statement.basis);
            let bases: BTreeSet<_> = bases.collect();
            Circumstances::Release(context::Release {
                requestor: r.by.clone(),
                matter: r.matter.clone(),
                authority: r.authority.is_some(),
                basis: r.basis,
                consent_bases: bases.into_iter().collect(),
                consents: participants(facts, passed, &r.purpose, at),
                earlier_denials,
                earlier_releases,
                items,
                notice: if matches!(r.notice, Notice::Immediate) { "immediate" } else { "delayed" },
                notice_days: match &r.notice {
                    Notice::Immediate => 0,
                    Notice::Delayed(d) => days(r.created, d.until),
                },
                purpose: r.purpose.clone(),
                recipient: r.recipient.name(),
                recipient_is_requestor: passed.recipient_is_requestor,
                span_days: days(r.scope.from, r.scope.to),
                threads: r.scope.threads.len() as u64,
            })
        }
        Case::Recovery { recovery, device } => {
            let threads: BTreeSet<_> = passed.items.iter().map(|i| i.about.thread).collect();
            let age = passed.logged_at.seconds_since(device.logged.at.max(device.from));
            Circumstances::Recover(context::Recover {
                org: recovery.org.clone(),
                device: recovery.key.id(),
                device_age_before: u64::try_from(age).unwrap_or(0),
                earlier_denials,
                earlier_releases,
                items,
                other_devices: facts.other_devices(&recovery.subject, &recovery.key, at),
                threads: threads.len() as u64,
            })
        }
    }
}

/// Days between two instants, rounded up; 0 if the second is not later.
fn days(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.millis().saturating_sub(from.millis())).unwrap_or(0).div_ceil(86_400_000)
}

/// Participants other than the depositors: inside with a consent of their own, inside without, outside.
fn participants(facts: &Facts, passed: &Passed<'_>, purpose: &Code, at: Timestamp) -> Participants {
    let depositors: BTreeSet<_> = passed.items.iter().map(|i| i.depositor).collect();
    let mut others: BTreeSet<&Participant> = BTreeSet::new();
    let mut in_items: BTreeMap<Token, Vec<&ItemFact>> = BTreeMap::new();
    for item in &passed.items {
        for p in item.about.participants.iter().filter(|p| !depositors.contains(&p.token)) {
            others.insert(p);
            in_items.entry(p.token).or_default().push(item);
        }
    }
    let mut consents = Participants::default();
    for p in others {
        // Their own consent, for this purpose, for every requested item that they are in.
        let live: Vec<&Fact<Consent>> = facts
            .consents_of(&p.token)
            .filter(|c| {
                c.statement.basis == Basis::Consent
                    && c.statement.purposes.contains(purpose)
                    && at < c.statement.expires
                    && facts.withdrawal(&c.digest).is_none()
            })
            .collect();
        let theirs = in_items.get(&p.token).map(Vec::as_slice).unwrap_or_default();
        let consented = || theirs.iter().all(|i| live.iter().any(|c| covered(&c.statement, &i.about).is_ok()));
        match (p.inside, p.inside && consented()) {
            (false, _) => consents.outside += 1,
            (true, true) => consents.consented += 1,
            (true, false) => consents.informed += 1,
        }
    }
    consents
}

fn counters_now(passed: &Passed<'_>, at: Timestamp) -> Counters {
    let mut approvals: BTreeMap<_, u64> = passed.charter.approver_roles.iter().map(|r| (r.clone(), 0)).collect();
    for (role, _) in passed.approvals.counted.values() {
        *approvals.entry((*role).clone()).or_default() += 1;
    }
    Counters {
        approvals,
        approvers: passed.approvals.counted.len() as u64,
        waited_seconds: u64::try_from(at.seconds_since(passed.logged_at)).unwrap_or(0),
    }
}

/// Every counter at the most it can reach before the request expires.
fn counters_most(passed: &Passed<'_>, now: &Counters) -> Counters {
    let wait = u64::try_from(passed.case.expires().seconds_since(passed.logged_at)).unwrap_or(0);
    let most = |role, have: u64| passed.approvals.eligible.get(role).copied().unwrap_or(0).max(have);
    Counters {
        approvals: now.approvals.iter().map(|(r, have)| (r.clone(), most(r, *have))).collect(),
        approvers: passed.approvals.eligible_people.max(now.approvers),
        waited_seconds: wait.max(now.waited_seconds),
    }
}

/// For each counter the least value that would do, everything else being at its most. Where a
/// policy leaves a choice (one of two offices) no counter is lacking by that measure; then one way
/// is named: each is lowered in turn and stays low.
fn lacking(
    now: &Counters,
    most: &Counters,
    allowed: &dyn Fn(&Counters) -> Result<bool, Refusal>,
) -> Result<Vec<Lacking>, Refusal> {
    let alone = lowered(now, most, allowed, false)?;
    if alone.is_empty() { lowered(now, most, allowed, true) } else { Ok(alone) }
}

fn lowered(
    now: &Counters,
    most: &Counters,
    allowed: &dyn Fn(&Counters) -> Result<bool, Refusal>,
    stay: bool,
) -> Result<Vec<Lacking>, Refusal> {
    let mut out = Vec::new();
    let mut rest = most.clone();
    let mut look = |what: String, have: u64, top: u64, set: &dyn Fn(&mut Counters, u64)| -> Result<(), Refusal> {
        let would_do = |v: u64| {
            let mut n = rest.clone();
            set(&mut n, v);
            allowed(&n)
        };
        let mut need = have;
        if have < top && !would_do(have)? {
            let mut high = top;
            need += 1;
            while need < high {
                let middle = need + (high - need) / 2;
                if would_do(middle)? { high = middle } else { need = middle + 1 }
            }
            if let Ok(what) = what.parse() {
                out.push(Lacking { what, have, need });
            }
        }
        if stay {
            set(&mut rest, need);
        }
        Ok(())
    };
    for (role, have) in &now.approvals {
        let top = most.approvals.get(role).copied().unwrap_or(0);
        look(format!("approvals.{role}"), *have, top, &|n, v| {
            n.approvals.insert(role.clone(), v);
        })?;
    }
    look("approvers".into(), now.approvers, most.approvers, &|n, v| n.approvers = v)?;
    look("waited_seconds".into(), now.waited_seconds, most.waited_seconds, &|n, v| n.waited_seconds = v)?;
    Ok(out)
}

/// The right to seal one reply. Only [`authorise`] and [`deliver`] make one.
#[derive(Debug)]
#[non_exhaustive] // no other crate can make one
pub struct Permit {
    /// The request.
    pub request: Digest,
    /// Its items, in request order.
    pub items: Vec<escrow_core::ItemId>,
    /// Generation of the items.
    pub generation: u32,
    /// The one key that the reply may be sealed to.
    pub recipient: SealingKey,
    /// Decisions counted.
    pub decisions: Vec<Digest>,
}

/// What a node has gathered before it authorises a release.
#[derive(Debug)]
pub struct Gathered<'a> {
    /// Fresh permits of other seats.
    pub permits: &'a [Envelope],
    /// Signed answers of peers about restrictions.
    pub answers: &'a [Envelope],
}

/// Authorises a release: enough fresh permits of other seats, enough answers of peers with every
/// restriction they name known here, and the gate permits now.
///
/// # Errors
/// [`Refusal`] naming the rule that stops it.
pub fn authorise(
    facts: &Facts,
    call: &Verified<ReleaseCall>,
    gathered: &Gathered<'_>,
    at: Timestamp,
) -> Result<Permit, Refusal> {
    let permit = permit(facts, &call.statement().request, at)?;
    check_gathered(facts, &permit.request, permit.generation, gathered, at)?.enough()?;
    Ok(permit)
}

/// Who permitted and who answered about restrictions, beside the node itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing is released before there are enough of them"]
pub struct Peers {
    permitted: BTreeSet<SeatIndex>,
    answered: BTreeSet<SeatIndex>,
    need: usize,
}

impl Peers {
    /// Holds if there are w of each.
    ///
    /// # Errors
    /// [`Rule::PermitsMissing`], [`Rule::AnswerInvalid`].
    pub fn enough(&self) -> Result<(), Refusal> {
        let Self { permitted, answered, need } = self;
        require(permitted.len() >= *need, Rule::PermitsMissing, || {
            format!("{} fresh permits of other nodes presented, {need} needed", permitted.len())
        })?;
        require(answered.len() >= *need, Rule::AnswerInvalid, || {
            format!("{} of {need} peers answered about restrictions", answered.len())
        })
    }
}

/// The part of [`authorise`] that needs no policy engine: each permit of another seat and each answer of a
/// peer about a request whose items are of `generation`. Whether they are [`Peers::enough`] is another question.
///
/// # Errors
/// [`Refusal`] naming the rule that the first bad one breaks.
pub fn check_gathered(
    facts: &Facts,
    request: &Digest,
    generation: u32,
    gathered: &Gathered<'_>,
    at: Timestamp,
) -> Result<Peers, Refusal> {
    let charter = floor::charter_settled(facts)?;
    let generation = charter.generation(generation);
    let generation = generation.ok_or_else(|| Refusal::new(Rule::Generation, "the items' generation is retired"))?;
    Ok(Peers {
        permitted: check_permits(facts, charter, request, generation, gathered.permits, at)?,
        answered: check_answers(facts, charter, request, generation, gathered.answers, at)?,
        need: generation.w(),
    })
}

/// What the facts say about a request that passes the hard floor, before any policy is asked:
/// the record that a verifier can recompute without a policy engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The exact context bytes.
    pub context: Vec<u8>,
    /// Decisions counted, sorted.
    pub decisions: Vec<Digest>,
    /// Distinct people approving.
    pub approvers: u64,
    /// The items, in request order.
    pub items: Vec<escrow_core::ItemId>,
    /// Their generation.
    pub generation: u32,
    /// The one key that replies may be sealed to.
    pub recipient: SealingKey,
}

/// Applies the hard floor and counts.
///
/// # Errors
/// [`Refusal`] of the floor.
pub fn count(facts: &Facts, request: &Digest, at: Timestamp) -> Result<Counted, Refusal> {
    let passed = floor::check(facts, request, at)?;
    let now = counters_now(&passed, at);
    Ok(Counted {
        context: context::bytes(&circumstances(facts, &passed, at), &now),
        decisions: decisions(&passed),
        approvers: now.approvers,
        items: passed.case.items().to_vec(),
        generation: passed.items.first().map_or(0, |i| i.generation),
        recipient: passed.recipient.clone(),
    })
}

fn decisions(passed: &Passed<'_>) -> Vec<Digest> {
    let sorted: BTreeSet<Digest> = passed.approvals.counted.values().map(|(_, d)| *d).collect();
    sorted.into_iter().collect()
}

/// Evaluates afresh at delivery.
///
/// # Errors
/// [`Refusal`] naming the rule that stops it.
pub fn deliver(facts: &Facts, request: &Digest, at: Timestamp) -> Result<Permit, Refusal> {
    permit(facts, request, at)
}

fn permit(facts: &Facts, request: &Digest, at: Timestamp) -> Result<Permit, Refusal> {
    let passed = floor::check(facts, request, at)?;
    let evaluation = evaluate_passed(facts, &passed, at)?;
    match evaluation.outcome {
        Outcome::Permit => Ok(Permit {
            request: *request,
            items: passed.case.items().to_vec(),
            generation: passed.items.first().map_or(0, |i| i.generation),
            recipient: passed.recipient.clone(),
            decisions: evaluation.decisions,
        }),
        Outcome::Pending => Err(Refusal::new(Rule::Pending, describe(&evaluation.lacking))),
        Outcome::Refuse => {
            let first = evaluation.refusals.into_iter().next();
            Err(first.unwrap_or_else(|| Refusal::new(Rule::PolicyDenies, "refused")))
        }
    }
}

/// What is lacking, in words.
pub fn describe(lacking: &[Lacking]) -> String {
    let one = |l: &Lacking| match l.what.as_str().strip_prefix("approvals.") {
        Some(role) => format!("{} more approval(s) by role {role}", l.need.saturating_sub(l.have)),
        None if l.what.as_str() == "approvers" => {
            format!("{} more approver(s), different people", l.need.saturating_sub(l.have))
        }
        None => format!("{} more seconds of waiting", l.need.saturating_sub(l.have)),
    };
    format!("still lacking: {}", lacking.iter().map(one).collect::<Vec<_>>().join("; "))
}

impl<'a> Gathered<'a> {
    /// What of it can be used now, so that one seat's bad permit or answer stops nobody: the rest
    /// is left out before anything is authorised.
    pub fn usable(&self, facts: &Facts, request: &Digest, at: Timestamp) -> (Vec<Envelope>, Vec<Envelope>) {
        let generation = facts.charter().map(VerifiedCharter::charter).and_then(|charter| {
            let item = facts.request(request)?.items().first().and_then(|i| facts.item(i))?;
            Some((charter, charter.generation(item.generation)?))
        });
        let Some((charter, generation)) = generation else { return (vec![], vec![]) };
        let one =
            |e: &&Envelope| check_permits(facts, charter, request, generation, std::slice::from_ref(*e), at).is_ok();
        let permits = self.permits.iter().filter(one).cloned().collect();
        let one =
            |e: &&Envelope| check_answers(facts, charter, request, generation, std::slice::from_ref(*e), at).is_ok();
        let answers = self.answers.iter().filter(one).cloned().collect();
        (permits, answers)
    }
}

/// The other member seats that permit, each for this request, under this charter version, fresh now.
fn check_permits(
    facts: &Facts,
    charter: &Charter,
    request: &Digest,
    generation: &Generation,
    permits: &[Envelope],
    at: Timestamp,
) -> Result<BTreeSet<SeatIndex>, Refusal> {
    let mut seats: BTreeSet<SeatIndex> = BTreeSet::new();
    for envelope in permits {
        let claimed: Verdict = envelope.decode().map_err(|e| Refusal::new(Rule::PermitInvalid, e.to_string()))?;
        let v: Verified<Verdict> = verify_seat_statement(facts, envelope, claimed.seat)?;
        let v = v.statement();
        let bad = |why: String| Refusal::new(Rule::PermitInvalid, format!("permit of seat {}: {why}", v.seat));
        let life = i64::try_from(charter.limits.permit_life_s).unwrap_or(0);
        if Some(v.seat) == facts.seat() {
            continue;
        }
        if v.outcome != Outcome::Permit || v.request != *request {
            return Err(bad("not a permit for this request".into()));
        }
        if Some(v.charter) != facts.charter().map(crate::charter::VerifiedCharter::digest) {
            return Err(bad("decided under another charter version".into()));
        }
        if v.valid_until < at || v.valid_until > v.decided.plus_seconds(life) {
            return Err(bad(format!("stale: it was valid until {}", v.valid_until)));
        }
        let skew = i64::try_from(charter.limits.clock_skew_s).unwrap_or(0);
        if v.decided > at.plus_seconds(skew) {
            return Err(bad("decided in the future".into()));
        }
        if !generation.members.contains(&v.seat) {
            return Err(bad("not a member of the items' generation".into()));
        }
        seats.insert(v.seat);
    }
    Ok(seats)
}

/// The member seats that answer, each for this seat and request, with nothing named that is unknown here.
fn check_answers(
    facts: &Facts,
    charter: &Charter,
    request: &Digest,
    generation: &Generation,
    answers: &[Envelope],
    at: Timestamp,
) -> Result<BTreeSet<SeatIndex>, Refusal> {
    let skew = i64::try_from(charter.limits.clock_skew_s).unwrap_or(0);
    let life = i64::try_from(AUTHORISATION_LIFE_S).unwrap_or(0).saturating_add(skew);
    let mut seats: BTreeSet<SeatIndex> = BTreeSet::new();
    for envelope in answers {
        let claimed: RestrictionAnswer =
            envelope.decode().map_err(|e| Refusal::new(Rule::AnswerInvalid, e.to_string()))?;
        let a: Verified<RestrictionAnswer> = verify_seat_statement(facts, envelope, claimed.seat)?;
        let a = a.statement();
        let ours = Some(a.asker) == facts.seat() && Some(a.seat) != facts.seat() && a.request == Some(*request);
        require(ours, Rule::AnswerInvalid, || format!("answer of seat {} to another question", a.seat))?;
        let fresh = a.at <= at.plus_seconds(skew) && at <= a.at.plus_seconds(life);
        require(fresh, Rule::AnswerInvalid, || format!("answer of seat {} given at {}, it is {at}", a.seat, a.at))?;
        require(covers(facts, request, a), Rule::AnswerInvalid, || {
            format!("answer of seat {} leaves out the matter, a consent of the items or a key concerned", a.seat)
        })?;
        for r in &a.restrictions {
            require(facts.dealt_with(r), Rule::AnswerInvalid, || {
                format!("seat {} knows restriction {} which it did not hand over", a.seat, r.short())
            })?;
        }
        if generation.members.contains(&a.seat) {
            seats.insert(a.seat);
        }
    }
    Ok(seats)
}

/// True if the answer was given about the request's matter, every consent of its items and every key
/// concerned, so that a node which holds none of them answers all the same.
fn covers(facts: &Facts, request: &Digest, a: &RestrictionAnswer) -> bool {
    let concerns = facts.concerns(request);
    a.matter == concerns.matter
        && concerns.consents.iter().all(|c| a.consents.binary_search(c).is_ok())
        && concerns.revocable.iter().all(|r| a.revocable.binary_search(r).is_ok())
}
