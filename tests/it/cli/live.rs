//! `paramd check --live` against real servers: nothing is read, all is told.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::bao::Bao;
use crate::support::command::{Ended, paramd};
use crate::support::config::Config;
use crate::support::mariadb::{self, MariaDb};
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

/// A configuration whose only source is this server.
fn database(url: &str, text: &str) -> Config {
    let sources = format!(
        "  db: {{ sql: {{ url: \"{url}\", password: {{ file: password }} }}, \
         grants: [{{ pipelines: [\"*\"] }}] }}\n"
    );
    Config::new(&sources, "asked", text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_on_a_missing_table_is_told() {
    let server = Postgres::start().await;
    let text = "name: asked\nparameters:\n  \
         good: { type: integer, from: { sql: { query: select 1 as x } } }\n  \
         bad: { type: integer, from: { sql: { query: select n from missing } } }\n\
         steps: [{ name: go, params: [good, bad], run: [echo] }]\n";
    let config = database(&server.url("reader"), text);
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
}

#[test]
fn what_a_preset_decides_is_checked_under_each_preset() {
    let sources = "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"], paths: [\"*\"] }] }\n  settings: { env: { names: [REGION] }, grants: [{ pipelines: [\"*\"] }] }\n";
    let text = "name: filed\nparameters:\n  \
         which: { type: string, default: a, override: environment }\n  \
         asked: { type: string, override: none, from: { env: { name: REGION } } }\n  \
         here: { type: string, from: { file: { path: \"{{ params.which }}\" } } }\n  \
         there: { type: string, from: { file: { path: \"{{ params.asked }}\" } } }\n\
         presets:\n  late: { which: b }\n  later: { which: c }\n  own: { which: d, here: x }\n\
         steps: [{ name: go, params: [here, there], run: [echo] }]\n";
    let config = Config::new(sources, "filed", text);
    for name in ["a", "c"] {
        config.write(&format!("files/{name}"), "hunter2");
    }
    let asked = || paramd(["check", config.path.to_str().unwrap(), "--live"]).env("REGION", "a");
    let ended = asked().ended();
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    // What REGION is decides where `there` is read, and nobody asks for it here.
    let not = "local: 3 checked, 1 not checked: what another source answers decides";
    ended
        .says(&["filed.yaml:5:", "`here`", "in `dev` with `late`", "1 error", not])
        .hides(&["hunter2", "`later`", "`own`", "`there`"]);
    config.write("files/b", "hunter2");
    asked().ok().says(&[not, "settings: 1 checked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_vaults_a_namespace_and_variables_are_each_asked_for_their_own() {
    let (one, other) = (Bao::start().await, Bao::start().await);
    one.post("sys/namespaces/team", json!({})).await;
    one.post("team/sys/mounts/secret", json!({ "type": "kv", "options": { "version": "2" } }))
        .await;
    let policy = "path \"secret/data/mine\" { capabilities = [\"read\"] }\n";
    one.post("team/sys/policies/acl/mine", json!({ "policy": policy })).await;
    let token = one.post("team/auth/token/create", json!({ "policies": ["mine"] })).await;
    let token = token["auth"]["client_token"].as_str().unwrap().to_owned();
    may_read(&other, &["secret/data/mine"]).await;
    let vault = |name: &str, bao: &Bao, more: &str| {
        format!(
            "  {name}:\n    vault: {{ address: \"{}\", ca: \"{}\", mounts: {{ secret: kv-v2 }}, {more} }}\n    \
             grants: [{{ pipelines: [\"*\"], paths: [\"*\"] }}]\n",
            bao.address(),
            bao.ca().display()
        )
    };
    let sources = vault("one", &one, "namespace: team, auth: { token: { file: token } }")
        + &vault(
            "other",
            &other,
            "auth: { approle: { role_id: { file: role }, secret_id: { file: secret } } }",
        )
        + "  settings: { env: { names: [REGION, NOT_SET] }, grants: [{ pipelines: [\"*\"] }] }\n";
    let text = r#"name: several
parameters:
  a: { type: string, from: { vault: { from: one, mount: secret, path: mine, field: a } } }
  b: { type: string, from: { vault: { from: one, mount: secret, path: theirs, field: a } } }
  c: { type: string, from: { vault: { from: other, mount: secret, path: mine, field: a } } }
  d: { type: string, from: { vault: { from: other, mount: secret, path: theirs, field: a } } }
  e: { type: string, from: { env: { name: REGION } } }
  f: { type: string, from: { env: { name: NOT_SET } } }
  g: { type: string, default: x, from: { env: { name: NOT_SET } } }
steps: [{ name: go, params: [a, b, c, d, e, f, g], run: [echo] }]
"#;
    let config = Config::new(&sources, "several", text);
    let (role, secret) = other.role().await;
    config.write_secret("role", &role);
    config.write_secret("secret", &secret);
    config.write_secret("token", &token);
    let asked = || paramd(["check", config.path.to_str().unwrap(), "--live"]).env("REGION", "a");
    let ended = asked().ended();
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    ended
        .says(&[
            "`b` of `several` can't be read from `one`",
            "`d` of `several`",
            "`f` of",
            "`g` of",
        ])
        .says(&["3 errors, 1 warning", "one: 2 checked", "other: 2 checked", "settings: 3 checked"])
        .hides(&["`a`", "`c`", "`e`", &token, &secret]);
    // The namespace is the token's: without it, nothing can be read.
    config.replace("paramd.yaml", &[("namespace: team, ", "")]);
    asked().ended().says(&["one: 0 checked, 2 without an answer", "other: 2 checked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_prepares_each_query_and_does_none() {
    let server = MariaDb::start().await;
    server
        .execute(
            "create table t (n int, name varchar(10)); create table hidden (n int); \
             create table log (note text); \
             create function write_it() returns int begin insert into log values ('x'); return 1; end; \
             grant select on features.t to reader; grant insert on features.log to reader",
        )
        .await;
    let mut text = "name: asked\nparameters:\n".to_owned();
    let queries = [
        ("good", "integer", "select n from t where name = 'x'"),
        ("does", "integer", "select write_it()"),
        ("missing", "integer", "select absent from t"),
        ("typed", "integer", "select name from t"),
        ("denied", "integer", "select n from hidden"),
        ("wide", "integer", "select n, n from t"),
    ];
    for (name, kind, query) in queries {
        text += &format!(
            "  {name}: {{ type: {kind}, from: {{ sql: {{ query: {} }} }} }}\n",
            json!(query)
        );
    }
    text += "steps: [{ name: go, params: [good], run: [echo] }]\n";
    let config = database(&server.url("reader"), &text);
    config.write_secret("password", mariadb::PASSWORD);
    let ended = live(&config, &[]);
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    ended
        .says(&["asked.yaml:4:", "or the query would write"])
        .says(&["asked.yaml:5:", "doesn't take the query", "asked.yaml:6:", "column 1"])
        .says(&["asked.yaml:7:", "no right", "asked.yaml:8:", "several columns"])
        .says(&["db: 6 checked", "5 errors"])
        .hides(&["`good`", mariadb::PASSWORD]);
    assert_eq!(server.count("select count(*) from log").await, 0);
}
