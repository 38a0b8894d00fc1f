//! The details of a status: metadata, problems, when to try again.
//!
//! They travel in HTTP/2 trailers. Clients refuse trailers over 8 KiB (gRPC's C
//! core, so Python's too) or 16 KiB (hyper), so all that can grow has a budget:
//! descriptions go first, then whole problems.

use std::collections::HashMap;
use std::time::Duration;

use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation};

use super::{DOMAIN, RETRY_DELAY, RETRY_DELAY_LIMIT, ended};
use crate::engine::Refusal;
use crate::engine::refusal::SourceFailure;
use crate::name::RunKey;
use crate::source::FailureClass;
use crate::store::RunEnd;

/// The most problems that are told.
const MAX_PROBLEMS: usize = 100;
/// The most bytes of all problems and metadata; base64 makes a third more of
/// them, and the rest of the 8 KiB is for the message.
const BUDGET: usize = 5_300;
/// The most bytes of a list of names.
const NAMES_BUDGET: usize = 600;
/// What a problem costs beside its texts.
const FRAME: usize = 10;

/// The details of a refusal.
pub(super) fn details(refusal: &Refusal) -> ErrorDetails {
    let mut details = ErrorDetails::new();
    let metadata = metadata(refusal);
    let spent: usize = metadata.iter().map(|(key, value)| key.len() + value.len() + FRAME).sum();
    let room = BUDGET.saturating_sub(spent);
    details.set_error_info(refusal.reason(), DOMAIN, metadata);
    match refusal {
        Refusal::AccessDenied { fields: violations } | Refusal::Invalid(violations)
            if !violations.is_empty() =>
        {
            let told = told(
                room,
                violations.iter().map(|violation| Told {
                    place: &violation.field,
                    reason: violation.reason.word(),
                    description: &violation.description,
                }),
            );
            details.set_bad_request(told.into_iter().map(field_violation).collect::<Vec<_>>());
        }
        Refusal::ResolutionFailed(problems)
        | Refusal::ExactUnavailable(problems)
        | Refusal::SourceFailed { problems, .. } => {
            let told = told(
                room,
                problems.iter().map(|problem| Told {
                    place: &problem.subject,
                    reason: problem.reason.word(),
                    description: &problem.description,
                }),
            );
            details.set_precondition_failure(
                told.into_iter()
                    .map(|t| PreconditionViolation::new(t.reason, t.place, t.description))
                    .collect::<Vec<_>>(),
            );
        }
        _ => {}
    }
    if let Some(delay) = retry_delay(refusal) {
        details.set_retry_info(Some(delay));
    }
    details
}

/// A problem as it is told.
struct Told<'a> {
    place: &'a str,
    reason: &'static str,
    description: &'a str,
}

fn field_violation(told: Told<'_>) -> FieldViolation {
    FieldViolation {
        reason: told.reason.to_owned(),
        ..FieldViolation::new(told.place, told.description)
    }
}

/// The problems that fit: first all their places and reasons, then as many of
/// their descriptions, each in order.
fn told<'a>(mut room: usize, problems: impl Iterator<Item = Told<'a>>) -> Vec<Told<'a>> {
    let mut told = Vec::new();
    for problem in problems.take(MAX_PROBLEMS) {
        let cost = problem.place.len() + problem.reason.len() + FRAME;
        let Some(left) = room.checked_sub(cost) else { break };
        room = left;
        told.push(problem);
    }
    for problem in &mut told {
        match room.checked_sub(problem.description.len()) {
            Some(left) => room = left,
            None => problem.description = "",
        }
    }
    told
}

fn retry_delay(refusal: &Refusal) -> Option<Duration> {
    match refusal {
        Refusal::AuditUnavailable | Refusal::StoreUnavailable => Some(RETRY_DELAY),
        Refusal::RateLimited { retry_after, .. } => {
            Some((*retry_after).clamp(RETRY_DELAY, RETRY_DELAY_LIMIT))
        }
        Refusal::SourceFailed { failure, .. }
            if failure.cause.class() == FailureClass::Unavailable =>
        {
            Some(failure.retry_after.unwrap_or(RETRY_DELAY).min(RETRY_DELAY_LIMIT))
        }
        _ => None,
    }
}

/// `ErrorInfo.metadata`.
fn metadata(refusal: &Refusal) -> HashMap<String, String> {
    match refusal {
        Refusal::Unauthenticated
        | Refusal::AccessDenied { .. }
        | Refusal::Invalid(_)
        | Refusal::AuditUnavailable
        | Refusal::StoreUnavailable
        | Refusal::NotServing
        | Refusal::ResolutionFailed(_)
        | Refusal::ExactUnavailable(_)
        | Refusal::SealingUnsupported
        | Refusal::SealingRequired
        | Refusal::PositionGone => HashMap::new(),
        Refusal::RateLimited { limit, of, .. } => {
            pairs([("limit", (*limit).to_owned()), ("of", (*of).to_owned())])
        }
        Refusal::Internal { incident } => pairs([("incident", incident.clone())]),
        Refusal::PipelineNotFound { pipeline } => pairs([("pipeline", pipeline.clone())]),
        Refusal::EnvironmentNotFound { pipeline, environment } => {
            pairs([("pipeline", pipeline.clone()), ("environment", environment.clone())])
        }
        Refusal::RunNotFound { pipeline, run_id, attempt } => pairs([
            ("pipeline", pipeline.clone()),
            ("run_id", run_id.clone()),
            ("attempt", attempt.to_string()),
        ]),
        Refusal::StepNotFound { pipeline, step } => {
            pairs([("pipeline", pipeline.clone()), ("step", step.clone())])
        }
        Refusal::RunConflict { run, differs } => {
            let mut metadata = run_pairs(run);
            metadata.insert("differs".to_owned(), joined(differs));
            metadata
        }
        Refusal::RevisionMismatch { revision } => pairs([("revision", revision.clone())]),
        Refusal::AttemptOutOfOrder { newest, end } => pairs([
            ("newest_attempt", newest.to_string()),
            ("state", standing(*newest, *end).to_owned()),
        ]),
        Refusal::SourceFailed { failure, .. } => source_pairs(failure),
        Refusal::RunEnded { end } => {
            pairs([("state", state(*end).to_owned()), ("outcome", outcome(*end).to_owned())])
        }
        Refusal::StepSkipped { step } => pairs([("step", step.clone())]),
        Refusal::AnswerTooLarge { limit_bytes } => {
            pairs([("limit_bytes", limit_bytes.to_string())])
        }
        Refusal::SnapshotUnreadable { run } => run_pairs(run),
    }
}

fn pairs<const N: usize>(pairs: [(&str, String); N]) -> HashMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn run_pairs(run: &RunKey) -> HashMap<String, String> {
    pairs([
        ("pipeline", run.pipeline.to_string()),
        ("run_id", run.run_id.to_string()),
        ("attempt", run.attempt.to_string()),
    ])
}

fn source_pairs(failure: &SourceFailure) -> HashMap<String, String> {
    pairs([
        ("source", failure.source.word().to_owned()),
        ("source_name", failure.source_name.clone()),
        ("parameters", joined(&failure.parameters)),
        ("cause", failure.cause.word().to_owned()),
    ])
}

/// Where the newest attempt is in its life; empty where there is none.
fn standing(newest: u32, end: Option<RunEnd>) -> &'static str {
    match end {
        Some(end) => state(end),
        None if newest == 0 => "",
        None => "open",
    }
}

fn state(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Succeeded | RunEnd::Failed | RunEnd::Cancelled => "completed",
        RunEnd::Expired => "expired",
    }
}

/// How a completed run ended; an expired one has no outcome.
fn outcome(end: RunEnd) -> &'static str {
    if end == RunEnd::Expired { "" } else { ended(end) }
}

/// Names, joined by commas, as many as fit.
pub(super) fn joined(names: &[impl ToString]) -> String {
    let mut text = String::new();
    for name in names.iter().map(ToString::to_string) {
        if text.len() + name.len() + 1 > NAMES_BUDGET {
            break;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&name);
    }
    text
}
