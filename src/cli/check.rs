//! `paramd check`: all problems of a configuration at once. Exit status 1 where
//! there is an error.

use std::path::PathBuf;

use serde::Serialize;

use super::App;
use super::error::CliError;
use super::exit::Exit;
use super::live::{self, Counted};
use super::paint::may_paint;
use super::printer::Stream;
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
    /// Also asks the sources whether the bindings could be read, and reads no
    /// secret. Run it where the daemon runs, with its environment.
    #[arg(long)]
    pub(crate) live: bool,
}

#[derive(Serialize)]
struct Report {
    problems: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    risks: Option<Vec<Risk>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Counted>,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let mut loaded = load(&args.dir);
    let live = if args.live { ask_sources(app, &mut loaded).await } else { None };
    let found = args.risks.then(|| {
        loaded.compiled.as_ref().map(|compiled| risks(&compiled.plans)).unwrap_or_default()
    });
    if app.wants_json() {
        let problems = diagnostic::json(&loaded.problems, &loaded.files);
        app.printer.json(&Report { problems, risks: found, live });
    } else {
        tell(app, args, &loaded, found.as_deref());
        if args.live {
            let nothing = || "no source was asked: mend the errors first".to_owned();
            app.printer.text(&live.as_ref().map_or_else(nothing, live::text));
        }
    }
    Ok(if loaded.problems.has_errors() { Exit::Failed } else { Exit::Success })
}

/// What the sources say; none where errors leave nothing fit to be asked about.
async fn ask_sources(app: &App, loaded: &mut Loaded) -> Option<Counted> {
    if loaded.problems.has_errors() {
        return None;
    }
    let counted = live::ask(app, loaded.compiled.as_ref()?, &mut loaded.problems).await;
    loaded.problems = loaded.problems.in_order(&loaded.files);
    Some(counted)
}

fn tell(app: &App, args: &Args, loaded: &Loaded, found: Option<&[Risk]>) {
    let colours = may_paint(Stream::Out, &app.environment);
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
