//! C2SP tlog-witness: the add-checkpoint request, and what a witness must decide about it.
//!
//! Format and order of checks: c2sp.org/tlog-witness, "add-checkpoint". The decision is
//! pure. The caller makes it atomic: read the stored head, decide, persist the new head by
//! compare-and-swap, and only then cosign and answer.

use crate::{
    checkpoint::{self, Checkpoint, CheckpointError, VerifiedCheckpoint},
    note::{Note, NoteError, VerifierKey},
    tree::{self, EMPTY_ROOT, Hash},
};

/// Longest request accepted, in bytes.
pub const MAX_REQUEST_LEN: usize = 65_536;
/// Most lines of consistency proof in a request.
pub const MAX_PROOF_LINES: usize = 63;
/// Content type of the body that answers a wrong old size ([`Refuse::body`]).
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// Why a request body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Longer than [`MAX_REQUEST_LEN`].
    #[error("request is longer than {MAX_REQUEST_LEN} bytes")]
    TooLong,
    /// Not an old size line, proof lines, an empty line and a note.
    #[error("request is not an old size, proof lines, an empty line and a note")]
    Layout,
    /// More than [`MAX_PROOF_LINES`] proof lines.
    #[error("request has more than {MAX_PROOF_LINES} proof lines")]
    TooManyLines,
    /// The note is malformed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note is not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A request to cosign: the old size, a proof from there, and the new head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old: u64,
    proof: Vec<Hash>,
    note: Note,
    claim: Checkpoint,
}

impl AddCheckpoint {
    /// What a log sends: its newest head, and the proof from size `old` that the witness
    /// last cosigned (0 if none, with an empty proof).
    ///
    /// # Errors
    /// [`RequestError`] if the result would not parse.
    pub fn new(old: u64, proof: Vec<Hash>, head: &VerifiedCheckpoint) -> Result<Self, RequestError> {
        let claim = Checkpoint::parse(head.note().text())?;
        let request = Self { old, proof, note: head.note().clone(), claim };
        Self::parse(&request.to_bytes())
    }

    /// Parses a request body of at most [`MAX_REQUEST_LEN`] bytes.
    ///
    /// # Errors
    /// [`RequestError`]; answer it with status 400.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_REQUEST_LEN {
            return Err(RequestError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| RequestError::Layout)?;
        let (head, note) = text.split_once("\n\n").ok_or(RequestError::Layout)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(checkpoint::parse_decimal).ok_or(RequestError::Layout)?;
        if lines.clone().count() > MAX_PROOF_LINES {
            return Err(RequestError::TooManyLines);
        }
        let proof = lines.map(checkpoint::parse_hash).collect::<Option<Vec<_>>>();
        let proof = proof.ok_or(RequestError::Layout)?;
        let note = Note::parse(note.as_bytes())?;
        let claim = Checkpoint::parse(note.text())?;
        Ok(Self { old, proof, note, claim })
    }

    /// The request body: exactly the bytes that [`AddCheckpoint::parse`] read.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("old {}\n", self.old);
        for hash in &self.proof {
            text.push_str(&checkpoint::encode_hash(hash));
            text.push('\n');
        }
        text.push('\n');
        [text.into_bytes(), self.note.to_bytes()].concat()
    }

    /// The note as it came. Its signature is unverified until [`decide`] has looked at it.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// What the note claims, unverified as well.
    #[must_use]
    pub fn claim(&self) -> &Checkpoint {
        &self.claim
    }

    /// The origin that the unverified note claims: for looking up log key and stored head.
    #[must_use]
    pub fn claimed_origin(&self) -> &str {
        self.claim.origin()
    }
}

/// A head to persist and then to cosign. Only [`decide`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    checkpoint: VerifiedCheckpoint,
}

impl Accept {
    /// New size to store.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.checkpoint.size()
    }

    /// New root to store.
    #[must_use]
    pub fn root(&self) -> &Hash {
        self.checkpoint.root()
    }

    /// The verified head, whose note text is what gets cosigned ([`crate::note::cosign`]).
    #[must_use]
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refuse {
    /// The body cannot be read (400).
    #[error(transparent)]
    Malformed(#[from] RequestError),
    /// The origin is not one that this witness watches (404).
    #[error("origin is not watched")]
    UnknownOrigin,
    /// The log's key did not sign the note, or its signature is wrong (403).
    #[error("checkpoint is not signed by the log")]
    NotSigned,
    /// The old size is above the checkpoint's size (400).
    #[error("old size is above the checkpoint's size")]
    OldAboveNew,
    /// The log signed another root for the size that is stored (409). The two notes together
    /// prove that the log's key forked: keep both, never cosign this origin again.
    #[error("log signed two roots for size {stored}")]
    Conflict {
        /// Size that both heads have.
        stored: u64,
    },
    /// The old size is not the stored one (409); the log retries from the stored size.
    #[error("old size is not the stored size {stored}")]
    WrongOldSize {
        /// Size of the head that this witness holds, 0 if none.
        stored: u64,
    },
    /// The consistency proof does not verify (422). Keep the request: it may be evidence.
    #[error("checkpoint is not proven consistent: {0}")]
    Inconsistent(tree::ProofError),
}

impl Refuse {
    /// HTTP status code that c2sp.org/tlog-witness gives this answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldAboveNew => 400,
            Self::NotSigned => 403,
            Self::UnknownOrigin => 404,
            Self::Conflict { .. } | Self::WrongOldSize { .. } => 409,
            Self::Inconsistent(_) => 422,
        }
    }

    /// Body of a 409 answer: the stored size and a newline, as [`SIZE_CONTENT_TYPE`].
    #[must_use]
    pub fn body(&self) -> Option<String> {
        match self {
            Self::Conflict { stored } | Self::WrongOldSize { stored } => Some(format!("{stored}\n")),
            _ => None,
        }
    }
}

/// Reads the body of a 409 answer: the size that the witness holds.
#[must_use]
pub fn parse_size_body(body: &[u8]) -> Option<u64> {
    checkpoint::parse_decimal(std::str::from_utf8(body).ok()?.strip_suffix('\n')?)
}

/// Decides a request, given the head (size, root) last cosigned for `log`, if any.
///
/// The caller looked `log` up by [`AddCheckpoint::claimed_origin`]; no key, no decision:
/// answer [`Refuse::UnknownOrigin`]. An accepted head must be durable before it is cosigned.
///
/// # Errors
/// [`Refuse`], in the order of the specification, except that a proven fork is reported as
/// such whatever old size the request names.
pub fn decide(request: &AddCheckpoint, stored: Option<(u64, Hash)>, log: &VerifierKey) -> Result<Accept, Refuse> {
    let (size, root) = stored.unwrap_or((0, EMPTY_ROOT));
    let checkpoint = Checkpoint::verify_note(request.note.clone(), log.name(), log);
    let checkpoint = checkpoint.map_err(|error| match error {
        CheckpointError::Origin => Refuse::UnknownOrigin,
        CheckpointError::Note(_) | CheckpointError::NotALogKey => Refuse::NotSigned,
        malformed => Refuse::Malformed(malformed.into()),
    })?;
    if checkpoint.size() == size && *checkpoint.root() != root {
        return Err(Refuse::Conflict { stored: size });
    }
    if request.old > checkpoint.size() {
        return Err(Refuse::OldAboveNew);
    }
    if request.old != size {
        return Err(Refuse::WrongOldSize { stored: size });
    }
    tree::verify_consistency(size, &root, checkpoint.size(), checkpoint.root(), &request.proof)
        .map_err(Refuse::Inconsistent)?;
    Ok(Accept { checkpoint })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::{
        note::{KeyKind, NoteSigner},
        tree::{ProofError, Tree, leaf_hash},
    };

    const ORIGIN: &str = "log.example/1";

    fn tree(size: u8, salt: u8) -> Tree {
        (0..size).map(|i| leaf_hash(&[i, salt])).collect()
    }

    fn log(seed: u8) -> VerifierKey {
        let secret = SigningKey::from_bytes(&[seed; 32]);
        VerifierKey::new(ORIGIN, KeyKind::Log, &secret.verifying_key()).unwrap()
    }

    fn request(old: u64, tree: &Tree) -> AddCheckpoint {
        let secret = SigningKey::from_bytes(&[1; 32]);
        let signer = NoteSigner::new(ORIGIN, &secret).unwrap();
        let head = Checkpoint::new(ORIGIN, tree.size(), tree.root()).unwrap();
        let proof = tree.consistency_proof(old, tree.size()).unwrap_or_default();
        AddCheckpoint::new(old, proof, &head.sign(&signer).unwrap()).unwrap()
    }

    fn stored(tree: &Tree) -> Option<(u64, Hash)> {
        Some((tree.size(), tree.root()))
    }

    #[test]
    fn heads_that_grow_are_accepted() {
        let eight = tree(8, 0);
        for size in 0..=8 {
            let at = eight.root_at(size).unwrap();
            let accept = decide(&request(size, &eight), Some((size, at)), &log(1)).unwrap();
            assert_eq!((accept.size(), *accept.root()), (8, eight.root()));
            assert_eq!(accept.checkpoint().origin(), ORIGIN);
        }
        // A first meeting, and the same head again (a heartbeat), the empty tree included.
        assert!(decide(&request(0, &eight), None, &log(1)).is_ok());
        let empty = tree(0, 0);
        assert_eq!(decide(&request(0, &empty), None, &log(1)).unwrap().size(), 0);
        assert_eq!(decide(&request(0, &empty), stored(&empty), &log(1)).unwrap().size(), 0);
    }

    #[test]
    fn each_fault_has_its_status() {
        let (five, eight, fork) = (tree(5, 0), tree(8, 0), tree(8, 1));
        let refuse = |request: &AddCheckpoint, held| decide(request, held, &log(1)).unwrap_err();

        let unsigned = decide(&request(5, &eight), stored(&five), &log(2)).unwrap_err();
        assert_eq!((unsigned.status(), unsigned), (403, Refuse::NotSigned));

        let secret = SigningKey::from_bytes(&[1; 32]).verifying_key();
        let other = VerifierKey::new("log.example/2", KeyKind::Log, &secret).unwrap();
        let unknown = decide(&request(5, &eight), stored(&five), &other).unwrap_err();
        assert_eq!((unknown.status(), unknown), (404, Refuse::UnknownOrigin));

        let above = refuse(&request(9, &eight), stored(&five));
        assert_eq!((above.status(), above), (400, Refuse::OldAboveNew));

        for old in [0, 4, 6, 8] {
            let wrong = refuse(&request(old, &eight), stored(&five));
            assert_eq!(wrong.body(), Some("5\n".into()));
            assert_eq!((wrong.status(), wrong), (409, Refuse::WrongOldSize { stored: 5 }));
        }
        let behind = refuse(&request(5, &five), stored(&eight));
        assert_eq!(behind, Refuse::WrongOldSize { stored: 8 });
        let first = refuse(&request(5, &eight), None);
        assert_eq!((first.body(), first), (Some("0\n".into()), Refuse::WrongOldSize { stored: 0 }));

        let inconsistent = refuse(&request(5, &fork), stored(&five));
        assert_eq!(inconsistent.status(), 422);
        assert_eq!(inconsistent, Refuse::Inconsistent(ProofError::WrongRoot));
        let mut padded = request(0, &eight);
        padded.proof.push([0; 32]);
        assert_eq!(refuse(&padded, None), Refuse::Inconsistent(ProofError::WrongLength));
        let mut padded = request(8, &eight);
        padded.proof.push([0; 32]);
        let verdict = refuse(&padded, stored(&eight));
        assert_eq!(verdict, Refuse::Inconsistent(ProofError::WrongLength));
        assert_eq!(verdict.body(), None);
    }

    #[test]
    fn a_fork_at_the_stored_size_is_a_conflict_whatever_old_says() {
        let (eight, fork) = (tree(8, 0), tree(8, 1));
        for old in [0, 3, 8, 9] {
            let conflict = decide(&request(old, &fork), stored(&eight), &log(1)).unwrap_err();
            assert_eq!(conflict, Refuse::Conflict { stored: 8 });
            assert_eq!((conflict.status(), conflict.body()), (409, Some("8\n".into())));
            // An unsigned fork accuses nobody.
            let forged = decide(&request(old, &fork), stored(&eight), &log(2));
            assert_eq!(forged, Err(Refuse::NotSigned));
        }
    }

    #[test]
    fn bodies_have_one_encoding_and_limits() {
        let good = request(5, &tree(8, 0)).to_bytes();
        let good = String::from_utf8(good).unwrap();
        let parsed = AddCheckpoint::parse(good.as_bytes()).unwrap();
        assert_eq!((parsed.claimed_origin(), parsed.to_bytes()), (ORIGIN, good.clone().into()));
        let line = format!("{}\n", checkpoint::encode_hash(&[0; 32]));
        let with = |lines: usize| {
            let (_, note) = good.split_once("\n\n").unwrap();
            AddCheckpoint::parse(format!("old 5\n{}\n{note}", line.repeat(lines)).as_bytes())
        };
        assert!(with(0).is_ok() && with(MAX_PROOF_LINES).is_ok());
        assert_eq!(with(MAX_PROOF_LINES + 1), Err(RequestError::TooManyLines));
        let bad = [
            String::new(),
            "old 5\n\n".into(),
            good.replace("old 5", "old 05"),
            good.replace("old 5", "old  5"),
            good.replace("old 5", "old -1"),
            good.replace("old 5", "new 5"),
            good.replace("old 5\n", ""),
            good.replace("old 5\n", "old 5\n\n"),
            good.replace("old 5\n", "old 5\nAAAA\n"),
            good.replace("\n8\n", "\n08\n"),
            good.replace('\n', "\r\n"),
            good.trim_end().to_owned(),
        ];
        for body in bad {
            let error = AddCheckpoint::parse(body.as_bytes()).unwrap_err();
            assert_eq!(Refuse::from(error).status(), 400);
        }
        // A stranger's signature, whose key name is as long as it takes.
        let of_length = |length: usize| {
            let bare = "—  AAAAAAE=\n";
            format!("{good}{}", bare.replace("  ", &format!(" {} ", "x".repeat(length - good.len() - bare.len()))))
        };
        assert!(AddCheckpoint::parse(of_length(MAX_REQUEST_LEN).as_bytes()).is_ok());
        let long = of_length(MAX_REQUEST_LEN + 1);
        assert_eq!(
            (long.len(), AddCheckpoint::parse(long.as_bytes())),
            (MAX_REQUEST_LEN + 1, Err(RequestError::TooLong))
        );
    }

    #[test]
    fn size_bodies_are_strict() {
        assert_eq!(parse_size_body(b"12\n"), Some(12));
        for body in [&b"12"[..], b"012\n", b"12\n\n", b"\n", b"\xff\n", b"-1\n"] {
            assert_eq!(parse_size_body(body), None);
        }
    }
}
