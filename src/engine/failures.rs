//! `ListFailures`, and the form in which failures are kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::access::{NamedRun, Question, named_run};
use super::record::{internal, store_refusal};
use super::{Caller, Engine, FailureView, InForce, Refusal, RunSelector};
use crate::access::{Action, Resource};
use crate::audit::{self, EventDraft};
use crate::name::{EnvironmentName, PresetName};
use crate::provenance::cut_location;
use crate::resolve::failure::Failure;
use crate::store::{StoreError, StoredFailure};

/// The most parameters and items that are kept of one resolution: as many problems
/// as its own answer had.
const MAX_SUBJECTS: usize = 100;

/// What went wrong with one parameter, or with an item of a step, and no value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SubjectFailure {
    /// The parameter or item.
    pub subject: String,
    /// The reason of a problem.
    pub reason: String,
    /// The kind of the source, in lower case; empty: none was asked.
    pub source: String,
    /// The source's name.
    pub source_name: String,
    /// The place inside it.
    pub location: String,
    /// What went wrong; empty where the source answered.
    pub cause: String,
    /// How often it was asked.
    pub attempts: u32,
}

/// A failed resolution as it is kept: JSON, format 1.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptFailures {
    format: u32,
    /// The reason of the answer; earlier releases don't tell.
    #[serde(default)]
    answer: String,
    /// Where it was resolved: who may read runs there may read this. Earlier
    /// releases don't tell.
    #[serde(default)]
    environment: Option<EnvironmentName>,
    /// With which preset.
    #[serde(default)]
    preset: Option<PresetName>,
    failures: Vec<SubjectFailure>,
}

/// What is kept of a run's failed resolutions and the caller may read.
#[derive(Default)]
struct Visible {
    failures: Vec<(StoredFailure, KeptFailures)>,
    policy_ids: BTreeSet<String>,
}

impl Visible {
    /// The newest attempt that failed.
    fn newest(&self) -> Option<u32> {
        self.failures.iter().map(|(failure, _)| failure.attempt).max()
    }
}

impl KeptFailures {
    pub(super) fn of(
        failures: &[Failure],
        environment: EnvironmentName,
        preset: Option<PresetName>,
    ) -> Self {
        let one = |failure: &Failure| {
            let asked = failure.asked.as_ref();
            let cause = asked.and_then(|asked| asked.cause).map_or("", crate::source::Cause::word);
            SubjectFailure {
                subject: failure.subject.to_string(),
                reason: failure.reason.word().to_owned(),
                source: asked.map_or("", |asked| asked.kind.word()).to_owned(),
                source_name: asked.map_or("", |asked| asked.source.as_str()).to_owned(),
                location: cut_location(asked.map_or("", |asked| asked.location.as_str())),
                cause: cause.to_owned(),
                attempts: asked.map_or(0, |asked| asked.attempts),
            }
        };
        // Items of a list that break the same declaration are told apart by nothing.
        let distinct: BTreeSet<SubjectFailure> = failures.iter().map(one).collect();
        let failures = distinct.into_iter().take(MAX_SUBJECTS).collect();
        let (environment, preset) = (Some(environment), preset);
        Self { format: 1, answer: String::new(), environment, preset, failures }
    }

    /// Its bytes, with the reason that the caller was told.
    pub(super) fn answered(mut self, reason: &str) -> Vec<u8> {
        reason.clone_into(&mut self.answer);
        serde_json::to_vec(&self).unwrap_or_default()
    }
}

impl Engine {
    /// What went wrong when a run could not be resolved.
    ///
    /// # Errors
    /// As the contract says of `ListFailures`.
    pub async fn list_failures(
        self: &Arc<Self>,
        caller: &Caller,
        run: RunSelector,
    ) -> Result<Vec<FailureView>, Refusal> {
        let event = self.event(caller, audit::Action::Read);
        let mut violations = Vec::new();
        let Some(named) = named_run(&run, &mut violations) else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let (visible, resolved) = match self.visible_failures(caller, &named).await {
            Ok(visible) => visible,
            Err(refusal) => return Err(self.refuse(event, refusal).await),
        };
        let question = Question { action: Action::Read, recorded: audit::Action::Read, step: None };
        let (mut event, resolved) = match self.seek(caller, &named, question) {
            Ok(permitted) => (permitted.event, resolved),
            Err(refused) => match self.despite(refused, &named, &visible) {
                Ok(event) => (event, None),
                Err(refused) => {
                    let (event, refusal) = *refused;
                    return Err(self.refuse(event, refusal).await);
                }
            },
        };
        let newest = visible.newest().max(resolved).unwrap_or_default();
        event.policy_ids.extend(visible.policy_ids);
        event.policy_ids.sort();
        event.policy_ids.dedup();
        self.record_soon(event)?;
        let attempt = if named.attempt == 0 { newest } else { named.attempt };
        let of_attempt =
            visible.failures.into_iter().filter(|(failure, _)| failure.attempt == attempt);
        Ok(of_attempt.map(|(failure, kept)| view(&failure, kept)).collect())
    }

    /// What is kept of a run and the caller may read, and its newest attempt.
    async fn visible_failures(
        self: &Arc<Self>,
        caller: &Caller,
        named: &NamedRun,
    ) -> Result<(Visible, Option<u32>), Refusal> {
        let (engine, caller, named) = (self.clone(), caller.clone(), named.clone());
        let looks = tokio::task::spawn_blocking(move || {
            let (pipeline, run_id) = (&named.pipeline, &named.run_id);
            let failures = engine.store.failures(pipeline, run_id)?;
            let visible = visible(&engine.in_force(), &caller, &named, failures);
            Ok((visible, engine.store.newest_attempt(pipeline, run_id)?))
        });
        match looks.await {
            Ok(found) => found.map_err(|error: StoreError| store_refusal(&error)),
            Err(_) => Err(internal("a list of failures was lost")),
        }
    }

    /// Who may not have the run, or for whom there is none, may have what failed
    /// all the same.
    fn despite(
        &self,
        refused: Box<(EventDraft, Refusal)>,
        named: &NamedRun,
        visible: &Visible,
    ) -> Result<EventDraft, Box<(EventDraft, Refusal)>> {
        let is_planned = self.in_force().plans.pipelines.contains_key(&named.pipeline);
        match *refused {
            // Who is told of these may read it wherever it would run.
            (event, Refusal::SnapshotUnreadable { .. }) => Ok(event),
            (mut event, Refusal::RunNotFound { .. }) if is_planned => {
                if let Some(attempt) = visible.newest() {
                    event.run = Some((named.run_id.clone(), attempt));
                    event.unknown_names = 0;
                }
                Ok(event)
            }
            (event, Refusal::RunNotFound { pipeline, .. }) => {
                Err(Box::new((event, Refusal::PipelineNotFound { pipeline })))
            }
            (mut event, Refusal::AccessDenied { .. }) if !visible.failures.is_empty() => {
                event.policy_ids.clear();
                Ok(event)
            }
            refused => Err(Box::new(refused)),
        }
    }
}

/// Of what is kept, what the caller may read: each was resolved in an environment of
/// its own, which may be another than that of the run that is there by now.
fn visible(
    in_force: &InForce,
    caller: &Caller,
    named: &NamedRun,
    failures: Vec<StoredFailure>,
) -> Visible {
    let resource = Resource::Run { pipeline: &named.pipeline, run_id: named.run_id.as_str() };
    let mut visible = Visible::default();
    for failure in failures {
        let Ok(kept) = serde_json::from_slice::<KeptFailures>(&failure.failure) else { continue };
        let decided = match &kept.environment {
            Some(environment) => in_force
                .decide(caller, Action::Read, resource, Some(environment), kept.preset.as_ref())
                .map(|permit| permit.policy_ids().to_vec())
                .map_err(|denied| denied.policy_ids),
            None => in_force.decide_everywhere(caller, Action::Read, resource),
        };
        let is_visible = decided.is_ok();
        visible.policy_ids.extend(decided.unwrap_or_else(|denied| denied));
        if !is_visible {
            continue;
        }
        visible.failures.push((failure, kept));
    }
    visible
}

fn view(failure: &StoredFailure, kept: KeptFailures) -> FailureView {
    let KeptFailures { answer: reason, failures: mut subjects, .. } = kept;
    subjects.sort();
    // Earlier releases kept one of each problem.
    subjects.dedup();
    let reason = if reason.is_empty() { "RESOLUTION_FAILED".into() } else { reason };
    FailureView { time: failure.time, reason, subjects }
}
