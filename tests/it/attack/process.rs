//! The daemon as others of its machine see it.

use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use paramd::proto::v1::ResolveRunResponse;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::client::resolve;
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::status::problem;
use crate::support::{wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

const PIPELINE: &str = "name: small
parameters:
  word: { type: string, default: other, from: { env: { name: WORD } } }
steps:
  - { name: go, params: [word], run: [echo] }
";

fn config() -> Config {
    let source = "  own: { env: { names: [WORD] }, grants: [{ pipelines: [\"*\"] }] }\n";
    Config::new(source, "small", PIPELINE)
}

/// What comes before the daemon, so that it is root without any capability: as far
/// as the kernel goes, any other user.
const WITHOUT_CAPABILITIES: &str =
    "set -- setpriv --inh-caps=-all --bounding-set=-all \"$@\"; ulimit -l 8192; ";

fn proc_file(pid: u32, file: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A line of `/proc/PID/status` without its name.
fn status(pid: u32, name: &str) -> String {
    let text = proc_file(pid, "status");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_leaves_no_core() {
    for signal in [Signal::SEGV, Signal::ABORT] {
        // What would leave one here, in a folder of its own.
        let control = tempfile::tempdir().unwrap();
        let mut dies = Command::new("sh");
        dies.args(["-c", "ulimit -c unlimited && exec sleep 60"]).current_dir(&control);
        let mut dies = dies.spawn().unwrap();
        wait_for("it sleeps", LIMIT, || {
            (proc_file(dies.id(), "comm").trim() == "sleep").then_some(())
        });
        kill_process(Pid::from_child(&dies), signal).unwrap();
        assert!(dies.wait().unwrap().core_dumped(), "nothing leaves a core on this machine");

        let config = config();
        let launch = Launch::dev(&config.path, config.around());
        // Above the daemon's own limit, in the folder that it is started in.
        let before = "ulimit -c unlimited; cd \"$TMPDIR\"; ";
        let mut daemon = Launch { before, ..launch }.start().await;
        let limits = proc_file(daemon.pid(), "limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let numbers: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
        // One byte: neither a file nor a handler gets a core.
        assert_eq!(numbers, ["1", "1"], "{core}");
        daemon.signal(signal);
        if signal == Signal::SEGV {
            // Rust's own handler takes the first for a fault that comes again.
            wait_for("the handler is gone", LIMIT, || {
                let caught = u64::from_str_radix(&status(daemon.pid(), "SigCgt"), 16).unwrap();
                (caught & (1 << (signal.as_raw() - 1)) == 0).then_some(())
            });
            daemon.signal(signal);
        }
        let ended = daemon.wait();
        assert_eq!(ended.signal(), Some(signal.as_raw()));
        assert!(!ended.core_dumped());
        let files = std::fs::read_dir(config.around()).unwrap();
        let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().starts_with("core")), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_of_its_user_reads_nothing_of_it() {
    let config = config();
    let launch = Launch::dev(&config.path, config.around()).env("WORD", "word-of-the-environment");
    let daemon = Launch { before: WITHOUT_CAPABILITIES, ..launch }.start().await;
    let line = proc_file(daemon.pid(), "cmdline");
    assert!(!line.contains("word-of-the-environment"));
    // One that isn't closed, started the same way.
    let mut open = Command::new("setpriv");
    open.args(["--inh-caps=-all", "--bounding-set=-all", "sleep", "60"]);
    let mut open = open.spawn().unwrap();
    wait_for("it sleeps", LIMIT, || (proc_file(open.id(), "comm").trim() == "sleep").then_some(()));
    for file in ["environ", "mem", "maps", "auxv", "stack"] {
        // What is not dumpable belongs to root, and others of its uid are refused
        // whoever they are.
        use std::os::unix::fs::MetadataExt as _;
        let path = format!("/proc/{}/{file}", daemon.pid());
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), 0, "{file}");
        let looks = |pid: u32| {
            let mut reader = Command::new("setpriv");
            reader.args(["--inh-caps=-all", "--bounding-set=-all", "sh", "-c"]);
            reader.arg(format!("exec 3< /proc/{pid}/{file} && head -c 1 <&3"));
            reader.stderr(Stdio::piped()).stdout(Stdio::piped()).output().unwrap()
        };
        let refused = looks(daemon.pid());
        assert!(refused.stdout.is_empty(), "{file}");
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        let why = ["Permission denied", "Operation not permitted"];
        assert!(why.iter().any(|why| told.contains(why)), "{file}: {told}");
        if matches!(file, "environ" | "maps" | "auxv") {
            assert_eq!(looks(open.id()).stdout.len(), 1, "the control: {file}");
        }
    }
    open.kill().unwrap();
    open.wait().unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gains_no_privileges_and_locks_its_memory() {
    let config = config();
    let launch = Launch::dev(&config.path, config.around());
    let daemon = launch.start().await;
    assert_eq!(status(daemon.pid(), "NoNewPrivs"), "1");
    assert!(status(daemon.pid(), "VmLck") != "0 kB", "{}", status(daemon.pid(), "VmLck"));
    assert!(daemon.log().contains("all memory is locked"), "{}", daemon.log());
    daemon.stop();

    // A page for each of three keys, or fewer pages; and then none at all.
    let daemon = Launch { before: WITHOUT_CAPABILITIES, ..launch }.start().await;
    assert_eq!(status(daemon.pid(), "CapEff"), "0000000000000000");
    let locked = status(daemon.pid(), "VmLck");
    assert!(["4 kB", "8 kB", "12 kB"].contains(&locked.as_str()), "{locked}");
    let log = daemon.log();
    assert!(log.contains("at most 8388608 bytes may be locked: the keys' pages are"), "{log}");
    assert!(log.contains("LimitMEMLOCK=infinity"), "{log}");
    daemon.stop();

    let before = "set -- setpriv --inh-caps=-all --bounding-set=-all \"$@\"; ulimit -l 0; ";
    let config = self::config();
    let launch = Launch::dev(&config.path, config.around());
    let daemon = Launch { before, ..launch }.start().await;
    assert_eq!(status(daemon.pid(), "VmLck"), "0 kB");
    let log = daemon.log();
    assert!(log.contains("at most 0 bytes may be locked: nothing is locked"), "{log}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn its_variables_are_wiped_where_the_kernel_shows_them_and_serve_on() {
    let config = config();
    let secret = "word-7c1f0d62-of-the-environment";
    let later = "later-7c1f0d62-of-the-environment";
    let daemon = Launch::dev(&config.path, config.around())
        .env("WORD", secret)
        .env("LATER", later)
        .env("LANG", "C.UTF-8")
        .start()
        .await;
    // As root, who may look.
    let environ = proc_file(daemon.pid(), "environ");
    assert!(environ.contains("LANG=C.UTF-8\0"), "what libraries read is there: {environ:?}");
    assert!(environ.contains("WORD=\0"), "{environ:?}");
    assert!(!environ.contains("7c1f0d62"), "{environ:?}");
    let client = daemon.client().await;
    assert_eq!(word(&client.resolve(resolve("small", "a")).await.unwrap()), secret);
    // One that only a later configuration asks for.
    config.replace("paramd.yaml", &[("names: [WORD]", "names: [WORD, LATER]")]);
    config.replace("pipelines/small.yaml", &[("{ name: WORD }", "{ name: LATER }")]);
    let mut number = 0;
    wait_until("the other variable is read", LIMIT, async || {
        number += 1;
        let answer = client.resolve(resolve("small", &format!("b{number}"))).await.ok()?;
        (word(&answer) == later).then_some(())
    })
    .await;
    daemon.stop();
}

fn word(answer: &ResolveRunResponse) -> serde_json::Value {
    let parameters = &answer.snapshot.as_ref().unwrap().parameters;
    let found = parameters.iter().find(|one| one.name == "word").unwrap();
    match found.content.as_ref().unwrap() {
        paramd::proto::v1::resolved_parameter::Content::Value(value) => {
            crate::support::client::to_json(value)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_no_text_is_not_an_unset_one() {
    let config = config();
    let launch = Launch::dev(&config.path, config.around());
    let daemon = launch.start().await;
    let answer = daemon.client().await.resolve(resolve("small", "a")).await.unwrap();
    assert_eq!(word(&answer), "other");
    daemon.stop();
    let bytes = std::ffi::OsString::from_vec(b"\xff\xfe-not-text".to_vec());
    let daemon = launch.raw_env("WORD", bytes).start().await;
    let status = daemon.client().await.resolve(resolve("small", "a")).await.unwrap_err();
    assert_eq!(problem(&status).violations[0].reason, "INVALID_VALUE");
    daemon.stop();
}
