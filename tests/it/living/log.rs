//! The log: one line for each request.

use serde_json::Value;

use super::config;
use crate::support::client::{resolve, run};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn json() -> Config {
    let config = config();
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    config.write("paramd.yaml", settings + "log: json\n");
    config
}

/// The lines of requests.
fn requests(daemon: &Daemon) -> Vec<Value> {
    let log = daemon.log();
    let lines = log.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}"))
    });
    lines.map(|line| line["fields"].clone()).filter(|line| line["message"] == "request").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_tells_who_what_which_run_how_it_went_and_how_long_it_took() {
    let config = json();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let mut request = tonic::Request::new(resolve("p", "a run \u{7e}").into());
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    client.runs.clone().resolve_run(request).await.unwrap();
    client.context(&run("p", "a run ~"), "go").await.unwrap();
    client.resolve(resolve("p", "misplaced").text("n", "hunter2")).await.unwrap_err();
    client.resolve(resolve("hunter2", "a")).await.unwrap_err();
    client.context(&run("p", "hunter2"), "go").await.unwrap_err();
    let lines = requests(&daemon);
    assert_eq!(lines.len(), 5, "{lines:#?}");
    let uid = format!("uid:{}", rustix::process::getuid().as_raw());
    for line in &lines {
        assert_eq!(line["principal"], uid);
        assert!(line["ms"].is_u64());
    }
    let is = |index: usize, key: &str, value: &str| assert_eq!(lines[index][key], value);
    is(0, "rpc", "ResolveRun");
    is(0, "run", "p/a run ~/1");
    is(0, "code", "Ok");
    is(0, "trace_id", TRACE);
    is(1, "rpc", "GetContext");
    is(1, "step", "go");
    is(1, "run", "p/a run ~/1");
    is(2, "reason", "INVALID_REQUEST");
    is(3, "run", "");
    is(4, "reason", "RUN_NOT_FOUND");
    assert!(!daemon.log().contains("hunter2"), "{}", daemon.log());
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_for_people_have_no_control_byte() {
    let config = config();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("p", "a")).await.unwrap();
    client.resolve(resolve("p\u{1b}[31m", "b")).await.unwrap_err();
    let log = daemon.log();
    let told = log.lines().filter(|line| line.contains("request rpc=\"ResolveRun\"")).count();
    assert_eq!(told, 2, "{log}");
    assert!(!log.bytes().any(|byte| byte < 0x20 && byte != b'\n'), "{log:?}");
    daemon.stop();
}
