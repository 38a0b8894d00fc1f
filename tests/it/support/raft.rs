//! A real OpenBao that keeps what it knows: it survives a crash, and is sealed
//! until it is given its key.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bao::binary;
use super::{free_port, wait_until};

/// A server that goes with the test.
pub(crate) struct Raft {
    folder: TempDir,
    child: Child,
    port: u16,
    http: reqwest::Client,
    key: String,
    token: String,
}

impl Raft {
    /// Starts one, unsealed, with a KV 2 engine at `secret` and an AppRole
    /// `paramd` that may read all of it.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let (port, cluster) = (free_port(), free_port());
        let at = folder.path().display();
        let settings = format!(
            r#"storage "raft" {{
  path = "{at}/data"
  node_id = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster}"
audit "file" "f" {{ options {{ file_path = "{at}/audit.log" }} }}
"#
        );
        std::fs::write(folder.path().join("bao.hcl"), settings).unwrap();
        let child = launch(&folder);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (key, token) = (String::new(), String::new());
        let mut raft = Self { folder, child, port, http, key, token };
        raft.answers(501).await;
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let made = raft.put("sys/init", shares).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (raft.key, raft.token) = (text(&made["keys"][0]), text(&made["root_token"]));
        raft.unseal().await;
        raft.mount("secret").await;
        raft.put("sys/auth/approle", json!({ "type": "approle" })).await;
        let policy = "path \"secret/*\" { capabilities = [\"read\"] }";
        raft.put("sys/policies/acl/paramd", json!({ "policy": policy })).await;
        let role = json!({ "token_policies": "paramd", "token_ttl": "1h" });
        raft.put("auth/approle/role/paramd", role).await;
        raft
    }

    /// Mounts a KV 2 engine, and waits until it answers.
    pub(crate) async fn mount(&self, path: &str) {
        let engine = json!({ "type": "kv", "options": { "version": "2" } });
        self.put(&format!("sys/mounts/{path}"), engine).await;
        let url = format!("{}/v1/{path}/config", self.address());
        wait_until("the engine answers", Duration::from_secs(30), async || {
            let asked = self.http.get(&url).header("X-Vault-Token", &self.token).send().await;
            asked.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await;
    }

    /// Kills it and starts it again: it is sealed.
    pub(crate) async fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = launch(&self.folder);
        self.answers(503).await;
    }

    /// Gives it its key, and waits until it is active.
    pub(crate) async fn unseal(&self) {
        let address = self.address();
        let (unseal, health) =
            (format!("{address}/v1/sys/unseal"), format!("{address}/v1/sys/health"));
        let key = json!({ "key": self.key }).to_string();
        wait_until("OpenBao's unsealing", Duration::from_secs(30), async || {
            // Its raft may not be ready to take the key at once.
            self.http.put(&unseal).body(key.clone()).send().await.ok()?;
            let answer = self.http.get(&health).send().await.ok()?;
            (answer.status().as_u16() == 200).then_some(())
        })
        .await;
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Role id and a new secret id.
    pub(crate) async fn role(&self) -> (String, String) {
        let role = self.call(Method::GET, "auth/approle/role/paramd/role-id", json!({})).await;
        let secret = self.put("auth/approle/role/paramd/secret-id", json!({})).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&role["data"]["role_id"]), text(&secret["data"]["secret_id"]))
    }

    /// Asks the API as root.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.call(Method::PUT, path, body).await
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/v1/{path}", self.address());
        let request = self.http.request(method, url).header("X-Vault-Token", &self.token);
        let response = request.body(body.to_string()).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "OpenBao answered {status} for {path}: {text}");
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    /// Waits until its health is `status`.
    async fn answers(&self, status: u16) {
        let url = format!("{}/v1/sys/health", self.address());
        wait_until("OpenBao's health", Duration::from_secs(30), async || {
            let answer = self.http.get(&url).send().await;
            answer.is_ok_and(|answer| answer.status().as_u16() == status).then_some(())
        })
        .await;
    }

    /// How often the AppRole was used to log in.
    pub(crate) fn logins(&self) -> usize {
        let text = std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|entry| entry["type"] == "request")
            .filter(|entry| entry["request"]["path"] == "auth/approle/login")
            .count()
    }
}

impl Drop for Raft {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(folder: &TempDir) -> Child {
    Command::new(binary())
        .arg("server")
        .arg(format!("-config={}", folder.path().join("bao.hcl").display()))
        .env_clear()
        .env("HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(File::create(folder.path().join("bao.out")).unwrap())
        .stderr(File::create(folder.path().join("bao.err")).unwrap())
        .spawn()
        .expect("OpenBao runs")
}
