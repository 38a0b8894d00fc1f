//! Requests that multiply: what a run may take is bounded, whatever a matrix or
//! a thousand parameters make of one long text.

use paramd::proto::v1::ExplainRunRequest;

use crate::support::client::resolve;
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::status::{check_reason, problem};

const SOURCE: &str = "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"] }] }\n";

/// The most memory that a daemon had so far, in KiB.
fn most_memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn refused(config: &Config, request: crate::support::client::Resolve) {
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let status = client.resolve(request).await.unwrap_err();
    let found = problem(&status);
    assert_eq!(found.violations.len(), 1, "{found:?}");
    assert!(found.violations[0].description.contains("MiB together"), "{found:?}");
    let memory = most_memory(&daemon);
    assert!(memory < 400 << 10, "{memory} KiB");
    client.resolve(resolve("large", "b")).await.expect_err("it still answers");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matrix_over_a_long_text_is_bounded() {
    let pipeline = "name: large
parameters:
  note: { type: string }
  items: { type: array, items: { type: integer }, default: [] }
steps:
  - name: go
    matrix: { item: params.items }
    run: [echo, \"{{ matrix.item }}\"]
    env: { NOTE: \"{{ params.note }}\" }
";
    let config = Config::new("", "large", pipeline);
    let items: Vec<_> = (0..256).map(|item: i32| item.to_string()).collect();
    let request = resolve("large", "a")
        .text("note", &"n".repeat(1 << 20))
        .text("items", &format!("[{}]", items.join(",")));
    refused(&config, request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_of_many_long_texts_is_bounded() {
    let mut pipeline = "name: large\nparameters:\n  note: { type: string }\n".to_owned();
    for index in 0..250 {
        pipeline += &format!(
            "  p{index}: {{ type: string, from: {{ template: \"{{{{ params.note }}}}\" }} }}\n"
        );
    }
    let config = Config::new("", "large", &pipeline);
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let mut client = daemon.client().await;
    let request = ExplainRunRequest {
        pipeline: "large".into(),
        environment: "dev".into(),
        text_overrides: [("note".to_owned(), "n".repeat(1 << 20))].into(),
        ..ExplainRunRequest::default()
    };
    let status = client.runs.explain_run(request).await.unwrap_err();
    check_reason(&status, "INVALID_REQUEST");
    let found = problem(&status);
    assert!(found.violations[0].description.contains("MiB together"), "{found:?}");
    let memory = most_memory(&daemon);
    assert!(memory < 400 << 10, "{memory} KiB");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_texts_of_one_long_secret_are_bounded() {
    let mut pipeline = "name: large
parameters:
  long: { type: string, secret: true, from: { file: { path: long } } }
"
    .to_owned();
    let names: Vec<_> = (0..250).map(|index| format!("p{index}")).collect();
    for name in &names {
        pipeline += &format!(
            "  {name}: {{ type: string, from: {{ template: \"{{{{ params.long }}}}{name}\" }} }}\n"
        );
    }
    pipeline += &format!("steps: [{{ name: go, params: [{}], run: [echo] }}]\n", names.join(", "));
    let config = Config::new(SOURCE, "large", &pipeline);
    config.write_secret("files/long", "s".repeat((1 << 20) - 10));
    refused(&config, resolve("large", "a")).await;
}
