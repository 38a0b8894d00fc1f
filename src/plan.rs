//! A pipeline compiled for one environment with all layers that it could use:
//! checked, ordered, secrecy inferred. Pure: no I/O, nothing but what was read.

mod address;
mod compile;
mod constant;
mod environment;
mod graph;
mod kept;
mod layers;
mod revision;
mod risks;
mod secrecy;
mod site;
mod steps;
mod tally;
mod text;
mod winners;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::definition::{Bindable, Grant};
use crate::expression::{Condition, Expression, References, Template};
use crate::name::{
    AliasName, EnvironmentName, MatrixName, ParameterName, PipelineName, PresetName, SourceName,
    StepName,
};
use crate::provenance::{Layer, SourceKind};
use crate::schema::Schema;
use crate::source::Kind;
use crate::value::Value;
use crate::yaml::Place;

pub use address::{covers, render_address};
pub use compile::compile;
pub use kept::{KeptPlan, KeptWith, Unrestorable};
pub use risks::{Risk, risks};
pub use site::{Asked, Site};

/// All pipelines of a bundle, compiled.
#[derive(Debug, Default)]
pub struct Plans {
    /// The bundle: its SHA-256.
    pub bundle: String,
    /// The pipelines.
    pub pipelines: BTreeMap<PipelineName, PlannedPipeline>,
    /// All environments of the bundle.
    pub environments: BTreeSet<EnvironmentName>,
    /// The sources of the bundle: of which kind each is, and what the operator
    /// grants of it.
    pub sources: BTreeMap<SourceName, (SourceKind, Vec<Grant>)>,
    /// The bindings to sources that hold before any preset and run.
    pub sites: Vec<Site>,
}

impl Plans {
    /// The plan of a pipeline in an environment.
    pub fn plan(&self, pipeline: &str, environment: &str) -> Option<&Arc<Plan>> {
        self.pipelines.get(pipeline)?.plans.get(environment)
    }

    /// What a pipeline in an environment may ask a source of this kind for: of one
    /// that isn't there, or is of another kind, nothing.
    pub fn granted(
        &self,
        source: &SourceName,
        kind: SourceKind,
        pipeline: &PipelineName,
        environment: &EnvironmentName,
    ) -> Vec<Grant> {
        match self.sources.get(source) {
            Some((found, grants)) if *found == kind => {
                address::grants_for(grants, pipeline, environment)
            }
            _ => Vec::new(),
        }
    }
}

/// A pipeline with its plan for each environment that it may run in.
#[derive(Debug)]
pub struct PlannedPipeline {
    /// Its name.
    pub name: PipelineName,
    /// What it does.
    pub description: String,
    /// The plans.
    pub plans: BTreeMap<EnvironmentName, Arc<Plan>>,
    /// What is the same in all of them.
    pub common: Arc<Common>,
}

/// What is the same in all environments of a pipeline.
#[derive(Debug)]
pub struct Common {
    /// What may be passed to it.
    pub interface: Arc<Interface>,
    /// The declarations' other words, by parameter.
    pub declared: BTreeMap<ParameterName, Declared>,
    /// The presets: values by declared name.
    pub presets: BTreeMap<PresetName, BTreeMap<ParameterName, Value>>,
    /// The rules, in their order.
    pub rules: Vec<PlannedRule>,
    /// The steps, in an order that respects `needs`.
    pub steps: Vec<PlannedStep>,
    /// How long its runs stay open.
    pub lifetime: Duration,
    /// For each secret parameter, the secret ones that it is computed from,
    /// itself included.
    pub secret_origins: BTreeMap<ParameterName, BTreeSet<ParameterName>>,
    /// The parameters through which whoever triggers a run can send a text of
    /// his own choice.
    pub run_texts: BTreeSet<ParameterName>,
}

/// What may be passed to a pipeline: names, types, and what is secret.
#[derive(Debug, Clone, Default)]
pub struct Interface {
    /// The parameters.
    pub parameters: BTreeMap<ParameterName, InterfaceParameter>,
    /// Their other names.
    pub aliases: BTreeMap<AliasName, ParameterName>,
}

/// A parameter of an interface.
#[derive(Debug, Clone)]
pub struct InterfaceParameter {
    /// Its type and schema.
    pub schema: Arc<Schema>,
    /// Whether it is secret.
    pub secret: bool,
}

impl Interface {
    /// The declared name behind a name or alias.
    pub fn resolve(&self, name: &str) -> Option<&ParameterName> {
        match self.parameters.get_key_value(name) {
            Some((declared, _)) => Some(declared),
            None => self.aliases.get(name),
        }
    }

    /// Whether a parameter is secret. One that isn't declared here is: in doubt a
    /// value stays inside.
    pub fn is_secret(&self, name: &ParameterName) -> bool {
        self.parameters.get(name).is_none_or(|one| one.secret)
    }
}

/// What a declaration says beside its schema.
#[derive(Debug, Clone)]
pub struct Declared {
    /// How far up it may be bound; secrets `environment` where nothing is said.
    pub bindable: Bindable,
    /// `group`.
    pub group: Option<String>,
    /// `deprecated`.
    pub deprecated: Option<String>,
    /// Its default, where there is one.
    pub default: Option<Value>,
    /// Why it is secret; empty: it is public.
    pub secrecy: Vec<SecrecyLink>,
    /// `beside_secrets`.
    pub beside_secrets: bool,
}

/// A pipeline compiled for one environment.
#[derive(Debug)]
pub struct Plan {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The SHA-256 of the plan, 64 lower-case hex digits.
    pub revision: String,
    /// The bundle that it is from.
    pub bundle: String,
    /// What is the same in all environments.
    pub common: Arc<Common>,
    /// What the layers of this environment bind.
    pub parameters: BTreeMap<ParameterName, PlannedParameter>,
}

/// What the layers below preset and run bind a parameter to.
#[derive(Debug)]
pub struct PlannedParameter {
    /// The bindings, lowest layer first; the last one wins over the others.
    pub bindings: Vec<LayerBinding>,
    /// The default, where the definition's binding asks a source.
    pub standby: Option<Standby>,
    /// The layer that locks it.
    pub lock: Option<Layer>,
}

/// A default that stands in where a source has no such value.
#[derive(Debug, Clone)]
pub struct Standby {
    /// The value.
    pub value: Value,
    /// `file:line`.
    pub place: String,
}

/// What one layer binds a parameter to.
#[derive(Debug)]
pub struct LayerBinding {
    /// The layer.
    pub layer: Layer,
    /// To what.
    pub binding: Arc<PlannedBinding>,
    /// Of a source: what the operator granted here.
    pub grants: Vec<Grant>,
    /// The layer locks the parameter.
    pub locked: bool,
    /// `file:line`.
    pub place: String,
}

/// A compiled binding.
#[derive(Debug)]
pub enum PlannedBinding {
    /// A value.
    Literal(Value),
    /// A template.
    Template {
        /// Compiled.
        template: Template,
        /// As it is written.
        text: String,
    },
    /// A source.
    Source(PlannedSource),
}

/// A compiled binding to a source.
pub struct PlannedSource {
    /// The kind.
    pub kind: &'static dyn Kind,
    /// The source.
    pub source: SourceName,
    /// The address's templates, by field.
    pub address: BTreeMap<&'static str, Template>,
    /// The fixed texts, by field.
    pub texts: Arc<BTreeMap<&'static str, String>>,
    /// The binds, in the order of their names.
    pub binds: Vec<(String, PlannedBind)>,
    /// All that address and binds read.
    pub references: References,
    /// The place as the definition writes it.
    pub location: String,
    /// Where the address's fields and the binds are written.
    places: BTreeMap<String, Place>,
}

impl std::fmt::Debug for PlannedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlannedSource({} {})", self.kind.kind().word(), self.source)
    }
}

/// A compiled bind of a query.
#[derive(Debug)]
pub enum PlannedBind {
    /// A template.
    Template(Template),
    /// A literal.
    Literal(Value),
}

impl PlannedBinding {
    /// What it reads.
    pub fn references(&self) -> Option<&References> {
        match self {
            Self::Literal(_) => None,
            Self::Template { template, .. } => Some(template.references()),
            Self::Source(source) => Some(&source.references),
        }
    }

    /// The parameters that it is computed from.
    pub fn computed_from(&self) -> BTreeSet<ParameterName> {
        self.references().map(|references| references.parameters.clone()).unwrap_or_default()
    }

    /// The kind of source.
    pub fn source_kind(&self) -> SourceKind {
        match self {
            Self::Literal(_) => SourceKind::Literal,
            Self::Template { .. } => SourceKind::Template,
            Self::Source(source) => source.kind.kind(),
        }
    }
}

/// A rule.
#[derive(Debug)]
pub struct PlannedRule {
    /// The condition.
    pub condition: Condition,
    /// What to tell who breaks it.
    pub message: String,
}

/// A step.
#[derive(Debug)]
pub struct PlannedStep {
    /// Its name.
    pub name: StepName,
    /// The steps before it.
    pub needs: Vec<StepName>,
    /// When it runs.
    pub when: Option<(Condition, String)>,
    /// The lists of its matrix.
    pub matrix: Vec<(MatrixName, Expression)>,
    /// The parameters that it may see.
    pub sees: BTreeSet<ParameterName>,
    /// The command.
    pub run: Vec<Template>,
    /// Environment variables.
    pub env: Vec<PlannedEntry>,
    /// Files, with their permission bits.
    pub files: Vec<(PlannedEntry, u32)>,
}

/// An entry of a step's `env` or `files`.
#[derive(Debug)]
pub struct PlannedEntry {
    /// The variable or the file's name.
    pub name: String,
    /// What is in it.
    pub template: Template,
    /// The secret parameters that it is computed from; empty: it is public.
    pub secrets: BTreeSet<ParameterName>,
}

/// One link of the chain that makes a parameter secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecrecyLink {
    /// The parameter.
    pub parameter: ParameterName,
    /// Why this one is secret.
    pub reason: SecrecyReason,
    /// `file:line` where that is written.
    pub place: String,
}

/// Why a parameter is secret; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum SecrecyReason {
    /// Its declaration says so.
    Declared = 1,
    /// A source that it can be bound to always gives secrets.
    Source = 2,
    /// It is computed from the parameter of the next link.
    Computed = 3,
}
