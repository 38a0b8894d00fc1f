//! A token's text: three parts between dots, and what its header says.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::keys::{Algorithm, MAX_KID};
use super::{MAX_TOKEN, Refused};
use crate::value::Value;
use crate::value::json::from_json;

/// A token that was taken apart. Nothing of it is verified.
pub(super) struct Compact<'t> {
    /// What the signature is of.
    pub(super) signed: &'t [u8],
    /// The signature.
    pub(super) signature: Vec<u8>,
    /// How it says that it is signed.
    pub(super) algorithm: Algorithm,
    /// Which key it says that it is signed with.
    pub(super) kid: Option<String>,
    /// What it says.
    pub(super) claims: BTreeMap<String, Value>,
}

impl<'t> Compact<'t> {
    pub(super) fn read(token: &'t [u8]) -> Result<Self, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::TooLong);
        }
        let mut dots = token.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        let (Some((first, _)), Some((second, _)), None) = (dots.next(), dots.next(), dots.next())
        else {
            // Five parts are encrypted (JWE).
            return Err(Refused::Malformed);
        };
        let (signed, signature) = token.split_at_checked(second).ok_or(Refused::Malformed)?;
        let (header, claims) = signed.split_at_checked(first).ok_or(Refused::Malformed)?;
        let header = object(&decoded(header)?)?;
        let (algorithm, kid) = read_header(&header)?;
        Ok(Self {
            signed,
            signature: decoded(after_dot(signature))?,
            algorithm,
            kid,
            claims: object(&decoded(after_dot(claims))?)?,
        })
    }

    /// Who says that he made it.
    pub(super) fn issuer(&self) -> Result<&str, Refused> {
        match self.claims.get("iss") {
            Some(Value::String(issuer)) => Ok(issuer),
            _ => Err(Refused::BadClaim),
        }
    }
}

fn after_dot(part: &[u8]) -> &[u8] {
    part.split_first().map_or(&[], |(_, rest)| rest)
}

/// Without padding, and each text for one value alone.
fn decoded(part: &[u8]) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed)
}

fn object(text: &[u8]) -> Result<BTreeMap<String, Value>, Refused> {
    match from_json(text) {
        Ok(Value::Map(fields)) => Ok(fields),
        _ => Err(Refused::Malformed),
    }
}

/// Members that change what the rest means. Others say where a key might be had
/// (`jku`, `jwk`, `x5u`, `x5c`), and nobody listens.
const CHANGES: [&str; 4] = ["crit", "enc", "zip", "cty"];

fn read_header(header: &BTreeMap<String, Value>) -> Result<(Algorithm, Option<String>), Refused> {
    if CHANGES.iter().any(|name| header.contains_key(*name)) {
        return Err(Refused::Kind);
    }
    let kind = match header.get("typ") {
        None => true,
        // What the same keys sign for other ends has other names, such as
        // `logout+jwt`.
        Some(Value::String(kind)) => {
            let kind = kind.strip_prefix("application/").unwrap_or(kind);
            kind.eq_ignore_ascii_case("JWT") || kind.eq_ignore_ascii_case("at+jwt")
        }
        Some(_) => return Err(Refused::Malformed),
    };
    if !kind {
        return Err(Refused::Kind);
    }
    let algorithm = match header.get("alg") {
        Some(Value::String(word)) => Algorithm::of_token(word).ok_or(Refused::Algorithm)?,
        _ => return Err(Refused::Malformed),
    };
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= MAX_KID => Some(kid.clone()),
        Some(_) => return Err(Refused::Malformed),
    };
    Ok((algorithm, kid))
}
