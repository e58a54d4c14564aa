//! The custody report on paper.

use super::custody::*;
use super::page::{Html, Page, code, join, lines, short, strong, text, time};
use base64::Engine as _;
use escrow_core::Nonce;

/// The means by which custody was kept and passed on.
const METHOD: &str = "threshold escrow, protocol v1: each node opens its own share, seals it to the recipient's key, \
and puts the act on a log that other nodes have countersigned";

pub(super) fn page(c: &Custody) -> String {
    let mut page = Page::default();
    page.heading(
        "Chain of custody report",
        &text(format!("Escrow of {}. Released keys to messages, and every act that led to it.", c.org)),
    );
    page.facts(
        "About this report",
        &[
            ("Organisation", text(&c.org)),
            ("First charter (SHA-256)", code(c.charter)),
            ("Export", nonce(&c.export)),
            ("Newest time in the evidence", time(c.created)),
            ("Report version", code(c.schema)),
            ("Requests described", text(described(c))),
        ],
    );
    page.paragraph(&text(
        "A program made this report from the logs, statements and views of the evidence bundle that it is part of; it says \
         what they record and adds nothing. It does not say that what is recorded was allowed: \u{201c}escrow verify\u{201d} \
         checks that, and that this report follows from the evidence. Times are the nodes\u{2019} own clocks, in UTC. Names and \
         offices are those of the charter. Custodians and threads stand as tokens, which only the organisation can resolve.",
    ));
    page.paragraph(&text(
        "\u{201c}On record\u{201d} reads: seat / number of that seat\u{2019}s log, # position in it, first digits of the entry\u{2019}s \
         leaf hash, time. Signatures are marked \u{201c}verified\u{201d} if they verify under a key that a charter or an enrolment in \
         this bundle gives to who is named.",
    ));
    for (at, case) in c.cases.iter().enumerate() {
        self::case(&mut page, case, at > 0);
    }
    reads(&mut page, c);
    sources(&mut page, c);
    let footer = text(format!("Made from the evidence alone, by report version {}. End of the report.", c.schema));
    page.finish(
        &format!("Chain of custody report, {}", c.org),
        &format!("Custody report, charter {}", c.charter.short()),
        &footer,
    )
}

fn described(c: &Custody) -> String {
    match c.cases_left_out {
        0 => c.cases.len().to_string(),
        n => format!("{} of {}; this report holds no more", c.cases.len(), (c.cases.len() as u64).saturating_add(n)),
    }
}

fn actor(a: &Actor) -> Html {
    match a {
        Actor::Person { id, name: Some(name), roles } => {
            let roles: Vec<&str> = roles.iter().map(|r| r.as_str()).collect();
            lines([text(name), text(format!("{id} ({})", roles.join(", ")))])
        }
        Actor::Person { id, name: None, .. } => text(format!("{id}, whom no charter lists")),
        Actor::Device { key, subject: Some(s) } => {
            lines([join([text("device key "), code(key)]), join([text("of "), code(s)])])
        }
        Actor::Device { key, subject: None } => join([text("device key "), code(key), text(", not enrolled here")]),
        Actor::Node { seat, name, operator } => {
            let name = name.as_ref().map(|n| format!(" {n}")).unwrap_or_default();
            let operator = operator.as_ref().map(|o| text(format!("run by {o}"))).unwrap_or_default();
            lines([text(format!("node {seat}{name}")), operator])
        }
    }
}

fn nonce(n: &Nonce) -> Html {
    code(base64::engine::general_purpose::STANDARD.encode(n.0))
}

fn signed(s: Option<&Signed>) -> Html {
    let Some(s) = s else { return Html::default() };
    let keys = s.keys.iter().flat_map(|k| [text(" "), code(k)]);
    let mark = if s.verified { text(", verified") } else { join([text(", "), strong("NOT VERIFIED")]) };
    join([text(if s.keys.len() == 1 { "key" } else { "keys" })].into_iter().chain(keys).chain([mark]))
}

fn position(p: &Position) -> Html {
    join([text(format!("{}/{} #{} ", p.seat, p.log, p.seq)), short(&p.leaf), text(" "), time(p.at)])
}

fn digest(name: &str, d: impl ToString) -> Html {
    join([text(format!("{name} ")), code(d)])
}

fn case(page: &mut Page, c: &Case, fresh: bool) {
    let title = match &c.matter {
        Some(m) => join([text(format!("Matter {m}, request ")), short(&c.request)]),
        None => join([text("Self-recovery "), short(&c.request)]),
    };
    page.section(&title, fresh);
    let authority = c.authority.as_ref();
    let authority = authority.map(|a| lines([text(&a.reference), digest("document SHA-256", a.document)]));
    let period = c.from.zip(c.to).map(|(from, to)| join([time(from), text(" until "), time(to)]));
    let all = if c.items_left_out > 0 { "; not all are described below" } else { "" };
    let some = |html: Option<Html>| html.unwrap_or_default();
    page.facts(
        "The request",
        &[
            ("Request (SHA-256)", code(c.request)),
            ("Matter", some(c.matter.as_ref().map(text))),
            ("Asked by", actor(&c.by)),
            ("Basis", some(c.basis.map(|b| text(b.name())))),
            ("Authority", some(authority)),
            ("Purpose", some(c.purpose.as_ref().map(text))),
            ("Policy", text(&c.policy)),
            ("Threads", lines(c.threads.iter().map(code))),
            ("Messages from", some(period)),
            ("Items asked for", text(format!("{}{all}", c.items_asked))),
            (
                "Recipient",
                lines([
                    actor(&c.recipient),
                    text(format!("as {}", c.recipient_as)),
                    digest("sealing key", c.sealed_to),
                ]),
            ),
            ("Notice to subjects", some(c.notice.as_ref().map(text))),
            ("Signed", time(c.created)),
            ("Expires", time(c.expires)),
        ],
    );
    page.part("Chain of custody");
    page.facts(
        "Terms of the transfer",
        &[
            ("Received by", lines([actor(&c.recipient), digest("sealing key", c.sealed_to)])),
            ("Purpose", text(c.purpose.as_ref().map_or("the subject's own recovery", |p| p.as_str()))),
            ("Method and tool", text(METHOD)),
            ("Hash algorithm", text("SHA-256 (FIPS 180-4); log entries as leaves of RFC 6962 trees")),
        ],
    );
    let items = c.items.iter().map(|i| match &i.about {
        Some(a) => vec![
            text(i.no),
            lines([
                digest("thread", a.thread),
                join([time(a.from), text(" until "), time(a.to)]),
                text(format!("era {}, epoch {}", a.era, a.epoch)),
            ]),
            code(a.custodian),
            lines([digest("item", i.item), a.archive.map(|d| digest("sealed archive", d)).unwrap_or_default()]),
            lines([digest("deposit", a.deposit), digest("consent record", a.consent)]),
        ],
        None => vec![
            text(i.no),
            text("its deposit is not in this bundle"),
            text("unknown"),
            digest("item", i.item),
            Html::default(),
        ],
    });
    page.table(
        "Items: keys to messages held in escrow",
        &[("Item", 6), ("Description", 28), ("Source (custodian)", 20), ("Hash (SHA-256)", 23), ("Came by", 23)],
        &items.collect::<Vec<_>>(),
    );
    let released = (1u64..).zip(&c.released).map(|(no, r)| {
        let to = r
            .sealed_to
            .map(|d| digest("sealed to key", d))
            .unwrap_or_else(|| text("its statement is not in this bundle"));
        let other =
            if r.as_asked == Some(false) { strong("ANOTHER KEY THAN THE REQUEST NAMES") } else { Html::default() };
        let items = r.items.map(|n| text(format!("{n} items"))).unwrap_or_default();
        vec![
            text(no),
            lines([time(r.position.at), text(format!("attempt {}", r.attempt)), items]),
            actor(&r.by),
            lines([digest("reply", r.reply), to, other]),
            lines([position(&r.position), digest("countersigned head", r.note)]),
            signed(r.signed.as_ref()),
        ]
    });
    page.table(
        "Transfers: replies that left the custody of a node",
        &[
            ("No.", 6),
            ("When (UTC)", 16),
            ("Released by", 15),
            ("Hash (SHA-256), sealed to", 25),
            ("On record", 24),
            ("Signature", 14),
        ],
        &released.collect::<Vec<_>>(),
    );
    page.part("What happened");
    let events = (1u64..).zip(&c.events).map(|(no, e)| event(no, e));
    page.table(
        "All acts on record that concern this case, by time",
        &[("No.", 5), ("Act", 39), ("By", 19), ("On record", 37)],
        &events.collect::<Vec<_>>(),
    );
}

fn event(no: u64, e: &Event) -> Vec<Html> {
    // A verdict is its outcome: that stands in the first line.
    let title = match e.details.get("outcome") {
        Some(outcome) => format!("{}: {outcome}", words(&e.act)),
        None => words(&e.act).to_owned(),
    };
    let said =
        e.details.iter().filter(|(name, _)| **name != "outcome").map(|(name, value)| text(format!("{name}: {value}")));
    let stated = e.stated.map(|at| join([text("stated time "), time(at)])).unwrap_or_default();
    let statement = e.statement.map(|d| digest("statement", d)).unwrap_or_default();
    let by = if e.by.is_empty() { text("nobody whose key is known here") } else { lines(e.by.iter().map(actor)) };
    let on = if e.positions.is_empty() {
        text("beyond what this report shows")
    } else {
        lines(e.positions.iter().map(position))
    };
    let act = lines([strong(title)].into_iter().chain(said).chain([stated, statement]));
    vec![text(no), act, lines([by, signed(e.signed.as_ref())]), on]
}

/// What an act is called on paper.
fn words(act: &str) -> &str {
    match act {
        "matter-open" => "Matter opened",
        "matter-close" => "Matter closed",
        "matter-reopen" => "Matter opened again",
        "enrolment" => "Device enrolled",
        "revocation" => "Key or enrolment revoked",
        "consent" => "Consent recorded",
        "withdrawal" => "Consent withdrawn",
        "deposit" => "Items deposited",
        "request" => "Release requested",
        "self-recovery" => "Self-recovery asked for",
        "approve" => "Approved",
        "recuse" => "Stepped aside",
        "deny" => "Denied",
        "cancellation" => "Request cancelled",
        "veto" => "Self-recovery vetoed",
        "verdict" => "Verdict of a node",
        "release-authorised" => "Release authorised",
        "release-delivered" => "Reply delivered",
        "release-aborted" => "Release not delivered",
        other => other,
    }
}

fn reads(page: &mut Page, c: &Custody) {
    page.section(&text("Who looked, and who exported"), false);
    let verified = |v| if v { text("verified") } else { strong("NOT VERIFIED") };
    let rows = c.reads.iter().map(|r| {
        let span =
            if r.count == 1 { lines([position(&r.first)]) } else { lines([position(&r.first), position(&r.last)]) };
        vec![actor(&r.by), text(r.what), text(r.count), span, verified(r.verified)]
    });
    page.table(
        "Questions to nodes that concern the cases above: first and last of each kind",
        &[("By", 24), ("Asked for", 14), ("Times", 9), ("On record", 39), ("Signature", 14)],
        &rows.collect::<Vec<_>>(),
    );
    let rows = c.exports.iter().map(|e| {
        let what = match (&e.bundle, e.this) {
            (Some(d), _) => lines([text("export written"), digest("bundle", d)]),
            (None, true) => strong("this export"),
            (None, false) => text("another export"),
        };
        vec![actor(&e.by), what, nonce(&e.export), lines(e.positions.iter().map(position)), verified(e.verified)]
    });
    page.table(
        "Exports of evidence",
        &[("By", 20), ("What", 18), ("Export", 14), ("On record", 36), ("Signature", 12)],
        &rows.collect::<Vec<_>>(),
    );
    let rows = c.incidents.iter().map(|i| vec![text(&i.what), text(&i.detail), position(&i.position)]);
    page.table(
        "What nodes put on record about logs and clocks",
        &[("Entry", 18), ("What", 46), ("On record", 36)],
        &rows.collect::<Vec<_>>(),
    );
}

fn sources(page: &mut Page, c: &Custody) {
    page.section(&text("Sources"), false);
    let rows = c.charters.iter().map(|v| {
        let keys = lines(v.keys.iter().map(code));
        vec![text(v.version), code(v.digest), time(v.issued), keys, lines(v.accepted.iter().map(position))]
    });
    page.table(
        "Charters: who holds which office and key, and what the rules are. The first is in force from the start of each log",
        &[("Version", 9), ("SHA-256", 26), ("Issued", 14), ("Signing keys", 17), ("Put in force", 34)],
        &rows.collect::<Vec<_>>(),
    );
    let rows = c.logs.iter().map(|l| {
        let span = [l.first, l.last].into_iter().flatten().map(time);
        let place = l.jurisdiction.as_ref().map(|j| text(format!("in {j}"))).unwrap_or_default();
        let beyond = if l.left_out > 0 {
            strong(format!("{} positions are not shown here", l.left_out))
        } else {
            Html::default()
        };
        let root = l.root.map(|d| digest("root", d)).unwrap_or_else(|| strong("ITS HEAD CANNOT BE READ"));
        vec![
            lines([actor(&l.node), place]),
            lines([text(format!("log {} of seat {}", l.log, l.seat)), code(&l.origin), beyond]),
            text(l.size),
            lines(span),
            lines([root, digest("file", l.sha256)]),
        ]
    });
    page.table(
        "Logs, as far as this bundle holds them",
        &[
            ("Node", 20),
            ("Log", 20),
            ("Entries", 9),
            ("First and last entry", 18),
            ("Root of its signed head; SHA-256 of its entries", 33),
        ],
        &rows.collect::<Vec<_>>(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use escrow_core::Kind;

    #[test]
    fn every_kind_that_concerns_a_case_has_words_of_its_own() {
        for kind in [Kind::Enrolment, Kind::Revocation, Kind::Consent, Kind::Withdrawal, Kind::Deposit, Kind::Request]
            .into_iter()
            .chain([Kind::SelfRecovery, Kind::Cancellation, Kind::Veto, Kind::Verdict])
        {
            assert_ne!(words(kind.name()), kind.name());
        }
    }
}
