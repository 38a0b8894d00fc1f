//! `paramd serve`: runs the daemon.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::client::Endpoint;
use super::error::CliError;
use super::exit::Exit;
use super::paint::may_paint;
use super::printer::Stream;
use super::{App, Guard, with_threads};
use crate::daemon::{self, DaemonError, DevOptions, Prepared, ServeOptions, Signals};
use crate::definition::settings::{Listen, LogForm};
use crate::secret::SecretBytes;
use crate::source;
use crate::telemetry::spans::{self, Traces};

/// The arguments.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The configuration directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) config: PathBuf,
    /// For trying out: a temporary store and keys, the caller may do all.
    #[arg(long)]
    pub(crate) dev: bool,
    /// Where to listen, as unix:PATH or IP:PORT (port 0: a free one, which the
    /// log tells); replaces `listen` of paramd.yaml. May be repeated.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Vec<String>,
    /// The form of the log on standard error: lines for people, or JSON objects;
    /// replaces `log` of paramd.yaml.
    #[arg(long, value_name = "text|json", value_enum, hide_possible_values = true)]
    pub(crate) log_format: Option<LogFormat>,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Crates that log what a source answered, or a path with its query: off,
/// whatever PARAMD_LOG asks for.
const SILENCED: [&str; 7] =
    ["vaultrs", "rustify", "sqlx", "sqlx_core", "sqlx_postgres", "sqlx_mysql", "notify"];

pub(super) fn run(app: &App, args: Args, guard: Guard) -> Result<Exit, CliError> {
    if app.global.endpoint.is_some() {
        return Err(CliError::usage("`serve` takes no --endpoint: it is one")
            .with_help("say where to listen: --listen unix:PATH"));
    }
    let filter = log_filter(app)?;
    let options = ServeOptions {
        listen: listen(app, &args)?,
        dev: args.dev.then(|| DevOptions {
            temporary: app.environment.folder("TMPDIR").unwrap_or_else(|| "/tmp".into()),
            uid: rustix::process::getuid().as_raw(),
        }),
        log_replaced: args.log_format.is_some(),
        config: args.config,
        environment: variables(app),
        named: NAMED_BY_THE_SYSTEM.iter().filter_map(|name| app.environment.folder(name)).collect(),
        abstract_sockets: has_abstract_manager(app),
        locked: guard.locked,
    };
    // First of all: a hangup that nobody waits for would end the process.
    outlive_hangups()?;
    let prepared = Prepared::read(options).map_err(told)?;
    let form = args.log_format.unwrap_or(match prepared.settings().log {
        LogForm::Text => LogFormat::Text,
        LogForm::Json => LogFormat::Json,
    });
    with_threads(serve(app, prepared, filter, form, guard))
}

/// Variables that name paths which libraries read, or systemd has filled.
const NAMED_BY_THE_SYSTEM: [&str; 3] = ["CREDENTIALS_DIRECTORY", "SSL_CERT_DIR", "SSL_CERT_FILE"];

/// Whether the service manager listens on a socket without a path.
fn has_abstract_manager(app: &App) -> bool {
    app.environment.value("NOTIFY_SOCKET").is_some_and(|path| path.as_bytes().starts_with(b"@"))
}

async fn serve(
    app: &App,
    prepared: Prepared,
    filter: EnvFilter,
    form: LogFormat,
    guard: Guard,
) -> Result<Exit, CliError> {
    let hangup = listen_for(SignalKind::hangup())?;
    let signals = Signals { shutdown: stop_signal()?, hangup };
    let traces = match &prepared.settings().traces {
        None => None,
        Some(endpoint) => Some(Traces::to(endpoint).ok_or_else(no_traces)?),
    };
    start_log(app, filter, form, traces.as_ref())?;
    if let Err(why) = guard.wiped {
        tracing::warn!(
            ?why,
            "variables can't be wiped, so root reads them in /proc/PID/environ as long as the daemon lives: is /proc there?"
        );
    }
    let served = daemon::serve(prepared, signals).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    match served {
        Ok(()) => Ok(Exit::Success),
        Err(error) => Err(told(error)),
    }
}

/// From now on a hangup doesn't end the process, before there is somebody who
/// takes it too: what it asks for is done at the start anyway.
fn outlive_hangups() -> Result<(), CliError> {
    let failed = |_| CliError::new(Exit::Failed, "signals can't be listened for");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(failed)?;
    let _inside = runtime.enter();
    // What is installed for it stays to the process's end.
    listen_for(SignalKind::hangup()).map(drop)
}

fn told(error: DaemonError) -> CliError {
    let message = error.to_string();
    match error {
        DaemonError::Configuration { directory, problems } => CliError::new(Exit::Failed, message)
            .with_problems(problems)
            .with_help(format!("`paramd check {}` shows each in its place", directory.display())),
        DaemonError::Listen(_) => CliError::new(Exit::Failed, message).with_help(
            "say where: --listen unix:PATH, or with --dev PARAMD_ENDPOINT, which commands read too",
        ),
        _ => CliError::new(Exit::Failed, message),
    }
}

/// Where to listen: as asked, else with `--dev` where every command looks.
fn listen(app: &App, args: &Args) -> Result<Vec<Listen>, CliError> {
    if args.listen.is_empty() && args.dev {
        let endpoint = Endpoint::choose(None, &app.environment)?;
        return match endpoint.path() {
            Some(path) => Ok(vec![Listen::Unix(path)]),
            None => Err(CliError::usage("PARAMD_ENDPOINT isn't a socket to listen on")
                .with_help("say where to listen: --listen ADDRESS")),
        };
    }
    args.listen
        .iter()
        .map(|address| {
            Listen::parse(address, Path::new("")).ok_or_else(|| {
                CliError::usage("an address of --listen isn't understood").with_help(
                    "it is unix:PATH, or an IP address and a port: 0.0.0.0:7443, [::]:7443",
                )
            })
        })
        .collect()
}

/// The variables that sources may be given, to the byte: one that isn't UTF-8 is
/// set all the same, and no default may stand in for it.
pub(super) fn variables(app: &App) -> source::Environment {
    app.environment
        .all()
        .iter()
        .filter_map(|(name, value)| {
            Some((name.to_str()?.to_owned(), SecretBytes::new(value.as_bytes().to_vec())))
        })
        .collect()
}

fn no_traces() -> CliError {
    CliError::new(Exit::Failed, "spans can't be sent to the address of `traces`")
}

fn log_filter(app: &App) -> Result<EnvFilter, CliError> {
    let wanted = app.environment.value("PARAMD_LOG").and_then(|text| text.to_str());
    EnvFilter::try_new(wanted.unwrap_or("info")).map_err(|_| {
        CliError::usage("PARAMD_LOG isn't understood")
            .with_help("it is a level such as `debug`, or targets such as `paramd=debug,h2=off`")
    })
}

fn start_log(
    app: &App,
    filter: EnvFilter,
    format: LogFormat,
    traces: Option<&Traces>,
) -> Result<(), CliError> {
    // Spans go where traces go, and would repeat what the line of a request says.
    // Without a level of its own it would have each trace event of each crate
    // looked at whenever it comes, and not once.
    let loud = filter_fn(|about| {
        let silenced = SILENCED.contains(&about.target().split("::").next().unwrap_or_default());
        !silenced && about.target() != spans::TARGET
    })
    .with_max_level_hint(LevelFilter::TRACE);
    let sent = traces.map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(
                filter_fn(|about| about.target() == spans::TARGET)
                    .with_max_level_hint(LevelFilter::INFO),
            )
    });
    let colours = may_paint(Stream::Err, &app.environment);
    let text = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let layer = match format {
        LogFormat::Text => text.boxed(),
        LogFormat::Json => text.json().with_ansi(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter.and(loud)))
        .with(sent)
        .try_init()
        .map_err(|_| CliError::new(Exit::Failed, "the log could not be started"))
}

/// Resolves when the daemon is told to stop.
fn stop_signal() -> Result<impl Future<Output = ()>, CliError> {
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn listen_for(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|_| CliError::new(Exit::Failed, "signals can't be listened for"))
}
