//! Queries to a real MariaDB, through the daemon.

mod server;

use std::fmt::Write as _;

use serde_json::json;

use crate::support::client::{Client, map_to_json, resolve, run};
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::mariadb::{MariaDb, PASSWORD};
use crate::support::status::{check_reason, everything as everything_of};

/// What the tests read.
const TABLES: &str = r#"
    create table kinds (
        flag boolean, tiny tinyint, utiny tinyint(1) unsigned, i2 smallint, i3 mediumint, i4 int,
        i8 bigint, u8 bigint unsigned, f4 float, f8 double, amount decimal(12, 3),
        name varchar(40), exact varchar(40) collate utf8mb4_bin, old varchar(10) character set latin1,
        fixed char(4), words text, doc json, data varbinary(10), blob_data blob,
        day date, hour time(6), local datetime(6), at timestamp(6) null, harvest year,
        bit1 bit(1), bit9 bit(9), mood enum('calm', 'wild'), moods set('calm', 'wild'),
        id uuid, addr inet6, place point, nothing text, zero date
    );
    set time_zone = '+02:00', sql_mode = '';
    insert into kinds values (
        true, -128, 200, -32768, -8388608, 2147483647,
        -9223372036854775808, 9223372036854775807, 0.1, 1e-300, -1234567.500,
        'it''s λ😀', 'Bin', 'é', 'ab', 'words', '{"n": 9007199254740993, "x": [1.5, null]}',
        x'00ff', x'fe', '2024-02-29', '23:59:59.000001', '1999-12-31 23:59:59.5',
        '2024-06-01 12:00:00', 2024, b'1', b'100000001', 'wild', 'calm,wild',
        'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '::1', point(1, 2), null, '0000-00-00'
    );
    create table secrets (value varchar(40));
    create table log (note text);
    create table numbers_of (n int);
    insert into numbers_of select seq from seq_1_to_5000;
    create sequence numbers;
    create function write_it() returns int begin insert into log values ('x'); return 1; end;
    create function leave_it() returns int begin set @mine = 7; set session lc_time_names = 'de_DE'; return 1; end;
    grant select on features.kinds to reader;
    grant select, insert on features.log to reader;
    grant select on features.numbers_of to reader;
    grant select, insert on features.numbers to reader;
"#;

async fn filled() -> MariaDb {
    let server = MariaDb::start().await;
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

/// Each column with the type that it is declared to be, and its value.
fn columns() -> [(&'static str, &'static str, serde_json::Value); 29] {
    [
        ("flag", "boolean", json!(true)),
        ("tiny", "integer", json!(-128)),
        ("utiny", "integer", json!(200)),
        ("i2", "integer", json!(-32768)),
        ("i3", "integer", json!(-8_388_608)),
        ("i4", "integer", json!(2_147_483_647)),
        ("i8", "integer", json!(i64::MIN)),
        ("u8", "integer", json!(i64::MAX)),
        ("f4", "number", json!(0.1)),
        ("f8", "number", json!(1e-300)),
        ("amount", "string, format: decimal", json!("-1234567.500")),
        ("name", "string", json!("it's λ😀")),
        ("exact", "string", json!("Bin")),
        ("old", "string", json!("é")),
        ("fixed", "string", json!("ab")),
        ("words", "string", json!("words")),
        (
            "doc",
            "object, properties: { n: { type: integer }, x: { type: array } }",
            json!({ "n": 9_007_199_254_740_993_i64, "x": [1.5, null] }),
        ),
        ("day", "string, format: date", json!("2024-02-29")),
        ("hour", "string", json!("23:59:59.000001")),
        ("local", "string", json!("1999-12-31T23:59:59.5")),
        ("at", "string, format: date-time", json!("2024-06-01T10:00:00Z")),
        ("harvest", "integer", json!(2024)),
        ("bit1", "boolean", json!(true)),
        ("bit9", "integer", json!(257)),
        ("mood", "string", json!("wild")),
        ("moods", "string", json!("calm,wild")),
        ("id", "string, format: uuid", json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("addr", "string", json!("::1")),
        ("nothing", "[string, \"null\"]", json!(null)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_is_read_exactly() {
    let server = filled().await;
    let table = columns();
    let mut text = "name: types\nparameters:\n".to_owned();
    let mut expected = serde_json::Map::new();
    for (column, kind, value) in &table {
        let query = format!("select {column} from kinds");
        writeln!(text, "  {column}: {{ type: {kind}, from: {{ sql: {{ query: {query} }} }} }}")
            .unwrap();
        expected.insert((*column).to_owned(), value.clone());
    }
    text += "  sum: { type: string, from: { sql: { query: select sum(u8) from kinds } } }\n";
    expected.insert("sum".into(), json!("9223372036854775807"));
    text += "  count: { type: integer, from: { sql: { query: select count(*) from kinds } } }\n";
    expected.insert("count".into(), json!(1));
    text += "  series: { type: array, items: { type: integer }, from: { sql: { query: 'select n from numbers_of order by n % 2, n desc; -- all', shape: column } } }\n";
    let (odd, even) =
        ((1..=5000).rev().filter(|n| n % 2 == 1), (1..=5000).rev().filter(|n| n % 2 == 0));
    expected.insert("series".into(), even.chain(odd).collect());
    // Long texts are looked at before; the order stays.
    text += "  texts: { type: array, items: { type: string }, from: { sql: { query: 'with t as (select n from numbers_of where n < 4) select cast(repeat(n, 3) as char(100000)) as x from t order by n desc', shape: column } } }\n";
    expected.insert("texts".into(), json!(["333", "222", "111"]));
    text += "  pairs: { type: array, items: { type: object, properties: { a: { type: integer }, b: { type: [string, 'null'] } } }, from: { sql: { query: \"select 2 as a, 'x' as b union all select 1, null\", shape: rows } } }\n";
    expected.insert("pairs".into(), json!([{ "a": 2, "b": "x" }, { "a": 1, "b": null }]));
    for (name, query) in
        [("bytes", "select data from kinds"), ("blobs", "select blob_data from kinds")]
    {
        writeln!(text, "  {name}: {{ type: string, contentEncoding: base64, secret: true, from: {{ sql: {{ query: {query} }} }} }}").unwrap();
    }
    let names: Vec<_> = expected.keys().cloned().collect();
    writeln!(
        text,
        "steps: [{{ name: go, params: [bytes, blobs, {}], run: [echo] }}]",
        names.join(", ")
    )
    .unwrap();
    let config = configured(&server.url("reader"), "");
    config.write("pipelines/types.yaml", text);
    let (daemon, client) = started(&config).await;
    client.resolve(resolve("types", "a")).await.unwrap();
    assert_eq!(values(&client, "types", "a").await, serde_json::Value::Object(expected));
    let mut secrets = client.reveal_all(&run("types", "a"), "go", None).await.unwrap();
    secrets.sort_by(|a, b| a.name.cmp(&b.name));
    let bytes: Vec<_> = secrets.iter().map(|one| &one.payload.as_ref().unwrap().data[..]).collect();
    assert_eq!(bytes, [&[0xfe][..], &[0x00, 0xff]]);
    daemon.stop();
}

/// A row of 96 MB; one of its columns has the name of what is around it.
const HUGE: &str = "select long_one as a, long_one as b, long_one as c, long_one as d, \
    long_one as e, long_one as paramd_rows \
    from (select repeat(repeat('x', 1000), 16000) as long_one from kinds) as t";

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
        ("unsigned", "integer", "select u8 + 1 from kinds"),
        ("zero-date", "[string, 'null']", "select zero from kinds"),
        ("no-month", "[string, 'null']", "select cast('2024-00-00' as date)"),
        ("long-time", "string", "select cast('25:00:00' as time)"),
        ("before", "string", "select cast('-00:00:01' as time)"),
        ("place", "string", "select place from kinds"),
        ("bits", "integer", "select cast(18446744073709551615 as unsigned)"),
        ("missing-column", "integer", "select absent from kinds"),
        ("misspelt", "integer", "select selec from from"),
        ("overflow", "integer", "select 9223372036854775807 + i4 from kinds"),
        ("unbalanced", "integer", "select 1) select 2 from (select 1"),
    ];
    let too_large = [
        ("many", "integer", "select a.n from numbers_of a, numbers_of b, numbers_of c"),
        (
            "many-texts",
            "string",
            "select repeat(repeat('x', 1000), 70) from numbers_of a, numbers_of b",
        ),
        ("wide", "string", "select repeat(repeat('x', 1000), 2000)"),
        ("huge", "string", HUGE),
        ("sum", "array", "select repeat('x', 1000) from numbers_of"),
        ("group", "string", "select group_concat(repeat('x', 1000)) from numbers_of"),
    ];
    let mistyped = [
        ("decimal", "number", "select 1.5"),
        ("text", "integer", "select '1'"),
        ("two", "boolean", "select 2"),
        ("double", "integer", "select 1e0"),
        ("json-text", "array", "select '[1'"),
        ("bytes", "string", "select data from kinds"),
        ("dead-null", "integer", "select null"),
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
    assert!(!daemon.log().contains("absent"), "the server's words are never shown");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn binds_have_their_own_types() {
    let server = filled().await;
    let config = configured(&server.url("reader"), "");
    let query = "select name from kinds where flag = :flag and i8 = :i8 and u8 = :u8 \
        and f8 = :f8 and amount = cast(:amount as decimal(12, 3)) and name = :name and day = :day \
        and local = :local and json_contains(doc, :doc) and :none is null and data = :data \
        and i4 in (select n from json_table(:list, '$[*]' columns (n int path '$')) as t) \
        and name = :name and ':name' <> name -- :no";
    let text = format!(
        r#"name: binds
parameters:
  i8: {{ type: integer, default: -9223372036854775808 }}
  name: {{ type: string, default: "it's λ😀" }}
  doc: {{ type: object, additionalProperties: true, default: {{ n: 9007199254740993 }} }}
  list: {{ type: array, items: {{ type: integer }}, default: [1, 2147483647] }}
  data: {{ type: string, contentEncoding: base64, default: AP8= }}
  found:
    type: string
    from:
      sql:
        query: {query}
        bind:
          flag: true
          i8: "{{{{ params.i8 }}}}"
          u8: 9223372036854775807
          f8: 1.0e-300
          amount: "-1234567.5"
          name: "{{{{ params.name }}}}"
          day: "2024-02-29"
          local: "1999-12-31 23:59:59.5"
          doc: "{{{{ params.doc }}}}"
          none: null
          data: "{{{{ params.data }}}}"
          list: "{{{{ params.list }}}}"
  back: {{ type: string, from: {{ sql: {{ query: "select cast(:t as char)", bind: {{ t: "{{{{ params.name }}}}" }} }} }} }}
steps: [{{ name: go, params: [found, back], run: [echo] }}]
"#,
        query = json!(query)
    );
    config.write("pipelines/binds.yaml", text);
    config.write(
        "pipelines/back.yaml",
        "name: back\nparameters:\n  name: { type: string }\n  back: { type: string, from: { sql: { query: \"select :t\", bind: { t: \"{{ params.name }}\" } } } }\nsteps: [{ name: go, params: [back], run: [echo] }]\n",
    );
    let (daemon, client) = started(&config).await;
    client.resolve(resolve("binds", "a")).await.unwrap();
    assert_eq!(values(&client, "binds", "a").await["found"], json!("it's λ😀"));
    // What would be another statement is a text like any other, and comes back.
    for (index, text) in [
        "x' or '1'='1",
        "\\' or 1=1 -- ",
        "'; drop table log; --",
        "?",
        ":t",
        "\\",
        "λ\u{1F600}\"",
        "/*!",
        "#",
        "\0\n\u{1a}%_",
        "",
    ]
    .iter()
    .enumerate()
    {
        let id = format!("text-{index}");
        client.resolve(resolve("back", &id).text("name", text)).await.unwrap();
        assert_eq!(values(&client, "back", &id).await["back"], json!(text));
        if !text.is_empty() {
            let status =
                client.resolve(resolve("binds", &id).text("name", text)).await.unwrap_err();
            let problem = check_reason(&status, "RESOLUTION_FAILED");
            assert_eq!(problem.violations[0].reason, "NO_SUCH_VALUE", "{text}");
        }
    }
    assert_eq!(server.count("select count(*) from log").await, 0);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_and_nothing_is_left_in_the_session() {
    let server = filled().await;
    let config = configured(&server.url("reader"), ", connections: 1");
    let written = [
        ("delete", "with x as (select 1) delete from log"),
        ("function", "select write_it()"),
        ("sequence", "select nextval(numbers)"),
        ("table", "select value from secrets"),
        // To a role without rights to all, it isn't told which tables are there.
        ("absent", "select value from absent"),
        ("files", "select load_file('/etc/passwd') is null and write_it()"),
    ];
    for (name, query) in written {
        add(&config, name, "integer", query);
    }
    add(&config, "leave", "integer", "select leave_it()");
    add(&config, "lock", "integer", "select get_lock('mine', 0)");
    add(&config, "free", "integer", "select is_free_lock('mine')");
    add(&config, "names", "string", "select monthname('2024-05-01')");
    let (daemon, client) = started(&config).await;
    for (name, _) in &written[1..] {
        fails(&client, name, "a", "SOURCE_DENIED", "refused").await;
    }
    // No query, whatever begins it.
    client.resolve(resolve("delete", "a")).await.unwrap_err();
    for name in ["leave", "lock", "free", "names"] {
        client.resolve(resolve(name, "a")).await.unwrap();
    }
    assert_eq!(values(&client, "free", "a").await["x"], json!(1), "the lock went with its query");
    assert_eq!(values(&client, "names", "a").await["x"], json!("May"));
    assert_eq!(server.count("select count(*) from log").await, 0);
    assert_eq!(server.count("select next_not_cached_value from numbers").await, 1);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mysql_reads_in_another_way_is_refused_at_load() {
    let config = configured("mysql://u@127.0.0.1:1/x", "");
    for (query, word) in [
        ("select 1 # x", "`#` begins"),
        ("select 1 --x", "without a space"),
        ("select /*! 1 */", "does what a comment"),
        ("select 1 into outfile '/tmp/x'", "writes files"),
    ] {
        add(&config, "one", "integer", query);
        let ended = paramd(["check", config.path.to_str().unwrap(), "--output", "json"]).ended();
        assert_eq!(ended.status, Some(1), "{query}: {ended:#?}");
        ended.says(&["one.yaml", word]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_log_nor_error_says_what_was_bound_or_read() {
    let (bound, kept) = ("bound-and-secret-5d1a", "kept-and-secret-77c2");
    let server = filled().await;
    server.execute("grant select on features.secrets to reader").await;
    server.execute(&format!("insert into secrets values ('{kept}')")).await;
    let config = configured(&server.url("reader"), "");
    config.write_secret("files/bound", bound);
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    let local = "sources:\n  local: { file: { root: files }, grants: [{ pipelines: [\"*\"], paths: [\"*\"] }] }\n";
    config.write("paramd.yaml", settings.replace("sources:\n", local));
    let text = r#"name: secretive
parameters:
  bound: { type: string, secret: true, from: { file: { path: bound } } }
  good: { type: string, secret: true, from: { sql: { query: "select value from secrets where value <> :bound", bind: { bound: "{{ params.bound }}" } } } }
  bad: { type: integer, secret: true, from: { sql: { query: "select extractvalue(1, concat('~', value, :bound)) from secrets", bind: { bound: "{{ params.bound }}" } } } }
steps: [{ name: go, params: [good], env: {} }, { name: never, params: [bad], run: [x] }]
"#;
    config.write("pipelines/secretive.yaml", text);
    let good = text
        .replace("name: secretive", "name: well")
        .replace(", { name: never, params: [bad], run: [x] }", "");
    config.write("pipelines/well.yaml", good);
    let everything = "trace,sqlx=trace,sqlx_core=trace,sqlx_mysql=trace";
    let daemon =
        Launch::dev(&config.path, config.around()).env("PARAMD_LOG", everything).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("well", "a")).await.unwrap();
    let status = client.resolve(resolve("secretive", "a")).await.unwrap_err();
    check_reason(&status, "SOURCE_UNAVAILABLE");
    let told = String::from_utf8_lossy(&everything_of(&status)).into_owned() + &daemon.log();
    assert!(told.contains("TRACE"), "all is logged");
    for secret in [bound, kept, PASSWORD] {
        assert!(!told.contains(secret));
    }
    daemon.stop();
}
