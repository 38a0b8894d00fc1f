//! Clap's own errors in our voice, without the words that they quote: those
//! may be misplaced secrets.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::error::{CliError, Expected};
use super::exit::Exit;
use super::printer::Printer;

/// Prints help, the version, or what is wrong with the command line.
pub(crate) fn tell(error: &clap::Error, printer: Printer) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        printer.text(&error.render().to_string());
        return Exit::Success;
    }
    printer.error(&translated(error));
    Exit::Usage
}

fn translated(error: &clap::Error) -> CliError {
    // What we declared, never what was given: that is known of these alone.
    let about = (error.kind() != ErrorKind::UnknownArgument)
        .then(|| context(error, ContextKind::InvalidArg))
        .flatten();
    let prior = context(error, ContextKind::PriorArg);
    let message = match about {
        Some(_) if about == prior => "an option is given twice",
        _ => message(error.kind()),
    };
    let mut told = CliError::usage(match (about, prior) {
        (Some(one), Some(other)) if one != other => format!("{message}: {one} and {other}"),
        (Some(names), _) => format!("{message}: {names}"),
        (None, _) => message.to_owned(),
    });
    let expected = error.source().and_then(|source| source.downcast_ref::<Expected>());
    if let Some(Expected(text)) = expected {
        told = told.with_help(text);
    }
    if let Some(words) = context(error, ContextKind::ValidValue) {
        told = told.with_help(format!("it is one of {words}"));
    }
    let near = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    for name in near.into_iter().filter_map(|kind| nearest(error, kind)) {
        told = told.with_help(format!("did you mean `{name}`?"));
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

/// The best of what may have been meant: clap has it last.
fn nearest(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::Strings(texts)) => texts.last().cloned(),
        _ => context(error, kind),
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
            "an argument doesn't take this value"
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
            &["paramd", "checkHunter2"],
            &["paramd", "audit", "list", "--limitHunter2"],
            &["paramd", "--endpoint", "Hunter2", "--endpoint", "Hunter2", "check"],
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
    fn what_is_wrong_is_named_with_the_way_out() {
        for (line, said) in [
            (&["paramd", "complete", "a/b", "x"][..], "value: <OUTCOME>"),
            (
                &["paramd", "complete", "a/b", "x"],
                "help: it is one of succeeded, failed, cancelled",
            ),
            (&["paramd", "complete", "a/b"], "missing: <OUTCOME>"),
            (&["paramd", "runs", "show", "a/b", "--attemp", "1"], "did you mean `--attempt`?"),
            (&["paramd", "chek"], "did you mean `check`?"),
            (&["paramd", "--output", "json", "--output", "json", "check"], "given twice: --output"),
            (&["paramd", "runs", "show", "a/b", "--attempt", "0"], "an attempt is a number from 1"),
            (&["paramd", "context", "a/b", "s", "--instance", "-"], "an instance is a number from"),
            (&["paramd", "audit", "list", "--limit", "x"], "a limit is a number from 0"),
            (&["paramd", "audit", "list", "--limit", "-1"], "a limit is a number from 0"),
            (&["paramd", "reveal", "a/b", "s", "x", "--all"], "together: [NAME]... and --all"),
        ] {
            let error = crate::cli::Cli::try_parse_from(line).err().unwrap();
            let text = translated(&error).to_string();
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn our_own_parsers_say_what_they_expect() {
        let line = ["paramd", "runs", "show", "x"];
        let error = crate::cli::Cli::try_parse_from(line).err().unwrap();
        assert!(translated(&error).to_string().contains("help: a run is PIPELINE/RUN_ID"));
    }
}
