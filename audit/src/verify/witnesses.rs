//! What witnesses did: nobody cosigns two histories of one log, and every cosignature stands in the
//! log of who made it.

use super::acts::Story;
use super::bytes::Evidence;
use super::suspects::Suspect;
use super::views::{Head, Heads};
use crate::finding::{Class, Finding};
use crate::note::VerifierKey;
use escrow_core::SeatIndex;

/// A witness key and its seat.
type Witness = (SeatIndex, VerifierKey);

/// Judges the cosignatures on all heads.
pub(super) fn check(
    evidence: &Evidence<'_>,
    stories: &[Story<'_>],
    heads: &Heads<'_>,
    suspects: &mut Vec<Suspect>,
) -> Vec<Finding> {
    let mut out = Vec::new();
    let witnesses = evidence.charters.witnesses();
    for (origin, heads) in heads {
        for witness in &witnesses {
            let theirs: Vec<&Head<'_>> = heads.iter().filter(|h| has_line(h, witness)).collect();
            out.extend(forked(evidence, origin, &theirs, witness, suspects));
            unlogged(evidence, stories, &theirs, witness, &mut out);
        }
    }
    out
}

/// Whether a line in this witness's name is there: cheap, and proves nothing.
fn has_line(head: &Head<'_>, (_, key): &Witness) -> bool {
    head.head.note().signatures().iter().any(|line| key.made(line))
}

/// When the witness cosigned the head; none if the line is not its own.
fn cosigned(head: &Head<'_>, (_, key): &Witness) -> Option<u64> {
    head.head.cosigners(std::slice::from_ref(key)).ok()?.first().map(|s| s.time)
}

/// A head off the tree of the log beside a larger one on it, or two roots of one size: what extends
/// the one does not extend the other, and a witness cosigns only what extends the largest it has seen.
fn forked(
    evidence: &Evidence<'_>,
    origin: &str,
    heads: &[&Head<'_>],
    witness: &Witness,
    suspects: &mut Vec<Suspect>,
) -> Option<Finding> {
    let log = evidence.logs.iter().find(|l| l.origin == origin);
    let on_tree = |h: &Head<'_>| log?.root_at(h.head.size()).map(|root| root == *h.head.root());
    let contradict = |a: &Head<'_>, b: &Head<'_>| {
        a.head.contradicts(b.head)
            || (on_tree(a) == Some(false) && on_tree(b) == Some(true) && b.head.size() >= a.head.size())
    };
    let pairs = heads.iter().flat_map(|a| heads.iter().map(move |b| (*a, *b)));
    let (a, b) = pairs
        .filter(|(a, b)| contradict(a, b))
        .find(|(a, b)| cosigned(a, witness).is_some() && cosigned(b, witness).is_some())?;
    let (seat, key) = witness;
    suspects.push(Suspect::Heads { first: Box::new(a.head.clone()), second: Box::new(b.head.clone()) });
    let detail = format!(
        "the witness key {key} cosigned two histories of {origin}: size {} here and size {} in {}",
        a.head.size(),
        b.head.size(),
        b.file
    );
    Some(Finding::new(Class::Misbehaviour, &a.file, "cosigned-fork", detail).seat(*seat))
}

/// A cosignature is durable in its maker's log before it is given. Only a log that was judged
/// before and after that time can be said to lack it: one that ends earlier is just older, or was lost.
fn unlogged(
    evidence: &Evidence<'_>,
    stories: &[Story<'_>],
    heads: &[&Head<'_>],
    witness: &Witness,
    out: &mut Vec<Finding>,
) {
    let (seat, _) = witness;
    for head in heads {
        let mut logs = stories.iter().enumerate().filter(|(_, s)| s.log.seat == *seat);
        if logs.clone().any(|(by, _)| evidence.says_cosigned(by, head.head)) {
            continue;
        }
        let Some(time) = cosigned(head, witness) else { continue };
        let within = |s: &Story<'_>| {
            let time = time.saturating_mul(1000).saturating_add(999);
            s.span.is_some_and(|(first, last)| first <= time && last > time)
        };
        if let Some((_, story)) = logs.find(|(_, s)| within(s)) {
            let detail = format!(
                "cosigned size {} of {} at {time} seconds, as {} shows, and its own log does not have that",
                head.head.size(),
                head.head.origin(),
                head.file
            );
            let path = &story.log.path;
            out.push(Finding::new(Class::Violation, path, "cosignature-unlogged", detail).seat(*seat));
        }
    }
}
