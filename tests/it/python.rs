//! A client in another language that knows the daemon by reflection alone.

use std::process::Command;

use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::{python, root};

const PIPELINE: &str = r#"name: small
parameters:
  epochs: { type: integer, default: 10 }
  token: { type: string, secret: true, from: { file: { path: token } } }
steps:
  - { name: go, params: [epochs], run: [echo], env: { TOKEN: "{{ params.token }}" } }
"#;

const SOURCES: &str = r#"  local: { file: { root: files }, grants: [{ pipelines: ["*"], paths: ["*"] }] }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn python_lists_and_calls_every_service_by_reflection() {
    let config = Config::new(SOURCES, "small", PIPELINE);
    config.write_secret("files/token", "token-for-a-python-client");
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let output = Command::new(python())
        .arg(root().join("tests/python/client.py"))
        .args([&daemon.endpoint(), "small", "dev", "go"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for service in ["AuditService", "ContextService", "PipelineService", "RunService"] {
        let name = serde_json::Value::from(format!("paramd.v1.{service}"));
        assert!(found["services"].as_array().unwrap().contains(&name), "{found:#}");
    }
    assert_eq!(found["serving"], true);
    assert_eq!(found["pipelines"][0]["name"], "small");
    assert_eq!(found["result"], "RESOLVE_RESULT_CREATED");
    assert_eq!(found["references"], serde_json::json!(["env.TOKEN", "token"]));
    assert_eq!(found["revealed"].as_object().unwrap().len(), 2);
    assert_eq!(found["state"], "RUN_STATE_COMPLETED");
    assert_eq!(found["after the end"], "FAILED_PRECONDITION");
    assert_eq!(found["defects"], serde_json::json!([]));
    let actions = found["actions"].as_array().unwrap();
    for action in ["ACTION_RESOLVE", "ACTION_REVEAL", "ACTION_COMPLETE"] {
        assert!(actions.iter().any(|told| told == action), "{found:#}");
    }
    daemon.stop();
}
