//! What is said when the sources, the store or the definitions fall ill.

use std::path::Path;

use paramd::proto::v1::{GetRunRequest, ListRunsRequest};

use super::Drive;
use super::rpcs::{all_are_revealed, failures};
use crate::canary::literals;
use crate::canary::plant::{SOURCES, Servers};
use crate::support::client::{resolve, run};
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::Daemon;
use crate::support::status::everything;
use crate::support::wait_until;

/// Definitions with secrets in them, while the daemon serves: it refuses them and
/// says so. They are taken back.
pub(in crate::canary) async fn refuse_a_bundle(
    drive: &mut Drive<'_>,
    daemon: &Daemon,
    config: &Config,
) {
    literals::literal(config, drive.planted);
    let told =
        wait_until("the bundle is refused", std::time::Duration::from_secs(60), async || {
            let log = daemon.log();
            let (_, told) = log.split_once("the last good bundle stays in force")?;
            Some(format!("the last good bundle stays in force{told}"))
        })
        .await;
    drive.sinks.add("words on a bundle that is refused", told);
    let list = paramd(["pipelines", "list"]).at(daemon).ok();
    drive.sinks.add("output of commands as text", list.all());
    std::fs::remove_file(config.path.join("pipelines/literal.yaml")).unwrap();
    for layer in ["global.yaml", "environments/dev.yaml"] {
        config.write(layer, "{}\n");
    }
}

/// Changes the record of a run.
pub(in crate::canary) fn tamper(state: &Path) {
    let store = rusqlite::Connection::open(state.join("paramd.db")).unwrap();
    let changed = store.execute("update runs set owner = 'x' where run_id = 'c'", []).unwrap();
    assert_eq!(changed, 1);
}

/// After an abort: what was frozen is there, but for what somebody changed.
pub(in crate::canary) async fn after_an_abort(drive: &mut Drive<'_>, daemon: &Daemon) {
    let mut client = daemon.client().await;
    let answer = client.runs.get_run(GetRunRequest { run: Some(run("canary", "c")) }).await;
    assert!(!drive.keep("GetRun", answer));
    let answer = client.runs.list_runs(ListRunsRequest::default()).await;
    assert!(drive.keep("ListRuns", answer));
    let request = drive.request("json");
    drive.must_resolve(&mut client, request).await;
    for kind in SOURCES {
        all_are_revealed(drive, &mut client, "json", kind).await;
    }
    assert!(!drive.resolves(&mut client, resolve("broken-sqlite", "b").into()).await);
    let request = drive.other_request("json");
    assert!(!drive.resolves(&mut client, request).await);
}

/// The servers die, and runs are asked for.
pub(in crate::canary) async fn dead(drive: &mut Drive<'_>, daemon: &Daemon, servers: Servers) {
    drop(servers);
    let sink = "errors while the sources are dead";
    let mut client = daemon.client().await;
    for pipeline in ["canary", "broken-vault", "quoting", "failing"] {
        let request = match pipeline {
            "canary" => drive.request("dead"),
            _ => resolve(pipeline, "dead").into(),
        };
        let status = client.runs.resolve_run(request).await.unwrap_err();
        drive.badly("ResolveRun", &status);
        drive.sinks.add(sink, String::from_utf8_lossy(&everything(&status)).as_bytes());
        let answer = client.runs.list_failures(failures(run(pipeline, "dead"))).await;
        assert!(drive.keep("ListFailures", answer));
        let name = format!("{pipeline}/dead");
        for output in ["text", "json"] {
            let why = paramd(["why", &name, "--output", output]).at(daemon).ok();
            drive.sinks.add(sink, why.all());
        }
    }
    // What was frozen needs no source.
    all_are_revealed(drive, &mut client, "json", "vault").await;
}

/// The store's file is no database any more.
pub(in crate::canary) fn broken_store(drive: &mut Drive<'_>, config: &Config) {
    use std::os::unix::fs::FileExt as _;
    let path = config.path.join("state/paramd.db");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&drive.misplaced()[0].bytes, 0).unwrap();
    drop(file);
    let mut serve = paramd(["serve", "--config", config.path.to_str().unwrap()]);
    serve = serve.env("PARAMD_LOG", "trace").env("RUST_BACKTRACE", "full");
    for (name, value) in drive.planted.variables() {
        serve = serve.env(&name, &value);
    }
    let ended = serve.ended();
    assert_eq!(ended.status, Some(1));
    drive.note_command(&["serve"], false);
    drive.sinks.add("words on a broken store", ended.all());
}
