//! What is said of an illness, compared with its row: to the caller, in the log
//! and in the audit log.

use std::time::Duration;

use paramd::proto::v1::{Action, Event, EventOutcome, ResolveRunResponse, RunName};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::page::Told;
use super::{VALUE, WORDS};
use crate::support::status::{everything, problem};

/// The reason of an error.
pub(super) fn reason(status: &Status) -> String {
    problem(status).reason
}

/// What the answer should be and isn't.
pub(super) fn compare(told: &Told, answer: &Result<ResolveRunResponse, Status>) -> Vec<String> {
    match (told, answer) {
        (Told::Value | Told::Default, Ok(resolved)) => {
            let snapshot = resolved.snapshot.as_ref().unwrap();
            let value = snapshot.parameters.iter().find(|one| one.name == "value").unwrap();
            let default = value.provenance.as_ref().unwrap().default_used;
            let right = default == matches!(told, Told::Default);
            if right { Vec::new() } else { vec![format!("default: {default}")] }
        }
        (Told::Unfit(reason), Err(status)) => {
            let problem = problem(status);
            let reasons: Vec<_> = problem.violations.iter().map(|one| &one.reason).collect();
            let right = problem.reason == "RESOLUTION_FAILED"
                && reasons == [reason]
                && problem.violations[0].field == "value"
                && status.code() == Code::FailedPrecondition
                && !problem.retry;
            refused(status, right)
        }
        (Told::Source { reason, cause, again }, Err(status)) => {
            let problem = problem(status);
            let told = |key: &str| problem.metadata.get(key).map_or("", String::as_str);
            let (passing, code) = match reason.as_str() {
                "SOURCE_UNAVAILABLE" => (true, Code::Unavailable),
                _ => (false, Code::FailedPrecondition),
            };
            let right = problem.reason == *reason
                && status.code() == code
                && told("cause") == cause
                && told("parameters") == "value"
                && !told("source").is_empty()
                && !told("source_name").is_empty()
                && matches!(&problem.violations[..], [one] if one.field == "value" && one.reason == *reason)
                && comes_again(status, passing, *again);
            refused(status, right)
        }
        (told, answer) => {
            let answer = answer.as_ref().map(|_| "a value or default").map_err(problem);
            vec![format!("{answer:?} and not {told:?}")]
        }
    }
}

/// Whether the caller is told when to come again, where that may help. A server
/// that counts down may have got a second further.
fn comes_again(status: &Status, passing: bool, again: Option<Duration>) -> bool {
    let details = status.get_error_details();
    let told = details.retry_info().and_then(|info| info.retry_delay);
    match (passing, told) {
        (false, told) => told.is_none(),
        (true, None) => false,
        (true, Some(told)) => again.is_none_or(|again| {
            told <= again + Duration::from_secs(1) && told + Duration::from_secs(2) >= again
        }),
    }
}

fn refused(status: &Status, right: bool) -> Vec<String> {
    let mut wrong = hides("the answer", &everything(status));
    if !right {
        let again = status.get_error_details().retry_info().cloned();
        wrong.push(format!("{:?}, again {again:?}", problem(status)));
    }
    wrong
}

/// There is one event of it, with its reason and no word of the source.
pub(super) fn audited(events: &[Event], run: &RunName, reason: &str) -> Vec<String> {
    let mut wrong = hides("the audit log", format!("{events:?}").as_bytes());
    let of_run = |event: &&Event| {
        event.run.as_ref().is_some_and(|known| {
            (&known.pipeline, &known.run_id) == (&run.pipeline, &run.run_id) && known.attempt == 1
        })
    };
    let resolves: Vec<_> =
        events.iter().filter(of_run).filter(|event| event.action() == Action::Resolve).collect();
    let outcome = if reason.is_empty() { EventOutcome::Succeeded } else { EventOutcome::Failed };
    let right = matches!(resolves[..], [one] if one.outcome() == outcome && one.reason == reason);
    wrong.extend((!right).then(|| format!("the audit log has {resolves:?}")));
    wrong
}

/// There is one line of it, with its reason and no word of the source.
pub(super) fn logged(log: &str, run: &RunName, reason: &str) -> Vec<String> {
    let mut wrong = hides("the log", log.as_bytes());
    let name = format!("run=\"{}/{}/1\"", run.pipeline, run.run_id);
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("rpc=\"ResolveRun\""))
        .filter(|line| line.contains(&name))
        .collect();
    let right = matches!(lines[..], [one] if one.contains(&format!("reason=\"{reason}\"")));
    wrong.extend((!right).then(|| format!("the log has {lines:?}")));
    wrong
}

fn hides(place: &str, bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let told = |secret: &&str| text.contains(*secret);
    [VALUE, WORDS].iter().filter(|secret| told(secret)).map(|_| format!("{place} quotes")).collect()
}
