//! What makes a charter acceptable: every refusal of section 4.1 of the design, and the rule that
//! version v+1 is signed by the admin quorums of v and of v+1 (TUF's root rule).

use crate::{cedar, lint};
use escrow_core::charter::{Basis, Charter, Person, Subject};
use escrow_core::envelope::EnvelopeError;
use escrow_core::limits;
use escrow_core::{Digest, Envelope, PublicKey, SeatIndex, Timestamp, sealing};
use std::collections::{BTreeMap, BTreeSet};

/// Why a charter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CharterError {
    /// Not a well-formed, well-signed charter envelope.
    #[error("{0}")]
    Envelope(String),
    /// A rule of the charter is broken.
    #[error("charter refused: {0}")]
    Rule(String),
    /// Too few distinct administrators of a version signed.
    #[error("{have} of the {need} administrators that version {version} requires have signed")]
    AdminQuorum {
        /// Version whose quorum is short.
        version: u64,
        /// Distinct administrators that signed.
        have: usize,
        /// Needed.
        need: u32,
    },
    /// Not the digest that is pinned.
    #[error("this charter has digest {found}, the pinned one is {pinned}")]
    NotPinned {
        /// What is pinned.
        pinned: Digest,
        /// What was found.
        found: Digest,
    },
    /// Does not follow the version it is said to follow.
    #[error("version {found} naming predecessor {previous:?} does not follow version {expected_previous} {digest}")]
    NotSuccessor {
        /// Version found.
        found: u64,
        /// Predecessor it names.
        previous: Option<Digest>,
        /// Version it should follow.
        expected_previous: u64,
        /// Digest of that version.
        digest: Digest,
    },
}

impl From<EnvelopeError> for CharterError {
    fn from(e: EnvelopeError) -> Self {
        Self::Envelope(e.to_string())
    }
}

/// A charter version whose rules and signatures hold. Only this module makes one.
#[derive(Clone, Debug)]
pub struct VerifiedCharter {
    charter: Charter,
    digest: Digest,
    /// Every log of this version and all before it, by origin.
    logs: BTreeMap<String, Log>,
}

/// Whose a log is, by which key, and the version that listed it first.
#[derive(Clone, Debug)]
struct Log {
    seat: SeatIndex,
    key: PublicKey,
    since: u64,
}

impl VerifiedCharter {
    fn new(charter: Charter, digest: Digest, mut logs: BTreeMap<String, Log>) -> Self {
        for s in &charter.seats {
            let log = || Log { seat: s.index, key: s.log_key.clone(), since: charter.version };
            logs.entry(s.log_origin.clone()).or_insert_with(log);
        }
        Self { charter, digest, logs }
    }

    /// What it says.
    pub fn charter(&self) -> &Charter {
        &self.charter
    }

    /// Its digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Verifies a genesis against the pinned digest.
///
/// # Errors
/// [`CharterError`].
pub fn verify_genesis(envelope: &Envelope, pinned: &Digest) -> Result<VerifiedCharter, CharterError> {
    let digest = envelope.digest();
    if digest != *pinned {
        return Err(CharterError::NotPinned { pinned: *pinned, found: digest });
    }
    let charter: Charter = envelope.decode()?;
    if charter.previous.is_some() {
        return Err(CharterError::Rule("the pinned charter is not a genesis".into()));
    }
    check(&charter)?;
    let signers = envelope.signers(|id| keys_with_id(&[&charter], id))?;
    admin_quorum(&charter, &signers, charter.issued)?;
    Ok(VerifiedCharter::new(charter, digest, BTreeMap::new()))
}

/// Verifies version v+1 against version v: rules, both quorums, and what may change.
///
/// # Errors
/// [`CharterError`].
pub fn verify_successor(previous: &VerifiedCharter, envelope: &Envelope) -> Result<VerifiedCharter, CharterError> {
    verify_successor_without(previous, envelope, |_| false)
}

/// The same, where signatures by keys that are known to be revoked count for nothing. The same
/// version can always be submitted again with other administrators' signatures.
pub(crate) fn verify_successor_without(
    previous: &VerifiedCharter,
    envelope: &Envelope,
    revoked: impl Fn(&PublicKey) -> bool,
) -> Result<VerifiedCharter, CharterError> {
    let old = &previous.charter;
    let charter: Charter = envelope.decode()?;
    if charter.previous != Some(previous.digest) || charter.version != old.version.saturating_add(1) {
        return Err(CharterError::NotSuccessor {
            found: charter.version,
            previous: charter.previous,
            expected_previous: old.version,
            digest: previous.digest,
        });
    }
    rule(charter.org == old.org, "the organisation changed")?;
    rule(charter.demo == old.demo, "the demo mark cannot change")?;
    // Who signed comes first: a stranger's text must cost no more than a signature.
    let mut signers = envelope.signers(|id| keys_with_id(&[old, &charter], id))?;
    signers.retain(|k| !revoked(k));
    admin_quorum(old, &signers, charter.issued)?;
    check(&charter)?;
    check_succession(old, &charter)?;
    check_logs(previous, &charter)?;
    admin_quorum(&charter, &signers, charter.issued)?;
    Ok(VerifiedCharter::new(charter, envelope.digest(), previous.logs.clone()))
}

fn keys_with_id(charters: &[&Charter], id: &str) -> Vec<PublicKey> {
    let keys = charters.iter().flat_map(|c| &c.people).flat_map(|p| &p.keys);
    keys.filter(|k| k.key.id() == id).map(|k| k.key.clone()).collect()
}

/// Keys count that are valid when the version signed was issued: a node or a client that comes
/// later must find the same, so this is not the time at which it first saw the version.
fn admin_quorum(charter: &Charter, signers: &[PublicKey], issued: Timestamp) -> Result<(), CharterError> {
    let admins: BTreeSet<_> = signers
        .iter()
        .filter_map(|k| charter.holder(k).filter(|p| p.has_role("admin") && p.key_valid(k, issued)))
        .map(|p| &p.id)
        .collect();
    if admins.len() >= charter.admin_quorum as usize {
        return Ok(());
    }
    Err(CharterError::AdminQuorum { version: charter.version, have: admins.len(), need: charter.admin_quorum })
}

fn rule(ok: bool, text: impl Into<String>) -> Result<(), CharterError> {
    if ok { Ok(()) } else { Err(CharterError::Rule(text.into())) }
}

fn unique<T: Ord + Clone>(items: impl IntoIterator<Item = T>, what: &str) -> Result<(), CharterError> {
    let mut seen = BTreeSet::new();
    for item in items {
        rule(seen.insert(item), format!("{what} appears twice"))?;
    }
    Ok(())
}

/// A name as it is compared: neither case nor white space makes it another.
fn canonical(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A seat's URL as it is compared: neither case, a slash at the end nor the port of https makes it another.
fn address(url: &str) -> String {
    let url = url.trim_end_matches('/').to_ascii_lowercase();
    url.strip_suffix(":443").map_or(url.clone(), str::to_owned)
}

/// Rules that hold for one version alone.
///
/// # Errors
/// [`CharterError::Rule`].
pub fn check(c: &Charter) -> Result<(), CharterError> {
    check_seats(c)?;
    check_generations(c)?;
    check_people(c)?;
    check_quorums(c)?;
    check_limits(c)?;
    check_policies(c)
}

fn check_seats(c: &Charter) -> Result<(), CharterError> {
    rule(!c.seats.is_empty() && c.seats.len() <= limits::SEATS_MAX, "1 to 255 seats")?;
    unique(c.seats.iter().map(|s| s.index), "a seat index")?;
    unique(c.seats.iter().map(|s| address(&s.url)), "a seat URL")?;
    unique(c.seats.iter().map(|s| &s.log_origin), "a log origin")?;
    unique(c.seats.iter().map(|s| s.tls_pin), "a TLS key pin")?;
    if !c.demo {
        unique(c.seats.iter().map(|s| canonical(s.operator.as_str())), "an operator")?;
        unique(c.seats.iter().flat_map(|s| &s.operators), "a person operating a seat")?;
    }
    for s in &c.seats {
        let name = format!("seat {}", s.index);
        rule(s.url.starts_with("https://") && s.url.len() <= 256, format!("{name}: the URL is not https"))?;
        rule(!s.log_origin.is_empty() && s.log_origin.len() <= 200, format!("{name}: no log origin"))?;
        let legal = s.log_origin.bytes().all(|b| b.is_ascii_graphic() && b != b'+');
        rule(legal, format!("{name}: a log origin is printable ASCII without space or plus"))?;
        let ed25519 = |k: &PublicKey| matches!(k, PublicKey::Ed25519(_));
        rule(ed25519(&s.log_key) && ed25519(&s.witness_key), format!("{name}: log and witness keys are Ed25519"))?;
        let ssh = matches!(s.statement_key, PublicKey::SshSig(_));
        rule(!ssh, format!("{name}: a node signs with ed25519 or es256, not with sshsig"))?;
        rule(sealing::check_key(&s.sealing).is_ok(), format!("{name}: bad sealing key"))?;
        rule(!s.operators.is_empty(), format!("{name}: no operator named"))?;
        for person in &s.operators {
            rule(c.person(person).is_some(), format!("{name}: operator {person} is not in the charter"))?;
        }
    }
    Ok(())
}

fn check_generations(c: &Charter) -> Result<(), CharterError> {
    rule(!c.generations.is_empty(), "no generation")?;
    rule(
        c.generations.windows(2).all(|w| matches!(w, [a, b] if a.number < b.number)),
        "generation numbers do not ascend",
    )?;
    for g in &c.generations {
        let name = format!("generation {}", g.number);
        let (t, n) = (usize::from(g.t), g.members.len());
        rule(g.number >= 1, "generation numbers start at 1")?;
        rule(t >= 2, format!("{name}: t below 2 lets one node release alone"))?;
        rule(n >= t, format!("{name}: fewer members than t, nothing could ever be released"))?;
        rule(n < 2 * t, format!("{name}: n above 2t-1 allows two disjoint quorums"))?;
        rule(
            g.members.windows(2).all(|w| matches!(w, [a, b] if a < b)),
            format!("{name}: members ascending, none twice"),
        )?;
        let serving = g.members.iter().filter(|m| c.seat(**m).is_some()).count();
        rule(serving >= t, format!("{name}: fewer than t of its seats still serve"))?;
        rule(
            Some(g) != c.generations.last() || serving == n,
            format!("{name}: the current generation has an unknown seat"),
        )?;
    }
    Ok(())
}

fn check_people(c: &Charter) -> Result<(), CharterError> {
    rule(!c.people.is_empty() && c.people.len() <= limits::PEOPLE_MAX, "1 to 2000 people")?;
    unique(c.people.iter().map(|p| &p.id), "a person id")?;
    unique(c.people.iter().map(|p| canonical(&p.name)), "a person's name")?;
    let person_keys = c.people.iter().flat_map(|p| &p.keys).map(|k| k.key.raw());
    let seat_keys = c.seats.iter().flat_map(|s| [s.statement_key.raw(), s.log_key.raw(), s.witness_key.raw()]);
    unique(person_keys.chain(seat_keys), "a raw public key")?;
    let person_sealing = c.people.iter().filter_map(|p| p.sealing.as_ref()).map(|k| k.public.0.clone());
    unique(person_sealing.chain(c.seats.iter().map(|s| s.sealing.public.0.clone())), "a sealing key")?;
    rule(!c.token_versions.is_empty(), "no token-key version")?;
    rule(c.token_versions.windows(2).all(|w| matches!(w, [a, b] if a < b)), "token-key versions ascend")?;
    let mut tokens = BTreeSet::new();
    for p in &c.people {
        check_person(c, p)?;
        if let Subject::Tokens(list) = &p.subject {
            for t in list {
                rule(tokens.insert(*t), format!("{}: the same subject as another person", p.id))?;
            }
        }
    }
    Ok(())
}

fn check_person(c: &Charter, p: &Person) -> Result<(), CharterError> {
    rule(!p.name.trim().is_empty() && p.name.len() <= 128, format!("{}: no name", p.id))?;
    unique(&p.roles, &format!("{}: a role", p.id))?;
    rule(p.keys.iter().all(|k| k.from < k.until), format!("{}: a key that is never valid", p.id))?;
    rule(p.roles.is_empty() || !p.keys.is_empty(), format!("{}: roles but no key", p.id))?;
    if let Some(k) = &p.sealing {
        rule(sealing::check_key(k).is_ok(), format!("{}: bad sealing key", p.id))?;
    }
    if let Subject::Tokens(list) = &p.subject {
        let versions: BTreeSet<u32> = list.iter().map(|t| t.version).collect();
        let complete = versions.len() == list.len() && c.token_versions.iter().all(|v| versions.contains(v));
        rule(complete, format!("{}: one subject token for each token-key version in use", p.id))?;
    }
    Ok(())
}

fn check_quorums(c: &Charter) -> Result<(), CharterError> {
    let least = if c.demo { 1 } else { 2 };
    for (name, role, quorum) in [("admin", "admin", c.admin_quorum), ("registrar", "registrar", c.registrar_quorum)] {
        rule(quorum >= least, format!("an {name} quorum of {quorum} lets one person decide alone"))?;
        let holders = c.people.iter().filter(|p| p.has_role(role)).count();
        rule(holders >= quorum as usize, format!("{name} quorum of {quorum}, but {holders} people hold that role"))?;
    }
    rule(!c.controllers.is_empty() && c.controllers.len() <= limits::CONTROLLERS_MAX, "1 to 16 controllers")?;
    unique(c.controllers.iter().map(|p| &p.id), "a controller's id")?;
    rule(!c.approver_roles.is_empty(), "no approver role")?;
    unique(&c.approver_roles, "an approver role")?;
    for r in &c.approver_roles {
        let reserved = ["admin", "registrar", "requestor", "filter-team"].contains(&r.as_str());
        rule(!reserved, format!("role {r} cannot be an approver role"))?;
    }
    unique(c.basis_signers.iter().map(|b| b.basis), "a basis")?;
    for b in &c.basis_signers {
        rule(b.basis != Basis::Consent, "consent is signed by the subject alone")?;
        rule(!b.roles.is_empty(), format!("basis {} without signers", b.basis.name()))?;
        unique(&b.roles, "a signer role of a basis")?;
    }
    Ok(())
}

fn check_limits(c: &Charter) -> Result<(), CharterError> {
    let l = &c.limits;
    let all = [
        ("request_life_s", l.request_life_s, 366 * 86_400),
        ("items_per_request", l.items_per_request, limits::ITEMS_PER_REQUEST as u64),
        ("requests_per_requestor_month", l.requests_per_requestor_month, 1_000_000),
        ("items_per_requestor_month", l.items_per_requestor_month, 1_000_000_000),
        ("permit_life_s", l.permit_life_s, limits::PERMIT_LIFE_MAX_S.unsigned_abs()),
        ("notice_delay_days", l.notice_delay_days, 366),
        ("recovery_delay_s", l.recovery_delay_s, 366 * 86_400),
        ("clock_skew_s", l.clock_skew_s, 3_600),
        ("charter_grace_s", l.charter_grace_s, 90 * 86_400),
        ("sealing_key_days", l.sealing_key_days, 3_660),
    ];
    for (name, value, max) in all {
        rule(value >= 1 && value <= max, format!("limit {name} is {value}; 1 to {max} expected"))?;
    }
    rule(l.recovery_delay_s >= 86_400, "a recovery delay under 24 hours")
}

fn check_policies(c: &Charter) -> Result<(), CharterError> {
    rule(!c.policies.is_empty(), "no policy")?;
    unique(c.policies.iter().map(|p| &p.id), "a policy id")?;
    for p in &c.policies {
        rule(p.text.len() <= limits::POLICY_TEXT_MAX, format!("policy {}: text too long", p.id))?;
        cedar::validate(p, &c.approver_roles).map_err(|e| CharterError::Rule(format!("policy {}: {e}", p.id)))?;
        lint::monotone(p, &c.approver_roles).map_err(|e| CharterError::Rule(format!("policy {}: {e}", p.id)))?;
    }
    Ok(())
}

/// Rules between two versions: what is once in a log cannot change its meaning.
fn check_succession(old: &Charter, new: &Charter) -> Result<(), CharterError> {
    rule(new.issued >= old.issued, "issued before the version it follows")?;
    for g in &old.generations {
        if let Some(same) = new.generation(g.number) {
            rule(
                same.t == g.t && same.members == g.members,
                format!("generation {} changed; make a new one", g.number),
            )?;
        }
    }
    let newest = old.generations.last().map_or(0, |g| g.number);
    for g in new.generations.iter().filter(|g| old.generation(g.number).is_none()) {
        rule(g.number > newest, format!("generation {} is older than the current one", g.number))?;
    }
    let still = new.generations.last().map_or(0, |g| g.number);
    rule(still >= newest, format!("generation {newest} is gone and no newer one takes its place"))?;
    let old_seats: BTreeMap<_, _> = old.seats.iter().map(|s| (s.index, s)).collect();
    for s in &new.seats {
        let Some(before) = old_seats.get(&s.index) else { continue };
        let same_log = before.log_origin == s.log_origin;
        rule(
            same_log == (before.log_key == s.log_key),
            format!("seat {}: a new log key is a new log origin", s.index),
        )?;
        rule(
            same_log == (before.previous_log_head == s.previous_log_head),
            format!("seat {}: a new log origin names the old log's last head, and only then", s.index),
        )?;
    }
    Ok(())
}

/// An origin names one log of one seat and one key for ever: two logs of a name would look like one that
/// forked, and convict an honest key. No seat goes back to a log that a later one replaced, also if it was
/// away in between.
fn check_logs(old: &VerifiedCharter, new: &Charter) -> Result<(), CharterError> {
    for s in &new.seats {
        let Some(log) = old.logs.get(&s.log_origin) else { continue };
        let newest = old.logs.values().all(|other| other.seat != log.seat || other.since <= log.since);
        rule(
            log.seat == s.index && log.key == s.log_key && newest,
            format!(
                "seat {}: a log of origin {} was there before; give one that was never used",
                s.index, s.log_origin
            ),
        )?;
    }
    Ok(())
}

/// A pinned chain of charters in which only verified versions stand, genesis first.
#[derive(Clone, Debug)]
pub struct Chain(Vec<VerifiedCharter>);

impl Chain {
    /// Verifies a whole chain from the pinned genesis on.
    ///
    /// # Errors
    /// [`CharterError`] of the first version that does not follow.
    pub fn verify(pinned: &Digest, envelopes: &[Envelope]) -> Result<Self, CharterError> {
        let (first, rest) =
            envelopes.split_first().ok_or_else(|| CharterError::Rule("an empty charter chain".into()))?;
        let mut chain = Self(vec![verify_genesis(first, pinned)?]);
        for envelope in rest {
            chain.push(envelope)?;
        }
        Ok(chain)
    }

    /// Adds the next version.
    ///
    /// # Errors
    /// [`CharterError`]; the chain stays as it was.
    pub fn push(&mut self, envelope: &Envelope) -> Result<(), CharterError> {
        let last = self.0.last().ok_or_else(|| CharterError::Rule("an empty charter chain".into()))?;
        let next = verify_successor(last, envelope)?;
        self.0.push(next);
        Ok(())
    }

    /// The versions, genesis first.
    pub fn versions(&self) -> &[VerifiedCharter] {
        &self.0
    }

    /// The newest version.
    pub fn newest(&self) -> Option<&VerifiedCharter> {
        self.0.last()
    }
}

/// The last instant at which a key that is valid "for ever" is valid, for drafts.
pub const FOREVER: Timestamp = Timestamp::MAX;
