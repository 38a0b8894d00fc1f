//! A bundle to its plans.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::environment::{plan_for, standbys};
use super::layers::{checked_literal, collect};
use super::secrecy::{self, Secrecy};
use super::steps::compile_steps;
use super::tally::Tally;
use super::text::{Types, compiled};
use super::winners::Winners;
use super::{
    Common, Declared, Interface, InterfaceParameter, PlannedPipeline, PlannedRule, Plans, Site,
};
use crate::definition::{Bindable, Bundle, Declaration, PipelineDefinition, Preset};
use crate::expression::Condition;
use crate::name::{EnvironmentName, ParameterName, PresetName};
use crate::value::Value;
use crate::yaml::Spanned;
use crate::yaml::diagnostic::{Files, Problems};
use crate::yaml::fields::among;

/// The most addresses of presets that are looked at, over all environments: a
/// thousand bindings under two hundred presets would be too many.
const MAX_PRESET_ADDRESSES: usize = 100_000;

/// What compiling one pipeline works on.
pub(super) struct Input<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) definition: &'a PipelineDefinition,
    pub(super) files: &'a Files,
    pub(super) types: Types,
    aliases: BTreeMap<&'a str, &'a ParameterName>,
    /// The presets that bind each parameter.
    presets: BTreeMap<&'a ParameterName, Vec<&'a Preset>>,
    /// How many addresses of presets may still be looked at.
    preset_addresses: Cell<usize>,
    /// Parameters with a binding that can't be compiled, and the environment
    /// whose file it stands in; none: any.
    failed: BTreeSet<(ParameterName, Option<EnvironmentName>)>,
    pub(super) tally: Tally,
    /// The bindings to sources that hold.
    pub(super) sites: Vec<Site>,
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
        let types = Types {
            parameters,
            broken: definition.broken.clone(),
            matrix: BTreeMap::new(),
            matrix_broken: false,
        };
        let mut input = Self {
            bundle,
            definition,
            files,
            types,
            aliases,
            presets: BTreeMap::new(),
            preset_addresses: Cell::new(MAX_PRESET_ADDRESSES),
            failed: BTreeSet::new(),
            tally: Tally::default(),
            sites: Vec::new(),
            problems: Problems::default(),
        };
        for preset in definition.presets.values() {
            for (name, _) in &preset.values {
                if let Some(known) = input.resolve(&name.value) {
                    input.presets.entry(known).or_default().push(preset);
                }
            }
        }
        input
    }

    /// The presets that bind one of these, within a budget: what isn't looked at
    /// here is decided where it is fetched.
    pub(super) fn presets_of(&self, names: &BTreeSet<ParameterName>) -> Vec<&'a Preset> {
        let mut found: BTreeMap<&PresetName, &'a Preset> = BTreeMap::new();
        for preset in names.iter().filter_map(|name| self.presets.get(name)).flatten() {
            found.insert(&preset.name.value, preset);
        }
        let left = self.preset_addresses.get();
        self.preset_addresses.set(left.saturating_sub(found.len()));
        found.into_values().take(left).collect()
    }

    /// Notes that a binding can't be compiled.
    pub(super) fn fail(&mut self, name: &ParameterName, environment: Option<&EnvironmentName>) {
        self.failed.insert((name.clone(), environment.cloned()));
    }

    /// The parameters with a binding that can't be compiled.
    pub(super) fn failed(&self) -> impl Iterator<Item = &ParameterName> {
        self.failed.iter().map(|(name, _)| name)
    }

    /// Whether a binding that can't be compiled might hold there.
    pub(super) fn failed_in(&self, name: &ParameterName, environment: &EnvironmentName) -> bool {
        self.failed.contains(&(name.clone(), None))
            || self.failed.contains(&(name.clone(), Some(environment.clone())))
    }

    /// Whether a declaration says `secret: false`.
    pub(super) fn says_public(&self, name: &ParameterName) -> bool {
        let declaration = self.definition.parameters.get(name);
        declaration.and_then(|one| one.secret.as_ref()).is_some_and(|said| !said.value)
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
        sources: bundle
            .settings
            .sources
            .iter()
            .map(|(name, source)| (name.clone(), (source.kind, source.grants.clone())))
            .collect(),
        sites: Vec::new(),
    };
    refuse_unknown_names(bundle, problems);
    warn_of_no_environment(bundle, problems);
    for definition in bundle.pipelines.values() {
        let mut input = Input::new(bundle, definition, files);
        let pipeline = compile_pipeline(&mut input);
        input.tally.tell(&mut input.problems);
        problems.list.append(&mut input.problems.list);
        plans.sites.append(&mut input.sites);
        plans.pipelines.insert(definition.name.value.clone(), pipeline);
    }
    plans
}

/// A name at the top of a layer has to be some pipeline's.
fn refuse_unknown_names(bundle: &Bundle, problems: &mut Problems) {
    let mut pipelines = bundle.pipelines.values();
    if bundle.unread.pipelines || pipelines.any(|pipeline| pipeline.broken.all) {
        return;
    }
    let declared: BTreeSet<&str> = bundle
        .pipelines
        .values()
        .flat_map(|pipeline| pipeline.parameters.values())
        .flat_map(|one| {
            std::iter::once(one.name.value.as_str())
                .chain(one.aliases.iter().map(|alias| alias.value.as_str()))
        })
        .chain(
            bundle.pipelines.values().flat_map(|one| one.broken.names.iter().map(String::as_str)),
        )
        .collect();
    for file in bundle.global.iter().chain(bundle.environments.values()) {
        let values = file.all.values.iter().map(|(name, _)| name);
        let from = file.all.from.iter().map(|(name, _)| name);
        for name in values.chain(from).filter(|name| !declared.contains(name.value.as_str())) {
            problems
                .error(
                    "unknown_parameter",
                    &name.place,
                    "no pipeline declares a parameter of this name",
                )
                .sensitive()
                .help(among(&name.value, declared.iter().copied()));
        }
    }
}

fn warn_of_no_environment(bundle: &Bundle, problems: &mut Problems) {
    let none = bundle.environments.is_empty() && !bundle.unread.environments;
    if none && !bundle.pipelines.is_empty() {
        let message = "there is no file in `environments/`, so that nothing can run";
        problems
            .warning_without_place("no_environment", message)
            .help("an empty `environments/dev.yaml` makes one");
    }
}

fn compile_pipeline(input: &mut Input<'_>) -> PlannedPipeline {
    let definition = input.definition;
    let bounds = collect(input);
    let secrecy = secrecy::infer(input, &bounds);
    let winners = Winners::new(&bounds);
    secrecy::refuse_contradictions(input, &bounds, &winners, &secrecy);
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
        lifetime: definition
            .lifetime
            .as_ref()
            .map_or(input.bundle.settings.default_lifetime, |said| said.value),
        secret_origins: secrecy.origins(),
        run_texts: secrecy.run_texts(),
    });
    let standbys = standbys(input);
    let plans = input
        .environments()
        .into_iter()
        .map(|environment| {
            let plan = plan_for(input, &winners, &secrecy, &common, &standbys, &environment);
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
    definition
        .presets
        .iter()
        .map(|(name, preset)| (name.clone(), preset_values(input, secrecy, name, preset)))
        .collect()
}

fn preset_values(
    input: &mut Input<'_>,
    secrecy: &Secrecy,
    preset_name: &PresetName,
    preset: &Preset,
) -> BTreeMap<ParameterName, Value> {
    let definition = input.definition;
    let mut values = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (name, value) in &preset.values {
        let known = input.resolve(&name.value);
        let Some(declaration) = known.and_then(|known| definition.parameters.get(known)) else {
            refuse_unknown(input, preset_name, name);
            continue;
        };
        let known = &declaration.name.value;
        if !seen.insert(known) {
            let message =
                format!("the preset `{preset_name}` binds `{known}` by its name and by an alias");
            input
                .problems
                .error("bound_twice", &name.place, message)
                .sensitive()
                .help("keep one of the two");
        } else if secrecy.is_secret(known) && value.value != Value::Null {
            secrecy::refuse_literal(&mut input.problems, known, &value.place, "a preset");
        } else {
            let whose = format!("`{known}`");
            let checked = checked_literal(declaration, value, &whose, &mut input.problems);
            values.extend(checked.map(|checked| (known.clone(), checked)));
        }
    }
    values
}

fn refuse_unknown(input: &mut Input<'_>, preset_name: &PresetName, name: &Spanned<String>) {
    let definition = input.definition;
    if definition.broken.has(&name.value) {
        return;
    }
    let names = definition.parameters.keys().map(ParameterName::as_str);
    input
        .problems
        .error(
            "unknown_parameter",
            &name.place,
            format!("the preset `{preset_name}` binds a parameter that isn't declared"),
        )
        .sensitive()
        .help(among(&name.value, names));
}

fn rules(input: &mut Input<'_>, secrecy: &Secrecy) -> Vec<PlannedRule> {
    let mut rules = Vec::new();
    for rule in &input.definition.rules {
        let outcome = Condition::compile(&rule.assert.text, &input.types);
        let Some(condition) = compiled(&rule.assert, outcome, &mut input.problems) else {
            continue;
        };
        secrecy::refuse_readers(
            secrecy,
            &mut input.problems,
            &condition.references().parameters,
            &rule.assert.place,
            "a rule",
        );
        rules.push(PlannedRule { condition, message: rule.message.clone() });
    }
    rules
}
