//! What of a secret is looked for, and in which forms a program may write it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value as Json;

use super::is_maskable;

/// How many bytes of encoded forms are kept at most: an automaton needs some
/// fifty times as much memory.
const ENCODED_BUDGET: usize = 512 << 10;

/// What a percent-encoder leaves as it is, besides letters and digits.
const KEPT: [&[u8]; 5] =
    [b"-._~", b"-._~/", b"-_.!~*'()", b"-_.!~*'();/?:@&=+$,#", b"-._~ \"<>\\^`{|}%"];
/// The reserved characters of a URL.
const RESERVED: &[u8] = b":/?#[]@!$&'()*+,;=";

/// All that is looked for: every piece as it is, and its encoded forms, those
/// of short pieces first, as long as the budget lasts.
pub(super) fn patterns<'a>(secrets: impl Iterator<Item = &'a [u8]>) -> BTreeSet<Vec<u8>> {
    let mut pieces = BTreeSet::new();
    secrets.for_each(|secret| collect(secret, &mut pieces));
    let mut by_length: Vec<&Vec<u8>> = pieces.iter().collect();
    by_length.sort_by_key(|piece| piece.len());
    let mut encoded = BTreeSet::new();
    let mut spent = 0_usize;
    for piece in by_length {
        let forms = encoded_forms(piece, ENCODED_BUDGET.saturating_sub(spent));
        spent = spent.saturating_add(forms.iter().map(Vec::len).sum());
        encoded.extend(forms);
    }
    pieces.extend(encoded);
    pieces
}

/// The secret, its lines and the leaves of its JSON, as far as they are long
/// enough.
fn collect(secret: &[u8], pieces: &mut BTreeSet<Vec<u8>>) {
    if !is_maskable(secret) {
        return;
    }
    add_lines(secret, pieces);
    if let Some(tree) = json(secret) {
        each_leaf(&tree, |leaf| add_lines(leaf, pieces));
    }
}

/// Whether a line of a secret, or of a leaf of a JSON one, is too short to be
/// looked for. The lines of JSON itself aren't secret, its leaves are; in bytes
/// that aren't text, a line's end is one by chance.
pub(super) fn has_short_piece(secret: &[u8]) -> bool {
    if std::str::from_utf8(secret).is_err() {
        return false;
    }
    let short = |text: &[u8]| lines(text).any(|line| !line.is_empty() && !is_maskable(line));
    let Some(tree) = json(secret) else { return short(secret) };
    let mut found = false;
    each_leaf(&tree, |leaf| found |= short(leaf));
    found
}

fn json(secret: &[u8]) -> Option<Json> {
    serde_json::from_slice(secret)
        .ok()
        .filter(|tree| matches!(tree, Json::Object(_) | Json::Array(_) | Json::String(_)))
}

/// Gives each text and number in a tree.
fn each_leaf(tree: &Json, mut take: impl FnMut(&[u8])) {
    let mut rest = vec![tree];
    while let Some(value) = rest.pop() {
        match value {
            Json::Object(fields) => rest.extend(fields.values()),
            Json::Array(items) => rest.extend(items),
            Json::String(text) => take(text.as_bytes()),
            Json::Number(number) => take(number.to_string().as_bytes()),
            Json::Null | Json::Bool(_) => {}
        }
    }
}

/// Without the spaces around each.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii)
}

fn add_lines(text: &[u8], pieces: &mut BTreeSet<Vec<u8>>) {
    pieces.extend(lines(text).chain([text]).filter(|one| is_maskable(one)).map(<[u8]>::to_vec));
}

/// The encoded forms of a piece; none where it is too long for them.
fn encoded_forms(piece: &[u8], budget: usize) -> BTreeSet<Vec<u8>> {
    // Some twenty times its length is what the forms of usual secrets take.
    if piece.len().saturating_mul(20) > budget {
        return BTreeSet::new();
    }
    let mut forms = BTreeSet::new();
    forms.extend([hex::encode(piece).into_bytes(), hex::encode_upper(piece).into_bytes()]);
    for engine in [&STANDARD, &URL_SAFE] {
        forms.extend((0..3).map(|before| base64_core(engine, piece, before)));
        forms.insert(engine.encode(piece).into_bytes());
    }
    for upper in [false, true] {
        forms.insert(percent(piece, upper, false, |_| false));
        for kept in KEPT {
            let keeps = |byte: u8| byte.is_ascii_alphanumeric() || kept.contains(&byte);
            forms.insert(percent(piece, upper, false, keeps));
            forms.insert(percent(piece, upper, true, keeps));
        }
        forms.insert(percent(piece, upper, false, |byte| !RESERVED.contains(&byte)));
        forms
            .insert(percent(piece, upper, false, |byte| byte != b'%' && !RESERVED.contains(&byte)));
        if let Ok(text) = std::str::from_utf8(piece) {
            let choices = (0_u8..8).map(|bits| (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0));
            forms.extend(choices.map(|(ascii, html, slash)| {
                let style = JsonStyle { ascii, html, slash, upper };
                style.escaped(text).into_bytes()
            }));
        }
    }
    forms
}

/// The characters of the base64 that the secret alone decides, where `before`
/// bytes stand before it in its first group of three.
fn base64_core(engine: &base64::engine::GeneralPurpose, secret: &[u8], before: usize) -> Vec<u8> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret);
    let first = (before * 8).div_ceil(6);
    let after = bytes.len() * 8 / 6;
    let encoded = engine.encode(bytes).into_bytes();
    encoded.get(first..after).unwrap_or_default().to_vec()
}

fn percent(secret: &[u8], upper: bool, plus: bool, keeps: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(secret.len());
    for &byte in secret {
        match byte {
            b' ' if plus => text.push(b'+'),
            byte if keeps(byte) => text.push(byte),
            byte if upper => text.extend(format!("%{byte:02X}").into_bytes()),
            byte => text.extend(format!("%{byte:02x}").into_bytes()),
        }
    }
    text
}

/// How a JSON writer escapes what it needn't.
struct JsonStyle {
    /// All but ASCII, as Python does.
    ascii: bool,
    /// What HTML minds, as Go does.
    html: bool,
    /// The slash, as PHP does.
    slash: bool,
    /// Hex digits in upper case.
    upper: bool,
}

impl JsonStyle {
    fn escaped(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for one in text.chars() {
            match one {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '/' if self.slash => out.push_str("\\/"),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if self.html => {
                    self.unicode(one, &mut out)
                }
                '\0'..='\u{1f}' => self.unicode(one, &mut out),
                '\u{7f}'.. if self.ascii => self.unicode(one, &mut out),
                one => out.push(one),
            }
        }
        out
    }

    fn unicode(&self, one: char, out: &mut String) {
        for unit in one.encode_utf16(&mut [0; 2]) {
            let digits =
                if self.upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
            out.push_str(&digits);
        }
    }
}
