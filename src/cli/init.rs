//! `paramd init`: writes a working configuration for the caller's uid.

use std::path::PathBuf;

use super::App;
use super::error::CliError;
use super::exit::Exit;
use crate::init::write_configuration;

/// The arguments.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The directory to write; it must be new or empty.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

pub(crate) fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let uid = rustix::process::getuid().as_raw();
    let written = write_configuration(&args.dir, uid)
        .map_err(|error| CliError::new(Exit::Failed, error.to_string()))?;
    let dir = args.dir.display();
    if app.wants_json() {
        app.printer.json(&written);
        return Ok(Exit::Success);
    }
    for path in &written {
        app.printer.text(&format!("wrote {}", path.display()));
    }
    app.printer.text(&format!(
        "next: paramd check {dir} && paramd serve --config {dir}\n\
         then, elsewhere: paramd run hello --endpoint unix:{dir}/run/paramd.sock"
    ));
    Ok(Exit::Success)
}
