//! Distinct secrets in every source, and the configuration that reads them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::pipelines;
use super::secret::{LARGE, LARGE_BYTES, SHAPES, Secret, shaped};
use crate::support::bao::Bao;
use crate::support::config::{Config, database};
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

/// Where a run's values come from: the sources, and the run itself.
pub(super) const SOURCES: [&str; 7] =
    ["env", "file", "sqlite", "postgres", "mysql", "vault", "override"];

/// Where no secret may be written: in plain values, names and filters, in
/// definitions, in the metadata of a request.
const ELSEWHERE: [&str; 3] = ["misplaced", "literal", "metadata"];

/// A variable of a process has less room.
const LARGE_VARIABLE: usize = 100 << 10;

/// The servers that are asked.
pub(super) struct Servers {
    pub(super) bao: Bao,
    pub(super) postgres: Postgres,
    pub(super) mysql: MariaDb,
}

impl Servers {
    pub(super) async fn start() -> Self {
        let (bao, postgres, mysql) =
            tokio::join!(Bao::start(), Postgres::start(), MariaDb::start());
        Self { bao, postgres, mysql }
    }
}

/// All planted secrets.
pub(super) struct Planted {
    kinds: BTreeMap<&'static str, Vec<Secret>>,
    others: Vec<Secret>,
    /// Secrets of each source.
    pub(super) each: usize,
}

impl Planted {
    /// Makes this many for each source, of every shape.
    pub(super) fn new(each: usize) -> Self {
        let of_source = |kind: &'static str| {
            let is_text = ["env", "vault"].contains(&kind);
            let large = match kind {
                "env" => LARGE_VARIABLE,
                _ => LARGE_BYTES,
            };
            let one = |index| {
                // One large one for each source is enough.
                let shape = match index % SHAPES {
                    LARGE if index > LARGE => SHAPES - 1,
                    shape => shape,
                };
                shaped(&format!("{kind} {index}"), shape, is_text, large)
            };
            (kind, (0..each).map(one).collect())
        };
        let elsewhere = |kind: &'static str| {
            let one = |shape| shaped(&format!("{kind} {shape}"), shape, true, LARGE_BYTES);
            (kind, (0..SHAPES).map(one).collect())
        };
        let kinds = SOURCES.into_iter().map(of_source).chain(ELSEWHERE.into_iter().map(elsewhere));
        Self { kinds: kinds.collect(), others: Vec::new(), each }
    }

    pub(super) fn of(&self, kind: &str) -> &[Secret] {
        &self.kinds[kind]
    }

    /// Adds one that no pipeline reads.
    pub(super) fn add(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.add_after(0, name, bytes);
    }

    /// Adds one that begins with so many bytes that are no secret.
    pub(super) fn add_after(&mut self, known: usize, name: &str, bytes: impl Into<Vec<u8>>) {
        self.others.push(Secret::of_bytes(name, bytes.into(), known));
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Secret> {
        self.kinds.values().flatten().chain(&self.others).cloned().collect()
    }

    /// The daemon's environment.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let pair = |(index, secret): (usize, &Secret)| (format!("CANARY_{index}"), secret.text());
        self.of("env").iter().enumerate().map(pair).collect()
    }
}

/// Writes all of them where they belong, with pipelines that read them.
pub(super) async fn configure(servers: &Servers, planted: &mut Planted) -> Config {
    let Servers { bao, postgres: server, mysql: other } = servers;
    let variables: Vec<_> = (0..planted.each).map(|index| format!("CANARY_{index}")).collect();
    let sources = format!(
        r#"  variables: {{ env: {{ names: [{variables}] }}, grants: [{{ pipelines: ["*"] }}] }}
  local: {{ file: {{ root: files }}, grants: [{{ pipelines: ["*"], paths: ["*"] }}] }}
  tables: {{ sql: {{ url: "sqlite:tables.db" }}, grants: [{{ pipelines: ["*"] }}] }}
  features: {{ sql: {{ url: "{url}", password: {{ file: password }} }}, grants: [{{ pipelines: ["*"] }}] }}
  ledger: {{ sql: {{ url: "{other}", password: {{ file: other-password }} }}, grants: [{{ pipelines: ["*"] }}] }}
  main:
    vault: {{ address: "{0}", ca: "{1}", mounts: {{ secret: kv-v2 }}, auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["secret/canary/*"] }}]
  other:
    vault: {{ address: "{0}", ca: "{1}", mounts: {{ secret: kv-v2 }}, auth: {{ token: {{ file: token }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["secret/canary/*"] }}]
"#,
        bao.address(),
        bao.ca().display(),
        variables = variables.join(", "),
        url = server.url("reader"),
        other = other.url("reader"),
    );
    let config = Config::new(&sources, "canary", &pipelines::good(planted));
    for (name, text) in pipelines::others(planted) {
        config.write(&format!("pipelines/{name}.yaml"), text);
    }
    config.write("files/latin", b"\xe4\xf6\xfc is no UTF-8");
    for (index, secret) in planted.of("file").iter().enumerate() {
        config.write_secret(&format!("files/{index}"), &secret.bytes);
    }
    sqlite(&config, planted.of("sqlite"));
    let password = shaped("password", 1, true, 0);
    postgres(server, planted.of("postgres"), &password.text()).await;
    config.write_secret("password", &password.bytes);
    planted.add("database password", password.bytes);
    let password = shaped("other password", 1, true, 0);
    mysql(other, planted.of("mysql"), &password.text()).await;
    config.write_secret("other-password", &password.bytes);
    planted.add("other database password", password.bytes);
    vault(bao, &config, planted).await;
    config
}

fn sqlite(config: &Config, secrets: &[Secret]) {
    database(&config.path.join("tables.db"), "create table secrets (place integer, value blob)");
    let connection = rusqlite::Connection::open(config.path.join("tables.db")).unwrap();
    let insert = "insert into secrets values (?1, ?2)";
    for (place, secret) in secrets.iter().enumerate() {
        let place = i64::try_from(place).unwrap();
        if secret.is_text() {
            connection.execute(insert, (place, secret.text())).unwrap();
        } else {
            connection.execute(insert, (place, &secret.bytes)).unwrap();
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Fills PostgreSQL. Its function tells what it is given in a warning.
async fn postgres(server: &Postgres, secrets: &[Secret], password: &str) {
    let mut script = format!("{TABLES} alter role reader password {};\n", quoted(password));
    for (index, secret) in secrets.iter().enumerate() {
        let value = match secret.is_text() {
            true => format!("{}, null", quoted(&secret.text())),
            false => format!("null, decode('{}', 'hex')", hex::encode(&secret.bytes)),
        };
        writeln!(script, "insert into secrets values ({index}, {value});").unwrap();
    }
    server.execute(&script).await;
}

const TABLES: &str = "
    create table secrets (place integer, value text, bytes bytea);
    grant select on secrets to reader;
    create function told(value text) returns text language plpgsql as
        $$ begin raise warning 'told: %', value; return value; end $$;
";

/// Fills MariaDB. Its function fails with what it is given as its message.
async fn mysql(server: &MariaDb, secrets: &[Secret], password: &str) {
    server.execute(OTHER_TABLES).await;
    server.execute(&format!("alter user reader identified by {}", quoted(password))).await;
    for (index, secret) in secrets.iter().enumerate() {
        let bytes = format!("x'{}'", hex::encode(&secret.bytes));
        let value = match secret.is_text() {
            true => format!("convert({bytes} using utf8mb4), null"),
            false => format!("null, {bytes}"),
        };
        server.execute(&format!("insert into secrets values ({index}, {value})")).await;
    }
}

const OTHER_TABLES: &str = "
    create table secrets (place integer, value longtext, bytes longblob);
    grant select on features.secrets to reader;
    create function fails(value text) returns int
        begin signal sqlstate '45000' set message_text = value; return 1; end;
";

/// Fills OpenBao, and keeps how the daemon logs in to it.
async fn vault(bao: &Bao, config: &Config, planted: &mut Planted) {
    for (index, secret) in planted.of("vault").iter().enumerate() {
        let data = json!({ "value": secret.text() });
        bao.write("secret", &format!("canary/{index}"), data, true).await;
    }
    let (role, secret) = bao.role().await;
    config.write_secret("role", role);
    config.write_secret("secret", format!("{secret}\n"));
    let token = bao.post("auth/token/create", json!({ "policies": ["paramd"] })).await;
    let token = token["auth"]["client_token"].as_str().unwrap().to_owned();
    config.write_secret("token", format!("{token}\n"));
    planted.add("secret id", secret);
    planted.add("token", token);
}
