//! Events that become durable within a second: a bounded queue that the writer
//! empties with its next commit, or by itself.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::StoreError;
use crate::audit::EventDraft;

/// The most events that wait.
pub(super) const CAPACITY: usize = 8_192;
/// So many don't wait for their time: the writer takes them at once.
pub(super) const MANY: usize = 512;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Soon {
    queue: Mutex<Queue>,
    /// Told of the first event that waits.
    pub(super) added: Notify,
    /// Told when many wait.
    pub(super) many: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<EventDraft>,
    // Taken by the writer and not yet committed: they count, for a commit may
    // fail and bring them back.
    taken: usize,
    closed: bool,
}

impl Soon {
    /// Takes an event.
    pub(super) fn add(&self, event: EventDraft) -> Result<(), StoreError> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(StoreError::Closed);
        }
        if queue.waiting.len() + queue.taken >= CAPACITY {
            return Err(StoreError::QueueFull);
        }
        queue.waiting.push_back(event);
        let waiting = queue.waiting.len();
        drop(queue);
        if waiting == 1 {
            self.added.notify_one();
        } else if waiting.is_multiple_of(MANY) {
            self.many.notify_one();
        }
        Ok(())
    }

    /// The oldest events, at most `limit`, for a commit.
    pub(super) fn take(&self, limit: usize) -> Vec<EventDraft> {
        let mut queue = self.queue();
        let count = limit.min(queue.waiting.len());
        let taken: Vec<_> = queue.waiting.drain(..count).collect();
        queue.taken = taken.len();
        taken
    }

    /// What was taken is on disk.
    pub(super) fn committed(&self) {
        self.queue().taken = 0;
    }

    /// What was taken could not be committed: it goes back to the front.
    pub(super) fn give_back(&self, events: Vec<EventDraft>) {
        let mut queue = self.queue();
        queue.taken = 0;
        events.into_iter().rev().for_each(|event| queue.waiting.push_front(event));
    }

    /// Takes no more.
    pub(super) fn close(&self) {
        self.queue().closed = true;
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queue().waiting.len()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue().waiting.is_empty()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use jiff::Timestamp;

    use super::*;
    use crate::audit::{Action, Outcome, Principal};

    fn draft() -> EventDraft {
        let caller = Principal::unix_user(1);
        EventDraft::new(Timestamp::UNIX_EPOCH, caller, Action::Read, Outcome::Succeeded)
    }

    fn is_told(notify: &Notify) -> bool {
        notify.notified().now_or_never().is_some()
    }

    #[test]
    fn the_writer_is_told_of_the_first_event_and_of_many() {
        let soon = Soon::default();
        for _ in 0..3 {
            soon.add(draft()).unwrap();
            assert!(is_told(&soon.added));
            (2..MANY).for_each(|_| soon.add(draft()).unwrap());
            assert!(!is_told(&soon.many) && !is_told(&soon.added));
            soon.add(draft()).unwrap();
            assert!(is_told(&soon.many));
            // Busy, it hasn't taken them yet.
            (0..MANY).for_each(|_| soon.add(draft()).unwrap());
            assert!(is_told(&soon.many));
            assert_eq!(soon.take(CAPACITY).len(), 2 * MANY);
            soon.committed();
        }
    }
}
