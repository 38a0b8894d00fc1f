//! `GetContext` and `RevealSecrets`: what a step is handed.

mod offer;
mod sealed;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::access::{PermittedRun, Question, Within, name_run, named_run, well_formed};
use super::open::LoadedRun;
use super::polls::Poll;
use super::ready::{AnswerKey, Facts};
use super::record::{accesses, internal, name_key};
use super::{
    Caller, ContextAnswer, ContextRequest, ContextView, EncodedAnswer, Engine, Refusal,
    RevealRequest, Revealed, Violation, ViolationReason,
};
use crate::access::{Action, Permit, Resource};
use crate::audit::{self, EventDraft};
use crate::envelope::Form;
use crate::name::{ParameterName, RunKey, StepName};
use crate::reveal::{self, Item};
use crate::snapshot::{FrozenContent, FrozenStep, StepAction};
use crate::store::RunEnd;
use crate::telemetry::{measure, trail};
use offer::secret_entries;
use sealed::{about, action, sealing};

pub(super) use offer::Offers;

impl Caller {
    /// Whether secrets may leave to him in this form, as far as his token goes.
    fn takes(&self, form: &Form) -> bool {
        form.is_sealed() || self.step.as_ref().is_none_or(|pass| !pass.sealed_only)
    }
}

/// What a reveal asks for.
struct Asked<'a> {
    action: Action,
    wanted: &'a [&'a str],
    offered: &'a Offers,
}

/// Encodes a step's view.
pub(super) type Encode<'a> = dyn Fn(&ContextView<'_>) -> Result<EncodedAnswer, Refusal> + Sync + 'a;

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
        encode: &Encode<'_>,
    ) -> Result<ContextAnswer, Refusal> {
        let event = self.event(caller, audit::Action::Read);
        let mut violations = Vec::new();
        let named = named_run(&request.run, &mut violations);
        let step = well_formed("step", &request.step, StepName::parse, &mut violations);
        let (Some(named), Some(step)) = (named, step) else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let named = caller.meant(named);
        let question = Question {
            action: Action::Read,
            recorded: audit::Action::Read,
            step: Some(step.as_str()),
        };
        let PermittedRun { run, mut event } = self.permitted_run(caller, &named, question).await?;
        let seen = match self.open_step(&run, &step) {
            Ok(seen) => seen,
            Err(refusal) => return Err(self.refuse(event, refusal).await),
        };
        if let Some(violation) = wrong_instance(seen, request.instance) {
            return Err(self.refuse(event, Refusal::Invalid(vec![violation])).await);
        }
        event.instance = request.instance;
        let facts = facts(&run, seen);
        let permitted = facts.has_secrets.then(|| self.may_show_step(caller, &run, seen)).flatten();
        let encoded = match encoded(&run, seen, request.instance, permitted.is_some(), encode) {
            Ok(encoded) => encoded,
            Err(refusal) => return Err(self.refuse(event, refusal).await),
        };
        event.parameters = facts.accesses.clone();
        name_key(&mut event, &run.request.fingerprint_key);
        if *encoded.etag == *request.if_none_match {
            self.record_poll(caller, &run, seen, event)?;
            return Ok(ContextAnswer::NotModified { etag: encoded.etag });
        }
        self.record_soon(event)?;
        if let Some(policy_ids) = permitted {
            self.fingerprints_shown(caller, policy_ids, &run, Some(seen.name.as_str()))?;
        }
        Ok(ContextAnswer::Whole(encoded.answer))
    }

    /// Records a poll that has no news, once a minute for a principal and step.
    fn record_poll(
        &self,
        caller: &Caller,
        run: &LoadedRun,
        step: &FrozenStep,
        event: EventDraft,
    ) -> Result<(), Refusal> {
        trail::note(&event);
        let (principal, run) = (caller.principal.clone(), run.run.frozen.key.clone());
        let poll = Poll { principal, run, step: step.name.clone() };
        if !self.polls.is_due(poll.clone(), Instant::now()) {
            return Ok(());
        }
        self.record_soon(event).inspect_err(|_| self.polls.forget(&poll))
    }

    /// The policies that let fingerprints be in a step's context; none where they
    /// may not be.
    fn may_show_step(
        &self,
        caller: &Caller,
        run: &LoadedRun,
        step: &FrozenStep,
    ) -> Option<Vec<String>> {
        let key = &run.run.frozen.key;
        let (pipeline, run_id) = (&key.pipeline, key.run_id.as_str());
        let resource = Resource::Step { pipeline, run_id, step: step.name.as_str() };
        self.may_show_fingerprints(caller, resource, run)
    }

    /// A step of a run that is open.
    pub(super) fn open_step<'a>(
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
        let named = caller.meant(named);
        let found = match self.find(&named) {
            Ok(Some(run))
                if caller.is_about(&named) && run.snapshot.step(step.as_str()).is_some() =>
            {
                run
            }
            // Decided on the step as a whole where there is nothing inside it.
            _ => {
                let question = Question {
                    action: action(&request.form),
                    recorded: audit::Action::Reveal,
                    step: Some(step.as_str()),
                };
                let (event, refusal) = match self.seek(caller, &named, question) {
                    Ok(PermittedRun { run, event }) => {
                        let refusal = self.open_step(&run, &step).err();
                        (event, refusal.unwrap_or_else(|| internal("a step came and went")))
                    }
                    Err(refused) => match *refused {
                        (event, Refusal::AccessDenied { .. }) => (event, all_refused(&request)),
                        other => other,
                    },
                };
                return Err(self.refuse(event, refusal).await);
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
        event.sealed = request.form.is_sealed();
        let Some(seen) = run.snapshot.step(step.as_str()) else {
            return Err(internal("a step came and went"));
        };
        let offered = run
            .ready
            .offers(&seen.name, request.instance, || Offers::of(run, seen, request.instance));
        let wanted: Vec<&str> = if request.all {
            offered.names().collect()
        } else {
            request.names.iter().map(String::as_str).collect()
        };
        event.parameters = offered.named(request.all, &wanted);
        let unknown = wanted.iter().filter(|name| offered.get(name).is_none()).count();
        event.unknown_names += u32::try_from(unknown).unwrap_or(u32::MAX);
        name_key(&mut event, &run.request.fingerprint_key);
        let asked = Asked { action: action(&request.form), wanted: &wanted, offered: &offered };
        let permits = match self.permits(caller, run, seen, request, &asked) {
            Ok(permits) if caller.takes(&request.form) => permits,
            refused => {
                let (policy_ids, refusal) =
                    refused.err().unwrap_or((Vec::new(), Refusal::SealingRequired));
                event.policy_ids = policy_ids;
                let sealed = Asked { action: Action::RevealSealed, ..asked };
                let refusal = match self.permits(caller, run, seen, request, &sealed) {
                    Ok(_) => Refusal::SealingRequired,
                    Err(_) => refusal,
                };
                return Err(self.refuse(event, refusal).await);
            }
        };
        let ids: BTreeSet<&String> = permits.iter().flat_map(Permit::policy_ids).collect();
        event.policy_ids = ids.into_iter().cloned().collect();
        if let Some(refusal) = self.unrevealable(run, seen, request) {
            return Err(self.refuse(event, refusal).await);
        }
        let sealing = match sealing(&request.form) {
            Ok(sealing) => sealing,
            Err(refusal) => return Err(self.refuse(event, refusal).await),
        };
        let recorded = self.record_reveal(&run.run.frozen.key, event.clone()).await?;
        let items: Vec<Item<'_>> =
            wanted.iter().filter_map(|name| Some(offered.get(name)?.item(seen))).collect();
        let key = &run.run.frozen.key;
        let scope = reveal::Scope { run: key, step: &seen.name, sealed: sealing.is_some() };
        match reveal::open(&self.sealer, scope, &run.sealed, &items, &permits, &recorded) {
            Ok(secrets) => {
                measure::revealed(secrets.len());
                let about = about(key, &seen.name, request.instance);
                Ok(Revealed { about, sealing, secrets })
            }
            // The record says that it was given: a second one says that it wasn't.
            Err(error) => Err(self.refuse(event, reveal_refusal(error, key)).await),
        }
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
        wrong_instance(step, request.instance).map(|one| Refusal::Invalid(vec![one]))
    }

    /// A permit for each item, or all the names that are refused.
    fn permits(
        &self,
        caller: &Caller,
        run: &LoadedRun,
        step: &FrozenStep,
        request: &RevealRequest,
        asked: &Asked<'_>,
    ) -> Result<Vec<Permit>, (Vec<String>, Refusal)> {
        let in_force = self.in_force();
        let frozen = &run.run.frozen;
        let (pipeline, run_id) = (&frozen.key.pipeline, frozen.key.run_id.as_str());
        let decide = |resource: Resource<'_>| {
            in_force.decide_with(caller, asked.action, resource, Within::run(run))
        };
        if asked.wanted.is_empty() {
            let resource = Resource::Step { pipeline, run_id, step: step.name.as_str() };
            return decide(resource)
                .map(|permit| vec![permit])
                .map_err(|denied| (denied.policy_ids, all_refused(request)));
        }
        let unknown = step.decision.action == StepAction::Skip
            || wrong_instance(step, request.instance).is_some();
        let mut permits = Vec::with_capacity(asked.wanted.len());
        let mut denied = Vec::new();
        let mut policy_ids = Vec::new();
        for (index, name) in asked.wanted.iter().enumerate() {
            let found = asked.offered.get(name);
            let secrets: &[ParameterName] = found.map_or(&[], |one| &one.origins);
            let resource = Resource::Parameter {
                pipeline,
                run_id,
                step: step.name.as_str(),
                item: name,
                secrets,
            };
            match decide(resource) {
                // What a skipped step or an instance that isn't there would have had
                // isn't known: their own answers come after permission.
                Ok(permit) if found.is_some() || unknown => permits.push(permit),
                Ok(_) => denied.push(refused(format!("names[{index}]"))),
                Err(why) => {
                    policy_ids.extend(why.policy_ids);
                    denied.push(refused(format!("names[{index}]")));
                }
            }
        }
        if denied.is_empty() {
            return Ok(permits);
        }
        policy_ids.sort();
        policy_ids.dedup();
        let refusal = match request.all {
            true => all_refused(request),
            false => Refusal::AccessDenied { fields: denied },
        };
        Err((policy_ids, refusal))
    }
}

fn reveal_refusal(error: reveal::RevealError, run: &RunKey) -> Refusal {
    match error {
        reveal::RevealError::Unreadable => Refusal::SnapshotUnreadable { run: run.clone() },
        reveal::RevealError::TooLarge => {
            Refusal::AnswerTooLarge { limit_bytes: reveal::MAX_ANSWER_BYTES }
        }
        reveal::RevealError::NotPermitted => internal("a reveal lacked a permit"),
    }
}

/// A step's context, encoded once and then kept.
fn encoded(
    run: &LoadedRun,
    step: &FrozenStep,
    instance: Option<u32>,
    fingerprints: bool,
    encode: &Encode<'_>,
) -> Result<EncodedAnswer, Refusal> {
    let key = AnswerKey::Context { step: step.name.clone(), instance, fingerprints };
    if let Some(answer) = run.ready.answer(&key) {
        return Ok(answer);
    }
    let view = ContextView { run: &run.run, snapshot: &run.snapshot, step, instance, fingerprints };
    let encoded = encode(&view)?;
    run.ready.keep_answer(key, encoded.clone());
    Ok(encoded)
}

/// What is to be known of a step.
fn facts(run: &LoadedRun, step: &FrozenStep) -> Arc<Facts> {
    run.ready.facts(Some(&step.name), || {
        let mut sees = step.sees.iter().filter_map(|name| run.snapshot.parameters.get(name));
        let has_secrets = step.decision.action == StepAction::Run
            && (sees.any(|one| matches!(one.content, FrozenContent::Secret(_)))
                || step.instances.iter().any(|one| secret_entries(one).next().is_some()));
        Facts { has_secrets, accesses: accesses(&run.snapshot, step.sees.iter()) }
    })
}

fn refused(field: String) -> Violation {
    Violation {
        field,
        reason: ViolationReason::AccessDenied,
        description: "not declared, not for this step, or not permitted".into(),
    }
}

/// The refusal of all that was asked for. It is made of the request alone: how
/// many secrets a step has, or that it is there, doesn't show.
fn all_refused(request: &RevealRequest) -> Refusal {
    let fields = match request.all {
        true => vec![refused("all".to_owned())],
        false => (0..request.names.len()).map(|index| refused(format!("names[{index}]"))).collect(),
    };
    Refusal::AccessDenied { fields }
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
