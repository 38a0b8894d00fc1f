//! The forms in which a secret is looked for: what of it is looked for in each,
//! and, apart from that, how a program that leaks it would write it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// A way to write a secret.
pub(super) struct Form {
    pub(super) name: &'static str,
    /// What of it is looked for.
    pub(super) looked_for: LookedFor,
    /// The secret as a program would write it, in the midst of other text. Only
    /// the control uses it, so that nothing proves itself.
    pub(super) leaked: fn(&[u8]) -> Vec<u8>,
}

/// What of a secret is looked for.
pub(super) enum LookedFor {
    /// Each part of it, written so.
    Parts(fn(&[u8]) -> Vec<Vec<u8>>),
    /// It as a whole, written so.
    Whole(fn(&[u8]) -> Vec<Vec<u8>>),
    /// Each fragment of eight bytes, or a little more where its bytes are few
    /// different ones.
    Fragments,
}

use LookedFor::{Fragments, Parts, Whole};

const fn form(name: &'static str, looked_for: LookedFor, leaked: fn(&[u8]) -> Vec<u8>) -> Form {
    Form { name, looked_for, leaked }
}

/// All forms.
pub(super) static FORMS: [Form; 32] = [
    form("itself", Parts(|part| vec![part.to_vec()]), around::<0>),
    form("a fragment of it", Fragments, |secret| {
        let middle = secret.len() / 2;
        secret[middle..(middle + 12).min(secret.len())].to_vec()
    }),
    form("base64", Parts(|part| vec![aligned(part, 0, standard)]), |secret| {
        STANDARD.encode(secret).into_bytes()
    }),
    form("base64, shifted by 1", Parts(|part| vec![aligned(part, 1, standard)]), |secret| {
        STANDARD.encode(around::<1>(secret)).into_bytes()
    }),
    form("base64, shifted by 2", Parts(|part| vec![aligned(part, 2, standard)]), |secret| {
        STANDARD.encode(around::<2>(secret)).into_bytes()
    }),
    form("base64url", Parts(|part| vec![aligned(part, 0, url_safe)]), |secret| {
        URL_SAFE.encode(secret).into_bytes()
    }),
    form("base64url, shifted by 1", Parts(|part| vec![aligned(part, 1, url_safe)]), |secret| {
        URL_SAFE.encode(around::<1>(secret)).into_bytes()
    }),
    form("base64url, shifted by 2", Parts(|part| vec![aligned(part, 2, url_safe)]), |secret| {
        URL_SAFE.encode(around::<2>(secret)).into_bytes()
    }),
    form("base64 twice", Parts(twice), |secret| {
        STANDARD.encode(STANDARD.encode(around::<4>(secret))).into_bytes()
    }),
    form("hex", Parts(|part| vec![hex::encode(part).into()]), |secret| {
        secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()
    }),
    form("upper-case hex", Parts(|part| vec![hex::encode_upper(part).into()]), |secret| {
        secret.iter().map(|byte| format!("{byte:02X}")).collect::<String>().into_bytes()
    }),
    form("hex with colons", Parts(|part| vec![joined(part, ":", |b| format!("{b:02x}"))]), |s| {
        s.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":").into_bytes()
    }),
    form("percent-encoded", Parts(|part| vec![percent(part, true, unreserved)]), |secret| {
        utf8_percent_encode(secret).into_bytes()
    }),
    form(
        "percent-encoded in lower case",
        Parts(|part| vec![percent(part, false, unreserved)]),
        |secret| lower(utf8_percent_encode(secret)),
    ),
    form("percent-encoded, all bytes", Parts(|part| vec![percent(part, true, |_| false)]), |s| {
        s.iter().map(|byte| format!("%{byte:02X}")).collect::<String>().into_bytes()
    }),
    form(
        "percent-encoded twice",
        Parts(|part| vec![percent(&percent(part, true, unreserved), true, unreserved)]),
        |secret| utf8_percent_encode(utf8_percent_encode(secret).as_bytes()).into_bytes(),
    ),
    form("a form's field", Parts(|part| vec![plus(part)]), |secret| {
        utf8_percent_encode(secret).replace("%20", "+").into_bytes()
    }),
    form("JSON", Parts(|part| vec![inner(&json(&text(part)))]), |secret| {
        serde_json::json!({ "key": [text(secret)] }).to_string().into_bytes()
    }),
    form("JSON in ASCII", Parts(|part| vec![ascii(&inner_text(&json(&text(part))))]), |secret| {
        ascii(&serde_json::json!({ "key": text(secret) }).to_string())
    }),
    form("JSON twice", Parts(|part| vec![inner(&json(&inner_text(&json(&text(part)))))]), |s| {
        let once = serde_json::json!({ "key": text(s) }).to_string();
        serde_json::json!({ "line": once }).to_string().into_bytes()
    }),
    form("Debug of a text", Parts(|part| vec![inner(&format!("{:?}", text(part)))]), |secret| {
        format!("Value {{ text: {:?} }}", text(secret)).into_bytes()
    }),
    form("Debug of bytes", Parts(|part| vec![joined(part, ", ", |b| b.to_string())]), |secret| {
        format!("Value {{ bytes: {secret:?} }}").into_bytes()
    }),
    form("a list of numbers", Parts(|part| vec![joined(part, ",", |b| b.to_string())]), |s| {
        serde_json::to_vec(&serde_json::json!({ "bytes": s })).unwrap()
    }),
    form("escaped bytes", Parts(|part| vec![part.escape_ascii().to_string().into()]), |secret| {
        format!("b\"{}\"", secret.escape_ascii()).into_bytes()
    }),
    form("XML", Parts(|part| vec![xml(part, NAMED), xml(part, NUMBERED)]), |secret| {
        [b"<key>", xml(secret, NAMED).as_slice(), b"</key>"].concat()
    }),
    form("UTF-16", Parts(|part| vec![utf_16(part, u16::to_le_bytes)]), |secret| {
        text(&around::<3>(secret)).encode_utf16().flat_map(u16::to_le_bytes).collect()
    }),
    form("UTF-16, big-endian", Parts(|part| vec![utf_16(part, u16::to_be_bytes)]), |secret| {
        text(&around::<3>(secret)).encode_utf16().flat_map(u16::to_be_bytes).collect()
    }),
    form("reversed", Parts(|part| vec![reversed(part)]), |secret| {
        let mut whole = around::<5>(secret);
        whole.reverse();
        whole
    }),
    form("reversed by letters", Parts(|part| vec![turned(part)]), |secret| {
        text(secret).chars().rev().collect::<String>().into_bytes()
    }),
    form("SHA-256", Whole(|whole| vec![sha_256(whole)]), sha_256),
    form(
        "SHA-256 in hex",
        Whole(|whole| {
            let hash = sha_256(whole);
            vec![hex::encode(&hash).into(), hex::encode_upper(hash).into()]
        }),
        |secret| format!("sha256:{}", hex::encode(sha_256(secret))).into_bytes(),
    ),
    form(
        "SHA-256 in base64",
        Whole(|whole| {
            let hash = sha_256(whole);
            let trimmed = |text: String| text.into_bytes()[..42].to_vec();
            vec![trimmed(STANDARD.encode(&hash)), trimmed(URL_SAFE.encode(&hash))]
        }),
        |secret| STANDARD.encode(sha_256(secret)).into_bytes(),
    ),
];

/// With so many bytes before it, and one after.
fn around<const BEFORE: usize>(secret: &[u8]) -> Vec<u8> {
    [&b"......"[..BEFORE], secret, b"."].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn standard(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

fn url_safe(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What of an encoding hangs on the part alone, `shift` bytes after the start of
/// what was encoded.
fn aligned(part: &[u8], shift: usize, encode: fn(&[u8]) -> String) -> Vec<u8> {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(part);
    let text = encode(&bytes).into_bytes();
    text[(shift * 8).div_ceil(6)..bytes.len() * 8 / 6].to_vec()
}

fn twice(part: &[u8]) -> Vec<Vec<u8>> {
    let shifts = (0..3).flat_map(|outer| (0..3).map(move |inner| (outer, inner)));
    let one = |(outer, inner)| aligned(&aligned(part, inner, standard), outer, standard);
    shifts.map(one).collect()
}

fn joined(part: &[u8], between: &str, one: fn(&u8) -> String) -> Vec<u8> {
    part.iter().map(one).collect::<Vec<_>>().join(between).into_bytes()
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn percent(part: &[u8], upper: bool, stays: fn(u8) -> bool) -> Vec<u8> {
    let mut text = String::new();
    for byte in part {
        match (stays(*byte), upper) {
            (true, _) => text.push(char::from(*byte)),
            (false, true) => write!(text, "%{byte:02X}").unwrap(),
            (false, false) => write!(text, "%{byte:02x}").unwrap(),
        }
    }
    text.into_bytes()
}

fn plus(part: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(percent(part, true, unreserved)).unwrap();
    text.replace("%20", "+").into_bytes()
}

/// By the library that others use.
fn utf8_percent_encode(secret: &[u8]) -> String {
    const SET: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::percent_encode(secret, SET).to_string()
}

/// The digits after each sign of percent in lower case.
fn lower(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    for at in 0..bytes.len() {
        if bytes[at] == b'%' {
            bytes[at + 1..at + 3].make_ascii_lowercase();
        }
    }
    bytes
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Without the signs of quotation around it.
fn inner_text(quoted: &str) -> String {
    quoted[1..quoted.len() - 1].to_owned()
}

fn inner(quoted: &str) -> Vec<u8> {
    inner_text(quoted).into_bytes()
}

/// With an escape for all that isn't ASCII, as Python writes it.
fn ascii(json: &str) -> Vec<u8> {
    let mut text = String::new();
    for letter in json.chars() {
        if letter.is_ascii() {
            text.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").unwrap();
            }
        }
    }
    text.into_bytes()
}

type Entities = [(&'static str, &'static str); 5];

const NAMED: Entities =
    [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&apos;")];
const NUMBERED: Entities =
    [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&#34;"), ("'", "&#39;")];

fn xml(part: &[u8], entities: Entities) -> Vec<u8> {
    let replace = |text: String, (sign, name): (&str, &str)| text.replace(sign, name);
    entities.into_iter().fold(text(part), replace).into_bytes()
}

fn utf_16(part: &[u8], bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text(part).encode_utf16().flat_map(bytes).collect()
}

fn reversed(part: &[u8]) -> Vec<u8> {
    part.iter().rev().copied().collect()
}

fn turned(part: &[u8]) -> Vec<u8> {
    text(part).chars().rev().collect::<String>().into_bytes()
}

fn sha_256(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec()
}
