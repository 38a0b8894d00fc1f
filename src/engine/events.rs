//! `ListEvents` and `VerifyLog`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::access::on_record;
use super::mark::Mark;
use super::pages::{Bound, Room, page_size, wrong_token};
use super::record::{internal, store_refusal};
use super::{
    Caller, Engine, EventsAnswer, EventsRequest, Refusal, VerifyAnswer, Violation, ViolationReason,
    Weigh,
};
use crate::access::{Action, Resource};
use crate::audit::{self, Event, EventDraft};
use crate::name::{EnvironmentName, NameError, PipelineName, RunId, StepName};
use crate::store::{EventPage, EventQuery, VerifyRequest};

/// The longest that one check of the log may take.
const VERIFY_LIMIT: Duration = Duration::from_secs(10);

/// The most characters of a principal's name, or of an item's.
const MAX_NAME: usize = 512;

impl Engine {
    /// The events that fit a filter.
    ///
    /// # Errors
    /// As the contract says of `ListEvents`.
    pub async fn list_events(
        self: &Arc<Self>,
        caller: &Caller,
        request: EventsRequest,
        weigh: Weigh<Event>,
    ) -> Result<EventsAnswer, Refusal> {
        let mut event = self.event(caller, audit::Action::Audit);
        let malformed = malformed_names(&request.query);
        if !malformed.is_empty() {
            let violations = malformed.into_iter().chain(request.problems).collect();
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        }
        if let Err(refusal) = self.may_audit(caller, &request.query, &mut event) {
            return Err(self.refuse(event, refusal).await);
        }
        let mut violations = request.problems;
        let size = page_size(request.page.size, 100, 1_000);
        let bound = bound("ListEvents", caller, &request.query);
        let position = bound.position(&request.page.token).and_then(|position| {
            position.map(|bytes| positions(&bytes).ok_or_else(wrong_token)).transpose()
        });
        violations.extend(size.clone().err());
        violations.extend(position.clone().err());
        if let Ok(Some((_, mark))) = position {
            match self.check_mark("page_token", mark) {
                Ok(violation) => violations.extend(violation),
                Err(refusal) => return Err(self.refuse(event, refusal).await),
            }
        }
        let (Ok(limit), Ok(position), true) = (size, position, violations.is_empty()) else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let query = EventQuery {
            limit,
            beyond: position.map(|(beyond, _)| beyond),
            at_most: position.map(|(_, mark)| mark.sequence),
            ..request.query
        };
        let engine = self.clone();
        let looks = tokio::task::spawn_blocking(move || engine.page(&query, &bound, weigh));
        let looked = looks.await.unwrap_or_else(|_| Err(internal("a list of events was lost")));
        let (page, next_token) = match looked {
            Ok(found) => found,
            Err(refusal) => return Err(self.refuse(event, refusal).await),
        };
        self.record_soon(event)?;
        let fingerprints = self.show_listed(caller, &page.events)?;
        Ok(EventsAnswer { events: page.events, next_token, fingerprints })
    }

    /// A page of events, and the token of the next one; empty: this was the last.
    fn page(
        &self,
        query: &EventQuery,
        bound: &Bound,
        weigh: Weigh<Event>,
    ) -> Result<(EventPage, String), Refusal> {
        let mut page = self.store.events(query).map_err(|error| store_refusal(&error))?;
        let mut room = Room::default();
        let fitting = page.events.iter().take_while(|event| room.takes(weigh(event))).count();
        if fitting < page.events.len() {
            page.events.truncate(fitting);
            page.next = page.events.last().map(|event| event.sequence);
        }
        let Some(next) = page.next else { return Ok((page, String::new())) };
        let mark = self.mark(query.at_most.unwrap_or(page.newest))?;
        let token = bound.token(&[next.to_be_bytes().as_slice(), &mark.bytes()].concat());
        Ok((page, token))
    }

    /// Whether fingerprints are in a page of events; that they are is recorded.
    pub(super) fn show_listed(&self, caller: &Caller, events: &[Event]) -> Result<bool, Refusal> {
        let mut accesses = events.iter().flat_map(|event| event.draft.parameters.iter());
        if !accesses.any(|access| access.fingerprint.is_some()) {
            return Ok(false);
        }
        let in_force = self.in_force();
        let asked = in_force.decide(caller, Action::Fingerprints, Resource::Daemon, None, None);
        let Ok(permit) = asked else { return Ok(false) };
        let mut event = self.event(caller, audit::Action::Fingerprints);
        event.policy_ids = permit.policy_ids().to_vec();
        self.record_soon(event)?;
        Ok(true)
    }

    /// Whoever may audit the daemon sees all; whoever may audit a pipeline has to
    /// ask for its events.
    pub(super) fn may_audit(
        &self,
        caller: &Caller,
        query: &EventQuery,
        event: &mut EventDraft,
    ) -> Result<(), Refusal> {
        let in_force = self.in_force();
        let daemon = in_force.decide(caller, Action::Audit, Resource::Daemon, None, None);
        let asked = query.pipeline.as_deref().and_then(|name| PipelineName::parse(name).ok());
        let known = asked.as_ref().filter(|name| in_force.plans.pipelines.contains_key(*name));
        event.pipeline = known.cloned();
        if query.pipeline.is_some() && known.is_none() {
            event.unknown_names += 1;
        }
        self.name_asked(&in_force, query.environment.as_deref(), query.run_id.as_deref(), event);
        let decided = daemon.or_else(|denied| match &asked {
            Some(name) => {
                in_force.decide(caller, Action::Audit, Resource::Pipeline(name), None, None)
            }
            None => Err(denied),
        });
        on_record(decided, event)
    }

    /// Reads the log back and looks for its first defect.
    ///
    /// # Errors
    /// As the contract says of `VerifyLog`.
    pub async fn verify_log(
        &self,
        caller: &Caller,
        chain: String,
        page_token: String,
        budget: Duration,
    ) -> Result<VerifyAnswer, Refusal> {
        let mut event = self.event(caller, audit::Action::Audit);
        let in_force = self.in_force();
        let decided = in_force.decide(caller, Action::Audit, Resource::Daemon, None, None);
        if let Err(refusal) = on_record(decided, &mut event) {
            return Err(self.refuse(event, refusal).await);
        }
        // Not bound to the log: what was put in its place is a defect to be told.
        let bound = Bound::to(["VerifyLog", &caller.principal.name, &chain]);
        let after = bound.position(&page_token).and_then(|position| {
            position.map(|bytes| checked_to(&bytes).ok_or_else(wrong_token)).transpose()
        });
        let after = match after {
            Ok(after) => after,
            Err(violation) => {
                return Err(self.refuse(event, Refusal::Invalid(vec![violation])).await);
            }
        };
        self.record_soon(event)?;
        let request = VerifyRequest {
            chain: Some(chain).filter(|chain| !chain.is_empty()),
            after,
            deadline: Instant::now() + budget.min(VERIFY_LIMIT),
        };
        let store = self.store.clone();
        let verified = tokio::task::spawn_blocking(move || store.verify(&request))
            .await
            .map_err(|_| internal("a check of the log ended before its time"))?
            .map_err(|error| store_refusal(&error))?;
        let next = verified.next.map(|(sequence, hash)| {
            bound.token(&[sequence.to_be_bytes().as_slice(), &hash].concat())
        });
        Ok(VerifyAnswer { chains: verified.chains, next_token: next.unwrap_or_default() })
    }
}

/// What is wrong with the names of a filter. A parameter may be an entry of a
/// step too, and a principal has any name.
pub(super) fn malformed_names(query: &EventQuery) -> Vec<Violation> {
    fn check<T>(
        field: &str,
        name: Option<&String>,
        parse: impl Fn(&str) -> Result<T, NameError>,
    ) -> Option<Violation> {
        let error = parse(name?).err()?;
        Some(invalid(field, error.to_string()))
    }
    let too_long = |field, name: Option<&String>| {
        let long = name.is_some_and(|name| name.chars().count() > MAX_NAME);
        long.then(|| invalid(field, format!("at most {MAX_NAME} characters")))
    };
    [
        check("filter.pipeline", query.pipeline.as_ref(), PipelineName::parse),
        check("filter.run_id", query.run_id.as_ref(), RunId::parse),
        check("filter.environment", query.environment.as_ref(), EnvironmentName::parse),
        check("filter.step", query.step.as_ref(), StepName::parse),
        too_long("filter.parameter", query.parameter.as_ref()),
        too_long("filter.principal", query.principal.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(super) fn invalid(field: &str, description: String) -> Violation {
    Violation { field: field.to_owned(), reason: ViolationReason::InvalidField, description }
}

/// Binds a token to the rpc, the caller and the filter.
pub(super) fn bound(rpc: &str, caller: &Caller, query: &EventQuery) -> Bound {
    let texts = [
        &query.pipeline,
        &query.run_id,
        &query.environment,
        &query.step,
        &query.parameter,
        &query.principal,
    ];
    let actions: Vec<String> =
        query.actions.iter().map(|action| (*action as i32).to_string()).collect();
    let outcomes: Vec<String> =
        query.outcomes.iter().map(|outcome| (*outcome as i32).to_string()).collect();
    let times = [query.from, query.until].map(|time| time.map(|time| time.to_string()));
    let (actions, outcomes) = (actions.join(","), outcomes.join(","));
    let newest = query.newest_first.to_string();
    let fields = texts.into_iter().chain(&times).map(|text| text.as_deref().unwrap_or_default());
    let rest = [actions.as_str(), outcomes.as_str(), newest.as_str()];
    Bound::to([rpc, &caller.principal.name].into_iter().chain(fields).chain(rest))
}

/// Where a page goes on, and where the log stood when paging began.
fn positions(bytes: &[u8]) -> Option<(u64, Mark)> {
    let (beyond, mark) = bytes.split_first_chunk()?;
    let (mark, []) = Mark::read(mark)? else { return None };
    Some((u64::from_be_bytes(*beyond), mark))
}

fn checked_to(bytes: &[u8]) -> Option<(u64, [u8; 32])> {
    let (sequence, hash) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*sequence), hash.try_into().ok()?))
}
