//! Polls that were answered "not modified": recorded once a minute for a
//! principal and step.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::audit::Principal;
use crate::name::{RunKey, StepName};

/// How long a record stands for the polls after it.
const PERIOD: Duration = Duration::from_mins(1);
/// The most polls that are remembered; each of those beyond is recorded.
const MAX_POLLS: usize = 10_000;

/// Who polls which step of which run.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Poll {
    pub(super) principal: Principal,
    pub(super) run: RunKey,
    pub(super) step: StepName,
}

/// When each poll was recorded last.
#[derive(Default)]
pub(super) struct Polls(Mutex<HashMap<Poll, Instant>>);

impl Polls {
    /// Whether a poll is to be recorded at `now`; it is taken as recorded then.
    pub(super) fn is_due(&self, poll: Poll, now: Instant) -> bool {
        let is_over = |last: Instant| now.saturating_duration_since(last) >= PERIOD;
        let mut polls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if polls.get(&poll).is_some_and(|last| !is_over(*last)) {
            return false;
        }
        if polls.len() >= MAX_POLLS {
            polls.retain(|_, last| !is_over(*last));
        }
        if polls.len() < MAX_POLLS || polls.contains_key(&poll) {
            polls.insert(poll, now);
        }
        true
    }

    /// It could not be recorded after all.
    pub(super) fn forget(&self, poll: &Poll) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(poll);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(uid: u32, step: &str) -> Poll {
        let principal = Principal::unix_user(uid);
        let run = crate::resolve::testing::key();
        Poll { principal, run, step: step.parse().unwrap() }
    }

    #[test]
    fn a_poll_is_recorded_once_a_minute_for_a_principal_and_step() {
        let (polls, start) = (Polls::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        assert!(polls.is_due(poll(1, "a"), start));
        assert!(!polls.is_due(poll(1, "a"), later(59)));
        assert!(polls.is_due(poll(2, "a"), later(1)) && polls.is_due(poll(1, "b"), later(1)));
        let other = RunKey { attempt: 2, ..crate::resolve::testing::key() };
        assert!(polls.is_due(Poll { run: other, ..poll(1, "a") }, later(1)));
        assert!(polls.is_due(poll(1, "a"), later(60)));
        assert!(!polls.is_due(poll(1, "a"), later(119)));
        polls.forget(&poll(1, "a"));
        assert!(polls.is_due(poll(1, "a"), later(119)));
    }

    #[test]
    fn what_is_beyond_the_limit_is_recorded_each_time() {
        let (polls, start) = (Polls::default(), Instant::now());
        for uid in 0..MAX_POLLS {
            assert!(polls.is_due(poll(u32::try_from(uid).unwrap(), "a"), start));
        }
        assert!(polls.is_due(poll(1, "b"), start) && polls.is_due(poll(1, "b"), start));
        assert!(!polls.is_due(poll(1, "a"), start));
        assert!(polls.is_due(poll(1, "b"), start + PERIOD));
        assert_eq!(polls.0.lock().unwrap().len(), 1);
    }
}
