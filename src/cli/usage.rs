//! Clap's own errors in our voice, without the words that they quote: those
//! may be misplaced secrets.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::error::{CliError, Expected};
use super::exit::Exit;
use super::printer::Printer;

/// Prints help, the version, or what is wrong with the command line.
pub(crate) fn tell(error: &clap::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        Printer.text(&error.render().to_string());
        return Exit::Success;
    }
    Printer.error(&translated(error));
    Exit::Usage
}

fn translated(error: &clap::Error) -> CliError {
    let mut told = CliError::usage(message(error.kind()));
    // What we declared, never what was given: that is known of these alone.
    if error.kind() != ErrorKind::UnknownArgument
        && let Some(names) = context(error, ContextKind::InvalidArg)
    {
        told = told.with_help(format!("it is about {names}"));
    }
    let expected = error.source().and_then(|source| source.downcast_ref::<Expected>());
    if let Some(Expected(text)) = expected {
        told = told.with_help(text);
    }
    let known =
        [ContextKind::ValidValue, ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    for names in known.into_iter().filter_map(|kind| context(error, kind)) {
        told = told.with_help(format!("there is {names}"));
    }
    told.with_help("`paramd --help` and `paramd COMMAND --help` tell what there is")
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    }
}

fn message(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::MissingRequiredArgument => "an argument is missing",
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing"
        }
        ErrorKind::InvalidSubcommand => "there is no such command",
        ErrorKind::UnknownArgument => "an argument isn't known here",
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            "an argument's value isn't one that it takes"
        }
        ErrorKind::ArgumentConflict => "two of the arguments can't be given together",
        ErrorKind::NoEquals | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            "an option needs a value"
        }
        _ => "the command line isn't understood",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn no_word_that_was_given_is_repeated() {
        for line in [
            &["paramd", "Hunter2"][..],
            &["paramd", "--Hunter2"],
            &["paramd", "--output", "Hunter2", "runs", "show", "a/b"],
            &["paramd", "runs", "show", "Hunter2"],
            &["paramd", "runs", "show", "a/b", "Hunter2"],
            &["paramd", "runs", "show", "a/b", "--attempt", "Hunter2"],
            &["paramd", "runs", "show", "a/b", "--attempt=Hunter2"],
            &["paramd", "complete", "a/b", "Hunter2"],
            &["paramd", "audit", "list", "--action", "Hunter2"],
            &["paramd", "audit", "list", "--newest-first=Hunter2"],
            &["paramd", "audit", "list", "--limit", "Hunter2"],
            &["paramd", "reveal", "a/b", "s", "x", "--all", "Hunter2"],
        ] {
            let error = crate::cli::Cli::try_parse_from(line).err().unwrap();
            let text = translated(&error).to_string();
            assert!(!text.contains("Hunter2"), "{text}");
        }
    }

    #[test]
    fn our_own_parsers_say_what_they_expect() {
        let line = ["paramd", "runs", "show", "x"];
        let error = crate::cli::Cli::try_parse_from(line).err().unwrap();
        assert!(translated(&error).to_string().contains("help: a run is PIPELINE/RUN_ID"));
    }
}
