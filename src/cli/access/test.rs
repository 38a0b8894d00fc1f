//! `paramd access test`: a file of expected decisions. Exit status 1 where one is
//! decided otherwise, or the file has a mistake.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::configuration;
use super::known::{What, complete};
use crate::access::expectation::{self, Expectation, Mismatch};
use crate::cli::App;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::paint::may_paint;
use crate::cli::printer::Stream;
use crate::cli::text::why;
use crate::load::Compiled;
use crate::yaml::diagnostic::{self, Files, Problems};
use crate::yaml::{FileId, MAX_BYTES, parse};

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file of expected decisions.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The configuration directory.
    #[arg(long, value_name = "DIR", default_value = "config")]
    config: PathBuf,
}

#[derive(Serialize)]
struct Report {
    decisions: usize,
    problems: serde_json::Value,
}

pub(crate) fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let (compiled, mut files) = configuration(&args.config)?;
    let (file, text) = text(&args.file, &mut files)?;
    let mut problems = Problems::default();
    let node = parse(file, &text, &mut problems);
    let expected = node.map(|node| expectation::read(&node, &mut problems)).unwrap_or_default();
    let decisions = expected.len();
    for one in expected {
        meet(one, &compiled, &mut problems);
    }
    let failed = problems.has_errors();
    if app.wants_json() {
        let problems = diagnostic::json(&problems, &files);
        app.printer.json(&Report { decisions, problems });
    } else {
        let colours = may_paint(Stream::Out, &app.environment);
        let width = usize::from(app.printer.width());
        let told = diagnostic::render(&problems, &files, colours, width);
        if !told.is_empty() {
            app.printer.text(&told);
        }
        app.printer.text(&summary(decisions, problems.errors()));
    }
    Ok(if failed { Exit::Failed } else { Exit::Success })
}

fn summary(decisions: usize, errors: usize) -> String {
    let s = |count: usize| if count == 1 { "" } else { "s" };
    match errors {
        0 => format!("{decisions} decision{} as expected", s(decisions)),
        _ => format!("{decisions} decision{}, {errors} problem{}", s(decisions), s(errors)),
    }
}

/// Decides what is expected, and tells where it is otherwise.
fn meet(mut expected: Expectation, compiled: &Compiled, problems: &mut Problems) {
    if let Err(unknown) = complete(&mut expected.question, &compiled.plans) {
        let place = match unknown.what {
            What::Subject => &expected.subject_place,
            What::Environment | What::Preset | What::Overridden => &expected.place,
        };
        problems.error("unknown_name", place, unknown.message).sensitive().help(unknown.help);
        return;
    }
    let action = expected.question.action;
    if !expected.timed && compiled.policies.is_timed(action) {
        let message = format!("policies decide `{}` by the time", action.name());
        problems
            .error("missing_time", &expected.subject_place, message)
            .help("say the `time` of this decision, or it would differ from day to day");
        return;
    }
    if let Err(Mismatch { permitted, policy_ids }) = compiled.policies.meet(&expected) {
        let message = match expected.by {
            Some(by) => format!("{} is expected", decided(expected.permitted, &by)),
            None if expected.permitted => "it is expected to be allowed".to_owned(),
            None => "it is expected to be denied".to_owned(),
        };
        let message = format!("{message}, and it is {}", decided(permitted, &policy_ids));
        problems
            .error("other_decision", &expected.place, message)
            .help("`paramd access why` tells what each policy says of it");
    }
}

fn decided(permitted: bool, policy_ids: &[String]) -> String {
    let word = if permitted { "allowed" } else { "denied" };
    let by = match policy_ids {
        [] => "no policy".to_owned(),
        ids => ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", "),
    };
    format!("{word} by {by}")
}

/// Reads the file.
fn text(path: &Path, files: &mut Files) -> Result<(FileId, String), CliError> {
    let unreadable = |error: std::io::Error| {
        let why = why(error.kind());
        CliError::usage(format!("the file of expected decisions can't be read: {why}"))
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // One byte more than the reader takes, so that it tells what is too long.
    let mut limited = std::io::Read::take(file, MAX_BYTES as u64 + 1);
    std::io::Read::read_to_string(&mut limited, &mut text).map_err(unreadable)?;
    let id = files.add(path.display().to_string(), text.as_str().into());
    Ok((id, text))
}
