//! A Vault, and an environment and a network that mean harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::support::bao::Bao;
use crate::support::client::resolve;
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::status::problem;

const PIPELINE: &str = "name: small
parameters:
  key: { type: string, from: { vault: { mount: secret, path: ml/key, field: key } } }
steps:
  - { name: go, run: [echo], env: { KEY: \"{{ params.key }}\" } }
";

async fn bao() -> Bao {
    let bao = Bao::start().await;
    bao.write("secret", "ml/key", json!({ "key": "key-3f1a77d0c2" }), true).await;
    bao
}

async fn config(bao: &Bao, address: &str, ca: &str) -> Config {
    let sources = format!(
        "  main:\n    vault: {{ address: \"{address}\", ca: \"{ca}\", mounts: {{ secret: kv-v2 }}, auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}\n    grants: [{{ pipelines: [\"*\"] }}]\n"
    );
    let config = Config::new(&sources, "small", PIPELINE);
    let (role, secret) = bao.role().await;
    config.write_secret("role", role);
    config.write_secret("secret", secret);
    config
}

/// A listener that counts who comes and says nothing.
async fn trap() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let came = Arc::new(AtomicUsize::new(0));
    let count = came.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, came)
}

/// A daemon in an environment that would lead a careless client elsewhere.
async fn misled(config: &Config, elsewhere: &str) -> Daemon {
    let mut launch = Launch::dev(&config.path, config.around());
    for name in [
        "VAULT_ADDR",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        launch = launch.env(name, elsewhere);
    }
    launch
        .env("VAULT_TOKEN", "a-token-of-somebody-else")
        .env("VAULT_NAMESPACE", "elsewhere")
        .env("VAULT_CACERT", "/nowhere/ca.pem")
        .env("VAULT_CAPATH", "/nowhere")
        .env("VAULT_SKIP_VERIFY", "true")
        .env("VAULT_CLIENT_CERT", "/nowhere/client.pem")
        .env("VAULT_CLIENT_KEY", "/nowhere/client.key")
        .env("VAULT_WRAP_TTL", "60s")
        .start()
        .await
}

async fn cause(daemon: &Daemon) -> String {
    let status = daemon.client().await.resolve(resolve("small", "a")).await.unwrap_err();
    problem(&status).metadata["cause"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_leads_nowhere_else() {
    let bao = bao().await;
    let (elsewhere, came) = trap().await;
    let config = config(&bao, &bao.address(), bao.ca().to_str().unwrap()).await;
    let daemon = misled(&config, &elsewhere).await;
    daemon.client().await.resolve(resolve("small", "a")).await.unwrap();
    assert_eq!(came.load(Ordering::SeqCst), 0, "somebody else was asked");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_is_not_trusted_whatever_the_environment_says() {
    let (bao, other) = (bao().await, Bao::start().await);
    let (elsewhere, _) = trap().await;
    let config = config(&bao, &bao.address(), other.ca().to_str().unwrap()).await;
    let daemon = misled(&config, &elsewhere).await;
    assert_eq!(cause(&daemon).await, "tls");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_host_is_refused() {
    let bao = bao().await;
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let there = listener.local_addr().unwrap();
    let real = bao.address().trim_start_matches("https://").to_owned();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = TcpStream::connect(&real).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut from, &mut to).await });
        }
    });
    let mark = bao.mark();
    let config = config(&bao, &format!("https://{there}"), bao.ca().to_str().unwrap()).await;
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    assert_eq!(cause(&daemon).await, "tls");
    assert_eq!(bao.logins_since(mark), 0);
    daemon.stop();
}
