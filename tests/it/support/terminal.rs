//! Commands on a terminal, and what a person sees there.

use std::ffi::OsStr;
use std::num::NonZeroU16;
use std::path::Path;
use std::process::Command;

use regex::bytes::Regex;

use super::daemon::Daemon;
use super::{python, root};

/// So many lines that nothing scrolls away.
const LINES: u16 = 3000;

/// A program in the making, on a terminal.
pub(crate) struct OnTerminal {
    columns: u16,
    command: Command,
}

/// What a terminal was sent, and how the program ended.
pub(crate) struct Sent {
    pub(crate) status: Option<i32>,
    pub(crate) bytes: Vec<u8>,
    columns: u16,
}

/// A program on a terminal of so many columns and lines that knows colours. Once
/// a text of `events` was shown, its action is done: see `terminal.py`. The
/// program's environment has nothing else in it.
pub(crate) fn on_terminal(
    (columns, lines): (u16, u16),
    events: &[(&str, &str)],
    program: impl AsRef<OsStr>,
) -> OnTerminal {
    let mut command = Command::new(python());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("TERM", "xterm");
    command.arg(root().join("tests/python/terminal.py")).arg(format!("{columns}x{lines}"));
    for (text, action) in events {
        command.args(["when", text, action]);
    }
    command.arg(program);
    OnTerminal { columns, command }
}

/// `paramd` on such a terminal.
pub(crate) fn paramd_on_terminal(size: (u16, u16), events: &[(&str, &str)]) -> OnTerminal {
    on_terminal(size, events, env!("CARGO_BIN_EXE_paramd"))
}

impl OnTerminal {
    pub(crate) fn args<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(words);
        self
    }

    pub(crate) fn at(self, daemon: &Daemon) -> Self {
        let endpoint = daemon.endpoint();
        self.env("PARAMD_ENDPOINT", &endpoint)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn inside(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it to its end.
    pub(crate) fn ended(mut self) -> Sent {
        let output = self.command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.is_empty(), "terminal.py: {errors}");
        Sent { status: output.status.code(), bytes: output.stdout, columns: self.columns }
    }
}

impl Sent {
    /// The terminal at the end, so high that all that was shown is on it.
    pub(crate) fn terminal(&self) -> vt100::Parser {
        let some = |one: u16| NonZeroU16::new(one).unwrap();
        let mut terminal = vt100::Parser::new(some(LINES), some(self.columns), 0);
        let mark = Regex::new("\x1b\\]resized;(\\d+)x\\d+\x07").unwrap();
        let mut done = 0;
        for found in mark.captures_iter(&self.bytes) {
            let whole = found.get(0).unwrap();
            terminal.process(&self.bytes[done..whole.start()]);
            let columns = std::str::from_utf8(&found[1]).unwrap().parse().unwrap();
            terminal.screen_mut().set_size(some(LINES), some(columns));
            done = whole.end();
        }
        terminal.process(&self.bytes[done..]);
        terminal
    }

    /// What a person sees.
    pub(crate) fn text(&self) -> String {
        self.terminal().screen().contents().trim_end().to_owned()
    }

    /// The bytes as text.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Whether there is any escape sequence.
    pub(crate) fn has_escapes(&self) -> bool {
        self.bytes.contains(&0x1b)
    }
}
