//! Runs page by page. A run keeps its place: rows are only added, each after all
//! others, so a page that goes on before a place doesn't shift.

use rusqlite::types::Value as Column;
use rusqlite::{Connection, params, params_from_iter};

use super::clock::{from_column, to_column};
use super::failure::Failure;
use super::{RunPage, RunQuery, RunState, StoredFailure, runs};
use crate::name::{PipelineName, RunId, RunKey};

/// The most runs of one page.
const MAX_PAGE: usize = 1_000;
/// Rows that one page looks through where no index leads to the runs.
const WINDOW: i64 = if cfg!(test) { 50 } else { 50_000 };

/// As [`runs::find`] reads them, without the record's and the secrets' bytes; of
/// those only whether there are any.
const COLUMNS: &str = "environment, preset, owner, owner_kind, revision, bundle, labels, created, \
     expires, ended, outcome, x'', iif(length(sealed) = 0, x'', x'00'), logical_date, mode, \
     pipeline, run_id, attempt, rowid";

/// A page of runs. Its work is bounded: it may be empty and still say where to go
/// on.
pub(super) fn page(connection: &mut Connection, query: &RunQuery) -> Result<RunPage, Failure> {
    let transaction = connection.transaction()?;
    let newest: i64 = transaction
        .prepare_cached("select coalesce(max(rowid), 0) from runs")?
        .query_row([], |row| row.get(0))?;
    let high = query.before.map_or(newest, |before| before.saturating_sub(1).min(newest));
    // The primary key leads to the attempts of a run.
    let by_key = is_by_key(query);
    let low = if by_key { 0 } else { high.saturating_sub(WINDOW).max(0) };
    let limit = query.limit.clamp(1, MAX_PAGE);
    let (sql, values) = select(query, low, high, limit);
    let mut statement = transaction.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;

    let (mut found, mut seen, mut last) = (Vec::new(), 0, low + 1);
    while let Some(row) = rows.next()? {
        let place = row.get(18)?;
        (seen, last) = (seen + 1, place);
        // One that somebody changed must not hide the others.
        let pipeline = runs::parsed(&row.get::<_, String>(15)?);
        let (Ok(pipeline), Ok(run_id)) = (pipeline, runs::parsed(&row.get::<_, String>(16)?))
        else {
            continue;
        };
        let key = RunKey { pipeline, run_id, attempt: row.get(17)? };
        if let Ok(run) = runs::stored(&key, row) {
            found.push((place, run));
        }
    }
    let next = if seen == limit { last } else { low + 1 };
    Ok(RunPage { runs: found, next: Some(next).filter(|next| *next > 1) })
}

fn is_by_key(query: &RunQuery) -> bool {
    query.pipeline.is_some() && query.run_id.is_some()
}

pub(super) fn select(query: &RunQuery, low: i64, high: i64, limit: usize) -> (String, Vec<Column>) {
    let mut sql = format!("select {COLUMNS} from runs where rowid > ? and rowid <= ?");
    let mut values = vec![Column::Integer(low), Column::Integer(high)];
    let mut and = |condition: &str, value: Option<Column>| {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Column::Text);
    // Without a run's name the key would lead to all runs of the pipeline, to be
    // sorted for each page; a page is a part of the table's own order.
    let pipeline = if is_by_key(query) { " and pipeline = ?" } else { " and +pipeline = ?" };
    and(pipeline, text(&query.pipeline));
    and(" and run_id = ?", text(&query.run_id));
    and(" and environment = ?", text(&query.environment));
    and(" and created >= ?", query.from.map(to_column).map(Column::Integer));
    and(" and created < ?", query.until.map(to_column).map(Column::Integer));
    for (key, value) in &query.labels {
        let has = " and exists (select 1 from json_each(labels) as label where label.key = ?";
        and(has, Some(Column::Text(key.clone())));
        and(" and label.value = ?)", Some(Column::Text(value.clone())));
    }
    let states: Vec<&str> = query.states.iter().map(|state| condition(*state)).collect();
    if !states.is_empty() {
        sql.push_str(&format!(" and ({})", states.join(" or ")));
    }
    sql.push_str(&format!(" order by rowid desc limit {limit}"));
    (sql, values)
}

fn condition(state: RunState) -> &'static str {
    match state {
        RunState::Open => "outcome is null",
        RunState::Completed => "outcome < 100",
        RunState::Expired => "outcome = 100",
    }
}

/// The failures of a run, all its attempts, newest first.
pub(super) fn failures(
    connection: &Connection,
    pipeline: &PipelineName,
    run_id: &RunId,
) -> Result<Vec<StoredFailure>, Failure> {
    let mut statement = connection.prepare_cached(
        "select attempt, time, failure from failures \
         where pipeline = ?1 and run_id = ?2 order by id desc",
    )?;
    let mut rows = statement.query(params![pipeline.as_str(), run_id.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let time = from_column(row.get(1)?).ok_or(Failure::Corrupt)?;
        found.push(StoredFailure { attempt: row.get(0)?, time, failure: row.get(2)? });
    }
    Ok(found)
}
