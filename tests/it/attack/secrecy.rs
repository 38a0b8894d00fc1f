//! What who may only trigger and read runs learns of secrets: nothing.

use paramd::proto::v1::resolved_parameter::Content;
use paramd::proto::v1::{GetRunRequest, ResolveRunResponse};
use prost::Message;

use crate::support::client::{resolve, run};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::status::{everything, problem};

const SOURCE: &str = "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"] }] }\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_of_a_secret_file_is_nowhere() {
    let pipeline = "name: hashed
parameters:
  shown: { type: string, from: { file: { path: shown } } }
  hidden: { type: string, secret: true, from: { file: { path: hidden } } }
steps:
  - { name: go, params: [shown, hidden], run: [echo] }
";
    let config = Config::new(SOURCE, "hashed", pipeline);
    config.write_secret("files/shown", "public");
    config.write_secret("files/hidden", "12345678");
    let hash = |text: &str| {
        hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
    };
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let mut told = client.resolve(resolve("hashed", "a")).await.unwrap().encode_to_vec();
    let get = GetRunRequest { run: Some(run("hashed", "a")) };
    told.extend(client.runs.clone().get_run(get).await.unwrap().into_inner().encode_to_vec());
    told.extend(client.context(&run("hashed", "a"), "go").await.unwrap().encode_to_vec());
    client.reveal_all(&run("hashed", "a"), "go", None).await.unwrap();
    told.extend(format!("{:?}", client.events().await).into_bytes());
    daemon.stop();
    told.extend(std::fs::read(config.path.join("state/paramd.db")).unwrap());
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(told.contains(&hash("public")), "what is public keeps its version");
    assert!(!told.contains(&hash("12345678")));
}

/// A caller who may bind `n` could try numbers, if an error said which failed.
#[tokio::test(flavor = "multi_thread")]
async fn why_a_secret_does_not_fit_is_not_told() {
    let parameters = "
  n: { type: integer, default: 1 }
  pin: { type: integer, secret: true, from: { file: { path: pin } } }
  list: { type: array, secret: true, items: { type: string }, from: { file: { path: list.json } } }
";
    for (name, rest) in [
        (
            "divided",
            "  q: { type: integer, from: { template: \"{{ 1 // (params.pin - params.n) }}\" } }\nsteps: [{ name: go, params: [q], run: [echo] }]\n",
        ),
        (
            "indexed",
            "  q: { type: string, from: { template: \"{{ params.list[5] }}\" } }\nsteps: [{ name: go, params: [q], run: [echo] }]\n",
        ),
        (
            "entry",
            "steps: [{ name: go, run: [echo], env: { Q: \"{{ 1 // (params.pin - params.n) }}\" } }]\n",
        ),
        ("listed", "steps: [{ name: go, run: [echo], env: { Q: \"{{ params.list[5] }}\" } }]\n"),
    ] {
        let config =
            Config::new(SOURCE, name, &format!("name: {name}\nparameters:{parameters}{rest}"));
        config.write_secret("files/pin", "1");
        config.write_secret("files/list.json", "[\"a\"]");
        let daemon = Launch::dev(&config.path, config.around()).start().await;
        let status = daemon.client().await.resolve(resolve(name, "a")).await.unwrap_err();
        let found = problem(&status);
        assert_eq!(found.violations[0].reason, "TEMPLATE_FAILED", "{found:?}");
        let told = String::from_utf8_lossy(&everything(&status)).to_lowercase();
        for word in ["zero", "divi", "index", "item", "undefined", "column", "range"] {
            assert!(!told.contains(word), "{name}: `{word}` in {told}");
        }
        daemon.stop();
    }
}

fn has_fingerprints(answer: &ResolveRunResponse) -> bool {
    let parameters = &answer.snapshot.as_ref().unwrap().parameters;
    parameters.iter().any(|one| match &one.content {
        Some(Content::Redacted(secret)) => !secret.fingerprint.is_empty(),
        _ => false,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preset_of_a_run_counts_for_its_fingerprints_too() {
    let pipeline = "name: small
parameters:
  n: { type: integer, default: 1 }
  hidden: { type: string, secret: true, from: { file: { path: hidden } } }
presets: { quick: { n: 2 } }
steps: [{ name: go, params: [n, hidden], run: [echo] }]
";
    let config = Config::new(SOURCE, "small", pipeline);
    config.write_secret("files/hidden", "a-secret-of-a-file");
    config.write(
        "policies/own.cedar",
        "forbid (principal, action == Paramd::Action::\"fingerprints\", resource)
         when { context has preset && context.preset == \"quick\" };\n",
    );
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    assert!(has_fingerprints(&client.resolve(resolve("small", "a")).await.unwrap()));
    let quick = resolve("small", "b").with(|request| request.preset = Some("quick".into()));
    assert!(!has_fingerprints(&client.resolve(quick).await.unwrap()));
    let context = client.context(&run("small", "b"), "go").await.unwrap().context.unwrap();
    assert!(context.secrets.values().all(|secret| secret.fingerprint.is_empty()));
    daemon.stop();
}
