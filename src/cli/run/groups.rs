//! The process groups of the children that run now, and the signals for them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// All running children; each leads a group of its own.
#[derive(Default)]
pub(super) struct Groups(Mutex<Members>);

#[derive(Default)]
struct Members {
    running: BTreeMap<i32, Pid>,
    /// The last signal that was sent: from the first on nothing new starts.
    stopped_by: Option<Signal>,
}

impl Groups {
    /// Whether children may still be started.
    pub(super) fn may_start(&self) -> bool {
        self.lock().stopped_by.is_none()
    }

    /// Takes in a child that was just started. One that was started while the
    /// others were being stopped is stopped too.
    pub(super) fn add(&self, id: Option<u32>) -> Member<'_> {
        let pid = id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut members = self.lock();
        if let Some(pid) = pid {
            members.running.insert(pid.as_raw_pid(), pid);
            if let Some(signal) = members.stopped_by {
                send(pid, signal);
            }
        }
        Member { groups: self, pid }
    }

    /// Sends a signal to every group.
    pub(super) fn signal(&self, signal: Signal) {
        let mut members = self.lock();
        members.stopped_by = Some(signal);
        members.running.values().for_each(|pid| send(*pid, signal));
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send(group: Pid, signal: Signal) {
    // A group that is gone needs no signal.
    let _ = kill_process_group(group, signal);
}

/// A child's place among the running ones, until its output is read.
pub(super) struct Member<'a> {
    groups: &'a Groups,
    pid: Option<Pid>,
}

impl Member<'_> {
    /// Kills what is left of the group, where the run is being stopped.
    pub(super) fn kill_if_stopped(&self) {
        if let Some(pid) = self.pid.filter(|_| !self.groups.may_start()) {
            send(pid, Signal::KILL);
        }
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            self.groups.lock().running.remove(&pid.as_raw_pid());
        }
    }
}
