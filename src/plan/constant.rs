//! What an address is in an environment, as far as that is known at load: over
//! parameters that no run and no source decides.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::{Input, bindable};
use super::graph::closure;
use super::render_address;
use super::secrecy::Secrecy;
use super::winners::Winners;
use super::{PlannedBinding, PlannedSource};
use crate::definition::{Bindable, Preset};
use crate::expression::{EvaluationError, RunScope, Scope};
use crate::name::{EnvironmentName, MatrixName, ParameterName, PipelineName};
use crate::source::Address;
use crate::value::Value;

/// An address under a preset, or without one; none where it isn't known at load,
/// or reads what an address may not.
pub(super) struct Possible<'a> {
    pub(super) preset: Option<&'a Preset>,
    pub(super) address: Option<Result<Address, EvaluationError>>,
}

/// The addresses that a binding can have in an environment: without a preset,
/// and with each that bears on it, as far as those are few enough to look at.
pub(super) fn addresses<'a>(
    input: &Input<'a>,
    secrecy: &Secrecy,
    winners: &Winners<'_>,
    source: &PlannedSource,
    environment: &EnvironmentName,
) -> Vec<Possible<'a>> {
    let read: BTreeSet<ParameterName> =
        source.address.values().flat_map(|one| one.references().parameters.clone()).collect();
    let all: BTreeSet<ParameterName> =
        read.iter().flat_map(|name| closure(name, &secrecy.computed_from)).collect();
    let read_run = source.address.values().any(|one| one.references().reads_run());
    let presets = input.presets_of(&all);
    std::iter::once(None)
        .chain(presets.into_iter().map(Some))
        .map(|preset| {
            let values = constants(input, secrecy, winners, &all, preset, environment);
            let known = !read_run && read.iter().all(|name| values.contains_key(name));
            let scope =
                Constants { pipeline: &input.definition.name.value, environment, values: &values };
            let address = known.then(|| render_address(&source.address, &scope));
            Possible { preset, address }
        })
        .collect()
}

/// The values among these that are the same in every run.
fn constants(
    input: &Input<'_>,
    secrecy: &Secrecy,
    winners: &Winners<'_>,
    names: &BTreeSet<ParameterName>,
    preset: Option<&Preset>,
    environment: &EnvironmentName,
) -> BTreeMap<ParameterName, Value> {
    let mut values = BTreeMap::new();
    let mut open: Vec<&ParameterName> = names
        .iter()
        .filter(|name| {
            input
                .definition
                .parameters
                .get(*name)
                .is_some_and(|one| bindable(one, secrecy.is_secret(name)) != Bindable::Run)
        })
        .collect();
    for (name, value) in preset.iter().flat_map(|preset| &preset.values) {
        if let Some(name) = input.resolve(&name.value) {
            values.insert(name.clone(), value.value.clone());
        }
    }
    loop {
        let before = values.len();
        open.retain(|name| {
            if values.contains_key(*name) {
                return false;
            }
            let value = winners
                .of(name, environment)
                .and_then(|bound| constant(input, &bound.binding, &values, environment));
            match value {
                Some(value) => values.insert((*name).clone(), value).is_some(),
                None => true,
            }
        });
        if values.len() == before {
            return values;
        }
    }
}

fn constant(
    input: &Input<'_>,
    binding: &PlannedBinding,
    values: &BTreeMap<ParameterName, Value>,
    environment: &EnvironmentName,
) -> Option<Value> {
    match binding {
        PlannedBinding::Literal(value) => Some(value.clone()),
        PlannedBinding::Template { template, .. } => {
            let scope = Constants { pipeline: &input.definition.name.value, environment, values };
            template.evaluate(&scope).ok()
        }
        PlannedBinding::Source(_) => None,
    }
}

struct Constants<'a> {
    pipeline: &'a PipelineName,
    environment: &'a EnvironmentName,
    values: &'a BTreeMap<ParameterName, Value>,
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
