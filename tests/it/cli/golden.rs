//! `tests/cli/*.txt`: commands with what they print, the same on a terminal of
//! 80 columns and through a pipe. With `PARAMD_UPDATE_CLI=1` the test writes
//! them anew.

use std::path::Path;
use std::process::{Command, Output};

use regex::Regex;

use super::stage;
use crate::support::{python, root};

const COLUMNS: &str = "80";

fn on_terminal() -> Command {
    let mut command = Command::new(python());
    command.arg(root().join("tests/python/terminal.py")).arg(COLUMNS);
    command.arg(env!("CARGO_BIN_EXE_paramd"));
    command
}

/// Both streams in one pipe, in the order in which they were written.
fn through_pipe() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2>&1", env!("CARGO_BIN_EXE_paramd")]);
    command
}

/// What the command prints, and its status where it isn't 0.
fn printed(mut command: Command, words: &[String], endpoint: &str, folder: &Path) -> String {
    let Output { status, stdout, .. } = command
        .args(words)
        .current_dir(folder)
        .env("PARAMD_ENDPOINT", endpoint)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(stdout).unwrap().replace('\r', "");
    let mut text = steady(&text);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    match status.code() {
        Some(0) => text,
        code => format!("{text}exit status {}\n", code.unwrap()),
    }
}

/// Without what differs from run to run: times, hashes, made-up names, uids.
fn steady(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, word) in [
        (r"\d{8}t\d{6}z-[0-9a-f]{8}", "MADE-UP"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
        (r"\b[0-9a-f]{64}\b", "HASH"),
        (r"\b[0-9a-f]{32}\b", "FINGERPRINT"),
        (r"\bsha256:[0-9a-f]{8}", "sha256:HASH"),
        (r"\buid:\d+", "uid:UID"),
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

/// Messages are wrapped by the terminal, everything else by us.
#[track_caller]
fn check_width(text: &str) {
    let message = |line: &&str| line.starts_with("error: ") || line.starts_with("  help: ");
    for line in text.lines().filter(|line| !message(line)) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_what_their_golden_files_say() {
    let stage = stage().await;
    let (endpoint, folder) = (stage.daemon.endpoint(), stage.config.around());
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
            let words = words(line);
            let piped = printed(through_pipe(), &words, &endpoint, folder);
            let shown = printed(on_terminal(), &words, &endpoint, folder);
            // A second `resolve` finds the run of the first.
            let shown = shown.replace("replayed: it was there, and no source was asked", "created");
            if piped != shown {
                wrong.push(format!("$ paramd{line}\n{piped}but on a terminal:\n{shown}"));
            }
            if !words.contains(&"json".to_owned()) {
                check_width(&piped);
            }
            fresh.push_str(&format!("$ paramd{line}\n{piped}\n"));
        }
        if std::env::var_os("PARAMD_UPDATE_CLI").is_some() {
            std::fs::write(&file, &fresh).unwrap();
        } else if golden != fresh {
            wrong.push(format!("{} is out of date:\n{fresh}", file.display()));
        }
    }
    stage.daemon.stop();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
