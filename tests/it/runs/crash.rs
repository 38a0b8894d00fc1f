//! What was frozen comes back the same after `kill -9`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use paramd::proto::v1::{Action, EventOutcome, ResolveResult, VerifyLogRequest};

use super::{TOKEN, small};
use crate::support::client::{resolve, run};
use crate::support::daemon::Launch;
use crate::support::status::check_reason;
use crate::support::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_survives_kill_9_without_a_source_being_read() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around()).env("REGION", "north");
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let request = || resolve("small", "a").text("epochs", "20").secret("token", TOKEN.as_bytes());
    let first = client.resolve(request()).await.unwrap();
    daemon.kill();

    // Nothing that could be read again is left.
    std::fs::remove_file(config.path.join("tables.db")).unwrap();
    std::fs::remove_dir_all(config.path.join("files")).unwrap();
    std::fs::create_dir(config.path.join("files")).unwrap();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let second = client.resolve(request()).await.unwrap();
    assert_eq!(second.result(), ResolveResult::Replayed);
    assert_eq!(second.snapshot, first.snapshot);
    assert_eq!(second.run, first.run);
    let secrets = client.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    let header = secrets.iter().find(|secret| secret.name == "header").unwrap();
    assert_eq!(header.payload.as_ref().unwrap().data, format!("Bearer {TOKEN}").into_bytes());

    let other = resolve("small", "a").text("epochs", "21").secret("token", TOKEN.as_bytes());
    let problem = check_reason(&client.resolve(other).await.unwrap_err(), "RUN_CONFLICT");
    assert_eq!(problem.metadata["differs"], "overrides.epochs");
    let mut audit = client.audit.clone();
    let report = audit.verify_log(VerifyLogRequest::default()).await.unwrap().into_inner();
    assert!(report.chains.iter().all(|chain| chain.defect == 0), "{report:?}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_was_edited_changes_no_open_run() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around()).env("REGION", "north");
    let daemon = launch.start().await;
    let first = daemon.client().await.resolve(resolve("small", "a")).await.unwrap();
    daemon.kill();
    config.replace("pipelines/small.yaml", &[("default: 10,", "default: 11,")]);
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let second = client.resolve(resolve("small", "a")).await.unwrap();
    assert_eq!(second.snapshot, first.snapshot);
    assert!(second.revision_changed);
    let context = client.context(&run("small", "a"), "go").await.unwrap().context.unwrap();
    assert_eq!(context.instances[0].run, ["echo", "e10-north"]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_store_is_noticed() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    daemon.client().await.resolve(resolve("small", "a")).await.unwrap();
    daemon.stop();
    // Another sealing key is what a changed record looks like.
    let key = config.path.join("state/sealing.key");
    let length = std::fs::read(&key).unwrap().len();
    std::fs::remove_file(&key).unwrap();
    let daemon = launch.start().await;
    assert_eq!(std::fs::read(&key).unwrap().len(), length, "the key was made anew");
    let status =
        daemon.client().await.reveal_all(&run("small", "a"), "go", None).await.unwrap_err();
    check_reason(&status, "SNAPSHOT_UNREADABLE");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_was_given_out_without_its_record() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let mut daemon = launch.start().await;
    daemon.client().await.resolve(resolve("small", "a")).await.unwrap();
    let given = Arc::new(AtomicUsize::new(0));
    for round in 1..=5 {
        let client = daemon.client().await;
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (client, given) = (client.clone(), Arc::clone(&given));
                tokio::spawn(async move {
                    while client.reveal_all(&run("small", "a"), "go", None).await.is_ok() {
                        given.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        wait_until("secrets are given out", Duration::from_secs(30), async || {
            (given.load(Ordering::SeqCst) > round * 40).then_some(())
        })
        .await;
        daemon.kill();
        for caller in callers {
            caller.await.unwrap();
        }
        daemon = launch.start().await;
    }
    let events = daemon.client().await.events().await;
    let recorded = events
        .iter()
        .filter(|event| event.action() == Action::Reveal)
        .filter(|event| event.outcome() == EventOutcome::Succeeded)
        .count();
    let given = given.load(Ordering::SeqCst);
    assert!(recorded >= given, "{given} given out, {recorded} recorded");
    // At most one answer of each caller can have been lost with each kill.
    assert!(recorded <= given + 5 * 8, "{given} given out, {recorded} recorded");
    let mut audit = daemon.client().await.audit;
    let report = audit.verify_log(VerifyLogRequest::default()).await.unwrap().into_inner();
    assert!(report.chains.iter().all(|chain| chain.defect == 0), "{report:?}");
    daemon.stop();
}
