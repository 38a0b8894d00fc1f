//! A pipeline in one environment: which bindings win, what is granted, and what
//! is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::address::{covers, grants_for, render_address};
use super::compile::{Input, place_of};
use super::graph::find_cycle;
use super::layers::Bound;
use super::revision::revision;
use super::secrecy::Secrecy;
use super::text::shown;
use super::{Common, LayerBinding, Plan, PlannedBinding, PlannedParameter, PlannedSource, Standby};
use crate::definition::{Bindable, Grant};
use crate::expression::{RunScope, Scope};
use crate::name::{EnvironmentName, MatrixName, ParameterName, PipelineName};
use crate::provenance::Layer;
use crate::source::{Address, Ask};
use crate::value::Value;

/// The plan of a pipeline for an environment.
pub(super) fn plan_for(
    input: &mut Input<'_>,
    bounds: &[Bound],
    secrecy: &Secrecy,
    common: &Arc<Common>,
    environment: &EnvironmentName,
) -> Plan {
    let here: Vec<&Bound> = bounds
        .iter()
        .filter(|bound| bound.environment.as_ref().is_none_or(|only| only == environment))
        .collect();
    let mut parameters = BTreeMap::new();
    for declaration in input.definition.parameters.values() {
        let name = &declaration.name.value;
        let mine: Vec<&Bound> =
            here.iter().copied().filter(|bound| bound.parameter == *name).collect();
        let lock = lock(input, &mine);
        refuse_missing(input, common, secrecy, name, &mine, environment);
        let bindings = mine
            .iter()
            .map(|bound| LayerBinding {
                layer: bound.layer,
                binding: bound.binding.clone(),
                grants: granted(input, bound, environment),
                locked: bound.locked,
                place: place_of(input, bound),
            })
            .collect();
        let standby =
            declaration.default.as_ref().filter(|_| declaration.from.is_some()).map(|default| {
                Standby { value: default.value.clone(), place: shown(&default.place, input.files) }
            });
        parameters.insert(name.clone(), PlannedParameter { bindings, standby, lock });
    }
    refuse_locked_presets(input, common, &parameters);
    refuse_cycles(input, &here, environment);
    let mut plan = Plan {
        pipeline: input.definition.name.value.clone(),
        environment: environment.clone(),
        revision: String::new(),
        bundle: input.bundle.sha256.clone(),
        common: common.clone(),
        parameters,
    };
    plan.revision = revision(&plan);
    plan
}

/// The layer that locks the parameter; what binds it above is refused.
fn lock(input: &mut Input<'_>, mine: &[&Bound]) -> Option<Layer> {
    let locking = mine.iter().find(|bound| bound.locked)?;
    for above in mine.iter().filter(|bound| bound.layer > locking.layer) {
        let place = place_of(input, locking);
        let name = &above.parameter;
        input
            .problems
            .error(
                "locked",
                &above.place,
                format!("`{name}` is locked by the layer below, at {place}"),
            )
            .help("remove this binding, or the lock");
    }
    Some(locking.layer)
}

/// A preset can't bind what `global.yaml` locks for every environment.
fn refuse_locked_presets(
    input: &mut Input<'_>,
    common: &Common,
    parameters: &BTreeMap<ParameterName, PlannedParameter>,
) {
    for (preset_name, preset) in &input.definition.presets {
        let bound = common.presets.get(preset_name);
        for (name, value) in &preset.values {
            let Some(known) = input.resolve(&name.value) else { continue };
            let lock = parameters.get(known).and_then(|parameter| parameter.lock);
            let everywhere = matches!(lock, Some(Layer::Global | Layer::GlobalPipeline));
            if everywhere && bound.is_some_and(|values| values.contains_key(known)) {
                input
                    .problems
                    .error(
                        "locked",
                        &value.place,
                        format!(
                            "the preset `{preset_name}` binds `{known}`, which global.yaml locks"
                        ),
                    )
                    .help("remove it from the preset, or unlock it");
            }
        }
    }
}

/// What a run can't bind, every environment must.
fn refuse_missing(
    input: &mut Input<'_>,
    common: &Common,
    secrecy: &Secrecy,
    name: &ParameterName,
    mine: &[&Bound],
    environment: &EnvironmentName,
) {
    let by_run = common.declared.get(name).is_some_and(|one| one.bindable == Bindable::Run);
    let Some(declaration) = input.definition.parameters.get(name) else { return };
    let attempted = declaration.from.is_some() || declaration.default.is_some();
    if by_run || !mine.is_empty() || attempted {
        return;
    }
    let way_out = if secrecy.is_secret(name) {
        "bind it to a source in its declaration or in that environment"
    } else {
        "bind it in its declaration or in that environment, or let a run bind it"
    };
    input
        .problems
        .error(
            "missing_binding",
            &declaration.name.place,
            format!("nothing binds `{name}` in the environment `{environment}`, and no run can"),
        )
        .help(way_out);
}

fn refuse_cycles(input: &mut Input<'_>, here: &[&Bound], environment: &EnvironmentName) {
    let mut edges: BTreeMap<ParameterName, BTreeSet<ParameterName>> = BTreeMap::new();
    for bound in here {
        // Lowest layer first: the last binding of a parameter is the one that wins.
        edges.insert(bound.parameter.clone(), bound.binding.computed_from());
    }
    let Some(cycle) = find_cycle(&edges) else { return };
    let Some(start) = cycle.first() else { return };
    let Some(place) = here.iter().rev().find(|bound| bound.parameter == *start) else { return };
    let path: Vec<String> = cycle.iter().map(|name| format!("`{name}`")).collect();
    input
        .problems
        .error(
            "cycle",
            &place.place,
            format!(
                "in the environment `{environment}` parameters are computed from each other: {}",
                path.join(" → ")
            ),
        )
        .help("break the circle at one of them");
}

/// The grants that a binding has here; one outside every grant is refused.
fn granted(input: &mut Input<'_>, bound: &Bound, environment: &EnvironmentName) -> Vec<Grant> {
    let PlannedBinding::Source(source) = bound.binding.as_ref() else { return Vec::new() };
    let Some(entry) = input.bundle.settings.sources.get(&source.source) else { return Vec::new() };
    let pipeline = input.definition.name.value.clone();
    let grants = grants_for(&entry.grants, &pipeline, environment);
    let (_, path) = located_or_refused(input, bound, source, environment);
    let covered = match &path {
        Some(path) => covers(&grants, Some(path)),
        None => !grants.is_empty(),
    };
    if !covered {
        let name = &bound.parameter;
        let at = path.map(|path| format!(" for `{path}`")).unwrap_or_default();
        input
            .problems
            .error("not_granted", &bound.place, format!("no grant of the source `{}` covers `{name}` of `{pipeline}` in `{environment}`{at}", source.source))
            .help("the operator grants it in paramd.yaml, under `grants` of the source");
    }
    grants
}

/// The rendered address and the canonical path, where they can be known at load.
pub(super) fn located(
    input: &Input<'_>,
    source: &PlannedSource,
    environment: &EnvironmentName,
) -> (Option<Address>, Option<String>) {
    let Some(address) = constant_address(input, source, environment) else { return (None, None) };
    let ask = ask(source, &address);
    let path = source.kind.locate(&ask).ok().and_then(|located| located.grant_path);
    (Some(address), path)
}

fn located_or_refused(
    input: &mut Input<'_>,
    bound: &Bound,
    source: &PlannedSource,
    environment: &EnvironmentName,
) -> (Option<Address>, Option<String>) {
    let Some(address) = constant_address(input, source, environment) else { return (None, None) };
    match source.kind.locate(&ask(source, &address)) {
        Ok(located) => {
            let entry = input.bundle.settings.sources.get(&source.source);
            let refused = entry.and_then(|entry| entry.settings.refuses(&located.read));
            if let Some(why) = refused {
                let (name, source) = (&bound.parameter, &source.source);
                input
                    .problems
                    .error(
                        "address",
                        &bound.place,
                        format!("`{name}` can't be read from `{source}` in `{environment}`: {why}"),
                    )
                    .help(
                        "mend the binding, or let the operator add it to the source in paramd.yaml",
                    );
            }
            (Some(address), located.grant_path)
        }
        Err(error) => {
            input
                .problems
                .error(
                    "address",
                    &bound.place,
                    format!("the address of `{}` can't be one: {error}", bound.parameter),
                )
                .help("write it without `.`, `..`, empty or encoded segments");
            (Some(address), None)
        }
    }
}

fn ask(source: &PlannedSource, address: &Address) -> Ask {
    Ask { address: address.clone(), texts: source.texts.clone(), binds: Vec::new() }
}

/// The address where all that it reads is constant in this environment.
fn constant_address(
    input: &Input<'_>,
    source: &PlannedSource,
    environment: &EnvironmentName,
) -> Option<Address> {
    let scope = Constants {
        pipeline: &input.definition.name.value,
        environment,
        values: constants(input, source),
    };
    render_address(&source.address, &scope).ok()
}

/// Defaults of parameters that nothing else binds.
fn constants(input: &Input<'_>, source: &PlannedSource) -> BTreeMap<ParameterName, Value> {
    let names =
        source.address.values().flat_map(|template| template.references().parameters.iter());
    names
        .filter_map(|name| {
            let declaration = input.definition.parameters.get(name)?;
            let only_definition = declaration
                .bindable
                .as_ref()
                .is_some_and(|said| said.value == Bindable::Definition);
            let in_preset = input.definition.presets.values().any(|preset| {
                preset.values.iter().any(|(bound, _)| input.resolve(&bound.value) == Some(name))
            });
            let constant = declaration.from.is_none() && only_definition && !in_preset;
            let default = declaration.default.as_ref().filter(|_| constant)?;
            Some((name.clone(), default.value.clone()))
        })
        .collect()
}

struct Constants<'a> {
    pipeline: &'a PipelineName,
    environment: &'a EnvironmentName,
    values: BTreeMap<ParameterName, Value>,
}

impl Scope for Constants<'_> {
    fn parameter(&self, name: &ParameterName) -> Option<&Value> {
        self.values.get(name)
    }

    fn matrix(&self, _name: &MatrixName) -> Option<&Value> {
        None
    }

    fn environment(&self) -> &str {
        self.environment.as_str()
    }

    fn pipeline(&self) -> &str {
        self.pipeline.as_str()
    }

    fn run(&self) -> Option<&RunScope> {
        None
    }
}
