//! Runs in a list.

use std::time::Duration;

use prost::Message as _;

use super::{events, invalid, record, request, time};
use crate::engine::{
    FailureView, PageRequest, RunsAnswer, RunsRequest, SubjectFailure, Violation, ViolationReason,
};
use crate::proto::v1;
use crate::server::status;
use crate::store::{RunQuery, RunState, StoredRun};

/// What an entry costs in an answer beside its own bytes, at most.
const FRAME: usize = 10;

/// `ListRuns`.
pub(in crate::server) fn read(message: v1::ListRunsRequest) -> RunsRequest {
    let mut problems = Vec::new();
    let query = RunQuery {
        pipeline: events::named(message.pipeline),
        run_id: events::named(message.run_id),
        environment: events::named(message.environment),
        states: events::choices("states", &message.states, state, &mut problems),
        labels: request::labels(message.labels, &mut problems),
        from: events::moment("start_time", message.start_time, &mut problems),
        until: events::moment("end_time", message.end_time, &mut problems),
        ..RunQuery::default()
    };
    let page = PageRequest { size: message.page_size, token: message.page_token };
    RunsRequest { page, query, problems }
}

fn state(number: i32) -> Option<RunState> {
    Some(match v1::RunState::try_from(number).ok()? {
        v1::RunState::Unspecified => return None,
        v1::RunState::Open => RunState::Open,
        v1::RunState::Completed => RunState::Completed,
        v1::RunState::Expired => RunState::Expired,
    })
}

/// A page of runs.
pub(in crate::server) fn listed(answer: &RunsAnswer) -> v1::ListRunsResponse {
    let runs = answer.runs.iter().map(record::run).collect();
    v1::ListRunsResponse { runs, next_page_token: answer.next_token.clone() }
}

/// The bytes of a run in a page.
pub(in crate::server) fn weigh(run: &StoredRun) -> usize {
    record::run(run).encoded_len()
}

/// The lifetime of `ExtendRun`, or what is wrong with it.
pub(in crate::server) fn lifetime(
    span: Option<prost_types::Duration>,
) -> Result<Duration, Violation> {
    let missing =
        || Violation { reason: ViolationReason::MissingField, ..invalid("lifetime", "required") };
    time::read_span(span.ok_or_else(missing)?)
        .ok_or_else(|| invalid("lifetime", "expected a duration that isn't negative"))
}

/// `ListFailures`: as many as an answer holds, the newest first.
pub(in crate::server) fn failures(failures: Vec<FailureView>) -> v1::ListFailuresResponse {
    let write = |failure: FailureView| v1::Failure {
        time: Some(time::write(failure.time)),
        reason: failure.reason,
        parameters: failure.subjects.into_iter().map(subject).collect(),
    };
    let mut room = status::ANSWER_LIMIT;
    let fits = |failure: &v1::Failure| {
        let left = room.checked_sub(failure.encoded_len() + FRAME);
        room = left.unwrap_or_default();
        left.is_some()
    };
    v1::ListFailuresResponse {
        failures: failures.into_iter().map(write).take_while(fits).collect(),
    }
}

fn subject(failure: SubjectFailure) -> v1::ParameterFailure {
    let name = format!("SOURCE_KIND_{}", failure.source.to_uppercase());
    v1::ParameterFailure {
        parameter: failure.subject,
        reason: failure.reason,
        source: v1::SourceKind::from_str_name(&name).map_or(0, |kind| kind as i32),
        source_name: failure.source_name,
        location: crate::provenance::cut_location(&failure.location),
        cause: failure.cause,
        attempt_count: failure.attempts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_fit_and_the_oldest_are_left_out() {
        let subject = |index: usize| SubjectFailure {
            subject: format!("p{index}"),
            reason: "SOURCE_FAILED".into(),
            source: "file".into(),
            source_name: "files".into(),
            location: "l".repeat(900),
            cause: "too_large".into(),
            attempts: 1,
        };
        let failure = |second: i64| FailureView {
            time: jiff::Timestamp::from_second(second).unwrap(),
            reason: "SOURCE_FAILED".into(),
            subjects: (0..1_000).map(subject).collect(),
        };
        let answer = failures((0..20).rev().map(failure).collect());
        assert!(status::fits(&answer).is_ok());
        let times: Vec<_> = answer.failures.iter().map(|one| one.time.unwrap().seconds).collect();
        assert_eq!(times, [19, 18, 17]);
    }
}
