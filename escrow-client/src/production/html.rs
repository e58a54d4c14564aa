//! One page for each thread, for people without a review platform: it needs nothing else, prints
//! well, can be searched, asks no network and lets no message steer the reader's browser.

use super::event::{Conversation, Event, EventKind, Slice};
use super::package::{Growing, Package, Provenance};
use super::source::Source;
use super::{ProductionError, Sink};
use crate::zone::Zone;
use std::fmt::Write as _;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub(super) struct Pages {
    package: Package,
    page: Option<Growing>,
}

impl Pages {
    pub(super) fn new(package: Package) -> Self {
        Self { package, page: None }
    }

    fn page(&mut self, of: &Conversation) -> Result<&mut Growing, ProductionError> {
        let open = match self.page.take() {
            Some(open) => open,
            None => {
                let mut new = self.package.open(format!("html/{:05}.html", of.number))?;
                new.write(head(of, &self.package.provenance, &self.package.selection.zone).as_bytes())?;
                new
            }
        };
        Ok(self.page.insert(open))
    }
}

impl Sink for Pages {
    fn slice(&mut self, source: &Source<'_>, slice: &Slice<'_>) -> Result<(), ProductionError> {
        let mut links = Vec::new();
        for a in slice.events.iter().flat_map(|e| &e.attachments) {
            links.push(self.package.attachment(source, a)?);
        }
        let zone = &self.package.selection.zone;
        let mut links = links.into_iter();
        let mut out = String::new();
        if slice.part == 1 {
            let _ = writeln!(out, "<h2>{}</h2>", slice.day);
        }
        for e in &slice.events {
            let own: Vec<String> = links.by_ref().take(e.attachments.len()).collect();
            event(&mut out, e, slice, zone, &own);
        }
        let page = self.page(slice.conversation)?;
        page.told(slice);
        page.write(out.as_bytes())
    }

    fn end(&mut self, of: &Conversation) -> Result<(), ProductionError> {
        let Some(mut page) = self.page.take() else { return Ok(()) };
        page.write(format!("</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n").as_bytes())?;
        self.package.close(page, of)
    }

    fn finish(self: Box<Self>) -> Result<Package, ProductionError> {
        Ok(self.package)
    }
}

fn head(of: &Conversation, p: &Provenance, zone: &Zone) -> String {
    let people: String = of
        .people
        .iter()
        .map(|(id, called)| match id == called {
            true => format!("<li>{}</li>", name(called)),
            false => format!("<li>{} <code>{}</code></li>", name(called), name(id)),
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n\
         <dl><dt>Matter</dt><dd>{matter}</dd><dt>Release</dt><dd><code>{release}</code></dd>\
         <dt>Evidence</dt><dd><code>{evidence}</code>, {verdict}</dd><dt>On record</dt><dd>node/entry {positions}</dd>\
         <dt>Conversation</dt><dd><code>{thread}</code></dd><dt>Platform</dt><dd>{platform}</dd><dt>Times in</dt><dd>{zone}</dd></dl>\n\
         <details open><summary>{count} people</summary><ul>{people}</ul></details>\n\
         <p id=\"find\" hidden><label>Find <input type=\"search\" autocomplete=\"off\"></label> <output></output></p>\n\
         </header>\n<main>\n",
        title = name(&of.display),
        matter = escaped(&p.matter),
        release = p.release,
        evidence = p.evidence,
        verdict = p.verdict,
        positions = escaped(&p.positions),
        thread = name(&of.id),
        platform = name(&of.platform),
        count = of.people.len(),
    )
}

fn event(out: &mut String, e: &Event, slice: &Slice<'_>, zone: &Zone, links: &[String]) {
    let called = |id: &str| name(slice.display(id));
    let who = e.participant.as_deref().map(called).unwrap_or_default();
    let class = match e.kind {
        EventKind::Message if e.participant.as_deref() == slice.custodian() => "own",
        EventKind::Message => "message",
        EventKind::Unknown => "unknown",
        _ => "note",
    };
    let said = match e.kind {
        EventKind::Join => "joined ",
        EventKind::Leave => "left ",
        _ => "",
    };
    let _ = write!(
        out,
        "<article class=\"{class}\" id=\"l{}\"><p class=\"meta\"><b><bdi>{who}</bdi></b> <time>{}</time>",
        e.line,
        zone.spaced(e.at)
    );
    for (mark, shown) in [("context", e.custom.contains_key("context")), ("important", e.high), ("deleted", e.deleted)]
    {
        if shown {
            let _ = write!(out, " <strong>{mark}</strong>");
        }
    }
    if let Some(parent) = e.reply_to.as_ref().or(e.custom.get("reply_to")) {
        let _ = write!(out, " answers <code>{}</code>", name(parent));
    }
    let _ =
        write!(out, " <code>{}</code></p><p class=\"text\" dir=\"auto\">{said}{}</p>", name(&e.id), escaped(&e.body));
    for edit in &e.edits {
        let at = edit.at.map_or_else(String::new, |at| format!(" {}", zone.spaced(at)));
        let _ = write!(
            out,
            "<p class=\"meta\">edited by <bdi>{}</bdi>{at}, before: <q dir=\"auto\">{}</q></p>",
            called(&edit.participant),
            escaped(&edit.previous)
        );
    }
    for (a, link) in e.attachments.iter().zip(links) {
        let _ = write!(
            out,
            "<p class=\"meta\">file <a href=\"../{link}\"><bdi>{}</bdi></a>, {} bytes, SHA-256 <code>{}</code></p>",
            name(&a.file.name),
            a.file.size,
            a.file.sha256
        );
    }
    if let Some(lost) = e.custom.get("attachments_missing") {
        let _ = write!(out, "<p class=\"meta\"><strong>files that could not be read:</strong> {}</p>", name(lost));
    }
    for r in &e.reactions {
        let by: Vec<String> = r.participants.iter().map(|p| called(p)).collect();
        let _ = write!(out, "<p class=\"meta\">{} by <bdi>{}</bdi></p>", escaped(&r.value), by.join(", "));
    }
    for r in &e.receipts {
        let action = if r.action == crate::archive::ReceiptAction::Read { "read" } else { "received" };
        let _ = write!(
            out,
            "<p class=\"meta\">{action} by <bdi>{}</bdi> {}</p>",
            called(&r.participant),
            zone.spaced(r.at)
        );
    }
    out.push_str("</article>\n");
}

/// A name of anybody, on a line with words of ours: what turns direction would misspell it (`txt.exe` for `exe.txt`).
fn name(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    escaped(&text.replace(turns, "\u{fffd}"))
}

/// Text of anybody. Direction marks stay, as right-to-left text needs them: every text stands in a
/// block of its own direction. Other control characters show as U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
