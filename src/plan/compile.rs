//! A bundle to its plans.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::environment::plan_for;
use super::layers::{Bound, checked_literal, collect};
use super::secrecy::{self, Secrecy};
use super::steps::compile_steps;
use super::text::{Types, compiled, shown};
use super::{Common, Declared, Interface, InterfaceParameter, PlannedPipeline, PlannedRule, Plans};
use crate::definition::{Bindable, Bundle, Declaration, PipelineDefinition};
use crate::expression::Condition;
use crate::name::{EnvironmentName, ParameterName, PresetName, nearest};
use crate::value::Value;
use crate::yaml::diagnostic::{Files, Problems};

/// What compiling one pipeline works on.
pub(super) struct Input<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) definition: &'a PipelineDefinition,
    pub(super) files: &'a Files,
    pub(super) types: Types,
    aliases: BTreeMap<&'a str, &'a ParameterName>,
    pub(super) problems: Problems,
}

impl<'a> Input<'a> {
    fn new(bundle: &'a Bundle, definition: &'a PipelineDefinition, files: &'a Files) -> Self {
        let declarations = || definition.parameters.values();
        let parameters = declarations()
            .map(|declared| {
                (declared.name.value.as_str().to_owned(), declared.schema.declared().clone())
            })
            .collect();
        let aliases = declarations()
            .flat_map(|declared| {
                declared.aliases.iter().map(|alias| (alias.value.as_str(), &declared.name.value))
            })
            .collect();
        let types = Types { parameters, matrix: BTreeMap::new() };
        Self { bundle, definition, files, types, aliases, problems: Problems::default() }
    }

    /// The declared name behind a name or alias.
    pub(super) fn resolve(&self, name: &str) -> Option<&'a ParameterName> {
        match self.definition.parameters.get_key_value(name) {
            Some((declared, _)) => Some(declared),
            None => self.aliases.get(name).copied(),
        }
    }

    /// The environments that the pipeline may run in.
    pub(super) fn environments(&self) -> Vec<EnvironmentName> {
        match &self.definition.environments {
            Some(listed) => listed
                .iter()
                .map(|name| name.value.clone())
                .filter(|name| self.bundle.environments.contains_key(name))
                .collect(),
            None => self.bundle.environments.keys().cloned().collect(),
        }
    }
}

/// Compiles all pipelines of a bundle. Problems of all of them go to `problems`;
/// where there are errors, the plans are not fit to be put in force.
pub fn compile(bundle: &Bundle, files: &Files, problems: &mut Problems) -> Plans {
    let mut plans = Plans {
        bundle: bundle.sha256.clone(),
        pipelines: BTreeMap::new(),
        environments: bundle.environments.keys().cloned().collect(),
    };
    refuse_unknown_names(bundle, problems);
    for definition in bundle.pipelines.values() {
        let mut input = Input::new(bundle, definition, files);
        let pipeline = compile_pipeline(&mut input);
        problems.list.append(&mut input.problems.list);
        plans.pipelines.insert(definition.name.value.clone(), pipeline);
    }
    plans
}

/// A name at the top of a layer has to be some pipeline's.
fn refuse_unknown_names(bundle: &Bundle, problems: &mut Problems) {
    let declared: BTreeSet<&str> = bundle
        .pipelines
        .values()
        .flat_map(|pipeline| pipeline.parameters.values())
        .flat_map(|one| {
            std::iter::once(one.name.value.as_str())
                .chain(one.aliases.iter().map(|alias| alias.value.as_str()))
        })
        .collect();
    for file in bundle.global.iter().chain(bundle.environments.values()) {
        let values = file.all.values.iter().map(|(name, _)| name);
        let from = file.all.from.iter().map(|(name, _)| name);
        for name in values.chain(from).filter(|name| !declared.contains(name.value.as_str())) {
            let problem = problems.error(
                "unknown_parameter",
                &name.place,
                "no pipeline declares a parameter of this name",
            );
            problem.sensitive();
            if let Some(near) = nearest(&name.value, declared.iter().copied()) {
                problem.help(format!("did you mean `{near}`?"));
            }
        }
    }
}

fn compile_pipeline(input: &mut Input<'_>) -> PlannedPipeline {
    let definition = input.definition;
    let bounds = collect(input);
    let secrecy = secrecy::infer(input, &bounds);
    let presets = presets(input, &secrecy);
    let rules = rules(input, &secrecy);
    let steps = compile_steps(input, &secrecy);
    secrecy::refuse_mixed_bindings(input, &bounds, &secrecy);
    let common = Arc::new(Common {
        interface: Arc::new(interface(definition, &secrecy)),
        declared: declared(definition, &secrecy),
        presets,
        rules,
        steps,
        lifetime: lifetime(input),
        secret_origins: secrecy.origins(),
    });
    let plans = input
        .environments()
        .into_iter()
        .map(|environment| {
            let plan = plan_for(input, &bounds, &secrecy, &common, &environment);
            (environment, Arc::new(plan))
        })
        .collect();
    PlannedPipeline {
        name: definition.name.value.clone(),
        description: definition.description.clone(),
        plans,
        common,
    }
}

fn lifetime(input: &mut Input<'_>) -> std::time::Duration {
    let settings = &input.bundle.settings;
    let Some(said) = &input.definition.lifetime else {
        return settings.default_lifetime;
    };
    if said.value > settings.maximum_lifetime {
        input
            .problems
            .error(
                "lifetime_too_long",
                &said.place,
                "the lifetime is over the maximum of paramd.yaml",
            )
            .help("shorten it, or raise `lifetime.maximum`");
    }
    said.value
}

fn interface(definition: &PipelineDefinition, secrecy: &Secrecy) -> Interface {
    let mut interface = Interface::default();
    for declaration in definition.parameters.values() {
        let name = &declaration.name.value;
        for alias in &declaration.aliases {
            interface.aliases.insert(alias.value.clone(), name.clone());
        }
        let parameter = InterfaceParameter {
            schema: declaration.schema.clone(),
            secret: secrecy.is_secret(name),
        };
        interface.parameters.insert(name.clone(), parameter);
    }
    interface
}

fn declared(
    definition: &PipelineDefinition,
    secrecy: &Secrecy,
) -> BTreeMap<ParameterName, Declared> {
    definition
        .parameters
        .values()
        .map(|declaration| {
            let name = declaration.name.value.clone();
            let declared = Declared {
                bindable: bindable(declaration, secrecy.is_secret(&name)),
                group: declaration.group.clone(),
                deprecated: declaration.deprecated.clone(),
                default: declaration.default.as_ref().map(|default| default.value.clone()),
                secrecy: secrecy.chain(&name),
                beside_secrets: declaration.beside_secrets,
            };
            (name, declared)
        })
        .collect()
}

/// How far up a parameter may be bound where nothing is said: by a run, and a
/// secret by environments.
pub(super) fn bindable(declaration: &Declaration, secret: bool) -> Bindable {
    let default = if secret { Bindable::Environment } else { Bindable::Run };
    declaration.bindable.as_ref().map_or(default, |said| said.value)
}

fn presets(
    input: &mut Input<'_>,
    secrecy: &Secrecy,
) -> BTreeMap<PresetName, BTreeMap<ParameterName, Value>> {
    let definition = input.definition;
    let mut presets = BTreeMap::new();
    for (preset_name, preset) in &definition.presets {
        let mut values = BTreeMap::new();
        for (name, value) in &preset.values {
            let Some(known) = input.resolve(&name.value) else {
                let problem = input.problems.error(
                    "unknown_parameter",
                    &name.place,
                    format!("the preset `{preset_name}` binds a parameter that isn't declared"),
                );
                problem.sensitive();
                let names = definition.parameters.keys().map(ParameterName::as_str);
                if let Some(near) = nearest(&name.value, names) {
                    problem.help(format!("did you mean `{near}`?"));
                }
                continue;
            };
            let Some(declaration) = definition.parameters.get(known) else { continue };
            if secrecy.is_secret(known) && value.value != Value::Null {
                secrecy::refuse_literal(&mut input.problems, known, &value.place, "a preset");
                continue;
            }
            let Some(checked) = checked_literal(declaration, value, &mut input.problems) else {
                continue;
            };
            if values.insert(known.clone(), checked).is_some() {
                input
                    .problems
                    .error(
                        "bound_twice",
                        &name.place,
                        "a preset binds a parameter by its name and by an alias",
                    )
                    .help("keep one of the two");
            }
        }
        presets.insert(preset_name.clone(), values);
    }
    presets
}

fn rules(input: &mut Input<'_>, secrecy: &Secrecy) -> Vec<PlannedRule> {
    let mut rules = Vec::new();
    for rule in &input.definition.rules {
        let outcome = Condition::compile(&rule.assert.text, &input.types);
        let Some(condition) = compiled(&rule.assert, outcome, &mut input.problems) else {
            continue;
        };
        secrecy.refuse_readers(
            &mut input.problems,
            &condition.references().parameters,
            &rule.assert.place,
            "a rule",
        );
        rules.push(PlannedRule { condition, message: rule.message.clone() });
    }
    rules
}

/// `file:line` of where a binding is written.
pub(super) fn place_of(input: &Input<'_>, bound: &Bound) -> String {
    shown(&bound.place, input.files)
}
