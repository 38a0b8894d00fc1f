//! The promised forms of secrets, written out the long way, after
//! `docs/masking.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

const SHORTEST: usize = 8;

/// All that is to be hidden of these secrets.
pub(super) fn patterns(secrets: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let mut patterns = BTreeSet::new();
    for piece in secrets.iter().flat_map(|secret| pieces(secret)) {
        hex(&piece, &mut patterns);
        for url in [false, true] {
            patterns.insert(base64(&piece, url));
            patterns.extend((0..3).map(|before| base64_within(&piece, before, url)));
        }
        percent(&piece, &mut patterns);
        if let Ok(text) = std::str::from_utf8(&piece) {
            json(text, &mut patterns);
        }
        patterns.insert(piece);
    }
    patterns
}

/// The secret, its lines and the texts and numbers of its JSON.
fn pieces(secret: &[u8]) -> Vec<Vec<u8>> {
    let end = secret.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
    let secret = &secret[..end];
    let mut whole = vec![secret.to_vec()];
    if let Ok(tree) = serde_json::from_slice::<serde_json::Value>(secret) {
        leaves(&tree, &mut whole);
    }
    let mut pieces = Vec::new();
    for text in whole {
        let line_end = |byte: &u8| *byte == b'\n' || *byte == b'\r';
        pieces.extend(text.split(line_end).map(|line| trimmed(line).to_vec()));
        pieces.push(text);
    }
    // A secret that is too short is left out with all that is in it.
    pieces.retain(|piece| piece.len() >= SHORTEST && secret.len() >= SHORTEST);
    pieces
}

fn trimmed(line: &[u8]) -> &[u8] {
    let space = |byte: &u8| b" \t\x0c".contains(byte);
    let start = line.iter().position(|byte| !space(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !space(byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

fn leaves(tree: &serde_json::Value, found: &mut Vec<Vec<u8>>) {
    use serde_json::Value as Json;
    match tree {
        Json::Object(fields) => fields.values().for_each(|field| below(field, found)),
        Json::Array(items) => items.iter().for_each(|item| below(item, found)),
        Json::String(text) => found.push(text.clone().into_bytes()),
        // A number alone is the secret itself.
        _ => {}
    }
}

fn below(tree: &serde_json::Value, found: &mut Vec<Vec<u8>>) {
    match tree {
        serde_json::Value::Number(number) => found.push(number.to_string().into_bytes()),
        tree => leaves(tree, found),
    }
}

fn hex(piece: &[u8], patterns: &mut BTreeSet<Vec<u8>>) {
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        let nibbles = piece.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        patterns.insert(nibbles.map(|nibble| digits[usize::from(nibble)]).collect());
    }
}

/// Six bits each, as far as they go, filled up with zeroes and `=`.
pub(super) fn base64(bytes: &[u8], url: bool) -> Vec<u8> {
    let mut bits: Vec<Option<bool>> = bits(bytes).collect();
    while !bits.len().is_multiple_of(6) {
        bits.push(Some(false));
    }
    let mut text: Vec<u8> = bits.chunks(6).filter_map(|six| sign(six, url)).collect();
    while !text.len().is_multiple_of(4) {
        text.push(b'=');
    }
    text
}

/// The signs that are known where `before` unknown bytes stand before these and
/// others may follow.
fn base64_within(bytes: &[u8], before: usize, url: bool) -> Vec<u8> {
    let unknown = std::iter::repeat_n(None, before * 8);
    let bits: Vec<Option<bool>> = unknown.chain(bits(bytes)).collect();
    bits.chunks_exact(6).filter_map(|six| sign(six, url)).collect()
}

fn bits(bytes: &[u8]) -> impl Iterator<Item = Option<bool>> {
    bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| Some(byte >> bit & 1 == 1)))
}

fn sign(six: &[Option<bool>], url: bool) -> Option<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut value = 0;
    for bit in six {
        value = value * 2 + usize::from((*bit)?);
    }
    Some(match (value, url) {
        (62, false) => b'+',
        (63, false) => b'/',
        (62, true) => b'-',
        (63, true) => b'_',
        _ => alphabet[value],
    })
}

/// What percent-encoders leave beside letters and digits, and whether they write
/// a space as `+`.
fn percent(piece: &[u8], patterns: &mut BTreeSet<Vec<u8>>) {
    let all: Vec<u8> = (0..=255).collect();
    let with = |signs: &str| -> Vec<u8> {
        all.iter()
            .copied()
            .filter(|b| b.is_ascii_alphanumeric() || signs.as_bytes().contains(b))
            .collect()
    };
    let without = |signs: &str| -> Vec<u8> {
        all.iter().copied().filter(|b| !signs.as_bytes().contains(b)).collect()
    };
    let encoders = [
        (Vec::new(), false),
        (with("-._~"), true),
        (with("-._~/"), true),
        (with("-_.!~*'()"), true),
        (with("-_.!~*'();/?:@&=+$,#"), true),
        (with("-._~ \"<>\\^`{|}%"), true),
        (without(":/?#[]@!$&'()*+,;="), false),
        (without("%:/?#[]@!$&'()*+,;="), false),
    ];
    for (kept, may_plus) in encoders {
        for plus in [false, may_plus] {
            let mut lower = String::new();
            let mut upper = String::new();
            let mut bytes = [Vec::new(), Vec::new()];
            for byte in piece {
                lower.clear();
                upper.clear();
                let _ = write!(lower, "%{byte:02x}");
                let _ = write!(upper, "%{byte:02X}");
                for (at, escape) in [&lower, &upper].into_iter().enumerate() {
                    match *byte {
                        b' ' if plus => bytes[at].push(b'+'),
                        byte if kept.contains(&byte) => bytes[at].push(byte),
                        _ => bytes[at].extend_from_slice(escape.as_bytes()),
                    }
                }
            }
            patterns.extend(bytes);
        }
    }
}

/// As the usual writers of JSON escape a text: what they must, and of the rest
/// all but ASCII, what HTML minds, the slash, each or not.
fn json(text: &str, patterns: &mut BTreeSet<Vec<u8>>) {
    for ascii in [false, true] {
        for html in [false, true] {
            for slash in [false, true] {
                for upper in [false, true] {
                    let escapes = |one: char| {
                        one < ' '
                            || (ascii && one >= '\u{7f}')
                            || (html && "<>&\u{2028}\u{2029}".contains(one))
                    };
                    let mut out = String::new();
                    for one in text.chars() {
                        let short = "\"\\\n\r\t\u{8}\u{c}".find(one);
                        match short {
                            Some(at) => {
                                out.push('\\');
                                out.push(char::from(b"\"\\nrtbf"[at]));
                            }
                            None if one == '/' && slash => out.push_str("\\/"),
                            None if escapes(one) => out += &unicode(one, upper),
                            None => out.push(one),
                        }
                    }
                    patterns.insert(out.into_bytes());
                }
            }
        }
    }
}

fn unicode(one: char, upper: bool) -> String {
    let mut units = [0; 2];
    let units = one.encode_utf16(&mut units);
    let each = |unit: &u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
    units.iter().map(each).collect()
}

/// The same length, each bit another.
pub(super) fn flipped(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}
