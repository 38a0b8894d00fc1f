//! `paramd.yaml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::groups::Groups;
use crate::jwt::IssuerSettings;
use crate::name::{EnvironmentName, IssuerName, SourceName};
use crate::provenance::SourceKind;
use crate::source::Settings;
use crate::value::Value;
use crate::yaml::Place;
use crate::yaml::fields::is_path;

mod limits;
mod observe;
mod reader;

pub use limits::{Bounds, Limits};
pub(super) use reader::{defaults, read};

/// The daemon's own settings, checked.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// The embedded store's file.
    pub store: PathBuf,
    /// The keys' files.
    pub keys: KeyFiles,
    /// What TCP is served with.
    pub tls: Option<TlsFiles>,
    /// The file of hashed bearer tokens.
    pub tokens: PathBuf,
    /// The issuers whose JWTs are good.
    pub jwt: BTreeMap<IssuerName, Arc<IssuerSettings>>,
    /// How long a run stays open where its pipeline doesn't say.
    pub default_lifetime: Duration,
    /// The longest that a run may stay open.
    pub maximum_lifetime: Duration,
    /// The budget of a resolution.
    pub resolve_timeout: Duration,
    /// How much may be asked for.
    pub limits: Limits,
    /// Where metrics are served; none: nowhere.
    pub metrics: Option<SocketAddr>,
    /// The OTLP receiver that spans are sent to; none: nobody.
    pub traces: Option<String>,
    /// The form of the log.
    pub log: LogForm,
    /// Who is in which group.
    pub groups: Groups,
    /// The sources with their grants.
    pub sources: BTreeMap<SourceName, SourceEntry>,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP, with TLS where it is set up.
    Tcp(SocketAddr),
}

impl Listen {
    /// Reads `unix:PATH`, below `base`, or `ADDRESS:PORT`.
    pub fn parse(text: &str, base: &Path) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => is_path(path).then(|| Self::Unix(base.join(path))),
            None => text.parse().ok().map(Self::Tcp),
        }
    }
}

/// The files that TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The daemon's certificate and those between it and its root, in PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, in PEM.
    pub key: PathBuf,
    /// Whose client certificates are good, in PEM; none: nobody's.
    pub client_ca: Option<PathBuf>,
    /// Whose certificates of workloads are good, in PEM, by trust domain; empty:
    /// `client_ca` is for workloads too.
    pub trust_domains: BTreeMap<String, PathBuf>,
}

impl TlsFiles {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        let Self { certificate, key, client_ca, trust_domains } = self;
        let own = [certificate, key].into_iter().chain(client_ca);
        own.chain(trust_domains.values()).map(PathBuf::as_path)
    }
}

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// Seals values in the store.
    pub sealing: KeyPlace,
    /// Makes fingerprints.
    pub fingerprints: KeyPlace,
    /// Hashes bearer tokens.
    pub tokens: KeyPlace,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a file, which is made where there is none.
    File(PathBuf),
    /// Handed over by systemd under this name.
    Credential(String),
}

impl KeyPlace {
    /// The file, of a key that is in one of ours.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Credential(_) => None,
        }
    }
}

/// A source of `paramd.yaml`.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// Its name.
    pub name: SourceName,
    /// Its kind.
    pub kind: SourceKind,
    /// What its kind made of its section.
    pub settings: Arc<dyn Settings>,
    /// Its section as it is written: one that reads the same is the same source.
    pub written: Value,
    /// Who may ask it for what.
    pub grants: Vec<Grant>,
    /// Where it is written.
    pub place: Place,
}

/// The operator's word on which pipelines may ask a source for what.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Globs of pipelines' names.
    pub pipelines: Vec<String>,
    /// Environments; none: all.
    pub environments: Option<Vec<EnvironmentName>>,
    /// Globs of canonical paths; none: all where the kind has no paths.
    pub paths: Option<Vec<String>>,
    /// Fields that need not be secret.
    pub declassify: Vec<String>,
    /// Where it is written.
    pub place: Place,
}
