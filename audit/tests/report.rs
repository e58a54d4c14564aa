//! The reports of a bundle and the bundle without content, on real histories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Cluster, Files, seat_index};
use escrow_audit::bagit;
use escrow_audit::bundle::{BundleBuilder, INDEX, Index, Meta, README, Variant};
use escrow_audit::finding::{Class, Report};
use escrow_audit::report::custody::{Actor, Custody};
use escrow_audit::report::verification::{self, Made};
use escrow_audit::report::{self, CERTIFICATE, COUNTS, CUSTODY_HTML, CUSTODY_JSON, certificate};
use escrow_audit::verify::{Options, verify};
use escrow_core::decision::Choice;
use escrow_core::query::{Exported, Query, Question};
use escrow_core::release::Caller;
use escrow_core::{Digest, Envelope, Kind, MatterId, Nonce};
use escrow_policy::Event;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn settled() -> Cluster {
    let mut c = Cluster::honest();
    c.settle();
    c
}

fn index(files: &Files) -> Index {
    Index::decode(&files[INDEX]).unwrap()
}

fn custody(files: &Files) -> Custody {
    Custody::of(files, &index(files))
}

/// Everything unkeyed made anew around a changed payload; `matter` if the index still names one.
fn repack(mut files: Files) -> Files {
    files.retain(|p, _| p.starts_with(bagit::PAYLOAD));
    let index = index(&files);
    files.insert(README.into(), index.readme().into_bytes());
    let matters = if index.requests.is_empty() { vec![] } else { vec!["MAT-1".parse::<MatterId>().unwrap()] };
    let info = index.bag_info(&matters.into_iter().collect(), &files);
    bagit::pack(files, info.as_bytes())
}

fn rules(report: &Report) -> Vec<(Class, String)> {
    report.findings.iter().map(|f| (f.class, f.rule.clone())).collect()
}

/// A bundle of all logs and views, as [`Cluster::full`] makes it, in the given variant.
fn bundle(c: &Cluster, variant: Variant) -> Files {
    let export = Nonce::random();
    let mut b = BundleBuilder::new().variant(variant);
    for node in &c.nodes {
        b.add_log(node.index, node.entries.clone(), node.head(node.tree.size()).to_bytes()).unwrap();
    }
    c.statements.iter().for_each(|s| b.add_statement(s.bytes()).unwrap());
    c.attachments.iter().for_each(|a| b.add_attachment(a.clone()));
    for p in 0..3 {
        for n in (0..3).filter(|n| *n != p) {
            let held = c.nodes[n].held.get(&c.nodes[p].index);
            let note = held.map(|h| String::from_utf8(h.to_bytes()).unwrap());
            b.add_view(c.view(p, n, export, note).bytes()).unwrap();
        }
    }
    let requests = c.request.iter().map(Envelope::digest).collect();
    b.finish(&Meta { export, requests }).unwrap()
}

fn ask(c: &Cluster, who: &'static str, n: usize, what: Question) -> Envelope {
    let query = Query {
        kind: Kind::Query,
        org: c.charter.org.clone(),
        nonce: Nonce::random(),
        charter: c.genesis,
        by: Caller::Person(who.parse().unwrap()),
        seat: c.nodes[n].index,
        what,
        at: c.now,
    };
    c.signed(&query, &[who])
}

#[test]
fn the_custody_report_tells_the_story_with_its_log_positions() {
    let c = settled();
    let files = c.full();
    let custody = custody(&files);
    let case = &custody.cases[0];
    assert_eq!((custody.cases.len(), case.request, case.kind), (1, c.request_digest(), Kind::Request));
    assert_eq!(case.matter.as_ref().unwrap().as_str(), "MAT-1");
    assert!(matches!(&case.by, Actor::Person { name: Some(n), .. } if n == "REQ"), "{:?}", case.by);
    assert!(matches!(&case.recipient, Actor::Person { id, .. } if id.as_str() == "off"));
    assert_eq!((case.items.len(), case.items_asked, case.items_left_out), (2, 2, 0));
    assert_eq!(case.items.iter().map(|i| i.no).collect::<Vec<_>>(), [1, 2]);
    assert!(case.items.iter().all(|i| i.about.as_ref().unwrap().custodian == c.tokens.subject("sam")));

    let count = |act: &str| case.events.iter().filter(|e| e.act == act).count();
    let acts = ["matter-open", "consent", "deposit", "request", "approve", "verdict", "release-authorised"];
    assert_eq!(acts.map(count), [1, 1, 1, 1, 2, 3, 2]);
    assert_eq!(count("release-delivered"), 2);
    assert!(case.events.is_sorted_by_key(|e| e.positions[0].at));
    let approvals: Vec<_> = case.events.iter().filter(|e| e.act == "approve").collect();
    assert_eq!(approvals[0].details["role"], "legal");
    assert!(approvals.iter().all(|e| e.signed.as_ref().unwrap().verified && e.positions.len() == 3));
    let verdict = case.events.iter().find(|e| e.act == "verdict").unwrap();
    assert_eq!(verdict.details["outcome"], "permit");
    assert!(verdict.details["policies"].contains("both"), "{:?}", verdict.details);

    assert_eq!(case.released.len(), 2);
    for r in &case.released {
        assert!(r.as_asked.unwrap() && r.signed.as_ref().unwrap().verified);
        let node = &c.nodes[usize::from(r.position.seat.get()) - 1];
        let entry = &node.entries[usize::try_from(r.position.seq).unwrap()];
        assert_eq!(r.position.leaf.0, escrow_audit::entry::leaf_hash(entry));
        assert!(String::from_utf8_lossy(entry).contains("release.delivered"));
    }
    for (log, node) in custody.logs.iter().zip(&c.nodes) {
        assert_eq!((log.root.unwrap().0, log.size, log.left_out), (node.tree.root(), node.tree.size(), 0));
        assert_eq!(log.sha256, Digest::of(&files[&format!("data/logs/{}/1/entries.jsonl", node.index)]));
    }
    // JSON is the same value, and HTML shows every digest of it in full.
    let json: Value = serde_json::from_slice(&files[CUSTODY_JSON]).unwrap();
    assert_eq!(json, serde_json::to_value(&custody).unwrap());
    let html = String::from_utf8(files[CUSTODY_HTML].clone()).unwrap();
    let shown = case.released.iter().flat_map(|r| [r.reply, r.note]).chain(case.items.iter().map(|i| i.item));
    for digest in shown.chain([case.request, case.sealed_to, custody.charter]) {
        assert!(html.contains(&digest.to_string()), "{digest} is not in the page");
    }
    for outside in ["src=", "href=", "url(", "http:", "https:", "<script", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn denials_withdrawals_reads_and_exports_are_in_it() {
    let mut c = Cluster::new();
    c.ask();
    for n in 0..3 {
        let read = ask(&c, "leg", n, Question::Requests);
        c.submit_to(&[n], &read);
    }
    let bundle = Digest::of(b"an earlier bundle");
    let written = Exported { bundle, export: Nonce::random(), requests: vec![c.request_digest()] };
    let elsewhere = Exported { requests: vec![Digest::of(b"another")], ..written.clone() };
    for what in [written.clone(), elsewhere] {
        let told = ask(&c, "req", 0, Question::Exported(what));
        c.submit_to(&[0], &told);
    }
    c.decide("leg", "legal", Choice::Deny);
    c.withdraw(&[0, 2]);
    c.settle();
    assert_eq!(c.refusals, Vec::<String>::new());
    let custody = custody(&c.full());
    let acts: Vec<&str> = custody.cases[0].events.iter().map(|e| e.act.as_str()).collect();
    assert!(acts.contains(&"deny") && acts.ends_with(&["withdrawal"]), "{acts:?}");
    let withdrawal = custody.cases[0].events.last().unwrap();
    assert_eq!(withdrawal.positions.iter().map(|p| p.seat.get()).collect::<Vec<_>>(), [1, 3]);
    assert!(matches!(&withdrawal.by[0], Actor::Device { subject: Some(s), .. } if *s == c.tokens.subject("sam")));
    assert_eq!(
        custody.reads.iter().map(|r| (r.what, r.count, r.verified)).collect::<Vec<_>>(),
        [("requests", 1, true); 3]
    );
    assert_eq!(
        custody.exports.iter().map(|e| (e.bundle, e.export)).collect::<Vec<_>>(),
        [(Some(bundle), written.export)]
    );
}

#[test]
fn a_liar_cannot_lend_somebody_a_signature() {
    let mut c = Cluster::new();
    c.ask();
    // Node 1 logs an approval in the name of leg that ann signed.
    let request = c.request_digest();
    c.decide("dpo", "dpo", Choice::Approve);
    let genuine = c.statements.last().unwrap().decode::<escrow_core::decision::Decision>().unwrap();
    let forged =
        escrow_core::decision::Decision { by: "leg".parse().unwrap(), role: "legal".parse().unwrap(), ..genuine };
    let forged = c.signed(&forged, &["ann"]);
    c.log(0, &Event::Statement {}, Some(&forged));
    c.settle();
    let files = c.full();
    assert_eq!(verify(&files, &c.genesis).verdict, Class::Violation);
    let custody = custody(&files);
    let of = |digest| custody.cases[0].events.iter().find(|e| e.statement == Some(digest)).unwrap();
    assert!(!of(forged.digest()).signed.as_ref().unwrap().verified);
    assert!(String::from_utf8(files[CUSTODY_HTML].clone()).unwrap().contains("NOT VERIFIED"));
    assert_eq!(custody.cases[0].request, request);
}

#[test]
fn a_flood_in_one_log_hides_nothing_of_the_others() {
    let mut c = settled();
    let mut last = None;
    // A node with a log of its own liking: the same statement, again and again.
    let request = c.request.clone().unwrap();
    for _ in 0..report::custody::ROWS_MAX / 3 + 10 {
        last = Some(c.log(0, &Event::Statement {}, Some(&request)));
    }
    assert!(last.is_some());
    let custody = custody(&c.full());
    assert!(custody.logs[0].left_out > 0, "{:?}", custody.logs[0]);
    assert_eq!((custody.logs[1].left_out, custody.logs[2].left_out), (0, 0));
    assert!(custody.cases[0].released.iter().any(|r| r.position.seat == seat_index(2)));
    assert!(custody.to_html().contains("positions are not shown here"));
}

#[test]
fn counts_follow_from_the_entries() {
    let c = settled();
    let files = c.full();
    let csv = String::from_utf8(files[COUNTS].clone()).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("seat,log,type,entries"));
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        *sums.entry(fields[0]).or_default() += fields[3].parse::<u64>().unwrap();
    }
    let sizes: Vec<u64> = c.nodes.iter().map(|n| n.tree.size()).collect();
    assert_eq!(sums.into_values().collect::<Vec<_>>(), sizes);
    assert!(csv.contains("\n1,1,release.delivered,1\n"), "{csv}");
}

#[test]
fn a_report_that_does_not_follow_is_tampered() {
    let c = settled();
    let good = c.full();
    assert_eq!(verify(&good, &c.genesis).verdict, Class::Ok);
    for path in [CUSTODY_JSON, CUSTODY_HTML, COUNTS, CERTIFICATE] {
        let mut changed = good.clone();
        changed.get_mut(path).unwrap()[40] ^= 1;
        let report = verify(&repack(changed), &c.genesis);
        assert_eq!((report.verdict, rules(&report)), (Class::Tampered, vec![(Class::Tampered, "report".into())]));
        assert_eq!(report.findings[0].file, path);
        let mut gone = good.clone();
        gone.remove(path);
        assert_eq!(rules(&verify(&repack(gone), &c.genesis)), [(Class::Tampered, "report".into())], "{path}");
    }
    let mut more = good.clone();
    more.insert("data/report/opinion.html".into(), b"guilty".to_vec());
    assert_eq!(rules(&verify(&repack(more), &c.genesis)), [(Class::Tampered, "report".into())]);
}

#[test]
fn reports_of_another_version_are_not_checked_and_that_is_said() {
    let c = settled();
    let mut files = c.full();
    let newer = Index { report: "escrow.custody.v9".into(), ..index(&files) };
    files.insert(INDEX.into(), newer.encode());
    files.insert(CUSTODY_HTML.into(), b"<p>what v9 looks like".to_vec());
    let report = verify(&repack(files), &c.genesis);
    assert_eq!(
        (report.verdict, rules(&report)),
        (Class::Incomplete, vec![(Class::Incomplete, "report-version".into())])
    );
}

#[test]
fn without_content_nobody_is_named_and_the_form_is_checked() {
    let c = settled();
    let files = bundle(&c, Variant::NoContent);
    let report = verify(&files, &c.genesis);
    assert_eq!((report.verdict, rules(&report)), (Class::Incomplete, vec![(Class::Incomplete, "no-content".into())]));
    let not_done: Vec<&str> = report.layers.iter().filter(|l| !l.done).map(|l| l.name).collect();
    assert_eq!(not_done, ["acts", "record", "policy-replay"]);
    assert!(report.layers.iter().filter(|l| !l.done).all(|l| l.why.starts_with("no-content bundle")));
    assert!(report.engine.is_none());
    assert_eq!((report.counts.delivered, report.counts.authorized, report.counts.requests), (2, 2, 1));
    assert!(report.logs.iter().all(|l| l.fork_bound == 1));

    let kept: BTreeSet<Kind> = files
        .iter()
        .filter(|(p, _)| p.starts_with("data/statements/") || p.starts_with("data/charters/"))
        .map(|(_, b)| Envelope::parse(b).unwrap().kind())
        .collect();
    assert_eq!(kept, BTreeSet::from([Kind::Charter, Kind::Verdict]));
    assert!(!files.contains_key(CUSTODY_JSON) && !files.contains_key(CUSTODY_HTML));
    // What only statements say is nowhere, also not in base64 payloads.
    let tokens = [c.tokens.subject("sam").to_string(), c.tokens.thread("t").to_string()];
    let officer = c.officer.public().digest().to_string();
    for (path, bytes) in &files {
        let mut texts = vec![String::from_utf8_lossy(bytes).into_owned()];
        texts.extend(Envelope::parse(bytes).ok().map(|e| String::from_utf8_lossy(e.payload()).into_owned()));
        for secret in tokens.iter().map(String::as_str).chain([officer.as_str(), "MAT-1", "inquiry"]) {
            assert!(texts.iter().all(|t| !t.contains(secret)), "{secret} is in {path}");
        }
    }
}

#[test]
fn a_statement_of_a_person_does_not_belong_into_a_bundle_without_content() {
    let c = settled();
    let mut files = bundle(&c, Variant::NoContent);
    let request = c.request.as_ref().unwrap();
    files.insert(format!("data/statements/{}.json", request.envelope_digest()), request.bytes().to_vec());
    assert_eq!(rules(&verify(&repack(files), &c.genesis)), [(Class::Tampered, "variant".into())]);

    // A full bundle that only calls itself one is none either.
    let mut files = c.full();
    let index = Index { variant: Variant::NoContent, requests: vec![], ..index(&files) };
    files.insert(INDEX.into(), index.encode());
    assert!(rules(&verify(&repack(files), &c.genesis)).contains(&(Class::Tampered, "variant".into())));
}

#[test]
fn without_content_a_release_out_of_form_is_still_found() {
    // Delivered without a countersigned head of the authorisation.
    let mut c = Cluster::honest();
    let permit = c.verdict(1, |_| {});
    let (call, answer) = (c.call(), c.answer(1, 2));
    let early = c.cosigned(2, &[1]);
    let authorised = c.authorise(2, &call, &[&permit], &[&answer]);
    c.deliver(2, authorised, &early, |_| {});
    c.settle();
    let report = verify(&bundle(&c, Variant::NoContent), &c.genesis);
    assert!(rules(&report).contains(&(Class::Violation, "note-size".into())), "{:#?}", report.findings);

    // Authorised on the node's own permit alone.
    let mut c = Cluster::honest();
    let permit = c.verdict(2, |_| {});
    let (call, answer) = (c.call(), c.answer(1, 2));
    let authorised = c.authorise(2, &call, &[&permit], &[&answer]);
    let note = c.cosigned(2, &[1]);
    c.deliver(2, authorised, &note, |_| {});
    c.settle();
    let report = verify(&bundle(&c, Variant::NoContent), &c.genesis);
    let found = rules(&report);
    for rule in ["permit-invalid", "permits-missing"] {
        assert!(found.contains(&(Class::Violation, rule.into())), "{:#?}", report.findings);
    }

    // Two replies on one authorisation.
    let mut c = Cluster::honest();
    let permit = c.verdict(1, |_| {});
    let (call, answer) = (c.call(), c.answer(1, 2));
    let authorised = c.authorise(2, &call, &[&permit], &[&answer]);
    let note = c.cosigned(2, &[1]);
    c.deliver(2, authorised, &note, |_| {});
    c.deliver(2, authorised, &note, |_| {});
    c.settle();
    let report = verify(&bundle(&c, Variant::NoContent), &c.genesis);
    assert!(rules(&report).contains(&(Class::Violation, "authorization".into())), "{:#?}", report.findings);

    // And a log that told two stories.
    let mut c = settled();
    let other = escrow_audit::checkpoint::Checkpoint::new("acme/1/log", 3, [7; 32]).unwrap();
    let signer = escrow_audit::note::NoteSigner::new("acme/1/log", &c.nodes[0].log_key).unwrap();
    let other = other.sign(&signer).unwrap();
    c.nodes[0].held.insert(seat_index(2), other);
    let report = verify(&bundle(&c, Variant::NoContent), &c.genesis);
    assert_eq!(report.verdict, Class::Misbehaviour, "{:#?}", report.findings);
}

#[test]
fn a_certificate_claims_what_was_checked_and_no_more() {
    let c = settled();
    let files = c.full();
    let within = String::from_utf8(files[CERTIFICATE].clone()).unwrap();
    for line in ["Signature: ____", "Executed on (date): ____", "Name: ____"] {
        assert!(within.contains(line), "{line} is not blank");
    }
    assert!(within.contains("No check of this bundle stands here") && !within.contains("answer was"), "{within}");
    for node in &c.nodes {
        assert!(within.contains(&hex::encode(node.tree.root())));
    }
    let (bundle, report) = (Digest::of(&files[bagit::TAG_MANIFEST]), verify(&files, &c.genesis));
    let made = Made { bundle: Some(bundle), tool: "escrow 0.0.0" };
    let text = certificate::filled(&files, &index(&files), &report, made);
    assert!(text.contains(&bundle.to_string()) && text.contains("Its answer was **OK**"), "{text}");
    assert!(text.contains("| policy-replay | done |"));

    let hidden = verified_without_replay(&c);
    let text = certificate::filled(&files, &index(&files), &hidden, made);
    assert!(text.contains("| policy-replay | not done: not asked for |"), "{text}");
    let short = of_two_logs(&c);
    let report = verify(&short, &c.genesis);
    let text = certificate::filled(&short, &index(&short), &report, made);
    assert!(text.contains("**INCOMPLETE**") && text.contains("log-missing"), "{text}");
}

fn verified_without_replay(c: &Cluster) -> Report {
    let options = Options { policy_replay: false, ..Options::default() };
    escrow_audit::verify::verify_with(&c.full(), &c.genesis, options)
}

fn of_two_logs(c: &Cluster) -> Files {
    c.bundle(&[0, 1], |_, _| true)
}

#[test]
fn the_printed_answer_has_every_finding_and_nothing_from_outside() {
    let c = settled();
    let short = of_two_logs(&c);
    let report = verify(&short, &c.genesis);
    assert_eq!(report.verdict, Class::Incomplete);
    let bundle = Digest::of(&short[bagit::TAG_MANIFEST]);
    let html = verification::html(&report, Made { bundle: Some(bundle), tool: "escrow 0.0.0" });
    for f in &report.findings {
        assert!(html.contains(&f.rule), "{f}");
    }
    for digest in [c.genesis, bundle, c.request_digest()] {
        assert!(html.contains(&digest.to_string()));
    }
    for outside in ["src=", "href=", "url(", "http:", "https:", "<script", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    let mut nasty = report.clone();
    nasty.findings[0].detail = "<img src=x onerror=alert(1)>\u{202e}".into();
    let html = verification::html(&nasty, Made { bundle: None, tool: "t" });
    assert!(!html.contains("<img") && !html.contains('\u{202e}') && html.contains("&lt;img"));
}
