//! What is written in a configuration directory, read and checked file by file.
//!
//! One reader a kind of file. What needs more than one file (layers over
//! declarations, templates over types, grants) is the plan's.

mod binding;
mod bundle;
pub mod glob;
mod grant;
mod graph;
pub mod groups;
mod layer;
mod parameter;
mod pipeline;
mod roles;
pub mod settings;
mod step;

#[cfg(test)]
pub(crate) mod golden_tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::name::{
    AliasName, EnvironmentName, MatrixName, ParameterName, PipelineName, PresetName, StepName,
};
use crate::schema::Schema;
use crate::source::{SourceBinding, TemplateText};
use crate::value::Value;
use crate::yaml::{FileId, Literal, Place, Spanned};

pub use bundle::{Bundle, PolicyFile, Unread, read_bundle};
pub use groups::{Groups, Member};
pub use roles::{Grantee, RoleLink, RoleScope};
pub use settings::{Grant, ServerSettings};

/// One `pipelines/<name>.yaml`.
#[derive(Debug, Clone)]
pub struct PipelineDefinition {
    /// Its name.
    pub name: Spanned<PipelineName>,
    /// What it does; may be empty.
    pub description: String,
    /// Where it may run; none: in all environments that exist.
    pub environments: Option<Vec<Spanned<EnvironmentName>>>,
    /// How long its runs stay open if their callers don't say.
    pub lifetime: Option<Spanned<Duration>>,
    /// The parameters.
    pub parameters: BTreeMap<ParameterName, Declaration>,
    /// The presets.
    pub presets: BTreeMap<PresetName, Preset>,
    /// The rules, in their order.
    pub rules: Vec<Rule>,
    /// The steps, in the order of the file; never empty: a pipeline without
    /// steps has one, `main`, that sees every parameter.
    pub steps: Vec<StepDefinition>,
    /// Parameters that are there, and whose declarations can't be read.
    pub broken: Broken,
    /// Where the definition is.
    pub file: FileId,
}

/// Names that are declared in a way that can't be read: what that is was told,
/// and whoever uses the names is no second problem.
#[derive(Debug, Clone, Default)]
pub struct Broken {
    /// The names and aliases.
    pub names: BTreeSet<String>,
    /// Not even the names are known: any may be one.
    pub all: bool,
}

impl Broken {
    /// Whether a name may be one of these.
    pub fn has(&self, name: &str) -> bool {
        self.all || self.names.contains(name)
    }
}

/// A parameter as it is declared.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// Its name.
    pub name: Spanned<ParameterName>,
    /// Its type and schema.
    pub schema: Arc<Schema>,
    /// `default`, of the declared type.
    pub default: Option<Spanned<Value>>,
    /// `from`.
    pub from: Option<Binding>,
    /// `secret`, where it says so.
    pub secret: Option<Spanned<bool>>,
    /// `override`, where it says so.
    pub bindable: Option<Spanned<Bindable>>,
    /// `group`.
    pub group: Option<String>,
    /// `aliases`.
    pub aliases: Vec<Spanned<AliasName>>,
    /// `deprecated`: a text for whoever still passes the name.
    pub deprecated: Option<String>,
    /// `beside_secrets`.
    pub beside_secrets: bool,
    /// Places of literals other than null in its schema and the parts of it
    /// (`enum`, `const`, `examples`), by keyword: a secret may have none.
    pub literals: Vec<Spanned<&'static str>>,
    /// Whether all of it could be read. What one that isn't sound doesn't say is
    /// not known to be absent.
    pub sound: bool,
}

/// How far up a parameter may be bound: `override`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Bindable {
    /// By the definition only: `none`.
    Definition,
    /// By `global.yaml` and environments too: `environment`.
    Environment,
    /// By a run too: `run`.
    Run,
}

/// A binding that asks something.
#[derive(Debug, Clone)]
pub enum Binding {
    /// `template: TEXT`.
    Template(TemplateText),
    /// A source of `paramd.yaml`.
    Source(SourceBinding, Place),
}

/// A named set of values inside a pipeline.
#[derive(Debug, Clone)]
pub struct Preset {
    /// Its name.
    pub name: Spanned<PresetName>,
    /// The values by name or alias, in the order of the file.
    pub values: Vec<(Spanned<String>, Literal)>,
}

/// A condition over parameters that has to hold.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The condition.
    pub assert: TemplateText,
    /// What to tell a caller who breaks it.
    pub message: String,
}

/// A step as it is defined.
#[derive(Debug, Clone)]
pub struct StepDefinition {
    /// Its name.
    pub name: Spanned<StepName>,
    /// The steps that must be done before it.
    pub needs: Vec<Spanned<StepName>>,
    /// When it runs; none: always.
    pub when: Option<TemplateText>,
    /// The lists that it runs once for each item of, in the order of the file:
    /// the name, and the reference such as `params.list`.
    pub matrix: Vec<(Spanned<MatrixName>, TemplateText)>,
    /// The parameters that it may see besides those that its templates name.
    pub params: Vec<Spanned<ParameterName>>,
    /// Whether it sees every parameter (the `main` of a pipeline without steps).
    pub sees_all: bool,
    /// The command: each item a template.
    pub run: Vec<TemplateText>,
    /// Environment variables.
    pub env: Vec<(Spanned<String>, TemplateText)>,
    /// Files.
    pub files: Vec<(Spanned<String>, FileEntry)>,
    /// Whether all of it could be read.
    pub sound: bool,
}

/// A file for a step.
#[derive(Debug, Clone)]
pub struct FileEntry {
    /// What is in it.
    pub template: TemplateText,
    /// Its permission bits.
    pub mode: u32,
}

/// `global.yaml` or an `environments/<env>.yaml`.
#[derive(Debug, Clone)]
pub struct LayerFile {
    /// The environment; none for `global.yaml`.
    pub environment: Option<EnvironmentName>,
    /// For every pipeline that declares the names.
    pub all: LayerBlock,
    /// For one pipeline.
    pub pipelines: BTreeMap<PipelineName, (Place, LayerBlock)>,
    /// The file.
    pub file: FileId,
    /// Whether all of it could be read.
    pub sound: bool,
}

/// `values`, `from` and `locked` of one layer.
#[derive(Debug, Clone, Default)]
pub struct LayerBlock {
    /// Literals by name or alias.
    pub values: Vec<(Spanned<String>, Literal)>,
    /// Bindings by name or alias.
    pub from: Vec<(Spanned<String>, Binding)>,
    /// Names or aliases that this layer locks; each is among `values`.
    pub locked: Vec<Spanned<String>>,
}
