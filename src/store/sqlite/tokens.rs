//! Step tokens in the store.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::clock::{from_column, to_column};
use super::failure::Failure;
use super::runs::parsed;
use super::{StepTokenHash, StoredStepToken};
use crate::name::RunKey;

pub(super) fn insert(connection: &Connection, token: &StoredStepToken) -> Result<(), Failure> {
    let StoredStepToken { hash, run, expires, record } = token;
    connection
        .prepare_cached(
            "insert into step_tokens (hash, pipeline, run_id, attempt, expires, record) \
             values (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            hash,
            run.pipeline.as_str(),
            run.run_id.as_str(),
            run.attempt,
            to_column(*expires),
            record,
        ])?;
    Ok(())
}

/// A token of a run that is open at `now`. One that expired is given too, until it
/// is forgotten.
pub(super) fn find(
    connection: &Connection,
    hash: &StepTokenHash,
    now: Timestamp,
) -> Result<Option<StoredStepToken>, Failure> {
    connection
        .prepare_cached(
            "select t.pipeline, t.run_id, t.attempt, t.expires, t.record \
             from step_tokens t join runs r using (pipeline, run_id, attempt) \
             where t.hash = ?1 and r.outcome is null and r.expires > ?2",
        )?
        .query_row(params![hash, to_column(now)], |row| {
            let (pipeline, run_id): (String, String) = (row.get(0)?, row.get(1)?);
            Ok((pipeline, run_id, row.get(2)?, row.get::<_, i64>(3)?, row.get(4)?))
        })
        .optional()?
        .map(|(pipeline, run_id, attempt, expires, record)| {
            let run = RunKey { pipeline: parsed(&pipeline)?, run_id: parsed(&run_id)?, attempt };
            let expires = from_column(expires).ok_or(Failure::Corrupt)?;
            Ok(StoredStepToken { hash: *hash, run, expires, record })
        })
        .transpose()
}

pub(super) fn count(connection: &Connection, run: &RunKey) -> Result<usize, Failure> {
    let count: i64 = connection
        .prepare_cached(
            "select count(*) from step_tokens \
             where pipeline = ?1 and run_id = ?2 and attempt = ?3",
        )?
        .query_row(params![run.pipeline.as_str(), run.run_id.as_str(), run.attempt], |row| {
            row.get(0)
        })?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Forgets the tokens of a run.
pub(super) fn forget(connection: &Connection, run: &RunKey) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "delete from step_tokens where pipeline = ?1 and run_id = ?2 and attempt = ?3",
        )?
        .execute(params![run.pipeline.as_str(), run.run_id.as_str(), run.attempt])?;
    Ok(())
}

/// Forgets the tokens whose time is over.
pub(super) fn forget_expired(connection: &Connection, now: Timestamp) -> Result<(), Failure> {
    connection
        .prepare_cached("delete from step_tokens where expires <= ?1")?
        .execute(params![to_column(now)])?;
    Ok(())
}
