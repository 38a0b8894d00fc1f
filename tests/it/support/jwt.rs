//! An issuer of a test: its keys, the tokens that are good, and those that
//! nobody may take.

use std::path::Path;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// What the issuer calls itself, and whom its tokens are for.
pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const AUDIENCE: &str = "https://paramd.example";

/// A private key with its id.
pub(crate) struct Signer {
    kid: String,
    key: Private,
}

enum Private {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn rs256(kid: &str) -> Self {
        let key = Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        Self { kid: kid.into(), key: Private::Rsa(key) }
    }

    pub(crate) fn es256(kid: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid: kid.into(), key: Private::Ec(key) }
    }

    pub(crate) fn eddsa(kid: &str) -> Self {
        Self { kid: kid.into(), key: Private::Ed(Ed25519KeyPair::generate().unwrap()) }
    }

    fn algorithm(&self) -> &'static str {
        match self.key {
            Private::Rsa(_) => "RS256",
            Private::Ec(_) => "ES256",
            Private::Ed(_) => "EdDSA",
        }
    }

    /// The public key as a JWKS has it.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Private::Rsa(key) => {
                let der = key.public_key().as_der().unwrap();
                let (_, info) = SubjectPublicKeyInfo::from_der(der.as_ref()).unwrap();
                let Ok(PublicKey::RSA(key)) = info.parsed() else { panic!("of RSA") };
                // Without the zero that keeps a DER integer positive.
                let n = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
                let e = key.exponent;
                json!({ "kty": "RSA", "n": encoded(n), "e": encoded(e) })
            }
            Private::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
            }
            Private::Ed(key) => {
                let x = encoded(key.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token that says this.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signed(
            &json!({ "alg": self.algorithm(), "kid": self.kid, "typ": "JWT" }).to_string(),
            &claims.to_string(),
        )
    }

    /// A token of these texts, whatever they are.
    pub(crate) fn signed(&self, header: &str, claims: &str) -> String {
        let parts = unsigned(header, claims);
        let random = SystemRandom::new();
        let signature = match &self.key {
            Private::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, parts.as_bytes(), &mut signature).unwrap();
                signature
            }
            Private::Ec(key) => key.sign(&random, parts.as_bytes()).unwrap().as_ref().to_vec(),
            Private::Ed(key) => key.sign(parts.as_bytes()).as_ref().to_vec(),
        };
        format!("{parts}.{}", encoded(&signature))
    }

    /// The public key as bytes that somebody might take for the key of an HMAC.
    fn public_der(&self) -> Vec<u8> {
        let Private::Rsa(key) = &self.key else { panic!("of the RSA key") };
        key.public_key().as_der().unwrap().as_ref().to_vec()
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()))
}

/// A set of public keys.
pub(crate) fn jwks(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|one| one.jwk()).collect::<Vec<_>>() }).to_string()
}

/// An issuer with a key of each kind.
pub(crate) struct Issuer {
    pub(crate) rsa: Signer,
    pub(crate) ec: Signer,
    pub(crate) ed: Signer,
}

/// A token that nobody may take, and what the daemon's log says of it.
pub(crate) struct Refused {
    pub(crate) kind: &'static str,
    pub(crate) token: String,
    pub(crate) why: &'static str,
}

impl Issuer {
    /// The `jwt` of `paramd.yaml` that takes its tokens as those of `idp`, by the
    /// keys in `keys/idp.json`.
    pub(crate) const SETTINGS: &'static str = r#"jwt:
  idp:
    issuer: "https://idp.example"
    audiences: ["https://paramd.example"]
    jwks: { file: keys/idp.json }
    groups: [{ claim: groups, prefix: "idp:" }]
"#;

    /// New keys; the public ones in `keys/idp.json` of the configuration.
    pub(crate) fn new(config: &Path) -> Self {
        let issuer =
            Self { rsa: Signer::rs256("rsa"), ec: Signer::es256("ec"), ed: Signer::eddsa("ed") };
        std::fs::create_dir_all(config.join("keys")).unwrap();
        std::fs::write(config.join("keys/idp.json"), issuer.jwks()).unwrap();
        issuer
    }

    /// Its public keys.
    pub(crate) fn jwks(&self) -> String {
        jwks(&[&self.rsa, &self.ec, &self.ed])
    }

    /// A good token; its principal is `jwt:idp:SUBJECT`.
    pub(crate) fn token(&self, subject: &str) -> String {
        self.ed.token(&claims(subject, json!({})))
    }

    /// One of each kind that must be refused, made of what would be good for
    /// `subject`.
    pub(crate) fn refused(&self, subject: &str) -> Vec<Refused> {
        let good = claims(subject, json!({}));
        [self.with_wrong_claims(subject), self.with_wrong_headers(&good), self.broken(&good)]
            .into_iter()
            .flatten()
            .map(|(kind, token, why)| Refused { kind, token, why })
            .collect()
    }

    fn with_wrong_claims(&self, subject: &str) -> Vec<(&'static str, String, &'static str)> {
        let now = now();
        let with = |changes: Value| self.ed.token(&claims(subject, changes));
        let wrong = "JWT with a claim that is missing or wrong";
        vec![
            (
                "wrong issuer",
                with(json!({ "iss": "https://evil.example" })),
                "JWT of an unknown issuer",
            ),
            ("no issuer", with(json!({ "iss": null })), wrong),
            (
                "wrong audience",
                with(json!({ "aud": "https://other.example" })),
                "JWT for another audience",
            ),
            ("no audience", with(json!({ "aud": null })), "JWT for another audience"),
            ("expired", with(json!({ "exp": now - 120 })), "expired JWT"),
            ("no expiry", with(json!({ "exp": null })), wrong),
            ("not yet valid", with(json!({ "nbf": now + 120 })), "JWT that isn't valid yet"),
            ("issued in the future", with(json!({ "iat": now + 120 })), "JWT that isn't valid yet"),
            ("no subject", with(json!({ "sub": null })), wrong),
            (
                "too many groups",
                with(json!({ "groups": (0..101).collect::<Vec<_>>() })),
                "JWT with groups that can't be names",
            ),
        ]
    }

    fn with_wrong_headers(&self, good: &Value) -> Vec<(&'static str, String, &'static str)> {
        let claims = good.to_string();
        let by = |signer: &Signer, header: Value| signer.signed(&header.to_string(), &claims);
        let hmac_header = json!({ "alg": "HS256", "kid": "rsa" }).to_string();
        let parts = unsigned(&hmac_header, &claims);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.rsa.public_der());
        let hmac = format!("{parts}.{}", encoded(hmac::sign(&key, parts.as_bytes()).as_ref()));
        let none = unsigned(r#"{"alg":"none"}"#, &claims);
        let algorithm = "JWT with an algorithm that isn't taken";
        let kind = "JWT of a kind that isn't taken";
        let unknown = "JWT with an unknown key";
        vec![
            ("alg none", format!("{none}."), algorithm),
            (
                "alg none with a signature",
                by(&self.ed, json!({ "alg": "none", "kid": "ed" })),
                algorithm,
            ),
            ("HMAC with the public key", hmac, algorithm),
            ("RS512", by(&self.rsa, json!({ "alg": "RS512", "kid": "rsa" })), algorithm),
            ("unknown kid", by(&self.ed, json!({ "alg": "EdDSA", "kid": "other" })), unknown),
            ("key of another type", by(&self.ec, json!({ "alg": "ES256", "kid": "rsa" })), unknown),
            ("key of another", Signer::eddsa("ed").token(good), "JWT with a wrong signature"),
            (
                "crit",
                by(&self.ed, json!({ "alg": "EdDSA", "kid": "ed", "crit": ["x"], "x": 1 })),
                kind,
            ),
            ("nested", by(&self.ed, json!({ "alg": "EdDSA", "kid": "ed", "cty": "JWT" })), kind),
            (
                "another kind",
                by(&self.ed, json!({ "alg": "EdDSA", "kid": "ed", "typ": "logout+jwt" })),
                kind,
            ),
        ]
    }

    fn broken(&self, good: &Value) -> Vec<(&'static str, String, &'static str)> {
        let header = json!({ "alg": "EdDSA", "kid": "ed" }).to_string();
        let token = self.ed.token(good);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[7] ^= 1;
        let twice = good.to_string().replacen('{', r#"{"sub":"root","#, 1);
        let other = claims("root", json!({})).to_string();
        let mut swapped: Vec<_> = token.split('.').map(str::to_owned).collect();
        swapped[1] = encoded(other.as_bytes());
        let malformed = "malformed JWT";
        let signature = "JWT with a wrong signature";
        vec![
            ("bad signature", format!("{signed}.{}", encoded(&bytes)), signature),
            ("other claims", swapped.join("."), signature),
            ("no signature", format!("{signed}."), signature),
            ("encrypted", format!("{token}.a.b"), malformed),
            ("a claim twice", self.ed.signed(&header, &twice), malformed),
            ("no JSON", self.ed.signed(&header, "sub"), malformed),
            (
                "too long",
                self.ed.token(&claims("x", json!({ "more": "a".repeat(7_000) }))),
                "JWT too long",
            ),
        ]
    }
}

/// What a good token for `subject` says, with these changes; null takes a claim
/// away.
pub(crate) fn claims(subject: &str, changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now(), "exp": now() + 300,
    });
    let claims_map = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims_map.remove(name);
        } else {
            claims_map.insert(name.clone(), value.clone());
        }
    }
    claims
}

pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}
