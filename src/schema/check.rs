//! Whether a value fits: our own type check, then the schema.

use std::collections::BTreeSet;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind as Broken;

use super::shape::{Kind, ObjectShape, Shape};
use super::{Violation, ViolationKind, formats, words};
use crate::name::nearest;
use crate::value::{Value, json};

/// The most violations that are told of one value.
const MAX_VIOLATIONS: usize = 100;

/// Tells everything that is wrong with a value.
pub(super) fn check(
    shape: &Shape,
    validator: &Validator,
    value: &Value,
) -> Result<(), Vec<Violation>> {
    within_limits(value)?;
    let mut walk = Walk::default();
    walk.visit(shape, value, "");
    let json = json::to_serde(value);
    if !validator.is_valid(&json) {
        for error in validator.iter_errors(&json).take(MAX_VIOLATIONS) {
            walk.take(error.instance_path().as_str(), error.kind());
        }
    }
    walk.found.truncate(MAX_VIOLATIONS);
    if walk.found.is_empty() { Ok(()) } else { Err(walk.found) }
}

fn within_limits(value: &Value) -> Result<(), Vec<Violation>> {
    value.check_limits().map_err(|limit| {
        let told = limit.to_string().replace("has more than", "at most");
        vec![violation("", ViolationKind::Schema, told, "limit")]
    })
}

/// A pointer one step further down.
pub(super) fn below(pointer: &str, step: &str) -> String {
    format!("{pointer}/{}", step.replace('~', "~0").replace('/', "~1"))
}

/// What the type of a place asks for.
pub(super) fn expected(shape: &Shape) -> String {
    let words = match shape.kind {
        Kind::Unknown => return "a JSON value".to_owned(),
        Kind::Boolean => "true or false (a boolean)",
        Kind::Integer => "an integer",
        Kind::Number => "a number",
        Kind::String => "text (a string)",
        Kind::Bytes => "bytes (base64 where it is text)",
        Kind::Array(_) => "an array",
        Kind::Object(_) => "an object",
    };
    if shape.nullable { format!("{words} or null") } else { words.to_owned() }
}

fn violation(
    pointer: &str,
    kind: ViolationKind,
    expected: String,
    keyword: &'static str,
) -> Violation {
    Violation { pointer: pointer.to_owned(), kind, expected, keyword }
}

#[derive(Default)]
struct Walk {
    found: Vec<Violation>,
    /// Places of a wrong type: what the schema says of them is no news.
    wrong: BTreeSet<String>,
}

impl Walk {
    fn visit(&mut self, shape: &Shape, value: &Value, pointer: &str) {
        if self.found.len() >= MAX_VIOLATIONS {
            return;
        }
        match (&shape.kind, value) {
            (_, Value::Null) if shape.nullable => {}
            (Kind::Unknown, value) if !holds_bytes(value) => {}
            (Kind::Boolean, Value::Bool(_))
            | (Kind::Integer, Value::Integer(_))
            | (Kind::Number, Value::Integer(_))
            | (Kind::String, Value::String(_))
            | (Kind::Bytes, Value::Bytes(_)) => {}
            (Kind::Number, Value::Number(number)) if number.is_finite() => {}
            (Kind::Array(item), Value::List(values)) => {
                for (index, value) in values.iter().enumerate() {
                    self.visit(item, value, &below(pointer, &index.to_string()));
                }
            }
            (Kind::Object(object), Value::Map(_)) => self.object(object, value, pointer),
            _ => {
                self.found.push(violation(pointer, ViolationKind::Type, expected(shape), "type"));
                self.wrong.insert(pointer.to_owned());
            }
        }
    }

    fn object(&mut self, object: &ObjectShape, value: &Value, pointer: &str) {
        let Value::Map(fields) = value else { return };
        for (name, value) in fields {
            match object.properties.get(name).or(object.additional.as_deref()) {
                Some(shape) => self.visit(shape, value, &below(pointer, name)),
                None => self.unknown(object, name, pointer),
            }
        }
        for name in object.required.iter().filter(|name| !fields.contains_key(*name)) {
            let told = format!("the property `{name}`");
            self.found.push(violation(pointer, ViolationKind::Schema, told, "required"));
        }
    }

    /// An undeclared name could be a misplaced password: only one that looks
    /// like a name is told, and only in the pointer.
    fn unknown(&mut self, object: &ObjectShape, name: &str, pointer: &str) {
        let declared = || object.properties.keys().map(String::as_str);
        let meant = match nearest(name, declared()) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => ";".to_owned(),
        };
        let known = match object.properties.is_empty() {
            true => "none is declared".to_owned(),
            false => format!("declared are {}", words::names(declared())),
        };
        let told = format!("no property of this name{meant} {known}");
        let at = if is_name(name) { below(pointer, name) } else { pointer.to_owned() };
        self.found.push(violation(
            &at,
            ViolationKind::UnknownProperty,
            told,
            "additionalProperties",
        ));
    }

    /// Takes what the validator found, in our own words; types and properties
    /// are told already.
    fn take(&mut self, pointer: &str, broken: &Broken) {
        let Some((keyword, expected)) = told(broken) else { return };
        let known = self.wrong.iter().any(|wrong| {
            pointer
                .strip_prefix(wrong.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if !known {
            self.found.push(violation(pointer, ViolationKind::Schema, expected, keyword));
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn holds_bytes(value: &Value) -> bool {
    match value {
        Value::Bytes(_) => true,
        Value::List(items) => items.iter().any(holds_bytes),
        Value::Map(fields) => fields.values().any(holds_bytes),
        _ => false,
    }
}

/// The keyword that is broken and what it asks for, from the schema alone.
fn told(broken: &Broken) -> Option<(&'static str, String)> {
    Some(match broken {
        Broken::Type { .. } | Broken::Required { .. } => return None,
        Broken::AdditionalProperties { .. } | Broken::FalseSchema => return None,
        Broken::Enum { options } => {
            ("enum", options.as_array().map_or_else(String::new, |list| words::one_of(list)))
        }
        Broken::Constant { expected_value } => {
            ("const", format!("exactly {}", words::quoted(expected_value)))
        }
        Broken::Minimum { limit } => ("minimum", format!("at least {limit}")),
        Broken::Maximum { limit } => ("maximum", format!("at most {limit}")),
        Broken::ExclusiveMinimum { limit } => ("exclusiveMinimum", format!("more than {limit}")),
        Broken::ExclusiveMaximum { limit } => ("exclusiveMaximum", format!("less than {limit}")),
        Broken::MultipleOf { multiple_of } => {
            ("multipleOf", format!("a multiple of {multiple_of}"))
        }
        Broken::MinLength { limit } => {
            ("minLength", format!("at least {}", words::counted(*limit, "character")))
        }
        Broken::MaxLength { limit } => {
            ("maxLength", format!("at most {}", words::counted(*limit, "character")))
        }
        Broken::MinItems { limit } => {
            ("minItems", format!("at least {}", words::counted(*limit, "item")))
        }
        Broken::MaxItems { limit } => {
            ("maxItems", format!("at most {}", words::counted(*limit, "item")))
        }
        Broken::UniqueItems => ("uniqueItems", "no item twice".to_owned()),
        Broken::Pattern { pattern } => {
            ("pattern", format!("text that matches {}", words::quoted(&pattern.as_str().into())))
        }
        Broken::Format { format } => ("format", formats::words(format).to_owned()),
        _ => ("schema", "a value that fits the declared schema".to_owned()),
    })
}
