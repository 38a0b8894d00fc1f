//! The frozen outcome of resolving a run, redacted, and what a step may see of
//! it. Secret values are kept apart, sealed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::audit::event::ItemName;
use crate::name::{MatrixName, ParameterName, StepName};
use crate::provenance::Provenance;
use crate::value::PublicValue;

/// The format that [`Snapshot`] is written in.
pub const FORMAT: u32 = 1;

/// What was frozen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// The format's version.
    pub format: u32,
    /// One for each declared parameter, ordered by name.
    pub parameters: BTreeMap<ParameterName, FrozenParameter>,
    /// One for each step, in an order that respects `needs`.
    pub steps: Vec<FrozenStep>,
    /// What the caller should mend.
    pub warnings: Vec<Warning>,
    /// For each secret parameter, the secret ones that it is computed from,
    /// itself included: a policy that forbids one of them forbids it.
    pub secret_origins: BTreeMap<ParameterName, BTreeSet<ParameterName>>,
}

/// A parameter as it was frozen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FrozenParameter {
    /// What may be shown.
    pub content: FrozenContent,
    /// Where it came from; none where it was not needed.
    pub provenance: Option<Provenance>,
}

/// What may be shown of a parameter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FrozenContent {
    /// The value of a public one.
    Public(PublicValue),
    /// The mark of a secret one.
    Secret(SecretMark),
    /// No step that runs and no rule reads it.
    NotNeeded,
}

/// What is kept in the open about a secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretMark {
    /// Its keyed fingerprint, for those who may see it.
    pub fingerprint: [u8; 16],
    /// Whether it is long enough to be masked in text.
    pub maskable: bool,
}

/// A step as it was decided and rendered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FrozenStep {
    /// Its name.
    pub name: StepName,
    /// The steps that must be done before it.
    pub needs: Vec<StepName>,
    /// Whether it runs, and why.
    pub decision: Decision,
    /// The parameters that it may see.
    pub sees: BTreeSet<ParameterName>,
    /// Its executions; none where it is skipped.
    pub instances: Vec<FrozenInstance>,
}

/// Whether a step runs, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub action: StepAction,
    /// Why.
    pub reason: DecisionReason,
    /// The text of `when`.
    pub condition: Option<String>,
    /// The values that decided it, by the name it used for them.
    pub deciding: BTreeMap<String, PublicValue>,
}

/// What to do with a step; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i32)]
pub enum StepAction {
    /// Run it.
    Run = 1,
    /// Don't.
    Skip = 2,
    /// Can't be told without asking a source; in explanations only.
    Unknown = 3,
}

/// Why a step runs or not; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i32)]
pub enum DecisionReason {
    /// Not known yet; in explanations only.
    Unspecified = 0,
    /// It has no condition.
    Unconditional = 1,
    /// Its condition was true.
    ConditionTrue = 2,
    /// Its condition was false.
    ConditionFalse = 3,
    /// A list of its matrix is empty.
    MatrixEmpty = 4,
}

/// One execution of a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FrozenInstance {
    /// Its combination of the matrix.
    pub matrix: BTreeMap<MatrixName, PublicValue>,
    /// The command.
    pub run: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, FrozenEntry>,
    /// Files, with their permission bits.
    pub files: BTreeMap<String, (FrozenEntry, u32)>,
}

/// What goes into a variable or file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FrozenEntry {
    /// Public text.
    Text(String),
    /// Public bytes.
    Binary(PublicValue),
    /// A revealable item.
    Secret(SecretEntry),
}

/// A secret entry of a step's `env` or `files`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretEntry {
    /// Its name for a reveal.
    pub item: ItemName,
    /// What is kept in the open about it.
    pub mark: SecretMark,
    /// Of which form its bytes are.
    pub encoding: SecretEncoding,
    /// The secret parameters that it is computed from.
    pub computed_from: BTreeSet<ParameterName>,
}

/// Of which form a secret's bytes are; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i32)]
pub enum SecretEncoding {
    /// UTF-8 text.
    Text = 1,
    /// JSON in UTF-8.
    Json = 2,
    /// The bytes themselves.
    Binary = 3,
}

/// Something that works today and should be mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The parameter, as declared.
    pub parameter: ParameterName,
    /// What is wrong.
    pub kind: WarningKind,
    /// The definition's own message to its callers; may be empty.
    pub message: String,
}

/// The kinds of warnings; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i32)]
pub enum WarningKind {
    /// The caller bound a deprecated parameter.
    Deprecated = 1,
    /// The caller named a parameter by an alias.
    AliasUsed = 2,
}

impl Snapshot {
    /// The step of this name.
    pub fn step(&self, name: &str) -> Option<&FrozenStep> {
        self.steps.iter().find(|step| step.name.as_str() == name)
    }
}
