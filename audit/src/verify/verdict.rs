//! Layers 5 and 6: a node's verdict against what its own log made of the request.
//!
//! The record part recomputes floor, counts and the exact context bytes. The replay part asks the
//! policies again, which needs the engine.

use super::acts::Story;
use escrow_core::verdict::{Outcome, Verdict};
use escrow_core::{Code, Digest, Timestamp};
use escrow_policy::floor::APPROVERS;
use escrow_policy::{Rule, gate};

/// Refusals after the floor and before any context: only the policy texts can tell.
const BEFORE_CONTEXT: [Rule; 3] = [Rule::PolicyUnknown, Rule::PolicyError, Rule::RecipientIsRequestor];

/// Judges a verdict by the facts before its entry.
pub(super) fn check(story: &mut Story<'_>, seq: u64, at: Timestamp, v: &Verdict) {
    let in_force = story.facts.charter().map(|c| c.digest());
    story.hold(Some(v.charter) == in_force, seq, "verdict-charter", || {
        "names another charter than the one in force".into()
    });
    story.hold(v.decided == at, seq, "verdict-time", || format!("decided {}, logged {at}", v.decided));
    let life = story.charter().map_or(0, |c| c.limits.permit_life_s);
    let life = if v.outcome == Outcome::Permit { i64::try_from(life).unwrap_or(0) } else { 0 };
    let until = v.decided.plus_seconds(life);
    story.hold(v.valid_until == until, seq, "verdict-life", || {
        format!("valid until {}, {until} expected", v.valid_until)
    });
    if record(story, seq, at, v) && story.options.policy_replay {
        replay(story, seq, at, v);
    }
}

fn record(story: &mut Story<'_>, seq: u64, at: Timestamp, v: &Verdict) -> bool {
    let codes = |rules: &[Rule]| -> Vec<Code> { rules.iter().filter_map(|r| r.code().parse().ok()).collect() };
    let counted = match gate::count(&story.facts, &v.request, at) {
        Ok(counted) => counted,
        Err(refusal) => {
            let same = v.outcome == Outcome::Refuse
                && v.reasons == codes(&[refusal.rule])
                && v.context.is_none()
                && v.policies.is_empty()
                && v.decisions.is_empty();
            return story.hold(same, seq, "verdict-floor", || {
                format!("says {}; the hard floor refuses: {refusal}", describe(v))
            });
        }
    };
    let Some(context) = v.context else {
        let possible = v.outcome == Outcome::Refuse && BEFORE_CONTEXT.iter().any(|r| v.reasons == codes(&[*r]));
        return story.hold(possible, seq, "verdict-floor", || {
            format!("says {} without a context; the hard floor passes", describe(v))
        });
    };
    // The attachment lets people read what the digest says; that it is there layer 2 has checked.
    let same = Digest::of(&counted.context) == context;
    let ok = story.hold(same, seq, "verdict-context", || {
        let ours = Digest::of(&counted.context);
        format!("its context has digest {context}, this log's facts give {ours}")
    });
    let ok = story.hold(v.decisions == counted.decisions, seq, "verdict-decisions", || {
        format!("counts {} decisions, this log's facts give {}", v.decisions.len(), counted.decisions.len())
    }) && ok;
    let enough = v.outcome != Outcome::Permit || counted.approvers >= APPROVERS;
    story.hold(enough, seq, "verdict-approvers", || {
        format!("permits with {} distinct approvers, {APPROVERS} are the floor", counted.approvers)
    }) && ok
}

fn replay(story: &mut Story<'_>, seq: u64, at: Timestamp, v: &Verdict) {
    let e = gate::evaluate(&story.facts, &v.request, at);
    let same = e.outcome == v.outcome
        && e.lacking == v.lacking
        && e.reasons() == v.reasons
        && e.policies == v.policies
        && e.decisions == v.decisions
        && e.context.as_deref().map(Digest::of) == v.context;
    let why = || {
        let reasons: Vec<String> = e.refusals.iter().map(ToString::to_string).collect();
        format!("says {}; the policies say {} {}", describe(v), e.outcome.name(), reasons.join("; "))
    };
    story.hold(same, seq, "verdict-replay", why);
}

fn describe(v: &Verdict) -> String {
    let reasons: Vec<&str> = v.reasons.iter().map(Code::as_str).collect();
    format!("{} {}", v.outcome.name(), reasons.join(" ")).trim_end().to_owned()
}
