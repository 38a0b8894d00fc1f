//! `ListFailures`, and the form in which failures are kept.

use serde::{Deserialize, Serialize};

use super::access::{Question, named_run};
use super::record::store_refusal;
use super::{Caller, Engine, FailureView, Refusal, RunSelector};
use crate::access::Action;
use crate::audit;
use crate::resolve::failure::Failure;

/// What went wrong with one parameter, or with an item of a step, and no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    failures: Vec<SubjectFailure>,
}

impl KeptFailures {
    pub(super) fn of(failures: &[Failure]) -> Self {
        let one = |failure: &Failure| {
            let asked = failure.asked.as_ref();
            let cause = asked.and_then(|asked| asked.cause).map_or("", crate::source::Cause::word);
            SubjectFailure {
                subject: failure.subject.to_string(),
                reason: failure.reason.word().to_owned(),
                source: asked.map_or("", |asked| asked.kind.word()).to_owned(),
                source_name: asked.map_or("", |asked| asked.source.as_str()).to_owned(),
                location: asked.map_or("", |asked| asked.location.as_str()).to_owned(),
                cause: cause.to_owned(),
                attempts: asked.map_or(0, |asked| asked.attempts),
            }
        };
        let failures = failures.iter().map(one).collect();
        Self { format: 1, answer: String::new(), failures }
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
        &self,
        caller: &Caller,
        run: RunSelector,
    ) -> Result<Vec<FailureView>, Refusal> {
        let event = self.event(caller, audit::Action::Read);
        let mut violations = Vec::new();
        let Some(named) = named_run(&run, &mut violations) else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let question = Question { action: Action::Read, recorded: audit::Action::Read, step: None };
        let event = match self.seek(caller, &named, question) {
            Ok(permitted) => permitted.event,
            Err(refused) => match *refused {
                // Who is told of these may read it wherever it would run.
                (event, Refusal::SnapshotUnreadable { .. }) => event,
                (event, Refusal::RunNotFound { pipeline, .. }) => {
                    if !self.in_force().plans.pipelines.contains_key(&named.pipeline) {
                        return Err(self
                            .refuse(event, Refusal::PipelineNotFound { pipeline })
                            .await);
                    }
                    event
                }
                (event, refusal) => return Err(self.refuse(event, refusal).await),
            },
        };
        let found = self.store.failures(&named.pipeline, &named.run_id).and_then(|failures| {
            Ok((failures, self.store.newest_attempt(&named.pipeline, &named.run_id)?))
        });
        let (failures, resolved) = match found {
            Ok(found) => found,
            Err(error) => return Err(self.refuse(event, store_refusal(&error)).await),
        };
        self.record_soon(event)?;
        let failed = failures.iter().map(|failure| failure.attempt).max();
        let newest = failed.max(resolved).unwrap_or_default();
        let attempt = if named.attempt == 0 { newest } else { named.attempt };
        let of_attempt = failures.into_iter().filter(|failure| failure.attempt == attempt);
        let told = of_attempt.filter_map(|failure| {
            let kept: KeptFailures = serde_json::from_slice(&failure.failure).ok()?;
            let KeptFailures { answer: reason, failures: mut subjects, .. } = kept;
            subjects.sort_by(|a, b| a.subject.cmp(&b.subject));
            let reason = if reason.is_empty() { "RESOLUTION_FAILED".into() } else { reason };
            Some(FailureView { time: failure.time, reason, subjects })
        });
        Ok(told.collect())
    }
}
