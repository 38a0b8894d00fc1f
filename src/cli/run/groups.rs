//! The process groups of the children that run now, and the signals for them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::sync::watch;

use super::Place;

/// All running children.
#[derive(Default)]
pub(super) struct Groups {
    members: Mutex<Members>,
    /// Whether a signal that stops was sent.
    stopped: watch::Sender<bool>,
}

#[derive(Default)]
struct Members {
    running: BTreeMap<i32, Reach>,
    /// The last signal that was sent: from the first on nothing new starts.
    stopped_by: Option<Signal>,
}

impl Groups {
    /// Whether children may still be started.
    pub(super) fn may_start(&self) -> bool {
        self.lock().stopped_by.is_none()
    }

    /// The signal that keeps children from being started.
    pub(super) fn stopped_by(&self) -> Option<Signal> {
        self.lock().stopped_by
    }

    /// Waits for a signal that stops.
    pub(super) async fn stopped(&self) {
        // We have the sender, so it can't be gone.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// Takes in a child that was just started. One that was started while the
    /// others were being stopped is stopped too.
    pub(super) fn add(&self, id: Option<u32>, place: Place) -> Member<'_> {
        let pid = id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let reach = pid.map(|pid| match place {
            Place::Ours { terminal: true } => Reach::OnTerminal(pid),
            _ => Reach::Group(pid),
        });
        let mut members = self.lock();
        if let Some(reach) = reach {
            members.running.insert(reach.number(), reach);
            if let Some(signal) = members.stopped_by {
                reach.send(signal);
            }
        }
        Member { groups: self, reach }
    }

    /// Stops all with a signal.
    pub(super) fn signal(&self, signal: Signal) {
        self.stop(&mut self.lock(), signal);
    }

    /// Passes a signal on that need not stop anyone. Where nobody runs yet, it
    /// stops us.
    pub(super) fn pass(&self, signal: Signal) {
        let mut members = self.lock();
        if members.running.is_empty() {
            self.stop(&mut members, signal);
        } else {
            members.running.values().for_each(|reach| reach.send(signal));
        }
    }

    fn stop(&self, members: &mut Members, signal: Signal) {
        members.stopped_by = Some(signal);
        self.stopped.send_replace(true);
        members.running.values().for_each(|reach| reach.send(signal));
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a child is reached.
#[derive(Debug, Clone, Copy)]
enum Reach {
    /// It leads a group of its own.
    Group(Pid),
    /// It is in our group, for the terminal speaks to one group alone; whoever
    /// else is in it is not ours to signal.
    OnTerminal(Pid),
}

impl Reach {
    fn number(self) -> i32 {
        let (Self::Group(pid) | Self::OnTerminal(pid)) = self;
        pid.as_raw_pid()
    }

    fn send(self, signal: Signal) {
        // Who is gone needs no signal.
        let _ = match self {
            Self::Group(pid) => kill_process_group(pid, signal),
            // The terminal sent it to the whole group.
            Self::OnTerminal(_) if matches!(signal, Signal::INT | Signal::QUIT) => Ok(()),
            Self::OnTerminal(pid) => kill_process(pid, signal),
        };
    }
}

/// A child's place among the running ones, until its output is read.
pub(super) struct Member<'a> {
    groups: &'a Groups,
    reach: Option<Reach>,
}

impl Member<'_> {
    /// Kills what is left of the group, where the run is being stopped.
    pub(super) fn kill_if_stopped(&self) {
        if let Some(group @ Reach::Group(_)) = self.reach.filter(|_| !self.groups.may_start()) {
            group.send(Signal::KILL);
        }
    }

    /// Tells that the child itself has ended. Of its group others may be left;
    /// its own number may soon be another process's.
    pub(super) fn ended(&self) {
        if let Some(alone @ Reach::OnTerminal(_)) = self.reach {
            self.groups.lock().running.remove(&alone.number());
        }
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        if let Some(reach) = self.reach {
            self.groups.lock().running.remove(&reach.number());
        }
    }
}
