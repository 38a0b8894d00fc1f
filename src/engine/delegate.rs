//! `MintStepToken`, and what a step token is good for.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::access::{PermittedRun, Question, named_run, well_formed};
use super::record::{audit_refusal, if_open, internal, store_refusal};
use super::{Caller, Engine, MintRequest, Refusal, StepPass, StepTokenAnswer};
use crate::access::Action;
use crate::audit::{self, Principal, PrincipalKind};
use crate::name::{RunKey, StepKey, StepName};
use crate::snapshot::StepAction;
use crate::store::{Accessed, StoreError};
use crate::telemetry::trail;
use crate::token::{Grant, Holder};

/// The most step tokens of a run: four for each instance of its largest step.
const MAX_TOKENS: usize = 4_096;
/// How long one lives at most.
pub const MAX_STEP_TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);
/// When to ask again where there are too many: those of others expire meanwhile.
const TOO_MANY_PAUSE: Duration = Duration::from_secs(60);
/// The most characters of a principal's name.
const MAX_NAME: usize = 512;

impl Engine {
    /// Makes a token for one step of an open run.
    ///
    /// # Errors
    /// As the contract says of `MintStepToken`.
    pub async fn mint_step_token(
        &self,
        caller: &Caller,
        request: MintRequest,
    ) -> Result<StepTokenAnswer, Refusal> {
        let event = self.event(caller, audit::Action::Delegate);
        let mut violations = Vec::new();
        let named = named_run(&request.run, &mut violations);
        let step = well_formed("step", &request.step, StepName::parse, &mut violations);
        let complete = request.problems.is_empty();
        violations.extend(request.problems);
        let (Some(named), Some(step), Some(holder), true) = (named, step, request.holder, complete)
        else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let question = Question {
            action: Action::Delegate,
            recorded: audit::Action::Delegate,
            step: Some(step.as_str()),
        };
        let PermittedRun { run, event } = self.permitted_run(caller, &named, question).await?;
        let refusal = match self.open_step(&run, &step) {
            Err(refusal) => Some(refusal),
            Ok(found) if found.decision.action == StepAction::Skip => {
                Some(Refusal::StepSkipped { step: step.to_string() })
            }
            Ok(_) => self.too_many_tokens(&run.run.frozen.key),
        };
        if let Some(refusal) = refusal {
            return Err(self.refuse(event, refusal).await);
        }
        let frozen = &run.run.frozen;
        let ends = self.store.now().checked_add(request.lifetime).unwrap_or(Timestamp::MAX);
        let grant = Grant {
            step: StepKey { run: frozen.key.clone(), step },
            holder,
            minter: caller.principal.clone(),
            expires: ends.min(frozen.expires),
        };
        let Ok(minted) = self.step_tokens.mint(&grant) else {
            return Err(self.refuse(event, internal("a step token could not be made")).await);
        };
        trail::note(&event);
        let events = if_open(event);
        let added = self.store.add_step_token(minted.kept, events).await;
        match added {
            Ok(Accessed { end: None, .. }) => {}
            Ok(Accessed { end: Some(end), .. }) => return Err(Refusal::RunEnded { end }),
            Err(error @ StoreError::NoSuchRun) => return Err(store_refusal(&error)),
            Err(error) => return Err(audit_refusal(&error)),
        }
        let Grant { step: StepKey { run, .. }, expires, .. } = grant;
        Ok(StepTokenAnswer { token: minted.token, run, expires })
    }

    fn too_many_tokens(&self, run: &RunKey) -> Option<Refusal> {
        match self.store.step_tokens(run) {
            Ok(there) if there < MAX_TOKENS => None,
            Ok(_) => {
                let (limit, of, retry_after) = ("step_tokens", "run", TOO_MANY_PAUSE);
                Some(Refusal::RateLimited { limit, of, retry_after })
            }
            Err(error) => Some(store_refusal(&error)),
        }
    }

    /// What a step token is good for now; none: it isn't one that was made, its time
    /// is over, or its run has ended.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn step_grant(&self, token: &[u8]) -> Result<Option<Grant>, StoreError> {
        let Some(hash) = self.step_tokens.find(token) else { return Ok(None) };
        let Some(kept) = self.store.step_token(&hash)? else { return Ok(None) };
        let grant = self.step_tokens.grant(kept);
        Ok(grant.filter(|grant| grant.expires > self.store.now()))
    }
}

impl Caller {
    /// Who shows a step token, and has proved that it is his.
    pub fn with_step_token(grant: Grant, trace_id: String) -> Self {
        let name = format!("step-token:{}", grant.minter.name).chars().take(MAX_NAME).collect();
        let principal = Principal { name, kind: PrincipalKind::StepToken };
        let sealed_only = matches!(grant.holder, Holder::Key(_));
        let step = Some(Arc::new(StepPass { step: grant.step, sealed_only }));
        Self { step, ..Self::new(principal, trace_id) }
    }
}
