//! The parameters that a pipeline declares, read from the daemon's JSON Schema.

use serde_json::{Map, Value};

use crate::cli::error::CliError;
use crate::cli::exit::Exit;

/// What a client needs to know of a declared parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    /// The name.
    pub(crate) name: String,
    /// Its other names.
    pub(crate) aliases: Vec<String>,
    /// Whether it is secret.
    pub(crate) secret: bool,
    /// Whether a run may bind it.
    pub(crate) bindable: bool,
    /// Whether a run has to bind it.
    pub(crate) required: bool,
    /// The group it is shown in; empty: none.
    pub(crate) group: String,
    /// The type, such as `integer` or `array of string`.
    pub(crate) kind: String,
    /// What a value must keep to, such as `1 to 500`; empty: nothing.
    pub(crate) range: String,
    /// The default as text; none: there is none.
    pub(crate) default: Option<String>,
    /// What it is for; may be empty.
    pub(crate) description: String,
    /// Why it shouldn't be used any more; none: it may.
    pub(crate) deprecated: Option<String>,
}

impl Declared {
    /// Whether its values are bytes, written as base64.
    pub(crate) fn is_base64(&self) -> bool {
        matches!(self.kind.as_str(), "base64" | "base64 or null")
    }
}

/// Reads the schema of `GetPipeline`.
///
/// # Errors
/// It isn't a schema of parameters.
pub(crate) fn read(text: &str) -> Result<Vec<Declared>, CliError> {
    let unreadable = || CliError::new(Exit::Failed, "the pipeline's schema can't be read");
    let schema: Value = serde_json::from_str(text).map_err(|_| unreadable())?;
    let properties = schema.get("properties").and_then(Value::as_object).ok_or_else(unreadable)?;
    let required: Vec<&str> = texts(schema.get("required"));
    Ok(properties
        .iter()
        .filter_map(|(name, one)| Some((name, one.as_object()?)))
        .map(|(name, one)| declared(name, one, required.contains(&name.as_str())))
        .collect())
}

fn declared(name: &str, one: &Map<String, Value>, required: bool) -> Declared {
    let word = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mark = |key: &str| one.get(key).and_then(Value::as_bool).unwrap_or_default();
    let secret = mark("secret") || mark("writeOnly");
    let bound = word("override");
    Declared {
        name: name.to_owned(),
        aliases: texts(one.get("aliases")).into_iter().map(str::to_owned).collect(),
        secret,
        bindable: if bound.is_empty() { !secret } else { bound == "run" },
        required,
        group: word("group"),
        kind: kind(one),
        range: range(one),
        default: one.get("default").map(shown),
        description: word("description"),
        deprecated: match one.get("deprecated") {
            Some(Value::String(why)) => Some(why.clone()),
            Some(Value::Bool(true)) => Some(String::new()),
            _ => None,
        },
    }
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).collect()
}

/// A value as it would be given to a flag.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The same, but the empty text can be seen.
fn shown(value: &Value) -> String {
    match text(value) {
        empty if empty.is_empty() => "\"\"".to_owned(),
        text => text,
    }
}

fn kind(one: &Map<String, Value>) -> String {
    let mut names = match one.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        other => texts(other),
    };
    let nullable = names.len() > 1 && names.contains(&"null");
    names.retain(|name| !nullable || *name != "null");
    let mut kind = names.join(" or ");
    if one.get("contentEncoding").is_some() {
        "base64".clone_into(&mut kind);
    }
    if let Some(items) = one.get("items").and_then(Value::as_object) {
        kind = format!("{kind} of {}", self::kind(items));
    }
    if nullable { format!("{kind} or null") } else { kind }
}

/// The constraints in words.
fn range(one: &Map<String, Value>) -> String {
    let mut parts = Vec::new();
    if let Some(choices) = one.get("enum").and_then(Value::as_array) {
        parts.push(choices.iter().map(text).collect::<Vec<_>>().join(" | "));
    }
    let bound = |key: &str| one.get(key).map(text);
    if let Some(only) = bound("const") {
        parts.push(format!("only {only}"));
    }
    parts.extend(bound("exclusiveMinimum").map(|limit| format!("over {limit}")));
    parts.extend(between(bound("minimum"), bound("maximum"), ""));
    parts.extend(bound("exclusiveMaximum").map(|limit| format!("under {limit}")));
    parts.extend(bound("multipleOf").map(|step| format!("a multiple of {step}")));
    parts.extend(between(bound("minLength"), bound("maxLength"), " character"));
    parts.extend(between(bound("minItems"), bound("maxItems"), " item"));
    if one.get("uniqueItems").and_then(Value::as_bool) == Some(true) {
        parts.push("no item twice".to_owned());
    }
    parts.extend(bound("pattern"));
    parts.extend(bound("format"));
    if let Some(items) = one.get("items").and_then(Value::as_object) {
        let inner = range(items);
        parts.extend((!inner.is_empty()).then(|| format!("each {inner}")));
    }
    parts.join(", ")
}

/// The unit is given in the singular; empty: there is none.
fn between(low: Option<String>, high: Option<String>, unit: &str) -> Option<String> {
    let many = |count: &str| match (unit, count) {
        ("", _) | (_, "1") => unit.to_owned(),
        _ => format!("{unit}s"),
    };
    match (low, high) {
        (Some(low), Some(high)) => Some(format!("{low} to {high}{}", many(&high))),
        (Some(low), None) => Some(format!("at least {low}{}", many(&low))),
        (None, Some(high)) => Some(format!("at most {high}{}", many(&high))),
        (None, None) => None,
    }
}
