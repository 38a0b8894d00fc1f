//! What of a step's output reaches a terminal that also shows live lines:
//! text and its colours, and nothing that moves the cursor elsewhere, changes
//! the terminal's modes, or lets one step's colours run into other lines.

use anstyle_parse::{Params, Parser, Perform};

/// Leaves any escape sequence; itself it does nothing.
const CANCEL: u8 = 0x18;
/// An escape sequence that is longer is none: it would hide all that follows.
const MAX_SEQUENCE: usize = 4096;
/// The most bytes of colours that are kept for a step's next line.
const MAX_STYLE: usize = 256;
const RESET: &str = "\u{1b}[0m";

/// One stream of one step.
#[derive(Default)]
pub(super) struct Filter {
    parser: Parser,
    /// The begin of a character that isn't written whole yet.
    begun: Vec<u8>,
    text: Text,
}

impl Filter {
    /// Takes the next bytes; what comes out leaves the terminal without colours.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let whole = self.begun.len() - unfinished(&self.begun);
        let rest = self.begun.split_off(whole);
        let text = std::mem::replace(&mut self.begun, rest);
        for &byte in String::from_utf8_lossy(&text).as_bytes() {
            self.text.silent += 1;
            if byte == b'\n' || self.text.silent > MAX_SEQUENCE {
                self.parser.advance(&mut self.text, CANCEL);
            }
            self.parser.advance(&mut self.text, byte);
        }
        self.text.plain();
        std::mem::take(&mut self.text.shown)
    }
}

/// How many bytes at the end begin a character that isn't whole.
fn unfinished(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => 0,
        // Elsewhere than at the end, an error is one for good.
        Err(_) => match bytes.utf8_chunks().last().map(|chunk| chunk.invalid()) {
            Some(end)
                if std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none()) =>
            {
                end.len()
            }
            _ => 0,
        },
    }
}

#[derive(Default)]
struct Text {
    shown: String,
    /// The colours that the step chose, to be chosen again on its next line.
    style: String,
    /// Whether the terminal has these colours now.
    styled: bool,
    /// How many bytes came since anything was understood.
    silent: usize,
}

impl Text {
    /// Back to the terminal's own colours.
    fn plain(&mut self) {
        if std::mem::take(&mut self.styled) {
            self.shown.push_str(RESET);
        }
    }

    fn choose(&mut self, sequence: &str) {
        self.plain();
        if sequence.is_empty() || self.style.len() + sequence.len() > MAX_STYLE {
            self.style.clear();
        }
        self.style.push_str(sequence);
    }
}

impl Perform for Text {
    fn print(&mut self, letter: char) {
        self.silent = 0;
        // A control character of eight bits is one in UTF-8 too.
        if letter.is_control() {
            return;
        }
        if !self.style.is_empty() && !self.styled {
            self.shown.push_str(&self.style);
            self.styled = true;
        }
        self.shown.push(letter);
    }

    fn execute(&mut self, byte: u8) {
        self.silent = 0;
        match byte {
            b'\n' => {
                self.plain();
                self.shown.push('\n');
            }
            b'\r' | b'\t' | 8 => self.shown.push(char::from(byte)),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        self.silent = 0;
        if ignore || !intermediates.is_empty() {
            return;
        }
        let numbers: Vec<String> = params
            .iter()
            .map(|one| one.iter().map(u16::to_string).collect::<Vec<_>>().join(":"))
            .collect();
        let numbers = numbers.join(";");
        match action {
            b'm' if matches!(numbers.as_str(), "" | "0") => self.choose(""),
            b'm' => self.choose(&format!("\u{1b}[{numbers}m")),
            // A program's own progress clears its line.
            b'K' if matches!(numbers.as_str(), "" | "0" | "1" | "2") => {
                self.shown.push_str(&format!("\u{1b}[{numbers}K"));
            }
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, _: &[u8], _: bool, _: u8) {
        self.silent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(bytes: &[u8]) -> String {
        let whole = Filter::default().push(bytes);
        // However the writes are cut.
        let mut filter = Filter::default();
        let parts: String = bytes.chunks(1).map(|byte| filter.push(byte)).collect();
        assert_eq!(bare(&parts), bare(&whole), "by bytes");
        whole
    }

    /// Without colours, which a cut between letters sets anew.
    fn bare(text: &str) -> String {
        regex::Regex::new("\u{1b}\\[[0-9;:]*m").unwrap().replace_all(text, "").into_owned()
    }

    #[test]
    fn text_and_its_colours_stay() {
        assert_eq!(filtered("grüße 中🎉\r\n\tx\u{8}".as_bytes()), "grüße 中🎉\r\n\tx\u{8}");
        assert_eq!(filtered(b"\x1b[1;31mred\x1b[0m no"), "\x1b[1;31mred\x1b[0m no");
        assert_eq!(filtered(b"\x1b[38:2:1:2:3mred\x1b[m"), "\x1b[38:2:1:2:3mred\x1b[0m");
        assert_eq!(filtered(b"10 %\r\x1b[K20 %"), "10 %\r\x1b[0K20 %");
    }

    #[test]
    fn colours_end_with_the_line_and_come_back_on_the_next() {
        let mut filter = Filter::default();
        assert_eq!(filter.push(b"\x1b[32mone\ntwo"), "\x1b[32mone\x1b[0m\n\x1b[32mtwo\x1b[0m");
        assert_eq!(filter.push(b" more"), "\x1b[32m more\x1b[0m");
        assert_eq!(filter.push(b"\x1b[m plain"), " plain");
    }

    #[test]
    fn what_moves_the_cursor_or_changes_the_terminal_goes() {
        for sequence in [
            "\x1b[2J",
            "\x1b[H",
            "\x1b[5A",
            "\x1b[?1049h",
            "\x1b[?25l",
            "\x1b[3;7r",
            "\x1b[6n",
            "\x1bc",
            "\x1b7",
            "\x1b(0",
            "\x0e",
            "\x07",
            "\x1b]0;title\x07",
            "\x1b]8;;http://a\x1b\\",
            "\x1bPq#0\x1b\\",
            "\x1b_apc\x1b\\",
            "\u{85}",
            "\x1b[>1u",
            "\x1b[!p",
            "\x0b",
        ] {
            assert_eq!(filtered(format!("a{sequence}b").as_bytes()), "ab", "{sequence:?}");
        }
    }

    #[test]
    fn a_sequence_without_an_end_hides_its_line_at_most() {
        assert_eq!(filtered(b"a\x1b]0;never ends\nb"), "a\nb");
        assert_eq!(filtered(b"a\x1b[31\nb"), "a\nb");
        let endless = [b"\x1bP".to_vec(), vec![b'x'; 10_000], b"after".to_vec()].concat();
        assert!(filtered(&endless).ends_with("after"));
    }

    #[test]
    fn bytes_that_are_no_text_take_nothing_with_them() {
        assert_eq!(
            filtered(b"f\xfcr \xe4nd\xff\n\x9b2J"),
            "f\u{fffd}r \u{fffd}nd\u{fffd}\n\u{fffd}2J"
        );
        assert_eq!(filtered("a\u{9b}2Jb".as_bytes()), "a2Jb");
        assert_eq!(filtered(b"\xe4\nb\xe4"), "\u{fffd}\nb");
    }
}
