//! `escrow archive`: sealing messages on a device, opening released ones as the recipient, looking
//! after the files as their keeper.

mod open;
mod seal;
mod verify;

use crate::failure::Failure;
use crate::help::examples;
use crate::output::{Format, Shown};
use crate::session::{Global, Session};
use clap::Subcommand;
use std::fs::File;
use std::path::Path;

/// What to do with archives.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Seal messages (JSON Lines, plain or gzip), one key a thread and day
    #[command(before_help = examples![
        "escrow archive seal messages.jsonl.gz --dir archive --outside +15550100",
        "escrow archive seal messages.jsonl --dir archive --members members.txt --attachments media",
    ],
        after_help = "A line that breaks the format (docs/messages.md) stops it, and nothing is sealed; `archive import` goes on.")]
    Seal(seal::Seal),
    /// Seal what can be sealed of another program's messages, and list the rest
    #[command(before_help = examples![
        "escrow archive import old.jsonl --dir archive --rejects rejects.jsonl",
        "escrow archive import old.jsonl.gz --dir archive --rejects rejects.jsonl --output json",
    ])]
    Import(seal::Import),
    /// Open what was released to you; keys exist in memory only
    #[command(before_help = examples![
        "escrow archive open replies.json --archive archive --out messages.jsonl",
        "escrow archive open replies.json --archive archive | less",
    ])]
    Open(open::Open),
    /// See without keys whether an archive's folder is whole
    #[command(before_help = examples![
        "escrow archive verify archive",
        "escrow archive verify archive --output json",
    ],
        after_help = "Exit code 0: whole. 6: altered, malformed or stray files. 8: nothing but missing files.")]
    Verify(verify::Verify),
}

/// Runs `archive`.
///
/// # Errors
/// [`Failure`].
pub fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    match command {
        Command::Seal(a) => seal::seal(&Session::open(global)?, &a.source, None),
        Command::Import(a) => seal::seal(&Session::open(global)?, &a.source, Some(&a.rejects)),
        Command::Open(a) if a.out.as_os_str() == "-" && global.output != Format::Table => {
            Err(Failure::usage("standard output holds the messages; name a file with --out to get JSON there"))
        }
        Command::Open(a) => open::open(&Session::open(global)?, a),
        Command::Verify(a) => verify::verify(a),
    }
}

fn new_file(path: &Path) -> Result<File, Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|e| Failure::usage(format!("cannot create {}: {e}", path.display())))
}

fn new_folder(path: &Path) -> Result<(), Failure> {
    let mut folder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(path).map_err(|e| Failure::usage(format!("cannot create {}: {e}", path.display())))
}
