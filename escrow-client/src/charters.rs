//! The charter chain as a client holds it: a file, believed only from a pinned genesis digest on.

use crate::archive::FileError;
use crate::files;
use escrow_core::charter::{Charter, Generation, Seat};
use escrow_core::envelope::EnvelopeError;
use escrow_core::{Blob, Digest, Envelope, KeyId, PersonId, SeatIndex};
use escrow_policy::charter::{Chain, CharterError, VerifiedCharter, verify_successor};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const FILE_MAX: u64 = 256 * 1024 * 1024;

/// Why a charter chain is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChartersError {
    /// A version breaks a rule or does not follow; its signers' or the file's fault.
    #[error(transparent)]
    Charter(#[from] CharterError),
    /// Not an envelope.
    #[error("charter file: {0}")]
    Envelope(#[from] EnvelopeError),
    /// Not a charter file.
    #[error("{} is not a charter file: {why}; take it from whoever gave you the pinned digest", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// Administrators signed two successors of one version.
    #[error(
        "two valid successors of one charter exist, {a} and {b}: the administrators' fault; act under neither and ask the operators"
    )]
    Fork {
        /// One.
        a: Digest,
        /// The other.
        b: Digest,
    },
    /// The chain has no generation; such a charter is refused before, so this cannot be.
    #[error("the charter names no generation")]
    NoGeneration,
}

/// A verified chain, genesis first. The newest version is the one acted under.
#[derive(Clone, Debug)]
pub struct Charters {
    pinned: Digest,
    envelopes: Vec<Envelope>,
    chain: Chain,
    newest: VerifiedCharter,
    generation: Generation,
}

impl Charters {
    /// Verifies a chain against the pinned genesis digest.
    ///
    /// # Errors
    /// [`ChartersError`] of the first version that does not hold.
    pub fn verify(pinned: Digest, envelopes: Vec<Envelope>) -> Result<Self, ChartersError> {
        let chain = Chain::verify(&pinned, &envelopes)?;
        let newest = chain.newest().cloned().ok_or(ChartersError::NoGeneration)?;
        let generation = newest.charter().current_generation().cloned().ok_or(ChartersError::NoGeneration)?;
        Ok(Self { pinned, envelopes, chain, newest, generation })
    }

    /// Reads a charter file: one envelope, or a JSON array of base64 envelopes as nodes serve it.
    ///
    /// # Errors
    /// [`ChartersError`].
    pub fn load(path: &Path, pinned: Digest) -> Result<Self, ChartersError> {
        Self::verify(pinned, read_envelopes(path)?)
    }

    /// Replaces the charter file.
    ///
    /// # Errors
    /// [`ChartersError::File`]; the old file is then still there.
    pub fn save(&self, path: &Path) -> Result<(), ChartersError> {
        let blobs: Vec<Blob> = self.envelopes.iter().map(|e| Blob(e.bytes().to_vec())).collect();
        Ok(files::replace_json(path, &blobs)?)
    }

    /// Digest of the genesis, the root of all trust.
    pub const fn genesis(&self) -> Digest {
        self.pinned
    }

    /// The version acted under.
    pub fn current(&self) -> &Charter {
        self.newest.charter()
    }

    /// Its digest, which every statement names.
    pub fn digest(&self) -> Digest {
        self.newest.digest()
    }

    /// The node set that new deals use.
    pub const fn generation(&self) -> &Generation {
        &self.generation
    }

    /// A verified version by digest.
    pub fn version(&self, digest: &Digest) -> Option<&Charter> {
        self.chain.versions().iter().find(|v| v.digest() == *digest).map(VerifiedCharter::charter)
    }

    /// All verified versions, genesis first.
    pub fn versions(&self) -> impl Iterator<Item = &Charter> {
        self.chain.versions().iter().map(VerifiedCharter::charter)
    }

    /// True if every signature of the envelope is by a key that some version of the chain lists for
    /// this person, and there is one.
    pub fn signed_by(&self, envelope: &Envelope, person: &PersonId) -> bool {
        let people = || self.chain.versions().iter().filter_map(|v| v.charter().person(person));
        let keys = |id: &KeyId| {
            let listed = people().flat_map(|p| &p.keys).map(|k| &k.key).filter(|k| k.id() == *id);
            listed.cloned().collect::<BTreeSet<_>>().into_iter().collect()
        };
        envelope.signers(keys).is_ok()
    }

    /// A seat of the version acted under.
    pub fn seat(&self, index: SeatIndex) -> Option<&Seat> {
        self.current().seat(index)
    }

    /// All versions as they were signed, genesis first.
    pub fn envelopes(&self) -> &[Envelope] {
        &self.envelopes
    }

    /// This chain and whatever of `offered` verifiably follows it; the rest is ignored, because
    /// anybody may have sent it.
    ///
    /// # Errors
    /// [`ChartersError::Fork`], the one thing that cannot be ignored.
    pub fn extended(&self, offered: &[Envelope]) -> Result<Self, ChartersError> {
        let mut out = self.clone();
        loop {
            let next = offered.iter().find(|e| verify_successor(&out.newest, e).is_ok());
            let Some(next) = next else { break };
            let mut envelopes = out.envelopes.clone();
            envelopes.push(next.clone());
            out = Self::verify(out.pinned, envelopes)?;
        }
        out.refuse_fork(offered)?;
        Ok(out)
    }

    fn refuse_fork(&self, offered: &[Envelope]) -> Result<(), ChartersError> {
        let versions = self.chain.versions();
        let voided = |d: &Digest| versions.iter().any(|v| v.charter().voided.contains(d));
        for pair in versions.windows(2) {
            let [before, after] = pair else { continue };
            let other = offered.iter().find(|e| {
                let d = e.digest();
                d != after.digest() && !voided(&d) && verify_successor(before, e).is_ok()
            });
            if let Some(other) = other {
                return Err(ChartersError::Fork { a: after.digest(), b: other.digest() });
            }
        }
        Ok(())
    }

    /// The chain up to the version with this digest.
    ///
    /// # Errors
    /// [`ChartersError`] if there is no such version.
    pub fn up_to(&self, digest: &Digest) -> Result<Self, ChartersError> {
        let at = self.envelopes.iter().position(|e| e.digest() == *digest);
        let upto = at.and_then(|at| self.envelopes.get(..=at)).unwrap_or_default();
        Self::verify(self.pinned, upto.to_vec())
    }
}

/// Reads a charter file without believing anything in it.
///
/// # Errors
/// [`ChartersError::Malformed`], [`ChartersError::File`].
pub fn read_envelopes(path: &Path) -> Result<Vec<Envelope>, ChartersError> {
    let malformed = |why: String| ChartersError::Malformed { path: path.to_owned(), why };
    let bytes = files::read(path, FILE_MAX)?;
    if let Ok(one) = Envelope::parse(&bytes) {
        return Ok(vec![one]);
    }
    let blobs: Vec<Blob> = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
    blobs.iter().map(|b| Envelope::parse(&b.0).map_err(|e| malformed(e.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::World;

    fn successor(world: &World, of: &Charters, change: impl FnOnce(&mut Charter)) -> Envelope {
        let mut c = of.current().clone();
        c.version += 1;
        c.previous = Some(of.digest());
        c.nonce = escrow_core::Nonce::random();
        change(&mut c);
        Envelope::sign(&c, &[world.admin.signing().unwrap()]).unwrap()
    }

    #[test]
    fn only_what_verifiably_follows_is_taken_over() {
        let world = World::new();
        let one = &world.charters;
        let two = successor(&world, one, |_| {});
        let three = successor(&world, &one.extended(std::slice::from_ref(&two)).unwrap(), |_| {});
        let mut unsigned_by_admin = one.current().clone();
        unsigned_by_admin.version = 2;
        unsigned_by_admin.previous = Some(one.digest());
        let forged = Envelope::sign(&unsigned_by_admin, &[world.requestor.signing().unwrap()]).unwrap();
        let other_org = successor(&world, one, |c| c.org = "other".parse().unwrap());
        // In any order, and with junk between.
        let chain = one.extended(&[forged, three.clone(), other_org, two.clone()]).unwrap();
        assert_eq!(chain.current().version, 3);
        assert_eq!(chain.genesis(), one.genesis());
        assert_eq!(chain.up_to(&two.digest()).unwrap().digest(), two.digest());
        assert!(chain.up_to(&Digest([0; 32])).is_err());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("charter.json");
        chain.save(&path).unwrap();
        assert_eq!(Charters::load(&path, one.genesis()).unwrap().digest(), three.digest());
        assert!(matches!(
            Charters::load(&path, two.digest()),
            Err(ChartersError::Charter(CharterError::NotPinned { .. }))
        ));
        std::fs::write(&path, two.bytes()).unwrap();
        assert!(Charters::load(&path, one.genesis()).is_err(), "the genesis is missing");
    }

    #[test]
    fn two_successors_are_a_fork_until_one_is_voided() {
        let world = World::new();
        let one = &world.charters;
        let (a, b) = (successor(&world, one, |_| {}), successor(&world, one, |_| {}));
        assert!(matches!(one.extended(&[a.clone(), b.clone()]), Err(ChartersError::Fork { .. })));
        let on_a = one.extended(std::slice::from_ref(&a)).unwrap();
        assert!(matches!(on_a.extended(std::slice::from_ref(&b)), Err(ChartersError::Fork { .. })));
        let settled = successor(&world, &on_a, |c| c.voided = vec![b.digest()]);
        assert_eq!(on_a.extended(&[settled, b]).unwrap().current().version, 3);
    }
}
