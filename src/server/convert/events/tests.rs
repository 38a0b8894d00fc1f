use super::*;
use crate::audit::event::ItemName;
use crate::audit::{EventDraft, Principal};
use crate::name::{PipelineName, RunId};

fn fields(problems: &[Violation]) -> Vec<&str> {
    problems.iter().map(|problem| problem.field.as_str()).collect()
}

fn filtered(filter: v1::EventFilter) -> EventsRequest {
    read(v1::ListEventsRequest { filter: Some(filter), ..Default::default() })
}

#[test]
fn every_action_and_outcome_can_be_asked_for() {
    let actions = [1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21, 22, 23];
    let request = filtered(v1::EventFilter {
        actions: actions.to_vec(),
        outcomes: vec![1, 2, 3],
        pipeline: "p".into(),
        ..Default::default()
    });
    assert!(request.problems.is_empty());
    assert_eq!(request.query.actions.iter().map(|a| *a as i32).collect::<Vec<_>>(), actions);
    assert_eq!(request.query.outcomes.iter().map(|o| *o as i32).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((request.query.pipeline.as_deref(), request.query.step), (Some("p"), None));
}

#[test]
fn numbers_that_are_not_known_are_refused_by_place() {
    let request = filtered(v1::EventFilter {
        actions: vec![5, 0, 10, -1],
        outcomes: vec![4],
        ..Default::default()
    });
    assert_eq!(
        fields(&request.problems),
        ["filter.actions[1]", "filter.actions[2]", "filter.actions[3]", "filter.outcomes[0]"]
    );
    let request = filtered(v1::EventFilter { actions: vec![5; 65], ..Default::default() });
    assert_eq!(fields(&request.problems), ["filter.actions"]);
}

#[test]
fn times_out_of_range_are_refused() {
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let request = read(v1::ListEventsRequest {
        start_time: time(i64::MIN),
        end_time: time(i64::MAX),
        ..Default::default()
    });
    assert_eq!(fields(&request.problems), ["start_time", "end_time"]);
}

fn event(run: bool) -> Event {
    let mut draft = EventDraft::new(
        jiff::Timestamp::UNIX_EPOCH,
        Principal::unix_user(7),
        Action::Reveal,
        Outcome::Succeeded,
    );
    draft.pipeline = Some(PipelineName::parse("p").unwrap());
    draft.run = run.then(|| (RunId::parse("r").unwrap(), 2));
    draft.parameters = vec![ParameterAccess {
        name: ItemName::env("URL"),
        source: None,
        source_name: None,
        location: String::new(),
        version: None,
        fingerprint: Some([9; 16]),
        violated_keyword: "pattern",
    }]
    .into();
    Event {
        chain: "main".into(),
        sequence: 1,
        draft,
        format: 1,
        previous_hash: [0; 32],
        hash: [1; 32],
    }
}

#[test]
fn fingerprints_are_for_those_who_may_see_them() {
    let shown = |permitted| write(event(true), permitted).parameters[0].fingerprint.clone();
    assert_eq!(shown(false), Vec::<u8>::new());
    assert_eq!(shown(true), vec![9; 16]);
}

#[test]
fn an_event_of_a_pipeline_has_no_run_id() {
    let name = |run| write(event(run), false).run.unwrap();
    assert_eq!((name(true).run_id.as_str(), name(true).attempt), ("r", 2));
    assert_eq!((name(false).run_id.as_str(), name(false).attempt), ("", 0));
}

#[test]
fn a_report_without_a_good_event_has_no_hash() {
    let answer = verified(VerifyAnswer {
        chains: vec![ChainReport {
            chain: "main".into(),
            first_sequence: 1,
            last_good_sequence: 0,
            head_hash: None,
            defect: Some(crate::audit::verify::ChainDefect::Changed),
        }],
        next_token: String::new(),
    });
    assert!(answer.chains[0].head_hash.is_empty());
    assert_eq!(answer.chains[0].defect(), v1::ChainDefect::Changed);
}
