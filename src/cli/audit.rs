//! `paramd audit`: reads, follows and verifies the audit log.

mod event;
mod filter;
mod list;
mod tail;
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
    /// Prints events as they come, until it is interrupted.
    Tail(Box<tail::Args>),
    /// Looks for the first event that was changed, removed or moved.
    Verify(verify::Args),
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    match &args.command {
        Command::List(args) => list::run(app, args).await,
        Command::Tail(args) => tail::run(app, args).await,
        Command::Verify(args) => verify::run(app, args).await,
    }
}
