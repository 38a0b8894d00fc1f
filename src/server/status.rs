//! A [`Refusal`] as the gRPC status that the contract's table asks for.
//!
//! The matches are exhaustive: a new refusal doesn't compile before it has its
//! code, its message and its metadata.

mod details;

use std::time::Duration;

use aws_lc_rs::rand;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::engine::Refusal;
use crate::source::FailureClass;
use crate::store::RunEnd;

/// The domain of every `ErrorInfo` of ours.
const DOMAIN: &str = "paramd";
/// When to try again what may mend, unless the source itself says.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest time that a caller is told to wait.
const RETRY_DELAY_LIMIT: Duration = Duration::from_secs(3_600);
/// The most bytes of an answer.
pub(super) const ANSWER_LIMIT: usize = 3 << 20;

/// The status of a refusal.
pub(super) fn status(refusal: &Refusal) -> Status {
    let details = details::details(refusal);
    Status::with_error_details(code(refusal), message(refusal), details)
}

/// A fault of the daemon's own: logged under an incident that the caller is
/// told. `what` is fixed text, so it can't hold a value.
pub(super) fn fault(what: &'static str) -> Refusal {
    let mut bytes = [0_u8; 8];
    // Without randomness an incident is all zeros, and still found in the log.
    let _ = rand::fill(&mut bytes);
    let incident = hex::encode(bytes);
    tracing::error!(incident, "internal fault: {what}");
    Refusal::Internal { incident }
}

/// Whether an answer is within the contract's limit.
///
/// # Errors
/// It isn't.
pub(super) fn fits(answer: &impl prost::Message) -> Result<(), Refusal> {
    if answer.encoded_len() > ANSWER_LIMIT {
        return Err(Refusal::AnswerTooLarge { limit_bytes: ANSWER_LIMIT });
    }
    Ok(())
}

/// The code of a refusal.
pub(super) fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Unauthenticated => Code::Unauthenticated,
        Refusal::RateLimited { .. } => Code::ResourceExhausted,
        Refusal::AccessDenied { .. } => Code::PermissionDenied,
        Refusal::Invalid(_) => Code::InvalidArgument,
        Refusal::AuditUnavailable | Refusal::StoreUnavailable | Refusal::NotServing => {
            Code::Unavailable
        }
        Refusal::Internal { .. } => Code::Internal,
        Refusal::PipelineNotFound { .. }
        | Refusal::EnvironmentNotFound { .. }
        | Refusal::RunNotFound { .. }
        | Refusal::StepNotFound { .. } => Code::NotFound,
        Refusal::RunConflict { .. } => Code::AlreadyExists,
        Refusal::SourceFailed { failure, .. } => match failure.cause.class() {
            FailureClass::Denied | FailureClass::Failed => Code::FailedPrecondition,
            FailureClass::Unavailable => Code::Unavailable,
        },
        Refusal::RevisionMismatch { .. }
        | Refusal::AttemptOutOfOrder { .. }
        | Refusal::ExactUnavailable(_)
        | Refusal::ResolutionFailed(_)
        | Refusal::RunEnded { .. }
        | Refusal::StepSkipped { .. } => Code::FailedPrecondition,
        Refusal::SealingUnsupported => Code::Unimplemented,
        Refusal::SealingRequired => Code::FailedPrecondition,
        Refusal::AnswerTooLarge { .. } => Code::ResourceExhausted,
        Refusal::PositionGone => Code::OutOfRange,
        Refusal::SnapshotUnreadable { .. } => Code::DataLoss,
    }
}

/// The message for people.
fn message(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Unauthenticated => "who calls could not be told".to_owned(),
        Refusal::RateLimited { limit, of, .. } => {
            format!("asked too often: the limit `{limit}` of `{of}` is reached; try again later")
        }
        // INVARIANT: the same whether the thing exists or not.
        Refusal::AccessDenied { .. } => "not permitted, or not there".to_owned(),
        Refusal::Invalid(violations) => wrong_request(violations.len()),
        Refusal::AuditUnavailable => {
            "the access can't be recorded, so it isn't granted; try again".to_owned()
        }
        Refusal::StoreUnavailable => "the store doesn't answer; try again".to_owned(),
        Refusal::NotServing => "paramd is starting or stopping".to_owned(),
        Refusal::Internal { incident } => {
            format!("a fault of paramd; its log has it under incident {incident}")
        }
        Refusal::PipelineNotFound { pipeline } => format!("there is no pipeline `{pipeline}`"),
        Refusal::EnvironmentNotFound { pipeline, environment } => {
            format!("pipeline `{pipeline}` doesn't run in an environment `{environment}`")
        }
        Refusal::RunNotFound { pipeline, run_id, attempt: 0 } => {
            format!("pipeline `{pipeline}` has no run `{run_id}`")
        }
        Refusal::RunNotFound { pipeline, run_id, attempt } => {
            format!("pipeline `{pipeline}` has no attempt {attempt} of a run `{run_id}`")
        }
        Refusal::StepNotFound { pipeline, step } => {
            format!("the run of pipeline `{pipeline}` has no step `{step}`")
        }
        Refusal::RunConflict { run, differs } => format!(
            "run `{}` of pipeline `{}` stands for another request; they differ in {}",
            run.run_id,
            run.pipeline,
            details::joined(differs)
        ),
        Refusal::RevisionMismatch { revision } => {
            format!("not the revision that was expected: it is {revision}")
        }
        Refusal::AttemptOutOfOrder { newest, end } => out_of_order(*newest, end.is_some()),
        Refusal::ExactUnavailable(problems) => {
            format!("the attempt before can't be repeated exactly: {}", counted(problems.len()))
        }
        Refusal::ResolutionFailed(problems) => {
            format!("what the sources gave isn't fit: {}", counted(problems.len()))
        }
        Refusal::SourceFailed { failure, .. } => source_failed(failure),
        Refusal::RunEnded { end } => format!("the run has ended: {}", ended(*end)),
        Refusal::StepSkipped { step } => {
            format!("step `{step}` is skipped in this run, and needs no secrets")
        }
        Refusal::SealingRequired => {
            "the policies allow this only sealed: ask with a `recipient`".to_owned()
        }
        Refusal::SealingUnsupported => {
            "this daemon doesn't know that suite; it seals with the one that the contract has"
                .to_owned()
        }
        Refusal::AnswerTooLarge { .. } => {
            "the answer would be over 3 MiB; ask for one instance, or for fewer names".to_owned()
        }
        Refusal::PositionGone => "the token points to events that were removed".to_owned(),
        Refusal::SnapshotUnreadable { run } => format!(
            "what is stored of run `{}` of pipeline `{}` can't be read: it was changed, or its key \
             is gone",
            run.run_id, run.pipeline
        ),
    }
}

fn out_of_order(newest: u32, ended: bool) -> String {
    match newest {
        0 => "there is no attempt before this one: the first is attempt 1".to_owned(),
        _ if ended => {
            let next = newest.saturating_add(1);
            format!("attempt {newest} is the newest; the next one is attempt {next}")
        }
        _ => format!("attempt {newest} is the newest and still open; the next one comes after it"),
    }
}

fn wrong_request(problems: usize) -> String {
    format!("the request is wrong: {}", counted(problems))
}

fn counted(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

fn source_failed(failure: &crate::engine::refusal::SourceFailure) -> String {
    let (kind, name, cause) = (failure.source.word(), &failure.source_name, failure.cause.word());
    match failure.cause.class() {
        FailureClass::Denied => format!("{kind} source `{name}` refuses the daemon: {cause}"),
        FailureClass::Failed => format!("{kind} source `{name}` gave no usable answer: {cause}"),
        FailureClass::Unavailable => format!("{kind} source `{name}` can't be had now: {cause}"),
    }
}

fn ended(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Succeeded => "succeeded",
        RunEnd::Failed => "failed",
        RunEnd::Cancelled => "cancelled",
        RunEnd::Expired => "expired",
    }
}

#[cfg(test)]
mod tests;
