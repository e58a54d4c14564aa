//! Can a text allow anything in given circumstances? Each attribute has a range of values, and a
//! condition is worked out for all of them at once. What comes out as possible may still be
//! impossible, where a text uses one attribute twice; what comes out as impossible is.

use super::expr::{Arithmetic, Expr, Relation, Rule};
use super::polarity::COUNT_MAX;
use crate::attributes::{self, Action, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// What a part of a condition can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// Can it be true, can it be false.
    Truth(bool, bool),
    /// Least and largest.
    Number(i128, i128),
    /// One of these words.
    Words(BTreeSet<String>),
    /// Anything at all.
    Any,
}

impl Range {
    pub(super) const EITHER: Self = Self::Truth(true, true);

    pub(super) const fn least(n: i128) -> Self {
        Self::Number(n, COUNT_MAX)
    }

    pub(super) const fn exactly(n: i128) -> Self {
        Self::Number(n, n)
    }

    pub(super) fn words(list: &[&str]) -> Self {
        Self::Words(list.iter().map(|w| (*w).to_owned()).collect())
    }

    fn truth(self) -> (bool, bool) {
        if let Self::Truth(yes, no) = self { (yes, no) } else { (true, true) }
    }

    fn number(self) -> (i128, i128) {
        if let Self::Number(low, high) = self { (low, high) } else { (i128::from(i64::MIN), i128::from(i64::MAX)) }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Truth(a, b), Self::Truth(c, d)) => Self::Truth(a || c, b || d),
            (Self::Number(a, b), Self::Number(c, d)) => Self::Number(a.min(c), b.max(d)),
            (Self::Words(a), Self::Words(b)) => Self::Words(a.union(&b).cloned().collect()),
            _ => Self::Any,
        }
    }
}

/// Circumstances: an action, and a range for every attribute that is not free.
#[derive(Clone, Debug)]
pub(super) struct Circumstances {
    pub(super) action: Action,
    known: BTreeMap<String, Range>,
}

impl Circumstances {
    /// Everything is possible.
    pub(super) const fn free(action: Action) -> Self {
        Self { action, known: BTreeMap::new() }
    }

    /// The same with one attribute set; `approvals` sets every role that is not set by itself.
    pub(super) fn with(mut self, path: &str, range: Range) -> Self {
        self.known.insert(path.to_owned(), range);
        self
    }

    /// The same with one attribute free.
    pub(super) fn without(&self, path: &str) -> Self {
        let mut out = self.clone();
        out.known.remove(path);
        out
    }

    /// Attributes that are not free.
    pub(super) fn set(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    fn look(&self, path: &str) -> Range {
        let known = self.known.get(path).or_else(|| attributes::role(path).and_then(|_| self.known.get("approvals")));
        known.cloned().unwrap_or_else(|| match attributes::find(path).map(|a| a.kind) {
            Some(Kind::Counter | Kind::CounterPerRole | Kind::Count) => Range::Number(0, COUNT_MAX),
            Some(Kind::Flag) => Range::EITHER,
            _ => Range::Any,
        })
    }

    /// True if some rule can permit and no rule must forbid.
    pub(super) fn allow(&self, rules: &[Rule]) -> bool {
        rules.iter().any(|r| r.permit && self.can(r)) && !rules.iter().any(|r| !r.permit && self.must(r))
    }

    /// True if the rule can hold.
    pub(super) fn can(&self, rule: &Rule) -> bool {
        rule.applies(self.action) && self.range(&rule.condition).truth().0
    }

    fn must(&self, rule: &Rule) -> bool {
        rule.unrestricted(self.action) && !self.range(&rule.condition).truth().1
    }

    /// What a part of a condition can be.
    pub(super) fn range(&self, e: &Expr) -> Range {
        match e {
            Expr::Bool(b) => Range::Truth(*b, !*b),
            Expr::Long(n) => Range::exactly(i128::from(*n)),
            Expr::Text(s) => Range::words(&[s]),
            Expr::Context(path) => self.look(path),
            // Whether a role exists is the charter's matter.
            Expr::Has(path) if attributes::role(path).is_some() => Range::EITHER,
            Expr::Has(path) => {
                let is = attributes::in_context(self.action, path);
                Range::Truth(is, !is)
            }
            Expr::Not(a) => {
                let (yes, no) = self.range(a).truth();
                Range::Truth(no, yes)
            }
            Expr::Negative(a) => {
                let (low, high) = self.range(a).number();
                Range::Number(-high, -low)
            }
            Expr::And(a, b) => {
                let ((ay, an), (by, bn)) = (self.range(a).truth(), self.range(b).truth());
                Range::Truth(ay && by, an || bn)
            }
            Expr::Or(a, b) => {
                let ((ay, an), (by, bn)) = (self.range(a).truth(), self.range(b).truth());
                Range::Truth(ay || by, an && bn)
            }
            Expr::If(c, a, b) => match self.range(c).truth() {
                (true, false) => self.range(a),
                (false, true) => self.range(b),
                _ => self.range(a).or(self.range(b)),
            },
            Expr::Compare(r, a, b) => compare(*r, self.range(a), self.range(b)),
            Expr::Arithmetic(n, a, b) => arithmetic(*n, self.range(a).number(), self.range(b).number()),
            Expr::Contains(name, set, word) if name == "contains" => self.contains(set, word),
            Expr::Contains(..) | Expr::Set(_) | Expr::Other(..) => Range::Any,
        }
    }

    /// `["consent", "order"].contains(context.basis)`.
    fn contains(&self, set: &Expr, word: &Expr) -> Range {
        let Expr::Set(list) = set else { return Range::EITHER };
        list.iter().map(|one| compare(Relation::Eq, self.range(one), self.range(word)).truth()).fold(
            Range::Truth(false, true),
            |all, (yes, no)| {
                let (any_yes, all_no) = all.truth();
                Range::Truth(any_yes || yes, all_no && no)
            },
        )
    }
}

fn compare(r: Relation, a: Range, b: Range) -> Range {
    match (r, &a, &b) {
        (Relation::Ne, ..) => {
            let (yes, no) = compare(Relation::Eq, a, b).truth();
            Range::Truth(no, yes)
        }
        (Relation::Eq, Range::Words(l), Range::Words(m)) => {
            let same = l.len() == 1 && l == m;
            Range::Truth(!l.is_disjoint(m), !same)
        }
        (Relation::Eq, Range::Truth(ay, an), Range::Truth(by, bn)) => {
            Range::Truth((*ay && *by) || (*an && *bn), (*ay && *bn) || (*an && *by))
        }
        (Relation::Eq, Range::Number(al, ah), Range::Number(bl, bh)) => {
            Range::Truth(al <= bh && bl <= ah, !(al == ah && bl == bh && al == bl))
        }
        (Relation::Eq, ..) => Range::EITHER,
        (Relation::Lt | Relation::Le, ..) => {
            let ((al, ah), (bl, bh)) = (a.number(), b.number());
            if r == Relation::Lt { Range::Truth(al < bh, ah >= bl) } else { Range::Truth(al <= bh, ah > bl) }
        }
        (Relation::Gt, ..) => compare(Relation::Lt, b, a),
        (Relation::Ge, ..) => compare(Relation::Le, b, a),
    }
}

fn arithmetic(n: Arithmetic, (al, ah): (i128, i128), (bl, bh): (i128, i128)) -> Range {
    let (low, high) = match n {
        Arithmetic::Add => (al + bl, ah + bh),
        Arithmetic::Sub => (al - bh, ah - bl),
        Arithmetic::Mul => {
            let ends = [al * bl, al * bh, ah * bl, ah * bh];
            ends.iter().fold((i128::MAX, i128::MIN), |(l, h), v| (l.min(*v), h.max(*v)))
        }
    };
    // A number out of range ends the evaluation, so what is left of the range is within it.
    let clamp = |v: i128| v.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Range::Number(clamp(low), clamp(high))
}
