//! What every node says to a request, and why: deciding policies, what is satisfied, what is lacking.

use crate::output::Shown;
use escrow_client::{Assessment, Client, NodeError, Outcomes, VerifiedVerdict};
use escrow_core::verdict::{Lacking, Outcome, PolicyResult};
use escrow_core::{Code, Digest};
use serde_json::{Value, json};

/// One node's answer, a verdict or a preview of one.
pub struct Said<'a> {
    outcome: Outcome,
    policies: &'a [PolicyResult],
    lacking: &'a [Lacking],
    reasons: Vec<String>,
    context: Option<&'a Value>,
}

impl<'a> From<&'a VerifiedVerdict> for Said<'a> {
    fn from(v: &'a VerifiedVerdict) -> Self {
        Self {
            outcome: v.verdict.outcome,
            policies: &v.verdict.policies,
            lacking: &v.verdict.lacking,
            reasons: v.verdict.reasons.iter().map(Code::to_string).collect(),
            context: v.context.as_ref(),
        }
    }
}

impl<'a> Said<'a> {
    /// Of a preview, whose context bytes were parsed before.
    pub fn preview(p: &'a escrow_core::wire::PreviewAnswer, context: Option<&'a Value>) -> Self {
        Self {
            outcome: p.outcome,
            policies: &p.policies,
            lacking: &p.lacking,
            reasons: p.refusals.iter().map(|r| format!("{}: {}", r.rule, r.detail)).collect(),
            context,
        }
    }

    /// Each text with what it says, and by which of its policies.
    fn deciding(&self) -> String {
        let one = |p: &PolicyResult| {
            let text = if p.current { "today's text".to_owned() } else { format!("agreed text {}", p.policy.short()) };
            let by = p.determining.iter().map(Code::as_str).collect::<Vec<_>>().join(", ");
            match (p.allowed, by.is_empty()) {
                (true, _) => format!("{text} allows by {by}"),
                (false, true) => format!("{text}: no permit applies"),
                (false, false) => format!("{text} forbids by {by}"),
            }
        };
        self.policies.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    /// Counters that stand and are not lacking.
    fn satisfied(&self) -> Vec<String> {
        let Some(context) = self.context else { return vec![] };
        let lacking = |name: &str| self.lacking.iter().any(|l| l.what.as_str() == name);
        let mut out: Vec<String> = context
            .get("approvals")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(role, have)| have.as_u64().is_some_and(|n| n > 0) && !lacking(&format!("approvals.{role}")))
            .map(|(role, have)| format!("{have} {role}"))
            .collect();
        for (name, words) in [("waited_seconds", "waited"), ("device_age_seconds", "device enrolled for")] {
            if let Some(seconds) = context.get(name).and_then(Value::as_u64).filter(|n| *n > 0 && !lacking(name)) {
                out.push(format!("{words} {}", span(seconds)));
            }
        }
        out
    }

    fn lacks(&self) -> Vec<String> {
        let one = |l: &Lacking| {
            let missing = l.need.saturating_sub(l.have);
            match l.what.as_str().strip_prefix("approvals.") {
                Some(role) => format!("{missing} {role}"),
                None if l.what.as_str() == "approvers" => format!("{missing} more approver(s)"),
                None => format!("{} of waiting", left(missing)),
            }
        };
        // Each role asks for another person; how many people in all is news only if that is more.
        let by_role = |l: &&Lacking| l.what.as_str().starts_with("approvals.");
        let missing = |l: &Lacking| l.need.saturating_sub(l.have);
        let people: u64 = self.lacking.iter().filter(by_role).map(missing).sum();
        let said = |l: &&Lacking| l.what.as_str() != "approvers" || missing(l) > people;
        self.lacking.iter().filter(said).map(one).collect()
    }

    fn row(&self) -> Vec<String> {
        let mut why = self.lacks();
        why.extend(self.reasons.iter().cloned());
        vec![self.outcome.name().to_owned(), self.satisfied().join(", "), why.join(", "), self.deciding()]
    }

    fn value(&self) -> Value {
        json!({
            "outcome": self.outcome, "satisfied": self.satisfied(), "lacking": self.lacking, "reasons": self.reasons,
            "policies": self.policies, "context": self.context,
        })
    }
}

/// Seconds that have passed, as a person says them: never more than there are.
pub fn span(seconds: u64) -> String {
    let (unit, word) = unit(seconds);
    format!("{} {word}", seconds / unit)
}

/// Seconds still to wait: never fewer than there are.
pub fn left(seconds: u64) -> String {
    let (unit, word) = unit(seconds);
    format!("{} {word}", seconds.div_ceil(unit))
}

const fn unit(seconds: u64) -> (u64, &'static str) {
    match seconds {
        0..120 => (1, "s"),
        120..7_200 => (60, "min"),
        7_200..172_800 => (3_600, "h"),
        _ => (86_400, "days"),
    }
}

/// A table with one row a node: disagreeing nodes cannot be overlooked.
pub fn by_node<'a, T, S>(shown: Shown, client: &Client, answers: &'a Outcomes<T>, said: S) -> Shown
where
    S: Fn(&'a T) -> Said<'a>,
{
    let mut rows = Vec::new();
    let mut list = Vec::new();
    for node in client.nodes() {
        let mut row = vec![node.seat().to_string(), node.name().to_string()];
        match answers.0.get(&node.seat()) {
            Some(Ok(t)) => {
                let said = said(t);
                row.extend(said.row());
                list.push(json!({"node": node.seat(), "says": said.value()}));
            }
            Some(Err(e)) => {
                row.extend(["-".to_owned(), String::new(), words(e), String::new()]);
                list.push(json!({"node": node.seat(), "error": {"rule": e.code(), "detail": e.to_string()}}));
            }
            None => continue,
        }
        rows.push(row);
    }
    shown
        .table(&["node", "name", "says", "satisfied", "lacking or refused by", "deciding policy"], rows)
        .with("nodes", list)
}

fn words(e: &NodeError) -> String {
    match e {
        NodeError::Problem(p) => format!("{}: {}", p.code, p.detail),
        other => other.to_string(),
    }
}

/// What the verdicts come to, in a sentence and a word; `collect` is the command for the next step.
pub fn assessment(
    client: &Client,
    verdicts: &Outcomes<VerifiedVerdict>,
    collect: &str,
    digest: &Digest,
) -> (String, &'static str) {
    match client.assess(verdicts) {
        Assessment::Permitted => {
            (format!("Enough nodes permit. Next: {collect} {} --out replies.json", digest.short()), "permitted")
        }
        Assessment::Pending(lacking) => (escrow_policy::gate::describe(&lacking), "pending"),
        Assessment::Refused(_) => ("So many nodes refuse that nothing can be released.".to_owned(), "refused"),
        Assessment::BelowThreshold { answered, need } => {
            (format!("{answered} nodes can be counted on, {need} are needed."), "below-threshold")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_come_too_early() {
        for (seconds, had, to_wait) in [
            (0, "0 s", "0 s"),
            (119, "119 s", "119 s"),
            (121, "2 min", "3 min"),
            (7_201, "2 h", "3 h"),
            (86_399, "23 h", "24 h"),
            (259_190, "2 days", "3 days"),
        ] {
            assert_eq!((span(seconds).as_str(), left(seconds).as_str()), (had, to_wait), "{seconds}");
        }
    }
}
