//! `ResolveRun`: frozen by the first call, replayed for all others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::access::{NamedRun, name_run, named_run, well_formed};
use super::flight::{Landed, Part, Ticket};
use super::open::LoadedRun;
use super::record::{access_of, accesses_of, internal, store_refusal};
use super::{
    Caller, Engine, InForce, Refusal, ResolveRequest, Resolved, RunView, Violation, ViolationReason,
};
use crate::access::{Action, Resource};
use crate::audit::{self, EventDraft, Outcome};
use crate::expression::RunScope;
use crate::name::{EnvironmentName, PresetName, RunKey};
use crate::plan::Plan;
use crate::resolve::failure::{Failure, refusal};
use crate::resolve::offline::{Offline, check_rules};
use crate::resolve::record::Record;
use crate::resolve::request::FrozenRequest;
use crate::resolve::submission::{Overrides, Submission, read_overrides, submit};
use crate::resolve::{self, Resolution};
use crate::secret::SecretBytes;
use crate::snapshot::Snapshot;
use crate::store::{Created, NewRun, StoreError};

/// A request whose names are well formed and permitted.
struct Asked {
    named: NamedRun,
    key: RunKey,
    environment: EnvironmentName,
    preset: String,
    lifetime: Option<Duration>,
    problems: Vec<Violation>,
}

/// All that the first call of a run needs to resolve it.
struct FirstCall {
    plan: Arc<Plan>,
    in_force: Arc<InForce>,
    submission: Submission,
    request: Arc<FrozenRequest>,
    started: Timestamp,
    lifetime: Duration,
}

impl Engine {
    /// Resolves a run and freezes it, or answers with what was frozen.
    ///
    /// # Errors
    /// As the contract says of `ResolveRun`.
    pub async fn resolve(
        self: &Arc<Self>,
        caller: &Caller,
        request: ResolveRequest,
    ) -> Result<Resolved, Refusal> {
        let mut event = self.event(caller, audit::Action::Resolve);
        let overrides = request.overrides.clone();
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
            let first = match self.first_call(&asked, overrides.clone(), &mut event) {
                Ok(first) => first,
                Err(refusal) => return Err(self.refuse(event, refusal).await),
            };
            match self.flights.board(&asked.key, &caller.principal, &first.request) {
                Part::Leads(ticket) => {
                    let landed = self.lead(caller, &asked, first, event.clone(), ticket).await;
                    return self.created(caller, landed?);
                }
                Part::Waits(flight) => {
                    let alike = flight.owner == caller.principal
                        && flight.request.differs(&first.request).is_empty();
                    match flight.landed().await {
                        // Waiters with the same request share a failure.
                        Some(Err(shared)) if alike => return Err(self.refuse(event, shared).await),
                        Some(_) => {}
                        None => {
                            return Err(self
                                .refuse(event, internal("a resolution was lost"))
                                .await);
                        }
                    }
                }
            }
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
        let preset = Some(request.preset.as_str())
            .filter(|preset| !preset.is_empty())
            .map(|preset| well_formed("preset", preset, PresetName::parse, &mut malformed));
        let (Some(named), Some(environment), true) = (named, environment, malformed.is_empty())
        else {
            malformed.extend(request.problems);
            return Err(Refusal::Invalid(malformed));
        };
        let in_force = self.in_force();
        self.name_asked(event, &in_force, &named, &environment);
        let resource = Resource::Run { pipeline: &named.pipeline, run_id: named.run_id.as_str() };
        let preset = preset.flatten();
        match in_force.decide(
            caller,
            Action::Resolve,
            resource,
            Some(&environment),
            preset.as_ref(),
        ) {
            Ok(permit) => event.policy_ids = permit.policy_ids().to_vec(),
            Err(denied) => {
                event.policy_ids = denied.policy_ids;
                return Err(Refusal::AccessDenied { fields: Vec::new() });
            }
        }
        let key =
            RunKey { pipeline: named.pipeline.clone(), run_id: named.run_id.clone(), attempt: 1 };
        let (lifetime, problems) = (request.lifetime, request.problems);
        Ok(Asked { named, key, environment, preset: request.preset, lifetime, problems })
    }

    fn name_asked(
        &self,
        event: &mut EventDraft,
        in_force: &InForce,
        named: &NamedRun,
        environment: &EnvironmentName,
    ) {
        let Some(pipeline) = in_force.plans.pipelines.get(&named.pipeline) else {
            event.unknown_names += 1;
            return;
        };
        event.pipeline = Some(pipeline.name.clone());
        if in_force.plans.environments.contains(environment) {
            event.environment = Some(environment.clone());
        } else {
            event.unknown_names += 1;
        }
    }

    /// Checks everything about a first call that needs no source.
    fn first_call(
        &self,
        asked: &Asked,
        overrides: Overrides,
        event: &mut EventDraft,
    ) -> Result<FirstCall, Refusal> {
        let in_force = self.in_force();
        let plan = planned(&in_force, asked.named.pipeline.as_str(), asked.environment.as_str())?;
        let mut violations = asked.problems.clone();
        let lifetime = lifetime(asked, &plan, &in_force, &mut violations);
        let interface = &plan.common.interface;
        let read = read_overrides(interface, overrides, &mut violations);
        event.unknown_names += read.unknown_names;
        if reads_logical_date(&plan) {
            violations.push(Violation {
                field: "logical_date".into(),
                reason: ViolationReason::MissingField,
                description: "the pipeline reads `run.logical_date`".into(),
            });
        }
        let unsound = read.named.iter().filter(|name| !read.values.contains_key(*name));
        let mut unsound: BTreeSet<_> = unsound.cloned().collect();
        let submission = submit(&plan, &asked.preset, read, &mut violations);
        unsound.extend(
            plan.parameters
                .keys()
                .filter(|name| {
                    let field = format!("parameters.{name}");
                    violations.iter().any(|violation| violation.field == field)
                })
                .cloned(),
        );
        let started = self.store.now();
        let scope = run_scope(&asked.key, started);
        check_rules(&Offline::new(&plan, &submission, Some(&scope)), &unsound, &mut violations);
        if !violations.is_empty() {
            return Err(Refusal::Invalid(violations));
        }
        let request = FrozenRequest::new(
            asked.environment.clone(),
            &asked.preset,
            &submission.overrides,
            interface,
            &self.fingerprints,
        );
        Ok(FirstCall { plan, in_force, submission, request: Arc::new(request), started, lifetime })
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
    ) -> Landed {
        let (engine, key, caller) = (self.clone(), asked.key.clone(), caller.clone());
        let work = tokio::spawn(async move {
            // Another call may have frozen the run before this one took the lead.
            let landed = match engine.find_key(&key) {
                Ok(Some(run)) => Ok(run),
                Ok(None) => engine.freeze(&caller, &key, first, event).await,
                Err(refusal) => Err(refusal),
            };
            ticket.land(landed.clone());
            landed
        });
        work.await.unwrap_or_else(|_| Err(internal("a resolution ended before its time")))
    }

    async fn freeze(
        &self,
        caller: &Caller,
        key: &RunKey,
        first: FirstCall,
        event: EventDraft,
    ) -> Landed {
        let scope = run_scope(key, first.started);
        let deadline = Instant::now() + first.in_force.resolve_timeout;
        let resolution = Resolution {
            plan: &first.plan,
            submission: &first.submission,
            run: &scope,
            key,
            sources: &first.in_force.sources,
            fingerprints: &self.fingerprints,
            deadline,
        };
        match resolve::resolve(&resolution).await {
            Ok(outcome) => self.keep(caller, key, first, outcome, event).await,
            Err(failures) => Err(self.failed(key, failures, event).await),
        }
    }

    /// Records why a run could not be resolved.
    async fn failed(&self, key: &RunKey, failures: Vec<Failure>, mut event: EventDraft) -> Refusal {
        event.outcome = Outcome::Failed;
        event.parameters = accesses_of(&failures);
        let kept = super::life::failure_record(&failures);
        let refusal = refusal(failures);
        refusal.reason().clone_into(&mut event.reason);
        match self.store.record_failure(key.clone(), kept, vec![event]).await {
            Ok(_) => refusal,
            Err(error) => {
                tracing::error!(%error, "a failed resolution can't be recorded");
                Refusal::AuditUnavailable
            }
        }
    }

    /// Seals and stores what was resolved, with its event in one commit.
    async fn keep(
        &self,
        caller: &Caller,
        key: &RunKey,
        first: FirstCall,
        outcome: resolve::Outcome,
        mut event: EventDraft,
    ) -> Landed {
        let record = Record {
            snapshot: outcome.snapshot,
            request: first.request.as_ref().clone(),
            interface: first.plan.common.interface.clone(),
        };
        record_parameters(&mut event, &record.snapshot, &self.fingerprints);
        event.run = Some((key.run_id.clone(), key.attempt));
        event.bundle.clone_from(&first.plan.bundle);
        let sealed = self
            .seal(key, &outcome.secrets)
            .map_err(|_| internal("the secrets could not be sealed"))?;
        let expires = first.started.checked_add(first.lifetime).unwrap_or(Timestamp::MAX);
        let mut new = NewRun {
            key: key.clone(),
            environment: first.plan.environment.clone(),
            preset: first.submission.preset.clone(),
            owner: caller.principal.clone(),
            revision: first.plan.revision.clone(),
            bundle: first.plan.bundle.clone(),
            labels: std::collections::BTreeMap::new(),
            created: first.started,
            expires,
            record: Vec::new(),
            sealed,
        };
        new.record = record
            .to_bytes(&new, &self.sealer)
            .map_err(|_| internal("the record could not be written"))?;
        match self.store.create_run(new, vec![event]).await {
            Ok(Created::Created(_) | Created::Exists) => {}
            Err(StoreError::QueueFull) => return Err(Refusal::AuditUnavailable),
            Err(error) => return Err(store_refusal(&error)),
        }
        // Read back: what this call answers is what every later one will.
        self.find_key(key)?.ok_or_else(|| internal("a run that was stored isn't there"))
    }

    #[expect(clippy::disallowed_methods, reason = "the sealed store takes the secrets' bytes")]
    fn seal(
        &self,
        key: &RunKey,
        secrets: &[(String, SecretBytes)],
    ) -> Result<Vec<u8>, crate::store::sealing::Unsealable> {
        let items: Vec<(String, &[u8])> =
            secrets.iter().map(|(name, bytes)| (name.clone(), bytes.expose())).collect();
        self.sealer.seal(key, &items)
    }

    fn created(&self, caller: &Caller, run: Arc<LoadedRun>) -> Result<Resolved, Refusal> {
        let view = self.viewed(caller, &run)?;
        Ok(Resolved { view, created: true, revision_changed: false })
    }

    /// A run as it is answered; that fingerprints are in it is recorded.
    pub(super) fn viewed(&self, caller: &Caller, run: &LoadedRun) -> Result<RunView, Refusal> {
        let frozen = &run.run.frozen;
        let resource =
            Resource::Run { pipeline: &frozen.key.pipeline, run_id: frozen.key.run_id.as_str() };
        let fingerprints = self.may_see_fingerprints(caller, resource, Some(frozen));
        if fingerprints {
            let mut event = self.event(caller, audit::Action::Fingerprints);
            name_run(&mut event, run, None);
            self.record_soon(event)?;
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
        record_parameters(&mut event, &run.snapshot, &self.fingerprints);
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

fn run_scope(key: &RunKey, started: Timestamp) -> RunScope {
    RunScope {
        id: key.run_id.to_string(),
        attempt: key.attempt,
        started_at: started.to_string(),
        logical_date: None,
    }
}

const LEAST_LIFETIME: Duration = Duration::from_mins(1);

fn lifetime(
    asked: &Asked,
    plan: &Plan,
    in_force: &InForce,
    violations: &mut Vec<Violation>,
) -> Duration {
    let Some(lifetime) = asked.lifetime else { return plan.common.lifetime };
    if lifetime < LEAST_LIFETIME || lifetime > in_force.maximum_lifetime {
        violations.push(Violation {
            field: "lifetime".into(),
            reason: ViolationReason::InvalidField,
            description: format!("expected 60 to {} seconds", in_force.maximum_lifetime.as_secs()),
        });
    }
    lifetime
}

/// Whether anything that this plan could evaluate reads the run's own date,
/// which no caller can give yet.
fn reads_logical_date(plan: &Plan) -> bool {
    let common = &plan.common;
    let bindings = plan.parameters.values().filter_map(|one| one.bindings.last());
    let read = bindings.filter_map(|winner| winner.binding.references());
    let rules = common.rules.iter().map(|rule| rule.condition.references());
    let steps = common.steps.iter().flat_map(|step| {
        let when = step.when.iter().map(|(condition, _)| condition.references());
        let entries = step.env.iter().chain(step.files.iter().map(|(entry, _)| entry));
        let templates = step.run.iter().chain(entries.map(|entry| &entry.template));
        let matrix = step.matrix.iter().map(|(_, list)| list.references());
        when.chain(templates.map(crate::expression::Template::references)).chain(matrix)
    });
    read.chain(rules).chain(steps).any(|references| references.run_logical_date)
}

/// The parameters that a resolution used, in its event.
fn record_parameters(
    event: &mut EventDraft,
    snapshot: &Snapshot,
    fingerprints: &crate::store::fingerprint::Fingerprints,
) {
    event.parameters =
        snapshot.parameters.keys().filter_map(|name| access_of(snapshot, name)).collect();
    if event.parameters.iter().any(|access| access.fingerprint.is_some()) {
        fingerprints.id().clone_into(&mut event.fingerprint_key);
    }
}
