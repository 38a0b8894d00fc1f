//! What declarations may say, and what is refused.

use super::super::*;
use super::{node, place, read, schema};
use crate::yaml::NodeKind;
use crate::yaml::diagnostic::Severity;

/// The codes, messages and help of what is wrong with a declaration.
#[track_caller]
fn refused(text: &str, expect: &[&str]) {
    let (schema, problems) = read(text);
    assert!(schema.is_none(), "{text}");
    let told: Vec<String> = problems
        .list
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| match &problem.help {
            Some(help) => format!("{}: {} ({help})", problem.code, problem.message),
            None => format!("{}: {}", problem.code, problem.message),
        })
        .collect();
    assert_eq!(told, expect, "{text}");
}

#[test]
fn a_declaration_has_a_type_and_known_keywords() {
    refused(
        "{}",
        &[
            "missing_type: the declaration has no type (add `type`: string, integer, number, boolean, array or object)",
        ],
    );
    refused(
        r#"{"type": "integer", "minimun": 1}"#,
        &["unknown_keyword: not a keyword of a declaration (did you mean `minimum`?)"],
    );
    refused(
        r#"{"type": "integer", "defualt": 1}"#,
        &["unknown_keyword: not a keyword of a declaration (did you mean `default`?)"],
    );
    refused(
        r##"{"type": "string", "$ref": "#/x"}"##,
        &["reference: a declaration can't refer to another (write out the schema here)"],
    );
    refused(
        r#"{"type": "int"}"#,
        &["invalid_type: there is no such type (did you mean `integer`?)"],
    );
    refused(
        r#"{"type": ["string", null]}"#,
        &[
            "invalid_type: there is no such type (string, integer, number, boolean, array or object; or one of them with null, as `[string, \"null\"]`)",
        ],
    );
    refused(
        r#"{"type": ["string", "integer"]}"#,
        &[
            "invalid_type: there is no such type (string, integer, number, boolean, array or object; or one of them with null, as `[string, \"null\"]`)",
        ],
    );
    refused(
        r#"{"type": "null"}"#,
        &[
            "invalid_type: there is no such type (string, integer, number, boolean, array or object; or one of them with null, as `[string, \"null\"]`)",
        ],
    );
    refused(
        r#"{"type": "array", "items": {"type": "string", "default": "a"}}"#,
        &[
            "unknown_keyword: `default` can't stand here (it belongs to the parameter itself, not to a part of its type)",
        ],
    );
    for keyword in ["anyOf", "patternProperties", "not", "if", "$schema", "contains"] {
        assert!(read(&format!(r#"{{"type": "object", "{keyword}": true}}"#)).0.is_none());
    }
}

#[test]
fn keywords_go_with_their_types_and_have_sane_values() {
    refused(
        r#"{"type": "integer", "minLength": 1}"#,
        &["keyword_type: `minLength` doesn't go with the type integer (it is for string)"],
    );
    refused(
        r#"{"type": "array", "items": {"minimum": 1}}"#,
        &["keyword_type: `minimum` needs a type beside it (add `type: integer`)"],
    );
    refused(
        r#"{"type": "integer", "minimum": "1"}"#,
        &["invalid_keyword: the keyword asks for a number"],
    );
    refused(
        r#"{"type": "integer", "multipleOf": 0}"#,
        &["invalid_keyword: the keyword asks for a number above 0"],
    );
    refused(
        r#"{"type": "array", "minItems": -1}"#,
        &["invalid_keyword: the keyword asks for an integer of at least 0"],
    );
    refused(
        r#"{"type": "array", "uniqueItems": "yes"}"#,
        &["invalid_keyword: the keyword asks for true or false"],
    );
    refused(
        r#"{"type": "string", "contentEncoding": "base32"}"#,
        &["invalid_keyword: the keyword asks for `base64`"],
    );
    refused(
        r#"{"type": "string", "contentEncoding": "base64", "pattern": "^a$"}"#,
        &[
            "keyword_type: `pattern` doesn't go with `contentEncoding` (the value is bytes, not text)",
        ],
    );
    refused(
        r#"{"type": "array", "minItems": 3, "maxItems": 2}"#,
        &["contradiction: `maxItems` is below `minItems`: nothing fits"],
    );
    refused(
        r#"{"type": "object", "properties": {"image": {"type": "string"}}, "required": ["imgae"]}"#,
        &[
            "unknown_property: a required property isn't declared under `properties` (did you mean `image`?)",
        ],
    );
    refused(r#"{"type": "string", "title": 3}"#, &["invalid_keyword: the keyword asks for text"]);
    refused(
        r#"{"type": "array", "items": true}"#,
        &["invalid_keyword: not a schema (a schema is a mapping, such as `{ type: string }`)"],
    );
}

#[test]
fn formats_and_patterns_are_known_at_load() {
    let (_, problems) = read(r#"{"type": "string", "format": "datetime"}"#);
    assert_eq!(problems.list[0].code, "unknown_format");
    assert!(problems.list[0].help.as_ref().unwrap().starts_with("did you mean `date-time`?"));
    for pattern in ["^(a$", "^(?=a)$", r"^(a)\\1$"] {
        let (schema, problems) = read(&format!(r#"{{"type": "string", "pattern": "{pattern}"}}"#));
        assert!(schema.is_none(), "{pattern}");
        assert_eq!(problems.list[0].code, "invalid_pattern", "{pattern}");
    }
    for (pattern, warns) in [
        ("^[a-z_]+$", false),
        ("^(a|b)$", false),
        ("^[|]$", false),
        ("^a|b$", true),
        ("^a", true),
        ("a$", true),
        (r"^a\\$", true),
    ] {
        let (schema, problems) = read(&format!(r#"{{"type": "string", "pattern": "{pattern}"}}"#));
        assert!(schema.is_some(), "{pattern}");
        assert_eq!(!problems.list.is_empty(), warns, "{pattern}");
        assert!(problems.list.iter().all(|problem| problem.severity == Severity::Warning));
    }
}

#[test]
fn literals_of_a_schema_are_of_its_type_and_not_quoted() {
    for text in [
        r#"{"type": "integer", "enum": [1, "hunter2"]}"#,
        r#"{"type": "integer", "const": "hunter2"}"#,
        r#"{"type": "integer", "examples": [1, "hunter2"]}"#,
        r#"{"type": "integer", "enum": [1.0]}"#,
        r#"{"type": "string", "contentEncoding": "base64", "enum": ["hunter2!"]}"#,
    ] {
        let (schema, problems) = read(text);
        assert!(schema.is_none(), "{text}");
        assert_eq!(problems.list[0].code, "literal_type", "{text}");
        assert!(!format!("{problems:?}").contains("hunter2"));
    }
    refused(
        r#"{"type": "string", "enum": []}"#,
        &["invalid_keyword: `enum` is a list of at least one value"],
    );
    refused(
        r#"{"type": "string", "enum": ["a", "a"]}"#,
        &["invalid_keyword: the value stands here twice"],
    );
    assert!(schema(r#"{"type": "integer", "examples": [1], "enum": [1, 2]}"#).has_enum());
}

#[test]
fn depth_ends_at_sixteen() {
    let nested = |levels: usize| {
        (1..levels).fold(r#"{"type": "string"}"#.to_owned(), |inner, _| {
            format!(r#"{{"type": "array", "items": {inner}}}"#)
        })
    };
    // Sixteen levels of values are the limit of JSON too, so only what fits is built.
    assert!(read(&nested(15)).0.is_some());
}

#[test]
fn a_schema_too_deep_is_refused() {
    let mut inner = Value::Map([("type".to_owned(), Value::String("string".into()))].into());
    for _ in 0..20 {
        inner = Value::Map(
            [("type".to_owned(), Value::String("array".into())), ("items".to_owned(), inner)]
                .into(),
        );
    }
    let NodeKind::Mapping(entries) = node(&inner).kind else { panic!() };
    let mut problems = Problems::default();
    assert!(Schema::read(&entries.iter().collect::<Vec<_>>(), &place(), &mut problems).is_none());
    assert_eq!(problems.list[0].code, "too_deep");
}
