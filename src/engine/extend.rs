//! `ExtendRun`.

use std::time::Duration;

use super::access::{Question, named_run};
use super::events::invalid;
use super::record::{internal, store_refusal};
use super::resolve::first::expiry;
use super::{Caller, Engine, Refusal, RunSelector, Violation};
use crate::access::Action;
use crate::audit::{self, Outcome};
use crate::resolve::record::Record;
use crate::store::{NewRun, RunEnd, StoreError, StoredRun};
use crate::telemetry::trail;

impl Engine {
    /// Lets an open run stay open longer.
    ///
    /// # Errors
    /// As the contract says of `ExtendRun`.
    pub async fn extend(
        &self,
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
        // One whose lifetime is over has ended, swept or not.
        if loaded.run.is_overdue(self.store.now()) {
            self.expire(&loaded.run.frozen.key).await;
        }
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
        let events = Box::new(move |run: &StoredRun, longer: bool| {
            let mut event = event;
            if run.end.is_some() || (!longer && run.frozen.expires < expires) {
                event.outcome = Outcome::Failed;
                "RUN_ENDED".clone_into(&mut event.reason);
            }
            vec![event]
        });
        let extended = self.store.extend_run(key.clone(), expires, bytes, events).await;
        self.open.forget(&key);
        match extended {
            Ok(run) => match run.end {
                Some((end, _)) => Err(Refusal::RunEnded { end }),
                // Its lifetime was over just now.
                None if run.frozen.expires < expires => {
                    self.expire(&key).await;
                    Err(Refusal::RunEnded { end: RunEnd::Expired })
                }
                None => Ok(run),
            },
            Err(StoreError::QueueFull) => Err(Refusal::AuditUnavailable),
            Err(error) => Err(store_refusal(&error)),
        }
    }
}
