//! Sequences in columns: SQLite's integers have a sign.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A sequence of an event, or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence(pub(super) u64);

impl ToSql for Sequence {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        // No chain comes near 2^63 events.
        Ok(i64::try_from(self.0).unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Sequence {
    /// What is below 0 was never a sequence of ours: it counts as 0, which is
    /// no event's either.
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|number| Self(u64::try_from(number).unwrap_or(0)))
    }
}
