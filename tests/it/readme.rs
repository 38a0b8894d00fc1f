//! The pages print what their commands really say (with
//! `PARAMD_UPDATE_README=1` the test writes it anew), and their links lead
//! somewhere.

use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::example::example;
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::{python, root};

/// A command of a page with the output that it prints.
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
        .arg("120")
        .arg(env!("CARGO_BIN_EXE_paramd"))
        .args(command.split(' '))
        .current_dir(folder)
        .env("PARAMD_ENDPOINT", endpoint)
        .env("NO_COLOR", "1")
        // Rows that are drawn anew can't be shown on a page.
        .env("TERM", "dumb")
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
        // In the audit's table; reads are recorded a moment later, so that
        // their place among others varies.
        (r"\b\d+ +\d{4}-\d\d-\d\d\b", "NUMBER DATE"),
        (r"\b\d{4}-\d\d-\d\d\b", "DATE"),
        (r"\b\d\d:\d\d:\d\d\b", "TIME"),
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
pub(crate) fn same(a: &str, b: &str) -> bool {
    let letters = |text: &str| {
        let mut letters: Vec<_> = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        letters.sort_unstable();
        letters
    };
    let (a, b) = (steady(a), steady(b));
    a == b || letters(&a) == letters(&b)
}

/// The pages that print commands with their output.
const PAGES: [&str; 2] = ["README.md", "docs/command-line.md"];

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_print_what_their_commands_say() {
    let config = example();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let mut wrong = Vec::new();
    for file in PAGES {
        let path = root().join(file);
        let page = std::fs::read_to_string(&path).unwrap();
        let commands = shown(&page);
        assert!(!commands.is_empty(), "{file} shows no command");
        let mut fresh = page.clone();
        for shown in commands {
            let real = output(&shown.command, &daemon.endpoint(), config.around());
            if !same(&real, &shown.output) {
                wrong.push(format!("{file}\n$ paramd {}\n{real}", shown.command));
            }
            let block = |output: &str| format!("{BLOCK}$ paramd {}\n{output}```", shown.command);
            fresh = fresh.replace(&block(&shown.output), &block(&real));
        }
        if std::env::var_os("PARAMD_UPDATE_README").is_some() {
            std::fs::write(path, fresh).unwrap();
        }
    }
    daemon.stop();
    let updated = std::env::var_os("PARAMD_UPDATE_README").is_some();
    assert!(updated || wrong.is_empty(), "pages are out of date:\n{}", wrong.join("\n"));
}

#[test]
fn the_readme_shows_five_commands() {
    let page = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(shown(&page).len() >= 5);
}

/// Every link of a page to another file, with the heading in it, leads somewhere.
#[test]
fn links_lead_somewhere() {
    let docs = root().join("docs").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let others = ["README.md", "CHANGELOG.md", "config-vault/README.md", "tests/cases/README.md"];
    let link = Regex::new(r"\]\(([^)#\s]*)(?:#([^)]*))?\)").unwrap();
    let mut count = 0;
    for page in docs.chain(others.map(|file| root().join(file))) {
        let text = std::fs::read_to_string(&page).unwrap();
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.starts_with("http") {
                continue;
            }
            count += 1;
            let file = match target {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(file.exists(), "{} links to {target}", page.display());
            if let Some(heading) = found.get(2) {
                let there = headings(&std::fs::read_to_string(&file).unwrap());
                let heading = heading.as_str();
                assert!(there.iter().any(|one| one == heading), "{}: {heading}", page.display());
            }
        }
    }
    assert!(count > 20, "only {count} links were found");
}

/// The blocks of YAML on a page.
fn yaml(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[test]
fn the_pages_definitions_and_sources_are_good() {
    let (definitions, all) = (yaml("docs/definitions.md"), yaml("docs/sources.md"));
    // The first shows a grant alone; the others a source and who asks it.
    let (mut sources, mut parameters) = (String::new(), String::new());
    for block in &all[1..] {
        let (source, parameter) = block.split_once("# in a definition\n").unwrap();
        sources += &indented(source);
        parameters += &indented(parameter);
    }
    let asking = format!(
        "name: churn-training\nparameters:\n  dataset: {{ type: string, default: churn }}\n{parameters}"
    );
    for pipeline in [&definitions[0], &asking] {
        let config = Config::new(&sources, "churn-training", pipeline);
        config.write("environments/prod.yaml", "{}\n");
        if pipeline == &definitions[0] {
            config.write("environments/prod.yaml", &definitions[1]);
        }
        std::fs::create_dir(config.path.join("models")).unwrap();
        paramd(["check", config.path.to_str().unwrap()]).ok();
    }
}

/// The headings of a page as links name them.
fn headings(page: &str) -> Vec<String> {
    let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    page.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|line| line.chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}
