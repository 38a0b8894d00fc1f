//! Texts to values, by the declared type alone.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;

use super::check::{below, expected};
use super::shape::{Kind, Shape};
use super::{Violation, ViolationKind};
use crate::value::{MAX_LEVELS, MAX_VALUE_BYTES, Value, json};

/// Reads a text by the declared type.
pub(super) fn parse(shape: &Shape, text: &str) -> Result<Value, Violation> {
    let longest = match shape.kind {
        Kind::Bytes => MAX_VALUE_BYTES.div_ceil(3) * 4,
        _ => MAX_VALUE_BYTES,
    };
    if text.len() > longest {
        return Err(Violation {
            pointer: String::new(),
            kind: ViolationKind::Schema,
            expected: "at most 1 MiB".to_owned(),
            keyword: "limit",
        });
    }
    if text == "null" && shape.nullable && !matches!(shape.kind, Kind::String | Kind::Bytes) {
        return Ok(Value::Null);
    }
    match shape.kind {
        Kind::Boolean => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        }
        .ok_or_else(|| wrong(text_expected(shape))),
        Kind::Integer => integer(text).ok_or_else(|| wrong(text_expected(shape))),
        Kind::Number => number(text).ok_or_else(|| wrong(text_expected(shape))),
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bytes => bytes(text).ok_or_else(|| wrong(text_expected(shape))),
        Kind::Array(_) | Kind::Object(_) | Kind::Unknown => compound(shape, text),
    }
}

fn compound(shape: &Shape, text: &str) -> Result<Value, Violation> {
    let value = json::from_json(text.as_bytes())
        .map_err(|error| wrong(format!("{}; the text {error}", text_expected(shape))))?;
    let fits = match shape.kind {
        Kind::Array(_) => matches!(value, Value::List(_)),
        Kind::Object(_) => matches!(value, Value::Map(_)),
        _ => true,
    };
    if fits { adopt(shape, value, "", 0) } else { Err(wrong(text_expected(shape))) }
}

fn text_expected(shape: &Shape) -> String {
    let words = match shape.kind {
        Kind::Boolean => "`true` or `false` (a boolean)",
        Kind::Integer => "an integer of 64 bits in digits",
        Kind::Number => "a number",
        Kind::String => "text (a string)",
        Kind::Bytes => "bytes as base64 text",
        Kind::Array(_) => "an array as JSON",
        Kind::Object(_) => "an object as JSON",
        Kind::Unknown => "a value as JSON",
    };
    let null = shape.nullable && !matches!(shape.kind, Kind::Bytes | Kind::Unknown);
    format!("{words}{}", if null { " or `null`" } else { "" })
}

fn wrong(expected: String) -> Violation {
    Violation { pointer: String::new(), kind: ViolationKind::Type, expected, keyword: "type" }
}

fn integer(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok().map(Value::Integer) } else { None }
}

fn number(text: &str) -> Option<Value> {
    static NUMBER: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\A-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\z").ok());
    if !NUMBER.as_ref()?.is_match(text) {
        return None;
    }
    integer(text)
        .or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Number))
}

fn bytes(text: &str) -> Option<Value> {
    STANDARD.decode(text).ok().map(Value::Bytes)
}

/// Turns base64 texts into bytes where bytes are declared. What isn't of the
/// declared type stays as it is: the check will tell.
pub(super) fn adopt(
    shape: &Shape,
    value: Value,
    pointer: &str,
    level: usize,
) -> Result<Value, Violation> {
    if level > MAX_LEVELS {
        return Ok(value);
    }
    match (&shape.kind, value) {
        (Kind::Bytes, Value::String(text)) => bytes(&text).ok_or_else(|| Violation {
            pointer: pointer.to_owned(),
            kind: ViolationKind::Type,
            expected: expected(shape),
            keyword: "contentEncoding",
        }),
        (Kind::Array(item), Value::List(values)) => values
            .into_iter()
            .enumerate()
            .map(|(index, value)| {
                adopt(item, value, &below(pointer, &index.to_string()), level + 1)
            })
            .collect::<Result<_, _>>()
            .map(Value::List),
        (Kind::Object(object), Value::Map(fields)) => fields
            .into_iter()
            .map(|(name, value)| {
                let declared = object.properties.get(&name).or(object.additional.as_deref());
                let value = match declared {
                    Some(declared) => adopt(declared, value, &below(pointer, &name), level + 1)?,
                    None => value,
                };
                Ok((name, value))
            })
            .collect::<Result<_, _>>()
            .map(Value::Map),
        (_, value) => Ok(value),
    }
}
