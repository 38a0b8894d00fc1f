//! A set of public keys (JWKS, RFC 7517): those that can verify what is taken here.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{MAX_KEYS, MAX_KEYS_MIB, Refused};
use crate::value::Value;
use crate::value::json::from_json;

/// The most bytes of a key's id.
pub(super) const MAX_KID: usize = 256;
/// The bits that an RSA key's modulus may have.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// The most bytes of an RSA key's exponent: larger ones make verifying dear.
const MAX_EXPONENT: usize = 4;

/// How a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2,048 bits and more.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// The name of it in a token's header.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// That of this name, to the letter.
    pub fn of_token(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }

    /// Whether a key that says so is for it: RFC 9864 has another name for EdDSA.
    fn is_of_key(self, word: &str) -> bool {
        word == self.word() || self == Self::EdDsa && word == "Ed25519"
    }
}

/// Why a set of keys can't be used. It tells nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not JSON, or with a key given twice.
    #[error("it isn't JSON that can be read")]
    NotJson,
    /// Not `{ "keys": [ … ] }`.
    #[error("it isn't a set of keys: `{{ \"keys\": [ … ] }}`")]
    NotKeys,
    /// Too many keys.
    #[error("it has more than {MAX_KEYS} keys")]
    TooMany,
    /// Somebody published what he should keep.
    #[error("it holds a private key: it isn't one that only its issuer has")]
    Private,
    /// Too long.
    #[error("it has more than {MAX_KEYS_MIB} MiB")]
    TooLong,
    /// No key that can be used.
    #[error("none of its keys can be used (RSA of 2,048 to 8,192 bits, P-256, Ed25519)")]
    NoneUsable,
}

/// A public key that verifies by one algorithm.
#[derive(Clone)]
pub(super) struct Key(Arc<Public>);

struct Public {
    kid: Option<String>,
    algorithm: Algorithm,
    key: Material,
}

enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    Other(ParsedPublicKey),
}

impl Key {
    /// Whether the signature is this key's.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), ()> {
        let verified = match &self.0.key {
            Material::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Material::Other(key) => key.verify_sig(message, signature),
        };
        verified.map_err(|_| ())
    }
}

/// The keys of an issuer that can be used.
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// Reads a set. Keys for other ends, of other kinds or too weak are left out.
    ///
    /// # Errors
    /// It isn't one, or nothing in it can be used.
    pub fn read(text: &[u8]) -> Result<Self, KeysError> {
        if text.len() as u64 > MAX_KEYS_MIB << 20 {
            return Err(KeysError::TooLong);
        }
        let Ok(Value::Map(mut set)) = from_json(text) else { return Err(KeysError::NotJson) };
        let Some(Value::List(all)) = set.remove("keys") else { return Err(KeysError::NotKeys) };
        if all.len() > MAX_KEYS {
            return Err(KeysError::TooMany);
        }
        let mut keys = Vec::new();
        for one in &all {
            let Value::Map(fields) = one else { return Err(KeysError::NotKeys) };
            if fields.contains_key("d") {
                return Err(KeysError::Private);
            }
            keys.extend(key(fields));
        }
        if keys.is_empty() { Err(KeysError::NoneUsable) } else { Ok(Self { keys }) }
    }

    /// The one key that a token can mean: that of its `kid`, or without one the
    /// only key of the algorithm.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Key, Refused> {
        let mut fitting = self.keys.iter().filter(|Key(one)| {
            one.algorithm == algorithm && (kid.is_none() || one.kid.as_deref() == kid)
        });
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key.clone()),
            _ => Err(Refused::UnknownKey),
        }
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }
}

type Fields = BTreeMap<String, Value>;

fn text<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    match fields.get(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn bytes(fields: &Fields, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(fields, name)?).ok()
}

/// The key, where it is one that verifies by an algorithm that is taken.
fn key(fields: &Fields) -> Option<Key> {
    let signs = match (fields.get("use"), fields.get("key_ops")) {
        (None, None) => true,
        (Some(Value::String(end)), None) => end == "sig",
        (None, Some(Value::List(ends))) => ends.contains(&Value::String("verify".to_owned())),
        (Some(Value::String(end)), Some(Value::List(ends))) => {
            end == "sig" && ends.contains(&Value::String("verify".to_owned()))
        }
        _ => false,
    };
    let (algorithm, key) = match text(fields, "kty")? {
        "RSA" => (Algorithm::Rs256, rsa(fields)?),
        "EC" if text(fields, "crv")? == "P-256" => (Algorithm::Es256, p256(fields)?),
        "OKP" if text(fields, "crv")? == "Ed25519" => (Algorithm::EdDsa, ed25519(fields)?),
        _ => return None,
    };
    let fits = match fields.get("alg") {
        None => true,
        Some(Value::String(word)) => algorithm.is_of_key(word),
        Some(_) => false,
    };
    let kid = match fields.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= MAX_KID => Some(kid.clone()),
        Some(_) => return None,
    };
    (signs && fits).then(|| Key(Arc::new(Public { kid, algorithm, key })))
}

fn rsa(fields: &Fields) -> Option<Material> {
    let (n, e) = (bytes(fields, "n")?, bytes(fields, "e")?);
    let first = n.first().filter(|first| **first != 0)?;
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let exponent = e.first().is_some_and(|first| *first != 0)
        && e.len() <= MAX_EXPONENT
        && odd(&e)
        && e != [1];
    (RSA_BITS.contains(&bits) && odd(&n) && exponent)
        .then_some(Material::Rsa(RsaPublicKeyComponents { n, e }))
}

fn p256(fields: &Fields) -> Option<Material> {
    let (x, y) = (bytes(fields, "x")?, bytes(fields, "y")?);
    if x.len() != 32 || y.len() != 32 {
        return None;
    }
    let point = [&[4], x.as_slice(), &y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok().map(Material::Other)
}

fn ed25519(fields: &Fields) -> Option<Material> {
    let x = bytes(fields, "x")?;
    (x.len() == 32).then(|| ParsedPublicKey::new(&ED25519, x).ok().map(Material::Other))?
}
