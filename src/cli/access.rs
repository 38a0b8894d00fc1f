//! `paramd access`: tries the policies of a configuration directory. It needs no
//! daemon.

mod known;
mod question;
mod test;
mod who;
mod why;

use std::path::Path;

use super::App;
use super::error::CliError;
use super::exit::Exit;
use crate::load::{Compiled, Loaded, load};
use crate::yaml::Place;
use crate::yaml::diagnostic::{self, Files};

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Runs a file of expected decisions, such as in CI.
    Test(test::Args),
    /// Tells why a principal may do something or not.
    Why(why::Args),
    /// Lists who could do something.
    Who(who::Args),
}

pub(crate) fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    match &args.command {
        Command::Test(args) => test::run(app, args),
        Command::Why(args) => why::run(app, args),
        Command::Who(args) => who::run(app, args),
    }
}

/// A configuration without errors: with some, its policies would deny everything.
fn configuration(directory: &Path) -> Result<(Compiled, Files), CliError> {
    let Loaded { files, problems, compiled } = load(directory);
    match compiled {
        Some(compiled) if !problems.has_errors() => Ok((compiled, files)),
        _ => {
            let message = format!("the configuration in `{}` has errors", directory.display());
            Err(CliError::new(Exit::Failed, message)
                .with_problems(diagnostic::lines(&problems, &files))
                .with_help(format!("`paramd check {}` shows them", directory.display())))
        }
    }
}

/// Where something is written, as `file:line`.
fn written(place: Option<&Place>, files: &Files) -> String {
    let told = place.and_then(|place| {
        let (line, _) = files.position(place.file, place.span.start);
        Some(format!("{}:{line}", files.path(place.file)?))
    });
    told.unwrap_or_default()
}
