//! What an event says. Nothing in it could hold a value.

use jiff::Timestamp;

use super::Accesses;
use crate::name::{EnvironmentName, ParameterName, PipelineName, RunId, SourceName, StepName};
use crate::provenance::SourceKind;

/// What was done; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Action {
    /// A caller failed to prove who it is.
    Authenticate = 1,
    /// `ResolveRun` of the caller's own run.
    Resolve = 2,
    /// `ResolveRun` of another's run.
    Join = 3,
    /// `ExplainRun`.
    Explain = 4,
    /// Reads of contexts, runs and pipelines.
    Read = 5,
    /// `RevealSecrets`.
    Reveal = 6,
    /// `CompleteRun`, `ExtendRun`.
    Complete = 7,
    /// Any rpc of `AuditService`.
    Audit = 8,
    /// Fingerprints were in an answer.
    Fingerprints = 9,
    /// The daemon started.
    Start = 20,
    /// The daemon stopped in good order.
    Stop = 21,
    /// A bundle, credentials or keys were taken in, or refused.
    Reload = 22,
    /// A run's lifetime was over.
    Expire = 23,
    /// `MintStepToken`.
    Delegate = 24,
}

/// How it went; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Outcome {
    /// Done.
    Succeeded = 1,
    /// Not permitted.
    Denied = 2,
    /// Permitted, and failed.
    Failed = 3,
}

/// How a caller proved who it is; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[repr(i32)]
pub enum PrincipalKind {
    /// Nobody.
    Anonymous = 1,
    /// The daemon itself.
    Daemon = 2,
    /// A local user, by the socket.
    UnixUser = 3,
    /// A client certificate.
    Certificate = 4,
    /// A bearer token of the daemon's file.
    Token = 5,
    /// A signed JWT.
    Jwt = 6,
    /// A token for one run and step.
    StepToken = 7,
}

/// Who called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Principal {
    /// The name that policies use, such as `uid:1000`. At most 512 characters.
    pub name: String,
    /// How it was proved.
    pub kind: PrincipalKind,
}

impl Principal {
    /// The daemon itself, for what it does by its own clock.
    pub fn daemon() -> Self {
        Self { name: "daemon".into(), kind: PrincipalKind::Daemon }
    }

    /// Nobody: the credential was missing or not good.
    pub fn anonymous() -> Self {
        Self { name: "anonymous".into(), kind: PrincipalKind::Anonymous }
    }

    /// A user of the Unix socket.
    pub fn unix_user(uid: u32) -> Self {
        Self { name: format!("uid:{uid}"), kind: PrincipalKind::UnixUser }
    }
}

/// What there is to say of one access, before it has its place in the chain.
/// Names of things that the daemon doesn't know stay out: only their number is
/// told.
#[derive(Debug, Clone, PartialEq)]
pub struct EventDraft {
    /// When, by the daemon's clock.
    pub time: Timestamp,
    /// What.
    pub action: Action,
    /// With what result.
    pub outcome: Outcome,
    /// The `ErrorInfo` reason of the answer; empty where it succeeded.
    pub reason: String,
    /// Who.
    pub principal: Principal,
    /// The pipeline.
    pub pipeline: Option<PipelineName>,
    /// The run in that pipeline, with its attempt.
    pub run: Option<(RunId, u32)>,
    /// The bundle, by its SHA-256; empty where none is concerned.
    pub bundle: String,
    /// The environment.
    pub environment: Option<EnvironmentName>,
    /// The step.
    pub step: Option<StepName>,
    /// The step's instance.
    pub instance: Option<u32>,
    /// The parameters that were read, bound or revealed, ordered by name.
    pub parameters: Accesses,
    /// How many names the request had that the daemon doesn't know.
    pub unknown_names: u32,
    /// The secrets left sealed to the caller's key.
    pub sealed: bool,
    /// The policies that decided.
    pub policy_ids: Vec<String>,
    /// The caller's W3C trace id; empty: none was sent.
    pub trace_id: String,
    /// The key that the fingerprints were made with; empty where there are none.
    pub fingerprint_key: String,
}

impl EventDraft {
    /// A draft with nothing but who, what and how it went.
    pub fn new(time: Timestamp, principal: Principal, action: Action, outcome: Outcome) -> Self {
        Self {
            time,
            action,
            outcome,
            reason: String::new(),
            principal,
            pipeline: None,
            run: None,
            bundle: String::new(),
            environment: None,
            step: None,
            instance: None,
            parameters: Accesses::default(),
            unknown_names: 0,
            sealed: false,
            policy_ids: Vec::new(),
            trace_id: String::new(),
            fingerprint_key: String::new(),
        }
    }
}

/// A parameter (or a revealable item, such as `env.DATABASE_URL`) in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterAccess {
    /// The name: a declared parameter or a step's own item.
    pub name: ItemName,
    /// The kind of source that the value came from.
    pub source: Option<SourceKind>,
    /// The source's name in `paramd.yaml`.
    pub source_name: Option<SourceName>,
    /// The place inside the source, canonical.
    pub location: String,
    /// The source's own version.
    pub version: Option<String>,
    /// Of a secret, the keyed fingerprint: 16 bytes.
    pub fingerprint: Option<[u8; 16]>,
    /// The keyword of the schema that the value broke; empty: none.
    pub violated_keyword: &'static str,
}

/// What can be read or revealed: a parameter, or an entry of a step's `env` or
/// `files`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ItemName(String);

impl ItemName {
    /// A parameter.
    pub fn parameter(name: &ParameterName) -> Self {
        Self(name.as_str().to_owned())
    }

    /// An entry of a step's `env`.
    pub fn env(variable: &str) -> Self {
        Self(format!("env.{variable}"))
    }

    /// An entry of a step's `files`.
    pub fn file(name: &str) -> Self {
        Self(format!("files.{name}"))
    }

    /// For what was read back from a record of ours.
    pub fn from_record(text: String) -> Self {
        Self(text)
    }

    /// The name as text, as in `Context.secrets`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The chain: one for each writer of the log.
    pub chain: String,
    /// Its place in the chain, from 1, without gaps.
    pub sequence: u64,
    /// What it says.
    pub draft: EventDraft,
    /// The version of its canonical form.
    pub format: u32,
    /// The hash of the event before it; all zero for the first.
    pub previous_hash: [u8; 32],
    /// Its own hash.
    pub hash: [u8; 32],
}

macro_rules! from_number {
    ($type:ident: $($variant:ident)+) => {
        impl $type {
            /// The one of this number, where there is one.
            pub(crate) fn from_number(number: i64) -> Option<Self> {
                [$(Self::$variant),+].into_iter().find(|one| one.number() == number)
            }

            /// The contract's number.
            pub(crate) fn number(self) -> i64 {
                i64::from(self as i32)
            }
        }
    };
}

from_number!(Action: Authenticate Resolve Join Explain Read Reveal Complete Audit Fingerprints
    Start Stop Reload Expire Delegate);
from_number!(Outcome: Succeeded Denied Failed);
from_number!(PrincipalKind: Anonymous Daemon UnixUser Certificate Token Jwt StepToken);
