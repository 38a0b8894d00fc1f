//! Text that is safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The most characters of a value in a table; longer ones are cut.
const MAX_SHOWN: usize = 240;

/// The text with control characters, and those that turn the direction of
/// writing, as `\u{…}`: a value must not move the cursor.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            letter if is_unsafe(letter) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(letter));
            }
            letter => safe.push(letter),
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Escaped, and cut where it is long.
pub(crate) fn cell(text: &str) -> String {
    let safe = escaped(text);
    if safe.chars().count() <= MAX_SHOWN {
        return safe.into_owned();
    }
    let mut cut: String = safe.chars().take(MAX_SHOWN).collect();
    cut.push('…');
    cut
}

/// Names in backticks, joined by commas.
pub(crate) fn ticked<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", escaped(name))).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(
            escaped("a\u{1b}[31m\r\nb\u{9b}\u{202e}"),
            "a\\u{1b}[31m\\r\\nb\\u{9b}\\u{202e}"
        );
        assert_eq!(escaped("grüße"), "grüße");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(cell(&"ä".repeat(500)).chars().count(), MAX_SHOWN + 1);
    }
}
