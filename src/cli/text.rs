//! Text that is safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::ErrorKind;

use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::value::shown::is_unsafe;

/// The most columns of a value in a table; longer ones are cut.
const MAX_SHOWN: usize = 240;
/// The most marks on one letter: more would reach into other lines.
const MAX_MARKS: usize = 4;

/// The text with all that could move the cursor, turn the direction of writing
/// or not be seen as `\u{…}`.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_control()) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    // A mark at the start would go to what stands before the text.
    let mut marks = MAX_MARKS;
    for letter in text.chars() {
        marks = if is_combining_mark(letter) { marks + 1 } else { 0 };
        match letter {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            letter if is_unsafe(letter) || marks > MAX_MARKS => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(letter));
            }
            letter => safe.push(letter),
        }
    }
    Cow::Owned(safe)
}

/// How many columns of a terminal a text takes that is escaped.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// What a reader takes for the letters of a text; each stays whole.
pub(crate) fn letters(text: &str) -> impl Iterator<Item = &str> {
    text.graphemes(true)
}

/// Escaped, and cut where it is long.
pub(crate) fn cell(text: &str) -> String {
    cut(escaped(text).into_owned(), MAX_SHOWN)
}

/// At most so many columns of an escaped text, and a sign that there is more.
pub(crate) fn cut(text: String, most: usize) -> String {
    if columns(&text) <= most {
        return text;
    }
    let mut short = String::new();
    let mut room = most.saturating_sub(1);
    for letter in letters(&text) {
        let Some(left) = room.checked_sub(columns(letter)) else { break };
        room = left;
        short.push_str(letter);
    }
    short + "…"
}

/// Why something can't be read or written, in our words.
pub(crate) fn why(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::NotFound => "it isn't there".to_owned(),
        ErrorKind::PermissionDenied => "this user may not".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::InvalidData => "it isn't UTF-8".to_owned(),
        kind => kind.to_string(),
    }
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
    fn marks_do_not_pile_up_or_go_to_what_stands_before() {
        assert_eq!(escaped("e\u{301}"), "e\u{301}");
        assert_eq!(escaped("\u{301}e"), "\\u{301}e");
        let pile = escaped(&format!("e{}", "\u{301}".repeat(6))).into_owned();
        assert_eq!(pile, format!("e{}\\u{{301}}\\u{{301}}", "\u{301}".repeat(4)));
    }

    #[test]
    fn a_cause_is_told_in_our_words() {
        assert_eq!(why(ErrorKind::NotFound), "it isn't there");
        assert_eq!(why(ErrorKind::BrokenPipe), "broken pipe");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(columns(&cell(&"ä".repeat(500))), MAX_SHOWN);
        assert_eq!(columns(&cell(&"中".repeat(500))), MAX_SHOWN - 1, "none is halved");
        assert_eq!(cut("äää".into(), 3), "äää");
        assert_eq!(cut("ääää".into(), 3), "ää…");
        assert_eq!(cut("e\u{301}e\u{301}e".into(), 2), "e\u{301}…");
    }
}
