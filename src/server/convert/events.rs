//! The audit log: filters, events and what a check found.

use prost::Message as _;

use super::{invalid, record, time};
use crate::audit::verify::ChainReport;
use crate::audit::{Action, Event, Outcome, ParameterAccess};
use crate::engine::{
    Begin, EventsAnswer, EventsRequest, PageRequest, VerifyAnswer, Violation, WatchRequest, Watched,
};
use crate::proto::v1;
use crate::provenance::cut_location;
use crate::store::EventQuery;

/// The most entries of a list in a filter; there are fewer actions than that.
const MAX_CHOICES: usize = 64;

/// `ListEvents`.
pub(in crate::server) fn read(message: v1::ListEventsRequest) -> EventsRequest {
    let mut problems = Vec::new();
    let query = EventQuery {
        from: moment("start_time", message.start_time, &mut problems),
        until: moment("end_time", message.end_time, &mut problems),
        newest_first: message.newest_first,
        ..filter(message.filter.unwrap_or_default(), &mut problems)
    };
    let page = PageRequest { size: message.page_size, token: message.page_token };
    EventsRequest { page, query, problems }
}

/// `WatchEvents`.
pub(in crate::server) fn read_watch(message: v1::WatchEventsRequest) -> WatchRequest {
    use v1::watch_events_request::Begin as Asked;
    let mut problems = Vec::new();
    let query = filter(message.filter.unwrap_or_default(), &mut problems);
    let begin = match message.begin {
        None => Begin::Next,
        Some(Asked::ResumeToken(token)) => Begin::After(token),
        // What is wrong with a time is a problem: nothing begins.
        Some(Asked::StartTime(time)) => {
            moment("start_time", Some(time), &mut problems).map_or(Begin::Next, Begin::At)
        }
    };
    WatchRequest { query, begin, problems }
}

/// An event, or word that the watch has moved on.
pub(in crate::server) fn watched(one: Watched) -> v1::WatchEventsResponse {
    v1::WatchEventsResponse {
        event: one.event.map(|event| write(event, one.fingerprints)),
        resume_token: one.token,
    }
}

fn filter(filter: v1::EventFilter, problems: &mut Vec<Violation>) -> EventQuery {
    EventQuery {
        pipeline: named(filter.pipeline),
        run_id: named(filter.run_id),
        environment: named(filter.environment),
        step: named(filter.step),
        parameter: named(filter.parameter),
        principal: named(filter.principal),
        actions: choices("filter.actions", &filter.actions, action, problems),
        outcomes: choices("filter.outcomes", &filter.outcomes, outcome, problems),
        ..EventQuery::default()
    }
}

pub(super) fn named(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

pub(super) fn moment(
    field: &'static str,
    time: Option<prost_types::Timestamp>,
    problems: &mut Vec<Violation>,
) -> Option<jiff::Timestamp> {
    let read = time.map(time::read_bound)?;
    if read.is_none() {
        problems.push(invalid(field, "expected a time from the year 1 to 9999"));
    }
    read
}

pub(super) fn choices<T>(
    field: &'static str,
    numbers: &[i32],
    read: fn(i32) -> Option<T>,
    problems: &mut Vec<Violation>,
) -> Vec<T> {
    if numbers.len() > MAX_CHOICES {
        problems.push(invalid(field, "expected at most 64 entries"));
    }
    let mut known = Vec::new();
    for (index, number) in numbers.iter().take(MAX_CHOICES).enumerate() {
        match read(*number) {
            Some(choice) => known.push(choice),
            None => problems.push(invalid(format!("{field}[{index}]"), "not one that is known")),
        }
    }
    known
}

fn action(number: i32) -> Option<Action> {
    Some(match v1::Action::try_from(number).ok()? {
        v1::Action::Unspecified => return None,
        v1::Action::Authenticate => Action::Authenticate,
        v1::Action::Resolve => Action::Resolve,
        v1::Action::Join => Action::Join,
        v1::Action::Explain => Action::Explain,
        v1::Action::Read => Action::Read,
        v1::Action::Reveal => Action::Reveal,
        v1::Action::Complete => Action::Complete,
        v1::Action::Audit => Action::Audit,
        v1::Action::Fingerprints => Action::Fingerprints,
        v1::Action::Delegate => Action::Delegate,
        v1::Action::Start => Action::Start,
        v1::Action::Stop => Action::Stop,
        v1::Action::Reload => Action::Reload,
        v1::Action::Expire => Action::Expire,
    })
}

fn outcome(number: i32) -> Option<Outcome> {
    Some(match v1::EventOutcome::try_from(number).ok()? {
        v1::EventOutcome::Unspecified => return None,
        v1::EventOutcome::Succeeded => Outcome::Succeeded,
        v1::EventOutcome::Denied => Outcome::Denied,
        v1::EventOutcome::Failed => Outcome::Failed,
    })
}

/// A page of events.
pub(in crate::server) fn listed(answer: EventsAnswer) -> v1::ListEventsResponse {
    let permitted = answer.fingerprints;
    v1::ListEventsResponse {
        events: answer.events.into_iter().map(|event| write(event, permitted)).collect(),
        next_page_token: answer.next_token,
    }
}

/// The bytes of an event in a page, at most.
pub(in crate::server) fn weigh(event: &Event) -> usize {
    write(event.clone(), true).encoded_len()
}

fn write(event: Event, fingerprints: bool) -> v1::Event {
    let draft = event.draft;
    let run = draft.pipeline.map(|pipeline| {
        let (run_id, attempt) =
            draft.run.map(|(run, attempt)| (run.to_string(), attempt)).unwrap_or_default();
        v1::RunName { pipeline: pipeline.to_string(), run_id, attempt }
    });
    v1::Event {
        chain: event.chain,
        sequence: event.sequence,
        time: Some(time::write(draft.time)),
        action: draft.action as i32,
        outcome: draft.outcome as i32,
        reason: draft.reason,
        principal: Some(record::principal(&draft.principal)),
        run,
        bundle: draft.bundle,
        environment: draft.environment.map(|name| name.to_string()).unwrap_or_default(),
        step: draft.step.map(|name| name.to_string()).unwrap_or_default(),
        instance: draft.instance,
        parameters: draft.parameters.iter().cloned().map(|p| parameter(p, fingerprints)).collect(),
        unknown_names: draft.unknown_names,
        sealed: draft.sealed,
        policy_ids: draft.policy_ids,
        trace_id: draft.trace_id,
        fingerprint_key: draft.fingerprint_key,
        format: event.format,
        previous_hash: event.previous_hash.to_vec(),
        hash: event.hash.to_vec(),
    }
}

fn parameter(access: ParameterAccess, fingerprints: bool) -> v1::ParameterAccess {
    v1::ParameterAccess {
        name: access.name.as_str().to_owned(),
        source: access.source.map_or(0, |kind| kind as i32),
        source_name: access.source_name.map(|name| name.to_string()).unwrap_or_default(),
        location: cut_location(&access.location),
        version: access.version,
        fingerprint: access
            .fingerprint
            .filter(|_| fingerprints)
            .map(|fingerprint| fingerprint.to_vec())
            .unwrap_or_default(),
        violated_keyword: access.violated_keyword.to_owned(),
    }
}

/// `VerifyLog`.
pub(in crate::server) fn verified(answer: VerifyAnswer) -> v1::VerifyLogResponse {
    v1::VerifyLogResponse {
        chains: answer.chains.into_iter().map(report).collect(),
        next_page_token: answer.next_token,
    }
}

fn report(report: ChainReport) -> v1::ChainReport {
    v1::ChainReport {
        chain: report.chain,
        first_sequence: report.first_sequence,
        last_good_sequence: report.last_good_sequence,
        head_hash: report.head_hash.map(|hash| hash.to_vec()).unwrap_or_default(),
        defect: report.defect.map_or(0, |defect| defect as i32),
    }
}

#[cfg(test)]
mod tests;
