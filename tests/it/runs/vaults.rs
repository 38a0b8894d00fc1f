//! Several Vaults in one pipeline, and one that crashes between resolutions.

use std::collections::BTreeMap;

use serde_json::json;

use super::vault::mounts;
use crate::support::bao::Bao;
use crate::support::client::{resolve, run};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::raft::Raft;
use crate::support::status::check_reason;

#[tokio::test(flavor = "multi_thread")]
async fn each_named_vault_is_asked_for_its_own() {
    let (first, second) = (Bao::start().await, Bao::start().await);
    let mut sources = String::new();
    for (name, bao) in [("first", &first), ("second", &second)] {
        let value = json!({ "key": format!("of-the-{name}-vault") });
        bao.write("secret", "ml/key", value, true).await;
        sources += &format!(
            r#"  {name}:
    vault: {{ address: "{}", ca: "{}", mounts: {{ secret: kv-v2 }}, auth: {{ approle: {{ role_id: {{ file: {name}-role }}, secret_id: {{ file: {name}-secret }} }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["secret/ml/*"] }}]
"#,
            bao.address(),
            bao.ca().display()
        );
    }
    let pipeline = r#"name: both
parameters:
  a: { type: string, from: { vault: { from: first, mount: secret, path: ml/key, field: key } } }
  b: { type: string, from: { vault: { from: second, mount: secret, path: ml/key, field: key } } }
steps:
  - name: go
    run: [echo]
    env: { A: "{{ params.a }}", B: "{{ params.b }}" }
"#;
    let config = Config::new(&sources, "both", pipeline);
    for (name, bao) in [("first", &first), ("second", &second)] {
        let (role, secret) = bao.role().await;
        config.write_secret(&format!("{name}-role"), role);
        config.write_secret(&format!("{name}-secret"), secret);
    }
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let marks = (first.mark(), second.mark());
    let client = daemon.client().await;
    client.resolve(resolve("both", "a")).await.unwrap();
    let secrets = client.reveal_all(&run("both", "a"), "go", None).await.unwrap();
    for (variable, expected) in [("env.A", "of-the-first-vault"), ("env.B", "of-the-second-vault")]
    {
        let secret = secrets.iter().find(|secret| secret.name == variable).unwrap();
        assert_eq!(secret.payload.as_ref().unwrap().data, expected.as_bytes());
    }
    let once = BTreeMap::from([("secret/data/ml/key".to_owned(), 1)]);
    for (bao, mark) in [(&first, marks.0), (&second, marks.1)] {
        assert_eq!(bao.reads_since(mark, &mounts()), once);
        assert_eq!(bao.logins_since(mark), 1);
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_crashed_is_not_ready_until_it_is_unsealed() {
    let mut raft = Raft::start().await;
    raft.put("secret/data/ml/key", json!({ "data": { "key": "survives-a-crash" } })).await;
    let sources = format!(
        r#"  main:
    vault: {{ address: "{}", mounts: {{ secret: kv-v2 }}, auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["secret/ml/*"] }}]
"#,
        raft.address()
    );
    let pipeline = r#"name: one
parameters:
  key: { type: string, from: { vault: { mount: secret, path: ml/key, field: key } } }
"#;
    let config = Config::new(&sources, "one", pipeline);
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    config.write("paramd.yaml", format!("{settings}resolve_timeout: 3s\n"));
    let (role, secret) = raft.role().await;
    config.write_secret("role", role);
    config.write_secret("secret", secret);
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("one", "before")).await.unwrap();
    raft.crash().await;
    let status = client.resolve(resolve("one", "after")).await.unwrap_err();
    let problem = check_reason(&status, "SOURCE_UNAVAILABLE");
    assert_eq!(problem.metadata["cause"], "not_ready");
    assert!(problem.retry);
    raft.unseal().await;
    client.resolve(resolve("one", "after")).await.unwrap();
    // The token outlived the crash, so nobody logged in again.
    assert_eq!(raft.logins(), 1);
    daemon.stop();
}
