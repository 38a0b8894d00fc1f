//! `paramd check`: all problems of a configuration at once. Exit status 1 where
//! there is an error.

use std::path::PathBuf;

use serde::Serialize;

use super::App;
use super::error::CliError;
use super::exit::Exit;
use super::table::Sheet;
use crate::load::{Loaded, load};
use crate::plan::{Risk, risks};
use crate::yaml::diagnostic;

/// The arguments.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The configuration directory.
    #[arg(value_name = "DIR", default_value = "config")]
    pub(crate) dir: PathBuf,
    /// Also lists, for each step that gets a secret, the texts that a run can
    /// set and that the step also gets.
    #[arg(long)]
    pub(crate) risks: bool,
}

#[derive(Serialize)]
struct Report {
    problems: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    risks: Option<Vec<Risk>>,
}

pub(crate) fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let loaded = load(&args.dir);
    let found = args.risks.then(|| {
        loaded.compiled.as_ref().map(|compiled| risks(&compiled.plans)).unwrap_or_default()
    });
    if app.wants_json() {
        let problems = diagnostic::json(&loaded.problems, &loaded.files);
        app.printer.json(&Report { problems, risks: found });
    } else {
        tell(app, args, &loaded, found.as_deref());
    }
    Ok(if loaded.problems.has_errors() { Exit::Failed } else { Exit::Success })
}

fn tell(app: &App, args: &Args, loaded: &Loaded, found: Option<&[Risk]>) {
    let colours = app.printer.is_terminal() && app.environment.value("NO_COLOR").is_none();
    let width = usize::from(app.printer.width());
    let problems = diagnostic::render(&loaded.problems, &loaded.files, colours, width);
    if !problems.is_empty() {
        app.printer.text(&problems);
    }
    let all = loaded.problems.list.len();
    let errors = loaded.problems.errors();
    let dir = args.dir.display();
    let summary = match (errors, all - errors) {
        (0, 0) => format!("{dir}: no problems"),
        (errors, warnings) => {
            format!("{dir}: {}, {}", count(errors, "error"), count(warnings, "warning"))
        }
    };
    app.printer.text(&summary);
    if let Some(found) = found {
        app.printer.text(&risk_table(app, found));
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn risk_table(app: &App, found: &[Risk]) -> String {
    if found.is_empty() {
        return "no step gets both a secret and a text that a run can set".into();
    }
    let headings = ["pipeline", "step", "secrets", "texts that a run can set"];
    let mut sheet = Sheet::new(app.printer.width(), headings);
    for risk in found {
        let join = |names: &std::collections::BTreeSet<crate::name::ParameterName>| {
            names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        sheet.row([
            risk.pipeline.as_str(),
            risk.step.as_str(),
            &join(&risk.secrets),
            &join(&risk.texts),
        ]);
    }
    sheet.text()
}
