//! Tests, on real database files.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::source::Address;

fn database() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("w.db")).unwrap();
    connection
        .execute_batch(
            "create table t (i integer, r real, s text, b blob);
             insert into t values (9007199254740993, 0.5, 'a', x'00ff'), (2, 1e999, null, null);
             create table bad (s text); insert into bad values (cast(x'ff' as text));",
        )
        .unwrap();
    folder
}

fn sqlite(folder: &TempDir, rows: usize, time_ms: u64) -> Sqlite {
    let limits = Limits { time: Duration::from_millis(time_ms), rows };
    Sqlite::new(folder.path().join("w.db"), limits)
}

async fn asked(
    sqlite: &Sqlite,
    query: &str,
    binds: &[(&str, Value)],
) -> Result<Vec<Vec<Value>>, Cause> {
    let binds = binds.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let read = Read { address: Address::new(), query: Some(query.to_owned()), binds };
    match sqlite.read(&read).await.map_err(|error| error.cause)? {
        Answer::Found { raw: mut raw @ Raw::Rows { .. }, version: None } => match &mut raw {
            Raw::Rows { rows, .. } => Ok(std::mem::take(rows)),
            _ => unreachable!("it was rows"),
        },
        _ => panic!("not rows"),
    }
}

async fn query(text: &str) -> Result<Vec<Vec<Value>>, Cause> {
    let folder = database();
    asked(&sqlite(&folder, 10, 5_000), text, &[]).await
}

#[tokio::test]
async fn a_file_that_was_cut_off_inside_of_a_page_is_no_answer() {
    let folder = database();
    let file = folder.path().join("w.db");
    let mut whole = std::fs::read(&file).unwrap();
    whole.truncate(whole.len() - 1_000);
    std::fs::write(&file, whole).unwrap();
    let asked = asked(&sqlite(&folder, 10, 5_000), "select i from t where i > 2", &[]).await;
    assert_eq!(asked, Err(Cause::BadAnswer));
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[tokio::test]
async fn cells_are_as_their_storage_has_them() {
    let rows = query("select i, r, s, b, null from t where i > 2").await.unwrap();
    let expected = vec![
        Value::Integer(9_007_199_254_740_993),
        Value::Number(0.5),
        text("a"),
        Value::Bytes(vec![0, 255]),
        Value::Null,
    ];
    assert_eq!(rows, [expected]);
}

#[tokio::test]
async fn what_no_value_can_hold_is_a_bad_answer() {
    assert_eq!(query("select r from t where i = 2").await, Err(Cause::BadAnswer));
    assert_eq!(query("select s from bad").await, Err(Cause::BadAnswer));
}

#[tokio::test]
async fn binds_are_data_of_their_own_type() {
    let folder = database();
    let sqlite = sqlite(&folder, 10, 5_000);
    let binds = [
        ("a", Value::Null),
        ("b", Value::Bool(true)),
        ("c", Value::Integer(7)),
        ("d", Value::Number(0.5)),
        ("e", text("'; drop table t --")),
        ("f", Value::Bytes(vec![1])),
        ("g", Value::List(vec![Value::Integer(1), text("x")])),
    ];
    let select = "select typeof(:a), typeof(:b), typeof(:c), typeof(:d), :e, typeof(:f), :g";
    let kinds = ["null", "integer", "integer", "real", "'; drop table t --", "blob", r#"[1,"x"]"#];
    assert_eq!(asked(&sqlite, select, &binds).await, Ok(vec![kinds.map(text).to_vec()]));
}

#[tokio::test]
async fn binds_are_counted_again_where_the_statement_is_prepared() {
    let folder = database();
    let sqlite = sqlite(&folder, 10, 5_000);
    let one = [("a", Value::Null)];
    assert_eq!(asked(&sqlite, "select :a, :b", &one).await, Err(Cause::BadAnswer));
    assert_eq!(asked(&sqlite, "select 1", &one).await, Err(Cause::BadAnswer));
    assert_eq!(asked(&sqlite, "select :b", &one).await, Err(Cause::BadAnswer));
}

#[tokio::test]
async fn nothing_but_reading_is_allowed() {
    let folder = database();
    let sqlite = sqlite(&folder, 10, 5_000);
    let copy = folder.path().join("copy.db");
    for statement in [
        "insert into t values (1, 1, 'x', null) returning i",
        "delete from t",
        "drop table t",
        "create temp table x (i)",
        "pragma user_version = 7",
        "pragma table_info(t)",
        "begin",
        "attach 'other.db' as other",
        &format!("vacuum into '{}'", copy.display()),
        "select load_extension('x')",
    ] {
        let refused = asked(&sqlite, statement, &[]).await.unwrap_err();
        assert!(matches!(refused, Cause::Refused | Cause::BadAnswer), "{statement}: {refused:?}");
    }
    assert!(!copy.exists());
    assert_eq!(
        asked(&sqlite, "select count(*) from t", &[]).await,
        Ok(vec![vec![Value::Integer(2)]])
    );
    assert_eq!(query("select 1; select 2").await, Err(Cause::BadAnswer));
    assert_eq!(query("select \"misspelt\" from t").await, Err(Cause::BadAnswer));
}

#[tokio::test]
async fn rows_bytes_and_time_have_limits() {
    let folder = database();
    let two = "select 1 union all select 2";
    assert_eq!(asked(&sqlite(&folder, 2, 5_000), two, &[]).await.map(|rows| rows.len()), Ok(2));
    assert_eq!(asked(&sqlite(&folder, 1, 5_000), two, &[]).await, Err(Cause::TooLarge));
    assert_eq!(query("select zeroblob(1048577)").await, Err(Cause::TooLarge));
    assert_eq!(query("select length(zeroblob(100000000))").await, Err(Cause::TooLarge));
    let endless =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    let begun = Instant::now();
    assert_eq!(asked(&sqlite(&folder, 10, 200), endless, &[]).await, Err(Cause::Timeout));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_query_ends_when_nobody_waits_for_it() {
    let stop = Arc::new(AtomicBool::new(true));
    let endless =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    let read = Read { address: Address::new(), query: Some(endless.to_owned()), binds: Vec::new() };
    let folder = database();
    let asked = ask(&sqlite(&folder, 10, 600_000), &read, stop);
    assert_eq!(asked.err().map(|error| error.cause), Some(Cause::Timeout));
}

#[tokio::test]
async fn a_dead_file_is_an_error_that_says_which() {
    let folder = database();
    let gone = Sqlite::new(
        folder.path().join("none.db"),
        Limits { time: Duration::from_secs(1), rows: 1 },
    );
    assert_eq!(asked(&gone, "select 1", &[]).await, Err(Cause::Unreachable));
    assert!(!folder.path().join("none.db").exists());
    std::fs::write(folder.path().join("text.db"), "this is no database, and long enough to be one")
        .unwrap();
    let text = Sqlite::new(
        folder.path().join("text.db"),
        Limits { time: Duration::from_secs(1), rows: 1 },
    );
    assert_eq!(asked(&text, "select * from t", &[]).await, Err(Cause::BadAnswer));
    let other = Connection::open(folder.path().join("w.db")).unwrap();
    other.execute_batch("begin exclusive").unwrap();
    let locked = sqlite(&folder, 10, 100);
    assert_eq!(asked(&locked, "select i from t", &[]).await, Err(Cause::NotReady));
    assert_eq!(query("select nothing from nowhere").await, Err(Cause::BadAnswer));
}

/// The process would end with its stack, or hang with a disk full of rows.
#[tokio::test]
async fn bombs_end_in_time_and_the_daemon_goes_on() {
    let long = "replace(hex(zeroblob(1000000)), '0', 'a')";
    let folder = database();
    let sqlite = sqlite(&folder, 10, 300);
    for bomb in [
        format!("select {long} like '{}b'", "%a".repeat(20_000)),
        format!("select {long} glob '{}b'", "*a".repeat(20_000)),
        format!("select {long} like '{}b'", "%a".repeat(490)),
        format!("select {long} like '{}b'", "%_a".repeat(330)),
        format!("select {}1{}", "(".repeat(30_000), ")".repeat(30_000)),
        format!("select {}1", "not ".repeat(15_000)),
        format!("select {}1{}", "abs(".repeat(10_000), ")".repeat(10_000)),
        format!("{}select 1{}", "select * from (".repeat(4_000), ")".repeat(4_000)),
        format!("select 1{}", " union all select 1".repeat(3_000)),
        chain_of_tables(),
        "select length(printf('%.*c', 2000000000, 'x'))".to_owned(),
        "select length(printf('%.2000000000f', 1.5))".to_owned(),
        format!("select count(*) from json_tree('{}{}')", "[".repeat(999), "]".repeat(999)),
        endless("randomblob(1000000)", "length(b) from c order by b limit 1"),
        endless("1", "group_concat(b) from c"),
    ] {
        let begun = Instant::now();
        let outcome = asked(&sqlite, &bomb, &[]).await;
        let shown: String = bomb.chars().take(60).collect();
        assert!(begun.elapsed() < Duration::from_secs(5), "{shown}: {:?}", begun.elapsed());
        assert!(outcome.map_or(0, |rows| rows.len()) <= 1, "{shown}");
    }
}

fn chain_of_tables() -> String {
    let tables = (1..1_500).map(|n| format!(", c{n} as (select * from c{})", n - 1));
    format!("with c0 as (select 1){} select * from c1499", tables.collect::<String>())
}

fn endless(column: &str, read: &str) -> String {
    format!(
        "with recursive c(b) as (select {column} union all select {column} from c) select {read}"
    )
}

#[tokio::test]
async fn a_query_is_checked_without_being_asked() {
    let folder = database();
    let sqlite = sqlite(&folder, 10, 5_000);
    let schema = crate::source::testing::schema(r#"{"type":"integer"}"#);
    for (query, bound, told) in [
        ("select i from t where i > :a", true, None),
        ("select i from t", true, Some("other binds")),
        ("select absent from t", false, Some("doesn't take the query")),
        ("delete from t", false, Some("would do more than read")),
    ] {
        let binds = bound.then(|| ("a".to_owned(), Value::Null)).into_iter().collect();
        let read = Read { address: Address::new(), query: Some(query.to_owned()), binds };
        let ask = crate::source::testing::ask(&[], &[("query", query)]);
        let probe = Probe { ask: &ask, read: &read, schema: &schema, binds: BTreeMap::new() };
        let found = sqlite.check(&probe).await.unwrap();
        assert_eq!(found.len(), usize::from(told.is_some()), "{query}: {found:?}");
        assert!(found.iter().all(|found| found.contains(told.unwrap())), "{query}: {found:?}");
    }
}
