//! Which keyword goes with which type, and what a keyword's value may be.

use serde_json::Value as Json;

use super::formats;
use crate::value::{Value, json};
use crate::yaml::fields::MAX_PROSE;
use crate::yaml::{Node, NodeKind};

/// The keys of a parameter's declaration that aren't of its schema.
pub(super) const OWN_KEYS: [&str; 8] =
    ["default", "from", "secret", "override", "group", "aliases", "deprecated", "beside_secrets"];

/// The types that `type` may name.
pub(super) const TYPES: [&str; 6] = ["string", "integer", "number", "boolean", "array", "object"];

/// The types that a keyword is for; none: any.
pub(super) fn types_of(keyword: &str) -> Option<&'static [&'static str]> {
    match keyword {
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            Some(&["integer", "number"])
        }
        "minLength" | "maxLength" | "pattern" | "format" | "contentEncoding" => Some(&["string"]),
        "items" | "minItems" | "maxItems" | "uniqueItems" => Some(&["array"]),
        "properties" | "required" | "additionalProperties" => Some(&["object"]),
        _ => None,
    }
}

/// What is wrong with a keyword's value, and the way to mend it.
pub(super) struct Refused {
    /// The stable word.
    pub(super) code: &'static str,
    /// What is wrong.
    pub(super) message: String,
    /// What to do about it.
    pub(super) help: Option<String>,
}

fn refused(code: &'static str, message: impl Into<String>) -> Refused {
    Refused { code, message: message.into(), help: None }
}

/// Reads the value of a keyword that holds no schema and no value of the
/// declared type.
pub(super) fn simple(keyword: &str, node: &Node) -> Result<Json, Refused> {
    match keyword {
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => number(node),
        "multipleOf" => {
            let factor = number(node)?;
            let positive = factor.as_f64().is_some_and(|factor| factor > 0.0);
            if positive { Ok(factor) } else { Err(wrong_value("a number above 0")) }
        }
        "minLength" | "maxLength" | "minItems" | "maxItems" => count(node),
        "uniqueItems" => match scalar(node) {
            Some(Value::Bool(flag)) => Ok((*flag).into()),
            _ => Err(wrong_value("true or false")),
        },
        "pattern" => pattern(node),
        "format" => format(node),
        "contentEncoding" => match text(node) {
            Some("base64") => Ok("base64".into()),
            _ => Err(wrong_value("`base64`")),
        },
        _ => match text(node) {
            Some(text) if text.chars().count() > MAX_PROSE => {
                Err(wrong_value("text of at most 4,096 characters"))
            }
            text => text.map(Json::from).ok_or_else(|| wrong_value("text")),
        },
    }
}

fn wrong_value(expected: &str) -> Refused {
    refused("invalid_keyword", format!("the keyword asks for {expected}"))
}

fn number(node: &Node) -> Result<Json, Refused> {
    match scalar(node) {
        Some(number @ Value::Integer(_)) => Ok(json::to_serde(number)),
        Some(Value::Number(number)) if number.is_finite() => Ok((*number).into()),
        _ => Err(wrong_value("a number")),
    }
}

fn count(node: &Node) -> Result<Json, Refused> {
    match scalar(node) {
        Some(Value::Integer(count)) if *count >= 0 => Ok((*count).into()),
        _ => Err(wrong_value("an integer of at least 0")),
    }
}

fn pattern(node: &Node) -> Result<Json, Refused> {
    let pattern = text(node).ok_or_else(|| wrong_value("text"))?;
    if pattern.len() <= 1000 && formats::is_pattern(pattern) {
        return Ok(pattern.into());
    }
    Err(Refused {
        code: "invalid_pattern",
        message: "the pattern can't be used".to_owned(),
        help: Some(
            "patterns run in linear time: no look-around, no back-references; at most 1,000 \
             bytes, and 256 KiB once counted repetitions are multiplied out"
                .to_owned(),
        ),
    })
}

fn format(node: &Node) -> Result<Json, Refused> {
    let format = text(node).ok_or_else(|| wrong_value("text"))?;
    if formats::NAMES.contains(&format) {
        return Ok(format.into());
    }
    let known = format!("known are {}", super::words::names(formats::NAMES.into_iter()));
    let help = match crate::name::nearest(format, formats::NAMES) {
        Some(meant) => format!("did you mean `{meant}`? {known}"),
        None => known,
    };
    Err(Refused {
        code: "unknown_format",
        message: "there is no such format".to_owned(),
        help: Some(help),
    })
}

/// The scalar of a node.
pub(super) fn scalar(node: &Node) -> Option<&Value> {
    match &node.kind {
        NodeKind::Scalar(scalar) => Some(&scalar.value),
        _ => None,
    }
}

/// The text of a node.
pub(super) fn text(node: &Node) -> Option<&str> {
    match scalar(node) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// A node as a value.
pub(super) fn value(node: &Node) -> Value {
    match &node.kind {
        NodeKind::Scalar(scalar) => scalar.value.clone(),
        NodeKind::Sequence(items) => Value::List(items.iter().map(value).collect()),
        NodeKind::Mapping(entries) => Value::Map(
            entries.iter().map(|entry| (entry.key.value.clone(), value(&entry.value))).collect(),
        ),
    }
}
