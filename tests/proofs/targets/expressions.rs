//! Templates and conditions: any text compiles or is refused, and what compiles
//! gives a value of its type, or an error that repeats nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use paramd::expression::{CompileError, Condition, Expression, Names, RunScope, Scope, Template};
use paramd::name::{MatrixName, ParameterName};
use paramd::schema::{ObjectType, Type};
use paramd::value::{MAX_VALUE_BYTES, Value};

use super::{MARK, Target, holds, untold};
use crate::cases::Outcome;

const WORDS: &[&str] = &[
    "params.text",
    "params.n",
    "params.x",
    "params.flag",
    "params.texts",
    "params.numbers",
    "params.db",
    ".host",
    ".port",
    "params.may",
    "params.key",
    "params.bytes",
    "params.any",
    "params.nested",
    "environment",
    "pipeline",
    "run.id",
    "run.attempt",
    "run.started_at",
    "run.logical_date",
    "matrix.item",
    "[0]",
    "[-1]",
    "['host']",
    " if ",
    " else ",
    " and ",
    " or ",
    "not ",
    " in ",
    " is none",
    " is not none",
    " ~ ",
    " + ",
    " - ",
    " * ",
    " / ",
    " // ",
    " % ",
    " == ",
    " != ",
    " < ",
    " | lower",
    " | upper",
    " | trim",
    " | replace('a', 'b')",
    " | split(',')",
    " | join(',')",
    " | length",
    " | first",
    " | last",
    " | sort",
    " | unique",
    " | default('x')",
    " | urlencode",
    " | json",
    " | b64",
    " | basename",
    " | date_add(days=1)",
    " | date_format('%Y')",
    " | flag('--x')",
    "'Zq!hunter2'",
    "9223372036854775807",
    "-1",
    "0x1f",
    "1.5",
    "1e308",
    "true",
    "none",
    "[",
    "]",
    "(",
    ")",
    "{{ ",
    " }}",
    "{%",
    "{#",
    "{{-",
    "'",
    "\\u00e4",
    ",",
];

pub(super) const TEMPLATES: Target =
    Target { name: "templates", seeds: template_seeds, words: WORDS, run: templates };
pub(super) const CONDITIONS: Target =
    Target { name: "conditions", seeds: condition_seeds, words: WORDS, run: conditions };

fn template_seeds() -> Vec<Vec<u8>> {
    lines(include_str!("seeds/templates.txt"))
}

fn condition_seeds() -> Vec<Vec<u8>> {
    lines(include_str!("seeds/conditions.txt"))
}

pub(super) fn lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

fn types() -> BTreeMap<&'static str, Type> {
    let list = |of: Type| Type::Array(Box::new(of));
    let properties =
        [("host".to_owned(), (Type::String, true)), ("port".to_owned(), (Type::Integer, false))];
    let object = ObjectType { properties: properties.into(), additional: None };
    let open = ObjectType { properties: BTreeMap::new(), additional: Some(Type::Integer) };
    BTreeMap::from([
        ("text", Type::String),
        ("n", Type::Integer),
        ("x", Type::Number),
        ("flag", Type::Boolean),
        ("texts", list(Type::String)),
        ("numbers", list(Type::Integer)),
        ("nested", list(list(Type::Number))),
        ("db", Type::Object(Arc::new(object))),
        ("sizes", Type::Object(Arc::new(open))),
        ("may", Type::Nullable(Box::new(Type::String))),
        ("key", Type::String),
        ("bytes", Type::Bytes),
        ("any", Type::Unknown),
    ])
}

struct World {
    types: BTreeMap<&'static str, Type>,
    item: Type,
    values: BTreeMap<ParameterName, Value>,
    matrix: Value,
    run: RunScope,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let text = |text: &str| Value::String(text.to_owned());
    let values = [
        ("text", text("Some text, 2024-02-29")),
        ("n", Value::Integer(i64::MAX)),
        ("x", Value::Number(-0.5)),
        ("flag", Value::Bool(true)),
        ("texts", Value::List(vec![text("b"), text(MARK), text("a")])),
        ("numbers", Value::List(vec![Value::Integer(3), Value::Integer(-1)])),
        ("nested", Value::List(vec![Value::List(Vec::new())])),
        ("db", Value::Map([("host".to_owned(), text(MARK))].into())),
        ("sizes", Value::Map([("dev".to_owned(), Value::Integer(1))].into())),
        ("may", Value::Null),
        ("key", text(MARK)),
        ("bytes", Value::Bytes(vec![0, 255])),
        ("any", Value::List(vec![text(MARK), Value::Integer(1)])),
    ];
    World {
        types: types(),
        item: Type::String,
        values: values.map(|(name, one)| (ParameterName::parse(name).unwrap(), one)).into(),
        matrix: text("item"),
        run: RunScope {
            id: "r".to_owned(),
            attempt: 1,
            started_at: "2026-01-02T03:04:05Z".to_owned(),
            logical_date: None,
        },
    }
});

impl Names for World {
    fn parameter(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    fn parameters(&self) -> Vec<&str> {
        self.types.keys().copied().collect()
    }

    fn matrix(&self, name: &str) -> Option<&Type> {
        (name == "item").then_some(&self.item)
    }
}

impl Scope for World {
    fn parameter(&self, name: &ParameterName) -> Option<&Value> {
        self.values.get(name)
    }

    fn matrix(&self, _name: &MatrixName) -> Option<&Value> {
        Some(&self.matrix)
    }

    fn environment(&self) -> &str {
        "dev"
    }

    fn pipeline(&self) -> &str {
        "train"
    }

    fn run(&self) -> Option<&RunScope> {
        Some(&self.run)
    }
}

fn templates(bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(1) };
    let template = match Template::compile(text, &*WORLD) {
        Ok(template) => template,
        Err(errors) => return refused(text, &errors),
    };
    holds(template.text() == text, "it isn't as it was written")?;
    match template.evaluate(&*WORLD) {
        Ok(value) => {
            holds(fits(template.result(), &value), "the value isn't of the type told at load")?;
            holds(value.bytes() <= MAX_VALUE_BYTES, "the value is over its limit")?;
            let again = template.evaluate(&*WORLD).is_ok_and(|again| again == value);
            holds(again, "the second time it gives another value")?;
        }
        Err(error) => {
            untold("an error", &error.to_string())?;
            holds(error.position <= text.len(), "an error's place is outside of the text")?;
        }
    }
    // As an address nothing of it leads elsewhere.
    let plain = |value: &Value| matches!(value, Value::String(text) if text == "dev");
    if let Ok(address) = template.evaluate_text(&*WORLD, plain) {
        let secret =
            template.constant().is_none() && address.contains(MARK) && !text.contains(MARK);
        holds(!secret, "a value that doesn't fit is in an address")?;
    }
    // What is an expression alone is one without its braces.
    if template.is_expression() {
        let inner = text.trim_start_matches("{{").trim_end_matches("}}");
        if let Ok(expression) = Expression::compile(inner, &*WORLD) {
            holds(expression.result() == template.result(), "without braces another type")?;
            let mut read = template.references().clone();
            read.merge(expression.references());
            holds(read == *template.references(), "without braces it reads more")?;
        }
    }
    Ok(1)
}

fn conditions(bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(1) };
    let condition = match Condition::compile(text, &*WORLD) {
        Ok(condition) => condition,
        Err(errors) => return refused(text, &errors),
    };
    match condition.evaluate(&*WORLD) {
        Ok((decided, notes)) => {
            let again = condition.evaluate(&*WORLD).map(|(again, _)| again);
            holds(again == Ok(decided), "the second time it decides otherwise")?;
            for name in notes.keys().filter_map(|name| name.strip_prefix("params.")) {
                let name = name.split(['.', '[']).next().unwrap_or("");
                let known =
                    condition.references().parameters.iter().any(|one| one.as_str() == name);
                holds(known, "it read what its references don't tell")?;
            }
        }
        Err(error) => untold("an error", &error.to_string())?,
    }
    Ok(1)
}

fn refused(text: &str, errors: &[CompileError]) -> Outcome {
    holds(!errors.is_empty(), "refused without a word")?;
    for error in errors {
        untold("a problem", &error.message)?;
        untold("a help", error.help.as_deref().unwrap_or(""))?;
        let span = &error.span;
        let inside = span.start <= span.end && span.end <= text.len();
        holds(inside, format!("a place is outside of the text: {span:?}"))?;
        let whole = text.is_char_boundary(span.start) && text.is_char_boundary(span.end);
        holds(whole, "a place is inside of a character")?;
    }
    Ok(1)
}

fn fits(of: &Type, value: &Value) -> bool {
    match (of, value) {
        (Type::Unknown, _) | (Type::Null | Type::Nullable(_), Value::Null) => true,
        (Type::Nullable(inner), value) => fits(inner, value),
        (Type::Boolean, Value::Bool(_))
        | (Type::Integer, Value::Integer(_))
        | (Type::Number, Value::Integer(_) | Value::Number(_))
        | (Type::String, Value::String(_))
        | (Type::Bytes, Value::Bytes(_)) => true,
        (Type::Array(of), Value::List(items)) => items.iter().all(|item| fits(of, item)),
        (Type::Object(of), Value::Map(fields)) => fields.iter().all(|(name, one)| {
            let declared = of.properties.get(name).map(|(declared, _)| declared);
            declared.or(of.additional.as_ref()).is_some_and(|declared| fits(declared, one))
        }),
        _ => false,
    }
}
