//! What others bring about: sources, sizes, the disk, the daemon's end.

use std::time::Duration;

use paramd::proto::v1::{GetRunRequest, RunOutcome};
use rustix::process::Signal;
use tokio::net::TcpListener;

use super::Reached;
use super::plain::{complete, context, diff, explain, mint, resolved, reveal};
use crate::runs::errors::{answering, vaulted};
use crate::runs::full::{limit, until_full};
use crate::runs::small;
use crate::support::client::{resolve, run};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::wait_until;

/// What sources don't have, don't give, or give wrongly.
pub(super) async fn sources(reached: &mut Reached) {
    for (status, reason) in [
        ("403 Forbidden", "SOURCE_DENIED"),
        ("503 Service Unavailable", "SOURCE_UNAVAILABLE"),
        ("200 OK", "SOURCE_FAILED"),
    ] {
        let config = vaulted(&answering(status, "").await).await;
        let daemon = Launch::dev(&config.path, config.around()).start().await;
        let client = daemon.client().await;
        reached.note("ResolveRun", reason, resolved(&client, resolve("vaulted", "a")).await);
        daemon.stop();
    }
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let wide = resolve("small", "a").text("wide", "true");
    reached.note("ResolveRun", "RESOLUTION_FAILED", resolved(&client, wide).await);
    daemon.stop();
    gone(reached).await;
}

/// A version that is gone needs a real server: each has its own way to say so.
async fn gone(reached: &mut Reached) {
    let bao = crate::runs::vault::filled().await;
    let config = crate::runs::vault::vaulted(&bao, &bao.address()).await;
    bao.remove("secret", "ml/key", "delete").await;
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let answer = resolved(&client, resolve("vaulted", "a")).await;
    let problem = reached.note("ResolveRun", "RESOLUTION_FAILED", answer).unwrap();
    assert_eq!(problem.violations[0].reason, "VALUE_GONE");
    daemon.stop();
}

const LARGE: &str = r#"name: large
parameters:
  a: { type: string, default: "" }
  b: { type: string, default: "" }
  s1: { type: string, secret: true, override: run }
  s2: { type: string, secret: true, override: run }
  s3: { type: string, secret: true, override: run }
  items: { type: array, items: { type: integer }, default: [1, 2, 3, 4] }
steps:
  - { name: many, params: [b, s1, s2, s3], matrix: { i: params.items }, env: { T: "{{ params.a }}{{ matrix.i }}" } }
"#;

/// Answers over 3 MiB.
pub(super) async fn answers_too_large(reached: &mut Reached) {
    let config = Config::new("", "large", LARGE);
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let mut client = daemon.client().await;
    let whole = vec![b'x'; 1 << 20];
    for run_id in ["a", "b"] {
        let letter = run_id.repeat(900_000);
        let large = resolve("large", run_id)
            .text("a", &letter)
            .text("b", &letter)
            .secret("s1", &whole[..10])
            .secret("s2", &whole[..10])
            .secret("s3", &whole[..10]);
        client.resolve(large).await.unwrap();
    }
    let (a, b) = (run("large", "a"), run("large", "b"));
    let answer = client.context.get_context(context(&a, "many")).await;
    reached.note("GetContext", "ANSWER_TOO_LARGE", answer);
    let answer = client.runs.diff_runs(diff(&a, &b)).await;
    reached.note("DiffRuns", "ANSWER_TOO_LARGE", answer);
    let mut asked = explain("large", "dev");
    asked.text_overrides.insert("a".into(), "x".repeat(1_000_000));
    asked.text_overrides.insert("b".into(), "x".repeat(1_000_000));
    for name in ["s1", "s2", "s3"] {
        asked.secret_overrides.insert(name.into(), Default::default());
    }
    let answer = client.runs.explain_run(asked).await;
    reached.note("ExplainRun", "ANSWER_TOO_LARGE", answer);
    let secret =
        resolve("large", "c").secret("s1", &whole).secret("s2", &whole).secret("s3", &whole);
    client.resolve(secret).await.unwrap();
    let answer = client.context.reveal_secrets(reveal(&run("large", "c"), "many")).await;
    reached.note("RevealSecrets", "ANSWER_TOO_LARGE", answer);
    daemon.stop();
}

/// A record that was changed.
pub(super) async fn records(reached: &mut Reached) {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    for run_id in ["a", "whole"] {
        client.resolve(resolve("small", run_id)).await.unwrap();
    }
    daemon.stop();
    let store = rusqlite::Connection::open(config.path.join("state/paramd.db")).unwrap();
    store.execute("update runs set owner = 'x' where run_id = 'a'", []).unwrap();
    drop(store);
    let daemon = launch.start().await;
    let mut client = daemon.client().await;
    let (changed, whole) = (run("small", "a"), run("small", "whole"));
    let answer = resolved(&client, resolve("small", "a")).await;
    reached.note("ResolveRun", "SNAPSHOT_UNREADABLE", answer);
    let answer = client.runs.get_run(GetRunRequest { run: Some(changed.clone()) }).await;
    reached.note("GetRun", "SNAPSHOT_UNREADABLE", answer);
    for (base, other) in [(&changed, &whole), (&whole, &changed)] {
        let answer = client.runs.diff_runs(diff(base, other)).await;
        reached.note("DiffRuns", "SNAPSHOT_UNREADABLE", answer);
    }
    let answer = client.runs.mint_step_token(mint(&changed, "go")).await;
    reached.note("MintStepToken", "SNAPSHOT_UNREADABLE", answer);
    let answer = client.context.get_context(context(&changed, "go")).await;
    reached.note("GetContext", "SNAPSHOT_UNREADABLE", answer);
    let answer = client.context.reveal_secrets(reveal(&changed, "go")).await;
    reached.note("RevealSecrets", "SNAPSHOT_UNREADABLE", answer);
    daemon.stop();
}

/// New requests, while one that was begun is waited for.
pub(super) async fn a_stopping_daemon(reached: &mut Reached) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = vaulted(&format!("http://{}", listener.local_addr().unwrap())).await;
    let mut daemon = Launch::dev(&config.path, config.around()).start().await;
    let mut client = daemon.client().await;
    let begun = client.clone();
    let begun = tokio::spawn(async move { begun.resolve(resolve("vaulted", "a")).await });
    // It has asked, and nobody answers.
    let asked = listener.accept().await.unwrap();
    daemon.signal(Signal::TERM);
    let answer = wait_until("the daemon stops", Duration::from_secs(10), async || {
        let answer = client.runs.clone().explain_run(explain("vaulted", "dev")).await;
        answer.is_err().then_some(answer)
    })
    .await;
    reached.note("ExplainRun", "NOT_SERVING", answer);
    let answer = client.runs.complete_run(complete(&run("vaulted", "a"), RunOutcome::Failed)).await;
    reached.note("CompleteRun", "NOT_SERVING", answer);
    drop((asked, listener));
    assert!(begun.await.unwrap().is_err());
    assert!(daemon.wait().success());
}

/// Runs and records that find no room.
pub(super) async fn a_full_disk(reached: &mut Reached) {
    let config = small();
    let launch =
        Launch { before: "trap '' XFSZ; ", ..Launch::plain(&config.path, config.around()) };
    let daemon = launch.start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "first")).await.unwrap();
    limit(&daemon, Some(96 << 10));
    let count = std::cell::Cell::new(0);
    let status = until_full(async || {
        count.set(count.get() + 1);
        resolved(&client, resolve("small", &format!("run-{}", count.get()))).await
    })
    .await;
    reached.note("ResolveRun", "STORE_UNAVAILABLE", Err::<tonic::Response<()>, _>(status));
    let status = until_full(async || {
        client.context.clone().reveal_secrets(reveal(&run("small", "first"), "go")).await
    })
    .await;
    reached.note("RevealSecrets", "AUDIT_UNAVAILABLE", Err::<tonic::Response<()>, _>(status));
    limit(&daemon, None);
    daemon.stop();
}
