//! An ill MariaDB.

use std::time::Duration;

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tempfile::TempDir;

use super::{VALUE, WORDS, Ward, all_is_well, pipeline};
use crate::support::config::Config;
use crate::support::mariadb::{MariaDb, PASSWORD};
use crate::support::proxy::{Fault, Proxy};
use crate::support::tls::Authority;
use crate::support::wait_until;

/// What the tests read. `fails` says words of the server's.
fn tables() -> String {
    format!(
        "create table t (n int, v varchar(40));
         insert into t values (1, '{VALUE}'), (2, 'b'), (3, 'c'), (4, '{WORDS}');
         create table asleep (n int); insert into asleep values (1);
         create table hidden (v varchar(40)); insert into hidden values ('{VALUE}');
         create table locked (n int primary key, v varchar(40)) engine = innodb;
         insert into locked values (1, '{VALUE}'), (2, '{VALUE}');
         create table many (n int); insert into many select seq from seq_1_to_5000;
         create function fails(code int) returns int
             begin
                 signal sqlstate 'HY000' set mysql_errno = code, message_text = '{WORDS}';
                 return 0;
             end;"
    )
}

/// Sleeps for as long as `asleep` has a row.
const SLEEPY: &str =
    "select v from t where n = 1 and sleep(60 * (select count(*) from asleep)) = 0";
/// Name, type, source, query, default.
const PIPELINES: [[&str; 5]; 14] = [
    ["absent", "string", "ill", "select v from t where n = 0", "x"],
    ["number", "integer", "ill", "select v from t where n = 1", "7"],
    ["rows", "string", "ill", "select v from t", "x"],
    ["large", "string", "ill", "select repeat(v, 100000) from t", "x"],
    ["hidden", "string", "ill", "select v from hidden", "x"],
    ["moved", "string", "ill", "select elsewhere from t", "x"],
    ["sleepy", "string", "ill", SLEEPY, "x"],
    ["heavy", "integer", "ill", "select count(*) from many a, many b, many c", "7"],
    ["fault", "integer", "ill", "select fails(1030)", "7"],
    ["full", "integer", "ill", "select fails(1021)", "7"],
    ["serial", "integer", "ill", "select fails(1020)", "7"],
    ["bytes", "string", "ill", "select cast(x'ff' as binary)", "x"],
    ["secure", "string", "secure", "select v from t where n = 1", "x"],
    ["doubted", "string", "doubted", "select v from t where n = 1", "x"],
];
/// Name, source and query of those that give a list.
const COLUMNS: [(&str, &str, &str); 4] = [
    ("long", "ill", "select repeat('x', 1000) from many limit 500"),
    ("longer", "secure", "select repeat('x', 1000) from many limit 500"),
    ("many", "ill", "select 'x' from many"),
    ("locks", "ill", "select v from locked order by n lock in share mode"),
];
const GRANTS: &str = "grant execute on features.* to reader; grant select on features.t to reader; \
    grant select on features.locked to reader; grant select on features.many to reader; \
    grant select on features.asleep to reader";

#[tokio::test(flavor = "multi_thread")]
async fn an_ill_mariadb() {
    let server = MariaDb::start().await;
    server.execute(&tables()).await;
    server.execute(GRANTS).await;
    let (way, (mut ward, _folder)) = tokio::join!(the_way(&server), answers(&server));
    locked_out(&server, &mut ward).await;
    all_is_well(&[way, ward.close().await]);
}

async fn stand(server: &MariaDb, heading: &'static str) -> (Ward, TempDir) {
    let proxy = Proxy::bytes(server.port()).await;
    let folder = tempfile::tempdir().unwrap();
    Authority::new(folder.path(), "other");
    let source = |name: &str, more: &str| {
        format!(
            "  {name}: {{ sql: {{ url: \"mysql://reader@127.0.0.1:{}/features\", \
             password: {{ file: password }}, timeout: 1s{more} }}, \
             grants: [{{ pipelines: [\"*\"] }}] }}\n",
            proxy.port()
        )
    };
    let trusting = format!(", ca: \"{}\"", server.ca().display());
    let doubting = format!(", ca: \"{}\"", folder.path().join("other.pem").display());
    let sources = source("ill", ", max_rows: 1000")
        + &source("secure", &trusting)
        + &source("doubted", &doubting);
    let from = "{ sql: { from: ill, query: select v from t where n = 1 } }, default: x";
    let config = Config::new(&sources, "ill", &pipeline("ill", "string", from));
    for [name, kind, source, query, default] in PIPELINES {
        let from =
            format!("{{ sql: {{ from: {source}, query: \"{query}\" }} }}, default: {default}");
        config.write(&format!("pipelines/{name}.yaml"), pipeline(name, kind, &from));
    }
    for (name, source, query) in COLUMNS {
        let from = format!(
            "{{ sql: {{ from: {source}, query: \"{query}\", shape: column }} }}, default: []"
        );
        let list = "array, items: { type: string }";
        config.write(&format!("pipelines/{name}.yaml"), pipeline(name, list, &from));
    }
    config.write_secret("password", PASSWORD);
    (Ward::open(heading, config, Some(proxy), |launch| launch).await, folder)
}

async fn the_way(server: &MariaDb) -> Vec<String> {
    let (mut ward, _folder) = stand(server, "MariaDB: the way to it").await;
    let pause = Duration::from_millis(100);
    for (how, fault, pipeline) in [
        ("nobody listens", Fault::Refuse, "ill"),
        ("no packet comes back", Fault::Unreachable, "ill"),
        ("it speaks in pieces, in time", Fault::Slow(4_000, pause / 10), "ill"),
        ("it speaks in pieces, too slowly", Fault::Slow(5, pause), "ill"),
        ("takes the connection and says nothing", Fault::Silent, "ill"),
        ("in the greeting", Fault::HangAfter(20), "ill"),
        ("in the login", Fault::HangAfter(110), "ill"),
        ("in the rows", Fault::HangAfter(100_000), "long"),
        ("before its first word", Fault::ResetAfter(0), "ill"),
        ("in the login", Fault::ResetAfter(110), "ill"),
        ("in the rows", Fault::ResetAfter(100_000), "long"),
        ("ends the connection in the greeting", Fault::EndAfter(20), "ill"),
        ("ends the connection in the rows", Fault::EndAfter(100_000), "long"),
        (
            "in the length of its first word, of which the rest is waited for",
            Fault::GarbleAfter(0),
            "ill",
        ),
        ("in its first word", Fault::GarbleAfter(4), "ill"),
        ("in the rows", Fault::GarbleAfter(100_000), "long"),
        ("a certificate of another authority", Fault::None, "doubted"),
        ("someone in between says that it has none", Fault::Change(without_tls), "secure"),
        ("broken in the handshake", Fault::GarbleAfter(130), "secure"),
        ("broken in the rows", Fault::GarbleAfter(100_000), "longer"),
    ] {
        ward.row(how, fault, pipeline).await;
    }
    ward.close().await
}

/// Takes the bit for TLS out of the server's greeting: behind its version, the
/// session's number, half of a salt and a zero.
fn without_tls(greeting: &mut [u8]) {
    let version = greeting[5..].iter().position(|byte| *byte == 0).unwrap();
    let capabilities = 5 + version + 1 + 4 + 8 + 1;
    assert_ne!(greeting[capabilities + 1] & 0x08, 0, "the server has TLS");
    greeting[capabilities + 1] &= !0x08;
}

async fn answers(server: &MariaDb) -> (Ward, TempDir) {
    let (mut ward, folder) = stand(server, "MariaDB: what it answers").await;
    for (how, pipeline) in [
        ("no row", "absent"),
        ("no such column", "moved"),
        ("text that is no integer", "number"),
        ("bytes for a text", "bytes"),
        ("four where one is asked for", "rows"),
        ("more than `max_rows`", "many"),
        ("a text of 2.7 MB", "large"),
        ("the account has no right to the table", "hidden"),
        ("a query that works for minutes", "heavy"),
        ("a fault of its engine, 1030", "fault"),
        ("its disk is full, 1021", "full"),
        ("a row that another changed, 1020", "serial"),
    ] {
        ward.row(how, Fault::None, pipeline).await;
    }
    let other = second_row(server).await;
    tokio::join!(ward.check("it ends the query to resolve one", "locks"), first_row(other));
    let deadlocks =
        "select count from information_schema.innodb_metrics where name = 'lock_deadlocks'";
    assert_eq!(server.count(deadlocks).await, 1);
    let session = server.session().await;
    tokio::join!(ward.check("the session is ended in its query", "sleepy"), end_sleep(session));
    (ward, folder)
}

/// Changes the account, or the server for all.
async fn locked_out(server: &MariaDb, ward: &mut Ward) {
    ward.recovers().await;
    let most = server.count("select cast(@@global.max_connections as signed)").await;
    // The least that it takes.
    server.execute("set global max_connections = 10").await;
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(server.session().await);
    }
    ward.check("too many connections, 1040", "ill").await;
    drop(others);
    server.execute(&format!("set global max_connections = {most}")).await;
    let password = PASSWORD.replace('\'', "''");
    let back = format!("alter user reader identified by '{password}'");
    for (how, change, back) in [
        (
            "the account's queries of the hour are used up",
            "alter user reader with max_queries_per_hour 1",
            "alter user reader with max_queries_per_hour 0",
        ),
        ("the password changes", "alter user reader identified by 'other'", &back),
        (
            "the account is locked",
            "alter user reader account lock",
            "alter user reader account unlock",
        ),
        (
            "the account has no right to the database",
            "revoke all privileges, grant option from reader",
            GRANTS,
        ),
    ] {
        ward.recovers().await;
        server.execute(change).await;
        ward.check(how, "ill").await;
        server.execute(back).await;
    }
}

/// A session that has changed the second row.
async fn second_row(server: &MariaDb) -> MySqlConnection {
    let mut session = server.session().await;
    let begin = "set innodb_lock_wait_timeout = 30; begin; \
                 update locked set v = concat(v, 'x') where n = 2";
    session.execute(sqlx::raw_sql(begin)).await.unwrap();
    session
}

/// Changes the first row, when the daemon has it and waits for the second.
async fn first_row(mut session: MySqlConnection) {
    // The table of waits isn't read anew for who looks at it all the time.
    let waits = "select cast(variable_value as signed) from information_schema.global_status \
                 where variable_name = 'innodb_row_lock_current_waits'";
    until(&mut session, waits).await;
    let rest = "update locked set v = concat(v, 'x') where n = 1; commit";
    session.execute(sqlx::raw_sql(rest)).await.unwrap();
}

/// Ends the session that sleeps; the next one doesn't.
async fn end_sleep(mut session: MySqlConnection) {
    let asleep = "select cast(coalesce(max(id), 0) as signed) from information_schema.processlist \
                  where user = 'reader' and state = 'User sleep'";
    let id = until(&mut session, asleep).await;
    let kill = AssertSqlSafe(format!("delete from asleep; kill {id}"));
    session.execute(sqlx::raw_sql(kill)).await.unwrap();
}

/// Waits until a number isn't 0.
async fn until(session: &mut MySqlConnection, number: &'static str) -> i64 {
    wait_until(number, Duration::from_secs(10), async || {
        let row = session.fetch_one(number).await.unwrap();
        Some(row.get::<i64, _>(0)).filter(|number| *number > 0)
    })
    .await
}
