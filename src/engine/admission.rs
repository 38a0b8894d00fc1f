//! Whether a caller may ask for one more: before any work is done for him, and
//! once more before a run is made.

use super::{Caller, Engine, Refusal};
use crate::allowance::{Admitted, Ask, Over};
use crate::audit::{self, EventDraft};

impl Engine {
    /// Takes a caller's request in; it counts until what is given goes.
    ///
    /// # Errors
    /// It is one too many.
    pub async fn admit(
        &self,
        caller: &Caller,
        action: audit::Action,
        ask: Ask,
    ) -> Result<Admitted, Refusal> {
        match self.allowance.admit(&caller.principal, ask) {
            Ok(admitted) => Ok(admitted),
            Err(over) => Err(self.too_many(over, self.event(caller, action)).await),
        }
    }

    /// Takes a run in that is to be made.
    ///
    /// # Errors
    /// It is one too many. What was asked for stands in the event.
    pub(super) async fn admit_run(
        &self,
        caller: &Caller,
        event: &EventDraft,
    ) -> Result<Admitted, Refusal> {
        match self.allowance.admit(&caller.principal, Ask::NewRun) {
            Ok(admitted) => Ok(admitted),
            Err(over) => Err(self.too_many(over, event.clone()).await),
        }
    }

    /// What a caller over a limit is told. Of a principal and limit one a minute is
    /// recorded: a record of each would be what the limit is there to keep off.
    async fn too_many(&self, over: Over, event: EventDraft) -> Refusal {
        let Over { limit, of, wait, tell } = over;
        let refusal = Refusal::RateLimited { limit: limit.word(), of, retry_after: wait };
        if !tell {
            return refusal;
        }
        tracing::warn!(
            principal = event.principal.name,
            limit = limit.word(),
            of,
            "a limit is reached: of the next minute only the metrics count what is refused"
        );
        self.refuse(event, refusal).await
    }
}
