//! Do counters only help? For every part of a condition: in which direction its value moves when
//! counters rise, everything else being fixed.

use super::expr::{Arithmetic, Expr, Relation, Rule};
use crate::attributes::{is_counter, role};

/// Counts and seconds lie between 0 and this.
pub(super) const COUNT_MAX: i128 = (1 << 53) - 1;

/// How a value moves when counters rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// Not at all.
    Fixed,
    /// Only up: towards true, towards larger numbers.
    Up,
    /// Only down.
    Down,
    /// Not known to be any of these.
    Unknown,
}
use Direction::{Down, Fixed, Unknown, Up};

impl Direction {
    const fn flip(self) -> Self {
        match self {
            Up => Down,
            Down => Up,
            same => same,
        }
    }

    const fn join(self, other: Self) -> Self {
        match (self, other) {
            (Fixed, d) | (d, Fixed) => d,
            (Up, Up) => Up,
            (Down, Down) => Down,
            _ => Unknown,
        }
    }
}

/// Whether evaluation can fail (a number out of range), which denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fails {
    Never,
    /// Whatever the counters say.
    Always,
    /// With some counters and not with others.
    Varying,
}

#[derive(Clone, Copy, Debug)]
struct Course {
    direction: Direction,
    fails: Fails,
    /// Least and largest value, of numbers.
    range: (i128, i128),
}

const ANY: (i128, i128) = (i64::MIN as i128, i64::MAX as i128);

impl Course {
    const fn of(direction: Direction) -> Self {
        Self { direction, fails: Fails::Never, range: ANY }
    }

    /// Both are evaluated, the second only if the first says so.
    fn then(self, second: Self, direction: Direction) -> Self {
        let fails = match (self.direction, second.fails) {
            (_, Fails::Never) => Fails::Never,
            (Fixed, f) => f,
            _ => Fails::Varying,
        };
        Self { direction, fails: self.fails.max(fails), range: ANY }
    }
}

fn course(e: &Expr) -> Course {
    match e {
        Expr::Bool(_) | Expr::Text(_) | Expr::Has(_) => Course::of(Fixed),
        Expr::Long(n) => Course { range: (i128::from(*n), i128::from(*n)), ..Course::of(Fixed) },
        Expr::Context(path) => attribute(path),
        Expr::Not(a) => {
            let a = course(a);
            Course { direction: a.direction.flip(), ..a }
        }
        Expr::Negative(a) => {
            let a = course(a);
            let (low, high) = a.range;
            bounded(a.direction.flip(), a, a, (-high, -low))
        }
        Expr::And(a, b) | Expr::Or(a, b) => {
            let (a, b) = (course(a), course(b));
            a.then(b, a.direction.join(b.direction))
        }
        Expr::If(c, a, b) => choice(course(c), a, b),
        Expr::Compare(r, a, b) => compare(*r, course(a), course(b)),
        Expr::Arithmetic(n, a, b) => arithmetic(*n, course(a), course(b)),
        Expr::Contains(_, a, b) => opaque([&**a, &**b], false),
        Expr::Set(list) => opaque(list, false),
        Expr::Other(_, list, can_fail) => opaque(list, *can_fail),
    }
}

fn attribute(path: &str) -> Course {
    match path {
        // Records that hold counters, taken as a whole.
        "" | "approvals" => Course::of(Unknown),
        _ if is_counter(path) => Course { range: (0, COUNT_MAX), ..Course::of(Up) },
        _ => Course { range: (0, COUNT_MAX), ..Course::of(Fixed) },
    }
}

/// What is not looked into may depend on counters in any way, if it has any in it.
fn opaque<'a>(parts: impl IntoIterator<Item = &'a Expr>, can_fail: bool) -> Course {
    let mut out = Course::of(Fixed);
    for part in parts.into_iter().map(course) {
        out.fails = out.fails.max(part.fails);
        if part.direction != Fixed {
            out.direction = Unknown;
        }
    }
    if can_fail {
        out.fails = out.fails.max(if out.direction == Fixed { Fails::Always } else { Fails::Varying });
    }
    out
}

fn choice(c: Course, a: &Expr, b: &Expr) -> Course {
    let (first, second) = (course(a), course(b));
    let join = first.direction.join(second.direction);
    // `if c then a else false` is `c && a`; `if c then true else b` is `c || b`; and so on.
    let direction = match (c.direction, a, b) {
        (Fixed, ..) => join,
        (d, _, Expr::Bool(false)) => d.join(first.direction),
        (d, Expr::Bool(true), _) => d.join(second.direction),
        (d, Expr::Bool(false), _) => d.flip().join(second.direction),
        (d, _, Expr::Bool(true)) => d.flip().join(first.direction),
        _ => Unknown,
    };
    let range = (first.range.0.min(second.range.0), first.range.1.max(second.range.1));
    let fails = c.then(first, direction).fails.max(c.then(second, direction).fails);
    Course { direction, fails, range }
}

fn compare(r: Relation, a: Course, b: Course) -> Course {
    let direction = match r {
        Relation::Gt | Relation::Ge => a.direction.join(b.direction.flip()),
        Relation::Lt | Relation::Le => a.direction.flip().join(b.direction),
        Relation::Eq => equal(a, b),
        Relation::Ne => equal(a, b).flip(),
    };
    Course { direction, fails: a.fails.max(b.fails), range: ANY }
}

/// Equality with the least value can only be lost by rising.
fn equal(a: Course, b: Course) -> Direction {
    let least = |rising: Course, fixed: Course| {
        rising.direction == Up && fixed.direction == Fixed && fixed.range.1 <= rising.range.0
    };
    match (a.direction, b.direction) {
        (Fixed, Fixed) => Fixed,
        _ if least(a, b) || least(b, a) => Down,
        _ => Unknown,
    }
}

fn arithmetic(n: Arithmetic, a: Course, b: Course) -> Course {
    let ((al, ah), (bl, bh)) = (a.range, b.range);
    match n {
        Arithmetic::Add => bounded(a.direction.join(b.direction), a, b, (al + bl, ah + bh)),
        Arithmetic::Sub => bounded(a.direction.join(b.direction.flip()), a, b, (al - bh, ah - bl)),
        Arithmetic::Mul => {
            let ends = [al * bl, al * bh, ah * bl, ah * bh];
            let range = ends.iter().fold((i128::MAX, i128::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
            // With a factor of known sign the other decides; otherwise nothing is shown.
            let scaled = |moving: Direction, by: Course| match by.range {
                (low, _) if low >= 0 => moving,
                (_, high) if high <= 0 => moving.flip(),
                _ if moving == Fixed => Fixed,
                _ => Unknown,
            };
            let direction = scaled(a.direction, b).join(scaled(b.direction, a));
            bounded(direction, a, b, range)
        }
    }
}

fn bounded(direction: Direction, a: Course, b: Course, range: (i128, i128)) -> Course {
    let mut fails = a.fails.max(b.fails);
    if range.0 < ANY.0 || range.1 > ANY.1 {
        let fixed = a.direction == Fixed && b.direction == Fixed;
        fails = fails.max(if fixed { Fails::Always } else { Fails::Varying });
    }
    Course { direction, fails, range: (range.0.clamp(ANY.0, ANY.1), range.1.clamp(ANY.0, ANY.1)) }
}

/// The part of a rule because of which more could hurt, if there is one.
pub(super) fn hurts(rule: &Rule) -> Option<String> {
    let want = if rule.permit { Up } else { Down };
    if fine(&rule.condition, want) {
        return None;
    }
    let part = smallest(&rule.condition, want);
    let mut counters: Vec<&str> = part.paths().into_iter().filter(|p| is_counter(p) || p.is_empty()).collect();
    counters.extend(part.paths().into_iter().filter(|p| *p == "approvals"));
    counters.sort_unstable();
    counters.dedup();
    let more = match counters.as_slice() {
        [one] if role(one).is_some() => "more approvals".into(),
        ["waited_seconds"] => "more waiting".into(),
        list => format!("more of {}", list.iter().map(|p| named(p)).collect::<Vec<_>>().join(", ")),
    };
    Some(format!("{more} can turn Allow into Deny by `{part}`, or nothing shows that it cannot"))
}

fn named(path: &str) -> &str {
    if path.is_empty() { "the whole context" } else { path }
}

fn fine(e: &Expr, want: Direction) -> bool {
    let c = course(e);
    (c.direction == Fixed || c.direction == want) && c.fails != Fails::Varying
}

fn smallest(e: &Expr, want: Direction) -> &Expr {
    let inner = match e {
        Expr::And(a, b) | Expr::Or(a, b) => [a, b].into_iter().find(|p| !fine(p, want)).map(|p| (p, want)),
        Expr::Not(a) => (!fine(a, want.flip())).then_some((a, want.flip())),
        _ => None,
    };
    inner.map_or(e, |(part, want)| smallest(part, want))
}

/// True if a rule's evaluation can fail whatever the counters say.
pub(super) fn can_fail(rule: &Rule) -> bool {
    course(&rule.condition).fails == Fails::Always
}
