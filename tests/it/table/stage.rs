//! A daemon whose one parameter is in the condition of a cell.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::net::TcpListener;

use super::{Condition, Source, VALUE};
use crate::support::bao::Bao;
use crate::support::config::{Config, database};
use crate::support::daemon::{Daemon, Launch};
use crate::support::mariadb::{self, MariaDb};
use crate::support::postgres::{PASSWORD, Postgres};

/// What a cell stands on; servers go with it.
pub(super) struct Stage {
    pub(super) daemon: Daemon,
    _config: Config,
    _bao: Option<Bao>,
    _postgres: Option<Postgres>,
    _mariadb: Option<MariaDb>,
}

/// The parameter's declaration and the source in `paramd.yaml`.
struct Cell {
    from: String,
    source: String,
}

pub(super) async fn stage(source: Source, condition: Condition, default: bool) -> Stage {
    let (mut bao, mut postgres, mut mariadb) = (None, None, None);
    let cell = match source {
        Source::Env => env(condition),
        Source::File => file(condition),
        Source::Sqlite => Cell { from: query(condition, HEAVY), source: sqlite() },
        Source::Postgres => {
            let server = postgres.insert(Postgres::start().await);
            if condition != Condition::Denied {
                server.execute("create table t (v text); grant select on t to reader").await;
            } else {
                server.execute("create table t (v text)").await;
            }
            let rows = format!("insert into t values ('{VALUE}'), ('b'), ('c')");
            server.execute(&rows).await;
            let source = sql(&server.url("reader"));
            Cell { from: query(condition, "select pg_sleep(60)::text"), source }
        }
        Source::MariaDb => {
            let server = mariadb.insert(MariaDb::start().await);
            server.execute("create table t (v varchar(40))").await;
            if condition != Condition::Denied {
                server.execute("grant select on features.t to reader").await;
            }
            let rows = format!("insert into t values ('{VALUE}'), ('b'), ('c')");
            server.execute(&rows).await;
            let source = sql(&server.url("reader"));
            Cell { from: query(condition, "select cast(sleep(60) as char)"), source }
        }
        Source::Kv1 => vault(bao.insert(Bao::start().await), condition, "one", false).await,
        Source::Kv2 => vault(bao.insert(Bao::start().await), condition, "secret", true).await,
    };
    let config = Config::new(&cell.source, "cell", &pipeline(&cell, source, condition, default));
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    config.write("paramd.yaml", format!("resolve_timeout: {}\n{settings}", budget(condition)));
    let password = if mariadb.is_some() { mariadb::PASSWORD } else { PASSWORD };
    config.write_secret("password", password);
    surround(&config, bao.as_ref()).await;
    let mut launch = Launch::plain(&config.path, config.around());
    if condition != Condition::Absent {
        launch = launch.env("CELL", VALUE);
    }
    let daemon = launch.start().await;
    if condition == Condition::Sealed {
        bao.as_ref().unwrap().seal().await;
    }
    Stage { daemon, _config: config, _bao: bao, _postgres: postgres, _mariadb: mariadb }
}

/// What answers at all answers long before; what doesn't is not waited for.
fn budget(condition: Condition) -> &'static str {
    match condition {
        Condition::TimedOut | Condition::Sealed => "2s",
        _ => "30s",
    }
}

fn pipeline(cell: &Cell, source: Source, condition: Condition, default: bool) -> String {
    let vault = matches!(source, Source::Kv1 | Source::Kv2);
    let (kind, literal) = match condition {
        Condition::WrongType => ("integer", "7"),
        Condition::TooManyRows => ("array", "[]"),
        _ => ("string", "x"),
    };
    let items = if kind == "array" { ", items: { type: string }" } else { "" };
    let default = match (default, vault) {
        (false, _) => String::new(),
        // A secret has no literal but null.
        (true, true) => ", default: null".to_owned(),
        (true, false) => format!(", default: {literal}"),
    };
    let kind = if vault { format!("[{kind}, \"null\"]") } else { kind.to_owned() };
    format!(
        "name: cell\nparameters:\n  value: {{ type: {kind}{items}{default}, from: {} }}\n\
         steps:\n  - {{ name: go, params: [value], run: [echo] }}\n",
        cell.from
    )
}

/// The files that sources and their settings name.
async fn surround(config: &Config, bao: Option<&Bao>) {
    config.write("files/value", VALUE);
    config.write("outside", VALUE);
    std::os::unix::fs::symlink("../outside", config.path.join("files/out")).unwrap();
    let rows = format!("create table t (v text); insert into t values ('{VALUE}'), ('b'), ('c')");
    database(&config.path.join("cell.db"), &rows);
    if let Some(bao) = bao {
        let (role, secret) = bao.role().await;
        config.write_secret("role", role);
        config.write_secret("secret", secret);
    }
}

fn env(condition: Condition) -> Cell {
    assert_ne!(condition, Condition::Denied);
    Cell {
        from: "{ env: { name: CELL } }".into(),
        source: "  it: { env: { names: [CELL] }, grants: [{ pipelines: [\"*\"] }] }\n".into(),
    }
}

fn file(condition: Condition) -> Cell {
    let path = match condition {
        Condition::Absent => "gone",
        Condition::Denied => "out",
        _ => "value",
    };
    Cell {
        from: format!("{{ file: {{ path: {path} }} }}"),
        source:
            "  it: { file: { root: files }, grants: [{ pipelines: [\"*\"], paths: [\"*\"] }] }\n"
                .into(),
    }
}

/// A query that SQLite takes a long time for.
const HEAVY: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n where i < 0";

fn query(condition: Condition, slow: &str) -> String {
    let (text, shape) = match condition {
        Condition::TimedOut => (slow.to_owned(), "value"),
        Condition::TooManyRows => ("select v from t".to_owned(), "column"),
        Condition::Absent => ("select v from t where v = 'none'".to_owned(), "value"),
        _ => (format!("select v from t where v = '{VALUE}'"), "value"),
    };
    format!("{{ sql: {{ query: \"{text}\", shape: {shape} }} }}")
}

fn sqlite() -> String {
    "  it: { sql: { url: \"sqlite:cell.db\", max_rows: 2 }, grants: [{ pipelines: [\"*\"] }] }\n"
        .to_owned()
}

fn sql(url: &str) -> String {
    format!(
        "  it: {{ sql: {{ url: \"{url}\", password: {{ file: password }}, max_rows: 2 }}, \
         grants: [{{ pipelines: [\"*\"] }}] }}\n"
    )
}

/// A server that takes connections and never says a word.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    address
}

async fn vault(bao: &Bao, condition: Condition, mount: &str, version_2: bool) -> Cell {
    if mount != "secret" {
        bao.mount(mount, "kv-v1").await;
    }
    bao.write(mount, "cell", json!({ "value": VALUE }), version_2).await;
    let mut address = bao.address();
    let (mut asked, mut path) = (mount, "cell");
    match condition {
        Condition::Denied => {
            let all = BTreeMap::from([("other/*".to_owned(), vec!["read".to_owned()])]);
            bao.policy(&all).await;
        }
        Condition::DeletedVersion => bao.remove(mount, "cell", "delete").await,
        Condition::MissingMount => asked = "gone",
        Condition::Absent => path = "never",
        Condition::TimedOut => address = silent().await,
        _ => {}
    }
    let kind = if version_2 { "kv-v2" } else { "kv-v1" };
    Cell {
        from: format!("{{ vault: {{ mount: {asked}, path: {path}, field: value }} }}"),
        source: format!(
            "  it:\n    vault: {{ address: \"{address}\", ca: \"{}\", mounts: {{ {asked}: {kind} }}, \
             auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}\n    \
             grants: [{{ pipelines: [\"*\"], paths: [\"*\"] }}]\n",
            bao.ca().display()
        ),
    }
}
