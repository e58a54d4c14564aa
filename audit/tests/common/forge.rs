//! An attacker at work on a finished bundle: lines of a log changed, and as much made anew as the
//! attacker has keys for.

use super::{Cluster, Files, seat_index};
use escrow_audit::bagit;
use escrow_audit::bundle::{self, INDEX, Index, README};
use escrow_audit::checkpoint::Checkpoint;
use escrow_audit::entry::{Entry, NO_PREV, leaf_hash};
use escrow_audit::finding::{Class, Report};
use escrow_audit::note::{Note, NoteSigner, SignatureLine};
use escrow_audit::tree::Tree;
use escrow_audit::verify::verify;
use escrow_core::charter::Charter;
use escrow_core::envelope::pae;
use escrow_core::request::Request;
use escrow_core::verdict::Verdict;
use escrow_core::view::View;
use escrow_core::{Blob, Digest, Envelope, Kind, SigningKey, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Lines = Vec<Vec<u8>>;

/// Path of the entries of log `n`, counted from 0.
pub(crate) fn entries_path(n: usize) -> String {
    bundle::entries_path(seat_index(n as u8 + 1), 1)
}

/// Path of the own note of log `n`.
pub(crate) fn note_path(n: usize) -> String {
    bundle::checkpoint_path(seat_index(n as u8 + 1), 1)
}

/// Every rule above a remark, each once, sorted.
pub(crate) fn rules(report: &Report) -> Vec<&str> {
    let found = report.findings.iter().filter(|f| f.class > Class::Ok).map(|f| f.rule.as_str());
    found.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Asserts the verdict and that exactly these rules were broken.
pub(crate) fn expect(report: &Report, verdict: Class, broken: &[&str]) {
    let wanted: BTreeSet<&str> = broken.iter().copied().collect();
    let wanted: Vec<&str> = wanted.into_iter().collect();
    assert_eq!((report.verdict, rules(report)), (verdict, wanted), "{:#?}", report.findings);
}

/// Asserts the verdict and that this rule is among those broken.
pub(crate) fn expect_among(report: &Report, verdict: Class, rule: &str) {
    assert_eq!(report.verdict, verdict, "{:#?}", report.findings);
    assert!(rules(report).contains(&rule), "{rule}: {:#?}", report.findings);
}

/// The package as it is, its manifests, metadata and reports made anew around whatever is in `data/`.
pub(crate) fn repack(mut files: Files) -> Files {
    let info = files[bagit::INFO].clone();
    files.retain(|p, _| p.starts_with(bagit::PAYLOAD) && !p.starts_with(bundle::REPORTS));
    if let Ok(index) = Index::decode(files.get(INDEX).map(Vec::as_slice).unwrap_or_default()) {
        let reports = escrow_audit::report::files(&files, &index);
        files.extend(reports);
    }
    let octets: usize = files.values().map(Vec::len).sum();
    let text = String::from_utf8(info).unwrap();
    let head = text.split("Payload-Oxum").next().unwrap();
    let info = format!("{head}Payload-Oxum: {octets}.{}\n", files.len());
    bagit::pack(files, info.as_bytes())
}

/// The lines of a log's file.
pub(crate) fn lines(files: &Files, n: usize) -> Lines {
    let text = files[&entries_path(n)].strip_suffix(b"\n").unwrap();
    text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}

/// Numbers entries from 0 and makes each name the one before it.
pub(crate) fn chained(lines: &Lines) -> Lines {
    let mut prev = NO_PREV;
    let entries = (0u64..).zip(lines).map(|(seq, line)| {
        let mut entry = Entry::decode(line).unwrap();
        (entry.seq, entry.prev) = (seq, prev);
        let bytes = entry.encode().unwrap();
        prev = leaf_hash(&bytes);
        bytes
    });
    entries.collect()
}

/// One entry changed in its fields, the rest as it was.
pub(crate) fn with_entry(lines: &Lines, at: usize, change: impl FnOnce(&mut Entry)) -> Lines {
    let mut out = lines.clone();
    let mut entry = Entry::decode(&out[at]).unwrap();
    change(&mut entry);
    out[at] = entry.encode().unwrap();
    out
}

/// Replaces a log's lines and nothing else.
pub(crate) fn put_lines(files: &mut Files, n: usize, lines: &Lines) {
    let mut bytes = lines.join(&b'\n');
    bytes.push(b'\n');
    files.insert(entries_path(n), bytes);
}

/// Makes everything anew that needs no key: what no log names any more goes; index, text, metadata
/// and manifests follow from what is left.
pub(crate) fn follow(files: &mut Files) {
    let logs: Vec<usize> = (0..3).filter(|n| files.contains_key(&entries_path(*n))).collect();
    let text: String = logs.iter().map(|n| String::from_utf8_lossy(&files[&entries_path(*n)]).into_owned()).collect();
    let mut named = BTreeSet::new();
    files.retain(|path, bytes| {
        let Some(envelope) = path.strip_prefix("data/statements/").map(|_| Envelope::parse(bytes)) else { return true };
        let Ok(envelope) = envelope else { return true };
        let keep =
            text.contains(&envelope.digest().to_string()) || text.contains(&envelope.envelope_digest().to_string());
        if keep && envelope.kind() == Kind::Verdict {
            named.extend(envelope.decode::<Verdict>().ok().and_then(|v| v.context));
        }
        keep
    });
    files.retain(|path, _| {
        let digest = path.strip_prefix("data/attachments/").map(|d| d.parse::<Digest>().unwrap());
        digest.is_none_or(|d| named.contains(&d) || text.contains(&d.to_string()))
    });

    let mut charters = BTreeMap::new();
    files.retain(|path, bytes| {
        let charter = path.strip_prefix("data/charters/").and_then(|_| Envelope::parse(bytes).ok());
        let Some(envelope) = charter else { return true };
        let version = envelope.decode::<Charter>().map_or(u64::MAX, |c| c.version);
        charters.insert((version, envelope.digest(), envelope.envelope_digest()), bytes.clone());
        false
    });
    files.extend((1..).zip(charters.into_values()).map(|(n, bytes)| (bundle::charter_path(n), bytes)));

    let mut index = Index::decode(&files[INDEX]).unwrap();
    index.logs.retain(|l| files.contains_key(&bundle::entries_path(l.seat, l.number)));
    for l in &mut index.logs {
        let n = usize::from(l.seat.get()) - 1;
        l.size = lines(files, n).len() as u64;
        if let Ok(claim) = Note::parse(&files[&note_path(n)]).map(|note| Checkpoint::parse(note.text())) {
            l.origin = claim.map_or(l.origin.clone(), |c| c.origin().to_owned());
        }
    }
    let entries = logs.iter().flat_map(|n| lines(files, *n));
    let times = entries.filter_map(|l| Entry::decode(&l).ok()).map(|e| Timestamp::from_millis(e.ts as i64));
    let views = files.iter().filter(|(p, _)| p.starts_with("data/views/"));
    let views = views.filter_map(|(_, b)| Envelope::parse(b).ok()?.decode::<View>().ok()).map(|v| v.at);
    index.created = times.chain(views).max().unwrap_or(Timestamp::EPOCH);
    let requests = files.iter().filter(|(p, _)| p.starts_with("data/statements/"));
    let requests =
        requests.filter_map(|(_, b)| Envelope::parse(b).ok()).filter(|e| index.requests.contains(&e.digest()));
    let matters = requests.filter_map(|e| e.decode::<Request>().ok()).map(|r| r.matter).collect();
    files.insert(README.into(), index.readme().into_bytes());
    files.insert(INDEX.into(), index.encode());
    files.retain(|p, _| p.starts_with(bagit::PAYLOAD) && !p.starts_with(bundle::REPORTS));
    let reports = escrow_audit::report::files(files, &index);
    files.extend(reports);
    let info = index.bag_info(&matters, files);
    *files = bagit::pack(std::mem::take(files), info.as_bytes());
}

/// The head that these lines have.
pub(crate) fn claim(origin: &str, lines: &Lines) -> Checkpoint {
    let tree: Tree = lines.iter().map(|l| leaf_hash(l)).collect();
    Checkpoint::new(origin, tree.size(), tree.root()).unwrap()
}

/// A note of this text under signature lines made for another.
pub(crate) fn glued(text: &str, signatures: &[SignatureLine]) -> Vec<u8> {
    Note::new(text, signatures.to_vec()).unwrap().to_bytes()
}

/// What one change of log `n` looks like, by what the attacker goes on to make anew.
pub(crate) struct FourWays {
    /// Nothing.
    pub(crate) bare: Files,
    /// Every unkeyed hash, name and derived text; the log's own note is kept.
    pub(crate) anew: Files,
    /// The note too, under the old signatures.
    pub(crate) note_too: Files,
    /// The note, signed by the log's real key.
    pub(crate) signed: Files,
}

pub(crate) fn four_ways(c: &Cluster, good: &Files, n: usize, changed: &Lines) -> FourWays {
    let mut bare = good.clone();
    put_lines(&mut bare, n, changed);
    let finish = |note: Option<Vec<u8>>| {
        let mut files = bare.clone();
        if let Some(note) = note {
            files.insert(note_path(n), note);
        }
        follow(&mut files);
        files
    };
    let node = &c.nodes[n];
    let claim = claim(node.chain.origin(), changed);
    let old = Note::parse(&good[&note_path(n)]).unwrap();
    let signer = NoteSigner::new(node.chain.origin(), &node.log_key).unwrap();
    let signed = finish(Some(claim.sign(&signer).unwrap().to_bytes()));
    FourWays { anew: finish(None), note_too: finish(Some(glued(&claim.text(), old.signatures()))), signed, bare }
}

/// A change of log 1 that peers hold another head of: refused whatever is made anew, and with the
/// log's key a fork that names the key and both heads.
pub(crate) fn tampered_or_forked(c: &Cluster, changed: &Lines) -> Report {
    let good = c.full();
    assert_ne!(lines(&good, 0), *changed);
    let ways = four_ways(c, &good, 0, changed);
    expect(&verify(&ways.bare, &c.genesis), Class::Tampered, &["digest"]);
    expect(&verify(&ways.anew, &c.genesis), Class::Tampered, &["root"]);
    expect(&verify(&ways.note_too, &c.genesis), Class::Tampered, &["checkpoint"]);
    let report = verify(&ways.signed, &c.genesis);
    expect_among(&report, Class::Misbehaviour, "fork");
    let key = escrow_audit::seat::log_verifier(&c.charter.seats[0]).unwrap().to_string();
    for f in report.findings.iter().filter(|f| f.rule == "fork") {
        assert_eq!((f.class, f.seat), (Class::Misbehaviour, Some(seat_index(1))), "{f}");
        assert!(f.detail.contains(&key) && f.detail.contains(&note_path(0)) && f.file != note_path(0), "{f}");
    }
    report
}

/// An envelope of any payload type around any payload, signed by these keys.
pub(crate) fn raw_envelope(payload_type: &str, payload: &[u8], keys: &[&SigningKey]) -> Vec<u8> {
    let message = pae(payload_type, payload);
    let sign = |k: &&SigningKey| serde_json::json!({"keyid": k.public().id(), "sig": Blob(k.sign(&message))});
    let signatures: Vec<_> = keys.iter().map(sign).collect();
    let json = serde_json::json!({
        "payload": Blob(payload.to_vec()), "payloadType": payload_type, "signatures": signatures
    });
    serde_json::to_vec(&json).unwrap()
}

/// A statement's file replaced by other bytes; with its name, the digests in all logs and everything
/// that follows from them made anew.
pub(crate) fn with_statement(files: &Files, old: &Envelope, bytes: &[u8]) -> [Files; 2] {
    let path = bundle::statement_path(&old.envelope_digest());
    let mut bare = files.clone();
    assert_ne!(bare[&path], bytes);
    bare.insert(path.clone(), bytes.to_vec());
    let mut anew = files.clone();
    anew.remove(&path);
    let name = Digest::of(bytes);
    anew.insert(bundle::statement_path(&name), bytes.to_vec());
    let payload = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let payload = payload.and_then(|v| serde_json::from_value::<Blob>(v.get("payload")?.clone()).ok());
    for n in 0..3 {
        let text = String::from_utf8(lines(files, n).join(&b'\n')).unwrap();
        let mut text = text.replace(&old.envelope_digest().to_string(), &name.to_string());
        if let Some(payload) = &payload {
            text = text.replace(&old.digest().to_string(), &Digest::of(&payload.0).to_string());
        }
        let changed: Lines = text.lines().map(|l| l.as_bytes().to_vec()).collect();
        put_lines(&mut anew, n, &chained(&changed));
    }
    follow(&mut anew);
    [bare, anew]
}
