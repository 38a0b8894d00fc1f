//! `WatchEvents`: the events that fit a filter, as they become durable.
//!
//! A watch is pulled: it reads a page when it is asked for more, so that who is
//! slow holds a page and nothing else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::events::{bound, invalid, malformed_names};
use super::mark::Mark;
use super::pages::Bound;
use super::record::{internal, store_refusal};
use super::{Caller, Engine, InForce, Refusal, Violation, WatchRequest};
use crate::access::Action;
use crate::audit::{self, Event, Principal};
use crate::store::{EventPage, EventQuery};

/// A message goes out at least this often; the contract's limit is 30 seconds.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The events that are read at once, and that a slow reader holds at most.
const BATCH: usize = 100;

/// Where a watch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// With the next event.
    Next,
    /// After the place that this token names.
    After(String),
    /// With the first event at or after this time.
    At(Timestamp),
}

/// An event, or word that the watch has moved on.
pub struct Watched {
    /// The event; none: none that fits has come.
    pub event: Option<Event>,
    /// The place after it.
    pub token: String,
    /// Whether the caller may see fingerprints.
    pub fingerprints: bool,
}

/// The place that a watch has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// All events up to this sequence were looked at.
    beyond: u64,
    /// The first event is still to come, and not before this time.
    from: Option<Timestamp>,
}

/// What a token says: the mark of a place in the log, and the time of the first
/// event where it is still to come.
fn written(mark: Mark, from: Option<Timestamp>) -> Vec<u8> {
    let mut bytes = mark.bytes();
    bytes.extend(from.iter().flat_map(|from| from.as_nanosecond().to_be_bytes()));
    bytes
}

fn read(bytes: &[u8]) -> Option<(Mark, Option<Timestamp>)> {
    let (mark, from) = Mark::read(bytes)?;
    if from.is_empty() {
        return Some((mark, None));
    }
    let from = i128::from_be_bytes(from.try_into().ok()?);
    Some((mark, Some(Timestamp::from_nanosecond(from).ok()?)))
}

/// A caller's watch.
pub struct Watch {
    engine: Arc<Engine>,
    caller: Caller,
    query: EventQuery,
    bound: Bound,
    place: Place,
    /// The newest durable sequence.
    newest: watch::Receiver<u64>,
    /// What permission was decided by.
    decided: Arc<InForce>,
    ready: VecDeque<Event>,
    fingerprints: bool,
    /// When the next message is due, event or not.
    due: Instant,
}

impl Engine {
    /// Begins to watch the events that fit a filter.
    ///
    /// # Errors
    /// As the contract says of `WatchEvents`.
    pub async fn watch_events(
        self: &Arc<Self>,
        caller: Caller,
        request: WatchRequest,
    ) -> Result<Watch, Refusal> {
        let mut event = self.event(&caller, audit::Action::Audit);
        let WatchRequest { query, begin, problems } = request;
        let malformed = malformed_names(&query);
        if !malformed.is_empty() {
            let violations = malformed.into_iter().chain(problems).collect();
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        }
        let decided = self.in_force();
        if let Err(refusal) = self.may_audit(&caller, &query, &mut event) {
            return Err(self.refuse(event, refusal).await);
        }
        let bound = bound("WatchEvents", &caller, &query);
        let mut newest = self.store.newest();
        let place = match begin {
            Begin::Next => Ok(Ok(None)),
            Begin::At(from) => Ok(Ok(Some(Place { beyond: 0, from: Some(from) }))),
            Begin::After(token) => self.resumed(&bound, &token).map(|place| place.map(Some)),
        };
        let place = match place {
            Ok(place) => place,
            Err(refusal) => return Err(self.refuse(event, refusal).await),
        };
        let violations: Vec<_> = problems.into_iter().chain(place.clone().err()).collect();
        let (Ok(place), true) = (place, violations.is_empty()) else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        self.record(event).await?;
        // The next event is one after this watch's own.
        let next = Place { beyond: *newest.borrow_and_update(), from: None };
        Ok(Watch {
            engine: Arc::clone(self),
            caller,
            query,
            bound,
            place: place.unwrap_or(next),
            newest,
            decided,
            ready: VecDeque::new(),
            fingerprints: false,
            // The first message tells the place where the watch begins.
            due: Instant::now(),
        })
    }

    /// The place of a token, or what is wrong with it.
    fn resumed(&self, bound: &Bound, token: &str) -> Result<Result<Place, Violation>, Refusal> {
        let bytes = bound.position(token).ok().flatten();
        let Some((mark, from)) = bytes.and_then(|bytes| read(&bytes)) else {
            let why = "not a token of this request; begin without one";
            return Ok(Err(invalid("resume_token", why.to_owned())));
        };
        let strange = self.check_mark("resume_token", mark)?;
        Ok(strange.map_or(Ok(Place { beyond: mark.sequence, from }), Err))
    }
}

impl Watch {
    /// The next message. Waits for it.
    ///
    /// # Errors
    /// The watch is over: the caller may no longer see the events, the store
    /// can't be read, or the daemon stops.
    pub async fn next(&mut self) -> Result<Watched, Refusal> {
        loop {
            self.decide_again().await?;
            if let Some(event) = self.ready.pop_front() {
                self.place = Place { beyond: event.sequence, from: None };
                let mark = Mark::new(self.engine.store.chain(), event.sequence, &event.hash);
                return Ok(self.message(mark, Some(event)));
            }
            let seen = *self.newest.borrow_and_update();
            if self.place.beyond < seen {
                self.read().await?;
            }
            if !self.ready.is_empty() {
                continue;
            }
            if self.due <= Instant::now() {
                return Ok(self.message(self.engine.mark(self.place.beyond)?, None));
            }
            if self.place.beyond < seen {
                continue;
            }
            tokio::select! {
                changed = self.newest.changed() => changed.map_err(|_| Refusal::NotServing)?,
                () = tokio::time::sleep_until(self.due) => {}
            }
        }
    }

    /// Who watches.
    pub fn principal(&self) -> &Principal {
        &self.caller.principal
    }

    /// The watcher's groups are these now, which may take the permission away.
    ///
    /// # Errors
    /// It does.
    pub async fn regroup(&mut self, groups: Arc<[String]>) -> Result<(), Refusal> {
        if groups == self.caller.groups {
            return Ok(());
        }
        self.caller.groups = groups;
        self.decide(self.engine.in_force()).await
    }

    fn message(&mut self, mark: Mark, event: Option<Event>) -> Watched {
        self.due = Instant::now() + HEARTBEAT;
        let token = self.bound.token(&written(mark, self.place.from));
        Watched { event, token, fingerprints: self.fingerprints }
    }

    /// Another bundle, or the time, may have taken the permission away.
    async fn decide_again(&mut self) -> Result<(), Refusal> {
        let in_force = self.engine.in_force();
        if Arc::ptr_eq(&in_force, &self.decided) && !in_force.policies.is_timed(Action::Audit) {
            return Ok(());
        }
        self.decide(in_force).await
    }

    async fn decide(&mut self, in_force: Arc<InForce>) -> Result<(), Refusal> {
        self.caller.time = Timestamp::now();
        let mut event = self.engine.event(&self.caller, audit::Action::Audit);
        if let Err(refusal) = self.engine.may_audit(&self.caller, &self.query, &mut event) {
            return Err(self.engine.refuse(event, refusal).await);
        }
        self.decided = in_force;
        if self.fingerprints {
            self.fingerprints =
                self.engine.show_listed(&self.caller, self.ready.make_contiguous())?;
        }
        Ok(())
    }

    /// Reads a page.
    async fn read(&mut self) -> Result<(), Refusal> {
        let mut query = self.query.clone();
        query.beyond = Some(self.place.beyond);
        query.from = self.place.from;
        // After the first one, events count by their place and not by their time.
        query.limit = if query.from.is_some() { 1 } else { BATCH };
        let store = Arc::clone(&self.engine.store);
        let EventPage { events, next, newest } =
            tokio::task::spawn_blocking(move || store.events(&query))
                .await
                .map_err(|_| internal("a reader of the log ended before its time"))?
                .map_err(|error| store_refusal(&error))?;
        self.fingerprints = self.engine.show_listed(&self.caller, &events)?;
        if events.is_empty() {
            self.place.beyond = next.unwrap_or(newest).max(self.place.beyond);
        }
        self.ready = events.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_says_comes_back_from_its_bytes() {
        let mark = Mark::new("c", 7, &[1; 32]);
        for from in [None, Some(Timestamp::from_second(-5).unwrap())] {
            assert_eq!(read(&written(mark, from)), Some((mark, from)));
        }
        let no_such_time = [mark.bytes(), vec![0x7f; 16]].concat();
        for bytes in [&[1; 23], &[1; 25][..], &no_such_time] {
            assert_eq!(read(bytes), None);
        }
    }
}
