//! The words of a command line, before the pipeline is known.
//!
//! Each pipeline flag takes exactly one value, so the words can be told apart
//! without the schema. A word is repeated in an error only where it could be a
//! name: anything may be a misplaced password.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use crate::cli::document::read_time;
use crate::cli::error::CliError;
use crate::cli::secrets::SecretArgument;
use crate::name::{AliasName, PipelineName};
use crate::proto::v1::AttemptMode;
use crate::yaml::fields::parse_duration;

/// The names of paramd's own options, as flags are spelt: a parameter of such a
/// name is given by `--param`.
pub(super) const OWN: [&str; 15] = [
    "attempt",
    "endpoint",
    "environment",
    "expected-revision",
    "help",
    "label",
    "lifetime",
    "logical-date",
    "mode",
    "output",
    "param",
    "params-file",
    "preset",
    "run-id",
    "secret",
];

/// How a value is given to a parameter.
pub(super) fn given_by(name: &str, value: &str) -> String {
    let flag = name.replace('_', "-");
    if OWN.contains(&flag.as_str()) {
        format!("--param {name}={value}")
    } else {
        format!("--{flag} {value}")
    }
}

/// What a command line for a pipeline says.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// The pipeline; none only where help is wanted.
    pub(crate) pipeline: Option<PipelineName>,
    /// Whether help is wanted.
    pub(crate) help: bool,
    /// `--endpoint`.
    pub(crate) endpoint: Option<String>,
    /// `--output`.
    pub(crate) output: Option<String>,
    /// `--environment`.
    pub(crate) environment: Option<String>,
    /// `--preset`.
    pub(crate) preset: Option<String>,
    /// `--run-id`.
    pub(crate) run_id: Option<String>,
    /// `--attempt`.
    pub(crate) attempt: Option<u32>,
    /// `--mode`.
    pub(crate) mode: Option<AttemptMode>,
    /// `--logical-date`.
    pub(crate) logical_date: Option<prost_types::Timestamp>,
    /// `--lifetime`.
    pub(crate) lifetime: Option<Duration>,
    /// `--expected-revision`.
    pub(crate) expected_revision: Option<String>,
    /// `--label KEY=VALUE`.
    pub(crate) labels: BTreeMap<String, String>,
    /// `--params-file`.
    pub(crate) params_file: Option<String>,
    /// `--param NAME=VALUE`, in the order given.
    pub(crate) params: Vec<Flag>,
    /// `--secret NAME=SOURCE`.
    pub(crate) secrets: Vec<SecretArgument>,
    /// All other flags: the pipeline's own.
    pub(crate) flags: Vec<Flag>,
}

/// A flag and its value, which may be a misplaced secret.
pub(crate) struct Flag {
    /// As it was given, without the dashes.
    pub(crate) name: String,
    /// The text; none: it isn't UTF-8.
    pub(crate) value: Option<String>,
}

impl std::fmt::Debug for Flag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flag([REDACTED])")
    }
}

/// Reads the words after the command's name.
///
/// # Errors
/// All problems together.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Arguments, CliError> {
    let mut reader = Reader::default();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let Some((name, joined)) = reader.flag(word) else { continue };
        if name == "help" && joined.is_none() {
            reader.found.help = true;
            continue;
        }
        let following = words.peek().is_some_and(|next| !is_flag(next));
        let value = match joined {
            Some(value) => Some(Some(value)),
            None if following => words.next().map(|value| value.into_string().ok()),
            None => None,
        };
        match value {
            Some(value) => reader.option(Flag { name, value }),
            None => reader.lacks_value(&name),
        }
    }
    reader.finish()
}

const ATTEMPT: &str = "a number from 1";
const MODE: &str = "`exact` or `refresh`";
const DATE: &str = "a time in RFC 3339, such as 2026-01-31T00:00:00Z";
const LIFETIME: &str = "a number with `s`, `m`, `h` or `d`, such as 48h";

fn attempt(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number > 0)
}

fn mode(text: &str) -> Option<AttemptMode> {
    match text {
        "exact" => Some(AttemptMode::Exact),
        "refresh" => Some(AttemptMode::Refresh),
        _ => None,
    }
}

fn is_flag(word: &OsString) -> bool {
    word.as_encoded_bytes().starts_with(b"--")
}

/// A flag as an error may show it.
pub(super) fn shown(name: &str) -> String {
    if AliasName::parse(&name.replace('-', "_")).is_ok() {
        format!("`--{name}`")
    } else {
        "a flag".to_owned()
    }
}

#[derive(Default)]
struct Reader {
    found: Arguments,
    leftovers: usize,
    errors: Vec<CliError>,
}

impl Reader {
    /// A flag's name and the value that is joined to it; other words are dealt
    /// with.
    fn flag(&mut self, word: OsString) -> Option<(String, Option<String>)> {
        let Ok(word) = word.into_string() else {
            self.leftovers += 1;
            return None;
        };
        if word == "-h" {
            self.found.help = true;
            return None;
        }
        match word.strip_prefix("--") {
            Some(flag) if !flag.is_empty() => Some(match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (flag.to_owned(), None),
            }),
            _ => {
                self.positional(&word);
                None
            }
        }
    }

    fn positional(&mut self, word: &str) {
        if self.found.pipeline.is_some() {
            self.leftovers += 1;
            return;
        }
        match PipelineName::parse(word) {
            Ok(name) => self.found.pipeline = Some(name),
            Err(error) => self.errors.push(CliError::usage(error.to_string())),
        }
    }

    fn lacks_value(&mut self, name: &str) {
        let error = CliError::usage(format!("{} needs a value", shown(name)));
        self.errors.push(error.with_help("a value that begins with `--` is given as --flag=value"));
    }

    fn option(&mut self, flag: Flag) {
        // As in pipeline flags, `_` and `-` are the same.
        match flag.name.replace('_', "-").as_str() {
            "endpoint" => self.once(flag, |found| &mut found.endpoint),
            "output" => self.once(flag, |found| &mut found.output),
            "environment" => self.once(flag, |found| &mut found.environment),
            "preset" => self.once(flag, |found| &mut found.preset),
            "params-file" => self.once(flag, |found| &mut found.params_file),
            "run-id" => self.once(flag, |found| &mut found.run_id),
            "expected-revision" => self.once(flag, |found| &mut found.expected_revision),
            "attempt" => self.read(flag, ATTEMPT, attempt, |found| &mut found.attempt),
            "mode" => self.read(flag, MODE, mode, |found| &mut found.mode),
            "logical-date" => self.read(flag, DATE, read_time, |found| &mut found.logical_date),
            "lifetime" => self.read(flag, LIFETIME, parse_duration, |found| &mut found.lifetime),
            "label" => self.label(flag),
            "param" => self.param(flag),
            "secret" => self.secret(flag),
            _ => self.found.flags.push(flag),
        }
    }

    fn once(&mut self, flag: Flag, place: fn(&mut Arguments) -> &mut Option<String>) {
        let name = shown(&flag.name);
        let Some(value) = flag.value else {
            return self.errors.push(CliError::usage(format!("the value of {name} isn't UTF-8")));
        };
        if place(&mut self.found).replace(value).is_some() {
            self.errors.push(CliError::usage(format!("{name} is given twice")));
        }
    }

    /// An option that takes a text of some form.
    fn read<T>(
        &mut self,
        flag: Flag,
        form: &str,
        read: fn(&str) -> Option<T>,
        place: fn(&mut Arguments) -> &mut Option<T>,
    ) {
        let name = shown(&flag.name);
        let Some(value) = flag.value.as_deref().and_then(read) else {
            return self.errors.push(CliError::usage(format!("{name} takes {form}")));
        };
        if place(&mut self.found).replace(value).is_some() {
            self.errors.push(CliError::usage(format!("{name} is given twice")));
        }
    }

    fn label(&mut self, flag: Flag) {
        match flag.value.as_deref().and_then(|text| text.split_once('=')) {
            Some((key, value)) if !key.is_empty() => {
                if self.found.labels.insert(key.to_owned(), value.to_owned()).is_some() {
                    self.errors.push(CliError::usage("a label's key is given twice"));
                }
            }
            _ => self.errors.push(CliError::usage("`--label` takes KEY=VALUE, in UTF-8")),
        }
    }

    fn param(&mut self, flag: Flag) {
        match flag.value.as_deref().and_then(|text| text.split_once('=')) {
            Some((name, value)) if !name.is_empty() => self
                .found
                .params
                .push(Flag { name: name.to_owned(), value: Some(value.to_owned()) }),
            _ => self.errors.push(CliError::usage("`--param` takes NAME=VALUE, in UTF-8")),
        }
    }

    fn secret(&mut self, flag: Flag) {
        match flag.value.as_deref().map(SecretArgument::parse) {
            Some(Ok(secret)) => self.found.secrets.push(secret),
            Some(Err(error)) => self.errors.push(error),
            None => self.errors.push(CliError::usage("the value of `--secret` isn't UTF-8")),
        }
    }

    fn finish(mut self) -> Result<Arguments, CliError> {
        if self.leftovers > 0 {
            let what = match self.leftovers {
                1 => "1 argument is neither an option nor an option's value".to_owned(),
                number => format!("{number} arguments are neither options nor options' values"),
            };
            let help = "values are given as --NAME VALUE or --NAME=VALUE, booleans too";
            self.errors.push(CliError::usage(what).with_help(help));
        }
        if self.found.pipeline.is_none() && !self.found.help && self.errors.is_empty() {
            self.errors.push(CliError::usage("the pipeline's name is missing"));
        }
        match CliError::all(self.errors) {
            Some(error) => Err(error),
            None => Ok(self.found),
        }
    }
}
