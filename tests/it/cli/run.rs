//! `paramd run`, the reference executor.

use std::process::Stdio;
use std::time::Duration;

use paramd::proto::v1::{GetRunRequest, RunOutcome};
use rustix::process::{Pid, Signal, kill_process};

use super::{Stage, TOKEN, stage};
use crate::support::client::run as run_name;
use crate::support::command::{Ended, paramd};
use crate::support::status::check_reason;
use crate::support::wait_for;

pub(super) async fn outcome(stage: &Stage, id: &str) -> RunOutcome {
    let request = GetRunRequest { run: Some(run_name("shell", id)) };
    let answer = stage.daemon.client().await.runs.get_run(request).await.unwrap().into_inner();
    answer.run.unwrap().outcome()
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_run_with_what_they_are_handed_and_their_output_is_masked() {
    let stage = stage().await;
    let ended = paramd(["run", "shell", "--run-id", "a", "--epochs", "20"])
        .at(&stage.daemon)
        .env("OWN", "inherited")
        .inside(stage.config.around())
        .ok();
    ended.says(&[
        "arguments: 20 --layer 64 --layer 32",
        "mode: 440 700",
        "file: same",
        "left: 1",
        "own: inherited",
        "extra ran",
        "last",
    ]);
    ended.hides(&[TOKEN]);
    let split = ended.all().lines().find(|line| line.contains("split: ")).unwrap().to_owned();
    assert!(!split.contains(&TOKEN[15..]), "{split}");
    let folder = ended.all();
    let folder = folder.lines().find_map(|line| line.split_once("folder: ")).unwrap().1.to_owned();
    assert!(!std::path::Path::new(folder.trim()).exists(), "{folder} is left");
    assert_eq!(outcome(&stage, "a").await, RunOutcome::Succeeded);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_step_is_told_with_its_reason() {
    let stage = stage().await;
    let ended = paramd(["run", "shell", "--extra", "false"])
        .at(&stage.daemon)
        .inside(stage.config.around())
        .ok();
    ended.says(&["extra", "skipped", "params.extra", "false", "last"]).hides(&["extra ran"]);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_step_ends_the_run_with_its_status() {
    let stage = stage().await;
    let ended = paramd(["run", "shell", "--run-id", "a", "--fail", "true"])
        .at(&stage.daemon)
        .inside(stage.config.around())
        .ended();
    assert_eq!(ended.status, Some(37), "{ended:#?}");
    ended.says(&["last", "37"]);
    assert_eq!(outcome(&stage, "a").await, RunOutcome::Failed);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_are_forwarded_and_nothing_is_left() {
    let stage = stage().await;
    let mut command = paramd(["run", "shell", "--run-id", "a", "--slow", "true"])
        .at(&stage.daemon)
        .inside(stage.config.around())
        .into_command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let running = stage.config.around().join("first-runs");
    wait_for("the step runs", Duration::from_secs(30), || running.exists().then_some(()));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.status, Some(143), "{ended:#?}");
    ended.says(&["first: told to stop"]).hides(&[TOKEN, "extra ran"]);
    let folder = ended.all();
    let folder = folder.lines().find_map(|line| line.split_once("folder: ")).unwrap().1.to_owned();
    assert!(!std::path::Path::new(folder.trim()).exists(), "{folder} is left");
    assert_eq!(outcome(&stage, "a").await, RunOutcome::Cancelled);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_a_command_is_refused_before_anything_is_resolved() {
    let stage = stage().await;
    let file = "pipelines/bare.yaml";
    stage.config.write(file, "name: bare\nparameters: { n: { type: integer, default: 1 } }\n");
    stage.daemon.stop();
    let launch = crate::support::daemon::Launch::dev(&stage.config.path, stage.config.around());
    let daemon = launch.start().await;
    let ended = paramd(["run", "bare", "--run-id", "a"]).at(&daemon).ended();
    assert_eq!(ended.status, Some(5), "{ended:#?}");
    ended.says(&["`main`", "paramd exec --run RUN --step STEP -- COMMAND"]);
    ended.hides(&["run bare/a"]);
    let request = GetRunRequest { run: Some(run_name("bare", "a")) };
    let status = daemon.client().await.runs.get_run(request).await.unwrap_err();
    check_reason(&status, "RUN_NOT_FOUND");
    let log = paramd(["audit", "list", "--action", "resolve"]).at(&daemon).ok();
    log.hides(&["bare"]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_step_needs_no_command() {
    let stage = stage().await;
    stage.daemon.stop();
    stage.config.write(
        "pipelines/bare.yaml",
        "name: bare\nparameters: { go: { type: boolean, default: false } }\nsteps: [{ name: theirs, when: params.go }]\n",
    );
    let launch = crate::support::daemon::Launch::dev(&stage.config.path, stage.config.around());
    let daemon = launch.start().await;
    paramd(["run", "bare"]).at(&daemon).ok().says(&["theirs skipped: `params.go` is false"]);
    let ended = paramd(["run", "bare", "--go", "true"]).at(&daemon).ended();
    assert_eq!(ended.status, Some(5), "{ended:#?}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_made_up_and_printed_and_the_run_is_there_by_it() {
    let stage = stage().await;
    let ended = paramd(["run", "shell"]).at(&stage.daemon).inside(stage.config.around()).ok();
    let line = ended.err.lines().next().unwrap().to_owned();
    let name = line.strip_prefix("run ").and_then(|line| line.split(' ').next()).unwrap();
    let shown = paramd(["runs", "show", name]).at(&stage.daemon).ok();
    shown.says(&[name, "completed: succeeded"]);
    let again = paramd(["run", "shell", "--run-id", name.split_once('/').unwrap().1])
        .at(&stage.daemon)
        .inside(stage.config.around())
        .ended();
    assert_eq!(again.status, Some(7), "{again:#?}");
    again.says(&["has ended", "another --run-id"]);
    stage.daemon.stop();
}
