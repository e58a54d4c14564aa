//! A draft certificate under Federal Rules of Evidence 902(13) and 902(14), in the form of 28 U.S.C.
//! section 1746, as a text for counsel.
//!
//! It describes the system, names hashes and log positions, and says what a program checked and what it
//! answered. It claims nothing else: who declares, why they are qualified, date and signature are blank.

use super::custody::{Actor, Custody};
use super::verification::{Made, meaning};
use crate::bundle::{Index, Variant};
use crate::files::Files;
use crate::finding::Report;

/// The draft that a bundle carries. It cannot name the bundle's own digest, nor what a check of the bundle
/// answers, and says so.
pub(super) fn draft(custody: &Custody, index: &Index) -> String {
    let checked = "No check of this bundle stands here: a file cannot report on the package that it is part of. The command\n\n\
                   \x20   escrow certificate draft FOLDER --charter-digest DIGEST\n\n\
                   verifies the bundle, names its digest, and writes this section.\n";
    text(custody, index, "It is in the draft that the command of section 5 makes.", checked)
}

/// The draft with the digest of the bundle and the answer of the verification that was just made.
#[must_use]
pub fn filled(source: &dyn Files, index: &Index, report: &Report, made: Made<'_>) -> String {
    let mut checked = format!(
        "The program {tool} read the bundle without a network and checked it against the SHA-256 digest of the first charter,\n\n\
         \x20   {charter}\n\n\
         which whoever ran it supplied. Its answer was **{verdict}**. {meaning}\n\n",
        tool = plain(made.tool),
        charter = report.charter,
        verdict = report.verdict,
        meaning = meaning(report.verdict),
    );
    checked.push_str("| Part of the verification | Outcome |\n|---|---|\n");
    for l in &report.layers {
        let outcome = if l.done { "done".to_owned() } else { format!("not done: {}", l.why) };
        checked.push_str(&format!("| {} | {outcome} |\n", l.name));
    }
    if let Some(engine) = report.engine {
        checked.push_str(&format!("\nPolicy engine: {engine}.\n"));
    }
    if report.findings.is_empty() {
        checked.push_str("\nIt found nothing.\n");
    } else {
        checked.push_str("\nIt found:\n\n");
        report.findings.iter().for_each(|f| checked.push_str(&format!("    {}\n", plain(&f.to_string()))));
    }
    let bundle = made.bundle.map(|d| format!("`{d}`")).unwrap_or_else(|| "there is none".into());
    text(&Custody::of(source, index), index, &bundle, &checked)
}

fn text(c: &Custody, index: &Index, bundle: &str, checked: &str) -> String {
    let mut logs = String::from(
        "| Log | Entries | SHA-256 of the file with its entries | Root in its signed head |\n|---|---|---|---|\n",
    );
    for l in &c.logs {
        let root = l.root.map_or_else(|| "cannot be read".into(), |d| format!("`{d}`"));
        logs.push_str(&format!("| seat {}, log {} | {} | `{}` | {root} |\n", l.seat, l.log, l.size, l.sha256));
    }
    let nodes: String = c.logs.iter().map(|l| node(&l.node)).collect();
    let releases = releases(c, index);
    let (org, charter, version, schema) = (&c.org, c.charter, c.schema, &index.schema);
    format!(
        "# DRAFT for counsel: certification under Fed. R. Evid. 902(13) and 902(14)\n\n\
         A program made this draft. It is nobody's statement until a qualified person has checked it, struck what they\n\
         cannot say of their own knowledge, filled the blanks and signed. Rule 902(11) asks for reasonable written notice to\n\
         the other side, and for record and certification to be made available for inspection, before trial or hearing.\n\n\
         ## 1 Declarant\n\n\
         Name: ______________________________\n\n\
         Office and employer: ______________________________\n\n\
         Training, experience, and why I know how this system works: ______________________________\n\n\
         ## 2 The system\n\n\
         Threshold escrow of {org}, protocol v1, evidence as `{schema}`, reports as `{version}`. Keys to messages are split among\n\
         independent nodes; fewer than the threshold of them cannot restore a key. Each node keeps an append-only log of its\n\
         own, in which each entry names the hash of the one before and which other nodes countersign. Who holds which\n\
         office and key, and what the rules are, stands in charters, of which the first has the SHA-256 digest\n\n\
         \x20   {charter}\n\n\
         Nodes whose logs are here:\n\n\
         {nodes}\n\
         ## 3 The process: Rule 902(13)\n\n\
         A node writes each statement that it accepts, each verdict, and each step of a release to its log before it answers.\n\
         A reply leaves a node only after the node's permission for it is in its log and enough other nodes have countersigned\n\
         a head of that log which covers it. Statements carry the signatures of the people or devices that make them. Times are\n\
         the nodes' own clocks, in UTC.\n\n\
         ## 4 The copy: Rule 902(14)\n\n\
         The electronic copy is one folder after BagIt (RFC 8493). All of its files are listed with their SHA-256 digests in\n\
         `manifest-sha256.txt` and `tagmanifest-sha256.txt`. SHA-256 of the latter, which identifies the whole copy:\n\
         {bundle}\n\n\
         {logs}\n\
         {releases}\n\
         ## 5 What was checked\n\n\
         {checked}\n\
         ## 6 What this does not say\n\n\
         It does not say that the digest of the first charter is genuine: that comes from whoever supplied it. It does not say\n\
         that a device, a person or a clock outside the nodes did what it should, that messages are true or complete, or what\n\
         follows in law.\n\n\
         ## 7 Declaration (28 U.S.C. 1746)\n\n\
         I declare under penalty of perjury [if executed outside the United States: under the laws of the United States of\n\
         America] that the foregoing is true and correct.\n\n\
         Executed on (date): ______________________________\n\n\
         Signature: ______________________________\n"
    )
}

fn node(a: &Actor) -> String {
    match a {
        Actor::Node { seat, name, operator } => {
            let name = name.as_ref().map(|n| format!(", {n}")).unwrap_or_default();
            let operator = operator.as_ref().map(|o| format!(", run by {o}")).unwrap_or_default();
            format!("- seat {seat}{name}{operator}\n")
        }
        Actor::Person { .. } | Actor::Device { .. } => String::new(),
    }
}

fn releases(c: &Custody, index: &Index) -> String {
    if index.variant == Variant::NoContent {
        return "This copy holds no content: what people signed is left out, and with it who asked, for what, and who approved.\n".into();
    }
    let mut out = String::from(
        "Replies that left the nodes, for the requests that this copy is about:\n\n\
         | Request | Seat | Log position | Leaf hash | Time (UTC) | SHA-256 of the reply |\n|---|---|---|---|---|---|\n",
    );
    for case in &c.cases {
        for r in &case.released {
            let p = &r.position;
            let row = format!(
                "| `{}` | {} | {}/{} | `{}` | {} | `{}` |\n",
                case.request, p.seat, p.log, p.seq, p.leaf, p.at, r.reply
            );
            out.push_str(&row);
        }
    }
    out
}

/// What a finding quotes must not break out of its line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
