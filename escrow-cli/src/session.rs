//! What a command works with: the context's charter, keys, directory and client.

use crate::context::{Config, Context, config_dir};
use crate::failure::{Exit, Failure};
use crate::output::note;
use crate::passphrase::Passphrases;
use escrow_client::archive::Directory;
use escrow_client::{Charters, Client, Identity, Outbox, load_token_key_with};
use escrow_core::sealing::SealingSecret;
use escrow_core::{Digest, Org, Token, TokenKey};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Flags that every command takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Global {
    /// Folder of config.toml
    #[arg(
        long,
        global = true,
        help_heading = "Every command",
        value_name = "DIR",
        env = "ESCROW_CONFIG_DIR",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Context to use instead of the current one
    #[arg(
        long,
        global = true,
        help_heading = "Every command",
        value_name = "NAME",
        env = "ESCROW_CONTEXT",
        hide_env_values = true
    )]
    pub context: Option<String>,
    /// How to print results
    #[arg(long, global = true, help_heading = "Every command", value_enum, default_value_t, value_name = "FORMAT")]
    pub output: crate::output::Format,
    /// Keep the nodes' signed receipts in this folder, one file a node, for `verify --receipt`
    #[arg(long, global = true, help_heading = "Every command", value_name = "DIR")]
    pub receipts: Option<PathBuf>,
    /// For encrypted key files.
    #[command(flatten)]
    pub passphrases: Passphrases,
}

impl Global {
    /// Reads a key file, with its passphrase if it needs one.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn identity(&self, file: &Path) -> Result<Identity, Failure> {
        Ok(Identity::load_with(file, &|path| self.passphrases.of(path))?)
    }

    /// Reads a token key file, with its passphrase if it needs one.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn token_key(&self, file: &Path) -> Result<TokenKey, Failure> {
        Ok(load_token_key_with(file, &|path| self.passphrases.of(path))?)
    }
}

/// An opened context.
#[derive(Debug)]
pub struct Session {
    /// Name of the context.
    pub name: String,
    /// Its files.
    pub context: Context,
    /// The verified chain.
    pub charters: Charters,
    global: Global,
}

impl Session {
    /// Opens the context asked for and verifies its charter chain.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn open(global: &Global) -> Result<Self, Failure> {
        let dir = config_dir(global.config.as_deref())?;
        let (name, context) = Config::load(&dir)?.context(&dir, global.context.as_deref())?;
        Ok(Self { global: global.clone(), ..Self::of(name, context)? })
    }

    /// Opens a context that somebody put together, as the demo does.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn of(name: String, context: Context) -> Result<Self, Failure> {
        let charters = Charters::load(&context.charter, context.genesis)?;
        warn_demo(&charters);
        Ok(Self { name, context, charters, global: Global::default() })
    }

    /// The organisation.
    pub fn org(&self) -> &Org {
        &self.charters.current().org
    }

    /// True if the nodes' receipts are to be kept as files.
    pub const fn keeps_receipts(&self) -> bool {
        self.global.receipts.is_some()
    }

    /// Whoever acts.
    ///
    /// # Errors
    /// Exit code 4 without a usable key.
    pub fn identity(&self) -> Result<Arc<Identity>, Failure> {
        let path = self.context.identity.as_deref().ok_or_else(|| {
            Failure::new(Exit::Key, "key-missing", format!("context {:?} names no key file", self.name))
                .next(format!("escrow context add {} --replace --key FILE ...", self.name))
        })?;
        Ok(Arc::new(self.global.identity(path)?))
    }

    /// A client acting as the context's identity, its charter chain as new as t nodes say.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn client(&self) -> Result<Client, Failure> {
        let identity = self.identity()?;
        // Before the network: without its key nothing below could be signed.
        identity.can_sign()?;
        let mut client = Client::new(self.charters.clone(), identity)?;
        let refreshed = client.refresh().await?;
        if refreshed.adopted > 0 {
            client.charters().save(&self.context.charter)?;
            note(&format!("took over charter version {}", client.charters().current().version));
        }
        if let Some(waiting) = refreshed.waiting {
            note(&format!("charter {} is signed and waits for the operators to accept it", waiting.short()));
        }
        Ok(client)
    }

    /// The organisation's token key.
    ///
    /// # Errors
    /// Exit code 4 without one.
    pub fn token_key(&self) -> Result<TokenKey, Failure> {
        let path = self.context.token_key.as_deref().ok_or_else(|| {
            Failure::new(Exit::Key, "key-missing", format!("context {:?} names no token key", self.name))
                .next(format!("escrow context add {} --replace --token-key FILE ...", self.name))
        })?;
        self.global.token_key(path)
    }

    /// The local directory.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn directory(&self) -> Result<Directory, Failure> {
        Ok(Directory::load(&self.context.directory, self.org())?)
    }

    /// The outbox.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn outbox(&self) -> Result<Arc<Outbox>, Failure> {
        Ok(Arc::new(Outbox::open(&self.context.outbox)?))
    }

    /// The token of a subject: by name or id in the directory, else by id with the token key.
    ///
    /// # Errors
    /// [`Failure`], if neither knows them.
    pub fn subject(&self, query: &str) -> Result<Token, Failure> {
        match (self.directory()?.subject(query), self.context.token_key.is_some()) {
            (Ok(entry), _) => Ok(entry.token),
            (Err(escrow_client::archive::DirectoryError::Unknown { .. }), true) => Ok(self.token_key()?.subject(query)),
            (Err(e), _) => Err(e.into()),
        }
    }
}

/// The key that releases to an identity are sealed to.
///
/// # Errors
/// Exit code 4 if the key file has no sealing half.
pub fn recipient_key(identity: &Identity) -> Result<&SealingSecret, Failure> {
    let none = "the key in use has no sealing half, so nothing can have been released to it";
    identity.sealing().ok_or_else(|| Failure::new(Exit::Key, "key-missing", none))
}

/// What a token stands for on this machine; else its first digits.
pub fn subject_name(directory: &Directory, token: &Token) -> String {
    directory.subject_of(token).map_or_else(|| short_token(token), |s| s.name.clone().unwrap_or_else(|| s.id.clone()))
}

/// What a thread token stands for on this machine; else its first digits.
pub fn thread_name(directory: &Directory, token: &Token) -> String {
    directory.thread_of(token).map_or_else(|| short_token(token), |t| t.id.clone())
}

fn short_token(token: &Token) -> String {
    format!("v{}:{}", token.version, Digest(token.mac).short())
}

/// Says loudly that a charter gives up the separation that the escrow is for.
pub fn warn_demo(charters: &Charters) {
    // Once a process: the demo opens many sessions.
    static SAID: std::sync::Once = std::sync::Once::new();
    if charters.current().demo {
        SAID.call_once(|| note("*** DEMO CHARTER: one operator may run all nodes and one person may form a quorum. Not for real messages. ***"));
    }
}

/// The charter file that a command works on: the one named, else the context's.
///
/// # Errors
/// [`Failure`].
pub fn charters_of(global: &Global, file: Option<&Path>, genesis: Option<Digest>) -> Result<Charters, Failure> {
    match (file, genesis) {
        (Some(file), Some(genesis)) => {
            let charters = Charters::load(file, genesis)?;
            warn_demo(&charters);
            Ok(charters)
        }
        (Some(_), None) => {
            Err(Failure::usage("a charter file is believed only with its pinned digest: add --genesis DIGEST"))
        }
        (None, _) => Ok(Session::open(global)?.charters),
    }
}
