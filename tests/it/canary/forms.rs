//! The forms in which a secret is looked for.

use std::fmt::Write as _;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::plant::Secret;

/// Shorter ones would be found by chance.
const SHORTEST: usize = 8;

/// One way to write a secret.
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// How much of a long secret is looked for.
const LOOKED_FOR: usize = 96;
/// The bytes of a fragment.
const FRAGMENT: usize = 16;

/// All ways in which a secret is looked for.
pub(super) fn of(whole: &[u8]) -> Vec<Form> {
    let secret = &whole[..whole.len().min(LOOKED_FOR)];
    let mut forms = Vec::new();
    let mut add = |name, bytes: Vec<u8>| {
        if bytes.len() >= SHORTEST {
            forms.push(Form { name, bytes });
        }
    };
    add("itself", secret.to_vec());
    for (shift, name) in
        ["base64", "base64 shifted by 1", "base64 shifted by 2"].into_iter().enumerate()
    {
        add(name, aligned(secret, shift, standard));
    }
    for (shift, name) in
        ["base64url", "base64url shifted by 1", "base64url shifted by 2"].into_iter().enumerate()
    {
        add(name, aligned(secret, shift, |bytes| URL_SAFE_NO_PAD.encode(bytes)));
    }
    add("hex", hex::encode(secret).into_bytes());
    add("upper-case hex", hex::encode_upper(secret).into_bytes());
    add("percent-encoded", percent(secret).into_bytes());
    let text = String::from_utf8_lossy(secret);
    let json = serde_json::to_string(&text).unwrap();
    add("JSON", json.as_bytes()[1..json.len() - 1].to_vec());
    let debug = format!("{text:?}");
    add("Debug of a text", debug.as_bytes()[1..debug.len() - 1].to_vec());
    let bytes = format!("{secret:?}");
    add("Debug of bytes", bytes.as_bytes()[1..bytes.len() - 1].to_vec());
    let escaped = secret.escape_ascii().to_string();
    add("escaped bytes", escaped.into_bytes());
    add("base64 twice", aligned(STANDARD_NO_PAD.encode(secret).as_bytes(), 0, standard));
    add("percent-encoded twice", percent(percent(secret).as_bytes()).into_bytes());
    add("XML", xml(&text).into_bytes());
    add("UTF-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    add("reversed", secret.iter().rev().copied().collect());
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, whole);
    add("SHA-256", hash.as_ref().to_vec());
    add("SHA-256 in hex", hex::encode(hash).into_bytes());
    add("SHA-256 in base64", STANDARD_NO_PAD.encode(hash).into_bytes());
    for (place, name) in [(0, "its start"), (1, "its middle"), (2, "its end")] {
        if let Some(fragment) = fragment(whole, place) {
            add(name, fragment.to_vec());
        }
    }
    forms
}

fn standard(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

fn xml(text: &str) -> String {
    let signs = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&apos;")];
    signs.iter().fold(text.to_owned(), |text, (sign, name)| text.replace(sign, name))
}

/// A part of a secret that is random enough not to be there by chance.
fn fragment(secret: &[u8], place: usize) -> Option<&[u8]> {
    let rare = |window: &&[u8]| {
        let plain = |byte: &&u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(*byte);
        window.iter().filter(plain).count() >= 14 || window.iter().any(|byte| *byte >= 0xf0)
    };
    let mut windows = secret.windows(FRAGMENT).filter(rare);
    match place {
        0 => windows.next(),
        1 => secret[secret.len() / 2..].windows(FRAGMENT).find(rare),
        _ => windows.next_back(),
    }
}

/// What of an encoding hangs on the secret alone, `shift` bytes after the start
/// of what was encoded.
fn aligned(secret: &[u8], shift: usize, encode: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(secret);
    let text = encode(&bytes).into_bytes();
    let first = (shift * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    text[first..last].to_vec()
}

fn percent(secret: &[u8]) -> String {
    let mut text = String::new();
    for byte in secret {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").unwrap();
        }
    }
    text
}

/// Looks for all secrets in all forms at once.
pub(super) struct Searcher {
    automaton: AhoCorasick,
    names: Vec<String>,
}

impl Searcher {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let mut names = Vec::new();
        let mut patterns = Vec::new();
        for secret in secrets {
            for form in of(&secret.bytes) {
                names.push(format!("{} as {}", secret.name, form.name));
                patterns.push(form.bytes);
            }
        }
        Self { automaton: AhoCorasick::new(patterns).unwrap(), names }
    }

    /// What was found, by the secret's name and its form.
    pub(super) fn search(&self, bytes: &[u8]) -> Vec<String> {
        let mut found: Vec<_> = self
            .automaton
            .find_overlapping_iter(bytes)
            .map(|place| self.names[place.pattern().as_usize()].clone())
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

#[test]
fn an_encoded_secret_is_found_at_every_alignment() {
    let secret = Secret { name: "one".into(), bytes: b"a secret \"with\" signs/+".to_vec() };
    let searcher = Searcher::new(std::slice::from_ref(&secret));
    for before in 0..9 {
        for after in 0..4 {
            let mut text = vec![b'.'; before];
            text.extend_from_slice(&secret.bytes);
            text.extend(std::iter::repeat_n(b'.', after));
            assert!(!searcher.search(STANDARD_NO_PAD.encode(&text).as_bytes()).is_empty());
            assert!(!searcher.search(URL_SAFE_NO_PAD.encode(&text).as_bytes()).is_empty());
            assert!(
                !searcher
                    .search(format!("{:?}", String::from_utf8_lossy(&text)).as_bytes())
                    .is_empty()
            );
            assert!(!searcher.search(format!("{text:?}").as_bytes()).is_empty());
        }
    }
    assert!(searcher.search(b"nothing of the kind").is_empty());
}
