//! Values from and to JSON text: integers exact, a key given twice refused.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _};

use super::{MAX_ITEMS, MAX_LEVELS, MAX_VALUE_BYTES, Value};

/// A text that isn't one JSON value. It names the place and never the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("isn't JSON that can be read (line {line}, column {column}): {problem}")]
pub struct JsonError {
    /// What is wrong.
    pub problem: &'static str,
    /// The line in the text, from 1.
    pub line: usize,
    /// The column in the line, from 1.
    pub column: usize,
}

const TWICE: &str = "a key stands twice in one object";
const INTEGER: &str = "an integer is beyond 64 bits";
const DEEP: &str = "more than 16 levels";
const MANY: &str = "more than 10,000 items in one array or object";

/// Reads one JSON value.
///
/// # Errors
/// Refuses what isn't JSON, a key given twice, integers beyond 64 bits, and
/// what is over the limits of a value.
pub fn from_json(text: &[u8]) -> Result<Value, JsonError> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(JsonError { problem: "more than 1 MiB", line: 1, column: 1 });
    }
    read(text, MAX_LEVELS)
}

/// Reads an answer that has values inside of so many levels of its own. How long
/// it is was bounded where it was read.
///
/// # Errors
/// As [`from_json`], but for the levels.
pub fn from_answer(text: &[u8], around: usize) -> Result<Value, JsonError> {
    read(text, MAX_LEVELS + around)
}

fn read(text: &[u8], levels: usize) -> Result<Value, JsonError> {
    refuse_long_integers(text)?;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Seed { levels }.deserialize(&mut reader).map_err(|error| wrap(&error))?;
    reader.end().map_err(|error| wrap(&error))?;
    Ok(value)
}

/// serde_json makes a double of an integer beyond 64 bits, without a word.
fn refuse_long_integers(text: &[u8]) -> Result<(), JsonError> {
    let (mut in_string, mut escaped) = (false, false);
    let mut token: Option<usize> = None;
    let (mut line, mut line_start) = (1, 0);
    for (at, byte) in text.iter().copied().chain(std::iter::once(b' ')).enumerate() {
        let in_number = matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        if !in_string && in_number {
            token.get_or_insert(at);
        } else if let Some(start) = token.take() {
            let digits = text.get(start..at).unwrap_or_default();
            let whole = digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-'));
            if whole && digits.len() > 18 && !is_integer(digits) {
                return Err(JsonError { problem: INTEGER, line, column: start - line_start + 1 });
            }
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'\n' => (line, line_start) = (line + 1, at + 1),
            _ => {}
        }
    }
    Ok(())
}

fn is_integer(digits: &[u8]) -> bool {
    std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<i64>().is_ok())
}

/// serde_json's own message can quote the text, so only its class is kept.
fn wrap(error: &serde_json::Error) -> JsonError {
    let told = error.to_string();
    let problem = [TWICE, INTEGER, DEEP, MANY]
        .into_iter()
        .find(|known| told.starts_with(known))
        .unwrap_or(if error.is_eof() { "it ends too early" } else { "not well formed" });
    JsonError { problem, line: error.line(), column: error.column() }
}

#[derive(Clone, Copy)]
struct Seed {
    /// How many levels there may be from here on.
    levels: usize,
}

impl Seed {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1).ok_or_else(|| E::custom(DEEP))?;
        Ok(Self { levels })
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Integer).map_err(|_| E::custom(INTEGER))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        let inside = self.deeper::<A::Error>()?;
        while let Some(item) = from.next_element_seed(inside)? {
            if items.len() == MAX_ITEMS {
                return Err(A::Error::custom(MANY));
            }
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = BTreeMap::new();
        let inside = self.deeper::<A::Error>()?;
        while let Some(key) = from.next_key::<String>()? {
            let item = from.next_value_seed(inside)?;
            if fields.len() == MAX_ITEMS {
                return Err(A::Error::custom(MANY));
            }
            if fields.insert(key, item).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Value::Map(fields))
    }
}

/// The value as JSON text; bytes as base64. The text shows the value: it is for
/// what is public, or for a door that hands out secrets.
pub fn to_json(value: &Value) -> String {
    serde_json::to_string(&Shown(value)).unwrap_or_default()
}

/// The value as `serde_json` has it; bytes as base64.
pub fn to_serde(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Integer(number) => (*number).into(),
        Value::Number(number) => (*number).into(),
        Value::String(text) => text.clone().into(),
        Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Value::List(items) => items.iter().map(to_serde).collect(),
        Value::Map(fields) => {
            fields.iter().map(|(key, item)| (key.clone(), to_serde(item))).collect()
        }
    }
}

struct Shown<'a>(&'a Value);

impl serde::Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => to.serialize_unit(),
            Value::Bool(flag) => to.serialize_bool(*flag),
            Value::Integer(number) => to.serialize_i64(*number),
            Value::Number(number) => to.serialize_f64(*number),
            Value::String(text) => to.serialize_str(text),
            Value::Bytes(bytes) => to.serialize_str(&STANDARD.encode(bytes)),
            Value::List(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(&Shown(item)))?;
                list.end()
            }
            Value::Map(fields) => {
                let mut map = to.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(key, item)| map.serialize_entry(key, &Shown(item)))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> &'static str {
        from_json(text.as_bytes()).unwrap_err().problem
    }

    #[test]
    fn integers_stay_exact() {
        assert_eq!(from_json(b"9007199254740993"), Ok(Value::Integer(9_007_199_254_740_993)));
        assert_eq!(from_json(b"1.0"), Ok(Value::Number(1.0)));
        assert_eq!(problem("9223372036854775808"), INTEGER);
        assert_eq!(problem("[\n18446744073709551616]"), INTEGER);
        assert_eq!(problem("{\"a\":-99999999999999999999}"), INTEGER);
        let long = r#"["18446744073709551616\"", -9223372036854775808, 18446744073709551616.0]"#;
        assert!(from_json(long.as_bytes()).is_ok());
    }

    #[test]
    fn what_is_not_one_clean_value_is_refused() {
        assert_eq!(problem(r#"{"a":1,"a":2}"#), TWICE);
        assert_eq!(problem("[1,"), "it ends too early");
        assert_eq!(problem("1 2"), "not well formed");
        assert_eq!(problem("NaN"), "not well formed");
        assert_eq!(problem(&format!("{}1{}", "[".repeat(17), "]".repeat(17))), DEEP);
    }

    #[test]
    fn text_is_what_serde_json_writes() {
        let value = from_json(br#"{"b":[1,0.001,3.0,1e22,null,true],"a":"x\"y"}"#).unwrap();
        assert_eq!(to_json(&value), r#"{"a":"x\"y","b":[1,0.001,3.0,1e+22,null,true]}"#);
    }
}
