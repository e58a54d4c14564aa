//! Which views of a log count, which head of it is the longest, and what a witness is convicted of.

use crate::common::forge::{expect, glued, repack, rules};
use crate::common::moved::{Lies, THREE, moved, released};
use crate::common::{Cluster, seat_index};
use crate::lineage::{accepted, successor};
use escrow_audit::bundle::{INDEX, Index, view_path};
use escrow_audit::checkpoint::{Checkpoint, VerifiedCheckpoint};
use escrow_audit::entry::Chain;
use escrow_audit::finding::Class;
use escrow_audit::note::{KeyKind, NoteSigner, VerifierKey, cosign};
use escrow_audit::seat;
use escrow_audit::tree::Tree;
use escrow_audit::verify::verify;
use escrow_core::view::View;
use escrow_core::{Digest, Envelope, Nonce, PublicKey, Timestamp};
use escrow_policy::Event;

fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

/// A head of log `n` that its key signed, whatever the log really is.
fn head(c: &Cluster, n: usize, size: u64, root: [u8; 32]) -> VerifiedCheckpoint {
    let node = &c.nodes[n];
    let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
    Checkpoint::new(node.chain.origin(), size, root).unwrap().sign(&signer).unwrap()
}

/// The same, cosigned by witness `p` and not logged there.
fn cosigned(c: &Cluster, mut head: VerifiedCheckpoint, p: usize) -> VerifiedCheckpoint {
    let (org, node) = (&c.charter.org, &c.nodes[p]);
    let time = u64::try_from(c.now.millis() / 1000).unwrap();
    let line = cosign(&seat::witness_name(org, node.index), &node.witness, time, head.note().text()).unwrap();
    let key = seat::witness_verifier(org, &c.charter.seats[p]).unwrap();
    assert_eq!(head.add_cosignatures(format!("{line}\n").as_bytes(), &[key]), Ok(1));
    head
}

#[test]
fn a_short_log_is_measured_by_the_longest_head_and_the_first_that_shows_it() {
    // What seats 2 and 3 hold beyond the end, and which of both is named.
    for (second, third, shown_by) in [(3, 5, 3), (5, 3, 2), (5, 5, 2)] {
        let mut c = settled();
        let size = c.nodes[0].tree.size();
        for (seat, more) in [(2, second), (3, third)] {
            let beyond = head(&c, 0, size + more, [7; 32]);
            c.nodes[0].held.insert(seat_index(seat), beyond);
        }
        let report = verify(&c.full(), &c.genesis);
        expect(&report, Class::Incomplete, &["log-short"]);
        let file = view_path(seat_index(shown_by), seat_index(1));
        let said = format!("log shorter than cosigned size {}, as {file} shows", size + 5);
        assert_eq!(report.findings.iter().map(|f| f.detail.as_str()).collect::<Vec<_>>(), [said]);
    }
}

#[test]
fn a_cosigned_head_that_is_not_of_the_log_is_asked_for_only_where_the_witness_was_judged() {
    let lie = |c: &mut Cluster| {
        let (origin, size) = (c.nodes[0].chain.origin().to_owned(), c.nodes[0].tree.size());
        c.log(THREE, &Event::Cosigned { origin, size, root: Digest([1; 32]) }, None)
    };
    let mut m = released(moved(&Lies::default()));
    let seq = lie(&mut m.c);
    let report = verify(&m.c.full(), &m.genesis);
    expect(&report, Class::Incomplete, &["cosigned-elsewhere"]);
    let lies = report.findings.iter().filter(|f| f.rule == "cosigned-elsewhere");
    assert_eq!(lies.map(|f| (f.seat, f.entry)).collect::<Vec<_>>(), [(Some(seat_index(3)), Some(seq))]);

    // A later log that does not say what it goes on from is not judged from its first entry on.
    let mut m = moved(&Lies { silent: true, ..Lies::default() });
    let node = &mut m.c.nodes[THREE];
    (node.chain, node.tree, node.entries) = (Chain::new(node.chain.origin()), Tree::new(), vec![]);
    assert_eq!(lie(&mut m.c), 0);
    m.c.settle();
    expect(&verify(&m.c.full(), &m.genesis), Class::Violation, &["continued", "verdict-unlogged"]);
}

/// A bundle without one view, and the number of views of that log with this one in its place.
fn with_view(
    c: &Cluster,
    pinned: &Digest,
    without: (usize, usize),
    view: impl FnOnce(Nonce) -> Envelope,
) -> (u64, Vec<String>) {
    let mut files = c.bundle(&[0, 1, 2], |p, n| (p, n) != without);
    let envelope = view(Index::decode(&files[INDEX]).unwrap().export);
    let viewer = envelope.decode::<View>().unwrap().seat;
    files.insert(view_path(viewer, seat_index(u8::try_from(without.1).unwrap() + 1)), envelope.bytes().to_vec());
    let report = verify(&repack(files), pinned);
    let viewed = c.nodes[without.1].chain.origin();
    let views = report.logs.iter().find(|l| l.origin == viewed).unwrap().views;
    (views, rules(&report).into_iter().map(str::to_owned).collect())
}

#[test]
fn a_view_counts_if_a_peer_made_it_for_this_export() {
    let c = settled();
    let note = |p: usize| Some(String::from_utf8(c.nodes[0].held[&c.nodes[p].index].to_bytes()).unwrap());
    type Make<'m> = &'m dyn Fn(Nonce) -> Envelope;
    let cases: [(&str, Make<'_>, u64, &[&str]); 3] = [
        ("the peer's own", &|export| c.view(2, 0, export, note(2)), 2, &[]),
        ("for another export", &|_| c.view(2, 0, Nonce::random(), note(2)), 1, &["view-foreign", "views-missing"]),
        ("of its own log", &|export| c.view(0, 0, export, note(2)), 1, &["views-missing"]),
    ];
    for (what, make, views, broken) in cases {
        assert_eq!(
            with_view(&c, &c.genesis, (2, 0), make),
            (views, broken.iter().map(|r| r.to_string()).collect()),
            "{what}"
        );
    }
}

#[test]
fn a_view_of_a_log_that_was_replaced_does_not_count_for_the_new_one() {
    let m = released(moved(&Lies::default()));
    let c = &m.c;
    for (old, views, broken) in [(false, 2, vec![]), (true, 1, vec!["views-missing".to_owned()])] {
        let view = |export| {
            let node = &c.nodes[THREE];
            let note = if old { m.whole.1.clone() } else { node.held[&seat_index(1)].to_bytes() };
            let mut view: View = c.view(0, THREE, export, Some(String::from_utf8(note).unwrap())).decode().unwrap();
            view.log = if old { "acme/3/log".into() } else { view.log };
            Envelope::sign(&view, &[&c.nodes[0].statement]).unwrap()
        };
        assert_eq!(with_view(c, &m.genesis, (0, THREE), view), (views, broken), "of the old log: {old}");
    }
}

#[test]
fn a_view_counts_if_its_viewer_is_in_the_current_generation() {
    let mut c = Cluster::bent(|charter| charter.generations[0].members.truncate(2));
    c.settle();
    for (viewer, views, verdict, broken) in [(1, 1, Class::Ok, &[][..]), (2, 0, Class::Incomplete, &["views-missing"])]
    {
        let report = verify(&c.bundle(&[0, 1, 2], |p, n| n != 0 || p == viewer), &c.genesis);
        expect(&report, verdict, broken);
        assert_eq!(report.logs[0].views, views);
    }
}

#[test]
fn a_view_must_hold_the_last_release_entry() {
    let last =
        |c: &Cluster| verify(&c.full(), &c.genesis).releases.iter().find(|r| r.seat == seat_index(1)).unwrap().seq;
    for (more, verdict, broken) in [(0, Class::Incomplete, &["views-missing"][..]), (1, Class::Ok, &[])] {
        let mut c = settled();
        let seen = c.nodes[0].head(last(&c) + more);
        c.nodes[0].held.insert(seat_index(2), seen);
        let report = verify(&c.full(), &c.genesis);
        expect(&report, verdict, broken);
        let old: Vec<_> = report.findings.iter().filter(|f| f.rule == "view-old").map(|f| f.file.as_str()).collect();
        assert_eq!((old.len(), report.logs[0].views), (usize::from(more == 0), 1 + more), "{old:?}");
    }
}

#[test]
fn a_witness_is_convicted_if_it_followed_the_log_after_another_history_and_not_before() {
    for (more, broken) in [(-1, &["cosigned-fork", "fork"][..]), (0, &["cosigned-fork", "fork"]), (1, &["fork"])] {
        let mut c = settled();
        c.settle();
        // Witness 2 cosigned this head of log 1, which is on its tree, and none of a size right beside it.
        let true_size = c.nodes[0].held[&seat_index(3)].size();
        let size = true_size.checked_add_signed(more).unwrap();
        assert!(size < c.nodes[0].tree.size());
        let other = cosigned(&c, head(&c, 0, size, [1; 32]), 1);
        c.nodes[0].held.insert(seat_index(2), other);
        let report = verify(&c.full(), &c.genesis);
        expect(&report, Class::Misbehaviour, broken);
        let mut convicted = report.findings.iter().filter(|f| f.rule == "cosigned-fork");
        assert!(convicted.all(|f| f.seat == Some(seat_index(2))), "{:#?}", report.findings);
    }
}

#[test]
fn a_line_that_the_witness_did_not_sign_convicts_nobody_but_the_log() {
    for (genuine, broken) in [(true, &["cosigned-fork", "fork"][..]), (false, &["fork"])] {
        let mut c = settled();
        let known = c.nodes[0].held[&seat_index(3)].clone();
        let mut other = cosigned(&c, head(&c, 0, known.size(), [1; 32]), 2);
        if !genuine {
            // In witness 3's name, taken from the head that it did cosign.
            let own = other.note().signatures().iter().filter(|s| s.name() == other.origin());
            let name = seat::witness_name(&c.charter.org, seat_index(3));
            let lent = known.note().signatures().iter().filter(|s| s.name() == name);
            let lines: Vec<_> = own.chain(lent).cloned().collect();
            let key = seat::log_verifier(&c.charter.seats[0]).unwrap();
            other = Checkpoint::verify(&glued(other.note().text(), &lines), known.origin(), &key).unwrap();
        }
        assert_eq!(other.note().signatures().len(), 2);
        c.nodes[0].held.insert(seat_index(2), other);
        expect(&verify(&c.full(), &c.genesis), Class::Misbehaviour, broken);
    }
}

#[test]
fn a_log_lacks_a_cosignature_once_it_goes_on_after_the_second_of_it() {
    for (later, verdict, broken) in [(999, Class::Ok, &[][..]), (1_000, Class::Violation, &["cosignature-unlogged"])] {
        let mut c = settled();
        let unlogged = cosigned(&c, c.nodes[0].head(c.nodes[0].tree.size()), 1);
        c.nodes[0].held.insert(seat_index(2), unlogged);
        assert_eq!(c.now.millis() % 1_000, 0);
        c.now = Timestamp::from_millis(c.now.millis() + later);
        c.log(1, &Event::Clock { by_ms: -1 }, None);
        expect(&verify(&c.full(), &c.genesis), verdict, broken);
    }
}

#[test]
fn a_witness_key_that_was_replaced_keeps_nothing_fresh() {
    let stale = |replaced: bool| {
        let mut c = Cluster::honest();
        let (genesis, old) = (c.genesis, c.nodes[1].witness.clone());
        let new = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
        c.nodes[1].witness = new.clone();
        let next = successor(&c, |charter| charter.seats[1].witness_key = PublicKey::Ed25519(new.verifying_key()));
        accepted(&mut c, &next);
        c.settle();
        // By now all logs are old; seat 2 cosigns the first again.
        c.tick(1_201);
        let key = if replaced { old } else { new };
        let mut head = c.nodes[0].held[&seat_index(2)].clone();
        let name = seat::witness_name(&c.charter.org, seat_index(2));
        let now = u64::try_from(c.now.millis() / 1000).unwrap();
        let line = cosign(&name, &key, now, head.note().text()).unwrap();
        let verifier = VerifierKey::new(&name, KeyKind::Cosigner, &key.verifying_key()).unwrap();
        assert_eq!(head.add_cosignatures(format!("{line}\n").as_bytes(), &[verifier]), Ok(1));
        c.nodes[0].held.insert(seat_index(2), head);
        let report = verify(&c.full(), &genesis);
        expect(&report, Class::Incomplete, &["stale"]);
        report.findings.iter().filter(|f| f.rule == "stale").filter_map(|f| f.seat).collect::<Vec<_>>()
    };
    assert_eq!(stale(false), [2, 3].map(seat_index));
    assert_eq!(stale(true), [1, 2, 3].map(seat_index));
}
