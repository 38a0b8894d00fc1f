//! The masker against a naive oracle: streams with secrets in every promised
//! form, cut anywhere.

mod forms;

use paramd::mask::{Masker, REPLACEMENT, SecretSet};
use paramd::secret::SecretBytes;

use crate::cases::{Outcome, run};
use crate::draw::Draw;
use forms::{base64, flipped, patterns};

/// How many streams share one set of secrets: making the set takes the time.
const STREAMS: u64 = 40;

#[test]
fn no_secret_in_a_promised_form_survives_and_all_else_stays() {
    run("masker", 10_000, 4_096, check);
}

/// Masks the streams of a case, and compares each with the oracle's.
pub(crate) fn check(bytes: &[u8]) -> Outcome {
    let mut draw = Draw::new(bytes);
    let secrets = secrets(&mut draw);
    let held: Vec<_> = secrets.iter().map(|one| SecretBytes::new(one.clone())).collect();
    let set = SecretSet::new(&held);
    let patterns: Vec<Vec<u8>> = patterns(&secrets).into_iter().collect();
    for _ in 0..STREAMS {
        let text = stream(&mut draw, &secrets, &patterns);
        let cuts = cuts(&mut draw, text.len());
        let shown = masked(&set, &text, &cuts);
        let hidden = hidden(&patterns, &text);
        let expected = replaced(&text, &hidden);
        if shown != expected {
            return Err(told(&secrets, &text, &cuts, &expected, &shown));
        }
        if let Some(survivor) = survivor(&patterns, &shown) {
            return Err(format!(
                "`{}` survives\n{}",
                survivor.escape_ascii(),
                told(&secrets, &text, &cuts, &expected, &shown)
            ));
        }
    }
    Ok(STREAMS)
}

fn told(secrets: &[Vec<u8>], text: &[u8], cuts: &[usize], expected: &[u8], shown: &[u8]) -> String {
    let secrets: Vec<String> = secrets.iter().map(|one| one.escape_ascii().to_string()).collect();
    format!(
        "secrets:  {secrets:?}\nstream:   {}\ncut at:   {cuts:?}\nexpected: {}\nshown:    {}",
        text.escape_ascii(),
        expected.escape_ascii(),
        shown.escape_ascii(),
    )
}

fn masked(set: &SecretSet, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut masker = Masker::new(set.clone());
    let (mut shown, mut from) = (Vec::new(), 0);
    for &to in cuts.iter().chain([&text.len()]) {
        masker.push(&text[from..to], &mut shown);
        from = to;
    }
    masker.finish(&mut shown);
    shown
}

/// Which bytes lie in an occurrence of a pattern: every pattern at every place.
fn hidden(patterns: &[Vec<u8>], text: &[u8]) -> Vec<bool> {
    let mut hidden = vec![false; text.len()];
    for pattern in patterns {
        for (start, byte) in text.iter().enumerate() {
            if *byte == pattern[0] && text[start..].starts_with(pattern) {
                hidden[start..start + pattern.len()].fill(true);
            }
        }
    }
    hidden
}

fn replaced(text: &[u8], hidden: &[bool]) -> Vec<u8> {
    let mut shown = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        match hidden[at] {
            true if at == 0 || !hidden[at - 1] => shown.extend_from_slice(REPLACEMENT),
            true => {}
            false => shown.push(*byte),
        }
    }
    shown
}

/// A pattern that can be read in what is shown. The mark stands for nothing:
/// what is around it doesn't belong together, and a secret may spell it.
fn survivor<'p>(patterns: &'p [Vec<u8>], shown: &[u8]) -> Option<&'p [u8]> {
    let mut rest = shown;
    loop {
        let end = rest.windows(REPLACEMENT.len()).position(|at| at == REPLACEMENT);
        let part = &rest[..end.unwrap_or(rest.len())];
        let at =
            |one: &Vec<u8>, start: usize| part[start] == one[0] && part[start..].starts_with(one);
        let found = patterns.iter().find(|one| (0..part.len()).any(|start| at(one, start)));
        if found.is_some() || end.is_none() {
            return found.map(Vec::as_slice);
        }
        rest = &rest[part.len() + REPLACEMENT.len()..];
    }
}

/// Secrets that look alike: prefixes, overlaps and repetitions of each other.
fn secrets(draw: &mut Draw<'_>) -> Vec<Vec<u8>> {
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for _ in 0..draw.within(1, 4) {
        let secret = match (draw.below(10), secrets.is_empty()) {
            (0, false) => {
                let whole = draw.pick(&secrets).clone();
                whole[..draw.within(0, whole.len())].to_vec()
            }
            (1, false) => {
                let mut longer = draw.pick(&secrets).clone();
                longer.extend(plain(draw, 12));
                longer
            }
            (2, false) => {
                let whole = draw.pick(&secrets).clone();
                let mut overlapping = whole[draw.within(0, whole.len())..].to_vec();
                overlapping.extend(plain(draw, 10));
                overlapping
            }
            (3, _) => {
                let part = plain(draw, 4);
                part.iter().cycle().take(part.len() * 5).copied().collect()
            }
            (4, _) => {
                let ends = [&b"\n"[..], b"\r\n", b"\n\n", b" \n\t"];
                let mut lines = Vec::new();
                for _ in 0..draw.within(1, 3) {
                    lines.extend(plain(draw, 14));
                    lines.extend(draw.pick(&ends).iter());
                }
                lines
            }
            (5, _) => document(draw),
            (6, _) => (0..draw.within(0, 20)).map(|_| draw.byte()).collect(),
            _ => plain(draw, 24),
        };
        secrets.push(secret);
    }
    secrets
}

/// A text with what encoders mind in it.
fn plain(draw: &mut Draw<'_>, most: usize) -> Vec<u8> {
    let signs = [
        "a",
        "b",
        "Z",
        "9",
        "+",
        "/",
        "%",
        "\"",
        "\\",
        " ",
        "<",
        "&",
        "ä",
        "\u{1f600}",
        "-",
        "_",
        "~",
        "'",
        "\u{1}",
        "=",
        "[",
        "R",
    ];
    let few = &signs[..if draw.chance(40) { 3 } else { signs.len() }];
    let length = draw.within(most.min(8), most);
    (0..length).flat_map(|_| draw.pick(few).bytes()).collect()
}

/// A JSON document with texts and numbers in it.
fn document(draw: &mut Draw<'_>) -> Vec<u8> {
    let mut leaf = || match draw.below(4) {
        0 => serde_json::Value::from(12_345_670_u64 + draw.byte() as u64),
        _ => String::from_utf8(plain(draw, 12)).unwrap().into(),
    };
    let tree = serde_json::json!({ "user": leaf(), "nested": [leaf(), { "deep": leaf() }, true] });
    serde_json::to_vec(&tree).unwrap()
}

/// Text in which secrets stand whole, in part, one in the other and encoded
/// together with what is around them.
fn stream(draw: &mut Draw<'_>, secrets: &[Vec<u8>], patterns: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..draw.within(1, 6) {
        match draw.below(8) {
            0 => text.extend(plain(draw, 10)),
            1 => text.extend(draw.pick(secrets).iter()),
            2 | 3 if !patterns.is_empty() => text.extend(draw.pick(patterns).iter()),
            4 if !patterns.is_empty() => {
                let pattern = draw.pick(patterns);
                text.extend_from_slice(&pattern[..draw.within(0, pattern.len())]);
            }
            5 if !patterns.is_empty() => {
                let pattern = draw.pick(patterns);
                text.extend_from_slice(&pattern[draw.within(0, pattern.len())..]);
            }
            6 => {
                let before: Vec<u8> = (0..draw.below(5)).map(|_| draw.byte()).collect();
                let after = plain(draw, 3);
                let whole = [&before, draw.pick(secrets).as_slice(), &after].concat();
                text.extend(base64(&whole, draw.chance(50)));
            }
            _ => text.extend_from_slice(&REPLACEMENT[..draw.below(REPLACEMENT.len() + 1)]),
        }
    }
    text
}

/// Where the stream's writes end: anywhere, some of them empty.
fn cuts(draw: &mut Draw<'_>, length: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = match draw.below(4) {
        0 => Vec::new(),
        1 => (0..=length).collect(),
        _ => (0..draw.below(8)).map(|_| draw.below(length + 1)).collect(),
    };
    cuts.sort_unstable();
    cuts
}

/// What an encoder of another make writes is found by the oracle too: the
/// oracle's own forms aren't just the masker's copied.
#[test]
fn the_oracle_knows_what_other_encoders_write() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    let secret = "pä\"ss/w<rd \u{1F600}+%".as_bytes();
    let patterns = patterns(&[secret.to_vec()]);
    let text = std::str::from_utf8(secret).unwrap();
    let json = serde_json::to_string(text).unwrap();
    for form in [
        hex::encode(secret),
        STANDARD.encode(secret),
        URL_SAFE.encode(secret),
        percent_encoding::percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
        json[1..json.len() - 1].to_owned(),
    ] {
        assert!(patterns.contains(form.as_bytes()), "{form}");
    }
    for before in 0..3 {
        let whole = [&[0_u8; 3][..before], secret, b"xyz"].concat();
        let other = [&[255_u8; 3][..before], secret, &flipped(b"xyz")].concat();
        let (whole, other) = (STANDARD.encode(whole), STANDARD.encode(other));
        let pairs = whole.bytes().zip(other.bytes());
        let core: Vec<u8> = pairs.filter(|(a, b)| a == b && *a != b'=').map(|(a, _)| a).collect();
        assert!(patterns.contains(&core), "{before}: {}", core.escape_ascii());
    }
}
