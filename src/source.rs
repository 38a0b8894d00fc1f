//! Places that values come from.
//!
//! A [`Kind`] is what definitions and `paramd.yaml` may say of a kind of source,
//! and how an answer becomes a value: pure, and used at load. A [`Source`] is a
//! source of `paramd.yaml` that can be read: the one place with I/O. A new kind
//! is a file in this folder and a line in [`registry`].

mod env;
mod file;
mod lanes;
pub mod registry;
mod sql;
#[cfg(test)]
mod testing;
mod typed;
mod vault;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::name::SourceName;
use crate::process::sandbox::Needs;
use crate::provenance::SourceKind;
use crate::schema::{Schema, Type};
use crate::secret::SecretBytes;
use crate::value::Value;
use crate::yaml::diagnostic::Problems;
use crate::yaml::{Node, Spanned};

pub use crate::yaml::TemplateText;

/// A future that borrows nothing longer than `'a`.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A kind of source: what may be written about it, and what its answers mean.
pub trait Kind: Send + Sync {
    /// Which kind.
    fn kind(&self) -> SourceKind;

    /// Whether all that it gives is secret unless a grant declassifies it.
    fn always_secret(&self) -> bool {
        false
    }

    /// The fields of a binding besides `from`.
    fn fields(&self) -> &'static [Field];

    /// Checks at load what the fields alone can't tell: a query's binds, a shape
    /// that doesn't fit the declared type.
    fn check(&self, _binding: &SourceBinding, _schema: &Schema) -> Vec<BindingProblem> {
        Vec::new()
    }

    /// Whether grants of this kind name paths (SQL and plugins have none).
    fn grants_have_paths(&self) -> bool {
        true
    }

    /// The name under which `declassify` lists what the binding gives, where the
    /// kind has such (a Vault field, a plugin's key).
    fn declassified_name<'a>(&self, _address: &'a Address) -> Option<&'a str> {
        None
    }

    /// Whether the version of an answer is made of the answer itself, without a
    /// key: of a secret it would let anyone try guesses, so it isn't kept then.
    fn version_tells_content(&self) -> bool {
        false
    }

    /// The field of an address that says which version is read; none: what was
    /// read can't be read again as it was.
    fn version_field(&self) -> Option<&'static str> {
        None
    }

    /// The canonical form of a rendered address: what people see, what grants
    /// are matched with, and what is read.
    ///
    /// # Errors
    /// Says in our own words why the address can't be one; it quotes nothing.
    fn locate(&self, ask: &Ask) -> Result<Located, AddressError>;

    /// Takes the value of the declared type out of an answer.
    ///
    /// # Errors
    /// There is none, or it isn't of the type.
    fn pick(&self, raw: &Raw, ask: &Ask, schema: &Schema) -> Result<Value, PickError>;

    /// Reads the kind's section of a source in `paramd.yaml`, such as what is
    /// under `vault:`. Problems go to `problems`; `None` where there were some.
    /// `base` is the directory that relative paths start from.
    fn read_settings(
        &self,
        node: &Node,
        base: &Path,
        problems: &mut Problems,
    ) -> Option<Arc<dyn Settings>>;
}

/// The checked settings of one source. Their `Debug` shows no credential.
pub trait Settings: Send + Sync + std::fmt::Debug {
    /// Makes the source ready to be read. It does no I/O with a server: a dead
    /// one keeps neither the daemon nor `check` from starting.
    ///
    /// # Errors
    /// Something local is missing, such as a CA file.
    fn connect(&self, environment: &Environment) -> Result<Arc<dyn Source>, ConnectError>;

    /// The files that [`Settings::connect`] reads, such as a CA: a source of which
    /// one has changed is made ready anew.
    fn files(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// The paths and ports that the source uses while it is read.
    fn needs(&self, needs: &mut Needs);

    /// Why this source can never give what is at a canonical address, such as a
    /// variable that it doesn't list; none: it may. For addresses that are known
    /// at load; reading such a one fails with [`Cause::NotGranted`].
    fn refuses(&self, _read: &Read) -> Option<&'static str> {
        None
    }
}

/// The daemon's environment as it was at its start.
pub type Environment = BTreeMap<String, SecretBytes>;

/// Why a source can't be made ready, in our own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(pub String);

/// A source that can be read.
pub trait Source: Send + Sync {
    /// Reads once. Timeouts, retries and "equal reads are one" are the
    /// resolver's.
    fn read<'a>(&'a self, read: &'a Read) -> Pending<'a, Result<Answer, SourceError>>;

    /// Asks the server whether a binding could be read, and reads no value: what
    /// `check --live` is made of. Gives what is wrong, in our own words; nothing
    /// where it could be read, or where the source can't tell without reading.
    fn check<'a>(&'a self, _probe: &'a Probe<'a>) -> Pending<'a, Result<Vec<String>, SourceError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Asks about several bindings, in as few calls as the server allows. Gives
    /// what [`Source::check`] gives, in the order of the bindings.
    fn check_all<'a>(
        &'a self,
        probes: &'a [Probe<'a>],
    ) -> Pending<'a, Result<Vec<Vec<String>>, SourceError>> {
        Box::pin(async move {
            let mut told = Vec::with_capacity(probes.len());
            for probe in probes {
                told.push(self.check(probe).await?);
            }
            Ok(told)
        })
    }
}

/// What [`Source::check`] says where a default may stand in.
pub const ABSENT: &str = "there is no such value";

/// A binding that a source is asked about and that isn't read.
pub struct Probe<'a> {
    /// The rendered binding; its binds' names count and their values don't.
    pub ask: &'a Ask,
    /// What would be read.
    pub read: &'a Read,
    /// The parameter's schema.
    pub schema: &'a Schema,
    /// The types of the binds, by name, as far as they are known.
    pub binds: BTreeMap<String, Type>,
}

/// A field of a binding.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its key in YAML.
    pub name: &'static str,
    /// What may stand there.
    pub role: Role,
    /// Whether a binding needs it.
    pub required: bool,
}

/// What may stand in a field of a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A template over what no run can bind; a plain integer is taken as text.
    Address,
    /// Fixed text.
    Text,
    /// One of these words; the first where nothing is said.
    Choice(&'static [&'static str]),
    /// A map of names to templates or literals, over any parameters.
    Binds,
}

/// The texts of an address, by field, rendered.
pub type Address = BTreeMap<&'static str, String>;

/// A binding to a source, as it is written.
#[derive(Debug, Clone)]
pub struct SourceBinding {
    /// The kind.
    pub kind: SourceKind,
    /// Which source of the kind; none: the only one.
    pub from: Option<Spanned<SourceName>>,
    /// The templates of its [`Role::Address`] fields.
    pub address: BTreeMap<&'static str, TemplateText>,
    /// Its [`Role::Text`] and [`Role::Choice`] fields.
    pub texts: BTreeMap<&'static str, TemplateText>,
    /// Its [`Role::Binds`] field.
    pub binds: BTreeMap<String, Bind>,
}

/// A bind of a query.
#[derive(Debug, Clone)]
pub enum Bind {
    /// A template; one that is a single expression keeps the value's type.
    Template(TemplateText),
    /// A literal that isn't text.
    Literal(Spanned<Value>),
}

/// What is wrong with a binding, and where.
#[derive(Debug, Clone)]
pub struct BindingProblem {
    /// The field, or a name inside it for binds.
    pub place: crate::yaml::Place,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A binding with its templates rendered, on the way to its source.
#[derive(Clone)]
pub struct Ask {
    /// The rendered address.
    pub address: Address,
    /// The fixed texts.
    pub texts: Arc<BTreeMap<&'static str, String>>,
    /// The binds' values, in the order of their names.
    pub binds: Vec<(String, Value)>,
}

/// A canonical address.
pub struct Located {
    /// The place for people, as in `Provenance.location`; empty for queries.
    pub location: String,
    /// What grants' globs are matched with; none where the kind has no paths.
    pub grant_path: Option<String>,
    /// What to read: equal ones are read once a run.
    pub read: Read,
}

/// One thing to read. Equal reads give equal answers within a run. It may hold
/// secret binds, so it has no `Debug`.
#[derive(Clone, PartialEq)]
pub struct Read {
    /// The parts of the address that name what is read (of Vault the mount, path
    /// and version, and not the field).
    pub address: Address,
    /// The query, in the form that the definition has.
    pub query: Option<String>,
    /// Its binds.
    pub binds: Vec<(String, Value)>,
}

/// An address that can't be one, in our own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(pub &'static str);

/// What a source said.
pub enum Answer {
    /// It is there.
    Found {
        /// The answer, not yet of any declared type.
        raw: Raw,
        /// The source's own version of it.
        version: Option<String>,
    },
    /// The place was reached and never had such a value.
    Missing,
    /// It was there once: deleted or destroyed.
    Gone,
}

/// An answer as the source gives it; taken as secret until the plan says
/// otherwise, so it has no `Debug`.
pub enum Raw {
    /// Bytes, such as of a file.
    Bytes(Vec<u8>),
    /// Text, such as a variable.
    Text(String),
    /// An object with typed fields, such as a Vault secret's data.
    Value(Value),
    /// Rows of a query.
    Rows {
        /// The columns' names.
        columns: Vec<String>,
        /// The rows.
        rows: Vec<Vec<Value>>,
        /// Whether the database has all our types, so that a cell's is what it is.
        typed: bool,
    },
}

impl Drop for Raw {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        match self {
            Self::Bytes(bytes) => bytes.zeroize(),
            Self::Text(text) => text.zeroize(),
            Self::Value(value) => value.zeroize(),
            Self::Rows { rows, .. } => rows.iter_mut().flatten().for_each(|cell| cell.zeroize()),
        }
    }
}

/// Why an answer gives no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PickError {
    /// The source has no such value: no such field, no row.
    Missing,
    /// Not of the declared type. Says what was expected.
    Invalid {
        /// A JSON Pointer into the value; empty for the whole.
        pointer: String,
        /// What was expected, in our own words.
        expected: String,
    },
    /// The answer as a whole makes no sense.
    Failed(Cause),
}

/// Why a source gave no answer, in our own words: the contract's causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The answer makes no sense.
    BadAnswer,
    /// The connection broke half-way.
    Interrupted,
    /// The daemon's own login was refused.
    LoginFailed,
    /// The mount isn't there.
    NoSuchMount,
    /// No grant of `paramd.yaml` covers it.
    NotGranted,
    /// Sealed, standby or starting.
    NotReady,
    /// Asked too often.
    RateLimited,
    /// The source refuses the daemon.
    Refused,
    /// A fault of the source.
    ServerError,
    /// It took too long.
    Timeout,
    /// TLS could not be set up.
    Tls,
    /// The answer is over the limits.
    TooLarge,
    /// Nobody answers there.
    Unreachable,
}

/// What a failure of a source means to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureClass {
    /// The source or a grant refuses the daemon.
    Denied,
    /// No usable answer, and none if asked again.
    Failed,
    /// It may mend by waiting.
    Unavailable,
}

impl Cause {
    /// The contract's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::BadAnswer => "bad_answer",
            Self::Interrupted => "interrupted",
            Self::LoginFailed => "login_failed",
            Self::NoSuchMount => "no_such_mount",
            Self::NotGranted => "not_granted",
            Self::NotReady => "not_ready",
            Self::RateLimited => "rate_limited",
            Self::Refused => "refused",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::TooLarge => "too_large",
            Self::Unreachable => "unreachable",
        }
    }

    /// What it means to the caller.
    pub fn class(self) -> FailureClass {
        match self {
            Self::LoginFailed | Self::NotGranted | Self::Refused => FailureClass::Denied,
            Self::BadAnswer | Self::NoSuchMount | Self::Tls | Self::TooLarge => {
                FailureClass::Failed
            }
            Self::Interrupted
            | Self::NotReady
            | Self::RateLimited
            | Self::ServerError
            | Self::Timeout
            | Self::Unreachable => FailureClass::Unavailable,
        }
    }
}

/// A read that failed. It holds no word of the source's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    /// Why.
    pub cause: Cause,
    /// When the source asks to be tried again at the earliest.
    pub retry_after: Option<Duration>,
}

impl From<Cause> for SourceError {
    fn from(cause: Cause) -> Self {
        Self { cause, retry_after: None }
    }
}
