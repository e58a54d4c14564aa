//! docs/policy.md, run as its readers would: files come from the page, commands give what the page
//! says, every Cedar text on it validates, and its tables name every attribute and every finding.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

use escrow_core::charter::Policy;
use escrow_policy::attributes::{ATTRIBUTES, Action, Kind};
use escrow_policy::cases::Table;
use escrow_policy::lint::{Problem, monotone, roles_named};
use std::path::Path;
use std::process::Command;

struct Block {
    language: String,
    file: Option<String>,
    text: String,
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/policy.md");
    std::fs::read_to_string(path).unwrap()
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut out, mut file, mut open): (Vec<Block>, Option<String>, Option<Block>) = (vec![], None, None);
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block { language: language.to_owned(), file: file.take(), text: String::new() });
            }
            (Some(_), Some(_)) => out.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {
                let named = line.strip_prefix("<!-- file: ").and_then(|l| l.strip_suffix(" -->"));
                file = named.map(ToOwned::to_owned).or(file);
            }
        }
    }
    assert!(open.is_none() && file.is_none(), "a block or a file name is left over");
    out
}

/// Commands of a block, each with what it must print.
fn commands(block: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = vec![];
    for line in block.lines() {
        match (line.strip_prefix("$ "), out.last_mut()) {
            (Some(command), _) => out.push((command.to_owned(), String::new())),
            (None, Some((_, printed))) => *printed += &format!("{}\n", line.trim_end()),
            (None, None) => panic!("{line:?} belongs to no command"),
        }
    }
    out
}

fn said(command: &str, dir: &Path) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_escrow")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let out = Command::new("bash").args(["-c", command]).current_dir(dir).env("PATH", path).output().unwrap();
    let mut said = String::from_utf8([out.stdout, out.stderr].concat()).unwrap();
    if let Some(code) = out.status.code().filter(|c| *c != 0) {
        said = format!("? {code}\n{said}");
    }
    said.lines().map(|l| format!("{}\n", l.trim_end())).collect()
}

#[test]
fn the_page_works_as_printed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut texts, mut ran, mut tables) = (0, 0, 0);
    for block in blocks(&page()) {
        if let Some(file) = &block.file {
            std::fs::write(dir.path().join(file), &block.text).unwrap();
        }
        match (block.language.as_str(), block.file.as_deref()) {
            ("cedar", file) => {
                let whole = block.text.contains("permit") || block.text.contains("forbid");
                let head = "permit (principal, action == Escrow::Action::\"release\", resource)";
                let text = if whole { block.text } else { format!("{head} when {{ {} }};", block.text) };
                let policy = Policy { id: "page".parse().unwrap(), schema: 1, text };
                let roles = roles_named(&policy);
                escrow_policy::cedar::validate(&policy, &roles).unwrap_or_else(|e| panic!("{}: {e}", policy.text));
                assert_eq!(monotone(&policy, &roles).is_err(), file == Some("hurts.cedar"), "{}", policy.text);
                texts += 1;
            }
            ("toml", Some(_)) => _ = Table::parse(&block.text).unwrap(),
            ("toml", None) => {
                // As in a charter draft.
                let draft: toml::Table = block.text.parse().unwrap();
                for p in draft["policies"].as_array().unwrap() {
                    let _: escrow_cli::draft::DraftPolicy = p.clone().try_into().unwrap();
                    let ready = p.get("ready").and_then(|r| r.as_str());
                    assert!(ready.is_none_or(|r| escrow_policy::ready::find(r).is_some()), "{p}");
                }
                tables += 1;
            }
            ("console", _) => {
                for (command, expected) in commands(&block.text) {
                    assert_eq!(said(&command, dir.path()), expected, "$ {command}");
                    ran += 1;
                }
            }
            (other, _) => panic!("nothing runs a block of {other:?}"),
        }
    }
    assert_eq!((texts, tables, ran), (5, 2, 9), "Cedar texts, drafts and commands on the page");
}

/// First cells of the rows of the table that begins with this heading.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let after = page.split(heading).nth(1).unwrap();
    let table = after.lines().skip(2).take_while(|l| l.starts_with('|'));
    table.map(|l| l.split('|').skip(1).map(|c| c.trim().to_owned()).collect()).collect()
}

#[test]
fn the_tables_of_the_page_are_complete() {
    let page = page();
    let listed = rows(&page, "| `context.` | in | what it is |");
    for (attribute, row) in ATTRIBUTES.iter().zip(&listed) {
        let mark = |action, letter| if attribute.actions.contains(&action) { letter } else { "" };
        let marks = format!("{} {}", mark(Action::Release, "R"), mark(Action::Recover, "S"));
        assert_eq!((row[0].trim_matches('`'), row[1].as_str()), (attribute.name, marks.trim()), "in this order");
        let counter = matches!(attribute.kind, Kind::Counter | Kind::CounterPerRole);
        assert_eq!(row[2].starts_with("counter: "), counter, "{row:?}");
        if let Kind::Word(words) = attribute.kind {
            assert!(words.iter().all(|w| row[2].contains(&format!("`\"{w}\"`"))), "{row:?} names {words:?}");
        }
    }
    assert_eq!(listed.len(), ATTRIBUTES.len());
    let findings = rows(&page, "| code | what it says |");
    let expected: Vec<_> = Problem::ALL.iter().map(|p| (p.code().to_owned(), p.severity().name())).collect();
    let found: Vec<_> =
        findings.iter().map(|r| (r[0].trim_matches('`').to_owned(), r[1].split(':').next().unwrap())).collect();
    assert_eq!(found, expected);
}
