//! Gives the flags of a command line their parameters.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::{self, Declared};
use super::tokens::{self, Arguments, Flag, given_by, shown};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::text::ticked;
use crate::name::{AliasName, nearest};
use crate::proto::v1::Pipeline;

/// The values that a command line gives to parameters.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Texts by name or alias, as the daemon takes them.
    pub(crate) texts: BTreeMap<String, String>,
    /// What the daemon calls each name that `--secret` was given.
    pub(crate) secret_names: BTreeMap<String, String>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bound([REDACTED])")
    }
}

/// Finds the parameter of each flag; what a value must be is the daemon's word.
///
/// # Errors
/// All problems together.
pub(crate) fn bind(pipeline: &str, schema: &str, arguments: &Arguments) -> Result<Bound, CliError> {
    let declared = schema::read(schema)?;
    let mut binder = Binder {
        pipeline,
        names: names(&declared),
        secrets: declared
            .iter()
            .filter(|one| one.secret)
            .map(|one| (one.name.as_str(), one.bindable))
            .collect(),
        seen: BTreeSet::new(),
        errors: Vec::new(),
        bound: Bound::default(),
    };
    arguments.flags.iter().chain(&arguments.params).for_each(|flag| binder.flag(flag));
    arguments.secrets.iter().for_each(|secret| binder.secret(secret.name()));
    match CliError::all(binder.errors) {
        Some(error) => Err(error),
        None => Ok(binder.bound),
    }
}

/// The names and aliases as flags are spelt, with what the daemon calls them
/// and the parameter that they stand for. A name comes before an alias.
fn names(declared: &[Declared]) -> BTreeMap<String, (&str, &str)> {
    let mut names = BTreeMap::new();
    for one in declared {
        for alias in &one.aliases {
            names.insert(spelt(alias), (alias.as_str(), one.name.as_str()));
        }
    }
    for one in declared {
        names.insert(spelt(&one.name), (one.name.as_str(), one.name.as_str()));
    }
    names
}

/// `_` and `-` are the same in a flag.
fn spelt(name: impl AsRef<str>) -> String {
    name.as_ref().replace('-', "_")
}

struct Binder<'a> {
    pipeline: &'a str,
    names: BTreeMap<String, (&'a str, &'a str)>,
    /// Whether a run may bind each of them.
    secrets: BTreeMap<&'a str, bool>,
    seen: BTreeSet<&'a str>,
    errors: Vec<CliError>,
    bound: Bound,
}

impl Binder<'_> {
    fn flag(&mut self, flag: &Flag) {
        let Some(&(given, parameter)) = self.names.get(&spelt(&flag.name)) else {
            return self.unknown(&flag.name);
        };
        if let Some(bindable) = self.secrets.get(parameter) {
            return self.errors.push(secret_argument(parameter, *bindable));
        }
        match &flag.value {
            None => self
                .errors
                .push(CliError::usage(format!("the value of {} isn't UTF-8", shown(&flag.name)))),
            Some(_) if !self.seen.insert(parameter) => {
                self.errors.push(CliError::usage(format!("`{parameter}` is given twice")));
            }
            Some(value) => drop(self.bound.texts.insert(given.to_owned(), value.clone())),
        }
    }

    fn secret(&mut self, name: &str) {
        match self.names.get(&spelt(name)) {
            None => self.unknown(name),
            Some((_, parameter)) if !self.secrets.contains_key(parameter) => {
                let error = CliError::usage(format!("`{parameter}` isn't a secret"));
                self.errors.push(error.with_help(given_by(parameter, "VALUE")));
            }
            Some((_, parameter)) if !self.seen.insert(parameter) => {
                self.errors.push(CliError::usage(format!("`{parameter}` is given twice")));
            }
            Some(&(given, _)) => {
                drop(self.bound.secret_names.insert(name.to_owned(), given.to_owned()))
            }
        }
    }

    fn unknown(&mut self, name: &str) {
        let pipeline = self.pipeline;
        if AliasName::parse(&spelt(name)).is_err() {
            let message =
                format!("a flag isn't a parameter of {pipeline}, and its name can't be one");
            return self.errors.push(self.listed(CliError::usage(message)));
        }
        let own = tokens::OWN.into_iter().filter(|own| !["help", "param", "secret"].contains(own));
        let own: Vec<String> = own.map(spelt).collect();
        let all = self.names.keys().chain(&own).map(String::as_str);
        let near = nearest(&spelt(name), all).map(|near| match self.names.get(near) {
            Some((given, _)) => format!("; did you mean `{given}`?"),
            None => format!("; did you mean `--{}`?", near.replace('_', "-")),
        });
        let near = near.unwrap_or_default();
        let message = format!("`{name}` isn't a parameter of {pipeline}{near}");
        self.errors.push(self.listed(CliError::usage(message)));
    }

    fn listed(&self, error: CliError) -> CliError {
        let mut names: Vec<&str> = self.names.values().map(|(_, parameter)| *parameter).collect();
        names.sort_unstable();
        names.dedup();
        match names.as_slice() {
            [] => error.with_help("it has no parameters"),
            names => {
                error.with_help(format!("its parameters are {}", ticked(names.iter().copied())))
            }
        }
    }
}

/// A secret was given as a flag.
fn secret_argument(parameter: &str, bindable: bool) -> CliError {
    if !bindable {
        return CliError::usage(format!("`{parameter}` is a secret that no run can bind"));
    }
    CliError::usage(format!("`{parameter}` is a secret: its value can't be an argument")).with_help(
        format!("--secret {parameter}=file:FILE, {parameter}=env:VARIABLE or {parameter}=-"),
    )
}

/// The environment to resolve in: the one given, or the only one there is.
pub(crate) fn environment_of(pipeline: &Pipeline, given: Option<&str>) -> Result<String, CliError> {
    if let Some(name) = given {
        return Ok(name.to_owned());
    }
    match pipeline.environments.as_slice() {
        [only] => Ok(only.name.clone()),
        [] => Err(CliError::new(
            Exit::Denied,
            format!("there is no environment in which you may resolve {}", pipeline.name),
        )),
        several => Err(CliError::usage(format!(
            "{} runs in several environments: {}",
            pipeline.name,
            ticked(several.iter().map(|one| one.name.as_str()))
        ))
        .with_help("pick one: --environment NAME")),
    }
}
