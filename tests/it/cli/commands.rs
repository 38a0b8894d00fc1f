//! All commands but `run`.

use std::process::Command;
use std::time::Duration;

use super::{SOURCES, TOKEN, stage};
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::{python, root, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_its_commands() {
    let stage = stage().await;
    let at = &stage.daemon;
    paramd(["resolve", "shell", "--run-id", "a/b"]).at(at).ok().says(&["a/b", "[REDACTED]"]);

    let explained = paramd(["explain", "shell", "--epochs", "20"]).at(at).ok();
    explained.says(&["epochs", "20", "override", "definition", "token", "[REDACTED]", "file"]);
    explained.hides(&[TOKEN]);

    let shown = paramd(["runs", "show", "shell/a/b"]).at(at).ok();
    shown.says(&["epochs", "header", "[REDACTED]", "open"]).hides(&[TOKEN]);

    let context = paramd(["context", "shell/a/b", "first", "--output", "json"]).at(at).ok();
    context.says(&["env.HEADER", "files.token.txt"]).hides(&[TOKEN]);
    context.json();

    let revealed = paramd(["reveal", "shell/a/b", "first", "env.HEADER"]).at(at).ok();
    assert_eq!(revealed.out, format!("Bearer {TOKEN}"));

    paramd(["complete", "shell/a/b", "succeeded"]).at(at).ok();
    let refused = paramd(["reveal", "shell/a/b", "first", "env.HEADER"]).at(at).ended();
    assert_ne!(refused.status, Some(0));
    refused.hides(&[TOKEN]);

    let list = paramd(["audit", "list", "--output", "json"]).at(at).ok();
    list.says(&["reveal", "resolve", "complete"]).hides(&[TOKEN]);
    paramd(["audit", "verify"]).at(at).ok();
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_is_lost_is_no_success() {
    let stage = stage().await;
    for words in [
        &["explain", "shell"][..],
        &["resolve", "shell", "--run-id", "lost", "--output", "json"],
        &["audit", "list", "--output", "json"],
        &["run", "shell", "--run-id", "lost-too"],
    ] {
        let mut command = paramd([]).at(&stage.daemon).inside(stage.config.around()).into_command();
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = command.args(words).stdout(full).output().unwrap();
        let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{words:?}: {errors}");
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(told.contains("could not be written"), "{words:?}: {told}");
    }
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_prints_data_prints_json() {
    let stage = stage().await;
    let at = &stage.daemon;
    paramd(["resolve", "shell", "--run-id", "a", "--output", "json"]).at(at).ok().json();
    paramd(["explain", "shell", "--output", "json"]).at(at).ok().json();
    paramd(["context", "shell/a", "first", "--output", "json"]).at(at).ok().json();
    paramd(["runs", "show", "shell/a", "--output", "json"]).at(at).ok().json();
    paramd(["complete", "shell/a", "failed", "--output", "json"]).at(at).ok().json();
    paramd(["audit", "verify", "--output", "json"]).at(at).ok().json();
    paramd(["audit", "list", "--output", "json"]).at(at).ok().json();
    let config = stage.config.path.to_str().unwrap();
    paramd(["check", config, "--output", "json"]).ok().json();
    let new = stage.config.around().join("new");
    let words = ["init", new.to_str().unwrap(), "--output", "json"];
    assert!(paramd(words).ok().json()["written"].is_array());
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn reveal_names_what_it_refuses_and_repeats_no_word_that_is_no_name() {
    let stage = stage().await;
    paramd(["resolve", "shell", "--run-id", "a"]).at(&stage.daemon).ok();
    let words =
        ["reveal", "shell/a", "first", "header", "env.NOTHING", "Hunter2!", "--output", "json"];
    let ended = paramd(words).at(&stage.daemon).ended();
    assert_eq!(ended.status, Some(4), "{ended:#?}");
    ended.says(&["env.NOTHING: ", "names[2]: "]).hides(&["Hunter2", "names[1]", TOKEN]);
    let ended = paramd(["reveal", "shell/a", "first", "--all"]).at(&stage.daemon).ended();
    assert_eq!(ended.status, Some(2), "{ended:#?}");
    ended.says(&["--output json"]);
    let all = paramd(["reveal", "shell/a", "first", "--all", "--output", "json"]);
    let all = all.at(&stage.daemon).ok().json();
    let names: Vec<_> =
        all["secrets"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["env.HEADER", "files.token.txt", "header", "token"]);
    stage.daemon.stop();
}

/// Resolved late: at first its file isn't there.
pub(super) const LATE: &str = r#"name: late
parameters:
  kind: { type: string, default: a }
  gone: { type: string, from: { file: { path: late } } }
steps:
  - { name: go, when: "params.kind == 'a'", run: [echo, "{{ params.gone }}", "{{ params.kind }}"] }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn why_tells_the_failures_of_a_run_also_when_it_was_resolved_later() {
    let config = Config::new(SOURCES, "late", LATE);
    std::fs::create_dir_all(config.path.join("files")).unwrap();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let at = &daemon;
    let failed = paramd(["resolve", "late", "--run-id", "a"]).at(at).ended();
    assert_ne!(failed.status, Some(0), "{failed:#?}");
    config.write_secret("files/late", "hunter2-here");
    paramd(["resolve", "late", "--run-id", "a"]).at(at).ok();
    let told = paramd(["why", "late/a"]).at(at).ok();
    told.says(&["gone", "NO_SUCH_VALUE", "file local: late"]).hides(&["hunter2"]);
    let json = paramd(["why", "late/a", "--output", "json"]).at(at).ok().json();
    let failures = json["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{json}");
    assert_eq!(failures[0]["parameters"][0]["parameter"], "gone");
    assert_eq!(failures[0]["parameters"][0]["location"], "late");
    paramd(["why", "late/never"]).at(at).ok().says(&["no resolution of this run has failed"]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_compared_and_extended() {
    let stage = stage().await;
    let at = &stage.daemon;
    paramd(["resolve", "shell", "--run-id", "a"]).at(at).ok();
    paramd(["resolve", "shell", "--run-id", "b", "--epochs", "20", "--extra", "false"]).at(at).ok();
    paramd(["complete", "shell/b", "succeeded"]).at(at).ok();
    let names = |words: [&str; 3]| {
        let list = paramd(["runs", "list", "--output", "json"]).arg(words[0]).arg(words[1]);
        let list = list.arg(words[2]).at(at).ok().json();
        let runs = list["runs"].as_array().unwrap().iter();
        let names: Vec<_> = runs.map(|run| run["run_id"].as_str().unwrap().to_owned()).collect();
        (names.join(" "), list["next_page_token"].is_string())
    };
    assert_eq!(
        names(["--pipeline=shell", "--environment=dev", "--limit=0"]),
        ("b a".into(), false)
    );
    assert_eq!(names(["--state=open", "--since=1h", "--limit=0"]), ("a".into(), false));
    assert_eq!(names(["--state=open", "--state=completed", "--limit=1"]), ("b".into(), true));
    assert_eq!(names(["--until=1h", "--state=expired", "--limit=0"]), (String::new(), false));
    assert_eq!(names(["--label=team=ml", "--state=open", "--limit=0"]), (String::new(), false));

    let diff = paramd(["diff", "shell/a", "shell/b"]).at(at).ok();
    diff.says(&["epochs", "different", "20", "extra", "skipped"]).hides(&[TOKEN, "optimizer"]);
    let words = ["diff", "shell/a", "shell/b", "--base-attempt", "1", "--output", "json"];
    let json = paramd(words).at(at).ok().json();
    let differs = json["parameters"].as_array().unwrap().iter();
    let differs: Vec<_> = differs.map(|one| one["name"].as_str().unwrap()).collect();
    assert!(differs.contains(&"epochs") && differs.contains(&"extra"), "{json}");
    let missing = paramd(["diff", "shell/a", "shell/b", "--other-attempt", "2"]).at(at).ended();
    assert_eq!(missing.status, Some(6), "{missing:#?}");

    let before = paramd(["runs", "show", "shell/a", "--output", "json"]).at(at).ok().json();
    let words = ["extend", "shell/a", "--lifetime", "48h", "--output", "json"];
    let after = paramd(words).at(at).ok().json();
    let [before, after] = [&before, &after].map(|json| json["run"]["expire_time"].clone());
    assert!(before.as_str().unwrap() < after.as_str().unwrap(), "{before} {after}");
    let ended = paramd(["extend", "shell/b", "--lifetime", "48h"]).at(at).ended();
    assert_eq!(ended.status, Some(7), "{ended:#?}");
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_pipelines_says_that_the_bundle_on_disk_is_refused() {
    let stage = stage().await;
    let good = paramd(["pipelines", "list"]).at(&stage.daemon).ok();
    assert_eq!(good.err, "", "{good:#?}");
    stage.config.write("pipelines/shell.yaml", "name: shell\nparameters: {");
    let told = wait_until("the note", Duration::from_secs(20), async || {
        let listed = paramd(["pipelines", "list", "--output", "json"]).at(&stage.daemon).ok();
        (!listed.err.is_empty()).then_some(listed)
    })
    .await;
    assert!(told.err.contains("the last good bundle is in force"), "{told:#?}");
    assert_eq!(told.json()["pipelines"][0]["name"], "shell");
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn reveal_refuses_a_terminal() {
    let stage = stage().await;
    paramd(["resolve", "shell", "--run-id", "a"]).at(&stage.daemon).ok();
    let output = Command::new(python())
        .arg(root().join("tests/python/terminal.py"))
        .arg("80")
        .arg(env!("CARGO_BIN_EXE_paramd"))
        .args(["reveal", "shell/a", "first", "header"])
        .env("PARAMD_ENDPOINT", stage.daemon.endpoint())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_ne!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("terminal"), "{text}");
    assert!(!text.contains(TOKEN), "{text}");
    stage.daemon.stop();
}

#[test]
fn without_a_daemon_its_endpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let endpoint = format!("unix:{}", socket.display());
    let ended = paramd(["explain", "shell", "--endpoint", &endpoint]).ended();
    assert_eq!(ended.status, Some(3), "{ended:#?}");
    ended.says(&["none.sock"]);
}

#[test]
fn a_daemon_that_cannot_listen_says_how_to_choose() {
    let config = crate::support::config::Config::new("", "a", "name: a\n");
    let socket = format!("unix:{}/file/p.sock", config.around().display());
    std::fs::write(config.around().join("file"), "").unwrap();
    let ended = paramd(["serve", "--dev", "--config", config.path.to_str().unwrap()])
        .env("PARAMD_ENDPOINT", &socket)
        .env("TMPDIR", config.around().to_str().unwrap())
        .ended();
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    ended.says(&["--listen unix:PATH", "PARAMD_ENDPOINT"]);
}

#[test]
fn check_tells_all_problems_with_their_places() {
    let config = crate::support::config::Config::new(
        "",
        "broken",
        concat!(
            "name: broken\n",
            "parameters:\n",
            "  epochs: { type: integer, default: ten }\n",
            "  rate: { type: number, minimun: 0 }\n",
        ),
    );
    config.write(
        "pipelines/clear.yaml",
        "name: clear\nparameters: { p: { type: string, secret: true, default: hunter2-in-clear } }\n",
    );
    let path = config.path.to_str().unwrap();
    let ended = paramd(["check", path]).ended();
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    ended.says(&["broken.yaml:3:", "broken.yaml:4:", "clear.yaml:2:", "minimum", "help"]);
    ended.hides(&["hunter2-in-clear"]);
    let ended = paramd(["check", path, "--output", "json"]).ended();
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    ended.json();
    ended.hides(&["hunter2-in-clear"]);
}

#[test]
fn check_finds_nothing_in_the_example() {
    let path = root().join("config");
    paramd(["check", path.to_str().unwrap()]).ok();
    paramd(["check", path.to_str().unwrap(), "--risks"]).ok().says(&["extract"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn init_writes_a_configuration_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine");
    paramd(["init", path.to_str().unwrap()]).ok();
    paramd(["check", path.to_str().unwrap()]).ok();
    let daemon = crate::support::daemon::Launch::plain(&path, folder.path()).start().await;
    daemon.stop();
    let again = paramd(["init", path.to_str().unwrap()]).ended();
    assert_ne!(again.status, Some(0), "it overwrites nothing");
}
