//! One resolution for all calls that come at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::Refusal;
use super::open::LoadedRun;
use crate::audit::Principal;
use crate::name::RunKey;
use crate::resolve::request::FrozenRequest;
use crate::store::AttemptMode;

/// What became of a resolution: the run that it made, or none where one of its
/// name was there.
pub(super) type Landed = Result<Option<Arc<LoadedRun>>, Refusal>;

/// The resolutions that are under way.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<RunKey, Flight>>);

/// A resolution that is under way.
#[derive(Clone)]
pub(super) struct Flight {
    /// Who began it.
    pub(super) owner: Principal,
    /// What it was asked with.
    pub(super) request: Arc<FrozenRequest>,
    /// How it takes over the values of the attempt before.
    pub(super) mode: Option<AttemptMode>,
    landing: watch::Receiver<Option<Landed>>,
}

impl Flight {
    /// Waits for its end; none if whoever resolved it is gone.
    pub(super) async fn landed(mut self) -> Option<Landed> {
        self.landing.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// A call's part in a resolution.
pub(super) enum Part {
    /// It resolves: the ticket ends the flight, whatever happens.
    Leads(Box<Ticket>),
    /// Another call does.
    Waits(Flight),
}

/// The right and duty to resolve a run. Dropped, it ends the flight.
pub(super) struct Ticket {
    flights: Arc<Flights>,
    key: RunKey,
    landing: watch::Sender<Option<Landed>>,
    landed: bool,
}

impl Ticket {
    /// Ends the flight with its outcome.
    pub(super) fn land(mut self, outcome: Landed) {
        self.flights.remove(&self.key);
        self.landed = true;
        self.landing.send_replace(Some(outcome));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Whoever was woken by its end may lead a flight of this name by now.
        if !self.landed {
            self.flights.remove(&self.key);
        }
    }
}

impl Flights {
    /// Takes part in the resolution of a run: as its leader where there is none.
    pub(super) fn board(
        self: &Arc<Self>,
        key: &RunKey,
        owner: &Principal,
        request: &Arc<FrozenRequest>,
        mode: Option<AttemptMode>,
    ) -> Part {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key) {
            return Part::Waits(flight.clone());
        }
        let (landing, waiting) = watch::channel(None);
        let (owner, request) = (owner.clone(), request.clone());
        let flight = Flight { owner, request, mode, landing: waiting };
        flights.insert(key.clone(), flight);
        let (flights, key) = (self.clone(), key.clone());
        Part::Leads(Box::new(Ticket { flights, key, landing, landed: false }))
    }

    fn remove(&self, key: &RunKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;
    use crate::engine::testing::{caller, loaded};
    use crate::resolve::testing::key;

    struct Boards {
        flights: Arc<Flights>,
        boarded: Mutex<Option<Part>>,
    }

    fn board(flights: &Arc<Flights>) -> Part {
        let request = Arc::new(loaded("r", 0).request);
        flights.board(&key(), &caller(1).principal, &request, None)
    }

    impl Wake for Boards {
        fn wake(self: Arc<Self>) {
            *self.boarded.lock().unwrap() = Some(board(&self.flights));
        }
    }

    #[test]
    fn who_is_woken_and_leads_anew_leads_alone() {
        let flights = Arc::new(Flights::default());
        let Part::Leads(ticket) = board(&flights) else { panic!("nobody leads yet") };
        let Part::Waits(flight) = board(&flights) else { panic!("one leads") };
        let boards = Arc::new(Boards { flights: flights.clone(), boarded: Mutex::default() });
        let waker = Waker::from(boards.clone());
        let mut landed = pin!(flight.landed());
        assert!(matches!(landed.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
        ticket.land(Ok(None));
        assert!(matches!(*boards.boarded.lock().unwrap(), Some(Part::Leads(_))));
        assert!(matches!(board(&flights), Part::Waits(_)), "a third one leads beside it");
        boards.boarded.lock().unwrap().take();
        assert!(matches!(board(&flights), Part::Leads(_)), "one that is dropped is over");
    }
}
