//! A real PostgreSQL with passwords and TLS, on a folder of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{Connection as _, Executor as _, Row as _};
use tempfile::TempDir;

use super::{free_port, wait_for, wait_until};

/// The password of the superuser `postgres`.
pub(crate) const ROOT: &str = "root-of-a-test-5b1f";
/// The password of the role `reader`.
pub(crate) const PASSWORD: &str = "reader's p@ss:word/ü-77aa31";

/// A server that goes with the test.
pub(crate) struct Postgres {
    folder: TempDir,
    child: Option<Child>,
    port: u16,
    _template: Arc<Template>,
}

/// An initialised folder, made once for all that run at the same time.
struct Template(TempDir);

static TEMPLATE: Mutex<Weak<Template>> = Mutex::new(Weak::new());

impl Postgres {
    /// Starts one, with the database `features` and the role `reader`, who may
    /// read what the test grants.
    pub(crate) async fn start() -> Self {
        let template = template();
        let folder = private();
        let data = folder.path().join("data");
        run(command("cp").arg("-a").arg(template.0.path().join("data")).arg(&data));
        certificate(&data);
        let mut server = Self { folder, child: None, port: free_port(), _template: template };
        server.go().await;
        let escaped = PASSWORD.replace('\'', "''");
        server.execute_in("postgres", "create database features").await;
        server.execute(&format!("create role reader login password '{escaped}'")).await;
        server
    }

    /// Starts it on its folder and waits until it answers.
    pub(crate) async fn go(&mut self) {
        self.launch();
        wait_until("PostgreSQL answers", Duration::from_secs(30), async || {
            self.still_runs();
            self.connect("postgres").await.ok().map(drop)
        })
        .await;
    }

    fn launch(&mut self) {
        let output = std::fs::File::create(self.folder.path().join("out")).unwrap();
        let child = command(binary("postgres"))
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "fsync=off", "-c", "ssl=on", "-c", "hot_standby=off", "-c"])
            .arg(format!("unix_socket_directories={}", self.folder.path().display()))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("PostgreSQL runs");
        self.child = Some(child);
    }

    fn still_runs(&mut self) {
        if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
            panic!("PostgreSQL ended with {status}:\n{}", self.log());
        }
    }

    /// Starts it again as a standby, which takes no connection.
    pub(crate) async fn stand_by(&mut self) {
        self.stop();
        std::fs::write(self.standby(), "").unwrap();
        self.launch();
        wait_until("PostgreSQL stands by", Duration::from_secs(30), async || {
            self.still_runs();
            let refused = self.connect("postgres").await.err()?;
            let code = refused.as_database_error()?.code()?;
            (code == "57P03").then_some(())
        })
        .await;
    }

    /// Starts it again as what it was before.
    pub(crate) async fn stand_up(&mut self) {
        self.stop();
        std::fs::remove_file(self.standby()).unwrap();
        self.go().await;
    }

    fn standby(&self) -> PathBuf {
        self.folder.path().join("data/standby.signal")
    }

    /// Ends it at once, in good order.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        wait_for("PostgreSQL ends", Duration::from_secs(30), || child.try_wait().unwrap());
    }

    /// Where it listens on the loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }

    /// `url` of the role and database.
    pub(crate) fn url(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/features", self.port)
    }

    /// The `url` by its socket.
    pub(crate) fn socket_url(&self, role: &str) -> String {
        let folder = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://{role}@{folder}:{}/features", self.port)
    }

    /// The file of the authority that its certificate is of.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("data/server.crt")
    }

    /// Does statements as the superuser.
    pub(crate) async fn execute(&self, sql: &str) {
        self.execute_in("features", sql).await;
    }

    /// The same in another database.
    pub(crate) async fn execute_in(&self, database: &str, sql: &str) {
        let mut connection = self.connect(database).await.unwrap();
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }

    /// A number that a query gives the superuser.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let mut connection = self.connect("features").await.unwrap();
        let query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
        let row: PgRow = connection.fetch_one(query).await.unwrap();
        row.get(0)
    }

    /// How many sessions the role has that are in this state.
    pub(crate) async fn sessions(&self, state: &str) -> i64 {
        self.count(&format!(
            "select count(*) from pg_stat_activity where usename = 'reader' and state like '{state}'"
        ))
        .await
    }

    /// A session of the superuser, for what needs one for long.
    pub(crate) async fn session(&self) -> PgConnection {
        self.connect("features").await.unwrap()
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .password(ROOT)
            .ssl_mode(PgSslMode::Disable)
            .database(database);
        PgConnection::connect_with(&options).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = kill_process(Pid::from_child(child), Signal::INT);
            let _ = child.wait();
        }
    }
}

fn template() -> Arc<Template> {
    let mut known = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(template) = known.upgrade() {
        return template;
    }
    let folder = private();
    let password = folder.path().join("password");
    std::fs::write(&password, ROOT).unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
    run(command(binary("initdb"))
        .arg("-D")
        .arg(folder.path().join("data"))
        .arg(format!("--pwfile={}", password.display()))
        .args(["-U", "postgres", "-A", "scram-sha-256", "--no-sync"])
        .args(["-E", "UTF8", "--locale=C.UTF-8"]));
    let template = Arc::new(Template(folder));
    *known = Arc::downgrade(&template);
    template
}

/// A folder that the server's user can enter, who isn't always this one.
fn private() -> TempDir {
    let folder = TempDir::with_prefix("paramd-postgres-").unwrap();
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(folder.path()));
    }
    folder
}

/// A certificate for the address, which is its own authority.
fn certificate(data: &Path) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = data.join("server.key");
    std::fs::write(data.join("server.crt"), made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(key).arg(data.join("server.crt")));
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// A command as the user `postgres` where this one is root: the server refuses
/// to run as root.
fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
    if is_root() {
        command.uid(id("-u")).gid(id("-g"));
    }
    command
}

fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postgres"]).output().unwrap();
    assert!(output.status.success(), "there is no user postgres: install postgresql");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}

/// A program of PostgreSQL: Debian keeps them out of PATH.
pub(crate) fn binary(name: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.map(|version| version.unwrap().path().join("bin")).collect())
        .unwrap_or_default();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no {name} of PostgreSQL: scripts/test installs it"))
}
