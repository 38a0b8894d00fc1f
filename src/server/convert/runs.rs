//! Runs in a list.

use super::{events, record, request};
use crate::engine::{PageRequest, RunsAnswer, RunsRequest};
use crate::proto::v1;
use crate::store::{RunQuery, RunState};

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
