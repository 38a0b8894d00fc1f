//! Tests of shapes, types, and what is refused at load.

use std::collections::BTreeMap;

use super::*;
use crate::source::Bind;
use crate::source::testing::{ask, environment, locate, schema, settings, wrong};
use crate::yaml::FileId;

fn pick(
    shape: &str,
    columns: &[&str],
    rows: &[&[Value]],
    declared: &str,
) -> Result<Value, PickError> {
    let raw = Raw::Rows {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        rows: rows.iter().map(|row| row.to_vec()).collect(),
        typed: false,
    };
    Sql.pick(&raw, &ask(&[], &[("query", "select 1"), ("shape", shape)]), &schema(declared))
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

const INTEGER: &str = r#"{"type":"integer"}"#;
const LIST: &str = r#"{"type":"array","items":{"type":"integer"}}"#;
const ROW: &str =
    r#"{"type":"object","properties":{"a":{"type":"integer"},"on":{"type":"boolean"}}}"#;

#[test]
fn a_value_is_one_cell() {
    let row: &[Value] = &[Value::Integer(1)];
    assert_eq!(pick("value", &["a"], &[row], INTEGER), Ok(Value::Integer(1)));
    assert_eq!(pick("value", &["a"], &[], INTEGER), Err(PickError::Missing));
    wrong(pick("value", &["a"], &[row, row], INTEGER));
    let wide: &[Value] = &[Value::Integer(1), Value::Integer(2)];
    wrong(pick("value", &["a", "b"], &[wide], INTEGER));
}

#[test]
fn null_is_a_value() {
    let null: &[&[Value]] = &[&[Value::Null]];
    assert_eq!(pick("value", &["a"], null, r#"{"type":["integer","null"]}"#), Ok(Value::Null));
    wrong(pick("value", &["a"], null, INTEGER));
}

#[test]
fn no_row_is_an_empty_array_for_column_and_rows() {
    assert_eq!(pick("column", &["a"], &[], LIST), Ok(Value::List(vec![])));
    let rows = format!(r#"{{"type":"array","items":{ROW}}}"#);
    assert_eq!(pick("rows", &["a"], &[], &rows), Ok(Value::List(vec![])));
    assert_eq!(pick("row", &["a"], &[], ROW), Err(PickError::Missing));
}

#[test]
fn rows_are_objects_by_column() {
    let cells = [Value::Integer(7), Value::Integer(1)];
    let object = Value::Map(BTreeMap::from([
        ("a".to_owned(), Value::Integer(7)),
        ("on".to_owned(), Value::Bool(true)),
    ]));
    assert_eq!(pick("row", &["a", "on"], &[&cells], ROW), Ok(object.clone()));
    let rows = format!(r#"{{"type":"array","items":{ROW}}}"#);
    assert_eq!(pick("rows", &["a", "on"], &[&cells], &rows), Ok(Value::List(vec![object])));
    wrong(pick("row", &["a", "on"], &[&cells, &cells], ROW));
    wrong(pick("row", &["a", "a"], &[&cells], ROW));
    let nested = [text("x"), Value::Integer(1)];
    assert_eq!(wrong(pick("rows", &["a", "on"], &[&cells, &nested], &rows)).0, "/1/a");
}

#[test]
fn types_are_as_stored_but_for_booleans_and_json() {
    let value = |cell: Value, declared: &str| pick("value", &["a"], &[&[cell]], declared);
    let boolean = r#"{"type":"boolean"}"#;
    assert_eq!(value(Value::Integer(0), boolean), Ok(Value::Bool(false)));
    wrong(value(Value::Integer(2), boolean));
    wrong(value(text("true"), boolean));
    wrong(value(Value::Number(1.0), INTEGER));
    wrong(value(text("1"), INTEGER));
    assert_eq!(value(Value::Integer(1), r#"{"type":"number"}"#), Ok(Value::Integer(1)));
    wrong(value(Value::Number(1.5), r#"{"type":"string","format":"decimal"}"#));
    assert_eq!(value(text("1.50"), r#"{"type":"string","format":"decimal"}"#), Ok(text("1.50")));
    assert_eq!(value(text("[1]"), LIST), Ok(Value::List(vec![Value::Integer(1)])));
    wrong(value(text("[1"), LIST));
    wrong(value(text(r#"{"a":1,"a":2}"#), ROW));
    let bytes = r#"{"type":"string","contentEncoding":"base64"}"#;
    assert_eq!(value(Value::Bytes(vec![1]), bytes), Ok(Value::Bytes(vec![1])));
    wrong(value(Value::Bytes(vec![1]), r#"{"type":"string"}"#));
}

fn problems(
    query: &str,
    binds: &[&str],
    shape: Option<&str>,
    declared: &str,
) -> Vec<(String, Place)> {
    let spot = |start| Place { file: FileId(0), span: start..start + 1 };
    let written = |text: &str, start| TemplateText {
        text: text.to_owned(),
        place: spot(start),
        origin: Origin::Verbatim(start),
    };
    let mut texts = BTreeMap::from([("query", written(query, 100))]);
    texts.extend(shape.map(|shape| ("shape", written(shape, 200))));
    let binding = SourceBinding {
        kind: SourceKind::Sql,
        from: None,
        address: BTreeMap::new(),
        texts,
        binds: binds
            .iter()
            .map(|name| ((*name).to_owned(), Bind::Template(written("", 300))))
            .collect(),
    };
    let found = Sql.check(&binding, &schema(declared));
    found.into_iter().map(|problem| (problem.message, problem.place)).collect()
}

#[test]
fn binds_are_counted_at_load_with_their_place() {
    assert_eq!(problems("select :a", &["a"], None, INTEGER), []);
    let [missing, unused] = &problems("select :a", &["b"], None, INTEGER)[..] else {
        panic!("not two problems");
    };
    assert_eq!(missing.0, "the query's `:a` has no value under `bind`");
    assert_eq!(missing.1.span, 107..109);
    assert_eq!(unused.0, "the query doesn't use the bind `b`");
    assert_eq!(unused.1.span, 300..301);
    assert_eq!(problems("select ?", &[], None, INTEGER)[0].1.span, 107..108);
}

#[test]
fn a_shape_must_fit_the_declared_type() {
    let rows = format!(r#"{{"type":["array","null"],"items":{ROW}}}"#);
    for (shape, declared, fits) in [
        (None, INTEGER, true),
        (Some("value"), LIST, true),
        (Some("column"), LIST, true),
        (Some("column"), INTEGER, false),
        (Some("row"), ROW, true),
        (Some("row"), LIST, false),
        (Some("rows"), rows.as_str(), true),
        (Some("rows"), LIST, false),
        (Some("rows"), ROW, false),
    ] {
        assert_eq!(
            problems("select 1", &[], shape, declared).is_empty(),
            fits,
            "{shape:?} {declared}"
        );
    }
}

#[test]
fn equal_queries_with_equal_binds_are_one_read() {
    let asked = |query, value: i64| {
        let mut asked = ask(&[], &[("query", query)]);
        asked.binds = vec![("a".to_owned(), Value::Integer(value))];
        let located = locate(&Sql, &asked).unwrap();
        assert_eq!((located.location.as_str(), located.grant_path), ("", None));
        located.read
    };
    assert!(asked("select :a", 1) == asked("select :a", 1));
    assert!(asked("select :a", 1) != asked("select :a", 2));
    assert!(asked("select :a", 1) != asked("select  :a", 1));
}

#[test]
fn settings_name_a_file_or_a_server() {
    let read = |yaml: &str| settings(&Sql, yaml, Path::new("/etc"));
    for good in [
        "{ url: 'sqlite:w.db' }",
        "{ url: 'sqlite:/srv/w.db', timeout: 1s, max_rows: 10 }",
        "{ url: 'postgres://u@db/x', password: { env: P } }",
        "{ url: 'postgres://u@db/x', password: { file: p }, tls: off, connections: 1 }",
        "{ url: 'postgres://u@db/x', ca: ca.pem, tls: on, timeout: 2s, max_rows: 5 }",
        "{ url: 'mysql://u@db/x', password: { env: P }, connections: 2 }",
        "{ url: 'mariadb://u@%2Frun%2Fmysqld.sock/x', timeout: 2s, max_rows: 5 }",
    ] {
        assert!(read(good).is_ok(), "{good}");
    }
    for bad in [
        "{}",
        "{ url: 'mysql://db/x' }",
        "{ url: 'mysql://u:hunter2@db/x' }",
        "{ url: 'mysql://u@db/x', tls: off, ca: ca.pem }",
        "{ url: 'sqlite:' }",
        "{ url: 'sqlite::memory:' }",
        "{ url: 'sqlite://w.db' }",
        "{ url: 'sqlite:w.db?mode=rwc' }",
        "{ url: w.db }",
        "{ url: 'sqlite:w.db', max_rows: 0 }",
        "{ url: 'sqlite:w.db', max_rows: 10001 }",
        "{ url: 'sqlite:w.db', timeout: 5 }",
        "{ url: 'sqlite:w.db', user: x }",
        "{ url: 'sqlite:w.db', tls: off }",
        "{ url: 'sqlite:w.db', password: hunter2 }",
        "{ url: 'postgres://u:hunter2@db/x' }",
        "{ url: 'postgres://u@db/x', password: hunter2 }",
        "{ url: 'postgres://u@db/x', tls: hunter2 }",
        "{ url: 'postgres://u@db/x', tls: off, ca: ca.pem }",
        "{ url: 'postgres://u@db/x', connections: 0 }",
        "{ url: 'postgres://u@db/x', connections: 101 }",
    ] {
        let problems = read(bad).unwrap_err();
        assert!(!problems.concat().contains("hunter2"), "{bad}");
    }
    let shown = format!("{:?}", read("{ url: 'postgres://u@db/x', password: { env: P } }"));
    assert!(shown.contains("Env(\"P\")"), "{shown}");
}

#[test]
fn a_server_is_asked_as_the_settings_say_and_nothing_else() {
    let read = |yaml: &str| settings(&Sql, yaml, Path::new("/nowhere")).unwrap();
    let server = "{ url: 'postgres://u@db/x' }";
    assert!(read(server).connect(&environment(&[])).is_ok());
    for name in ["PGOPTIONS", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"] {
        let refused = read(server).connect(&environment(&[(name, b"hunter2")]));
        let told = refused.err().unwrap().0;
        assert!(told.contains(name) && !told.contains("hunter2"), "{told}");
    }
    let refused = read("{ url: 'postgres://u@db/x', ca: absent.pem }").connect(&environment(&[]));
    assert!(refused.err().unwrap().0.contains("/nowhere/absent.pem"));
}

#[test]
fn cells_that_have_a_type_are_taken_as_they_are() {
    let value = |cell: Value, declared: &str| {
        let raw = Raw::Rows { columns: vec!["a".to_owned()], rows: vec![vec![cell]], typed: true };
        Sql.pick(&raw, &ask(&[], &[("query", "select 1")]), &schema(declared))
    };
    wrong(value(Value::Integer(1), r#"{"type":"boolean"}"#));
    wrong(value(text("[1]"), LIST));
    assert_eq!(value(Value::Bool(true), r#"{"type":"boolean"}"#), Ok(Value::Bool(true)));
    let list = Value::List(vec![Value::Integer(1)]);
    assert_eq!(value(list.clone(), LIST), Ok(list));
}
