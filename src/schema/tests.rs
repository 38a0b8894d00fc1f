//! What values fit a declaration.

mod declarations;
mod texts;

use proptest::prelude::*;

use super::*;
use crate::value::json;
use crate::yaml::{FileId, Node, NodeKind, Origin, Scalar, Spanned};

fn place() -> Place {
    Place { file: FileId(0), span: 0..0 }
}

/// A node as the reader of files would give it, from JSON.
fn node(value: &Value) -> Node {
    let kind = match value {
        Value::List(items) => NodeKind::Sequence(items.iter().map(node).collect()),
        Value::Map(fields) => NodeKind::Mapping(fields.iter().map(entry).collect()),
        scalar => NodeKind::Scalar(Scalar { value: scalar.clone(), origin: Origin::Inexact }),
    };
    Node { kind, place: place() }
}

fn entry((key, value): (&String, &Value)) -> Entry {
    Entry { key: Spanned { value: key.clone(), place: place() }, value: node(value) }
}

fn read(text: &str) -> (Option<Schema>, Problems) {
    let value = json::from_json(text.as_bytes()).unwrap();
    let NodeKind::Mapping(entries) = node(&value).kind else { panic!("not a mapping: {text}") };
    let mut problems = Problems::default();
    let schema = Schema::read(&entries.iter().collect::<Vec<_>>(), &place(), &mut problems);
    (schema, problems)
}

#[track_caller]
fn schema(text: &str) -> Schema {
    let (schema, problems) = read(text);
    schema.unwrap_or_else(|| panic!("{text}: {:?}", problems.list))
}

/// What a value breaks: pointer, keyword and what was expected.
#[track_caller]
fn check(schema: &Schema, value: &str, expect: &[(&str, &str, &str)]) {
    let value = json::from_json(value.as_bytes()).unwrap();
    let value = schema.adopt(value).unwrap();
    let violations = schema.check(&value).err().unwrap_or_default();
    let told: Vec<(&str, &str, &str)> = violations
        .iter()
        .map(|one| (one.pointer.as_str(), one.keyword, one.expected.as_str()))
        .collect();
    assert_eq!(told, expect);
}

#[test]
fn types_are_exact() {
    let integer = schema(r#"{"type": "integer"}"#);
    check(&integer, "1", &[]);
    check(&integer, "1.0", &[("", "type", "an integer")]);
    check(&integer, "null", &[("", "type", "an integer")]);
    let number = schema(r#"{"type": "number"}"#);
    check(&number, "1", &[]);
    check(&number, "1.5", &[]);
    check(&number, "\"1\"", &[("", "type", "a number")]);
    assert!(number.check(&Value::Number(f64::NAN)).is_err());
    assert!(number.check(&Value::Number(f64::INFINITY)).is_err());
    let boolean = schema(r#"{"type": "boolean"}"#);
    check(&boolean, "0", &[("", "type", "true or false (a boolean)")]);
    let text = schema(r#"{"type": ["string", "null"]}"#);
    check(&text, "null", &[]);
    check(&text, "\"\"", &[]);
    check(&text, "3", &[("", "type", "text (a string) or null")]);
    let nested =
        schema(r#"{"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}"#);
    check(
        &nested,
        "[[1], [2.0, \"a\"], 3]",
        &[
            ("/1/0", "type", "an integer"),
            ("/1/1", "type", "an integer"),
            ("/2", "type", "an array"),
        ],
    );
}

#[test]
fn bytes_are_bytes_and_nothing_else_is() {
    let bytes = schema(r#"{"type": "string", "contentEncoding": "base64"}"#);
    assert_eq!(*bytes.declared(), Type::Bytes);
    assert!(bytes.check(&Value::Bytes(vec![0, 255])).is_ok());
    assert!(bytes.check(&Value::String("AAA=".into())).is_err());
    assert!(schema(r#"{"type": "string"}"#).check(&Value::Bytes(vec![1])).is_err());
    let open = schema(r#"{"type": "object", "additionalProperties": true}"#);
    assert!(open.check(&Value::Map([("a".into(), Value::Bytes(vec![1]))].into())).is_err());
    let list =
        schema(r#"{"type": "array", "items": {"type": "string", "contentEncoding": "base64"}}"#);
    let adopted = list.adopt(json::from_json(br#"["AP8=", ""]"#).unwrap()).unwrap();
    assert!(adopted == Value::List(vec![Value::Bytes(vec![0, 255]), Value::Bytes(vec![])]));
    let refused = list.adopt(json::from_json(br#"["AA==", "hunter2"]"#).unwrap()).unwrap_err();
    assert_eq!(refused.pointer, "/1");
    assert!(!format!("{refused:?}").contains("hunter2"));
}

#[test]
fn ranges_are_told_in_our_own_words() {
    let epochs = schema(r#"{"type": "integer", "minimum": 1, "maximum": 500}"#);
    check(&epochs, "0", &[("", "minimum", "at least 1")]);
    check(&epochs, "501", &[("", "maximum", "at most 500")]);
    let rate = schema(
        r#"{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1.5, "multipleOf": 0.5}"#,
    );
    check(&rate, "0", &[("", "exclusiveMinimum", "more than 0")]);
    check(&rate, "1.5", &[("", "exclusiveMaximum", "less than 1.5")]);
    check(&rate, "0.75", &[("", "multipleOf", "a multiple of 0.5")]);
    let list = schema(
        r#"{"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "minItems": 1, "maxItems": 2, "uniqueItems": true}"#,
    );
    check(&list, "[]", &[("", "minItems", "at least 1 item")]);
    check(&list, r#"["c"]"#, &[("/0", "enum", "one of `a`, `b`")]);
    check(&list, r#"["a", "a"]"#, &[("", "uniqueItems", "no item twice")]);
    check(
        &list,
        r#"["a", "b", "a"]"#,
        &[("", "maxItems", "at most 2 items"), ("", "uniqueItems", "no item twice")],
    );
    let text =
        schema(r#"{"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-z]+$"}"#);
    check(&text, "\"a\"", &[("", "minLength", "at least 2 characters")]);
    check(
        &text,
        "\"ABCD\"",
        &[
            ("", "maxLength", "at most 3 characters"),
            ("", "pattern", "text that matches `^[a-z]+$`"),
        ],
    );
    check(&schema(r#"{"type": "integer", "const": 3}"#), "4", &[("", "const", "exactly `3`")]);
    let exact = schema(r#"{"type": "integer", "maximum": 9007199254740992}"#);
    check(&exact, "9007199254740993", &[("", "maximum", "at most 9007199254740992")]);
}

#[test]
fn a_long_enum_is_cut() {
    let options: Vec<String> = (0..30).map(|number| format!("\"o{number}\"")).collect();
    let long = schema(&format!(r#"{{"type": "string", "enum": [{}]}}"#, options.join(",")));
    let violations = long.check(&Value::String("hunter2".into())).unwrap_err();
    assert!(violations[0].expected.ends_with("`o9`, and 20 more"), "{violations:?}");
}

#[test]
fn objects_refuse_what_is_not_declared() {
    let batch = schema(
        r#"{"type": "object", "required": ["image"], "properties": {
            "image": {"type": "string"},
            "a/b~c": {"type": "integer"},
            "properties": {"type": "object", "additionalProperties": {"type": "string"}}}}"#,
    );
    check(&batch, r#"{"image": "x", "properties": {"any thing": "4"}}"#, &[]);
    check(&batch, "{}", &[("", "required", "the property `image`")]);
    check(&batch, r#"{"image": "x", "a/b~c": "1"}"#, &[("/a~1b~0c", "type", "an integer")]);
    check(
        &batch,
        r#"{"image": "x", "properties": {"a": 4}}"#,
        &[("/properties/a", "type", "text (a string)")],
    );
    check(
        &batch,
        r#"{"imgae": "x", "image": "y"}"#,
        &[(
            "/imgae",
            "additionalProperties",
            "no property of this name; did you mean `image`? declared are `a/b~c`, `image`, `properties`",
        )],
    );
    check(
        &batch,
        r#"{"hunter2 is my password": 1, "image": "y"}"#,
        &[(
            "",
            "additionalProperties",
            "no property of this name; declared are `a/b~c`, `image`, `properties`",
        )],
    );
    check(
        &schema(r#"{"type": "object"}"#),
        r#"{"a": 1}"#,
        &[("/a", "additionalProperties", "no property of this name; none is declared")],
    );
    let open = schema(r#"{"type": "object", "additionalProperties": true}"#);
    check(&open, r#"{"a": [1, {"b": null}]}"#, &[]);
}

#[test]
fn formats_are_asserted() {
    for (format, good, bad) in [
        ("date", "2026-01-31", "2026-02-30"),
        ("date-time", "2026-01-31T00:00:00+02:00", "2026-01-31T00:00:00"),
        ("duration", "PT1H", "1h"),
        ("uri", "https://example.org/x", "/x"),
        ("email", "a@example.org", "a"),
        ("hostname", "db.example.org", "-x"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2eb8aa08"),
        ("decimal", "-12.50", "1e3"),
    ] {
        assert!(FORMATS.contains(&format));
        let schema = schema(&format!(r#"{{"type": "string", "format": "{format}"}}"#));
        assert!(schema.check(&Value::String(good.into())).is_ok(), "{format}");
        let violations = schema.check(&Value::String(bad.into())).unwrap_err();
        assert_eq!(violations[0].keyword, "format");
        assert!(bad.len() < 8 || !violations[0].expected.contains(bad));
    }
}

#[test]
fn free_text_is_found_wherever_it_is() {
    for (text, free) in [
        (r#"{"type": "string"}"#, true),
        (r#"{"type": "string", "enum": ["a"]}"#, false),
        (r#"{"type": "string", "const": "a"}"#, false),
        (r#"{"type": "integer"}"#, false),
        (r#"{"type": "array"}"#, true),
        (r#"{"type": "array", "items": {"type": "number"}}"#, false),
        (r#"{"type": "array", "items": {"type": "string"}}"#, true),
        (r#"{"type": "array", "items": {"type": "string", "enum": ["a"]}}"#, false),
        (r#"{"type": "object"}"#, false),
        (r#"{"type": "object", "additionalProperties": {"type": "integer"}}"#, true),
        (r#"{"type": "object", "properties": {"a": {"type": "string"}}}"#, true),
        (r#"{"type": "object", "properties": {"a": {"type": "boolean"}}}"#, false),
        (r#"{"type": "string", "contentEncoding": "base64"}"#, true),
    ] {
        assert_eq!(schema(text).bears_free_text(), free, "{text}");
    }
}

#[test]
fn a_stored_schema_is_the_same_schema() {
    let original = schema(
        r#"{"type": ["object", "null"], "properties": {"n": {"type": "integer", "minimum": 1}}, "title": "T"}"#,
    );
    let back = Schema::from_json(original.json()).unwrap();
    assert_eq!(back.declared(), original.declared());
    assert_eq!(back.json(), original.json());
    check(&back, r#"{"n": 0}"#, &[("/n", "minimum", "at least 1")]);
    for wrong in [
        "3",
        r#"{"type": "string", "$ref": "x"}"#,
        r#"{"type": "strin"}"#,
        r#"{"type": "string", "format": "x"}"#,
    ] {
        assert!(Schema::from_json(&serde_json::from_str(wrong).unwrap()).is_err(), "{wrong}");
    }
}

#[test]
fn results_fit_declarations() {
    let array = |item| Type::Array(Box::new(item));
    for (result, declared, expect) in [
        (Type::Integer, Type::Number, true),
        (Type::Number, Type::Integer, false),
        (Type::String.nullable(), Type::String, true),
        (Type::String, Type::String.nullable(), true),
        (Type::Null, Type::String, false),
        (Type::Null, Type::String.nullable(), true),
        (Type::Unknown, Type::Bytes, true),
        (Type::String, Type::Bytes, false),
        (Type::Bytes, Type::String, false),
        (array(Type::Integer), array(Type::Number), true),
        (array(Type::String), array(Type::Integer), false),
        (array(Type::Unknown), array(Type::Integer), true),
    ] {
        assert_eq!(fits(&result, &declared), expect, "{result:?} {declared:?}");
    }
    let object = |text: &str| schema(text).declared().clone();
    let narrow = object(
        r#"{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}"#,
    );
    let wide = object(r#"{"type": "object", "additionalProperties": true}"#);
    let other = object(
        r#"{"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}"#,
    );
    assert!(fits(&narrow, &wide) && fits(&wide, &narrow) && !fits(&narrow, &other));
}

/// Any value, also what nobody declared.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Number),
        "[a-z/~ ]{0,8}".prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map("[a-z/~]{0,3}", inner, 0..4).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn a_violation_points_into_the_value_and_quotes_nothing(value in values()) {
        let schema = schema(
            r#"{"type": "object", "required": ["a"], "properties": {
                "a": {"type": "integer", "minimum": 0},
                "b": {"type": "array", "items": {"type": "string", "maxLength": 3, "pattern": "^[a-m]*$"}}}}"#,
        );
        for one in schema.check(&value).err().into_iter().flatten() {
            let shown = json::to_serde(&value);
            prop_assert!(shown.pointer(&one.pointer).is_some(), "{}", one.pointer);
        }
    }

    #[test]
    fn what_is_of_a_type_and_only_that_passes(value in values()) {
        let integer = schema(r#"{"type": "integer"}"#).check(&value).is_ok();
        prop_assert_eq!(integer, matches!(value, Value::Integer(_)));
        let text = schema(r#"{"type": ["string", "null"]}"#).check(&value).is_ok();
        prop_assert_eq!(text, matches!(value, Value::String(_) | Value::Null));
    }

    #[test]
    fn text_never_makes_it_panic(text in "\\PC{0,40}") {
        for declaration in [r#"{"type": "integer"}"#, r#"{"type": "number"}"#, r#"{"type": "array"}"#, r#"{"type": "string", "contentEncoding": "base64"}"#] {
            let schema = schema(declaration);
            if let Ok(value) = schema.parse_text(&text) {
                prop_assert!(schema.check(&value).is_ok());
            }
        }
        let _ = read(&serde_json::json!({"type": "string", "pattern": text, "format": text}).to_string());
    }

    #[test]
    fn integers_come_back_from_their_digits(number: i64) {
        let schema = schema(r#"{"type": "integer"}"#);
        prop_assert!(schema.parse_text(&number.to_string()) == Ok(Value::Integer(number)));
    }
}
