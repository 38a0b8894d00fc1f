//! Tests.

use std::path::Path;

use super::*;
use crate::source::testing::{ask, environment, found, locate, schema, settings, wrong};

fn read(name: &str) -> Result<Answer, SourceError> {
    let listed =
        settings(&Env, "{ names: [REGION, EMPTY, UNSET, LATIN] }", Path::new("/")).unwrap();
    let variables =
        environment(&[("REGION", b"eu"), ("EMPTY", b""), ("HOME", b"/root"), ("LATIN", b"\xe4")]);
    let source = listed.connect(&variables).unwrap();
    let located = locate(&Env, &ask(&[("name", name)], &[])).unwrap();
    assert_eq!(listed.refuses(&located.read).is_some(), name == "HOME");
    futures_util::FutureExt::now_or_never(source.read(&located.read)).unwrap()
}

fn pick(name: &str, declared: &str) -> Result<Value, PickError> {
    let (raw, version) = found(read(name).unwrap());
    assert_eq!(version, None);
    Env.pick(&raw, &ask(&[], &[]), &schema(declared))
}

#[test]
fn a_listed_variable_is_read_and_no_other() {
    assert_eq!(pick("REGION", r#"{"type":"string"}"#), Ok(Value::String("eu".into())));
    assert!(matches!(read("UNSET"), Ok(Answer::Missing)));
    assert_eq!(read("HOME").err().map(|error| error.cause), Some(Cause::NotGranted));
}

#[test]
fn set_but_empty_is_a_value() {
    assert_eq!(pick("EMPTY", r#"{"type":"string"}"#), Ok(Value::String(String::new())));
    assert!(wrong(pick("EMPTY", r#"{"type":"integer"}"#)).1.contains("an integer"));
}

#[test]
fn text_is_parsed_by_the_declared_type_alone() {
    let pick = |text: &str, declared| {
        Env.pick(&Raw::Bytes(text.into()), &ask(&[], &[]), &schema(declared))
    };
    assert_eq!(pick("7", r#"{"type":"integer"}"#), Ok(Value::Integer(7)));
    assert_eq!(pick("7", r#"{"type":"string"}"#), Ok(Value::String("7".into())));
    for bad in ["1e3", "0x10", " 7", "on"] {
        wrong(pick(bad, r#"{"type":"integer"}"#));
    }
    let list = r#"{"type":"array","items":{"type":"integer"}}"#;
    assert_eq!(pick("[1]", list), Ok(Value::List(vec![Value::Integer(1)])));
    assert_eq!(wrong(pick("[1,true]", list)).0, "/1");
}

#[test]
fn what_is_not_utf8_is_no_text() {
    assert_eq!(wrong(pick("LATIN", r#"{"type":"string"}"#)).1, "UTF-8 text");
}

#[test]
fn names_are_those_of_variables() {
    for bad in ["", "1A", "A=B", "A B", "A\0", "Ä", &"A".repeat(129)] {
        assert_eq!(locate(&Env, &ask(&[("name", bad)], &[])).err(), Some(EXPECTED));
    }
    for bad in
        ["{}", "{ names: [A, A] }", "{ names: ['a b'] }", "{ names: A }", "{ name: [A] }", "[]"]
    {
        assert!(settings(&Env, bad, Path::new("/")).is_err(), "{bad}");
    }
}
