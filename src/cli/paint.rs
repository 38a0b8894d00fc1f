//! Where colours may be, and which.

use std::io::IsTerminal as _;

use super::environment::Environment;
use super::printer::Stream;

/// The meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Goes on.
    Busy,
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// To be minded.
    Mind,
    /// The way out.
    Help,
    /// Beside the point.
    Quiet,
}

impl Paint {
    /// The eight colours that each terminal has, in its own shades.
    fn code(self) -> &'static str {
        match self {
            Self::Busy | Self::Help => "36",
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Mind => "1;33",
            Self::Quiet => "2",
        }
    }
}

/// A text in a colour, where there may be colours.
pub(crate) fn painted(text: &str, paint: Paint, colours: bool) -> String {
    if colours && !text.is_empty() {
        format!("\u{1b}[{}m{text}\u{1b}[0m", paint.code())
    } else {
        text.to_owned()
    }
}

/// Messages with the words that begin them in colours.
pub(crate) fn painted_message(text: &str, colours: bool) -> String {
    if !colours {
        return text.to_owned();
    }
    let words = [("error:", Paint::Bad), ("warning:", Paint::Mind), ("  help:", Paint::Help)];
    let line = |line: &str| {
        let found =
            words.iter().find_map(|(word, paint)| Some((word, paint, line.strip_prefix(word)?)));
        match found {
            Some((word, paint, rest)) => format!("{}{rest}", painted(word, *paint, true)),
            None => line.to_owned(),
        }
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Whether what is written to this stream may have colours: on a terminal that
/// knows them, unless `NO_COLOR` says otherwise.
pub(crate) fn may_paint(stream: Stream, environment: &Environment) -> bool {
    let refused = environment.value("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && is_capable(stream, environment)
}

/// Whether lines on standard error may be written over: on a terminal that can,
/// with a person before it.
pub(crate) fn may_redraw(environment: &Environment) -> bool {
    let unattended =
        environment.value("CI").is_some_and(|value| !value.is_empty() && value != "false");
    !unattended && is_capable(Stream::Err, environment)
}

fn is_capable(stream: Stream, environment: &Environment) -> bool {
    let terminal = match stream {
        Stream::Out => std::io::stdout().is_terminal(),
        Stream::Err => std::io::stderr().is_terminal(),
    };
    terminal && environment.value("TERM").is_some_and(|value| !value.is_empty() && value != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_begin_a_message_have_its_colour() {
        let text = "error: a\n  b: error: c\n  help: d\nwarning: e";
        assert_eq!(painted_message(text, false), text);
        assert_eq!(
            painted_message(text, true),
            "\u{1b}[1;31merror:\u{1b}[0m a\n  b: error: c\n\u{1b}[36m  help:\u{1b}[0m d\n\u{1b}[1;33mwarning:\u{1b}[0m e"
        );
    }
}
