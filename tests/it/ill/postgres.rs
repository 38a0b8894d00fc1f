//! An ill PostgreSQL.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tempfile::TempDir;

use super::{VALUE, WORDS, Ward, all_is_well, pipeline};
use crate::support::config::Config;
use crate::support::postgres::{PASSWORD, Postgres};
use crate::support::proxy::{Fault, Proxy};
use crate::support::tls::Authority;
use crate::support::wait_until;

/// What the tests read. `fails` says words of the server's.
fn tables() -> String {
    format!(
        "create table t (n integer, v text);
         insert into t values (1, '{VALUE}'), (2, 'b'), (3, 'c'), (4, '{WORDS}');
         create table asleep (n integer); insert into asleep values (1);
         grant select on asleep to reader;
         create table hidden (v text); insert into hidden values ('{VALUE}');
         grant select on t to reader;
         create function fails(code text) returns text language plpgsql as
             $$ begin raise exception '{WORDS}' using errcode = code; end $$;
         create function both_locks() returns text language plpgsql as
             $$ begin
                 perform pg_advisory_xact_lock(1);
                 perform pg_advisory_xact_lock(2);
                 return '{VALUE}';
             end $$;
         alter role reader set deadlock_timeout = '100ms';"
    )
}

/// Sleeps for as long as `asleep` has a row.
const SLEEPY: &str =
    "select v from t, pg_sleep(case when exists (select 1 from asleep) then 60 end) where n = 1";
/// Name, type, source, query, default.
const PIPELINES: [[&str; 5]; 15] = [
    ["absent", "string", "ill", "select v from t where n = 0", "x"],
    ["number", "integer", "ill", "select v from t where n = 1", "7"],
    ["rows", "string", "ill", "select v from t", "x"],
    ["large", "string", "ill", "select repeat(v, 100000) from t", "x"],
    ["hidden", "string", "ill", "select v from hidden", "x"],
    ["moved", "string", "ill", "select v from elsewhere", "x"],
    ["sleepy", "string", "ill", SLEEPY, "x"],
    ["heavy", "string", "ill", "select v from t, pg_sleep(60)", "x"],
    ["fault", "string", "ill", "select fails('XX000')", "x"],
    ["full", "string", "ill", "select fails('53100')", "x"],
    ["serial", "string", "ill", "select fails('40001')", "x"],
    ["locks", "string", "ill", "select both_locks()", "x"],
    ["bytes", "string", "raw", "select v from t", "x"],
    ["secure", "string", "secure", "select v from t where n = 1", "x"],
    ["doubted", "string", "doubted", "select v from t where n = 1", "x"],
];

#[tokio::test(flavor = "multi_thread")]
async fn an_ill_postgresql() {
    let mut server = Postgres::start().await;
    server.execute(&tables()).await;
    let raw =
        "create database raw encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'";
    server.execute(raw).await;
    let bytes =
        "create table t (v text); insert into t values (E'\\xff'); grant select on t to reader";
    server.execute_in("raw", bytes).await;
    let (way, (mut ward, _folder)) = tokio::join!(the_way(&server), answers(&server));
    locked_out(&server, &mut ward).await;
    ward.recovers().await;
    server.stand_by().await;
    ward.check("a standby that takes no connections", "ill").await;
    server.stand_up().await;
    all_is_well(&[way, ward.close().await]);
}

async fn stand(server: &Postgres, heading: &'static str) -> (Ward, TempDir) {
    let proxy = Proxy::bytes(server.port()).await;
    let folder = tempfile::tempdir().unwrap();
    Authority::new(folder.path(), "other");
    let source = |name: &str, database: &str, more: &str| {
        format!(
            "  {name}: {{ sql: {{ url: \"postgres://reader@127.0.0.1:{}/{database}\", \
             password: {{ file: password }}, timeout: 1s{more} }}, \
             grants: [{{ pipelines: [\"*\"] }}] }}\n",
            proxy.port()
        )
    };
    let trusting = format!(", ca: \"{}\"", server.ca().display());
    let doubting = format!(", ca: \"{}\"", folder.path().join("other.pem").display());
    let sources = source("ill", "features", ", max_rows: 1000")
        + &source("raw", "raw", "")
        + &source("secure", "features", &trusting)
        + &source("doubted", "features", &doubting);
    let from = "{ sql: { from: ill, query: select v from t where n = 1 } }, default: x";
    let config = Config::new(&sources, "ill", &pipeline("ill", "string", from));
    for [name, kind, source, query, default] in PIPELINES {
        let from =
            format!("{{ sql: {{ from: {source}, query: \"{query}\" }} }}, default: {default}");
        config.write(&format!("pipelines/{name}.yaml"), pipeline(name, kind, &from));
    }
    let list = "array, items: { type: string }";
    for (name, source) in [("long", "ill"), ("longer", "secure"), ("many", "ill")] {
        let rows = if name == "many" { 1_001 } else { 500 };
        let from = format!(
            "{{ sql: {{ from: {source}, query: \"select repeat('x', 1000) \
             from generate_series(1, {rows})\", shape: column }} }}, default: []"
        );
        config.write(&format!("pipelines/{name}.yaml"), pipeline(name, list, &from));
    }
    config.write_secret("password", PASSWORD);
    (Ward::open(heading, config, Some(proxy), |launch| launch).await, folder)
}

async fn the_way(server: &Postgres) -> Vec<String> {
    let (mut ward, _folder) = stand(server, "PostgreSQL: the way to it").await;
    let pause = Duration::from_millis(100);
    for (how, fault, pipeline) in [
        ("nobody listens", Fault::Refuse, "ill"),
        ("no packet comes back", Fault::Unreachable, "ill"),
        ("it speaks in pieces, in time", Fault::Slow(4_000, pause / 10), "ill"),
        ("it speaks in pieces, too slowly", Fault::Slow(10, pause), "ill"),
        ("takes the connection and says nothing", Fault::Silent, "ill"),
        ("in the login", Fault::HangAfter(20), "ill"),
        ("in the rows", Fault::HangAfter(100_000), "long"),
        ("before its first word", Fault::ResetAfter(0), "ill"),
        ("in the login", Fault::ResetAfter(20), "ill"),
        ("in the rows", Fault::ResetAfter(100_000), "long"),
        ("ends the connection in the login", Fault::EndAfter(20), "ill"),
        ("ends the connection in the rows", Fault::EndAfter(100_000), "long"),
        ("before its first word", Fault::GarbleAfter(0), "ill"),
        ("in the rows", Fault::GarbleAfter(100_000), "long"),
        ("a certificate of another authority", Fault::None, "doubted"),
        (
            "someone in between says that it has none",
            Fault::Change(|said| said[0] = b'N'),
            "secure",
        ),
        ("broken in the handshake", Fault::GarbleAfter(1), "secure"),
        ("broken in the rows", Fault::GarbleAfter(100_000), "longer"),
    ] {
        ward.row(how, fault, pipeline).await;
    }
    ward.close().await
}

async fn answers(server: &Postgres) -> (Ward, TempDir) {
    let (mut ward, folder) = stand(server, "PostgreSQL: what it answers").await;
    for (how, pipeline) in [
        ("no row", "absent"),
        ("no such table", "moved"),
        ("text that is no integer", "number"),
        ("four where one is asked for", "rows"),
        ("more than `max_rows`", "many"),
        ("a text of 2.7 MB", "large"),
        ("a database without an encoding", "bytes"),
        ("the role has no right to the table", "hidden"),
        ("a query that sleeps", "heavy"),
        ("a fault of its own, `XX000`", "fault"),
        ("its disk is full, `53100`", "full"),
        ("a serialization failure, `40001`", "serial"),
    ] {
        ward.row(how, Fault::None, pipeline).await;
    }
    ward.set(Fault::None).await;
    let other = second_lock(server).await;
    tokio::join!(ward.check("it ends the query to resolve one", "locks"), first_lock(other));
    assert!(server.log().contains("deadlock detected"), "{}", server.log());
    ward.set(Fault::None).await;
    let session = server.session().await;
    tokio::join!(ward.check("the session is ended in its query", "sleepy"), end_sleep(session));
    (ward, folder)
}

/// Changes the role, which is all daemons'.
async fn locked_out(server: &Postgres, ward: &mut Ward) {
    ward.recovers().await;
    wait_until("the session is kept", Duration::from_secs(10), async || {
        let clean = "state = 'idle' and query ilike 'discard all%'";
        (server.count(&of_reader("1", clean)).await > 0).then_some(())
    })
    .await;
    server.execute("alter role reader password 'other'").await;
    ward.check("the password changes, and the session is kept", "ill").await;
    end_sessions(server, "true").await;
    ward.check("the password changes, and the session is ended", "ill").await;
    let password = PASSWORD.replace('\'', "''");
    server.execute(&format!("alter role reader password '{password}'")).await;
    for (how, change, back) in [
        (
            "too many connections of the role",
            "alter role reader connection limit 0",
            "alter role reader connection limit -1",
        ),
        ("the role may not log in", "alter role reader nologin", "alter role reader login"),
        (
            "the role has no right to the database",
            "revoke connect on database features from public",
            "grant connect on database features to public",
        ),
    ] {
        ward.recovers().await;
        server.execute(change).await;
        ward.set(Fault::None).await;
        ward.check(how, "ill").await;
        server.execute(back).await;
    }
}

/// Ends the sessions of the role that are so, and counts them.
async fn end_sessions(server: &Postgres, so: &str) -> i64 {
    server.count(&of_reader("pg_terminate_backend(pid)", so)).await
}

fn of_reader(what: &str, so: &str) -> String {
    format!("select count({what}) from pg_stat_activity where usename = 'reader' and {so}")
}

/// A session that has the second lock.
async fn second_lock(server: &Postgres) -> PgConnection {
    let mut session = server.session().await;
    let long = "begin; set local deadlock_timeout = '1min'; select pg_advisory_xact_lock(2)";
    session.execute(sqlx::raw_sql(long)).await.unwrap();
    session
}

/// Takes the first lock, when the daemon has it and waits for the second.
async fn first_lock(mut session: PgConnection) {
    let waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
    until(&mut session, waits).await;
    let rest = AssertSqlSafe("select pg_advisory_xact_lock(1); commit");
    session.execute(sqlx::raw_sql(rest)).await.unwrap();
}

/// Ends the session that sleeps; the next one doesn't.
async fn end_sleep(mut session: PgConnection) {
    let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' \
                  and query like '%from asleep%'";
    until(&mut session, asleep).await;
    let wake = "delete from asleep; select pg_terminate_backend(pid) from pg_stat_activity \
                where wait_event = 'PgSleep' and query like '%from asleep%'";
    session.execute(sqlx::raw_sql(wake)).await.unwrap();
}

/// Waits until a count isn't 0.
async fn until(session: &mut PgConnection, count: &'static str) {
    wait_until(count, Duration::from_secs(10), async || {
        let row = session.fetch_one(count).await.unwrap();
        (row.get::<i64, _>(0) > 0).then_some(())
    })
    .await;
}
