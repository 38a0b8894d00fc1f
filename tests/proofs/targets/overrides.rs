//! What a caller passes: of the declared type or refused, and never repeated.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use paramd::plan::Plan;
use paramd::refusal::Violation;
use paramd::resolve::submission::{Overrides, read_overrides, submit};
use paramd::schema::Type;
use paramd::value::{Value, json};

use super::{MARK, Target, holds, world};
use crate::cases::Outcome;

const WORDS: &[&str] = &[
    "{\"host\":",
    "\"Zq!hunter2\"",
    "null",
    "true",
    "no",
    "1e3",
    "0x10",
    "01",
    "1.0",
    "-0",
    "9223372036854775808",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\\u0000",
    "\\ud800",
    "text=",
    "n=",
    "x=",
    "flag=",
    "numbers=",
    "db=",
    "may=",
    "bytes=",
    "day=",
    "at=",
    "id=",
    "list=",
    "\n",
    "=",
];

pub(super) const TYPED: Target =
    Target { name: "overrides_typed", seeds: typed_seeds, words: WORDS, run: typed };
pub(super) const TEXT: Target =
    Target { name: "overrides_text", seeds: text_seeds, words: WORDS, run: text };

fn typed_seeds() -> Vec<Vec<u8>> {
    let all = include_str!("seeds/typed.txt").split("\n\n");
    all.map(|one| one.as_bytes().to_vec()).collect()
}

fn text_seeds() -> Vec<Vec<u8>> {
    include_str!("seeds/overrides.txt").split("\n\n").map(|one| one.as_bytes().to_vec()).collect()
}

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| world::plan(include_str!("seeds/types.yaml")));

/// Lines of names and values; those that are none are passed over.
fn typed(bytes: &[u8]) -> Outcome {
    let lines = String::from_utf8_lossy(bytes);
    let fields: BTreeMap<String, Value> = lines
        .split('\n')
        .filter_map(|line| line.split_once('='))
        .filter_map(|(name, text)| Some((name.to_owned(), json::from_json(text.as_bytes()).ok()?)))
        .collect();
    let typed = fields.iter().map(|(name, value)| (name.clone(), Ok(value.clone()))).collect();
    let values = taken(Overrides { typed, ..Overrides::default() })?;
    for (name, value) in &values {
        let schema = &PLAN.common.interface.parameters[name.as_str()].schema;
        // An alias may have been used; then there is no value of the name.
        let sent = fields.get(name);
        let same = sent
            .is_none_or(|sent| sent == value || schema.adopt(sent.clone()).as_ref() == Ok(value));
        holds(same, format!("`{name}` isn't what was sent"))?;
    }
    Ok(1)
}

/// Lines of names and texts.
fn text(bytes: &[u8]) -> Outcome {
    let Ok(lines) = std::str::from_utf8(bytes) else { return Ok(1) };
    let text: BTreeMap<String, String> = lines
        .split('\n')
        .filter_map(|line| line.split_once('='))
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    let values = taken(Overrides { text, ..Overrides::default() })?;
    for (name, value) in &values {
        let schema = &PLAN.common.interface.parameters[name.as_str()].schema;
        let written = match value {
            Value::String(text) => text.clone(),
            // In text, null of a text is the text, and bytes are base64.
            Value::Null | Value::Bytes(_) => continue,
            other => json::to_json(other),
        };
        let again = schema.parse_text(&written);
        holds(again.as_ref() == Ok(value), format!("`{name}` from its own text is another value"))?;
    }
    Ok(1)
}

/// What is taken of a request: every value fits its declaration, and nothing
/// that is told repeats one.
fn taken(overrides: Overrides) -> Result<BTreeMap<String, Value>, String> {
    let mut violations = Vec::new();
    let read = read_overrides(&PLAN.common.interface, overrides, &mut violations);
    let submission = submit(&PLAN, "", read, &mut violations);
    violations.iter().try_for_each(quiet)?;
    let mut values = BTreeMap::new();
    for (name, value) in submission.overrides {
        let parameter = &PLAN.common.interface.parameters[name.as_str()];
        holds(parameter.schema.check(&value).is_ok(), format!("`{name}` breaks its schema"))?;
        holds(!parameter.secret, format!("the secret `{name}` was taken in the open"))?;
        let declared = parameter.schema.declared();
        let whole = matches!(value, Value::Integer(_)) || !matches!(declared, Type::Integer);
        holds(whole, format!("`{name}` isn't an integer"))?;
        values.insert(name.to_string(), value);
    }
    Ok(values)
}

fn quiet(violation: &Violation) -> Result<(), String> {
    let told = format!("{} {}", violation.field, violation.description);
    holds(!told.contains(MARK), format!("a problem repeats a value: {told}"))
}
