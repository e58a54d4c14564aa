//! The key ring: keys of sealed segments, from `archive seal` until they are escrowed.
//!
//! On disk it is one HPKE message to this device's own sealing key, bound to what it is and to the
//! organisation; the clear keys never leave memory. Losing the ring before the deposit loses the
//! archive, so it is replaced as a whole, synced, and changed only under a lock.

use super::private::{self, FileError};
use escrow_core::charter::SealingKey;
use escrow_core::deal::About;
use escrow_core::label::{Labelled, labels};
use escrow_core::sealing::{self, SealError, SealingSecret};
use escrow_core::{Digest, Org, ThreadKey};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

const FILE_MAX: u64 = 1024 * 1024 * 1024;
const VERSION: u32 = 1;

/// Why a key ring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The disk.
    #[error("key ring: {0}")]
    File(#[from] FileError),
    /// Sealed to another device, for another organisation, or altered.
    #[error(
        "the key ring does not open: it was sealed by another device or for another organisation, or it was altered; use the device key it was made with, or restore the file from a backup"
    )]
    DoesNotOpen,
    /// It opens, and is not what this version writes.
    #[error("the key ring opens but is not of version 1; use the version of this program that wrote it")]
    Malformed,
    /// The device's public key is not usable.
    #[error("the key ring cannot be sealed: {0}")]
    Seal(SealError),
}

/// Keys that wait to be escrowed, with what they are about.
pub struct KeyRing {
    org: Org,
    entries: Vec<(About, ThreadKey)>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({}, {} keys, redacted)", self.org, self.entries.len())
    }
}

impl KeyRing {
    /// An empty ring.
    pub fn new(org: Org) -> Self {
        Self { org, entries: Vec::new() }
    }

    /// The keys, in the order in which they came.
    pub fn entries(&self) -> &[(About, ThreadKey)] {
        &self.entries
    }

    /// The keys themselves, for [`escrow_core::deal::Dealer::deal`]; the file keeps them until
    /// [`KeyRing::remove`] is saved.
    pub fn into_entries(self) -> Vec<(About, ThreadKey)> {
        self.entries
    }

    /// Adds a key; false if one for the same item is there already.
    pub fn add(&mut self, about: About, key: ThreadKey) -> bool {
        let new = !self.entries.iter().any(|(a, _)| *a == about);
        if new {
            self.entries.push((about, key));
        }
        new
    }

    /// Adds many keys at once, such as those of a fresh archive; no duplicates are looked for.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = (About, ThreadKey)>) {
        self.entries.extend(entries);
    }

    /// Forgets the keys of segments that are escrowed, by archive digest; how many there were.
    pub fn remove(&mut self, escrowed: impl Fn(&Digest) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(|(about, _)| !about.archive.as_ref().is_some_and(&escrowed));
        before - self.entries.len()
    }

    /// Reads a ring; an empty one if there is no file yet.
    ///
    /// # Errors
    /// [`RingError`].
    pub fn load(path: &Path, org: &Org, device: &SealingSecret) -> Result<Self, RingError> {
        let Some(sealed) = private::read(path, FILE_MAX)? else { return Ok(Self::new(org.clone())) };
        let clear = device.open(&aad(org), &sealed).map_err(|_| RingError::DoesNotOpen)?;
        let entries = decode(&clear).ok_or(RingError::Malformed)?;
        Ok(Self { org: org.clone(), entries })
    }

    /// Seals the ring to `device` and replaces the file. To change a ring use [`KeyRing::update`].
    ///
    /// # Errors
    /// [`RingError`]; the old file is then still there.
    pub fn save(&self, path: &Path, device: &SealingKey) -> Result<(), RingError> {
        let clear = self.encode()?;
        let sealed = sealing::seal(device, &aad(&self.org), &clear).map_err(RingError::Seal)?;
        Ok(private::replace(path, &sealed)?)
    }

    /// Loads, changes and saves under a lock, so that sealing and depositing at the same time
    /// lose no key. Waits for whoever holds the lock.
    ///
    /// # Errors
    /// [`RingError`]; the old file is then still there.
    pub fn update<T>(
        path: &Path,
        org: &Org,
        device: &SealingSecret,
        change: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, RingError> {
        let _lock = private::lock(path)?;
        let mut ring = Self::load(path, org, device)?;
        let result = change(&mut ring);
        ring.save(path, device.public())?;
        Ok(result)
    }

    /// Version, count, then for each: length and JSON of what it is about, and 32 bytes of key.
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, RingError> {
        let abouts: Vec<Vec<u8>> = self
            .entries
            .iter()
            .map(|(about, _)| serde_json::to_vec(about).map_err(|_| RingError::Malformed))
            .collect::<Result<_, _>>()?;
        // The exact size at once: a buffer that grew would leave copies of keys behind.
        let mut out = Zeroizing::new(Vec::with_capacity(8 + abouts.iter().map(|a| 36 + a.len()).sum::<usize>()));
        let number = |n: usize| u32::try_from(n).map(u32::to_be_bytes).map_err(|_| RingError::Malformed);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&number(abouts.len())?);
        for (about, (_, key)) in abouts.iter().zip(&self.entries) {
            out.extend_from_slice(&number(about.len())?);
            out.extend_from_slice(about);
            out.extend_from_slice(key.expose());
        }
        Ok(out)
    }
}

fn aad(org: &Org) -> Vec<u8> {
    Labelled::new(labels::SEALED_FILE).bytes(b"key-ring").bytes(org.as_str().as_bytes()).finish()
}

fn decode(clear: &[u8]) -> Option<Vec<(About, ThreadKey)>> {
    let mut rest = clear;
    if number(&mut rest)? != VERSION {
        return None;
    }
    let count = number(&mut rest)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(number(&mut rest)?).ok()?;
        let (about, more) = rest.split_at_checked(length)?;
        let (key, more) = more.split_first_chunk::<32>()?;
        rest = more;
        entries.push((serde_json::from_slice(about).ok()?, ThreadKey::from_bytes(Zeroizing::new(*key))));
    }
    rest.is_empty().then_some(entries)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (n, more) = rest.split_first_chunk::<4>()?;
    *rest = more;
    Some(u32::from_be_bytes(*n))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use escrow_core::deal::{KeySource, Participant};
    use escrow_core::sealing::Suite;
    use escrow_core::{Blob, Timestamp, TokenKey};

    fn about(n: u8) -> About {
        let tokens = TokenKey::from_bytes(1, Zeroizing::new([7; 32]));
        About {
            source: KeySource::ContentKey,
            thread: tokens.thread("t"),
            era: 0,
            epoch: u64::from(n),
            authenticator: Blob::default(),
            from: Timestamp::EPOCH,
            to: Timestamp::MAX,
            archive: Some(Digest([n; 32])),
            participants: vec![Participant { token: tokens.subject("s"), inside: true }],
        }
    }

    #[test]
    fn keys_come_back_only_to_the_device_and_organisation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key-ring");
        let org: Org = "acme.example".parse().unwrap();
        let device = SealingSecret::generate(Suite::XWing);
        assert!(KeyRing::load(&path, &org, &device).unwrap().entries().is_empty());
        let keys: Vec<ThreadKey> = (0..3).map(|_| ThreadKey::generate()).collect();
        let raw: Vec<[u8; 32]> = keys.iter().map(|k| *k.expose()).collect();
        KeyRing::update(&path, &org, &device, |ring| ring.extend((0..).map(about).zip(keys))).unwrap();
        let again = |ring: &mut KeyRing| ring.add(about(1), ThreadKey::generate());
        assert!(!KeyRing::update(&path, &org, &device, again).unwrap());
        let ring = KeyRing::load(&path, &org, &device).unwrap();
        assert_eq!(
            ring.entries().iter().map(|(a, k)| (a.clone(), *k.expose())).collect::<Vec<_>>(),
            (0..).map(about).zip(raw.clone()).collect::<Vec<_>>()
        );
        assert_eq!(format!("{ring:?}"), "KeyRing(acme.example, 3 keys, redacted)");

        let bytes = std::fs::read(&path).unwrap();
        for key in &raw {
            assert!(!bytes.windows(32).any(|w| w == key), "a key stands in clear");
        }
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
            0o600
        );
        let other = SealingSecret::generate(Suite::XWing);
        assert!(matches!(KeyRing::load(&path, &org, &other), Err(RingError::DoesNotOpen)));
        let other = "other.example".parse().unwrap();
        assert!(matches!(KeyRing::load(&path, &other, &device), Err(RingError::DoesNotOpen)));

        let removed = KeyRing::update(&path, &org, &device, |ring| ring.remove(|d| d.0[0] < 2)).unwrap();
        assert_eq!(removed, 2);
        let left = KeyRing::load(&path, &org, &device).unwrap().into_entries();
        assert_eq!((left.len(), *left[0].1.expose()), (1, raw[2]));
    }

    #[test]
    fn an_altered_ring_is_refused_and_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key-ring");
        let org: Org = "acme.example".parse().unwrap();
        let device = SealingSecret::generate(Suite::MlKem768P256);
        let mut ring = KeyRing::new(org.clone());
        assert!(ring.add(about(1), ThreadKey::generate()));
        ring.save(&path, device.public()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(KeyRing::update(&path, &org, &device, |_| ()), Err(RingError::DoesNotOpen)));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        let clear = ring.encode().unwrap();
        assert!(decode(&clear).is_some());
        for n in 0..clear.len() {
            assert!(decode(&clear[..n]).is_none());
        }
        assert!(decode(&[clear.as_slice(), b"x"].concat()).is_none());
    }

    #[test]
    fn changes_at_the_same_time_lose_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key-ring");
        let org: Org = "acme.example".parse().unwrap();
        let device = SealingSecret::generate(Suite::XWing);
        std::thread::scope(|s| {
            for n in 0..8 {
                let (path, org, device) = (&path, &org, &device);
                s.spawn(move || {
                    KeyRing::update(path, org, device, |r| r.add(about(n), ThreadKey::generate())).unwrap()
                });
            }
        });
        assert_eq!(KeyRing::load(&path, &org, &device).unwrap().entries().len(), 8);
    }
}
