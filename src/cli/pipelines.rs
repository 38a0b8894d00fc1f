//! `paramd pipelines`: the pipelines of the bundle in force.

mod view;

use super::App;
use super::client::{Daemon, incomplete, send};
use super::error::{CliError, Expected};
use super::exit::Exit;
use crate::name::PipelineName;
use crate::proto::v1;

/// The most pipelines of one page.
const PAGE: i32 = 500;

/// Said where the files on disk were refused.
const STALE: &str = "note: the daemon refuses what is on disk now: the last good bundle is in force\n  \
                     help: `paramd check DIR` tells what is wrong";

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Lists the pipelines that you may see.
    List,
    /// Shows one: parameters, presets, steps and environments.
    Show {
        /// The pipeline.
        #[arg(value_name = "NAME", value_parser = name)]
        pipeline: PipelineName,
    },
}

fn name(text: &str) -> Result<PipelineName, Expected> {
    Ok(PipelineName::parse(text)?)
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let daemon = app.connect().await?;
    match &args.command {
        Command::List => {
            view::list(app, &all(&daemon).await?);
            if daemon.has_stale_bundle().await {
                app.printer.note(STALE);
            }
        }
        Command::Show { pipeline } => show(app, &daemon, pipeline).await?,
    }
    Ok(Exit::Success)
}

/// Asks for page after page; only a missing token is the end.
async fn all(daemon: &Daemon) -> Result<Vec<v1::PipelineSummary>, CliError> {
    let mut request = v1::ListPipelinesRequest { page_size: PAGE, page_token: String::new() };
    let mut found = Vec::new();
    loop {
        let page = send(request.clone(), |request| {
            let mut client = daemon.pipelines();
            async move { client.list_pipelines(request).await }
        })
        .await?;
        found.extend(page.pipelines);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(found);
        }
    }
}

async fn show(app: &App, daemon: &Daemon, name: &PipelineName) -> Result<(), CliError> {
    let answer = send(v1::GetPipelineRequest { pipeline: name.to_string() }, |request| {
        let mut client = daemon.pipelines();
        async move { client.get_pipeline(request).await }
    })
    .await?;
    let pipeline = answer.pipeline.as_ref().ok_or_else(incomplete)?;
    view::one(app, pipeline, &answer.bundle)
}
