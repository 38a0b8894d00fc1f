//! The daemon as others of its machine see it.

use std::os::unix::ffi::OsStringExt as _;

use paramd::proto::v1::ResolveRunResponse;

use crate::support::client::resolve;
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::status::problem;

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

#[tokio::test(flavor = "multi_thread")]
async fn its_memory_is_closed_and_it_leaves_no_core() {
    let config = config();
    let daemon = Launch::dev(&config.path, config.around())
        .env("WORD", "word-of-the-environment")
        .start()
        .await;
    let proc = std::path::PathBuf::from(format!("/proc/{}", daemon.pid()));
    let limits = std::fs::read_to_string(proc.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let numbers: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    // One byte: neither a file nor a handler gets a core.
    assert_eq!(numbers, ["1", "1"], "{core}");
    // What is not dumpable belongs to root, so that nobody of its own uid can
    // read its environment or memory.
    for file in ["environ", "mem", "maps"] {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(std::fs::metadata(proc.join(file)).unwrap().uid(), 0, "{file}");
    }
    let line = std::fs::read(proc.join("cmdline")).unwrap();
    assert!(!String::from_utf8_lossy(&line).contains("word-of-the-environment"));
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
