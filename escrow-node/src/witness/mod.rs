//! `escrow-node witness`: a C2SP witness, for an auditor's laptop.
//!
//! It watches the logs that a charter names and cosigns each checkpoint that extends the one it cosigned
//! before (c2sp.org/tlog-witness). It sees sizes and roots, never an entry. What it cosigned is on disk before
//! the cosignature leaves; a log whose key signed two roots for one size is never cosigned again, and both notes
//! are kept. Its lines count for nothing inside the escrow: they are for whoever trusts this witness.

mod files;
mod http;

pub use files::{KeyFiles, Made, WitnessError, init};
pub use http::{Listen, serve};

use ed25519_dalek::SigningKey;
use escrow_audit::checkpoint::{Checkpoint, VerifiedCheckpoint};
use escrow_audit::note::{self, KeyKind, Note, VerifierKey};
use escrow_audit::seat::log_verifier;
use escrow_audit::witness::{AddCheckpoint, Refuse, decide};
use escrow_core::charter::Charter;
use files::Folder;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

/// Answer to add-checkpoint.
#[derive(Debug)]
pub enum Answer {
    /// One signature line with its newline; the head is durable.
    Cosigned(String),
    /// The protocol's refusal.
    Refused(Refuse),
    /// This log's key signed two roots for one size, once; nothing of it is cosigned any more.
    Forked,
    /// The disk failed, now or before: this process cosigns nothing any more.
    Broken(String),
}

/// A witness over its folder, which no other process may have open.
pub struct Witness {
    key: VerifierKey,
    secret: SigningKey,
    logs: BTreeMap<String, VerifierKey>,
    state: Mutex<State>,
}

struct State {
    folder: Folder,
    /// What was cosigned last of each log, with the own line.
    heads: BTreeMap<String, VerifiedCheckpoint>,
    forked: BTreeSet<String>,
    broken: Option<String>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Witness({}, {} logs)", self.key.name(), self.logs.len())
    }
}

impl Witness {
    /// Opens the folder that [`init`] made, for the logs of a verified charter.
    ///
    /// # Errors
    /// [`WitnessError`]; a head on disk that this witness did not cosign is one, and is left as it is.
    pub fn open(dir: &Path, charter: &Charter) -> Result<Self, WitnessError> {
        let (folder, key, secret) = Folder::open(dir)?;
        let mut logs = BTreeMap::new();
        for seat in &charter.seats {
            let log = log_verifier(seat).map_err(|e| WitnessError::Charter(e.to_string()))?;
            logs.insert(seat.log_origin.clone(), log);
        }
        let (mut heads, mut forked) = (BTreeMap::new(), BTreeSet::new());
        for (origin, log) in &logs {
            if let Some(bytes) = folder.head(origin)? {
                let own = std::slice::from_ref(&key);
                let head = Checkpoint::verify(&bytes, origin, log).ok();
                let head = head.filter(|h| h.cosigners(own).is_ok_and(|c| c.len() == 1));
                heads.insert(origin.clone(), head.ok_or_else(|| WitnessError::Damaged(folder.head_path(origin)))?);
            }
            if folder.has_fork(origin)? {
                forked.insert(origin.clone());
            }
        }
        let state = Mutex::new(State { folder, heads, forked, broken: None });
        Ok(Self { key, secret, logs, state })
    }

    /// The verifier key of its cosignatures.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The origins that it watches.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.keys().map(String::as_str)
    }

    /// Decides on a request body at a time in seconds since 1970. Blocks for the disk.
    pub fn add_checkpoint(&self, body: &[u8], seconds: u64) -> Answer {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(e) => return Answer::Refused(e.into()),
        };
        let Some((origin, log)) = self.logs.get_key_value(request.claimed_origin()) else {
            return Answer::Refused(Refuse::UnknownOrigin);
        };
        // One at a time: between the look at the stored head and its replacement nobody comes in.
        let Ok(mut state) = self.state.lock() else { return Answer::Broken("an earlier request panicked".into()) };
        if let Some(why) = &state.broken {
            return Answer::Broken(why.clone());
        }
        let answer = self.decide(&mut state, origin, log, &request, seconds);
        answer.unwrap_or_else(|e| {
            // What is on disk is not known any more, so nothing may be compared with it.
            tracing::error!(error = %e, "the witness cosigns nothing any more; mend the disk and start it again");
            state.broken = Some(e.to_string());
            Answer::Broken(e.to_string())
        })
    }

    fn decide(
        &self,
        state: &mut State,
        origin: &str,
        log: &VerifierKey,
        request: &AddCheckpoint,
        seconds: u64,
    ) -> Result<Answer, WitnessError> {
        let stored = state.heads.get(origin);
        match decide(request, stored.map(|h| (h.size(), *h.root())), log) {
            Err(refuse @ Refuse::NotSigned) => Ok(Answer::Refused(refuse)),
            _ if state.forked.contains(origin) => Ok(Answer::Forked),
            Ok(accept) => {
                let grown = stored.is_none_or(|h| h.size() != accept.size());
                let text = accept.checkpoint().note().text();
                let line = note::cosign(self.key.name(), &self.secret, seconds, text)?;
                let line = format!("{line}\n");
                if grown {
                    let head = self.with_own_line_only(accept.checkpoint(), &line)?;
                    state.folder.replace_head(origin, &head.to_bytes())?;
                    state.heads.insert(origin.to_owned(), head);
                }
                Ok(Answer::Cosigned(line))
            }
            Err(Refuse::Conflict { stored: size }) => {
                let first = stored.map(VerifiedCheckpoint::to_bytes).unwrap_or_default();
                state.folder.keep_fork(origin, size, &first, &request.note().to_bytes())?;
                state.forked.insert(origin.to_owned());
                tracing::error!(%origin, size, "a log signed two roots for one size; both notes are kept as evidence");
                Ok(Answer::Forked)
            }
            Err(refuse) => {
                if let Refuse::Inconsistent(_) = refuse {
                    state.folder.keep_inconsistent(origin, request)?;
                }
                Ok(Answer::Refused(refuse))
            }
        }
    }

    /// What is shown to monitors: the log's own line and ours, which are the ones that were verified.
    fn with_own_line_only(&self, head: &VerifiedCheckpoint, line: &str) -> Result<VerifiedCheckpoint, WitnessError> {
        let log = self.logs.get(head.origin()).ok_or(WitnessError::Unsigned)?;
        let lines = head.note().signatures().iter().filter(|l| log.made(l)).cloned().collect();
        let note = Note::new(head.note().text(), lines)?;
        let mut head = Checkpoint::verify(&note.to_bytes(), head.origin(), log).map_err(|_| WitnessError::Unsigned)?;
        head.add_cosignatures(line.as_bytes(), std::slice::from_ref(&self.key))?;
        Ok(head)
    }

    /// The newest checkpoint that was cosigned, of the log whose origin has this SHA-256, in hexadecimal.
    pub fn newest(&self, origin_hash: &str) -> Option<Vec<u8>> {
        let state = self.state.lock().ok()?;
        let (_, head) = state.heads.iter().find(|(origin, _)| files::origin_hash(origin) == origin_hash)?;
        Some(head.to_bytes())
    }
}

/// The verifier key that a secret and a name make.
fn verifier(name: &str, secret: &SigningKey) -> Result<VerifierKey, WitnessError> {
    Ok(VerifierKey::new(name, KeyKind::Cosigner, &secret.verifying_key())?)
}

#[cfg(test)]
mod tests;
