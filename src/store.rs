//! What outlives the daemon: runs and the audit log.
//!
//! [`Store`] is what a store has to do; [`sqlite`] is the embedded one. A second
//! store is a file beside it that implements the trait.

pub mod fingerprint;
pub mod keys;
pub mod sealing;
pub mod sqlite;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::audit::canonical::Hash;
use crate::audit::verify::ChainReport;
use crate::audit::{Action, Event, EventDraft, Outcome, Principal, Recorded};
use crate::name::{EnvironmentName, PipelineName, PresetName, RunId, RunKey};

/// A future that the store answers when the commit is on disk.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A store. Every write is durable, with its events and in the same commit,
/// before its future answers; many share one commit.
pub trait Store: Send + Sync + 'static {
    /// The store's clock.
    fn now(&self) -> Timestamp;

    /// How many runs are open.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open_runs(&self) -> Result<u64, StoreError>;

    /// Freezes a run, unless one of its name is there.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written then.
    fn create_run(
        &self,
        run: NewRun,
        events: Vec<EventDraft>,
    ) -> Pending<'_, Result<Created, StoreError>>;

    /// Ends an open run: erases what is sealed, keeps the record. A run that has
    /// ended is answered as it is, and so is one that is to expire and whose
    /// lifetime isn't over; the events are recorded all the same.
    ///
    /// `events` is asked for the events once it is known how the run stands, in
    /// the same commit.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`] and the others.
    fn end_run(
        &self,
        key: RunKey,
        end: RunEnd,
        events: EventsFor,
    ) -> Pending<'_, Result<Ended, StoreError>>;

    /// Lets an open run stay open until `expires`, with the record that says so.
    /// One that has ended, whose lifetime is over or that stays open as long
    /// anyway is answered as it is; the events are recorded all the same.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`] and the others.
    fn extend_run(
        &self,
        key: RunKey,
        expires: Timestamp,
        record: Vec<u8>,
        events: EventsWhere,
    ) -> Pending<'_, Result<Extended, StoreError>>;

    /// The run of this name.
    ///
    /// # Errors
    /// The store can't be read.
    fn run(&self, key: &RunKey) -> Result<Option<StoredRun>, StoreError>;

    /// The newest attempt of a run; none where there is none.
    ///
    /// # Errors
    /// The store can't be read.
    fn newest_attempt(
        &self,
        pipeline: &PipelineName,
        run_id: &RunId,
    ) -> Result<Option<u32>, StoreError>;

    /// A page of runs, the last frozen first. What is in their records and sealed
    /// is left out, and a row that can't be read is passed over.
    ///
    /// # Errors
    /// The store can't be read.
    fn runs(&self, query: &RunQuery) -> Result<RunPage, StoreError>;

    /// Open runs whose lifetime is over at `now`, at most `limit`.
    ///
    /// # Errors
    /// The store can't be read.
    fn overdue(&self, now: Timestamp, limit: usize) -> Result<Vec<RunKey>, StoreError>;

    /// Records events durably.
    ///
    /// # Errors
    /// They could not be recorded: the access must not be granted.
    fn record(&self, events: Vec<EventDraft>) -> Pending<'_, Result<Recorded, StoreError>>;

    /// Records events of an access to a run durably, as far as it is open in that
    /// commit: `events` is told.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], or they could not be recorded: the access must
    /// not be granted.
    fn record_access(
        &self,
        key: RunKey,
        events: EventsWhere,
    ) -> Pending<'_, Result<Accessed, StoreError>>;

    /// Keeps a step token with the event of its making, as far as the run is open in
    /// that commit: `events` is told. Tokens that have expired are forgotten.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], or it could not be kept: the token is good for
    /// nothing.
    fn add_step_token(
        &self,
        token: StoredStepToken,
        events: EventsWhere,
    ) -> Pending<'_, Result<Accessed, StoreError>>;

    /// The step token with this hash, of a run that is open; none: there is none.
    ///
    /// # Errors
    /// The store can't be read.
    fn step_token(&self, hash: &StepTokenHash) -> Result<Option<StoredStepToken>, StoreError>;

    /// How many step tokens are kept of a run.
    ///
    /// # Errors
    /// The store can't be read.
    fn step_tokens(&self, run: &RunKey) -> Result<usize, StoreError>;

    /// Takes an event that becomes durable within a second.
    ///
    /// # Errors
    /// [`StoreError::QueueFull`]: the access must not be granted.
    fn record_soon(&self, event: EventDraft) -> Result<(), StoreError>;

    /// Records why a run could not be resolved, with its events. The latest 20 a
    /// run are kept. `failure` is an encoding of the resolver's own.
    ///
    /// # Errors
    /// [`StoreError`].
    fn record_failure(
        &self,
        key: RunKey,
        failure: Vec<u8>,
        events: Vec<EventDraft>,
    ) -> Pending<'_, Result<Recorded, StoreError>>;

    /// What is kept of a run's failed resolutions, all its attempts, newest first.
    ///
    /// # Errors
    /// The store can't be read.
    fn failures(
        &self,
        pipeline: &PipelineName,
        run_id: &RunId,
    ) -> Result<Vec<StoredFailure>, StoreError>;

    /// A page of events.
    ///
    /// # Errors
    /// The store can't be read.
    fn events(&self, query: &EventQuery) -> Result<EventPage, StoreError>;

    /// The name of the log's chain, which no other store has.
    fn chain(&self) -> &str;

    /// The hash of a durable event; that of sequence 0 is what comes before the
    /// first. None where there is no such event.
    ///
    /// # Errors
    /// The store can't be read.
    fn hash_at(&self, sequence: u64) -> Result<Option<Hash>, StoreError>;

    /// The newest sequence that is durable, told after each commit. The channel
    /// closes with the store.
    fn newest(&self) -> watch::Receiver<u64>;

    /// Checks the chains from the store's own bytes, from after each position of
    /// `from` (chain, sequence, hash), until `deadline`.
    ///
    /// # Errors
    /// The store can't be read.
    fn verify(&self, request: &VerifyRequest) -> Result<Verified, StoreError>;

    /// Makes what was taken by [`Store::record_soon`] durable and closes.
    fn close(&self) -> Pending<'_, Result<(), StoreError>>;
}

/// Makes a commit's events from how the run stood before it (`true`: this call
/// ended it).
pub type EventsFor = Box<dyn FnOnce(&StoredRun, bool) -> Vec<EventDraft> + Send>;

/// Makes a commit's events from how the run had ended before it; none: it is open.
/// Its lifetime may be over without a record of that.
pub type EventsWhere = Box<dyn FnOnce(Option<RunEnd>) -> Vec<EventDraft> + Send>;

/// A run to freeze. The record and the sealed values are the resolver's
/// encodings; the store keeps them as they are.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its name.
    pub key: RunKey,
    /// The environment.
    pub environment: EnvironmentName,
    /// The preset.
    pub preset: Option<PresetName>,
    /// Whose it is.
    pub owner: Principal,
    /// The frozen revision.
    pub revision: String,
    /// The bundle of the plan.
    pub bundle: String,
    /// The caller's own date for the run.
    pub logical_date: Option<Timestamp>,
    /// How it took over the values of the attempt before; none for the first.
    pub mode: Option<AttemptMode>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// When it was made, by the store's clock.
    pub created: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// The redacted record, authenticated by the resolver.
    pub record: Vec<u8>,
    /// The sealed values, erased at the run's end.
    pub sealed: Vec<u8>,
}

/// A run as it is kept.
#[derive(Debug, Clone)]
pub struct StoredRun {
    /// What was frozen; `sealed` is empty once the run has ended.
    pub frozen: NewRun,
    /// How it ended; none while it is open.
    pub end: Option<(RunEnd, Timestamp)>,
}

impl StoredRun {
    /// Whether its lifetime is over at `now` and that isn't recorded yet.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.end.is_none() && self.frozen.expires <= now
    }

    /// How it has ended at `now`, recorded or not; none: it is open.
    pub fn end_at(&self, now: Timestamp) -> Option<RunEnd> {
        let recorded = self.end.map(|(end, _)| end);
        recorded.or_else(|| self.is_overdue(now).then_some(RunEnd::Expired))
    }
}

/// A failed resolution as it is kept.
#[derive(Debug, Clone)]
pub struct StoredFailure {
    /// Of which attempt.
    pub attempt: u32,
    /// When it was given up.
    pub time: Timestamp,
    /// What went wrong, in the resolver's own encoding.
    pub failure: Vec<u8>,
}

/// The keyed hash of a step token.
pub type StepTokenHash = [u8; 32];

/// A step token as it is kept. It goes with its run's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStepToken {
    /// What it is found by.
    pub hash: StepTokenHash,
    /// The run.
    pub run: RunKey,
    /// When it ends.
    pub expires: Timestamp,
    /// What else there is to it, in an authenticated encoding of its maker's.
    pub record: Vec<u8>,
}

/// Whether a run was frozen.
#[derive(Debug)]
pub enum Created {
    /// It was.
    Created(Recorded),
    /// One of its name is there; nothing was written.
    Exists,
}

/// An ended run.
#[derive(Debug)]
pub struct Ended {
    /// As it is now.
    pub run: StoredRun,
    /// This call ended it.
    pub by_this_call: bool,
    /// The events are on disk.
    pub recorded: Recorded,
}

/// A run that was to be extended.
#[derive(Debug)]
pub struct Extended {
    /// As it is now.
    pub run: StoredRun,
    /// How it had ended, recorded or not; none: it is open.
    pub end: Option<RunEnd>,
}

/// An access to a run that is on record.
#[derive(Debug)]
pub struct Accessed {
    /// How the run had ended, recorded or not; none: it is open.
    pub end: Option<RunEnd>,
    /// The events are on disk.
    pub recorded: Recorded,
}

/// How an attempt takes over the values of the one before; the numbers are the
/// contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(i32)]
pub enum AttemptMode {
    /// The same values, and the same versions of secrets.
    Exact = 1,
    /// The same request, with the sources asked anew.
    Refresh = 2,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// All went well.
    Succeeded,
    /// A step failed.
    Failed,
    /// It was called off.
    Cancelled,
    /// Its lifetime was over.
    Expired,
}

/// Which runs, and from where.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// Attempts of this run.
    pub run_id: Option<String>,
    /// In this environment.
    pub environment: Option<String>,
    /// In one of these states; empty: any.
    pub states: Vec<RunState>,
    /// With all these labels.
    pub labels: BTreeMap<String, String>,
    /// Made at or after this time.
    pub from: Option<Timestamp>,
    /// Made before this time.
    pub until: Option<Timestamp>,
    /// Frozen before the run at this place.
    pub before: Option<i64>,
    /// The most runs wanted.
    pub limit: usize,
}

/// How a run stands; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum RunState {
    /// It has not ended.
    Open = 1,
    /// It was completed.
    Completed = 2,
    /// Its lifetime was over.
    Expired = 3,
}

/// A page of runs, each with its place among all.
#[derive(Debug, Clone, Default)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<(i64, StoredRun)>,
    /// Where to go on; none: this was the last page.
    pub next: Option<i64>,
}

/// Which events, and from where.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// Of this run, all its attempts.
    pub run_id: Option<String>,
    /// In this environment.
    pub environment: Option<String>,
    /// Of this step.
    pub step: Option<String>,
    /// That have this parameter among theirs.
    pub parameter: Option<String>,
    /// By this principal.
    pub principal: Option<String>,
    /// With one of these actions; empty: any.
    pub actions: Vec<Action>,
    /// With one of these outcomes; empty: any.
    pub outcomes: Vec<Outcome>,
    /// At or after this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Newest first.
    pub newest_first: bool,
    /// After (or, newest first, before) this sequence.
    pub beyond: Option<u64>,
    /// Not over this sequence: where the log stood when paging began.
    pub at_most: Option<u64>,
    /// The most events wanted.
    pub limit: usize,
}

/// A page of events.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// Where to go on; none: this was the last page.
    pub next: Option<u64>,
    /// The newest sequence of the log when the page was read.
    pub newest: u64,
}

/// What to verify.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// Only this chain.
    pub chain: Option<String>,
    /// Go on after this sequence, whose hash was found to be this.
    pub after: Option<(u64, [u8; 32])>,
    /// When to stop.
    pub deadline: std::time::Instant,
}

/// What was verified.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// The chains that were read, ordered by name.
    pub chains: Vec<ChainReport>,
    /// Where to go on; none: all is read.
    pub next: Option<(u64, [u8; 32])>,
}

/// Why a store can't do what it should, in our own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No such run.
    #[error("there is no such run")]
    NoSuchRun,
    /// The queue of records is full.
    #[error("the queue of audit records is full")]
    QueueFull,
    /// It is closed or closing.
    #[error("the store is closed")]
    Closed,
    /// It can't be read or written.
    #[error("the store can't {doing}: {why}")]
    Unavailable {
        /// What it was asked to do.
        doing: &'static str,
        /// Why, without a value: SQLite's result code by name.
        why: String,
    },
    /// What is stored was changed.
    #[error("a stored record was changed or can't be read")]
    Corrupt,
}
