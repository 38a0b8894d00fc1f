//! The interpreter: every value has a label, and what is made of a secret is
//! secret. It knows the words of the docs and nothing of paramd's code.

use std::collections::BTreeMap;

use base64::Engine as _;

use super::dates;
use super::model::{E, Part, Template, V};

/// A value, and whether a secret had a part in it.
#[derive(Debug, Clone)]
pub(super) struct Labelled {
    pub(super) value: V,
    pub(super) secret: bool,
}

/// There is no value: an error that the docs list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stop(pub(super) &'static str);

pub(super) type Outcome = Result<Labelled, Stop>;

/// What names stand for.
pub(super) struct Names<'a> {
    pub(super) environment: &'a str,
    pub(super) parameters: &'a BTreeMap<usize, Labelled>,
    pub(super) matrix: Option<&'a Labelled>,
}

pub(super) const RUN_ID: &str = "run-7";
pub(super) const STARTED: &str = "2026-01-02T03:04:05Z";

/// The value of a template: of one expression alone its own, else text.
pub(super) fn template(parts: &Template, names: &Names<'_>) -> Outcome {
    if let [Part::Expression(one)] = parts.as_slice() {
        return expression(one, names);
    }
    let mut text = Labelled { value: V::Null, secret: false };
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(plain) => out.push_str(plain),
            Part::Expression(one) => {
                let part = expression(one, names)?;
                text.secret |= part.secret;
                out.push_str(&shown(&part.value)?);
            }
        }
    }
    text.value = V::Str(out);
    Ok(text)
}

/// A value inside a text.
pub(super) fn shown(value: &V) -> Result<String, Stop> {
    match value {
        V::Str(text) => Ok(text.clone()),
        V::Bool(_) | V::Int(_) | V::Num(_) => Ok(json(value)),
        V::Null | V::List(_) | V::Map(_) => Err(Stop("no text")),
    }
}

pub(super) fn json(value: &V) -> String {
    super::written::literal(value).to_string()
}

fn public(value: V) -> Outcome {
    Ok(Labelled { value, secret: false })
}

pub(super) fn expression(one: &E, names: &Names<'_>) -> Outcome {
    let eval = |one: &E| expression(one, names);
    match one {
        E::List(items) => {
            let mut list = Labelled { value: V::Null, secret: false };
            let mut values = Vec::new();
            for item in items {
                let item = eval(item)?;
                list.secret |= item.secret;
                values.push(item.value);
            }
            list.value = V::List(values);
            Ok(list)
        }
        E::If(test, a, b) => {
            let (holds, secret) = truth(some(test, names)?)?;
            with(eval(if holds { a } else { b })?, secret)
        }
        E::Not(a) => truth(some(a, names)?).map(|(holds, secret)| flag(!holds, secret)),
        E::Both(how, a, b) => {
            let (first, secret) = truth(some(a, names)?)?;
            if first == (*how == "or") {
                return Ok(flag(first, secret));
            }
            with(some(b, names)?, secret)
        }
        E::Compare(how, a, b) => compare(how, &eval(a)?, &eval(b)?),
        E::In(a, b) => contains(&eval(a)?, &some(b, names)?),
        E::IsNone(a) => eval(a).map(|one| flag(one.value == V::Null, one.secret)),
        E::Arithmetic(how, a, b) => {
            let (a, b) = (some(a, names)?, some(b, names)?);
            let value = arithmetic(how, &a.value, &b.value)?;
            Ok(Labelled { value, secret: a.secret || b.secret })
        }
        E::Join(a, b) => {
            let (a, b) = (some(a, names)?, some(b, names)?);
            let value = V::Str(shown(&a.value)? + &shown(&b.value)?);
            Ok(Labelled { value, secret: a.secret || b.secret })
        }
        E::Property(a, _) | E::Index(a, _) | E::Negate(a) | E::DateAdd(a, ..) => {
            let from = some(a, names)?;
            Ok(Labelled { value: of_one(one, from.value)?, secret: from.secret })
        }
        E::Filter(name, input, arguments) => filtered(name, input, arguments, names),
        name => named(name, names),
    }
}

/// Its value isn't null.
fn some(one: &E, names: &Names<'_>) -> Outcome {
    match expression(one, names)? {
        Labelled { value: V::Null, .. } => Err(Stop("null")),
        other => Ok(other),
    }
}

fn named(one: &E, names: &Names<'_>) -> Outcome {
    let text = |text: &str| public(V::Str(text.to_owned()));
    match one {
        E::Lit(value) => public(value.clone()),
        E::Param(index) => names.parameters.get(index).cloned().ok_or(Stop("no value")),
        E::Environment => text(names.environment),
        E::Pipeline => text("p"),
        E::RunId => text(RUN_ID),
        E::RunAttempt => public(V::Int(1)),
        E::RunStarted => text(STARTED),
        _ => names.matrix.cloned().ok_or(Stop("no matrix")),
    }
}

/// What is made of one value alone.
fn of_one(how: &E, value: V) -> Result<V, Stop> {
    match (how, value) {
        (E::Property(_, name), V::Map(mut fields)) => {
            fields.remove(*name).ok_or(Stop("no property"))
        }
        (E::Index(_, at), V::List(items)) => {
            let length = i64::try_from(items.len()).unwrap();
            let place = if *at < 0 { length + at } else { *at };
            let place = usize::try_from(place).map_err(|_| Stop("index"))?;
            items.get(place).cloned().ok_or(Stop("index"))
        }
        (E::Negate(_), V::Int(number)) => number.checked_neg().map(V::Int).ok_or(Stop("overflow")),
        (E::Negate(_), V::Num(number)) => Ok(V::Num(-number)),
        (E::DateAdd(_, days, seconds), V::Str(text)) => {
            dates::add(&text, *days, *seconds).map(V::Str).ok_or(Stop("date"))
        }
        _ => Err(Stop("wrong type")),
    }
}

fn filtered(name: &str, input: &E, arguments: &[E], names: &Names<'_>) -> Outcome {
    if name == "default" {
        let first = expression(input, names)?;
        return match first.value {
            V::Null => with(expression(&arguments[0], names)?, first.secret),
            _ => Ok(first),
        };
    }
    let input = if name == "json" { expression(input, names)? } else { some(input, names)? };
    let mut secret = input.secret;
    let mut texts = Vec::new();
    for one in arguments {
        let one = some(one, names)?;
        secret |= one.secret;
        texts.push(shown(&one.value)?);
    }
    Ok(Labelled { value: filter(name, input.value, &texts)?, secret })
}

fn with(one: Labelled, secret: bool) -> Outcome {
    Ok(Labelled { secret: one.secret || secret, ..one })
}

fn flag(holds: bool, secret: bool) -> Labelled {
    Labelled { value: V::Bool(holds), secret }
}

pub(super) fn truth(one: Labelled) -> Result<(bool, bool), Stop> {
    match one.value {
        V::Bool(holds) => Ok((holds, one.secret)),
        _ => Err(Stop("no boolean")),
    }
}

fn number(value: &V) -> Result<f64, Stop> {
    match value {
        V::Int(number) => Ok(*number as f64),
        V::Num(number) => Ok(*number),
        _ => Err(Stop("no number")),
    }
}

fn same(a: &V, b: &V) -> bool {
    match (a, b) {
        (V::Int(_), V::Num(_)) | (V::Num(_), V::Int(_)) => number(a) == number(b),
        (V::List(a), V::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (V::Map(a), V::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        }
        _ => a == b,
    }
}

fn compare(how: &str, a: &Labelled, b: &Labelled) -> Outcome {
    let equal = same(&a.value, &b.value);
    let holds = match how {
        "==" => equal,
        "!=" => !equal,
        _ => {
            let order = match (&a.value, &b.value) {
                (V::Str(a), V::Str(b)) => a.cmp(b),
                (V::Int(a), V::Int(b)) => a.cmp(b),
                (a, b) => number(a)?.partial_cmp(&number(b)?).ok_or(Stop("order"))?,
            };
            match how {
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            }
        }
    };
    Ok(flag(holds, a.secret || b.secret))
}

fn contains(item: &Labelled, whole: &Labelled) -> Outcome {
    let found = match (&item.value, &whole.value) {
        (V::Str(part), V::Str(text)) => text.contains(part.as_str()),
        (item, V::List(items)) => items.iter().any(|one| same(one, item)),
        _ => return Err(Stop("in")),
    };
    Ok(flag(found, item.secret || whole.secret))
}

fn arithmetic(how: &str, a: &V, b: &V) -> Result<V, Stop> {
    if let (V::List(a), V::List(b)) = (a, b) {
        return Ok(V::List([a.as_slice(), b].concat()));
    }
    if let (V::Int(a), V::Int(b), true) = (a, b, how != "/") {
        let (a, b) = (i128::from(*a), i128::from(*b));
        let floor = || {
            let quotient = a.checked_div(b).ok_or(Stop("zero"))?;
            Ok(if quotient * b != a && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
        };
        let wide = match how {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "//" => floor()?,
            _ => a - floor()? * b,
        };
        return i64::try_from(wide).map(V::Int).map_err(|_| Stop("overflow"));
    }
    let (a, b) = (number(a)?, number(b)?);
    if b == 0.0 && ["/", "//", "%"].contains(&how) {
        return Err(Stop("zero"));
    }
    let result = match how {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b,
        "//" => (a / b).floor(),
        _ => {
            let rest = a % b;
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
        }
    };
    if result.is_finite() { Ok(V::Num(result)) } else { Err(Stop("infinite")) }
}

fn filter(name: &str, input: V, arguments: &[String]) -> Result<V, Stop> {
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    Ok(match (name, input) {
        ("lower", V::Str(text)) => V::Str(text.to_lowercase()),
        ("upper", V::Str(text)) => V::Str(text.to_uppercase()),
        ("trim", V::Str(text)) => V::Str(text.trim().to_owned()),
        ("replace", V::Str(text)) => V::Str(text.replace(argument(0), argument(1))),
        ("basename", V::Str(text)) => {
            let end = text.trim_end_matches('/');
            V::Str(end.rsplit('/').next().unwrap_or("").to_owned())
        }
        ("split", V::Str(text)) if arguments.is_empty() => {
            V::List(text.split_whitespace().map(|part| V::Str(part.to_owned())).collect())
        }
        ("split", V::Str(text)) => {
            V::List(text.split(argument(0)).map(|part| V::Str(part.to_owned())).collect())
        }
        ("join", V::List(items)) => {
            let texts: Vec<String> = items.iter().map(shown).collect::<Result<_, _>>()?;
            V::Str(texts.join(argument(0)))
        }
        ("flag", V::List(items)) => {
            let mut out = Vec::new();
            for item in &items {
                out.extend([V::Str(argument(0).to_owned()), V::Str(shown(item)?)]);
            }
            V::List(out)
        }
        ("length", V::Str(text)) => V::Int(text.chars().count().try_into().unwrap()),
        ("length", V::List(items)) => V::Int(items.len().try_into().unwrap()),
        ("length", V::Map(fields)) => V::Int(fields.len().try_into().unwrap()),
        ("first", V::List(items)) => items.first().cloned().ok_or(Stop("empty"))?,
        ("last", V::List(items)) => items.last().cloned().ok_or(Stop("empty"))?,
        ("sort", V::List(mut items)) => {
            items.sort_by(|a, b| match (a, b) {
                (V::Str(a), V::Str(b)) => a.cmp(b),
                (V::Int(a), V::Int(b)) => a.cmp(b),
                _ => std::cmp::Ordering::Equal,
            });
            V::List(items)
        }
        ("unique", V::List(items)) => {
            let mut kept: Vec<V> = Vec::new();
            for item in items {
                if !kept.iter().any(|one| same(one, &item)) {
                    kept.push(item);
                }
            }
            V::List(kept)
        }
        ("urlencode", value) => V::Str(
            shown(&value)?
                .bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                    b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
                    _ => format!("%{byte:02X}"),
                })
                .collect(),
        ),
        ("json", value) => V::Str(json(&value)),
        ("b64", V::Str(text)) => V::Str(base64::engine::general_purpose::STANDARD.encode(text)),
        ("date_format", V::Str(text)) => {
            V::Str(dates::format(&text, argument(0)).ok_or(Stop("date"))?)
        }
        _ => return Err(Stop("filter")),
    })
}
