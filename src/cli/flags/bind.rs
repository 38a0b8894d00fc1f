//! Gives the flags of a command line their parameters.

use std::collections::{BTreeMap, BTreeSet};

use super::schema::{self, Declared};
use super::tokens::{self, Arguments, Flag, given_by, shown};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::text::ticked;
use crate::cli::values::{Beside, PREFIX};
use crate::name::{AliasName, nearest};
use crate::proto::v1::value::Kind;
use crate::proto::v1::{Pipeline, Value};

/// The values that a command line, variables and a file give to parameters.
#[derive(Default, PartialEq)]
pub(crate) struct Bound {
    /// Texts by name or alias, as the daemon takes them.
    pub(crate) texts: BTreeMap<String, String>,
    /// Typed values, from a file, by name or alias.
    pub(crate) values: BTreeMap<String, Value>,
    /// What is passed over.
    pub(crate) warnings: Vec<String>,
    /// What the daemon calls each name that `--secret` was given.
    pub(crate) secret_names: BTreeMap<String, String>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bound([REDACTED])")
    }
}

/// Where a value is given. One that is given in a higher place wins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    Argument,
    Variable,
    File,
}

/// Finds the parameter of each flag, variable and name of the file; what a value
/// must be is the daemon's word.
///
/// # Errors
/// All problems together.
pub(crate) fn bind(
    pipeline: &str,
    schema: &str,
    arguments: &Arguments,
    beside: &Beside,
) -> Result<Bound, CliError> {
    let declared = schema::read(schema)?;
    let mut binder = Binder {
        pipeline,
        names: names(&declared),
        secrets: declared
            .iter()
            .filter(|one| one.secret)
            .map(|one| (one.name.as_str(), one.bindable))
            .collect(),
        binary: declared
            .iter()
            .filter(|one| one.is_base64())
            .map(|one| one.name.as_str())
            .collect(),
        seen: BTreeMap::new(),
        errors: Vec::new(),
        bound: Bound::default(),
    };
    arguments.flags.iter().chain(&arguments.params).for_each(|flag| binder.flag(flag));
    arguments.secrets.iter().for_each(|secret| binder.secret(secret.name()));
    beside.variables.iter().for_each(|variable| binder.variable(variable));
    beside.file.iter().for_each(|(name, value)| binder.file(name, value));
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
    /// Those that are declared as base64: a file gives them as text.
    binary: BTreeSet<&'a str>,
    seen: BTreeMap<&'a str, Rank>,
    errors: Vec<CliError>,
    bound: Bound,
}

impl<'a> Binder<'a> {
    /// Whether a value given here is the one that holds.
    fn holds(&mut self, parameter: &'a str, rank: Rank) -> bool {
        let before = self.seen.get(parameter).copied();
        if before == Some(rank) {
            let place = match rank {
                Rank::Argument => "",
                Rank::Variable => " by variables",
                Rank::File => " in the file of `--params-file`",
            };
            self.errors.push(CliError::usage(format!("`{parameter}` is given twice{place}")));
        }
        if before.is_none() {
            self.seen.insert(parameter, rank);
        }
        before.is_none()
    }

    fn variable(&mut self, variable: &Flag) {
        let lower = variable.name.to_ascii_lowercase();
        let upper = !variable.name.contains(|letter: char| letter.is_ascii_lowercase());
        let known = self.names.get(&spelt(&lower)).filter(|_| upper);
        let Some(&(given, parameter)) = known else {
            let warning = match AliasName::parse(&lower) {
                Ok(_) => format!("`{PREFIX}{}` names", variable.name),
                Err(_) => format!("a variable that begins with `{PREFIX}` names"),
            };
            let near = nearest(&spelt(&lower), self.names.keys().map(String::as_str));
            let near = near
                .map(|near| format!("; did you mean `{PREFIX}{}`?", near.to_ascii_uppercase()))
                .unwrap_or_default();
            let pipeline = self.pipeline;
            return self
                .bound
                .warnings
                .push(format!("{warning} no parameter of {pipeline}: it is passed over{near}"));
        };
        if let Some(bindable) = self.secrets.get(parameter) {
            let place = format!("its value can't be in `{PREFIX}{}`", variable.name);
            let way = format!("--secret {parameter}=env:VARIABLE, with another variable's name");
            return self.errors.push(secret_elsewhere(parameter, *bindable, &place, way));
        }
        match &variable.value {
            None => self.errors.push(CliError::usage(format!(
                "the value of `{PREFIX}{}` isn't UTF-8",
                variable.name
            ))),
            Some(value) if self.holds(parameter, Rank::Variable) => {
                drop(self.bound.texts.insert(given.to_owned(), value.clone()));
            }
            Some(_) => {}
        }
    }

    fn file(&mut self, name: &str, value: &Value) {
        let Some(&(given, parameter)) = self.names.get(&spelt(name)) else {
            let what = "a name in the file of `--params-file`";
            let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
            let near = nearest(&spelt(name), names).map(|near| self.called(near));
            return self.unknown(name, what, near);
        };
        if let Some(bindable) = self.secrets.get(parameter) {
            let place = "its value can't be in the file of `--params-file`";
            return self.errors.push(secret_elsewhere(
                parameter,
                *bindable,
                place,
                ways(parameter),
            ));
        }
        if !self.holds(parameter, Rank::File) {
            return;
        }
        match &value.kind {
            Some(Kind::StringValue(text)) if self.binary.contains(parameter) => {
                drop(self.bound.texts.insert(given.to_owned(), text.clone()));
            }
            _ => drop(self.bound.values.insert(given.to_owned(), value.clone())),
        }
    }

    fn flag(&mut self, flag: &Flag) {
        let Some(&(given, parameter)) = self.names.get(&spelt(&flag.name)) else {
            return self.unknown_flag(&flag.name);
        };
        if let Some(bindable) = self.secrets.get(parameter) {
            let place = "its value can't be an argument";
            return self.errors.push(secret_elsewhere(
                parameter,
                *bindable,
                place,
                ways(parameter),
            ));
        }
        match &flag.value {
            None => self
                .errors
                .push(CliError::usage(format!("the value of {} isn't UTF-8", shown(&flag.name)))),
            Some(value) if self.holds(parameter, Rank::Argument) => {
                drop(self.bound.texts.insert(given.to_owned(), value.clone()));
            }
            Some(_) => {}
        }
    }

    fn secret(&mut self, name: &str) {
        match self.names.get(&spelt(name)) {
            None => self.unknown_flag(name),
            Some((_, parameter)) if !self.secrets.contains_key(parameter) => {
                let error = CliError::usage(format!("`{parameter}` isn't a secret"));
                self.errors.push(error.with_help(given_by(parameter, "VALUE")));
            }
            Some(&(given, parameter)) => {
                if self.holds(parameter, Rank::Argument) {
                    self.bound.secret_names.insert(name.to_owned(), given.to_owned());
                }
            }
        }
    }

    fn unknown_flag(&mut self, name: &str) {
        let own = tokens::OWN.into_iter().filter(|own| !["help", "param", "secret"].contains(own));
        let own: Vec<String> = own.map(spelt).collect();
        let all = self.names.keys().chain(&own).map(String::as_str);
        let near = nearest(&spelt(name), all).map(|near| self.called(near));
        self.unknown(name, "a flag", near);
    }

    /// A parameter or an option of paramd, as a person would write it.
    fn called(&self, near: &str) -> String {
        match self.names.get(near) {
            Some((given, _)) => (*given).to_owned(),
            None => format!("--{}", near.replace('_', "-")),
        }
    }

    /// A name that could be anything, a password too, is called `what`.
    fn unknown(&mut self, name: &str, what: &str, near: Option<String>) {
        let pipeline = self.pipeline;
        if AliasName::parse(&spelt(name)).is_err() {
            let message =
                format!("{what} isn't a parameter of {pipeline}, and its name can't be one");
            return self.errors.push(self.listed(CliError::usage(message)));
        }
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
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

/// A secret was given where none may be.
fn secret_elsewhere(parameter: &str, bindable: bool, place: &str, way: String) -> CliError {
    if bindable {
        CliError::usage(format!("`{parameter}` is a secret: {place}")).with_help(way)
    } else {
        CliError::usage(format!("`{parameter}` is a secret that no run can bind"))
    }
}

/// How a secret is given.
fn ways(parameter: &str) -> String {
    format!("--secret {parameter}=file:FILE, {parameter}=env:VARIABLE or {parameter}=-")
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
