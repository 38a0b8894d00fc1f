//! `ExplainRun`: what would be used and why. It asks no source and freezes
//! nothing.

use super::access::{Within, named_preset, on_record, well_formed};
use super::resolve::planned;
use super::{
    Caller, Candidate, CandidateBinding, CandidateFate, Engine, ExplainRequest, Explanation,
    ParameterExplanation, Refusal, StepExplanation,
};
use crate::access::{Action, Resource};
use crate::audit::{self, EventDraft};
use crate::expression::RunScope;
use crate::name::{EnvironmentName, ParameterName, PipelineName};
use crate::plan::{Plan, PlannedBinding, PlannedStep};
use crate::provenance::{Layer, SourceKind, cut_location};
use crate::resolve::check::{Checked, check_request};
use crate::resolve::held::Held;
use crate::resolve::offline::{Decision, Known, Offline, OfflineRun, decide};
use crate::resolve::submission::Submission;
use crate::snapshot::FrozenStep;
use crate::value::{PublicValue, Value};

impl Engine {
    /// What a run would use and why, layer by layer.
    ///
    /// # Errors
    /// As the contract says of `ExplainRun`.
    pub async fn explain(
        &self,
        caller: &Caller,
        request: ExplainRequest,
    ) -> Result<Explanation, Refusal> {
        let mut event = self.event(caller, audit::Action::Explain);
        match self.explained(caller, request, &mut event) {
            Ok(explanation) => {
                self.record_soon(event)?;
                Ok(explanation)
            }
            Err(refusal) => Err(self.refuse(event, refusal).await),
        }
    }

    fn explained(
        &self,
        caller: &Caller,
        request: ExplainRequest,
        event: &mut EventDraft,
    ) -> Result<Explanation, Refusal> {
        let mut malformed = Vec::new();
        let pipeline =
            well_formed("pipeline", &request.pipeline, PipelineName::parse, &mut malformed);
        let environment = well_formed(
            "environment",
            &request.environment,
            EnvironmentName::parse,
            &mut malformed,
        );
        let preset = named_preset(&request.preset, &mut malformed);
        let (Some(pipeline), Some(environment), true) =
            (pipeline, environment, malformed.is_empty())
        else {
            malformed.extend(request.problems);
            return Err(Refusal::Invalid(malformed));
        };
        let in_force = self.in_force();
        in_force.name_pipeline(&pipeline, event);
        in_force.name_environment(&environment, event);
        let resource = Resource::Pipeline(&pipeline);
        let within = Within {
            environment: Some(&environment),
            preset: preset.as_ref(),
            overridden: &in_force.overridden(&pipeline, &request.overrides),
        };
        let decided = in_force.decide_with(caller, Action::Explain, resource, within);
        on_record(decided, event)?;
        let plan = planned(&in_force, pipeline.as_str(), environment.as_str())?;
        let mut violations = request.problems;
        let scope = RunScope {
            id: String::new(),
            attempt: 0,
            started_at: String::new(),
            logical_date: request.logical_date.map(|date| date.to_string()),
        };
        let run = OfflineRun::Dated(&scope);
        let Checked { submission, unknown_names } =
            check_request(&plan, &request.preset, request.overrides, run, &mut violations);
        event.unknown_names += unknown_names;
        if !violations.is_empty() {
            return Err(Refusal::Invalid(violations));
        }
        let offline = Offline::new(&plan, &submission, run);
        Ok(explanation(&plan, &submission, &offline))
    }
}

fn explanation(plan: &Plan, submission: &Submission, offline: &Offline<'_>) -> Explanation {
    let parameters = plan
        .parameters
        .keys()
        .map(|name| {
            let declared = plan.common.declared.get(name);
            ParameterExplanation {
                name: name.clone(),
                candidates: candidates(plan, submission, name),
                value: known_value(offline, name),
                secrecy: declared.map(|one| one.secrecy.clone()).unwrap_or_default(),
            }
        })
        .collect();
    Explanation {
        revision: plan.revision.clone(),
        parameters,
        steps: plan.common.steps.iter().map(|step| explain_step(offline, step)).collect(),
        warnings: submission.warnings.clone(),
    }
}

fn known_value(offline: &Offline<'_>, name: &ParameterName) -> Option<PublicValue> {
    match offline.value(name) {
        Known::Value(Held::Public(value)) => Some(value),
        Known::Value(Held::Secret(_)) | Known::Hangs | Known::Failed(..) => None,
    }
}

fn explain_step(offline: &Offline<'_>, step: &PlannedStep) -> StepExplanation {
    let Decision { decision, instance_count, fault: _ } = decide(offline, step);
    let step = FrozenStep {
        name: step.name.clone(),
        needs: step.needs.clone(),
        decision,
        sees: step.sees.clone(),
        instances: Vec::new(),
    };
    StepExplanation { step, instance_count }
}

/// What each layer binds a parameter to, lowest first.
fn candidates(plan: &Plan, submission: &Submission, name: &ParameterName) -> Vec<Candidate> {
    let Some(parameter) = plan.parameters.get(name) else { return Vec::new() };
    let secret = plan.common.interface.is_secret(name);
    let mut candidates = Vec::new();
    if let Some(standby) = &parameter.standby {
        candidates.push(Candidate {
            layer: Layer::Definition,
            fate: CandidateFate::Standby,
            binding: literal(&standby.value, secret),
            locked: false,
            place: standby.place.clone(),
        });
    }
    for bound in &parameter.bindings {
        candidates.push(Candidate {
            layer: bound.layer,
            fate: CandidateFate::Hidden,
            binding: binding(&bound.binding, secret),
            locked: bound.locked,
            place: bound.place.clone(),
        });
    }
    let presets = submission.preset.as_ref().and_then(|preset| plan.common.presets.get(preset));
    if let Some(value) = presets.and_then(|values| values.get(name)) {
        candidates.push(of_request(Layer::Preset, value, secret));
    }
    if let Some(value) = submission.overrides.get(name) {
        candidates.push(of_request(Layer::Override, value, secret));
    }
    settle(&mut candidates);
    candidates
}

/// The highest layer wins; a default below a winning source stands by.
fn settle(candidates: &mut [Candidate]) {
    let Some((winner, below)) = candidates.split_last_mut() else { return };
    winner.fate = CandidateFate::Wins;
    let asks = matches!(
        &winner.binding,
        CandidateBinding::Source { kind, .. } if *kind != SourceKind::Template
    );
    for candidate in below {
        let is_literal = !matches!(candidate.binding, CandidateBinding::Source { .. });
        let stands_by = asks && is_literal && candidate.layer == Layer::Definition;
        candidate.fate = if stands_by { CandidateFate::Standby } else { CandidateFate::Hidden };
    }
}

fn of_request(layer: Layer, value: &Value, secret: bool) -> Candidate {
    Candidate {
        layer,
        fate: CandidateFate::Hidden,
        binding: literal(value, secret),
        locked: false,
        place: String::new(),
    }
}

fn literal(value: &Value, secret: bool) -> CandidateBinding {
    if secret {
        CandidateBinding::Redacted
    } else {
        CandidateBinding::Value(PublicValue::declared_public(value.clone()))
    }
}

fn binding(binding: &PlannedBinding, secret: bool) -> CandidateBinding {
    let computed_from = binding.computed_from().into_iter().collect();
    match binding {
        PlannedBinding::Literal(value) => literal(value, secret),
        PlannedBinding::Template { text, .. } => CandidateBinding::Source {
            kind: SourceKind::Template,
            name: String::new(),
            location: cut_location(text),
            computed_from,
        },
        PlannedBinding::Source(source) => CandidateBinding::Source {
            kind: source.kind.kind(),
            name: source.source.to_string(),
            location: source.location.clone(),
            computed_from,
        },
    }
}
