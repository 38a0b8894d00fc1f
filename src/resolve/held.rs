//! Values while a run is resolved: public and secret kept apart by type.

use crate::secret::SecretValue;
use crate::snapshot::SecretEncoding;
use crate::value::{PublicValue, Value, json};

/// A value of a parameter whose secrecy the plan has told.
#[derive(Debug, Clone)]
pub enum Held {
    /// It may be shown.
    Public(PublicValue),
    /// It may not.
    Secret(SecretValue),
}

impl Held {
    /// Takes a value by the plan's word on its parameter.
    pub fn new(value: Value, secret: bool) -> Self {
        if secret {
            Self::Secret(SecretValue::new(value))
        } else {
            Self::Public(PublicValue::declared_public(value))
        }
    }

    /// The value, for evaluation, fingerprints and sealing alone.
    #[expect(
        clippy::disallowed_methods,
        reason = "the evaluator computes with secrets; what it makes of them is secret by the plan's inference"
    )]
    pub fn value(&self) -> &Value {
        match self {
            Self::Public(value) => value.get(),
            Self::Secret(value) => value.expose(),
        }
    }
}

/// The least bytes of a secret that can be masked in text without blanking half
/// of it.
const MASKABLE_BYTES: usize = 8;

/// Whether every leaf of a value is long enough to be masked.
pub fn is_maskable(value: &Value) -> bool {
    match value {
        Value::List(items) => items.iter().all(is_maskable),
        Value::Map(fields) => fields.values().all(is_maskable),
        Value::String(text) => text.len() >= MASKABLE_BYTES,
        Value::Bytes(bytes) => bytes.len() >= MASKABLE_BYTES,
        scalar => json::to_json(scalar).len() >= MASKABLE_BYTES,
    }
}

/// A secret's bytes in the one form that it is revealed in.
pub fn revealed_form(value: &Value) -> (SecretEncoding, Vec<u8>) {
    match value {
        Value::String(text) => (SecretEncoding::Text, text.clone().into_bytes()),
        Value::Bytes(bytes) => (SecretEncoding::Binary, bytes.clone()),
        other => (SecretEncoding::Json, json::to_json(other).into_bytes()),
    }
}
