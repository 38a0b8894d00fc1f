//! Signed tokens and sets of keys: whatever comes, a token is refused or names whom
//! its issuer meant, as another reader of JSON reads it.

use std::path::Path;
use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use paramd::jwt::{Issuers, KeySet, Known, MAX_GROUPS, MAX_KEYS, read};
use paramd::yaml::diagnostic::{Files, Problems};
use serde_json::Value;

use super::{MARK, Target, holds, untold};
use crate::cases::Outcome;

const WORDS: &[&str] = &[
    "\"alg\":\"EdDSA\"",
    "\"alg\":\"none\"",
    "\"kid\":\"k\"",
    "\"crit\":[]",
    "\"typ\":\"at+jwt\"",
    "\"cty\":\"JWT\"",
    "\"iss\":\"https://i\"",
    "\"aud\":[\"paramd\"]",
    "\"sub\":\"me\"",
    "\"exp\":4000000000",
    "\"nbf\":0",
    "\"iat\":1e9",
    "\"groups\":[\"a\",\"b\"]",
    "\"kty\":\"OKP\"",
    "\"crv\":\"Ed25519\"",
    "\"kty\":\"RSA\"",
    "\"n\":\"",
    "\"e\":\"AQAB\"",
    "\"use\":\"sig\"",
    "\"d\":\"AQ\"",
    "{\"keys\":[",
    "]}",
    ",",
    "{",
    "}",
    "null",
    "-1",
    "1e300",
    "\\u0000",
    "\\ud800",
    "Zq!hunter2",
    "\n",
];

pub(super) const TOKENS: Target = Target { name: "tokens", seeds, words: WORDS, run: tokens };

/// A header, claims and a set of keys, a line each.
fn seeds() -> Vec<Vec<u8>> {
    include_str!("seeds/tokens.txt").split("\n\n").map(|one| one.as_bytes().to_vec()).collect()
}

struct Home {
    key: Ed25519KeyPair,
    issuers: Issuers,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

const SETTINGS: &str = "{ i: { issuer: 'https://i', audiences: [paramd], jwks: { file: k.json }, \
                        groups: [{ claim: groups, prefix: 'g:' }] } }";

static HOME: LazyLock<Home> = LazyLock::new(|| {
    let folder = crate::cases::folder();
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let keys = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{x}"}}]}}"#);
    std::fs::write(folder.path().join("k.json"), keys).unwrap();
    let issuers = Issuers::default();
    let next = issuers.next(&settings(folder.path())).unwrap();
    issuers.replace(next);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Home { key, issuers, runtime, _folder: folder }
});

fn settings(
    folder: &Path,
) -> std::collections::BTreeMap<paramd::name::IssuerName, std::sync::Arc<paramd::jwt::IssuerSettings>>
{
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let file = files.add("paramd.yaml".to_owned(), SETTINGS.into());
    let node = paramd::yaml::parse(file, SETTINGS, &mut problems).unwrap();
    let found = read(&node, folder, &mut problems);
    assert!(!problems.has_errors());
    found
}

fn tokens(bytes: &[u8]) -> Outcome {
    let Home { key, issuers, runtime, .. } = &*HOME;
    let known = |token: &[u8]| runtime.block_on(issuers.known(token));
    holds(known(bytes).is_err(), "a token that nobody signed is good")?;
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let [header, claims, keys] = [(); 3].map(|()| lines.next().unwrap_or_default());
    match KeySet::read(keys) {
        Ok(keys) => holds((1..=MAX_KEYS).contains(&keys.count()), "too many keys")?,
        Err(error) => untold("an error", &error.to_string())?,
    }
    let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(parts.as_bytes()));
    let token = format!("{parts}.{signature}");
    if let Ok(found) = known(token.as_bytes()) {
        meant(header, claims, &found)?;
        let other = token.replacen('.', "A.", 1);
        holds(known(other.as_bytes()).is_err(), "another token is good too")?;
    } else if header == br#"{"alg":"EdDSA","kid":"k"}"# && is_plainly_good(claims) {
        return Err("a good token is refused".to_owned());
    }
    Ok(1)
}

/// Claims of which nobody could say that they aren't good.
fn is_plainly_good(claims: &[u8]) -> bool {
    let good = br#"{"iss":"https://i","aud":"paramd","sub":"me","exp":4000000000}"#;
    claims == good
}

/// What a token that was taken says to another reader.
fn meant(header: &[u8], claims: &[u8], found: &Known) -> Result<(), String> {
    let object = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let (header, claims) = (object(header), object(claims));
    holds(header["alg"] == "EdDSA", "another algorithm")?;
    holds(["crit", "cty", "enc", "zip"].iter().all(|one| header.get(one).is_none()), "a kind")?;
    holds(header.get("kid").is_none_or(|kid| kid == "k"), "another key")?;
    holds(claims["iss"] == "https://i", "another issuer")?;
    let aud = &claims["aud"];
    let named =
        aud == "paramd" || aud.as_array().is_some_and(|all| all.iter().any(|one| one == "paramd"));
    holds(named, "another audience")?;
    let now = jiff::Timestamp::now().as_second() as f64;
    holds(claims["exp"].as_f64().is_some_and(|exp| exp > now - 31.0), "expired")?;
    for begins in ["nbf", "iat"] {
        let begun =
            claims.get(begins).is_none_or(|at| at.as_f64().is_some_and(|at| at < now + 32.0));
        holds(begun, "not yet valid")?;
    }
    let subject = claims["sub"].as_str().unwrap_or_default();
    holds(!subject.is_empty() && found.name == format!("jwt:i:{subject}"), "another name")?;
    let printable = |text: &str| text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    holds(printable(&found.name) && found.name.len() <= 512, "a name that can't be one")?;
    let groups = &found.groups;
    let good = |group: &String| printable(group) && group.starts_with("g:") && group.len() <= 256;
    holds(groups.len() <= MAX_GROUPS && groups.iter().all(good), "groups that can't be")?;
    holds(groups.is_sorted_by(|one, other| one < other), "a group twice")
}

#[test]
fn the_mark_is_nowhere_in_a_refusal() {
    let token = format!("{MARK}.{MARK}.{MARK}");
    let refused = HOME.runtime.block_on(HOME.issuers.known(token.as_bytes())).unwrap_err();
    assert!(!format!("{refused:?} {}", refused.word()).contains(MARK));
}
