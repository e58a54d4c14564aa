//! Help of every command: what it does, then examples, then usage. Also as completions and manual pages.

use crate::args::Cli;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io;

/// The examples of a command, for `before_help`: one a line.
macro_rules! examples {
    ($($example:literal),+ $(,)?) => { concat!("Examples:", $("\n  ", $example),+) };
}
pub(crate) use examples;

const HEAD: &str = "Examples:";
const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The command line, with examples in front of the usage of every command. A command that only has commands below
/// it shows the first examples of those.
pub fn command() -> Command {
    dressed(Cli::command())
}

fn dressed(command: Command) -> Command {
    let command = command.help_template(TEMPLATE).mut_subcommands(dressed);
    if command.get_before_help().is_some() {
        return command;
    }
    let below: Vec<Vec<String>> = command.get_subcommands().map(examples_of).collect();
    let (first, rest) = (below.iter().filter_map(|e| e.first()), below.iter().flat_map(|e| e.iter().skip(1)));
    let some: Vec<String> = first.chain(rest).take(2).map(|e| format!("\n  {e}")).collect();
    if some.is_empty() { command } else { command.before_help(format!("{HEAD}{}", some.concat())) }
}

/// The examples of a command, as somebody would type them.
pub fn examples_of(command: &Command) -> Vec<String> {
    let text = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    let mut out: Vec<String> = Vec::new();
    for line in text.lines().skip_while(|l| *l != HEAD).skip(1) {
        match (line.strip_prefix("    "), out.last_mut()) {
            // A line that is indented further goes on with the one before.
            (Some(_), Some(example)) => example.extend(["\n", line]),
            _ => out.push(line.trim_start().to_owned()),
        }
    }
    out
}

/// Every command that does something, with its words after `escrow`.
pub fn leaves(command: &Command) -> Vec<(Vec<String>, &Command)> {
    let below = command.get_subcommands().flat_map(|c| {
        leaves(c).into_iter().map(|(mut path, leaf)| {
            path.insert(0, c.get_name().to_owned());
            (path, leaf)
        })
    });
    let below: Vec<_> = below.collect();
    if below.is_empty() { vec![(vec![], command)] } else { below }
}

/// The manual pages: file name and roff text, one for each command.
///
/// # Errors
/// None that memory does not give.
pub fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = command().disable_help_subcommand(true);
    root.build();
    let mut out = Vec::new();
    add_pages(&root, &mut out)?;
    Ok(out)
}

fn add_pages(command: &Command, out: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let man = Man::new(command.clone()).manual("escrow").source(concat!("escrow ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    examples_section(command).to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    if command.get_after_help().is_some() {
        man.render_extra_section(&mut page)?;
    }
    out.push((man.get_filename(), page));
    command.get_subcommands().try_for_each(|c| add_pages(c, out))
}

fn examples_section(command: &Command) -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXAMPLES"]);
    for example in examples_of(command) {
        section.control("PP", []).control("EX", []);
        for line in example.lines() {
            section.text([roman(line)]);
        }
        section.control("EE", []);
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const DIGEST: &str = "3f1c90aa3f1c90aa3f1c90aa3f1c90aa3f1c90aa3f1c90aa3f1c90aa3f1c90aa";

    /// The words of the part of an example that runs `escrow`, as a shell would hand them over.
    fn words(example: &str) -> Vec<String> {
        let set = example.replace("$GENESIS", DIGEST).replace("$HASH", DIGEST).replace("\\\n", "");
        let all = shlex::split(&set).unwrap_or_else(|| panic!("no shell reads {example:?}"));
        let ours = all.split(|w| w == "|").find(|part| part.first().is_some_and(|w| w == "escrow"));
        let ours = ours.unwrap_or_else(|| panic!("{example:?} does not run escrow"));
        ours.iter().take_while(|w| *w != ">").cloned().collect()
    }

    #[test]
    fn every_command_has_two_examples_and_each_is_one_that_runs() {
        let root = command();
        let all = leaves(&root);
        assert!(all.len() > 30, "the walk over the commands ends early");
        for (path, leaf) in all {
            let examples = examples_of(leaf);
            assert!(examples.len() >= 2, "{path:?} has {} examples", examples.len());
            assert_eq!(examples.iter().collect::<BTreeSet<_>>().len(), examples.len(), "{path:?} repeats one");
            let mut own = 0;
            for example in &examples {
                let words = words(example);
                command().try_get_matches_from(&words).unwrap_or_else(|e| panic!("{example:?} does not parse: {e}"));
                own += usize::from(words.get(1..=path.len()).is_some_and(|w| w == path));
                assert!(example.lines().all(|l| l.len() <= 96), "{example:?} does not fit on a line");
            }
            assert!(own >= 1, "no example of {path:?} runs it");
        }
    }

    #[test]
    fn an_example_that_no_parser_takes_is_noticed() {
        for bad in ["escrow approve", "escrow node status --outptu json", "escrow verify x --charter-digest 3f1c"] {
            assert!(command().try_get_matches_from(words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn examples_stand_before_the_usage() {
        for path in [&["escrow"][..], &["escrow", "keygen"], &["escrow", "approve"]] {
            let words = path.iter().copied().chain(["--help"]);
            let text = command().try_get_matches_from(words).unwrap_err().to_string();
            let (examples, usage) = (text.find(HEAD).unwrap(), text.find("Usage:").unwrap());
            assert!(examples < usage, "{text}");
        }
    }

    #[test]
    fn every_command_has_a_manual_page_that_names_its_examples() {
        let pages = pages().unwrap();
        let root = command();
        for (path, leaf) in leaves(&root) {
            let name = format!("escrow-{}.1", path.join("-"));
            let page = pages.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no page {name}"));
            let text = String::from_utf8(page.1.clone()).unwrap().replace('\\', "");
            assert!(text.contains(".SH EXAMPLES") && text.contains(".SH NAME"), "{name}");
            for example in examples_of(leaf) {
                let first = example.lines().next().unwrap().trim_end_matches('\\').trim_end();
                assert!(text.contains(first), "{name} lacks {first:?}:\n{text}");
            }
        }
        assert!(pages.iter().any(|(name, _)| name == "escrow.1"));
    }
}
