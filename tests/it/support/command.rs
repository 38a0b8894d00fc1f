//! The command line as a child process.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::daemon::Daemon;

/// A `paramd` command in the making.
pub(crate) struct Paramd {
    command: Command,
    input: Vec<u8>,
}

/// What a command wrote and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// `paramd` with these arguments, with nothing but `PATH` in its environment, and
/// no signal ignored: who runs the tests in the background ignores some.
pub(crate) fn paramd<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Paramd {
    let mut command = Command::new("/usr/bin/env");
    command.args(["--default-signal=INT,QUIT,HUP", env!("CARGO_BIN_EXE_paramd")]);
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    Paramd { command, input: Vec::new() }
}

impl Paramd {
    /// At this daemon.
    pub(crate) fn at(self, daemon: &Daemon) -> Self {
        let endpoint = daemon.endpoint();
        self.env("PARAMD_ENDPOINT", &endpoint)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn arg(mut self, word: &str) -> Self {
        self.command.arg(word);
        self
    }

    pub(crate) fn inside(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn input(mut self, bytes: &[u8]) -> Self {
        self.input = bytes.into();
        self
    }

    /// The command itself, for tests that need its process.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Runs it to its end.
    pub(crate) fn ended(mut self) -> Ended {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end without reading its input.
        let _ = child.stdin.take().unwrap().write_all(&self.input);
        Ended::from(child.wait_with_output().unwrap())
    }

    /// Runs it to its end, which must be good.
    #[track_caller]
    pub(crate) fn ok(self) -> Ended {
        let ended = self.ended();
        assert_eq!(ended.status, Some(0), "{ended:#?}");
        ended
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Fails unless each of `texts` is in what it wrote.
    #[track_caller]
    pub(crate) fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.all().contains(text), "nothing of `{text}` in {self:#?}");
        }
        self
    }

    /// Fails if one of `texts` is in what it wrote.
    #[track_caller]
    pub(crate) fn hides(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(!self.all().contains(text), "`{text}` is in {self:#?}");
        }
        self
    }

    /// Its output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// Both outputs.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}
