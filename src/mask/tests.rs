use proptest::prelude::*;

use super::*;

fn set(patterns: &[&[u8]]) -> SecretSet {
    SecretSet::build(patterns.iter().copied())
}

fn masked(secrets: &SecretSet, writes: &[&[u8]]) -> Vec<u8> {
    let mut masker = Masker::new(secrets.clone());
    let mut shown = Vec::new();
    writes.iter().for_each(|bytes| masker.push(bytes, &mut shown));
    masker.finish(&mut shown);
    shown
}

/// Marks the bytes of every occurrence by trying every place.
fn oracle(patterns: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
    let mut hidden = vec![false; text.len()];
    for pattern in patterns {
        for start in 0..text.len() {
            if text[start..].starts_with(pattern) {
                hidden[start..start + pattern.len()].fill(true);
            }
        }
    }
    let mut shown = Vec::new();
    for (index, &byte) in text.iter().enumerate() {
        match hidden[index] {
            true if index == 0 || !hidden[index - 1] => shown.extend_from_slice(REPLACEMENT),
            true => {}
            false => shown.push(byte),
        }
    }
    shown
}

#[test]
fn a_secret_split_over_writes_is_masked() {
    let secrets = set(&[b"correct-horse"]);
    let writes: [&[u8]; 3] = [b"pw=corr", b"ect-ho", b"rse!\n"];
    assert_eq!(masked(&secrets, &writes), b"pw=[REDACTED]!\n");
}

#[test]
fn of_two_secrets_where_one_begins_the_other_nothing_stays_readable() {
    let secrets = set(&[b"password", b"password-2026"]);
    assert_eq!(masked(&secrets, &[b"a password-2026 b"]), b"a [REDACTED] b");
    assert_eq!(masked(&secrets, &[b"a password-20 b"]), b"a [REDACTED]-20 b");
}

#[test]
fn overlapping_secrets_become_one_mark() {
    let secrets = set(&[b"abcdefgh", b"efghijkl"]);
    assert_eq!(masked(&secrets, &[b"<abcdefghijkl>"]), b"<[REDACTED]>");
}

#[test]
fn a_prompt_appears_at_once() {
    let mut masker = Masker::new(set(&[b"hunter2hunter2"]));
    let mut shown = Vec::new();
    masker.push(b"Password: ", &mut shown);
    assert_eq!(shown, b"Password: ");
    masker.push(b"oh h", &mut shown);
    assert_eq!(shown, b"Password: oh ", "only what could begin a secret waits");
    masker.push(b"i", &mut shown);
    assert_eq!(shown, b"Password: oh hi");
    masker.push(b"hunter2hunter2", &mut shown);
    assert_eq!(shown, b"Password: oh hi[REDACTED]", "a whole secret waits for nothing");
}

#[test]
fn short_secrets_are_left_out_and_line_ends_are_not_part_of_one() {
    let short = SecretBytes::new(b"1234567".to_vec());
    let padded = SecretBytes::new(b"1234567\n\n".to_vec());
    let long = SecretBytes::new(b"12345678\r\n".to_vec());
    assert_eq!(
        [&short, &padded, &long].map(coverage),
        [Coverage::Nothing, Coverage::Nothing, Coverage::Whole]
    );
    let secrets = SecretSet::new([&short, &padded, &long]);
    assert_eq!(masked(&secrets, &[b"1234567 12345678\n"]), b"1234567 [REDACTED]\n");
}

#[test]
fn a_line_or_leaf_that_is_too_short_is_known() {
    let of = |text: &str| coverage(&SecretBytes::new(text.into()));
    for (text, found) in [
        ("", Coverage::Whole),
        ("\n", Coverage::Whole),
        ("1234567", Coverage::Nothing),
        ("12345678", Coverage::Whole),
        ("a-first-line\n\nanother-line\n", Coverage::Whole),
        ("a-first-line\nshort\nanother-line\n", Coverage::InPart),
        ("short      ", Coverage::InPart),
        (r#"{"user": "long-enough", "flag": true, "none": null}"#, Coverage::Whole),
        (r#"{"user": "long-enough", "port": 5432}"#, Coverage::InPart),
        (r#"["long-enough", ["abc"]]"#, Coverage::InPart),
        ("{\n  \"key\": \"long-enough\"\n}\n", Coverage::Whole),
        (r#""a-json-text\nabc""#, Coverage::InPart),
    ] {
        assert_eq!(of(text), found, "{text:?}");
    }
    let binary = SecretBytes::new(b"\xff-a-key-of-bytes\n\x80ab".to_vec());
    assert_eq!(coverage(&binary), Coverage::Whole);
}

#[test]
fn no_secrets_change_nothing() {
    assert_eq!(masked(&set(&[]), &[b"as", b" it is"]), b"as it is");
}

#[test]
fn debug_shows_no_secret() {
    let masker = Masker::new(set(&[b"hunter2hunter2"]));
    assert!(!format!("{masker:?}").contains("hunter2"));
}

fn secrets(secrets: &[&[u8]]) -> SecretSet {
    let secrets: Vec<_> = secrets.iter().map(|one| SecretBytes::new(one.to_vec())).collect();
    SecretSet::new(&secrets)
}

#[test]
fn lines_and_leaves_are_secrets_too() {
    let set = secrets(&[
        b"first-line\r\n  second-line\nx\n",
        br#"{"a": ["leaf\nof-two-lines", 1234567890]}"#,
    ]);
    let text = b"first-line, second-line x of-two-lines 1234567890 leaf";
    let shown = "[REDACTED], [REDACTED] x [REDACTED] [REDACTED] leaf";
    assert_eq!(String::from_utf8(masked(&set, &[text])).unwrap(), shown);
}

#[test]
fn well_known_writers_are_known() {
    let set = secrets(&["pä\"ss/w<rd \u{1F600}+%".as_bytes()]);
    for form in [
        r#"p\u00e4\"ss/w<rd \ud83d\ude00+%"#,
        r#"p\u00E4\"ss\/w<rd \uD83D\uDE00+%"#,
        "pä\\\"ss/w\\u003crd \u{1F600}+%",
        "p%C3%A4%22ss%2Fw%3Crd%20%F0%9F%98%80%2B%25",
        "p%c3%a4%22ss%2fw%3crd+%f0%9f%98%80%2b%25",
        "p%C3%A4%22ss/w%3Crd%20%F0%9F%98%80%2B%25",
        "pä\"ss%2Fw<rd \u{1F600}%2B%25",
        "70c3a42273732f773c726420f09f98802b25",
        "70C3A42273732F773C726420F09F98802B25",
        "cMOkInNzL3c8cmQg8J+YgCsl",
        "cMOkInNzL3c8cmQg8J-YgCsl",
    ] {
        let text = format!("<{form}>");
        let shown = masked(&set, &[text.as_bytes()]);
        assert_eq!(String::from_utf8(shown).unwrap(), "<[REDACTED]>", "{form}");
    }
}

#[test]
fn a_very_long_secret_is_masked_as_it_is_and_short_ones_stay_masked_in_all_forms() {
    let long: Vec<u8> =
        (0..100_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
    let set = secrets(&[&long, b"short-one"]);
    assert_eq!(masked(&set, &[&long, b" c2hvcnQtb25l"]), b"[REDACTED] [REDACTED]");
}

fn letters(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_split_gives_what_the_oracle_gives(
        patterns in prop::collection::vec(letters(1..7), 0..5),
        writes in prop::collection::vec(letters(0..12), 0..12),
    ) {
        let secrets = SecretSet::build(patterns.iter().map(Vec::as_slice));
        let slices: Vec<&[u8]> = writes.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(masked(&secrets, &slices), oracle(&patterns, &writes.concat()));
    }

    #[test]
    fn what_is_held_back_could_begin_a_secret(
        patterns in prop::collection::vec(letters(1..7), 1..4),
        text in letters(0..24),
    ) {
        let mut masker = Masker::new(SecretSet::build(patterns.iter().map(Vec::as_slice)));
        masker.push(&text, &mut Vec::new());
        let held: Vec<u8> = masker.held.iter().map(|(byte, _)| *byte).collect();
        let fits = patterns.iter().any(|p| p.len() > held.len() && p.starts_with(&held));
        prop_assert!(held.is_empty() || fits);
    }

    #[test]
    fn no_promised_form_of_a_secret_survives(
        secret in prop::collection::vec(prop::sample::select(b"aZ09-_+/%\"\\ <\xc3\xff\x01".to_vec()), 8..40),
        before in prop::collection::vec(any::<u8>(), 0..7),
        after in prop::collection::vec(any::<u8>(), 0..7),
        writes in prop::collection::vec(1_usize..9, 1..40),
    ) {
        let set = secrets(&[&secret]);
        for form in naive_forms(&secret, &before, &after) {
            let text = [before.as_slice(), &form.text, &after].concat();
            let mut masker = Masker::new(set.clone());
            let (mut shown, mut rest) = (Vec::new(), text.as_slice());
            for length in writes.iter().cycle() {
                let (now, later) = rest.split_at((*length).min(rest.len()));
                masker.push(now, &mut shown);
                rest = later;
                if rest.is_empty() { break }
            }
            masker.finish(&mut shown);
            prop_assert!(!shown.windows(form.secret.len()).any(|at| at == form.secret));
            prop_assert!(shown.windows(REPLACEMENT.len()).any(|at| at == REPLACEMENT));
        }
    }

    #[test]
    fn clean_text_is_unchanged_to_the_byte(
        secret in prop::collection::vec(prop::sample::select(b"abAB+/ ".to_vec()), 8..20),
        text in prop::collection::vec(prop::sample::select(b"abAB+/ %246=\\".to_vec()), 0..80),
        keep in 0_usize..8,
        cut in 0_usize..80,
    ) {
        // Even the first bytes of a secret are clean as long as it isn't whole.
        let text = [&text, secret.get(..keep).unwrap()].concat();
        let patterns = forms::patterns(std::iter::once(secret.as_slice()));
        prop_assume!(!patterns.iter().any(|one| text.windows(one.len()).any(|at| at == one)));
        let (first, second) = text.split_at(cut.min(text.len()));
        prop_assert_eq!(masked(&secrets(&[&secret]), &[first, second]), text);
    }
}

/// A text with a secret in it, and what of the text tells the secret.
struct Form {
    text: Vec<u8>,
    secret: Vec<u8>,
}

/// The forms, made in another way than the mask makes them.
fn naive_forms(secret: &[u8], before: &[u8], after: &[u8]) -> Vec<Form> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    let whole = |text: String| Form { secret: text.clone().into_bytes(), text: text.into_bytes() };
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = secret.iter().map(|byte| format!("%{byte:02x}")).collect();
    let reserved = percent_encoding::percent_encode(secret, percent_encoding::NON_ALPHANUMERIC);
    let reserved = ["-", "_"].iter().fold(reserved.to_string(), |text, kept| {
        text.replace(&format!("%{:02X}", kept.as_bytes()[0]), kept)
    });
    let mut forms = vec![
        Form { text: secret.to_vec(), secret: secret.to_vec() },
        whole(hex.to_uppercase()),
        whole(hex),
        whole(percent.to_uppercase()),
        whole(percent),
        whole(reserved),
    ];
    if let Ok(text) = std::str::from_utf8(secret) {
        let quoted = serde_json::to_string(text).unwrap();
        let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        forms.push(whole(inner.unwrap().to_owned()));
    }
    // What stays the same whatever bits stand around it is the secret's.
    let flipped = |bytes: &[u8]| bytes.iter().map(|byte| !byte).collect::<Vec<u8>>();
    for engine in [STANDARD, URL_SAFE] {
        let text = engine.encode([before, secret, after].concat()).into_bytes();
        let other =
            engine.encode([&flipped(before), secret, &flipped(after)].concat()).into_bytes();
        let same = text.iter().zip(&other).filter(|(a, b)| a == b && **a != b'=');
        let secret = same.map(|(a, _)| *a).collect();
        forms.push(Form { text, secret });
    }
    forms
}
