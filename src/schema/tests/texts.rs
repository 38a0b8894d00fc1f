//! Values from texts, and words for people.

use super::super::*;
use super::schema;
use crate::value::json;

#[track_caller]
fn parsed(declaration: &str, text: &str, expect: Result<&str, &str>) {
    let outcome = schema(declaration).parse_text(text);
    let told = outcome.as_ref().map(json::to_json).map_err(|violation| violation.expected.clone());
    assert_eq!(told.as_deref().map_err(String::as_str), expect, "{declaration} {text:?}");
}

#[test]
fn text_is_read_by_the_declared_type_alone() {
    let boolean = r#"{"type": "boolean"}"#;
    parsed(boolean, "true", Ok("true"));
    for wrong in ["no", "on", "True", "1", "", " true"] {
        parsed(boolean, wrong, Err("`true` or `false` (a boolean)"));
    }
    let integer = r#"{"type": "integer"}"#;
    parsed(integer, "9007199254740993", Ok("9007199254740993"));
    parsed(integer, "-007", Ok("-7"));
    for wrong in ["0x10", "1e3", "1.0", "+1", "", "-", " 1", "1_000", "9223372036854775808", "١"] {
        parsed(integer, wrong, Err("an integer of 64 bits in digits"));
    }
    let number = r#"{"type": "number"}"#;
    parsed(number, "1e-3", Ok("0.001"));
    parsed(number, "3", Ok("3"));
    parsed(number, "3.0", Ok("3.0"));
    for wrong in ["nan", "inf", ".5", "1.", "01", "1e999", "0x1", "+1"] {
        parsed(number, wrong, Err("a number"));
    }
    parsed(r#"{"type": "string"}"#, "null", Ok("\"null\""));
    parsed(r#"{"type": "string"}"#, " no ", Ok("\" no \""));
    parsed(r#"{"type": ["string", "null"]}"#, "null", Ok("\"null\""));
    parsed(r#"{"type": ["integer", "null"]}"#, "null", Ok("null"));
    parsed(integer, "null", Err("an integer of 64 bits in digits"));
    parsed(
        r#"{"type": ["integer", "null"]}"#,
        "x",
        Err("an integer of 64 bits in digits or `null`"),
    );
    parsed(r#"{"type": "array"}"#, "[1, 2]", Ok("[1,2]"));
    parsed(
        r#"{"type": "array"}"#,
        "1,2",
        Err(
            "an array as JSON; the text isn't JSON that can be read (line 1, column 2): not well formed",
        ),
    );
    parsed(r#"{"type": "array"}"#, "{}", Err("an array as JSON"));
    parsed(
        r#"{"type": "object", "additionalProperties": true}"#,
        r#"{"a":1,"a":2}"#,
        Err(
            "an object as JSON; the text isn't JSON that can be read (line 1, column 13): a key stands twice in one object",
        ),
    );
    parsed(r#"{"type": "string", "contentEncoding": "base64"}"#, "AP8=", Ok("\"AP8=\""));
    parsed(
        r#"{"type": "string", "contentEncoding": "base64"}"#,
        "hunter2",
        Err("bytes as base64 text"),
    );
}

#[test]
fn text_of_a_source_may_have_white_space_around_other_types() {
    assert!(schema(r#"{"type": "integer"}"#).parse_source_text("12\n") == Ok(Value::Integer(12)));
    let text = schema(r#"{"type": "string"}"#).parse_source_text("a\n");
    assert!(text == Ok(Value::String("a\n".into())));
    assert!(schema(r#"{"type": "integer"}"#).parse_source_text("").is_err());
}

#[test]
fn words_for_tables() {
    let words = |text: &str| {
        let schema = schema(text);
        (schema.type_words(), schema.range_words().unwrap_or_default())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        words(r#"{"type": "integer", "minimum": 1, "maximum": 500}"#),
        pair("integer", "1 to 500")
    );
    assert_eq!(
        words(r#"{"type": "string", "enum": ["adam", "sgd"]}"#),
        pair("string", "one of adam, sgd")
    );
    assert_eq!(words(r#"{"type": ["string", "null"]}"#), pair("string or null", ""));
    assert_eq!(
        words(r#"{"type": "array", "items": {"type": "integer", "minimum": 1}}"#),
        pair("array of integer", "each at least 1")
    );
    assert_eq!(words(r#"{"type": "object"}"#), pair("object", ""));
}
