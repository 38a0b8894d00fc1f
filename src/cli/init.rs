//! `paramd init`: writes a working configuration for the caller's uid.

use std::path::PathBuf;

use serde::Serialize;

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

#[derive(Serialize)]
struct Document {
    written: Vec<PathBuf>,
}

pub(crate) fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let uid = rustix::process::getuid().as_raw();
    let written = write_configuration(&args.dir, uid)
        .map_err(|error| CliError::new(Exit::Failed, error.to_string()))?;
    let dir = quoted(&args.dir.display().to_string());
    if app.wants_json() {
        app.printer.json(&Document { written });
        return Ok(Exit::Success);
    }
    for path in &written {
        app.printer.text(&format!("wrote {}", path.display()));
    }
    app.printer.text(&format!(
        "next: paramd check {dir} && paramd serve --config {dir}\n\
         then, in a second terminal: paramd run hello --endpoint unix:{dir}/run/paramd.sock"
    ));
    Ok(Exit::Success)
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%".contains(letter);
    if path.chars().all(plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_pasted_into_a_shell() {
        assert_eq!(quoted("/srv/my-config"), "/srv/my-config");
        assert_eq!(quoted("my config"), "'my config'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
