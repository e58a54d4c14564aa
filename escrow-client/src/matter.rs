//! Matters: opening, closing and listing.

use crate::client::Client;
use crate::clock::now;
use crate::consent::Outcomed;
use crate::identity::SignError;
use crate::key_file::KeyFileError;
use crate::outcome::Outcomes;
use escrow_core::label::{Labelled, labels};
use escrow_core::matter::{Matter, MatterAction};
use escrow_core::query::Question;
use escrow_core::wire::MatterInfo;
use escrow_core::{Digest, Envelope, Kind, MatterId, Nonce};
use std::collections::BTreeMap;

/// Why a matter statement cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MatterError {
    /// The key in use is not an officer's.
    #[error(transparent)]
    Identity(#[from] KeyFileError),
    /// A rule of matters is broken.
    #[error(transparent)]
    Statement(#[from] SignError),
}

/// What nodes know instead of a matter's title: SHA-256 over label, salt and title.
pub fn title_commitment(salt: &[u8; 16], title: &str) -> Digest {
    Labelled::new(labels::COMMITMENT).bytes(salt).bytes(title.as_bytes()).hash()
}

impl Client {
    /// Signs the next statement of a matter; `previous` is its head, none to open it.
    ///
    /// # Errors
    /// [`MatterError`].
    pub fn matter(
        &self,
        matter: MatterId,
        action: MatterAction,
        previous: Option<Digest>,
        title: Digest,
    ) -> Result<Envelope, MatterError> {
        Ok(self.sign(&Matter {
            kind: Kind::Matter,
            org: self.charters().current().org.clone(),
            nonce: Nonce::random(),
            charter: self.charters().digest(),
            matter,
            action,
            previous,
            by: self.identity().officer()?.person.clone(),
            title,
            at: now(),
        })?)
    }

    /// One matter as each node knows it; none where it is not known.
    pub async fn matter_at(&self, matter: &MatterId) -> Outcomes<Option<MatterInfo>> {
        let answers: Outcomes<Vec<MatterInfo>> = self.ask_all(Question::Matters).await;
        answers.and_then(|_, list| Ok(list.into_iter().find(|m| m.matter == *matter)))
    }

    /// All matters that any node knows, by name. Of two different heads the closed one is told.
    pub async fn matters(&self) -> Outcomed<Vec<MatterInfo>> {
        let answers: Outcomes<Vec<MatterInfo>> = self.ask_all(Question::Matters).await;
        let mut known: BTreeMap<MatterId, MatterInfo> = BTreeMap::new();
        let outcomes = answers.and_then(|_, list| {
            let seen = list.len();
            for info in list {
                let slot = known.entry(info.matter.clone()).or_insert_with(|| info.clone());
                if info.state == MatterAction::Close && slot.state != MatterAction::Close {
                    *slot = info;
                }
            }
            Ok(seen)
        });
        Outcomed { value: known.into_values().collect(), outcomes }
    }
}
