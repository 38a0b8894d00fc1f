//! `paramd complete`: ends a run.

use serde::Serialize;

use super::client::{Daemon, incomplete, send};
use super::document::RunDocument;
use super::error::CliError;
use super::exit::Exit;
use super::run_name::RunArgs;
use super::{App, render};
use crate::proto::v1::{self, RunOutcome};

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// How it ended: succeeded, failed or cancelled.
    #[arg(value_enum, hide_possible_values = true)]
    outcome: Outcome,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Outcome {
    /// All went well.
    Succeeded,
    /// A step failed.
    Failed,
    /// It was called off.
    Cancelled,
}

#[derive(Serialize)]
struct Document {
    run: RunDocument,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let outcome = match args.outcome {
        Outcome::Succeeded => RunOutcome::Succeeded,
        Outcome::Failed => RunOutcome::Failed,
        Outcome::Cancelled => RunOutcome::Cancelled,
    };
    let daemon = app.connect().await?;
    let run = call(&daemon, args.run.name(), outcome).await?;
    if app.wants_json() {
        app.printer.json(&Document { run: RunDocument::new(&run) });
    } else {
        app.printer.text(&render::run(&run));
    }
    Ok(Exit::Success)
}

/// Ends a run.
pub(crate) async fn call(
    daemon: &Daemon,
    run: v1::RunName,
    outcome: RunOutcome,
) -> Result<v1::Run, CliError> {
    let request = v1::CompleteRunRequest { run: Some(run), outcome: outcome.into() };
    let answer = send(request, |request| {
        let mut client = daemon.runs();
        async move { client.complete_run(request).await }
    });
    answer.await?.run.ok_or_else(incomplete)
}
