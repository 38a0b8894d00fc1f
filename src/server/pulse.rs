//! What happens on a connection: whether somebody known uses it, and whether what
//! was begun on it moves. One that only takes up room is ended.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

use super::limits::Limits;
use super::strangers::Place;

/// The pulse of a connection.
#[derive(Debug)]
pub(super) struct Pulse {
    opened: Instant,
    /// Somebody has proved on it who he is.
    known: AtomicBool,
    /// Requests of ours that are in.
    begun: AtomicUsize,
    /// Requests of health and reflection that are in.
    others: AtomicUsize,
    /// When a request ended last, in milliseconds after it was opened.
    last: AtomicU64,
    /// Answers that are being taken, by the turn in which they were begun.
    answers: [AtomicUsize; 2],
    turn: AtomicUsize,
    /// Bytes of messages that are arriving.
    arriving: AtomicUsize,
    over: AtomicBool,
    wakes: AtomicWaker,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            known: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            answers: Default::default(),
            turn: AtomicUsize::new(0),
            arriving: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            wakes: AtomicWaker::new(),
        }
    }
}

impl Pulse {
    /// Somebody has proved who he is.
    pub(super) fn known(&self) {
        if !self.known.load(Ordering::Relaxed) {
            self.known.store(true, Ordering::Relaxed);
        }
    }

    /// Ends the connection.
    fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.wakes.wake();
    }

    /// Whether the connection has to end.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Resolves once the connection has to end.
    pub(super) fn poll_end(&self, context: &Context<'_>) -> Poll<()> {
        self.wakes.register(context.waker());
        if self.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// How long nothing was asked on it; none: something is.
    fn idle(&self) -> Option<Duration> {
        let none = self.begun.load(Ordering::Relaxed) == 0;
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        none.then(|| self.opened.elapsed().saturating_sub(last))
    }

    /// Ends it where it has been idle for too long.
    pub(super) fn look(&self, limits: &Limits) {
        let known = self.known.load(Ordering::Relaxed);
        let asked = self.others.load(Ordering::Relaxed) > 0;
        let limit = if known { limits.idle } else { limits.strange };
        if !asked && self.idle().is_some_and(|idle| idle >= limit) {
            tracing::debug!(known, "a connection was idle for too long");
            self.end();
        }
    }

    /// Ends it where an answer wasn't taken since the turn before.
    pub(super) fn next_turn(&self) {
        let next = self.turn.load(Ordering::Relaxed) ^ 1;
        if self.answers.get(next).is_some_and(|begun| begun.load(Ordering::Relaxed) > 0) {
            tracing::info!("a connection took its answers too slowly");
            self.end();
        }
        self.turn.store(next, Ordering::Relaxed);
    }

    /// A request of ours is in until what is given goes.
    pub(super) fn begin(pulse: Option<&Arc<Self>>) -> Begun {
        let pulse = pulse.cloned();
        if let Some(pulse) = &pulse {
            pulse.begun.fetch_add(1, Ordering::Relaxed);
        }
        Begun(pulse)
    }

    /// A request of health or reflection; none where there are too many.
    pub(super) fn begin_other(pulse: Option<&Arc<Self>>, most: usize) -> Option<Other> {
        let pulse = pulse.cloned();
        if let Some(pulse) = &pulse {
            let other = Other(Some(Arc::clone(pulse)));
            return (pulse.others.fetch_add(1, Ordering::Relaxed) < most).then_some(other);
        }
        Some(Other(pulse))
    }
}

/// A request that is in.
#[derive(Debug)]
pub(super) struct Begun(Option<Arc<Pulse>>);

impl Begun {
    /// Its answer is ready to be taken.
    pub(super) fn answered(self) -> Answer {
        let turn = self.0.as_ref().map_or(0, |pulse| {
            let turn = pulse.turn.load(Ordering::Relaxed);
            if let Some(count) = pulse.answers.get(turn) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            turn
        });
        Answer { begun: self, turn }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(pulse) = &self.0 {
            let now = u64::try_from(pulse.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
            pulse.last.store(now, Ordering::Relaxed);
            pulse.begun.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// An answer that is being taken.
#[derive(Debug)]
pub(super) struct Answer {
    begun: Begun,
    turn: usize,
}

impl Drop for Answer {
    fn drop(&mut self) {
        let answers = self.begun.0.as_ref().and_then(|pulse| pulse.answers.get(self.turn));
        if let Some(count) = answers {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A request of health or reflection that is in.
#[derive(Debug)]
pub(super) struct Other(Option<Arc<Pulse>>);

impl Drop for Other {
    fn drop(&mut self) {
        if let Some(pulse) = &self.0 {
            let now = u64::try_from(pulse.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
            pulse.last.store(now, Ordering::Relaxed);
            pulse.others.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The bytes of messages that are arriving on all connections.
#[derive(Debug, Default)]
pub(super) struct Arriving(AtomicUsize);

/// The bytes of one message that have arrived so far.
#[derive(Debug)]
pub(super) struct Arrived {
    all: Arc<Arriving>,
    pulse: Option<Arc<Pulse>>,
    bytes: usize,
    counted: usize,
}

impl Arrived {
    pub(super) fn new(all: &Arc<Arriving>, pulse: Option<&Arc<Pulse>>) -> Self {
        Self { all: Arc::clone(all), pulse: pulse.cloned(), bytes: 0, counted: 0 }
    }

    /// Counts more bytes; not where there are too many on their way. A small
    /// message is let through whatever others send.
    pub(super) fn more(&mut self, bytes: usize, limits: &Limits) -> bool {
        self.bytes += bytes;
        let counted = self.bytes.saturating_sub(limits.small_message);
        let more = counted - self.counted;
        if more == 0 {
            return true;
        }
        self.counted = counted;
        let add = |count: &AtomicUsize| count.fetch_add(more, Ordering::Relaxed) + more;
        let own = self.pulse.as_ref().map_or(0, |pulse| add(&pulse.arriving));
        let all = add(&self.all.0);
        own <= limits.arriving && all <= limits.all_arriving
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        if self.counted == 0 {
            return;
        }
        self.all.0.fetch_sub(self.counted, Ordering::Relaxed);
        if let Some(pulse) = &self.pulse {
            pulse.arriving.fetch_sub(self.counted, Ordering::Relaxed);
        }
    }
}

/// The connections of a listener, oldest first.
#[derive(Debug, Default)]
pub(super) struct Crowd(Mutex<Vec<(Place, Weak<Pulse>)>>);

impl Crowd {
    /// Takes a connection in; not where its place has all that it may have and
    /// uses them. Of those that aren't used one gives way to it.
    pub(super) fn enter(&self, place: Place, pulse: &Arc<Pulse>, most: usize) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same: Vec<_> = living(&mut all, |one| *one == place);
        if same.len() >= most && !make_room(&same) {
            return false;
        }
        all.push((place, Arc::downgrade(pulse)));
        true
    }

    /// Ends the connection that is needed least; not where all are used.
    pub(super) fn make_room(&self) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&living(&mut all, |_| true))
    }
}

fn living(all: &mut Vec<(Place, Weak<Pulse>)>, wanted: impl Fn(&Place) -> bool) -> Vec<Arc<Pulse>> {
    let mut found = Vec::new();
    all.retain(|(place, pulse)| {
        let pulse = pulse.upgrade().filter(|pulse| !pulse.is_over());
        let lives = pulse.is_some();
        found.extend(pulse.filter(|_| wanted(place)));
        lives
    });
    found
}

/// Ends the oldest on which nobody has proved who he is, else the one that was idle
/// for longest.
fn make_room(all: &[Arc<Pulse>]) -> bool {
    let strange = all.iter().find(|pulse| !pulse.known.load(Ordering::Relaxed));
    let idle = || all.iter().filter(|pulse| pulse.others.load(Ordering::Relaxed) == 0);
    let idle = || idle().filter_map(|pulse| Some((pulse.idle()?, pulse))).max_by_key(|one| one.0);
    let least = strange.or_else(|| idle().map(|(_, pulse)| pulse));
    least.inspect(|pulse| pulse.end()).is_some()
}

#[cfg(test)]
mod tests;
