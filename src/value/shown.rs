//! Which characters of a text that others wrote may reach a terminal.

use unicode_normalization::char::is_combining_mark;
use unicode_width::UnicodeWidthChar as _;

/// Whether a character could move a terminal's cursor, turn the direction of
/// writing, or not be seen at all: such a one is shown by its number or not.
pub fn is_unsafe(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    let breaks = matches!(character, '\u{2028}'..='\u{202e}' | '\u{fff9}'..='\u{fffb}');
    character.is_control() || breaks || is_unseen(character)
}

/// Marks and the parts of Korean syllables join what is before them; all else
/// without a width is invisible. A soft hyphen is where it pleases a terminal, and
/// one filler of Korean has a width and nothing in it.
fn is_unseen(character: char) -> bool {
    let joins = is_combining_mark(character)
        || matches!(character, '\u{1161}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7ff}');
    matches!(character, '\u{ad}' | '\u{115f}') || (character.width() == Some(0) && !joins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_or_is_not_seen_is_unsafe() {
        for unsafe_one in [
            '\0',
            '\n',
            '\u{7f}',
            '\u{1b}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{200f}',
            '\u{2028}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{206f}',
            '\u{3164}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{e0041}',
        ] {
            assert!(is_unsafe(unsafe_one), "{:x}", u32::from(unsafe_one));
        }
    }

    #[test]
    fn what_people_write_is_safe() {
        for letter in
            "aß …→\u{a0}中한\u{1112}\u{1161}\u{11ab}e\u{301}🎉\u{fe0f}👍\u{1f3fd}กำعربي\u{940}"
                .chars()
        {
            assert!(!is_unsafe(letter), "{letter:?}");
        }
    }
}
