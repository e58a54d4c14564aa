//! The local directory: which token stands for whom, so that nobody types tokens.
//!
//! It holds personal data in clear. It lies (mode 0600) on machines of enrolled people and
//! officers and goes nowhere else.

use super::private::{self, FileError};
use super::seal::SealedArchive;
use escrow_core::{Org, Token};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

const FILE_MAX: u64 = 1024 * 1024 * 1024;
const SCHEMA: u32 = 1;

/// A person as the messenger knows them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectEntry {
    /// The messenger's id: number, account id.
    pub id: String,
    /// What colleagues call them, if anybody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their token.
    pub token: Token,
}

/// A thread as the messenger knows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreadEntry {
    /// The messenger's id.
    pub id: String,
    /// Its token.
    pub token: Token,
}

impl fmt::Debug for SubjectEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectEntry(redacted, {})", self.token)
    }
}

impl fmt::Debug for ThreadEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadEntry(redacted, {})", self.token)
    }
}

/// Why the directory cannot answer or take something in.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Nobody and nothing of that name.
    #[error(
        "no {what} is known here by that id, name or beginning of an id; `archive seal` and enrolment make them known"
    )]
    Unknown {
        /// "subject" or "thread".
        what: &'static str,
    },
    /// Several ids begin so, or several people are called so.
    #[error("{count} {what}s match; type more of the id")]
    Ambiguous {
        /// "subject" or "thread".
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// Another token for an id under the same token-key version.
    #[error(
        "this {what} has another token under the same token-key version here; one of the two token keys is not the organisation's, compare them with the registrar"
    )]
    Conflict {
        /// "subject" or "thread".
        what: &'static str,
    },
    /// Not what this program writes, or of another organisation.
    #[error("{} is not a version 1 directory of {org}: {why}; move it away or correct it", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The organisation asked for.
        org: Org,
        /// What is wrong.
        why: String,
    },
    /// The disk.
    #[error("directory: {0}")]
    File(#[from] FileError),
}

/// Ids, names and tokens of people and threads.
///
/// After a change of the token key an id has one entry for each version; looking up by id gives
/// the newest, looking up by token finds each.
pub struct Directory {
    org: Org,
    subjects: Table<SubjectEntry>,
    threads: Table<ThreadEntry>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Directory({}, {} subjects, {} threads)",
            self.org,
            self.subjects.entries.len(),
            self.threads.entries.len()
        )
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: u32,
    org: Org,
    subjects: Vec<SubjectEntry>,
    threads: Vec<ThreadEntry>,
}

impl Directory {
    /// An empty directory.
    pub fn new(org: Org) -> Self {
        Self { org, subjects: Table::default(), threads: Table::default() }
    }

    /// Reads `directory.json`; an empty directory if there is no file yet.
    ///
    /// # Errors
    /// [`DirectoryError::Malformed`], [`DirectoryError::File`].
    pub fn load(path: &Path, org: &Org) -> Result<Self, DirectoryError> {
        let mut directory = Self::new(org.clone());
        let Some(bytes) = private::read(path, FILE_MAX)? else { return Ok(directory) };
        let malformed = |why: String| DirectoryError::Malformed { path: path.to_owned(), org: org.clone(), why };
        // serde_json quotes values it does not understand, and these are people.
        let stored: Stored = serde_json::from_slice(&bytes)
            .map_err(|e| malformed(format!("line {}, column {}", e.line(), e.column())))?;
        if stored.schema != SCHEMA || stored.org != *org {
            return Err(malformed(format!("schema {} of {}", stored.schema, stored.org)));
        }
        for entry in stored.subjects {
            directory.subjects.add(entry).map_err(|e| malformed(e.to_string()))?;
        }
        for entry in stored.threads {
            directory.threads.add(entry).map_err(|e| malformed(e.to_string()))?;
        }
        Ok(directory)
    }

    /// Replaces `directory.json`. To change one use [`Directory::update`].
    ///
    /// # Errors
    /// [`DirectoryError::File`]; the old file is then still there.
    pub fn save(&self, path: &Path) -> Result<(), DirectoryError> {
        let stored = Stored {
            schema: SCHEMA,
            org: self.org.clone(),
            subjects: self.subjects.entries.clone(),
            threads: self.threads.entries.clone(),
        };
        let mut json = serde_json::to_vec_pretty(&stored).map_err(|e| private::fault("write", path)(e.into()))?;
        json.push(b'\n');
        Ok(private::replace(path, &json)?)
    }

    /// Loads, changes and saves under a lock. If `change` fails, nothing is saved.
    ///
    /// # Errors
    /// [`DirectoryError`]; the old file is then still there.
    pub fn update<T>(
        path: &Path,
        org: &Org,
        change: impl FnOnce(&mut Self) -> Result<T, DirectoryError>,
    ) -> Result<T, DirectoryError> {
        let _lock = private::lock(path)?;
        let mut directory = Self::load(path, org)?;
        let result = change(&mut directory)?;
        directory.save(path)?;
        Ok(result)
    }

    /// Makes a person known; true if that changed something. A name given replaces the old one.
    ///
    /// # Errors
    /// [`DirectoryError::Conflict`].
    pub fn add_subject(&mut self, id: &str, name: Option<&str>, token: Token) -> Result<bool, DirectoryError> {
        self.subjects.add(SubjectEntry { id: id.to_owned(), name: name.map(str::to_owned), token })
    }

    /// Makes a thread known; true if that changed something.
    ///
    /// # Errors
    /// [`DirectoryError::Conflict`].
    pub fn add_thread(&mut self, id: &str, token: Token) -> Result<bool, DirectoryError> {
        self.threads.add(ThreadEntry { id: id.to_owned(), token })
    }

    /// Makes all threads and people of a sealed archive known.
    ///
    /// # Errors
    /// [`DirectoryError::Conflict`].
    pub fn add_archive(&mut self, archive: &SealedArchive) -> Result<(), DirectoryError> {
        for (id, token) in &archive.threads {
            self.add_thread(id, *token)?;
        }
        for (id, token) in &archive.people {
            self.add_subject(id, None, *token)?;
        }
        Ok(())
    }

    /// Finds a person by id, by name, or by the beginning of an id that only one has.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::Ambiguous`].
    pub fn subject(&self, query: &str) -> Result<&SubjectEntry, DirectoryError> {
        self.subjects.find(query)
    }

    /// Finds a thread by id or by the beginning of an id that only one has.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`], [`DirectoryError::Ambiguous`].
    pub fn thread(&self, query: &str) -> Result<&ThreadEntry, DirectoryError> {
        self.threads.find(query)
    }

    /// Whom a token stands for, whatever its version.
    pub fn subject_of(&self, token: &Token) -> Option<&SubjectEntry> {
        self.subjects.of(token)
    }

    /// Which thread a token stands for, whatever its version.
    pub fn thread_of(&self, token: &Token) -> Option<&ThreadEntry> {
        self.threads.of(token)
    }

    /// Everybody known, in the order in which they became so.
    pub fn subjects(&self) -> &[SubjectEntry] {
        &self.subjects.entries
    }

    /// Every thread known, in the order in which they became so.
    pub fn threads(&self) -> &[ThreadEntry] {
        &self.threads.entries
    }
}

trait Entry {
    const WHAT: &'static str;
    fn id(&self) -> &str;
    fn token(&self) -> Token;
    fn name(&self) -> Option<&str> {
        None
    }
    /// Takes over a newer name; true if it changed.
    fn rename(&mut self, _new: Self) -> bool
    where
        Self: Sized,
    {
        false
    }
}

impl Entry for SubjectEntry {
    const WHAT: &'static str = "subject";
    fn id(&self) -> &str {
        &self.id
    }
    fn token(&self) -> Token {
        self.token
    }
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    fn rename(&mut self, new: Self) -> bool {
        let changed = new.name.is_some() && new.name != self.name;
        if changed {
            self.name = new.name;
        }
        changed
    }
}

impl Entry for ThreadEntry {
    const WHAT: &'static str = "thread";
    fn id(&self) -> &str {
        &self.id
    }
    fn token(&self) -> Token {
        self.token
    }
}

/// Entries with two ways to them.
struct Table<E> {
    entries: Vec<E>,
    by_id: HashMap<(String, u32), usize>,
    by_token: HashMap<Token, usize>,
}

impl<E> Default for Table<E> {
    fn default() -> Self {
        Self { entries: Vec::new(), by_id: HashMap::new(), by_token: HashMap::new() }
    }
}

impl<E: Entry> Table<E> {
    fn add(&mut self, entry: E) -> Result<bool, DirectoryError> {
        let token = entry.token();
        let key = (entry.id().to_owned(), token.version);
        let known = self.by_id.get(&key).copied();
        if known != self.by_token.get(&token).copied() {
            return Err(DirectoryError::Conflict { what: E::WHAT });
        }
        if let Some(at) = known {
            return Ok(self.entries.get_mut(at).is_some_and(|old| old.rename(entry)));
        }
        self.by_id.insert(key, self.entries.len());
        self.by_token.insert(token, self.entries.len());
        self.entries.push(entry);
        Ok(true)
    }

    fn find(&self, query: &str) -> Result<&E, DirectoryError> {
        let what = E::WHAT;
        // An exact id wins over names, a name over beginnings; nothing is a beginning of everything.
        let rules: [fn(&E, &str) -> bool; 3] =
            [|e, q| e.id() == q, |e, q| e.name() == Some(q), |e, q| !q.is_empty() && e.id().starts_with(q)];
        for rule in rules {
            let mut newest: HashMap<&str, &E> = HashMap::new();
            for entry in self.entries.iter().filter(|e| rule(e, query)) {
                let best = newest.entry(entry.id()).or_insert(entry);
                if best.token().version < entry.token().version {
                    *best = entry;
                }
            }
            match (newest.len(), newest.into_values().next()) {
                (1, Some(entry)) => return Ok(entry),
                (0, _) => {}
                (count, _) => return Err(DirectoryError::Ambiguous { what, count }),
            }
        }
        Err(DirectoryError::Unknown { what })
    }

    fn of(&self, token: &Token) -> Option<&E> {
        self.by_token.get(token).and_then(|at| self.entries.get(*at))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use escrow_core::TokenKey;

    fn org() -> Org {
        "acme.example".parse().unwrap()
    }

    #[test]
    fn people_are_found_by_id_name_and_beginning() {
        let key = TokenKey::generate(1);
        let mut d = Directory::new(org());
        for (id, name) in [("+4915112", Some("Ann")), ("+4915113", None), ("+49", None), ("ben", Some("Ann"))] {
            assert!(d.add_subject(id, name, key.subject(id)).unwrap());
        }
        assert_eq!(d.subject("+4915112").unwrap().token, key.subject("+4915112"));
        assert_eq!(d.subject("+49").unwrap().id, "+49", "an exact id wins over being a beginning");
        assert_eq!(d.subject("b").unwrap().id, "ben");
        assert!(matches!(d.subject("+4915"), Err(DirectoryError::Ambiguous { count: 2, .. })));
        assert!(matches!(d.subject("Ann"), Err(DirectoryError::Ambiguous { count: 2, .. })));
        assert!(matches!(d.subject("zoe"), Err(DirectoryError::Unknown { what: "subject" })));
        assert!(matches!(d.subject(""), Err(DirectoryError::Unknown { .. })));
        assert!(matches!(d.thread("ben"), Err(DirectoryError::Unknown { what: "thread" })));
        assert_eq!(d.subject_of(&key.subject("ben")).unwrap().id, "ben");
        assert_eq!(d.subject_of(&key.thread("ben")), None);
    }

    #[test]
    fn adding_again_changes_nothing_and_a_second_token_key_is_noticed() {
        let (key, other, next) = (TokenKey::generate(1), TokenKey::generate(1), TokenKey::generate(2));
        let mut d = Directory::new(org());
        assert!(d.add_subject("ann", None, key.subject("ann")).unwrap());
        assert!(!d.add_subject("ann", None, key.subject("ann")).unwrap());
        assert!(d.add_subject("ann", Some("Ann"), key.subject("ann")).unwrap());
        assert!(!d.add_subject("ann", None, key.subject("ann")).unwrap());
        assert_eq!(d.subject("ann").unwrap().name.as_deref(), Some("Ann"));
        assert!(matches!(d.add_subject("ann", None, other.subject("ann")), Err(DirectoryError::Conflict { .. })));
        assert!(matches!(d.add_subject("ben", None, key.subject("ann")), Err(DirectoryError::Conflict { .. })));
        // A new version is no conflict; the newest is what the id now means, the old is still known.
        assert!(d.add_subject("ann", None, next.subject("ann")).unwrap());
        assert_eq!(d.subject("an").unwrap().token, next.subject("ann"));
        assert_eq!(d.subject_of(&key.subject("ann")).unwrap().id, "ann");
        assert_eq!(d.subjects().len(), 2);
    }

    #[test]
    fn the_file_is_private_whole_and_of_one_organisation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("directory.json");
        let key = TokenKey::generate(1);
        Directory::update(&path, &org(), |d| {
            d.add_thread("t", key.thread("t"))?;
            d.add_subject("ann", Some("Ann"), key.subject("ann"))
        })
        .unwrap();
        let d = Directory::load(&path, &org()).unwrap();
        assert_eq!((d.thread("t").unwrap().token, d.subject("Ann").unwrap().id.as_str()), (key.thread("t"), "ann"));
        assert_eq!((d.threads().len(), d.thread_of(&key.thread("t")).unwrap().id.as_str()), (1, "t"));
        assert!(!format!("{d:?} {:?}", d.subjects()).contains("nn"));
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
            0o600
        );
        let before = std::fs::read(&path).unwrap();
        let failed = Directory::update(&path, &org(), |d| {
            d.add_thread("u", key.thread("u"))?;
            d.add_thread("t", key.thread("u"))
        });
        assert!(matches!(failed, Err(DirectoryError::Conflict { what: "thread" })));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let other: Org = "other.example".parse().unwrap();
        assert!(matches!(Directory::load(&path, &other), Err(DirectoryError::Malformed { .. })));
        std::fs::write(&path, r#"{"schema":1,"org":"acme.example","subjects":["Ann"],"threads":[]}"#).unwrap();
        let error = Directory::load(&path, &org()).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("Ann"), "{error}");
    }
}
