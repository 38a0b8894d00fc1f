//! Pages whose programs and commands are run as they stand.

use std::path::Path;
use std::process::Command;

use crate::example::example;
use crate::support::config::{Config, copy_folder};
use crate::support::daemon::Launch;
use crate::support::{python, root};

/// A part of a page, in its order.
enum Part {
    /// A file to write, by its name.
    File(String, String),
    /// Commands to run.
    Commands(String),
    /// What the commands before it printed.
    Output(String),
}

/// The parts of a page: a block of `sh` is run, a block of `text` is what that
/// printed, and any other is a file if the text before it ends with its name
/// and a colon.
fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut before = "";
    let mut rest = page;
    while let Some((text, block)) = rest.split_once("\n```") {
        let (language, block) = block.split_once('\n').unwrap();
        let (block, after) = block.split_once("\n```\n").unwrap();
        let block = format!("{block}\n");
        before = if text.trim().is_empty() { before } else { text };
        match language {
            "sh" => parts.push(Part::Commands(block)),
            "text" => parts.push(Part::Output(block)),
            _ => parts.extend(file_name(before).map(|name| Part::File(name.into(), block))),
        }
        before = "";
        rest = after;
    }
    parts
}

fn file_name(before: &str) -> Option<&str> {
    before.trim_end().strip_suffix("`:")?.rsplit('`').next()
}

/// Goes through a page in a folder; what its commands printed must be there.
fn play(page: &str, folder: &Path, environment: &[(&str, &str)]) {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let (mut printed, mut ran) = (String::new(), 0);
    for part in parts(&text) {
        match part {
            Part::File(name, text) => {
                let file = folder.join(name);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, text).unwrap();
            }
            Part::Commands(commands) => {
                printed = run(&commands, folder, environment);
                ran += 1;
            }
            Part::Output(expected) => assert_eq!(printed, expected, "{page}"),
        }
    }
    assert!(ran > 0, "{page} has no commands");
}

fn run(commands: &str, folder: &Path, environment: &[(&str, &str)]) -> String {
    let tools = root().join("target/test-tools/bin");
    let venv = python();
    let path = [venv.parent().unwrap(), &tools].map(|folder| folder.display().to_string());
    let path = format!("{}:{}", path.join(":"), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", commands])
        .current_dir(folder)
        .env("PATH", path)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), output.stderr);
    assert!(output.status.success(), "{commands}\n{out}{}", String::from_utf8_lossy(&err));
    out
}

/// A folder as the page on clients has it: the example and the contract.
fn clients_folder() -> Config {
    let config = example();
    copy_folder(&root().join("proto"), &config.around().join("proto"));
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_python_go_and_shell_run_a_step() {
    let config = clients_folder();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    play("docs/clients.md", config.around(), &[("PARAMD_ENDPOINT", &daemon.endpoint())]);
    daemon.stop();
}
