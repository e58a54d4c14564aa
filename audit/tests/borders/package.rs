//! Which files a bundle may have, and how much of it a report says was checked.

use crate::common::Cluster;
use crate::common::forge::{entries_path, expect, note_path, repack};
use escrow_audit::bundle::{INDEX, Index, README, Variant, entries_path as path_of};
use escrow_audit::finding::{Class, Report};
use escrow_audit::note::MAX_NOTE_LEN;
use escrow_audit::verify::{Options, log_bytes, verify, verify_with};
use escrow_core::{Digest, SeatIndex};
use escrow_policy::Event;

fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

fn undone(report: &Report) -> Vec<(&str, &str)> {
    assert_eq!(report.layers.len(), 7);
    assert!(report.layers.iter().all(|l| l.done == l.why.is_empty()));
    report.layers.iter().filter(|l| !l.done).map(|l| (l.name, l.why.as_str())).collect()
}

#[test]
fn a_report_says_which_layers_were_not_checked_and_why() {
    let c = settled();
    let (full, all) = (c.full(), Options::default());
    let of = |files, options| undone(&verify_with(files, &c.genesis, options)).iter().map(words).collect::<Vec<_>>();
    fn words((name, why): &(&str, &str)) -> String {
        format!("{name}: {why}")
    }
    assert_eq!(of(&full, all), Vec::<String>::new());
    assert_eq!(of(&full, Options { policy_replay: false, ..all }), ["policy-replay: not asked for"]);
    assert_eq!(of(&full, Options { reports: false, ..all }), ["reports: not asked for"]);

    let form = c.bundle_as(Variant::NoContent, &[0, 1, 2], |_, _| true);
    let none = "no-content bundle";
    let judged = [
        format!("acts: {none}: of each log only its form was checked"),
        format!("record: {none}"),
        format!("policy-replay: {none}"),
    ];
    assert_eq!(of(&form, all), judged);
    assert_eq!(of(&form, Options { reports: false, policy_replay: false })[..3], judged);

    let mut newer = full.clone();
    let index = Index { report: "escrow.custody.v9".into(), ..Index::decode(&full[INDEX]).unwrap() };
    newer.insert(INDEX.into(), index.encode());
    let newer = repack(newer);
    assert_eq!(of(&newer, all), ["reports: of a version that is not known here"]);
    assert_eq!(of(&newer, Options { reports: false, ..all }), ["reports: not asked for"]);

    // Altered in the package: all that follows. With other keys or bytes: what follows on these.
    let mut bent = full.clone();
    bent.get_mut(INDEX).unwrap()[30] ^= 1;
    for (files, reached) in [(bent.clone(), 1), (repack(bent), 2)] {
        let report = verify(&files, &c.genesis);
        let undone = undone(&report);
        assert_eq!(undone.len(), 7 - reached);
        assert!(undone.iter().all(|(_, why)| why.starts_with("altered or unreadable material")), "{undone:?}");
    }
}

#[test]
fn the_bytes_of_a_log_lead_to_its_size_and_root() {
    let c = settled();
    let files = c.full();
    let index = Index::decode(&files[INDEX]).unwrap();
    for (n, log) in index.logs.iter().enumerate() {
        let tree = &c.nodes[n].tree;
        assert_eq!(log_bytes(&files, log, &["acme/1/log"]).unwrap(), (tree.size(), tree.root()));
    }
    let mut files = files;
    files.remove(&entries_path(0)).unwrap();
    assert_eq!(log_bytes(&files, &index.logs[0], &[]).unwrap_err().rule, "missing");
}

#[test]
fn a_bundle_has_the_logs_that_its_index_lists_and_no_other() {
    let c = settled();
    let all = c.full();
    for logs in [&[0][..], &[0, 1]] {
        let good = c.bundle(logs, |_, _| true);
        assert!(verify(&good, &c.genesis).verdict <= Class::Incomplete);
        for path in [entries_path(2), note_path(2)] {
            let mut files = good.clone();
            files.insert(path.clone(), all[&path].clone());
            let report = verify(&repack(files), &c.genesis);
            expect(&report, Class::Tampered, &["unreferenced"]);
            assert_eq!(report.findings[0].file, path);
        }
    }
    // The seat is listed, its second log is not.
    let mut files = all.clone();
    files.insert(path_of(SeatIndex::new(1).unwrap(), 2), all[&entries_path(0)].clone());
    expect(&verify(&repack(files), &c.genesis), Class::Tampered, &["unreferenced"]);
}

#[test]
fn the_text_for_people_follows_from_the_index() {
    let c = settled();
    let mut files = c.full();
    files.get_mut(README).unwrap().extend(b"All is well.\n");
    let report = verify(&repack(files), &c.genesis);
    expect(&report, Class::Tampered, &["readme"]);
    assert_eq!(report.findings[0].file, README);
}

#[test]
fn a_note_beyond_its_bound_accuses_nobody() {
    let mut c = settled();
    let origin = "acme/2/log".to_owned();
    let notes = [c.nodes[1].head(2).to_bytes(), vec![b'a'; MAX_NOTE_LEN + 1]];
    let [first, second] = [0, 1].map(|n| Digest::of(&notes[n]));
    c.attachments.extend(notes);
    let seq = c.log(0, &Event::Misbehaviour { origin, first, second }, None);
    c.settle();
    let report = verify(&c.full(), &c.genesis);
    expect(&report, Class::Violation, &["misbehaviour"]);
    let found = report.findings.iter().find(|f| f.rule == "misbehaviour").unwrap();
    assert_eq!(found.entry, Some(seq));
    assert!(found.detail.ends_with(&format!("note is longer than {MAX_NOTE_LEN} bytes")), "{}", found.detail);
}
