//! Public values in records: JSON that keeps bytes and objects apart.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{PublicValue, Value};

/// How a value stands in a record.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Recorded {
    Null,
    Bool(bool),
    Integer(i64),
    Number(f64),
    String(String),
    List(Vec<Recorded>),
    Tagged(Tagged),
}

#[derive(Serialize, Deserialize)]
enum Tagged {
    #[serde(rename = "b")]
    Bytes(String),
    #[serde(rename = "m")]
    Map(BTreeMap<String, Recorded>),
}

fn record(value: &Value) -> Recorded {
    match value {
        Value::Null => Recorded::Null,
        Value::Bool(flag) => Recorded::Bool(*flag),
        Value::Integer(number) => Recorded::Integer(*number),
        Value::Number(number) => Recorded::Number(*number),
        Value::String(text) => Recorded::String(text.clone()),
        Value::Bytes(bytes) => Recorded::Tagged(Tagged::Bytes(STANDARD.encode(bytes))),
        Value::List(items) => Recorded::List(items.iter().map(record).collect()),
        Value::Map(fields) => Recorded::Tagged(Tagged::Map(
            fields.iter().map(|(key, item)| (key.clone(), record(item))).collect(),
        )),
    }
}

fn restore(recorded: Recorded) -> Result<Value, base64::DecodeError> {
    Ok(match recorded {
        Recorded::Null => Value::Null,
        Recorded::Bool(flag) => Value::Bool(flag),
        Recorded::Integer(number) => Value::Integer(number),
        Recorded::Number(number) => Value::Number(number),
        Recorded::String(text) => Value::String(text),
        Recorded::Tagged(Tagged::Bytes(text)) => Value::Bytes(STANDARD.decode(text)?),
        Recorded::List(items) => {
            Value::List(items.into_iter().map(restore).collect::<Result<_, _>>()?)
        }
        Recorded::Tagged(Tagged::Map(fields)) => Value::Map(
            fields
                .into_iter()
                .map(|(key, item)| Ok((key, restore(item)?)))
                .collect::<Result<_, _>>()?,
        ),
    })
}

impl Serialize for PublicValue {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        record(self.get()).serialize(to)
    }
}

impl<'de> Deserialize<'de> for PublicValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = restore(Recorded::deserialize(from)?).map_err(D::Error::custom)?;
        Ok(Self::declared_public(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_comes_back_the_same() {
        let fields = [("m".to_owned(), Value::Number(3.0)), ("b".to_owned(), Value::Null)];
        let value = Value::List(vec![
            Value::Integer(9_007_199_254_740_993),
            Value::Number(1e22),
            Value::Bytes(vec![0, 255]),
            Value::String("x".into()),
            Value::Map(fields.into()),
        ]);
        let text = serde_json::to_string(&PublicValue::declared_public(value.clone())).unwrap();
        let back: PublicValue = serde_json::from_str(&text).unwrap();
        assert_eq!(back.get(), &value);
        assert!(matches!(back.get(), Value::List(items) if matches!(items[1], Value::Number(_))));
    }
}
