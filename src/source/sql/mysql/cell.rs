//! From a cell, as the server sends it, to a value: exactly, or not at all.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::form::Form;
use crate::source::Cause;
use crate::source::sql::cells::{Budget, finite, in_years, single, utf8};
use crate::value::Value;

/// Reads a cell in the binary form.
pub(super) fn read(form: Form, cell: &[u8], budget: &mut Budget) -> Result<Value, Cause> {
    budget.spend_cell(cell.len())?;
    match form {
        Form::Signed => signed(cell).map(Value::Integer),
        // 64 bits without a sign may be more than we have.
        Form::Unsigned => integer(unsigned(cell)?),
        Form::Bits => integer(bits(cell)?),
        Form::Float => single(f32::from_le_bytes(fixed(cell)?)),
        Form::Double => finite(f64::from_le_bytes(fixed(cell)?)),
        Form::Decimal | Form::ShortText | Form::LongText => {
            Ok(Value::String(utf8(cell)?.to_owned()))
        }
        Form::ShortBytes | Form::LongBytes => Ok(Value::Bytes(cell.to_vec())),
        Form::Date => Ok(Value::String(moment(cell)?.date().to_string())),
        Form::Time => Ok(Value::String(time(cell)?.to_string())),
        Form::DateTime => Ok(Value::String(moment(cell)?.to_string())),
        Form::Timestamp => {
            // The session's zone is UTC.
            let instant =
                TimeZone::UTC.to_timestamp(moment(cell)?).map_err(|_| Cause::BadAnswer)?;
            Ok(Value::String(instant.to_string()))
        }
        Form::Null | Form::Unknown => Err(Cause::BadAnswer),
    }
}

fn fixed<const N: usize>(cell: &[u8]) -> Result<[u8; N], Cause> {
    cell.try_into().map_err(|_| Cause::BadAnswer)
}

fn signed(cell: &[u8]) -> Result<i64, Cause> {
    match cell.len() {
        1 => Ok(i8::from_le_bytes(fixed(cell)?).into()),
        2 => Ok(i16::from_le_bytes(fixed(cell)?).into()),
        4 => Ok(i32::from_le_bytes(fixed(cell)?).into()),
        _ => Ok(i64::from_le_bytes(fixed(cell)?)),
    }
}

fn unsigned(cell: &[u8]) -> Result<u64, Cause> {
    match cell.len() {
        1 => Ok(u8::from_le_bytes(fixed(cell)?).into()),
        2 => Ok(u16::from_le_bytes(fixed(cell)?).into()),
        4 => Ok(u32::from_le_bytes(fixed(cell)?).into()),
        _ => Ok(u64::from_le_bytes(fixed(cell)?)),
    }
}

/// Bits come with the highest first, in as many bytes as they need.
fn bits(cell: &[u8]) -> Result<u64, Cause> {
    if cell.len() > 8 {
        return Err(Cause::BadAnswer);
    }
    Ok(cell.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn integer(number: u64) -> Result<Value, Cause> {
    i64::try_from(number).map(Value::Integer).map_err(|_| Cause::BadAnswer)
}

/// A date and what follows it, after a byte with their length. A date of zeros
/// has no bytes; one with a month or day of zero is no date.
fn moment(cell: &[u8]) -> Result<DateTime, Cause> {
    let (length, fields) = cell.split_first().ok_or(Cause::BadAnswer)?;
    if usize::from(*length) != fields.len() {
        return Err(Cause::BadAnswer);
    }
    let (date, clock) = fields.split_at_checked(4).ok_or(Cause::BadAnswer)?;
    let [low, high, month, day] = fixed(date)?;
    let year = i16::try_from(u16::from_le_bytes([low, high])).map_err(|_| Cause::BadAnswer)?;
    let date = Date::new(year, small(month)?, small(day)?).map_err(|_| Cause::BadAnswer)?;
    in_years(date.to_datetime(clock_of(clock)?))
}

/// A time of a day, after a byte with its length: the server's may be longer
/// than a day, or before it.
fn time(cell: &[u8]) -> Result<Time, Cause> {
    let (length, fields) = cell.split_first().ok_or(Cause::BadAnswer)?;
    if usize::from(*length) != fields.len() {
        return Err(Cause::BadAnswer);
    }
    match fields.split_at_checked(5) {
        None if fields.is_empty() => Ok(Time::midnight()),
        Some(([0, 0, 0, 0, 0], clock)) => clock_of(clock),
        _ => Err(Cause::BadAnswer),
    }
}

/// Hours, minutes and seconds, and microseconds where there are some.
fn clock_of(fields: &[u8]) -> Result<Time, Cause> {
    let (clock, fraction) = match fields {
        [] => ([0, 0, 0], 0),
        [hour, minute, second] => ([*hour, *minute, *second], 0),
        [hour, minute, second, fraction @ ..] => {
            ([*hour, *minute, *second], u32::from_le_bytes(fixed(fraction)?))
        }
        _ => return Err(Cause::BadAnswer),
    };
    let [hour, minute, second] = clock;
    let nanoseconds = fraction.checked_mul(1_000).ok_or(Cause::BadAnswer)?;
    let nanoseconds = i32::try_from(nanoseconds).map_err(|_| Cause::BadAnswer)?;
    Time::new(small(hour)?, small(minute)?, small(second)?, nanoseconds)
        .map_err(|_| Cause::BadAnswer)
}

fn small(number: u8) -> Result<i8, Cause> {
    i8::try_from(number).map_err(|_| Cause::BadAnswer)
}

#[cfg(test)]
mod tests;
