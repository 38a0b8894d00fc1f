//! The shipped examples, run as their users do.

use std::process::Command;

use serde_json::json;

use crate::support::bao::Bao;
use crate::support::command::{Ended, paramd};
use crate::support::config::{Config, copy_folder};
use crate::support::daemon::{Daemon, Launch};
use crate::support::{python, root};

/// A copy of the example with its warehouse made.
pub(crate) fn example() -> Config {
    let config = Config::copy(&root().join("config"));
    // What a user of the working copy made is not the example's.
    for left in ["secrets", "warehouse", "state", "run"] {
        let _ = std::fs::remove_dir_all(config.path.join(left));
    }
    let made = Command::new(python())
        .arg("config/example/make_warehouse.py")
        .current_dir(config.around())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    config
}

fn password(config: &Config) -> String {
    std::fs::read_to_string(config.path.join("secrets/dev/reader.password")).unwrap()
}

fn call<const N: usize>(words: [&str; N], daemon: &Daemon, config: &Config) -> Ended {
    paramd(words).at(daemon).inside(config.around()).ok()
}

/// Trains, skips training, and shows where the values came from.
fn check(daemon: &Daemon, config: &Config, source: &str) {
    let secret = password(config);
    let trained =
        call(["run", "iris-training", "--environment", "dev", "--run-id", "a"], daemon, config);
    trained.says(&["extracted 150 rows", "trained 200 epochs", "accuracy: 0.9"]).hides(&[&secret]);

    let words = ["run", "iris-training", "--environment", "dev", "--train-model", "false"];
    let skipped = call(words, daemon, config);
    skipped.says(&["train", "skipped", "params.train_model", "accuracy: 0.9"]);
    skipped.hides(&["trained", &secret]);

    let shown = call(["runs", "show", "iris-training/a"], daemon, config);
    shown.says(&["db_password", "[REDACTED]", "features", source]).hides(&[&secret]);
    let explained = call(["explain", "iris-training", "--environment", "dev"], daemon, config);
    explained.says(&["db_url", "[REDACTED]", "global"]).hides(&[&secret]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_trains_without_any_server() {
    let config = example();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    check(&daemon, &config, "file");

    let few = ["run", "iris-training", "--environment", "prod", "--epochs", "5"];
    let ended = paramd(few).at(&daemon).inside(config.around()).ended();
    assert_ne!(ended.status, Some(0));
    ended.says(&["production trains at least 50 epochs"]);
    let locked = ["run", "iris-training", "--environment", "prod", "--test-fraction", "0.1"];
    let ended = paramd(locked).at(&daemon).inside(config.around()).ended();
    ended.says(&["test_fraction", "prod"]);
    call(["run", "iris-training", "--environment", "prod"], &daemon, &config)
        .says(&["trained 400 epochs", "accuracy: 0.9"]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_trains_with_its_secrets_in_vault() {
    let config = example();
    let bao = Bao::start().await;
    for environment in ["dev", "prod"] {
        let folder = config.path.join("secrets").join(environment);
        let password = std::fs::read_to_string(folder.join("reader.password")).unwrap();
        let key = hex::encode(std::fs::read(folder.join("report.key")).unwrap());
        let data = json!({ "user": format!("trainer-{environment}"), "password": password, "report_key": key });
        bao.write("secret", &format!("iris/{environment}"), data, true).await;
    }
    let vault = config.around().join("config-vault");
    copy_folder(&root().join("config-vault"), &vault);
    let settings = std::fs::read_to_string(vault.join("paramd.yaml")).unwrap();
    let settings = settings.replace("https://127.0.0.1:8200", &bao.address());
    std::fs::write(vault.join("paramd.yaml"), settings).unwrap();
    std::fs::copy(bao.ca(), vault.join("vault-ca.pem")).unwrap();
    let (role, secret) = bao.role().await;
    config.write_secret("../config-vault/role-id", role);
    config.write_secret("../config-vault/secret-id", secret);
    paramd(["check", vault.to_str().unwrap()]).ok();
    let daemon = Launch::dev(&vault, config.around()).start().await;
    check(&daemon, &config, "vault");
    daemon.stop();
}
