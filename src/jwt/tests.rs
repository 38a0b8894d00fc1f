//! Tokens that are signed here, against what is known of them elsewhere.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

mod page;

use super::*;
use crate::yaml::FileId;
use crate::yaml::diagnostic::Problems;

const RS256: [&str; 3] = [
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
];
const ES256: [&str; 4] = [
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
];
const EDDSA: [&str; 3] = [
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
];

fn rsa() -> Json {
    json!({ "kty": "RSA", "n": RS256[2], "e": "AQAB", "kid": "r" })
}

fn p256() -> Json {
    json!({ "kty": "EC", "crv": "P-256", "x": ES256[2], "y": ES256[3], "kid": "e" })
}

fn ed25519() -> Json {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": EDDSA[2], "kid": "o" })
}

fn with(mut key: Json, name: &str, value: Json) -> Json {
    key[name] = value;
    key
}

fn without(mut key: Json, name: &str) -> Json {
    key.as_object_mut().unwrap().remove(name);
    key
}

fn set(keys: &[Json]) -> Result<KeySet, KeysError> {
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes())
}

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// RFC 7515, A.2 and A.3, and RFC 8037, A.4.
#[test]
fn what_the_standards_signed_is_verified() {
    let keys = set(&[rsa(), p256(), ed25519()]).unwrap();
    for (algorithm, kid, signed, signature) in [
        (Algorithm::Rs256, "r", RS256[0], RS256[1]),
        (Algorithm::Es256, "e", ES256[0], ES256[1]),
        (Algorithm::EdDsa, "o", EDDSA[0], EDDSA[1]),
    ] {
        let key = keys.find(Some(kid), algorithm).unwrap();
        let signature = bytes(signature);
        assert_eq!(key.verify(signed.as_bytes(), &signature), Ok(()), "{kid}");
        assert_eq!(key.verify(format!("{signed}a").as_bytes(), &signature), Err(()), "{kid}");
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut other = signature.clone();
            other[at] ^= 1;
            assert_eq!(key.verify(signed.as_bytes(), &other), Err(()), "{kid}");
        }
        for short in [&[][..], &signature[1..], &[signature.as_slice(), &[0]].concat()] {
            assert_eq!(key.verify(signed.as_bytes(), short), Err(()), "{kid}");
        }
    }
}

#[test]
fn a_key_is_found_by_its_id_and_is_of_one_algorithm() {
    let keys = set(&[rsa(), p256(), ed25519()]).unwrap();
    for (kid, algorithm) in
        [("r", Algorithm::Rs256), ("e", Algorithm::Es256), ("o", Algorithm::EdDsa)]
    {
        for other in Algorithm::ALL {
            assert_eq!(keys.find(Some(kid), other).is_ok(), other == algorithm, "{kid}");
        }
        // The only one of its algorithm.
        assert!(keys.find(None, algorithm).is_ok());
    }
    assert!(keys.find(Some("x"), Algorithm::Rs256).is_err());
    let two = set(&[p256(), with(p256(), "kid", json!("f"))]).unwrap();
    assert!(two.find(Some("f"), Algorithm::Es256).is_ok());
    assert!(two.find(None, Algorithm::Es256).is_err(), "nobody can say which is meant");
    let same = set(&[p256(), p256()]).unwrap();
    assert!(same.find(Some("e"), Algorithm::Es256).is_err());
    let unnamed = set(&[without(p256(), "kid")]).unwrap();
    assert!(unnamed.find(None, Algorithm::Es256).is_ok());
    assert!(unnamed.find(Some("e"), Algorithm::Es256).is_err());
}

#[test]
fn a_key_that_does_not_fit_is_left_out() {
    let weak = URL_SAFE_NO_PAD.encode([&[0xff; 127][..], &[1]].concat());
    let even = URL_SAFE_NO_PAD.encode([0xfe; 256]);
    let huge = URL_SAFE_NO_PAD.encode([&[0xff; 1_024][..], &[1]].concat());
    let off_curve = URL_SAFE_NO_PAD.encode([7; 32]);
    for bad in [
        with(rsa(), "n", json!(weak)),
        with(rsa(), "n", json!(even)),
        with(rsa(), "n", json!(huge)),
        with(rsa(), "n", json!("")),
        with(rsa(), "n", json!(1)),
        with(rsa(), "e", json!("AQ")),
        with(rsa(), "e", json!("AAEAAQ")),
        with(rsa(), "e", json!("AQAC")),
        with(rsa(), "e", json!("AQAAAAE")),
        with(rsa(), "use", json!("enc")),
        with(rsa(), "use", json!(["sig"])),
        with(rsa(), "key_ops", json!(["encrypt"])),
        with(rsa(), "alg", json!("RS512")),
        with(rsa(), "alg", json!("HS256")),
        with(rsa(), "alg", json!("ES256")),
        with(rsa(), "kid", json!(1)),
        with(rsa(), "kid", json!("k".repeat(257))),
        with(rsa(), "kty", json!("oct")),
        json!({ "kty": "oct", "k": "AQAB", "alg": "HS256", "kid": "r" }),
        without(rsa(), "n"),
        without(rsa(), "kty"),
        with(p256(), "crv", json!("P-384")),
        with(p256(), "crv", json!("secp256k1")),
        with(p256(), "y", json!(off_curve)),
        with(p256(), "x", json!("AQAB")),
        with(p256(), "alg", json!("RS256")),
        with(ed25519(), "crv", json!("X25519")),
        with(ed25519(), "x", json!("AQAB")),
        with(ed25519(), "alg", json!("ES256")),
    ] {
        assert_eq!(set(std::slice::from_ref(&bad)).err(), Some(KeysError::NoneUsable), "{bad}");
        assert_eq!(set(&[bad.clone(), p256()]).unwrap().count(), 1, "{bad}");
    }
    for good in [
        with(rsa(), "use", json!("sig")),
        with(rsa(), "alg", json!("RS256")),
        with(rsa(), "key_ops", json!(["verify"])),
        with(rsa(), "x5t", json!("anything")),
        with(ed25519(), "alg", json!("Ed25519")),
        with(ed25519(), "alg", json!("EdDSA")),
    ] {
        assert_eq!(set(std::slice::from_ref(&good)).unwrap().count(), 1, "{good}");
    }
}

#[test]
fn what_is_no_set_of_keys_is_refused_whole() {
    let read = |text: &str| KeySet::read(text.as_bytes()).err();
    assert_eq!(read(""), Some(KeysError::NotJson));
    assert_eq!(read("[]"), Some(KeysError::NotJson));
    assert_eq!(read("{}"), Some(KeysError::NotKeys));
    assert_eq!(read(r#"{"keys":{}}"#), Some(KeysError::NotKeys));
    assert_eq!(read(r#"{"keys":[1]}"#), Some(KeysError::NotKeys));
    assert_eq!(read(r#"{"keys":[]}"#), Some(KeysError::NoneUsable));
    assert_eq!(read(r#"{"keys":[],"keys":[]}"#), Some(KeysError::NotJson));
    let twice = p256().to_string().replacen('{', r#"{"kid":"x","#, 1);
    assert_eq!(read(&format!(r#"{{"keys":[{twice}]}}"#)), Some(KeysError::NotJson));
    assert_eq!(set(&[p256(), with(ed25519(), "d", json!("AQ"))]).err(), Some(KeysError::Private));
    let many = |count| set(&vec![p256(); count]).err();
    assert_eq!((many(MAX_KEYS), many(MAX_KEYS + 1)), (None, Some(KeysError::TooMany)));
    let long =
        |length: usize| read(&format!("{}{}", json!({ "keys": [p256()] }), " ".repeat(length)));
    assert_eq!((long(1_000_000), long(1 << 20)), (None, Some(KeysError::TooLong)));
}

/// An issuer with one key, and the settings that know it.
struct Home {
    key: EcdsaKeyPair,
    issuers: Issuers,
    _folder: tempfile::TempDir,
}

const SETTINGS: &str = r#"{ idp: {
  issuer: "https://idp.example", audiences: [paramd, "https://paramd.example"], jwks: { file: keys.json },
  require: [{ claim: team, values: [ml, data] }],
  groups: [
    { claim: groups, prefix: "idp:" },
    { claim: ["kubernetes.io", serviceaccount, name], prefix: "account:" },
    { claim: role, values: { admin: platform-admins } },
  ] } }"#;

fn settings(text: &str, folder: &std::path::Path) -> BTreeMap<IssuerName, Arc<IssuerSettings>> {
    let mut problems = Problems::default();
    let node = crate::yaml::parse(FileId(0), text, &mut problems).unwrap();
    let found = read(&node, folder, &mut problems);
    assert!(!problems.has_errors(), "{:?}", problems.list);
    found
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "k" });
        let keys = json!({ "keys": [jwk, ed25519()] }).to_string();
        std::fs::write(folder.path().join("keys.json"), keys).unwrap();
        let issuers = Issuers::default();
        let next = issuers.next(&settings(SETTINGS, folder.path())).unwrap();
        issuers.replace(next);
        Self { key, issuers, _folder: folder }
    }

    fn signed(&self, header: &str, claims: &str) -> String {
        let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let signature = self.key.sign(&SystemRandom::new(), parts.as_bytes()).unwrap();
        format!("{parts}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    async fn known(&self, header: &str, claims: &str) -> Result<Known, Refused> {
        self.issuers.known(self.signed(header, claims).as_bytes()).await
    }

    async fn claims(&self, claims: &Json) -> Result<Known, Refused> {
        self.known(HEADER, &claims.to_string()).await
    }
}

const HEADER: &str = r#"{"alg":"ES256","kid":"k"}"#;

fn now() -> i64 {
    Timestamp::now().as_second()
}

fn good() -> Json {
    json!({ "iss": "https://idp.example", "aud": "paramd", "sub": "me", "team": "ml", "exp": now() + 300 })
}

#[tokio::test]
async fn a_good_token_names_its_subject_and_its_groups() {
    let home = Home::new();
    let known = home.claims(&good()).await.unwrap();
    assert_eq!((known.name.as_str(), known.groups.len()), ("jwt:idp:me", 0));
    let more = json!({
        "groups": ["b", "a", "b", 7, true], "role": ["admin", "other"],
        "kubernetes.io": { "serviceaccount": { "name": "ci", "uid": "1" } },
        "aud": ["x", "https://paramd.example"], "iat": now() - 1, "nbf": now() as f64 + 10.5,
        "sub": "system:serviceaccount:ml:ci", "exp": now() as f64 + 0.5,
    });
    let mut claims = good();
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let known = home.claims(&claims).await.unwrap();
    assert_eq!(known.name, "jwt:idp:system:serviceaccount:ml:ci");
    let groups = ["account:ci", "idp:7", "idp:a", "idp:b", "idp:true", "platform-admins"];
    assert_eq!(known.groups, groups);
}

#[tokio::test]
async fn a_claim_that_is_not_good_is_told_by_its_kind() {
    let home = Home::new();
    let now = now();
    let text = |length: usize| json!("a".repeat(length));
    for (name, value, why) in [
        ("iss", json!("https://idp.example/"), Refused::UnknownIssuer),
        ("iss", json!(["https://idp.example"]), Refused::BadClaim),
        ("aud", json!("other"), Refused::WrongAudience),
        ("aud", json!(["other"]), Refused::WrongAudience),
        ("aud", json!([]), Refused::WrongAudience),
        ("aud", json!(["paramd", 1]), Refused::BadClaim),
        ("aud", json!({ "paramd": 1 }), Refused::BadClaim),
        ("exp", json!(now - 31), Refused::Expired),
        ("exp", json!(0), Refused::Expired),
        ("exp", json!(-1), Refused::BadClaim),
        ("exp", json!("4000000000"), Refused::BadClaim),
        ("exp", json!(1e300), Refused::BadClaim),
        ("exp", json!(i64::MAX), Refused::BadClaim),
        ("exp", json!(null), Refused::BadClaim),
        ("nbf", json!(now + 60), Refused::NotYetValid),
        ("nbf", json!("soon"), Refused::BadClaim),
        ("iat", json!(now + 60), Refused::NotYetValid),
        ("sub", json!(""), Refused::BadClaim),
        ("sub", json!(1), Refused::BadClaim),
        ("sub", json!(" me"), Refused::BadClaim),
        ("sub", json!("m\ne"), Refused::BadClaim),
        ("sub", json!("m\u{e9}"), Refused::BadClaim),
        ("sub", text(505), Refused::BadClaim),
        ("team", json!("other"), Refused::NotRequired),
        ("team", json!([]), Refused::NotRequired),
        ("team", json!(null), Refused::NotRequired),
        ("team", json!({ "ml": "ml" }), Refused::BadClaim),
        ("groups", json!({}), Refused::BadGroup),
        ("groups", json!([["a"]]), Refused::BadGroup),
        ("groups", json!(1.5), Refused::BadGroup),
        ("groups", json!("a\tb"), Refused::BadGroup),
        ("groups", json!("a "), Refused::BadGroup),
        ("groups", json!("a\u{202e}b"), Refused::BadGroup),
        ("groups", text(253), Refused::BadGroup),
        ("groups", json!((0..101).collect::<Vec<_>>()), Refused::BadGroup),
    ] {
        let claims = with(good(), name, value);
        assert_eq!(home.claims(&claims).await, Err(why), "{claims}");
    }
    for (name, why) in [
        ("iss", Refused::BadClaim),
        ("aud", Refused::WrongAudience),
        ("exp", Refused::BadClaim),
        ("sub", Refused::BadClaim),
        ("team", Refused::NotRequired),
    ] {
        assert_eq!(home.claims(&without(good(), name)).await, Err(why), "{name}");
    }
    for (name, value) in [
        ("exp", json!(now - 20)),
        ("nbf", json!(now + 20)),
        ("iat", json!(now + 20)),
        ("sub", text(504)),
        ("groups", text(252)),
        ("groups", json!((0..100).collect::<Vec<_>>())),
        ("team", json!(["other", "data"])),
    ] {
        assert!(home.claims(&with(good(), name, value)).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_header_that_is_not_good_is_told_by_its_kind() {
    let home = Home::new();
    let claims = good().to_string();
    for (header, why) in [
        (r#"{"alg":"none"}"#, Refused::Algorithm),
        (r#"{"alg":"None","kid":"k"}"#, Refused::Algorithm),
        (r#"{"alg":"HS256","kid":"k"}"#, Refused::Algorithm),
        (r#"{"alg":"ES384","kid":"k"}"#, Refused::Algorithm),
        (r#"{"alg":"PS256","kid":"k"}"#, Refused::Algorithm),
        (r#"{"alg":"es256","kid":"k"}"#, Refused::Algorithm),
        (r#"{"alg":"RS256","kid":"k"}"#, Refused::UnknownKey),
        (r#"{"alg":"EdDSA","kid":"k"}"#, Refused::UnknownKey),
        (r#"{"alg":"EdDSA","kid":"o"}"#, Refused::BadSignature),
        (r#"{"alg":"EdDSA"}"#, Refused::BadSignature),
        (r#"{"alg":"ES256","kid":"x"}"#, Refused::UnknownKey),
        (r#"{"alg":"ES256","kid":1}"#, Refused::Malformed),
        (r#"{"alg":"ES256","kid":null}"#, Refused::Malformed),
        (r#"{"kid":"k"}"#, Refused::Malformed),
        (r#"{"alg":["ES256"],"kid":"k"}"#, Refused::Malformed),
        (r#"{"alg":"ES256","kid":"k","kid":"k"}"#, Refused::Malformed),
        (r#"{"alg":"ES256","alg":"none"}"#, Refused::Malformed),
        (r#"{"alg":"ES256","kid":"k","crit":["b64"],"b64":false}"#, Refused::Kind),
        (r#"{"alg":"ES256","kid":"k","crit":[]}"#, Refused::Kind),
        (r#"{"alg":"ES256","kid":"k","cty":"JWT"}"#, Refused::Kind),
        (r#"{"alg":"ES256","kid":"k","enc":"A128GCM"}"#, Refused::Kind),
        (r#"{"alg":"ES256","kid":"k","zip":"DEF"}"#, Refused::Kind),
        (r#"{"alg":"ES256","kid":"k","typ":"logout+jwt"}"#, Refused::Kind),
        (r#"{"alg":"ES256","kid":"k","typ":"dpop+jwt"}"#, Refused::Kind),
        (r#"{"alg":"ES256","kid":"k","typ":1}"#, Refused::Malformed),
        ("[]", Refused::Malformed),
        ("", Refused::Malformed),
    ] {
        assert_eq!(home.known(header, &claims).await, Err(why), "{header}");
    }
    for header in [
        HEADER,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#,
        r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","kid":"k","typ":"application/at+jwt"}"#,
        r#"{"alg":"ES256","kid":"k","jku":"https://evil.example","x5t":"x"}"#,
    ] {
        assert!(home.known(header, &claims).await.is_ok(), "{header}");
    }
    let twice = claims.replacen('{', r#"{"sub":"you","#, 1);
    assert_eq!(home.known(HEADER, &twice).await, Err(Refused::Malformed));
}

#[tokio::test]
async fn only_the_text_that_was_signed_is_good() {
    let home = Home::new();
    let token = home.signed(HEADER, &good().to_string());
    assert!(home.issuers.known(token.as_bytes()).await.is_ok());
    let parts: Vec<&str> = token.split('.').collect();
    let (two, last) = (parts[..2].join("."), parts[2]);
    let high = |letter: char| URL_SAFE_NO_PAD.encode([letter as u8; 64]);
    for other in [
        two.clone(),
        format!("{two}."),
        format!("{two}.{last}."),
        format!("{two}.{last}.a.b"),
        format!("{two}.{last}=="),
        format!("{two}.{last} "),
        format!("{two}.{}", high('a')),
        format!("{two}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
        format!("{}.{}.{last}", parts[1], parts[0]),
        "..".to_owned(),
        ".".to_owned(),
        token.replacen('.', "=.", 1),
    ] {
        assert!(home.issuers.known(other.as_bytes()).await.is_err(), "{other}");
    }
    // The last letter has bits to spare: another one for the same bytes is refused.
    let spare = last.strip_suffix(|_| true).unwrap();
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut taken = 0;
    for letter in letters.chars() {
        let other = format!("{two}.{spare}{letter}");
        taken += usize::from(home.issuers.known(other.as_bytes()).await.is_ok());
    }
    assert_eq!(taken, 1);
    let long = |length: usize| with(good(), "more", json!("a".repeat(length)));
    assert!(home.claims(&long(5_000)).await.is_ok());
    assert_eq!(home.claims(&long(7_000)).await, Err(Refused::TooLong));
}

#[tokio::test]
async fn a_file_of_keys_is_looked_at_again() {
    let home = Home::new();
    assert!(home.claims(&good()).await.is_ok());
    let file = home._folder.path().join("keys.json");
    let before = std::fs::read(&file).unwrap();
    let until = async |wanted: Result<(), Refused>| {
        let begun = std::time::Instant::now();
        while home.claims(&good()).await.map(|_| ()) != wanted {
            assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{wanted:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    std::fs::write(&file, json!({ "keys": [ed25519()] }).to_string()).unwrap();
    until(Err(Refused::UnknownKey)).await;
    // What can't be read may say that a key is good no more.
    std::fs::write(&file, "{").unwrap();
    until(Err(Refused::NoKeys)).await;
    std::fs::write(&file, &before).unwrap();
    until(Ok(())).await;
    std::fs::remove_file(&file).unwrap();
    until(Err(Refused::NoKeys)).await;
}

#[test]
fn the_ed25519_key_of_a_test_is_read() {
    let key = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let keys = set(&[with(ed25519(), "x", json!(x))]).unwrap();
    let found = keys.find(None, Algorithm::EdDsa).unwrap();
    assert_eq!(found.verify(b"m", key.sign(b"m").as_ref()), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn two_subjects_are_never_one_principal(one in "[ -~]{1,12}", other in "[ -~]{1,12}") {
        let mut text = SETTINGS.replace("idp:", "a:");
        text = text.replace("require", "subject: sub, require");
        let issuers = settings(&text, std::path::Path::new("/nowhere"));
        let settings = issuers.values().next().unwrap();
        let name = |subject: &str| {
            let claims = with(good(), "sub", json!(subject)).to_string();
            let Ok(crate::value::Value::Map(claims)) =
                crate::value::json::from_json(claims.as_bytes()) else { panic!() };
            claims::check(settings, &claims, Timestamp::now()).map(|known| known.name).ok()
        };
        let (first, second) = (name(&one), name(&other));
        prop_assert_eq!(first.is_some(), claims::is_printable(&one));
        if first.is_some() && one != other {
            prop_assert_ne!(first, second);
        }
    }
}
