//! The tables, and how connections are set.

use std::io;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::rand;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, params};

use super::OpenError;
use super::failure::Failure;
use super::file::{self, beside, failed};
use super::sequence::Sequence;
use crate::audit::verify::Head;

/// The version of the tables, in `user_version`.
const VERSION: i64 = 3;
/// Marks the file as ours: "prmd".
const APPLICATION: i64 = 0x7072_6d64;
/// A file up to this size is checked whole at open; it takes about a second.
const CHECKED_BYTES: u64 = 256 << 20;
/// What a row may have at most: a record with its sealed values stays far below.
const MAX_ROW_BYTES: i32 = 64 << 20;
/// How long a writer's checkpoint waits for readers.
const WRITER_WAIT: Duration = Duration::from_millis(50);
/// How long a reader waits, which it does only where the log is recovered.
const READER_WAIT: Duration = Duration::from_secs(5);

/// Statements that a connection keeps parsed: all that the writer has.
const STATEMENTS: usize = 32;

/// Since version 3.
macro_rules! step_tokens {
    () => {
        "
create table step_tokens (
    hash blob primary key,
    pipeline text not null,
    run_id text not null,
    attempt integer not null,
    expires integer not null,
    record blob not null
) strict;
create index step_tokens_of_runs on step_tokens (pipeline, run_id, attempt);
create index old_step_tokens on step_tokens (expires);
"
    };
}

const TABLES: &str = concat!(
    "
create table chains (
    name text primary key,
    count integer not null,
    head blob not null
) strict;
create table events (
    sequence integer primary key,
    canonical blob not null,
    previous blob not null,
    hash blob not null,
    time integer not null,
    action integer not null,
    outcome integer not null,
    principal text not null,
    pipeline text,
    run_id text,
    environment text,
    step text
) strict;
create index events_of_runs on events (run_id) where run_id is not null;
create table runs (
    pipeline text not null,
    run_id text not null,
    attempt integer not null,
    environment text not null,
    preset text,
    owner text not null,
    owner_kind integer not null,
    revision text not null,
    bundle text not null,
    labels text not null,
    created integer not null,
    expires integer not null,
    ended integer,
    outcome integer,
    record blob not null,
    sealed blob not null,
    logical_date text,
    mode integer,
    primary key (pipeline, run_id, attempt)
) strict;
create index open_runs on runs (expires) where outcome is null;
create table failures (
    id integer primary key,
    pipeline text not null,
    run_id text not null,
    attempt integer not null,
    time integer not null,
    failure blob not null
) strict;
create index failures_of_runs on failures (pipeline, run_id, id);
",
    step_tokens!()
);

/// What each version has more than the one before, from the first on.
const UPGRADES: [&str; 2] = [
    "alter table runs add column logical_date text; alter table runs add column mode integer;",
    step_tokens!(),
];

/// The writer's connection to a store, which is made where there is none.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let failed = |error: io::Error| failed(path, "opened", &error);
    match std::fs::metadata(path) {
        Ok(found) if found.len() == 0 => return Err(damaged(path, "it is empty")),
        Ok(_) => file::close_to_others(path).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(failed(error)),
    }
    let mut connection = writer(path).map_err(|error| error.opening(path))?;
    let found = check(&connection, path)?;
    upgrade(&mut connection, found).map_err(|error| error.opening(path))?;
    Ok(connection)
}

fn damaged(path: &Path, why: &str) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), why: why.to_owned() }
}

/// Makes a store under another name first: no half-made one ever has its name.
fn create(path: &Path) -> Result<(), OpenError> {
    if beside(path, "-wal").exists() {
        return Err(damaged(path, "the file is gone, and its `-wal` is still there"));
    }
    let draft = beside(path, ".new");
    file::make(&draft).map_err(|error| failed(path, "made", &error))?;
    fill(&draft).map_err(|error| error.opening(path))?;
    file::publish(&draft, path).map_err(|error| failed(path, "made", &error))
}

fn fill(draft: &Path) -> Result<(), Failure> {
    let mut connection = connect(draft)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    let mut name = [0; 8];
    rand::fill(&mut name).map_err(|_| Failure::Corrupt)?;
    let empty = params![hex::encode(name), 0, Head::EMPTY.hash];
    transaction.execute("insert into chains (name, count, head) values (?1, ?2, ?3)", empty)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}

/// Brings the tables of an earlier release to today's, whole or not at all.
fn upgrade(connection: &mut Connection, found: i64) -> Result<(), Failure> {
    if found == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    let done = usize::try_from(found - 1).unwrap_or_default();
    for upgrade in UPGRADES.iter().skip(done) {
        transaction.execute_batch(upgrade)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

/// That it is a store of ours; gives the version of its tables.
fn check(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let number = |pragma| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(|error| Failure::from(error).opening(path))
    };
    if number("application_id")? != APPLICATION {
        return Err(damaged(path, "it is a database of another program"));
    }
    let found = number("user_version")?;
    if found > VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    if found < 1 {
        return Err(damaged(path, "its schema version makes no sense"));
    }
    let size = std::fs::metadata(path).map_err(|error| failed(path, "read", &error))?.len();
    if size > CHECKED_BYTES {
        return Ok(found);
    }
    let verdict = connection
        .query_row("pragma quick_check(1)", [], |row| row.get::<_, String>(0))
        .map_err(|error| Failure::from(error).opening(path))?;
    if verdict == "ok" { Ok(found) } else { Err(damaged(path, "SQLite's quick_check fails")) }
}

/// A reader's connection.
pub(super) fn reader(path: &Path) -> Result<Connection, Failure> {
    let connection = connect(path)?;
    connection.busy_timeout(READER_WAIT)?;
    connection.execute_batch("pragma query_only = on;")?;
    Ok(connection)
}

fn writer(path: &Path) -> Result<Connection, Failure> {
    let connection = connect(path)?;
    connection.busy_timeout(WRITER_WAIT)?;
    let mode: String = connection.query_row("pragma journal_mode = wal", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Failure::Corrupt);
    }
    // Checkpoints are the writer's own: SQLite doesn't tell where one of its
    // automatic ones fails.
    connection.execute_batch(
        "pragma synchronous = full;
         pragma secure_delete = on;
         pragma wal_autocheckpoint = 0;",
    )?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 16)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    connection.execute_batch(
        "pragma foreign_keys = on;
         pragma cell_size_check = on;
         pragma temp_store = memory;
         pragma mmap_size = 0;",
    )?;
    Ok(connection)
}

/// The store's chain: its name and where it stands.
pub(super) fn chain(connection: &Connection) -> Result<(String, Head), Failure> {
    let mut statement = connection.prepare_cached("select name, count, head from chains")?;
    let found = statement.query_one([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Sequence>(1)?, row.get::<_, [u8; 32]>(2)?))
    });
    let (name, Sequence(sequence), hash) = found?;
    Ok((name, Head { sequence, hash }))
}
