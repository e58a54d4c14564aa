//! `escrow-node`: init, charter accept, run, status, witness.

use clap::{Parser, Subcommand};
use escrow_core::wire::Status;
use escrow_core::{Code, Digest, Envelope, Org, PersonId, SeatIndex};
use escrow_node::config::{Config, LogFormat};
use escrow_node::init::{SeatPlan, init};
use escrow_node::node::NodeError;
use escrow_node::store::Store;
use escrow_node::witness::{self, KeyFiles, Listen, Witness, WitnessError};
use escrow_node::{metrics, start};
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
    /// Ask the running node how it stands.
    Status,
    /// A witness on an auditor's own machine; needs no configuration file and no seat.
    #[command(subcommand)]
    Witness(WitnessCommand),
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
        Command::Witness(command) => run_witness(command),
        command => Config::load(&args.config).map_err(NodeError::from).and_then(|config| run(config, command)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("escrow-node: {e}");
            ExitCode::from(exit_code(&e))
        }
    }
}

/// Exit codes as in the `escrow` command: 2 usage or malformed input, 4 key missing, 1 otherwise.
const fn exit_code(e: &NodeError) -> u8 {
    match e {
        NodeError::Config(_) | NodeError::Charter(_) | NodeError::Witness(WitnessError::Charter(_)) => 2,
        NodeError::Keys(_) | NodeError::Init(_) | NodeError::Witness(WitnessError::Exists(_)) => 4,
        _ => 1,
    }
}

fn run(config: Config, command: Command) -> Result<(), NodeError> {
    match command {
        Command::Witness(command) => run_witness(command),
        Command::Init { org, seat, name, operator, operators, jurisdiction, url } => {
            let plan = SeatPlan { org, index: seat, name, operator, operators, jurisdiction, url };
            let made = init(&config, &plan)?;
            println!("Seat {} has its keys. Give this file to the administrators:", made.index);
            println!("  {}", config.descriptor().display());
            println!("Read its key aloud when you compare: {}", made.statement_key.id());
            Ok(())
        }
        Command::Charter(CharterCommand::Accept { digest, file }) => {
            let mut envelopes = Vec::new();
            for path in file {
                envelopes.extend(charter_file(&path)?);
            }
            let mut store = Store::open(&config.database())?;
            let accepted = start::accept(&mut store, &digest, envelopes)?;
            let charter = accepted.newest()?;
            println!("Accepted version {} of the charter of {} ({digest}).", charter.version, charter.org);
            if charter.demo {
                println!(
                    "DEMO charter: quorums of one person and one operator for all seats are allowed. Not for real use."
                );
            }
            println!("It takes effect at the node's next start.");
            Ok(())
        }
        Command::Run => runtime()?.block_on(async {
            logging(&config.log_filter, config.log_format);
            metrics::install();
            escrow_node::run(config).await
        }),
        Command::Status => runtime()?.block_on(status(&config)),
    }
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

async fn status(config: &Config) -> Result<(), NodeError> {
    let store = Store::open_reader(&config.database())?;
    let accepted = start::Accepted::load(&store)?;
    let descriptor = std::fs::read(config.descriptor()).map_err(|e| NodeError::Net(e.to_string()))?;
    let own: escrow_core::charter::Seat =
        serde_json::from_slice(&descriptor).map_err(|e| NodeError::Net(e.to_string()))?;
    let seat = accepted.newest()?.seats.iter().find(|s| s.index == own.index).cloned();
    let seat = seat.ok_or_else(|| NodeError::Charter("the accepted charter has no such seat".into()))?;
    let net = |e: String| NodeError::Net(format!("{} does not answer: {e}; is `escrow-node run` running?", seat.url));
    let tls = rustls::ClientConfig::builder_with_provider(escrow_core::pin::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| net(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(escrow_core::pin::PinnedServer::new(seat.tls_pin))
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build();
    let client = client.map_err(|e| net(e.to_string()))?;
    let answer = client.get(format!("{}/v1/status", seat.url.trim_end_matches('/'))).send().await;
    let s: Status = answer.map_err(|e| net(e.to_string()))?.json().await.map_err(|e| net(e.to_string()))?;
    println!("seat      {}\nstate     {}", s.seat, s.state);
    if !s.reason.is_empty() {
        println!("why       {}", s.reason);
    }
    println!(
        "charter   version {} {}\nlog       {} entries, {}\nversion   {}",
        s.charter_version, s.charter, s.size, s.log, s.version
    );
    Ok(())
}
