//! Threads for work that can't be interrupted: a disk that hangs, one long
//! instruction of a query. What is stuck takes its own source's threads and
//! nobody else's.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Cause, SourceError};

/// The most threads of one source at the same time.
const LANES: usize = 16;

/// The threads of one source.
#[derive(Debug, Clone)]
pub(super) struct Lanes(Arc<Semaphore>);

impl Default for Lanes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LANES)))
    }
}

impl Lanes {
    /// Does the work on a thread of its own, once there is one. Its lane is
    /// taken until it has really ended, whoever stopped waiting.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let lane = self.0.clone().acquire_owned().await.map_err(|_| Cause::ServerError)?;
        let working = tokio::task::spawn_blocking(move || {
            let _lane = lane;
            work()
        });
        working.await.map_err(|_| Cause::ServerError)?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_stuck_takes_the_lanes_of_its_own_source_alone() {
        let (stuck, other) = (Lanes::default(), Lanes::default());
        let mut ends = Vec::new();
        for _ in 0..LANES {
            let (end, ended) = mpsc::channel::<()>();
            let (begin, begun) = tokio::sync::oneshot::channel();
            let lanes = stuck.clone();
            let task = tokio::spawn(async move {
                let work = move || {
                    let _ = begin.send(());
                    let _ = ended.recv();
                    Ok(())
                };
                lanes.run(work).await
            });
            begun.await.unwrap();
            // Nobody waits for it any more; the thread goes on.
            task.abort();
            ends.push(end);
        }
        let brief = Duration::from_millis(50);
        assert!(tokio::time::timeout(brief, stuck.run(|| Ok(1))).await.is_err());
        assert_eq!(other.run(|| Ok(2)).await, Ok(2));
        ends.pop();
        assert_eq!(stuck.run(|| Ok(3)).await, Ok(3), "a lane that ended is free again");
    }
}
