//! A seat whose operator lies: it replaces its own shares at rest by others, as whoever holds the
//! storage key can, and then runs the ordinary node. Its replies are correctly sealed and signed,
//! and wrong. On SIGTERM the true shares are put back, so that the seat can be honest again.
//!
//! Shipping code has no switch for this: everything here uses what any operator has.

use escrow_core::{ItemId, SeatIndex};
use escrow_node::Config;
use escrow_node::keys::SeatKeys;
use escrow_node::start::Accepted;
use escrow_node::store::{ShareRow, Store};
use escrow_node::unlock::PassphraseFile;
use escrow_node::vault::Vault;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip_while(|a| a != "--config").skip(1);
    let path = PathBuf::from(args.next().ok_or("usage: escrow-liar --config FILE")?);
    let config = Config::load(&path)?;
    let truth = lie(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(escrow_node::run(config.clone()));
    let mut store = Store::open(&config.database())?;
    for row in &truth {
        store.replace_share(row)?;
    }
    Ok(outcome?)
}

/// Gives every item a share of another polynomial; returns the true rows.
fn lie(config: &Config) -> Result<Vec<ShareRow>, Box<dyn Error>> {
    let mut store = Store::open(&config.database())?;
    let (keys, storage) = SeatKeys::load(&config.key_file(), &PassphraseFile(config.passphrase_file.clone()))?;
    let charter = Accepted::load(&store)?;
    let own = keys.statement.public();
    let seat = charter.newest()?.seats.iter().find(|s| s.statement_key == own).map(|s| s.index);
    let seat: SeatIndex = seat.ok_or("the charter has no seat with these keys")?;
    let vault = Vault::new(config.deposit_keys(), storage, seat);
    let items: Vec<ItemId> = store.share_items()?;
    let mut truth = Vec::new();
    for item in items {
        let (key, row) = store.share(&item)?.ok_or("a share that was just listed is gone")?;
        let (_, wrong) = escrow_core::sharing::deal(&escrow_core::sharing::Secret::random(), 2, &[seat, other(seat)])?;
        let wrong = wrong.first().ok_or("no share dealt")?;
        let lie = vault.reseal(&key, 1, item, wrong)?;
        store.replace_share(&lie)?;
        truth.push(row);
    }
    eprintln!("escrow-liar: {} shares of seat {seat} replaced", truth.len());
    Ok(truth)
}

fn other(seat: SeatIndex) -> SeatIndex {
    let n = if seat.get() == 1 { 2 } else { 1 };
    SeatIndex::new(n).unwrap_or(seat)
}
