//! A store that somebody edited by hand: what doesn't fit is refused, never
//! answered.

use paramd::proto::v1::{GetRunRequest, ResolveRunResponse};
use rusqlite::Connection;
use tonic::Status;

use crate::support::client::{Client, resolve, run};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::status::{check_reason, problem};

const SECRET: &str = "tok-11f0c5a83bd94e6e-of-a-file";

const PIPELINE: &str = "name: small
parameters:
  n: { type: integer, default: 1 }
  token: { type: string, secret: true, override: run, from: { file: { path: token } } }
presets: { quick: { n: 2 } }
steps:
  - { name: go, params: [n], run: [echo], env: { TOKEN: \"{{ params.token }}\" } }
";

fn config() -> Config {
    let source = "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"] }] }\n";
    let config = Config::new(source, "small", PIPELINE);
    config.write("environments/other.yaml", "{}\n");
    config.write_secret("files/token", SECRET);
    config
}

/// What of a run can be changed, each by a statement about the run `ID`.
const OF_THE_RECORD: [&str; 18] = [
    "update runs set environment = 'other' where run_id = 'ID'",
    "update runs set preset = 'quick' where run_id = 'ID'",
    "update runs set owner = 'uid:4294967294' where run_id = 'ID'",
    "update runs set owner_kind = 5 where run_id = 'ID'",
    "update runs set owner_kind = 99 where run_id = 'ID'",
    "update runs set revision = 'x' where run_id = 'ID'",
    "update runs set bundle = 'x' where run_id = 'ID'",
    "update runs set labels = '{\"a\":\"b\"}' where run_id = 'ID'",
    "update runs set logical_date = '2026-01-01T00:00:00Z' where run_id = 'ID'",
    "update runs set mode = 1 where run_id = 'ID'",
    "update runs set created = created - 5000000000 where run_id = 'ID'",
    "update runs set expires = expires + 86400000000000 where run_id = 'ID'",
    "update runs set outcome = 1, ended = created where run_id = 'ID'",
    "update runs set sealed = x'' where run_id = 'ID'",
    "update runs set record = x'00' where run_id = 'ID'",
    "update runs set record = cast(substr(record, 1, length(record) - 1) || iif(substr(record, -1) = x'00', x'01', x'00') as blob) where run_id = 'ID'",
    "update runs set record = (select record from runs where run_id = 'whole') where run_id = 'ID'",
    "update runs set attempt = 2 where run_id = 'ID'",
];

const OF_WHAT_IS_SEALED: [&str; 3] = [
    "update runs set sealed = x'01' where run_id = 'ID'",
    "update runs set sealed = cast(substr(sealed, 1, length(sealed) - 1) || iif(substr(sealed, -1) = x'00', x'01', x'00') as blob) where run_id = 'ID'",
    "update runs set sealed = (select sealed from runs where run_id = 'whole') where run_id = 'ID'",
];

async fn resolved(client: &Client, id: &str) -> ResolveRunResponse {
    client.resolve(resolve("small", id)).await.unwrap()
}

async fn get(client: &Client, id: &str) -> Result<(), Status> {
    let request = GetRunRequest { run: Some(run("small", id)) };
    client.runs.clone().get_run(request).await.map(drop)
}

async fn restarted(daemon: Daemon, launch: &Launch, edit: impl FnOnce(&Connection)) -> Daemon {
    daemon.stop();
    edit(&Connection::open(launch.config.join("state/paramd.db")).unwrap());
    launch.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_changed_of_a_run_it_is_refused() {
    let config = config();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let edits: Vec<_> = OF_THE_RECORD.into_iter().chain(OF_WHAT_IS_SEALED).enumerate().collect();
    for id in edits.iter().map(|(index, _)| format!("r{index}")).chain(["whole".to_owned()]) {
        resolved(&client, &id).await;
    }
    let daemon = restarted(daemon, &launch, |store| {
        for (index, edit) in &edits {
            let changed = store.execute(&edit.replace("ID", &format!("r{index}")), []).unwrap();
            assert_eq!(changed, 1, "{edit}");
        }
    })
    .await;
    let client = daemon.client().await;
    for (index, edit) in &edits {
        let id = format!("r{index}");
        let name = run("small", &id);
        let reveal = client.reveal_all(&name, "go", None).await.map(drop);
        let mut answers = vec![reveal];
        if *index < OF_THE_RECORD.len() {
            answers.push(get(&client, &id).await);
            answers.push(client.context(&name, "go").await.map(drop));
            if !edit.contains("attempt") {
                answers.push(client.resolve(resolve("small", &id)).await.map(drop));
            }
        }
        for answer in answers {
            let status = answer.expect_err(edit);
            assert_eq!(problem(&status).reason, "SNAPSHOT_UNREADABLE", "{edit}: {status:?}");
        }
    }
    let whole = client.reveal_all(&run("small", "whole"), "go", None).await.unwrap();
    assert_eq!(whole[0].payload.as_ref().unwrap().data, SECRET.as_bytes());
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_run_can_not_be_opened_again() {
    let config = config();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    for id in ["a", "b"] {
        resolved(&client, id).await;
    }
    client.complete(&run("small", "a"), paramd::proto::v1::RunOutcome::Failed).await.unwrap();
    let daemon = restarted(daemon, &launch, |store| {
        let open = "update runs set outcome = null, ended = null where run_id = 'a'";
        assert_eq!(store.execute(open, []).unwrap(), 1);
    })
    .await;
    let client = daemon.client().await;
    let status = client.context(&run("small", "a"), "go").await.unwrap_err();
    check_reason(&status, "SNAPSHOT_UNREADABLE");
    client.context(&run("small", "b"), "go").await.unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_fingerprint_key_is_no_conflict() {
    let config = config();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let request = || resolve("small", "a").secret("token", b"a-secret-of-the-caller");
    daemon.client().await.resolve(request()).await.unwrap();
    daemon.stop();
    std::fs::remove_file(config.path.join("state/fingerprints.key")).unwrap();
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let status = client.resolve(request()).await.unwrap_err();
    check_reason(&status, "SNAPSHOT_UNREADABLE");
    // What needs no fingerprint is served.
    client.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sealing_key_opens_nothing() {
    let config = config();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    resolved(&daemon.client().await, "a").await;
    daemon.stop();
    let key = config.path.join("state/sealing.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let status = client.reveal_all(&run("small", "a"), "go", None).await.unwrap_err();
    check_reason(&status, "SNAPSHOT_UNREADABLE");
    daemon.stop();
    config.write_secret("state/sealing.key", kept);
    let daemon = launch.start().await;
    daemon.client().await.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    daemon.stop();
}
