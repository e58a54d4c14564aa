//! What commands print: tables for people, JSON for machines. Data on standard output,
//! everything else on standard error.

use crate::context::{make_private_dir, replace};
use crate::failure::Exit;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
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
    /// The same on one line; of lists one object a line, each with a schema member
    Jsonl,
}

/// What a command has to show.
#[derive(Debug)]
#[must_use]
pub struct Shown {
    schema: &'static str,
    /// In a box, so that a result is small enough to be the error of a function too.
    json: Box<Map<String, Value>>,
    lists: Vec<&'static str>,
    receipts: Vec<(String, Vec<u8>)>,
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
        Self { schema, json: Box::default(), lists: vec![], receipts: vec![], blocks: vec![], exit: Exit::Ok }
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

    /// Says that a member is what the result is a list of: an array, or an object by name. JSON Lines are its rows.
    pub fn list_of(mut self, name: &'static str) -> Self {
        self.lists.push(name);
        self
    }

    /// A node's signed receipt, as `verify --receipt` takes it, to be written where `--receipts` says.
    pub fn receipt(mut self, file: String, answer: Vec<u8>) -> Self {
        self.receipts.push((file, answer));
        self
    }

    /// Writes the receipts into a folder, each in a file of its own, mode 0600.
    ///
    /// What the nodes logged stays logged, so a disk that is full changes the exit code and not the result.
    pub fn write_receipts(self, dir: &Path) -> Self {
        if self.receipts.is_empty() {
            return self.text("No node gave a receipt, so none is kept.");
        }
        let write = || {
            make_private_dir(dir)?;
            self.receipts.iter().try_for_each(|(file, answer)| replace(&dir.join(file), answer))
        };
        if let Err(failure) = write() {
            let exit = if self.exit == Exit::Ok { Exit::Unexpected } else { self.exit };
            return self.text(format!("The receipts are not kept: {}", failure.reason)).exit(exit);
        }
        let text = format!("{} receipts are in {}, for `escrow verify --receipt`.", self.receipts.len(), dir.display());
        let files = self.receipts.iter().map(|(f, _)| dir.join(f).display().to_string()).collect::<Vec<_>>();
        self.text(text).with("receipt_files", files)
    }

    /// Another exit code than 0.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The JSON object.
    pub fn json(&self) -> Value {
        let mut all = Map::from_iter([("schema".to_owned(), Value::from(self.schema))]);
        all.extend(self.json.as_ref().clone());
        Value::Object(all)
    }

    /// The JSON objects of which each stands on a line: the rows of a list, else the one object.
    pub fn lines(&self) -> Vec<Value> {
        let row = |name: Option<&str>, value: &Value| {
            let mut all = match value {
                Value::Object(members) => members.clone(),
                other => Map::from_iter([("value".to_owned(), other.clone())]),
            };
            all.entry("schema").or_insert_with(|| row_schema(self.schema).into());
            if let Some(name) = name {
                all.entry("name").or_insert_with(|| name.into());
            }
            Value::Object(all)
        };
        if self.lists.is_empty() {
            return vec![self.json()];
        }
        let mut lines = Vec::new();
        for list in self.lists.iter().filter_map(|name| self.json.get(*name)) {
            match list {
                Value::Array(rows) => lines.extend(rows.iter().map(|v| row(None, v))),
                Value::Object(rows) => lines.extend(rows.iter().map(|(name, v)| row(Some(name), v))),
                _ => {}
            }
        }
        lines
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
            Format::Jsonl => self.lines().iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
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

/// `escrow.x.row.v1` for the rows of `escrow.x.v1`.
fn row_schema(schema: &str) -> String {
    let (name, version) = schema.rsplit_once('.').unwrap_or((schema, "v1"));
    format!("{name}.row.{version}")
}

/// True if colours may be used on a stream: it is a terminal, and <https://no-color.org> does not forbid them.
pub fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
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
        assert_eq!(shown.lines(), [shown.json()]);
    }

    #[test]
    fn a_list_is_one_object_a_line_each_with_its_schema() {
        use serde_json::json;
        let of =
            |rows: Value| Shown::new("escrow.test.list.v1").with("n", 1).list_of("rows").with("rows", rows).lines();
        assert_eq!(of(json!([])), Vec::<Value>::new());
        let schema = "escrow.test.list.row.v1";
        assert_eq!(
            of(json!([{"a": 1}, {"a": 2}, "x"])),
            [
                json!({"schema": schema, "a": 1}),
                json!({"schema": schema, "a": 2}),
                json!({"schema": schema, "value": "x"})
            ]
        );
        assert_eq!(of(json!({"acme": {"a": 1}})), [json!({"schema": schema, "name": "acme", "a": 1})]);
    }

    #[test]
    fn receipts_are_written_one_file_a_node() {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("receipts");
        let shown = Shown::new("escrow.test.v1").receipt("a-node1.json".into(), b"{}".to_vec());
        let shown = shown.write_receipts(&into);
        assert_eq!(std::fs::read(into.join("a-node1.json")).unwrap(), b"{}");
        assert!(shown.human(false).contains("verify --receipt"));
        assert!(Shown::new("escrow.test.v1").write_receipts(&into).human(false).contains("No node"));
        let nowhere = Shown::new("escrow.test.v1").receipt("a.json".into(), vec![]);
        let shown = nowhere.write_receipts(&into.join("a-node1.json"));
        assert_eq!(shown.exit, Exit::Unexpected, "{}", shown.human(false));
    }
}
