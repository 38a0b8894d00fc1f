//! The embedded store: one SQLite file, one writer, many readers.
//!
//! All writes go through one thread, which takes what waits into one commit and
//! answers when it is on disk. Readers have connections of their own.

mod clock;
mod events;
mod failure;
mod file;
mod jobs;
mod listing;
mod runs;
mod schema;
mod sequence;
mod soon;
mod tokens;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument as _;

use self::clock::Clock;
use self::failure::read_failure;
use self::file::Lock;
use self::jobs::Job;
use self::soon::Soon;
use self::writer::Writer;
use super::{
    Accessed, AttemptMode, Created, Ended, EventPage, EventQuery, EventsFor, EventsWhere, Extended,
    NewRun, Pending, RunEnd, RunPage, RunQuery, RunState, StepTokenHash, Store, StoreError,
    StoredFailure, StoredRun, StoredStepToken, Verified, VerifyRequest,
};
use crate::audit::canonical::Hash;
use crate::audit::{EventDraft, Recorded};
use crate::name::{PipelineName, RunId, RunKey};
use crate::telemetry::spans;

/// Jobs that may wait for the writer before callers wait to hand theirs over.
const WAITING_JOBS: usize = 1024;
/// Idle connections that are kept for readers.
const IDLE_READERS: usize = 8;
/// How long a caller waits for a commit. A disk that hangs holds up nobody for
/// longer; what the commit still writes is found by whoever asks again.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// What is told of a commit that took longer.
const TOO_LATE: &str = "the disk didn't answer within 10 s";

/// Called when the process must not go on: after a failed fsync nobody knows
/// what is on disk.
pub type OnFatal = Box<dyn Fn() + Send>;

/// The embedded store.
pub struct SqliteStore {
    path: PathBuf,
    chain: String,
    clock: Arc<Clock>,
    jobs: Option<mpsc::Sender<Job>>,
    soon: Arc<Soon>,
    newest: watch::Receiver<u64>,
    readers: Mutex<Vec<Connection>>,
    writer: Option<JoinHandle<()>>,
    // Held as long as any part of the store is in use; the writer has one too.
    _lock: Arc<Lock>,
}

/// Why the store can't be opened, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another daemon has it.
    #[error(
        "the store `{}` is in use by {}: stop that daemon, or give this one a store of its own",
        path.display(), holder(*pid)
    )]
    InUse {
        /// The store.
        path: PathBuf,
        /// The daemon that has it, where it is known.
        pid: Option<u32>,
    },
    /// A later release made it.
    #[error(
        "the store `{}` has schema version {found}, and this release knows up to {known}: run the \
         release that made it, or a later one",
        path.display()
    )]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that this release knows.
        known: i64,
    },
    /// Not a store of ours, or a damaged one.
    #[error("`{}` isn't a whole store of paramd ({why}): restore it, or name another path", path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It can't be made, read or written.
    #[error("the store `{}` can't be {doing}: {why}", path.display())]
    Failed {
        /// The store.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why: the kind of error, or SQLite's result code by name.
        why: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("the process with pid {pid}"))
}

impl SqliteStore {
    /// Opens the store at `path`; makes it where there is none, and its
    /// directory. `on_fatal` is called, from the writer's thread, when the
    /// process must not go on.
    ///
    /// # Errors
    /// [`OpenError`]: it is in use, damaged, of a later release, or can't be
    /// made.
    pub fn open(path: &Path, on_fatal: OnFatal) -> Result<Self, OpenError> {
        Self::open_with(path, on_fatal, |_| {})
    }

    /// As [`SqliteStore::open`], with a look at the writer's connection first.
    pub(crate) fn open_with(
        path: &Path,
        on_fatal: OnFatal,
        prepare: impl FnOnce(&mut Connection),
    ) -> Result<Self, OpenError> {
        let lock = Arc::new(Lock::take(path)?);
        let mut connection = schema::open(path)?;
        prepare(&mut connection);
        let (chain, head) = schema::chain(&connection).map_err(|error| error.opening(path))?;
        let (clock, soon) = (Arc::new(Clock::default()), Arc::new(Soon::default()));
        let (jobs, queue) = mpsc::channel(WAITING_JOBS);
        let (told, newest) = watch::channel(head.sequence);
        let writer = Writer::new(
            connection,
            writer::Shared {
                path: path.to_owned(),
                chain: chain.clone(),
                clock: Arc::clone(&clock),
                soon: Arc::clone(&soon),
                newest: told,
                _lock: Arc::clone(&lock),
            },
            head,
            queue,
            on_fatal,
        );
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| file::failed(path, "written", &error))?;
        Ok(Self {
            path: path.to_owned(),
            chain,
            clock,
            jobs: Some(jobs),
            soon,
            newest,
            readers: Mutex::default(),
            writer: Some(thread),
            _lock: lock,
        })
    }

    /// Hands a job to the writer and waits for the commit.
    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Pending<'_, Result<T, StoreError>> {
        let (answer, answered) = oneshot::channel();
        let job = job(answer);
        let waits = async move {
            let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
            jobs.send(job).await.map_err(|_| StoreError::Closed)?;
            answered.await.unwrap_or(Err(StoreError::Closed))
        };
        let limited = async {
            let late = StoreError::Unavailable { doing: "commit", why: TOO_LATE.into() };
            tokio::time::timeout(WRITE_LIMIT, waits).await.unwrap_or(Err(late))
        };
        Box::pin(limited.instrument(spans::commit()))
    }

    /// Reads on a connection of its own.
    fn read<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => schema::reader(&self.path).map_err(read_failure)?,
        };
        let result = work(&mut connection);
        // One that failed may be left in the middle of something.
        if result.is_ok() {
            let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            if readers.len() < IDLE_READERS {
                readers.push(connection);
            }
        }
        result
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // Without senders the writer commits what waits, and ends.
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqliteStore({})", self.path.display())
    }
}

impl Store for SqliteStore {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn open_runs(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let sql = "select count(*) from runs where outcome is null";
            let count: i64 =
                connection.query_row(sql, [], |row| row.get(0)).map_err(read_failure)?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    fn create_run(
        &self,
        run: NewRun,
        events: Vec<EventDraft>,
    ) -> Pending<'_, Result<Created, StoreError>> {
        self.ask(|answer| Job::Create { run: Box::new(run), events, answer })
    }

    fn end_run(
        &self,
        key: RunKey,
        end: RunEnd,
        events: EventsFor,
    ) -> Pending<'_, Result<Ended, StoreError>> {
        self.ask(|answer| Job::End { key, end, events, answer })
    }

    fn extend_run(
        &self,
        key: RunKey,
        expires: Timestamp,
        record: Vec<u8>,
        events: EventsWhere,
    ) -> Pending<'_, Result<Extended, StoreError>> {
        self.ask(|answer| Job::Extend { key, expires, record, events, answer })
    }

    fn failures(
        &self,
        pipeline: &PipelineName,
        run_id: &RunId,
    ) -> Result<Vec<StoredFailure>, StoreError> {
        self.read(|connection| {
            listing::failures(connection, pipeline, run_id).map_err(read_failure)
        })
    }

    fn run(&self, key: &RunKey) -> Result<Option<StoredRun>, StoreError> {
        self.read(|connection| runs::find(connection, key).map_err(read_failure))
    }

    fn newest_attempt(
        &self,
        pipeline: &PipelineName,
        run_id: &RunId,
    ) -> Result<Option<u32>, StoreError> {
        self.read(|connection| {
            runs::newest_attempt(connection, pipeline, run_id).map_err(read_failure)
        })
    }

    fn runs(&self, query: &RunQuery) -> Result<RunPage, StoreError> {
        self.read(|connection| listing::page(connection, query).map_err(read_failure))
    }

    fn overdue(&self, now: Timestamp, limit: usize) -> Result<Vec<RunKey>, StoreError> {
        self.read(|connection| runs::overdue(connection, now, limit).map_err(read_failure))
    }

    fn record(&self, events: Vec<EventDraft>) -> Pending<'_, Result<Recorded, StoreError>> {
        self.ask(|answer| Job::Record { events, answer })
    }

    fn record_access(
        &self,
        key: RunKey,
        events: EventsWhere,
    ) -> Pending<'_, Result<Accessed, StoreError>> {
        self.ask(|answer| Job::Access { key, events, answer })
    }

    fn add_step_token(
        &self,
        token: StoredStepToken,
        events: EventsWhere,
    ) -> Pending<'_, Result<Accessed, StoreError>> {
        self.ask(|answer| Job::Token { token, events, answer })
    }

    fn step_token(&self, hash: &StepTokenHash) -> Result<Option<StoredStepToken>, StoreError> {
        let now = self.clock.now();
        self.read(|connection| tokens::find(connection, hash, now).map_err(read_failure))
    }

    fn step_tokens(&self, run: &RunKey) -> Result<usize, StoreError> {
        self.read(|connection| tokens::count(connection, run).map_err(read_failure))
    }

    fn record_soon(&self, event: EventDraft) -> Result<(), StoreError> {
        self.soon.add(event)
    }

    fn record_failure(
        &self,
        key: RunKey,
        failure: Vec<u8>,
        events: Vec<EventDraft>,
    ) -> Pending<'_, Result<Recorded, StoreError>> {
        self.ask(|answer| Job::Failure { key, failure, events, answer })
    }

    fn events(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.read(|connection| events::page(connection, query).map_err(read_failure))
    }

    fn chain(&self) -> &str {
        &self.chain
    }

    fn hash_at(&self, sequence: u64) -> Result<Option<Hash>, StoreError> {
        self.read(|connection| events::hash_at(connection, sequence).map_err(read_failure))
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }

    fn verify(&self, request: &VerifyRequest) -> Result<Verified, StoreError> {
        self.read(|connection| {
            verify::verify(connection, &self.chain, request).map_err(read_failure)
        })
    }

    fn close(&self) -> Pending<'_, Result<(), StoreError>> {
        self.ask(|answer| Job::Close { answer })
    }
}

#[cfg(test)]
mod tests;
