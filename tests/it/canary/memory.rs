//! The daemon's memory after a run's end: none of the run's secrets is in it.
//!
//! The heap is meant. What went through a register may stay on the stack of a thread
//! until that is used again, a few bytes of it; so on stacks no whole secret is.
//!
//! Root reads it through `/proc`, in all forms; a process that is closed to its own
//! user is open to root. The controls: what the daemon holds on purpose, its
//! variables, is found; and so is a run's secret while its caller is connected.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use paramd::proto::v1::value::Kind;
use paramd::proto::v1::{ResolveRunRequest, RunOutcome};

use super::forms::FORMS;
use super::plant::{self, Planted, SOURCES, Servers};
use super::search::Searcher;
use super::secret::{SHAPES, Secret};
use crate::support::client::{resolve, run};
use crate::support::daemon::{Daemon, Launch};
use crate::support::wait_for;

const LIMIT: Duration = Duration::from_secs(60);

fn request(planted: &Planted) -> ResolveRunRequest {
    let mut request = resolve("canary", "a").value("large", Kind::BoolValue(true));
    for (index, secret) in planted.of("override").iter().enumerate() {
        request = request.secret(&format!("override_{index}"), &secret.bytes);
    }
    request.into()
}

/// All that the process can write to: its heap, its stacks, all that is no file.
fn memory(pid: u32) -> Vec<Part> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut parts = Vec::new();
    let mut before = "";
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        // A page that nobody may touch is below each stack, and an arena of the
        // allocator begins at a multiple of 64 MiB.
        let guarded = before.contains(" ---p ") && before.contains(&format!("-{start} "));
        before = line;
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        let is_stack = line.ends_with("[stack]") || guarded && start % (64 << 20) != 0;
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // One that was given back since it was listed can't be read.
        if rest.starts_with("rw") && memory.read_exact_at(&mut bytes, start).is_ok() {
            parts.push(Part { place: if is_stack { "a stack" } else { "the heap" }, bytes });
        }
    }
    parts
}

/// A part of the memory that the process can write to.
struct Part {
    /// What it is.
    place: &'static str,
    bytes: Vec<u8>,
}

/// What is found of it: the source of each secret, its number, and its form.
fn found(daemon: &Daemon, searcher: &Searcher, secrets: &[Secret]) -> BTreeSet<String> {
    let parts = memory(daemon.pid());
    let length: usize = parts.iter().map(|part| part.bytes.len()).sum();
    assert!(length > 10 << 20, "its memory was read: {length}");
    let mut found = BTreeSet::new();
    for Part { place, bytes } in parts {
        for hit in searcher.search(&bytes, false) {
            let form = FORMS[usize::from(hit.form)].name;
            found.insert(format!("{}: {form} in {place}", secrets[hit.secret as usize].name));
        }
    }
    found
}

/// How many connections over TCP the process has.
fn connections(pid: u32) -> usize {
    let established = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let inodes: BTreeSet<String> = established
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.get(3) == Some(&"01"))
        .map(|words| format!("socket:[{}]", words[9]))
        .collect();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    targets.filter(|target| inodes.contains(target.to_str().unwrap())).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runs_secrets_are_gone_from_it_after_the_runs_end() {
    let mut planted = Planted::new(2 * SHAPES);
    let servers = Servers::start().await;
    let config = plant::configure(&servers, &mut planted).await;
    let mut launch = Launch::plain(&config.path, config.around());
    for (name, value) in planted.variables() {
        launch = launch.env(&name, &value);
    }
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let secrets: Vec<Secret> = SOURCES.iter().flat_map(|kind| planted.of(kind).to_vec()).collect();
    let searcher = Searcher::new(&secrets);
    let of_kind = |found: &BTreeSet<String>, kind: &str| {
        found.iter().filter(|hit| hit.starts_with(kind)).cloned().collect::<Vec<_>>()
    };

    client.resolve(request(&planted)).await.unwrap();
    for kind in SOURCES {
        for step in ["go", "large"] {
            let step = format!("{step}-{kind}");
            client.reveal_all(&run("canary", "a"), &step, None).await.unwrap();
        }
    }
    let open = found(&daemon, &searcher, &secrets);
    assert!(!of_kind(&open, "override").is_empty(), "the control, of an open run: {open:#?}");

    client.complete(&run("canary", "a"), RunOutcome::Succeeded).await.unwrap();
    drop(client);
    // What a source sent last is in the buffers of its connections as long as
    // they are kept.
    wait_for("connections that nobody uses are closed", LIMIT, || {
        (connections(daemon.pid()) == 0).then_some(())
    });
    let mut ended = found(&daemon, &searcher, &secrets);
    let held = of_kind(&ended, "env");
    let itself = held.iter().filter(|hit| hit.ends_with(": itself in the heap")).count();
    // One letter is too short to be looked for among bytes.
    assert_eq!(itself, 2 * SHAPES - 2, "the control, of what is held: {held:#?}");
    ended.retain(|hit| !hit.starts_with("env"));
    let in_heap = ended.iter().filter(|hit| hit.ends_with("the heap"));
    assert_eq!(in_heap.count(), 0, "{ended:#?}");
    assert!(ended.len() < 8, "more than a few pieces are on stacks: {ended:#?}");
    daemon.stop();
}
