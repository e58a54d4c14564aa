//! What commands print: tables for people, JSON for machines. Data on standard output,
//! everything else on standard error.

use crate::failure::Exit;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use tabled::builder::Builder;
use tabled::settings::Style;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Tables and sentences
    #[default]
    Table,
    /// One JSON object with a schema member
    Json,
}

/// What a command has to show.
#[derive(Debug)]
#[must_use]
pub struct Shown {
    schema: &'static str,
    json: Map<String, Value>,
    blocks: Vec<Block>,
    /// The exit code; not always 0, as a result can be partial.
    pub exit: Exit,
}

#[derive(Debug)]
enum Block {
    Text(String),
    Table(Vec<String>, Vec<Vec<String>>),
}

impl Shown {
    /// Nothing yet; `schema` names the JSON object.
    pub fn new(schema: &'static str) -> Self {
        Self { schema, json: Map::new(), blocks: vec![], exit: Exit::Ok }
    }

    /// A sentence for people.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Text(text.into()));
        self
    }

    /// A table for people.
    pub fn table(mut self, head: &[&str], rows: Vec<Vec<String>>) -> Self {
        self.blocks.push(Block::Table(head.iter().map(|h| (*h).to_owned()).collect(), rows));
        self
    }

    /// A member for machines.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.json.insert(name.to_owned(), value.into());
        self
    }

    /// A member for machines, anything that serialises.
    pub fn data<T: serde::Serialize>(self, name: &str, value: &T) -> Self {
        self.with(name, serde_json::to_value(value).unwrap_or(Value::Null))
    }

    /// Another exit code than 0.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The JSON object.
    pub fn json(&self) -> Value {
        let mut all = Map::from_iter([("schema".to_owned(), Value::from(self.schema))]);
        all.extend(self.json.clone());
        Value::Object(all)
    }

    /// The text for people; ruled tables only on a terminal.
    pub fn human(&self, terminal: bool) -> String {
        let blocks: Vec<String> = self.blocks.iter().map(|b| block(b, terminal)).filter(|b| !b.is_empty()).collect();
        blocks.join("\n")
    }

    /// Prints it.
    ///
    /// # Errors
    /// What standard output says; a closed pipe is no error.
    pub fn print(&self, format: Format) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let text = match format {
            Format::Json => serde_json::to_string_pretty(&self.json())?,
            Format::Table => self.human(out.is_terminal()),
        };
        if text.is_empty() {
            return Ok(());
        }
        match writeln!(out, "{text}") {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

fn block(b: &Block, terminal: bool) -> String {
    match b {
        Block::Text(t) => t.clone(),
        Block::Table(_, rows) if rows.is_empty() => "(none)".into(),
        Block::Table(head, rows) => {
            let mut builder = Builder::default();
            builder.push_record(head.iter().map(|h| clean(h)));
            for row in rows {
                builder.push_record(row.iter().map(|c| clean(c)));
            }
            let mut table = builder.build();
            if terminal {
                table.with(Style::sharp());
            } else {
                table.with(Style::blank());
            }
            table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
        }
    }
}

/// What nodes and other people wrote may not steer the terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A line for people on standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", clean(text));
}

/// A progress bar on standard error, only on a terminal.
pub fn progress(what: &'static str) -> Arc<dyn Fn(u64, u64) + Send + Sync> {
    if !io::stderr().is_terminal() {
        return Arc::new(|_, _| {});
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(what);
    Arc::new(move |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        if done == total {
            bar.finish_and_clear();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_machines_see_the_same() {
        let shown = Shown::new("escrow.test.v1")
            .text("one")
            .table(&["a", "b"], vec![vec!["1".into(), "x\u{1b}[2Jy".into()]])
            .with("n", 1);
        let plain = shown.human(false);
        assert!(plain.starts_with("one\n") && !plain.contains('\u{1b}') && !plain.contains('│'), "{plain}");
        assert!(shown.human(true).contains('│'));
        assert_eq!(shown.json(), serde_json::json!({"schema": "escrow.test.v1", "n": 1}));
    }
}
