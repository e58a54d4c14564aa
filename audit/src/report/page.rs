//! One printable HTML page that needs nothing else: no script, no request, nothing unescaped.

use escrow_core::{Digest, Timestamp};
use std::fmt::Write as _;

/// Markup. Made from literals of this crate and from escaped text, and from nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

/// Text of anybody, escaped. Characters that steer (controls, direction marks, line separators) show as
/// U+FFFD.
pub(super) fn text(text: impl ToString) -> Html {
    let mut out = String::new();
    for c in text.to_string().chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                out.push('\u{fffd}');
            }
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    Html(out)
}

/// A digest, id or code, in full, which may break anywhere.
pub(super) fn code(value: impl ToString) -> Html {
    Html(format!("<code>{}</code>", text(value).0))
}

/// A time, as protocol texts write it; breaks before the hour if it must.
pub(super) fn time(at: Timestamp) -> Html {
    let at = text(at).0;
    let (day, hour) = at.split_at(at.find('T').map_or(0, |i| i + 1));
    Html(format!("<time><span>{day}</span><wbr><span>{hour}</span></time>"))
}

/// The first digits of a digest.
pub(super) fn short(digest: &Digest) -> Html {
    code(digest.short())
}

/// Parts below each other.
pub(super) fn lines(parts: impl IntoIterator<Item = Html>) -> Html {
    let parts: Vec<String> = parts.into_iter().map(|p| p.0).filter(|p| !p.is_empty()).collect();
    Html(parts.join("<br>"))
}

/// Parts after each other.
pub(super) fn join(parts: impl IntoIterator<Item = Html>) -> Html {
    Html(parts.into_iter().map(|p| p.0).collect())
}

/// A literal word that carries weight without colour.
pub(super) fn strong(value: impl ToString) -> Html {
    Html(format!("<strong>{}</strong>", text(value).0))
}

/// A page that grows from top to bottom.
#[derive(Default)]
pub(super) struct Page {
    body: String,
    sections: u32,
    open: bool,
}

impl Page {
    pub(super) fn heading(&mut self, title: &str, below: &Html) {
        self.write(&format!("<header><h1>{}</h1><p class=\"lead\">{}</p></header><main>\n", text(title).0, below.0));
    }

    /// A section with a heading of the second level; `fresh` begins a new sheet.
    pub(super) fn section(&mut self, title: &Html, fresh: bool) {
        self.close();
        self.sections += 1;
        let (n, class) = (self.sections, if fresh { " class=\"fresh\"" } else { "" });
        let title = &title.0;
        self.write(&format!("<section{class} aria-labelledby=\"s{n}\"><h2 id=\"s{n}\">{title}</h2>\n"));
        self.open = true;
    }

    pub(super) fn part(&mut self, title: &str) {
        self.write(&format!("<h3>{}</h3>\n", text(title).0));
    }

    pub(super) fn paragraph(&mut self, html: &Html) {
        self.write(&format!("<p>{}</p>\n", html.0));
    }

    /// A boxed answer in large letters, with what it means.
    pub(super) fn answer(&mut self, word: &str, meaning: &Html) {
        self.write(&format!(
            "<div class=\"answer\"><p class=\"word\">{}</p><p>{}</p></div>\n",
            text(word).0,
            meaning.0
        ));
    }

    /// Names and values, one pair a row.
    pub(super) fn facts(&mut self, label: &str, pairs: &[(&str, Html)]) {
        self.write(&format!("<table class=\"facts\" aria-label=\"{}\"><tbody>\n", text(label).0));
        for (name, value) in pairs.iter().filter(|(_, v)| *v != Html::default()) {
            self.write(&format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", text(name).0, value.0));
        }
        self.write("</tbody></table>\n");
    }

    /// A table; `columns` are heads with their width in percent. Without rows it says so.
    pub(super) fn table(&mut self, caption: &str, columns: &[(&str, u8)], rows: &[Vec<Html>]) {
        self.write(&format!("<table><caption>{}</caption><colgroup>", text(caption).0));
        for (_, width) in columns {
            self.write(&format!("<col style=\"width:{width}%\">"));
        }
        self.write("</colgroup><thead><tr>");
        for (head, _) in columns {
            self.write(&format!("<th scope=\"col\">{}</th>", text(head).0));
        }
        self.write("</tr></thead><tbody>\n");
        for row in rows {
            let cells: String = row.iter().map(|c| format!("<td>{}</td>", c.0)).collect();
            self.write(&format!("<tr>{cells}</tr>\n"));
        }
        if rows.is_empty() {
            self.write(&format!("<tr><td colspan=\"{}\">None.</td></tr>\n", columns.len()));
        }
        self.write("</tbody></table>\n");
    }

    fn write(&mut self, html: &str) {
        // Writing to a string does not fail.
        let _ = self.body.write_str(html);
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.write("</section>\n");
        }
    }

    /// The whole document. `running` stands at the foot of every sheet; hex digits and plain words only.
    pub(super) fn finish(mut self, title: &str, running: &str, footer: &Html) -> String {
        self.close();
        let running: String = running.chars().filter(|c| c.is_ascii_alphanumeric() || " .:,-".contains(*c)).collect();
        let (title, footer, body) = (text(title).0, &footer.0, &self.body);
        let css = CSS.replace("RUNNING", &running);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>{css}</style>\n</head>\n<body>\n{body}</main>\n\
             <footer>{footer}</footer>\n</body>\n</html>\n"
        )
    }
}

/// Black on white; lines, weight and words carry meaning, never colour. The sheet is the printer's own
/// (A4 or Letter); heads of tables repeat, rows and headings stay whole, digests break anywhere.
const CSS: &str = r#"
*{box-sizing:border-box}
html{background:#fff;color:#000}
body{font:11pt/1.45 "Liberation Serif","Times New Roman",Times,serif;max-width:190mm;margin:0 auto;padding:10mm 6mm}
h1{font-size:21pt;line-height:1.15;margin:0 0 2mm;font-weight:700}
.lead{font-size:12pt;margin:0 0 6mm;padding-bottom:4mm;border-bottom:1.5pt solid #000}
h2{font-size:14pt;line-height:1.25;margin:8mm 0 2mm;overflow-wrap:anywhere}
h3{font-size:11.5pt;margin:6mm 0 1.5mm}
p{margin:0 0 3mm;overflow-wrap:anywhere}
code{font:0.87em/1.35 "Liberation Mono","DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
time span{white-space:nowrap}
table{width:100%;border-collapse:collapse;table-layout:fixed;margin:0 0 5mm;font-size:9pt;line-height:1.35}
caption{text-align:left;font-style:italic;padding:0 0 1mm;font-size:9.5pt}
th,td{text-align:left;vertical-align:top;padding:1.2mm 1.6mm;border-bottom:.5pt solid #777;overflow-wrap:anywhere}
th{font-weight:700}
thead th{border-top:1pt solid #000;border-bottom:1pt solid #000}
tbody tr:last-child>td,tbody tr:last-child>th{border-bottom:1pt solid #000}
.facts{font-size:10pt}
.facts code{font-size:.8em}
.facts th{width:30%}
.facts tr:first-child>*{border-top:1pt solid #000}
.answer{border:2.5pt solid #000;padding:4mm 5mm 2mm;margin:0 0 5mm}
.word{font-size:26pt;font-weight:700;line-height:1.1;letter-spacing:.04em;margin:0 0 2mm}
footer{border-top:1pt solid #000;margin-top:8mm;padding-top:2mm;font-size:9pt}
@page{margin:17mm 15mm 19mm;
@bottom-left{content:"RUNNING";font:8pt "Liberation Serif",serif}
@bottom-right{content:"Page " counter(page) " of " counter(pages);font:8pt "Liberation Serif",serif}}
@media print{
body{max-width:none;margin:0;padding:0}
thead{display:table-header-group;break-inside:avoid;break-after:avoid}
tbody tr:first-child{break-before:avoid}
tr,.answer,caption{break-inside:avoid}
h1,h2,h3,caption{break-after:avoid}
p{orphans:3;widows:3}
.fresh{break-before:page}
.fresh>h2{margin-top:0}
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup_or_steers_the_reader() {
        let nasty = "<script>alert(\"1\")</script>&amp;'\u{202e}\u{1b}[2J\n\u{2066}x\u{feff}";
        let Html(out) = text(nasty);
        assert_eq!(
            out,
            "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;&#39;\u{fffd}\u{fffd}[2J\u{fffd}\u{fffd}x\u{fffd}"
        );
        for html in [code(nasty), strong(nasty), lines([text(nasty), code(nasty)])] {
            assert!(!html.0.contains("<script") && !html.0.contains('\u{202e}'), "{}", html.0);
        }
        let mut page = Page::default();
        page.heading(nasty, &text(nasty));
        page.section(&text(nasty), true);
        page.facts(nasty, &[(nasty, text(nasty))]);
        page.table(nasty, &[(nasty, 100)], &[]);
        let out = page.finish(nasty, "a</style><script>", &text(nasty));
        assert!(!out.contains("<script") && out.matches("</style>").count() == 1, "{out}");
        assert!(out.contains("<html lang=\"en\">") && out.contains("<main>") && out.contains("</main>"), "{out}");
    }
}
