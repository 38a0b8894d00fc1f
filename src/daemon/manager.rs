//! Words to the service manager that started the daemon, where there is one.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells systemd how it goes; nobody else hears it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServiceManager;

impl ServiceManager {
    /// The daemon serves.
    pub(super) fn ready(self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// It takes in what is on disk; [`Self::ready`] follows in any case.
    pub(super) fn reloading(self) {
        // Without the time systemd would take an older answer for this one's.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
    }

    /// It takes no new requests.
    pub(super) fn stopping(self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("finishing what was begun")]);
    }

    /// Says for ever that the daemon lives, where it is asked to.
    pub(super) async fn watchdog(self) {
        let mut limit_us = 0;
        if !sd_notify::watchdog_enabled(false, &mut limit_us) || limit_us == 0 {
            return;
        }
        // Twice within the limit, as systemd advises.
        let mut beat = tokio::time::interval(Duration::from_micros((limit_us / 2).max(1)));
        loop {
            beat.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::warn!(why = ?error.kind(), "the service manager can't be told");
    }
}
