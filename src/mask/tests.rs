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
    assert!(!can_mask(&short) && !can_mask(&padded) && can_mask(&long));
    let secrets = SecretSet::new([&short, &padded, &long]);
    assert_eq!(masked(&secrets, &[b"1234567 12345678\n"]), b"1234567 [REDACTED]\n");
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
}
