//! The processes as the machine sees them, while they run and when they fall over.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::Drive;
use crate::canary::sinks::files;
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::Daemon;
use crate::support::wait_for;

const LIMIT: Duration = Duration::from_secs(60);

/// A step that says that it runs, and waits.
const WAIT: &str = "printf '%s\\n%s\\n' \"$A\" \"$B\"\ntouch started\n\
    while [ ! -e finish ]; do sleep 0.05; done\n";

/// Of a file of `/proc` that is closed to everyone of the same uid.
const CLOSED: &str = "closed";

fn of_proc(pid: u32, file: &str) -> Vec<u8> {
    match std::fs::read(format!("/proc/{pid}/{file}")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => CLOSED.into(),
        read => read.unwrap(),
    }
}

/// What the files are that a process has open, and what is in those that have
/// content and are none of `known`.
fn open_files(pid: u32, known: &dyn Fn(&str) -> bool) -> Vec<u8> {
    let folder = match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return CLOSED.into(),
        folder => folder.unwrap(),
    };
    let mut all = Vec::new();
    for entry in folder {
        let path = entry.unwrap().path();
        // It may have been closed by now.
        let Ok(target) = std::fs::read_link(&path) else { continue };
        let target = target.display().to_string();
        all.extend_from_slice(target.as_bytes());
        if path.is_file() && !known(&target) {
            all.extend(std::fs::read(&path).unwrap_or_default());
        }
        all.push(b'\n');
    }
    all
}

/// The daemon's process. What the operator put into its environment was wiped there,
/// and its memory and environment are closed to all but root.
pub(in crate::canary) fn of_daemon(drive: &mut Drive<'_>, daemon: &Daemon) {
    let environ = of_proc(daemon.pid(), "environ");
    let variables: Vec<&[u8]> = environ.split(|byte| *byte == 0).collect();
    assert!(variables.len() > 3 || environ == CLOSED.as_bytes());
    let sink = "the daemon's /proc/PID/cmdline and environ";
    drive.sinks.add(sink, variables.join(&b'\n'));
    if environ == CLOSED.as_bytes() {
        drive.sinks.add(sink, "PARAMD_LOG");
    }
    let line = of_proc(daemon.pid(), "cmdline");
    assert!(line.windows(5).any(|window| window == b"serve"));
    drive.sinks.add(sink, line);
    // The store and the log are places of their own.
    let known = |target: &str| {
        ["/daemon.", "/paramd.db"].iter().any(|name| target.contains(name))
            || target.ends_with(".key")
    };
    let open = open_files(daemon.pid(), &known);
    drive.sinks.add("the daemon's /proc/PID/fd", open);
}

/// Commands that run a step which waits, and the step itself.
pub(in crate::canary) fn of_commands(drive: &mut Drive<'_>, daemon: &Daemon, config: &Config) {
    let folder = config.around();
    std::fs::write(folder.join("wait.sh"), WAIT).unwrap();
    for words in [
        &["run", "waiting", "--run-id", "p"][..],
        &["resolve", "waiting", "--run-id", "q"],
        &["exec", "--run", "waiting/q", "--step", "wait"],
    ] {
        let command = paramd(words.iter().copied()).at(daemon).inside(folder);
        let mut command =
            command.env("TMPDIR", folder.join("tmp").to_str().unwrap()).into_command();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if words[0] != "resolve" {
            wait_for("the step runs", LIMIT, || folder.join("started").exists().then_some(()));
            look(drive, child.id());
            std::fs::write(folder.join("finish"), "").unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", words[0]);
        drive.sinks.add("output of steps", output.stdout);
        drive.sinks.add("errors of commands", output.stderr);
        for file in ["started", "finish"] {
            let _ = std::fs::remove_file(folder.join(file));
        }
    }
}

/// Looks at a command and at all below it. A step's own environment is where its
/// secrets belong.
fn look(drive: &mut Drive<'_>, pid: u32) {
    let sink = "/proc/PID of commands and their steps";
    drive.sinks.add(sink, of_proc(pid, "environ"));
    let mut open = vec![pid];
    let mut count = 0;
    while let Some(pid) = open.pop() {
        count += 1;
        drive.sinks.add(sink, of_proc(pid, "cmdline"));
        drive.sinks.add(sink, open_files(pid, &|_| false));
        open.extend(children(pid));
    }
    assert!(count > 1, "the step is a process");
}

fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{parent}"))
    };
    pids.filter(is_child).collect()
}

/// Names the child that falls over, and gives it what it falls over with.
const PANIC: &str = "CANARY_PANIC";

/// What a process of ours says that falls over with this in its payload.
fn panicked(payload: &str) -> Vec<u8> {
    let name = "canary::drive::processes::a_panic_tells_its_place_alone";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(PANIC, payload)
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    assert!(!output.status.success());
    [output.stdout, output.stderr].concat()
}

#[test]
fn a_panic_tells_its_place_alone() {
    if let Ok(payload) = std::env::var(PANIC) {
        paramd::cli::hide_panic_payloads();
        panic!("{payload} {payload:?}");
    }
    let said = String::from_utf8(panicked("hunter2-of-a-payload")).unwrap();
    assert!(said.contains("error: a fault of paramd at tests/it/canary"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

/// A panic with secrets in its payload.
pub(in crate::canary) fn panics(drive: &mut Drive<'_>) {
    for secret in drive.misplaced().iter().filter(|secret| secret.bytes.len() < 100_000) {
        drive.sinks.add("a panic", panicked(&secret.text()));
    }
}

/// Ends the daemon by a signal, with room for a core file if it left one.
pub(in crate::canary) fn crash(
    drive: &mut Drive<'_>,
    mut daemon: Daemon,
    config: &Config,
    signal: Signal,
) {
    // The first SIGSEGV that is no fault only takes Rust's own handler away.
    wait_for("the daemon crashes", LIMIT, || {
        let runs = daemon.is_running();
        if runs {
            daemon.signal(signal);
        }
        (!runs).then_some(())
    });
    let status = daemon.wait();
    let sink = "what a crash leaves";
    drive.sinks.add(sink, format!("{status}"));
    assert!(!format!("{status}").contains("core dumped"), "{status}");
    for folder in [Path::new("."), config.around(), &config.path] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(!(name.starts_with("core") && path.is_file()), "{name} is left");
            drive.sinks.add(sink, name);
        }
    }
    left(drive, config, sink);
}

/// All that lies around the configuration, but what we wrote there ourselves.
pub(in crate::canary) fn left(drive: &mut Drive<'_>, config: &Config, sink: &str) {
    let ours = |name: &str| {
        ["config", "leak.py", "wait.sh", "notify"].contains(&name)
            || name.ends_with("daemon.err")
            || name.starts_with("override-")
    };
    files(config.around(), drive.sinks, sink, &ours);
    let tmp = config.around().join("tmp");
    assert_eq!(std::fs::read_dir(tmp).unwrap().count(), 0, "commands leave no files");
}
