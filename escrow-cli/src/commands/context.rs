//! `escrow context`: which escrow, pinned by the digest of its genesis charter.

use crate::context::{Config, Context, config_dir, make_private_dir};
use crate::failure::Failure;
use crate::help::examples;
use crate::output::Shown;
use crate::session::{Global, warn_demo};
use clap::{Args, Subcommand};
use escrow_client::Charters;
use escrow_core::Digest;
use std::path::{Path, PathBuf};

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up a context; the first one becomes the current one
    #[command(before_help = examples![
        "escrow context add acme --charter charter.json --genesis $GENESIS --key legal-1.key",
        "escrow context add acme --replace --charter charter.json --genesis $GENESIS \\\n      --key new.key",
    ])]
    Add(Add),
    /// Make a context the current one
    #[command(before_help = examples![
        "escrow context use acme",
        "escrow context use acme-test",
    ])]
    Use {
        /// Its name
        name: String,
    },
    /// List contexts
    #[command(before_help = examples![
        "escrow context list",
        "escrow context list --output jsonl",
    ])]
    List,
}

/// Arguments of `context add`.
#[derive(Debug, Args)]
pub struct Add {
    /// A short name
    pub name: String,
    /// The charter, as its administrators signed it
    #[arg(long, value_name = "FILE")]
    pub charter: PathBuf,
    /// Digest of the genesis charter, from somebody you trust and not from this file
    #[arg(long, value_name = "DIGEST")]
    pub genesis: Digest,
    /// Key file of whoever acts here
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The organisation's token key
    #[arg(long, value_name = "FILE")]
    pub token_key: Option<PathBuf>,
    /// The directory file, if several contexts share one
    #[arg(long, value_name = "FILE")]
    pub directory: Option<PathBuf>,
    /// Replace a context of this name
    #[arg(long)]
    pub replace: bool,
}

/// Runs `context`.
///
/// # Errors
/// [`Failure`].
pub fn run(global: &Global, command: &Command) -> Result<Shown, Failure> {
    let dir = config_dir(global.config.as_deref())?;
    match command {
        Command::Add(a) => add(global, &dir, a),
        Command::Use { name } => {
            let mut config = Config::load(&dir)?;
            config.context(&dir, Some(name))?;
            config.current = Some(name.clone());
            config.save(&dir)?;
            Ok(Shown::new("escrow.context.v1")
                .text(format!("Commands now use context {name}."))
                .with("current", name.as_str()))
        }
        Command::List => list(&dir),
    }
}

/// Adds a context: verifies charter and keys first, then writes.
///
/// # Errors
/// [`Failure`].
pub fn add(global: &Global, dir: &Path, a: &Add) -> Result<Shown, Failure> {
    let plain = a.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) && !a.name.starts_with('.');
    if !plain || a.name.is_empty() {
        return Err(Failure::usage("a context's name is letters, digits, - _ and ."));
    }
    let mut config = Config::load(dir)?;
    if config.contexts.contains_key(&a.name) && !a.replace {
        return Err(Failure::usage(format!("context {} exists", a.name)).next("add --replace to change it"));
    }
    let charters = Charters::load(&a.charter, a.genesis)?;
    warn_demo(&charters);
    let absolute = |p: &PathBuf| std::path::absolute(p);
    let identity = a.key.as_ref().map(absolute).transpose()?;
    let who = identity.as_deref().map(|file| global.identity(file)).transpose()?;
    let token_key = a.token_key.as_ref().map(absolute).transpose()?;
    if let Some(path) = &token_key {
        global.token_key(path)?;
    }
    let mut context = Context::at(&a.name, a.genesis, identity, token_key);
    if let Some(directory) = &a.directory {
        context.directory = absolute(directory)?;
    }
    let files = context.under(dir);
    if let Some(own) = files.charter.parent() {
        make_private_dir(own)?;
    }
    charters.save(&files.charter)?;
    config.contexts.insert(a.name.clone(), context);
    if config.current.is_none() {
        config.current = Some(a.name.clone());
    }
    let current = config.current.as_deref() == Some(a.name.as_str());
    config.save(dir)?;
    let charter = charters.current();
    let g = charters.generation();
    let mut text = format!(
        "Context {}: {}, charter version {}, {} of {} nodes.",
        a.name,
        charter.org,
        charter.version,
        g.t,
        g.n()
    );
    if let Some(who) = &who {
        text.push_str(&format!("\nYou act as {who}."));
    }
    if !current {
        text.push_str(&format!("\nTo use it: escrow context use {}", a.name));
    }
    Ok(Shown::new("escrow.context.v1").text(text).with("name", a.name.as_str()).with("current", current))
}

fn list(dir: &Path) -> Result<Shown, Failure> {
    let config = Config::load(dir)?;
    let rows = config.contexts.iter().map(|(name, c)| {
        let mark = if config.current.as_deref() == Some(name) { "*" } else { "" };
        let key = c.identity.as_ref().map_or_else(String::new, |p| p.display().to_string());
        vec![mark.to_owned(), name.clone(), c.genesis.short(), key]
    });
    Ok(Shown::new("escrow.context.list.v1")
        .table(&["", "name", "genesis", "key"], rows.collect())
        .data("current", &config.current)
        .list_of("contexts")
        .data("contexts", &config.contexts))
}
