//! Two signed heads of one log: does the second follow from the first?

use escrow_audit::checkpoint::VerifiedCheckpoint;
use escrow_audit::tile::TwoRoots;

/// How a head relates to the one remembered.
#[derive(Debug)]
pub(super) enum Compared {
    /// It is the same or extends it.
    Follows,
    /// The log's key signed two histories.
    Fork,
    /// It is an older one.
    Rollback,
    /// What was shown with it does not lead to its root: this says nothing of the log's key.
    False,
    /// Only tiles can tell.
    Prove(TwoRoots),
}

/// What the two heads tell by themselves.
pub(super) fn heads(old: &VerifiedCheckpoint, shown: &VerifiedCheckpoint) -> Compared {
    if old.contradicts(shown) {
        return Compared::Fork;
    }
    if shown.size() < old.size() {
        return Compared::Rollback;
    }
    // From the empty tree everything follows, and a head follows from itself.
    let growth = TwoRoots::new(old.size(), shown.size()).filter(|_| old.size() < shown.size());
    growth.map_or(Compared::Follows, Compared::Prove)
}

/// What they tell with the subtrees that both roots are computed from.
pub(super) fn roots(old: &VerifiedCheckpoint, shown: &VerifiedCheckpoint, both: &TwoRoots) -> Compared {
    match both.roots() {
        // Only subtrees of the tree that was signed may accuse.
        Some((_, new_root)) if new_root != *shown.root() => Compared::False,
        Some((old_root, _)) if old_root != *old.root() => Compared::Fork,
        Some(_) => Compared::Follows,
        None => Compared::False,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use escrow_audit::checkpoint::Checkpoint;
    use escrow_audit::note::NoteSigner;
    use escrow_audit::tree::{Tree, leaf_hash};
    use escrow_core::SigningKey;

    fn tree(size: u64, forked_at: u64) -> Tree {
        (0..size).map(|n| leaf_hash(&[n.to_be_bytes(), u64::from(n == forked_at).to_be_bytes()].concat())).collect()
    }

    struct Log(SigningKey);

    impl Log {
        fn head(&self, tree: &Tree) -> VerifiedCheckpoint {
            let SigningKey::Ed25519(key) = &self.0 else { panic!("an Ed25519 key") };
            let signer = NoteSigner::new("log/1", key).unwrap();
            Checkpoint::new("log/1", tree.size(), tree.root()).unwrap().sign(&signer).unwrap()
        }

        /// What a watch finds when the log of `shows` was `had` and its tiles come from `serves`.
        fn found(&self, had: &Tree, shows: &Tree, serves: &Tree) -> Compared {
            let (old, shown) = (self.head(had), self.head(shows));
            match heads(&old, &shown) {
                Compared::Prove(mut both) => {
                    for tile in both.needed() {
                        assert!(both.add(tile, &serves.tile(&tile).unwrap()));
                    }
                    roots(&old, &shown, &both)
                }
                found => found,
            }
        }
    }

    const NOWHERE: u64 = u64::MAX;

    #[test]
    fn growth_follows_and_every_other_past_is_a_fork() {
        let log = Log(SigningKey::generate_ed25519());
        for (old, new) in [(1, 2), (4, 7), (5, 5), (8, 16), (255, 257), (256, 300), (256, 512), (299, 300)] {
            let (had, shows) = (tree(old, NOWHERE), tree(new, NOWHERE));
            assert!(matches!(log.found(&had, &shows, &shows), Compared::Follows), "{old} {new}");
            for at in [0, old / 2, old - 1] {
                let fork = tree(new, at);
                assert!(matches!(log.found(&had, &fork, &fork), Compared::Fork), "{old} {new} {at}");
                if old < new {
                    // With the tiles of the other tree, which lead nowhere that was signed.
                    assert!(matches!(log.found(&had, &fork, &shows), Compared::False), "{old} {new} {at}");
                    assert!(matches!(log.found(&had, &shows, &fork), Compared::False), "{old} {new} {at}");
                }
            }
            let fork = tree(new, old);
            assert!(matches!(log.found(&had, &fork, &fork), Compared::Follows), "what comes later is the log's own");
        }
    }

    #[test]
    fn an_older_head_is_a_rollback_and_an_empty_log_is_none() {
        let log = Log(SigningKey::generate_ed25519());
        let (five, seven) = (tree(5, NOWHERE), tree(7, NOWHERE));
        assert!(matches!(log.found(&seven, &five, &five), Compared::Rollback));
        assert!(matches!(log.found(&five, &tree(0, NOWHERE), &five), Compared::Rollback));
        assert!(matches!(log.found(&tree(0, NOWHERE), &five, &five), Compared::Follows));
        let (old, shown) = (log.head(&five), log.head(&seven));
        let Compared::Prove(both) = heads(&old, &shown) else { panic!("tiles are needed") };
        assert!(matches!(roots(&old, &shown, &both), Compared::False), "without tiles nothing is proven");
    }
}
