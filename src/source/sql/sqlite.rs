//! SQLite as a source: one file, opened to be read, one statement at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rusqlite::config::DbConfig;
use rusqlite::ffi::ErrorCode;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{Value as Cell, ValueRef};
use rusqlite::{Connection, OpenFlags, Statement};

use super::cells::Budget;
use super::settings::Limits;
use crate::source::lanes::Lanes;
use crate::source::{Answer, Cause, Pending, Probe, Raw, Read, Source, SourceError};
use crate::value::{MAX_VALUE_BYTES, Value, json};

/// A database file.
#[derive(Debug, Clone)]
pub(super) struct Sqlite {
    file: PathBuf,
    limits: Limits,
    lanes: Lanes,
}

impl Sqlite {
    /// Names the file; it is opened when it is read.
    pub(super) fn new(file: PathBuf, limits: Limits) -> Self {
        Self { file, limits, lanes: Lanes::default() }
    }

    /// The file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }
}

impl Source for Sqlite {
    fn read<'a>(&'a self, read: &'a Read) -> Pending<'a, Result<Answer, SourceError>> {
        let source = self.clone();
        let read = read.clone();
        Box::pin(async move {
            // The thread can't be taken back, so whoever stops waiting stops the query.
            let abandoned = Abandoned(Arc::new(AtomicBool::new(false)));
            let stop = Arc::clone(&abandoned.0);
            let raw = self.lanes.run(move || ask(&source, &read, stop)).await?;
            Ok(Answer::Found { raw, version: None })
        })
    }

    fn check<'a>(&'a self, probe: &'a Probe<'a>) -> Pending<'a, Result<Vec<String>, SourceError>> {
        let source = self.clone();
        let read = probe.read.clone();
        Box::pin(async move {
            let abandoned = Abandoned(Arc::new(AtomicBool::new(false)));
            let stop = Arc::clone(&abandoned.0);
            self.lanes.run(move || prepares(&source, &read, stop)).await
        })
    }
}

/// What the database has against a query. Its columns have no types to compare.
fn prepares(
    source: &Sqlite,
    read: &Read,
    stop: Arc<AtomicBool>,
) -> Result<Vec<String>, SourceError> {
    let text = read.query.as_deref().ok_or(Cause::BadAnswer)?;
    let connection = open(source, stop)?;
    let told = match connection.prepare(text) {
        Ok(statement) if !statement.readonly() => "the query would write",
        Ok(statement) if statement.column_count() == 0 => "the query gives no column",
        Ok(statement) if statement.parameter_count() != read.binds.len() => {
            "the database counts other binds in the query"
        }
        Ok(_) => return Ok(Vec::new()),
        Err(error) => match cause(&error) {
            Cause::BadAnswer => "the database doesn't take the query: a name of it is wrong",
            Cause::Refused => "the query would do more than read",
            other => return Err(other.into()),
        },
    };
    Ok(vec![told.to_owned()])
}

struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn ask(source: &Sqlite, read: &Read, stop: Arc<AtomicBool>) -> Result<Raw, SourceError> {
    let text = read.query.as_deref().ok_or(Cause::BadAnswer)?;
    let connection = open(source, stop)?;
    let mut statement = connection.prepare(text).map_err(|error| cause(&error))?;
    if !statement.readonly() {
        return Err(Cause::Refused.into());
    }
    if statement.column_count() == 0 {
        return Err(Cause::BadAnswer.into());
    }
    bind(&mut statement, &read.binds)?;
    collect(&mut statement, source.limits.rows)
}

/// A fresh connection for each query: nothing of one is left for the next.
fn open(source: &Sqlite, stop: Arc<AtomicBool>) -> Result<Connection, Cause> {
    let mut connection = connect(source, stop).map_err(|error| cause(&error))?;
    let page = begin(&connection).map_err(|error| cause(&error))?;
    // What is missing of a page is zeros to SQLite, so that rows would be missing.
    let length = std::fs::metadata(&source.file).map_or(0, |about| about.len());
    if !length.is_multiple_of(u64::from(page)) {
        return Err(Cause::BadAnswer);
    }
    connection.authorizer(Some(reading)).map_err(|error| cause(&error))?;
    Ok(connection)
}

/// A connection with limits.
fn connect(source: &Sqlite, stop: Arc<AtomicBool>) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&source.file, flags)?;
    connection.busy_timeout(source.limits.time)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_LENGTH)?;
    // LIKE calls itself for each wildcard: a long pattern would overflow the stack.
    connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    // A misspelt column in double quotes is an error, not a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // What it sorts is nothing to leave in a file.
    connection.pragma_update(None, "temp_store", "memory")?;
    let end = Instant::now() + source.limits.time;
    let over = move || stop.load(Ordering::Relaxed) || Instant::now() >= end;
    connection.progress_handler(1_000, Some(over))?;
    Ok(connection)
}

/// Begins to read one state of the file, and gives the size of its pages.
fn begin(connection: &Connection) -> rusqlite::Result<u32> {
    connection.execute_batch("begin")?;
    // The size is known when the file's head was read.
    connection.pragma_query_value(None, "page_count", |_| Ok(()))?;
    connection.pragma_query_value(None, "page_size", |row| row.get(0))
}

/// Lets a query do nothing but read.
fn reading(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Function { .. }
        | AuthAction::Recursive => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

/// The most bytes of a pattern of LIKE or GLOB.
const MAX_PATTERN: i32 = 1_000;

/// No cell, and nothing on the way to one, is longer: texts may be stored in UTF-16,
/// and a row's overhead fits too.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "3 MiB")]
const MAX_LENGTH: i32 = 3 * MAX_VALUE_BYTES as i32;

/// Binds by name, and counts again: what is bound is what the database found.
fn bind(statement: &mut Statement<'_>, binds: &[(String, Value)]) -> Result<(), SourceError> {
    if statement.parameter_count() != binds.len() {
        return Err(Cause::BadAnswer.into());
    }
    for (name, value) in binds {
        let index =
            statement.parameter_index(&format!(":{name}")).map_err(|error| cause(&error))?;
        let index = index.ok_or(Cause::BadAnswer)?;
        statement.raw_bind_parameter(index, stored(value)).map_err(|error| cause(&error))?;
    }
    Ok(())
}

/// A value as SQLite has it, and as a cell is read back: a boolean as 0 or 1,
/// arrays and objects as their JSON text (what `json_each` takes).
fn stored(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(flag) => Cell::Integer(i64::from(*flag)),
        Value::Integer(number) => Cell::Integer(*number),
        Value::Number(number) => Cell::Real(*number),
        Value::String(text) => Cell::Text(text.clone()),
        Value::Bytes(bytes) => Cell::Blob(bytes.clone()),
        Value::List(_) | Value::Map(_) => Cell::Text(json::to_json(value)),
    }
}

fn collect(statement: &mut Statement<'_>, limit: usize) -> Result<Raw, SourceError> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut answer = Raw::Rows { columns, rows: Vec::new(), typed: false };
    let Raw::Rows { columns, rows: taken, .. } = &mut answer else {
        return Err(Cause::BadAnswer.into());
    };
    let mut budget = Budget::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(|error| cause(&error))? {
        if taken.len() == limit {
            return Err(Cause::TooLarge.into());
        }
        taken.push(Vec::with_capacity(columns.len()));
        for index in 0..columns.len() {
            let cell = row.get_ref(index).map_err(|error| cause(&error))?;
            budget.spend_cell(size(cell))?;
            let value = value(cell)?;
            // The last row is the one that was just begun.
            taken.last_mut().ok_or(Cause::BadAnswer)?.push(value);
        }
    }
    Ok(answer)
}

fn size(cell: ValueRef<'_>) -> usize {
    match cell {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        // It may become a boolean.
        _ => 1,
    }
}

fn value(cell: ValueRef<'_>) -> Result<Value, SourceError> {
    match cell {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(number) => Ok(Value::Integer(number)),
        ValueRef::Real(number) if number.is_finite() => Ok(Value::Number(number)),
        ValueRef::Real(_) => Err(Cause::BadAnswer.into()),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|_| Cause::BadAnswer)?;
            Ok(Value::String(text.to_owned()))
        }
        ValueRef::Blob(bytes) => Ok(Value::Bytes(bytes.to_vec())),
    }
}

/// The library's own words may quote a value, so only the code counts.
fn cause(error: &rusqlite::Error) -> Cause {
    let (rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. }) =
        error
    else {
        return Cause::BadAnswer;
    };
    match error.code {
        ErrorCode::CannotOpen => Cause::Unreachable,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Cause::NotReady,
        ErrorCode::OperationInterrupted => Cause::Timeout,
        ErrorCode::TooBig => Cause::TooLarge,
        ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly
        | ErrorCode::AuthorizationForStatementDenied => Cause::Refused,
        ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::DiskFull => {
            Cause::ServerError
        }
        _ => Cause::BadAnswer,
    }
}

#[cfg(test)]
mod tests;
