//! What types have to do with each other.

use std::sync::Arc;

use super::{ObjectType, Type};

impl Type {
    /// The type without "or null".
    pub fn plain(&self) -> &Self {
        match self {
            Self::Nullable(inner) => inner.plain(),
            other => other,
        }
    }

    /// The type with "or null"; what can be null already stays as it is.
    pub fn nullable(self) -> Self {
        match self {
            Self::Nullable(_) | Self::Null | Self::Unknown => self,
            other => Self::Nullable(Box::new(other)),
        }
    }

    /// Whether all of it is declared, inside arrays and objects too.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Array(item) | Self::Nullable(item) => item.is_known(),
            Self::Object(object) => {
                object.properties.values().all(|(property, _)| property.is_known())
                    && object.additional.as_ref().is_none_or(Self::is_known)
            }
            _ => true,
        }
    }

    /// Whether a value of it has a text form: strings, booleans and numbers.
    pub fn has_text(&self) -> bool {
        matches!(self.plain(), Self::String | Self::Boolean | Self::Integer | Self::Number)
    }

    /// The type for people, such as `integer` or `array of string`.
    pub fn words(&self) -> String {
        match self {
            Self::Unknown => "undeclared type".to_owned(),
            Self::Null => "null".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Integer => "integer".to_owned(),
            Self::Number => "number".to_owned(),
            Self::String => "string".to_owned(),
            Self::Bytes => "bytes (base64)".to_owned(),
            Self::Array(item) if **item == Self::Unknown => "array".to_owned(),
            Self::Array(item) => format!("array of {}", item.words()),
            Self::Object(_) => "object".to_owned(),
            Self::Nullable(inner) => format!("{} or null", inner.words()),
        }
    }
}

/// The one type of two sides that have to be alike: integer and number count as
/// one, and null fits what can be null. A side whose type isn't declared is like
/// nothing.
pub fn unify(left: &Type, right: &Type) -> Option<Type> {
    match (left, right) {
        (Type::Unknown, _) | (_, Type::Unknown) => None,
        (Type::Null, nullable @ (Type::Nullable(_) | Type::Null))
        | (nullable @ Type::Nullable(_), Type::Null) => Some(nullable.clone()),
        (Type::Nullable(a), b) | (b, Type::Nullable(a)) => {
            unify(a.plain(), b.plain()).map(Type::nullable)
        }
        (Type::Integer, Type::Number) | (Type::Number, Type::Integer) => Some(Type::Number),
        (Type::Array(a), Type::Array(b)) if a != b => {
            unify(a, b).map(|item| Type::Array(Box::new(item)))
        }
        (a, b) if a == b => Some(a.clone()),
        _ => None,
    }
}

/// Whether a result of one type can be bound to what is declared with another,
/// as far as it can be told at load: what can be null fits what can't (the value
/// is checked when it is there), and what isn't known fits everything.
pub fn fits(result: &Type, declared: &Type) -> bool {
    match (result, declared) {
        (Type::Unknown, _) | (_, Type::Unknown) => true,
        (Type::Null, Type::Null | Type::Nullable(_)) => true,
        (Type::Nullable(result), _) => fits(result, declared),
        (_, Type::Nullable(declared)) => fits(result, declared),
        (Type::Integer, Type::Number) => true,
        (Type::Array(result), Type::Array(declared)) => fits(result, declared),
        (Type::Object(result), Type::Object(declared)) => object_fits(result, declared),
        (result, declared) => result == declared,
    }
}

fn object_fits(result: &Arc<ObjectType>, declared: &Arc<ObjectType>) -> bool {
    let known = result.properties.iter().all(|(name, (property, required))| {
        match (declared.properties.get(name), &declared.additional) {
            (Some((wanted, _)), _) | (None, Some(wanted)) => fits(property, wanted),
            (None, None) => !required,
        }
    });
    let complete = declared.properties.iter().all(|(name, (_, required))| {
        !required || result.properties.contains_key(name) || result.additional.is_some()
    });
    known && complete
}
