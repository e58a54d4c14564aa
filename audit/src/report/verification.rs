//! The answer of a verification on paper.

use super::page::{Html, Page, code, lines, strong, text, time};
use crate::finding::{Class, Finding, LogSummary, Report};
use escrow_core::Digest;

/// What a printed answer is about and who gave it.
#[derive(Clone, Copy, Debug)]
pub struct Made<'m> {
    /// SHA-256 of the bundle's `tagmanifest-sha256.txt`; none if there is no such file.
    pub bundle: Option<Digest>,
    /// Name and version of the program.
    pub tool: &'m str,
}

/// The report as one HTML page that needs nothing else. The same report gives the same bytes.
#[must_use]
pub fn html(report: &Report, made: Made<'_>) -> String {
    let mut page = Page::default();
    page.heading(
        "Verification report",
        &text("An evidence bundle of escrow nodes, checked offline against one digest."),
    );
    page.answer(report.verdict.name(), &text(meaning(report.verdict)));
    page.paragraph(&text(
        "This answer rests on the digest of the first charter below and on nothing else in the bundle. It is worth as much as the \
         source from which whoever ran the program took that digest. It does not say that the people who act are who the charter \
         says they are, that the nodes\u{2019} clocks are right, that a messenger showed the messages as they were sent, or that fewer \
         nodes than the threshold worked together; and it is no legal opinion.",
    ));
    let engine = report.engine.map(text).unwrap_or_else(|| text("policies were not evaluated again"));
    page.facts(
        "What was checked, and by what",
        &[
            ("First charter (SHA-256)", code(report.charter)),
            ("Bundle (SHA-256 of its tag manifest)", made.bundle.map(code).unwrap_or_else(|| text("there is none"))),
            ("Program", text(made.tool)),
            ("Policy engine", engine),
            ("Report version", code(report.schema)),
        ],
    );
    page.section(&text("Findings"), false);
    page.table(
        "Everything that was found, in the order of the checks",
        &[("No.", 6), ("Class and rule", 20), ("Where", 30), ("What", 44)],
        &(1u64..).zip(&report.findings).map(|(no, f)| finding(no, f)).collect::<Vec<_>>(),
    );
    page.section(&text("What was done"), false);
    let layers = report.layers.iter().map(|l| {
        let done = if l.done { text("done") } else { lines([strong("NOT DONE"), text(&l.why)]) };
        vec![text(l.name), text(layer(l.name)), done]
    });
    page.table(
        "Parts of the verification",
        &[("Part", 17), ("Checks", 50), ("Outcome", 33)],
        &layers.collect::<Vec<_>>(),
    );
    let logs: Vec<_> = report.logs.iter().map(log).collect();
    page.table(
        "Logs, and what other nodes\u{2019} views of them exclude",
        &[("Seat", 8), ("Log", 34), ("Entries", 12), ("Views", 10), ("Means", 36)],
        &logs,
    );
    let releases = (1u64..).zip(&report.releases).map(|(no, r)| {
        let at = lines([text(format!("seat {}, entry {}", r.seat, r.seq)), time(r.at)]);
        vec![text(no), code(r.request), at, text(r.attempt), code(r.recipient)]
    });
    page.table(
        "Replies that nodes delivered",
        &[("No.", 6), ("Request (SHA-256)", 29), ("On record", 27), ("Attempt", 9), ("Sealed to key (SHA-256)", 29)],
        &releases.collect::<Vec<_>>(),
    );
    page.part("How much there was");
    counts(&mut page, report);
    let footer = text(format!("{}. Run the same command to get the same answer. End of the report.", made.tool));
    let running = format!("Verification report, {}, charter {}", report.verdict, report.charter.short());
    page.finish(&format!("Verification report: {}", report.verdict), &running, &footer)
}

/// A class in words, for people who have to act on it.
#[must_use]
pub const fn meaning(class: Class) -> &'static str {
    match class {
        Class::Ok => {
            "Nothing wrong was found. The bundle is as it was packed, its logs are as the nodes signed them, and every act in \
             them was allowed by the rules when it was done, as far as the parts below were done."
        }
        Class::Incomplete => {
            "Nothing wrong was found in what is here, and something that the evidence needs is not here. What is missing stands \
             under Findings. This bundle alone does not carry the full conclusion."
        }
        Class::Violation => {
            "The logs are intact, and at least one of them records an act against the rules. The node whose log it is answers \
             for it; see Findings."
        }
        Class::Misbehaviour => {
            "A key signed two things that contradict each other. Whoever holds that key told two stories; see Findings."
        }
        Class::Tampered => {
            "The bundle was altered after it was packed, by somebody without the keys. What was altered was not judged for its \
             meaning. Ask for the bundle again."
        }
        Class::Malformed => "This is not an evidence bundle, or it cannot be read as one. Nothing else was checked.",
    }
}

fn layer(name: &str) -> &'static str {
    match name {
        "package" => "the package: every file is listed, none is added, each has its digest",
        "bytes" => {
            "every byte is bound by a log, by a signature, or by following from the rest; charters chain from the digest above"
        }
        "acts" => "each entry against everything before it: signatures, offices, order of a release",
        "views" => "what other nodes hold of each log; a log that told two stories shows here",
        "record" => "each verdict: the floor in code, the decisions counted, the exact facts that the policies saw",
        "reports" => "the custody report and its fellows, made again from the evidence and compared byte by byte",
        "policy-replay" => "the policies, evaluated again over those facts",
        _ => "",
    }
}

fn finding(no: u64, f: &Finding) -> Vec<Html> {
    let file = if f.file.is_empty() { text("the bundle") } else { code(&f.file) };
    let seat = f.seat.map(|s| text(format!("seat {s}"))).unwrap_or_default();
    let entry = f.entry.map(|e| text(format!("entry {e}"))).unwrap_or_default();
    vec![text(no), lines([strong(f.class), code(&f.rule)]), lines([file, seat, entry]), text(&f.detail)]
}

fn log(l: &LogSummary) -> Vec<Html> {
    let fork = match l.fork_bound {
        0 => text("a second story of this log is not excluded"),
        1 => text("no second story, even if 1 node colludes"),
        n => text(format!("no second story, even if up to {n} nodes collude")),
    };
    vec![text(l.seat), code(&l.origin), text(l.size), text(l.views), fork]
}

fn counts(page: &mut Page, report: &Report) {
    let c = &report.counts;
    let verdicts = c.verdicts.iter().map(|(outcome, n)| text(format!("{outcome}: {n}")));
    let mut pairs = Vec::new();
    for (name, n) in [
        ("Files", c.files),
        ("Log entries", c.entries),
        ("Statements, charters among them", c.statements),
        ("Charter versions that hold", c.charters),
        ("Requests", c.requests),
        ("Self-recoveries", c.recoveries),
        ("Releases authorised", c.authorized),
        ("Replies delivered", c.delivered),
        ("Releases not delivered", c.aborted),
        ("Statements that take permission away", c.restrictions),
        ("Views of other nodes' logs", c.views),
    ] {
        pairs.push((name, text(n)));
    }
    pairs.push(("Verdicts by outcome", lines(verdicts)));
    page.facts("Counts", &pairs);
}
