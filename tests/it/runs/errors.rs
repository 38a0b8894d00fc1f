//! Every reason that is served, with the code, the metadata and the delay that
//! the contract's table has for it.

use std::collections::BTreeSet;

use paramd::proto::v1::{
    GetContextRequest, GetPipelineRequest, Recipient, RevealSecretsRequest, RunOutcome,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tonic::Status;

use super::small;
use crate::support::client::{Client, resolve, run};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::root;
use crate::support::status::{Problem, check_reason};

/// Fails unless an error is as its row of the contract's table says.
#[track_caller]
pub(super) fn check_row(status: &Status, reason: &str) -> Problem {
    let problem = check_reason(status, reason);
    let page = std::fs::read_to_string(root().join("proto/README.md")).unwrap();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let rows = page.lines().filter(|line| line.starts_with("| `")).map(cells);
    let rows: Vec<_> = rows.filter(|row| row.len() == 6).collect();
    let at = rows.iter().position(|row| row[1] == format!("`{reason}`")).unwrap();
    let row = &rows[at];
    let metadata = rows[..=at].iter().rev().map(|row| &row[3]).find(|cell| *cell != "the same");
    let metadata = metadata.unwrap();
    let expected: BTreeSet<&str> = metadata.split('`').skip(1).step_by(2).collect();
    let actual: BTreeSet<&str> = problem.metadata.keys().map(String::as_str).collect();
    assert_eq!(actual, expected, "{reason}");
    assert_eq!(format!("`{}`", problem.code), row[0], "{reason}");
    assert_eq!(problem.retry, row[4].contains("RetryInfo"), "{reason}");
    problem
}

async fn started(config: &Config) -> (Daemon, Client) {
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    (daemon, client)
}

fn reveal(step: &str, names: &[&str]) -> RevealSecretsRequest {
    RevealSecretsRequest {
        run: Some(run("small", "a")),
        step: step.into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        all: names.is_empty(),
        ..RevealSecretsRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there() {
    let config = small();
    let (daemon, mut client) = started(&config).await;
    let request = GetPipelineRequest { pipeline: "absent".into() };
    let status = client.pipelines.get_pipeline(request).await.unwrap_err();
    let problem = check_row(&status, "PIPELINE_NOT_FOUND");
    assert_eq!(problem.metadata["pipeline"], "absent");
    check_row(&client.resolve(resolve("absent", "a")).await.unwrap_err(), "PIPELINE_NOT_FOUND");
    let moon = resolve("small", "a").with(|request| request.environment = "moon".into());
    let problem = check_row(&client.resolve(moon).await.unwrap_err(), "ENVIRONMENT_NOT_FOUND");
    assert_eq!(problem.metadata["environment"], "moon");
    let status = client.context(&run("small", "a"), "go").await.unwrap_err();
    let problem = check_row(&status, "RUN_NOT_FOUND");
    assert_eq!(problem.metadata["run_id"], "a");
    client.resolve(resolve("small", "a")).await.unwrap();
    let status = client.context(&run("small", "a"), "absent").await.unwrap_err();
    let problem = check_row(&status, "STEP_NOT_FOUND");
    assert_eq!(problem.metadata["step"], "absent");
    check_row(
        &client.reveal_all(&run("small", "a"), "absent", None).await.unwrap_err(),
        "STEP_NOT_FOUND",
    );
    let second = paramd::proto::v1::RunName { attempt: 2, ..run("small", "a") };
    let problem = check_row(&client.context(&second, "go").await.unwrap_err(), "RUN_NOT_FOUND");
    assert_eq!(problem.metadata["attempt"], "2");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_wrong_or_over() {
    let config = small();
    let (daemon, mut client) = started(&config).await;
    let resolved = client.resolve(resolve("small", "a")).await.unwrap();
    let other = resolve("small", "a").text("epochs", "2").text("note", "x");
    let problem = check_row(&client.resolve(other).await.unwrap_err(), "RUN_CONFLICT");
    assert_eq!(problem.metadata["differs"], "overrides.epochs,overrides.note");
    let status = client.context.reveal_secrets(reveal("go", &["absent"])).await.unwrap_err();
    let problem = check_row(&status, "ACCESS_DENIED");
    assert_eq!(problem.violations[0].field, "names[0]");
    let status = client.context.reveal_secrets(reveal("wide", &[])).await.unwrap_err();
    assert_eq!(check_row(&status, "STEP_SKIPPED").metadata["step"], "wide");
    let recipient = Some(Recipient { suite: 7, ..Recipient::default() });
    let sealed = RevealSecretsRequest { recipient, ..reveal("go", &[]) };
    let status = client.context.reveal_secrets(sealed).await.unwrap_err();
    check_row(&status, "SEALING_UNSUPPORTED");
    let status = client.complete(&run("small", "a"), RunOutcome::Unspecified).await.unwrap_err();
    let problem = check_row(&status, "INVALID_REQUEST");
    assert_eq!(problem.violations[0].reason, "MISSING_FIELD");
    client.complete(&run("small", "a"), RunOutcome::Cancelled).await.unwrap();
    for status in [
        client.complete(&run("small", "a"), RunOutcome::Failed).await.unwrap_err(),
        client.context(&run("small", "a"), "go").await.unwrap_err(),
        client.context.reveal_secrets(reveal("go", &["header"])).await.unwrap_err(),
    ] {
        let problem = check_row(&status, "RUN_ENDED");
        assert_eq!(problem.metadata["state"], "completed");
        assert_eq!(problem.metadata["outcome"], "cancelled");
    }
    let again = client.resolve(resolve("small", "a")).await.unwrap();
    assert_eq!(again.snapshot, resolved.snapshot);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_is_nobodys() {
    let config = small();
    let (daemon, mut client) = started(&config).await;
    let mut request = tonic::Request::new(GetContextRequest {
        run: Some(run("small", "a")),
        step: "go".into(),
        ..GetContextRequest::default()
    });
    request.metadata_mut().insert("authorization", "Bearer hunter2-hunter2".parse().unwrap());
    let status = client.context.get_context(request).await.unwrap_err();
    check_row(&status, "UNAUTHENTICATED");
    let events = client.events().await;
    let event = events.iter().find(|event| event.action().as_str_name() == "ACTION_AUTHENTICATE");
    let event = event.expect("it is in the log");
    assert_eq!(event.reason, "UNAUTHENTICATED");
    assert_eq!(event.principal.as_ref().unwrap().name, "anonymous");
    assert!(!format!("{events:?} {}", daemon.log()).contains("hunter2"));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_three_mebibytes_is_not_given() {
    let config = Config::new(
        "",
        "wide",
        r#"name: wide
parameters:
  text: { type: string, default: "" }
steps:
  - { name: one, params: [text] }
  - { name: many, matrix: { i: "[1, 2, 3, 4]" }, env: { T: "{{ params.text }}{{ matrix.i }}" } }
"#
        .replace("\"[1, 2, 3, 4]\"", "params.items")
        .replace(
            "parameters:\n",
            "parameters:\n  items: { type: array, items: { type: integer }, default: [1, 2, 3, 4] }\n",
        )
        .as_str(),
    );
    let (daemon, mut client) = started(&config).await;
    let long = "x".repeat(1_000_000);
    client.resolve(resolve("wide", "a").text("text", &long)).await.unwrap();
    let status = client.context(&run("wide", "a"), "many").await.unwrap_err();
    let problem = check_row(&status, "ANSWER_TOO_LARGE");
    assert_eq!(problem.metadata["limit_bytes"], "3145728");
    let one = GetContextRequest {
        run: Some(run("wide", "a")),
        step: "many".into(),
        instance: Some(3),
        ..GetContextRequest::default()
    };
    let answer = client.context.get_context(one).await.unwrap().into_inner();
    assert_eq!(answer.context.unwrap().instances[0].index, 3);
    daemon.stop();
}

/// A server that gives every request this answer, in plain HTTP.
pub(super) async fn answering(status: &'static str, headers: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 8192];
                while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: 13\r\n\r\n{{\"errors\":[]}}"
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

pub(super) async fn vaulted(address: &str) -> Config {
    let sources = format!(
        r#"  main:
    vault: {{ address: "{address}", mounts: {{ secret: kv-v2 }}, auth: {{ token: {{ file: token }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["secret/*"] }}]
"#
    );
    let config = Config::new(
        &sources,
        "vaulted",
        r#"name: vaulted
parameters:
  b: { type: string, from: { vault: { mount: secret, path: x, field: b } } }
  a: { type: string, from: { vault: { mount: secret, path: x, field: a } } }
"#,
    );
    config.write_secret("token", "a-token-of-the-daemon");
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_does_wrong() {
    for (status, headers, reason, causes) in [
        ("403 Forbidden", "", "SOURCE_DENIED", &["refused", "login_failed"][..]),
        ("500 Internal Server Error", "", "SOURCE_UNAVAILABLE", &["server_error"]),
        ("429 Too Many Requests", "retry-after: 0\r\n", "SOURCE_UNAVAILABLE", &["rate_limited"]),
        ("503 Service Unavailable", "", "SOURCE_UNAVAILABLE", &["not_ready"]),
        ("200 OK", "", "SOURCE_FAILED", &["bad_answer"]),
    ] {
        let config = vaulted(&answering(status, headers).await).await;
        let (daemon, client) = started(&config).await;
        let error = client.resolve(resolve("vaulted", "a")).await.unwrap_err();
        let problem = check_row(&error, reason);
        assert_eq!(problem.metadata["source"], "vault");
        assert_eq!(problem.metadata["source_name"], "main");
        assert_eq!(problem.metadata["parameters"], "a,b");
        assert!(causes.contains(&problem.metadata["cause"].as_str()), "{status}: {problem:?}");
        let told: Vec<_> =
            problem.violations.iter().map(|v| (v.field.as_str(), v.reason.as_str())).collect();
        assert_eq!(told, [("a", reason), ("b", reason)]);
        daemon.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_gives_and_is_not_fit() {
    let config = small();
    let (daemon, client) = started(&config).await;
    let wide = resolve("small", "a").text("wide", "true");
    let problem = check_row(&client.resolve(wide).await.unwrap_err(), "RESOLUTION_FAILED");
    assert_eq!(problem.violations[0].reason, "NO_SUCH_VALUE");
    config.write_secret("files/token", "x".repeat((1 << 20) + 1));
    let status = client.resolve(resolve("small", "b")).await.unwrap_err();
    let problem = check_row(&status, "SOURCE_FAILED");
    assert_eq!(problem.metadata["cause"], "too_large");
    config.write_secret("files/token", b"\xff\xfe");
    let status = client.resolve(resolve("small", "c")).await.unwrap_err();
    let problem = check_row(&status, "RESOLUTION_FAILED");
    assert_eq!(problem.violations[0].field, "token");
    assert_eq!(problem.violations[0].reason, "INVALID_VALUE");
    daemon.stop();
}
