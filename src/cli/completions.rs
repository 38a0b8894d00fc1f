//! `paramd completions`: what a shell needs to complete our command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::exit::Exit;
use super::{App, Cli};

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell: bash, zsh or fish.
    #[arg(value_enum, hide_possible_values = true)]
    shell: Known,
}

/// A shell that is written for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Known {
    /// GNU Bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
}

pub(crate) fn run(app: &App, args: &Args) -> Exit {
    app.printer.text(&script(args.shell));
    Exit::Success
}

fn script(shell: Known) -> String {
    let shell = match shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "paramd", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_knows_all_commands() {
        for shell in [Known::Bash, Known::Zsh, Known::Fish] {
            let script = script(shell);
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell:?}: {}", command.get_name());
            }
        }
    }
}
