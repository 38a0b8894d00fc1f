//! The first call of a run: checked, resolved, frozen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::next::Repeats;
use super::{Asked, expect_revision, planned};
use crate::audit::{EventDraft, Outcome};
use crate::engine::failures::KeptFailures;
use crate::engine::flight::Landed;
use crate::engine::record::{accesses_of, internal, name_accesses, store_refusal};
use crate::engine::{Caller, Engine, InForce, Refusal, Violation, ViolationReason};
use crate::expression::RunScope;
use crate::name::RunKey;
use crate::plan::{KeptPlan, Plan};
use crate::resolve::check::{Checked, check_request};
use crate::resolve::failure::{Failure, exact_refusal, refusal};
use crate::resolve::offline::OfflineRun;
use crate::resolve::record::{Origin, Record};
use crate::resolve::request::FrozenRequest;
use crate::resolve::submission::{Overrides, Submission};
use crate::resolve::{self, Resolution};
use crate::secret::SecretBytes;
use crate::store::sealing::Unsealable;
use crate::store::{AttemptMode, Created, NewRun, StoreError};
use crate::telemetry::{measure, trail};

/// All that the first call of a run needs to resolve it.
pub(super) struct FirstCall {
    pub(super) plan: Arc<Plan>,
    pub(super) in_force: Arc<InForce>,
    pub(super) submission: Submission,
    pub(super) request: Arc<FrozenRequest>,
    pub(super) started: Timestamp,
    pub(super) lifetime: Duration,
    pub(super) mode: Option<AttemptMode>,
    pub(super) labels: BTreeMap<String, String>,
    /// The attempt that it repeats exactly.
    pub(super) repeats: Option<Repeats>,
}

/// How failures are told.
type Telling = fn(Vec<Failure>) -> Refusal;

impl FirstCall {
    fn kept(&self) -> KeptPlan {
        let repeated = self.repeats.as_ref().map(|repeats| repeats.kept.clone());
        repeated.unwrap_or_else(|| KeptPlan::of(&self.plan))
    }

    fn origin(&self, key: &RunKey) -> Origin {
        let own = Origin { attempt: key.attempt, started: self.started };
        self.repeats.as_ref().map_or(own, |repeats| repeats.before.origin)
    }
}

impl Engine {
    /// Checks everything about a first call that needs no source.
    pub(super) fn first_call(
        &self,
        in_force: Arc<InForce>,
        asked: &Asked,
        overrides: Overrides,
        event: &mut EventDraft,
    ) -> Result<FirstCall, Refusal> {
        let plan = planned(&in_force, asked.named.pipeline.as_str(), asked.environment.as_str())?;
        if asked.problems.is_empty() {
            expect_revision(asked, &plan.revision)?;
        }
        let mut violations = asked.problems.clone();
        let lifetime = lifetime(asked, &plan, &in_force, &mut violations);
        let started = self.store.now();
        let scope = run_scope(&asked.key, started, asked.logical_date);
        let run = OfflineRun::Named(&scope);
        let Checked { submission, unknown_names } =
            check_request(&plan, &asked.preset, overrides, run, &mut violations);
        event.unknown_names += unknown_names;
        if !violations.is_empty() {
            return Err(Refusal::Invalid(violations));
        }
        let request = FrozenRequest::new(
            asked.environment.clone(),
            &asked.preset,
            asked.logical_date,
            &submission.overrides,
            &plan.common.interface,
            &self.fingerprints,
        );
        let (mode, labels) = (asked.mode, asked.labels.clone());
        let request = Arc::new(request);
        Ok(FirstCall {
            plan,
            in_force,
            submission,
            request,
            started,
            lifetime,
            mode,
            labels,
            repeats: None,
        })
    }

    /// Resolves and keeps a run; none where one of its name is there by now.
    pub(super) async fn freeze(
        &self,
        caller: &Caller,
        key: &RunKey,
        first: FirstCall,
        mut event: EventDraft,
    ) -> Landed {
        let scope = run_scope(key, first.started, first.request.logical_date);
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
        event.bundle.clone_from(&first.plan.bundle);
        let begun = Instant::now();
        let resolved = match &first.repeats {
            None => resolve::resolve(&resolution)
                .await
                .map_err(|failures| (failures, refusal as Telling)),
            Some(repeats) => self
                .repeat(&resolution, repeats)
                .await
                .map_err(|failures| (failures, exact_refusal as Telling)),
        };
        measure::resolution(resolved.is_ok(), begun.elapsed());
        match resolved {
            Ok(outcome) => self.keep(caller, key, first, outcome, event).await,
            Err((failures, tell)) => {
                let (environment, preset) = (&first.plan.environment, &first.submission.preset);
                let kept = KeptFailures::of(&failures, environment.clone(), preset.clone());
                Err(self.failed(key, failures, kept, tell, event).await)
            }
        }
    }

    /// Records why a run could not be resolved.
    async fn failed(
        &self,
        key: &RunKey,
        failures: Vec<Failure>,
        kept: KeptFailures,
        tell: Telling,
        mut event: EventDraft,
    ) -> Refusal {
        event.outcome = Outcome::Failed;
        event.parameters = accesses_of(&failures).into();
        // It is kept under its name, so the name is known from here on.
        event.run = Some((key.run_id.clone(), key.attempt));
        trail::note(&event);
        let refusal = tell(failures);
        refusal.reason().clone_into(&mut event.reason);
        let kept = kept.answered(&event.reason);
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
            plan: Some(first.kept()),
            origin: first.origin(key),
        };
        let parameters = record.snapshot.parameters.keys();
        let fingerprint_key = &record.request.fingerprint_key;
        name_accesses(&mut event, &record.snapshot, parameters, fingerprint_key);
        event.run = Some((key.run_id.clone(), key.attempt));
        trail::note(&event);
        let Ok(sealed) = self.seal(key, &outcome.secrets) else {
            return Err(self.refuse(event, internal("the secrets could not be sealed")).await);
        };
        let mut new = new_run(caller, key, &first, sealed);
        let Ok(bytes) = record.to_bytes(&new, &self.sealer) else {
            return Err(self.refuse(event, internal("the record could not be written")).await);
        };
        new.record = bytes;
        match self.store.create_run(new, vec![event]).await {
            Ok(Created::Created(_)) => {}
            Ok(Created::Exists) => return Ok(None),
            Err(StoreError::QueueFull) => return Err(Refusal::AuditUnavailable),
            Err(error) => return Err(store_refusal(&error)),
        }
        // Read back: what this call answers is what every later one will.
        let run = self.find_key(key)?.ok_or_else(|| internal("a run that was stored isn't there"));
        run.map(Some)
    }

    #[expect(clippy::disallowed_methods, reason = "the sealed store takes the secrets' bytes")]
    fn seal(&self, key: &RunKey, secrets: &[(String, SecretBytes)]) -> Result<Vec<u8>, Unsealable> {
        let items: Vec<(String, &[u8])> =
            secrets.iter().map(|(name, bytes)| (name.clone(), bytes.expose())).collect();
        self.sealer.seal(key, &items)
    }
}

/// When a run ends by itself. The store's times reach to the year 2262.
pub(in crate::engine) fn expiry(created: Timestamp, lifetime: Duration) -> Timestamp {
    let latest = Timestamp::from_nanosecond(i64::MAX.into()).unwrap_or(Timestamp::MAX);
    created.checked_add(lifetime).unwrap_or(latest).min(latest)
}

fn new_run(caller: &Caller, key: &RunKey, first: &FirstCall, sealed: Vec<u8>) -> NewRun {
    let expires = expiry(first.started, first.lifetime);
    NewRun {
        key: key.clone(),
        environment: first.plan.environment.clone(),
        preset: first.submission.preset.clone(),
        owner: caller.principal.clone(),
        revision: first.plan.revision.clone(),
        bundle: first.plan.bundle.clone(),
        logical_date: first.request.logical_date,
        mode: first.mode,
        labels: first.labels.clone(),
        created: first.started,
        expires,
        record: Vec::new(),
        sealed,
    }
}

pub(super) fn run_scope(key: &RunKey, started: Timestamp, date: Option<Timestamp>) -> RunScope {
    RunScope {
        id: key.run_id.to_string(),
        attempt: key.attempt,
        started_at: started.to_string(),
        logical_date: date.map(|date| date.to_string()),
    }
}

const LEAST_LIFETIME: Duration = Duration::from_mins(1);

pub(super) fn lifetime(
    asked: &Asked,
    plan: &Plan,
    in_force: &InForce,
    violations: &mut Vec<Violation>,
) -> Duration {
    let Some(lifetime) = asked.lifetime else {
        // What an earlier bundle said may be over today's cap.
        return plan.common.lifetime.min(in_force.maximum_lifetime);
    };
    if lifetime < LEAST_LIFETIME || lifetime > in_force.maximum_lifetime {
        violations.push(Violation {
            field: "lifetime".into(),
            reason: ViolationReason::InvalidField,
            description: format!("expected 60 to {} seconds", in_force.maximum_lifetime.as_secs()),
        });
    }
    lifetime
}
