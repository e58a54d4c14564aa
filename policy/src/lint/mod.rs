//! What is wrong with a policy text before anybody relies on it.
//!
//! [`monotone`] is the one finding that a charter cannot be signed over: pending, and what is
//! lacking, are worked out on the assumption that more approvals and more waiting never turn Allow
//! into Deny. The other findings are advice.

mod expr;
mod findings;
mod polarity;
mod possible;

use crate::attributes;
use crate::cedar;
use escrow_core::charter::{Charter, Policy};
use escrow_core::{Code, Role};
use expr::Rule;
use serde::Serialize;
use std::collections::BTreeSet;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The text does not do what it says, or cannot be used.
    Error,
    /// The text works; somebody should have meant it.
    Warning,
}

impl Severity {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! findings {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $severity:ident, $remedy:literal;)*) => {
        /// What lint looks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub enum Problem {
            $($(#[doc = $doc])* #[serde(rename = $code)] $name,)*
        }

        impl Problem {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What to do about it.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

findings! {
    /// The text does not parse or validate.
    Invalid = "invalid", Error, "mend the text; no charter can hold it as it is";
    /// More approvals or more waiting can turn Allow into Deny.
    CounterHurts = "counter-hurts", Error,
        "ask counters only for at least so many; limit a release by items, span_days or earlier_releases";
    /// There are only forbids.
    NoPermit = "no-permit", Error, "add a permit; what nothing permits is denied";
    /// A permit can only apply where the hard floor refuses.
    FloorForbids = "floor-forbids", Error, "remove the permit or the condition; no policy can lower the floor";
    /// The charter has too few people, or too little time, to satisfy it.
    UnreachableQuorum = "unreachable-quorum", Error, "ask for fewer, or give more people the role in the charter";
    /// A word that never occurs.
    UnknownWord = "unknown-word", Error, "use one of the words that can occur";
    /// One approval satisfies the text by itself.
    OneOfN = "one-of-n", Warning, "ask for two people in the text; the floor demands two whatever it says";
    /// A release is possible at once.
    MissingDelay = "missing-delay", Warning, "ask for waited_seconds, so that the subject can object in time";
    /// An approver role that no policy asks for.
    UnusedRole = "unused-role", Warning, "ask for the role in a policy, or take it off the approver roles";
    /// Evaluation can fail, which denies.
    CanFail = "can-fail", Warning, "use smaller numbers; a result out of range denies the request";
}

/// One thing that lint found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    #[serde(rename = "code")]
    pub problem: Problem,
    /// How bad it is.
    pub severity: Severity,
    /// The policy of the charter; none if it is about the charter as a whole.
    pub policy: Option<Code>,
    /// In words: where, and why.
    pub words: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Finding {
    fn new(problem: Problem, policy: Option<&Policy>, words: impl Into<String>) -> Self {
        let policy = policy.map(|p| p.id.clone());
        Self { problem, severity: problem.severity(), policy, words: words.into(), remedy: problem.remedy() }
    }
}

/// Looks at policy texts, and at whether the people of a charter can satisfy them. Without a
/// charter every role that the texts name is taken to exist.
pub fn lint(policies: &[Policy], charter: Option<&Charter>) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut asked = BTreeSet::new();
    for policy in policies {
        let roles = charter.map_or_else(|| roles_named(policy), |c| c.approver_roles.clone());
        if let Err(e) = cedar::validate(policy, &roles) {
            out.push(Finding::new(Problem::Invalid, Some(policy), format!("the text {e}")));
            continue;
        }
        let rules = match read(policy, &roles) {
            Ok(rules) => rules,
            Err(words) => {
                out.push(Finding::new(Problem::Invalid, Some(policy), words));
                continue;
            }
        };
        asked.extend(rules.iter().flat_map(roles_of));
        out.extend(findings::of(policy, &rules, charter));
    }
    if let Some(c) = charter {
        for p in c.policies.iter().filter(|p| policies.iter().all(|q| q.id != p.id)) {
            asked.extend(read(p, &c.approver_roles).unwrap_or_default().iter().flat_map(roles_of));
        }
        for role in c.approver_roles.iter().filter(|r| !asked.contains(*r)) {
            let words = format!("no policy asks for the approver role {role}");
            out.push(Finding::new(Problem::UnusedRole, None, words));
        }
    }
    out.sort_by(|a, b| (a.severity, &a.policy, a.problem).cmp(&(b.severity, &b.policy, b.problem)));
    out
}

/// Refuses a text in which more approvals, more waiting or an older device can turn Allow into
/// Deny, or in which nothing shows that they cannot.
///
/// # Errors
/// Which rule of the text, and which part of it.
pub fn monotone(policy: &Policy, roles: &[Role]) -> Result<(), String> {
    for rule in read(policy, roles)? {
        if let Some(words) = polarity::hurts(&rule) {
            return Err(format!("counters may only help: in {:?} {words} [{}]", rule.id, Problem::CounterHurts.code()));
        }
    }
    Ok(())
}

/// The roles whose approvals a text counts, sorted. What does not parse names none.
pub fn roles_named(policy: &Policy) -> Vec<Role> {
    // The head of the text, without a schema: roles make no difference to it.
    let rules = read(policy, &[]).unwrap_or_default();
    let all: BTreeSet<Role> = rules.iter().flat_map(roles_of).collect();
    all.into_iter().collect()
}

fn roles_of(rule: &Rule) -> Vec<Role> {
    rule.condition.paths().into_iter().filter_map(attributes::role).filter_map(|r| r.parse().ok()).collect()
}

/// Operators that one rule may have: whoever walks a condition recurses on them, the engine's own
/// JSON form included.
const OPERATORS_MAX: usize = 100;

/// Twice the most operators in one rule, in whatever order they stand.
fn operators(text: &str) -> usize {
    let (mut here, mut most) = (0usize, 0);
    let (mut string, mut comment, mut escaped) = (false, false, false);
    let mut before = ' ';
    for c in text.chars() {
        if comment {
            comment = c != '\n';
        } else if string {
            string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else {
            here += match c {
                '&' | '|' => 1,
                '+' | '-' | '*' | '!' | '.' | '[' => 2,
                'f' if before == 'i' => 2,
                _ => 0,
            };
            string = c == '"';
            comment = c == '/' && before == '/';
            most = most.max(here);
            if c == ';' {
                here = 0;
            }
        }
        before = c;
    }
    most
}

fn read(policy: &Policy, roles: &[Role]) -> Result<Vec<Rule>, String> {
    if operators(&policy.text) / 2 > OPERATORS_MAX {
        return Err(format!("a rule with more than {OPERATORS_MAX} operators cannot be looked into; split it"));
    }
    let parsed = cedar::parse(policy, roles).map_err(|e| e.to_string())?;
    expr::rules(parsed.policies()).ok_or_else(|| "the text has a part that cannot be looked into".into())
}
