//! `escrow completions` and `escrow man`: what shells and manuals read.

use crate::failure::Failure;
use crate::help::{self, examples};
use crate::output::Shown;
use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(before_help = examples![
    "escrow completions bash > ~/.local/share/bash-completion/completions/escrow",
    "escrow completions zsh > ~/.zfunc/_escrow",
])]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(before_help = examples![
    "escrow man --dir ~/.local/share/man/man1",
    "escrow man --dir ./man --output json",
])]
pub struct Man {
    /// Folder to write to; made if need be. Pages of the same names are replaced
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
}

/// `completions`: the script of a shell.
///
/// # Errors
/// [`Failure`], if the script is not text.
pub fn completions(a: &Completions) -> Result<Shown, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(a.shell, &mut help::command(), "escrow", &mut script);
    let script = String::from_utf8(script).map_err(|e| Failure::unexpected(e.to_string()))?;
    let shown = Shown::new("escrow.completions.v1").with("shell", a.shell.to_string());
    Ok(shown.text(script.trim_end()).with("script", script))
}

/// `man`: one page a command.
///
/// # Errors
/// [`Failure`], if the folder cannot be written.
pub fn man(a: &Man) -> Result<Shown, Failure> {
    let cannot = |e: std::io::Error| {
        Failure::usage(format!("cannot write to {}: {e}", a.dir.display())).next("name another folder with --dir")
    };
    std::fs::create_dir_all(&a.dir).map_err(cannot)?;
    let pages = help::pages()?;
    for (name, page) in &pages {
        std::fs::write(a.dir.join(name), page).map_err(cannot)?;
    }
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    Ok(Shown::new("escrow.man.v1")
        .text(format!("{} pages are in {}. Read one: man {}/escrow.1", names.len(), a.dir.display(), a.dir.display()))
        .with("dir", a.dir.display().to_string())
        .with("pages", names))
}
