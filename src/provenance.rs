//! Where a value came from: layers, kinds of sources, and the record of both.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::{ParameterName, SourceName};

/// The layers that bind parameters, lowest first; the numbers are the
/// contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(i32)]
pub enum Layer {
    /// The parameter's own `from` or `default`.
    Definition = 10,
    /// `values` and `from` of `global.yaml`.
    Global = 20,
    /// `pipelines.<name>` of `global.yaml`.
    GlobalPipeline = 30,
    /// `values` and `from` of `environments/<environment>.yaml`.
    Environment = 40,
    /// `pipelines.<name>` of `environments/<environment>.yaml`.
    EnvironmentPipeline = 50,
    /// The preset that the run picked.
    Preset = 60,
    /// The run's own overrides.
    Override = 70,
}

/// The kinds of sources; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(i32)]
pub enum SourceKind {
    /// The layer holds the value itself.
    Literal = 1,
    /// Computed from other parameters.
    Template = 2,
    /// An environment variable of the daemon.
    Env = 3,
    /// A file that the daemon may read.
    File = 4,
    /// A query to a SQL database.
    Sql = 5,
    /// Vault, or a server that speaks its API.
    Vault = 6,
    /// A plugin.
    Plugin = 7,
}

impl SourceKind {
    /// The word for it in YAML, errors and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Template => "template",
            Self::Env => "env",
            Self::File => "file",
            Self::Sql => "sql",
            Self::Vault => "vault",
            Self::Plugin => "plugin",
        }
    }
}

/// The most characters of a place inside a source: what the contract has for one.
const MAX_LOCATION: usize = 1_024;

/// A place inside a source, cut where it is too long to be told.
pub fn cut_location(location: &str) -> String {
    location.chars().take(MAX_LOCATION).collect()
}

/// Where a frozen value came from. Nothing in it can hold a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The layer that won.
    pub layer: Layer,
    /// The kind of source that answered.
    pub source: SourceKind,
    /// Its name in `paramd.yaml`; none for literals and templates.
    pub source_name: Option<SourceName>,
    /// The place inside the source, canonical; empty for literals, templates
    /// and queries. At most 1,024 characters.
    pub location: String,
    /// The source's own version of the value.
    pub version: Option<String>,
    /// When the source answered; none where none was asked.
    pub fetched: Option<Timestamp>,
    /// The parameters that its template or query names.
    pub computed_from: BTreeSet<ParameterName>,
    /// The source said that there is no such value, and `default` stood in.
    pub default_used: bool,
}
