//! A real MariaDB with passwords and TLS, on a folder of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::{Connection as _, Executor as _, Row as _};
use tempfile::TempDir;

use super::{free_port, wait_for, wait_until};

/// The password of the account `reader`.
pub(crate) const PASSWORD: &str = "reader's p@ss:word/ü-3c19d0";

/// A server that goes with the test.
pub(crate) struct MariaDb {
    folder: TempDir,
    child: Option<Child>,
    port: u16,
    _template: Arc<Template>,
}

/// An installed folder, made once for all that run at the same time.
struct Template(TempDir);

static TEMPLATE: Mutex<Weak<Template>> = Mutex::new(Weak::new());

impl MariaDb {
    /// Starts one, with the database `features` and the account `reader`, who may
    /// read what the test grants.
    pub(crate) async fn start() -> Self {
        let template = template();
        let folder = TempDir::with_prefix("paramd-mariadb-").unwrap();
        let data = folder.path().join("data");
        run(Command::new("cp").arg("-a").arg(template.0.path().join("data")).arg(&data));
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.path().join("server.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("server.key"), made.signing_key.serialize_pem()).unwrap();
        let mut server = Self { folder, child: None, port: free_port(), _template: template };
        server.go().await;
        let escaped = PASSWORD.replace('\'', "''");
        server.execute_in("mysql", "create database features character set utf8mb4").await;
        server.execute(&format!("create user reader identified by '{escaped}'")).await;
        // Without any right, even the database isn't there for an account.
        server.execute("grant execute on features.* to reader").await;
        server
    }

    /// Starts it on its folder and waits until it answers.
    pub(crate) async fn go(&mut self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let output = std::fs::File::create(self.folder.path().join("out")).unwrap();
        let child = command(&binary("mariadbd"))
            .arg(format!("--datadir={}", path("data")))
            .arg(format!("--socket={}", path("m.sock")))
            .arg(format!("--port={}", self.port))
            .arg(format!("--pid-file={}", path("m.pid")))
            .arg(format!("--ssl-cert={}", path("server.crt")))
            .arg(format!("--ssl-key={}", path("server.key")))
            .args(["--bind-address=127.0.0.1", "--skip-log-bin", "--skip-name-resolve"])
            .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M"])
            .args(["--log-warnings=9", "--character-set-server=latin1"])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("MariaDB runs");
        self.child = Some(child);
        wait_until("MariaDB answers", Duration::from_secs(60), async || {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("MariaDB ended with {status}:\n{}", self.log());
            }
            self.connect("mysql").await.ok().map(drop)
        })
        .await;
    }

    /// Ends it in good order.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        wait_for("MariaDB ends", Duration::from_secs(30), || child.try_wait().unwrap());
    }

    /// Where it listens on the loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }

    /// `url` of the account and database.
    pub(crate) fn url(&self, account: &str) -> String {
        format!("mysql://{account}@127.0.0.1:{}/features", self.port)
    }

    /// The `url` by its socket.
    pub(crate) fn socket_url(&self, account: &str) -> String {
        let socket = self.socket().to_str().unwrap().replace('/', "%2F");
        format!("mariadb://{account}@{socket}/features")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("m.sock")
    }

    /// The file of the authority that its certificate is of.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }

    /// Does statements as the superuser.
    pub(crate) async fn execute(&self, sql: &str) {
        self.execute_in("features", sql).await;
    }

    async fn execute_in(&self, database: &str, sql: &str) {
        let mut connection = self.connect(database).await.unwrap();
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }

    /// A number that a query gives the superuser.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let mut connection = self.connect("features").await.unwrap();
        let query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
        let row: MySqlRow = connection.fetch_one(query).await.unwrap();
        row.get(0)
    }

    /// A session of the superuser, for what needs one for long.
    pub(crate) async fn session(&self) -> MySqlConnection {
        self.connect("features").await.unwrap()
    }

    async fn connect(&self, database: &str) -> Result<MySqlConnection, sqlx::Error> {
        let options = MySqlConnectOptions::new()
            .socket(self.socket())
            .username("root")
            .ssl_mode(MySqlSslMode::Disabled)
            .database(database);
        MySqlConnection::connect_with(&options).await
    }
}

/// How many sessions `reader` has, as one of the superuser's sees it.
pub(crate) async fn sessions(watcher: &mut MySqlConnection) -> i64 {
    let query = "select count(*) from information_schema.processlist where user = 'reader'";
    watcher.fetch_one(query).await.unwrap().get(0)
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Nothing of it is kept.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn template() -> Arc<Template> {
    let mut known = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(template) = known.upgrade() {
        return template;
    }
    let folder = TempDir::with_prefix("paramd-mariadb-").unwrap();
    run(command(&binary("mariadb-install-db"))
        .arg(format!("--datadir={}", folder.path().join("data").display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        .arg("--skip-name-resolve"));
    let template = Arc::new(Template(folder));
    *known = Arc::downgrade(&template);
    template
}

/// A program with no settings but its arguments. The server runs as this user.
fn command(program: &PathBuf) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command.arg("--no-defaults");
    if rustix::process::getuid().is_root() {
        command.arg("--user=root");
    }
    command
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}

/// A program of MariaDB: Debian keeps the server out of a user's PATH.
fn binary(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no {name} of MariaDB: scripts/test installs it"))
}
