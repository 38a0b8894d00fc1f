//! `ExtendRun`.

use std::sync::Arc;
use std::time::Duration;

use super::access::{Question, named_run};
use super::events::invalid;
use super::life::apart;
use super::record::{if_open, internal};
use super::resolve::first::expiry;
use super::{Caller, Engine, Refusal, RunSelector, Violation};
use crate::access::Action;
use crate::audit;
use crate::resolve::record::Record;
use crate::store::{Extended, NewRun, StoredRun};
use crate::telemetry::trail;

impl Engine {
    /// Lets an open run stay open longer.
    ///
    /// # Errors
    /// As the contract says of `ExtendRun`.
    pub async fn extend(
        self: &Arc<Self>,
        caller: &Caller,
        run: RunSelector,
        lifetime: Result<Duration, Violation>,
    ) -> Result<StoredRun, Refusal> {
        let event = self.event(caller, audit::Action::Complete);
        let mut violations = Vec::new();
        let Some(named) = named_run(&run, &mut violations) else {
            violations.extend(lifetime.err());
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let question =
            Question { action: Action::Complete, recorded: audit::Action::Complete, step: None };
        let permitted = self.permitted_run(caller, &named, question).await?;
        let (loaded, event) = (permitted.run, permitted.event);
        let cap = self.in_force().maximum_lifetime;
        let lifetime = lifetime.and_then(|lifetime| {
            let expected = || format!("expected at most {} seconds", cap.as_secs());
            if lifetime > cap { Err(invalid("lifetime", expected())) } else { Ok(lifetime) }
        });
        let lifetime = match lifetime {
            Ok(lifetime) => lifetime,
            Err(violation) => {
                return Err(self.refuse(event, Refusal::Invalid(vec![violation])).await);
            }
        };
        // What the record is authenticated with changes, so it is written anew.
        let record = Record {
            snapshot: loaded.snapshot.as_ref().clone(),
            request: loaded.request.clone(),
            interface: loaded.interface.clone(),
            plan: loaded.plan.clone(),
            origin: loaded.origin,
        };
        let frozen = &loaded.run.frozen;
        let (key, expires) = (frozen.key.clone(), expiry(frozen.created, lifetime));
        let Ok(bytes) = record.to_bytes(&NewRun { expires, ..frozen.clone() }, &self.sealer) else {
            return Err(self.refuse(event, internal("the record could not be written")).await);
        };
        trail::note(&event);
        let events = if_open(event);
        let (engine, extends) = (self.clone(), key.clone());
        let changed = apart(async move {
            let changed = engine.store.extend_run(extends.clone(), expires, bytes, events).await;
            engine.open.forget(&extends);
            changed
        });
        let Extended { run, end } = changed.await?;
        let Some(end) = end else { return Ok(run) };
        // Its lifetime is over, swept or not.
        if run.end.is_none() {
            self.expire(&key).await?;
        }
        Err(Refusal::RunEnded { end })
    }
}
