//! A pipeline's own flags.

use super::stage;
use crate::support::command::paramd;

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_flag_is_told_with_the_nearest_name() {
    let stage = stage().await;
    let words = ["run", "shell", "--epochs", "20", "--optimiser", "hunter2-value"];
    let ended = paramd(words).at(&stage.daemon).inside(stage.config.around()).ended();
    assert_ne!(ended.status, Some(0));
    ended
        .says(&["optimiser", "isn't a parameter", "optimizer"])
        .hides(&["hunter2-value", "arguments:"]);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_may_be_left_out_where_there_is_one() {
    let stage = stage().await;
    paramd(["resolve", "shell"]).at(&stage.daemon).ok().says(&["environment  dev"]);
    stage.daemon.stop();
    stage.config.write("environments/prod.yaml", "{}\n");
    let launch = crate::support::daemon::Launch::dev(&stage.config.path, stage.config.around());
    let daemon = launch.start().await;
    let ended = paramd(["resolve", "shell"]).at(&daemon).ended();
    assert_eq!(ended.status, Some(2), "{ended:#?}");
    ended.says(&["`dev`, `prod`", "--environment NAME"]);
    paramd(["resolve", "shell", "--environment", "prod"]).at(&daemon).ok();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn help_lists_the_parameters() {
    let stage = stage().await;
    let ended = paramd(["run", "shell", "--help"]).at(&stage.daemon).ok();
    ended.says(&[
        "--epochs",
        "integer",
        "1",
        "500",
        "10",
        "Passes over the data",
        "Training",
        "--optimizer",
        "adam",
        "sgd",
        "--learning-rate",
        "--secret token",
    ]);
    ended.hides(&[super::TOKEN]);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_read_by_their_declared_types() {
    let stage = stage().await;
    let words = [
        "resolve",
        "shell",
        "--run-id",
        "a",
        "--epochs=20",
        "--learning_rate",
        "1e-3",
        "--layers",
        "[8, 4]",
        "--param",
        "output=there",
        "--preset",
        "quick",
        "--output",
        "json",
    ];
    let document = paramd(words).at(&stage.daemon).ok().json();
    let value = |name: &str| {
        let parameters = document["parameters"].as_array().unwrap();
        parameters.iter().find(|parameter| parameter["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(value("epochs"), 20);
    assert_eq!(value("layers"), serde_json::json!([8, 4]));
    assert_eq!(document["run"]["run_id"], "a");
    assert_eq!(document["run"]["environment"], "dev");
    assert_eq!(document["result"], "created");

    for (flag, value) in [("--epochs", "1e1"), ("--fail", "yes"), ("--layers", "[1,")] {
        let ended = paramd(["resolve", "shell", flag, value]).at(&stage.daemon).ended();
        assert_ne!(ended.status, Some(0));
        ended.says(&[&flag[2..]]);
    }
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_from_files_variables_and_standard_input() {
    let stage = stage().await;
    std::fs::write(stage.config.around().join("mine"), "own-token-out-of-a-file").unwrap();
    let cases = [
        ("token=file:mine", "own-token-out-of-a-file", ""),
        ("token=env:MINE", "own-token-out-of-the-env", ""),
        ("token=-", "own-token-out-of-stdin", "own-token-out-of-stdin"),
    ];
    for (index, (argument, secret, input)) in cases.into_iter().enumerate() {
        let id = format!("s{index}");
        let words = ["resolve", "shell", "--run-id", &id, "--secret", argument];
        let ended = paramd(words)
            .at(&stage.daemon)
            .inside(stage.config.around())
            .env("MINE", "own-token-out-of-the-env")
            .input(input.as_bytes())
            .ok();
        ended.hides(&[secret]);
        let run = format!("shell/{id}");
        let ended = paramd(["reveal", &run, "first", "header"]).at(&stage.daemon).ok();
        assert_eq!(ended.out, format!("Bearer {secret}"));
    }
    let ended = paramd(["resolve", "shell", "--secret", "token=the-password-itself"])
        .at(&stage.daemon)
        .ended();
    assert_eq!(ended.status, Some(2));
    ended.hides(&["the-password-itself"]);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_says_its_mode_date_and_labels() {
    let stage = stage().await;
    let resolve = |attempt: &'static str, more: &[&'static str]| {
        let mut words = vec!["resolve", "shell", "--run-id", "a", "--attempt", attempt];
        words.extend(["--logical-date", "2026-01-31T02:00:00+02:00", "--label", "dag=nightly"]);
        words.extend(["--lifetime", "2h", "--output", "json"]);
        words.extend(more);
        paramd(words).at(&stage.daemon)
    };
    let first = resolve("1", &[]).ok().json();
    assert_eq!(first["run"]["mode"], serde_json::Value::Null);
    assert_eq!(first["run"]["logical_date"], "2026-01-31T00:00:00.000Z");
    let revision = first["run"]["revision"].as_str().unwrap().to_owned();
    paramd(["complete", "shell/a", "failed"]).at(&stage.daemon).ok();

    let ended = resolve("2", &[]).ended();
    assert_eq!(ended.status, Some(5), "{ended:#?}");
    ended.says(&["mode"]);
    let second = resolve("2", &["--mode", "refresh"]).ok().json();
    assert_eq!(second["run"]["attempt"], 2);
    assert_eq!(second["run"]["mode"], "refresh");
    assert_eq!(second["run"]["logical_date"], "2026-01-31T00:00:00.000Z");
    assert_eq!(second["run"]["labels"], serde_json::json!({ "dag": "nightly" }));
    let shown = paramd(["runs", "show", "shell/a"]).at(&stage.daemon).ok();
    shown.says(&["2 (refresh)", "logical date 2026-01-31T00:00:00.000Z", "dag=nightly"]);
    let shown = paramd(["runs", "show", "shell/a", "--output", "json"]).at(&stage.daemon).ok();
    assert_eq!(shown.json()["run"], second["run"]);

    let words = ["resolve", "shell", "--run-id", "b", "--expected-revision"];
    paramd(words.into_iter().chain([revision.as_str()])).at(&stage.daemon).ok();
    let other = "0".repeat(64);
    let ended = paramd(words.into_iter().chain([other.as_str()])).at(&stage.daemon).ended();
    ended.says(&["REVISION_MISMATCH"]);
    let words = ["explain", "shell", "--logical-date", "2026-01-31T00:00:00Z"];
    paramd(words).at(&stage.daemon).ok();
    let words = ["explain", "shell", "--mode", "exact", "--label", "a=b"];
    let ended = paramd(words).at(&stage.daemon).ended();
    assert_eq!(ended.status, Some(2));
    ended.says(&["`--mode`, `--label`"]);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let stage = stage().await;
    let around = stage.config.around();
    std::fs::write(
        around.join("p.yaml"),
        "epochs: 20\nlayers: [8, 4]\noptimizer: sgd\nlearning_rate: 1\noutput: 'true'\n",
    )
    .unwrap();
    let value = |document: &serde_json::Value, name: &str| {
        let parameters = document["parameters"].as_array().unwrap();
        parameters.iter().find(|one| one["name"] == name).unwrap()["value"].clone()
    };
    let words = ["explain", "shell", "--params-file", "p.yaml", "--epochs", "40", "--output=json"];
    let ended = paramd(words)
        .at(&stage.daemon)
        .inside(around)
        .env("PARAMD_PARAM_EPOCHS", "30")
        .env("PARAMD_PARAM_OPTIMIZER", "adam")
        .env("PARAMD_PARAM_EPOCH", "hunter2-value")
        .env("PARAMD_PARAM_fail", "true")
        .ok();
    assert!(ended.err.contains("warning: `PARAMD_PARAM_EPOCH` names no parameter of shell"));
    assert!(ended.err.contains("did you mean `PARAMD_PARAM_EPOCHS`?"));
    assert!(ended.err.contains("warning: `PARAMD_PARAM_fail` names no parameter"));
    ended.hides(&["hunter2-value"]);
    let document = ended.json();
    assert_eq!(value(&document, "epochs"), 40);
    assert_eq!(value(&document, "optimizer"), "adam");
    assert_eq!(value(&document, "layers"), serde_json::json!([8, 4]));
    assert_eq!(value(&document, "learning_rate"), 1.0);
    assert_eq!(value(&document, "output"), "true");
    assert_eq!(value(&document, "fail"), false);

    // JSON too, and the same values are the same request.
    std::fs::write(around.join("p.json"), "{\n\t\"epochs\": 20,\n\t\"layers\": [8, 4]\n}\n")
        .unwrap();
    let words = ["resolve", "shell", "--run-id", "j", "--params-file", "p.json"];
    paramd(words).at(&stage.daemon).inside(around).ok().says(&["created"]);
    let words = ["resolve", "shell", "--run-id", "j", "--layers", "[8,4]"];
    let again = paramd(words).at(&stage.daemon).env("PARAMD_PARAM_EPOCHS", "20").ok();
    again.says(&["replayed"]);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_variables_are_refused_without_their_values() {
    let stage = stage().await;
    let around = stage.config.around();
    for (text, said) in [
        ("optimiser: hunter2", "`optimiser` isn't a parameter of shell; did you mean `optimizer`?"),
        ("Hunter2!: 1", "a name in the file of `--params-file` isn't a parameter"),
        ("token: hunter2", "--secret token=file:FILE"),
        ("header: hunter2", "`header` is a secret that no run can bind"),
        ("epochs: [hunter2", "p.yaml:1:"),
        ("epochs: 1\nepochs: hunter2", "p.yaml:2:"),
        ("hunter2", "isn't a mapping"),
        ("epochs: hunter2", "epochs: expected an integer"),
    ] {
        std::fs::write(around.join("p.yaml"), text).unwrap();
        let words = ["resolve", "shell", "--params-file", "p.yaml"];
        let ended = paramd(words).at(&stage.daemon).inside(around).ended();
        assert!(matches!(ended.status, Some(2 | 5)), "{ended:#?}");
        ended.says(&[said]).hides(&["hunter2", "Hunter2"]);
    }
    std::fs::write(around.join("p.yaml"), "# nothing\n").unwrap();
    let words = ["resolve", "shell", "--params-file", "p.yaml"];
    paramd(words).at(&stage.daemon).inside(around).ok();
    let words = ["resolve", "shell", "--params-file", "hunter2"];
    let ended = paramd(words).at(&stage.daemon).inside(around).ended();
    ended.says(&["the file of `--params-file` can't be read: it isn't there"]).hides(&["hunter2"]);

    let words = ["resolve", "shell", "--secret", "token=env:MINE"];
    let command = paramd(words).at(&stage.daemon).env("MINE", "own-token-of-the-env");
    let ended = command.env("PARAMD_PARAM_TOKEN", "hunter2").ended();
    assert_eq!(ended.status, Some(2));
    ended
        .says(&["`PARAMD_PARAM_TOKEN`", "--secret token=env:VARIABLE"])
        .hides(&["hunter2", "own-token-of-the-env"]);
    stage.daemon.stop();
}
