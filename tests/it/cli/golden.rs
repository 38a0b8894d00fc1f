//! `tests/cli/*.txt`: commands with what they print through a pipe, and on a
//! terminal of 80 columns where that is something else. With
//! `PARAMD_UPDATE_CLI=1` the test writes them anew. That no command lacks is
//! seen to in `src/cli.rs`, which knows them all.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};

use super::commands::LATE;
use super::{Stage, TOKEN, shell};
use crate::support::daemon::Launch;
use crate::support::root;
use crate::support::terminal::on_terminal;

const SIZE: (u16, u16) = (80, 50);

/// Commands that go on until they are interrupted, and what shows that they
/// have begun.
const ENDLESS: [(&str, &str); 2] = [("serve", "serving listen"), ("audit tail", "shown")];

/// Of longer documents and scripts only the begin is kept.
const MOST_LINES: usize = 120;
const FIRST_LINES: usize = 8;

/// A command of a golden file.
struct Line<'a> {
    words: Vec<String>,
    /// What the shell does with its streams.
    redirection: String,
    /// Once this is shown, it is interrupted.
    until: Option<&'static str>,
    stage: &'a Stage,
}

impl<'a> Line<'a> {
    /// Of a line after `$ paramd`; `< FILE` at its end is standard input.
    fn new(line: &str, stage: &'a Stage) -> Self {
        let (line, input) = line.split_once(" < ").unwrap_or((line, ""));
        let endless = |(words, _): &&(&str, &str)| line.trim_start().starts_with(words);
        Self {
            words: words(line),
            redirection: if input.is_empty() { String::new() } else { format!(" < {input}") },
            until: ENDLESS.iter().find(endless).map(|(_, until)| *until),
            stage,
        }
    }

    fn folder(&self) -> &Path {
        self.stage.config.around()
    }

    /// The shell's arguments; both streams in one, in the order of writing.
    fn script(&self) -> Vec<&str> {
        let words = self.words.iter().map(String::as_str);
        [env!("CARGO_BIN_EXE_paramd")].into_iter().chain(words).collect()
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let folder = self.folder().to_str().unwrap().to_owned();
        vec![
            ("PARAMD_ENDPOINT", self.stage.daemon.endpoint()),
            ("NO_COLOR", "1".to_owned()),
            ("TERM", "xterm".to_owned()),
            ("XDG_RUNTIME_DIR", folder),
        ]
    }

    /// What it prints through a pipe, and its status where that isn't 0.
    fn piped(&self) -> String {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("exec \"$0\" \"$@\" 2>&1{}", self.redirection)])
            .args(self.script())
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(self.variables())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        if let Some(until) = self.until {
            while !text.contains(until) && out.read_line(&mut text).unwrap() > 0 {}
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        }
        out.read_to_string(&mut text).unwrap();
        self.told(&text, child.wait().unwrap().code())
    }

    /// What a person sees of it on a terminal.
    fn shown(&self) -> String {
        let events: Vec<_> = self.until.map(|until| (until, "interrupt")).into_iter().collect();
        let mut command = on_terminal(SIZE, &events, "sh").inside(self.folder());
        for (name, value) in self.variables() {
            command = command.env(name, &value);
        }
        let script = format!("exec \"$0\" \"$@\"{}", self.redirection);
        let sent = command.args(["-c", &script]).args(self.script()).ended();
        let live = self.words.first().is_some_and(|word| word == "run");
        assert!(live || !sent.has_escapes(), "{}", sent.raw());
        // The terminal itself shows that the key was pressed.
        self.told(&sent.text().replace("^C", ""), sent.status)
    }

    fn told(&self, text: &str, status: Option<i32>) -> String {
        let folder = self.folder().to_str().unwrap();
        let text = steady(&text.replace(TOKEN, "SECRET").replace(folder, "FOLDER"));
        let mut text = text.trim_end().to_owned();
        let lines = text.lines().count();
        if lines > MOST_LINES && !self.words.iter().any(|word| word == "json") {
            let first: Vec<&str> = text.lines().take(FIRST_LINES).collect();
            text = format!("{}\n… and so on", first.join("\n"));
        }
        if !text.is_empty() {
            text.push('\n');
        }
        match status {
            Some(0) => text,
            code => format!("{text}exit status {}\n", code.unwrap()),
        }
    }
}

/// Without what differs from run to run: times, hashes, made-up names, uids.
fn steady(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, word) in [
        (r"\d{8}t\d{6}z-[0-9a-f]{8}", "MADE-UP"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
        (r"\bparamd_token_[0-9a-f]{64}\b", "paramd_token_HEX"),
        (r"\b[0-9a-f]{64}\b", "HASH"),
        (r"\b[0-9a-f]{32}\b", "FINGERPRINT"),
        (r"\bsha256:[0-9a-f]{8}", "sha256:HASH"),
        (r"\brevision [0-9a-f]{12}\b", "revision HASH"),
        (r"\buid:\d+", "uid:UID"),
        (r"\buid=\d+", "uid=UID"),
        (r"\bafter \d+\.\d s\b", "after N s"),
        // What the daemon is shut in to, and how much memory may be locked, is the
        // machine's.
        (r"(?m)^TIME +\w+ paramd::daemon(::confine)?: (confined|[^\n]*memory)[^\n]*\n", ""),
        // How many events there are by now, and their chain.
        (r"(?m)^[0-9a-f]{16}( +1 +)\d+ +[0-9a-f]{35} ", "CHAIN${1}N  HASH "),
        (r"(?m)^ +[0-9a-f]{29}$", "HASH"),
        (r"(?m)^\d+ +TIME", "N  TIME"),
        (r"(?m)^\d+ +\d{4}-\d\d-\d\d ", "N  DATE "),
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b", "DATE CLOCK"),
        (r"(?m)^ +\d\d:\d\d:\d\d\b", "     CLOCK"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
    }
    text
}

/// A command's words; a quoted one may have spaces.
fn words(line: &str) -> Vec<String> {
    let word = Regex::new(r"'([^']*)'|(\S+)").unwrap();
    word.captures_iter(line)
        .map(|found| found.get(1).or(found.get(2)).unwrap().as_str().to_owned())
        .collect()
}

/// Messages, scripts and lines of a log are wrapped by the terminal, everything
/// else by us.
#[track_caller]
fn check_width(text: &str) {
    let wrapped = |line: &&str| {
        let begins = ["error: ", "  help: ", "warning: ", "TIME ", "N  TIME ", "complete "];
        begins.iter().any(|word| line.starts_with(word))
    };
    for line in text.lines().filter(|line| !wrapped(line)) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

/// A daemon with more to be told about, for one way of printing.
async fn golden_stage() -> Stage {
    let config = shell();
    config.write("pipelines/late.yaml", LATE);
    super::access::write(config.around());
    std::fs::write(config.around().join("input"), format!("before {TOKEN} after\n")).unwrap();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    Stage { daemon, config }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_what_their_golden_files_say() {
    let (for_pipe, for_terminal) = (golden_stage().await, golden_stage().await);
    let mut files: Vec<_> = std::fs::read_dir(root().join("tests/cli"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 4, "where are the golden files?");
    let mut wrong = Vec::new();
    for file in files {
        let golden = std::fs::read_to_string(&file).unwrap();
        let mut fresh = String::new();
        for line in golden.lines().filter_map(|line| line.strip_prefix("$ paramd")) {
            let piped = Line::new(line, &for_pipe).piped();
            let shown = Line::new(line, &for_terminal).shown();
            if !["json", "schema", "completions"].iter().any(|word| line.contains(word)) {
                check_width(&piped);
                check_width(&shown);
            }
            fresh.push_str(&format!("$ paramd{line}\n{piped}"));
            if piped != shown {
                fresh.push_str(&format!("on a terminal of 80 columns:\n{shown}"));
            }
            fresh.push('\n');
        }
        if std::env::var_os("PARAMD_UPDATE_CLI").is_some() {
            std::fs::write(&file, &fresh).unwrap();
        } else if golden != fresh {
            wrong.push(format!("{} is out of date:\n{fresh}", file.display()));
        }
    }
    for_pipe.daemon.stop();
    for_terminal.daemon.stop();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
