//! Tiles against `tlog_tiles`, which we did not write: the same paths, the same bytes, and its reader accepts ours
//! and no altered ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use escrow_audit::tile::{Tile, TwoRoots};
use escrow_audit::tree::{Tree, leaf_hash};
use proptest::prelude::*;
use std::cell::Cell;
use tlog_tiles::tile::{Tile as Stock, TileHashReader, TileReader};
use tlog_tiles::tlog::{self, Hash, HashReader};

/// `tlog_tiles` asks for stored hashes by index.
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

fn leaf(n: u64, salt: u8) -> Vec<u8> {
    [&n.to_be_bytes()[..], &[salt]].concat()
}

fn both(size: u64, salt: u8) -> (Tree, Stored) {
    let (mut ours, mut stored) = (Tree::new(), Stored(vec![]));
    for n in 0..size {
        ours.append(leaf_hash(&leaf(n, salt)));
        let new = tlog::stored_hashes(n, &leaf(n, salt), &stored).unwrap();
        stored.0.extend(new);
    }
    (ours, stored)
}

/// The crate's paths name the height, 8, as the Go checksum database does; C2SP's do not.
fn path(tile: &Stock) -> String {
    tile.path().strip_prefix("tile/8/").unwrap().to_owned()
}

/// Our tiles under its reader; one byte of one tile may be altered.
struct Ours<'a> {
    tree: &'a Tree,
    alter: Option<(usize, usize)>,
    read: Cell<usize>,
}

impl TileReader for Ours<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Stock]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        self.read.set(self.read.get() + tiles.len());
        let mut all: Vec<Vec<u8>> =
            tiles.iter().map(|t| self.tree.tile(&Tile::parse(&path(t)).unwrap()).unwrap()).collect();
        if let Some((tile, byte)) = self.alter {
            let at = tile % all.len();
            let byte = byte % all[at].len();
            all[at][byte] ^= 1;
        }
        Ok(all)
    }

    fn save_tiles(&self, _: &[Stock], _: &[Vec<u8>]) {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_tile_of_a_tree_has_its_path_and_its_bytes(size in 1u64..1_500, salt: u8) {
        let (ours, stored) = both(size, salt);
        let tiles = Stock::new_tiles(8, 0, size);
        for tile in &tiles {
            let named = Tile::parse(&path(tile)).unwrap();
            prop_assert_eq!(named.path(), path(tile));
            prop_assert_eq!(ours.tile(&named).unwrap(), tile.read_data(&stored).unwrap());
        }
        prop_assert!(!tiles.is_empty());
    }

    #[test]
    fn any_index_has_the_same_path(level in 0u8..64, index: u64, width in 1u32..=256) {
        // Its parser takes paths of at most 52 bytes; its writer is the oracle.
        let tile = Stock::new(8, level, index, width, false);
        prop_assert_eq!(Tile::parse(&path(&tile)).map(|t| t.path()), Some(path(&tile)));
    }

    #[test]
    fn its_reader_proves_entries_and_growth_from_our_tiles(size in 2u64..1_500, salt: u8, a: u64, b: u64) {
        let (ours, _) = both(size, salt);
        let reader = Ours { tree: &ours, alter: None, read: Cell::new(0) };
        let tiles = TileHashReader::new(size, Hash(ours.root()), &reader);
        let (at, old) = (a % size, b % size + 1);
        let proof = tlog::prove_record(size, at, &tiles).unwrap();
        prop_assert!(tlog::check_record(&proof, size, Hash(ours.root()), at, tlog::record_hash(&leaf(at, salt))).is_ok());
        prop_assert_eq!(proof.into_iter().map(|h| h.0).collect::<Vec<_>>(), ours.inclusion_proof(at, size).unwrap());
        let its_old = tlog::tree_hash(old, &tiles).unwrap();
        let mut two = TwoRoots::new(old, size).unwrap();
        for tile in two.needed() {
            prop_assert!(two.add(tile, &ours.tile(&tile).unwrap()));
        }
        prop_assert_eq!(two.roots(), Some((its_old.0, ours.root())));
        prop_assert!(reader.read.get() > 0);
    }

    #[test]
    fn its_reader_and_ours_agree_on_altered_tiles(size in 2u64..1_500, salt: u8, which: (usize, usize)) {
        // Whatever it takes for authentic is: an alteration that it does not see is in hashes that it did not use.
        let (ours, _) = both(size, salt);
        let reader = Ours { tree: &ours, alter: Some(which), read: Cell::new(0) };
        let tiles = TileHashReader::new(size, Hash(ours.root()), &reader);
        if let Ok(root) = tlog::tree_hash(size, &tiles) {
            prop_assert_eq!(root.0, ours.root());
        }
        let mut two = TwoRoots::new(size, size).unwrap();
        let needed: Vec<Tile> = two.needed().into_iter().collect();
        for (n, tile) in needed.iter().enumerate() {
            let mut bytes = ours.tile(tile).unwrap();
            if n == which.0 % needed.len() {
                let at = which.1 % bytes.len();
                bytes[at] ^= 1;
            }
            prop_assert!(two.add(*tile, &bytes));
        }
        let (old, new) = two.roots().unwrap();
        prop_assert_eq!(old, new, "one size, one root");
    }
}
