//! What a request turns out to be about, for its line in the log: the names that
//! its audit event has, which are those that the daemon knows. A name that is
//! unknown may be a misplaced secret and is in neither.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Instrument as _, Span};

use crate::audit::EventDraft;

tokio::task_local! {
    static TRAIL: Trail;
}

/// The names of one request, as they become known. Clones are one trail.
#[derive(Debug, Clone, Default)]
pub struct Trail(Arc<Mutex<Names>>);

/// The names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// `PIPELINE`, or `PIPELINE/RUN_ID/ATTEMPT`; empty where neither is known.
    pub run: String,
    /// The step; empty where none is known.
    pub step: String,
}

impl Trail {
    /// Does `work` with this trail to leave names on.
    pub async fn follow<T>(&self, work: impl Future<Output = T>) -> T {
        TRAIL.scope(self.clone(), work).await
    }

    /// The names so far.
    pub fn names(&self) -> Names {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Leaves the names of an event on the trail of the request that it belongs to.
pub fn note(event: &EventDraft) {
    let Some(pipeline) = &event.pipeline else { return };
    let run = match &event.run {
        Some((run_id, attempt)) => format!("{pipeline}/{run_id}/{attempt}"),
        None => pipeline.to_string(),
    };
    let step = event.step.as_ref().map(ToString::to_string).unwrap_or_default();
    // Outside of a request, as when a run expires, nobody follows.
    let _ = TRAIL.try_with(|trail| {
        *trail.0.lock().unwrap_or_else(PoisonError::into_inner) = Names { run, step };
    });
}

/// `work` for a task of its own, on the trail and in the span of this one.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let trail = TRAIL.try_with(Trail::clone).unwrap_or_default();
    async move { trail.follow(work).await }.instrument(Span::current())
}
