//! MySQL and MariaDB as a source: one statement in a read-only transaction, its
//! binds of their own types, its cells of the server's.
//!
//! A connection serves one query: no statement of SQL resets a session, and the
//! driver can't send the protocol's own command for that.

mod cause;
mod cell;
mod form;
mod options;

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::decode::Decode;
use sqlx::mysql::{MySql as Driver, MySqlArguments, MySqlConnection, MySqlRow, MySqlStatement};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Connection as _, Executor as _, Row as _,
    SqlSafeStr as _, Statement as _, ValueRef as _, raw_sql,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::form::Form;
use self::options::Login;
use super::cells::Budget;
use super::rows::{Shape, declared_of};
use super::settings::{Limits, ServerSettings};
use super::{SHAPE, query};
use crate::source::{
    Answer, Cause, ConnectError, Environment, Pending, Probe, Raw, Read, Source, SourceError,
};
use crate::value::{MAX_VALUE_BYTES, Value, json};

/// The longest that a connection may take to say that it ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// A server that can be asked.
pub(super) struct MySql {
    login: Login,
    turns: Arc<Semaphore>,
    limits: Limits,
}

/// A connection in use. Dropped, it is closed; the server then ends what it
/// still does for it, at the latest when its time is over.
struct Lease {
    connection: MySqlConnection,
    _turn: OwnedSemaphorePermit,
}

impl Lease {
    /// Ends it in good order, while whoever had it goes on.
    fn end(self) {
        tokio::spawn(async move {
            let Self { connection, _turn: turn } = self;
            // A server that doesn't say goodbye is left.
            let _ = tokio::time::timeout(GOODBYE, connection.close()).await;
            drop(turn);
        });
    }
}

impl MySql {
    /// Makes it ready; nobody is asked yet.
    pub(super) fn new(
        settings: &ServerSettings,
        environment: &Environment,
    ) -> Result<Self, ConnectError> {
        let login = Login::new(settings, environment)?;
        let turns = Arc::new(Semaphore::new(settings.connections));
        Ok(Self { login, turns, limits: settings.limits })
    }

    /// A new connection, in a transaction that the server lets nothing be
    /// written in.
    async fn lease(&self) -> Result<Lease, SourceError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Cause::ServerError)?;
        let options = self.login.options()?;
        let made = MySqlConnection::connect_with(&options).await;
        let mut connection = made.map_err(|error| cause::connecting(&error))?;
        let begin = AssertSqlSafe(self.login.begin.clone());
        let begun = raw_sql(begin).execute(&mut connection).await;
        begun.map_err(|error| cause::asking(&error))?;
        Ok(Lease { connection, _turn: turn })
    }

    async fn ask(&self, read: &Read) -> Result<Raw, SourceError> {
        let query = Positional::of(read)?;
        let mut lease = self.lease().await?;
        let raw = ask(&mut lease.connection, &query, self.limits.rows).await?;
        lease.end();
        Ok(raw)
    }

    async fn probe(&self, probe: &Probe<'_>) -> Result<Vec<String>, SourceError> {
        let query = Positional::of(probe.read)?;
        let mut lease = self.lease().await?;
        let told = match prepare(&mut lease.connection, query.text.clone()).await {
            Ok(statement) => misfits(&statement, &query, probe),
            Err(Cause::BadAnswer) => {
                let told = "the database doesn't take the query: a name or a type of it is wrong";
                vec![told.to_owned()]
            }
            Err(Cause::Refused) => {
                let told =
                    "the role has no right to what the query names, or the query would write";
                vec![told.to_owned()]
            }
            Err(cause) => return Err(cause.into()),
        };
        lease.end();
        Ok(told)
    }
}

impl Source for MySql {
    fn read<'a>(&'a self, read: &'a Read) -> Pending<'a, Result<Answer, SourceError>> {
        Box::pin(async move {
            let raw = self.limits.within(self.ask(read)).await?;
            Ok(Answer::Found { raw, version: None })
        })
    }

    fn check<'a>(&'a self, probe: &'a Probe<'a>) -> Pending<'a, Result<Vec<String>, SourceError>> {
        Box::pin(self.limits.within(self.probe(probe)))
    }
}

/// A query with a `?` for each bind, as the server takes it.
struct Positional<'r> {
    text: String,
    /// The binds' values, in the order of the text.
    values: Vec<&'r Value>,
}

impl<'r> Positional<'r> {
    fn of(read: &'r Read) -> Result<Self, Cause> {
        let query = read.query.as_deref().ok_or(Cause::BadAnswer)?;
        let (text, names) = query::positional(query).map_err(|_| Cause::BadAnswer)?;
        let value = |name: &&str| {
            let bind = read.binds.iter().find(|(known, _)| known == name);
            bind.map(|(_, value)| value).ok_or(Cause::BadAnswer)
        };
        Ok(Self { text, values: names.iter().map(value).collect::<Result<_, _>>()? })
    }

    fn arguments(&self) -> Result<MySqlArguments, Cause> {
        let mut arguments = MySqlArguments::default();
        for value in &self.values {
            bind(&mut arguments, value).map_err(|_| Cause::BadAnswer)?;
        }
        Ok(arguments)
    }
}

/// A value as the server has it, by its own type: a boolean as 0 or 1, arrays
/// and objects as their JSON text.
fn bind(arguments: &mut MySqlArguments, value: &Value) -> Result<(), sqlx::error::BoxDynError> {
    match value {
        Value::Null => arguments.add(None::<&str>),
        Value::Bool(flag) => arguments.add(*flag),
        Value::Integer(number) => arguments.add(*number),
        Value::Number(number) => arguments.add(*number),
        Value::String(text) => arguments.add(text.as_str()),
        Value::Bytes(bytes) => arguments.add(bytes.as_slice()),
        Value::List(_) | Value::Map(_) => arguments.add(json::to_json(value)),
    }
}

async fn ask(
    connection: &mut MySqlConnection,
    query: &Positional<'_>,
    limit: usize,
) -> Result<Raw, SourceError> {
    let statement = prepare(connection, query.text.clone()).await?;
    if statement.columns().is_empty() || !counts(&statement, query) {
        return Err(Cause::BadAnswer.into());
    }
    let columns: Vec<_> =
        statement.columns().iter().map(|column| column.name().to_owned()).collect();
    if let Some(guard) = guard(&query.text, &statement, limit) {
        let found = sqlx::query_with(AssertSqlSafe(guard), query.arguments()?).persistent(false);
        let found = found.fetch_optional(&mut *connection).await;
        if found.map_err(|error| cause::asking(&error))?.is_some() {
            return Err(Cause::TooLarge.into());
        }
    }
    let mut answer = Raw::Rows { columns, rows: Vec::new(), typed: false };
    let Raw::Rows { columns, rows: taken, .. } = &mut answer else {
        return Err(Cause::BadAnswer.into());
    };
    let mut budget = Budget::new();
    let text = AssertSqlSafe(query.text.clone());
    let mut rows = sqlx::query_with(text, query.arguments()?).persistent(false).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(|error| cause::asking(&error))? {
        if taken.len() == limit {
            return Err(Cause::TooLarge.into());
        }
        taken.push(Vec::with_capacity(columns.len()));
        for index in 0..columns.len() {
            let value = cell_of(&row, index, &mut budget)?;
            // The last row is the one that was just begun.
            taken.last_mut().ok_or(Cause::BadAnswer)?.push(value);
        }
    }
    drop(rows);
    Ok(answer)
}

async fn prepare(connection: &mut MySqlConnection, text: String) -> Result<MySqlStatement, Cause> {
    let text = AssertSqlSafe(text).into_sql_str();
    connection.prepare(text).await.map_err(|error| cause::asking(&error))
}

/// Whether the server found the binds that we did.
fn counts(statement: &MySqlStatement, query: &Positional<'_>) -> bool {
    use sqlx::Either;
    matches!(statement.parameters(), Some(Either::Right(count)) if count == query.values.len())
}

/// The most bytes of one row, as the server has it: texts may be in UTF-32.
const MAX_ROW: usize = 4 * MAX_VALUE_BYTES;
/// The most columns of at most 64 Ki characters that fit a row without a look.
const MAX_SHORT: usize = 8;

/// A query that gives a row where the first has one that is too large: the
/// driver takes a row whole, whatever its size. None where it can't have one.
/// The query itself isn't put inside of another, where it would lose its order.
fn guard(query: &str, statement: &MySqlStatement, limit: usize) -> Option<String> {
    let forms: Vec<_> =
        statement.columns().iter().map(|column| Form::of(column.type_info())).collect();
    let short = forms.iter().filter(|form| form.is_text()).count() <= MAX_SHORT;
    if short && !forms.iter().any(Form::is_long) {
        return None;
    }
    let names: Vec<_> = (0..forms.len()).map(|index| format!("c{index}")).collect();
    let sizes: Vec<_> = names
        .iter()
        .zip(&forms)
        .filter(|(_, form)| form.is_text())
        .map(|(name, _)| format!("coalesce(octet_length({name}), 0)"))
        .collect();
    // It was prepared by itself before, so nothing of it can end the parentheses.
    Some(format!(
        "with paramd_rows ({}) as (\n{query}\n), \
         paramd_sizes (size) as (select {} from paramd_rows limit {}) \
         select 1 from paramd_sizes where size > {MAX_ROW} limit 1",
        names.join(", "),
        sizes.join(" + "),
        limit + 1,
    ))
}

fn cell_of(row: &MySqlRow, index: usize, budget: &mut Budget) -> Result<Value, Cause> {
    let raw = row.try_get_raw(index).map_err(|_| Cause::BadAnswer)?;
    let form = Form::of(&raw.type_info());
    // The driver calls a date of zeros null, but for here.
    match <&[u8] as Decode<'_, Driver>>::decode(raw) {
        Ok(bytes) => cell::read(form, bytes, budget),
        Err(_) => {
            budget.spend(1)?;
            Ok(Value::Null)
        }
    }
}

/// What of a statement doesn't fit what is declared. The server knows no types
/// of binds.
fn misfits(statement: &MySqlStatement, query: &Positional<'_>, probe: &Probe<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if !counts(statement, query) {
        found.push("the database counts other binds in the query".to_owned());
    }
    let shape = Shape::of(probe.ask.texts.get(SHAPE).map(String::as_str));
    let columns = statement.columns();
    if columns.is_empty() || matches!(shape, Shape::Value | Shape::Column) && columns.len() != 1 {
        found.push("the query gives several columns, or none".to_owned());
        return found;
    }
    for (number, column) in columns.iter().enumerate() {
        let declared = declared_of(shape, probe.schema.declared(), column.name());
        if !Form::of(column.type_info()).can_give(declared) {
            let number = number + 1;
            found.push(format!("column {number} of the query isn't of the declared type"));
        }
    }
    found
}
