//! Open runs, ready to answer: a bounded cache over the store.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use super::ready::Ready;
use crate::name::{ParameterName, RunKey};
use crate::plan::{Interface, KeptPlan};
use crate::resolve::record::{Origin, Record};
use crate::resolve::request::FrozenRequest;
use crate::snapshot::Snapshot;
use crate::store::StoredRun;

/// The most runs that are kept ready. Another one costs no memory, and is read from
/// the store when it is asked for.
const MAX_RUNS: usize = 256;
/// The most bytes of them all, about.
const MAX_BYTES: usize = 256 << 20;
/// What a run costs beside its record and its secrets.
const RUN_BYTES: usize = 64 << 10;

/// A run as the engine works with it.
pub(super) struct LoadedRun {
    /// As it is kept; its record and sealed part are taken out.
    pub(super) run: Arc<StoredRun>,
    /// What was frozen.
    pub(super) snapshot: Arc<Snapshot>,
    /// What it was asked with.
    pub(super) request: FrozenRequest,
    /// The parameters that it binds itself, ordered.
    pub(super) overridden: Vec<ParameterName>,
    /// What could be passed to it.
    pub(super) interface: Arc<Interface>,
    /// What an exact repetition needs of its plan.
    pub(super) plan: Option<KeptPlan>,
    /// The attempt whose name and time its parameters know.
    pub(super) origin: Origin,
    /// Its sealed values; empty once it has ended.
    pub(super) sealed: Bytes,
    /// The bytes that it is kept in, about.
    size: usize,
    /// What was made of it.
    pub(super) ready: Ready,
}

impl LoadedRun {
    pub(super) fn new(
        run: Arc<StoredRun>,
        record: Record,
        sealed: Bytes,
        record_bytes: usize,
    ) -> Self {
        let size = RUN_BYTES + record_bytes + sealed.len();
        let Record { snapshot, request, interface, plan, origin } = record;
        let overridden = request.overrides.keys().cloned().collect();
        let (snapshot, ready) = (Arc::new(snapshot), Ready::up_to(size));
        Self { run, snapshot, request, overridden, interface, plan, origin, sealed, size, ready }
    }

    /// Whether it is open at `now`. One whose lifetime is over is not, whether or
    /// not that is recorded yet.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.run.end.is_none() && !self.run.is_overdue(now)
    }

    /// What keeping it ready costs, about: what is made of it has as much again.
    fn cost(&self) -> usize {
        2 * self.size
    }
}

/// The runs that are kept ready. The store's daemon is its only writer, so that
/// what is here is what is there.
#[derive(Default)]
pub(super) struct OpenRuns(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    runs: HashMap<RunKey, Arc<LoadedRun>>,
    /// In the order in which they came, oldest first.
    order: VecDeque<RunKey>,
    /// What they cost together.
    bytes: usize,
    /// Grows whenever a run ends: what was read before is not kept after.
    epoch: u64,
}

impl OpenRuns {
    pub(super) fn find(&self, key: &RunKey) -> Option<Arc<LoadedRun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).runs.get(key).cloned()
    }

    /// To be asked for before a run is read from the store.
    pub(super) fn epoch(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).epoch
    }

    /// Keeps a run that was read in this epoch, unless one has ended since: it
    /// could be this one.
    pub(super) fn keep(&self, run: Arc<LoadedRun>, epoch: u64) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.epoch != epoch {
            return;
        }
        let key = run.run.frozen.key.clone();
        kept.bytes += run.cost();
        match kept.runs.insert(key.clone(), run) {
            Some(replaced) => kept.bytes -= replaced.cost(),
            None => kept.order.push_back(key),
        }
        while kept.runs.len() > MAX_RUNS || kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.order.pop_front() else { return };
            let gone = kept.runs.remove(&oldest);
            kept.bytes -= gone.map_or(0, |gone| gone.cost());
        }
    }

    pub(super) fn forget(&self, key: &RunKey) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.epoch += 1;
        if let Some(gone) = kept.runs.remove(key) {
            kept.bytes -= gone.cost();
            kept.order.retain(|other| other != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::loaded;

    fn key(run_id: &str) -> RunKey {
        RunKey { run_id: run_id.parse().unwrap(), ..crate::resolve::testing::key() }
    }

    #[test]
    fn runs_are_kept_up_to_a_number_of_bytes_the_oldest_go_first() {
        let kept = OpenRuns::default();
        let large = MAX_BYTES / 5;
        for name in ["a", "b", "c"] {
            kept.keep(Arc::new(loaded(name, large)), kept.epoch());
        }
        assert!(kept.find(&key("a")).is_none());
        assert!(kept.find(&key("b")).is_some() && kept.find(&key("c")).is_some());
        // The same run again is no other run.
        kept.keep(Arc::new(loaded("c", large)), kept.epoch());
        assert!(kept.find(&key("b")).is_some());
        kept.forget(&key("b"));
        assert!(kept.find(&key("b")).is_none());
        kept.forget(&key("c"));
        assert_eq!(kept.0.lock().unwrap().bytes, 0);
    }

    #[test]
    fn what_was_read_before_a_run_ended_is_not_kept_after() {
        let kept = OpenRuns::default();
        let before = kept.epoch();
        kept.forget(&key("a"));
        kept.keep(Arc::new(loaded("a", 1)), before);
        assert!(kept.find(&key("a")).is_none());
    }
}
