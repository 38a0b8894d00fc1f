//! The daemon keeps to the paths and ports of its configuration, whatever is asked
//! of it: the kernel refuses the rest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use paramd::proto::v1::ResolveRunResponse;
use paramd::proto::v1::resolved_parameter::Content;
use rustix::process::Signal;
use tonic::Status;

use crate::support::client::{Client, resolve, to_json};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::status::check_reason;
use crate::support::{free_port, root, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

const PIPELINE: &str = "name: p
parameters:
  n: { type: string, from: { file: { path: n } } }
steps:
  - { name: go, params: [n], run: [echo] }
";

/// A configuration whose source is a folder beside it.
fn config(root: &str) -> Config {
    let grants = "grants: [{ pipelines: [\"*\"], paths: [\"*\"] }]";
    let config =
        Config::new(&format!("  s: {{ file: {{ root: ../{root} }}, {grants} }}\n"), "p", PIPELINE);
    write(&config.around().join(root), "one");
    config
}

fn write(folder: &Path, text: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("n"), text).unwrap();
}

async fn read(client: &Client, run: &str) -> Result<String, Status> {
    let answer: ResolveRunResponse = client.resolve(resolve("p", run)).await?;
    let parameters = answer.snapshot.unwrap().parameters;
    match parameters.into_iter().next().unwrap().content.unwrap() {
        Content::Value(value) => Ok(to_json(&value).as_str().unwrap().to_owned()),
        other => panic!("{other:?}"),
    }
}

/// Waits until the log has this text.
async fn told(daemon: &Daemon, text: &str) {
    wait_until(text, LIMIT, async || daemon.log().contains(text).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_it_keeps_for_itself() {
    let config = config("files");
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("confined landlock=")).unwrap();
    let part = |from: &str, to: &str| {
        let (_, rest) = line.split_once(from).unwrap();
        rest.split_once(to).unwrap().0.to_owned()
    };
    let (reads, writes) = (part("reads=\"", "\" writes"), part("writes=\"", "\" listens"));
    let here = config.around().canonicalize().unwrap();
    let parts: Vec<_> = reads.split(' ').collect();
    for wide in ["/", "/proc", "/tmp", "/root", "/home", "/run", "/var"] {
        assert!(!parts.contains(&wide), "{wide} in {reads}");
    }
    let is_ours = |path: &&str| Path::new(path).starts_with(&here);
    let reads: Vec<_> = reads.split(' ').filter(is_ours).map(PathBuf::from).collect();
    assert_eq!(reads[0], here.join("config"), "{reads:?}");
    assert_eq!(reads.last().unwrap(), &here.join("files"), "{reads:?}");
    assert!(reads.iter().all(|path| *path != here), "{reads:?}");
    let writes: Vec<_> = writes.split(' ').map(PathBuf::from).collect();
    assert_eq!(writes, ["config/run", "config/state"].map(|path| here.join(path)));
    assert!(line.contains("listens=\"\" connects=\"53\""), "{line}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_folder_in_the_place_of_a_root_is_closed_until_a_restart() {
    let config = config("files");
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    assert_eq!(read(&client, "a").await.unwrap(), "one");
    // What is new below the root is open, however it comes there.
    let files = config.around().join("files");
    std::fs::write(files.join("new"), "two").unwrap();
    std::fs::rename(files.join("new"), files.join("n")).unwrap();
    assert_eq!(read(&client, "b").await.unwrap(), "two");

    std::fs::rename(&files, config.around().join("old")).unwrap();
    write(&files, "three");
    // The kernel's own word, with the root that the daemon runs as.
    check_reason(&read(&client, "c").await.unwrap_err(), "SOURCE_DENIED");
    daemon.signal(Signal::HUP);
    told(&daemon, "files` isn't among what the daemon kept for itself at its start").await;
    assert!(daemon.log().contains("which takes a restart"), "{}", daemon.log());
    daemon.stop();
    let daemon = launch.start().await;
    assert_eq!(read(&daemon.client().await, "d").await.unwrap(), "three");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_needs_more_is_refused_and_says_restart() {
    let config = config("files");
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    write(&config.around().join("others"), "four");
    let restart = "isn't among what the daemon kept for itself at its start (Landlock), which takes a restart";
    config.replace("paramd.yaml", &[("../files", "../others")]);
    let here = config.around().canonicalize().unwrap();
    told(&daemon, &format!("the path `{}` {restart}", here.join("others").display())).await;
    assert_eq!(read(&client, "a").await.unwrap(), "one", "the last good one is in force");

    let port = free_port();
    let vault = format!(
        "sources:\n  v: {{ vault: {{ address: \"http://127.0.0.1:{port}\", mounts: {{ secret: kv-v2 }}, auth: {{ token: {{ env: T }} }} }}, grants: [] }}\n"
    );
    config.replace("paramd.yaml", &[("../others", "../files"), ("sources:\n", &vault)]);
    told(&daemon, &format!("the port {port} {restart}")).await;
    daemon.stop();

    let daemon = launch.start().await;
    assert!(daemon.log().contains(&format!("connects=\"53 {port}\"")), "{}", daemon.log());
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_replaced_is_refused_and_says_restart() {
    let config = config("files");
    let launch = Launch::dev(&config.path, config.around());
    let daemon = launch.start().await;
    let copy = Config::copy(&config.path);
    std::fs::rename(&config.path, config.around().join("before")).unwrap();
    std::fs::rename(&copy.path, &config.path).unwrap();
    daemon.signal(Signal::HUP);
    told(&daemon, "config` isn't among what the daemon kept for itself").await;
    assert_eq!(read(&daemon.client().await, "a").await.unwrap(), "one");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_not_there_is_told_at_the_start() {
    let config = config("files");
    std::fs::remove_dir_all(config.around().join("files")).unwrap();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let log = daemon.log();
    assert!(log.contains("can be read after a restart alone"), "{log}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_without_landlock_is_told_of_and_served_on() {
    let config = config("files");
    let launch = Launch::plain(&config.path, config.around());
    let script = root().join("tests/python/without_landlock.py").display().to_string();
    let launch = launch.env("WITHOUT_LANDLOCK", &script);
    let before = "set -- python3 \"$WITHOUT_LANDLOCK\" \"$@\"; ";
    let daemon = Launch { before, ..launch }.start().await;
    let log = daemon.log();
    assert!(log.contains("the daemon isn't confined by Landlock (the kernel has no"), "{log}");
    let files = config.around().join("files");
    std::fs::rename(&files, config.around().join("old")).unwrap();
    write(&files, "three");
    assert_eq!(read(&daemon.client().await, "a").await.unwrap(), "three");
    daemon.stop();
}
