//! PostgreSQL as a source: one statement in a read-only transaction, its binds
//! of the types that the server reports, its cells of the server's own.

mod bind;
mod cause;
mod cell;
mod form;
mod options;
mod pool;

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, PgStatement, PgTypeInfo};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Either, Executor as _, Row as _, SqlSafeStr as _,
    Statement as _,
};

use self::bind::Bound;
use self::form::Form;
use self::options::Login;
use self::pool::Pool;
use super::cells::Budget;
use super::rows::{Shape, declared_of};
use super::settings::{Limits, ServerSettings};
use super::{SHAPE, query};
use crate::source::{
    Answer, Cause, ConnectError, Environment, Pending, Probe, Raw, Read, Source, SourceError,
};
use crate::value::{MAX_VALUE_BYTES, Value};

/// A server that can be asked.
pub(super) struct Postgres {
    pool: Arc<Pool>,
    limits: Limits,
}

impl Postgres {
    /// Makes it ready; nobody is asked yet.
    pub(super) fn new(
        settings: ServerSettings,
        environment: &Environment,
    ) -> Result<Self, ConnectError> {
        let login = Login::new(&settings, environment)?;
        Ok(Self { pool: Pool::new(login, settings.connections), limits: settings.limits })
    }

    async fn ask(&self, read: &Read) -> Result<Raw, SourceError> {
        let text = read.query.as_deref().ok_or(Cause::BadAnswer)?;
        let mut lease = self.pool.lease().await?;
        let asked = ask(&mut lease.connection, text, read, self.limits.rows).await;
        // After an error the server may still send rows: the connection goes.
        if asked.is_ok() {
            lease.give_back();
        }
        asked
    }

    async fn probe(&self, probe: &Probe<'_>) -> Result<Vec<String>, SourceError> {
        let text = probe.read.query.as_deref().ok_or(Cause::BadAnswer)?;
        let mut lease = self.pool.lease().await?;
        let numbered = query::numbered(text).map_err(|_| Cause::BadAnswer)?;
        let statement = match prepare(&mut lease.connection, numbered.clone()).await {
            Ok(statement) => statement,
            Err(Cause::BadAnswer) => {
                let told = "the database doesn't take the query: a name or a type of it is wrong";
                return Ok(vec![told.to_owned()]);
            }
            Err(cause) => return Err(cause.into()),
        };
        let mut found = misfits(&statement, probe);
        if is_denied(&mut lease.connection, &statement, &numbered).await? {
            found.push("the role has no right to what the query names".to_owned());
        } else {
            lease.give_back();
        }
        Ok(found)
    }
}

impl Source for Postgres {
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

async fn ask(
    connection: &mut PgConnection,
    text: &str,
    read: &Read,
    limit: usize,
) -> Result<Raw, SourceError> {
    let numbered = query::numbered(text).map_err(|_| Cause::BadAnswer)?;
    let statement = prepare(connection, numbered.clone()).await?;
    let arguments = arguments(&statement, read)?;
    let columns: Vec<_> =
        statement.columns().iter().map(|column| column.name().to_owned()).collect();
    if columns.is_empty() {
        return Err(Cause::BadAnswer.into());
    }
    let forms: Vec<_> =
        statement.columns().iter().map(|column| Form::of(column.type_info())).collect();
    let mut answer = Raw::Rows { columns, rows: Vec::new(), typed: true };
    let Raw::Rows { rows: taken, .. } = &mut answer else {
        return Err(Cause::BadAnswer.into());
    };
    let mut budget = Budget::new();
    let guarded = AssertSqlSafe(guarded(&numbered, limit));
    let mut rows = sqlx::query_with(guarded, arguments).persistent(false).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(|error| cause::fetching(&error))? {
        if taken.len() == limit {
            return Err(Cause::TooLarge.into());
        }
        taken.push(Vec::with_capacity(forms.len()));
        for (index, form) in forms.iter().enumerate() {
            let value = cell_of(&row, index, form, &mut budget)?;
            // The last row is the one that was just begun.
            taken.last_mut().ok_or(Cause::BadAnswer)?.push(value);
        }
    }
    drop(rows);
    Ok(answer)
}

/// The most bytes of one row as text: of any that may be taken, and its escapes.
const MAX_ROW: usize = 8 * MAX_VALUE_BYTES;

/// A query that ends at the server with one row too many, or too large: the
/// driver takes a row whole, whatever its size. It was prepared by itself
/// before, so nothing of it can end the parentheses. The order of its rows stays.
fn guarded(query: &str, limit: usize) -> String {
    // A text of 4 GiB is refused by the server with a code of its own.
    format!(
        "with paramd_rows as materialized (\n{query}\n) \
         select paramd_rows.* from paramd_rows \
         where pg_catalog.length(pg_catalog.repeat('xx', \
         case when pg_catalog.octet_length((paramd_rows.*)::text) > {MAX_ROW} \
         then 2147483647 else 0 end)) = 0 \
         limit {}",
        limit + 1
    )
}

async fn prepare(connection: &mut PgConnection, numbered: String) -> Result<PgStatement, Cause> {
    let text = AssertSqlSafe(numbered).into_sql_str();
    connection.prepare(text).await.map_err(|error| cause::asking(&error))
}

fn parameters(statement: &PgStatement) -> &[PgTypeInfo] {
    match statement.parameters() {
        Some(Either::Left(types)) => types,
        _ => &[],
    }
}

/// The binds in the order of their names, which is that of their numbers. What
/// the server counted is what counts.
fn arguments(statement: &PgStatement, read: &Read) -> Result<PgArguments, Cause> {
    let types = parameters(statement);
    if types.len() != read.binds.len() {
        return Err(Cause::BadAnswer);
    }
    let mut arguments = PgArguments::default();
    for ((_, value), kind) in read.binds.iter().zip(types) {
        let bound = Bound::new(value, kind).map_err(|_| Cause::BadAnswer)?;
        arguments.add(bound).map_err(|_| Cause::BadAnswer)?;
    }
    Ok(arguments)
}

fn cell_of(row: &PgRow, index: usize, form: &Form, budget: &mut Budget) -> Result<Value, Cause> {
    use sqlx::ValueRef as _;
    let raw = row.try_get_raw(index).map_err(|_| Cause::BadAnswer)?;
    if raw.is_null() {
        budget.spend(1)?;
        return Ok(Value::Null);
    }
    let bytes = raw.as_bytes().map_err(|_| Cause::BadAnswer)?;
    cell::read(form, bytes, budget)
}

/// Whether the role may not do what a query asks. The server plans it for that,
/// with null binds, and doesn't do it; what else it has against it may be the
/// nulls' fault.
async fn is_denied(
    connection: &mut PgConnection,
    statement: &PgStatement,
    numbered: &str,
) -> Result<bool, Cause> {
    let mut nulls = PgArguments::default();
    for kind in parameters(statement) {
        let null = Bound::new(&Value::Null, kind).map_err(|_| Cause::BadAnswer)?;
        nulls.add(null).map_err(|_| Cause::BadAnswer)?;
    }
    let explain = AssertSqlSafe(format!("explain {numbered}"));
    match sqlx::query_with(explain, nulls).persistent(false).execute(connection).await {
        Ok(_) => Ok(false),
        Err(error) => match cause::asking(&error) {
            Cause::Refused => Ok(true),
            Cause::BadAnswer | Cause::TooLarge => Ok(false),
            cause => Err(cause),
        },
    }
}

/// What of a statement doesn't fit what is declared.
fn misfits(statement: &PgStatement, probe: &Probe<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let types = parameters(statement);
    if types.len() != probe.read.binds.len() {
        found.push("the database counts other binds in the query".to_owned());
    }
    for ((name, _), kind) in probe.read.binds.iter().zip(types) {
        let bound = probe.binds.get(name);
        if bound.is_some_and(|bound| !Form::of(kind).can_take(bound)) {
            found.push(format!(
                "the bind `:{name}` isn't of the type that the query compares it with"
            ));
        }
    }
    let shape = Shape::of(probe.ask.texts.get(SHAPE).map(String::as_str));
    let columns = statement.columns();
    if matches!(shape, Shape::Value | Shape::Column) && columns.len() != 1 {
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
