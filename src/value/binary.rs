//! The binary form of a value, for what is sealed and for fingerprints: a tag,
//! then the content; lossless, and one form for each value.

pub(crate) mod wire;

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use self::wire::{Malformed, Reader, put_bytes, put_count, put_u64};
use super::{MAX_ITEMS, MAX_LEVELS, Value};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INTEGER: u8 = 3;
const NUMBER: u8 = 4;
const STRING: u8 = 5;
const BYTES: u8 = 6;
const LIST: u8 = 7;
const MAP: u8 = 8;

/// Bytes that aren't the binary form of a value within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the binary form of a value")]
pub struct BinaryError;

impl From<Malformed> for BinaryError {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// The form that keeps everything, also whether a number was an integer.
pub fn encode_secret(value: &Value) -> Zeroizing<Vec<u8>> {
    encode(value, false)
}

/// The form that is equal for values that mean the same: 1.0 is 1. It can't be
/// taken back.
pub(crate) fn encode_meaning(value: &Value) -> Zeroizing<Vec<u8>> {
    encode(value, true)
}

fn encode(value: &Value, by_meaning: bool) -> Zeroizing<Vec<u8>> {
    // Of its size from the start: growing would leave copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(size(value)));
    put(&mut out, value, by_meaning);
    out
}

/// Takes back what [`encode_secret`] gave.
///
/// # Errors
/// It isn't such a form, to the last byte, or is over the limits of values.
pub fn decode(bytes: &[u8]) -> Result<Value, BinaryError> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader, 0)?;
    reader.end()?;
    value.check_limits().map_err(|_| BinaryError)?;
    Ok(value)
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Integer(_) | Value::Number(_) => 8,
        Value::String(text) => 4 + text.len(),
        Value::Bytes(bytes) => 4 + bytes.len(),
        Value::List(items) => 4 + items.iter().map(size).sum::<usize>(),
        Value::Map(fields) => {
            4 + fields.iter().map(|(key, item)| 4 + key.len() + size(item)).sum::<usize>()
        }
    }
}

fn put(out: &mut Vec<u8>, value: &Value, by_meaning: bool) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Integer(integer) => put_integer(out, *integer),
        Value::Number(number) => match whole(*number) {
            Some(integer) if by_meaning => put_integer(out, integer),
            _ => {
                out.push(NUMBER);
                put_u64(out, number.to_bits());
            }
        },
        Value::String(text) => {
            out.push(STRING);
            put_bytes(out, text.as_bytes());
        }
        Value::Bytes(bytes) => {
            out.push(BYTES);
            put_bytes(out, bytes);
        }
        Value::List(items) => {
            out.push(LIST);
            put_count(out, items.len());
            items.iter().for_each(|item| put(out, item, by_meaning));
        }
        Value::Map(fields) => {
            out.push(MAP);
            put_count(out, fields.len());
            for (key, item) in fields {
                put_bytes(out, key.as_bytes());
                put(out, item, by_meaning);
            }
        }
    }
}

fn put_integer(out: &mut Vec<u8>, integer: i64) {
    out.push(INTEGER);
    out.extend_from_slice(&integer.to_be_bytes());
}

/// The integer that a number is equal to, where there is one in 64 bits.
fn whole(number: f64) -> Option<i64> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    let fits = number.fract() == 0.0 && (-TWO_63..TWO_63).contains(&number);
    #[expect(clippy::cast_possible_truncation, reason = "it is an integer within i64")]
    fits.then_some(number as i64)
}

fn read(reader: &mut Reader<'_>, level: usize) -> Result<Value, Malformed> {
    Ok(match reader.byte()? {
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        INTEGER => Value::Integer(i64::from_be_bytes(reader.array()?)),
        NUMBER => Value::Number(finite(f64::from_bits(reader.u64()?))?),
        STRING => Value::String(reader.text()?.to_owned()),
        BYTES => Value::Bytes(reader.bytes()?.to_vec()),
        LIST => {
            let count = items(reader, level)?;
            Value::List((0..count).map(|_| read(reader, level + 1)).collect::<Result<_, _>>()?)
        }
        MAP => Value::Map(read_fields(reader, level)?),
        _ => return Err(Malformed),
    })
}

fn read_fields(
    reader: &mut Reader<'_>,
    level: usize,
) -> Result<BTreeMap<String, Value>, Malformed> {
    let mut fields = BTreeMap::new();
    for _ in 0..items(reader, level)? {
        let key = reader.text()?.to_owned();
        // One form for each value: the keys come in order, each once.
        if fields.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(Malformed);
        }
        let item = read(reader, level + 1)?;
        fields.insert(key, item);
    }
    Ok(fields)
}

fn items(reader: &mut Reader<'_>, level: usize) -> Result<usize, Malformed> {
    let count = reader.count()?;
    if level < MAX_LEVELS && count <= MAX_ITEMS { Ok(count) } else { Err(Malformed) }
}

fn finite(number: f64) -> Result<f64, Malformed> {
    if number.is_finite() { Ok(number) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests;
