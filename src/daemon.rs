//! The daemon's life: configuration → keys → store → sockets → serve → drain.

mod confine;
mod dev;
mod manager;
mod observe;
mod reload;
mod sources;
mod watch;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::signal::unix::Signal;

use crate::audit::{Action, EventDraft, Outcome, Principal};
use crate::credential;
use crate::definition::ServerSettings;
use crate::definition::settings::{KeyPlace, Listen, TlsFiles};
use crate::engine::{Engine, InForce};
use crate::jwt::{self, Issuers};
use crate::load::{Compiled, load};
use crate::name::{IssuerName, SourceName};
use crate::process::memory::{Locked, Pages};
use crate::process::sandbox::{self, Sandbox};
use crate::resolve::fetch::Sources;
use crate::server::{self, Bearers, BoundListener, Limits, ListenError, ServeError, Tls, TlsError};
use crate::source::{ConnectError, Environment};
use crate::store::fingerprint::Fingerprints;
use crate::store::keys::{FingerprintKey, Key, KeyError, KeyFile, Purpose, SealingKey, TokenKey};
use crate::store::sealing::Sealer;
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::store::{Store, StoreError};
use crate::token::{StepTokens, Tokens};
use crate::yaml::diagnostic;
use dev::DevFolder;
use manager::ServiceManager;
use reload::Reloader;
use sources::Connected;

/// How to serve.
pub struct ServeOptions {
    /// The configuration directory.
    pub config: PathBuf,
    /// For trying out: the folder in which the temporary store and keys are
    /// made, and the uid that may do all.
    pub dev: Option<DevOptions>,
    /// Where to listen instead of what `paramd.yaml` says; empty: as it says.
    pub listen: Vec<Listen>,
    /// The command line says the log's form instead of `paramd.yaml`.
    pub log_replaced: bool,
    /// The process's environment at its start.
    pub environment: Environment,
    /// Paths of the system's libraries that its variables name.
    pub named: Vec<PathBuf>,
    /// It speaks to sockets of others that have no path.
    pub abstract_sockets: bool,
    /// What of the process's memory is locked.
    pub locked: Locked,
}

/// `serve --dev`.
pub struct DevOptions {
    /// The folder for temporary files.
    pub temporary: PathBuf,
    /// Who may do all.
    pub uid: u32,
}

/// Why the daemon can't serve.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration has errors; each as `file:line:column: message`.
    #[error("the configuration in `{}` has problems", directory.display())]
    Configuration {
        /// The directory.
        directory: PathBuf,
        /// The problems.
        problems: Vec<String>,
    },
    /// A source isn't fit to be used.
    #[error("the source `{source_name}` can't be used: {error}")]
    Source {
        /// Which.
        source_name: SourceName,
        /// Why.
        error: ConnectError,
    },
    /// A key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// systemd passed no key.
    #[error("a key of `keys` can't be had: {0}")]
    Credential(String),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store can't record that the daemon starts.
    #[error("the audit log can't be written, so nothing is served: {0}")]
    Audit(#[from] StoreError),
    /// TLS can't be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An issuer's keys can't be asked for.
    #[error(transparent)]
    Issuer(#[from] jwt::ConnectError),
    /// Keys without TLS.
    #[error(
        "the keys of the issuer `{0}` would come without TLS, which is for `serve --dev` alone: name an address with `https://`"
    )]
    PlainKeys(IssuerName),
    /// TCP without TLS.
    #[error(
        "`{0}` would be TCP without TLS, which is for `serve --dev` on the loopback alone: `tls` in paramd.yaml says which certificate and key to use"
    )]
    PlainTcp(SocketAddr),
    /// `--dev` where others could reach it.
    #[error(
        "`{0}` could be reached by others, and `serve --dev` listens on a socket or on the loopback alone: say which with --listen"
    )]
    OpenDev(SocketAddr),
    /// A socket can't be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Metrics can't be served.
    #[error("metrics can't be served on {address}: {why}")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// Why.
        why: std::io::ErrorKind,
    },
    /// The server gave up.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The folder of `--dev` can't be made.
    #[error("no temporary folder can be made in `{}`: {why}", folder.display())]
    Temporary {
        /// Where.
        folder: PathBuf,
        /// Why.
        why: std::io::ErrorKind,
    },
}

/// What the daemon is told while it serves.
pub struct Signals<F> {
    /// Resolves when it is to stop.
    pub shutdown: F,
    /// Comes when it is to take its bundle in anew.
    pub hangup: Signal,
}

/// A configuration that can be served, by a process that is confined to it.
pub struct Prepared {
    options: Arc<ServeOptions>,
    compiled: Compiled,
    warnings: Vec<String>,
    /// What holds: with `--dev` not all as it is written.
    settings: ServerSettings,
    tls: Option<Arc<Tls>>,
    sandbox: Sandbox,
    // Kept to the end: dropping it removes the temporary store and keys.
    _folder: Option<DevFolder>,
}

impl Prepared {
    /// Reads and compiles the configuration, and confines the process to what it
    /// needs: the calling thread, and those that it starts from now on.
    ///
    /// # Errors
    /// It has problems.
    pub fn read(options: ServeOptions) -> Result<Self, DaemonError> {
        let loaded = load(&options.config);
        let failed = loaded.problems.has_errors();
        let warnings = diagnostic::lines(&loaded.problems, &loaded.files);
        let compiled = match loaded.compiled {
            Some(compiled) if !failed => compiled,
            _ => {
                let directory = options.config;
                return Err(DaemonError::Configuration { directory, problems: warnings });
            }
        };
        // Before anything is made: what is written must be fit to be served.
        let tls = tls(&options, &compiled.bundle.settings)?;
        refuse_plain_keys(&options, &compiled.bundle.settings)?;
        let folder = options.dev.as_ref().map(|dev| DevFolder::make(&dev.temporary)).transpose()?;
        let mut settings = compiled.bundle.settings.clone();
        if let Some(folder) = &folder {
            folder.redirect(&mut settings);
        }
        let lost = lost_keys(&settings);
        let sandbox = sandbox::enter(confine::needs(&options, &settings));
        let warnings = warnings.into_iter().chain(lost).collect();
        let options = Arc::new(options);
        Ok(Self { options, compiled, warnings, settings, tls, sandbox, _folder: folder })
    }

    /// What `paramd.yaml` says.
    pub fn settings(&self) -> &ServerSettings {
        &self.compiled.bundle.settings
    }
}

/// Serves until told to stop, and then what was begun.
///
/// # Errors
/// [`DaemonError`].
pub async fn serve(
    prepared: Prepared,
    signals: Signals<impl Future<Output = ()>>,
) -> Result<(), DaemonError> {
    let Prepared { options, compiled, warnings, settings, tls, sandbox, _folder } = prepared;
    warnings.iter().for_each(|line| tracing::warn!("{line}"));
    confine::tell(&sandbox);
    let sealing: SealingKey = load_key(&settings.keys.sealing, &options)?;
    let fingerprints: FingerprintKey = load_key(&settings.keys.fingerprints, &options)?;
    // Made and checked with the others, before there is a token. Under `--dev` step
    // tokens go with the store.
    let token_key = match options.dev {
        None => load_key(&settings.keys.tokens, &options)?,
        Some(_) => TokenKey::generate()?,
    };
    let _locked =
        keep_in_memory(options.locked, || [sealing.lock(), fingerprints.lock(), token_key.lock()]);
    let bearers = bearers(&options, &settings)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&settings.store, Box::new(give_up))?);
    let listeners = listen(addresses(&options, &settings), tls.as_ref()).await?;
    let scraped = observe::listen(settings.metrics).await?;
    let shown: Vec<_> = listeners.iter().map(|one| one.endpoint().to_owned()).collect();
    let bundle = compiled.plans.bundle.clone();
    let pipelines = compiled.plans.pipelines.len();
    let fingerprints = Fingerprints::new(&fingerprints);
    let written = compiled.bundle.settings.clone();
    let sources = Connected::default().next(&settings, &options.environment)?;
    let in_force = in_force(compiled, &settings, &options, sources.sources());
    let step_tokens = StepTokens::new(token_key);
    let sealer = Sealer::new(sealing);
    let engine = Arc::new(Engine::new(in_force, store.clone(), sealer, fingerprints, step_tokens));
    store.record(vec![lifecycle(Action::Start, &bundle)]).await?;
    options.dev.iter().for_each(warn_of_dev);
    let (health, is_current) = tokio::sync::watch::channel(true);
    let reloader = Reloader {
        options,
        engine: engine.clone(),
        store: store.clone(),
        settings: written,
        sources,
        sandbox,
        tls,
        issuers: bearers.issuers.clone(),
        named: Vec::new(),
        bundle: bundle.clone(),
        health,
        manager: ServiceManager,
    };
    let background = [
        tokio::spawn(engine.clone().expire_overdue()),
        tokio::spawn(reloader.run(signals.hangup)),
        tokio::spawn(ServiceManager.watchdog()),
        tokio::spawn(observe::serve(scraped, engine.clone())),
    ];
    tracing::info!(listen = shown.join(", "), bundle, pipelines, "serving");
    ServiceManager.ready(&format!("serving the bundle {bundle:.12}"));
    let shutdown = async {
        signals.shutdown.await;
        ServiceManager.stopping();
    };
    let served =
        server::serve(engine, bearers, listeners, is_current, Limits::default(), shutdown).await;
    background.iter().for_each(tokio::task::JoinHandle::abort);
    let stopped = store.record(vec![lifecycle(Action::Stop, &bundle)]).await;
    let closed = store.close().await;
    tracing::info!("stopped");
    served?;
    stopped?;
    Ok(closed?)
}

/// Tells what is kept out of swap: all, else the keys as long as the answer lives.
fn keep_in_memory(locked: Locked, keys: impl FnOnce() -> [Option<Pages>; 3]) -> Option<[Pages; 3]> {
    const HELP: &str = "LimitMEMLOCK=infinity in the unit, `ulimit -l unlimited` or CAP_IPC_LOCK lets the daemon lock all of its memory";
    let told = match locked {
        Locked::All => {
            tracing::info!("all memory is locked, so none of it is swapped");
            return None;
        }
        Locked::Limited(bytes) => format!("at most {bytes} bytes may be locked"),
        Locked::Refused(why) => format!("locking memory is refused ({why})"),
    };
    // Not where all is locked: pages that are let go of are unlocked.
    match keys() {
        [Some(sealing), Some(prints), Some(tokens)] => {
            tracing::warn!(
                "{told}: the keys' pages are locked, and secrets may be swapped; {HELP}"
            );
            Some([sealing, prints, tokens])
        }
        _ => {
            tracing::warn!(
                "{told}: nothing is locked, and keys and secrets may be swapped; {HELP}"
            );
            None
        }
    }
}

fn warn_of_dev(dev: &DevOptions) {
    tracing::warn!(
        uid = dev.uid,
        "serving for trying out (--dev): this uid may do all, and the store and its keys are removed at the end"
    );
}

fn load_key<P: Purpose>(place: &KeyPlace, options: &ServeOptions) -> Result<Key<P>, DaemonError> {
    Ok(Key::load(&key_file(place, &options.environment)?)?)
}

/// The file of a key, where `keys` of `paramd.yaml` says that it is.
///
/// # Errors
/// systemd was to hand it over, and has handed over nothing.
pub fn key_file(place: &KeyPlace, environment: &Environment) -> Result<KeyFile, DaemonError> {
    match place {
        KeyPlace::File(path) => Ok(KeyFile::Own(path.clone())),
        KeyPlace::Credential(name) => {
            let path = credential::handed_over(name, environment);
            path.map(KeyFile::Given).map_err(DaemonError::Credential)
        }
    }
}

/// A key that is made anew beside a store that is there opens nothing in it.
fn lost_keys(settings: &ServerSettings) -> Vec<String> {
    let keys = [&settings.keys.sealing, &settings.keys.fingerprints];
    let files = keys.into_iter().filter_map(|key| key.file());
    let lost = files.filter(|key| settings.store.exists() && !key.exists());
    let told = |key: &Path| {
        format!(
            "the store `{}` is there and its key `{}` isn't: it is made anew, and runs of before can't be read with it",
            settings.store.display(),
            key.display()
        )
    };
    lost.map(told).collect()
}

/// What is in force, with these sources.
fn in_force(
    compiled: Compiled,
    settings: &ServerSettings,
    options: &ServeOptions,
    sources: Sources,
) -> InForce {
    let policies = match &options.dev {
        Some(dev) => compiled.policies.with_dev_user(dev.uid),
        None => compiled.policies,
    };
    if policies.is_empty() {
        tracing::warn!("there are no policies, so every request is denied");
    }
    InForce {
        plans: compiled.plans,
        policies,
        sources,
        maximum_lifetime: settings.maximum_lifetime,
        resolve_timeout: settings.resolve_timeout,
        limits: settings.limits,
    }
}

fn addresses<'a>(options: &'a ServeOptions, settings: &'a ServerSettings) -> &'a [Listen] {
    if options.listen.is_empty() { &settings.listen } else { &options.listen }
}

/// What TCP is served with; without it there is TCP for trying out alone.
fn tls(options: &ServeOptions, settings: &ServerSettings) -> Result<Option<Arc<Tls>>, DaemonError> {
    let is_dev = options.dev.is_some();
    let open = addresses(options, settings).iter().find_map(|one| match one {
        Listen::Tcp(address) if is_dev && address.ip().is_loopback() => None,
        Listen::Tcp(address) => Some(*address),
        Listen::Unix(_) => None,
    });
    match (&settings.tls, open) {
        // With keys that go at the end and a uid that may do all.
        (Some(_), Some(address)) if is_dev => Err(DaemonError::OpenDev(address)),
        (Some(files), _) => Ok(Some(Arc::new(Tls::load(&tls_files(files))?))),
        (None, Some(address)) => Err(DaemonError::PlainTcp(address)),
        (None, None) => Ok(None),
    }
}

/// What tells whose a bearer credential is. That an issuer's keys can't be had yet
/// stops nothing.
fn bearers(options: &ServeOptions, settings: &ServerSettings) -> Result<Bearers, DaemonError> {
    let key = key_file(&settings.keys.tokens, &options.environment)?;
    let tokens = Tokens::new(settings.tokens.clone(), key);
    let issuers = Issuers::default();
    issuers.replace(next_issuers(&issuers, options, settings)?);
    Ok(Bearers { tokens: Arc::new(tokens), issuers: Arc::new(issuers) })
}

fn next_issuers(
    issuers: &Issuers,
    options: &ServeOptions,
    settings: &ServerSettings,
) -> Result<jwt::Next, DaemonError> {
    refuse_plain_keys(options, settings)?;
    Ok(issuers.next(&settings.jwt)?)
}

/// Who is on the way of what comes without TLS could put in keys of his own.
fn refuse_plain_keys(options: &ServeOptions, settings: &ServerSettings) -> Result<(), DaemonError> {
    let plain = settings.jwt.values().find(|one| one.plain_address().is_some());
    match plain {
        Some(issuer) if options.dev.is_none() => Err(DaemonError::PlainKeys(issuer.name.clone())),
        _ => Ok(()),
    }
}

async fn listen(
    wanted: &[Listen],
    tls: Option<&Arc<Tls>>,
) -> Result<Vec<BoundListener>, DaemonError> {
    let mut listeners = Vec::with_capacity(wanted.len());
    for one in wanted {
        listeners.push(match one {
            Listen::Unix(path) => BoundListener::unix(path).await?,
            Listen::Tcp(address) => BoundListener::tcp(*address, tls.cloned()).await?,
        });
    }
    Ok(listeners)
}

fn tls_files(files: &TlsFiles) -> server::TlsFiles {
    let TlsFiles { certificate, key, client_ca, trust_domains } = files.clone();
    server::TlsFiles { certificate, key, client_ca, trust_domains }
}

fn lifecycle(action: Action, bundle: &str) -> EventDraft {
    let now = Timestamp::now();
    let mut event = EventDraft::new(now, Principal::daemon(), action, Outcome::Succeeded);
    bundle.clone_into(&mut event.bundle);
    event
}

/// After a failed fsync nobody knows what is on disk, and asking again would
/// answer that all is well: the process ends, and the next one reads the disk.
fn give_up() {
    tracing::error!("the store's disk failed; the daemon stops at once");
    std::process::exit(FATAL_EXIT);
}

/// The exit status after the store's disk failed.
const FATAL_EXIT: i32 = 70;
