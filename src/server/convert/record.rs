//! The record of a run: what was asked, frozen, and how it ended.

use super::{time, value};
use crate::audit::Principal;
use crate::engine::RunView;
use crate::name::RunKey;
use crate::proto::v1;
use crate::proto::v1::resolved_parameter::Content;
use crate::provenance::{Provenance, cut_location};
use crate::snapshot::{
    Decision, FrozenContent, FrozenParameter, FrozenStep, SecretMark, Snapshot, Warning,
};
use crate::store::{RunEnd, StoredRun};

/// `ResolveRun`.
pub(in crate::server) fn resolved(
    view: &RunView,
    created: bool,
    revision_changed: bool,
) -> v1::ResolveRunResponse {
    let result = if created { v1::ResolveResult::Created } else { v1::ResolveResult::Replayed };
    v1::ResolveRunResponse {
        run: Some(run(&view.run)),
        snapshot: Some(snapshot(&view.snapshot, view.fingerprints)),
        result: result as i32,
        revision_changed,
    }
}

/// `GetRun`.
pub(in crate::server) fn viewed(view: &RunView) -> v1::GetRunResponse {
    v1::GetRunResponse {
        run: Some(run(&view.run)),
        snapshot: Some(snapshot(&view.snapshot, view.fingerprints)),
    }
}

/// A run as it is now.
pub(in crate::server) fn run(run: &StoredRun) -> v1::Run {
    let frozen = &run.frozen;
    let (state, outcome) = match run.end.map(|(end, _)| end) {
        None => (v1::RunState::Open, v1::RunOutcome::Unspecified),
        Some(RunEnd::Succeeded) => (v1::RunState::Completed, v1::RunOutcome::Succeeded),
        Some(RunEnd::Failed) => (v1::RunState::Completed, v1::RunOutcome::Failed),
        Some(RunEnd::Cancelled) => (v1::RunState::Completed, v1::RunOutcome::Cancelled),
        Some(RunEnd::Expired) => (v1::RunState::Expired, v1::RunOutcome::Unspecified),
    };
    v1::Run {
        name: Some(run_name(&frozen.key)),
        environment: frozen.environment.to_string(),
        preset: frozen.preset.as_ref().map(ToString::to_string),
        logical_date: frozen.logical_date.map(time::write),
        mode: frozen.mode.map_or(0, |mode| mode as i32),
        revision: frozen.revision.clone(),
        bundle: frozen.bundle.clone(),
        state: state as i32,
        outcome: outcome as i32,
        create_time: Some(time::write(frozen.created)),
        expire_time: Some(time::write(frozen.expires)),
        end_time: run.end.map(|(_, when)| time::write(when)),
        owner: Some(principal(&frozen.owner)),
        labels: frozen.labels.clone(),
    }
}

/// What names a run.
pub(super) fn run_name(key: &RunKey) -> v1::RunName {
    v1::RunName {
        pipeline: key.pipeline.to_string(),
        run_id: key.run_id.to_string(),
        attempt: key.attempt,
    }
}

/// Who called; the contract has 512 characters for a name.
pub(super) fn principal(principal: &Principal) -> v1::Principal {
    v1::Principal { name: principal.name.chars().take(512).collect(), kind: principal.kind as i32 }
}

fn snapshot(snapshot: &Snapshot, fingerprints: bool) -> v1::Snapshot {
    v1::Snapshot {
        parameters: snapshot
            .parameters
            .iter()
            .map(|(name, frozen)| parameter(name.to_string(), frozen, fingerprints))
            .collect(),
        steps: snapshot.steps.iter().map(|step| decided(step, step.instances.len())).collect(),
        warnings: snapshot.warnings.iter().map(warning).collect(),
    }
}

pub(super) fn parameter(
    name: String,
    frozen: &FrozenParameter,
    fingerprints: bool,
) -> v1::ResolvedParameter {
    let content = match &frozen.content {
        FrozenContent::Public(public) => Content::Value(value::write(public)),
        FrozenContent::Secret(mark) => {
            Content::Redacted(v1::Redacted { fingerprint: fingerprint(mark, fingerprints) })
        }
        FrozenContent::NotNeeded => Content::NotNeeded(v1::NotNeeded {}),
    };
    v1::ResolvedParameter {
        name,
        content: Some(content),
        provenance: frozen.provenance.as_ref().map(provenance),
    }
}

/// A secret's fingerprint, for those who may see it.
pub(super) fn fingerprint(mark: &SecretMark, permitted: bool) -> Vec<u8> {
    if permitted { mark.fingerprint.to_vec() } else { Vec::new() }
}

fn provenance(provenance: &Provenance) -> v1::Provenance {
    v1::Provenance {
        layer: provenance.layer as i32,
        source: provenance.source as i32,
        source_name: provenance.source_name.as_ref().map(ToString::to_string).unwrap_or_default(),
        location: cut_location(&provenance.location),
        version: provenance.version.clone(),
        fetch_time: provenance.fetched.map(time::write),
        computed_from: provenance.computed_from.iter().map(ToString::to_string).collect(),
        default_used: provenance.default_used,
    }
}

/// A step as it was decided.
pub(super) fn decided(step: &FrozenStep, instances: usize) -> v1::StepDecision {
    v1::StepDecision {
        step: step.name.to_string(),
        decision: Some(decision(&step.decision)),
        needs: step.needs.iter().map(ToString::to_string).collect(),
        instance_count: u32::try_from(instances).unwrap_or(u32::MAX),
    }
}

/// Whether a step runs, and why.
pub(super) fn decision(decision: &Decision) -> v1::Decision {
    v1::Decision {
        action: decision.action as i32,
        reason: decision.reason as i32,
        condition: decision.condition.clone(),
        deciding_values: decision
            .deciding
            .iter()
            .map(|(name, public)| (name.clone(), value::write(public)))
            .collect(),
    }
}

/// What the caller should mend.
pub(super) fn warning(warning: &Warning) -> v1::Warning {
    v1::Warning {
        parameter: warning.parameter.to_string(),
        kind: warning.kind as i32,
        message: warning.message.clone(),
    }
}

#[cfg(test)]
pub(super) mod tests;
