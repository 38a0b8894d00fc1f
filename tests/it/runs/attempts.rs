//! Attempts of a run, and what a request says beside its values, through the
//! daemon.

use paramd::proto::v1::{
    AttemptMode, ExplainRunRequest, GetRunRequest, ResolveResult, ResolveRunRequest, RunName,
    RunOutcome, RunState,
};

use crate::support::client::{resolve, run, to_json};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::status::{check_invalid, check_reason};

const DATED: &str = r#"name: dated
parameters:
  day: { type: string, override: none, from: { template: "{{ run.logical_date | date_format('%Y-%m-%d') }}" } }
  stamp: { type: string, override: none, from: { template: "{{ run.logical_date }}" } }
  dated: { type: boolean, default: true }
  n: { type: integer, default: 1 }
steps:
  - name: go
    when: params.dated
    params: [stamp]
    run: [echo, "{{ params.day }}", "{{ run.attempt }}"]
  - { name: rest, params: [n] }
"#;

/// Attempt `number` of a run.
pub(super) fn attempt(pipeline: &str, run_id: &str, number: u32) -> RunName {
    RunName { attempt: number, ..run(pipeline, run_id) }
}

fn dated(number: u32, mode: AttemptMode) -> ResolveRunRequest {
    let date = prost_types::Timestamp { seconds: 1_772_409_600, nanos: 0 };
    let request = resolve("dated", "a").with(|request| {
        request.run = Some(attempt("dated", "a", number));
        request.mode = mode.into();
        request.logical_date = Some(date);
    });
    request.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_is_needed_where_it_is_read_and_told_in_utc() {
    let config = Config::new("", "dated", DATED);
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let missing = [("logical_date", "MISSING_FIELD")];
    check_invalid(&client.resolve(resolve("dated", "b")).await.unwrap_err(), &missing);
    let mut explain = ExplainRunRequest {
        pipeline: "dated".into(),
        environment: "dev".into(),
        ..ExplainRunRequest::default()
    };
    let status = client.runs.clone().explain_run(explain.clone()).await.unwrap_err();
    check_invalid(&status, &missing);
    // Nothing that is needed reads it.
    client.resolve(resolve("dated", "b").text("dated", "false")).await.unwrap();
    explain.logical_date = dated(1, AttemptMode::Unspecified).logical_date;
    let explained = client.runs.clone().explain_run(explain).await.unwrap().into_inner();
    let stamp = explained.parameters.iter().find(|one| one.name == "stamp").unwrap();
    assert_eq!(to_json(stamp.value.as_ref().unwrap()), "2026-03-02T00:00:00Z");
    let made = client.resolve(dated(1, AttemptMode::Unspecified)).await.unwrap();
    assert_eq!(made.run.unwrap().logical_date, dated(1, AttemptMode::Unspecified).logical_date);
    let context = client.context(&run("dated", "a"), "go").await.unwrap().context.unwrap();
    assert_eq!(context.instances[0].run, ["echo", "2026-03-02", "1"]);
    assert_eq!(to_json(&context.values["stamp"]), "2026-03-02T00:00:00Z");
    let other = resolve("dated", "a").with(|request| {
        request.logical_date = Some(prost_types::Timestamp { seconds: 1_772_409_600, nanos: 1 });
    });
    let problem = check_reason(&client.resolve(other).await.unwrap_err(), "RUN_CONFLICT");
    assert_eq!(problem.metadata["differs"], "logical_date");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_shown_and_a_revision_may_be_expected() {
    let config = super::small();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let labelled = |key: &str, text: &str| {
        resolve("small", "a").with(|request| {
            request.labels.insert(key.into(), text.into());
        })
    };
    check_invalid(
        &client.resolve(labelled("Team", "x")).await.unwrap_err(),
        &[("labels", "INVALID_FIELD")],
    );
    let made = client.resolve(labelled("airflow/dag-id", "nightly é")).await.unwrap();
    let labels = made.run.clone().unwrap().labels;
    assert_eq!(labels["airflow/dag-id"], "nightly é");
    // The first call's stay.
    let again = client.resolve(labelled("team", "x")).await.unwrap().run.unwrap();
    assert_eq!(again.labels, labels);
    let revision = made.run.unwrap().revision;
    let expecting = |run_id: &str, revision: &str| {
        resolve("small", run_id).with(|request| request.expected_revision = revision.into())
    };
    client.resolve(expecting("a", &revision)).await.unwrap();
    daemon.stop();
    // A name of its own for the frozen revision and for the one in force.
    config.replace("pipelines/small.yaml", &[("default: 10", "default: 11")]);
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let replayed = client.resolve(expecting("a", &revision)).await.unwrap();
    assert!(replayed.revision_changed);
    let status = client.resolve(expecting("b", &revision)).await.unwrap_err();
    let in_force = check_reason(&status, "REVISION_MISMATCH").metadata["revision"].clone();
    assert_ne!(in_force, revision);
    let status = client.resolve(expecting("a", &in_force)).await.unwrap_err();
    assert_eq!(check_reason(&status, "REVISION_MISMATCH").metadata["revision"], revision);
    client.resolve(expecting("b", &in_force)).await.unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_follow_each_other_and_are_runs_of_their_own() {
    let config = Config::new("", "dated", DATED);
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let refresh = AttemptMode::Refresh;
    let status = client.resolve(dated(2, refresh)).await.unwrap_err();
    let problem = check_reason(&status, "ATTEMPT_OUT_OF_ORDER");
    let told = |problem: &crate::support::status::Problem| {
        (problem.metadata["newest_attempt"].clone(), problem.metadata["state"].clone())
    };
    assert_eq!(told(&problem), ("0".into(), String::new()));
    client.resolve(dated(1, AttemptMode::Unspecified)).await.unwrap();
    let status = client.resolve(dated(2, refresh)).await.unwrap_err();
    let problem = check_reason(&status, "ATTEMPT_OUT_OF_ORDER");
    assert_eq!(told(&problem), ("1".into(), "open".into()));
    client.complete(&attempt("dated", "a", 1), RunOutcome::Failed).await.unwrap();
    let status = client.resolve(dated(3, refresh)).await.unwrap_err();
    let problem = check_reason(&status, "ATTEMPT_OUT_OF_ORDER");
    assert_eq!(told(&problem), ("1".into(), "completed".into()));
    // A killed daemon leaves nothing half-way.
    daemon.kill();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let made = client.resolve(dated(2, refresh)).await.unwrap();
    assert_eq!(made.result(), ResolveResult::Created);
    assert_eq!(made.run.as_ref().unwrap().mode(), refresh);
    daemon.kill();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let again = client.resolve(dated(2, refresh)).await.unwrap();
    assert_eq!((again.result(), again.run), (ResolveResult::Replayed, made.run));
    // Each has its own; 0 is the newest, and the first for ResolveRun.
    let context = client.context(&run("dated", "a"), "go").await.unwrap().context.unwrap();
    assert_eq!(context.instances[0].run, ["echo", "2026-03-02", "2"]);
    let states = async |number| {
        let request = GetRunRequest { run: Some(attempt("dated", "a", number)) };
        let run = client.runs.clone().get_run(request).await.unwrap().into_inner().run.unwrap();
        (run.name.as_ref().unwrap().attempt, run.state())
    };
    assert_eq!(states(1).await, (1, RunState::Completed));
    assert_eq!(states(0).await, (2, RunState::Open));
    let first = client.resolve(dated(0, AttemptMode::Unspecified)).await.unwrap().run.unwrap();
    assert_eq!(first.name.unwrap().attempt, 1);
    check_reason(&client.context(&attempt("dated", "a", 1), "go").await.unwrap_err(), "RUN_ENDED");
    client.complete(&run("dated", "a"), RunOutcome::Succeeded).await.unwrap();
    assert_eq!(states(2).await, (2, RunState::Completed));
    daemon.stop();
}
