//! Secret values: types with no way to print themselves.
//!
//! The lint `clippy::disallowed_methods` closes [`SecretValue::expose`] and
//! [`SecretBytes::expose`]; each place that may call one says
//! `#[expect(clippy::disallowed_methods, reason = "…")]`, and a test counts
//! these doors.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretBox};

use crate::value::Value;

/// A value that the plan says is secret. Wiped when its last holder goes.
///
/// ```compile_fail
/// let secret = paramd::secret::SecretValue::new(paramd::value::Value::Null);
/// println!("{secret}");
/// ```
///
/// ```compile_fail
/// let a = paramd::secret::SecretValue::new(paramd::value::Value::Null);
/// let _ = a == a.clone();
/// ```
///
/// ```compile_fail
/// fn written<T: serde::Serialize>(_: T) {}
/// written(paramd::secret::SecretValue::new(paramd::value::Value::Null));
/// ```
#[derive(Clone)]
pub struct SecretValue(Arc<SecretBox<Value>>);

impl SecretValue {
    /// Takes a value into custody.
    pub fn new(value: Value) -> Self {
        Self(Arc::new(SecretBox::new(Box::new(value))))
    }

    /// The value itself. Only the evaluator, the sealed store, fingerprints and
    /// the reveal may look.
    #[expect(clippy::disallowed_methods, reason = "the one crossing, closed by the lint itself")]
    pub fn expose(&self) -> &Value {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue([REDACTED])")
    }
}

/// Secret bytes: keys, credentials and what leaves by a reveal. Wiped when its
/// last holder goes.
///
/// ```compile_fail
/// let secret = paramd::secret::SecretBytes::new(vec![1]);
/// println!("{secret}");
/// ```
#[derive(Clone)]
pub struct SecretBytes(Arc<SecretBox<Vec<u8>>>);

impl SecretBytes {
    /// Takes bytes into custody.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(SecretBox::new(Box::new(bytes))))
    }

    /// The bytes themselves.
    #[expect(clippy::disallowed_methods, reason = "the one crossing, closed by the lint itself")]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes([REDACTED])")
    }
}
