//! `ResolveRun`: frozen by the first call, replayed for all others.

mod first;

use std::sync::Arc;
use std::time::Duration;

use super::access::{NamedRun, name_run, named_preset, named_run, on_record, well_formed};
use super::flight::{Landed, Part, Ticket};
use super::open::LoadedRun;
use super::record::{internal, name_accesses};
use super::{Caller, Engine, InForce, Refusal, ResolveRequest, Resolved, RunView, Violation};
use crate::access::{Action, Resource};
use crate::audit::{self, EventDraft};
use crate::name::{EnvironmentName, RunKey};
use crate::plan::Plan;
use crate::resolve::request::FrozenRequest;
use crate::resolve::submission::{Overrides, read_overrides};
use crate::snapshot::FrozenContent;
use first::FirstCall;

/// A request whose names are well formed and permitted.
struct Asked {
    named: NamedRun,
    key: RunKey,
    environment: EnvironmentName,
    preset: String,
    lifetime: Option<Duration>,
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
        let mut event = self.event(caller, audit::Action::Resolve);
        let overrides = std::mem::take(&mut request.overrides);
        let asked = match self.admit(caller, request, &mut event) {
            Ok(asked) => asked,
            Err(refusal) => return Err(self.refuse(event, refusal).await),
        };
        loop {
            match self.find_key(&asked.key) {
                Ok(Some(run)) => return self.replay(caller, &asked, overrides, run, event).await,
                Ok(None) => {}
                Err(refusal) => return Err(self.refuse(event, refusal).await),
            }
            let mut turn = event.clone();
            let first = match self.first_call(&asked, overrides.clone(), &mut turn) {
                Ok(first) => first,
                Err(refusal) => return Err(self.refuse(turn, refusal).await),
            };
            match self.take_turn(caller, &asked, first, turn).await? {
                Turn::Made(run) => {
                    let view = self.viewed(caller, &run)?;
                    return Ok(Resolved { view, created: true, revision_changed: false });
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
        match self.flights.board(&asked.key, &caller.principal, &first.request) {
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
                    && flight.request.differs(&first.request).is_empty();
                match flight.landed().await {
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
        let (engine, key, caller) = (self.clone(), asked.key.clone(), caller.clone());
        let lost = event.clone();
        let work = tokio::spawn(async move {
            let landed: Landed = engine.freeze(&caller, &key, first, event).await;
            ticket.land(landed.clone());
            landed
        });
        match work.await {
            Ok(Ok(Some(run))) => Ok(Turn::Made(run)),
            Ok(Ok(None)) => Ok(Turn::Again),
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(self.refuse(lost, internal("a resolution ended before its time")).await),
        }
    }

    /// Names first, then permission, then the rest.
    fn admit(
        &self,
        caller: &Caller,
        request: ResolveRequest,
        event: &mut EventDraft,
    ) -> Result<Asked, Refusal> {
        let mut malformed = Vec::new();
        let named = named_run(&request.run, &mut malformed);
        let environment = well_formed(
            "environment",
            &request.environment,
            EnvironmentName::parse,
            &mut malformed,
        );
        let preset = named_preset(&request.preset, &mut malformed);
        let (Some(named), Some(environment), true) = (named, environment, malformed.is_empty())
        else {
            malformed.extend(request.problems);
            return Err(Refusal::Invalid(malformed));
        };
        let in_force = self.in_force();
        if in_force.name_pipeline(&named.pipeline, event).is_some() {
            in_force.name_environment(&environment, event);
        }
        let resource = Resource::Run { pipeline: &named.pipeline, run_id: named.run_id.as_str() };
        let decided =
            in_force.decide(caller, Action::Resolve, resource, Some(&environment), preset.as_ref());
        on_record(decided, event)?;
        let key =
            RunKey { pipeline: named.pipeline.clone(), run_id: named.run_id.clone(), attempt: 1 };
        let (lifetime, problems) = (request.lifetime, request.problems);
        Ok(Asked { named, key, environment, preset: request.preset, lifetime, problems })
    }

    /// A run as it is answered; that fingerprints are in it is recorded.
    pub(super) fn viewed(&self, caller: &Caller, run: &LoadedRun) -> Result<RunView, Refusal> {
        let frozen = &run.run.frozen;
        let resource =
            Resource::Run { pipeline: &frozen.key.pipeline, run_id: frozen.key.run_id.as_str() };
        let mut parameters = run.snapshot.parameters.values();
        let has_secrets = parameters.any(|one| matches!(one.content, FrozenContent::Secret(_)));
        let permitted =
            has_secrets.then(|| self.may_show_fingerprints(caller, resource, run)).flatten();
        let fingerprints = permitted.is_some();
        if let Some(policy_ids) = permitted {
            self.fingerprints_shown(caller, policy_ids, run, None)?;
        }
        Ok(RunView { run: run.run.clone(), snapshot: run.snapshot.clone(), fingerprints })
    }

    /// Answers with what was frozen, for the owner and the same request.
    async fn replay(
        &self,
        caller: &Caller,
        asked: &Asked,
        overrides: Overrides,
        run: Arc<LoadedRun>,
        mut event: EventDraft,
    ) -> Result<Resolved, Refusal> {
        name_run(&mut event, &run, None);
        if run.run.frozen.owner != caller.principal {
            event.action = audit::Action::Join;
            // No policy can allow it yet, so none has decided.
            event.policy_ids.clear();
            return Err(self.refuse(event, Refusal::AccessDenied { fields: Vec::new() }).await);
        }
        let mut violations = asked.problems.clone();
        let read = read_overrides(&run.interface, overrides, &mut violations);
        event.unknown_names += read.unknown_names;
        if !violations.is_empty() {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        }
        let request = FrozenRequest::new(
            asked.environment.clone(),
            &asked.preset,
            &read.values,
            &run.interface,
            &self.fingerprints,
        );
        if !run.request.is_comparable(&request) {
            let refusal = Refusal::SnapshotUnreadable { run: asked.key.clone() };
            return Err(self.refuse(event, refusal).await);
        }
        let differs = run.request.differs(&request);
        if !differs.is_empty() {
            let refusal = Refusal::RunConflict { run: asked.key.clone(), differs };
            return Err(self.refuse(event, refusal).await);
        }
        name_accesses(
            &mut event,
            &run.snapshot,
            run.snapshot.parameters.keys(),
            &self.fingerprints,
        );
        self.record(event).await?;
        let frozen = &run.run.frozen;
        let in_force = self.in_force();
        let today = in_force.plans.plan(asked.named.pipeline.as_str(), asked.environment.as_str());
        let revision_changed = today.is_none_or(|plan| plan.revision != frozen.revision);
        Ok(Resolved { view: self.viewed(caller, &run)?, created: false, revision_changed })
    }
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
