//! The arguments that make a question.

use std::path::PathBuf;

use jiff::Timestamp;

use super::known::{What, complete};
use crate::access::Action;
use crate::access::question::{Principal, Question, SUBJECT, Subject, kind, kind_of, kinds};
use crate::cli::error::{CliError, Expected};
use crate::definition::groups::is_principal;
use crate::name::{EnvironmentName, ParameterName, PresetName};
use crate::plan::Plans;
use crate::yaml::fields::{among, listed};

/// In what something would be done.
#[derive(clap::Args)]
pub(super) struct Within {
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "config")]
    pub(super) config: PathBuf,
    /// The environment.
    #[arg(long, value_name = "NAME", value_parser = environment)]
    environment: Option<EnvironmentName>,
    /// The preset.
    #[arg(long, value_name = "NAME", value_parser = preset)]
    preset: Option<PresetName>,
    /// A parameter that the run binds itself; may be repeated.
    #[arg(long, value_name = "PARAMETER", value_parser = parameter)]
    overridden: Vec<ParameterName>,
    /// Of reveal: the answer is sealed to a key of the caller's.
    #[arg(long)]
    sealed: bool,
    /// When, as RFC 3339; else now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    time: Option<Timestamp>,
}

fn environment(text: &str) -> Result<EnvironmentName, Expected> {
    Ok(EnvironmentName::parse(text)?)
}

fn preset(text: &str) -> Result<PresetName, Expected> {
    Ok(PresetName::parse(text)?)
}

fn parameter(text: &str) -> Result<ParameterName, Expected> {
    Ok(ParameterName::parse(text)?)
}

fn time(text: &str) -> Result<Timestamp, Expected> {
    let expected = || Expected("a time as RFC 3339, such as 2026-03-01T12:00:00Z".into());
    text.parse().map_err(|_| expected())
}

/// Takes the name of an action.
pub(super) fn action(text: &str) -> Result<Action, Expected> {
    Action::named(text).ok_or_else(|| Expected(among(text, Action::names())))
}

/// Takes what something would be done with.
pub(super) fn subject(text: &str) -> Result<Subject, Expected> {
    Subject::parse(text).ok_or_else(|| Expected(SUBJECT.replace('`', "")))
}

/// A principal by its name, and its kind where the name doesn't tell it.
pub(super) fn principal(name: &str, word: Option<&str>) -> Result<Principal, CliError> {
    if !is_principal(name) {
        return Err(CliError::usage("PRINCIPAL must be 1 to 512 characters, none a control one"));
    }
    let kind = match word {
        Some(word) => kind(word).ok_or_else(|| {
            CliError::usage("there is no such kind of principal").with_help(among(word, kinds()))
        }),
        None => kind_of(name).ok_or_else(|| {
            CliError::usage("the name doesn't tell the kind of the principal")
                .with_help(format!("say `--kind KIND`: one of {}", listed(&kinds())))
        }),
    };
    Ok(Principal { name: name.to_owned(), kind: kind? })
}

impl Within {
    /// The whole question, with names that the definitions know.
    pub(super) fn question(
        &self,
        principal: Principal,
        groups: &[String],
        action: Action,
        subject: &Subject,
        plans: &Plans,
    ) -> Result<Question, CliError> {
        if self.sealed && action != Action::Reveal {
            return Err(CliError::usage("only answers of reveal are sealed")
                .with_help("leave `--sealed` out"));
        }
        if !action.is_asked_of(subject) {
            let message = format!("`{}` isn't asked of such a resource", action.name());
            let help = format!("it is asked of {}", action.subjects());
            return Err(CliError::usage(message).with_help(help));
        }
        let mut question = Question {
            principal,
            groups: groups.to_vec(),
            action: if self.sealed { Action::RevealSealed } else { action },
            subject: subject.clone(),
            environment: self.environment.clone(),
            preset: self.preset.clone(),
            overridden: self.overridden.clone(),
            time: self.time.unwrap_or_else(Timestamp::now),
        };
        complete(&mut question, plans).map_err(|unknown| {
            let word = match unknown.what {
                What::Subject => "RESOURCE",
                What::Environment => "--environment",
                What::Preset => "--preset",
                What::Overridden => "--overridden",
            };
            CliError::usage(format!("{word}: {}", unknown.message)).with_help(unknown.help)
        })?;
        Ok(question)
    }
}
