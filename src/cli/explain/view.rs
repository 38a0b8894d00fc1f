//! An explanation as a table and as a document.

use serde::Serialize;

use super::document::{
    StepDocument, WarningDocument, fate, json, layer, secrecy_reason, source_kind,
};
use super::render::{self, REDACTED, layer_words};
use super::request::Prepared;
use crate::cli::table::Sheet;
use crate::proto::v1::{self, CandidateFate, candidate::Binding};

/// A table: parameter, value, winning layer and those it beats, source, why it
/// is secret.
pub(super) fn table(parameters: &[v1::ParameterExplanation], width: u16) -> String {
    let mut sheet = Sheet::new(width, ["parameter", "value", "layer", "source", "why secret"]);
    for one in parameters {
        sheet.lines([
            vec![one.name.clone()],
            vec![value(one)],
            layers(one),
            winner(one).map(source).unwrap_or_default(),
            one.secrecy.iter().flat_map(link).collect(),
        ]);
    }
    sheet.text()
}

fn winner(one: &v1::ParameterExplanation) -> Option<&v1::Candidate> {
    one.candidates.iter().find(|candidate| candidate.fate == i32::from(CandidateFate::Wins))
}

fn value(one: &v1::ParameterExplanation) -> String {
    match &one.value {
        _ if !one.secrecy.is_empty() => REDACTED.to_owned(),
        Some(value) => render::value(value),
        None if winner(one).is_none() => "(not bound)".to_owned(),
        None => "(the source will tell)".to_owned(),
    }
}

/// The winning layer first, then those below it.
fn layers(one: &v1::ParameterExplanation) -> Vec<String> {
    let mut lines = Vec::new();
    for candidate in one.candidates.iter().rev() {
        let name = layer_words(candidate.layer);
        let lock = if candidate.locked { ", locked" } else { "" };
        lines.push(match CandidateFate::try_from(candidate.fate) {
            Ok(CandidateFate::Wins) => format!("{name}{lock}"),
            Ok(CandidateFate::Hidden) => format!("beats {name}{lock}"),
            Ok(CandidateFate::Standby) => format!("else {name}'s default"),
            _ => format!("{name}{lock}, {}", fate(candidate.fate)),
        });
    }
    lines
}

/// What is asked, for what, and where that is written, each on a line.
fn source(candidate: &v1::Candidate) -> Vec<String> {
    let mut lines = match &candidate.binding {
        Some(Binding::Source(source)) => bound(source),
        Some(Binding::Value(_) | Binding::Redacted(_)) => vec!["literal".to_owned()],
        None => vec!["newer than this client".to_owned()],
    };
    lines.push(candidate.place.clone());
    lines
}

fn bound(source: &v1::SourceBinding) -> Vec<String> {
    let kind = source_kind(source.kind);
    let name = match source.name.as_str() {
        "" => kind,
        name => format!("{kind} {name}"),
    };
    vec![name, source.location.clone()]
}

/// One link of the chain that makes a parameter secret, and its place.
fn link(link: &v1::SecrecyLink) -> [String; 2] {
    let reason = match v1::SecrecyReason::try_from(link.reason) {
        Ok(v1::SecrecyReason::Declared) => "says so".to_owned(),
        Ok(v1::SecrecyReason::Source) => "its source gives secrets".to_owned(),
        Ok(v1::SecrecyReason::Computed) => "is computed from".to_owned(),
        _ => secrecy_reason(link.reason),
    };
    [format!("{} {reason}", link.parameter), link.place.clone()]
}

/// `paramd explain --output json`.
#[derive(Serialize)]
pub(super) struct ExplanationDocument {
    pipeline: String,
    environment: String,
    revision: String,
    parameters: Vec<ParameterDocument>,
    steps: Vec<StepDocument>,
    warnings: Vec<WarningDocument>,
}

#[derive(Serialize)]
struct ParameterDocument {
    name: String,
    secret: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
    candidates: Vec<CandidateDocument>,
    secrecy: Vec<LinkDocument>,
}

#[derive(Serialize)]
struct CandidateDocument {
    layer: String,
    fate: String,
    locked: bool,
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceDocument>,
}

#[derive(Serialize)]
struct SourceDocument {
    kind: String,
    name: String,
    location: String,
    computed_from: Vec<String>,
}

#[derive(Serialize)]
struct LinkDocument {
    parameter: String,
    reason: String,
    place: String,
}

impl ExplanationDocument {
    pub(super) fn new(prepared: &Prepared, answer: &v1::ExplainRunResponse) -> Self {
        Self {
            pipeline: prepared.pipeline.name.clone(),
            environment: prepared.environment().to_owned(),
            revision: answer.revision.clone(),
            parameters: answer.parameters.iter().map(parameter).collect(),
            steps: answer.steps.iter().map(StepDocument::new).collect(),
            warnings: answer.warnings.iter().map(WarningDocument::new).collect(),
        }
    }
}

fn parameter(one: &v1::ParameterExplanation) -> ParameterDocument {
    let secret = !one.secrecy.is_empty();
    ParameterDocument {
        name: one.name.clone(),
        secret,
        value: one.value.as_ref().filter(|_| !secret).map(json),
        candidates: one.candidates.iter().map(candidate).collect(),
        secrecy: one
            .secrecy
            .iter()
            .map(|link| LinkDocument {
                parameter: link.parameter.clone(),
                reason: secrecy_reason(link.reason),
                place: link.place.clone(),
            })
            .collect(),
    }
}

fn candidate(one: &v1::Candidate) -> CandidateDocument {
    let (value, source) = match &one.binding {
        Some(Binding::Value(value)) => (Some(json(value)), None),
        Some(Binding::Source(source)) => (
            None,
            Some(SourceDocument {
                kind: source_kind(source.kind),
                name: source.name.clone(),
                location: source.location.clone(),
                computed_from: source.computed_from.clone(),
            }),
        ),
        Some(Binding::Redacted(_)) | None => (None, None),
    };
    CandidateDocument {
        layer: layer(one.layer),
        fate: fate(one.fate),
        locked: one.locked,
        place: one.place.clone(),
        value,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(layer: v1::Layer, fate: CandidateFate, binding: Binding) -> v1::Candidate {
        v1::Candidate {
            layer: layer.into(),
            fate: fate.into(),
            binding: Some(binding),
            place: "pipelines/churn.yaml:7".into(),
            ..v1::Candidate::default()
        }
    }

    fn explanation() -> v1::ParameterExplanation {
        let text = v1::Value { kind: Some(v1::value::Kind::StringValue("x".into())) };
        let source = v1::SourceBinding {
            kind: v1::SourceKind::Vault.into(),
            name: "main".into(),
            location: "secret/db#password".into(),
            computed_from: Vec::new(),
        };
        v1::ParameterExplanation {
            name: "db_password".into(),
            candidates: vec![
                candidate(v1::Layer::Definition, CandidateFate::Hidden, Binding::Value(text)),
                candidate(v1::Layer::Environment, CandidateFate::Wins, Binding::Source(source)),
            ],
            ..v1::ParameterExplanation::default()
        }
    }

    #[test]
    fn the_winner_comes_first_and_says_whom_it_beats() {
        assert_eq!(layers(&explanation()), ["environment", "beats definition"]);
        assert_eq!(value(&explanation()), "(the source will tell)");
    }

    #[test]
    fn a_secret_is_redacted_and_says_why() {
        let mut secret = explanation();
        secret.value = Some(v1::Value::default());
        secret.secrecy = vec![v1::SecrecyLink {
            parameter: "db_password".into(),
            reason: v1::SecrecyReason::Source.into(),
            place: "environments/dev.yaml:3".into(),
        }];
        assert!(parameter(&secret).value.is_none());
        let text = table(&[secret], 120);
        assert!(text.contains(REDACTED) && text.contains("gives secrets"), "{text}");
    }
}
