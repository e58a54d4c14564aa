//! Contexts: which escrow a command speaks to, with which keys and files.
//!
//! A context pins the digest of the genesis charter. Nodes come from the charter, so daily
//! commands need no flags for them.

use crate::failure::{Exit, Failure};
use escrow_core::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// One escrow as this person or device knows it. Paths may be relative to the folder of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Pinned digest of the genesis charter.
    pub genesis: Digest,
    /// The charter chain.
    pub charter: PathBuf,
    /// Key file of whoever acts; not needed to look or verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
    /// The organisation's token key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_key: Option<PathBuf>,
    /// Ids and names of people and threads.
    pub directory: PathBuf,
    /// Deposits that some node has not acknowledged.
    pub outbox: PathBuf,
    /// Keys that wait to be deposited.
    pub key_ring: PathBuf,
    /// Titles of matters with their salts; they never reach a node.
    pub titles: PathBuf,
}

/// `config.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The context that commands use unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// All contexts by name.
    #[serde(default, rename = "context", skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, Context>,
}

/// The folder of `config.toml`: the one asked for, else `$XDG_CONFIG_HOME/escrow`, else `~/.config/escrow`.
///
/// # Errors
/// Usage, if there is no home folder.
pub fn config_dir(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(dir) = asked {
        return std::path::absolute(dir).map_err(Into::into);
    }
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME")
        .or_else(|| set("HOME").map(|h| h.join(".config")))
        .map(|d| d.join("escrow"))
        .ok_or_else(|| Failure::usage("no home folder; name a folder with --config"))
}

impl Config {
    /// Reads `config.toml` of a folder; empty if there is none yet.
    ///
    /// # Errors
    /// Usage, if it is malformed.
    pub fn load(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("config.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(Failure::unexpected(format!("cannot read {}: {e}", path.display()))),
        };
        toml::from_str(&text).map_err(|e| {
            Failure::usage(format!("{} is malformed: {}", path.display(), e.message()))
                .next("mend it, or add the context again")
        })
    }

    /// Replaces `config.toml`, making the folder if needed.
    ///
    /// # Errors
    /// What the disk says.
    pub fn save(&self, dir: &Path) -> Result<(), Failure> {
        make_private_dir(dir)?;
        let text = toml::to_string(self).map_err(|e| Failure::unexpected(e.to_string()))?;
        replace(&dir.join("config.toml"), text.as_bytes())
    }

    /// The context asked for, or the current one, with absolute paths.
    ///
    /// # Errors
    /// Usage, if there is none.
    pub fn context(&self, dir: &Path, asked: Option<&str>) -> Result<(String, Context), Failure> {
        let name = asked.or(self.current.as_deref()).ok_or_else(|| {
            Failure::usage("no context is set up")
                .next("escrow context add NAME --charter FILE --genesis DIGEST --key FILE")
        })?;
        let context = self.contexts.get(name).ok_or_else(|| {
            let known = self.contexts.keys().cloned().collect::<Vec<_>>().join(", ");
            Failure::usage(format!("no context is called {name:?}; known: {known}")).next("escrow context list")
        })?;
        Ok((name.to_owned(), context.under(dir)))
    }
}

impl Context {
    /// A context whose own files lie in `contexts/NAME` below the config folder.
    pub fn at(name: &str, genesis: Digest, identity: Option<PathBuf>, token_key: Option<PathBuf>) -> Self {
        let own = Path::new("contexts").join(name);
        let file = |f: &str| own.join(f);
        Self {
            genesis,
            charter: file("charter.json"),
            identity,
            token_key,
            directory: file("directory.json"),
            outbox: file("outbox.db"),
            key_ring: file("key-ring"),
            titles: file("titles.json"),
        }
    }

    /// Folder of the heads that `audit watch` remembers, beside the charter.
    pub fn heads(&self) -> PathBuf {
        self.charter.with_file_name("heads")
    }

    /// The same with paths made absolute.
    #[must_use]
    pub fn under(&self, dir: &Path) -> Self {
        let at = |p: &PathBuf| dir.join(p);
        Self {
            genesis: self.genesis,
            charter: at(&self.charter),
            identity: self.identity.as_ref().map(at),
            token_key: self.token_key.as_ref().map(at),
            directory: at(&self.directory),
            outbox: at(&self.outbox),
            key_ring: at(&self.key_ring),
            titles: at(&self.titles),
        }
    }
}

/// Makes a folder that only its owner may enter, and its parents.
///
/// # Errors
/// What the disk says.
pub fn make_private_dir(dir: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|e| Failure::unexpected(format!("cannot make {}: {e}", dir.display())))
}

/// Writes a file with mode 0600 in one step.
///
/// # Errors
/// What the disk says.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error).map(drop)
    };
    write().map_err(|e| Failure::new(Exit::Unexpected, "file", format!("cannot write {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_comes_back_and_names_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("cfg");
        assert_eq!(Config::load(&root).unwrap(), Config::default());
        let mut config = Config::default();
        assert_eq!(config.context(&root, None).unwrap_err().exit, Exit::Usage);
        let context = Context::at("acme", Digest([7; 32]), Some("/keys/a".into()), None);
        config.contexts.insert("acme".into(), context);
        config.current = Some("acme".into());
        config.save(&root).unwrap();
        let again = Config::load(&root).unwrap();
        assert_eq!(again, config);
        let (name, found) = again.context(&root, None).unwrap();
        assert_eq!(name, "acme");
        assert_eq!(found.outbox, root.join("contexts/acme/outbox.db"));
        assert_eq!(found.identity.as_deref(), Some(Path::new("/keys/a")));
        assert!(again.context(&root, Some("other")).unwrap_err().reason.contains("acme"));
    }

    #[test]
    fn a_misspelt_member_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), "curent = \"a\"\n").unwrap();
        let f = Config::load(dir.path()).unwrap_err();
        assert!(f.exit == Exit::Usage && f.reason.contains("curent"), "{}", f.reason);
    }
}
