//! `paramd check --live` against real servers: nothing is read, all is told.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::bao::Bao;
use crate::support::command::{Ended, paramd};
use crate::support::config::Config;
use crate::support::postgres::{PASSWORD, Postgres};

const VAULTED: &str = r#"name: vaulted
parameters:
  tier: { type: string, default: low, override: run, enum: [low, high] }
  region: { type: string, default: east, override: none }
  mine: { type: string, from: { vault: { mount: secret, path: "ml/{{ params.region }}", field: a } } }
  theirs: { type: string, from: { vault: { mount: secret, path: ops/key, field: a } } }
  old: { type: string, from: { vault: { mount: old, path: ml/old, field: a } } }
steps: [{ name: go, run: [echo], env: { A: "{{ params.mine }}{{ params.theirs }}{{ params.old }}" } }]
"#;

fn live(config: &Config, words: &[&str]) -> Ended {
    let mut command = paramd(["check", config.path.to_str().unwrap(), "--live"]);
    for word in words {
        command = command.arg(word);
    }
    command.ended()
}

async fn may_read(bao: &Bao, paths: &[&str]) {
    let read = |path: &&str| ((*path).to_owned(), vec!["read".to_owned()]);
    bao.policy(&paths.iter().map(read).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_lacks_is_told_and_no_secret_is_read() {
    let bao = Bao::start().await;
    bao.mount("old", "kv-v1").await;
    bao.write("secret", "ml/east", json!({ "a": "hunter2-mine" }), true).await;
    bao.write("secret", "ops/key", json!({ "a": "hunter2-theirs" }), true).await;
    bao.write("old", "ml/old", json!({ "a": "hunter2-old" }), false).await;
    let sources = format!(
        r#"  main:
    vault: {{ address: "{}", ca: "{}", mounts: {{ secret: kv-v2, old: kv-v1 }}, auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["*"] }}]
"#,
        bao.address(),
        bao.ca().display()
    );
    let config = Config::new(&sources, "vaulted", VAULTED);
    let (role, secret) = bao.role().await;
    config.write_secret("role", &role);
    config.write_secret("secret", &secret);
    let mounts = ["secret".to_owned(), "old".to_owned()];
    let mark = bao.mark();

    may_read(&bao, &["secret/data/ml/*", "old/ml/*"]).await;
    let ended = live(&config, &[]);
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    ended
        .says(&["vaulted.yaml:6:", "`theirs`", "`dev`", "main: 3 checked"])
        .hides(&["`mine`", "`old`", "hunter2", &secret]);

    let told = live(&config, &["--output", "json"]).json();
    assert_eq!(told["problems"].as_array().map(Vec::len), Some(1), "{told}");
    let counts = json!({ "main": { "checked": 3, "not_known": 0, "not_answered": 0 } });
    assert_eq!(told["live"], counts);

    may_read(&bao, &["secret/data/*", "old/ml/*"]).await;
    assert_eq!(live(&config, &[]).status, Some(0));
    assert_eq!(bao.reads_since(mark, &mounts), BTreeMap::new());

    config.write_secret("secret", "no-such-secret-id");
    let ended = live(&config, &[]);
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    ended.says(&["login_failed", "main: 0 checked, 3 without an answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_on_a_missing_table_is_told() {
    let server = Postgres::start().await;
    let sources = format!(
        "  db: {{ sql: {{ url: \"{}\", password: {{ file: password }} }}, \
         grants: [{{ pipelines: [\"*\"] }}] }}\n",
        server.url("reader")
    );
    let text = "name: asked\nparameters:\n  \
         good: { type: integer, from: { sql: { query: select 1 as x } } }\n  \
         bad: { type: integer, from: { sql: { query: select n from missing } } }\n\
         steps: [{ name: go, params: [good, bad], run: [echo] }]\n";
    let config = Config::new(&sources, "asked", text);
    config.write_secret("password", PASSWORD);
    let ended = live(&config, &[]);
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    ended.says(&["asked.yaml:4:", "`bad`", "db: 2 checked"]).hides(&["`good`", PASSWORD]);
    server.execute("create table missing (n integer); grant select on missing to reader").await;
    let told: Value = live(&config, &["--output", "json"]).json();
    assert_eq!(told["problems"], json!([]));
}

#[test]
fn what_is_not_there_is_told_and_what_a_run_decides_is_counted() {
    let sources =
        "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"], paths: [\"*\"] }] }\n";
    let text = "name: filed\nparameters:\n  \
         which: { type: string, default: a, override: environment }\n  \
         none: { type: string, from: { file: { path: none } } }\n  \
         some: { type: string, default: x, from: { file: { path: nothing } } }\n  \
         here: { type: string, from: { file: { path: \"{{ params.which }}\" } } }\n\
         steps: [{ name: go, params: [none, some, here], run: [echo] }]\n";
    let config = Config::new(sources, "filed", text);
    config.write("files/a", "hunter2");
    let ended = live(&config, &[]);
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    ended
        .says(&["filed.yaml:4:", "filed.yaml:5:", "1 error, 1 warning", "local: 3 checked"])
        .hides(&["hunter2", "`here`"]);
    config.write("files/none", "hunter2");
    assert_eq!(live(&config, &[]).status, Some(0));
    let preset = "presets:\n  late: { which: b }\nsteps: [";
    config.replace("pipelines/filed.yaml", &[("steps: [", preset)]);
    live(&config, &[]).says(&["local: 3 checked, 1 not checked"]);
}
