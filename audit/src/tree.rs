//! RFC 6962 Merkle tree: hashing, a tree that grows, proofs and their verification.
//!
//! Hashing is RFC 6962 section 2.1. The verification algorithms are those of RFC 9162
//! sections 2.1.3.2 and 2.1.4.2 (same trees, iterative, exact about the proof's length).

use escrow_core::Digest;

/// A SHA-256 digest: of a leaf, of an inner node or of a whole tree.
pub type Hash = [u8; 32];

/// Root of the tree without leaves: SHA-256 of the empty string (RFC 6962 section 2.1).
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Hash of a leaf: SHA-256(0x00 || data) (RFC 6962 section 2.1).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    Digest::of_parts(&[&[0x00], data]).0
}

/// Hash of an inner node: SHA-256(0x01 || left || right) (RFC 6962 section 2.1).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Digest::of_parts(&[&[0x01], left, right]).0
}

/// Why a proof does not prove what it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not below the size, or the old size is above the new one.
    #[error("index or old size lies outside the tree")]
    OutOfRange,
    /// The proof has more or fewer hashes than these sizes call for.
    #[error("proof has the wrong number of hashes")]
    WrongLength,
    /// The proof leads to another root than the one given.
    #[error("proof does not lead to the root")]
    WrongRoot,
}

/// A growing tree that keeps the hash of every complete subtree (two hashes a leaf).
///
/// Appending is amortised O(1); every root and every proof of the present and of all
/// earlier sizes can be asked for.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// `levels[k][i]` covers the leaves from `i << k` up to `(i + 1) << k`.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Appends a leaf hash (see [`leaf_hash`]) and returns its index.
    pub fn append(&mut self, leaf: Hash) -> u64 {
        let index = self.size();
        let mut hash = leaf;
        // Each trailing one bit of the index is a complete left neighbour to merge with.
        for level in 0..=index.trailing_ones() as usize {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else {
                break;
            };
            let left = row.last().copied();
            row.push(hash);
            if let Some(left) = left {
                hash = node_hash(&left, &hash);
            }
        }
        index
    }

    /// Hash of leaf `index`, or `None` if there is no such leaf.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        self.complete(0, index)
    }

    /// Root over all leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root_at(self.size()).unwrap_or(EMPTY_ROOT)
    }

    /// Root over the first `size` leaves, in O(log n); `None` if there are fewer.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        if size == 0 { Some(EMPTY_ROOT) } else { self.range(0, size) }
    }

    /// Audit path of leaf `index` in the tree of the first `size` leaves, leaf's sibling
    /// first (RFC 6962 section 2.1.1). `None` unless `index < size <= self.size()`.
    #[must_use]
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if size > self.size() {
            return None;
        }
        inclusion_ranges(index, size)?.into_iter().map(|(low, high)| self.range(low, high)).collect()
    }

    /// Proof that the first `old` leaves are a prefix of the first `new` ones (RFC 6962
    /// section 2.1.2); empty if `old` is 0 or equal to `new`.
    /// `None` unless `old <= new <= self.size()`.
    #[must_use]
    pub fn consistency_proof(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        if new > self.size() {
            return None;
        }
        consistency_ranges(old, new)?.into_iter().map(|(low, high)| self.range(low, high)).collect()
    }

    /// Hash over the leaves `low..high`, where `low` is a boundary of the RFC's own splits.
    fn range(&self, low: u64, high: u64) -> Option<Hash> {
        let width = high.checked_sub(low)?;
        if width.is_power_of_two() {
            return self.complete(width.trailing_zeros(), low >> width.trailing_zeros());
        }
        let middle = low + split(width);
        Some(node_hash(&self.range(low, middle)?, &self.range(middle, high)?))
    }

    /// Hash of the complete subtree number `index` among those over `1 << level` leaves.
    pub(crate) fn complete(&self, level: u32, index: u64) -> Option<Hash> {
        let row = self.levels.get(usize::try_from(level).ok()?)?;
        row.get(usize::try_from(index).ok()?).copied()
    }
}

impl FromIterator<Hash> for Tree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut tree = Self::new();
        for leaf in leaves {
            tree.append(leaf);
        }
        tree
    }
}

/// The leaves under each hash of an inclusion proof, as `(low, high)` in the proof's order: for whoever
/// streams a log past instead of keeping its tree. `None` unless `index < size`.
#[must_use]
pub fn inclusion_ranges(index: u64, size: u64) -> Option<Vec<(u64, u64)>> {
    if index >= size {
        return None;
    }
    let (mut low, mut high) = (0, size);
    let mut ranges = Vec::new();
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            ranges.push((middle, high));
            high = middle;
        } else {
            ranges.push((low, middle));
            low = middle;
        }
    }
    ranges.reverse();
    Some(ranges)
}

/// The same for a consistency proof. `None` unless `old <= new`.
#[must_use]
pub fn consistency_ranges(old: u64, new: u64) -> Option<Vec<(u64, u64)>> {
    if old > new {
        return None;
    }
    if old == 0 || old == new {
        return Some(Vec::new());
    }
    let (mut low, mut high) = (0, new);
    let mut ranges = Vec::new();
    while high != old {
        let middle = low + split(high - low);
        if old <= middle {
            ranges.push((middle, high));
            high = middle;
        } else {
            ranges.push((low, middle));
            low = middle;
        }
    }
    // If the old tree is one complete subtree, the verifier already has its root.
    if low != 0 {
        ranges.push((low, high));
    }
    ranges.reverse();
    Some(ranges)
}

/// Hashes over given ranges of leaves, out of one pass over them in order.
#[derive(Debug, Clone)]
pub struct RangeHashes {
    ranges: Vec<(u64, u64, CompactRange)>,
    next: u64,
}

impl RangeHashes {
    /// Nothing passed yet; ranges as [`inclusion_ranges`] and [`consistency_ranges`] give them.
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let ranges = ranges.into_iter().map(|(low, high)| (low, high, CompactRange::new())).collect();
        Self { ranges, next: 0 }
    }

    /// Takes the next leaf's hash.
    pub fn push(&mut self, leaf: Hash) {
        for (low, high, range) in &mut self.ranges {
            if (*low..*high).contains(&self.next) {
                range.push(leaf);
            }
        }
        self.next += 1;
    }

    /// The hashes, in the order of the ranges; none if not all leaves came past.
    #[must_use]
    pub fn finish(self) -> Option<Vec<Hash>> {
        let whole = |(low, high, range): (u64, u64, CompactRange)| (range.size() == high - low).then(|| range.root());
        self.ranges.into_iter().map(whole).collect()
    }
}

/// Largest power of two below `width`, for `width >= 2` (RFC 6962's k).
pub(crate) fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// Checks that `leaf` is leaf number `index` of the tree with `size` leaves and root `root`.
///
/// Size and root must come from a verified checkpoint. At most 64 hashes are ever read.
///
/// # Errors
/// [`ProofError`]; also for a proof that is a prefix or an extension of the right one.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if is_right_child(&mut node, &mut last) {
            hash = node_hash(sibling, &hash);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    match last {
        0 if hash == *root => Ok(()),
        0 => Err(ProofError::WrongRoot),
        _ => Err(ProofError::WrongLength),
    }
}

/// Checks that the tree (`old`, `old_root`) is a prefix of the tree (`new`, `new_root`).
///
/// The proof must be empty exactly if `old` is 0 or equal to `new`; in those cases the
/// roots are compared with [`EMPTY_ROOT`] and with each other.
///
/// # Errors
/// [`ProofError`]; also for a proof that is a prefix or an extension of the right one.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange);
    }
    let empty_is_empty = |size, root: &Hash| size != 0 || *root == EMPTY_ROOT;
    if !empty_is_empty(old, old_root) || !empty_is_empty(new, new_root) {
        return Err(ProofError::WrongRoot);
    }
    if old == 0 || old == new {
        return match proof {
            [] if old == 0 || old_root == new_root => Ok(()),
            [] => Err(ProofError::WrongRoot),
            _ => Err(ProofError::WrongLength),
        };
    }
    // A complete old tree is a subtree of the new one: start from its root.
    let (start, rest) = match proof {
        rest if old.is_power_of_two() => (old_root, rest),
        [start, rest @ ..] => (start, rest),
        [] => return Err(ProofError::WrongLength),
    };
    let shift = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut old_hash, mut new_hash) = (*start, *start);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if is_right_child(&mut node, &mut last) {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    match last {
        0 if old_hash == *old_root && new_hash == *new_root => Ok(()),
        0 => Err(ProofError::WrongRoot),
        _ => Err(ProofError::WrongLength),
    }
}

/// Whether the next sibling stands to the left of `node`. On the right edge of a tree that
/// is not full, first climbs the levels at which the node has no sibling. The callers have
/// seen that `last` is not 0; a node on the right edge is then not 0 either.
fn is_right_child(node: &mut u64, last: &mut u64) -> bool {
    let right = *node & 1 == 1 || node == last;
    if right {
        let lonely = node.trailing_zeros();
        (*node, *last) = (*node >> lonely, *last >> lonely);
    }
    right
}

/// Root of a stream of leaves in O(log n) memory: for a verifier that reads a log once.
#[derive(Debug, Clone, Default)]
pub struct CompactRange {
    size: u64,
    /// Roots of the complete subtrees, largest first, one for each one bit of `size`.
    peaks: Vec<Hash>,
}

impl CompactRange {
    /// A range without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf hash (see [`leaf_hash`]).
    pub fn push(&mut self, leaf: Hash) {
        let kept = self.peaks.len().saturating_sub(self.size.trailing_ones() as usize);
        let merged = self.peaks.get(kept..).unwrap_or_default();
        let hash = merged.iter().rfold(leaf, |right, left| node_hash(left, &right));
        self.peaks.truncate(kept);
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        let from_right = self.peaks.iter().rev().copied();
        from_right.reduce(|right, left| node_hash(&left, &right)).unwrap_or(EMPTY_ROOT)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    #[test]
    fn leaves_and_nodes_are_different_domains() {
        let (left, right) = (leaf_hash(b"l"), leaf_hash(b"r"));
        assert_ne!(leaf_hash(&[left, right].concat()), node_hash(&left, &right));
        assert_eq!(EMPTY_ROOT, Digest::of(b"").0);
    }

    #[test]
    fn roots_of_all_sizes_follow_the_definition() {
        fn defined(leaves: &[Hash]) -> Hash {
            match leaves {
                [] => EMPTY_ROOT,
                [leaf] => *leaf,
                _ => {
                    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                    node_hash(&defined(left), &defined(right))
                }
            }
        }
        let leaves = leaves(70);
        let tree: Tree = leaves.iter().copied().collect();
        let mut range = CompactRange::new();
        for size in 0..=leaves.len() {
            let root = defined(&leaves[..size]);
            assert_eq!(tree.root_at(size as u64), Some(root));
            assert_eq!((range.size(), range.root()), (size as u64, root));
            if let Some(leaf) = leaves.get(size) {
                assert_eq!(tree.leaf(size as u64), Some(*leaf));
                range.push(*leaf);
            }
        }
        assert_eq!(tree.root_at(71), None);
        assert_eq!(tree.leaf(70), None);
    }

    #[test]
    fn every_inclusion_proof_holds_for_its_own_claim_only() {
        let leaves = leaves(20);
        let tree: Tree = leaves.iter().copied().collect();
        for size in 1..=20 {
            let root = tree.root_at(size).unwrap();
            for index in 0..size {
                let leaf = tree.leaf(index).unwrap();
                let proof = tree.inclusion_proof(index, size).unwrap();
                assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
                for other in (0..size).filter(|other| *other != index) {
                    assert!(verify_inclusion(&leaf, other, size, &proof, &root).is_err());
                }
                let longer = [&proof[..], &[leaf]].concat();
                let verdict = verify_inclusion(&leaf, index, size, &longer, &root);
                assert_eq!(verdict, Err(ProofError::WrongLength));
                if let Some((_, shorter)) = proof.split_last() {
                    let verdict = verify_inclusion(&leaf, index, size, shorter, &root);
                    assert_eq!(verdict, Err(ProofError::WrongLength));
                }
                for at in 0..proof.len() {
                    let mut bent = proof.clone();
                    bent[at][31] ^= 1;
                    let verdict = verify_inclusion(&leaf, index, size, &bent, &root);
                    assert_eq!(verdict, Err(ProofError::WrongRoot));
                }
            }
            assert_eq!(tree.inclusion_proof(size, size), None);
        }
        assert_eq!(tree.inclusion_proof(0, 21), None);
    }

    #[test]
    fn every_consistency_proof_holds_for_its_own_claim_only() {
        let tree: Tree = leaves(20).into_iter().collect();
        for new in 0..=20 {
            for old in 0..=new {
                let (a, b) = (tree.root_at(old).unwrap(), tree.root_at(new).unwrap());
                let proof = tree.consistency_proof(old, new).unwrap();
                assert_eq!(proof.is_empty(), old == 0 || old == new);
                assert_eq!(verify_consistency(old, &a, new, &b, &proof), Ok(()));
                let longer = [&proof[..], &[a]].concat();
                let verdict = verify_consistency(old, &a, new, &b, &longer);
                assert_eq!(verdict, Err(ProofError::WrongLength));
                if let Some((_, shorter)) = proof.split_last() {
                    let verdict = verify_consistency(old, &a, new, &b, shorter);
                    assert_eq!(verdict, Err(ProofError::WrongLength));
                }
                for at in 0..proof.len() {
                    let mut bent = proof.clone();
                    bent[at][0] ^= 1;
                    let verdict = verify_consistency(old, &a, new, &b, &bent);
                    assert_eq!(verdict, Err(ProofError::WrongRoot));
                }
                let mut bent = b;
                bent[0] ^= 1;
                // From the empty tree everything follows; otherwise the root is bound.
                let verdict = verify_consistency(old, &a, new, &bent, &proof);
                assert_eq!(verdict.is_ok(), old == 0 && new != 0);
                let mut bent = a;
                bent[0] ^= 1;
                assert_eq!(verify_consistency(old, &bent, new, &b, &proof), Err(ProofError::WrongRoot));
            }
            assert_eq!(tree.consistency_proof(new + 1, new), None);
        }
        assert_eq!(tree.consistency_proof(1, 21), None);
    }

    /// A root does not bind its size, so the length of the proof has to.
    #[test]
    fn a_root_is_not_taken_for_that_of_a_smaller_tree() {
        let tree: Tree = leaves(4).into_iter().collect();
        let (second, root) = (tree.leaf(1).unwrap(), tree.root_at(2).unwrap());
        let proof = tree.inclusion_proof(1, 2).unwrap();
        let verdict = verify_inclusion(&second, 0, 1, &proof, &root);
        assert_eq!(verdict, Err(ProofError::WrongLength));
        let (old, right) = (tree.root_at(2).unwrap(), tree.consistency_proof(2, 4).unwrap());
        let verdict = verify_consistency(2, &old, 2, &tree.root(), &right);
        assert_eq!(verdict, Err(ProofError::WrongLength));
        let fork = node_hash(&right[0], &node_hash(&old, &right[0]));
        let twice = [right[0], right[0]];
        let verdict = verify_consistency(2, &old, 4, &fork, &twice);
        assert_eq!(verdict, Err(ProofError::WrongLength));
    }

    #[test]
    fn the_largest_sizes_do_not_overflow() {
        let leaf = leaf_hash(b"x");
        let siblings: Vec<Hash> = leaves(65);
        let to_the_left = siblings[..63].iter().fold(leaf, |hash, s| node_hash(s, &hash));
        let to_the_right = siblings[..64].iter().fold(leaf, |hash, s| node_hash(&hash, s));
        let (last, all) = (u64::MAX - 1, u64::MAX);
        assert_eq!(verify_inclusion(&leaf, last, all, &siblings[..63], &to_the_left), Ok(()));
        assert_eq!(verify_inclusion(&leaf, 0, all, &siblings[..64], &to_the_right), Ok(()));
        for (index, size) in [(0, all), (last, all), (all, all), (1 << 63, all), (0, 1 << 63)] {
            for length in [0, 1, 62, 65] {
                let proof = &siblings[..length];
                assert!(verify_inclusion(&leaf, index, size, proof, &to_the_left).is_err());
                assert!(verify_consistency(index, &leaf, size, &to_the_left, proof).is_err());
                assert!(verify_consistency(size, &leaf, index, &to_the_left, proof).is_err());
            }
        }
        assert_eq!(verify_consistency(1, &leaf, all, &to_the_right, &siblings[..64]), Ok(()));
    }
}
