//! Values of public parameters that are not on the command line: a file of
//! parameters, and variables.

use std::ffi::OsStr;
use std::io::Read as _;

use super::environment::Environment;
use super::error::CliError;
use super::flags::Flag;
use super::text::why;
use crate::proto::v1;
use crate::proto::v1::value::Kind;
use crate::value::Value;
use crate::yaml::diagnostic::{Files, Problems, lines};
use crate::yaml::{MAX_BYTES, NodeKind, parse};

/// What the name of a variable for a parameter begins with.
pub(crate) const PREFIX: &str = "PARAMD_PARAM_";

/// What gives parameters their values beside the command line.
#[derive(Default)]
pub(crate) struct Beside {
    /// The variables, by what is behind [`PREFIX`].
    pub(crate) variables: Vec<Flag>,
    /// The values of the file, by the names that stand in it.
    pub(crate) file: Vec<(String, v1::Value)>,
}

/// Reads the variables, and the file if there is one.
///
/// # Errors
/// The file can't be read; nothing of what is in it is repeated.
pub(crate) fn read(file: Option<&str>, environment: &Environment) -> Result<Beside, CliError> {
    Ok(Beside {
        variables: variables(environment),
        file: file.map(read_file).transpose()?.unwrap_or_default(),
    })
}

fn variables(environment: &Environment) -> Vec<Flag> {
    let text = |value: &OsStr| value.to_str().map(str::to_owned);
    let all = environment.all().iter();
    all.filter_map(|(name, value)| {
        let name = name.to_string_lossy();
        Some(Flag { name: name.strip_prefix(PREFIX)?.to_owned(), value: text(value) })
    })
    .collect()
}

fn read_file(path: &str) -> Result<Vec<(String, v1::Value)>, CliError> {
    let unreadable = |error: std::io::Error| {
        let why = why(error.kind());
        CliError::usage(format!("the file of `--params-file` can't be read: {why}"))
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // One byte more than the reader takes, so that it tells what is too long.
    let read = file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text);
    read.map_err(unreadable)?;
    let mut files = Files::default();
    let id = files.add(path.to_owned(), text.as_str().into());
    let mut problems = Problems::default();
    let root = parse(id, &text, &mut problems);
    if problems.has_errors() {
        let error = CliError::usage("the file of `--params-file` isn't understood");
        return Err(error.with_problems(lines(&problems, &files)));
    }
    match root.map(|root| root.kind) {
        Some(NodeKind::Mapping(entries)) => Ok(entries
            .iter()
            .map(|entry| (entry.key.value.clone(), message(&entry.value.value())))
            .collect()),
        Some(NodeKind::Scalar(scalar)) if scalar.value == Value::Null => Ok(Vec::new()),
        _ => Err(CliError::usage("the file of `--params-file` isn't a mapping of names to values")),
    }
}

fn message(value: &Value) -> v1::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(v1::Null {}),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Integer(number) => Kind::IntValue(*number),
        Value::Number(number) => Kind::DoubleValue(*number),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Bytes(bytes) => Kind::BytesValue(bytes.clone()),
        Value::List(items) => {
            Kind::ListValue(v1::ListValue { values: items.iter().map(message).collect() })
        }
        Value::Map(fields) => {
            let fields = fields.iter().map(|(name, item)| (name.clone(), message(item)));
            Kind::MapValue(v1::MapValue { fields: fields.collect() })
        }
    };
    v1::Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &[u8]) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_file(file.path().to_str().unwrap()).err().map(|error| format!("{error:?}"))
    }

    #[test]
    fn a_file_of_values_is_read_to_its_limit_and_refused_whole_over_it() {
        let padded = |length: usize| [b"{ a: hunter2 }\n#".to_vec(), vec![b' '; length - 16]];
        assert_eq!(told(&padded(MAX_BYTES).concat()), None);
        for over in [1, MAX_BYTES] {
            let error = told(&padded(MAX_BYTES + over).concat()).unwrap();
            assert!(error.contains("more than 1 MiB") && !error.contains("hunter2"), "{error}");
        }
        for text in [&b"hunter2"[..], b"[hunter2]", b"a: hunter2\0", b"\xff", b"a: &b hunter2"] {
            assert!(!told(text).unwrap().contains("hunter2"));
        }
    }
}
