//! Events that become durable within a second: a bounded queue that the writer
//! empties with its next commit, or by itself.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::StoreError;
use crate::audit::EventDraft;

/// The most events that wait.
pub(super) const CAPACITY: usize = 8_192;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Soon {
    queue: Mutex<Queue>,
    /// Told of each new event.
    pub(super) added: Notify,
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
        drop(queue);
        self.added.notify_one();
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
