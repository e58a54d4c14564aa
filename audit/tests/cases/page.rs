//! docs/audit-cases.md lists every case, and every test that it names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One row: the numbers of the case, and the cell that says where the test is.
fn rows(page: &str) -> Vec<(u32, String)> {
    let cells = page.lines().filter_map(|l| l.strip_prefix("| ")).map(|l| l.trim_end_matches(" |").split(" | "));
    let rows = cells.filter_map(|mut cells| {
        let number = cells.next()?.trim().parse().ok()?;
        Some((number, cells.nth(1)?.to_owned()))
    });
    rows.collect()
}

/// `path::name` in back quotes.
fn tests(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.rsplit_once("::"))
        .filter(|(path, _)| path.ends_with(".rs"))
}

/// Whether a function of this name stands below `#[test]`, with other attributes between them or not.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let at = lines.iter().position(|l| {
        let l = l.strip_prefix("async ").unwrap_or(l);
        l.strip_prefix("fn ").is_some_and(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')))
    });
    let above = at.into_iter().flat_map(|at| lines[..at].iter().rev());
    above
        .take_while(|l| l.starts_with("#[") || l.starts_with("//"))
        .any(|l| l.starts_with("#[test]") || l.starts_with("#[tokio::test"))
}

/// Cases of the node whose tests are not there yet; a row for one of these means that it must go from here.
const TO_COME: &[u32] = &[31];

#[test]
fn every_case_has_a_row_and_every_named_test_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/audit-cases.md")).unwrap();
    let rows = rows(&page);
    let numbers: Vec<u32> = rows.iter().map(|(n, _)| *n).collect();
    let expected: Vec<u32> = (1..=80).filter(|n| !TO_COME.contains(n)).collect();
    assert_eq!(numbers, expected, "each case once, in order");
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for (number, cell) in &rows {
        let mut any = false;
        for (path, name) in tests(cell) {
            any = true;
            let source = sources.entry(path).or_insert_with(|| {
                std::fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("case {number}: {path}: {e}"))
            });
            let found = is_test(source, name);
            assert!(found, "case {number}: {path} has no test {name}");
            named.insert(name);
        }
        // A whole program, which is its own test.
        let programs = cell.split('`').skip(1).step_by(2).filter(|code| code.ends_with(".rs"));
        for path in programs {
            any = true;
            assert!(root.join(path).is_file(), "case {number}: there is no {path}");
        }
        assert!(any || cell.starts_with("does not apply: "), "case {number} names neither a test nor a reason: {cell}");
    }
    // And the other way: every test of that name is on the page.
    for file in ["log_bytes", "truncation_fork", "checkpoints_keys", "statements_policy", "privacy_bundle"] {
        let path = root.join("audit/tests/cases").join(format!("{file}.rs"));
        let source = std::fs::read_to_string(path).unwrap();
        for name in source.split("fn case_").skip(1).filter_map(|s| s.split('(').next()) {
            let name = format!("case_{name}");
            assert!(named.contains(name.as_str()), "{file}.rs: {name} is not on the page");
        }
    }
}
