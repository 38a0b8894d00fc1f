//! `ResolveRun`: frozen by the first call, replayed for all others.

pub(super) mod first;
mod next;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::access::{NamedRun, named_preset, named_run, well_formed};
use super::flight::{Landed, Part, Ticket};
use super::open::LoadedRun;
use super::ready::Facts;
use super::record::{accesses, internal, name_key};
use super::{
    Caller, Engine, InForce, Refusal, ResolveRequest, Resolved, RunView, Violation, ViolationReason,
};
use crate::access::Resource;
use crate::audit::{self, EventDraft};
use crate::name::{EnvironmentName, PresetName, RunKey};
use crate::plan::Plan;
use crate::resolve::request::Compared;
use crate::resolve::submission::Overrides;
use crate::snapshot::FrozenContent;
use crate::store::AttemptMode;
use crate::telemetry::trail;
use first::FirstCall;
use standing::Standing;

/// A request whose names are well formed.
struct Asked {
    named: NamedRun,
    key: RunKey,
    environment: EnvironmentName,
    preset: String,
    named_preset: Option<PresetName>,
    logical_date: Option<Timestamp>,
    mode: Option<AttemptMode>,
    labels: BTreeMap<String, String>,
    lifetime: Option<Duration>,
    expected_revision: String,
    problems: Vec<Violation>,
}

/// How a call gets its answer.
enum Turn {
    /// It made the run.
    Made(Arc<LoadedRun>),
    /// What it waited for is there, or was not made: to be looked at again.
    Again,
}

impl Engine {
    /// Resolves a run and freezes it, or answers with what was frozen.
    ///
    /// # Errors
    /// As the contract says of `ResolveRun`.
    pub async fn resolve(
        self: &Arc<Self>,
        caller: &Caller,
        mut request: ResolveRequest,
    ) -> Result<Resolved, Refusal> {
        let event = self.event(caller, audit::Action::Resolve);
        let overrides = std::mem::take(&mut request.overrides);
        let asked = match asked(request) {
            Ok(asked) => asked,
            Err(refusal) => return Err(self.refuse(event, refusal).await),
        };
        loop {
            let mut turn = event.clone();
            let first = match self.standing(caller, &asked, &overrides, &mut turn).await {
                Ok(Standing::Frozen(run)) => {
                    return self.replay(caller, &asked, overrides, run, turn).await;
                }
                Ok(Standing::First(in_force)) => {
                    self.first_call(in_force, &asked, overrides.clone(), &mut turn)
                }
                Ok(Standing::After(before, in_force)) => {
                    let overrides = overrides.clone();
                    self.next_attempt(in_force, caller, &asked, overrides, before, &mut turn)
                }
                Err(refusal) => Err(refusal),
            };
            let first = match first {
                Ok(first) => first,
                Err(refusal) => return Err(self.refuse(turn, refusal).await),
            };
            match self.take_turn(caller, &asked, first, turn).await? {
                Turn::Made(run) => {
                    let view = self.viewed(caller, &run)?;
                    let revision_changed = self.has_changed(&run);
                    return Ok(Resolved { view, created: true, revision_changed, loaded: run });
                }
                Turn::Again => {}
            }
        }
    }

    /// Resolves, or waits for the call that does.
    async fn take_turn(
        self: &Arc<Self>,
        caller: &Caller,
        asked: &Asked,
        first: FirstCall,
        event: EventDraft,
    ) -> Result<Turn, Refusal> {
        match self.flights.board(&asked.key, &caller.principal, &first.request, asked.mode) {
            Part::Leads(ticket) => match self.find_key(&asked.key) {
                // Another call has landed since this one looked.
                Ok(Some(_)) => {
                    ticket.land(Ok(None));
                    Ok(Turn::Again)
                }
                Ok(None) => self.lead(caller, asked, first, event, ticket).await,
                Err(refusal) => {
                    ticket.land(Err(refusal.clone()));
                    Err(self.refuse(event, refusal).await)
                }
            },
            Part::Waits(flight) => {
                let alike = flight.owner == caller.principal
                    && flight.mode == asked.mode
                    && flight.request.differs(&first.request, Compared::Whole).is_empty();
                match flight.landed().await {
                    // That there are too many has its one record.
                    Some(Err(shared @ Refusal::RateLimited { .. })) if alike => Err(shared),
                    // Waiters with the same request share a failure.
                    Some(Err(shared)) if alike => Err(self.refuse(event, shared).await),
                    Some(_) => Ok(Turn::Again),
                    None => Err(self.refuse(event, internal("a resolution was lost")).await),
                }
            }
        }
    }

    /// Resolves apart from the caller who began it: his end must not end what
    /// others wait for.
    async fn lead(
        self: &Arc<Self>,
        caller: &Caller,
        asked: &Asked,
        first: FirstCall,
        event: EventDraft,
        ticket: Box<Ticket>,
    ) -> Result<Turn, Refusal> {
        let admitted = match self.admit_run(caller, &event).await {
            Ok(admitted) => admitted,
            Err(refusal) => {
                ticket.land(Err(refusal.clone()));
                return Err(refusal);
            }
        };
        let (engine, key, caller) = (self.clone(), asked.key.clone(), caller.clone());
        let lost = event.clone();
        let work = tokio::spawn(trail::carried(async move {
            let landed: Landed = engine.freeze(&caller, &key, first, event).await;
            // Sources may have been asked until now, though nobody waits any more.
            drop(admitted);
            ticket.land(landed.clone());
            landed
        }));
        match work.await {
            Ok(Ok(Some(run))) => Ok(Turn::Made(run)),
            Ok(Ok(None)) => Ok(Turn::Again),
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(self.refuse(lost, internal("a resolution ended before its time")).await),
        }
    }

    /// A run as it is answered; that fingerprints are in it is recorded.
    pub(super) fn viewed(&self, caller: &Caller, run: &LoadedRun) -> Result<RunView, Refusal> {
        self.view_with(caller, run, self.may_show_run(caller, run))
    }

    /// The policies that let fingerprints be in a run's record; none where they may
    /// not be, or where it has no secrets.
    pub(super) fn may_show_run(&self, caller: &Caller, run: &LoadedRun) -> Option<Vec<String>> {
        let frozen = &run.run.frozen;
        let resource =
            Resource::Run { pipeline: &frozen.key.pipeline, run_id: frozen.key.run_id.as_str() };
        whole(run).has_secrets.then(|| self.may_show_fingerprints(caller, resource, run)).flatten()
    }

    /// A run as it is answered, with fingerprints where policies let them be there.
    pub(super) fn view_with(
        &self,
        caller: &Caller,
        run: &LoadedRun,
        permitted: Option<Vec<String>>,
    ) -> Result<RunView, Refusal> {
        let fingerprints = permitted.is_some();
        if let Some(policy_ids) = permitted {
            self.fingerprints_shown(caller, policy_ids, run, None)?;
        }
        Ok(RunView { run: run.run.clone(), snapshot: run.snapshot.clone(), fingerprints })
    }

    /// Answers with what was frozen, for the same request.
    async fn replay(
        &self,
        caller: &Caller,
        asked: &Asked,
        overrides: Overrides,
        run: Arc<LoadedRun>,
        mut event: EventDraft,
    ) -> Result<Resolved, Refusal> {
        let compared = self
            .compare(caller, asked, overrides, &run, &mut event)
            .and_then(|_| expect_revision(asked, &run.run.frozen.revision));
        if let Err(refusal) = compared {
            return Err(self.refuse(event, refusal).await);
        }
        event.parameters = whole(&run).accesses.clone();
        name_key(&mut event, &run.request.fingerprint_key);
        self.record(event).await?;
        let revision_changed = self.has_changed(&run);
        let view = self.viewed(caller, &run)?;
        Ok(Resolved { view, created: false, revision_changed, loaded: run })
    }

    /// Whether the revision in force isn't the one that was frozen.
    fn has_changed(&self, run: &LoadedRun) -> bool {
        let frozen = &run.run.frozen;
        let in_force = self.in_force();
        let (pipeline, environment) = (frozen.key.pipeline.as_str(), frozen.environment.as_str());
        let today = in_force.plans.plan(pipeline, environment);
        today.is_none_or(|plan| plan.revision != frozen.revision)
    }
}

/// Takes the names of a request, which come before everything else, and what it
/// alone tells of the rest.
fn asked(request: ResolveRequest) -> Result<Asked, Refusal> {
    let mut malformed = Vec::new();
    let named = named_run(&request.run, &mut malformed);
    let environment =
        well_formed("environment", &request.environment, EnvironmentName::parse, &mut malformed);
    let named_preset = named_preset(&request.preset, &mut malformed);
    let (Some(named), Some(environment), true) = (named, environment, malformed.is_empty()) else {
        malformed.extend(request.problems);
        return Err(Refusal::Invalid(malformed));
    };
    let key = RunKey {
        pipeline: named.pipeline.clone(),
        run_id: named.run_id.clone(),
        attempt: named.attempt.max(1),
    };
    let mut problems = request.problems;
    problems.extend(wrong_mode(key.attempt, request.mode, &problems));
    Ok(Asked {
        named,
        key,
        environment,
        preset: request.preset,
        named_preset,
        logical_date: request.logical_date,
        mode: request.mode,
        labels: request.labels,
        lifetime: request.lifetime,
        expected_revision: request.expected_revision,
        problems,
    })
}

/// A mode is for attempts after the first, and each of them needs one.
fn wrong_mode(
    attempt: u32,
    mode: Option<AttemptMode>,
    problems: &[Violation],
) -> Option<Violation> {
    let (reason, description) = match (attempt, mode) {
        (1, Some(_)) => (ViolationReason::InvalidField, "the first attempt takes over nothing"),
        (2.., None) if problems.iter().all(|other| other.field != "mode") => {
            (ViolationReason::MissingField, "required after the first attempt: exact or refresh")
        }
        _ => return None,
    };
    Some(Violation { field: "mode".to_owned(), reason, description: description.to_owned() })
}

/// Whether a revision is the one that the caller expects.
fn expect_revision(asked: &Asked, revision: &str) -> Result<(), Refusal> {
    if asked.expected_revision.is_empty() || asked.expected_revision == revision {
        return Ok(());
    }
    Err(Refusal::RevisionMismatch { revision: revision.to_owned() })
}

/// What is to be known of a whole run.
fn whole(run: &LoadedRun) -> Arc<Facts> {
    run.ready.facts(None, || {
        let parameters = &run.snapshot.parameters;
        let mut contents = parameters.values().map(|one| &one.content);
        Facts {
            has_secrets: contents.any(|one| matches!(one, FrozenContent::Secret(_))),
            accesses: accesses(&run.snapshot, parameters.keys()),
        }
    })
}

/// The plan of a pipeline in an environment.
pub(super) fn planned(
    in_force: &InForce,
    pipeline: &str,
    environment: &str,
) -> Result<Arc<Plan>, Refusal> {
    let Some(known) = in_force.plans.pipelines.get(pipeline) else {
        return Err(Refusal::PipelineNotFound { pipeline: pipeline.to_owned() });
    };
    known.plans.get(environment).cloned().ok_or_else(|| Refusal::EnvironmentNotFound {
        pipeline: pipeline.to_owned(),
        environment: environment.to_owned(),
    })
}
