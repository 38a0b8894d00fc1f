//! Events in the store: added at the chain's end, and read page by page.
//!
//! The canonical form is the event. The columns beside it only help to find it,
//! and a check compares them with it.

use rusqlite::types::Value as Column;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use super::clock::to_column;
use super::failure::Failure;
use super::sequence::Sequence;
use super::{EventPage, EventQuery};
use crate::audit::canonical::{self, Canonical, Hash, NO_HASH};
use crate::audit::{Event, EventDraft};

/// Sequences that one page looks through where no index leads to the events.
const WINDOW: u64 = if cfg!(test) { 50 } else { 50_000 };
/// Events that one page decodes where only their content tells whether they fit.
const DECODED: usize = if cfg!(test) { 20 } else { 10_000 };
/// The most events of one page.
const MAX_PAGE: usize = 1_000;

/// Adds an event at its place.
pub(super) fn insert(
    connection: &Connection,
    sequence: u64,
    draft: &EventDraft,
    canonical: &[u8],
    previous: &Hash,
    hash: &Hash,
) -> Result<(), Failure> {
    let columns = Columns::of(draft);
    connection
        .prepare_cached(
            "insert into events (sequence, canonical, previous, hash, time, action, outcome, \
             principal, pipeline, run_id, environment, step) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            Sequence(sequence),
            canonical,
            previous,
            hash,
            columns.time,
            columns.action,
            columns.outcome,
            columns.principal,
            columns.pipeline,
            columns.run_id,
            columns.environment,
            columns.step,
        ])?;
    Ok(())
}

/// What is kept beside the canonical form, to find it by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    time: i64,
    action: i64,
    outcome: i64,
    principal: String,
    pipeline: Option<String>,
    run_id: Option<String>,
    environment: Option<String>,
    step: Option<String>,
}

impl Columns {
    /// Those that an event has.
    pub(super) fn of(draft: &EventDraft) -> Self {
        Self {
            time: to_column(draft.time),
            action: draft.action.number(),
            outcome: draft.outcome.number(),
            principal: draft.principal.name.clone(),
            pipeline: draft.pipeline.as_ref().map(ToString::to_string),
            run_id: draft.run.as_ref().map(|(run_id, _)| run_id.to_string()),
            environment: draft.environment.as_ref().map(ToString::to_string),
            step: draft.step.as_ref().map(ToString::to_string),
        }
    }

    /// Those of a row, from column `first` on, in the order of the table.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            time: row.get(first)?,
            action: row.get(first + 1)?,
            outcome: row.get(first + 2)?,
            principal: row.get(first + 3)?,
            pipeline: row.get(first + 4)?,
            run_id: row.get(first + 5)?,
            environment: row.get(first + 6)?,
            step: row.get(first + 7)?,
        })
    }
}

/// The hash of the event at a place; 0 is the place before the first.
pub(super) fn hash_at(connection: &Connection, sequence: u64) -> Result<Option<Hash>, Failure> {
    if sequence == 0 {
        return Ok(Some(NO_HASH));
    }
    Ok(connection
        .prepare_cached("select hash from events where sequence = ?1")?
        .query_row([Sequence(sequence)], |row| row.get(0))
        .optional()?)
}

/// A page of events. Its work is bounded: it may be empty and still say where
/// to go on.
pub(super) fn page(connection: &mut Connection, query: &EventQuery) -> Result<EventPage, Failure> {
    // One transaction, so that `newest` and the rows are of one moment.
    let transaction = connection.transaction()?;
    let Sequence(newest) = transaction
        .prepare_cached("select coalesce(max(sequence), 0) from events")?
        .query_row([], |row| row.get(0))?;
    let range = Range::new(query, newest);
    let limit = query.limit.clamp(1, MAX_PAGE);
    let most_rows = if query.parameter.is_some() { DECODED } else { limit };
    let (sql, values) = select(query, range, most_rows);
    let mut statement = transaction.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;

    let mut events = Vec::new();
    let (mut seen, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let event = event(row)?;
        (seen, last) = (seen + 1, Some(event.sequence));
        if has_parameter(&event, query.parameter.as_deref()) {
            events.push(event);
        }
        if events.len() == limit {
            break;
        }
    }
    let broken_off = (events.len() == limit || seen == most_rows).then_some(last).flatten();
    Ok(EventPage { events, next: range.next(broken_off), newest })
}

/// The sequences that a page looks at: over `low`, up to `high`.
#[derive(Clone, Copy)]
struct Range {
    low: u64,
    high: u64,
    /// The last sequence of the whole listing.
    top: u64,
    newest_first: bool,
}

impl Range {
    fn new(query: &EventQuery, newest: u64) -> Self {
        let top = query.at_most.map_or(newest, |most| most.min(newest));
        let window = if query.run_id.is_some() { u64::MAX } else { WINDOW };
        let newest_first = query.newest_first;
        if newest_first {
            let high = query.beyond.map_or(top, |beyond| beyond.saturating_sub(1).min(top));
            Self { low: high.saturating_sub(window), high, top, newest_first }
        } else {
            let low = query.beyond.unwrap_or(0).min(top);
            Self { low, high: low.saturating_add(window).min(top), top, newest_first }
        }
    }

    /// Where to go on: after the event at which the page was broken off, else
    /// after all that it looked at.
    fn next(self, broken_off: Option<u64>) -> Option<u64> {
        if self.newest_first {
            Some(broken_off.unwrap_or(self.low + 1)).filter(|next| *next > 1)
        } else {
            Some(broken_off.unwrap_or(self.high)).filter(|next| *next < self.top)
        }
    }
}

fn select(query: &EventQuery, range: Range, most_rows: usize) -> (String, Vec<Column>) {
    let mut sql = "select sequence, canonical, previous, hash from events \
                   where sequence > ? and sequence <= ?"
        .to_owned();
    let mut values = vec![number(range.low), number(range.high)];
    let mut and = |condition: &str, value: Option<Column>| {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Column::Text);
    and(" and run_id = ?", text(&query.run_id));
    and(" and pipeline = ?", text(&query.pipeline));
    and(" and environment = ?", text(&query.environment));
    and(" and step = ?", text(&query.step));
    and(" and principal = ?", text(&query.principal));
    and(" and time >= ?", query.from.map(to_column).map(Column::Integer));
    and(" and time < ?", query.until.map(to_column).map(Column::Integer));
    one_of(&mut sql, "action", query.actions.iter().map(|action| action.number()));
    one_of(&mut sql, "outcome", query.outcomes.iter().map(|outcome| outcome.number()));
    let order = if range.newest_first { "desc" } else { "asc" };
    sql.push_str(&format!(" order by sequence {order} limit {most_rows}"));
    (sql, values)
}

/// The numbers are the contract's own, so they may stand in the statement.
fn one_of(sql: &mut String, column: &str, numbers: impl Iterator<Item = i64>) {
    let numbers: Vec<_> = numbers.map(|number| number.to_string()).collect();
    if !numbers.is_empty() {
        sql.push_str(&format!(" and {column} in ({})", numbers.join(", ")));
    }
}

fn number(sequence: u64) -> Column {
    Column::Integer(i64::try_from(sequence).unwrap_or(i64::MAX))
}

fn event(row: &Row<'_>) -> Result<Event, Failure> {
    let Sequence(sequence) = row.get(0)?;
    let canonical: Canonical =
        canonical::decode(row.get_ref(1)?.as_blob().map_err(|_| Failure::Corrupt)?)
            .map_err(|_| Failure::Corrupt)?;
    if canonical.sequence != sequence {
        return Err(Failure::Corrupt);
    }
    Ok(canonical.into_event(row.get(2)?, row.get(3)?))
}

fn has_parameter(event: &Event, wanted: Option<&str>) -> bool {
    let named = |wanted| event.draft.parameters.iter().any(|access| access.name.as_str() == wanted);
    wanted.is_none_or(named)
}
