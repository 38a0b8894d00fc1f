//! Queries to a real PostgreSQL, through the daemon.

mod check;
mod server;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::support::client::{Client, map_to_json, resolve, run};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::postgres::{PASSWORD, Postgres};
use crate::support::status::check_reason;
use crate::support::wait_until;

/// What the tests read.
const TABLES: &str = r#"
    create type mood as enum ('calm', 'wild');
    create domain dozen as integer check (value < 13);
    create table kinds (
        flag boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision,
        amount numeric(12, 3), name text, short varchar(10), fixed char(4), data bytea,
        day date, hour time, local timestamp, at timestamptz, id uuid,
        doc json, docb jsonb, state mood, small dozen, addr inet, net cidr,
        tags text[], grid integer[], states mood[], nothing text
    );
    insert into kinds values (
        true, -32768, 2147483647, 9223372036854775807, 0.1, 1e-300,
        -1234567.500, 'it''s λ', 'vc', 'ab', '\x00ff',
        '2024-02-29', '23:59:59.000001', '1999-12-31 23:59:59.5', '2024-06-01 12:00:00+02',
        'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
        '{"n": 9007199254740993, "x": [1.5, null]}', '{"b": "2", "a": 1}', 'wild', 12,
        '10.1.2.3', '2001:db8::/32',
        array['a', null, 'c"d'], array[[1, 2], [null, 4]], array['calm', 'wild']::mood[], null
    );
    create table secrets (value text);
    create table log (note text);
    create sequence numbers;
    create function write_it() returns integer language plpgsql security definer as
        $$ begin insert into log values ('x'); return 1; end $$;
    create function unlock_it() returns integer language plpgsql as
        $$ begin set transaction read write; insert into log values ('x'); return 1; end $$;
    grant select on kinds to reader;
    grant select, insert on log to reader;
    grant usage on sequence numbers to reader;
"#;

async fn filled() -> Postgres {
    let server = Postgres::start().await;
    server.execute(TABLES).await;
    server
}

/// A configuration whose only source is the server, with more of its keys.
fn configured(url: &str, more: &str) -> Config {
    let sources = format!(
        "  db: {{ sql: {{ url: \"{url}\", password: {{ file: password }}{more} }}, \
         grants: [{{ pipelines: [\"*\"] }}] }}\n"
    );
    let config = Config::new(&sources, "one", &pipeline("one", "integer", "select 1 as x"));
    config.write_secret("password", format!("{PASSWORD}\n"));
    config
}

/// A pipeline with one parameter `x` of a query.
fn pipeline(name: &str, kind: &str, query: &str) -> String {
    let query = json!(query);
    format!(
        "name: {name}\nparameters:\n  x: {{ type: {kind}, from: {{ sql: {{ query: {query} }} }} }}\n\
         steps: [{{ name: go, params: [x], run: [echo] }}]\n"
    )
}

fn add(config: &Config, name: &str, kind: &str, query: &str) {
    config.write(&format!("pipelines/{name}.yaml"), pipeline(name, kind, query));
}

async fn started(config: &Config) -> (Daemon, Client) {
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    (daemon, client)
}

async fn values(client: &Client, name: &str, id: &str) -> serde_json::Value {
    let context = client.context(&run(name, id), "go").await.unwrap().context.unwrap();
    map_to_json(&context.values)
}

/// Resolves a pipeline and fails unless it fails for this cause.
async fn fails(client: &Client, name: &str, id: &str, reason: &str, cause: &str) {
    let status = client.resolve(resolve(name, id)).await.unwrap_err();
    let problem = check_reason(&status, reason);
    assert_eq!(problem.metadata["cause"], cause, "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_is_read_exactly() {
    let server = filled().await;
    let table = [
        ("flag", "boolean", json!(true)),
        ("i2", "integer", json!(-32768)),
        ("i4", "integer", json!(2_147_483_647)),
        ("i8", "integer", json!(9_223_372_036_854_775_807_i64)),
        ("f4", "number", json!(0.1)),
        ("f8", "number", json!(1e-300)),
        ("amount", "string, format: decimal", json!("-1234567.500")),
        ("name", "string", json!("it's λ")),
        ("short", "string", json!("vc")),
        ("fixed", "string", json!("ab  ")),
        ("day", "string, format: date", json!("2024-02-29")),
        ("hour", "string", json!("23:59:59.000001")),
        ("local", "string", json!("1999-12-31T23:59:59.5")),
        ("at", "string, format: date-time", json!("2024-06-01T10:00:00Z")),
        ("id", "string, format: uuid", json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        (
            "doc",
            "object, properties: { n: { type: integer }, x: { type: array } }",
            json!({ "n": 9_007_199_254_740_993_i64, "x": [1.5, null] }),
        ),
        ("docb", "object, additionalProperties: true", json!({ "a": 1, "b": "2" })),
        ("state", "string", json!("wild")),
        ("small", "integer", json!(12)),
        ("addr", "string", json!("10.1.2.3")),
        ("net", "string", json!("2001:db8::/32")),
        ("tags", "array, items: { type: [string, \"null\"] }", json!(["a", null, "c\"d"])),
        (
            "grid",
            "array, items: { type: array, items: { type: [integer, \"null\"] } }",
            json!([[1, 2], [null, 4]]),
        ),
        ("states", "array, items: { type: string }", json!(["calm", "wild"])),
        ("nothing", "[string, \"null\"]", json!(null)),
    ];
    let mut text = "name: types\nparameters:\n".to_owned();
    let mut expected = serde_json::Map::new();
    for (column, kind, value) in &table {
        let query = format!("select {column} from kinds");
        writeln!(text, "  {column}: {{ type: {kind}, from: {{ sql: {{ query: {query} }} }} }}")
            .unwrap();
        expected.insert((*column).to_owned(), value.clone());
    }
    text += "  sum: { type: string, from: { sql: { query: select sum(i8) from kinds } } }\n";
    expected.insert("sum".into(), json!("9223372036854775807"));
    text += "  count: { type: integer, from: { sql: { query: select count(*) from kinds } } }\n";
    expected.insert("count".into(), json!(1));
    text += "  series: { type: array, items: { type: integer }, from: { sql: { query: 'select n from generate_series(1, 5000) as n order by n % 2, n desc; -- all', shape: column } } }\n";
    let (odd, even) =
        ((1..=5000).rev().filter(|n| n % 2 == 1), (1..=5000).rev().filter(|n| n % 2 == 0));
    expected.insert("series".into(), even.chain(odd).collect());
    text += "  pairs: { type: array, items: { type: object, properties: { a: { type: integer }, b: { type: [string, 'null'] } } }, from: { sql: { query: \"select * from (values (2, 'x'), (1, null)) as v (a, b)\", shape: rows } } }\n";
    expected.insert("pairs".into(), json!([{ "a": 2, "b": "x" }, { "a": 1, "b": null }]));
    text += "  bytes: { type: string, contentEncoding: base64, secret: true, from: { sql: { query: select data from kinds } } }\n";
    let names: Vec<_> = expected.keys().cloned().collect();
    writeln!(text, "steps: [{{ name: go, params: [bytes, {}], run: [echo] }}]", names.join(", "))
        .unwrap();
    let config = configured(&server.url("reader"), "");
    config.write("pipelines/types.yaml", text);
    let (daemon, client) = started(&config).await;
    client.resolve(resolve("types", "a")).await.unwrap();
    assert_eq!(values(&client, "types", "a").await, serde_json::Value::Object(expected));
    let secrets = client.reveal_all(&run("types", "a"), "go", None).await.unwrap();
    assert_eq!(secrets[0].payload.as_ref().unwrap().data, [0x00, 0xff]);
    daemon.stop();
}

/// The most memory that the daemon had, in KiB.
fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_exact_value_is_refused() {
    let server = filled().await;
    let config = configured(&server.url("reader"), "");
    let bad_answers = [
        ("nan", "number", "select 'NaN'::float8"),
        ("endless", "number", "select '-infinity'::float4"),
        ("numeric-nan", "string", "select 'NaN'::numeric"),
        ("forever", "string", "select 'infinity'::timestamptz"),
        ("never", "string", "select '-infinity'::date"),
        ("ancient", "string", "select '0044-03-15 BC'::date"),
        ("range", "string", "select int4range(1, 5)"),
        ("composite", "string", "select row(1, 2)"),
        ("interval", "string", "select interval '1 day'"),
        ("twice", "object, additionalProperties: true", "select '{\"a\":1,\"a\":2}'::json"),
        (
            "long",
            "object, additionalProperties: true",
            "select '{\"a\":99999999999999999999}'::jsonb",
        ),
        ("missing-table", "integer", "select x from absent"),
        ("missing-column", "integer", "select absent from kinds"),
        ("misspelt", "integer", "select selec from from"),
        ("zero", "integer", "select 1 / (i2 + 32768) from kinds"),
        ("unbalanced", "integer", "select 1) select 2 from (select 1"),
        ("no-column", "integer", "select from kinds"),
    ];
    let too_large = [
        ("many", "integer", "select generate_series(1, 1000000000)"),
        ("wide", "string", "select repeat('x', 2000000)"),
        ("huge", "string", "select repeat('x', 30000000)"),
        // A column of the name of what is around it.
        ("named", "string", "select repeat('x', 30000000) as x, 1 as paramd_rows"),
        ("digits", "array", "select array_agg(1e100000::numeric) from generate_series(1, 100)"),
    ];
    let mistyped = [
        ("decimal", "number", "select 1.5::numeric"),
        ("text", "integer", "select '1'"),
        ("bit", "boolean", "select 1"),
        ("json-text", "array", "select '[1]'::text"),
        ("double", "integer", "select 1.0::float8"),
    ];
    for (name, kind, query) in bad_answers.iter().chain(&too_large).chain(&mistyped) {
        add(&config, name, kind, query);
    }
    let (daemon, client) = started(&config).await;
    for (name, ..) in bad_answers {
        fails(&client, name, "a", "SOURCE_FAILED", "bad_answer").await;
    }
    let before = peak(&daemon);
    for (name, ..) in too_large {
        fails(&client, name, "a", "SOURCE_FAILED", "too_large").await;
    }
    let grown = peak(&daemon) - before;
    assert!(grown < 50_000, "{grown} KiB for what isn't taken");
    for (name, ..) in mistyped {
        let status = client.resolve(resolve(name, "a")).await.unwrap_err();
        let problem = check_reason(&status, "RESOLUTION_FAILED");
        assert_eq!(problem.violations[0].reason, "INVALID_VALUE", "{name}");
    }
    // The rest of a billion rows is nobody's work any more.
    wait_until("no query is left", Duration::from_secs(10), async || {
        (server.sessions("active").await == 0).then_some(())
    })
    .await;
    assert!(!daemon.log().contains("absent"), "the server's words are never shown");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn binds_have_the_types_that_the_server_reports() {
    let server = filled().await;
    let config = configured(&server.url("reader"), "");
    let query = "select name from kinds where flag = :flag and i2 = :i2 and i8 = :i8 \
        and f8 = :f8 and amount = :amount and name = :name and day = :day and hour = :hour \
        and local = :local and at = :at and id = :id and docb = :docb and state = :state \
        and small = :small and addr = :addr and tags = :tags and grid = :grid \
        and :none::integer is null and i4 = any(:list) and ':name' <> name -- :no";
    let text = format!(
        r#"name: binds
parameters:
  i8: {{ type: integer, default: 9223372036854775807 }}
  name: {{ type: string, default: "it's λ" }}
  tags: {{ type: array, items: {{ type: [string, "null"] }}, default: [a, null, "c\"d"] }}
  grid: {{ type: array, items: {{ type: array, items: {{ type: [integer, "null"] }} }}, default: [[1, 2], [null, 4]] }}
  list: {{ type: array, items: {{ type: integer }}, default: [1, 2147483647] }}
  docb: {{ type: object, additionalProperties: true, default: {{ a: 1, b: "2" }} }}
  found:
    type: string
    from:
      sql:
        query: {query}
        bind:
          flag: true
          i2: -32768
          i8: "{{{{ params.i8 }}}}"
          f8: 1.0e-300
          amount: "-1234567.5"
          name: "{{{{ params.name }}}}"
          day: "2024-02-29"
          hour: "23:59:59.000001"
          local: "1999-12-31T23:59:59.5"
          at: "2024-06-01T12:00:00+02:00"
          id: a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11
          docb: "{{{{ params.docb }}}}"
          state: wild
          small: 12
          addr: 10.1.2.3
          tags: "{{{{ params.tags }}}}"
          grid: "{{{{ params.grid }}}}"
          none: null
          list: "{{{{ params.list }}}}"
  same: {{ type: string, from: {{ sql: {{ query: "select :t::text", bind: {{ t: "{{{{ params.name }}}}" }} }} }} }}
steps: [{{ name: go, params: [found, same], run: [echo] }}]
"#,
        query = json!(query)
    );
    config.write("pipelines/binds.yaml", text);
    config.write(
        "pipelines/narrow.yaml",
        "name: narrow\nparameters:\n  n: { type: integer, default: 40000 }\n  x: { type: integer, default: 0, from: { sql: { query: \"select count(*) from kinds where i2 < :n\", bind: { n: \"{{ params.n }}\" } } } }\nsteps: [{ name: go, params: [x], run: [echo] }]\n",
    );
    let (daemon, client) = started(&config).await;
    client.resolve(resolve("binds", "a")).await.unwrap();
    assert_eq!(values(&client, "binds", "a").await["found"], json!("it's λ"));
    // What would be another statement is a text like any other.
    for (index, text) in
        ["x' or '1'='1", "'; drop table log; --", "$1", ":t", "\\", "λ\u{1F600}\"", "/*"]
            .iter()
            .enumerate()
    {
        let id = format!("text-{index}");
        let request = resolve("binds", &id).text("name", text);
        let status = client.resolve(request).await.unwrap_err();
        let problem = check_reason(&status, "RESOLUTION_FAILED");
        assert_eq!(problem.violations[0].reason, "NO_SUCH_VALUE", "{text}");
    }
    fails(&client, "narrow", "a", "SOURCE_FAILED", "bad_answer").await;
    let narrow = resolve("narrow", "b").text("n", "32767");
    client.resolve(narrow).await.unwrap();
    assert_eq!(values(&client, "narrow", "b").await["x"], json!(1));
    assert_eq!(server.count("select count(*) from log").await, 0);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_and_nothing_is_left_in_the_session() {
    let server = filled().await;
    let config = configured(&server.url("reader"), ", connections: 1");
    let written = [
        ("cte", "with x as (insert into log values ('x') returning note) select 1 from x"),
        ("function", "select write_it()"),
        ("sequence", "select nextval('numbers')"),
        ("table", "select value from secrets"),
        (
            "unlock-query",
            "select set_config('transaction_read_only', 'off', true)::integer + nextval('numbers')",
        ),
    ];
    for (name, query) in written {
        add(&config, name, "integer", query);
    }
    add(&config, "unlock", "integer", "select unlock_it()");
    add(&config, "leave", "string", "select set_config('paramd.mine', 'left over', false)");
    add(&config, "find", "string", "select coalesce(current_setting('paramd.mine', true), '')");
    add(&config, "lock", "integer", "select 1 from (select pg_advisory_lock(7)) as taken");
    add(&config, "slow", "string", "select set_config('statement_timeout', '0', false)");
    add(&config, "limit", "string", "select current_setting('statement_timeout')");
    let (daemon, client) = started(&config).await;
    for (name, _) in written.iter().take(4) {
        fails(&client, name, "a", "SOURCE_DENIED", "refused").await;
    }
    for name in ["unlock-query", "unlock"] {
        client.resolve(resolve(name, "a")).await.unwrap_err();
    }
    for name in ["leave", "find", "lock", "slow", "limit"] {
        client.resolve(resolve(name, "a")).await.unwrap();
    }
    assert_eq!(values(&client, "find", "a").await["x"], json!(""));
    assert_eq!(values(&client, "limit", "a").await["x"], json!("5s"));
    wait_until("no lock is left", Duration::from_secs(10), async || {
        let locks = "select count(*) from pg_locks where locktype = 'advisory'";
        (server.count(locks).await == 0).then_some(())
    })
    .await;
    assert_eq!(server.count("select count(*) from log").await, 0);
    assert_eq!(server.count("select last_value from numbers where not is_called").await, 1);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_stands_in_for_no_row_and_for_nothing_else() {
    let server = filled().await;
    let config = configured(&server.url("reader"), ", timeout: 1s, max_rows: 2");
    let cases = [
        ("there", "select i2 from kinds", Ok(-32768)),
        ("absent", "select i2 from kinds where false", Ok(7)),
        ("denied", "select value::integer from secrets", Err(("SOURCE_DENIED", "refused"))),
        ("slow", "select 1 from (select pg_sleep(9)) as x", Err(("SOURCE_UNAVAILABLE", "timeout"))),
        ("rows", "select generate_series(1, 3)", Err(("SOURCE_FAILED", "too_large"))),
        ("wrong", "select i2 from absent", Err(("SOURCE_FAILED", "bad_answer"))),
        ("text", "select name from kinds", Err(("RESOLUTION_FAILED", "INVALID_VALUE"))),
        ("two", "select generate_series(1, 2)", Err(("RESOLUTION_FAILED", "INVALID_VALUE"))),
        ("nothing", "select nothing from kinds", Err(("RESOLUTION_FAILED", "INVALID_VALUE"))),
    ];
    for (name, query, _) in cases {
        add(&config, &format!("{name}-default"), "integer, default: 7", query);
        add(&config, name, "integer", query);
    }
    let (daemon, client) = started(&config).await;
    for (name, _, expected) in cases {
        for pipeline in [name.to_owned(), format!("{name}-default")] {
            let answer = client.resolve(resolve(&pipeline, "a")).await;
            match (expected, answer) {
                (Ok(7), Err(status)) if pipeline == name => {
                    let problem = check_reason(&status, "RESOLUTION_FAILED");
                    assert_eq!(problem.violations[0].reason, "NO_SUCH_VALUE");
                }
                (Ok(value), answer) => {
                    answer.unwrap();
                    assert_eq!(values(&client, &pipeline, "a").await["x"], json!(value));
                }
                (Err((reason, why)), answer) => {
                    let problem = check_reason(&answer.unwrap_err(), reason);
                    let cause = problem.metadata.get("cause");
                    assert_eq!(cause.unwrap_or(&problem.violations[0].reason), why, "{pipeline}");
                }
            }
        }
    }
    daemon.stop();
}
