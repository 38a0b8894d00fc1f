//! `paramd audit tail`: events as they come, over restarts, until it is ended.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{TOKEN, shell};
use crate::support::client::resolve;
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::{python, root, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

/// A tail that runs, and what it prints.
struct Tail {
    child: Child,
    lines: Receiver<String>,
}

fn command(daemon: &Daemon, words: &[&str]) -> Command {
    let tail = ["audit", "tail"].into_iter().chain(words.iter().copied());
    paramd(tail).at(daemon).into_command()
}

impl Tail {
    fn begin(daemon: &Daemon, words: &[&str]) -> Self {
        Self::of(&mut command(daemon, words))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        let line = self.lines.recv_timeout(LIMIT).expect("a line comes in time");
        assert!(!line.contains(TOKEN));
        line
    }

    fn event(&self) -> Value {
        serde_json::from_str(&self.line()).expect("one document a line")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; the status and what it said beside its events.
    fn ended(mut self) -> (Option<i32>, String) {
        let status = wait_for("the tail ends", LIMIT, || self.child.try_wait().unwrap());
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

async fn resolved(daemon: &Daemon, names: impl IntoIterator<Item = String>) {
    let client = daemon.client().await;
    for name in names {
        client.resolve(resolve("shell", &name)).await.unwrap();
    }
}

fn names(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|one| format!("{name}{one}")).collect()
}

fn launch(config: &Config) -> Launch {
    Launch::plain(&config.path, config.around())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_goes_on_over_restarts_without_a_gap_or_a_double() {
    let config = shell();
    let launch = launch(&config);
    let mut daemon = launch.start().await;
    let tail = Tail::begin(&daemon, &["--output", "json", "--since", "2000-01-01T00:00:00Z"]);
    let mut seen = vec![tail.event()];
    for round in ["a", "b", "c"] {
        resolved(&daemon, names(round, 10)).await;
        // Some are printed and some are still on their way: it is this daemon that
        // is followed, and its end a break of its own.
        let of_this = |one: &serde_json::Value| {
            one["run"]["run_id"].as_str().is_some_and(|name| name.starts_with(round))
        };
        while !of_this(seen.last().unwrap()) {
            seen.push(tail.event());
        }
        if round == "b" {
            daemon.stop();
        } else {
            daemon.kill();
        }
        daemon = launch.start().await;
    }
    resolved(&daemon, ["last".to_owned()]).await;
    while seen.last().unwrap()["run"]["run_id"] != "last" {
        seen.push(tail.event());
    }
    let sequences: Vec<u64> = seen.iter().map(|one| one["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, (1..=*sequences.last().unwrap()).collect::<Vec<u64>>());
    assert!(seen.len() > 34, "{} events", seen.len());
    tail.signal(Signal::INT);
    let (status, said) = tail.ended();
    assert_eq!(status, Some(0));
    assert_eq!(said.lines().count(), 3, "each break is told once: {said}");
    assert_eq!(said.matches("the connection broke off").count(), 3, "{said}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_events_that_fit_come_as_plain_lines_until_it_is_told_to_end() {
    let config = shell();
    let daemon = launch(&config).start().await;
    resolved(&daemon, names("before", 1)).await;
    let tail = Tail::begin(&daemon, &["--action", "resolve", "--outcome", "succeeded"]);
    // A watch is on record once it has begun.
    let begun = ["audit", "list", "--action", "audit", "--limit", "1", "--output", "json"];
    wait_for("the watch begins", LIMIT, || {
        let listed = paramd(begun).at(&daemon).ok().json();
        (listed["events"].as_array()?.len() == 1).then_some(())
    });
    resolved(&daemon, names("x", 2)).await;
    for name in ["x0", "x1"] {
        let line = tail.line();
        assert!(line.contains(&format!(" resolve succeeded shell/{name} epochs, ")), "{line}");
    }
    tail.signal(Signal::TERM);
    assert_eq!(tail.ended(), (Some(0), String::new()));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_replaced_ends_the_tail_and_is_said() {
    let config = shell();
    let launch = launch(&config);
    let daemon = launch.start().await;
    resolved(&daemon, names("a", 1)).await;
    let tail = Tail::begin(&daemon, &["--output", "json", "--since", "24h", "--action", "resolve"]);
    let event = tail.event();
    daemon.stop();
    for file in ["paramd.db", "paramd.db-wal", "paramd.db-shm"] {
        let _ = std::fs::remove_file(config.path.join("state").join(file));
    }
    let daemon = launch.start().await;
    resolved(&daemon, names("b", 9)).await;
    assert!(tail.lines.recv_timeout(LIMIT).is_err(), "no event of the other store is printed");
    let (status, said) = tail.ended();
    assert_eq!(status, Some(6), "{said}");
    let last = format!("is {} of chain {}", event["sequence"], event["chain"].as_str().unwrap());
    assert!(said.contains("is gone") && said.contains(&last), "{said}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_ends_once_nobody_reads_it_though_no_event_comes() {
    let config = shell();
    let daemon = launch(&config).start().await;
    resolved(&daemon, names("a", 1)).await;
    let words = ["--since", "24h", "--action", "resolve"];
    let mut child = command(&daemon, &words).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.contains("shell/a0"), "{line}");
    drop(out);
    let status = wait_for("the tail ends", LIMIT, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_an_event_on_lines_that_fit() {
    let config = shell();
    let daemon = launch(&config).start().await;
    let name = "a-name-that-is-as-long-as-names-of-runs-may-be-in-some-orchestrators";
    resolved(&daemon, [name.to_owned()]).await;
    let mut command = Command::new(python());
    command.arg(root().join("tests/python/terminal.py")).args(["80", env!("CARGO_BIN_EXE_paramd")]);
    command.args(["audit", "tail", "--since", "24h", "--action", "resolve"]);
    let mut tail = Tail::of(command.env("PARAMD_ENDPOINT", daemon.endpoint()));
    let mut shown = vec![tail.line()];
    // The parameters' names are the event's last words.
    while !shown.last().unwrap().trim_end().ends_with("token") {
        shown.push(tail.line());
    }
    assert!(shown.len() > 2, "{shown:#?}");
    for line in &shown {
        assert!(line.trim_end().chars().count() <= 80, "{line}");
    }
    assert!(shown[1..].iter().all(|line| line.starts_with("    ")), "{shown:#?}");
    assert!(shown.iter().any(|line| line.contains(name)), "{shown:#?}");
    // With the terminal it ends.
    tail.child.kill().unwrap();
    tail.child.wait().unwrap();
    daemon.stop();
}
