//! `DiffRuns`.

use super::access::{PermittedRun, Question, named_run};
use super::{Caller, Engine, Refusal, RunSelector, RunView};
use crate::access::Action;
use crate::audit;

impl Engine {
    /// Two runs to be compared, both of which the caller may read.
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
        Ok([self.compared(caller, base)?, self.compared(caller, other)?])
    }

    fn compared(&self, caller: &Caller, permitted: PermittedRun) -> Result<RunView, Refusal> {
        self.record_soon(permitted.event)?;
        self.viewed(caller, &permitted.run)
    }
}
