//! Permission: decided from the names in a request, before anything else is
//! looked at. Denied and absent look alike to a caller without rights.

use std::sync::Arc;

use bytes::Bytes;

use super::open::LoadedRun;
use super::record::store_refusal;
use super::{Caller, Engine, InForce, Refusal, RunSelector, Violation, ViolationReason};
use crate::access::{Action, Permit, Request, Resource};
use crate::audit::{self, EventDraft};
use crate::name::{EnvironmentName, NameError, PipelineName, PresetName, RunId, RunKey};
use crate::resolve::record::Record;
use crate::store::{NewRun, StoreError, StoredRun};

/// A run's name, well formed; attempt 0 is the newest.
#[derive(Debug, Clone)]
pub(super) struct NamedRun {
    pub(super) pipeline: PipelineName,
    pub(super) run_id: RunId,
    pub(super) attempt: u32,
}

/// A run that the caller may do this with.
pub(super) struct PermittedRun {
    pub(super) run: Arc<LoadedRun>,
    /// What is to be recorded of it.
    pub(super) event: EventDraft,
}

/// One question about a run: on itself or on a step of it.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) action: Action,
    pub(super) recorded: audit::Action,
    pub(super) step: Option<&'a str>,
}

/// Takes a name, or tells what is wrong with the field.
pub(super) fn well_formed<T>(
    field: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, NameError>,
    violations: &mut Vec<Violation>,
) -> Option<T> {
    if text.is_empty() {
        violations.push(Violation {
            field: field.to_owned(),
            reason: ViolationReason::MissingField,
            description: "required".into(),
        });
        return None;
    }
    match parse(text) {
        Ok(name) => Some(name),
        Err(error) => {
            violations.push(Violation {
                field: field.to_owned(),
                reason: ViolationReason::InvalidField,
                description: error.to_string(),
            });
            None
        }
    }
}

/// A run's name, or what is wrong with it.
pub(super) fn named_run(
    selector: &RunSelector,
    violations: &mut Vec<Violation>,
) -> Option<NamedRun> {
    let pipeline = well_formed("run.pipeline", &selector.pipeline, PipelineName::parse, violations);
    let run_id = well_formed("run.run_id", &selector.run_id, RunId::parse, violations);
    Some(NamedRun { pipeline: pipeline?, run_id: run_id?, attempt: selector.attempt })
}

impl InForce {
    /// Asks the policies.
    pub(super) fn decide(
        &self,
        caller: &Caller,
        action: Action,
        resource: Resource<'_>,
        environment: Option<&EnvironmentName>,
        preset: Option<&PresetName>,
    ) -> Result<Permit, crate::access::Denied> {
        let principal = &caller.principal;
        self.policies.decide(&Request { principal, action, resource, environment, preset })
    }

    /// Whether the caller would be permitted in every environment of the bundle.
    fn permits_everywhere(&self, caller: &Caller, action: Action, resource: Resource<'_>) -> bool {
        let environments = &self.plans.environments;
        !environments.is_empty()
            && environments.iter().all(|environment| {
                self.decide(caller, action, resource, Some(environment), None).is_ok()
            })
    }
}

impl Engine {
    /// Whether fingerprints, of this run where one is concerned, may be shown to the
    /// caller.
    pub(super) fn may_see_fingerprints(
        &self,
        caller: &Caller,
        resource: Resource<'_>,
        run: Option<&NewRun>,
    ) -> bool {
        let (environment, preset) = (run.map(|run| &run.environment), run.map(|run| &run.preset));
        let preset = preset.and_then(Option::as_ref);
        let in_force = self.in_force();
        in_force.decide(caller, Action::Fingerprints, resource, environment, preset).is_ok()
    }

    /// The run of a request, if the caller may do this with it.
    ///
    /// # Errors
    /// Denied, not there (for those who would be permitted everywhere), or not
    /// to be read.
    pub(super) async fn permitted_run(
        &self,
        caller: &Caller,
        named: &NamedRun,
        question: Question<'_>,
    ) -> Result<PermittedRun, Refusal> {
        let in_force = self.in_force();
        let mut event = self.event(caller, question.recorded);
        let resource = resource(named, question.step);
        let found = match self.find(named) {
            Ok(found) => found,
            // Who may not read the run may not learn that it can't be read.
            Err(refusal) => {
                let refusal = if in_force.permits_everywhere(caller, question.action, resource) {
                    refusal
                } else {
                    Refusal::AccessDenied { fields: Vec::new() }
                };
                self.name_known(&mut event, named);
                return Err(self.refuse(event, refusal).await);
            }
        };
        let Some(run) = found else {
            self.name_known(&mut event, named);
            let refusal = if in_force.permits_everywhere(caller, question.action, resource) {
                Refusal::RunNotFound {
                    pipeline: named.pipeline.to_string(),
                    run_id: named.run_id.to_string(),
                    attempt: named.attempt,
                }
            } else {
                Refusal::AccessDenied { fields: Vec::new() }
            };
            return Err(self.refuse(event, refusal).await);
        };
        name_run(&mut event, &run, question.step);
        let frozen = &run.run.frozen;
        let environment = Some(&frozen.environment);
        match in_force.decide(
            caller,
            question.action,
            resource,
            environment,
            frozen.preset.as_ref(),
        ) {
            Ok(permit) => {
                event.policy_ids = permit.policy_ids().to_vec();
                Ok(PermittedRun { run, event })
            }
            Err(denied) => {
                event.policy_ids = denied.policy_ids;
                Err(self.refuse(event, Refusal::AccessDenied { fields: Vec::new() }).await)
            }
        }
    }

    /// Only names that the daemon knows go into an event.
    pub(super) fn name_known(&self, event: &mut EventDraft, named: &NamedRun) {
        if self.in_force().plans.pipelines.contains_key(&named.pipeline) {
            event.pipeline = Some(named.pipeline.clone());
            event.unknown_names += 1;
        } else {
            event.unknown_names += 2;
        }
    }

    /// The run of this name, open or ended.
    ///
    /// # Errors
    /// The store can't be read, or the record was changed.
    pub(super) fn find(&self, named: &NamedRun) -> Result<Option<Arc<LoadedRun>>, Refusal> {
        let attempt = if named.attempt == 0 {
            let newest = self.store.newest_attempt(&named.pipeline, &named.run_id);
            match newest.map_err(|error| store_refusal(&error))? {
                Some(attempt) => attempt,
                None => return Ok(None),
            }
        } else {
            named.attempt
        };
        let key =
            RunKey { pipeline: named.pipeline.clone(), run_id: named.run_id.clone(), attempt };
        self.find_key(&key)
    }

    pub(super) fn find_key(&self, key: &RunKey) -> Result<Option<Arc<LoadedRun>>, Refusal> {
        if let Some(run) = self.open.find(key) {
            return Ok(Some(run));
        }
        let epoch = self.open.epoch();
        let stored = match self.store.run(key) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(None),
            Err(StoreError::Corrupt) => {
                return Err(Refusal::SnapshotUnreadable { run: key.clone() });
            }
            Err(error) => return Err(store_refusal(&error)),
        };
        let run = Arc::new(self.load(stored)?);
        if run.run.end.is_none() {
            self.open.keep(run.clone(), epoch);
        }
        Ok(Some(run))
    }

    /// Reads a stored run's record.
    pub(super) fn load(&self, mut stored: StoredRun) -> Result<LoadedRun, Refusal> {
        let key = stored.frozen.key.clone();
        let record = Record::from_bytes(&stored.frozen, &self.sealer)
            .map_err(|_| Refusal::SnapshotUnreadable { run: key })?;
        stored.frozen.record = Vec::new();
        let sealed = Bytes::from(std::mem::take(&mut stored.frozen.sealed));
        Ok(LoadedRun::new(
            Arc::new(stored),
            Arc::new(record.snapshot),
            record.request,
            record.interface,
            sealed,
        ))
    }
}

fn resource<'a>(named: &'a NamedRun, step: Option<&'a str>) -> Resource<'a> {
    let (pipeline, run_id) = (&named.pipeline, named.run_id.as_str());
    match step {
        Some(step) => Resource::Step { pipeline, run_id, step },
        None => Resource::Run { pipeline, run_id },
    }
}

/// Names a run in an event, and a step that its plan has.
pub(super) fn name_run(event: &mut EventDraft, run: &LoadedRun, step: Option<&str>) {
    let frozen = &run.run.frozen;
    event.pipeline = Some(frozen.key.pipeline.clone());
    event.run = Some((frozen.key.run_id.clone(), frozen.key.attempt));
    event.environment = Some(frozen.environment.clone());
    event.bundle.clone_from(&frozen.bundle);
    if let Some(step) = step {
        match run.snapshot.step(step) {
            Some(known) => event.step = Some(known.name.clone()),
            None => event.unknown_names += 1,
        }
    }
}
