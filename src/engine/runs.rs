//! `ListRuns`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::events::invalid;
use super::mark::Mark;
use super::pages::{Bound, Room, page_size, wrong_token};
use super::record::{internal, store_refusal};
use super::{Caller, Engine, InForce, Refusal, RunsAnswer, RunsRequest, Violation, Weigh};
use crate::access::{Action, Resource};
use crate::audit::{self, EventDraft};
use crate::name::{EnvironmentName, PipelineName, RunId};
use crate::store::{RunQuery, Store, StoredRun};

/// The store's pages that one answer looks through.
const PAGES: usize = 4;
/// Runs of each after the first: those before were not for the caller.
const FURTHER: usize = 500;
/// How long an answer looks for runs, about.
const LOOKS: Duration = Duration::from_millis(100);

/// Runs that the caller may see, where to go on, and the policies that decided.
type Visible = (Vec<StoredRun>, Option<i64>, BTreeSet<String>);

impl Engine {
    /// The runs that fit a filter and that the caller may see.
    ///
    /// # Errors
    /// The common ones.
    pub async fn list_runs(
        &self,
        caller: &Caller,
        request: RunsRequest,
        weigh: Weigh<StoredRun>,
    ) -> Result<RunsAnswer, Refusal> {
        let mut event = self.event(caller, audit::Action::Read);
        let mut query = request.query;
        let mut violations = malformed_names(&query);
        violations.extend(request.problems);
        let size = page_size(request.page.size, 50, 500);
        let bound = bound(caller, &query);
        let position = bound.position(&request.page.token).and_then(|position| {
            let place = |bytes: Vec<u8>| place(&self.sealer.unveil(&bytes)?);
            position.map(|bytes| place(bytes).ok_or_else(wrong_token)).transpose()
        });
        violations.extend(size.clone().err());
        violations.extend(position.clone().err());
        if let Ok(Some((_, mark))) = position {
            match self.check_mark("page_token", mark) {
                Ok(violation) => violations.extend(violation),
                Err(refusal) => return Err(self.refuse(event, refusal).await),
            }
        }
        let (Ok(size), Ok(position), true) = (size, position, violations.is_empty()) else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let in_force = self.in_force();
        self.name_filter(&in_force, &query, &mut event);
        query.before = position.map(|(before, _)| before);
        let (store, asks) = (self.store.clone(), caller.clone());
        let looks = tokio::task::spawn_blocking(move || {
            visible(&*store, &in_force, &asks, query, size, weigh)
        });
        let looked = looks.await.unwrap_or_else(|_| Err(internal("a list of runs was lost")));
        let found = looked.and_then(|(runs, next, ids)| {
            let next_token = next.map(|next| self.place(&bound, next)).transpose()?;
            Ok((RunsAnswer { runs, next_token: next_token.unwrap_or_default() }, ids))
        });
        let (answer, policy_ids) = match found {
            Ok(found) => found,
            Err(refusal) => return Err(self.refuse(event, refusal).await),
        };
        event.policy_ids = policy_ids.into_iter().collect();
        self.record_soon(event)?;
        Ok(answer)
    }

    /// Only names that the daemon knows go into an event.
    fn name_filter(&self, in_force: &InForce, query: &RunQuery, event: &mut EventDraft) {
        let pipeline = query.pipeline.as_deref().and_then(|name| PipelineName::parse(name).ok());
        if let Some(pipeline) = pipeline {
            in_force.name_pipeline(&pipeline, event);
        }
        self.name_asked(in_force, query.environment.as_deref(), query.run_id.as_deref(), event);
    }

    /// The token of the page that goes on before a run. How many runs there are, of
    /// all pipelines, is not for its bearer.
    fn place(&self, bound: &Bound, before: i64) -> Result<String, Refusal> {
        // Runs are frozen together with their events: who has the log has them.
        let newest = *self.store.newest().borrow();
        let mark = self.mark(newest)?;
        let place = [before.to_be_bytes().as_slice(), &mark.bytes()].concat();
        let veiled = self.sealer.veil(&place);
        veiled.map(|veiled| bound.token(&veiled)).map_err(|_| internal("a token wasn't made"))
    }
}

/// Up to `size` runs that the caller may see. The work is bounded, however few
/// those are: there may be less, and more to look through.
fn visible(
    store: &dyn Store,
    in_force: &InForce,
    caller: &Caller,
    mut query: RunQuery,
    size: usize,
    weigh: Weigh<StoredRun>,
) -> Result<Visible, Refusal> {
    let (mut visible, mut policy_ids) = (Vec::new(), BTreeSet::new());
    let (mut room, mut last) = (Room::default(), None);
    let begun = Instant::now();
    query.limit = size;
    for _ in 0..PAGES {
        let page = store.runs(&query).map_err(|error| store_refusal(&error))?;
        let count = page.runs.len();
        for (index, (place, run)) in page.runs.into_iter().enumerate() {
            let ids = match may_read(in_force, caller, &run) {
                Ok(ids) => ids,
                Err(ids) => {
                    policy_ids.extend(ids);
                    continue;
                }
            };
            if !room.takes(weigh(&run)) {
                return Ok((visible, last, policy_ids));
            }
            last = Some(place);
            policy_ids.extend(ids);
            visible.push(run);
            if visible.len() == size {
                let more = index + 1 < count || page.next.is_some();
                return Ok((visible, more.then_some(place), policy_ids));
            }
        }
        (query.before, query.limit) = (page.next, size.max(FURTHER));
        if page.next.is_none() || begun.elapsed() > LOOKS {
            break;
        }
    }
    Ok((visible, query.before, policy_ids))
}

/// The policies that let the caller see a run, or keep it from him.
fn may_read(
    in_force: &InForce,
    caller: &Caller,
    run: &StoredRun,
) -> Result<Vec<String>, Vec<String>> {
    let frozen = &run.frozen;
    let (pipeline, run_id) = (&frozen.key.pipeline, frozen.key.run_id.as_str());
    let resource = Resource::Run { pipeline, run_id };
    let (environment, preset) = (Some(&frozen.environment), frozen.preset.as_ref());
    match in_force.decide(caller, Action::Read, resource, environment, preset) {
        Ok(permit) => Ok(permit.policy_ids().to_vec()),
        Err(denied) => Err(denied.policy_ids),
    }
}

fn malformed_names(query: &RunQuery) -> Vec<Violation> {
    let wrong = |field, error: Option<crate::name::NameError>| {
        error.map(|error| invalid(field, error.to_string()))
    };
    let pipeline = query.pipeline.as_deref().and_then(|name| PipelineName::parse(name).err());
    let run_id = query.run_id.as_deref().and_then(|name| RunId::parse(name).err());
    let environment =
        query.environment.as_deref().and_then(|name| EnvironmentName::parse(name).err());
    let named = [("pipeline", pipeline), ("run_id", run_id), ("environment", environment)];
    named.into_iter().filter_map(|(field, error)| wrong(field, error)).collect()
}

fn bound(caller: &Caller, query: &RunQuery) -> Bound {
    let mut parts = vec!["ListRuns".to_owned(), caller.principal.name.clone()];
    for name in [&query.pipeline, &query.run_id, &query.environment] {
        parts.push(name.clone().unwrap_or_default());
    }
    let states: Vec<String> =
        query.states.iter().map(|state| (*state as i32).to_string()).collect();
    parts.push(states.join(","));
    for time in [query.from, query.until] {
        parts.push(time.map(|time| time.to_string()).unwrap_or_default());
    }
    parts.extend(query.labels.iter().flat_map(|(key, value)| [key.clone(), value.clone()]));
    Bound::to(parts.iter().map(String::as_str))
}

/// Before which run a page goes on, and where the log stood at the page before.
fn place(bytes: &[u8]) -> Option<(i64, Mark)> {
    let (before, mark) = bytes.split_first_chunk()?;
    let (mark, []) = Mark::read(mark)? else { return None };
    Some((i64::from_be_bytes(*before), mark)).filter(|(before, _)| *before > 0)
}
