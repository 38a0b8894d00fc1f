//! The audit log: who did what, chained by hash, with no field that could hold
//! a value.

mod accesses;
pub mod canonical;
pub mod event;
pub mod verify;

pub use accesses::Accesses;
pub use event::{Action, Event, EventDraft, Outcome, ParameterAccess, Principal, PrincipalKind};

/// Proof that an access is on disk. Only the store makes one, after the commit
/// that holds the access's event.
#[derive(Debug)]
pub struct Recorded {
    sequence: u64,
}

impl Recorded {
    /// For the store alone: call it after the commit, never before.
    pub(crate) fn after_commit(sequence: u64) -> Self {
        Self { sequence }
    }

    /// The place in the chain of the last event that was committed with it.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}
