//! The record of a run, and its end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::access::{PermittedRun, Question, named_run};
use super::record::{internal, store_refusal};
use super::{Caller, Engine, Refusal, RunSelector, RunView, Violation};
use crate::access::Action;
use crate::audit::{self, EventDraft, Outcome, Principal};
use crate::name::RunKey;
use crate::store::{RunEnd, StoreError, StoredRun};
use crate::telemetry::trail;

/// How often runs whose lifetime is over are looked for.
const SWEEP: Duration = Duration::from_millis(500);
/// The most runs that one sweep ends.
const SWEPT: usize = 256;

impl Engine {
    /// The record of a run, open or ended.
    ///
    /// # Errors
    /// As the contract says of `GetRun`.
    pub async fn get_run(&self, caller: &Caller, run: RunSelector) -> Result<RunView, Refusal> {
        let event = self.event(caller, audit::Action::Read);
        let mut violations = Vec::new();
        let Some(named) = named_run(&run, &mut violations) else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let question = Question { action: Action::Read, recorded: audit::Action::Read, step: None };
        let permitted = self.permitted_run(caller, &named, question).await?;
        self.record_soon(permitted.event)?;
        self.viewed(caller, &permitted.run)
    }

    /// Ends a run, or answers how it ended if that was the same way.
    ///
    /// # Errors
    /// As the contract says of `CompleteRun`.
    pub async fn complete(
        self: &Arc<Self>,
        caller: &Caller,
        run: RunSelector,
        end: Result<RunEnd, Violation>,
    ) -> Result<StoredRun, Refusal> {
        let event = self.event(caller, audit::Action::Complete);
        let mut violations = Vec::new();
        let Some(named) = named_run(&run, &mut violations) else {
            violations.extend(end.err());
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let question =
            Question { action: Action::Complete, recorded: audit::Action::Complete, step: None };
        let now = self.store.now();
        let (key, is_overdue, event) = match self.seek(caller, &named, question) {
            Ok(PermittedRun { run, event }) => {
                (run.run.frozen.key.clone(), run.run.is_overdue(now), event)
            }
            Err(refused) => match *refused {
                // What can't be read can be ended, so that its secrets are erased.
                (event, Refusal::SnapshotUnreadable { run }) => {
                    let stored = self.store.run(&run).ok().flatten();
                    (run, stored.is_some_and(|stored| stored.is_overdue(now)), event)
                }
                (event, refusal) => return Err(self.refuse(event, refusal).await),
            },
        };
        let end = match end {
            Ok(end) => end,
            Err(violation) => {
                return Err(self.refuse(event, Refusal::Invalid(vec![violation])).await);
            }
        };
        // One whose lifetime is over can't be completed any more, swept or not.
        if is_overdue && let Err(refusal) = self.expire(&key).await {
            return Err(self.refuse(event, refusal).await);
        }
        let ended = self.end(&key, end, event).await?;
        match ended.end {
            Some((how, _)) if how == end => Ok(ended),
            Some((how, _)) => Err(Refusal::RunEnded { end: how }),
            None => Err(internal("a run that was ended is open")),
        }
    }

    async fn end(
        self: &Arc<Self>,
        key: &RunKey,
        end: RunEnd,
        event: EventDraft,
    ) -> Result<StoredRun, Refusal> {
        trail::note(&event);
        let events = Box::new(move |run: &StoredRun, by_this_call: bool| {
            let mut event = event;
            let differs = run.end.is_some_and(|(how, _)| how != end);
            if !by_this_call && differs {
                event.outcome = Outcome::Failed;
                "RUN_ENDED".clone_into(&mut event.reason);
            }
            vec![event]
        });
        let (engine, key) = (self.clone(), key.clone());
        let changed = apart(async move {
            let changed = engine.store.end_run(key.clone(), end, events).await;
            engine.open.forget(&key);
            changed
        });
        changed.await.map(|ended| ended.run)
    }

    /// Ends runs whose lifetime is over, until the daemon stops.
    pub async fn expire_overdue(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            while self.sweep().await {}
        }
    }

    /// Ends overdue runs together, so that they share commits. Whether there may be
    /// more that can be ended.
    async fn sweep(self: &Arc<Self>) -> bool {
        match self.store.overdue(self.store.now(), SWEPT) {
            Ok(keys) => {
                let swept = join_all(keys.iter().map(|key| self.expire(key))).await;
                swept.len() == SWEPT && swept.iter().all(Result::is_ok)
            }
            Err(error) => {
                tracing::error!(%error, "overdue runs can't be looked for");
                false
            }
        }
    }

    /// Ends a run whose lifetime is over, and tells how it stands then: one that
    /// was extended meanwhile is open.
    pub(super) async fn expire(self: &Arc<Self>, key: &RunKey) -> Result<StoredRun, Refusal> {
        let now = jiff::Timestamp::now();
        let mut event =
            EventDraft::new(now, Principal::daemon(), audit::Action::Expire, Outcome::Succeeded);
        event.pipeline = Some(key.pipeline.clone());
        event.run = Some((key.run_id.clone(), key.attempt));
        let events = Box::new(move |run: &StoredRun, by_this_call: bool| {
            event.environment = Some(run.frozen.environment.clone());
            event.bundle.clone_from(&run.frozen.bundle);
            if by_this_call { vec![event] } else { Vec::new() }
        });
        let (engine, key) = (self.clone(), key.clone());
        let changed = apart(async move {
            let changed = engine.store.end_run(key.clone(), RunEnd::Expired, events).await;
            engine.open.forget(&key);
            changed
        });
        let expired = changed.await.map(|ended| ended.run);
        expired.inspect_err(|_| tracing::error!("a run whose lifetime is over can't be ended"))
    }
}

/// Changes a run apart from the caller who asked for it: when he goes, his call is
/// dropped where it waits, and what is kept ready has to follow what is on disk.
pub(super) async fn apart<T: Send + 'static>(
    change: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::spawn(trail::carried(change)).await {
        Ok(Ok(changed)) => Ok(changed),
        Ok(Err(StoreError::QueueFull)) => Err(Refusal::AuditUnavailable),
        Ok(Err(error)) => Err(store_refusal(&error)),
        Err(_) => Err(internal("a change of a run ended before its time")),
    }
}
