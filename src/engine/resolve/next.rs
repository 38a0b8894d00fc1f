//! An attempt after the first: the request of the one before again, with today's
//! definitions and sources or with what that one had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::first::{FirstCall, lifetime, run_scope};
use super::{Asked, expect_revision};
use crate::audit::EventDraft;
use crate::engine::open::LoadedRun;
use crate::engine::{Caller, Engine, InForce, Refusal};
use crate::name::RunKey;
use crate::plan::{KeptPlan, KeptWith};
use crate::resolve::exact::{self, Before};
use crate::resolve::failure::{Failure, exact_refusal};
use crate::resolve::request::FrozenRequest;
use crate::resolve::submission::{Overrides, ReadOverrides, Submission};
use crate::resolve::{Outcome, Resolution};
use crate::store::AttemptMode;

/// What an attempt repeats exactly.
pub(super) struct Repeats {
    /// The attempt before.
    pub(super) before: Arc<LoadedRun>,
    /// What was kept of its plan.
    pub(super) kept: KeptPlan,
}

impl Engine {
    /// Checks everything about the first call of a further attempt that needs no
    /// source.
    pub(super) fn next_attempt(
        &self,
        in_force: Arc<InForce>,
        caller: &Caller,
        asked: &Asked,
        overrides: Overrides,
        before: Arc<LoadedRun>,
        event: &mut EventDraft,
    ) -> Result<FirstCall, Refusal> {
        if asked.mode != Some(AttemptMode::Exact) {
            self.compare(caller, asked, overrides.clone(), &before, event)?;
            return self.first_call(in_force, asked, overrides, event);
        }
        let read = self.compare(caller, asked, overrides, &before, event)?;
        self.exact_attempt(in_force, asked, read, before)
    }

    fn exact_attempt(
        &self,
        in_force: Arc<InForce>,
        asked: &Asked,
        read: ReadOverrides,
        before: Arc<LoadedRun>,
    ) -> Result<FirstCall, Refusal> {
        let frozen = &before.run.frozen;
        expect_revision(asked, &frozen.revision)?;
        let restored = before.plan.clone().and_then(|kept| {
            let with = KeptWith {
                pipeline: &frozen.key.pipeline,
                environment: &frozen.environment,
                revision: &frozen.revision,
                bundle: &frozen.bundle,
                interface: &before.interface,
                secret_origins: &before.snapshot.secret_origins,
                wanted: exact::wanted(&before.snapshot, &kept),
            };
            Some((Arc::new(kept.restore(&with, &in_force.plans).ok()?), kept))
        });
        let Some((plan, kept)) = restored else {
            return Err(exact_refusal(exact::unrepeatable(&before.snapshot)));
        };
        let mut violations = Vec::new();
        let lifetime = lifetime(asked, &plan, &in_force, &mut violations);
        if !violations.is_empty() {
            return Err(Refusal::Invalid(violations));
        }
        let request = Arc::new(FrozenRequest::new(
            asked.environment.clone(),
            &asked.preset,
            asked.logical_date,
            &read.values,
            &before.interface,
            &self.fingerprints,
        ));
        let submission = Submission {
            preset: frozen.preset.clone(),
            values: BTreeMap::new(),
            overrides: read.values,
            warnings: before.snapshot.warnings.clone(),
            unsound: BTreeSet::new(),
        };
        Ok(FirstCall {
            plan,
            in_force,
            submission,
            request,
            started: self.store.now(),
            lifetime,
            mode: asked.mode,
            labels: asked.labels.clone(),
            repeats: Some(Repeats { before, kept }),
        })
    }

    /// Repeats an attempt.
    pub(super) async fn repeat(
        &self,
        resolution: &Resolution<'_>,
        repeats: &Repeats,
    ) -> Result<Outcome, Vec<Failure>> {
        let before = &repeats.before;
        let origin = before.origin;
        let key = RunKey { attempt: origin.attempt, ..resolution.key.clone() };
        let scope = run_scope(&key, origin.started, before.request.logical_date);
        let before = Before {
            snapshot: &before.snapshot,
            origin: &scope,
            is_comparable: before.request.fingerprint_key == self.fingerprints.id(),
        };
        exact::repeat(resolution, &repeats.kept, &before).await
    }
}
