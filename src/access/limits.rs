//! What a policy's text may be before Cedar sees it: its parser goes as deep as
//! the text does, and a text that is too deep would end the process.

use std::ops::Range;

/// The most bytes of a file.
pub(super) const FILE_BYTES: usize = 256 * 1024;
/// How deep brackets and `if` may go in one policy.
pub(super) const DEPTH: usize = 24;
/// The most signs (outside texts and comments) and `if`s of one policy.
pub(super) const SIGNS: usize = 1_000;

/// Why a text isn't given to the parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Excess {
    /// The file is over [`FILE_BYTES`].
    File,
    /// A policy is over [`DEPTH`] or [`SIGNS`] at this place.
    Policy(Range<usize>),
}

/// What a scan is inside of.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Code,
    Text,
    /// Inside a text, after a backslash.
    Escape,
    Comment,
}

/// The first place where a text is too much.
pub(super) fn check(text: &str) -> Result<(), Excess> {
    if text.len() > FILE_BYTES {
        return Err(Excess::File);
    }
    let mut inside = Inside::Code;
    let (mut brackets, mut ifs, mut signs) = (0_usize, 0_usize, 0_usize);
    let (mut word, mut before) = (0, '\n');
    for (at, c) in text.char_indices() {
        let was = inside;
        inside = match (was, c) {
            (Inside::Code, '"') => Inside::Text,
            (Inside::Code, '/') if before == '/' => Inside::Comment,
            (Inside::Text, '\\') => Inside::Escape,
            (Inside::Escape, _) => Inside::Text,
            (Inside::Text, '"') | (Inside::Comment, '\n' | '\r') => Inside::Code,
            (same, _) => same,
        };
        before = c;
        if was != Inside::Code && inside != Inside::Code {
            continue;
        }
        if c.is_alphanumeric() || c == '_' {
            continue;
        }
        // `if` nests without a bracket, so it counts until its policy ends.
        let is_if = text.get(word..at).is_some_and(|w| w == "if");
        word = at + c.len_utf8();
        match c {
            ';' => (brackets, ifs, signs) = (0, 0, 0),
            '(' | '[' | '{' => brackets += 1,
            ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        ifs += usize::from(is_if);
        signs += usize::from(is_if || !c.is_whitespace());
        if brackets + ifs > DEPTH || signs > SIGNS {
            return Err(Excess::Policy(at..at + c.len_utf8()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_ifs_are_counted_and_texts_and_comments_are_not() {
        let deep = DEPTH + 1;
        for (text, expected) in [
            ("(".repeat(DEPTH), true),
            ("(".repeat(deep), false),
            ("if x then ".repeat(deep), false),
            ("if(x) then ".repeat(deep), false),
            (format!("\"{}\"", "(".repeat(deep)), true),
            (format!("\"\\\"{}\"", "(".repeat(deep)), true),
            (format!("// {}\n", "(".repeat(deep)), true),
            ("if\"x\" then ".repeat(deep), false),
            (format!("// \r{}", "(".repeat(deep)), false),
            (format!("// \"\n{}", "(".repeat(deep)), false),
            ("();".repeat(1_000), true),
            ("!".repeat(SIGNS + 1), false),
            (" ".repeat(FILE_BYTES + 1), false),
        ] {
            assert_eq!(check(&text).is_ok(), expected, "{:?}", text.get(..20));
        }
    }
}
