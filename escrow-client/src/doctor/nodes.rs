//! What nodes say of themselves, and what their logs show.

use super::{Check, Fault, node};
use crate::charters::Charters;
use crate::clock::now;
use crate::outcome::{NodeError, Outcomes};
use crate::transport::{Node, fan_out};
use crate::watch::{Alarm, Look};
use escrow_core::wire::Status;
use escrow_core::{SeatIndex, Timestamp};

/// Nodes of another version than this program still speak the same protocol, but somebody should know.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A charter that nobody has looked at for so long.
const OLD_CHARTER_DAYS: i64 = 400;
const DAY: i64 = 86_400;

/// A status with the times between which the node answered.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) status: Status,
    pub(super) sent: Timestamp,
    pub(super) received: Timestamp,
}

/// Asks every node of the charter for its status: reached under the pinned key, clock, version, state, charter in
/// force; then whether enough are READY.
///
/// # Errors
/// [`NodeError::Protocol`] if this machine cannot make a TLS client. What nodes do is in the checks.
pub async fn nodes(charters: &Charters) -> Result<Vec<Check>, NodeError> {
    let seats = charters.current().seats.iter().map(Node::new).collect::<Result<Vec<_>, _>>()?;
    let asked = fan_out(&seats, |node| async move {
        let sent = now();
        let status = node.status().await?;
        Ok(Answered { status, sent, received: now() })
    });
    Ok(judged(charters, &asked.await))
}

pub(super) fn judged(charters: &Charters, asked: &Outcomes<Answered>) -> Vec<Check> {
    let mut out = Vec::new();
    for (seat, answer) in &asked.0 {
        match answer {
            Ok(answered) => {
                out.push(Check::ok("tls", node(*seat), "answers over TLS 1.3 with the key that the charter pins"));
                out.extend([clock(charters, *seat, answered), version(*seat, &answered.status)]);
                out.extend([state(*seat, &answered.status), in_force(charters, *seat, &answered.status)]);
            }
            Err(e) => out.push(away(*seat, e)),
        }
    }
    let members = &charters.generation().members;
    let ready = asked.good().filter(|(s, a)| members.contains(s) && a.status.state == "READY").count();
    let (t, n) = (usize::from(charters.generation().t), members.len());
    let what = format!("{ready} of {n} nodes are READY, {t} are needed");
    let next = "ask the operators of the nodes that are away or not READY";
    out.push(match ready {
        few if few < t => Check::fail("quorum", Fault::BelowThreshold, "", what, next),
        few if few < n => Check::warn("quorum", "", what, next),
        _ => Check::ok("quorum", "", what),
    });
    out
}

fn away(seat: SeatIndex, e: &NodeError) -> Check {
    match e {
        NodeError::WrongKey => Check::fail(
            "tls",
            Fault::Verification,
            node(seat),
            "a TLS key answers that the charter does not pin; nothing was sent to it",
            "ask its operator on another channel: a new key needs a new charter, anything else may be an attack",
        ),
        NodeError::Protocol(why) => Check::fail(
            "tls",
            Fault::Verification,
            node(seat),
            format!("answers against the protocol: {why}"),
            "tell its operator",
        ),
        other => {
            Check::warn("tls", node(seat), other.to_string(), "ask its operator; see the network on this side first")
        }
    }
}

/// The node's clock was read somewhere between `sent` and `received`, so half of that time is the uncertainty.
fn clock(charters: &Charters, seat: SeatIndex, a: &Answered) -> Check {
    let (sent, received) = (a.sent.millis(), a.received.millis());
    let (middle, either) = (sent.midpoint(received), received.abs_diff(sent) / 2);
    let off = a.status.at.millis().saturating_sub(middle);
    let limit = charters.current().limits.clock_skew_s.saturating_mul(1_000);
    let side = if off < 0 { "behind" } else { "ahead of" };
    let what = format!(
        "{:.1} s {side} this machine (+/- {:.1} s); {} s are allowed",
        off.unsigned_abs() as f64 / 1_000.0,
        either as f64 / 1_000.0,
        limit / 1_000
    );
    let next = "set both clocks by NTP; `timedatectl` says whether this one is";
    match off.unsigned_abs().saturating_sub(either) {
        far if far > limit => Check::fail("clock", Fault::Machine, node(seat), what, next),
        far if far > limit / 2 => Check::warn("clock", node(seat), what, next),
        _ => Check::ok("clock", node(seat), what),
    }
}

fn version(seat: SeatIndex, status: &Status) -> Check {
    let what = format!("runs version {}, this is {VERSION}", status.version);
    if status.version == VERSION {
        return Check::ok("version", node(seat), what);
    }
    Check::warn("version", node(seat), what, "upgrade the older of the two; docs/operations.md says how")
}

fn state(seat: SeatIndex, status: &Status) -> Check {
    let what =
        if status.reason.is_empty() { status.state.clone() } else { format!("{}: {}", status.state, status.reason) };
    match status.state.as_str() {
        "READY" => Check::ok("state", node(seat), format!("{what}, {} entries", status.size)),
        "ROLLBACK" | "POISONED" => Check::fail("state", Fault::Verification, node(seat), what, &status.way_out),
        _ => Check::warn("state", node(seat), what, &status.way_out),
    }
}

fn in_force(charters: &Charters, seat: SeatIndex, status: &Status) -> Check {
    let newest = charters.current().version;
    if status.charter == charters.digest() {
        return Check::ok("in force", node(seat), format!("charter version {newest}, the newest known here"));
    }
    let version = charters.version(&status.charter).map(|c| c.version);
    let (what, next) = match version {
        Some(old) => (
            format!("charter version {old}; version {newest} is known here"),
            "its operator compares the digest and accepts it: escrow-node charter accept DIGEST --file FILE",
        ),
        None => (
            format!("charter {}, which no verified chain here has", status.charter.short()),
            "ask the administrators; a version that t nodes have in force is taken over by itself",
        ),
    };
    Check::warn("in force", node(seat), what, next)
}

/// The charter of this machine: verified from the pinned genesis on, and how old it is.
pub fn charter(charters: &Charters, at: Timestamp) -> Check {
    let c = charters.current();
    let days = at.seconds_since(c.issued) / DAY;
    let what = format!(
        "version {} of {} verifies from the pinned genesis {} on; drafted {days} days ago",
        c.version,
        c.org,
        charters.genesis().short()
    );
    if at.seconds_since(c.issued) < -i64::try_from(c.limits.clock_skew_s).unwrap_or(i64::MAX) {
        return Check::warn("charter", "", what, "its time lies ahead: see whether the clock of this machine is right");
    }
    if days > OLD_CHARTER_DAYS {
        let next = "the administrators should see whether people, nodes and policies still hold";
        return Check::warn("charter", "", what, next);
    }
    Check::ok("charter", "", what)
}

/// What looks at the nodes' logs found: does each head follow from the one that this machine saw last?
pub fn heads(looks: &[Look]) -> Vec<Check> {
    let mut out = Vec::new();
    for look in looks {
        // That it does not answer is a check of its own.
        let alarms: Vec<_> = look.alarms.iter().filter(|a| !matches!(a, Alarm::Unreachable(_))).collect();
        for alarm in &alarms {
            let (of, what) = (node(look.seat), format!("{alarm} [{}]", alarm.code()));
            out.push(if alarm.is_false() {
                let next = "keep the evidence folder, and tell the operators and the other auditors";
                Check::fail("log", Fault::Verification, of, what, next)
            } else {
                Check::warn("log", of, what, "ask its operator; `escrow audit watch` goes on looking")
            });
        }
        if let (Some(head), true) = (&look.head, alarms.is_empty()) {
            let size = head.size();
            let what = match look.first {
                true => format!("first look: {size} entries, remembered from now on"),
                false => format!("{size} entries, which follow from the head that was seen last"),
            };
            out.push(Check::ok("log", node(look.seat), what));
        } else if alarms.is_empty() {
            let why = look.alarms.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            out.push(Check::skipped("log", node(look.seat), format!("its head was not looked at: {why}")));
        }
    }
    out
}
