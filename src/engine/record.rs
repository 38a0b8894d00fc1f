//! Recording what was done or refused: no record, no answer.

use jiff::Timestamp;

use super::{Caller, Engine, Refusal};
use crate::audit::event::ItemName;
use crate::audit::{Accesses, Action, EventDraft, Outcome, ParameterAccess, Principal, Recorded};
use crate::name::{ParameterName, RunKey};
use crate::resolve::failure::Failure;
use crate::snapshot::{FrozenContent, Snapshot};
use crate::store::{Accessed, EventsWhere, StoreError};
use crate::telemetry::trail;

impl Engine {
    /// An event of a caller that succeeded so far.
    pub(super) fn event(&self, caller: &Caller, action: Action) -> EventDraft {
        let time = Timestamp::now();
        let mut event = EventDraft::new(time, caller.principal.clone(), action, Outcome::Succeeded);
        event.trace_id.clone_from(&caller.trace_id);
        event.bundle.clone_from(&self.in_force().plans.bundle);
        event
    }

    /// Records that a caller didn't prove who it is, and what it is told.
    pub async fn unauthenticated(&self, trace_id: String, told: Refusal) -> Refusal {
        let caller = Caller::new(Principal::anonymous(), trace_id);
        let event = self.event(&caller, Action::Authenticate);
        self.refuse(event, told).await
    }

    /// Records durably.
    ///
    /// # Errors
    /// It can't be recorded, so the access isn't granted.
    pub(super) async fn record(&self, event: EventDraft) -> Result<Recorded, Refusal> {
        trail::note(&event);
        self.store.record(vec![event]).await.map_err(|error| audit_refusal(&error))
    }

    /// Records a reveal in a commit in which the run is open. One that comes after the
    /// run's end is told to have failed.
    pub(super) async fn record_reveal(
        &self,
        run: &RunKey,
        event: EventDraft,
    ) -> Result<Recorded, Refusal> {
        trail::note(&event);
        let events = if_open(event);
        let accessed = self.store.record_access(run.clone(), events).await;
        match accessed.map_err(|error| audit_refusal(&error))? {
            Accessed { end: Some(end), .. } => Err(Refusal::RunEnded { end }),
            Accessed { end: None, recorded } => Ok(recorded),
        }
    }

    /// Records within a second.
    ///
    /// # Errors
    /// The queue is full, so the access isn't granted.
    pub(super) fn record_soon(&self, event: EventDraft) -> Result<(), Refusal> {
        trail::note(&event);
        self.store.record_soon(event).map_err(|error| audit_refusal(&error))
    }

    /// Records a refusal durably and gives it back.
    pub(super) async fn refuse(&self, mut event: EventDraft, refusal: Refusal) -> Refusal {
        event.outcome = match refusal {
            Refusal::AccessDenied { .. } | Refusal::Unauthenticated => Outcome::Denied,
            _ => Outcome::Failed,
        };
        refusal.reason().clone_into(&mut event.reason);
        match self.record(event).await {
            Ok(_) => refusal,
            Err(unavailable) => unavailable,
        }
    }
}

/// The event of what is done to a run as far as it is open in that commit: of one that
/// has ended it says that it failed.
pub(super) fn if_open(mut event: EventDraft) -> EventsWhere {
    Box::new(move |end| {
        if end.is_some() {
            event.outcome = Outcome::Failed;
            "RUN_ENDED".clone_into(&mut event.reason);
        }
        vec![event]
    })
}

pub(super) fn audit_refusal(error: &StoreError) -> Refusal {
    tracing::error!(%error, "an access can't be recorded, so it isn't granted");
    Refusal::AuditUnavailable
}

/// The store's errors to a caller who reads or writes runs.
pub(super) fn store_refusal(error: &StoreError) -> Refusal {
    tracing::error!(%error, "the store can't serve a request");
    Refusal::StoreUnavailable
}

/// A fault of ours: the caller learns a name for it, and the log what it was.
pub(super) fn internal(what: &'static str) -> Refusal {
    let mut bytes = [0_u8; 8];
    // Without randomness the incident is merely not unique.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    let incident = hex::encode(bytes);
    tracing::error!(%incident, what, "a fault of paramd");
    Refusal::Internal { incident }
}

/// Names in an event the parameters that were read, bound or revealed.
pub(super) fn name_accesses<'a>(
    event: &mut EventDraft,
    snapshot: &Snapshot,
    names: impl Iterator<Item = &'a ParameterName>,
    fingerprint_key: &str,
) {
    event.parameters = accesses(snapshot, names);
    name_key(event, fingerprint_key);
}

/// What an event says of these parameters of a snapshot.
pub(super) fn accesses<'a>(
    snapshot: &Snapshot,
    names: impl Iterator<Item = &'a ParameterName>,
) -> Accesses {
    names.filter_map(|name| access_of(snapshot, name)).collect()
}

/// Names the key of the fingerprints in an event, where there are any: the one that
/// they were made with when the run was frozen, which may not be today's.
pub(super) fn name_key(event: &mut EventDraft, fingerprint_key: &str) {
    if event.parameters.iter().any(|access| access.fingerprint.is_some()) {
        fingerprint_key.clone_into(&mut event.fingerprint_key);
    }
}

/// What an event says of a frozen parameter.
pub(super) fn access_of(snapshot: &Snapshot, name: &ParameterName) -> Option<ParameterAccess> {
    let parameter = snapshot.parameters.get(name)?;
    let provenance = parameter.provenance.as_ref()?;
    let fingerprint = match &parameter.content {
        FrozenContent::Secret(mark) => Some(mark.fingerprint),
        FrozenContent::Public(_) | FrozenContent::NotNeeded => None,
    };
    Some(ParameterAccess {
        name: ItemName::parameter(name),
        source: Some(provenance.source),
        source_name: provenance.source_name.clone(),
        location: provenance.location.clone(),
        version: provenance.version.clone(),
        fingerprint,
        violated_keyword: "",
    })
}

/// What an event says of the parameters that failed.
pub(super) fn accesses_of(failures: &[Failure]) -> Vec<ParameterAccess> {
    let mut accesses: Vec<ParameterAccess> = failures
        .iter()
        .filter_map(|failure| {
            let name = ParameterName::parse(&failure.subject).ok()?;
            let asked = failure.asked.as_ref();
            Some(ParameterAccess {
                name: ItemName::parameter(&name),
                source: asked.map(|asked| asked.kind),
                source_name: asked.map(|asked| asked.source.clone()),
                location: asked.map(|asked| asked.location.clone()).unwrap_or_default(),
                version: None,
                fingerprint: None,
                violated_keyword: failure.keyword,
            })
        })
        .collect();
    accesses.sort_by(|a, b| a.name.cmp(&b.name));
    accesses.dedup_by(|a, b| a.name == b.name);
    accesses
}
