//! From a value to what the server takes for a bind of its type: exactly, or
//! not at all.

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, Postgres};

use super::cell::{EPOCH_DAYS, EPOCH_MICROSECONDS};
use super::form::Form;
use crate::value::{MAX_LEVELS, Value, json};

/// A value that isn't one of the bind's type. It says no more: a value may be
/// a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit;

/// A bind, ready to be sent.
pub(super) struct Bound {
    kind: PgTypeInfo,
    bytes: Option<Vec<u8>>,
}

impl Bound {
    /// A value for a bind of the type that the server described.
    pub(super) fn new(value: &Value, kind: &PgTypeInfo) -> Result<Self, Misfit> {
        let bytes = match value {
            Value::Null => None,
            value => Some(write(value, &Form::of(kind))?),
        };
        Ok(Self { kind: kind.clone(), bytes })
    }
}

impl sqlx::Type<Postgres> for Bound {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("text")
    }
}

impl Encode<'_, Postgres> for Bound {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.kind.clone())
    }
}

/// The binary form of a value that isn't null.
pub(super) fn write(value: &Value, form: &Form) -> Result<Vec<u8>, Misfit> {
    match (form, value) {
        (Form::Bool, Value::Bool(flag)) => Ok(vec![u8::from(*flag)]),
        (Form::Int2, Value::Integer(number)) => {
            narrow::<i16>(*number).map(|n| n.to_be_bytes().into())
        }
        (Form::Int4, Value::Integer(number)) => {
            narrow::<i32>(*number).map(|n| n.to_be_bytes().into())
        }
        (Form::Oid, Value::Integer(number)) => {
            narrow::<u32>(*number).map(|n| n.to_be_bytes().into())
        }
        (Form::Int8, Value::Integer(number)) => Ok(number.to_be_bytes().into()),
        (Form::Float4 | Form::Float8, Value::Integer(number)) => {
            write(&Value::Number(exact(*number)?), form)
        }
        (Form::Float8, Value::Number(number)) => Ok(number.to_be_bytes().into()),
        (Form::Float4, Value::Number(number)) => single(*number),
        (Form::Numeric, Value::Integer(number)) => numeric(&number.to_string()),
        (Form::Numeric, Value::Number(number)) => numeric(&number.to_string()),
        (Form::Numeric, Value::String(text)) => numeric(text),
        (Form::Bytes, Value::Bytes(bytes)) => Ok(bytes.clone()),
        (Form::Json, value) => document(value),
        (Form::Jsonb, value) => Ok([vec![1], document(value)?].concat()),
        (Form::Array { item, oid }, Value::List(items)) => array(items, item, *oid),
        (form, Value::String(text)) => written(text, form),
        _ => Err(Misfit),
    }
}

/// The types that a text is for.
fn written(text: &str, form: &Form) -> Result<Vec<u8>, Misfit> {
    match form {
        // The server has no text with a NUL.
        Form::Text if !text.contains('\0') => Ok(text.as_bytes().to_vec()),
        Form::Date => date(text),
        Form::Time => time(text),
        Form::Timestamp => timestamp(text),
        Form::TimestampTz => {
            let instant: Timestamp = text.parse().map_err(|_| Misfit)?;
            since_2000(instant)
        }
        Form::Uuid => uuid(text),
        Form::Inet => network(text, false),
        Form::Cidr => network(text, true),
        _ => Err(Misfit),
    }
}

fn narrow<T: TryFrom<i64>>(number: i64) -> Result<T, Misfit> {
    T::try_from(number).map_err(|_| Misfit)
}

/// An integer as a double, where it has one.
#[allow(clippy::cast_precision_loss, reason = "up to 2^53 nothing is lost")]
fn exact(number: i64) -> Result<f64, Misfit> {
    if number.unsigned_abs() <= 1 << 53 { Ok(number as f64) } else { Err(Misfit) }
}

/// A number whose shortest text is a single's too, as it is read back.
#[allow(clippy::cast_possible_truncation, reason = "what was lost is found by its text")]
fn single(number: f64) -> Result<Vec<u8>, Misfit> {
    let narrow = number as f32;
    let same = narrow.to_string().parse::<f64>() == Ok(number);
    if same { Ok(narrow.to_be_bytes().into()) } else { Err(Misfit) }
}

/// The most digits before the point, and after it, that the server has.
const MAX_WHOLE: usize = 131_072;
const MAX_SCALE: usize = 16_383;

/// Digits to the base of 10,000. The scale is the text's.
fn numeric(text: &str) -> Result<Vec<u8>, Misfit> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (0x4000_i16, digits),
        None => (0, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let pointless = digits.contains('.') && fraction.is_empty();
    if whole.is_empty() || pointless || !plain(whole) || !plain(fraction) {
        return Err(Misfit);
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > MAX_WHOLE || fraction.len() > MAX_SCALE {
        return Err(Misfit);
    }
    let front = whole.len().next_multiple_of(4);
    let padded =
        format!("{whole:0>front$}{fraction:0<width$}", width = fraction.len().next_multiple_of(4));
    let mut groups = Vec::new();
    for group in padded.as_bytes().chunks(4) {
        let value = group.iter().fold(0_i16, |sum, digit| sum * 10 + i16::from(digit - b'0'));
        groups.push(value);
    }
    let mut weight = i32::try_from(front / 4).map_err(|_| Misfit)? - 1;
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    weight -= i32::try_from(leading).map_err(|_| Misfit)?;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let sign = if groups.is_empty() { 0 } else { sign };
    let head = [
        i16::try_from(groups.len()).map_err(|_| Misfit)?,
        i16::try_from(weight).map_err(|_| Misfit)?,
        sign,
        i16::try_from(fraction.len()).map_err(|_| Misfit)?,
    ];
    Ok(head.into_iter().chain(groups).flat_map(i16::to_be_bytes).collect())
}

/// A text is JSON's text; anything else is what it is in JSON.
fn document(value: &Value) -> Result<Vec<u8>, Misfit> {
    match value {
        Value::String(text) => {
            json::from_json(text.as_bytes()).map_err(|_| Misfit)?;
            Ok(text.as_bytes().to_vec())
        }
        Value::Bytes(_) => Err(Misfit),
        value => Ok(json::to_json(value).into_bytes()),
    }
}

fn date(text: &str) -> Result<Vec<u8>, Misfit> {
    if text.len() != 10 {
        return Err(Misfit);
    }
    let date: Date = text.parse().map_err(|_| Misfit)?;
    let midnight = date.to_datetime(Time::midnight());
    let start = TimeZone::UTC.to_timestamp(midnight).map_err(|_| Misfit)?;
    let days = i32::try_from(start.as_second().div_euclid(86_400)).map_err(|_| Misfit)?;
    Ok((days - EPOCH_DAYS).to_be_bytes().into())
}

fn time(text: &str) -> Result<Vec<u8>, Misfit> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.');
    if !text.bytes().all(plain) {
        return Err(Misfit);
    }
    let time: Time = text.parse().map_err(|_| Misfit)?;
    let day = Date::constant(1970, 1, 1).to_datetime(time);
    let instant = TimeZone::UTC.to_timestamp(day).map_err(|_| Misfit)?;
    Ok(microseconds(instant)?.to_be_bytes().into())
}

/// Without an offset: one would be dropped.
fn timestamp(text: &str) -> Result<Vec<u8>, Misfit> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'T' | b' ');
    if !text.bytes().skip(10).all(plain) || text.len() < 11 {
        return Err(Misfit);
    }
    let moment: DateTime = text.parse().map_err(|_| Misfit)?;
    since_2000(TimeZone::UTC.to_timestamp(moment).map_err(|_| Misfit)?)
}

fn since_2000(instant: Timestamp) -> Result<Vec<u8>, Misfit> {
    Ok((microseconds(instant)? - EPOCH_MICROSECONDS).to_be_bytes().into())
}

/// The server has no nanoseconds: a moment that has some isn't rounded.
fn microseconds(instant: Timestamp) -> Result<i64, Misfit> {
    let whole = instant.subsec_nanosecond() % 1_000 == 0;
    if whole { Ok(instant.as_microsecond()) } else { Err(Misfit) }
}

fn uuid(text: &str) -> Result<Vec<u8>, Misfit> {
    let shaped = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let bytes = hex::decode(text.replace('-', "")).map_err(|_| Misfit)?;
    if shaped { Ok(bytes) } else { Err(Misfit) }
}

fn network(text: &str, is_network: bool) -> Result<Vec<u8>, Misfit> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| Misfit)?)),
        None => (text, None),
    };
    let (family, all, octets) = match address.parse().map_err(|_| Misfit)? {
        IpAddr::V4(address) => (2, 32, address.octets().to_vec()),
        IpAddr::V6(address) => (3, 128, address.octets().to_vec()),
    };
    let bits = bits.unwrap_or(all);
    if bits > all {
        return Err(Misfit);
    }
    let length = u8::try_from(octets.len()).map_err(|_| Misfit)?;
    Ok([vec![family, bits, u8::from(is_network), length], octets].concat())
}

fn array(list: &[Value], item: &Form, oid: u32) -> Result<Vec<u8>, Misfit> {
    // JSON's arrays may be items: there, only the outermost array is the server's.
    let lengths =
        if matches!(item, Form::Json | Form::Jsonb) { vec![list.len()] } else { dimensions(list)? };
    let empty = lengths.contains(&0);
    let lengths = if empty { &[][..] } else { lengths.as_slice() };
    let mut cells = Vec::new();
    let mut has_null = false;
    if !empty {
        fill(list, lengths.len(), item, &mut cells, &mut has_null)?;
    }
    let mut bytes = Vec::new();
    let dimensions = i32::try_from(lengths.len()).map_err(|_| Misfit)?;
    bytes.extend(dimensions.to_be_bytes());
    bytes.extend(i32::from(has_null).to_be_bytes());
    bytes.extend(oid.to_be_bytes());
    for length in lengths {
        bytes.extend(i32::try_from(*length).map_err(|_| Misfit)?.to_be_bytes());
        bytes.extend(1_i32.to_be_bytes());
    }
    bytes.extend(cells);
    Ok(bytes)
}

/// The lengths of nested arrays: all of one level have the same.
fn dimensions(list: &[Value]) -> Result<Vec<usize>, Misfit> {
    let mut lengths = vec![list.len()];
    let mut level: Vec<&Value> = list.iter().collect();
    while let Some(Value::List(first)) = level.first() {
        if lengths.len() > MAX_LEVELS {
            return Err(Misfit);
        }
        let mut next = Vec::new();
        for value in &level {
            match value {
                Value::List(items) if items.len() == first.len() => next.extend(items),
                _ => return Err(Misfit),
            }
        }
        lengths.push(first.len());
        level = next;
    }
    Ok(lengths)
}

fn fill(
    list: &[Value],
    levels: usize,
    item: &Form,
    cells: &mut Vec<u8>,
    has_null: &mut bool,
) -> Result<(), Misfit> {
    for value in list {
        match value {
            Value::List(inner) if levels > 1 => fill(inner, levels - 1, item, cells, has_null)?,
            Value::Null => {
                *has_null = true;
                cells.extend((-1_i32).to_be_bytes());
            }
            value => {
                let cell = write(value, item)?;
                cells.extend(i32::try_from(cell.len()).map_err(|_| Misfit)?.to_be_bytes());
                cells.extend(cell);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
