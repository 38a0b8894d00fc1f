//! A value of each source, just below a value's limit, at it and over it.

use paramd::proto::v1::{RevealSecretsRequest, reveal_secrets_response::Secrets};
use serde_json::json;

use crate::support::bao::Bao;
use crate::support::client::{Client, resolve, run};
use crate::support::config::{Config, database};
use crate::support::daemon::Launch;
use crate::support::mariadb::{self, MariaDb};
use crate::support::postgres::{self, Postgres};
use crate::support::status::problem;

/// The most bytes of a value.
const MOST: usize = 1 << 20;
/// The most levels of a value.
const LEVELS: usize = 16;

/// What is read: a name, the type that is declared, and from where; `BYTES` is how
/// many bytes the value has.
const READS: [(&str, &str, &str); 17] = [
    ("file-text", "string", "file: { path: \"BYTES\""),
    ("file-bytes", "string, contentEncoding: base64", "file: { path: \"BYTES\""),
    ("sqlite-text", "string", "sql: { from: eight, query: select x from t where n = BYTES"),
    ("sqlite-wide", "string", "sql: { from: sixteen, query: select x from t where n = BYTES"),
    ("sqlite-bytes", BYTES, "sql: { from: eight, query: select zeroblob(BYTES)"),
    (
        "sqlite-list",
        LIST,
        "sql: { from: eight, shape: column, query: \"select substr(x, 3) from t where n = BYTES union all select ''\"",
    ),
    (
        "sqlite-row",
        OBJECT,
        "sql: { from: eight, shape: row, query: \"select substr(x, 3) as a from t where n = BYTES\"",
    ),
    ("postgres-text", "string", "sql: { from: postgres, query: \"select repeat('x', BYTES)\""),
    (
        "postgres-bytes",
        BYTES,
        "sql: { from: postgres, query: \"select decode(repeat('00', BYTES), 'hex')\"",
    ),
    (
        "postgres-list",
        LIST,
        "sql: { from: postgres, query: \"select array[repeat('x', BYTES - 2), '']\"",
    ),
    (
        "postgres-json",
        LIST,
        "sql: { from: postgres, query: \"select jsonb_build_array(repeat('x', BYTES - 4))\"",
    ),
    (
        "postgres-row",
        OBJECT,
        "sql: { from: postgres, shape: row, query: \"select repeat('x', BYTES - 2) as a\"",
    ),
    ("mysql-text", "string", "sql: { from: mysql, query: \"select repeat('x', BYTES)\""),
    (
        "mysql-wide",
        "string",
        "sql: { from: mysql, query: \"select convert(repeat('x', BYTES) using utf32)\"",
    ),
    (
        "mysql-bytes",
        BYTES,
        "sql: { from: mysql, query: \"select cast(repeat('x', BYTES) as binary)\"",
    ),
    (
        "mysql-list",
        LIST,
        "sql: { from: mysql, shape: column, query: \"select repeat('x', BYTES - 2) union all select ''\"",
    ),
    (
        "mysql-row",
        OBJECT,
        "sql: { from: mysql, shape: row, query: \"select repeat('x', BYTES - 2) as a\"",
    ),
];
const BYTES: &str = "string, contentEncoding: base64";
const LIST: &str = "array, items: { type: string }";
const OBJECT: &str = "object, properties: { a: { type: string } }";

/// Fields of Vault, with their types; each stands at a path of its own.
const FIELDS: [(&str, &str); 5] = [
    ("text", "string"),
    ("escaped", "string"),
    ("bytes", BYTES),
    ("list", LIST),
    ("levels", "array"),
];

fn sizes() -> [usize; 3] {
    [MOST - 1, MOST, MOST + 1]
}

/// A pipeline for each size, which is the last part of its name.
fn write(config: &Config, name: &str, kind: &str, from: &str) {
    for bytes in sizes() {
        let from = from.replace("BYTES", &bytes.to_string());
        let text = format!(
            "name: {name}-{bytes}\nparameters:\n  \
             x: {{ type: {kind}, secret: true, from: {{ {from} }} }} }}\n"
        );
        config.write(&format!("pipelines/{name}-{bytes}.yaml"), text);
    }
}

async fn configured(bao: &Bao, postgres: &Postgres, mysql: &MariaDb) -> Config {
    let sources = format!(
        r#"  local: {{ file: {{ root: files }}, grants: [{{ pipelines: ["*"], paths: ["*"] }}] }}
  eight: {{ sql: {{ url: "sqlite:eight.db" }}, grants: [{{ pipelines: ["*"] }}] }}
  sixteen: {{ sql: {{ url: "sqlite:sixteen.db" }}, grants: [{{ pipelines: ["*"] }}] }}
  postgres: {{ sql: {{ url: "{}", password: {{ file: one }} }}, grants: [{{ pipelines: ["*"] }}] }}
  mysql: {{ sql: {{ url: "{}", password: {{ file: other }} }}, grants: [{{ pipelines: ["*"] }}] }}
  main:
    vault: {{ address: "{}", ca: "{}", mounts: {{ secret: kv-v2, one: kv-v1 }}, auth: {{ token: {{ file: token }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["secret/*", "one/*"] }}]
"#,
        postgres.url("reader"),
        mysql.url("reader"),
        bao.address(),
        bao.ca().display(),
    );
    let config = Config::new(&sources, "empty", "name: empty\n");
    for (name, kind, from) in READS {
        write(&config, name, kind, from);
    }
    config.write_secret("one", postgres::PASSWORD);
    config.write_secret("other", mariadb::PASSWORD);
    config.write_secret("token", crate::support::bao::ROOT);
    for bytes in sizes() {
        config.write_secret(&format!("files/{bytes}"), "x".repeat(bytes));
    }
    for (name, encoding) in [("eight", "UTF-8"), ("sixteen", "UTF-16")] {
        let path = config.path.join(format!("{name}.db"));
        database(&path, &format!("pragma encoding = '{encoding}'; create table t (n, x)"));
        let connection = rusqlite::Connection::open(path).unwrap();
        for bytes in sizes() {
            let row = (i64::try_from(bytes).unwrap(), "x".repeat(bytes));
            connection.execute("insert into t values (?1, ?2)", row).unwrap();
        }
    }
    vault(bao, &config).await;
    config
}

async fn vault(bao: &Bao, config: &Config) {
    bao.mount("one", "kv-v1").await;
    for (field, kind) in FIELDS {
        for (mount, version_2) in [("secret", true), ("one", false)] {
            let name = format!("vault-{mount}-{field}");
            let from = format!("vault: {{ mount: {mount}, path: {field}/BYTES, field: x");
            write(config, &name, kind, &from);
            for bytes in sizes() {
                let value = match field {
                    "text" => json!("x".repeat(bytes)),
                    "escaped" => json!("\u{1}".repeat(bytes)),
                    "bytes" => json!(base64_of(bytes)),
                    "list" => json!(["x".repeat(bytes - 2), ""]),
                    _ => (0..LEVELS + bytes - MOST).fold(json!(1), |inner, _| json!([inner])),
                };
                bao.write(mount, &format!("{field}/{bytes}"), json!({ "x": value }), version_2)
                    .await;
            }
        }
    }
}

fn base64_of(bytes: usize) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(vec![0xfb; bytes])
}

/// The value as it is revealed, or why there is none.
async fn read(client: &Client, pipeline: &str) -> Result<usize, String> {
    if let Err(status) = client.resolve(resolve(pipeline, "a")).await {
        let problem = problem(&status);
        return Err(format!("{} {:?}", problem.reason, problem.metadata.get("cause")));
    }
    let request = RevealSecretsRequest {
        run: Some(run(pipeline, "a")),
        step: "main".into(),
        all: true,
        ..RevealSecretsRequest::default()
    };
    let answer = client.context.clone().reveal_secrets(request).await.unwrap().into_inner();
    let Some(Secrets::Plain(plain)) = answer.secrets else {
        panic!("{pipeline}: no plain secrets")
    };
    Ok(plain.secrets[0].payload.as_ref().unwrap().data.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_source_are_taken_up_to_the_limit_and_refused_over_it() {
    let (bao, postgres, mysql) = tokio::join!(Bao::start(), Postgres::start(), MariaDb::start());
    let config = configured(&bao, &postgres, &mysql).await;
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let of_vault = FIELDS.iter().flat_map(|(field, kind)| {
        ["secret", "one"].map(|mount| (format!("vault-{mount}-{field}"), *kind))
    });
    let reads = READS.iter().map(|(name, kind, _)| ((*name).to_owned(), *kind)).chain(of_vault);
    let mut wrong = Vec::new();
    for (name, kind) in reads {
        for bytes in sizes() {
            let read = read(&client, &format!("{name}-{bytes}")).await;
            let fits = match &read {
                // A secret list or object is revealed as JSON.
                Ok(length) if bytes <= MOST => *length == bytes || kind.starts_with(['a', 'o']),
                Ok(_) => false,
                Err(why) => {
                    bytes > MOST
                        && ["SOURCE_FAILED", "RESOLUTION_FAILED"]
                            .iter()
                            .any(|reason| why.starts_with(reason))
                }
            };
            if !fits {
                wrong.push(format!("{name} with {bytes} bytes: {read:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    daemon.stop();
}
