//! Five `escrow-node` processes on this machine, as five operators would run them: each with its
//! own folder, passphrase, keys, log and port.

use escrow_client::{Charters, Node};
use escrow_core::charter::Seat;
use escrow_core::{Digest, SeatIndex};
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Why the cluster does not do what the demo needs.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file or process.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// A program is not where it should be.
    #[error("{} is not built; run `make demo`, or `cargo build --workspace`", .0.display())]
    NotBuilt(PathBuf),
    /// A node's program ended with an error.
    #[error("{what} failed:\n{output}")]
    Program {
        /// What was run.
        what: String,
        /// What it printed.
        output: String,
    },
    /// A node does not come up.
    #[error("node {seat} is not READY after {seconds} s ({state}); its log is {}", .log.display())]
    NotReady {
        /// The node.
        seat: SeatIndex,
        /// How long was waited.
        seconds: u64,
        /// What it says.
        state: String,
        /// Where its log is.
        log: PathBuf,
    },
    /// A file that a node wrote cannot be read back.
    #[error("{0}")]
    Malformed(String),
}

fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> ClusterError {
    move |e| ClusterError::Io(what.to_string(), e)
}

/// Who runs a node.
#[derive(Debug, Clone, Copy)]
pub struct Operator {
    /// Short name of the seat.
    pub name: &'static str,
    /// The party.
    pub party: &'static str,
    /// Charter id of the person.
    pub person: &'static str,
    /// Where.
    pub jurisdiction: &'static str,
}

/// One node's folder and process.
#[derive(Debug)]
pub struct Member {
    /// Its public side.
    pub seat: Seat,
    /// Its folder.
    pub dir: PathBuf,
    child: Option<Child>,
}

impl Member {
    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What it prints.
    pub fn log(&self) -> PathBuf {
        self.dir.join("node.log")
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

/// The nodes. Dropping it kills those that still run.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
    bin: PathBuf,
}

impl Cluster {
    /// Makes folders, passphrases, configurations and keys, with each node's own program.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn init(dir: &Path, org: &str, operators: &[Operator]) -> Result<Self, ClusterError> {
        let bin = programs()?;
        let ports = free_ports(operators.len())?;
        let mut members = Vec::new();
        for ((index, operator), port) in (1u8..).zip(operators).zip(ports) {
            let dir = dir.join(format!("node{index}"));
            fs::create_dir_all(&dir).map_err(io(dir.display()))?;
            let phrase = hex::encode(escrow_core::random::bytes::<16>());
            write_private(&dir.join("passphrase"), phrase.as_bytes())?;
            let config = format!(
                "listen = \"127.0.0.1:{port}\"\ndata_dir = \"data\"\npassphrase_file = \"passphrase\"\nlog_filter = \"info\"\n"
            );
            fs::write(dir.join("escrow-node.toml"), config).map_err(io(dir.display()))?;
            let mut command = Command::new(bin.join("escrow-node"));
            command.arg("--config").arg(dir.join("escrow-node.toml")).arg("init");
            let values = [
                ("--org", org.to_owned()),
                ("--seat", index.to_string()),
                ("--name", operator.name.to_owned()),
                ("--operator", operator.party.to_owned()),
                ("--operator-person", operator.person.to_owned()),
                ("--jurisdiction", operator.jurisdiction.to_owned()),
                ("--url", format!("https://127.0.0.1:{port}")),
            ];
            for (flag, value) in values {
                command.arg(flag).arg(value);
            }
            check(command, "escrow-node init")?;
            let path = dir.join("data").join("seat.json");
            let json = fs::read(&path).map_err(io(path.display()))?;
            let seat = serde_json::from_slice(&json).map_err(|e| ClusterError::Malformed(e.to_string()))?;
            members.push(Member { seat, dir, child: None });
        }
        Ok(Self { members, bin })
    }

    /// The nodes.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    fn member(&mut self, seat: u8) -> Result<&mut Member, ClusterError> {
        let found = self.members.iter_mut().find(|m| m.seat.index.get() == seat);
        found.ok_or_else(|| ClusterError::Malformed(format!("no node {seat}")))
    }

    /// Each operator accepts the charter with this digest.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn accept(&self, charter: &Path, digest: &Digest) -> Result<(), ClusterError> {
        for m in &self.members {
            let mut command = Command::new(self.bin.join("escrow-node"));
            command.arg("--config").arg(m.dir.join("escrow-node.toml"));
            command.args(["charter", "accept", &digest.to_string(), "--file"]).arg(charter);
            check(command, "escrow-node charter accept")?;
        }
        Ok(())
    }

    /// Starts one node's own program.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn start(&mut self, seat: u8) -> Result<(), ClusterError> {
        self.start_as(seat, "escrow-node", &["run"])
    }

    /// Starts another program in a node's place, as an operator could.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn start_as(&mut self, seat: u8, program: &str, args: &[&str]) -> Result<(), ClusterError> {
        let path = self.bin.join(program);
        if !path.exists() {
            return Err(ClusterError::NotBuilt(path));
        }
        let member = self.member(seat)?;
        let log =
            fs::OpenOptions::new().create(true).append(true).open(member.log()).map_err(io(member.log().display()))?;
        let child = Command::new(&path)
            .arg("--config")
            .arg(member.dir.join("escrow-node.toml"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(io(path.display()))?;
        member.child = Some(child);
        Ok(())
    }

    /// Starts all that do not run.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn start_all(&mut self) -> Result<(), ClusterError> {
        let idle: Vec<u8> = self.members.iter().filter(|m| m.child.is_none()).map(|m| m.seat.index.get()).collect();
        idle.into_iter().try_for_each(|seat| self.start(seat))
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn kill(&mut self, seat: u8) -> Result<(), ClusterError> {
        if let Some(mut child) = self.member(seat)?.child.take() {
            child.kill().and_then(|()| child.wait()).map_err(io(format!("kill -9 of node {seat}")))?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end; how it ended, if it ran.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn stop(&mut self, seat: u8) -> Result<Option<ExitStatus>, ClusterError> {
        if let Some(mut child) = self.member(seat)?.child.take() {
            let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                let sent = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                sent.map_err(|e| ClusterError::Io(format!("SIGTERM to node {seat}"), e.into()))?;
            }
            return child.wait().map(Some).map_err(io(format!("waiting for node {seat}")));
        }
        Ok(None)
    }

    /// How a node's process has ended; none while it runs.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub fn ended(&mut self, seat: u8) -> Result<Option<ExitStatus>, ClusterError> {
        let member = self.member(seat)?;
        let ended = member.child.as_mut().map(Child::try_wait).transpose();
        let ended = ended.map_err(io(format!("waiting for node {seat}")))?.flatten();
        if ended.is_some() {
            member.child = None;
        }
        Ok(ended)
    }

    /// Waits until the running nodes say READY.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`].
    pub async fn ready(&self, charters: &Charters, patience: Duration) -> Result<(), ClusterError> {
        for m in self.members.iter().filter(|m| m.child.is_some()) {
            let seat = charters.seat(m.seat.index).unwrap_or(&m.seat);
            let node = Node::new(seat).map_err(|e| ClusterError::Malformed(e.to_string()))?;
            let until = Instant::now() + patience;
            loop {
                let state = node.status().await.map_or_else(|e| e.to_string(), |s| s.state);
                if state == "READY" {
                    break;
                }
                if Instant::now() > until {
                    return Err(ClusterError::NotReady {
                        seat: m.seat.index,
                        seconds: patience.as_secs(),
                        state,
                        log: m.log(),
                    });
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// Lets the processes live on after this value is gone.
    pub fn leave_running(mut self) -> Vec<(SeatIndex, u32)> {
        let mut left = Vec::new();
        for m in &mut self.members {
            if let Some(child) = m.child.take() {
                left.push((m.seat.index, child.id()));
            }
        }
        left
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for m in &mut self.members {
            if let Some(mut child) = m.child.take() {
                // Best effort: the process may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The folder of the programs: that of this one, or its parent when this is a test.
fn programs() -> Result<PathBuf, ClusterError> {
    let exe = std::env::current_exe().map_err(io("this program's own path"))?;
    let candidates = exe.ancestors().skip(1).take(3);
    let found = candidates.map(Path::to_path_buf).find(|dir| dir.join("escrow-node").exists());
    found.ok_or_else(|| ClusterError::NotBuilt(exe.with_file_name("escrow-node")))
}

/// Free ports on loopback, held until all are found so that none is given twice. Below those that
/// the system gives to outgoing connections, so that a node which was killed gets its port again.
fn free_ports(n: usize) -> Result<Vec<u16>, ClusterError> {
    let free = || {
        let mut tries = (0..1_000).map(|_| 12_000 + u16::from_be_bytes(escrow_core::random::bytes()) % 20_000);
        let found = tries.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
        found.map_or_else(|| TcpListener::bind("127.0.0.1:0"), Ok)
    };
    let held: Vec<TcpListener> =
        (0..n).map(|_| free()).collect::<Result<_, _>>().map_err(io("a free port on 127.0.0.1"))?;
    held.iter().map(|l| l.local_addr().map(|a| a.port()).map_err(io("a free port"))).collect()
}

fn check(mut command: Command, what: &str) -> Result<(), ClusterError> {
    let out = command.stdin(Stdio::null()).output().map_err(io(what))?;
    if out.status.success() {
        return Ok(());
    }
    let output = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    Err(ClusterError::Program { what: what.into(), output })
}

pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), ClusterError> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut f| f.write_all(bytes)).map_err(io(path.display()))
}
