//! `paramd audit`: reads and verifies the audit log.

mod list;
mod verify;

use super::App;
use super::error::CliError;
use super::exit::Exit;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Lists the events that fit every filter that is given.
    List(Box<list::Args>),
    /// Looks for the first event that was changed, removed or moved.
    Verify(verify::Args),
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    match &args.command {
        Command::List(args) => list::run(app, args).await,
        Command::Verify(args) => verify::run(app, args).await,
    }
}
