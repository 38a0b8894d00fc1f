//! What filters do.
//!
//! Each counts what it is about to build before it builds it.

use std::borrow::Cow;
use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::EvaluationError;
use super::super::date::{self, Amount};
use super::super::evaluate::{Evaluation, fail};
use super::Filter;
use crate::value::{MAX_ITEMS, Value, json};

/// What `urlencode` doesn't leave as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const UNEXPECTED: &str = "the value isn't of its declared type";

/// One call of a filter: what it gets, and where it stands.
pub(in super::super) struct Call<'v> {
    /// Which.
    pub(in super::super) filter: Filter,
    /// Its input, never null but for `default`.
    pub(in super::super) input: Cow<'v, Value>,
    /// Its arguments.
    pub(in super::super) arguments: Vec<Cow<'v, Value>>,
    /// Where it stands in the text.
    pub(in super::super) at: usize,
}

/// Calls a filter.
pub(in super::super) fn apply<'v>(
    evaluation: &mut Evaluation<'_>,
    call: Call<'v>,
) -> Result<Cow<'v, Value>, EvaluationError> {
    let Call { filter, input, arguments, at } = call;
    evaluation.spend_value(&input, at)?;
    let argument = |index: usize| match arguments.get(index).map(Cow::as_ref) {
        Some(Value::String(text)) => text.as_str(),
        _ => "",
    };
    let text = match (filter, input.as_ref()) {
        (Filter::First | Filter::Last, Value::List(_)) => return end(filter, input, at),
        (Filter::Sort, Value::List(_)) => return sorted(evaluation, input, at),
        (Filter::Unique, Value::List(items)) => {
            return unique(evaluation, items, at).map(Cow::Owned);
        }
        (Filter::Split, Value::String(text)) => {
            return split(evaluation, text, arguments.first().map(|_| argument(0)), at)
                .map(Cow::Owned);
        }
        (Filter::Flag, Value::List(items)) => {
            return flag(evaluation, items, argument(0), at).map(Cow::Owned);
        }
        (Filter::Length, value) => return length(value, at).map(Cow::Owned),
        (Filter::Lower, Value::String(text)) => text.to_lowercase(),
        (Filter::Upper, Value::String(text)) => text.to_uppercase(),
        (Filter::Trim, Value::String(text)) => text.trim().to_owned(),
        (Filter::Basename, Value::String(text)) => basename(text).to_owned(),
        (Filter::Replace, Value::String(text)) => {
            replace(evaluation, text, argument(0), argument(1), at)?
        }
        (Filter::Join, Value::List(items)) => join(evaluation, items, argument(0), at)?,
        (Filter::Urlencode, value) => {
            let text = value.text().ok_or_else(|| fail(at, UNEXPECTED))?;
            utf8_percent_encode(&text, ENCODED).to_string()
        }
        (Filter::Json, value) => json::to_json(value),
        (Filter::B64, Value::String(text)) => STANDARD.encode(text),
        (Filter::B64, Value::Bytes(bytes)) => STANDARD.encode(bytes),
        (Filter::DateAdd, Value::String(text)) => {
            date::add(text, amount(&arguments)).map_err(|message| fail(at, message))?
        }
        (Filter::DateFormat, Value::String(text)) => {
            evaluation.spend(argument(0).len() * 4, at)?;
            date::format(text, argument(0)).map_err(|message| fail(at, message))?
        }
        _ => return Err(fail(at, UNEXPECTED)),
    };
    evaluation.built(text, at).map(Cow::Owned)
}

fn end(
    filter: Filter,
    input: Cow<'_, Value>,
    at: usize,
) -> Result<Cow<'_, Value>, EvaluationError> {
    let empty = || fail(at, format!("`{}` of an empty array", filter.name()));
    let first = filter == Filter::First;
    match input {
        Cow::Borrowed(Value::List(items)) => {
            let item = if first { items.first() } else { items.last() };
            item.map(Cow::Borrowed).ok_or_else(empty)
        }
        Cow::Owned(Value::List(items)) => {
            let mut items = items.into_iter();
            let item = if first { items.next() } else { items.next_back() };
            item.map(Cow::Owned).ok_or_else(empty)
        }
        _ => Err(fail(at, UNEXPECTED)),
    }
}

fn sorted<'v>(
    evaluation: &mut Evaluation<'_>,
    input: Cow<'v, Value>,
    at: usize,
) -> Result<Cow<'v, Value>, EvaluationError> {
    for _ in 0..8 {
        evaluation.spend_value(&input, at)?;
    }
    match input.into_owned() {
        Value::List(mut items) => {
            items.sort_by(order);
            Ok(Cow::Owned(Value::List(items)))
        }
        _ => Err(fail(at, UNEXPECTED)),
    }
}

fn order(left: &Value, right: &Value) -> Ordering {
    rank(left).cmp(&rank(right)).then_with(|| left.order(right).unwrap_or(Ordering::Equal))
}

/// Keeps the order total, whatever is in an array.
fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Integer(_) | Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Bytes(_) => 4,
        Value::List(_) => 5,
        Value::Map(_) => 6,
    }
}

/// Keeps the first of what means the same, in the order that they had.
fn unique(
    evaluation: &mut Evaluation<'_>,
    items: &[Value],
    at: usize,
) -> Result<Value, EvaluationError> {
    for item in items {
        for _ in 0..8 {
            evaluation.spend_value(item, at)?;
        }
    }
    let mut indexed: Vec<(usize, &Value)> = items.iter().enumerate().collect();
    indexed.sort_by(|(_, left), (_, right)| order(left, right));
    indexed.dedup_by(|(_, later), (_, kept)| order(later, kept) == Ordering::Equal);
    indexed.sort_by_key(|(index, _)| *index);
    Ok(Value::List(indexed.into_iter().map(|(_, item)| item.clone()).collect()))
}

fn split(
    evaluation: &mut Evaluation<'_>,
    text: &str,
    separator: Option<&str>,
    at: usize,
) -> Result<Value, EvaluationError> {
    let parts: Vec<&str> = match separator {
        Some("") => return Err(fail(at, "`split` needs a text to look for")),
        Some(separator) => text.split(separator).take(MAX_ITEMS + 1).collect(),
        None => text.split_whitespace().take(MAX_ITEMS + 1).collect(),
    };
    few(parts.len(), at)?;
    evaluation.spend(parts.len() * 64 + text.len(), at)?;
    Ok(Value::List(parts.into_iter().map(|part| Value::String(part.to_owned())).collect()))
}

fn few(items: usize, at: usize) -> Result<(), EvaluationError> {
    if items > MAX_ITEMS {
        return Err(fail(at, "an array would get more than 10,000 items"));
    }
    Ok(())
}

fn flag(
    evaluation: &mut Evaluation<'_>,
    items: &[Value],
    name: &str,
    at: usize,
) -> Result<Value, EvaluationError> {
    few(items.len() * 2, at)?;
    evaluation.spend(items.len() * (name.len() + 128), at)?;
    let mut out = Vec::with_capacity(items.len() * 2);
    for item in items {
        let text = item.text().ok_or_else(|| fail(at, "an item is null"))?;
        out.push(Value::String(name.to_owned()));
        out.push(Value::String(text));
    }
    evaluation.limited(Value::List(out), at)
}

fn length(value: &Value, at: usize) -> Result<Value, EvaluationError> {
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::List(items) => items.len(),
        Value::Map(fields) => fields.len(),
        _ => return Err(fail(at, UNEXPECTED)),
    };
    i64::try_from(length).map(Value::Integer).map_err(|_| fail(at, UNEXPECTED))
}

fn replace(
    evaluation: &mut Evaluation<'_>,
    text: &str,
    from: &str,
    to: &str,
    at: usize,
) -> Result<String, EvaluationError> {
    if from.is_empty() {
        return Err(fail(at, "`replace` needs a text to look for"));
    }
    let matches = text.matches(from).count();
    evaluation.room(text.len() - matches * from.len() + matches.saturating_mul(to.len()), at)?;
    Ok(text.replace(from, to))
}

fn join(
    evaluation: &mut Evaluation<'_>,
    items: &[Value],
    separator: &str,
    at: usize,
) -> Result<String, EvaluationError> {
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            evaluation.push(&mut out, separator, at)?;
        }
        evaluation.push_text(&mut out, item, at)?;
    }
    Ok(out)
}

/// What is after the last slash; slashes at the end don't count.
fn basename(text: &str) -> &str {
    let path = text.trim_end_matches('/');
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn amount(arguments: &[Cow<'_, Value>]) -> Amount {
    let given = |index: usize| match arguments.get(index).map(Cow::as_ref) {
        Some(Value::Integer(number)) => *number,
        _ => 0,
    };
    Amount { days: given(0), hours: given(1), minutes: given(2), seconds: given(3) }
}
