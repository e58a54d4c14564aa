//! The policies that come with the program: each answers its table of cases as the table says,
//! each table notices when any part of its policy is missing, and lint has nothing to say.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test that panics has failed

use escrow_core::charter::Policy;
use escrow_policy::cases::{Answer, Table};
use escrow_policy::lint::{lint, monotone, roles_named};
use escrow_policy::ready::{READY, Ready, find};

fn failures(r: &Ready, policy: &Policy) -> Vec<String> {
    let results = Table::parse(r.cases).unwrap().run(policy).unwrap();
    results.into_iter().filter(|c| !c.passed).map(|c| format!("{c:?}")).collect()
}

#[test]
fn every_ready_policy_answers_its_cases() {
    assert_eq!(READY.len(), 4);
    for r in READY {
        let policy = r.policy().unwrap();
        let table = Table::parse(r.cases).unwrap();
        assert_eq!(table.policy(), Some(&policy.id));
        let failed = failures(r, &policy);
        assert!(failed.is_empty(), "{}: {failed:#?}", r.id);
        let results = table.run(&policy).unwrap();
        assert_eq!(results.len(), table.len());
        for answer in [Answer::Allow, Answer::Pending, Answer::Deny] {
            // Nothing but counters stands in the way of a self-recovery.
            let occurs = results.iter().any(|c| c.found == answer);
            assert_eq!(occurs, r.id != "self-recovery" || answer != Answer::Deny, "{}: {answer:?}", r.id);
        }
        assert_eq!(find(r.id).unwrap().text, r.text);
    }
    assert!(find("no-such-policy").is_none());
}

/// Each comparison and flag of a text, by where it stands.
fn atoms(text: &str) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split("//").next().unwrap().trim_end();
        if code.contains("context.") {
            let start = code.find('{').map_or(0, |b| b + 1);
            let end = code.rfind('}').filter(|e| *e > start).unwrap_or(code.len());
            let inner = code[start..end].trim_end_matches(" &&").trim_end_matches(" ||");
            let trimmed = inner.trim();
            let at = from + start + inner.find(trimmed).unwrap();
            out.push((at, at + trimmed.len()));
        }
        from += line.len();
    }
    out
}

#[test]
fn a_table_notices_every_part_of_its_policy() {
    // What the hard floor demands whatever the text says; no case can tell the difference.
    let floor = ["context.depositor_consent == \"live\"", "context.approvers >= 2"];
    let mut seen = 0;
    for r in READY {
        for (from, to) in atoms(r.text) {
            for instead in ["true", "false"] {
                let atom = &r.text[from..to];
                if instead == "true" && floor.contains(&atom) {
                    continue;
                }
                let mut policy = r.policy().unwrap();
                policy.text.replace_range(from..to, instead);
                assert!(!failures(r, &policy).is_empty(), "{}: {atom} taken as {instead} and no case fails", r.id);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 67, "parts of the four texts");
}

#[test]
fn lint_has_nothing_to_say_about_them() {
    for r in READY {
        let policy = r.policy().unwrap();
        assert_eq!(lint(std::slice::from_ref(&policy), None), [], "{}", r.id);
        monotone(&policy, &roles_named(&policy)).unwrap();
    }
}
