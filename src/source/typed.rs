//! From what a source gives to a value of the declared type.

use super::PickError;
use crate::schema::{Schema, Type, Violation, ViolationKind};
use crate::value::Value;

/// The type that is declared, without "or null".
pub(super) fn base(declared: &Type) -> &Type {
    match declared {
        Type::Nullable(inner) => base(inner),
        other => other,
    }
}

/// Takes a typed value that is of the declared type. What else the schema says
/// is checked once, where all outcomes are.
pub(super) fn typed(value: Value, schema: &Schema) -> Result<Value, PickError> {
    of_type(schema.adopt(value).map_err(invalid)?, schema)
}

/// Reads a text by the declared type.
pub(super) fn text(text: &str, schema: &Schema) -> Result<Value, PickError> {
    of_type(schema.parse_text(text).map_err(invalid)?, schema)
}

fn of_type(value: Value, schema: &Schema) -> Result<Value, PickError> {
    match schema.check(&value) {
        Ok(()) => Ok(value),
        Err(violations) => {
            match violations.into_iter().find(|found| found.kind != ViolationKind::Schema) {
                Some(violation) => Err(invalid(violation)),
                None => Ok(value),
            }
        }
    }
}

/// Takes bytes as text.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, PickError> {
    std::str::from_utf8(bytes).map_err(|_| expected("UTF-8 text"))
}

/// The whole isn't what was expected.
pub(super) fn expected(what: impl Into<String>) -> PickError {
    PickError::Invalid { pointer: String::new(), expected: what.into() }
}

fn invalid(violation: Violation) -> PickError {
    PickError::Invalid { pointer: violation.pointer, expected: violation.expected }
}
