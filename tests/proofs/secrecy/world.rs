//! What there is outside: every address has one value, made of the address.

use std::collections::BTreeMap;

use paramd::source::{Answer, Pending, Raw, Read, Source, SourceError};
use paramd::value::Value;

use super::interpret::json;
use super::model::{T, TYPES, V};

/// The value at an address.
pub(super) fn value(of: T, address: &str) -> V {
    let mut mixed = 0xcbf2_9ce4_8422_2325_u64;
    for byte in address.bytes() {
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut next = || {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        mixed >> 33
    };
    let mut text = || V::Str(format!("w{:x}", next()));
    match of {
        T::Str => text(),
        T::Strs => V::List((0..address.len() % 3).map(|_| text()).collect()),
        T::May if address.len().is_multiple_of(4) => V::Null,
        T::May => text(),
        T::Int => V::Int((next() % 50) as i64 - 10),
        T::Bool => V::Bool(next() % 2 == 0),
        T::Num => V::Num((next() % 1_000) as f64 / 8.0),
        T::Ints => V::List((0..address.len() % 3).map(|_| V::Int((next() % 9) as i64)).collect()),
        T::Obj => {
            let port = V::Int((next() % 900) as i64);
            V::Map(
                [("host".into(), V::Str(format!("h{:x}", next()))), ("port".into(), port)].into(),
            )
        }
    }
}

/// Answers as the real sources do, from the same values.
pub(super) enum World {
    Env,
    File,
    Sql,
    Vault,
}

impl World {
    fn answer(&self, read: &Read) -> Answer {
        let part = |name: &str| read.address.get(name).map_or("", String::as_str);
        let found = |raw| Answer::Found { raw, version: None };
        match self {
            Self::Env if part("name").ends_with("_GONE") => Answer::Missing,
            Self::Env => {
                let name = part("name");
                let of = T::of_tag(&name.split('_').next().unwrap_or("").to_lowercase());
                found(Raw::Text(shown(&value(of, &format!("env {name}")))))
            }
            Self::File if part("path").starts_with("gone/") => Answer::Missing,
            Self::File => {
                let path = part("path");
                let of = T::of_tag(path.split('/').next().unwrap_or(""));
                found(Raw::Bytes(shown(&value(of, &format!("file {path}"))).into_bytes()))
            }
            Self::Vault if part("path").starts_with("gone/") => Answer::Missing,
            Self::Vault => {
                let mut fields = BTreeMap::new();
                for of in TYPES {
                    for field in [of.tag().to_owned(), format!("pub_{}", of.tag())] {
                        let address = format!("vault {}#{field}", part("path"));
                        fields.insert(field, theirs(&value(of, &address)));
                    }
                }
                found(Raw::Value(Value::Map(fields)))
            }
            Self::Sql => {
                let query = read.query.as_deref().unwrap_or("");
                let tag = query.split('\'').nth(1).unwrap_or("");
                let columns = vec!["c".to_owned()];
                if tag.starts_with("gone/") {
                    return found(Raw::Rows { columns, rows: Vec::new(), typed: true });
                }
                let binds: Vec<V> = read.binds.iter().map(|(_, value)| ours(value)).collect();
                let answer = value(T::of_tag(tag), &format!("sql {tag} {}", json(&V::List(binds))));
                found(Raw::Rows { columns, rows: vec![vec![theirs(&answer)]], typed: true })
            }
        }
    }
}

/// Text as a variable or file has it.
fn shown(value: &V) -> String {
    match value {
        V::Str(text) => text.clone(),
        other => json(other),
    }
}

impl Source for World {
    fn read<'a>(&'a self, read: &'a Read) -> Pending<'a, Result<Answer, SourceError>> {
        Box::pin(std::future::ready(Ok(self.answer(read))))
    }
}

/// A value of ours as paramd's.
pub(super) fn theirs(value: &V) -> Value {
    match value {
        V::Null => Value::Null,
        V::Bool(flag) => Value::Bool(*flag),
        V::Int(number) => Value::Integer(*number),
        V::Num(number) => Value::Number(*number),
        V::Str(text) => Value::String(text.clone()),
        V::List(items) => Value::List(items.iter().map(theirs).collect()),
        V::Map(fields) => {
            Value::Map(fields.iter().map(|(name, one)| (name.clone(), theirs(one))).collect())
        }
    }
}

/// A value of paramd's as ours.
pub(super) fn ours(value: &Value) -> V {
    match value {
        Value::Null => V::Null,
        Value::Bool(flag) => V::Bool(*flag),
        Value::Integer(number) => V::Int(*number),
        Value::Number(number) => V::Num(*number),
        Value::String(text) => V::Str(text.clone()),
        Value::Bytes(_) => unreachable!("no parameter here is of bytes"),
        Value::List(items) => V::List(items.iter().map(ours).collect()),
        Value::Map(fields) => {
            V::Map(fields.iter().map(|(name, one)| (name.clone(), ours(one))).collect())
        }
    }
}
