//! Secrets that a caller passes: from a file, a variable or standard input,
//! never from the command line, which others can read.

use std::collections::BTreeMap;
use std::io::Read as _;

use super::environment::Environment;
use super::error::{CliError, Expected};
use super::exit::Exit;
use super::text::why;
use crate::name::AliasName;
use crate::proto::v1::SecretPayload;
use crate::value::MAX_VALUE_BYTES;

const FORM: &str = "`--secret` takes NAME=file:FILE, NAME=env:VARIABLE or NAME=-";

/// `--secret NAME=SOURCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretArgument {
    name: AliasName,
    source: Source,
}

/// Where a secret is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// In this file.
    File(String),
    /// In this variable.
    Variable(String),
    /// On standard input.
    Stdin,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source([REDACTED])")
    }
}

impl SecretArgument {
    /// Reads the option's value. It isn't repeated: it may hold the secret
    /// itself, by mistake.
    pub(crate) fn parse(text: &str) -> Result<Self, CliError> {
        let (name, source) = text.split_once('=').ok_or_else(|| CliError::usage(FORM))?;
        let stdin = (source == "-").then_some(Source::Stdin);
        let source = stdin.or_else(|| Source::named(source)).ok_or_else(|| {
            CliError::usage(FORM).with_help("never the secret itself: others can read arguments")
        })?;
        // A flag's spelling may have `-` for `_`; the daemon knows names.
        let name = AliasName::parse(name).map_err(|_| CliError::usage(FORM))?;
        Ok(Self { name, source })
    }

    /// The parameter's name or alias, as it was given.
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl Source {
    fn named(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("file", path) if !path.is_empty() => Some(Self::File(path.to_owned())),
            ("env", name) if !name.is_empty() => Some(Self::Variable(name.to_owned())),
            _ => None,
        }
    }

    /// Reads the value of an option of a command whose standard input is taken.
    /// It isn't repeated: it may hold the secret itself, by mistake.
    pub(crate) fn parse(text: &str) -> Result<Self, Expected> {
        let form = "a secret is file:FILE or env:VARIABLE; never itself: others can read arguments";
        Self::named(text).ok_or_else(|| Expected(form.to_owned()))
    }

    /// Reads the secret, to the byte.
    ///
    /// # Errors
    /// Says `whose` it is, and never a path or a variable.
    pub(crate) fn read(&self, whose: &str, environment: &Environment) -> Result<Vec<u8>, CliError> {
        let data = match self {
            Self::File(path) => std::fs::File::open(path)
                .and_then(limited)
                .map_err(|error| unreadable(whose, "file", error.kind()))?,
            Self::Stdin => limited(std::io::stdin().lock())
                .map_err(|error| unreadable(whose, "standard input", error.kind()))?,
            Self::Variable(variable) => environment
                .value(variable)
                .map(|value| value.as_encoded_bytes().to_vec())
                .ok_or_else(|| CliError::usage(format!("the variable for {whose} isn't set")))?,
        };
        if data.len() > MAX_VALUE_BYTES {
            return Err(CliError::usage(format!("{whose} has more than 1 MiB")));
        }
        Ok(data)
    }
}

/// Reads all secrets, to the byte, by what the daemon calls them.
///
/// # Errors
/// Names the parameter, and never a path or a variable.
pub(crate) fn read(
    arguments: &[SecretArgument],
    names: &BTreeMap<String, String>,
    environment: &Environment,
) -> Result<BTreeMap<String, SecretPayload>, CliError> {
    if arguments.iter().filter(|one| one.source == Source::Stdin).count() > 1 {
        return Err(CliError::usage("standard input can give one secret only"));
    }
    let mut payloads = BTreeMap::new();
    for argument in arguments {
        let whose = format!("the secret `{}`", argument.name());
        let data = argument.source.read(&whose, environment)?;
        let name = names.get(argument.name()).map_or(argument.name(), String::as_str);
        payloads.insert(name.to_owned(), SecretPayload { data, encoding: 0 });
    }
    Ok(payloads)
}

fn limited(from: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut data = Vec::new();
    from.take(MAX_VALUE_BYTES as u64 + 1).read_to_end(&mut data)?;
    Ok(data)
}

fn unreadable(whose: &str, what: &str, kind: std::io::ErrorKind) -> CliError {
    let why = why(kind);
    CliError::new(Exit::Usage, format!("the {what} for {whose} can't be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_files_variables_and_standard_input() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"from a file\n").unwrap();
        let arguments = [
            SecretArgument::parse(&format!("a=file:{}", file.path().display())).unwrap(),
            SecretArgument::parse("b=env:B").unwrap(),
        ];
        let environment = Environment::new([("B".into(), "from a variable".into())]);
        let read = read(&arguments, &BTreeMap::new(), &environment).unwrap();
        assert_eq!(read["a"].data, b"from a file\n", "kept to the byte");
        assert_eq!(read["b"].data, b"from a variable");
    }

    #[test]
    fn a_secret_is_read_to_its_limit_and_refused_whole_over_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = Source::File(file.path().to_str().unwrap().to_owned());
        for (length, fits) in [
            (0, true),
            (MAX_VALUE_BYTES - 1, true),
            (MAX_VALUE_BYTES, true),
            (MAX_VALUE_BYTES + 1, false),
            (2 * MAX_VALUE_BYTES, false),
        ] {
            std::fs::write(file.path(), vec![b'x'; length]).unwrap();
            let read = source.read("the secret `a`", &Environment::default());
            assert_eq!(read.ok().map(|data| data.len()), fits.then_some(length));
            let value = "x".repeat(length);
            let environment = Environment::new([("B".into(), value.into())]);
            let read = Source::Variable("B".to_owned()).read("the secret `a`", &environment);
            assert_eq!(read.is_ok(), fits);
        }
    }

    #[test]
    fn a_secret_itself_is_refused_and_not_repeated() {
        for text in ["pw=hunter2", "hunter2", "pw=", "pw=vault:hunter2", "HUNTER2=file:x"] {
            let error = SecretArgument::parse(text).unwrap_err().to_string();
            assert!(!error.to_lowercase().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn standard_input_gives_one_secret_only() {
        let twice = ["a=-", "b=-"].map(|text| SecretArgument::parse(text).unwrap());
        assert_eq!(
            read(&twice, &BTreeMap::new(), &Environment::default()).unwrap_err().exit,
            Exit::Usage
        );
    }
}
