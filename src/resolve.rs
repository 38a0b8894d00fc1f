//! A plan and a submission to a frozen outcome.
//!
//! [`check`] checks what needs no source; [`evaluate`] asks the sources, each
//! once and at the same time; [`exact`] repeats a run; [`render`] makes what steps are handed; [`size`]
//! holds the outcome to its limits; [`record`] is the form in which it is kept.

pub mod check;
pub mod evaluate;
pub mod exact;
pub mod failure;
pub mod fetch;
pub mod held;
pub mod offline;
pub mod record;
pub mod render;
pub mod request;
pub mod size;
pub mod submission;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;

use crate::expression::RunScope;
use crate::name::{ParameterName, RunKey};
use crate::plan::Plan;
use crate::refusal::ViolationReason;
use crate::secret::SecretBytes;
use crate::snapshot::{
    FORMAT, FrozenContent, FrozenParameter, SecretMark, Snapshot, StepAction, Warning,
};
use crate::store::fingerprint::Fingerprints;
use evaluate::{Evaluated, Evaluator, Failed, Values};
use failure::Failure;
use fetch::{Fetcher, Sources};
use held::{Held, is_maskable};
use render::{Decided, Rendered};
use submission::Submission;

/// What resolving a run works with.
pub struct Resolution<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What the run binds over it.
    pub submission: &'a Submission,
    /// The run's own name and times.
    pub run: &'a RunScope,
    /// The run.
    pub key: &'a RunKey,
    /// The sources.
    pub sources: &'a Sources,
    /// Makes the fingerprints of secrets.
    pub fingerprints: &'a Fingerprints,
    /// When the budget ends.
    pub deadline: Instant,
}

/// A resolved run: what may be shown, and the secrets by the name under which
/// they are sealed.
pub struct Outcome {
    /// What was frozen.
    pub snapshot: Snapshot,
    /// The secrets' bytes: parameters encoded, entries as they are revealed.
    pub secrets: Vec<(String, SecretBytes)>,
}

/// Resolves a run, whole or not at all.
///
/// # Errors
/// Everything that was in the way.
pub async fn resolve(resolution: &Resolution<'_>) -> Result<Outcome, Vec<Failure>> {
    let fetcher = Fetcher::new(resolution.sources, resolution.deadline);
    let evaluator = Evaluator::new(resolution.plan, resolution.submission, resolution.run, fetcher);
    match attempt(resolution, &evaluator).await {
        Ok(outcome) => Ok(outcome),
        Err(Failed) => Err(evaluator.failures()),
    }
}

/// Goes on as far as it can after a failure: all that is in the way is told.
async fn attempt(
    resolution: &Resolution<'_>,
    evaluator: &Evaluator<'_>,
) -> Result<Outcome, Failed> {
    let steps = &resolution.plan.common.steps;
    let decided = join_all(steps.iter().map(|step| render::decide(evaluator, step))).await;
    let decided: Vec<Decided<'_>> = decided.into_iter().flatten().collect();
    let needed = needed(resolution.plan, &decided);
    let values = evaluator.available(&needed).await;
    check_rules(resolution, evaluator, &values);
    if evaluator.has_failed() {
        return Err(Failed);
    }
    let mut room = render::MAX_RENDERED_BYTES;
    let rendered: Vec<_> = decided
        .into_iter()
        .map(|one| render::render(evaluator, &values, resolution, &mut room, one))
        .collect();
    let rendered: Vec<Rendered> = rendered.into_iter().collect::<Result<_, _>>()?;
    let outcome = freeze(resolution, &evaluator.evaluated(), rendered);
    match size::excess(&outcome.snapshot) {
        Some(failure) => Err(evaluator.fail(failure)),
        None => Ok(outcome),
    }
}

/// What a running step sees or a rule reads.
fn needed(plan: &Plan, decided: &[Decided<'_>]) -> BTreeSet<ParameterName> {
    let running = decided.iter().filter(|one| one.decision.action == StepAction::Run);
    let seen = running.flat_map(|one| one.step.sees.iter());
    let read = plan.common.rules.iter().flat_map(|rule| &rule.condition.references().parameters);
    seen.chain(read).cloned().collect()
}

/// Rules over values that can't be had are passed over: that is told already.
fn check_rules(resolution: &Resolution<'_>, evaluator: &Evaluator<'_>, values: &Values) {
    for (index, rule) in resolution.plan.common.rules.iter().enumerate() {
        if !rule.condition.references().parameters.iter().all(|name| values.0.contains_key(name)) {
            continue;
        }
        let (reason, description) = match rule.condition.evaluate(&evaluator.scope(values)) {
            Ok((true, _)) => continue,
            Ok((false, _)) => (ViolationReason::RuleViolated, rule.message.clone()),
            Err(error) => (ViolationReason::TemplateFailed, error.to_string()),
        };
        evaluator.fail(Failure::own(format!("rules[{index}]"), reason, description));
    }
}

fn freeze(
    resolution: &Resolution<'_>,
    evaluated: &BTreeMap<ParameterName, Arc<Evaluated>>,
    rendered: Vec<Rendered>,
) -> Outcome {
    let mut secrets = Vec::new();
    let mut parameters = BTreeMap::new();
    for name in resolution.plan.parameters.keys() {
        let Some(one) = evaluated.get(name) else {
            let content = FrozenContent::NotNeeded;
            parameters.insert(name.clone(), FrozenParameter { content, provenance: None });
            continue;
        };
        let content = match &one.held {
            Held::Public(value) => FrozenContent::Public(value.clone()),
            Held::Secret(secret) => {
                let value = one.held.value();
                let encoded = crate::value::binary::encode_secret(value);
                secrets.push((record::parameter_item(name), SecretBytes::new(encoded.to_vec())));
                FrozenContent::Secret(SecretMark {
                    fingerprint: resolution.fingerprints.of(secret),
                    maskable: is_maskable(value),
                })
            }
        };
        let provenance = Some(one.provenance.clone());
        parameters.insert(name.clone(), FrozenParameter { content, provenance });
    }
    let mut steps = Vec::with_capacity(rendered.len());
    for one in rendered {
        for (instance, item, bytes) in one.secrets {
            let name = record::entry_item(one.step.name.as_str(), instance, item.as_str());
            secrets.push((name, bytes));
        }
        steps.push(one.step);
    }
    let warnings: Vec<Warning> = resolution.submission.warnings.clone();
    let secret_origins = resolution.plan.common.secret_origins.clone();
    Outcome {
        snapshot: Snapshot { format: FORMAT, parameters, steps, warnings, secret_origins },
        secrets,
    }
}
