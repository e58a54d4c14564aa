//! Titles of matters with their salts: on officers' machines only. Nodes hold a commitment.

use crate::context::replace;
use crate::failure::Failure;
use escrow_client::title_commitment;
use escrow_core::{Digest, MatterId, Nonce};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// One title.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    /// What colleagues call the matter.
    pub title: String,
    /// Salt of the commitment.
    pub salt: Nonce,
}

impl Title {
    /// With a fresh salt.
    pub fn new(title: String) -> Self {
        Self { title, salt: Nonce::random() }
    }

    /// What nodes know instead.
    pub fn commitment(&self) -> Digest {
        title_commitment(&self.salt.0, &self.title)
    }
}

/// All titles known here.
///
/// # Errors
/// Usage, if the file is malformed.
pub fn load(path: &Path) -> Result<BTreeMap<MatterId, Title>, Failure> {
    match std::fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|e| Failure::usage(format!("{} is malformed: {e}", path.display())))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(e) => Err(Failure::unexpected(format!("cannot read {}: {e}", path.display()))),
    }
}

/// Keeps one more title.
///
/// # Errors
/// What the disk says.
pub fn add(path: &Path, matter: &MatterId, title: Title) -> Result<(), Failure> {
    let mut all = load(path)?;
    all.insert(matter.clone(), title);
    let text = serde_json::to_string_pretty(&all).map_err(|e| Failure::unexpected(e.to_string()))?;
    replace(path, format!("{text}\n").as_bytes())
}
