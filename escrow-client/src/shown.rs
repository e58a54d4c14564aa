//! What a node shows of other people's statements: verified before it counts, because nodes may lie.
//! Nodes do not believe each other either; this keeps a liar from misleading the person who looks.

use crate::charters::Charters;
use crate::outcome::NodeError;
use escrow_core::release::Caller;
use escrow_core::{Blob, Envelope, PublicKey, Statement};

/// Adds the shown statements that `counts` takes and that are not known yet. Signatures belong into
/// `counts`: a copy with a bad one must not take the place of the good one that another node shows.
///
/// # Errors
/// [`NodeError::Protocol`] if something shown is no such statement.
pub(crate) fn add<T: Statement>(
    known: &mut Vec<(T, Envelope)>,
    shown: &[Blob],
    counts: impl Fn(&T, &Envelope) -> bool,
) -> Result<(), NodeError> {
    for blob in shown {
        let envelope = crate::transport::envelope(blob, T::KIND.name())?;
        let statement: T = envelope.decode().map_err(|e| NodeError::Protocol(e.to_string()))?;
        let new = known.iter().all(|(_, e)| e.digest() != envelope.digest());
        if new && counts(&statement, &envelope) {
            known.push((statement, envelope));
        }
    }
    Ok(())
}

/// True if this key alone signed.
pub(crate) fn signed_with(envelope: &Envelope, key: &PublicKey) -> bool {
    envelope.signers(|id| if key.id() == *id { vec![key.clone()] } else { vec![] }).is_ok()
}

/// True if this person, with a key of the charter chain, or this device signed.
pub(crate) fn signed_by(charters: &Charters, envelope: &Envelope, by: &Caller) -> bool {
    match by {
        Caller::Person(id) => charters.signed_by(envelope, id),
        Caller::Device(key) => signed_with(envelope, key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::World;
    use escrow_core::Digest;
    use escrow_core::decision::{Choice, Decision};
    use escrow_core::recovery::Veto;

    /// The same payload under the signature of somebody else.
    fn forged(statement: &impl Statement, world: &World) -> Blob {
        Blob(world.client(&world.recipient).sign(statement).unwrap().bytes().to_vec())
    }

    #[test]
    fn a_bad_copy_does_not_take_the_place_of_the_good_one() {
        let world = World::new();
        let admin = world.client(&world.admin);
        let envelope =
            admin.decision(Digest([1; 32]), Choice::Deny, "legal".parse().unwrap(), "r".parse().unwrap()).unwrap();
        let decision: Decision = envelope.decode().unwrap();
        let counts = |d: &Decision, e: &Envelope| world.charters.signed_by(e, &d.by);
        let mut known = vec![];
        add(&mut known, &[forged(&decision, &world)], counts).unwrap();
        assert!(known.is_empty());
        let good = Blob(envelope.bytes().to_vec());
        add(&mut known, &[good.clone(), good], counts).unwrap();
        assert_eq!(known.iter().map(|(_, e)| e).collect::<Vec<_>>(), [&envelope], "once");
        let other = world.client(&world.device).veto(Digest([1; 32]), "r".parse().unwrap()).unwrap();
        assert!(add(&mut known, &[Blob(other.bytes().to_vec())], counts).is_err(), "another kind");
    }

    #[test]
    fn a_veto_counts_only_from_whom_it_names() {
        let world = World::new();
        for who in [&world.device, &world.admin] {
            let envelope = world.client(who).veto(Digest([1; 32]), "r".parse().unwrap()).unwrap();
            let veto: Veto = envelope.decode().unwrap();
            let false_one = Envelope::parse(&forged(&veto, &world).0).unwrap();
            assert!(signed_by(&world.charters, &envelope, &veto.by));
            assert!(!signed_by(&world.charters, &false_one, &veto.by));
        }
    }
}
