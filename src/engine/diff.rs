//! `DiffRuns`.

use std::sync::Arc;

use super::access::{PermittedRun, Question, named_run};
use super::open::LoadedRun;
use super::{Caller, Engine, Refusal, RunSelector, RunView};
use crate::access::Action;
use crate::audit;

impl Engine {
    /// Two runs to be compared, both of which the caller may read; with fingerprints
    /// where both may have them and they can be compared.
    ///
    /// # Errors
    /// As the contract says of `DiffRuns`.
    pub async fn diff_runs(
        &self,
        caller: &Caller,
        base: RunSelector,
        other: RunSelector,
    ) -> Result<[RunView; 2], Refusal> {
        let event = self.event(caller, audit::Action::Read);
        let mut violations = Vec::new();
        let mut named = |field: &str, run: &RunSelector| {
            let first = violations.len();
            let named = named_run(run, &mut violations);
            for violation in violations.iter_mut().skip(first) {
                violation.field = violation.field.replacen("run.", field, 1);
            }
            named
        };
        let names = (named("base.", &base), named("other.", &other));
        let (Some(base), Some(other)) = names else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let question = Question { action: Action::Read, recorded: audit::Action::Read, step: None };
        let base = self.permitted_run(caller, &base, question).await?;
        let other = self.permitted_run(caller, &other, question).await?;
        let (base, other) = (self.read(base)?, self.read(other)?);
        // Under two keys equal secrets have different fingerprints: they tell nothing.
        let same_key = base.request.fingerprint_key == other.request.fingerprint_key;
        let permitted = (self.may_show_run(caller, &base), self.may_show_run(caller, &other));
        let (ours, theirs) = match permitted {
            (Some(ours), Some(theirs)) if same_key => (Some(ours), Some(theirs)),
            _ => (None, None),
        };
        Ok([self.view_with(caller, &base, ours)?, self.view_with(caller, &other, theirs)?])
    }

    fn read(&self, permitted: PermittedRun) -> Result<Arc<LoadedRun>, Refusal> {
        self.record_soon(permitted.event)?;
        Ok(permitted.run)
    }
}
