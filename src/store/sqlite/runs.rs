//! Runs in the store.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::clock::{from_column, to_column};
use super::failure::Failure;
use super::{AttemptMode, NewRun, RunEnd, StoredRun};
use crate::audit::{Principal, PrincipalKind};
use crate::name::{PipelineName, RunId, RunKey};

/// Adds a run; `false` where one of its name is there.
pub(super) fn insert(connection: &Connection, run: &NewRun) -> Result<bool, Failure> {
    let labels = serde_json::to_string(&run.labels).map_err(|_| Failure::Corrupt)?;
    let added = connection
        .prepare_cached(
            "insert into runs (pipeline, run_id, attempt, environment, preset, owner, owner_kind, \
             revision, bundle, labels, created, expires, record, sealed, logical_date, mode) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
             on conflict do nothing",
        )?
        .execute(params![
            run.key.pipeline.as_str(),
            run.key.run_id.as_str(),
            run.key.attempt,
            run.environment.as_str(),
            run.preset.as_ref().map(|preset| preset.as_str()),
            run.owner.name,
            run.owner.kind.number(),
            run.revision,
            run.bundle,
            labels,
            to_column(run.created),
            to_column(run.expires),
            run.record,
            run.sealed,
            run.logical_date.map(|date| date.to_string()),
            run.mode.map(|mode| mode as i32),
        ])?;
    Ok(added == 1)
}

/// Ends a run and erases what is sealed.
pub(super) fn end(
    connection: &Connection,
    key: &RunKey,
    end: RunEnd,
    now: Timestamp,
) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "update runs set sealed = x'', outcome = ?4, ended = ?5 \
             where pipeline = ?1 and run_id = ?2 and attempt = ?3",
        )?
        .execute(params![
            key.pipeline.as_str(),
            key.run_id.as_str(),
            key.attempt,
            end_number(end),
            to_column(now),
        ])?;
    Ok(())
}

/// Lets a run stay open longer.
pub(super) fn extend(
    connection: &Connection,
    key: &RunKey,
    expires: Timestamp,
    record: &[u8],
) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "update runs set expires = ?4, record = ?5 \
             where pipeline = ?1 and run_id = ?2 and attempt = ?3",
        )?
        .execute(params![
            key.pipeline.as_str(),
            key.run_id.as_str(),
            key.attempt,
            to_column(expires),
            record,
        ])?;
    Ok(())
}

/// The run of a name.
pub(super) fn find(connection: &Connection, key: &RunKey) -> Result<Option<StoredRun>, Failure> {
    connection
        .prepare_cached(
            "select environment, preset, owner, owner_kind, revision, bundle, labels, created, \
             expires, ended, outcome, record, sealed, logical_date, mode from runs \
             where pipeline = ?1 and run_id = ?2 and attempt = ?3",
        )?
        .query_row(params![key.pipeline.as_str(), key.run_id.as_str(), key.attempt], |row| {
            Ok(stored(key, row))
        })
        .optional()?
        .transpose()
}

/// How the run of a name has ended at `now`, recorded or not. Its record and its
/// secrets are not read.
pub(super) fn end_at(
    connection: &Connection,
    key: &RunKey,
    now: Timestamp,
) -> Result<Option<Option<RunEnd>>, Failure> {
    let found = connection
        .prepare_cached(
            "select outcome, expires from runs \
             where pipeline = ?1 and run_id = ?2 and attempt = ?3",
        )?
        .query_row(params![key.pipeline.as_str(), key.run_id.as_str(), key.attempt], |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    let Some((outcome, expires)) = found else { return Ok(None) };
    let is_over = time(expires)? <= now;
    let end = outcome.map(end_of).transpose()?;
    Ok(Some(end.or(is_over.then_some(RunEnd::Expired))))
}

pub(super) fn stored(key: &RunKey, row: &Row<'_>) -> Result<StoredRun, Failure> {
    let frozen = NewRun {
        key: key.clone(),
        environment: parsed(&row.get::<_, String>(0)?)?,
        preset: row.get::<_, Option<String>>(1)?.as_deref().map(parsed).transpose()?,
        owner: Principal {
            name: row.get(2)?,
            kind: PrincipalKind::from_number(row.get(3)?).ok_or(Failure::Corrupt)?,
        },
        revision: row.get(4)?,
        bundle: row.get(5)?,
        logical_date: row.get::<_, Option<String>>(13)?.as_deref().map(parsed).transpose()?,
        mode: row.get::<_, Option<i64>>(14)?.map(mode_of).transpose()?,
        labels: serde_json::from_str(&row.get::<_, String>(6)?).map_err(|_| Failure::Corrupt)?,
        created: time(row.get(7)?)?,
        expires: time(row.get(8)?)?,
        record: row.get(11)?,
        sealed: row.get(12)?,
    };
    let end = match (row.get::<_, Option<i64>>(10)?, row.get::<_, Option<i64>>(9)?) {
        (None, None) => None,
        (Some(end), Some(ended)) => Some((end_of(end)?, time(ended)?)),
        _ => return Err(Failure::Corrupt),
    };
    // Sealed bytes are there from the first commit to the end, and never after.
    if end.is_some() != frozen.sealed.is_empty() {
        return Err(Failure::Corrupt);
    }
    Ok(StoredRun { frozen, end })
}

pub(super) fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::Corrupt)
}

fn time(nanos: i64) -> Result<Timestamp, Failure> {
    from_column(nanos).ok_or(Failure::Corrupt)
}

/// The contract's `RunOutcome`, and one of our own for what nobody completed.
fn end_number(end: RunEnd) -> i64 {
    match end {
        RunEnd::Succeeded => 1,
        RunEnd::Failed => 2,
        RunEnd::Cancelled => 3,
        RunEnd::Expired => 100,
    }
}

fn end_of(number: i64) -> Result<RunEnd, Failure> {
    [RunEnd::Succeeded, RunEnd::Failed, RunEnd::Cancelled, RunEnd::Expired]
        .into_iter()
        .find(|end| end_number(*end) == number)
        .ok_or(Failure::Corrupt)
}

fn mode_of(number: i64) -> Result<AttemptMode, Failure> {
    [AttemptMode::Exact, AttemptMode::Refresh]
        .into_iter()
        .find(|mode| i64::from(*mode as i32) == number)
        .ok_or(Failure::Corrupt)
}

/// The newest attempt of a run.
pub(super) fn newest_attempt(
    connection: &Connection,
    pipeline: &PipelineName,
    run_id: &RunId,
) -> Result<Option<u32>, Failure> {
    Ok(connection
        .prepare_cached("select max(attempt) from runs where pipeline = ?1 and run_id = ?2")?
        .query_row(params![pipeline.as_str(), run_id.as_str()], |row| row.get(0))?)
}

/// Open runs whose lifetime is over, the longest over first.
pub(super) fn overdue(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<RunKey>, Failure> {
    let mut statement = connection.prepare_cached(
        "select pipeline, run_id, attempt from runs \
         where outcome is null and expires <= ?1 order by expires limit ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![to_column(now), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        // A name that somebody changed must not keep the others from ending.
        let pipeline = parsed(&row.get::<_, String>(0)?);
        let (Ok(pipeline), Ok(run_id)) = (pipeline, parsed(&row.get::<_, String>(1)?)) else {
            continue;
        };
        found.push(RunKey { pipeline, run_id, attempt: row.get(2)? });
    }
    Ok(found)
}
