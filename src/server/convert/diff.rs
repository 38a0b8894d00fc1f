//! What differs between two runs.

use std::collections::BTreeSet;

use super::record::{decided, parameter, run};
use crate::engine::RunView;
use crate::name::ParameterName;
use crate::proto::v1;
use crate::provenance::Provenance;
use crate::snapshot::{FrozenContent, FrozenParameter};

/// `DiffRuns`.
pub(in crate::server) fn write(base: &RunView, other: &RunView) -> v1::DiffRunsResponse {
    // Whoever may not see fingerprints of both learns nothing from comparing.
    let fingerprints = base.fingerprints && other.fingerprints;
    let (ours, theirs) = (&base.snapshot.parameters, &other.snapshot.parameters);
    let names: BTreeSet<&ParameterName> = ours.keys().chain(theirs.keys()).collect();
    let parameters = names
        .into_iter()
        .filter_map(|name| differing(name, ours.get(name), theirs.get(name), fingerprints));
    v1::DiffRunsResponse {
        base: Some(run(&base.run)),
        other: Some(run(&other.run)),
        parameters: parameters.collect(),
        steps: steps(base, other),
    }
}

fn differing(
    name: &ParameterName,
    base: Option<&FrozenParameter>,
    other: Option<&FrozenParameter>,
    fingerprints: bool,
) -> Option<v1::ParameterDiff> {
    let write = |one: &FrozenParameter| parameter(name.to_string(), one, fingerprints);
    let (ours, theirs) = (base.map(write), other.map(write));
    let both_secret = |base: &FrozenParameter, other: &FrozenParameter| {
        let secret = |one: &FrozenParameter| matches!(one.content, FrozenContent::Secret(_));
        secret(base) && secret(other)
    };
    let comparison = match (base, other) {
        (Some(base), Some(other)) if both_secret(base, other) && !fingerprints => {
            v1::ValueComparison::Unspecified
        }
        // With fingerprints, the messages tell secrets apart too.
        _ if ours.as_ref().map(|one| &one.content) == theirs.as_ref().map(|one| &one.content) => {
            v1::ValueComparison::Same
        }
        _ => v1::ValueComparison::Different,
    };
    let moved = base.map(place) != other.map(place);
    (moved || comparison == v1::ValueComparison::Different).then(|| v1::ParameterDiff {
        name: name.to_string(),
        base: ours,
        other: theirs,
        comparison: comparison as i32,
    })
}

/// Where a value came from. When it was fetched is no difference: no two runs
/// would be alike.
fn place(parameter: &FrozenParameter) -> Option<Provenance> {
    let provenance = parameter.provenance.clone();
    provenance.map(|provenance| Provenance { fetched: None, ..provenance })
}

fn steps(base: &RunView, other: &RunView) -> Vec<v1::StepDiff> {
    let names: BTreeSet<&str> = [base, other]
        .into_iter()
        .flat_map(|view| view.snapshot.steps.iter().map(|step| step.name.as_str()))
        .collect();
    let decided = |view: &RunView, name: &str| {
        view.snapshot.step(name).map(|step| decided(step, step.instances.len()))
    };
    let pairs = names.into_iter().map(|name| (name, decided(base, name), decided(other, name)));
    let differing = pairs.filter(|(_, base, other)| base != other);
    differing
        .map(|(name, base, other)| v1::StepDiff { step: name.to_owned(), base, other })
        .collect()
}
