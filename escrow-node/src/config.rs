//! The configuration file: where to listen, where data lies, where the passphrase is.

use escrow_audit::note::{KeyKind, VerifierKey};
use escrow_core::Digest;
use escrow_core::limits::HEARTBEAT_S;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

/// `escrow-node.toml`. Relative paths are relative to the file's own folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Folder of database, sealed keys and key files; mode 0700.
    pub data_dir: PathBuf,
    /// File whose first line is the passphrase of the storage key; mode 0600.
    pub passphrase_file: PathBuf,
    /// Log filter, e.g. `info` or `escrow_node=debug`.
    #[serde(default = "default_filter")]
    pub log_filter: String,
    /// `text` or `json`.
    #[serde(default)]
    pub log_format: LogFormat,
    /// Requests in flight above which new ones are turned away.
    #[serde(default = "default_in_flight")]
    pub max_in_flight: usize,
    /// Free bytes on the disk of `data_dir` below which new deposits, requests and queries are refused;
    /// 0 refuses none.
    #[serde(default = "default_min_free")]
    pub min_free_bytes: u64,
    /// Seconds after which the peers cosign an idle log again, at most [`HEARTBEAT_S`].
    #[serde(default = "default_heartbeat")]
    pub heartbeat_s: NonZeroU64,
    /// How much one key or one address may ask for.
    #[serde(default)]
    pub rate_limits: RateLimits,
    /// Who is told that something waits for people.
    #[serde(default)]
    pub webhooks: Vec<Webhook>,
    /// Witnesses outside the charter that are asked too.
    #[serde(default)]
    pub witnesses: Vec<ExtraWitness>,
}

/// `[[webhooks]]`: a receiver of signed notifications.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to post; `http` only to a loopback address.
    pub url: String,
    /// Certificate authorities believed instead of the system's, PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// `[[witnesses]]`: a C2SP witness outside the charter, such as an auditor's. It only ever adds a line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraWitness {
    /// Its submission prefix; `http` only to a loopback address.
    pub url: String,
    /// Its verifier key, `NAME+ID+KEY`, of type cosignature/v1.
    pub vkey: String,
    /// SHA-256 of its TLS public key, believed instead of the system's certificate authorities.
    #[serde(default)]
    pub tls_pin: Option<Digest>,
}

impl ExtraWitness {
    /// Its verifier key.
    ///
    /// # Errors
    /// In words, if it is none, or that of a log.
    pub fn key(&self) -> Result<VerifierKey, String> {
        let key: VerifierKey = self.vkey.parse().map_err(|_| "vkey is no verifier key NAME+ID+KEY".to_owned())?;
        match key.kind() {
            KeyKind::Cosigner => Ok(key),
            KeyKind::Log => Err("vkey is the key of a log, not of a witness".into()),
        }
    }
}

fn check_url(url: &str) -> Result<(), String> {
    let url = reqwest::Url::parse(url).map_err(|e| e.to_string())?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        _ => Err("https is needed, or http to a loopback address such as 127.0.0.1".into()),
    }
}

/// `[rate_limits]`: what each key, or each address, may send in a minute, and at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Statements of one key that are no restrictions.
    pub statements_per_minute: NonZeroU32,
    /// Restrictions of one key.
    pub restrictions_per_minute: NonZeroU32,
    /// Deposits of one key, each of up to 256 items.
    pub deposits_per_minute: NonZeroU32,
    /// Queries of one key.
    pub queries_per_minute: NonZeroU32,
    /// Release calls of one key.
    pub releases_per_minute: NonZeroU32,
    /// What an address sends that no known key signed.
    pub strangers_per_minute: NonZeroU32,
    /// Checkpoints, tiles and proofs that an address reads.
    pub reads_per_minute: NonZeroU32,
    /// Statements that an address sends again, or to a node or at a time that they were not signed for.
    pub repeats_per_minute: NonZeroU32,
}

impl Default for RateLimits {
    fn default() -> Self {
        let n = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            statements_per_minute: n(240),
            restrictions_per_minute: n(240),
            deposits_per_minute: n(1_200),
            queries_per_minute: n(600),
            releases_per_minute: n(60),
            strangers_per_minute: n(120),
            reads_per_minute: n(600),
            repeats_per_minute: n(1_200),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

fn default_filter() -> String {
    "info".into()
}

const fn default_in_flight() -> usize {
    256
}

const fn default_min_free() -> u64 {
    64 * 1024 * 1024
}

fn default_heartbeat() -> NonZeroU64 {
    NonZeroU64::new(HEARTBEAT_S).unwrap_or(NonZeroU64::MIN)
}

/// Why a configuration file is unusable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// Not valid.
    #[error("{0} is not a valid configuration: {1}")]
    Parse(PathBuf, Box<toml::de::Error>),
    /// An idle log that verifiers would call stale.
    #[error(
        "{0}: heartbeat_s is {1}: verifiers expect a heartbeat every {HEARTBEAT_S} seconds at the latest; give at most that"
    )]
    Heartbeat(PathBuf, NonZeroU64),
    /// A webhook that nothing may be sent to.
    #[error("{0}: webhook {1}: {2}")]
    Webhook(PathBuf, usize, String),
    /// A witness that cannot be asked.
    #[error("{0}: witness {1}: {2}")]
    Witness(PathBuf, usize, String),
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ConfigError`] with the line at fault.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::Read(path.into(), e))?;
        let mut config: Self = toml::from_str(&text).map_err(|e| ConfigError::Parse(path.into(), Box::new(e)))?;
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        config.data_dir = base.join(&config.data_dir);
        config.passphrase_file = base.join(&config.passphrase_file);
        if config.heartbeat_s.get() > HEARTBEAT_S {
            return Err(ConfigError::Heartbeat(path.into(), config.heartbeat_s));
        }
        let mut urls = BTreeSet::new();
        for (n, webhook) in (1..).zip(&mut config.webhooks) {
            let once = urls.insert(webhook.url.clone()).then_some(()).ok_or_else(|| "named twice".to_owned());
            once.and(check_url(&webhook.url)).map_err(|e| ConfigError::Webhook(path.into(), n, e))?;
            webhook.ca_file = webhook.ca_file.as_ref().map(|file| base.join(file));
        }
        for (n, witness) in (1..).zip(&config.witnesses) {
            let good = check_url(&witness.url).and(witness.key());
            good.map_err(|e| ConfigError::Witness(path.into(), n, e))?;
        }
        Ok(config)
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("node.db")
    }

    /// The seat's private keys, sealed by the storage key.
    pub fn key_file(&self) -> PathBuf {
        self.data_dir.join("seat.keys")
    }

    /// The keys with that of the next log, until the charter that gives it is accepted.
    pub fn next_key_file(&self) -> PathBuf {
        self.data_dir.join("seat.keys.next")
    }

    /// The newest head of this log that another node holds and this one lacks.
    pub fn newest_head(&self) -> PathBuf {
        self.data_dir.join("newest-head.txt")
    }

    /// One small sealed file a deposit, apart from the database and its backups.
    pub fn deposit_keys(&self) -> PathBuf {
        self.data_dir.join("deposit-keys")
    }

    /// What the seat tells the world about itself.
    pub fn descriptor(&self) -> PathBuf {
        self.data_dir.join("seat.json")
    }
}
