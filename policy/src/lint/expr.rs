//! Cedar conditions as lint reads them: a small tree in which every attribute of the context is a
//! dotted path, made from the engine's own JSON form of a policy.

use crate::attributes::Action;
use crate::cedar;
use serde_json::Value;
use std::fmt;

/// Deeper trees are not looked into.
const DEPTH_MAX: usize = 200;

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// What is done with two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
}

/// A condition, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr {
    Bool(bool),
    Long(i64),
    Text(String),
    /// An attribute by its path; the empty path is the context itself.
    Context(String),
    /// `has` and the path it asks for. No attribute is optional, so this depends on the action alone.
    Has(String),
    Not(Box<Self>),
    Negative(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    If(Box<Self>, Box<Self>, Box<Self>),
    Compare(Relation, Box<Self>, Box<Self>),
    Arithmetic(Arithmetic, Box<Self>, Box<Self>),
    Set(Vec<Self>),
    /// `contains`, `containsAll`, `containsAny`.
    Contains(String, Box<Self>, Box<Self>),
    /// Anything else, by its name and parts, and whether its evaluation could fail.
    Other(String, Vec<Self>, bool),
}

impl Expr {
    fn read(v: &Value, depth: usize) -> Self {
        Self::read_known(v, depth).unwrap_or_else(Self::unreadable)
    }

    /// Could be anything, so it counts as using the whole context.
    fn unreadable() -> Self {
        Self::Other("...".into(), vec![Self::Context(String::new())], true)
    }

    fn read_known(v: &Value, depth: usize) -> Option<Self> {
        let (name, body) = v.as_object()?.iter().next()?;
        let depth = (depth < DEPTH_MAX).then_some(depth + 1)?;
        let part = |k: &str| body.get(k).map(|v| Box::new(Self::read(v, depth)));
        let pair = || Some((part("left")?, part("right")?));
        let compare = |r| pair().map(|(a, b)| Self::Compare(r, a, b));
        let number = |n| pair().map(|(a, b)| Self::Arithmetic(n, a, b));
        let other = |parts: Option<Vec<Self>>, fails| Some(Self::Other(name.clone(), parts?, fails));
        let list = |l: &Vec<Value>| l.iter().map(|v| Self::read(v, depth)).collect::<Vec<_>>();
        match name.as_str() {
            "Value" => Some(literal(body)),
            "Var" if body == "context" => Some(Self::Context(String::new())),
            "Var" => Some(Self::Other(body.as_str()?.to_owned(), vec![], false)),
            "!" => Some(Self::Not(part("arg")?)),
            "neg" => Some(Self::Negative(part("arg")?)),
            "&&" => pair().map(|(a, b)| Self::And(a, b)),
            "||" => pair().map(|(a, b)| Self::Or(a, b)),
            "==" => compare(Relation::Eq),
            "!=" => compare(Relation::Ne),
            "<" => compare(Relation::Lt),
            "<=" => compare(Relation::Le),
            ">" => compare(Relation::Gt),
            ">=" => compare(Relation::Ge),
            "+" => number(Arithmetic::Add),
            "-" => number(Arithmetic::Sub),
            "*" => number(Arithmetic::Mul),
            "if-then-else" => Some(Self::If(part("if")?, part("then")?, part("else")?)),
            "Set" => Some(Self::Set(list(body.as_array()?))),
            "contains" | "containsAll" | "containsAny" => pair().map(|(a, b)| Self::Contains(name.clone(), a, b)),
            "." => Some(match (*part("left")?, body.get("attr")?.as_str()?) {
                (Self::Context(path), attr) if path.is_empty() => Self::Context(attr.to_owned()),
                (Self::Context(path), attr) => Self::Context(format!("{path}.{attr}")),
                (left, _) => Self::Other(name.clone(), vec![left], true),
            }),
            "has" => Some(match *part("left")? {
                Self::Context(path) => Self::Has(has(path, body.get("attr")?)?),
                left => Self::Other(name.clone(), vec![left], false),
            }),
            "like" | "is" if body.get("in").is_none() => other(part("left").map(|l| vec![*l]), false),
            "isEmpty" => other(part("arg").map(|l| vec![*l]), false),
            "in" | "hasTag" => other(pair().map(|(a, b)| vec![*a, *b]), false),
            "Record" => other(Some(body.as_object()?.values().map(|v| Self::read(v, depth)).collect()), false),
            // Extension functions: a name and the list of arguments.
            _ => other(body.as_array().map(list), true),
        }
    }

    /// Direct parts.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Bool(_) | Self::Long(_) | Self::Text(_) | Self::Context(_) | Self::Has(_) => vec![],
            Self::Not(a) | Self::Negative(a) => vec![a],
            Self::And(a, b) | Self::Or(a, b) | Self::Compare(_, a, b) | Self::Arithmetic(_, a, b) => vec![a, b],
            Self::Contains(_, a, b) => vec![a, b],
            Self::If(c, a, b) => vec![c, a, b],
            Self::Set(list) | Self::Other(_, list, _) => list.iter().collect(),
        }
    }

    /// Hands this and every part of it to `f`.
    pub(super) fn walk<'a>(&'a self, f: &mut dyn FnMut(&'a Self)) {
        f(self);
        for part in self.parts() {
            part.walk(f);
        }
    }

    /// Every attribute named in it.
    pub(super) fn paths(&self) -> Vec<&str> {
        let mut out = Vec::new();
        self.walk(&mut |e| {
            if let Self::Context(path) = e {
                out.push(path.as_str());
            }
        });
        out
    }
}

/// `has` may ask for a whole path at once.
fn has(path: String, attr: &Value) -> Option<String> {
    let all = attr.as_array().map_or_else(|| std::slice::from_ref(attr), Vec::as_slice);
    all.iter().try_fold(path, |path, attr| {
        let attr = attr.as_str()?;
        Some(if path.is_empty() { attr.to_owned() } else { format!("{path}.{attr}") })
    })
}

fn literal(v: &Value) -> Expr {
    match v {
        Value::Bool(b) => Expr::Bool(*b),
        Value::String(s) => Expr::Text(s.clone()),
        Value::Number(n) => n.as_i64().map_or_else(Expr::unreadable, Expr::Long),
        Value::Array(list) => Expr::Set(list.iter().map(literal).collect()),
        // An entity by name, or a record of literals: it depends on nothing.
        _ => Expr::Other("literal".into(), vec![], false),
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |l: &[Self]| l.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let inner = |e: &Self| if e.parts().len() > 1 { format!("({e})") } else { e.to_string() };
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Long(n) => write!(f, "{n}"),
            Self::Text(s) => write!(f, "{s:?}"),
            Self::Context(path) if path.is_empty() => f.write_str("context"),
            Self::Context(path) => write!(f, "context.{path}"),
            Self::Has(path) => write!(f, "context has {path}"),
            Self::Not(a) => write!(f, "!{}", inner(a)),
            Self::Negative(a) => write!(f, "-{}", inner(a)),
            Self::And(a, b) => write!(f, "{} && {}", inner(a), inner(b)),
            Self::Or(a, b) => write!(f, "{} || {}", inner(a), inner(b)),
            Self::If(c, a, b) => write!(f, "if {c} then {a} else {b}"),
            Self::Compare(r, a, b) => {
                let sign = match r {
                    Relation::Eq => "==",
                    Relation::Ne => "!=",
                    Relation::Lt => "<",
                    Relation::Le => "<=",
                    Relation::Gt => ">",
                    Relation::Ge => ">=",
                };
                write!(f, "{} {sign} {}", inner(a), inner(b))
            }
            Self::Arithmetic(n, a, b) => {
                let sign = match n {
                    Arithmetic::Add => "+",
                    Arithmetic::Sub => "-",
                    Arithmetic::Mul => "*",
                };
                write!(f, "{} {sign} {}", inner(a), inner(b))
            }
            Self::Set(l) => write!(f, "[{}]", list(l)),
            Self::Contains(name, a, b) => write!(f, "{}.{name}({b})", inner(a)),
            Self::Other(name, l, _) if l.is_empty() => f.write_str(name),
            Self::Other(name, l, _) => write!(f, "{name}({})", list(l)),
        }
    }
}

/// One permit or forbid of a text.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) permit: bool,
    pub(super) requestor_may_receive: bool,
    scope: Scope,
    /// All `when` and `unless` clauses as one condition.
    pub(super) condition: Expr,
}

/// Types and actions that the head of a rule is restricted to; none is no restriction.
#[derive(Clone, Debug, Default)]
struct Scope {
    principal: Option<String>,
    resource: Option<String>,
    actions: Option<Vec<String>>,
    /// One principal or resource is named.
    named: bool,
}

impl Rule {
    /// True unless the head of the rule excludes the action.
    pub(super) fn applies(&self, action: Action) -> bool {
        let (principal, resource) = action.parties();
        let fits = |own: &Option<String>, kind| own.as_deref().is_none_or(|o| o == kind);
        fits(&self.scope.principal, principal)
            && fits(&self.scope.resource, resource)
            && self.scope.actions.as_ref().is_none_or(|l| l.iter().any(|a| a == action.name()))
    }

    /// True if the head of the rule lets the action through whoever asks, about whatever.
    pub(super) fn unrestricted(&self, action: Action) -> bool {
        self.applies(action) && !self.scope.named
    }

    fn read(policy: &cedar_policy::Policy) -> Option<Self> {
        let json = policy.to_json().ok()?;
        let permit = policy.effect() == cedar_policy::Effect::Permit;
        let mut condition: Option<Expr> = None;
        for c in json.get("conditions")?.as_array()? {
            let body = Expr::read(c.get("body")?, 0);
            let clause = if c.get("kind")? == "when" { body } else { Expr::Not(Box::new(body)) };
            condition = Some(match condition {
                None => clause,
                Some(before) => Expr::And(Box::new(before), Box::new(clause)),
            });
        }
        let actions = json.get("action").and_then(|a| {
            let one = a.get("entity").map(std::slice::from_ref);
            let list = one.or_else(|| a.get("entities").and_then(Value::as_array).map(Vec::as_slice))?;
            Some(list.iter().filter_map(|e| e.get("id")?.as_str().map(ToOwned::to_owned)).collect())
        });
        let kind = |part: &str| {
            let part = json.get(part)?;
            let kind = part.get("entity_type").or_else(|| part.get("entity")?.get("type"))?;
            kind.as_str().map(ToOwned::to_owned)
        };
        let named = ["principal", "resource"].iter().any(|part| {
            let part = json.get(part);
            part.is_some_and(|p| p.get("entity").is_some() || p.get("in").is_some())
        });
        Some(Self {
            id: cedar::name(policy).map_or_else(|| policy.id().to_string(), |n| n.to_string()),
            permit,
            requestor_may_receive: permit && policy.annotation("recipient_is_requestor") == Some("allowed"),
            scope: Scope { principal: kind("principal"), resource: kind("resource"), actions, named },
            condition: condition.unwrap_or(Expr::Bool(true)),
        })
    }
}

/// The rules of a text in their order; none if one of them cannot be read.
pub(super) fn rules<'a>(policies: impl Iterator<Item = &'a cedar_policy::Policy>) -> Option<Vec<Rule>> {
    let mut policies: Vec<_> = policies.collect();
    policies.sort_by_key(|p| (p.id().to_string().len(), p.id().to_string()));
    policies.into_iter().map(Rule::read).collect()
}
