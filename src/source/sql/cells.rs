//! What the cells of all servers have in common: their bounds, and what is
//! exact.

use jiff::civil::DateTime;

use crate::source::Cause;
use crate::value::{MAX_VALUE_BYTES, Value};

/// How many bytes an answer may still grow by.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// That of one value, which an answer becomes.
    pub(super) fn new() -> Self {
        Self(MAX_VALUE_BYTES)
    }

    /// Takes a cell's bytes, one for an empty one: never more than the value counts
    /// that becomes of it.
    pub(super) fn spend_cell(&mut self, bytes: usize) -> Result<(), Cause> {
        self.spend(bytes.max(1))
    }

    /// Takes some of it.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Cause> {
        self.0 = self.0.checked_sub(bytes).ok_or(Cause::TooLarge)?;
        Ok(())
    }
}

/// Text as it is.
pub(super) fn utf8(cell: &[u8]) -> Result<&str, Cause> {
    std::str::from_utf8(cell).map_err(|_| Cause::BadAnswer)
}

/// A number that JSON has too.
pub(super) fn finite(number: f64) -> Result<Value, Cause> {
    if number.is_finite() { Ok(Value::Number(number)) } else { Err(Cause::BadAnswer) }
}

/// The number whose shortest text is the same: 0.1 stays 0.1.
pub(super) fn single(number: f32) -> Result<Value, Cause> {
    finite(number.to_string().parse().map_err(|_| Cause::BadAnswer)?)
}

/// RFC 3339 has years of four digits.
pub(super) fn in_years(moment: DateTime) -> Result<DateTime, Cause> {
    if (1..=9_999).contains(&moment.year()) { Ok(moment) } else { Err(Cause::BadAnswer) }
}
