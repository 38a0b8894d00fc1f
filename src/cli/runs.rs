//! `paramd runs`: the records of runs.

mod list;

use super::client::{incomplete, send};
use super::document::RecordDocument;
use super::error::CliError;
use super::exit::Exit;
use super::run_name::RunArgs;
use super::{App, render};
use crate::proto::v1;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Lists the runs that you may see, newest first.
    List(list::Args),
    /// Shows one run, open or ended.
    Show(RunArgs),
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    match &args.command {
        Command::List(args) => list::run(app, args).await,
        Command::Show(run) => show(app, run).await,
    }
}

async fn show(app: &App, run: &RunArgs) -> Result<Exit, CliError> {
    let daemon = app.connect().await?;
    let answer = send(v1::GetRunRequest { run: Some(run.name()) }, |request| {
        let mut client = daemon.runs();
        async move { client.get_run(request).await }
    })
    .await?;
    let run = answer.run.as_ref().ok_or_else(incomplete)?;
    let snapshot = answer.snapshot.as_ref().ok_or_else(incomplete)?;
    if app.wants_json() {
        app.printer.json(&RecordDocument::new(run, snapshot));
    } else {
        let table = render::snapshot(snapshot, app.printer.width());
        app.printer.text(&format!("{}{table}", render::run(run)));
    }
    Ok(Exit::Success)
}
