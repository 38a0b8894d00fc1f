//! A run repeated exactly: public values from the record of the attempt before,
//! secrets read again at the version that was read then.
//!
//! A parameter has its value once more, so that what it says of its attempt and
//! of the time is what it said; what steps are handed is made anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::evaluate::{Evaluated, Evaluator, Failed, Outcome as Had, Values};
use super::failure::{Asked, Failure};
use super::fetch::Fetcher;
use super::held::Held;
use super::render::{self, Decided, Rendered};
use super::{Outcome, Resolution, freeze, size};
use crate::expression::RunScope;
use crate::name::{MatrixName, ParameterName};
use crate::plan::KeptPlan;
use crate::provenance::{Layer, Provenance, SourceKind};
use crate::refusal::ViolationReason;
use crate::snapshot::{FrozenContent, FrozenInstance, FrozenStep, SecretMark, Snapshot};
use crate::value::Value;

/// What is repeated.
pub struct Before<'a> {
    /// What was frozen of the attempt before.
    pub snapshot: &'a Snapshot,
    /// The run as its parameters knew it.
    pub origin: &'a RunScope,
    /// Whether its fingerprints were made with today's key.
    pub is_comparable: bool,
}

/// How a secret is had again.
enum Again {
    /// It was null, which is no secret.
    Null,
    /// The run brings it.
    Brought,
    /// From its template, or its source at this version.
    Computed(Option<String>),
    /// It isn't.
    Not,
}

/// The secrets that are to be computed or read again.
pub fn wanted(
    snapshot: &Snapshot,
    kept: &KeptPlan,
) -> BTreeMap<ParameterName, (Layer, Option<String>)> {
    secrets(snapshot)
        .filter_map(|(name, _, provenance)| match again(name, provenance, kept) {
            Again::Computed(version) => Some((name.clone(), (provenance.layer, version))),
            Again::Null | Again::Brought | Again::Not => None,
        })
        .collect()
}

/// Why nothing of a run can be repeated of which no plan was kept, or one that
/// can't be read any more.
pub fn unrepeatable(snapshot: &Snapshot) -> Vec<Failure> {
    let read = snapshot.parameters.iter();
    let mut failures: Vec<Failure> = read
        .filter_map(|(name, one)| Some(not_repeatable(name, one.provenance.as_ref()?, OLD)))
        .collect();
    if failures.is_empty() {
        let reason = ViolationReason::NotRepeatable;
        failures.push(Failure::own("parameters", reason, OLD.to_owned()));
    }
    failures
}

const OLD: &str = "an earlier release of paramd made the run, and kept too little of its plan";
const UNVERSIONED: &str = "its source has no versions, or tells none of a secret";
const GONE: &str = "its source no longer has the version that was read";
const OTHER: &str = "its source has another value under the version that was read";

/// Repeats a run, whole or not at all.
///
/// # Errors
/// Everything that was in the way.
pub async fn repeat(
    resolution: &Resolution<'_>,
    kept: &KeptPlan,
    before: &Before<'_>,
) -> Result<Outcome, Vec<Failure>> {
    let fetcher = Fetcher::new(resolution.sources, resolution.deadline);
    let (given, failures) = given(resolution, kept, before.snapshot);
    let evaluator =
        Evaluator::new(resolution.plan, resolution.submission, before.origin, fetcher).with(given);
    for failure in failures {
        evaluator.fail(failure);
    }
    match attempt(resolution, &evaluator, before).await {
        Ok(outcome) => Ok(outcome),
        Err(Failed) => Err(evaluator.failures().into_iter().map(gone).collect()),
    }
}

async fn attempt(
    resolution: &Resolution<'_>,
    evaluator: &Evaluator<'_>,
    before: &Before<'_>,
) -> Result<Outcome, Failed> {
    let parameters = before.snapshot.parameters.iter();
    let needed = parameters
        .filter(|(_, one)| !matches!(one.content, FrozenContent::NotNeeded))
        .map(|(name, _)| name.clone())
        .collect();
    let values = evaluator.available(&needed).await;
    if before.is_comparable {
        compare(resolution, evaluator, &values, before.snapshot);
    }
    if evaluator.has_failed() {
        return Err(Failed);
    }
    let mut room = render::MAX_RENDERED_BYTES;
    let mut rendered: Vec<Rendered> = Vec::new();
    for (step, frozen) in resolution.plan.common.steps.iter().zip(&before.snapshot.steps) {
        let (decision, combinations) = (frozen.decision.clone(), combinations(frozen));
        let decided = Decided { step, decision, combinations };
        rendered.push(render::render(evaluator, &values, resolution, &mut room, decided)?);
    }
    let outcome = freeze(resolution, &evaluator.evaluated(), rendered);
    match size::excess(&outcome.snapshot) {
        Some(failure) => Err(evaluator.fail(failure)),
        None => Ok(outcome),
    }
}

fn combinations(step: &FrozenStep) -> Vec<BTreeMap<MatrixName, Value>> {
    let of = |one: &FrozenInstance| {
        one.matrix.iter().map(|(name, item)| (name.clone(), item.get().clone())).collect()
    };
    step.instances.iter().map(of).collect()
}

/// The values that are known without a source, and what can't be had again.
fn given(
    resolution: &Resolution<'_>,
    kept: &KeptPlan,
    snapshot: &Snapshot,
) -> (BTreeMap<ParameterName, Had>, Vec<Failure>) {
    let (mut given, mut failures) = (BTreeMap::new(), Vec::new());
    for (name, one) in &snapshot.parameters {
        let (FrozenContent::Public(value), Some(provenance)) = (&one.content, &one.provenance)
        else {
            continue;
        };
        let held = Held::Public(value.clone());
        let provenance = provenance.clone();
        given.insert(name.clone(), Ok(Arc::new(Evaluated { held, provenance })));
    }
    for (name, _, provenance) in secrets(snapshot) {
        let brought = || resolution.submission.overrides.get(name).cloned();
        let value = match again(name, provenance, kept) {
            Again::Computed(_) => continue,
            Again::Null => Some(Value::Null),
            Again::Brought => brought(),
            Again::Not => None,
        };
        let outcome = match value {
            Some(value) => {
                let (held, provenance) = (Held::new(value, true), provenance.clone());
                Ok(Arc::new(Evaluated { held, provenance }))
            }
            None => {
                failures.push(not_repeatable(name, provenance, UNVERSIONED));
                Err(Failed)
            }
        };
        given.insert(name.clone(), outcome);
    }
    (given, failures)
}

fn secrets(
    snapshot: &Snapshot,
) -> impl Iterator<Item = (&ParameterName, &SecretMark, &Provenance)> {
    snapshot.parameters.iter().filter_map(|(name, one)| match &one.content {
        FrozenContent::Secret(mark) => Some((name, mark, one.provenance.as_ref()?)),
        FrozenContent::Public(_) | FrozenContent::NotNeeded => None,
    })
}

/// No file may hold a literal for a secret other than null.
fn again(name: &ParameterName, provenance: &Provenance, kept: &KeptPlan) -> Again {
    let is_kept = kept.binds(name);
    match provenance.source {
        SourceKind::Literal if provenance.layer == Layer::Override => Again::Brought,
        SourceKind::Literal => Again::Null,
        _ if provenance.default_used => Again::Null,
        SourceKind::Template if is_kept => Again::Computed(None),
        _ if is_kept && provenance.version.is_some() => Again::Computed(provenance.version.clone()),
        _ => Again::Not,
    }
}

/// A version that holds another value than it did, such as of a secret that was
/// removed and made anew, is not the version that was read.
fn compare(
    resolution: &Resolution<'_>,
    evaluator: &Evaluator<'_>,
    values: &Values,
    snapshot: &Snapshot,
) {
    for (name, mark, provenance) in secrets(snapshot) {
        let Some(evaluated) = values.0.get(name) else { continue };
        let Held::Secret(secret) = &evaluated.held else { continue };
        let is_read = evaluated.provenance.fetched.is_some();
        if is_read && resolution.fingerprints.of(secret) != mark.fingerprint {
            let failure = Failure::own(name.as_str(), ViolationReason::ValueGone, OTHER.to_owned());
            evaluator.fail(Failure { asked: asked(provenance), ..failure });
        }
    }
}

fn not_repeatable(name: &ParameterName, provenance: &Provenance, why: &str) -> Failure {
    let failure = Failure::own(name.as_str(), ViolationReason::NotRepeatable, why.to_owned());
    Failure { asked: asked(provenance), ..failure }
}

/// The source that gave a value to the attempt before, and isn't asked again.
fn asked(provenance: &Provenance) -> Option<Asked> {
    Some(Asked {
        kind: provenance.source,
        source: provenance.source_name.clone()?,
        location: provenance.location.clone(),
        cause: None,
        attempts: 0,
        retry_after: None,
    })
}

/// What was there is gone, whether or not its source remembers it.
fn gone(failure: Failure) -> Failure {
    match failure.reason {
        ViolationReason::NoSuchValue | ViolationReason::ValueGone
            if failure.description != OTHER =>
        {
            Failure { reason: ViolationReason::ValueGone, description: GONE.to_owned(), ..failure }
        }
        _ => failure,
    }
}
