//! The writer: takes what waits into one commit, then answers all of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::clock::Clock;
use super::failure::Failure;
use super::file::{Lock, beside};
use super::jobs::{Answer, Batch, Job, execute};
use super::sequence::Sequence;
use super::soon::{MANY, Soon};
use super::{OnFatal, StoreError};
use crate::audit::EventDraft;
use crate::audit::verify::Head;
use crate::telemetry::measure;

/// The most jobs of one commit.
const BATCH: usize = 64;
/// The most events of the queue in one commit.
const BATCH_SOON: usize = 2_048;
/// How long an event of the queue waits for a commit at most.
const FLUSH_AFTER: Duration = Duration::from_millis(500);
/// How long the writer waits before it tries again what failed.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// How long erased values stay in the WAL: ends that come together share a
/// checkpoint.
const ERASED_AFTER: Duration = Duration::from_millis(200);
/// A WAL of this size is taken into the file.
const WAL_BYTES: u64 = 8 << 20;

/// What the writer has in common with the store.
pub(super) struct Shared {
    /// The store's file.
    pub(super) path: PathBuf,
    /// The chain's name.
    pub(super) chain: String,
    /// The store's clock.
    pub(super) clock: Arc<Clock>,
    /// Events that may wait.
    pub(super) soon: Arc<Soon>,
    /// Told of the newest sequence after each commit.
    pub(super) newest: watch::Sender<u64>,
    /// The store stays locked until the last commit.
    pub(super) _lock: Arc<Lock>,
}

/// The one that writes.
pub(super) struct Writer {
    connection: Connection,
    shared: Shared,
    wal: PathBuf,
    head: Head,
    jobs: mpsc::Receiver<Job>,
    on_fatal: OnFatal,
    // When the events of the queue are to be committed.
    flush_at: Option<Instant>,
    // When the WAL is to be taken into the file.
    checkpoint_at: Option<Instant>,
    // Nobody knows what is on disk: no commit may say that it is.
    dead: Option<Failure>,
}

/// What woke the writer.
enum Woken {
    Jobs,
    Time,
    Gone,
}

impl Writer {
    /// Goes on from where the chain stands.
    pub(super) fn new(
        connection: Connection,
        shared: Shared,
        head: Head,
        jobs: mpsc::Receiver<Job>,
        on_fatal: OnFatal,
    ) -> Self {
        let wal = beside(&shared.path, "-wal");
        // A crash may have left a WAL with what was erased since.
        let checkpoint_at = Some(Instant::now());
        Self {
            connection,
            shared,
            wal,
            head,
            jobs,
            on_fatal,
            flush_at: None,
            checkpoint_at,
            dead: None,
        }
    }

    /// Writes until the store is closed or all its holders are gone.
    pub(super) fn run(self) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build()
        else {
            (self.on_fatal)();
            return;
        };
        let mut guard = Guard(self);
        let writer = &mut guard.0;
        loop {
            let mut jobs = Vec::with_capacity(BATCH);
            let woken = runtime.block_on(writer.wait(&mut jobs));
            let closing = jobs.iter().any(|job| matches!(job, Job::Close { .. }));
            if closing || matches!(woken, Woken::Gone) {
                return writer.close(jobs);
            }
            // Whoever asked has been told.
            let _ = writer.commit(jobs);
            writer.checkpoint_if_due();
        }
    }

    async fn wait(&mut self, jobs: &mut Vec<Job>) -> Woken {
        loop {
            let at = [self.flush_at, self.checkpoint_at].into_iter().flatten().min();
            let wake = async {
                match at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                taken = self.jobs.recv_many(jobs, BATCH) => {
                    return if taken == 0 { Woken::Gone } else { Woken::Jobs };
                }
                () = self.shared.soon.many.notified() => return Woken::Time,
                () = self.shared.soon.added.notified(), if self.flush_at.is_none() => {
                    self.flush_at = Some(Instant::now() + FLUSH_AFTER);
                }
                () = wake => return Woken::Time,
            }
        }
    }

    /// Commits what still waits, and takes no more.
    fn close(&mut self, mut jobs: Vec<Job>) {
        self.jobs.close();
        self.shared.soon.close();
        // Bounded: a queue has an end, and a commit that fails ends it too.
        while let Ok(job) = self.jobs.try_recv() {
            jobs.push(job);
        }
        let (closing, others): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| matches!(job, Job::Close { .. }));
        let mut flushed = self.commit(others);
        while flushed.is_ok() && !self.shared.soon.is_empty() {
            flushed = self.commit(Vec::new());
        }
        self.checkpoint();
        for job in closing {
            if let Job::Close { answer } = job {
                let _ = answer.send(flushed.clone());
            }
        }
    }

    /// Writes jobs, and events of the queue with them, in one commit.
    pub(super) fn commit(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let soon = self.shared.soon.take(BATCH_SOON);
        self.flush_at = None;
        if jobs.is_empty() && soon.is_empty() {
            return Ok(());
        }
        let mut answers = Vec::with_capacity(jobs.len());
        let begun = std::time::Instant::now();
        let committed = self.transact(jobs, &soon, &mut answers);
        match committed {
            Ok(()) => {
                self.shared.soon.committed();
                self.flush_at = match self.shared.soon.len() {
                    0 => None,
                    MANY.. => Some(Instant::now()),
                    _ => Some(Instant::now() + FLUSH_AFTER),
                };
            }
            Err(failure) => {
                self.undo(failure);
                if !soon.is_empty() {
                    self.flush_at = Some(Instant::now() + RETRY_AFTER);
                }
                self.shared.soon.give_back(soon);
            }
        }
        measure::commit(committed.is_ok(), begun.elapsed(), self.shared.soon.len());
        let told = committed.map_err(|failure| failure.store_error("commit"));
        if let Err(error) = &told {
            tracing::error!(%error, "a commit failed: nothing of it was kept");
        }
        answers.into_iter().for_each(|answer| answer(told.clone()));
        told
    }

    fn transact(
        &mut self,
        jobs: Vec<Job>,
        soon: &[EventDraft],
        answers: &mut Vec<Answer>,
    ) -> Result<(), Failure> {
        let begun = match self.dead {
            Some(failure) => Err(failure),
            None => execute(&self.connection, "begin immediate"),
        };
        let mut batch = Batch {
            connection: &self.connection,
            chain: &self.shared.chain,
            head: self.head,
            clock: &self.shared.clock,
            erased: false,
            lost: begun.err(),
        };
        if batch.lost.is_none() {
            batch.lost = batch.append_all(soon).err();
        }
        for job in jobs {
            answers.push(match batch.lost {
                None => batch.run(job),
                Some(_) => job.unanswered(),
            });
        }
        let Batch { head, erased, lost, .. } = batch;
        if let Some(failure) = lost {
            return Err(failure);
        }
        self.connection
            .prepare_cached("update chains set count = ?1, head = ?2")?
            .execute(params![Sequence(head.sequence), head.hash])?;
        execute(&self.connection, "commit")?;
        self.head = head;
        self.shared.newest.send_replace(self.head.sequence);
        if erased {
            self.checkpoint_at.get_or_insert_with(|| Instant::now() + ERASED_AFTER);
        }
        Ok(())
    }

    pub(super) fn undo(&mut self, failure: Failure) {
        self.die_of(failure);
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("rollback");
        }
    }

    fn die_of(&mut self, failure: Failure) {
        if failure.is_fatal() && self.dead.is_none() {
            self.dead = Some(failure);
            let error = failure.store_error("be sure of what is on disk");
            tracing::error!(store = %self.shared.path.display(), %error, "nothing more is written");
            (self.on_fatal)();
        }
    }

    fn checkpoint_if_due(&mut self) {
        let due = self.checkpoint_at.is_some_and(|at| at <= Instant::now());
        let large = || std::fs::metadata(&self.wal).is_ok_and(|wal| wal.len() > WAL_BYTES);
        if due || (self.checkpoint_at.is_none() && large()) {
            self.checkpoint();
        }
    }

    /// Takes the WAL into the file and empties it, so that erased bytes are gone
    /// from both. Readers may be in its way: then it is tried again.
    fn checkpoint(&mut self) {
        if self.dead.is_some() {
            self.checkpoint_at = None;
            return;
        }
        let sql = "pragma wal_checkpoint(truncate)";
        let busy = self.connection.query_row(sql, [], |row| row.get::<_, bool>(0));
        self.checkpoint_at = match busy.map_err(Failure::from) {
            Ok(false) => None,
            Ok(true) => Some(Instant::now() + RETRY_AFTER),
            Err(failure) => {
                let error = failure.store_error("take its log into its file");
                tracing::error!(%error, "a checkpoint failed");
                self.die_of(failure);
                Some(Instant::now() + RETRY_AFTER)
            }
        };
    }
}

/// A writer that ends by a panic leaves a daemon that can record nothing.
struct Guard(Writer);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.shared.soon.close();
        if std::thread::panicking() {
            (self.0.on_fatal)();
        }
    }
}
