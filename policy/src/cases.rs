//! Tables of cases: what a policy answers in circumstances that an officer writes down.
//!
//! A table states a base, and for each case what differs from it and what must come out. It is
//! read strictly: a word that no policy sees, a number that cannot come together, or an attribute
//! that nobody stated is an error with the case's name, because a case that does not say what its
//! author thinks is worse than none.

use crate::attributes::{self, ATTRIBUTES, Action, Attribute, Kind};
use crate::cedar::{self, Evaluated, Parsed, PolicyError};
use crate::floor::APPROVERS;
use escrow_core::charter::Policy;
use escrow_core::{Code, Role};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};
use toml::Value;

/// Stands for the deciding rule where a policy allows and the hard floor does not.
pub const FLOOR: &str = "hard-floor";

/// What must come out of a case, and what did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Allowed as things stand.
    Allow,
    /// Not now, but with every counter at its most.
    Pending,
    /// Not even then.
    Deny,
}

impl Answer {
    /// The word, as it stands in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Pending => "pending",
            Self::Deny => "deny",
        }
    }
}

/// Why a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not TOML, or not a table of cases; TOML's own words name the line.
    #[error("the table: {0}")]
    Table(String),
    /// The most or the base.
    #[error("[{section}]: {problem}")]
    Section {
        /// `most` or `base`.
        section: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// One case.
    #[error("case {number} ({name:?}){}: {problem}", line.map(|l| format!(", line {l}")).unwrap_or_default())]
    Case {
        /// Its place, from 1.
        number: usize,
        /// Its name.
        name: String,
        /// The line on which it begins, where that can be said.
        line: Option<usize>,
        /// What is wrong.
        problem: String,
    },
    /// The policy.
    #[error("the policy: {0}")]
    Policy(#[from] PolicyError),
}

type Values = BTreeMap<String, Value>;

/// One case.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    values: Values,
    expect: Answer,
    decided_by: Option<String>,
}

/// A table that was read whole and makes sense.
#[derive(Clone, Debug)]
pub struct Table {
    policy: Option<Code>,
    action: Action,
    roles: Vec<Role>,
    most: Values,
    cases: Vec<Case>,
}

/// How one case came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// What the table expects.
    pub expected: Answer,
    /// What came out.
    pub found: Answer,
    /// The deciding rule that the table expects.
    pub decided_by: Option<String>,
    /// The rules that decided.
    pub deciding: Vec<Code>,
    /// Errors of the evaluation; any of them denies.
    pub errors: Vec<String>,
    /// True if answer and, where it is stated, deciding rule are as expected.
    pub passed: bool,
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// [`TableError`], for the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let whole = |e: String| TableError::Table(e);
        let mut top: toml::Table = toml::from_str(text).map_err(|e| whole(e.to_string()))?;
        let policy = word(&mut top, "policy").map_err(whole)?;
        let policy = policy.map(|p| p.parse().map_err(|e| whole(format!("policy: {e}")))).transpose()?;
        let action = match word(&mut top, "action").map_err(whole)?.as_deref() {
            Some("release") => Action::Release,
            Some("recover") => Action::Recover,
            _ => return Err(whole("say action = \"release\" or action = \"recover\"".into())),
        };
        let mut section = |name: &str| match top.remove(name) {
            Some(Value::Table(t)) => Ok(t),
            _ => Err(whole(format!("there is no section [{name}]"))),
        };
        let (most, base) = (section("most")?, section("base")?);
        let cases = match top.remove("case") {
            Some(Value::Array(list)) if !list.is_empty() => list,
            _ => return Err(whole("there is no [[case]]".into())),
        };
        if let Some(key) = top.keys().next() {
            return Err(whole(format!("{key:?} is no part of a table; policy, action, most, base and case are")));
        }
        let bad = |section, problem| TableError::Section { section, problem };
        let (most, roles) = read_most(action, most).map_err(|p| bad("most", p))?;
        let base = flat(base);
        let needed = needed(action, &roles);
        check(action, &base, &most).map_err(|p| bad("base", p))?;
        if let Some(missing) = needed.iter().find(|n| !base.contains_key(*n)) {
            return Err(bad("base", format!("{missing} is not stated")));
        }
        let lines: Vec<usize> = text
            .lines()
            .enumerate()
            .filter(|(_, l)| l.trim_start().starts_with("[[case]]"))
            .map(|(n, _)| n + 1)
            .collect();
        let mut out = Self { policy, action, roles, most, cases: vec![] };
        for (i, case) in cases.into_iter().enumerate() {
            let name = case.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            let read = read_case(case).and_then(|c| out.add(c, &base));
            read.map_err(|problem| TableError::Case { number: i + 1, name, line: lines.get(i).copied(), problem })?;
        }
        Ok(out)
    }

    fn add(&mut self, mut case: Case, base: &Values) -> Result<(), String> {
        if self.cases.iter().any(|c| c.name == case.name) {
            return Err("another case has the same name".into());
        }
        check(self.action, &case.values, &self.most)?;
        for (path, value) in base {
            case.values.entry(path.clone()).or_insert_with(|| value.clone());
        }
        // Everybody approves in one role, so the approvals add up.
        let sum: i64 =
            case.values.iter().filter(|(p, _)| attributes::role(p).is_some()).filter_map(|(_, v)| v.as_integer()).sum();
        if self.most.get("approvers").and_then(Value::as_integer).is_some_and(|m| sum > m) {
            return Err(format!("{sum} people approve, more than approvers in [most]"));
        }
        case.values.insert("approvers".into(), Value::Integer(sum));
        self.cases.push(case);
        Ok(())
    }

    /// The policy that the table says it is for.
    pub const fn policy(&self) -> Option<&Code> {
        self.policy.as_ref()
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Never: a table without a case is refused.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Asks the policy in every case.
    ///
    /// # Errors
    /// [`TableError`] if the policy does not validate with the roles of the table, or a case
    /// cannot be put to it.
    pub fn run(&self, policy: &Policy) -> Result<Vec<CaseResult>, TableError> {
        cedar::validate(policy, &self.roles)?;
        let parsed = cedar::parse(policy, &self.roles)?;
        let run = |(i, case): (usize, &Case)| {
            self.answer(&parsed, case).map_err(|problem| TableError::Case {
                number: i + 1,
                name: case.name.clone(),
                line: None,
                problem,
            })
        };
        self.cases.iter().enumerate().map(run).collect()
    }

    fn answer(&self, parsed: &Parsed, case: &Case) -> Result<CaseResult, String> {
        let now = self.evaluate(parsed, &case.values)?;
        let mut most = case.values.clone();
        most.extend(self.most.clone());
        let found = if now.0 {
            Answer::Allow
        } else if now.1.errors.is_empty() && self.evaluate(parsed, &most)?.0 {
            Answer::Pending
        } else {
            Answer::Deny
        };
        let decided = case.decided_by.as_ref().is_none_or(|d| now.1.determining.iter().any(|by| by.as_str() == d));
        Ok(CaseResult {
            name: case.name.clone(),
            expected: case.expect,
            found,
            decided_by: case.decided_by.clone(),
            deciding: now.1.determining,
            errors: now.1.errors,
            passed: found == case.expect && decided,
        })
    }

    /// The policy's answer and whether the request passes, which also takes what the hard floor
    /// says about numbers of people and about requestors who receive.
    fn evaluate(&self, parsed: &Parsed, values: &Values) -> Result<(bool, Evaluated), String> {
        let bytes = serde_json::to_vec(&context(values)).map_err(|e| e.to_string())?;
        let text = |path: &str| values.get(path).and_then(Value::as_str).unwrap_or_default();
        let evaluated = match self.action {
            Action::Release => {
                let requestor = text("requestor").parse().map_err(|e| format!("requestor: {e}"))?;
                let matter = text("matter").parse().map_err(|e| format!("matter: {e}"))?;
                parsed.evaluate(&requestor, &matter, &bytes)
            }
            Action::Recover => {
                let org = "organisation.example".parse().map_err(|e| format!("organisation: {e}"))?;
                parsed.evaluate_recovery("device", &org, &bytes)
            }
        };
        let mut evaluated = evaluated.map_err(|e| e.to_string())?;
        let approvers = values.get("approvers").and_then(Value::as_integer).and_then(|n| u64::try_from(n).ok());
        let receives = values.get("recipient_is_requestor").and_then(Value::as_bool).unwrap_or(false);
        let floor = approvers.is_some_and(|n| n >= APPROVERS) && (!receives || parsed.allows_requestor_as_recipient());
        if evaluated.allowed && !floor {
            evaluated.determining = FLOOR.parse().into_iter().collect();
        }
        Ok((evaluated.allowed && floor, evaluated))
    }
}

fn word(table: &mut toml::Table, key: &str) -> Result<Option<String>, String> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(s)) => Ok(Some(s)),
        Some(_) => Err(format!("{key} is a text in quotes")),
    }
}

fn read_case(case: Value) -> Result<Case, String> {
    let Value::Table(mut t) = case else { return Err("a case is a table of its own".into()) };
    let name = word(&mut t, "name")?.filter(|n| !n.trim().is_empty()).ok_or("it has no name")?;
    let expect = match word(&mut t, "expect")?.as_deref() {
        Some("allow") => Answer::Allow,
        Some("pending") => Answer::Pending,
        Some("deny") => Answer::Deny,
        _ => return Err("say expect = \"allow\", \"pending\" or \"deny\"".into()),
    };
    let decided_by = word(&mut t, "decided_by")?;
    Ok(Case { name, values: flat(t), expect, decided_by })
}

/// `approvals.legal` and a table `approvals` with `legal` in it are the same.
fn flat(table: toml::Table) -> Values {
    let mut out = Values::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => out.extend(flat(inner).into_iter().map(|(k, v)| (format!("{key}.{k}"), v))),
            value => _ = out.insert(key, value),
        }
    }
    out
}

/// Every path that a context of this action has, but for `approvers`, which follows from the rest.
fn needed(action: Action, roles: &[Role]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for a in ATTRIBUTES.iter().filter(|a| a.actions.contains(&action) && a.name != "approvers") {
        match a.kind {
            Kind::CounterPerRole => out.extend(roles.iter().map(|r| format!("{}.{r}", a.name))),
            _ => _ = out.insert(a.name.to_owned()),
        }
    }
    out
}

fn read_most(action: Action, section: toml::Table) -> Result<(Values, Vec<Role>), String> {
    let mut most = flat(section);
    let mut roles = Vec::new();
    let mut sum = 0;
    for (path, value) in &most {
        let attribute = known(action, path)?;
        if !attributes::is_counter(path) {
            return Err(format!("{path} is no number that signatures or waiting can raise"));
        }
        let n = fits(path, attribute, value)?;
        if let Some(role) = attributes::role(path) {
            roles.push(role.parse().map_err(|e| format!("{path}: {e}"))?);
            sum += n;
        }
    }
    // One person may hold two offices, so there may be fewer people than approvals.
    let approvers = most.entry("approvers".into()).or_insert(Value::Integer(sum)).as_integer();
    if approvers.is_some_and(|a| a > sum) {
        return Err(format!("approvers is more than the {sum} approvals together"));
    }
    let missing = needed(action, &roles).into_iter().find(|p| attributes::is_counter(p) && !most.contains_key(p));
    if let Some(path) = missing {
        return Err(format!("{path} is not stated"));
    }
    if roles.is_empty() {
        return Err("no approvals.<role> is stated".into());
    }
    Ok((most, roles))
}

/// Every value stated is of its kind, and no counter is above its most.
fn check(action: Action, values: &Values, most: &Values) -> Result<(), String> {
    for (path, value) in values {
        let attribute = known(action, path)?;
        if path == "approvers" {
            return Err("approvers is counted from the approvals; leave it out".into());
        }
        let n = fits(path, attribute, value)?;
        if attributes::is_counter(path) {
            let top = most.get(path).and_then(Value::as_integer);
            let top = top.ok_or_else(|| format!("{path} has no value in [most]"))?;
            if n > top {
                return Err(format!("{path} = {n} is more than the {top} in [most]"));
            }
        }
    }
    Ok(())
}

fn known(action: Action, path: &str) -> Result<&'static Attribute, String> {
    let found = attributes::find(path).filter(|a| a.actions.contains(&action));
    let found = found.filter(|a| a.kind != Kind::CounterPerRole || attributes::role(path).is_some());
    found.ok_or_else(|| format!("a policy for {} sees no {path:?}", action.name()))
}

/// The number, or 0 for what is none.
fn fits(path: &str, attribute: &Attribute, value: &Value) -> Result<i64, String> {
    let one_of = |words: &[&str], v: &Value| match v.as_str() {
        Some(s) if words.contains(&s) => Ok(()),
        _ => Err(format!("{path} = {v} never occurs; it is one of {}", words.join(", "))),
    };
    match attribute.kind {
        Kind::Counter | Kind::CounterPerRole | Kind::Count => {
            let whole = value.as_integer().filter(|n| (0..1 << 53).contains(n));
            return whole.ok_or_else(|| format!("{path} = {value} is no whole number from 0 on"));
        }
        Kind::Flag => {
            value.as_bool().map(|_| ()).ok_or_else(|| format!("{path} = {value} is neither true nor false"))?
        }
        Kind::Name => value.as_str().map(|_| ()).ok_or_else(|| format!("{path} = {value} is no text in quotes"))?,
        Kind::Word(words) => one_of(words, value)?,
        Kind::Words(words) => {
            let list = value.as_array().ok_or_else(|| format!("{path} = {value} is no list in brackets"))?;
            list.iter().try_for_each(|v| one_of(words, v))?;
        }
    }
    Ok(0)
}

/// The context as the engine takes it.
fn context(values: &Values) -> Json {
    let mut out = Map::new();
    for (path, value) in values {
        match path.split_once('.') {
            None => _ = out.insert(path.clone(), json(value)),
            Some((record, field)) => {
                if let Json::Object(inner) = out.entry(record).or_insert_with(|| Json::Object(Map::new())) {
                    inner.insert(field.to_owned(), json(value));
                }
            }
        }
    }
    Json::Object(out)
}

fn json(value: &Value) -> Json {
    match value {
        Value::Integer(n) => Json::from(*n),
        Value::Boolean(b) => Json::from(*b),
        Value::Array(list) => list.iter().map(json).collect(),
        Value::String(s) => Json::from(s.as_str()),
        // Refused by `fits`.
        _ => Json::Null,
    }
}
