//! What `--output json` prints: documents of our own, so that they stay the
//! same when the messages grow. All of it is public.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::proto::v1;

/// An enum's value as a word: `LAYER_OVERRIDE` is `override`.
pub(crate) fn word(name: Option<&str>, prefix: &str) -> String {
    name.and_then(|name| name.strip_prefix(prefix))
        .map_or_else(|| "unspecified".to_owned(), str::to_ascii_lowercase)
}

macro_rules! words {
    ($($(#[$doc:meta])* $function:ident, $type:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $function(number: i32) -> String {
            word(v1::$type::try_from(number).ok().map(|known| known.as_str_name()), $prefix)
        }
    )*};
}

words! {
    /// A layer.
    layer, Layer, "LAYER_";
    /// A kind of source.
    source_kind, SourceKind, "SOURCE_KIND_";
    /// A run's state.
    state, RunState, "RUN_STATE_";
    /// A run's outcome.
    outcome, RunOutcome, "RUN_OUTCOME_";
    /// What to do with a step.
    step_action, StepAction, "STEP_ACTION_";
    /// Why a step runs or doesn't.
    decision_reason, DecisionReason, "DECISION_REASON_";
    /// What became of a layer's binding.
    fate, CandidateFate, "CANDIDATE_FATE_";
    /// Why a parameter is secret.
    secrecy_reason, SecrecyReason, "SECRECY_REASON_";
    /// What should be mended.
    warning_kind, WarningKind, "WARNING_KIND_";
    /// How an attempt after the first took over values.
    attempt_mode, AttemptMode, "ATTEMPT_MODE_";
    /// Whether two values are the same.
    comparison, ValueComparison, "VALUE_COMPARISON_";
    /// Whether a call made the run.
    resolve_result, ResolveResult, "RESOLVE_RESULT_";
    /// What was done.
    audit_action, Action, "ACTION_";
    /// How it went.
    event_outcome, EventOutcome, "EVENT_OUTCOME_";
    /// How a caller proved who it is.
    principal_kind, PrincipalKind, "PRINCIPAL_KIND_";
    /// What is wrong with a chain.
    chain_defect, ChainDefect, "CHAIN_DEFECT_";
}

/// A public value as JSON; bytes as base64.
pub(crate) fn json(value: &v1::Value) -> Json {
    use base64::Engine as _;
    use v1::value::Kind;
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(flag)) => Json::Bool(*flag),
        Some(Kind::IntValue(number)) => Json::from(*number),
        Some(Kind::DoubleValue(number)) => Json::from(*number),
        Some(Kind::StringValue(text)) => Json::from(text.as_str()),
        Some(Kind::BytesValue(bytes)) => {
            Json::from(base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        Some(Kind::ListValue(list)) => Json::Array(list.values.iter().map(json).collect()),
        Some(Kind::MapValue(map)) => Json::Object(jsons(&map.fields)),
    }
}

/// Public values by name.
pub(crate) fn jsons(values: &BTreeMap<String, v1::Value>) -> Map<String, Json> {
    values.iter().map(|(name, value)| (name.clone(), json(value))).collect()
}

/// A public value's text form: a string is itself, everything else JSON.
pub(crate) fn value_text(value: &v1::Value) -> String {
    match json(value) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

/// A time in RFC 3339, UTC, to the millisecond.
pub(crate) fn time(time: &prost_types::Timestamp) -> String {
    match jiff::Timestamp::new(time.seconds, time.nanos) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => "unknown".to_owned(),
    }
}

/// Reads a time in RFC 3339.
pub(crate) fn read_time(text: &str) -> Option<prost_types::Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
}

/// A run.
#[derive(Debug, Serialize)]
pub(crate) struct RunDocument {
    pipeline: String,
    run_id: String,
    attempt: u32,
    /// None for the first attempt.
    mode: Option<String>,
    environment: String,
    preset: Option<String>,
    logical_date: Option<String>,
    revision: String,
    bundle: String,
    state: String,
    outcome: Option<String>,
    owner: String,
    create_time: Option<String>,
    expire_time: Option<String>,
    end_time: Option<String>,
    labels: BTreeMap<String, String>,
}

impl RunDocument {
    pub(crate) fn new(run: &v1::Run) -> Self {
        let name = run.name.clone().unwrap_or_default();
        Self {
            pipeline: name.pipeline,
            run_id: name.run_id,
            attempt: name.attempt,
            mode: (run.mode != 0).then(|| attempt_mode(run.mode)),
            environment: run.environment.clone(),
            preset: run.preset.clone(),
            logical_date: run.logical_date.as_ref().map(time),
            revision: run.revision.clone(),
            bundle: run.bundle.clone(),
            state: state(run.state),
            outcome: (run.outcome != 0).then(|| outcome(run.outcome)),
            owner: run.owner.clone().unwrap_or_default().name,
            create_time: run.create_time.as_ref().map(time),
            expire_time: run.expire_time.as_ref().map(time),
            end_time: run.end_time.as_ref().map(time),
            labels: run.labels.clone(),
        }
    }
}

/// A frozen parameter.
#[derive(Debug, Serialize)]
pub(crate) struct ParameterDocument {
    name: String,
    /// `value`, `redacted`, `not_needed` or `unspecified`.
    content: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    provenance: Option<ProvenanceDocument>,
}

impl ParameterDocument {
    pub(crate) fn new(parameter: &v1::ResolvedParameter) -> Self {
        use v1::resolved_parameter::Content;
        let (content, value, fingerprint) = match &parameter.content {
            Some(Content::Value(value)) => ("value", Some(json(value)), None),
            Some(Content::Redacted(mark)) => ("redacted", None, print_of(&mark.fingerprint)),
            Some(Content::NotNeeded(_)) => ("not_needed", None, None),
            None => ("unspecified", None, None),
        };
        Self {
            name: parameter.name.clone(),
            content,
            value,
            fingerprint,
            provenance: parameter.provenance.as_ref().map(ProvenanceDocument::new),
        }
    }
}

fn print_of(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| hex::encode(bytes))
}

/// Where a value came from.
#[derive(Debug, Serialize)]
pub(crate) struct ProvenanceDocument {
    layer: String,
    source: String,
    source_name: String,
    location: String,
    version: Option<String>,
    fetch_time: Option<String>,
    computed_from: Vec<String>,
    default_used: bool,
}

impl ProvenanceDocument {
    fn new(one: &v1::Provenance) -> Self {
        Self {
            layer: layer(one.layer),
            source: source_kind(one.source),
            source_name: one.source_name.clone(),
            location: one.location.clone(),
            version: one.version.clone(),
            fetch_time: one.fetch_time.as_ref().map(time),
            computed_from: one.computed_from.clone(),
            default_used: one.default_used,
        }
    }
}

/// A step with its decision.
#[derive(Debug, Serialize)]
pub(crate) struct StepDocument {
    step: String,
    needs: Vec<String>,
    instance_count: u32,
    #[serde(flatten)]
    decision: DecisionDocument,
}

impl StepDocument {
    pub(crate) fn new(step: &v1::StepDecision) -> Self {
        Self {
            step: step.step.clone(),
            needs: step.needs.clone(),
            instance_count: step.instance_count,
            decision: DecisionDocument::new(&step.decision.clone().unwrap_or_default()),
        }
    }
}

/// Whether a step runs, and why.
#[derive(Debug, Serialize)]
pub(crate) struct DecisionDocument {
    action: String,
    reason: String,
    condition: Option<String>,
    deciding_values: Map<String, Json>,
}

impl DecisionDocument {
    pub(crate) fn new(decision: &v1::Decision) -> Self {
        Self {
            action: step_action(decision.action),
            reason: decision_reason(decision.reason),
            condition: decision.condition.clone(),
            deciding_values: jsons(&decision.deciding_values),
        }
    }
}

/// Something to mend.
#[derive(Debug, Serialize)]
pub(crate) struct WarningDocument {
    parameter: String,
    kind: String,
    message: String,
}

impl WarningDocument {
    pub(crate) fn new(warning: &v1::Warning) -> Self {
        Self {
            parameter: warning.parameter.clone(),
            kind: warning_kind(warning.kind),
            message: warning.message.clone(),
        }
    }
}

/// `paramd resolve` and `paramd runs show`.
#[derive(Debug, Serialize)]
pub(crate) struct RecordDocument {
    run: RunDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_changed: Option<bool>,
    parameters: Vec<ParameterDocument>,
    steps: Vec<StepDocument>,
    warnings: Vec<WarningDocument>,
}

impl RecordDocument {
    pub(crate) fn new(run: &v1::Run, snapshot: &v1::Snapshot) -> Self {
        Self {
            run: RunDocument::new(run),
            result: None,
            revision_changed: None,
            parameters: snapshot.parameters.iter().map(ParameterDocument::new).collect(),
            steps: snapshot.steps.iter().map(StepDocument::new).collect(),
            warnings: snapshot.warnings.iter().map(WarningDocument::new).collect(),
        }
    }

    /// Adds what only `resolve` knows.
    pub(crate) fn resolved(mut self, answer: &v1::ResolveRunResponse) -> Self {
        self.result = Some(resolve_result(answer.result));
        self.revision_changed = Some(answer.revision_changed);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::value::Kind;

    fn value(kind: Kind) -> v1::Value {
        v1::Value { kind: Some(kind) }
    }

    #[test]
    fn integers_stay_exact_and_numbers_stay_numbers() {
        assert_eq!(json(&value(Kind::IntValue(i64::MAX))).to_string(), "9223372036854775807");
        assert_eq!(json(&value(Kind::DoubleValue(3.0))).to_string(), "3.0");
        assert_eq!(value_text(&value(Kind::StringValue("a \"b\"".into()))), "a \"b\"");
        assert_eq!(value_text(&value(Kind::BytesValue(vec![0, 255]))), "AP8=");
    }

    #[test]
    fn enums_are_words_and_unknown_ones_say_so() {
        assert_eq!(layer(50), "environment_pipeline");
        assert_eq!(layer(51), "unspecified");
        assert_eq!(event_outcome(1), "succeeded");
    }

    #[test]
    fn times_are_utc_to_the_millisecond() {
        let at = prost_types::Timestamp { seconds: 0, nanos: 1_500_000 };
        assert_eq!(time(&at), "1970-01-01T00:00:00.001Z");
    }
}
