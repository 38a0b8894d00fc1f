//! Where a run stands that somebody asks for: whose it is, which attempts there
//! are, and whether the request is the one that it was made with.

use std::sync::Arc;

use super::Asked;
use crate::access::{Action, Resource};
use crate::audit::{self, EventDraft};
use crate::engine::access::{NamedRun, Within, name_run, on_record, overridden};
use crate::engine::open::LoadedRun;
use crate::engine::{Caller, Engine, InForce, Refusal};
use crate::name::{ParameterName, RunKey};
use crate::resolve::request::{Compared, FrozenRequest};
use crate::resolve::submission::{Overrides, ReadOverrides, read_overrides};

/// What there is of the name that a call has.
pub(super) enum Standing {
    /// The run itself.
    Frozen(Arc<LoadedRun>),
    /// Nothing: it is the first attempt, and was permitted by what is in force
    /// here, which it is resolved with.
    First(Arc<InForce>),
    /// The attempt before, which has ended; permitted as [`Self::First`].
    After(Arc<LoadedRun>, Arc<InForce>),
}

impl Engine {
    /// Where the run stands, for a caller who may resolve or join it.
    pub(super) async fn standing(
        self: &Arc<Self>,
        caller: &Caller,
        asked: &Asked,
        overrides: &Overrides,
        event: &mut EventDraft,
    ) -> Result<Standing, Refusal> {
        let found = self.find_key(&asked.key);
        if let Ok(Some(run)) = &found
            && run.run.frozen.owner != caller.principal
        {
            self.may_join(caller, run, event)?;
            return Ok(Standing::Frozen(run.clone()));
        }
        let in_force = self.in_force();
        // What a name means says the run's own interface, where there is a run.
        let overridden = match &found {
            Ok(Some(run)) => overridden(&run.interface, overrides),
            _ => in_force.overridden(&asked.key.pipeline, overrides),
        };
        may_resolve(&in_force, caller, asked, &overridden, event)?;
        match self.readable(caller, &in_force, found, event)? {
            Some(run) => {
                name_run(event, &run, None);
                Ok(Standing::Frozen(run))
            }
            None if asked.key.attempt == 1 => Ok(Standing::First(in_force)),
            None => {
                let before = self.before(caller, asked, event).await?;
                Ok(Standing::After(before, in_force))
            }
        }
    }

    /// Decides whether another principal's run may be answered, before anything is
    /// compared.
    fn may_join(
        &self,
        caller: &Caller,
        run: &LoadedRun,
        event: &mut EventDraft,
    ) -> Result<(), Refusal> {
        event.action = audit::Action::Join;
        name_run(event, run, None);
        let resource = resource(&run.run.frozen.key);
        let within = Within::run(run);
        on_record(self.in_force().decide_with(caller, Action::Join, resource, within), event)
    }

    /// What was found, for who may know that it can't be read. Whose run that is
    /// can't be told either: it is taken for another's.
    fn readable(
        &self,
        caller: &Caller,
        in_force: &InForce,
        found: Result<Option<Arc<LoadedRun>>, Refusal>,
        event: &mut EventDraft,
    ) -> Result<Option<Arc<LoadedRun>>, Refusal> {
        let Err(Refusal::SnapshotUnreadable { run }) = &found else { return found };
        let decided = in_force.decide_everywhere(caller, Action::Join, resource(run));
        event.run = Some((run.run_id.clone(), run.attempt));
        match decided {
            Ok(policy_ids) => {
                event.policy_ids.extend(policy_ids);
                event.policy_ids.sort();
                event.policy_ids.dedup();
                found
            }
            Err(policy_ids) => {
                event.action = audit::Action::Join;
                event.policy_ids = policy_ids;
                Err(Refusal::AccessDenied { fields: Vec::new() })
            }
        }
    }

    /// The attempt before, where it has ended and is the newest.
    async fn before(
        self: &Arc<Self>,
        caller: &Caller,
        asked: &Asked,
        event: &mut EventDraft,
    ) -> Result<Arc<LoadedRun>, Refusal> {
        let newest = NamedRun { attempt: 0, ..asked.named.clone() };
        let found = self.find(&newest);
        let Some(run) = self.readable(caller, &self.in_force(), found, event)? else {
            return Err(Refusal::AttemptOutOfOrder { newest: 0, end: None });
        };
        if run.run.frozen.owner != caller.principal {
            // The new attempt will be the caller's own; to repeat another's he has
            // to be let join it too.
            let (action, resolving) = (event.action, std::mem::take(&mut event.policy_ids));
            self.may_join(caller, &run, event)?;
            event.action = action;
            event.policy_ids.extend(resolving);
            event.policy_ids.sort();
            event.policy_ids.dedup();
        }
        let key = run.run.frozen.key.clone();
        let mut end = run.run.end.map(|(end, _)| end);
        if end.is_none() && run.run.is_overdue(self.store.now()) {
            end = self.expire(&key).await?.end.map(|(end, _)| end);
        }
        event.run = None;
        if end.is_none() || key.attempt.checked_add(1) != Some(asked.key.attempt) {
            return Err(Refusal::AttemptOutOfOrder { newest: key.attempt, end });
        }
        Ok(run)
    }

    /// Reads the overrides of a call by the interface of a run that is there, and
    /// compares the call with what that run was asked with. Another principal's
    /// secrets are not compared: nobody finds one by trying.
    pub(super) fn compare(
        &self,
        caller: &Caller,
        asked: &Asked,
        overrides: Overrides,
        run: &LoadedRun,
        event: &mut EventDraft,
    ) -> Result<ReadOverrides, Refusal> {
        let mut violations = asked.problems.clone();
        let read = read_overrides(&run.interface, overrides, &mut violations);
        event.unknown_names += read.unknown_names;
        if !violations.is_empty() {
            return Err(Refusal::Invalid(violations));
        }
        let request = FrozenRequest::new(
            asked.environment.clone(),
            &asked.preset,
            asked.logical_date,
            &read.values,
            &run.interface,
            &self.fingerprints,
        );
        let frozen = &run.run.frozen;
        let is_same_attempt = frozen.key == asked.key;
        let compared = match (frozen.owner == caller.principal, is_same_attempt) {
            (true, _) => Compared::Whole,
            (false, true) => Compared::Joining,
            (false, false) => Compared::Repeating,
        };
        if compared == Compared::Whole && !run.request.is_comparable(&request) {
            return Err(Refusal::SnapshotUnreadable { run: frozen.key.clone() });
        }
        let mut differs = run.request.differs(&request, compared);
        if is_same_attempt && frozen.mode != asked.mode {
            differs.push("mode".to_owned());
        }
        if differs.is_empty() {
            Ok(read)
        } else {
            Err(Refusal::RunConflict { run: frozen.key.clone(), differs })
        }
    }
}

fn resource(key: &RunKey) -> Resource<'_> {
    Resource::Run { pipeline: &key.pipeline, run_id: key.run_id.as_str() }
}

fn may_resolve(
    in_force: &InForce,
    caller: &Caller,
    asked: &Asked,
    overridden: &[ParameterName],
    event: &mut EventDraft,
) -> Result<(), Refusal> {
    if in_force.name_pipeline(&asked.key.pipeline, event).is_some() {
        in_force.name_environment(&asked.environment, event);
    }
    let within = Within {
        environment: Some(&asked.environment),
        preset: asked.named_preset.as_ref(),
        overridden,
    };
    let decided = in_force.decide_with(caller, Action::Resolve, resource(&asked.key), within);
    on_record(decided, event)
}
