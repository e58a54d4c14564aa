//! The checkpoint that this node shows to anybody: the newest one that its peers were asked to cosign, with
//! every cosignature that it has got since.
//!
//! It never goes back, and is none before the first round after a start: the head of a log that nobody has
//! looked at yet is of no use to whoever compares heads.

use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::note::VerifierKey;
use std::sync::{Arc, RwLock};
use tokio::sync::watch;

/// The checkpoint shown, and whoever waits for a newer one.
pub(crate) struct Served {
    shown: RwLock<Option<Shown>>,
    size: watch::Sender<u64>,
}

struct Shown {
    /// As this node signed it.
    head: Arc<VerifiedCheckpoint>,
    /// With the cosignatures it has.
    note: VerifiedCheckpoint,
}

impl Served {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { shown: RwLock::new(None), size: watch::channel(0).0 }
    }

    /// The checkpoint.
    pub(crate) fn note(&self) -> Option<VerifiedCheckpoint> {
        self.shown.read().ok().and_then(|s| s.as_ref().map(|s| s.note.clone()))
    }

    /// The same without cosignatures.
    pub(crate) fn head(&self) -> Option<Arc<VerifiedCheckpoint>> {
        self.shown.read().ok().and_then(|s| s.as_ref().map(|s| Arc::clone(&s.head)))
    }

    /// Told the size whenever it grows.
    pub(crate) fn grown(&self) -> watch::Receiver<u64> {
        self.size.subscribe()
    }

    /// Takes over what a round over `head` has brought: a larger checkpoint, or more lines by `witnesses` under the
    /// same one; the lines of those that are silent now stay.
    pub(crate) fn offer(&self, head: &Arc<VerifiedCheckpoint>, new: &VerifiedCheckpoint, witnesses: &[VerifierKey]) {
        let Ok(mut slot) = self.shown.write() else { return };
        match slot.as_mut().filter(|old| old.note.size() >= new.size()) {
            None => *slot = Some(Shown { head: Arc::clone(head), note: new.clone() }),
            Some(old) if old.note.note().text() == new.note().text() => {
                let lines: String = new.note().signatures().iter().map(|line| format!("{line}\n")).collect();
                if let Err(e) = old.note.add_cosignatures(lines.as_bytes(), witnesses) {
                    tracing::warn!(error = %e, "cosignatures of a round are not added to the checkpoint shown");
                }
            }
            Some(_) => {}
        }
        let size = slot.as_ref().map_or(0, |s| s.note.size());
        self.size.send_if_modified(|known| std::mem::replace(known, size) < size);
    }

    /// Adds a witness's answer to the checkpoint with this text. False if it is no cosignature of that key on it;
    /// true also if a newer checkpoint is shown by now.
    pub(crate) fn add(&self, to: &VerifiedCheckpoint, answer: &[u8], witness: &VerifierKey) -> bool {
        let witness = std::slice::from_ref(witness);
        let mut own = to.clone();
        let good = own.add_cosignatures(answer, witness).is_ok() && own.cosigners(witness).is_ok_and(|c| !c.is_empty());
        if good
            && let Ok(mut slot) = self.shown.write()
            && let Some(shown) = slot.as_mut().filter(|s| s.note.note().text() == to.note().text())
        {
            return shown.note.add_cosignatures(answer, witness).is_ok();
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use escrow_audit::checkpoint::Checkpoint;
    use escrow_audit::note::{KeyKind, NoteSigner, cosign};
    use escrow_audit::tree::leaf_hash;

    fn head(size: u64) -> Arc<VerifiedCheckpoint> {
        let secret = SigningKey::from_bytes(&[1; 32]);
        let checkpoint = Checkpoint::new("log/1", size, leaf_hash(&size.to_be_bytes())).unwrap();
        Arc::new(checkpoint.sign(&NoteSigner::new("log/1", &secret).unwrap()).unwrap())
    }

    fn witness(n: u8) -> (SigningKey, VerifierKey) {
        let secret = SigningKey::from_bytes(&[n; 32]);
        let key = VerifierKey::new(&format!("witness/{n}"), KeyKind::Cosigner, &secret.verifying_key()).unwrap();
        (secret, key)
    }

    fn line(n: u8, on: &VerifiedCheckpoint, time: u64) -> Vec<u8> {
        let (secret, key) = witness(n);
        format!("{}\n", cosign(key.name(), &secret, time, on.note().text()).unwrap()).into_bytes()
    }

    fn cosigners(served: &Served, keys: &[VerifierKey]) -> usize {
        served.note().unwrap().cosigners(keys).unwrap().len()
    }

    #[test]
    fn what_is_shown_grows_in_size_and_then_in_lines() {
        let keys = [2, 3, 9].map(|n| witness(n).1);
        let (peers, extra) = (&keys[..2], &keys[2]);
        let served = Served::new();
        let grown = served.grown();
        assert!(served.note().is_none());
        let five = head(5);
        served.offer(&five, &five, peers);
        assert!(grown.has_changed().unwrap() && cosigners(&served, &keys) == 0);
        assert!(served.add(&five, &line(9, &five, 7), extra));
        // A round that was cut short brings fewer lines than are there already.
        for n in [2, 3, 2] {
            let mut round = VerifiedCheckpoint::clone(&five);
            round.add_cosignatures(&line(n, &five, 8), peers).unwrap();
            served.offer(&five, &round, peers);
        }
        assert_eq!(cosigners(&served, &keys), 3);
        served.offer(&head(4), &head(4), peers);
        assert_eq!((served.note().unwrap().size(), cosigners(&served, &keys)), (5, 3));
        served.offer(&head(6), &head(6), peers);
        assert_eq!(served.head(), Some(head(6)));
        assert_eq!((served.note().unwrap().size(), cosigners(&served, &keys)), (6, 0));
        assert_eq!(*served.grown().borrow(), 6);
        // Too late, and yet what it was asked for.
        assert!(served.add(&five, &line(9, &five, 9), extra));
        assert_eq!(cosigners(&served, &keys), 0);
    }

    #[test]
    fn an_answer_counts_if_it_is_that_witness_on_that_checkpoint() {
        let served = Served::new();
        let (five, extra) = (head(5), witness(9).1);
        served.offer(&five, &five, &[]);
        for bad in [line(8, &five, 7), line(9, &head(6), 7), b"no line\n".to_vec(), vec![]] {
            assert!(!served.add(&five, &bad, &extra));
        }
        assert_eq!(served.note().unwrap(), *five, "nothing was added");
        assert!(served.add(&five, &line(9, &five, 7), &extra));
        assert!(served.add(&five, &line(9, &five, 6), &extra), "an older line is one too, and the newer one stays");
        let note = served.note().unwrap();
        assert_eq!(note.cosigners(std::slice::from_ref(&extra)).unwrap()[0].time, 7);
        assert_eq!(note.note().signatures().len(), 2);
    }
}
