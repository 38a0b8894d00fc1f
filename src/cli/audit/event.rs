//! An event of the audit log, for people and as JSON.

use serde::Serialize;

use crate::cli::document::{audit_action, event_outcome, principal_kind, source_kind, time};
use crate::proto::v1;

/// The run and the step that an event is about, each on a line.
pub(super) fn subject(event: &v1::Event) -> Vec<String> {
    let run = match &event.run {
        Some(run) if run.run_id.is_empty() => run.pipeline.clone(),
        Some(run) => format!("{}/{}", run.pipeline, run.run_id),
        None => String::new(),
    };
    let step = match event.instance {
        Some(instance) => format!("{}[{instance}]", event.step),
        None => event.step.clone(),
    };
    vec![run, step]
}

/// The parameters that an event is about.
pub(super) fn names(event: &v1::Event) -> String {
    let names: Vec<&str> = event.parameters.iter().map(|one| one.name.as_str()).collect();
    match event.unknown_names {
        0 => names.join(", "),
        unknown => format!("{} and {unknown} unknown", names.join(", ")),
    }
}

/// An event with all its fields.
#[derive(Serialize)]
pub(super) struct EventDocument {
    chain: String,
    sequence: u64,
    time: Option<String>,
    action: String,
    outcome: String,
    reason: String,
    principal: PrincipalDocument,
    run: Option<RunDocument>,
    bundle: String,
    environment: String,
    step: String,
    instance: Option<u32>,
    parameters: Vec<ParameterDocument>,
    unknown_names: u32,
    sealed: bool,
    policy_ids: Vec<String>,
    trace_id: String,
    fingerprint_key: String,
    format: u32,
    previous_hash: String,
    hash: String,
}

#[derive(Serialize)]
struct PrincipalDocument {
    name: String,
    kind: String,
}

#[derive(Serialize)]
struct RunDocument {
    pipeline: String,
    run_id: String,
    attempt: u32,
}

#[derive(Serialize)]
struct ParameterDocument {
    name: String,
    source: String,
    source_name: String,
    location: String,
    version: Option<String>,
    fingerprint: String,
    violated_keyword: String,
}

impl EventDocument {
    /// The event's fields.
    pub(super) fn new(one: &v1::Event) -> Self {
        let principal = one.principal.clone().unwrap_or_default();
        let kind = principal_kind(principal.kind);
        Self {
            chain: one.chain.clone(),
            sequence: one.sequence,
            time: one.time.as_ref().map(time),
            action: audit_action(one.action),
            outcome: event_outcome(one.outcome),
            reason: one.reason.clone(),
            principal: PrincipalDocument { name: principal.name, kind },
            run: one.run.clone().map(|run| RunDocument {
                pipeline: run.pipeline,
                run_id: run.run_id,
                attempt: run.attempt,
            }),
            bundle: one.bundle.clone(),
            environment: one.environment.clone(),
            step: one.step.clone(),
            instance: one.instance,
            parameters: one.parameters.iter().map(ParameterDocument::new).collect(),
            unknown_names: one.unknown_names,
            sealed: one.sealed,
            policy_ids: one.policy_ids.clone(),
            trace_id: one.trace_id.clone(),
            fingerprint_key: one.fingerprint_key.clone(),
            format: one.format,
            previous_hash: hex::encode(&one.previous_hash),
            hash: hex::encode(&one.hash),
        }
    }
}

impl ParameterDocument {
    fn new(one: &v1::ParameterAccess) -> Self {
        Self {
            name: one.name.clone(),
            source: source_kind(one.source),
            source_name: one.source_name.clone(),
            location: one.location.clone(),
            version: one.version.clone(),
            fingerprint: hex::encode(&one.fingerprint),
            violated_keyword: one.violated_keyword.clone(),
        }
    }
}
