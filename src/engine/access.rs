//! Permission: decided from the names in a request, before anything else is
//! looked at. Denied and absent look alike to a caller without rights.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::open::LoadedRun;
use super::record::store_refusal;
use super::{Caller, Engine, InForce, Overrides, Refusal, RunSelector, Violation, ViolationReason};
use crate::access::{Action, Denied, Permit, Request, Resource};
use crate::audit::{self, EventDraft};
use crate::name::{
    EnvironmentName, NameError, ParameterName, PipelineName, PresetName, RunId, RunKey,
};
use crate::plan::{Interface, PlannedPipeline};
use crate::resolve::record::Record;
use crate::store::{StoreError, StoredRun};

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

/// In what an action would be done.
#[derive(Clone, Copy)]
pub(super) struct Within<'a> {
    pub(super) environment: Option<&'a EnvironmentName>,
    pub(super) preset: Option<&'a PresetName>,
    /// The parameters that the run binds itself, ordered.
    pub(super) overridden: &'a [ParameterName],
}

impl<'a> Within<'a> {
    /// That of a run that is there.
    pub(super) fn run(run: &'a LoadedRun) -> Self {
        let frozen = &run.run.frozen;
        let (environment, preset) = (Some(&frozen.environment), frozen.preset.as_ref());
        Self { environment, preset, overridden: &run.overridden }
    }
}

/// The parameters of an interface that overrides bind, ordered.
pub(super) fn overridden(interface: &Interface, overrides: &Overrides) -> Vec<ParameterName> {
    let Overrides { typed, text, secret } = overrides;
    let names = typed.keys().chain(text.keys()).chain(secret.keys());
    let declared: BTreeSet<_> = names.filter_map(|name| interface.resolve(name)).collect();
    declared.into_iter().cloned().collect()
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

/// The preset of a request, which may have none.
pub(super) fn named_preset(preset: &str, violations: &mut Vec<Violation>) -> Option<PresetName> {
    if preset.is_empty() {
        return None;
    }
    well_formed("preset", preset, PresetName::parse, violations)
}

/// What was decided as an answer; the policies that decided it go on record.
pub(super) fn on_record(
    decided: Result<Permit, Denied>,
    event: &mut EventDraft,
) -> Result<(), Refusal> {
    let (policy_ids, answer) = match decided {
        Ok(permit) => (permit.policy_ids().to_vec(), Ok(())),
        Err(denied) => (denied.policy_ids, Err(Refusal::AccessDenied { fields: Vec::new() })),
    };
    event.policy_ids = policy_ids;
    answer
}

impl Caller {
    /// What the caller means: with a step token, the newest attempt is the token's.
    pub(super) fn meant(&self, mut named: NamedRun) -> NamedRun {
        if let (Some(pass), 0) = (&self.step, named.attempt) {
            named.attempt = pass.step.run.attempt;
        }
        named
    }

    /// Whether it is an attempt that his step token is good for, if he shows one.
    pub(super) fn is_about(&self, named: &NamedRun) -> bool {
        self.step.as_ref().is_none_or(|pass| pass.step.run.attempt == named.attempt)
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
    /// The pipeline of this name. Only a name that the daemon knows goes into an
    /// event.
    pub(super) fn name_pipeline(
        &self,
        pipeline: &PipelineName,
        event: &mut EventDraft,
    ) -> Option<&PlannedPipeline> {
        let known = self.plans.pipelines.get(pipeline);
        match known {
            Some(known) => event.pipeline = Some(known.name.clone()),
            None => event.unknown_names += 1,
        }
        known
    }

    /// The same of an environment.
    pub(super) fn name_environment(&self, environment: &EnvironmentName, event: &mut EventDraft) {
        match self.plans.environments.get(environment) {
            Some(known) => event.environment = Some(known.clone()),
            None => event.unknown_names += 1,
        }
    }

    /// Asks the policies.
    pub(super) fn decide(
        &self,
        caller: &Caller,
        action: Action,
        resource: Resource<'_>,
        environment: Option<&EnvironmentName>,
        preset: Option<&PresetName>,
    ) -> Result<Permit, Denied> {
        self.decide_with(caller, action, resource, Within { environment, preset, overridden: &[] })
    }

    /// The same of a run's own values.
    pub(super) fn decide_with(
        &self,
        caller: &Caller,
        action: Action,
        resource: Resource<'_>,
        within: Within<'_>,
    ) -> Result<Permit, Denied> {
        let Caller { principal, groups, step, time, trace_id: _ } = caller;
        let Within { environment, preset, overridden } = within;
        self.policies.decide(&Request {
            principal,
            groups,
            step: step.as_ref().map(|pass| &pass.step),
            action,
            resource,
            environment,
            preset,
            overridden,
            time: *time,
        })
    }

    /// The parameters of a pipeline that a call binds, by their declared names. One
    /// that isn't declared binds nothing, and is refused later.
    pub(super) fn overridden(
        &self,
        pipeline: &PipelineName,
        overrides: &Overrides,
    ) -> Vec<ParameterName> {
        match self.plans.pipelines.get(pipeline) {
            Some(known) => overridden(&known.common.interface, overrides),
            None => Vec::new(),
        }
    }

    /// What the policies say where there is no environment to decide on: permitted
    /// is who would be permitted in every environment of the bundle. Gives the ids
    /// of those that decided.
    pub(super) fn decide_everywhere(
        &self,
        caller: &Caller,
        action: Action,
        resource: Resource<'_>,
    ) -> Result<Vec<String>, Vec<String>> {
        let mut ids = BTreeSet::new();
        for environment in &self.plans.environments {
            match self.decide(caller, action, resource, Some(environment), None) {
                Ok(permit) => ids.extend(permit.policy_ids().iter().cloned()),
                Err(denied) => return Err(denied.policy_ids),
            }
        }
        let ids = ids.into_iter().collect();
        if self.plans.environments.is_empty() { Err(ids) } else { Ok(ids) }
    }
}

impl Engine {
    /// Names in an event the environment and the run of a filter, after its pipeline.
    /// The daemon knows a run by its pipeline: without one it isn't looked for.
    pub(super) fn name_asked(
        &self,
        in_force: &InForce,
        environment: Option<&str>,
        run_id: Option<&str>,
        event: &mut EventDraft,
    ) {
        if let Some(Ok(environment)) = environment.map(EnvironmentName::parse) {
            in_force.name_environment(&environment, event);
        }
        let (Some(Ok(run_id)), Some(pipeline)) = (run_id.map(RunId::parse), &event.pipeline) else {
            return;
        };
        match self.store.newest_attempt(pipeline, &run_id) {
            Ok(Some(attempt)) => event.run = Some((run_id, attempt)),
            _ => event.unknown_names += 1,
        }
    }

    /// The policies that let fingerprints be in an answer about a run; none where
    /// they may not be.
    pub(super) fn may_show_fingerprints(
        &self,
        caller: &Caller,
        resource: Resource<'_>,
        run: &LoadedRun,
    ) -> Option<Vec<String>> {
        let frozen = &run.run.frozen;
        let (environment, preset) = (Some(&frozen.environment), frozen.preset.as_ref());
        let in_force = self.in_force();
        let permit = in_force.decide(caller, Action::Fingerprints, resource, environment, preset);
        Some(permit.ok()?.policy_ids().to_vec())
    }

    /// Records that fingerprints are in an answer about a run.
    pub(super) fn fingerprints_shown(
        &self,
        caller: &Caller,
        policy_ids: Vec<String>,
        run: &LoadedRun,
        step: Option<&str>,
    ) -> Result<(), Refusal> {
        let mut event = self.event(caller, audit::Action::Fingerprints);
        event.policy_ids = policy_ids;
        name_run(&mut event, run, step);
        self.record_soon(event)
    }

    /// The run of a request, if the caller may do this with it.
    ///
    /// # Errors
    /// As [`Engine::seek`]; the refusal is recorded.
    pub(super) async fn permitted_run(
        &self,
        caller: &Caller,
        named: &NamedRun,
        question: Question<'_>,
    ) -> Result<PermittedRun, Refusal> {
        match self.seek(caller, named, question) {
            Ok(permitted) => Ok(permitted),
            Err(refused) => {
                let (event, refusal) = *refused;
                Err(self.refuse(event, refusal).await)
            }
        }
    }

    /// The run of a request, if the caller may do this with it.
    ///
    /// # Errors
    /// Denied, not there (for those who would be permitted everywhere), or not
    /// to be read; with what is to be recorded of it.
    pub(super) fn seek(
        &self,
        caller: &Caller,
        named: &NamedRun,
        question: Question<'_>,
    ) -> Result<PermittedRun, Box<(EventDraft, Refusal)>> {
        let in_force = self.in_force();
        let mut event = self.event(caller, question.recorded);
        let resource = resource(named, question.step);
        // Who may not read the run may not learn that it can't be read.
        let absent = match self.find(named) {
            Ok(Some(run)) => {
                name_run(&mut event, &run, question.step);
                let within = Within::run(&run);
                let decided = match caller.is_about(named) {
                    true => in_force.decide_with(caller, question.action, resource, within),
                    false => Err(Denied { policy_ids: Vec::new(), errors: false }),
                };
                return match on_record(decided, &mut event) {
                    Ok(()) => Ok(PermittedRun { run, event }),
                    Err(refusal) => Err(Box::new((event, refusal))),
                };
            }
            Ok(None) => Refusal::RunNotFound {
                pipeline: named.pipeline.to_string(),
                run_id: named.run_id.to_string(),
                attempt: named.attempt,
            },
            Err(refusal) => refusal,
        };
        let unreadable = match &absent {
            Refusal::SnapshotUnreadable { run } => Some(run),
            _ => None,
        };
        self.name_known(&mut event, named, unreadable);
        let decided = match caller.is_about(named) {
            true => in_force.decide_everywhere(caller, question.action, resource),
            false => Err(Vec::new()),
        };
        let (policy_ids, refusal) = match decided {
            Ok(policy_ids) => (policy_ids, absent),
            Err(policy_ids) => (policy_ids, Refusal::AccessDenied { fields: Vec::new() }),
        };
        event.policy_ids = policy_ids;
        Err(Box::new((event, refusal)))
    }

    /// Only names that the daemon knows go into an event: the pipeline, and a run
    /// that is there and can't be read.
    fn name_known(&self, event: &mut EventDraft, named: &NamedRun, run: Option<&RunKey>) {
        if let Some(run) = run {
            event.pipeline = Some(run.pipeline.clone());
            event.run = Some((run.run_id.clone(), run.attempt));
        } else if self.in_force().plans.pipelines.contains_key(&named.pipeline) {
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
        let record = Record::of_run(&stored.frozen, &self.sealer)
            .map_err(|_| Refusal::SnapshotUnreadable { run: key })?;
        let record_bytes = std::mem::take(&mut stored.frozen.record).len();
        let sealed = Bytes::from(std::mem::take(&mut stored.frozen.sealed));
        Ok(LoadedRun::new(Arc::new(stored), record, sealed, record_bytes))
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
