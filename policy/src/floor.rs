//! The hard floor: what no policy can lower (section 6 of the design).
//!
//! Everything valid and live; requestor, approvers and recipient pairwise different people; none
//! of them a subject in scope; the requestor operates no seat; at least two distinct approvers.

use crate::admit::live_consent;
use crate::facts::{DeviceFact, Facts, ItemFact, RequestFact};
use crate::refusal::{Refusal, Rule, require};
use escrow_core::charter::{Basis, Charter, Person, SealingKey, Subject};
use escrow_core::decision::Choice;
use escrow_core::matter::MatterAction;
use escrow_core::recovery::SelfRecovery;
use escrow_core::request::{Notice, Recipient, Request};
use escrow_core::{Code, Digest, ItemId, Kind, PersonId, Role, Timestamp, Token};
use std::collections::{BTreeMap, BTreeSet};

/// Least number of distinct approvers, whatever the policy says.
pub const APPROVERS: u64 = 2;

/// What the floor establishes about a request that passes it.
#[derive(Debug)]
pub struct Passed<'a> {
    /// The charter in force.
    pub charter: &'a Charter,
    /// What is asked.
    pub case: Case<'a>,
    /// Digest of that statement.
    pub digest: Digest,
    /// When this node first logged it.
    pub logged_at: Timestamp,
    /// Its items, in request order.
    pub items: Vec<&'a ItemFact>,
    /// The sealing key that replies go to.
    pub recipient: &'a SealingKey,
    /// True if the recipient is the requestor.
    pub recipient_is_requestor: bool,
    /// Approvals.
    pub approvals: Approvals<'a>,
}

/// What is asked: a release, or a self-recovery. Policies see different actions.
#[derive(Clone, Copy, Debug)]
pub enum Case<'a> {
    /// A release to a recipient.
    Release(&'a Request),
    /// A subject's own items, back to a device of theirs.
    Recovery {
        /// The statement.
        recovery: &'a SelfRecovery,
        /// The device that asks and receives.
        device: &'a DeviceFact,
    },
}

impl<'a> Case<'a> {
    /// The items asked for, in order.
    pub fn items(&self) -> &'a [ItemId] {
        match self {
            Self::Release(r) => &r.items,
            Self::Recovery { recovery, .. } => &recovery.items,
        }
    }

    /// The one policy it is evaluated under.
    pub fn policy(&self) -> &'a Code {
        match self {
            Self::Release(r) => &r.policy,
            Self::Recovery { recovery, .. } => &recovery.policy,
        }
    }

    /// No verdict after this.
    pub const fn expires(&self) -> Timestamp {
        match self {
            Self::Release(r) => r.expires,
            Self::Recovery { recovery, .. } => recovery.expires,
        }
    }
}

/// Whose messages are asked for.
#[derive(Debug, Default)]
pub(crate) struct InScope {
    /// Depositors and inside participants of the requested items.
    subjects: BTreeSet<Token>,
    /// Participants whom the depositor calls outsiders.
    outsiders: BTreeSet<Token>,
}

impl InScope {
    pub(crate) fn of<'a>(items: impl Iterator<Item = &'a ItemFact>) -> Self {
        let mut scope = Self::default();
        for item in items {
            scope.subjects.insert(item.depositor);
            for p in &item.about.participants {
                if p.inside {
                    scope.subjects.insert(p.token)
                } else {
                    scope.outsiders.insert(p.token)
                };
            }
        }
        scope
    }

    /// True if the person is, or cannot be shown not to be, one of the subjects: a token-key
    /// version in scope for which the charter lists no token of theirs counts as a yes. Who is
    /// inside is only the depositor's word, so an officer named as an outsider counts as well.
    pub(crate) fn holds(&self, person: &Person) -> bool {
        match &person.subject {
            Subject::NoSubject => false,
            Subject::Tokens(own) => {
                let subject = |t: &Token| own.contains(t) || own.iter().all(|o| o.version != t.version);
                self.subjects.iter().any(subject) || own.iter().any(|t| self.outsiders.contains(t))
            }
        }
    }
}

/// Applies every rule but the number of approvers, which more signatures can mend: the floor of
/// requests, or the gate of self-recovery.
///
/// # Errors
/// The first [`Refusal`].
pub fn check<'a>(facts: &'a Facts, digest: &Digest, at: Timestamp) -> Result<Passed<'a>, Refusal> {
    // Whatever is known of the request.
    charter_settled(facts)?;
    let unknown = || Refusal::new(Rule::RequestUnknown, "the request is not known at this node");
    let fact = facts.request(digest).ok_or_else(unknown)?;
    if fact.recovery.is_some() { crate::recovery::check(facts, fact, at) } else { request(facts, fact, at) }
}

/// The floor of requests.
pub(crate) fn request<'a>(facts: &'a Facts, fact: &'a RequestFact, at: Timestamp) -> Result<Passed<'a>, Refusal> {
    let charter = charter_settled(facts)?;
    let unknown = || Refusal::new(Rule::RequestUnknown, "the request is not known at this node");
    let (asked, signer) = fact.request.as_ref().ok_or_else(unknown)?;
    let request = &asked.statement;

    if let Some((_, by)) = fact.cancelled.iter().find(|(who, _)| *who == request.by) {
        return Err(Refusal::new(Rule::RequestCancelled, "the requestor cancelled it").by(Kind::Cancellation, *by));
    }
    require(at < request.expires, Rule::RequestExpired, || {
        format!("it expired at {}; silence is denial", request.expires)
    })?;
    limits(charter, request)?;
    if let Some(d) = fact.denial() {
        let detail = format!("{} denied it", d.fact.statement.by);
        return Err(Refusal::new(Rule::Denied, detail).by(Kind::Decision, d.fact.digest));
    }

    require(facts.accepted_charter(&request.charter).is_some(), Rule::CharterUnknown, || {
        "the request was made under a charter that was voided".into()
    })?;
    let requestor = charter.person(&request.by);
    let requestor =
        requestor.ok_or_else(|| Refusal::new(Rule::NotEntitled, "the requestor is no longer in the charter"))?;
    require(requestor.has_role("requestor"), Rule::NotEntitled, || {
        format!("{} is no longer a requestor", requestor.id)
    })?;
    require(requestor.key_valid(signer, asked.logged.at), Rule::KeyNotValid, || {
        "the requestor's key was not valid".into()
    })?;
    if let Some(by) = facts.revocation(signer) {
        return Err(Refusal::new(Rule::KeyRevoked, "the requestor's key was revoked").by(Kind::Revocation, by));
    }
    let operates = charter.seats.iter().any(|s| s.operators.contains(&requestor.id));
    require(!operates, Rule::RequestorOperatesSeat, || format!("{} operates a seat", requestor.id))?;

    matter_open(facts, request)?;
    let items = items_live(facts, request, at)?;
    let scope = InScope::of(items.iter().copied());
    require(!scope.holds(requestor), Rule::RequestorInScope, || {
        format!("{}'s own messages are in scope, or cannot be shown not to be", requestor.id)
    })?;
    let (recipient, recipient_person) = recipient(facts, charter, request, &scope, at)?;

    let mut apart: BTreeSet<&PersonId> = facts.filtered(&request.matter, &request.items);
    if let Recipient::FilterTeam(p) = &request.recipient {
        // Asked twice of one person, the filter team stays the filter team.
        apart.remove(&p.id);
    }
    for id in [Some(&requestor.id), recipient_person].into_iter().flatten() {
        require(!apart.contains(id), Rule::FilterTeamOnCase, || {
            format!("{id} was the filter team of a release in this matter and can have no other part in it")
        })?;
    }
    let excluded =
        |p: &Person| p.id == request.by || Some(&p.id) == recipient_person || apart.contains(&p.id) || scope.holds(p);
    let approvals = Approvals::count(facts, charter, fact, excluded, at);
    Ok(Passed {
        charter,
        case: Case::Release(request),
        digest: asked.digest,
        logged_at: asked.logged.at,
        items,
        recipient,
        recipient_is_requestor: recipient_person == Some(&request.by),
        approvals,
    })
}

/// What approvals there are, and could be.
#[derive(Debug)]
pub struct Approvals<'a> {
    /// Those that count: one a person, in the role they decided in.
    pub counted: BTreeMap<&'a PersonId, (&'a Role, Digest)>,
    /// For each approver role, how many people could approve at the most.
    pub eligible: BTreeMap<Role, u64>,
    /// How many distinct people could approve at the most.
    pub eligible_people: u64,
}

impl<'a> Approvals<'a> {
    /// Counts distinct people with a listed, unrevoked key and the role they name, under the charter
    /// in force and the one they signed under, who are not excluded and did not step back.
    pub(crate) fn count(
        facts: &'a Facts,
        charter: &'a Charter,
        fact: &'a RequestFact,
        excluded: impl Fn(&Person) -> bool,
        at: Timestamp,
    ) -> Self {
        let mut counted: BTreeMap<&PersonId, (&Role, Digest)> = BTreeMap::new();
        let strongest = fact.strongest();
        // Of several approvals of one person the one signed first counts, in whatever order they came.
        let mut decisions: Vec<_> = fact.decisions.iter().collect();
        decisions.sort_by_key(|d| (d.fact.statement.at, d.fact.digest));
        for d in decisions {
            let s = &d.fact.statement;
            let counts = strongest.get(&s.by).is_some_and(|d| d.fact.statement.choice == Choice::Approve)
                && charter.approver_roles.contains(&s.role)
                && facts.revocation(&d.key).is_none()
                && charter.person(&s.by).is_some_and(|p| {
                    p.roles.contains(&s.role) && p.key_valid(&d.key, d.fact.logged.at) && !excluded(p)
                })
                && facts
                    .accepted_charter(&s.charter)
                    .and_then(|c| c.person(&s.by))
                    .is_some_and(|p| p.roles.contains(&s.role));
            if counts {
                counted.entry(&s.by).or_insert((&s.role, d.fact.digest));
            }
        }
        let recused = |p: &Person| strongest.get(&p.id).is_some_and(|d| d.fact.statement.choice != Choice::Approve);
        let able: Vec<&Person> = charter
            .people
            .iter()
            .filter(|p| !excluded(p) && !recused(p))
            .filter(|p| p.keys.iter().any(|k| at < k.until && facts.revocation(&k.key).is_none()))
            .collect();
        let holders = |r: &Role| able.iter().filter(|p| p.roles.contains(r)).count() as u64;
        let eligible = charter.approver_roles.iter().map(|r| (r.clone(), holders(r))).collect();
        let eligible_people =
            able.iter().filter(|p| p.roles.iter().any(|r| charter.approver_roles.contains(r))).count() as u64;
        Self { counted, eligible, eligible_people }
    }
}

/// A node that knows of a newer charter or a fork permits nothing.
pub(crate) fn charter_settled(facts: &Facts) -> Result<&Charter, Refusal> {
    if let Some((a, b)) = facts.charter_fork() {
        let detail = format!(
            "two valid successors of one charter are known ({} and {}); the operator must settle it",
            a.short(),
            b.short()
        );
        return Err(Refusal::new(Rule::CharterFork, detail).by(Kind::Charter, b));
    }
    if let Some(newer) = facts.charter_unaccepted() {
        let detail = "a newer charter is valid and this node's operator has not accepted it yet";
        return Err(Refusal::new(Rule::CharterUnaccepted, detail).by(Kind::Charter, newer));
    }
    let charter = facts.charter().ok_or_else(|| Refusal::new(Rule::CharterUnknown, "no charter in force"))?;
    Ok(charter.charter())
}

fn limits(charter: &Charter, r: &Request) -> Result<(), Refusal> {
    let l = &charter.limits;
    let life = i64::try_from(l.request_life_s).unwrap_or(i64::MAX);
    let within = r.items.len() as u64 <= l.items_per_request && r.expires <= r.created.plus_seconds(life);
    require(within, Rule::RequestLimits, || "larger or longer than the charter allows".into())?;
    let delay_ok = match &r.notice {
        Notice::Immediate => true,
        Notice::Delayed(d) => {
            let most = i64::try_from(l.notice_delay_days.saturating_mul(86_400)).unwrap_or(i64::MAX);
            d.until <= r.created.plus_seconds(most)
        }
    };
    require(delay_ok, Rule::NoticeDelay, || format!("the charter allows {} days of delay", l.notice_delay_days))
}

fn matter_open(facts: &Facts, r: &Request) -> Result<(), Refusal> {
    let head = facts.matter(&r.matter).and_then(|m| m.head());
    let head = head
        .ok_or_else(|| Refusal::new(Rule::MatterUnknown, format!("matter {} is not known at this node", r.matter)))?;
    if head.statement.action == MatterAction::Close {
        return Err(
            Refusal::new(Rule::MatterClosed, format!("matter {} is closed", r.matter)).by(Kind::Matter, head.digest)
        );
    }
    Ok(())
}

pub(crate) fn item<'a>(facts: &'a Facts, id: &ItemId) -> Result<&'a ItemFact, Refusal> {
    facts.item(id).ok_or_else(|| Refusal::new(Rule::ItemUnknown, format!("item {} is not held here", id.short())))
}

pub(crate) fn of_one_generation(items: &[&ItemFact]) -> Result<(), Refusal> {
    let generations: BTreeSet<u32> = items.iter().map(|i| i.generation).collect();
    require(generations.len() == 1, Rule::MixedGenerations, || "all items of a request are of one generation".into())
}

/// Items known, of one generation, exactly those threads, chosen as the request says, within its time, each under a
/// live consent that allows this purpose, and each agreed to this policy.
fn items_live<'a>(facts: &'a Facts, r: &Request, at: Timestamp) -> Result<Vec<&'a ItemFact>, Refusal> {
    let mut items = Vec::with_capacity(r.items.len());
    for id in &r.items {
        items.push(item(facts, id)?);
    }
    of_one_generation(&items)?;
    let threads: BTreeSet<Token> = items.iter().map(|i| i.about.thread).collect();
    require(threads.iter().eq(&r.scope.threads), Rule::ItemScope, || {
        "the items' threads are not the scope's threads".into()
    })?;
    r.selection.as_ref().map_or(Ok(()), |s| crate::selection::holds(s, &items))?;
    for item in &items {
        let overlaps = item.about.from < r.scope.to && r.scope.from < item.about.to;
        require(overlaps, Rule::ItemScope, || "an item lies outside the time asked for".into())?;
        let consent = live_consent(facts, &item.consent, at)?;
        require(consent.purposes.contains(&r.purpose), Rule::ConsentScope, || {
            format!("purpose {} was not agreed to", r.purpose)
        })?;
        require(r.basis != Basis::Consent || consent.basis == Basis::Consent, Rule::ConsentScope, || {
            format!("escrowed on basis {}, which is not the subject's consent", consent.basis.name())
        })?;
        let agreed = item.policies.iter().any(|p| p.id == r.policy);
        require(agreed, Rule::PolicyNotAgreed, || format!("policy {} was not agreed for every item", r.policy))?;
    }
    Ok(items)
}

/// The recipient's sealing key, if it is still the listed one; and the person, if it is one.
fn recipient<'a>(
    facts: &'a Facts,
    charter: &'a Charter,
    r: &'a Request,
    scope: &InScope,
    at: Timestamp,
) -> Result<(&'a SealingKey, Option<&'a PersonId>), Refusal> {
    let changed = |why: &str| Refusal::new(Rule::RecipientKey, why.to_owned());
    match &r.recipient {
        Recipient::Person(p) | Recipient::FilterTeam(p) => {
            let person = charter.person(&p.id).ok_or_else(|| changed("the recipient is no longer in the charter"))?;
            let key = person.sealing.as_ref().filter(|k| k.digest() == p.sealing);
            let key = key.ok_or_else(|| changed("the recipient's sealing key is not the one the charter lists"))?;
            if matches!(r.recipient, Recipient::FilterTeam(_)) {
                require(person.has_role("filter-team"), Rule::NotEntitled, || {
                    format!("{} does not hold the role filter-team", p.id)
                })?;
                // A request that is only tried out is not among the facts; its requestor is on the case too.
                let on_case = r.by == p.id || facts.on_case(&r.matter).contains(&p.id);
                require(!on_case, Rule::FilterTeamOnCase, || {
                    format!("{} has another part in this matter; the filter team must have none", p.id)
                })?;
            }
            require(!scope.holds(person), Rule::RecipientInScope, || format!("{}'s own messages are in scope", p.id))?;
            Ok((key, Some(&person.id)))
        }
        Recipient::Device(d) => {
            let listed = facts.devices(&d.key.id()).iter().find(|f| f.enrolment == d.enrolment && f.key == d.key);
            let listed = listed.filter(|f| facts.device_live(f, at));
            let listed = listed.ok_or_else(|| changed("the recipient device's enrolment is not live"))?;
            require(listed.sealing.digest() == d.sealing, Rule::RecipientKey, || {
                "not the device's sealing key".into()
            })?;
            // The charter lists everybody's tokens under the versions in use, and under no other for sure.
            require(charter.token_versions.contains(&listed.subject.version), Rule::RecipientKey, || {
                "the device is enrolled under a token-key version that is no longer in use".into()
            })?;
            let apart = scope.subjects.iter().all(|t| t.version == listed.subject.version && *t != listed.subject);
            require(apart, Rule::RecipientInScope, || {
                "the device's subject is in scope, or cannot be shown not to be".into()
            })?;
            let owns = |p: &&Person| matches!(&p.subject, Subject::Tokens(own) if own.contains(&listed.subject));
            Ok((&listed.sealing, charter.people.iter().find(owns).map(|p| &p.id)))
        }
    }
}
