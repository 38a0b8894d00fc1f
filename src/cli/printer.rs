//! The only place that prints. Everything here is text without secrets, but
//! for [`Printer::secret`].

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::environment::Environment;
use super::error::CliError;
use super::exit::Exit;
use super::paint::{may_paint, painted_message};
use super::text::escaped;
use crate::secret::SecretBytes;
use crate::value::shown::is_unsafe;

/// The columns and lines where no terminal says them.
const PIPED: (u16, u16) = (80, 24);
/// No table fits a terminal that is narrower.
const LEAST_WIDTH: u16 = 40;

/// One of the two streams that a process writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

fn write_all(to: &mut impl io::Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

/// Whether something that should stand on a stream could not be written.
static LOST: AtomicBool = AtomicBool::new(false);

/// Remembers output that is lost. Whoever closed our output wants no more of it;
/// anything else, such as a full disk, must not pass for success.
fn settle(written: io::Result<()>) {
    if written.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
        LOST.store(true, Ordering::Relaxed);
    }
}

/// Prints a command's data.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Printer {
    /// Whether messages may have colours.
    colours: bool,
}

impl Printer {
    /// For the streams that we have, with colours where they may be.
    pub(crate) fn new(environment: &Environment) -> Self {
        Self { colours: may_paint(Stream::Err, environment) }
    }

    /// Prints text to standard output, with a line end. What can't be written is
    /// told by [`Printer::lost`].
    pub(crate) fn text(self, text: &str) {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.trim_end_matches('\n').as_bytes());
        settle(written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()));
    }

    /// Prints one line of many. False: nobody reads them any more.
    pub(crate) fn line(self, text: &str) -> bool {
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{text}").and_then(|()| out.flush());
        let is_read = written.is_ok();
        settle(written);
        is_read
    }

    /// Resolves once nobody reads standard output any more.
    #[expect(deprecated, reason = "it is for streams that stay open, as standard output does")]
    pub(crate) async fn unread(self) {
        match AsyncFd::with_interest(io::stdout(), Interest::ERROR) {
            Ok(out) => drop(out.ready(Interest::ERROR).await),
            // What can't be waited for, such as a file, has no reader that goes.
            Err(_) => std::future::pending().await,
        }
    }

    /// Prints a document as JSON.
    pub(crate) fn json(self, document: &impl serde::Serialize) {
        self.text(&json_text(document));
    }

    /// Writes one secret's bytes to standard output, as they are.
    ///
    /// # Errors
    /// They couldn't be written.
    #[expect(clippy::disallowed_methods, reason = "`paramd reveal` hands out what was asked for")]
    pub(crate) fn secret(self, secret: &SecretBytes) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(secret.expose()).and_then(|()| out.flush()).map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("standard output can't be written ({})", error.kind()),
            )
        })
    }

    /// Says something to the person, on standard error.
    pub(crate) fn note(self, text: &str) {
        let mut err = io::stderr().lock();
        drop(writeln!(err, "{}", self.painted(text)));
    }

    /// A message with colours, where there may be some.
    pub(crate) fn painted(self, text: &str) -> String {
        painted_message(text, self.colours)
    }

    /// Passes bytes through that were masked already. False: nobody reads them.
    pub(crate) fn pass(self, stream: Stream, bytes: &[u8]) -> bool {
        // The steps go on; what is lost is told at the end.
        let written = match stream {
            Stream::Out => write_all(&mut io::stdout().lock(), bytes),
            Stream::Err => write_all(&mut io::stderr().lock(), bytes),
        };
        let read = !written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        settle(written);
        read
    }

    /// The error of a command that went well, but for output that is lost.
    pub(crate) fn lost(self) -> Option<CliError> {
        let message = "some of the output could not be written";
        LOST.load(Ordering::Relaxed).then(|| CliError::new(Exit::Failed, message))
    }

    /// Prints an error in the voice of all errors.
    pub(crate) fn error(self, error: &CliError) {
        self.note(&error.to_string());
    }

    /// Whether standard output is a terminal.
    pub(crate) fn is_terminal(self) -> bool {
        io::stdout().is_terminal()
    }

    /// How wide a table may be, in columns.
    pub(crate) fn width(self) -> u16 {
        let columns = self.size(Stream::Out).0.max(usize::from(LEAST_WIDTH));
        u16::try_from(columns).unwrap_or(PIPED.0)
    }

    /// The columns and lines of the terminal that a stream goes to; usual ones
    /// where it goes elsewhere.
    pub(crate) fn size(self, stream: Stream) -> (usize, usize) {
        let size = match stream {
            Stream::Out => rustix::termios::tcgetwinsize(io::stdout()),
            Stream::Err => rustix::termios::tcgetwinsize(io::stderr()),
        };
        let or = |found: u16, usual: u16| usize::from(if found == 0 { usual } else { found });
        size.map_or((PIPED.0.into(), PIPED.1.into()), |size| {
            (or(size.ws_col, PIPED.0), or(size.ws_row, PIPED.1))
        })
    }
}

/// A document as JSON. What a terminal must not get is in its strings alone, where
/// JSON has an escape for it.
fn json_text(document: &impl serde::Serialize) -> String {
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter != '\n' && is_unsafe(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(letter);
        }
    }
    safe
}

/// Makes a panic say where it happened and nothing else: its payload could
/// quote a value.
pub fn hide_panic_payloads() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        let place = place.as_deref().map(escaped).unwrap_or_default();
        Printer::default().note(&format!("error: a fault of paramd at {place}; please report it"));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_document_and_safe_for_a_terminal() {
        let document =
            serde_json::json!({ "a\u{9b}": ["\u{202e}x\u{1b}[2J\u{7f}", "中\u{e0041}🎉\n"] });
        let text = json_text(&document);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), document);
        assert!(text.chars().all(|letter| letter == '\n' || !is_unsafe(letter)), "{text}");
        assert!(text.contains("中\\udb40\\udc41🎉"), "{text}");
    }
}
