//! Ranges and expectations, for people.

use serde_json::Value as Json;

const MAX_LISTED: usize = 10;
const MAX_WORD: usize = 60;

/// The items of `enum` for a message: "one of `adam`, `sgd`".
pub(super) fn one_of(options: &[Json]) -> String {
    format!("one of {}", listed(options, "`"))
}

/// A value of the schema for a message, in backticks and not too long.
pub(super) fn quoted(json: &Json) -> String {
    format!("`{}`", word(json))
}

/// Names for a message: "`image`, `properties`".
pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<Json> = names.map(Json::from).collect();
    listed(&names, "`")
}

/// What values a schema takes, such as `1 to 500`.
pub(super) fn range(schema: &Json) -> Option<String> {
    let of = |keyword| schema.get(keyword);
    let mut parts = Vec::new();
    if let Some(options) = of("enum").and_then(Json::as_array) {
        parts.push(format!("one of {}", listed(options, "")));
    }
    if let Some(value) = of("const") {
        parts.push(format!("always {}", word(value)));
    }
    parts.extend(span(of("minimum"), of("maximum"), ""));
    parts.extend(of("exclusiveMinimum").map(|limit| format!("more than {limit}")));
    parts.extend(of("exclusiveMaximum").map(|limit| format!("less than {limit}")));
    parts.extend(of("multipleOf").map(|factor| format!("a multiple of {factor}")));
    parts.extend(span(of("minLength"), of("maxLength"), " characters"));
    parts.extend(span(of("minItems"), of("maxItems"), " items"));
    if of("uniqueItems") == Some(&Json::Bool(true)) {
        parts.push("no item twice".to_owned());
    }
    parts.extend(of("pattern").and_then(Json::as_str).map(cut));
    parts.extend(of("format").and_then(Json::as_str).map(str::to_owned));
    if let Some(items) = of("items").and_then(range) {
        parts.push(format!("each {items}"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn span(least: Option<&Json>, most: Option<&Json>, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (None, None) => None,
    }
}

fn listed(options: &[Json], mark: &str) -> String {
    let mut words: Vec<String> = options
        .iter()
        .take(MAX_LISTED)
        .map(|option| format!("{mark}{}{mark}", word(option)))
        .collect();
    if options.len() > MAX_LISTED {
        words.push(format!("and {} more", options.len() - MAX_LISTED));
    }
    words.join(", ")
}

fn word(json: &Json) -> String {
    match json {
        Json::String(text) => cut(text),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_WORD).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// "1 item", "2 items".
pub(super) fn counted(count: u64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
