//! Globs of grants: `*` stands for any characters, `/` included, and there is
//! no other wildcard.

/// Whether the whole text fits the glob.
pub fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The earliest place leaves the most for what follows.
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_is_the_only_wildcard() {
        assert!(matches("*", ""));
        assert!(matches("secret/ml/*", "secret/ml/dev/db"));
        assert!(!matches("secret/ml/*", "secret/mlx"));
        assert!(matches("*.json", "a/b.json"));
        assert!(matches("a*b*c", "axbxbc"));
        assert!(!matches("a*a", "a"));
        assert!(!matches("a?c", "abc"));
        assert!(!matches("", "a"));
        assert!(matches("", ""));
    }

    /// The definition, word by word.
    fn oracle(glob: &[u8], text: &[u8]) -> bool {
        match glob {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|skip| oracle(rest, &text[skip..])),
            [byte, rest @ ..] => text.first() == Some(byte) && oracle(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_plain_definition(glob in "[ab*]{0,6}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&glob, &text), oracle(glob.as_bytes(), text.as_bytes()));
        }
    }
}
