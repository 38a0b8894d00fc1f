//! Keyed fingerprints of secrets: equal ones mean equal values, and without the
//! key they tell nothing.

use aws_lc_rs::hmac;

use super::keys::FingerprintKey;
use crate::secret::SecretValue;
use crate::value::binary;

/// Makes fingerprints under one key.
pub struct Fingerprints {
    key: hmac::Key,
    id: String,
}

impl Fingerprints {
    /// Under this key.
    pub fn new(key: &FingerprintKey) -> Self {
        let derived = key.derive(&[], &[b"values"]);
        let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, derived.as_slice());
        Self { key: hmac_key, id: key.id().to_owned() }
    }

    /// The key's id: fingerprints under different keys can't be compared.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The fingerprint of a value. An integer and a number that mean the same
    /// have the same; nothing else does.
    #[expect(clippy::disallowed_methods, reason = "a fingerprint is made of the value itself")]
    pub fn of(&self, secret: &SecretValue) -> [u8; 16] {
        let tag = hmac::sign(&self.key, &binary::encode_meaning(secret.expose()));
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

impl std::fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fingerprints({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn equal_meaning_is_equal_fingerprint_and_kinds_differ() {
        let key = FingerprintKey::generate().unwrap();
        let (one, again) = (Fingerprints::new(&key), Fingerprints::new(&key));
        let of = |value| one.of(&SecretValue::new(value));
        let text = |text: &str| Value::String(text.into());
        assert_eq!(of(text("a")), again.of(&SecretValue::new(text("a"))));
        assert_eq!(of(Value::Integer(3)), of(Value::Number(3.0)));
        let distinct = [
            text("a"),
            text("3"),
            text(""),
            Value::Bytes(b"a".to_vec()),
            Value::Integer(3),
            Value::Bool(true),
            Value::Null,
            Value::List(vec![text("a")]),
            Value::List(vec![text("a"), text("")]),
        ];
        let made: std::collections::BTreeSet<_> = distinct.iter().cloned().map(of).collect();
        assert_eq!(made.len(), distinct.len());
    }

    #[test]
    fn another_key_makes_others_and_has_another_id() {
        let make = || Fingerprints::new(&FingerprintKey::generate().unwrap());
        let (one, other) = (make(), make());
        let secret = SecretValue::new(Value::String("hunter2".into()));
        assert_ne!(one.of(&secret), other.of(&secret));
        assert_ne!(one.id(), other.id());
        assert!(!format!("{one:?}").contains("hunter2"));
    }
}
