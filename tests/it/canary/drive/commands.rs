//! Every command, with what may be asked and with what may not.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Drive, Secret, steps};
use crate::canary::secret::LARGE;
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::Daemon;
use crate::support::wait_for;

/// The commands that the binary tells of.
pub(super) fn declared() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let words = path.iter().map(String::as_str).chain(["--help"]);
        let help = paramd(words).ok().out;
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let listed = listed.take_while(|line| !line.is_empty());
        let names: Vec<&str> = listed
            .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
            .filter_map(|line| line.split(' ').next())
            .collect();
        if names.is_empty() {
            found.insert(path.join(" "));
        }
        open.extend(names.iter().map(|name| [path.as_slice(), &[(*name).to_owned()]].concat()));
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// Where commands are called, and what secrets they bring.
pub(super) struct Stage<'a> {
    pub(super) daemon: &'a Daemon,
    pub(super) folder: &'a Path,
    /// Each in a file, as the flag that takes it.
    pub(super) secrets: Vec<String>,
}

impl Stage<'_> {
    pub(super) fn command(&self, words: &[&str], more: &[String]) -> Command {
        let tmp = self.folder.join("tmp");
        let command = paramd([]).at(self.daemon).env("TMPDIR", tmp.to_str().unwrap());
        let mut command = command.inside(self.folder).into_command();
        command.args(words).args(more);
        command
    }
}

impl Drive<'_> {
    /// Notes how a command ended that was called.
    pub(super) fn note_command(&mut self, words: &[&str], went_well: bool) {
        for name in [words.first().map(|word| (*word).to_owned()), Some(words.join(" "))] {
            let known = name.and_then(|name| self.commands.get_mut(&name));
            if let Some(driven) = known {
                driven.note(went_well);
                return;
            }
        }
    }

    /// Keeps what a command wrote, which must have ended as it should.
    #[track_caller]
    pub(super) fn ended(&mut self, words: &[&str], output: Output, good: bool) {
        let said = String::from_utf8_lossy(&output.stderr);
        // What it said is shown only where nothing secret can be in it.
        let said = if good { &said[..said.len().min(2_000)] } else { "" };
        let first: Vec<&str> = words.iter().copied().take(2).collect();
        assert_eq!(output.status.code() == Some(0), good, "{:?} {said}", first.first());
        self.note_command(&first, good);
        let sink = match words {
            ["completions", ..] => "completions",
            ["run" | "exec" | "mask", ..] => "output of steps",
            _ if words.contains(&"json") => "output of commands as JSON",
            _ => "output of commands as text",
        };
        self.sinks.add(sink, output.stdout);
        self.sinks.add("errors of commands", output.stderr);
    }

    #[track_caller]
    pub(super) fn call(&mut self, stage: &Stage<'_>, words: &[&str], more: &[String], good: bool) {
        let output = stage.command(words, more).output().unwrap();
        self.ended(words, output, good);
    }
}

/// Every command on the daemon and beside it.
pub(in crate::canary) fn all(drive: &mut Drive<'_>, daemon: &Daemon, config: &Config) {
    let folder = config.around();
    steps::write(folder);
    std::fs::create_dir(folder.join("tmp")).unwrap();
    let mut secrets = Vec::new();
    for (index, secret) in drive.planted.of("override").iter().enumerate() {
        let file = format!("override-{index}");
        std::fs::write(folder.join(&file), &secret.bytes).unwrap();
        secrets.push(format!("--secret=override_{index}=file:{file}"));
    }
    let stage = Stage { daemon, folder, secrets };
    on_runs(drive, &stage);
    let slow = steps::begin(&stage);
    steps::all(drive, &stage);
    tail(drive, &stage);
    on_files(drive, &stage, config.path.to_str().unwrap());
    refused(drive, &stage);
    let all = std::env::var_os(crate::canary::LONG).is_some();
    for (shape, secret) in drive.misplaced().iter().enumerate() {
        // A process each: of the shapes, those that differ most.
        if shape != LARGE && (all || [1, 3, 4, 6, 11].contains(&shape)) {
            misplaced(drive, &stage, secret);
            steps::misplaced(drive, &stage, &secret.text());
        }
    }
    steps::end(drive, slow);
    drive.call(&stage, &["complete", "canary/b", "cancelled"], &[], true);
    for words in [
        &["complete", "canary/b", "failed"][..],
        &["extend", "canary/b", "--lifetime", "48h"],
        &["exec", "--run", "canary/b", "--step", "go-vault"],
        &["mask", "--run", "canary/b", "--step", "go-vault"],
    ] {
        drive.call(&stage, words, &[], false);
    }
}

/// What asks the daemon.
fn on_runs(drive: &mut Drive<'_>, stage: &Stage<'_>) {
    let secrets = &stage.secrets;
    for words in [
        &["resolve", "canary", "--run-id", "b"][..],
        &["resolve", "canary", "--run-id", "c", "--large=true", "--output", "json"],
        &["explain", "canary"],
        &["explain", "canary", "--output", "json"],
    ] {
        drive.call(stage, words, secrets, true);
    }
    for words in [
        &["context", "canary/b", "go-vault"][..],
        &["pipelines", "list"],
        &["pipelines", "show", "canary"],
        &["runs", "list"],
        &["runs", "show", "canary/b"],
        &["why", "broken-vault/a"],
        &["diff", "canary/a", "canary/other"],
        &["extend", "canary/b", "--lifetime", "48h"],
        &["audit", "list", "--limit", "0"],
        &["audit", "verify"],
    ] {
        drive.call(stage, words, &[], true);
        let json = [words, &["--output", "json"]].concat();
        drive.call(stage, &json, &[], true);
    }
    let words = ["reveal", "canary/b", "go-vault", "vault_1"];
    let revealed = stage.command(&words, &[]).output().unwrap();
    assert!(revealed.stdout == drive.planted.of("vault")[1].bytes, "it is what was asked for");
    drive.note_command(&["reveal"], true);
    drive.sinks.add("errors of commands", revealed.stderr);
}

/// What follows the audit log, until it is ended.
fn tail(drive: &mut Drive<'_>, stage: &Stage<'_>) {
    let path = stage.folder.join("tail");
    for form in ["text", "json"] {
        let words = ["audit", "tail", "--since", "24h", "--output", form];
        let mut command = stage.command(&words, &[]);
        command.stdout(File::create(&path).unwrap()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let printed = || std::fs::read(&path).unwrap();
        wait_for("events are followed", Duration::from_secs(60), || {
            printed().windows(8).any(|window| window == b"go-vault").then_some(())
        });
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let mut output = child.wait_with_output().unwrap();
        output.stdout = printed();
        drive.ended(&words, output, true);
    }
}

/// What works on files, or on nothing.
fn on_files(drive: &mut Drive<'_>, stage: &Stage<'_>, path: &str) {
    let expected = "{ principal: 'uid:1', action: read, resource: canary, expect: allow }";
    std::fs::write(stage.folder.join("expected"), format!("decisions: [{expected}]\n")).unwrap();
    for words in [
        &["check", path][..],
        &["check", path, "--risks"],
        &["access", "test", "expected", "--config", path],
        &["access", "why", "uid:1", "read", "canary", "--config", path],
        &["access", "who", "read", "canary", "--config", path, "--output", "json"],
        &["schema"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["init", "fresh"],
    ] {
        drive.call(stage, words, &[], true);
    }
    let mut live = stage.command(&["check", path, "--live"], &[]);
    let output = live.envs(drive.planted.variables()).output().unwrap();
    // What the broken pipelines ask of PostgreSQL is of another type.
    drive.ended(&["check"], output, false);
    std::fs::remove_dir_all(stage.folder.join("fresh")).unwrap();
}

/// What ends badly, with no secret in the words.
fn refused(drive: &mut Drive<'_>, stage: &Stage<'_>) {
    drive.call(stage, &["resolve", "broken-file", "--run-id", "e"], &[], false);
    for words in [
        &["context", "canary/none", "go-env"][..],
        &["reveal", "canary/none", "go-env", "--all"],
        &["pipelines", "list", "--endpoint", "unix:/nowhere"],
        &["pipelines", "show", "nothing"],
        &["runs", "show", "canary/none"],
        &["why", "nothing/a"],
        &["diff", "canary/a", "canary/none"],
        &["audit", "verify", "--chain", "nothing"],
        &["init", "."],
        &["check", "nowhere"],
        &["serve", "--config", "nowhere"],
        &["access", "test", "nowhere", "--config", "config"],
        &["access", "why", "uid:1", "read", "nothing", "--config", "config"],
        &["access", "who", "read", "nothing", "--config", "config"],
        &["token", "list", "--config", "nowhere"],
        &["token", "revoke", "nobody", "--config", "config"],
    ] {
        drive.call(stage, words, &[], false);
    }
}

/// A secret in the words of the commands, where it is refused.
fn misplaced(drive: &mut Drive<'_>, stage: &Stage<'_>, secret: &Secret) {
    let text = &secret.text();
    let (value, flag) = (format!("--override_0={text}"), format!("--{text}"));
    let (pair, named) = (format!("{text}=x"), format!("n={text}"));
    for words in [
        &[text.as_str()][..],
        &["resolve", text],
        &["resolve", "canary", "--run-id", "d", "--n", text],
        &["resolve", "canary", "--secret", &named],
        &["resolve", "canary", &flag, "x"],
        &["resolve", "canary", "--params-file", text],
        &["explain", "canary", "--override-0", text],
        &["explain", "canary", &value],
        &["explain", "canary", "--preset", text],
        &["explain", "canary", "--environment", text],
        &["explain", "canary", "--param", &pair],
        &["explain", "canary", "--param", &named],
        &["explain", "canary", "--secret", text],
        &["explain", "canary", "--output", text],
        &["context", "canary/b", text],
        &["pipelines", "show", text],
        &["runs", "show", text],
        &["runs", "list", "--state", text],
        &["why", text],
        &["diff", text, "canary/a"],
        &["extend", "canary/b", "--lifetime", text],
        &["complete", "canary/b", text],
        &["reveal", "canary/b", "go-env", "n", "--instance", text],
        &["audit", "list", "--action", text],
        &["audit", "tail", "--action", text],
        &["token", "create", text, "--config", "config", "--expires", text],
        &["access", "test", text],
        &["access", "why", text, "read", "nothing"],
        &["access", "why", "uid:1", "read", "canary", "--time", text],
        &["access", "who", text, "canary"],
        &["access", "who", "read", text],
        &["schema", text],
        &["completions", text],
        &["--endpoint", text, "audit", "verify"],
    ] {
        drive.call(stage, words, &[], false);
    }
}

/// A configuration with secrets where none may be written.
pub(in crate::canary) fn literals(drive: &mut Drive<'_>, daemon: &Daemon, bad: &Config) {
    let path = bad.path.to_str().unwrap();
    for words in [
        &["check", path][..],
        &["check", path, "--output", "json"],
        &["check", path, "--risks"],
        &["serve", "--config", path],
        &["serve", "--dev", "--config", path, "--log-format", "json"],
    ] {
        let mut command = paramd([]).at(daemon).env("PARAMD_LOG", "trace").into_command();
        let output = command.args(words).output().unwrap();
        let all = [output.stdout.as_slice(), &output.stderr].concat();
        let problems = String::from_utf8_lossy(&all).matches("literal").count();
        assert!(problems > 5, "{problems} problems: the files were read");
        drive.ended(words, output, false);
    }
}
