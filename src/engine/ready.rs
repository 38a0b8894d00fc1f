//! What is made of a run once and asked for again and again: encoded answers,
//! and what events say of its steps.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use super::EncodedAnswer;
use super::context::Offers;
use crate::audit::Accesses;
use crate::name::StepName;

/// What a parameter in a list costs, about.
const ACCESS_BYTES: usize = 192;

/// Things made of a run, up to a number of bytes; then all are made anew.
pub(super) struct Ready {
    limit: usize,
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    answers: HashMap<AnswerKey, EncodedAnswer>,
    offers: HashMap<(StepName, Option<u32>), Arc<Offers>>,
    facts: HashMap<Option<StepName>, Arc<Facts>>,
    bytes: usize,
}

/// What names an encoded answer of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum AnswerKey {
    /// Of `GetContext`.
    Context {
        /// The step.
        step: StepName,
        /// Its only instance that is shown.
        instance: Option<u32>,
        /// Whether fingerprints are in it.
        fingerprints: bool,
    },
    /// Of a replayed `ResolveRun`.
    Replayed {
        /// Whether fingerprints are in it.
        fingerprints: bool,
        /// Whether another revision is in force.
        revision_changed: bool,
    },
}

/// What is to be known of a step, or of the whole run.
pub(super) struct Facts {
    /// Whether a secret is in it.
    pub(super) has_secrets: bool,
    /// What an event says of who reads it.
    pub(super) accesses: Accesses,
}

impl Ready {
    /// Nothing yet, and never more than so many bytes.
    pub(super) fn up_to(limit: usize) -> Self {
        Self { limit, kept: RwLock::default() }
    }

    pub(super) fn answer(&self, key: &AnswerKey) -> Option<EncodedAnswer> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).answers.get(key).cloned()
    }

    pub(super) fn keep_answer(&self, key: AnswerKey, encoded: EncodedAnswer) {
        if let Some(mut kept) = self.room(encoded.answer.len()) {
            kept.answers.insert(key, encoded);
        }
    }

    /// What a step offers, listed by `make` where that is not known yet.
    pub(super) fn offers(
        &self,
        step: &StepName,
        instance: Option<u32>,
        make: impl FnOnce() -> Offers,
    ) -> Arc<Offers> {
        let key = (step.clone(), instance);
        let known =
            self.kept.read().unwrap_or_else(PoisonError::into_inner).offers.get(&key).cloned();
        known.unwrap_or_else(|| {
            let made = Arc::new(make());
            // Each is listed by itself and in the event.
            if let Some(mut kept) = self.room(2 * ACCESS_BYTES * made.accesses().len()) {
                kept.offers.insert(key, made.clone());
            }
            made
        })
    }

    /// What is to be known of a step (none: of the whole run), found out by `make`
    /// where it is not known yet.
    pub(super) fn facts(
        &self,
        step: Option<&StepName>,
        make: impl FnOnce() -> Facts,
    ) -> Arc<Facts> {
        let key = step.cloned();
        let known =
            self.kept.read().unwrap_or_else(PoisonError::into_inner).facts.get(&key).cloned();
        known.unwrap_or_else(|| {
            let made = Arc::new(make());
            // Once as it is, and once as it stands in events.
            if let Some(mut kept) = self.room(2 * ACCESS_BYTES * made.accesses.len()) {
                kept.facts.insert(key, made.clone());
            }
            made
        })
    }

    /// Room for so many bytes more, where there can be.
    fn room(&self, size: usize) -> Option<RwLockWriteGuard<'_, Kept>> {
        if size > self.limit {
            return None;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + size > self.limit {
            *kept = Kept::default();
        }
        kept.bytes += size;
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn answers_are_kept_up_to_a_number_of_bytes() {
        const LIMIT: usize = 1_000;
        let ready = Ready::up_to(LIMIT);
        let key = |step: &str| AnswerKey::Context {
            step: step.parse().unwrap(),
            instance: None,
            fingerprints: false,
        };
        let answer =
            |size: usize| EncodedAnswer { etag: "e".into(), answer: Bytes::from(vec![1; size]) };
        ready.keep_answer(key("huge"), answer(LIMIT + 1));
        assert!(ready.answer(&key("huge")).is_none());
        ready.keep_answer(key("one"), answer(LIMIT));
        assert!(ready.answer(&key("one")).is_some());
        ready.keep_answer(key("two"), answer(10));
        assert!(ready.answer(&key("one")).is_none() && ready.answer(&key("two")).is_some());
    }
}
