//! Signatures by `ssh-agent`, so that the private key never enters this process and may live in a
//! FIDO security key. Source: draft-ietf-sshm-ssh-agent, sections 3.5 (list) and 3.6 (sign).
//!
//! The agent is trusted with nothing but its key: its answers are bounded, waited for a limited
//! time, and what it signs is verified before use.

use escrow_core::sshsig::{self, Reader, SshKey};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The variable that names the agent's socket.
pub const SOCKET_VARIABLE: &str = "SSH_AUTH_SOCK";

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const FAILURE: u8 = 5;
/// What OpenSSH's agent sends at most, bytes.
const ANSWER_MAX: u32 = 256 * 1024;
const LIST_PATIENCE: Duration = Duration::from_secs(10);
/// Somebody may have to find their security key, type its PIN and touch it.
const SIGN_PATIENCE: Duration = Duration::from_secs(120);

/// The agent of this session, if there is one.
#[derive(Clone, Debug)]
pub struct SshAgent {
    socket: Option<PathBuf>,
    list_patience: Duration,
    sign_patience: Duration,
}

/// Why the agent gave no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The session names no agent.
    #[error("there is no ssh-agent: {SOCKET_VARIABLE} is not set")]
    NoAgent,
    /// The agent does not answer.
    #[error("the ssh-agent at {} does not answer: {source}", socket.display())]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It holds other keys, or is locked.
    #[error("the ssh-agent does not hold the {algorithm} key {fingerprint}")]
    NoKey {
        /// Type of the key.
        algorithm: &'static str,
        /// As `ssh-add -l` prints it.
        fingerprint: String,
    },
    /// It holds the key and did not sign.
    #[error("the ssh-agent did not sign with the {algorithm} key {fingerprint}")]
    Refused {
        /// Type of the key.
        algorithm: &'static str,
        /// As `ssh-add -l` prints it.
        fingerprint: String,
    },
    /// Its answer is outside the agent protocol, or no signature by the key.
    #[error("the ssh-agent's answer cannot be used: {0}")]
    Answer(&'static str),
}

impl AgentError {
    /// What the person at the keyboard can do.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::NoAgent => "start one with `eval \"$(ssh-agent)\"`, then `ssh-add` your private key",
            Self::Unreachable { .. } => {
                "see that it runs (`ssh-add -l`), or start another with `eval \"$(ssh-agent)\"`"
            }
            Self::NoKey { .. } => {
                "`ssh-add` the private key (`ssh-add -X` if the agent is locked); `ssh-add -l` lists them"
            }
            Self::Refused { .. } => {
                "plug in and touch the security key, and confirm if you are asked; then repeat the command"
            }
            Self::Answer(_) => "use the agent of OpenSSH; a key that needs no touch cannot sign here",
        }
    }
}

impl SshAgent {
    /// The one that `SSH_AUTH_SOCK` names. Without it, every use says so.
    pub fn of_session() -> Self {
        Self::new(std::env::var_os(SOCKET_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from))
    }

    /// The one behind a socket.
    pub fn at(socket: &Path) -> Self {
        Self::new(Some(socket.to_owned()))
    }

    const fn new(socket: Option<PathBuf>) -> Self {
        Self { socket, list_patience: LIST_PATIENCE, sign_patience: SIGN_PATIENCE }
    }

    /// Asks whether the agent holds the key; nobody has to touch anything.
    ///
    /// # Errors
    /// [`AgentError::NoKey`] if not; [`AgentError`].
    pub fn holds(&self, key: &SshKey) -> Result<(), AgentError> {
        let answer = self.ask(&[REQUEST_IDENTITIES], self.list_patience)?;
        let listed = listed(&answer).ok_or(AgentError::Answer("it does not list its keys"))?;
        if listed.contains(&key.wire().as_slice()) {
            return Ok(());
        }
        Err(AgentError::NoKey { algorithm: key.algorithm(), fingerprint: key.fingerprint() })
    }

    /// An SSHSIG blob over `message` that verifies ([`SshKey::verifies`]). Blocks for as long as
    /// the person needs, two minutes at most.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn sign(&self, key: &SshKey, message: &[u8]) -> Result<Vec<u8>, AgentError> {
        let mut request = vec![SIGN_REQUEST];
        sshsig::put(&mut request, &key.wire());
        sshsig::put(&mut request, &sshsig::to_be_signed(message));
        request.extend_from_slice(&0u32.to_be_bytes()); // no flags: they are for RSA
        let answer = self.ask(&request, self.sign_patience)?;
        if answer == [FAILURE] {
            // The agent does not say why.
            self.holds(key)?;
            return Err(AgentError::Refused { algorithm: key.algorithm(), fingerprint: key.fingerprint() });
        }
        let signature = signature(&answer).ok_or(AgentError::Answer("it is not a signature"))?;
        let blob = key.blob(signature);
        if key.verifies(message, &blob) {
            Ok(blob)
        } else {
            Err(AgentError::Answer("it is no valid signature by this key"))
        }
    }

    fn ask(&self, request: &[u8], patience: Duration) -> Result<Vec<u8>, AgentError> {
        let socket = self.socket.as_ref().ok_or(AgentError::NoAgent)?;
        exchange(socket, request, patience)
            .map_err(|source| AgentError::Unreachable { socket: socket.clone(), source })?
            .ok_or(AgentError::Answer("it is longer than any agent's"))
    }
}

fn listed(answer: &[u8]) -> Option<Vec<&[u8]>> {
    let mut r = Reader::new(answer);
    (r.u8()? == IDENTITIES_ANSWER).then_some(())?;
    let count = r.u32()?;
    let mut keys = Vec::new();
    // Each key takes bytes of the answer, so its length bounds the loop.
    for _ in 0..count {
        keys.push(r.string()?);
        r.string()?; // the comment
    }
    r.end()?;
    Some(keys)
}

fn signature(answer: &[u8]) -> Option<&[u8]> {
    let mut r = Reader::new(answer);
    (r.u8()? == SIGN_RESPONSE).then_some(())?;
    let signature = r.string()?;
    r.end()?;
    Some(signature)
}

/// One message there and one back, each with its length in front. `None` for an answer that is
/// too long.
#[cfg(unix)]
fn exchange(socket: &Path, request: &[u8], patience: Duration) -> io::Result<Option<Vec<u8>>> {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    let end = Instant::now() + patience;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(patience))?;
    let mut framed = Vec::with_capacity(request.len() + 4);
    sshsig::put(&mut framed, request);
    stream.write_all(&framed)?;
    let mut length = [0; 4];
    fill(&mut stream, &mut length, end)?;
    let length = u32::from_be_bytes(length);
    if length > ANSWER_MAX {
        return Ok(None);
    }
    let mut answer = vec![0; usize::try_from(length).unwrap_or_default()];
    fill(&mut stream, &mut answer, end)?;
    Ok(Some(answer))
}

/// Reads until `out` is full: the time limit is for all of it, however small the pieces.
#[cfg(unix)]
fn fill(stream: &mut std::os::unix::net::UnixStream, out: &mut [u8], end: std::time::Instant) -> io::Result<()> {
    use std::io::Read as _;

    let mut rest = out;
    while !rest.is_empty() {
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(rest) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => rest = rest.get_mut(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn exchange(_: &Path, _: &[u8], _: Duration) -> io::Result<Option<Vec<u8>>> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use escrow_core::{PublicKey, SigningKey};
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    fn key() -> (SigningKey, SshKey) {
        let secret = SigningKey::generate_ed25519();
        let mut wire = Vec::new();
        sshsig::put(&mut wire, b"ssh-ed25519");
        sshsig::put(&mut wire, &secret.public().raw());
        (secret, SshKey::from_wire(&wire).unwrap())
    }

    fn framed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sshsig::put(&mut out, bytes);
        out
    }

    fn list(keys: &[&SshKey]) -> Vec<u8> {
        let mut out = vec![IDENTITIES_ANSWER];
        out.extend(u32::try_from(keys.len()).unwrap().to_be_bytes());
        for k in keys {
            sshsig::put(&mut out, &k.wire());
            sshsig::put(&mut out, b"comment");
        }
        framed(&out)
    }

    /// An agent that gives these answers, one a connection, then hangs up.
    fn agent(answers: Vec<Vec<u8>>) -> (SshAgent, tempfile::TempDir, std::thread::JoinHandle<Vec<Vec<u8>>>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut length = [0; 4];
                stream.read_exact(&mut length).unwrap();
                let mut request = vec![0; u32::from_be_bytes(length) as usize];
                stream.read_exact(&mut request).unwrap();
                asked.push(request);
                let _ = stream.write_all(&answer);
            }
            asked
        });
        (SshAgent::at(&socket), dir, asked)
    }

    fn signed(secret: &SigningKey, message: &[u8]) -> Vec<u8> {
        let mut signature = Vec::new();
        sshsig::put(&mut signature, b"ssh-ed25519");
        sshsig::put(&mut signature, &secret.sign(&sshsig::to_be_signed(message)));
        let mut out = vec![SIGN_RESPONSE];
        sshsig::put(&mut out, &signature);
        framed(&out)
    }

    #[test]
    fn the_agent_signs_and_its_signature_is_verified() {
        let (secret, key) = key();
        let (agent, _dir, asked) = agent(vec![signed(&secret, b"m"), signed(&secret, b"n"), list(&[&key])]);
        let blob = agent.sign(&key, b"m").unwrap();
        assert!(PublicKey::SshSig(key.clone()).verifies(b"m", &blob));
        assert!(matches!(agent.sign(&key, b"m"), Err(AgentError::Answer(_))), "over another message");
        agent.holds(&key).unwrap();
        let asked = asked.join().unwrap();
        let mut r = Reader::new(&asked[0]);
        assert_eq!(r.u8(), Some(SIGN_REQUEST));
        assert_eq!(r.string(), Some(key.wire().as_slice()));
        assert_eq!(r.string(), Some(sshsig::to_be_signed(b"m").as_slice()));
        assert_eq!((r.u32(), r.end()), (Some(0), Some(())));
        assert_eq!(asked[2], [REQUEST_IDENTITIES]);
    }

    #[test]
    fn each_failure_is_told_apart() {
        let (_, key) = key();
        let (other, stranger) = super::tests::key();
        assert!(matches!(SshAgent::new(None).sign(&key, b"m"), Err(AgentError::NoAgent)));
        let nowhere = SshAgent::at(Path::new("/nonexistent/agent"));
        assert!(matches!(nowhere.holds(&key), Err(AgentError::Unreachable { .. })));
        let failure = || framed(&[FAILURE]);
        let long = (ANSWER_MAX + 1).to_be_bytes().to_vec();
        let cut = list(&[&key])[..40].to_vec();
        let greedy = framed(&[IDENTITIES_ANSWER, 0xff, 0xff, 0xff, 0xff]);
        let tail = framed(&[&signed(&other, b"m")[4..], &[0]].concat());
        type Told = fn(&AgentError) -> bool;
        let cases: Vec<(&str, Vec<Vec<u8>>, Told)> = vec![
            ("has no such key", vec![failure(), list(&[&stranger])], |e| matches!(e, AgentError::NoKey { .. })),
            ("has no key", vec![failure(), list(&[])], |e| matches!(e, AgentError::NoKey { .. })),
            ("refuses", vec![failure(), list(&[&stranger, &key])], |e| matches!(e, AgentError::Refused { .. })),
            ("signs with another key", vec![signed(&other, b"m")], |e| matches!(e, AgentError::Answer(_))),
            ("adds a byte", vec![tail], |e| matches!(e, AgentError::Answer(_))),
            ("says nothing", vec![framed(b"")], |e| matches!(e, AgentError::Answer(_))),
            ("hangs up", vec![vec![]], |e| matches!(e, AgentError::Unreachable { .. })),
            ("stops half way", vec![cut], |e| matches!(e, AgentError::Unreachable { .. })),
            ("sends too much", vec![long], |e| matches!(e, AgentError::Answer(_))),
            ("lists what is not there", vec![failure(), greedy], |e| matches!(e, AgentError::Answer(_))),
        ];
        for (name, answers, told) in cases {
            let (agent, _dir, asked) = agent(answers);
            let e = agent.sign(&key, b"m").unwrap_err();
            assert!(told(&e), "{name}: {e:?}");
            assert!(!e.to_string().is_empty() && !e.next_step().is_empty());
            asked.join().unwrap();
        }
    }

    #[test]
    fn a_silent_agent_is_not_waited_for_for_ever() {
        let (_, key) = key();
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let drip = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for n in 0..40 {
                std::thread::sleep(Duration::from_millis(25));
                // A length of 65,536, and then a little of it.
                if stream.write_all(&[u8::from(n == 1)]).is_err() {
                    break;
                }
            }
        });
        let agent = SshAgent { list_patience: Duration::from_millis(80), ..SshAgent::at(&socket) };
        let begun = std::time::Instant::now();
        assert!(matches!(agent.holds(&key), Err(AgentError::Unreachable { .. })));
        assert!(begun.elapsed() < Duration::from_millis(900));
        drip.join().unwrap();
    }
}
