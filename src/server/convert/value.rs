//! `Value` ↔ [`Value`].

use crate::engine::MalformedValue;
use crate::proto::v1;
use crate::proto::v1::value::Kind;
use crate::value::{LimitError, MAX_ITEMS, MAX_LEVELS, PublicValue, Value};

/// Takes a value out of a request.
pub(super) fn read(message: v1::Value) -> Result<Value, MalformedValue> {
    let value = read_inside(message, &mut String::new(), 0)?;
    match value.check_limits() {
        Ok(()) => Ok(value),
        Err(error) => Err(over(error, "")),
    }
}

fn read_inside(
    message: v1::Value,
    pointer: &mut String,
    level: usize,
) -> Result<Value, MalformedValue> {
    let Some(kind) = message.kind else {
        return Err(malformed(pointer, "a value"));
    };
    Ok(match kind {
        Kind::NullValue(_) => Value::Null,
        Kind::BoolValue(flag) => Value::Bool(flag),
        Kind::IntValue(number) => Value::Integer(number),
        Kind::DoubleValue(number) if number.is_finite() => Value::Number(number),
        Kind::DoubleValue(_) => return Err(malformed(pointer, "a finite number")),
        Kind::StringValue(text) => Value::String(text),
        Kind::BytesValue(bytes) => Value::Bytes(bytes),
        Kind::ListValue(list) => {
            enter(pointer, level, list.values.len())?;
            let items = list.values.into_iter().enumerate().map(|(index, item)| {
                below(pointer, &index.to_string(), |pointer| read_inside(item, pointer, level + 1))
            });
            Value::List(items.collect::<Result<_, _>>()?)
        }
        Kind::MapValue(map) => {
            enter(pointer, level, map.fields.len())?;
            let fields = map.fields.into_iter().map(|(key, item)| {
                let item = below(pointer, &segment(&key), |pointer| {
                    read_inside(item, pointer, level + 1)
                })?;
                Ok((key, item))
            });
            Value::Map(fields.collect::<Result<_, _>>()?)
        }
    })
}

fn enter(pointer: &str, level: usize, items: usize) -> Result<(), MalformedValue> {
    if level >= MAX_LEVELS {
        Err(over(LimitError::TooDeep, pointer))
    } else if items > MAX_ITEMS {
        Err(over(LimitError::TooMany, pointer))
    } else {
        Ok(())
    }
}

/// Does `work` with `segment` at the pointer's end, and takes it off again.
fn below<T>(pointer: &mut String, segment: &str, work: impl FnOnce(&mut String) -> T) -> T {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(segment);
    let result = work(pointer);
    pointer.truncate(length);
    result
}

/// A property's name in a pointer. One that could not be a name isn't repeated:
/// it may be a misplaced secret.
fn segment(key: &str) -> String {
    let plausible = (1..=63).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if plausible { key.to_owned() } else { "?".to_owned() }
}

fn malformed(pointer: &str, expected: &'static str) -> MalformedValue {
    MalformedValue { pointer: pointer.to_owned(), expected }
}

fn over(error: LimitError, pointer: &str) -> MalformedValue {
    let expected = match error {
        LimitError::TooLarge => "at most 1 MiB",
        LimitError::TooDeep => "at most 16 levels",
        LimitError::TooMany => "at most 10,000 items in one array or object",
    };
    malformed(pointer, expected)
}

/// Puts a public value into an answer.
pub(super) fn write(value: &PublicValue) -> v1::Value {
    write_inside(value.get())
}

fn write_inside(value: &Value) -> v1::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(v1::Null {}),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Integer(number) => Kind::IntValue(*number),
        Value::Number(number) => Kind::DoubleValue(*number),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Bytes(bytes) => Kind::BytesValue(bytes.clone()),
        Value::List(items) => {
            Kind::ListValue(v1::ListValue { values: items.iter().map(write_inside).collect() })
        }
        Value::Map(fields) => Kind::MapValue(v1::MapValue {
            fields: fields.iter().map(|(key, item)| (key.clone(), write_inside(item))).collect(),
        }),
    };
    v1::Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests;
