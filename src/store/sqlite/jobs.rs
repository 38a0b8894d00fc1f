//! What the writer can be asked for, and how each is done inside a commit.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::clock::{Clock, to_column};
use super::failure::Failure;
use super::{
    Accessed, Created, Ended, EventsFor, EventsWhere, Extended, NewRun, RunEnd, StoreError,
    StoredRun, StoredStepToken, events, runs, tokens,
};
use crate::audit::verify::Head;
use crate::audit::{EventDraft, Recorded, canonical};
use crate::name::RunKey;

/// Failures that are kept of one run.
const KEPT_FAILURES: i64 = 20;

type To<T> = oneshot::Sender<Result<T, StoreError>>;

/// Something to write.
pub(super) enum Job {
    /// Freeze a run.
    Create { run: Box<NewRun>, events: Vec<EventDraft>, answer: To<Created> },
    /// End a run.
    End { key: RunKey, end: RunEnd, events: EventsFor, answer: To<Ended> },
    /// Let a run stay open longer.
    Extend {
        key: RunKey,
        expires: Timestamp,
        record: Vec<u8>,
        events: EventsWhere,
        answer: To<Extended>,
    },
    /// Record events of an access to a run.
    Access { key: RunKey, events: EventsWhere, answer: To<Accessed> },
    /// Keep a step token.
    Token { token: StoredStepToken, events: EventsWhere, answer: To<Accessed> },
    /// Record events.
    Record { events: Vec<EventDraft>, answer: To<Recorded> },
    /// Record why a run could not be resolved.
    Failure { key: RunKey, failure: Vec<u8>, events: Vec<EventDraft>, answer: To<Recorded> },
    /// Make all durable and end.
    Close { answer: To<()> },
}

/// Tells whoever asked; called with how the commit went, after it.
pub(super) type Answer = Box<dyn FnOnce(Result<(), StoreError>)>;

/// A commit on its way.
pub(super) struct Batch<'a> {
    /// Inside a transaction.
    pub(super) connection: &'a Connection,
    /// The chain's name.
    pub(super) chain: &'a str,
    /// Where the chain stands with what is in this commit.
    pub(super) head: Head,
    /// The store's clock.
    pub(super) clock: &'a Clock,
    /// Sealed values were erased.
    pub(super) erased: bool,
    /// SQLite took the whole transaction back.
    pub(super) lost: Option<Failure>,
}

impl Batch<'_> {
    /// Does a job; its answer waits for the commit.
    pub(super) fn run(&mut self, job: Job) -> Answer {
        match job {
            Job::Create { run, events, answer } => {
                let done = self.attempt(|batch| {
                    let created = runs::insert(batch.connection, &run)?;
                    if created { batch.append_all(&events).map(Some) } else { Ok(None) }
                });
                after_commit(answer, done, |sequence| match sequence {
                    Some(sequence) => Created::Created(Recorded::after_commit(sequence)),
                    None => Created::Exists,
                })
            }
            Job::End { key, end, events, answer } => {
                let done = self.attempt(|batch| batch.end(&key, end, events));
                after_commit(answer, done, |(run, by_this_call, sequence)| {
                    let recorded = Recorded::after_commit(sequence);
                    Ended { run, by_this_call, recorded }
                })
            }
            Job::Extend { key, expires, record, events, answer } => {
                let done = self.attempt(|batch| batch.extend(&key, expires, record, events));
                after_commit(answer, done, same)
            }
            Job::Access { key, events, answer } => {
                let done = self.ended(|batch| batch.access(&key, events));
                after_commit(answer, done, accessed)
            }
            Job::Token { token, events, answer } => {
                let done = self.attempt(|batch| batch.keep_token(&token, events));
                after_commit(answer, done, accessed)
            }
            Job::Record { events, answer } => {
                let done = self.ended(|batch| batch.append_whole(&events));
                after_commit(answer, done, Recorded::after_commit)
            }
            Job::Failure { key, failure, events, answer } => {
                let done = self.attempt(|batch| {
                    batch.keep_failure(&key, &failure)?;
                    batch.append_all(&events)
                });
                after_commit(answer, done, Recorded::after_commit)
            }
            Job::Close { answer } => after_commit(answer, Ok(()), |()| ()),
        }
    }

    /// Does the work whole or not at all; what others did in the commit stays.
    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.ended(|batch| batch.whole(work))
    }

    fn whole<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (head, erased) = (self.head, self.erased);
        let done = match execute(self.connection, "savepoint job") {
            Ok(()) => work(self),
            Err(failure) => Err(failure),
        };
        let ended = match &done {
            Ok(_) => execute(self.connection, "release job"),
            Err(_) => execute(self.connection, "rollback to job")
                .and_then(|()| execute(self.connection, "release job")),
        };
        let done = done.and_then(|value| ended.map(|()| value));
        if let Err(failure) = &done {
            (self.head, self.erased) = (head, erased);
            if ended.is_err() {
                self.lost = Some(*failure);
            }
        }
        done
    }

    /// Does the work, and sees whether there is still a transaction.
    fn ended<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let done = work(self);
        if let Err(failure) = &done
            && self.connection.is_autocommit()
        {
            // On a full disk and the like SQLite may give up the transaction.
            self.lost = Some(*failure);
        }
        done.map_err(|failure| failure.store_error("write"))
    }

    /// Puts events at the end of the chain; the last one's place.
    pub(super) fn append_all(&mut self, drafts: &[EventDraft]) -> Result<u64, Failure> {
        for draft in drafts {
            let sequence = self.head.sequence + 1;
            let canonical = canonical::encode(self.chain, sequence, draft);
            let hash = canonical::hash(&self.head.hash, &canonical);
            events::insert(self.connection, sequence, draft, &canonical, &self.head.hash, &hash)?;
            self.head = Head { sequence, hash };
        }
        Ok(self.head.sequence)
    }

    /// The same for a job that writes nothing else: all of them or none.
    fn append_whole(&mut self, drafts: &[EventDraft]) -> Result<u64, Failure> {
        match drafts {
            // One statement is done whole or not at all by itself.
            [_] => self.append_all(drafts),
            _ => self.whole(|batch| batch.append_all(drafts)),
        }
    }

    fn end(
        &mut self,
        key: &RunKey,
        end: RunEnd,
        events: EventsFor,
    ) -> Result<(StoredRun, bool, u64), Failure> {
        let mut run = runs::find(self.connection, key)?.ok_or(Failure::NoSuchRun)?;
        let now = self.clock.now();
        // Who found it overdue may have looked before it was extended.
        let may_end = end != RunEnd::Expired || run.is_overdue(now);
        let by_this_call = run.end.is_none() && may_end;
        let drafts = events(&run, by_this_call);
        if by_this_call {
            runs::end(self.connection, key, end, now)?;
            tokens::forget(self.connection, key)?;
            run.end = Some((end, now));
            run.frozen.sealed = Vec::new();
            self.erased = true;
        }
        Ok((run, by_this_call, self.append_all(&drafts)?))
    }

    fn extend(
        &mut self,
        key: &RunKey,
        expires: Timestamp,
        record: Vec<u8>,
        events: EventsWhere,
    ) -> Result<Extended, Failure> {
        let mut run = runs::find(self.connection, key)?.ok_or(Failure::NoSuchRun)?;
        let end = run.end_at(self.clock.now());
        let drafts = events(end);
        if end.is_none() && run.frozen.expires < expires {
            runs::extend(self.connection, key, expires, &record)?;
            (run.frozen.expires, run.frozen.record) = (expires, record);
        }
        self.append_all(&drafts)?;
        Ok(Extended { run, end })
    }

    fn access(
        &mut self,
        key: &RunKey,
        events: EventsWhere,
    ) -> Result<(Option<RunEnd>, u64), Failure> {
        let now = self.clock.now();
        let end = runs::end_at(self.connection, key, now)?.ok_or(Failure::NoSuchRun)?;
        Ok((end, self.append_whole(&events(end))?))
    }

    /// Keeps a token of a run that is open, in the same commit as its events.
    fn keep_token(
        &mut self,
        token: &StoredStepToken,
        events: EventsWhere,
    ) -> Result<(Option<RunEnd>, u64), Failure> {
        let now = self.clock.now();
        let end = runs::end_at(self.connection, &token.run, now)?.ok_or(Failure::NoSuchRun)?;
        tokens::forget_expired(self.connection, now)?;
        if end.is_none() {
            tokens::insert(self.connection, token)?;
        }
        Ok((end, self.append_all(&events(end))?))
    }

    fn keep_failure(&mut self, key: &RunKey, failure: &[u8]) -> Result<(), Failure> {
        let (pipeline, run_id) = (key.pipeline.as_str(), key.run_id.as_str());
        let now = to_column(self.clock.now());
        self.connection
            .prepare_cached(
                "insert into failures (pipeline, run_id, attempt, time, failure) \
                 values (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![pipeline, run_id, key.attempt, now, failure])?;
        self.connection
            .prepare_cached(
                "delete from failures where pipeline = ?1 and run_id = ?2 and id <= (\
                 select id from failures where pipeline = ?1 and run_id = ?2 \
                 order by id desc limit 1 offset ?3)",
            )?
            .execute(params![pipeline, run_id, KEPT_FAILURES])?;
        Ok(())
    }
}

/// A statement that is parsed once.
pub(super) fn execute(connection: &Connection, sql: &str) -> Result<(), Failure> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn after_commit<T: 'static, U: 'static>(
    to: To<T>,
    done: Result<U, StoreError>,
    finish: impl FnOnce(U) -> T + 'static,
) -> Answer {
    // Whoever asked may have gone; what is committed stays.
    Box::new(move |committed| drop(to.send(committed.and(done).map(finish))))
}

impl Job {
    /// The answer of a job that was not begun: the commit has failed already.
    pub(super) fn unanswered(self) -> Answer {
        const CLOSED: StoreError = StoreError::Closed;
        match self {
            Self::Create { answer, .. } => after_commit(answer, Err::<Created, _>(CLOSED), same),
            Self::End { answer, .. } => after_commit(answer, Err::<Ended, _>(CLOSED), same),
            Self::Extend { answer, .. } => after_commit(answer, Err::<Extended, _>(CLOSED), same),
            Self::Access { answer, .. } | Self::Token { answer, .. } => {
                after_commit(answer, Err::<Accessed, _>(CLOSED), same)
            }
            Self::Record { answer, .. } | Self::Failure { answer, .. } => {
                after_commit(answer, Err::<Recorded, _>(CLOSED), same)
            }
            Self::Close { answer } => after_commit(answer, Err::<(), _>(CLOSED), same),
        }
    }
}

fn accessed((end, sequence): (Option<RunEnd>, u64)) -> Accessed {
    Accessed { end, recorded: Recorded::after_commit(sequence) }
}

fn same<T>(value: T) -> T {
    value
}
