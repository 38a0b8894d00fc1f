//! The README prints what its commands really say. With
//! `PARAMD_UPDATE_README=1` the test writes it anew.

use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::example::example;
use crate::support::daemon::Launch;
use crate::support::{python, root};

/// A command of the README with the output that it prints.
struct Shown {
    command: String,
    output: String,
}

const BLOCK: &str = "```console\n";

/// Blocks that begin with a `paramd` command; the daemon's own is not one.
fn shown(page: &str) -> Vec<Shown> {
    page.split(BLOCK)
        .skip(1)
        .filter_map(|block| block.split("```").next()?.strip_prefix("$ paramd "))
        .map(|block| {
            let (command, output) = block.split_once('\n').unwrap();
            Shown { command: command.to_owned(), output: output.to_owned() }
        })
        .collect()
}

/// What a command writes on a terminal of 120 columns.
fn output(command: &str, endpoint: &str, folder: &Path) -> String {
    let output = Command::new(python())
        .arg(root().join("tests/python/terminal.py"))
        .arg(env!("CARGO_BIN_EXE_paramd"))
        .args(command.split(' '))
        .current_dir(folder)
        .env("PARAMD_ENDPOINT", endpoint)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// Without what differs from run to run: times, hashes, made-up names.
fn steady(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, word) in [
        (r"\d{8}t\d{6}z-[0-9a-f]+", "MADE-UP"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
        (r"\d+\.\d s\b", "SECONDS"),
        (r"\b[0-9a-f]{8,64}\b", "HASH"),
        (r"uid:\d+", "UID"),
        (r"[ ─]+", " "),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
    }
    text
}

/// Whether two outputs say the same. A longer uid wraps a table elsewhere, so
/// letters count where lines differ.
fn same(a: &str, b: &str) -> bool {
    let letters = |text: &str| {
        let mut letters: Vec<_> = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        letters.sort_unstable();
        letters
    };
    let (a, b) = (steady(a), steady(b));
    a == b || letters(&a) == letters(&b)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_prints_what_its_commands_say() {
    let path = root().join("README.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let config = example();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let commands = shown(&page);
    assert!(commands.len() >= 5, "the README shows five commands");
    let mut fresh = page.clone();
    let mut wrong = Vec::new();
    for shown in commands {
        let real = output(&shown.command, &daemon.endpoint(), config.around());
        if !same(&real, &shown.output) {
            wrong.push(format!("$ paramd {}\n{real}", shown.command));
        }
        let block = |output: &str| format!("{BLOCK}$ paramd {}\n{output}```", shown.command);
        fresh = fresh.replace(&block(&shown.output), &block(&real));
    }
    daemon.stop();
    if std::env::var_os("PARAMD_UPDATE_README").is_some() {
        std::fs::write(path, fresh).unwrap();
    } else {
        assert!(wrong.is_empty(), "the README is out of date:\n{}", wrong.join("\n"));
    }
}
