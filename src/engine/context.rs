//! `GetContext` and `RevealSecrets`: what a step is handed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::access::{PermittedRun, Question, name_run, named_run, well_formed};
use super::open::{AnswerKey, LoadedRun};
use super::record::{access_of, internal};
use super::{
    Caller, ContextRequest, ContextView, Engine, Refusal, RevealRequest, Revealed, Violation,
    ViolationReason,
};
use crate::access::{Action, Permit, Resource};
use crate::audit::event::ItemName;
use crate::audit::{self, ParameterAccess};
use crate::name::{ParameterName, StepName};
use crate::provenance::SourceKind;
use crate::reveal::{self, Item};
use crate::snapshot::{FrozenContent, FrozenEntry, FrozenInstance, FrozenStep, StepAction};
use crate::store::RunEnd;

/// The most names of one reveal.
const MAX_NAMES: usize = 1_000;

impl Engine {
    /// A step's view of its run, encoded by `encode` once and then kept.
    ///
    /// # Errors
    /// As the contract says of `GetContext`.
    pub async fn context(
        &self,
        caller: &Caller,
        request: ContextRequest,
        encode: &(dyn Fn(&ContextView<'_>) -> Result<Bytes, Refusal> + Sync),
    ) -> Result<Bytes, Refusal> {
        let event = self.event(caller, audit::Action::Read);
        let mut violations = Vec::new();
        let named = named_run(&request.run, &mut violations);
        let step = well_formed("step", &request.step, StepName::parse, &mut violations);
        let (Some(named), Some(step)) = (named, step) else {
            violations.extend(request.problems);
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let question = Question {
            action: Action::Read,
            recorded: audit::Action::Read,
            step: Some(step.as_str()),
        };
        let PermittedRun { run, mut event } = self.permitted_run(caller, &named, question).await?;
        if !request.problems.is_empty() {
            return Err(self.refuse(event, Refusal::Invalid(request.problems)).await);
        }
        let seen = match self.open_step(&run, &step) {
            Ok(seen) => seen,
            Err(refusal) => return Err(self.refuse(event, refusal).await),
        };
        if let Some(violation) = wrong_instance(seen, request.instance) {
            return Err(self.refuse(event, Refusal::Invalid(vec![violation])).await);
        }
        event.instance = request.instance;
        event.parameters =
            seen.sees.iter().filter_map(|name| access_of(&run.snapshot, name)).collect();
        event.parameters.iter_mut().for_each(|access| access.fingerprint = None);
        self.record_soon(event)?;
        self.encoded(caller, &run, seen, request.instance, encode)
    }

    fn encoded(
        &self,
        caller: &Caller,
        run: &LoadedRun,
        step: &FrozenStep,
        instance: Option<u32>,
        encode: &(dyn Fn(&ContextView<'_>) -> Result<Bytes, Refusal> + Sync),
    ) -> Result<Bytes, Refusal> {
        let frozen = &run.run.frozen;
        let resource = Resource::Step {
            pipeline: &frozen.key.pipeline,
            run_id: frozen.key.run_id.as_str(),
            step: step.name.as_str(),
        };
        let fingerprints = self.may_see_fingerprints(caller, resource, Some(frozen));
        if fingerprints {
            let mut event = self.event(caller, audit::Action::Fingerprints);
            name_run(&mut event, run, Some(step.name.as_str()));
            self.record_soon(event)?;
        }
        let key = AnswerKey { step: step.name.to_string(), instance, fingerprints };
        if let Some(answer) = run.answer(&key) {
            return Ok(answer);
        }
        let view =
            ContextView { run: &run.run, snapshot: &run.snapshot, step, instance, fingerprints };
        let answer = encode(&view)?;
        run.keep_answer(key, answer.clone());
        Ok(answer)
    }

    /// A step of a run that is open.
    fn open_step<'a>(
        &self,
        run: &'a LoadedRun,
        step: &StepName,
    ) -> Result<&'a FrozenStep, Refusal> {
        let found = run.snapshot.step(step.as_str()).ok_or_else(|| Refusal::StepNotFound {
            pipeline: run.run.frozen.key.pipeline.to_string(),
            step: step.to_string(),
        })?;
        match run.run.end {
            Some((end, _)) => Err(Refusal::RunEnded { end }),
            None if !run.is_open(self.store.now()) => {
                Err(Refusal::RunEnded { end: RunEnd::Expired })
            }
            None => Ok(found),
        }
    }

    /// The bytes of a step's secrets, each call recorded before its answer.
    ///
    /// # Errors
    /// As the contract says of `RevealSecrets`.
    pub async fn reveal(
        &self,
        caller: &Caller,
        request: RevealRequest,
    ) -> Result<Revealed, Refusal> {
        let event = self.event(caller, audit::Action::Reveal);
        let mut violations = Vec::new();
        let named = named_run(&request.run, &mut violations);
        let step = well_formed("step", &request.step, StepName::parse, &mut violations);
        violations.extend(malformed_names(&request));
        violations.extend(request.problems.iter().cloned());
        let (Some(named), Some(step), true) = (named, step, violations.is_empty()) else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let found = match self.find(&named) {
            Ok(Some(run)) if run.snapshot.step(step.as_str()).is_some() => run,
            // Decided on the step as a whole where there is nothing inside it.
            _ => {
                let question = Question {
                    action: Action::Reveal,
                    recorded: audit::Action::Reveal,
                    step: Some(step.as_str()),
                };
                let permitted = self.permitted_run(caller, &named, question).await?;
                let refusal = self.open_step(&permitted.run, &step).err();
                let refusal = refusal.unwrap_or_else(|| internal("a step came and went"));
                return Err(self.refuse(permitted.event, refusal).await);
            }
        };
        self.reveal_step(caller, &found, &step, &request).await
    }

    async fn reveal_step(
        &self,
        caller: &Caller,
        run: &LoadedRun,
        step: &StepName,
        request: &RevealRequest,
    ) -> Result<Revealed, Refusal> {
        let mut event = self.event(caller, audit::Action::Reveal);
        name_run(&mut event, run, Some(step.as_str()));
        event.instance = request.instance;
        let Some(seen) = run.snapshot.step(step.as_str()) else {
            return Err(internal("a step came and went"));
        };
        let offered = offered(run, seen, request.instance);
        let wanted: Vec<&str> = if request.all {
            offered.keys().map(String::as_str).collect()
        } else {
            request.names.iter().map(String::as_str).collect()
        };
        event.parameters = wanted
            .iter()
            .filter_map(|name| offered.get(*name))
            .map(|one| one.access.clone())
            .collect();
        event.parameters.sort_by(|a, b| a.name.cmp(&b.name));
        let unknown = wanted.iter().filter(|name| !offered.contains_key(**name)).count();
        event.unknown_names += u32::try_from(unknown).unwrap_or(u32::MAX);
        self.fingerprints.id().clone_into(&mut event.fingerprint_key);
        let permits = match self.permits(caller, run, seen, request, &wanted, &offered) {
            Ok(permits) => permits,
            Err((policy_ids, refusal)) => {
                event.policy_ids = policy_ids;
                return Err(self.refuse(event, refusal).await);
            }
        };
        let ids: BTreeSet<&String> = permits.iter().flat_map(Permit::policy_ids).collect();
        event.policy_ids = ids.into_iter().cloned().collect();
        if let Some(refusal) = self.unrevealable(run, seen, request) {
            return Err(self.refuse(event, refusal).await);
        }
        let recorded = self.record(event).await?;
        let items: Vec<Item<'_>> =
            wanted.iter().filter_map(|name| Some(&offered.get(*name)?.item)).cloned().collect();
        let key = &run.run.frozen.key;
        let secrets = reveal::open(&self.sealer, key, &run.sealed, &items, &permits, &recorded)
            .map_err(|error| match error {
                reveal::RevealError::Unreadable => Refusal::SnapshotUnreadable { run: key.clone() },
                reveal::RevealError::TooLarge => {
                    Refusal::AnswerTooLarge { limit_bytes: reveal::MAX_ANSWER_BYTES }
                }
                reveal::RevealError::NotPermitted => internal("a reveal lacked a permit"),
            })?;
        Ok(Revealed { attempt: key.attempt, secrets })
    }

    /// Why nothing can be revealed to someone who may have it.
    fn unrevealable(
        &self,
        run: &LoadedRun,
        step: &FrozenStep,
        request: &RevealRequest,
    ) -> Option<Refusal> {
        if let Err(refusal) = self.open_step(run, &step.name) {
            return Some(refusal);
        }
        if step.decision.action == StepAction::Skip {
            return Some(Refusal::StepSkipped { step: step.name.to_string() });
        }
        if let Some(violation) = wrong_instance(step, request.instance) {
            return Some(Refusal::Invalid(vec![violation]));
        }
        request.sealed.then_some(Refusal::SealingUnsupported)
    }

    /// A permit for each item, or all the names that are refused.
    fn permits(
        &self,
        caller: &Caller,
        run: &LoadedRun,
        step: &FrozenStep,
        request: &RevealRequest,
        wanted: &[&str],
        offered: &BTreeMap<String, Offered<'_>>,
    ) -> Result<Vec<Permit>, (Vec<String>, Refusal)> {
        let in_force = self.in_force();
        let frozen = &run.run.frozen;
        let (pipeline, run_id) = (&frozen.key.pipeline, frozen.key.run_id.as_str());
        let decide = |resource: Resource<'_>| {
            let environment = Some(&frozen.environment);
            in_force.decide(caller, Action::Reveal, resource, environment, frozen.preset.as_ref())
        };
        if wanted.is_empty() {
            let resource = Resource::Step { pipeline, run_id, step: step.name.as_str() };
            return decide(resource).map(|permit| vec![permit]).map_err(|denied| {
                (denied.policy_ids, Refusal::AccessDenied { fields: Vec::new() })
            });
        }
        let skipped = step.decision.action == StepAction::Skip;
        let mut permits = Vec::with_capacity(wanted.len());
        let mut refused = Vec::new();
        let mut policy_ids = Vec::new();
        for (index, name) in wanted.iter().enumerate() {
            let secrets: Vec<ParameterName> = offered
                .get(*name)
                .map(|one| one.origins.iter().cloned().collect())
                .unwrap_or_default();
            let resource = Resource::Parameter {
                pipeline,
                run_id,
                step: step.name.as_str(),
                item: name,
                secrets: &secrets,
            };
            match decide(resource) {
                // What a skipped step would have had isn't known: the step's own
                // answer comes after permission.
                Ok(permit) if offered.contains_key(*name) || skipped => permits.push(permit),
                Ok(_) => refused.push(refused_name(request, index)),
                Err(denied) => {
                    policy_ids.extend(denied.policy_ids);
                    refused.push(refused_name(request, index));
                }
            }
        }
        if refused.is_empty() {
            return Ok(permits);
        }
        policy_ids.sort();
        policy_ids.dedup();
        Err((policy_ids, Refusal::AccessDenied { fields: refused }))
    }
}

fn refused_name(request: &RevealRequest, index: usize) -> Violation {
    Violation {
        field: if request.all { "all".to_owned() } else { format!("names[{index}]") },
        reason: ViolationReason::AccessDenied,
        description: "not declared, not for this step, or not permitted".into(),
    }
}

/// Something that a step may ask for.
struct Offered<'a> {
    item: Item<'a>,
    access: ParameterAccess,
    origins: BTreeSet<ParameterName>,
}

/// What a step may ask for: its secret parameters, and the secret entries of an
/// instance (the only one, where there is no matrix).
fn offered<'a>(
    run: &'a LoadedRun,
    step: &'a FrozenStep,
    instance: Option<u32>,
) -> BTreeMap<String, Offered<'a>> {
    let mut offered = BTreeMap::new();
    if step.decision.action == StepAction::Skip {
        return offered;
    }
    for name in &step.sees {
        let Some(parameter) = run.snapshot.parameters.get(name) else { continue };
        let FrozenContent::Secret(_) = &parameter.content else { continue };
        let Some(access) = access_of(&run.snapshot, name) else { continue };
        let version = access.version.clone();
        let item = Item {
            name: ItemName::parameter(name),
            place: reveal::Place::Parameter(name),
            version,
        };
        let origins = run.snapshot.secret_origins.get(name).cloned().unwrap_or_default();
        offered.insert(name.to_string(), Offered { item, access, origins });
    }
    let has_matrix = step.instances.iter().any(|instance| !instance.matrix.is_empty());
    let index = match (instance, has_matrix) {
        (Some(index), _) => index,
        (None, false) => 0,
        (None, true) => return offered,
    };
    let at = usize::try_from(index).unwrap_or(usize::MAX);
    let Some(found) = step.instances.get(at) else { return offered };
    for entry in secret_entries(found) {
        let place =
            reveal::Place::Entry { step: &step.name, instance: index, encoding: entry.encoding };
        let item = Item { name: entry.item.clone(), place, version: None };
        let access = ParameterAccess {
            name: entry.item.clone(),
            source: Some(SourceKind::Template),
            source_name: None,
            location: String::new(),
            version: None,
            fingerprint: Some(entry.mark.fingerprint),
            violated_keyword: "",
        };
        let origins = entry.computed_from.clone();
        offered.insert(entry.item.as_str().to_owned(), Offered { item, access, origins });
    }
    offered
}

fn secret_entries(
    instance: &FrozenInstance,
) -> impl Iterator<Item = &crate::snapshot::SecretEntry> {
    let files = instance.files.values().map(|(entry, _)| entry);
    instance.env.values().chain(files).filter_map(|entry| match entry {
        FrozenEntry::Secret(secret) => Some(secret),
        FrozenEntry::Text(_) | FrozenEntry::Binary(_) => None,
    })
}

fn wrong_instance(step: &FrozenStep, instance: Option<u32>) -> Option<Violation> {
    let index = usize::try_from(instance?).unwrap_or(usize::MAX);
    let known = index < step.instances.len() || step.decision.action == StepAction::Skip;
    (!known).then(|| Violation {
        field: "instance".into(),
        reason: ViolationReason::InvalidField,
        description: format!("the step has {} instances, counted from 0", step.instances.len()),
    })
}

fn malformed_names(request: &RevealRequest) -> Vec<Violation> {
    let wrong = |field: String, description: &str| Violation {
        field,
        reason: ViolationReason::InvalidField,
        description: description.to_owned(),
    };
    if request.all != request.names.is_empty() {
        return vec![wrong("names".into(), "either name the secrets or say `all`")];
    }
    if request.names.len() > MAX_NAMES {
        return vec![wrong("names".into(), "more than 1,000 names")];
    }
    let mut seen = BTreeSet::new();
    let mut violations = Vec::new();
    for (index, name) in request.names.iter().enumerate() {
        let field = format!("names[{index}]");
        if name.is_empty() || name.len() > 256 || name.contains(|c: char| c.is_control()) {
            violations.push(wrong(field, "expected a key of Context.secrets"));
        } else if !seen.insert(name) {
            violations.push(wrong(field, "named twice"));
        }
    }
    violations
}
