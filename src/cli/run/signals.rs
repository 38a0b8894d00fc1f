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
    /// steps' files left behind.
    pub(super) fn listen(signals: &[Signal]) -> Result<Self, CliError> {
        let (sender, receiver) = mpsc::unbounded_channel();
        for &number in signals {
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
