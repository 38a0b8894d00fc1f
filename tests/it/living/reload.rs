//! A bundle is taken in anew, whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use paramd::proto::v1::{ResolveRunResponse, resolved_parameter};
use rustix::process::Signal;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{SEEN, bundle, config, reloads, taken, wait_for_bundle, wait_for_reload};
use crate::support::client::{resolve, run, to_json};
use crate::support::daemon::Launch;
use crate::support::status::check_reason;
use crate::support::wait_until;

/// What a run has for `n`.
fn n(answer: &ResolveRunResponse) -> serde_json::Value {
    let parameters = &answer.snapshot.as_ref().unwrap().parameters;
    let found = parameters.iter().find(|one| one.name == "n").unwrap();
    match found.content.as_ref().unwrap() {
        resolved_parameter::Content::Value(value) => to_json(value),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_definition_leaves_the_last_good_one_in_force() {
    let config = config();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let open = client.resolve(resolve("p", "open")).await.unwrap();
    assert_eq!(n(&open), 1);
    assert_eq!(bundle(&daemon).await, ServingStatus::Serving);

    config.replace("pipelines/p.yaml", &[("default: 1", "default: hunter2-misplaced")]);
    let event = wait_for_reload(&daemon, 1).await;
    assert!(!taken(&event));
    wait_for_bundle(&daemon, ServingStatus::NotServing).await;
    let log = daemon.log();
    assert!(log.contains("pipelines/p.yaml:3:"), "{log}");
    assert!(log.contains("the last good bundle stays in force"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
    assert_eq!(n(&client.resolve(resolve("p", "meanwhile")).await.unwrap()), 1);

    config.replace("pipelines/p.yaml", &[("default: hunter2-misplaced", "default: 2")]);
    let event = wait_for_reload(&daemon, 2).await;
    assert!(taken(&event), "{event:?}");
    wait_for_bundle(&daemon, ServingStatus::Serving).await;
    let after = client.resolve(resolve("p", "after")).await.unwrap();
    assert_eq!(n(&after), 2);
    assert_ne!(after.run.unwrap().bundle, open.run.as_ref().unwrap().bundle);

    // What was open doesn't change, and says that today's is another one.
    let again = client.resolve(resolve("p", "open")).await.unwrap();
    assert_eq!(n(&again), 1);
    assert!(again.revision_changed);
    assert_eq!(again.run.unwrap().bundle, open.run.unwrap().bundle);
    let context = client.context(&run("p", "open"), "go").await.unwrap();
    assert!(format!("{context:?}").contains("\"1\""), "{context:?}");
    assert_eq!(reloads(&daemon).await.len(), 2, "each change is told once");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_problem_is_told_once_and_a_signal_asks_again() {
    let config = config();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    config.write("pipelines/p.yaml", "name: p\nparameters: {");
    wait_for_reload(&daemon, 1).await;
    let told = |log: &str| log.matches("the last good bundle stays in force").count();
    assert_eq!(told(&daemon.log()), 1);
    daemon.signal(Signal::HUP);
    assert!(!taken(&wait_for_reload(&daemon, 2).await));
    assert_eq!(told(&daemon.log()), 2);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_holds_for_the_next_request() {
    let config = config();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("p", "open")).await.unwrap();
    // Once more, so that these questions have been decided and answered before.
    client.resolve(resolve("p", "open")).await.unwrap();
    client.context(&run("p", "open"), "go").await.unwrap();
    let text = "permit (principal, action == Paramd::Action::\"audit\", resource);\n";
    config.write("policies/all.cedar", text);
    assert!(taken(&wait_for_reload(&daemon, 1).await));
    // Of a run that is open too.
    let status = client.resolve(resolve("p", "open")).await.unwrap_err();
    check_reason(&status, "ACCESS_DENIED");
    let status = client.context(&run("p", "open"), "go").await.unwrap_err();
    check_reason(&status, "ACCESS_DENIED");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_refused_with_its_name_and_nothing_else_is_taken() {
    let config = config();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    config.replace("paramd.yaml", &[("state/paramd.db", "state/other.db")]);
    wait_for_bundle(&daemon, ServingStatus::NotServing).await;
    config.replace("pipelines/p.yaml", &[("default: 1", "default: 2")]);
    assert!(!taken(&wait_for_reload(&daemon, 2).await));
    let log = daemon.log();
    assert!(log.contains("`store` has changed, which takes a restart"), "{log}");
    let client = daemon.client().await;
    assert_eq!(n(&client.resolve(resolve("p", "a")).await.unwrap()), 1);
    config.replace("paramd.yaml", &[("state/other.db", "state/paramd.db")]);
    wait_for_bundle(&daemon, ServingStatus::Serving).await;
    assert_eq!(n(&client.resolve(resolve("p", "b")).await.unwrap()), 2);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_comes_changes_and_goes() {
    let config = config();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    let with = |root: &str| {
        format!(
            "{settings}sources:\n  s: {{ file: {{ root: {root} }}, grants: [{{ pipelines: [\"*\"], paths: [\"*\"] }}] }}\n"
        )
    };
    config.write("one/n", "11");
    config.write("two/n", "22");
    let plain = std::fs::read_to_string(config.path.join("pipelines/p.yaml")).unwrap();
    let bound = plain.replace("default: 1", "from: { file: { path: n } }");
    for (index, (settings, pipeline, expected)) in
        [(with("one"), &bound, 11), (with("two"), &bound, 22), (settings.clone(), &plain, 1)]
            .into_iter()
            .enumerate()
    {
        // A half of it is refused, if it is seen at all.
        config.write("paramd.yaml", settings);
        config.write("pipelines/p.yaml", pipeline);
        daemon.signal(Signal::HUP);
        let mut number = 0;
        wait_until("the source is the new one", SEEN, async || {
            number += 1;
            let run = format!("{index}-{number}");
            let answer = client.resolve(resolve("p", &run)).await.ok()?;
            (n(&answer) == expected).then_some(())
        })
        .await;
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_bundles_come_and_go() {
    let config = config();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|worker| {
            let (client, over) = (client.clone(), over.clone());
            tokio::spawn(async move {
                let mut count = 0;
                while !over.load(Ordering::SeqCst) {
                    let name = format!("{worker}-{count}");
                    let answer = client.resolve(resolve("p", &name)).await.unwrap();
                    let context = client.context(&run("p", &name), "go").await.unwrap();
                    // One bundle from its beginning to its end.
                    assert!(format!("{context:?}").contains(&format!("\"{}\"", n(&answer))));
                    count += 1;
                }
                count
            })
        })
        .collect();
    for round in 0..10 {
        let text = super::PIPELINE.replace("default: 1", &format!("default: {}", 100 + round));
        config.write("pipelines/p.yaml", text);
        for _ in 0..20 {
            daemon.signal(Signal::HUP);
        }
        wait_for_reload(&daemon, round + 1).await;
    }
    over.store(true, Ordering::SeqCst);
    for worker in load {
        assert!(worker.await.unwrap() > 0);
    }
    let mut number = 0;
    wait_until("the last bundle is in force", SEEN, async || {
        number += 1;
        let name = format!("last-{number}");
        (n(&client.resolve(resolve("p", &name)).await.unwrap()) == 109).then_some(())
    })
    .await;
    assert!(reloads(&daemon).await.iter().all(taken));
    assert_eq!(bundle(&daemon).await, ServingStatus::Serving);
    daemon.stop();
}
