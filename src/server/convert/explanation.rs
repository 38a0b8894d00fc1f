//! `ExplainRun`: what would be used, and why.

use super::{record, value};
use crate::engine::{Candidate, CandidateBinding, Explanation, ParameterExplanation};
use crate::plan::SecrecyLink;
use crate::proto::v1;
use crate::proto::v1::candidate::Binding;
use crate::provenance::cut_location;

/// `ExplainRun`.
pub(in crate::server) fn write(explanation: &Explanation) -> v1::ExplainRunResponse {
    v1::ExplainRunResponse {
        revision: explanation.revision.clone(),
        parameters: explanation.parameters.iter().map(parameter).collect(),
        steps: explanation
            .steps
            .iter()
            .map(|step| v1::StepDecision {
                instance_count: step.instance_count,
                ..record::decided(&step.step, 0)
            })
            .collect(),
        warnings: explanation.warnings.iter().map(record::warning).collect(),
    }
}

fn parameter(explained: &ParameterExplanation) -> v1::ParameterExplanation {
    v1::ParameterExplanation {
        name: explained.name.to_string(),
        candidates: explained.candidates.iter().map(candidate).collect(),
        // A secret has no value here, whatever the plan's walk may have found.
        value: explained.value.as_ref().filter(|_| explained.secrecy.is_empty()).map(value::write),
        secrecy: explained.secrecy.iter().map(link).collect(),
    }
}

fn candidate(candidate: &Candidate) -> v1::Candidate {
    v1::Candidate {
        layer: candidate.layer as i32,
        fate: candidate.fate as i32,
        binding: Some(binding(&candidate.binding)),
        locked: candidate.locked,
        place: candidate.place.clone(),
    }
}

fn binding(binding: &CandidateBinding) -> Binding {
    match binding {
        CandidateBinding::Value(public) => Binding::Value(value::write(public)),
        CandidateBinding::Redacted => Binding::Redacted(v1::Redacted { fingerprint: Vec::new() }),
        CandidateBinding::Source { kind, name, location, computed_from } => {
            Binding::Source(v1::SourceBinding {
                kind: *kind as i32,
                name: name.clone(),
                location: cut_location(location),
                computed_from: computed_from.iter().map(ToString::to_string).collect(),
            })
        }
    }
}

fn link(link: &SecrecyLink) -> v1::SecrecyLink {
    v1::SecrecyLink {
        parameter: link.parameter.to_string(),
        reason: link.reason as i32,
        place: link.place.clone(),
    }
}
