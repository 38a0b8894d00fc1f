//! Values as they travel between layers, sources, expressions and schemas.
//!
//! A [`Value`] may be a secret: nothing knows before the plan's word on its
//! parameter. So it has no `Display`, no `Serialize`, and a `Debug` that tells
//! its kind only. What the plan says is public becomes a [`PublicValue`], which
//! can be shown; what is secret becomes a
//! [`SecretValue`](crate::secret::SecretValue).

pub mod binary;
mod compare;
pub mod json;
mod record;
pub mod shown;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroize;

/// The most bytes of one value, public or secret.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
/// The most levels of arrays and objects in one value.
pub const MAX_LEVELS: usize = 16;
/// The most items of an array, or properties of an object.
pub const MAX_ITEMS: usize = 10_000;

/// A value of a parameter: what JSON can say, and bytes; integers are exact.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// JSON's null.
    Null,
    /// True or false.
    Bool(bool),
    /// A 64-bit integer.
    Integer(i64),
    /// A finite number that was not written as an integer.
    Number(f64),
    /// Text.
    String(String),
    /// Bytes, for a string declared with `contentEncoding: base64`.
    Bytes(Vec<u8>),
    /// An array.
    List(Vec<Value>),
    /// An object.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// What kind of value it is, in the words of JSON Schema.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "array",
            Self::Map(_) => "object",
        }
    }

    /// Checks the contract's limits: 1 MiB, 16 levels, 10,000 items each.
    ///
    /// # Errors
    /// Names the limit, never the value.
    pub fn check_limits(&self) -> Result<(), LimitError> {
        let mut budget = MAX_VALUE_BYTES;
        self.spend(&mut budget, 0)
    }

    /// How many bytes it takes, as the limits count them.
    pub fn bytes(&self) -> usize {
        let mut budget = usize::MAX;
        // Over another limit, the rest isn't counted: such a value is refused.
        let _ = self.spend(&mut budget, 0);
        usize::MAX - budget
    }

    fn spend(&self, budget: &mut usize, level: usize) -> Result<(), LimitError> {
        let cost = match self {
            Self::Null | Self::Bool(_) => 1,
            Self::Integer(_) | Self::Number(_) => 8,
            Self::String(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(items) => items.len(),
            Self::Map(fields) => fields.keys().map(|key| key.len() + 1).sum(),
        };
        *budget = budget.checked_sub(cost).ok_or(LimitError::TooLarge)?;
        match self {
            Self::List(items) => {
                enter(level, items.len())?;
                items.iter().try_for_each(|item| item.spend(budget, level + 1))
            }
            Self::Map(fields) => {
                enter(level, fields.len())?;
                fields.values().try_for_each(|item| item.spend(budget, level + 1))
            }
            _ => Ok(()),
        }
    }
}

fn enter(level: usize, items: usize) -> Result<(), LimitError> {
    if level >= MAX_LEVELS {
        Err(LimitError::TooDeep)
    } else if items > MAX_ITEMS {
        Err(LimitError::TooMany)
    } else {
        Ok(())
    }
}

/// A value over one of the contract's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Over [`MAX_VALUE_BYTES`].
    #[error("has more than 1 MiB")]
    TooLarge,
    /// Over [`MAX_LEVELS`].
    #[error("has more than 16 levels")]
    TooDeep,
    /// Over [`MAX_ITEMS`].
    #[error("has more than 10,000 items in one array or object")]
    TooMany,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.kind())
    }
}

impl Zeroize for Value {
    fn zeroize(&mut self) {
        match self {
            Self::Null => {}
            Self::Bool(flag) => flag.zeroize(),
            Self::Integer(number) => number.zeroize(),
            Self::Number(number) => number.zeroize(),
            Self::String(text) => text.zeroize(),
            Self::Bytes(bytes) => bytes.zeroize(),
            Self::List(items) => items.iter_mut().for_each(Zeroize::zeroize),
            Self::Map(fields) => {
                for (mut key, mut item) in std::mem::take(fields) {
                    key.zeroize();
                    item.zeroize();
                }
            }
        }
        *self = Self::Null;
    }
}

/// A value that the plan says is public: it may be shown, stored and logged.
#[derive(Clone, PartialEq)]
pub struct PublicValue(Value);

impl PublicValue {
    /// Takes a value whose parameter the plan found to be public, or whose
    /// literal stands in a definition for a public parameter.
    ///
    /// This is the one crossing from "may be secret" to "may be shown": each
    /// caller has to know why.
    pub fn declared_public(value: Value) -> Self {
        Self(value)
    }

    /// The value.
    pub fn get(&self) -> &Value {
        &self.0
    }

    /// The value, taken out.
    pub fn into_inner(self) -> Value {
        self.0
    }
}

impl fmt::Debug for PublicValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&json::to_json(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_the_kind_alone() {
        assert_eq!(format!("{:?}", Value::String("hunter2".into())), "Value(string)");
    }

    #[test]
    fn limits_hold_at_their_edge() {
        let nested = |levels| (0..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]));
        assert_eq!(nested(16).check_limits(), Ok(()));
        assert_eq!(nested(17).check_limits(), Err(LimitError::TooDeep));
        let text = |bytes| Value::String("x".repeat(bytes));
        assert_eq!(text(MAX_VALUE_BYTES).check_limits(), Ok(()));
        assert_eq!(text(MAX_VALUE_BYTES + 1).check_limits(), Err(LimitError::TooLarge));
        let wide = |items| Value::List(vec![Value::Null; items]);
        assert_eq!(wide(MAX_ITEMS).check_limits(), Ok(()));
        assert_eq!(wide(MAX_ITEMS + 1).check_limits(), Err(LimitError::TooMany));
    }
}
