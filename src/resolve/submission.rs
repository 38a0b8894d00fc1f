//! What a caller passes, checked as far as no source is needed.

mod read;

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{ParameterName, PresetName, nearest};
use crate::plan::{Interface, Plan};
use crate::provenance::Layer;
use crate::refusal::{Violation, ViolationReason};
use crate::secret::SecretBytes;
use crate::snapshot::{SecretEncoding, Warning, WarningKind};
use crate::value::Value;

#[cfg(test)]
mod tests;

pub use read::read_overrides;

/// Values of a request, not yet checked: any of them may be a misplaced secret,
/// so there is no `Debug`.
#[derive(Clone, Default)]
pub struct Overrides {
    /// Typed values of public parameters; an error says why the message holds no
    /// value.
    pub typed: BTreeMap<String, Result<Value, MalformedValue>>,
    /// Values as text.
    pub text: BTreeMap<String, String>,
    /// Values of secret parameters.
    pub secret: BTreeMap<String, SecretOverride>,
}

/// A secret that a caller passes.
#[derive(Clone)]
pub struct SecretOverride {
    /// Its bytes.
    pub bytes: SecretBytes,
    /// Their form; none: the declared type decides.
    pub encoding: Option<SecretEncoding>,
    /// The message named an encoding that is not known.
    pub unknown_encoding: bool,
}

/// Why a `Value` message holds no value of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedValue {
    /// A JSON Pointer to the place inside.
    pub pointer: String,
    /// What was expected there.
    pub expected: &'static str,
}

/// The overrides of a request by declared name, of the declared types. They may
/// be secret, so there is no `Debug`.
#[derive(Default)]
pub struct ReadOverrides {
    /// The values.
    pub values: BTreeMap<ParameterName, Value>,
    /// The field and name that each was passed by, the one read first.
    pub fields: BTreeMap<ParameterName, String>,
    /// Parameters that were named, soundly or not.
    pub named: BTreeSet<ParameterName>,
    /// Those of them that have a problem.
    pub unsound: BTreeSet<ParameterName>,
    /// Those that were named by an alias.
    pub by_alias: BTreeSet<ParameterName>,
    /// How many names are not declared.
    pub unknown_names: u32,
}

/// What a run binds over its plan.
pub struct Submission {
    /// The preset.
    pub preset: Option<PresetName>,
    /// Values of the preset and of the run, with the layer that won.
    pub values: BTreeMap<ParameterName, (Layer, Value)>,
    /// The run's own values alone.
    pub overrides: BTreeMap<ParameterName, Value>,
    /// What the caller should mend.
    pub warnings: Vec<Warning>,
    /// Parameters with a problem of their own: nothing is told of what reads
    /// them.
    pub unsound: BTreeSet<ParameterName>,
}

/// Checks everything about a request that the plan alone can tell. The overrides
/// were read with [`read_overrides`], which told of its own problems.
pub fn submit(
    plan: &Plan,
    preset: &str,
    read: ReadOverrides,
    violations: &mut Vec<Violation>,
) -> Submission {
    let mut unsound = read.unsound.clone();
    unsound.extend(refuse_unbindable(plan, &read, violations));
    let preset = check_preset(plan, preset, violations);
    let mut values = BTreeMap::new();
    for (name, value) in preset.iter().filter_map(|name| plan.common.presets.get(name)).flatten() {
        values.insert(name.clone(), (Layer::Preset, value.clone()));
    }
    for (name, value) in &read.values {
        values.insert(name.clone(), (Layer::Override, value.clone()));
    }
    for (name, parameter) in &plan.parameters {
        let bound = !parameter.bindings.is_empty() || values.contains_key(name);
        if !bound && !read.named.contains(name) {
            violations.push(Violation {
                field: format!("parameters.{name}"),
                reason: ViolationReason::MissingParameter,
                description: "required, and no layer binds it".into(),
            });
            unsound.insert(name.clone());
        }
    }
    let warnings = warnings(plan, &read);
    Submission { preset, values, warnings, overrides: read.values, unsound }
}

/// Locked, or not for a run to bind; gives the parameters concerned. Of one path
/// the first problem is told, and these come before its secrecy and its type.
fn refuse_unbindable(
    plan: &Plan,
    read: &ReadOverrides,
    violations: &mut Vec<Violation>,
) -> Vec<ParameterName> {
    let mut refused = Vec::new();
    for (name, field) in &read.fields {
        let lock = plan.parameters.get(name).and_then(|parameter| parameter.lock);
        let bindable = plan.common.declared.get(name).map(|declared| declared.bindable);
        let (reason, description) = match (lock, bindable) {
            (Some(layer), _) => (
                ViolationReason::ParameterLocked,
                format!("locked by {}", layer_words(layer, plan.environment.as_str())),
            ),
            (None, Some(crate::definition::Bindable::Run)) => continue,
            (None, _) => (
                ViolationReason::OverrideNotAllowed,
                "its declaration lets no run bind it".to_owned(),
            ),
        };
        violations.retain(|other| other.field != *field);
        violations.push(Violation { field: field.clone(), reason, description });
        refused.push(name.clone());
    }
    refused
}

/// A layer in words for people.
pub fn layer_words(layer: Layer, environment: &str) -> String {
    match layer {
        Layer::Definition => "the definition".into(),
        Layer::Global => "global.yaml".into(),
        Layer::GlobalPipeline => "global.yaml, for this pipeline".into(),
        Layer::Environment => format!("the environment `{environment}`"),
        Layer::EnvironmentPipeline => format!("the environment `{environment}`, for this pipeline"),
        Layer::Preset => "the preset".into(),
        Layer::Override => "the run".into(),
    }
}

fn check_preset(plan: &Plan, preset: &str, violations: &mut Vec<Violation>) -> Option<PresetName> {
    if preset.is_empty() {
        return None;
    }
    let presets = &plan.common.presets;
    let Some((name, values)) = presets.get_key_value(preset) else {
        let names = presets.keys().map(PresetName::as_str);
        let near = nearest(preset, names.clone())
            .map(|near| format!("did you mean `{near}`? "))
            .unwrap_or_default();
        let known = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        violations.push(Violation {
            field: "preset".into(),
            reason: ViolationReason::UnknownPreset,
            description: format!("the pipeline has no such preset; {near}it has: {known}"),
        });
        return None;
    };
    for name in values.keys() {
        if let Some(layer) = plan.parameters.get(name).and_then(|parameter| parameter.lock) {
            let words = layer_words(layer, plan.environment.as_str());
            violations.push(Violation {
                field: "preset".into(),
                reason: ViolationReason::ParameterLocked,
                description: format!("it binds `{name}`, which is locked by {words}"),
            });
            break;
        }
    }
    Some(name.clone())
}

fn warnings(plan: &Plan, read: &ReadOverrides) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for name in &read.named {
        let deprecated =
            plan.common.declared.get(name).and_then(|declared| declared.deprecated.clone());
        if let Some(message) = deprecated {
            let parameter = name.clone();
            warnings.push(Warning { parameter, kind: WarningKind::Deprecated, message });
        }
        if read.by_alias.contains(name) {
            let (parameter, message) = (name.clone(), String::new());
            warnings.push(Warning { parameter, kind: WarningKind::AliasUsed, message });
        }
    }
    warnings
}

/// The names of an interface, for whoever passed one that isn't among them.
fn known_names(interface: &Interface) -> String {
    const SHOWN: usize = 50;
    let mut names: Vec<String> =
        interface.parameters.keys().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if interface.parameters.len() > SHOWN {
        names.push(format!("and {} more", interface.parameters.len() - SHOWN));
    }
    names.join(", ")
}
