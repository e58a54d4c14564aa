//! `escrow-node`: init, charter accept, run, status, backup, restore, new-log, witness.

mod operate;

use clap::{Parser, Subcommand};
use escrow_core::wire::Status;
use escrow_core::{Code, Digest, Envelope, Org, PersonId, SeatIndex};
use escrow_node::backup::BackupError;
use escrow_node::config::{Config, LogFormat};
use escrow_node::files::DataLock;
use escrow_node::init::{SeatPlan, init};
use escrow_node::node::NodeError;
use escrow_node::restore::Source;
use escrow_node::state::State;
use escrow_node::store::Store;
use escrow_node::witness::{self, KeyFiles, Listen, Witness, WitnessError};
use escrow_node::{ended, metrics, start};
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One custodian of the escrow.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Examples:
  escrow-node --config /etc/escrow-node/escrow-node.toml init --org acme.example --seat 1 \\
      --name it --operator 'ACME IT' --operator-person ines --jurisdiction DE --url https://node1.acme.example:8443
  escrow-node --config /etc/escrow-node/escrow-node.toml run"
)]
struct Args {
    /// Configuration file.
    #[arg(long, short, default_value = "/etc/escrow-node/escrow-node.toml")]
    config: PathBuf,
    /// File of the passphrase, instead of the one that the configuration names: for a credential
    /// whose path only the service manager knows.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make this seat's keys and its public descriptor. Never overwrites keys.
    Init {
        /// The organisation served.
        #[arg(long)]
        org: Org,
        /// Index agreed with the administrators, 1 to 255.
        #[arg(long)]
        seat: SeatIndex,
        /// Short name of the seat.
        #[arg(long)]
        name: Code,
        /// The party that runs it.
        #[arg(long)]
        operator: Code,
        /// Charter id of a person who operates it; repeat for several.
        #[arg(long = "operator-person", required = true)]
        operators: Vec<PersonId>,
        /// Where it runs.
        #[arg(long)]
        jurisdiction: Code,
        /// URL under which the others reach it.
        #[arg(long)]
        url: String,
    },
    /// The operator's part in the charter.
    #[command(subcommand)]
    Charter(CharterCommand),
    /// Serve until SIGTERM.
    Run,
    /// Ask the running node how it stands. Exit code: 0 READY; 8 DEGRADED, FROZEN or UNPROVEN; 6 ROLLBACK
    /// or POISONED; 7 no answer.
    Status {
        /// How it looks.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Copy the node's data, also while it runs; sealed key files go to a folder of their own.
    #[command(after_help = "Example: escrow-node backup --out /backup/2026-11-27 --keys-out /keys/node1")]
    Backup {
        /// New folder for database and descriptor.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Folder for the sealed key files, on another medium; files are only added.
        #[arg(long, value_name = "DIR")]
        keys_out: PathBuf,
    },
    /// Check a backup, share by share, and put it into an empty data folder.
    #[command(after_help = "Example: escrow-node restore --drill --from /backup/2026-11-27 --keys /keys/node1")]
    Restore {
        /// Folder that `backup --out` made.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Folder of the sealed key files.
        #[arg(long, value_name = "DIR")]
        keys: PathBuf,
        /// Entries that its newest log must have.
        #[arg(long, value_name = "N")]
        expect_size: Option<u64>,
        /// Only try it, in a temporary folder; changes nothing.
        #[arg(long)]
        drill: bool,
        /// How the report looks.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Prepare the next log of a seat that lost entries: the way out of ROLLBACK. The node must be stopped.
    NewLog,
    /// A witness on an auditor's own machine; needs no configuration file and no seat.
    #[command(subcommand)]
    Witness(WitnessCommand),
}

/// How a report looks.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Subcommand)]
enum WitnessCommand {
    /// Make a witness's folder and keys, and print what the operators of nodes need of it.
    Init {
        /// Folder to make.
        #[arg(long)]
        dir: PathBuf,
        /// Name of its key, such as the auditor's domain.
        #[arg(long)]
        name: String,
    },
    /// Cosign what the logs of a charter send, until SIGTERM.
    #[command(after_help = "Example: escrow-node witness run --dir w --listen 0.0.0.0:8444 --charter charter.json \\
      --charter-digest 3f1c...")]
    Run {
        /// Its folder.
        #[arg(long)]
        dir: PathBuf,
        /// Address and port to listen on.
        #[arg(long)]
        listen: SocketAddr,
        /// Charter file; the logs of its newest version are watched.
        #[arg(long)]
        charter: PathBuf,
        /// Digest of the genesis charter, from somebody you trust and not from the file.
        #[arg(long)]
        charter_digest: Digest,
        /// Without TLS; to a loopback address only.
        #[arg(long)]
        plain_http: bool,
    },
}

#[derive(Subcommand)]
enum CharterCommand {
    /// Accept the charter version with this digest, and the chain up to it. Compare the digest
    /// with the administrators on another channel first.
    Accept {
        /// Digest of the version.
        digest: Digest,
        /// Charter envelopes in order; the genesis first if none was accepted yet.
        #[arg(long, required = true)]
        file: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    // No core dump: it would hold keys and shares in clear.
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(e) = rustix::process::setrlimit(rustix::process::Resource::Core, none) {
        eprintln!("escrow-node: core dumps cannot be switched off: {e}");
    }
    let outcome = match args.command {
        Command::Witness(command) => run_witness(command).map(|()| ExitCode::SUCCESS),
        command => Config::load(&args.config).map_err(NodeError::from).and_then(|mut config| {
            config.passphrase_file = args.passphrase_file.unwrap_or(config.passphrase_file);
            run(config, command)
        }),
    };
    match outcome {
        Ok(code) => code,
        Err(e) => {
            eprintln!("escrow-node: {e}");
            ExitCode::from(exit_code(&e))
        }
    }
}

/// Exit codes as in the `escrow` command: 2 usage or malformed input, 4 key missing, 7 no answer, 1 otherwise.
const fn exit_code(e: &NodeError) -> u8 {
    match e {
        NodeError::Config(_) | NodeError::Charter(_) | NodeError::Witness(WitnessError::Charter(_)) => 2,
        // Of an operator's command, not of a disk.
        NodeError::Backup(BackupError::Exists(_) | BackupError::Differs(_) | BackupError::Occupied(_)) => 2,
        NodeError::Keys(_) | NodeError::Init(_) | NodeError::Witness(WitnessError::Exists(_)) => 4,
        NodeError::Silent(_) => 7,
        _ => 1,
    }
}

fn run(config: Config, command: Command) -> Result<ExitCode, NodeError> {
    match command {
        Command::Witness(command) => run_witness(command)?,
        Command::Status { output } => return runtime()?.block_on(status(&config, output)),
        Command::Init { org, seat, name, operator, operators, jurisdiction, url } => {
            let plan = SeatPlan { org, index: seat, name, operator, operators, jurisdiction, url };
            let made = init(&config, &plan)?;
            println!("Seat {} has its keys. Give this file to the administrators:", made.index);
            println!("  {}", config.descriptor().display());
            println!("Read its key aloud when you compare: {}", made.statement_key.id());
        }
        Command::Charter(CharterCommand::Accept { digest, file }) => {
            let mut envelopes = Vec::new();
            for path in file {
                envelopes.extend(charter_file(&path)?);
            }
            // Works beside a running node too, which holds the lock.
            let lock = DataLock::take(&config.data_dir);
            let mut store = match &lock {
                Ok(_) => Store::open(&config.database())?,
                Err(_) => Store::open_beside(&config.database())?,
            };
            let accepted = start::accept(&mut store, &digest, envelopes)?;
            let charter = accepted.newest()?;
            println!("Accepted version {} of the charter of {} ({digest}).", charter.version, charter.org);
            if charter.demo {
                println!(
                    "DEMO charter: quorums of one person and one operator for all seats are allowed. Not for real use."
                );
            }
            println!("It takes effect at the node's next start.");
        }
        Command::Run => runtime()?.block_on(async {
            logging(&config.log_filter, config.log_format);
            metrics::install();
            escrow_node::run(config).await
        })?,
        Command::Backup { out, keys_out } => operate::make_backup(&config, &out, &keys_out)?,
        Command::Restore { from, keys, expect_size, drill, output } => {
            operate::from_backup(&config, &Source { from, keys, expect_size }, drill, output)?;
        }
        Command::NewLog => operate::prepare_log(&config)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn charter_file(path: &Path) -> Result<Vec<Envelope>, NodeError> {
    let bytes = std::fs::read(path).map_err(|e| NodeError::Charter(format!("{}: {e}", path.display())))?;
    escrow_core::charter::read_file(&bytes).map_err(|e| NodeError::Charter(format!("{}: {e}", path.display())))
}

fn run_witness(command: WitnessCommand) -> Result<(), NodeError> {
    match command {
        WitnessCommand::Init { dir, name } => {
            let made = witness::init(&dir, &name)?;
            println!("The witness {name} has its keys in {}. Its verifier key:", dir.display());
            println!("  {}", made.key);
            println!("For escrow-node.toml of every node that shall ask it:");
            println!("  [[witnesses]]\n  url = \"https://HOST:PORT\"\n  vkey = \"{}\"", made.key);
            println!("  tls_pin = \"{}\"", made.tls_pin);
            Ok(())
        }
        WitnessCommand::Run { dir, listen, charter, charter_digest, plain_http } => {
            let chain = escrow_policy::charter::Chain::verify(&charter_digest, &charter_file(&charter)?);
            let chain = chain.map_err(|e| NodeError::Charter(e.to_string()))?;
            let newest = chain.newest().ok_or_else(|| NodeError::Charter("an empty charter chain".into()))?;
            let open = Witness::open(&dir, newest.charter())?;
            runtime()?.block_on(async {
                logging("info", LogFormat::Text);
                let listen = if plain_http { Listen::Plain(listen) } else { Listen::Tls(listen, KeyFiles::of(&dir)) };
                let (key, logs) = (open.key().to_string(), open.origins().count());
                let listening = move |at| tracing::info!(listen = %at, %key, logs, "the witness listens");
                Ok(witness::serve(open, listen, listening, escrow_node::node::signalled()).await?)
            })
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, NodeError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| NodeError::Net(e.to_string()))
}

fn logging(filter: &str, format: LogFormat) {
    let filter =
        tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr);
    // A second initialisation can only happen in tests, where the first one stands.
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

async fn status(config: &Config, output: Output) -> Result<ExitCode, NodeError> {
    let status = match ask(config).await {
        Ok(status) => status,
        Err(e) => {
            // A node that is ending gives no status any more, a moment before it has left its reason.
            if ended::poisoned(&config.data_dir).is_none() {
                tokio::time::sleep(ENDING).await;
            }
            return ended::poisoned(&config.data_dir).map(|state| after_the_end(&state, output)).ok_or(e);
        }
    };
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&status).unwrap_or_default()),
        Output::Text => print!("{}", table(&status)),
    }
    Ok(ExitCode::from(match status.state.as_str() {
        "READY" => 0,
        "ROLLBACK" | "POISONED" => 6,
        _ => 8,
    }))
}

/// What a node that ended POISONED left: it answers no more, or not for long.
fn after_the_end(state: &State, output: Output) -> ExitCode {
    let (name, reason, way_out) = (state.name(), state.reason(), state.way_out());
    match output {
        Output::Json => {
            println!(
                "{:#}",
                serde_json::json!({"state": name, "reason": reason, "way_out": way_out, "answers": false})
            );
        }
        Output::Text => {
            println!("state     {name}; it does not answer any more\nwhy       {reason}\nway out   {way_out}")
        }
    }
    ExitCode::from(6)
}

fn table(s: &Status) -> String {
    let rows = [
        ("seat", s.seat.to_string()),
        ("state", s.state.clone()),
        ("why", s.reason.clone()),
        ("way out", s.way_out.clone()),
        ("charter", format!("version {} {}", s.charter_version, s.charter)),
        ("log", format!("{} entries, {}", s.size, s.log)),
        ("version", s.version.clone()),
    ];
    let shown = rows.iter().filter(|(_, value)| !value.is_empty());
    shown.map(|(name, value)| format!("{name:<9} {value}\n")).collect()
}

/// A node that stops for a fault has left its reason by then.
const ENDING: std::time::Duration = std::time::Duration::from_millis(500);
/// A node that answers at all does so sooner.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Asks the node of this configuration over its own address, with its pinned key.
async fn ask(config: &Config) -> Result<Status, NodeError> {
    let store = Store::open_reader(&config.database())?;
    let accepted = start::Accepted::load(&store)?;
    let descriptor = std::fs::read(config.descriptor()).map_err(|e| NodeError::Net(e.to_string()))?;
    let own: escrow_core::charter::Seat =
        serde_json::from_slice(&descriptor).map_err(|e| NodeError::Net(e.to_string()))?;
    let seat = accepted.newest()?.seats.iter().find(|s| s.index == own.index).cloned();
    let seat = seat.ok_or_else(|| NodeError::Charter("the accepted charter has no such seat".into()))?;
    let net =
        |e: String| NodeError::Silent(format!("{} does not answer: {e}; is `escrow-node run` running?", seat.url));
    let tls = rustls::ClientConfig::builder_with_provider(escrow_core::pin::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| net(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(escrow_core::pin::PinnedServer::new(seat.tls_pin))
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(PATIENCE).build();
    let client = client.map_err(|e| net(e.to_string()))?;
    let answer = client.get(format!("{}/v1/status", seat.url.trim_end_matches('/'))).send().await;
    answer.map_err(|e| net(e.to_string()))?.json().await.map_err(|e| net(e.to_string()))
}
