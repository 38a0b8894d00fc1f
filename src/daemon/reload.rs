//! Taking a bundle in anew while serving: whole or not at all, and the last good
//! one stays in force.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::manager::ServiceManager;
use super::sources::Connected;
use super::watch::Watch;
use super::{ServeOptions, confine, in_force, lifecycle, next_issuers, tls_files};
use crate::audit::{Action, Outcome};
use crate::definition::ServerSettings;
use crate::definition::settings::TlsFiles;
use crate::engine::Engine;
use crate::jwt::Issuers;
use crate::load::{Loaded, load};
use crate::process::sandbox::{Needs, Sandbox};
use crate::server::Tls;
use crate::store::Store;
use crate::telemetry::measure;
use crate::yaml::diagnostic;

/// How long apart two readings are that have to be alike before they count.
const SETTLED: Duration = Duration::from_millis(150);
/// The most readings until the files are said to be in motion.
const MAX_READINGS: u32 = 20;

/// Why the files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Somebody sent SIGHUP.
    BySignal,
    /// Files have changed.
    ByFiles,
}

/// What is on disk, as it was told last.
#[derive(PartialEq)]
struct Told {
    bundle: String,
    problems: Vec<String>,
}

/// Puts what is on disk in force.
pub(super) struct Reloader {
    /// How the daemon was started.
    pub(super) options: Arc<ServeOptions>,
    /// What serves.
    pub(super) engine: Arc<Engine>,
    /// Where it is recorded.
    pub(super) store: Arc<dyn Store>,
    /// The settings in force, as they are written.
    pub(super) settings: ServerSettings,
    /// Their sources.
    pub(super) sources: Connected,
    /// What the process is confined to.
    pub(super) sandbox: Sandbox,
    /// What TCP is served with.
    pub(super) tls: Option<Arc<Tls>>,
    /// Whose JWTs are good.
    pub(super) issuers: Arc<Issuers>,
    /// The files that the settings on disk name, in force or not: certificates.
    pub(super) named: Vec<PathBuf>,
    /// The bundle in force.
    pub(super) bundle: String,
    /// Whether what is on disk is in force.
    pub(super) health: watch::Sender<bool>,
    /// Tells the service manager.
    pub(super) manager: ServiceManager,
}

impl Reloader {
    /// Looks at the files at every SIGHUP and whenever they change.
    pub(super) async fn run(mut self, mut hangup: Signal) {
        let mut watch = Watch::new(&self.options.config).await;
        // What has changed since the daemon read it to start is news too.
        let mut refused = self.take_in(Asked::ByFiles, None).await;
        loop {
            watch.also(self.named.clone());
            let asked = tokio::select! {
                Some(()) = hangup.recv() => Asked::BySignal,
                () = watch.changed() => Asked::ByFiles,
            };
            if asked == Asked::BySignal {
                self.manager.reloading();
            }
            refused = self.take_in(asked, refused).await;
            let status = match &refused {
                None => format!("serving the bundle {:.12}", self.bundle),
                Some(_) => format!("what is on disk is refused; serving {:.12}", self.bundle),
            };
            self.manager.ready(&status);
        }
    }

    /// Puts what is on disk in force, or tells why it can't be; the latter once.
    async fn take_in(&mut self, asked: Asked, refused: Option<Told>) -> Option<Told> {
        let config = self.options.config.clone();
        let Ok(reading) = tokio::task::spawn_blocking(move || Reading::settled(&config)).await
        else {
            return refused;
        };
        let bundle = reading.bundle().to_owned();
        if let Some(settings) = reading.settings() {
            self.named = named(settings);
        }
        let is_in_force = || bundle == self.bundle && self.has_named_files();
        if asked == Asked::ByFiles && refused.is_none() && is_in_force() {
            return None;
        }
        let result = self.put_in_force(reading).await;
        measure::reload(result.is_ok());
        match result {
            Ok(()) => {
                tracing::info!(bundle, "a bundle was taken in");
                self.health.send_replace(true);
                None
            }
            Err(problems) => {
                let told = Told { bundle: bundle.clone(), problems: problems.clone() };
                if asked == Asked::ByFiles && refused.as_ref() == Some(&told) {
                    return refused;
                }
                problems.iter().for_each(|line| tracing::error!("{line}"));
                tracing::error!(
                    problems = problems.len(),
                    in_force = self.bundle,
                    "what is on disk is refused; the last good bundle stays in force"
                );
                self.health.send_replace(false);
                let mut event = lifecycle(Action::Reload, &bundle);
                event.outcome = Outcome::Failed;
                if let Err(error) = self.store.record(vec![event]).await {
                    tracing::error!(%error, "that a bundle was refused can't be recorded");
                }
                Some(told)
            }
        }
    }

    /// Whether what is in force is what the files hold that its settings name.
    fn has_named_files(&self) -> bool {
        let fresh = self.settings.tls.as_ref().map(|files| Tls::load(&tls_files(files)));
        let is_served = match (&self.tls, fresh) {
            (Some(served), Some(fresh)) => fresh.is_ok_and(|fresh| served.is_same(&fresh)),
            _ => true,
        };
        is_served && self.issuers.are_of(&self.settings.jwt) && self.sources.are_of(&self.settings)
    }

    /// What the process keeps from itself of these needs, in words.
    fn lacking(&self, needs: &Needs) -> Vec<String> {
        confine::lacking(&self.sandbox, needs)
    }

    /// All or nothing; what is wrong otherwise.
    async fn put_in_force(&mut self, reading: Reading) -> Result<(), Vec<String>> {
        let Reading { loaded, lines, settled } = reading;
        let failed = loaded.problems.has_errors();
        let compiled = match loaded.compiled {
            Some(compiled) if settled && !failed => compiled,
            _ if settled => {
                return Err([lines, self.lacking(&confine::of_directory(&self.options))].concat());
            }
            _ => return Err(vec!["the files change all the time; nothing was taken".to_owned()]),
        };
        let settings = compiled.bundle.settings.clone();
        let fixed = fixed(&self.settings, &settings, &self.options);
        if !fixed.is_empty() {
            let told = |key| format!("paramd.yaml: `{key}` has changed, which takes a restart");
            return Err(fixed.into_iter().map(told).collect());
        }
        let lacking = self.lacking(&confine::of_bundle(&self.options, &settings));
        if !lacking.is_empty() {
            return Err(lacking);
        }
        lines.iter().for_each(|line| tracing::warn!("{line}"));
        let bundle = compiled.plans.bundle.clone();
        let sources = self
            .sources
            .next(&settings, &self.options.environment)
            .map_err(|error| vec![error.to_string()])?;
        let next = in_force(compiled, &settings, &self.options, sources.sources());
        // Certificates are renewed in place, so they are read anew whatever changed.
        let tls = settings.tls.as_ref().map(|files| Tls::load(&tls_files(files))).transpose();
        let tls = tls.map_err(|error| vec![error.to_string()])?;
        let issuers = next_issuers(&self.issuers, &self.options, &settings)
            .map_err(|error| vec![error.to_string()])?;
        let recorded = self.store.record(vec![lifecycle(Action::Reload, &bundle)]).await;
        // What can't be recorded isn't done.
        recorded.map_err(|error| vec![format!("it can't be recorded: {error}")])?;
        if let (Some(served), Some(fresh)) = (&self.tls, tls) {
            served.replace(fresh);
        }
        self.issuers.replace(issuers);
        self.sources = sources;
        self.settings = settings;
        self.bundle = bundle;
        self.engine.put_in_force(next);
        measure::bundle_taken(Timestamp::now().as_second());
        Ok(())
    }
}

/// The files that settings name and that are read when they are put in force.
fn named(settings: &ServerSettings) -> Vec<PathBuf> {
    let of_sources = settings.sources.values().flat_map(|source| source.settings.files());
    let mut files: Vec<_> = of_sources.map(Path::to_owned).collect();
    files.extend(settings.tls.iter().flat_map(TlsFiles::all).map(Path::to_owned));
    files.extend(settings.jwt.values().filter_map(|one| one.ca()).map(Path::to_owned));
    files
}

/// The keys of `paramd.yaml` that differ and are read at the start alone.
fn fixed(old: &ServerSettings, new: &ServerSettings, options: &ServeOptions) -> Vec<&'static str> {
    // What the command line replaces counts for nothing.
    let dev = options.dev.is_some();
    let differs = [
        ("listen", options.listen.is_empty() && old.listen != new.listen),
        ("store", !dev && old.store != new.store),
        ("tls", old.tls.is_some() != new.tls.is_some()),
        ("tokens", old.tokens != new.tokens),
        ("keys", !dev && old.keys != new.keys),
        ("metrics", old.metrics != new.metrics),
        ("traces", old.traces != new.traces),
        ("log", !options.log_replaced && old.log != new.log),
    ];
    differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

/// What was on disk.
struct Reading {
    loaded: Loaded,
    lines: Vec<String>,
    /// Two readings in a row were alike.
    settled: bool,
}

impl Reading {
    fn of(directory: &Path) -> Self {
        let loaded = load(directory);
        let lines = diagnostic::lines(&loaded.problems, &loaded.files);
        Self { loaded, lines, settled: false }
    }

    /// Reads until two readings in a row are alike: a file that is half written,
    /// or a directory of which one half is old, is not what somebody meant.
    fn settled(directory: &Path) -> Self {
        let mut reading = Self::of(directory);
        for _ in 0..MAX_READINGS {
            std::thread::sleep(SETTLED);
            let mut again = Self::of(directory);
            again.settled = again.bundle() == reading.bundle() && again.lines == reading.lines;
            reading = again;
            if reading.settled {
                break;
            }
        }
        reading
    }

    /// What `paramd.yaml` says, where it can be read.
    fn settings(&self) -> Option<&ServerSettings> {
        self.loaded.compiled.as_ref().map(|compiled| &compiled.bundle.settings)
    }

    /// The SHA-256 of what was read; empty where nothing could be.
    fn bundle(&self) -> &str {
        self.loaded.compiled.as_ref().map_or("", |compiled| &compiled.bundle.sha256)
    }
}
