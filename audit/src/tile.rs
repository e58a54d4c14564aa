//! C2SP tlog-tiles: the tree as resources of up to 256 hashes, and two roots computed from them.
//!
//! Format: c2sp.org/tlog-tiles. A tile's bytes depend on its path alone: they are hashes of complete
//! subtrees, which no later entry changes.

use crate::checkpoint::parse_decimal;
use crate::tree::{EMPTY_ROOT, Hash, Tree, node_hash, split};
use std::collections::{BTreeMap, BTreeSet};

/// Hashes in a full tile, entries in a full bundle.
pub const FULL: u16 = 256;
/// Levels of the tree that one tile spans.
const HEIGHT: u32 = 8;
/// Longest path that is looked at: 8 elements of the index, level and width.
const PATH_MAX: usize = 64;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Hashes at a level of tiles, 0 to 63; level 0 are the leaves.
    Hashes(u8),
    /// Entries, each after its length.
    Entries,
}

/// Name of one tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    content: Content,
    index: u64,
    width: u16,
}

impl Tile {
    /// Reads a path below `tile/`: `<L>/<N>` or `entries/<N>`, with `.p/<W>` if the tile is partial.
    /// None for anything that [`Tile::path`] would not write.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > PATH_MAX {
            return None;
        }
        let (level, rest) = path.split_once('/')?;
        let content = match level {
            "entries" => Content::Entries,
            level => Content::Hashes(level.parse().ok().filter(|l| *l < 64)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, u16::try_from(parse_decimal(width)?).ok()?),
            None => (rest, FULL),
        };
        let mut index: u64 = 0;
        for element in number.split('/') {
            let digits = element.strip_prefix('x').unwrap_or(element);
            index = index.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = Self { content, index, width };
        (tile.width > 0 && tile.width <= FULL && tile.path() == path).then_some(tile)
    }

    /// The path below `tile/`.
    #[must_use]
    pub fn path(&self) -> String {
        let mut number = format!("{:03}", self.index % 1_000);
        let mut above = self.index / 1_000;
        while above > 0 {
            number = format!("x{:03}/{number}", above % 1_000);
            above /= 1_000;
        }
        let partial = if self.width == FULL { String::new() } else { format!(".p/{}", self.width) };
        match self.content {
            Content::Hashes(level) => format!("{level}/{number}{partial}"),
            Content::Entries => format!("entries/{number}{partial}"),
        }
    }

    /// What it holds.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content
    }

    /// Position of its first hash at its level, or of its first entry; none above 2^64.
    #[must_use]
    pub fn start(&self) -> Option<u64> {
        self.index.checked_mul(u64::from(FULL))
    }

    /// How many hashes or entries it holds, 1 to [`FULL`].
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// The tile of hashes, as wide as a tree of `size` has it, with what the node at (`level`, `index`) of that
    /// tree is computed from.
    fn over(level: u32, index: u64, size: u64) -> Option<Self> {
        let (of, inside) = (level / HEIGHT, level % HEIGHT);
        let number = (index << inside) >> HEIGHT;
        let there = size.checked_shr(of * HEIGHT).unwrap_or(0).saturating_sub(number << HEIGHT);
        let width = u16::try_from(there.min(u64::from(FULL))).ok().filter(|w| *w > 0)?;
        Some(Self { content: Content::Hashes(u8::try_from(of).ok()?), index: number, width })
    }
}

impl Tree {
    /// The bytes of a tile of hashes, or `None` if the tree has not all of it or the tile is one of entries.
    #[must_use]
    pub fn tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        let Content::Hashes(level) = tile.content else { return None };
        let (level, start) = (u32::from(level) * HEIGHT, tile.start()?);
        let hashes = (start..start.checked_add(u64::from(tile.width))?).map(|at| self.complete(level, at));
        Some(hashes.collect::<Option<Vec<Hash>>>()?.concat())
    }
}

/// An entry bundle: each entry after its length in two bytes, big-endian. `None` if one is longer than 65 535 bytes.
#[must_use]
pub fn bundle<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for entry in entries {
        out.extend(u16::try_from(entry.len()).ok()?.to_be_bytes());
        out.extend(entry);
    }
    Some(out)
}

/// Roots of a tree at two of its sizes, out of tiles that anybody may have made.
///
/// Both roots are computed from the same subtrees. So if the newer root is a signed one, the subtrees are those
/// of the signed tree, and the older root is the one that this tree had: whoever signed another one forked.
#[derive(Debug, Clone)]
pub struct TwoRoots {
    old: u64,
    new: u64,
    tiles: BTreeMap<Tile, Vec<Hash>>,
}

impl TwoRoots {
    /// For the sizes `old` and `new`; `None` unless `0 < old <= new`.
    #[must_use]
    pub fn new(old: u64, new: u64) -> Option<Self> {
        (old > 0 && old <= new).then(|| Self { old, new, tiles: BTreeMap::new() })
    }

    /// The tiles that are needed: a few for each level of the tree.
    #[must_use]
    pub fn needed(&self) -> BTreeSet<Tile> {
        let mut tiles = BTreeSet::new();
        fold(0, self.new, self.old, &mut |level, index| {
            tiles.extend(Tile::over(level, index, self.new));
            Some(EMPTY_ROOT)
        });
        tiles
    }

    /// Takes the bytes of a tile; false if they are not as many hashes as the tile is wide.
    pub fn add(&mut self, tile: Tile, bytes: &[u8]) -> bool {
        let (hashes, rest) = bytes.as_chunks();
        let fits = rest.is_empty() && hashes.len() == usize::from(tile.width);
        if fits {
            self.tiles.insert(tile, hashes.to_vec());
        }
        fits
    }

    /// The root at the older size and at the newer one; `None` while a tile is missing.
    #[must_use]
    pub fn roots(&self) -> Option<(Hash, Hash)> {
        let old = fold(0, self.old, self.old, &mut |level, index| self.node(level, index))?;
        Some((old, fold(0, self.new, self.old, &mut |level, index| self.node(level, index))?))
    }

    /// The subtrees that both roots are computed from, from left to right: height, number among those of its
    /// height, hash. `None` while a tile is missing.
    #[must_use]
    pub fn subtrees(&self) -> Option<Vec<(u32, u64, Hash)>> {
        let mut nodes = Vec::new();
        fold(0, self.new, self.old, &mut |level, index| {
            let hash = self.node(level, index)?;
            nodes.push((level, index, hash));
            Some(hash)
        })?;
        Some(nodes)
    }

    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        let hashes = self.tiles.get(&Tile::over(level, index, self.new)?)?;
        let inside = level % HEIGHT;
        let first = usize::try_from((index << inside) % u64::from(FULL)).ok()?;
        let mut row = hashes.get(first..first.checked_add(1 << inside)?)?.to_vec();
        while row.len() > 1 {
            row = row.as_chunks().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        row.first().copied()
    }
}

/// Hash over the leaves `low..high`, split as RFC 6962 does and also wherever a subtree holds leaves on both sides
/// of `at`.
fn fold(low: u64, high: u64, at: u64, node: &mut dyn FnMut(u32, u64) -> Option<Hash>) -> Option<Hash> {
    let width = high.checked_sub(low)?;
    if width.is_power_of_two() && !(low < at && at < high) {
        return node(width.trailing_zeros(), low >> width.trailing_zeros());
    }
    let middle = low + split(width);
    Some(node_hash(&fold(low, middle, at, node)?, &fold(middle, high, at, node)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::tree::leaf_hash;

    fn tree(size: u64) -> Tree {
        (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    fn two_roots(tree: &Tree, old: u64, new: u64) -> TwoRoots {
        let mut both = TwoRoots::new(old, new).unwrap();
        for tile in both.needed() {
            assert!(both.add(tile, &tree.tile(&tile).unwrap()), "{}", tile.path());
        }
        both
    }

    #[test]
    fn paths_are_those_of_the_specification_and_no_others() {
        let longest = "0/x018/x446/x744/x073/x709/x551/615";
        for good in ["0/000", "0/999", "0/x001/000", "0/x001/x234/067", "63/000.p/1", "1/x001/x234/067.p/255", longest]
        {
            assert_eq!(Tile::parse(good).unwrap().path(), good);
        }
        assert_eq!(Tile::parse("0/x001/x234/067").unwrap().start(), Some(1_234_067 * 256));
        let entries = Tile::parse("entries/x001/000.p/7").unwrap();
        assert_eq!((entries.content(), entries.start(), entries.width()), (Content::Entries, Some(256_000), 7));
        for bad in [
            "",
            "0",
            "0/",
            "/000",
            "00/000",
            "+0/000",
            "64/000",
            "256/000",
            "x/000",
            "Entries/000",
            "0/0",
            "0/00",
            "0/0000",
            "0/1234",
            "0/x000/000",
            "0/001/000",
            "0/x001/x000",
            "0/x01/000",
            "0/+01",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "0/000.p/1.p/1",
            "0/000.p/+1",
            "0/000/",
            "0//000",
            "0/000.p/1/",
            "tile/0/000",
            "0/x001",
            "0/xx01/000",
            "0/x018/x446/x744/x073/x709/x551/616",
            "0/x001/x018/x446/x744/x073/x709/x551/615",
        ] {
            assert_eq!(Tile::parse(bad), None, "{bad}");
        }
        assert_eq!(Tile::parse(&format!("0/{}000", "x000/".repeat(40))), None);
    }

    #[test]
    fn a_tile_is_served_when_the_tree_has_all_of_it() {
        // The example of the specification: 273 full tiles and one of 112, one full and one of 17, one of 1.
        let big = tree(70_000);
        let get = |path: &str| big.tile(&Tile::parse(path).unwrap());
        assert_eq!(get("0/272").unwrap().len(), 8_192);
        assert_eq!(get("0/273.p/112").unwrap().len(), 112 * 32);
        assert_eq!(get("0/273.p/112").unwrap()[..32], get("0/273.p/1").unwrap());
        assert_eq!(get("0/000").unwrap()[..32], big.leaf(0).unwrap());
        assert_eq!(get("1/000").unwrap()[..32], big.root_at(256).unwrap());
        assert_eq!(get("1/001.p/17").unwrap().len(), 17 * 32);
        assert_eq!(get("2/000.p/1").unwrap(), big.root_at(65_536).unwrap());
        for missing in [
            "0/273",
            "0/273.p/113",
            "0/274.p/1",
            "1/001.p/18",
            "1/001",
            "2/000",
            "2/000.p/2",
            "3/000.p/1",
            "63/000.p/1",
        ] {
            assert_eq!(get(missing), None, "{missing}");
        }
        assert_eq!(get("0/x018/x446/x744/x073/x709/x551/615.p/1"), None);
        assert_eq!(get("entries/000"), None, "entries are not in the tree");
    }

    #[test]
    fn two_roots_come_out_of_few_tiles_at_every_pair_of_sizes() {
        let all = tree(600);
        for new in [1, 2, 3, 7, 255, 256, 257, 300, 511, 512, 513, 600] {
            for old in 1..=new {
                let both = two_roots(&all, old, new);
                let roots = (all.root_at(old).unwrap(), all.root_at(new).unwrap());
                assert_eq!(both.roots(), Some(roots), "{old} {new}");
                assert!(both.needed().len() <= 4);
            }
        }
        for (old, new) in [(0, 1), (0, 0), (2, 1)] {
            assert!(TwoRoots::new(old, new).is_none());
        }
        let deep = tree(66_000);
        let both = two_roots(&deep, 65_535, 66_000);
        assert_eq!(both.roots(), Some((deep.root_at(65_535).unwrap(), deep.root())));
        assert!(both.needed().len() <= 6, "{:?}", both.needed());
    }

    #[test]
    fn altered_tiles_move_the_newer_root() {
        let all = tree(300);
        for old in [1, 64, 100, 256, 299] {
            let honest = two_roots(&all, old, 300);
            // Every hash that one of the roots is computed from; the others in the tile do not count.
            let used = honest.subtrees().unwrap();
            for tile in honest.needed() {
                let bytes = all.tile(&tile).unwrap();
                for at in 0..usize::from(tile.width()) {
                    let mut bent = bytes.clone();
                    bent[at * 32] ^= 1;
                    let mut both = honest.clone();
                    assert!(both.add(tile, &bent));
                    let moved = both.subtrees().unwrap() != used;
                    assert_eq!(both.roots().unwrap().1 != all.root(), moved, "{} {at}", tile.path());
                }
                let mut short = TwoRoots::new(old, 300).unwrap();
                assert!(!short.add(tile, &bytes[1..]) && !short.add(tile, &[]) && short.roots().is_none());
            }
        }
    }

    #[test]
    fn a_bundle_is_entries_after_their_lengths() {
        let entries = [&b"a"[..], b"", &[7; 300]];
        let bytes = bundle(entries).unwrap();
        assert_eq!(bytes[..3], [0, 1, b'a']);
        assert_eq!(bytes[3..5], [0, 0]);
        assert_eq!(bytes[5..7], [1, 44]);
        assert_eq!(bytes.len(), 1 + 300 + 6);
        assert_eq!(bundle([&[0; 65_536][..]]), None);
        assert!(bundle([&[0; 65_535][..]]).is_some());
    }
}
