//! Shares at rest: one random key a deposit, itself sealed by the storage key in a small file
//! apart from the database and its backups. Destroying a deposit destroys its key file.

use crate::engine::{Destruction, Logged};
use crate::store::{DepositRow, ShareRow};
use crate::unlock::{StorageKey, UnlockError, aead_open, aead_seal, write_new};
use crate::writer::Committed;
use escrow_core::label::{Labelled, labels};
use escrow_core::sharing::Share;
use escrow_core::{ItemId, SeatIndex, random};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Opens and makes rows of sealed shares. The only code that sees a share at rest in clear.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    storage: StorageKey,
    seat: SeatIndex,
}

/// Names a deposit's key file; random, so that no file is ever overwritten.
pub type KeyName = [u8; 16];

/// File name of a deposit's key.
pub(crate) fn key_file_name(name: &KeyName) -> String {
    format!("{}.key", hex::encode(name))
}

impl Vault {
    /// Over the folder of deposit keys, which must exist.
    pub fn new(dir: PathBuf, storage: StorageKey, seat: SeatIndex) -> Self {
        Self { dir, storage, seat }
    }

    /// Makes a deposit key, writes its file durably, and seals the shares under it.
    ///
    /// # Errors
    /// [`UnlockError`].
    pub fn seal(&self, generation: u32, shares: &[(ItemId, Share)]) -> Result<(KeyName, Vec<ShareRow>), UnlockError> {
        let name: KeyName = random::bytes();
        let key: Zeroizing<[u8; 32]> = Zeroizing::new(random::bytes());
        write_new(&self.path(&name), &self.storage.seal(labels::DEPOSIT_KEY, &name, key.as_slice()))?;
        let rows = shares
            .iter()
            .map(|(item, share)| ShareRow {
                item: *item,
                sealed: aead_seal(&key, &self.aad(item, generation), share.to_bytes().as_slice()),
            })
            .collect();
        Ok((name, rows))
    }

    /// Opens one share.
    ///
    /// # Errors
    /// [`UnlockError::DoesNotOpen`] if the row or key file is not the one that was written.
    pub fn open(&self, name: &KeyName, generation: u32, row: &ShareRow) -> Result<Share, UnlockError> {
        let key = self.key(name)?;
        let bad = || UnlockError::DoesNotOpen(self.path(name));
        let clear = aead_open(&key, &self.aad(&row.item, generation), &row.sealed).ok_or_else(bad)?;
        Share::from_bytes(self.seat, &clear).map_err(|_| bad())
    }

    /// Seals a share again under an existing deposit key, as an operator who holds it can.
    ///
    /// # Errors
    /// [`UnlockError`].
    pub fn reseal(
        &self,
        name: &KeyName,
        generation: u32,
        item: ItemId,
        share: &Share,
    ) -> Result<ShareRow, UnlockError> {
        let key = self.key(name)?;
        Ok(ShareRow { item, sealed: aead_seal(&key, &self.aad(&item, generation), share.to_bytes().as_slice()) })
    }

    /// Destroys the key file of a deposit; its shares can then never be opened again. Only for a durable
    /// entry that says so.
    ///
    /// # Errors
    /// [`UnlockError::File`].
    pub fn destroy(&self, destruction: Committed<Logged<Destruction>>) -> Result<(), UnlockError> {
        let (_, destruction) = destruction.spend();
        self.remove(&destruction.key)
    }

    /// Removes the key file of a row that was never stored: it opens nothing. The row comes by value, so
    /// that one which the engine has taken cannot be given.
    ///
    /// # Errors
    /// [`UnlockError::File`].
    pub fn discard(&self, unused: DepositRow) -> Result<(), UnlockError> {
        self.remove(&unused.key)
    }

    fn remove(&self, name: &KeyName) -> Result<(), UnlockError> {
        let path = self.path(name);
        std::fs::remove_file(&path).map_err(|e| UnlockError::File(path, e))
    }

    fn key(&self, name: &KeyName) -> Result<Zeroizing<[u8; 32]>, UnlockError> {
        let path = self.path(name);
        let sealed = std::fs::read(&path).map_err(|e| UnlockError::File(path.clone(), e))?;
        let clear = self.storage.open(labels::DEPOSIT_KEY, name, &sealed);
        let clear = clear.ok_or_else(|| UnlockError::DoesNotOpen(path.clone()))?;
        let key: [u8; 32] = clear.as_slice().try_into().map_err(|_| UnlockError::DoesNotOpen(path))?;
        Ok(Zeroizing::new(key))
    }

    fn path(&self, name: &KeyName) -> PathBuf {
        self.dir.join(key_file_name(name))
    }

    fn aad(&self, item: &ItemId, generation: u32) -> Vec<u8> {
        Labelled::new(labels::AT_REST).digest(item).u64(u64::from(generation)).u64(u64::from(self.seat.get())).finish()
    }
}
