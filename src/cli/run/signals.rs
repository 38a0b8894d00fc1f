//! The signals that we take over, as a stream.

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::error::CliError;
use crate::cli::exit::Exit;

/// The signals that end a run.
pub(super) const ENDING: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// What is passed on to a command that we stand in for: also those that programs
/// use as they like, for each would end us.
pub(super) const PASSED_ON: [Signal; 6] =
    [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// A signal that asks to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop(pub(super) Signal);

impl Stop {
    /// The exit status of who was stopped by it, as shells give it.
    pub(super) fn exit(self) -> Exit {
        Exit::Step(128_u8.saturating_add(u8::try_from(self.0.as_raw()).unwrap_or(0)))
    }
}

/// What came, in order.
pub(super) struct Signals(mpsc::UnboundedReceiver<Stop>);

impl Signals {
    /// Takes these signals over from now on: by itself, each would end us with the
    /// steps' files left behind. One that is ignored stays so, for children too:
    /// that is how `nohup` works.
    pub(super) fn listen(signals: &[Signal]) -> Result<Self, CliError> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let ignored = ignored();
        for &number in signals.iter().filter(|one| !is_in(ignored, **one)) {
            let kind = SignalKind::from_raw(number.as_raw());
            let mut stream = signal(kind).map_err(|error| {
                CliError::new(Exit::Failed, format!("signals can't be handled: {}", error.kind()))
            })?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() && sender.send(Stop(number)).is_ok() {}
            });
        }
        Ok(Self(receiver))
    }

    /// Signals that a test sends.
    #[cfg(test)]
    pub(super) fn sent() -> (mpsc::UnboundedSender<Stop>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self(receiver))
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Stop {
        match self.0.recv().await {
            Some(stop) => stop,
            None => std::future::pending().await,
        }
    }

    /// A signal that came already.
    pub(super) fn pending(&mut self) -> Option<Stop> {
        self.0.try_recv().ok()
    }
}

/// The signals that we were told to ignore, as a mask. The system tells it
/// without `unsafe` here alone; where it doesn't, none is.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_in(mask: u64, signal: Signal) -> bool {
    let bit = u32::try_from(signal.as_raw() - 1).ok().and_then(|place| 1_u64.checked_shl(place));
    bit.is_some_and(|bit| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_counts_signals_from_one() {
        // SIGHUP is 1, SIGINT 2 and SIGPIPE 13, which Rust ignores itself.
        assert!(is_in(0b1, Signal::HUP) && !is_in(0b1, Signal::INT) && is_in(0b10, Signal::INT));
        assert!(is_in(ignored(), Signal::PIPE));
    }
}
