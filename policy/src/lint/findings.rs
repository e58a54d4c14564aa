//! The findings about one text.

use super::expr::{Expr, Relation, Rule};
use super::possible::{Circumstances, Range};
use super::{Finding, Problem, polarity};
use crate::attributes::{self, Action, Kind};
use crate::floor::APPROVERS;
use escrow_core::charter::{Charter, Person, Policy};
use std::collections::BTreeSet;

/// All findings about one text that validates.
pub(super) fn of(policy: &Policy, rules: &[Rule], charter: Option<&Charter>) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut say = |problem, words: String| out.push(Finding::new(problem, Some(policy), words));
    if !rules.iter().any(|r| r.permit) {
        say(Problem::NoPermit, "the text permits nothing".into());
    }
    for rule in rules {
        let id = &rule.id;
        if let Some(words) = polarity::hurts(rule) {
            say(Problem::CounterHurts, format!("{id}: {words}"));
        }
        if polarity::can_fail(rule) {
            say(Problem::CanFail, format!("{id}: a number can get too large or too small to be worked out"));
        }
        for words in unknown_words(rule) {
            say(Problem::UnknownWord, format!("{id}: {words}"));
        }
        if let Some(words) = forbidden_by_floor(rule, charter) {
            say(Problem::FloorForbids, format!("{id}: {words}"));
        } else if let Some(words) = charter.and_then(|c| unreachable(std::slice::from_ref(rule), c)) {
            say(Problem::UnreachableQuorum, format!("{id}: {words}"));
        }
    }
    let reached = |r: &Rule| !r.permit || charter.is_none_or(|c| unreachable(std::slice::from_ref(r), c).is_none());
    if rules.iter().all(reached)
        && let Some(words) = charter.and_then(|c| unreachable(rules, c))
    {
        say(Problem::UnreachableQuorum, format!("the rules together: {words}"));
    }
    let receives = rules.iter().any(|r| r.requestor_may_receive);
    for action in Action::ALL {
        let floor = floor(action, receives, charter);
        if let Some(words) = one_of_n(rules, &floor) {
            say(Problem::OneOfN, format!("{}: {words}", action.name()));
        }
        if floor.clone().with("waited_seconds", Range::exactly(0)).allow(rules) {
            say(Problem::MissingDelay, format!("{}: possible as soon as enough people approve", action.name()));
        }
    }
    out
}

/// What the hard floor leaves: circumstances outside of these never reach a policy, or are
/// refused whatever it says.
fn floor(action: Action, requestor_may_receive: bool, charter: Option<&Charter>) -> Circumstances {
    let mut out = Circumstances::free(action)
        .with("approvers", Range::least(i128::from(APPROVERS)))
        .with("items", Range::least(1))
        .with("threads", Range::least(1));
    for a in attributes::ATTRIBUTES.iter().filter(|a| a.actions.contains(&action)) {
        if let Kind::Word(words) = a.kind {
            out = out.with(a.name, Range::words(words));
        }
    }
    if !requestor_may_receive {
        out = out.with("recipient_is_requestor", Range::Truth(false, true));
    }
    if action == Action::Recover {
        let delay = charter.map_or(86_400, |c| c.limits.recovery_delay_s);
        out = out.with("device_age_seconds", Range::least(i128::from(delay)));
    }
    out
}

/// Why a permit can never apply, if it cannot.
fn forbidden_by_floor(rule: &Rule, charter: Option<&Charter>) -> Option<String> {
    if !rule.permit {
        return None;
    }
    let floors = Action::ALL.map(|a| floor(a, rule.requestor_may_receive, charter));
    if floors.iter().any(|f| f.can(rule)) {
        return None;
    }
    if !Action::ALL.iter().any(|a| rule.applies(*a)) {
        return Some("no request has such a principal, action and resource".into());
    }
    // The one attribute without whose bound it would apply.
    for floor in &floors {
        if let Some(path) = floor.set().find(|p| floor.without(p).can(rule)) {
            return Some(match path {
                "approvers" => format!("it applies only below the {APPROVERS} approvers that the floor demands"),
                "recipient_is_requestor" => {
                    "the requestor as recipient needs @recipient_is_requestor(\"allowed\") on the permit".into()
                }
                other => format!("it applies only where context.{other} is what it never is"),
            });
        }
    }
    Some("its condition is never true".into())
}

/// Why the people and the limits of a charter can never satisfy these rules, if they cannot.
fn unreachable(rules: &[Rule], charter: &Charter) -> Option<String> {
    let receives = rules.iter().any(|r| r.requestor_may_receive);
    let mut lacking: Option<String> = None;
    for action in Action::ALL {
        let free = floor(action, receives, Some(charter));
        if !free.allow(rules) {
            continue;
        }
        for most in most(&free, charter) {
            if most.allow(rules) {
                return None;
            }
            lacking.get_or_insert_with(|| {
                let counters = most.set().filter(|p| attributes::is_counter(p) && *p != "device_age_seconds");
                // The bounds without any one of which it would be allowed.
                let what = counters.filter(|p| most.without(p).allow(rules)).map(|p| have(&most, p));
                let what: Vec<String> = what.collect();
                if what.is_empty() { "the charter cannot give all it asks for".into() } else { what.join("; ") }
            });
        }
    }
    lacking
}

fn have(most: &Circumstances, path: &str) -> String {
    let Range::Number(_, high) = most.range(&Expr::Context(path.to_owned())) else { return path.to_owned() };
    match (attributes::role(path), path) {
        (Some(role), _) => format!("at most {high} can approve as {role}"),
        (_, "approvers") => format!("at most {high} people can approve"),
        _ => format!("{path} is {high} at the most when a request ends"),
    }
}

/// The most that can come together, once for each person who could be the requestor, as nobody
/// approves their own request.
fn most(free: &Circumstances, charter: &Charter) -> Vec<Circumstances> {
    let operates = |p: &Person| charter.seats.iter().any(|s| s.operators.contains(&p.id));
    let requestors = charter.people.iter().filter(|p| p.has_role("requestor") && !operates(p)).map(|p| Some(&p.id));
    let mut left_out: Vec<_> = if free.action == Action::Release { requestors.collect() } else { vec![] };
    if left_out.is_empty() {
        left_out.push(None);
    }
    let of = |without| {
        let people: Vec<&Person> = charter.people.iter().filter(|p| Some(&p.id) != without).collect();
        let count = |has: &dyn Fn(&Person) -> bool| people.iter().filter(|p| has(p)).count() as i128;
        let mut out = free.clone();
        for role in &charter.approver_roles {
            let n = count(&|p| p.roles.contains(role));
            out = out.with(&format!("approvals.{role}"), Range::Number(0, n));
        }
        let all = count(&|p| p.roles.iter().any(|r| charter.approver_roles.contains(r)));
        let l = &charter.limits;
        out.with("approvers", Range::Number(i128::from(APPROVERS).min(all), all))
            .with("waited_seconds", Range::Number(0, i128::from(l.request_life_s)))
            .with("items", Range::Number(1, i128::from(l.items_per_request)))
            .with("notice_days", Range::Number(0, i128::from(l.notice_delay_days)))
    };
    left_out.into_iter().map(of).collect()
}

/// Which single approval satisfies the rules, if one does.
fn one_of_n(rules: &[Rule], floor: &Circumstances) -> Option<String> {
    let none = floor.clone().with("approvals", Range::exactly(0));
    if none.clone().with("approvers", Range::exactly(0)).allow(rules) {
        return Some("the text asks for no approval at all; the floor demands two people".into());
    }
    let one = none.with("approvers", Range::exactly(1));
    let roles: BTreeSet<&str> =
        rules.iter().flat_map(|r| r.condition.paths()).filter(|p| attributes::role(p).is_some()).collect();
    // Also an approval in a role that the text does not name.
    let ways = roles.into_iter().map(|p| (p, one.clone().with(p, Range::exactly(1)))).chain([("", one.clone())]);
    let way = ways.into_iter().find(|(_, c)| c.allow(rules)).map(|(p, _)| p)?;
    let who = attributes::role(way).map_or_else(|| "one approval".to_owned(), |r| format!("one approval as {r}"));
    Some(format!("{who} satisfies the text; the floor demands two people"))
}

/// Words that an attribute is compared with and never is.
fn unknown_words(rule: &Rule) -> Vec<String> {
    let mut out = Vec::new();
    let mut check = |a: &Expr, b: &Expr| {
        if let (Expr::Context(path), Some(found)) = (a, texts(b))
            && let Some(Kind::Word(known) | Kind::Words(known)) = attributes::find(path).map(|a| a.kind)
        {
            for word in found.iter().filter(|w| !known.contains(&w.as_str())) {
                out.push(format!("context.{path} is never {word:?}, but one of {}", known.join(", ")));
            }
        }
    };
    rule.condition.walk(&mut |e| {
        if let Expr::Compare(Relation::Eq | Relation::Ne, a, b) | Expr::Contains(_, a, b) = e {
            check(a, b);
            check(b, a);
        }
    });
    out
}

fn texts(e: &Expr) -> Option<Vec<String>> {
    match e {
        Expr::Text(s) => Some(vec![s.clone()]),
        Expr::Set(list) => Some(list.iter().filter_map(texts).flatten().collect()),
        _ => None,
    }
}
