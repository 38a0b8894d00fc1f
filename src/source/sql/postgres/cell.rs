//! From a cell, as the server sends it, to a value: exactly, or not at all.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::form::Form;
use crate::source::Cause;
use crate::source::sql::cells::{Budget, finite, in_years, single, utf8};
use crate::value::{MAX_ITEMS, Value, json};

/// Microseconds from 1970 to 2000, where the server counts from.
pub(super) const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;
/// Days from 1970 to 2000.
pub(super) const EPOCH_DAYS: i32 = 10_957;
/// The most dimensions of an array.
const MAX_DIMENSIONS: usize = 6;

/// Reads a cell in the binary form.
pub(super) fn read(form: &Form, cell: &[u8], budget: &mut Budget) -> Result<Value, Cause> {
    if let Form::Array { item, .. } = form {
        return array(item, cell, budget);
    }
    // Of binary JSON, the first byte is its version.
    let bytes = cell.len() - usize::from(matches!(form, Form::Jsonb) && !cell.is_empty());
    budget.spend_cell(bytes)?;
    let value = scalar(form, cell)?;
    // A numeric of few bytes may have many digits.
    if let Value::String(text) = &value {
        budget.spend(text.len().saturating_sub(cell.len()))?;
    }
    Ok(value)
}

fn scalar(form: &Form, cell: &[u8]) -> Result<Value, Cause> {
    let value = match form {
        Form::Bool => match fixed::<1>(cell)? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return Err(Cause::BadAnswer),
        },
        Form::Int2 => Value::Integer(i16::from_be_bytes(fixed(cell)?).into()),
        Form::Int4 => Value::Integer(i32::from_be_bytes(fixed(cell)?).into()),
        Form::Int8 => Value::Integer(i64::from_be_bytes(fixed(cell)?)),
        Form::Oid => Value::Integer(u32::from_be_bytes(fixed(cell)?).into()),
        Form::Float4 => single(f32::from_be_bytes(fixed(cell)?))?,
        Form::Float8 => finite(f64::from_be_bytes(fixed(cell)?))?,
        Form::Numeric => Value::String(numeric(cell)?),
        Form::Text => Value::String(utf8(cell)?.to_owned()),
        Form::Bytes => Value::Bytes(cell.to_vec()),
        Form::Date => Value::String(date(i32::from_be_bytes(fixed(cell)?))?.to_string()),
        Form::Time => Value::String(time(i64::from_be_bytes(fixed(cell)?))?.to_string()),
        Form::Timestamp => {
            let instant = instant(i64::from_be_bytes(fixed(cell)?))?;
            Value::String(civil(instant).to_string())
        }
        Form::TimestampTz => Value::String(instant(i64::from_be_bytes(fixed(cell)?))?.to_string()),
        Form::Uuid => Value::String(uuid(fixed(cell)?)),
        Form::Json => document(cell)?,
        Form::Jsonb => match cell.split_first() {
            Some((1, text)) => document(text)?,
            _ => return Err(Cause::BadAnswer),
        },
        Form::Inet => Value::String(network(cell, false)?),
        Form::Cidr => Value::String(network(cell, true)?),
        Form::Array { .. } | Form::Unknown => return Err(Cause::BadAnswer),
    };
    Ok(value)
}

fn fixed<const N: usize>(cell: &[u8]) -> Result<[u8; N], Cause> {
    cell.try_into().map_err(|_| Cause::BadAnswer)
}

fn document(text: &[u8]) -> Result<Value, Cause> {
    json::from_json(text).map_err(|_| Cause::BadAnswer)
}

/// Takes big-endian numbers from the front of a cell.
struct Reader<'c>(&'c [u8]);

impl<'c> Reader<'c> {
    fn take(&mut self, bytes: usize) -> Result<&'c [u8], Cause> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Cause::BadAnswer)?;
        self.0 = rest;
        Ok(taken)
    }

    fn int2(&mut self) -> Result<i16, Cause> {
        Ok(i16::from_be_bytes(fixed(self.take(2)?)?))
    }

    fn int4(&mut self) -> Result<i32, Cause> {
        Ok(i32::from_be_bytes(fixed(self.take(4)?)?))
    }
}

/// Digits to the base of 10,000, as text with the scale that the server keeps.
fn numeric(cell: &[u8]) -> Result<String, Cause> {
    let mut reader = Reader(cell);
    let count = usize::try_from(reader.int2()?).map_err(|_| Cause::BadAnswer)?;
    let weight = i32::from(reader.int2()?);
    let sign = match reader.int2()? {
        0 => "",
        0x4000 => "-",
        // Not a number, and the infinities.
        _ => return Err(Cause::BadAnswer),
    };
    let scale = usize::try_from(reader.int2()?).map_err(|_| Cause::BadAnswer)?;
    let mut digits = Vec::with_capacity(count);
    for _ in 0..count {
        let digit = reader.int2()?;
        if !(0..10_000).contains(&digit) {
            return Err(Cause::BadAnswer);
        }
        digits.push(digit);
    }
    let at = |place: i32| {
        let index = usize::try_from(weight - place).ok();
        index.and_then(|index| digits.get(index)).copied().unwrap_or(0)
    };
    let mut whole = String::new();
    for place in (0..=weight.max(0)).rev() {
        whole += &format!("{:04}", at(place));
    }
    let whole = whole.trim_start_matches('0');
    let mut fraction = String::new();
    for place in 1..=i32::try_from(scale.div_ceil(4)).map_err(|_| Cause::BadAnswer)? {
        fraction += &format!("{:04}", at(-place));
    }
    fraction.truncate(scale);
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if scale == 0 { "" } else { "." };
    Ok(format!("{sign}{whole}{point}{fraction}"))
}

fn date(days: i32) -> Result<Date, Cause> {
    // The infinities are the ends of the range, and far beyond the years below.
    let days = i64::from(days) + i64::from(EPOCH_DAYS);
    let instant = Timestamp::from_second(days.checked_mul(86_400).ok_or(Cause::BadAnswer)?)
        .map_err(|_| Cause::BadAnswer)?;
    in_years(civil(instant)).map(DateTime::date)
}

fn time(microseconds: i64) -> Result<Time, Cause> {
    if !(0..86_400_000_000).contains(&microseconds) {
        return Err(Cause::BadAnswer);
    }
    let instant = Timestamp::from_microsecond(microseconds).map_err(|_| Cause::BadAnswer)?;
    Ok(civil(instant).time())
}

fn instant(microseconds: i64) -> Result<Timestamp, Cause> {
    let since = microseconds.checked_add(EPOCH_MICROSECONDS).ok_or(Cause::BadAnswer)?;
    let instant = Timestamp::from_microsecond(since).map_err(|_| Cause::BadAnswer)?;
    in_years(civil(instant)).map(|_| instant)
}

fn civil(instant: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(instant)
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = hex::encode(bytes);
    for place in [20, 16, 12, 8] {
        text.insert(place, '-');
    }
    text
}

fn network(cell: &[u8], always_bits: bool) -> Result<String, Cause> {
    let [family, bits, _, length, address @ ..] = cell else { return Err(Cause::BadAnswer) };
    if usize::from(*length) != address.len() {
        return Err(Cause::BadAnswer);
    }
    let (text, all) = match family {
        2 => (Ipv4Addr::from(fixed::<4>(address)?).to_string(), 32),
        3 => (Ipv6Addr::from(fixed::<16>(address)?).to_string(), 128),
        _ => return Err(Cause::BadAnswer),
    };
    Ok(if always_bits || *bits != all { format!("{text}/{bits}") } else { text })
}

fn array(item: &Form, cell: &[u8], budget: &mut Budget) -> Result<Value, Cause> {
    let mut reader = Reader(cell);
    let dimensions = usize::try_from(reader.int4()?).map_err(|_| Cause::BadAnswer)?;
    let (_has_null, _item_type) = (reader.int4()?, reader.int4()?);
    if dimensions > MAX_DIMENSIONS {
        return Err(Cause::BadAnswer);
    }
    let mut lengths = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        let length = usize::try_from(reader.int4()?).map_err(|_| Cause::BadAnswer)?;
        let _lower_bound = reader.int4()?;
        if length > MAX_ITEMS {
            return Err(Cause::TooLarge);
        }
        lengths.push(length);
    }
    let value = items(item, &lengths, &mut reader, budget)?;
    if reader.0.is_empty() { Ok(value) } else { Err(Cause::BadAnswer) }
}

fn items(
    item: &Form,
    lengths: &[usize],
    reader: &mut Reader<'_>,
    budget: &mut Budget,
) -> Result<Value, Cause> {
    let Some((length, inner)) = lengths.split_first() else { return Ok(Value::List(Vec::new())) };
    let mut list = Vec::new();
    for _ in 0..*length {
        let value = if inner.is_empty() {
            match reader.int4()? {
                -1 => {
                    budget.spend(1)?;
                    Value::Null
                }
                bytes => {
                    let bytes = usize::try_from(bytes).map_err(|_| Cause::BadAnswer)?;
                    read(item, reader.take(bytes)?, budget)?
                }
            }
        } else {
            // Empty arrays in arrays take no bytes of the cell.
            budget.spend(1)?;
            items(item, inner, reader, budget)?
        };
        list.push(value);
    }
    Ok(Value::List(list))
}

#[cfg(test)]
mod tests;
